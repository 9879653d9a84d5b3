/* Fair share over the tenant tree: decayed history plus what is held now, over weight. History
 * halves in a day of wall time.
 *
 * Shares are compared in steps of 1/32 of a doubling (about 2 %), so that one job more or less
 * rarely moves a tenant; in the same step the first by name is next. */
#include "base/assert.h"
#include "place/place_state.h"

enum {
    SHARE_STEP_S = 3600,
    SHARE_NUMERATOR = 63670, /* 65536 * 2^(-1/24) */
    SHARE_DENOMINATOR = 65536,
    SHARE_STEPS_MAX = 24 * 40, /* after which nothing is left of it */
    SHARE_STEP_BITS = 5,
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

void place_share_decay(struct placer *placer, struct wall_us now)
{
    int64_t hour = now.us / 1000000 / SHARE_STEP_S;
    size_t cursor = 0;
    void *value;
    if (hour == placer->share_hour)
        return;
    placer->share_hour = hour;
    while (idmap_next(&placer->tenants, &cursor, NULL, &value))
        share_decay(value, now.us / 1000000);
    cursor = 0;
    while (idmap_next(&placer->tenants, &cursor, NULL, &value))
        place_share_refresh(placer, value);
}

void place_share_charge(struct place_tenant *tenant, uint64_t core_ms, struct wall_us at)
{
    for (; tenant != NULL; tenant = tenant->parent) {
        share_decay(tenant, at.us / 1000000);
        if (__builtin_add_overflow(tenant->charged, core_ms, &tenant->charged))
            tenant->charged = UINT64_MAX;
    }
}

static void share_moved(struct placer *placer, struct place_tenant *tenant);

void place_share_hold(struct placer *placer, struct place_tenant *tenant,
                      const struct place_hold *hold, bool is_taken)
{
    uint64_t cpu = (uint64_t)hold->cpu_milli * hold->nodes;
    uint64_t devices = (uint64_t)hold->accelerators * hold->nodes;
    for (struct place_tenant *at = tenant; at != NULL; at = at->parent) {
        ASSERT(is_taken || (at->cpu_milli_held >= cpu && at->accelerators_held >= devices));
        at->hold_count = is_taken ? at->hold_count + 1 : at->hold_count - 1;
        at->cpu_milli_held = is_taken ? at->cpu_milli_held + cpu : at->cpu_milli_held - cpu;
        at->accelerators_held =
            is_taken ? at->accelerators_held + devices : at->accelerators_held - devices;
    }
    share_moved(placer, tenant);
}

/* ---- the order among siblings */

static int64_t share_key(const struct place_tenant *tenant)
{
    unsigned __int128 held_milli =
        (unsigned __int128)tenant->cpu_milli_held +
        (unsigned __int128)tenant->accelerators_held * PLACE_ACCELERATOR_CORES * 1000;
    unsigned __int128 use = tenant->charged + held_milli * PLACE_SHARE_WINDOW_S;
    uint64_t amount = use > UINT64_MAX ? UINT64_MAX : (uint64_t)use;
    amount /= tenant->tenant.weight;
    if (amount < UINT64_C(1) << SHARE_STEP_BITS)
        return (int64_t)amount;
    int top = 63 - __builtin_clzll(amount);
    uint64_t below = amount >> (top - SHARE_STEP_BITS) & ((1u << SHARE_STEP_BITS) - 1);
    return ((int64_t)top << SHARE_STEP_BITS) + (int64_t)below;
}

static uint64_t room_of(struct maybe_u64 quota, uint64_t held)
{
    if (!quota.has)
        return UINT64_MAX;
    return quota.value > held ? quota.value - held : 0;
}

/* What the tenant's own quota leaves. False: more than any shape that waits could take. */
static bool quota_binds(const struct placer *placer, const struct place_tenant *tenant,
                        struct place_claim *out_room)
{
    const struct tenant_quota *quota = &tenant->tenant.quota;
    out_room->cpu_milli = room_of(quota->cpu_milli, tenant->cpu_milli_held);
    out_room->accelerators = room_of(quota->accelerators, tenant->accelerators_held);
    return out_room->cpu_milli < placer->claim_max.cpu_milli ||
           out_room->accelerators < placer->claim_max.accelerators;
}

/* Shapes among `marks` that the quota has no room for are left out. */
static void allowed_update(struct placer *placer, struct place_tenant *tenant,
                           const struct place_mask *marks)
{
    bool had_allowed = tenant->has_allowed;
    struct place_claim room;
    tenant->has_allowed = quota_binds(placer, tenant, &room);
    if (!tenant->has_allowed) {
        placer->must_lend = placer->must_lend || had_allowed;
        return;
    }
    for (int w = 0; w < PLACE_MASK_WORDS; w++) {
        uint64_t allowed = UINT64_MAX;
        for (uint64_t rest = marks->words[w]; rest != 0; rest &= rest - 1) {
            int bit = __builtin_ctzll(rest);
            const struct place_claim *claim = &placer->claims[w * 64 + bit];
            if (claim->cpu_milli > room.cpu_milli || claim->accelerators > room.accelerators)
                allowed &= ~(UINT64_C(1) << bit);
        }
        uint64_t fresh = had_allowed ? allowed & ~tenant->allowed.words[w] : 0;
        placer->must_lend = placer->must_lend || (fresh & placer->lent.words[w]) != 0;
        tenant->allowed.words[w] = allowed;
    }
}

static struct place_order *siblings_of(struct placer *placer, const struct place_tenant *tenant,
                                       int priority)
{
    return tenant->parent == NULL ? &placer->roots[priority]
                                  : &tenant->parent->sides[priority].children;
}

/* True: its marks are others. */
static bool side_refresh(struct place_order *siblings, struct place_tenant *tenant,
                         struct place_knot *knot, int64_t key, const struct place_mask *marks)
{
    if (mask_is_empty(marks)) {
        bool was_in = knot->is_in;
        if (was_in)
            order_remove(siblings, knot);
        return was_in;
    }
    bool has_changed = !knot->is_in || !mask_is_equal(&knot->own, marks);
    if (knot->is_in && knot->key == key) {
        if (has_changed)
            order_remark(knot, marks);
        return has_changed;
    }
    if (knot->is_in)
        order_remove(siblings, knot);
    knot->key = key;
    knot->tie = tenant->tenant.name;
    knot->owner = tenant;
    knot->own = *marks;
    order_insert(siblings, knot);
    return has_changed;
}

static void side_marks(const struct place_tenant *tenant, int priority, struct place_mask *out)
{
    struct place_mask below;
    order_marks(&tenant->sides[priority].groups, out);
    order_marks(&tenant->sides[priority].children, &below);
    mask_join(out, &below);
}

/* All sides, with its quota. True: marks of some side are others. */
static bool tenant_refresh(struct placer *placer, struct place_tenant *tenant)
{
    struct place_mask marks[PRIORITY_COUNT_], all = {{0}};
    bool has_changed = false;
    for (int p = 0; p < PRIORITY_COUNT_; p++) {
        side_marks(tenant, p, &marks[p]);
        mask_join(&all, &marks[p]);
    }
    allowed_update(placer, tenant, &all);
    int64_t key = share_key(tenant);
    for (int p = 0; p < PRIORITY_COUNT_; p++) {
        if (tenant->has_allowed)
            mask_meet(&marks[p], &tenant->allowed);
        has_changed = side_refresh(siblings_of(placer, tenant, p), tenant, &tenant->sides[p].knot,
                                   key, &marks[p]) ||
                      has_changed;
    }
    return has_changed;
}

/* What it holds or what waits may change which shapes it may have. */
static bool is_near_quota(const struct placer *placer, const struct place_tenant *tenant)
{
    struct place_claim room;
    return tenant->has_allowed || quota_binds(placer, tenant, &room);
}

/* Only its place among its siblings. */
static void tenant_move(struct placer *placer, struct place_tenant *tenant)
{
    int64_t key = share_key(tenant);
    for (int p = 0; p < PRIORITY_COUNT_; p++) {
        struct place_knot *knot = &tenant->sides[p].knot;
        if (!knot->is_in || knot->key == key)
            continue;
        order_remove(siblings_of(placer, tenant, p), knot);
        knot->key = key;
        order_insert(siblings_of(placer, tenant, p), knot);
    }
}

void place_share_refresh(struct placer *placer, struct place_tenant *tenant)
{
    for (; tenant != NULL; tenant = tenant->parent)
        (void)tenant_refresh(placer, tenant);
}

/* What is held is other: where no quota is near, marks stay as they are. */
static void share_moved(struct placer *placer, struct place_tenant *tenant)
{
    bool has_changed = false;
    for (; tenant != NULL; tenant = tenant->parent) {
        if (has_changed || is_near_quota(placer, tenant))
            has_changed = tenant_refresh(placer, tenant);
        else
            tenant_move(placer, tenant);
    }
}

void place_share_remark(struct placer *placer, struct place_tenant *tenant,
                        enum priority_class priority)
{
    bool has_changed = true;
    for (; tenant != NULL && has_changed; tenant = tenant->parent) {
        struct place_mask marks;
        struct place_knot *knot = &tenant->sides[priority].knot;
        if (is_near_quota(placer, tenant)) {
            has_changed = tenant_refresh(placer, tenant);
            continue;
        }
        side_marks(tenant, priority, &marks);
        has_changed = side_refresh(siblings_of(placer, tenant, priority), tenant, knot,
                                   share_key(tenant), &marks);
    }
}

void place_share_leave(struct placer *placer, struct place_tenant *tenant)
{
    for (int p = 0; p < PRIORITY_COUNT_; p++)
        if (tenant->sides[p].knot.is_in)
            order_remove(siblings_of(placer, tenant, p), &tenant->sides[p].knot);
    if (tenant->parent != NULL)
        place_share_refresh(placer, tenant->parent);
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
    placer->share_hour = INT64_MIN; /* it has its own hour */
    place_share_refresh(placer, tenant);
    return ERR_OK;
}
