/* A site's engine behind one interface: it starts, finds and kills attempts by their deterministic
 * name (attempt_name_format), and says what its nodes have for the pool. The host driver is the
 * first; Slurm and Kubernetes stand behind the same calls.
 *
 * Calls come back later, each exactly once, through `on_answer`; the answers map one to one, in
 * this order, on enum engine_answer of core/agent.h. A driver keeps nothing that must survive: what
 * it needs after a crash it finds again by name.
 *
 * Invariants
 *  1. At most one launch of a name lives at a time; a second submit of a living name starts
 * nothing.
 *  2. ABSENT and ENDED are said only when no process of that name runs (ABSENT: of a launch that
 *     passed the gate) and none of them can start any more.
 *  3. The program of a launch runs only after the start gate's GO (wire/gate.h).
 *
 * Threading: all calls and callbacks on the loop's thread; no callback inside a call. */
#ifndef LQ_DRIVE_DRIVER_H
#define LQ_DRIVE_DRIVER_H

#include "base/arena.h"
#include "model/capacity.h"
#include "model/reclaim.h"
#include "model/site.h"
#include "wire/sync.h"

struct loop;
struct driver;

enum drive_call { DRIVE_SUBMIT, DRIVE_INSPECT, DRIVE_KILL };
enum drive_answer_kind {
    DRIVE_ACCEPTED, /* SUBMIT: started, or living already, under the name */
    DRIVE_UNSURE,   /* SUBMIT, KILL: failed half-way; look the name up */
    DRIVE_REJECTED, /* SUBMIT: certain that nothing was started; `outcome` and `why` say why */
    DRIVE_ABSENT,   /* INSPECT, KILL: nothing of that name runs and there is no end record */
    DRIVE_PRESENT,  /* INSPECT, KILL: something runs; `ranks` with is_known are certainly gone */
    DRIVE_ENDED     /* INSPECT, KILL: all is gone; `ranks` holds what the end records say */
};

struct drive_rank_end { /* as struct engine_rank_end */
    bool is_known;
    enum outcome outcome;
    int32_t exit_code;
    struct span_ms ran, gate_wait, kill_wait;
    int64_t cpu_ms;
    struct attempt_progress progress;
};

struct drive_answer { /* all of it lives for the callback */
    enum drive_call call;
    struct attempt_token token;
    enum drive_answer_kind kind;
    enum outcome outcome; /* REJECTED: REFUSED or BAD_ENVIRONMENT; else NONE */
    uint64_t incarnation; /* PRESENT, ENDED: of the launch found; SUBMIT: of the one made; 0: not
                             known */
    const struct drive_rank_end *ranks;
    uint32_t rank_count;
    const char *why; /* a sentence for people; "" when there is nothing to say */
};

struct driver_owner { /* lives for the callback */
    const struct reclaim *reclaims;
    uint32_t reclaim_count;
    const struct attempt_token *yields;
    uint32_t yield_count;
    struct span_ms grace; /* to save what they have */
};

struct driver_events {
    void (*on_answer)(void *context, const struct drive_answer *answer);
    /* One entry a node of the site, in its order: what is there, less foreign load. */
    void (*on_capacity)(void *context, const struct sync_node *nodes, uint32_t count);
    /* The site's owner: what reclaims cost it (told anew after a restart), and what must end so
     * that it can begin. Repeated while it stands. */
    void (*on_owner)(void *context, const struct driver_owner *owner);
    /* The answer to driver_probe; `why`: a sentence when it is not good. May be NULL. */
    void (*on_probed)(void *context, uint64_t number, bool is_good, const char *why);
    /* The answer to driver_list. `is_known` false: the engine did not answer; ask again. */
    void (*on_names)(void *context, bool is_known, const struct attempt_token *tokens,
                     uint32_t count);
};

enum { DRIVER_NOTES_MAX = 16, DRIVER_NOTE_MAX = 256 };
/* What the engine can do here, found by trying, so that a submit can be refused early and
 * operators see what is not enforced. */
struct driver_traits {
    enum engine_kind engine;
    bool can_run;    /* false: no attempt can be started at all; notes[0] says why */
    bool has_images; /* `image:` works */
    bool limits_cpu, limits_memory, limits_pids; /* by control groups */
    bool isolates_network;                       /* gangs, too, get a network of their own */
    uint32_t note_count;
    char notes[DRIVER_NOTES_MAX]
              [DRIVER_NOTE_MAX]; /* sentences: what is missing and what it means */
};

