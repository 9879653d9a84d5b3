/* The mixed-chips experiment (`lq sim hetero`): jobs that run at different speeds on different
 * kinds of GPU, may be stopped and moved at no cost and keep what they did. Who runs where is
 * place/mix's choice, made anew when a job comes or ends and at the latest after `round_ms`;
 * beside it stand two policies that do not know of kinds, and bounds.
 *
 * Deterministic. Not thread-safe. */
#ifndef LQ_SIM_HETERO_H
#define LQ_SIM_HETERO_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "place/mix.h"

enum { HETERO_JOBS_MAX = 100000, HETERO_SPEEDS_MAX = 4096 };

struct hetero_job {
    struct mix_job work; /* need_ms: all of it, by kind; kind: MIX_NONE */
    int64_t arrives_ms;
};

struct hetero_list {
    struct hetero_job *jobs; /* in order of arrival */
    size_t count;
};

/* Steps a second by job, width and kind. */
struct hetero_speed {
    struct slice job;
    uint32_t width;
    int64_t micros[MIX_KINDS_MAX]; /* millionths of a step a second; 0: cannot run there */
};
struct hetero_speeds {
    struct slice kinds[MIX_KINDS_MAX];
    uint32_t kind_count;
    struct hetero_speed *speeds;
    size_t count;
};

/* ---- hetero_read.c */
/* CSV: job,width and a column a kind. The fault has line and column. */
enum err hetero_speeds_read(struct slice csv, struct arena *arena, struct hetero_speeds *out,
                            struct fault *fault) LQ_CHECKED;
/* A trace of Gavel's (10 columns, between tabs) or Shockwave's (12: with mode and duration). With
 * speeds a job needs its steps at each kind's speed; without (NULL) its duration on the only kind.
 * ERR_NOT_FOUND: no speed is known for a job. */
enum err hetero_trace_read(struct slice text, const struct hetero_speeds *speeds,
                           struct arena *arena, struct hetero_list *out,
                           struct fault *fault) LQ_CHECKED;

/* ---- hetero_cases.c: what `lq sim hetero` runs and bench/bound bounds */
struct hetero_case {
    const char *name, *trace; /* trace: a path below the project's folder */
    bool has_speeds;          /* else every job takes its stated duration on the only kind */
    struct mix_pool pool;
};
#define HETERO_SPEEDS "data/gavel/throughputs.csv"
enum { HETERO_CASE_COUNT = 5 };
extern const struct hetero_case HETERO_CASES[HETERO_CASE_COUNT];

/* ---- hetero.c */
enum hetero_policy {
    HETERO_LAST,  /* place/mix, MIX_LAST */
    HETERO_MEAN,  /* place/mix, MIX_MEAN */
    HETERO_FIFO,  /* in order of arrival, never stopped; the kind with the most free devices */
    HETERO_LEAST, /* the least served first, by device time; the kind with the most free devices */
    HETERO_POLICY_COUNT_
};
const char *hetero_policy_name(enum hetero_policy policy);

struct hetero_result {
    double makespan_s;   /* from the first arrival to the last end */
    double completion_s; /* mean over jobs, from arrival to end */
    uint64_t choices,
        moves; /* moves: starts of a job that had run before elsewhere or was stopped */
};

/* ERR_INVALID: a job can run nowhere in the pool. */
enum err hetero_run(const struct hetero_list *list, const struct mix_pool *pool, int64_t round_ms,
                    enum hetero_policy policy, struct hetero_result *out,
                    struct fault *fault) LQ_CHECKED;

/* ---- hetero_bound.c */
struct hetero_bound {
    double makespan_s, completion_s;
};
/* No schedule of these jobs, even one that knows all arrivals, is shorter, or better on average.
 * Leaves out that a job has one kind at a time (completion) and whole gangs. */
enum err hetero_bound_find(const struct hetero_list *list, const struct mix_pool *pool,
                           struct hetero_bound *out) LQ_CHECKED;

#endif
