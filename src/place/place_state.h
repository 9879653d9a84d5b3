/* What the placement engine keeps. Private to src/place. See place/place.h for what it does.
 *
 * Queue: jobs of one spec, tenant and restore state form a group, so that a thousand array elements
 * are tried once, not a thousand times. Each tenant has, for each class, its groups in order of
 * arrival and a cursor: groups before it are known not to fit at the present `version`. `version`
 * rises whenever capacity or quota may have grown; then cursors go back to the start.
 *
 * Books: a node's free capacity is min(its size, what the site measured) less what our holds take.
 */
#ifndef LQ_PLACE_STATE_H
#define LQ_PLACE_STATE_H

#include "base/map.h"
#include "base/vector.h"
#include "place/place.h"

enum {
    PLACE_SITES_MAX = 4096,
    PLACE_REGIONS_MAX = 4096,
    PLACE_LINKS_MAX = 65536,
    PLACE_JOBS_MAX = 4194304,
    PLACE_BACKFILL_DEPTH =
        512, /* groups that may fail between two releases before the rest waits */
    PLACE_RESERVATIONS_MAX = 4, /* blocked heads whose start is protected */
    PLACE_WATTS_PER_CORE = 10,  /* planning estimates: they rank places, they never bill */
    PLACE_WATTS_PER_ACCELERATOR = 400,
    PLACE_FRAGMENT_PERCENT = 5, /* of the ask of devices left over on a broken node */
    PLACE_ROLE_PERCENT = 10,    /* of the ask, for work that ends in a region meant for serving */
    PLACE_RETRY_PERCENT = 50, /* of the ask, for going back to the site that just failed the job */
    PLACE_ACCELERATOR_CORES = 8, /* one device weighs as much as this many cores in fair share */
    PLACE_SHARE_WINDOW_S = 600,  /* what is held now counts as if held for this long */
};

struct place_node {
    uint32_t cpu_milli, cpu_milli_seen, cpu_milli_used;
    uint64_t mem_bytes, mem_bytes_seen, mem_bytes_used;
    uint16_t devices, devices_seen, devices_used; /* bit masks */
    bool is_up;
    enum runtime runtime;
    uint16_t accelerator; /* index into the placer's names; 0: none */
};

struct place_site {
    struct arena arena; /* owns `site` */
    struct site site;
    struct place_node *nodes;
    uint32_t node_count;
    bool is_open;
    uint32_t hold_count;
};

struct place_tenant {
    struct tenant tenant; /* name only is kept as text */
    struct arena arena;
    struct place_tenant *parent;
    struct vector children; /* struct place_tenant *, by name */
    struct place_queue {
        struct place_group *first, *last, *cursor;
        int64_t order_first, order_last;
    } queues[PRIORITY_COUNT_];
    uint32_t ready[PRIORITY_COUNT_]; /* groups at or after the cursor, this tenant and below */
    uint64_t pending;                /* jobs, this tenant and below */
    uint64_t cpu_milli_held, accelerators_held; /* this tenant and below */
    uint64_t charged;     /* decayed core-milliseconds, this tenant and below */
    int64_t charged_at_s; /* wall second of the last decay */
};

struct place_queued {
    struct place_job job;
    struct place_group *group;
    struct place_queued *previous, *next;
};

struct place_group {
    struct place_tenant *tenant;
    enum priority_class priority;
    struct place_queued *first, *last;
    struct place_group *previous, *next;
    const struct job_spec *spec;
    uint32_t job_count;
    enum place_filter blocked_by; /* at blocked_version */
    uint64_t blocked_version;
    int64_t order; /* place in the queue of its tenant and class */
};

struct place_hold {
    struct place_job job; /* its spec may be gone; `need` is kept */
    struct place_tenant *tenant;
    struct place_site *site;
    uint32_t variant, nodes;
    struct money ask_per_hour;
    uint32_t cpu_milli, accelerators;
    uint64_t mem_bytes;
    struct wall_us since;
    struct span_ms expected, limit; /* how long it may go on: likely and at most */
    bool is_confirmed;
    struct rank_place places[]; /* one a node */
};

struct place_reservation {
    struct job_id job;
    struct place_site *site;
    int64_t start_ms; /* wall; on its nodes nothing may run past it */
    uint32_t nodes_reserved;
    uint16_t nodes[JOB_NODES_MAX];
};

struct placer {
    struct policy policy;
    struct arena policy_arena;
    struct vector regions; /* struct place_region *, by name */
    struct vector links;   /* struct place_link *, by (a, b) */
    struct vector sites;   /* struct place_site *, by name */
    struct vector names;   /* char *: accelerator models; index 0 is "" */
    struct idmap tenants;  /* -> place_tenant */
    struct vector roots;   /* struct place_tenant *, by name */
    struct idmap queued;   /* -> place_queued */
    struct idmap holds;    /* -> place_hold */
    struct u64map
        spec_holds; /* spec address -> number held (as pointer value), for array_parallel_max */
    uint64_t version;
    uint32_t failed; /* groups that failed at this version */
    struct place_reservation reservations[PLACE_RESERVATIONS_MAX];
    uint32_t reservation_count;
};

