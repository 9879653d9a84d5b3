/* Jobs as they went: with their spec and all attempts, oldest first. */
#include "store/sqlite_page.h"
#include "store/sqlite_rows.h"

static enum err read_spec(struct page *page, struct spec_id id, struct slice *out,
                          struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&page->store->sql, SQL_SPEC_GET);
    if (!statement)
        return sql_error_last(&page->store->sql, fault);
    sql_bind_id(statement, 1, &id.id);
    bool has = false;
    enum err err = sql_next(&page->store->sql, statement, &has, fault);
    if (!err && has)
        err = page_keep(page->arena, sql_text(statement, 0), out);
    sqlite3_reset(statement);
    return err;
}

static enum err take_attempt(struct page *page, sqlite3_stmt *row, size_t index, bool *out_skip,
                             struct fault *fault)
{
    struct store_attempt *attempt = (struct store_attempt *)page->rows + index;
    (void)out_skip;
    (void)row_attempt_read(row, 0, &attempt->row);
    return row_attempt_check(&attempt->row, fault);
}

static enum err read_attempts(struct page *page, struct store_history *past, struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&page->store->sql, SQL_ATTEMPTS_OF);
    if (!statement)
        return sql_error_last(&page->store->sql, fault);
    sql_bind_id(statement, 1, &past->row.id.id);
    sql_bind_u64(statement, 2, STORE_PAGE_MAX + 1);
    struct page attempts = {.store = page->store, .arena = page->arena, .take = take_attempt};
    attempts.limit = past->row.attempt < STORE_PAGE_MAX ? past->row.attempt : STORE_PAGE_MAX;
    if (attempts.limit == 0) /* none was ever made */
        return ERR_OK;
    attempts.rows = arena_array(page->arena, attempts.limit, sizeof(struct store_attempt));
    enum err err = attempts.rows ? page_fill(&attempts, statement, fault) : ERR_LIMIT;
    past->attempts = attempts.rows;
    past->attempt_count = (uint32_t)attempts.count;
    return err;
}

static enum err take_job(struct page *page, sqlite3_stmt *row, size_t index, bool *out_skip,
                         struct fault *fault)
{
    const struct store_query *query = page->filter;
    struct store_history *past = (struct store_history *)page->rows + index;
    *past = (struct store_history){.spec = {"", 0}};
    (void)row_job_read(row, 0, &past->row);
    page->last_attempt.job = past->row.id;
    enum err err = job_row_check(&past->row, fault);
    bool has_ended = past->row.ended_at.us != 0;
    *out_skip = past->row.created_at.us >= query->history_list.to.us ||
                (has_ended && past->row.ended_at.us < query->history_list.from.us);
    if (err || *out_skip)
        return err;
    err = read_spec(page, past->row.spec, &past->spec, fault);
    return err ? err : read_attempts(page, past, fault);
}

enum err sqlite_query_history(struct sqlite_store *store, const struct store_query *query,
                              struct arena *arena, struct store_answer *out, struct fault *fault)
{
    enum err err = page_check_limit(query->history_list.limit, fault);
    if (err)
        return err;
    struct page page = {.store = store,
                        .arena = arena,
                        .limit = query->history_list.limit,
                        .filter = query,
                        .take = take_job};
    page.rows = arena_array(arena, page.limit, sizeof(struct store_history));
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_HISTORY_JOBS);
    if (!page.rows || !statement)
        return statement ? ERR_LIMIT : sql_error_last(&store->sql, fault);
    page_bind_key(statement, 1, &query->history_list.after.id);
    err = page_fill(&page, statement, fault);
    out->history = page.rows;
    out->count = page.count;
    out->has_more = page.has_more;
    out->next.job = page.last_attempt.job;
    return err;
}
