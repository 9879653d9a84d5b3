/* A group of changes in one transaction.
 *
 * Nearly always every change of a group holds, so the group is first tried without savepoints. When
 * one turns out stale the transaction is rolled back and the group done again with a savepoint a
 * change, so that the stale ones fail alone. Both ways give the same results: a stale change leaves
 * nothing behind for the next. */
#include <string.h>

#include "base/assert.h"
#include "store/sqlite.h"

/* What one try of a group has done, for the housekeeping at its end. */
struct group {
    struct sqlite_store *store;
    const struct change *const *changes;
    size_t count;
    struct wall_us now;
    struct change_result *results;
    uint64_t keys; /* idempotency keys written */
};

static enum err apply_change(struct group *group, size_t index, struct fault *fault)
{
    const struct change *change = group->changes[index];
    struct change_result *result = &group->results[index];
    *result = (struct change_result){.err = ERR_OK};
    for (size_t i = 0; i < change->count; i++) {
        const struct change_op *op = &change->ops[i];
        enum err err = sqlite_op_apply(group->store, op, group->now, result, fault);
        if (err) {
            result->err = err;
            result->op = (uint32_t)i;
            return err;
        }
        if (op->kind == CHANGE_IDEMPOTENCY_INSERT)
            group->keys++;
    }
    return ERR_OK;
}

static enum err apply_plain(struct group *group, struct fault *fault)
{
    for (size_t i = 0; i < group->count; i++) {
        enum err err = apply_change(group, i, fault);
        if (err)
            return err;
    }
    return ERR_OK;
}

static enum err apply_with_savepoints(struct group *group, struct fault *fault)
{
    struct sql *sql = &group->store->sql;
    for (size_t i = 0; i < group->count; i++) {
        struct sqlite_tails before = group->store->tails;
        enum err err = sql_exec(sql, "SAVEPOINT change", fault);
        if (err)
            return err;
        err = apply_change(group, i, fault);
        if (err && err != ERR_STALE)
            return err;
        if (err == ERR_STALE) {
            group->store->tails = before;
            err = sql_exec(sql, "ROLLBACK TO change", fault);
            if (err)
                return err;
        }
        err = sql_exec(sql, "RELEASE change", fault);
        if (err)
            return err;
    }
    return ERR_OK;
}

/* Old events go a slice at a time, twice as fast as new ones come, so that no commit is long. */
static enum err prune_events(struct sqlite_store *store, uint64_t added, struct fault *fault)
{
    struct store_meta *meta = &store->tails.meta;
    uint64_t kept = meta->event_seq ? meta->event_seq - meta->event_first + 1 : 0;
    if (kept <= store->events_kept_max)
        return ERR_OK;
    uint64_t surplus = kept - store->events_kept_max;
    uint64_t slice = added * 2 > SQLITE_STORE_EVENT_SLICE ? added * 2 : SQLITE_STORE_EVENT_SLICE;
    /* Wait for a whole slice: pruning one by one would touch the oldest page at every commit. */
    if (surplus < SQLITE_STORE_EVENT_SLICE)
        return ERR_OK;
    uint64_t first = meta->event_first + (surplus < slice ? surplus : slice);
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_EVENT_PRUNE);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_u64(statement, 1, first);
    enum err err = sql_run(&store->sql, statement, NULL, fault);
    if (!err)
        meta->event_first = first;
    return err;
}

static enum err sweep_keys(struct group *group, struct fault *fault)
{
    if (group->keys == 0)
        return ERR_OK;
    sqlite3_stmt *statement = sql_use(&group->store->sql, SQL_IDEMPOTENCY_SWEEP);
    if (!statement)
        return sql_error_last(&group->store->sql, fault);
    sql_bind_i64(statement, 1, group->now.us);
    sql_bind_u64(statement, 2, group->keys * 2 + SQLITE_STORE_KEYS_SLICE);
    return sql_run(&group->store->sql, statement, NULL, fault);
}

static enum err try_group(struct group *group, bool with_savepoints, struct fault *fault)
{
    struct sqlite_store *store = group->store;
    struct sqlite_tails before = store->tails;
    group->keys = 0;
    enum err err = sql_begin(&store->sql, true, fault);
    if (!err)
        err = with_savepoints ? apply_with_savepoints(group, fault) : apply_plain(group, fault);
    if (!err)
        err = prune_events(store, store->tails.meta.event_seq - before.meta.event_seq, fault);
    if (!err)
        err = sweep_keys(group, fault);
    if (!err)
        err = sql_commit(&store->sql, fault);
    if (err) {
        sql_rollback(&store->sql);
        store->tails = before;
    }
    return err;
}

enum err sqlite_store_apply(struct store_db *db, const struct change *const *changes, size_t count,
                            struct wall_us now, struct change_result *results, struct fault *fault)
{
    struct group group = {
        .store = (struct sqlite_store *)db,
        .changes = changes,
        .count = count,
        .now = now,
        .results = results,
    };
    enum err err = try_group(&group, false, fault);
    if (err == ERR_STALE && count == 1)
        return ERR_OK; /* rolled back, and its result says so */
    if (err == ERR_STALE)
        err = try_group(&group, true, fault);
    if (err) {
        for (size_t i = 0; i < count; i++)
            results[i] = (struct change_result){.err = err};
    }
    return err;
}

static enum err probe_part(struct sqlite_store *store, enum sqlite_statement which,
                           struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&store->sql, which);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    if (which == SQL_PROBE_WRITE)
        sql_bind_u64(statement, 1, STORE_PROBE_BYTES);
    return sql_run(&store->sql, statement, NULL, fault); /* commits by itself */
}

enum err sqlite_store_probe(struct store_db *db, struct fault *fault)
{
    struct sqlite_store *store = (struct sqlite_store *)db;
    enum err err = probe_part(store, SQL_PROBE_WRITE, fault);
    if (!err)
        err = probe_part(store, SQL_PROBE_ERASE, fault);
    if (err)
        sql_rollback(&store->sql);
    return err;
}
