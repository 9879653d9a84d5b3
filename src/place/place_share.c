/* Fair share over the tenant tree: decayed history plus what is held now, over weight. History
 * halves in a day of wall time. */
#include "base/assert.h"
#include "place/place_state.h"

enum {
    SHARE_STEP_S = 3600,
    SHARE_NUMERATOR = 63670, /* 65536 * 2^(-1/24) */
    SHARE_DENOMINATOR = 65536,
    SHARE_STEPS_MAX = 24 * 40, /* after which nothing is left of it */
};

struct place_tenant *place_tenant_find(const struct placer *placer, struct tenant_id id)
{
    return idmap_get(&placer->tenants, id.id);
}

/* Decays to the hour of `at_s`. A clock that went back leaves the history as it is. */
static void share_decay(struct place_tenant *tenant, int64_t at_s)
{
    int64_t hour = at_s / SHARE_STEP_S * SHARE_STEP_S;
    int64_t steps = hour / SHARE_STEP_S - tenant->charged_at_s / SHARE_STEP_S;
    tenant->charged_at_s = hour;
    if (steps > SHARE_STEPS_MAX)
        tenant->charged = 0;
    for (; steps > 0 && tenant->charged > 0; steps--)
        tenant->charged =
            (uint64_t)((unsigned __int128)tenant->charged * SHARE_NUMERATOR / SHARE_DENOMINATOR);
}

void place_share_charge(struct place_tenant *tenant, uint64_t core_ms, struct wall_us at)
{
    for (; tenant != NULL; tenant = tenant->parent) {
        share_decay(tenant, at.us / 1000000);
        if (__builtin_add_overflow(tenant->charged, core_ms, &tenant->charged))
            tenant->charged = UINT64_MAX;
    }
}

void place_share_hold(struct place_tenant *tenant, const struct place_hold *hold, bool is_taken)
{
    uint64_t cpu = (uint64_t)hold->cpu_milli * hold->nodes;
    uint64_t devices = (uint64_t)hold->accelerators * hold->nodes;
    for (; tenant != NULL; tenant = tenant->parent) {
        ASSERT(is_taken || (tenant->cpu_milli_held >= cpu && tenant->accelerators_held >= devices));
        tenant->hold_count = is_taken ? tenant->hold_count + 1 : tenant->hold_count - 1;
        tenant->cpu_milli_held =
            is_taken ? tenant->cpu_milli_held + cpu : tenant->cpu_milli_held - cpu;
        tenant->accelerators_held =
            is_taken ? tenant->accelerators_held + devices : tenant->accelerators_held - devices;
    }
}

static unsigned __int128 share_key(struct place_tenant *tenant, int64_t now_s)
{
    share_decay(tenant, now_s);
    uint64_t held_milli =
        tenant->cpu_milli_held + tenant->accelerators_held * PLACE_ACCELERATOR_CORES * 1000;
    return (unsigned __int128)tenant->charged +
           (unsigned __int128)held_milli * PLACE_SHARE_WINDOW_S;
}

/* Least use over weight; of equals the first by name. */
struct place_tenant *place_share_poorest(const struct vector *tenants, enum priority_class priority,
                                         int64_t now_s)
{
    struct place_tenant *best = NULL;
    unsigned __int128 best_key = 0;
    for (size_t i = 0; i < tenants->len; i++) {
        struct place_tenant *at = *(struct place_tenant **)vector_at(tenants, i);
        if (at->ready[priority] == 0)
            continue;
        unsigned __int128 key = share_key(at, now_s);
        if (best == NULL || key * best->tenant.weight < best_key * at->tenant.weight) {
            best = at;
            best_key = key;
        }
    }
    return best;
}

void placer_share_read(const struct placer *placer, struct tenant_id id, struct place_share *out)
{
    const struct place_tenant *tenant = place_tenant_find(placer, id);
    *out = (struct place_share){0};
    if (tenant != NULL)
        *out = (struct place_share){tenant->charged, {tenant->charged_at_s * 1000000}};
}

enum err placer_share_put(struct placer *placer, struct tenant_id id,
                          const struct place_share *share)
{
    struct place_tenant *tenant = place_tenant_find(placer, id);
    if (tenant == NULL)
        return ERR_NOT_FOUND;
    tenant->charged = share->core_ms;
    tenant->charged_at_s = share->at.us / 1000000;
    return ERR_OK;
}
