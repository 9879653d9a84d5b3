/* What one node has for the pool, as its site measures it: what is there, less foreign load. The
 * pool's own commitments are NOT taken off: the placement engine keeps those books itself. */
#ifndef LQ_MODEL_CAPACITY_H
#define LQ_MODEL_CAPACITY_H

#include "model/attempt.h"

struct sync_node {
    uint16_t node; /* index into the site's node list */
    bool is_up;
    uint32_t cpu_milli_free;
    uint64_t mem_bytes_free;
    uint8_t devices_free_count;
    uint8_t devices_free[RANK_DEVICES_MAX];
};

#endif
