/* The national experiment on three sites. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim/nation.h"
#include "wire/topology.h"
#include "wire/yaml.h"

static const char NETWORK[] =
    "regions:\n"
    "  - {name: east, role: serve, jurisdiction: CN, carbon_g_per_kwh: \"500\"}\n"
    "  - {name: west, role: train, jurisdiction: CN, carbon_g_per_kwh: \"100\"}\n"
    "operators:\n  - {name: o}\n"
    "sites:\n"
    "  - {name: a, region: east, operator: o}\n"
    "  - {name: w, region: west, operator: o}\n"
    "links:\n  - {a: a, b: w, rtt_ms: 20, source: estimate}\n";

static void a_day_is_the_same_each_time_and_keeps_within_round_trips(void **state)
{
    struct json_document *document = NULL;
    struct fault fault = {0};
    struct topology network;
    struct nation_result one, two;
    struct arena arena;
    (void)state;
    arena_init(&arena, 1 << 26);
    assert_int_equal(yaml_parse(slice_of(NETWORK), &YAML_LIMITS, &document, &fault), ERR_OK);
    assert_int_equal(topology_decode(json_root(document), NULL, &arena, &network, &fault), ERR_OK);
    json_document_destroy(document);
    assert_int_equal(nation_run(&network, 7, 2, &arena, &one, &fault), ERR_OK);
    assert_int_equal(nation_run(&network, 7, 2, &arena, &two, &fault), ERR_OK);
    assert_memory_equal(&one, &two, sizeof(one));
    /* On an empty network: training goes where power is cheap and clean, what must be within 10 ms
     * of its users stays, of what may be 30 ms away some goes (a broken node costs more). */
    const struct nation_figures *engine = &one.ways[NATION_ENGINE];
    assert_true(engine->west_part[NATION_TRAINING] > 0.9);
    assert_true(engine->west_part[NATION_NEAR] < 0.001);
    assert_true(engine->west_part[NATION_FAR] > 0.1);
    assert_true(engine->energy < one.ways[NATION_ALONE].energy);
    assert_true(engine->carbon_kg < one.ways[NATION_ALONE].carbon_kg);
    assert_true(one.ways[NATION_ALONE].west_part[NATION_FAR] < 0.001);
    for (int w = 0; w < NATION_WAY_COUNT_; w++)
        assert_int_equal(one.ways[w].never, 0);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_day_is_the_same_each_time_and_keeps_within_round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
