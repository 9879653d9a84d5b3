/* A change: what one step of the server's core wants made durable, as typed conditional operations.
 *
 * A change is applied whole or not at all, in the order of submission. No SQL, no callbacks. Each
 * operation that names an expected state fails the whole change as ERR_STALE when that state does
 * not hold. The store completes each change later with one of: committed (ERR_OK), stale
 * (ERR_STALE: nothing applied), failed (ERR_FULL, ERR_IO: nothing applied; memory above must be
 * reloaded). Sequence numbers and hash chains of events and audit records are assigned by the core,
 * which is their only writer; the store checks that they follow on.
 *
 * Slices and arrays inside are owned by the batch of effects that carries the change and live until
 * it completes. */
#ifndef LQ_MODEL_CHANGE_H
#define LQ_MODEL_CHANGE_H

#include "model/attempt.h"
#include "model/reclaim.h"
#include "model/usage.h"
#include "model/utilisation.h"

/* Nouns of low rate (regions, sites, tenants, users, tokens, roles, datasets, links, policies,
 * topology settings, ...) are kept as documents: canonical JSON under (kind, id), with a version
 * for ETags. */
enum doc_kind {
    DOC_REGION,
    DOC_SITE,
    DOC_TENANT,
    DOC_USER,
    DOC_TOKEN, /* API tokens: only the hash of the secret */
    DOC_JOIN_TOKEN,
    DOC_DATASET,
    DOC_LINK,
    DOC_POLICY,
    DOC_OPERATOR,
    DOC_SITE_STATE, /* what the protocol must remember of a site: journal id, last epoch reported,
                       certificate serials */
    DOC_THROUGHPUT, /* measured, by workload */
    DOC_KIND_COUNT_
};

enum { DOC_ID_MAX = 128, DOC_BYTES_MAX = 1048576 };

struct doc {
    enum doc_kind kind;
    struct slice id;     /* unique within the kind */
    struct slice parent; /* for listing by owner: tenant id, region name, ...; may be empty */
    uint64_t version;    /* 1 at insert, +1 at each change */
    struct wall_us changed_at;
    struct slice body; /* canonical JSON */
};

enum { HASH_BYTES = 32 };
struct hash256 {
    uint8_t bytes[HASH_BYTES];
};

/* Append-only, hash-chained record of every change a principal asked for, administrators and the
 * system's own safety decisions (epoch raised, site destroyed, database regressed) included. hash =
 * SHA-256(previous hash, canonical bytes of all other fields); see audit_record_hash. */
struct audit_record {
    uint64_t seq; /* 1, 2, ... gapless */
    struct wall_us at;
    struct slice actor;   /* "user_...", "site_...", "system" */
    struct slice tenant;  /* of the subject; may be empty */
    struct slice action;  /* "job.submit", "token.revoke", ... */
    struct slice subject; /* id of what was changed */
    struct slice detail;  /* canonical JSON object */
    struct hash256 previous, hash;
};

/* What watchers see: transitions of jobs, attempts, sites. Kept up to a named limit, oldest dropped
 * first. */
struct event_record {
    uint64_t seq;
    struct wall_us at;
    struct tenant_id tenant; /* none: visible to operators of the network only */
    struct slice kind;       /* "job.pending", "attempt.running", "site.lost", ... */
    struct slice subject;    /* "job_...", ... */
    struct slice body;       /* canonical JSON object */
};

/* A checkpoint, output, log archive or uploaded folder: a manifest of content chunks. */
enum artifact_kind { ARTIFACT_WORKDIR, ARTIFACT_CHECKPOINT, ARTIFACT_OUTPUT, ARTIFACT_KIND_COUNT_ };
struct artifact_row {
    struct id id; /* text prefix "art" */
    enum artifact_kind kind;
    struct tenant_id tenant;
    struct attempt_token token; /* job none for WORKDIR */
    uint64_t step; /* order among a job's checkpoints: attempt number, then per-attempt counter */
    bool is_stale; /* came under a token that is no longer current: kept, never restored from */
    uint64_t size_bytes;
    struct slice jurisdiction; /* of the store that holds it */
    enum runtime runtime;      /* where a checkpoint may be restored */
    uint32_t world_size;
    struct slice manifest; /* canonical JSON: files, modes, chunk hashes */
    struct wall_us created_at;
};

enum change_kind {
    CHANGE_EPOCH_EXPECT, /* db_epoch must be `epoch`; the first operation of every change */
    CHANGE_EPOCH_RAISE,  /* from `epoch` to epoch + 1 */
    CHANGE_SPEC_INSERT,
    CHANGE_JOB_INSERT,
    CHANGE_JOB_UPDATE, /* WHERE id, version = row.version - 1, state = expect_state, attempt =
                          expect_attempt */
    CHANGE_ATTEMPT_INSERT,
    CHANGE_ATTEMPT_UPDATE, /* WHERE token, version = row.version - 1, state = expect_state */
    CHANGE_USAGE_INSERT,   /* same key and bytes: no-op; same key, other bytes: kept in quarantine,
                              counted in the result */
    CHANGE_WATERMARK_SET,  /* (site, journal): from expect to seq; inserts when expect is 0 */
    CHANGE_DOC_PUT,        /* expect_version 0: must not exist; else must be that version */
    CHANGE_DOC_DELETE,
    CHANGE_ARTIFACT_INSERT,
    CHANGE_AUDIT_APPEND,
    CHANGE_EVENT_APPEND,
    CHANGE_IDEMPOTENCY_INSERT,
    CHANGE_RECLAIM_PUT,     /* (site, name): inserts; one that is open is brought up to date */
    CHANGE_UTILISATION_ADD, /* to the rows of every resolution that `start` falls into, which are
                               made when missing; rows past their time go, a slice at a time */
    CHANGE_KIND_COUNT_
};

struct change_op {
    enum change_kind kind;
    union {
        struct {
            uint64_t epoch;
        } epoch;
        struct {
            struct spec_id id;
            struct slice body;
        } spec; /* canonical JSON of a job_spec */
        struct {
            struct job_row row;
            enum job_state expect_state;
            uint32_t expect_attempt;
        } job;
        struct {
            struct attempt_row row;
            enum attempt_state expect_state;
            struct slice places;
        } attempt; /* places: JSON, at insert */
        struct usage_record usage;
        struct {
            struct site_id site;
            struct journal_id journal;
            uint64_t expect, seq;
        } watermark;
        struct {
            struct doc doc;
            uint64_t expect_version;
        } doc;
        struct artifact_row artifact;
        struct audit_record audit;
        struct event_record event;
        struct {
            struct slice scope, key;
            struct hash256 request;
            uint32_t status;
            struct slice response;
            struct wall_us expires_at;
        } idempotency;
        struct {
            struct site_id site;
            struct reclaim value;
        } reclaim;
        struct {
            struct site_id site;
            struct wall_us start; /* of a minute */
            const struct util_cell *cells;
            uint32_t count;
        } utilisation;
    };
};

enum { CHANGE_OPS_MAX = 65536 };

struct change {
    const struct change_op *ops;
    size_t count;
};

/* Over every field but `hash`; the caller stores the result in `hash`. */
void audit_record_hash(const struct audit_record *record, struct hash256 *out);
const char *doc_kind_name(enum doc_kind kind);
const char *artifact_kind_name(enum artifact_kind kind);

#endif
