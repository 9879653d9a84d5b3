/* One job, many chips: which one is chosen by what was measured, what is tried, and what it costs.
 * Two sites: one of plain nodes at 1.00 a core and hour, one of nodes with two A100 or two 910B. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "place_world.h"

enum { NODES = 8, HOURS_10 = 36000 };

static const struct id WORKLOAD = {{7, 7, 7}};
static const struct job_variant CPU_OR_CHIPS[] = {
    {.runtime = RUNTIME_CPU, .run = SLICE_LITERAL("true")},
    {.runtime = RUNTIME_CUDA, .accelerators = 1, .run = SLICE_LITERAL("true")},
    {.runtime = RUNTIME_CANN, .accelerators = 1, .run = SLICE_LITERAL("true")},
};
static const struct site_ask ASKS[] = {{SLICE_LITERAL("A100"), {10000000}},
                                       {SLICE_LITERAL("910B"), {6000000}}};

struct net {
    struct placer *placer;
    struct now now;
    struct tenant tenant;
    struct region region;
    struct site_node nodes[3][NODES];
    struct site sites[3];
    struct job_spec spec;
    uint32_t number;
};

static struct net net;

static void site_add(uint32_t index, const char *name, enum runtime runtime, const char *chip)
{
    for (uint32_t i = 0; i < NODES; i++)
        net.nodes[index][i] = (struct site_node){.name = SLICE_LITERAL("n"),
                                                 .cpu_milli = 1000,
                                                 .mem_bytes = UINT64_C(8) << 30,
                                                 .runtime = runtime,
                                                 .accelerator = slice_of(chip),
                                                 .accelerator_count = chip[0] != '\0' ? 1 : 0};
    net.sites[index] = (struct site){.id = {world_id(3, index + 1)},
                                     .name = slice_of(name),
                                     .region = SLICE_LITERAL("north"),
                                     .asks = ASKS,
                                     .ask_count = 2,
                                     .ask_includes_energy = true,
                                     .nodes = net.nodes[index],
                                     .node_count = NODES};
    if (chip[0] == '\0')
        net.sites[index].ask_per_cpu_hour = MAYBE_MONEY(((struct money){1000000}));
    assert_int_equal(placer_site_put(net.placer, &net.sites[index], true), ERR_OK);
}

static int set_up(void **state)
{
    (void)state;
    memset(&net, 0, sizeof(net));
    net.placer = placer_create();
    net.now = (struct now){{1000000000}, {INT64_C(1800000000) * 1000000}};
    net.tenant = (struct tenant){.id = {world_id(1, 1)}, .name = SLICE_LITERAL("t"), .weight = 1};
    net.region = (struct region){.id = {world_id(2, 1)}, .name = SLICE_LITERAL("north")};
    assert_int_equal(placer_tenant_put(net.placer, &net.tenant), ERR_OK);
    assert_int_equal(placer_region_put(net.placer, &net.region), ERR_OK);
    site_add(0, "plain", RUNTIME_CPU, "");
    site_add(1, "west", RUNTIME_CUDA, "A100");
    site_add(2, "east", RUNTIME_CANN, "910B");
    net.spec = (struct job_spec){.name = SLICE_LITERAL("j"),
                                 .num_nodes = 1,
                                 .cpu_milli = 1000,
                                 .mem_bytes = 1 << 20,
                                 .variants = CPU_OR_CHIPS,
                                 .variant_count = 3,
                                 .array_count = 1,
                                 .priority = PRIORITY_STANDARD,
                                 .time_limit = SPAN_S(HOURS_10),
                                 .expected = SPAN_S(3600)};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    placer_destroy(net.placer);
    return 0;
}

static void speed(enum runtime runtime, const char *chip, uint64_t rate, bool may_explore)
{
    const struct place_speed put = {.runtime = runtime,
                                    .devices = chip[0] != '\0' ? 1 : 0,
                                    .accelerator = slice_of(chip),
                                    .rate = rate,
                                    .may_explore = may_explore};
    assert_int_equal(placer_speed_put(net.placer, WORKLOAD, &put), ERR_OK);
}

static void chip(const char *model, uint64_t gflops, bool is_domestic)
{
    const struct place_chip_facts facts = {slice_of(model), gflops, is_domestic};
    assert_int_equal(placer_chip_put(net.placer, &facts), ERR_OK);
}

static void submit(void)
{
    net.number++;
    const struct place_job job = {.id = {world_id(4, net.number)},
                                  .spec = &net.spec,
                                  .tenant = net.tenant.id,
                                  .created_at = {net.now.wall.us + net.number},
                                  .workload = WORKLOAD};
    assert_int_equal(placer_job_put(net.placer, &job), ERR_OK);
}

/* The variant that the next job gets; -1: none starts. */
static int decided(struct place_decision *d)
{
    submit();
    if (!placer_propose(net.placer, net.now, d))
        return -1;
    placer_confirm(net.placer, d->job, net.now);
    return (int)d->variant;
}

