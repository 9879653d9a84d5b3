/* Private to core/server*.c: what the server's core holds of what is alive, and what its parts call
 * of each other.
 *
 * Memory changes at once; every change is also an operation in the step's change, so that the store
 * follows. Functions that take a `struct step` record what they do in it. Nothing here iterates in
 * hash order: maps keep the order of insertion, lists likewise.
 *
 * Invariants
 *  1. a job is in `jobs` while it is PENDING or ACTIVE; it has an attempt object exactly while
 *     ACTIVE; the attempt object exists exactly while its row is not final.
 *  2. a PENDING job is in exactly one place: queued in the placer, gated (it waits for sites after
 *     the epoch was raised), or resting until `retry_at`.
 *  3. an attempt's lease timer never ends before every lease granted for it can have ended.
 *  4. a site counts as reconciled when it has sent a full inventory, after it had seen the present
 *     epoch, without live attempts that the server does not know. */
#ifndef LQ_CORE_SERVER_STATE_H
#define LQ_CORE_SERVER_STATE_H

#include "base/heap.h"
#include "base/map.h"
#include "base/random.h"
#include "base/vector.h"
#include "core/server.h"
#include "wire/doc.h"
#include "wire/json_writer.h"
#include "wire/row.h"
#include "wire/spec.h"

enum {
    SERVER_SITES_MAX = 65536,
    SERVER_DOCS_MAX = 4194304,       /* of one kind */
    SERVER_SITE_ATTEMPTS_MAX = 8192, /* = SYNC_ATTEMPTS_MAX: a site must be able to report all */
    SERVER_JOB_ATTEMPTS_MAX = 1000,  /* of one job; then it fails */
    SERVER_SUBMIT_SPECS_MAX = 5000,  /* one operation each */
    SERVER_SUBMIT_MAX = 30000,       /* jobs of one request: two operations each */
    SERVER_PLACE_MAX = 64,           /* decisions in one step */
    SERVER_PREEMPT_MAX = 4,          /* jobs that others make room for in one step */
    SERVER_TICK_MAX = 256,           /* timers in one step */
    SERVER_UNGATE_MAX = 4096,        /* gated jobs released in one step */
    SERVER_EPOCH_JUMP_MAX = 4096,    /* epochs raised at once; a site that claims more is refused */
    SERVER_KEYS_MAX = 16384,         /* idempotency keys whose change may still be on its way */
    SERVER_WORKLOADS_MAX = 1024,     /* of a tenant that something is known of */
    SERVER_RECENT_MAX = 4096,        /* jobs that ended lately, to refuse stale retries */
    SERVER_RESEND_MIN_MS = 20,       /* between two tellings of the same thing; doubles */
    SERVER_RESEND_MAX_MS = 1000,
    SERVER_AVOID_MS = 60000, /* after a start of the server, which does not know how long ago */
    /* For the last checkpoint of an attempt that was taken away, until its site says that none
     * will come. */
    SERVER_COPY_WAIT_MS = 30000,
    SERVER_RECLAIMS_KNOWN = 64,        /* of a site, lately */
    SERVER_REPLY_ORDERS_MAX = 4 << 20, /* bytes of orders in one reply */
    SERVER_BODY_MAX = 4 << 20,         /* of one JSON answer */
    SERVER_EFFECTS_MAX = 256 << 20,
};

#define BOOT_LONG_AGO ((struct boot_ns){INT64_MIN})

_Static_assert(SERVER_SUBMIT_MAX * 2 + SERVER_SUBMIT_SPECS_MAX + 16 <= CHANGE_OPS_MAX,
               "a submission is one change");

struct server_site;
struct server_tenant;

/* ---- timers: one a noun; what is due is looked up when it fires */
enum server_timer_kind { TIMER_NONE, TIMER_SITE, TIMER_JOB, TIMER_ATTEMPT };
struct server_timer {
    enum server_timer_kind kind;
    struct heap_handle handle;
    struct boot_ns due;
    void *owner;
};

