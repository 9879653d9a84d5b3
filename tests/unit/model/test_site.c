/* Sites, pools, asks, links, names, the catalogue and whole topologies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "model/catalogue.h"
#include "model/topology.h"

static struct site_node node(const char *name, const char *model, uint32_t count)
{
    return (struct site_node){
        .name = slice_of(name),
        .cpu_milli = 8000,
        .mem_bytes = UINT64_C(16) << 30,
        .accelerator = slice_of(model),
        .runtime = count > 0 ? RUNTIME_CUDA : RUNTIME_CPU,
        .accelerator_count = count,
    };
}

static struct site good_site(struct site_node *nodes, uint32_t count)
{
    return (struct site){.name = SLICE_LITERAL("west"),
                         .region = SLICE_LITERAL("ningxia"),
                         .operator_name = SLICE_LITERAL("op"),
                         .nodes = nodes,
                         .node_count = count};
}

static void test_pools_gather_alike_nodes(void **state)
{
    struct site_node nodes[] = {node("n1", "A100", 8), node("n2", "", 0), node("n3", "A100", 8),
                                node("n4", "H100", 8), node("n5", "", 0)};
    struct site site = good_site(nodes, 5);
    const struct pool *pools;
    struct arena arena;
    uint32_t count;
    (void)state;
    arena_init(&arena, 1 << 20);
    assert_int_equal(site_check(&site, NULL), ERR_OK);
    assert_int_equal(site_pools(&site, &arena, &pools, &count), ERR_OK);
    assert_int_equal(count, 3);
    assert_ptr_equal(pools[0].shape, &nodes[0]);
    assert_int_equal(pools[0].node_count, 2);
    assert_int_equal(pools[0].nodes[0], 0);
    assert_int_equal(pools[0].nodes[1], 2);
    assert_int_equal(pools[1].nodes[1], 4);
    assert_int_equal(pools[2].nodes[0], 3);
    site.node_count = 0;
    assert_int_equal(site_pools(&site, &arena, &pools, &count), ERR_OK);
    assert_int_equal(count, 0);
    arena_deinit(&arena);
}

/* Every node is in exactly one pool, with nodes like itself. */
static void test_pools_part_the_nodes(void **state)
{
    enum { COUNT = 300 };
    static struct site_node nodes[COUNT];
    static char names[COUNT][8];
    struct random random;
    struct arena arena;
    (void)state;
    random_init(&random, 5);
    arena_init(&arena, 1 << 20);
    for (int round = 0; round < 30; round++) {
        bool seen[COUNT] = {false};
        const struct pool *pools;
        uint32_t count, total = 0;
        arena_reset(&arena);
        for (int i = 0; i < COUNT; i++) {
            snprintf(names[i], sizeof(names[i]), "n%d", i);
            nodes[i] = node(names[i], "", 0);
            nodes[i].cpu_milli = 1000 * (1 + (uint32_t)random_below(&random, 3));
            nodes[i].mem_bytes = (1 + random_below(&random, 2)) << 30;
        }
        struct site site = good_site(nodes, COUNT);
        assert_int_equal(site_pools(&site, &arena, &pools, &count), ERR_OK);
        assert_true(count <= 6);
        for (uint32_t p = 0; p < count; p++) {
            for (uint32_t i = 0; i < pools[p].node_count; i++) {
                uint32_t index = pools[p].nodes[i];
                assert_false(seen[index]);
                seen[index] = true;
                assert_true(site_node_is_alike(&nodes[index], pools[p].shape));
                assert_true(i == 0 || pools[p].nodes[i - 1] < index);
            }
            total += pools[p].node_count;
        }
        assert_int_equal(total, COUNT);
    }
    arena_deinit(&arena);
}

