#include "store/backup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "port/file.h"
#include "store/sqlite.h"

enum { BACKUP_PATH_MAX = FILE_PATH_MAX - 64, BACKUP_ASIDE_MAX = 1000 };

struct store_backup {
    struct sql source;
    sqlite3 *target;
    sqlite3_backup *copy;
    bool is_done;
    char target_path[BACKUP_PATH_MAX];
    char partial_path[FILE_PATH_MAX];
};

/* Without a schema: a backup may be older than this program; opening it for writing brings it up.
 */
static const struct sql_config READ_ONLY = {
    .is_read_only = true,
    .texts = SQLITE_STORE_TEXTS,
    .text_count = SQLITE_STATEMENT_COUNT_,
};

/* ---- making ---- */

/* A read transaction held open from here to the end: the copy shows one moment, and the writer's
 * commits do not make it start again. */
static enum err open_source(struct store_backup *backup, const char *path, struct fault *fault)
{
    struct sql_config config = READ_ONLY;
    config.path = path;
    enum err err = sql_open(&backup->source, &config, fault);
    int64_t epoch = 0;
    if (!err)
        err = sql_begin(&backup->source, false, fault);
    if (!err)
        err = sql_exec_i64(&backup->source, "SELECT db_epoch FROM meta", &epoch, fault);
    return err;
}

static enum err open_target(struct store_backup *backup, struct fault *fault)
{
    enum err err = file_remove(backup->partial_path, NULL); /* of an earlier, interrupted one */
    if (err && err != ERR_NOT_FOUND)
        return fault_set(fault, err, NULL, "%s cannot be removed", backup->partial_path);
    int code = sqlite3_open_v2(backup->partial_path, &backup->target,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                                   SQLITE_OPEN_EXRESCODE,
                               NULL);
    struct sql target = {.handle = backup->target};
    if (code != SQLITE_OK)
        return sql_error(&target, code, fault);
    backup->copy = sqlite3_backup_init(backup->target, "main", backup->source.handle, "main");
    return backup->copy ? ERR_OK
                        : sql_error(&target, sqlite3_extended_errcode(backup->target), fault);
}

enum err store_backup_begin(const char *source_path, const char *target_path,
                            struct store_backup **out_backup, struct fault *fault)
{
    struct file_info info;
    if (strlen(target_path) >= BACKUP_PATH_MAX)
        return fault_set(fault, ERR_LIMIT, NULL, "the backup's path is too long");
    enum err err = file_stat(target_path, &info);
    if (err == ERR_OK)
        return fault_set(fault, ERR_EXISTS, NULL, "%s stands already", target_path);
    if (err != ERR_NOT_FOUND)
        return fault_set(fault, err, NULL, "%s cannot be looked at", target_path);
    struct store_backup *backup = calloc(1, sizeof *backup);
    if (!backup)
        return ERR_NO_MEMORY;
    memcpy(backup->target_path, target_path, strlen(target_path) + 1);
    snprintf(backup->partial_path, sizeof backup->partial_path, "%s.partial", target_path);
    err = open_source(backup, source_path, fault);
    if (!err)
        err = open_target(backup, fault);
    if (err) {
        store_backup_end(backup);
        return err;
    }
    *out_backup = backup;
    return ERR_OK;
}