/* ---- telling: everything is repeated until the site's next request shows that it arrived; the
 * second time at once (the reply may have crossed a newer request), then ever more slowly. */
struct server_told {
    struct boot_ns at;
    uint32_t count; /* 0: not told yet */
};
void told_note(struct server_told *told, struct boot_ns now);
struct boot_ns told_again_at(const struct server_told *told);

/* ---- specs, shared by the elements of an array */
struct server_spec {
    struct spec_id id;
    uint32_t users;
    struct job_spec spec; /* its slices point behind this struct, into the same block */
};

struct server_checkpoint { /* newest that may be restored from */
    struct id id;
    uint64_t step;
    uint64_t size_bytes;
    enum runtime runtime;
    uint32_t world_size;
    struct site_id site;
    struct slice jurisdiction; /* interned in the core */
};

struct server_attempt {
    struct attempt_row row;
    struct server_job *job;
    struct server_site *site;
    struct server_attempt *previous, *next; /* of the site */
    struct server_timer timer;
    struct boot_ns lease_until; /* policy lease: no lease granted so far outlives this */
    struct boot_ns start_until;
    struct boot_ns budget_until;
    struct span_ms idle;      /* so long without work on its processors, while it holds devices */
    struct server_told told;  /* its command */
    bool told_revoke;         /* was that command a REVOKE */
    bool is_held;             /* the placer keeps its capacity */
    bool is_counted;          /* in its site's levels of use */
    uint64_t seen_in;         /* site->sync_count when its site last reported it */
    struct server_kind *kind; /* of its workload, which it keeps alive; NULL: nothing to learn */
    struct server_workload *workload;
    struct attempt_progress progress; /* that was counted */
    uint32_t place_count;             /* 0: not known (adopted) */
    struct rank_place places[];
};

struct server_job {
    struct job_row row;
    struct id workload; /* none: compared by the hour */
    struct server_spec *spec;
    struct server_tenant *tenant;
    struct server_attempt *attempt;
    struct server_checkpoint *checkpoint;
    struct server_timer timer;
    struct boot_ns retry_at; /* rests until then */
    struct boot_ns gate_at;  /* gated, policy lease: every older lease is over by then */
    struct server_job *gated_previous, *gated_next;
    struct boot_ns
        avoid_until;    /* `last_site` is not tried again before, if another could take it */
    struct money spent; /* by attempts that ended in this process's time */
    enum failure_class failure; /* of its last ended attempt */
    bool is_queued, is_gated, is_overdue, is_avoiding;
    struct site_id *barred; /* that do not lend to it, as of its queueing; owned */
    uint32_t barred_count;
    bool is_copying; /* rests for its last checkpoint's sake; see job_after_attempt */
};

struct server_watermark {
    struct journal_id journal;
    uint64_t seq;
};

/* What its pools and nodes are used for; server_utilisation.c. */
struct server_util {
    struct util_cell *cells;  /* pools, then nodes; sums since the last flush, of minute `start` */
    struct util_sums *levels; /* one a cell: what stands, as a sum's growth a millisecond */
    uint32_t *pool_of;        /* one a node: its pool's cell */
    uint32_t pool_count, cell_count;
    struct wall_us start;
    struct boot_ns at, flushed; /* integrated up to; handed to the store */
};

struct server_quarantine {
    char node[NAME_MAX + 1];    /* name; "": the whole site */
    enum failure_class failure; /* FAILURE_NONE: the operator's word */
    bool is_manual;             /* not probed */
    uint32_t jobs, tenants;     /* the evidence */
    uint32_t probes;            /* that failed */
    struct wall_us since;
    uint64_t probe;          /* under way; 0: none */
    struct boot_ns probe_at; /* when the next one begins, or this one counts as failed */
};

struct server_site {
    struct site_id id;
    struct arena arena; /* owns `value` */
    struct site value;
    uint64_t version; /* of its DOC_SITE */

