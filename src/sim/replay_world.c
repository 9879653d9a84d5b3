/* The set-up as the engine sees it. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "place/place_age.h"
#include "sim/replay_state.h"

enum { KIND_SITE = 3, KIND_TENANT = 4, KIND_JOB = 5, HOUR_MS = 3600000 };

static struct id id_of(uint8_t kind, uint32_t number)
{
    struct id id = {{kind, 0, 0, 0, (uint8_t)(number >> 24), (uint8_t)(number >> 16),
                     (uint8_t)(number >> 8), (uint8_t)number, 1}};
    return id;
}

static uint32_t index_of(struct id id)
{
    return (uint32_t)id.bytes[4] << 24 | (uint32_t)id.bytes[5] << 16 | (uint32_t)id.bytes[6] << 8 |
           id.bytes[7];
}

uint32_t replay_site_index(struct site_id id)
{
    return index_of(id.id);
}

uint32_t replay_job_index(struct job_id id)
{
    return index_of(id.id);
}

struct job_id replay_job_id(uint32_t index)
{
    return (struct job_id){id_of(KIND_JOB, index)};
}

struct now replay_now(const struct replay *replay, int64_t now_ms)
{
    return (struct now){{now_ms * 1000000}, {replay->setup->start.us + now_ms * 1000}};
}

uint32_t replay_nodes_there(const struct replay *replay, uint32_t site)
{
    const struct replay_place *place = &replay->places[site];
    uint32_t gone = place->failed + place->taken;
    return place->is_down || gone >= place->grown ? 0 : place->grown - gone;
}

void replay_site_tell(struct replay *replay, uint32_t site)
{
    const struct site *shape = &replay->setup->topology->sites[site];
    uint32_t there = replay_nodes_there(replay, site);
    for (uint32_t n = 0; n < shape->node_count; n++) {
        const struct site_node *node = &shape->nodes[n];
        struct sync_node *seen = &replay->seen[n];
        *seen = (struct sync_node){.node = (uint16_t)n, .is_up = n < there};
        if (!seen->is_up)
            continue;
        seen->cpu_milli_free = node->cpu_milli;
        seen->mem_bytes_free = node->mem_bytes;
        seen->devices_free_count = (uint8_t)node->accelerator_count;
        for (uint32_t d = 0; d < node->accelerator_count; d++)
            seen->devices_free[d] = (uint8_t)d;
    }
    placer_site_observe(replay->placer, (struct site_id){id_of(KIND_SITE, site)}, replay->seen,
                        shape->node_count);
    placer_site_open(replay->placer, (struct site_id){id_of(KIND_SITE, site)},
                     !replay->places[site].is_down);
}

void replay_prices_tell(struct replay *replay, int64_t now_ms)
{
    const struct replay_setup *setup = replay->setup;
    for (uint32_t i = 0; i < setup->topology->region_count; i++) {
        const struct replay_series *series = &setup->series[i];
        struct region region = setup->topology->regions[i];
        if (series->hours == 0)
            continue;
        uint32_t hour = (uint32_t)(now_ms / HOUR_MS % series->hours);
        if (series->price_micros != NULL)
            region.price_per_kwh = MAYBE_MONEY(((struct money){series->price_micros[hour]}));
        if (series->carbon_mg != NULL)
            region.carbon_mg_per_kwh = MAYBE_U64((uint64_t)series->carbon_mg[hour]);
        enum err err = placer_region_put(replay->placer, &region);
        ASSERT(err == ERR_OK); /* it stands already: nothing grows */
    }
}

