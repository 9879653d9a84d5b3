/* Rules of jobs: what job_spec_check refuses, how states move, which rows are broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model/attempt.h"
#include "model/job.h"
#include "model/words.h"

static const struct text_pair ENVS[] = {
    {SLICE_LITERAL("A"), SLICE_LITERAL("1")},
    {SLICE_LITERAL("B"), SLICE_LITERAL("2")},
};

/* A spec that passes, in memory that the test may change. */
struct scene {
    struct job_spec spec;
    struct job_variant variants[JOB_VARIANTS_MAX + 1];
    struct text_pair envs[JOB_ENVS_MAX + 1];
    struct text_pair mounts[JOB_MOUNTS_MAX];
    struct slice items[JOB_PLACES_MAX + 1];
    struct fault fault;
};

static void scene_init(struct scene *scene)
{
    memset(scene, 0, sizeof(*scene));
    memcpy(scene->envs, ENVS, sizeof(ENVS));
    scene->variants[0] = (struct job_variant){
        .runtime = RUNTIME_CPU, .run = SLICE_LITERAL("true"), .envs = scene->envs, .env_count = 2};
    scene->spec = (struct job_spec){
        .name = SLICE_LITERAL("job"),
        .num_nodes = 1,
        .cpu_milli = 1000,
        .mem_bytes = JOB_MEM_BYTES_DEFAULT,
        .scratch_bytes = 0,
        .pids_max = 100,
        .variants = scene->variants,
        .variant_count = 1,
        .array_count = 1,
        .mounts = scene->mounts,
        .checkpoint = {.grace = SPAN_S(30)},
        .priority = PRIORITY_STANDARD,
    };
}

static void assert_passes(struct scene *scene)
{
    enum err err = job_spec_check(&scene->spec, &scene->fault);
    if (err != ERR_OK)
        fail_msg("%s: %s", scene->fault.field, scene->fault.message);
}

static void assert_refused(struct scene *scene, const char *field)
{
    enum err err = job_spec_check(&scene->spec, &scene->fault);
    assert_true(err == ERR_INVALID || err == ERR_LIMIT);
    assert_int_equal(err, scene->fault.code);
    assert_string_equal(scene->fault.field, field);
    assert_true(strlen(scene->fault.message) > 5);
    assert_int_equal(job_spec_check(&scene->spec, NULL), err); /* a fault is optional */
}

static void test_plain_job_passes(void **state)
{
    struct scene scene;
    (void)state;
    scene_init(&scene);
    assert_passes(&scene);
}

static void test_names_with_control_characters_are_refused(void **state)
{
    static const struct slice NAMES[] = {
        SLICE_LITERAL("a\nb"),         SLICE_LITERAL("a\n#SBATCH --x"),
        SLICE_LITERAL("\t"),           SLICE_LITERAL("-rf"),
        SLICE_LITERAL("#x"),           SLICE_LITERAL(" x"),
        SLICE_LITERAL("x "),           SLICE_LITERAL("a\0b"),
        SLICE_LITERAL("a\x7f"),        SLICE_LITERAL("a\xc2\x85"),
        SLICE_LITERAL("\xff"),         SLICE_LITERAL("\xe2\x80\xae"),
        SLICE_LITERAL("a\r"),          SLICE_LITERAL(""),
        SLICE_LITERAL("\xed\xa0\x80"),
    };
    static const struct slice GOOD[] = {
        SLICE_LITERAL("a b"),
        SLICE_LITERAL("\xe7\x81\xb5\xe6\xb8\xa0"),
        SLICE_LITERAL("x#1"),
        SLICE_LITERAL("train-lm"),
    };
    struct scene scene;
    (void)state;
    scene_init(&scene);
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        scene.spec.name = NAMES[i];
        assert_refused(&scene, "name");
    }
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        scene.spec.name = GOOD[i];
        assert_passes(&scene);
    }
}

