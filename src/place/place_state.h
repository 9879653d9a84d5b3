/* What the placement engine keeps. Private to src/place. See place/place.h for what it does.
 *
 * Queue: jobs of one tenant, class and shape (everything of a spec that placement looks at) form a
 * group, so that a thousand jobs that are alike are tried once, not a thousand times. Jobs stand in
 * order of (created_at, id), groups in the order of their first jobs. Each tenant has, for each
 * class, its groups and a cursor: groups before it are known not to fit at the present `version`.
 * `version` rises whenever capacity or quota may have grown; then cursors go back to the start.
 *
 * What failed is not tried again where nothing grew: a shape remembers the version of its last
 * failure, the placer the sites that grew since. These are caches: with them or without, the
 * decisions are the same.
 *
 * Limits: at a version at most PLACE_TRIES_MAX shapes are looked at and PLACE_VISITS_MAX groups
 * passed. Where that was not enough, the next version begins with the jobs that had a reservation
 * and goes on where the last one stopped, so that every group's turn comes.
 *
 * Books: a node's free capacity is min(its size, what the site measured) less what our holds take.
 */
#ifndef LQ_PLACE_STATE_H
#define LQ_PLACE_STATE_H

#include "base/buffer.h"
#include "base/map.h"
#include "base/vector.h"
#include "place/place.h"

enum {
    PLACE_COPY_BYTES_MAX = 16 << 20, /* of one noun */
    PLACE_SITES_MAX = 4096,
    PLACE_REGIONS_MAX = 4096,
    PLACE_LINKS_MAX = 65536,
    PLACE_JOBS_MAX = 4194304,
    PLACE_NAMES_MAX = 65535,
    PLACE_TRIES_MAX = 64,    /* shapes that may fail at a version before the rest waits */
    PLACE_VISITS_MAX = 1024, /* groups passed at a version before the rest waits */
    PLACE_REST_MS = 20,      /* until a scan that was cut short goes on, were nothing to happen */
    PLACE_GROWN_MAX = 64,    /* sites remembered to have grown */
    PLACE_SHAPE_BYTES_MAX = 1 << 20,
    PLACE_OUTLOOKS_MAX = 16,
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
    const struct region *region; /* NULL: not known */
    struct place_node *nodes;
    uint32_t node_count;
    bool is_open;
    uint32_t hold_count;
    struct place_hold *holds; /* its list, in no order that shows */
    uint64_t stamp;           /* rises with every change of its nodes or holds */
    struct place_room {       /* cleared by a change */
        bool is_known;
        int64_t first_end_ms, last_since_ms; /* of its holds, by their limits; wall */
        /* The most that any one node has free. */
        uint32_t cpu_milli, devices;
        uint64_t mem_bytes;
    } room;
};

struct place_tenant {
    struct tenant tenant; /* name only is kept as text */
    struct arena arena;
    struct place_tenant *parent;
    struct vector children; /* struct place_tenant *, by name */
    struct place_queue {
        struct place_group *first, *last, *cursor;
        uint32_t blocked; /* groups before the cursor */
        struct place_queue *touched_next;
        struct place_tenant *tenant;
        enum priority_class priority;
        bool is_touched; /* in placer->touched: may have blocked groups */
    } queues[PRIORITY_COUNT_];
    uint32_t ready[PRIORITY_COUNT_]; /* groups at or after the cursor, this tenant and below */
    uint64_t pending;                /* jobs, this tenant and below */
    uint64_t hold_count;             /* this tenant and below */
    uint64_t cpu_milli_held, accelerators_held; /* this tenant and below */
    uint64_t charged;     /* decayed core-milliseconds, this tenant and below */
    int64_t charged_at_s; /* wall second of the last decay */
};

struct place_queued {
    struct place_job job;
    struct place_group *group;
    struct place_queued *previous, *next;
};

/* All jobs that no filter, price or node could tell apart. Found by `key` in placer->shapes. */
struct place_shape {
    uint64_t number; /* never used again */
    uint32_t groups;
    uint64_t failed_version;  /* fitted nowhere then; 0: not tried */
    uint64_t useless_version; /* waiting helps nowhere, as of that placer->settings; 0: not known */
    uint32_t key_len;
    char key[];
};

struct place_group {
    struct place_tenant *tenant;
    enum priority_class priority;
    struct place_shape *shape;
    struct place_queued *first, *last; /* never empty */
    struct place_group *previous, *next;
    uint32_t job_count;
};

