/* The agent's machine, event by event: what it writes, what it lets out, and in which step. */
#include "fixture.h"

static const struct journal_id OTHER_JOURNAL = {{{6, 6, 6}}};

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

static void news_are_told_until_they_are_answered_and_a_challenge_is_no_answer(void **state)
{
    struct fixture *f = *state;
    const struct reclaim reclaim = {.name = SLICE_LITERAL("slurm-7-100"), .wait = {4000}};
    struct agent_event event = {.kind = AGENT_RECLAIMS, .reclaims = {&reclaim, 1}};
    step(f, &event);
    event = (struct agent_event){.kind = AGENT_COPIED, .copied = {token_of(1, 1)}};
    step(f, &event);
    tick(f, 1000);
    assert_int_equal(f->request.reclaim_count, 1);
    assert_true(slice_is(f->request.reclaims[0].name, "slurm-7-100"));
    assert_int_equal(f->request.copied_count, 1);
    struct sync_reply reply = reply_make(f);
    reply.want_inventory = true;
    answer(f, &reply);
    tick(f, 1000);
    assert_int_equal(f->request.reclaim_count, 1);
    reply = reply_make(f);
    answer(f, &reply);
    tick(f, 2000);
    assert_int_equal(f->request.reclaim_count, 0);
    assert_int_equal(f->request.copied_count, 0);
}

static void a_node_is_tried_once_and_told_of_until_it_is_no_longer_asked(void **state)
{
    struct fixture *f = *state;
    const struct sync_probe asked[] = {{5, 0}, {6, UINT16_MAX}};
    struct sync_reply reply = reply_make(f);
    reply.probes = asked;
    reply.probe_count = 2; /* the second is of a node that there is not */
    answer(f, &reply);
    assert_int_equal(find(f, AGENT_PROBE, 0)->probe.number, 5);
    assert_null(find(f, AGENT_PROBE, 1));
    tick(f, 2000);
    assert_int_equal(f->request.probed_count, 0);
    reply = reply_make(f);
    reply.probes = asked;
    reply.probe_count = 1;
    answer(f, &reply);
    assert_null(find(f, AGENT_PROBE, 0));
    const struct agent_event event = {.kind = AGENT_PROBED,
                                      .probed = {.number = 5, .why = SLICE_LITERAL("no sandbox")}};
    step(f, &event);
    tick(f, 2000);
    assert_int_equal(f->request.probed_count, 1);
    assert_true(slice_is(f->request.probed[0].why, "no sandbox"));
    reply = reply_make(f);
    answer(f, &reply);
    tick(f, 2000);
    assert_int_equal(f->request.probed_count, 0);
}

static void a_reclaim_that_goes_on_is_told_as_it_stands(void **state)
{
    struct fixture *f = *state;
    struct reclaim reclaim = {.name = SLICE_LITERAL("a"), .held = {31000}, .is_open = true};
    const struct agent_event event = {.kind = AGENT_RECLAIMS, .reclaims = {&reclaim, 1}};
    step(f, &event);
    tick(f, 1000); /* told as open */
    reclaim.held = SPAN_MS(40000);
    reclaim.is_open = false;
    step(f, &event);
    struct sync_reply reply = reply_make(f);
    answer(f, &reply); /* to the request that said open */
    tick(f, 2000);
    assert_int_equal(f->request.reclaim_count, 1);
    assert_int_equal(f->request.reclaims[0].held.ms, 40000);
    assert_false(f->request.reclaims[0].is_open);
}

static void what_yields_to_the_owner_ends_as_preempted(void **state)
{
    struct fixture *f = *state;
    run_gang(f, CONTACT_STRICT);
    const struct agent_event event = {.kind = AGENT_YIELD,
                                      .yield = {token_of(1, 1), SPAN_MS(5000)}};
    step(f, &event);
    assert_non_null(find_gate(f, GATE_KILL, 0));
    assert_non_null(find_gate(f, GATE_KILL, 1));
    step(f, &event); /* the owner still waits: nothing is killed twice */
    assert_null(find_gate(f, GATE_KILL, 0));
    gate(f, GATE_EXIT, 0, 77, OUTCOME_PREEMPTED);
    gate(f, GATE_EXIT, 1, 77, OUTCOME_PREEMPTED);
    assert_int_equal(f->journal.rows[0].phase, PHASE_ENDED);
    assert_int_equal(f->journal.rows[0].outcome, OUTCOME_PREEMPTED);
    step(f, &event);
    assert_int_equal(f->journal.rows[0].phase, PHASE_ENDED);
}

