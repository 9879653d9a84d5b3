#include "sim/disk.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum { VFS_NAME_MAX = 32, PATH_BYTES_MAX = 64, GROW_BYTES = 16384 };

struct disks {
    sqlite3_vfs vfs;
    char name[VFS_NAME_MAX];
    struct random random;
    struct disk disk[DISKS_MAX];
};

struct open_file {
    sqlite3_file base;
    struct disks *disks;
    struct disk *disk;
    struct disk_file *file;
};

/* ---- files */

static bool grow(uint8_t **data, size_t *cap, size_t need)
{
    if (need <= *cap)
        return true;
    size_t wanted = *cap != 0 ? *cap : GROW_BYTES;
    while (wanted < need)
        wanted *= 2;
    uint8_t *larger = realloc(*data, wanted);
    if (larger == NULL)
        return false;
    memset(larger + *cap, 0, wanted - *cap);
    *data = larger;
    *cap = wanted;
    return true;
}

static struct disk_file *find_file(struct disk *disk, const char *name)
{
    for (uint32_t i = 0; i < DISK_FILES_MAX; i++)
        if (disk->files[i].is_used && strcmp(disk->files[i].name, name) == 0)
            return &disk->files[i];
    return NULL;
}

static struct disk_file *make_file(struct disk *disk, const char *name)
{
    struct disk_file *file = find_file(disk, name);
    for (uint32_t i = 0; file == NULL && i < DISK_FILES_MAX; i++)
        if (!disk->files[i].is_used)
            file = &disk->files[i];
    if (file == NULL)
        return NULL;
    file->is_used = true;
    file->is_deleted = false;
    snprintf(file->name, sizeof(file->name), "%s", name);
    return file;
}

static void mark_clean(struct disk_file *file)
{
    if (file->dirty_low < file->dirty_high)
        memset(file->dirty + file->dirty_low, 0, file->dirty_high - file->dirty_low);
    file->dirty_low = SIZE_MAX;
    file->dirty_high = 0;
}

static void empty_file(struct disk_file *file)
{
    mark_clean(file);
    file->len = file->safe_len = 0;
}

static bool mark_dirty(struct disk_file *file, size_t from, size_t to)
{
    size_t low = from / DISK_SECTOR_BYTES;
    size_t high = (to + DISK_SECTOR_BYTES - 1) / DISK_SECTOR_BYTES;
    if (!grow(&file->dirty, &file->dirty_cap, high))
        return false;
    memset(file->dirty + low, 1, high - low);
    if (low < file->dirty_low)
        file->dirty_low = low;
    if (high > file->dirty_high)
        file->dirty_high = high;
    return true;
}

static void copy_sector(struct disk_file *file, size_t sector)
{
    size_t at = sector * DISK_SECTOR_BYTES;
    if (at >= file->len)
        return;
    size_t left = file->len - at;
    memcpy(file->safe + at, file->data + at, left < DISK_SECTOR_BYTES ? left : DISK_SECTOR_BYTES);
}

static bool sync_file(struct disk_file *file)
{
    if (!grow(&file->safe, &file->safe_cap, file->len))
        return false;
    for (size_t i = file->dirty_low; i < file->dirty_high; i++)
        if (file->dirty[i] != 0)
            copy_sector(file, i);
    file->safe_len = file->len;
    mark_clean(file);
    return true;
}

/* ---- faults */

/* Counts a call that changes the disk; false: it fails. */
static bool may_change(struct open_file *open)
{
    struct disk *disk = open->disk;
    if (disk->is_off)
        return false;
    if (disk->off_after != 0 && --disk->off_after == 0) {
        disk->is_off = true;
        return false;
    }
    return disk->fail_ppm == 0 || !random_chance(&open->disks->random, disk->fail_ppm);
}

/* ---- sqlite3_io_methods */

static int file_close(sqlite3_file *base)
{
    struct open_file *open = (struct open_file *)base;
    ASSERT(open->file->open_count > 0);
    open->file->open_count--;
    return SQLITE_OK;
}

static int file_read(sqlite3_file *base, void *out, int len, sqlite3_int64 offset)
{
    struct open_file *open = (struct open_file *)base;
    const struct disk_file *file = open->file;
    if (open->disk->is_off)
        return SQLITE_IOERR_READ;
    size_t at = (size_t)offset, want = (size_t)len;
    size_t have = at < file->len ? file->len - at : 0;
    if (have > want)
        have = want;
    if (have != 0)
        memcpy(out, file->data + at, have);
    if (have == want)
        return SQLITE_OK;
    memset((char *)out + have, 0, want - have);
    return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 offset)
{
    struct open_file *open = (struct open_file *)base;
    struct disk_file *file = open->file;
    size_t from = (size_t)offset, to = from + (size_t)len;
    if (!may_change(open))
        return SQLITE_IOERR_WRITE;
    if (to > DISK_FILE_BYTES_MAX || (open->disk->is_full && to > file->len))
        return SQLITE_FULL;
    if (!grow(&file->data, &file->cap, to) || !mark_dirty(file, from, to))
        return SQLITE_IOERR_NOMEM;
    if (from > file->len)
        memset(file->data + file->len, 0, from - file->len);
    memcpy(file->data + from, bytes, (size_t)len);
    if (to > file->len)
        file->len = to;
    open->disk->writes++;
    return SQLITE_OK;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct open_file *open = (struct open_file *)base;
    if (!may_change(open))
        return SQLITE_IOERR_TRUNCATE;
    if ((size_t)size < open->file->len)
        open->file->len = (size_t)size;
    return SQLITE_OK;
}

