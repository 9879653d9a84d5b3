#include "store/sqlite_rows.h"

#include <string.h>

#include "base/assert.h"

/* A new field of a noun needs a column (and a migration) before it is kept. */
_Static_assert(sizeof(struct job_row) == 168, "every field of a job has a column");
_Static_assert(sizeof(struct attempt_row) == 152, "every field of an attempt has a column");
_Static_assert(sizeof(struct usage_record) == 248, "every field of a usage record has a column");
_Static_assert(sizeof(struct artifact_row) == 144, "every field of an artifact has a column");

int row_job_bind_fixed(sqlite3_stmt *statement, int position, const struct job_row *row)
{
    int p = position;
    sql_bind_id(statement, p++, &row->id.id);
    sql_bind_id(statement, p++, &row->spec.id);
    sql_bind_id(statement, p++, &row->tenant.id);
    sql_bind_id(statement, p++, &row->user.id);
    sql_bind_u64(statement, p++, row->array_index);
    sql_bind_u64(statement, p++, row->created_epoch);
    sql_bind_i64(statement, p++, row->created_at.us);
    ASSERT(p - position == ROW_JOB_FIXED_COUNT);
    return p;
}

int row_job_bind_mutable(sqlite3_stmt *statement, int position, const struct job_row *row)
{
    int p = position;
    sql_bind_u64(statement, p++, row->state);
    sql_bind_u64(statement, p++, row->cancel_requested);
    sql_bind_u64(statement, p++, row->attempt);
    sql_bind_u64(statement, p++, row->epoch);
    sql_bind_u64(statement, p++, row->program_failures);
    sql_bind_u64(statement, p++, row->infra_failures);
    sql_bind_id(statement, p++, &row->last_site.id);
    sql_bind_i64(statement, p++, row->ended_at.us);
    sql_bind_i64(statement, p++, row->exit_code);
    sql_bind_u64(statement, p++, row->outcome);
    sql_bind_u64(statement, p++, row->version);
    (void)sqlite3_bind_blob(statement, p++, row->failures, sizeof(row->failures), SQLITE_STATIC);
    ASSERT(p - position == ROW_JOB_MUTABLE_COUNT);
    return p;
}

/* A row of an older build has none, and one of a newer build may know more classes. */
static void read_failures(sqlite3_stmt *statement, int column, uint8_t out[FAILURE_CLASS_COUNT_])
{
    const void *bytes = sqlite3_column_blob(statement, column);
    int size = sqlite3_column_bytes(statement, column);
    memset(out, 0, FAILURE_CLASS_COUNT_);
    if (bytes != NULL)
        memcpy(out, bytes, size < FAILURE_CLASS_COUNT_ ? (size_t)size : FAILURE_CLASS_COUNT_);
}

int row_job_read(sqlite3_stmt *statement, int column, struct job_row *out)
{
    int c = column;
    out->id.id = sql_id(statement, c++);
    out->spec.id = sql_id(statement, c++);
    out->tenant.id = sql_id(statement, c++);
    out->user.id = sql_id(statement, c++);
    out->array_index = sql_u32(statement, c++);
    out->created_epoch = sql_u64(statement, c++);
    out->created_at.us = sqlite3_column_int64(statement, c++);
    out->state = (enum job_state)sql_u32(statement, c++);
    out->cancel_requested = sql_u32(statement, c++) != 0;
    out->attempt = sql_u32(statement, c++);
    out->epoch = sql_u64(statement, c++);
    out->program_failures = sql_u32(statement, c++);
    out->infra_failures = sql_u32(statement, c++);
    out->last_site.id = sql_id(statement, c++);
    out->ended_at.us = sqlite3_column_int64(statement, c++);
    out->exit_code = sqlite3_column_int(statement, c++);
    out->outcome = sql_u32(statement, c++);
    out->version = sql_u64(statement, c++);
    read_failures(statement, c++, out->failures);
    return c;
}

