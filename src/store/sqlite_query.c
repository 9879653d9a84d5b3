/* The typed queries on single nouns: one kept statement each. */
#include "base/assert.h"
#include "store/sqlite_page.h"
#include "store/sqlite_rows.h"

typedef enum err query_fn(struct sqlite_store *store, const struct store_query *query,
                          struct arena *arena, struct store_answer *out, struct fault *fault);

/* ---- specs, idempotency, watermarks ---- */

static enum err get_spec(struct sqlite_store *store, const struct store_query *query,
                         struct arena *arena, struct store_answer *out, struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_SPEC_GET);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_id(statement, 1, &query->spec_get.id.id);
    bool has = false;
    enum err err = sql_next(&store->sql, statement, &has, fault);
    if (!err)
        err = has ? page_keep(arena, sql_text(statement, 0), &out->spec) : ERR_NOT_FOUND;
    sqlite3_reset(statement);
    out->count = 1;
    return err;
}

static enum err get_idempotency(struct sqlite_store *store, const struct store_query *query,
                                struct arena *arena, struct store_answer *out, struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_IDEMPOTENCY_GET);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_text(statement, 1, query->idempotency_get.scope);
    sql_bind_text(statement, 2, query->idempotency_get.key);
    sql_bind_i64(statement, 3, query->idempotency_get.now.us);
    bool has = false;
    enum err err = sql_next(&store->sql, statement, &has, fault);
    if (!err && !has)
        err = ERR_NOT_FOUND;
    if (!err) {
        struct store_idempotency *kept = &out->idempotency;
        sql_bytes(statement, 0, kept->request.bytes, HASH_BYTES);
        kept->status = sql_u32(statement, 1);
        kept->expires_at.us = sqlite3_column_int64(statement, 3);
        err = page_keep(arena, sql_text(statement, 2), &kept->response);
    }
    sqlite3_reset(statement);
    out->count = 1;
    return err;
}

static enum err take_watermark(struct page *page, sqlite3_stmt *row, size_t index, bool *out_skip,
                               struct fault *fault)
{
    (void)out_skip, (void)fault;
    struct store_watermark *mark = (struct store_watermark *)page->rows + index;
    mark->site.id = sql_id(row, 0);
    mark->journal.id = sql_id(row, 1);
    mark->seq = sql_u64(row, 2);
    return ERR_OK;
}

static enum err list_watermarks(struct sqlite_store *store, const struct store_query *query,
                                struct arena *arena, struct store_answer *out, struct fault *fault)
{
    (void)query;
    struct page page = {.store = store,
                        .arena = arena,
                        .limit = SQLITE_STORE_WATERMARKS_MAX,
                        .take = take_watermark};
    page.rows = arena_array(arena, page.limit, sizeof(struct store_watermark));
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_LOAD_WATERMARKS);
    if (!page.rows || !statement)
        return statement ? ERR_LIMIT : sql_error_last(&store->sql, fault);
    enum err err = page_fill(&page, statement, fault);
    out->watermarks = page.rows;
    out->count = page.count;
    out->has_more = page.has_more;
    return err;
}

/* ---- reclaims ---- */

static enum err take_reclaim(struct page *page, sqlite3_stmt *row, size_t index, bool *out_skip,
                             struct fault *fault)
{
    (void)out_skip, (void)fault;
    struct store_reclaim *kept = (struct store_reclaim *)page->rows + index;
    *kept = (struct store_reclaim){.site = {sql_id(row, 0)},
                                   .value = {.at = {sqlite3_column_int64(row, 2)},
                                             .wait = {sqlite3_column_int64(row, 3)},
                                             .held = {sqlite3_column_int64(row, 4)},
                                             .promise = {sqlite3_column_int64(row, 5)},
                                             .attempts = sql_u32(row, 6),
                                             .is_open = sql_u32(row, 7) != 0}};
    return page_keep(page->arena, sql_text(row, 1), &kept->value.name);
}

