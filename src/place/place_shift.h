/* Shifting in time and space: whether work that may wait should start now, and where, by what an
 * hour of power is going to cost (money, or money with carbon at its price: the caller's one
 * figure).
 *
 * The forecast is simple and online: the usual figure of the hour of the day, learned with a
 * forgetting factor, and the present deviation from it, which fades. It never sees the future. A
 * choice is made anew each hour while the work waits, so that what is known by then counts: that is
 * what makes a plain forecast good enough. Whole numbers throughout: same input, same choices.
 * Pure, no allocation. */
#ifndef LQ_PLACE_PLACE_SHIFT_H
#define LQ_PLACE_PLACE_SHIFT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SHIFT_REGIONS_MAX = 64,
    SHIFT_HOURS_MAX = 24 * 14, /* how far ahead anything is looked at */
    SHIFT_DAY = 24,
};

/* What is known of one region. Zeroed: nothing yet. Figures in micros per kWh, below 2^40. */
struct shift_forecast {
    int64_t usual[SHIFT_DAY]; /* by hour of the day */
    uint32_t seen[SHIFT_DAY]; /* how often; at most a few */
    int64_t now;              /* the latest figure */
    uint32_t hour;            /* of the latest; counted from any midnight */
};

/* Hours come one after the other. */
void shift_forecast_learn(struct shift_forecast *forecast, uint32_t hour, int64_t value);
/* out[k]: the figure expected `k` hours after the latest; out[0] is the latest itself. */
void shift_forecast_read(const struct shift_forecast *forecast, uint32_t hours, int64_t *out);

/* The hours ahead in all regions, as sums so that a stretch of time costs two look-ups. */
struct shift_outlook {
    uint32_t regions, hours;
    int64_t sums[SHIFT_REGIONS_MAX][SHIFT_HOURS_MAX + 1]; /* of the hours before */
};
/* `figures` holds `hours` for region `region`. Regions are set in any order. */
void shift_outlook_set(struct shift_outlook *outlook, uint32_t region, const int64_t *figures,
                       uint32_t hours);

struct shift_work {
    int64_t into_ms;  /* of the present hour that have passed */
    int64_t runs_ms;  /* expected */
    int64_t slack_ms; /* it may start this much later than now, not more */
    uint64_t allowed; /* bit a region: those it may run in */
    uint64_t room;    /* bit a region: those with room for it now */
};
struct shift_choice {
    bool is_now;     /* start now, in `region`; false: at the best hour that is yet to come */
    uint32_t region; /* where it would cost least */
    int64_t cost;    /* micros per kW drawn, over the run */
};
/* Starts are now or at a whole hour. Of equal costs the earliest start, then the first region. With
 * no slack left the best region with room is taken. False: it cannot start now and waiting is all
 * that is left (no region is allowed, or none has room). */
bool shift_choose(const struct shift_outlook *outlook, const struct shift_work *work,
                  struct shift_choice *out);

#endif
