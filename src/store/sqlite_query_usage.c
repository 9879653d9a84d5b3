/* Usage records in pages, sums of them in groups, and what lies in quarantine. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/map.h"
#include "store/sqlite_page.h"
#include "store/sqlite_rows.h"

enum { USAGE_GROUPS_MAX = 200000 };

#define DAY_US INT64_C(86400000000)

/* ---- pages ---- */

static enum err take_usage(struct page *page, sqlite3_stmt *row, size_t index, bool *out_skip,
                           struct fault *fault)
{
    (void)out_skip, (void)fault;
    struct store_usage *usage = (struct store_usage *)page->rows + index;
    usage->record.site.id = sql_id(row, 0);
    usage->record.journal.id = sql_id(row, 1);
    usage->record.seq = sql_u64(row, 2);
    usage->stream = sql_u64(row, 3);
    usage->tenant.id = sql_id(row, 4);
    row_usage_read(row, 5, &usage->record);
    return ERR_OK;
}

static enum err bind_usage_list(struct sqlite_store *store, const struct store_query *query,
                                sqlite3_stmt **out_statement, struct fault *fault)
{
    bool is_job = !id_is_none(query->usage_list.job.id);
    bool is_stream = !is_job && !id_is_none(query->usage_list.journal.id);
    uint64_t stream = query->usage_list.after_stream;
    enum err err = ERR_OK;
    if (is_stream)
        err = sqlite_stream(store, query->usage_list.site, query->usage_list.journal, false,
                            &stream, fault);
    if (err)
        return err;
    sqlite3_stmt *statement = sql_use(&store->sql, is_job      ? SQL_USAGE_OF_JOB
                                                   : is_stream ? SQL_USAGE_OF_STREAM
                                                               : SQL_USAGE_ALL);
    if (!statement)
        return sql_error_last(&store->sql, fault);
    int position = 1;
    if (is_job)
        sql_bind_id(statement, position++, &query->usage_list.job.id);
    sql_bind_u64(statement, position++, stream);
    sql_bind_u64(statement, position++, query->usage_list.after_seq);
    sql_bind_u64(statement, position, (uint64_t)query->usage_list.limit + 1);
    *out_statement = statement;
    return ERR_OK;
}

static enum err list_usage(struct sqlite_store *store, const struct store_query *query,
                           struct arena *arena, struct store_answer *out, struct fault *fault)
{
    enum err err = page_check_limit(query->usage_list.limit, fault);
    if (err)
        return err;
    struct page page = {
        .store = store, .arena = arena, .limit = query->usage_list.limit, .take = take_usage};
    page.rows = arena_array(arena, page.limit, sizeof(struct store_usage));
    if (!page.rows)
        return ERR_LIMIT;
    sqlite3_stmt *statement = NULL;
    err = bind_usage_list(store, query, &statement, fault);
    if (!err)
        err = page_fill(&page, statement, fault);
    out->usage = page.rows;
    out->count = page.count;
    out->has_more = page.has_more;
    return err;
}

static enum err take_quarantined(struct page *page, sqlite3_stmt *row, size_t index, bool *out_skip,
                                 struct fault *fault)
{
    (void)out_skip, (void)fault;
    struct store_quarantined *kept = (struct store_quarantined *)page->rows + index;
    kept->record.site.id = sql_id(row, 0);
    kept->record.journal.id = sql_id(row, 1);
    kept->record.seq = sql_u64(row, 2);
    kept->number = sql_u64(row, 3);
    kept->at.us = sqlite3_column_int64(row, 4);
    row_usage_read(row, 5, &kept->record);
    return ERR_OK;
}

static enum err list_quarantine(struct sqlite_store *store, const struct store_query *query,
                                struct arena *arena, struct store_answer *out, struct fault *fault)
{
    enum err err = page_check_limit(query->quarantine_list.limit, fault);
    if (err)
        return err;
    struct page page = {.store = store,
                        .arena = arena,
                        .limit = query->quarantine_list.limit,
                        .take = take_quarantined};
    page.rows = arena_array(arena, page.limit, sizeof(struct store_quarantined));
    sqlite3_stmt *statement = sql_use(&store->sql, SQL_QUARANTINE_LIST);
    if (!page.rows || !statement)
        return statement ? ERR_LIMIT : sql_error_last(&store->sql, fault);
    sql_bind_u64(statement, 1, query->quarantine_list.after);
    sql_bind_u64(statement, 2, (uint64_t)page.limit + 1);
    err = page_fill(&page, statement, fault);
    out->quarantined = page.rows;
    out->count = page.count;
    out->has_more = page.has_more;
    if (page.count > 0)
        out->next.seq = out->quarantined[page.count - 1].number;
    return err;
}

