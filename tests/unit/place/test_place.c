/* The placement engine's promises, a sentence each, on small worlds made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "place/place.h"

enum { SITES = 3, NODES = 4 };

struct world {
    struct placer *placer;
    struct now now;
    struct tenant root, left, right;
    struct site sites[SITES];
    struct site_node nodes[SITES][NODES];
};

static struct id id_of(uint8_t kind, uint32_t number)
{
    struct id id = {{kind, 0, 0, 0, (uint8_t)(number >> 24), (uint8_t)(number >> 16),
                     (uint8_t)(number >> 8), (uint8_t)number, 1}};
    return id;
}

static const char *const SITE_NAMES[SITES] = {"east", "west-a", "west-b"};

static void world_init(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->placer = placer_create();
    assert_non_null(w->placer);
    w->now = (struct now){{1000000000}, {INT64_C(1800000000) * 1000000}};
    w->root = (struct tenant){.id = {id_of(1, 1)}, .name = SLICE_LITERAL("root"), .weight = 1};
    w->left = (struct tenant){
        .id = {id_of(1, 2)}, .name = SLICE_LITERAL("left"), .parent = w->root.id, .weight = 1};
    w->right = (struct tenant){
        .id = {id_of(1, 3)}, .name = SLICE_LITERAL("right"), .parent = w->root.id, .weight = 1};
    assert_int_equal(placer_tenant_put(w->placer, &w->root), ERR_OK);
    assert_int_equal(placer_tenant_put(w->placer, &w->left), ERR_OK);
    assert_int_equal(placer_tenant_put(w->placer, &w->right), ERR_OK);
    for (int i = 0; i < SITES; i++) {
        struct region region = {.id = {id_of(2, (uint32_t)i)},
                                .name = slice_of(SITE_NAMES[i]),
                                .role = i == 0 ? ROLE_SERVE : ROLE_TRAIN,
                                .jurisdiction = slice_of(i == 2 ? "HK" : "CN")};
        assert_int_equal(placer_region_put(w->placer, &region), ERR_OK);
        for (int n = 0; n < NODES; n++)
            w->nodes[i][n] = (struct site_node){
                .name = slice_of("n"), .cpu_milli = 4000, .mem_bytes = UINT64_C(8) << 30};
        w->sites[i] =
            (struct site){.id = {id_of(3, (uint32_t)i)},
                          .name = slice_of(SITE_NAMES[i]),
                          .region = slice_of(SITE_NAMES[i]),
                          .tier = TIER_HUB,
                          .engine = ENGINE_HOST,
                          .ask_per_cpu_hour = MAYBE_MONEY(((struct money){100000 * (3 - i)})),
                          .nodes = w->nodes[i],
                          .node_count = NODES};
        assert_int_equal(placer_site_put(w->placer, &w->sites[i], true), ERR_OK);
    }
}

static void world_deinit(struct world *w)
{
    placer_destroy(w->placer);
}

static const struct job_variant CPU = {.runtime = RUNTIME_CPU, .run = SLICE_LITERAL("true")};

static struct job_spec spec_of(uint32_t nodes, uint32_t cpu_milli)
{
    return (struct job_spec){.name = SLICE_LITERAL("j"),
                             .num_nodes = nodes,
                             .cpu_milli = cpu_milli,
                             .mem_bytes = 1 << 20,
                             .variants = &CPU,
                             .variant_count = 1,
                             .array_count = 1,
                             .priority = PRIORITY_STANDARD,
                             .time_limit = SPAN_S(3600)};
}

static struct job_id submit(struct world *w, const struct job_spec *spec,
                            const struct tenant *tenant, uint32_t number)
{
    struct place_job job = {.id = {id_of(4, number)},
                            .spec = spec,
                            .tenant = tenant->id,
                            .created_at = {w->now.wall.us + number}};
    assert_int_equal(placer_job_put(w->placer, &job), ERR_OK);
    return job.id;
}

static bool propose(struct world *w, struct place_decision *out)
{
    bool found = placer_propose(w->placer, w->now, out);
    if (found)
        placer_confirm(w->placer, out->job, w->now);
    return found;
}

static void assert_at(const struct world *w, const struct place_decision *d, int site)
{
    assert_true(id_is_equal(d->site.id, w->sites[site].id.id));
}

static void the_cheapest_site_that_fits_wins(void **state)
{
    struct world w;
    struct place_decision d;
    struct job_spec spec = spec_of(1, 1000);
    (void)state;
    world_init(&w);
    submit(&w, &spec, &w.left, 1);
    assert_true(propose(&w, &d));
    assert_at(&w, &d, 2);
    assert_int_equal(d.ask_per_hour.micros, 100000);
    assert_false(propose(&w, &d));
    world_deinit(&w);
}

static void jurisdiction_is_never_relaxed(void **state)
{
    struct world w;
    struct place_decision d;
    struct slice cn = SLICE_LITERAL("CN");
    struct job_spec spec = spec_of(4, 4000);
    spec.placement.jurisdictions = (struct text_list){&cn, 1};
    (void)state;
    world_init(&w);
    for (uint32_t i = 1; i <= 3; i++)
        submit(&w, &spec, &w.left, i);
    assert_true(propose(&w, &d));
    assert_at(&w, &d, 1);
    assert_true(propose(&w, &d));
    assert_at(&w, &d, 0);
    assert_false(propose(&w, &d)); /* west-b is idle, and stays so */
    world_deinit(&w);
}

