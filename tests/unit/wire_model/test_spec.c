/* Jobs: golden canonical forms, what is refused and where, and the laws of encode and decode. */
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
#include "wire/spec.h"
#include "wire/yaml.h"

/* decode(encode(x)) == x, and the bytes stay the same. */
static void assert_laws(struct scene *scene, const struct job_spec *spec)
{
    struct job_spec again;
    struct buffer bytes;

    buffer_reset(&scene->buffer);
    assert_int_equal(spec_encode_bytes(spec, &scene->buffer), ERR_OK);
    if (spec_parse(buffer_slice(&scene->buffer), &scene->arena, &again, &scene->fault) != ERR_OK)
        fail_msg("%s: %s\n%.*s", scene->fault.field, scene->fault.message, (int)scene->buffer.len,
                 scene->buffer.data);
    assert_true(spec_is_equal(spec, &again));
    buffer_init(&bytes, (size_t)16 << 20);
    assert_int_equal(spec_encode_bytes(&again, &bytes), ERR_OK);
    assert_true(slice_is_equal(buffer_slice(&bytes), buffer_slice(&scene->buffer)));
    buffer_deinit(&bytes);
}

static void test_job_files_have_their_golden_form(void **state)
{
    static const char *const NAMES[] = {"minimal",    "skypilot",    "any-of",
                                        "everything", "short-limit", "no-grace"};
    struct scene *scene = *state;
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        struct job_spec spec;
        char path[64];
        scene_reset(scene);
        snprintf(path, sizeof(path), "tests/golden/spec/%s.yaml", NAMES[i]);
        if (spec_decode_with_catalogue(scene_yaml(scene, scene_file(scene, path)),
                                       &scene->catalogue, &scene->arena, &spec,
                                       &scene->fault) != ERR_OK)
            fail_msg("%s: %u:%u %s: %s", path, scene->fault.line, scene->fault.column,
                     scene->fault.field, scene->fault.message);
        assert_laws(scene, &spec);
        snprintf(path, sizeof(path), "tests/golden/spec/%s.json", NAMES[i]);
        scene_compare(scene, path, buffer_slice(&scene->buffer));
    }
}

static void check_example(struct scene *scene, struct slice yaml)
{
    struct job_spec spec;
    if (spec_decode_with_catalogue(scene_yaml(scene, yaml), &scene->catalogue, &scene->arena, &spec,
                                   &scene->fault) != ERR_OK)
        fail_msg("%.*s\n%s: %s", SLICE_ARG(yaml), scene->fault.field, scene->fault.message);
    assert_laws(scene, &spec);
}

static void test_the_manual_has_no_wrong_example(void **state)
{
    assert_int_equal(scene_each_example(*state, "docs/formats/job.md", check_example), 2);
}

struct refusal {
    const char *yaml;
    unsigned line, column; /* column 0: versions of the parser differ in it */
    const char *field;
    const char *words; /* in the message */
};

