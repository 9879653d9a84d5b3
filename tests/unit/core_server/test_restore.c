/* A database put back from an older copy: told, and found out. */
#include <string.h>

#include "world.h"

/* A copy of the store is made, history goes on, then the copy is put back. */
static void put_back(struct world *w, struct fake_store *copy, bool is_told)
{
    store_deinit(&w->store);
    w->store = *copy;
    world_restart(w, is_told);
}

static void a_restore_raises_the_epoch_and_asks_every_site(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    struct fake_store copy;
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    store_copy(&copy, &w.store);
    put_back(&w, &copy, true);
    assert_int_equal(w.store.epoch, 2);
    assert_int_equal(world_saw(&w, "database.restored"), 1);
    assert_true(server_core_counts(w.core).is_reconciling);
    world_wait(&w, SPAN_MS(1));
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_UNKNOWN);
    for (int i = 0; i < SITES; i++) {
        sync_told(&w, &w.sites[i]);
        assert_true(w.sites[i].reply.want_inventory);
        sync_now(&w, &w.sites[i]);
    }
    assert_false(server_core_counts(w.core).is_reconciling);
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_RUNNING); /* it runs on */
    assert_null(site_told(site, SYNC_REVOKE, &token));
    world_restart(&w, false); /* that they have reported outlives the process */
    assert_false(server_core_counts(w.core).is_reconciling);
    assert_int_equal(w.store.epoch, 2);
    world_deinit(&w);
}

static void an_older_job_waits_for_every_site_and_a_new_one_does_not(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    struct fake_store copy;
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct job_id older = submit(&w, &spec);
    store_copy(&copy, &w.store);
    put_back(&w, &copy, true);
    for (int i = 0; i < 2; i++) {
        sync_told(&w, &w.sites[i]);
        sync_now(&w, &w.sites[i]);
    }
    struct job_id newer = submit(&w, &spec);
    world_place(&w);
    assert_int_equal(store_job(&w, newer)->state, JOB_ACTIVE);
    assert_int_equal(store_job(&w, older)->state, JOB_PENDING);
    struct buffer words;
    buffer_init(&words, 65536);
    assert_int_equal(server_core_explain(w.core, older, w.now, &words), ERR_OK);
    assert_non_null(strstr(buffer_text(&words), "1 of 3 are missing"));
    buffer_deinit(&words);
    sync_told(&w, &w.sites[2]);
    world_place(&w);
    assert_int_equal(store_job(&w, older)->state, JOB_PENDING); /* asked, but not yet answered */
    sync_now(&w, &w.sites[2]);
    world_place(&w);
    assert_int_equal(store_job(&w, older)->state, JOB_ACTIVE);
    assert_int_equal(store_attempt(&w, older, 1)->token.epoch, 2);
    world_deinit(&w);
}

static void an_inventory_from_before_the_new_epoch_does_not_count(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    struct fake_store copy;
    (void)state;
    world_init(&w);
    sites_join(&w);
    (void)submit(&w, &spec);
    store_copy(&copy, &w.store);
    put_back(&w, &copy, true);
    for (int i = 0; i < SITES; i++) {
        w.sites[i].epoch_seen = 1;
        w.sites[i].is_inventory = true;
        sync_now(&w, &w.sites[i]);
    }
    assert_true(server_core_counts(w.core).is_reconciling);
    world_deinit(&w);
}

static void a_destroyed_site_is_not_waited_for(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    struct fake_store copy;
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct job_id job = submit(&w, &spec);
    store_copy(&copy, &w.store);
    put_back(&w, &copy, true);
    for (int i = 0; i < 2; i++) {
        sync_told(&w, &w.sites[i]);
        sync_now(&w, &w.sites[i]);
    }
    struct server_event destroyed = {.kind = SERVER_SITE_DESTROYED, .handle = ++w.next_handle};
    destroyed.site.site = w.sites[2].id;
    world_step(&w, &destroyed);
    world_place(&w);
    assert_int_equal(store_job(&w, job)->state, JOB_ACTIVE);
    world_deinit(&w);
}

static void a_leased_job_waits_for_a_site_or_for_its_lease(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    struct fake_store copy;
    (void)state;
    spec.contact = CONTACT_LEASE;
    world_init(&w);
    sites_join(&w);
    struct job_id job = submit(&w, &spec);
    store_copy(&copy, &w.store);
    put_back(&w, &copy, true);
    for (int i = 0; i < 78; i++) {
        sync_now(&w, &w.sites[0]);
        world_wait(&w, SPAN_S(1));
        world_place(&w);
    }
    assert_int_equal(store_job(&w, job)->state, JOB_PENDING);
    sync_now(&w, &w.sites[0]);
    world_wait(&w, SPAN_S(1));
    world_place(&w);
    assert_int_equal(store_job(&w, job)->state, JOB_ACTIVE);
    world_deinit(&w);
}

