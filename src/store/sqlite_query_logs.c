/* Events and audit records after a sequence number. */
#include "store/sqlite_page.h"

static enum err take_event(struct page *page, sqlite3_stmt *row, size_t index, bool *out_skip,
                           struct fault *fault)
{
    (void)fault;
    struct event_record *event = (struct event_record *)page->rows + index;
    *event = (struct event_record){
        .seq = sql_u64(row, 0), .at = {sqlite3_column_int64(row, 1)}, .tenant = {sql_id(row, 2)}};
    page->last = event->seq;
    const struct page_tenants *tenants = page->filter;
    *out_skip = !page_tenants_has(tenants, event->tenant);
    if (*out_skip)
        return ERR_OK;
    enum err err = page_keep(page->arena, sql_text(row, 3), &event->kind);
    if (!err)
        err = page_keep(page->arena, sql_text(row, 4), &event->subject);
    if (!err)
        err = page_keep(page->arena, sql_text(row, 5), &event->body);
    return err;
}

static enum err list_events(struct sqlite_store *store, const struct store_query *query,
                            struct arena *arena, struct store_answer *out, struct fault *fault)
{
    struct page_tenants tenants;
    enum err err = page_check_limit(query->event_list.limit, fault);
    if (!err)
        err = page_tenants_make(&query->event_list.tenants, arena, &tenants, fault);
    if (!err && store->base.mode == STORE_READ)
        err = sqlite_tails_read(store, fault); /* for first_kept, as of this moment */
    if (err)
        return err;
    struct page page = {.store = store,
                        .arena = arena,
                        .limit = query->event_list.limit,
                        .filter = &tenants,
                        .take = take_event};
    page.rows = arena_array(arena, (size_t)page.limit + 1, sizeof(struct event_record));
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_EVENT_LIST);
    if (!page.rows || !statement)
        return statement ? ERR_LIMIT : sql_error_last(&store->sql, fault);
    sql_bind_u64(statement, 1, query->event_list.after);
    err = page_fill(&page, statement, fault);
    out->events.rows = page.rows;
    out->events.first_kept = store->tails.meta.event_first;
    out->count = page.count;
    out->has_more = page.has_more;
    /* Where others' events fill the scan, go on behind them; when all are seen, from the end. */
    if (page.has_more)
        out->next.seq = page.last;
    else if (store->tails.meta.event_seq > query->event_list.after)
        out->next.seq = store->tails.meta.event_seq;
    else
        out->next.seq = query->event_list.after;
    return err;
}

static enum err take_audit(struct page *page, sqlite3_stmt *row, size_t index, bool *out_skip,
                           struct fault *fault)
{
    (void)fault;
    struct audit_record *record = (struct audit_record *)page->rows + index;
    *record = (struct audit_record){.seq = sql_u64(row, 0), .at = {sqlite3_column_int64(row, 1)}};
    page->last = record->seq;
    const struct slice *tenant = page->filter;
    *out_skip = tenant->len > 0 && !slice_is_equal(*tenant, sql_text(row, 3));
    if (*out_skip)
        return ERR_OK;
    struct slice *fields[] = {&record->actor, &record->tenant, &record->action, &record->subject,
                              &record->detail};
    for (int i = 0; i < 5; i++) {
        enum err err = page_keep(page->arena, sql_text(row, 2 + i), fields[i]);
        if (err)
            return err;
    }
    sql_bytes(row, 7, record->previous.bytes, HASH_BYTES);
    sql_bytes(row, 8, record->hash.bytes, HASH_BYTES);
    return ERR_OK;
}

static enum err list_audit(struct sqlite_store *store, const struct store_query *query,
                           struct arena *arena, struct store_answer *out, struct fault *fault)
{
    enum err err = page_check_limit(query->audit_list.limit, fault);
    if (err)
        return err;
    struct page page = {.store = store,
                        .arena = arena,
                        .limit = query->audit_list.limit,
                        .filter = &query->audit_list.tenant,
                        .take = take_audit};
    page.rows = arena_array(arena, (size_t)page.limit + 1, sizeof(struct audit_record));
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_AUDIT_LIST);
    if (!page.rows || !statement)
        return statement ? ERR_LIMIT : sql_error_last(&store->sql, fault);
    sql_bind_u64(statement, 1, query->audit_list.after);
    err = page_fill(&page, statement, fault);
    out->audit = page.rows;
    out->count = page.count;
    out->has_more = page.has_more;
    out->next.seq = page.scanned ? page.last : query->audit_list.after;
    return err;
}

enum err sqlite_query_logs(struct sqlite_store *store, const struct store_query *query,
                           struct arena *arena, struct store_answer *out, struct fault *fault)
{
    return query->kind == STORE_EVENT_LIST ? list_events(store, query, arena, out, fault)
                                           : list_audit(store, query, arena, out, fault);
}
