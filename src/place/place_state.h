/* What the placement engine keeps. Private to src/place. See place/place.h for what it does and
 * docs/placement.md for the rules.
 *
 * Four indexes carry the speed; each is a cache of what stands, exact at all times:
 *
 *  stock   the nodes of a site with one chip, by what they have free: which node fits best is found
 *          without looking at the others (place_stock.c).
 *  option  a way to run a shape at a site that no filter forbids, with its prices. It knows whether
 *          it fits now; a site that changes asks its own options again and no others
 *          (place_shape.c).
 *  order   tenants by share and a tenant's groups by age, each with the shapes that wait below it:
 *          the next job that fits somewhere is found by one walk (place_order.h, place_queue.c).
 *  holds   what is taken where.
 *
 * A shape is all that filters, prices per hour and nodes look at in a job. How long jobs may run is
 * not part of it: prices are per hour. Jobs of one tenant, class, shape and step of time limit wait
 * as one group, in order of (created_at, id).
 *
 * Marks: a shape has a mark (place_order.h) while it waits. placer->open has the marks of those
 * that fit somewhere now, so only jobs that can start are looked at. Those that fit on reserved
 * nodes only, which is a matter of their limits, are looked at when that has changed. What else can
 * keep a job away (its own budget, the site that just failed it) parks its group until the shape
 * fits at one more site.
 */
#ifndef LQ_PLACE_STATE_H
#define LQ_PLACE_STATE_H

#include "base/buffer.h"
#include "base/map.h"
#include "base/vector.h"
#include "place/place.h"
#include "place/place_node.h"
#include "place/place_order.h"

enum {
    PLACE_COPY_BYTES_MAX = 16 << 20, /* of one noun */
    PLACE_REGIONS_MAX = 4096,
    PLACE_LINKS_MAX = 65536,
    PLACE_JOBS_MAX = 4194304,
    PLACE_NAMES_MAX = 65535,
    PLACE_STOCKS_MAX = 32, /* chips at one site; nodes with others are never used */
    PLACE_OPTIONS_MAX = 1 << 24,
    PLACE_SHAPES_IDLE_MAX = 128, /* kept up to date though no job of theirs waits */
    PLACE_SHAPE_BYTES_MAX = 1 << 20,
    PLACE_STEPS = 32,           /* of time limits; see place_step */
    PLACE_PENDING_MAX = 8,      /* sites with options that are not told yet */
    PLACE_GROWN_MAX = 8,        /* kinds of nodes that grew at a site between two questions */
    PLACE_LENT_MAX = 64,        /* kinds of free reserved nodes at a site that are told apart */
    PLACE_LENT_VISITS_MAX = 64, /* groups looked at for reserved nodes before the rest waits */
    PLACE_OVERDUE_MS = 1000,    /* what should have ended is looked for again so soon */
    PLACE_RESERVATIONS_MAX = 4, /* blocked heads whose start is protected */
    PLACE_WATTS_PER_CORE = 10,  /* planning estimates: they rank places, they never bill */
    PLACE_WATTS_PER_ACCELERATOR = 400,
    PLACE_FRAGMENT_PERCENT = 5, /* of the ask of devices left over on a broken node */
    PLACE_ROLE_PERCENT = 10,    /* of the ask, for work that ends in a region meant for serving */
    PLACE_RETRY_PERCENT = 50, /* of the ask, for going back to the site that just failed the job */
    PLACE_ACCELERATOR_CORES = 8, /* one device weighs as much as this many cores in fair share */
    PLACE_SHARE_WINDOW_S = 600,  /* what is held now counts as if held for this long */
};

/* Options of shapes that wait, at one site, by number. Every look reads the bytes of all of them,
 * so they stand apart from the rest. */
struct place_wants {
    uint32_t count, cap;
    uint8_t *bytes;                                /* owns the next six */
    uint8_t *fit, *next, *devices, *stock, *again; /* next: what fit is about to become; again:
                                                      to be looked at, while a look lasts */
    int8_t *margin; /* nodes that would do, less ranks: surely not less when it fits, surely not
                       more when it does not */
    struct place_want {
        struct place_option *option;
        uint64_t mem_bytes;
        struct money pays; /* what the buyer pays there an hour */
        uint32_t cpu_milli;
        uint16_t ranks, mark;
        bool suits_all; /* any node will do, if it is large enough */
    } * list;
};

