/* Typed questions: pages, filters, cursors, sums, and the stream at the start. */
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOBS = 500, TENANTS = 7 };

/* Job n belongs to tenant n % 7 + 1, is in state n % 5, has spec 1 or 2. */
static void add_jobs(struct scene *scene)
{
    scene_add(scene, op_spec(1, "{\"name\":\"train-lm\",\"x\":1}"));
    scene_add(scene, op_spec(2, "{\"name\":\"render\"}"));
    for (uint64_t n = 1; n <= JOBS; n++) {
        struct job_row row = scene_job(n, n % TENANTS + 1, (enum job_state)(n % 5));
        row.spec.id = scene_id(n % 10 == 0 ? 2 : 1);
        scene_add(scene, op_job(row));
    }
    scene_apply_ok(scene);
}

static uint64_t number_of(struct id id)
{
    uint64_t number = 0;
    for (int i = 8; i < 16; i++)
        number = number << 8 | id.bytes[i];
    return number;
}

struct filter {
    uint64_t tenants[TENANTS];
    size_t count; /* 0: all */
    uint32_t states;
    const char *name;
};

static bool is_wanted(const struct filter *filter, uint64_t n)
{
    bool has_tenant = filter->count == 0;
    for (size_t i = 0; i < filter->count; i++)
        has_tenant |= filter->tenants[i] == n % TENANTS + 1;
    bool has_state = filter->states == 0 || (filter->states & (1u << (n % 5)));
    bool has_name = !filter->name || strstr(n % 10 == 0 ? "render" : "train-lm", filter->name);
    return has_tenant && has_state && has_name;
}

/* Walks all pages and compares with a plain look at every number. */
static void check_pages(struct scene *scene, const struct filter *filter, uint32_t limit)
{
    struct tenant_id ids[TENANTS];
    for (size_t i = 0; i < filter->count; i++)
        ids[i].id = scene_id(filter->tenants[i]);
    struct store_query query = {.kind = STORE_JOB_LIST,
                                .job_list = {.tenants = {filter->count == 0, ids, filter->count},
                                             .states = filter->states,
                                             .name = slice_of(filter->name),
                                             .limit = limit}};
    uint64_t expect = JOBS;
    for (;;) {
        struct store_answer answer = scene_answer(scene, &query);
        assert_true(answer.count <= limit);
        for (size_t i = 0; i < answer.count; i++) {
            while (expect > 0 && !is_wanted(filter, expect))
                expect--;
            assert_int_equal(number_of(answer.jobs[i].row.id.id), expect);
            assert_true(slice_is(answer.jobs[i].name, expect % 10 == 0 ? "render" : "train-lm"));
            expect--;
        }
        if (!answer.has_more)
            break;
        query.job_list.before = answer.next.job;
    }
    while (expect > 0 && !is_wanted(filter, expect))
        expect--;
    assert_int_equal(expect, 0);
}

static void pages_of_jobs_hold_all_that_is_asked_for_newest_first(void **state)
{
    struct scene *scene = *state;
    static const uint32_t limits[] = {1, 7, 100, 1000};
    static const struct filter filters[] = {
        {.count = 0},
        {.count = 0, .states = 1u << JOB_PENDING},
        {.count = 0, .states = 1u << JOB_PENDING | 1u << JOB_FAILED},
        {.tenants = {3}, .count = 1},
        {.tenants = {6, 2, 3}, .count = 3},
        {.tenants = {6, 2, 3}, .count = 3, .states = 1u << JOB_ACTIVE | 1u << JOB_CANCELLED},
        {.count = 0, .name = "end"},
        {.tenants = {1, 7}, .count = 2, .name = "train"},
        {.tenants = {99}, .count = 1},
        {.count = 0, .name = "nothing like it"},
    };
    add_jobs(scene);
    for (size_t f = 0; f < sizeof filters / sizeof filters[0]; f++) {
        for (size_t l = 0; l < sizeof limits / sizeof limits[0]; l++)
            check_pages(scene, &filters[f], limits[l]);
    }
}

