/* Typed changes: what each expects, what is left when it does not hold. */
#include "scene.h"

#include <string.h>

static enum err get_job(struct scene *scene, uint64_t number, struct store_job *out)
{
    struct store_query query = {.kind = STORE_JOB_GET, .job_get = {{scene_id(number)}}};
    struct store_answer answer;
    enum err err = scene_ask(scene, &query, &answer);
    if (!err)
        *out = answer.jobs[0];
    return err;
}

static void a_job_reads_back_as_it_was_written(void **state)
{
    struct scene *scene = *state;
    struct job_row row = scene_job(7, 3, JOB_FAILED);
    row.cancel_requested = false;
    row.array_index = 41;
    row.attempt = 3;
    row.epoch = 9;
    row.program_failures = 2;
    row.infra_failures = 1;
    row.failures[FAILURE_OUT_OF_MEMORY] = 2;
    row.failures[FAILURE_NOT_STARTED] = 255;
    row.last_site.id = scene_id(12);
    row.ended_at.us = INT64_C(1790000000000001);
    row.exit_code = 137;
    row.outcome = OUTCOME_OUT_OF_MEMORY;
    row.version = 12;
    scene_add(scene, op_spec(1, "{\"name\":\"train\"}"));
    scene_add(scene, op_job(row));
    scene_apply_ok(scene);
    struct store_job back = {0};
    assert_int_equal(get_job(scene, 7, &back), ERR_OK);
    assert_memory_equal(&back.row.id, &row.id, sizeof row.id);
    assert_memory_equal(&back.row.spec, &row.spec, sizeof row.spec);
    assert_memory_equal(&back.row.tenant, &row.tenant, sizeof row.tenant);
    assert_memory_equal(&back.row.user, &row.user, sizeof row.user);
    assert_memory_equal(&back.row.last_site, &row.last_site, sizeof row.last_site);
    assert_int_equal(back.row.state, row.state);
    assert_int_equal(back.row.array_index, 41);
    assert_int_equal(back.row.attempt, 3);
    assert_int_equal(back.row.epoch, 9);
    assert_int_equal(back.row.created_epoch, 1);
    assert_int_equal(back.row.program_failures, 2);
    assert_int_equal(back.row.infra_failures, 1);
    assert_memory_equal(back.row.failures, row.failures, sizeof row.failures);
    assert_int_equal(back.row.created_at.us, row.created_at.us);
    assert_int_equal(back.row.ended_at.us, row.ended_at.us);
    assert_int_equal(back.row.exit_code, 137);
    assert_int_equal(back.row.outcome, OUTCOME_OUT_OF_MEMORY);
    assert_int_equal(back.row.version, 12);
    assert_true(slice_is(back.name, "train"));
    struct store_job none;
    assert_int_equal(get_job(scene, 8, &none), ERR_NOT_FOUND);
}

static void a_change_with_another_epoch_is_stale(void **state)
{
    struct scene *scene = *state;
    scene_add(scene, op_epoch(2));
    scene_add(scene, op_job(scene_job(1, 1, JOB_PENDING)));
    struct change_result result = scene_apply(scene);
    assert_int_equal(result.err, ERR_STALE);
    assert_int_equal(result.op, 0);
    struct store_job none;
    assert_int_equal(get_job(scene, 1, &none), ERR_NOT_FOUND);
}

static void the_epoch_rises_once_and_clears_the_mark_of_a_restore(void **state)
{
    struct scene *scene = *state;
    struct store_meta meta;
    scene_add(scene, (struct change_op){.kind = CHANGE_EPOCH_RAISE, .epoch = {1}});
    scene_apply_ok(scene);
    scene_add(scene, (struct change_op){.kind = CHANGE_EPOCH_RAISE, .epoch = {1}});
    assert_int_equal(scene_apply(scene).err, ERR_STALE);
    scene_close(scene);
    scene_open(scene);
    assert_int_equal(store_db_meta(scene->db, &meta), ERR_OK);
    assert_int_equal(meta.db_epoch, 2);
    assert_false(meta.is_restored);
}

