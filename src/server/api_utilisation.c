/* How much of the sites was used, by owner and pool: the recorded rows, summed in steps, and what
 * stands now. An operator sees its own sites; who may read the whole network's usage, all. */
#include "base/assert.h"
#include "server/api.h"
#include "server/requests.h"

enum {
    POINTS_DEFAULT = 60,
    POINTS_MAX = 1440,
    SOURCE_ROWS_MAX = 3000, /* of a pool, read for one answer; longer times: coarser rows */
    VIEW_BYTES_MAX = 64 << 20,
};
#define RANGE_DEFAULT_US (INT64_C(86400) * 1000000)

struct view {
    struct slice pool;
    bool wants_nodes;
    enum util_resolution resolution;
    struct wall_us from, to;
    struct span_ms step;
    struct util_sums cores, devices; /* of all items, by what counts in their pool */
    struct buffer out;
    struct json_writer writer;
};

static void put_sums(struct json_writer *writer, const struct util_sums *sums)
{
    json_put_u64(writer, "observed_ms", sums->observed_ms);
    json_put_u64(writer, "core_us", sums->core_us);
    json_put_u64(writer, "owner_core_us", sums->owner_core_us);
    json_put_u64(writer, "pool_core_us", sums->pool_core_us);
    json_put_u64(writer, "measured_core_us", sums->measured_core_us);
    json_put_u64(writer, "owner_busy_core_us", sums->owner_busy_core_us);
    json_put_u64(writer, "pool_busy_core_us", sums->pool_busy_core_us);
    json_put_u64(writer, "device_ms", sums->device_ms);
    json_put_u64(writer, "owner_device_ms", sums->owner_device_ms);
    json_put_u64(writer, "pool_device_ms", sums->pool_device_ms);
}

static void put_percent(struct json_writer *writer, const char *name, bool has, double value)
{
    if (has)
        json_put_f64(writer, name, (double)(int64_t)(value * 100 + 0.5) / 100);
    else
        json_put_null(writer, name);
}

static void put_shares(struct json_writer *writer, const struct util_sums *sums)
{
    struct util_shares shares = util_shares(sums);
    put_percent(writer, "before_pct", shares.has_held, shares.before);
    put_percent(writer, "after_pct", shares.has_held, shares.after);
    put_percent(writer, "busy_before_pct", shares.has_busy, shares.busy_before);
    put_percent(writer, "busy_after_pct", shares.has_busy, shares.busy_after);
}

/* ---- what stands now */

struct present {
    struct slice site, pool;
    struct util_sums level;
};

static void on_pool(void *context, const struct site *site, struct slice pool,
                    const struct util_sums *level)
{
    struct present *present = context;
    if (slice_is_equal(site->name, present->site) && slice_is_equal(pool, present->pool))
        present->level = *level;
}

static void put_present(struct request *request, struct json_writer *writer,
                        const struct store_utilisation *row, const struct site *site)
{
    struct server_core *core = core_host_core(request->server->host);
    struct present present = {.pool = row->pool};
    if (core != NULL && site != NULL && row->node.len == 0) {
        present.site = site->name;
        server_core_load(core, on_pool, &present);
    }
    json_key(writer, "now");
    if (present.level.observed_ms == 0) {
        json_null(writer);
        return;
    }
    json_begin_object(writer);
    json_put_u64(writer, "cpu_milli", present.level.core_us);
    json_put_u64(writer, "owner_cpu_milli", present.level.owner_core_us);
    json_put_u64(writer, "pool_cpu_milli", present.level.pool_core_us);
    json_put_u64(writer, "devices", present.level.device_ms);
    json_put_u64(writer, "owner_devices", present.level.owner_device_ms);
    json_put_u64(writer, "pool_devices", present.level.pool_device_ms);
    json_end_object(writer);
}

/* ---- one pool or node: the rows of it that follow each other */

static bool is_same(const struct store_utilisation *a, const struct store_utilisation *b)
{
    return id_is_equal(a->site.id, b->site.id) && slice_is_equal(a->pool, b->pool) &&
           slice_is_equal(a->node, b->node);
}

static void put_item(struct request *request, const struct store_utilisation *rows, size_t count)
{
    struct view *view = request->extra;
    struct json_writer *writer = &view->writer;
    const struct site *site = directory_site_by_id(request->server->directory, rows->site);
    struct util_sums all = {0};
    for (size_t i = 0; i < count; i++)
        util_add(&all, &rows[i].sums);
    util_add(all.device_ms > 0 ? &view->devices : &view->cores, &all);
    json_begin_object(writer);
    if (site != NULL) {
        json_put_string(writer, "site", site->name);
        json_put_string(writer, "region", site->region);
        json_put_string(writer, "operator", site->operator_name);
    } else { /* it is gone; its record is not */
        json_put_id(writer, "site", rows->site.id, ID_PREFIX_SITE);
    }
    json_put_string(writer, "pool", rows->pool);
    if (rows->node.len > 0)
        json_put_string(writer, "node", rows->node);
    json_put_text(writer, "unit", all.device_ms > 0 ? "devices" : "cores");
    put_shares(writer, &all);
    put_percent(writer, "observed_pct", true,
                100.0 * (double)all.observed_ms * 1000 / (double)(view->to.us - view->from.us));
    json_key(writer, "sums");
    json_begin_object(writer);
    put_sums(writer, &all);
    json_end_object(writer);
    put_present(request, writer, rows, site);
    json_key(writer, "series");
    json_begin_array(writer);
    for (size_t i = 0; i < count; i++) {
        json_begin_object(writer);
        json_put_wall(writer, "at", rows[i].start);
        put_shares(writer, &rows[i].sums);
        put_sums(writer, &rows[i].sums);
        json_end_object(writer);
    }
    json_end_array(writer);
    json_end_object(writer);
}

