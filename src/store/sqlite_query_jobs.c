/* Pages of jobs, newest first. The index holds (state, tenant, id), so a page over several states
 * and tenants is a merge of short runs: each is asked only for ids newer than the oldest that would
 * still fit. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "store/sqlite_page.h"
#include "store/sqlite_rows.h"

enum { IDS_AT_ONCE_MAX = 1024 };

struct job_page {
    struct sqlite_store *store;
    struct arena *arena;
    struct page_tenants tenants;
    uint32_t states;
    struct slice name;
    /* the merge */
    struct job_id *ids; /* 2 * IDS_AT_ONCE_MAX */
    size_t count, cap;
    struct job_id before, floor;
    /* the name of the spec seen last: the elements of an array follow on each other */
    struct spec_id spec;
    struct slice spec_name;
};

static int compare_newest_first(const void *a, const void *b)
{
    return id_compare(((const struct job_id *)b)->id, ((const struct job_id *)a)->id);
}

/* Adds the ids that a bound statement gives and keeps the newest `cap`. */
static enum err merge_ids(struct job_page *page, sqlite3_stmt *statement, struct fault *fault)
{
    size_t count = page->count;
    for (;;) {
        bool has = false;
        enum err err = sql_next(&page->store->sql, statement, &has, fault);
        if (err)
            return err;
        if (!has)
            break;
        ASSERT(count < 2 * IDS_AT_ONCE_MAX);
        page->ids[count++].id = sql_id(statement, 0);
    }
    if (count == page->count)
        return ERR_OK;
    qsort(page->ids, count, sizeof *page->ids, compare_newest_first);
    page->count = count < page->cap ? count : page->cap;
    if (page->count == page->cap)
        page->floor = page->ids[page->cap - 1];
    return ERR_OK;
}

static enum err merge_run(struct job_page *page, uint32_t state, struct tenant_id tenant,
                          struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&page->store->sql, SQL_JOB_IDS_OF);
    if (!statement)
        return sql_error_last(&page->store->sql, fault);
    sql_bind_u64(statement, 1, state);
    sql_bind_id(statement, 2, &tenant.id);
    page_bind_key(statement, 3, &page->before.id);
    page_bind_key(statement, 4, &page->floor.id);
    sql_bind_u64(statement, 5, page->cap);
    return merge_ids(page, statement, fault);
}

static enum err next_tenant(struct job_page *page, uint32_t state, struct tenant_id *tenant,
                            bool *out_has, struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&page->store->sql, SQL_JOB_TENANT_NEXT);
    if (!statement)
        return sql_error_last(&page->store->sql, fault);
    sql_bind_u64(statement, 1, state);
    page_bind_key(statement, 2, &tenant->id);
    enum err err = sql_next(&page->store->sql, statement, out_has, fault);
    if (!err && *out_has)
        tenant->id = sql_id(statement, 0);
    sqlite3_reset(statement);
    return err;
}

static enum err merge_state(struct job_page *page, uint32_t state, struct fault *fault)
{
    enum err err = ERR_OK;
    if (!page->tenants.is_all) {
        for (size_t i = 0; !err && i < page->tenants.count; i++)
            err = merge_run(page, state, page->tenants.ids[i], fault);
        return err;
    }
    struct tenant_id tenant = {{{0}}};
    for (;;) {
        bool has = false;
        err = next_tenant(page, state, &tenant, &has, fault);
        if (err || !has)
            return err;
        err = merge_run(page, state, tenant, fault);
        if (err)
            return err;
    }
}

/* The newest `cap` ids before `page->before`. */
static enum err find_ids(struct job_page *page, size_t cap, struct fault *fault)
{
    page->count = 0;
    page->cap = cap < IDS_AT_ONCE_MAX ? cap : IDS_AT_ONCE_MAX;
    page->floor = (struct job_id){{{0}}};
    uint32_t all = (UINT32_C(1) << JOB_STATE_COUNT_) - 1;
    if (page->tenants.is_all && page->states == all) {
        sqlite3_stmt *statement = sql_use(&page->store->sql, SQL_JOB_IDS);
        if (!statement)
            return sql_error_last(&page->store->sql, fault);
        page_bind_key(statement, 1, &page->before.id);
        sql_bind_u64(statement, 2, page->cap);
        return merge_ids(page, statement, fault);
    }
    enum err err = ERR_OK;
    for (uint32_t state = 0; !err && state < JOB_STATE_COUNT_; state++) {
        if (page->states & (UINT32_C(1) << state))
            err = merge_state(page, state, fault);
    }
    return err;
}

static enum err read_name(struct job_page *page, struct spec_id spec, struct slice *out,
                          struct fault *fault)
{
    if (!id_is_none(spec.id) && id_is_equal(spec.id, page->spec.id)) {
        *out = page->spec_name;
        return ERR_OK;
    }
    sqlite3_stmt *statement = sql_use(&page->store->sql, SQL_SPEC_NAME);
    if (!statement)
        return sql_error_last(&page->store->sql, fault);
    sql_bind_id(statement, 1, &spec.id);
    bool has = false;
    enum err err = sql_next(&page->store->sql, statement, &has, fault);
    struct slice name = {"", 0};
    if (!err && has)
        err = page_keep(page->arena, sql_text(statement, 0), &name);
    sqlite3_reset(statement);
    if (err)
        return err;
    page->spec = spec;
    page->spec_name = name;
    *out = name;
    return ERR_OK;
}

