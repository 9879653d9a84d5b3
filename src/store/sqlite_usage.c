/* Usage records are kept once, for ever. A record that comes again with the same bytes changes
 * nothing; one with the same key and other bytes is kept aside for people to look at, and never
 * replaces the first. */
#include <string.h>

#include "store/sqlite.h"
#include "store/sqlite_rows.h"

enum err sqlite_stream(struct sqlite_store *store, struct site_id site, struct journal_id journal,
                       bool is_made, uint64_t *out_number, struct fault *fault)
{
    struct sqlite_tails *tails = &store->tails;
    if (tails->stream.number && id_is_equal(tails->stream.site.id, site.id) &&
        id_is_equal(tails->stream.journal.id, journal.id)) {
        *out_number = tails->stream.number;
        return ERR_OK;
    }
    uint64_t number = 0;
    for (int step = 0; step < (is_made ? 2 : 1) && number == 0; step++) {
        sqlite3_stmt *statement =
            sql_use(&store->sql, step == 0 ? SQL_STREAM_FIND : SQL_STREAM_INSERT);
        if (!statement)
            return sql_error_last(&store->sql, fault);
        sql_bind_id(statement, 1, &site.id);
        sql_bind_id(statement, 2, &journal.id);
        bool has = false;
        enum err err = sql_next(&store->sql, statement, &has, fault);
        if (err)
            return err;
        if (has)
            number = sql_u64(statement, 0);
        sqlite3_reset(statement);
    }
    *out_number = number;
    if (is_made) {
        tails->stream.site = site;
        tails->stream.journal = journal;
        tails->stream.number = number;
    }
    return ERR_OK;
}

/* Is a record equal to `record` among the rows of `statement`? */
static enum err has_equal(struct sqlite_store *store, sqlite3_stmt *statement,
                          const struct usage_record *record, bool *out_equal, struct fault *fault)
{
    bool has = true, is_equal = false;
    while (!is_equal) {
        enum err err = sql_next(&store->sql, statement, &has, fault);
        if (err)
            return err;
        if (!has)
            break;
        struct usage_record kept = {
            .site = record->site, .journal = record->journal, .seq = record->seq};
        row_usage_read(statement, 0, &kept);
        is_equal = usage_record_is_equal(&kept, record);
    }
    sqlite3_reset(statement);
    *out_equal = is_equal;
    return ERR_OK;
}

static enum err find_equal(struct sqlite_store *store, enum sqlite_statement which, uint64_t stream,
                           const struct usage_record *record, bool *out_equal, struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&store->sql, which);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_u64(statement, 1, stream);
    sql_bind_u64(statement, 2, record->seq);
    return has_equal(store, statement, record, out_equal, fault);
}

static enum err quarantine(struct sqlite_store *store, uint64_t stream,
                           const struct usage_record *record, struct wall_us now,
                           struct fault *fault)
{
    struct store_meta *meta = &store->tails.meta;
    bool is_known = false;
    enum err err = find_equal(store, SQL_QUARANTINE_SAME, stream, record, &is_known, fault);
    if (err || is_known)
        return err;
    if (meta->quarantined < STORE_QUARANTINE_MAX) {
        sqlite3_stmt *statement = sql_use(&store->sql, SQL_QUARANTINE_INSERT);
        if (!statement)
            return sql_error_last(&store->sql, fault);
        sql_bind_u64(statement, 1, stream);
        sql_bind_u64(statement, 2, record->seq);
        int position = row_usage_bind(statement, 3, record);
        sql_bind_i64(statement, position, now.us);
        err = sql_run(&store->sql, statement, NULL, fault);
        if (err)
            return err;
    }
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_META_QUARANTINED);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_u64(statement, 1, meta->quarantined + 1);
    err = sql_run(&store->sql, statement, NULL, fault);
    if (!err)
        meta->quarantined++;
    return err;
}

enum err sqlite_usage_insert(struct sqlite_store *store, const struct usage_record *record,
                             struct wall_us now, struct change_result *result, struct fault *fault)
{
    uint64_t stream = 0;
    enum err err = sqlite_stream(store, record->site, record->journal, true, &stream, fault);
    if (err)
        return err;
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_USAGE_INSERT);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_u64(statement, 1, stream);
    sql_bind_u64(statement, 2, record->seq);
    row_usage_bind(statement, 3, record);
    err = sql_run(&store->sql, statement, NULL, fault);
    if (!err)
        result->usage_new++;
    if (err != ERR_STALE)
        return err;
    bool is_equal = false;
    err = find_equal(store, SQL_USAGE_GET, stream, record, &is_equal, fault);
    if (err)
        return err;
    if (is_equal) {
        result->usage_known++;
        return ERR_OK;
    }
    result->usage_conflicts++;
    return quarantine(store, stream, record, now, fault);
}
