#include "supervise/child_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervise/syscalls.h"

enum {
    NOFILE_MAX = 65536,
    GROUPS_MAX = 16,
    BWRAP_ARGS_MAX = 6,
    EXIT_NOT_MADE = 126,
    STAGE_BYTES = 65536, /* of a small memory file system that holds three folder names */
};

/* ---- before the fork */

static int memory_file(const char *name, struct slice bytes)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd >= 0 &&
        (write(fd, bytes.data, bytes.len) != (ssize_t)bytes.len || lseek(fd, 0, SEEK_SET) != 0)) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static bool is_direct(int script, const char *name)
{
    char mark[2] = {0};
    int fd = openat(script, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, mark, sizeof(mark));
    (void)close(fd);
    return got == 2 && mark[0] == '#' && mark[1] == '!';
}

/* A folder of the host that nothing in the sandbox needs: in the child's own view of the file
 * systems it is covered by a small one of ours. That is how a user without any right in the
 * agent's folders is given just these three. */
static const char *find_stage(const struct supervise_doc *doc)
{
    static const char *const places[] = {"/mnt", "/media", "/srv", "/tmp"};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct stat info;
        bool is_free = lstat(places[i], &info) == 0 && S_ISDIR(info.st_mode);
        for (uint32_t p = 0; is_free && p < doc->read_only.count; p++)
            is_free = !slice_has_prefix(doc->read_only.items[p], slice_of(places[i]));
        for (uint32_t p = 0; is_free && p < doc->shared.count; p++)
            is_free = !slice_has_prefix(doc->shared.items[p], slice_of(places[i]));
        if (is_free)
            return places[i];
    }
    return NULL;
}

static enum err folder_path(int fd, char out[CHILD_EXEC_PATH_MAX])
{
    char link[64];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, out, CHILD_EXEC_PATH_MAX - 1);
    if (len <= 0)
        return ERR_IO;
    out[len] = '\0';
    return ERR_OK;
}

static enum err make_args(struct child_exec *exec, struct fault *fault)
{
    char work[CHILD_EXEC_PATH_MAX], scratch[CHILD_EXEC_PATH_MAX], script[CHILD_EXEC_PATH_MAX];
    char root[CHILD_EXEC_PATH_MAX] = "";
    enum err code = ERR_OK;
    if (exec->stage != NULL) {
        (void)snprintf(work, sizeof(work), "%s/work", exec->stage);
        (void)snprintf(scratch, sizeof(scratch), "%s/scratch", exec->stage);
        (void)snprintf(script, sizeof(script), "%s/script", exec->stage);
        (void)snprintf(root, sizeof(root), "%s/root", exec->stage);
    } else {
        code = folder_path(exec->work, work);
        if (code == ERR_OK)
            code = folder_path(exec->scratch, scratch);
        if (code == ERR_OK)
            code = folder_path(exec->script, script);
    }
    if (code != ERR_OK)
        return fault_set(fault, code, NULL, "the rank's folders have no paths (is /proc mounted?)");
    struct sandbox_places places = {
        .work = work,
        .scratch = scratch,
        .script = script,
        .root = exec->root >= 0 ? root : NULL,
        .root_fd = exec->root,
        .passwd_fd = exec->passwd,
        .group_fd = exec->group_file,
        .filter_fd = exec->filter,
        .has_setup = exec->doc->has_setup,
        .is_setup_direct = is_direct(exec->script, "setup"),
        .is_run_direct = is_direct(exec->script, "run"),
    };
    struct buffer args;
    sandbox_command(&places, &exec->command);
    buffer_init(&args, SANDBOX_ARGS_BYTES_MAX);
    code = sandbox_args(exec->doc, &places, &args);
    if (code == ERR_OK)
        exec->args = memory_file("bwrap-args", buffer_slice(&args));
    buffer_deinit(&args);
    if (code == ERR_OK && exec->args < 0)
        code = ERR_IO;
    return code == ERR_OK ? code
                          : fault_set(fault, code, NULL, "the sandbox's arguments do not fit: %s",
                                      err_name(code));
}

