/* What is told as committed is there after the process dies at any moment; a full disk leaves
 * nothing half. */
#include "scene.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/file.h"

enum { ROUNDS = 12, FULL_BYTES = 600 * 1024 };

/* Writes changes of one job, one event and one audit record each, and tells each committed one
 * through the pipe. */
static void write_for_ever(const char *path, int pipe_fd, uint64_t seq)
{
    struct store_db *db = NULL;
    struct store_config config = {.path = path, .mode = STORE_WRITE};
    if (store_db_open(&config, &db, NULL) != ERR_OK)
        _exit(2);
    for (;; seq++) {
        struct change_op ops[] = {op_epoch(1), op_job(scene_job(seq, 1, JOB_PENDING)),
                                  op_event(seq, 1),
                                  op_audit(seq, (uint8_t)(seq - 1), (uint8_t)seq)};
        struct change change = {ops, 4};
        const struct change *list[] = {&change};
        struct change_result result;
        if (store_db_apply(db, list, 1, (struct wall_us){1}, &result, NULL) != ERR_OK ||
            result.err != ERR_OK)
            _exit(3);
        if (write(pipe_fd, &seq, sizeof seq) != sizeof seq)
            _exit(4);
    }
}

static uint64_t last_told(int pipe_fd, uint64_t before)
{
    uint64_t seq = before, value;
    while (read(pipe_fd, &value, sizeof value) == sizeof value)
        seq = value;
    return seq;
}

static void what_was_told_as_committed_survives_a_kill_at_any_moment(void **state)
{
    struct scene *scene = *state;
    uint64_t told = 0;
    scene_close(scene);
    for (int round = 0; round < ROUNDS; round++) {
        int pipes[2];
        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        uint64_t first = told + 1;
        pid_t child = fork();
        if (child == 0)
            write_for_ever(scene->path, pipes[1], first);
        close(pipes[1]);
        /* let it get somewhere else each time, then kill it in the middle of whatever it does */
        uint64_t value = 0;
        for (int i = 0; i < 5 + 13 * round; i++)
            assert_int_equal(read(pipes[0], &value, sizeof value), sizeof value);
        kill(child, SIGKILL);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        told = last_told(pipes[0], value);
        close(pipes[0]);
        scene_open(scene);
        struct store_meta meta;
        assert_int_equal(store_db_meta(scene->db, &meta), ERR_OK);
        /* the one under way may be there too, whole */
        assert_in_range(meta.event_seq, told, told + 1);
        assert_int_equal(meta.audit_seq, meta.event_seq);
        struct store_query query = {.kind = STORE_JOB_COUNT, .job_count = {{.is_all = true}}};
        struct store_answer answer = scene_answer(scene, &query);
        assert_int_equal(answer.job_count.by_state[JOB_PENDING], meta.event_seq);
        told = meta.event_seq;
        scene_close(scene);
    }
}

/* In a child: a limit on the size of files stands for a disk that is full. */
static int fill_up(struct scene *scene)
{
    struct rlimit limit = {FULL_BYTES, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 2;
    scene_open(scene);
    static char body[20000];
    memset(body, 'x', sizeof body - 1);
    struct change_result results[2];
    uint64_t seq = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK && seq < 1000) {
        struct change_op ops[] = {op_spec(2 * seq + 10, body), op_event(2 * seq + 1, 1)};
        struct change_op more[] = {op_spec(2 * seq + 11, body), op_event(2 * seq + 2, 1)};
        struct change changes[] = {{ops, 2}, {more, 2}};
        const struct change *list[] = {&changes[0], &changes[1]};
        err = store_db_apply(scene->db, list, 2, (struct wall_us){1}, results, NULL);
        seq += err == ERR_OK;
    }
    if (err != ERR_FULL || results[0].err != ERR_FULL || results[1].err != ERR_FULL)
        return 3;
    struct store_meta meta;
    if (store_db_meta(scene->db, &meta) != ERR_OK || meta.event_seq != 2 * seq)
        return 4;
    if (store_db_probe(scene->db, NULL) != ERR_FULL)
        return 5;
    /* what is there can still be read */
    struct store_query query = {.kind = STORE_EVENT_LIST,
                                .event_list = {{.is_all = true}, 2 * seq - 1, 10}};
    struct store_answer answer;
    if (scene_ask(scene, &query, &answer) != ERR_OK || answer.count != 1)
        return 6;
    /* room again: the same database goes on */
    limit.rlim_cur = RLIM_INFINITY;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 7;
    if (store_db_probe(scene->db, NULL) != ERR_OK)
        return 8;
    scene_add(scene, op_event(2 * seq + 1, 1));
    if (scene_apply(scene).err != ERR_OK)
        return 9;
    scene_close(scene);
    scene_open(scene);
    if (store_db_meta(scene->db, &meta) != ERR_OK || meta.event_seq != 2 * seq + 1)
        return 10;
    scene_close(scene);
    return 0;
}

static void a_full_disk_fails_the_group_whole_and_writing_goes_on_when_there_is_room(void **state)
{
    struct scene *scene = *state;
    scene_close(scene);
    pid_t child = fork();
    if (child == 0)
        _exit(fill_up(scene));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void damage_is_told_and_not_read_as_data(void **state)
{
    struct scene *scene = *state;
    for (uint64_t i = 1; i <= 2000; i++)
        scene_add(scene, op_job(scene_job(i, 1, JOB_PENDING)));
    scene_apply_ok(scene);
    scene_close(scene);
    int fd = -1;
    uint64_t size = 0;
    static char rubbish[4096 * 8];
    memset(rubbish, 0xa5, sizeof rubbish);
    assert_int_equal(file_open(scene->path, FILE_OPEN_READ_WRITE, 0, NULL, &fd), ERR_OK);
    assert_int_equal(file_size(fd, &size), ERR_OK);
    for (uint64_t at = 4096; at < size; at += sizeof rubbish)
        assert_int_equal(file_write_at(fd, at, slice_make(rubbish, sizeof rubbish)), ERR_OK);
    file_close(fd);
    struct store_config config = {.path = scene->path, .mode = STORE_WRITE};
    enum err err = store_db_open(&config, &scene->db, NULL);
    if (!err) {
        struct store_load_sink sink = {0};
        struct store_query query = {.kind = STORE_JOB_GET, .job_get = {{scene_id(7)}}};
        struct store_answer answer;
        err = store_db_load(scene->db, &sink, NULL);
        if (!err)
            err = scene_ask(scene, &query, &answer);
    }
    assert_int_equal(err, ERR_CORRUPT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_told_as_committed_survives_a_kill_at_any_moment),
        TEST(a_full_disk_fails_the_group_whole_and_writing_goes_on_when_there_is_room),
        TEST(damage_is_told_and_not_read_as_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
