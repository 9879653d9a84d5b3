/* Submitting, cancelling, retrying: what people ask of jobs. */
#include <string.h>

#include "wire/json.h"
#include "world.h"

static void one_job_is_answered_with_its_row(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    struct json_document *document;
    struct fault fault = {0};
    (void)state;
    world_init(&w);
    struct job_id job = submit(&w, &spec);
    assert_int_equal(w.etag, 1);
    assert_int_equal(json_parse(w.body, &JSON_LIMITS_REQUEST, &document, &fault), ERR_OK);
    struct json_value jobs = json_object_get(json_root(document), "jobs");
    assert_int_equal(json_count(jobs), 1);
    struct id id;
    assert_int_equal(json_get_id(json_array_at(jobs, 0), "id", ID_PREFIX_JOB, &id, &fault), ERR_OK);
    assert_true(id_is_equal(id, job.id));
    json_document_destroy(document);
    assert_int_equal(world_saw(&w, "job.pending"), 1);
    world_deinit(&w);
}

static void an_array_shares_one_spec_and_keeps_its_order(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    struct json_document *document;
    struct fault fault = {0};
    (void)state;
    spec.array_count = 50;
    world_init(&w);
    uint64_t audited = w.store.audit_seq;
    (void)submit(&w, &spec);
    assert_int_equal(w.store.specs.len, 1);
    assert_int_equal(w.store.audit_seq, audited + 1);
    for (uint32_t i = 0; i < 50; i++) {
        const struct job_row *row = vector_at(&w.store.jobs, i);
        assert_int_equal(row->array_index, i);
        assert_true(i == 0 || id_compare(row[-1].id.id, row->id.id) < 0);
    }
    assert_int_equal(json_parse(w.body, &JSON_LIMITS_REQUEST, &document, &fault), ERR_OK);
    assert_int_equal(json_count(json_object_get(json_root(document), "jobs")), 50);
    uint64_t count;
    assert_int_equal(json_get_u64(json_root(document), "count", 50, 50, &count, &fault), ERR_OK);
    json_document_destroy(document);
    world_deinit(&w);
}

static void a_batch_is_taken_whole_or_not_at_all(void **state)
{
    struct world w;
    struct job_spec good = job_of(1, 1000), bad = job_of(3, 1000);
    const struct job_spec *specs[] = {&good, &bad, &good};
    (void)state;
    world_init(&w);
    submit_many(&w, specs, 3); /* no site has three nodes */
    assert_int_equal(w.status, API_UNPROCESSABLE);
    assert_non_null(strstr(w.body.data, "jobs[1]"));
    assert_int_equal(w.store.jobs.len, 0);
    assert_int_equal(w.ops, 0);
    specs[1] = &good;
    submit_many(&w, specs, 3);
    assert_int_equal(w.status, API_CREATED);
    assert_int_equal(w.store.jobs.len, 3);
    assert_int_equal(w.store.specs.len, 3);
    world_deinit(&w);
}

static void a_quota_counts_the_whole_path_of_tenants(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    const struct job_spec *asked = &spec;
    struct doc_value value = {.kind = DOC_TENANT};
    (void)state;
    world_init(&w);
    value.tenant = (struct tenant){.id = w.root,
                                   .name = SLICE_LITERAL("root"),
                                   .weight = 1,
                                   .quota.jobs_pending_max = MAYBE_U64(2)};
    assert_int_equal(doc_put(&w, &value, 1), API_OK);
    struct job_id first = submit(&w, &spec);
    (void)submit(&w, &spec);
    submit_many(&w, &asked, 1);
    assert_int_equal(w.status, API_BUSY);
    assert_non_null(strstr(w.body.data, "root"));
    world_restart(&w, false); /* counted anew from the rows */
    submit_many(&w, &asked, 1);
    assert_int_equal(w.status, API_BUSY);
    assert_int_equal(cancel(&w, first), API_OK);
    (void)submit(&w, &spec);
    world_deinit(&w);
}

