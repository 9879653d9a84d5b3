/* What one step of the agent's core wants made durable in the site's journal, and what the journal
 * gives back at start. Same rules as model/change.h: whole or not at all, in order, completed
 * later. */
#ifndef LQ_MODEL_JOURNAL_CHANGE_H
#define LQ_MODEL_JOURNAL_CHANGE_H

#include "model/attempt.h"
#include "model/usage.h"

/* The start gate's cell of one rank. FREE -> TAKEN or FREE -> TOMBSTONE; nothing ever leaves TAKEN
 * or TOMBSTONE. */
enum claim { CLAIM_FREE, CLAIM_TAKEN, CLAIM_TOMBSTONE, CLAIM_COUNT_ };

enum journal_phase {
    PHASE_INTENT, /* accepted; the engine has been, or is about to be, asked to start it */
    PHASE_TAKEN,  /* the gate is taken by all ranks; the program may run */
    PHASE_ENDED,  /* every rank confirmed; outcome is final */
    PHASE_NEVER,  /* tombstoned before any rank took the gate */
    PHASE_COUNT_
};

struct journal_attempt {
    struct attempt_token token;
    enum journal_phase phase;
    enum claim claim; /* all ranks take the gate in one transaction, so one cell serves the gang */
    uint32_t nodes;
    uint64_t holder; /* nonce of the incarnation (set of supervisors) that took the gate */
    enum revoke_reason revoke;
    enum outcome outcome;
    int32_t exit_code;
    struct contact_terms contact;
    struct usage_quantities total; /* last recorded running totals */
    struct span_ms ran;
    bool is_acked; /* the server has stored the end; kept for the retention time all the same */
    struct wall_us changed_at;
    struct slice order; /* the START command's bytes: spec, places, envs; fixed at insert */
    uint64_t rank_ended[(JOB_NODES_MAX + 63) / 64]; /* ranks whose end is confirmed */
};

struct journal_meta {
    struct journal_id id; /* made when the journal is made; a lost journal gets a new one */
    struct site_id site;
    uint64_t epoch_seen;  /* highest db_epoch ever seen; older commands are refused */
    uint64_t usage_seq;   /* last seq given out */
    uint64_t usage_acked; /* highest contiguous seq that the server has committed */
};

enum journal_change_kind {
    JOURNAL_META_SET,
    JOURNAL_ATTEMPT_INSERT, /* must not exist */
    JOURNAL_ATTEMPT_UPDATE, /* must exist; `order` is left alone */
    JOURNAL_ATTEMPT_FORGET, /* acked and older than the retention time */
    JOURNAL_USAGE_APPEND,   /* seq must be last + 1 */
    JOURNAL_USAGE_PRUNE,    /* all seq <= `prune_to`; never past usage_acked */
    JOURNAL_CHANGE_KIND_COUNT_
};

struct journal_op {
    enum journal_change_kind kind;
    union {
        struct journal_meta meta;
        struct journal_attempt attempt;
        struct attempt_token forget;
        struct usage_record usage;
        uint64_t prune_to;
    };
};

struct journal_change {
    const struct journal_op *ops;
    size_t count;
};

#endif