static void a_gang_gets_all_its_nodes_or_none(void **state)
{
    struct world w;
    struct place_decision d;
    struct job_spec small = spec_of(1, 3000), gang = spec_of(4, 2000);
    (void)state;
    world_init(&w);
    for (uint32_t i = 1; i <= 3;
         i++) /* the best fit packs nothing here: one a node; west-b has one node left */
        submit(&w, &small, &w.left, i);
    for (int i = 0; i < 3; i++)
        assert_true(propose(&w, &d));
    struct job_id id = submit(&w, &gang, &w.left, 9);
    assert_true(propose(&w, &d));
    assert_true(id_is_equal(d.job.id, id.id));
    assert_at(&w, &d, 1);
    assert_int_equal(d.nodes, 4);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++)
            assert_int_not_equal(d.places[i].node, d.places[j].node);
    world_deinit(&w);
}

static void a_missing_price_is_not_zero(void **state)
{
    struct world w;
    struct place_decision d;
    struct job_spec spec = spec_of(1, 1000);
    (void)state;
    world_init(&w);
    w.sites[2].ask_per_cpu_hour.has = false;
    assert_int_equal(placer_site_put(w.placer, &w.sites[2], true), ERR_OK);
    submit(&w, &spec, &w.left, 1);
    assert_true(propose(&w, &d));
    assert_at(&w, &d, 1);
    world_deinit(&w);
}

static void the_tenant_that_holds_less_goes_first(void **state)
{
    struct world w;
    struct place_decision d;
    struct job_spec spec = spec_of(1, 4000), other = spec_of(1, 4000);
    uint32_t held_left = 0, held_right = 0;
    (void)state;
    world_init(&w);
    for (uint32_t i = 0; i < 20; i++) {
        submit(&w, &spec, &w.left, 100 + i);
        submit(&w, &other, &w.right, 200 + i);
    }
    while (propose(&w, &d)) {
        bool is_left = d.job.id.bytes[7] < 200;
        held_left += is_left;
        held_right += !is_left;
    }
    assert_int_equal(held_left, SITES * NODES / 2);
    assert_int_equal(held_right, SITES * NODES / 2);
    world_deinit(&w);
}

static void quota_of_a_parent_holds_for_its_children_together(void **state)
{
    struct world w;
    struct place_decision d;
    struct job_spec spec = spec_of(1, 1000);
    int placed = 0;
    (void)state;
    world_init(&w);
    w.root.quota.cpu_milli = MAYBE_U64(5000);
    assert_int_equal(placer_tenant_put(w.placer, &w.root), ERR_OK);
    for (uint32_t i = 0; i < 5; i++) {
        submit(&w, &spec, &w.left, 10 + i);
        submit(&w, &spec, &w.right, 20 + i);
    }
    while (propose(&w, &d))
        placed++;
    assert_int_equal(placed, 5);
    placer_release(w.placer, d.job, w.now.wall); /* the last one decided */
    assert_true(propose(&w, &d));
    world_deinit(&w);
}

