/* What a node is worth to work that is still to come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "place/value.h"

static const struct value_shape WHOLE = {1000, 1000, 1, 1000, UINT64_MAX};
static const struct value_shape HALF = {1000, 1000, 1, 500, UINT64_MAX};
static const struct value_shape CORES = {4000, 1000, 0, 0, UINT64_MAX};

enum { CPU_PLENTY = 100000 };

static struct value *mix_of(const struct value_shape *shapes, const uint64_t *weights, size_t count)
{
    struct value *value;
    assert_int_equal(value_create(&value), ERR_OK);
    assert_int_equal(value_mix(value, shapes, weights, count, CPU_PLENTY), ERR_OK);
    return value;
}

static int64_t left_milli(struct value *value, const struct value_node *node)
{
    return value_left(value, node) / value_scale(value);
}

static void test_what_nobody_asks_for_is_left_over(void **state)
{
    static const uint64_t ONE[] = {1};
    struct value *value = mix_of(&WHOLE, ONE, 1);
    struct value_node node = {
        .cpu_milli = 8000, .memory_mib = 8000, .device_count = 3, .free_milli = {1000, 300, 1000}};
    (void)state;
    assert_int_equal(left_milli(value, &node), 300);
    node.cpu_milli = 1500; /* cores for one only */
    assert_int_equal(left_milli(value, &node), 1300);
    node.memory_mib = 0;
    assert_int_equal(left_milli(value, &node), 2300);
    value_destroy(value);
}

static void test_without_a_mix_everything_is_left_over(void **state)
{
    struct value *value;
    struct value_node node = {.device_count = 2, .free_milli = {700, 1000}};
    (void)state;
    assert_int_equal(value_create(&value), ERR_OK);
    assert_int_equal(left_milli(value, &node), 1700);
    value_destroy(value);
    value_destroy(NULL);
}

static void test_a_model_that_is_not_asked_for_is_left_over(void **state)
{
    static const uint64_t ONE[] = {1};
    struct value_shape second_model = WHOLE;
    (void)state;
    second_model.models = 2;
    struct value *value = mix_of(&second_model, ONE, 1);
    struct value_node node = {
        .cpu_milli = 8000, .memory_mib = 8000, .device_count = 1, .free_milli = {1000}};
    assert_int_equal(left_milli(value, &node), 1000);
    node.model = 1;
    assert_int_equal(left_milli(value, &node), 0);
    value_destroy(value);
}

static void test_the_order_of_devices_does_not_matter(void **state)
{
    const struct value_shape MIX[] = {WHOLE, HALF};
    static const uint64_t EVEN[] = {1, 1};
    struct value *value = mix_of(MIX, EVEN, 2);
    struct value_node one = {
        .cpu_milli = 3000, .memory_mib = 9000, .device_count = 3, .free_milli = {1000, 600, 200}};
    struct value_node other = {
        .cpu_milli = 3000, .memory_mib = 9000, .device_count = 3, .free_milli = {200, 1000, 600}};
    (void)state;
    assert_int_equal(value_left(value, &one), value_left(value, &other));
    value_destroy(value);
}

static void test_a_half_goes_beside_a_half(void **state)
{
    const struct value_shape MIX[] = {WHOLE, HALF};
    static const uint64_t RARE_HALVES[] = {200, 1};
    struct value *value = mix_of(MIX, RARE_HALVES, 2);
    struct value_node node = {.cpu_milli = 90000,
                              .memory_mib = 90000,
                              .device_count = 3,
                              .free_milli = {1000, 1000, 500}};
    uint32_t device = 0;
    (void)state;
    int64_t cost = value_cost(value, &node, &HALF, &device);
    assert_int_equal(device, 2);
    assert_true(cost < 0); /* what would have been left is taken */
    node.free_milli[2] = 1000;
    assert_true(value_cost(value, &node, &HALF, &device) > 0);
    value_destroy(value);
}

static void test_cores_are_taken_where_no_device_needs_them(void **state)
{
    static const uint64_t ONE[] = {1};
    struct value *value = mix_of(&WHOLE, ONE, 1);
    struct value_node full = {.cpu_milli = 4000, .memory_mib = 9000, .device_count = 1};
    struct value_node empty = {
        .cpu_milli = 4000, .memory_mib = 9000, .device_count = 1, .free_milli = {1000}};
    uint32_t device;
    (void)state;
    assert_int_equal(value_cost(value, &full, &CORES, &device), 0);
    assert_int_equal(value_cost(value, &empty, &CORES, &device) / value_scale(value), 1000);
    value_destroy(value);
}

static void test_the_same_mix_gives_the_same_values(void **state)
{
    const struct value_shape MIX[] = {WHOLE, HALF, CORES};
    static const uint64_t SHARES[] = {3, 2, 1};
    struct value *one = mix_of(MIX, SHARES, 3), *other = mix_of(MIX, SHARES, 3);
    (void)state;
    for (int64_t cpu = 0; cpu < 20000; cpu += 500) {
        struct value_node node = {.cpu_milli = cpu,
                                  .memory_mib = 9000,
                                  .device_count = 4,
                                  .free_milli = {1000, 700, 500, 1000}};
        int64_t first = value_left(one, &node);
        assert_int_equal(first, value_left(other, &node));
        assert_int_equal(first, value_left(one, &node)); /* remembered */
    }
    value_destroy(one);
    value_destroy(other);
}

static void test_several_devices_are_the_lowest_free_ones(void **state)
{
    static const struct value_shape PAIR = {1000, 1000, 2, 1000, UINT64_MAX};
    struct value_node node = {.cpu_milli = 2000,
                              .memory_mib = 2000,
                              .device_count = 4,
                              .free_milli = {900, 1000, 1000, 1000}};
    (void)state;
    assert_true(value_fits(&node, &PAIR));
    assert_int_equal(value_take(&node, &PAIR, 0), 0x6);
    assert_int_equal(node.free_milli[1], 0);
    assert_int_equal(node.cpu_milli, 1000);
    assert_false(value_fits(&node, &PAIR));
    assert_int_equal(value_take(&node, &HALF, 0), 0x1);
    assert_int_equal(node.free_milli[0], 400);
    assert_false(value_fits(&node, &WHOLE)); /* no cores left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_nobody_asks_for_is_left_over),
        cmocka_unit_test(test_without_a_mix_everything_is_left_over),
        cmocka_unit_test(test_a_model_that_is_not_asked_for_is_left_over),
        cmocka_unit_test(test_the_order_of_devices_does_not_matter),
        cmocka_unit_test(test_a_half_goes_beside_a_half),
        cmocka_unit_test(test_cores_are_taken_where_no_device_needs_them),
        cmocka_unit_test(test_the_same_mix_gives_the_same_values),
        cmocka_unit_test(test_several_devices_are_the_lowest_free_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
