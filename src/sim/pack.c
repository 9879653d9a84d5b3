#include "sim/pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* The mix is learned again when RELEARN_FACTOR times as many pods have come; until the first time
 * it is the prior, which afterwards counts as PRIOR_PODS pods. */
enum { RELEARN_PODS_MIN = 64, RELEARN_FACTOR = 3, PRIOR_PODS = 8, CACHED_SHAPES_MAX = 1 << 10 };

/* What a shape would cost on a node as it stands. */
struct offer {
    int64_t cost;     /* INT64_MAX: does not fit */
    uint32_t version; /* the node's when this was found; 0: never */
    uint32_t device;
};

struct seat {
    struct value_node node;
    uint32_t version; /* from 1; goes up when the node changes */
};

struct pack {
    const struct pack_fleet *fleet;
    const struct pack_list *arrivals;
    struct value *value;
    struct seat *seats;
    struct offer *offers; /* [shape][node]; shapes from CACHED_SHAPES_MAX on are not kept */
    uint64_t *seen;       /* pods arrived of each shape; the prior's behind them */
    struct value_shape *shapes;
    int64_t cpu_milli_per_device;
    size_t learn_at; /* number of arrivals at which to learn next; SIZE_MAX: never */
};

enum { PRIOR_SHAPES = 4 };

/* Until work was seen: whole devices, one or several, and half ones, each with its fair share of
 * the fleet's cores and memory. */
static void prior_fill(const struct pack_fleet *fleet, struct value_shape *shapes,
                       uint64_t *weights)
{
    static const struct {
        uint32_t device_count, device_milli, weight;
    } PRIOR[PRIOR_SHAPES] = {{1, 1000, 4}, {1, 500, 2}, {2, 1000, 1}, {8, 1000, 1}};
    int64_t cpu_milli = 0, memory_mib = 0;

    for (size_t i = 0; i < fleet->node_count; i++) {
        cpu_milli += fleet->nodes[i].whole.cpu_milli;
        memory_mib += fleet->nodes[i].whole.memory_mib;
    }
    cpu_milli /= fleet->device_count;
    memory_mib /= fleet->device_count;
    for (size_t i = 0; i < PRIOR_SHAPES; i++) {
        int64_t milli = (int64_t)PRIOR[i].device_count * PRIOR[i].device_milli;
        shapes[i] =
            (struct value_shape){.cpu_milli = cpu_milli * milli / VALUE_DEVICE_MILLI * 3 / 4,
                                 .memory_mib = memory_mib * milli / VALUE_DEVICE_MILLI / 2,
                                 .device_count = PRIOR[i].device_count,
                                 .device_milli = PRIOR[i].device_milli,
                                 .models = UINT64_MAX};
        weights[i] = PRIOR[i].weight;
    }
}

static void pack_close(struct pack *pack)
{
    value_destroy(pack->value);
    free(pack->seats);
    free(pack->offers);
    free(pack->seen);
    free(pack->shapes);
}

static size_t cached_shapes(const struct pack *pack)
{
    size_t count = pack->arrivals->shape_count;
    return count < CACHED_SHAPES_MAX ? count : CACHED_SHAPES_MAX;
}

static enum err pack_open(struct pack *pack, const struct pack_list *mix)
{
    size_t nodes = pack->fleet->node_count, shapes = pack->arrivals->shape_count;

    pack->seats = calloc(nodes, sizeof(*pack->seats));
    pack->offers = calloc(cached_shapes(pack) * nodes, sizeof(*pack->offers));
    pack->seen = calloc(shapes + PRIOR_SHAPES, sizeof(*pack->seen));
    pack->shapes = calloc(shapes + PRIOR_SHAPES, sizeof(*pack->shapes));
    if (pack->seats == NULL || pack->offers == NULL || pack->seen == NULL || pack->shapes == NULL)
        return ERR_NO_MEMORY;
    enum err err = value_create(&pack->value);
    if (err != ERR_OK)
        return err;
    for (size_t i = 0; i < nodes; i++)
        pack->seats[i] = (struct seat){.node = pack->fleet->nodes[i].whole, .version = 1};
    for (size_t i = 0; i < nodes; i++)
        pack->cpu_milli_per_device += pack->fleet->nodes[i].whole.cpu_milli;
    pack->cpu_milli_per_device /= pack->fleet->device_count;
    memcpy(pack->shapes, pack->arrivals->shapes, shapes * sizeof(*pack->shapes));
    pack->learn_at = SIZE_MAX;
    if (mix != NULL) {
        ASSERT(mix->shape_count == shapes);
        for (size_t i = 0; i < mix->pod_count; i++)
            pack->seen[mix->pods[i].shape_id]++;
        return value_mix(pack->value, pack->shapes, pack->seen, shapes, pack->cpu_milli_per_device);
    }
    pack->learn_at = RELEARN_PODS_MIN;
    prior_fill(pack->fleet, pack->shapes + shapes, pack->seen + shapes);
    return value_mix(pack->value, pack->shapes, pack->seen, shapes + PRIOR_SHAPES,
                     pack->cpu_milli_per_device);
}

