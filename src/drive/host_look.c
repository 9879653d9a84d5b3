/* What lives of a name, by the kernel's own word: the supervisor's lock, the lock that process 1 of
 * the sandbox holds on its script, and the control group. End records say how it went. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "drive/host_private.h"
#include "drive/supervise_lock.h"
#include "port/file.h"

enum err host_attempt_dir(const struct host *host, const struct attempt_token *token,
                          char out[HOST_PATH_MAX])
{
    char name[ATTEMPT_NAME_MAX];
    attempt_name_format(token, name);
    int len = snprintf(out, HOST_PATH_MAX, "%s/attempts/%s", host->settings.state_dir, name);
    return len > 0 && len < HOST_PATH_MAX ? ERR_OK : ERR_LIMIT;
}

enum err host_rank_dir(const struct host *host, const struct attempt_token *token, uint32_t rank,
                       char out[HOST_PATH_MAX])
{
    char name[ATTEMPT_NAME_MAX];
    attempt_name_format(token, name);
    int len = snprintf(out, HOST_PATH_MAX, "%s/attempts/%s/rank-%u", host->settings.state_dir, name,
                       rank);
    return len > 0 && len < HOST_PATH_MAX ? ERR_OK : ERR_LIMIT;
}

struct rank_life {
    bool was_launched; /* there is a supervise.json */
    bool is_supervised, is_running;
    struct supervise_doc doc;
    int lock; /* open while is_supervised; -1 */
    struct supervise_lock holder;
};

static int open_in(const char *dir, const char *name)
{
    char path[HOST_PATH_MAX + 64];
    int len = snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (len <= 0 || (size_t)len >= sizeof(path))
        return -1;
    return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static enum err read_in(const char *dir, const char *name, struct arena *arena, struct slice *out)
{
    char path[HOST_PATH_MAX + 64];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return file_read(path, SUPERVISE_BYTES_MAX, arena, NULL, out);
}

static bool is_held(const char *dir, const char *name)
{
    int fd = open_in(dir, name);
    if (fd < 0)
        return false;
    bool held = supervise_lock_is_held(fd);
    (void)close(fd);
    return held;
}

static bool rank_group(const struct rank_life *life, struct cgroup *out)
{
    char name[SUPERVISE_GROUP_NAME_MAX];
    supervise_group_name(&life->doc.token, life->doc.rank, name);
    return life->doc.node_group.version != 0 &&
           cgroup_below(&life->doc.node_group, name, out) == ERR_OK;
}

/* `out->lock` must be closed by the caller. */
static void look_at_rank(struct host_call *call, const char *dir, struct rank_life *out)
{
    char text[SUPERVISE_LOCK_TEXT_MAX];
    struct slice json;
    struct cgroup group;
    *out = (struct rank_life){.lock = -1};
    out->was_launched = read_in(dir, "supervise.json", &call->arena, &json) == ERR_OK &&
                        supervise_doc_decode(json, &call->arena, &out->doc, NULL) == ERR_OK;
    out->lock = open_in(dir, "lock");
    if (out->lock >= 0) {
        ssize_t got = pread(out->lock, text, sizeof(text), 0);
        if (got < 0 || supervise_lock_parse(slice_make(text, (size_t)got), &out->holder) != ERR_OK)
            out->holder = (struct supervise_lock){0};
        out->is_supervised = supervise_lock_is_held(out->lock);
    }
    out->is_running = is_held(dir, "script/run");
    if (!out->is_running && out->was_launched && rank_group(out, &group))
        out->is_running = !cgroup_is_empty(&group);
}

static void take_end(struct host_call *call, uint32_t rank, const char *dir,
                     const struct rank_life *life)
{
    struct gate_message message;
    struct slice json, why;
    if (life->is_running || read_in(dir, "end.json", &call->arena, &json) != ERR_OK ||
        end_record_decode(json, &call->arena, &message, &why, NULL) != ERR_OK ||
        !attempt_token_is_equal(&message.token, &call->answer.token) || message.rank != rank)
        return;
    if (call->answer.incarnation == 0 || message.incarnation == call->incarnation)
        call->answer.incarnation = message.incarnation;
    if (call->incarnation != 0 && message.incarnation != call->incarnation)
        return;
    call->ranks[rank] = (struct drive_rank_end){
        .is_known = true,
        .outcome = message.outcome,
        .exit_code = message.exit_code,
        .ran = message.ran,
        .gate_wait = message.gate_wait,
        .kill_wait = message.kill_wait,
        .cpu_ms = message.cpu_ms,
        .progress = message.progress,
    };
    if (why.len != 0 && call->why[0] == '\0')
        (void)snprintf(call->why, sizeof(call->why), "%.*s", SLICE_ARG(why));
}

static bool has_end(const char *dir)
{
    struct file_info info;
    char path[HOST_PATH_MAX + 64];
    (void)snprintf(path, sizeof(path), "%s/end.json", dir);
    return file_stat(path, &info) == ERR_OK;
}

void host_look(struct host_call *call)
{
    uint32_t nodes = 1;
    bool has_ended = false;
    char dir[HOST_PATH_MAX];
    arena_reset(&call->arena);
    call->is_alive = false;
    call->was_launched = false;
    call->why[0] = '\0';
    call->answer.incarnation = 0;
    call->ranks = arena_array(&call->arena, JOB_NODES_MAX, sizeof(*call->ranks));
    if (call->ranks == NULL) {
        call->answer.kind = DRIVE_UNSURE;
        return;
    }
    for (uint32_t rank = 0; rank < nodes; rank++) {
        struct rank_life life;
        if (host_rank_dir(call->host, &call->answer.token, rank, dir) != ERR_OK)
            break;
        look_at_rank(call, dir, &life);
        if (life.was_launched && life.doc.nodes > nodes)
            nodes = life.doc.nodes;
        call->was_launched = call->was_launched || life.was_launched;
        if (life.is_supervised || life.is_running) {
            call->is_alive = true;
            if (life.is_supervised && life.holder.incarnation != 0)
                call->answer.incarnation = life.holder.incarnation;
        }
        has_ended = has_ended || has_end(dir);
        take_end(call, rank, dir, &life);
        if (life.lock >= 0)
            (void)close(life.lock);
    }
    call->answer.ranks = call->ranks;
    call->answer.rank_count = nodes;
    call->answer.kind = call->is_alive ? DRIVE_PRESENT : has_ended ? DRIVE_ENDED : DRIVE_ABSENT;
}

/* ---- killing */

/* The number is its own as long as the lock is held: asked after the descriptor was taken. */
static void signal_holder(const struct rank_life *life, int signal_number)
{
    if (!life->is_supervised || life->holder.pid <= 1)
        return;
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)life->holder.pid, 0);
    if (fd < 0) {
        if (errno == ENOSYS && supervise_lock_is_held(life->lock))
            (void)kill((pid_t)life->holder.pid, signal_number); /* a kernel before 5.3 */
        return;
    }
    if (supervise_lock_is_held(life->lock))
        (void)syscall(SYS_pidfd_send_signal, fd, signal_number, NULL, 0);
    (void)close(fd);
}

