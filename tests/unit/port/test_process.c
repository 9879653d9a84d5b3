#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "port/loop.h"
#include "port/process.h"
#include "port/stream.h"

struct fixture {
    struct loop *loop;
    struct process *process;
    struct stream *output;
    struct loop_timer guard;
    char text[1024];
    size_t text_len;
    struct process_exit result;
    bool has_exited, is_ended;
    bool is_killed_on_output;
};

static void on_guard(void *context)
{
    (void)context;
    fail_msg("the test took too long");
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_int_equal(loop_create(&fixture->loop), ERR_OK);
    loop_timer_init(&fixture->guard, fixture->loop, on_guard, fixture);
    loop_timer_set(&fixture->guard, SPAN_S(20));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    stream_close(fixture->output);
    process_destroy(fixture->process);
    loop_timer_stop(&fixture->guard);
    loop_destroy(fixture->loop);
    free(fixture);
    return 0;
}

static void stop_when_done(struct fixture *fixture)
{
    if (fixture->has_exited && (fixture->is_ended || fixture->output == NULL))
        loop_stop(fixture->loop);
}

static void on_exit_told(void *context, struct process_exit result)
{
    struct fixture *fixture = context;
    assert_false(fixture->has_exited);
    fixture->has_exited = true;
    fixture->result = result;
    stop_when_done(fixture);
}

static void on_output(void *context, struct slice bytes)
{
    struct fixture *fixture = context;
    assert_true(fixture->text_len + bytes.len < sizeof(fixture->text));
    memcpy(fixture->text + fixture->text_len, bytes.data, bytes.len);
    fixture->text_len += bytes.len;
    if (fixture->is_killed_on_output)
        assert_int_equal(process_kill_group(fixture->process, SIGKILL), ERR_OK);
}

static void on_output_end(void *context, enum err why)
{
    struct fixture *fixture = context;
    assert_int_equal(why, ERR_OK);
    fixture->is_ended = true;
    stop_when_done(fixture);
}

static const struct stream_events output_events = {.on_bytes = on_output, .on_end = on_output_end};

static void run(struct fixture *fixture, struct process_options *options)
{
    int fds[2];
    struct fault fault = {0};
    assert_int_equal(stream_pipe(fds), ERR_OK);
    const struct process_fd mapping[] = {{fds[1], 1}, {fds[1], 7}};
    options->fds = mapping;
    options->fd_count = 2;
    assert_int_equal(
        process_spawn(fixture->loop, options, &fault, on_exit_told, fixture, &fixture->process),
        ERR_OK);
    close(fds[1]);
    assert_int_equal(stream_from_fd(fixture->loop, fds[0], &fixture->output), ERR_OK);
    stream_listen(fixture->output, &output_events, fixture);
    assert_int_equal(stream_read_start(fixture->output), ERR_OK);
    assert_int_equal(loop_run(fixture->loop), ERR_OK);
}

static void a_child_gets_its_arguments_environment_folder_and_descriptors(void **state)
{
    struct fixture *fixture = *state;
    const char *const argv[] = {
        "/bin/sh",
        "-c",
        "echo \"$1|$NAME|$HOME|$(pwd)\"; echo seven >&7; ls /proc/self/fd | wc -l; exit 3",
        "sh",
        "a b;c",
        NULL};
    const char *const env[] = {"NAME=value", "PATH=/usr/bin:/bin", NULL};
    struct process_options options = {.argv = argv, .env = env, .cwd = "/usr"};
    run(fixture, &options);
    assert_int_equal(fixture->result.status, 3);
    assert_int_equal(fixture->result.signal, 0);
    /* 0, 1, 2, 7, and the folder that ls reads: nothing leaked */
    assert_string_equal(fixture->text, "a b;c|value||/usr\nseven\n5\n");
    assert_int_equal(process_kill(fixture->process, SIGKILL), ERR_NOT_FOUND);
}

static void killing_the_group_ends_grandchildren_too(void **state)
{
    struct fixture *fixture = *state;
    const char *const argv[] = {"/bin/sh", "-c", "sleep 1000 & sleep 1000 & echo up; wait", NULL};
    struct process_options options = {.argv = argv, .group = PROCESS_GROUP_NEW_SESSION};
    fixture->is_killed_on_output = true;
    run(fixture, &options); /* the pipe ends only when the last sleep is dead */
    assert_int_equal(fixture->result.signal, SIGKILL);
}

static void what_cannot_start_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct process *process;
    struct fault fault = {0};
    const char *const missing[] = {"/nonexistent/program", NULL};
    struct process_options options = {.argv = missing};
    assert_int_equal(
        process_spawn(fixture->loop, &options, &fault, on_exit_told, fixture, &process),
        ERR_NOT_FOUND);
    assert_non_null(strstr(fault.message, "/nonexistent/program"));
    const char *const folder[] = {"/etc", NULL};
    options.argv = folder;
    assert_int_equal(
        process_spawn(fixture->loop, &options, &fault, on_exit_told, fixture, &process),
        ERR_DENIED);
    const char *const fine[] = {"/bin/true", NULL};
    options.argv = fine;
    options.cwd = "/nonexistent";
    assert_int_equal(
        process_spawn(fixture->loop, &options, &fault, on_exit_told, fixture, &process),
        ERR_NOT_FOUND);
    const struct process_fd high = {0, PROCESS_FDS_MAX};
    options.cwd = NULL;
    options.fds = &high;
    options.fd_count = 1;
    assert_int_equal(
        process_spawn(fixture->loop, &options, &fault, on_exit_told, fixture, &process), ERR_LIMIT);
}

static void a_forgotten_child_lives_on_and_says_nothing(void **state)
{
    struct fixture *fixture = *state;
    const char *const argv[] = {"/bin/true", NULL};
    struct process_options options = {.argv = argv};
    assert_int_equal(
        process_spawn(fixture->loop, &options, NULL, on_exit_told, fixture, &fixture->process),
        ERR_OK);
    int64_t pid = process_pid(fixture->process);
    process_destroy(fixture->process);
    fixture->process = NULL;
    while (kill((pid_t)pid, 0) == 0) /* a zombie still answers: it ends when it has been reaped */
        loop_turn(fixture->loop);
    assert_false(fixture->has_exited);
}

static void the_descriptor_limit_can_be_raised_to_the_hard_one(void **state)
{
    (void)state;
    assert_int_equal(process_descriptors_raise(), ERR_OK);
    assert_true(process_descriptors_max() >= 1024);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_child_gets_its_arguments_environment_folder_and_descriptors),
        CASE(killing_the_group_ends_grandchildren_too),
        CASE(what_cannot_start_is_told),
        CASE(a_forgotten_child_lives_on_and_says_nothing),
        cmocka_unit_test(the_descriptor_limit_can_be_raised_to_the_hard_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