static enum err read_job(struct job_page *page, struct job_id id, struct store_job *out,
                         struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&page->store->sql, SQL_JOB_GET);
    if (!statement)
        return sql_error_last(&page->store->sql, fault);
    sql_bind_id(statement, 1, &id.id);
    bool has = false;
    enum err err = sql_next(&page->store->sql, statement, &has, fault);
    if (!err && !has)
        return ERR_NOT_FOUND;
    if (err)
        return err;
    struct store_job job = {0};
    row_job_read(statement, 0, &job.row);
    sqlite3_reset(statement);
    err = row_job_check(&job.row, fault);
    if (!err)
        err = read_name(page, job.row.spec, &job.name, fault);
    if (!err)
        *out = job;
    return err;
}

static bool has_part(struct slice text, struct slice part)
{
    return part.len == 0 || memmem(text.data, text.len, part.data, part.len) != NULL;
}

static enum err list_jobs(struct job_page *page, uint32_t limit, struct store_answer *out,
                          struct fault *fault)
{
    struct store_job *jobs = arena_array(page->arena, limit, sizeof *jobs);
    page->ids = arena_array(page->arena, 2 * IDS_AT_ONCE_MAX, sizeof *page->ids);
    if (!jobs || !page->ids)
        return ERR_LIMIT;
    uint64_t scanned = 0;
    out->jobs = jobs;
    for (;;) {
        size_t wanted = page->name.len ? IDS_AT_ONCE_MAX : limit - out->count + 1;
        enum err err = find_ids(page, wanted, fault);
        if (err)
            return err;
        for (size_t i = 0; i < page->count; i++) {
            if (out->count == limit || scanned == STORE_SCAN_MAX) {
                out->has_more = true;
                return ERR_OK;
            }
            err = read_job(page, page->ids[i], &jobs[out->count], fault);
            if (err)
                return err;
            scanned++;
            out->next.job = page->before = page->ids[i];
            out->count += has_part(jobs[out->count].name, page->name);
        }
        if (page->count < page->cap)
            return ERR_OK;
    }
}

static enum err query_list(struct sqlite_store *store, const struct store_query *query,
                           struct arena *arena, struct store_answer *out, struct fault *fault)
{
    uint32_t all = (UINT32_C(1) << JOB_STATE_COUNT_) - 1;
    struct job_page page = {
        .store = store,
        .arena = arena,
        .states = query->job_list.states ? query->job_list.states & all : all,
        .name = query->job_list.name,
        .before = query->job_list.before,
    };
    if (id_is_none(page.before.id))
        memset(&page.before, 0xff, sizeof page.before);
    enum err err = page_check_limit(query->job_list.limit, fault);
    if (!err)
        err = page_tenants_make(&query->job_list.tenants, arena, &page.tenants, fault);
    return err ? err : list_jobs(&page, query->job_list.limit, out, fault);
}

static enum err query_get(struct sqlite_store *store, const struct store_query *query,
                          struct arena *arena, struct store_answer *out, struct fault *fault)
{
    struct job_page page = {.store = store, .arena = arena};
    struct store_job *job = arena_alloc(arena, sizeof *job);
    if (!job)
        return ERR_LIMIT;
    enum err err = read_job(&page, query->job_get.id, job, fault);
    out->jobs = job;
    out->count = 1;
    return err;
}

static enum err count_all(struct sqlite_store *store, struct store_answer *out, struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_JOB_COUNT);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    for (;;) {
        bool has = false;
        enum err err = sql_next(&store->sql, statement, &has, fault);
        if (err || !has)
            return err;
        uint64_t state = sql_u64(statement, 0);
        if (state < JOB_STATE_COUNT_)
            out->job_count.by_state[state] = sql_u64(statement, 1);
    }
}

static enum err query_count(struct sqlite_store *store, const struct store_query *query,
                            struct arena *arena, struct store_answer *out, struct fault *fault)
{
    struct page_tenants tenants;
    enum err err = page_tenants_make(&query->job_count.tenants, arena, &tenants, fault);
    out->count = 1;
    if (err || tenants.is_all)
        return err ? err : count_all(store, out, fault);
    for (size_t i = 0; i < tenants.count * JOB_STATE_COUNT_; i++) {
        sqlite3_stmt *statement = sql_use(&store->sql, SQL_JOB_COUNT_OF);
        if (!statement)
            return sql_error_last(&store->sql, fault);
        sql_bind_u64(statement, 1, i % JOB_STATE_COUNT_);
        sql_bind_id(statement, 2, &tenants.ids[i / JOB_STATE_COUNT_].id);
        bool has = false;
        err = sql_next(&store->sql, statement, &has, fault);
        if (err)
            return err;
        if (has)
            out->job_count.by_state[i % JOB_STATE_COUNT_] += sql_u64(statement, 0);
        sqlite3_reset(statement);
    }
    return ERR_OK;
}

enum err sqlite_query_jobs(struct sqlite_store *store, const struct store_query *query,
                           struct arena *arena, struct store_answer *out, struct fault *fault)
{
    if (query->kind == STORE_JOB_GET)
        return query_get(store, query, arena, out, fault);
    if (query->kind == STORE_JOB_LIST)
        return query_list(store, query, arena, out, fault);
    return query_count(store, query, arena, out, fault);
}
