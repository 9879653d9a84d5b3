/* Private to src/sim: the simulated world of one seed.
 *
 * True time runs in nanoseconds from 0. Each machine (server, agent's host, compute node) has
 * clocks of its own: the boot clock runs off by up to the drift that the protocol allows for, the
 * wall clock jumps by years. Everything that happens is an event in one queue; events of the same
 * instant happen in the order in which they were made.
 *
 * A process (server or agent) works as its live shell does: a step's change waits for its commit,
 * its outputs wait for that, in order; a failed or stale change drops the core, which is loaded
 * again from the store. `generation` rises when a process starts; what was meant for an earlier one
 * is dropped. */
#ifndef LQ_SIM_WORLD_H
#define LQ_SIM_WORLD_H

#include "base/heap.h"
#include "base/random.h"
#include "base/vector.h"
#include "core/agent.h"
#include "core/server.h"
#include "core/supervisor.h"
#include "sim/disk.h"
#include "sim/faults.h"
#include "store/journal.h"
#include "store/store.h"

enum {
    SITES_MAX = 5,
    RECLAIMS_MAX = 32,
    NODES_MAX = 4,   /* of a site */
    SERVERS_MAX = 2, /* the second is the one that a backup is restored on */
    JOBS_MAX = 96,
    JOB_ATTEMPTS_MAX = 64,
    LAUNCHES_MAX = 512,
    RANKS_MAX = 3,
    JOURNALS_MAX = 32,
    USAGE_MAX = 4096, /* records of one journal */
    BATCHES_MAX = 512,
    HANDLES_MAX = 4096,
    MESSAGE_COPIES_MAX = 3,
};

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

struct world;

/* ---- clocks */
struct clock_sim {
    int64_t boot_base;
    int32_t rate_ppm; /* of the boot clock against true time */
    int64_t wall_base_us;
};
struct now clock_sim_now(const struct clock_sim *clock, int64_t true_ns);
/* True time at which the boot clock shows `at` (rounded up). */
int64_t clock_sim_true(const struct clock_sim *clock, struct boot_ns at);

/* ---- faults */
enum fault_kind {
    FAULT_AGENT_KILL,
    FAULT_AGENT_POWER,
    FAULT_AGENT_MID_COMMIT,
    FAULT_SERVER_KILL,
    FAULT_SERVER_POWER,
    FAULT_SERVER_MID_COMMIT,
    FAULT_CUT_SITE, /* site and server, one or both ways */
    FAULT_CUT_NODE, /* a node and its agent */
    FAULT_CUT_GANG, /* some nodes of a running gang and their agent: the partial partition */
    FAULT_DISK_FULL,
    FAULT_DISK_ERRORS,
    FAULT_JOURNAL_LOSS,
    FAULT_RESTORE,
    FAULT_ENGINE_TIMEOUTS, /* calls time out; submits run anyway, later or not at all */
    FAULT_ENGINE_DOUBLE,   /* submits start twice */
    FAULT_ENGINE_LATE,     /* submits wait long before they start */
    FAULT_ENGINE_FORGETS,  /* drops what waits, and end records */
    FAULT_NODE_CRASH,
    FAULT_SUPERVISOR_KILL,
    FAULT_WALL_JUMP,
    FAULT_SLOW_NET,
    FAULT_LOSSY_NET,
    FAULT_SITE_DESTROYED,
    FAULT_CANCEL,
    FAULT_RETRY,
    FAULT_DRAIN,
    FAULT_STALE_REPLY, /* a site with leases: the next reply comes late, and then none */
    FAULT_KIND_COUNT_
};
const char *fault_kind_name(enum fault_kind kind);

/* ---- events */
enum event_kind {
    EV_SERVER_BOOT,
    EV_SERVER_TIMER,
    EV_SERVER_PLACE,
    EV_SERVER_COMMIT,
    EV_SERVER_REQUEST, /* a sync request arrives */
    EV_SERVER_GONE,    /* a held poll's connection closes */
    EV_AGENT_BOOT,
    EV_AGENT_TIMER,
    EV_AGENT_COMMIT,
    EV_AGENT_REPLY,
    EV_AGENT_FAILED,
    EV_AGENT_GATE,
    EV_AGENT_ENGINE,
    EV_AGENT_USAGE,
    EV_AGENT_NAMES,
    EV_AGENT_PROBED,
    EV_ENGINE_CALL,
    EV_LAUNCH_START,
    EV_RANK_TIMER,
    EV_RANK_GATE,
    EV_PROGRAM_ENDS,
    EV_PROGRAM_DEAD,
    EV_ARTIFACT,
    EV_SUBMIT,
    EV_OWNER, /* a site's owner wants a place back */
    EV_FAULT,
    EV_FAULT_ENDS,
    EV_HEAL,
    EV_KIND_COUNT_
};

