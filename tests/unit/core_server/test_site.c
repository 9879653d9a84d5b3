/* Sites: contact, silence, journals, and the operator's words. */
#include <string.h>

#include "world.h"

static void a_newer_poll_closes_the_older_one(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    sites_join(&w);
    sync_now(&w, &w.sites[0]);
    assert_true(w.sites[0].is_closed);
    const struct server_event gone = {.kind = SERVER_SYNC_GONE, .handle = w.sites[0].handle};
    world_step(&w, &gone);
    sync_now(&w, &w.sites[0]);
    assert_false(w.sites[0].is_closed); /* the connection was gone: nobody to answer */
    world_deinit(&w);
}

static void a_strict_attempt_outlives_silence(void **state)
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
    for (int i = 0; i < 20; i++) {
        sync_now(&w, &w.sites[1]);
        sync_now(&w, &w.sites[2]);
        world_wait(&w, SPAN_S(10));
    }
    assert_int_equal(world_saw(&w, "site.lost"), 1);
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_UNKNOWN);
    world_place(&w);
    assert_int_equal(store_job(&w, job)->state, JOB_ACTIVE);
    assert_null(store_attempt(&w, job, 2));
    assert_int_equal(server_core_counts(w.core).sites_lost, 1);
    sync_now(&w, site); /* back, and it still runs */
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_RUNNING);
    assert_null(site_told(site, SYNC_REVOKE, &token));
    assert_int_equal(server_core_counts(w.core).sites_lost, 0);
    world_deinit(&w);
}

static void an_offer_that_never_arrived_is_told_again_after_silence(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = start(&w, &spec, &job, &token);
    world_wait(&w, SPAN_S(40));
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_UNKNOWN);
    sync_told(&w, site);
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_OFFERED);
    assert_non_null(site_told(site, SYNC_START, &token));
    world_deinit(&w);
}

static void what_is_not_current_is_revoked_for_as_long_as_it_is_reported(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    struct fake_site *other = &w.sites[1];
    const struct attempt_token unknown = {1, {world_id(&w)}, 1};
    world_forget(&w);
    site_says(other, &token, PHASE_TAKEN, OUTCOME_NONE); /* another site's token */
    site_says(other, &unknown, PHASE_INTENT, OUTCOME_NONE);
    sync_told(&w, other);
    assert_non_null(site_told(other, SYNC_REVOKE, &token));
    assert_int_equal(site_told(other, SYNC_REVOKE, &unknown)->reason, REVOKE_SUPERSEDED);
    sync_told(&w, other);
    assert_non_null(site_told(other, SYNC_REVOKE, &unknown));
    assert_int_equal(world_saw(&w, "alarm.stray_attempt"), 2); /* told once each */
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_RUNNING);
    site_says(other, &token, PHASE_ENDED, OUTCOME_SUCCEEDED); /* and its ends do not count */
    sync_told(&w, other);
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_RUNNING);
    assert_non_null(site);
    world_deinit(&w);
}

static void a_lost_journal_makes_its_attempts_unknown_never_never(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = start(&w, &spec, &job, &token);
    struct journal_id old = site->journal;
    site->journal.id = world_id(&w);
    site_forgets(site);
    site->reply.challenge = 0; /* its process began anew with the journal */
    sync_told(&w, site);       /* asked to say it again: the first could be a late double */
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_OFFERED);
    sync_told(&w, site);
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_UNKNOWN);
    const struct sync_command *command = site_told(site, SYNC_REVOKE, &token);
    assert_non_null(command);
    assert_true(
        id_is_equal(command->journal.id, old.id)); /* the agent sees that it is not its own */
    site_says(site, &token, PHASE_NEVER, OUTCOME_NONE);
    sync_told(&w, site);
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_UNKNOWN);
    site_says(site, &token, PHASE_TAKEN, OUTCOME_NONE); /* it looks into its engine */
    sync_told(&w, site);
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_UNKNOWN);
    site_says(site, &token, PHASE_ENDED, OUTCOME_JOURNAL_LOST);
    sync_told(&w, site);
    assert_true(site_acked(site, &token));
    assert_int_equal(store_job(&w, job)->state, JOB_PENDING);
    assert_int_equal(store_job(&w, job)->infra_failures, 1);
    struct journal_id fresh = site->journal;
    site->journal = old; /* a late double from before */
    sync_now(&w, site);
    assert_int_equal(w.status, API_CONFLICT);
    site->journal = fresh;
    world_deinit(&w);
}