struct place_site {
    struct arena arena; /* owns `site` */
    struct site site;
    const struct region *region; /* NULL: not known */
    uint32_t index;              /* in placer->sites */
    struct place_node *nodes;
    uint32_t node_count;
    struct place_stock stocks[PLACE_STOCKS_MAX];
    uint32_t stock_count;
    bool is_open;
    bool is_shut;               /* not open because of its owner's windows */
    bool is_quarantined;        /* as a whole */
    uint32_t quarantined_nodes; /* observed as down */
    bool has_lent_changed;      /* what its reserved nodes have free, or for how long */
    bool is_changed;            /* since its options were asked; then it is in placer->changed */
    struct place_site *changed_next;
    uint16_t grown[PLACE_GROWN_MAX]; /* nodes that have more free than when all was settled */
    uint32_t grown_count;            /* over PLACE_GROWN_MAX: others may have, too */
    uint32_t grown_new, shrunk_new;  /* nodes, since its options were asked; UINT32_MAX: any */
    bool is_pending;                 /* some options fit that are not told so yet */
    struct place_site *pending_next;
    struct place_mask maybe; /* marks of the options that are pending */
    uint32_t hold_count, leaving_count, class_holds[PRIORITY_COUNT_];
    struct place_hold *holds; /* its list, in no order that shows */
    struct place_wants wants;
};

struct place_tenant {
    struct tenant tenant; /* name only is kept as text */
    struct arena arena;
    struct place_tenant *parent;
    uint32_t child_count;
    struct place_side {
        struct place_knot knot;      /* among its siblings that have something waiting */
        struct place_order groups;   /* its own, by age */
        struct place_order children; /* by share */
    } sides[PRIORITY_COUNT_];
    struct place_mask allowed;                  /* shapes that its quota has room for */
    bool has_allowed;                           /* else: all */
    uint64_t pending;                           /* jobs, this tenant and below */
    uint64_t hold_count;                        /* this tenant and below */
    uint64_t cpu_milli_held, accelerators_held; /* this tenant and below */
    uint64_t charged;     /* decayed core-milliseconds, this tenant and below */
    int64_t charged_at_s; /* wall second of the last decay */
};

/* Marks that stand for no shape. */
enum {
    MARK_PARKED = PLACE_MARKS - 1,   /* fits somewhere, but something of its own is in the way */
    MARK_HOPELESS = PLACE_MARKS - 2, /* no site could have it as things are set */
    MARK_BARREN = PLACE_MARKS - 3,   /* parked, and no site could promise it nodes */
    PLACE_MARKS_FREE = PLACE_MARKS - 3,
};

struct place_queued {
    struct place_job job;
    struct place_group *group;
    struct place_queued *previous, *next;
};

/* Prices of running a shape at a site, an hour where not said otherwise; once they are set beside
 * each other, for as much work as the fastest does in an hour (place_pace.c). */
struct place_rates {
    struct money ask, energy, carbon, role;
    struct money explore;   /* never above zero */
    struct money egress;    /* once */
    struct span_ms staging; /* time to bring data */
};

struct place_option {
    struct place_shape *shape;
    struct place_site *site;
    uint32_t want; /* number among site->wants; UINT32_MAX: none waits */
    uint8_t variant;
    uint8_t stock;  /* UINT8_MAX: any node will do */
    bool is_second; /* a foreign chip for who asked for domestic ones first */
    enum place_pace pace;
    uint32_t pace_milli;   /* its time for the same work, thousandths of the fastest's */
    uint32_t was_at;       /* scratch of sorting */
    uint64_t speed;        /* 0: not known */
    struct money ask_hour; /* what is asked for an hour */
    struct money base;     /* all that the work of the fastest's hour costs; sorts the options */
    struct place_need need;
    struct place_reach reach; /* of its stock, where it has one */
    struct place_rates rates;
};

