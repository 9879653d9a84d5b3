/* Specs in memory: one block each, exactly as large as needed, shared by the elements of an array.
 *
 * The block is filled by the same walk that measures it, so that the two cannot differ. */
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/server_state.h"

struct block {
    char *base; /* NULL: only measure */
    size_t used;
};

static void *block_take(struct block *block, size_t bytes, size_t align)
{
    block->used = (block->used + align - 1) / align * align;
    void *room = block->base == NULL ? NULL : block->base + block->used;
    block->used += bytes;
    return room;
}

static struct slice take_slice(struct block *block, struct slice text)
{
    char *room = block_take(block, text.len, 1);
    if (room == NULL)
        return text;
    if (text.len > 0)
        memcpy(room, text.data, text.len);
    return slice_make(room, text.len);
}

static struct text_list take_list(struct block *block, struct text_list list)
{
    struct slice *room = block_take(block, list.count * sizeof(*room), alignof(struct slice));
    for (uint32_t i = 0; i < list.count; i++) {
        struct slice copy = take_slice(block, list.items[i]);
        if (room != NULL)
            room[i] = copy;
    }
    return (struct text_list){room, list.count};
}

static const struct text_pair *take_pairs(struct block *block, const struct text_pair *pairs,
                                          uint32_t count)
{
    struct text_pair *room = block_take(block, count * sizeof(*room), alignof(struct text_pair));
    for (uint32_t i = 0; i < count; i++) {
        struct text_pair copy = {take_slice(block, pairs[i].key),
                                 take_slice(block, pairs[i].value)};
        if (room != NULL)
            room[i] = copy;
    }
    return room;
}

static const struct job_variant *take_variants(struct block *block, const struct job_spec *spec)
{
    struct job_variant *room =
        block_take(block, spec->variant_count * sizeof(*room), alignof(struct job_variant));
    for (uint32_t i = 0; i < spec->variant_count; i++) {
        struct job_variant copy = spec->variants[i];
        copy.accelerator = take_slice(block, copy.accelerator);
        copy.image = take_slice(block, copy.image);
        copy.setup = take_slice(block, copy.setup);
        copy.run = take_slice(block, copy.run);
        copy.envs = take_pairs(block, copy.envs, copy.env_count);
        if (room != NULL)
            room[i] = copy;
    }
    return room;
}

static const struct job_input *take_inputs(struct block *block, const struct job_spec *spec)
{
    struct job_input *room =
        block_take(block, spec->input_count * sizeof(*room), alignof(struct job_input));
    for (uint32_t i = 0; i < spec->input_count; i++) {
        struct job_input copy = spec->inputs[i];
        copy.path = take_slice(block, copy.path);
        copy.dataset = take_slice(block, copy.dataset);
        copy.jurisdiction = take_slice(block, copy.jurisdiction);
        copy.homes = take_list(block, copy.homes);
        if (room != NULL)
            room[i] = copy;
    }
    return room;
}

static void take_spec(struct block *block, const struct job_spec *spec, struct job_spec *out)
{
    *out = *spec;
    out->name = take_slice(block, spec->name);
    out->workload = take_slice(block, spec->workload);
    out->variants = take_variants(block, spec);
    out->workdir = take_slice(block, spec->workdir);
    out->mounts = take_pairs(block, spec->mounts, spec->mount_count);
    out->datasets = take_list(block, spec->datasets);
    out->inputs = take_inputs(block, spec);
    out->outputs = take_list(block, spec->outputs);
    out->shared_folders = take_list(block, spec->shared_folders);
    out->checkpoint.dir = take_slice(block, spec->checkpoint.dir);
    out->placement.regions = take_list(block, spec->placement.regions);
    out->placement.sites = take_list(block, spec->placement.sites);
    out->placement.avoid_sites = take_list(block, spec->placement.avoid_sites);
    out->placement.jurisdictions = take_list(block, spec->placement.jurisdictions);
    out->placement.near = take_slice(block, spec->placement.near);
}

struct server_spec *server_spec_make(struct spec_id id, const struct job_spec *spec)
{
    struct job_spec measured;
    struct block block = {NULL, sizeof(struct server_spec)};
    take_spec(&block, spec, &measured);
    size_t bytes = block.used;
    struct server_spec *made = malloc(bytes);
    if (made == NULL)
        return NULL;
    made->id = id;
    made->users = 0;
    block = (struct block){(char *)made, sizeof(*made)};
    take_spec(&block, spec, &made->spec);
    ASSERT(block.used == bytes);
    return made;
}

void server_spec_drop(struct server_core *core, struct server_spec *spec)
{
    ASSERT(spec->users > 0);
    if (--spec->users > 0)
        return;
    (void)idmap_remove(&core->specs, spec->id.id);
    free(spec);
}
