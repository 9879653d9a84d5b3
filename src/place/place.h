/* The placement engine. Pure, one `struct placer`; live placement, dry runs, planning and the
 * simulators call this same code.
 *
 * It is told what stands (regions, sites, tenants, policy, links, queue, held capacity) by
 * incremental events, and asked for decisions. An event touches what it changes; the result equals
 * a placer rebuilt from a snapshot (by test).
 *
 * Order: fair share over the tenant tree and priority classes decide which job is next; hard
 * filters (never relaxed) remove sites; one score in money chooses among the rest; then nodes and
 * devices inside the site. Gangs are all or nothing. Jobs that do not fit now get a reservation
 * when they are at the head of their class, and smaller ones may run before them only if they do
 * not delay it (backfill). Ties break by site name, then node index: same input, same decisions,
 * same bytes. */
#ifndef LQ_PLACE_PLACE_H
#define LQ_PLACE_PLACE_H

#include "base/arena.h"
#include "model/account.h"
#include "model/attempt.h"
#include "model/capacity.h"
#include "model/site.h"

struct placer;

/* Which hard filter removed a site. Stable codes for programs ("jurisdiction", ...) and sentences
 * for people. */
enum place_filter {
    FILTER_NONE,
    FILTER_SITE_STATE, /* draining, drained, lost, not reconciled */
    FILTER_WINDOW,     /* its owner does not lend now, or not for long enough */
    FILTER_JURISDICTION,
    FILTER_PROVENANCE,
    FILTER_RUNTIME,     /* no node with a runtime of any variant */
    FILTER_ACCELERATOR, /* runtime yes, model no */
    FILTER_SHAPE,       /* no node is ever large enough, or too few nodes for the gang */
    FILTER_LATENCY,
    FILTER_PLACEMENT, /* the job's own allow and avoid lists, role */
    FILTER_POLICY,
    FILTER_AVOID,    /* it just failed this job */
    FILTER_RESTORE,  /* the checkpoint cannot be restored there (runtime, world size, jurisdiction)
                      */
    FILTER_IMAGE,    /* the variant names a container image, which the site does not run */
    FILTER_SHARED,   /* the job works in a folder that the site does not share with its tenant */
    FILTER_DATA,     /* a dataset of the job may not be read in its jurisdiction */
    FILTER_EXCLUDED, /* its owner does not lend to the tenant, or to the class */
    FILTER_FLOOR,    /* its ask is below its owner's floor */
    FILTER_NO_PRICE, /* its ask is not known */
    FILTER_BUDGET,
    FILTER_QUOTA,
    FILTER_QUARANTINE, /* it, or what the job needs of it, failed too often and is not let back */
    FILTER_BUSY,       /* fits, but not now */
    FILTER_COUNT_
};

/* Terms of the score, money per hour or once, kept apart: what the buyer pays and what policy adds.
 */
struct place_score {
    struct money ask;           /* buyer: hourly ask times expected hours */
    struct money energy;        /* buyer, only where the ask excludes it */
    struct money egress;        /* buyer */
    struct money carbon;        /* policy, at the carbon price */
    struct money wait;          /* policy: expected wait at the class's time value */
    struct money staging;       /* policy: time to bring data, at the class's time value */
    struct money fragmentation; /* policy: value of what the choice leaves unusable */
    struct money risk;          /* policy: owner's reclaim, recent failures */
    struct money role;          /* policy: region role mismatch */
    struct money explore; /* policy: below zero, what a first try of a kind of chip is worth */
    struct money total;
};

struct place_job { /* what the engine keeps of a job; `spec` must live and stay as it is while the
                      job is queued or held, the other texts are copied */
    struct job_id id;
    const struct job_spec *spec;
    struct tenant_id tenant;
    struct wall_us created_at;
    uint32_t array_index;
    struct site_id avoid; /* none: nothing to avoid */
    bool has_restore;
    enum runtime restore_runtime;
    uint32_t restore_world_size; /* 0: any */
    struct slice restore_jurisdiction;
    struct site_id restore_site; /* where a local copy is */
    uint64_t restore_bytes;
    struct id workload; /* jobs with the same one do the same work, so that speeds measured on one
                           tell of the others; none: prices are compared by the hour */
    const struct site_id *barred; /* sites that do not lend to it; lives as `spec` does */
    uint32_t barred_count;
};

enum { PLACE_SITES_MAX = 4096, PLACE_WORKLOADS_MAX = 1 << 20 };

