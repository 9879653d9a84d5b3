/* From the offer to the end of an attempt, a sentence each. */
#include <string.h>

#include "wire/spec.h"
#include "world.h"

static void an_offer_is_told_until_the_site_speaks_of_it(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = start(&w, &spec, &job, &token);
    assert_ptr_equal(site, &w.sites[0]); /* the cheapest */
    assert_true(site->has_reply);        /* the held poll was answered by the offer */
    const struct sync_command *command = site_told(site, SYNC_START, &token);
    assert_non_null(command);
    struct attempt_order order;
    struct fault fault = {0};
    assert_int_equal(attempt_order_decode(command->order, &w.arena, &order, &fault), ERR_OK);
    assert_int_equal(order.nodes, 1);
    assert_int_equal(order.secret.len, 43);
    char secret[ATTEMPT_SECRET_MAX];
    server_core_attempt_secret(w.core, &token, secret);
    assert_true(slice_is(order.secret, secret));
    sync_now(&w, site); /* the reply was lost */
    assert_non_null(site_told(site, SYNC_START, &token));
    site_says(site, &token, PHASE_INTENT, OUTCOME_NONE);
    sync_now(&w, site);
    assert_false(site->has_reply); /* nothing to tell: the poll is held */
    world_wait(&w, SPAN_S(11));
    assert_true(site->has_reply);
    assert_null(site_told(site, SYNC_START, &token));
    world_deinit(&w);
}

static void the_time_limit_of_the_tenant_is_in_the_order(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    struct attempt_order order;
    struct job_spec ordered;
    struct fault fault = {0};
    (void)state;
    spec.time_limit = SPAN_MS(0);
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = start(&w, &spec, &job, &token);
    const struct sync_command *command = site_told(site, SYNC_START, &token);
    assert_int_equal(attempt_order_decode(command->order, &w.arena, &order, &fault), ERR_OK);
    assert_int_equal(spec_parse(order.spec, &w.arena, &ordered, &fault), ERR_OK);
    assert_int_equal(ordered.time_limit.ms, 7200 * 1000);
    world_deinit(&w);
}

static void an_attempt_that_succeeds_ends_its_job(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    site_says(site, &token, PHASE_ENDED, OUTCOME_SUCCEEDED);
    sync_now(&w, site);
    assert_true(site_acked(site, &token));
    assert_int_equal(store_job(&w, job)->state, JOB_SUCCEEDED);
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_ENDED);
    assert_int_equal(store_attempt(&w, job, 1)->ran.ms, 5000);
    assert_null(server_core_job(w.core, job));
    sync_now(&w, site); /* the acknowledgement was lost */
    assert_true(site_acked(site, &token));
    assert_int_equal(server_core_counts(w.core).jobs_active, 0);
    world_deinit(&w);
}

static void a_program_error_spends_the_jobs_retries(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    spec.retries_max = 1;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    site_says(site, &token, PHASE_ENDED, OUTCOME_PROGRAM_ERROR);
    sync_now(&w, site);
    assert_int_equal(store_job(&w, job)->state, JOB_PENDING);
    assert_int_equal(store_job(&w, job)->program_failures, 1);
    site_forgets(site);
    sites_speak(&w);
    world_place(&w);
    struct attempt_row *second = store_attempt(&w, job, 2);
    assert_int_equal(second->state, ATTEMPT_OFFERED);
    site = site_of(&w, second->site);
    site_says(site, &second->token, PHASE_ENDED, OUTCOME_PROGRAM_ERROR);
    sync_now(&w, site);
    assert_int_equal(store_job(&w, job)->state, JOB_FAILED);
    assert_int_equal(store_job(&w, job)->exit_code, 3);
    world_deinit(&w);
}

static void a_node_lost_sends_the_job_elsewhere(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    site_says(site, &token, PHASE_ENDED, OUTCOME_NODE_LOST);
    sync_now(&w, site);
    assert_int_equal(store_job(&w, job)->infra_failures, 1);
    assert_int_equal(store_job(&w, job)->program_failures, 0);
    world_place(&w);
    struct attempt_row *second = store_attempt(&w, job, 2);
    assert_non_null(second);
    assert_false(id_is_equal(second->site.id, site->id.id));
    world_deinit(&w);
}

/* Seed 2479 of the fault simulation: the only other site that could have taken the job was loaded
 * by others for good, and the job waited for ever. */
