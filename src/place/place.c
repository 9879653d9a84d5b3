/* The placer's life, its queue from outside, and held capacity. */
#include "place/place.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "place/place_pace.h"
#include "place/place_state.h"

static const char *const FILTER_NAMES[FILTER_COUNT_] = {
    [FILTER_NONE] = "none",
    [FILTER_SITE_STATE] = "site_state",
    [FILTER_WINDOW] = "window",
    [FILTER_QUARANTINE] = "quarantine",
    [FILTER_JURISDICTION] = "jurisdiction",
    [FILTER_PROVENANCE] = "provenance",
    [FILTER_RUNTIME] = "runtime",
    [FILTER_ACCELERATOR] = "accelerator",
    [FILTER_SHAPE] = "shape",
    [FILTER_LATENCY] = "latency",
    [FILTER_PLACEMENT] = "placement",
    [FILTER_POLICY] = "policy",
    [FILTER_AVOID] = "avoid",
    [FILTER_RESTORE] = "restore",
    [FILTER_IMAGE] = "image",
    [FILTER_SHARED] = "shared",
    [FILTER_DATA] = "data",
    [FILTER_EXCLUDED] = "excluded",
    [FILTER_FLOOR] = "floor",
    [FILTER_NO_PRICE] = "no_price",
    [FILTER_BUDGET] = "budget",
    [FILTER_QUOTA] = "quota",
    [FILTER_BUSY] = "busy",
};

const char *place_filter_name(enum place_filter filter)
{
    ASSERT((unsigned)filter < FILTER_COUNT_);
    return FILTER_NAMES[filter];
}

const char *place_pace_name(enum place_pace pace)
{
    static const char *const NAMES[PACE_COUNT_] = {[PACE_NONE] = "none",
                                                   [PACE_MEASURED] = "measured",
                                                   [PACE_CATALOGUE] = "catalogue",
                                                   [PACE_UNKNOWN] = "unknown"};
    ASSERT((unsigned)pace < PACE_COUNT_);
    return NAMES[pace];
}

struct placer *placer_create(void)
{
    struct placer *placer = calloc(1, sizeof(*placer));
    if (placer == NULL)
        return NULL;
    policy_default(&placer->policy);
    vector_init(&placer->regions, sizeof(struct place_region *), PLACE_REGIONS_MAX);
    vector_init(&placer->links, sizeof(struct place_link *), PLACE_LINKS_MAX);
    vector_init(&placer->sites, sizeof(struct place_site *), PLACE_SITES_MAX);
    vector_init(&placer->names, sizeof(char *), PLACE_NAMES_MAX);
    vector_init(&placer->chips, sizeof(struct place_chip), PLACE_NAMES_MAX);
    idmap_init(&placer->workloads, PLACE_WORKLOADS_MAX, 0);
    idmap_init(&placer->tenants, TENANTS_MAX, 0);
    idmap_init(&placer->queued, PLACE_JOBS_MAX, 0);
    idmap_init(&placer->holds, PLACE_JOBS_MAX, 0);
    u64map_init(&placer->arrays, PLACE_JOBS_MAX, 0);
    idmap_init(&placer->sites_by_id, PLACE_SITES_MAX, 0);
    strmap_init(&placer->shapes, PLACE_JOBS_MAX, 0);
    strmap_init(&placer->groups, PLACE_JOBS_MAX, 0);
    buffer_init(&placer->key, PLACE_SHAPE_BYTES_MAX);
    placer->settings = placer->supply = 1;
    placer->share_hour = INT64_MIN;
    char **first = vector_push_zeroed(&placer->names);
    if (first == NULL || (*first = strdup("")) == NULL) {
        placer_destroy(placer);
        return NULL;
    }
    return placer;
}

static void tenants_free(struct placer *placer)
{
    size_t cursor = 0;
    void *value;
    while (idmap_next(&placer->tenants, &cursor, NULL, &value)) {
        struct place_tenant *tenant = value;
        arena_deinit(&tenant->arena);
        free(tenant);
    }
    idmap_deinit(&placer->tenants);
}

static void values_free(struct idmap *map)
{
    size_t cursor = 0;
    void *value;
    while (idmap_next(map, &cursor, NULL, &value))
        free(value);
    idmap_deinit(map);
}

static void texts_free(struct strmap *map)
{
    size_t cursor = 0;
    void *value;
    while (strmap_next(map, &cursor, NULL, &value))
        free(value);
    strmap_deinit(map);
}

