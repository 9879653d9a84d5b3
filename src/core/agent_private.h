/* Private to core/agent*.c: the agent's memory, and what its parts call of each other. */
#ifndef LQ_CORE_AGENT_PRIVATE_H
#define LQ_CORE_AGENT_PRIVATE_H

#include "base/map.h"
#include "base/random.h"
#include "base/vector.h"
#include "core/agent.h"

enum {
    LAUNCHES_MAX = 4,        /* incarnations remembered while the gate is free */
    USAGE_WINDOW_MAX = 1024, /* records in memory; the rest is read from the journal */
    RETAIN_MARKS_MAX = 64,
    SYNC_GAP_MS = 20, /* between two requests */
    SYNC_IDLE_GAP_MAX_MS = 1000,
};

/* What one rank's supervisor told. Lost with the process. */
struct agent_rank {
    bool is_heard; /* under the holder's incarnation, since this process began */
    bool is_running;
    struct boot_ns heard_at;
    struct span_ms ran, gate_wait, kill_wait;
    int64_t cpu_ms;
    struct attempt_progress progress;
};

/* One incarnation at the gate. */
struct agent_launch {
    uint64_t incarnation;
    bool is_out; /* one of its ranks gave up: it can never be complete */
    struct agent_ask {
        bool is_asked;
        uint64_t seq;
        struct boot_ns at;
    } * asks; /* a rank each */
};

struct agent_attempt {
    struct journal_attempt
        row; /* as the journal has it, or will have when this step's change commits */
    bool is_new, is_dirty;
    bool is_late;        /* a broken rule keeps this change for a later step; see core/rules.h */
    struct slice secret; /* points into row.order's copy below; may be empty */
    char *secret_copy;
    const struct rank_place *places; /* owned */
    struct usage_quantities
        per_ms; /* what the gang holds: cpu_held, accel, mem per ms of wall (cpu: milli) */
    enum runtime runtime;
    char accelerator[48];
    uint32_t cpu_milli; /* of one rank */
    uint64_t mem_bytes;

    struct agent_rank *ranks;
    struct agent_launch launches[LAUNCHES_MAX];
    uint32_t launch_count;

    bool has_anchor;
    struct boot_ns anchor; /* send time of the request whose reply renewed the lease */

    bool is_calling;
    enum engine_call call;
    struct boot_ns called_at;
    struct boot_ns call_due;
    bool may_exist;      /* the engine may hold something of this name */
    bool is_looked_up;   /* the last answer is certain: what may_exist says is so */
    bool is_engine_done; /* final phases: nothing is left to be killed */

    struct boot_ns since;   /* of this phase */
    struct boot_ns kill_by; /* end of the grace; BOOT_NEVER: no kill ordered by this process */
    struct boot_ns usage_due;
    struct boot_ns acked_at;
};

struct agent_probe {
    struct sync_probe asked;
    bool is_done, is_good;
    char why[SYNC_PROBE_WHY_MAX];
};

struct retain_mark {
    uint64_t seq;
    struct boot_ns at;
};

struct agent_core {
    const struct protocol_rules *rules;
    struct agent_settings settings;
    char *version, *surplus;
    struct random random;
    struct site_id site;
    enum engine_kind engine;
    struct agent_node {
        uint32_t cpu_milli;
        uint64_t mem_bytes;
        uint32_t devices;
    } * nodes;
    uint32_t node_count;

    struct journal_meta meta;
    bool has_meta, is_meta_dirty;
    struct strmap attempts; /* token bytes -> struct agent_attempt; all that the journal holds */
    struct vector
        open; /* struct agent_attempt *: not yet final, acknowledged and gone from the engine */
    struct vector retained; /* struct agent_attempt *: the others, oldest first */

    struct vector
        usage; /* struct usage_record: contiguous window, oldest first, seq > usage_acked */
    bool is_reading_usage;
    struct retain_mark marks[RETAIN_MARKS_MAX]; /* "all up to seq was acknowledged at" */
    uint32_t mark_count;
    uint64_t usage_oldest; /* oldest seq still in the journal; 0: not yet known */

    /* sync */
    bool is_outstanding, is_connected, is_draining;
    bool wants_inventory, has_news;
    bool is_listed;          /* the engine has named what it holds, since this process began */
    struct boot_ns list_due; /* BOOT_NEVER: asked, or answered */
    uint64_t request_seq;
    uint64_t challenge; /* of the last reply */
    struct boot_ns sent_at;
    struct boot_ns sync_due; /* when the next request may leave though there is no news */
    uint32_t fails;
    struct span_ms gap;       /* least time between requests now */
    struct span_ms idle_gap;  /* grows while replies come at once and change nothing */
    uint64_t inventory_seq;   /* first request that carried the wanted inventory; 0: none yet */
    struct vector sync_nodes; /* struct sync_node */
    uint64_t nodes_seq;       /* first request that carried this capacity; 0: none yet */
    bool is_nodes_news;       /* the server may not have it yet */
    struct vector links;      /* struct sync_link, peers owned */
    struct vector probes;     /* struct agent_probe: what the server asks of nodes */
    struct vector copied, reclaims; /* of agent_news.c */
    struct agent_owner {            /* of a host that gives way */
        bool is_waiting, is_alarmed;
        struct boot_ns since;
        struct wall_us at;
        uint32_t yielded; /* attempts that went for it */
    } owner;
    struct sync_settings told; /* by the server */
    uint32_t report_from;      /* where the next report starts when not all fit */