struct place_decision {
    struct job_id job;
    struct site_id site;
    uint32_t variant;
    uint32_t nodes;
    struct rank_place places[JOB_NODES_MAX];
    struct money ask_per_hour; /* whole gang */
    /* Why, as codes; placer_propose fills them, placer_hold does not look at them. */
    struct wall_us start;
    struct place_score score;
    struct site_id runner_up; /* the best other site that fitted as well; none: there was none */
    struct money lost_by;     /* what it would have cost more */
    uint32_t site_count;
    uint8_t filters[PLACE_SITES_MAX]; /* enum place_filter at each site, by name */
};

/* What is promised to a blocked head of the queue: nothing else runs on these nodes past `start`.
 */
struct place_promise {
    struct job_id job;
    struct site_id site;
    uint32_t variant, stock; /* stock: which chip of the site */
    struct boot_ns start;
    uint32_t nodes;
    uint16_t node[JOB_NODES_MAX]; /* indices into the site's nodes */
};

struct placer *placer_create(void);
void placer_destroy(struct placer *placer);

/* ---- what stands. Put replaces; everything is copied unless said otherwise. */
enum err placer_policy_put(struct placer *placer, const struct policy *policy) LQ_CHECKED;
enum err placer_region_put(struct placer *placer, const struct region *region) LQ_CHECKED;
enum err placer_link_put(struct placer *placer, const struct link *link) LQ_CHECKED;
enum err placer_tenant_put(struct placer *placer, const struct tenant *tenant) LQ_CHECKED;
/* `is_open`: in contact, reconciled, not draining; a closed site keeps its holds and takes nothing
 * new. */
enum err placer_site_put(struct placer *placer, const struct site *site, bool is_open) LQ_CHECKED;
void placer_region_remove(struct placer *placer, struct slice name); /* sites in it: none known */
void placer_link_remove(struct placer *placer, struct slice a, struct slice b); /* either order */
/* ERR_BUSY: it has children, queued jobs or holds. One that is not known is fine. */
enum err placer_tenant_remove(struct placer *placer, struct tenant_id tenant) LQ_CHECKED;
void placer_site_remove(struct placer *placer, struct site_id site); /* nothing held there */
void placer_site_open(struct placer *placer, struct site_id site, bool is_open);
/* That a closed site is closed by its owner's windows; for explanations. */
void placer_site_shut(struct placer *placer, struct site_id site, bool is_shut);
/* For explanations alone: the site is closed for failing, or `nodes` of it are (observed as down).
 */
void placer_site_quarantine(struct placer *placer, struct site_id site, bool is_whole,
                            uint32_t nodes);
/* Free capacity as measured on the site (foreign load seen); the engine never places beyond min(own
 * books, measured). */
void placer_site_observe(struct placer *placer, struct site_id site, const struct sync_node *nodes,
                         uint32_t count);

/* ---- what is known of chips, and of how fast each kind of place does a workload */
struct place_chip_facts {
    struct slice model;
    uint64_t gflops; /* 0: not known */
    bool is_domestic;
};
/* ERR_LIMIT, ERR_NO_MEMORY. */
enum err placer_chip_put(struct placer *placer, const struct place_chip_facts *facts) LQ_CHECKED;

struct place_speed {
    enum runtime runtime;
    uint32_t devices;         /* of a node */
    struct slice accelerator; /* model; empty: none */
    uint64_t rate;            /* work a second, in any unit that the workload's kinds share; 0: not
                                 measured */
    bool may_explore; /* not measured, and a job may be sent there for its speed's sake: a kind
                         that was never put may be */
};
/* Prices the options of the workload's jobs anew, and nothing else. ERR_LIMIT (PLACE_KINDS_MAX),
 * ERR_NO_MEMORY. */
enum err placer_speed_put(struct placer *placer, struct id workload,
                          const struct place_speed *speed) LQ_CHECKED;

/* Nothing is known of it any more. */
void placer_speed_forget(struct placer *placer, struct id workload);

/* ---- the queue, in order of (created_at, id) within tenant and class. Put replaces.
 * ERR_NOT_FOUND: the tenant; ERR_EXISTS: it is held; ERR_NO_MEMORY, ERR_LIMIT. */
enum err placer_job_put(struct placer *placer, const struct place_job *job) LQ_CHECKED;
void placer_job_remove(struct placer *placer, struct job_id job);

/* ---- held capacity: attempts that are alive. A decision is held by placer_confirm; at load by
 * placer_hold. */
enum err placer_hold(struct placer *placer, const struct place_job *job,
                     const struct place_decision *decision, struct wall_us since) LQ_CHECKED;
void placer_release(struct placer *placer, struct job_id job,
                    struct wall_us at); /* charges fair share for the time held */

/* ---- fair share's memory, for snapshots: decayed use of a tenant and those below it. */
struct place_share {
    uint64_t core_ms;
    struct wall_us at; /* of the last decay */
};
void placer_share_read(const struct placer *placer, struct tenant_id tenant,
                       struct place_share *out); /* zero: not known */