static const struct refusal REFUSALS[] = {
    {"[]", 1, 1, "", "object"},
    {"run: x", 1, 1, "name", "required"},
    {"name: x", 1, 1, "run", "something to run"},
    {"name: x\nrun: y\nresources:\n  acelerators: A100:8", 4, 3, "resources.acelerators",
     "accelerators"},
    {"name: x\nrnu: y", 2, 1, "rnu", "run"},
    {"name: \"a\\nb\"\nrun: y", 1, 8, "name", "printable"},
    {"name: \"a\\n#SBATCH -n 9\"\nrun: y", 1, 8, "name", "printable"},
    {"name: x\nrun: y\nnum_nodes: 0", 3, 12, "num_nodes", "1"},
    {"name: x\nrun: y\nnum_nodes: -1", 3, 12, "num_nodes", "1"},
    {"name: x\nrun: y\nnum_nodes: 9223372036854775808", 3, 12, "num_nodes", "512"},
    {"name: x\nrun: y\nnum_nodes: 1.5", 3, 12, "num_nodes", "whole"},
    {"name: x\nrun: y\nresources: {cpus: 0}", 3, 19, "resources.cpus", "more than zero"},
    {"name: x\nrun: y\nresources: {cpus: -2}", 3, 19, "resources.cpus", "cores"},
    {"name: x\nrun: y\nresources: {cpus: 99999999}", 3, 19, "resources.cpus", "at most"},
    {"name: x\nrun: y\nresources: {memory: 1KiB}", 3, 21, "resources.memory", "between"},
    {"name: x\nrun: y\nresources: {memory: lots}", 3, 21, "resources.memory", "16GiB"},
    {"name: x\nrun: y\nresources: {memory: 99999999999999TiB}", 3, 21, "resources.memory", "large"},
    {"name: x\nrun: y\nresources: {accelerators: A100:0}", 3, 27, "resources.accelerators",
     "between 1"},
    {"name: x\nrun: y\nresources: {accelerators: \"A100:x\"}", 3, 28, "resources.accelerators",
     "A100:8"},
    {"name: x\nrun: y\nresources: {accelerators: {A100: 8, H100 SXM: 8}}", 3, 27,
     "resources.accelerators", "any_of"},
    {"name: x\nrun: y\nresources: {accelerators: A10}", 3, 27, "resources.accelerators",
     "did you mean 'A100 80GB SXM'"},
    {"name: x\nrun: y\nresources: {accelerators: A100, runtime: cann}", 3, 42, "resources.runtime",
     "runs cuda"},
    {"name: x\nrun: y\nresources: {runtime: cuda}", 3, 12, "resources.accelerators", "how many"},
    {"name: x\nrun: y\nresources: {accelerators: A100, any_of: []}", 3, 41, "resources.any_of",
     "cannot stand beside"},
    {"name: x\nrun: y\nresources: {any_of: []}", 3, 21, "resources.any_of", "at least one"},
    {"name: x\nresources: {any_of: [{accelerators: A100}, {accelerators: A100:2}]}\nrun: y", 2, 44,
     "resources.any_of[1]", "same runtime"},
    {"name: x\nvariants:\n- run: a\n- run: b", 4, 3, "variants[1]", "same runtime"},
    {"name: x\nvariants:\n- {runtime: cpu}", 3, 3, "variants[0].run", "something to run"},
    {"name: x\nvariants:\n- {run: a, runtime: cdua}", 3, 21, "variants[0].runtime", "cuda"},
    {"name: x\nrun: y\nenvs: {A: ~}", 3, 11, "envs.A", "no value"},
    {"name: x\nrun: y\nenvs: {A: }", 3, 0, "envs.A", "no value"},
    {"name: x\nrun: y\nenvs:\n  A-B: 1", 4, 8, "envs.A-B", "letters, digits"},
    {"name: x\nrun: y\nenvs:\n  LQ_JOB: 1", 4, 11, "envs.LQ_JOB", "set by the network"},
    {"name: x\nrun: y\noutputs: [a, ../b]", 3, 14, "outputs[1]", ".."},
    {"name: x\nrun: y\noutputs: [/etc/passwd]", 3, 11, "outputs[0]", "absolute"},
    {"name: x\nrun: y\ncheckpoint: {dir: /ckpt}", 3, 19, "checkpoint.dir", "absolute"},
    {"name: x\nrun: y\ncheckpoint: {signal: USR1}", 3, 13, "checkpoint.dir", "folder"},
    {"name: x\nrun: y\ncheckpoint: {dir: c, signal: KILL}", 3, 30, "checkpoint.signal", "USR1"},
    {"name: x\nrun: y\ntime_limit: 10s\ncheckpoint: {dir: c, grace: 20s}", 4, 29,
     "checkpoint.grace", "time_limit"},
    {"name: x\nrun: y\ntime_limit: 0s", 3, 13, "time_limit", "leave it out"},
    {"name: x\nrun: y\ntime_limit: 10", 3, 13, "time_limit", "10m"},
    {"name: x\nrun: y\ntime_limit: 900d", 3, 13, "time_limit", "between"},
    {"name: x\nrun: y\nbudget: 0", 3, 9, "budget", "leave it out"},
    {"name: x\nrun: y\nbudget: -1", 3, 9, "budget", "more than zero"},
    {"name: x\nrun: y\ndeadline: tomorrow", 3, 11, "deadline", ""},
    {"name: x\nrun: y\npriority: urgent", 3, 11, "priority", "guaranteed"},
    {"name: x\nrun: y\narray: 10001", 3, 8, "array", "10000"},
    {"name: x\nrun: y\narray: {count: 2, paralel: 1}", 3, 19, "array.paralel", "parallel"},
    {"name: x\nrun: y\ncontact: {lease: 10m}", 3, 10, "contact.policy", "required"},
    {"name: x\nrun: y\ncontact: {policy: strict, lease: 10m}", 3, 34, "contact.lease",
     "only policy lease"},
    {"name: x\nrun: y\nplacement: {sites: [a, a]}", 3, 24, "placement.sites[1]", "twice"},
    {"name: x\nrun: y\nplacement: {sites: [a], avoid_sites: [a]}", 3, 39,
     "placement.avoid_sites[0]", "avoid"},
    {"name: x\nrun: y\nplacement: {round_trip_max: 5ms}", 3, 12, "placement.near", "region"},
    {"name: x\nrun: y\nfile_mounts: {data: a, data/b: c}", 3, 32, "file_mounts.data/b",
     "inside another"},
    {"name: x\nrun: y\nfile_mounts: {../x: a}", 3, 21, "file_mounts.../x", ".."},
    {"name: x\nrun: y\nretries: 101", 3, 10, "retries", "100"},
    {"name: x\nrun: y\nretry: {out_of_memory: 11}", 3, 24, "retry.out_of_memory", "10"},
    {"name: x\nrun: y\nretry: {program_error: 1}", 3, 9, "retry.program_error", ""},
    {"name: x\nrun: y\nretry: {node_lost: -1}", 3, 20, "retry.node_lost", ""},
    {"name: x\nrun: [a]", 2, 6, "run", "text"},
};

