/* The server's shell in the simulated world: what src/server does on a loop and a writer's thread,
 * done in events. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "sim/world.h"

enum { DB_PATH_MAX = 32, DB_CACHE_BYTES = 4 << 20, REQUEST_ARENA_BYTES = 64 << 20 };

static const struct server_settings SETTINGS = {
    .lease_floor = {12000},
    .clock_drift_per_mille = 200,
    .kill_time = {1000},
    .start_limit = {7000},
    .site_lost_after = {15000},
    .poll_hold = {4000},
    .usage_every = {5000},
    .retain = {3600000},
    .gate_limit = {10000},
    .jobs_live_max = 1000,
    .secret_key = "simulated, and known to all",
};

static struct now server_now(const struct world *world, const struct server_sim *server)
{
    return clock_sim_now(&server->clock, world->now);
}

static void arm_timer(struct world *world, struct server_sim *server)
{
    struct boot_ns due = server_core_due(server->core);
    if (due.ns == BOOT_NEVER.ns)
        return;
    int64_t at = clock_sim_true(&server->clock, due);
    at = at < world->now ? world->now : at;
    if (server->process.timer_at >= 0 && server->process.timer_at <= at)
        return; /* the earlier one arms again */
    server->process.timer_at = at;
    struct sim_event *event = world_at(world, at, EV_SERVER_TIMER, server->index);
    event->generation = server->process.generation;
    event->number = ++server->process.timer_number; /* an earlier one no longer counts */
}

/* ---- outputs */

static void fail_handle(struct world *world, struct server_sim *server, struct sim_handle *handle)
{
    if (handle->handle == 0 || handle->is_answered || handle->server != server->index)
        return;
    net_send_reply(world, server, handle->handle, (struct slice){0}, true);
}

/* Every connection breaks. */
static void fail_all(struct world *world, struct server_sim *server)
{
    for (uint32_t i = 0; i < HANDLES_MAX; i++)
        fail_handle(world, server, &world->handles[i]);
}

/* False: the process died of it. */
static bool release_outputs(struct world *world, struct server_sim *server,
                            const struct server_effects *effects)
{
    for (size_t i = 0; i < effects->output_count; i++) {
        const struct server_output *output = &effects->outputs[i];
        if (server->outputs_left != 0 && --server->outputs_left == 0)
            return false;
        if (output->kind == OUTPUT_API_REPLY) {
            client_answer(world, output->handle, output->status, output->body);
        } else {
            bool is_failure = output->kind == OUTPUT_CLOSE_POLL;
            struct sim_handle *handle = &world->handles[output->handle % HANDLES_MAX];
            if (!is_failure && handle->handle == output->handle)
                check_server_reply(world, server, handle->site, output->body);
            net_send_reply(world, server, output->handle, output->body, is_failure);
        }
    }
    return true;
}

static void drop_batches(struct server_sim *server)
{
    while (server->process.count != 0) {
        server_effects_deinit(&process_batch_at(&server->process, 0)->server);
        server->process.first = (server->process.first + 1) % BATCHES_MAX;
        server->process.count--;
    }
}

static void drop_core(struct server_sim *server)
{
    drop_batches(server);
    server_core_destroy(server->core);
    server->core = NULL;
    server->process.is_up = false;
    server->process.timer_at = -1;
    server->process.is_committing = false;
    server->is_placing = false;
    server->process.generation++;
}

/* ---- dying */

void server_die(struct world *world, struct server_sim *server, bool with_power, int64_t down)
{
    drop_core(server);
    server->outputs_left = 0;
    if (server->process.is_opened) {
        server->disk->is_off = true; /* a killed process writes nothing more */
        store_db_close(server->store);
        server->store = NULL;
        server->process.is_opened = false;
    }
    if (with_power)
        disk_lose_power(world->disks, server->disk);
    disk_restart(server->disk);
    if (down < 0)
        return;
    fail_all(world, server);
    world->result->restarts++;
    world_after(world, down, EV_SERVER_BOOT, server->index)->generation =
        server->process.generation;
}

/* ---- steps */

void server_step(struct world *world, struct server_sim *server, const struct server_event *event)
{
    struct batch *batch = process_batch_push(&server->process);
    if (batch == NULL) {
        world_violate(world, "the server has more than %d changes under way", BATCHES_MAX);
        return;
    }
    server_effects_init(&batch->server);
    server_core_step(server->core, event, server_now(world, server), &batch->server);
    bool more_work = batch->server.more_work;
    if (batch->server.change.count == 0 && server->process.count == 1) {
        bool is_alive = release_outputs(world, server, &batch->server);
        drop_batches(server);
        if (!is_alive) {
            server_die(world, server, false, 3 * SECOND);
            return;
        }
    } else if (!server->process.is_committing) {
        server->process.is_committing = true;
        int64_t delay = pick_between(&world->net_random, MS / 10, 15 * MS);
        world_after(world, delay, EV_SERVER_COMMIT, server->index)->generation =
            server->process.generation;
    }
    if (more_work && !server->is_placing) {
        server->is_placing = true;
        world_after(world, MS, EV_SERVER_PLACE, server->index)->generation =
            server->process.generation;
    }
    arm_timer(world, server);
}

