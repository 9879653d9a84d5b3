/* The members of a gang training one model together: each computes its share of the batch, node 0
 * adds the gradients up in rank order and sends the mean back (a star over TCP).
 *
 * Where the gang comes from: LQ_NUM_NODES, LQ_NODE_RANK and LQ_NODE_ADDRS (one address a node in
 * rank order, parted by commas or newlines; HOST, HOST:PORT or [V6]:PORT). Node 0 listens on its
 * own address; a missing port means LM_GANG_PORT.
 *
 * Invariants
 * 1. Every member leaves every step with the same bits: they all take node 0's sums.
 * 2. Only node 0 keeps checkpoints; the others receive its state when they join.
 * 3. A member that hears nothing for LM_GANG_SILENCE_S gives up: its scheduler starts it anew.
 * The link is neither encrypted nor authenticated: it is for a private network between nodes.
 * One thread. */
#ifndef LM_GANG_H
#define LM_GANG_H

#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "real.h"

enum {
    LM_GANG_NODES_MAX = 64,
    LM_GANG_PORT = 29417,
    LM_GANG_SILENCE_S = 60,
    LM_GANG_ADDRESS_MAX = 256,
};

struct lm_gang;

struct lm_gang_place {
    uint32_t nodes, rank;
    char address[LM_GANG_ADDRESS_MAX]; /* of node 0: host */
    char port[8];
};

/* Reads the three values (NULL: not set). nodes is 1 when there is no gang. */
bool lm_gang_place_parse(struct lm_gang_place *out_place, const char *num_nodes, const char *rank,
                         const char *addresses, struct lm_fault *fault) LM_CHECKED;

/* Meets the others: waits up to LM_GANG_SILENCE_S for all. `identity` must be equal on all (a hash
 * of recipe and corpus). NULL with the fault filled otherwise. */
struct lm_gang *lm_gang_join(const struct lm_gang_place *place, uint64_t identity,
                             struct lm_fault *fault) LM_CHECKED;
void lm_gang_leave(struct lm_gang *gang); /* accepts NULL */

uint32_t lm_gang_nodes(const struct lm_gang *gang);
uint32_t lm_gang_rank(const struct lm_gang *gang);

/* Node 0's bytes replace everyone's. */
bool lm_gang_share(struct lm_gang *gang, void *bytes, size_t len,
                   struct lm_fault *fault) LM_CHECKED;

/* values and *loss become the means over all members; *stop becomes whether any wants to stop. All
 * must be at the same step. */
bool lm_gang_mean(struct lm_gang *gang, uint64_t step, lm_real *values, size_t len, double *loss,
                  bool *stop, struct lm_fault *fault) LM_CHECKED;

#endif