static void an_empty_set_of_tenants_sees_nothing(void **state)
{
    struct scene *scene = *state;
    add_jobs(scene);
    scene_add(scene, op_event(1, 1));
    scene_apply_ok(scene);
    struct store_query query = {.kind = STORE_JOB_LIST, .job_list = {.limit = 10}};
    assert_int_equal(scene_answer(scene, &query).count, 0);
    query = (struct store_query){.kind = STORE_EVENT_LIST, .event_list = {.limit = 10}};
    assert_int_equal(scene_answer(scene, &query).count, 0);
    query = (struct store_query){.kind = STORE_JOB_COUNT};
    assert_int_equal(scene_answer(scene, &query).job_count.by_state[JOB_PENDING], 0);
}

static void limits_out_of_range_are_refused(void **state)
{
    struct scene *scene = *state;
    struct store_answer answer;
    struct store_query query = {.kind = STORE_JOB_LIST};
    assert_int_equal(scene_ask(scene, &query, &answer), ERR_INVALID);
    query.job_list.limit = STORE_PAGE_MAX + 1;
    assert_int_equal(scene_ask(scene, &query, &answer), ERR_INVALID);
}

static void jobs_are_counted_by_state_for_all_and_for_some(void **state)
{
    struct scene *scene = *state;
    add_jobs(scene);
    struct tenant_id ids[] = {{scene_id(2)}, {scene_id(5)}};
    struct store_query query = {.kind = STORE_JOB_COUNT, .job_count = {{.is_all = true}}};
    struct store_answer answer = scene_answer(scene, &query);
    for (int s = 0; s < JOB_STATE_COUNT_; s++)
        assert_int_equal(answer.job_count.by_state[s], JOBS / 5);
    query.job_count.tenants = (struct store_tenants){.ids = ids, .count = 2};
    answer = scene_answer(scene, &query);
    uint64_t counted[JOB_STATE_COUNT_] = {0};
    for (uint64_t n = 1; n <= JOBS; n++)
        counted[n % 5] += n % TENANTS + 1 == 2 || n % TENANTS + 1 == 5;
    for (int s = 0; s < JOB_STATE_COUNT_; s++)
        assert_int_equal(answer.job_count.by_state[s], counted[s]);
}

static void attempts_are_found_by_job_by_site_and_by_state(void **state)
{
    struct scene *scene = *state;
    for (uint64_t job = 1; job <= 20; job++) {
        for (uint32_t number = 1; number <= 3; number++) {
            enum attempt_state at = number < 3 ? ATTEMPT_ENDED
                                    : job % 2  ? ATTEMPT_RUNNING
                                               : ATTEMPT_NEVER;
            scene_add(scene, op_attempt(scene_attempt(job, number, job % 4 + 1, at)));
        }
    }
    scene_apply_ok(scene);
    struct store_query query = {.kind = STORE_ATTEMPT_LIST, .attempt_list = {{scene_id(4)}}};
    struct store_answer answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 3);
    assert_int_equal(answer.attempts[2].row.token.number, 3);
    query = (struct store_query){.kind = STORE_ATTEMPT_AT,
                                 .attempt_at = {.states = 1u << ATTEMPT_RUNNING, .limit = 4}};
    size_t seen = 0;
    do { /* pages go on from the last row */
        answer = scene_answer(scene, &query);
        seen += answer.count;
        for (size_t i = 0; i < answer.count; i++)
            assert_int_equal(answer.attempts[i].row.state, ATTEMPT_RUNNING);
        query.attempt_at.after_job = answer.next.attempt.job;
        query.attempt_at.after_number = answer.next.attempt.number;
    } while (answer.has_more);
    assert_int_equal(seen, 10);
    query.attempt_at.site.id = scene_id(2); /* jobs 1, 5, 9, ...: all odd */
    query.attempt_at.after_job = (struct job_id){{{0}}};
    query.attempt_at.after_number = 0;
    query.attempt_at.limit = 100;
    assert_int_equal(scene_answer(scene, &query).count, 5);
    query.attempt_at.states = 1u << ATTEMPT_ENDED | 1u << ATTEMPT_RUNNING;
    assert_int_equal(scene_answer(scene, &query).count, 15);
    query.attempt_at.site.id = scene_id(77);
    assert_int_equal(scene_answer(scene, &query).count, 0);
}

/* ---- usage ---- */

enum { USAGE_DAYS = 12 };

