/* Messages between `lq supervise` on a node and its agent: one JSON object a line, over a unix
 * socket (host sites) or TCP with the attempt's secret. Any may be lost or doubled; requests are
 * repeated until answered. */
#ifndef LQ_WIRE_GATE_H
#define LQ_WIRE_GATE_H

#include "base/arena.h"
#include "model/attempt.h"

struct buffer;

enum { GATE_LINE_MAX = 16384 };

enum gate_kind {
    GATE_ASK,    /* supervisor: may I execute? repeated until GO or REFUSE */
    GATE_RENEW,  /* supervisor: I am alive; carries running time; asks for lease and orders */
    GATE_EXIT,   /* supervisor: all my processes are gone; repeated until CLOSE */
    GATE_GO,     /* agent: the gate is yours, durably */
    GATE_WAIT,   /* agent: not yet (other ranks, or no word from the journal) */
    GATE_REFUSE, /* agent: never; exit without executing */
    GATE_LEASE,  /* agent: answer to RENEW */
    GATE_KILL,   /* agent: stop the program; grace as said; answered by EXIT */
    GATE_CLOSE,  /* agent: your EXIT is durable; go */
    GATE_KIND_COUNT_
};

struct gate_message {
    enum gate_kind kind;
    struct attempt_token token;
    uint32_t rank;
    uint64_t incarnation; /* nonce of one engine launch; the same for all ranks of it */
    uint64_t seq;         /* of the supervisor's request; answers carry it back */
    struct slice secret;  /* supervisor's messages */
    struct span_ms lease; /* GO, LEASE: remaining, to be anchored at the send time of request `seq`;
                             <0: no extension; 0 never sent */
    bool has_lease;       /* false under policy strict: run without end */
    enum revoke_reason reason;        /* KILL */
    struct span_ms grace;             /* KILL */
    struct span_ms ran;               /* RENEW, EXIT: since GO */
    struct span_ms gate_wait;         /* RENEW, EXIT: native start to GO */
    struct span_ms kill_wait;         /* EXIT: kill ordered to last process gone */
    int64_t cpu_ms;                   /* RENEW, EXIT: processor time so far */
    struct attempt_progress progress; /* RENEW, EXIT */
    enum outcome outcome;             /* EXIT */
    int32_t exit_code;                /* EXIT */
};

enum err gate_message_encode(const struct gate_message *message,
                             struct buffer *out) LQ_CHECKED; /* ends with '\n' */
enum err gate_message_decode(struct slice line, struct arena *arena, struct gate_message *out,
                             struct fault *fault) LQ_CHECKED;

#endif