static void work_leaves_the_nodes_that_the_owner_wants_and_no_others(void **state)
{
    struct fixture *f = *state;
    static const bool NEITHER[] = {false, false}, SECOND[] = {false, true};
    run_gang(f, CONTACT_STRICT); /* a rank on each */
    struct agent_event event = {.kind = AGENT_CLEAR, .clear = {NEITHER, 2, SPAN_MS(1000)}};
    step(f, &event);
    assert_null(find_gate(f, GATE_KILL, 0));
    event.clear.nodes = SECOND;
    step(f, &event);
    assert_non_null(find_gate(f, GATE_KILL, 0)); /* a gang goes whole */
    assert_non_null(find_gate(f, GATE_KILL, 1));
}

/* A gang of two ranks of one core each runs; the machine has eight. */
static void load(struct fixture *f, uint32_t cpu_milli_left)
{
    const struct sync_node nodes[] = {
        {.node = 0, .is_up = true, .cpu_milli_free = cpu_milli_left / 2, .mem_bytes_free = 1 << 30},
        {.node = 1, .is_up = true, .cpu_milli_free = cpu_milli_left / 2, .mem_bytes_free = 1 << 30},
    };
    const struct agent_event event = {.kind = AGENT_LOAD, .load = {nodes, 2}};
    step(f, &event);
}

static void a_hosts_owner_gets_the_machine_when_its_load_lasts(void **state)
{
    struct fixture *f = *state;
    run_gang(f, CONTACT_STRICT);
    load(f, 8000);
    load(f, 500);
    assert_null(find_gate(f, GATE_KILL, 0));
    f->ms += 1000;
    load(f, 8000); /* it was a moment */
    f->ms += 1000;
    load(f, 500);
    f->ms += 1400;
    load(f, 500);
    assert_null(find_gate(f, GATE_KILL, 0));
    f->ms += 100;
    load(f, 500);
    const struct gate_message *kill = find_gate(f, GATE_KILL, 0);
    assert_non_null(kill);
    assert_int_equal(kill->grace.ms, 5000);
    f->ms += 1000;
    gate(f, GATE_EXIT, 0, 77, OUTCOME_PREEMPTED);
    gate(f, GATE_EXIT, 1, 77, OUTCOME_PREEMPTED);
    assert_int_equal(f->journal.rows[0].outcome, OUTCOME_PREEMPTED);
    load(f, 500); /* nothing is held any more */
    tick(f, 1000);
    assert_int_equal(f->request.reclaim_count, 1);
    assert_int_equal(f->request.reclaims[0].held.ms, 2500);
    assert_int_equal(f->request.reclaims[0].promise.ms, 20000);
    assert_int_equal(f->request.reclaims[0].attempts, 1);
    assert_false(f->request.reclaims[0].is_open);
}

static void a_host_that_does_not_get_rid_of_work_says_so(void **state)
{
    struct fixture *f = *state;
    run_gang(f, CONTACT_STRICT);
    load(f, 500);
    f->ms += 1500;
    load(f, 500);
    f->ms += 18501;
    load(f, 500);
    tick(f, 1000);
    assert_int_equal(f->request.reclaim_count, 1);
    assert_true(f->request.reclaims[0].is_open && reclaim_is_breach(&f->request.reclaims[0]));
}

static void what_has_not_begun_yields_by_never(void **state)
{
    struct fixture *f = *state;
    start(f, 1, CONTACT_STRICT);
    const struct agent_event event = {.kind = AGENT_YIELD, .yield = {token_of(1, 1), SPAN_MS(0)}};
    step(f, &event);
    assert_int_equal(f->journal.rows[0].phase, PHASE_NEVER);
    assert_int_equal(f->journal.rows[0].claim, CLAIM_TOMBSTONE);
    assert_int_equal(f->journal.rows[0].outcome, OUTCOME_PREEMPTED);
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
        TEST(news_are_told_until_they_are_answered_and_a_challenge_is_no_answer),
        TEST(a_node_is_tried_once_and_told_of_until_it_is_no_longer_asked),
        TEST(a_reclaim_that_goes_on_is_told_as_it_stands),
        TEST(what_yields_to_the_owner_ends_as_preempted),
        TEST(what_has_not_begun_yields_by_never),
        TEST(a_hosts_owner_gets_the_machine_when_its_load_lasts),
        TEST(a_host_that_does_not_get_rid_of_work_says_so),
        TEST(work_leaves_the_nodes_that_the_owner_wants_and_no_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