/* Two sites with a journal each, a record a day, each site one job of its own tenant. */
static void add_usage(struct scene *scene)
{
    scene_add(scene, op_job(scene_job(1, 3, JOB_ACTIVE)));
    scene_add(scene, op_job(scene_job(2, 4, JOB_ACTIVE)));
    for (uint64_t seq = 1; seq <= USAGE_DAYS; seq++) {
        scene_add(scene, op_usage(scene_usage(10, 20, seq, 1, 100)));
        scene_add(scene, op_usage(scene_usage(11, 21, seq, 2, 1000)));
    }
    scene_apply_ok(scene);
}

static void usage_lists_by_job_by_stream_and_whole_in_pages(void **state)
{
    struct scene *scene = *state;
    add_usage(scene);
    struct store_query query = {.kind = STORE_USAGE_LIST, .usage_list = {.limit = 5}};
    uint64_t seen = 0;
    struct store_answer answer;
    do {
        answer = scene_answer(scene, &query);
        seen += answer.count;
        query.usage_list.after_stream = answer.usage[answer.count - 1].stream;
        query.usage_list.after_seq = answer.usage[answer.count - 1].record.seq;
    } while (answer.has_more);
    assert_int_equal(seen, 2 * USAGE_DAYS);
    query = (struct store_query){
        .kind = STORE_USAGE_LIST,
        .usage_list = {
            .site = {scene_id(11)}, .journal = {scene_id(21)}, .after_seq = 4, .limit = 100}};
    answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, USAGE_DAYS - 4);
    struct usage_record wanted = scene_usage(11, 21, 5, 2, 1000);
    assert_true(usage_record_is_equal(&answer.usage[0].record, &wanted));
    query = (struct store_query){.kind = STORE_USAGE_LIST,
                                 .usage_list = {.job = {scene_id(1)}, .limit = 100}};
    answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, USAGE_DAYS);
    query.usage_list.job.id = scene_id(9);
    assert_int_equal(scene_answer(scene, &query).count, 0);
}

static void usage_sums_by_each_group_within_a_time(void **state)
{
    struct scene *scene = *state;
    add_usage(scene);
    struct store_query query = {
        .kind = STORE_USAGE_SUM,
        .usage_sum = {.tenants = {.is_all = true}, .group = USAGE_BY_TENANT, .limit = 100}};
    struct store_answer answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 2);
    assert_true(id_is_equal(answer.sums[0].tenant.id, scene_id(3)));
    assert_int_equal(answer.sums[0].quantities.wall_ms, 100 * USAGE_DAYS);
    assert_int_equal(answer.sums[0].quantities.accel_ms, 800 * USAGE_DAYS);
    assert_int_equal(answer.sums[1].records, USAGE_DAYS);
    /* days 3 and 4 alone */
    query.usage_sum.from.us = INT64_C(86400000000) * 3;
    query.usage_sum.to.us = INT64_C(86400000000) * 5;
    query.usage_sum.group = USAGE_BY_SITE;
    answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 2);
    assert_true(id_is_equal(answer.sums[1].site.id, scene_id(11)));
    assert_int_equal(answer.sums[1].quantities.wall_ms, 2000);
    query.usage_sum.group = USAGE_BY_DAY;
    answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 2);
    assert_int_equal(answer.sums[0].day.us, INT64_C(86400000000) * 3);
    assert_int_equal(answer.sums[0].quantities.wall_ms, 1100);
    /* Beijing's days begin eight hours earlier than UTC's */
    query.usage_sum.zone = SPAN_S(8 * 3600);
    answer = scene_answer(scene, &query);
    assert_int_equal(answer.sums[0].day.us, INT64_C(86400000000) * 3 - INT64_C(28800000000));
    struct tenant_id tenant = {scene_id(4)};
    query.usage_sum.tenants = (struct store_tenants){.ids = &tenant, .count = 1};
    query.usage_sum.group = USAGE_BY_JOB;
    answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 1);
    assert_true(id_is_equal(answer.sums[0].job.id, scene_id(2)));
    query.usage_sum.job.id = scene_id(1); /* not this tenant's */
    assert_int_equal(scene_answer(scene, &query).count, 0);
    /* groups in pages */
    query = (struct store_query){
        .kind = STORE_USAGE_SUM,
        .usage_sum = {.tenants = {.is_all = true}, .group = USAGE_BY_JOB, .limit = 1}};
    answer = scene_answer(scene, &query);
    assert_true(answer.has_more);
    query.usage_sum.after = answer.sums[0].job.id;
    answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 1);
    assert_false(answer.has_more);
    assert_true(id_is_equal(answer.sums[0].job.id, scene_id(2)));
}

