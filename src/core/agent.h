/* The agent's state machine: one a site. Pure. Same discipline as core/server.h: a step changes
 * memory at once, its journal_change is made durable, and its outputs (engine calls, answers to
 * supervisors, sync requests) leave only after that commit. When the journal fails, the shell drops
 * the core, reloads from the journal, and tries again when writing works.
 *
 * What it holds in memory beside the journal's rows is guesswork that may be lost at any time: who
 * asked at the gate, when an engine call left, when a lease was last renewed. Out of memory ends
 * the process: the journal has all that was promised.
 *
 * Invariants
 *  1. A claim leaves FREE once. GO is said to the ranks of `holder` only, in or after the change
 * that set it.
 *  2. NEVER is said only with the claim a durable tombstone; ENDED only with every rank confirmed.
 *  3. The engine is asked to start a name only when the journal holds the intent, and not again
 * before the name was looked up.
 *  4. Usage seq is gapless; an attempt's last record is in the same change as its end.
 *  5. One engine call is under way for an attempt at a time. */
#ifndef LQ_CORE_AGENT_H
#define LQ_CORE_AGENT_H

#include "base/arena.h"
#include "core/rules.h"
#include "model/journal_change.h"
#include "model/site.h"
#include "wire/gate.h"
#include "wire/sync.h"

struct agent_core;

struct agent_settings {
    struct span_ms sync_retry_min, sync_retry_max; /* back-off after a failed sync */
    struct span_ms sync_timeout;                   /* give up waiting for a reply */
    struct span_ms engine_retry;                   /* between engine calls for one attempt */
    struct span_ms engine_poll;                    /* between inspections of running attempts */
    struct span_ms gate_limit; /* all ranks must come within this; the server's word goes first */
    struct span_ms ask_fresh;  /* an ASK older than this no longer counts; 0: no limit */
    struct span_ms kill_time;  /* a supervisor's kill takes at most this; the lease's margin */
    uint32_t attempts_max;     /* live ones, at most AGENT_LIVE_MAX; more STARTs are refused */
    struct slice version;      /* of this program */
    /* What its owner's load leaves must last so long below what the pool holds before work goes; 0:
     * a site that gives no way by itself. Then what is given and promised. */
    struct span_ms owner_patience, owner_grace, owner_promise;
    struct slice surplus; /* the owner's contract, canonical JSON; empty: not told */
};

/* Acknowledged ends are kept for a restored server, the oldest go first. Together with the live
 * ones they fit into one inventory. */
/* Reclaims that the server has not kept yet; beyond that the oldest go. */
enum { AGENT_RECLAIMS_MAX = 4096 };
enum { AGENT_RETAINED_MAX = 4096, AGENT_LIVE_MAX = SYNC_ATTEMPTS_MAX - AGENT_RETAINED_MAX };

/* `site` and `settings` are copied. The seed must differ from start to start: request numbers and
 * the journal's id come from it. */
struct agent_core *agent_core_create(const struct protocol_rules *rules,
                                     const struct agent_settings *settings, const struct site *site,
                                     uint64_t random_seed);
void agent_core_destroy(struct agent_core *core);
/* Rows from the journal, then AGENT_BOOT. */
enum err agent_core_load_meta(struct agent_core *core, const struct journal_meta *meta) LQ_CHECKED;
enum err agent_core_load_attempt(struct agent_core *core,
                                 const struct journal_attempt *attempt) LQ_CHECKED;
/* Unacknowledged ones, in order; what passes a named window is read again when it is needed. */
enum err agent_core_load_usage(struct agent_core *core,
                               const struct usage_record *record) LQ_CHECKED;

enum agent_event_kind {
    AGENT_BOOT, /* after loading: reconcile every live attempt with the engine by name */
    AGENT_TICK,
    AGENT_SYNC_REPLY,   /* bytes of a reply */
    AGENT_SYNC_FAILED,  /* connection, timeout or HTTP error of request_seq */
    AGENT_GATE,         /* a message from a supervisor */
    AGENT_ENGINE_DONE,  /* the engine's answer to a call */
    AGENT_CAPACITY,     /* nodes as measured now */
    AGENT_LINKS,        /* link measurements */
    AGENT_DRAIN,        /* the operator's local word: take nothing new; `flag` false: resume */
    AGENT_USAGE,        /* the answer to AGENT_READ_USAGE: records with seq > after, in order */
    AGENT_ENGINE_NAMES, /* the answer to AGENT_LIST_ENGINE */
    AGENT_COPIED,       /* of an ended attempt: no further copy will come; told again after a
                           restart */
    AGENT_RECLAIMS,     /* what reclaims cost the site's owner; the same name again goes on it */
    AGENT_LOAD,         /* a host's nodes, less what others use: work gives way */
    AGENT_CLEAR,        /* its owner wants nodes: all that has a place there yields */
    AGENT_YIELD,        /* the site's owner wants its place: ended with notice, as preempted */
    AGENT_PROBED,       /* the answer to AGENT_PROBE */
    AGENT_EVENT_KIND_COUNT_
};