static void test_name_may_have_128_bytes_and_no_more(void **state)
{
    char name[JOB_NAME_MAX + 1];
    struct scene scene;
    (void)state;
    memset(name, 'x', sizeof(name));
    scene_init(&scene);
    scene.spec.name = slice_make(name, JOB_NAME_MAX);
    assert_passes(&scene);
    scene.spec.name.len++;
    assert_refused(&scene, "name");
}

static void test_paths_out_of_the_folder_are_refused(void **state)
{
    static const struct slice PATHS[] = {
        SLICE_LITERAL("/etc"), SLICE_LITERAL(".."),   SLICE_LITERAL("a/../b"),
        SLICE_LITERAL("a/.."), SLICE_LITERAL("./a"),  SLICE_LITERAL("a//b"),
        SLICE_LITERAL("a/"),   SLICE_LITERAL("a\0b"), SLICE_LITERAL("a\nb"),
        SLICE_LITERAL("a\\b"), SLICE_LITERAL("\xff"), SLICE_LITERAL("."),
    };
    struct scene scene;
    (void)state;
    for (size_t i = 0; i < sizeof(PATHS) / sizeof(PATHS[0]); i++) {
        scene_init(&scene);
        scene.spec.checkpoint.dir = PATHS[i];
        assert_refused(&scene, "checkpoint.dir");
        scene_init(&scene);
        scene.items[0] = SLICE_LITERAL("ok");
        scene.items[1] = PATHS[i];
        scene.spec.outputs = (struct text_list){scene.items, 2};
        assert_refused(&scene, "outputs[1]");
    }
    scene_init(&scene);
    scene.spec.checkpoint.dir = SLICE_LITERAL("out/..ckpt/.hidden");
    assert_passes(&scene);
}

static void test_quantities_out_of_range_are_refused(void **state)
{
    struct scene scene;
    (void)state;
#define REFUSES(change, field)                                                                     \
    do {                                                                                           \
        scene_init(&scene);                                                                        \
        scene.change;                                                                              \
        assert_refused(&scene, field);                                                             \
    } while (0)
    REFUSES(spec.num_nodes = 0, "num_nodes");
    REFUSES(spec.num_nodes = JOB_NODES_MAX + 1, "num_nodes");
    REFUSES(spec.cpu_milli = 0, "resources.cpus");
    REFUSES(spec.cpu_milli = JOB_CPU_MILLI_MAX + 1, "resources.cpus");
    REFUSES(spec.mem_bytes = 0, "resources.memory");
    REFUSES(spec.mem_bytes = UINT64_MAX, "resources.memory");
    REFUSES(spec.scratch_bytes = UINT64_MAX, "resources.scratch");
    REFUSES(spec.pids_max = 0, "resources.pids");
    REFUSES(spec.array_count = 0, "array.count");
    REFUSES(spec.array_count = JOB_ARRAY_MAX + 1, "array.count");
    REFUSES(spec.array_parallel_max = JOB_ARRAY_MAX + 1, "array.parallel");
    REFUSES(spec.retries_max = JOB_RETRIES_MAX + 1, "retries");
    REFUSES(spec.time_limit.ms = -1, "time_limit");
    REFUSES(spec.time_limit.ms = INT64_MAX, "time_limit");
    REFUSES(spec.expected.ms = -1, "expected");
    REFUSES(spec.deadline.us = -1, "deadline");
    REFUSES(spec.budget.micros = -1, "budget");
    REFUSES(spec.budget.micros = INT64_MAX, "budget");
    REFUSES(spec.checkpoint.grace.ms = -1, "checkpoint.grace");
    REFUSES(spec.checkpoint.signal = 9, "checkpoint.dir");
    REFUSES(spec.variant_count = 0, "variants");
    REFUSES(spec.variant_count = JOB_VARIANTS_MAX + 1, "variants");
    REFUSES(variants[0].accelerators = 1, "variants[0].accelerators");
    REFUSES(variants[0].runtime = RUNTIME_CUDA, "variants[0].accelerators");
    REFUSES(variants[0].runtime = RUNTIME_COUNT_, "variants[0].runtime");
    REFUSES(variants[0].run = SLICE_LITERAL(" \n\t"), "variants[0].run");
    REFUSES(variants[0].run = SLICE_LITERAL("a\0b"), "variants[0].run");
    REFUSES(variants[0].image = SLICE_LITERAL("--privileged"), "variants[0].image");
    REFUSES(variants[0].image = SLICE_LITERAL("a b"), "variants[0].image");
    REFUSES(spec.priority = PRIORITY_COUNT_, "priority");
    REFUSES(spec.lease.ms = 1000, "contact.lease");
    REFUSES(spec.placement.round_trip_max.ms = 5, "placement.near");
#undef REFUSES
}