static void test_what_is_wrong_is_told_with_its_place(void **state)
{
    struct scene *scene = *state;
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof(REFUSALS) / sizeof(REFUSALS[0]); i++) {
        const struct refusal *refusal = &REFUSALS[i];
        struct job_spec spec = {.num_nodes = 12345};
        enum err err;
        scene_reset(scene);
        err = spec_decode_with_catalogue(scene_yaml(scene, slice_of(refusal->yaml)),
                                         &scene->catalogue, &scene->arena, &spec, &scene->fault);
        if (err == ERR_OK || scene->fault.line != refusal->line ||
            (refusal->column != 0 && scene->fault.column != refusal->column) ||
            strcmp(scene->fault.field, refusal->field) != 0 ||
            strstr(scene->fault.message, refusal->words) == NULL) {
            print_message("%s\n  gave %s %u:%u [%s] %s\n", refusal->yaml, err_name(err),
                          scene->fault.line, scene->fault.column, scene->fault.field,
                          scene->fault.message);
            wrong++;
        }
        assert_int_equal(spec.num_nodes, 12345); /* untouched on failure */
    }
    assert_int_equal(wrong, 0);
}

static void test_a_huge_environment_is_refused(void **state)
{
    struct scene *scene = *state;
    struct job_spec spec;
    buffer_append_text(&scene->buffer, "{\"name\":\"x\",\"run\":\"y\",\"envs\":{");
    for (int i = 0; i <= JOB_ENVS_MAX; i++)
        buffer_printf(&scene->buffer, "%s\"E%d\":\"v\"", i > 0 ? "," : "", i);
    buffer_append_text(&scene->buffer, "}}");
    assert_int_equal(spec_decode(scene_json(scene, buffer_slice(&scene->buffer)), &scene->arena,
                                 &spec, &scene->fault),
                     ERR_LIMIT);
    assert_string_equal(scene->fault.field, "envs");
    scene_reset(scene);
    buffer_append_text(&scene->buffer, "{\"name\":\"x\",\"run\":\"y\",\"envs\":{\"E\":\"");
    for (int i = 0; i < JOB_ENV_BYTES_MAX + 1; i++)
        buffer_append_char(&scene->buffer, 'v');
    buffer_append_text(&scene->buffer, "\"}}");
    assert_int_not_equal(spec_decode(scene_json(scene, buffer_slice(&scene->buffer)), &scene->arena,
                                     &spec, &scene->fault),
                         ERR_OK);
    assert_string_equal(scene->fault.field, "envs.E");
}

