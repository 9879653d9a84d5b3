#include "drive/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SMALL_FILE_MAX = 4096,
    CPU_PERIOD_US = 100000,
    CPU_QUOTA_US_MIN = 1000, /* the kernel's */
};

static const char *const PART_NAMES[CGROUP_PART_COUNT_] = {
    [CGROUP_CPU] = "cpu",   [CGROUP_CPUACCT] = "cpuacct", [CGROUP_MEMORY] = "memory",
    [CGROUP_PIDS] = "pids", [CGROUP_FREEZER] = "freezer",
};

/* ---- small files of the kernel */

static enum err from_errno(int code)
{
    switch (code) {
    case ENOENT:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_DENIED;
    case ENOSPC:
        return ERR_FULL;
    default:
        return ERR_IO;
    }
}

static enum err join_path(const char *folder, const char *name, char out[CGROUP_PATH_MAX])
{
    int len = snprintf(out, CGROUP_PATH_MAX, "%s/%s", folder, name);
    return len > 0 && len < CGROUP_PATH_MAX ? ERR_OK : ERR_LIMIT;
}

static enum err write_small(const char *folder, const char *name, const char *text)
{
    char path[CGROUP_PATH_MAX];
    enum err code = join_path(folder, name, path);
    if (code != ERR_OK)
        return code;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return from_errno(errno);
    size_t len = strlen(text);
    ssize_t put = write(fd, text, len);
    code = put == (ssize_t)len ? ERR_OK : from_errno(errno);
    (void)close(fd);
    return code;
}

static bool read_small(const char *folder, const char *name, char out[SMALL_FILE_MAX])
{
    char path[CGROUP_PATH_MAX];
    if (join_path(folder, name, path) != ERR_OK)
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, out, SMALL_FILE_MAX - 1);
    (void)close(fd);
    if (got < 0)
        return false;
    out[got] = '\0';
    return true;
}

/* The number after `key` at the start of a line; an empty key: the first number. */
static bool find_number(const char *text, const char *key, uint64_t *out)
{
    size_t len = strlen(key);
    const char *at = text;
    while (at != NULL && *at != '\0') {
        if (strncmp(at, key, len) == 0 && (len == 0 || at[len] == ' ')) {
            const char *digits = at + (len == 0 ? 0 : len + 1);
            return slice_parse_u64(slice_make(digits, strspn(digits, "0123456789")), out) == ERR_OK;
        }
        at = strchr(at, '\n');
        at = at == NULL ? NULL : at + 1;
    }
    return false;
}

static bool read_number(const char *folder, const char *name, const char *key, uint64_t *out)
{
    char text[SMALL_FILE_MAX];
    return folder[0] != '\0' && read_small(folder, name, text) && find_number(text, key, out);
}

static enum err make_folder(const char *path)
{
    if (mkdir(path, 0755) == 0 || errno == EEXIST)
        return ERR_OK;
    return from_errno(errno);
}

/* ---- where our own groups are */

/* Whether `list`, parted by commas, has `word`. */
static bool list_has(struct slice list, const char *word)
{
    struct slice head, tail;
    while (slice_cut(list, ',', &head, &tail)) {
        if (slice_is(head, word))
            return true;
        list = tail;
    }
    return slice_is(list, word);
}

/* Our path in the hierarchy whose line in /proc/self/cgroup carries `controller` ("": version 2).
 */
static bool own_path(const char *text, const char *controller, char out[CGROUP_PATH_MAX])
{
    struct slice rest = slice_of(text);
    struct slice line, number, names, path;
    while (slice_cut(rest, '\n', &line, &rest)) {
        if (!slice_cut(line, ':', &number, &names) || !slice_cut(names, ':', &names, &path))
            continue;
        bool is_it = controller[0] == '\0' ? names.len == 0 && slice_is(number, "0")
                                           : list_has(names, controller);
        if (!is_it)
            continue;
        int len = snprintf(out, CGROUP_PATH_MAX, "%.*s", SLICE_ARG(path));
        return len > 0 && len < CGROUP_PATH_MAX;
    }
    return false;
}

