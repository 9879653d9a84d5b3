/* What stands: policy, regions, links and sites. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "place/place_state.h"

enum err placer_policy_put(struct placer *placer, const struct policy *policy)
{
    struct slice none = {0};
    placer->policy = *policy;
    placer->policy.currency = none; /* no money leaves this engine but as amounts */
    place_settings_raise(placer);
    return ERR_OK;
}

static void regions_link(struct placer *placer)
{
    for (size_t i = 0; i < placer->sites.len; i++) {
        struct place_site *site = *(struct place_site **)vector_at(&placer->sites, i);
        site->region = place_region_find(placer, site->site.region);
    }
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
    regions_link(placer);
    place_settings_raise(placer);
    return ERR_OK;
}

void placer_region_remove(struct placer *placer, struct slice name)
{
    for (size_t i = 0; i < placer->regions.len; i++) {
        struct place_region *region = *(struct place_region **)vector_at(&placer->regions, i);
        if (!slice_is_equal(region->region.name, name))
            continue;
        vector_remove_ordered(&placer->regions, i);
        arena_deinit(&region->arena);
        free(region);
        regions_link(placer);
        place_settings_raise(placer);
        return;
    }
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
            place_settings_raise(placer);
            return ERR_OK;
        }
        if (order > 0)
            break;
    }
    enum err err = vector_insert(&placer->links, at, &copy);
    if (err != ERR_OK) {
        arena_deinit(&copy->arena);
        free(copy);
        return err;
    }
    place_settings_raise(placer); /* a round trip or an egress price is known now */
    return ERR_OK;
}

void placer_link_remove(struct placer *placer, struct slice a, struct slice b)
{
    struct link wanted = {.a = a, .b = b};
    link_order(&wanted);
    for (size_t i = 0; i < placer->links.len; i++) {
        struct place_link *link = *(struct place_link **)vector_at(&placer->links, i);
        if (link_compare(&link->link, &wanted) != 0)
            continue;
        vector_remove_ordered(&placer->links, i);
        arena_deinit(&link->arena);
        free(link);
        place_settings_raise(placer);
        return;
    }
}

/* ---- sites */

static void site_deinit(struct place_site *site)
{
    arena_deinit(&site->arena);
    stock_free(site);
    free(site->nodes);
}

void place_site_free(struct place_site *site)
{
    site_deinit(site);
    free(site->wants.bytes);
    free(site->wants.list);
    free(site);
}

struct place_site *place_site_at(const struct placer *placer, size_t index)
{
    return *(struct place_site **)vector_at(&placer->sites, index);
}

struct place_site *place_site_find(struct placer *placer, struct site_id id)
{
    return idmap_get(&placer->sites_by_id, id.id);
}

const char *place_name(const struct placer *placer, uint16_t index)
{
    return *(char **)vector_at(&placer->names, index);
}

const char *place_name_keep(struct placer *placer, struct slice name, uint16_t *out_index)
{
    for (size_t i = 0; i < placer->names.len; i++) {
        const char *known = *(char **)vector_at(&placer->names, i);
        *out_index = (uint16_t)i;
        if (slice_is(name, known))
            return known;
    }
    char *copy = strndup(name.data, name.len);
    if (copy == NULL || vector_push(&placer->names, &copy) != ERR_OK) {
        free(copy);
        return NULL;
    }
    *out_index = (uint16_t)(placer->names.len - 1);
    return copy;
}

static enum err nodes_copy(struct placer *placer, const struct site *site, struct place_site *out)
{
    uint16_t *accelerators = calloc(site->node_count + 1, sizeof(*accelerators));
    enum runtime *runtimes = calloc(site->node_count + 1, sizeof(*runtimes));
    enum err err = accelerators == NULL || runtimes == NULL ? ERR_NO_MEMORY : ERR_OK;
    for (uint32_t i = 0; err == ERR_OK && i < site->node_count; i++) {
        const struct site_node *node = &site->nodes[i];
        if (place_name_keep(placer, node->accelerator, &accelerators[i]) == NULL)
            err = ERR_LIMIT;
        uint16_t mask =
            (uint16_t)((1u << (node->accelerator_count > 16 ? 16 : node->accelerator_count)) - 1);
        runtimes[i] = node->runtime;
        out->nodes[i] = (struct place_node){.cpu_milli = node->cpu_milli,
                                            .cpu_milli_seen = node->cpu_milli,
                                            .mem_bytes = node->mem_bytes,
                                            .mem_bytes_seen = node->mem_bytes,
                                            .devices = mask,
                                            .devices_seen = mask,
                                            .end_ms = INT64_MIN,
                                            .is_up = true};
    }
    if (err == ERR_OK)
        err = stock_build(out, accelerators, runtimes);
    free(accelerators);
    free(runtimes);
    return err;
}

static bool list_copy(struct arena *arena, struct text_list *list)
{
    struct slice *items = arena_array(arena, list->count + 1, sizeof(*items));
    for (uint32_t i = 0; items != NULL && i < list->count; i++)
        items[i] = arena_copy(arena, list->items[i]);
    list->items = items;
    return items != NULL;
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
    if (!list_copy(&out->arena, &out->site.images) ||
        !list_copy(&out->arena, &out->site.shared_folders))
        return ERR_NO_MEMORY;
    /* Of the contract only the floors are placement's own. */
    out->site.surplus = (struct surplus){.floor_cpu = site->surplus.floor_cpu,
                                         .floor_accelerator = site->surplus.floor_accelerator};
    out->site.nodes = NULL;
    out->node_count = site->node_count;
    return nodes_copy(placer, site, out);
}