static void test_grace_longer_than_the_time_limit_is_refused(void **state)
{
    struct scene scene;
    (void)state;
    scene_init(&scene);
    scene.spec.time_limit = SPAN_S(10);
    assert_refused(&scene, "checkpoint.grace");
    scene.spec.checkpoint.grace = job_spec_default_grace(&scene.spec);
    assert_passes(&scene);
}

static void test_environment_is_bounded_sorted_and_well_named(void **state)
{
    static const struct slice NAMES[] = {
        SLICE_LITERAL(""),     SLICE_LITERAL("1A"),       SLICE_LITERAL("A-B"),
        SLICE_LITERAL("A=B"),  SLICE_LITERAL("A B"),      SLICE_LITERAL("A\n"),
        SLICE_LITERAL("LQ_X"), SLICE_LITERAL("\xc3\xa9"),
    };
    static char big[JOB_ENV_BYTES_MAX];
    struct scene scene;
    (void)state;
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        scene_init(&scene);
        scene.envs[0].key = NAMES[i];
        assert_int_not_equal(job_spec_check(&scene.spec, &scene.fault), ERR_OK);
        assert_non_null(strstr(scene.fault.field, "variants[0].envs."));
    }
    scene_init(&scene);
    scene.envs[1].key = SLICE_LITERAL("A");
    assert_refused(&scene, "variants[0].envs.A");
    scene_init(&scene);
    scene.envs[0].value = SLICE_LITERAL("x\0y");
    assert_refused(&scene, "variants[0].envs.A");
    scene_init(&scene);
    memset(big, 'v', sizeof(big));
    scene.envs[0].value = slice_make(big, sizeof(big) - 6); /* A=v..., B=2, two NULs: 65536 */
    scene.envs[1].value = SLICE_LITERAL("");
    assert_passes(&scene);
    scene.envs[0].value.len++;
    assert_refused(&scene, "variants[0].envs");
}

static void test_two_variants_of_one_shape_are_refused(void **state)
{
    struct scene scene;
    (void)state;
    scene_init(&scene);
    for (int i = 0; i < 2; i++)
        scene.variants[i] = (struct job_variant){.runtime = RUNTIME_CUDA,
                                                 .accelerator = SLICE_LITERAL("A100"),
                                                 .accelerators = (uint32_t)i + 1,
                                                 .run = SLICE_LITERAL("x")};
    scene.spec.variant_count = 2;
    assert_refused(&scene, "variants[1]");
    scene.variants[1].accelerator = SLICE_LITERAL("a100");
    assert_refused(&scene, "variants[1]");
    scene.variants[1].accelerator = SLICE_LITERAL("H100");
    assert_passes(&scene);
}

static void test_texts_of_all_variants_together_are_bounded(void **state)
{
    static char script[JOB_SCRIPT_BYTES_MAX];
    struct scene scene;
    (void)state;
    memset(script, 'x', sizeof(script));
    scene_init(&scene);
    for (int i = 0; i < 3; i++)
        scene.variants[i] = (struct job_variant){.runtime = (enum runtime)(RUNTIME_CUDA + i),
                                                 .accelerators = 1,
                                                 .run = slice_make(script, sizeof(script))};
    scene.spec.variant_count = 2;
    assert_passes(&scene);
    scene.spec.variant_count = 3;
    assert_refused(&scene, "variants");
}

