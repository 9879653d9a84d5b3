/* What sites are used for: integrals of what stood, by owner and pool, over the time they were
 * heard. */
#include "world.h"

/* Only the first site speaks; every 5 s, as an agent does. */
static void speak(struct world *w, int seconds)
{
    for (int at = 0; at < seconds; at += 5) {
        world_wait(w, SPAN_S(5));
        sync_now(w, &w->sites[0]);
    }
}

static struct fake_site *only_site(struct world *w)
{
    struct fake_site *site = &w->sites[0];
    world_init(w);
    sites_join(w);
    site->loads[0] = (struct node_load){
        .is_known = true, .has_busy = true, .owner_cpu_milli = 1000, .owner_busy_cpu_milli = 500};
    site->loads[1] = (struct node_load){.is_known = true};
    speak(w, 5); /* the first figures count from when they came */
    return site;
}

static void the_owners_use_is_recorded_over_time(void **state)
{
    struct world w;
    (void)state;
    only_site(&w);
    struct util_sums before = w.store.pools_used;
    speak(&w, 300);
    const struct util_sums *sums = &w.store.pools_used;
    uint64_t ms = sums->observed_ms - before.observed_ms;
    assert_in_range(ms, 285000, 300000); /* what is not flushed yet is not there */
    assert_int_equal(sums->core_us - before.core_us, ms * 8000);
    assert_int_equal(sums->owner_core_us - before.owner_core_us, ms * 1000);
    assert_int_equal(sums->measured_core_us - before.measured_core_us, ms * 4000);
    assert_int_equal(sums->owner_busy_core_us - before.owner_busy_core_us, ms * 500);
    assert_int_equal(sums->pool_core_us, 0);
    assert_int_equal(w.store.nodes_used.core_us, sums->core_us); /* both nodes are in the pool */
    world_deinit(&w);
}

static void a_run_counts_from_its_gate_to_its_end(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(2, 1500);
    (void)state;
    struct fake_site *site = only_site(&w);
    struct fake_site *where = start(&w, &spec, &job, &token);
    assert_ptr_equal(where, site);
    speak(&w, 60);
    assert_int_equal(w.store.pools_used.pool_core_us, 0); /* offered is not held */
    site_says(site, &token, PHASE_TAKEN, OUTCOME_NONE);
    site->loads[0].pool_busy_cpu_milli = 1400;
    sync_now(&w, site);
    speak(&w, 120);
    site_says(site, &token, PHASE_ENDED, OUTCOME_SUCCEEDED);
    sync_now(&w, site);
    site_forgets(site);
    speak(&w, 60);
    assert_int_equal(w.store.pools_used.pool_core_us, UINT64_C(120000) * 3000);
    /* What was measured while it ran says nothing of the time after it. */
    assert_int_equal(w.store.pools_used.pool_busy_core_us, UINT64_C(120000) * 1400);
    assert_int_equal(w.store.nodes_used.pool_core_us, UINT64_C(120000) * 3000);
    world_deinit(&w);
}

static void a_silence_is_not_counted(void **state)
{
    struct world w;
    (void)state;
    struct fake_site *site = only_site(&w);
    speak(&w, 60);
    world_wait(&w, SPAN_S(3600));
    sync_now(&w, site);
    speak(&w, 60);
    assert_in_range(w.store.pools_used.observed_ms, 110000, 130000);
    world_deinit(&w);
}

static void a_site_that_measures_nothing_has_no_record(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    sites_join(&w);
    for (int i = 0; i < 60; i++) {
        world_wait(&w, SPAN_S(5));
        sites_speak(&w);
    }
    assert_int_equal(w.store.uses, 0);
    world_deinit(&w);
}

static void a_site_that_says_too_much_is_taken_at_what_it_has(void **state)
{
    struct world w;
    (void)state;
    struct fake_site *site = only_site(&w);
    site->loads[1] = (struct node_load){.is_known = true,
                                        .has_busy = true,
                                        .owner_cpu_milli = UINT32_MAX,
                                        .owner_devices = 200,
                                        .owner_busy_cpu_milli = UINT32_MAX,
                                        .pool_busy_cpu_milli = UINT32_MAX};
    speak(&w, 30);
    struct util_sums before = w.store.pools_used;
    speak(&w, 60);
    uint64_t ms = w.store.pools_used.observed_ms - before.observed_ms;
    assert_int_equal(w.store.pools_used.owner_core_us - before.owner_core_us, ms * 5000);
    assert_int_equal(w.store.pools_used.owner_busy_core_us - before.owner_busy_core_us, ms * 4500);
    assert_int_equal(w.store.pools_used.owner_device_ms, 0);
    assert_int_equal(w.store.pools_used.pool_busy_core_us, 0);
    world_deinit(&w);
}

static void runs_are_counted_on_after_a_restart(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 2000);
    (void)state;
    struct fake_site *site = only_site(&w);
    (void)start(&w, &spec, &job, &token);
    site_says(site, &token, PHASE_TAKEN, OUTCOME_NONE);
    sync_now(&w, site);
    speak(&w, 60);
    world_restart(&w, false);
    sync_now(&w, site);
    struct util_sums before = w.store.pools_used;
    speak(&w, 60);
    uint64_t ms = w.store.pools_used.observed_ms - before.observed_ms;
    assert_in_range(ms, 45000, 60000);
    assert_int_equal(w.store.pools_used.pool_core_us - before.pool_core_us, ms * 2000);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_owners_use_is_recorded_over_time),
        cmocka_unit_test(a_run_counts_from_its_gate_to_its_end),
        cmocka_unit_test(a_silence_is_not_counted),
        cmocka_unit_test(a_site_that_measures_nothing_has_no_record),
        cmocka_unit_test(a_site_that_says_too_much_is_taken_at_what_it_has),
        cmocka_unit_test(runs_are_counted_on_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
