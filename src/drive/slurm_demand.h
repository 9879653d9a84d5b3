/* Private to drive/slurm_reclaim.c: who would get which nodes. */
#ifndef LQ_DRIVE_SLURM_DEMAND_H
#define LQ_DRIVE_SLURM_DEMAND_H

#include "drive/slurm_doc.h"

enum {
    DEMAND_HELD_MAX = 32, /* pool jobs on one node that are looked at */
    DEMANDS_MAX = 1000,   /* of highest priority; the rest waits behind these anyway */
};

struct demand_room { /* of one node; GRES in the order of its kinds */
    int64_t cpus, mem_bytes;
    int64_t gres[SLURM_GRES_MAX];
};

struct demand_node {
    struct demand_room room; /* free now */
    struct demand_held {
        uint32_t job; /* index of ours */
        struct demand_room room;
    } held[DEMAND_HELD_MAX]; /* those that are leaving first, then the youngest */
    uint32_t held_count;
    bool is_promised;
};

struct demand_verdict {
    bool is_placed;  /* it would have its nodes, were pool work gone where it must */
    bool is_held_up; /* and pool work must go for it */
    uint32_t attempts;
};

struct demand_plan {
    const struct slurm_jobs *jobs;
    const struct slurm_node *nodes;
    uint32_t node_count;
    /* Made by demand_plan_make, in its arena. */
    struct demand_node *places;
    struct demand_verdict *verdicts; /* a demand each */
    bool *is_in_way;                 /* a job of ours each */
    bool *marks;
    void *choices;
};

/* `is_owners`: a demand each; the others get nothing. ERR_NO_MEMORY. */
enum err demand_plan_make(struct demand_plan *plan, const bool *is_owners,
                          struct arena *arena) LQ_CHECKED;

#endif
