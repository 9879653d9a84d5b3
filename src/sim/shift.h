/* The shifting experiment (`lq sim shift`): a year of jobs that may wait, in zones with hourly
 * prices and carbon; started where and when the engine's rule (place/place_shift.h) says, against
 * run-at-once. The engine places every job; nothing runs where there is no room. */
#ifndef LQ_SIM_SHIFT_H
#define LQ_SIM_SHIFT_H

#include "sim/workload.h"

enum {
    SHIFT_ZONES_MAX = 64,
    SHIFT_SERIES_MAX = 24 * 366,
    SHIFT_ZONE_NODES = 18,
    SHIFT_NODE_CORES = 64
};

struct shift_zone {
    struct slice name;
    int64_t *price_micros, *carbon_mg,
        *cost_micros; /* per kWh, by hour; cost is what is made small */
};
struct shift_data {
    struct shift_zone zones[SHIFT_ZONES_MAX];
    uint32_t zone_count, hours;
};
/* Zones that both tables have, by name. Dollars per MWh and grams per kWh, by hour. ERR_INVALID
 * with line and column (the fault's field names the table): an empty or odd cell, hours that do not
 * match. */
enum err shift_data_read(struct slice price_csv, struct slice carbon_csv, struct arena *arena,
                         struct shift_data *out, struct fault *fault) LQ_CHECKED;

enum shift_way {
    SHIFT_AT_ONCE, /* where and when it comes: the baseline */
    SHIFT_SPACE,   /* at once, in the best zone */
    SHIFT_TIME,    /* in its own zone, at the best hour */
    SHIFT_BOTH,
    SHIFT_PERFECT, /* both, with the true figures instead of a forecast */
    SHIFT_WAY_COUNT_
};

struct shift_options {
    int64_t slack_ms;
    double carbon_price; /* per tonne; what is made small is money + carbon at this price */
    double money_weight; /* 1; 0: carbon alone counts */
    size_t limit;
    void (*progress)(void *context, const char *what, double part);
    void *context;
};

struct shift_figures {
    double money, carbon_kg, cost, kwh; /* cost: what was made small */
    double wait_mean_h, wait_max_h;
    uint64_t events, never;
};
struct shift_result {
    struct shift_figures ways[SHIFT_WAY_COUNT_];
    size_t jobs;
    uint32_t zones;
    uint64_t events;
    /* Cost of SHIFT_PERFECT without limits of capacity: no plan of the same starts costs less. */
    double floor_cost;
};

enum err shift_run(struct slice trace, const struct shift_data *data,
                   const struct shift_options *options, struct arena *arena,
                   struct shift_result *out, struct fault *fault) LQ_CHECKED;

const char *shift_way_name(enum shift_way way);

#endif
