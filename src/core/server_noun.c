/* What each kind of document means to the core: references, uniqueness, and the placer. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/server_state.h"

enum { TENANT_ARENA_MAX = 65536, PPM_PER_MILLE = 1000, DRIFT_MAX = 999 };

/* ---- tenants */

struct server_tenant *tenant_find(const struct server_core *core, struct tenant_id id)
{
    return idmap_get(&core->tenants, id.id);
}

void tenant_free(struct server_tenant *tenant)
{
    arena_deinit(&tenant->arena);
    free(tenant);
}

static void pending_add(struct server_tenant *at, uint64_t pending, bool is_added)
{
    for (; at != NULL; at = at->parent)
        at->pending = is_added ? at->pending + pending : at->pending - pending;
}

enum err tenant_set(struct server_core *core, struct slice body, struct fault *fault)
{
    struct arena arena;
    struct doc_value value;
    arena_init(&arena, TENANT_ARENA_MAX);
    enum err err = doc_parse(DOC_TENANT, body, &arena, &value, fault);
    if (err != ERR_OK) {
        arena_deinit(&arena);
        return err;
    }
    struct server_tenant *at = tenant_find(core, value.tenant.id);
    if (at == NULL) {
        at = calloc(1, sizeof(*at));
        err = at == NULL ? ERR_NO_MEMORY : idmap_add(&core->tenants, value.tenant.id.id, at);
        if (err != ERR_OK) {
            arena_deinit(&arena);
            free(at);
            return err;
        }
    }
    arena_deinit(&at->arena);
    at->arena = arena;
    at->id = value.tenant.id;
    at->value = value.tenant;
    if (!core->is_started)
        return ERR_OK; /* parents are looked up when all are there */
    pending_add(at->parent, at->pending, false);
    at->parent = tenant_find(core, at->value.parent);
    pending_add(at->parent, at->pending, true);
    return ERR_OK;
}

struct span_ms tenant_time_limit(const struct server_core *core, const struct server_tenant *tenant)
{
    for (; tenant != NULL; tenant = tenant->parent)
        if (tenant->value.default_time_limit.ms != 0)
            return tenant->value.default_time_limit;
    return core->default_time_limit;
}

/* Steps from `from` up to `to`; -1: not below it. */
static int steps_up(const struct server_tenant *from, const struct server_tenant *to)
{
    int steps = 0;
    for (; from != NULL && steps <= TENANT_DEPTH_MAX; from = from->parent, steps++)
        if (from == to)
            return steps;
    return -1;
}

static enum err tenant_check_tree(struct server_core *core, const struct tenant *tenant,
                                  struct fault *fault)
{
    const struct server_tenant *at = tenant_find(core, tenant->id);
    const struct server_tenant *parent = tenant_find(core, tenant->parent);
    int above = 0, below = 0;
    size_t cursor = 0;
    void *value;
    if (id_is_none(tenant->parent.id))
        return ERR_OK;
    if (parent == NULL)
        return fault_set(fault, ERR_INVALID, "parent", "there is no such tenant");
    for (const struct server_tenant *up = parent; up != NULL; up = up->parent, above++)
        if (up == at)
            return fault_set(fault, ERR_INVALID, "parent", "the tenant would be above itself");
    while (at != NULL && idmap_next(&core->tenants, &cursor, NULL, &value)) {
        int steps = steps_up(value, at);
        below = steps > below ? steps : below;
    }
    if (above + below >= TENANT_DEPTH_MAX)
        return fault_set(fault, ERR_LIMIT, "parent", "tenants are at most %d deep",
                         TENANT_DEPTH_MAX);
    return ERR_OK;
}

/* ---- policy */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The safety margins never shrink below what this process was started with: leases that it has
 * granted count on them. */
void policy_apply(struct server_core *core, const struct policy *policy)
{
    struct server_settings *settings = &core->settings;
    uint32_t drift = (policy->clock_rate_ppm + PPM_PER_MILLE - 1) / PPM_PER_MILLE;
    settings->lease_floor = policy->lease_floor;
    settings->start_limit = policy->start_limit;
    settings->site_lost_after = policy->contact_limit;
    settings->usage_every = policy->usage_every;
    settings->kill_time = SPAN_MS(larger(policy->kill_limit.ms, core->base.kill_time.ms));
    settings->clock_drift_per_mille =
        drift > core->base.clock_drift_per_mille ? drift : core->base.clock_drift_per_mille;
    if (settings->clock_drift_per_mille > DRIFT_MAX)
        settings->clock_drift_per_mille = DRIFT_MAX;
    core->default_time_limit = policy->default_time_limit;
}