static void a_higher_class_goes_first(void **state)
{
    struct world w;
    struct place_decision d;
    struct job_spec surplus = spec_of(1, 1000), guaranteed = spec_of(1, 1000);
    surplus.priority = PRIORITY_SURPLUS;
    guaranteed.priority = PRIORITY_GUARANTEED;
    (void)state;
    world_init(&w);
    submit(&w, &surplus, &w.left, 1);
    struct job_id second = submit(&w, &guaranteed, &w.left, 2);
    assert_true(propose(&w, &d));
    assert_true(id_is_equal(d.job.id, second.id));
    world_deinit(&w);
}

static void backfill_never_delays_the_head_of_the_queue(void **state)
{
    struct world w;
    struct place_decision d;
    struct slice west = SLICE_LITERAL("west-b");
    struct job_spec first = spec_of(2, 4000), head = spec_of(4, 4000), longer = spec_of(1, 4000),
                    shorter = spec_of(1, 4000);
    first.placement.sites = head.placement.sites = longer.placement.sites =
        shorter.placement.sites = (struct text_list){&west, 1};
    shorter.time_limit = SPAN_S(600);
    longer.time_limit = SPAN_S(7200);
    (void)state;
    world_init(&w);
    submit(&w, &first, &w.left, 1);
    assert_true(propose(&w, &d));
    submit(&w, &head, &w.left, 2);
    submit(&w, &longer, &w.left, 3);
    struct job_id small = submit(&w, &shorter, &w.left, 4);
    assert_true(propose(&w, &d));
    assert_true(id_is_equal(d.job.id, small.id)); /* it ends before the gang could start */
    assert_false(propose(&w, &d));
    world_deinit(&w);
}

static void an_array_keeps_to_its_parallel_limit(void **state)
{
    struct world w;
    struct place_decision d;
    struct job_spec spec = spec_of(1, 500);
    spec.array_count = 10;
    spec.array_parallel_max = 3;
    int placed = 0;
    (void)state;
    world_init(&w);
    for (uint32_t i = 1; i <= 10; i++)
        submit(&w, &spec, &w.left, i);
    while (propose(&w, &d))
        placed++;
    assert_int_equal(placed, 3);
    placer_release(w.placer, d.job, w.now.wall);
    assert_true(propose(&w, &d));
    assert_false(propose(&w, &d));
    world_deinit(&w);
}

static void what_the_site_measures_bounds_what_is_given(void **state)
{
    struct world w;
    struct place_decision d;
    struct slice west = SLICE_LITERAL("west-b");
    struct job_spec spec = spec_of(1, 1000);
    spec.placement.sites = (struct text_list){&west, 1};
    struct sync_node seen[NODES];
    int placed = 0;
    (void)state;
    world_init(&w);
    for (uint16_t n = 0; n < NODES; n++)
        seen[n] = (struct sync_node){.node = n,
                                     .is_up = n != 3,
                                     .cpu_milli_free = 2500,
                                     .mem_bytes_free = UINT64_C(8) << 30};
    placer_site_observe(w.placer, w.sites[2].id, seen, NODES);
    for (uint32_t i = 1; i <= 20; i++)
        submit(&w, &spec, &w.left, i);
    while (propose(&w, &d))
        placed++;
    assert_int_equal(placed, 3 * 2);
    world_deinit(&w);
}

static void an_impossible_job_is_refused_by_name(void **state)
{
    struct world w;
    struct fault fault = {0};
    struct job_spec spec = spec_of(5, 1000);
    struct place_job job = {.id = {id_of(4, 1)}, .spec = &spec};
    (void)state;
    world_init(&w);
    job.tenant = w.left.id;
    assert_int_equal(placer_check(w.placer, &job, &fault), ERR_INVALID);
    assert_non_null(strstr(fault.message, "shape"));
    spec.num_nodes = 4;
    assert_int_equal(placer_check(w.placer, &job, &fault), ERR_OK);
    world_deinit(&w);
}

