/* Shifting: the rule, the tables, and a tiny year. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "place/place_shift.h"
#include "sim/shift.h"

enum { HOUR = 3600000 };

static struct shift_outlook outlook;

static void prices(uint32_t region, int64_t now, int64_t next, int64_t after)
{
    const int64_t figures[] = {now, next, after};
    shift_outlook_set(&outlook, region, figures, 3);
}

static struct shift_choice choose(int64_t into, int64_t runs, int64_t slack, uint64_t allowed,
                                  uint64_t room)
{
    const struct shift_work work = {into, runs, slack, allowed, room};
    struct shift_choice choice = {0};
    assert_true(shift_choose(&outlook, &work, &choice));
    return choice;
}

static void work_waits_for_the_cheap_hour_only_where_it_may(void **state)
{
    (void)state;
    memset(&outlook, 0, sizeof(outlook));
    prices(0, 500, 100, 50);
    prices(1, 300, 400, 400);
    assert_false(choose(0, HOUR, HOUR, 3, 3).is_now);
    assert_int_equal(choose(0, HOUR, 2 * HOUR, 3, 3).cost, 50);
    assert_true(choose(0, HOUR, HOUR - 1, 3, 3).is_now); /* the next hour is out of reach */
    assert_int_equal(choose(0, HOUR, 0, 3, 3).region, 1);
    assert_int_equal(choose(0, HOUR, 0, 3, 1).region, 0); /* no room in the other */
    assert_true(choose(0, HOUR, 2 * HOUR, 2, 3).is_now);  /* that one gets dearer */
    assert_int_equal(choose(HOUR / 2, HOUR, 0, 2, 3).cost,
                     350); /* half of this hour, half of the next */
}

static void equal_costs_start_at_once_in_the_first_region(void **state)
{
    (void)state;
    memset(&outlook, 0, sizeof(outlook));
    prices(0, 7, 7, 7);
    prices(1, 7, 7, 7);
    assert_true(choose(0, HOUR, 2 * HOUR, 3, 3).is_now);
    assert_int_equal(choose(0, HOUR, 2 * HOUR, 3, 3).region, 0);
}

static void work_without_room_or_time_cannot_start(void **state)
{
    const struct shift_work work = {0, HOUR, 0, 3, 0};
    struct shift_choice choice;
    (void)state;
    memset(&outlook, 0, sizeof(outlook));
    prices(0, 1, 1, 1);
    assert_false(shift_choose(&outlook, &work, &choice));
}

static void the_forecast_is_the_usual_day_and_a_fading_deviation(void **state)
{
    static struct shift_forecast forecast;
    int64_t out[48];
    (void)state;
    for (uint32_t h = 0; h < 24 * 10; h++)
        shift_forecast_learn(&forecast, h, h % 24 == 3 ? 10 : 1000);
    shift_forecast_read(&forecast, 48, out);
    assert_int_equal(out[0], 1000);
    assert_int_equal(out[4], 10); /* the last hour seen was 23:00 */
    assert_int_equal(out[28], 10);
    shift_forecast_learn(&forecast, 240, 2000);
    shift_forecast_read(&forecast, 48, out);
    assert_int_equal(out[0], 2000);
    assert_true(out[1] > out[2] && out[1] < 2000 && out[47] < 1100);
}

static void a_forecast_that_saw_one_hour_says_the_same_for_all(void **state)
{
    static struct shift_forecast forecast;
    int64_t out[3];
    (void)state;
    shift_forecast_learn(&forecast, 5, -42);
    shift_forecast_read(&forecast, 3, out);
    assert_int_equal(out[0], -42);
    assert_int_equal(out[2], -42);
}

static const char PRICE[] = "hour_utc,A,X,B\n00,100,1,10\n01,10,1,100\n02,100,1,100\n";
static const char CARBON[] = "hour_utc,A,B\n00,100,100\n01,100,100\n02,100,100\n";

static void a_tiny_year_is_run_in_five_ways(void **state)
{
    struct shift_data data;
    struct shift_result result;
    struct fault fault = {0};
    struct arena arena;
    const struct shift_options options = {.slack_ms = HOUR, .money_weight = 1};
    (void)state;
    arena_init(&arena, 1 << 26);
    assert_int_equal(shift_data_read(slice_of(PRICE), slice_of(CARBON), &arena, &data, &fault),
                     ERR_OK);
    assert_int_equal(data.zone_count, 2);
    assert_int_equal(data.hours, 3);
    assert_int_equal(shift_run(slice_of("arrival_time,length,cpus\n0,1,100\n"), &data, &options,
                               &arena, &result, &fault),
                     ERR_OK);
    /* 100 cores for an hour are 1 kWh: 0.10, in the best zone 0.01, in its own an hour later. */
    assert_true(result.ways[SHIFT_AT_ONCE].money > 0.0999 &&
                result.ways[SHIFT_AT_ONCE].money < 0.1001);
    assert_true(result.ways[SHIFT_SPACE].money > 0.00999 &&
                result.ways[SHIFT_SPACE].money < 0.01001);
    assert_true(result.ways[SHIFT_PERFECT].money < 0.01001);
    assert_true(result.ways[SHIFT_TIME].wait_max_h <= 1);
    assert_true(result.floor_cost > 0.00999 && result.floor_cost < 0.01001);
    arena_deinit(&arena);
}

static void an_empty_figure_is_not_zero(void **state)
{
    struct shift_data data;
    struct fault fault = {0};
    struct arena arena;
    (void)state;
    arena_init(&arena, 1 << 26);
    assert_int_equal(shift_data_read(slice_of("h,A\n00,5\n01,\n"), slice_of("h,A\n00,5\n01,6\n"),
                                     &arena, &data, &fault),
                     ERR_INVALID);
    assert_int_equal(fault.line, 3);
    assert_int_equal(fault.column, 4);
    assert_int_equal(
        shift_data_read(slice_of("h,A\n00,5\n"), slice_of("h,A\n01,6\n"), &arena, &data, &fault),
        ERR_INVALID);
    assert_int_equal(
        shift_data_read(slice_of("h,A\n00,5\n"), slice_of("h,B\n00,6\n"), &arena, &data, &fault),
        ERR_INVALID);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_waits_for_the_cheap_hour_only_where_it_may),
        cmocka_unit_test(equal_costs_start_at_once_in_the_first_region),
        cmocka_unit_test(work_without_room_or_time_cannot_start),
        cmocka_unit_test(the_forecast_is_the_usual_day_and_a_fading_deviation),
        cmocka_unit_test(a_forecast_that_saw_one_hour_says_the_same_for_all),
        cmocka_unit_test(a_tiny_year_is_run_in_five_ways),
        cmocka_unit_test(an_empty_figure_is_not_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
