/* Runs the agent's core on the loop: events in, changes to the journal's thread, outputs out after
 * their commit, in order. The agent's twin of server/core_host.h.
 *
 * Invariants
 *  1. An output leaves only when the change of its step, and those of all earlier steps, are
 *     durable.
 *  2. When a change is stale or fails, the core and every unreleased output are dropped; the
 *     journal is probed until it can be written, and a new core is loaded from it.
 *  3. While there is no core, agent_host_step refuses (ERR_BUSY); nothing is lost by that: all that
 *     matters is asked or told again.
 *  4. A journal that cannot be read any more is moved aside, and an empty one takes its place; the
 *     core then gives it a new id, and the server hears of the loss by that.
 * Loop thread only. */
#ifndef LQ_AGENT_HOST_H
#define LQ_AGENT_HOST_H

#include "core/agent.h"
#include "port/loop.h"

struct agent_host;

enum {
    AGENT_HOST_BATCHES_MAX = 4000, /* steps whose changes are under way; below JOURNAL_QUEUE_MAX */
    AGENT_HOST_PROBE_MS = 1000,    /* between tries to write again after a failure */
};

struct agent_host_events {
    /* Each row of the journal, while a core is loaded. */
    void (*on_row)(void *context, const struct journal_attempt *row);
    void (*on_output)(void *context, const struct agent_output *output);
    /* Durable now; before the outputs of the same step. */
    void (*on_durable)(void *context, const struct journal_change *change);
    /* The core is gone; what it asked for is answered to nobody. */
    void (*on_reset)(void *context, enum err why);
    void (*on_ready)(void *context); /* a core is loaded and started */
    /* The journal was damaged and a new one begins. */
    void (*on_journal_lost)(void *context, const struct fault *fault);
};

/* `path` of the journal, `site` and `settings` are copied or outlive the host (borrowed: site).
 * Loads at once. ERR_BUSY (another process has the journal), ERR_INVALID (of another site or kind),
 * ERR_UNSUPPORTED, ERR_FULL, ERR_IO, ERR_NO_MEMORY. */
enum err agent_host_create(struct loop *loop, const char *path, const struct site *site,
                           const struct agent_settings *settings,
                           const struct agent_host_events *events, void *context,
                           struct fault *fault, struct agent_host **out_host) LQ_CHECKED;
/* Waits for what the journal has; unreleased outputs are not released any more. Accepts NULL. */
void agent_host_destroy(struct agent_host *host);
/* ERR_BUSY: too much under way, or no core now; nothing happened. */
enum err agent_host_step(struct agent_host *host, const struct agent_event *event) LQ_CHECKED;
/* Answers AGENT_READ_USAGE: the records come back to the core as AGENT_USAGE. */
void agent_host_read_usage(struct agent_host *host, uint64_t after);
const struct agent_core *agent_host_core(const struct agent_host *host); /* NULL: none now */
/* Rises with each core: what an earlier one asked for is not told to a later one. */
uint64_t agent_host_generation(const struct agent_host *host);

#endif
