/* The placer's life, what stands, and held capacity. */
#include "place/place.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "place/place_state.h"

enum { PLACE_COPY_BYTES_MAX = 16 << 20 };

static const char *const FILTER_NAMES[FILTER_COUNT_] = {
    [FILTER_NONE] = "none",
    [FILTER_SITE_STATE] = "site_state",
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

struct placer *placer_create(void)
{
    struct placer *placer = calloc(1, sizeof(*placer));
    if (placer == NULL)
        return NULL;
    policy_default(&placer->policy);
    vector_init(&placer->regions, sizeof(struct place_region *), PLACE_REGIONS_MAX);
    vector_init(&placer->links, sizeof(struct place_link *), PLACE_LINKS_MAX);
    vector_init(&placer->sites, sizeof(struct place_site *), PLACE_SITES_MAX);
    vector_init(&placer->names, sizeof(char *), UINT16_MAX);
    vector_init(&placer->roots, sizeof(struct place_tenant *), TENANTS_MAX);
    idmap_init(&placer->tenants, TENANTS_MAX, 0);
    idmap_init(&placer->queued, PLACE_JOBS_MAX, 0);
    idmap_init(&placer->holds, PLACE_JOBS_MAX, 0);
    u64map_init(&placer->spec_holds, PLACE_JOBS_MAX, 0);
    placer->version = 1;
    char **first = vector_push_zeroed(&placer->names);
    if (first == NULL || (*first = strdup("")) == NULL) {
        placer_destroy(placer);
        return NULL;
    }
    return placer;
}

static void site_free(struct place_site *site)
{
    arena_deinit(&site->arena);
    free(site->nodes);
    free(site);
}

static void tenants_free(struct placer *placer)
{
    size_t cursor = 0;
    void *value;
    while (idmap_next(&placer->tenants, &cursor, NULL, &value)) {
        struct place_tenant *tenant = value;
        for (int c = 0; c < PRIORITY_COUNT_; c++)
            for (struct place_group *g = tenant->queues[c].first, *next; g != NULL; g = next) {
                next = g->next;
                free(g);
            }
        vector_deinit(&tenant->children);
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

void placer_destroy(struct placer *placer)
{
    if (placer == NULL)
        return;
    values_free(&placer->queued);
    values_free(&placer->holds);
    tenants_free(placer);
    for (size_t i = 0; i < placer->sites.len; i++)
        site_free(*(struct place_site **)vector_at(&placer->sites, i));
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
    vector_deinit(&placer->roots);
    u64map_deinit(&placer->spec_holds);
    arena_deinit(&placer->policy_arena);
    free(placer);
}

/* ---- what stands */

enum err placer_policy_put(struct placer *placer, const struct policy *policy)
{
    struct slice none = {0};
    placer->policy = *policy;
    placer->policy.currency = none; /* no money leaves this engine but as amounts */
    place_version_raise(placer);
    return ERR_OK;
}

enum err placer_region_put(struct placer *placer, const struct region *region)
{
    struct place_region *copy = calloc(1, sizeof(*copy));
    if (copy == NULL)
        return ERR_NO_MEMORY;
    arena_init(&copy->arena, PLACE_COPY_BYTES_MAX);
    copy->region = *region;
    copy->region.name = arena_copy(&copy->arena, region->name);
    copy->region.jurisdiction = arena_copy(&copy->arena, region->jurisdiction);
    copy->region.title = (struct slice){0};
    copy->region.price_origin.source = copy->region.carbon_origin.source =
        copy->region.pue_origin.source = (struct slice){0};
    enum err err = ERR_OK;
    size_t at = 0;
    for (; at < placer->regions.len; at++) {
        struct place_region **slot = vector_at(&placer->regions, at);
        int order = slice_compare((*slot)->region.name, region->name);
        if (order == 0) {
            arena_deinit(&(*slot)->arena);
            free(*slot);
            *slot = copy;
            goto done;
        }
        if (order > 0)
            break;
    }
    err = vector_insert(&placer->regions, at, &copy);
    if (err != ERR_OK) {
        arena_deinit(&copy->arena);
        free(copy);
        return err;
    }
done:
    place_version_raise(placer);
    return ERR_OK;
}

static int link_compare(const struct link *x, const struct link *y)
{
    int order = slice_compare(x->a, y->a);
    return order != 0 ? order : slice_compare(x->b, y->b);
}

enum err placer_link_put(struct placer *placer, const struct link *link)
{
    struct place_link *copy = calloc(1, sizeof(*copy));
    if (copy == NULL)
        return ERR_NO_MEMORY;
    arena_init(&copy->arena, PLACE_COPY_BYTES_MAX);
    copy->link = *link;
    link_order(&copy->link);
    copy->link.a = arena_copy(&copy->arena, copy->link.a);
    copy->link.b = arena_copy(&copy->arena, copy->link.b);
    size_t at = 0;
    for (; at < placer->links.len; at++) {
        struct place_link **slot = vector_at(&placer->links, at);
        int order = link_compare(&(*slot)->link, &copy->link);
        if (order == 0) {
            arena_deinit(&(*slot)->arena);
            free(*slot);
            *slot = copy;
            return ERR_OK;
        }
        if (order > 0)
            break;
    }
    enum err err = vector_insert(&placer->links, at, &copy);
    if (err != ERR_OK) {
        arena_deinit(&copy->arena);
        free(copy);
    }
    return err;
}

/* Moves a tenant's totals and readiness to another parent (or none). */
static void tenant_totals(struct place_tenant *parent, const struct place_tenant *child,
                          bool is_added)
{
    for (; parent != NULL; parent = parent->parent) {
        for (int c = 0; c < PRIORITY_COUNT_; c++)
            parent->ready[c] =
                is_added ? parent->ready[c] + child->ready[c] : parent->ready[c] - child->ready[c];
        parent->pending =
            is_added ? parent->pending + child->pending : parent->pending - child->pending;
        parent->cpu_milli_held = is_added ? parent->cpu_milli_held + child->cpu_milli_held
                                          : parent->cpu_milli_held - child->cpu_milli_held;
        parent->accelerators_held = is_added ? parent->accelerators_held + child->accelerators_held
                                             : parent->accelerators_held - child->accelerators_held;
    }
}

static void siblings_remove(struct vector *siblings, const struct place_tenant *tenant)
{
    for (size_t i = 0; i < siblings->len; i++)
        if (*(struct place_tenant **)vector_at(siblings, i) == tenant) {
            vector_remove_ordered(siblings, i);
            return;
        }
}

static enum err siblings_add(struct vector *siblings, struct place_tenant *tenant)
{
    size_t at = 0;
    while (at < siblings->len &&
           slice_compare((*(struct place_tenant **)vector_at(siblings, at))->tenant.name,
                         tenant->tenant.name) < 0)
        at++;
    return vector_insert(siblings, at, &tenant);
}

enum err placer_tenant_put(struct placer *placer, const struct tenant *tenant)
{
    struct place_tenant *parent =
        id_is_none(tenant->parent.id) ? NULL : place_tenant_find(placer, tenant->parent);
    struct place_tenant *at = place_tenant_find(placer, tenant->id);
    if (!id_is_none(tenant->parent.id) && parent == NULL)
        return ERR_NOT_FOUND;
    for (const struct place_tenant *p = parent; p != NULL; p = p->parent)
        if (p == at)
            return ERR_INVALID; /* a cycle */
    if (at == NULL) {
        at = calloc(1, sizeof(*at));
        if (at == NULL)
            return ERR_NO_MEMORY;
        vector_init(&at->children, sizeof(struct place_tenant *), TENANTS_MAX);
        enum err err = idmap_add(&placer->tenants, tenant->id.id, at);
        if (err != ERR_OK) {
            free(at);
            return err;
        }
    } else {
        siblings_remove(at->parent == NULL ? &placer->roots : &at->parent->children, at);
        tenant_totals(at->parent, at, false);
        arena_deinit(&at->arena);
    }
    arena_init(&at->arena, PLACE_COPY_BYTES_MAX);
    at->tenant = *tenant;
    at->tenant.name = arena_copy(&at->arena, tenant->name);
    at->tenant.title = (struct slice){0};
    at->parent = parent;
    enum err err = siblings_add(parent == NULL ? &placer->roots : &parent->children, at);
    ASSERT(err == ERR_OK);
    tenant_totals(parent, at, true);
    place_version_raise(placer);
    return ERR_OK;
}

static uint16_t name_index(struct placer *placer, struct slice model)
{
    for (size_t i = 0; i < placer->names.len; i++)
        if (slice_is(model, *(char **)vector_at(&placer->names, i)))
            return (uint16_t)i;
    char *copy = strndup(model.data, model.len);
    ASSERT(copy != NULL && vector_push(&placer->names, &copy) == ERR_OK);
    return (uint16_t)(placer->names.len - 1);
}

static enum err site_copy(struct placer *placer, const struct site *site, struct place_site *out)
{
    arena_init(&out->arena, PLACE_COPY_BYTES_MAX);
    out->site = *site;
    out->site.name = arena_copy(&out->arena, site->name);
    out->site.region = arena_copy(&out->arena, site->region);
    out->site.jurisdiction = arena_copy(&out->arena, site->jurisdiction);
    out->site.title = out->site.operator_name = out->site.ask_origin.source = (struct slice){0};
    struct site_ask *asks = arena_array(&out->arena, site->ask_count + 1, sizeof(*asks));
    out->nodes = calloc(site->node_count + 1, sizeof(*out->nodes));
    if (asks == NULL || out->nodes == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < site->ask_count; i++)
        asks[i] = (struct site_ask){arena_copy(&out->arena, site->asks[i].accelerator),
                                    site->asks[i].per_hour};
    out->site.asks = asks;
    out->site.nodes = NULL;
    out->node_count = site->node_count;
    for (uint32_t i = 0; i < site->node_count; i++) {
        const struct site_node *node = &site->nodes[i];
        uint16_t mask =
            (uint16_t)((1u << (node->accelerator_count > 16 ? 16 : node->accelerator_count)) - 1);
        out->nodes[i] = (struct place_node){.cpu_milli = node->cpu_milli,
                                            .cpu_milli_seen = node->cpu_milli,
                                            .mem_bytes = node->mem_bytes,
                                            .mem_bytes_seen = node->mem_bytes,
                                            .devices = mask,
                                            .devices_seen = mask,
                                            .is_up = true,
                                            .runtime = node->runtime,
                                            .accelerator = name_index(placer, node->accelerator)};
    }
    return ERR_OK;
}

/* Books of the holds that stand at the site, on its new nodes. */
static void site_rehold(struct placer *placer, struct place_site *site)
{
    size_t cursor = 0;
    void *value;
    while (idmap_next(&placer->holds, &cursor, NULL, &value)) {
        const struct place_hold *hold = value;
        for (uint32_t r = 0; hold->site == site && r < hold->nodes; r++)
            if (hold->places[r].node < site->node_count)
                place_node_take(&site->nodes[hold->places[r].node], hold->cpu_milli,
                                hold->mem_bytes, &hold->places[r]);
    }
}

enum err placer_site_put(struct placer *placer, const struct site *site, bool is_open)
{
    struct place_site *at = place_site_find(placer, site->id);
    struct place_site fresh = {0};
    enum err err = site_copy(placer, site, &fresh);
    if (err == ERR_OK && at == NULL) {
        at = calloc(1, sizeof(*at));
        size_t i = 0;
        while (i < placer->sites.len &&
               slice_compare((*(struct place_site **)vector_at(&placer->sites, i))->site.name,
                             site->name) < 0)
            i++;
        err = at == NULL ? ERR_NO_MEMORY : vector_insert(&placer->sites, i, &at);
        if (err != ERR_OK)
            free(at);
    } else if (err == ERR_OK) {
        fresh.hold_count = at->hold_count;
        arena_deinit(&at->arena);
        free(at->nodes);
    }
    if (err != ERR_OK) {
        arena_deinit(&fresh.arena);
        free(fresh.nodes);
        return err;
    }
    *at = fresh;
    at->is_open = is_open;
    site_rehold(placer, at);
    place_version_raise(placer);
    return ERR_OK;
}

void placer_site_remove(struct placer *placer, struct site_id id)
{
    for (size_t i = 0; i < placer->sites.len; i++) {
        struct place_site *site = *(struct place_site **)vector_at(&placer->sites, i);
        if (!id_is_equal(site->site.id.id, id.id))
            continue;
        ASSERT(site->hold_count == 0);
        vector_remove_ordered(&placer->sites, i);
        site_free(site);
        place_version_raise(placer); /* reservations may have pointed at it */
        return;
    }
}

void placer_site_open(struct placer *placer, struct site_id id, bool is_open)
{
    struct place_site *site = place_site_find(placer, id);
    if (site == NULL || site->is_open == is_open)
        return;
    site->is_open = is_open;
    place_version_raise(placer);
}

static uint16_t seen_mask(const struct sync_node *node)
{
    uint16_t mask = 0;
    for (uint8_t i = 0; i < node->devices_free_count && i < RANK_DEVICES_MAX; i++)
        if (node->devices_free[i] < 16)
            mask |= (uint16_t)(1u << node->devices_free[i]);
    return mask;
}

void placer_site_observe(struct placer *placer, struct site_id id, const struct sync_node *nodes,
                         uint32_t count)
{
    struct place_site *site = place_site_find(placer, id);
    bool grew = false;
    for (uint32_t i = 0; site != NULL && i < count; i++) {
        if (nodes[i].node >= site->node_count)
            continue;
        struct place_node *node = &site->nodes[nodes[i].node];
        struct place_node old = *node;
        node->is_up = nodes[i].is_up;
        node->cpu_milli_seen =
            nodes[i].cpu_milli_free < node->cpu_milli ? nodes[i].cpu_milli_free : node->cpu_milli;
        node->mem_bytes_seen =
            nodes[i].mem_bytes_free < node->mem_bytes ? nodes[i].mem_bytes_free : node->mem_bytes;
        node->devices_seen = seen_mask(&nodes[i]) & node->devices;
        grew = grew || (node->is_up && !old.is_up) || node->cpu_milli_seen > old.cpu_milli_seen ||
               node->mem_bytes_seen > old.mem_bytes_seen ||
               (node->devices_seen & ~old.devices_seen) != 0;
    }
    if (grew)
        place_version_raise(placer);
}

/* ---- the queue */

enum err placer_job_put(struct placer *placer, const struct place_job *job)
{
    if (idmap_get(&placer->queued, job->id.id) != NULL)
        placer_job_remove(placer, job->id);
    if (place_tenant_find(placer, job->tenant) == NULL)
        return ERR_NOT_FOUND;
    struct place_queued *queued = calloc(1, sizeof(*queued));
    if (queued == NULL)
        return ERR_NO_MEMORY;
    queued->job = *job;
    enum err err = idmap_add(&placer->queued, job->id.id, queued);
    if (err != ERR_OK) {
        free(queued);
        return err;
    }
    place_queue_push(placer, queued, false);
    if (placer->failed > 0)
        placer->failed--; /* a newcomer is always looked at, however many wait */
    return ERR_OK;
}

void placer_job_remove(struct placer *placer, struct job_id job)
{
    struct place_queued *queued = idmap_remove(&placer->queued, job.id);
    if (queued == NULL)
        return;
    bool was_reserved = false;
    for (uint32_t r = 0; r < placer->reservation_count; r++)
        was_reserved = was_reserved || id_is_equal(placer->reservations[r].job.id, job.id);
    place_queue_remove(queued);
    free(queued);
    if (was_reserved)
        place_version_raise(placer);
}

/* ---- held capacity */

struct place_hold *place_hold_make(struct placer *placer, const struct place_job *job,
                                   struct place_tenant *tenant, struct place_site *site,
                                   uint32_t variant, struct money ask_per_hour,
                                   const struct rank_place *places, struct wall_us since)
{
    uint32_t nodes = job->spec->num_nodes;
    struct place_hold *hold = calloc(1, sizeof(*hold) + nodes * sizeof(hold->places[0]));
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
    hold->expected = place_expected(placer, job->spec);
    hold->limit = place_limit(placer, job->spec);
    memcpy(hold->places, places, nodes * sizeof(places[0]));
    for (uint32_t r = 0; r < nodes; r++)
        if (places[r].node < site->node_count)
            place_node_take(&site->nodes[places[r].node], hold->cpu_milli, hold->mem_bytes,
                            &places[r]);
    site->hold_count++;
    place_share_hold(tenant, hold, true);
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
    placer_job_remove(placer, job->id);
    struct place_hold *hold = place_hold_make(placer, job, tenant, site, decision->variant,
                                              decision->ask_per_hour, decision->places, since);
    hold->is_confirmed = true;
    return ERR_OK;
}

/* Gives everything back; the hold itself is freed by the caller. */
static void hold_undo(struct placer *placer, struct place_hold *hold)
{
    for (uint32_t r = 0; r < hold->nodes; r++)
        if (hold->places[r].node < hold->site->node_count)
            place_node_give(&hold->site->nodes[hold->places[r].node], hold->cpu_milli,
                            hold->mem_bytes, &hold->places[r]);
    ASSERT(hold->site->hold_count > 0);
    hold->site->hold_count--;
    place_share_hold(hold->tenant, hold, false);
    place_array_count(placer, hold->job.spec, -1);
}

void placer_release(struct placer *placer, struct job_id job, struct wall_us at)
{
    struct place_hold *hold = idmap_remove(&placer->holds, job.id);
    if (hold == NULL)
        return;
    hold_undo(placer, hold);
    int64_t held_ms = at.us / 1000 - hold->since.us / 1000;
    uint64_t cores_milli = ((uint64_t)hold->cpu_milli +
                            (uint64_t)hold->accelerators * PLACE_ACCELERATOR_CORES * 1000) *
                           hold->nodes;
    if (held_ms > 0 && held_ms < (int64_t)1000 * 86400 * 366)
        place_share_charge(hold->tenant, (uint64_t)held_ms / 1000 * cores_milli, at);
    free(hold);
    place_version_raise(placer);
}

void placer_confirm(struct placer *placer, struct job_id job, struct now now)
{
    struct place_hold *hold = idmap_get(&placer->holds, job.id);
    ASSERT(hold != NULL);
    hold->is_confirmed = true;
    hold->since = now.wall;
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
    place_queue_push(placer, queued, true);
    place_version_raise(placer);
}

struct boot_ns placer_due(const struct placer *placer, struct now now)
{
    (void)placer;
    (void)now;
    return BOOT_NEVER; /* reservations are redone at each release; time alone opens nothing */
}
