/* What is recorded: usage, audit, events, counts. */
#include <string.h>

#include "base/assert.h"
#include "model/words.h"
#include "server/api.h"
#include "server/requests.h"
#include "server/watch.h"
#include "wire/row.h"

enum { RECORD_BYTES_MAX = 64 << 20 };

struct sum_view {
    enum usage_group group;
};

static void put_quantities(struct json_writer *writer, const struct usage_quantities *q)
{
    json_put_i64(writer, "wall_ms", q->wall_ms);
    json_put_i64(writer, "cpu_ms", q->cpu_ms);
    json_put_i64(writer, "cpu_held_ms", q->cpu_held_ms);
    json_put_i64(writer, "accel_ms", q->accel_ms);
    json_put_i64(writer, "mem_mib_ms", q->mem_mib_ms);
    json_put_i64(writer, "gate_wait_ms", q->gate_wait_ms);
    json_put_i64(writer, "kill_wait_ms", q->kill_wait_ms);
}

static void put_group(struct request *request, enum usage_group group,
                      const struct store_usage_sum *sum, struct json_writer *writer)
{
    const struct tenant *tenant;
    const struct site *site;
    switch (group) {
    case USAGE_BY_TENANT:
        json_put_id(writer, "tenant", sum->tenant.id, ID_PREFIX_TENANT);
        tenant = tenant_tree_find(directory_tree(request->server->directory), sum->tenant);
        if (tenant != NULL)
            json_put_string(writer, "name", tenant->name);
        return;
    case USAGE_BY_SITE:
        json_put_id(writer, "site", sum->site.id, ID_PREFIX_SITE);
        site = directory_site_by_id(request->server->directory, sum->site);
        if (site != NULL)
            json_put_string(writer, "name", site->name);
        return;
    case USAGE_BY_JOB:
        json_put_id(writer, "job", sum->job.id, ID_PREFIX_JOB);
        return;
    case USAGE_BY_DAY:
        json_put_wall(writer, "day", sum->day);
        return;
    case USAGE_GROUP_COUNT_:
        break;
    }
    ASSERT(!"known group");
}

static void finish(struct request *request, struct json_writer *writer, struct buffer *out)
{
    json_end_object(writer);
    enum err err = json_writer_finish(writer);
    ASSERT(err == ERR_OK || buffer_status(out) != ERR_OK);
    request_buffer(request, 200, out);
}

static void list_begin(struct buffer *out, struct json_writer *writer)
{
    buffer_init(out, RECORD_BYTES_MAX);
    json_writer_init(writer, out);
    json_begin_object(writer);
    json_key(writer, "items");
    json_begin_array(writer);
}

static void on_sum(struct request *request, const struct store_answer *answer)
{
    const struct sum_view *view = request->extra;
    struct buffer out;
    struct json_writer writer;
    list_begin(&out, &writer);
    for (size_t i = 0; i < answer->count; i++) {
        json_begin_object(&writer);
        put_group(request, view->group, &answer->sums[i], &writer);
        json_put_u64(&writer, "records", answer->sums[i].records);
        put_quantities(&writer, &answer->sums[i].quantities);
        json_end_object(&writer);
    }
    json_end_array(&writer);
    json_put_bool(&writer, "has_more", answer->has_more);
    finish(request, &writer, &out);
}

void api_usage_sum(struct request *request)
{
    static const char *const KNOWN[] = {"by", "from", "to", "tenant", "site"};
    static const char *const GROUPS[USAGE_GROUP_COUNT_] = {"tenant", "site", "job", "day"};
    struct store_query query = {.kind = STORE_USAGE_SUM};
    struct slice by = request_query(request, "by"), site_name = request_query(request, "site");
    unsigned group = USAGE_BY_TENANT;
    struct sum_view *view = requests_alloc(request, sizeof(*view));
    if (view == NULL) {
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return;
    }
    if (!request_query_known(request, KNOWN, 5) ||
        !request_query_time(request, "from", &query.usage_sum.from) ||
        !request_query_time(request, "to", &query.usage_sum.to) ||
        !request_tenants(request, &query.usage_sum.tenants))
        return;
    if (by.len > 0 && words_find(GROUPS, USAGE_GROUP_COUNT_, by, &group) != ERR_OK) {
        request_problem(request, 400, "invalid", "the query's by must be tenant, site, job or day");
        return;
    }
    if (site_name.len > 0) {
        const struct site *site = directory_site(request->server->directory, site_name);
        if (site == NULL) {
            request_problem(request, 404, "not_found", "there is no site \"%.*s\"",
                            SLICE_ARG(site_name));
            return;
        }
        query.usage_sum.site = site->id;
        struct subject subject = {.operator_name = site->operator_name};
        if (request_query(request, "tenant").len == 0 &&
            request_may(request, PERM_USAGE_READ, &subject))
            query.usage_sum.tenants.is_all = true; /* all that ran there */
    }
    view->group = (enum usage_group)group;
    request->extra = view;
    query.usage_sum.group = view->group;
    query.usage_sum.limit = STORE_PAGE_MAX;
    request_query_store(request, &query, on_sum);
}

