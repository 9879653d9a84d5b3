/* The agent's side of POST /v1/agent/sync: what leaves when, and what a reply means. */
#include <string.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "core/agent_private.h"

enum { REPLY_ARENA_BYTES = 64 << 20, QUICK_REPLY_MS = 1000, FAILS_MAX = 16 };

struct span_ms agent_gate_limit(const struct agent_core *core)
{
    return core->told.gate_limit.ms > 0 ? core->told.gate_limit : core->settings.gate_limit;
}

/* ---- requests */

static void describe(const struct agent_core *core, const struct agent_attempt *attempt,
                     struct sync_attempt *out)
{
    struct span_ms ran = attempt->row.ran;
    for (uint32_t i = 0; i < attempt->row.nodes; i++)
        if (attempt->ranks[i].ran.ms > ran.ms)
            ran = attempt->ranks[i].ran;
    *out = (struct sync_attempt){
        .token = attempt->row.token,
        .phase = attempt->row.phase,
        .outcome = agent_attempt_is_final(attempt) ? attempt->row.outcome : OUTCOME_NONE,
        .exit_code = agent_attempt_is_final(attempt) ? attempt->row.exit_code : 0,
        .ran = ran,
        .since_change = boot_since(core->now.boot, attempt->since),
        .is_reclaiming = attempt->row.phase == PHASE_TAKEN && attempt->row.revoke != REVOKE_NONE &&
                         !agent_is_due(core, attempt->kill_by),
        .progress =
            attempt->row.nodes > 0 ? attempt->ranks[0].progress : (struct attempt_progress){0},
    };
}

/* All that is not acknowledged; of more than fit, the next request goes on where this one ends. */
static void report_attempts(struct agent_core *core, struct sync_request *request)
{
    size_t most = core->open.len + (request->is_inventory ? core->retained.len : 0);
    struct sync_attempt *room =
        arena_array(&core->effects->arena, most != 0 ? most : 1, sizeof(*room));
    ASSERT(room != NULL);
    uint32_t count = 0;
    if (core->report_from >= core->open.len)
        core->report_from = 0;
    size_t looked = 0;
    for (; looked < core->open.len && count < SYNC_ATTEMPTS_MAX; looked++) {
        size_t at = (core->report_from + looked) % core->open.len;
        const struct agent_attempt *attempt = *(struct agent_attempt **)vector_at(&core->open, at);
        if (request->is_inventory || !agent_attempt_is_final(attempt) || !attempt->row.is_acked)
            describe(core, attempt, &room[count++]);
    }
    core->report_from = looked < core->open.len ? core->report_from + (uint32_t)looked : 0;
    for (size_t i = 0; request->is_inventory && i < core->retained.len; i++)
        if (count < SYNC_ATTEMPTS_MAX)
            describe(core, *(struct agent_attempt **)vector_at(&core->retained, i), &room[count++]);
    request->attempts = room;
    request->attempt_count = count;
}

static void send_request(struct agent_core *core)
{
    if (core->is_outstanding) { /* replaced before it was answered: wait longer the next time */
        core->gap.ms = core->gap.ms * 2 < core->settings.sync_retry_max.ms
                           ? core->gap.ms * 2
                           : core->settings.sync_retry_max.ms;
    }
    struct sync_request request = {
        .protocol = SYNC_PROTOCOL_NEWEST,
        .agent_version = slice_of(core->version),
        .site = core->site,
        .journal = core->meta.id,
        .epoch_seen = core->meta.epoch_seen,
        .request_seq = ++core->request_seq,
        .challenge = core->challenge,
        .usage_acked = core->meta.usage_acked,
        .usage_oldest = core->usage_oldest,
        .is_inventory = core->wants_inventory && core->is_listed,
        .is_draining = core->is_draining,
        .links = core->links.data,
        .link_count = (uint32_t)core->links.len,
    };
    if (request.is_inventory)
        request.surplus = slice_of(core->surplus);
    report_attempts(core, &request);
    agent_probes_report(core, &request);
    agent_usage_next(core, &request.usage, &request.usage_count);
    agent_news_tell(core, &request);
    if (core->is_nodes_news) {
        request.nodes = core->sync_nodes.data;
        request.node_count = (uint32_t)core->sync_nodes.len;
        core->nodes_seq = core->nodes_seq != 0 ? core->nodes_seq : request.request_seq;
    }
    if (request.is_inventory && core->inventory_seq == 0)
        core->inventory_seq = request.request_seq;

    struct buffer bytes;
    buffer_init(&bytes, SYNC_BYTES_MAX);
    enum err err = sync_request_encode(&request, &bytes);
    ASSERT(err == ERR_OK);
    struct agent_output *output = agent_output_add(core, AGENT_SEND_SYNC);
    output->request_seq = request.request_seq;
    output->bytes = arena_copy(&core->effects->arena, buffer_slice(&bytes));
    ASSERT(output->bytes.data != NULL);
    buffer_deinit(&bytes);

    core->is_outstanding = true;
    core->sent_at = core->now.boot;
    core->has_news = false;
}

static struct boot_ns reply_limit(const struct agent_core *core)
{
    struct span_ms limit = SPAN_MS(core->settings.sync_timeout.ms + core->told.poll_hold.ms);
    return boot_add(core->sent_at, limit);
}

/* When agent_sync_tick will have something to do. */
struct boot_ns agent_sync_due(const struct agent_core *core)
{
    if (core->usage_oldest == 0)
        return BOOT_NEVER; /* the journal's first answer comes before the first request */
    struct boot_ns news_at =
        core->has_news && core->fails == 0 ? boot_add(core->sent_at, core->gap) : BOOT_NEVER;
    if (core->is_outstanding)
        return boot_min(news_at, reply_limit(core));
    return boot_min(news_at, core->sync_due);
}

