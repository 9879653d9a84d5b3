/* A usage record: an immutable measured quantity of one attempt. Key (site, journal, attempt token,
 * seq); seq is gapless per (site, journal). Deltas since the attempt's previous record, with
 * running totals beside them, so that a lost or doubled record shows. Kept for ever. */
#ifndef LQ_MODEL_USAGE_H
#define LQ_MODEL_USAGE_H

#include "model/attempt.h"

struct usage_quantities {
    int64_t wall_ms;      /* gate taken to now / last process's exit */
    int64_t cpu_ms;       /* processor time used, where the site can measure it, else 0 */
    int64_t cpu_held_ms;  /* millicpu-milliseconds / 1000: cores reserved x time, in core-ms */
    int64_t accel_ms;     /* devices held x time */
    int64_t mem_mib_ms;   /* memory reserved x time, MiB-ms */
    int64_t gate_wait_ms; /* native start to gate taken; named, not billed */
    int64_t kill_wait_ms; /* kill ordered to last exit; billed, named */
};

struct usage_record {
    struct site_id site;
    struct journal_id journal;
    uint64_t seq; /* 1, 2, ... per (site, journal) */
    struct attempt_token token;
    bool is_last; /* the attempt's final record */
    enum runtime runtime;
    char accelerator[48]; /* catalogue model or "" */
    struct usage_quantities delta;
    struct usage_quantities total; /* running totals of the attempt, this delta included */
    struct wall_us measured_at;    /* the site's wall clock; for people and tariffs */
};

enum { USAGE_BATCH_MAX = 256 }; /* records in one sync */

/* total = previous total + delta, no negative deltas, totals in range. */
enum err usage_record_check(const struct usage_record *record, struct fault *fault) LQ_CHECKED;
bool usage_record_is_equal(const struct usage_record *a, const struct usage_record *b);

#endif
