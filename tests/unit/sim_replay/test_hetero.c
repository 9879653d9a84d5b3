/* Mixed chips: the reader, small schedules known by hand, and their bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim/hetero.h"

#define COMMAND "python x.py\tdir\t--steps\t1\t"
#define REST "\t1\t-1.000000\t"

static const char SPEEDS[] = "job,width,fast,slow\nA,1,10,5\nA,2,20,0.0\nB,1,1.5,1.25\n";

static int setup(void **state)
{
    static struct arena arena; /* of the test that runs */
    arena_init(&arena, (size_t)16 << 20);
    *state = &arena;
    return 0;
}

static int teardown(void **state)
{
    arena_deinit(*state);
    return 0;
}

static struct hetero_speeds speeds_read(struct arena *arena)
{
    struct hetero_speeds speeds;
    struct fault fault = {0};
    assert_int_equal(hetero_speeds_read(SLICE_LITERAL(SPEEDS), arena, &speeds, &fault), ERR_OK);
    return speeds;
}

static struct hetero_list list_read(struct arena *arena, const char *text)
{
    struct hetero_speeds speeds = speeds_read(arena);
    struct hetero_list list;
    struct fault fault = {0};
    assert_int_equal(hetero_trace_read(slice_of(text), &speeds, arena, &list, &fault), ERR_OK);
    return list;
}

static void test_a_trace_is_read_with_the_speeds_of_its_jobs(void **state)
{
    struct hetero_list list =
        list_read(*state, "A\t" COMMAND "100\t1" REST "0\nA\t" COMMAND "100\t2" REST "7.5\n");
    assert_int_equal(list.count, 2);
    assert_int_equal(list.jobs[0].work.need_ms[0], 10000);
    assert_int_equal(list.jobs[0].work.need_ms[1], 20000);
    assert_int_equal(list.jobs[1].work.width, 2);
    assert_int_equal(list.jobs[1].work.need_ms[1], 0);
    assert_int_equal(list.jobs[1].arrives_ms, 7500);
}

static void test_a_stated_duration_needs_no_speeds(void **state)
{
    struct hetero_list list;
    struct fault fault = {0};
    struct slice text = slice_of("C\t" COMMAND "9\t4\tgns" REST "1418\t55");
    assert_int_equal(hetero_trace_read(text, NULL, *state, &list, &fault), ERR_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.jobs[0].work.need_ms[0], 1418000);
    assert_int_equal(list.jobs[0].arrives_ms, 55000);
}

static void test_what_is_wrong_is_told_with_line_and_column(void **state)
{
    static const struct {
        const char *text;
        enum err err;
        uint32_t line, column;
    } CASES[] = {
        {"A\t" COMMAND "1\t1" REST "0\nA\tshort\n", ERR_INVALID, 2, 1},
        {"Z\t" COMMAND "1\t1" REST "0\n", ERR_NOT_FOUND, 1, 1},
        {"A\t" COMMAND "x\t1" REST "0\n", ERR_INVALID, 1, 29},
        {"A\t" COMMAND "1\t0" REST "0\n", ERR_INVALID, 1, 31},
        {"A\t" COMMAND "1\t-1" REST "0\n", ERR_INVALID, 1, 31},
        {"A\t" COMMAND "1\t1" REST "5\nA\t" COMMAND "1\t1" REST "4\n", ERR_INVALID, 2, 45},
    };
    struct hetero_speeds speeds = speeds_read(*state);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct hetero_list list;
        struct fault fault = {0};
        assert_int_equal(hetero_trace_read(slice_of(CASES[i].text), &speeds, *state, &list, &fault),
                         CASES[i].err);
        assert_int_equal(fault.line, CASES[i].line);
        assert_int_equal(fault.column, CASES[i].column);
    }
}

static void test_a_table_of_speeds_without_figures_is_refused(void **state)
{
    static const char *const CASES[] = {"",
                                        "job\n",
                                        "job,width,k\nA,0,1\n",
                                        "job,width,k\nA,1,\n",
                                        "job,width,k\nA,1,-2\n",
                                        "job,width,k\nA,1\n"};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct hetero_speeds speeds;
        struct fault fault = {0};
        assert_int_equal(hetero_speeds_read(slice_of(CASES[i]), *state, &speeds, &fault),
                         ERR_INVALID);
        assert_true(fault.message[0] != '\0');
    }
}

