/* The supervisor's machine: executes once and only after GO, and is gone before its lease is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/supervisor.h"

static const struct attempt_token TOKEN = {1, {{{5}}}, 2};

struct fixture {
    struct supervisor machine;
    struct supervisor_effects effects;
    int64_t ms; /* the node's clock */
};

static struct now now_of(const struct fixture *f)
{
    return (struct now){.boot = {f->ms * 1000000}};
}

static void begin(struct fixture *f, enum contact_policy policy, int64_t time_limit_ms)
{
    const struct supervisor_settings settings = {.token = TOKEN,
                                                 .rank = 1,
                                                 .incarnation = 42,
                                                 .contact = {policy, {10000}},
                                                 .ask_every = {500},
                                                 .renew_every = {1000},
                                                 .report_every = {500},
                                                 .gate_limit = {5000},
                                                 .time_limit = {time_limit_ms},
                                                 .stop_grace = {2000},
                                                 .kill_time = {1000},
                                                 .report_limit = {60000}};
    f->ms = 1000;
    supervisor_init(&f->machine, &PROTOCOL_RULES_ALL, &settings, now_of(f));
    const struct supervisor_event event = {.kind = SUPERVISOR_BEGIN};
    supervisor_step(&f->machine, &event, now_of(f), &f->effects);
}

static void step(struct fixture *f, enum supervisor_event_kind kind, int exit_code)
{
    const struct supervisor_event event = {.kind = kind, .exit_code = exit_code};
    supervisor_step(&f->machine, &event, now_of(f), &f->effects);
}

static void hear(struct fixture *f, enum gate_kind kind, uint64_t seq, int64_t lease_ms,
                 int64_t grace_ms)
{
    const struct gate_message message = {.kind = kind,
                                         .token = TOKEN,
                                         .rank = 1,
                                         .incarnation = 42,
                                         .seq = seq,
                                         .lease = {lease_ms},
                                         .has_lease = lease_ms != 0,
                                         .grace = {grace_ms}};
    const struct supervisor_event event = {.kind = SUPERVISOR_MESSAGE, .message = &message};
    supervisor_step(&f->machine, &event, now_of(f), &f->effects);
}

static const struct supervisor_action *find(const struct fixture *f,
                                            enum supervisor_action_kind kind)
{
    for (uint32_t i = 0; i < f->effects.count; i++)
        if (f->effects.actions[i].kind == kind)
            return &f->effects.actions[i];
    return NULL;
}

static void it_executes_once_and_only_after_go(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTACT_STRICT, 0);
    assert_int_equal(find(&f, SUPERVISE_SEND)->message.kind, GATE_ASK);
    hear(&f, GATE_WAIT, 1, 0, 0);
    assert_null(find(&f, SUPERVISE_EXEC));
    hear(&f, GATE_GO, 1, 0, 0);
    assert_non_null(find(&f, SUPERVISE_EXEC));
    hear(&f, GATE_GO, 1, 0, 0);
    assert_null(find(&f, SUPERVISE_EXEC));
    step(&f, SUPERVISOR_CHILD_GONE, 0);
    hear(&f, GATE_GO, 1, 0, 0);
    assert_null(find(&f, SUPERVISE_EXEC));
}

static void go_for_another_incarnation_is_not_heard(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTACT_STRICT, 0);
    const struct gate_message message = {
        .kind = GATE_GO, .token = TOKEN, .rank = 1, .incarnation = 43, .seq = 1};
    const struct supervisor_event event = {.kind = SUPERVISOR_MESSAGE, .message = &message};
    supervisor_step(&f.machine, &event, now_of(&f), &f.effects);
    assert_int_equal(f.machine.state, SUPERVISOR_ASKING);
}

static void refused_it_ends_without_executing(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTACT_STRICT, 0);
    hear(&f, GATE_REFUSE, 1, 0, 0);
    assert_non_null(find(&f, SUPERVISE_QUIT));
    hear(&f, GATE_GO, 1, 0, 0);
    assert_null(find(&f, SUPERVISE_EXEC));
}