static void test_without_a_catalogue_the_runtime_must_be_said(void **state)
{
    struct scene *scene = *state;
    struct job_spec spec;
    assert_int_equal(spec_decode(scene_yaml(scene, slice_of("name: x\nrun: y\nresources: "
                                                            "{accelerators: Z9:2}")),
                                 &scene->arena, &spec, &scene->fault),
                     ERR_INVALID);
    assert_non_null(strstr(scene->fault.message, "runtime"));
    assert_int_equal(spec_decode(scene_yaml(scene, slice_of("name: x\nrun: y\nresources: "
                                                            "{accelerators: Z9:2, runtime: xpu}")),
                                 &scene->arena, &spec, &scene->fault),
                     ERR_OK);
    assert_int_equal(spec.variants[0].runtime, RUNTIME_XPU);
    assert_true(slice_is(spec.variants[0].accelerator, "Z9"));
    assert_int_equal(spec.variants[0].accelerators, 2);
}

static void test_no_memory_is_told_and_nothing_is_lost(void **state)
{
    struct scene *scene = *state;
    struct json_value root =
        scene_yaml(scene, scene_file(scene, "tests/golden/spec/everything.yaml"));
    struct job_spec spec = {.num_nodes = 77};
    unsigned failures = 0;
    for (size_t limit = 0; limit < 20000; limit += 16) {
        struct arena arena;
        enum err err;
        arena_init(&arena, limit);
        err = spec_decode_with_catalogue(root, &scene->catalogue, &arena, &spec, &scene->fault);
        if (err != ERR_OK) {
            assert_int_equal(err, ERR_NO_MEMORY);
            assert_int_equal(spec.num_nodes, 77);
            failures++;
        }
        arena_deinit(&arena);
        if (err == ERR_OK)
            break;
    }
    assert_true(failures > 10);
    assert_int_equal(spec.num_nodes, 4);
}

/* ---- laws on random specs ---- */

static struct slice random_text(struct random *random, struct arena *arena, size_t len_max)
{
    static const char *const PIECES[] = {"a",
                                         "Z",
                                         "9",
                                         " ",
                                         "\n",
                                         "\"",
                                         "\\",
                                         "/",
                                         "\t",
                                         "\x01",
                                         "\xc3\xa9",
                                         "\xe7\x81\xb5",
                                         "\xf0\x9f\x9a\x80",
                                         "{",
                                         "'"};
    struct buffer buffer;
    struct slice text;
    buffer_init(&buffer, 4096);
    for (uint64_t i = random_below(random, len_max); i > 0; i--)
        buffer_append_text(&buffer, PIECES[random_below(random, 15)]);
    text = buffer.len == 0 ? (struct slice){"", 0} : arena_copy(arena, buffer_slice(&buffer));
    buffer_deinit(&buffer);
    return text;
}

static struct slice random_name(struct random *random, struct arena *arena)
{
    return slice_of(arena_printf(arena, "n%u.%u", (unsigned)random_below(random, 1000000),
                                 (unsigned)random_below(random, 1000000)));
}

static void random_list(struct random *random, struct arena *arena, struct text_list *list)
{
    struct slice *items = arena_array(arena, 8, sizeof(*items));
    list->count = (uint32_t)random_below(random, 4);
    for (uint32_t i = 0; i < list->count; i++)
        items[i] = random_name(random, arena);
    list->items = items;
}

