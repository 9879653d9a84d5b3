/* What each runtime's programs are given: variables and devices, on hosts and under Slurm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drive/launch.h"
#include "drive/stack.h"
#include "supervise/engine_devices.h"

enum { ARENA_BYTES = 1 << 20 };

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, ARENA_BYTES);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

/* NULL: not set. */
static const char *env_of(const struct supervise_doc *doc, const char *name)
{
    for (uint32_t i = 0; i < doc->env_count; i++)
        if (slice_is(doc->envs[i].key, name))
            return arena_text(&arena, doc->envs[i].value);
    return NULL;
}

static void is_env(const struct supervise_doc *doc, const char *name, const char *value)
{
    const char *found = env_of(doc, name);
    if (value == NULL)
        assert_null(found);
    else
        assert_string_equal(found == NULL ? "(not set)" : found, value);
}

/* A gang of two ranks on nodes with four devices: rank 0 has devices 1 and 3, rank 1 has 0 and 2.
 */
static void launch_rank(enum runtime runtime, const struct text_pair *envs, uint32_t env_count,
                        uint32_t rank, struct supervise_doc *doc)
{
    static const struct site_node nodes[] = {
        {.name = {"n0", 2}, .accelerator = {"chip", 4}, .accelerator_count = 4},
        {.name = {"n1", 2}, .accelerator = {"chip", 4}, .accelerator_count = 4},
    };
    static const struct rank_place places[] = {{0, 2, {1, 3}}, {1, 2, {0, 2}}};
    const bool has_devices = runtime != RUNTIME_CPU;
    const struct job_variant variant = {.runtime = runtime,
                                        .accelerators = has_devices ? 2 : 0,
                                        .envs = envs,
                                        .env_count = env_count};
    struct launch launch = {.arena = &arena,
                            .site_name = "s",
                            .nodes = nodes,
                            .node_count = 2,
                            .addresses = SLICE_LITERAL("a,b"),
                            .order = {.places = places, .nodes = 2},
                            .spec = {.cpu_milli = 2500, .num_nodes = 2},
                            .variant = &variant};
    *doc = (struct supervise_doc){.runtime = runtime};
    assert_int_equal(launch_envs(&launch, rank, doc), ERR_OK);
}

static const struct {
    enum runtime runtime;
    const char *visible, *also; /* NULL: none */
} EXPECTED[] = {
    {RUNTIME_CUDA, "CUDA_VISIBLE_DEVICES", NULL},
    {RUNTIME_CANN, "ASCEND_RT_VISIBLE_DEVICES", NULL},
    {RUNTIME_ROCM, "ROCR_VISIBLE_DEVICES", NULL},
    {RUNTIME_MUSA, "MUSA_VISIBLE_DEVICES", NULL},
    {RUNTIME_BANG, "MLU_VISIBLE_DEVICES", NULL},
    {RUNTIME_DTK, "HIP_VISIBLE_DEVICES", NULL},
    {RUNTIME_XPU, "XPU_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"},
    {RUNTIME_MACA, "CUDA_VISIBLE_DEVICES", NULL},
    {RUNTIME_OPENCL, NULL, NULL},
};
enum { EXPECTED_COUNT = sizeof(EXPECTED) / sizeof(EXPECTED[0]) };

static void each_runtime_gets_its_devices_in_its_own_words_on_each_rank(void **state)
{
    (void)state;
    for (size_t i = 0; i < EXPECTED_COUNT; i++)
        for (uint32_t rank = 0; rank < 2; rank++) {
            struct supervise_doc doc;
            const char *numbers = rank == 0 ? "1,3" : "0,2";
            launch_rank(EXPECTED[i].runtime, NULL, 0, rank, &doc);
            if (EXPECTED[i].visible != NULL)
                is_env(&doc, EXPECTED[i].visible, numbers);
            if (EXPECTED[i].also != NULL)
                is_env(&doc, EXPECTED[i].also, numbers);
            is_env(&doc, "LQ_DEVICES", numbers);
            is_env(&doc, "LQ_ACCELERATOR", "chip");
            is_env(&doc, "LQ_RUNTIME", runtime_name(EXPECTED[i].runtime));
        }
}