/* 10 s and 20 s of work on one device: 10 + 30 shortest first, 30 in all. */
static void test_the_shortest_work_first_is_best_on_one_device(void **state)
{
    struct hetero_list list =
        list_read(*state, "A\t" COMMAND "200\t1" REST "0\nA\t" COMMAND "100\t1" REST "0\n");
    const struct mix_pool pool = {1, {1}};
    struct hetero_result mean, fifo;
    struct hetero_bound bound;
    struct fault fault = {0};
    assert_int_equal(hetero_run(&list, &pool, 60000, HETERO_MEAN, &mean, &fault), ERR_OK);
    assert_int_equal(hetero_run(&list, &pool, 60000, HETERO_FIFO, &fifo, &fault), ERR_OK);
    assert_int_equal(hetero_bound_find(&list, &pool, &bound), ERR_OK);
    assert_float_equal(mean.completion_s, 20, 0.01);
    assert_float_equal(fifo.completion_s, 25, 0.01);
    assert_float_equal(mean.makespan_s, 30, 0.01);
    assert_float_equal(bound.completion_s, 20, 0.01);
    assert_float_equal(bound.makespan_s, 30, 0.1);
}

/* Three jobs of 20 s on two devices end after 30 s only if they are stopped and go on. */
static void test_jobs_take_turns_so_that_the_last_ends_soon(void **state)
{
    struct hetero_list list = list_read(*state, "A\t" COMMAND "200\t1" REST "0\nA\t" COMMAND
                                                "200\t1" REST "0\nA\t" COMMAND "200\t1" REST "0\n");
    const struct mix_pool pool = {1, {2}};
    struct hetero_result last, fifo;
    struct hetero_bound bound;
    struct fault fault = {0};
    assert_int_equal(hetero_run(&list, &pool, 1000, HETERO_LAST, &last, &fault), ERR_OK);
    assert_int_equal(hetero_run(&list, &pool, 1000, HETERO_FIFO, &fifo, &fault), ERR_OK);
    assert_int_equal(hetero_bound_find(&list, &pool, &bound), ERR_OK);
    assert_float_equal(fifo.makespan_s, 40, 0.01);
    assert_float_equal(bound.makespan_s, 30, 0.1);
    assert_true(last.makespan_s < 31.1 && last.makespan_s >= 29.99);
    assert_true(last.moves > 0);
}

static void test_no_policy_beats_the_bounds(void **state)
{
    struct hetero_list list = list_read(
        *state, "A\t" COMMAND "900\t1" REST "0\nB\t" COMMAND "50\t1" REST "3\nA\t" COMMAND
                "300\t2" REST "4\nB\t" COMMAND "90\t1" REST "20\nA\t" COMMAND "10\t1" REST "60\n");
    const struct mix_pool pool = {2, {2, 1}};
    struct hetero_bound bound;
    struct fault fault = {0};
    assert_int_equal(hetero_bound_find(&list, &pool, &bound), ERR_OK);
    for (int way = 0; way < HETERO_POLICY_COUNT_; way++) {
        struct hetero_result result;
        assert_int_equal(hetero_run(&list, &pool, 5000, (enum hetero_policy)way, &result, &fault),
                         ERR_OK);
        assert_true(result.makespan_s + 0.001 >= bound.makespan_s);
        assert_true(result.completion_s + 0.001 >= bound.completion_s);
    }
}

static void test_a_job_too_wide_for_any_kind_is_refused(void **state)
{
    struct hetero_list list = list_read(*state, "A\t" COMMAND "1\t2" REST "0\n");
    const struct mix_pool pool = {2, {1, 8}}; /* on the second kind a pair cannot run */
    struct hetero_result result;
    struct fault fault = {0};
    assert_int_equal(hetero_run(&list, &pool, 1000, HETERO_LAST, &result, &fault), ERR_INVALID);
    assert_true(fault.message[0] != '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_trace_is_read_with_the_speeds_of_its_jobs, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_stated_duration_needs_no_speeds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_wrong_is_told_with_line_and_column, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_table_of_speeds_without_figures_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_the_shortest_work_first_is_best_on_one_device, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_jobs_take_turns_so_that_the_last_ends_soon, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_no_policy_beats_the_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_job_too_wide_for_any_kind_is_refused, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
