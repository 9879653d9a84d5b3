/* Readers of vendors' tools on recorded output. argv[1]: the folder of the samples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drive/discover_parse.h"
#include "port/file.h"

static const char *samples;

enum { MIB = 1 << 20 };

static struct slice sample(struct arena *arena, const char *name)
{
    char path[1024];
    struct slice bytes;
    arena_init(arena, 1 << 20);
    (void)snprintf(path, sizeof(path), "%s/%s", samples, name);
    assert_int_equal(file_read(path, 1 << 20, arena, NULL, &bytes), ERR_OK);
    return bytes;
}

static void is_device(const struct discovered_device *device, uint32_t index, enum runtime runtime,
                      const char *name, uint64_t mem_mib, uint64_t used_mib, int32_t util)
{
    assert_int_equal(device->index, index);
    assert_int_equal(device->runtime, runtime);
    assert_string_equal(device->name, name);
    assert_int_equal(device->mem_bytes, mem_mib * MIB);
    assert_int_equal(device->mem_used_bytes, used_mib * MIB);
    assert_int_equal(device->util_percent, util);
}

static void nvidia_smi_is_read(void **state)
{
    struct arena arena;
    struct discovered found = {0};
    (void)state;
    assert_int_equal(discover_parse_nvidia(sample(&arena, "nvidia-smi.csv"), &found), 3);
    is_device(&found.devices[1], 1, RUNTIME_CUDA, "NVIDIA A100-SXM4-80GB", 81920, 40536, 87);
    is_device(&found.devices[2], 2, RUNTIME_CUDA, "NVIDIA A100-SXM4-80GB", 81920, 0, -1);
    arena_deinit(&arena);
}

static void opencl_devices_are_read_from_lines_of_our_own(void **state)
{
    struct arena arena;
    struct discovered found = {0};
    (void)state;
    assert_int_equal(discover_parse_opencl(sample(&arena, "opencl.txt"), &found), 2);
    is_device(&found.devices[0], 0, RUNTIME_OPENCL, "PoCL CPU", 11993, 0, -1);
    is_device(&found.devices[1], 1, RUNTIME_OPENCL, "gfx90a", 65520, 0, -1);
    arena_deinit(&arena);
}

static void npu_smi_is_read_in_both_forms(void **state)
{
    struct arena arena;
    struct discovered found = {0};
    (void)state;
    assert_int_equal(discover_parse_npu(sample(&arena, "npu-smi-24.txt"), &found), 2);
    is_device(&found.devices[0], 0, RUNTIME_CANN, "910B4", 32768, 26838, 0);
    is_device(&found.devices[1], 1, RUNTIME_CANN, "910B4", 32768, 29356, 93);
    assert_true(found.devices[0].is_healthy);
    assert_false(found.devices[1].is_healthy);
    arena_deinit(&arena);
    found = (struct discovered){0};
    assert_int_equal(discover_parse_npu(sample(&arena, "npu-smi-26.txt"), &found), 2);
    is_device(&found.devices[0], 0, RUNTIME_CANN, "Ascend910", 65536, 3419, 0);
    is_device(&found.devices[1], 1, RUNTIME_CANN, "Ascend910", 65536, 2874, 0);
    arena_deinit(&arena);
}

static void rocm_smi_and_hy_smi_are_read(void **state)
{
    struct arena arena;
    struct discovered found = {0};
    (void)state;
    assert_int_equal(discover_parse_rocm(sample(&arena, "rocm-smi.json"), RUNTIME_ROCM, &found), 2);
    is_device(&found.devices[0], 0, RUNTIME_ROCM, "AMD Instinct MI250X / MI250", 65520, 10, 12);
    arena_deinit(&arena);
    found = (struct discovered){0};
    assert_int_equal(discover_parse_rocm(sample(&arena, "hy-smi.json"), RUNTIME_DTK, &found), 2);
    is_device(&found.devices[0], 0, RUNTIME_DTK, "K100_AI", 65520, 0, 3);
    arena_deinit(&arena);
}

static void mthreads_gmi_is_read(void **state)
{
    struct arena arena;
    struct discovered found = {0};
    (void)state;
    assert_int_equal(discover_parse_mthreads(sample(&arena, "mthreads-gmi.txt"), &found), 2);
    is_device(&found.devices[0], 0, RUNTIME_MUSA, "MTT S5000", 81920, 66641, 0);
    is_device(&found.devices[1], 1, RUNTIME_MUSA, "MTT S5000", 81920, 64889, 7);
    arena_deinit(&arena);
}

static void cnmon_is_read(void **state)
{
    struct arena arena;
    struct discovered found = {0};
    (void)state;
    assert_int_equal(discover_parse_cnmon(sample(&arena, "cnmon-m.txt"), &found), 2);
    is_device(&found.devices[0], 0, RUNTIME_BANG, "MLU370-X8", 23308, 1024, -1);
    is_device(&found.devices[1], 1, RUNTIME_BANG, "MLU370-X8", 23308, 0, -1);
    arena_deinit(&arena);
}

static void xpu_smi_and_mx_smi_are_read(void **state)
{
    struct arena arena;
    struct discovered found = {0};
    (void)state;
    assert_int_equal(discover_parse_kunlun(sample(&arena, "xpu-smi-m.txt"), &found), 2);
    is_device(&found.devices[0], 0, RUNTIME_XPU, "P800 OAM", 98304, 2048, 15);
    arena_deinit(&arena);
    found = (struct discovered){0};
    assert_int_equal(discover_parse_metax(sample(&arena, "mx-smi.txt"), &found), 2);
    is_device(&found.devices[1], 1, RUNTIME_MACA, "MetaX C500", 65536, 60100, 41);
    arena_deinit(&arena);
}

static void no_reader_sees_devices_in_anothers_output(void **state)
{
    static const char *const names[] = {"npu-smi-24.txt", "mthreads-gmi.txt", "cnmon-m.txt",
                                        "mx-smi.txt", "rocm-smi.json"};
    struct arena arena;
    struct discovered found = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct slice text = sample(&arena, names[i]);
        if (i != 0)
            assert_int_equal(discover_parse_npu(text, &found), 0);
        if (i != 1)
            assert_int_equal(discover_parse_mthreads(text, &found), 0);
        if (i != 2)
            assert_int_equal(discover_parse_cnmon(text, &found), 0);
        if (i != 3)
            assert_int_equal(discover_parse_metax(text, &found), 0);
        assert_int_equal(discover_parse_kunlun(text, &found), 0);
        arena_deinit(&arena);
    }
}

static void this_machine_is_discovered(void **state)
{
    struct discovered found;
    struct arena arena;
    struct site_node node;
    (void)state;
    arena_init(&arena, 1 << 16);
    assert_int_equal(discover_machine(NULL, &found, NULL), ERR_OK);
    assert_true(found.cpu_milli >= 1000 && found.mem_bytes > found.mem_free_bytes);
    assert_int_equal(discover_node(&found, NULL, SLICE_LITERAL("n"), &arena, &node), ERR_OK);
    assert_int_equal(node.cpu_milli, found.cpu_milli);
    assert_int_equal(site_node_check(&node, NULL), ERR_OK);
    arena_deinit(&arena);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nvidia_smi_is_read),
        cmocka_unit_test(opencl_devices_are_read_from_lines_of_our_own),
        cmocka_unit_test(npu_smi_is_read_in_both_forms),
        cmocka_unit_test(rocm_smi_and_hy_smi_are_read),
        cmocka_unit_test(mthreads_gmi_is_read),
        cmocka_unit_test(cnmon_is_read),
        cmocka_unit_test(xpu_smi_and_mx_smi_are_read),
        cmocka_unit_test(no_reader_sees_devices_in_anothers_output),
        cmocka_unit_test(this_machine_is_discovered),
    };
    if (argc < 2)
        return 77;
    samples = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
