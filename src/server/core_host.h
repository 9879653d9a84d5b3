/* Runs the server's core on the loop: events in, changes to the writer thread, outputs out after
 * their commit, in order.
 *
 * Invariants
 *  1. An output leaves only when the change of its step, and those of all earlier steps, are
 * committed.
 *  2. When a change is stale or fails, the core and every unreleased output are dropped; on_reset
 * tells the shell, which answers all waiting requests with "try again". The host then probes the
 * store until it can write, and loads a new core.
 *  3. While there is no core, core_host_step refuses (ERR_BUSY) and core_host_core gives NULL.
 * Loop thread only. */
#ifndef LQ_SERVER_CORE_HOST_H
#define LQ_SERVER_CORE_HOST_H

#include "core/server.h"
#include "port/loop.h"
#include "store/store.h"
#include "store/writer.h"

struct core_host;

enum {
    CORE_HOST_BATCHES_MAX =
        8192, /* steps whose changes are under way; then API requests are told to wait */
    CORE_HOST_PROBE_MS = 1000, /* between tries to write again after a failure */
};

/* What the operator says at the start. */
struct core_host_options {
    uint64_t random_seed;
    bool is_restored; /* the database is an older copy, whatever it says itself */
};

struct core_host_events {
    /* Each document, while a core is loaded; may be NULL. */
    void (*on_doc)(void *context, const struct doc *doc);
    void (*on_output)(void *context, const struct server_output *output);
    /* A change is durable; for watchers (its CHANGE_EVENT_APPEND) and alarms. */
    void (*on_committed)(void *context, const struct change *change,
                         const struct change_result *result);
    /* All requests that wait for an output are to be told to try again. */
    void (*on_reset)(void *context, enum err why);
    void (*on_ready)(void *context); /* a core is loaded and started */
};

/* Borrows `db` (STORE_WRITE) and the settings' values. Loads at once. */
enum err core_host_create(struct loop *loop, struct store_db *db,
                          const struct server_settings *settings,
                          const struct core_host_options *options,
                          const struct core_host_events *events, void *context,
                          struct core_host **out, struct fault *fault) LQ_CHECKED;
/* Waits for what the writer has; outputs of what was committed are not released any more. Accepts
 * NULL. */
void core_host_destroy(struct core_host *host);

/* ERR_BUSY: too much under way, or no core now; nothing happened. */
enum err core_host_step(struct core_host *host, const struct server_event *event) LQ_CHECKED;
struct server_core *core_host_core(struct core_host *host); /* NULL while there is none */

struct core_host_stats {
    bool is_ready;
    uint64_t steps, resets;
    size_t batches; /* under way */
    struct store_writer_stats writer;
};
struct core_host_stats core_host_stats(struct core_host *host);

#endif