int row_attempt_bind_fixed(sqlite3_stmt *statement, int position, const struct attempt_row *row)
{
    int p = position;
    sql_bind_id(statement, p++, &row->token.job.id);
    sql_bind_u64(statement, p++, row->token.number);
    sql_bind_u64(statement, p++, row->token.epoch);
    sql_bind_id(statement, p++, &row->site.id);
    sql_bind_id(statement, p++, &row->journal.id);
    sql_bind_u64(statement, p++, row->variant);
    sql_bind_u64(statement, p++, row->nodes);
    sql_bind_u64(statement, p++, row->contact.policy);
    sql_bind_i64(statement, p++, row->contact.lease.ms);
    sql_bind_i64(statement, p++, row->ask_per_hour.micros);
    sql_bind_i64(statement, p++, row->offered_at.us);
    ASSERT(p - position == ROW_ATTEMPT_FIXED_COUNT);
    return p;
}

int row_attempt_bind_mutable(sqlite3_stmt *statement, int position, const struct attempt_row *row)
{
    int p = position;
    sql_bind_u64(statement, p++, row->state);
    sql_bind_u64(statement, p++, row->revoke);
    sql_bind_u64(statement, p++, row->outcome);
    sql_bind_i64(statement, p++, row->exit_code);
    sql_bind_i64(statement, p++, row->started_at.us);
    sql_bind_i64(statement, p++, row->ended_at.us);
    sql_bind_i64(statement, p++, row->ran.ms);
    sql_bind_u64(statement, p++, row->version);
    ASSERT(p - position == ROW_ATTEMPT_MUTABLE_COUNT);
    return p;
}

int row_attempt_read(sqlite3_stmt *statement, int column, struct attempt_row *out)
{
    int c = column;
    out->token.job.id = sql_id(statement, c++);
    out->token.number = sql_u32(statement, c++);
    out->token.epoch = sql_u64(statement, c++);
    out->site.id = sql_id(statement, c++);
    out->journal.id = sql_id(statement, c++);
    out->variant = sql_u32(statement, c++);
    out->nodes = sql_u32(statement, c++);
    out->contact.policy = (enum contact_policy)sql_u32(statement, c++);
    out->contact.lease.ms = sqlite3_column_int64(statement, c++);
    out->ask_per_hour.micros = sqlite3_column_int64(statement, c++);
    out->offered_at.us = sqlite3_column_int64(statement, c++);
    out->state = (enum attempt_state)sql_u32(statement, c++);
    out->revoke = (enum revoke_reason)sql_u32(statement, c++);
    out->outcome = (enum outcome)sql_u32(statement, c++);
    out->exit_code = sqlite3_column_int(statement, c++);
    out->started_at.us = sqlite3_column_int64(statement, c++);
    out->ended_at.us = sqlite3_column_int64(statement, c++);
    out->ran.ms = sqlite3_column_int64(statement, c++);
    out->version = sql_u64(statement, c++);
    return c;
}

int row_quantities_bind(sqlite3_stmt *statement, int position, const struct usage_quantities *q)
{
    sql_bind_i64(statement, position, q->wall_ms);
    sql_bind_i64(statement, position + 1, q->cpu_ms);
    sql_bind_i64(statement, position + 2, q->cpu_held_ms);
    sql_bind_i64(statement, position + 3, q->accel_ms);
    sql_bind_i64(statement, position + 4, q->mem_mib_ms);
    sql_bind_i64(statement, position + 5, q->gate_wait_ms);
    sql_bind_i64(statement, position + 6, q->kill_wait_ms);
    return position + 7;
}

int row_quantities_read(sqlite3_stmt *statement, int column, struct usage_quantities *out)
{
    out->wall_ms = sqlite3_column_int64(statement, column);
    out->cpu_ms = sqlite3_column_int64(statement, column + 1);
    out->cpu_held_ms = sqlite3_column_int64(statement, column + 2);
    out->accel_ms = sqlite3_column_int64(statement, column + 3);
    out->mem_mib_ms = sqlite3_column_int64(statement, column + 4);
    out->gate_wait_ms = sqlite3_column_int64(statement, column + 5);
    out->kill_wait_ms = sqlite3_column_int64(statement, column + 6);
    return column + 7;
}

