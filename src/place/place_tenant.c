/* The tenant tree as placement keeps it. */
#include <stdlib.h>

#include "place/place_state.h"

/* Moves a tenant's totals to another parent (or none). */
static void tenant_totals(struct place_tenant *parent, const struct place_tenant *child,
                          bool is_added)
{
    if (parent != NULL)
        parent->child_count = is_added ? parent->child_count + 1 : parent->child_count - 1;
    for (; parent != NULL; parent = parent->parent) {
        parent->pending =
            is_added ? parent->pending + child->pending : parent->pending - child->pending;
        parent->hold_count = is_added ? parent->hold_count + child->hold_count
                                      : parent->hold_count - child->hold_count;
        parent->cpu_milli_held = is_added ? parent->cpu_milli_held + child->cpu_milli_held
                                          : parent->cpu_milli_held - child->cpu_milli_held;
        parent->accelerators_held = is_added ? parent->accelerators_held + child->accelerators_held
                                             : parent->accelerators_held - child->accelerators_held;
    }
}

enum err placer_tenant_put(struct placer *placer, const struct tenant *tenant)
{
    struct place_tenant *parent =
        id_is_none(tenant->parent.id) ? NULL : place_tenant_find(placer, tenant->parent);
    struct place_tenant *at = place_tenant_find(placer, tenant->id);
    if (!id_is_none(tenant->parent.id) && parent == NULL)
        return ERR_NOT_FOUND;
    if (tenant->weight == 0)
        return ERR_INVALID;
    uint32_t depth = 0;
    for (const struct place_tenant *p = parent; p != NULL; p = p->parent)
        if (p == at || ++depth > TENANT_DEPTH_MAX)
            return ERR_INVALID; /* a cycle, or too deep */
    if (at == NULL) {
        at = calloc(1, sizeof(*at));
        if (at == NULL)
            return ERR_NO_MEMORY;
        enum err err = idmap_add(&placer->tenants, tenant->id.id, at);
        if (err != ERR_OK) {
            free(at);
            return err;
        }
    } else {
        tenant_totals(at->parent, at, false);
        place_share_leave(placer, at);
        arena_deinit(&at->arena);
    }
    arena_init(&at->arena, PLACE_COPY_BYTES_MAX);
    at->tenant = *tenant;
    at->tenant.name = arena_copy(&at->arena, tenant->name);
    at->tenant.title = (struct slice){0};
    at->parent = parent;
    tenant_totals(parent, at, true);
    place_share_refresh(placer, at);
    place_queue_relimit(placer);
    place_settings_raise(placer);
    return ERR_OK;
}

enum err placer_tenant_remove(struct placer *placer, struct tenant_id id)
{
    struct place_tenant *tenant = place_tenant_find(placer, id);
    if (tenant == NULL)
        return ERR_OK;
    if (tenant->child_count > 0 || tenant->pending > 0 || tenant->hold_count > 0)
        return ERR_BUSY;
    tenant_totals(tenant->parent, tenant, false);
    place_share_leave(placer, tenant);
    (void)idmap_remove(&placer->tenants, id.id);
    arena_deinit(&tenant->arena);
    free(tenant);
    return ERR_OK;
}
