/* How much of a site was used: by its owner, which is how it would stand without the pool
 * ("before"), and by owner and pool together ("after").
 *
 * Kept as integrals over time, so that rows add up and a coarser row is the sum of finer ones:
 * cores x time in core-microseconds (thousandths of cores x milliseconds), devices x time in
 * device-milliseconds. Only time in which the site was heard counts; a silence is no idleness.
 *
 * "Held" is what an engine or the placement gives out; on a host the owner holds what its processes
 * use. "Busy" is measured: where no engine measures it, `measured_core_us` stays 0 and nothing is
 * said about it. Devices are only ever held: no engine tells yet what they do. */
#ifndef LQ_MODEL_UTILISATION_H
#define LQ_MODEL_UTILISATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/time.h"

struct site_node;

enum {
    UTIL_POOL_NAME_MAX = 96,
    UTIL_NODES_MAX = 256, /* nodes of a site with a history of their own; larger ones: pools only */
    UTIL_PERCENT_LOW = 30, /* "after" below it is named in reports, unless another is asked for */
};

/* Rows of one length. All of a pool but the last, which is of its single nodes. */
enum util_resolution {
    UTIL_MINUTE,  /* a day of them */
    UTIL_QUARTER, /* quarters of an hour, 30 days */
    UTIL_HOUR,    /* two years */
    UTIL_NODE,    /* quarters of an hour of a node, a day */
    UTIL_RESOLUTION_COUNT_
};

struct util_sums {
    uint64_t observed_ms; /* how long the site was heard */
    uint64_t core_us, owner_core_us, pool_core_us;
    /* Of the nodes whose load is measured: their cores, and what of them was busy. */
    uint64_t measured_core_us, owner_busy_core_us, pool_busy_core_us;
    uint64_t device_ms, owner_device_ms, pool_device_ms;
};

/* One pool (`node` empty) or one node over some time. */
struct util_cell {
    struct slice pool, node;
    struct util_sums sums;
};

struct span_ms util_length(enum util_resolution resolution);
struct span_ms util_retention(enum util_resolution resolution);
/* The finest of a pool's that reaches back to `from` and needs at most `rows_max` rows to `to`; the
 * coarsest when none does. */
enum util_resolution util_resolution_for(struct wall_us from, struct wall_us to, struct wall_us now,
                                         uint32_t rows_max);
/* The first instant of the row that `at` falls into. */
struct wall_us util_start(enum util_resolution resolution, struct wall_us at);

void util_add(struct util_sums *sums, const struct util_sums *more); /* saturates */
void util_scale(struct util_sums *sums, uint64_t factor);            /* likewise */

/* In percent of what there was: by the owner alone, which is how it would stand without the pool,
 * and by both. Of devices where there are any, else of cores. */
struct util_shares {
    bool has_held, has_busy; /* busy is of cores, and only where there are no devices */
    double before, after;
    double busy_before, busy_after;
};
struct util_shares util_shares(const struct util_sums *sums);

/* What a pool is called: "A100 80GB SXM x8" by its chip and their count a node, else "cpu x64" by
 * its cores. Pools of one name are counted together. */
void util_pool_name(const struct site_node *shape, char out[UTIL_POOL_NAME_MAX]);

#endif