static void random_variant(struct random *random, struct arena *arena, uint32_t index,
                           struct job_variant *variant)
{
    struct text_pair *envs = arena_array(arena, 8, sizeof(*envs));
    struct slice run;
    variant->runtime = (enum runtime)random_below(random, RUNTIME_COUNT_);
    if (variant->runtime != RUNTIME_CPU) {
        variant->accelerators = 1 + (uint32_t)random_below(random, JOB_ACCELERATORS_MAX);
        variant->accelerator = slice_of(arena_printf(arena, "chip %u:%u", index, index));
    } else if (index > 0) { /* one plain cpu variant only */
        variant->runtime = RUNTIME_CUDA;
        variant->accelerators = 1;
        variant->accelerator = slice_of(arena_printf(arena, "c%u", index));
    }
    if (random_chance(random, 300000))
        variant->image = SLICE_LITERAL("registry.example/a/b:1@sha256:00");
    variant->setup = random_text(random, arena, 30);
    run = random_text(random, arena, 60);
    variant->run = slice_of(arena_printf(arena, "run %.*s", SLICE_ARG(run)));
    variant->env_count = (uint32_t)random_below(random, 6);
    for (uint32_t i = 0; i < variant->env_count; i++)
        envs[i] = (struct text_pair){slice_of(arena_printf(arena, "E%u", i)),
                                     random_text(random, arena, 20)};
    variant->envs = envs;
}

static void random_spec(struct random *random, struct arena *arena, struct job_spec *spec)
{
    struct job_variant *variants = arena_array(arena, JOB_VARIANTS_MAX, sizeof(*variants));
    struct text_pair *mounts = arena_array(arena, 4, sizeof(*mounts));
    spec_defaults(spec);
    spec->name = random_name(random, arena);
    spec->num_nodes = 1 + (uint32_t)random_below(random, JOB_NODES_MAX);
    spec->cpu_milli = 1 + (uint32_t)random_below(random, JOB_CPU_MILLI_MAX);
    spec->mem_bytes = JOB_MEM_BYTES_MIN + random_below(random, JOB_MEM_BYTES_MAX / 2);
    spec->scratch_bytes = random_below(random, 2) * random_below(random, JOB_SCRATCH_BYTES_MAX);
    spec->pids_max = 1 + (uint32_t)random_below(random, JOB_PIDS_MAX);
    spec->variant_count = 1 + (uint32_t)random_below(random, JOB_VARIANTS_MAX);
    for (uint32_t i = 0; i < spec->variant_count; i++)
        random_variant(random, arena, i, &variants[i]);
    spec->variants = variants;
    spec->array_count = 1 + (uint32_t)random_below(random, JOB_ARRAY_MAX);
    spec->array_parallel_max = (uint32_t)random_below(random, JOB_ARRAY_MAX);
    spec->mount_count = (uint32_t)random_below(random, 4);
    for (uint32_t i = 0; i < spec->mount_count; i++)
        mounts[i] = (struct text_pair){slice_of(arena_printf(arena, "m%u/x", i)),
                                       random_name(random, arena)};
    spec->mounts = mounts;
    random_list(random, arena, &spec->datasets);
    spec->input_count = (uint32_t)random_below(random, 3);
    struct job_input *inputs = arena_array(arena, 3, sizeof(*inputs));
    for (uint32_t i = 0; i < spec->input_count; i++) {
        inputs[i] = (struct job_input){.path = slice_of(arena_printf(arena, "in/%u", i)),
                                       .artifact = id_make(i + 1, random),
                                       .dataset = random_name(random, arena),
                                       .size_bytes = random_below(random, 1 << 30),
                                       .jurisdiction = SLICE_LITERAL("CN")};
        random_list(random, arena, &inputs[i].homes);
    }
    spec->inputs = inputs;
    random_list(random, arena, &spec->outputs);
    random_list(random, arena, &spec->placement.regions);
    random_list(random, arena, &spec->placement.sites);
    spec->placement.role = (enum region_role)random_below(random, ROLE_COUNT_);
    spec->placement.provenance = (enum provenance)random_below(random, PROVENANCE_COUNT_);
    spec->priority = (enum priority_class)random_below(random, PRIORITY_COUNT_);
    spec->contact = (enum contact_policy)random_below(random, CONTACT_COUNT_);
    if (spec->contact == CONTACT_LEASE)
        spec->lease.ms = random_between(random, 1000, JOB_LEASE_MAX.ms);
    if (random_chance(random, 500000))
        spec->time_limit.ms = random_between(random, 1000, JOB_SPAN_MAX.ms);
    spec->expected.ms = random_between(random, 0, JOB_SPAN_MAX.ms);
    spec->deadline.us = random_between(random, 0, INT64_C(4000000000000)) * 1000;
    spec->budget.micros = random_between(random, 0, JOB_BUDGET_MAX.micros);
    spec->retries_max = (uint32_t)random_below(random, JOB_RETRIES_MAX + 1);
    for (unsigned i = FAILURE_OUT_OF_MEMORY; i < FAILURE_CLASS_COUNT_; i++)
        if (random_chance(random, 300000)) {
            uint32_t most = failure_rule((enum failure_class)i)->budget_max;
            spec->retry_named |= UINT32_C(1) << i;
            spec->retry_max[i] = (uint8_t)random_below(random, most + 1);
        }
    spec->checkpoint.grace = job_spec_default_grace(spec);
    if (random_chance(random, 500000))
        spec->checkpoint = (struct job_checkpoint){
            .dir = SLICE_LITERAL("c"), .signal = 10, .every = SPAN_S(5), .same_world_size = true};
}

