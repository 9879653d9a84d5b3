/* Leases: nothing runs anew before every lease granted can have ended, by the slowest clock. */
#include "world.h"

/* L = 60 s, r = 10 %: 60 * 1.1 / 0.9 = 73.334 s, and 5 s for the kill. */
enum { WAIT_MS = 78334 };

static struct job_spec leased(void)
{
    struct job_spec spec = job_of(1, 1000);
    spec.contact = CONTACT_LEASE;
    spec.lease = SPAN_S(60);
    return spec;
}

/* The other sites go on speaking. */
static void silence(struct world *w, const struct fake_site *silent, int64_t ms)
{
    while (ms > 0) {
        int64_t slice_ms = ms < 5000 ? ms : 5000;
        for (int i = 0; i < SITES; i++)
            if (&w->sites[i] != silent)
                sync_now(w, &w->sites[i]);
        world_wait(w, SPAN_MS(slice_ms));
        ms -= slice_ms;
    }
}

static void a_leased_attempt_expires_only_after_the_drifted_lease_and_the_kill(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = leased();
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    sync_now(&w, site);
    world_wait(&w, SPAN_S(10));
    assert_true(site_renewed(site, &token));
    int64_t renewed_ms = w.now.boot.ns / 1000000;
    (void)renewed_ms;
    silence(&w, site, WAIT_MS - 200);
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_UNKNOWN);
    assert_int_equal(store_job(&w, job)->state, JOB_ACTIVE);
    silence(&w, site, 1000);
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_EXPIRED);
    assert_int_equal(store_job(&w, job)->state, JOB_ACTIVE); /* placed anew at once */
    struct attempt_row *second = store_attempt(&w, job, 2);
    assert_non_null(second);
    assert_false(id_is_equal(second->site.id, site->id.id));
    sync_told(&w, site); /* the first one is back, too late */
    assert_non_null(site_told(site, SYNC_REVOKE, &token));
    world_deinit(&w);
}

static void a_poll_is_never_held_longer_than_a_quarter_of_a_lease(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = leased();
    (void)state;
    world_init(&w);
    w.settings.poll_hold = SPAN_S(300);
    w.settings.site_lost_after = SPAN_S(1000);
    world_restart(&w, false);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    sync_now(&w, site);
    assert_false(site->has_reply);
    world_wait(&w, SPAN_MS(14990));
    assert_false(site->has_reply);
    world_wait(&w, SPAN_MS(20));
    assert_true(site_renewed(site, &token));
    world_deinit(&w);
}

static void what_is_being_revoked_is_not_renewed_and_ends_by_its_lease(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = leased();
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    assert_int_equal(cancel(&w, job), API_ACCEPTED);
    for (int i = 0; i < 17; i++) {
        assert_false(site_renewed(site, &token));
        sites_speak(&w); /* the site speaks, but its kill never completes */
        world_wait(&w, SPAN_S(5));
    }
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_EXPIRED);
    assert_int_equal(store_job(&w, job)->state, JOB_CANCELLED);
    world_deinit(&w);
}

static void a_new_process_waits_a_full_lease_again(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = leased();
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    silence(&w, site, 70000);
    world_restart(&w, false);
    silence(&w, site, WAIT_MS - 100);
    assert_false(attempt_state_is_final(store_attempt(&w, job, 1)->state));
    silence(&w, site, 200);
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_EXPIRED);
    world_deinit(&w);
}

static void each_lease_rule_can_be_broken(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = leased();
    (void)state;
    world_init(&w);
    w.rules.lease_waits_for_drift = false;
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    sync_now(&w, site);
    world_wait(&w, SPAN_S(10));
    silence(&w, site, 60100);
    assert_int_equal(store_attempt(&w, job, 1)->state, ATTEMPT_EXPIRED);
    w.rules.lease_waits_for_drift = true;
    w.rules.lease_restarts_with_leader = false;
    struct job_id other;
    site = run(&w, &spec, &other, &token);
    world_restart(&w, false);
    world_wait(&w, SPAN_MS(1));
    assert_int_equal(store_attempt(&w, other, token.number)->state, ATTEMPT_EXPIRED);
    w.rules.strict_never_expires = false;
    struct job_spec strict = job_of(1, 1000);
    sites_speak(&w);
    site = run(&w, &strict, &other, &token);
    silence(&w, site, 30000 + WAIT_MS + 1000);
    assert_int_equal(store_attempt(&w, other, 1)->state, ATTEMPT_ENDED);
    w.rules.strict_never_expires = true;
    w.rules.end_before_next = false;
    sites_speak(&w);
    site = run(&w, &strict, &other, &token);
    silence(&w, site, 31000);
    assert_non_null(store_attempt(&w, other, 2));
    world_deinit(&w);
}

static void a_lease_shorter_than_the_floor_is_refused(void **state)
{
    struct world w;
    struct job_spec spec = leased();
    const struct job_spec *asked = &spec;
    struct job_id job;
    struct attempt_token token;
    (void)state;
    world_init(&w);
    sites_join(&w);
    spec.lease = SPAN_S(59);
    submit_many(&w, &asked, 1);
    assert_int_equal(w.status, API_UNPROCESSABLE);
    spec.lease = SPAN_MS(0); /* the floor */
    start(&w, &spec, &job, &token);
    assert_int_equal(store_attempt(&w, job, 1)->contact.lease.ms, 60000);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leased_attempt_expires_only_after_the_drifted_lease_and_the_kill),
        cmocka_unit_test(a_poll_is_never_held_longer_than_a_quarter_of_a_lease),
        cmocka_unit_test(what_is_being_revoked_is_not_renewed_and_ends_by_its_lease),
        cmocka_unit_test(a_new_process_waits_a_full_lease_again),
        cmocka_unit_test(each_lease_rule_can_be_broken),
        cmocka_unit_test(a_lease_shorter_than_the_floor_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
