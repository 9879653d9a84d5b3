/* Private to drive/slurm*.c: the Slurm driver's memory and the parts' calls of each other. */
#ifndef LQ_DRIVE_SLURM_PRIVATE_H
#define LQ_DRIVE_SLURM_PRIVATE_H

#include "base/digest.h"
#include "drive/driver_private.h"
#include "drive/launch.h"
#include "drive/program.h"
#include "drive/slurm.h"
#include "drive/slurm_reclaim.h"
#include "port/loop.h"

enum {
    SLURM_CALLS_MAX = 8192, /* under way at once */
    SLURM_SUBMITTERS = 8,   /* one sbatch takes some ten milliseconds, most of them waiting */
    SLURM_ORDER_ARENA_BYTES = 24 << 20,
    SLURM_VIEW_ARENA_BYTES = 256 << 20,
    SLURM_LOOK_GAP_MS = 200,       /* between looks at the cluster */
    SLURM_LOOK_GAP_MAX_MS = 5000,  /* after looks that failed */
    SLURM_OWNER_GAP_MS = 1000,     /* while an owner is held up */
    SLURM_GUARD_GAP_MS = 3000,     /* where the agent does the reclaiming, while work runs */
    SLURM_VIEW_AGE_MAX_MS = 60000, /* jobs are read anew even when their listing stays the same */
    SLURM_SAID_MAX = 512,          /* of a command's complaint */
    SLURM_PORT_FIRST = 20000,
    SLURM_PORTS = 12000, /* below the kernel's own range */
};
#define SLURM_CALL_LIMIT SPAN_S(20)
/* What a supervisor tells its agent unasked; orders to it go at once. Shorter than the silence
 * after which the agent asks Slurm (core/agent.h, engine_poll). */
#define SLURM_RENEW_EVERY SPAN_S(4)
/* A supervisor whose agent is away holds its node no longer than this after the program's end: the
 * end record stays. */
#define SLURM_REPORT_LIMIT SPAN_S(30)
/* KillWait is read; this is Slurm's default. One second of it is left for the last words. */
#define SLURM_KILL_WAIT_DEFAULT SPAN_S(30)
#define SLURM_LAST_WORDS SPAN_S(1)

/* ---- slurm_command.c: Slurm's programs */
enum slurm_program {
    SLURM_SBATCH,
    SLURM_SQUEUE,
    SLURM_SCANCEL,
    SLURM_SINFO,
    SLURM_SCONTROL,
    SLURM_PROGRAM_COUNT_
};
struct slurm_commands {
    char path[SLURM_PROGRAM_COUNT_][PROGRAM_PATH_MAX];
    char conf[LAUNCH_PATH_MAX]; /* "SLURM_CONF=..."; "": none */
};
/* ERR_NOT_FOUND: the fault names the missing one. */
enum err slurm_commands_find(const struct slurm_config *config, struct slurm_commands *out,
                             struct fault *fault) LQ_CHECKED;
/* Runs one; `arguments` after its name, NULL-terminated. ERR_OK also when it failed: *out_status.
 * `out` gets what it printed, complaints too when `takes_errors`. ERR_TIMEOUT, ERR_IO, ERR_LIMIT.
 */
enum err slurm_command_run(const struct slurm_commands *commands, enum slurm_program program,
                           const char *const *arguments, bool takes_errors, struct buffer *out,
                           int *out_status) LQ_CHECKED;
/* The same, for one that waits: until `limit`. */
enum err slurm_command_wait(const struct slurm_commands *commands, enum slurm_program program,
                            const char *const *arguments, struct span_ms limit, struct buffer *out,
                            int *out_status) LQ_CHECKED;
/* ERR_IO: slurmctld does not answer; the fault has the first line of the complaint. */
enum err slurm_read_nodes(const struct slurm_commands *commands, struct arena *arena,
                          const struct slurm_node **out_nodes, uint32_t *out_count,
                          struct fault *fault) LQ_CHECKED;
enum err slurm_read_jobs(const struct slurm_commands *commands, struct arena *arena,
                         struct slurm_jobs *out, struct fault *fault) LQ_CHECKED;
/* What changes of any job, in few bytes and at a twentieth of the JSON's cost: compared, never
 * read. The same digest: slurm_read_jobs would say what it said then. ERR_IO. */
enum err slurm_digest_jobs(const struct slurm_commands *commands, struct digest *out,
                           struct fault *fault) LQ_CHECKED;
