/* The agent's machine, event by event: what it writes, what it lets out, and in which step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "core/agent.h"
#include "wire/spec.h"

enum { ROWS_MAX = 16, SECRET_LEN = 6 };

static const struct site_id SITE = {{{9, 1}}};
static const struct journal_id OTHER_JOURNAL = {{{6, 6, 6}}};
static const struct site_node NODES[] = {{.cpu_milli = 4000, .mem_bytes = UINT64_C(8) << 30},
                                         {.cpu_milli = 4000, .mem_bytes = UINT64_C(8) << 30}};

/* A journal of the simplest kind, so that a core can be loaded again. */
struct journal_copy {
    bool has_meta;
    struct journal_meta meta;
    struct journal_attempt rows[ROWS_MAX];
    struct buffer orders[ROWS_MAX];
    uint32_t row_count;
    struct usage_record usage[ROWS_MAX];
    uint32_t usage_count;
};

struct fixture {
    struct agent_core *core;
    struct agent_effects effects;
    struct journal_copy journal;
    struct arena arena;
    struct buffer bytes, order;
    int64_t ms;
    uint64_t request_seq;
    struct sync_request request; /* the last one sent */
    bool has_request;
};

static struct attempt_token token_of(uint64_t epoch, uint32_t number)
{
    return (struct attempt_token){epoch, {{{7, 7}}}, number};
}

static struct now now_of(const struct fixture *f)
{
    return (struct now){.boot = {f->ms * 1000000}, .wall = {INT64_C(1795000000000000)}};
}

