#include "store/sql.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

/* ---- errors ---- */

static bool is_full_errno(int number)
{
    return number == ENOSPC || number == EDQUOT || number == EFBIG;
}

static enum err code_error(sqlite3 *handle, int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return ERR_OK;
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_NOMEM:
        return ERR_NO_MEMORY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_MISMATCH:
    case SQLITE_FORMAT:
        return ERR_CORRUPT;
    case SQLITE_TOOBIG:
        return ERR_LIMIT;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return ERR_DENIED;
    case SQLITE_CONSTRAINT:
        return code == SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_UNIQUE ||
                       code == SQLITE_CONSTRAINT_ROWID
                   ? ERR_STALE
                   : ERR_INVALID;
    case SQLITE_IOERR:
        if (code == SQLITE_IOERR_NOMEM)
            return ERR_NO_MEMORY;
        if (code == SQLITE_IOERR_CORRUPTFS)
            return ERR_CORRUPT;
        break;
    default:
        break;
    }
    /* SQLite calls a quota, a file size limit, or a refused extension of its shared memory an I/O
     * error, and does not always keep the system's own number; every call here starts with errno 0.
     */
    bool is_full = is_full_errno(errno) || (handle && is_full_errno(sqlite3_system_errno(handle)));
    return is_full ? ERR_FULL : ERR_IO;
}

enum err sql_error(struct sql *sql, int code, struct fault *fault)
{
    enum err err = code_error(sql->handle, code);
    if (err == ERR_OK || err == ERR_STALE)
        return err;
    return fault_set(fault, err, NULL, "database: %s (code %d)",
                     sql->handle ? sqlite3_errmsg(sql->handle) : sqlite3_errstr(code), code);
}

enum err sql_error_last(struct sql *sql, struct fault *fault)
{
    enum err err = sql_error(sql, sqlite3_extended_errcode(sql->handle), fault);
    return err ? err : fault_set(fault, ERR_NO_MEMORY, NULL, "database: cannot prepare");
}

/* ---- statements ---- */

enum err sql_exec(struct sql *sql, const char *text, struct fault *fault)
{
    errno = 0;
    int code = sqlite3_exec(sql->handle, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? ERR_OK
                             : sql_error(sql, sqlite3_extended_errcode(sql->handle), fault);
}

enum err sql_exec_i64(struct sql *sql, const char *text, int64_t *out, struct fault *fault)
{
    sqlite3_stmt *statement = NULL;
    errno = 0;
    int code = sqlite3_prepare_v2(sql->handle, text, -1, &statement, NULL);
    if (code != SQLITE_OK)
        return sql_error(sql, sqlite3_extended_errcode(sql->handle), fault);
    code = sqlite3_step(statement);
    enum err err = ERR_OK;
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    else if (code == SQLITE_DONE)
        err = ERR_NOT_FOUND;
    else
        err = sql_error(sql, sqlite3_extended_errcode(sql->handle), fault);
    sqlite3_finalize(statement);
    return err;
}

sqlite3_stmt *sql_use(struct sql *sql, uint32_t index)
{
    ASSERT(index < sql->text_count);
    sqlite3_stmt *statement = sql->kept[index];
    if (statement) {
        sqlite3_reset(statement);
        return statement;
    }
    int code = sqlite3_prepare_v3(sql->handle, sql->texts[index], -1, SQLITE_PREPARE_PERSISTENT,
                                  &statement, NULL);
    if (code != SQLITE_OK)
        return NULL;
    sql->kept[index] = statement;
    return statement;
}

enum err sql_run(struct sql *sql, sqlite3_stmt *statement, int *out_changed, struct fault *fault)
{
    errno = 0;
    int code = sqlite3_step(statement);
    enum err err = ERR_OK;
    if (code != SQLITE_DONE && code != SQLITE_ROW)
        err = sql_error(sql, sqlite3_extended_errcode(sql->handle), fault);
    else if (out_changed)
        *out_changed = sqlite3_changes(sql->handle);
    sqlite3_reset(statement);
    return err;
}

enum err sql_next(struct sql *sql, sqlite3_stmt *statement, bool *out_has, struct fault *fault)
{
    errno = 0;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *out_has = true;
        return ERR_OK;
    }
    enum err err = ERR_OK;
    if (code == SQLITE_DONE)
        *out_has = false;
    else
        err = sql_error(sql, sqlite3_extended_errcode(sql->handle), fault);
    sqlite3_reset(statement);
    return err;
}