static void a_job_moves_only_from_the_state_version_and_attempt_that_are_named(void **state)
{
    struct scene *scene = *state;
    struct job_row row = scene_job(1, 1, JOB_PENDING);
    scene_add(scene, op_job(row));
    scene_apply_ok(scene);
    row.version = 2;
    row.state = JOB_ACTIVE;
    row.attempt = 1;
    scene_add(scene, op_job_update(row, JOB_ACTIVE, 0));
    assert_int_equal(scene_apply(scene).err, ERR_STALE);
    scene_add(scene, op_job_update(row, JOB_PENDING, 1));
    assert_int_equal(scene_apply(scene).err, ERR_STALE);
    scene_add(scene, op_job_update(row, JOB_PENDING, 0));
    scene_apply_ok(scene);
    /* the same again has the version of the past */
    scene_add(scene, op_job_update(row, JOB_ACTIVE, 1));
    assert_int_equal(scene_apply(scene).err, ERR_STALE);
    /* without a move of state */
    row.version = 3;
    row.cancel_requested = true;
    scene_add(scene, op_job_update(row, JOB_ACTIVE, 1));
    scene_apply_ok(scene);
    struct store_job back = {0};
    assert_int_equal(get_job(scene, 1, &back), ERR_OK);
    assert_int_equal(back.row.state, JOB_ACTIVE);
    assert_true(back.row.cancel_requested);
    assert_int_equal(back.row.version, 3);
}

static void an_attempt_moves_only_under_its_whole_token(void **state)
{
    struct scene *scene = *state;
    struct attempt_row row = scene_attempt(1, 1, 4, ATTEMPT_OFFERED);
    scene_add(scene, op_attempt(row));
    scene_apply_ok(scene);
    scene_add(scene, op_attempt(row));
    assert_int_equal(scene_apply(scene).err, ERR_STALE);
    row.state = ATTEMPT_RUNNING;
    row.version = 2;
    row.started_at.us = 5;
    struct attempt_row other = row;
    other.token.epoch = 2;
    scene_add(scene, op_attempt_update(other, ATTEMPT_OFFERED));
    assert_int_equal(scene_apply(scene).err, ERR_STALE);
    scene_add(scene, op_attempt_update(row, ATTEMPT_OFFERED));
    scene_apply_ok(scene);
    row.version = 3;
    row.revoke = REVOKE_CANCELLED;
    scene_add(scene, op_attempt_update(row, ATTEMPT_RUNNING));
    scene_apply_ok(scene);
    struct store_query query = {.kind = STORE_ATTEMPT_LIST, .attempt_list = {row.token.job}};
    struct store_answer answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 1);
    const struct attempt_row *back = &answer.attempts[0].row;
    assert_true(attempt_token_is_equal(&back->token, &row.token));
    assert_int_equal(back->state, ATTEMPT_RUNNING);
    assert_int_equal(back->revoke, REVOKE_CANCELLED);
    assert_int_equal(back->contact.policy, CONTACT_LEASE);
    assert_int_equal(back->contact.lease.ms, 900000);
    assert_int_equal(back->ask_per_hour.micros, 1500000);
    assert_int_equal(back->offered_at.us, 77);
    assert_int_equal(back->started_at.us, 5);
    assert_int_equal(back->nodes, 2);
    assert_true(slice_is(answer.attempts[0].places, "[[0,[1]]]"));
}

static void a_stale_change_of_a_group_fails_alone(void **state)
{
    struct scene *scene = *state;
    struct change_op first[] = {op_epoch(1), op_job(scene_job(1, 1, JOB_PENDING)), op_event(1, 1)};
    struct change_op bad[] = {op_epoch(1), op_job(scene_job(2, 1, JOB_PENDING)), op_event(2, 1),
                              op_audit(1, 0, 1), op_job(scene_job(1, 1, JOB_PENDING))};
    struct change_op third[] = {op_epoch(1), op_job(scene_job(3, 1, JOB_PENDING)), op_event(2, 1),
                                op_audit(1, 0, 1)};
    struct change changes[] = {{first, 3}, {bad, 5}, {third, 4}};
    const struct change *list[] = {&changes[0], &changes[1], &changes[2]};
    struct change_result results[3];
    assert_int_equal(store_db_apply(scene->db, list, 3, (struct wall_us){1}, results, NULL),
                     ERR_OK);
    assert_int_equal(results[0].err, ERR_OK);
    assert_int_equal(results[1].err, ERR_STALE);
    assert_int_equal(results[1].op, 4);
    assert_int_equal(results[2].err, ERR_OK);
    struct store_job job;
    assert_int_equal(get_job(scene, 1, &job), ERR_OK);
    assert_int_equal(get_job(scene, 2, &job), ERR_NOT_FOUND);
    assert_int_equal(get_job(scene, 3, &job), ERR_OK);
    struct store_meta meta;
    assert_int_equal(store_db_meta(scene->db, &meta), ERR_OK);
    assert_int_equal(meta.event_seq, 2);
    assert_int_equal(meta.audit_seq, 1);
}

