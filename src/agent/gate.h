/* The start gate's door: a unix socket on which supervisors speak, one JSON object a line
 * (wire/gate.h).
 *
 * Invariants
 *  1. At most GATE_CONNECTIONS_MAX connections and GATE_LINE_MAX bytes of a line each; only
 *     processes of our own user (or root) are heard.
 *  2. An answer goes to the newest connection on which the (token, rank, incarnation) spoke with
 *     the attempt's secret; without one it is dropped, for supervisors ask again.
 * Loop thread only. */
#ifndef LQ_AGENT_GATE_H
#define LQ_AGENT_GATE_H

#include "port/loop.h"
#include "wire/gate.h"

struct gate;

enum { GATE_CONNECTIONS_MAX = 8192, GATE_ARENA_BYTES = 1 << 20 };

struct gate_events {
    /* May this message count? The secret of a known attempt must be right. */
    bool (*is_genuine)(void *context, const struct gate_message *message);
    void (*on_message)(void *context, const struct gate_message *message);
};

/* Listens at `path` with mode 0600. ERR_BUSY (somebody answers there), ERR_INVALID (too long a
 * path), ERR_IO, ERR_NO_MEMORY. */
enum err gate_open(struct loop *loop, const char *path, const struct gate_events *events,
                   void *context, struct fault *fault, struct gate **out_gate) LQ_CHECKED;
void gate_close(struct gate *gate); /* accepts NULL; supervisors connect again to the next agent */
void gate_send(struct gate *gate, const struct gate_message *message);

#endif