static void test_an_empty_ask_is_never_zero(void **state)
{
    struct site_ask asks[] = {{SLICE_LITERAL("A100"), {12000000}}};
    struct site site = good_site(NULL, 0);
    struct maybe_money sum;
    (void)state;
    assert_false(site_ask_per_hour(&site, slice_of("A100")).has);
    assert_false(site_gang_ask_per_hour(&site, slice_of(""), 0, 1000, 1).has);
    site.asks = asks;
    site.ask_count = 1;
    assert_int_equal(site_ask_per_hour(&site, slice_of("a100")).value.micros, 12000000);
    assert_false(site_ask_per_hour(&site, slice_of("H100")).has);
    assert_false(site_gang_ask_per_hour(&site, slice_of("H100"), 1, 1000, 1).has);
    sum = site_gang_ask_per_hour(&site, slice_of("A100"), 8, 4000, 2);
    assert_true(sum.has);
    assert_int_equal(sum.value.micros, 16 * 12000000);
    site.ask_per_cpu_hour = MAYBE_MONEY(((struct money){40000}));
    sum = site_gang_ask_per_hour(&site, slice_of("A100"), 8, 4000, 2);
    assert_int_equal(sum.value.micros, 16 * 12000000 + 8 * 40000);
    sum = site_gang_ask_per_hour(&site, slice_of(""), 0, 500, 1);
    assert_int_equal(sum.value.micros, 20000);
    site.ask_per_accelerator_hour = MAYBE_MONEY(((struct money){0}));
    assert_true(site_ask_per_hour(&site, slice_of("H100")).has); /* a stated zero is a price */
    asks[0].per_hour.micros = INT64_MAX;
    assert_false(site_gang_ask_per_hour(&site, slice_of("A100"), 8, 4000, 2).has);
}

static void test_wrong_sites_are_refused(void **state)
{
    struct site_node nodes[3];
    struct site_ask asks[2];
    struct site site;
    struct fault fault;
    (void)state;
#define REFUSES(change, name)                                                                      \
    do {                                                                                           \
        nodes[0] = node("n1", "A100", 8);                                                          \
        nodes[1] = node("n2", "", 0);                                                              \
        site = good_site(nodes, 2);                                                                \
        asks[0] = (struct site_ask){SLICE_LITERAL("A"), {1}};                                      \
        asks[1] = (struct site_ask){SLICE_LITERAL("B"), {1}};                                      \
        site.asks = asks;                                                                          \
        site.ask_count = 2;                                                                        \
        assert_int_equal(site_check(&site, &fault), ERR_OK);                                       \
        change;                                                                                    \
        assert_int_not_equal(site_check(&site, &fault), ERR_OK);                                   \
        assert_string_equal(fault.field, name);                                                    \
    } while (0)
    REFUSES(site.name = SLICE_LITERAL("we st"), "name");
    REFUSES(site.name = SLICE_LITERAL("-west"), "name");
    REFUSES(site.name = SLICE_LITERAL("a/b"), "name");
    REFUSES(site.name = SLICE_LITERAL("a\nb"), "name");
    REFUSES(site.region = SLICE_LITERAL(""), "region");
    REFUSES(site.tier = TIER_COUNT_, "tier");
    REFUSES(nodes[1].name = SLICE_LITERAL("n1"), "nodes[1].name");
    REFUSES(nodes[0].cpu_milli = 0, "nodes[0].cpus");
    REFUSES(nodes[1].mem_bytes = 0, "nodes[1].memory");
    REFUSES(nodes[0].runtime = RUNTIME_CPU, "nodes[0].runtime");
    REFUSES(nodes[0].accelerator_count = 17, "nodes[0].accelerators");
    REFUSES(nodes[0].accelerator_count = 0, "nodes[0].accelerators");
    REFUSES(asks[1].accelerator = SLICE_LITERAL("A"), "asks");
    REFUSES(asks[0].per_hour.micros = -1, "asks");
    REFUSES(site.ask_per_cpu_hour = MAYBE_MONEY(((struct money){-1})), "ask_per_cpu_hour");
    REFUSES(site.node_count = SITE_NODES_MAX + 1, "nodes");
#undef REFUSES
}