static void events_and_audit_records_must_follow_on(void **state)
{
    struct scene *scene = *state;
    scene_add(scene, op_event(2, 0));
    assert_int_equal(scene_apply(scene).err, ERR_STALE);
    scene_add(scene, op_event(1, 0));
    scene_add(scene, op_event(2, 0));
    scene_add(scene, op_audit(1, 0, 0xaa));
    scene_apply_ok(scene);
    scene_add(scene, op_event(2, 0));
    assert_int_equal(scene_apply(scene).err, ERR_STALE);
    scene_add(scene, op_audit(3, 0xaa, 0xbb));
    assert_int_equal(scene_apply(scene).err, ERR_STALE);
    scene_add(scene, op_audit(2, 0xab, 0xbb));
    assert_int_equal(scene_apply(scene).err, ERR_STALE);
    scene_add(scene, op_audit(2, 0xaa, 0xbb));
    scene_apply_ok(scene);
    scene_close(scene);
    scene_open(scene);
    scene_add(scene, op_audit(3, 0xbb, 0xcc));
    scene_add(scene, op_event(3, 0));
    scene_apply_ok(scene);
}

static void usage_is_kept_once_and_a_conflict_is_put_aside(void **state)
{
    struct scene *scene = *state;
    struct usage_record record = scene_usage(1, 2, 1, 7, 1000);
    scene_add(scene, op_job(scene_job(7, 3, JOB_ACTIVE)));
    scene_add(scene, op_usage(record));
    assert_int_equal(scene_apply(scene).usage_new, 1);
    scene_add(scene, op_usage(record));
    struct change_result again = scene_apply(scene);
    assert_int_equal(again.err, ERR_OK);
    assert_int_equal(again.usage_new, 0);
    assert_int_equal(again.usage_known, 1);
    struct usage_record forged = record;
    forged.delta.wall_ms = 999999;
    for (int i = 0; i < 2; i++) { /* the second time it lies in quarantine already */
        scene_add(scene, op_usage(forged));
        struct change_result conflict = scene_apply(scene);
        assert_int_equal(conflict.err, ERR_OK);
        assert_int_equal(conflict.usage_conflicts, 1);
        assert_int_equal(conflict.usage_new, 0);
    }
    struct store_query query = {.kind = STORE_USAGE_LIST, .usage_list = {.limit = 10}};
    struct store_answer answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 1);
    assert_true(usage_record_is_equal(&answer.usage[0].record, &record));
    assert_true(id_is_equal(answer.usage[0].tenant.id, scene_id(3)));
    query = (struct store_query){.kind = STORE_QUARANTINE_LIST, .quarantine_list = {.limit = 10}};
    answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 1);
    assert_true(usage_record_is_equal(&answer.quarantined[0].record, &forged));
    struct store_meta meta;
    assert_int_equal(store_db_meta(scene->db, &meta), ERR_OK);
    assert_int_equal(meta.quarantined, 1);
}

static struct change_op op_watermark(uint64_t expect, uint64_t seq)
{
    return (struct change_op){.kind = CHANGE_WATERMARK_SET,
                              .watermark = {{scene_id(1)}, {scene_id(2)}, expect, seq}};
}

static void a_watermark_moves_only_from_where_it_stands(void **state)
{
    struct scene *scene = *state;
    scene_add(scene, op_watermark(3, 4));
    assert_int_equal(scene_apply(scene).err, ERR_STALE);
    scene_add(scene, op_watermark(0, 3));
    scene_apply_ok(scene);
    scene_add(scene, op_watermark(0, 5));
    assert_int_equal(scene_apply(scene).err, ERR_STALE);
    scene_add(scene, op_watermark(3, 5));
    scene_apply_ok(scene);
    struct store_query query = {.kind = STORE_WATERMARK_LIST};
    struct store_answer answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.watermarks[0].seq, 5);
}

static void a_document_changes_only_from_its_version(void **state)
{
    struct scene *scene = *state;
    scene_add(scene, op_doc(DOC_SITE, "wuhu", "east", 0, "{\"a\":1}"));
    scene_apply_ok(scene);
    scene_add(scene, op_doc(DOC_SITE, "wuhu", "east", 0, "{\"a\":2}"));
    assert_int_equal(scene_apply(scene).err, ERR_STALE);
    scene_add(scene, op_doc(DOC_SITE, "wuhu", "west", 1, "{\"a\":2}"));
    scene_apply_ok(scene);
    scene_add(scene, op_doc(DOC_SITE, "wuhu", "west", 1, "{\"a\":3}"));
    assert_int_equal(scene_apply(scene).err, ERR_STALE);
    struct store_query query = {.kind = STORE_DOC_GET,
                                .doc_get = {DOC_SITE, SLICE_LITERAL("wuhu")}};
    struct store_answer answer = scene_answer(scene, &query);
    assert_int_equal(answer.docs[0].version, 2);
    assert_true(slice_is(answer.docs[0].parent, "west"));
    assert_true(slice_is(answer.docs[0].body, "{\"a\":2}"));
    struct change_op delete = op_doc(DOC_SITE, "wuhu", "", 1, "");
    delete.kind = CHANGE_DOC_DELETE;
    scene_add(scene, delete);
    assert_int_equal(scene_apply(scene).err, ERR_STALE);
    delete.doc.expect_version = 2;
    scene_add(scene, delete);
    scene_apply_ok(scene);
    assert_int_equal(scene_ask(scene, &query, &answer), ERR_NOT_FOUND);
}