static void a_site_is_avoided_for_a_while_only(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 4000);
    (void)state;
    spec.array_count = 1;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    struct job_spec filler = job_of(2, 4000); /* the other two sites are full */
    (void)submit(&w, &filler);
    (void)submit(&w, &filler);
    world_place(&w);
    assert_int_equal(w.store.attempts.len, 3);
    site_says(site, &token, PHASE_ENDED, OUTCOME_NODE_LOST);
    sync_now(&w, site);
    site_forgets(site);
    world_place(&w);
    assert_null(store_attempt(&w, job, 2));
    for (int i = 0; i < 7; i++) {
        sites_speak(&w);
        world_wait(&w, SPAN_S(10));
    }
    assert_true(id_is_equal(store_attempt(&w, job, 2)->site.id, site->id.id));
    world_deinit(&w);
}

static void failures_of_sites_have_a_budget_of_their_own(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    const uint32_t REFUSALS = failure_rule(FAILURE_REFUSED)->budget;
    (void)state;
    world_init(&w);
    sites_join(&w);
    start(&w, &spec, &job, &token);
    for (uint32_t n = 1; n <= REFUSALS + 1; n++) {
        struct attempt_row *attempt = store_attempt(&w, job, n);
        assert_non_null(attempt);
        struct fake_site *site = site_of(&w, attempt->site);
        site_says(site, &attempt->token, PHASE_NEVER, OUTCOME_REFUSED);
        sync_now(&w, site);
        site_forgets(site);
        for (int s = 0; s < 40 && store_job(&w, job)->state == JOB_PENDING; s++) {
            world_wait(&w, SPAN_S(1)); /* it rests ever longer */
            sites_speak(&w);
            world_place(&w);
        }
    }
    assert_int_equal(store_job(&w, job)->state, JOB_FAILED);
    assert_int_equal(store_job(&w, job)->infra_failures, REFUSALS + 1);
    assert_int_equal(store_job(&w, job)->failures[FAILURE_REFUSED], REFUSALS + 1);
    world_deinit(&w);
}

/* The site says the end of the job's newest attempt; false: the job is over. */
static bool ends(struct world *w, struct job_id job, enum outcome outcome)
{
    struct attempt_row *attempt = store_attempt(w, job, store_job(w, job)->attempt);
    assert_non_null(attempt);
    struct fake_site *site = site_of(w, attempt->site);
    site_says(site, &attempt->token, PHASE_ENDED, outcome);
    sync_now(w, site);
    site_forgets(site);
    for (int s = 0; s < 70 && store_job(w, job)->state == JOB_PENDING; s++) {
        world_wait(w, SPAN_S(1));
        sites_speak(w);
        world_place(w);
    }
    return store_job(w, job)->state == JOB_ACTIVE;
}

static void out_of_memory_is_not_tried_again_unless_the_job_says_so(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    spec.retries_max = 5;
    world_init(&w);
    sites_join(&w);
    run(&w, &spec, &job, &token);
    assert_false(ends(&w, job, OUTCOME_OUT_OF_MEMORY));
    assert_int_equal(store_job(&w, job)->state, JOB_FAILED);
    spec.retry_named = UINT32_C(1) << FAILURE_OUT_OF_MEMORY;
    spec.retry_max[FAILURE_OUT_OF_MEMORY] = 1;
    run(&w, &spec, &job, &token);
    assert_true(ends(&w, job, OUTCOME_OUT_OF_MEMORY));
    assert_false(ends(&w, job, OUTCOME_OUT_OF_MEMORY));
    assert_int_equal(store_job(&w, job)->state, JOB_FAILED);
    world_deinit(&w);
}

static void each_class_has_its_own_budget(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    spec.retry_named = UINT32_C(1) << FAILURE_NODE_LOST | UINT32_C(1) << FAILURE_PREEMPTED;
    spec.retry_max[FAILURE_NODE_LOST] = 1;
    spec.retry_max[FAILURE_PREEMPTED] = 2;
    world_init(&w);
    sites_join(&w);
    run(&w, &spec, &job, &token);
    assert_true(ends(&w, job, OUTCOME_NODE_LOST));
    assert_true(ends(&w, job, OUTCOME_PREEMPTED));
    assert_true(ends(&w, job, OUTCOME_BAD_ENVIRONMENT));
    world_restart(&w, false); /* what is spent outlives the process */
    sites_join(&w);
    assert_true(ends(&w, job, OUTCOME_PREEMPTED));
    assert_false(ends(&w, job, OUTCOME_NODE_LOST));
    assert_int_equal(store_job(&w, job)->state, JOB_FAILED);
    assert_int_equal(store_job(&w, job)->failures[FAILURE_NODE_LOST], 2);
    assert_int_equal(store_job(&w, job)->failures[FAILURE_PREEMPTED], 2);
    assert_int_equal(store_job(&w, job)->infra_failures, 3);
    world_deinit(&w);
}

static void what_was_preempted_returns_elsewhere_first(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    assert_true(ends(&w, job, OUTCOME_PREEMPTED));
    assert_false(id_is_equal(store_attempt(&w, job, 2)->site.id, site->id.id));
    world_deinit(&w);
}