    /* of the step under way */
    struct now now;
    struct agent_effects *effects;
    struct vector ops;     /* struct journal_op: usage, forgets */
    struct vector outputs; /* struct agent_output */
    struct vector dirty;   /* struct agent_attempt * */
    bool is_changed;       /* this step changed something that the server wants to know */
};

/* ---- agent_effects.c */
void agent_step_begin(struct agent_core *core, struct now now, struct agent_effects *effects);
void agent_step_end(struct agent_core *core);
struct agent_output *agent_output_add(struct agent_core *core, enum agent_output_kind kind);
struct journal_op *agent_op_add(struct agent_core *core, enum journal_change_kind kind);
void agent_mark_dirty(struct agent_core *core, struct agent_attempt *attempt);

/* ---- agent_attempt.c */
struct agent_attempt *agent_attempt_find(const struct agent_core *core,
                                         const struct attempt_token *token);
/* Takes over what the row says; decodes its order. ERR_CORRUPT: the order does not decode. */
enum err agent_attempt_add(struct agent_core *core, const struct journal_attempt *row,
                           struct agent_attempt **out) LQ_CHECKED;
void agent_attempt_free(struct agent_attempt *attempt);
bool agent_attempt_is_final(const struct agent_attempt *attempt);
bool agent_attempt_is_rank_ended(const struct agent_attempt *attempt, uint32_t rank);
void agent_attempt_start(struct agent_core *core, const struct sync_command *command,
                         struct boot_ns anchor);
void agent_attempt_revoke(struct agent_core *core, const struct sync_command *command);
/* The owner's word: the attempt ends as preempted. An unknown or ended one is left alone. */
void agent_attempt_yield(struct agent_core *core, const struct attempt_token *token,
                         struct span_ms grace);
void agent_nodes_clear(struct agent_core *core, const bool *nodes, uint32_t count,
                       struct span_ms grace);
/* The engine holds something that this journal does not know: it is ended. */
void agent_attempt_found(struct agent_core *core, const struct attempt_token *token);
void agent_attempt_ack(struct agent_core *core, const struct attempt_token *token);
void agent_attempt_never(struct agent_core *core, struct agent_attempt *attempt,
                         enum outcome outcome);
/* Confirms the end of a rank; the last one ends the attempt, a failing one kills the others. */
void agent_rank_end(struct agent_core *core, struct agent_attempt *attempt, uint32_t rank,
                    enum outcome outcome, int32_t exit_code);
/* Every process is gone, by the engine's word. */
void agent_attempt_gone(struct agent_core *core, struct agent_attempt *attempt,
                        const struct engine_rank_end *ranks, uint32_t rank_count);
void agent_retained_trim(struct agent_core *core);

/* ---- agent_gate.c */
void agent_on_gate(struct agent_core *core, const struct gate_message *message);
void agent_gate_kill(struct agent_core *core, struct agent_attempt *attempt, uint32_t rank);

/* ---- agent_engine.c */
void agent_engine_tick(struct agent_core *core, struct agent_attempt *attempt);
void agent_on_engine(struct agent_core *core, const struct agent_event *event);

/* ---- agent_usage.c */
void agent_usage_record(struct agent_core *core, struct agent_attempt *attempt, bool is_last);
void agent_usage_acked(struct agent_core *core, uint64_t acked);
void agent_usage_tick(struct agent_core *core);
void agent_on_usage(struct agent_core *core, uint64_t after, const struct usage_record *records,
                    uint32_t count);
/* The records to send now, from usage_acked + 1 on; asks the journal when they are not in memory.
 */
void agent_usage_next(struct agent_core *core, const struct usage_record **out,
                      uint32_t *out_count);

/* ---- agent_probe.c: the server's questions about nodes; nothing of them is durable */
void agent_probes_take(struct agent_core *core, const struct sync_reply *reply);
void agent_on_probed(struct agent_core *core, const struct sync_probed *probed);
/* The answers there are, into the step's arena. */
void agent_probes_report(struct agent_core *core, struct sync_request *request);

/* ---- agent_sync.c */
void agent_on_reply(struct agent_core *core, struct slice bytes);
void agent_on_sync_failed(struct agent_core *core);
void agent_sync_tick(struct agent_core *core);
struct boot_ns agent_sync_due(const struct agent_core *core);
struct span_ms agent_gate_limit(const struct agent_core *core);

/* ---- agent_owner.c */
void agent_on_load(struct agent_core *core, const struct sync_node *nodes, uint32_t count);

/* ---- agent_news.c */
void agent_news_init(struct agent_core *core);
void agent_news_deinit(struct agent_core *core);
void agent_on_copied(struct agent_core *core, const struct attempt_token *token);
void agent_on_reclaims(struct agent_core *core, const struct reclaim *reclaims, uint32_t count);
/* Into the request, whose number is set. */
void agent_news_tell(struct agent_core *core, struct sync_request *request);
void agent_news_answered(struct agent_core *core, uint64_t request_seq);

static inline bool agent_is_due(const struct agent_core *core, struct boot_ns at)
{
    return !boot_is_before(core->now.boot, at);
}

#endif
