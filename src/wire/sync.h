/* The one verb between agent and server: POST /v1/agent/sync, a long poll, idempotent both ways.
 *
 * Everything is level-triggered: the agent repeats the state of each attempt until the server
 * acknowledges its end; the server repeats each command until the agent's report shows it done.
 * Losing, doubling or reordering messages only costs time. A reply answers one request
 * (`request_seq`); the agent drops a reply that does not answer its outstanding request, so an old
 * START can never be replayed. Only durations cross the wire, never clocks (usage's wall time is
 * for people).
 *
 * Encoded as JSON. Decoding is strict but for unknown fields, which are ignored, so that either
 * side may be one version ahead. */
#ifndef LQ_WIRE_SYNC_H
#define LQ_WIRE_SYNC_H

#include "base/arena.h"
#include "model/attempt.h"
#include "model/capacity.h"
#include "model/journal_change.h"
#include "model/reclaim.h"
#include "model/site.h"
#include "model/usage.h"

struct buffer;

enum {
    SYNC_PROTOCOL_NEWEST = 1,
    SYNC_PROTOCOL_OLDEST = 1,
    SYNC_BYTES_MAX = 8 << 20,
    SYNC_ATTEMPTS_MAX = 8192, /* reports in one request; the rest follows in the next */
    SYNC_COMMANDS_MAX = 1024,
    SYNC_LINKS_MAX = 256,
    SYNC_PROBES_MAX = 32,
    SYNC_PROBE_WHY_MAX = 200,
    SYNC_COPIED_MAX = 1024,
    SYNC_RECLAIMS_MAX = 256,
    SYNC_SURPLUS_BYTES_MAX = 1 << 16,
};

struct sync_attempt { /* one line of the agent's report */
    struct attempt_token token;
    enum journal_phase phase;
    enum outcome outcome; /* PHASE_ENDED, PHASE_NEVER */
    int32_t exit_code;
    struct span_ms ran;               /* since the gate was taken */
    struct span_ms since_change;      /* age of this phase */
    bool is_reclaiming;               /* notice given, inside its grace */
    struct attempt_progress progress; /* rank 0's */
};

struct sync_link {
    struct slice peer;
    int64_t rtt_us;
    int64_t bandwidth_kbps;
    struct span_ms age;
};

/* Is that node in order? Asked until it is answered; an agent that does not know the question says
 * nothing, and the node stays in quarantine. */
struct sync_probe {
    uint64_t number; /* of the site; another asking has another one */
    uint16_t node;
};
struct sync_probed {
    uint64_t number;
    bool is_good;
    struct slice why; /* a sentence when it is not */
};

struct sync_request {
    uint32_t protocol;
    struct slice agent_version;
    struct site_id site;
    struct journal_id journal;
    uint64_t epoch_seen;
    uint64_t request_seq;  /* rises with each request of one agent process */
    uint64_t challenge;    /* of the last reply that this process got; 0: none yet */
    uint64_t usage_acked;  /* what the agent believes the server has committed */
    uint64_t usage_oldest; /* oldest seq still in the journal (retention); usage_acked + 1 when none
                              older */
    bool is_inventory;     /* attempts[] is everything the journal holds, retained ones too */
    bool is_draining;
    const struct sync_attempt *attempts;
    uint32_t attempt_count;
    const struct sync_node *nodes; /* empty: unchanged since the last request */
    uint32_t node_count;
    const struct usage_record *usage; /* from usage_acked + 1 on, contiguous */
    uint32_t usage_count;
    const struct sync_link *links;
    uint32_t link_count;
    /* Ended, and no further copy of theirs will come: the last checkpoint is with the server, or
     * there is none. Told until a request that said so was answered. */
    const struct attempt_token *copied;
    uint32_t copied_count;
    const struct reclaim *reclaims; /* told in the same way */
    uint32_t reclaim_count;
    /* With an inventory: the contract of the site's owner, a JSON object as wire/surplus.h reads
     * it;
     * {}: it says nothing; empty: not told. */
    struct slice surplus;
    const struct sync_probed *probed;
    uint32_t probed_count;
};

enum sync_command_kind { SYNC_START, SYNC_REVOKE };

struct sync_command {
    enum sync_command_kind kind;
    struct attempt_token token;
    struct journal_id journal; /* the journal that the attempt was offered to */
    enum revoke_reason reason; /* REVOKE */
    struct span_ms grace;      /* REVOKE: checkpoint grace granted; 0: none */
    struct slice order; /* START: the attempt_order below, encoded; opaque to the sync layer */
};

struct sync_renewal {
    struct attempt_token token;
    struct span_ms lease;
};

struct sync_reply {
    uint32_t protocol;
    uint64_t db_epoch;
    uint64_t request_seq;
    uint64_t
        challenge; /* the agent gives it back: a request that has it was made after this reply */
    bool want_inventory;  /* send is_inventory next */
    uint64_t usage_acked; /* highest contiguous seq committed for this journal */
    const struct sync_command *commands;
    uint32_t command_count;
    const struct sync_renewal
        *renewals; /* policy lease only; each grants `lease` from the request's send time */
    uint32_t renewal_count;
    const struct attempt_token *acked; /* ends that are committed; need not be reported again */
    uint32_t acked_count;
    const struct sync_probe *probes; /* all that are under way */
    uint32_t probe_count;
    struct sync_settings {
        struct span_ms poll_hold;
        struct span_ms usage_every;
        struct span_ms retain;
        struct span_ms gate_limit;
    } settings;
};

/* What START carries: all that the site needs to run the attempt. */
struct attempt_order {
    struct attempt_token token;
    struct slice job_name;
    struct tenant_id tenant;
    struct slice spec; /* canonical JSON of the job_spec */
    uint32_t variant;
    uint32_t array_index;
    const struct rank_place *places; /* one a rank */
    uint32_t nodes;
    struct contact_terms contact;
    struct id restore; /* checkpoint artifact to start from; none: fresh */
    uint64_t restore_step;
    struct slice secret; /* attempt's own bearer secret for uploads and supervisors, base64url;
                            never logged */
};

enum err sync_request_encode(const struct sync_request *request, struct buffer *out) LQ_CHECKED;
enum err sync_request_decode(struct slice bytes, struct arena *arena, struct sync_request *out,
                             struct fault *fault) LQ_CHECKED;
enum err sync_reply_encode(const struct sync_reply *reply, struct buffer *out) LQ_CHECKED;
enum err sync_reply_decode(struct slice bytes, struct arena *arena, struct sync_reply *out,
                           struct fault *fault) LQ_CHECKED;
enum err attempt_order_encode(const struct attempt_order *order, struct buffer *out) LQ_CHECKED;
enum err attempt_order_decode(struct slice bytes, struct arena *arena, struct attempt_order *out,
                              struct fault *fault) LQ_CHECKED;

#endif
