/* Usage records and artifacts: effects that are counted once, under the right token. */
#include <string.h>

#include "world.h"

static void site_uses(struct fake_site *site, const struct attempt_token *token, uint64_t first,
                      uint32_t count)
{
    site->usage_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct usage_record *record = &site->usage[i];
        *record = (struct usage_record){.site = site->id,
                                        .journal = site->journal,
                                        .seq = first + i,
                                        .token = *token,
                                        .delta.wall_ms = 1000};
        record->total.wall_ms = 1000 * (int64_t)record->seq;
    }
}

static void records_are_stored_once_and_acknowledged(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    site_uses(site, &token, 1, 3);
    sync_now(&w, site);
    assert_true(site->has_reply);
    assert_int_equal(site->reply.usage_acked, 3);
    assert_int_equal(store_mark(&w, site), 3);
    assert_int_equal(w.store.usage.len, 3);
    sync_now(&w, site); /* doubled */
    assert_int_equal(w.store.usage.len, 3);
    assert_int_equal(w.store.conflicts, 0);
    world_restart(&w, false);
    site->usage_acked = 2; /* a late message: one old record, one new */
    site_uses(site, &token, 3, 2);
    sync_told(&w, site);
    assert_int_equal(site->reply.usage_acked, 4);
    assert_int_equal(w.store.usage.len, 4);
    world_deinit(&w);
}

/* Ten minutes of running, with two devices held. */
static void site_meters(struct world *w, struct fake_site *site, const struct attempt_token *token,
                        uint64_t seq, int64_t cpu_ms, int64_t cpu_total_ms)
{
    enum { TEN_MINUTES = 600 * 1000 };
    site->usage_count = 1;
    site->usage[0] = (struct usage_record){
        .site = site->id,
        .journal = site->journal,
        .seq = seq,
        .token = *token,
        .delta = {.wall_ms = TEN_MINUTES, .cpu_ms = cpu_ms, .accel_ms = 2 * TEN_MINUTES},
        .total = {.cpu_ms = cpu_total_ms}};
    site->usage_acked = seq - 1;
    sync_now(w, site);
}

static void who_holds_devices_and_does_nothing_is_named(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    struct buffer text;
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    uint64_t seq = 1;
    for (; seq <= 4; seq++)
        site_meters(&w, site, &token, seq, 0, 0); /* not measured: nothing is said */
    site_meters(&w, site, &token, seq++, 500000, 500000);
    for (int i = 0; i < 2; i++)
        site_meters(&w, site, &token, seq++, 5000, 505000);
    assert_int_equal(world_saw(&w, "alarm.attempt_idle"), 0);
    for (int i = 0; i < 3; i++)
        site_meters(&w, site, &token, seq++, 5000, 520000);
    assert_int_equal(world_saw(&w, "alarm.attempt_idle"), 1);
    buffer_init(&text, 1 << 20);
    assert_int_equal(server_core_explain(w.core, job, w.now, &text), ERR_OK);
    assert_non_null(strstr(buffer_text(&text), "\"idle_ms\":3000000"));
    buffer_deinit(&text);
    site_meters(&w, site, &token, seq++, 400000, 920000);
    assert_int_equal(world_saw(&w, "attempt.busy"), 1);
    world_deinit(&w);
}

static void the_same_key_with_other_bytes_is_left_to_the_store(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    site_uses(site, &token, 1, 2);
    sync_now(&w, site);
    site->usage[0].delta.cpu_ms = 5;
    sync_now(&w, site);
    assert_int_equal(w.store.conflicts, 1);
    assert_int_equal(store_mark(&w, site), 2);
    struct server_event event = {.kind = SERVER_USAGE_CONFLICT};
    event.conflict.site = site->id;
    event.conflict.count = 1;
    world_step(&w, &event);
    assert_int_equal(world_saw(&w, "usage.conflict"), 1);
    world_deinit(&w);
}

static void a_gap_stops_the_watermark_and_is_asked_for_again(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    site_uses(site, &token, 3, 2);
    site->usage_acked = 2; /* more than was ever acknowledged: the database is older */
    sync_now(&w, site);
    assert_int_equal(store_mark(&w, site), 0);
    assert_int_equal(w.store.usage.len, 0);
    assert_int_equal(world_saw(&w, "usage.gap"), 1);
    assert_int_equal(site->reply.usage_acked, 0);
    site->usage_acked = 0;
    site_uses(site, &token, 1, 4);
    sync_told(&w, site);
    assert_int_equal(site->reply.usage_acked, 4);
    world_deinit(&w);
}

static void records_lost_for_good_are_told_once(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    site->usage_acked = 4;
    site->usage_oldest = 5;
    site_uses(site, &token, 5, 2);
    sync_now(&w, site);
    assert_int_equal(store_mark(&w, site), 6);
    assert_int_equal(world_saw(&w, "usage.lost"), 1);
    sync_now(&w, site);
    assert_int_equal(world_saw(&w, "usage.lost"), 1);
    world_deinit(&w);
}