static int file_sync(sqlite3_file *base, int flags)
{
    struct open_file *open = (struct open_file *)base;
    (void)flags;
    if (!may_change(open))
        return SQLITE_IOERR_FSYNC;
    open->disk->syncs++;
    return sync_file(open->file) ? SQLITE_OK : SQLITE_IOERR_NOMEM;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *out)
{
    *out = (sqlite3_int64)((struct open_file *)base)->file->len;
    return SQLITE_OK;
}

/* One process a machine uses its database: the store's own lock file is not simulated. */
static int file_lock(sqlite3_file *base, int level)
{
    (void)base;
    (void)level;
    return SQLITE_OK;
}

static int file_check_lock(sqlite3_file *base, int *out)
{
    (void)base;
    *out = 0;
    return SQLITE_OK;
}

static int file_control(sqlite3_file *base, int op, void *arg)
{
    (void)base;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *base)
{
    (void)base;
    return DISK_SECTOR_BYTES;
}

static int file_characteristics(sqlite3_file *base)
{
    (void)base;
    return 0; /* promises nothing: a power loss may tear what lies beside a write */
}

static const sqlite3_io_methods FILE_METHODS = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_lock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
};

/* ---- sqlite3_vfs */

static struct disks *disks_of(sqlite3_vfs *vfs)
{
    return vfs->pAppData;
}

/* "3/server.db" is file "server.db" of disk 3. */
static struct disk *split_path(struct disks *disks, const char *path, const char **out_name)
{
    const char *slash = strchr(path, '/');
    uint64_t index = 0;
    if (slash == NULL || slice_parse_u64(slice_make(path, (size_t)(slash - path)), &index) ||
        index >= DISKS_MAX)
        return NULL;
    *out_name = slash + 1;
    return &disks->disk[index];
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags,
                    int *out_flags)
{
    struct open_file *open = (struct open_file *)base;
    const char *name = NULL;
    struct disk *disk = path != NULL ? split_path(disks_of(vfs), path, &name) : NULL;
    base->pMethods = NULL;
    if (disk == NULL || disk->is_off)
        return SQLITE_CANTOPEN;
    struct disk_file *file = find_file(disk, name);
    if (file == NULL || file->is_deleted) {
        if ((flags & SQLITE_OPEN_CREATE) == 0)
            return SQLITE_CANTOPEN;
        file = make_file(disk, name);
        if (file == NULL)
            return SQLITE_CANTOPEN;
        empty_file(file);
    }
    file->open_count++;
    *open = (struct open_file){
        .base = {&FILE_METHODS}, .disks = disks_of(vfs), .disk = disk, .file = file};
    if (out_flags != NULL)
        *out_flags = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
    const char *name;
    struct disk *disk = split_path(disks_of(vfs), path, &name);
    (void)sync_dir;
    if (disk == NULL || disk->is_off)
        return SQLITE_IOERR_DELETE;
    struct disk_file *file = find_file(disk, name);
    if (file == NULL || file->is_deleted)
        return SQLITE_IOERR_DELETE_NOENT;
    file->is_deleted = true;
    empty_file(file);
    return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
    const char *name;
    struct disk *disk = split_path(disks_of(vfs), path, &name);
    struct disk_file *file = disk != NULL ? find_file(disk, name) : NULL;
    (void)flags;
    *out = file != NULL && !file->is_deleted;
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int len, char *out)
{
    (void)vfs;
    return snprintf(out, (size_t)len, "%s", path) < len ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int vfs_randomness(sqlite3_vfs *vfs, int len, char *out)
{
    random_fill(&disks_of(vfs)->random, out, (size_t)len);
    return len;
}

static int vfs_sleep(sqlite3_vfs *vfs, int micros)
{
    (void)vfs;
    return micros;
}

static int vfs_time(sqlite3_vfs *vfs, sqlite3_int64 *out_ms)
{
    (void)vfs;
    *out_ms = INT64_C(212000000000000);
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int len, char *out)
{
    (void)vfs;
    (void)len;
    (void)out;
    return EIO;
}

struct disks *disks_create(uint32_t number)
{
    struct disks *disks = calloc(1, sizeof(*disks));
    if (disks == NULL)
        return NULL;
    snprintf(disks->name, sizeof(disks->name), "lq-sim-%u", number);
    disks->vfs = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = sizeof(struct open_file),
        .mxPathname = PATH_BYTES_MAX,
        .zName = disks->name,
        .pAppData = disks,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xGetLastError = vfs_last_error,
        .xCurrentTimeInt64 = vfs_time,
    };
    disks_reset(disks, 0);
    if (sqlite3_vfs_register(&disks->vfs, 0) != SQLITE_OK) {
        free(disks);
        return NULL;
    }
    return disks;
}

