#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/json.h"
#include "wire/spec.h"

const struct job_variant SHELL = {.runtime = RUNTIME_CPU, .run = {"true", 4}};

struct id world_id(struct world *world)
{
    struct id id = {{1, 2, 3, 4, 5, 6, 0x70}};
    world->ids++;
    for (int i = 0; i < 8; i++)
        id.bytes[8 + i] = (uint8_t)(world->ids >> (56 - 8 * i));
    return id;
}

struct job_spec job_of(uint32_t nodes, uint32_t cpu_milli)
{
    struct job_spec spec;
    spec_defaults(&spec);
    spec.name = SLICE_LITERAL("work");
    spec.num_nodes = nodes;
    spec.cpu_milli = cpu_milli;
    spec.mem_bytes = UINT64_C(1) << 28;
    spec.variants = &SHELL;
    spec.variant_count = 1;
    spec.time_limit = SPAN_S(3600);
    return spec;
}

/* ---- steps */

static void take_sync_reply(struct world *world, const struct server_output *output)
{
    struct fault fault = {0};
    for (int i = 0; i < SITES; i++) {
        struct fake_site *site = &world->sites[i];
        if (site->handle != output->handle)
            continue;
        assert_false(site->has_reply); /* one answer a request */
        assert_int_equal(sync_reply_decode(output->body, &world->arena, &site->reply, &fault),
                         ERR_OK);
        assert_int_equal(site->reply.request_seq, site->request_seq);
        site->has_reply = true;
        site->epoch_seen = site->reply.db_epoch;
        site->is_inventory = site->reply.want_inventory;
        return;
    }
    fail_msg("a reply to nobody's newest request");
}

static void take_outputs(struct world *world, const struct server_effects *effects)
{
    for (size_t i = 0; i < effects->output_count; i++) {
        const struct server_output *output = &effects->outputs[i];
        switch (output->kind) {
        case OUTPUT_SYNC_REPLY:
            take_sync_reply(world, output);
            break;
        case OUTPUT_API_REPLY:
            world->status = output->status;
            world->body = arena_copy(&world->arena, output->body);
            world->etag = output->etag;
            break;
        case OUTPUT_CLOSE_POLL:
            for (int s = 0; s < SITES; s++) {
                assert_int_not_equal(world->sites[s].handle, output->handle);
                world->sites[s].is_closed = true;
            }
            break;
        }
    }
}

static bool step_more(struct world *world, const struct server_event *event)
{
    struct server_effects effects;
    server_effects_init(&effects);
    server_core_step(world->core, event, world->now, &effects);
    store_apply(world, &effects.change);
    take_outputs(world, &effects);
    bool more = effects.more_work;
    server_effects_deinit(&effects);
    return more;
}

void world_step(struct world *world, const struct server_event *event)
{
    (void)step_more(world, event);
}

void world_place(struct world *world)
{
    const struct server_event place = {.kind = SERVER_PLACE};
    for (int i = 0; i < 1000 && step_more(world, &place); i++)
        ;
}

void world_wait(struct world *world, struct span_ms span)
{
    struct boot_ns until = boot_add(world->now.boot, span);
    const struct server_event tick = {.kind = SERVER_TICK};
    for (int i = 0; i < 100000; i++) {
        struct boot_ns due = server_core_due(world->core);
        if (boot_is_before(until, due))
            break;
        if (boot_is_before(world->now.boot, due)) {
            world->now.wall.us += (due.ns - world->now.boot.ns) / 1000;
            world->now.boot = due;
        }
        if (step_more(world, &tick))
            world_place(world);
    }
    world->now.wall.us += (until.ns - world->now.boot.ns) / 1000;
    world->now.boot = until;
}

uint32_t world_saw(const struct world *world, const char *kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->seen_count; i++)
        count += strcmp(world->seen[i], kind) == 0;
    return count;
}

void world_forget(struct world *world)
{
    world->seen_count = 0;
}

/* ---- documents */

enum api_status doc_put(struct world *world, const struct doc_value *value, uint64_t expect)
{
    char key[DOC_ID_MAX + 1];
    struct buffer body;
    buffer_init(&body, DOC_BYTES_MAX);
    assert_int_equal(doc_encode(value, &body), ERR_OK);
    doc_key(value, key);
    const struct server_principal admin = {.actor = SLICE_LITERAL("usr_admin")};
    struct server_event event = {.kind = SERVER_DOC_PUT,
                                 .handle = ++world->next_handle,
                                 .principal = &admin,
                                 .idempotency = world->idempotency};
    event.doc.doc =
        (struct doc){.kind = value->kind, .id = slice_of(key), .body = buffer_slice(&body)};
    event.doc.expect_version = expect;
    world_step(world, &event);
    buffer_deinit(&body);
    return world->status;
}

