/* Content for work folders, so that the next element of an array starts at once. Parted by tenants,
 * as the store of chunks is; what is over the bound goes, the longest unused first. */
#include "agent/shell.h"
#include "port/clock.h"

enum { CACHE_TENANTS_ARENA_BYTES = 4 << 20 };

enum err cache_open(const char *path, struct chunks **out_cache, struct fault *fault)
{
    return chunks_open_folder(path, "site", out_cache, fault); /* the site's own, whichever */
}

static enum err cache_total(struct chunks *cache, struct tenant_id *ids, size_t count,
                            uint64_t *out_bytes)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        struct chunks_usage usage;
        enum err err = chunks_usage(cache, ids[i], &usage);
        if (err != ERR_OK)
            return err;
        total += usage.bytes;
    }
    *out_bytes = total;
    return ERR_OK;
}

/* Makes room for `needed` bytes: what was not used for a day goes, then an hour, a minute, all. */
static enum err cache_trim(struct chunks *cache, uint64_t bytes_max, uint64_t needed)
{
    static const int64_t UNUSED_S[] = {86400, 3600, 60, 0};
    struct clock clock = clock_system();
    struct arena arena;
    struct tenant_id *ids;
    size_t count;
    uint64_t total = 0;
    arena_init(&arena, CACHE_TENANTS_ARENA_BYTES);
    enum err err = chunks_tenants(cache, &arena, &ids, &count);
    if (err == ERR_OK)
        err = cache_total(cache, ids, count, &total);
    for (size_t step = 0; err == ERR_OK && total + needed > bytes_max &&
                          step < sizeof(UNUSED_S) / sizeof(UNUSED_S[0]);
         step++) {
        struct chunk_marks *marks = NULL;
        err = chunk_marks_create(&marks);
        for (size_t i = 0; err == ERR_OK && i < count; i++) {
            struct chunks_swept swept;
            err = chunks_sweep(cache, ids[i], marks, clock_wall(&clock), SPAN_S(UNUSED_S[step]),
                               &swept);
        }
        chunk_marks_destroy(marks);
        if (err == ERR_OK)
            err = cache_total(cache, ids, count, &total);
    }
    arena_deinit(&arena);
    return err;
}

enum err cache_put(struct chunks *cache, uint64_t bytes_max, struct tenant_id tenant,
                   struct digest hash, struct slice bytes, struct fault *fault)
{
    enum err err = cache_trim(cache, bytes_max, bytes.len);
    return err == ERR_OK ? chunks_put(cache, tenant, hash, bytes, 0, fault) : err;
}
