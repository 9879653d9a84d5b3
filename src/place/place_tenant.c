/* The tenant tree as placement keeps it. */
#include <stdlib.h>

#include "base/assert.h"
#include "place/place_state.h"

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
        parent->hold_count = is_added ? parent->hold_count + child->hold_count
                                      : parent->hold_count - child->hold_count;
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
    if (tenant->weight == 0)
        return ERR_INVALID;
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
        for (int c = 0; c < PRIORITY_COUNT_; c++) {
            at->queues[c].tenant = at;
            at->queues[c].priority = (enum priority_class)c;
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
    place_settings_raise(placer);
    return ERR_OK;
}

enum err placer_tenant_remove(struct placer *placer, struct tenant_id id)
{
    struct place_tenant *tenant = place_tenant_find(placer, id);
    if (tenant == NULL)
        return ERR_OK;
    if (tenant->children.len > 0 || tenant->pending > 0 || tenant->hold_count > 0)
        return ERR_BUSY;
    place_settings_raise(placer); /* no list of queues holds it any more */
    siblings_remove(tenant->parent == NULL ? &placer->roots : &tenant->parent->children, tenant);
    (void)idmap_remove(&placer->tenants, id.id);
    vector_deinit(&tenant->children);
    arena_deinit(&tenant->arena);
    free(tenant);
    return ERR_OK;
}
