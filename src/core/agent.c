#include "core/agent.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/agent_private.h"

enum { STEP_OPS_MAX = 65536, STEP_OUTPUTS_MAX = 1 << 20, LOAD_FAR_MILLI = 1000 };

static const struct span_ms USAGE_EVERY_DEFAULT = {60000};

/* ---- life */

struct agent_core *agent_core_create(const struct protocol_rules *rules,
                                     const struct agent_settings *settings, const struct site *site,
                                     uint64_t random_seed)
{
    ASSERT(settings->attempts_max <= AGENT_LIVE_MAX);
    struct agent_core *core = calloc(1, sizeof(*core));
    ASSERT(core != NULL);
    core->rules = rules;
    core->settings = *settings;
    core->settings.version = (struct slice){0};
    core->settings.surplus = (struct slice){0};
    core->version = calloc(1, settings->version.len + 1);
    core->surplus = calloc(1, settings->surplus.len + 1);
    core->nodes = calloc(site->node_count + 1, sizeof(*core->nodes));
    ASSERT(core->version != NULL && core->surplus != NULL && core->nodes != NULL);
    if (settings->surplus.len != 0)
        memcpy(core->surplus, settings->surplus.data, settings->surplus.len);
    if (settings->version.len != 0)
        memcpy(core->version, settings->version.data, settings->version.len);
    for (uint32_t i = 0; i < site->node_count; i++)
        core->nodes[i] = (struct agent_node){.cpu_milli = site->nodes[i].cpu_milli,
                                             .mem_bytes = site->nodes[i].mem_bytes,
                                             .devices = site->nodes[i].accelerator_count};
    core->node_count = site->node_count;
    core->site = site->id;
    core->engine = site->engine;
    random_init(&core->random, random_seed);
    core->request_seq = random_u64(&core->random) >> 24;
    core->gap = core->idle_gap = SPAN_MS(SYNC_GAP_MS);
    core->told.usage_every = USAGE_EVERY_DEFAULT;
    core->wants_inventory = true;
    core->list_due = BOOT_NEVER;

    strmap_init(&core->attempts, 4 * SYNC_ATTEMPTS_MAX, 0);
    vector_init(&core->open, sizeof(struct agent_attempt *), 4 * SYNC_ATTEMPTS_MAX);
    vector_init(&core->retained, sizeof(struct agent_attempt *), 4 * SYNC_ATTEMPTS_MAX);
    vector_init(&core->usage, sizeof(struct usage_record), USAGE_WINDOW_MAX);
    vector_init(&core->sync_nodes, sizeof(struct sync_node), SITE_NODES_MAX);
    vector_init(&core->probes, sizeof(struct agent_probe), SYNC_PROBES_MAX);
    vector_init(&core->links, sizeof(struct sync_link), SYNC_LINKS_MAX);
    agent_news_init(core);
    vector_init(&core->ops, sizeof(struct journal_op), STEP_OPS_MAX);
    vector_init(&core->outputs, sizeof(struct agent_output), STEP_OUTPUTS_MAX);
    vector_init(&core->dirty, sizeof(struct agent_attempt *), STEP_OPS_MAX);
    return core;
}

static void forget_links(struct agent_core *core)
{
    for (size_t i = 0; i < core->links.len; i++)
        free((void *)((struct sync_link *)vector_at(&core->links, i))->peer.data);
    vector_clear(&core->links);
}

void agent_core_destroy(struct agent_core *core)
{
    if (core == NULL)
        return;
    size_t cursor = 0;
    void *attempt;
    while (strmap_next(&core->attempts, &cursor, NULL, &attempt))
        agent_attempt_free(attempt);
    forget_links(core);
    strmap_deinit(&core->attempts);
    vector_deinit(&core->open);
    vector_deinit(&core->retained);
    vector_deinit(&core->usage);
    vector_deinit(&core->sync_nodes);
    vector_deinit(&core->probes);
    vector_deinit(&core->links);
    agent_news_deinit(core);
    vector_deinit(&core->ops);
    vector_deinit(&core->outputs);
    vector_deinit(&core->dirty);
    free(core->nodes);
    free(core->version);
    free(core->surplus);
    free(core);
}