static void a_late_double_from_under_a_lost_journal_locks_nobody_out(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = &w.sites[0];
    const struct journal_id present = site->journal;
    const uint64_t challenge = site->reply.challenge;
    site->journal.id = world_id(&w); /* held up since before the present one was made */
    site->reply.challenge = 0;
    sync_told(&w, site);
    site->journal = present;
    site->reply.challenge = challenge;
    w.status = API_OK;
    sync_now(&w, site);
    assert_int_equal(w.status, API_OK);
    struct job_spec spec = job_of(1, 1000);
    struct job_id job;
    struct attempt_token token;
    assert_ptr_equal(start(&w, &spec, &job, &token), site);
    world_deinit(&w);
}

static void the_journal_rule_can_be_broken(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    w.rules.journal_loss_is_unknown = false;
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    site->journal.id = world_id(&w);
    site_says(site, &token, PHASE_NEVER, OUTCOME_NONE);
    sync_now(&w, site);
    assert_int_equal(store_job(&w, job)->state, JOB_PENDING);
    world_deinit(&w);
}

static void a_running_attempt_that_its_site_forgot_is_ended_by_the_engine(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    site_forgets(site);
    sync_told(&w, site);
    const struct sync_command *command = site_told(site, SYNC_REVOKE, &token);
    assert_non_null(command);
    assert_true(id_is_none(command->journal.id));
    site_says(site, &token, PHASE_ENDED, OUTCOME_JOURNAL_LOST);
    sync_now(&w, site);
    assert_int_equal(store_job(&w, job)->state, JOB_PENDING);
    world_deinit(&w);
}

static void checkpoint(struct world *w, const struct attempt_token *token)
{
    struct server_event event = {.kind = SERVER_ARTIFACT, .handle = ++w->next_handle};
    event.artifact = (struct artifact_row){.id = world_id(w),
                                           .kind = ARTIFACT_CHECKPOINT,
                                           .tenant = w->team,
                                           .token = *token,
                                           .step = 7,
                                           .size_bytes = 1000,
                                           .jurisdiction = SLICE_LITERAL("CN"),
                                           .world_size = 1,
                                           .manifest = SLICE_LITERAL("{}")};
    world_step(w, &event);
    assert_int_equal(w->status, API_CREATED);
}

static void a_last_checkpoint_that_does_not_come_is_not_waited_for_long(void **state)
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
    struct server_event drain = {.kind = SERVER_SITE_DRAIN, .handle = ++w.next_handle};
    drain.site.site = site->id;
    drain.site.flag = true;
    drain.site.reason = SLICE_LITERAL("new floor");
    world_step(&w, &drain);
    (void)site_told(site, SYNC_REVOKE, &token);
    site_says(site, &token, PHASE_ENDED, OUTCOME_PREEMPTED);
    sync_now(&w, site);
    world_wait(&w, SPAN_S(20));
    sites_speak(&w);
    world_place(&w);
    assert_null(store_attempt(&w, job, 2));
    world_wait(&w, SPAN_S(11));
    sites_speak(&w);
    world_place(&w);
    assert_non_null(store_attempt(&w, job, 2));
    world_deinit(&w);
}