static void the_number_of_unfinished_jobs_is_limited(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    const struct job_spec *asked = &spec;
    (void)state;
    spec.array_count = 40;
    world_init(&w);
    w.settings.jobs_live_max = 100;
    world_restart(&w, false);
    (void)submit(&w, &spec);
    (void)submit(&w, &spec);
    submit_many(&w, &asked, 1);
    assert_int_equal(w.status, API_BUSY);
    world_deinit(&w);
}

static void the_same_key_is_taken_once(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    const struct job_spec *asked = &spec;
    (void)state;
    world_init(&w);
    w.idempotency = (struct server_idempotency){
        .scope = SLICE_LITERAL("usr_1"), .key = SLICE_LITERAL("k1"), .is_set = true};
    submit_many(&w, &asked, 1);
    assert_int_equal(w.status, API_CREATED);
    assert_int_equal(w.store.keys.len, 1);
    submit_many(&w, &asked, 1); /* its change may still be on its way: the shell looks again */
    assert_int_equal(w.status, API_CONFLICT);
    assert_non_null(strstr(w.body.data, "idempotency_in_flight"));
    assert_int_equal(w.store.jobs.len, 1);
    w.idempotency.key = SLICE_LITERAL("k2");
    spec.contact = CONTACT_LEASE;
    spec.lease = SPAN_S(1);
    submit_many(&w, &asked, 1);
    assert_int_equal(w.status, API_UNPROCESSABLE); /* refused: nothing is kept */
    assert_int_equal(w.store.keys.len, 1);
    spec.lease = SPAN_MS(0);
    submit_many(&w, &asked, 1);
    assert_int_equal(w.status, API_CREATED);
    world_deinit(&w);
}

static struct slice spec_body(struct world *w, struct spec_id id)
{
    for (size_t i = 0; i < w->store.specs.len; i++) {
        const struct fake_spec *at = vector_at(&w->store.specs, i);
        if (id_is_equal(at->id.id, id.id))
            return at->body;
    }
    return (struct slice){0};
}

static enum api_status retry(struct world *w, const struct job_row *row)
{
    struct server_event event = {.kind = SERVER_RETRY, .handle = ++w->next_handle};
    event.retry.row = *row;
    event.retry.spec = spec_body(w, row->spec);
    world_step(w, &event);
    return w->status;
}

static void a_failed_job_runs_again_with_the_next_number(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    sites_join(&w);
    struct fake_site *site = run(&w, &spec, &job, &token);
    site_says(site, &token, PHASE_ENDED, OUTCOME_PROGRAM_ERROR);
    sync_now(&w, site);
    site_forgets(site);
    const struct job_row failed = *store_job(&w, job);
    assert_int_equal(failed.state, JOB_FAILED);
    assert_int_equal(retry(&w, &failed), API_OK);
    assert_int_equal(store_job(&w, job)->state, JOB_PENDING);
    assert_int_equal(store_job(&w, job)->program_failures, 0);
    assert_int_equal(retry(&w, &failed), API_CONFLICT); /* it is live now */
    sync_now(&w, site);
    world_place(&w);
    token = store_attempt(&w, job, 2)->token;
    site = site_of(&w, store_attempt(&w, job, 2)->site);
    site_says(site, &token, PHASE_ENDED, OUTCOME_PROGRAM_ERROR);
    sync_now(&w, site);
    assert_int_equal(retry(&w, &failed), API_CONFLICT); /* read before its last change */
    assert_int_equal(retry(&w, store_job(&w, job)), API_OK);
    world_deinit(&w);
}

static void a_job_that_succeeded_is_not_run_again(void **state)
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
    assert_int_equal(retry(&w, store_job(&w, job)), API_CONFLICT);
    world_deinit(&w);
}

static void a_stale_version_is_refused(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    struct job_id job = submit(&w, &spec);
    struct server_event event = {.kind = SERVER_CANCEL, .handle = ++w.next_handle};
    event.job.job = job;
    event.job.expect_version = 9;
    world_step(&w, &event);
    assert_int_equal(w.status, API_PRECONDITION);
    event.job.expect_version = 1;
    world_step(&w, &event);
    assert_int_equal(w.status, API_OK);
    world_deinit(&w);
}

