/* Rows as the API shows them: golden forms and reading back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "scene.h"
#include "wire/row.h"

static const struct attempt_token TOKEN = {.epoch = 3, .job = {{{1}}}, .number = 2};

static struct job_row job_example(void)
{
    return (struct job_row){
        .id = {{{1}}},
        .spec = {{{2}}},
        .tenant = {{{3}}},
        .user = {{{4}}},
        .state = JOB_FAILED,
        .array_index = 7,
        .attempt = 2,
        .epoch = 3,
        .created_epoch = 1,
        .program_failures = 1,
        .infra_failures = 2,
        .failures = {[FAILURE_OUT_OF_MEMORY] = 1, [FAILURE_NODE_LOST] = 2},
        .last_site = {{{5}}},
        .created_at = {1700000000001000},
        .ended_at = {1700000009000000},
        .exit_code = 137,
        .outcome = OUTCOME_OUT_OF_MEMORY,
        .version = 9,
    };
}

static struct attempt_row attempt_example(void)
{
    return (struct attempt_row){
        .token = TOKEN,
        .site = {{{5}}},
        .journal = {{{6}}},
        .state = ATTEMPT_ENDED,
        .revoke = REVOKE_DRAIN,
        .outcome = OUTCOME_REVOKED,
        .exit_code = 143,
        .variant = 1,
        .nodes = 4,
        .contact = {CONTACT_LEASE, SPAN_S(600)},
        .ask_per_hour = {12345678},
        .offered_at = {1700000000001000},
        .started_at = {1700000000002000},
        .ended_at = {1700000009000000},
        .ran = {8998000},
        .version = 4,
    };
}

static struct usage_record usage_example(void)
{
    return (struct usage_record){
        .site = {{{5}}},
        .journal = {{{6}}},
        .seq = 12,
        .token = TOKEN,
        .is_last = true,
        .runtime = RUNTIME_CANN,
        .accelerator = "Ascend 910C",
        .delta = {1, 2, 3, 4, 5, 6, 7},
        .total = {10, 20, 30, 40, 50, 60, (INT64_C(1) << 53) - 1},
        .measured_at = {1700000009000000},
    };
}

static struct json_value golden(struct scene *scene, struct json_writer *writer, const char *path)
{
    assert_int_equal(json_writer_finish(writer), ERR_OK);
    scene_compare(scene, path, buffer_slice(&scene->buffer));
    return scene_json(scene, buffer_slice(&scene->buffer));
}

static void test_jobs_attempts_and_usage_read_back(void **state)
{
    struct scene *scene = *state;
    struct json_writer writer;
    struct job_row job = job_example(), job_again;
    struct attempt_row attempt = attempt_example(), attempt_again;
    struct usage_record usage = usage_example(), usage_again;

    json_writer_init(&writer, &scene->buffer);
    row_encode_job(&job, &writer);
    memset(&job_again, 0, sizeof(job_again));
    assert_int_equal(row_decode_job(golden(scene, &writer, "tests/golden/row/job.json"), &job_again,
                                    &scene->fault),
                     ERR_OK);
    assert_true(id_is_equal(job.last_site.id, job_again.last_site.id));
    assert_int_equal(job.exit_code, job_again.exit_code);
    assert_int_equal(job.outcome, job_again.outcome);
    assert_int_equal(job.state, job_again.state);
    assert_int_equal(job.created_at.us, job_again.created_at.us);
    assert_int_equal(job.infra_failures, job_again.infra_failures);
    assert_memory_equal(job.failures, job_again.failures, sizeof(job.failures));
    assert_int_equal(job.version, job_again.version);

    scene_reset(scene);
    json_writer_init(&writer, &scene->buffer);
    row_encode_attempt(&attempt, &writer);
    assert_int_equal(row_decode_attempt(golden(scene, &writer, "tests/golden/row/attempt.json"),
                                        &attempt_again, &scene->fault),
                     ERR_OK);
    assert_true(attempt_token_is_equal(&attempt.token, &attempt_again.token));
    assert_int_equal(attempt.contact.lease.ms, attempt_again.contact.lease.ms);
    assert_int_equal(attempt.contact.policy, attempt_again.contact.policy);
    assert_int_equal(attempt.ask_per_hour.micros, attempt_again.ask_per_hour.micros);
    assert_int_equal(attempt.ran.ms, attempt_again.ran.ms);
    assert_int_equal(attempt.revoke, attempt_again.revoke);

    scene_reset(scene);
    json_writer_init(&writer, &scene->buffer);
    row_encode_usage(&usage, &writer);
    assert_int_equal(row_decode_usage(golden(scene, &writer, "tests/golden/row/usage.json"),
                                      &usage_again, &scene->fault),
                     ERR_OK);
    assert_true(usage_record_is_equal(&usage, &usage_again));
}

static void test_audit_records_keep_what_their_hash_covers(void **state)
{
    struct scene *scene = *state;
    struct audit_record record = {
        .seq = 5,
        .at = {1700000000123456},
        .actor = SLICE_LITERAL("usr_x"),
        .action = SLICE_LITERAL("job.submit"),
        .subject = SLICE_LITERAL("job_x"),
        .detail = SLICE_LITERAL("{\"b\":1,\"a\":[true,null,\"\\n\",-5,1.5]}"),
        .previous = {{1, 2, 3}},
    };
    struct audit_record again;
    struct json_writer writer;
    struct hash256 hash;

    audit_record_hash(&record, &record.hash);
    json_writer_init(&writer, &scene->buffer);
    row_encode_audit(&record, &writer);
    assert_int_equal(row_decode_audit(golden(scene, &writer, "tests/golden/row/audit.json"),
                                      &scene->arena, &again, &scene->fault),
                     ERR_OK);
    audit_record_hash(&again, &hash);
    assert_memory_equal(hash.bytes, record.hash.bytes, HASH_BYTES);
    assert_memory_equal(again.hash.bytes, record.hash.bytes, HASH_BYTES);
}

static void test_events_and_artifacts_read_back(void **state)
{
    struct scene *scene = *state;
    struct event_record event = {
        .seq = 8,
        .at = {1700000000123000},
        .tenant = {{{3}}},
        .kind = SLICE_LITERAL("job.pending"),
        .subject = SLICE_LITERAL("job_x"),
        .body = SLICE_LITERAL("{\"name\":\"x\"}"),
    };
    struct artifact_row artifact = {
        .id = {{7}},
        .kind = ARTIFACT_CHECKPOINT,
        .tenant = {{{3}}},
        .token = TOKEN,
        .step = (UINT64_C(2) << 32) + 5,
        .is_stale = true,
        .size_bytes = 123,
        .jurisdiction = SLICE_LITERAL("CN"),
        .runtime = RUNTIME_MUSA,
        .world_size = 4,
        .manifest = SLICE_LITERAL("{\"files\":[]}"),
        .created_at = {1700000000123000},
    };
    struct event_record event_again;
    struct artifact_row artifact_again;
    struct json_writer writer;

    json_writer_init(&writer, &scene->buffer);
    row_encode_event(&event, &writer);
    assert_int_equal(row_decode_event(golden(scene, &writer, "tests/golden/row/event.json"),
                                      &scene->arena, &event_again, &scene->fault),
                     ERR_OK);
    assert_int_equal(event.at.us, event_again.at.us);
    assert_true(slice_is_equal(event.body, event_again.body));
    assert_true(slice_is_equal(event.kind, event_again.kind));
    scene_reset(scene);
    json_writer_init(&writer, &scene->buffer);
    row_encode_artifact(&artifact, &writer);
    assert_int_equal(row_decode_artifact(golden(scene, &writer, "tests/golden/row/artifact.json"),
                                         &scene->arena, &artifact_again, &scene->fault),
                     ERR_OK);
    assert_int_equal(artifact.step, artifact_again.step);
    assert_true(artifact_again.is_stale);
    assert_int_equal(artifact.runtime, artifact_again.runtime);
    assert_true(slice_is_equal(artifact.manifest, artifact_again.manifest));
}

static void test_members_of_a_newer_server_are_passed_over(void **state)
{
    struct scene *scene = *state;
    struct job_row job;
    assert_int_equal(
        row_decode_job(
            scene_json(scene,
                       slice_of("{\"id\":\"job_00000000000000000000000001\",\"new\":{\"a\":[1]},"
                                "\"spec_id\":\"spec_00000000000000000000000001\","
                                "\"tenant\":\"ten_00000000000000000000000001\","
                                "\"state\":\"pending\",\"version\":1}")),
            &job, &scene->fault),
        ERR_OK);
    assert_int_equal(job.exit_code, -1);
    assert_int_equal(
        row_decode_job(scene_json(scene, slice_of("{\"id\":\"job_00000000000000000000000001\","
                                                  "\"spec_id\":\"spec_00000000000000000000000001\","
                                                  "\"tenant\":\"ten_00000000000000000000000001\","
                                                  "\"state\":\"active\",\"version\":1}")),
                       &job, &scene->fault),
        ERR_CORRUPT);
}

static void test_wrong_usage_is_refused_with_its_place(void **state)
{
    struct scene *scene = *state;
    struct usage_record usage = usage_example(), out;
    struct json_writer writer;
    usage.delta.wall_ms = 11;
    json_writer_init(&writer, &scene->buffer);
    row_encode_usage(&usage, &writer);
    assert_int_equal(json_writer_finish(&writer), ERR_OK);
    assert_int_equal(
        row_decode_usage(scene_json(scene, buffer_slice(&scene->buffer)), &out, &scene->fault),
        ERR_INVALID);
    assert_string_equal(scene->fault.field, "wall_ms");
    assert_int_equal(scene->fault.line, 1);
}

int main(void)
{
#define SCENE_TEST(function) cmocka_unit_test_setup_teardown(function, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_jobs_attempts_and_usage_read_back),
        SCENE_TEST(test_audit_records_keep_what_their_hash_covers),
        SCENE_TEST(test_events_and_artifacts_read_back),
        SCENE_TEST(test_members_of_a_newer_server_are_passed_over),
        SCENE_TEST(test_wrong_usage_is_refused_with_its_place),
    };
    return cmocka_run_group_tests_name("wire row", tests, NULL, NULL);
}