struct sim_event {
    enum event_kind kind;
    uint32_t target; /* server, site or launch index */
    uint32_t rank;
    uint64_t generation; /* of the target when it was made; 0: whichever */
    uint64_t number;     /* handle, request_seq, fault ... */
    uint32_t from;
    struct attempt_token token;
    enum engine_call call;
    enum engine_answer answer;
    enum outcome outcome;
    uint64_t incarnation;
    struct slice bytes; /* owned */
    uint32_t next_free;
};

/* ---- what is durable, as the checks know it */
struct shadow_attempt {
    struct attempt_token token;
    struct site_id site;
    struct journal_id journal;
    enum attempt_state state;
    enum revoke_reason revoke;
    enum contact_policy policy;
    uint64_t version;
};
struct shadow_job {
    struct job_id id;
    bool is_used;
    enum job_state state;
    uint32_t attempt;
    uint64_t version;
    uint32_t attempt_count;
    struct shadow_attempt attempts[JOB_ATTEMPTS_MAX];
};
struct shadow_stream {
    uint64_t watermark;
    uint64_t contiguous; /* all up to it are stored */
    uint64_t count;
    uint8_t stored[USAGE_MAX / 8];
};
struct shadow { /* one server's database */
    uint64_t epoch, audit_seq, event_seq;
    struct hash256 audit_hash;
    uint32_t job_count;
    struct shadow_job jobs[JOBS_MAX];
    struct shadow_stream streams[JOURNALS_MAX];
    uint32_t reclaims[SITES_MAX]; /* a bit each */
};

/* One journal that ever was, by order of appearance. */
struct journal_log {
    struct journal_id id;
    struct site_id site;
    bool is_lost;
    struct vector records; /* struct usage_record, durable ones, seq 1, 2, ... */
};

struct journal_seen {
    struct attempt_token token;
    enum journal_phase phase;
    enum claim claim;
    uint64_t holder;
    bool is_acked;
    uint64_t rank_ended;
    uint32_t nodes;
    bool was_asked;    /* the engine was asked to start it ... */
    bool is_looked_up; /* ... and since then said that nothing is there */
};
struct journal_shadow { /* one site's journal */
    bool has_meta;
    struct journal_meta meta;
    struct vector tokens; /* struct journal_seen */
};

/* ---- processes */
struct batch {
    union {
        struct server_effects server;
        struct agent_effects agent;
    };
};

struct process {
    bool is_up;     /* has a core */
    bool is_opened; /* has its database open */
    uint64_t generation;
    int64_t timer_at; /* true time of the timer event that counts; -1: none */
    uint64_t timer_number;
    bool is_committing;    /* a commit event is under way */
    uint32_t first, count; /* ring of batches, oldest first */
    struct batch batches[BATCHES_MAX];
};

struct server_sim {
    uint32_t index;
    struct process process;
    struct clock_sim clock;
    struct disk *disk;
    struct store_db *store;
    struct server_core *core;
    bool is_placing;
    bool is_zombie; /* its time is over, but it does not know */
    bool is_retired;
    struct shadow shadow;
    struct shadow *maybe;  /* with the group whose commit failed half-way; NULL: none */
    uint32_t outputs_left; /* the process dies after so many outputs; 0: not planned */
};

struct node_sim {
    struct clock_sim clock;
    bool is_up;
    uint32_t cuts; /* from the agent, nested */
};

struct launch;
struct site_sim {
    uint32_t index;
    struct process process;
    struct clock_sim clock; /* of the agent's host */
    struct disk *disk;
    struct journal *journal;
    struct agent_core *core;
    struct site value;
    struct site_node node_values[NODES_MAX];
    struct node_sim nodes[NODES_MAX];
    uint32_t node_count;
    bool is_destroyed;
    bool was_told_destroyed;
    uint32_t reclaims;           /* by its owner, RECLAIMS_MAX at most */
    uint32_t cuts_up, cuts_down; /* to and from the server, nested */
    uint32_t engine_timeouts, engine_doubles, engine_lates;
    uint32_t journal_log; /* index of the present journal; JOURNALS_MAX: not known yet */
    uint32_t losses;      /* journals that this site has lost */
    struct journal_shadow durable;
    struct journal_shadow maybe; /* with the group whose commit failed half-way */
    bool has_maybe;
    int64_t reply_delay;  /* of the next reply; 0: as usual */
    uint64_t last_handle; /* of the request sent last, at which server */
    uint32_t last_server;
    uint32_t outputs_left;  /* the process dies after so many outputs; 0: not planned */
    bool must_die_after_go; /* the next GO that leaves is the last thing this process does */
};