void placer_destroy(struct placer *placer)
{
    size_t cursor = 0;
    void *value;
    if (placer == NULL)
        return;
    values_free(&placer->queued);
    values_free(&placer->holds);
    texts_free(&placer->groups);
    shapes_free(placer);
    buffer_deinit(&placer->key);
    for (uint32_t i = 0; i < placer->reservation_count; i++)
        free(placer->reservations[i]);
    idmap_deinit(&placer->sites_by_id);
    tenants_free(placer);
    for (size_t i = 0; i < placer->sites.len; i++)
        place_site_free(*(struct place_site **)vector_at(&placer->sites, i));
    for (size_t i = 0; i < placer->regions.len; i++) {
        struct place_region *region = *(struct place_region **)vector_at(&placer->regions, i);
        arena_deinit(&region->arena);
        free(region);
    }
    for (size_t i = 0; i < placer->links.len; i++) {
        struct place_link *link = *(struct place_link **)vector_at(&placer->links, i);
        arena_deinit(&link->arena);
        free(link);
    }
    for (size_t i = 0; i < placer->names.len; i++)
        free(*(char **)vector_at(&placer->names, i));
    vector_deinit(&placer->sites);
    vector_deinit(&placer->regions);
    vector_deinit(&placer->links);
    vector_deinit(&placer->names);
    vector_deinit(&placer->chips);
    values_free(&placer->workloads);
    cursor = 0;
    while (u64map_next(&placer->arrays, &cursor, NULL, &value))
        free(value);
    u64map_deinit(&placer->arrays);
    arena_deinit(&placer->policy_arena);
    free(placer);
}

/* ---- the queue */

/* Texts of the job that may die before it does. */
static enum err job_keep(struct placer *placer, struct place_job *job)
{
    uint16_t index;
    if (job->restore_jurisdiction.len == 0)
        return ERR_OK;
    const char *name = place_name_keep(placer, job->restore_jurisdiction, &index);
    if (name == NULL)
        return ERR_LIMIT;
    job->restore_jurisdiction = slice_of(name);
    return ERR_OK;
}

enum err placer_job_put(struct placer *placer, const struct place_job *job)
{
    if (idmap_get(&placer->queued, job->id.id) != NULL)
        placer_job_remove(placer, job->id);
    if (idmap_get(&placer->holds, job->id.id) != NULL)
        return ERR_EXISTS;
    if (place_tenant_find(placer, job->tenant) == NULL)
        return ERR_NOT_FOUND;
    struct place_queued *queued = calloc(1, sizeof(*queued));
    if (queued == NULL)
        return ERR_NO_MEMORY;
    queued->job = *job;
    enum err err = job_keep(placer, &queued->job);
    if (err == ERR_OK)
        err = idmap_add(&placer->queued, job->id.id, queued);
    if (err == ERR_OK) {
        err = place_queue_push(placer, queued);
        if (err != ERR_OK)
            (void)idmap_remove(&placer->queued, job->id.id);
    }
    if (err != ERR_OK)
        free(queued);
    return err;
}

void placer_job_remove(struct placer *placer, struct job_id job)
{
    struct place_queued *queued = idmap_remove(&placer->queued, job.id);
    if (queued == NULL)
        return;
    int reservation = place_reservation_of(placer, job);
    if (reservation >= 0)
        place_reservation_drop(placer, (uint32_t)reservation);
    place_queue_remove(placer, queued);
    free(queued);
}

/* ---- held capacity */

struct place_hold *place_hold_make(struct placer *placer, const struct place_job *job,
                                   struct place_tenant *tenant, struct place_site *site,
                                   uint32_t variant, struct money ask_per_hour,
                                   const struct rank_place *places, struct wall_us since)
{
    uint32_t nodes = job->spec->num_nodes;
    struct place_hold *hold = calloc(1, sizeof(*hold) + nodes * sizeof(hold->ranks[0]));
    ASSERT(hold != NULL && idmap_add(&placer->holds, job->id.id, hold) == ERR_OK);
    hold->job = *job;
    hold->tenant = tenant;
    hold->site = site;
    hold->variant = variant;
    hold->nodes = nodes;
    hold->ask_per_hour = ask_per_hour;
    hold->cpu_milli = job->spec->cpu_milli;
    hold->mem_bytes = job->spec->mem_bytes;
    hold->accelerators = job->spec->variants[variant].accelerators;
    hold->since = since;
    hold->limit = place_limit(placer, job);
    for (uint32_t r = 0; r < nodes; r++)
        hold->ranks[r].place = places[r];
    hold->expected = place_hold_expected(placer, hold);
    place_hold_nodes(hold, true);
    hold->site_next = site->holds;
    if (site->holds != NULL)
        site->holds->site_previous = hold;
    site->holds = hold;
    site->hold_count++;
    site->class_holds[job->spec->priority]++;
    placer->hold_changes++;
    place_nodes_shrank(placer, site, nodes);
    place_share_hold(placer, tenant, hold, true);
    place_array_count(placer, job->spec, 1);
    return hold;
}