static void no_stack_is_without_a_row_and_none_gets_anothers_variable(void **state)
{
    (void)state;
    assert_int_equal(EXPECTED_COUNT, RUNTIME_COUNT_ - 1); /* all but cpu */
    for (size_t i = 0; i < EXPECTED_COUNT; i++) {
        struct supervise_doc doc;
        assert_int_equal(stack_of(EXPECTED[i].runtime)->runtime, EXPECTED[i].runtime);
        launch_rank(EXPECTED[i].runtime, NULL, 0, 0, &doc);
        for (size_t other = 0; other < EXPECTED_COUNT; other++) {
            const char *name = EXPECTED[other].visible;
            bool is_own = name == NULL ||
                          (EXPECTED[i].visible != NULL && !strcmp(name, EXPECTED[i].visible)) ||
                          (EXPECTED[i].also != NULL && !strcmp(name, EXPECTED[i].also));
            if (!is_own)
                is_env(&doc, name, NULL);
        }
    }
}

static void rocm_is_not_told_twice_which_devices(void **state)
{
    struct supervise_doc doc;
    (void)state;
    launch_rank(RUNTIME_ROCM, NULL, 0, 0, &doc);
    is_env(&doc, "HIP_VISIBLE_DEVICES", NULL);
}

static void a_cpu_variant_gets_processors_and_no_devices(void **state)
{
    struct supervise_doc doc;
    (void)state;
    launch_rank(RUNTIME_CPU, NULL, 0, 0, &doc);
    is_env(&doc, "OMP_NUM_THREADS", "3");
    is_env(&doc, "LQ_DEVICES", NULL);
    for (size_t i = 0; i < EXPECTED_COUNT; i++)
        if (EXPECTED[i].visible != NULL)
            is_env(&doc, EXPECTED[i].visible, NULL);
}

static void the_job_may_change_settings_but_not_which_devices_it_gets(void **state)
{
    static const struct text_pair envs[] = {
        {{"CUDA_CACHE_PATH", 15}, {"/job/kept", 9}},
        {{"CUDA_DEVICE_ORDER", 17}, {"FASTEST_FIRST", 13}},
        {{"CUDA_VISIBLE_DEVICES", 20}, {"0,1,2,3", 7}},
        {{"LQ_DEVICES", 10}, {"0", 1}},
    };
    struct supervise_doc doc;
    (void)state;
    launch_rank(RUNTIME_CUDA, envs, 4, 0, &doc);
    is_env(&doc, "CUDA_CACHE_PATH", "/job/kept");
    is_env(&doc, "CUDA_DEVICE_ORDER", "PCI_BUS_ID");
    is_env(&doc, "CUDA_VISIBLE_DEVICES", "1,3");
    is_env(&doc, "LQ_DEVICES", "1,3");
}

static void opencl_by_pocl_keeps_to_its_processors_and_its_scratch(void **state)
{
    struct supervise_doc doc;
    (void)state;
    launch_rank(RUNTIME_OPENCL, NULL, 0, 0, &doc);
    is_env(&doc, "POCL_CACHE_DIR", "/tmp/.pocl");
    is_env(&doc, "POCL_MAX_PTHREAD_COUNT", "3");
    is_env(&doc, "POCL_CPU_MAX_CU_COUNT", "3");
    assert_string_equal(stack_of(RUNTIME_OPENCL)->folders[0], "/sys/devices/system");
}

/* ---- under Slurm */