/* Mount point of the hierarchy and the path that is its root, out of /proc/self/mountinfo. */
static bool find_mount(const char *controller, char out_point[CGROUP_PATH_MAX],
                       char out_root[CGROUP_PATH_MAX])
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char line[SMALL_FILE_MAX];
    bool is_found = false;
    if (file == NULL)
        return false;
    while (!is_found && fgets(line, sizeof(line), file) != NULL) {
        char root[CGROUP_PATH_MAX], point[CGROUP_PATH_MAX], type[32], options[CGROUP_PATH_MAX];
        const char *dash = strstr(line, " - ");
        if (dash == NULL || sscanf(line, "%*s %*s %*s %511s %511s", root, point) != 2 ||
            sscanf(dash, " - %31s %*s %511s", type, options) != 2)
            continue;
        is_found = controller[0] == '\0'
                       ? strcmp(type, "cgroup2") == 0
                       : strcmp(type, "cgroup") == 0 && list_has(slice_of(options), controller);
        if (is_found) {
            (void)snprintf(out_point, CGROUP_PATH_MAX, "%s", point);
            (void)snprintf(out_root, CGROUP_PATH_MAX, "%s", root);
        }
    }
    (void)fclose(file);
    return is_found;
}

/* The folder of our own group; outside of the mount's root: the mount point itself. */
static bool own_folder(const char *controller, char out[CGROUP_PATH_MAX])
{
    char text[SMALL_FILE_MAX], path[CGROUP_PATH_MAX], point[CGROUP_PATH_MAX], root[CGROUP_PATH_MAX];
    if (!read_small("/proc/self", "cgroup", text) || !own_path(text, controller, path) ||
        !find_mount(controller, point, root))
        return false;
    const char *inside = path;
    size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(path, root, len) == 0)
        inside = path + len;
    else
        inside = "";
    if (strcmp(inside, "/") == 0)
        inside = "";
    int made = snprintf(out, CGROUP_PATH_MAX, "%s%s", point, inside);
    if (made <= 0 || made >= CGROUP_PATH_MAX)
        return false;
    return access(out, F_OK) == 0 || snprintf(out, CGROUP_PATH_MAX, "%s", point) > 0;
}

/* ---- making them */

/* Lets children of `folder` have limits. A group that holds processes cannot; when the only one is
 * ours, it moves into a leaf. */
static enum err open_children(const char *folder)
{
    static const char wanted[] = "+cpu +memory +pids";
    char leaf[CGROUP_PATH_MAX];
    enum err code = write_small(folder, "cgroup.subtree_control", wanted);
    if (code == ERR_OK)
        return ERR_OK;
    if (join_path(folder, "lq-self", leaf) != ERR_OK || make_folder(leaf) != ERR_OK ||
        write_small(leaf, "cgroup.procs", "0") != ERR_OK)
        return code;
    return write_small(folder, "cgroup.subtree_control", wanted);
}

static bool probe_v2(const char *name, struct cgroup *out)
{
    char own[CGROUP_PATH_MAX], text[SMALL_FILE_MAX], folder[CGROUP_PATH_MAX];
    if (!own_folder("", own) || !read_small(own, "cgroup.controllers", text))
        return false;
    if (strstr(text, "memory") == NULL && strstr(text, "pids") == NULL)
        return false; /* a hybrid system: version 1 has them */
    /* A service manager moves the agent's own leaf along: do not nest leaf in leaf. */
    size_t len = strlen(own);
    if (len > 8 && strcmp(own + len - 8, "/lq-self") == 0)
        own[len - 8] = '\0';
    if (open_children(own) != ERR_OK || join_path(own, name, folder) != ERR_OK ||
        make_folder(folder) != ERR_OK || open_children(folder) != ERR_OK ||
        !read_small(folder, "cgroup.subtree_control", text))
        return false;
    out->version = 2;
    for (int part = 0; part < CGROUP_PART_COUNT_; part++) {
        const char *controller =
            part == CGROUP_CPUACCT || part == CGROUP_FREEZER ? "" : PART_NAMES[part];
        if (strstr(text, controller) != NULL)
            (void)snprintf(out->folder[part], CGROUP_PATH_MAX, "%s", folder);
    }
    return true;
}

static bool probe_v1(const char *name, struct cgroup *out)
{
    bool has_any = false;
    for (int part = 0; part < CGROUP_PART_COUNT_; part++) {
        char own[CGROUP_PATH_MAX], folder[CGROUP_PATH_MAX];
        if (!own_folder(PART_NAMES[part], own) || join_path(own, name, folder) != ERR_OK ||
            make_folder(folder) != ERR_OK || access(folder, W_OK) != 0)
            continue;
        (void)snprintf(out->folder[part], CGROUP_PATH_MAX, "%s", folder);
        has_any = true;
    }
    if (has_any)
        out->version = 1;
    return has_any;
}