static enum err list_reclaims(struct sqlite_store *store, const struct store_query *query,
                              struct arena *arena, struct store_answer *out, struct fault *fault)
{
    enum err err = page_check_limit(query->reclaim_list.limit, fault);
    if (err)
        return err;
    bool is_one = !id_is_none(query->reclaim_list.site.id);
    struct page page = {
        .store = store, .arena = arena, .limit = query->reclaim_list.limit, .take = take_reclaim};
    page.rows = arena_array(arena, page.limit, sizeof(struct store_reclaim));
    sqlite3_stmt *statement =
        sql_use(&store->sql, is_one ? SQL_RECLAIMS_OF_SITE : SQL_RECLAIMS_ALL);
    if (!page.rows || !statement)
        return statement ? ERR_LIMIT : sql_error_last(&store->sql, fault);
    bool has_cursor = query->reclaim_list.has_cursor;
    page_bind_key(statement, 1,
                  is_one ? &query->reclaim_list.site.id : &query->reclaim_list.before_site.id);
    sql_bind_i64(statement, 2, has_cursor ? query->reclaim_list.before_at.us : INT64_MAX);
    sql_bind_text(statement, 3, query->reclaim_list.before_name);
    sql_bind_u64(statement, 4, (uint64_t)page.limit + 1);
    err = page_fill(&page, statement, fault);
    out->reclaims = page.rows;
    out->count = page.count;
    out->has_more = page.has_more;
    return err;
}

/* ---- attempts ---- */

static enum err take_attempt(struct page *page, sqlite3_stmt *row, size_t index, bool *out_skip,
                             struct fault *fault)
{
    struct store_attempt *attempt = (struct store_attempt *)page->rows + index;
    int column = row_attempt_read(row, 0, &attempt->row);
    enum err err = row_attempt_check(&attempt->row, fault);
    page->last_attempt = attempt->row.token;
    const struct store_query *query = page->filter;
    if (!err && query->kind == STORE_ATTEMPT_AT) {
        struct id site = query->attempt_at.site.id;
        uint32_t states = query->attempt_at.states;
        *out_skip = (states && !(states & (UINT32_C(1) << attempt->row.state))) ||
                    (!id_is_none(site) && !id_is_equal(site, attempt->row.site.id));
    }
    if (err || *out_skip)
        return err;
    return page_keep(page->arena, sql_text(row, column), &attempt->places);
}

static enum err fill_attempts(struct page *page, sqlite3_stmt *statement, struct store_answer *out,
                              struct fault *fault)
{
    page->rows = arena_array(page->arena, page->limit, sizeof(struct store_attempt));
    enum err err = page->rows ? page_fill(page, statement, fault) : ERR_LIMIT;
    out->attempts = page->rows;
    out->next.attempt = page->last_attempt;
    out->count = page->count;
    out->has_more = page->has_more;
    return err;
}

static enum err list_attempts(struct sqlite_store *store, const struct store_query *query,
                              struct arena *arena, struct store_answer *out, struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_ATTEMPTS_OF);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_id(statement, 1, &query->attempt_list.job.id);
    sql_bind_u64(statement, 2, STORE_PAGE_MAX + 1);
    struct page page = {.store = store,
                        .arena = arena,
                        .limit = STORE_PAGE_MAX,
                        .filter = query,
                        .take = take_attempt};
    return fill_attempts(&page, statement, out, fault);
}

static enum err list_attempts_at(struct sqlite_store *store, const struct store_query *query,
                                 struct arena *arena, struct store_answer *out, struct fault *fault)
{
    enum { LIVE = 1 << ATTEMPT_OFFERED | 1 << ATTEMPT_RUNNING | 1 << ATTEMPT_UNKNOWN };
    enum err err = page_check_limit(query->attempt_at.limit, fault);
    if (err)
        return err;
    uint32_t states = query->attempt_at.states;
    bool is_live = states != 0 && (states & ~(uint32_t)LIVE) == 0;
    bool is_site = !is_live && !id_is_none(query->attempt_at.site.id);
    sqlite3_stmt *statement = sql_use(&store->sql, is_live   ? SQL_ATTEMPTS_LIVE
                                                   : is_site ? SQL_ATTEMPTS_AT
                                                             : SQL_ATTEMPTS_ALL);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    page_bind_key(statement, 1, &query->attempt_at.after_job.id);
    sql_bind_u64(statement, 2, query->attempt_at.after_number);
    if (is_site)
        sql_bind_id(statement, 3, &query->attempt_at.site.id);
    struct page page = {.store = store,
                        .arena = arena,
                        .limit = query->attempt_at.limit,
                        .filter = query,
                        .take = take_attempt};
    return fill_attempts(&page, statement, out, fault);
}

