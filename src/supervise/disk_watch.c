#include "supervise/disk_watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/units.h"

enum { LOOK_EVERY_MS = 250, LOOK_SHARE = 25 /* at most 1/25 of the time */, BLOCK_BYTES = 512 };
/* A rank that holds less is not the one that fills the disk. */
#define SMALL_BYTES (UINT64_C(16) << 20)

struct tally {
    uint64_t bytes, entries;
    bool is_deep;
};

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
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* The tree below is the program's: it may change, and hold links, while we walk. */
static void count_tree(int folder, struct tally *tally)
{
    DIR *stack[DISK_WATCH_DEPTH_MAX];
    int depth = 0;
    stack[0] = open_folder(folder, ".");
    if (stack[0] == NULL)
        return;
    while (depth >= 0) {
        struct dirent *entry =
            tally->entries > DISK_WATCH_ENTRIES_MAX ? NULL : readdir(stack[depth]);
        struct stat info;
        if (entry == NULL) {
            (void)closedir(stack[depth--]);
            continue;
        }
        if (is_dots(entry->d_name) ||
            fstatat(dirfd(stack[depth]), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        tally->entries++;
        tally->bytes += (uint64_t)info.st_blocks * BLOCK_BYTES;
        if (!S_ISDIR(info.st_mode))
            continue;
        if (depth + 1 == DISK_WATCH_DEPTH_MAX) {
            tally->is_deep = true;
            continue;
        }
        DIR *child = open_folder(dirfd(stack[depth]), entry->d_name);
        if (child != NULL)
            stack[++depth] = child;
    }
}

static int64_t cpu_now_ms(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static bool has_room(const struct disk_watch *watch)
{
    struct statvfs space;
    if (watch->folder_count == 0 || fstatvfs(watch->folders[0], &space) != 0)
        return true;
    return (uint64_t)space.f_bavail * space.f_frsize >= watch->reserve_bytes;
}

bool disk_watch_look(struct disk_watch *watch, struct boot_ns now, char *why, size_t size)
{
    struct tally tally = {0};
    char used[UNITS_TEXT_MAX], most[UNITS_TEXT_MAX];
    if (boot_is_before(now, watch->next_at))
        return true;
    int64_t began = cpu_now_ms();
    for (uint32_t i = 0; i < watch->folder_count; i++)
        count_tree(watch->folders[i], &tally);
    int64_t pause = (cpu_now_ms() - began) * LOOK_SHARE;
    watch->next_at = boot_add(now, SPAN_MS(pause > LOOK_EVERY_MS ? pause : LOOK_EVERY_MS));
    watch->used_bytes = tally.bytes;
    watch->entries = tally.entries;
    units_format_bytes_short(tally.bytes, used);
    units_format_bytes_short(watch->bytes_max, most);
    if (tally.bytes > watch->bytes_max)
        (void)snprintf(why, size,
                       "stopped: the work and scratch folders hold %s, over the limit of %s; ask "
                       "for more scratch",
                       used, most);
    else if (tally.entries > DISK_WATCH_ENTRIES_MAX)
        (void)snprintf(why, size, "stopped: more than %d files in the work and scratch folders",
                       DISK_WATCH_ENTRIES_MAX);
    else if (tally.is_deep)
        (void)snprintf(why, size, "stopped: folders nested deeper than %d", DISK_WATCH_DEPTH_MAX);
    else if (tally.bytes > SMALL_BYTES && !has_room(watch))
        (void)snprintf(why, size, "stopped: the site's disk is nearly full and this rank holds %s",
                       used);
    else
        return true;
    return false;
}
