/* The journal's tables, statements and single operations. */
#include "store/journal_sql.h"

#include <string.h>

#include "base/assert.h"
#include "store/sqlite_rows.h"

#define ATTEMPT_MUTABLE                                                                            \
    "phase,claim,holder,revoke,outcome,exit_code,acked,changed_at,ran_ms,rank_ended,"              \
    "wall,cpu,cpu_held,accel,mem,gate_wait,kill_wait"
#define ATTEMPT_FIXED "job,number,epoch,nodes,contact,lease_ms,start_order"

_Static_assert(sizeof(struct journal_attempt) == 248, "every field has a column");
_Static_assert(sizeof(struct journal_meta) == 56, "every field has a column");

enum { ATTEMPT_MUTABLE_COUNT = 17, RANK_BYTES = (JOB_NODES_MAX + 63) / 64 * 8 };

static const char SCHEMA_1[] =
    "CREATE TABLE meta("
    " one INTEGER PRIMARY KEY CHECK(one=1), id BLOB NOT NULL, site BLOB, epoch_seen INTEGER,"
    " usage_seq INTEGER, usage_acked INTEGER);"
    "CREATE TABLE probe(one INTEGER PRIMARY KEY, bytes BLOB);"
    /* The start order is long and never changes, so it stands last in the row. */
    "CREATE TABLE attempt("
    " job BLOB, number INTEGER, epoch INTEGER, nodes INTEGER, contact INTEGER, lease_ms INTEGER,"
    " phase INTEGER, claim INTEGER, holder INTEGER, revoke INTEGER, outcome INTEGER,"
    " exit_code INTEGER, acked INTEGER, changed_at INTEGER, ran_ms INTEGER, rank_ended BLOB,"
    " wall INTEGER, cpu INTEGER, cpu_held INTEGER, accel INTEGER, mem INTEGER, gate_wait INTEGER,"
    " kill_wait INTEGER, start_order BLOB, UNIQUE(job, number, epoch));"
    "CREATE TABLE usage("
    " seq INTEGER PRIMARY KEY, job BLOB, attempt INTEGER, epoch INTEGER, is_last INTEGER,"
    " runtime INTEGER, accelerator TEXT, measured_at INTEGER,"
    " wall INTEGER, cpu INTEGER, cpu_held INTEGER, accel INTEGER, mem INTEGER, gate_wait INTEGER,"
    " kill_wait INTEGER, all_wall INTEGER, all_cpu INTEGER, all_cpu_held INTEGER,"
    " all_accel INTEGER, all_mem INTEGER, all_gate_wait INTEGER, all_kill_wait INTEGER);";

static const struct sql_migration MIGRATIONS[] = {
    {.version = 1, .name = "first", .text = SCHEMA_1},
};
_Static_assert(sizeof MIGRATIONS / sizeof MIGRATIONS[0] == JOURNAL_SCHEMA_VERSION,
               "a migration for every version");

const struct sql_schema JOURNAL_SCHEMA = {
    .application = JOURNAL_APPLICATION,
    .what = "journal",
    .migrations = MIGRATIONS,
    .count = JOURNAL_SCHEMA_VERSION,
};

const char *const JOURNAL_TEXTS[JOURNAL_STATEMENT_COUNT_] = {
    [JOURNAL_SQL_META_READ] = "SELECT id,site,epoch_seen,usage_seq,usage_acked FROM meta",
    [JOURNAL_SQL_META_SET] = "INSERT OR REPLACE INTO meta VALUES(1,?1,?2,?3,?4,?5)",
    [JOURNAL_SQL_USAGE_LAST] = "SELECT max(seq) FROM usage",
    [JOURNAL_SQL_ATTEMPT_INSERT] =
        "INSERT INTO attempt(" ATTEMPT_MUTABLE "," ATTEMPT_FIXED
        ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,"
        "?23,?24)",
    [JOURNAL_SQL_ATTEMPT_UPDATE] =
        "UPDATE attempt SET phase=?1,claim=?2,holder=?3,revoke=?4,outcome=?5,exit_code=?6,acked=?7,"
        "changed_at=?8,ran_ms=?9,rank_ended=?10,wall=?11,cpu=?12,cpu_held=?13,accel=?14,mem=?15,"
        "gate_wait=?16,kill_wait=?17 WHERE job=?18 AND number=?19 AND epoch=?20",
    [JOURNAL_SQL_ATTEMPT_FORGET] = "DELETE FROM attempt WHERE job=?1 AND number=?2 AND epoch=?3",
    [JOURNAL_SQL_ATTEMPTS] =
        "SELECT " ATTEMPT_FIXED "," ATTEMPT_MUTABLE " FROM attempt ORDER BY job,number,epoch",
    [JOURNAL_SQL_USAGE_INSERT] =
        "INSERT INTO usage(seq," ROW_USAGE ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,"
        "?14,?15,?16,?17,?18,?19,?20,?21,?22)",
    [JOURNAL_SQL_USAGE_PRUNE] = "DELETE FROM usage WHERE seq<=?1",
    [JOURNAL_SQL_USAGE_AFTER] =
        "SELECT seq," ROW_USAGE " FROM usage WHERE seq>?1 ORDER BY seq LIMIT ?2",
    [JOURNAL_SQL_PROBE_WRITE] = "INSERT OR REPLACE INTO probe VALUES(1,zeroblob(?1))",
    [JOURNAL_SQL_PROBE_ERASE] = "DELETE FROM probe",
};

