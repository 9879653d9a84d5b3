/* CSV, the catalogue, and topology files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "scene.h"
#include "wire/catalogue.h"
#include "wire/csv.h"
#include "wire/doc.h"
#include "wire/topology.h"
#include "wire/yaml.h"

static void test_csv_fields_are_read_as_the_rfc_says(void **state)
{
    struct scene *scene = *state;
    static const char *const WANTED[] = {"a", "b c", "\"q\"", "line\nbreak", "", "last",
                                         "x", "",    ""};
    struct csv_reader *reader = arena_alloc(&scene->arena, sizeof(*reader));
    size_t at = 0;
    bool has;
    csv_init(reader,
             slice_of("\xef\xbb\xbf"
                      "a,b c,\"\"\"q\"\"\",\"line\nbreak\",\"\"\r\n\r\nlast,x,\n,\n"),
             &scene->arena);
    assert_int_equal(csv_next(reader, &has, &scene->fault), ERR_OK);
    assert_int_equal(reader->field_count, 5);
    assert_int_equal(csv_column(reader, "b c"), 1);
    assert_int_equal(csv_column(reader, "nothing"), -1);
    for (uint32_t i = 0; i < 5; i++)
        assert_true(slice_is(reader->fields[i].value, WANTED[at++]));
    assert_int_equal(csv_next(reader, &has, &scene->fault), ERR_OK);
    assert_int_equal(reader->field_count, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(slice_is(reader->fields[i].value, WANTED[at++]));
    assert_int_equal(reader->fields[0].line, 4);
    assert_int_equal(reader->fields[1].column, 6);
    assert_int_equal(csv_next(reader, &has, &scene->fault), ERR_OK);
    assert_true(has);
    assert_int_equal(reader->field_count, 2);
    assert_int_equal(csv_next(reader, &has, &scene->fault), ERR_OK);
    assert_false(has);
}

static void test_broken_csv_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text;
        unsigned line, column;
    } BROKEN[] = {
        {"a,b\"c\n", 1, 4}, {"a\n\"b", 2, 1},  {"\"a\"b\n", 1, 4},
        {"a\rb\n", 1, 2},   {"\"a\n\n", 1, 1}, {"x,\"y\" ,z", 1, 6},
    };
    struct scene *scene = *state;
    struct csv_reader *reader = arena_alloc(&scene->arena, sizeof(*reader));
    for (size_t i = 0; i < sizeof(BROKEN) / sizeof(BROKEN[0]); i++) {
        enum err err = ERR_OK;
        bool has = true;
        csv_init(reader, slice_of(BROKEN[i].text), &scene->arena);
        while (err == ERR_OK && has)
            err = csv_next(reader, &has, &scene->fault);
        assert_int_equal(err, ERR_INVALID);
        assert_int_equal(scene->fault.line, BROKEN[i].line);
        assert_int_equal(scene->fault.column, BROKEN[i].column);
    }
    csv_init(reader, slice_make("a\0b", 3), &scene->arena);
    bool has;
    assert_int_equal(csv_next(reader, &has, &scene->fault), ERR_INVALID);
    for (int i = 0; i <= CSV_FIELDS_MAX; i++)
        buffer_append_char(&scene->buffer, ',');
    csv_init(reader, buffer_slice(&scene->buffer), &scene->arena);
    assert_int_equal(csv_next(reader, &has, &scene->fault), ERR_LIMIT);
}

/* Writing by the rule and reading again gives the fields back. */
static void test_csv_reads_what_the_rule_writes(void **state)
{
    struct scene *scene = *state;
    struct random random;
    random_init(&random, 8);
    for (int round = 0; round < 500; round++) {
        struct slice fields[20];
        uint32_t count = 1 + (uint32_t)random_below(&random, 20);
        struct csv_reader *reader;
        bool has;
        scene_reset(scene);
        reader = arena_alloc(&scene->arena, sizeof(*reader));
        for (uint32_t i = 0; i < count; i++) {
            char text[16];
            size_t len = (size_t)random_below(&random, sizeof(text));
            for (size_t j = 0; j < len; j++)
                text[j] = "ab,\"\n\r "[random_below(&random, 7)];
            fields[i] = arena_copy(&scene->arena, slice_make(text, len));
            buffer_append_text(&scene->buffer, i > 0 ? ",\"" : "\"");
            for (size_t j = 0; j < len; j++)
                if (text[j] == '"')
                    buffer_append_text(&scene->buffer, "\"\"");
                else
                    buffer_append_char(&scene->buffer, text[j]);
            buffer_append_char(&scene->buffer, '"');
        }
        csv_init(reader, buffer_slice(&scene->buffer), &scene->arena);
        assert_int_equal(csv_next(reader, &has, &scene->fault), ERR_OK);
        assert_int_equal(reader->field_count, count);
        for (uint32_t i = 0; i < count; i++)
            assert_true(slice_is_equal(reader->fields[i].value, fields[i]));
    }
}

