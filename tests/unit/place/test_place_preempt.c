/* Preemption: who is told to leave for whom, and that it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "place_world.h"

enum { NODES = 4, SITES = 2, HOUR_S = 3600 };

static const struct job_variant CPU = {.runtime = RUNTIME_CPU, .run = SLICE_LITERAL("true")};

struct net {
    struct placer *placer;
    struct now now;
    struct tenant root;
    struct region region;
    struct site sites[SITES];
    struct site_node nodes[NODES];
    uint32_t number;
};

static void net_init(struct net *n, uint32_t sites)
{
    memset(n, 0, sizeof(*n));
    n->placer = placer_create();
    assert_non_null(n->placer);
    n->now = (struct now){{1000000000}, {INT64_C(1800000000) * 1000000}};
    n->root = (struct tenant){.id = {world_id(1, 1)}, .name = SLICE_LITERAL("root"), .weight = 1};
    n->region = (struct region){.id = {world_id(2, 1)},
                                .name = SLICE_LITERAL("north"),
                                .jurisdiction = SLICE_LITERAL("CN")};
    for (int i = 0; i < NODES; i++)
        n->nodes[i] = (struct site_node){
            .name = SLICE_LITERAL("n"), .cpu_milli = 4000, .mem_bytes = UINT64_C(8) << 30};
    assert_int_equal(placer_tenant_put(n->placer, &n->root), ERR_OK);
    assert_int_equal(placer_region_put(n->placer, &n->region), ERR_OK);
    for (uint32_t i = 0; i < sites; i++) {
        n->sites[i] = (struct site){.id = {world_id(3, i + 1)},
                                    .name = i == 0 ? SLICE_LITERAL("a") : SLICE_LITERAL("b"),
                                    .region = SLICE_LITERAL("north"),
                                    .ask_per_cpu_hour = MAYBE_MONEY(((struct money){100000})),
                                    .nodes = n->nodes,
                                    .node_count = NODES};
        assert_int_equal(placer_site_put(n->placer, &n->sites[i], true), ERR_OK);
    }
}

static struct job_spec spec_of(enum priority_class priority, uint32_t nodes, uint32_t cpu_milli)
{
    return (struct job_spec){.name = SLICE_LITERAL("j"),
                             .num_nodes = nodes,
                             .cpu_milli = cpu_milli,
                             .mem_bytes = 1 << 20,
                             .variants = &CPU,
                             .variant_count = 1,
                             .array_count = 1,
                             .priority = priority,
                             .time_limit = SPAN_S(10 * HOUR_S)};
}

static struct job_id submit(struct net *n, const struct job_spec *spec)
{
    n->number++;
    struct place_job job = {.id = {world_id(4, n->number)},
                            .spec = spec,
                            .tenant = n->root.id,
                            .created_at = {n->now.wall.us + n->number}};
    assert_int_equal(placer_job_put(n->placer, &job), ERR_OK);
    return job.id;
}

static void pass(struct net *n, int64_t seconds)
{
    n->now.boot.ns += seconds * 1000000000;
    n->now.wall.us += seconds * 1000000;
}

static bool propose(struct net *n, struct place_decision *out)
{
    bool found = placer_propose(n->placer, n->now, out);
    if (found)
        placer_confirm(n->placer, out->job, n->now);
    return found;
}

static void assert_starts(struct net *n, struct job_id job)
{
    struct place_decision d;
    assert_true(propose(n, &d));
    assert_true(id_is_equal(d.job.id, job.id));
}

static uint32_t ask(struct net *n, struct job_id out[PLACE_LEAVING_MAX])
{
    struct place_decision d;
    assert_false(propose(n, &d));
    return placer_preempt(n->placer, n->now, out);
}

/* So many jobs that each fill a node, a minute apart. */
static void fill(struct net *n, const struct job_spec *spec, uint32_t count, struct job_id *out)
{
    for (uint32_t i = 0; i < count; i++) {
        out[i] = submit(n, spec);
        assert_starts(n, out[i]);
        pass(n, 60);
    }
}