struct place_shape {
    uint64_t number;   /* never used again */
    uint64_t settings; /* placer->settings that it was worked out under */
    struct place_shape *idle_previous, *idle_next;
    uint32_t groups;                   /* waiting */
    uint32_t step_groups[PLACE_STEPS]; /* of them, by step of time limit */
    uint8_t step_least;                /* PLACE_STEPS: none */
    uint16_t mark;                     /* while it waits */
    struct place_group *parked;
    uint8_t fit;                     /* the most of its options */
    uint32_t open_count, lent_count; /* options that fit, and that fit on reserved nodes only */
    bool is_listed;                  /* its options stand among their sites' wants */
    struct place_option
        *options; /* first choices first, then by base, site's name, variant, stock */
    uint32_t option_count;
    uint8_t *fits;        /* by option: steps of limit that fit now: 0 none, PLACE_STEPS all */
    uint8_t *codes;       /* the filter at each site, by name, as it is now */
    bool has_twins;       /* two options at one site */
    struct place_job job; /* a copy of what the key holds, to work it out again */
    struct arena arena;
    uint32_t key_len;
    char key[];
};

/* What the buyer pays there an hour. */
static inline struct money option_pays(const struct place_option *option)
{
    return money_add_saturated(option->rates.ask, option->rates.energy);
}

static inline uint8_t option_fit(const struct place_option *option)
{
    return option->shape->fits[option - option->shape->options];
}

struct place_group {
    struct place_knot knot; /* in its tenant's groups, unless parked or its array is full */
    struct place_tenant *tenant;
    enum priority_class priority;
    struct place_shape *shape;
    uint8_t step;
    struct place_array *array; /* NULL: none */
    struct place_group *array_next;
    struct place_group **parked_in; /* the list that it is parked in; NULL: none */
    uint16_t parked_mark;           /* its shape's when it was parked */
    struct money pay_max;           /* an hour, while it is parked: what it surely cannot pass */
    struct place_group *parked_previous, *parked_next;
    uint64_t barren;  /* placer->supply under which no site could promise it nodes; 0: none */
    uint32_t key_len; /* of its key in placer->groups, at the end */
    struct place_queued *first, *last; /* never empty */
    uint32_t job_count;
    char key[];
};

/* Elements of one array that are held at once, counted by the address of the spec. */
struct place_array {
    uint32_t held, max;
    struct place_group *groups;
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
    bool is_leaving; /* it was told to end */
    struct place_rank {
        struct rank_place place;
        uint16_t next_rank, previous_rank; /* among the ranks on its node */
        struct place_hold *next, *previous;
    } ranks[];
};

struct place_reservation {
    struct job_id job;
    enum priority_class priority;
    struct place_site *site;
    uint32_t variant, stock; /* the option's */
    struct boot_ns start;    /* on its nodes nothing may run past it */
    uint32_t nodes_reserved;
    uint16_t nodes[JOB_NODES_MAX];
    bool is_fresh;            /* something changed there since it was looked at */
    uint64_t looked_at_holds; /* placer->hold_changes when nobody could be told to leave for it */
};

/* What a job takes of a quota. */
struct place_claim {
    uint64_t cpu_milli, accelerators;
};

