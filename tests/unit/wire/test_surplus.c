/* A site owner's contract: as people write it, and what it means at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/buffer.h"
#include "wire/surplus.h"

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 16 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static struct surplus parsed(const char *text)
{
    struct surplus surplus;
    struct fault fault = {0};
    if (surplus_parse(slice_of(text), &arena, &surplus, &fault) != ERR_OK)
        fail_msg("%s: %s", fault.field, fault.message);
    return surplus;
}

static int64_t open_ms(const struct surplus *surplus, const char *at)
{
    struct wall_us now;
    assert_int_equal(wall_parse(slice_of(at), &now), ERR_OK);
    return surplus_open_for(&surplus->windows, surplus->zone_minutes, now).ms;
}

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE };

static void without_windows_it_is_lent_for_ever(void **state)
{
    (void)state;
    struct surplus surplus = parsed("promise: 30s");
    assert_int_equal(open_ms(&surplus, "2026-11-26T12:00:00Z"), SURPLUS_OPEN_FOR_EVER.ms);
    surplus = parsed("windows: [\"00:00-24:00\"]");
    assert_int_equal(open_ms(&surplus, "2026-11-26T12:00:00Z"), SURPLUS_OPEN_FOR_EVER.ms);
}

static void a_window_goes_on_into_the_next_day(void **state)
{
    (void)state;
    struct surplus surplus = parsed("windows: [\"mon-fri 19:00-07:00\"]");
    assert_int_equal(open_ms(&surplus, "2026-11-26T12:00:00Z"), 0); /* a Thursday */
    assert_int_equal(open_ms(&surplus, "2026-11-26T19:00:00Z"), 12 * HOUR);
    assert_int_equal(open_ms(&surplus, "2026-11-27T06:59:00Z"), MINUTE);
    assert_int_equal(open_ms(&surplus, "2026-11-27T07:00:00Z"), 0);
    assert_int_equal(open_ms(&surplus, "2026-11-28T06:00:00Z"), HOUR); /* Friday's */
    assert_int_equal(open_ms(&surplus, "2026-11-28T20:00:00Z"), 0);    /* Saturday has none */
    assert_int_equal(open_ms(&surplus, "2026-11-30T06:00:00Z"), 0);    /* nor Sunday */
}

static void windows_that_meet_are_one_and_zones_shift_them(void **state)
{
    (void)state;
    struct surplus surplus =
        parsed("zone: \"+08:00\"\nwindows: [\"fri 19:00-24:00\", \"sat-sun 00:00-24:00\"]");
    assert_int_equal(open_ms(&surplus, "2026-11-27T10:59:59Z"), 0);
    assert_int_equal(open_ms(&surplus, "2026-11-27T11:00:00Z"), 53 * HOUR);
    surplus = parsed("zone: \"-01:00\"\nwindows: [\"thu 23:00-01:00\"]");
    assert_int_equal(open_ms(&surplus, "2026-11-27T00:30:00Z"), 90 * MINUTE);
    assert_int_equal(open_ms(&surplus, "1969-12-31T23:30:00Z"), 0); /* a Wednesday, before 1970 */
    surplus = parsed("windows: [\"wed 23:00-24:00\"]");
    assert_int_equal(open_ms(&surplus, "1969-12-31T23:30:00Z"), 30 * MINUTE);
}

static void what_is_wrong_is_refused_with_its_place(void **state)
{
    static const char *const WRONG[] = {"windows: [\"19-07\"]",
                                        "windows: [\"mon 25:00-07:00\"]",
                                        "windows: [\"24:00-07:00\"]",
                                        "windows: [\"x 10:00-11:00\"]",
                                        "zone: \"8\"",
                                        "zone: \"+15:00\"",
                                        "notice: KILL",
                                        "exclude_classes: [best]",
                                        "promise: 10",
                                        "promise: 5s\ngrace: 5s",
                                        "pools: [{reserve_nodes: 1}]",
                                        "unknown: 1",
                                        "reclaim: nobody"};
    (void)state;
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        struct surplus surplus;
        struct fault fault = {0};
        if (surplus_parse(slice_of(WRONG[i]), &arena, &surplus, &fault) == ERR_OK)
            fail_msg("taken: %s", WRONG[i]);
        assert_true(fault.message[0] != '\0' && fault.line > 0);
    }
}

static void what_is_written_reads_back(void **state)
{
    static const char TEXT[] =
        "{\"reserve_nodes\":2,\"reclaim\":\"agent\",\"promise\":\"45s\",\"grace\":\"5s\","
        "\"notice\":\"USR1\",\"run_min\":\"10m\",\"zone\":\"+05:30\","
        "\"windows\":[\"mon,tue 19:00-07:00\",\"22:00-24:00\"],\"floor_per_cpu_hour\":\"0.01\","
        "\"floor_per_card_hour\":\"0.80\",\"exclude_tenants\":[\"rival\"],"
        "\"exclude_classes\":[\"surplus\",\"guaranteed\"],"
        "\"pools\":[{\"nodes\":[\"gpu-*\"],\"reserve_nodes\":1,\"windows\":[\"22:00-06:00\"]}]}";
    struct buffer out;
    struct json_writer writer;
    (void)state;
    struct surplus surplus = parsed(TEXT);
    buffer_init(&out, 1 << 16);
    json_writer_init(&writer, &out);
    surplus_encode(&surplus, &writer);
    assert_int_equal(json_writer_finish(&writer), ERR_OK);
    buffer_append_char(&out, '\0');
    assert_string_equal(buffer_slice(&out).data, TEXT);
    buffer_deinit(&out);
    assert_false(surplus_is_silent(&surplus));
    surplus = parsed("{}");
    assert_true(surplus_is_silent(&surplus));
}

static void pools_and_exclusions_go_by_names(void **state)
{
    (void)state;
    struct surplus surplus = parsed("exclude_tenants: [rival, ten_x]\nexclude_classes: [surplus]\n"
                                    "pools: [{nodes: [gpu-*, login]}, {nodes: [\"*\"]}]");
    assert_ptr_equal(surplus_pool_of(&surplus, SLICE_LITERAL("gpu-7")), &surplus.pools[0]);
    assert_ptr_equal(surplus_pool_of(&surplus, SLICE_LITERAL("login2")), &surplus.pools[1]);
    assert_true(surplus_excludes(&surplus, SLICE_LITERAL("rival"), SLICE_LITERAL("ten_y"),
                                 PRIORITY_STANDARD));
    assert_true(
        surplus_excludes(&surplus, SLICE_LITERAL("a"), SLICE_LITERAL("ten_x"), PRIORITY_STANDARD));
    assert_true(
        surplus_excludes(&surplus, SLICE_LITERAL("a"), SLICE_LITERAL("ten_y"), PRIORITY_SURPLUS));
    assert_false(
        surplus_excludes(&surplus, SLICE_LITERAL("a"), SLICE_LITERAL("ten_y"), PRIORITY_STANDARD));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(without_windows_it_is_lent_for_ever),
        TEST(a_window_goes_on_into_the_next_day),
        TEST(windows_that_meet_are_one_and_zones_shift_them),
        TEST(what_is_wrong_is_refused_with_its_place),
        TEST(what_is_written_reads_back),
        TEST(pools_and_exclusions_go_by_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
