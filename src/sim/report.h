/* What a replay is shown as: JSON (complete, and read back for comparisons), CSV (a line a site and
 * bucket), and one page of HTML with plots in SVG that needs nothing else. */
#ifndef LQ_SIM_REPORT_H
#define LQ_SIM_REPORT_H

#include "base/buffer.h"
#include "sim/replay.h"
#include "wire/json.h"

enum { REPORT_RUNS_MAX = 2, REPORT_NAME_MAX = 128 };

enum report_series {
    REPORT_UTILISATION, /* devices held, of those there; cores where there are no devices */
    REPORT_WAIT_H,      /* mean wait of those that start in the bucket */
    REPORT_COST,        /* energy, money a bucket */
    REPORT_CARBON_KG,
    REPORT_SERIES_COUNT_
};

struct report_site {
    struct slice name;
    double values[REPORT_SERIES_COUNT_]; /* over the whole run */
    double ask, jobs, kills;
    double *series[REPORT_SERIES_COUNT_]; /* bucket_count each */
};
struct report {
    struct slice name;
    double bucket_s;
    uint32_t bucket_count, site_count;
    struct report_site *sites;
    double jobs, never, misfits, kills, events;
    double wait_mean_s, wait_p50_s, wait_p99_s, response_mean_s;
    double ask, energy, carbon_kg, kwh, device_hours, core_hours, end_s;
};

enum err report_make(struct slice name, const struct topology *topology,
                     const struct replay_result *result, uint64_t misfits, struct arena *arena,
                     struct report *out) LQ_CHECKED;
void report_json(const struct report *report, struct buffer *out);
void report_csv(const struct report *report, struct buffer *out);
/* One run, or two side by side. */
void report_html(const struct report *runs, uint32_t count, struct buffer *out);
/* ERR_INVALID, ERR_LIMIT with line and column; everything lives in `arena`. */
enum err report_read(struct json_value root, struct arena *arena, struct report *out,
                     struct fault *fault) LQ_CHECKED;

/* Six significant digits: the same run gives the same bytes. */
double report_round(double value);

#endif
