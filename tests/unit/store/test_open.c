/* Opening, locking, migrating, backing up and putting back. */
#include "scene.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/file.h"
#include "store/backup.h"
#include "store/sql.h"

static enum err try_open(const char *path, enum store_mode mode, struct store_db **out,
                         struct fault *fault)
{
    struct store_config config = {.path = path, .mode = mode};
    return store_db_open(&config, out, fault);
}

static void a_second_writer_is_refused_in_plain_words(void **state)
{
    struct scene *scene = *state;
    /* another process, as it would be */
    pid_t child = fork();
    if (child == 0) {
        struct store_db *db = NULL;
        struct fault fault = {0};
        enum err err = try_open(scene->path, STORE_WRITE, &db, &fault);
        _exit(err == ERR_BUSY && strstr(fault.message, "another process") ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void readers_see_what_the_writer_has_committed(void **state)
{
    struct scene *scene = *state;
    struct store_db *reader = NULL;
    assert_int_equal(try_open(scene->path, STORE_READ, &reader, NULL), ERR_OK);
    scene_add(scene, op_job(scene_job(1, 1, JOB_PENDING)));
    scene_apply_ok(scene);
    struct store_query query = {.kind = STORE_JOB_GET, .job_get = {{scene_id(1)}}};
    struct store_answer answer;
    assert_int_equal(store_db_query(reader, &query, &scene->arena, &answer, NULL), ERR_OK);
    store_db_close(reader);
}

static void a_database_that_is_not_there_is_not_made_by_reading(void **state)
{
    struct scene *scene = *state;
    char path[256];
    struct store_db *db = NULL;
    snprintf(path, sizeof path, "%s/none.db", scene->folder);
    assert_int_equal(try_open(path, STORE_READ, &db, NULL), ERR_NOT_FOUND);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void a_newer_schema_is_refused(void **state)
{
    struct scene *scene = *state;
    scene_close(scene);
    struct sql sql;
    struct fault fault = {0};
    struct sql_config raw = {.path = scene->path};
    assert_int_equal(sql_open(&sql, &raw, NULL), ERR_OK);
    assert_int_equal(sql_exec(&sql, "INSERT INTO schema_migration VALUES(99,'future')", NULL),
                     ERR_OK);
    sql_close(&sql);
    struct store_db *db = NULL;
    assert_int_equal(try_open(scene->path, STORE_WRITE, &db, &fault), ERR_UNSUPPORTED);
    assert_non_null(strstr(fault.message, "newer"));
    assert_int_equal(try_open(scene->path, STORE_READ, &db, NULL), ERR_UNSUPPORTED);
}

static void a_file_of_another_kind_is_refused_and_left_alone(void **state)
{
    struct scene *scene = *state;
    char path[256];
    struct store_db *db = NULL;
    struct slice text = SLICE_LITERAL("this is no database, and it is longer than a header is; "
                                      "so that nobody takes it for an empty one by mistake.....");
    snprintf(path, sizeof path, "%s/letter.txt", scene->folder);
    assert_int_equal(file_write_atomic(path, text, 0600, NULL), ERR_OK);
    assert_int_equal(try_open(path, STORE_WRITE, &db, NULL), ERR_CORRUPT);
    struct slice back;
    assert_int_equal(file_read(path, 4096, &scene->arena, NULL, &back), ERR_OK);
    assert_true(slice_is_equal(back, text));
    /* somebody else's database */
    snprintf(path, sizeof path, "%s/other.db", scene->folder);
    struct sql sql;
    struct sql_config raw = {.path = path};
    assert_int_equal(sql_open(&sql, &raw, NULL), ERR_OK);
    assert_int_equal(sql_exec(&sql, "CREATE TABLE t(a)", NULL), ERR_OK);
    sql_close(&sql);
    assert_int_equal(try_open(path, STORE_WRITE, &db, NULL), ERR_INVALID);
}

static const struct sql_migration STEPS[] = {
    {1, "first", "CREATE TABLE a(x); INSERT INTO a VALUES(1)"},
    {2, "second", "ALTER TABLE a ADD COLUMN y DEFAULT 7"},
    {3, "third", "CREATE TABLE b(z); INSERT INTO nowhere VALUES(1)"},
};

static void migrations_run_once_each_and_a_broken_one_leaves_no_half(void **state)
{
    struct scene *scene = *state;
    char path[256];
    int64_t value = 0;
    snprintf(path, sizeof path, "%s/steps.db", scene->folder);
    struct sql_schema schema = {.application = 5, .what = "test", .migrations = STEPS, .count = 1};
    struct sql_config config = {.path = path, .schema = &schema};
    struct sql sql;
    assert_int_equal(sql_open(&sql, &config, NULL), ERR_OK);
    sql_close(&sql);
    schema.count = 2;
    for (int i = 0; i < 2; i++) { /* the second time there is nothing to do */
        assert_int_equal(sql_open(&sql, &config, NULL), ERR_OK);
        assert_int_equal(sql_exec_i64(&sql, "SELECT y FROM a WHERE x=1", &value, NULL), ERR_OK);
        assert_int_equal(value, 7);
        sql_close(&sql);
    }
    schema.count = 3;
    assert_int_not_equal(sql_open(&sql, &config, NULL), ERR_OK);
    schema.count = 2;
    assert_int_equal(sql_open(&sql, &config, NULL), ERR_OK);
    assert_int_equal(sql_exec_i64(&sql, "SELECT max(version) FROM schema_migration", &value, NULL),
                     ERR_OK);
    assert_int_equal(value, 2);
    assert_int_equal(
        sql_exec_i64(&sql, "SELECT count(*) FROM sqlite_schema WHERE name='b'", &value, NULL),
        ERR_OK);
    assert_int_equal(value, 0);
    sql_close(&sql);
}

static void a_database_works_without_shared_memory(void **state)
{
    struct scene *scene = *state;
    char path[256], shm[300];
    snprintf(path, sizeof path, "%s/alone.db", scene->folder);
    snprintf(shm, sizeof shm, "%s-shm", path);
    struct store_config config = {
        .path = path, .vfs = "unix", .mode = STORE_WRITE, .is_exclusive = true};
    scene_close(scene);
    assert_int_equal(store_db_open(&config, &scene->db, NULL), ERR_OK);
    scene_add(scene, op_job(scene_job(1, 1, JOB_PENDING)));
    scene_apply_ok(scene);
    struct store_query query = {.kind = STORE_JOB_GET, .job_get = {{scene_id(1)}}};
    assert_int_equal(scene_answer(scene, &query).count, 1);
    assert_int_not_equal(access(shm, F_OK), 0);
}

static uint64_t epoch_of(struct scene *scene, bool *out_restored)
{
    struct store_meta meta;
    assert_int_equal(store_db_meta(scene->db, &meta), ERR_OK);
    *out_restored = meta.is_restored;
    return meta.db_epoch;
}

static void a_backup_made_under_writes_shows_one_moment(void **state)
{
    struct scene *scene = *state;
    char path[256];
    struct store_backup *backup = NULL;
    struct fault fault = {0};
    uint32_t left = 1;
    snprintf(path, sizeof path, "%s/backup.db", scene->folder);
    for (uint64_t i = 1; i <= 2000; i++)
        scene_add(scene, op_job(scene_job(i, 1, JOB_PENDING)));
    scene_apply_ok(scene);
    assert_int_equal(store_backup_begin(scene->path, path, &backup, &fault), ERR_OK);
    uint64_t next = 3000;
    int steps = 0;
    while (left > 0) {
        assert_int_equal(store_backup_step(backup, 8, &left, &fault), ERR_OK);
        scene_add(scene, op_job(scene_job(next++, 1, JOB_PENDING)));
        scene_apply_ok(scene);
        assert_true(++steps < 1000);
    }
    store_backup_end(backup);
    assert_true(steps > 5);
    assert_int_equal(store_backup_begin(scene->path, path, &backup, &fault), ERR_EXISTS);
    struct store_db *copy = NULL;
    assert_int_equal(try_open(path, STORE_WRITE, &copy, &fault), ERR_OK);
    struct store_query query = {.kind = STORE_JOB_COUNT, .job_count = {{.is_all = true}}};
    struct store_answer answer;
    assert_int_equal(store_db_query(copy, &query, &scene->arena, &answer, NULL), ERR_OK);
    assert_int_equal(answer.job_count.by_state[JOB_PENDING], 2000);
    store_db_close(copy);
}

static void back_up(struct scene *scene, const char *path)
{
    struct store_backup *backup = NULL;
    uint32_t left = 1;
    assert_int_equal(store_backup_begin(scene->path, path, &backup, NULL), ERR_OK);
    while (left > 0)
        assert_int_equal(store_backup_step(backup, 0, &left, NULL), ERR_OK);
    store_backup_end(backup);
}

static void a_restored_database_is_marked_and_keeps_the_higher_epoch(void **state)
{
    struct scene *scene = *state;
    char path[256], aside[256];
    bool is_restored = false;
    struct fault fault = {0};
    snprintf(path, sizeof path, "%s/backup.db", scene->folder);
    snprintf(aside, sizeof aside, "%s.before-restore-1", scene->path);
    scene_add(scene, op_job(scene_job(1, 1, JOB_PENDING)));
    scene_apply_ok(scene);
    back_up(scene, path);
    /* life goes on: the epoch rises to 3, another job comes */
    for (uint64_t epoch = 1; epoch < 3; epoch++) {
        scene_add(scene, (struct change_op){.kind = CHANGE_EPOCH_RAISE, .epoch = {epoch}});
        scene_apply_ok(scene);
    }
    scene_add(scene, op_job(scene_job(2, 1, JOB_PENDING)));
    scene_apply_ok(scene);
    assert_int_equal(store_restore(path, scene->path, &fault), ERR_BUSY);
    scene_close(scene);
    assert_int_equal(store_restore(path, scene->path, &fault), ERR_OK);
    scene_open(scene);
    assert_int_equal(epoch_of(scene, &is_restored), 3);
    assert_true(is_restored);
    struct store_query query = {.kind = STORE_JOB_COUNT, .job_count = {{.is_all = true}}};
    assert_int_equal(scene_answer(scene, &query).job_count.by_state[JOB_PENDING], 1);
    scene_add(scene, (struct change_op){.kind = CHANGE_EPOCH_RAISE, .epoch = {3}});
    scene_apply_ok(scene);
    assert_int_equal(epoch_of(scene, &is_restored), 4);
    assert_false(is_restored);
    assert_int_equal(access(aside, F_OK), 0);
    scene_close(scene);
    /* what is no backup changes nothing */
    assert_int_equal(file_write_atomic(path,
                                       SLICE_LITERAL("rubbish that is long enough to be read as "
                                                     "the header of a database file, is it not, "
                                                     "so here it is"),
                                       0600, NULL),
                     ERR_OK);
    assert_int_equal(store_restore(path, scene->path, &fault), ERR_CORRUPT);
    scene_open(scene);
    assert_int_equal(epoch_of(scene, &is_restored), 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_second_writer_is_refused_in_plain_words),
        TEST(readers_see_what_the_writer_has_committed),
        TEST(a_database_that_is_not_there_is_not_made_by_reading),
        TEST(a_newer_schema_is_refused),
        TEST(a_file_of_another_kind_is_refused_and_left_alone),
        TEST(migrations_run_once_each_and_a_broken_one_leaves_no_half),
        TEST(a_database_works_without_shared_memory),
        TEST(a_backup_made_under_writes_shows_one_moment),
        TEST(a_restored_database_is_marked_and_keeps_the_higher_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
