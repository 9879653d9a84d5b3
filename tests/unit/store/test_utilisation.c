/* Rows of use: added at every resolution at once, summed when asked, gone when their time is over.
 */
#include "scene.h"

#include <string.h>

#define MINUTE_US INT64_C(60000000)
#define DAY_US (1440 * MINUTE_US)

static const struct wall_us NOON = {INT64_C(1767225600000000) + 720 * MINUTE_US};

static struct wall_us after(int64_t minutes)
{
    return (struct wall_us){NOON.us + minutes * MINUTE_US};
}

/* The owner held 1, the pool 2 of 4 cores throughout that minute. */
static void record(struct scene *scene, uint64_t site, const char *pool, const char *node,
                   struct wall_us start)
{
    static struct util_cell cells[SCENE_OPS_MAX];
    struct change_op op = {.kind = CHANGE_UTILISATION_ADD};
    struct util_cell *cell = &cells[scene->count];
    *cell = (struct util_cell){slice_of(pool),
                               slice_of(node),
                               {.observed_ms = 60000,
                                .core_us = UINT64_C(60000) * 4000,
                                .owner_core_us = UINT64_C(60000) * 1000,
                                .pool_core_us = UINT64_C(60000) * 2000}};
    op.utilisation.site.id = scene_id(site);
    op.utilisation.start = start;
    op.utilisation.cells = cell;
    op.utilisation.count = 1;
    scene_add(scene, op);
}

static struct store_answer ask(struct scene *scene, uint64_t site, enum util_resolution resolution,
                               struct wall_us from, struct wall_us to, struct span_ms step)
{
    struct store_query query = {
        .kind = STORE_UTILISATION_LIST,
        .utilisation_list = {
            .resolution = resolution, .from = from, .to = to, .step = step, .limit = 1000}};
    if (site != 0)
        query.utilisation_list.site.id = scene_id(site);
    return scene_answer(scene, &query);
}

static void coarse_rows_are_the_sum_of_the_fine_ones(void **state)
{
    struct scene *scene = *state;
    for (int m = 0; m < 120; m++)
        record(scene, 1, "cpu x4", "", after(m));
    scene_apply_ok(scene);
    static const struct {
        enum util_resolution resolution;
        size_t rows;
    } WANT[] = {{UTIL_MINUTE, 120}, {UTIL_QUARTER, 8}, {UTIL_HOUR, 2}};
    for (size_t i = 0; i < 3; i++) {
        struct store_answer answer =
            ask(scene, 1, WANT[i].resolution, NOON, after(120), util_length(WANT[i].resolution));
        struct util_sums all = {0};
        assert_int_equal(answer.count, WANT[i].rows);
        for (size_t r = 0; r < answer.count; r++)
            util_add(&all, &answer.utilisation[r].sums);
        assert_int_equal(all.observed_ms, 120 * 60000);
        assert_int_equal(all.pool_core_us, UINT64_C(120) * 60000 * 2000);
    }
}

static void the_same_minute_adds_up(void **state)
{
    struct scene *scene = *state;
    record(scene, 1, "cpu x4", "", NOON);
    scene_apply_ok(scene);
    scene_close(scene);
    scene_open(scene); /* another process */
    record(scene, 1, "cpu x4", "", NOON);
    scene_apply_ok(scene);
    struct store_answer answer =
        ask(scene, 1, UTIL_MINUTE, NOON, after(1), util_length(UTIL_MINUTE));
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.utilisation[0].sums.observed_ms, 120000);
}

static void rows_are_summed_in_steps_by_site_pool_and_node(void **state)
{
    struct scene *scene = *state;
    for (int m = 0; m < 30; m++) {
        record(scene, 2, "cpu x4", "", after(m));
        record(scene, 1, "cpu x8", "", after(m));
        record(scene, 1, "cpu x4", "", after(m));
        record(scene, 1, "cpu x4", "n1", after(m));
    }
    scene_apply_ok(scene);
    struct store_answer answer = ask(scene, 0, UTIL_MINUTE, NOON, after(30), SPAN_S(600));
    assert_int_equal(answer.count, 9);
    for (size_t i = 0; i < answer.count; i++) {
        const struct store_utilisation *row = &answer.utilisation[i];
        assert_true(id_is_equal(row->site.id, scene_id(i < 6 ? 1 : 2)));
        assert_true(slice_is(row->pool, i >= 3 && i < 6 ? "cpu x8" : "cpu x4"));
        assert_int_equal(row->start.us, after((int64_t)(i % 3) * 10).us);
        assert_int_equal(row->sums.observed_ms, 600000);
    }
    answer = ask(scene, 1, UTIL_NODE, NOON, after(30), util_length(UTIL_NODE));
    assert_int_equal(answer.count, 2);
    assert_true(slice_is(answer.utilisation[0].node, "n1"));
}

static void expired_rows_go_and_the_number_of_rows_is_bounded(void **state)
{
    struct scene *scene = *state;
    for (int day = 0; day < 3; day++)
        for (int m = 0; m < 1440; m++) {
            record(scene, 1, "cpu x4", "",
                   (struct wall_us){NOON.us + day * DAY_US + m * MINUTE_US});
            if (scene->count == 10)
                scene_apply_ok(scene);
        }
    struct store_answer answer = ask(scene, 1, UTIL_MINUTE, (struct wall_us){0},
                                     (struct wall_us){NOON.us + 10 * DAY_US}, SPAN_MS(60000));
    assert_true(answer.has_more);
    answer = ask(scene, 1, UTIL_MINUTE, (struct wall_us){0},
                 (struct wall_us){NOON.us + 2 * DAY_US - 10 * MINUTE_US}, SPAN_MS(60000));
    assert_int_equal(answer.count, 0); /* all that a day has passed over */
    answer = ask(scene, 1, UTIL_QUARTER, (struct wall_us){0},
                 (struct wall_us){NOON.us + 10 * DAY_US}, util_length(UTIL_QUARTER));
    assert_int_equal(answer.count, 3 * 96); /* kept for longer */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(coarse_rows_are_the_sum_of_the_fine_ones, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(the_same_minute_adds_up, scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(rows_are_summed_in_steps_by_site_pool_and_node,
                                        scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(expired_rows_go_and_the_number_of_rows_is_bounded,
                                        scene_set_up, scene_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