static void the_one_that_loses_least_leaves_for_a_higher_class(void **state)
{
    struct net n;
    struct job_id held[NODES], leaving[PLACE_LEAVING_MAX];
    struct job_spec low = spec_of(PRIORITY_SURPLUS, 1, 4000),
                    high = spec_of(PRIORITY_GUARANTEED, 1, 4000);
    (void)state;
    net_init(&n, 1);
    fill(&n, &low, NODES, held);
    struct job_id head = submit(&n, &high);
    assert_int_equal(ask(&n, leaving), 1);
    assert_true(id_is_equal(leaving[0].id, held[NODES - 1].id)); /* the youngest */
    assert_int_equal(ask(&n, leaving), 0);                       /* nobody else while it leaves */
    pass(&n, 5);
    placer_release(n.placer, leaving[0], n.now.wall);
    struct job_id again = submit(&n, &low);
    assert_starts(&n, head);
    assert_int_equal(ask(&n, leaving), 0);
    placer_release(n.placer, held[0], n.now.wall);
    assert_starts(&n, again);
    placer_destroy(n.placer);
}

static void the_same_class_and_higher_ones_stay(void **state)
{
    struct net n;
    struct job_id held[NODES], leaving[PLACE_LEAVING_MAX];
    struct job_spec standard = spec_of(PRIORITY_STANDARD, 1, 4000),
                    surplus = spec_of(PRIORITY_SURPLUS, 1, 4000);
    (void)state;
    net_init(&n, 1);
    fill(&n, &standard, NODES, held);
    (void)submit(&n, &standard);
    (void)submit(&n, &surplus);
    assert_int_equal(ask(&n, leaving), 0);
    placer_destroy(n.placer);
}

static void surplus_work_leaves_before_standard_work_of_the_same_age(void **state)
{
    struct net n;
    struct job_id leaving[PLACE_LEAVING_MAX];
    struct job_spec standard = spec_of(PRIORITY_STANDARD, 1, 4000),
                    surplus = spec_of(PRIORITY_SURPLUS, 1, 4000),
                    high = spec_of(PRIORITY_GUARANTEED, 1, 4000);
    (void)state;
    net_init(&n, 1);
    for (int i = 0; i < NODES - 1; i++)
        assert_starts(&n, submit(&n, &standard));
    struct job_id lowest = submit(&n, &surplus);
    assert_starts(&n, lowest);
    pass(&n, HOUR_S);
    (void)submit(&n, &high);
    assert_int_equal(ask(&n, leaving), 1);
    assert_true(id_is_equal(leaving[0].id, lowest.id));
    placer_destroy(n.placer);
}

static void nobody_leaves_for_a_gang_that_could_not_start_all_the_same(void **state)
{
    struct net n;
    struct job_id held[NODES], leaving[PLACE_LEAVING_MAX];
    struct job_spec low = spec_of(PRIORITY_SURPLUS, 1, 4000),
                    equal = spec_of(PRIORITY_GUARANTEED, 1, 4000),
                    gang = spec_of(PRIORITY_GUARANTEED, NODES, 4000);
    (void)state;
    net_init(&n, 1);
    fill(&n, &low, NODES - 1, held);
    assert_starts(&n, submit(&n, &equal));
    (void)submit(&n, &gang);
    assert_int_equal(ask(&n, leaving), 0);
    placer_destroy(n.placer);
}

static void a_gang_gets_the_site_where_least_is_lost_and_starts_when_all_have_left(void **state)
{
    struct net n;
    struct job_id old[NODES], young[NODES], leaving[PLACE_LEAVING_MAX];
    struct job_spec low = spec_of(PRIORITY_STANDARD, 1, 4000),
                    gang = spec_of(PRIORITY_GUARANTEED, 3, 3000);
    (void)state;
    net_init(&n, SITES);
    fill(&n, &low, NODES, old); /* at a */
    pass(&n, HOUR_S);
    fill(&n, &low, NODES, young); /* at b */
    struct job_id head = submit(&n, &gang);
    assert_int_equal(ask(&n, leaving), 3);
    for (int i = 0; i < 3; i++) {
        struct place_decision d;
        bool is_young = false;
        for (int k = 1; k < NODES; k++)
            is_young = is_young || id_is_equal(leaving[i].id, young[k].id);
        assert_true(is_young);
        assert_false(propose(&n, &d));
        placer_release(n.placer, leaving[i], n.now.wall);
    }
    assert_starts(&n, head);
    placer_destroy(n.placer);
}

