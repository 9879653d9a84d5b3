/* Folders: listing and removing. Removal works on descriptors relative to each other, so that a
 * link put in the way while it runs is never followed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "port/file.h"
#include "port/posix/os_error.h"

static bool entry_is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static enum file_kind entry_kind(int folder_fd, const struct dirent *entry)
{
    switch (entry->d_type) {
    case DT_REG:
        return FILE_PLAIN;
    case DT_DIR:
        return FILE_FOLDER;
    case DT_LNK:
        return FILE_LINK;
    case DT_UNKNOWN:
        break;
    default:
        return FILE_OTHER;
    }
    struct stat info;
    if (fstatat(folder_fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return FILE_OTHER;
    if (S_ISREG(info.st_mode))
        return FILE_PLAIN;
    return S_ISDIR(info.st_mode) ? FILE_FOLDER : S_ISLNK(info.st_mode) ? FILE_LINK : FILE_OTHER;
}

static int entry_compare(const void *a, const void *b)
{
    return strcmp(((const struct file_entry *)a)->name, ((const struct file_entry *)b)->name);
}

static enum err file_list_read(DIR *folder, size_t entries_max, struct arena *arena,
                               struct file_entry **out_entries, size_t *out_count)
{
    size_t cap = 0, count = 0;
    struct file_entry *entries = NULL;
    enum err code = ERR_OK;
    struct dirent *entry;
    while (code == ERR_OK && (errno = 0, entry = readdir(folder)) != NULL) {
        if (entry_is_dots(entry->d_name))
            continue;
        if (count == entries_max) {
            code = ERR_LIMIT;
            break;
        }
        if (count == cap) {
            cap = cap == 0 ? 16 : cap * 2;
            struct file_entry *wider = realloc(entries, cap * sizeof(*entries));
            if (wider == NULL) {
                code = ERR_NO_MEMORY;
                break;
            }
            entries = wider;
        }
        entries[count].kind = entry_kind(dirfd(folder), entry);
        entries[count].name = arena_text(arena, slice_of(entry->d_name));
        code = entries[count].name == NULL ? ERR_NO_MEMORY : ERR_OK;
        count++;
    }
    if (code == ERR_OK && errno != 0)
        code = os_error(errno);
    struct file_entry *kept =
        code == ERR_OK && count > 0 ? arena_array(arena, count, sizeof(*kept)) : NULL;
    if (code == ERR_OK && count > 0 && kept == NULL)
        code = ERR_NO_MEMORY;
    if (code == ERR_OK) {
        if (count > 0) {
            qsort(entries, count, sizeof(*entries), entry_compare); /* names are distinct */
            memcpy(kept, entries, count * sizeof(*entries));
        }
        *out_entries = kept;
        *out_count = count;
    }
    free(entries);
    return code;
}

enum err file_list(const char *path, size_t entries_max, struct arena *arena, struct fault *fault,
                   struct file_entry **out_entries, size_t *out_count)
{
    DIR *folder = opendir(path); /* close-on-exec by glibc */
    if (folder == NULL)
        return os_fault(fault, errno, "cannot list", path);
    enum err code = file_list_read(folder, entries_max, arena, out_entries, out_count);
    closedir(folder);
    if (code == ERR_LIMIT)
        return fault_set(fault, code, NULL, "%s has more than %zu entries", path, entries_max);
    if (code != ERR_OK)
        return fault_set(fault, code, NULL, "cannot list %s: %s", path, err_name(code));
    return ERR_OK;
}

/* One open folder on the way down. */
struct tree_level {
    DIR *folder;
    char name[256]; /* in its parent */
};

struct tree_removal {
    struct tree_level *levels; /* FILE_TREE_DEPTH_MAX */
    size_t depth;
    dev_t device;
    enum err first_error;
    char first_name[256];
};

static void tree_note(struct tree_removal *removal, int number, const char *name)
{
    if (removal->first_error != ERR_OK)
        return;
    removal->first_error = os_error(number);
    size_t len = strnlen(name, sizeof(removal->first_name) - 1);
    memcpy(removal->first_name, name, len);
    removal->first_name[len] = '\0';
}

