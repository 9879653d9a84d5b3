/* What sites tell of their owners: reclaims are kept once and alarmed once; a job whose copies are
 * complete waits no longer. */
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
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

/* ---- contracts: a is the cheapest site, b the next */

static void say(struct world *w, struct fake_site *site, const char *surplus)
{
    site->surplus = slice_of(surplus);
    sync_now(w, site);
}

static struct fake_site *place_one(struct world *w, struct job_id *out_job)
{
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    return start(w, &spec, out_job, &token);
}

static void assert_explained(struct world *w, struct job_id job, const char *words)
{
    struct buffer out;
    buffer_init(&out, 1 << 20);
    assert_int_equal(server_core_explain(w->core, job, w->now, &out), ERR_OK);
    buffer_append_char(&out, '\0');
    if (strstr(buffer_slice(&out).data, words) == NULL)
        fail_msg("\"%s\" is not in %s", words, buffer_slice(&out).data);
    buffer_deinit(&out);
}

static void an_excluded_tenants_work_goes_elsewhere_and_is_told_why(void **state)
{
    struct world w;
    struct job_id job;
    (void)state;
    world_init(&w);
    sites_join(&w);
    say(&w, &w.sites[0], "{\"exclude_classes\":[\"standard\"]}");
    assert_int_equal(world_saw(&w, "site.surplus"), 1);
    sync_now(&w, &w.sites[0]); /* told again: no change */
    assert_int_equal(world_saw(&w, "site.surplus"), 1);
    assert_ptr_equal(place_one(&w, &job), &w.sites[1]);
    assert_explained(&w, job, "\"filter\":\"excluded\"");
    world_deinit(&w);
}

static void a_contract_that_changes_frees_what_waits(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    for (int i = 0; i < SITES; i++)
        say(&w, &w.sites[i], "{\"exclude_classes\":[\"standard\"]}");
    struct job_id job = submit(&w, &spec);
    world_place(&w);
    assert_int_equal(store_job(&w, job)->state, JOB_PENDING);
    assert_explained(&w, job, "\"blocked_by\":\"excluded\"");
    say(&w, &w.sites[2], "{}");
    world_place(&w);
    assert_int_equal(store_job(&w, job)->state, JOB_ACTIVE);
    world_deinit(&w);
}

static void outside_its_windows_a_site_takes_nothing(void **state)
{
    struct world w;
    struct job_id job;
    (void)state;
    world_init(&w);
    sites_join(&w);
    /* The world's wall clock stands within one minute of the day; the window is another one. */
    int64_t minute = w.now.wall.us / 60000000 % 1440;
    char text[128];
    (void)snprintf(text, sizeof(text), "{\"windows\":[\"%02d:%02d-%02d:%02d\"]}",
                   (int)((minute + 60) % 1440 / 60), (int)(minute % 60),
                   (int)((minute + 120) % 1440 / 60), (int)(minute % 60));
    say(&w, &w.sites[0], text);
    assert_ptr_equal(place_one(&w, &job), &w.sites[1]);
    assert_explained(&w, job, "\"filter\":\"window\"");
    w.now.wall.us += INT64_C(3660) * 1000000; /* an hour later it is open */
    sync_now(&w, &w.sites[0]);
    assert_ptr_equal(place_one(&w, &job), &w.sites[0]);
    (void)snprintf(text, sizeof(text), "{\"windows\":[\"%02d:%02d-%02d:%02d\"],\"run_min\":\"2h\"}",
                   (int)((minute + 60) % 1440 / 60), (int)(minute % 60),
                   (int)((minute + 120) % 1440 / 60), (int)(minute % 60));
    say(&w, &w.sites[0], text); /* open, but not for long enough */
    assert_ptr_equal(place_one(&w, &job), &w.sites[1]);
    world_deinit(&w);
}

static void an_ask_below_the_owners_floor_is_not_taken(void **state)
{
    struct world w;
    struct job_id job;
    (void)state;
    world_init(&w);
    sites_join(&w);
    say(&w, &w.sites[0], "{\"floor_per_cpu_hour\":\"1000\"}");
    assert_ptr_equal(place_one(&w, &job), &w.sites[1]);
    assert_explained(&w, job, "\"filter\":\"floor\"");
    world_restart(&w, false); /* the contract is kept */
    sites_speak(&w);
    assert_ptr_equal(place_one(&w, &job), &w.sites[1]);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_preempted_job_goes_on_at_once_when_its_copies_are_complete),
        cmocka_unit_test(copies_of_an_earlier_attempt_say_nothing_of_the_newest),
        cmocka_unit_test(a_reclaim_is_kept_and_told_of_once),
        cmocka_unit_test(a_broken_promise_is_an_alarm_while_the_owner_still_waits),
        cmocka_unit_test(an_excluded_tenants_work_goes_elsewhere_and_is_told_why),
        cmocka_unit_test(a_contract_that_changes_frees_what_waits),
        cmocka_unit_test(outside_its_windows_a_site_takes_nothing),
        cmocka_unit_test(an_ask_below_the_owners_floor_is_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
