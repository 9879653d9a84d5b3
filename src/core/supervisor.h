/* The supervisor's state machine: one a rank of an attempt, beside the program on its node. Pure,
 * no durable state of its own; its end record is written by the shell (effect) before EXIT is sent.
 *
 *      ASKING ──GO──► RUNNING ────child gone────► REPORTING ──► DONE
 *       │  │             │                          ▲   ▲   CLOSE, give up
 *       │  │             └► STOPPING ─► KILLING ────┘   │
 *       │  │                (signal)    (repeated)      │
 *       │  └── gate limit, KILL, STOP: never executed ──┘
 *       └───── REFUSE: never executed ─────────────────────► DONE
 *
 * STOPPING begins by KILL, STOP, the time limit, or a lease near its end.
 *
 * Invariants: the program is executed at most once, only after GO for our own incarnation; under a
 * lease the kill is complete before `deadline` by this node's boot clock; EXIT is sent only when
 * every process of the rank is gone. */
#ifndef LQ_CORE_SUPERVISOR_H
#define LQ_CORE_SUPERVISOR_H

#include "core/rules.h"
#include "wire/gate.h"

enum supervisor_state {
    SUPERVISOR_ASKING,
    SUPERVISOR_RUNNING,
    SUPERVISOR_STOPPING,
    SUPERVISOR_KILLING,
    SUPERVISOR_REPORTING,
    SUPERVISOR_DONE
};

struct supervisor_settings {
    struct attempt_token token;
    uint32_t rank;
    uint64_t incarnation;
    struct contact_terms contact;
    struct span_ms ask_every, renew_every, report_every;
    struct span_ms gate_limit; /* asking without GO for this long: exit without executing */
    struct span_ms time_limit; /* of the program; 0: none */
    struct span_ms stop_grace; /* default grace between signal and kill */
    struct span_ms kill_time;  /* a kill takes at most this; the lease's margin */
    struct span_ms
        report_limit;    /* give up reporting EXIT after this (the end record stays on disk) */
    int32_t stop_signal; /* 0: SIGTERM */
};

struct supervisor { /* plain memory, fixed size; treat as opaque */
    const struct protocol_rules *rules;
    struct supervisor_settings settings;
    enum supervisor_state state;
    struct boot_ns born_at, gate_taken_at, program_gone_at, kill_ordered_at, next_send_at, deadline,
        kill_at, limit_at;
    struct attempt_progress progress;
    uint64_t send_seq;
    struct {
        uint64_t seq;
        struct boot_ns at;
    } sent[16]; /* ring: when request `seq` left, for anchoring */
    enum outcome outcome;
    int32_t exit_code;
    int64_t cpu_ms;
    enum revoke_reason kill_reason;
};

enum supervisor_event_kind {
    SUPERVISOR_BEGIN,
    SUPERVISOR_TICK,
    SUPERVISOR_MESSAGE,     /* from the agent */
    SUPERVISOR_CHILD_GONE,  /* every process of the rank is gone; exit code, outcome if the shell
                               knows better (oom) */
    SUPERVISOR_EXEC_FAILED, /* the sandbox could not be made */
    SUPERVISOR_STOP, /* the engine or the node's operator asks us to end (SIGTERM to the supervisor)
                      */
};

struct supervisor_event {
    enum supervisor_event_kind kind;
    const struct gate_message *message;
    int32_t exit_code;
    enum outcome outcome; /* OUTCOME_NONE: judge by the exit code */
    int64_t cpu_ms;
    struct attempt_progress progress;
};

enum { SUPERVISOR_ACTIONS_MAX = 4 };
enum supervisor_action_kind {
    SUPERVISE_SEND,
    SUPERVISE_EXEC,
    SUPERVISE_SIGNAL,
    SUPERVISE_KILL_TREE,
    SUPERVISE_WRITE_END,
    SUPERVISE_QUIT
};
struct supervisor_action {
    enum supervisor_action_kind kind;
    struct gate_message
        message;    /* SEND (secret is added by the shell); WRITE_END: the EXIT message to keep */
    int32_t signal; /* SIGNAL */
};
struct supervisor_effects {
    struct supervisor_action actions[SUPERVISOR_ACTIONS_MAX];
    uint32_t count;
};

void supervisor_init(struct supervisor *supervisor, const struct protocol_rules *rules,
                     const struct supervisor_settings *settings, struct now now);
void supervisor_step(struct supervisor *supervisor, const struct supervisor_event *event,
                     struct now now, struct supervisor_effects *effects);
struct boot_ns supervisor_due(const struct supervisor *supervisor);

#endif
