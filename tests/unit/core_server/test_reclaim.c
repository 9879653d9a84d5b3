/* What sites tell of their owners: reclaims are kept once and alarmed once; a job whose copies are
 * complete waits no longer. */
#include "world.h"

static const struct reclaim QUICK = {.name = SLICE_LITERAL("slurm-7-100"),
                                     .at = {100000000},
                                     .wait = {4000},
                                     .held = {3000},
                                     .promise = {30000},
                                     .attempts = 1};

static struct job_spec saving_job(void)
{
    struct job_spec spec = job_of(1, 1000);
    spec.checkpoint = (struct job_checkpoint){.dir = SLICE_LITERAL("ck")};
    return spec;
}

static void a_preempted_job_goes_on_at_once_when_its_copies_are_complete(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = saving_job();
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    site_says(site, &token, PHASE_ENDED, OUTCOME_PREEMPTED);
    sync_now(&w, site);
    world_place(&w);
    assert_int_equal(store_job(&w, job)->state, JOB_PENDING); /* a copy may be on its way */
    site_forgets(site);
    site->copied[0] = token;
    site->copied_count = 1;
    sync_now(&w, site);
    world_place(&w);
    assert_int_equal(store_job(&w, job)->state, JOB_ACTIVE);
    world_deinit(&w);
}

static void copies_of_an_earlier_attempt_say_nothing_of_the_newest(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = saving_job();
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    site_says(site, &token, PHASE_ENDED, OUTCOME_PREEMPTED);
    sync_now(&w, site);
    site_forgets(site);
    site->copied[0] = token;
    site->copied[0].number++;
    site->copied_count = 1;
    sync_now(&w, site);
    world_place(&w);
    assert_int_equal(store_job(&w, job)->state, JOB_PENDING);
    world_wait(&w, SPAN_S(31)); /* nobody says more: it goes on all the same */
    sites_speak(&w);
    world_place(&w);
    assert_int_equal(store_job(&w, job)->state, JOB_ACTIVE);
    world_deinit(&w);
}

static void a_reclaim_is_kept_and_told_of_once(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    sites_join(&w);
    w.sites[0].reclaims[0] = QUICK;
    w.sites[0].reclaim_count = 1;
    sync_now(&w, &w.sites[0]);
    sync_now(&w, &w.sites[0]); /* the answer was lost */
    assert_int_equal(w.store.reclaims.len, 1);
    assert_int_equal(world_saw(&w, "site.reclaimed"), 1);
    assert_int_equal(world_saw(&w, "alarm.reclaim_breach"), 0);
    assert_int_equal(server_core_counts(w.core).reclaims, 1);
    w.sites[1].reclaims[0] = QUICK; /* another site's engine counts for itself */
    w.sites[1].reclaim_count = 1;
    sync_now(&w, &w.sites[1]);
    assert_int_equal(w.store.reclaims.len, 2);
    world_deinit(&w);
}

static void a_broken_promise_is_an_alarm_while_the_owner_still_waits(void **state)
{
    struct world w;
    struct reclaim late = QUICK;
    (void)state;
    world_init(&w);
    sites_join(&w);
    uint64_t audited = w.store.audit_seq;
    late.is_open = true;
    late.held = SPAN_MS(30001);
    w.sites[0].reclaims[0] = late;
    w.sites[0].reclaim_count = 1;
    sync_now(&w, &w.sites[0]);
    assert_int_equal(world_saw(&w, "alarm.reclaim_breach"), 1);
    assert_int_equal(world_saw(&w, "site.reclaimed"), 0);
    assert_int_equal(w.store.audit_seq, audited + 1);
    late.is_open = false;
    late.held = SPAN_MS(41000);
    w.sites[0].reclaims[0] = late;
    sync_now(&w, &w.sites[0]);
    const struct fake_reclaim *kept = vector_at(&w.store.reclaims, 0);
    assert_int_equal(w.store.reclaims.len, 1);
    assert_int_equal(kept->value.held.ms, 41000);
    assert_false(kept->value.is_open);
    assert_int_equal(world_saw(&w, "alarm.reclaim_breach"), 1);
    assert_int_equal(world_saw(&w, "site.reclaimed"), 1);
    assert_int_equal(server_core_counts(w.core).reclaim_breaches, 1);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_preempted_job_goes_on_at_once_when_its_copies_are_complete),
        cmocka_unit_test(copies_of_an_earlier_attempt_say_nothing_of_the_newest),
        cmocka_unit_test(a_reclaim_is_kept_and_told_of_once),
        cmocka_unit_test(a_broken_promise_is_an_alarm_while_the_owner_still_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