struct place_hold {
    struct place_job job;
    struct place_tenant *tenant;
    struct place_site *site;
    struct place_hold *site_previous, *site_next;
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

/* When jobs of one shape could start at each site; kept so that a release costs a look at one site.
 */
struct place_outlook {
    uint64_t shape;    /* its number */
    uint64_t settings; /* placer->settings it was made under; another: worth nothing */
    uint32_t variants; /* bits: those that were allowed */
    uint64_t used_at;  /* the version that last asked */
    uint32_t site_count;
    struct place_soonest {
        uint64_t stamp;         /* of the site; 0: not known */
        int64_t at_ms;          /* INT64_MAX: never */
        int64_t good_before_ms; /* wall time from which it must be worked out anew */
        uint32_t variant;
        bool is_ruled_out; /* by filter or price: waiting does not help */
    } * sites;
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
    struct idmap sites_by_id;
    struct strmap shapes; /* key -> place_shape */
    struct strmap groups; /* tenant, class, shape -> place_group */
    struct buffer key;    /* scratch */
    uint64_t shape_number;
    uint64_t version;
    uint64_t all_version; /* everything may have grown then */
    uint64_t settings;    /* rises when sites, prices or policy change; not with holds */
    uint64_t stamp;
    uint32_t tries, visits;     /* at this version, since the last rest */
    struct boot_ns rests_until; /* where they reached their limits */
    struct place_queue *touched;
    struct place_growth {
        uint64_t version;
        struct place_site *site;
    } grown[PLACE_GROWN_MAX];                    /* a ring, by version */
    uint64_t grown_count;                        /* ever */
    struct job_id heads[PLACE_RESERVATIONS_MAX]; /* to be tried before the scan goes on */
    uint32_t head_count, head_at;
    struct place_reservation reservations[PLACE_RESERVATIONS_MAX];
    uint32_t reservation_count;
    struct place_outlook outlooks[PLACE_OUTLOOKS_MAX];
};

struct place_region {
    struct arena arena;
    struct region region;
};
struct place_link {
    struct arena arena;
    struct link link;
};

/* ---- place_site.c */
/* The name as the placer keeps it, for ever; NULL: too many names or no memory. */
const char *place_name_keep(struct placer *placer, struct slice name, uint16_t *out_index);
void place_site_free(struct place_site *site);

/* ---- place_queue.c */
/* Something may fit that did not: at `site` only, or (NULL) anywhere. */
void place_version_raise(struct placer *placer, struct place_site *site);
/* The same, and what sites, prices or rules are has changed. */
void place_settings_raise(struct placer *placer);
/* ERR_NO_MEMORY, ERR_LIMIT: nothing changed. */
enum err place_queue_push(struct placer *placer, struct place_queued *queued) LQ_CHECKED;
void place_queue_remove(struct placer *placer, struct place_queued *queued);
/* The next group that may start, by class and fair share; NULL: none at this version. */
struct place_group *place_queue_next(struct placer *placer, struct now now);
/* It does not fit at this version. */
void place_group_block(struct placer *placer, struct place_group *group);
bool place_queued_is_before(const struct place_queued *a, const struct place_queued *b);

/* ---- place_share.c */
void place_share_charge(struct place_tenant *tenant, uint64_t core_ms, struct wall_us at);
void place_share_hold(struct place_tenant *tenant, const struct place_hold *hold, bool is_taken);
/* The tenant among `tenants` with something ready that has used least for its weight; NULL: none.
 */
struct place_tenant *place_share_poorest(const struct vector *tenants, enum priority_class priority,
                                         int64_t now_s);
struct place_tenant *place_tenant_find(const struct placer *placer, struct tenant_id id);

/* ---- place_fit.c */
struct place_site *place_site_find(struct placer *placer, struct site_id id);
const struct region *place_region_find(const struct placer *placer, struct slice name);
/* Could a node of the site have room for a rank? Never wrong when it says no. */
bool place_site_has_room(struct place_site *site, const struct job_spec *spec, uint32_t variant);
/* A wall ms before which the site has no room for the job, if holds go to their limits. */
int64_t place_site_not_before(struct place_site *site, const struct job_spec *spec, int64_t now_ms);
void place_site_changed(struct placer *placer, struct place_site *site);
/* The chip that the variant would get there; empty: none. */
struct slice place_model(const struct placer *placer, const struct place_site *site,
                         const struct job_variant *variant);
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
 * Nodes reserved for others are used only when the job ends before. False: not enough. */
bool place_fit_nodes(const struct placer *placer, const struct place_site *site,
                     const struct place_node *nodes, const struct place_job *job, uint32_t variant,
                     int64_t now_ms, struct rank_place *out_places);
uint32_t place_node_cpu_free(const struct place_node *node);
uint64_t place_node_mem_free(const struct place_node *node);
uint16_t place_node_devices_free(const struct place_node *node);
void place_node_take(struct place_node *node, uint32_t cpu_milli, uint64_t mem_bytes,
                     const struct rank_place *place);
void place_node_give(struct place_node *node, uint32_t cpu_milli, uint64_t mem_bytes,
                     const struct rank_place *place);
/* When the hold ends (at its limit or as expected), as seen from now: never in the past, and never
 * further off than its whole span, so that a wall clock that jumped does little harm.
 * `out_is_sure`: it is the very time, not one that moves with now. */
int64_t place_hold_end(const struct place_hold *hold, int64_t now_ms, bool at_limit,
                       bool *out_is_sure);
/* Earliest wall ms at which the job fits the site if holds end as expected (or, at_limit, only at
 * their limits). False: never. */
bool place_fit_when(struct placer *placer, const struct place_site *site,
                    const struct place_job *job, uint32_t variant, int64_t now_ms, bool at_limit,
                    int64_t *out_ms, struct rank_place *out_places);

/* ---- place_score.c */
struct span_ms place_expected(const struct placer *placer, const struct place_job *job);
struct span_ms place_limit(const struct placer *placer, const struct place_job *job);
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
/* Bits of the variants that the tenant's quota allows now; all, where `tenant` is NULL. */
uint32_t place_variants_allowed(const struct place_tenant *tenant, const struct job_spec *spec);
bool place_is_over_budget(const struct place_job *job, const struct place_score *score);
/* May another element of the job's array start? */
bool place_array_is_open(const struct placer *placer, const struct job_spec *spec);
void place_array_count(struct placer *placer, const struct job_spec *spec, int change);
struct place_hold *place_hold_make(struct placer *placer, const struct place_job *job,
                                   struct place_tenant *tenant, struct place_site *site,
                                   uint32_t variant, struct money ask_per_hour,
                                   const struct rank_place *places, struct wall_us since);

/* ---- place_reserve.c */
/* Protects the start of a blocked head: at the site and time where it fits soonest if all holds go
 * to their limits, its nodes are not given away past that time. */
void place_reserve(struct placer *placer, const struct place_group *group, struct now now);
void place_reservations_deinit(struct placer *placer);

#endif
