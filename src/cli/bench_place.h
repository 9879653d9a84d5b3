/* The network and the work that `lq bench place` measures with, and the independent checker of what
 * the engine decided. All of it is made up from one seed, and says so in its names. */
#ifndef LQ_CLI_BENCH_PLACE_H
#define LQ_CLI_BENCH_PLACE_H

#include "base/random.h"
#include "place/place.h"

enum {
    PB_CHIPS = 6,
    PB_REGIONS = 12,
    PB_INSTITUTES = 40, /* tenants below the root, each with PB_GROUPS below it */
    PB_GROUPS = 25,
    PB_TENANTS = 1 + PB_INSTITUTES + PB_INSTITUTES * PB_GROUPS,
    PB_TEMPLATES = 600, /* kinds of jobs; times, classes and tenants vary beside them */
};

struct pb_site {
    struct site site;
    char name[24];
    struct site_ask asks[2];
    struct site_node *nodes;
    uint32_t region;
};

struct pb_template {
    struct job_spec spec;
    struct job_variant variants[2];
    struct slice lists[4];
    bool has_restore;
    uint32_t restore_site, popularity;
};

struct pb_job { /* queued or held */
    struct job_spec spec;
    struct place_job place;
    uint32_t template, tenant;
    int64_t runs_s;
    uint32_t next_free;
};

struct pb_world {
    struct random random;
    struct policy policy;
    struct region regions[PB_REGIONS];
    struct link links[PB_REGIONS * PB_REGIONS];
    uint32_t link_count;
    struct tenant tenants[PB_TENANTS];
    char tenant_names[PB_TENANTS][16];
    struct pb_site *sites;
    uint32_t site_count;
    uint64_t accelerators;
    struct pb_template templates[PB_TEMPLATES];
    uint64_t popularity;
    struct pb_job *jobs;
    uint32_t job_cap, job_count, free_first; /* slots; UINT32_MAX: none free */
    uint64_t submitted;
};

/* NULL: out of memory. */
struct pb_world *pb_world_make(uint64_t seed, uint32_t sites, uint64_t accelerators,
                               uint32_t job_cap);
void pb_world_free(struct pb_world *world);
struct placer *pb_world_placer(const struct pb_world *world); /* knows all but jobs */
/* A new job; its slot. */
uint32_t pb_job_make(struct pb_world *world, struct wall_us now);
void pb_job_free(struct pb_world *world, uint32_t slot);
uint32_t pb_parent_of(uint32_t tenant); /* of all but the root */
uint32_t pb_slot_of(struct job_id job); /* the slot that an id names */

struct pb_check;
struct pb_check *pb_check_make(const struct pb_world *world);
void pb_check_free(struct pb_check *check);
/* Books of its own. False: the decision goes past capacity, a quota or a filter; `why` says which.
 */
bool pb_check_decision(struct pb_check *check, const struct place_decision *decision,
                       char why[128]);
void pb_check_release(struct pb_check *check, struct job_id job);
uint64_t pb_check_devices_held(const struct pb_check *check);

#endif
