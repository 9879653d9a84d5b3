/* The rules of docs/protocol.md as switches, so that the fault simulator can break each one and
 * show that it is then caught. Release code uses PROTOCOL_RULES_ALL only; a core takes a pointer at
 * creation. true = the rule stands. */
#ifndef LQ_CORE_RULES_H
#define LQ_CORE_RULES_H

#include <stdbool.h>

struct protocol_rules {
    bool gate_is_exclusive;       /* a claim is taken once, by one incarnation */
    bool gate_is_durable_first;   /* GO leaves only after the journal has committed the claim */
    bool tombstone_on_revoke;     /* REVOKE of a free claim closes it before NEVER is answered */
    bool end_needs_every_rank;    /* ENDED only when each rank of a gang has confirmed */
    bool epoch_fences_commands;   /* the agent refuses commands of an older epoch; a server that
                                     hears of a later one gives no more */
    bool restore_raises_epoch;    /* a restored database starts with a higher epoch */
    bool restore_waits_for_sites; /* after a restore a job waits until every site has sent its
                                     inventory */
    bool lease_waits_for_drift;   /* the server waits L(1+r)/(1-r) plus kill time, not L */
    bool lease_anchored_at_send;  /* leases run from the request's send time, not from the reply's
                                     arrival */
    bool lease_restarts_with_leader; /* a new server process waits a full L for every lease attempt
                                      */
    bool strict_never_expires;       /* strict attempts are not replaced for silence */
    bool journal_loss_is_unknown;    /* a site with a new journal may not answer NEVER for an older
                                        attempt */
    bool lookup_before_resubmit;  /* after a crash or timeout the engine is asked by name first */
    bool intent_before_submit;    /* the journal holds the intent before the engine is called */
    bool usage_ack_is_contiguous; /* the watermark never jumps over a gap */
    bool usage_ack_after_commit;  /* acknowledged only after the store has committed */
    bool usage_keeps_key;         /* a record that comes twice is stored once */
    bool reply_matches_request;   /* the agent drops replies to requests it no longer waits for */
    bool end_before_next; /* the next attempt waits for ENDED, NEVER, EXPIRED or DESTROYED */
    bool stale_effects_are_refused; /* effects of an old token do not count as the job's */
};

extern const struct protocol_rules PROTOCOL_RULES_ALL;

#endif
