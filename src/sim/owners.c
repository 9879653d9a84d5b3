/* Owners of sites want places back meanwhile: pool work yields with notice, and what it cost them
 * is told to the server until it has kept it. */
#include <stdio.h>

#include "base/assert.h"
#include "sim/world.h"

enum { OWNERS_MIN = 2, OWNERS_MAX = 6, OWNER_NAME_MAX = 16, PROMISE_MS = 30000 };

_Static_assert((int)OWNERS_MAX <= (int)RECLAIMS_MAX, "a bit each");

void owners_plan(struct world *world)
{
    struct random *random = &world->owner_random;
    int64_t count = pick_between(random, OWNERS_MIN, OWNERS_MAX);
    for (int64_t i = 0; i < count; i++) {
        uint32_t site = (uint32_t)pick_between(random, 0, world->site_count - 1);
        world_at(world, pick_between(random, 5 * SECOND, 85 * SECOND), EV_OWNER, site);
    }
}

static const struct launch *launch_at(const struct world *world, const struct site_sim *site)
{
    for (uint32_t i = 0; i < world->launch_count; i++) {
        const struct launch *launch = &world->launches[i];
        if (launch->site == site->index && launch->state == LAUNCH_ALIVE)
            return launch;
    }
    return NULL;
}

static void tell(struct world *world, struct site_sim *site, uint32_t first)
{
    struct reclaim reclaims[RECLAIMS_MAX];
    char names[RECLAIMS_MAX][OWNER_NAME_MAX];
    uint32_t count = 0;
    for (uint32_t i = first; i < site->reclaims; i++) {
        (void)snprintf(names[count], sizeof(names[count]), "sim-%u", i);
        reclaims[count] = (struct reclaim){.name = slice_of(names[count]),
                                           .at = {(int64_t)i + 1},
                                           .wait = {1000 * (int64_t)i},
                                           .held = {900 * (int64_t)i},
                                           .promise = {PROMISE_MS},
                                           .attempts = 1};
        count++;
    }
    if (!site->process.is_up || count == 0)
        return;
    const struct agent_event event = {.kind = AGENT_RECLAIMS,
                                      .reclaims = {.reclaims = reclaims, .count = count}};
    agent_step(world, site, &event);
}

void owner_tells(struct world *world, struct site_sim *site)
{
    tell(world, site, 0);
}

void owner_wants(struct world *world, struct site_sim *site)
{
    const struct launch *launch = launch_at(world, site);
    int64_t grace_ms = pick_between(&world->owner_random, 0, 5000);
    if (site->is_destroyed || !site->process.is_up || launch == NULL)
        return;
    const struct agent_event yield = {
        .kind = AGENT_YIELD, .yield = {.token = launch->token, .grace = SPAN_MS(grace_ms)}};
    ASSERT(site->reclaims < RECLAIMS_MAX);
    site->reclaims++;
    agent_step(world, site, &yield);
    tell(world, site, site->reclaims - 1);
}

void shadow_reclaim(struct world *world, struct shadow *shadow, const struct change_op *op)
{
    for (uint32_t i = 0; i < world->site_count; i++) {
        char name[OWNER_NAME_MAX];
        if (!id_is_equal(world->sites[i].value.id.id, op->reclaim.site.id))
            continue;
        for (uint32_t n = 0; n < world->sites[i].reclaims; n++) {
            (void)snprintf(name, sizeof(name), "sim-%u", n);
            if (slice_is(op->reclaim.value.name, name)) {
                shadow->reclaims[i] |= UINT32_C(1) << n;
                return;
            }
        }
    }
    world_violate(world, "a reclaim is kept that no site told of");
}

bool owners_are_heard(const struct world *world)
{
    const struct shadow *shadow = &world->servers[world->primary].shadow;
    for (uint32_t i = 0; i < world->site_count; i++) {
        uint32_t all = (uint32_t)((UINT64_C(1) << world->sites[i].reclaims) - 1);
        if (!world->sites[i].is_destroyed && (shadow->reclaims[i] & all) != all)
            return false;
    }
    return true;
}
