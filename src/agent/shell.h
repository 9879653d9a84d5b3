/* Private to src/agent: what one agent process is made of, and what its parts call of each other.
 * Everything here belongs to the loop's thread; workers see only the jobs that are given to them.
 */
#ifndef LQ_AGENT_SHELL_H
#define LQ_AGENT_SHELL_H

#include "agent/agent.h"
#include "agent/gate.h"
#include "agent/host.h"
#include "agent/identity.h"
#include "agent/picture.h"
#include "agent/remote.h"
#include "agent/sync.h"
#include "base/map.h"
#include "base/random.h"
#include "drive/driver.h"
#include "port/file.h"
#include "port/worker.h"
#include "store/chunks.h"

enum {
    RUNS_MAX = 2 * SYNC_ATTEMPTS_MAX,
    RUN_ARENA_BYTES = 24 << 20,
    WORKER_JOBS_MAX = 4096,
    UPLOADS_MAX = 4,        /* at once; the others wait */
    UPLOAD_CHUNKS_MAX = 2,  /* of one upload on their way */
    PREPARE_CHUNKS_MAX = 4, /* of one work folder on their way */
    LOG_CALLS_MAX = 8,      /* at once */
    LOG_PIECE_BYTES = 256 << 10,
    LOG_EVERY_MS = 100,  /* between looks at all logs */
    LOG_TAIL_MS = 2,     /* as much for each of them, where that is more */
    LOG_SETTLE_MS = 400, /* after the last process's end nothing is written any more */
    NOTE_MAX = 512,
};
#define CACHE_BYTES_DEFAULT ((uint64_t)4 << 30)
#define CAPACITY_EVERY_DEFAULT SPAN_S(5)
#define OWNER_EVERY_DEFAULT SPAN_S(2) /* where an owner's load is watched */
#define OWNER_PATIENCE SPAN_MS(1500)
#define PREPARE_LIMIT SPAN_S(300)      /* from the order to the work folder's being complete */
#define FINISH_LIMIT SPAN_S(7 * 86400) /* what could not be handed on by then is given up */
#define REMOTE_PAUSE_MIN SPAN_MS(200)
#define REMOTE_PAUSE_MAX SPAN_S(15)

struct agent;
struct log_piece;
struct prepare;
struct upload;

/* One rank's output on its way to the server. */
struct log_tail {
    uint64_t sent, size;     /* the server has all before it; the file's size when last seen */
    struct http_call *call;  /* a piece is on its way */
    struct log_piece *piece; /* the call's */
    bool is_done;            /* all of it is there, or it is refused for good */
};

enum finish_stage {
    FINISH_NONE,       /* it may still run */
    FINISH_CHECKPOINT, /* the last checkpoint is handed on */
    FINISH_OUTPUTS,
    FINISH_WIPE, /* work and scratch go */
    FINISH_LOGS, /* the rest of the output */
    FINISH_REMOVE,
};

/* An attempt as the shell sees it: from the order, or its row in the journal, until its folder is
 * gone. */
struct run {
    struct agent *agent;
    struct run *next, *prev;
    struct attempt_token token;
    char name[ATTEMPT_NAME_MAX];
    struct arena arena; /* owns order and spec */
    bool has_order;     /* else it was never here, or its row came without one */
    struct attempt_order order;
    struct job_spec spec;
    enum journal_phase phase; /* as durable */
    enum outcome outcome;
    bool has_row; /* the journal knows it */
    bool is_gone; /* certainly no process of it lives or will */
    bool has_folder;

    /* one engine call at a time; a newer one waits */
    bool is_calling;
    enum engine_call call;
    uint64_t call_generation;
    bool has_waiting;
    enum engine_call waiting;
    uint64_t waiting_generation, incarnation;
    bool was_submitted; /* by this process */
    struct prepare *prepare;
    struct loop_timer answer; /* what was found out outside a callback of the driver */
    enum engine_answer answer_kind;
    enum outcome answer_outcome;

    struct log_tail *logs; /* a rank each; NULL: nothing to ship */
    struct boot_ns gone_at;

    struct upload *upload;     /* under way */
    struct loop_timer timer;   /* the next look at checkpoints, or the next step of the end */
    uint64_t checkpoint_known; /* fingerprint of the last one that the server has */
    uint64_t checkpoint_step;
    struct boot_ns checkpoint_at; /* when it was begun */
    uint32_t young_looks;
    enum finish_stage stage;
    bool is_stage_running;
};

