/* The agent's shell in the simulated world: what src/agent does on a loop and a journal's thread,
 * done in events. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim/world.h"

enum { JOURNAL_PATH_MAX = 32, JOURNAL_CACHE = 1 << 20, READ_ARENA_BYTES = 8 << 20 };

static struct now agent_now(const struct world *world, const struct site_sim *site)
{
    return clock_sim_now(&site->clock, world->now);
}

static const struct agent_settings SETTINGS = {
    .sync_retry_min = {200},
    .sync_retry_max = {4000},
    .sync_timeout = {10000},
    .engine_retry = {1000},
    .engine_poll = {3000},
    .gate_limit = {10000},
    .ask_fresh = {4000},
    .kill_time = {1000},
    .attempts_max = 64,
    .version = {"sim", 3},
};

static void arm_timer(struct world *world, struct site_sim *site)
{
    struct boot_ns due = agent_core_due(site->core);
    if (due.ns == BOOT_NEVER.ns)
        return;
    int64_t at = clock_sim_true(&site->clock, due);
    at = at < world->now ? world->now : at;
    if (site->process.timer_at >= 0 && site->process.timer_at <= at)
        return;
    site->process.timer_at = at;
    struct sim_event *event = world_at(world, at, EV_AGENT_TIMER, site->index);
    event->generation = site->process.generation;
    event->number = ++site->process.timer_number; /* an earlier one no longer counts */
}

/* ---- outputs */

static void release_output(struct world *world, struct site_sim *site,
                           const struct agent_output *output)
{
    struct sim_event *event;
    switch (output->kind) {
    case AGENT_SEND_SYNC:
        net_send_request(world, site, output->request_seq, output->bytes);
        break;
    case AGENT_SEND_GATE:
        check_gate_message(world, site, &output->gate);
        net_send_gate_down(world, site, &output->gate);
        break;
    case AGENT_CALL_ENGINE:
        if (output->call == ENGINE_SUBMIT)
            check_engine_submit(world, site, &output->token);
        engine_call_later(world, site, output);
        break;
    case AGENT_LIST_ENGINE:
        event = world_after(world, pick_between(&world->random, MS, 200 * MS), EV_AGENT_NAMES,
                            site->index);
        event->generation = site->process.generation;
        break;
    case AGENT_PROBE:
        event = world_after(world, 50 * MS, EV_AGENT_PROBED, site->index);
        event->number = output->probe.number;
        event->generation = site->process.generation;
        break;
    case AGENT_READ_USAGE:
        event = world_after(world, MS, EV_AGENT_USAGE, site->index);
        event->number = output->after;
        event->generation = site->process.generation;
        break;
    case AGENT_ATTEMPT_ENDED:
    case AGENT_STALE_SERVER:
        break;
    }
}

/* False: the process died of it. */
static bool release_outputs(struct world *world, struct site_sim *site,
                            const struct agent_effects *effects)
{
    for (size_t i = 0; i < effects->output_count; i++) {
        const struct agent_output *output = &effects->outputs[i];
        release_output(world, site, output);
        if (site->outputs_left != 0 && --site->outputs_left == 0)
            return false;
        if (site->must_die_after_go && output->kind == AGENT_SEND_GATE &&
            output->gate.kind == GATE_GO) {
            site->must_die_after_go = false;
            return false;
        }
    }
    return true;
}

static void drop_batches(struct site_sim *site)
{
    while (site->process.count != 0) {
        agent_effects_deinit(&process_batch_at(&site->process, 0)->agent);
        site->process.first = (site->process.first + 1) % BATCHES_MAX;
        site->process.count--;
    }
}

static void drop_core(struct site_sim *site)
{
    drop_batches(site);
    agent_core_destroy(site->core);
    site->core = NULL;
    site->process.is_up = false;
    site->process.timer_at = -1;
    site->process.is_committing = false;
    site->process.generation++;
}

/* ---- dying */