/* ---- sums ---- */

struct sum {
    struct sqlite_store *store;
    const struct store_query *query;
    struct page_tenants tenants;
    struct arena *arena;
    struct idmap groups; /* key of the group -> struct store_usage_sum */
};

static int64_t add_saturated(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static void add_quantities(struct usage_quantities *sum, const struct usage_quantities *more)
{
    sum->wall_ms = add_saturated(sum->wall_ms, more->wall_ms);
    sum->cpu_ms = add_saturated(sum->cpu_ms, more->cpu_ms);
    sum->cpu_held_ms = add_saturated(sum->cpu_held_ms, more->cpu_held_ms);
    sum->accel_ms = add_saturated(sum->accel_ms, more->accel_ms);
    sum->mem_mib_ms = add_saturated(sum->mem_mib_ms, more->mem_mib_ms);
    sum->gate_wait_ms = add_saturated(sum->gate_wait_ms, more->gate_wait_ms);
    sum->kill_wait_ms = add_saturated(sum->kill_wait_ms, more->kill_wait_ms);
}

static int64_t day_start(int64_t at_us, int64_t zone_us)
{
    int64_t local = add_saturated(at_us, zone_us);
    int64_t day = local / DAY_US - (local % DAY_US < 0);
    return day * DAY_US - zone_us;
}

/* A day as a key that sorts like the day. */
static struct id day_key(int64_t start_us)
{
    struct id key = {{1}};
    uint64_t biased = (uint64_t)start_us ^ (UINT64_C(1) << 63);
    for (int i = 0; i < 8; i++)
        key.bytes[8 + i] = (uint8_t)(biased >> (56 - 8 * i));
    return key;
}

static enum err find_group(struct sum *sum, const struct store_usage_sum *row, struct id key,
                           struct store_usage_sum **out)
{
    struct store_usage_sum *group = idmap_get(&sum->groups, key);
    if (!group) {
        group = arena_alloc(sum->arena, sizeof *group);
        if (!group)
            return ERR_LIMIT;
        enum usage_group by = sum->query->usage_sum.group;
        if (by == USAGE_BY_TENANT)
            group->tenant = row->tenant;
        else if (by == USAGE_BY_SITE)
            group->site = row->site;
        else if (by == USAGE_BY_JOB)
            group->job = row->job;
        else
            group->day = row->day;
        enum err err = idmap_add(&sum->groups, key, group);
        if (err)
            return err;
    }
    *out = group;
    return ERR_OK;
}

static enum err sum_row(struct sum *sum, sqlite3_stmt *row)
{
    struct store_usage_sum one = {.records = 1};
    one.tenant.id = sql_id(row, 0);
    one.site.id = sql_id(row, 1);
    one.job.id = sql_id(row, 2);
    one.day.us =
        day_start(sqlite3_column_int64(row, 3), sum->query->usage_sum.zone.ms * INT64_C(1000));
    row_quantities_read(row, 4, &one.quantities);
    if (!page_tenants_has(&sum->tenants, one.tenant))
        return ERR_OK;
    struct id site = sum->query->usage_sum.site.id;
    if (!id_is_none(site) && !id_is_equal(site, one.site.id))
        return ERR_OK;
    enum usage_group by = sum->query->usage_sum.group;
    struct id key = by == USAGE_BY_TENANT ? one.tenant.id
                    : by == USAGE_BY_SITE ? one.site.id
                    : by == USAGE_BY_JOB  ? one.job.id
                                          : day_key(one.day.us);
    if (by != USAGE_BY_DAY && id_compare(key, sum->query->usage_sum.after) <= 0)
        return ERR_OK;
    struct store_usage_sum *group = NULL;
    enum err err = find_group(sum, &one, key, &group);
    if (err)
        return err;
    group->records++;
    add_quantities(&group->quantities, &one.quantities);
    return ERR_OK;
}

static enum err sum_rows(struct sum *sum, enum sqlite_statement which, const struct id *key,
                         struct fault *fault)
{
    sqlite3_stmt *statement = sql_use(&sum->store->sql, which);
    if (!statement)
        return sql_error_last(&sum->store->sql, fault);
    int64_t to = sum->query->usage_sum.to.us;
    sql_bind_i64(statement, 1, sum->query->usage_sum.from.us);
    sql_bind_i64(statement, 2, to ? to : INT64_MAX);
    if (key)
        sql_bind_id(statement, 3, key);
    for (;;) {
        bool has = false;
        enum err err = sql_next(&sum->store->sql, statement, &has, fault);
        if (err || !has)
            return err;
        err = sum_row(sum, statement);
        if (err) {
            sqlite3_reset(statement);
            return err;
        }
    }
}

static enum err sum_all(struct sum *sum, struct fault *fault)
{
    const struct store_query *query = sum->query;
    if (!id_is_none(query->usage_sum.job.id))
        return sum_rows(sum, SQL_SUM_JOB, &query->usage_sum.job.id, fault);
    if (sum->tenants.is_all)
        return sum_rows(sum, SQL_SUM_ALL, NULL, fault);
    enum err err = ERR_OK;
    for (size_t i = 0; !err && i < sum->tenants.count; i++)
        err = sum_rows(sum, SQL_SUM_TENANT, &sum->tenants.ids[i].id, fault);
    return err;
}

static int compare_sums(const void *a, const void *b)
{
    const struct store_usage_sum *x = a, *y = b;
    int order = id_compare(x->tenant.id, y->tenant.id);
    if (order == 0)
        order = id_compare(x->site.id, y->site.id);
    if (order == 0)
        order = id_compare(x->job.id, y->job.id);
    if (order == 0)
        order = (x->day.us > y->day.us) - (x->day.us < y->day.us);
    return order;
}

static enum err give_sums(struct sum *sum, struct store_answer *out)
{
    size_t count = idmap_count(&sum->groups), cursor = 0, filled = 0;
    struct store_usage_sum *sums = arena_array(sum->arena, count ? count : 1, sizeof *sums);
    if (!sums)
        return ERR_LIMIT;
    void *group = NULL;
    while (idmap_next(&sum->groups, &cursor, NULL, &group))
        sums[filled++] = *(struct store_usage_sum *)group;
    qsort(sums, count, sizeof *sums, compare_sums);
    uint32_t limit = sum->query->usage_sum.limit;
    out->sums = sums;
    out->has_more = count > limit;
    out->count = count > limit ? limit : count;
    return ERR_OK;
}

static enum err sum_usage(struct sqlite_store *store, const struct store_query *query,
                          struct arena *arena, struct store_answer *out, struct fault *fault)
{
    struct sum sum = {.store = store, .query = query, .arena = arena};
    ASSERT(query->usage_sum.group < USAGE_GROUP_COUNT_);
    enum err err = page_check_limit(query->usage_sum.limit, fault);
    if (!err)
        err = page_tenants_make(&query->usage_sum.tenants, arena, &sum.tenants, fault);
    if (err)
        return err;
    idmap_init(&sum.groups, USAGE_GROUPS_MAX, 0);
    err = sum_all(&sum, fault);
    if (!err)
        err = give_sums(&sum, out);
    else if (err == ERR_LIMIT)
        fault_set(fault, ERR_LIMIT, NULL, "too many groups; ask for a shorter time");
    idmap_deinit(&sum.groups);
    return err;
}

enum err sqlite_query_usage(struct sqlite_store *store, const struct store_query *query,
                            struct arena *arena, struct store_answer *out, struct fault *fault)
{
    if (query->kind == STORE_USAGE_LIST)
        return list_usage(store, query, arena, out, fault);
    if (query->kind == STORE_USAGE_SUM)
        return sum_usage(store, query, arena, out, fault);
    return list_quarantine(store, query, arena, out, fault);
}