static void test_a_folder_is_shared_with_one_tenant_by_its_whole_path(void **state)
{
    static const char *const WRONG[] = {
        "/data/team",                               /* with nobody */
        "team=/data/team",                          /* a name is no id */
        "ten_01j9z3k5m8q2r4t6v8x0y2z4a6=data/team", /* relative */
        "ten_01j9z3k5m8q2r4t6v8x0y2z4a6=/etc/ssh",
        "ten_01j9z3k5m8q2r4t6v8x0y2z4a6=/tmp",
        "ten_01j9z3k5m8q2r4t6v8x0y2z4a6=/data/../etc",
        "ten_01j9z3k5m8q2r4t6v8x0y2z4a6=/",
    };
    struct slice share = SLICE_LITERAL("ten_01j9z3k5m8q2r4t6v8x0y2z4a6=/data/team");
    struct site_node nodes[2] = {node("n1", "", 0), node("n2", "", 0)};
    struct site site = good_site(nodes, 2);
    struct tenant_id tenant, other;
    struct fault fault;
    (void)state;
    assert_int_equal(id_parse(SLICE_LITERAL("ten_01j9z3k5m8q2r4t6v8x0y2z4a6"), "ten", &tenant.id),
                     ERR_OK);
    assert_int_equal(id_parse(SLICE_LITERAL("ten_01j9z3k5m8q2r4t6v8x0y2z4a7"), "ten", &other.id),
                     ERR_OK);
    site.shared_folders = (struct text_list){&share, 1};
    assert_int_equal(site_check(&site, &fault), ERR_OK);
    assert_true(site_shares_folder(&site, tenant, SLICE_LITERAL("/data/team")));
    assert_false(site_shares_folder(&site, tenant, SLICE_LITERAL("/data/team/inner")));
    assert_false(site_shares_folder(&site, tenant, SLICE_LITERAL("/data")));
    assert_false(site_shares_folder(&site, other, SLICE_LITERAL("/data/team")));
    site.engine = ENGINE_SLURM;
    assert_int_equal(site_check(&site, &fault), ERR_INVALID);
    site.engine = ENGINE_HOST;
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        share = slice_of(WRONG[i]);
        assert_int_equal(site_check(&site, &fault), ERR_INVALID);
        assert_string_equal(fault.field, "shared_folders");
    }
}

static void test_site_may_have_4096_nodes(void **state)
{
    static struct site_node nodes[SITE_NODES_MAX];
    static char names[SITE_NODES_MAX][8];
    struct site site = good_site(nodes, SITE_NODES_MAX);
    (void)state;
    for (int i = 0; i < SITE_NODES_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "n%d", i);
        nodes[i] = node(names[i], "", 0);
    }
    assert_int_equal(site_check(&site, NULL), ERR_OK);
    nodes[4095].name = slice_of("n17");
    assert_int_equal(site_check(&site, NULL), ERR_INVALID);
}

static void test_site_moves(void **state)
{
    (void)state;
    assert_true(site_state_can_move(SITE_ACTIVE, SITE_DRAINING));
    assert_false(site_state_can_move(SITE_ACTIVE, SITE_DRAINED));
    assert_true(site_state_can_move(SITE_DRAINING, SITE_DRAINED));
    assert_true(site_state_can_move(SITE_DRAINED, SITE_ACTIVE));
    assert_false(site_state_can_move(SITE_DRAINED, SITE_DRAINING));
    for (int i = 0; i < SITE_LOST; i++) {
        assert_true(site_state_can_move((enum site_state)i, SITE_LOST));
        assert_true(site_state_can_move(SITE_LOST, (enum site_state)i));
    }
}

static void test_nearest_names(void **state)
{
    static const struct slice NAMES[] = {SLICE_LITERAL("zhongwei"), SLICE_LITERAL("guian"),
                                         SLICE_LITERAL("wuhu")};
    (void)state;
    assert_int_equal(name_nearest(slice_of("zhongwe"), NAMES, 3), 0);
    assert_int_equal(name_nearest(slice_of("GUIAN"), NAMES, 3), 1);
    assert_int_equal(name_nearest(slice_of("wuhi"), NAMES, 3), 2);
    assert_int_equal(name_nearest(slice_of("paris"), NAMES, 3), -1);
    assert_int_equal(name_nearest(slice_of(""), NAMES, 3), -1);
    assert_int_equal(name_nearest(slice_of("x"), NAMES, 0), -1);
}