static int filter_file(void)
{
    struct buffer filter;
    buffer_init(&filter, SYSCALLS_BYTES_MAX);
    int fd = syscalls_filter(&filter) == ERR_OK ? memory_file("filter", buffer_slice(&filter)) : -1;
    buffer_deinit(&filter);
    return fd;
}

enum err child_exec_prepare(struct child_exec *exec, const struct child *child, int output,
                            struct fault *fault)
{
    char text[160];
    uint32_t uid = child->doc->uid != 0 ? child->doc->uid : (uint32_t)getuid();
    uint32_t gid = child->doc->uid != 0 ? child->doc->gid : (uint32_t)getgid();
    *exec = (struct child_exec){.doc = child->doc,
                                .group = &child->group,
                                .folder = child->folder,
                                .work = child->work,
                                .scratch = child->scratch,
                                .root = -1,
                                .args = -1,
                                .filter = filter_file(),
                                .net = child->net,
                                .output = output,
                                .status = -1};
    exec->script = openat(child->folder, "script", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    (void)snprintf(text, sizeof(text), "job:x:%u:%u:job:/job:/bin/sh\n", uid, gid);
    exec->passwd = memory_file("passwd", slice_of(text));
    (void)snprintf(text, sizeof(text), "job:x:%u:\n", gid);
    exec->group_file = memory_file("group", slice_of(text));
    if (exec->script < 0 || exec->passwd < 0 || exec->group_file < 0 || exec->filter < 0)
        return fault_set(fault, ERR_IO, NULL, "the script folder is missing or no memory is left");
    if (child->doc->uid != 0) {
        exec->stage = find_stage(child->doc);
        if (exec->stage == NULL)
            return fault_set(fault, ERR_UNSUPPORTED, NULL,
                             "none of /mnt, /media, /srv and /tmp can hold the sandbox's folders");
    }
    if (child->doc->root.len != 0) {
        if (exec->stage != NULL)
            exec->root = open(child->doc->root.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (exec->root < 0)
            return fault_set(fault, ERR_NOT_FOUND, NULL,
                             "the image's file system is not there, or we are not root");
    }
    return make_args(exec, fault);
}

void child_exec_discard(struct child_exec *exec)
{
    int fds[] = {exec->script, exec->root,       exec->args,
                 exec->passwd, exec->group_file, exec->filter};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
}

/* ---- after the fork: one thread, no way back */

_Noreturn static void give_up(const struct child_exec *exec, const char *what)
{
    char line[256];
    int len = snprintf(line, sizeof(line), "[lingqu] the sandbox cannot be made: %s: %s\n", what,
                       strerror(errno));
    if (len > 0)
        (void)!write(exec->output, line, (size_t)len);
    _exit(EXIT_NOT_MADE);
}

static void limit(const struct child_exec *exec, int resource, uint64_t value)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now) != 0)
        give_up(exec, "limits");
    rlim_t most = value < now.rlim_max ? (rlim_t)value : now.rlim_max;
    struct rlimit wanted = {most, most};
    if (setrlimit((__rlimit_resource_t)resource, &wanted) != 0)
        give_up(exec, "limits");
}

static void set_limits(const struct child_exec *exec)
{
    const struct supervise_doc *doc = exec->doc;
    limit(exec, RLIMIT_CORE, 0);
    limit(exec, RLIMIT_NOFILE, NOFILE_MAX);
    limit(exec, RLIMIT_FSIZE, doc->scratch_bytes);
    /* Second best where there is no control group: counted a user and a process. */
    if (!cgroup_has(exec->group, CGROUP_PIDS) && doc->limits.pids != 0 && doc->uid != 0)
        limit(exec, RLIMIT_NPROC, doc->limits.pids);
    if (!cgroup_has(exec->group, CGROUP_MEMORY) && doc->limits.mem_bytes != 0)
        limit(exec, RLIMIT_DATA, doc->limits.mem_bytes);
}

static void show_folder(const struct child_exec *exec, const char *name, int fd)
{
    char path[64], from[64];
    (void)snprintf(path, sizeof(path), "%s/%s", exec->stage, name);
    (void)snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
    if (fd < 0 || mkdir(path, 0755) != 0 || mount(from, path, NULL, MS_BIND, NULL) != 0)
        give_up(exec, name);
}