static void on_records(struct request *request, const struct store_answer *answer)
{
    struct buffer out;
    struct json_writer writer;
    list_begin(&out, &writer);
    for (size_t i = 0; i < answer->count; i++) {
        const struct site *site =
            directory_site_by_id(request->server->directory, answer->usage[i].record.site);
        struct subject subject = {.tenant = answer->usage[i].tenant};
        if (site != NULL)
            subject.operator_name = site->operator_name;
        if (request_may(request, PERM_USAGE_READ, &subject))
            row_encode_usage(&answer->usage[i].record, &writer);
    }
    json_end_array(&writer);
    json_key(&writer, "next");
    if (answer->has_more && answer->count > 0) {
        const struct store_usage *last = &answer->usage[answer->count - 1];
        json_text(&writer, arena_printf(request_arena(request), "%llu.%llu",
                                        (unsigned long long)last->stream,
                                        (unsigned long long)last->record.seq));
    } else {
        json_null(&writer);
    }
    finish(request, &writer, &out);
}

void api_usage_records(struct request *request)
{
    static const char *const KNOWN[] = {"job", "limit", "cursor"};
    struct store_query query = {.kind = STORE_USAGE_LIST};
    uint64_t limit = PAGE_DEFAULT;
    struct slice job = request_query(request, "job"), cursor = request_query(request, "cursor"),
                 stream, seq;
    if (!request_query_known(request, KNOWN, 3) ||
        !request_query_u64(request, "limit", 1, STORE_PAGE_MAX, &limit))
        return;
    if (job.len > 0 && id_parse(job, ID_PREFIX_JOB, &query.usage_list.job.id) != ERR_OK) {
        request_problem(request, 400, "invalid", "the query's job must be a job's id");
        return;
    }
    if (cursor.len > 0 && (!slice_cut(cursor, '.', &stream, &seq) ||
                           slice_parse_u64(stream, &query.usage_list.after_stream) != ERR_OK ||
                           slice_parse_u64(seq, &query.usage_list.after_seq) != ERR_OK)) {
        request_problem(request, 400, "invalid", "the cursor is not one that this server gave");
        return;
    }
    query.usage_list.limit = (uint32_t)limit;
    request_query_store(request, &query, on_records);
}

/* ---- reclaims */

static bool may_see_site(struct request *request, const struct site *site)
{
    struct subject subject = {0};
    if (site != NULL)
        subject.operator_name = site->operator_name;
    return request_may(request, PERM_USAGE_READ, &subject);
}

static void put_reclaim(struct json_writer *writer, const struct store_reclaim *row,
                        const struct site *site)
{
    json_begin_object(writer);
    json_put_id(writer, "site_id", row->site.id, ID_PREFIX_SITE);
    if (site != NULL)
        json_put_string(writer, "site", site->name);
    row_put_reclaim(&row->value, writer);
    json_end_object(writer);
}

static void on_reclaims(struct request *request, const struct store_answer *answer)
{
    struct buffer out;
    struct json_writer writer;
    list_begin(&out, &writer);
    for (size_t i = 0; i < answer->count; i++) {
        const struct site *site =
            directory_site_by_id(request->server->directory, answer->reclaims[i].site);
        if (may_see_site(request, site))
            put_reclaim(&writer, &answer->reclaims[i], site);
    }
    json_end_array(&writer);
    json_key(&writer, "next");
    if (answer->has_more && answer->count > 0) {
        const struct store_reclaim *last = &answer->reclaims[answer->count - 1];
        char site[ID_TEXT_MAX];
        id_format(last->site.id, ID_PREFIX_SITE, site);
        json_text(&writer,
                  arena_printf(request_arena(request), "%lld.%s.%.*s", (long long)last->value.at.us,
                               site, SLICE_ARG(last->value.name)));
    } else {
        json_null(&writer);
    }
    finish(request, &writer, &out);
}