/* ---- loading */

enum err agent_core_load_meta(struct agent_core *core, const struct journal_meta *meta)
{
    if (!id_is_equal(meta->site.id, core->site.id))
        return ERR_INVALID; /* the journal of another site */
    core->meta = *meta;
    core->has_meta = true;
    return ERR_OK;
}

enum err agent_core_load_attempt(struct agent_core *core, const struct journal_attempt *attempt)
{
    struct agent_attempt *added;
    return agent_attempt_add(core, attempt, &added);
}

enum err agent_core_load_usage(struct agent_core *core, const struct usage_record *record)
{
    uint64_t next = core->meta.usage_acked + 1 + core->usage.len;
    if (core->usage.len >= USAGE_WINDOW_MAX)
        return ERR_OK;
    return record->seq == next ? vector_push(&core->usage, record) : ERR_CORRUPT;
}

/* ---- events */

static void on_boot(struct agent_core *core)
{
    if (!core->has_meta) {
        core->meta = (struct journal_meta){.id = {id_make(core->now.wall.us / 1000, &core->random)},
                                           .site = core->site};
        core->has_meta = true;
        core->is_meta_dirty = true;
    }
    if (core->meta.usage_acked != 0)
        core->marks[core->mark_count++] =
            (struct retain_mark){.seq = core->meta.usage_acked, .at = core->now.boot};
    for (size_t i = 0; i < core->open.len; i++) {
        struct agent_attempt *attempt = *(struct agent_attempt **)vector_at(&core->open, i);
        attempt->since = core->now.boot;
        attempt->call_due = core->now.boot;
        attempt->may_exist = true;
        attempt->is_engine_done = attempt->row.phase == PHASE_ENDED;
        if (attempt->row.phase == PHASE_TAKEN)
            attempt->usage_due = boot_add(core->now.boot, core->told.usage_every);
        if (attempt->row.phase == PHASE_TAKEN &&
            (attempt->row.revoke != REVOKE_NONE || attempt->row.outcome != OUTCOME_NONE))
            attempt->kill_by =
                core->now.boot; /* ordered before; what was left of the grace is lost */
        if (attempt->row.phase == PHASE_ENDED) {
            struct agent_output *output = agent_output_add(core, AGENT_ATTEMPT_ENDED);
            output->token = attempt->row.token;
            output->outcome = attempt->row.outcome;
        }
    }
    for (size_t i = 0; i < core->retained.len; i++)
        (*(struct agent_attempt **)vector_at(&core->retained, i))->acked_at = core->now.boot;
    /* The oldest record still held: the server may want it again. */
    core->is_reading_usage = true;
    agent_output_add(core, AGENT_READ_USAGE)->after = 0;
    core->list_due = core->now.boot;
    core->sync_due = core->now.boot;
    core->has_news = true;
}

static void on_names(struct agent_core *core, bool is_known, const struct attempt_token *tokens,
                     uint32_t count)
{
    if (!is_known) {
        core->list_due = boot_add(core->now.boot, core->settings.engine_retry);
        return;
    }
    for (uint32_t i = 0; core->rules->journal_loss_is_unknown && i < count; i++)
        agent_attempt_found(core, &tokens[i]);
    core->is_changed = core->is_changed || !core->is_listed;
    core->is_listed = true;
}

static void tick_list(struct agent_core *core)
{
    if (!agent_is_due(core, core->list_due))
        return;
    core->list_due = BOOT_NEVER;
    agent_output_add(core, AGENT_LIST_ENGINE);
}

static bool load_is_same(const struct node_load *a, const struct node_load *b)
{
    return a->is_known == b->is_known && a->has_busy == b->has_busy &&
           a->owner_cpu_milli == b->owner_cpu_milli && a->owner_devices == b->owner_devices &&
           a->owner_busy_cpu_milli == b->owner_busy_cpu_milli &&
           a->pool_busy_cpu_milli == b->pool_busy_cpu_milli;
}

