/* The packing experiment: reading, arrivals, promises, bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "sim/pack.h"

enum { ARENA_BYTES_MAX = 64 << 20, TEXT_BYTES_MAX = 8 << 20 };

struct scene {
    struct arena arena;
    struct buffer text, other;
    struct pack_fleet fleet;
    struct pack_list list;
};

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    arena_init(&scene->arena, ARENA_BYTES_MAX);
    buffer_init(&scene->text, TEXT_BYTES_MAX);
    buffer_init(&scene->other, TEXT_BYTES_MAX);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    buffer_deinit(&scene->text);
    buffer_deinit(&scene->other);
    arena_deinit(&scene->arena);
    free(scene);
    return 0;
}

static const char NODES[] = "sn,cpu_milli,memory_mib,gpu,model\n"
                            "a,8000,8000,2,T4\n"
                            "b,8000,8000,1,V100\n"
                            "c,4000,8000,0,\n";

static void read_world(struct scene *scene, const char *nodes, const char *pods)
{
    struct fault fault = {0};
    assert_int_equal(pack_fleet_read(slice_of(nodes), &scene->arena, &scene->fleet, &fault),
                     ERR_OK);
    assert_int_equal(
        pack_list_read(slice_of(pods), &scene->fleet, &scene->arena, &scene->list, &fault), ERR_OK);
}

static struct pack_result run(struct scene *scene, const struct pack_list *arrivals,
                              const struct pack_list *mix, struct buffer *placements)
{
    struct pack_result result;
    assert_int_equal(pack_run(&scene->fleet, arrivals, mix, placements, &result), ERR_OK);
    return result;
}

static void test_columns_are_found_by_name(void **state)
{
    struct scene *scene = *state;
    read_world(scene, NODES,
               "gpu_spec,name,qos,num_gpu,gpu_milli,cpu_milli,memory_mib\n"
               "T4|V100,p,LS,1,500,1000,2000\n"
               ",q,LS,0,0,1000,2000\n"
               "H100,r,LS,1,500,1000,2000\n");
    assert_int_equal(scene->fleet.node_count, 3);
    assert_int_equal(scene->fleet.device_count, 3);
    assert_int_equal(scene->list.pod_count, 3);
    assert_int_equal(scene->list.pods[0].shape.device_milli, 500);
    assert_int_equal(scene->list.pods[0].shape.models, 3);
    assert_int_equal(scene->list.pods[1].shape.models, UINT64_MAX);
    assert_int_equal(scene->list.pods[2].shape.models, 0);
    struct pack_result result = run(scene, &scene->list, NULL, NULL);
    assert_int_equal(result.placed, 2); /* nothing has an H100 */
    assert_int_equal(result.dropped, 1);
}

static void test_a_broken_row_is_refused_with_line_and_column(void **state)
{
    static const struct {
        const char *pods;
        uint32_t line, column;
    } BROKEN[] = {
        {"name,cpu_milli,memory_mib,num_gpu\n", 1, 1},
        {"name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,1,1,1\nq,x,1,1,1\n", 3, 3},
        {"name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,-1,1,1\n", 2, 5},
        {"name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,1,1,1001\n", 2, 9},
        {"name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,1,1,0\n", 2, 9},
        {"name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,1,2,500\n", 2, 9},
        {"name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,1,2\n", 2, 7},
        {"name,cpu_milli,memory_mib,num_gpu,gpu_milli\n,1,1,1,1000\n", 2, 1},
        {"name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,99999999999999999999,1,1,1\n", 2, 3},
        {"name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,2000000000,1,1,1\n", 2, 3},
        {"name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1,\"1,1,1\n", 2, 5},
    };
    struct scene *scene = *state;
    struct fault fault = {0};
    assert_int_equal(pack_fleet_read(slice_of(NODES), &scene->arena, &scene->fleet, &fault),
                     ERR_OK);
    for (size_t i = 0; i < sizeof(BROKEN) / sizeof(BROKEN[0]); i++) {
        memset(&fault, 0, sizeof(fault));
        assert_int_not_equal(pack_list_read(slice_of(BROKEN[i].pods), &scene->fleet, &scene->arena,
                                            &scene->list, &fault),
                             ERR_OK);
        assert_int_equal(fault.line, BROKEN[i].line);
        assert_int_equal(fault.column, BROKEN[i].column);
        assert_true(fault.message[0] != '\0');
    }
}

static void test_a_broken_fleet_is_refused_with_line_and_column(void **state)
{
    static const struct {
        const char *nodes;
        uint32_t line, column;
    } BROKEN[] = {
        {"", 1, 1},
        {"sn,cpu_milli,memory_mib,gpu,model\na,1,1,17,T4\n", 2, 7},
        {"sn,cpu_milli,memory_mib,gpu,model\na,1,1,1,T4\na,1,1,1,T4\n", 3, 1},
        {"sn,cpu_milli,memory_mib,gpu,model\na,1,1,0,\n", 0, 0},
    };
    struct scene *scene = *state;
    for (size_t i = 0; i < sizeof(BROKEN) / sizeof(BROKEN[0]); i++) {
        struct fault fault = {0};
        assert_int_not_equal(
            pack_fleet_read(slice_of(BROKEN[i].nodes), &scene->arena, &scene->fleet, &fault),
            ERR_OK);
        assert_int_equal(fault.line, BROKEN[i].line);
        assert_int_equal(fault.column, BROKEN[i].column);
        assert_true(fault.message[0] != '\0');
    }
}

