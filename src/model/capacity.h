/* What one node has for the pool, as its site measures it: what is there, less foreign load. The
 * pool's own commitments are NOT taken off: the placement engine keeps those books itself. */
#ifndef LQ_MODEL_CAPACITY_H
#define LQ_MODEL_CAPACITY_H

#include "model/attempt.h"

/* What a node is used for, apart from what it has free. On a host the owner holds what its
 * processes use; in a cluster, what its engine gave to others than the pool. */
struct node_load {
    bool is_known; /* the node is there, and the figures hold */
    bool has_busy; /* the two busy ones are measured */
    uint32_t owner_cpu_milli, owner_devices;
    uint32_t owner_busy_cpu_milli, pool_busy_cpu_milli;
};

struct sync_node {
    uint16_t node; /* index into the site's node list */
    bool is_up;
    uint32_t cpu_milli_free;
    uint64_t mem_bytes_free;
    uint8_t devices_free_count;
    uint8_t devices_free[RANK_DEVICES_MAX];
    struct node_load load;
};

#endif