static void test_catalogue_resolves_what_people_write(void **state)
{
    const struct accelerator rows[] = {
        {.model = SLICE_LITERAL("A100 80GB SXM"),
         .vendor = SLICE_LITERAL("NVIDIA"),
         .runtime = RUNTIME_CUDA},
        {.model = SLICE_LITERAL("H20 96GB"),
         .vendor = SLICE_LITERAL("NVIDIA"),
         .runtime = RUNTIME_CUDA},
        {.model = SLICE_LITERAL("H200 SXM"),
         .vendor = SLICE_LITERAL("NVIDIA"),
         .runtime = RUNTIME_CUDA},
        {.model = SLICE_LITERAL("Ascend 910B (B2/B3 class)"),
         .vendor = SLICE_LITERAL("Huawei"),
         .runtime = RUNTIME_CANN},
        {.model = SLICE_LITERAL("Ascend 910C"),
         .vendor = SLICE_LITERAL("Huawei"),
         .runtime = RUNTIME_CANN},
    };
    const struct catalogue catalogue = {rows, 5};
    const struct accelerator *row = NULL;
    struct fault fault;
    (void)state;
    assert_int_equal(catalogue_check(&catalogue, NULL), ERR_OK);
    assert_int_equal(catalogue_resolve(&catalogue, slice_of("a100"), "f", &row, &fault), ERR_OK);
    assert_ptr_equal(row, &rows[0]);
    assert_int_equal(catalogue_resolve(&catalogue, slice_of("H20"), "f", &row, &fault), ERR_OK);
    assert_ptr_equal(row, &rows[1]);
    assert_int_equal(catalogue_resolve(&catalogue, slice_of("910B"), "f", &row, &fault), ERR_OK);
    assert_ptr_equal(row, &rows[3]);
    assert_int_equal(catalogue_resolve(&catalogue, slice_of("Ascend"), "f", &row, &fault),
                     ERR_INVALID);
    assert_non_null(strstr(fault.message, "Ascend 910C"));
    assert_int_equal(catalogue_resolve(&catalogue, slice_of("A10"), "f", &row, &fault),
                     ERR_NOT_FOUND);
    assert_non_null(strstr(fault.message, "A100 80GB SXM"));
    assert_int_equal(catalogue_resolve(&catalogue, slice_of(""), "f", &row, &fault), ERR_NOT_FOUND);
    assert_null(catalogue_find(&catalogue, slice_of("A100")));
    enum runtime runtime;
    bool is_domestic;
    assert_int_equal(catalogue_vendor(slice_of("Moore Threads"), &runtime, &is_domestic), ERR_OK);
    assert_int_equal(runtime, RUNTIME_MUSA);
    assert_true(is_domestic);
    assert_int_equal(catalogue_vendor(slice_of("nobody"), &runtime, &is_domestic), ERR_NOT_FOUND);
}

struct network {
    struct region regions[2];
    struct site sites[2];
    struct link links[2];
    struct topology_tenant tenants[2];
    struct operator_account operators[1];
    struct topology topology;
    struct arena arena;
    struct fault fault;
};

static void network_init(struct network *network)
{
    memset(network, 0, sizeof(*network));
    arena_init(&network->arena, 1 << 20);
    network->regions[0] =
        (struct region){.name = SLICE_LITERAL("r1"), .jurisdiction = SLICE_LITERAL("CN")};
    network->regions[1] =
        (struct region){.name = SLICE_LITERAL("r2"), .jurisdiction = SLICE_LITERAL("CN")};
    for (int i = 0; i < 2; i++) {
        network->sites[i] = good_site(NULL, 0);
        network->sites[i].name = i == 0 ? slice_of("west") : slice_of("east");
        network->sites[i].region = network->regions[i].name;
    }
    network->operators[0] = (struct operator_account){.name = SLICE_LITERAL("op")};
    network->links[0] =
        (struct link){.a = SLICE_LITERAL("east"), .b = SLICE_LITERAL("west"), .rtt_us = 100};
    network->links[1] =
        (struct link){.a = SLICE_LITERAL("r1"), .b = SLICE_LITERAL("r2"), .rtt_us = 200};
    network->tenants[0].tenant = (struct tenant){.name = SLICE_LITERAL("lab"), .weight = 1};
    network->tenants[1].tenant = (struct tenant){.name = SLICE_LITERAL("team"), .weight = 1};
    network->tenants[1].parent = SLICE_LITERAL("lab");
    network->topology =
        (struct topology){network->regions, 2, network->sites,     2, network->links, 2,
                          network->tenants, 2, network->operators, 1, {{0}}};
    policy_default(&network->topology.policy);
}