static void a_deadline_that_passes_while_waiting_is_told(void **state)
{
    struct world w;
    struct job_spec spec = job_of(1, 1000);
    (void)state;
    world_init(&w);
    spec.deadline.us = w.now.wall.us + INT64_C(60000000);
    (void)submit(&w, &spec);
    world_wait(&w, SPAN_S(59));
    assert_int_equal(world_saw(&w, "job.overdue"), 0);
    world_wait(&w, SPAN_S(2));
    assert_int_equal(world_saw(&w, "job.overdue"), 1);
    world_wait(&w, SPAN_S(1000));
    assert_int_equal(world_saw(&w, "job.overdue"), 1);
    world_deinit(&w);
}

static void explanations_and_dry_runs_name_the_sites(void **state)
{
    struct world w;
    struct job_id job;
    struct attempt_token token;
    struct job_spec spec = job_of(1, 1000);
    struct buffer text;
    struct fault fault = {0};
    (void)state;
    world_init(&w);
    sites_join(&w);
    start(&w, &spec, &job, &token);
    buffer_init(&text, 1 << 20);
    assert_int_equal(server_core_explain(w.core, job, w.now, &text), ERR_OK);
    assert_non_null(strstr(buffer_text(&text), "\"verdict\":\"held\""));
    buffer_reset(&text);
    assert_int_equal(server_core_dry_run(w.core, &spec, w.team, w.now, &text, &fault), ERR_OK);
    assert_non_null(strstr(buffer_text(&text), "\"chosen\":\"a\""));
    buffer_reset(&text);
    const struct site_id all = {0};
    assert_int_equal(server_core_sites(w.core, all, w.now, &text), ERR_OK);
    assert_non_null(strstr(buffer_text(&text), "\"cpu_milli\":{\"total\":8000,\"held\":1000"));
    buffer_reset(&text);
    assert_int_equal(server_core_sites(w.core, w.sites[2].id, w.now, &text), ERR_OK);
    assert_int_equal(buffer_text(&text)[0], '{');
    buffer_deinit(&text);
    world_deinit(&w);
}

static void the_same_events_give_the_same_bytes(void **state)
{
    struct world w[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct job_spec spec = job_of(1, 500);
        spec.array_count = 20;
        world_init(&w[i]);
        sites_join(&w[i]);
        (void)submit(&w[i], &spec);
        world_place(&w[i]);
        world_wait(&w[i], SPAN_S(100));
    }
    assert_memory_equal(&w[0].store.audit_hash, &w[1].store.audit_hash, sizeof(struct hash256));
    assert_int_equal(w[0].seen_count, w[1].seen_count);
    for (uint32_t n = 0; n < w[0].seen_count; n++)
        assert_string_equal(w[0].seen[n], w[1].seen[n]);
    for (size_t n = 0; n < w[0].store.attempts.len; n++)
        assert_true(attempt_token_is_equal(
            &((struct fake_attempt *)vector_at(&w[0].store.attempts, n))->row.token,
            &((struct fake_attempt *)vector_at(&w[1].store.attempts, n))->row.token));
    world_deinit(&w[0]);
    world_deinit(&w[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_job_is_answered_with_its_row),
        cmocka_unit_test(an_array_shares_one_spec_and_keeps_its_order),
        cmocka_unit_test(a_batch_is_taken_whole_or_not_at_all),
        cmocka_unit_test(a_quota_counts_the_whole_path_of_tenants),
        cmocka_unit_test(the_number_of_unfinished_jobs_is_limited),
        cmocka_unit_test(the_same_key_is_taken_once),
        cmocka_unit_test(a_failed_job_runs_again_with_the_next_number),
        cmocka_unit_test(a_job_that_succeeded_is_not_run_again),
        cmocka_unit_test(a_stale_version_is_refused),
        cmocka_unit_test(a_deadline_that_passes_while_waiting_is_told),
        cmocka_unit_test(explanations_and_dry_runs_name_the_sites),
        cmocka_unit_test(the_same_events_give_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
