/* Each operation of model/change.h as one statement that names what it expects. */
#include <string.h>

#include "base/assert.h"
#include "store/sqlite.h"
#include "store/sqlite_rows.h"

/* An operation on something that is expected to be so: no row changed means it is not. */
static enum err run_expecting(struct sqlite_store *store, sqlite3_stmt *statement,
                              struct fault *fault)
{
    int changed = 0;
    enum err err = sql_run(&store->sql, statement, &changed, fault);
    return err ? err : changed == 1 ? ERR_OK : ERR_STALE;
}

static enum err raise_epoch(struct sqlite_store *store, uint64_t epoch, struct fault *fault)
{
    struct store_meta *meta = &store->tails.meta;
    if (meta->db_epoch != epoch)
        return ERR_STALE;
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_META_EPOCH);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_u64(statement, 1, epoch + 1);
    sql_bind_u64(statement, 2, epoch);
    enum err err = run_expecting(store, statement, fault);
    if (!err) {
        meta->db_epoch = epoch + 1;
        meta->is_restored = false;
    }
    return err;
}

static enum err insert_spec(struct sqlite_store *store, const struct change_op *op,
                            struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_SPEC_INSERT);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_id(statement, 1, &op->spec.id.id);
    sql_bind_text(statement, 2, op->spec.body);
    return sql_run(&store->sql, statement, NULL, fault);
}

static enum err insert_job(struct sqlite_store *store, const struct job_row *row,
                           struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_JOB_INSERT);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    int position = row_job_bind_fixed(statement, 1, row);
    row_job_bind_mutable(statement, position, row);
    return sql_run(&store->sql, statement, NULL, fault);
}

static enum err update_job(struct sqlite_store *store, const struct change_op *op,
                           struct fault *fault)
{
    const struct job_row *row = &op->job.row;
    bool is_move = row->state != op->job.expect_state;
    sqlite3_stmt *statement = sql_use(&store->sql, is_move ? SQL_JOB_MOVE : SQL_JOB_UPDATE);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    int position = row_job_bind_mutable(statement, 1, row);
    sql_bind_id(statement, position, &row->id.id);
    sql_bind_u64(statement, position + 1, op->job.expect_state);
    sql_bind_u64(statement, position + 2, op->job.expect_attempt);
    return run_expecting(store, statement, fault);
}

static enum err insert_attempt(struct sqlite_store *store, const struct change_op *op,
                               struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_ATTEMPT_INSERT);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    int position = row_attempt_bind_fixed(statement, 1, &op->attempt.row);
    position = row_attempt_bind_mutable(statement, position, &op->attempt.row);
    sql_bind_text(statement, position, op->attempt.places);
    return sql_run(&store->sql, statement, NULL, fault);
}

static enum err update_attempt(struct sqlite_store *store, const struct change_op *op,
                               struct fault *fault)
{
    const struct attempt_row *row = &op->attempt.row;
    bool is_move = row->state != op->attempt.expect_state;
    sqlite3_stmt *statement = sql_use(&store->sql, is_move ? SQL_ATTEMPT_MOVE : SQL_ATTEMPT_UPDATE);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    int position = row_attempt_bind_mutable(statement, 1, row);
    sql_bind_id(statement, position, &row->token.job.id);
    sql_bind_u64(statement, position + 1, row->token.number);
    sql_bind_u64(statement, position + 2, row->token.epoch);
    sql_bind_u64(statement, position + 3, op->attempt.expect_state);
    return run_expecting(store, statement, fault);
}

static enum err set_watermark(struct sqlite_store *store, const struct change_op *op,
                              struct fault *fault)
{
    bool is_new = op->watermark.expect == 0;
    sqlite3_stmt *statement =
        sql_use(&store->sql, is_new ? SQL_WATERMARK_INSERT : SQL_WATERMARK_UPDATE);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_id(statement, 1, &op->watermark.site.id);
    sql_bind_id(statement, 2, &op->watermark.journal.id);
    sql_bind_u64(statement, 3, op->watermark.seq);
    if (!is_new)
        sql_bind_u64(statement, 4, op->watermark.expect);
    return run_expecting(store, statement, fault);
}

static enum err put_doc(struct sqlite_store *store, const struct change_op *op, struct fault *fault)
{
    const struct doc *doc = &op->doc.doc;
    bool is_new = op->doc.expect_version == 0;
    if (doc->version != op->doc.expect_version + 1)
        return ERR_STALE;
    sqlite3_stmt *statement = sql_use(&store->sql, is_new ? SQL_DOC_INSERT : SQL_DOC_UPDATE);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_u64(statement, 1, doc->kind);
    sql_bind_text(statement, 2, doc->id);
    sql_bind_text(statement, 3, doc->parent);
    sql_bind_u64(statement, 4, doc->version);
    sql_bind_i64(statement, 5, doc->changed_at.us);
    sql_bind_text(statement, 6, doc->body);
    if (!is_new)
        sql_bind_u64(statement, 7, op->doc.expect_version);
    return run_expecting(store, statement, fault);
}

static enum err delete_doc(struct sqlite_store *store, const struct change_op *op,
                           struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_DOC_DELETE);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_u64(statement, 1, op->doc.doc.kind);
    sql_bind_text(statement, 2, op->doc.doc.id);
    sql_bind_u64(statement, 3, op->doc.expect_version);
    return run_expecting(store, statement, fault);
}

static enum err insert_artifact(struct sqlite_store *store, const struct artifact_row *row,
                                struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_ARTIFACT_INSERT);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    int position = row_artifact_bind(statement, 1, row);
    sql_bind_text(statement, position, row->manifest);
    return sql_run(&store->sql, statement, NULL, fault);
}