void agent_sync_tick(struct agent_core *core)
{
    if (core->is_changed)
        core->has_news = true;
    if (!agent_is_due(core, agent_sync_due(core)))
        return;
    if (core->is_outstanding && agent_is_due(core, reply_limit(core)))
        agent_on_sync_failed(core);
    if (agent_is_due(core, agent_sync_due(core)))
        send_request(core);
}

void agent_on_sync_failed(struct agent_core *core)
{
    core->is_outstanding = false;
    core->is_connected = false;
    int64_t wait_ms = core->settings.sync_retry_min.ms
                      << (core->fails < FAILS_MAX ? core->fails : FAILS_MAX);
    if (wait_ms > core->settings.sync_retry_max.ms || wait_ms <= 0)
        wait_ms = core->settings.sync_retry_max.ms;
    /* Half to whole: sites that lost the server together do not come back together. */
    wait_ms = random_between(&core->random, wait_ms / 2, wait_ms);
    core->fails++;
    core->sync_due = boot_add(core->now.boot, SPAN_MS(wait_ms));
}

/* ---- replies */

static void take_settings(struct agent_core *core, const struct sync_settings *settings)
{
    core->told.poll_hold = settings->poll_hold;
    if (settings->usage_every.ms > 0)
        core->told.usage_every = settings->usage_every;
    if (settings->retain.ms > 0)
        core->told.retain = settings->retain;
    core->told.gate_limit = settings->gate_limit;
}

static void take_renewals(struct agent_core *core, const struct sync_reply *reply,
                          struct boot_ns sent_at)
{
    for (uint32_t i = 0; i < reply->renewal_count; i++) {
        struct agent_attempt *attempt = agent_attempt_find(core, &reply->renewals[i].token);
        if (attempt == NULL || agent_attempt_is_final(attempt))
            continue;
        /* The length is the order's; the server only says that it counts from this request. */
        if (!attempt->has_anchor || boot_is_before(attempt->anchor, sent_at))
            attempt->anchor = sent_at;
        attempt->has_anchor = true;
    }
}

static void take_commands(struct agent_core *core, const struct sync_reply *reply,
                          struct boot_ns sent_at)
{
    for (uint32_t i = 0; i < reply->command_count; i++) {
        const struct sync_command *command = &reply->commands[i];
        if (command->kind == SYNC_START)
            agent_attempt_start(core, command, sent_at);
        else
            agent_attempt_revoke(core, command);
    }
}

static void schedule_next(struct agent_core *core)
{
    core->is_outstanding = false;
    core->is_connected = true;
    core->fails = 0;
    core->gap.ms = core->gap.ms / 2 > SYNC_GAP_MS ? core->gap.ms / 2 : SYNC_GAP_MS;
    bool is_quick = boot_since(core->now.boot, core->sent_at).ms < QUICK_REPLY_MS;
    if (core->is_changed || !is_quick)
        core->idle_gap = SPAN_MS(SYNC_GAP_MS);
    else if (core->idle_gap.ms < SYNC_IDLE_GAP_MAX_MS)
        core->idle_gap.ms *= 2;
    core->sync_due = boot_add(core->sent_at, core->idle_gap);
}

/* Is this an answer that we wait for, from a server that is not behind? */
static bool is_welcome(struct agent_core *core, const struct sync_reply *reply)
{
    bool is_answer = core->is_outstanding && reply->request_seq == core->request_seq;
    if (core->rules->reply_matches_request && !is_answer)
        return false;
    if (core->rules->epoch_fences_commands && reply->db_epoch < core->meta.epoch_seen) {
        agent_output_add(core, AGENT_STALE_SERVER);
        agent_on_sync_failed(core);
        return false;
    }
    return true;
}

void agent_on_reply(struct agent_core *core, struct slice bytes)
{
    struct arena arena;
    struct sync_reply reply;
    arena_init(&arena, REPLY_ARENA_BYTES);
    if (sync_reply_decode(bytes, &arena, &reply, NULL) != ERR_OK) {
        if (core->is_outstanding)
            agent_on_sync_failed(core); /* cut short or of a version that we do not know */
        arena_deinit(&arena);
        return;
    }
    if (is_welcome(core, &reply)) {
        /* Anchored at our send time: the server's own time for it begins only after that. */
        struct boot_ns sent_at =
            core->rules->lease_anchored_at_send ? core->sent_at : core->now.boot;
        if (reply.db_epoch > core->meta.epoch_seen) {
            core->meta.epoch_seen = reply.db_epoch;
            core->is_meta_dirty = true;
        }
        core->challenge = reply.challenge;
        take_settings(core, &reply.settings);
        if (core->inventory_seq != 0 && reply.request_seq >= core->inventory_seq)
            core->wants_inventory = false;
        if (reply.want_inventory) {
            core->wants_inventory = true;
            core->is_nodes_news = core->sync_nodes.len != 0;
            core->nodes_seq = 0;
            core->is_changed = true;
        } else if (core->nodes_seq != 0 && reply.request_seq >= core->nodes_seq) {
            core->is_nodes_news = false;
        }
        core->inventory_seq = core->wants_inventory ? 0 : core->inventory_seq;
        agent_usage_acked(core, reply.usage_acked);
        for (uint32_t i = 0; i < reply.acked_count; i++)
            agent_attempt_ack(core, &reply.acked[i]);
        if (!reply.want_inventory) /* else it may be a challenge, and nothing was kept */
            agent_news_answered(core, reply.request_seq);
        agent_probes_take(core, &reply);
        take_commands(core, &reply, sent_at);
        take_renewals(core, &reply, sent_at);
        schedule_next(core);
    }
    arena_deinit(&arena);
}