static void test_the_one_perfect_packing_of_a_tiny_world_is_found(void **state)
{
    struct scene *scene = *state;
    read_world(scene,
               "sn,cpu_milli,memory_mib,gpu,model\n"
               "a,4000,9000,1,T4\n"
               "b,4000,9000,1,T4\n",
               "name,cpu_milli,memory_mib,num_gpu,gpu_milli\n"
               "p,1000,1000,1,600\n"
               "q,1000,1000,1,400\n"
               "r,1000,1000,1,1000\n");
    struct pack_result result = run(scene, &scene->list, &scene->list, &scene->text);
    assert_int_equal(result.allocated_milli, 2000);
    assert_true(slice_is(buffer_slice(&scene->text), "name,node,gpus\np,a,0\nq,a,0\nr,b,0\n"));
}

static void test_several_devices_are_written_with_a_space_between(void **state)
{
    struct scene *scene = *state;
    read_world(scene, NODES,
               "name,cpu_milli,memory_mib,num_gpu,gpu_milli\n"
               "p,1000,1000,2,1000\n"
               "q,1000,1000,0,0\n");
    (void)run(scene, &scene->list, NULL, &scene->text);
    assert_true(
        slice_has_prefix(buffer_slice(&scene->text), SLICE_LITERAL("name,node,gpus\np,a,0 1\nq,")));
    assert_true(slice_has_suffix(buffer_slice(&scene->text), SLICE_LITERAL(",\n")));
}

/* A world of random nodes and pods, as CSV. */
static void make_world(struct scene *scene, uint64_t seed, size_t nodes, size_t pods)
{
    static const char *const MODELS[] = {"T4", "V100", "A10"};
    static const char *const SPECS[] = {"", "", "", "T4", "V100|A10"};
    struct random random;
    struct buffer csv;
    random_init(&random, seed);
    buffer_init(&csv, TEXT_BYTES_MAX);
    buffer_append_text(&csv, "sn,cpu_milli,memory_mib,gpu,model\n");
    for (size_t i = 0; i < nodes; i++)
        buffer_printf(&csv, "n%zu,%lld,%lld,%lld,%s\n", i,
                      (long long)random_between(&random, 8, 32) * 1000,
                      (long long)random_between(&random, 8, 64) * 1024,
                      (long long)random_between(&random, 1, 8), MODELS[random_below(&random, 3)]);
    assert_int_equal(pack_fleet_read(arena_copy(&scene->arena, buffer_slice(&csv)), &scene->arena,
                                     &scene->fleet, NULL),
                     ERR_OK);
    buffer_reset(&csv);
    buffer_append_text(&csv, "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n");
    for (size_t i = 0; i < pods; i++) {
        long long devices = random_between(&random, 0, 2);
        long long milli = devices == 1 ? random_between(&random, 1, 10) * 100 : 1000;
        buffer_printf(&csv, "p%zu,%lld,%lld,%lld,%lld,%s\n", i,
                      (long long)random_between(&random, 1, 8) * 1000,
                      (long long)random_between(&random, 1, 8) * 1024, devices, milli,
                      SPECS[random_below(&random, 5)]);
    }
    assert_int_equal(pack_list_read(arena_copy(&scene->arena, buffer_slice(&csv)), &scene->fleet,
                                    &scene->arena, &scene->list, NULL),
                     ERR_OK);
    buffer_deinit(&csv);
}

static size_t node_named(const struct pack_fleet *fleet, struct slice name)
{
    size_t i = 0;
    while (!slice_is_equal(fleet->nodes[i].name, name))
        i++;
    return i;
}

/* Puts one pod where the line says; fails the test where that does not fit. */
static void follow(const struct pack_pod *pod, struct slice devices, struct value_node *node)
{
    uint32_t count = 0;
    assert_true(node->cpu_milli >= pod->shape.cpu_milli);
    assert_true(node->memory_mib >= pod->shape.memory_mib);
    node->cpu_milli -= pod->shape.cpu_milli;
    node->memory_mib -= pod->shape.memory_mib;
    for (struct slice rest = devices, word; devices.len > 0; devices = rest) {
        uint64_t device;
        if (!slice_cut(devices, ' ', &word, &rest)) {
            word = devices;
            rest = (struct slice){0};
        }
        assert_int_equal(slice_parse_u64(word, &device), ERR_OK);
        assert_true(device < node->device_count);
        assert_true(node->free_milli[device] >= pod->shape.device_milli);
        node->free_milli[device] = (uint16_t)(node->free_milli[device] - pod->shape.device_milli);
        count++;
    }
    assert_int_equal(count, pod->shape.device_count);
    assert_true(count == 0 || (pod->shape.models >> node->model & 1));
}