/* Kept like the others: two of them go with every small change. */
static enum err run_kept(struct sql *sql, sqlite3_stmt **kept, const char *text,
                         struct fault *fault)
{
    if (!*kept) {
        int code = sqlite3_prepare_v3(sql->handle, text, -1, SQLITE_PREPARE_PERSISTENT, kept, NULL);
        if (code != SQLITE_OK)
            return sql_error_last(sql, fault);
    }
    return sql_run(sql, *kept, NULL, fault);
}

enum err sql_begin(struct sql *sql, bool is_write, struct fault *fault)
{
    return is_write ? run_kept(sql, &sql->begin_write, "BEGIN IMMEDIATE", fault)
                    : run_kept(sql, &sql->begin_read, "BEGIN", fault);
}

enum err sql_commit(struct sql *sql, struct fault *fault)
{
    enum err err = run_kept(sql, &sql->commit, "COMMIT", fault);
    if (err)
        sql_rollback(sql);
    return err;
}

void sql_rollback(struct sql *sql)
{
    for (uint32_t i = 0; i < sql->text_count; i++) {
        if (sql->kept[i])
            sqlite3_reset(sql->kept[i]);
    }
    /* Some errors have rolled back already; and a rollback that fails leaves nothing to do but to
     * let the next BEGIN fail. */
    if (!sqlite3_get_autocommit(sql->handle))
        (void)sqlite3_exec(sql->handle, "ROLLBACK", NULL, NULL, NULL);
}

/* ---- opening ---- */

static enum err set_pragmas(struct sql *sql, const struct sql_config *config, struct fault *fault)
{
    char text[128];
    uint64_t cache_kib = config->cache_bytes / 1024;
    enum err err = ERR_OK;
    if (!err && config->is_exclusive)
        err = sql_exec(sql, "PRAGMA locking_mode=EXCLUSIVE", fault);
    if (!err)
        err = sql_exec(sql,
                       "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
                       "PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=OFF",
                       fault);
    if (!err && cache_kib > 0) {
        snprintf(text, sizeof text, "PRAGMA cache_size=-%llu", (unsigned long long)cache_kib);
        err = sql_exec(sql, text, fault);
    }
    if (!err && config->is_read_only)
        err = sql_exec(sql, "PRAGMA query_only=ON", fault);
    return err;
}

static enum err set_journal(struct sql *sql, struct fault *fault)
{
    sqlite3_stmt *statement = NULL;
    errno = 0;
    int code = sqlite3_prepare_v2(sql->handle, "PRAGMA journal_mode=WAL", -1, &statement, NULL);
    bool is_wal = false;
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
        is_wal = code == SQLITE_ROW && slice_is(sql_text(statement, 0), "wal");
    }
    enum err err = ERR_OK;
    if (code != SQLITE_ROW && code != SQLITE_OK)
        err = sql_error(sql, sqlite3_extended_errcode(sql->handle), fault);
    else if (!is_wal)
        err = fault_set(fault, ERR_UNSUPPORTED, NULL,
                        "this file system cannot hold a database with a write-ahead log");
    sqlite3_finalize(statement);
    if (err)
        return err;
    char text[160];
    snprintf(text, sizeof text,
             "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=%d; PRAGMA journal_size_limit=%d",
             SQL_CHECKPOINT_PAGES, SQL_LOG_BYTES_KEPT);
    return sql_exec(sql, text, fault);
}

