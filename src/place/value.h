/* What a node is worth to the work that is still to come: the milli-devices that will be left over
 * on it once random work of the known mix has filled it.
 *
 *     left(n) = mean over ROUNDS of the free device milli of n after the round's jobs, in their
 *               order, have each been put on n where they fit
 *
 * Placing a job j on n strands left(n after j) - left(n) milli-devices on average; the node where
 * that is least is the one to choose. Reason: every milli-device is either taken by some job in the
 * end or left over, so what is lost is exactly the sum of what is left on each node, and a choice
 * changes that sum by the change on the chosen node. Cores, memory, whole and shared devices and
 * models need no weights of their own: a node without cores has devices that nobody can fill, and
 * that is what the filling finds. Nothing is known of the jobs to come but the mix they are of.
 *
 * What a round is depends on what runs out first when all the work of the mix comes to all nodes:
 * - devices: of the jobs that come, a node gets those that suit it, for the fleet has more nodes
 *   than one to put each on. A round is a small sample of the mix with the most devices first, so
 *   that filling by it is close to the best choice of the sample. Jobs without devices come last:
 *   there are cores for them elsewhere. Between nodes
 *   that the rounds can hardly tell apart a job with devices takes the fuller one, which keeps
 *   whole nodes for those that need them: each free device adds a small price to value_cost.
 * - cores (the mix asks for more of them a device than the fleet has): nothing is left to choose
 *   from. A round is a long sample in random order, jobs without devices among them.
 *
 * The rounds are drawn once a mix and are the same for every node (common random numbers): two
 * nodes meet the same jobs in the same order, so their difference is much more exact than either.
 *
 * Invariants
 * 1. Integers only; the same mix, seed and node give the same value on every host.
 * 2. Values are remembered by what the node has free, devices in order of size: nodes in the same
 *    state cost one filling.
 *
 * Owns its memory; not thread-safe. */
#ifndef LQ_PLACE_VALUE_H
#define LQ_PLACE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    VALUE_DEVICES_MAX = 16,
    VALUE_MODELS_MAX = 64,
    VALUE_DEVICE_MILLI = 1000,
};

/* What one kind of job wants of one node. */
struct value_shape {
    int64_t cpu_milli, memory_mib;
    uint32_t device_count;
    uint32_t device_milli; /* of each; below VALUE_DEVICE_MILLI only with one device */
    uint64_t models;       /* a bit a device model; only asked where device_count > 0 */
};

/* What a node has free. */
struct value_node {
    int64_t cpu_milli, memory_mib;
    uint32_t model; /* < VALUE_MODELS_MAX */
    uint32_t device_count;
    uint16_t free_milli[VALUE_DEVICES_MAX];
};

/* Whether the shape fits now. */
bool value_fits(const struct value_node *node, const struct value_shape *shape);
/* Takes what the shape wants; a shared device is `device`, whole ones are the lowest that are
 * entirely free. Must fit. Returns the devices, a bit each. */
uint32_t value_take(struct value_node *node, const struct value_shape *shape, uint32_t device);

struct value;

enum err value_create(struct value **out) LQ_CHECKED; /* an empty mix: all is left over */
void value_destroy(struct value *value);              /* accepts NULL */
/* The mix from now on: shape i comes with a share of weights[i] / sum. `cpu_milli_per_device`: what
 * the fleet has of cores for each device. Same arguments, same rounds. ERR_NO_MEMORY: the mix
 * before stands. */
enum err value_mix(struct value *value, const struct value_shape *shapes, const uint64_t *weights,
                   size_t count, int64_t cpu_milli_per_device) LQ_CHECKED;
/* Milli-devices expected to be left over on the node, times value_scale(). */
int64_t value_left(struct value *value, const struct value_node *node);
int64_t value_scale(const struct value *value);
/* Change of value_left when the shape is put on the node, on the best of its devices (that one in
 * *out_device), and the price of opening the node. Must fit. */
int64_t value_cost(struct value *value, const struct value_node *node,
                   const struct value_shape *shape, uint32_t *out_device);

#endif