/* ---- what is known ---- */

enum err journal_tails_read(struct journal *journal, struct fault *fault)
{
    struct journal_tails tails = {0};
    sqlite3_stmt *statement = sql_use(&journal->sql, JOURNAL_SQL_META_READ);
    if (!statement)
        return sql_error_last(&journal->sql, fault);
    enum err err = sql_next(&journal->sql, statement, &tails.has_meta, fault);
    if (err)
        return err;
    if (tails.has_meta) {
        tails.meta.id.id = sql_id(statement, 0);
        tails.meta.site.id = sql_id(statement, 1);
        tails.meta.epoch_seen = sql_u64(statement, 2);
        tails.meta.usage_seq = sql_u64(statement, 3);
        tails.meta.usage_acked = sql_u64(statement, 4);
    }
    sqlite3_reset(statement);
    int64_t last = 0;
    err = sql_exec_i64(&journal->sql, JOURNAL_TEXTS[JOURNAL_SQL_USAGE_LAST], &last, fault);
    if (err)
        return err;
    /* Records at or below usage_acked may be pruned, so either may be the higher one. */
    tails.usage_last =
        (uint64_t)last > tails.meta.usage_acked ? (uint64_t)last : tails.meta.usage_acked;
    journal->tails = tails;
    return ERR_OK;
}

/* ---- operations ---- */

static enum err set_meta(struct journal *journal, const struct journal_meta *meta,
                         struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&journal->sql, JOURNAL_SQL_META_SET);
    if (!statement)
        return sql_error_last(&journal->sql, fault);
    sql_bind_id(statement, 1, &meta->id.id);
    sql_bind_id(statement, 2, &meta->site.id);
    sql_bind_u64(statement, 3, meta->epoch_seen);
    sql_bind_u64(statement, 4, meta->usage_seq);
    sql_bind_u64(statement, 5, meta->usage_acked);
    enum err err = sql_run(&journal->sql, statement, NULL, fault);
    if (err)
        return err;
    journal->tails.meta = *meta;
    journal->tails.has_meta = true;
    if (meta->usage_acked > journal->tails.usage_last)
        journal->tails.usage_last = meta->usage_acked;
    return ERR_OK;
}

/* Ranks as little-endian bytes, so that the file does not depend on the machine. */
static void put_ranks(const struct journal_attempt *attempt, uint8_t out[RANK_BYTES])
{
    for (int i = 0; i < RANK_BYTES; i++)
        out[i] = (uint8_t)(attempt->rank_ended[i / 8] >> (i % 8 * 8));
}

static void get_ranks(const uint8_t bytes[RANK_BYTES], struct journal_attempt *out)
{
    for (int i = 0; i < RANK_BYTES; i++)
        out->rank_ended[i / 8] |= (uint64_t)bytes[i] << (i % 8 * 8);
}

static int bind_mutable(sqlite3_stmt *statement, const struct journal_attempt *attempt,
                        const uint8_t ranks[RANK_BYTES])
{
    size_t ranks_len = ((size_t)attempt->nodes + 7) / 8;
    sql_bind_u64(statement, 1, attempt->phase);
    sql_bind_u64(statement, 2, attempt->claim);
    sql_bind_u64(statement, 3, attempt->holder);
    sql_bind_u64(statement, 4, attempt->revoke);
    sql_bind_u64(statement, 5, attempt->outcome);
    sql_bind_i64(statement, 6, attempt->exit_code);
    sql_bind_u64(statement, 7, attempt->is_acked);
    sql_bind_i64(statement, 8, attempt->changed_at.us);
    sql_bind_i64(statement, 9, attempt->ran.ms);
    sql_bind_bytes(statement, 10, ranks, ranks_len < RANK_BYTES ? ranks_len : RANK_BYTES);
    int position = row_quantities_bind(statement, 11, &attempt->total);
    ASSERT(position == ATTEMPT_MUTABLE_COUNT + 1);
    return position;
}

