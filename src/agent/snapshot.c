#include "agent/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/digest.h"
#include "port/file.h"
#include "store/folder_fd.h"

enum { NAME_BYTES = 256, LINK_TARGET_MAX = 1024, WALK_PATH_MAX = 4096 };

struct walk {
    const struct snapshot_wish *wish;
    struct snapshot found;
    uint32_t entries;
    struct buffer path; /* of the entry in hand, below the root */
    struct fault *fault;
};

struct level {
    DIR *dir;
    int to; /* the same folder in the target; -1: only looking */
    size_t path_len;
};

uint64_t snapshot_step_of(struct slice name)
{
    uint64_t best = 0;
    for (size_t i = 0; i < name.len;) {
        uint64_t value = 0;
        if (name.data[i] < '0' || name.data[i] > '9') {
            i++;
            continue;
        }
        while (i < name.len && name.data[i] >= '0' && name.data[i] <= '9') {
            value = value > UINT32_MAX ? value : value * 10 + (uint64_t)(name.data[i] - '0');
            i++;
        }
        if (value <= UINT32_MAX && value > best)
            best = value;
    }
    return best;
}

static bool is_unfinished_name(const char *name)
{
    return slice_has_suffix(slice_of(name), SLICE_LITERAL(".tmp"));
}

static enum err system_error(struct walk *walk)
{
    return folder_fd_error(errno, buffer_slice(&walk->path), walk->fault);
}

/* Names come in no fixed order, so parts are added up. Of a link the target counts, for its copy is
 * another file; of a file the very file counts, for the copy is the same one. */
static void count_part(struct walk *walk, const char *name, const char *line, int len)
{
    uint64_t part, step = snapshot_step_of(slice_of(name));
    struct digest digest = digest_of(slice_make(line, len < 0 ? 0 : (size_t)len));
    memcpy(&part, digest.bytes, sizeof(part));
    walk->found.fingerprint += part | 1;
    walk->found.files++;
    if (step > walk->found.step)
        walk->found.step = step;
}

static void count_file(struct walk *walk, const struct stat *info, const char *name)
{
    char line[WALK_PATH_MAX + 128];
    int n = snprintf(line, sizeof(line), "%.*s|%llu|%lld.%09ld|%llu",
                     SLICE_ARG(buffer_slice(&walk->path)), (unsigned long long)info->st_size,
                     (long long)info->st_mtim.tv_sec, info->st_mtim.tv_nsec,
                     (unsigned long long)info->st_ino);
    count_part(walk, name, line, n < (int)sizeof(line) ? n : (int)sizeof(line) - 1);
    walk->found.bytes += (uint64_t)info->st_size;
}

static bool is_young(const struct walk *walk, const struct stat *info)
{
    int64_t changed_us = (int64_t)info->st_mtim.tv_sec * 1000000 + info->st_mtim.tv_nsec / 1000;
    int64_t age_us = walk->wish->now.us - changed_us;
    /* Slightly ahead is a change during this very look. Far ahead is a program's own doing, or a
     * clock that was set: that cannot be waited for. */
    const int64_t quiet_us = (int64_t)SNAPSHOT_QUIET_MS * 1000;
    return !walk->wish->is_final && age_us > -quiet_us && age_us < quiet_us;
}

static enum err take_file(struct walk *walk, int from, int to, const char *name,
                          const struct stat *info)
{
    if (is_unfinished_name(name))
        return ERR_OK;
    if (is_young(walk, info)) {
        if (walk->wish->leaves_young)
            return ERR_OK;
        walk->found.has_young = true;
    }
    count_file(walk, info, name);
    if (to >= 0 && linkat(from, name, to, name, 0) != 0 && errno != ENOENT && errno != EEXIST)
        return system_error(walk);
    return ERR_OK;
}

/* Only what stays inside by its looks; the manifest's check is the judge. */
static enum err take_link(struct walk *walk, int from, int to, const char *name)
{
    char target[LINK_TARGET_MAX], line[WALK_PATH_MAX + LINK_TARGET_MAX + 8];
    ssize_t len = readlinkat(from, name, target, sizeof(target) - 1);
    if (len <= 0 || (size_t)len >= sizeof(target) - 1 || target[0] == '/')
        return ERR_OK;
    target[len] = '\0';
    if (strstr(target, "..") != NULL)
        return ERR_OK;
    int n = snprintf(line, sizeof(line), "%.*s|->%s", SLICE_ARG(buffer_slice(&walk->path)), target);
    count_part(walk, name, line, n < (int)sizeof(line) ? n : (int)sizeof(line) - 1);
    if (to >= 0 && symlinkat(target, to, name) != 0 && errno != EEXIST)
        return system_error(walk);
    return ERR_OK;
}