enum engine_call { ENGINE_SUBMIT, ENGINE_INSPECT, ENGINE_KILL };
enum engine_answer {
    ENGINE_ACCEPTED, /* SUBMIT: the engine took it under the name */
    ENGINE_UNSURE,   /* SUBMIT, KILL: timed out or failed half-way; it may run */
    ENGINE_REJECTED, /* SUBMIT: certain that nothing was started; outcome says why */
    ENGINE_ABSENT,   /* INSPECT, KILL: nothing of that name runs, and there is no end record. A
                        promise   for all that passed the gate; a late start that has yet to ask is
                        stopped   there */
    ENGINE_PRESENT,  /* INSPECT: of that name something waits or runs; `ranks` may name ranks that
                        are  certainly gone */
    ENGINE_ENDED,    /* INSPECT: all ranks of every launch of that name are gone; `ranks` is the end
                        record of launch `incarnation` */
};

struct engine_rank_end {
    bool is_known;
    enum outcome outcome;
    int32_t exit_code;
    struct span_ms ran, gate_wait, kill_wait;
    int64_t cpu_ms;
    struct attempt_progress progress;
};

struct agent_event {
    enum agent_event_kind kind;
    union {
        struct {
            struct slice bytes;
        } sync_reply;
        struct {
            uint64_t request_seq;
        } sync_failed;
        struct {
            struct gate_message message;
        } gate;
        struct {
            enum engine_call call;
            struct attempt_token token;
            enum engine_answer answer;
            enum outcome outcome;
            uint64_t incarnation; /* PRESENT, ENDED: of the launch found, 0 when not known */
            const struct engine_rank_end *ranks;
            uint32_t rank_count; /* ENDED, PRESENT */
        } engine;
        struct {
            const struct sync_node *nodes;
            uint32_t count;
        } capacity, load;
        struct {
            const struct sync_link *links;
            uint32_t count;
        } links;
        struct {
            bool flag;
        } drain;
        struct {
            uint64_t after;
            const struct usage_record *records;
            uint32_t count; /* less than USAGE_BATCH_MAX: there are no more */
        } usage;
        struct {
            struct attempt_token token;
        } copied;
        struct {
            const struct reclaim *reclaims; /* each passes reclaim_check */
            uint32_t count;
        } reclaims;
        struct {
            struct attempt_token token;
            struct span_ms grace;
        } yield;
        struct sync_probed probed;
        struct {
            const bool *nodes; /* one each, in the site's order */
            uint32_t count;
            struct span_ms grace;
        } clear;
        struct {
            bool is_known; /* false: the engine did not answer; it will be asked again */
            const struct attempt_token *tokens;
            uint32_t count;
        } names;
    };
};

enum agent_output_kind {
    AGENT_SEND_SYNC, /* bytes: encoded sync_request number request_seq; replaces an outstanding one
                      */
    AGENT_SEND_GATE, /* message to the supervisor (token, rank, incarnation), if it is connected */
    AGENT_CALL_ENGINE,   /* call for token; `order` for SUBMIT */
    AGENT_ATTEMPT_ENDED, /* all ranks gone and durable: the shell finishes logs, outputs, scratch */
    AGENT_STALE_SERVER,  /* a reply of an older epoch came: alarm */
    /* Find every name of ours at the engine of which something may live (more does no harm), and
     * give them back as AGENT_ENGINE_NAMES. No inventory leaves before: a journal that was lost
     * knows nothing of what it had started, and a restored server may not either. */
    AGENT_LIST_ENGINE,
    AGENT_PROBE,      /* is that node in order? Try, and say so as AGENT_PROBED */
    AGENT_READ_USAGE, /* read the journal's records with seq > after, at most USAGE_BATCH_MAX, and
                         give them back as AGENT_USAGE */
};

struct agent_output {
    enum agent_output_kind kind;
    struct attempt_token token;
    uint32_t rank;
    uint64_t request_seq;
    struct slice bytes;
    struct gate_message gate;
    enum engine_call call;
    uint64_t incarnation; /* INSPECT: whose end record is wanted first; 0: any */
    struct slice order;   /* encoded attempt_order */
    uint64_t after;       /* READ_USAGE */
    enum outcome outcome;
    struct sync_probe probe;
};

struct agent_effects {
    struct arena arena;
    struct journal_change change;
    const struct agent_output *outputs;
    size_t output_count;
};

void agent_effects_init(struct agent_effects *effects);
void agent_effects_deinit(struct agent_effects *effects);
void agent_core_step(struct agent_core *core, const struct agent_event *event, struct now now,
                     struct agent_effects *effects);
struct boot_ns agent_core_due(const struct agent_core *core);

struct agent_counts {
    uint32_t live, running, ended_unacked;
    uint64_t usage_unacked;
    bool is_connected;
    uint64_t epoch_seen;
};
struct agent_counts agent_core_counts(const struct agent_core *core);

#endif