static void make_stage(const struct child_exec *exec)
{
    char options[64], path[CHILD_EXEC_PATH_MAX];
    if (folder_path(exec->folder, path) != ERR_OK)
        give_up(exec, "the rank's folder");
    (void)snprintf(options, sizeof(options), "mode=0755,size=%d", STAGE_BYTES);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        give_up(exec, "a view of the file systems of its own");
    /* Descriptors from before belong to the old view and cannot be shown in this one. */
    int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int root = exec->root < 0 ? -1 : open(exec->doc->root.data, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (exec->root >= 0 && root < 0)
        give_up(exec, "the image's file system");
    int work = openat(folder, "work", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int scratch = openat(folder, "scratch", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int script = openat(folder, "script", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (mount("lingqu", exec->stage, "tmpfs", MS_NOSUID | MS_NODEV, options) != 0)
        give_up(exec, exec->stage);
    if (root >= 0)
        show_folder(exec, "root", root);
    show_folder(exec, "work", work);
    show_folder(exec, "scratch", scratch);
    show_folder(exec, "script", script);
}

/* The groups that own the given devices, so that their files open. Never root's. */
static size_t device_groups(const struct supervise_doc *doc, gid_t out[GROUPS_MAX])
{
    size_t count = 0;
    for (uint32_t i = 0; i < doc->devices.count && count < GROUPS_MAX; i++) {
        struct stat info;
        if (stat(doc->devices.items[i].data, &info) == 0 && S_ISCHR(info.st_mode) &&
            info.st_gid != 0)
            out[count++] = info.st_gid;
    }
    return count;
}

static void become_user(const struct child_exec *exec)
{
    gid_t groups[GROUPS_MAX];
    size_t count = device_groups(exec->doc, groups);
    gid_t gid = exec->doc->gid;
    uid_t uid = exec->doc->uid;
    if (setgroups(count, groups) != 0 || setresgid(gid, gid, gid) != 0 ||
        setresuid(uid, uid, uid) != 0)
        give_up(exec, "an unprivileged user");
}

static void set_oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!write(fd, "500", 3); /* a machine out of memory takes work before its agent */
        (void)close(fd);
    }
}

static void set_descriptors(const struct child_exec *exec)
{
    const int kept[] = {exec->args, exec->passwd, exec->group_file, exec->filter, exec->status};
    int empty = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (empty < 0 || dup2(empty, 0) < 0 || dup2(exec->output, 1) < 0 || dup2(exec->output, 2) < 0)
        give_up(exec, "descriptors");
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        if (fcntl(kept[i], F_SETFD, 0) != 0)
            give_up(exec, "descriptors");
}

_Noreturn void child_exec_run(const struct child_exec *exec)
{
    char args[16], status[16];
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGHUP, SIG_DFL);
    (void)umask(022);
    set_oom_score();
    if (cgroup_join(exec->group) != ERR_OK)
        give_up(exec, "its control group");
    if (exec->net >= 0 && setns(exec->net, CLONE_NEWNET) != 0)
        give_up(exec, "the gang's network");
    if (exec->stage != NULL) {
        make_stage(exec);
        become_user(exec);
    }
    set_limits(exec);
    set_descriptors(exec);
    /* After the change of user, which clears it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != exec->parent)
        _exit(EXIT_NOT_MADE);
    (void)snprintf(args, sizeof(args), "%d", exec->args);
    (void)snprintf(status, sizeof(status), "%d", exec->status);
    const char *argv[BWRAP_ARGS_MAX + SANDBOX_COMMAND_MAX + 1] = {
        "bwrap", "--args", args, "--json-status-fd", status, "--"};
    for (uint32_t i = 0; i < exec->command.count; i++)
        argv[BWRAP_ARGS_MAX + i] = exec->command.argv[i];
    const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
    (void)execve(exec->doc->bwrap.data, (char *const *)argv, (char *const *)env);
    give_up(exec, exec->doc->bwrap.data);
}