static void test_catalogue_keeps_what_is_empty_empty(void **state)
{
    struct scene *scene = *state;
    const struct catalogue *catalogue = &scene->catalogue;
    const struct accelerator *row = catalogue_find(catalogue, slice_of("A100 80GB SXM"));
    assert_non_null(row);
    assert_int_equal(row->fp16_gflops.value, 312000);
    assert_true(row->mem_bytes.value == UINT64_C(80) << 30);
    assert_int_equal(row->tdp_mw.value, 400000);
    assert_true(slice_is(row->visible_env, "CUDA_VISIBLE_DEVICES"));
    row = catalogue_find(catalogue, slice_of("A800 80GB SXM"));
    assert_non_null(row);
    assert_false(row->tdp_mw.has);
    row = catalogue_find(catalogue, slice_of("MLU370-X8"));
    assert_non_null(row);
    assert_false(row->mem_bytes.has || row->fp16_gflops.has || row->tdp_mw.has);
    assert_int_equal(row->runtime, RUNTIME_BANG);
    assert_true(row->is_domestic);
    row = catalogue_find(catalogue, slice_of("L20"));
    assert_int_equal(row->fp16_gflops.value, 119500);
    row = catalogue_find(catalogue, slice_of("MI300X"));
    assert_true(slice_is(row->visible_env, "ROCR_VISIBLE_DEVICES"));
}

static void test_wrong_catalogues_are_refused_with_their_place(void **state)
{
    static const struct {
        const char *csv;
        unsigned line, column;
        const char *words;
    } WRONG[] = {
        {"", 0, 0, "empty"},
        {"vendor,name\nNVIDIA,x", 1, 1, "required"},
        {"vendor,model\nNVIDIA", 2, 1, "1 fields"},
        {"vendor,model\nNobody,x", 2, 1, "not known"},
        {"vendor,model\nNVIDIA,", 2, 8, "required"},
        {"vendor,model,tdp_w\nNVIDIA,x,many", 2, 10, "tdp_w"},
        {"vendor,model,tdp_w\nNVIDIA,x,-4", 2, 10, "tdp_w"},
        {"vendor,model\nNVIDIA,x\nNVIDIA,X", 0, 0, "twice"},
    };
    struct scene *scene = *state;
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        struct catalogue catalogue = {.count = 99};
        assert_int_equal(
            catalogue_decode(slice_of(WRONG[i].csv), &scene->arena, &catalogue, &scene->fault),
            ERR_INVALID);
        assert_int_equal(catalogue.count, 99);
        assert_non_null(strstr(scene->fault.message, WRONG[i].words));
        assert_int_equal(scene->fault.line, WRONG[i].line);
        assert_int_equal(scene->fault.column, WRONG[i].column);
    }
}

static void show(struct scene *scene, const struct topology *topology)
{
    struct json_writer writer;
    json_writer_init_indented(&writer, &scene->buffer, 1);
    json_begin_array(&writer);
    doc_encode_policy(&topology->policy, &writer);
    for (uint32_t i = 0; i < topology->region_count; i++)
        doc_encode_region(&topology->regions[i], &writer);
    for (uint32_t i = 0; i < topology->operator_count; i++)
        doc_encode_operator(&topology->operators[i], &writer);
    for (uint32_t i = 0; i < topology->site_count; i++)
        doc_encode_site(&topology->sites[i], &writer);
    for (uint32_t i = 0; i < topology->link_count; i++)
        doc_encode_link(&topology->links[i], &writer);
    for (uint32_t i = 0; i < topology->tenant_count; i++) {
        doc_encode_tenant(&topology->tenants[i].tenant, &writer);
        json_string(&writer, topology->tenants[i].parent);
    }
    json_end_array(&writer);
    assert_int_equal(json_writer_finish(&writer), ERR_OK);
}

static void test_a_topology_file_has_its_golden_form(void **state)
{
    struct scene *scene = *state;
    struct topology topology;
    if (topology_decode(scene_yaml(scene, scene_file(scene, "tests/golden/topology/small.yaml")),
                        &scene->catalogue, &scene->arena, &topology, &scene->fault) != ERR_OK)
        fail_msg("%u:%u %s: %s", scene->fault.line, scene->fault.column, scene->fault.field,
                 scene->fault.message);
    show(scene, &topology);
    scene_compare(scene, "tests/golden/topology/small.json", buffer_slice(&scene->buffer));
}

