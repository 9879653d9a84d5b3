/* What the server's core is built from at start. */
#include "store/sqlite.h"
#include "store/sqlite_rows.h"

enum err sqlite_tails_read(struct sqlite_store *store, struct fault *fault)
{
    struct sqlite_tails tails = {0};
    static const enum sqlite_statement order[] = {SQL_META_READ, SQL_META_AUDIT, SQL_META_EVENTS};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        sqlite3_stmt *statement = sql_use(&store->sql, order[i]);
        if (!statement)
            return sql_error_last(&store->sql, fault);
        bool has = false;
        enum err err = sql_next(&store->sql, statement, &has, fault);
        if (err)
            return err;
        if (has && order[i] == SQL_META_READ) {
            tails.meta.db_epoch = sql_u64(statement, 0);
            tails.meta.is_restored = sql_u64(statement, 1) != 0;
            tails.meta.quarantined = sql_u64(statement, 2);
        } else if (has && order[i] == SQL_META_AUDIT) {
            tails.meta.audit_seq = sql_u64(statement, 0);
            sql_bytes(statement, 1, tails.meta.audit_hash.bytes, HASH_BYTES);
        } else if (has) {
            tails.meta.event_first = sql_u64(statement, 0);
            tails.meta.event_seq = sql_u64(statement, 1);
        }
        sqlite3_reset(statement);
    }
    if (tails.meta.db_epoch == 0)
        return fault_set(fault, ERR_CORRUPT, NULL, "database: its epoch is missing");
    store->tails = tails;
    return ERR_OK;
}

static enum err give_doc(const struct store_load_sink *sink, sqlite3_stmt *row, struct fault *fault)
{
    struct doc doc = {
        .kind = (enum doc_kind)sql_u32(row, 0),
        .id = sql_text(row, 1),
        .parent = sql_text(row, 2),
        .version = sql_u64(row, 3),
        .changed_at = {sqlite3_column_int64(row, 4)},
        .body = sql_text(row, 5),
    };
    if (doc.kind >= DOC_KIND_COUNT_)
        return fault_set(fault, ERR_CORRUPT, NULL, "database: a document of an unknown kind");
    return sink->on_doc(sink->context, &doc);
}

static enum err give_spec(const struct store_load_sink *sink, sqlite3_stmt *row,
                          struct fault *fault)
{
    (void)fault;
    return sink->on_spec(sink->context, (struct spec_id){sql_id(row, 0)}, sql_text(row, 1));
}

static enum err give_job(const struct store_load_sink *sink, sqlite3_stmt *row, struct fault *fault)
{
    struct job_row job;
    row_job_read(row, 0, &job);
    enum err err = row_job_check(&job, fault);
    return err ? err : sink->on_job(sink->context, &job);
}

static enum err give_attempt(const struct store_load_sink *sink, sqlite3_stmt *row,
                             struct fault *fault)
{
    struct attempt_row attempt;
    int column = row_attempt_read(row, 0, &attempt);
    enum err err = row_attempt_check(&attempt, fault);
    return err ? err : sink->on_attempt(sink->context, &attempt, sql_text(row, column));
}

static enum err give_watermark(const struct store_load_sink *sink, sqlite3_stmt *row,
                               struct fault *fault)
{
    (void)fault;
    return sink->on_watermark(sink->context, (struct site_id){sql_id(row, 0)},
                              (struct journal_id){sql_id(row, 1)}, sql_u64(row, 2));
}

static enum err load_rows(struct sqlite_store *store, const struct store_load_sink *sink,
                          enum sqlite_statement which,
                          enum err (*give)(const struct store_load_sink *, sqlite3_stmt *,
                                           struct fault *),
                          struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&store->sql, which);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    for (;;) {
        bool has = false;
        enum err err = sql_next(&store->sql, statement, &has, fault);
        if (err || !has)
            return err;
        err = give(sink, statement, fault);
        if (err) {
            sqlite3_reset(statement);
            return err;
        }
    }
}

static enum err load_all(struct sqlite_store *store, const struct store_load_sink *sink,
                         struct fault *fault)
{
    enum err err = sqlite_tails_read(store, fault);
    if (!err && sink->on_meta)
        err = sink->on_meta(sink->context, &store->tails.meta);
    if (!err && sink->on_doc)
        err = load_rows(store, sink, SQL_LOAD_DOCS, give_doc, fault);
    if (!err && sink->on_spec)
        err = load_rows(store, sink, SQL_LOAD_SPECS, give_spec, fault);
    if (!err && sink->on_job)
        err = load_rows(store, sink, SQL_LOAD_JOBS, give_job, fault);
    if (!err && sink->on_attempt)
        err = load_rows(store, sink, SQL_LOAD_ATTEMPTS, give_attempt, fault);
    if (!err && sink->on_watermark)
        err = load_rows(store, sink, SQL_LOAD_WATERMARKS, give_watermark, fault);
    return err;
}

enum err sqlite_store_load(struct store_db *db, const struct store_load_sink *sink,
                           struct fault *fault)
{
    struct sqlite_store *store = (struct sqlite_store *)db;
    enum err err = sql_begin(&store->sql, false, fault);
    if (err)
        return err;
    err = load_all(store, sink, fault);
    sql_rollback(&store->sql); /* it only read */
    return err;
}