static struct change_op op_key(const char *key, uint8_t request, int64_t expires_us)
{
    struct change_op op = {.kind = CHANGE_IDEMPOTENCY_INSERT};
    op.idempotency.scope = SLICE_LITERAL("tnt_a");
    op.idempotency.key = slice_of(key);
    op.idempotency.request.bytes[0] = request;
    op.idempotency.status = 201;
    op.idempotency.response = SLICE_LITERAL("{\"id\":1}");
    op.idempotency.expires_at.us = expires_us;
    return op;
}

/* scene_apply's clock stands at 1,000,000. */
static void an_idempotency_key_is_taken_until_it_expires(void **state)
{
    struct scene *scene = *state;
    scene_add(scene, op_key("k", 1, 2000000));
    scene_apply_ok(scene);
    scene_add(scene, op_key("k", 2, 3000000));
    assert_int_equal(scene_apply(scene).err, ERR_STALE);
    struct store_query query = {
        .kind = STORE_IDEMPOTENCY_GET,
        .idempotency_get = {SLICE_LITERAL("tnt_a"), SLICE_LITERAL("k"), {1999999}}};
    struct store_answer answer = scene_answer(scene, &query);
    assert_int_equal(answer.idempotency.request.bytes[0], 1);
    assert_int_equal(answer.idempotency.status, 201);
    assert_true(slice_is(answer.idempotency.response, "{\"id\":1}"));
    query.idempotency_get.now.us = 2000000;
    assert_int_equal(scene_ask(scene, &query, &answer), ERR_NOT_FOUND);
    /* expired ones are swept when others come, and may be taken again */
    scene_add(scene, op_key("old", 1, 900000));
    scene_apply_ok(scene);
    scene_add(scene, op_key("old", 2, 5000000));
    scene_apply_ok(scene);
}

static void put_reclaim(struct scene *scene, uint64_t site, const char *name, int64_t at,
                        int64_t held_ms, bool is_open)
{
    struct change_op op = {.kind = CHANGE_RECLAIM_PUT};
    op.reclaim.site.id = scene_id(site);
    op.reclaim.value = (struct reclaim){
        .name = slice_of(name), .at = {at}, .held = {held_ms}, .attempts = 1, .is_open = is_open};
    scene_add(scene, op);
    scene_apply_ok(scene);
}

static void a_reclaim_is_one_record_that_closes_once(void **state)
{
    struct scene *scene = *state;
    put_reclaim(scene, 1, "a", 100, 5, true);
    put_reclaim(scene, 1, "a", 100, 7, false);
    put_reclaim(scene, 1, "a", 100, 9, false); /* told again, measured a little differently */
    put_reclaim(scene, 1, "b", 200, 1, false);
    put_reclaim(scene, 2, "a", 150, 2, false);
    struct store_query query = {.kind = STORE_RECLAIM_LIST, .reclaim_list = {.limit = 2}};
    struct store_answer answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 2);
    assert_true(answer.has_more);
    assert_true(slice_is(answer.reclaims[0].value.name, "b"));
    assert_true(id_is_equal(answer.reclaims[1].site.id, scene_id(2)));
    query.reclaim_list.has_cursor = true;
    query.reclaim_list.before_site = answer.reclaims[1].site;
    query.reclaim_list.before_at = answer.reclaims[1].value.at;
    query.reclaim_list.before_name = SLICE_LITERAL("a");
    answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 1);
    assert_false(answer.has_more);
    assert_int_equal(answer.reclaims[0].value.held.ms, 7);
    assert_false(answer.reclaims[0].value.is_open);
    query = (struct store_query){.kind = STORE_RECLAIM_LIST,
                                 .reclaim_list = {.site = {scene_id(1)}, .limit = 9}};
    answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 2);
    assert_true(slice_is(answer.reclaims[0].value.name, "b"));
}

