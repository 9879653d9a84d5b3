#include "fixture.h"

static const struct site_id SITE = {{{9, 1}}};
static const struct site_node NODES[] = {{.cpu_milli = 4000, .mem_bytes = UINT64_C(8) << 30},
                                         {.cpu_milli = 4000, .mem_bytes = UINT64_C(8) << 30}};

struct attempt_token token_of(uint64_t epoch, uint32_t number)
{
    return (struct attempt_token){epoch, {{{7, 7}}}, number};
}

struct now now_of(const struct fixture *f)
{
    return (struct now){.boot = {f->ms * 1000000}, .wall = {INT64_C(1795000000000000)}};
}

void core_make(struct fixture *f, uint64_t seed)
{
    static const struct agent_settings settings = {.sync_retry_min = {100},
                                                   .sync_retry_max = {1000},
                                                   .sync_timeout = {5000},
                                                   .engine_retry = {1000},
                                                   .engine_poll = {2000},
                                                   .gate_limit = {10000},
                                                   .kill_time = {1000},
                                                   .attempts_max = 8,
                                                   .owner_patience = {1500},
                                                   .owner_grace = {5000},
                                                   .owner_promise = {20000},
                                                   .version = {"test", 4}};
    const struct site site = {.id = SITE, .engine = ENGINE_HOST, .nodes = NODES, .node_count = 2};
    f->core = agent_core_create(&PROTOCOL_RULES_ALL, &settings, &site, seed);
}

/* ---- the journal's part */

static struct journal_attempt *row_find(struct fixture *f, const struct attempt_token *token)
{
    for (uint32_t i = 0; i < f->journal.row_count; i++)
        if (attempt_token_is_equal(&f->journal.rows[i].token, token))
            return &f->journal.rows[i];
    return NULL;
}

static void journal_take(struct fixture *f)
{
    for (size_t i = 0; i < f->effects.change.count; i++) {
        const struct journal_op *op = &f->effects.change.ops[i];
        struct journal_attempt *row;
        switch (op->kind) {
        case JOURNAL_META_SET:
            f->journal.has_meta = true;
            f->journal.meta = op->meta;
            break;
        case JOURNAL_ATTEMPT_INSERT:
            assert_null(row_find(f, &op->attempt.token));
            assert_true(f->journal.row_count < ROWS_MAX);
            row = &f->journal.rows[f->journal.row_count];
            *row = op->attempt;
            buffer_init(&f->journal.orders[f->journal.row_count], SYNC_BYTES_MAX);
            buffer_append(&f->journal.orders[f->journal.row_count], op->attempt.order);
            row->order = buffer_slice(&f->journal.orders[f->journal.row_count]);
            f->journal.row_count++;
            break;
        case JOURNAL_ATTEMPT_UPDATE: {
            row = row_find(f, &op->attempt.token);
            assert_non_null(row);
            struct slice order = row->order;
            *row = op->attempt;
            row->order = order;
            break;
        }
        case JOURNAL_USAGE_APPEND:
            assert_int_equal(op->usage.seq, f->journal.usage_count + 1);
            f->journal.usage[f->journal.usage_count++] = op->usage;
            break;
        default:
            break;
        }
    }
}

/* ---- steps */

static void note_request(struct fixture *f)
{
    for (size_t i = 0; i < f->effects.output_count; i++) {
        const struct agent_output *output = &f->effects.outputs[i];
        if (output->kind != AGENT_SEND_SYNC)
            continue;
        f->has_request = true;
        f->request_seq = output->request_seq;
        assert_int_equal(sync_request_decode(output->bytes, &f->arena, &f->request, NULL), ERR_OK);
    }
}

void step(struct fixture *f, const struct agent_event *event)
{
    agent_effects_deinit(&f->effects);
    agent_effects_init(&f->effects);
    agent_core_step(f->core, event, now_of(f), &f->effects);
    journal_take(f);
    note_request(f);
}

void tick(struct fixture *f, int64_t ms)
{
    f->ms += ms;
    const struct agent_event event = {.kind = AGENT_TICK};
    step(f, &event);
}

const struct agent_output *find(const struct fixture *f, enum agent_output_kind kind, uint32_t skip)
{
    for (size_t i = 0; i < f->effects.output_count; i++)
        if (f->effects.outputs[i].kind == kind && skip-- == 0)
            return &f->effects.outputs[i];
    return NULL;
}

const struct agent_output *find_call(const struct fixture *f, enum engine_call call)
{
    const struct agent_output *output;
    for (uint32_t skip = 0; (output = find(f, AGENT_CALL_ENGINE, skip)) != NULL; skip++)
        if (output->call == call)
            return output;
    return NULL;
}

const struct gate_message *find_gate(const struct fixture *f, enum gate_kind kind, uint32_t rank)
{
    const struct agent_output *output;
    for (uint32_t skip = 0; (output = find(f, AGENT_SEND_GATE, skip)) != NULL; skip++)
        if (output->gate.kind == kind && output->gate.rank == rank)
            return &output->gate;
    return NULL;
}

static void boot(struct fixture *f)
{
    struct agent_event event = {.kind = AGENT_BOOT};
    step(f, &event);
    event = (struct agent_event){.kind = AGENT_ENGINE_NAMES, .names = {.is_known = true}};
    step(f, &event);
    struct usage_record kept[ROWS_MAX];
    memcpy(kept, f->journal.usage, sizeof(kept));
    event = (struct agent_event){.kind = AGENT_USAGE,
                                 .usage = {.records = kept, .count = f->journal.usage_count}};
    step(f, &event);
}