    /* What outlives the process, DOC_SITE_STATE. */
    uint64_t memory_version; /* 0: not in the store yet */
    struct journal_id journal;
    uint64_t epoch_reported; /* under which the last clean inventory came */
    uint64_t usage_claimed;  /* highest usage_acked beyond our watermark that was dealt with */
    struct journal_id former[SITE_FORMER_JOURNALS_MAX];
    uint32_t former_count;
    struct arena certificates_arena;
    struct text_list certificates;
    struct wall_us contacted_at;

    struct vector watermarks; /* struct server_watermark */
    struct server_attempt *first, *last;
    uint32_t attempt_count;
    uint32_t counts[ATTEMPT_STATE_COUNT_];

    /* server_quarantine.c */
    struct vector quarantines;     /* struct server_quarantine */
    struct vector evidence;        /* failures, oldest first */
    struct boot_ns good_at;        /* the last attempt that succeeded here; BOOT_LONG_AGO: none */
    struct boot_ns *nodes_good_at; /* the same by node */
    uint64_t probe_last;           /* number of the last probe asked for */
    struct server_told probe_told;

    bool has_contact; /* in this process */
    bool is_lost, is_open, is_agent_draining, is_reconciled;
    bool is_shut;      /* its owner does not lend now */
    bool must_unknown; /* the epoch was raised: attempts not reported since become UNKNOWN */
    bool has_gap_told;
    struct boot_ns last_contact;
    uint64_t sync_count;
    uint64_t epoch_seen; /* of the last request */
    uint64_t challenge;  /* of this process; a site that changes its journal must give it back */
    struct server_told want_told, stray_told, usage_told;
    bool is_report_partial; /* the last request had no room for all */
    struct vector strays;   /* struct attempt_token: live there, not current here */

    struct server_poll {
        bool is_held;
        uint64_t handle, request_seq, usage_acked;
        struct boot_ns hold_until; /* answered then at the latest */
        struct boot_ns until;      /* looked at again then */
    } poll;
    struct server_timer timer;

    /* As measured, and in the site's document. */
    uint32_t nodes_up;
    uint64_t cpu_milli, mem_bytes, devices;
    uint64_t cpu_milli_seen, mem_bytes_seen, devices_seen;
    struct sync_node *nodes_seen; /* value.node_count of them; NULL: nothing measured yet */

    struct server_reclaim {
        uint64_t hash; /* of the name; 0: free */
        bool is_closed, is_breach;
    } reclaims[SERVER_RECLAIMS_KNOWN]; /* told of already */
    uint32_t reclaim_next;

    struct server_util util;

    struct usage_record *late_usage; /* only under a broken rule; see server_usage.c */
    uint32_t late_usage_count;
};

struct server_tenant {
    struct tenant_id id;
    struct arena arena; /* owns `value` */
    struct tenant value;
    struct server_tenant *parent;
    uint64_t pending; /* jobs, this tenant and below */
    uint64_t live;    /* jobs of this very tenant */
    uint32_t workload_count;
    bool is_in_placer;
};

struct server_doc {
    uint64_t version;
    char *name_key; /* unique within the kind; NULL: none */
};

struct server_recent {
    struct job_id id;
    uint64_t version;
};

struct server_core {
    const struct protocol_rules *rules;
    struct server_settings base;       /* as given */
    struct server_settings settings;   /* with the policy applied */
    struct span_ms default_time_limit; /* the policy's */
    struct random random;
    struct placer *placer;
    bool is_started;

    uint64_t db_epoch, audit_seq, event_seq;
    struct hash256 audit_hash;

    struct idmap jobs, specs, sites, tenants;
    struct strmap docs[DOC_KIND_COUNT_];  /* id -> struct server_doc */
    struct strmap names[DOC_KIND_COUNT_]; /* name key -> struct server_doc */
    struct heap timers;

    struct server_job *gated_first, *gated_last;
    uint32_t unreconciled; /* sites */
    bool must_ungate;
    bool must_place;
    struct boot_ns place_due; /* when time alone may allow a decision */

    uint32_t attempt_counts[ATTEMPT_STATE_COUNT_];
    uint32_t jobs_pending, jobs_active, sites_lost;
    uint64_t reclaims, reclaim_breaches;

