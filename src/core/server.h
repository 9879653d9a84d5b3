/* The server's state machine. Pure: step(state, event, now, effects). One thread owns it.
 *
 * It holds in memory what is alive: unfinished jobs, their attempts, sites, tenants, and the
 * placement engine. A step changes memory at once and describes in `effects` (a) one typed change
 * to be made durable and (b) outputs that may leave only when that change is committed. The shell
 * hands changes to the store in order and releases outputs in order. When a change fails or is
 * stale, the shell drops the core and all unreleased outputs (answering their requests with "try
 * again"), reloads a new core from the store, and goes on: memory is never ahead of what was
 * promised.
 *
 * Invariants: every transition passes job_can_move/attempt_can_move and the row checks; every
 * CHANGE_* begins with CHANGE_EPOCH_EXPECT. */
#ifndef LQ_CORE_SERVER_H
#define LQ_CORE_SERVER_H

#include "base/arena.h"
#include "core/rules.h"
#include "model/account.h"
#include "model/catalogue.h"
#include "model/change.h"
#include "model/site.h"
#include "place/place.h"
#include "wire/sync.h"

struct server_core;

struct server_settings {
    struct span_ms lease_floor;     /* smallest L a job may ask for; default 15 min */
    uint32_t clock_drift_per_mille; /* r of the lease formula; default 100 (10 %): clocks wrong by
                                       more are refused by docs */
    struct span_ms kill_time;       /* a supervisor's kill takes at most this */
    struct span_ms start_limit;     /* offered but not started: revoked */
    struct span_ms site_lost_after; /* no sync for this long: the site counts as lost */
    struct span_ms poll_hold;       /* longest long poll */
    struct span_ms usage_every;
    struct span_ms retain; /* how long sites keep acknowledged ends and records, for restores */
    struct span_ms gate_limit;
    uint32_t jobs_live_max;            /* unfinished jobs held; more are refused with ERR_LIMIT */
    uint8_t secret_key[32];            /* the server's own; attempts' secrets are derived from it */
    const struct catalogue *catalogue; /* outlives the core; NULL: none */
};
/* A DOC_POLICY that stands outranks lease_floor, start_limit, site_lost_after and usage_every;
 * kill_time and the drift are the larger of both. */

/* ---- loading: rows from the store, then server_core_start. A restored database is told by
 * `is_restored`. */
struct server_core *server_core_create(const struct protocol_rules *rules,
                                       const struct server_settings *settings,
                                       uint64_t random_seed);
void server_core_destroy(struct server_core *core);
enum err server_core_load_meta(struct server_core *core, uint64_t db_epoch, uint64_t audit_seq,
                               const struct hash256 *audit_hash, uint64_t event_seq) LQ_CHECKED;
enum err server_core_load_doc(struct server_core *core, const struct doc *doc,
                              struct fault *fault) LQ_CHECKED;
enum err server_core_load_spec(struct server_core *core, struct spec_id id, struct slice body,
                               struct fault *fault) LQ_CHECKED;
enum err server_core_load_job(struct server_core *core, const struct job_row *row) LQ_CHECKED;
enum err server_core_load_attempt(struct server_core *core, const struct attempt_row *row,
                                  struct slice places) LQ_CHECKED;
enum err server_core_load_watermark(struct server_core *core, struct site_id site,
                                    struct journal_id journal, uint64_t seq) LQ_CHECKED;
/* An attempt that has ended, of a live job: it has spent of the job's budget. */
void server_core_load_ended(struct server_core *core, const struct attempt_row *row);
/* Of live jobs; others are ignored. */
enum err server_core_load_checkpoint(struct server_core *core,
                                     const struct artifact_row *newest) LQ_CHECKED;

/* ---- events */
struct server_principal { /* who asks; made by the shell from a checked token or certificate */
    struct user_id user;  /* none for agents and the system */
    struct tenant_id tenant;
    struct site_id site; /* agents */
    struct slice actor;  /* for the audit log */
};

enum server_event_kind {
    SERVER_START,     /* after loading; is_restored raises the epoch */
    SERVER_TICK,      /* due timers, see server_core_due */
    SERVER_PLACE,     /* go on placing; posted again by the shell while effects say more_work */
    SERVER_SYNC,      /* a site's request */
    SERVER_SYNC_GONE, /* the connection of a held poll closed */
    SERVER_SUBMIT,    /* one or more jobs of one request, all or nothing */
    SERVER_CANCEL,    /* of a live job; the shell answers for ended ones from the store */
    SERVER_RETRY,     /* a failed or cancelled job runs again as a new attempt of the same job; the
                         event     carries what the store has of it */
    SERVER_DOC_PUT,
    SERVER_DOC_DELETE,
    SERVER_SITE_DRAIN,      /* `flag` false: resume */
    SERVER_SITE_QUARANTINE, /* of `node`, or of the whole site; `flag` false: let it back */
    SERVER_SITE_DESTROYED,  /* the operator's signed word that nothing of the site runs any more */
    SERVER_ARTIFACT,        /* a checkpoint, output or workdir is complete in the store */
    SERVER_USAGE_CONFLICT,  /* a committed change reported usage_conflicts: alarm and audit */
    SERVER_EVENT_KIND_COUNT_
};

struct server_idempotency {
    struct slice scope, key;
    struct hash256 request;
    struct wall_us expires_at;
    bool is_set;
};

