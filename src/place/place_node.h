/* Nodes of a site, and stocks: nodes with the same chip in buckets by what they have free. Private
 * to src/place; see place_state.h.
 *
 * Books: a node's free capacity is min(its size, what the site measured) less what our holds take.
 */
#ifndef LQ_PLACE_NODE_H
#define LQ_PLACE_NODE_H

#include "place/place.h"

struct place_hold;
struct place_option;
struct place_site;

enum {
    PLACE_LEVELS = RANK_DEVICES_MAX + 1, /* free devices of a node */
    PLACE_GRADES = 8,                    /* of free cores, and of free memory */
    PLACE_BUCKETS = PLACE_GRADES * PLACE_GRADES,
};

struct place_node {
    uint32_t cpu_milli, cpu_milli_seen, cpu_milli_used;
    uint64_t mem_bytes, mem_bytes_seen, mem_bytes_used;
    uint16_t devices, devices_seen, devices_used; /* bit masks */
    bool is_up;
    bool is_reserved; /* for a blocked head: in no bucket */
    bool is_listed;   /* in a bucket of its stock */
    uint8_t stock;
    uint8_t level, bucket; /* where it is listed */
    uint16_t slot;         /* its number within the stock */
    uint16_t first_rank;
    struct place_hold *first; /* of the ranks on it, in no order that shows; NULL: none */
    int64_t end_ms, limit_ms; /* of those ranks, the latest end at the limit (wall) and the longest
                                 limit; INT64_MIN, 0: none */
};

/* Nodes of one site with the same chip (or none), by free devices (level), and by free cores and
 * memory, each in eight grades: nothing much, then from 1/128, 1/64, ... 1/2 of the largest node's.
 * A bucket is a grade of cores and a grade of memory. */
struct place_stock {
    enum runtime runtime;
    uint16_t accelerator; /* index into the placer's names; 0: none */
    uint8_t levels;       /* most devices of a node, and one */
    uint32_t node_count, words;
    uint32_t cpu_milli_max;
    uint64_t mem_bytes_max;
    uint16_t *nodes;                   /* slot -> index into the site's nodes, ascending */
    uint32_t at_least[PLACE_LEVELS];   /* listed nodes with so many devices free */
    uint64_t filled[PLACE_LEVELS];     /* bits: buckets that are not empty */
    uint16_t (*counts)[PLACE_BUCKETS]; /* [level][bucket] */
    uint64_t *bits;                    /* [level][bucket][word]: slots */
    struct place_make {                /* nodes that are alike, for what would fit were it empty */
        uint32_t cpu_milli, devices, count;
        uint64_t mem_bytes;
    } * makes;
    uint32_t make_count;
};

/* What one rank needs of a node. */
struct place_need {
    uint32_t cpu_milli, devices, ranks;
    uint64_t mem_bytes;
    enum runtime runtime; /* with devices, or else any node for cpu and opencl */
};

/* Buckets of a stock in which nodes may fit, and in which all do. */
struct place_reach {
    uint64_t maybe, surely;
};

/* Lists the site's nodes anew. ERR_NO_MEMORY. */
enum err stock_build(struct place_site *site, const uint16_t *accelerators,
                     const enum runtime *runtimes) LQ_CHECKED;
void stock_free(struct place_site *site);
/* What the node has free, or whether it may be used, is another now. */
void stock_update(struct place_site *site, uint32_t node);
struct place_reach stock_reach(const struct place_stock *stock, const struct place_need *need);
/* The best nodes that are not reserved, in order: fewest devices left over, then fewest cores, then
 * least memory (by grade), then the first. UINT32_MAX: too few;
 * else the devices left over in all. `out_nodes` may be NULL. */
uint32_t stock_pick(const struct place_option *option, uint16_t *out_nodes);
/* How many nodes would do, counted up to `max`. */
uint32_t stock_count(const struct place_option *option, uint32_t max);
/* Up to `max` nodes that are not reserved, roughly those with the most free first. */
uint32_t stock_emptiest(const struct place_option *option, uint32_t max, uint16_t *out_nodes);
/* Nodes that would do, were the site empty. */
uint32_t stock_capacity(const struct place_stock *stock, const struct place_need *need);
bool stock_suits(const struct placer *placer, const struct place_stock *stock,
                 const struct job_variant *variant);
static inline uint32_t place_node_cpu_free(const struct place_node *node)
{
    return node->is_up && node->cpu_milli_seen > node->cpu_milli_used
               ? node->cpu_milli_seen - node->cpu_milli_used
               : 0;
}

static inline uint64_t place_node_mem_free(const struct place_node *node)
{
    return node->is_up && node->mem_bytes_seen > node->mem_bytes_used
               ? node->mem_bytes_seen - node->mem_bytes_used
               : 0;
}

static inline uint16_t place_node_devices_free(const struct place_node *node)
{
    return node->is_up ? (uint16_t)(node->devices_seen & ~node->devices_used) : 0;
}

static inline uint32_t place_node_device_count(const struct place_node *node)
{
    uint32_t bits = place_node_devices_free(node); /* counted by hand: not every machine can */
    bits = bits - (bits >> 1 & 0x5555);
    bits = (bits & 0x3333) + (bits >> 2 & 0x3333);
    bits = (bits + (bits >> 4)) & 0x0f0f;
    return (bits + (bits >> 8)) & 0x1f;
}

static inline bool stock_node_fits(const struct place_node *node, const struct place_need *need)
{
    return place_node_cpu_free(node) >= need->cpu_milli &&
           place_node_mem_free(node) >= need->mem_bytes &&
           place_node_device_count(node) >= need->devices;
}

void place_node_take(struct place_node *node, uint32_t cpu_milli, uint64_t mem_bytes,
                     const struct rank_place *place);
void place_node_give(struct place_node *node, uint32_t cpu_milli, uint64_t mem_bytes,
                     const struct rank_place *place);
/* Takes or gives all ranks of a hold, and lists their nodes anew. */
void place_hold_nodes(struct place_hold *hold, bool is_taken);
/* The hold counts from another time now. */
void place_hold_since(struct place_hold *hold, struct wall_us since);
/* When a node has nothing left that runs now, if all goes to its limit; as place_hold_end. */
int64_t place_node_end(const struct place_node *node, int64_t now_ms);

#endif
