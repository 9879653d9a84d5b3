#include "place/value.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/random.h"

/* More rounds: less noise, more time. Where devices are scarce a round is what one node can choose
 * from; how much that is, is not known, so every other round is half as long. Where cores are, it
 * is longer than any node takes jobs, so that it ends with the node full for nearly everything.
 * OPEN_MILLI is about what so few rounds cannot tell apart. */
enum {
    ROUNDS = 24,
    CHOSEN_JOBS = 64,
    RANDOM_JOBS = 128,
    OPEN_MILLI = 8,
    VALUE_SEED = 1,
    STATES_MAX = 1 << 20,
};

struct draw {
    int64_t cpu_milli, memory_mib;
    uint64_t models;
    uint16_t device_count, device_milli;
    uint16_t rest_device_milli; /* the least that a draw with devices asks for, */
    int64_t rest_cpu_milli;     /* from here to the end of the round */
};

struct value {
    struct draw *draws; /* ROUNDS of round_jobs; NULL: no mix yet */
    size_t round_jobs;
    bool is_random; /* rounds in random order */
    struct u64map states;
};

bool value_fits(const struct value_node *node, const struct value_shape *shape)
{
    uint32_t fitting = 0;

    if (node->cpu_milli < shape->cpu_milli || node->memory_mib < shape->memory_mib)
        return false;
    if (shape->device_count == 0)
        return true;
    if ((shape->models >> node->model & 1) == 0)
        return false;
    for (uint32_t i = 0; i < node->device_count; i++)
        fitting += node->free_milli[i] >= shape->device_milli;
    return fitting >= shape->device_count;
}

uint32_t value_take(struct value_node *node, const struct value_shape *shape, uint32_t device)
{
    uint32_t taken = 0, count = 0;

    node->cpu_milli -= shape->cpu_milli;
    node->memory_mib -= shape->memory_mib;
    if (shape->device_count == 1) {
        ASSERT(device < node->device_count && node->free_milli[device] >= shape->device_milli);
        node->free_milli[device] = (uint16_t)(node->free_milli[device] - shape->device_milli);
        return (uint32_t)1 << device;
    }
    for (uint32_t i = 0; i < node->device_count && count < shape->device_count; i++)
        if (node->free_milli[i] >= shape->device_milli) {
            node->free_milli[i] = (uint16_t)(node->free_milli[i] - shape->device_milli);
            taken |= (uint32_t)1 << i;
            count++;
        }
    ASSERT(count == shape->device_count);
    return taken;
}

enum err value_create(struct value **out)
{
    struct value *value = calloc(1, sizeof(*value));
    if (value == NULL)
        return ERR_NO_MEMORY;
    u64map_init(&value->states, STATES_MAX, 0);
    *out = value;
    return ERR_OK;
}

void value_destroy(struct value *value)
{
    if (value == NULL)
        return;
    u64map_deinit(&value->states);
    free(value->draws);
    free(value);
}

/* Every draw_count-th part of the mix gives one job (systematic sampling: the rounds together are
 * the mix, not a sample of it); the order is random. */
static void draw_mix(struct draw *draws, size_t draw_count, const struct value_shape *shapes,
                     const uint64_t *weights, size_t count)
{
    struct random random;
    uint64_t total = 0, seen = 0;
    size_t at = 0;

    for (size_t i = 0; i < count; i++)
        total += weights[i];
    ASSERT(total > 0 && total < UINT64_MAX / draw_count / 2);
    for (size_t i = 0; i < count; i++) {
        seen += weights[i];
        for (; at < draw_count && (2 * at + 1) * total < 2 * draw_count * seen; at++)
            draws[at] = (struct draw){.cpu_milli = shapes[i].cpu_milli,
                                      .memory_mib = shapes[i].memory_mib,
                                      .models = shapes[i].models,
                                      .device_count = (uint16_t)shapes[i].device_count,
                                      .device_milli = (uint16_t)shapes[i].device_milli};
    }
    ASSERT(at == draw_count);
    random_init(&random, VALUE_SEED);
    for (size_t i = draw_count - 1; i > 0; i--) {
        size_t j = random_below(&random, i + 1);
        struct draw held = draws[i];
        draws[i] = draws[j];
        draws[j] = held;
    }
}