/* Worth a request of its own: a core's worth more or less, or another owner of devices. */
static bool load_is_far(const struct node_load *a, const struct node_load *b)
{
    int64_t owner = (int64_t)a->owner_cpu_milli - b->owner_cpu_milli;
    int64_t pool = (int64_t)a->pool_busy_cpu_milli - b->pool_busy_cpu_milli;
    return a->is_known != b->is_known || a->owner_devices != b->owner_devices ||
           owner >= LOAD_FAR_MILLI || -owner >= LOAD_FAR_MILLI || pool >= LOAD_FAR_MILLI ||
           -pool >= LOAD_FAR_MILLI;
}

static bool free_is_same(const struct sync_node *a, const struct sync_node *b)
{
    return a->node == b->node && a->is_up == b->is_up && a->cpu_milli_free == b->cpu_milli_free &&
           a->mem_bytes_free == b->mem_bytes_free &&
           a->devices_free_count == b->devices_free_count &&
           memcmp(a->devices_free, b->devices_free, b->devices_free_count) == 0;
}

static void on_capacity(struct agent_core *core, const struct sync_node *nodes, uint32_t count)
{
    bool is_urgent = count != core->sync_nodes.len, is_news = is_urgent;
    for (uint32_t i = 0; !is_urgent && i < count; i++) {
        const struct sync_node *old = vector_at(&core->sync_nodes, i);
        is_urgent = !free_is_same(old, &nodes[i]) || load_is_far(&old->load, &nodes[i].load);
        is_news = is_news || is_urgent || !load_is_same(&old->load, &nodes[i].load);
    }
    if (!is_news)
        return;
    vector_clear(&core->sync_nodes);
    for (uint32_t i = 0; i < count; i++) {
        enum err err = vector_push(&core->sync_nodes, &nodes[i]);
        ASSERT(err == ERR_OK);
    }
    core->is_nodes_news = true;
    core->nodes_seq = 0;
    /* Small changes of what nodes are used for go along with the next request. */
    core->is_changed = core->is_changed || is_urgent;
}

static void on_links(struct agent_core *core, const struct sync_link *links, uint32_t count)
{
    forget_links(core);
    for (uint32_t i = 0; i < count && i < SYNC_LINKS_MAX; i++) {
        struct sync_link link = links[i];
        char *peer = calloc(1, link.peer.len + 1);
        ASSERT(peer != NULL);
        if (link.peer.len != 0)
            memcpy(peer, link.peer.data, link.peer.len);
        link.peer.data = peer;
        enum err err = vector_push(&core->links, &link);
        ASSERT(err == ERR_OK);
    }
}

static void on_event(struct agent_core *core, const struct agent_event *event)
{
    switch (event->kind) {
    case AGENT_BOOT:
        on_boot(core);
        break;
    case AGENT_SYNC_REPLY:
        agent_on_reply(core, event->sync_reply.bytes);
        break;
    case AGENT_SYNC_FAILED:
        if (core->is_outstanding && event->sync_failed.request_seq == core->request_seq)
            agent_on_sync_failed(core);
        break;
    case AGENT_GATE:
        agent_on_gate(core, &event->gate.message);
        break;
    case AGENT_ENGINE_DONE:
        agent_on_engine(core, event);
        break;
    case AGENT_CAPACITY:
        on_capacity(core, event->capacity.nodes, event->capacity.count);
        break;
    case AGENT_LINKS:
        on_links(core, event->links.links, event->links.count);
        break;
    case AGENT_DRAIN:
        core->is_changed = core->is_changed || core->is_draining != event->drain.flag;
        core->is_draining = event->drain.flag;
        break;
    case AGENT_USAGE:
        agent_on_usage(core, event->usage.after, event->usage.records, event->usage.count);
        break;
    case AGENT_PROBED:
        agent_on_probed(core, &event->probed);
        break;
    case AGENT_ENGINE_NAMES:
        on_names(core, event->names.is_known, event->names.tokens, event->names.count);
        break;
    case AGENT_COPIED:
        agent_on_copied(core, &event->copied.token);
        break;
    case AGENT_RECLAIMS:
        agent_on_reclaims(core, event->reclaims.reclaims, event->reclaims.count);
        break;
    case AGENT_LOAD:
        agent_on_load(core, event->load.nodes, event->load.count);
        break;
    case AGENT_CLEAR:
        agent_nodes_clear(core, event->clear.nodes, event->clear.count, event->clear.grace);
        break;
    case AGENT_YIELD:
        agent_attempt_yield(core, &event->yield.token, event->yield.grace);
        break;
    case AGENT_TICK:
    case AGENT_EVENT_KIND_COUNT_:
        break;
    }
}