static void without_an_answer_the_gate_wait_ends_by_itself(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTACT_STRICT, 0);
    f.ms += 5000;
    step(&f, SUPERVISOR_TICK, 0);
    assert_int_equal(find(&f, SUPERVISE_SEND)->message.kind, GATE_EXIT);
    assert_int_equal(find(&f, SUPERVISE_SEND)->message.outcome, OUTCOME_GATE_TIMEOUT);
    assert_int_equal(find(&f, SUPERVISE_SEND)->message.ran.ms, 0);
    hear(&f, GATE_GO, 1, 0, 0);
    assert_null(find(&f, SUPERVISE_EXEC));
}

static void a_lease_counts_from_the_request_not_from_the_answer(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTACT_LEASE, 0); /* asked at 1000 */
    f.ms = 4000;
    hear(&f, GATE_GO, 1, 8000, 0);
    assert_int_equal(f.machine.deadline.ns, INT64_C(9000) * 1000000);
}

static void a_lease_too_short_to_kill_in_is_not_taken(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTACT_LEASE, 0);
    f.ms = 1500;
    hear(&f, GATE_GO, 1, 1400, 0);
    assert_null(find(&f, SUPERVISE_EXEC));
    hear(&f, GATE_GO, 1, -1, 0);
    assert_null(find(&f, SUPERVISE_EXEC));
    hear(&f, GATE_GO, 9, 8000, 0); /* answers nothing that was asked */
    assert_null(find(&f, SUPERVISE_EXEC));
}

static void without_renewal_the_kill_is_over_before_the_lease(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTACT_LEASE, 0);
    hear(&f, GATE_GO, 1, 10000, 0); /* until 11000 */
    f.ms = 7999;
    step(&f, SUPERVISOR_TICK, 0);
    assert_null(find(&f, SUPERVISE_SIGNAL));
    f.ms = 8000; /* grace 2000, kill 1000 */
    step(&f, SUPERVISOR_TICK, 0);
    assert_int_equal(find(&f, SUPERVISE_SIGNAL)->signal, 15);
    f.ms = 9999;
    step(&f, SUPERVISOR_TICK, 0);
    assert_null(find(&f, SUPERVISE_KILL_TREE));
    f.ms = 10000;
    step(&f, SUPERVISOR_TICK, 0);
    assert_non_null(find(&f, SUPERVISE_KILL_TREE));
    step(&f, SUPERVISOR_CHILD_GONE, 137);
    assert_int_equal(find(&f, SUPERVISE_SEND)->message.outcome, OUTCOME_LEASE_LOST);
    assert_int_equal(find(&f, SUPERVISE_SEND)->message.kill_wait.ms, 2000);
}

static void a_renewal_moves_the_deadline_and_never_back(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTACT_LEASE, 0);
    hear(&f, GATE_GO, 1, 10000, 0);
    f.ms = 3000;
    step(&f, SUPERVISOR_TICK, 0);
    uint64_t seq = find(&f, SUPERVISE_SEND)->message.seq;
    f.ms = 4000;
    hear(&f, GATE_LEASE, seq, 10000, 0);
    assert_int_equal(f.machine.deadline.ns, INT64_C(13000) * 1000000);
    hear(&f, GATE_LEASE, seq, 5000, 0);
    hear(&f, GATE_LEASE, seq, -1, 0);
    assert_int_equal(f.machine.deadline.ns, INT64_C(13000) * 1000000);
}

static void under_strict_silence_ends_nothing(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTACT_STRICT, 0);
    hear(&f, GATE_GO, 1, 0, 0);
    for (int i = 0; i < 1000; i++) {
        f.ms += 3600000;
        step(&f, SUPERVISOR_TICK, 0);
        assert_null(find(&f, SUPERVISE_SIGNAL));
        assert_null(find(&f, SUPERVISE_KILL_TREE));
    }
    assert_int_equal(f.machine.state, SUPERVISOR_RUNNING);
}