void agent_die(struct world *world, struct site_sim *site, bool with_power, bool loses_journal,
               int64_t down)
{
    drop_core(site);
    site->outputs_left = 0;
    site->must_die_after_go = false;
    if (site->process.is_opened) {
        site->disk->is_off = true;
        journal_close(site->journal);
        site->journal = NULL;
        site->process.is_opened = false;
    }
    if (with_power)
        disk_lose_power(world->disks, site->disk);
    disk_restart(site->disk);
    if (loses_journal) {
        disk_remove_file(site->disk, "journal");
        disk_remove_file(site->disk, "journal-wal");
        if (site->journal_log < JOURNALS_MAX)
            world->journals[site->journal_log].is_lost = true;
        site->journal_log = JOURNALS_MAX;
        site->losses++;
        site->durable.has_meta = site->has_maybe = false;
        site->durable.meta = (struct journal_meta){0};
        vector_clear(&site->durable.tokens);
        enum err err = disk_write_file(site->disk, "journal", world->journal_template);
        ASSERT(err == ERR_OK);
    }
    if (down < 0)
        return;
    world->result->restarts++;
    world_after(world, down, EV_AGENT_BOOT, site->index)->generation = site->process.generation;
}

/* ---- steps */

static void die_of_outputs(struct world *world, struct site_sim *site)
{
    bool with_power = pick_chance(&world->random, 30);
    agent_die(world, site, with_power, false,
              pick_between(&world->random, SECOND / 4, 12 * SECOND));
}

void agent_step(struct world *world, struct site_sim *site, const struct agent_event *event)
{
    struct batch *batch = process_batch_push(&site->process);
    if (batch == NULL) {
        world_violate(world, "the agent has more than %d changes under way", BATCHES_MAX);
        return;
    }
    agent_effects_init(&batch->agent);
    agent_core_step(site->core, event, agent_now(world, site), &batch->agent);
    if (batch->agent.change.count == 0 && site->process.count == 1) {
        bool is_alive = release_outputs(world, site, &batch->agent);
        drop_batches(site);
        if (!is_alive) {
            die_of_outputs(world, site);
            return;
        }
    } else if (!site->process.is_committing) {
        site->process.is_committing = true;
        int64_t delay = pick_between(&world->net_random, MS / 10, 15 * MS);
        world_after(world, delay, EV_AGENT_COMMIT, site->index)->generation =
            site->process.generation;
    }
    arm_timer(world, site);
}

void agent_timer(struct world *world, struct site_sim *site)
{
    site->process.timer_at = -1;
    if (!site->process.is_up)
        return;
    const struct agent_event event = {.kind = AGENT_TICK};
    agent_step(world, site, &event);
}

void agent_reply(struct world *world, struct site_sim *site, const struct sim_event *event)
{
    if (!site->process.is_up)
        return;
    const struct agent_event reply = {.kind = AGENT_SYNC_REPLY,
                                      .sync_reply = {.bytes = event->bytes}};
    agent_step(world, site, &reply);
}

void agent_failed(struct world *world, struct site_sim *site, uint64_t request_seq)
{
    if (!site->process.is_up)
        return;
    const struct agent_event event = {.kind = AGENT_SYNC_FAILED,
                                      .sync_failed = {.request_seq = request_seq}};
    agent_step(world, site, &event);
}

void agent_gate(struct world *world, struct site_sim *site, const struct sim_event *event)
{
    struct arena arena;
    struct agent_event gate = {.kind = AGENT_GATE};
    if (!site->process.is_up)
        return;
    arena_init(&arena, READ_ARENA_BYTES);
    struct slice line = slice_make(event->bytes.data, event->bytes.len - 1);
    if (gate_message_decode(line, &arena, &gate.gate.message, NULL) != ERR_OK)
        world_violate(world, "a gate message does not decode");
    else
        agent_step(world, site, &gate);
    arena_deinit(&arena);
}

void agent_engine_done(struct world *world, struct site_sim *site, const struct sim_event *event)
{
    struct engine_rank_end ends[RANKS_MAX];
    if (!site->process.is_up)
        return;
    check_engine_answer(world, site, event);
    size_t count = event->bytes.len / sizeof(ends[0]);
    ASSERT(count <= RANKS_MAX);
    if (count != 0)
        memcpy(ends, event->bytes.data, event->bytes.len);
    const struct agent_event done = {.kind = AGENT_ENGINE_DONE,
                                     .engine = {.call = event->call,
                                                .token = event->token,
                                                .answer = event->answer,
                                                .outcome = event->outcome,
                                                .incarnation = event->incarnation,
                                                .ranks = ends,
                                                .rank_count = (uint32_t)count}};
    agent_step(world, site, &done);
}