/* ---- documents ---- */

static enum err take_doc(struct page *page, sqlite3_stmt *row, size_t index, bool *out_skip,
                         struct fault *fault)
{
    (void)out_skip, (void)fault;
    struct doc *doc = (struct doc *)page->rows + index;
    doc->kind = (enum doc_kind)sql_u32(row, 0);
    doc->version = sql_u64(row, 3);
    doc->changed_at.us = sqlite3_column_int64(row, 4);
    enum err err = page_keep(page->arena, sql_text(row, 1), &doc->id);
    if (!err)
        err = page_keep(page->arena, sql_text(row, 2), &doc->parent);
    if (!err)
        err = page_keep(page->arena, sql_text(row, 5), &doc->body);
    return err;
}

static enum err fill_docs(struct page *page, sqlite3_stmt *statement, struct store_answer *out,
                          struct fault *fault)
{
    page->rows = arena_array(page->arena, page->limit, sizeof(struct doc));
    page->take = take_doc;
    enum err err = page->rows ? page_fill(page, statement, fault) : ERR_LIMIT;
    out->docs = page->rows;
    out->count = page->count;
    out->has_more = page->has_more;
    return err;
}

static enum err get_doc(struct sqlite_store *store, const struct store_query *query,
                        struct arena *arena, struct store_answer *out, struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_DOC_GET);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_u64(statement, 1, query->doc_get.kind);
    sql_bind_text(statement, 2, query->doc_get.id);
    struct page page = {.store = store, .arena = arena, .limit = 1};
    enum err err = fill_docs(&page, statement, out, fault);
    return err ? err : page.count == 1 ? ERR_OK : ERR_NOT_FOUND;
}

static enum err list_docs(struct sqlite_store *store, const struct store_query *query,
                          struct arena *arena, struct store_answer *out, struct fault *fault)
{
    enum err err = page_check_limit(query->doc_list.limit, fault);
    if (err)
        return err;
    bool has_parent = query->doc_list.has_parent;
    sqlite3_stmt *statement = sql_use(&store->sql, has_parent ? SQL_DOC_LIST_OF : SQL_DOC_LIST);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    sql_bind_u64(statement, 1, query->doc_list.kind);
    sql_bind_text(statement, 2, query->doc_list.after);
    sql_bind_u64(statement, 3, (uint64_t)query->doc_list.limit + 1);
    if (has_parent)
        sql_bind_text(statement, 4, query->doc_list.parent);
    struct page page = {.store = store, .arena = arena, .limit = query->doc_list.limit};
    return fill_docs(&page, statement, out, fault);
}

/* ---- artifacts ---- */

static enum err take_artifact(struct page *page, sqlite3_stmt *row, size_t index, bool *out_skip,
                              struct fault *fault)
{
    struct artifact_row *artifact = (struct artifact_row *)page->rows + index;
    int column = row_artifact_read(row, 0, artifact);
    if (artifact->kind >= ARTIFACT_KIND_COUNT_ || artifact->runtime >= RUNTIME_COUNT_)
        return fault_set(fault, ERR_CORRUPT, NULL, "database: an artifact is damaged");
    const struct page_tenants *tenants = page->filter;
    *out_skip = tenants && !page_tenants_has(tenants, artifact->tenant);
    if (*out_skip)
        return ERR_OK;
    enum err err = page_keep(page->arena, artifact->jurisdiction, &artifact->jurisdiction);
    if (!err)
        err = page_keep(page->arena, sql_text(row, column), &artifact->manifest);
    return err;
}

static enum err fill_artifacts(struct page *page, sqlite3_stmt *statement, struct store_answer *out,
                               struct fault *fault)
{
    page->rows = arena_array(page->arena, page->limit, sizeof(struct artifact_row));
    page->take = take_artifact;
    enum err err = page->rows ? page_fill(page, statement, fault) : ERR_LIMIT;
    out->artifacts = page->rows;
    out->count = page->count;
    out->has_more = page->has_more;
    if (!err && page->count > 0)
        out->next.artifact = out->artifacts[page->count - 1].id;
    return err;
}

