#include "port/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "port/posix/loop_private.h"
#include "port/posix/os_error.h"

enum { PROCESS_INHERITED_MAX = 1024 };

struct process {
    struct loop_part part;
    uv_process_t handle;
    int64_t pid;
    void (*on_exit)(void *context, struct process_exit result);
    void *context;
    bool is_leader;
    bool has_exited;
    bool is_group_gone; /* once empty, the group's number may be reused */
    bool is_forgotten;
};

static void process_free(uv_handle_t *handle)
{
    free(handle->data);
}

static void process_on_exit(uv_process_t *handle, int64_t status, int signal_number)
{
    struct process *process = handle->data;
    process->has_exited = true;
    if (process->is_forgotten) {
        uv_close((uv_handle_t *)handle, process_free);
        return;
    }
    process->on_exit(process->context, (struct process_exit){status, signal_number});
}

static enum err process_set_fds(const struct process_options *options, struct fault *fault,
                                uv_stdio_container_t stdio[PROCESS_FDS_MAX], int *out_count)
{
    int count = 3;
    for (int i = 0; i < PROCESS_FDS_MAX; i++)
        stdio[i].flags = UV_IGNORE;
    for (size_t i = 0; i < options->fd_count; i++) {
        int theirs = options->fds[i].theirs;
        if (theirs < 0 || theirs >= PROCESS_FDS_MAX)
            return fault_set(fault, ERR_LIMIT, NULL,
                             "descriptor %d of a child is over the limit of %d", theirs,
                             PROCESS_FDS_MAX - 1);
        if (options->fds[i].ours < 0)
            continue;
        stdio[theirs].flags = UV_INHERIT_FD;
        stdio[theirs].data.fd = options->fds[i].ours;
        if (theirs >= count)
            count = theirs + 1;
    }
    *out_count = count;
    return ERR_OK;
}

/* Our own descriptors are all close-on-exec; what our parent left open to us is made so here. */
static void process_close_inherited(void)
{
    if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    uint64_t max = process_descriptors_max();
    for (uint64_t fd = 3; fd < max && fd < PROCESS_INHERITED_MAX; fd++) /* a kernel before 5.11 */
        (void)fcntl((int)fd, F_SETFD, FD_CLOEXEC); /* most numbers are not open */
}

enum err process_spawn(struct loop *loop, const struct process_options *options,
                       struct fault *fault,
                       void (*on_exit)(void *context, struct process_exit result), void *context,
                       struct process **out_process)
{
    uv_stdio_container_t stdio[PROCESS_FDS_MAX];
    char *env_empty[] = {NULL};
    ASSERT(options->argv != NULL && options->argv[0] != NULL);
    uv_process_options_t spawn = {
        .exit_cb = process_on_exit,
        .file = options->argv[0],
        .args = (char **)options->argv, /* libuv takes it unchanged but wants it mutable */
        .env = options->env != NULL ? (char **)options->env : env_empty,
        .cwd = options->cwd,
        .stdio = stdio,
    };
    enum err code = process_set_fds(options, fault, stdio, &spawn.stdio_count);
    if (code != ERR_OK)
        return code;
    if (options->group == PROCESS_GROUP_NEW_SESSION)
        spawn.flags |= UV_PROCESS_DETACHED;
    if (options->has_ids) {
        spawn.flags |= UV_PROCESS_SETUID | UV_PROCESS_SETGID;
        spawn.uid = options->uid;
        spawn.gid = options->gid;
    }
    struct process *process = calloc(1, sizeof(*process));
    if (process == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory to start %s", options->argv[0]);
    process->part.on_closed = process_free;
    process->on_exit = on_exit;
    process->context = context;
    process->is_leader = options->group == PROCESS_GROUP_NEW_SESSION;
    process->handle.data = process;
    process_close_inherited();
    int started = uv_spawn(&loop->uv, &process->handle, &spawn);
    if (started != 0) {
        uv_close((uv_handle_t *)&process->handle, process_free);
        return os_fault(fault, started, "cannot start", options->argv[0]);
    }
    process->pid = process->handle.pid;
    *out_process = process;
    return ERR_OK;
}

int64_t process_pid(const struct process *process)
{
    return process->pid;
}

bool process_has_exited(const struct process *process)
{
    return process->has_exited;
}

enum err process_kill(struct process *process, int signal_number)
{
    if (process->has_exited) /* its number may belong to another by now */
        return ERR_NOT_FOUND;
    return kill((pid_t)process->pid, signal_number) == 0 ? ERR_OK : os_error(errno);
}

enum err process_kill_group(struct process *process, int signal_number)
{
    ASSERT(process->is_leader);
    if (process->is_group_gone)
        return ERR_NOT_FOUND;
    if (kill(-(pid_t)process->pid, signal_number) == 0)
        return ERR_OK;
    if (errno == ESRCH && process->has_exited)
        process->is_group_gone = true;
    return os_error(errno);
}

void process_destroy(struct process *process)
{
    if (process == NULL)
        return;
    ASSERT(!process->is_forgotten);
    process->is_forgotten = true;
    if (process->has_exited)
        uv_close((uv_handle_t *)&process->handle, process_free);
    else
        uv_unref((uv_handle_t *)&process->handle);
}

uint64_t process_descriptors_max(void)
{
    struct rlimit limit;
    ASSERT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    return limit.rlim_cur;
}

enum err process_descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return os_error(errno);
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? ERR_OK : os_error(errno);
}