enum api_status doc_delete(struct world *world, enum doc_kind kind, const char *id)
{
    struct server_event event = {.kind = SERVER_DOC_DELETE, .handle = ++world->next_handle};
    event.doc.doc = (struct doc){.kind = kind, .id = slice_of(id)};
    event.doc.is_any_version = true;
    world_step(world, &event);
    return world->status;
}

static void put_network(struct world *world)
{
    static const char *const NAMES[SITES] = {"a", "b", "c"};
    static const struct site_node NODES[2] = {
        {.name = {"n1", 2}, .cpu_milli = 4000, .mem_bytes = UINT64_C(8) << 30},
        {.name = {"n2", 2}, .cpu_milli = 4000, .mem_bytes = UINT64_C(8) << 30}};
    struct doc_value value = {.kind = DOC_REGION};
    value.region = (struct region){.id = {world_id(world)},
                                   .name = SLICE_LITERAL("west"),
                                   .jurisdiction = SLICE_LITERAL("CN")};
    assert_int_equal(doc_put(world, &value, 0), API_CREATED);
    for (int i = 0; i < SITES; i++) {
        struct fake_site *site = &world->sites[i];
        site->id.id = world_id(world);
        site->usage_oldest = 1;
        value = (struct doc_value){.kind = DOC_SITE};
        value.site =
            (struct site){.id = site->id,
                          .name = slice_of(NAMES[i]),
                          .region = SLICE_LITERAL("west"),
                          .operator_name = SLICE_LITERAL("op"),
                          .ask_per_cpu_hour = MAYBE_MONEY(((struct money){100000 * (i + 1)})),
                          .nodes = NODES,
                          .node_count = 2};
        assert_int_equal(doc_put(world, &value, 0), API_CREATED);
    }
    world->root.id = world_id(world);
    world->team.id = world_id(world);
    value = (struct doc_value){.kind = DOC_TENANT};
    value.tenant = (struct tenant){.id = world->root, .name = SLICE_LITERAL("root"), .weight = 1};
    assert_int_equal(doc_put(world, &value, 0), API_CREATED);
    value.tenant = (struct tenant){.id = world->team,
                                   .name = SLICE_LITERAL("team"),
                                   .parent = world->root,
                                   .weight = 1,
                                   .default_time_limit = SPAN_S(7200)};
    assert_int_equal(doc_put(world, &value, 0), API_CREATED);
}

/* ---- life */

void world_init(struct world *world)
{
    memset(world, 0, sizeof(*world));
    world->rules = PROTOCOL_RULES_ALL;
    world->settings = (struct server_settings){.lease_floor = SPAN_S(60),
                                               .clock_drift_per_mille = 100,
                                               .kill_time = SPAN_S(5),
                                               .start_limit = SPAN_S(120),
                                               .site_lost_after = SPAN_S(30),
                                               .poll_hold = SPAN_S(10),
                                               .usage_every = SPAN_S(10),
                                               .retain = SPAN_S(86400),
                                               .gate_limit = SPAN_S(60),
                                               .jobs_live_max = 50000};
    arena_init(&world->arena, (size_t)1 << 30);
    world->now = (struct now){{INT64_C(5000000000)}, {INT64_C(1800000000) * 1000000}};
    store_init(&world->store);
    world_restart(world, false);
    put_network(world);
}

void world_deinit(struct world *world)
{
    server_core_destroy(world->core);
    store_deinit(&world->store);
    arena_deinit(&world->arena);
}

static void load_docs(struct world *world)
{
    struct fault fault = {0};
    for (int kind = 0; kind < DOC_KIND_COUNT_; kind++)
        for (size_t i = 0; i < world->store.docs.len; i++) {
            const struct fake_doc *at = vector_at(&world->store.docs, i);
            const struct doc doc = {
                .kind = at->kind, .id = at->id, .version = at->version, .body = at->body};
            if ((int)at->kind == kind)
                assert_int_equal(server_core_load_doc(world->core, &doc, &fault), ERR_OK);
        }
}

static bool is_live_spec(struct world *world, struct spec_id id)
{
    for (size_t i = 0; i < world->store.jobs.len; i++) {
        const struct job_row *row = vector_at(&world->store.jobs, i);
        if (!job_state_is_final(row->state) && id_is_equal(row->spec.id, id.id))
            return true;
    }
    return false;
}