static void a_kill_order_signals_waits_and_kills(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTACT_STRICT, 0);
    hear(&f, GATE_GO, 1, 0, 0);
    hear(&f, GATE_KILL, 0, 0, 3000);
    assert_non_null(find(&f, SUPERVISE_SIGNAL));
    assert_null(find(&f, SUPERVISE_KILL_TREE));
    hear(&f, GATE_KILL, 0, 0, 0); /* sooner */
    assert_non_null(find(&f, SUPERVISE_KILL_TREE));
    f.ms += 1000;
    step(&f, SUPERVISOR_TICK, 0); /* repeated until all are gone */
    assert_non_null(find(&f, SUPERVISE_KILL_TREE));
    step(&f, SUPERVISOR_CHILD_GONE, 0);
    assert_int_equal(find(&f, SUPERVISE_WRITE_END)->message.outcome, OUTCOME_REVOKED);
}

static void a_kill_before_go_is_confirmed_as_never_run(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTACT_STRICT, 0);
    hear(&f, GATE_KILL, 0, 0, 0);
    assert_int_equal(find(&f, SUPERVISE_SEND)->message.kind, GATE_EXIT);
    assert_int_equal(find(&f, SUPERVISE_SEND)->message.ran.ms, 0);
    assert_null(find(&f, SUPERVISE_EXEC));
}

static void the_time_limit_stops_the_program(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTACT_STRICT, 4000);
    hear(&f, GATE_GO, 1, 0, 0);
    f.ms += 4000;
    step(&f, SUPERVISOR_TICK, 0);
    assert_non_null(find(&f, SUPERVISE_SIGNAL));
    step(&f, SUPERVISOR_CHILD_GONE, 0);
    assert_int_equal(find(&f, SUPERVISE_SEND)->message.outcome, OUTCOME_TIME_LIMIT);
}

static void the_end_is_told_until_it_is_closed(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, CONTACT_STRICT, 0);
    hear(&f, GATE_GO, 1, 0, 0);
    f.ms += 700;
    step(&f, SUPERVISOR_CHILD_GONE, 3);
    assert_int_equal(find(&f, SUPERVISE_WRITE_END)->message.exit_code, 3);
    for (int i = 0; i < 10; i++) {
        f.ms += 500;
        step(&f, SUPERVISOR_TICK, 0);
        assert_int_equal(find(&f, SUPERVISE_SEND)->message.kind, GATE_EXIT);
        assert_int_equal(find(&f, SUPERVISE_SEND)->message.ran.ms, 700);
        assert_int_equal(find(&f, SUPERVISE_SEND)->message.outcome, OUTCOME_PROGRAM_ERROR);
    }
    hear(&f, GATE_CLOSE, 0, 0, 0);
    assert_non_null(find(&f, SUPERVISE_QUIT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_executes_once_and_only_after_go),
        cmocka_unit_test(go_for_another_incarnation_is_not_heard),
        cmocka_unit_test(refused_it_ends_without_executing),
        cmocka_unit_test(without_an_answer_the_gate_wait_ends_by_itself),
        cmocka_unit_test(a_lease_counts_from_the_request_not_from_the_answer),
        cmocka_unit_test(a_lease_too_short_to_kill_in_is_not_taken),
        cmocka_unit_test(without_renewal_the_kill_is_over_before_the_lease),
        cmocka_unit_test(a_renewal_moves_the_deadline_and_never_back),
        cmocka_unit_test(under_strict_silence_ends_nothing),
        cmocka_unit_test(a_kill_order_signals_waits_and_kills),
        cmocka_unit_test(a_kill_before_go_is_confirmed_as_never_run),
        cmocka_unit_test(the_time_limit_stops_the_program),
        cmocka_unit_test(the_end_is_told_until_it_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