struct agent {
    const struct agent_options *options;
    const char *work_folder; /* attempts/ is inside: the state folder, or what nodes share */
    struct loop *loop;
    struct random random;
    struct remote remote;
    struct identity identity;
    struct sync_client sync;
    struct gate *gate;
    struct driver *driver;
    struct agent_host *host;
    struct worker *prepare_worker; /* short jobs that starts wait for */
    struct worker *copy_worker;    /* hashing and copying */
    struct chunks *cache;
    struct file_lock lock;
    struct arena arena;
    struct strmap runs; /* name -> struct run */
    struct run *first;
    uint32_t uploads;               /* under way */
    const struct sync_node *closed; /* a cluster's nodes with nothing free; NULL: a host site */
    struct loop_timer capacity, log_tick;
    uint32_t log_calls, log_fails;
    uint32_t log_tails; /* logs that may still grow, at the last look */
    struct boot_ns log_retry_at;
    bool is_draining, is_ready, is_stopping;
    uint32_t shut_count;       /* nodes outside their windows, as last told */
    bool is_superseded;        /* the site goes on from a newer journal, elsewhere */
    struct span_ms gate_limit; /* the server's word */
};

/* ---- run.c */
struct run *run_find(struct agent *agent, const struct attempt_token *token); /* NULL: none */
/* Found or made; NULL: no memory or too many. */
struct run *run_of(struct agent *agent, const struct attempt_token *token);
/* Decodes the order once. */
enum err run_take_order(struct run *run, struct slice order) LQ_CHECKED;
void run_row(struct agent *agent, const struct journal_attempt *row); /* loading */
void run_durable(struct agent *agent, const struct journal_attempt *row);
void run_call(struct agent *agent, const struct agent_output *output);
void run_on_answer(void *agent, const struct drive_answer *answer);
/* The work folder stands (ERR_OK) or cannot be made. */
void run_prepared(struct run *run, enum err err, const char *why);
void run_ended(struct agent *agent, const struct attempt_token *token);
void run_forget_if_idle(struct run *run); /* frees what has nothing left to do */
void run_destroy(struct run *run);
/* Folders of attempts that the journal knows nothing of: what is dead goes. */
void runs_adopt_folders(struct agent *agent);
/* "<work>/attempts/<name>[/rank-N][/<more>]"; rank < 0: the attempt's folder. */
void run_path(const struct run *run, int rank, const char *more, char out[RUN_PATH_MAX]);
/* A line of ours into the rank's log. */
void run_note(const struct run *run, uint32_t rank, const char *text);

/* ---- lend.c: the owner's contract */
/* Canonical JSON, in the agent's arena. ERR_LIMIT, ERR_NO_MEMORY. */
enum err lend_describe(struct agent *agent, struct slice *out) LQ_CHECKED;
/* What was measured, less what is not lent, goes to the core. */
void lend_capacity(struct agent *agent, const struct sync_node *measured, uint32_t count);
struct span_ms lend_grace(const struct agent *agent);
/* A host whose owner's load is watched. */
bool lend_gives_way(const struct agent *agent);
void lend_settings(const struct agent *agent, struct agent_settings *settings);

/* ---- prepare.c: work folders before the start. Calls run_prepared later, once. */
enum err prepare_start(struct run *run) LQ_CHECKED; /* ERR_NO_MEMORY */
void prepare_cancel(struct prepare *prepare);       /* no run_prepared any more; accepts NULL */

/* ---- logs.c */
void logs_begin(struct run *run);
void logs_tick(void *agent);
void logs_cancel(struct run *run);
bool logs_are_done(const struct run *run);

/* ---- upload.c: pictures of a folder to the server */
enum upload_kind { UPLOAD_CHECKPOINT, UPLOAD_OUTPUTS };
enum upload_result {
    UPLOAD_DONE,    /* the server has it, or had it */
    UPLOAD_NOTHING, /* nothing (new) is there */
    UPLOAD_WAIT,    /* something is being written: look again soon */
    UPLOAD_FAILED,  /* later again */
    UPLOAD_REFUSED, /* for good */
};
/* ERR_BUSY: enough are under way; ERR_NO_MEMORY. finish_uploaded comes later, once. */
enum err upload_start(struct run *run, enum upload_kind kind) LQ_CHECKED;
void upload_cancel(struct upload *upload); /* accepts NULL */

/* ---- finish.c: checkpoints while it runs, and what is left to do after the end */
void finish_watch(struct run *run);
void finish_begin(struct run *run);
void finish_uploaded(struct run *run, enum upload_kind kind, enum upload_result result,
                     const struct snapshot *snapshot, const char *why);
void finish_poke(struct run *run); /* logs are done, or another upload has ended */

/* ---- cache.c, on workers: content for work folders, bounded */
enum err cache_open(const char *path, struct chunks **out_cache, struct fault *fault) LQ_CHECKED;
enum err cache_put(struct chunks *cache, uint64_t bytes_max, struct tenant_id tenant,
                   struct digest hash, struct slice bytes, struct fault *fault) LQ_CHECKED;

#endif