static void core_make(struct fixture *f, uint64_t seed)
{
    static const struct agent_settings settings = {.sync_retry_min = {100},
                                                   .sync_retry_max = {1000},
                                                   .sync_timeout = {5000},
                                                   .engine_retry = {1000},
                                                   .engine_poll = {2000},
                                                   .gate_limit = {10000},
                                                   .kill_time = {1000},
                                                   .attempts_max = 8,
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

static void step(struct fixture *f, const struct agent_event *event)
{
    agent_effects_deinit(&f->effects);
    agent_effects_init(&f->effects);
    agent_core_step(f->core, event, now_of(f), &f->effects);
    journal_take(f);
    note_request(f);
}

static void tick(struct fixture *f, int64_t ms)
{
    f->ms += ms;
    const struct agent_event event = {.kind = AGENT_TICK};
    step(f, &event);
}

static const struct agent_output *find(const struct fixture *f, enum agent_output_kind kind,
                                       uint32_t skip)
{
    for (size_t i = 0; i < f->effects.output_count; i++)
        if (f->effects.outputs[i].kind == kind && skip-- == 0)
            return &f->effects.outputs[i];
    return NULL;
}

static const struct agent_output *find_call(const struct fixture *f, enum engine_call call)
{
    const struct agent_output *output;
    for (uint32_t skip = 0; (output = find(f, AGENT_CALL_ENGINE, skip)) != NULL; skip++)
        if (output->call == call)
            return output;
    return NULL;
}

static const struct gate_message *find_gate(const struct fixture *f, enum gate_kind kind,
                                            uint32_t rank)
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
static void restart(struct fixture *f)
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

static void answer(struct fixture *f, const struct sync_reply *reply)
{
    buffer_reset(&f->bytes);
    assert_int_equal(sync_reply_encode(reply, &f->bytes), ERR_OK);
    const struct agent_event event = {.kind = AGENT_SYNC_REPLY,
                                      .sync_reply = {buffer_slice(&f->bytes)}};
    step(f, &event);
}

static struct sync_reply reply_make(const struct fixture *f)
{
    return (struct sync_reply){.protocol = 1,
                               .db_epoch = 1,
                               .request_seq = f->request_seq,
                               .usage_acked = f->journal.meta.usage_acked,
                               .settings = {{4000}, {5000}, {3600000}, {10000}}};
}

static struct sync_command start_make(struct fixture *f, struct attempt_token token, uint32_t nodes,
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

static void command(struct fixture *f, const struct sync_command *value)
{
    tick(f, 100);
    struct sync_reply reply = reply_make(f);
    reply.commands = value;
    reply.command_count = 1;
    answer(f, &reply);
}

static void start(struct fixture *f, uint32_t nodes, enum contact_policy policy)
{
    const struct sync_command value = start_make(f, token_of(1, 1), nodes, policy);
    command(f, &value);
}

static void revoke(struct fixture *f, struct journal_id journal, int64_t grace_ms)
{
    const struct sync_command value = {.kind = SYNC_REVOKE,
                                       .token = token_of(1, 1),
                                       .journal = journal,
                                       .reason = REVOKE_CANCELLED,
                                       .grace = {grace_ms}};
    command(f, &value);
}

static void engine(struct fixture *f, enum engine_call call, enum engine_answer said)
{
    const struct agent_event event = {
        .kind = AGENT_ENGINE_DONE,
        .engine = {.call = call, .token = token_of(1, 1), .answer = said}};
    step(f, &event);
}

static void gate(struct fixture *f, enum gate_kind kind, uint32_t rank, uint64_t incarnation,
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
static void run_gang(struct fixture *f, enum contact_policy policy)
{
    start(f, 2, policy);
    engine(f, ENGINE_SUBMIT, ENGINE_ACCEPTED);
    gate(f, GATE_ASK, 0, 77, OUTCOME_NONE);
    gate(f, GATE_ASK, 1, 77, OUTCOME_NONE);
    assert_int_equal(f->journal.rows[0].phase, PHASE_TAKEN);
}

static int set_up(void **state)
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

static int tear_down(void **state)
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

/* ---- tests */

static void an_empty_journal_gets_a_name_before_anything_is_sent(void **state)
{
    struct fixture *f = *state;
    assert_true(f->journal.has_meta);
    assert_false(id_is_none(f->journal.meta.id.id));
    assert_true(f->has_request && f->request.is_inventory);
}

static void no_inventory_leaves_before_the_engine_was_listed(void **state)
{
    struct fixture *f = *state;
    agent_core_destroy(f->core);
    core_make(f, 5);
    f->has_request = false;
    struct agent_event event = {.kind = AGENT_BOOT};
    step(f, &event);
    assert_non_null(find(f, AGENT_LIST_ENGINE, 0));
    event = (struct agent_event){.kind = AGENT_USAGE};
    step(f, &event);
    assert_true(f->has_request);
    assert_false(f->request.is_inventory);
}

static void what_the_engine_runs_unknown_to_the_journal_is_ended(void **state)
{
    struct fixture *f = *state;
    const struct attempt_token token = token_of(1, 1);
    const struct agent_event event = {.kind = AGENT_ENGINE_NAMES,
                                      .names = {.is_known = true, .tokens = &token, .count = 1}};
    step(f, &event);
    assert_int_equal(f->journal.rows[0].phase, PHASE_TAKEN);
    assert_non_null(find_call(f, ENGINE_KILL));
    engine(f, ENGINE_KILL, ENGINE_ABSENT);
    assert_int_equal(f->journal.rows[0].phase, PHASE_ENDED);
    assert_int_equal(f->journal.rows[0].outcome, OUTCOME_JOURNAL_LOST);
}

static void the_intent_is_in_the_same_change_that_lets_the_submit_out(void **state)
{
    struct fixture *f = *state;
    start(f, 1, CONTACT_STRICT);
    assert_int_equal(f->effects.change.ops[0].kind, JOURNAL_ATTEMPT_INSERT);
    assert_int_equal(f->journal.rows[0].phase, PHASE_INTENT);
    assert_non_null(find_call(f, ENGINE_SUBMIT));
    start(f, 1, CONTACT_STRICT); /* told again */
    assert_null(find_call(f, ENGINE_SUBMIT));
    assert_int_equal(f->journal.row_count, 1);
}

static void orders_of_an_older_epoch_or_another_journal_are_not_taken(void **state)
{
    struct fixture *f = *state;
    struct sync_reply reply = reply_make(f);
    reply.db_epoch = 2;
    answer(f, &reply);
    assert_int_equal(f->journal.meta.epoch_seen, 2);
    struct sync_command value = start_make(f, token_of(1, 1), 1, CONTACT_STRICT);
    tick(f, 1000);
    reply = reply_make(f);
    reply.db_epoch = 2;
    reply.commands = &value;
    reply.command_count = 1;
    answer(f, &reply);
    assert_int_equal(f->journal.row_count, 0);
    value = start_make(f, token_of(2, 1), 1, CONTACT_STRICT);
    value.journal = OTHER_JOURNAL;
    tick(f, 1000);
    reply.request_seq = f->request_seq;
    answer(f, &reply);
    assert_int_equal(f->journal.row_count, 0);
}

static void answers_to_other_requests_and_of_older_servers_are_dropped(void **state)
{
    struct fixture *f = *state;
    const struct sync_command value = start_make(f, token_of(1, 1), 1, CONTACT_STRICT);
    struct sync_reply reply = reply_make(f);
    reply.commands = &value;
    reply.command_count = 1;
    reply.request_seq--;
    answer(f, &reply);
    assert_int_equal(f->journal.row_count, 0);
    reply = reply_make(f);
    reply.db_epoch = 5;
    answer(f, &reply);
    tick(f, 1000);
    reply = reply_make(f);
    reply.db_epoch = 4;
    answer(f, &reply);
    assert_non_null(find(f, AGENT_STALE_SERVER, 0));
}

static void what_does_not_fit_is_refused_for_good(void **state)
{
    struct fixture *f = *state;
    const struct agent_event drain = {.kind = AGENT_DRAIN, .drain = {true}};
    step(f, &drain);
    start(f, 1, CONTACT_STRICT);
    assert_int_equal(f->journal.rows[0].phase, PHASE_NEVER);
    assert_int_equal(f->journal.rows[0].claim, CLAIM_TOMBSTONE);
    assert_int_equal(f->journal.rows[0].outcome, OUTCOME_REFUSED);
    assert_null(find_call(f, ENGINE_SUBMIT));
}

static void an_unsure_submit_is_looked_up_before_it_is_repeated(void **state)
{
    struct fixture *f = *state;
    start(f, 1, CONTACT_STRICT);
    engine(f, ENGINE_SUBMIT, ENGINE_UNSURE);
    tick(f, 1000);
    assert_non_null(find_call(f, ENGINE_INSPECT));
    assert_null(find_call(f, ENGINE_SUBMIT));
    engine(f, ENGINE_INSPECT, ENGINE_ABSENT);
    tick(f, 1000);
    assert_non_null(find_call(f, ENGINE_SUBMIT));
}

static void after_a_restart_an_intent_is_looked_up_first(void **state)
{
    struct fixture *f = *state;
    start(f, 1, CONTACT_STRICT);
    restart(f);
    assert_null(find_call(f, ENGINE_SUBMIT));
    engine(f, ENGINE_INSPECT, ENGINE_PRESENT);
    tick(f, 1000);
    assert_null(find_call(f, ENGINE_SUBMIT));
}

static void the_gate_opens_for_all_ranks_of_one_launch_together(void **state)
{
    struct fixture *f = *state;
    start(f, 2, CONTACT_STRICT);
    gate(f, GATE_ASK, 0, 77, OUTCOME_NONE);
    assert_non_null(find_gate(f, GATE_WAIT, 0));
    gate(f, GATE_ASK, 1, 78, OUTCOME_NONE); /* of another launch */
    assert_non_null(find_gate(f, GATE_WAIT, 1));
    gate(f, GATE_ASK, 1, 77, OUTCOME_NONE);
    assert_int_equal(f->effects.change.count, 1);
    assert_int_equal(f->effects.change.ops[0].attempt.claim, CLAIM_TAKEN);
    assert_int_equal(f->effects.change.ops[0].attempt.holder, 77);
    assert_non_null(find_gate(f, GATE_GO, 0));
    assert_non_null(find_gate(f, GATE_GO, 1));
    gate(f, GATE_ASK, 0, 78, OUTCOME_NONE);
    assert_non_null(find_gate(f, GATE_REFUSE, 0));
    gate(f, GATE_ASK, 0, 77, OUTCOME_NONE); /* GO was lost */
    assert_non_null(find_gate(f, GATE_GO, 0));
    restart(f);
    gate(f, GATE_ASK, 1, 78, OUTCOME_NONE);
    assert_non_null(find_gate(f, GATE_REFUSE, 1));
    gate(f, GATE_ASK, 1, 77, OUTCOME_NONE);
    assert_non_null(find_gate(f, GATE_GO, 1));
}

static void a_launch_that_gave_up_is_not_let_in(void **state)
{
    struct fixture *f = *state;
    start(f, 2, CONTACT_STRICT);
    gate(f, GATE_ASK, 0, 77, OUTCOME_NONE);
    gate(f, GATE_EXIT, 0, 77, OUTCOME_GATE_TIMEOUT);
    gate(f, GATE_ASK, 1, 77, OUTCOME_NONE);
    assert_null(find_gate(f, GATE_GO, 1));
    assert_int_equal(f->journal.rows[0].claim, CLAIM_FREE);
}

static void a_wrong_secret_is_not_heard(void **state)
{
    struct fixture *f = *state;
    start(f, 1, CONTACT_STRICT);
    const struct agent_event event = {.kind = AGENT_GATE,
                                      .gate = {{.kind = GATE_ASK,
                                                .token = token_of(1, 1),
                                                .incarnation = 77,
                                                .seq = 1,
                                                .secret = {"secreT", SECRET_LEN}}}};
    step(f, &event);
    assert_null(find(f, AGENT_SEND_GATE, 0));
    assert_int_equal(f->journal.rows[0].claim, CLAIM_FREE);
}

static void a_gate_that_fills_too_slowly_is_closed(void **state)
{
    struct fixture *f = *state;
    start(f, 2, CONTACT_STRICT);
    engine(f, ENGINE_SUBMIT, ENGINE_ACCEPTED);
    gate(f, GATE_ASK, 0, 77, OUTCOME_NONE);
    tick(f, 11000);
    assert_int_equal(f->journal.rows[0].phase, PHASE_NEVER);
    assert_int_equal(f->journal.rows[0].claim, CLAIM_TOMBSTONE);
    assert_int_equal(f->journal.rows[0].outcome, OUTCOME_GATE_TIMEOUT);
    assert_non_null(find_call(f, ENGINE_KILL));
}

static void a_revoked_free_gate_is_closed_before_never_is_told(void **state)
{
    struct fixture *f = *state;
    start(f, 1, CONTACT_STRICT);
    engine(f, ENGINE_SUBMIT, ENGINE_ACCEPTED);
    revoke(f, f->journal.meta.id, 0);
    assert_int_equal(f->journal.rows[0].claim, CLAIM_TOMBSTONE);
    assert_int_equal(f->journal.rows[0].phase, PHASE_NEVER);
    assert_non_null(find_call(f, ENGINE_KILL));
    gate(f, GATE_ASK, 0, 77, OUTCOME_NONE);
    assert_non_null(find_gate(f, GATE_REFUSE, 0));
}

static void an_unknown_attempt_of_this_journal_is_never_of_another_ended(void **state)
{
    struct fixture *f = *state;
    revoke(f, f->journal.meta.id, 0);
    assert_int_equal(f->journal.rows[0].phase, PHASE_NEVER);
    const struct sync_command value = {.kind = SYNC_REVOKE,
                                       .token = token_of(1, 2),
                                       .journal = OTHER_JOURNAL,
                                       .reason = REVOKE_SUPERSEDED};
    command(f, &value);
    assert_int_equal(f->journal.rows[1].phase, PHASE_TAKEN);
    assert_int_equal(f->journal.rows[1].outcome, OUTCOME_JOURNAL_LOST);
    assert_non_null(find_call(f, ENGINE_KILL));
}

static void a_revoked_program_is_asked_first_then_the_engine_kills(void **state)
{
    struct fixture *f = *state;
    run_gang(f, CONTACT_STRICT);
    revoke(f, f->journal.meta.id, 3000);
    assert_int_equal(find_gate(f, GATE_KILL, 0)->grace.ms, 3000);
    assert_non_null(find_gate(f, GATE_KILL, 1));
    tick(f, 2000);
    assert_null(find_call(f, ENGINE_KILL));
    gate(f, GATE_RENEW, 0, 77, OUTCOME_NONE);
    assert_int_equal(find_gate(f, GATE_KILL, 0)->grace.ms, 1000);
    tick(f, 2500);
    if (find_call(f, ENGINE_KILL) == NULL) { /* a look was under way */
        engine(f, ENGINE_INSPECT, ENGINE_PRESENT);
        tick(f, 1500);
    }
    assert_non_null(find_call(f, ENGINE_KILL));
    engine(f, ENGINE_KILL, ENGINE_ABSENT);
    assert_int_equal(f->journal.rows[0].phase, PHASE_ENDED);
    assert_int_equal(f->journal.rows[0].outcome, OUTCOME_REVOKED);
}

static void the_end_needs_every_rank_and_carries_the_last_record(void **state)
{
    struct fixture *f = *state;
    run_gang(f, CONTACT_STRICT);
    gate(f, GATE_EXIT, 0, 77, OUTCOME_SUCCEEDED);
    assert_non_null(find_gate(f, GATE_CLOSE, 0));
    assert_int_equal(f->journal.rows[0].phase, PHASE_TAKEN);
    restart(f); /* the end of a rank is durable */
    gate(f, GATE_EXIT, 1, 77, OUTCOME_SUCCEEDED);
    assert_int_equal(f->journal.rows[0].phase, PHASE_ENDED);
    assert_int_equal(f->journal.rows[0].outcome, OUTCOME_SUCCEEDED);
    assert_int_equal(f->journal.usage_count, 1);
    assert_true(f->journal.usage[0].is_last);
    assert_int_equal(f->journal.usage[0].total.wall_ms, 1500);
    assert_int_equal(f->journal.usage[0].total.cpu_held_ms, 1500 * 2 * 2);
    assert_int_equal(f->journal.meta.usage_seq, 1);
    assert_non_null(find(f, AGENT_ATTEMPT_ENDED, 0));
}

static void a_failed_rank_takes_the_others_with_it(void **state)
{
    struct fixture *f = *state;
    run_gang(f, CONTACT_STRICT);
    gate(f, GATE_EXIT, 1, 77, OUTCOME_OUT_OF_MEMORY);
    assert_int_equal(find_gate(f, GATE_KILL, 0)->grace.ms, 0);
    gate(f, GATE_EXIT, 0, 77, OUTCOME_REVOKED);
    assert_int_equal(f->journal.rows[0].outcome, OUTCOME_OUT_OF_MEMORY);
}

static void an_absent_engine_entry_is_not_believed_while_supervisors_speak(void **state)
{
    struct fixture *f = *state;
    run_gang(f, CONTACT_STRICT);
    tick(f, 2500);
    assert_non_null(find_call(f, ENGINE_INSPECT));
    gate(f, GATE_RENEW, 0, 77, OUTCOME_NONE);
    engine(f, ENGINE_INSPECT, ENGINE_ABSENT);
    assert_int_equal(f->journal.rows[0].phase, PHASE_TAKEN);
    tick(f, 4000);
    assert_non_null(find_call(f, ENGINE_INSPECT));
    f->ms += 10;
    engine(f, ENGINE_INSPECT, ENGINE_ABSENT);
    assert_int_equal(f->journal.rows[0].phase, PHASE_ENDED);
    assert_int_equal(f->journal.rows[0].outcome, OUTCOME_NODE_LOST);
}

static void a_lease_runs_from_the_request_and_not_at_all_after_a_restart(void **state)
{
    struct fixture *f = *state;
    tick(f, 100);
    int64_t sent_ms = f->ms;
    const struct sync_command value = start_make(f, token_of(1, 1), 1, CONTACT_LEASE);
    struct sync_reply reply = reply_make(f);
    reply.commands = &value;
    reply.command_count = 1;
    f->ms += 3000; /* held, or slow */
    answer(f, &reply);
    gate(f, GATE_ASK, 0, 77, OUTCOME_NONE);
    const struct gate_message *go = find_gate(f, GATE_GO, 0);
    assert_non_null(go);
    assert_true(go->has_lease && go->lease.ms <= sent_ms + 10000 - f->ms && go->lease.ms > 0);
    restart(f);
    gate(f, GATE_RENEW, 0, 77, OUTCOME_NONE);
    assert_true(find_gate(f, GATE_LEASE, 0)->lease.ms < 0);
    const struct sync_renewal renewal = {token_of(1, 1), {10000}};
    reply = reply_make(f);
    reply.renewals = &renewal;
    reply.renewal_count = 1;
    answer(f, &reply);
    gate(f, GATE_RENEW, 0, 77, OUTCOME_NONE);
    assert_true(find_gate(f, GATE_LEASE, 0)->lease.ms > 9000);
}

static void a_restored_server_is_given_the_same_records_again(void **state)
{
    struct fixture *f = *state;
    run_gang(f, CONTACT_STRICT);
    gate(f, GATE_EXIT, 0, 77, OUTCOME_SUCCEEDED);
    gate(f, GATE_EXIT, 1, 77, OUTCOME_SUCCEEDED);
    tick(f, 1000);
    assert_int_equal(f->request.usage_count, 1);
    const struct attempt_token acked = token_of(1, 1);
    struct sync_reply reply = reply_make(f);
    reply.usage_acked = 1;
    reply.acked = &acked;
    reply.acked_count = 1;
    answer(f, &reply);
    assert_int_equal(f->journal.meta.usage_acked, 1);
    tick(f, 1000);
    assert_int_equal(f->request.usage_count, 0);
    assert_int_equal(f->request.attempt_count, 0);
    reply = reply_make(f);
    reply.usage_acked = 0;
    reply.want_inventory = true;
    answer(f, &reply);
    tick(f, 1000);
    const struct agent_output *read = find(f, AGENT_READ_USAGE, 0);
    assert_true(f->request.is_inventory && f->request.attempt_count == 1);
    if (read != NULL)
        assert_int_equal(read->after, 0);
    const struct agent_event event = {.kind = AGENT_USAGE,
                                      .usage = {.records = f->journal.usage, .count = 1}};
    step(f, &event);
    tick(f, 1000);
    assert_int_equal(f->request.usage_count, 1);
    assert_int_equal(f->request.usage[0].seq, 1);
}

static void a_silent_server_is_asked_less_and_less_often(void **state)
{
    struct fixture *f = *state;
    int sent = 0;
    for (int i = 0; i < 600; i++) {
        const struct agent_event failed = {.kind = AGENT_SYNC_FAILED,
                                           .sync_failed = {f->request_seq}};
        f->has_request = false;
        step(f, &failed);
        tick(f, 100);
        sent += f->has_request;
    }
    assert_true(sent > 50 && sent < 150); /* in 60 s, at least every second, jittered */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_empty_journal_gets_a_name_before_anything_is_sent),
        TEST(no_inventory_leaves_before_the_engine_was_listed),
        TEST(what_the_engine_runs_unknown_to_the_journal_is_ended),
        TEST(the_intent_is_in_the_same_change_that_lets_the_submit_out),
        TEST(orders_of_an_older_epoch_or_another_journal_are_not_taken),
        TEST(answers_to_other_requests_and_of_older_servers_are_dropped),
        TEST(what_does_not_fit_is_refused_for_good),
        TEST(an_unsure_submit_is_looked_up_before_it_is_repeated),
        TEST(after_a_restart_an_intent_is_looked_up_first),
        TEST(the_gate_opens_for_all_ranks_of_one_launch_together),
        TEST(a_launch_that_gave_up_is_not_let_in),
        TEST(a_wrong_secret_is_not_heard),
        TEST(a_gate_that_fills_too_slowly_is_closed),
        TEST(a_revoked_free_gate_is_closed_before_never_is_told),
        TEST(an_unknown_attempt_of_this_journal_is_never_of_another_ended),
        TEST(a_revoked_program_is_asked_first_then_the_engine_kills),
        TEST(the_end_needs_every_rank_and_carries_the_last_record),
        TEST(a_failed_rank_takes_the_others_with_it),
        TEST(an_absent_engine_entry_is_not_believed_while_supervisors_speak),
        TEST(a_lease_runs_from_the_request_and_not_at_all_after_a_restart),
        TEST(a_restored_server_is_given_the_same_records_again),
        TEST(a_silent_server_is_asked_less_and_less_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
