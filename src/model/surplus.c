#include "model/surplus.h"

enum { WEEK_DAYS = 7, WEEK_MINUTES = WEEK_DAYS * SURPLUS_DAY_MINUTES, THURSDAY = 3 };

#define MINUTE_US INT64_C(60000000)

/* Microseconds into the week, Monday 00:00 in the zone is 0. */
static int64_t week_us(struct wall_us now, int32_t zone_minutes)
{
    const int64_t week = WEEK_MINUTES * MINUTE_US;
    /* 1970-01-01 was a Thursday. */
    int64_t at = now.us % week + (int64_t)THURSDAY * SURPLUS_DAY_MINUTES * MINUTE_US +
                 zone_minutes * MINUTE_US;
    at %= week;
    return at < 0 ? at + week : at;
}

static int64_t length_of(const struct surplus_window *window)
{
    int64_t length = (int64_t)window->to_minute - window->from_minute;
    return (length <= 0 ? length + SURPLUS_DAY_MINUTES : length) * MINUTE_US;
}

/* How much longer the windows that are open at `at` (of the week) stay so; 0: none is. */
static int64_t open_from(const struct surplus_windows *windows, int64_t at)
{
    const int64_t week = WEEK_MINUTES * MINUTE_US;
    int64_t longest = 0;
    for (uint32_t i = 0; i < windows->count; i++)
        for (int day = 0; day < WEEK_DAYS; day++) {
            const struct surplus_window *window = &windows->items[i];
            if ((window->days >> day & 1) == 0)
                continue;
            int64_t begin = ((int64_t)day * SURPLUS_DAY_MINUTES + window->from_minute) * MINUTE_US;
            int64_t since = (at - begin) % week;
            since += since < 0 ? week : 0;
            int64_t left = length_of(window) - since;
            longest = left > longest ? left : longest;
        }
    return longest;
}

struct span_ms surplus_open_for(const struct surplus_windows *windows, int32_t zone_minutes,
                                struct wall_us now)
{
    const int64_t week = WEEK_MINUTES * MINUTE_US;
    int64_t open = 0, more;
    if (windows->count == 0)
        return SURPLUS_OPEN_FOR_EVER;
    int64_t at = week_us(now, zone_minutes);
    /* One window may begin where another ends. */
    while (open <= week && (more = open_from(windows, (at + open) % week)) > 0)
        open += more;
    return open > week ? SURPLUS_OPEN_FOR_EVER : SPAN_MS((open + 999) / 1000);
}

bool surplus_is_silent(const struct surplus *surplus)
{
    return surplus->reserve_nodes == 0 && surplus->reclaim == SURPLUS_BY_EITHER &&
           surplus->promise.ms == 0 && surplus->grace.ms == 0 && surplus->notice == 0 &&
           surplus->run_min.ms == 0 && surplus->zone_minutes == 0 && surplus->windows.count == 0 &&
           !surplus->floor_cpu.has && !surplus->floor_accelerator.has &&
           surplus->tenants_excluded.count == 0 && surplus->classes_excluded == 0 &&
           surplus->pool_count == 0;
}

static bool names(const struct text_list *list, struct slice node)
{
    for (uint32_t i = 0; i < list->count; i++) {
        struct slice item = list->items[i];
        bool is_front = item.len > 0 && item.data[item.len - 1] == '*';
        if (is_front ? slice_has_prefix(node, slice_make(item.data, item.len - 1))
                     : slice_is_equal(node, item))
            return true;
    }
    return false;
}

const struct surplus_pool *surplus_pool_of(const struct surplus *surplus, struct slice node)
{
    for (uint32_t i = 0; i < surplus->pool_count; i++)
        if (names(&surplus->pools[i].nodes, node))
            return &surplus->pools[i];
    return NULL;
}

bool surplus_excludes(const struct surplus *surplus, struct slice tenant_name,
                      struct slice tenant_id, enum priority_class class)
{
    if ((surplus->classes_excluded >> class & 1) != 0)
        return true;
    for (uint32_t i = 0; i < surplus->tenants_excluded.count; i++) {
        struct slice item = surplus->tenants_excluded.items[i];
        if (slice_is_equal(item, tenant_name) || slice_is_equal(item, tenant_id))
            return true;
    }
    return false;
}