/* ---- the engine and what it runs */
enum launch_state { LAUNCH_NONE, LAUNCH_WAITING, LAUNCH_ALIVE, LAUNCH_GONE };

struct rank_sim {
    uint32_t node;
    bool is_alive; /* the supervisor's process */
    bool has_executed;
    bool is_program_up; /* the program's processes */
    bool has_record;    /* end record on the node's disk */
    struct engine_rank_end end;
    struct supervisor machine;
    uint64_t generation; /* of the program's end events */
    int64_t timer_at;
    uint64_t timer_number;
    int64_t program_since;
};

struct launch {
    enum launch_state state;
    uint32_t site;
    uint32_t job; /* index in world.jobs; JOBS_MAX: of a job that no database knows any more */
    struct attempt_token token;
    uint64_t incarnation;
    uint32_t rank_count;
    struct rank_sim ranks[RANKS_MAX];
    bool is_record_lost;
    struct slice secret; /* owned */
    struct contact_terms contact;
    bool is_visible; /* to INSPECT and KILL; a submit that timed out may start unseen */
    struct span_ms time_limit, grace;
};

/* ---- what is true of a job, whoever believes what */
struct job_truth {
    struct job_id id;
    bool is_known;
    bool is_gang, is_lease, is_array;
    bool was_cancelled;         /* somebody asked for it */
    bool has_succeeded;         /* every rank of one launch has left with 0 */
    int64_t length;             /* of the program */
    uint32_t running;           /* ranks whose program runs now */
    struct attempt_token token; /* of those */
    uint64_t incarnation;
    uint32_t checkpoints;
    struct attempt_token granted; /* whose lease a server granted last, */
    int64_t granted_at;           /* and when, in true time */
};

struct world {
    const struct protocol_rules *rules;
    struct protocol_rules broken;
    struct disks *disks;
    bool is_traced;
    uint64_t seed;

    /* Room for one group commit. */
    union {
        const struct change *server[BATCHES_MAX];
        const struct journal_change *site[BATCHES_MAX];
    } group;
    struct change_result group_results[BATCHES_MAX];

    struct random random; /* the world's own choices */
    struct random net_random;
    struct random plan_random; /* what programs do */
    struct random owner_random;
    int64_t now; /* true time */
    struct heap queue;
    struct vector pool; /* struct sim_event */
    uint32_t pool_free; /* index + 1 */
    uint64_t hash;
    uint32_t steps;

    struct server_sim servers[SERVERS_MAX];
    uint32_t primary;
    struct site_sim sites[SITES_MAX];
    uint32_t site_count;
    struct launch *launches; /* LAUNCHES_MAX */
    uint32_t launch_count;
    struct job_truth jobs[JOBS_MAX];
    uint32_t job_count;
    struct journal_log journals[JOURNALS_MAX];
    uint32_t journal_count;
    struct spec_seen {
        struct spec_id id;
        bool is_gang, is_lease, is_array;
    } specs[JOBS_MAX];
    uint32_t spec_count;
    uint32_t gangs_now, leases_now; /* jobs of the kind so far, over all databases */
    struct client_request {
        bool is_done;
        uint64_t handle;
        uint32_t shape;
    } requests[JOBS_MAX];
    uint32_t request_count;
    struct slice templates[SITES_MAX + 1], journal_template; /* owned; kept from seed to seed */

    bool is_healed;
    int64_t healed_at;
    int64_t gang_asked_at; /* when a gang was last asked for because none ran */
    uint64_t next_handle;
    struct sim_handle { /* of sync requests, by handle modulo the size */
        uint64_t handle, request_seq, agent_generation;
        uint32_t site, server;
        bool is_answered;
    } handles[HANDLES_MAX];
    uint32_t slow_net, lossy_net; /* nested */
    uint32_t faults_left;
    uint32_t submits_left;
    uint32_t fault_kinds; /* bits */
    struct backup {
        bool is_there;
        struct slice main, log; /* owned */
        struct shadow shadow;
    } backup;
    bool is_adverse; /* servers' clocks run fast and sites' slow: lease margins are at their
                        thinnest */
    bool is_mild;    /* clocks close to true time, so that two servers may overlap */
    int64_t drift_ppm;