/* The process dies; another one begins on the same journal. */
void restart(struct fixture *f)
{
    agent_core_destroy(f->core);
    core_make(f, 4711);
    if (f->journal.has_meta)
        assert_int_equal(agent_core_load_meta(f->core, &f->journal.meta), ERR_OK);
    for (uint32_t i = 0; i < f->journal.row_count; i++)
        assert_int_equal(agent_core_load_attempt(f->core, &f->journal.rows[i]), ERR_OK);
    for (uint32_t i = 0; i < f->journal.usage_count; i++)
        if (f->journal.usage[i].seq > f->journal.meta.usage_acked)
            assert_int_equal(agent_core_load_usage(f->core, &f->journal.usage[i]), ERR_OK);
    boot(f);
}

void answer(struct fixture *f, const struct sync_reply *reply)
{
    buffer_reset(&f->bytes);
    assert_int_equal(sync_reply_encode(reply, &f->bytes), ERR_OK);
    const struct agent_event event = {.kind = AGENT_SYNC_REPLY,
                                      .sync_reply = {buffer_slice(&f->bytes)}};
    step(f, &event);
}

struct sync_reply reply_make(const struct fixture *f)
{
    return (struct sync_reply){.protocol = 1,
                               .db_epoch = 1,
                               .request_seq = f->request_seq,
                               .usage_acked = f->journal.meta.usage_acked,
                               .settings = {{4000}, {5000}, {3600000}, {10000}}};
}

struct sync_command start_make(struct fixture *f, struct attempt_token token, uint32_t nodes,
                               enum contact_policy policy)
{
    static const struct rank_place places[] = {{.node = 0}, {.node = 1}};
    const struct job_variant variant = {.runtime = RUNTIME_CPU, .run = SLICE_LITERAL("true")};
    struct job_spec spec;
    spec_defaults(&spec);
    spec.name = SLICE_LITERAL("job");
    spec.num_nodes = nodes;
    spec.cpu_milli = 2000;
    spec.mem_bytes = UINT64_C(1) << 30;
    spec.variants = &variant;
    spec.variant_count = 1;
    buffer_reset(&f->bytes);
    buffer_reset(&f->order);
    assert_int_equal(spec_encode_bytes(&spec, &f->bytes), ERR_OK);
    const struct attempt_order order = {.token = token,
                                        .job_name = spec.name,
                                        .tenant = {{{3}}},
                                        .spec = buffer_slice(&f->bytes),
                                        .places = places,
                                        .nodes = nodes,
                                        .contact = {policy, {10000}},
                                        .secret = SLICE_LITERAL("secret")};
    assert_int_equal(attempt_order_encode(&order, &f->order), ERR_OK);
    return (struct sync_command){.kind = SYNC_START,
                                 .token = token,
                                 .journal = f->journal.meta.id,
                                 .order = buffer_slice(&f->order)};
}

void command(struct fixture *f, const struct sync_command *value)
{
    tick(f, 100);
    struct sync_reply reply = reply_make(f);
    reply.commands = value;
    reply.command_count = 1;
    answer(f, &reply);
}

void start(struct fixture *f, uint32_t nodes, enum contact_policy policy)
{
    const struct sync_command value = start_make(f, token_of(1, 1), nodes, policy);
    command(f, &value);
}

void revoke(struct fixture *f, struct journal_id journal, int64_t grace_ms)
{
    const struct sync_command value = {.kind = SYNC_REVOKE,
                                       .token = token_of(1, 1),
                                       .journal = journal,
                                       .reason = REVOKE_CANCELLED,
                                       .grace = {grace_ms}};
    command(f, &value);
}

void engine(struct fixture *f, enum engine_call call, enum engine_answer said)
{
    const struct agent_event event = {
        .kind = AGENT_ENGINE_DONE,
        .engine = {.call = call, .token = token_of(1, 1), .answer = said}};
    step(f, &event);
}

void gate(struct fixture *f, enum gate_kind kind, uint32_t rank, uint64_t incarnation,
          enum outcome outcome)
{
    const struct agent_event event = {.kind = AGENT_GATE,
                                      .gate = {{.kind = kind,
                                                .token = token_of(1, 1),
                                                .rank = rank,
                                                .incarnation = incarnation,
                                                .seq = 5,
                                                .secret = {"secret", SECRET_LEN},
                                                .ran = {kind == GATE_ASK ? 0 : 1500},
                                                .outcome = outcome}}};
    step(f, &event);
}

/* A gang of two that has passed the gate. */
void run_gang(struct fixture *f, enum contact_policy policy)
{
    start(f, 2, policy);
    engine(f, ENGINE_SUBMIT, ENGINE_ACCEPTED);
    gate(f, GATE_ASK, 0, 77, OUTCOME_NONE);
    gate(f, GATE_ASK, 1, 77, OUTCOME_NONE);
    assert_int_equal(f->journal.rows[0].phase, PHASE_TAKEN);
}

int set_up(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    f->ms = 1000000;
    arena_init(&f->arena, 256 << 20);
    buffer_init(&f->bytes, SYNC_BYTES_MAX);
    buffer_init(&f->order, SYNC_BYTES_MAX);
    agent_effects_init(&f->effects);
    core_make(f, 1);
    boot(f);
    *state = f;
    return 0;
}

int tear_down(void **state)
{
    struct fixture *f = *state;
    agent_core_destroy(f->core);
    agent_effects_deinit(&f->effects);
    for (uint32_t i = 0; i < f->journal.row_count; i++)
        buffer_deinit(&f->journal.orders[i]);
    buffer_deinit(&f->bytes);
    buffer_deinit(&f->order);
    arena_deinit(&f->arena);
    test_free(f);
    return 0;
}
