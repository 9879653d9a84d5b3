/* Cutting content, keeping it, sweeping it. */
#include "scene.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "port/clock.h"
#include "port/file.h"
#include "store/chunks.h"

enum { BYTES = 48 * 1024 * 1024 };

struct shop {
    struct scene *scene;
    char path[128];
    struct chunks *chunks;
    struct tenant_id tenant, other;
};

static void open_chunks(struct shop *shop)
{
    struct fault fault = {0};
    enum err err = chunks_open_folder(shop->path, "cn", &shop->chunks, &fault);
    if (err)
        fail_msg("chunks: %s: %s", err_name(err), fault.message);
}

static int set_up(void **state)
{
    struct shop *shop = calloc(1, sizeof *shop);
    void *scene = NULL;
    if (scene_set_up(&scene) != 0)
        return -1;
    shop->scene = scene;
    snprintf(shop->path, sizeof shop->path, "%s/chunks", shop->scene->folder);
    shop->tenant.id = scene_id(3);
    shop->other.id = scene_id(4);
    open_chunks(shop);
    *state = shop;
    return 0;
}

static int tear_down(void **state)
{
    struct shop *shop = *state;
    chunks_close(shop->chunks);
    void *scene = shop->scene;
    free(shop);
    return scene_tear_down(&scene);
}

/* ---- cutting ---- */

static uint8_t *random_bytes(size_t len, uint64_t seed)
{
    uint8_t *bytes = malloc(len);
    struct random random;
    assert_non_null(bytes);
    random_init(&random, seed);
    random_fill(&random, bytes, len);
    return bytes;
}

static size_t cut_all(const uint8_t *bytes, size_t len, size_t *cuts, size_t max)
{
    struct chunker chunker;
    size_t count = 0;
    chunker_init(&chunker);
    for (size_t at = 0; at < len;) {
        size_t size = chunker_cut(&chunker, slice_make(bytes + at, len - at));
        assert_true(size > 0 && size <= CHUNK_BYTES_MAX);
        assert_true(size >= CHUNK_BYTES_MIN || at + size == len);
        at += size;
        assert_true(count < max);
        cuts[count++] = at;
    }
    return count;
}

static void chunks_keep_their_limits_and_average_a_mebibyte(void **state)
{
    (void)state;
    size_t cuts[512];
    uint8_t *bytes = random_bytes(BYTES, 1);
    size_t count = cut_all(bytes, BYTES, cuts, 512);
    assert_in_range(BYTES / count, 600 * 1024, 1600 * 1024);
    free(bytes);
    /* nothing cuts a run of equal bytes but the maximum */
    bytes = calloc(1, 10 * 1024 * 1024);
    count = cut_all(bytes, 10 * 1024 * 1024, cuts, 512);
    assert_int_equal(count, 3);
    free(bytes);
    assert_int_equal(cut_all((const uint8_t *)"x", 1, cuts, 512), 1);
}

/* The table and the masks are a format: these numbers may never change. They were computed by
 * another program too. */