/* ---- logs and documents ---- */

static void events_go_on_behind_those_of_others(void **state)
{
    struct scene *scene = *state;
    for (uint64_t seq = 1; seq <= 30; seq++)
        scene_add(scene, op_event(seq, seq % 3)); /* each third: no tenant */
    scene_apply_ok(scene);
    struct tenant_id tenant = {scene_id(2)};
    struct store_query query = {
        .kind = STORE_EVENT_LIST,
        .event_list = {.tenants = {.ids = &tenant, .count = 1}, .after = 3, .limit = 4}};
    struct store_answer answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 4);
    assert_true(answer.has_more);
    assert_int_equal(answer.events.rows[0].seq, 5);
    query.event_list.after = answer.next.seq;
    query.event_list.limit = 100;
    answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 5);
    assert_false(answer.has_more);
    assert_int_equal(answer.next.seq, 30); /* nothing of ours was missed up to here */
    query.event_list.tenants = (struct store_tenants){.is_all = true};
    query.event_list.after = 0;
    answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 30);
    assert_true(id_is_none(answer.events.rows[2].tenant.id));
    assert_true(slice_is(answer.events.rows[2].kind, "job.pending"));
}

static void audit_records_read_back_with_their_chain(void **state)
{
    struct scene *scene = *state;
    for (uint8_t seq = 1; seq <= 10; seq++)
        scene_add(scene, op_audit(seq, seq - 1, seq));
    scene_apply_ok(scene);
    struct store_query query = {.kind = STORE_AUDIT_LIST, .audit_list = {.after = 7, .limit = 2}};
    struct store_answer answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 2);
    assert_true(answer.has_more);
    assert_int_equal(answer.audit[0].seq, 8);
    assert_int_equal(answer.audit[0].previous.bytes[0], 7);
    assert_int_equal(answer.audit[0].hash.bytes[0], 8);
    assert_true(slice_is(answer.audit[0].actor, "user_a"));
    assert_int_equal(answer.next.seq, 9);
    query.audit_list.tenant = SLICE_LITERAL("tnt_b");
    assert_int_equal(scene_answer(scene, &query).count, 0);
}

static void documents_list_by_kind_and_by_parent_in_pages(void **state)
{
    struct scene *scene = *state;
    static const char *const names[] = {"c", "a", "e", "b", "d"};
    for (size_t i = 0; i < 5; i++)
        scene_add(scene, op_doc(DOC_SITE, names[i], i % 2 ? "east" : "west", 0, "{}"));
    scene_add(scene, op_doc(DOC_REGION, "a", "", 0, "{}"));
    scene_apply_ok(scene);
    struct store_query query = {.kind = STORE_DOC_LIST, .doc_list = {.kind = DOC_SITE, .limit = 3}};
    struct store_answer answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 3);
    assert_true(answer.has_more);
    assert_true(slice_is(answer.docs[2].id, "c"));
    query.doc_list.after = SLICE_LITERAL("c");
    answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 2);
    assert_false(answer.has_more);
    query.doc_list.after = (struct slice){"", 0};
    query.doc_list.has_parent = true;
    query.doc_list.parent = SLICE_LITERAL("east");
    answer = scene_answer(scene, &query);
    assert_int_equal(answer.count, 2);
    assert_true(slice_is(answer.docs[0].id, "a"));
    assert_true(slice_is(answer.docs[1].id, "b"));
}

/* ---- the start ---- */

struct start {
    char log[4096];
    size_t jobs, attempts;
    struct job_id last_job;
    enum err refuse;
};

static void note(struct start *start, const char *what, struct slice detail)
{
    size_t len = strlen(start->log);
    snprintf(start->log + len, sizeof start->log - len, "%s:%.*s ", what, SLICE_ARG(detail));
}