static void test_wrong_topologies_are_refused(void **state)
{
    struct network network;
    (void)state;
    network_init(&network);
    assert_int_equal(topology_check(&network.topology, &network.arena, &network.fault), ERR_OK);
    arena_deinit(&network.arena);
#define REFUSES(change, name, words)                                                               \
    do {                                                                                           \
        network_init(&network);                                                                    \
        change;                                                                                    \
        assert_int_equal(topology_check(&network.topology, &network.arena, &network.fault),        \
                         ERR_INVALID);                                                             \
        assert_string_equal(network.fault.field, name);                                            \
        assert_non_null(strstr(network.fault.message, words));                                     \
        arena_deinit(&network.arena);                                                              \
    } while (0)
    REFUSES(network.sites[1].region = slice_of("r3"), "sites[1].region", "did you mean 'r1'");
    REFUSES(network.sites[1].operator_name = slice_of("opp"), "sites[1].operator", "'op'");
    REFUSES(network.sites[1].name = slice_of("west"), "sites[1].name", "twice");
    REFUSES(network.regions[1].name = slice_of("r1"), "regions[1].name", "twice");
    REFUSES(network.links[0].b = slice_of("wesst"), "links[0].b", "'west'");
    REFUSES(network.links[0].b = slice_of("r1"), "links[0].b", "two sites or two regions");
    REFUSES(network.links[1] = network.links[0], "links[1].b", "twice");
    REFUSES(network.links[1].b = network.links[1].a, "links[1].b", "two ends");
    REFUSES(network.tenants[1].parent = slice_of("labb"), "tenants[1].parent", "'lab'");
    REFUSES(network.tenants[0].parent = slice_of("team"), "tenants[0].parent", "cycle");
    REFUSES(network.topology.policy.lease_floor.ms = 0, "lease_floor", "at least");
#undef REFUSES
}

static void test_a_link_of_sites_outranks_that_of_regions(void **state)
{
    struct network network;
    (void)state;
    network_init(&network);
    assert_ptr_equal(topology_link(&network.topology, &network.sites[0], &network.sites[1]),
                     &network.links[0]);
    assert_ptr_equal(topology_link(&network.topology, &network.sites[1], &network.sites[0]),
                     &network.links[0]);
    network.links[0].a = slice_of("elsewhere");
    assert_ptr_equal(topology_link(&network.topology, &network.sites[0], &network.sites[1]),
                     &network.links[1]);
    assert_null(topology_link(&network.topology, &network.sites[0], &network.sites[0]));
    arena_deinit(&network.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pools_gather_alike_nodes),
        cmocka_unit_test(test_pools_part_the_nodes),
        cmocka_unit_test(test_an_empty_ask_is_never_zero),
        cmocka_unit_test(test_wrong_sites_are_refused),
        cmocka_unit_test(test_a_folder_is_shared_with_one_tenant_by_its_whole_path),
        cmocka_unit_test(test_site_may_have_4096_nodes),
        cmocka_unit_test(test_site_moves),
        cmocka_unit_test(test_nearest_names),
        cmocka_unit_test(test_catalogue_resolves_what_people_write),
        cmocka_unit_test(test_wrong_topologies_are_refused),
        cmocka_unit_test(test_a_link_of_sites_outranks_that_of_regions),
    };
    return cmocka_run_group_tests_name("model site", tests, NULL, NULL);
}