static void an_attempt_that_the_database_forgot_is_taken_over(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    struct fake_store copy;
    (void)state;
    world_init(&w);
    sites_join(&w);
    job = submit(&w, &spec);
    store_copy(&copy, &w.store); /* before it was placed */
    world_place(&w);
    token = store_attempt(&w, job, 1)->token;
    struct fake_site *site = site_of(&w, store_attempt(&w, job, 1)->site);
    site_says(site, &token, PHASE_TAKEN, OUTCOME_NONE);
    sync_now(&w, site);
    put_back(&w, &copy, true);
    assert_null(store_attempt(&w, job, 1));
    for (int i = 0; i < SITES; i++) {
        sync_told(&w, &w.sites[i]);
        sync_now(&w, &w.sites[i]);
        world_place(&w);
    }
    assert_int_equal(store_job(&w, job)->state, JOB_ACTIVE);
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_RUNNING);
    assert_int_equal(store_attempt(&w, job, 1)->token.epoch, 1);
    assert_int_equal(world_saw(&w, "attempt.adopted"), 1);
    assert_null(site_told(site, SYNC_REVOKE, &token));
    site_says(site, &token, PHASE_ENDED, OUTCOME_SUCCEEDED);
    sync_now(&w, site);
    assert_int_equal(store_job(&w, job)->state, JOB_SUCCEEDED);
    world_deinit(&w);
}

static void a_success_that_the_database_forgot_counts(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    struct fake_store copy;
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct job_id job = submit(&w, &spec);
    store_copy(&copy, &w.store);
    world_place(&w);
    struct attempt_token token = store_attempt(&w, job, 1)->token;
    struct fake_site *site = site_of(&w, store_attempt(&w, job, 1)->site);
    site_says(site, &token, PHASE_ENDED, OUTCOME_SUCCEEDED);
    sync_now(&w, site);
    put_back(&w, &copy, true);
    sync_told(&w, site); /* the site keeps acknowledged ends for a while */
    sync_now(&w, site);
    assert_int_equal(store_job(&w, job)->state, JOB_SUCCEEDED);
    assert_int_equal(store_job(&w, job)->attempt, 1);
    world_deinit(&w);
}

/* The copy knows attempt 1 as running; since then it ended and attempt 2 was given out elsewhere.
 */
static void the_highest_number_is_the_jobs(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token first, second;
    struct job_spec spec = job_of(1, 1000);
    struct fake_store copy;
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *a = run(&w, &spec, &job, &first);
    store_copy(&copy, &w.store);
    site_says(a, &first, PHASE_ENDED, OUTCOME_NODE_LOST);
    sync_now(&w, a);
    world_place(&w);
    second = store_attempt(&w, job, 2)->token;
    struct fake_site *b = site_of(&w, store_attempt(&w, job, 2)->site);
    assert_ptr_not_equal(a, b);
    site_says(b, &second, PHASE_TAKEN, OUTCOME_NONE);
    sync_now(&w, b);
    put_back(&w, &copy, true);
    sync_told(&w, b); /* b speaks first */
    sync_now(&w, b);
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_ENDED);
    assert_int_equal(store_attempt(&w, job, 2)->state, ATTEMPT_RUNNING);
    assert_int_equal(store_job(&w, job)->attempt, 2);
    sync_told(&w, a);
    sync_now(&w, a);
    assert_true(site_acked(a, &first));
    assert_null(site_told(b, SYNC_REVOKE, &second));
    site_says(b, &second, PHASE_ENDED, OUTCOME_NODE_LOST);
    sync_now(&w, b);
    sync_told(&w, &w.sites[2]);
    sync_now(&w, &w.sites[2]);
    world_place(&w);
    struct attempt_row *third = store_attempt(&w, job, 3);
    assert_non_null(third);
    assert_int_equal(third->token.epoch, 2);
    world_deinit(&w);
}