static void bind_token(sqlite3_stmt *statement, int position, const struct attempt_token *token)
{
    sql_bind_id(statement, position, &token->job.id);
    sql_bind_u64(statement, position + 1, token->number);
    sql_bind_u64(statement, position + 2, token->epoch);
}

static enum err run_expecting(struct journal *journal, sqlite3_stmt *statement, struct fault *fault)
{
    int changed = 0;
    enum err err = sql_run(&journal->sql, statement, &changed, fault);
    return err ? err : changed == 1 ? ERR_OK : ERR_STALE;
}

static enum err put_attempt(struct journal *journal, const struct journal_attempt *attempt,
                            bool is_new, struct fault *fault)
{
    uint8_t ranks[RANK_BYTES];
    put_ranks(attempt, ranks);
    sqlite3_stmt *statement =
        sql_use(&journal->sql, is_new ? JOURNAL_SQL_ATTEMPT_INSERT : JOURNAL_SQL_ATTEMPT_UPDATE);
    if (!statement)
        return sql_error_last(&journal->sql, fault);
    int position = bind_mutable(statement, attempt, ranks);
    bind_token(statement, position, &attempt->token);
    if (!is_new)
        return run_expecting(journal, statement, fault);
    sql_bind_u64(statement, position + 3, attempt->nodes);
    sql_bind_u64(statement, position + 4, attempt->contact.policy);
    sql_bind_i64(statement, position + 5, attempt->contact.lease.ms);
    sql_bind_bytes(statement, position + 6, attempt->order.data, attempt->order.len);
    return sql_run(&journal->sql, statement, NULL, fault);
}

static enum err forget_attempt(struct journal *journal, const struct attempt_token *token,
                               struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&journal->sql, JOURNAL_SQL_ATTEMPT_FORGET);
    if (!statement)
        return sql_error_last(&journal->sql, fault);
    bind_token(statement, 1, token);
    return run_expecting(journal, statement, fault);
}

static enum err append_usage(struct journal *journal, const struct usage_record *record,
                             struct fault *fault)
{
    if (record->seq != journal->tails.usage_last + 1)
        return ERR_STALE;
    sqlite3_stmt *statement = sql_use(&journal->sql, JOURNAL_SQL_USAGE_INSERT);
    if (!statement)
        return sql_error_last(&journal->sql, fault);
    sql_bind_u64(statement, 1, record->seq);
    row_usage_bind(statement, 2, record);
    enum err err = sql_run(&journal->sql, statement, NULL, fault);
    if (!err)
        journal->tails.usage_last = record->seq;
    return err;
}

static enum err prune_usage(struct journal *journal, uint64_t to, struct fault *fault)
{
    if (to > journal->tails.meta.usage_acked)
        return ERR_STALE;
    sqlite3_stmt *statement = sql_use(&journal->sql, JOURNAL_SQL_USAGE_PRUNE);
    if (!statement)
        return sql_error_last(&journal->sql, fault);
    sql_bind_u64(statement, 1, to);
    return sql_run(&journal->sql, statement, NULL, fault);
}

enum err journal_op_apply(struct journal *journal, const struct journal_op *op, struct fault *fault)
{
    switch (op->kind) {
    case JOURNAL_META_SET:
        return set_meta(journal, &op->meta, fault);
    case JOURNAL_ATTEMPT_INSERT:
        return put_attempt(journal, &op->attempt, true, fault);
    case JOURNAL_ATTEMPT_UPDATE:
        return put_attempt(journal, &op->attempt, false, fault);
    case JOURNAL_ATTEMPT_FORGET:
        return forget_attempt(journal, &op->forget, fault);
    case JOURNAL_USAGE_APPEND:
        return append_usage(journal, &op->usage, fault);
    case JOURNAL_USAGE_PRUNE:
        return prune_usage(journal, op->prune_to, fault);
    case JOURNAL_CHANGE_KIND_COUNT_:
        break;
    }
    ASSERT(!"a kind of journal change that does not exist");
    return ERR_INVALID;
}

/* ---- reading ---- */

