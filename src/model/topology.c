#include "model/topology.h"

#include <stdio.h>

#include "base/map.h"

static enum err in_item(struct fault *fault, const char *list, uint32_t index, enum err err)
{
    char prefix[48];

    snprintf(prefix, sizeof(prefix), "%s[%u]", list, index);
    fault_prefix(fault, prefix);
    return err;
}

/* Adds a name that must be new. Values are never NULL: the noun itself stands for its name. */
static enum err add_name(struct strmap *names, struct slice name, const void *noun,
                         struct fault *fault)
{
    enum err err = strmap_add(names, name, (void *)(uintptr_t)noun);

    if (err == ERR_EXISTS)
        return fault_set(fault, ERR_INVALID, "name", "the name '%.*s' stands here twice",
                         SLICE_ARG(name));
    if (err != ERR_OK)
        return fault_set(fault, err, "name", "no memory for the names");
    return ERR_OK;
}

/* The fault for a name that nothing has, with the nearest of `names`. */
static enum err refuse_unknown(struct slice name, const char *field, const char *what,
                               const struct strmap *names, struct arena *scratch,
                               struct fault *fault)
{
    size_t count = strmap_count(names), cursor = 0, i = 0;
    struct slice *candidates = arena_array(scratch, count + 1, sizeof(*candidates)), key;
    int nearest;

    while (candidates != NULL && i < count && strmap_next(names, &cursor, &key, NULL))
        candidates[i++] = key;
    nearest = candidates == NULL ? -1 : name_nearest(name, candidates, i);
    if (nearest < 0)
        return fault_set(fault, ERR_INVALID, field, "there is no %s '%.*s'", what, SLICE_ARG(name));
    return fault_set(fault, ERR_INVALID, field, "there is no %s '%.*s'; did you mean '%.*s'?", what,
                     SLICE_ARG(name), SLICE_ARG(candidates[nearest]));
}

struct names {
    struct strmap regions, sites, operators, tenants, links;
};

static enum err check_regions(const struct topology *topology, struct names *names,
                              struct fault *fault)
{
    for (uint32_t i = 0; i < topology->region_count; i++) {
        const struct region *region = &topology->regions[i];
        enum err err = region_check(region, fault);
        if (err == ERR_OK)
            err = add_name(&names->regions, region->name, region, fault);
        if (err != ERR_OK)
            return in_item(fault, "regions", i, err);
    }
    for (uint32_t i = 0; i < topology->operator_count; i++) {
        const struct operator_account *account = &topology->operators[i];
        enum err err = operator_check(account, fault);
        if (err == ERR_OK)
            err = add_name(&names->operators, account->name, account, fault);
        if (err != ERR_OK)
            return in_item(fault, "operators", i, err);
    }
    return ERR_OK;
}

static enum err check_sites(const struct topology *topology, struct names *names,
                            struct arena *scratch, struct fault *fault)
{
    for (uint32_t i = 0; i < topology->site_count; i++) {
        const struct site *site = &topology->sites[i];
        enum err err = site_check(site, fault);
        if (err == ERR_OK && strmap_get(&names->regions, site->region) == NULL)
            err = refuse_unknown(site->region, "region", "region", &names->regions, scratch, fault);
        if (err == ERR_OK && strmap_get(&names->operators, site->operator_name) == NULL)
            err = refuse_unknown(site->operator_name, "operator", "operator", &names->operators,
                                 scratch, fault);
        if (err == ERR_OK)
            err = add_name(&names->sites, site->name, site, fault);
        if (err != ERR_OK)
            return in_item(fault, "sites", i, err);
    }
    return ERR_OK;
}

static enum err check_link_ends(const struct link *link, struct names *names, struct arena *scratch,
                                struct fault *fault)
{
    bool a_site = strmap_get(&names->sites, link->a) != NULL;
    bool b_site = strmap_get(&names->sites, link->b) != NULL;
    bool a_region = strmap_get(&names->regions, link->a) != NULL;
    bool b_region = strmap_get(&names->regions, link->b) != NULL;
    char key[2 * NAME_MAX + 2];
    enum err err;

    if (!a_site && !a_region)
        return refuse_unknown(link->a, "a", "site or region", &names->sites, scratch, fault);
    if (!b_site && !b_region)
        return refuse_unknown(link->b, "b", "site or region", &names->sites, scratch, fault);
    if (!(a_site && b_site) && !(a_region && b_region))
        return fault_set(fault, ERR_INVALID, "b", "a link joins two sites or two regions");
    snprintf(key, sizeof(key), "%.*s|%.*s", SLICE_ARG(link->a), SLICE_ARG(link->b));
    err = strmap_add(&names->links, slice_of(key), (void *)(uintptr_t)link);
    if (err == ERR_EXISTS)
        return fault_set(fault, ERR_INVALID, "b", "the link of '%.*s' and '%.*s' stands here twice",
                         SLICE_ARG(link->a), SLICE_ARG(link->b));
    return err == ERR_OK ? ERR_OK : fault_set(fault, err, NULL, "no memory for the links");
}