struct placer {
    struct policy policy;
    struct arena policy_arena;
    struct vector regions;  /* struct place_region *, by name */
    struct vector links;    /* struct place_link *, by (a, b) */
    struct vector sites;    /* struct place_site *, by name */
    struct vector names;    /* char *: accelerator models; index 0 is "" */
    struct vector chips;    /* struct place_chip, by index into names; may be shorter */
    struct idmap workloads; /* -> place_workload (place_pace.h) */
    struct idmap tenants;   /* -> place_tenant */
    struct place_order roots[PRIORITY_COUNT_];
    struct idmap queued;  /* -> place_queued */
    struct idmap holds;   /* -> place_hold */
    struct u64map arrays; /* spec address -> place_array */
    struct idmap sites_by_id;
    struct strmap shapes; /* key -> place_shape */
    struct strmap groups; /* tenant, class, shape, step, ... -> place_group */
    struct buffer key;    /* scratch */
    uint64_t shape_number;
    uint64_t settings; /* rises when sites, prices or policy change; not with holds */
    struct place_shape *idle_first, *idle_last; /* longest idle first */
    uint32_t idle_count;
    struct place_mask open, lent, used; /* marks of shapes that fit somewhere now, of those that
                                           only fit on reserved nodes, and of all that wait */
    uint32_t mark_open[PLACE_MARKS], mark_lent[PLACE_MARKS], mark_users[PLACE_MARKS];
    bool must_reserve; /* the heads may be others, besides by their shares */
    bool must_lend;    /* something may fit on reserved nodes that did not */
    struct place_claim claims[PLACE_MARKS], claim_max; /* of the shape that alone has the mark */
    struct place_group *quota_parked;                  /* until something is given back */
    struct place_site *changed;
    struct place_site *pending;
    struct place_mask maybe;  /* marks of shapes that fit at pending sites */
    struct place_mask parked; /* marks of shapes that have parked groups */
    uint32_t mark_parked[PLACE_MARKS];
    struct money parked_pay[PLACE_MARKS]; /* none of them can pay more an hour */
    uint64_t supply;        /* rises when nodes, sites or rules are others; not with holds */
    uint64_t barren_supply; /* that barren_now counts for */
    uint32_t barren_groups, barren_now; /* that are barren at all, and under that supply */
    uint64_t hold_changes; /* rises with every hold that comes, goes, or is told to go */
    struct now now;        /* of the last question */
    int64_t share_hour;    /* to which shares have decayed */
    bool is_stale; /* settings changed: options are worked out anew before anything is asked */
    struct place_reservation *reservations[PLACE_RESERVATIONS_MAX]; /* by order of their jobs */
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

/* ---- place_site.c */
/* The name as the placer keeps it, for ever; NULL: too many names or no memory. */
const char *place_name_keep(struct placer *placer, struct slice name, uint16_t *out_index);
const char *place_name(const struct placer *placer, uint16_t index);
void place_site_free(struct place_site *site);
struct place_site *place_site_at(const struct placer *placer, size_t index);
struct place_site *place_site_find(struct placer *placer, struct site_id id);

/* ---- place_key.c */
void shape_key_write(struct buffer *key, const struct place_job *job);
/* Into shape->job and its arena: options are worked out anew when no such job is left. */
enum err shape_job_copy(struct place_shape *shape, const struct place_job *job) LQ_CHECKED;

/* ---- place_shape.c: shapes, their options, and where they fit now */
/* The job's shape, worked out. ERR_NO_MEMORY, ERR_LIMIT. */
enum err shape_find(struct placer *placer, const struct place_job *job,
                    struct place_shape **out) LQ_CHECKED;
/* A group more or less waits. */
void shape_wait(struct placer *placer, struct place_shape *shape, uint8_t step, int change);
bool shape_is_open(const struct place_shape *shape, uint8_t step);
void shapes_free(struct placer *placer);
/* The ways to run a variant at a site, on those of its stocks that would do; unpriced ones are left
 * out. They belong to no shape. */
uint32_t place_options_of(struct placer *placer, struct place_site *site,
                          const struct place_job *job, uint32_t variant, uint32_t stocks,
                          struct place_option out[PLACE_STOCKS_MAX]);
/* First choices first, then by base, site's name, variant, stock. */
void shape_sort(struct place_shape *shape);
/* Sites, prices or rules are others now: no option stands until place_settle works them out. */
void place_settings_raise(struct placer *placer);
void place_settings_settle(struct placer *placer);
void option_fit_set(struct placer *placer, struct place_option *option, uint8_t fit);

/* ---- place_look.c: which options fit at sites that changed */
uint8_t want_fit(const struct placer *placer, struct place_site *site, uint32_t index);
/* Something at the site is free that was not, or the reverse. */
void place_site_changed(struct placer *placer, struct place_site *site, bool has_grown);
/* The same, where so many nodes have less free. */
void place_nodes_shrank(struct placer *placer, struct place_site *site, uint32_t nodes);
/* The same, where one node has more free. */
void place_node_grew(struct placer *placer, struct place_site *site, uint32_t node);
/* Looks at changed sites: what no longer fits is told, what fits is pending. */
void place_look(struct placer *placer);
/* Tells the shape's pending options. True: it fits somewhere. */
bool place_pending_tell(struct placer *placer, struct place_shape *shape);
/* The same for all shapes: then every option knows whether it fits. */
void place_settle(struct placer *placer);
/* The site is open or closed now: what its filter is called. */
void place_site_code(struct placer *placer, struct place_site *site);
void place_parked_count(struct placer *placer, uint32_t mark, struct money pay, int change);
/* The smallest step that is not below the limit. */
uint8_t place_step(struct span_ms limit);
struct span_ms place_step_limit(uint8_t step);

/* ---- place_queue.c */
/* ERR_NO_MEMORY, ERR_LIMIT: nothing changed. */
enum err place_queue_push(struct placer *placer, struct place_queued *queued) LQ_CHECKED;
void place_queue_remove(struct placer *placer, struct place_queued *queued);
/* All jobs whose limits come from tenants or policy find their groups anew. */
void place_queue_relimit(struct placer *placer);
/* Out of the way until its shape fits at one more site, or (`of_quota`) until something is given
 * back. */
void place_group_park(struct placer *placer, struct place_group *group, bool of_quota);
/* No site could promise its jobs nodes, or one could. */
void place_group_barren(struct placer *placer, struct place_group *group, bool is_barren);
/* Some of the barren ones were so under another supply. */
bool place_has_fertile(const struct placer *placer);
void place_groups_unpark(struct placer *placer, struct place_group **list);
/* The option fits now: those that may have it are looked at again. */
void place_option_unpark(struct placer *placer, const struct place_option *option);
void place_all_unpark(struct placer *placer);
/* Groups show the marks that their shapes have now. */
void place_groups_remark(struct placer *placer);
/* Through the queue of one class in order, over groups with one of the marks. */
struct place_walk {
    enum priority_class priority;
    uint32_t depth;
    struct {
        struct place_knot *knot;
        struct place_query query;
    } at[TENANT_DEPTH_MAX + 3];
    struct place_tenant *tenant;   /* whose groups are being walked; NULL: none */
    struct place_knot *group_knot; /* the last told */
    struct place_query query;      /* for what the tenant's quota allows */
};
void place_walk_begin(struct place_walk *walk, const struct placer *placer,
                      enum priority_class priority, const struct place_mask *marks);
struct place_group *place_walk_next(struct place_walk *walk);
bool place_queued_is_before(const struct place_queued *a, const struct place_queued *b);
/* ---- arrays */
bool place_array_is_open(const struct placer *placer, const struct job_spec *spec);
void place_array_count(struct placer *placer, const struct job_spec *spec, int change);

/* ---- place_share.c */
void place_share_charge(struct place_tenant *tenant, uint64_t core_ms, struct wall_us at);
void place_share_hold(struct placer *placer, struct place_tenant *tenant,
                      const struct place_hold *hold, bool is_taken);
/* Its place among its siblings and its marks are worked out anew, and its parents'. */
void place_share_refresh(struct placer *placer, struct place_tenant *tenant);
/* The groups of one of its sides have other marks. */
void place_share_remark(struct placer *placer, struct place_tenant *tenant,
                        enum priority_class priority);
void place_share_leave(struct placer *placer, struct place_tenant *tenant); /* its siblings */
/* To the hour of now, all tenants. */
void place_share_decay(struct placer *placer, struct wall_us now);
struct place_tenant *place_tenant_find(const struct placer *placer, struct tenant_id id);

/* ---- place_fit.c */
const struct region *place_region_find(const struct placer *placer, struct slice name);
const struct link *place_link_find(const struct placer *placer, const struct place_site *a,
                                   const struct place_site *b);
/* Filters that do not depend on what is free now. FILTER_NONE: `out_stocks` has bits of the stocks
 * that would do. */
enum place_filter place_filter_static(struct placer *placer, const struct place_site *site,
                                      const struct place_job *job, uint32_t variant,
                                      struct place_site_line *line, uint32_t *out_stocks);
/* The site's owner's own words: exclusions and floors. */
enum place_filter place_filter_contract(const struct place_site *site, const struct place_job *job,
                                        uint32_t variant, struct place_site_line *line);
/* Why a site that is not open takes nothing. */
enum place_filter place_closed_filter(const struct place_site *site);
/* Quota of the whole tenant path. */
enum place_filter place_filter_quota(const struct place_tenant *tenant, const struct job_spec *spec,
                                     uint32_t accelerators, struct place_site_line *line);
/* Bits of the variants that the tenant's quota allows now. */
uint32_t place_variants_allowed(const struct place_tenant *tenant, const struct job_spec *spec);
struct place_need place_need_of(const struct job_spec *spec, uint32_t variant);
/* When the hold ends (at its limit or as expected), as seen from now: never in the past, and never
 * further off than its whole span, so that a wall clock that jumped does little harm. */
int64_t place_hold_end(const struct place_hold *hold, int64_t now_ms, bool at_limit);
/* Earliest wall ms at which the job fits the site if holds end as expected (or, at_limit, only at
 * their limits). Nodes reserved for others count only when it ends before. False: never. */
bool place_fit_when(struct placer *placer, const struct place_option *option,
                    const struct place_job *job, int64_t now_ms, bool at_limit, int64_t *out_ms);

/* ---- place_score.c */
struct span_ms place_expected(const struct placer *placer, const struct place_job *job);
struct span_ms place_limit(const struct placer *placer, const struct place_job *job);
/* False: a price that is needed is missing (FILTER_NO_PRICE). `stock` UINT8_MAX: no devices. */
bool place_rates_of(struct placer *placer, const struct place_site *site,
                    const struct place_job *job, uint32_t variant, uint32_t stock,
                    struct place_rates *out);
/* `left`: devices left over on the nodes that it takes; `wait`: until it starts. */
void place_score_of(const struct placer *placer, const struct place_job *job,
                    const struct place_option *option, struct span_ms runs, struct span_ms wait,
                    uint32_t left, struct place_score *out);
struct money place_per_hours(struct money per_hour, struct span_ms span); /* saturates */
/* What the buyer would pay there is within the budget. */
bool place_is_affordable(const struct placer *placer, const struct place_job *job,
                         const struct place_option *option);
bool place_is_over_budget(const struct place_job *job, const struct place_score *score);

/* ---- place_decide.c */
struct place_choice {
    struct place_option *option;
    struct place_score score;
    struct place_option *second; /* at another site; NULL: none */
    struct money second_total;
};
bool place_passes_avoided(const struct placer *placer, const struct place_job *job,
                          const struct place_shape *shape, uint32_t variants);
/* The best option of the allowed variants that fits now, if budget and the avoided site allow it.
 */
bool place_choose(struct placer *placer, const struct place_job *job, uint32_t variants,
                  struct place_shape *shape, uint8_t step, struct place_choice *out);
struct place_hold *place_hold_make(struct placer *placer, const struct place_job *job,
                                   struct place_tenant *tenant, struct place_site *site,
                                   uint32_t variant, struct money ask_per_hour,
                                   const struct rank_place *places, struct wall_us since);

/* ---- place_reserve.c */
/* The heads of the queue that do not fit get reservations, others lose theirs. True: something may
 * fit now that did not. */
bool place_reserve(struct placer *placer);
struct place_option *place_reservation_option(const struct place_reservation *r,
                                              struct place_shape *shape);
/* Could the job have its nodes now? */
bool place_reservation_is_ripe(const struct place_reservation *r,
                               const struct place_option *option);
void place_reservation_drop(struct placer *placer, uint32_t index);
/* Its job gets other nodes, which nobody else may use from now on. */
void place_reservation_move(struct placer *placer, uint32_t index,
                            const struct place_option *option, const uint16_t *nodes);
/* A node of the option's, large enough as measured, were nothing of ours on it. */
bool place_option_may_use(const struct placer *placer, const struct place_option *option,
                          const struct place_node *node);
void place_reservations_drop(struct placer *placer, const struct place_site *site); /* NULL: all */
/* Index of the job's; -1: none. */
int place_reservation_of(const struct placer *placer, struct job_id job);
/* May the job have this reserved node if it ends in so long? */
bool place_reservation_allows(const struct placer *placer, const struct place_site *site,
                              uint32_t node, struct job_id job, int64_t ends_in_ms);
/* What reserved nodes of a site have free, and for how many steps of limits: kinds of nodes, none
 * of which is at least as good as another. Only jobs of one rank get such nodes. */
struct place_lent {
    uint32_t cpu_milli;
    uint8_t devices, stock, steps;
    uint64_t mem_bytes;
};
uint32_t place_lent_find(const struct placer *placer, const struct place_site *site,
                         struct place_lent out[PLACE_LENT_MAX]);
/* The best reserved node for an option of one rank that ends within the step: fewest devices, then
 * cores, left over. UINT32_MAX: none. */
uint32_t place_lent_pick(const struct placer *placer, const struct place_option *option,
                         uint8_t step);

#endif
