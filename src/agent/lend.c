/* The owner's contract, as far as the site itself keeps it: windows and reserves before anything is
 * told as free, and work that ends with its window. */
#include <stdlib.h>
#include <string.h>

#include "agent/shell.h"
#include "agent/tell.h"
#include "base/assert.h"
#include "base/buffer.h"
#include "wire/json_writer.h"
#include "wire/surplus.h"

static const struct surplus *contract(const struct agent *agent)
{
    return agent->options->slurm != NULL ? &agent->options->slurm->surplus
                                         : &agent->options->surplus;
}

enum err lend_describe(struct agent *agent, struct slice *out)
{
    struct buffer json;
    struct json_writer writer;
    buffer_init(&json, SYNC_SURPLUS_BYTES_MAX);
    json_writer_init(&writer, &json);
    surplus_encode(contract(agent), &writer);
    enum err err = json_writer_finish(&writer);
    if (err == ERR_OK)
        *out = arena_copy(&agent->arena, buffer_slice(&json));
    if (err == ERR_OK && out->data == NULL)
        err = ERR_NO_MEMORY;
    buffer_deinit(&json);
    return err;
}

static void shut(struct sync_node *node)
{
    *node = (struct sync_node){.node = node->node, .load = node->load};
}

/* From the end of the site's list, whole free ones first: the pool fills from the front. */
static void reserve(const struct site *site, const struct surplus *surplus,
                    const struct surplus_pool *pool, uint32_t left, struct sync_node *nodes)
{
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = site->node_count; i > 0 && left > 0; i--) {
            const struct site_node *node = &site->nodes[i - 1];
            bool is_whole = nodes[i - 1].cpu_milli_free == node->cpu_milli;
            if (!nodes[i - 1].is_up || (pass == 0 && !is_whole) ||
                (pool != NULL && surplus_pool_of(surplus, node->name) != pool))
                continue;
            shut(&nodes[i - 1]);
            left--;
        }
}

static bool is_lent_now(const struct surplus *surplus, struct slice node, struct wall_us now)
{
    const struct surplus_pool *pool = surplus_pool_of(surplus, node);
    const struct surplus_windows *windows =
        pool != NULL && pool->windows.count > 0 ? &pool->windows : &surplus->windows;
    return surplus_open_for(windows, surplus->zone_minutes, now).ms > 0;
}

struct span_ms lend_grace(const struct agent *agent)
{
    struct span_ms said = contract(agent)->grace;
    return said.ms > 0 ? said : SURPLUS_GRACE_DEFAULT;
}

static void tell_windows(struct agent *agent, uint32_t shut_count)
{
    if (shut_count == agent->shut_count)
        return;
    if (shut_count > 0)
        tell("%u of %u node(s) are outside their windows: nothing is lent there", shut_count,
             agent->identity.site.node_count);
    else
        tell("every node is within its windows again");
    agent->shut_count = shut_count;
}

bool lend_gives_way(const struct agent *agent)
{
    return agent->options->slurm == NULL && !agent->options->ignores_foreign_load;
}

void lend_settings(const struct agent *agent, struct agent_settings *settings)
{
    struct span_ms said = contract(agent)->promise;
    if (!lend_gives_way(agent))
        return;
    settings->owner_patience = OWNER_PATIENCE;
    settings->owner_grace = lend_grace(agent);
    settings->owner_promise = said.ms > 0 ? said : SURPLUS_PROMISE_BY_ENGINE;
}

/* Before the new figures are told: what must go is not given out again. */
static void give_way(struct agent *agent, const struct sync_node *measured, uint32_t count)
{
    const struct agent_event event = {.kind = AGENT_LOAD,
                                      .load = {.nodes = measured, .count = count}};
    if (!lend_gives_way(agent))
        return;
    enum err err = agent_host_step(agent->host, &event);
    (void)err; /* measured again soon */
}

void lend_capacity(struct agent *agent, const struct sync_node *measured, uint32_t count)
{
    const struct site *site = &agent->identity.site;
    const struct surplus *surplus = contract(agent);
    struct sync_node *nodes = calloc(count + 1, sizeof(*nodes));
    bool *is_shut = calloc(count + 1, sizeof(*is_shut));
    struct now now = loop_now(agent->loop);
    uint32_t shut_count = 0;
    ASSERT(nodes != NULL && is_shut != NULL && count == site->node_count);
    memcpy(nodes, measured, count * sizeof(*nodes));
    for (uint32_t i = 0; i < count; i++) {
        is_shut[i] = !is_lent_now(surplus, site->nodes[i].name, now.wall);
        if (!is_shut[i])
            continue;
        shut(&nodes[i]);
        shut_count++;
    }
    if (agent->options->slurm == NULL) /* the cluster's driver counts what its owner waits for */
        reserve(site, surplus, NULL, surplus->reserve_nodes, nodes);
    for (uint32_t p = 0; p < surplus->pool_count; p++)
        reserve(site, surplus, &surplus->pools[p], surplus->pools[p].reserve_nodes, nodes);
    give_way(agent, measured, count);
    struct agent_event event = {.kind = AGENT_CAPACITY,
                                .capacity = {.nodes = nodes, .count = count}};
    enum err err = agent_host_step(agent->host, &event);
    event = (struct agent_event){
        .kind = AGENT_CLEAR,
        .clear = {.nodes = is_shut, .count = count, .grace = lend_grace(agent)}};
    if (shut_count > 0 && err == ERR_OK)
        err = agent_host_step(agent->host, &event);
    (void)err; /* measured again soon */
    tell_windows(agent, shut_count);
    free(nodes);
    free(is_shut);
}