struct place_region {
    struct arena arena;
    struct region region;
};
struct place_link {
    struct arena arena;
    struct link link;
};

/* ---- place_queue.c */
void place_version_raise(struct placer *placer);
void place_queue_push(struct placer *placer, struct place_queued *queued, bool to_front);
void place_queue_remove(struct place_queued *queued);
/* The next group that may start, by class and fair share; NULL: none at this version. */
struct place_group *place_queue_next(struct placer *placer, struct now now);
void place_group_block(struct placer *placer, struct place_group *group, enum place_filter by);
void place_share_charge(struct place_tenant *tenant, uint64_t core_ms, struct wall_us at);
void place_share_hold(struct place_tenant *tenant, const struct place_hold *hold, bool is_taken);
struct place_tenant *place_tenant_find(struct placer *placer, struct tenant_id id);

/* ---- place_fit.c */
struct place_site *place_site_find(struct placer *placer, struct site_id id);
const struct region *place_region_find(const struct placer *placer, struct slice name);
const struct link *place_link_find(const struct placer *placer, const struct place_site *a,
                                   const struct place_site *b);
/* Filters that do not depend on what is free now. */
enum place_filter place_filter_static(struct placer *placer, const struct place_site *site,
                                      const struct place_job *job, uint32_t variant,
                                      struct place_site_line *line);
/* Quota of the whole tenant path. */
enum place_filter place_filter_quota(const struct place_tenant *tenant, const struct job_spec *spec,
                                     uint32_t accelerators, struct place_site_line *line);
/* Finds a node for each rank. `nodes` are the site's, or a copy with some holds taken away.
 * `busy_until` (may be NULL): nodes reserved from that time on are used only when the job ends
 * before. False: not enough. */
bool place_fit_nodes(const struct placer *placer, const struct place_site *site,
                     const struct place_node *nodes, const struct job_spec *spec, uint32_t variant,
                     int64_t now_ms, bool mind_reservations, const struct job_id *self,
                     struct rank_place *out_places);
uint32_t place_node_cpu_free(const struct place_node *node);
uint64_t place_node_mem_free(const struct place_node *node);
uint16_t place_node_devices_free(const struct place_node *node);
void place_node_take(struct place_node *node, uint32_t cpu_milli, uint64_t mem_bytes,
                     const struct rank_place *place);
void place_node_give(struct place_node *node, uint32_t cpu_milli, uint64_t mem_bytes,
                     const struct rank_place *place);
/* Earliest wall ms at which the job fits the site if holds end as expected (or, at_limit, only at
 * their limits). False: never. */
bool place_fit_when(struct placer *placer, const struct place_site *site,
                    const struct place_job *job, uint32_t variant, int64_t now_ms, bool at_limit,
                    int64_t *out_ms, struct rank_place *out_places);

/* ---- place_score.c */
struct span_ms place_expected(const struct placer *placer, const struct job_spec *spec);
struct span_ms place_limit(const struct placer *placer, const struct job_spec *spec);
/* False: a price that is needed is missing (FILTER_NO_PRICE). */
bool place_score_site(struct placer *placer, const struct place_site *site,
                      const struct place_job *job, uint32_t variant, struct span_ms wait,
                      const struct rank_place *places, struct place_score *out,
                      struct money *out_ask_per_hour);

/* ---- place_decide.c */
struct place_choice {
    struct place_site *site;
    uint32_t variant;
    struct money ask_per_hour;
    struct rank_place places[JOB_NODES_MAX];
};
/* Every site, all filters and scores, for one job: fills `lines` (one a site, by name).
 * FILTER_NONE: `out_choice` is the best place now; else what blocks it (FILTER_BUSY: only time).
 * With `with_eta` busy sites get an ETA and a score with their wait. */
enum place_filter place_survey(struct placer *placer, const struct place_job *job,
                               const struct place_tenant *tenant, struct now now, bool with_eta,
                               struct place_site_line *lines, int32_t *out_best,
                               int32_t *out_second, struct place_choice *out_choice);
/* May another element of the job's array start? */
bool place_array_is_open(const struct placer *placer, const struct job_spec *spec);
void place_array_count(struct placer *placer, const struct job_spec *spec, int change);
struct place_hold *place_hold_make(struct placer *placer, const struct place_job *job,
                                   struct place_tenant *tenant, struct place_site *site,
                                   uint32_t variant, struct money ask_per_hour,
                                   const struct rank_place *places, struct wall_us since);

#endif
