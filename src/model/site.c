#include "model/site.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"

static enum err in_node(struct fault *fault, uint32_t index, enum err err)
{
    char prefix[32];

    snprintf(prefix, sizeof(prefix), "nodes[%u]", index);
    fault_prefix(fault, prefix);
    return err;
}

#define TO(state) (1u << (state))

static const unsigned SITE_MOVES[SITE_STATE_COUNT_] = {
    [SITE_ACTIVE] = TO(SITE_DRAINING) | TO(SITE_LOST),
    [SITE_DRAINING] = TO(SITE_ACTIVE) | TO(SITE_DRAINED) | TO(SITE_LOST),
    [SITE_DRAINED] = TO(SITE_ACTIVE) | TO(SITE_LOST),
    [SITE_LOST] = TO(SITE_ACTIVE) | TO(SITE_DRAINING) | TO(SITE_DRAINED),
};

bool site_state_can_move(enum site_state from, enum site_state to)
{
    if ((unsigned)from >= SITE_STATE_COUNT_ || (unsigned)to >= SITE_STATE_COUNT_)
        return false;
    return (SITE_MOVES[from] & TO(to)) != 0;
}

static enum err check_money(struct maybe_money amount, const char *field, struct fault *fault)
{
    if (amount.has && (amount.value.micros < 0 || amount.value.micros > JOB_BUDGET_MAX.micros))
        return fault_set(fault, ERR_INVALID, field,
                         "must not be negative or past 10^12; leave it out where it is not known");
    return ERR_OK;
}

static enum err check_optional_line(struct slice text, size_t max, const char *field,
                                    struct fault *fault)
{
    return text.len == 0 ? ERR_OK : text_line_check(text, max, field, fault);
}

enum err region_check(const struct region *region, struct fault *fault)
{
    enum err err;

    if ((err = name_check(region->name, "name", fault)) != ERR_OK ||
        (err = check_optional_line(region->title, TITLE_MAX, "title", fault)) != ERR_OK ||
        (err = jurisdiction_check(region->jurisdiction, "jurisdiction", fault)) != ERR_OK ||
        (err = check_money(region->price_per_kwh, "price_per_kwh", fault)) != ERR_OK ||
        (err = check_optional_line(region->price_origin.source, SOURCE_MAX, "price_source",
                                   fault)) != ERR_OK ||
        (err = check_optional_line(region->carbon_origin.source, SOURCE_MAX, "carbon_source",
                                   fault)) != ERR_OK ||
        (err = check_optional_line(region->pue_origin.source, SOURCE_MAX, "pue_source", fault)) !=
            ERR_OK)
        return err;
    if ((unsigned)region->role >= ROLE_COUNT_)
        return fault_set(fault, ERR_INVALID, "role", "is no role");
    if (region->has_position && (region->lat_udeg < -90000000 || region->lat_udeg > 90000000))
        return fault_set(fault, ERR_INVALID, "lat", "must be between -90 and 90");
    if (region->has_position && (region->lon_udeg < -180000000 || region->lon_udeg > 180000000))
        return fault_set(fault, ERR_INVALID, "lon", "must be between -180 and 180");
    if (region->carbon_mg_per_kwh.has && region->carbon_mg_per_kwh.value > 5000000)
        return fault_set(fault, ERR_INVALID, "carbon_g_per_kwh", "must be at most 5000");
    if (region->pue_milli.has && (region->pue_milli.value < 1000 || region->pue_milli.value > 5000))
        return fault_set(fault, ERR_INVALID, "pue", "must be between 1 and 5");
    return ERR_OK;
}

enum err site_node_check(const struct site_node *node, struct fault *fault)
{
    enum err err;

