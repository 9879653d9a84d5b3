/* The contract under which a site lends what is idle: its owner's own words, from the site's file.
 * A missing part says nothing: no promise, no windows (always), no floor, nobody excluded.
 *
 * The site itself keeps reserve, promise, grace, notice and windows, whether the server hears of
 * them or not; placement keeps windows, least run, floor and exclusions, so that nothing is sent
 * there in vain. */
#ifndef LQ_MODEL_SURPLUS_H
#define LQ_MODEL_SURPLUS_H

#include "base/err.h"
#include "base/slice.h"
#include "base/time.h"
#include "model/job.h"
#include "model/maybe.h"
#include "model/name.h"

enum {
    SURPLUS_WINDOWS_MAX = 16,
    SURPLUS_POOLS_MAX = 16,
    SURPLUS_NAMES_MAX = 256, /* excluded tenants; nodes named by one pool */
    SURPLUS_DAYS_ALL = 0x7f,
    SURPLUS_DAY_MINUTES = 24 * 60,
    SURPLUS_ZONE_MINUTES_MAX = 14 * 60,
};

/* When is lent: from the minute `from` on, up to `to`; with to <= from into the next day. */
struct surplus_window {
    uint8_t days; /* on which it begins: bit 0 is Monday */
    uint16_t from_minute, to_minute;
};

struct surplus_windows {
    const struct surplus_window *items; /* none: always */
    uint32_t count;
};

/* Nodes of the site that are lent otherwise. */
struct surplus_pool {
    struct text_list nodes; /* names; with a star at the end: all that begin so */
    uint32_t reserve_nodes; /* so many free ones of them are never offered */
    struct surplus_windows windows;
};

enum surplus_reclaim {                    /* who takes pool work off when the owner waits */
                       SURPLUS_BY_EITHER, /* the engine where it can, else the agent */
                       SURPLUS_BY_ENGINE,
                       SURPLUS_BY_AGENT,
                       SURPLUS_RECLAIM_COUNT_
};

struct surplus {
    uint32_t reserve_nodes;
    enum surplus_reclaim reclaim;
    struct span_ms promise; /* pool work holds what the owner wants no longer; 0: the default */
    struct span_ms grace;   /* to save a checkpoint, of the agent's own reclaims; 0: the default */
    int notice;             /* signal to programs whose job names none; 0: TERM */
    struct span_ms run_min; /* work comes only where at least so much is left of a window */
    int32_t zone_minutes;   /* of the windows, east of Greenwich */
    struct surplus_windows windows;
    struct maybe_money floor_cpu, floor_accelerator; /* an hour; asked for less, nothing is lent */
    struct text_list tenants_excluded;               /* names or ids */
    uint32_t classes_excluded;                       /* a bit per enum priority_class */
    const struct surplus_pool *pools;
    uint32_t pool_count;
};

#define SURPLUS_PROMISE_BY_ENGINE SPAN_S(30)
#define SURPLUS_PROMISE_BY_AGENT SPAN_S(60)
#define SURPLUS_GRACE_DEFAULT SPAN_S(10)
#define SURPLUS_OPEN_FOR_EVER SPAN_MS(INT64_C(1) << 50)

/* How long it is still lent: 0 when it is not now, SURPLUS_OPEN_FOR_EVER without windows (or when
 * they leave no gap). */
struct span_ms surplus_open_for(const struct surplus_windows *windows, int32_t zone_minutes,
                                struct wall_us now);
/* It says nothing at all. */
bool surplus_is_silent(const struct surplus *surplus);
/* The first pool that names the node; NULL: none. */
const struct surplus_pool *surplus_pool_of(const struct surplus *surplus, struct slice node);
bool surplus_excludes(const struct surplus *surplus, struct slice tenant_name,
                      struct slice tenant_id, enum priority_class class);

#endif
