/* How much disk a rank's folders use, looked at now and then at a bounded share of time: the one
 * limit for which plain Linux has no cheap fence of its own. One thread. */
#ifndef LQ_SUPERVISE_DISK_WATCH_H
#define LQ_SUPERVISE_DISK_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/time.h"

enum { DISK_WATCH_FOLDERS_MAX = 2, DISK_WATCH_ENTRIES_MAX = 1000000, DISK_WATCH_DEPTH_MAX = 96 };

struct disk_watch {
    int folders[DISK_WATCH_FOLDERS_MAX]; /* borrowed descriptors */
    uint32_t folder_count;
    uint64_t bytes_max, reserve_bytes;
    struct boot_ns next_at;
    uint64_t used_bytes, entries; /* of the last look */
};

/* Looks when it is due (`now`); false and a sentence in `why` when the rank must be stopped: over
 * bytes_max, over DISK_WATCH_ENTRIES_MAX files, deeper than DISK_WATCH_DEPTH_MAX, or the disk's
 * reserve is reached and this rank holds a noticeable part. */
bool disk_watch_look(struct disk_watch *watch, struct boot_ns now, char *why, size_t size);

#endif