/* Plays the written placements again: nothing over capacity or on a wrong model, no pod refused
 * that fitted, and the sum is what was said. */
static void check_placements(const struct scene *scene, const struct pack_list *arrivals,
                             const struct pack_result *result, struct slice text)
{
    struct value_node *nodes = calloc(scene->fleet.node_count, sizeof(*nodes));
    struct slice line, name, node, devices, rest = text;
    int64_t allocated = 0;
    for (size_t i = 0; i < scene->fleet.node_count; i++)
        nodes[i] = scene->fleet.nodes[i].whole;
    assert_true(slice_cut(rest, '\n', &line, &rest));
    for (size_t i = 0; i < arrivals->pod_count; i++) {
        const struct pack_pod *pod = &arrivals->pods[i];
        struct slice after;
        bool is_placed =
            slice_cut(rest, '\n', &line, &after) && slice_cut(line, ',', &name, &devices) &&
            slice_cut(devices, ',', &node, &devices) && slice_is_equal(name, pod->name);
        if (is_placed) {
            follow(pod, devices, &nodes[node_named(&scene->fleet, node)]);
            allocated += (int64_t)pod->shape.device_count * pod->shape.device_milli;
            rest = after;
        } else {
            for (size_t j = 0; j < scene->fleet.node_count; j++)
                assert_false(value_fits(&nodes[j], &pod->shape));
        }
    }
    assert_int_equal(rest.len, 0);
    assert_int_equal(allocated, result->allocated_milli);
    free(nodes);
}

static void test_nothing_is_over_capacity_and_nothing_that_fits_is_refused(void **state)
{
    struct scene *scene = *state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct pack_list arrivals;
        make_world(scene, seed, 12, 60);
        assert_int_equal(
            pack_inflate(&scene->list, &scene->fleet, 1500000, seed, &scene->arena, &arrivals),
            ERR_OK);
        for (int is_known = 0; is_known < 2; is_known++) {
            buffer_reset(&scene->text);
            struct pack_result result =
                run(scene, &arrivals, is_known ? &scene->list : NULL, &scene->text);
            assert_int_equal(result.placed + result.dropped, arrivals.pod_count);
            check_placements(scene, &arrivals, &result, buffer_slice(&scene->text));
            assert_true(result.allocated_milli <= pack_bound(&scene->fleet, &arrivals));
        }
    }
}

static void test_the_same_seed_gives_the_same_bytes(void **state)
{
    struct scene *scene = *state;
    struct pack_list arrivals, again;
    make_world(scene, 3, 20, 80);
    assert_int_equal(
        pack_inflate(&scene->list, &scene->fleet, 1300000, 7, &scene->arena, &arrivals), ERR_OK);
    assert_int_equal(pack_inflate(&scene->list, &scene->fleet, 1300000, 7, &scene->arena, &again),
                     ERR_OK);
    (void)run(scene, &arrivals, NULL, &scene->text);
    (void)run(scene, &again, NULL, &scene->other);
    assert_true(slice_is_equal(buffer_slice(&scene->text), buffer_slice(&scene->other)));
}

static void test_arrivals_are_drawn_up_to_the_demand(void **state)
{
    struct scene *scene = *state;
    for (uint64_t demand_ppm = 200000; demand_ppm <= 2000000; demand_ppm += 600000) {
        struct pack_list arrivals;
        int64_t asked = 0;
        make_world(scene, 5, 30, 90);
        int64_t target = scene->fleet.device_count * (int64_t)demand_ppm / 1000;
        assert_int_equal(
            pack_inflate(&scene->list, &scene->fleet, demand_ppm, 1, &scene->arena, &arrivals),
            ERR_OK);
        for (size_t i = 0; i < arrivals.pod_count; i++)
            asked +=
                (int64_t)arrivals.pods[i].shape.device_count * arrivals.pods[i].shape.device_milli;
        assert_true(asked > target - 2000 && asked <= target + 1000);
    }
}

static void test_the_bound_is_exact_where_one_size_leaves_a_gap(void **state)
{
    struct scene *scene = *state;
    read_world(scene, NODES,
               "name,cpu_milli,memory_mib,num_gpu,gpu_milli\n"
               "p,1,1,1,700\nq,1,1,1,700\nr,1,1,1,700\ns,1,1,1,700\nt,1,1,1,200\n");
    assert_in_range(pack_bound(&scene->fleet, &scene->list), 2300, 2310);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_columns_are_found_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_broken_row_is_refused_with_line_and_column, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_broken_fleet_is_refused_with_line_and_column, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_one_perfect_packing_of_a_tiny_world_is_found,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_several_devices_are_written_with_a_space_between,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_nothing_is_over_capacity_and_nothing_that_fits_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_same_seed_gives_the_same_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_arrivals_are_drawn_up_to_the_demand, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_bound_is_exact_where_one_size_leaves_a_gap, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