    struct sim_seed_result *result;
};

/* ---- world.c */
struct world *world_create(uint32_t thread_number);
void world_destroy(struct world *world);
/* Runs one seed to its end or to a violation. */
void world_run(struct world *world, uint64_t seed, int plant, bool is_traced,
               struct sim_seed_result *out);
/* Ends the world; the first violation stands. */
void world_violate(struct world *world, const char *format, ...) LQ_PRINTF(2, 3);
bool world_has_violation(const struct world *world);
struct sim_event *world_at(struct world *world, int64_t at, enum event_kind kind, uint32_t target);
struct sim_event *world_after(struct world *world, int64_t delay, enum event_kind kind,
                              uint32_t target);
void event_set_bytes(struct sim_event *event, struct slice bytes);
void world_trace(struct world *world, const char *format, ...) LQ_PRINTF(2, 3);
int64_t pick_between(struct random *random, int64_t low, int64_t high);
bool pick_chance(struct random *random, uint32_t percent);
/* Slot of a new batch; the ring is full: NULL. */
struct batch *process_batch_push(struct process *process);
struct batch *process_batch_at(struct process *process, uint32_t index);

/* ---- control.c: the server's shell */
void server_boot(struct world *world, struct server_sim *server);
void server_timer(struct world *world, struct server_sim *server);
void server_place_event(struct world *world, struct server_sim *server);
void server_commit(struct world *world, struct server_sim *server);
void server_step(struct world *world, struct server_sim *server, const struct server_event *event);
void server_request(struct world *world, struct server_sim *server, const struct sim_event *event);
void server_gone(struct world *world, struct server_sim *server, uint64_t handle);
/* The process dies. `with_power`: the machine's power too. It comes back after `down`; < 0: never.
 */
void server_die(struct world *world, struct server_sim *server, bool with_power, int64_t down);

/* ---- agency.c: the agent's shell */
void agent_boot(struct world *world, struct site_sim *site);
void agent_timer(struct world *world, struct site_sim *site);
void agent_commit(struct world *world, struct site_sim *site);
void agent_step(struct world *world, struct site_sim *site, const struct agent_event *event);
void agent_reply(struct world *world, struct site_sim *site, const struct sim_event *event);
void agent_gate(struct world *world, struct site_sim *site, const struct sim_event *event);
void agent_engine_done(struct world *world, struct site_sim *site, const struct sim_event *event);
void agent_failed(struct world *world, struct site_sim *site, uint64_t request_seq);
void agent_capacity(struct world *world, struct site_sim *site);
void agent_names(struct world *world, struct site_sim *site);
void agent_probed(struct world *world, struct site_sim *site, uint64_t number);
void agent_usage_read(struct world *world, struct site_sim *site, uint64_t after);
void agent_die(struct world *world, struct site_sim *site, bool with_power, bool loses_journal,
               int64_t down);

/* ---- net.c */
void net_send_request(struct world *world, struct site_sim *site, uint64_t request_seq,
                      struct slice bytes);
void net_send_reply(struct world *world, struct server_sim *server, uint64_t handle,
                    struct slice bytes, bool is_failure);
void net_send_gate_up(struct world *world, struct launch *launch, uint32_t rank,
                      const struct gate_message *message);
void net_send_gate_down(struct world *world, struct site_sim *site,
                        const struct gate_message *message);

/* ---- engine.c */
void engine_call_later(struct world *world, struct site_sim *site,
                       const struct agent_output *output);
void engine_call(struct world *world, struct site_sim *site, const struct sim_event *event);
void launch_start(struct world *world, struct launch *launch);
void rank_timer(struct world *world, struct launch *launch, uint32_t rank);
void rank_gate(struct world *world, struct launch *launch, uint32_t rank, struct slice bytes);
void program_ends(struct world *world, struct launch *launch, uint32_t rank, bool is_killed);
void rank_crash(struct world *world, struct launch *launch, uint32_t rank);
void node_crash(struct world *world, struct site_sim *site, uint32_t node);
/* Names of which something lives. False: the engine did not answer. */
bool engine_list(struct world *world, const struct site_sim *site,
                 struct attempt_token tokens[LAUNCHES_MAX], uint32_t *out_count);
