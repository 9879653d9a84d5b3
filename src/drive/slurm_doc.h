/* Readers of what Slurm's commands print, 22.05 and newer: JSON where they have it, else their
 * key=value output, never their tables. Newer versions put a number into an object
 * ({"set":true,"number":5}) and a state into a list; both forms are read. What is not understood is
 * taken as the more careful answer: a state that nobody knows is one in which a job lives. Pure;
 * slices point into the arena. */
#ifndef LQ_DRIVE_SLURM_DOC_H
#define LQ_DRIVE_SLURM_DOC_H

#include "base/arena.h"
#include "model/attempt.h"

enum {
    SLURM_OUTPUT_BYTES_MAX = 64 << 20,
    SLURM_NAME_MAX = 255,
    SLURM_HOSTS_MAX = 4096,   /* of one list */
    SLURM_GRES_MAX = 8,       /* kinds on one node */
    SLURM_PARTITIONS_MAX = 16 /* of one node that are remembered */
};

/* The name of the job that tries a node (slurm_probe.c): neither an attempt nor an owner's. */
#define SLURM_PROBE_NAME "lq-probe"

enum slurm_state {
    SLURM_LIVES, /* waits, runs, is completing, or nobody knows */
    SLURM_COMPLETED,
    SLURM_FAILED,
    SLURM_CANCELLED,
    SLURM_TIMEOUT,
    SLURM_NODE_FAIL,
    SLURM_PREEMPTED,
    SLURM_OUT_OF_MEMORY,
    SLURM_STATE_COUNT_
};

/* One of our jobs: its name is an attempt's. */
struct slurm_job {
    struct attempt_token token;
    uint64_t id;
    enum slurm_state state;
    bool is_running;      /* has its nodes, and is not about to leave them */
    struct slice said;    /* the state in Slurm's own word */
    struct slice reason;  /* why it waits; may be empty */
    struct slice comment; /* the launch's number */
    struct slice hosts;   /* "alpha[1-2]"; empty before it started */
    uint32_t node_count, cpus, restarts;
    uint64_t mem_bytes_per_node;
    struct slice gres_per_node; /* "gres:gpu:a100:2" */
    int64_t start_s, end_s;     /* 0: not yet; end may lie ahead */
    int64_t preempt_s;          /* when Slurm began to take it off; 0: it did not */
    int32_t exit_status, exit_signal;
};

/* A job of somebody else's that waits for nodes now: what it is to get is no surplus. */
struct slurm_demand {
    uint64_t id, priority;
    struct slice partitions; /* one, or more with commas; empty: not said */
    struct slice hosts;      /* the nodes that it asks for by name; empty: any */
    struct slice excluded;
    uint32_t node_count, cpus; /* of the whole job */
    uint64_t mem_bytes_per_node;
    struct slice gres_per_node;
    int64_t eligible_s; /* since when it could have begun */
    bool is_exclusive;  /* wants whole nodes */
};

/* A job of somebody else's that has begun. */
struct slurm_start {
    uint64_t id;
    struct slice hosts;
    int64_t eligible_s, start_s;
};

struct slurm_jobs {
    const struct slurm_job *ours;
    uint32_t our_count;
    const struct slurm_demand *demands;
    uint32_t demand_count;
    const struct slurm_start *starts;
    uint32_t start_count;
};

struct slurm_gres {
    struct slice type; /* "gpu:a100", "gpu" */
    uint32_t count;
};

struct slurm_node {
    struct slice name, address;
    bool is_usable;    /* idle or shared, and nothing stands against it */
    bool is_away;      /* down or silent: nobody knows what runs there */
    struct slice said; /* the state in Slurm's own word */
    uint32_t cpus, cpus_used;
    bool has_load;
    uint32_t load_milli; /* the node's load average, in thousandths of a core */
    uint64_t mem_bytes, mem_bytes_used;
    struct slurm_gres gres[SLURM_GRES_MAX], used[SLURM_GRES_MAX];
    uint32_t gres_count, used_count;
    struct slice partitions[SLURM_PARTITIONS_MAX];
    uint32_t partition_count;
};

/* squeue --json: our jobs, and what others wait for or have begun. ERR_INVALID, ERR_LIMIT,
 * ERR_NO_MEMORY. */
enum err slurm_jobs_decode(struct slice json, struct arena *arena, struct slurm_jobs *out,
                           struct fault *fault) LQ_CHECKED;
/* sinfo --json */
enum err slurm_nodes_decode(struct slice json, struct arena *arena,
                            const struct slurm_node **out_nodes, uint32_t *out_count,
                            struct fault *fault) LQ_CHECKED;
/* "gpu:a100:4(S:0-1),ascend:2": at most SLURM_GRES_MAX; what makes no sense is passed over. */
uint32_t slurm_gres_parse(struct slice text, struct slurm_gres out[SLURM_GRES_MAX]);
/* How many of `type`. */
uint32_t slurm_gres_count(const struct slurm_gres *list, uint32_t count, struct slice type);
/* "alpha[1-3,07],beta": each name to `visit`. ERR_INVALID, ERR_LIMIT (over SLURM_HOSTS_MAX). */
enum err slurm_hosts_each(struct slice list, void (*visit)(void *context, struct slice host),
                          void *context) LQ_CHECKED;
/* The value of `key` in the output of scontrol show config ("Key     = value" lines); empty: not
 * there. */
struct slice slurm_config_value(struct slice text, const char *key);
/* "30 sec", "5 min", "1:00", "90": a span of it; ERR_INVALID. */
enum err slurm_span_parse(struct slice text, struct span_ms *out) LQ_CHECKED;
enum slurm_state slurm_state_parse(struct slice word);
/* What the end of a job without an end record of ours means. */
enum outcome slurm_outcome(const struct slurm_job *job);

#endif
