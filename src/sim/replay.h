/* A replayed workload over the real placement engine: jobs arrive, the engine places them, they
 * end, sites fail and come back, owners take their nodes for a while, capacity grows. Time is
 * simulated; the one source of decisions is `struct placer`.
 *
 * Invariants
 * 1. Events go by (time, order of making): the same set-up gives the same results, byte for byte.
 * 2. A job that is killed (its site failed, its owner took the node) is queued again at its old
 *    age and starts from the beginning.
 * 3. Node i of a site is there while i < grown - failed - taken by the owner.
 *
 * The set-up and all it points to belong to the caller and stay as they are during the run; the
 * jobs' results are written into the caller's jobs. Not thread-safe. */
#ifndef LQ_SIM_REPLAY_H
#define LQ_SIM_REPLAY_H

#include "base/arena.h"
#include "model/topology.h"

enum {
    REPLAY_JOBS_MAX = 1 << 22,
    REPLAY_SITES_MAX = 4096,
    REPLAY_BUCKETS_MAX = 1 << 15, /* of the time series of a site */
    REPLAY_BUCKETS_DEFAULT = 400,
    REPLAY_VARIANTS_MAX = 8,
    REPLAY_WATTS_PER_CORE = 10, /* the engine's planning estimates (docs/placement.md) */
    REPLAY_WATTS_PER_DEVICE = 400,
};

#define REPLAY_NONE UINT32_MAX
#define REPLAY_NEVER INT64_MAX

struct replay_job {
    int64_t arrival_ms;                 /* since the start of the replay */
    int64_t duration_ms;                /* true run time; the engine does not see it */
    int64_t expected_ms;                /* what the engine is told; 0: nothing */
    int64_t limit_ms;                   /* the job's time limit; 0: the policy's */
    uint32_t nodes, devices, cpu_milli; /* devices and cores of each node */
    uint64_t mem_bytes;                 /* of each node */
    uint32_t home;                      /* site where it comes from; REPLAY_NONE: nowhere */
    uint32_t tenant;                    /* index into the topology's */
    uint32_t kind;                      /* the caller's own; for `duration` */
    enum priority_class priority;
    const struct job_placement *placement; /* NULL: anywhere */
    const struct job_spec *spec; /* what the engine is told instead of all that; NULL: nothing */
    /* Results. */
    uint32_t site; /* REPLAY_NONE: never started */
    uint32_t variant;
    uint32_t kills;
    int64_t start_ms, end_ms; /* of the last start; REPLAY_NEVER: did not */
};

/* Hourly figures of a region, from the start of the replay on; after the last hour they begin
 * again. */
struct replay_series {
    const int64_t *price_micros; /* per kWh; NULL: the region's own figure stands throughout */
    const int64_t *carbon_mg;    /* per kWh; NULL: likewise */
    uint32_t hours;
};

enum replay_change_kind {
    REPLAY_FAIL,   /* the whole site (nodes 0) or `nodes` of it */
    REPLAY_REPAIR, /* likewise */
    REPLAY_OWNER,  /* the owner has `nodes` from now on */
    REPLAY_GROW,   /* the site has `nodes` from now on */
};
struct replay_change {
    int64_t at_ms;
    enum replay_change_kind kind;
    uint32_t site, nodes;
};

struct replay_setup {
    const struct topology *topology; /* ids are given by the replay */
    struct wall_us start;            /* wall time of ms 0; a whole hour where there are series */
    struct replay_job *jobs;         /* by arrival_ms */
    size_t job_count;
    const struct replay_change *changes; /* by at_ms */
    size_t change_count;
    const struct replay_series *series; /* one a region; NULL: none */
    uint32_t stretch;                   /* place/place_age.h */
    /* What variants every job has; 0: one of `runtime` as its devices say. */
    const struct job_variant *variants;
    uint32_t variant_count;
    enum runtime runtime;
    int64_t bucket_ms; /* of the time series; 0: none are kept */
    int64_t end_ms;    /* nothing after it is looked at; 0: until all have ended */
    void *context;
    /* True run time at a site with a variant; NULL: duration_ms. */
    int64_t (*duration)(void *context, const struct replay_job *job, uint32_t site,
                        uint32_t variant);
    /* Called on arrival, and each hour while it is held back: start now (true) or not yet. NULL:
     * everything at once. */
    bool (*release)(void *context, uint32_t job, int64_t now_ms);
    void (*ended)(void *context, uint32_t job, int64_t now_ms); /* NULL: none */
    /* Now and then; NULL: none. */
    void (*progress)(void *context, int64_t now_ms, size_t ended);
};

struct replay_site_tally {
    uint64_t jobs, kills;
    double device_ms, core_ms; /* held */
    double ask, energy;        /* money: what buyers paid, what the power cost */
    double carbon_kg, kwh;
    double wait_ms;
};

/* One a site and bucket: site * bucket_count + bucket. */
struct replay_bucket {
    double device_ms, core_ms, energy, carbon_kg, wait_ms;
    uint32_t jobs;
};

struct replay_result {
    struct replay_site_tally *sites;
    uint32_t site_count;
    struct replay_bucket *buckets; /* NULL: none kept */
    uint32_t bucket_count;
    int64_t bucket_ms;
    uint64_t events, decisions, started, ended, kills, never;
    int64_t end_ms; /* of the last job */
    double wait_mean_ms, wait_p50_ms, wait_p99_ms, wait_max_ms;
    double response_mean_ms; /* arrival to end */
    double device_ms, core_ms, ask, energy, carbon_kg, kwh;
};

/* Whole hours, so that the arrivals fall into at most REPLAY_BUCKETS_DEFAULT buckets; 0 of none. */
int64_t replay_bucket_ms(const struct replay_job *jobs, size_t count);

/* Results live in `arena`. ERR_NO_MEMORY; ERR_INVALID, ERR_LIMIT: the set-up breaks a rule, the
 * fault says which. */
enum err replay_run(const struct replay_setup *setup, struct arena *arena,
                    struct replay_result *out, struct fault *fault) LQ_CHECKED;

/* The q-th part (0 to 1) of the values, which are sorted by it; 0 of none. */
double replay_quantile(double *values, size_t count, double q);

#endif