static void test_mounts_do_not_lie_in_each_other(void **state)
{
    struct scene scene;
    (void)state;
    scene_init(&scene);
    scene.mounts[0] = (struct text_pair){SLICE_LITERAL("data"), SLICE_LITERAL("corpus")};
    scene.mounts[1] = (struct text_pair){SLICE_LITERAL("data2"), SLICE_LITERAL("corpus")};
    scene.spec.mount_count = 2;
    assert_passes(&scene);
    scene.mounts[1].key = SLICE_LITERAL("data/more");
    assert_refused(&scene, "file_mounts.data/more");
    scene.mounts[1].key = SLICE_LITERAL("other");
    scene.mounts[1].value = SLICE_LITERAL("../secret");
    assert_refused(&scene, "file_mounts.other");
}

static void test_placement_lists_are_checked(void **state)
{
    struct scene scene;
    struct slice avoided = SLICE_LITERAL("west");
    (void)state;
    scene_init(&scene);
    scene.items[0] = SLICE_LITERAL("west");
    scene.items[1] = SLICE_LITERAL("west");
    scene.spec.placement.sites = (struct text_list){scene.items, 2};
    assert_refused(&scene, "placement.sites[1]");
    scene.spec.placement.sites.count = 1;
    scene.spec.placement.avoid_sites = (struct text_list){&avoided, 1};
    assert_refused(&scene, "placement.avoid_sites[0]");
    scene_init(&scene);
    scene.spec.placement.regions = (struct text_list){scene.items, JOB_PLACES_MAX + 1};
    assert_refused(&scene, "placement.regions");
    scene_init(&scene);
    scene.items[0] = SLICE_LITERAL("C N");
    scene.spec.placement.jurisdictions = (struct text_list){scene.items, 1};
    assert_refused(&scene, "placement.jurisdictions[0]");
}

static void test_server_takes_only_uploaded_workdirs(void **state)
{
    struct scene scene;
    char text[ID_TEXT_MAX];
    struct id id = {{1, 2, 3}};
    (void)state;
    scene_init(&scene);
    assert_int_equal(job_spec_check_uploaded(&scene.spec, NULL), ERR_OK);
    scene.spec.workdir = SLICE_LITERAL("../project");
    assert_passes(&scene);
    assert_int_equal(job_spec_check_uploaded(&scene.spec, &scene.fault), ERR_INVALID);
    id_format(id, "art", text);
    scene.spec.workdir = slice_of(text);
    assert_int_equal(job_spec_check_uploaded(&scene.spec, &scene.fault), ERR_OK);
}

static void test_job_moves_are_exactly_these(void **state)
{
    static const char *const TABLE[JOB_STATE_COUNT_] = {
        /*             P A S F C */
        [JOB_PENDING] = ".x.xx", [JOB_ACTIVE] = "x.xxx",    [JOB_SUCCEEDED] = ".....",
        [JOB_FAILED] = "x....",  [JOB_CANCELLED] = "x....",
    };
    (void)state;
    for (int from = 0; from < JOB_STATE_COUNT_; from++)
        for (int to = 0; to < JOB_STATE_COUNT_; to++)
            assert_int_equal(job_can_move((enum job_state)from, (enum job_state)to),
                             TABLE[from][to] == 'x');
    assert_false(job_can_move(JOB_PENDING, JOB_STATE_COUNT_));
    assert_false(job_can_move(JOB_STATE_COUNT_, JOB_PENDING));
}

static struct job_row good_row(void)
{
    return (struct job_row){
        .id = {{{1}}},
        .spec = {{{2}}},
        .tenant = {{{3}}},
        .created_epoch = 2,
        .version = 1,
        .exit_code = -1,
    };
}