static int variant_of_next(void)
{
    struct place_decision d;
    return decided(&d);
}

static void the_faster_for_the_money_is_chosen_not_the_cheaper_by_the_hour(void **state)
{
    struct place_decision d;
    (void)state;
    speed(RUNTIME_CPU, "", 100, false);
    speed(RUNTIME_CUDA, "A100", 2000, false); /* twenty times as fast for ten times as much */
    speed(RUNTIME_CANN, "910B", 300, false);
    assert_int_equal(decided(&d), 1);
    assert_int_equal(d.ask_per_hour.micros, 10000000); /* by the hour, as it is billed */
    assert_int_equal(d.score.ask.micros, 10000000);
}

static void a_slower_one_is_chosen_where_it_is_cheap_enough(void **state)
{
    struct place_decision d;
    (void)state;
    speed(RUNTIME_CPU, "", 100, false);
    speed(RUNTIME_CUDA, "A100", 900, false);
    speed(RUNTIME_CANN, "910B", 550, false);
    assert_int_equal(decided(&d), 0);
    assert_int_equal(d.score.ask.micros, 9000000); /* an hour of the fastest's work takes nine */
    assert_int_equal(d.ask_per_hour.micros, 1000000);
}

static void what_nobody_has_tried_is_tried_once_each_and_then_the_best_is_kept_to(void **state)
{
    static const struct {
        enum runtime runtime;
        const char *chip;
    } KINDS[] = {{RUNTIME_CPU, ""}, {RUNTIME_CUDA, "A100"}, {RUNTIME_CANN, "910B"}};
    bool was_tried[3] = {false, false, false};
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct place_decision d;
        int variant = decided(&d);
        assert_true(variant >= 0 && !was_tried[variant]);
        assert_true(d.score.explore.micros <= 0);
        was_tried[variant] = true;
        speed(KINDS[variant].runtime, KINDS[variant].chip, 0, false); /* somebody is at it */
    }
    speed(RUNTIME_CPU, "", 100, false);
    speed(RUNTIME_CUDA, "A100", 500, false);
    speed(RUNTIME_CANN, "910B", 900, false);
    assert_int_equal(variant_of_next(), 2);
    assert_int_equal(variant_of_next(), 2);
}

static void a_measured_kind_is_not_left_for_one_that_is_being_tried(void **state)
{
    (void)state;
    speed(RUNTIME_CPU, "", 100, false);
    speed(RUNTIME_CUDA, "A100", 0, false);
    speed(RUNTIME_CANN, "910B", 0, false);
    for (int i = 0; i < NODES; i++)
        assert_int_equal(variant_of_next(), 0);
    assert_true(variant_of_next() > 0); /* full: what is not known takes what is left over */
}

static void the_catalogue_speaks_where_nothing_was_measured(void **state)
{
    (void)state;
    chip("A100", 312000, false);
    chip("910B", 100000, true);
    net.spec.variants = &CPU_OR_CHIPS[1];
    net.spec.variant_count = 2;
    speed(RUNTIME_CUDA, "A100", 0, false);
    speed(RUNTIME_CANN, "910B", 0, false);
    assert_int_equal(variant_of_next(), 0); /* three times the arithmetic for 10 against 6 */
}

static void the_catalogue_carries_a_measured_speed_over_to_another_chip(void **state)
{
    (void)state;
    chip("A100", 100000, false);
    chip("910B", 90000, true);
    net.spec.variants = &CPU_OR_CHIPS[1];
    net.spec.variant_count = 2;
    speed(RUNTIME_CUDA, "A100", 500, false);
    speed(RUNTIME_CANN, "910B", 0, false);
    assert_int_equal(variant_of_next(), 1); /* nine tenths of the speed for six tenths */
}

static void what_should_be_far_too_dear_is_not_tried(void **state)
{
    (void)state;
    chip("A100", 100000, false);
    chip("910B", 1000, true); /* sixty times as dear a unit */
    net.spec.variants = &CPU_OR_CHIPS[1];
    net.spec.variant_count = 2;
    speed(RUNTIME_CUDA, "A100", 500, false);
    assert_int_equal(variant_of_next(), 0);
}

static void jobs_without_a_workload_go_by_the_hour(void **state)
{
    struct place_decision d;
    (void)state;
    speed(RUNTIME_CPU, "", 1, false);
    speed(RUNTIME_CUDA, "A100", 1000000, false);
    const struct place_job job = {.id = {world_id(4, 99)},
                                  .spec = &net.spec,
                                  .tenant = net.tenant.id,
                                  .created_at = net.now.wall};
    assert_int_equal(placer_job_put(net.placer, &job), ERR_OK);
    assert_true(placer_propose(net.placer, net.now, &d));
    assert_int_equal(d.variant, 0);
}