static void a_pending_job_says_when_and_behind_whom(void **state)
{
    struct world w;
    struct place_decision d;
    struct arena arena;
    struct place_explanation e;
    struct job_spec spec = spec_of(4, 4000);
    (void)state;
    world_init(&w);
    arena_init(&arena, 1 << 20);
    for (uint32_t i = 1; i <= 5; i++)
        submit(&w, &spec, &w.left, i);
    for (int i = 0; i < 3; i++)
        assert_true(propose(&w, &d));
    assert_false(propose(&w, &d));
    assert_int_equal(placer_explain(w.placer, (struct job_id){id_of(4, 5)}, w.now, &arena, &e),
                     ERR_OK);
    assert_int_equal(e.verdict, PLACE_LATER);
    assert_int_equal(e.line_count, SITES);
    assert_int_equal(e.blocked_by, FILTER_BUSY);
    assert_true(e.has_eta);
    assert_in_range(e.eta_low.ms, 1, 3600000);
    assert_int_equal(placer_explain(w.placer, (struct job_id){id_of(4, 1)}, w.now, &arena, &e),
                     ERR_OK);
    assert_int_equal(e.verdict, PLACE_HELD);
    assert_int_equal(placer_explain(w.placer, (struct job_id){id_of(4, 77)}, w.now, &arena, &e),
                     ERR_NOT_FOUND);
    arena_deinit(&arena);
    world_deinit(&w);
}

static void an_aborted_proposal_gives_everything_back(void **state)
{
    struct world w;
    struct place_decision first, again;
    struct job_spec spec = spec_of(4, 4000);
    (void)state;
    world_init(&w);
    submit(&w, &spec, &w.left, 1);
    assert_true(placer_propose(w.placer, w.now, &first));
    placer_abort(w.placer, first.job);
    assert_true(placer_propose(w.placer, w.now, &again));
    assert_memory_equal(&first.site, &again.site, sizeof(first.site));
    assert_memory_equal(first.places, again.places, 4 * sizeof(first.places[0]));
    world_deinit(&w);
}

/* A long random run: never over a node's size, books exact, and the same world built anew decides
 * the same. */
static void books_stay_exact_through_a_long_random_run(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct world w;
        struct random random;
        struct place_decision held[64], d;
        struct job_spec specs[6];
        uint32_t held_count = 0, next = 1;
        random_init(&random, seed);
        world_init(&w);
        for (uint32_t i = 0; i < 6; i++)
            specs[i] = spec_of(1 + (uint32_t)random_below(&random, 4),
                               500 * (1 + (uint32_t)random_below(&random, 8)));
        for (int step = 0; step < 400; step++) {
            w.now.wall.us += 1000000;
            if (random_chance(&random, 500000))
                submit(&w, &specs[random_below(&random, 6)],
                       random_chance(&random, 500000) ? &w.left : &w.right, next++);
            while (held_count < 64 && propose(&w, &d))
                held[held_count++] = d;
            if (held_count > 0 && random_chance(&random, 400000)) {
                uint32_t gone = (uint32_t)random_below(&random, held_count);
                placer_release(w.placer, held[gone].job, w.now.wall);
                held[gone] = held[--held_count];
            }
            uint32_t used[SITES][NODES] = {{0}};
            for (uint32_t h = 0; h < held_count; h++)
                for (uint32_t r = 0; r < held[h].nodes; r++)
                    for (int s = 0; s < SITES; s++)
                        if (id_is_equal(held[h].site.id, w.sites[s].id.id))
                            used[s][held[h].places[r].node] +=
                                (uint32_t)(held[h].ask_per_hour.micros / (100 * (3 - s)) /
                                           held[h].nodes);
            for (int s = 0; s < SITES; s++)
                for (int n = 0; n < NODES; n++)
                    assert_true(used[s][n] <= 4000);
        }
        world_deinit(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cheapest_site_that_fits_wins),
        cmocka_unit_test(jurisdiction_is_never_relaxed),
        cmocka_unit_test(a_gang_gets_all_its_nodes_or_none),
        cmocka_unit_test(a_missing_price_is_not_zero),
        cmocka_unit_test(the_tenant_that_holds_less_goes_first),
        cmocka_unit_test(quota_of_a_parent_holds_for_its_children_together),
        cmocka_unit_test(a_higher_class_goes_first),
        cmocka_unit_test(backfill_never_delays_the_head_of_the_queue),
        cmocka_unit_test(an_array_keeps_to_its_parallel_limit),
        cmocka_unit_test(what_the_site_measures_bounds_what_is_given),
        cmocka_unit_test(an_impossible_job_is_refused_by_name),
        cmocka_unit_test(a_pending_job_says_when_and_behind_whom),
        cmocka_unit_test(an_aborted_proposal_gives_everything_back),
        cmocka_unit_test(books_stay_exact_through_a_long_random_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