    struct idmap workloads;      /* -> server_workload, oldest first */
    struct vector jurisdictions; /* char *: interned */
    struct strmap links;         /* \"a|b\" -> struct server_link */
    struct strmap keys;          /* recent idempotency keys, in order of arrival */
    struct idmap recent;         /* job id -> version at its end, boxed; in order of ending */
};

struct server_link {
    struct arena arena; /* owns `value` */
    struct link value;
};

/* What programs' progress tells of a workload (model/throughput.h), and who is trying what. */
struct server_workload {
    struct throughput value; /* kinds: NULL */
    char name[WORKLOAD_NAME_MAX + 1];
    uint32_t users; /* live attempts that may teach something */
    struct server_kind {
        struct throughput_kind value;
        char accelerator[NAME_MAX + 1];
        uint32_t trying; /* live attempts */
        uint64_t told;   /* rate that the placer and the store know */
    } kinds[THROUGHPUT_KINDS_MAX];
    uint32_t kind_count;
};

/* ---- server_step.c: one step's change and outputs */
struct step {
    struct server_core *core;
    struct server_effects *effects;
    const struct server_event *event;
    struct now now;
    struct change_op *ops;
    size_t op_count, op_cap;
    struct server_output *outputs;
    size_t output_count, output_cap;
    struct attempt_token *acked; /* ends to acknowledge in this step's reply */
    uint32_t acked_count, acked_cap;
};

void step_begin(struct step *step, struct server_core *core, const struct server_event *event,
                struct now now, struct server_effects *effects);
void step_end(struct step *step);
/* Room for `count` more operations without growing again. */
void step_reserve(struct step *step, size_t count);
struct change_op *step_op(struct step *step, enum change_kind kind);
/* Body: a canonical JSON object that lives in the step's arena or is constant. */
void step_event(struct step *step, struct tenant_id tenant, const char *kind, struct slice subject,
                struct slice body);
/* `actor` empty: of the principal who asks. */
void step_audit(struct step *step, struct slice actor, struct slice tenant, const char *action,
                struct slice subject, struct slice detail);
struct server_output *step_output(struct step *step, enum server_output_kind kind, uint64_t handle);
/* Answers the waiting request. With an idempotency key a success is kept for repeats. */
void step_reply(struct step *step, enum api_status status, struct slice body, uint64_t etag);
void step_problem(struct step *step, enum api_status status, const char *code, const char *format,
                  ...) LQ_PRINTF(4, 5);
void step_problem_fault(struct step *step, enum api_status status, const struct fault *fault);
/* False: the request's idempotency key is on its way already; it has been answered. */
bool step_key_take(struct step *step);
struct slice step_printf(struct step *step, const char *format, ...) LQ_PRINTF(2, 3);
struct slice step_id(struct step *step, struct id id, const char *prefix);
/* JSON into the step's arena: begin, write with the writer, end. */
struct step_json {
    struct buffer buffer;
    struct json_writer writer;
};
struct json_writer *step_json_begin(struct step_json *json);
struct slice step_json_end(struct step *step, struct step_json *json);
#define NO_TENANT ((struct tenant_id){0})
#define SYSTEM_ACTOR SLICE_LITERAL("system")

/* ---- server.c */
void timer_init(struct server_timer *timer, enum server_timer_kind kind, void *owner);
void timer_set(struct server_core *core, struct server_timer *timer, struct boot_ns due);
void timer_stop(struct server_core *core, struct server_timer *timer);
struct span_ms lease_wait(const struct server_core *core, struct span_ms lease);
/* L of a job: its own, at least the floor. */
struct span_ms lease_of(const struct server_core *core, const struct job_spec *spec);

/* ---- server_spec.c */
/* Copies `spec` into one block; users 0. NULL: no memory. */
struct server_spec *server_spec_make(struct spec_id id, const struct job_spec *spec);
void server_spec_drop(struct server_core *core, struct server_spec *spec); /* one user less */