static void old_events_go_first_and_numbers_go_on(void **state)
{
    struct scene *scene = *state;
    scene_close(scene);
    struct store_config config = {
        .path = scene->path, .mode = STORE_WRITE, .events_kept_max = 1000};
    assert_int_equal(store_db_open(&config, &scene->db, NULL), ERR_OK);
    uint64_t seq = 0;
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 700; i++)
            scene_add(scene, op_event(++seq, 1));
        scene_apply_ok(scene);
    }
    struct store_meta meta;
    assert_int_equal(store_db_meta(scene->db, &meta), ERR_OK);
    assert_int_equal(meta.event_seq, 7000);
    assert_in_range(meta.event_first, 7000 - 1000 - 1024, 6001);
    struct store_query query = {.kind = STORE_EVENT_LIST, .event_list = {{.is_all = true}, 0, 10}};
    struct store_answer answer = scene_answer(scene, &query);
    assert_int_equal(answer.events.rows[0].seq, meta.event_first);
    assert_int_equal(answer.events.first_kept, meta.event_first);
    scene_close(scene);
    scene_open(scene);
    struct store_meta again;
    assert_int_equal(store_db_meta(scene->db, &again), ERR_OK);
    assert_int_equal(again.event_first, meta.event_first);
    assert_int_equal(again.event_seq, 7000);
}

static void an_artifact_reads_back_and_the_newest_sound_checkpoint_is_found(void **state)
{
    struct scene *scene = *state;
    for (uint64_t i = 1; i <= 4; i++) {
        struct change_op op = {.kind = CHANGE_ARTIFACT_INSERT};
        op.artifact = (struct artifact_row){
            .id = scene_id(100 + i),
            .kind = i == 4 ? ARTIFACT_OUTPUT : ARTIFACT_CHECKPOINT,
            .tenant = {scene_id(3)},
            .token = {.epoch = 1, .job = {scene_id(7)}, .number = 1},
            .step = i,
            .is_stale = i == 3,
            .size_bytes = 10 * i,
            .jurisdiction = SLICE_LITERAL("cn"),
            .runtime = RUNTIME_CANN,
            .world_size = 8,
            .manifest = SLICE_LITERAL("{\"format\":1}"),
            .created_at = {4},
        };
        scene_add(scene, op);
    }
    scene_apply_ok(scene);
    struct store_query query = {.kind = STORE_CHECKPOINT_NEWEST,
                                .checkpoint_newest = {{scene_id(7)}}};
    struct store_answer answer = scene_answer(scene, &query);
    const struct artifact_row *row = &answer.artifacts[0];
    assert_int_equal(row->step, 2);
    assert_int_equal(row->size_bytes, 20);
    assert_int_equal(row->runtime, RUNTIME_CANN);
    assert_int_equal(row->world_size, 8);
    assert_true(slice_is(row->jurisdiction, "cn"));
    assert_true(slice_is(row->manifest, "{\"format\":1}"));
    query = (struct store_query){.kind = STORE_ARTIFACT_LIST,
                                 .artifact_list = {.job = {scene_id(7)}, .limit = 10}};
    answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 4);
    assert_true(answer.artifacts[2].is_stale);
    assert_int_equal(answer.artifacts[0].manifest.len, 0);
    struct tenant_id tenant = {scene_id(3)};
    query = (struct store_query){.kind = STORE_ARTIFACT_LIST,
                                 .artifact_list = {.tenants = {.ids = &tenant, .count = 1},
                                                   .with_manifest = true,
                                                   .limit = 3}};
    answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 3);
    assert_true(answer.has_more);
    assert_true(slice_is(answer.artifacts[0].manifest, "{\"format\":1}"));
    query.artifact_list.after = answer.next.artifact;
    answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 1);
    assert_false(answer.has_more);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_job_reads_back_as_it_was_written),
        TEST(a_change_with_another_epoch_is_stale),
        TEST(the_epoch_rises_once_and_clears_the_mark_of_a_restore),
        TEST(a_job_moves_only_from_the_state_version_and_attempt_that_are_named),
        TEST(an_attempt_moves_only_under_its_whole_token),
        TEST(a_stale_change_of_a_group_fails_alone),
        TEST(events_and_audit_records_must_follow_on),
        TEST(usage_is_kept_once_and_a_conflict_is_put_aside),
        TEST(a_watermark_moves_only_from_where_it_stands),
        TEST(a_document_changes_only_from_its_version),
        TEST(an_idempotency_key_is_taken_until_it_expires),
        TEST(a_reclaim_is_one_record_that_closes_once),
        TEST(old_events_go_first_and_numbers_go_on),
        TEST(an_artifact_reads_back_and_the_newest_sound_checkpoint_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