    if ((err = name_check(node->name, "name", fault)) != ERR_OK)
        return err;
    if (node->cpu_milli == 0 || node->cpu_milli > NODE_CPU_MILLI_MAX)
        return fault_set(fault, ERR_INVALID, "cpus", "must be more than 0 and at most %d",
                         NODE_CPU_MILLI_MAX / 1000);
    if (node->mem_bytes < JOB_MEM_BYTES_MIN || node->mem_bytes > JOB_MEM_BYTES_MAX)
        return fault_set(fault, ERR_INVALID, "memory", "must be between 1MiB and 64TiB");
    if (node->scratch_bytes > JOB_SCRATCH_BYTES_MAX)
        return fault_set(fault, ERR_LIMIT, "scratch", "must be at most 1PiB");
    if ((unsigned)node->runtime >= RUNTIME_COUNT_)
        return fault_set(fault, ERR_INVALID, "runtime", "is no runtime");
    if (node->accelerator_count > NODE_ACCELERATORS_MAX)
        return fault_set(fault, ERR_LIMIT, "accelerators", "at most %d in a node",
                         NODE_ACCELERATORS_MAX);
    if (node->accelerator_count == 0 && (node->accelerator.len > 0 || node->runtime != RUNTIME_CPU))
        return fault_set(fault, ERR_INVALID, "accelerators", "say how many");
    if (node->accelerator_count > 0 && node->runtime == RUNTIME_CPU)
        return fault_set(fault, ERR_INVALID, "runtime", "accelerators need one other than cpu");
    if (node->accelerator_count > 0)
        return text_line_check(node->accelerator, 47, "accelerators", fault);
    return ERR_OK;
}

static enum err check_asks(const struct site *site, struct fault *fault)
{
    enum err err;

    if ((err = check_money(site->ask_per_accelerator_hour, "ask_per_card_hour", fault)) != ERR_OK ||
        (err = check_money(site->ask_per_cpu_hour, "ask_per_cpu_hour", fault)) != ERR_OK ||
        (err = check_optional_line(site->ask_origin.source, SOURCE_MAX, "ask_source", fault)) !=
            ERR_OK)
        return err;
    if (site->ask_count > SITE_ASKS_MAX)
        return fault_set(fault, ERR_LIMIT, "asks", "at most %d", SITE_ASKS_MAX);
    for (uint32_t i = 0; i < site->ask_count; i++) {
        const struct site_ask *ask = &site->asks[i];
        if ((err = text_line_check(ask->accelerator, 47, "asks", fault)) != ERR_OK ||
            (err = check_money(MAYBE_MONEY(ask->per_hour), "asks", fault)) != ERR_OK)
            return err;
        if (i > 0 && slice_compare(site->asks[i - 1].accelerator, ask->accelerator) >= 0)
            return fault_set(fault, ERR_INVALID, "asks", "asks are sorted by model and unique");
    }
    return ERR_OK;
}

/* Node names are unique: an open-addressing table of indices on the stack. */
enum { NAME_SLOTS = 8192 };
_Static_assert(NAME_SLOTS >= 2 * SITE_NODES_MAX, "the table is at most half full");

static enum err check_nodes(const struct site *site, struct fault *fault)
{
    uint16_t slots[NAME_SLOTS];

    if (site->node_count > SITE_NODES_MAX)
        return fault_set(fault, ERR_LIMIT, "nodes", "at most %d, not %u", SITE_NODES_MAX,
                         site->node_count);
    memset(slots, 0, sizeof(slots));
    for (uint32_t i = 0; i < site->node_count; i++) {
        const struct site_node *node = &site->nodes[i];
        enum err err = site_node_check(node, fault);
        if (err != ERR_OK)
            return in_node(fault, i, err);
        size_t slot = (size_t)hash_bytes(node->name, 1) % NAME_SLOTS;
        while (slots[slot] != 0) {
            if (slice_is_equal(site->nodes[slots[slot] - 1].name, node->name))
                return in_node(fault, i,
                               fault_set(fault, ERR_INVALID, "name",
                                         "nodes[%d] has the name '%.*s' already", slots[slot] - 1,
                                         SLICE_ARG(node->name)));
            slot = (slot + 1) % NAME_SLOTS;
        }
        slots[slot] = (uint16_t)(i + 1);
    }
    return ERR_OK;
}

