/* The network: messages are lost, doubled, delayed and overtaken; links are cut one or both ways.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "sim/world.h"

enum { LOSS_PERCENT = 1, LOSSY_PERCENT = 30, DOUBLE_PERCENT = 2, SLOW_PERCENT = 25 };

static uint32_t loss_percent(const struct world *world)
{
    if (world->is_healed)
        return 0;
    return world->lossy_net != 0 ? LOSSY_PERCENT : LOSS_PERCENT;
}

static int64_t delay(struct world *world)
{
    struct random *random = &world->net_random;
    if (!world->is_healed && world->slow_net != 0 && pick_chance(random, SLOW_PERCENT))
        return pick_between(random, 100 * MS, 25 * SECOND);
    if (!world->is_healed && pick_chance(random, 2))
        return pick_between(random, 100 * MS, 3 * SECOND);
    return pick_between(random, MS / 2, 20 * MS);
}

/* How many copies arrive. */
static uint32_t copies(struct world *world)
{
    if (pick_chance(&world->net_random, loss_percent(world)))
        return 0;
    if (world->is_healed)
        return 1;
    uint32_t percent = world->lossy_net != 0 ? LOSSY_PERCENT : DOUBLE_PERCENT;
    return pick_chance(&world->net_random, percent) ? 2 : 1;
}

/* ---- agent and server */

/* Which server the name leads to: while an old one lingers, either. */
static struct server_sim *route(struct world *world)
{
    struct server_sim *other = &world->servers[1 - world->primary];
    bool is_other = other->is_zombie && pick_chance(&world->net_random, 50);
    return is_other ? other : &world->servers[world->primary];
}

void net_send_request(struct world *world, struct site_sim *site, uint64_t request_seq,
                      struct slice bytes)
{
    struct server_sim *server = route(world);
    uint64_t handle = world->next_handle++;
    world->handles[handle % HANDLES_MAX] =
        (struct sim_handle){.handle = handle,
                            .request_seq = request_seq,
                            .site = site->index,
                            .server = server->index,
                            .agent_generation = site->process.generation};
    if (site->last_handle != 0 && pick_chance(&world->net_random, 80)) {
        /* The new request replaces the last one, whose connection closes. */
        struct sim_event *gone =
            world_after(world, delay(world), EV_SERVER_GONE, site->last_server);
        gone->number = site->last_handle;
    }
    site->last_handle = handle;
    site->last_server = server->index;
    if (site->cuts_up != 0)
        return;
    for (uint32_t i = copies(world); i > 0; i--) {
        struct sim_event *event =
            world_after(world, delay(world), EV_SERVER_REQUEST, server->index);
        event->number = handle;
        event->rank = site->index;
        event_set_bytes(event, bytes);
    }
}

void net_send_reply(struct world *world, struct server_sim *server, uint64_t number,
                    struct slice bytes, bool is_failure)
{
    struct sim_handle *handle = &world->handles[number % HANDLES_MAX];
    (void)server;
    if (handle->handle != number)
        return;
    handle->is_answered = true;
    struct site_sim *site = &world->sites[handle->site];
    if (site->cuts_down != 0)
        return;
    int64_t extra = site->reply_delay;
    site->reply_delay = 0;
    for (uint32_t i = copies(world); i > 0; i--) {
        struct sim_event *event =
            world_after(world, delay(world) + extra, is_failure ? EV_AGENT_FAILED : EV_AGENT_REPLY,
                        site->index);
        event->number = handle->request_seq;
        /* A reply may turn up at a later process of the same agent: harsher than TCP. */
        bool is_stray = !is_failure && pick_chance(&world->net_random, 30);
        event->generation = is_stray ? 0 : handle->agent_generation;
        if (!is_failure)
            event_set_bytes(event, bytes);
    }
}

/* ---- supervisor and agent */

static bool is_cut(const struct world *world, const struct launch *launch, uint32_t rank)
{
    return world->sites[launch->site].nodes[launch->ranks[rank].node].cuts != 0;
}

static void encode(const struct gate_message *message, struct sim_event *event)
{
    struct buffer line;
    buffer_init(&line, GATE_LINE_MAX);
    enum err err = gate_message_encode(message, &line);
    ASSERT(err == ERR_OK);
    event_set_bytes(event, buffer_slice(&line));
    buffer_deinit(&line);
}

void net_send_gate_up(struct world *world, struct launch *launch, uint32_t rank,
                      const struct gate_message *message)
{
    struct gate_message signed_message = *message;
    signed_message.secret = launch->secret;
    if (is_cut(world, launch, rank))
        return;
    for (uint32_t i = copies(world); i > 0; i--) {
        struct sim_event *event = world_after(world, delay(world) / 4, EV_AGENT_GATE, launch->site);
        event->token = message->token;
        event->rank = rank;
        encode(&signed_message, event);
    }
}

/* To the supervisor of that incarnation and rank, if it is there. */
void net_send_gate_down(struct world *world, struct site_sim *site,
                        const struct gate_message *message)
{
    for (uint32_t i = 0; i < world->launch_count; i++) {
        struct launch *launch = &world->launches[i];
        if (launch->site != site->index || launch->state != LAUNCH_ALIVE ||
            launch->incarnation != message->incarnation || message->rank >= launch->rank_count)
            continue;
        if (is_cut(world, launch, message->rank))
            return;
        for (uint32_t copy = copies(world); copy > 0; copy--) {
            struct sim_event *event = world_after(world, delay(world) / 4, EV_RANK_GATE, i);
            event->rank = message->rank;
            event->token = message->token;
            encode(message, event);
        }
        return;
    }
}