/* The text of scontrol show config. */
enum err slurm_read_config(const struct slurm_commands *commands, struct arena *arena,
                           struct slice *out_text, struct fault *fault) LQ_CHECKED;

/* One line a partition. */
enum err slurm_read_partitions(const struct slurm_commands *commands, struct arena *arena,
                               struct slice *out_text, struct fault *fault) LQ_CHECKED;

/* ---- slurm_config.c */
/* Is the node in one of the site's partitions, and in which (the first that fits)? */
bool slurm_is_of_pool(const struct slurm_config *config, const struct slurm_node *node,
                      uint32_t *out_partition);
/* The GRES that stands for a model; NULL: none. */
const struct text_pair *slurm_gres_of(const struct slurm_config *config, struct slice model);

/* ---- what is known of the site's nodes: made by a look, then never changed; counted on the loop
 */
struct slurm_seen {
    uint32_t references;
    uint32_t count;
    struct slurm_seen_node {
        bool is_known;
        uint32_t partition; /* index in the configuration */
        char address[SLURM_NAME_MAX + 1];
    } nodes[]; /* the site's, in its order */
};

struct slurm_account {
    struct slice tenant; /* id; empty: everybody's */
    uint32_t uid, gid;
};

struct worker;

/* The cluster's jobs as last read: of the look under way. */
struct slurm_view {
    struct arena arena;
    bool is_known; /* slurmctld answered */
    struct slurm_jobs jobs;
    struct fault fault;
    struct digest listing; /* slurm_digest_jobs just before */
    struct boot_ns read_at;
};

struct slurm {
    struct driver base;
    struct loop *loop;
    const struct driver_events *events;
    void *context;
    struct arena arena;
    struct slurm_settings settings;
    struct slurm_commands commands;
    struct slurm_account *accounts; /* empty: the agent's own */
    uint32_t account_count;
    struct span_ms gate_limit, notice; /* notice: from Slurm's TERM to its KILL, less last words */
    char bwrap[PROGRAM_PATH_MAX];
    struct worker *submitters[SLURM_SUBMITTERS], *looker;
    struct worker *prober;   /* made when first needed; its jobs take minutes */
    struct slurm_seen *seen; /* NULL: not yet */
    struct slurm_view view;
    struct slurm_call *calls;      /* under way */
    uint32_t call_count, listings; /* listings: driver_list calls that wait */
    bool is_looking, wants_measure;
    uint32_t fails; /* looks in a row */
    struct loop_timer next_look, owner_look;
    struct slurm_reclaims *reclaims; /* the looker's */
    bool is_reclaim_by_agent;
};

enum slurm_stage { STAGE_NEW, STAGE_WAITING, STAGE_SERVED };

struct slurm_call { /* belongs to a worker while SERVED, or submitted */
    struct slurm *slurm;
    struct slurm_call *next;
    struct drive_answer answer;
    enum slurm_stage stage;
    char why[LAUNCH_WHY_MAX];
    uint64_t incarnation;
    struct arena arena;
    struct slice order; /* submit */
    struct span_ms gate_limit;
    struct slurm_seen *seen;      /* counted */
    struct drive_rank_end *ranks; /* inspect, kill */
    struct boot_ns give_up_at;
    bool is_cancelled; /* scancel was heard */
};

/* ---- slurm_cluster.c, blocking, at the start */
enum err slurm_find_accounts(struct slurm *slurm, struct fault *fault) LQ_CHECKED;
void slurm_describe(struct slurm *slurm);
/* As the site's file says, else the defaults. */
struct span_ms slurm_promise(const struct slurm *slurm);
struct span_ms slurm_grace(const struct slurm *slurm);

/* ---- slurm_launch.c, on a worker: files, then sbatch; fills the answer */
void slurm_launch_run(struct slurm_call *call);
enum err slurm_attempt_dir(const struct slurm *slurm, const struct attempt_token *token,
                           char out[LAUNCH_PATH_MAX]) LQ_CHECKED;
/* ---- slurm_probe.c */
void slurm_probe(struct driver *driver, uint16_t node, uint64_t number);
void slurm_probe_stop(struct slurm *slurm);

/* ---- slurm_look.c, on the worker */
void slurm_look_answer(struct slurm_call *call, const struct slurm_view *view);
/* What the site's nodes have less foreign load; `seen` is filled. */
void slurm_look_measure(const struct slurm *slurm, const struct slurm_view *view,
                        const struct slurm_node *found, uint32_t count,
                        const struct slurm_reclaim_found *owner, struct sync_node *out,
                        struct slurm_seen *seen);

#endif
