/* The packing experiment (`lq sim pack`): a fleet of nodes, jobs ("pods") that arrive one at a time
 * and never leave. Each is placed by place/value where it strands the least; one that fits
 * anywhere is always placed, none is ever moved, one that fits nowhere is dropped. The figure is
 * the share of the fleet's devices that is allocated when the last has arrived.
 *
 * Deterministic: the same nodes, pods and seed give the same placements. Not thread-safe. */
#ifndef LQ_SIM_PACK_H
#define LQ_SIM_PACK_H

#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/err.h"
#include "place/value.h"

enum {
    PACK_NODES_MAX = 1 << 17,
    PACK_PODS_MAX = 1 << 22,
    PACK_FILE_BYTES_MAX = 1 << 28,
};

struct pack_node {
    struct slice name;
    struct value_node whole;
};

struct pack_pod {
    struct slice name;
    struct value_shape shape;
    uint32_t shape_id; /* the same for the same shape */
};

/* Names live as long as the arena they were read into. */
struct pack_fleet {
    struct pack_node *nodes;
    size_t node_count;
    int64_t device_count;
    struct slice models[VALUE_MODELS_MAX];
    uint32_t model_count;
};

struct pack_list {
    struct pack_pod *pods;
    size_t pod_count;
    struct value_shape *shapes; /* by shape_id, in order of first appearance */
    size_t shape_count;
};

/* ---- pack_read.c: columns by name, in any order, others ignored. The fault has line and column.
 * A pod that names only models the fleet has not, fits nowhere; that is no error. Nodes' names are
 * unique, pods' need not be. */
enum err pack_fleet_read(struct slice csv, struct arena *arena, struct pack_fleet *out,
                         struct fault *fault) LQ_CHECKED;
enum err pack_list_read(struct slice csv, const struct pack_fleet *fleet, struct arena *arena,
                        struct pack_list *out, struct fault *fault) LQ_CHECKED;

/* ---- pack_arrivals.c */
/* The list's pods in random order, then pods drawn from it with replacement until the next would
 * pass `demand_ppm` millionths of the fleet's devices; a list over that loses pods at random
 * places until it is not. The exact rules are those of the published experiment. */
enum err pack_inflate(const struct pack_list *list, const struct pack_fleet *fleet,
                      uint64_t demand_ppm, uint64_t seed, struct arena *arena,
                      struct pack_list *out) LQ_CHECKED;

/* ---- pack.c */
struct pack_result {
    int64_t devices_milli;   /* the fleet's */
    int64_t arrived_milli;   /* asked for by all pods */
    int64_t allocated_milli; /* held by those placed */
    uint64_t placed, dropped;
};

/* `mix`: the list the arrivals are drawn of; NULL: learned from the arrivals as they come.
 * `placements`: gets a line `name,node,devices` for each pod placed; may be NULL. */
enum err pack_run(const struct pack_fleet *fleet, const struct pack_list *arrivals,
                  const struct pack_list *mix, struct buffer *placements,
                  struct pack_result *out) LQ_CHECKED;

/* ---- pack_bound.c */
/* No packing of these pods, even of a chosen part of them and knowing all, allocates more device
 * milli than this. */
int64_t pack_bound(const struct pack_fleet *fleet, const struct pack_list *arrivals);

#endif