static void a_programs_error_keeps_nobody_away_from_its_site(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    struct buffer text;
    (void)state;
    spec.retries_max = 2;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    assert_true(ends(&w, job, OUTCOME_PROGRAM_ERROR));
    assert_true(id_is_equal(store_attempt(&w, job, 2)->site.id, site->id.id));
    buffer_init(&text, 1 << 20);
    assert_int_equal(server_core_explain(w.core, job, w.now, &text), ERR_OK);
    assert_non_null(strstr(buffer_text(&text),
                           "\"failure\":{\"class\":\"program_error\",\"blame\":\"program\","
                           "\"count\":1,\"budget\":2,\"site\":null,\"next\":\"the program "
                           "failed: it goes on as attempt 2\"}"));
    buffer_deinit(&text);
    world_deinit(&w);
}

static void a_higher_class_takes_the_place_of_the_work_that_loses_least(void **state)
{
    enum { NODES = 2 * SITES };
    struct world w;
    struct job_id held[NODES], head;
    struct attempt_token tokens[NODES];
    struct fake_site *sites[NODES];
    struct job_spec low = job_of(1, 4000), high = job_of(1, 4000);
    (void)state;
    low.priority = PRIORITY_SURPLUS;
    low.checkpoint = (struct job_checkpoint){.dir = SLICE_LITERAL("ck"), .grace = SPAN_S(20)};
    high.priority = PRIORITY_GUARANTEED;
    world_init(&w);
    sites_join(&w);
    for (int i = 0; i < NODES; i++) {
        sites[i] = run(&w, &low, &held[i], &tokens[i]);
        world_wait(&w, SPAN_S(10));
        sites_speak(&w);
    }
    head = submit(&w, &high);
    world_place(&w);
    int left = -1;
    for (int i = 0; i < NODES; i++) {
        if (store_attempt(&w, held[i], 1)->revoke == REVOKE_NONE)
            continue;
        assert_int_equal(left, -1); /* one is enough */
        left = i;
    }
    assert_true(left >= 0);
    sync_told(&w, sites[left]);
    const struct sync_command *command = site_told(sites[left], SYNC_REVOKE, &tokens[left]);
    assert_non_null(command);
    assert_int_equal(command->reason, REVOKE_PREEMPTED);
    assert_int_equal(command->grace.ms, 20000);
    world_restart(&w, false); /* nobody else is told to go after a restart */
    sites_join(&w);
    world_place(&w);
    for (int i = 0; i < NODES; i++)
        assert_true((store_attempt(&w, held[i], 1)->revoke != REVOKE_NONE) == (i == left));
    assert_int_equal(store_job(&w, head)->state, JOB_PENDING);
    site_says(sites[left], &tokens[left], PHASE_ENDED, OUTCOME_PREEMPTED);
    sync_now(&w, sites[left]);
    world_place(&w);
    assert_int_equal(store_job(&w, head)->state, JOB_ACTIVE);
    assert_true(id_is_equal(store_attempt(&w, head, 1)->site.id, sites[left]->id.id));
    assert_int_equal(store_job(&w, held[left])->state, JOB_PENDING);
    world_deinit(&w);
}

static void an_attempt_that_does_not_start_in_time_is_revoked(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = start(&w, &spec, &job, &token);
    site_says(site, &token, PHASE_INTENT, OUTCOME_NONE);
    for (int i = 0; i < 13; i++) {
        sites_speak(&w);
        world_wait(&w, SPAN_S(10));
    }
    assert_int_equal(store_attempt(&w, job, 1)->revoke, REVOKE_NOT_STARTED);
    assert_int_equal(store_job(&w, job)->state, JOB_ACTIVE); /* not before the site has answered */
    sync_told(&w, site);
    assert_non_null(site_told(site, SYNC_REVOKE, &token));
    site_says(site, &token, PHASE_NEVER, OUTCOME_REVOKED);
    sync_now(&w, site);
    assert_true(site_acked(site, &token));
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_NEVER);
    assert_int_equal(store_job(&w, job)->state, JOB_PENDING);
    assert_int_equal(store_job(&w, job)->infra_failures, 0);
    world_place(&w);
    assert_false(id_is_equal(store_attempt(&w, job, 2)->site.id, site->id.id));
    world_deinit(&w);
}

static void a_pending_job_is_cancelled_at_once(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    struct job_id job = submit(&w, &spec);
    assert_int_equal(cancel(&w, job), API_OK);
    assert_int_equal(store_job(&w, job)->state, JOB_CANCELLED);
    assert_int_equal(cancel(&w, job), API_MISSING);
    sites_join(&w);
    world_place(&w);
    assert_int_equal(w.store.attempts.len, 0);
    world_deinit(&w);
}