void server_timer(struct world *world, struct server_sim *server)
{
    server->process.timer_at = -1;
    if (!server->process.is_up)
        return;
    const struct server_event event = {.kind = SERVER_TICK};
    server_step(world, server, &event);
}

void server_place_event(struct world *world, struct server_sim *server)
{
    server->is_placing = false;
    if (!server->process.is_up)
        return;
    const struct server_event event = {.kind = SERVER_PLACE};
    server_step(world, server, &event);
}

void server_request(struct world *world, struct server_sim *server, const struct sim_event *event)
{
    struct arena arena;
    struct sync_request request;
    struct fault fault = {0};
    if (!server->process.is_up) {
        fail_handle(world, server, &world->handles[event->number % HANDLES_MAX]);
        return;
    }
    arena_init(&arena, REQUEST_ARENA_BYTES);
    if (sync_request_decode(event->bytes, &arena, &request, &fault) != ERR_OK) {
        world_violate(world, "a sync request does not decode: %s %s", fault.field, fault.message);
    } else {
        const struct server_principal principal = {.site = request.site,
                                                   .actor = SLICE_LITERAL("site")};
        const struct server_event sync = {.kind = SERVER_SYNC,
                                          .handle = event->number,
                                          .principal = &principal,
                                          .sync = &request};
        server_step(world, server, &sync);
    }
    arena_deinit(&arena);
}

void server_gone(struct world *world, struct server_sim *server, uint64_t handle)
{
    if (!server->process.is_up)
        return;
    const struct server_event event = {.kind = SERVER_SYNC_GONE, .handle = handle};
    server_step(world, server, &event);
}

/* ---- commits */

/* What may have become durable although the commit failed. */
static void note_maybe(struct world *world, struct server_sim *server,
                       const struct change *const *changes, size_t count)
{
    if (server->maybe == NULL)
        server->maybe = malloc(sizeof(*server->maybe));
    ASSERT(server->maybe != NULL);
    *server->maybe = server->shadow;
    for (size_t i = 0; i < count; i++)
        shadow_apply(world, server->maybe, false, changes[i]);
}

static void commit_failed(struct world *world, struct server_sim *server,
                          const struct change *const *changes, size_t count)
{
    note_maybe(world, server, changes, count);
    if (server->disk->is_off) {
        bool with_power = pick_chance(&world->random, 60);
        server_die(world, server, with_power, pick_between(&world->random, SECOND / 2, 4 * SECOND));
        return;
    }
    drop_core(server);
    fail_all(world, server);
    world_after(world, SECOND / 2, EV_SERVER_BOOT, server->index)->generation =
        server->process.generation;
}

/* Applies what waits in one transaction. False: the core is gone. */
static bool apply_all(struct world *world, struct server_sim *server)
{
    const struct change **changes = world->group.server;
    struct change_result *results = world->group_results;
    struct fault fault = {0};
    size_t count = 0;
    for (uint32_t i = 0; i < server->process.count; i++) {
        const struct server_effects *effects = &process_batch_at(&server->process, i)->server;
        if (effects->change.count != 0)
            changes[count++] = &effects->change;
    }
    if (count == 0)
        return true;
    enum err err = store_db_apply(server->store, changes, count, server_now(world, server).wall,
                                  results, &fault);
    if (err != ERR_OK) {
        world_trace(world, "commit failed: %s %s", err_name(err), fault.message);
        commit_failed(world, server, changes, count);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (results[i].err == ERR_OK && results[i].usage_conflicts == 0) {
            check_server_commit(world, server, changes[i]);
            continue;
        }
        world_violate(world, "a change is %s at operation %u of kind %d (%u usage conflicts)",
                      err_name(results[i].err), results[i].op,
                      (int)changes[i]->ops[results[i].op].kind, results[i].usage_conflicts);
        return false;
    }
    return true;
}

void server_commit(struct world *world, struct server_sim *server)
{
    server->process.is_committing = false;
    if (!server->process.is_up || !apply_all(world, server))
        return;
    bool is_alive = true;
    for (uint32_t i = 0; is_alive && i < server->process.count; i++)
        is_alive = release_outputs(world, server, &process_batch_at(&server->process, i)->server);
    drop_batches(server);
    if (is_alive)
        return;
    bool with_power = pick_chance(&world->random, 30);
    server_die(world, server, with_power, pick_between(&world->random, SECOND / 2, 4 * SECOND));
}

/* ---- starting */

struct loading {
    struct server_sim *server;
    struct fault *fault;
    uint64_t digest;
    bool is_restored;
    struct vector jobs; /* struct job_id */
};