static enum err read_attempt(sqlite3_stmt *row, struct journal_attempt *out, struct fault *fault)
{
    uint8_t ranks[RANK_BYTES];
    *out = (struct journal_attempt){0};
    out->token.job.id = sql_id(row, 0);
    out->token.number = sql_u32(row, 1);
    out->token.epoch = sql_u64(row, 2);
    out->nodes = sql_u32(row, 3);
    out->contact.policy = (enum contact_policy)sql_u32(row, 4);
    out->contact.lease.ms = sqlite3_column_int64(row, 5);
    out->order = sql_text(row, 6);
    out->phase = (enum journal_phase)sql_u32(row, 7);
    out->claim = (enum claim)sql_u32(row, 8);
    out->holder = sql_u64(row, 9);
    out->revoke = (enum revoke_reason)sql_u32(row, 10);
    out->outcome = (enum outcome)sql_u32(row, 11);
    out->exit_code = sqlite3_column_int(row, 12);
    out->is_acked = sql_u32(row, 13) != 0;
    out->changed_at.us = sqlite3_column_int64(row, 14);
    out->ran.ms = sqlite3_column_int64(row, 15);
    sql_bytes(row, 16, ranks, sizeof ranks);
    get_ranks(ranks, out);
    row_quantities_read(row, 17, &out->total);
    bool is_sane = out->phase < PHASE_COUNT_ && out->claim < CLAIM_COUNT_ &&
                   out->revoke < REVOKE_REASON_COUNT_ && out->outcome < OUTCOME_COUNT_ &&
                   out->contact.policy < CONTACT_COUNT_ && out->nodes <= JOB_NODES_MAX;
    return is_sane ? ERR_OK : fault_set(fault, ERR_CORRUPT, NULL, "journal: an attempt is damaged");
}

static enum err load_attempts(struct journal *journal, const struct journal_load_sink *sink,
                              struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&journal->sql, JOURNAL_SQL_ATTEMPTS);
    if (!statement)
        return sql_error_last(&journal->sql, fault);
    for (;;) {
        bool has = false;
        struct journal_attempt attempt;
        enum err err = sql_next(&journal->sql, statement, &has, fault);
        if (err || !has)
            return err;
        err = read_attempt(statement, &attempt, fault);
        if (!err)
            err = sink->on_attempt(sink->context, &attempt);
        if (err) {
            sqlite3_reset(statement);
            return err;
        }
    }
}

/* Gives records with seq > after, at most `limit`, to `give`. */
static enum err each_usage(struct journal *journal, uint64_t after, uint64_t limit,
                           enum err (*give)(void *context, const struct usage_record *record),
                           void *context, struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&journal->sql, JOURNAL_SQL_USAGE_AFTER);
    if (!statement)
        return sql_error_last(&journal->sql, fault);
    sql_bind_u64(statement, 1, after);
    sql_bind_u64(statement, 2, limit);
    for (;;) {
        bool has = false;
        enum err err = sql_next(&journal->sql, statement, &has, fault);
        if (err || !has)
            return err;
        struct usage_record record = {.site = journal->tails.meta.site,
                                      .journal = journal->tails.meta.id,
                                      .seq = sql_u64(statement, 0)};
        row_usage_read(statement, 1, &record);
        err = give(context, &record);
        if (err) {
            sqlite3_reset(statement);
            return err;
        }
    }
}

enum err journal_load(struct journal *journal, const struct journal_load_sink *sink,
                      bool *out_has_meta, struct fault *fault)
{
    enum err err = journal_tails_read(journal, fault);
    if (err)
        return err;
    const struct journal_tails *tails = &journal->tails;
    if (tails->has_meta && sink->on_meta)
        err = sink->on_meta(sink->context, &tails->meta);
    if (!err && sink->on_attempt)
        err = load_attempts(journal, sink, fault);
    if (!err && sink->on_usage)
        err = each_usage(journal, tails->meta.usage_acked, INT64_MAX, sink->on_usage, sink->context,
                         fault);
    if (!err)
        *out_has_meta = tails->has_meta;
    return err;
}

struct usage_page {
    struct usage_record *records;
    size_t count;
};

static enum err keep_usage(void *context, const struct usage_record *record)
{
    struct usage_page *page = context;
    page->records[page->count++] = *record;
    return ERR_OK;
}

enum err journal_usage_read(struct journal *journal, uint64_t after, uint32_t limit,
                            struct arena *arena, const struct usage_record **out_records,
                            size_t *out_count)
{
    ASSERT(limit > 0 && limit <= USAGE_BATCH_MAX);
    struct usage_page page = {.records = arena_array(arena, limit, sizeof(struct usage_record))};
    if (!page.records)
        return ERR_LIMIT;
    enum err err = each_usage(journal, after, limit, keep_usage, &page, NULL);
    if (err)
        return err;
    *out_records = page.records;
    *out_count = page.count;
    return ERR_OK;
}
