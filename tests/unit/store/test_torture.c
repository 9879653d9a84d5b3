/* Every write and sync of a stretch of work fails once, in turn: what was told holds, and nothing
 * is half there. */
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flaky.h"
#include "port/file.h"
#include "store/journal.h"

enum { GROUPS = 12, GROUP_CHANGES = 3 };

static void open_flaky(struct scene *scene)
{
    struct store_config config = {
        .path = scene->path, .vfs = "flaky", .mode = STORE_WRITE, .is_exclusive = true};
    struct fault fault = {0};
    enum err err = store_db_open(&config, &scene->db, &fault);
    if (err)
        fail_msg("open: %s: %s", err_name(err), fault.message);
}

static int set_up(void **state)
{
    flaky_register();
    flaky = (struct flaky){.left = -1};
    return scene_set_up(state);
}

/* A group of three changes, each an event, an audit record and a job; the middle one is stale in
 * every other group. Returns what the store told; *seq moves on by what was committed. */
static enum err apply_group(struct scene *scene, uint64_t *seq, bool with_stale)
{
    struct change_op ops[GROUP_CHANGES][4];
    struct change changes[GROUP_CHANGES];
    const struct change *list[GROUP_CHANGES];
    struct change_result results[GROUP_CHANGES];
    static char body[9000];
    memset(body, 'x', sizeof body - 1);
    uint64_t next = *seq;
    for (size_t i = 0; i < GROUP_CHANGES; i++) {
        bool is_stale = with_stale && i == 1;
        uint64_t number = is_stale ? next + 1000 : ++next;
        ops[i][0] = op_event(number, 1);
        ops[i][1] = op_audit(number, (uint8_t)(number - 1), (uint8_t)number);
        ops[i][2] = op_job(scene_job(number, 1, JOB_PENDING));
        ops[i][3] = op_spec(number + 100000, body);
        changes[i] = (struct change){ops[i], 4};
        list[i] = &changes[i];
    }
    enum err err =
        store_db_apply(scene->db, list, GROUP_CHANGES, (struct wall_us){1}, results, NULL);
    for (size_t i = 0; i < GROUP_CHANGES; i++)
        assert_int_equal(results[i].err, err ? err : with_stale && i == 1 ? ERR_STALE : ERR_OK);
    if (!err)
        *seq = next;
    return err;
}

static uint64_t check_whole(struct scene *scene)
{
    struct store_meta meta;
    assert_int_equal(store_db_meta(scene->db, &meta), ERR_OK);
    struct store_query query = {.kind = STORE_JOB_COUNT, .job_count = {{.is_all = true}}};
    struct store_answer answer = scene_answer(scene, &query);
    assert_int_equal(answer.job_count.by_state[JOB_PENDING], meta.event_seq);
    assert_int_equal(meta.audit_seq, meta.event_seq);
    return meta.event_seq;
}

/* Returns whether the fault was met at all. */
static bool torture(struct scene *scene, long fail_at, bool is_full, bool is_lasting)
{
    uint64_t told = 0;
    open_flaky(scene);
    flaky = (struct flaky){.left = fail_at, .is_full = is_full, .is_lasting = is_lasting};
    size_t failures = 0;
    for (int i = 0; i < GROUPS; i++) {
        enum err err = apply_group(scene, &told, i % 2 == 1);
        if (err) {
            assert_true(err == ERR_FULL || err == ERR_IO);
            failures++;
            /* what can be read now is what was told */
            assert_int_equal(check_whole(scene), told);
        }
    }
    bool was_met = flaky.seen > fail_at;
    flaky = (struct flaky){.left = -1};
    /* room and a sound disk again: the same handle goes on */
    assert_int_equal(store_db_probe(scene->db, NULL), ERR_OK);
    assert_int_equal(apply_group(scene, &told, false), ERR_OK);
    assert_int_equal(check_whole(scene), told);
    scene_close(scene);
    open_flaky(scene);
    assert_int_equal(check_whole(scene), told);
    scene_close(scene);
    static const char *const parts[] = {"", "-wal"};
    for (size_t i = 0; i < 2; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s%s", scene->path, parts[i]);
        enum err err = file_remove(path, NULL);
        assert_true(err == ERR_OK || err == ERR_NOT_FOUND);
    }
    return was_met;
}

static void torture_all(struct scene *scene, bool is_full, bool is_lasting)
{
    scene_close(scene);
    assert_int_equal(file_remove(scene->path, NULL), ERR_OK);
    long at = 0;
    while (torture(scene, at, is_full, is_lasting))
        at++;
    assert_true(at > 50);
}

static void one_failed_write_or_sync_loses_nothing_that_was_told(void **state)
{
    torture_all(*state, false, false);
}

static void one_refused_write_loses_nothing_that_was_told(void **state)
{
    torture_all(*state, true, false);
}

static void a_disk_that_stays_full_loses_nothing_that_was_told(void **state)
{
    torture_all(*state, true, true);
}

static void the_journal_stands_the_same(void **state)
{
    struct scene *scene = *state;
    char path[160];
    bool was_met = true;
    for (long at = 0; was_met; at++) {
        snprintf(path, sizeof path, "%s/journal-%ld.db", scene->folder, at);
        struct journal_config config = {.path = path, .vfs = "flaky", .is_exclusive = true};
        struct journal *journal = NULL;
        assert_int_equal(journal_open(&config, &journal, NULL), ERR_OK);
        flaky = (struct flaky){.left = at};
        uint64_t told = 0;
        for (int i = 0; i < 10; i++) {
            struct journal_op ops[] = {
                {.kind = JOURNAL_META_SET, .meta = {.id = {scene_id(1)}, .usage_seq = told + 1}},
                {.kind = JOURNAL_USAGE_APPEND, .usage = scene_usage(1, 1, told + 1, 1, 5)}};
            struct journal_change change = {ops, 2};
            const struct journal_change *list[] = {&change};
            struct change_result result;
            enum err err = journal_apply(journal, list, 1, &result, NULL);
            assert_int_equal(result.err, err);
            told += err == ERR_OK;
        }
        was_met = flaky.seen > at;
        flaky = (struct flaky){.left = -1};
        journal_close(journal);
        assert_int_equal(journal_open(&config, &journal, NULL), ERR_OK);
        const struct usage_record *records = NULL;
        size_t count = 0;
        arena_reset(&scene->arena);
        assert_int_equal(journal_usage_read(journal, 0, 256, &scene->arena, &records, &count),
                         ERR_OK);
        assert_int_equal(count, told);
        journal_close(journal);
        assert_true(at > 10 || was_met);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, scene_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(one_failed_write_or_sync_loses_nothing_that_was_told),
        TEST(one_refused_write_loses_nothing_that_was_told),
        TEST(a_disk_that_stays_full_loses_nothing_that_was_told),
        TEST(the_journal_stands_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