/* Books of the holds that stand at the site, on its new nodes. */
static void site_rehold(struct place_site *site)
{
    for (struct place_hold *hold = site->holds; hold != NULL; hold = hold->site_next)
        place_hold_nodes(hold, true);
}

static void site_unlist(struct placer *placer, const struct place_site *site)
{
    for (size_t i = 0; i < placer->sites.len; i++)
        if (*(struct place_site **)vector_at(&placer->sites, i) == site) {
            vector_remove_ordered(&placer->sites, i);
            return;
        }
}

static enum err site_list(struct placer *placer, struct place_site *site)
{
    size_t i = 0;
    while (i < placer->sites.len &&
           slice_compare((*(struct place_site **)vector_at(&placer->sites, i))->site.name,
                         site->site.name) < 0)
        i++;
    return vector_insert(&placer->sites, i, &site);
}

enum err placer_site_put(struct placer *placer, const struct site *site, bool is_open)
{
    struct place_site *at = place_site_find(placer, site->id);
    struct place_site fresh = {0};
    bool is_new = at == NULL;
    enum err err = site_copy(placer, site, &fresh);
    if (err == ERR_OK && is_new) {
        at = calloc(1, sizeof(*at));
        err = at == NULL ? ERR_NO_MEMORY : vector_reserve(&placer->sites, placer->sites.len + 1);
        if (err == ERR_OK)
            err = idmap_add(&placer->sites_by_id, site->id.id, at);
        if (err != ERR_OK)
            free(at);
    }
    if (err != ERR_OK) {
        site_deinit(&fresh);
        return err;
    }
    place_settings_raise(placer); /* no option and no reservation knows its nodes any more */
    if (!is_new) {
        site_unlist(placer, at); /* it may have another name now */
        fresh.holds = at->holds;
        fresh.hold_count = at->hold_count;
        fresh.leaving_count = at->leaving_count;
        memcpy(fresh.class_holds, at->class_holds, sizeof(fresh.class_holds));
        fresh.wants = at->wants;
        fresh.is_changed = at->is_changed;
        fresh.changed_next = at->changed_next;
        fresh.is_pending = at->is_pending;
        fresh.pending_next = at->pending_next;
        fresh.is_shut = at->is_shut;
        site_deinit(at);
    }
    *at = fresh;
    at->is_open = is_open;
    at->region = place_region_find(placer, at->site.region);
    err = site_list(placer, at);
    ASSERT(err == ERR_OK);
    site_rehold(at);
    return ERR_OK;
}

static void changed_forget(struct placer *placer, struct place_site *site)
{
    struct place_site **at = &placer->changed;
    while (*at != NULL && *at != site)
        at = &(*at)->changed_next;
    if (*at != NULL)
        *at = site->changed_next;
    at = &placer->pending;
    while (*at != NULL && *at != site)
        at = &(*at)->pending_next;
    if (*at != NULL)
        *at = site->pending_next;
}

void placer_site_remove(struct placer *placer, struct site_id id)
{
    struct place_site *site = place_site_find(placer, id);
    if (site == NULL)
        return;
    ASSERT(site->hold_count == 0);
    place_settings_raise(placer);
    changed_forget(placer, site);
    (void)idmap_remove(&placer->sites_by_id, id.id);
    site_unlist(placer, site);
    place_site_free(site);
}

void placer_site_open(struct placer *placer, struct site_id id, bool is_open)
{
    struct place_site *site = place_site_find(placer, id);
    if (site == NULL || site->is_open == is_open)
        return;
    site->is_open = is_open;
    placer->supply++;
    place_reservations_drop(placer, site);
    place_site_code(placer, site);
    place_site_changed(placer, site, is_open);
    place_all_unpark(placer); /* a closed one counts, too: a job may now go where it avoided */
}

void placer_site_shut(struct placer *placer, struct site_id id, bool is_shut)
{
    struct place_site *site = place_site_find(placer, id);
    if (site == NULL || site->is_shut == is_shut)
        return;
    site->is_shut = is_shut;
    place_site_code(placer, site);
}

void placer_site_quarantine(struct placer *placer, struct site_id id, bool is_whole, uint32_t nodes)
{
    struct place_site *site = place_site_find(placer, id);
    if (site == NULL)
        return;
    site->quarantined_nodes = nodes;
    if (site->is_quarantined == is_whole)
        return;
    site->is_quarantined = is_whole;
    place_site_code(placer, site);
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
    bool grew = false, changed = false;
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
        if (memcmp(&old, node, sizeof(old)) == 0)
            continue;
        changed = true;
        stock_update(site, nodes[i].node);
        grew = grew || (node->is_up && !old.is_up) || node->cpu_milli_seen > old.cpu_milli_seen ||
               node->mem_bytes_seen > old.mem_bytes_seen ||
               (node->devices_seen & ~old.devices_seen) != 0;
    }
    if (!changed)
        return;
    placer->supply++;
    place_reservations_drop(placer, site); /* its nodes may not come free as was thought */
    place_site_changed(placer, site, false);
    if (grew)
        place_site_changed(placer, site, true);
}