enum err placer_share_put(struct placer *placer, struct tenant_id tenant,
                          const struct place_share *share) LQ_CHECKED; /* ERR_NOT_FOUND */

/* ---- promises, for snapshots. They are made by placer_propose and stand until the job starts or
 * leaves, others come before it, or sites or rules change. Without them a placer makes new ones. */
bool placer_promise_read(const struct placer *placer, uint32_t index, struct place_promise *out);
enum err placer_promise_put(struct placer *placer,
                            const struct place_promise *promise) LQ_CHECKED; /* ERR_NOT_FOUND */

/* ---- deciding. False: nothing more can start now. A proposed job is out of the queue and its
 * capacity held until confirm or abort. */
bool placer_propose(struct placer *placer, struct now now, struct place_decision *out);
void placer_confirm(struct placer *placer, struct job_id job, struct now now);
void placer_abort(struct placer *placer,
                  struct job_id job); /* gives back what it held; the job is queued again */
/* Asked when nothing more can start: held jobs of lower classes that have to end so that a job at
 * the head of the queue can start, those that cost least; 0: nobody. They count as leaving from
 * then on, and the job is promised their nodes; whoever asks ends them and releases each when it
 * has ended. At most one job a question: ask again until nobody is told. */
enum { PLACE_LEAVING_MAX = 512 };
uint32_t placer_preempt(struct placer *placer, struct now now,
                        struct job_id out[PLACE_LEAVING_MAX]);
/* A held job was told to end, whoever said so. */
void placer_leave(struct placer *placer, struct job_id job);
/* When to ask again were nothing to happen. BOOT_NEVER: only an event can allow a new decision. */
struct boot_ns placer_due(const struct placer *placer, struct now now);

/* Where an option's speed is from. */
enum place_pace { PACE_NONE, PACE_MEASURED, PACE_CATALOGUE, PACE_UNKNOWN, PACE_COUNT_ };

/* ---- explaining. Codes and numbers; core/explain.h puts them into JSON and words. */
struct place_site_line {
    struct site_id site;
    struct slice site_name;
    enum place_filter filter; /* FILTER_NONE: fits now; FILTER_BUSY: fits, not now; else removed */
    uint64_t wanted, available; /* of what the filter counts (milli-CPU, bytes, nodes, ...); 0, 0:
                                   nothing to count */
    struct slice
        detail;     /* name that the filter speaks of (jurisdiction, runtime, ...); may be empty */
    bool has_score; /* for FILTER_NONE and FILTER_BUSY */
    uint32_t variant;
    struct place_score score;
    bool has_eta;
    struct span_ms eta_low, eta_high;
    bool is_second; /* a foreign chip for who asked for domestic ones first */
    struct slice accelerator;
    struct place_price { /* FILTER_NONE and FILTER_BUSY of a job with a workload */
        enum place_pace source;
        uint64_t rate;             /* MEASURED: as it was put */
        uint32_t pace_milli;       /* time for the same work, thousandths of the fastest's */
        struct money ask_per_hour; /* whole gang */
    } price;
};

enum place_verdict { PLACE_NOW, PLACE_LATER, PLACE_IMPOSSIBLE, PLACE_HELD };

struct place_explanation {
    enum place_verdict verdict;
    const struct place_site_line *lines; /* by site name */
    uint32_t line_count;
    const struct place_site_line *choices; /* of a job with a workload: each way to run it that no
                                              filter removed, by site name, then variant */
    uint32_t choice_count;
    int32_t
        chosen; /* index into lines: the site that has it, would get it now or soonest; -1: none */
    int32_t runner_up; /* -1: none */
    bool has_eta;
    struct span_ms eta_low, eta_high;
    uint32_t queue_position;      /* 1 is next; 0: not queued */
    enum place_filter blocked_by; /* what keeps it pending: BUSY, QUOTA, ... */
};

/* ERR_NOT_FOUND: neither queued nor held (a held job is explained as it was decided). Results live
 * in `arena`. */
enum err placer_explain(struct placer *placer, struct job_id job, struct now now,
                        struct arena *arena, struct place_explanation *out) LQ_CHECKED;
/* A job that is not in the queue: nothing is changed. */
enum err placer_dry_run(struct placer *placer, const struct place_job *job, struct now now,
                        struct arena *arena, struct place_explanation *out) LQ_CHECKED;
/* Could it ever run, were the network idle? ERR_INVALID with the reason by name when not (submit
 * refuses it). */
enum err placer_check(struct placer *placer, const struct place_job *job,
                      struct fault *fault) LQ_CHECKED;

const char *place_filter_name(enum place_filter filter);
const char *place_pace_name(enum place_pace pace);

#endif
