/* Rows of use: added to at every resolution in the transaction of the change, so that a coarse row
 * always is the sum of the fine ones, and nothing has to be rolled up later. */
#include "base/assert.h"
#include "store/sqlite_page.h"

enum {
    PRUNE_MAX = 64, /* expired rows of a resolution that go with one change, besides its own number
                     */
    SUMS_COUNT = 10,
};

static void bind_sums(sqlite3_stmt *statement, int position, const struct util_sums *sums)
{
    const uint64_t all[SUMS_COUNT] = {
        sums->observed_ms,       sums->core_us,          sums->owner_core_us,
        sums->pool_core_us,      sums->measured_core_us, sums->owner_busy_core_us,
        sums->pool_busy_core_us, sums->device_ms,        sums->owner_device_ms,
        sums->pool_device_ms,
    };
    for (int i = 0; i < SUMS_COUNT; i++)
        sql_bind_u64(statement, position + i, all[i]);
}

static void read_sums(sqlite3_stmt *row, int column, struct util_sums *out)
{
    *out = (struct util_sums){
        .observed_ms = sql_u64(row, column),
        .core_us = sql_u64(row, column + 1),
        .owner_core_us = sql_u64(row, column + 2),
        .pool_core_us = sql_u64(row, column + 3),
        .measured_core_us = sql_u64(row, column + 4),
        .owner_busy_core_us = sql_u64(row, column + 5),
        .pool_busy_core_us = sql_u64(row, column + 6),
        .device_ms = sql_u64(row, column + 7),
        .owner_device_ms = sql_u64(row, column + 8),
        .pool_device_ms = sql_u64(row, column + 9),
    };
}

static enum err add_cell(struct sqlite_store *store, const struct change_op *op,
                         const struct util_cell *cell, enum util_resolution resolution,
                         struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_UTILISATION_ADD);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_id(statement, 1, &op->utilisation.site.id);
    sql_bind_u64(statement, 2, resolution);
    sql_bind_text(statement, 3, cell->pool);
    sql_bind_text(statement, 4, cell->node);
    sql_bind_i64(statement, 5, util_start(resolution, op->utilisation.start).us);
    bind_sums(statement, 6, &cell->sums);
    return sql_run(&store->sql, statement, NULL, fault);
}

/* Twice as many as may have come, so that what has expired is gone in the end. */
static enum err prune(struct sqlite_store *store, const struct change_op *op, struct fault *fault)
{
    enum err err = ERR_OK;
    for (unsigned r = 0; !err && r < UTIL_RESOLUTION_COUNT_; r++) {
        sqlite3_stmt *statement = sql_use(&store->sql, SQL_UTILISATION_PRUNE);
        if (!statement)
            return sql_error_last(&store->sql, fault);
        sql_bind_u64(statement, 1, r);
        sql_bind_i64(statement, 2,
                     op->utilisation.start.us - util_retention((enum util_resolution)r).ms * 1000);
        sql_bind_u64(statement, 3, (uint64_t)op->utilisation.count * 2 + PRUNE_MAX);
        err = sql_run(&store->sql, statement, NULL, fault);
    }
    return err;
}

enum err sqlite_utilisation_add(struct sqlite_store *store, const struct change_op *op,
                                struct fault *fault)
{
    enum err err = ERR_OK;
    for (uint32_t i = 0; !err && i < op->utilisation.count; i++) {
        const struct util_cell *cell = &op->utilisation.cells[i];
        if (cell->node.len > 0)
            err = add_cell(store, op, cell, UTIL_NODE, fault);
        for (unsigned r = UTIL_MINUTE; !err && cell->node.len == 0 && r <= UTIL_HOUR; r++)
            err = add_cell(store, op, cell, (enum util_resolution)r, fault);
    }
    return err ? err : prune(store, op, fault);
}

/* ---- asking */

static enum err take_row(struct page *page, sqlite3_stmt *row, size_t index, bool *out_skip,
                         struct fault *fault)
{
    (void)out_skip, (void)fault;
    struct store_utilisation *found = (struct store_utilisation *)page->rows + index;
    found->site.id = sql_id(row, 0);
    enum err err = page_keep(page->arena, sql_text(row, 1), &found->pool);
    if (!err)
        err = page_keep(page->arena, sql_text(row, 2), &found->node);
    found->start.us = sqlite3_column_int64(row, 3);
    read_sums(row, 4, &found->sums);
    return err;
}

enum err sqlite_query_utilisation(struct sqlite_store *store, const struct store_query *query,
                                  struct arena *arena, struct store_answer *out,
                                  struct fault *fault)
{
    bool is_one = !id_is_none(query->utilisation_list.site.id);
    uint32_t limit = query->utilisation_list.limit;
    int64_t step_us = query->utilisation_list.step.ms * 1000;
    if (limit == 0 || limit > STORE_UTILISATION_MAX || step_us <= 0)
        return fault_set(fault, ERR_INVALID, NULL, "1 to %d rows, of some length",
                         STORE_UTILISATION_MAX);
    struct page page = {.store = store, .arena = arena, .limit = limit, .take = take_row};
    page.rows = arena_array(arena, limit, sizeof(struct store_utilisation));
    if (!page.rows)
        return ERR_LIMIT;
    sqlite3_stmt *statement =
        sql_use(&store->sql, is_one ? SQL_UTILISATION_OF : SQL_UTILISATION_ALL);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_u64(statement, 1, query->utilisation_list.resolution);
    sql_bind_i64(statement, 2, query->utilisation_list.from.us);
    sql_bind_i64(statement, 3, query->utilisation_list.to.us);
    sql_bind_i64(statement, 4, step_us);
    sql_bind_u64(statement, 5, (uint64_t)limit + 1);
    if (is_one)
        sql_bind_id(statement, 6, &query->utilisation_list.site.id);
    enum err err = page_fill(&page, statement, fault);
    out->utilisation = page.rows;
    out->count = page.count;
    out->has_more = page.has_more;
    return err;
}
