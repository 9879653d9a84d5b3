/* A server's core with an in-memory stand-in for the store that checks every condition of every
 * change, and hand-made agents. Each step's change is applied at once, as if it had committed. */
#ifndef TEST_CORE_SERVER_WORLD_H
#define TEST_CORE_SERVER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/vector.h"
#include "core/server.h"
#include "wire/doc.h"

enum { SITES = 3, LINES_MAX = 64, EVENTS_MAX = 4096 };

struct fake_doc {
    enum doc_kind kind;
    struct slice id, body;
    uint64_t version;
};
struct fake_spec {
    struct spec_id id;
    struct slice body;
};
struct fake_attempt {
    struct attempt_row row;
    struct slice places;
};
struct fake_mark {
    struct site_id site;
    struct journal_id journal;
    uint64_t seq;
};

struct fake_reclaim {
    struct site_id site;
    struct reclaim value;
};

/* Values only; texts live in the world's arena, so that a copy of the struct's vectors is a backup.
 */
struct fake_store {
    uint64_t epoch, audit_seq, event_seq;
    struct hash256 audit_hash;
    bool is_restored;
    struct vector docs, specs, jobs, attempts, marks, usage, artifacts, keys, reclaims;
    uint32_t conflicts;
    struct util_sums pools_used, nodes_used; /* all that was recorded */
    uint32_t uses;
};

/* An agent as the tests play it. */
struct fake_site {
    struct site_id id;
    struct journal_id journal;
    uint64_t request_seq, epoch_seen, usage_acked, usage_oldest;
    bool is_inventory, is_draining, is_slim; /* slim: without nodes */
    struct sync_attempt lines[LINES_MAX];
    uint32_t line_count;
    struct usage_record usage[8];
    uint32_t usage_count;
    struct attempt_token copied[4];
    uint32_t copied_count;
    struct reclaim reclaims[4];
    uint32_t reclaim_count;
    struct node_load loads[2];
    struct sync_probed probed; /* told while has_probed */
    bool has_probed;
    struct slice surplus; /* the owner's contract */
    uint64_t handle;      /* of the newest request */
    bool has_reply;       /* to the newest request */
    bool is_closed;       /* OUTPUT_CLOSE_POLL came for an older one */
    struct sync_reply reply;
};

struct world {
    struct protocol_rules rules;
    struct server_settings settings;
    struct server_core *core;
    struct fake_store store;
    struct arena arena;
    struct now now;
    uint64_t next_handle, ids;
    struct fake_site sites[SITES];
    struct tenant_id root, team;
    struct server_idempotency idempotency; /* of the next request */
    /* The last answer to a person. */
    enum api_status status;
    struct slice body;
    uint64_t etag;
    char seen[EVENTS_MAX][40]; /* kinds of events, in order */
    uint32_t seen_count;
    uint32_t ops; /* of the last change */
};

/* ---- store.c */
void store_init(struct fake_store *store);
void store_deinit(struct fake_store *store);
void store_copy(struct fake_store *to, const struct fake_store *from);
void store_apply(struct world *world, const struct change *change);
struct job_row *store_job(struct world *world, struct job_id id);
struct attempt_row *store_attempt(struct world *world, struct job_id id, uint32_t number);
uint64_t store_mark(struct world *world, const struct fake_site *site);
struct fake_doc *store_doc(struct world *world, enum doc_kind kind, struct slice id);

/* ---- world.c: one region, three sites (a, b, c: c is dearest), two tenants, all by documents */
void world_init(struct world *world);
void world_deinit(struct world *world);
void world_step(struct world *world, const struct server_event *event);
/* A new process on what the store holds. */
void world_restart(struct world *world, bool is_restored);
void world_place(struct world *world);
/* Time goes on; due timers fire when they are due. */
void world_wait(struct world *world, struct span_ms span);
/* Has an event of that kind come since the last call of world_forget? */
uint32_t world_saw(const struct world *world, const char *kind);
void world_forget(struct world *world);
struct id world_id(struct world *world);

/* A request of the site, with its lines; fetches the reply if one comes at once. */
void sync_now(struct world *world, struct fake_site *site);
/* The same, and a reply must have come. */
void sync_told(struct world *world, struct fake_site *site);
/* First contact of all sites: journals, capacity, inventory. */
void sites_join(struct world *world);
/* All sites speak, so that none is lost. */
void sites_speak(struct world *world);
void site_says(struct fake_site *site, const struct attempt_token *token, enum journal_phase phase,
               enum outcome outcome);
void site_forgets(struct fake_site *site);
const struct sync_command *site_told(const struct fake_site *site, enum sync_command_kind kind,
                                     const struct attempt_token *token);
bool site_acked(const struct fake_site *site, const struct attempt_token *token);
bool site_renewed(const struct fake_site *site, const struct attempt_token *token);

extern const struct job_variant SHELL;
struct job_spec job_of(uint32_t nodes, uint32_t cpu_milli);
/* Submits one job; it must be taken. */
struct job_id submit(struct world *world, const struct job_spec *spec);
void submit_many(struct world *world, const struct job_spec *const *specs, size_t count);
enum api_status cancel(struct world *world, struct job_id id);
enum api_status doc_put(struct world *world, const struct doc_value *value, uint64_t expect);
enum api_status doc_delete(struct world *world, enum doc_kind kind, const char *id);

/* Submits, places and starts: the attempt stands in the store, its site is returned. */
struct fake_site *start(struct world *world, const struct job_spec *spec, struct job_id *out_job,
                        struct attempt_token *out_token);
/* The same, and the site says that it runs. */
struct fake_site *run(struct world *world, const struct job_spec *spec, struct job_id *out_job,
                      struct attempt_token *out_token);
struct fake_site *site_of(struct world *world, struct site_id id);

#endif