static void load_work(struct world *world)
{
    struct fault fault = {0};
    for (size_t i = 0; i < world->store.specs.len; i++) {
        const struct fake_spec *at = vector_at(&world->store.specs, i);
        if (is_live_spec(world, at->id))
            assert_int_equal(server_core_load_spec(world->core, at->id, at->body, &fault), ERR_OK);
    }
    for (size_t i = 0; i < world->store.jobs.len; i++) {
        const struct job_row *row = vector_at(&world->store.jobs, i);
        if (!job_state_is_final(row->state))
            assert_int_equal(server_core_load_job(world->core, row), ERR_OK);
    }
    for (size_t i = 0; i < world->store.attempts.len; i++) {
        const struct fake_attempt *at = vector_at(&world->store.attempts, i);
        if (!attempt_state_is_final(at->row.state))
            assert_int_equal(server_core_load_attempt(world->core, &at->row, at->places), ERR_OK);
    }
    for (size_t i = 0; i < world->store.marks.len; i++) {
        const struct fake_mark *at = vector_at(&world->store.marks, i);
        assert_int_equal(server_core_load_watermark(world->core, at->site, at->journal, at->seq),
                         ERR_OK);
    }
    for (size_t i = 0; i < world->store.artifacts.len; i++)
        assert_int_equal(
            server_core_load_checkpoint(world->core, vector_at(&world->store.artifacts, i)),
            ERR_OK);
}

void world_restart(struct world *world, bool is_restored)
{
    server_core_destroy(world->core);
    world->core = server_core_create(&world->rules, &world->settings, 7 + world->ids);
    assert_non_null(world->core);
    assert_int_equal(server_core_load_meta(world->core, world->store.epoch, world->store.audit_seq,
                                           &world->store.audit_hash, world->store.event_seq),
                     ERR_OK);
    load_docs(world);
    load_work(world);
    for (int i = 0; i < SITES; i++)
        world->sites[i].handle = 0; /* connections are gone */
    struct server_event event = {.kind = SERVER_START};
    event.start.is_restored = is_restored;
    world_step(world, &event);
}

/* ---- sites */

struct fake_site *site_of(struct world *world, struct site_id id)
{
    for (int i = 0; i < SITES; i++)
        if (id_is_equal(world->sites[i].id.id, id.id))
            return &world->sites[i];
    fail_msg("no such site");
    return NULL;
}

void sync_now(struct world *world, struct fake_site *site)
{
    static const struct sync_node NODES[2] = {
        {.node = 0, .is_up = true, .cpu_milli_free = 4000, .mem_bytes_free = UINT64_C(8) << 30},
        {.node = 1, .is_up = true, .cpu_milli_free = 4000, .mem_bytes_free = UINT64_C(8) << 30}};
    struct sync_node nodes[2] = {NODES[0], NODES[1]};
    for (int i = 0; i < 2; i++)
        nodes[i].load = site->loads[i];
    const struct server_principal agent = {.site = site->id, .actor = SLICE_LITERAL("site_x")};
    struct sync_request request = {.protocol = SYNC_PROTOCOL_NEWEST,
                                   .site = site->id,
                                   .journal = site->journal,
                                   .epoch_seen = site->epoch_seen,
                                   .request_seq = ++site->request_seq,
                                   .challenge = site->reply.challenge,
                                   .usage_acked = site->usage_acked,
                                   .usage_oldest = site->usage_oldest,
                                   .is_inventory = site->is_inventory,
                                   .is_draining = site->is_draining,
                                   .attempts = site->lines,
                                   .attempt_count = site->line_count,
                                   .nodes = nodes,
                                   .node_count = site->is_slim ? 0 : 2,
                                   .usage = site->usage,
                                   .usage_count = site->usage_count,
                                   .probed = &site->probed,
                                   .probed_count = site->has_probed ? 1 : 0,
                                   .copied = site->copied,
                                   .copied_count = site->copied_count,
                                   .reclaims = site->reclaims,
                                   .reclaim_count = site->reclaim_count,
                                   .surplus = site->surplus};
    const struct server_event event = {
        .kind = SERVER_SYNC, .handle = ++world->next_handle, .principal = &agent, .sync = &request};
    site->handle = event.handle;
    site->has_reply = false;
    site->is_closed = false;
    world_step(world, &event);
}

void sync_told(struct world *world, struct fake_site *site)
{
    sync_now(world, site);
    for (int i = 0; i < 40 && !site->has_reply; i++)
        world_wait(world, SPAN_MS(50)); /* the same thing is told ever more slowly */
    assert_true(site->has_reply);
}

void sites_join(struct world *world)
{
    for (int i = 0; i < SITES; i++) {
        world->sites[i].journal.id = world_id(world);
        sync_now(world, &world->sites[i]);
    }
}