void disks_destroy(struct disks *disks)
{
    if (disks == NULL)
        return;
    sqlite3_vfs_unregister(&disks->vfs);
    for (uint32_t i = 0; i < DISKS_MAX; i++) {
        for (uint32_t j = 0; j < DISK_FILES_MAX; j++) {
            struct disk_file *file = &disks->disk[i].files[j];
            ASSERT(file->open_count == 0);
            free(file->data);
            free(file->safe);
            free(file->dirty);
        }
    }
    free(disks);
}

const char *disks_vfs_name(const struct disks *disks)
{
    return disks->name;
}

void disks_reset(struct disks *disks, uint64_t seed)
{
    random_init(&disks->random, seed);
    for (uint32_t i = 0; i < DISKS_MAX; i++) {
        struct disk *disk = &disks->disk[i];
        disk->is_off = disk->is_full = false;
        disk->fail_ppm = disk->off_after = 0;
        disk->writes = disk->syncs = 0;
        for (uint32_t j = 0; j < DISK_FILES_MAX; j++) {
            empty_file(&disk->files[j]);
            disk->files[j].is_used = false;
        }
    }
}

struct disk *disks_at(struct disks *disks, uint32_t index)
{
    ASSERT(index < DISKS_MAX);
    return &disks->disk[index];
}

struct slice disk_read_file(const struct disk *disk, const char *name)
{
    const struct disk_file *file = find_file((struct disk *)disk, name);
    return file == NULL || file->is_deleted ? (struct slice){0} : slice_make(file->data, file->len);
}

enum err disk_write_file(struct disk *disk, const char *name, struct slice bytes)
{
    struct disk_file *file = make_file(disk, name);
    if (file == NULL)
        return ERR_LIMIT;
    empty_file(file);
    if (!grow(&file->data, &file->cap, bytes.len) || !grow(&file->safe, &file->safe_cap, bytes.len))
        return ERR_NO_MEMORY;
    if (bytes.len != 0) {
        memcpy(file->data, bytes.data, bytes.len);
        memcpy(file->safe, bytes.data, bytes.len);
    }
    file->len = file->safe_len = bytes.len;
    return ERR_OK;
}

void disk_remove_file(struct disk *disk, const char *name)
{
    struct disk_file *file = find_file(disk, name);
    if (file == NULL)
        return;
    empty_file(file);
    file->is_deleted = true;
}

/* ---- loss of power */

/* What a file is after it: each unsynced sector old or new, the length old or new. */
static void lose_file(struct random *random, struct disk_file *file)
{
    uint32_t kept_ppm = (uint32_t)random_below(random, 3) * 500000;
    size_t len = random_chance(random, 500000) ? file->len : file->safe_len;
    bool has_room = grow(&file->safe, &file->safe_cap, len) && grow(&file->data, &file->cap, len);
    ASSERT(has_room);
    if (len > file->safe_len)
        memset(file->safe + file->safe_len, 0, len - file->safe_len);
    for (size_t i = file->dirty_low; i < file->dirty_high; i++)
        if (file->dirty[i] != 0 && i * DISK_SECTOR_BYTES < len && random_chance(random, kept_ppm)) {
            size_t at = i * DISK_SECTOR_BYTES;
            size_t end = at + DISK_SECTOR_BYTES < file->len ? at + DISK_SECTOR_BYTES : file->len;
            end = end < len ? end : len;
            if (end > at)
                memcpy(file->safe + at, file->data + at, end - at);
        }
    memcpy(file->data, file->safe, len);
    file->len = file->safe_len = len;
    mark_clean(file);
}

void disk_lose_power(struct disks *disks, struct disk *disk)
{
    for (uint32_t i = 0; i < DISK_FILES_MAX; i++) {
        struct disk_file *file = &disk->files[i];
        if (!file->is_used || file->is_deleted)
            continue;
        ASSERT(file->open_count == 0);
        if (file->dirty_low < file->dirty_high || file->len != file->safe_len)
            lose_file(&disks->random, file);
    }
}

void disk_restart(struct disk *disk)
{
    disk->is_off = false;
    disk->off_after = 0;
}