/* Start an attempt. `order` is an encoded attempt_order (copied). `incarnation` names this launch
 * at the gate; 0: the driver makes one. Before this the caller has put work folders in place
 * (driver_rank_dir, "work" inside). */
void driver_submit(struct driver *driver, const struct attempt_token *token, struct slice order,
                   uint64_t incarnation);
/* What of that name is there? `incarnation`: whose end records are wanted; 0: any. */
void driver_inspect(struct driver *driver, const struct attempt_token *token, uint64_t incarnation);
/* Ends everything of that name: politely for `grace` (0: at once), then for sure. The answer comes
 * when all is gone, or with PRESENT after DRIVER_KILL_LIMIT past the grace. Reasons and outcomes
 * are the gate's business; this is the certain way when the gate does not answer. */
void driver_kill(struct driver *driver, const struct attempt_token *token, struct span_ms grace);
#define DRIVER_KILL_LIMIT SPAN_S(10)
/* Measures and then calls on_capacity; a second call before that is the same call. */
void driver_measure(struct driver *driver);
/* Is that node of the site in order? Tries it as a launch would (a sandbox; at a cluster, a small
 * job on that node) and calls on_probed, once a call; minutes may pass. */
void driver_probe(struct driver *driver, uint16_t node, uint64_t number);
/* Every name of ours at the engine of which something may live (some may have ended meanwhile);
 * on_names comes once a call. */
void driver_list(struct driver *driver);
/* What an attempt left behind on the engine's side (control groups, native records) is forgotten;
 * its folder is the caller's. After ENDED or ABSENT only. */
void driver_forget(struct driver *driver, const struct attempt_token *token);
const struct driver_traits *driver_describe(const struct driver *driver);
/* The folder of a rank: work/, log, end.json. ERR_LIMIT: `size` is too small. */
enum err driver_rank_dir(const struct driver *driver, const struct attempt_token *token,
                         uint32_t rank, char *out_path, size_t size) LQ_CHECKED;
/* Stops calling back and frees; attempts run on. Accepts NULL. */
void driver_destroy(struct driver *driver);

/* ---- the host driver */

/* One logical node of a host site: struct site_node, in the site's order. Several may share one
 * machine; each has a control group of its own with its limits. */
struct host_settings {
    const char *state_dir; /* absolute; attempts/ and supervise.sock are inside */
    const char *site_name; /* LQ_SITE */
    const struct site_node *nodes;
    uint32_t node_count;
    /* argv of a supervisor without its flags, NULL-terminated: {"/usr/bin/lq", "supervise", NULL}
     */
    const char *const *supervise_argv;
    bool ignores_foreign_load; /* capacity is what the nodes declare (several sites, one machine) */
    int notice;                /* signal for programs whose job names none; 0: TERM */
    bool has_host_network;     /* the operator's word: programs share the host's network */
    struct text_list read_only_paths; /* further host folders that programs see, read-only */
    struct text_list shared_folders;  /* as in struct site: programs of that tenant's jobs that ask
                                         for one write there; empty: none */
    struct text_list images;          /* container images that begin so are run; empty: none */
    /* 0: the defaults of HOST_…; the gate's limit is the server's word at each submit's time */
    struct span_ms gate_limit, ask_every, renew_every, report_every, report_limit, kill_time;
    uint64_t disk_reserve_bytes; /* an attempt that writes is stopped below it; 0: the default */
    uint64_t log_bytes_max;      /* of a rank; 0: the default */
};
#define HOST_GATE_LIMIT SPAN_S(120)
#define HOST_ASK_EVERY SPAN_MS(500)
#define HOST_RENEW_EVERY SPAN_MS(1000)
#define HOST_REPORT_EVERY SPAN_MS(500)
#define HOST_REPORT_LIMIT SPAN_S(600)
#define HOST_KILL_TIME SPAN_MS(1000)
#define HOST_LOG_BYTES_MAX (UINT64_C(64) << 20)
#define HOST_DISK_RESERVE_BYTES (UINT64_C(512) << 20)

/* Probes the machine (sandbox, control groups, images): blocks for some tens of milliseconds. The
 * settings are copied; `events` is borrowed. ERR_INVALID, ERR_IO, ERR_NO_MEMORY, ERR_LIMIT. A host
 * that cannot run anything still gets a driver, which says so (can_run) and rejects. */
enum err host_driver_create(struct loop *loop, const struct host_settings *settings,
                            const struct driver_events *events, void *context, struct fault *fault,
                            struct driver **out_driver) LQ_CHECKED;
/* The server's word on how long a supervisor waits at the gate; for later submits. */
void driver_set_gate_limit(struct driver *driver, struct span_ms gate_limit);

#endif
