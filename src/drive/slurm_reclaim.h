/* What stands in the way of a cluster's owner, and for how long: measured look by look.
 *
 * Jobs of others that wait are given nodes, by their priority, as Slurm would: first from what is
 * free, then from what would be free were pool work gone. One that fits only in the second way is
 * held up by the pool, and time runs against the site's promise. One that would not fit even then
 * waits for its own kind, and nobody is to blame.
 *
 * Slurm knows seconds; looks are a second or more apart. Held time is rounded up to whole looks and
 * cut to the wait that Slurm itself tells, so that it is never told too short. What was before the
 * first look is told only by Slurm's own record of jobs that it took off.
 *
 * Pure. One thread at a time; what a look gives out lives in its arena. */
#ifndef LQ_DRIVE_SLURM_RECLAIM_H
#define LQ_DRIVE_SLURM_RECLAIM_H

#include "drive/slurm_doc.h"
#include "model/reclaim.h"
#include "model/site.h"

struct slurm_reclaims;

enum { SLURM_WATCHED_MAX = 65536 }; /* jobs of others; beyond that some are not measured */

struct slurm_reclaim_look {
    const struct slurm_jobs *jobs;
    const struct slurm_node *nodes; /* of the whole cluster */
    uint32_t node_count;
    struct text_list lent; /* partitions of the pool */
    bool is_by_agent;      /* who waits in a lent partition is an owner, too */
    struct span_ms promise;
    struct boot_ns now;
};

struct slurm_reclaim_found {
    const struct reclaim *reclaims;
    uint32_t reclaim_count;
    const struct attempt_token *in_way; /* to be ended so that all that waits can begin */
    uint32_t in_way_count;
    const bool *is_promised; /* a node each, in the cluster's order: it goes to one who waits */
    const bool *is_placed;   /* a demand each: its nodes are among the promised ones */
    bool is_held_up;         /* somebody is; look again soon */
    bool is_late;            /* for more than half of the promise */
};

struct slurm_reclaims *slurm_reclaims_create(void); /* NULL: no memory */
void slurm_reclaims_destroy(struct slurm_reclaims *reclaims);
/* ERR_NO_MEMORY: `out` is empty, and the next look counts the time between. */
enum err slurm_reclaims_look(struct slurm_reclaims *reclaims, const struct slurm_reclaim_look *look,
                             struct arena *arena, struct slurm_reclaim_found *out) LQ_CHECKED;

#endif
