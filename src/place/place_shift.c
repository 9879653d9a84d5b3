#include "place/place_shift.h"

#include "base/assert.h"

enum {
    SEEN_MAX = 5,      /* a new figure counts at least a fifth: about a week is remembered */
    FADE_PERCENT = 93, /* of a deviation that is left an hour later */
    HOUR_MS = 3600000,
};

void shift_forecast_learn(struct shift_forecast *forecast, uint32_t hour, int64_t value)
{
    uint32_t slot = hour % SHIFT_DAY;
    if (forecast->seen[slot] < SEEN_MAX)
        forecast->seen[slot]++;
    forecast->usual[slot] += (value - forecast->usual[slot]) / forecast->seen[slot];
    forecast->now = value;
    forecast->hour = hour;
}

void shift_forecast_read(const struct shift_forecast *forecast, uint32_t hours, int64_t *out)
{
    int64_t off = forecast->now - forecast->usual[forecast->hour % SHIFT_DAY];
    for (uint32_t k = 0; k < hours; k++) {
        uint32_t slot = (forecast->hour + k) % SHIFT_DAY;
        /* An hour of the day that was never seen: as now. */
        out[k] = k == 0 || forecast->seen[slot] == 0 ? forecast->now : forecast->usual[slot] + off;
        off = off * FADE_PERCENT / 100;
    }
}

void shift_outlook_set(struct shift_outlook *outlook, uint32_t region, const int64_t *figures,
                       uint32_t hours)
{
    ASSERT(region < SHIFT_REGIONS_MAX && hours <= SHIFT_HOURS_MAX);
    outlook->hours = hours;
    outlook->regions = region >= outlook->regions ? region + 1 : outlook->regions;
    outlook->sums[region][0] = 0;
    for (uint32_t h = 0; h < hours; h++)
        outlook->sums[region][h + 1] = outlook->sums[region][h] + figures[h];
}

/* Cost per kW from the start of the present hour to `ms` after it. */
static int64_t cost_until(const struct shift_outlook *outlook, uint32_t region, int64_t ms)
{
    const int64_t *sums = outlook->sums[region];
    int64_t hour = ms / HOUR_MS, rest = ms % HOUR_MS;
    if (hour >= outlook->hours) { /* beyond what is looked at: as the last hour */
        int64_t last = sums[outlook->hours] - sums[outlook->hours - 1];
        return sums[outlook->hours] + last * (hour - outlook->hours) + last * rest / HOUR_MS;
    }
    return sums[hour] + (sums[hour + 1] - sums[hour]) * rest / HOUR_MS;
}

bool shift_choose(const struct shift_outlook *outlook, const struct shift_work *work,
                  struct shift_choice *out)
{
    struct shift_choice now = {0}, later = {0};
    bool has_now = false, has_later = false;
    ASSERT(outlook->hours > 0);
    for (uint32_t r = 0; r < outlook->regions; r++) {
        if ((work->allowed >> r & 1) == 0)
            continue;
        if ((work->room >> r & 1) != 0) {
            int64_t cost = cost_until(outlook, r, work->into_ms + work->runs_ms) -
                           cost_until(outlook, r, work->into_ms);
            if (!has_now || cost < now.cost)
                now = (struct shift_choice){true, r, cost};
            has_now = true;
        }
        for (int64_t at = HOUR_MS;
             at <= work->into_ms + work->slack_ms && at / HOUR_MS < (int64_t)outlook->hours;
             at += HOUR_MS) {
            int64_t cost = cost_until(outlook, r, at + work->runs_ms) - cost_until(outlook, r, at);
            if (!has_later || cost < later.cost)
                later = (struct shift_choice){false, r, cost};
            has_later = true;
        }
    }
    if (!has_now && !has_later)
        return false;
    *out = has_now && (!has_later || now.cost <= later.cost) ? now : later;
    return true;
}
