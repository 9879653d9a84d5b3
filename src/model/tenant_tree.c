#include <stdlib.h>

#include "base/assert.h"
#include "model/account.h"

static int compare_ids(const void *a, const void *b)
{
    const struct tenant *const *left = a, *const *right = b;
    return id_compare((*left)->id.id, (*right)->id.id);
}

/* Siblings side by side, by name. */
static int compare_siblings(const void *a, const void *b)
{
    const struct tenant *const *left = a, *const *right = b;
    int parents = id_compare((*left)->parent.id, (*right)->parent.id);
    return parents != 0 ? parents : slice_compare((*left)->name, (*right)->name);
}

static const struct tenant **make_pointers(const struct tenant *tenants, uint32_t count,
                                           struct arena *arena)
{
    const struct tenant **pointers = arena_array(arena, count, sizeof(struct tenant *));
    for (uint32_t i = 0; pointers != NULL && i < count; i++)
        pointers[i] = &tenants[i];
    return pointers;
}

static enum err check_unique(const struct tenant **pointers, uint32_t count, struct fault *fault)
{
    qsort(pointers, count, sizeof(struct tenant *), compare_siblings);
    for (uint32_t i = 1; i < count; i++)
        if (compare_siblings(&pointers[i - 1], &pointers[i]) == 0)
            return fault_set(fault, ERR_INVALID, "name",
                             "two tenants under one parent have the name '%.*s'",
                             SLICE_ARG(pointers[i]->name));
    qsort(pointers, count, sizeof(struct tenant *), compare_ids);
    for (uint32_t i = 0; i < count; i++) {
        if (id_is_none(pointers[i]->id.id))
            return fault_set(fault, ERR_INVALID, "id", "tenant '%.*s' has no id",
                             SLICE_ARG(pointers[i]->name));
        if (i > 0 && compare_ids(&pointers[i - 1], &pointers[i]) == 0)
            return fault_set(fault, ERR_INVALID, "id", "two tenants have one id, '%.*s' and '%.*s'",
                             SLICE_ARG(pointers[i - 1]->name), SLICE_ARG(pointers[i]->name));
    }
    return ERR_OK;
}

/* Climbs from tenant `index` to its root. More steps than there are tenants: a cycle. */
static enum err find_depth(const struct tenant *tenants, const uint32_t *parents, uint32_t count,
                           uint32_t index, uint8_t *out_depth, struct fault *fault)
{
    uint32_t steps = 0, at = index;

    while (parents[at] != UINT32_MAX) {
        at = parents[at];
        if (++steps > count)
            return fault_set(fault, ERR_INVALID, "parent",
                             "tenant '%.*s' is its own ancestor: the parents form a cycle",
                             SLICE_ARG(tenants[index].name));
    }
    if (steps > TENANT_DEPTH_MAX)
        return fault_set(fault, ERR_LIMIT, "parent",
                         "tenant '%.*s' is %u levels deep; at most %d are allowed",
                         SLICE_ARG(tenants[index].name), steps, TENANT_DEPTH_MAX);
    *out_depth = (uint8_t)steps;
    return ERR_OK;
}

enum err tenant_tree_build(const struct tenant *tenants, uint32_t count, struct arena *arena,
                           struct tenant_tree *out, struct fault *fault)
{
    struct tenant_tree tree = {.tenants = tenants, .count = count};
    const struct tenant **by_id;
    uint32_t *order, *parents;
    uint8_t *depths;
    enum err err;

    if (count > TENANTS_MAX)
        return fault_set(fault, ERR_LIMIT, NULL, "at most %d tenants", TENANTS_MAX);
    if (count == 0) {
        *out = tree;
        return ERR_OK;
    }
    by_id = make_pointers(tenants, count, arena);
    order = arena_array(arena, count, sizeof(*order));
    parents = arena_array(arena, count, sizeof(*parents));
    depths = arena_array(arena, count, sizeof(*depths));
    if (by_id == NULL || order == NULL || parents == NULL || depths == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for the tenants");
    err = check_unique(by_id, count, fault);
    if (err != ERR_OK)
        return err;
    for (uint32_t i = 0; i < count; i++)
        order[i] = (uint32_t)(by_id[i] - tenants);
    tree.order = order;
    tree.parents = parents;
    tree.depths = depths;
    for (uint32_t i = 0; i < count; i++) {
        const struct tenant *parent = tenant_tree_find(&tree, tenants[i].parent);
        if (parent == NULL && !id_is_none(tenants[i].parent.id))
            return fault_set(fault, ERR_INVALID, "parent",
                             "the parent of tenant '%.*s' is not there",
                             SLICE_ARG(tenants[i].name));
        parents[i] = parent == NULL ? UINT32_MAX : (uint32_t)(parent - tenants);
    }
    for (uint32_t i = 0; i < count; i++) {
        err = find_depth(tenants, parents, count, i, &depths[i], fault);
        if (err != ERR_OK)
            return err;
    }
    *out = tree;
    return ERR_OK;
}

const struct tenant *tenant_tree_find(const struct tenant_tree *tree, struct tenant_id id)
{
    uint32_t low = 0, high = tree->count;

    if (id_is_none(id.id))
        return NULL;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct tenant *tenant = &tree->tenants[tree->order[middle]];
        int order = id_compare(id.id, tenant->id.id);
        if (order == 0)
            return tenant;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct tenant *tenant_tree_parent(const struct tenant_tree *tree, const struct tenant *tenant)
{
    uint32_t index = (uint32_t)(tenant - tree->tenants);

    ASSERT(index < tree->count);
    return tree->parents[index] == UINT32_MAX ? NULL : &tree->tenants[tree->parents[index]];
}

bool tenant_tree_is_within(const struct tenant_tree *tree, struct tenant_id id,
                           struct tenant_id above)
{
    const struct tenant *tenant = tenant_tree_find(tree, id);

    if (id_is_none(above.id))
        return false;
    for (; tenant != NULL; tenant = tenant_tree_parent(tree, tenant))
        if (id_is_equal(tenant->id.id, above.id))
            return true;
    return false;
}

struct span_ms tenant_tree_time_limit(const struct tenant_tree *tree, struct tenant_id id,
                                      struct span_ms fallback)
{
    const struct tenant *tenant = tenant_tree_find(tree, id);

    for (; tenant != NULL; tenant = tenant_tree_parent(tree, tenant))
        if (tenant->default_time_limit.ms > 0)
            return tenant->default_time_limit;
    return fallback;
}