static uint32_t draw_milli(const struct draw *draw)
{
    return (uint32_t)draw->device_count * draw->device_milli;
}

/* How many jobs of its room a round has. */
static size_t round_length(const struct value *value, size_t round)
{
    return value->is_random || round % 2 == 1 ? value->round_jobs : value->round_jobs / 2;
}

/* Most devices first; the order of equals stays. */
static void sort_round(struct draw *draws, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct draw held = draws[i];
        size_t j = i;
        for (; j > 0 && draw_milli(&draws[j - 1]) < draw_milli(&held); j--)
            draws[j] = draws[j - 1];
        draws[j] = held;
    }
}

/* With less free than the rest of a round asks for at least a node is done. */
static void find_rests(struct draw *draws, size_t count)
{
    int64_t cpu_milli = INT64_MAX;
    uint16_t device_milli = UINT16_MAX;
    for (size_t i = count; i-- > 0;) {
        if (draws[i].device_count > 0 && draws[i].cpu_milli < cpu_milli)
            cpu_milli = draws[i].cpu_milli;
        if (draws[i].device_count > 0 && draws[i].device_milli < device_milli)
            device_milli = draws[i].device_milli;
        draws[i].rest_cpu_milli = cpu_milli;
        draws[i].rest_device_milli = device_milli;
    }
}

/* Whether the mix asks for more cores a device than there are: then cores run out first. */
static bool is_short_of_cores(const struct value_shape *shapes, const uint64_t *weights,
                              size_t count, int64_t cpu_milli_per_device)
{
    __int128 cpu_milli = 0, device_milli = 0;
    for (size_t i = 0; i < count; i++) {
        cpu_milli += (__int128)shapes[i].cpu_milli * weights[i];
        device_milli +=
            (__int128)((uint64_t)shapes[i].device_count * shapes[i].device_milli) * weights[i];
    }
    return cpu_milli * VALUE_DEVICE_MILLI > device_milli * cpu_milli_per_device;
}

enum err value_mix(struct value *value, const struct value_shape *shapes, const uint64_t *weights,
                   size_t count, int64_t cpu_milli_per_device)
{
    bool is_random = is_short_of_cores(shapes, weights, count, cpu_milli_per_device);
    size_t round_jobs = is_random ? RANDOM_JOBS : CHOSEN_JOBS;
    struct draw *draws = calloc(ROUNDS * round_jobs, sizeof(*draws));

    if (draws == NULL)
        return ERR_NO_MEMORY;
    draw_mix(draws, ROUNDS * round_jobs, shapes, weights, count);
    free(value->draws);
    value->draws = draws;
    value->round_jobs = round_jobs;
    value->is_random = is_random;
    for (size_t round = 0; round < ROUNDS; round++) {
        if (!is_random)
            sort_round(draws + round * round_jobs, round_length(value, round));
        find_rests(draws + round * round_jobs, round_length(value, round));
    }
    u64map_clear(&value->states);
    return ERR_OK;
}

int64_t value_scale(const struct value *value)
{
    (void)value;
    return ROUNDS;
}

/* Devices from the least free to the most: the first that fits is the tightest. */
static void sort_devices(struct value_node *node)
{
    for (uint32_t i = 1; i < node->device_count; i++) {
        uint16_t free_milli = node->free_milli[i];
        uint32_t j = i;
        for (; j > 0 && node->free_milli[j - 1] > free_milli; j--)
            node->free_milli[j] = node->free_milli[j - 1];
        node->free_milli[j] = free_milli;
    }
}

