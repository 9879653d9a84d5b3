#include "drive/program.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/clock.h"

enum { EXIT_NO_PROGRAM = 127 };

enum err program_find(const char *name, char out_path[PROGRAM_PATH_MAX])
{
    static const char *const folders[] = {
        "/usr/bin",       "/usr/local/bin",    "/bin",          "/usr/sbin",
        "/sbin",          "/usr/local/sbin",   "/opt/rocm/bin", "/usr/local/neuware/bin",
        "/opt/hyhal/bin", "/opt/mxdriver/bin", "/opt/maca/bin", "/usr/local/musa/bin",
    };
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        int len = snprintf(out_path, PROGRAM_PATH_MAX, "%s/%s", folders[i], name);
        if (len > 0 && len < PROGRAM_PATH_MAX && access(out_path, X_OK) == 0)
            return ERR_OK;
    }
    return ERR_NOT_FOUND;
}

_Noreturn static void become(const struct program_run *run, int output)
{
    const char *env[PROGRAM_ENV_MAX + 3] = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
                                            "LC_ALL=C"};
    sigset_t none;
    int empty = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; run->env != NULL && i < PROGRAM_ENV_MAX && run->env[i] != NULL; i++)
        env[i + 2] = run->env[i];
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (setpgid(0, 0) != 0 || empty < 0 || dup2(empty, 0) < 0 || dup2(output, 1) < 0 ||
        dup2(run->takes_errors ? output : empty, 2) < 0)
        _exit(EXIT_NO_PROGRAM);
    if (run->uid != 0 &&
        (setgroups(0, NULL) != 0 || setgid(run->gid) != 0 || setuid(run->uid) != 0))
        _exit(EXIT_NO_PROGRAM);
    (void)execve(run->argv[0], (char *const *)run->argv, (char *const *)env);
    _exit(EXIT_NO_PROGRAM);
}

/* Reads till the end of the output; false: the time is over. */
static bool collect(int fd, struct boot_ns until, const struct clock *clock, struct buffer *out)
{
    char bytes[4096];
    for (;;) {
        int64_t left = boot_since(until, clock_boot(clock)).ms;
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (left <= 0)
            return false;
        int ready = poll(&wait, 1, (int)left);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return false;
        ssize_t got = read(fd, bytes, sizeof(bytes));
        if (got == 0)
            return true;
        if (got > 0)
            buffer_append_bytes(out, bytes, (size_t)got);
        else if (errno != EINTR)
            return true;
    }
}

enum err program_run(const struct program_run *run, struct buffer *out, int *out_status)
{
    int fds[2], status = 0;
    const struct clock clock = clock_system();
    if (access(run->argv[0], X_OK) != 0)
        return ERR_NOT_FOUND;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return ERR_IO;
    pid_t pid = fork();
    if (pid == 0)
        become(run, fds[1]);
    (void)close(fds[1]);
    if (pid < 0) {
        (void)close(fds[0]);
        return ERR_IO;
    }
    bool is_whole = collect(fds[0], boot_add(clock_boot(&clock), run->limit), &clock, out);
    (void)close(fds[0]);
    if (!is_whole) {
        (void)kill(-pid, SIGKILL);
        (void)kill(pid, SIGKILL);
    }
    /* A program that closed its output and goes on is waited for: those that we run do not. */
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return ERR_IO; /* a libuv handler reaps only its own */
    if (!is_whole)
        return ERR_TIMEOUT;
    *out_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return ERR_OK;
}