static void tick_attempts(struct agent_core *core)
{
    for (size_t i = 0; i < core->open.len; i++) {
        struct agent_attempt *attempt = *(struct agent_attempt **)vector_at(&core->open, i);
        if (attempt->row.phase == PHASE_TAKEN && agent_is_due(core, attempt->usage_due))
            agent_usage_record(core, attempt, false);
        agent_engine_tick(core, attempt);
    }
}

/* A broken rule wrote nothing when it should have: it does so at the next event. */
static void write_late(struct agent_core *core)
{
    if (core->rules->gate_is_durable_first)
        return;
    for (size_t i = 0; i < core->open.len; i++) {
        struct agent_attempt *attempt = *(struct agent_attempt **)vector_at(&core->open, i);
        if (!attempt->is_late)
            continue;
        attempt->is_late = false;
        agent_mark_dirty(core, attempt);
    }
}

void agent_core_step(struct agent_core *core, const struct agent_event *event, struct now now,
                     struct agent_effects *effects)
{
    agent_step_begin(core, now, effects);
    write_late(core);
    on_event(core, event);
    tick_list(core);
    tick_attempts(core);
    agent_usage_tick(core);
    agent_retained_trim(core);
    agent_sync_tick(core);
    agent_step_end(core);
}

/* ---- looking in */

static struct boot_ns attempt_due(const struct agent_attempt *attempt)
{
    struct boot_ns due = BOOT_NEVER;
    if (attempt->row.phase == PHASE_TAKEN)
        due = attempt->usage_due;
    if (!attempt->is_calling && !attempt->is_engine_done)
        due = boot_min(due, attempt->call_due);
    return due;
}

struct boot_ns agent_core_due(const struct agent_core *core)
{
    struct boot_ns due = boot_min(agent_sync_due(core), core->list_due);
    for (size_t i = 0; i < core->open.len; i++)
        due = boot_min(due, attempt_due(*(struct agent_attempt **)vector_at(&core->open, i)));
    if (core->retained.len != 0 && core->told.retain.ms > 0) {
        const struct agent_attempt *oldest =
            *(struct agent_attempt **)vector_at(&core->retained, 0);
        due = boot_min(due, boot_add(oldest->acked_at, core->told.retain));
    }
    if (core->mark_count != 0 && core->told.retain.ms > 0)
        due = boot_min(due, boot_add(core->marks[0].at, core->told.retain));
    return due;
}

struct agent_counts agent_core_counts(const struct agent_core *core)
{
    struct agent_counts counts = {
        .usage_unacked = core->meta.usage_seq - core->meta.usage_acked,
        .is_connected = core->is_connected,
        .epoch_seen = core->meta.epoch_seen,
    };
    for (size_t i = 0; i < core->open.len; i++) {
        const struct agent_attempt *attempt = *(struct agent_attempt **)vector_at(&core->open, i);
        bool is_final = agent_attempt_is_final(attempt);
        counts.live += !is_final;
        counts.running += attempt->row.phase == PHASE_TAKEN;
        counts.ended_unacked += is_final && !attempt->row.is_acked;
    }
    return counts;
}