/* Of a round with the most devices first: the first draw that asks for no more of a device. */
static size_t find_start(const struct draw *draws, size_t count, uint16_t free_milli)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (draws[middle].device_milli > free_milli)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Of a sorted node the free milli after one round. */
static int64_t fill(const struct value *value, struct value_node node, size_t round)
{
    const struct draw *draws = &value->draws[round * value->round_jobs];
    size_t jobs = round_length(value, round);
    int64_t left = 0;
    uint16_t *free_milli = node.free_milli;
    uint32_t first = 0, count = node.device_count; /* those before `first` are full */

    for (uint32_t i = 0; i < count; i++)
        left += free_milli[i];
    while (first < count && free_milli[first] == 0)
        first++;
    size_t start =
        value->is_random || count == 0 ? 0 : find_start(draws, jobs, free_milli[count - 1]);
    for (size_t k = start; k < jobs && first < count; k++) {
        const struct draw *draw = &draws[k];
        if (node.cpu_milli < draw->rest_cpu_milli ||
            free_milli[count - 1] < draw->rest_device_milli)
            break;
        if (draw->device_milli > free_milli[count - 1])
            continue;
        if (draw->cpu_milli > node.cpu_milli || draw->memory_mib > node.memory_mib)
            continue;
        if (draw->device_count > 0) {
            uint32_t i = first;
            if ((draw->models >> node.model & 1) == 0)
                continue;
            while (i < count && free_milli[i] < draw->device_milli)
                i++;
            if (count - i < draw->device_count)
                continue;
            for (uint32_t n = 0; n < draw->device_count; n++, i++) {
                uint16_t rest = (uint16_t)(free_milli[i] - draw->device_milli);
                uint32_t j = i;
                for (; j > first && free_milli[j - 1] > rest; j--)
                    free_milli[j] = free_milli[j - 1];
                free_milli[j] = rest;
                first += rest == 0;
            }
            left -= (int64_t)draw->device_count * draw->device_milli;
        }
        node.cpu_milli -= draw->cpu_milli;
        node.memory_mib -= draw->memory_mib;
    }
    return left;
}

int64_t value_left(struct value *value, const struct value_node *node)
{
    struct value_node state = {.cpu_milli = node->cpu_milli,
                               .memory_mib = node->memory_mib,
                               .model = node->model,
                               .device_count = node->device_count};
    int64_t left = 0;

    memcpy(state.free_milli, node->free_milli, node->device_count * sizeof(state.free_milli[0]));
    sort_devices(&state);
    uint64_t key = hash_bytes(slice_make(&state, sizeof(state)), 0);
    void *known = u64map_get(&value->states, key);
    if (known != NULL)
        return (int64_t)(intptr_t)known - 1;
    if (value->draws == NULL) {
        for (uint32_t i = 0; i < state.device_count; i++)
            left += state.free_milli[i];
        return left * ROUNDS;
    }
    for (size_t round = 0; round < ROUNDS; round++)
        left += fill(value, state, round);
    if (u64map_count(&value->states) == STATES_MAX)
        u64map_clear(&value->states);
    if (u64map_put(&value->states, key, (void *)(intptr_t)(left + 1)) != ERR_OK)
        u64map_clear(
            &value->states); /* no memory: it is only a memory of what can be found again */
    return left;
}

/* For a job with devices that chooses: OPEN_MILLI for each device's worth that is free. */
static int64_t open_price(const struct value *value, const struct value_node *node,
                          const struct value_shape *shape)
{
    int64_t free_milli = 0;
    if (value->is_random || shape->device_count == 0)
        return 0;
    for (uint32_t i = 0; i < node->device_count; i++)
        free_milli += node->free_milli[i];
    return free_milli * OPEN_MILLI * ROUNDS / VALUE_DEVICE_MILLI;
}

int64_t value_cost(struct value *value, const struct value_node *node,
                   const struct value_shape *shape, uint32_t *out_device)
{
    int64_t best = INT64_MAX;
    uint32_t best_device = 0;
    uint64_t seen = 0; /* devices alike to an earlier one need no second look */

    for (uint32_t i = 0; i < node->device_count; i++) {
        bool is_again = false;
        if (shape->device_count == 1 && node->free_milli[i] < shape->device_milli)
            continue;
        for (uint32_t j = 0; j < i; j++)
            is_again = is_again || ((seen >> j & 1) && node->free_milli[j] == node->free_milli[i]);
        if (is_again)
            continue;
        seen |= (uint64_t)1 << i;
        struct value_node after = *node;
        (void)value_take(&after, shape, i);
        int64_t left = value_left(value, &after);
        if (left < best) {
            best = left;
            best_device = i;
        }
        if (shape->device_count != 1)
            break;
    }
    if (best == INT64_MAX) { /* a node without devices */
        struct value_node after = *node;
        (void)value_take(&after, shape, 0);
        best = value_left(value, &after);
    }
    *out_device = best_device;
    return best - value_left(value, node) + open_price(value, node, shape);
}
