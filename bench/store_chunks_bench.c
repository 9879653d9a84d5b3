/* How fast content is cut, kept and read. Prints one JSON object.
 *
 *   store_chunks_bench FOLDER [MEBIBYTES]      (default 512) */
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "port/clock.h"
#include "store/chunks.h"

enum { CHUNKS_MAX = 65536 };

struct bench {
    uint8_t *bytes;
    size_t len;
    size_t cuts[CHUNKS_MAX + 1];
    struct digest hashes[CHUNKS_MAX];
    size_t count;
    struct chunks *chunks;
};

static void check(enum err err, const char *what)
{
    if (err) {
        fprintf(stderr, "store_chunks_bench: %s: %s\n", what, err_name(err));
        exit(1);
    }
}

static double now_s(void)
{
    struct clock clock = clock_system();
    return (double)clock_boot(&clock).ns / 1e9;
}

static void report(const struct bench *bench, const char *what, double begin)
{
    printf("\"%s_mib_per_s\":%.0f,", what, (double)bench->len / 1048576 / (now_s() - begin));
}

static struct slice chunk_at(const struct bench *bench, size_t i)
{
    return slice_make(bench->bytes + bench->cuts[i], bench->cuts[i + 1] - bench->cuts[i]);
}

static void cut(struct bench *bench)
{
    struct chunker chunker;
    chunker_init(&chunker);
    size_t at = 0;
    while (at < bench->len && bench->count < CHUNKS_MAX) {
        at += chunker_cut(&chunker, slice_make(bench->bytes + at, bench->len - at));
        bench->cuts[++bench->count] = at;
    }
}

static void run(struct bench *bench)
{
    static uint8_t buffer[CHUNK_BYTES_MAX];
    struct tenant_id tenant = {{{1}}};
    double begin = now_s();
    cut(bench);
    report(bench, "cut", begin);
    begin = now_s();
    for (size_t i = 0; i < bench->count; i++)
        bench->hashes[i] = digest_of(chunk_at(bench, i));
    report(bench, "hash", begin);
    begin = now_s();
    for (size_t i = 0; i < bench->count; i++)
        check(chunks_put(bench->chunks, tenant, bench->hashes[i], chunk_at(bench, i), 0, NULL),
              "put");
    report(bench, "put", begin);
    begin = now_s();
    for (size_t i = 0; i < bench->count; i++)
        check(chunks_put(bench->chunks, tenant, bench->hashes[i], chunk_at(bench, i), 0, NULL),
              "put again");
    report(bench, "put_known", begin);
    begin = now_s();
    for (size_t i = 0; i < bench->count; i++) {
        size_t len = 0;
        check(chunks_get(bench->chunks, tenant, bench->hashes[i], 0, buffer, sizeof buffer, &len,
                         NULL),
              "get");
    }
    report(bench, "get", begin);
    printf("\"chunks\":%zu,\"chunk_bytes_mean\":%zu", bench->count, bench->len / bench->count);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: store_chunks_bench FOLDER [MEBIBYTES]\n");
        return 2;
    }
    struct bench *bench = calloc(1, sizeof *bench);
    struct random random;
    size_t mebibytes = argc > 2 ? strtoull(argv[2], NULL, 10) : 512;
    if (!bench || mebibytes == 0)
        return 2;
    bench->len = mebibytes << 20;
    bench->bytes = malloc(bench->len);
    if (!bench->bytes)
        return 2;
    random_init(&random, 1);
    random_fill(&random, bench->bytes, bench->len);
    check(chunks_open_folder(argv[1], "cn", &bench->chunks, NULL), "open");
    printf("{");
    run(bench);
    printf("}\n");
    chunks_close(bench->chunks);
    free(bench->bytes);
    free(bench);
    return 0;
}
