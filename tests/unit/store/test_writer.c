/* The writing thread and the reading threads. */
#include "scene.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/loop.h"
#include "store/journal.h"
#include "store/reader.h"
#include "store/writer.h"

enum { CHANGES = 3000, QUEUE = 64 };

struct bench {
    struct scene *scene;
    struct loop *loop;
    struct store_writer *writer;
    struct store_reader *reader;
    struct change changes[CHANGES];
    struct change_op ops[CHANGES][2];
    size_t submitted, completed, stale, failed;
    uint64_t last_completed;
    uint64_t seen; /* jobs a reader has counted */
    int replies;
};

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    void *scene = NULL;
    if (scene_set_up(&scene) != 0)
        return -1;
    bench->scene = scene;
    assert_int_equal(loop_create(&bench->loop), ERR_OK);
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    store_reader_destroy(bench->reader);
    store_writer_destroy(bench->writer);
    loop_destroy(bench->loop);
    void *scene = bench->scene;
    free(bench);
    return scene_tear_down(&scene);
}

static void create_writer(struct bench *bench)
{
    assert_int_equal(
        store_writer_create(bench->loop, bench->scene->db, clock_system(), QUEUE, &bench->writer),
        ERR_OK);
}

static void on_complete(void *context, const struct change_result *result);

/* Each change inserts the job and the event of its number; every tenth names a wrong epoch. */
static void submit_all(struct bench *bench)
{
    while (bench->submitted < CHANGES) {
        size_t i = bench->submitted;
        bench->ops[i][0] = op_epoch(i % 10 == 9 ? 77 : 1);
        bench->ops[i][1] = op_job(scene_job(i + 1, 1, JOB_PENDING));
        bench->changes[i] = (struct change){bench->ops[i], 2};
        enum err err = store_writer_submit(bench->writer, &bench->changes[i], on_complete, bench);
        if (err == ERR_BUSY) {
            assert_int_equal(store_writer_load(bench->writer), QUEUE);
            return;
        }
        assert_int_equal(err, ERR_OK);
        bench->submitted++;
    }
}

static void on_complete(void *context, const struct change_result *result)
{
    struct bench *bench = context;
    size_t i = bench->completed++;
    /* in order, and each with its own answer */
    assert_int_equal(result->err, i % 10 == 9 ? ERR_STALE : ERR_OK);
    bench->stale += result->err == ERR_STALE;
    submit_all(bench);
    if (bench->completed == CHANGES)
        loop_stop(bench->loop);
}

static void changes_complete_in_order_in_groups_within_the_queues_limit(void **state)
{
    struct bench *bench = *state;
    create_writer(bench);
    submit_all(bench);
    assert_int_equal(loop_run(bench->loop), ERR_OK);
    assert_int_equal(bench->completed, CHANGES);
    assert_int_equal(bench->stale, CHANGES / 10);
    struct store_writer_stats stats = store_writer_stats(bench->writer);
    assert_int_equal(stats.changes, CHANGES - CHANGES / 10);
    assert_int_equal(stats.stale, CHANGES / 10);
    assert_true(stats.group_changes_max > 1);
    assert_true(stats.groups < CHANGES / 2);
    store_writer_destroy(bench->writer);
    bench->writer = NULL;
    struct store_query query = {.kind = STORE_JOB_COUNT, .job_count = {{.is_all = true}}};
    struct store_answer answer = scene_answer(bench->scene, &query);
    assert_int_equal(answer.job_count.by_state[JOB_PENDING], CHANGES - CHANGES / 10);
}

static void count_complete(void *context, const struct change_result *result)
{
    struct bench *bench = context;
    assert_int_equal(result->err, ERR_OK);
    bench->completed++;
}

static void destroying_writes_and_completes_what_was_queued(void **state)
{
    struct bench *bench = *state;
    create_writer(bench);
    for (size_t i = 0; i < QUEUE; i++) {
        bench->ops[i][0] = op_job(scene_job(i + 1, 1, JOB_PENDING));
        bench->changes[i] = (struct change){bench->ops[i], 1};
        assert_int_equal(
            store_writer_submit(bench->writer, &bench->changes[i], count_complete, bench), ERR_OK);
    }
    store_writer_destroy(bench->writer);
    bench->writer = NULL;
    assert_int_equal(bench->completed, QUEUE);
}

/* ---- failure ---- */

static char big[60000];

static void on_failing(void *context, const struct change_result *result)
{
    struct bench *bench = context;
    /* once one has failed, none after it may succeed */
    if (result->err == ERR_OK && bench->failed > 0)
        _exit(20);
    bench->completed++;
    bench->failed += result->err == ERR_FULL;
    bench->last_completed = result->err == ERR_OK ? bench->completed : bench->last_completed;
    if (bench->completed == bench->submitted)
        loop_stop(bench->loop);
}

