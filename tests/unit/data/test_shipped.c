/* The topology, catalogue and job files that the project ships are good files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/catalogue.h"
#include "wire/spec.h"
#include "wire/topology.h"
#include "wire/yaml.h"

enum { FILE_BYTES_MAX = 1 << 20 };

static const char *root; /* of the sources; set once by main */

static int setup(void **state)
{
    struct arena *arena = calloc(1, sizeof(*arena));
    assert_non_null(arena);
    arena_init(arena, (size_t)16 << 20);
    *state = arena;
    return 0;
}

static int teardown(void **state)
{
    arena_deinit(*state);
    free(*state);
    return 0;
}

static struct slice read_file(struct arena *arena, const char *name)
{
    char *bytes = arena_alloc(arena, FILE_BYTES_MAX);
    FILE *file = fopen(arena_printf(arena, "%s/%s", root, name), "r");
    assert_non_null(bytes);
    if (file == NULL)
        fail_msg("cannot open %s", name);
    struct slice text = {bytes, fread(bytes, 1, FILE_BYTES_MAX, file)};
    assert_true(feof(file));
    fclose(file);
    return text;
}

#define ASSERT_OK(call, fault)                                                                     \
    do {                                                                                           \
        enum err err_ = (call);                                                                    \
        if (err_ != ERR_OK)                                                                        \
            fail_msg("%u:%u: %s: %s", (fault).line, (fault).column, (fault).field,                 \
                     (fault).message);                                                             \
    } while (0)

static struct catalogue catalogue(struct arena *arena)
{
    struct catalogue out;
    struct fault fault = {0};
    ASSERT_OK(
        catalogue_decode(read_file(arena, "data/domain/accelerators.csv"), arena, &out, &fault),
        fault);
    return out;
}

static struct topology topology(struct arena *arena, const char *name)
{
    struct catalogue models = catalogue(arena);
    struct json_document *document;
    struct topology out;
    struct fault fault = {0};

    ASSERT_OK(yaml_parse(read_file(arena, name), &YAML_LIMITS, &document, &fault), fault);
    ASSERT_OK(topology_decode(json_root(document), &models, arena, &out, &fault), fault);
    json_document_destroy(document);
    return out;
}

static void the_catalogue_has_its_models_and_keeps_what_is_empty_empty(void **state)
{
    struct catalogue models = catalogue(*state);
    const struct accelerator *known = catalogue_find(&models, SLICE_LITERAL("H100 SXM"));
    const struct accelerator *unknown = catalogue_find(&models, SLICE_LITERAL("P800"));

    assert_int_equal(models.count, 19);
    assert_non_null(known);
    assert_true(known->fp16_gflops.has && known->fp16_gflops.value == 989000);
    assert_int_equal(known->runtime, RUNTIME_CUDA);
    assert_non_null(unknown);
    assert_false(unknown->fp16_gflops.has || unknown->mem_bytes.has || unknown->tdp_mw.has);
    assert_true(unknown->is_domestic);
}

static void the_demonstration_network_says_what_is_an_example(void **state)
{
    struct topology network = topology(*state, "data/topology/demo.yaml");
    const struct region *west = topology_region(&network, SLICE_LITERAL("ningxia"));
    const struct region *east = topology_region(&network, SLICE_LITERAL("anhui"));
    const struct site *site = topology_site(&network, SLICE_LITERAL("zhongwei"));

    assert_int_equal(network.region_count, 3);
    assert_int_equal(network.site_count, 3);
    assert_int_equal(network.link_count, 3);
    assert_int_equal(network.tenant_count, 3);
    assert_non_null(west);
    assert_int_equal(west->role, ROLE_TRAIN);
    assert_true(west->price_per_kwh.has && west->price_per_kwh.value.micros == 360000);
    assert_false(west->price_origin.is_example || west->carbon_origin.is_example);
    assert_int_equal(west->carbon_mg_per_kwh.value, 642300);
    assert_non_null(east);
    assert_int_equal(east->role, ROLE_SERVE);
    assert_true(east->price_origin.is_example && east->pue_origin.is_example);
    assert_false(east->carbon_origin.is_example);
    assert_non_null(site);
    assert_true(site->ask_per_cpu_hour.has && site->ask_origin.is_example);
    assert_int_equal(site->node_count, 8);
    for (uint32_t i = 0; i < network.site_count; i++) {
        for (uint32_t j = 0; j < network.sites[i].node_count; j++)
            assert_int_equal(network.sites[i].nodes[j].accelerator_count, 0);
    }
    assert_true(network.policy.lease_floor.ms < 60000);
}

static void the_national_network_has_ten_sites_that_ask_nothing_and_hold_nothing(void **state)
{
    struct topology network = topology(*state, "data/topology/national.yaml");

    assert_int_equal(network.region_count, 10);
    assert_int_equal(network.site_count, 10);
    assert_int_equal(network.link_count, 45);
    for (uint32_t i = 0; i < network.link_count; i++)
        assert_int_equal(network.links[i].source, LINK_ESTIMATE);
    for (uint32_t i = 0; i < network.site_count; i++) {
        assert_int_equal(network.sites[i].node_count, 0);
        assert_false(network.sites[i].ask_per_cpu_hour.has ||
                     network.sites[i].ask_per_accelerator_hour.has);
        assert_false(network.regions[i].price_origin.is_example);
    }
}

static void the_training_job_is_a_good_job_file(void **state)
{
    struct catalogue models = catalogue(*state);
    struct json_document *document;
    struct job_spec job;
    struct fault fault = {0};

    ASSERT_OK(yaml_parse(read_file(*state, "examples/train-lm/job.yaml"), &YAML_LIMITS, &document,
                         &fault),
              fault);
    ASSERT_OK(spec_decode_with_catalogue(json_root(document), &models, *state, &job, &fault),
              fault);
    json_document_destroy(document);
    assert_int_equal(job.num_nodes, 1);
    assert_int_equal(job.variant_count, 1);
    assert_int_equal(job.variants[0].runtime, RUNTIME_CPU);
    assert_int_equal(job.checkpoint.signal, 10);
    assert_true(slice_is(job.checkpoint.dir, "checkpoints"));
    assert_int_equal(job.contact, CONTACT_LEASE);
    assert_int_equal(job.placement.role, ROLE_TRAIN);
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(the_catalogue_has_its_models_and_keeps_what_is_empty_empty),
        CASE(the_demonstration_network_says_what_is_an_example),
        CASE(the_national_network_has_ten_sites_that_ask_nothing_and_hold_nothing),
        CASE(the_training_job_is_a_good_job_file),
    };

    if (argc != 2)
        return 2;
    root = argv[1];
    return cmocka_run_group_tests_name("data_shipped", tests, NULL, NULL);
}
