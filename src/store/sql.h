/* A thin layer over SQLite for this folder only: opening with our pragmas, kept statements,
 * versioned migrations, and one place that turns SQLite's codes into ours. One thread at a time. */
#ifndef LQ_STORE_SQL_H
#define LQ_STORE_SQL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "base/slice.h"

enum {
    SQL_STATEMENTS_MAX = 96,
    SQL_BUSY_MS = 5000, /* wait for another connection's short lock; not for a simulated VFS */
    SQL_CHECKPOINT_PAGES = 4000, /* the log is folded into the database at this length */
    SQL_LOG_BYTES_KEPT = 64 * 1024 * 1024,
};

struct sql_migration {
    uint32_t version; /* 1, 2, ... in order */
    const char *name;
    const char *text; /* statements */
};

struct sql_schema {
    uint32_t application; /* in the file's header: tells our kinds of file apart */
    const char *what;     /* "server database" */
    const struct sql_migration *migrations;
    uint32_t count;
};

struct sql_config {
    const char *path;
    const char *vfs;
    bool is_read_only;
    bool is_exclusive;
    uint64_t cache_bytes;
    const struct sql_schema *schema; /* NULL: take the file as it is */
    const char *const *texts;        /* the kept statements, by the caller's enum */
    uint32_t text_count;             /* at most SQL_STATEMENTS_MAX */
};

struct sql {
    sqlite3 *handle;
    const char *const *texts;
    uint32_t text_count;
    sqlite3_stmt *kept[SQL_STATEMENTS_MAX];
    sqlite3_stmt *begin_read, *begin_write, *commit;
};

/* ERR_NOT_FOUND, ERR_UNSUPPORTED (newer schema, or older when read-only), ERR_INVALID (another kind
 * of database), ERR_CORRUPT, ERR_FULL, ERR_IO, ERR_BUSY, ERR_NO_MEMORY. `sql` is closed on failure.
 */
enum err sql_open(struct sql *sql, const struct sql_config *config, struct fault *fault) LQ_CHECKED;
void sql_close(struct sql *sql); /* accepts a zeroed one */
/* Brings the file to the schema's newest version, a transaction a migration. */
enum err sql_migrate(struct sql *sql, const struct sql_schema *schema,
                     struct fault *fault) LQ_CHECKED;

/* The error of `code` (SQLite's) with the connection's own words in the fault. A primary key or
 * unique constraint is ERR_STALE. */
enum err sql_error(struct sql *sql, int code, struct fault *fault);
enum err sql_exec(struct sql *sql, const char *text, struct fault *fault) LQ_CHECKED;
/* One integer; ERR_NOT_FOUND when there is no row. NULL reads 0. */
enum err sql_exec_i64(struct sql *sql, const char *text, int64_t *out,
                      struct fault *fault) LQ_CHECKED;

/* The kept statement, reset and ready to bind; NULL when it cannot be prepared (sql_error_last
 * tells). */
sqlite3_stmt *sql_use(struct sql *sql, uint32_t index);
enum err sql_error_last(struct sql *sql, struct fault *fault);
/* Runs a statement to its end (at most one row, ignored), resets it. *out_changed (may be NULL):
 * rows changed. */
enum err sql_run(struct sql *sql, sqlite3_stmt *statement, int *out_changed,
                 struct fault *fault) LQ_CHECKED;
/* Next row: *out_has false at the end, and then, as on an error, the statement is reset. */
enum err sql_next(struct sql *sql, sqlite3_stmt *statement, bool *out_has,
                  struct fault *fault) LQ_CHECKED;

/* Transactions; rollback never fails as far as the caller can help it. */
enum err sql_begin(struct sql *sql, bool is_write, struct fault *fault) LQ_CHECKED;
enum err sql_commit(struct sql *sql, struct fault *fault) LQ_CHECKED;
void sql_rollback(struct sql *sql);

/* Binding, by position from 1. Bytes must live until the statement is reset. Failure shows at the
 * step. An id that is none is NULL. */
void sql_bind_id(sqlite3_stmt *statement, int position, const struct id *id);
void sql_bind_u64(sqlite3_stmt *statement, int position, uint64_t value);
void sql_bind_i64(sqlite3_stmt *statement, int position, int64_t value);
void sql_bind_text(sqlite3_stmt *statement, int position, struct slice text);
void sql_bind_bytes(sqlite3_stmt *statement, int position, const void *bytes, size_t len);

/* Reading a column, from 0. */
struct id sql_id(sqlite3_stmt *statement, int column); /* NULL or not 16 bytes: none */
uint64_t sql_u64(sqlite3_stmt *statement, int column);
uint32_t sql_u32(sqlite3_stmt *statement, int column);
struct slice sql_text(sqlite3_stmt *statement, int column); /* lives until the next step */
/* Copies up to `len` bytes into `out` and zeroes the rest. */
void sql_bytes(sqlite3_stmt *statement, int column, void *out, size_t len);

#endif