enum err placer_hold(struct placer *placer, const struct place_job *job,
                     const struct place_decision *decision, struct wall_us since)
{
    struct place_tenant *tenant = place_tenant_find(placer, job->tenant);
    struct place_site *site = place_site_find(placer, decision->site);
    if (tenant == NULL || site == NULL)
        return ERR_NOT_FOUND;
    if (idmap_get(&placer->holds, job->id.id) != NULL)
        return ERR_EXISTS;
    if (decision->variant >= job->spec->variant_count || decision->nodes != job->spec->num_nodes)
        return ERR_INVALID;
    struct place_job kept = *job;
    enum err err = job_keep(placer, &kept);
    if (err != ERR_OK)
        return err;
    placer_job_remove(placer, job->id);
    struct place_hold *hold = place_hold_make(placer, &kept, tenant, site, decision->variant,
                                              decision->ask_per_hour, decision->places, since);
    hold->is_confirmed = true;
    return ERR_OK;
}

/* Gives everything back; the hold itself is freed by the caller. */
static void hold_undo(struct placer *placer, struct place_hold *hold)
{
    place_hold_nodes(hold, false);
    if (hold->site_previous != NULL)
        hold->site_previous->site_next = hold->site_next;
    else
        hold->site->holds = hold->site_next;
    if (hold->site_next != NULL)
        hold->site_next->site_previous = hold->site_previous;
    ASSERT(hold->site->hold_count > 0);
    hold->site->hold_count--;
    hold->site->class_holds[hold->job.spec->priority]--;
    hold->site->leaving_count -= hold->is_leaving;
    placer->hold_changes++;
    for (uint32_t r = 0; r < hold->nodes; r++)
        if (hold->ranks[r].place.node < hold->site->node_count)
            place_node_grew(placer, hold->site, hold->ranks[r].place.node);
    for (uint32_t i = 0; i < placer->reservation_count; i++)
        if (placer->reservations[i]->site == hold->site)
            placer->reservations[i]->is_fresh = true;
    place_share_hold(placer, hold->tenant, hold, false);
    place_array_count(placer, hold->job.spec, -1);
    place_groups_unpark(placer, &placer->quota_parked);
}

void placer_release(struct placer *placer, struct job_id job, struct wall_us at)
{
    struct place_hold *hold = idmap_remove(&placer->holds, job.id);
    if (hold == NULL)
        return;
    /* A wall clock that jumped charges nobody more than the limit, nor less than nothing. */
    int64_t held_ms = at.us / 1000 - hold->since.us / 1000;
    if (held_ms > hold->limit.ms)
        held_ms = hold->limit.ms;
    uint64_t cores_milli = ((uint64_t)hold->cpu_milli +
                            (uint64_t)hold->accelerators * PLACE_ACCELERATOR_CORES * 1000) *
                           hold->nodes;
    if (held_ms > 0)
        place_share_charge(hold->tenant, (uint64_t)held_ms / 1000 * cores_milli, at);
    hold_undo(placer, hold); /* and its tenant finds its new place in the order */
    free(hold);
}

void placer_confirm(struct placer *placer, struct job_id job, struct now now)
{
    struct place_hold *hold = idmap_get(&placer->holds, job.id);
    ASSERT(hold != NULL);
    hold->is_confirmed = true;
    place_hold_since(hold, now.wall);
}

void placer_abort(struct placer *placer, struct job_id job)
{
    struct place_hold *hold = idmap_remove(&placer->holds, job.id);
    ASSERT(hold != NULL && !hold->is_confirmed);
    hold_undo(placer, hold);
    struct place_queued *queued = calloc(1, sizeof(*queued));
    ASSERT(queued != NULL && idmap_add(&placer->queued, job.id, queued) == ERR_OK);
    queued->job = hold->job;
    free(hold);
    enum err err = place_queue_push(placer, queued); /* its old place: the order is by age */
    ASSERT(err == ERR_OK);
}