static enum err see_meta(void *context, const struct store_meta *meta)
{
    note(context, "meta", slice_of(meta->event_seq == 1 && meta->db_epoch == 1 ? "1" : "?"));
    return ERR_OK;
}

static enum err see_doc(void *context, const struct doc *doc)
{
    note(context, "doc", doc->id);
    return ERR_OK;
}

static enum err see_spec(void *context, struct spec_id id, struct slice body)
{
    (void)id;
    note(context, "spec", body);
    return ERR_OK;
}

static enum err see_job(void *context, const struct job_row *row)
{
    struct start *start = context;
    assert_true(row->state == JOB_PENDING || row->state == JOB_ACTIVE);
    assert_true(id_compare(start->last_job.id, row->id.id) < 0);
    start->last_job = row->id;
    start->jobs++;
    return start->refuse;
}

static enum err see_attempt(void *context, const struct attempt_row *row, struct slice places)
{
    struct start *start = context;
    assert_false(attempt_state_is_final(row->state));
    assert_true(slice_is(places, "[[0,[1]]]"));
    start->attempts++;
    return ERR_OK;
}

static enum err see_watermark(void *context, struct site_id site, struct journal_id journal,
                              uint64_t seq)
{
    (void)site, (void)journal;
    note(context, "watermark", slice_of(seq == 9 ? "9" : "?"));
    return ERR_OK;
}

static void the_start_gives_what_is_live_in_the_stated_order(void **state)
{
    struct scene *scene = *state;
    struct start start = {.refuse = ERR_OK};
    struct store_load_sink sink = {see_meta,    see_doc,       see_spec, see_job,
                                   see_attempt, see_watermark, &start};
    scene_add(scene, op_doc(DOC_SITE, "wuhu", "", 0, "{}"));
    scene_add(scene, op_doc(DOC_REGION, "east", "", 0, "{}"));
    scene_add(scene, op_spec(1, "live"));
    scene_add(scene, op_spec(2, "ended"));
    for (uint64_t n = 1; n <= 100; n++) {
        enum job_state at = n % 10 == 0 ? JOB_ACTIVE : n % 10 == 1 ? JOB_PENDING : JOB_SUCCEEDED;
        struct job_row row = scene_job(n, 101 - n, at); /* the tenants run against the ids */
        row.spec.id = scene_id(at == JOB_SUCCEEDED ? 2 : 1);
        scene_add(scene, op_job(row));
        scene_add(scene, op_attempt(scene_attempt(
                             n, 1, 1, at == JOB_ACTIVE ? ATTEMPT_UNKNOWN : ATTEMPT_ENDED)));
    }
    scene_add(scene, op_event(1, 1));
    scene_add(scene, (struct change_op){.kind = CHANGE_WATERMARK_SET,
                                        .watermark = {{scene_id(1)}, {scene_id(2)}, 0, 9}});
    scene_apply_ok(scene);
    assert_int_equal(store_db_load(scene->db, &sink, NULL), ERR_OK);
    assert_string_equal(start.log, "meta:1 doc:east doc:wuhu spec:live watermark:9 ");
    assert_int_equal(start.jobs, 20);
    assert_int_equal(start.attempts, 10);
    /* a callback's error ends it, and the database goes on */
    start = (struct start){.refuse = ERR_NO_MEMORY};
    assert_int_equal(store_db_load(scene->db, &sink, NULL), ERR_NO_MEMORY);
    assert_int_equal(start.jobs, 1);
    scene_add(scene, op_event(2, 1));
    scene_apply_ok(scene);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(pages_of_jobs_hold_all_that_is_asked_for_newest_first),
        TEST(an_empty_set_of_tenants_sees_nothing),
        TEST(limits_out_of_range_are_refused),
        TEST(jobs_are_counted_by_state_for_all_and_for_some),
        TEST(attempts_are_found_by_job_by_site_and_by_state),
        TEST(usage_lists_by_job_by_stream_and_whole_in_pages),
        TEST(usage_sums_by_each_group_within_a_time),
        TEST(events_go_on_behind_those_of_others),
        TEST(audit_records_read_back_with_their_chain),
        TEST(documents_list_by_kind_and_by_parent_in_pages),
        TEST(the_start_gives_what_is_live_in_the_stated_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