static void test_encode_and_decode_undo_each_other(void **state)
{
    struct scene *scene = *state;
    struct random random;
    random_init(&random, 20261122);
    for (int i = 0; i < 2000; i++) {
        struct job_spec spec;
        scene_reset(scene);
        random_spec(&random, &scene->arena, &spec);
        if (job_spec_check(&spec, &scene->fault) != ERR_OK)
            fail_msg("round %d: %s: %s", i, scene->fault.field, scene->fault.message);
        assert_laws(scene, &spec);
    }
}

/* Damaged files are refused with a place, or mean something that obeys the laws. */
static void test_damaged_files_never_pass_half_read(void **state)
{
    static const char PIECES[] = "{}[]:,\"'\n -#0aA9.\\|>&*!%@`\x01\xff";
    struct scene *scene = *state;
    struct slice good = scene_file(scene, "tests/golden/spec/everything.yaml");
    struct random random;
    unsigned passed = 0, refused = 0;
    char *text = malloc(good.len);
    random_init(&random, 4711);
    for (int i = 0; i < 3000; i++) {
        struct json_document *document = NULL;
        struct job_spec spec;
        enum err err;
        scene_reset(scene);
        memcpy(text, good.data, good.len);
        for (uint64_t n = 1 + random_below(&random, 3); n > 0; n--)
            text[random_below(&random, good.len)] = PIECES[random_below(&random, sizeof(PIECES))];
        memset(&scene->fault, 0, sizeof(scene->fault));
        err = yaml_parse(slice_make(text, good.len), &YAML_LIMITS, &document, &scene->fault);
        if (err == ERR_OK)
            err = spec_decode_with_catalogue(json_root(document), &scene->catalogue, &scene->arena,
                                             &spec, &scene->fault);
        if (err == ERR_OK)
            assert_laws(scene, &spec);
        else if (scene->fault.line == 0 || scene->fault.message[0] == '\0')
            fail_msg("no place or words in round %d: %s [%s]", i, scene->fault.message,
                     scene->fault.field);
        passed += err == ERR_OK;
        refused += err != ERR_OK;
        json_document_destroy(document);
    }
    free(text);
    assert_true(passed > 100 && refused > 100);
}

int main(void)
{
#define SCENE_TEST(function) cmocka_unit_test_setup_teardown(function, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_job_files_have_their_golden_form),
        SCENE_TEST(test_the_manual_has_no_wrong_example),
        SCENE_TEST(test_what_is_wrong_is_told_with_its_place),
        SCENE_TEST(test_a_huge_environment_is_refused),
        SCENE_TEST(test_without_a_catalogue_the_runtime_must_be_said),
        SCENE_TEST(test_no_memory_is_told_and_nothing_is_lost),
        SCENE_TEST(test_encode_and_decode_undo_each_other),
        SCENE_TEST(test_damaged_files_never_pass_half_read),
    };
    return cmocka_run_group_tests_name("wire spec", tests, NULL, NULL);
}
