#include "cli/daemon.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "cli/api.h"
#include "port/file.h"
#include "port/loop.h"
#include "port/stream.h"

enum { LOG_TAIL_BYTES = 1500, KILL_WAIT_MS = 5000, STEP_MS = 50 };

static void changed(struct daemon *daemon)
{
    if (daemon->is_awaited)
        loop_stop(daemon->cli->loop);
}

static void daemon_exited(void *context, struct process_exit result)
{
    struct daemon *daemon = context;
    daemon->has_exited = true;
    daemon->result = result;
    changed(daemon);
}

static void on_bytes(void *context, struct slice bytes)
{
    struct daemon *daemon = context;
    size_t room = sizeof(daemon->ready) - 1 - daemon->ready_len;
    size_t len = bytes.len < room ? bytes.len : room;
    memcpy(daemon->ready + daemon->ready_len, bytes.data, len);
    daemon->ready_len += len;
    char *end = memchr(daemon->ready, '\n', daemon->ready_len);
    if (end == NULL || daemon->is_ready)
        return;
    static const char WORD[] = "ready ";
    *end = 0;
    if (strncmp(daemon->ready, WORD, sizeof(WORD) - 1) == 0)
        memmove(daemon->ready, daemon->ready + sizeof(WORD) - 1,
                strlen(daemon->ready) - sizeof(WORD) + 2);
    daemon->is_ready = true;
    changed(daemon);
}

static void on_end(void *context, enum err why)
{
    (void)context;
    (void)why;
}

static const struct stream_events PIPE_EVENTS = {.on_bytes = on_bytes, .on_end = on_end};

/* What a daemon needs of our environment; tokens and the like stay here. */
static void environment(const char **env, size_t max)
{
    static const char *const NAMES[] = {"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "USER"};
    extern char **environ;
    size_t count = 0;
    for (char **at = environ; *at != NULL; at++)
        for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]) && count + 1 < max; i++) {
            size_t len = strlen(NAMES[i]);
            if (strncmp(*at, NAMES[i], len) == 0 && (*at)[len] == '=')
                env[count++] = *at;
        }
    env[count] = NULL;
}

int daemon_start(struct daemon *daemon, struct cli *cli, const char *name, const char *log_path,
                 const char *const *argv)
{
    enum { ENV_MAX = 16 };
    const char *env[ENV_MAX];
    struct fault fault = {0};
    int fds[2], log = -1;
    *daemon = (struct daemon){.cli = cli, .name = name, .log_path = log_path};
    int code = cli_loop(cli);
    if (code != EXIT_DONE)
        return code;
    if (stream_pipe(fds) != ERR_OK)
        return cli_fail(cli, EXIT_FAILED, "%s: no pipe", name);
    enum err err = file_open(log_path, FILE_OPEN_APPEND, 0600, &fault, &log);
    environment(env, ENV_MAX);
    const struct process_fd inherited[] = {{log, 1}, {log, 2}, {fds[1], DAEMON_READY_FD}};
    const struct process_options options = {.argv = argv,
                                            .env = env,
                                            .fds = inherited,
                                            .fd_count = sizeof(inherited) / sizeof(inherited[0]),
                                            .group = PROCESS_GROUP_NEW_SESSION};
    if (err == ERR_OK)
        err = process_spawn(cli->loop, &options, &fault, daemon_exited, daemon, &daemon->process);
    file_close(log);
    file_close(fds[1]);
    if (err == ERR_OK)
        err = stream_from_fd(cli->loop, fds[0], &daemon->pipe);
    if (err != ERR_OK) {
        file_close(fds[0]);
        daemon_kill(daemon);
        return cli_fail_fault(cli, EXIT_FAILED, name, &fault);
    }
    stream_listen(daemon->pipe, &PIPE_EVENTS, daemon);
    err = stream_read_start(daemon->pipe);
    daemon->is_wanted = true;
    return err == ERR_OK ? EXIT_DONE : cli_fail(cli, EXIT_FAILED, "%s: %s", name, err_name(err));
}

void daemon_log_tell(const struct daemon *daemon)
{
    struct arena arena;
    struct slice text;
    arena_init(&arena, CLI_ARENA_BYTES_MAX);
    if (file_read(daemon->log_path, CLI_ARENA_BYTES_MAX / 2, &arena, NULL, &text) == ERR_OK) {
        if (text.len > LOG_TAIL_BYTES) {
            text.data += text.len - LOG_TAIL_BYTES;
            text.len = LOG_TAIL_BYTES;
        }
        text = cli_safe_lines(daemon->cli, text);
        fprintf(stderr, "%.*s%s", SLICE_ARG(text),
                text.len > 0 && text.data[text.len - 1] != '\n' ? "\n" : "");
    }
    arena_deinit(&arena);
}

int daemon_wait_ready(struct daemon *daemon, struct span_ms within, bool is_quiet)
{
    struct boot_ns until = boot_add(loop_now(daemon->cli->loop).boot, within);
    daemon->is_awaited = true;
    while (!daemon->is_ready && !daemon->has_exited) {
        struct span_ms left = boot_since(until, loop_now(daemon->cli->loop).boot);
        if (left.ms <= 0)
            break;
        cli_pause(daemon->cli, left);
    }
    daemon->is_awaited = false;
    if (daemon->is_ready && !daemon->has_exited)
        return EXIT_DONE;
    daemon->is_wanted = false;
    if (is_quiet)
        return EXIT_FAILED;
    daemon_log_tell(daemon);
    return daemon->has_exited
               ? cli_fail(daemon->cli, EXIT_FAILED, "%s ended before it was ready; see %s",
                          daemon->name, daemon->log_path)
               : cli_fail(daemon->cli, EXIT_FAILED, "%s is not ready after %lld s; see %s",
                          daemon->name, (long long)within.ms / 1000, daemon->log_path);
}

static bool wait_end(struct daemon *daemon, struct span_ms within)
{
    struct boot_ns until = boot_add(loop_now(daemon->cli->loop).boot, within);
    daemon->is_awaited = true;
    while (!daemon->has_exited) {
        struct span_ms left = boot_since(until, loop_now(daemon->cli->loop).boot);
        if (left.ms <= 0)
            break;
        cli_pause(daemon->cli, left.ms < STEP_MS ? left : SPAN_MS(STEP_MS));
    }
    daemon->is_awaited = false;
    return daemon->has_exited;
}

static void end(struct daemon *daemon, int signal_number, struct span_ms within)
{
    if (daemon->process == NULL)
        return;
    daemon->is_wanted = false;
    if (!daemon->has_exited && process_kill(daemon->process, signal_number) == ERR_OK &&
        !wait_end(daemon, within)) {
        enum err err = process_kill(daemon->process, SIGKILL);
        if (err == ERR_OK && !wait_end(daemon, SPAN_MS(KILL_WAIT_MS)))
            cli_note(daemon->cli, "%s does not end", daemon->name);
    }
    stream_close(daemon->pipe);
    process_destroy(daemon->process);
    daemon->pipe = NULL;
    daemon->process = NULL;
}

void daemon_stop(struct daemon *daemon, struct span_ms within)
{
    end(daemon, SIGTERM, within);
}

void daemon_kill(struct daemon *daemon)
{
    end(daemon, SIGKILL, SPAN_MS(KILL_WAIT_MS));
}