static void test_broken_job_rows_are_corrupt(void **state)
{
    struct job_row row = good_row();
    struct fault fault;
    (void)state;
    assert_int_equal(job_row_check(&row, NULL), ERR_OK);
#define CORRUPT(change, name)                                                                      \
    do {                                                                                           \
        row = good_row();                                                                          \
        change;                                                                                    \
        assert_int_equal(job_row_check(&row, &fault), ERR_CORRUPT);                                \
        assert_string_equal(fault.field, name);                                                    \
    } while (0)
    CORRUPT(row.state = JOB_ACTIVE, "attempt");
    CORRUPT(row.state = JOB_STATE_COUNT_, "state");
    CORRUPT((row.state = JOB_SUCCEEDED, row.attempt = 1, row.epoch = 2), "outcome");
    CORRUPT((row.attempt = 1, row.epoch = 1), "epoch");
    CORRUPT(row.ended_at.us = 5, "ended_at");
    CORRUPT((row.state = JOB_FAILED, row.cancel_requested = true), "cancel_requested");
    CORRUPT(row.version = 0, "version");
    CORRUPT(row.id = (struct job_id){0}, "id");
    CORRUPT(row.array_index = JOB_ARRAY_MAX, "array_index");
    CORRUPT(row.outcome = OUTCOME_COUNT_, "outcome");
#undef CORRUPT
}

/* Every word of every enum reads back as itself, and nothing else does. */
static void test_words_read_back(void **state)
{
    (void)state;
#define READS_BACK(type, prefix, count)                                                            \
    for (int i = 0; i < (count); i++) {                                                            \
        enum type out;                                                                             \
        const char *word = prefix##_name((enum type)i);                                            \
        assert_non_null(word);                                                                     \
        assert_int_equal(prefix##_parse(slice_of(word), &out), ERR_OK);                            \
        assert_int_equal(out, i);                                                                  \
        assert_int_equal(prefix##_parse(slice_make(word, strlen(word) - 1), &out), ERR_INVALID);   \
    }
    READS_BACK(runtime, runtime, RUNTIME_COUNT_)
    READS_BACK(priority_class, priority, PRIORITY_COUNT_)
    READS_BACK(contact_policy, contact, CONTACT_COUNT_)
    READS_BACK(provenance, provenance, PROVENANCE_COUNT_)
    READS_BACK(region_role, role, ROLE_COUNT_)
    READS_BACK(job_state, job_state, JOB_STATE_COUNT_)
    READS_BACK(attempt_state, attempt_state, ATTEMPT_STATE_COUNT_)
    READS_BACK(outcome, outcome, OUTCOME_COUNT_)
    READS_BACK(revoke_reason, revoke, REVOKE_REASON_COUNT_)
    READS_BACK(site_tier, site_tier, TIER_COUNT_)
    READS_BACK(engine_kind, engine, ENGINE_COUNT_)
    READS_BACK(site_state, site_state, SITE_STATE_COUNT_)
    READS_BACK(link_source, link_source, LINK_SOURCE_COUNT_)
    READS_BACK(role, role_kind, ROLE_KIND_COUNT_)
    READS_BACK(permission, permission, PERM_COUNT_)
#undef READS_BACK
    for (int i = 0; i < DOC_KIND_COUNT_; i++)
        assert_non_null(doc_kind_name((enum doc_kind)i));
    for (int i = 0; i < CLAIM_COUNT_; i++)
        assert_non_null(CLAIM_WORDS[i]);
    for (int i = 0; i < PHASE_COUNT_; i++)
        assert_non_null(PHASE_WORDS[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_job_passes),
        cmocka_unit_test(test_names_with_control_characters_are_refused),
        cmocka_unit_test(test_name_may_have_128_bytes_and_no_more),
        cmocka_unit_test(test_paths_out_of_the_folder_are_refused),
        cmocka_unit_test(test_quantities_out_of_range_are_refused),
        cmocka_unit_test(test_grace_longer_than_the_time_limit_is_refused),
        cmocka_unit_test(test_environment_is_bounded_sorted_and_well_named),
        cmocka_unit_test(test_two_variants_of_one_shape_are_refused),
        cmocka_unit_test(test_texts_of_all_variants_together_are_bounded),
        cmocka_unit_test(test_mounts_do_not_lie_in_each_other),
        cmocka_unit_test(test_placement_lists_are_checked),
        cmocka_unit_test(test_server_takes_only_uploaded_workdirs),
        cmocka_unit_test(test_job_moves_are_exactly_these),
        cmocka_unit_test(test_broken_job_rows_are_corrupt),
        cmocka_unit_test(test_words_read_back),
    };
    return cmocka_run_group_tests_name("model job", tests, NULL, NULL);
}