static enum err schema_version(struct sql *sql, const struct sql_schema *schema,
                               uint32_t *out_version, struct fault *fault)
{
    int64_t application = 0, tables = 0, version = 0;
    enum err err = sql_exec_i64(sql, "PRAGMA application_id", &application, fault);
    if (!err)
        err = sql_exec_i64(sql, "SELECT count(*) FROM sqlite_schema", &tables, fault);
    if (err)
        return err;
    if (tables == 0) {
        *out_version = 0;
        return ERR_OK;
    }
    if (application != (int64_t)schema->application)
        return fault_set(fault, ERR_INVALID, NULL, "the file is not a %s", schema->what);
    err =
        sql_exec_i64(sql, "SELECT coalesce(max(version),0) FROM schema_migration", &version, fault);
    if (err)
        return err;
    if (version > (int64_t)schema->count)
        return fault_set(fault, ERR_UNSUPPORTED, NULL,
                         "the %s has schema %lld, this program knows up to %u; use a newer program",
                         schema->what, (long long)version, schema->count);
    *out_version = (uint32_t)version;
    return ERR_OK;
}

static enum err migrate_one(struct sql *sql, const struct sql_schema *schema,
                            const struct sql_migration *migration, struct fault *fault)
{
    char text[256];
    enum err err = sql_begin(sql, true, fault);
    if (err)
        return err;
    if (migration->version == 1) {
        snprintf(text, sizeof text,
                 "PRAGMA application_id=%u; CREATE TABLE schema_migration("
                 "version INTEGER PRIMARY KEY, name TEXT NOT NULL)",
                 schema->application);
        err = sql_exec(sql, text, fault);
    }
    if (!err)
        err = sql_exec(sql, migration->text, fault);
    if (!err) {
        snprintf(text, sizeof text, "INSERT INTO schema_migration VALUES(%u,'%s')",
                 migration->version, migration->name);
        err = sql_exec(sql, text, fault);
    }
    if (err) {
        sql_rollback(sql);
        return err;
    }
    return sql_commit(sql, fault);
}

enum err sql_migrate(struct sql *sql, const struct sql_schema *schema, struct fault *fault)
{
    uint32_t version = 0;
    enum err err = schema_version(sql, schema, &version, fault);
    for (uint32_t i = version; !err && i < schema->count; i++) {
        ASSERT(schema->migrations[i].version == i + 1);
        err = migrate_one(sql, schema, &schema->migrations[i], fault);
    }
    return err;
}

static enum err check_present(struct sql *sql, const struct sql_schema *schema, struct fault *fault)
{
    uint32_t version = 0;
    enum err err = schema_version(sql, schema, &version, fault);
    if (!err && version != schema->count)
        err = fault_set(fault, ERR_UNSUPPORTED, NULL,
                        "the %s has schema %u, not %u; open it once for writing", schema->what,
                        version, schema->count);
    return err;
}

static enum err open_handle(struct sql *sql, const struct sql_config *config, struct fault *fault)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_PRIVATECACHE;
    flags |=
        config->is_read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    errno = 0;
    int code = sqlite3_open_v2(config->path, &sql->handle, flags, config->vfs);
    if (code == SQLITE_CANTOPEN && sql->handle && sqlite3_system_errno(sql->handle) == ENOENT)
        return fault_set(fault, ERR_NOT_FOUND, NULL, "%s: there is no such database", config->path);
    if (code != SQLITE_OK)
        return sql_error(sql, code, fault);
    (void)sqlite3_db_config(sql->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    /* A simulated world has no time to pass while we wait. */
    if (!config->vfs)
        (void)sqlite3_busy_timeout(sql->handle, SQL_BUSY_MS);
    return ERR_OK;
}

/* A process that was killed between writing its log and syncing it leaves a commit that we read as
 * committed, but that a loss of power would still take back. Nobody may act on it before it is
 * durable: a commit of our own syncs the log with all that stands in it. */