static void each_rank(struct host_call *call,
                      void (*visit)(struct host_call *call, const struct rank_life *life, int how),
                      int how)
{
    char dir[HOST_PATH_MAX];
    uint32_t nodes = call->answer.rank_count;
    for (uint32_t rank = 0; rank < nodes; rank++) {
        struct rank_life life;
        if (host_rank_dir(call->host, &call->answer.token, rank, dir) != ERR_OK)
            return;
        look_at_rank(call, dir, &life);
        visit(call, &life, how);
        if (life.lock >= 0)
            (void)close(life.lock);
    }
}

static void visit_signal(struct host_call *call, const struct rank_life *life, int how)
{
    (void)call;
    signal_holder(life, how);
}

void host_signal_ranks(struct host_call *call, enum host_signal what)
{
    each_rank(call, visit_signal, what == HOST_SIGNAL_STOP ? SIGTERM : SIGKILL);
}

static void visit_kill_group(struct host_call *call, const struct rank_life *life, int how)
{
    struct cgroup group;
    (void)call;
    (void)how;
    if (life->was_launched && rank_group(life, &group))
        (void)cgroup_kill(&group);
}

void host_kill_groups(struct host_call *call)
{
    each_rank(call, visit_kill_group, 0);
}

static void visit_remove_group(struct host_call *call, const struct rank_life *life, int how)
{
    struct cgroup group;
    (void)call;
    (void)how;
    if (life->was_launched && !life->is_running && rank_group(life, &group))
        cgroup_remove(&group);
}

void host_forget_groups(struct host_call *call)
{
    each_rank(call, visit_remove_group, 0);
}