void agent_capacity(struct world *world, struct site_sim *site)
{
    struct sync_node nodes[NODES_MAX];
    if (!site->process.is_up)
        return;
    for (uint32_t i = 0; i < site->node_count; i++)
        nodes[i] = (struct sync_node){.node = (uint16_t)i,
                                      .is_up = site->nodes[i].is_up,
                                      .cpu_milli_free = site->node_values[i].cpu_milli,
                                      .mem_bytes_free = site->node_values[i].mem_bytes,
                                      .load = {.is_known = site->nodes[i].is_up}};
    const struct agent_event event = {.kind = AGENT_CAPACITY,
                                      .capacity = {.nodes = nodes, .count = site->node_count}};
    agent_step(world, site, &event);
}

/* ---- commits */

static void commit_failed(struct world *world, struct site_sim *site)
{
    journal_shadow_copy(&site->maybe, &site->durable);
    site->has_maybe = true;
    for (uint32_t i = 0; i < site->process.count; i++)
        journal_shadow_apply(world, site, &site->maybe,
                             &process_batch_at(&site->process, i)->agent.change);
    if (site->disk->is_off) {
        bool with_power = pick_chance(&world->random, 60);
        agent_die(world, site, with_power, false,
                  pick_between(&world->random, SECOND / 4, 12 * SECOND));
        return;
    }
    drop_core(site);
    world_after(world, SECOND / 2, EV_AGENT_BOOT, site->index)->generation =
        site->process.generation;
}

static bool apply_all(struct world *world, struct site_sim *site)
{
    const struct journal_change **changes = world->group.site;
    struct change_result *results = world->group_results;
    struct fault fault = {0};
    size_t count = 0;
    for (uint32_t i = 0; i < site->process.count; i++) {
        const struct agent_effects *effects = &process_batch_at(&site->process, i)->agent;
        if (effects->change.count != 0)
            changes[count++] = &effects->change;
    }
    if (count == 0)
        return true;
    enum err err = journal_apply(site->journal, changes, count, results, &fault);
    if (err != ERR_OK) {
        world_trace(world, "journal failed: %s %s", err_name(err), fault.message);
        commit_failed(world, site);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (results[i].err == ERR_OK) {
            check_journal_commit(world, site, changes[i]);
            continue;
        }
        world_violate(world, "a journal change is %s at operation %u of kind %d",
                      err_name(results[i].err), results[i].op,
                      (int)changes[i]->ops[results[i].op].kind);
        return false;
    }
    return true;
}

void agent_commit(struct world *world, struct site_sim *site)
{
    site->process.is_committing = false;
    if (!site->process.is_up || !apply_all(world, site))
        return;
    bool is_alive = true;
    for (uint32_t i = 0; is_alive && i < site->process.count; i++)
        is_alive = release_outputs(world, site, &process_batch_at(&site->process, i)->agent);
    drop_batches(site);
    if (!is_alive)
        die_of_outputs(world, site);
}

void agent_names(struct world *world, struct site_sim *site)
{
    struct attempt_token tokens[LAUNCHES_MAX];
    struct agent_event event = {.kind = AGENT_ENGINE_NAMES, .names = {.tokens = tokens}};
    if (!site->process.is_up)
        return;
    event.names.is_known = engine_list(world, site, tokens, &event.names.count);
    agent_step(world, site, &event);
}

/* Nodes of this world are in order again once they are up. */
void agent_probed(struct world *world, struct site_sim *site, uint64_t number)
{
    const struct agent_event event = {.kind = AGENT_PROBED,
                                      .probed = {.number = number, .is_good = true}};
    if (site->process.is_up)
        agent_step(world, site, &event);
}

