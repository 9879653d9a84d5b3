/* What placement sees of a job, as bytes that are equal where jobs are alike, and as a copy. */
#include "place/place_state.h"

static void key_u64(struct buffer *key, uint64_t value)
{
    buffer_append_bytes(key, &value, sizeof(value));
}

static void key_text(struct buffer *key, struct slice text)
{
    key_u64(key, text.len);
    buffer_append(key, text);
}

static void key_list(struct buffer *key, const struct text_list *list)
{
    key_u64(key, list->count);
    for (uint32_t i = 0; i < list->count; i++)
        key_text(key, list->items[i]);
}

static void key_placement(struct buffer *key, const struct job_placement *placement)
{
    key_list(key, &placement->regions);
    key_list(key, &placement->sites);
    key_list(key, &placement->avoid_sites);
    key_list(key, &placement->jurisdictions);
    key_u64(key, (uint64_t)placement->role);
    key_u64(key, (uint64_t)placement->provenance);
    key_u64(key, (uint64_t)placement->round_trip_max.ms);
    key_text(key, placement->near);
}

static void key_inputs(struct buffer *key, const struct job_spec *spec)
{
    key_u64(key, spec->input_count);
    for (uint32_t i = 0; i < spec->input_count; i++) {
        key_text(key, spec->inputs[i].dataset); /* an explanation names it */
        key_text(key, spec->inputs[i].jurisdiction);
        key_u64(key, spec->inputs[i].size_bytes);
        key_list(key, &spec->inputs[i].homes);
    }
}

static void key_restore(struct buffer *key, const struct place_job *job)
{
    key_u64(key, (uint64_t)job->restore_runtime);
    key_u64(key, job->restore_world_size);
    key_text(key, job->restore_jurisdiction);
    buffer_append_bytes(key, &job->restore_site, sizeof(job->restore_site));
    key_u64(key, job->restore_bytes);
}

void shape_key_write(struct buffer *key, const struct place_job *job)
{
    const struct job_spec *spec = job->spec;
    buffer_reset(key);
    key_u64(key, spec->num_nodes);
    key_u64(key, spec->cpu_milli);
    key_u64(key, spec->mem_bytes);
    key_u64(key, spec->variant_count);
    for (uint32_t v = 0; v < spec->variant_count; v++) {
        key_u64(key, (uint64_t)spec->variants[v].runtime);
        key_u64(key, spec->variants[v].accelerators);
        key_text(key, spec->variants[v].accelerator);
        key_text(key, spec->variants[v].image);
    }
    key_u64(key, !id_is_none(job->workload));
    if (!id_is_none(job->workload))
        buffer_append_bytes(key, &job->workload, sizeof(job->workload));
    key_placement(key, &spec->placement);
    key_inputs(key, spec);
    key_list(key, &spec->shared_folders);
    if (spec->shared_folders.count > 0) /* what is shared is shared with one tenant */
        buffer_append_bytes(key, &job->tenant, sizeof(job->tenant));
    key_u64(key, job->has_restore);
    if (job->has_restore)
        key_restore(key, job);
    key_u64(key, job->barred_count);
    for (uint32_t i = 0; i < job->barred_count; i++)
        buffer_append_bytes(key, &job->barred[i], sizeof(job->barred[i]));
}

/* ---- a copy of what the key holds: options are worked out anew when no such job is left */

static bool list_copy(struct arena *arena, struct text_list *list)
{
    struct slice *items = arena_array(arena, list->count + 1, sizeof(*items));
    bool is_good = items != NULL;
    for (uint32_t i = 0; is_good && i < list->count; i++) {
        items[i] = arena_copy(arena, list->items[i]);
        is_good = items[i].data != NULL;
    }
    list->items = items;
    return is_good;
}

static bool inputs_copy(struct arena *arena, const struct job_spec *from, struct job_spec *to)
{
    struct job_input *inputs = arena_array(arena, from->input_count + 1, sizeof(*inputs));
    bool is_good = inputs != NULL;
    for (uint32_t i = 0; is_good && i < from->input_count; i++) {
        inputs[i] = (struct job_input){
            .dataset = arena_copy(arena, from->inputs[i].dataset),
            .jurisdiction = arena_copy(arena, from->inputs[i].jurisdiction),
            .size_bytes = from->inputs[i].size_bytes,
            .homes = from->inputs[i].homes,
        };
        is_good = list_copy(arena, &inputs[i].homes);
    }
    to->inputs = inputs;
    to->input_count = from->input_count;
    return is_good;
}

static bool barred_copy(struct arena *arena, struct place_job *job)
{
    struct site_id *sites = arena_array(arena, job->barred_count + 1, sizeof(*sites));
    for (uint32_t i = 0; sites != NULL && i < job->barred_count; i++)
        sites[i] = job->barred[i];
    job->barred = sites;
    return sites != NULL;
}

enum err shape_job_copy(struct place_shape *shape, const struct place_job *job)
{
    struct arena *arena = &shape->arena;
    const struct job_spec *from = job->spec;
    struct job_spec *spec = arena_alloc(arena, sizeof(*spec));
    struct job_variant *variants = arena_array(arena, from->variant_count, sizeof(*variants));
    if (spec == NULL || variants == NULL)
        return ERR_NO_MEMORY;
    *spec = (struct job_spec){.num_nodes = from->num_nodes,
                              .cpu_milli = from->cpu_milli,
                              .mem_bytes = from->mem_bytes,
                              .variants = variants,
                              .variant_count = from->variant_count,
                              .placement = from->placement,
                              .shared_folders = from->shared_folders};
    for (uint32_t v = 0; v < from->variant_count; v++)
        variants[v] =
            (struct job_variant){.runtime = from->variants[v].runtime,
                                 .accelerators = from->variants[v].accelerators,
                                 .accelerator = arena_copy(arena, from->variants[v].accelerator),
                                 .image = arena_copy(arena, from->variants[v].image)};
    spec->placement.near = arena_copy(arena, from->placement.near);
    shape->job = *job;
    shape->job.spec = spec;
    shape->job.restore_jurisdiction = arena_copy(arena, job->restore_jurisdiction);
    return barred_copy(arena, &shape->job) && inputs_copy(arena, from, spec) &&
                   list_copy(arena, &spec->placement.regions) &&
                   list_copy(arena, &spec->placement.sites) &&
                   list_copy(arena, &spec->placement.avoid_sites) &&
                   list_copy(arena, &spec->placement.jurisdictions) &&
                   list_copy(arena, &spec->shared_folders)
               ? ERR_OK
               : ERR_NO_MEMORY;
}