static void who_need_not_go_stays(void **state)
{
    struct net n;
    struct job_id leaving[PLACE_LEAVING_MAX];
    struct job_spec small = spec_of(PRIORITY_SURPLUS, 1, 1000),
                    large = spec_of(PRIORITY_SURPLUS, 1, 3000),
                    high = spec_of(PRIORITY_GUARANTEED, 1, 3000);
    (void)state;
    net_init(&n, 1);
    for (int i = 0; i < NODES; i++) {
        assert_starts(&n, submit(&n, &large));
        assert_starts(&n, submit(&n, &small)); /* on the same node: it is cheaper, and of no use */
    }
    (void)submit(&n, &high);
    assert_int_equal(ask(&n, leaving), 1);
    placer_destroy(n.placer);
}

static void a_promise_that_is_near_is_waited_for(void **state)
{
    struct net n;
    struct job_id held[NODES], leaving[PLACE_LEAVING_MAX];
    struct job_spec low = spec_of(PRIORITY_SURPLUS, 1, 4000),
                    high = spec_of(PRIORITY_GUARANTEED, 1, 4000);
    (void)state;
    net_init(&n, 1);
    low.time_limit = SPAN_S(NODES * 60 + 30);
    fill(&n, &low, NODES, held); /* the first ends in 30 s */
    (void)submit(&n, &high);
    assert_int_equal(ask(&n, leaving), 0);
    placer_destroy(n.placer);
}

/* Those that left come back to the queue at once. Whatever comes, a moment is reached in which
 * nobody is told to leave, all that could start has started, and no lower class stands where a
 * higher one waits. */
static void it_ends_and_only_lower_classes_leave(void **state)
{
    struct net n;
    struct random random;
    static struct job_spec specs[PRIORITY_COUNT_][3];
    static enum priority_class classes[512];
    static struct place_job jobs[512];
    (void)state;
    net_init(&n, SITES);
    random_init(&random, 7);
    for (int p = 0; p < PRIORITY_COUNT_; p++)
        for (uint32_t k = 0; k < 3; k++)
            specs[p][k] = spec_of((enum priority_class)p, 1 + k, 1000 + 1000 * k);
    for (uint32_t i = 0; i < 120; i++) {
        struct job_id leaving[PLACE_LEAVING_MAX];
        struct place_decision d;
        enum priority_class p = (enum priority_class)random_below(&random, PRIORITY_COUNT_);
        const struct job_spec *spec = &specs[p][random_below(&random, 3)];
        uint32_t rounds = 0, count;
        struct job_id id = submit(&n, spec);
        classes[n.number] = p;
        jobs[n.number] = (struct place_job){
            .id = id, .spec = spec, .tenant = n.root.id, .created_at = {n.now.wall.us + n.number}};
        do {
            while (propose(&n, &d))
                ;
            count = placer_preempt(n.placer, n.now, leaving);
            for (uint32_t l = 0; l < count; l++) {
                uint32_t number = 1;
                while (!id_is_equal(jobs[number].id.id, leaving[l].id))
                    number++;
                assert_true(classes[number] < PRIORITY_GUARANTEED);
                placer_release(n.placer, leaving[l], n.now.wall);
                assert_int_equal(placer_job_put(n.placer, &jobs[number]), ERR_OK);
            }
            assert_true(++rounds < 64);
        } while (count > 0);
        pass(&n, 90);
    }
    placer_destroy(n.placer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_one_that_loses_least_leaves_for_a_higher_class),
        cmocka_unit_test(the_same_class_and_higher_ones_stay),
        cmocka_unit_test(surplus_work_leaves_before_standard_work_of_the_same_age),
        cmocka_unit_test(nobody_leaves_for_a_gang_that_could_not_start_all_the_same),
        cmocka_unit_test(a_gang_gets_the_site_where_least_is_lost_and_starts_when_all_have_left),
        cmocka_unit_test(who_need_not_go_stays),
        cmocka_unit_test(a_promise_that_is_near_is_waited_for),
        cmocka_unit_test(it_ends_and_only_lower_classes_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
