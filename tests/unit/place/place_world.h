/* A small random network for tests of the placement engine: everything that stands is kept here as
 * well, so that a second placer can be built from it, and so that slow and simple code can say what
 * the engine should have said. */
#ifndef LQ_TESTS_PLACE_WORLD_H
#define LQ_TESTS_PLACE_WORLD_H

#include "base/random.h"
#include "place/place.h"

enum {
    WORLD_SITES = 6,
    WORLD_NODES = 5,
    WORLD_TENANTS = 6, /* 0 is the root; 4 and 5 are children of 1 */
    WORLD_SPECS = 24,
    WORLD_JOBS = 4096,
    WORLD_SPEEDS = 256,
};

enum world_job_state { WORLD_JOB_NONE, WORLD_JOB_QUEUED, WORLD_JOB_HELD, WORLD_JOB_GONE };

struct world_job {
    enum world_job_state state;
    struct place_job job;
    struct place_decision *decision; /* of a held one; large */
    struct wall_us since;
};

struct world {
    struct placer *placer;
    struct now now;
    struct random random;
    struct policy policy;
    struct region regions[WORLD_SITES];
    struct link links[WORLD_SITES * WORLD_SITES];
    uint32_t link_count;
    struct tenant tenants[WORLD_TENANTS];
    struct site sites[WORLD_SITES];
    struct site_node nodes[WORLD_SITES][WORLD_NODES];
    struct sync_node seen[WORLD_SITES][WORLD_NODES];
    bool is_open[WORLD_SITES];
    struct job_spec specs[WORLD_SPECS];
    struct job_variant variants[WORLD_SPECS][2];
    struct slice lists[WORLD_SPECS][4];
    bool has_workloads; /* jobs of every second spec have one */
    struct world_speed {
        struct id workload;
        struct place_speed speed;
    } speeds[WORLD_SPEEDS];
    uint32_t speed_count;
    struct world_job jobs[WORLD_JOBS];
    uint32_t job_count;
};

struct id world_id(uint8_t kind, uint32_t number);
struct world *world_make(uint64_t seed);
void world_free(struct world *w);
/* A placer that knows all that stands; holds and jobs are told in another order than they came. */
struct placer *world_rebuild(struct world *w);
struct world_job *world_submit(struct world *w, uint32_t spec, uint32_t tenant);
struct world_job *world_job_of(struct world *w, struct job_id id);
/* Notes a decision that `w->placer` made. */
void world_held(struct world *w, const struct place_decision *decision);
void world_release(struct world *w, struct world_job *job);
void world_remove(struct world *w, struct world_job *job); /* queued */
void world_observe(struct world *w, uint32_t site);
/* Something is learned, or forgotten, of how fast a kind of chip does some spec's work. */
void world_speed(struct world *w);
/* A random job in that state; NULL: none. */
struct world_job *world_pick(struct world *w, enum world_job_state state);
int world_site_of(const struct world *w, struct site_id id);
/* Makes a placer think everything over: a node of no use to anyone goes down and comes back. */
void world_nudge(struct world *w, struct placer *placer);

#endif