static enum err level_open(struct walk *walk, int from, int to, const char *name,
                           struct level *out_level)
{
    int sub_to = -1;
    int fd = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? ERR_NOT_FOUND
                                                                     : system_error(walk);
    if (to >= 0) {
        if ((mkdirat(to, name, 0700) != 0 && errno != EEXIST) ||
            (sub_to = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0) {
            enum err err = system_error(walk);
            (void)close(fd);
            return err;
        }
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        (void)close(fd);
        if (sub_to >= 0)
            (void)close(sub_to);
        return ERR_NO_MEMORY;
    }
    *out_level = (struct level){.dir = dir, .to = sub_to, .path_len = walk->path.len};
    return ERR_OK;
}

static void level_close(struct level *level)
{
    (void)closedir(level->dir);
    if (level->to >= 0)
        (void)close(level->to);
}

/* One name of a folder: taken, or (folders) opened as the next level. */
static enum err take_entry(struct walk *walk, int from, int to, const char *name,
                           struct level *levels, size_t *depth)
{
    struct stat info;
    if (++walk->entries > SNAPSHOT_ENTRIES_MAX)
        return fault_set(walk->fault, ERR_LIMIT, NULL, "more than %d files are in the folder",
                         SNAPSHOT_ENTRIES_MAX);
    if (fstatat(from, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? ERR_OK : system_error(walk);
    if (S_ISREG(info.st_mode))
        return take_file(walk, from, to, name, &info);
    if (S_ISLNK(info.st_mode))
        return take_link(walk, from, to, name);
    if (!S_ISDIR(info.st_mode))
        return ERR_OK;
    if (*depth >= SNAPSHOT_DEPTH_MAX)
        return fault_set(walk->fault, ERR_LIMIT, NULL, "folders are nested deeper than %d",
                         SNAPSHOT_DEPTH_MAX);
    enum err err = level_open(walk, from, to, name, &levels[*depth]);
    if (err == ERR_OK)
        (*depth)++;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void path_push(struct walk *walk, const char *name)
{
    if (walk->path.len > 0)
        buffer_append_char(&walk->path, '/');
    buffer_append_text(&walk->path, name);
}

/* `name` in `from`, and all below it. */
static enum err walk_entry(struct walk *walk, int from, int to, const char *name)
{
    struct level levels[SNAPSHOT_DEPTH_MAX];
    size_t depth = 0, base = walk->path.len;
    path_push(walk, name);
    enum err err = take_entry(walk, from, to, name, levels, &depth);
    while (depth > 0) {
        struct level *top = &levels[depth - 1];
        errno = 0;
        struct dirent *entry = err == ERR_OK ? readdir(top->dir) : NULL;
        buffer_truncate(&walk->path, top->path_len);
        if (entry == NULL) {
            level_close(top);
            depth--;
            continue;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        path_push(walk, entry->d_name);
        err = buffer_status(&walk->path);
        if (err == ERR_OK)
            err = take_entry(walk, dirfd(top->dir), top->to, entry->d_name, levels, &depth);
    }
    buffer_truncate(&walk->path, base);
    return err;
}

/* Everything in the root. */
static enum err walk_all(struct walk *walk, int root, int target)
{
    int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    enum err err = ERR_OK;
    struct dirent *entry;
    if (dir == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return system_error(walk);
    }
    while (err == ERR_OK && (entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            err = walk_entry(walk, root, target, entry->d_name);
    (void)closedir(dir);
    return err;
}

/* One wished path; what is not there is left out. */
static enum err walk_path(struct walk *walk, int root, int target, struct slice path)
{
    char name[NAME_BYTES], folder[WALK_PATH_MAX];
    int from, to = -1;
    struct fault ignored = {0};
    enum err err = folder_fd_open_parent(root, path, &ignored, &from, name);
    if (err != ERR_OK)
        return err == ERR_NOT_FOUND || err == ERR_INVALID ? ERR_OK : err;
    struct slice parent = {path.data, path.len - strlen(name)};
    if (parent.len > 0)
        parent.len--; /* the slash */
    if (target >= 0) {
        (void)snprintf(folder, sizeof(folder), "%s/%.*s", walk->wish->target, SLICE_ARG(parent));
        err = file_make_folders(folder, 0700, walk->fault);
        if (err == ERR_OK)
            err = folder_fd_open_below(target, parent, walk->fault, &to);
    }
    buffer_append(&walk->path, parent);
    if (err == ERR_OK)
        err = walk_entry(walk, from, to, name);
    buffer_truncate(&walk->path, 0);
    (void)close(from);
    if (to >= 0)
        (void)close(to);
    return err;
}

static enum err walk_run(struct walk *walk, int root, int target)
{
    enum err err = ERR_OK;
    walk->found = (struct snapshot){0};
    walk->entries = 0;
    if (walk->wish->paths.count == 0)
        return walk_all(walk, root, target);
    for (uint32_t i = 0; err == ERR_OK && i < walk->wish->paths.count; i++)
        err = walk_path(walk, root, target, walk->wish->paths.items[i]);
    return err;
}

static enum err root_open(const struct snapshot_wish *wish, struct fault *fault, int *out_fd)
{
    int work;
    enum err err = folder_fd_open(wish->work, fault, &work);
    if (err != ERR_OK)
        return err;
    err = folder_fd_open_below(work, wish->root, fault, out_fd);
    (void)close(work);
    return err;
}

static enum err link_all(struct walk *walk, int root)
{
    int target;
    const char *path = walk->wish->target;
    enum err err = file_remove_tree(path, walk->fault);
    if (err == ERR_OK)
        err = file_make_folders(path, 0700, walk->fault);
    if (err == ERR_OK)
        err = folder_fd_open(path, walk->fault, &target);
    if (err != ERR_OK)
        return err;
    err = walk_run(walk, root, target);
    (void)close(target);
    return err;
}

/* Links until the folder looked the same before, meanwhile and afterwards. */
static enum err link_moment(struct walk *walk, int root, enum snapshot_result *out_result)
{
    struct snapshot linked;
    enum err err = ERR_OK;
    for (unsigned tries = 0; tries < SNAPSHOT_TRIES_MAX; tries++) {
        uint64_t before = walk->found.fingerprint;
        err = link_all(walk, root);
        linked = walk->found;
        if (err == ERR_OK)
            err = walk_run(walk, root, -1);
        if (err != ERR_OK)
            return err;
        if (before == linked.fingerprint && walk->found.fingerprint == before) {
            walk->found = linked;
            *out_result = linked.files == 0 ? SNAPSHOT_EMPTY : SNAPSHOT_TAKEN;
            return ERR_OK;
        }
    }
    *out_result = SNAPSHOT_YOUNG;
    return ERR_OK;
}

enum err snapshot_take(const struct snapshot_wish *wish, enum snapshot_result *out_result,
                       struct snapshot *out_snapshot, struct fault *fault)
{
    struct walk walk = {.wish = wish, .fault = fault};
    int root;
    enum err err = root_open(wish, fault, &root);
    if (err == ERR_NOT_FOUND || err == ERR_INVALID) { /* not made yet, or no folder */
        *out_result = SNAPSHOT_EMPTY;
        return ERR_OK;
    }
    if (err != ERR_OK)
        return err;
    buffer_init(&walk.path, WALK_PATH_MAX);
    enum snapshot_result result = SNAPSHOT_TAKEN;
    err = walk_run(&walk, root, -1);
    if (err == ERR_OK && walk.found.files == 0)
        result = SNAPSHOT_EMPTY;
    else if (err == ERR_OK && walk.found.fingerprint == wish->known)
        result = SNAPSHOT_SAME;
    else if (err == ERR_OK)
        err = link_moment(&walk, root, &result);
    (void)close(root);
    buffer_deinit(&walk.path);
    if (err != ERR_OK)
        return err;
    *out_result = result;
    *out_snapshot = walk.found;
    return ERR_OK;
}

enum err snapshot_is_still(const char *target, const struct snapshot *snapshot, bool *out_is_still,
                           struct fault *fault)
{
    const struct snapshot_wish wish = {.work = target, .target = target, .is_final = true};
    struct walk walk = {.wish = &wish, .fault = fault};
    int root;
    enum err err = folder_fd_open(target, fault, &root);
    if (err != ERR_OK)
        return err;
    buffer_init(&walk.path, WALK_PATH_MAX);
    err = walk_run(&walk, root, -1);
    (void)close(root);
    buffer_deinit(&walk.path);
    if (err == ERR_OK)
        *out_is_still = walk.found.fingerprint == snapshot->fingerprint;
    return err;
}
