/* Books of its own, and the rules once more in plain words: nothing of the engine is used here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cli/bench_place.h"

struct used {
    uint32_t cpu_milli, devices; /* devices: bits */
    uint64_t mem_bytes;
};

struct held {
    uint32_t site, nodes; /* nodes 0: not held */
    uint32_t variant;
    struct rank_place *places;
};

struct pb_check {
    const struct pb_world *world;
    struct used **nodes; /* by site, node */
    struct held *held;   /* by slot */
    uint64_t cpu_held[PB_TENANTS], devices_held[PB_TENANTS];
    uint64_t devices;
};

struct pb_check *pb_check_make(const struct pb_world *w)
{
    struct pb_check *check = calloc(1, sizeof(*check));
    if (check == NULL)
        return NULL;
    check->world = w;
    check->nodes = calloc(w->site_count, sizeof(*check->nodes));
    check->held = calloc(w->job_cap, sizeof(*check->held));
    bool is_good = check->nodes != NULL && check->held != NULL;
    for (uint32_t i = 0; is_good && i < w->site_count; i++) {
        check->nodes[i] = calloc(w->sites[i].site.node_count, sizeof(struct used));
        is_good = check->nodes[i] != NULL;
    }
    if (is_good)
        return check;
    pb_check_free(check);
    return NULL;
}

void pb_check_free(struct pb_check *check)
{
    if (check == NULL)
        return;
    for (uint32_t i = 0; check->nodes != NULL && i < check->world->site_count; i++)
        free(check->nodes[i]);
    for (uint32_t i = 0; check->held != NULL && i < check->world->job_cap; i++)
        free(check->held[i].places);
    free(check->nodes);
    free(check->held);
    free(check);
}

uint64_t pb_check_devices_held(const struct pb_check *check)
{
    return check->devices;
}

static int32_t site_of(const struct pb_world *w, struct site_id id)
{
    for (uint32_t i = 0; i < w->site_count; i++)
        if (id_is_equal(w->sites[i].site.id.id, id.id))
            return (int32_t)i;
    return -1;
}

static bool has(const struct text_list *list, struct slice name)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (slice_is_equal(list->items[i], name))
            return true;
    return false;
}

static bool is_near(const struct pb_world *w, const struct job_placement *want,
                    const struct region *region)
{
    if (want->round_trip_max.ms == 0 || slice_is_equal(want->near, region->name))
        return true;
    for (uint32_t i = 0; i < w->link_count; i++) {
        const struct link *link = &w->links[i];
        if ((slice_is_equal(link->a, want->near) && slice_is_equal(link->b, region->name)) ||
            (slice_is_equal(link->b, want->near) && slice_is_equal(link->a, region->name)))
            return link->rtt_us <= (uint64_t)want->round_trip_max.ms * 1000;
    }
    return false;
}

static const char *broken_filter(const struct pb_world *w, const struct pb_job *job,
                                 const struct pb_site *site, const struct job_variant *variant,
                                 const struct place_decision *d)
{
    const struct job_placement *want = &job->spec.placement;
    const struct region *region = &w->regions[site->region];
    if (want->jurisdictions.count > 0 && !has(&want->jurisdictions, region->jurisdiction))
        return "jurisdiction";
    if ((want->regions.count > 0 && !has(&want->regions, region->name)) ||
        has(&want->avoid_sites, site->site.name))
        return "placement";
    if (want->role != ROLE_ANY && region->role != ROLE_ANY && region->role != want->role)
        return "role";
    if (site->site.tier == TIER_EDGE)
        return "edge sites only serve";
    if (want->provenance == PROVENANCE_DOMESTIC_ONLY &&
        (variant->runtime == RUNTIME_CUDA || variant->runtime == RUNTIME_ROCM))
        return "provenance";
    if (!is_near(w, want, region))
        return "latency";
    if (job->place.has_restore && job->place.restore_runtime != variant->runtime)
        return "restore";
    if (job->spec.budget.micros > 0 &&
        d->score.ask.micros + d->score.energy.micros + d->score.egress.micros >
            job->spec.budget.micros)
        return "budget";
    return NULL;
}