static void jobs_that_wait_go_by_what_was_learned_meanwhile(void **state)
{
    struct place_decision d;
    (void)state;
    speed(RUNTIME_CPU, "", 100, false);
    speed(RUNTIME_CUDA, "A100", 500, false);
    speed(RUNTIME_CANN, "910B", 100, false);
    submit();
    submit();
    assert_true(placer_propose(net.placer, net.now, &d));
    assert_int_equal(d.variant, 0);
    placer_confirm(net.placer, d.job, net.now);
    speed(RUNTIME_CUDA, "A100", 5000, false);
    assert_true(placer_propose(net.placer, net.now, &d));
    assert_int_equal(d.variant, 1);
}

static void a_budget_counts_the_work_at_the_chips_own_speed(void **state)
{
    (void)state;
    speed(RUNTIME_CPU, "", 100, false);
    speed(RUNTIME_CUDA, "A100", 2000, false);
    speed(RUNTIME_CANN, "910B", 100, false);
    net.spec.budget = (struct money){9000000}; /* an hour of an A100 is 10, of its work by cpu 20 */
    assert_int_equal(variant_of_next(), -1);
    net.spec.budget = (struct money){11000000};
    assert_int_equal(variant_of_next(), 1);
}

static void provenance_goes_by_the_chip_and_not_by_the_runtime(void **state)
{
    struct place_decision d;
    (void)state;
    chip("A100", 0, false);
    chip("910B", 0, true);
    net.spec.placement.provenance = PROVENANCE_DOMESTIC_ONLY;
    net.spec.variants = &CPU_OR_CHIPS[1];
    net.spec.variant_count = 1; /* cuda alone */
    assert_int_equal(decided(&d), -1);
    net.spec.variant_count = 2;
    net.spec.cpu_milli = 999; /* another shape */
    submit();
    bool was_domestic = false;
    while (placer_propose(net.placer, net.now, &d)) {
        was_domestic = true;
        assert_int_equal(d.variant, 1);
        placer_confirm(net.placer, d.job, net.now);
    }
    assert_true(was_domestic);
    /* OpenCL on a chip that any vendor may have made: its origin is not known. */
    static const struct job_variant OPENCL = {
        .runtime = RUNTIME_OPENCL, .accelerators = 1, .run = SLICE_LITERAL("true")};
    site_add(1, "west", RUNTIME_OPENCL, "some chip");
    net.sites[1].asks = (struct site_ask[]){{SLICE_LITERAL("some chip"), {1}}};
    net.sites[1].ask_count = 1;
    assert_int_equal(placer_site_put(net.placer, &net.sites[1], true), ERR_OK);
    net.spec.variants = &OPENCL;
    net.spec.variant_count = 1;
    net.spec.cpu_milli = 998;
    assert_int_equal(variant_of_next(), -1);
    chip("some chip", 0, true);
    assert_true(placer_propose(net.placer, net.now, &d));
}

static void an_explanation_shows_every_way_to_run_it(void **state)
{
    struct arena arena;
    struct place_explanation e;
    struct place_decision d;
    (void)state;
    speed(RUNTIME_CPU, "", 100000000, false);
    speed(RUNTIME_CUDA, "A100", 2000000000, false);
    assert_int_equal(decided(&d), 2); /* the one that was never measured */
    arena_init(&arena, 1 << 20);
    assert_int_equal(placer_explain(net.placer, d.job, net.now, &arena, &e), ERR_OK);
    assert_int_equal(e.choice_count, 3);
    assert_int_equal(e.choices[0].price.source, PACE_UNKNOWN);  /* east */
    assert_int_equal(e.choices[1].price.source, PACE_MEASURED); /* plain */
    assert_int_equal(e.choices[1].price.rate, 100000000);
    assert_int_equal(e.choices[1].price.pace_milli, 20000);
    assert_int_equal(e.choices[2].price.pace_milli, 1000);
    assert_true(e.choices[0].score.explore.micros < 0);
    assert_true(e.choices[0].score.total.micros < e.choices[2].score.total.micros);
    arena_deinit(&arena);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_faster_for_the_money_is_chosen_not_the_cheaper_by_the_hour),
        TEST(a_slower_one_is_chosen_where_it_is_cheap_enough),
        TEST(what_nobody_has_tried_is_tried_once_each_and_then_the_best_is_kept_to),
        TEST(a_measured_kind_is_not_left_for_one_that_is_being_tried),
        TEST(the_catalogue_speaks_where_nothing_was_measured),
        TEST(the_catalogue_carries_a_measured_speed_over_to_another_chip),
        TEST(what_should_be_far_too_dear_is_not_tried),
        TEST(jobs_without_a_workload_go_by_the_hour),
        TEST(jobs_that_wait_go_by_what_was_learned_meanwhile),
        TEST(a_budget_counts_the_work_at_the_chips_own_speed),
        TEST(provenance_goes_by_the_chip_and_not_by_the_runtime),
        TEST(an_explanation_shows_every_way_to_run_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