void cgroup_probe(const char *name, struct cgroup *out, char *why, size_t size)
{
    *out = (struct cgroup){0};
    if (probe_v2(name, out))
        return;
    *out = (struct cgroup){0};
    if (!probe_v1(name, out))
        (void)snprintf(why, size,
                       "no control groups: neither version 2 nor version 1 lets this user make one "
                       "(as a service, give it Delegate=yes)");
}

bool cgroup_has(const struct cgroup *group, enum cgroup_part part)
{
    return group->folder[part][0] != '\0';
}

enum err cgroup_below(const struct cgroup *parent, const char *name, struct cgroup *out)
{
    struct cgroup group = {.version = parent->version};
    for (int part = 0; part < CGROUP_PART_COUNT_; part++) {
        if (parent->folder[part][0] == '\0')
            continue;
        enum err code = join_path(parent->folder[part], name, group.folder[part]);
        if (code != ERR_OK)
            return code;
    }
    *out = group;
    return ERR_OK;
}

static enum err set_cpu(const struct cgroup *group, uint32_t cpu_milli)
{
    char text[64];
    const char *folder = group->folder[CGROUP_CPU];
    uint64_t quota = (uint64_t)cpu_milli * (CPU_PERIOD_US / 1000);
    if (quota < CPU_QUOTA_US_MIN)
        quota = CPU_QUOTA_US_MIN;
    if (group->version == 2) {
        (void)snprintf(text, sizeof(text), "%llu %d", (unsigned long long)quota, CPU_PERIOD_US);
        return write_small(folder, "cpu.max", text);
    }
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)quota);
    return write_small(folder, "cpu.cfs_quota_us", text);
}

bool cgroup_yield(const struct cgroup *group)
{
    const char *folder = group->folder[CGROUP_CPU];
    if (!cgroup_has(group, CGROUP_CPU))
        return false;
    return (group->version == 2 ? write_small(folder, "cpu.weight", "1")
                                : write_small(folder, "cpu.shares", "2")) == ERR_OK;
}

static enum err set_memory(const struct cgroup *group, uint64_t mem_bytes)
{
    char text[32];
    const char *folder = group->folder[CGROUP_MEMORY];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)mem_bytes);
    if (group->version == 2) {
        /* One process of a rank going means that the rank is broken: take it whole. */
        (void)!write_small(folder, "memory.oom.group", "1");
        (void)!write_small(folder, "memory.swap.max", "0");
        return write_small(folder, "memory.max", text);
    }
    enum err code = write_small(folder, "memory.limit_in_bytes", text);
    /* Only where the kernel accounts swap; without it nothing is lost. */
    (void)!write_small(folder, "memory.memsw.limit_in_bytes", text);
    return code;
}

static enum err set_pids(const struct cgroup *group, uint32_t pids)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%u", pids);
    return write_small(group->folder[CGROUP_PIDS], "pids.max", text);
}

static enum err set_limits(const struct cgroup *group, const struct cgroup_limits *limits)
{
    enum err code = ERR_OK;
    if (limits->cpu_milli != 0 && cgroup_has(group, CGROUP_CPU))
        code = set_cpu(group, limits->cpu_milli);
    if (code == ERR_OK && limits->mem_bytes != 0 && cgroup_has(group, CGROUP_MEMORY))
        code = set_memory(group, limits->mem_bytes);
    if (code == ERR_OK && limits->pids != 0 && cgroup_has(group, CGROUP_PIDS))
        code = set_pids(group, limits->pids);
    return code;
}

enum err cgroup_make(const struct cgroup *parent, const char *name,
                     const struct cgroup_limits *limits, struct cgroup *out, struct fault *fault)
{
    struct cgroup group;
    if (parent->version == 2) /* harmless where it is so already */
        for (int part = 0; part < CGROUP_PART_COUNT_; part++)
            if (parent->folder[part][0] != '\0') {
                (void)!write_small(parent->folder[part], "cgroup.subtree_control",
                                   "+cpu +memory +pids");
                break;
            }
    enum err code = cgroup_below(parent, name, &group);
    for (int part = 0; code == ERR_OK && part < CGROUP_PART_COUNT_; part++)
        if (group.folder[part][0] != '\0')
            code = make_folder(group.folder[part]);
    if (code == ERR_OK)
        code = set_limits(&group, limits);
    if (code != ERR_OK) {
        cgroup_remove(&group);
        return fault_set(fault, code, NULL, "the control group %s cannot be made with its limits",
                         name);
    }
    *out = group;
    return ERR_OK;
}

/* ---- using them */

