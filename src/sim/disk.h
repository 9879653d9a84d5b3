/* A crashable disk in memory, as an SQLite VFS.
 *
 * A world has a few disks, one a machine; a path is "<disk>/<name>". What was written and not yet
 * synced is lost, kept or torn, sector by sector, when the power fails; a killed process leaves
 * everything to the operating system, which keeps it. A disk can be full, can fail single calls,
 * and can go off in the middle of a commit.
 *
 * One `struct disks` belongs to one thread; its VFS is registered with SQLite under its name. All
 * randomness comes from the seed given to disks_reset, so that the same calls give the same
 * bytes. */
#ifndef LQ_SIM_DISK_H
#define LQ_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/random.h"
#include "base/slice.h"

enum {
    DISKS_MAX = 12,
    DISK_FILES_MAX = 8,
    DISK_NAME_MAX = 32,
    DISK_SECTOR_BYTES = 512,
    DISK_FILE_BYTES_MAX = 64 << 20,
};

struct disk_file {
    char name[DISK_NAME_MAX];
    bool is_used, is_deleted;
    uint32_t open_count;
    uint8_t *data; /* as the operating system has it */
    size_t len, cap;
    uint8_t *safe; /* as it stands after a loss of power, but for torn sectors */
    size_t safe_len, safe_cap;
    uint8_t *dirty; /* a byte a sector: written since the last sync */
    size_t dirty_cap, dirty_low, dirty_high;
};

struct disk {
    struct disk_file files[DISK_FILES_MAX];
    bool is_off;        /* every call fails until disk_restart */
    bool is_full;       /* files cannot grow */
    uint32_t fail_ppm;  /* chance that a write or a sync fails */
    uint32_t off_after; /* writes and syncs until it goes off; 0: not planned */
    uint64_t writes, syncs;
};

struct disks;

/* Registers the VFS. `number` tells threads apart. NULL: no memory or SQLite refused. */
struct disks *disks_create(uint32_t number);
void disks_destroy(struct disks *disks); /* accepts NULL; every database must be closed */
const char *disks_vfs_name(const struct disks *disks);
/* Empties all disks and seeds their randomness; keeps memory for the next world. */
void disks_reset(struct disks *disks, uint64_t seed);
struct disk *disks_at(struct disks *disks, uint32_t index);

/* The whole content of a file; empty when there is none. Lives until the next write. */
struct slice disk_read_file(const struct disk *disk, const char *name);
/* Puts a durable file there. */
enum err disk_write_file(struct disk *disk, const char *name, struct slice bytes) LQ_CHECKED;
void disk_remove_file(struct disk *disk, const char *name);

/* The machine lost power: unsynced sectors are lost, kept or torn. Files must be closed. */
void disk_lose_power(struct disks *disks, struct disk *disk);
/* Calls work again. */
void disk_restart(struct disk *disk);

#endif