int row_usage_bind(sqlite3_stmt *statement, int position, const struct usage_record *record)
{
    int p = position;
    sql_bind_id(statement, p++, &record->token.job.id);
    sql_bind_u64(statement, p++, record->token.number);
    sql_bind_u64(statement, p++, record->token.epoch);
    sql_bind_u64(statement, p++, record->is_last);
    sql_bind_u64(statement, p++, record->runtime);
    sql_bind_text(
        statement, p++,
        slice_make(record->accelerator, strnlen(record->accelerator, sizeof record->accelerator)));
    sql_bind_i64(statement, p++, record->measured_at.us);
    p = row_quantities_bind(statement, p, &record->delta);
    p = row_quantities_bind(statement, p, &record->total);
    ASSERT(p - position == ROW_USAGE_COUNT);
    return p;
}

int row_usage_read(sqlite3_stmt *statement, int column, struct usage_record *out)
{
    int c = column;
    out->token.job.id = sql_id(statement, c++);
    out->token.number = sql_u32(statement, c++);
    out->token.epoch = sql_u64(statement, c++);
    out->is_last = sql_u32(statement, c++) != 0;
    out->runtime = (enum runtime)sql_u32(statement, c++);
    sql_bytes(statement, c++, out->accelerator, sizeof out->accelerator);
    out->measured_at.us = sqlite3_column_int64(statement, c++);
    c = row_quantities_read(statement, c, &out->delta);
    return row_quantities_read(statement, c, &out->total);
}

int row_artifact_bind(sqlite3_stmt *statement, int position, const struct artifact_row *row)
{
    int p = position;
    sql_bind_id(statement, p++, &row->id);
    sql_bind_u64(statement, p++, row->kind);
    sql_bind_id(statement, p++, &row->tenant.id);
    sql_bind_id(statement, p++, &row->token.job.id);
    sql_bind_u64(statement, p++, row->token.number);
    sql_bind_u64(statement, p++, row->token.epoch);
    sql_bind_u64(statement, p++, row->step);
    sql_bind_u64(statement, p++, row->is_stale);
    sql_bind_u64(statement, p++, row->size_bytes);
    sql_bind_text(statement, p++, row->jurisdiction);
    sql_bind_u64(statement, p++, row->runtime);
    sql_bind_u64(statement, p++, row->world_size);
    sql_bind_i64(statement, p++, row->created_at.us);
    ASSERT(p - position == ROW_ARTIFACT_COUNT);
    return p;
}

int row_artifact_read(sqlite3_stmt *statement, int column, struct artifact_row *out)
{
    int c = column;
    out->id = sql_id(statement, c++);
    out->kind = (enum artifact_kind)sql_u32(statement, c++);
    out->tenant.id = sql_id(statement, c++);
    out->token.job.id = sql_id(statement, c++);
    out->token.number = sql_u32(statement, c++);
    out->token.epoch = sql_u64(statement, c++);
    out->step = sql_u64(statement, c++);
    out->is_stale = sql_u32(statement, c++) != 0;
    out->size_bytes = sql_u64(statement, c++);
    out->jurisdiction = sql_text(statement, c++);
    out->runtime = (enum runtime)sql_u32(statement, c++);
    out->world_size = sql_u32(statement, c++);
    out->created_at.us = sqlite3_column_int64(statement, c++);
    return c;
}

enum err row_job_check(const struct job_row *row, struct fault *fault)
{
    if (row->state < JOB_STATE_COUNT_ && row->outcome < OUTCOME_COUNT_ && row->version > 0)
        return ERR_OK;
    return fault_set(fault, ERR_CORRUPT, NULL, "database: a job is damaged");
}

enum err row_attempt_check(const struct attempt_row *row, struct fault *fault)
{
    if (row->state < ATTEMPT_STATE_COUNT_ && row->revoke < REVOKE_REASON_COUNT_ &&
        row->outcome < OUTCOME_COUNT_ && row->contact.policy < CONTACT_COUNT_ && row->version > 0)
        return ERR_OK;
    return fault_set(fault, ERR_CORRUPT, NULL, "database: an attempt is damaged");
}