static void the_cut_points_are_fixed_for_ever(void **state)
{
    (void)state;
    static const size_t known[] = {1451116, 3184783, 4705995, 5839207};
    size_t cuts[512];
    uint8_t *bytes = random_bytes(8 * 1024 * 1024, 42);
    size_t count = cut_all(bytes, 8 * 1024 * 1024, cuts, 512);
    assert_true(count >= 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(cuts[i], known[i]);
    free(bytes);
}

static void an_insertion_changes_only_the_chunks_around_it(void **state)
{
    (void)state;
    static size_t before[512], after[512];
    uint8_t *bytes = random_bytes(BYTES + 100, 7);
    size_t n = cut_all(bytes + 100, BYTES, before, 512);
    /* the same content with 100 bytes in front of it */
    size_t m = cut_all(bytes, BYTES + 100, after, 512);
    size_t same = 0;
    for (size_t i = 0, j = 0; i < n && j < m;) {
        size_t shifted = before[i] + 100;
        same += shifted == after[j];
        if (shifted <= after[j])
            i++;
        else
            j++;
    }
    assert_true(same + 4 >= n);
    free(bytes);
}

/* ---- keeping ---- */

static struct digest put(struct shop *shop, struct tenant_id tenant, const char *text,
                         uint64_t quota, enum err expected)
{
    struct digest hash = digest_of(slice_of(text));
    assert_int_equal(chunks_put(shop->chunks, tenant, hash, slice_of(text), quota, NULL), expected);
    return hash;
}

static struct chunks_usage usage_of(struct shop *shop, struct tenant_id tenant)
{
    struct chunks_usage usage = {0};
    assert_int_equal(chunks_usage(shop->chunks, tenant, &usage), ERR_OK);
    return usage;
}

static void a_chunk_is_kept_once_for_its_tenant_and_for_no_other(void **state)
{
    struct shop *shop = *state;
    char buffer[64];
    size_t len = 0;
    uint64_t size = 0;
    struct digest hash = put(shop, shop->tenant, "hello chunk", 0, ERR_OK);
    put(shop, shop->tenant, "hello chunk", 0, ERR_OK);
    assert_int_equal(usage_of(shop, shop->tenant).count, 1);
    assert_int_equal(usage_of(shop, shop->tenant).bytes, 11);
    assert_int_equal(usage_of(shop, shop->other).count, 0);
    assert_int_equal(
        chunks_get(shop->chunks, shop->tenant, hash, 0, buffer, sizeof buffer, &len, &size),
        ERR_OK);
    assert_int_equal(len, 11);
    assert_memory_equal(buffer, "hello chunk", 11);
    assert_int_equal(chunks_get(shop->chunks, shop->tenant, hash, 6, buffer, 3, &len, &size),
                     ERR_OK);
    assert_memory_equal(buffer, "chu", 3);
    assert_int_equal(size, 11);
    assert_int_equal(
        chunks_get(shop->chunks, shop->other, hash, 0, buffer, sizeof buffer, &len, &size),
        ERR_NOT_FOUND);
    bool missing[2];
    struct digest asked[] = {hash, digest_of(SLICE_LITERAL("never put"))};
    assert_int_equal(chunks_missing(shop->chunks, shop->tenant, asked, 2, missing), ERR_OK);
    assert_false(missing[0]);
    assert_true(missing[1]);
    /* all of it is found again */
    chunks_close(shop->chunks);
    open_chunks(shop);
    assert_int_equal(usage_of(shop, shop->tenant).bytes, 11);
    struct tenant_id *ids = NULL;
    size_t count = 0;
    assert_int_equal(chunks_tenants(shop->chunks, &shop->scene->arena, &ids, &count), ERR_OK);
    assert_int_equal(count, 1);
    assert_true(id_is_equal(ids[0].id, shop->tenant.id));
}

static void bytes_under_a_false_hash_are_refused(void **state)
{
    struct shop *shop = *state;
    struct digest hash = digest_of(SLICE_LITERAL("something else"));
    assert_int_equal(chunks_put(shop->chunks, shop->tenant, hash, SLICE_LITERAL("forged"), 0, NULL),
                     ERR_INVALID);
    bool missing = false;
    assert_int_equal(chunks_missing(shop->chunks, shop->tenant, &hash, 1, &missing), ERR_OK);
    assert_true(missing);
}

static void a_chunk_damaged_on_disk_is_not_given_out(void **state)
{
    struct shop *shop = *state;
    char name[DIGEST_TEXT_MAX], tenant[ID_TEXT_MAX], path[512], buffer[64];
    size_t len = 0;
    struct digest hash = put(shop, shop->tenant, "precious weights", 0, ERR_OK);
    digest_format(hash, name);
    id_format(shop->tenant.id, "tnt", tenant);
    snprintf(path, sizeof path, "%s/%s/%.2s/%s", shop->path, tenant, name, name);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(file_write_atomic(path, SLICE_LITERAL("precious weighty"), 0600, NULL),
                     ERR_OK);
    assert_int_equal(
        chunks_get(shop->chunks, shop->tenant, hash, 0, buffer, sizeof buffer, &len, NULL),
        ERR_CORRUPT);
}

static void a_quota_is_never_passed(void **state)
{
    struct shop *shop = *state;
    put(shop, shop->tenant, "0123456789", 25, ERR_OK);
    put(shop, shop->tenant, "abcdefghij", 25, ERR_OK);
    put(shop, shop->tenant, "too much", 25, ERR_LIMIT);
    put(shop, shop->tenant, "abcdefghij", 25, ERR_OK); /* there already */
    put(shop, shop->tenant, "small", 25, ERR_OK);
    put(shop, shop->other, "too much", 25, ERR_OK); /* another's quota */
    assert_int_equal(usage_of(shop, shop->tenant).bytes, 25);
}

struct putter {
    struct shop *shop;
    struct digest hashes[40];
};

static void *put_many(void *context)
{
    struct putter *putter = context;
    for (int i = 0; i < 40; i++) {
        char text[32];
        snprintf(text, sizeof text, "chunk number %d", i);
        putter->hashes[i] = digest_of(slice_of(text));
        if (chunks_put(putter->shop->chunks, putter->shop->tenant, putter->hashes[i],
                       slice_of(text), 0, NULL) != ERR_OK)
            return putter;
    }
    return NULL;
}

static void threads_that_put_the_same_chunks_count_them_once(void **state)
{
    struct shop *shop = *state;
    struct putter putters[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        putters[i].shop = shop;
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, &putters[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(usage_of(shop, shop->tenant).count, 40);
    struct chunks_usage before = usage_of(shop, shop->tenant);
    chunks_close(shop->chunks);
    open_chunks(shop);
    assert_int_equal(usage_of(shop, shop->tenant).bytes, before.bytes);
}

static void a_store_keeps_its_jurisdiction_and_one_process_has_it(void **state)
{
    struct shop *shop = *state;
    struct chunks *second = NULL;
    assert_int_equal(chunks_open_folder(shop->path, "cn", &second, NULL), ERR_BUSY);
    chunks_close(shop->chunks);
    shop->chunks = NULL;
    assert_int_equal(chunks_open_folder(shop->path, "eu", &second, NULL), ERR_INVALID);
    open_chunks(shop);
    assert_string_equal(chunks_jurisdiction(shop->chunks), "cn");
}

static size_t count_files(struct shop *shop, const char *below)
{
    char path[256];
    struct file_entry *entries = NULL;
    size_t count = 0;
    snprintf(path, sizeof path, "%s/%s", shop->path, below);
    assert_int_equal(file_list(path, 1000, &shop->scene->arena, NULL, &entries, &count), ERR_OK);
    return count;
}

static int put_on_a_full_disk(struct shop *shop)
{
    struct rlimit limit = {64 * 1024, RLIM_INFINITY};
    uint8_t *bytes = random_bytes(1024 * 1024, 3);
    struct slice chunk = slice_make(bytes, 1024 * 1024);
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 2;
    struct fault fault = {0};
    enum err err = chunks_put(shop->chunks, shop->tenant, digest_of(chunk), chunk, 0, &fault);
    if (err != ERR_FULL)
        return 3;
    if (count_files(shop, "new") != 0 || usage_of(shop, shop->tenant).bytes != 0)
        return 4;
    limit.rlim_cur = RLIM_INFINITY;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 5;
    if (chunks_put(shop->chunks, shop->tenant, digest_of(chunk), chunk, 0, &fault) != ERR_OK)
        return 6;
    free(bytes);
    return usage_of(shop, shop->tenant).bytes == 1024 * 1024 ? 0 : 7;
}

static void a_full_disk_leaves_nothing_behind(void **state)
{
    struct shop *shop = *state;
    pid_t child = fork();
    if (child == 0)
        _exit(put_on_a_full_disk(shop));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_kill_leaves_whole_chunks_only(void **state)
{
    struct shop *shop = *state;
    int pipes[2];
    chunks_close(shop->chunks);
    shop->chunks = NULL;
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        static char bytes[300000];
        open_chunks(shop);
        for (uint64_t i = 1;; i++) {
            memset(bytes, (int)i, sizeof bytes);
            memcpy(bytes, &i, sizeof i);
            struct slice chunk = slice_make(bytes, sizeof bytes);
            if (chunks_put(shop->chunks, shop->tenant, digest_of(chunk), chunk, 0, NULL) !=
                    ERR_OK ||
                write(pipes[1], &i, sizeof i) != sizeof i)
                _exit(3);
        }
    }
    close(pipes[1]);
    uint64_t put_count = 0, value = 0;
    for (int i = 0; i < 20; i++)
        assert_int_equal(read(pipes[0], &value, sizeof value), sizeof value);
    kill(child, SIGKILL);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    put_count = value;
    while (read(pipes[0], &value, sizeof value) == sizeof value)
        put_count = value;
    close(pipes[0]);
    open_chunks(shop);
    assert_int_equal(count_files(shop, "new"), 0); /* what was under way is gone */
    struct chunks_usage usage = usage_of(shop, shop->tenant);
    assert_in_range(usage.count, put_count, put_count + 1);
    assert_int_equal(usage.bytes, usage.count * 300000);
}

/* ---- sweeping ---- */

static void a_sweep_removes_what_is_neither_marked_nor_young(void **state)
{
    struct shop *shop = *state;
    struct chunk_marks *marks = NULL;
    struct chunks_swept swept = {0};
    struct digest marked = put(shop, shop->tenant, "marked", 0, ERR_OK);
    struct digest loose = put(shop, shop->tenant, "loose", 0, ERR_OK);
    put(shop, shop->other, "loose", 0, ERR_OK);
    assert_int_equal(chunk_marks_create(&marks), ERR_OK);
    assert_int_equal(chunk_marks_add(marks, digest_of(SLICE_LITERAL("unrelated"))), ERR_OK);
    assert_int_equal(chunk_marks_add(marks, marked), ERR_OK);
    struct clock clock = clock_system();
    struct wall_us now = clock_wall(&clock);
    /* both are young */
    assert_int_equal(chunks_sweep(shop->chunks, shop->tenant, marks, now, SPAN_S(3600), &swept),
                     ERR_OK);
    assert_int_equal(swept.count, 0);
    assert_int_equal(swept.kept_count, 2);
    /* two hours later one has just been asked for by an upload */
    now.us += INT64_C(7200000000);
    struct timespec times[2] = {{.tv_sec = now.us / 1000000}, {.tv_sec = now.us / 1000000}};
    char name[DIGEST_TEXT_MAX], tenant[ID_TEXT_MAX], path[512];
    digest_format(loose, name);
    id_format(shop->tenant.id, "tnt", tenant);
    snprintf(path, sizeof path, "%s/%s/%.2s/%s", shop->path, tenant, name, name);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_int_equal(chunks_sweep(shop->chunks, shop->tenant, marks, now, SPAN_S(3600), &swept),
                     ERR_OK);
    assert_int_equal(swept.count, 0);
    /* and later still it goes; the marked one and the other tenant's stay */
    now.us += INT64_C(7200000000);
    assert_int_equal(chunks_sweep(shop->chunks, shop->tenant, marks, now, SPAN_S(3600), &swept),
                     ERR_OK);
    assert_int_equal(swept.count, 1);
    assert_int_equal(swept.bytes, 5);
    bool missing[2];
    struct digest asked[] = {marked, loose};
    assert_int_equal(chunks_missing(shop->chunks, shop->tenant, asked, 2, missing), ERR_OK);
    assert_false(missing[0]);
    assert_true(missing[1]);
    assert_int_equal(usage_of(shop, shop->tenant).bytes, 6);
    assert_int_equal(usage_of(shop, shop->other).bytes, 5);
    chunk_marks_destroy(marks);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_keep_their_limits_and_average_a_mebibyte),
        cmocka_unit_test(the_cut_points_are_fixed_for_ever),
        cmocka_unit_test(an_insertion_changes_only_the_chunks_around_it),
        TEST(a_chunk_is_kept_once_for_its_tenant_and_for_no_other),
        TEST(bytes_under_a_false_hash_are_refused),
        TEST(a_chunk_damaged_on_disk_is_not_given_out),
        TEST(a_quota_is_never_passed),
        TEST(threads_that_put_the_same_chunks_count_them_once),
        TEST(a_store_keeps_its_jurisdiction_and_one_process_has_it),
        TEST(a_full_disk_leaves_nothing_behind),
        TEST(a_kill_leaves_whole_chunks_only),
        TEST(a_sweep_removes_what_is_neither_marked_nor_young),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