void agent_usage_read(struct world *world, struct site_sim *site, uint64_t after)
{
    struct arena arena;
    const struct usage_record *records = NULL;
    size_t count = 0;
    if (!site->process.is_up)
        return;
    arena_init(&arena, READ_ARENA_BYTES);
    enum err err =
        journal_usage_read(site->journal, after, USAGE_BATCH_MAX, &arena, &records, &count);
    if (err != ERR_OK) {
        commit_failed(world, site); /* the shell drops its core here too */
    } else {
        const struct agent_event event = {
            .kind = AGENT_USAGE,
            .usage = {.after = after, .records = records, .count = (uint32_t)count}};
        agent_step(world, site, &event);
    }
    arena_deinit(&arena);
}

/* ---- starting */

struct loading {
    struct world *world;
    struct site_sim *site;
    uint64_t digest, usage_seq;
};

static void trace_row(struct world *world, const char *what, const struct journal_attempt *row)
{
    char name[ATTEMPT_NAME_MAX];
    attempt_name_format(&row->token, name);
    world_trace(world, "%s %s phase %d claim %d acked %d ended %llx", what, name, (int)row->phase,
                (int)row->claim, (int)row->is_acked, (unsigned long long)row->rank_ended[0]);
}

static enum err on_meta(void *context, const struct journal_meta *meta)
{
    struct loading *loading = context;
    loading->digest += digest_journal_meta(meta);
    loading->usage_seq = meta->usage_seq;
    world_trace(loading->world, "loaded meta: epoch %llu, usage %llu, acknowledged %llu",
                (unsigned long long)meta->epoch_seen, (unsigned long long)meta->usage_seq,
                (unsigned long long)meta->usage_acked);
    return agent_core_load_meta(loading->site->core, meta);
}

static enum err on_attempt(void *context, const struct journal_attempt *attempt)
{
    struct loading *loading = context;
    loading->digest += digest_journal_attempt(attempt);
    trace_row(loading->world, "loaded", attempt);
    return agent_core_load_attempt(loading->site->core, attempt);
}

static enum err on_usage(void *context, const struct usage_record *record)
{
    struct loading *loading = context;
    return agent_core_load_usage(loading->site->core, record);
}

static enum err open_journal(struct world *world, struct site_sim *site)
{
    char path[JOURNAL_PATH_MAX];
    if (site->process.is_opened)
        return journal_probe(site->journal, NULL);
    snprintf(path, sizeof(path), "%u/journal", SERVERS_MAX + site->index);
    const struct journal_config config = {.path = path,
                                          .vfs = disks_vfs_name(world->disks),
                                          .is_exclusive = true,
                                          .cache_bytes = JOURNAL_CACHE};
    enum err err = journal_open(&config, &site->journal, NULL);
    site->process.is_opened = err == ERR_OK;
    return err;
}

static enum err load_core(struct world *world, struct site_sim *site)
{
    struct loading loading = {.world = world, .site = site};
    const struct journal_load_sink sink = {on_meta, on_attempt, on_usage, &loading};
    struct fault fault = {0};
    bool has_meta = false;
    site->core =
        agent_core_create(world->rules, &SETTINGS, &site->value, random_u64(&world->random));
    enum err err = journal_load(site->journal, &sink, &has_meta, &fault);
    if (err == ERR_OK)
        check_journal_loaded(world, site, loading.digest, loading.usage_seq);
    else if (err != ERR_IO && err != ERR_FULL)
        world_violate(world, "the journal does not load: %s %s", err_name(err), fault.message);
    return err;
}

void agent_boot(struct world *world, struct site_sim *site)
{
    if (site->process.is_up)
        return;
    enum err err = open_journal(world, site);
    if (err == ERR_OK)
        err = load_core(world, site);
    if (err != ERR_OK) {
        world_trace(world, "agent %u cannot start: %s", site->index, err_name(err));
        if (err == ERR_CORRUPT || err == ERR_INVALID)
            world_violate(world, "a journal is damaged: %s", err_name(err));
        agent_core_destroy(site->core);
        site->core = NULL;
        if (site->disk->is_off)
            agent_die(world, site, false, false, SECOND);
        else
            world_after(world, SECOND, EV_AGENT_BOOT, site->index)->generation =
                site->process.generation;
        return;
    }
    site->process.generation++;
    site->process.is_up = true;
    const struct agent_event event = {.kind = AGENT_BOOT};
    agent_step(world, site, &event);
    agent_capacity(world, site);
    owner_tells(world, site);
}
