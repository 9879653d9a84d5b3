#include "drive/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static DIR *open_folder(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    DIR *dir = fdopendir(fd);
    if (dir == NULL)
        (void)close(fd);
    return dir;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void close_all(DIR *stack[], int depth)
{
    for (; depth >= 0; depth--)
        (void)closedir(stack[depth]);
}

enum err tree_give(int folder, uint32_t uid, uint32_t gid)
{
    DIR *stack[TREE_DEPTH_MAX];
    int depth = 0;
    uint64_t entries = 0;
    if (fchown(folder, uid, gid) != 0)
        return errno == EPERM ? ERR_DENIED : ERR_IO;
    stack[0] = open_folder(folder, ".");
    if (stack[0] == NULL)
        return ERR_IO;
    while (depth >= 0) {
        struct dirent *entry = readdir(stack[depth]);
        if (entry == NULL) {
            (void)closedir(stack[depth--]);
            continue;
        }
        if (is_dots(entry->d_name))
            continue;
        int parent = dirfd(stack[depth]);
        bool is_failed = fchownat(parent, entry->d_name, uid, gid, AT_SYMLINK_NOFOLLOW) != 0;
        DIR *child = entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN
                         ? open_folder(parent, entry->d_name)
                         : NULL;
        if (is_failed || ++entries > TREE_ENTRIES_MAX ||
            (child != NULL && depth + 1 == TREE_DEPTH_MAX)) {
            if (child != NULL)
                (void)closedir(child);
            close_all(stack, depth);
            return is_failed ? ERR_IO : ERR_LIMIT;
        }
        if (child != NULL)
            stack[++depth] = child;
    }
    return ERR_OK;
}

/* Names of the folders on the way down are needed to remove them on the way up. */
void tree_empty(int folder)
{
    DIR *stack[TREE_DEPTH_MAX];
    char names[TREE_DEPTH_MAX][256];
    int depth = 0;
    uint64_t entries = 0;
    stack[0] = open_folder(folder, ".");
    if (stack[0] == NULL)
        return;
    while (depth >= 0) {
        struct dirent *entry = readdir(stack[depth]);
        if (entry == NULL || ++entries > TREE_ENTRIES_MAX) {
            (void)closedir(stack[depth--]);
            if (depth >= 0)
                (void)unlinkat(dirfd(stack[depth]), names[depth + 1], AT_REMOVEDIR);
            continue;
        }
        int parent = dirfd(stack[depth]);
        if (is_dots(entry->d_name) || unlinkat(parent, entry->d_name, 0) == 0 ||
            depth + 1 == TREE_DEPTH_MAX)
            continue;
        DIR *child = open_folder(parent, entry->d_name);
        if (child == NULL && fchmodat(parent, entry->d_name, 0700, 0) == 0)
            child = open_folder(parent, entry->d_name);
        if (child == NULL)
            continue;
        stack[++depth] = child;
        memcpy(names[depth], entry->d_name, strlen(entry->d_name) + 1);
    }
}