static enum err settle(struct sql *sql, struct fault *fault)
{
    enum err err = sql_begin(sql, true, fault);
    if (!err)
        err = sql_exec(sql, "UPDATE schema_migration SET version=version WHERE version=1", fault);
    if (err) {
        sql_rollback(sql);
        return err;
    }
    return sql_commit(sql, fault);
}

enum err sql_open(struct sql *sql, const struct sql_config *config, struct fault *fault)
{
    ASSERT(config->text_count <= SQL_STATEMENTS_MAX);
    *sql = (struct sql){.texts = config->texts, .text_count = config->text_count};
    enum err err = open_handle(sql, config, fault);
    if (!err)
        err = set_pragmas(sql, config, fault);
    if (!err && !config->is_read_only)
        err = set_journal(sql, fault);
    if (!err && config->schema)
        err = config->is_read_only ? check_present(sql, config->schema, fault)
                                   : sql_migrate(sql, config->schema, fault);
    if (!err && config->schema && !config->is_read_only)
        err = settle(sql, fault);
    if (err)
        sql_close(sql);
    return err;
}

void sql_close(struct sql *sql)
{
    for (uint32_t i = 0; i < sql->text_count; i++) {
        sqlite3_finalize(sql->kept[i]);
        sql->kept[i] = NULL;
    }
    sqlite3_finalize(sql->begin_read);
    sqlite3_finalize(sql->begin_write);
    sqlite3_finalize(sql->commit);
    sql->begin_read = sql->begin_write = sql->commit = NULL;
    int code = sqlite3_close(sql->handle);
    ASSERT(code != SQLITE_BUSY); /* a statement was left open: our mistake */
    sql->handle = NULL;
}

/* ---- binding and columns ---- */

/* What fails here is out of memory or a wrong position; the first shows again at the step, the
 * second in every test. */

void sql_bind_id(sqlite3_stmt *statement, int position, const struct id *id)
{
    if (id_is_none(*id))
        (void)sqlite3_bind_null(statement, position);
    else
        (void)sqlite3_bind_blob(statement, position, id->bytes, sizeof id->bytes, SQLITE_STATIC);
}

void sql_bind_u64(sqlite3_stmt *statement, int position, uint64_t value)
{
    (void)sqlite3_bind_int64(statement, position, (sqlite3_int64)value);
}

void sql_bind_i64(sqlite3_stmt *statement, int position, int64_t value)
{
    (void)sqlite3_bind_int64(statement, position, value);
}

void sql_bind_text(sqlite3_stmt *statement, int position, struct slice text)
{
    (void)sqlite3_bind_text64(statement, position, text.len ? text.data : "", text.len,
                              SQLITE_STATIC, SQLITE_UTF8);
}

void sql_bind_bytes(sqlite3_stmt *statement, int position, const void *bytes, size_t len)
{
    (void)sqlite3_bind_blob64(statement, position, len ? bytes : "", len, SQLITE_STATIC);
}

struct id sql_id(sqlite3_stmt *statement, int column)
{
    struct id id = {{0}};
    const void *bytes = sqlite3_column_blob(statement, column);
    if (bytes && sqlite3_column_bytes(statement, column) == (int)sizeof id.bytes)
        memcpy(id.bytes, bytes, sizeof id.bytes);
    return id;
}

uint64_t sql_u64(sqlite3_stmt *statement, int column)
{
    return (uint64_t)sqlite3_column_int64(statement, column);
}

uint32_t sql_u32(sqlite3_stmt *statement, int column)
{
    return (uint32_t)sqlite3_column_int64(statement, column);
}

struct slice sql_text(sqlite3_stmt *statement, int column)
{
    const void *bytes = sqlite3_column_blob(statement, column);
    return slice_make(bytes, bytes ? (size_t)sqlite3_column_bytes(statement, column) : 0);
}

void sql_bytes(sqlite3_stmt *statement, int column, void *out, size_t len)
{
    memset(out, 0, len);
    struct slice bytes = sql_text(statement, column);
    if (bytes.len > 0)
        memcpy(out, bytes.data, bytes.len < len ? bytes.len : len);
}