static void draining_moves_work_away_with_its_grace(void **state)
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
    struct server_event drain = {.kind = SERVER_SITE_DRAIN, .handle = ++w.next_handle};
    drain.site.site = site->id;
    drain.site.flag = true;
    drain.site.reason = SLICE_LITERAL("new floor");
    world_step(&w, &drain);
    assert_int_equal(w.status, API_OK);
    const struct sync_command *command = site_told(site, SYNC_REVOKE, &token);
    assert_int_equal(command->reason, REVOKE_DRAIN);
    assert_int_equal(command->grace.ms, 20000);
    site_says(site, &token, PHASE_ENDED, OUTCOME_PREEMPTED);
    sync_now(&w, site);
    assert_int_equal(world_saw(&w, "site.drained"), 1);
    assert_int_equal(store_job(&w, job)->infra_failures, 0);
    world_place(&w);
    assert_null(store_attempt(&w, job, 2)); /* its last checkpoint is still being copied on */
    checkpoint(&w, &token);
    world_place(&w);
    assert_false(id_is_equal(store_attempt(&w, job, 2)->site.id, site->id.id));
    world_restart(&w, false); /* the state outlives the process */
    site_forgets(site);
    sites_speak(&w);
    struct job_id second = submit(&w, &spec);
    world_place(&w);
    assert_false(id_is_equal(store_attempt(&w, second, 1)->site.id, site->id.id));
    drain.site.flag = false;
    world_step(&w, &drain);
    second = submit(&w, &spec);
    world_place(&w);
    assert_true(id_is_equal(store_attempt(&w, second, 1)->site.id, site->id.id));
    world_deinit(&w);
}

static void an_agent_that_takes_nothing_new_gets_nothing_new(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    w.sites[0].is_draining = true;
    sync_now(&w, &w.sites[0]);
    struct job_id job = submit(&w, &spec);
    world_place(&w);
    assert_true(id_is_equal(store_attempt(&w, job, 1)->site.id, w.sites[1].id.id));
    world_deinit(&w);
}

static void a_destroyed_sites_work_goes_on_elsewhere(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    struct server_event destroyed = {.kind = SERVER_SITE_DESTROYED, .handle = ++w.next_handle};
    destroyed.site.site = site->id;
    destroyed.site.reason = SLICE_LITERAL("fire");
    world_step(&w, &destroyed);
    assert_int_equal(w.status, API_OK);
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_DESTROYED);
    world_place(&w);
    assert_false(id_is_equal(store_attempt(&w, job, 2)->site.id, site->id.id));
    sync_told(&w, site); /* it was not: what it runs is revoked */
    assert_non_null(site_told(site, SYNC_REVOKE, &token));
    world_deinit(&w);
}

static void a_protocol_that_is_not_spoken_is_refused_by_name(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    const struct sync_request request = {.protocol = 99, .site = w.sites[0].id};
    const struct server_event event = {.kind = SERVER_SYNC, .handle = 9999, .sync = &request};
    world_step(&w, &event);
    assert_int_equal(w.status, API_BAD);
    assert_non_null(strstr(w.body.data, "versions 1 to 1"));
    world_deinit(&w);
}

static void a_site_with_a_thousand_jobs_gets_all_of_them(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1);
    uint32_t told = 0;
    (void)state;
    spec.array_count = 1000;
    spec.mem_bytes = 1 << 20;
    world_init(&w);
    sites_join(&w);
    (void)submit(&w, &spec);
    world_place(&w);
    assert_int_equal(w.store.attempts.len, 1000);
    for (int i = 0; i < 5; i++) {
        struct fake_site *site = &w.sites[0];
        sync_told(&w, site);
        told = site->reply.command_count > told ? site->reply.command_count : told;
    }
    assert_in_range(told, 900, 1000);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_newer_poll_closes_the_older_one),
        cmocka_unit_test(a_strict_attempt_outlives_silence),
        cmocka_unit_test(an_offer_that_never_arrived_is_told_again_after_silence),
        cmocka_unit_test(what_is_not_current_is_revoked_for_as_long_as_it_is_reported),
        cmocka_unit_test(a_lost_journal_makes_its_attempts_unknown_never_never),
        cmocka_unit_test(a_late_double_from_under_a_lost_journal_locks_nobody_out),
        cmocka_unit_test(the_journal_rule_can_be_broken),
        cmocka_unit_test(a_running_attempt_that_its_site_forgot_is_ended_by_the_engine),
        cmocka_unit_test(draining_moves_work_away_with_its_grace),
        cmocka_unit_test(a_last_checkpoint_that_does_not_come_is_not_waited_for_long),
        cmocka_unit_test(an_agent_that_takes_nothing_new_gets_nothing_new),
        cmocka_unit_test(a_destroyed_sites_work_goes_on_elsewhere),
        cmocka_unit_test(a_protocol_that_is_not_spoken_is_refused_by_name),
        cmocka_unit_test(a_site_with_a_thousand_jobs_gets_all_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
