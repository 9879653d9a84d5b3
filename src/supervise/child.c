#include "supervise/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drive/tree.h"
#include "supervise/child_exec.h"
#include "wire/json.h"

enum { STATUS_BYTES_MAX = 65536, SMALL_TEXT_MAX = 512 };

void child_init(struct child *child, const struct supervise_doc *doc, int folder)
{
    *child = (struct child){.doc = doc,
                            .folder = folder,
                            .work = -1,
                            .scratch = -1,
                            .net = -1,
                            .status_fd = -1,
                            .exit_code = -1};
    buffer_init(&child->status, STATUS_BYTES_MAX);
}

void child_deinit(struct child *child)
{
    if (child->status_fd >= 0)
        (void)close(child->status_fd);
    if (child->net >= 0)
        (void)close(child->net);
    if (child->work >= 0)
        (void)close(child->work);
    if (child->scratch >= 0)
        (void)close(child->scratch);
    buffer_deinit(&child->status);
}

static enum err open_folder(struct child *child, const char *name, int *out_fd, struct fault *fault)
{
    if (mkdirat(child->folder, name, 0700) != 0 && errno != EEXIST)
        return fault_set(fault, ERR_IO, NULL, "the folder %s cannot be made: %s", name,
                         strerror(errno));
    int fd = openat(child->folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fault_set(fault, ERR_IO, NULL, "the folder %s cannot be opened: %s", name,
                         strerror(errno));
    *out_fd = fd;
    return ERR_OK;
}

enum err child_prepare(struct child *child, struct fault *fault)
{
    const struct supervise_doc *doc = child->doc;
    enum err code = open_folder(child, "work", &child->work, fault);
    if (code == ERR_OK)
        code = open_folder(child, "scratch", &child->scratch, fault);
    if (code == ERR_OK && doc->uid != 0) {
        code = tree_give(child->work, doc->uid, doc->gid);
        if (code == ERR_OK)
            code = tree_give(child->scratch, doc->uid, doc->gid);
        if (code != ERR_OK)
            return fault_set(fault, code, NULL, "the work folder cannot be handed to user %u",
                             doc->uid);
    }
    if (code == ERR_OK && doc->node_group.version != 0) {
        char name[SUPERVISE_GROUP_NAME_MAX];
        supervise_group_name(&doc->token, doc->rank, name);
        code = cgroup_make(&doc->node_group, name, &doc->limits, &child->group, fault);
    } else if (code == ERR_OK && slice_has_prefix(doc->socket, SLICE_LITERAL("tcp:"))) {
        /* A cluster's node: we are in the group that the engine made for this job alone. */
        cgroup_of_self(&child->engine);
        child->engine_kills = cgroup_oom_kills(&child->engine);
    }
    return code;
}

enum err child_start(struct child *child, int output, struct fault *fault)
{
    struct child_exec exec;
    int status[2] = {-1, -1};
    enum err code = child_exec_prepare(&exec, child, output, fault);
    if (code == ERR_OK && pipe2(status, O_CLOEXEC) != 0)
        code = fault_set(fault, ERR_IO, NULL, "no pipe: %s", strerror(errno));
    if (code == ERR_OK) {
        exec.status = status[1];
        exec.parent = getpid();
        pid_t pid = fork();
        if (pid == 0)
            child_exec_run(&exec);
        if (pid < 0)
            code = fault_set(fault, ERR_LIMIT, NULL, "no process: %s", strerror(errno));
        child->bwrap = pid > 0 ? pid : 0;
    }
    if (status[1] >= 0)
        (void)close(status[1]);
    if (code == ERR_OK) {
        child->status_fd = status[0];
        (void)fcntl(status[0], F_SETFL, O_NONBLOCK);
        child->is_started = true;
    } else if (status[0] >= 0) {
        (void)close(status[0]);
    }
    child_exec_discard(&exec);
    return code;
}

/* ---- what bubblewrap tells: a JSON object a line */

static void take_status(struct child *child, struct slice line)
{
    static const struct json_limits limits = {STATUS_BYTES_MAX, 4, 64};
    struct json_document *document = NULL;
    int64_t number = 0;
    if (json_parse(line, &limits, &document, NULL) != ERR_OK)
        return;
    struct json_value root = json_root(document);
    if (json_get_i64(root, "child-pid", 2, INT32_MAX, &number, NULL) == ERR_OK)
        child->init = (pid_t)number;
    if (json_get_i64(root, "exit-code", 0, 255, &number, NULL) == ERR_OK) {
        child->has_exit_code = true;
        child->exit_code = (int32_t)number;
    }
    json_document_destroy(document);
}

void child_read_status(struct child *child)
{
    char bytes[4096];
    while (child->status_fd >= 0) {
        ssize_t got = read(child->status_fd, bytes, sizeof(bytes));
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (got <= 0) {
            (void)close(child->status_fd);
            child->status_fd = -1;
            break;
        }
        buffer_append_bytes(&child->status, bytes, (size_t)got);
    }
    struct slice line, rest;
    while (slice_cut(buffer_slice(&child->status), '\n', &line, &rest)) {
        take_status(child, line);
        buffer_drop_front(&child->status, line.len + 1);
    }
}

/* ---- signals */

/* The first child of the sandbox's process 1; 0: none. */
static pid_t program_pid(const struct child *child)
{
    char path[64], text[SMALL_TEXT_MAX];
    int64_t pid = 0;
    if (child->init == 0)
        return 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", child->init, child->init);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, text, sizeof(text));
    (void)close(fd);
    if (got <= 0)
        return 0;
    size_t digits = 0;
    while (digits < (size_t)got && text[digits] >= '0' && text[digits] <= '9')
        digits++;
    return slice_parse_i64(slice_make(text, digits), &pid) == ERR_OK ? (pid_t)pid : 0;
}

void child_signal(struct child *child, int signal_number)
{
    child_read_status(child);
    pid_t pid = program_pid(child);
    if (pid > 1)
        (void)kill(pid, signal_number);
}

void child_kill(struct child *child)
{
    child_read_status(child);
    /* Process 1 of the namespace takes all others with it; it is ours as long as its parent, which
     * we have not reaped, is. */
    if (child->bwrap != 0 && child->init != 0)
        (void)kill(child->init, SIGKILL);
    if (child->bwrap != 0)
        (void)kill(child->bwrap, SIGKILL);
    (void)cgroup_kill(&child->group);
}

/* ---- the end */

bool child_is_gone(struct child *child)
{
    if (!child->is_started)
        return false;
    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid == 0 || (pid < 0 && errno == EINTR))
            return false; /* bubblewrap, or an orphan that became ours, lives */
        if (pid < 0)
            break;
        if (pid == child->bwrap) {
            child_read_status(child);
            child->bwrap = 0;
        }
    }
    if (!cgroup_is_empty(&child->group)) {
        (void)cgroup_kill(&child->group);
        return false;
    }
    return true;
}

int64_t child_cpu_ms(const struct child *child)
{
    struct rusage usage;
    int64_t cpu_ms = cgroup_cpu_ms(&child->group);
    if (cpu_ms >= 0)
        return cpu_ms;
    if (getrusage(RUSAGE_CHILDREN, &usage) != 0)
        return 0;
    return ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

bool child_ran_out_of_memory(const struct child *child)
{
    if (child->engine.version != 0)
        return cgroup_oom_kills(&child->engine) > child->engine_kills;
    return cgroup_oom_kills(&child->group) != 0;
}

void child_clear(struct child *child)
{
    cgroup_remove(&child->group);
    if (child->scratch >= 0)
        tree_empty(child->scratch);
}