static void test_the_shipped_topologies_are_good(void **state)
{
    static const char *const PATHS[] = {"data/topology/demo.yaml", "data/topology/national.yaml"};
    struct scene *scene = *state;
    for (size_t i = 0; i < 2; i++) {
        struct topology topology;
        scene_reset(scene);
        if (topology_decode(scene_yaml(scene, scene_file(scene, PATHS[i])), &scene->catalogue,
                            &scene->arena, &topology, &scene->fault) != ERR_OK)
            fail_msg("%s: %u:%u %s: %s", PATHS[i], scene->fault.line, scene->fault.column,
                     scene->fault.field, scene->fault.message);
        assert_true(topology.site_count >= 3 && topology.link_count >= 3);
        for (uint32_t s = 0; s < topology.site_count; s++) {
            const struct site *site = &topology.sites[s];
            if (site->ask_per_cpu_hour.has) /* no operator publishes asks: they are made up */
                assert_true(site->ask_origin.is_example);
        }
    }
}

static void check_example(struct scene *scene, struct slice yaml)
{
    struct topology topology;
    if (topology_decode(scene_yaml(scene, yaml), &scene->catalogue, &scene->arena, &topology,
                        &scene->fault) != ERR_OK)
        fail_msg("%.*s\n%s: %s", SLICE_ARG(yaml), scene->fault.field, scene->fault.message);
    assert_true(topology.site_count > 0);
}

static void test_the_manual_has_no_wrong_example(void **state)
{
    assert_int_equal(scene_each_example(*state, "docs/formats/topology.md", check_example), 1);
}

static void test_wrong_topologies_are_refused_with_their_place(void **state)
{
    static const struct {
        const char *yaml;
        unsigned line, column;
        const char *field, *words;
    } WRONG[] = {
        {"region: []", 1, 1, "region", "regions"},
        {"regions:\n- {name: r, jurisdiction: CN}\nsites:\n- {name: s, region: q, operator: o}", 4,
         21, "sites[0].region", "no region 'q'"},
        {"regions:\n- {name: r, jurisdiction: CN}\n- {name: r, jurisdiction: CN}", 3, 10,
         "regions[1].name", "twice"},
        {"regions:\n- {name: r, jurisdiction: CN}\noperators: [{name: op}]\nsites:\n- {name: s, "
         "region: r, operator: pp}",
         5, 34, "sites[0].operator", "'op'"},
        {"regions:\n- {name: r, jurisdiction: CN}\nsites:\n- name: s\n  region: r\n  operator: o\n"
         "  nodes:\n  - {name: n, cpus: 1, memory: 1GiB, accelerators: \"B100:8\"}",
         8, 53, "sites[0].nodes[0].accelerators", "did you mean"},
        {"tenants: [{name: a, parent: b}, {name: b, parent: a}]", 1, 29, "tenants[0].parent",
         "cycle"},
        {"settings: {lease_flor: 1s}", 1, 12, "settings.lease_flor", "lease_floor"},
        {"links: [{a: x, b: y, rtt_ms: 1, source: estimate}]", 1, 13, "links[0].a",
         "no site or region 'x'"},
        {"currency: 7", 1, 11, "currency", "text"},
    };
    struct scene *scene = *state;
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        struct topology topology = {.site_count = 99};
        enum err err;
        scene_reset(scene);
        err = topology_decode(scene_yaml(scene, slice_of(WRONG[i].yaml)), &scene->catalogue,
                              &scene->arena, &topology, &scene->fault);
        assert_int_equal(topology.site_count, 99);
        if (err == ERR_OK || scene->fault.line != WRONG[i].line ||
            scene->fault.column != WRONG[i].column ||
            strcmp(scene->fault.field, WRONG[i].field) != 0 ||
            strstr(scene->fault.message, WRONG[i].words) == NULL) {
            print_message("%s\n  gave %s %u:%u [%s] %s\n", WRONG[i].yaml, err_name(err),
                          scene->fault.line, scene->fault.column, scene->fault.field,
                          scene->fault.message);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
#define SCENE_TEST(function) cmocka_unit_test_setup_teardown(function, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_csv_fields_are_read_as_the_rfc_says),
        SCENE_TEST(test_broken_csv_is_refused_with_its_place),
        SCENE_TEST(test_csv_reads_what_the_rule_writes),
        SCENE_TEST(test_catalogue_keeps_what_is_empty_empty),
        SCENE_TEST(test_wrong_catalogues_are_refused_with_their_place),
        SCENE_TEST(test_a_topology_file_has_its_golden_form),
        SCENE_TEST(test_the_shipped_topologies_are_good),
        SCENE_TEST(test_the_manual_has_no_wrong_example),
        SCENE_TEST(test_wrong_topologies_are_refused_with_their_place),
    };
    return cmocka_run_group_tests_name("wire topology", tests, NULL, NULL);
}