static enum err tenants_make(struct replay *replay)
{
    const struct topology *topology = replay->setup->topology;
    for (uint32_t i = 0; i < topology->tenant_count; i++) {
        struct tenant tenant = topology->tenants[i].tenant;
        tenant.id = (struct tenant_id){id_of(KIND_TENANT, i)};
        for (uint32_t p = 0; p < i; p++)
            if (slice_is_equal(topology->tenants[p].tenant.name, topology->tenants[i].parent))
                tenant.parent = (struct tenant_id){id_of(KIND_TENANT, p)};
        enum err err = placer_tenant_put(replay->placer, &tenant);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static enum err sites_make(struct replay *replay)
{
    const struct topology *topology = replay->setup->topology;
    for (uint32_t i = 0; i < topology->site_count; i++) {
        struct site site = topology->sites[i];
        site.id = (struct site_id){id_of(KIND_SITE, i)};
        enum err err = placer_site_put(replay->placer, &site, true);
        if (err != ERR_OK)
            return err;
        replay->places[i] = (struct replay_place){.grown = site.node_count};
        replay->region_of[i] = topology_region(topology, site.region);
        replay_site_tell(replay, i);
    }
    return ERR_OK;
}

enum err replay_world_make(struct replay *replay, struct fault *fault)
{
    const struct topology *topology = replay->setup->topology;
    replay->placer = placer_create();
    replay->live = calloc(replay->setup->job_count + 1, sizeof(*replay->live));
    replay->places = calloc(topology->site_count, sizeof(*replay->places));
    replay->seen = calloc(SITE_NODES_MAX, sizeof(*replay->seen));
    replay->region_of = calloc(topology->site_count, sizeof(struct region *));
    heap_init(&replay->events, REPLAY_JOBS_MAX);
    strmap_init(&replay->specs_by_key, REPLAY_JOBS_MAX, 0);
    vector_init(&replay->specs, sizeof(struct replay_spec *), REPLAY_JOBS_MAX);
    if (replay->placer == NULL || replay->live == NULL || replay->places == NULL ||
        replay->seen == NULL || replay->region_of == NULL)
        return ERR_NO_MEMORY;
    enum err err = placer_policy_put(replay->placer, &topology->policy);
    for (uint32_t i = 0; err == ERR_OK && i < topology->region_count; i++)
        err = placer_region_put(replay->placer, &topology->regions[i]);
    for (uint32_t i = 0; err == ERR_OK && i < topology->link_count; i++)
        err = placer_link_put(replay->placer, &topology->links[i]);
    if (err == ERR_OK)
        err = tenants_make(replay);
    if (err == ERR_OK)
        err = sites_make(replay);
    if (err != ERR_OK)
        (void)fault_set(fault, err, NULL, "the engine does not take this network");
    return err;
}

void replay_world_free(struct replay *replay)
{
    placer_destroy(replay->placer);
    for (size_t i = 0; i < replay->specs.len; i++)
        free(*(struct replay_spec **)vector_at(&replay->specs, i));
    vector_deinit(&replay->specs);
    strmap_deinit(&replay->specs_by_key);
    heap_deinit(&replay->events);
    free(replay->live);
    free(replay->places);
    free(replay->seen);
    free(replay->region_of);
}

/* ---- what the engine is told of a job */

struct spec_key {
    int64_t expected_ms, limit_ms;
    uint64_t mem_bytes;
    const struct job_placement *placement;
    uint32_t nodes, devices, cpu_milli, priority;
};

static struct replay_spec *spec_make(const struct replay_setup *setup, const struct replay_job *job)
{
    struct replay_spec *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return NULL;
    struct job_spec *spec = &made->spec;
    spec->num_nodes = job->nodes;
    spec->cpu_milli = job->cpu_milli;
    spec->mem_bytes = job->mem_bytes;
    spec->array_count = 1;
    spec->priority = job->priority;
    spec->expected = SPAN_MS(job->expected_ms);
    spec->time_limit = SPAN_MS(job->limit_ms);
    if (job->placement != NULL)
        spec->placement = *job->placement;
    made->variants[0] =
        (struct job_variant){.runtime = job->devices > 0 ? setup->runtime : RUNTIME_CPU};
    spec->variant_count = setup->variant_count > 0 ? setup->variant_count : 1;
    ASSERT(spec->variant_count <= REPLAY_VARIANTS_MAX);
    for (uint32_t v = 0; v < spec->variant_count; v++) {
        if (setup->variant_count > 0)
            made->variants[v] = setup->variants[v];
        made->variants[v].accelerators = job->devices;
    }
    spec->variants = made->variants;
    return made;
}

static enum err spec_find(struct replay *replay, const struct replay_job *job,
                          const struct job_spec **out)
{
    struct spec_key key;
    if (job->spec != NULL) {
        *out = job->spec;
        return ERR_OK;
    }
    memset(&key, 0, sizeof(key)); /* its padding too: the bytes are the key */
    key.expected_ms = job->expected_ms;
    key.limit_ms = job->limit_ms;
    key.mem_bytes = job->mem_bytes;
    key.placement = job->placement;
    key.nodes = job->nodes;
    key.devices = job->devices;
    key.cpu_milli = job->cpu_milli;
    key.priority = (uint32_t)job->priority;
    struct slice bytes = slice_make(&key, sizeof(key));
    struct replay_spec *spec = strmap_get(&replay->specs_by_key, bytes);
    if (spec == NULL) {
        spec = spec_make(replay->setup, job);
        if (spec == NULL)
            return ERR_NO_MEMORY;
        enum err err = vector_push(&replay->specs, &spec);
        if (err != ERR_OK) {
            free(spec);
            return err;
        }
        err = strmap_add(&replay->specs_by_key, bytes, spec);
        if (err != ERR_OK)
            return err;
    }
    *out = &spec->spec;
    return ERR_OK;
}

enum err replay_job_queue(struct replay *replay, uint32_t index)
{
    const struct replay_job *job = &replay->setup->jobs[index];
    const struct job_spec *spec;
    enum err err = spec_find(replay, job, &spec);
    if (err != ERR_OK)
        return err;
    struct wall_us came = replay_now(replay, job->arrival_ms).wall;
    struct place_job place = {
        .id = {id_of(KIND_JOB, index)},
        .spec = spec,
        .tenant = {id_of(KIND_TENANT, job->tenant)},
        .created_at = place_age(spec, came, SPAN_MS(job->expected_ms), replay->setup->stretch)};
    replay->live[index].stage = STAGE_QUEUED;
    return placer_job_put(replay->placer, &place);
}
