/* An attempt: one try of a job at one site. At most one attempt of a job runs at a time
 * (docs/protocol.md
 * section 4).
 *
 * Server's view, state machine (attempt_can_move holds the table):
 *
 *      OFFERED ──► RUNNING ──► ENDED          OFFERED, RUNNING ◄──► UNKNOWN
 *         │  └────────────────►  ▲            UNKNOWN ──► ENDED, NEVER (same journal only),
 * EXPIRED, DESTROYED ├──► NEVER             │            OFFERED, RUNNING ──► EXPIRED (policy
 * lease), DESTROYED (operator) └──► ENDED ────────────┘            ENDED, NEVER, EXPIRED, DESTROYED
 * are final
 *
 * Invariants (attempt_row_check):
 *  1. (epoch, job, number) is the token; it never changes and is never used twice.
 *  2. NEVER only when the reporting journal is the one the attempt was offered to, and never after
 * RUNNING.
 *  3. EXPIRED only under policy lease. DESTROYED only with an operator's signed order in the audit
 * log.
 *  4. a final state never changes. */
#ifndef LQ_MODEL_ATTEMPT_H
#define LQ_MODEL_ATTEMPT_H

#include "model/job.h"

struct attempt_token {
    uint64_t epoch; /* db_epoch at dispatch */
    struct job_id job;
    uint32_t number; /* 1, 2, ... within the job */
};

enum attempt_state {
    ATTEMPT_OFFERED,
    ATTEMPT_RUNNING,
    ATTEMPT_UNKNOWN,
    ATTEMPT_ENDED,
    ATTEMPT_NEVER,
    ATTEMPT_EXPIRED,
    ATTEMPT_DESTROYED,
    ATTEMPT_STATE_COUNT_
};

/* Why an attempt ended, as its site tells it. */
enum outcome {
    OUTCOME_NONE,
    OUTCOME_SUCCEEDED,     /* every rank exited 0 */
    OUTCOME_PROGRAM_ERROR, /* a rank exited non-zero or died of a signal of its own making */
    OUTCOME_OUT_OF_MEMORY,
    OUTCOME_TIME_LIMIT,
    OUTCOME_REVOKED,         /* killed on the server's order (cancel, preempt, drain, not needed) */
    OUTCOME_PREEMPTED,       /* the owner's work or the site's drain took the place */
    OUTCOME_LEASE_LOST,      /* killed by its supervisor before the lease's end */
    OUTCOME_NODE_LOST,       /* a node or supervisor vanished */
    OUTCOME_GATE_TIMEOUT,    /* not all ranks came to the gate in time */
    OUTCOME_BAD_ENVIRONMENT, /* sandbox, image, workdir or device could not be set up */
    OUTCOME_JOURNAL_LOST, /* the site lost its journal; confirmed that nothing of the attempt runs
                           */
    OUTCOME_REFUSED,      /* the agent would not take it (no such capacity, unsupported) */
    OUTCOME_COUNT_
};

enum revoke_reason {
    REVOKE_NONE,
    REVOKE_CANCELLED,
    REVOKE_NOT_STARTED, /* offered, but not started within the stated time */
    REVOKE_PREEMPTED,
    REVOKE_DRAIN,
    REVOKE_SUPERSEDED, /* the server does not hold this token as current */
    REVOKE_BUDGET,
    REVOKE_REASON_COUNT_
};

struct attempt_row {
    struct attempt_token token;
    struct site_id site;
    struct journal_id journal; /* the site's journal that it was offered to */
    enum attempt_state state;
    enum revoke_reason revoke; /* set once; the site is told until it answers */
    enum outcome outcome;
    int32_t exit_code; /* first failing rank's, 128+signal for signals; -1: none */
    uint32_t variant;  /* index into the spec's variants */
    uint32_t nodes;    /* ranks */
    struct contact_terms {
        enum contact_policy policy;
        struct span_ms lease;
    } contact;
    struct money ask_per_hour;                       /* quoted at dispatch for the whole gang */
    struct wall_us offered_at, started_at, ended_at; /* 0: not yet */
    struct span_ms ran; /* metered: gate taken to last exit, as the site measured */
    uint64_t version;
};

/* One rank's place at a site: which node and which of its devices. */
enum { RANK_DEVICES_MAX = 16 };
struct rank_place {
    uint16_t node; /* index into the site's node list (struct site) */
    uint8_t device_count;
    uint8_t devices[RANK_DEVICES_MAX]; /* ascending */
};

/* How far a program says that it is, in units of its own. */
struct attempt_progress {
    uint64_t value;      /* its last word; 0: none */
    uint64_t units;      /* done in this attempt since its first word */
    struct span_ms over; /* from the first word to the last */
};
#define ATTEMPT_PROGRESS_MAX (UINT64_C(1) << 53)

/* "1200\n": digits, then the end of the text or of the line. ERR_INVALID, also past
 * ATTEMPT_PROGRESS_MAX. */
enum err attempt_progress_parse(struct slice text, uint64_t *out) LQ_CHECKED;
/* What is said replaces what was known if it is further on; else nothing changes. */
void attempt_progress_take(struct attempt_progress *known, const struct attempt_progress *said);

enum { ATTEMPT_NAME_MAX = 80 };
/* Deterministic native name at an engine: "lq-<epoch>-<job's 26 characters>-<number>". Safe as
 * file, process and Slurm job name. */
void attempt_name_format(const struct attempt_token *token, char out[ATTEMPT_NAME_MAX]);
enum err attempt_name_parse(struct slice name, struct attempt_token *out) LQ_CHECKED;

bool attempt_token_is_equal(const struct attempt_token *a, const struct attempt_token *b);
int attempt_token_compare(const struct attempt_token *a, const struct attempt_token *b);

const char *attempt_state_name(enum attempt_state state);
const char *outcome_name(enum outcome outcome);
const char *revoke_name(enum revoke_reason reason);
enum err attempt_state_parse(struct slice text, enum attempt_state *out) LQ_CHECKED;
enum err outcome_parse(struct slice text, enum outcome *out) LQ_CHECKED;
enum err revoke_parse(struct slice text, enum revoke_reason *out) LQ_CHECKED;
bool attempt_state_is_final(enum attempt_state state);
bool attempt_can_move(enum attempt_state from, enum attempt_state to);
enum err attempt_row_check(const struct attempt_row *row, struct fault *fault) LQ_CHECKED;
/* What a final row means for its job (model/failure.h); FAILURE_NONE for one that is not final. */
enum failure_class attempt_failure(const struct attempt_row *row);

#endif