/* ---- server_job.c */
struct server_job *job_find(const struct server_core *core, struct job_id id);
/* Adds to the maps and counts; the row is taken over. NULL: no memory. */
struct server_job *job_add(struct server_core *core, const struct job_row *row,
                           struct server_spec *spec, struct server_tenant *tenant);
void job_save(struct step *step, struct server_job *job, enum job_state expect_state,
              uint32_t expect_attempt);
void job_move(struct step *step, struct server_job *job, enum job_state to);
/* It keeps away from `last_site` for a while. */
void job_avoid(struct server_job *job, struct span_ms avoid, struct now now);
/* PENDING: into the queue, the gate or rest. */
void job_enqueue(struct server_core *core, struct server_job *job, struct now now);
void job_dequeue(struct server_core *core, struct server_job *job);
void job_place(const struct server_job *job, struct place_job *out);
/* Its attempt has ended in any way: the job goes on by the outcome. */
/* What an ended attempt cost counts against the budget. */
void job_spend(struct server_job *job, const struct attempt_row *row);
void job_after_attempt(struct step *step, struct server_job *job, const struct attempt_row *row);
void job_tick(struct step *step, struct server_job *job);
void job_timer_arm(struct server_core *core, struct server_job *job, struct now now);
/* Out of memory's care: final. */
void job_retire(struct step *step, struct server_job *job);
void job_free(struct server_core *core, struct server_job *job);
void job_event(struct step *step, const struct server_job *job);
bool job_is_gated(const struct server_core *core, const struct server_job *job, struct now now);
/* An older one than it has is ignored. A queued job is queued anew. */
enum err job_checkpoint_set(struct server_core *core, struct server_job *job,
                            const struct artifact_row *row, struct site_id site, struct now now);
/* No further copy of its ended attempt will come: it goes on at once. */
void job_copied(struct server_core *core, struct server_job *job, struct now now);

/* ---- server_speed.c */
void speeds_free(struct server_core *core);
enum err speed_load(struct server_core *core, const struct throughput *value);
/* Its attempt has a place: if nobody knows how fast that is, it is being tried. */
void speed_begin(struct step *step, struct server_attempt *attempt);
/* Its site says how far it is. */
void speed_note(struct step *step, struct server_attempt *attempt,
                const struct attempt_progress *said);
/* Its outcome stands in the row. */
void speed_end(struct step *step, struct server_attempt *attempt);

/* ---- server_submit.c */
void server_submit(struct step *step);
void server_cancel(struct step *step);
void server_retry(struct step *step);

/* ---- server_attempt.c */
struct server_attempt *attempt_add(struct server_core *core, const struct attempt_row *row,
                                   struct server_job *job, struct server_site *site,
                                   const struct rank_place *places, uint32_t place_count);
void attempt_free(struct server_core *core, struct server_attempt *attempt);
void attempt_move(struct step *step, struct server_attempt *attempt, enum attempt_state to);
/* Final: frees the attempt and lets the job go on. */
void attempt_finish(struct step *step, struct server_attempt *attempt, enum attempt_state to,
                    enum outcome outcome, int32_t exit_code, struct span_ms ran);
/* Out of contact. */
void attempt_unknown(struct step *step, struct server_attempt *attempt);
void attempt_revoke(struct step *step, struct server_attempt *attempt, enum revoke_reason reason);
void attempt_offer(struct step *step, struct server_job *job, struct server_site *site,
                   const struct place_decision *decision);
/* A running attempt of an earlier epoch that the database has lost: taken over as the job's. */
struct server_attempt *attempt_adopt(struct step *step, struct server_job *job,
                                     struct server_site *site, const struct attempt_token *token);
/* A lease was granted now, at the latest: its timer begins anew. */
void attempt_lease_grant(struct server_core *core, struct server_attempt *attempt, struct now now);
void attempt_timers_start(struct server_core *core, struct server_attempt *attempt, struct now now,
                          bool is_load);
void attempt_timer_arm(struct server_core *core, struct server_attempt *attempt);
void attempt_tick(struct step *step, struct server_attempt *attempt);
struct slice attempt_places_encode(struct step *step, const struct rank_place *places,
                                   uint32_t count);