static void a_cancelled_jobs_forgotten_attempt_is_ended(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token first, second;
    struct job_spec spec = job_of(1, 1000);
    struct fake_store copy;
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *a = run(&w, &spec, &job, &first);
    store_copy(&copy, &w.store);
    site_says(a, &first, PHASE_ENDED, OUTCOME_NODE_LOST);
    sync_now(&w, a);
    world_place(&w);
    second = store_attempt(&w, job, 2)->token;
    struct fake_site *b = site_of(&w, store_attempt(&w, job, 2)->site);
    put_back(&w, &copy, true);
    assert_int_equal(cancel(&w, job), API_ACCEPTED);
    site_says(b, &second, PHASE_TAKEN, OUTCOME_NONE);
    sync_told(&w, b);
    sync_told(&w, b);
    const struct sync_command *command = site_told(b, SYNC_REVOKE, &second);
    assert_non_null(command);
    assert_int_equal(command->reason, REVOKE_CANCELLED);
    site_says(b, &second, PHASE_ENDED, OUTCOME_REVOKED);
    sync_now(&w, b);
    assert_int_equal(store_job(&w, job)->state, JOB_CANCELLED);
    world_deinit(&w);
}

static void a_site_is_not_reconciled_while_it_runs_what_nobody_knows(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    struct fake_store copy;
    (void)state;
    world_init(&w);
    sites_join(&w);
    store_copy(&copy, &w.store);
    struct job_id job = submit(&w, &spec); /* the database will not know it */
    world_place(&w);
    struct attempt_token token = store_attempt(&w, job, 1)->token;
    struct fake_site *site = site_of(&w, store_attempt(&w, job, 1)->site);
    site_says(site, &token, PHASE_TAKEN, OUTCOME_NONE);
    put_back(&w, &copy, true);
    for (int i = 0; i < SITES; i++) {
        sync_told(&w, &w.sites[i]);
        sync_now(&w, &w.sites[i]);
    }
    assert_non_null(site_told(site, SYNC_REVOKE, &token));
    assert_true(server_core_counts(w.core).is_reconciling);
    site_says(site, &token, PHASE_ENDED, OUTCOME_REVOKED);
    sync_now(&w, site);
    assert_true(site_acked(site, &token));
    assert_false(server_core_counts(w.core).is_reconciling);
    world_deinit(&w);
}

static void an_offer_of_the_old_epoch_is_closed_not_repeated(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    struct fake_store copy;
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = start(&w, &spec, &job, &token);
    store_copy(&copy, &w.store);
    put_back(&w, &copy, true);
    site_forgets(site); /* START was lost */
    sync_told(&w, site);
    assert_null(site_told(site, SYNC_START, &token));
    sync_told(&w, site); /* it has seen the new epoch now */
    assert_null(site_told(site, SYNC_START, &token));
    assert_non_null(site_told(site, SYNC_REVOKE, &token));
    site_says(site, &token, PHASE_NEVER, OUTCOME_REVOKED);
    sync_now(&w, site);
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_NEVER);
    world_deinit(&w);
}

static void an_older_copy_that_nobody_spoke_of_is_found_out_by_usage(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = &w.sites[1];
    site->usage_acked = 7;
    site->usage_oldest = 1;
    sync_told(&w, site);
    assert_int_equal(w.store.epoch, 2);
    assert_int_equal(world_saw(&w, "database.regressed"), 1);
    assert_int_equal(site->reply.db_epoch, 2);
    assert_int_equal(site->reply.usage_acked, 0);
    assert_true(server_core_counts(w.core).is_reconciling);
    for (int i = 0; i < 5; i++)
        sync_told(&w, site); /* the same claim, again: dealt with */
    world_restart(&w, false);
    sync_told(&w, site);
    assert_int_equal(w.store.epoch, 2);
    assert_int_equal(world_saw(&w, "database.regressed"), 1);
    world_deinit(&w);
}

static void an_older_copy_is_found_out_by_the_epoch_and_by_tokens(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    struct fake_store copy;
    (void)state;
    world_init(&w);
    sites_join(&w);
    w.sites[0].epoch_seen = 5;
    sync_told(&w, &w.sites[0]);
    assert_int_equal(w.store.epoch, 6);
    w.sites[0].epoch_seen = UINT64_MAX; /* a liar */
    sync_now(&w, &w.sites[0]);
    assert_int_equal(w.status, API_UNPROCESSABLE);
    assert_int_equal(w.store.epoch, 6);
    w.sites[0].epoch_seen = 6;
    for (int i = 0; i < SITES; i++) {
        sync_now(&w, &w.sites[i]);
        sync_now(&w, &w.sites[i]);
    }
    assert_false(server_core_counts(w.core).is_reconciling);

    struct job_id job = submit(&w, &spec);
    store_copy(&copy, &w.store);
    world_place(&w);
    struct attempt_token token = store_attempt(&w, job, 1)->token;
    struct fake_site *site = site_of(&w, store_attempt(&w, job, 1)->site);
    site_says(site, &token, PHASE_TAKEN, OUTCOME_NONE);
    sync_now(&w, site);
    put_back(&w, &copy, false); /* nobody says so */
    sync_now(&w, site);
    assert_int_equal(w.store.epoch, 7);
    assert_int_equal(store_attempt(&w, job, 1)->state,
                     ATTEMPT_RUNNING); /* and taken over at once */
    world_deinit(&w);
}