struct server_event {
    enum server_event_kind kind;
    uint64_t handle; /* of the waiting request; comes back in OUTPUT_*; 0: nobody waits */
    const struct server_principal *principal;
    struct server_idempotency idempotency;
    union {
        struct {
            bool is_restored;
        } start;
        const struct sync_request *sync; /* site already authenticated to equal sync->site */
        struct {
            const struct job_spec *const *specs;
            const struct slice *bodies;
            size_t count;
            struct tenant_id tenant;
        } submit;
        struct {
            struct job_id job;
            uint64_t expect_version;
        } job; /* CANCEL; 0: any version */
        struct {
            struct job_row row;                    /* as the store has it */
            struct slice spec;                     /* its spec's body */
            const struct artifact_row *checkpoint; /* newest that is not stale; NULL: none */
            const struct attempt_row *attempts;    /* all that it has had */
            size_t attempt_count;
            uint64_t expect_version; /* 0: any */
        } retry;
        /* PUT: id, parent and body are taken, the core sets version and changed_at and writes the
         * body anew in canonical form. A site's `state` is kept (SITE_DRAIN changes it). Of a
         * DOC_SITE_STATE only the certificates are taken; the rest is the core's own. */
        struct {
            struct doc doc;
            uint64_t expect_version; /* 0: must not exist yet */
            bool is_any_version;
            const char *action; /* for the audit log: "token.revoke", ... */
            struct slice reply; /* the answer's body; empty: the noun as the API shows it */
        } doc;
        struct {
            struct site_id site;
            bool flag;
            struct slice node; /* QUARANTINE; empty: the whole site */
            struct slice reason;
        } site;
        /* `step` of a CHECKPOINT: the attempt's own counter (1, 2, ...); the core puts the
         * attempt's number above it. The token has been proven by the attempt's secret.
         * `artifact_job`: the row from the store when the job is not live; NULL: live, or WORKDIR.
         */
        struct {
            struct artifact_row artifact;
            const struct job_row *artifact_job;
        };
        struct {
            struct site_id site;
            uint32_t count;
        } conflict;
    };
};

/* ---- effects */
enum server_output_kind {
    OUTPUT_SYNC_REPLY, /* bytes: encoded sync_reply for `handle` */
    OUTPUT_API_REPLY,  /* status and body for `handle` */
    OUTPUT_CLOSE_POLL, /* answer `handle` with 409: a newer poll of the same site took over */
};

enum api_status {
    API_OK = 200,
    API_CREATED = 201,
    API_ACCEPTED = 202,
    API_BAD = 400,
    API_FORBIDDEN = 403,
    API_MISSING = 404,
    API_CONFLICT = 409,
    API_PRECONDITION = 412,
    API_UNPROCESSABLE = 422,
    API_BUSY = 429,
    API_UNAVAILABLE = 503
};

struct server_output {
    enum server_output_kind kind;
    uint64_t handle;
    enum api_status status;
    uint64_t etag;     /* version of the single noun in the body; 0: none */
    struct slice body; /* JSON; problem details when status >= 400 */
};

/* One batch: the shell creates it, the step fills it, it is freed when its change completed and its
 * outputs left. */
struct server_effects {
    struct arena arena; /* owns everything below */
    struct change
        change; /* count 0: nothing to make durable; outputs may leave after all earlier batches */
    const struct server_output *outputs;
    size_t output_count;
    bool more_work;            /* post SERVER_PLACE again soon */
    struct site_id usage_site; /* whose records the change holds; for SERVER_USAGE_CONFLICT */
};

void server_effects_init(struct server_effects *effects);
void server_effects_deinit(struct server_effects *effects);

/* Never fails: errors of the caller become API replies. `effects` must be freshly initialised. */
void server_core_step(struct server_core *core, const struct server_event *event, struct now now,
                      struct server_effects *effects);
/* When SERVER_TICK is next due; BOOT_NEVER: no timer. */
struct boot_ns server_core_due(const struct server_core *core);

/* ---- looking in (loop thread; nothing is changed) */
struct server_counts {
    uint32_t jobs_pending, jobs_active, attempts_offered, attempts_running, attempts_unknown, sites,
        sites_lost;
    uint64_t db_epoch;
    uint64_t reclaims, reclaim_breaches; /* told since this process began */
    bool is_reconciling;
};
struct server_counts server_core_counts(const struct server_core *core);
/* Why here, or why pending: JSON into `out`. ERR_NOT_FOUND: not a live job. */
enum err server_core_explain(struct server_core *core, struct job_id job, struct now now,
                             struct buffer *out) LQ_CHECKED;
enum err server_core_dry_run(struct server_core *core, const struct job_spec *spec,
                             struct tenant_id tenant, struct now now, struct buffer *out,
                             struct fault *fault) LQ_CHECKED;
/* Live view of sites (contact, capacity, free, running): `site` none: a JSON array of all by name;
 * else that one's object. ERR_NOT_FOUND. */
enum err server_core_sites(struct server_core *core, struct site_id site, struct now now,
                           struct buffer *out) LQ_CHECKED;
/* What each pool of the sites in contact is used for now: thousandths of cores and devices, in the
 * fields of a sum; observed_ms 0: not known. */
void server_core_load(const struct server_core *core,
                      void (*on_pool)(void *context, const struct site *site, struct slice pool,
                                      const struct util_sums *level),
                      void *context);
const struct tenant *server_core_tenant(const struct server_core *core, struct tenant_id id);
const struct job_row *server_core_job(const struct server_core *core,
                                      struct job_id id); /* NULL: not live */
/* Is `token` the job's current, unfinished attempt at `site`? */
bool server_core_token_is_current(const struct server_core *core, const struct attempt_token *token,
                                  struct site_id site);
/* The bearer secret of an attempt, the same in every process with that key: base64url of
 * HMAC-SHA256(secret_key, "lq-<epoch>-<job>-<number>"). */
enum { ATTEMPT_SECRET_MAX = 44 };
void server_core_attempt_secret(const struct server_core *core, const struct attempt_token *token,
                                char out[ATTEMPT_SECRET_MAX]);

#endif