enum err attempt_places_parse(struct slice json, struct rank_place out[JOB_NODES_MAX],
                              uint32_t *out_count, struct fault *fault);

/* ---- server_place.c */
void server_place(struct step *step);

/* ---- server_site.c */
struct server_site *site_find(const struct server_core *core, struct site_id id);
struct server_site *site_add(struct server_core *core, struct site_id id);
void site_free(struct server_core *core, struct server_site *site);
enum err site_value_set(struct server_site *site, struct slice body, struct fault *fault);
enum err site_memory_load(struct server_site *site, struct slice body, struct fault *fault);
void site_memory_save(struct step *step, struct server_site *site);
void site_doc_save(struct step *step, struct server_site *site);
/* The site as its document says, with what was measured, into the placer. */
enum err site_placer_put(struct server_core *core, struct server_site *site);
void site_open_update(struct server_core *core, struct server_site *site);
void site_reconciled_set(struct server_core *core, struct server_site *site, bool is_reconciled);
void site_contact(struct step *step, struct server_site *site);
void site_tick(struct step *step, struct server_site *site);
void site_timer_arm(struct server_core *core, struct server_site *site);
void site_journal_set(struct step *step, struct server_site *site, struct journal_id journal);
void site_drained_check(struct step *step, struct server_site *site);
void site_observe(struct server_core *core, struct server_site *site, const struct sync_node *nodes,
                  uint32_t count);
uint64_t *site_watermark(struct server_site *site, struct journal_id journal); /* NULL: none yet */
enum err site_watermark_add(struct server_site *site, struct journal_id journal, uint64_t seq);
void server_site_drain(struct step *step);
void server_site_destroyed(struct step *step);

/* ---- server_idle.c */
/* A new usage record of the site. */
void attempt_metered(struct step *step, const struct server_site *site,
                     const struct usage_record *record);
bool attempt_is_idle(const struct server_attempt *attempt);

/* ---- server_quarantine.c */
void quarantine_init(struct server_site *site);
void quarantine_deinit(struct server_site *site);
bool quarantine_is_whole(const struct server_site *site);
void quarantine_apply(struct server_core *core, const struct server_site *site);
/* An attempt's row is final: evidence against its place, or for it. */
void quarantine_attempt_over(struct step *step, const struct server_attempt *attempt);
struct boot_ns quarantine_due(const struct server_site *site);
void quarantine_tick(struct step *step, struct server_site *site);
uint32_t quarantine_probes(const struct server_site *site, struct sync_probe out[SYNC_PROBES_MAX]);
/* When the site must be told of a probe; BOOT_NEVER: there is none. */
struct boot_ns quarantine_tell_at(const struct server_site *site);
void quarantine_probed(struct step *step, struct server_site *site,
                       const struct sync_request *request);
void quarantine_remember(struct step *step, const struct server_site *site,
                         struct site_memory *memory);
enum err quarantine_recall(struct server_site *site, const struct site_memory *memory);
void quarantine_start(struct server_core *core, struct server_site *site, struct now now);
void quarantine_write(const struct server_site *site, struct json_writer *writer);
void server_site_quarantine(struct step *step);

/* ---- server_sync.c: a request; server_report.c: its reports; server_answer.c: the reply */
void server_sync(struct step *step);
void server_sync_gone(struct step *step);
void site_reports(struct step *step, struct server_site *site, const struct sync_request *request);
/* Does any report show that the database has lost something? The epoch that must be exceeded; 0:
 * none. */
uint64_t site_reports_regressed(struct step *step, const struct server_site *site,
                                const struct sync_request *request);
/* When a held poll must be answered, at the latest. */
struct boot_ns site_answer_due(const struct server_core *core, const struct server_site *site,
                               struct boot_ns now);
void site_answer(struct step *step, struct server_site *site);
/* Answers a request that may be a late double: it must be asked again with the challenge. */
void site_challenge(struct step *step, struct server_site *site,
                    const struct sync_request *request);