static enum err check_links(const struct topology *topology, struct names *names,
                            struct arena *scratch, struct fault *fault)
{
    for (uint32_t i = 0; i < topology->link_count; i++) {
        enum err err = link_check(&topology->links[i], fault);
        if (err == ERR_OK)
            err = check_link_ends(&topology->links[i], names, scratch, fault);
        if (err != ERR_OK)
            return in_item(fault, "links", i, err);
    }
    return ERR_OK;
}

static enum err check_tenants(const struct topology *topology, struct names *names,
                              struct arena *scratch, struct fault *fault)
{
    for (uint32_t i = 0; i < topology->tenant_count; i++) {
        const struct topology_tenant *item = &topology->tenants[i];
        enum err err = tenant_check(&item->tenant, fault);
        if (err == ERR_OK)
            err = add_name(&names->tenants, item->tenant.name, item, fault);
        if (err != ERR_OK)
            return in_item(fault, "tenants", i, err);
    }
    for (uint32_t i = 0; i < topology->tenant_count; i++) {
        const struct topology_tenant *at = &topology->tenants[i];
        uint32_t depth = 0;
        while (at->parent.len > 0) {
            const struct topology_tenant *parent = strmap_get(&names->tenants, at->parent);
            if (parent == NULL)
                return in_item(fault, "tenants", (uint32_t)(at - topology->tenants),
                               refuse_unknown(at->parent, "parent", "tenant", &names->tenants,
                                              scratch, fault));
            at = parent;
            if (++depth > TENANT_DEPTH_MAX)
                return in_item(fault, "tenants", i,
                               fault_set(fault, ERR_INVALID, "parent",
                                         "the parents form a cycle, or more than %d levels",
                                         TENANT_DEPTH_MAX));
        }
    }
    return ERR_OK;
}

static enum err check_counts(const struct topology *topology, struct fault *fault)
{
    if (topology->region_count > TOPOLOGY_REGIONS_MAX)
        return fault_set(fault, ERR_LIMIT, "regions", "at most %d", TOPOLOGY_REGIONS_MAX);
    if (topology->site_count > TOPOLOGY_SITES_MAX)
        return fault_set(fault, ERR_LIMIT, "sites", "at most %d", TOPOLOGY_SITES_MAX);
    if (topology->link_count > TOPOLOGY_LINKS_MAX)
        return fault_set(fault, ERR_LIMIT, "links", "at most %d", TOPOLOGY_LINKS_MAX);
    if (topology->tenant_count > TOPOLOGY_TENANTS_MAX)
        return fault_set(fault, ERR_LIMIT, "tenants", "at most %d", TOPOLOGY_TENANTS_MAX);
    if (topology->operator_count > TOPOLOGY_OPERATORS_MAX)
        return fault_set(fault, ERR_LIMIT, "operators", "at most %d", TOPOLOGY_OPERATORS_MAX);
    return ERR_OK;
}

enum err topology_check(const struct topology *topology, struct arena *scratch, struct fault *fault)
{
    struct names names;
    enum err err = check_counts(topology, fault);

    if (err != ERR_OK)
        return err;
    strmap_init(&names.regions, TOPOLOGY_REGIONS_MAX, 0);
    strmap_init(&names.sites, TOPOLOGY_SITES_MAX, 0);
    strmap_init(&names.operators, TOPOLOGY_OPERATORS_MAX, 0);
    strmap_init(&names.tenants, TOPOLOGY_TENANTS_MAX, 0);
    strmap_init(&names.links, TOPOLOGY_LINKS_MAX, 0);
    if ((err = check_regions(topology, &names, fault)) == ERR_OK &&
        (err = check_sites(topology, &names, scratch, fault)) == ERR_OK &&
        (err = check_links(topology, &names, scratch, fault)) == ERR_OK &&
        (err = check_tenants(topology, &names, scratch, fault)) == ERR_OK)
        err = policy_check(&topology->policy, fault);
    strmap_deinit(&names.regions);
    strmap_deinit(&names.sites);
    strmap_deinit(&names.operators);
    strmap_deinit(&names.tenants);
    strmap_deinit(&names.links);
    return err;
}

const struct region *topology_region(const struct topology *topology, struct slice name)
{
    for (uint32_t i = 0; i < topology->region_count; i++)
        if (slice_is_equal(topology->regions[i].name, name))
            return &topology->regions[i];
    return NULL;
}

const struct site *topology_site(const struct topology *topology, struct slice name)
{
    for (uint32_t i = 0; i < topology->site_count; i++)
        if (slice_is_equal(topology->sites[i].name, name))
            return &topology->sites[i];
    return NULL;
}

static const struct link *find_link(const struct topology *topology, struct slice a, struct slice b)
{
    struct link wanted = {.a = a, .b = b};

    link_order(&wanted);
    for (uint32_t i = 0; i < topology->link_count; i++)
        if (slice_is_equal(topology->links[i].a, wanted.a) &&
            slice_is_equal(topology->links[i].b, wanted.b))
            return &topology->links[i];
    return NULL;
}

const struct link *topology_link(const struct topology *topology, const struct site *a,
                                 const struct site *b)
{
    const struct link *link;

    if (slice_is_equal(a->name, b->name))
        return NULL;
    link = find_link(topology, a->name, b->name);
    return link != NULL ? link : find_link(topology, a->region, b->region);
}