static void tree_enter(struct tree_removal *removal, int parent_fd, const char *name)
{
    if (removal->depth == FILE_TREE_DEPTH_MAX) {
        tree_note(removal, EFBIG, name);
        return;
    }
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES &&
        fchmodat(parent_fd, name, 0700, 0) == 0) /* a folder its owner locked; links have no mode of
                                                    their own, and O_NOFOLLOW decides again */
        fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat info;
    if (fd >= 0 && (fstat(fd, &info) != 0 || info.st_dev != removal->device)) {
        close(fd);
        fd = -1;
        errno = EXDEV; /* another file system is mounted here: not ours to remove */
    }
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        tree_note(removal, errno, name);
        if (fd >= 0)
            close(fd);
        return;
    }
    struct tree_level *level = &removal->levels[removal->depth++];
    level->folder = folder;
    size_t len = strnlen(name, sizeof(level->name) - 1);
    memcpy(level->name, name, len);
    level->name[len] = '\0';
}

/* Empties the deepest open folder until it meets a folder to enter first, or is done. */
static void tree_step(struct tree_removal *removal, int base_fd)
{
    struct tree_level *level = &removal->levels[removal->depth - 1];
    struct dirent *entry;
    while ((entry = readdir(level->folder)) != NULL) {
        if (entry_is_dots(entry->d_name))
            continue;
        int fd = dirfd(level->folder);
        if (unlinkat(fd, entry->d_name, 0) == 0)
            continue;
        int number = errno;
        if (number != EISDIR && number != EPERM) {
            tree_note(removal, number, entry->d_name);
            continue;
        }
        if (entry_kind(fd, entry) != FILE_FOLDER) {
            tree_note(removal, number, entry->d_name);
            continue;
        }
        size_t before = removal->depth;
        tree_enter(removal, fd, entry->d_name);
        if (removal->depth > before)
            return;
    }
    closedir(level->folder);
    removal->depth--;
    int parent_fd =
        removal->depth > 0 ? dirfd(removal->levels[removal->depth - 1].folder) : base_fd;
    if (unlinkat(parent_fd, level->name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        tree_note(removal, errno, level->name);
}

static int tree_split(const char *path, char folder[FILE_PATH_MAX], char name[256])
{
    size_t len = strnlen(path, FILE_PATH_MAX);
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len == 0 || len >= FILE_PATH_MAX)
        return EINVAL;
    size_t cut = len;
    while (cut > 0 && path[cut - 1] != '/')
        cut--;
    if (len - cut == 0 || len - cut > 255)
        return EINVAL;
    memcpy(name, path + cut, len - cut);
    name[len - cut] = '\0';
    if (entry_is_dots(name))
        return EINVAL;
    memcpy(folder, cut == 0 ? "." : path, cut == 0 ? 1 : cut);
    folder[cut == 0 ? 1 : cut] = '\0';
    return 0;
}

enum err file_remove_tree(const char *path, struct fault *fault)
{
    char folder[FILE_PATH_MAX];
    char name[256];
    int number = tree_split(path, folder, name);
    if (number != 0)
        return os_fault(fault, number, "cannot remove", path);
    int base_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (base_fd < 0)
        return errno == ENOENT ? ERR_OK : os_fault(fault, errno, "cannot remove", path);
    struct stat info;
    struct tree_removal removal = {.first_error = ERR_OK};
    if (fstatat(base_fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT)
            tree_note(&removal, errno, name);
    } else if (!S_ISDIR(info.st_mode)) {
        if (unlinkat(base_fd, name, 0) != 0 && errno != ENOENT)
            tree_note(&removal, errno, name);
    } else {
        removal.levels = calloc(FILE_TREE_DEPTH_MAX, sizeof(*removal.levels));
        removal.device = info.st_dev;
        if (removal.levels == NULL)
            tree_note(&removal, ENOMEM, name);
        else
            tree_enter(&removal, base_fd, name);
        while (removal.depth > 0)
            tree_step(&removal, base_fd);
        free(removal.levels);
    }
    close(base_fd);
    if (removal.first_error != ERR_OK)
        return fault_set(fault, removal.first_error, NULL, "cannot remove %s: %s at '%s'", path,
                         err_name(removal.first_error), removal.first_name);
    return ERR_OK;
}