/* Answers a held poll if something is to be told. */
void site_dirty(struct step *step, struct server_site *site);
/* How long a poll may be held, for its leases' sake. */
struct span_ms site_poll_hold(const struct server_core *core, const struct server_site *site);

/* ---- server_epoch.c */
void epoch_raise(struct step *step, uint64_t to, const char *action, struct slice detail);
void gate_add(struct server_core *core, struct server_job *job);
void gate_remove(struct server_core *core, struct server_job *job);
void gate_release(struct step *step); /* a slice of those whose gate is open */

/* ---- server_usage.c */
void site_usage(struct step *step, struct server_site *site, const struct sync_request *request);
void server_usage_conflict(struct step *step);

/* ---- server_reclaim.c */
void site_reclaims(struct step *step, struct server_site *site, const struct sync_request *request);
void site_copied(struct step *step, const struct sync_request *request);

/* ---- server_surplus.c: owners' contracts */
void site_surplus(struct step *step, struct server_site *site, const struct sync_request *request);
/* Sites that do not lend to the tenant and class, by id; to be freed. NULL, 0: none. */
struct site_id *surplus_barred(const struct server_core *core, const struct server_tenant *tenant,
                               enum priority_class class, uint32_t *out_count);

/* ---- server_doc.c: documents; server_noun.c: what each kind means */
/* Writes a document of the server's own making, new or over the one that stands. `parent` may be
 * empty. */
void doc_save(struct step *step, const struct doc_value *value, struct slice parent);
struct server_doc *doc_find(const struct server_core *core, enum doc_kind kind, struct slice id);
/* Version 0: takes it away. ERR_NO_MEMORY, ERR_LIMIT. */
enum err doc_note(struct server_core *core, enum doc_kind kind, struct slice id, uint64_t version,
                  const char *name_key);
void docs_free(struct server_core *core);
void server_doc_put(struct step *step);
void server_doc_delete(struct step *step);
/* Name that must be unique within the kind, into the arena; NULL: none. */
const char *noun_name_key(struct arena *arena, const struct doc_value *value);
/* References to other nouns, cycles. */
enum err noun_check(struct server_core *core, const struct doc_value *value, struct fault *fault);
/* May it go? ERR_BUSY with the reason. */
enum err noun_delete_check(struct server_core *core, enum doc_kind kind, struct slice id,
                           struct fault *fault);
/* Into memory and placer, and what must be durable beside the document itself. */
enum err noun_put(struct step *step, const struct doc_value *value, struct slice body,
                  uint64_t version, struct fault *fault);
void noun_delete(struct server_core *core, enum doc_kind kind, struct slice id);
void policy_apply(struct server_core *core, const struct policy *policy);
struct server_tenant *tenant_find(const struct server_core *core, struct tenant_id id);
void tenant_free(struct server_tenant *tenant);
/* Adds or replaces; pending jobs move with it to another parent. */
enum err tenant_set(struct server_core *core, struct slice body, struct fault *fault);
struct span_ms tenant_time_limit(const struct server_core *core,
                                 const struct server_tenant *tenant);

/* ---- server_link.c */
enum err link_set(struct server_core *core, const struct link *link);
void links_free(struct server_core *core);
/* What a site has measured to its peers: kept when it differs much from what stands. */
void site_links(struct step *step, struct server_site *site, const struct sync_request *request);

/* ---- server_load.c */
void server_start(struct step *step);

/* ---- server_utilisation.c */
void util_free(struct server_util *util);
/* After the site's nodes have changed: cells and levels anew. What was not flushed is dropped. */
enum err util_rebuild(struct server_site *site);
/* Counts the time up to now at the levels that stood; before anything changes them. */
void util_advance(struct step *step, struct server_site *site);
void util_measured(struct server_site *site);                         /* nodes_seen has changed */
void util_attempt(struct step *step, struct server_attempt *attempt); /* its state has changed */
void util_flush(struct step *step, struct server_site *site);

/* ---- server_artifact.c */
void server_artifact(struct step *step);

#endif