/* ---- checks */

const char *noun_name_key(struct arena *arena, const struct doc_value *value)
{
    char parent[ID_TEXT_MAX];
    switch (value->kind) {
    case DOC_SITE:
        return arena_text(arena, value->site.name);
    case DOC_USER:
        return arena_text(arena, value->user.name);
    case DOC_TENANT:
        id_format(value->tenant.parent.id, ID_PREFIX_TENANT, parent);
        return arena_printf(arena, "%s/%.*s", parent, SLICE_ARG(value->tenant.name));
    case DOC_DATASET:
        id_format(value->dataset.tenant.id, ID_PREFIX_TENANT, parent);
        return arena_printf(arena, "%s/%.*s", parent, SLICE_ARG(value->dataset.name));
    default:
        return NULL; /* their key is the name, or they have none */
    }
}

static enum err want_tenant(const struct server_core *core, struct tenant_id id,
                            struct fault *fault)
{
    if (id_is_none(id.id) || tenant_find(core, id) != NULL)
        return ERR_OK;
    return fault_set(fault, ERR_INVALID, "tenant", "there is no such tenant");
}

static bool is_place(const struct server_core *core, struct slice name)
{
    return strmap_get(&core->names[DOC_SITE], name) != NULL ||
           doc_find(core, DOC_REGION, name) != NULL;
}

static enum err want_user(struct server_core *core, struct user_id id, struct fault *fault)
{
    char text[ID_TEXT_MAX];
    id_format(id.id, ID_PREFIX_USER, text);
    if (doc_find(core, DOC_USER, slice_of(text)) != NULL)
        return ERR_OK;
    return fault_set(fault, ERR_INVALID, "user", "there is no such user");
}

enum err noun_check(struct server_core *core, const struct doc_value *value, struct fault *fault)
{
    switch (value->kind) {
    case DOC_SITE:
        if (doc_find(core, DOC_REGION, value->site.region) == NULL)
            return fault_set(fault, ERR_INVALID, "region", "there is no region %.*s",
                             SLICE_ARG(value->site.region));
        return ERR_OK;
    case DOC_TENANT:
        return tenant_check_tree(core, &value->tenant, fault);
    case DOC_USER:
        return want_tenant(core, value->user.tenant, fault);
    case DOC_DATASET:
        return want_tenant(core, value->dataset.tenant, fault);
    case DOC_TOKEN:
        return want_user(core, value->api_token.user, fault);
    case DOC_LINK:
        if (is_place(core, value->link.a) && is_place(core, value->link.b))
            return ERR_OK;
        return fault_set(fault, ERR_INVALID, "a", "both ends must be known sites or regions");
    default:
        return ERR_OK;
    }
}

static enum err region_delete_check(struct server_core *core, struct slice name,
                                    struct fault *fault)
{
    size_t cursor = 0;
    void *value;
    while (idmap_next(&core->sites, &cursor, NULL, &value)) {
        const struct server_site *site = value;
        if (slice_is_equal(site->value.region, name))
            return fault_set(fault, ERR_BUSY, NULL, "site %.*s is in this region",
                             SLICE_ARG(site->value.name));
    }
    return ERR_OK;
}

static enum err tenant_delete_check(struct server_core *core, struct slice id, struct fault *fault)
{
    struct tenant_id key;
    size_t cursor = 0;
    void *value;
    if (id_parse(id, ID_PREFIX_TENANT, &key.id) != ERR_OK || tenant_find(core, key) == NULL)
        return ERR_OK;
    const struct server_tenant *tenant = tenant_find(core, key);
    if (tenant->live > 0)
        return fault_set(fault, ERR_BUSY, NULL, "the tenant has %llu unfinished jobs",
                         (unsigned long long)tenant->live);
    while (idmap_next(&core->tenants, &cursor, NULL, &value))
        if (((const struct server_tenant *)value)->parent == tenant)
            return fault_set(fault, ERR_BUSY, NULL, "the tenant has others below it");
    return ERR_OK;
}