/* In a child, with a limit on file sizes as the full disk. */
static int halt_and_go_on(struct bench *bench)
{
    struct rlimit limit = {1500 * 1024, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 2;
    create_writer(bench);
    memset(big, 'x', sizeof big - 1);
    for (size_t i = 0; i < QUEUE; i++) {
        bench->ops[i][0] = op_spec(i + 1, big);
        bench->ops[i][1] = op_event(i + 1, 1);
        bench->changes[i] = (struct change){bench->ops[i], 2};
        if (store_writer_submit(bench->writer, &bench->changes[i], on_failing, bench) != ERR_OK)
            return 3;
        bench->submitted++;
    }
    if (loop_run(bench->loop) != ERR_OK || bench->failed == 0)
        return 4;
    if (store_writer_submit(bench->writer, &bench->changes[0], on_failing, bench) != ERR_CLOSED)
        return 5;
    store_writer_destroy(bench->writer);
    bench->writer = NULL;
    limit.rlim_cur = RLIM_INFINITY;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0 || store_db_probe(bench->scene->db, NULL) != ERR_OK)
        return 7;
    struct store_meta meta;
    if (store_db_meta(bench->scene->db, &meta) != ERR_OK || meta.event_seq != bench->last_completed)
        return 8;
    /* a new writer goes on from what is durable */
    create_writer(bench);
    bench->failed = 0;
    bench->submitted++;
    bench->ops[0][0] = op_event(meta.event_seq + 1, 1);
    bench->changes[0] = (struct change){bench->ops[0], 1};
    if (store_writer_submit(bench->writer, &bench->changes[0], on_failing, bench) != ERR_OK ||
        loop_run(bench->loop) != ERR_OK || bench->failed != 0)
        return 9;
    return 0;
}

static void a_failed_group_halts_the_writer_until_it_is_made_anew(void **state)
{
    struct bench *bench = *state;
    scene_close(bench->scene);
    loop_destroy(bench->loop);
    bench->loop = NULL;
    pid_t child = fork();
    if (child == 0) {
        scene_open(bench->scene);
        if (loop_create(&bench->loop) != ERR_OK)
            _exit(1);
        _exit(halt_and_go_on(bench));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- reading ---- */

static void on_reply(void *context, struct store_reply *reply)
{
    struct bench *bench = context;
    assert_int_equal(reply->err, ERR_OK);
    assert_true(reply->answer.count == 1);
    assert_true(slice_is(reply->answer.jobs[0].name, "deep-thought"));
    bench->seen += reply->answer.count;
    store_reply_free(reply);
    if (++bench->replies == 20)
        loop_stop(bench->loop);
}

static void on_missing(void *context, struct store_reply *reply)
{
    struct bench *bench = context;
    assert_int_equal(reply->err, ERR_NOT_FOUND);
    store_reply_free(reply);
    bench->replies++;
    loop_stop(bench->loop);
}

static void readers_answer_from_threads_of_their_own(void **state)
{
    struct bench *bench = *state;
    struct scene *scene = bench->scene;
    struct store_config config = {.path = scene->path};
    scene_add(scene, op_spec(1, "{\"name\":\"deep-thought\"}"));
    scene_add(scene, op_job(scene_job(5, 3, JOB_PENDING)));
    scene_apply_ok(scene);
    assert_int_equal(store_reader_create(bench->loop, &config, 2, &bench->reader, NULL), ERR_OK);
    for (int i = 0; i < 20; i++) {
        /* the query is copied: what it pointed to may go */
        char part[] = "thought";
        struct tenant_id tenant = {scene_id(3)};
        struct store_query query = {.kind = STORE_JOB_LIST,
                                    .job_list = {.tenants = {.ids = &tenant, .count = 1},
                                                 .name = slice_of(part),
                                                 .limit = 10}};
        assert_int_equal(store_reader_submit(bench->reader, &query, on_reply, bench), ERR_OK);
        memset(part, 'z', sizeof part - 1);
        memset(&tenant, 0, sizeof tenant);
    }
    assert_int_equal(loop_run(bench->loop), ERR_OK);
    assert_int_equal(bench->seen, 20);
    struct store_query query = {.kind = STORE_SPEC_GET, .spec_get = {{scene_id(99)}}};
    assert_int_equal(store_reader_submit(bench->reader, &query, on_missing, bench), ERR_OK);
    assert_int_equal(loop_run(bench->loop), ERR_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(changes_complete_in_order_in_groups_within_the_queues_limit),
        TEST(destroying_writes_and_completes_what_was_queued),
        TEST(a_failed_group_halts_the_writer_until_it_is_made_anew),
        TEST(readers_answer_from_threads_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