static enum err learn(struct pack *pack, size_t arrived)
{
    pack->learn_at = RELEARN_FACTOR * arrived;
    for (size_t i = 0; i < pack->fleet->node_count; i++)
        pack->seats[i].version++;
    return value_mix(pack->value, pack->shapes, pack->seen,
                     pack->arrivals->shape_count + PRIOR_SHAPES, pack->cpu_milli_per_device);
}

static void offer_find(struct pack *pack, const struct seat *seat, const struct value_shape *shape,
                       struct offer *out)
{
    out->version = seat->version;
    out->cost = INT64_MAX;
    if (value_fits(&seat->node, shape))
        out->cost = value_cost(pack->value, &seat->node, shape, &out->device);
}

/* The node with the least cost, the first of equals; node_count: it fits nowhere. */
static size_t choose(struct pack *pack, const struct pack_pod *pod, uint32_t *out_device)
{
    size_t nodes = pack->fleet->node_count, best = nodes;
    int64_t best_cost = INT64_MAX;
    struct offer *row =
        pod->shape_id < CACHED_SHAPES_MAX ? &pack->offers[pod->shape_id * nodes] : NULL;

    for (size_t i = 0; i < nodes; i++) {
        struct offer scratch = {0}, *offer = row != NULL ? &row[i] : &scratch;
        if (offer->version != pack->seats[i].version)
            offer_find(pack, &pack->seats[i], &pod->shape, offer);
        if (offer->cost < best_cost) {
            best_cost = offer->cost;
            best = i;
            *out_device = offer->device;
        }
    }
    return best;
}

static void placement_write(struct buffer *out, struct slice pod, struct slice node,
                            uint32_t devices)
{
    const char *space = "";
    buffer_append(out, pod);
    buffer_append_char(out, ',');
    buffer_append(out, node);
    buffer_append_char(out, ',');
    for (uint32_t i = 0; i < VALUE_DEVICES_MAX; i++)
        if (devices >> i & 1) {
            buffer_printf(out, "%s%u", space, i);
            space = " ";
        }
    buffer_append_char(out, '\n');
}

static enum err arrive(struct pack *pack, const struct pack_pod *pod, struct buffer *placements,
                       struct pack_result *result)
{
    int64_t milli = (int64_t)pod->shape.device_count * pod->shape.device_milli;
    uint32_t device = 0;
    size_t index = choose(pack, pod, &device);

    result->arrived_milli += milli;
    if (index == pack->fleet->node_count) {
        result->dropped++;
        return ERR_OK;
    }
    struct seat *seat = &pack->seats[index];
    uint32_t devices = value_take(&seat->node, &pod->shape, device);
    seat->version++;
    result->placed++;
    result->allocated_milli += milli;
    if (placements == NULL)
        return ERR_OK;
    placement_write(placements, pod->name, pack->fleet->nodes[index].name, devices);
    return buffer_status(placements);
}

enum err pack_run(const struct pack_fleet *fleet, const struct pack_list *arrivals,
                  const struct pack_list *mix, struct buffer *placements, struct pack_result *out)
{
    struct pack pack = {.fleet = fleet, .arrivals = arrivals};
    struct pack_result result = {.devices_milli = fleet->device_count * VALUE_DEVICE_MILLI};
    enum err err = pack_open(&pack, mix);

    if (err == ERR_OK && placements != NULL)
        buffer_append_text(placements, "name,node,gpus\n");
    for (size_t i = 0; err == ERR_OK && i < arrivals->pod_count; i++) {
        const struct pack_pod *pod = &arrivals->pods[i];
        if (i == pack.learn_at)
            err = learn(&pack, i);
        if (err == ERR_OK)
            err = arrive(&pack, pod, placements, &result);
        if (mix == NULL)
            pack.seen[pod->shape_id]++;
    }
    pack_close(&pack);
    if (err == ERR_OK)
        *out = result;
    return err;
}