static enum err on_meta(void *context, const struct store_meta *meta)
{
    struct loading *loading = context;
    loading->is_restored = meta->is_restored;
    loading->digest += digest_meta(meta->db_epoch, meta->audit_seq, meta->event_seq);
    return server_core_load_meta(loading->server->core, meta->db_epoch, meta->audit_seq,
                                 &meta->audit_hash, meta->event_seq);
}

static enum err on_doc(void *context, const struct doc *doc)
{
    struct loading *loading = context;
    return server_core_load_doc(loading->server->core, doc, loading->fault);
}

static enum err on_spec(void *context, struct spec_id id, struct slice body)
{
    struct loading *loading = context;
    return server_core_load_spec(loading->server->core, id, body, loading->fault);
}

static enum err on_job(void *context, const struct job_row *row)
{
    struct loading *loading = context;
    loading->digest += digest_job(row);
    enum err err = vector_push(&loading->jobs, &row->id);
    return err != ERR_OK ? err : server_core_load_job(loading->server->core, row);
}

static enum err on_attempt(void *context, const struct attempt_row *row, struct slice places)
{
    struct loading *loading = context;
    loading->digest += digest_attempt(row);
    return server_core_load_attempt(loading->server->core, row, places);
}

static enum err on_watermark(void *context, struct site_id site, struct journal_id journal,
                             uint64_t seq)
{
    struct loading *loading = context;
    loading->digest += digest_watermark(journal, seq);
    return server_core_load_watermark(loading->server->core, site, journal, seq);
}

static enum err load_checkpoints(struct server_sim *server, const struct vector *jobs)
{
    struct arena arena;
    enum err err = ERR_OK;
    arena_init(&arena, REQUEST_ARENA_BYTES);
    for (size_t i = 0; err == ERR_OK && i < jobs->len; i++) {
        struct store_answer answer;
        const struct store_query query = {
            .kind = STORE_CHECKPOINT_NEWEST,
            .checkpoint_newest = {.job = *(struct job_id *)vector_at(jobs, i)}};
        err = store_db_query(server->store, &query, &arena, &answer, NULL);
        if (err == ERR_OK && answer.count != 0)
            err = server_core_load_checkpoint(server->core, answer.artifacts);
        else if (err == ERR_NOT_FOUND)
            err = ERR_OK;
        arena_reset(&arena);
    }
    arena_deinit(&arena);
    return err;
}

static enum err open_store(struct world *world, struct server_sim *server)
{
    char path[DB_PATH_MAX];
    if (server->process.is_opened)
        return store_db_probe(server->store, NULL); /* a commit failed: can it write again? */
    snprintf(path, sizeof(path), "%u/db", server->index);
    const struct store_config config = {.path = path,
                                        .vfs = disks_vfs_name(world->disks),
                                        .mode = STORE_WRITE,
                                        .is_exclusive = true,
                                        .cache_bytes = DB_CACHE_BYTES};
    enum err err = store_db_open(&config, &server->store, NULL);
    server->process.is_opened = err == ERR_OK;
    return err;
}

static enum err load_core(struct world *world, struct server_sim *server, bool *is_restored)
{
    struct fault fault = {0};
    struct loading loading = {.server = server, .fault = &fault};
    const struct store_load_sink sink = {on_meta,    on_doc,       on_spec, on_job,
                                         on_attempt, on_watermark, &loading};
    server->core = server_core_create(world->rules, &SETTINGS, random_u64(&world->random));
    ASSERT(server->core != NULL);
    vector_init(&loading.jobs, sizeof(struct job_id), JOBS_MAX);
    enum err err = store_db_load(server->store, &sink, &fault);
    if (err == ERR_OK)
        err = load_checkpoints(server, &loading.jobs);
    vector_deinit(&loading.jobs);
    if (err == ERR_OK)
        check_server_loaded(world, server, loading.digest);
    else
        world_trace(world, "load failed: %s %s", err_name(err), fault.message);
    if (err != ERR_OK && err != ERR_IO && err != ERR_FULL)
        world_violate(world, "the database does not load: %s %s", err_name(err), fault.message);
    *is_restored = loading.is_restored;
    return err;
}

void server_boot(struct world *world, struct server_sim *server)
{
    bool is_restored = false;
    if (server->process.is_up)
        return;
    enum err err = open_store(world, server);
    if (err == ERR_OK)
        err = load_core(world, server, &is_restored);
    if (err != ERR_OK) {
        world_trace(world, "server %u cannot start: %s", server->index, err_name(err));
        if (err == ERR_CORRUPT || err == ERR_INVALID)
            world_violate(world, "the database is damaged: %s", err_name(err));
        server_core_destroy(server->core);
        server->core = NULL;
        if (server->disk->is_off)
            server_die(world, server, false, SECOND);
        else
            world_after(world, SECOND, EV_SERVER_BOOT, server->index)->generation =
                server->process.generation;
        return;
    }
    server->process.generation++;
    server->process.is_up = true;
    const struct server_event event = {.kind = SERVER_START, .start = {.is_restored = is_restored}};
    server_step(world, server, &event);
}