static bool is_wanted(struct request *request, const struct store_utilisation *row)
{
    const struct view *view = request->extra;
    const struct site *site = directory_site_by_id(request->server->directory, row->site);
    struct subject subject = {0};
    if (site != NULL)
        subject = (struct subject){.operator_name = site->operator_name, .site = site->id};
    return request_may(request, PERM_USAGE_READ, &subject) &&
           (view->pool.len == 0 || slice_is_equal(view->pool, row->pool));
}

static void put_items(struct request *request, const struct store_answer *answer)
{
    for (size_t i = 0, next; i < answer->count; i = next) {
        const struct store_utilisation *rows = &answer->utilisation[i];
        for (next = i + 1; next < answer->count; next++)
            if (!is_same(rows, &answer->utilisation[next]))
                break;
        if (is_wanted(request, rows))
            put_item(request, rows, next - i);
    }
}

static void put_total(struct json_writer *writer, const char *name, const struct util_sums *sums)
{
    json_key(writer, name);
    if (sums->observed_ms == 0) {
        json_null(writer);
        return;
    }
    json_begin_object(writer);
    put_shares(writer, sums);
    put_sums(writer, sums);
    json_end_object(writer);
}

static void on_rows(struct request *request, const struct store_answer *answer)
{
    struct view *view = request->extra;
    struct json_writer *writer = &view->writer;
    buffer_init(&view->out, VIEW_BYTES_MAX);
    json_writer_init(writer, &view->out);
    json_begin_object(writer);
    json_put_wall(writer, "from", view->from);
    json_put_wall(writer, "to", view->to);
    json_put_i64(writer, "step_ms", view->step.ms);
    json_put_i64(writer, "row_ms", util_length(view->resolution).ms);
    json_key(writer, "items");
    json_begin_array(writer);
    put_items(request, answer);
    json_end_array(writer);
    put_total(writer, "cores", &view->cores);
    put_total(writer, "devices", &view->devices);
    json_put_bool(writer, "has_more", answer->has_more);
    json_end_object(writer);
    enum err err = json_writer_finish(writer);
    ASSERT(err == ERR_OK || buffer_status(&view->out) != ERR_OK);
    request_buffer(request, 200, &view->out);
}

/* ---- the question */

/* Steps of whole rows, at most `points` of them, from the start of a row on. */
static void view_cut(struct view *view, struct wall_us now, uint64_t points)
{
    view->resolution = view->wants_nodes
                           ? UTIL_NODE
                           : util_resolution_for(view->from, view->to, now, SOURCE_ROWS_MAX);
    int64_t row_us = util_length(view->resolution).ms * 1000;
    view->from = util_start(view->resolution, view->from);
    int64_t rows = (view->to.us - view->from.us + row_us - 1) / row_us;
    int64_t each = (rows + (int64_t)points - 1) / (int64_t)points;
    view->step = SPAN_MS(each * row_us / 1000);
}

static bool view_read(struct request *request, struct view *view)
{
    uint64_t points = POINTS_DEFAULT, nodes = 0;
    struct wall_us now = loop_now(request->server->loop).wall;
    *view = (struct view){.to = now};
    if (!request_query_time(request, "to", &view->to))
        return false;
    view->from.us = view->to.us - RANGE_DEFAULT_US;
    if (!request_query_time(request, "from", &view->from) ||
        !request_query_u64(request, "points", 1, POINTS_MAX, &points) ||
        !request_query_u64(request, "nodes", 0, 1, &nodes))
        return false;
    if (view->from.us >= view->to.us || view->from.us < 0) {
        request_problem(request, 400, "invalid", "the query's from must be before its to");
        return false;
    }
    view->wants_nodes = nodes != 0;
    view->pool = request_query(request, "pool");
    view_cut(view, now, points);
    return true;
}

void api_utilisation(struct request *request)
{
    static const char *const KNOWN[] = {"site", "pool", "from", "to", "points", "nodes"};
    struct view *view = requests_alloc(request, sizeof(*view));
    struct slice site_name = request_query(request, "site");
    struct store_query query = {.kind = STORE_UTILISATION_LIST};
    if (view == NULL) {
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return;
    }
    if (!request_query_known(request, KNOWN, sizeof(KNOWN) / sizeof(KNOWN[0])) ||
        !view_read(request, view))
        return;
    if (site_name.len > 0) {
        const struct site *site = directory_site(request->server->directory, site_name);
        struct subject subject = {0};
        if (site != NULL)
            subject = (struct subject){.operator_name = site->operator_name, .site = site->id};
        if (site == NULL || !request_may(request, PERM_USAGE_READ, &subject)) {
            request_problem(request, 404, "not_found",
                            "there is no site \"%.*s\" whose use you may see",
                            SLICE_ARG(site_name));
            return;
        }
        query.utilisation_list.site = site->id;
    }
    request->extra = view;
    query.utilisation_list.resolution = view->resolution;
    query.utilisation_list.from = view->from;
    query.utilisation_list.to = view->to;
    query.utilisation_list.step = view->step;
    query.utilisation_list.limit = STORE_UTILISATION_MAX;
    request_query_store(request, &query, on_rows);
}
