/* A host's owner: what others use of the machine leaves less for the pool than the pool holds, so
 * the youngest work goes until the rest fits. All nodes of a host site are one machine, so it is
 * the sums that count. A moment of load is nobody's claim: it must last for the patience. */
#include <stdio.h>

#include "base/assert.h"
#include "core/agent_private.h"

enum {
    US_PER_S = 1000000,
    /* Of the machine: processors yield at once, anyway, and what a system keeps of memory comes and
     * goes. */
    SLACK_PERCENT = 10,
};

struct sums {
    uint64_t cpu_milli, mem_bytes;
};

static bool is_over(const struct sums *held, const struct sums *left)
{
    return held->cpu_milli > left->cpu_milli || held->mem_bytes > left->mem_bytes;
}

/* What is left to the pool, and a little more. */
static struct sums left_of(const struct agent_core *core, const struct sync_node *nodes,
                           uint32_t count)
{
    struct sums left = {0};
    struct sums all = {0};
    for (uint32_t i = 0; i < count; i++) {
        left.cpu_milli += nodes[i].cpu_milli_free;
        left.mem_bytes += nodes[i].mem_bytes_free;
    }
    for (uint32_t i = 0; i < core->node_count; i++) {
        all.cpu_milli += core->nodes[i].cpu_milli;
        all.mem_bytes += core->nodes[i].mem_bytes;
    }
    left.cpu_milli += all.cpu_milli * SLACK_PERCENT / 100;
    left.mem_bytes += all.mem_bytes / 100 * SLACK_PERCENT;
    return left;
}

static struct sums size_of(const struct agent_attempt *attempt)
{
    return (struct sums){(uint64_t)attempt->cpu_milli * attempt->row.nodes,
                         attempt->mem_bytes * attempt->row.nodes};
}

/* `with_going`: those that have been told to go hold their place until they are gone. */
static struct sums held_now(const struct agent_core *core, bool with_going)
{
    struct sums held = {0};
    for (size_t i = 0; i < core->open.len; i++) {
        const struct agent_attempt *attempt = *(struct agent_attempt **)vector_at(&core->open, i);
        if (agent_attempt_is_final(attempt) || attempt->places == NULL ||
            (!with_going && attempt->row.revoke != REVOKE_NONE))
            continue;
        struct sums size = size_of(attempt);
        held.cpu_milli += size.cpu_milli;
        held.mem_bytes += size.mem_bytes;
    }
    return held;
}

static const struct agent_attempt *youngest(const struct agent_core *core)
{
    const struct agent_attempt *found = NULL;
    for (size_t i = 0; i < core->open.len; i++) {
        const struct agent_attempt *attempt = *(struct agent_attempt **)vector_at(&core->open, i);
        if (agent_attempt_is_final(attempt) || attempt->places == NULL ||
            attempt->row.revoke != REVOKE_NONE)
            continue;
        if (found == NULL || boot_is_before(found->since, attempt->since))
            found = attempt;
    }
    return found;
}

static void tell(struct agent_core *core, bool is_open)
{
    const struct agent_owner *owner = &core->owner;
    char name[RECLAIM_NAME_MAX];
    struct span_ms span = boot_since(core->now.boot, owner->since);
    int64_t second = owner->at.us > 0 ? owner->at.us / US_PER_S : 0;
    (void)snprintf(name, sizeof(name), "host-%lld", (long long)second);
    const struct reclaim reclaim = {.name = slice_of(name),
                                    .at = owner->at,
                                    .wait = span,
                                    .held = span,
                                    .promise = core->settings.owner_promise,
                                    .attempts = owner->yielded,
                                    .is_open = is_open};
    agent_on_reclaims(core, &reclaim, 1);
}

static void give_way(struct agent_core *core, const struct sums *left)
{
    struct agent_owner *owner = &core->owner;
    struct sums staying = held_now(core, false);
    while (is_over(&staying, left)) {
        const struct agent_attempt *attempt = youngest(core);
        if (attempt == NULL)
            break;
        agent_attempt_yield(core, &attempt->row.token, core->settings.owner_grace);
        owner->yielded++;
        staying = held_now(core, false);
    }
    struct span_ms promise = core->settings.owner_promise;
    bool is_late = promise.ms > 0 && owner->yielded > 0 &&
                   boot_since(core->now.boot, owner->since).ms > promise.ms;
    if (is_late && !owner->is_alarmed)
        tell(core, true);
    owner->is_alarmed = owner->is_alarmed || is_late;
}

void agent_on_load(struct agent_core *core, const struct sync_node *nodes, uint32_t count)
{
    struct agent_owner *owner = &core->owner;
    struct sums left = left_of(core, nodes, count), held = held_now(core, true);
    if (core->settings.owner_patience.ms == 0)
        return;
    if (!is_over(&held, &left)) {
        if (owner->is_waiting && owner->yielded > 0)
            tell(core, false);
        *owner = (struct agent_owner){0};
        return;
    }
    if (!owner->is_waiting)
        *owner =
            (struct agent_owner){.is_waiting = true, .since = core->now.boot, .at = core->now.wall};
    if (boot_since(core->now.boot, owner->since).ms >= core->settings.owner_patience.ms)
        give_way(core, &left);
}