static bool reclaim_cursor(struct slice cursor, struct store_query *query)
{
    struct slice at, rest, site, name;
    uint64_t us;
    if (!slice_cut(cursor, '.', &at, &rest) || !slice_cut(rest, '.', &site, &name) ||
        slice_parse_u64(at, &us) != ERR_OK || us > INT64_MAX ||
        id_parse(site, ID_PREFIX_SITE, &query->reclaim_list.before_site.id) != ERR_OK)
        return false;
    query->reclaim_list.has_cursor = true;
    query->reclaim_list.before_at.us = (int64_t)us;
    query->reclaim_list.before_name = name;
    return true;
}

void api_reclaims(struct request *request)
{
    static const char *const KNOWN[] = {"site", "limit", "cursor"};
    struct store_query query = {.kind = STORE_RECLAIM_LIST};
    struct slice name = request_query(request, "site"), cursor = request_query(request, "cursor");
    uint64_t limit = PAGE_DEFAULT;
    if (!request_query_known(request, KNOWN, 3) ||
        !request_query_u64(request, "limit", 1, STORE_PAGE_MAX, &limit))
        return;
    if (name.len > 0) {
        const struct site *site = directory_site(request->server->directory, name);
        if (site == NULL || !may_see_site(request, site)) {
            request_problem(request, 404, "not_found", "there is no site \"%.*s\" of yours",
                            SLICE_ARG(name));
            return;
        }
        query.reclaim_list.site = site->id;
    }
    if (cursor.len > 0 && !reclaim_cursor(cursor, &query)) {
        request_problem(request, 400, "invalid", "the cursor is not one that this server gave");
        return;
    }
    query.reclaim_list.limit = (uint32_t)limit;
    request_query_store(request, &query, on_reclaims);
}

static void on_audit(struct request *request, const struct store_answer *answer)
{
    struct buffer out;
    struct json_writer writer;
    list_begin(&out, &writer);
    for (size_t i = 0; i < answer->count; i++)
        row_encode_audit(&answer->audit[i], &writer);
    json_end_array(&writer);
    json_key(&writer, "next");
    if (answer->has_more && answer->count > 0)
        json_u64(&writer, answer->audit[answer->count - 1].seq);
    else
        json_null(&writer);
    finish(request, &writer, &out);
}

void api_audit_list(struct request *request)
{
    static const char *const KNOWN[] = {"after", "limit", "tenant"};
    struct store_query query = {.kind = STORE_AUDIT_LIST};
    uint64_t limit = PAGE_DEFAULT;
    if (!request_query_known(request, KNOWN, 3) ||
        !request_query_u64(request, "limit", 1, STORE_PAGE_MAX, &limit) ||
        !request_query_u64(request, "after", 0, INT64_MAX, &query.audit_list.after))
        return;
    query.audit_list.tenant = request_query(request, "tenant");
    query.audit_list.limit = (uint32_t)limit;
    request_query_store(request, &query, on_audit);
}

void api_events(struct request *request)
{
    static const char *const KNOWN[] = {"after", "tenant"};
    struct store_tenants tenants;
    uint64_t after = 0;
    struct slice last = http_exchange_header(request->exchange, "Last-Event-ID");
    if (!request_query_known(request, KNOWN, 2) ||
        !request_query_u64(request, "after", 0, INT64_MAX, &after) ||
        !request_tenants(request, &tenants))
        return;
    if (last.data != NULL && slice_parse_u64(last, &after) != ERR_OK) {
        request_problem(request, 400, "invalid",
                        "Last-Event-ID must be a sequence number that this server gave");
        return;
    }
    watch_begin(request, &tenants, after);
}

void api_stats(struct request *request)
{
    struct buffer out;
    struct json_writer writer;
    struct server_core *core = core_host_core(request->server->host);
    if (core == NULL) {
        request_problem(request, 503, "busy", "the server is loading; try again in a second");
        return;
    }
    struct server_counts counts = server_core_counts(core);
    buffer_init(&out, RECORD_BYTES_MAX);
    json_writer_init(&writer, &out);
    json_begin_object(&writer);
    json_put_u64(&writer, "jobs_pending", counts.jobs_pending);
    json_put_u64(&writer, "jobs_active", counts.jobs_active);
    json_put_u64(&writer, "attempts_offered", counts.attempts_offered);
    json_put_u64(&writer, "attempts_running", counts.attempts_running);
    json_put_u64(&writer, "attempts_unknown", counts.attempts_unknown);
    json_put_u64(&writer, "sites", counts.sites);
    json_put_u64(&writer, "sites_lost", counts.sites_lost);
    json_put_u64(&writer, "db_epoch", counts.db_epoch);
    json_put_bool(&writer, "is_reconciling", counts.is_reconciling);
    finish(request, &writer, &out);
}