bool site_allows_image(const struct site *site, struct slice image)
{
    for (uint32_t i = 0; i < site->images.count; i++)
        if (slice_has_prefix(image, site->images.items[i]))
            return true;
    return false;
}

static bool share_parse(struct slice text, struct id *out_tenant, struct slice *out_path)
{
    struct slice tenant;
    return slice_cut(text, '=', &tenant, out_path) && id_parse(tenant, "ten", out_tenant) == ERR_OK;
}

bool site_shares_folder(const struct site *site, struct tenant_id tenant, struct slice path)
{
    for (uint32_t i = 0; i < site->shared_folders.count; i++) {
        struct id granted;
        struct slice folder;
        if (share_parse(site->shared_folders.items[i], &granted, &folder) &&
            id_is_equal(granted, tenant.id) && slice_is_equal(folder, path))
            return true;
    }
    return false;
}

static enum err check_shares(const struct site *site, struct fault *fault)
{
    if (site->shared_folders.count > SITE_SHARES_MAX)
        return fault_set(fault, ERR_LIMIT, "shared_folders", "at most %d", SITE_SHARES_MAX);
    if (site->shared_folders.count > 0 && site->engine != ENGINE_HOST)
        return fault_set(fault, ERR_INVALID, "shared_folders", "only a host site shares folders");
    for (uint32_t i = 0; i < site->shared_folders.count; i++) {
        struct slice text = site->shared_folders.items[i], path;
        struct id tenant;
        if (!share_parse(text, &tenant, &path))
            return fault_set(fault, ERR_INVALID, "shared_folders",
                             "\"%.*s\" must be TENANT=/FOLDER, the tenant by its id (ten_...)",
                             SLICE_ARG(text));
        enum err err = shared_folder_check(path, "shared_folders", fault);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* An empty prefix would be every image. */
static enum err check_images(const struct site *site, struct fault *fault)
{
    if (site->images.count > SITE_IMAGES_MAX)
        return fault_set(fault, ERR_LIMIT, "images", "at most %d", SITE_IMAGES_MAX);
    for (uint32_t i = 0; i < site->images.count; i++) {
        enum err err = text_line_check(site->images.items[i], JOB_IMAGE_MAX, "images", fault);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

enum err site_check(const struct site *site, struct fault *fault)
{
    enum err err;

    if ((err = name_check(site->name, "name", fault)) != ERR_OK ||
        (err = check_optional_line(site->title, TITLE_MAX, "title", fault)) != ERR_OK ||
        (err = name_check(site->region, "region", fault)) != ERR_OK ||
        (err = name_check(site->operator_name, "operator", fault)) != ERR_OK)
        return err;
    if ((unsigned)site->tier >= TIER_COUNT_)
        return fault_set(fault, ERR_INVALID, "tier", "is no tier");
    if ((unsigned)site->engine >= ENGINE_COUNT_)
        return fault_set(fault, ERR_INVALID, "engine", "is no engine");
    if ((unsigned)site->state >= SITE_STATE_COUNT_)
        return fault_set(fault, ERR_INVALID, "state", "is no state");
    if (site->jurisdiction.len > 0 &&
        (err = jurisdiction_check(site->jurisdiction, "jurisdiction", fault)) != ERR_OK)
        return err;
    if ((err = check_asks(site, fault)) != ERR_OK || (err = check_images(site, fault)) != ERR_OK ||
        (err = check_shares(site, fault)) != ERR_OK)
        return err;
    return check_nodes(site, fault);
}

enum err link_check(const struct link *link, struct fault *fault)
{
    enum err err;

    if ((err = name_check(link->a, "a", fault)) != ERR_OK ||
        (err = name_check(link->b, "b", fault)) != ERR_OK ||
        (err = check_money(link->egress_per_gb, "egress_per_gb", fault)) != ERR_OK)
        return err;
    if (slice_is_equal(link->a, link->b))
        return fault_set(fault, ERR_INVALID, "b", "a link has two ends");
    if (link->rtt_us > LINK_RTT_US_MAX)
        return fault_set(fault, ERR_LIMIT, "rtt_ms", "must be at most %d", LINK_RTT_US_MAX / 1000);
    if (link->bandwidth_mbps.has &&
        (link->bandwidth_mbps.value == 0 || link->bandwidth_mbps.value > UINT64_C(1000000000)))
        return fault_set(fault, ERR_INVALID, "bandwidth_mbps",
                         "must be between 1 and 10^9; leave it out where it is not known");
    if ((unsigned)link->source >= LINK_SOURCE_COUNT_)
        return fault_set(fault, ERR_INVALID, "source", "is no source");
    return ERR_OK;
}

void link_order(struct link *link)
{
    if (slice_compare(link->a, link->b) > 0) {
        struct slice a = link->a;
        link->a = link->b;
        link->b = a;
    }
}

struct maybe_money site_ask_per_hour(const struct site *site, struct slice accelerator)
{
    for (uint32_t i = 0; i < site->ask_count; i++)
        if (name_is_equal_caseless(site->asks[i].accelerator, accelerator))
            return MAYBE_MONEY(site->asks[i].per_hour);
    return site->ask_per_accelerator_hour;
}

struct maybe_money site_gang_ask_per_hour(const struct site *site, struct slice accelerator,
                                          uint32_t accelerators, uint32_t cpu_milli, uint32_t nodes)
{
    struct maybe_money none = {0};
    struct money sum = {0}, part;

    if (site->ask_per_cpu_hour.has) {
        if (money_scale(site->ask_per_cpu_hour.value, (int64_t)cpu_milli * nodes, 1000, &sum) !=
            ERR_OK)
            return none;
    } else if (accelerators == 0) {
        return none;
    }
    if (accelerators > 0) {
        struct maybe_money ask = site_ask_per_hour(site, accelerator);
        if (!ask.has || money_scale(ask.value, (int64_t)accelerators * nodes, 1, &part) != ERR_OK ||
            money_add(sum, part, &sum) != ERR_OK)
            return none;
    }
    return MAYBE_MONEY(sum);
}

bool site_node_is_alike(const struct site_node *a, const struct site_node *b)
{
    return a->cpu_milli == b->cpu_milli && a->mem_bytes == b->mem_bytes &&
           a->scratch_bytes == b->scratch_bytes && a->runtime == b->runtime &&
           a->accelerator_count == b->accelerator_count &&
           slice_is_equal(a->accelerator, b->accelerator);
}

/* Two passes: which pool is each node in, then the pools' lists, all in one block of indices. Sites
 * have few shapes, so the search for a node's pool is short. */
enum err site_pools(const struct site *site, struct arena *arena, const struct pool **out_pools,
                    uint32_t *out_count)
{
    uint32_t count = 0, at = 0;
    uint32_t *pool_of, *indices;
    struct pool *pools;

    if (site->node_count == 0) {
        *out_pools = NULL;
        *out_count = 0;
        return ERR_OK;
    }
    pool_of = arena_array(arena, site->node_count, sizeof(*pool_of));
    indices = arena_array(arena, site->node_count, sizeof(*indices));
    pools = arena_array(arena, site->node_count, sizeof(*pools));
    if (pool_of == NULL || indices == NULL || pools == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < site->node_count; i++) {
        uint32_t p = 0;
        while (p < count && !site_node_is_alike(pools[p].shape, &site->nodes[i]))
            p++;
        if (p == count)
            pools[count++].shape = &site->nodes[i];
        pool_of[i] = p;
        pools[p].node_count++;
    }
    for (uint32_t p = 0; p < count; p++) {
        pools[p].nodes = indices + at;
        for (uint32_t i = 0; i < site->node_count && at < site->node_count; i++)
            if (pool_of[i] == p)
                indices[at++] = i;
    }
    *out_pools = pools;
    *out_count = count;
    return ERR_OK;
}
