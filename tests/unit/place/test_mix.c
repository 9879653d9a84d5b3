/* Which work runs on which kind of chip. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "place/mix.h"

enum { JOBS = 40 };

static struct mix_job job_of(uint32_t width, int64_t first_ms, int64_t second_ms)
{
    return (struct mix_job){.width = width, .kind = MIX_NONE, .need_ms = {first_ms, second_ms, 0}};
}

static int setup(void **state)
{
    struct mix *mix;
    assert_int_equal(mix_create(&mix), ERR_OK);
    *state = mix;
    return 0;
}

static int teardown(void **state)
{
    mix_destroy(*state);
    return 0;
}

static void test_each_job_gets_the_kind_that_suits_it(void **state)
{
    const struct mix_pool pool = {2, {1, 1}};
    const struct mix_job jobs[] = {job_of(1, 1000, 900), job_of(1, 8000, 1000)};
    uint32_t kinds[2];
    /* Both are faster on the second kind, but the second job much more. */
    assert_int_equal(mix_choose(*state, MIX_LAST, &pool, jobs, 2, kinds), ERR_OK);
    assert_int_equal(kinds[0], 0);
    assert_int_equal(kinds[1], 1);
    assert_int_equal(mix_choose(*state, MIX_MEAN, &pool, jobs, 2, kinds), ERR_OK);
    assert_int_equal(kinds[1], 1);
}

static void test_for_the_last_end_the_longest_work_goes_first(void **state)
{
    const struct mix_pool pool = {1, {1}};
    const struct mix_job jobs[] = {job_of(1, 1000, 0), job_of(1, 9000, 0)};
    uint32_t kinds[2];
    assert_int_equal(mix_choose(*state, MIX_LAST, &pool, jobs, 2, kinds), ERR_OK);
    assert_int_equal(kinds[0], MIX_NONE);
    assert_int_equal(kinds[1], 0);
}

static void test_for_the_mean_the_shortest_work_goes_first(void **state)
{
    const struct mix_pool pool = {1, {1}};
    const struct mix_job jobs[] = {job_of(1, 9000, 0), job_of(1, 1000, 0)};
    uint32_t kinds[2];
    assert_int_equal(mix_choose(*state, MIX_MEAN, &pool, jobs, 2, kinds), ERR_OK);
    assert_int_equal(kinds[0], MIX_NONE);
    assert_int_equal(kinds[1], 0);
}

static void test_what_can_run_nowhere_waits_and_takes_nothing(void **state)
{
    const struct mix_pool pool = {2, {2, 1}};
    const struct mix_job jobs[] = {job_of(4, 10, 10), job_of(1, 0, 0), job_of(2, 0, 10),
                                   job_of(2, 10, 0)};
    const enum mix_aim aims[] = {MIX_LAST, MIX_MEAN};
    for (int i = 0; i < 2; i++) {
        uint32_t kinds[4];
        assert_int_equal(mix_choose(*state, aims[i], &pool, jobs, 4, kinds), ERR_OK);
        for (int j = 0; j < 3; j++)
            assert_int_equal(kinds[j], MIX_NONE);
        assert_int_equal(kinds[3], 0);
    }
}

static void test_no_jobs_are_no_trouble(void **state)
{
    const struct mix_pool pool = {1, {1}};
    int64_t bound = -1;
    assert_int_equal(mix_choose(*state, MIX_LAST, &pool, NULL, 0, NULL), ERR_OK);
    assert_int_equal(mix_choose(*state, MIX_MEAN, &pool, NULL, 0, NULL), ERR_OK);
    assert_int_equal(mix_bound_last(*state, &pool, NULL, 0, &bound), ERR_OK);
    assert_int_equal(bound, 0);
}

/* Two jobs of 3 s and 6 s on one device each of kinds that are 1 and 2 times as fast: together 9 s
 * of work at 3 a second, so 3 s, and they can be had. */
static void test_the_bound_is_reached_where_prices_settle(void **state)
{
    const struct mix_pool pool = {2, {1, 1}};
    const struct mix_job jobs[] = {job_of(1, 3000, 1500), job_of(1, 6000, 3000)};
    int64_t bound = 0;
    assert_int_equal(mix_bound_last(*state, &pool, jobs, 2, &bound), ERR_OK);
    assert_in_range(bound, 2990, 3000);
}

static void test_the_bound_is_the_longest_job_where_there_is_room(void **state)
{
    const struct mix_pool pool = {1, {8}};
    const struct mix_job jobs[] = {job_of(1, 5000, 0), job_of(2, 100, 0)};
    int64_t bound = 0;
    assert_int_equal(mix_bound_last(*state, &pool, jobs, 2, &bound), ERR_OK);
    assert_int_equal(bound, 5000);
}

static void jobs_draw(struct random *random, struct mix_job *jobs)
{
    for (size_t i = 0; i < JOBS; i++) {
        jobs[i] = (struct mix_job){.width = 1U << random_below(random, 4), .kind = MIX_NONE};
        for (uint32_t k = 0; k < 3; k++)
            if (random_below(random, 5) > 0)
                jobs[i].need_ms[k] = random_between(random, 1, MIX_NEED_MS_MAX);
    }
}

/* For any draw: never more than there is, nobody where he cannot run, nothing idle that somebody
 * who waits could use. */
static void test_any_choice_fits_and_leaves_nothing_that_fits(void **state)
{
    struct random random;
    random_init(&random, 7);
    for (int round = 0; round < 60; round++) {
        struct mix_pool pool = {3, {0}};
        struct mix_job jobs[JOBS];
        uint32_t kinds[JOBS], again[JOBS];
        enum mix_aim aim = round % 2 == 0 ? MIX_LAST : MIX_MEAN;
        int64_t room[3];
        jobs_draw(&random, jobs);
        for (uint32_t k = 0; k < 3; k++)
            room[k] = pool.devices[k] = random_between(&random, 0, 30);
        assert_int_equal(mix_choose(*state, aim, &pool, jobs, JOBS, kinds), ERR_OK);
        for (size_t i = 0; i < JOBS; i++)
            if (kinds[i] != MIX_NONE) {
                assert_true(jobs[i].need_ms[kinds[i]] > 0);
                room[kinds[i]] -= jobs[i].width;
            }
        for (uint32_t k = 0; k < 3; k++)
            assert_true(room[k] >= 0);
        for (size_t i = 0; i < JOBS; i++)
            for (uint32_t k = 0; k < 3; k++)
                assert_true(kinds[i] != MIX_NONE || jobs[i].need_ms[k] == 0 ||
                            room[k] < jobs[i].width);
        assert_int_equal(mix_choose(*state, aim, &pool, jobs, JOBS, again), ERR_OK);
        assert_memory_equal(kinds, again, sizeof(kinds));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_job_gets_the_kind_that_suits_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_for_the_last_end_the_longest_work_goes_first, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_for_the_mean_the_shortest_work_goes_first, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_can_run_nowhere_waits_and_takes_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_no_jobs_are_no_trouble, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_bound_is_reached_where_prices_settle, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_the_bound_is_the_longest_job_where_there_is_room,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_choice_fits_and_leaves_nothing_that_fits, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