void sites_speak(struct world *world)
{
    for (int i = 0; i < SITES; i++)
        sync_now(world, &world->sites[i]);
}

void site_says(struct fake_site *site, const struct attempt_token *token, enum journal_phase phase,
               enum outcome outcome)
{
    uint32_t i = 0;
    while (i < site->line_count && !attempt_token_is_equal(&site->lines[i].token, token))
        i++;
    assert_true(i < LINES_MAX);
    site->lines[i] = (struct sync_attempt){.token = *token,
                                           .phase = phase,
                                           .outcome = outcome,
                                           .exit_code = outcome == OUTCOME_PROGRAM_ERROR ? 3 : 0,
                                           .ran = SPAN_S(phase == PHASE_TAKEN   ? 2
                                                         : phase == PHASE_ENDED ? 5
                                                                                : 0)};
    site->line_count += i == site->line_count;
}

void site_forgets(struct fake_site *site)
{
    site->line_count = 0;
}

const struct sync_command *site_told(const struct fake_site *site, enum sync_command_kind kind,
                                     const struct attempt_token *token)
{
    for (uint32_t i = 0; site->has_reply && i < site->reply.command_count; i++)
        if (site->reply.commands[i].kind == kind &&
            attempt_token_is_equal(&site->reply.commands[i].token, token))
            return &site->reply.commands[i];
    return NULL;
}

bool site_acked(const struct fake_site *site, const struct attempt_token *token)
{
    for (uint32_t i = 0; site->has_reply && i < site->reply.acked_count; i++)
        if (attempt_token_is_equal(&site->reply.acked[i], token))
            return true;
    return false;
}

bool site_renewed(const struct fake_site *site, const struct attempt_token *token)
{
    for (uint32_t i = 0; site->has_reply && i < site->reply.renewal_count; i++)
        if (attempt_token_is_equal(&site->reply.renewals[i].token, token))
            return true;
    return false;
}

/* ---- jobs */

void submit_many(struct world *world, const struct job_spec *const *specs, size_t count)
{
    struct slice bodies[16];
    struct buffer texts[16];
    const struct server_principal person = {.actor = SLICE_LITERAL("usr_person")};
    assert_true(count <= 16);
    for (size_t i = 0; i < count; i++) {
        buffer_init(&texts[i], 1 << 20);
        assert_int_equal(spec_encode_bytes(specs[i], &texts[i]), ERR_OK);
        bodies[i] = buffer_slice(&texts[i]);
    }
    struct server_event event = {.kind = SERVER_SUBMIT,
                                 .handle = ++world->next_handle,
                                 .principal = &person,
                                 .idempotency = world->idempotency};
    event.submit.specs = specs;
    event.submit.bodies = bodies;
    event.submit.count = count;
    event.submit.tenant = world->team;
    world_step(world, &event);
    for (size_t i = 0; i < count; i++)
        buffer_deinit(&texts[i]);
}

struct job_id submit(struct world *world, const struct job_spec *spec)
{
    size_t before = world->store.jobs.len;
    submit_many(world, &spec, 1);
    if (world->status != API_CREATED)
        print_error("%.*s\n", SLICE_ARG(world->body));
    assert_int_equal(world->status, API_CREATED);
    assert_int_equal(world->store.jobs.len, before + spec->array_count);
    return ((struct job_row *)vector_at(&world->store.jobs, before))->id;
}

enum api_status cancel(struct world *world, struct job_id id)
{
    struct server_event event = {.kind = SERVER_CANCEL, .handle = ++world->next_handle};
    event.job.job = id;
    world_step(world, &event);
    return world->status;
}

struct fake_site *start(struct world *world, const struct job_spec *spec, struct job_id *out_job,
                        struct attempt_token *out_token)
{
    *out_job = submit(world, spec);
    world_place(world);
    const struct job_row *job = store_job(world, *out_job);
    assert_int_equal(job->state, JOB_ACTIVE);
    const struct attempt_row *attempt = store_attempt(world, *out_job, job->attempt);
    assert_int_equal(attempt->state, ATTEMPT_OFFERED);
    *out_token = attempt->token;
    return site_of(world, attempt->site);
}

struct fake_site *run(struct world *world, const struct job_spec *spec, struct job_id *out_job,
                      struct attempt_token *out_token)
{
    struct fake_site *site = start(world, spec, out_job, out_token);
    site_says(site, out_token, PHASE_TAKEN, OUTCOME_NONE);
    sync_now(world, site);
    assert_int_equal(store_attempt(world, *out_job, out_token->number)->state, ATTEMPT_RUNNING);
    return site;
}