static void a_running_job_is_cancelled_when_its_site_confirms(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    spec.checkpoint = (struct job_checkpoint){.dir = SLICE_LITERAL("ck"), .grace = SPAN_S(20)};
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    assert_int_equal(cancel(&w, job), API_ACCEPTED);
    assert_true(store_job(&w, job)->cancel_requested);
    const struct sync_command *command = site_told(site, SYNC_REVOKE, &token);
    assert_non_null(command);
    assert_int_equal(command->reason, REVOKE_CANCELLED);
    assert_int_equal(command->grace.ms, 0);
    assert_int_equal(cancel(&w, job), API_ACCEPTED); /* again: the same */
    site_says(site, &token, PHASE_ENDED, OUTCOME_REVOKED);
    sync_now(&w, site);
    assert_int_equal(store_job(&w, job)->state, JOB_CANCELLED);
    assert_false(store_job(&w, job)->cancel_requested);
    world_deinit(&w);
}

static void a_program_that_succeeds_before_its_cancel_arrives_has_succeeded(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    assert_int_equal(cancel(&w, job), API_ACCEPTED);
    site_says(site, &token, PHASE_ENDED, OUTCOME_SUCCEEDED);
    sync_now(&w, site);
    assert_int_equal(store_job(&w, job)->state, JOB_SUCCEEDED);
    world_deinit(&w);
}

static void a_command_is_told_again_but_not_in_a_rush(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    uint32_t replies = 0;
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    assert_int_equal(cancel(&w, job), API_ACCEPTED);
    for (int ms = 0; ms < 10000; ms += 10) { /* the kill takes ten seconds */
        if (site->has_reply) {
            assert_non_null(site_told(site, SYNC_REVOKE, &token));
            replies++;
            sync_now(&w, site);
        }
        world_wait(&w, SPAN_MS(10));
    }
    assert_in_range(replies, 10, 25);
    world_deinit(&w);
}

static void never_is_refused_once_it_has_run(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    world_forget(&w);
    site_says(site, &token, PHASE_NEVER, OUTCOME_NONE);
    sync_now(&w, site);
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_RUNNING);
    assert_int_equal(world_saw(&w, "alarm.bad_report"), 1);
    assert_false(site_acked(site, &token));
    world_deinit(&w);
}

static void a_budget_that_is_spent_ends_the_attempt(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    spec.expected = SPAN_S(60);
    spec.budget = (struct money){50000}; /* site a asks 100000 an hour: half an hour */
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    for (int i = 0; i < 179; i++) {
        sync_now(&w, site);
        world_wait(&w, SPAN_S(10));
    }
    assert_int_equal(store_attempt(&w, job, 1)->revoke, REVOKE_NONE);
    for (int i = 0; i < 3; i++) {
        sync_now(&w, site);
        world_wait(&w, SPAN_S(10));
    }
    assert_int_equal(store_attempt(&w, job, 1)->revoke, REVOKE_BUDGET);
    site_says(site, &token, PHASE_ENDED, OUTCOME_REVOKED);
    sync_now(&w, site);
    assert_int_equal(store_job(&w, job)->state, JOB_FAILED);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_offer_is_told_until_the_site_speaks_of_it),
        cmocka_unit_test(the_time_limit_of_the_tenant_is_in_the_order),
        cmocka_unit_test(an_attempt_that_succeeds_ends_its_job),
        cmocka_unit_test(a_program_error_spends_the_jobs_retries),
        cmocka_unit_test(a_node_lost_sends_the_job_elsewhere),
        cmocka_unit_test(a_site_is_avoided_for_a_while_only),
        cmocka_unit_test(failures_of_sites_have_a_budget_of_their_own),
        cmocka_unit_test(out_of_memory_is_not_tried_again_unless_the_job_says_so),
        cmocka_unit_test(each_class_has_its_own_budget),
        cmocka_unit_test(what_was_preempted_returns_elsewhere_first),
        cmocka_unit_test(a_programs_error_keeps_nobody_away_from_its_site),
        cmocka_unit_test(a_higher_class_takes_the_place_of_the_work_that_loses_least),
        cmocka_unit_test(an_attempt_that_does_not_start_in_time_is_revoked),
        cmocka_unit_test(a_pending_job_is_cancelled_at_once),
        cmocka_unit_test(a_running_job_is_cancelled_when_its_site_confirms),
        cmocka_unit_test(a_program_that_succeeds_before_its_cancel_arrives_has_succeeded),
        cmocka_unit_test(a_command_is_told_again_but_not_in_a_rush),
        cmocka_unit_test(never_is_refused_once_it_has_run),
        cmocka_unit_test(a_budget_that_is_spent_ends_the_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