static void forget_slurm(void)
{
    static const char *const NAMES[] = {"SLURM_STEP_GPUS",           "SLURM_JOB_GPUS",
                                        "ROCR_VISIBLE_DEVICES",      "CUDA_VISIBLE_DEVICES",
                                        "ASCEND_RT_VISIBLE_DEVICES", "XPU_VISIBLE_DEVICES"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        (void)unsetenv(NAMES[i]);
}

static void slurms_numbers_reach_the_stacks_that_slurm_does_not_know(void **state)
{
    (void)state;
    for (size_t i = 0; i < EXPECTED_COUNT; i++) {
        struct supervise_doc doc;
        launch_rank(EXPECTED[i].runtime, NULL, 0, 0, &doc);
        forget_slurm();
        (void)setenv("SLURM_STEP_GPUS", "3, 0", 1);
        assert_int_equal(engine_devices_take(&doc, &arena, NULL), ERR_OK);
        if (EXPECTED[i].visible != NULL)
            is_env(&doc, EXPECTED[i].visible, "0,3");
        if (EXPECTED[i].also != NULL)
            is_env(&doc, EXPECTED[i].also, "0,3");
        is_env(&doc, "LQ_DEVICES", "0,3");
    }
}

static void the_stacks_own_variable_goes_before_slurms_numbers(void **state)
{
    struct supervise_doc doc;
    (void)state;
    forget_slurm();
    launch_rank(RUNTIME_ROCM, NULL, 0, 0, &doc);
    (void)setenv("SLURM_STEP_GPUS", "2,3", 1);
    (void)setenv("ROCR_VISIBLE_DEVICES", "0,1", 1); /* of those that Slurm lets it see */
    assert_int_equal(engine_devices_take(&doc, &arena, NULL), ERR_OK);
    is_env(&doc, "ROCR_VISIBLE_DEVICES", "0,1");
}

static void a_prologs_descending_list_with_spaces_is_put_in_ascends_form(void **state)
{
    struct supervise_doc doc;
    (void)state;
    forget_slurm();
    launch_rank(RUNTIME_CANN, NULL, 0, 0, &doc);
    (void)setenv("ASCEND_RT_VISIBLE_DEVICES", "7, 6 ,0", 1);
    assert_int_equal(engine_devices_take(&doc, &arena, NULL), ERR_OK);
    is_env(&doc, "ASCEND_RT_VISIBLE_DEVICES", "0,6,7");
}

static void unique_ids_stay_as_they_are(void **state)
{
    struct supervise_doc doc;
    (void)state;
    forget_slurm();
    launch_rank(RUNTIME_CUDA, NULL, 0, 0, &doc);
    (void)setenv("CUDA_VISIBLE_DEVICES", "GPU-b,GPU-a", 1);
    assert_int_equal(engine_devices_take(&doc, &arena, NULL), ERR_OK);
    is_env(&doc, "CUDA_VISIBLE_DEVICES", "GPU-b,GPU-a");
}

static void an_engine_that_names_no_device_is_an_error(void **state)
{
    struct supervise_doc doc;
    struct fault fault = {0};
    (void)state;
    forget_slurm();
    launch_rank(RUNTIME_CUDA, NULL, 0, 0, &doc);
    assert_int_equal(engine_devices_take(&doc, &arena, &fault), ERR_NOT_FOUND);
    (void)setenv("CUDA_VISIBLE_DEVICES", "NoDevFiles", 1);
    assert_int_equal(engine_devices_take(&doc, &arena, &fault), ERR_NOT_FOUND);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_runtime_gets_its_devices_in_its_own_words_on_each_rank),
        TEST(no_stack_is_without_a_row_and_none_gets_anothers_variable),
        TEST(rocm_is_not_told_twice_which_devices),
        TEST(a_cpu_variant_gets_processors_and_no_devices),
        TEST(the_job_may_change_settings_but_not_which_devices_it_gets),
        TEST(opencl_by_pocl_keeps_to_its_processors_and_its_scratch),
        TEST(slurms_numbers_reach_the_stacks_that_slurm_does_not_know),
        TEST(the_stacks_own_variable_goes_before_slurms_numbers),
        TEST(a_prologs_descending_list_with_spaces_is_put_in_ascends_form),
        TEST(unique_ids_stay_as_they_are),
        TEST(an_engine_that_names_no_device_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
