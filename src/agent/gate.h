/* The start gate's doors: a unix socket on which supervisors of this machine speak, one JSON object
 * a line (wire/gate.h), and an address of the cluster's network for those on other machines, where
 * every line is sealed (wire/gate_seal.h).
 *
 * Invariants
 *  1. At most GATE_CONNECTIONS_MAX connections and GATE_LINE_MAX bytes of a line each. On the
 *     socket only processes of our own user (or root) are heard; on the network only those that
 *     prove the secret of the attempt that they name, and of who has yet to prove it there are at
 *     most GATE_STRANGERS_MAX: the oldest goes for a newer one.
 *  2. An answer goes to the newest connection on which the (token, rank, incarnation) spoke with
 *     the attempt's secret; without one it is dropped, for supervisors ask again.
 * Loop thread only. */
#ifndef LQ_AGENT_GATE_H
#define LQ_AGENT_GATE_H

#include "port/loop.h"
#include "wire/gate.h"

struct gate;

enum { GATE_CONNECTIONS_MAX = 8192, GATE_STRANGERS_MAX = 256, GATE_ARENA_BYTES = 1 << 20 };

struct gate_events {
    /* May this message count? The secret of a known attempt must be right. */
    bool (*is_genuine)(void *context, const struct gate_message *message);
    void (*on_message)(void *context, const struct gate_message *message);
    /* The secret of an attempt, for the network; empty: nobody may speak for it there. */
    struct slice (*secret_of)(void *context, const struct attempt_token *token);
};

/* Listens at `path` with mode 0600. ERR_BUSY (somebody answers there), ERR_INVALID (too long a
 * path), ERR_IO, ERR_NO_MEMORY. */
enum err gate_open(struct loop *loop, const char *path, const struct gate_events *events,
                   void *context, struct fault *fault, struct gate **out_gate) LQ_CHECKED;
/* Opens the second door, at "10.0.0.5:7711"; once. ERR_INVALID, ERR_BUSY, ERR_DENIED, ERR_IO,
 * ERR_NO_MEMORY. */
enum err gate_open_network(struct gate *gate, const char *endpoint, struct fault *fault) LQ_CHECKED;
void gate_close(struct gate *gate); /* accepts NULL; supervisors connect again to the next agent */
void gate_send(struct gate *gate, const struct gate_message *message);

#endif