void engine_forget(struct world *world, struct site_sim *site);
struct launch *launch_of_running_gang(struct world *world);

/* ---- inject.c, client.c */
void faults_plan(struct world *world);
void fault_happens(struct world *world, enum fault_kind kind);
void fault_ends(struct world *world, const struct sim_event *event);
void world_heal(struct world *world);
void backup_take(struct world *world);
void fault_plan_one(struct world *world, uint64_t number, int64_t at);
void fault_end_later(struct world *world, enum fault_kind kind, uint32_t target, uint32_t rank,
                     int64_t length);
struct site_sim *fault_pick_site(struct world *world); /* NULL: it is destroyed */
/* Numbers of EV_FAULT beyond the kinds. */
enum { STEP_BACKUP = FAULT_KIND_COUNT_, STEP_SIGN };

/* ---- owners.c: they take places back; what it cost them must be told */
void owners_plan(struct world *world);
void owner_wants(struct world *world, struct site_sim *site);
/* All that the engine remembers, as after a restart. */
void owner_tells(struct world *world, struct site_sim *site);
void shadow_reclaim(struct world *world, struct shadow *shadow, const struct change_op *op);
/* Every reclaim of a site that stands is in the database. */
bool owners_are_heard(const struct world *world);

/* ---- operators.c: each false when there is nobody or nothing to do it to */
void operator_signs(struct world *world); /* that the destroyed sites are gone */
bool operator_destroys_site(struct world *world);
bool operator_drains(struct world *world);
void operator_resumes(struct world *world, struct site_sim *site);
bool user_cancels(struct world *world);
bool user_retries(struct world *world);

/* ---- client.c */
void client_plan(struct world *world);
void client_submit(struct world *world, uint64_t number);
void client_submit_gang(struct world *world);
void client_answer(struct world *world, uint64_t handle, enum api_status status, struct slice body);
void artifact_arrives(struct world *world, const struct sim_event *event);
enum err site_values_make(struct world *world);

/* ---- check.c */
void check_server_commit(struct world *world, struct server_sim *server,
                         const struct change *change);
void check_journal_commit(struct world *world, struct site_sim *site,
                          const struct journal_change *change);
void check_server_reply(struct world *world, struct server_sim *server, uint32_t site,
                        struct slice bytes);
/* A lease that ends at true time `end` must have been granted for so long. */
void check_lease(struct world *world, const struct attempt_token *token, struct span_ms lease,
                 int64_t end);
void check_gate_message(struct world *world, const struct site_sim *site,
                        const struct gate_message *message);
void check_engine_submit(struct world *world, struct site_sim *site,
                         const struct attempt_token *token);
void check_engine_answer(struct world *world, struct site_sim *site, const struct sim_event *event);
void check_exec(struct world *world, struct launch *launch, uint32_t rank);
void check_program_end(struct world *world, struct launch *launch, uint32_t rank);
/* Everything is over? Then true; also checks what must hold at the end. */
bool check_is_settled(const struct world *world);
void check_end(struct world *world);
/* Says what is left. */
void check_unsettled(struct world *world);
struct journal_log *journal_log_find(struct world *world, struct journal_id id,
                                     uint32_t *out_index);
struct shadow_job *shadow_job_find(struct shadow *shadow, struct job_id id); /* NULL: none */
uint32_t job_index(struct world *world, struct job_id id);                   /* JOBS_MAX: none */

/* After a start: what is loaded must be what was committed; of a group whose commit failed half-way
 * all or nothing. The digest is a sum over rows. */
void check_server_loaded(struct world *world, struct server_sim *server, uint64_t digest);
void check_journal_loaded(struct world *world, struct site_sim *site, uint64_t digest,
                          uint64_t usage_seq);
uint64_t digest_meta(uint64_t epoch, uint64_t audit_seq, uint64_t event_seq);
uint64_t digest_job(const struct job_row *row);
uint64_t digest_attempt(const struct attempt_row *row);
uint64_t digest_watermark(struct journal_id journal, uint64_t seq);
uint64_t digest_journal_meta(const struct journal_meta *meta);
uint64_t digest_journal_attempt(const struct journal_attempt *attempt);
void shadow_apply(struct world *world, struct shadow *shadow, bool is_primary,
                  const struct change *change);
void journal_shadow_apply(struct world *world, struct site_sim *site, struct journal_shadow *shadow,
                          const struct journal_change *change);
void journal_shadow_copy(struct journal_shadow *to, const struct journal_shadow *from);

#endif