static enum err check_sound(sqlite3 *handle, const char *path, struct fault *fault)
{
    struct sql sql = {.handle = handle};
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(handle, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    enum err err = ERR_OK;
    if (code != SQLITE_ROW)
        err = sql_error(&sql, code, fault);
    else if (!slice_is(sql_text(statement, 0), "ok"))
        err = fault_set(fault, ERR_CORRUPT, NULL, "%s is damaged", path);
    sqlite3_finalize(statement);
    return err;
}

/* The last step: look at the whole copy, then give it its name. */
static enum err finish_copy(struct store_backup *backup, struct fault *fault)
{
    int code = sqlite3_backup_finish(backup->copy);
    backup->copy = NULL;
    struct sql target = {.handle = backup->target};
    enum err err = code == SQLITE_OK ? ERR_OK : sql_error(&target, code, fault);
    if (!err)
        err = check_sound(backup->target, backup->partial_path, fault);
    sqlite3_close(backup->target);
    backup->target = NULL;
    int fd = -1;
    if (!err)
        err = file_open(backup->partial_path, FILE_OPEN_READ_WRITE, 0600, fault, &fd);
    if (!err)
        err = file_sync(fd);
    file_close(fd);
    if (!err)
        err = file_rename(backup->partial_path, backup->target_path, fault);
    backup->is_done = err == ERR_OK;
    return err;
}

enum err store_backup_step(struct store_backup *backup, uint32_t pages, uint32_t *out_left,
                           struct fault *fault)
{
    ASSERT(backup->copy);
    errno = 0;
    int code = sqlite3_backup_step(backup->copy, pages ? (int)pages : BACKUP_STEP_PAGES);
    if (code == SQLITE_DONE) {
        enum err err = finish_copy(backup, fault);
        if (!err)
            *out_left = 0;
        return err;
    }
    struct sql target = {.handle = backup->target};
    if (code != SQLITE_OK)
        return sql_error(&target, code, fault);
    int left = sqlite3_backup_remaining(backup->copy);
    *out_left = left > 0 ? (uint32_t)left : 1;
    return ERR_OK;
}

void store_backup_end(struct store_backup *backup)
{
    if (!backup)
        return;
    if (backup->copy)
        (void)sqlite3_backup_finish(backup->copy);
    sqlite3_close(backup->target);
    if (backup->source.handle) {
        sql_rollback(&backup->source);
        sql_close(&backup->source);
    }
    if (!backup->is_done)
        (void)!file_remove(backup->partial_path, NULL);
    free(backup);
}

/* ---- putting back ---- */

static enum err copy_whole(const char *from, const char *to, struct fault *fault)
{
    struct store_backup *backup = NULL;
    uint32_t left = 1;
    enum err err = store_backup_begin(from, to, &backup, fault);
    while (!err && left > 0)
        err = store_backup_step(backup, 4096, &left, fault);
    store_backup_end(backup);
    return err;
}

/* The epoch of the database that is to be replaced: 0 when there is none, or none can be read. */
static uint64_t epoch_of(const char *path)
{
    struct sql sql = {0};
    struct file_info info;
    int64_t epoch = 0;
    if (file_stat(path, &info) != ERR_OK ||
        sqlite3_open_v2(path, &sql.handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, NULL) !=
            SQLITE_OK ||
        sql_exec_i64(&sql, "SELECT db_epoch FROM meta", &epoch, NULL) != ERR_OK)
        epoch = 0;
    sqlite3_close(sql.handle);
    return epoch > 0 ? (uint64_t)epoch : 0;
}

static enum err mark_restored(const char *path, uint64_t epoch, struct fault *fault)
{
    struct sql sql;
    struct sql_config config = READ_ONLY;
    char text[160];
    config.path = path;
    config.schema = &SQLITE_STORE_SCHEMA;
    config.is_read_only = false;
    config.is_exclusive = true;
    enum err err = sql_open(&sql, &config, fault);
    if (err)
        return err;
    snprintf(text, sizeof text, "UPDATE meta SET is_restored=1, db_epoch=max(db_epoch,%llu)",
             (unsigned long long)epoch);
    err = sql_exec(&sql, text, fault);
    if (!err)
        err = sql_exec(&sql, "PRAGMA wal_checkpoint(TRUNCATE)", fault);
    sql_close(&sql);
    return err;
}

/* What stands at `path` stays as "<path>.before-restore-N". The database gets a second name rather
 * than another one, so that the rename which follows replaces it in one step: at no moment would a
 * start find none and make an empty one. Its log is gone already (epoch_of has closed it cleanly)
 * unless it is damaged; then the log goes first, because it must not meet the new database. */
static enum err set_aside(const char *path, struct fault *fault)
{
    static const char *const logs[] = {"-wal", "-shm"};
    char aside[FILE_PATH_MAX + 64];
    struct file_info info;
    enum err err = ERR_OK;
    for (int number = 1; err == ERR_OK; number++) {
        snprintf(aside, sizeof aside, "%s.before-restore-%d", path, number);
        err = number == BACKUP_ASIDE_MAX ? ERR_LIMIT : file_stat(aside, &info);
    }
    if (err != ERR_NOT_FOUND)
        return fault_set(fault, err, NULL, "%s cannot be set aside", path);
    for (size_t i = 0; i < sizeof logs / sizeof logs[0]; i++) {
        char from[FILE_PATH_MAX + 64], to[FILE_PATH_MAX + 128];
        snprintf(from, sizeof from, "%s%s", path, logs[i]);
        snprintf(to, sizeof to, "%s%s", aside, logs[i]);
        err = file_rename(from, to, NULL);
        if (err && err != ERR_NOT_FOUND)
            return fault_set(fault, err, NULL, "%s cannot be set aside", from);
    }
    if (link(path, aside) == 0 || errno == ENOENT)
        return ERR_OK;
    return fault_set(fault, ERR_IO, NULL, "%s cannot be set aside: %s", path,
                     strerrordesc_np(errno));
}

static enum err restore_locked(const char *backup_path, const char *path, struct fault *fault)
{
    char fresh[FILE_PATH_MAX];
    snprintf(fresh, sizeof fresh, "%s.restoring", path);
    enum err err = file_remove(fresh, NULL);
    if (err && err != ERR_NOT_FOUND)
        return fault_set(fault, err, NULL, "%s cannot be removed", fresh);
    err = copy_whole(backup_path, fresh, fault);
    if (!err)
        err = mark_restored(fresh, epoch_of(path), fault);
    if (!err)
        err = set_aside(path, fault);
    if (!err)
        err = file_rename(fresh, path, fault);
    if (err)
        (void)!file_remove(fresh, NULL);
    return err;
}

enum err store_restore(const char *backup_path, const char *path, struct fault *fault)
{
    char lock_path[FILE_PATH_MAX];
    if (strlen(path) >= BACKUP_PATH_MAX)
        return fault_set(fault, ERR_LIMIT, NULL, "the database's path is too long");
    snprintf(lock_path, sizeof lock_path, "%s.lock", path);
    struct file_lock lock = {.fd = -1};
    struct fault why = {0};
    enum err err = file_lock_take(lock_path, &why, &lock);
    if (err == ERR_BUSY)
        return fault_set(fault, ERR_BUSY, NULL, "%s is open in a running server; stop it first",
                         path);
    if (err) {
        if (fault)
            *fault = why;
        return err;
    }
    err = restore_locked(backup_path, path, fault);
    file_lock_release(&lock);
    return err;
}