/* Is the folder of `part` the same as that of an earlier one (version 2)? */
static bool is_repeated(const struct cgroup *group, int part)
{
    for (int i = 0; i < part; i++)
        if (strcmp(group->folder[i], group->folder[part]) == 0)
            return true;
    return false;
}

enum err cgroup_join(const struct cgroup *group)
{
    /* Version 1 moves a lone thread at once; a whole process waits for an RCU grace period first,
     * five to thirty milliseconds of every start. */
    const char *file = group->version == 1 ? "tasks" : "cgroup.procs";
    for (int part = 0; part < CGROUP_PART_COUNT_; part++) {
        if (group->folder[part][0] == '\0' || is_repeated(group, part))
            continue;
        enum err code = write_small(group->folder[part], file, "0");
        if (code != ERR_OK)
            return code;
    }
    return ERR_OK;
}

static const char *any_folder(const struct cgroup *group)
{
    static const enum cgroup_part order[] = {CGROUP_FREEZER, CGROUP_PIDS, CGROUP_MEMORY, CGROUP_CPU,
                                             CGROUP_CPUACCT};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        if (group->folder[order[i]][0] != '\0')
            return group->folder[order[i]];
    return "";
}

/* Signals every process of the folder (0: only counts). */
static uint32_t signal_all(const char *folder, int signal_number)
{
    char path[CGROUP_PATH_MAX];
    uint32_t count = 0;
    long pid = 0;
    if (join_path(folder, "cgroup.procs", path) != ERR_OK)
        return 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while (count < CGROUP_PIDS_READ_MAX && fscanf(file, "%ld", &pid) == 1) {
        if (pid > 1 && signal_number != 0)
            (void)kill((pid_t)pid, signal_number);
        count++;
    }
    (void)fclose(file);
    return count;
}

bool cgroup_is_empty(const struct cgroup *group)
{
    const char *folder = any_folder(group);
    uint64_t populated = 0;
    if (folder[0] == '\0')
        return true;
    if (group->version == 2 && read_number(folder, "cgroup.events", "populated", &populated))
        return populated == 0;
    return signal_all(folder, 0) == 0;
}

bool cgroup_kill(const struct cgroup *group)
{
    const char *folder = any_folder(group);
    if (folder[0] == '\0' || cgroup_is_empty(group))
        return false;
    if (group->version == 2 && write_small(folder, "cgroup.kill", "1") == ERR_OK)
        return true;
    bool has_freezer = group->version == 1 && cgroup_has(group, CGROUP_FREEZER);
    if (has_freezer) /* nobody forks while we count */
        (void)!write_small(group->folder[CGROUP_FREEZER], "freezer.state", "FROZEN");
    (void)signal_all(folder, SIGKILL);
    if (has_freezer)
        (void)!write_small(group->folder[CGROUP_FREEZER], "freezer.state", "THAWED");
    return true;
}

uint64_t cgroup_oom_kills(const struct cgroup *group)
{
    uint64_t count = 0;
    const char *name = group->version == 2 ? "memory.events" : "memory.oom_control";
    return read_number(group->folder[CGROUP_MEMORY], name, "oom_kill", &count) ? count : 0;
}

int64_t cgroup_cpu_ms(const struct cgroup *group)
{
    uint64_t value = 0;
    const char *folder = group->folder[CGROUP_CPUACCT];
    if (group->version == 2)
        return read_number(folder, "cpu.stat", "usage_usec", &value) ? (int64_t)(value / 1000) : -1;
    return read_number(folder, "cpuacct.usage", "", &value) ? (int64_t)(value / 1000000) : -1;
}

int64_t cgroup_mem_bytes(const struct cgroup *group)
{
    uint64_t value = 0;
    const char *name = group->version == 2 ? "memory.current" : "memory.usage_in_bytes";
    return read_number(group->folder[CGROUP_MEMORY], name, "", &value) ? (int64_t)value : -1;
}

void cgroup_remove(const struct cgroup *group)
{
    for (int part = 0; part < CGROUP_PART_COUNT_; part++)
        if (group->folder[part][0] != '\0' && !is_repeated(group, part))
            (void)rmdir(group->folder[part]);
}

void cgroup_of_self(struct cgroup *out)
{
    *out = (struct cgroup){0};
    if (own_folder("memory", out->folder[CGROUP_MEMORY]))
        out->version = 1;
    else if (own_folder("", out->folder[CGROUP_MEMORY]))
        out->version = 2;
    else
        out->folder[CGROUP_MEMORY][0] = '\0';
}