static enum err append_audit(struct sqlite_store *store, const struct audit_record *record,
                             struct fault *fault)
{
    struct store_meta *meta = &store->tails.meta;
    if (record->seq != meta->audit_seq + 1 ||
        memcmp(record->previous.bytes, meta->audit_hash.bytes, HASH_BYTES) != 0)
        return ERR_STALE;
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_AUDIT_INSERT);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_u64(statement, 1, record->seq);
    sql_bind_i64(statement, 2, record->at.us);
    sql_bind_text(statement, 3, record->actor);
    sql_bind_text(statement, 4, record->tenant);
    sql_bind_text(statement, 5, record->action);
    sql_bind_text(statement, 6, record->subject);
    sql_bind_text(statement, 7, record->detail);
    sql_bind_bytes(statement, 8, record->previous.bytes, HASH_BYTES);
    sql_bind_bytes(statement, 9, record->hash.bytes, HASH_BYTES);
    enum err err = sql_run(&store->sql, statement, NULL, fault);
    if (!err) {
        meta->audit_seq = record->seq;
        meta->audit_hash = record->hash;
    }
    return err;
}

static enum err append_event(struct sqlite_store *store, const struct event_record *record,
                             struct fault *fault)
{
    struct store_meta *meta = &store->tails.meta;
    if (record->seq != meta->event_seq + 1)
        return ERR_STALE;
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_EVENT_INSERT);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_u64(statement, 1, record->seq);
    sql_bind_i64(statement, 2, record->at.us);
    sql_bind_id(statement, 3, &record->tenant.id);
    sql_bind_text(statement, 4, record->kind);
    sql_bind_text(statement, 5, record->subject);
    sql_bind_text(statement, 6, record->body);
    enum err err = sql_run(&store->sql, statement, NULL, fault);
    if (!err) {
        meta->event_seq = record->seq;
        if (meta->event_first == 0)
            meta->event_first = record->seq;
    }
    return err;
}

static enum err insert_idempotency(struct sqlite_store *store, const struct change_op *op,
                                   struct wall_us now, struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_IDEMPOTENCY_INSERT);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_text(statement, 1, op->idempotency.scope);
    sql_bind_text(statement, 2, op->idempotency.key);
    sql_bind_bytes(statement, 3, op->idempotency.request.bytes, HASH_BYTES);
    sql_bind_u64(statement, 4, op->idempotency.status);
    sql_bind_text(statement, 5, op->idempotency.response);
    sql_bind_i64(statement, 6, op->idempotency.expires_at.us);
    sql_bind_i64(statement, 7, now.us);
    return run_expecting(store, statement, fault);
}

/* One that is closed stays as it is: nothing changed is no conflict. */
static enum err put_reclaim(struct sqlite_store *store, const struct change_op *op,
                            struct fault *fault)
{
    const struct reclaim *reclaim = &op->reclaim.value;
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_RECLAIM_PUT);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_id(statement, 1, &op->reclaim.site.id);
    sql_bind_text(statement, 2, reclaim->name);
    sql_bind_i64(statement, 3, reclaim->at.us);
    sql_bind_i64(statement, 4, reclaim->wait.ms);
    sql_bind_i64(statement, 5, reclaim->held.ms);
    sql_bind_i64(statement, 6, reclaim->promise.ms);
    sql_bind_u64(statement, 7, reclaim->attempts);
    sql_bind_u64(statement, 8, reclaim->is_open);
    return sql_run(&store->sql, statement, NULL, fault);
}

enum err sqlite_op_apply(struct sqlite_store *store, const struct change_op *op, struct wall_us now,
                         struct change_result *result, struct fault *fault)
{
    switch (op->kind) {
    case CHANGE_EPOCH_EXPECT:
        return store->tails.meta.db_epoch == op->epoch.epoch ? ERR_OK : ERR_STALE;
    case CHANGE_EPOCH_RAISE:
        return raise_epoch(store, op->epoch.epoch, fault);
    case CHANGE_SPEC_INSERT:
        return insert_spec(store, op, fault);
    case CHANGE_JOB_INSERT:
        return insert_job(store, &op->job.row, fault);
    case CHANGE_JOB_UPDATE:
        return update_job(store, op, fault);
    case CHANGE_ATTEMPT_INSERT:
        return insert_attempt(store, op, fault);
    case CHANGE_ATTEMPT_UPDATE:
        return update_attempt(store, op, fault);
    case CHANGE_USAGE_INSERT:
        return sqlite_usage_insert(store, &op->usage, now, result, fault);
    case CHANGE_WATERMARK_SET:
        return set_watermark(store, op, fault);
    case CHANGE_DOC_PUT:
        return put_doc(store, op, fault);
    case CHANGE_DOC_DELETE:
        return delete_doc(store, op, fault);
    case CHANGE_ARTIFACT_INSERT:
        return insert_artifact(store, &op->artifact, fault);
    case CHANGE_AUDIT_APPEND:
        return append_audit(store, &op->audit, fault);
    case CHANGE_EVENT_APPEND:
        return append_event(store, &op->event, fault);
    case CHANGE_IDEMPOTENCY_INSERT:
        return insert_idempotency(store, op, now, fault);
    case CHANGE_RECLAIM_PUT:
        return put_reclaim(store, op, fault);
    case CHANGE_UTILISATION_ADD:
        return sqlite_utilisation_add(store, op, fault);
    case CHANGE_KIND_COUNT_:
        break;
    }
    ASSERT(!"a kind of change that does not exist");
    return ERR_INVALID;
}