/* Takes what a rank was given. */
static const char *broken_node(const struct pb_site *site, struct used *nodes,
                               const struct pb_job *job, const struct job_variant *variant,
                               const struct rank_place *place)
{
    if (place->node >= site->site.node_count)
        return "no such node";
    const struct site_node *node = &site->nodes[place->node];
    struct used *used = &nodes[place->node];
    if (place->device_count != variant->accelerators)
        return "number of devices";
    if (variant->accelerators > 0 && (node->runtime != variant->runtime ||
                                      (variant->accelerator.len > 0 &&
                                       !slice_is_equal(variant->accelerator, node->accelerator))))
        return "chip";
    for (uint8_t i = 0; i < place->device_count; i++) {
        uint32_t bit = UINT32_C(1) << place->devices[i];
        if (place->devices[i] >= node->accelerator_count || (used->devices & bit) != 0)
            return "a device that is not free";
        used->devices |= bit;
    }
    used->cpu_milli += job->spec.cpu_milli;
    used->mem_bytes += job->spec.mem_bytes;
    return used->cpu_milli > node->cpu_milli || used->mem_bytes > node->mem_bytes ? "capacity"
                                                                                  : NULL;
}

static const char *broken_quota(struct pb_check *check, const struct pb_job *job,
                                uint32_t accelerators, int sign)
{
    uint64_t cpu = (uint64_t)job->spec.cpu_milli * job->spec.num_nodes;
    uint64_t devices = (uint64_t)accelerators * job->spec.num_nodes;
    const char *broken = NULL;
    check->devices = sign > 0 ? check->devices + devices : check->devices - devices;
    for (int32_t t = (int32_t)job->tenant; t >= 0;
         t = t > 0 ? (int32_t)pb_parent_of((uint32_t)t) : -1) {
        const struct tenant_quota *quota = &check->world->tenants[t].quota;
        check->cpu_held[t] = sign > 0 ? check->cpu_held[t] + cpu : check->cpu_held[t] - cpu;
        check->devices_held[t] =
            sign > 0 ? check->devices_held[t] + devices : check->devices_held[t] - devices;
        if ((quota->cpu_milli.has && check->cpu_held[t] > quota->cpu_milli.value) ||
            (quota->accelerators.has && check->devices_held[t] > quota->accelerators.value))
            broken = "quota";
    }
    return broken;
}

bool pb_check_decision(struct pb_check *check, const struct place_decision *d, char why[128])
{
    const struct pb_world *w = check->world;
    uint32_t slot = pb_slot_of(d->job);
    const struct pb_job *job = &w->jobs[slot];
    struct held *held = &check->held[slot];
    int32_t s = site_of(w, d->site);
    const char *broken = NULL;
    if (s < 0 || held->nodes != 0 || d->variant >= job->spec.variant_count ||
        d->nodes != job->spec.num_nodes) {
        (void)snprintf(why, 128, "no such site or variant, a part of a gang, or placed twice");
        return false;
    }
    const struct job_variant *variant = &job->spec.variants[d->variant];
    held->places = malloc(d->nodes * sizeof(*held->places));
    ASSERT(held->places != NULL);
    memcpy(held->places, d->places, d->nodes * sizeof(*held->places));
    held->site = (uint32_t)s;
    held->nodes = d->nodes;
    held->variant = d->variant;
    broken = broken_filter(w, job, &w->sites[s], variant, d);
    for (uint32_t r = 1; r < d->nodes; r++)
        for (uint32_t q = 0; q < r; q++)
            if (d->places[q].node == d->places[r].node)
                broken = "two ranks on one node";
    for (uint32_t r = 0; broken == NULL && r < d->nodes; r++)
        broken = broken_node(&w->sites[s], check->nodes[s], job, variant, &d->places[r]);
    const char *of_quota = broken_quota(check, job, variant->accelerators, 1);
    if (broken == NULL)
        broken = of_quota;
    if (broken == NULL && (d->site_count != w->site_count || d->filters[s] != FILTER_NONE ||
                           d->start.us < job->place.created_at.us))
        broken = "explanation";
    if (broken != NULL)
        (void)snprintf(why, 128, "job %llu at %s: %s", (unsigned long long)slot, w->sites[s].name,
                       broken);
    return broken == NULL;
}

void pb_check_release(struct pb_check *check, struct job_id id)
{
    uint32_t slot = pb_slot_of(id);
    struct held *held = &check->held[slot];
    const struct pb_job *job = &check->world->jobs[slot];
    ASSERT(held->nodes > 0);
    for (uint32_t r = 0; r < held->nodes; r++) {
        struct used *used = &check->nodes[held->site][held->places[r].node];
        used->cpu_milli -= job->spec.cpu_milli;
        used->mem_bytes -= job->spec.mem_bytes;
        for (uint8_t i = 0; i < held->places[r].device_count; i++)
            used->devices &= ~(UINT32_C(1) << held->places[r].devices[i]);
    }
    (void)broken_quota(check, job, job->spec.variants[held->variant].accelerators, -1);
    free(held->places);
    *held = (struct held){0};
}
