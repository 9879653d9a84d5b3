/* A Lagrangian bound on what any packing can allocate, devices alone (cores, memory, models and
 * nodes relaxed; a job of several devices counts as so many whole ones).
 *
 * Pieces of size s come n_s times; a device of capacity C holds pieces of at most C in all. For any
 * prices 0 <= y_s <= s,
 *
 *     allocated <= sum_s y_s n_s + devices * max over contents of a device of sum (s - y_s)
 *
 * since a device earns at most the maximum in s - y, and the pieces placed at most y each. Every y
 * gives a true bound; the least over y is the bound of the linear programme over all contents of a
 * device (configuration LP). The maximum is an unbounded knapsack over at most 1000 sizes; y moves
 * by subgradient. All in integers of 1/SCALE milli. */
#include <string.h>

#include "sim/pack.h"

enum { SCALE = 1000, STEPS = 2000, SIZES = VALUE_DEVICE_MILLI + 1 };

struct bound {
    int64_t count[SIZES];  /* pieces of the size */
    int64_t price[SIZES];  /* y */
    int64_t best[SIZES];   /* knapsack: most value within so much */
    uint16_t last[SIZES];  /* the piece added last there; 0: none */
    uint16_t used[SIZES];  /* of each size in the best contents */
    uint16_t sizes[SIZES]; /* those that come */
    size_t size_count;
};

/* Fills `used`; returns the value of the best contents. */
static int64_t knapsack(struct bound *bound)
{
    bound->best[0] = 0;
    for (size_t room = 1; room < SIZES; room++) {
        bound->best[room] = bound->best[room - 1];
        bound->last[room] = 0;
        for (size_t i = 0; i < bound->size_count; i++) {
            size_t size = bound->sizes[i];
            if (size > room)
                break;
            int64_t value = bound->best[room - size] + (int64_t)size * SCALE - bound->price[size];
            if (value > bound->best[room]) {
                bound->best[room] = value;
                bound->last[room] = (uint16_t)size;
            }
        }
    }
    memset(bound->used, 0, sizeof(bound->used));
    for (size_t room = SIZES - 1; room > 0;) {
        if (bound->last[room] > 0)
            bound->used[bound->last[room]]++;
        room -= bound->last[room] > 0 ? bound->last[room] : 1;
    }
    return bound->best[SIZES - 1];
}

int64_t pack_bound(const struct pack_fleet *fleet, const struct pack_list *arrivals)
{
    struct bound bound = {0};
    int64_t least = fleet->device_count * VALUE_DEVICE_MILLI * SCALE;

    for (size_t i = 0; i < arrivals->pod_count; i++)
        bound.count[arrivals->pods[i].shape.device_milli] += arrivals->pods[i].shape.device_count;
    for (size_t size = 1; size < SIZES; size++)
        if (bound.count[size] > 0)
            bound.sizes[bound.size_count++] = (uint16_t)size;
    for (int64_t step = 1; step <= STEPS; step++) {
        int64_t total = fleet->device_count * knapsack(&bound), norm = 1;
        for (size_t i = 0; i < bound.size_count; i++)
            total += bound.price[bound.sizes[i]] * bound.count[bound.sizes[i]];
        if (total < least)
            least = total;
        /* A price goes up where the devices would hold more of the size than there is. */
        for (size_t i = 0; i < bound.size_count; i++) {
            int64_t over =
                fleet->device_count * bound.used[bound.sizes[i]] - bound.count[bound.sizes[i]];
            over = over < 0 ? -over : over;
            norm = over > norm ? over : norm;
        }
        for (size_t i = 0; i < bound.size_count; i++) {
            size_t size = bound.sizes[i];
            int64_t over = fleet->device_count * bound.used[size] - bound.count[size];
            int64_t price = bound.price[size] + over * SCALE * 100 / (1 + step / 10) / norm;
            bound.price[size] = price < 0                       ? 0
                                : price > (int64_t)size * SCALE ? (int64_t)size * SCALE
                                                                : price;
        }
    }
    return (least + SCALE - 1) / SCALE;
}
