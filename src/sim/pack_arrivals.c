#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "base/vector.h"
#include "sim/pack.h"

static int64_t demand_milli(const struct pack_pod *pod)
{
    return (int64_t)pod->shape.device_count * pod->shape.device_milli;
}

static void shuffle(struct pack_pod *pods, size_t count, struct random *random)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = random_below(random, i);
        struct pack_pod held = pods[i - 1];
        pods[i - 1] = pods[j];
        pods[j] = held;
    }
}

/* Clones at the end, until the next draw would pass the target. The test adds the milli of one
 * device of the draw, not of all, as the published experiment does: it may overshoot by a pod. */
static enum err clone(const struct pack_list *list, int64_t target, int64_t total,
                      struct random *random, struct arena *arena, struct vector *pods)
{
    for (size_t number = 1;; number++) {
        struct pack_pod pod = list->pods[random_below(random, list->pod_count)];
        if (total + pod.shape.device_milli > target)
            return ERR_OK;
        total += demand_milli(&pod);
        char *name = arena_printf(arena, "%.*s-clone-%zu", SLICE_ARG(pod.name), number);
        if (name == NULL)
            return ERR_NO_MEMORY;
        pod.name = slice_of(name);
        enum err err = vector_push(pods, &pod);
        if (err != ERR_OK)
            return err;
    }
}

static void thin(struct vector *pods, int64_t target, int64_t total, struct random *random)
{
    while (total > target) {
        size_t i = random_below(random, pods->len);
        total -= demand_milli(vector_at(pods, i));
        vector_remove_ordered(pods, i);
    }
}

enum err pack_inflate(const struct pack_list *list, const struct pack_fleet *fleet,
                      uint64_t demand_ppm, uint64_t seed, struct arena *arena,
                      struct pack_list *out)
{
    int64_t target =
        (int64_t)((uint64_t)fleet->device_count * VALUE_DEVICE_MILLI * demand_ppm / 1000000);
    int64_t total = 0;
    struct vector pods;
    struct random random;
    enum err err;

    vector_init(&pods, sizeof(struct pack_pod), PACK_PODS_MAX);
    random_init(&random, seed);
    err = vector_reserve(&pods, list->pod_count);
    for (size_t i = 0; err == ERR_OK && i < list->pod_count; i++) {
        total += demand_milli(&list->pods[i]);
        err = vector_push(&pods, &list->pods[i]);
    }
    if (err == ERR_OK && total == 0) /* nothing asks for a device: no number of clones would do */
        target = 0;
    if (err == ERR_OK) {
        shuffle(pods.data, pods.len, &random);
        if (total < target)
            err = clone(list, target, total, &random, arena, &pods);
        else
            thin(&pods, target, total, &random);
    }
    struct pack_pod *copy =
        err == ERR_OK ? arena_array(arena, pods.len > 0 ? pods.len : 1, sizeof(*copy)) : NULL;
    if (err == ERR_OK && copy == NULL)
        err = ERR_NO_MEMORY;
    if (err == ERR_OK) {
        if (pods.len > 0)
            memcpy(copy, pods.data, pods.len * sizeof(*copy));
        *out = (struct pack_list){.pods = copy,
                                  .pod_count = pods.len,
                                  .shapes = list->shapes,
                                  .shape_count = list->shape_count};
    }
    vector_deinit(&pods);
    return err;
}
