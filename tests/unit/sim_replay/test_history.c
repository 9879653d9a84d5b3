/* Recorded histories: what is read of them, and that a replay of one is the work that was recorded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "port/file.h"
#include "sim/history.h"
#include "sim/workload.h"

struct scene {
    struct arena arena;
    struct slice text;
    struct history history;
    struct fault fault;
};

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    arena_init(&scene->arena, (size_t)256 << 20);
    *state = scene;
    return file_read(HISTORY_SAMPLE, 1 << 20, &scene->arena, NULL, &scene->text) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    arena_deinit(&scene->arena);
    free(scene);
    return 0;
}

/* The sample with the first `from` made into `to`. */
static struct slice changed(struct scene *scene, const char *from, const char *to)
{
    const char *at = memmem(scene->text.data, scene->text.len, from, strlen(from));
    assert_non_null(at);
    size_t front = (size_t)(at - scene->text.data);
    const char *text = arena_printf(&scene->arena, "%.*s%s%s", (int)front, scene->text.data, to,
                                    at + strlen(from));
    return slice_of(text);
}

static void refused(struct scene *scene, struct slice text, uint32_t line, const char *word)
{
    memset(&scene->fault, 0, sizeof(scene->fault));
    assert_int_not_equal(history_read(text, &scene->arena, &scene->history, &scene->fault), ERR_OK);
    assert_int_equal(scene->fault.line, line);
    if (strstr(scene->fault.message, word) == NULL && strstr(scene->fault.field, word) == NULL)
        fail_msg("%s: %s", scene->fault.field, scene->fault.message);
}

static void jobs_run_as_long_as_all_their_attempts(void **state)
{
    struct scene *scene = *state;
    assert_true(history_is(scene->text));
    assert_int_equal(history_read(scene->text, &scene->arena, &scene->history, &scene->fault),
                     ERR_OK);
    const struct history *history = &scene->history;
    assert_int_equal(history->job_count, 2);
    assert_int_equal(history->never_ran, 1);
    assert_int_equal(history->jobs[0].duration_ms, 180000);
    assert_int_equal(history->jobs[0].arrival_ms, 600000);
    assert_int_equal(history->jobs[0].nodes, 2);
    assert_int_equal(history->jobs[0].cpu_milli, 2000);
    assert_int_equal(history->past[0].wait_ms, 2000);
    assert_true(slice_is(history->past[0].site, "far"));
    assert_true(slice_is(history->past[0].tenant, "team"));
    assert_int_equal(history->jobs[1].duration_ms, 1200000); /* it still runs: to the end */
    assert_int_equal(history->jobs[1].priority, PRIORITY_GUARANTEED);
}

static void tenants_come_after_their_parents_and_links_of_what_is_gone_are_left_out(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(history_read(scene->text, &scene->arena, &scene->history, &scene->fault),
                     ERR_OK);
    const struct topology *topology = &scene->history.topology;
    assert_int_equal(topology->tenant_count, 2);
    assert_true(topology->tenants[0].parent.len == 0);
    assert_true(slice_is_equal(topology->tenants[1].parent, topology->tenants[0].tenant.name));
    assert_int_equal(scene->history.jobs[0].tenant, 1);
    assert_int_equal(topology->link_count, 0);
    assert_int_equal(topology->sites[0].state, SITE_ACTIVE);
    assert_true(slice_is(topology->policy.currency, "CNY"));
}

static void an_owners_load_becomes_whole_nodes(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(history_read(scene->text, &scene->arena, &scene->history, &scene->fault),
                     ERR_OK);
    const struct history *history = &scene->history;
    assert_int_equal(history->change_count, 2); /* 48 % and 50 % of two nodes are one */
    assert_int_equal(history->changes[0].at_ms, 45 * 60000);
    assert_int_equal(history->changes[0].nodes, 1);
    assert_int_equal(history->changes[1].at_ms, 55 * 60000);
    assert_int_equal(history->changes[1].nodes, 0);
}

static void a_replay_is_the_recorded_work(void **state)
{
    struct scene *scene = *state;
    struct replay_setup setup;
    struct replay_result result;
    struct slice idle = changed(scene, "\"owner_core_us\":230000000", "\"owner_core_us\":0");
    scene->text = idle;
    idle = changed(scene, "\"owner_core_us\":240000000", "\"owner_core_us\":0");
    assert_int_equal(history_read(idle, &scene->arena, &scene->history, &scene->fault), ERR_OK);
    history_setup(&scene->history, &setup);
    assert_int_equal(replay_run(&setup, &scene->arena, &result, &scene->fault), ERR_OK);
    assert_int_equal(result.ended, 2);
    assert_true(result.core_ms == 180000.0 * 4 + 1200000.0);
}

static void it_is_a_trace_for_other_networks_too(void **state)
{
    struct scene *scene = *state;
    struct workload workload;
    assert_int_equal(
        workload_read(TRACE_HISTORY, scene->text, 0, &scene->arena, &workload, &scene->fault),
        ERR_OK);
    assert_int_equal(workload.count, 2);
    assert_int_equal(workload.passed_over, 1);
    assert_int_equal(workload.traced[0].arrival_ms, 0);
    assert_int_equal(workload.traced[1].arrival_ms, 20 * 60000);
    assert_int_equal(workload.traced[0].cpu_milli, 4000);
    assert_true(slice_is(workload.traced[0].home, "far"));
}

static void what_is_broken_is_told_with_its_line(void **state)
{
    struct scene *scene = *state;
    refused(scene, SLICE_LITERAL("{\"kind\":\"site\",\"value\":{}}\n"), 1, "head");
    refused(scene, changed(scene, "\"version\":1", "\"version\":2"), 1, "version");
    refused(scene, changed(scene, "\"kind\":\"link\"", "\"kind\":\"wire\""), 5, "wire");
    refused(scene, changed(scene, "\"cpus\":2", "\"cpus\":-2"), 8, "cpus");
    refused(scene, changed(scene, "\"ran_ms\":120000", "\"ran_ms\":-1"), 8, "ran");
    refused(scene, changed(scene, "\"submitted_at\":\"2026-11-26T15:30", "\"submitted_at\":\"then"),
            9, "submitted_at");
    refused(scene,
            changed(scene, "\"parent\":\"ten_01m8c9eq0hfj6a748rqhca3gmm\"",
                    "\"parent\":\"ten_01m8c9eq0hfj6a748rqhca3gmx\""),
            0, "parent");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_run_as_long_as_all_their_attempts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            tenants_come_after_their_parents_and_links_of_what_is_gone_are_left_out, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(an_owners_load_becomes_whole_nodes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_replay_is_the_recorded_work, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_is_a_trace_for_other_networks_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_broken_is_told_with_its_line, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
