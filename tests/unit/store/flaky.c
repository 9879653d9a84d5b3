#include "flaky.h"

#include <sqlite3.h>
#include <stddef.h>
#include <string.h>

struct flaky flaky = {.left = -1};

static sqlite3_vfs vfs;
static sqlite3_io_methods methods;
static sqlite3_vfs *below;

struct flaky_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
};

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct flaky_file *)file)->real;
}

static bool fails_now(void)
{
    flaky.seen++;
    if (flaky.left < 0)
        return false;
    if (flaky.left > 0) {
        flaky.left--;
        return false;
    }
    if (!flaky.is_lasting)
        flaky.left = -1;
    return true;
}

static int flaky_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int flaky_read(sqlite3_file *file, void *buffer, int len, sqlite3_int64 offset)
{
    return real_of(file)->pMethods->xRead(real_of(file), buffer, len, offset);
}

/* A failed write may have happened in part. */
static int flaky_write(sqlite3_file *file, const void *buffer, int len, sqlite3_int64 offset)
{
    sqlite3_file *real = real_of(file);
    if (!fails_now())
        return real->pMethods->xWrite(real, buffer, len, offset);
    (void)real->pMethods->xWrite(real, buffer, len / 2, offset);
    return flaky.is_full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int flaky_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    if (fails_now())
        return SQLITE_IOERR_TRUNCATE;
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

/* Nobody pulls the plug here, so a sync that works need not wait for a disk. */
static int flaky_sync(sqlite3_file *file, int flags)
{
    (void)file, (void)flags;
    return fails_now() ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int flaky_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int flaky_lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int flaky_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int flaky_check_lock(sqlite3_file *file, int *out)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int flaky_control(sqlite3_file *file, int op, void *argument)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), op, argument);
}

static int flaky_sector(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int flaky_device(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int flaky_open(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags, int *out)
{
    struct flaky_file *flaky_file = (struct flaky_file *)file;
    (void)self;
    flaky_file->real = (sqlite3_file *)(flaky_file + 1);
    memset(flaky_file->real, 0, (size_t)below->szOsFile);
    int code = below->xOpen(below, name, flaky_file->real, flags, out);
    flaky_file->base.pMethods = code == SQLITE_OK ? &methods : NULL;
    return code;
}

/* Version 1 methods: no shared memory, so the database must be opened exclusively. */
void flaky_register(void)
{
    if (below)
        return;
    below = sqlite3_vfs_find(NULL);
    vfs = *below;
    vfs.zName = "flaky";
    vfs.szOsFile = (int)sizeof(struct flaky_file) + below->szOsFile;
    vfs.xOpen = flaky_open;
    methods = (sqlite3_io_methods){
        .iVersion = 1,
        .xClose = flaky_close,
        .xRead = flaky_read,
        .xWrite = flaky_write,
        .xTruncate = flaky_truncate,
        .xSync = flaky_sync,
        .xFileSize = flaky_size,
        .xLock = flaky_lock,
        .xUnlock = flaky_unlock,
        .xCheckReservedLock = flaky_check_lock,
        .xFileControl = flaky_control,
        .xSectorSize = flaky_sector,
        .xDeviceCharacteristics = flaky_device,
    };
    (void)sqlite3_vfs_register(&vfs, 0);
}