static void records_of_unknown_attempts_are_kept(void **state)
{
    struct world w;
    (void)state;
    world_init(&w);
    sites_join(&w);
    const struct attempt_token unknown = {1, {world_id(&w)}, 1};
    site_uses(&w.sites[0], &unknown, 1, 1);
    sync_now(&w, &w.sites[0]);
    assert_int_equal(w.store.usage.len, 1);
    assert_int_equal(w.sites[0].reply.usage_acked, 1);
    world_deinit(&w);
}

static void numbers_that_no_honest_site_sends_are_refused(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    site->usage_oldest = UINT64_MAX;
    sync_now(&w, site);
    assert_int_equal(w.status, API_UNPROCESSABLE);
    site->usage_oldest = 1;
    site->lines[0].ran = SPAN_MS(INT64_MAX);
    sync_now(&w, site);
    site_says(site, &token, PHASE_ENDED, OUTCOME_SUCCEEDED);
    site->lines[0].ran = SPAN_MS(INT64_MAX);
    sync_now(&w, site);
    assert_int_equal(store_job(&w, job)->state, JOB_SUCCEEDED);
    world_deinit(&w);
}

static void the_usage_rules_can_be_broken(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    w.rules.usage_ack_after_commit = false;
    site_uses(site, &token, 1, 2);
    sync_now(&w, site);
    assert_int_equal(site->reply.usage_acked, 2);
    assert_int_equal(w.store.usage.len, 0); /* a crash now would lose them */
    sync_now(&w, site);
    assert_int_equal(w.store.usage.len, 2);
    assert_int_equal(store_mark(&w, site), 2);
    w.rules.usage_ack_after_commit = true;
    w.rules.usage_keeps_key = false;
    sync_now(&w, site);
    assert_int_equal(w.store.usage.len, 4);
    w.rules.usage_ack_is_contiguous = false;
    site_uses(site, &token, 9, 1);
    sync_told(&w, site);
    assert_int_equal(site->reply.usage_acked, 9);
    world_deinit(&w);
}

/* ---- artifacts */

static enum api_status upload(struct world *w, const struct attempt_token *token, uint64_t step,
                              const struct job_row *ended)
{
    struct server_event event = {.kind = SERVER_ARTIFACT, .handle = ++w->next_handle};
    event.artifact = (struct artifact_row){.id = world_id(w),
                                           .kind = ARTIFACT_CHECKPOINT,
                                           .tenant = w->team,
                                           .token = *token,
                                           .step = step,
                                           .size_bytes = 1000,
                                           .jurisdiction = SLICE_LITERAL("CN"),
                                           .world_size = 1,
                                           .manifest = SLICE_LITERAL("{}")};
    event.artifact_job = ended;
    world_step(w, &event);
    return w->status;
}

static void the_next_attempt_starts_from_the_newest_checkpoint(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    struct attempt_order order;
    struct fault fault = {0};
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    assert_int_equal(upload(&w, &token, 1, NULL), API_CREATED);
    site_says(site, &token, PHASE_ENDED, OUTCOME_PREEMPTED);
    sync_now(&w, site);
    site_forgets(site);
    assert_int_equal(upload(&w, &token, 2, NULL), API_CREATED); /* copied on after its end */
    const struct artifact_row *newest = vector_at(&w.store.artifacts, 1);
    world_restart(&w, false);
    sites_speak(&w);
    world_place(&w);
    struct attempt_token second = store_attempt(&w, job, 2)->token;
    site = site_of(&w, store_attempt(&w, job, 2)->site);
    const struct sync_command *command = site_told(site, SYNC_START, &second);
    assert_non_null(command);
    assert_int_equal(attempt_order_decode(command->order, &w.arena, &order, &fault), ERR_OK);
    assert_true(id_is_equal(order.restore, newest->id));
    assert_true(order.restore_step == ((UINT64_C(1) << 32) | 2));
    assert_int_equal(upload(&w, &token, 3, NULL), API_CONFLICT); /* stale: kept, not used */
    const struct artifact_row *stale = vector_at(&w.store.artifacts, 2);
    assert_true(stale->is_stale);
    assert_true(server_core_token_is_current(w.core, &second, site->id));
    assert_false(server_core_token_is_current(w.core, &token, site->id));
    world_deinit(&w);
}

static void an_output_may_come_after_its_job_has_ended(void **state)
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
    assert_int_equal(upload(&w, &token, 1, store_job(&w, job)), API_CREATED);
    token.number = 7;
    assert_int_equal(upload(&w, &token, 1, store_job(&w, job)), API_CONFLICT);
    assert_int_equal(upload(&w, &token, 1, NULL), API_CONFLICT);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_stored_once_and_acknowledged),
        cmocka_unit_test(who_holds_devices_and_does_nothing_is_named),
        cmocka_unit_test(the_same_key_with_other_bytes_is_left_to_the_store),
        cmocka_unit_test(a_gap_stops_the_watermark_and_is_asked_for_again),
        cmocka_unit_test(records_lost_for_good_are_told_once),
        cmocka_unit_test(records_of_unknown_attempts_are_kept),
        cmocka_unit_test(numbers_that_no_honest_site_sends_are_refused),
        cmocka_unit_test(the_usage_rules_can_be_broken),
        cmocka_unit_test(the_next_attempt_starts_from_the_newest_checkpoint),
        cmocka_unit_test(an_output_may_come_after_its_job_has_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