static enum err get_artifact(struct sqlite_store *store, const struct store_query *query,
                             struct arena *arena, struct store_answer *out, struct fault *fault)
{
    bool is_newest = query->kind == STORE_CHECKPOINT_NEWEST;
    sqlite3_stmt *statement =
        sql_use(&store->sql, is_newest ? SQL_CHECKPOINT_NEWEST : SQL_ARTIFACT_GET);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    if (is_newest) {
        sql_bind_id(statement, 1, &query->checkpoint_newest.job.id);
        sql_bind_u64(statement, 2, ARTIFACT_CHECKPOINT);
    } else {
        sql_bind_id(statement, 1, &query->artifact_get.id);
    }
    struct page page = {.store = store, .arena = arena, .limit = 1};
    enum err err = fill_artifacts(&page, statement, out, fault);
    return err ? err : page.count == 1 ? ERR_OK : ERR_NOT_FOUND;
}

static enum err list_artifacts(struct sqlite_store *store, const struct store_query *query,
                               struct arena *arena, struct store_answer *out, struct fault *fault)
{
    struct page_tenants tenants;
    enum err err = page_check_limit(query->artifact_list.limit, fault);
    if (!err)
        err = page_tenants_make(&query->artifact_list.tenants, arena, &tenants, fault);
    if (err)
        return err;
    bool is_job = !id_is_none(query->artifact_list.job.id);
    bool is_one = !is_job && !tenants.is_all && tenants.count == 1;
    sqlite3_stmt *statement = sql_use(&store->sql, is_job   ? SQL_ARTIFACTS_OF_JOB
                                                   : is_one ? SQL_ARTIFACTS_OF_TENANT
                                                            : SQL_ARTIFACTS_ALL);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    int position = 1;
    if (is_job)
        sql_bind_id(statement, position++, &query->artifact_list.job.id);
    else if (is_one)
        sql_bind_id(statement, position++, &tenants.ids[0].id);
    sql_bind_u64(statement, position++, query->artifact_list.with_manifest);
    if (!is_job)
        page_bind_key(statement, position, &query->artifact_list.after);
    struct page page = {.store = store,
                        .arena = arena,
                        .limit = query->artifact_list.limit,
                        .filter = is_job || is_one ? NULL : &tenants};
    return fill_artifacts(&page, statement, out, fault);
}

static query_fn *const QUERIES[STORE_QUERY_KIND_COUNT_] = {
    [STORE_JOB_GET] = sqlite_query_jobs,
    [STORE_JOB_LIST] = sqlite_query_jobs,
    [STORE_JOB_COUNT] = sqlite_query_jobs,
    [STORE_SPEC_GET] = get_spec,
    [STORE_ATTEMPT_LIST] = list_attempts,
    [STORE_ATTEMPT_AT] = list_attempts_at,
    [STORE_USAGE_LIST] = sqlite_query_usage,
    [STORE_USAGE_SUM] = sqlite_query_usage,
    [STORE_QUARANTINE_LIST] = sqlite_query_usage,
    [STORE_EVENT_LIST] = sqlite_query_logs,
    [STORE_AUDIT_LIST] = sqlite_query_logs,
    [STORE_DOC_GET] = get_doc,
    [STORE_DOC_LIST] = list_docs,
    [STORE_ARTIFACT_GET] = get_artifact,
    [STORE_ARTIFACT_LIST] = list_artifacts,
    [STORE_CHECKPOINT_NEWEST] = get_artifact,
    [STORE_IDEMPOTENCY_GET] = get_idempotency,
    [STORE_WATERMARK_LIST] = list_watermarks,
    [STORE_RECLAIM_LIST] = list_reclaims,
    [STORE_UTILISATION_LIST] = sqlite_query_utilisation,
    [STORE_HISTORY_LIST] = sqlite_query_history,
};

enum err sqlite_store_query(struct store_db *db, const struct store_query *query,
                            struct arena *arena, struct store_answer *out, struct fault *fault)
{
    struct sqlite_store *store = (struct sqlite_store *)db;
    struct store_answer answer = {.kind = query->kind};
    /* One transaction, so that the statements of a page see one state. */
    enum err err = sql_begin(&store->sql, false, fault);
    if (err)
        return err;
    err = QUERIES[query->kind](store, query, arena, &answer, fault);
    sql_rollback(&store->sql);
    if (!err)
        *out = answer;
    return err;
}
