#include "model/utilisation.h"

#include <stdio.h>

#include "base/assert.h"
#include "model/site.h"

#define MINUTE_MS INT64_C(60000)
#define DAY_MS (INT64_C(86400) * 1000)

static const struct {
    int64_t length_ms, retention_ms;
} ROWS[UTIL_RESOLUTION_COUNT_] = {
    [UTIL_MINUTE] = {MINUTE_MS, DAY_MS},
    [UTIL_QUARTER] = {15 * MINUTE_MS, 30 * DAY_MS},
    [UTIL_HOUR] = {60 * MINUTE_MS, 2 * 366 * DAY_MS},
    [UTIL_NODE] = {15 * MINUTE_MS, DAY_MS},
};

struct span_ms util_length(enum util_resolution resolution)
{
    ASSERT((unsigned)resolution < UTIL_RESOLUTION_COUNT_);
    return SPAN_MS(ROWS[resolution].length_ms);
}

struct span_ms util_retention(enum util_resolution resolution)
{
    ASSERT((unsigned)resolution < UTIL_RESOLUTION_COUNT_);
    return SPAN_MS(ROWS[resolution].retention_ms);
}

enum util_resolution util_resolution_for(struct wall_us from, struct wall_us to, struct wall_us now,
                                         uint32_t rows_max)
{
    for (unsigned r = UTIL_MINUTE; r < UTIL_HOUR; r++) {
        bool is_kept = from.us >= now.us - ROWS[r].retention_ms * 1000;
        if (is_kept && (to.us - from.us) / (ROWS[r].length_ms * 1000) <= (int64_t)rows_max)
            return (enum util_resolution)r;
    }
    return UTIL_HOUR;
}

struct wall_us util_start(enum util_resolution resolution, struct wall_us at)
{
    int64_t length_us = util_length(resolution).ms * 1000;
    int64_t rest = at.us % length_us;
    return (struct wall_us){at.us - rest - (rest < 0 ? length_us : 0)};
}

/* What is kept must fit the store's signed numbers. */
static void add(uint64_t *sum, uint64_t more)
{
    uint64_t made;
    *sum = __builtin_add_overflow(*sum, more, &made) || made > INT64_MAX ? INT64_MAX : made;
}

static void scale(uint64_t *sum, uint64_t factor)
{
    uint64_t made;
    *sum = __builtin_mul_overflow(*sum, factor, &made) || made > INT64_MAX ? INT64_MAX : made;
}

void util_add(struct util_sums *sums, const struct util_sums *more)
{
    add(&sums->observed_ms, more->observed_ms);
    add(&sums->core_us, more->core_us);
    add(&sums->owner_core_us, more->owner_core_us);
    add(&sums->pool_core_us, more->pool_core_us);
    add(&sums->measured_core_us, more->measured_core_us);
    add(&sums->owner_busy_core_us, more->owner_busy_core_us);
    add(&sums->pool_busy_core_us, more->pool_busy_core_us);
    add(&sums->device_ms, more->device_ms);
    add(&sums->owner_device_ms, more->owner_device_ms);
    add(&sums->pool_device_ms, more->pool_device_ms);
}

void util_scale(struct util_sums *sums, uint64_t factor)
{
    scale(&sums->observed_ms, factor);
    scale(&sums->core_us, factor);
    scale(&sums->owner_core_us, factor);
    scale(&sums->pool_core_us, factor);
    scale(&sums->measured_core_us, factor);
    scale(&sums->owner_busy_core_us, factor);
    scale(&sums->pool_busy_core_us, factor);
    scale(&sums->device_ms, factor);
    scale(&sums->owner_device_ms, factor);
    scale(&sums->pool_device_ms, factor);
}

/* An owner who comes back is seen before the pool's work has left: never more than all. */
static double percent(double part, double whole)
{
    double value = 100 * part / whole;
    return value < 100 ? value : 100;
}

struct util_shares util_shares(const struct util_sums *sums)
{
    struct util_shares shares = {0};
    bool is_devices = sums->device_ms > 0;
    double whole = (double)(is_devices ? sums->device_ms : sums->core_us);
    double owner = (double)(is_devices ? sums->owner_device_ms : sums->owner_core_us);
    double pool = (double)(is_devices ? sums->pool_device_ms : sums->pool_core_us);
    if (whole > 0) {
        shares.has_held = true;
        shares.before = percent(owner, whole);
        shares.after = percent(owner + pool, whole);
    }
    if (!is_devices && sums->measured_core_us > 0) {
        double measured = (double)sums->measured_core_us, mine = (double)sums->owner_busy_core_us;
        shares.has_busy = true;
        shares.busy_before = percent(mine, measured);
        shares.busy_after = percent(mine + (double)sums->pool_busy_core_us, measured);
    }
    return shares;
}

void util_pool_name(const struct site_node *shape, char out[UTIL_POOL_NAME_MAX])
{
    if (shape->accelerator_count > 0)
        (void)snprintf(out, UTIL_POOL_NAME_MAX, "%.*s x%u", SLICE_ARG(shape->accelerator),
                       shape->accelerator_count);
    else
        (void)snprintf(out, UTIL_POOL_NAME_MAX, "cpu x%u", shape->cpu_milli / 1000);
}