/* The lost history went on to number 2 at b; after the lease wait number 1 of the new epoch was
 * given out. What b still reports is of a history that ended, not a later attempt. */
static void a_higher_number_of_an_older_epoch_is_no_later_attempt(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    struct fake_store copy;
    (void)state;
    spec.contact = CONTACT_LEASE;
    world_init(&w);
    sites_join(&w);
    struct job_id job = submit(&w, &spec);
    store_copy(&copy, &w.store);
    put_back(&w, &copy, true);
    for (int i = 0; i < 80; i++) {
        sync_now(&w, &w.sites[0]);
        world_wait(&w, SPAN_S(1));
        world_place(&w);
    }
    assert_int_equal(store_attempt(&w, job, 1)->token.epoch, 2);
    const struct attempt_token lost = {1, job, 2};
    w.sites[1].epoch_seen = 1;
    w.sites[1].is_inventory = true;
    site_says(&w.sites[1], &lost, PHASE_TAKEN, OUTCOME_NONE);
    sync_told(&w, &w.sites[1]);
    assert_non_null(site_told(&w.sites[1], SYNC_REVOKE, &lost));
    assert_int_equal(store_job(&w, job)->attempt, 1);
    assert_false(attempt_state_is_final(store_attempt(&w, job, 1)->state));
    assert_int_equal(w.store.epoch, 2);
    world_deinit(&w);
}

static void a_new_site_has_nothing_to_reconcile(void **state)
{
    struct world w;
    struct fake_store copy;
    (void)state;
    world_init(&w);
    sites_join(&w);
    store_copy(&copy, &w.store);
    put_back(&w, &copy, true);
    for (int i = 0; i < SITES; i++) {
        sync_told(&w, &w.sites[i]);
        sync_now(&w, &w.sites[i]);
    }
    struct doc_value value = {.kind = DOC_SITE};
    value.site = (struct site){.id.id = world_id(&w),
                               .name = SLICE_LITERAL("d"),
                               .region = SLICE_LITERAL("west"),
                               .operator_name = SLICE_LITERAL("op")};
    assert_int_equal(doc_put(&w, &value, 0), API_CREATED);
    assert_false(server_core_counts(w.core).is_reconciling);
    world_restart(&w, false);
    assert_false(server_core_counts(w.core).is_reconciling);
    world_deinit(&w);
}

static void the_restore_rules_can_be_broken(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    struct fake_store copy;
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct job_id job = submit(&w, &spec);
    store_copy(&copy, &w.store);
    w.rules.restore_waits_for_sites = false;
    put_back(&w, &copy, true);
    sync_now(&w, &w.sites[0]);
    world_place(&w);
    assert_int_equal(store_job(&w, job)->state, JOB_ACTIVE);
    w.rules.restore_raises_epoch = false;
    world_restart(&w, true);
    assert_int_equal(w.store.epoch, 2);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restore_raises_the_epoch_and_asks_every_site),
        cmocka_unit_test(an_older_job_waits_for_every_site_and_a_new_one_does_not),
        cmocka_unit_test(an_inventory_from_before_the_new_epoch_does_not_count),
        cmocka_unit_test(a_destroyed_site_is_not_waited_for),
        cmocka_unit_test(a_leased_job_waits_for_a_site_or_for_its_lease),
        cmocka_unit_test(an_attempt_that_the_database_forgot_is_taken_over),
        cmocka_unit_test(a_success_that_the_database_forgot_counts),
        cmocka_unit_test(the_highest_number_is_the_jobs),
        cmocka_unit_test(a_cancelled_jobs_forgotten_attempt_is_ended),
        cmocka_unit_test(a_site_is_not_reconciled_while_it_runs_what_nobody_knows),
        cmocka_unit_test(an_offer_of_the_old_epoch_is_closed_not_repeated),
        cmocka_unit_test(an_older_copy_that_nobody_spoke_of_is_found_out_by_usage),
        cmocka_unit_test(an_older_copy_is_found_out_by_the_epoch_and_by_tokens),
        cmocka_unit_test(a_higher_number_of_an_older_epoch_is_no_later_attempt),
        cmocka_unit_test(a_new_site_has_nothing_to_reconcile),
        cmocka_unit_test(the_restore_rules_can_be_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