static enum err site_delete_check(struct server_core *core, struct slice id, struct fault *fault)
{
    struct site_id key;
    if (id_parse(id, ID_PREFIX_SITE, &key.id) != ERR_OK || site_find(core, key) == NULL)
        return ERR_OK;
    const struct server_site *site = site_find(core, key);
    if (site->attempt_count > 0)
        return fault_set(fault, ERR_BUSY, NULL, "the site has %u unfinished attempts",
                         site->attempt_count);
    if (!site->is_reconciled || site->strays.len > 0)
        return fault_set(fault, ERR_BUSY, NULL,
                         "the site has not said what it runs since the database was restored");
    return ERR_OK;
}

enum err noun_delete_check(struct server_core *core, enum doc_kind kind, struct slice id,
                           struct fault *fault)
{
    switch (kind) {
    case DOC_REGION:
        return region_delete_check(core, id, fault);
    case DOC_TENANT:
        return tenant_delete_check(core, id, fault);
    case DOC_SITE:
        return site_delete_check(core, id, fault);
    default:
        return ERR_OK;
    }
}

/* ---- changes */

static enum err site_put(struct step *step, const struct site *value, struct slice body,
                         uint64_t version, struct fault *fault)
{
    struct server_core *core = step->core;
    struct server_site *site = site_find(core, value->id);
    bool is_new = site == NULL;
    if (is_new)
        site = site_add(core, value->id);
    if (site == NULL)
        return ERR_NO_MEMORY;
    enum err err = site_value_set(site, body, fault);
    if (err != ERR_OK)
        return err;
    site->version = version;
    if (is_new) { /* it cannot have run anything of an earlier epoch */
        site->epoch_reported = core->db_epoch;
        site_memory_save(step, site);
    }
    return site_placer_put(core, site);
}

enum err noun_put(struct step *step, const struct doc_value *value, struct slice body,
                  uint64_t version, struct fault *fault)
{
    struct server_core *core = step->core;
    core->must_place = true;
    switch (value->kind) {
    case DOC_REGION:
        return placer_region_put(core->placer, &value->region);
    case DOC_SITE:
        return site_put(step, &value->site, body, version, fault);
    case DOC_TENANT: {
        enum err err = tenant_set(core, body, fault);
        if (err == ERR_OK)
            err = placer_tenant_put(core->placer, &value->tenant);
        return err;
    }
    case DOC_LINK:
        return link_set(core, &value->link);
    case DOC_POLICY:
        policy_apply(core, &value->policy);
        return placer_policy_put(core->placer, &value->policy);
    default:
        return ERR_OK;
    }
}

static void link_delete(struct server_core *core, struct slice key)
{
    struct server_link *link = strmap_remove(&core->links, key);
    if (link == NULL)
        return;
    placer_link_remove(core->placer, link->value.a, link->value.b);
    arena_deinit(&link->arena);
    free(link);
}

static void tenant_delete(struct server_core *core, struct tenant_id id)
{
    struct server_tenant *tenant = idmap_remove(&core->tenants, id.id);
    if (tenant == NULL)
        return;
    enum err err = placer_tenant_remove(core->placer, id);
    ASSERT(err == ERR_OK); /* noun_delete_check saw no work of it and nothing below it */
    tenant_free(tenant);
}

static void site_delete(struct server_core *core, struct site_id id)
{
    struct server_site *site = idmap_remove(&core->sites, id.id);
    if (site == NULL)
        return;
    placer_site_remove(core->placer, site->id);
    core->sites_lost -= site->is_lost;
    site_free(core, site);
}

void noun_delete(struct server_core *core, enum doc_kind kind, struct slice id)
{
    struct id key;
    core->must_place = true;
    if (kind == DOC_SITE && id_parse(id, ID_PREFIX_SITE, &key) == ERR_OK)
        site_delete(core, (struct site_id){key});
    else if (kind == DOC_TENANT && id_parse(id, ID_PREFIX_TENANT, &key) == ERR_OK)
        tenant_delete(core, (struct tenant_id){key});
    else if (kind == DOC_REGION)
        placer_region_remove(core->placer, id);
    else if (kind == DOC_LINK)
        link_delete(core, id);
}
