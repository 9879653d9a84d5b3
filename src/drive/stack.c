/* The table. Where a fact comes from stands beside it; "table" is data/domain/accelerators.csv with
 * the sources named there, column visible_env_process.
 *
 * Of a vendor all device files are given, not one a device: the stack's own variable counts the
 * machine's devices, and would count differently with some of them hidden.
 *
 * Traps that this table is for:
 *  - Slurm's gres/gpu sets CUDA_VISIBLE_DEVICES, ROCR_VISIBLE_DEVICES, ZE_AFFINITY_MASK and
 *    GPU_DEVICE_ORDINAL, whatever the chip (gres.conf(5), Flags): every other stack's variable is
 *    set here from SLURM_STEP_GPUS or SLURM_JOB_GPUS, which Slurm sets as well.
 *  - ROCm: ROCR_VISIBLE_DEVICES hides devices below HIP, and HIP_VISIBLE_DEVICES counts among those
 *    that are left. Only the first is set, or the second device would be looked for among one.
 *  - CUDA counts the fastest device first unless told to count by bus, as nvidia-smi, NVML and
 *    Slurm do.
 *  - Ascend wants ascending numbers, and no spaces between them. */
#include "drive/stack.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/buffer.h"

#define PROCESSORS NULL

static const struct stack STACKS[RUNTIME_COUNT_] = {
    [RUNTIME_CPU] = {.runtime = RUNTIME_CPU},
    [RUNTIME_CUDA] = {.runtime = RUNTIME_CUDA,
                      .visible = {"CUDA_VISIBLE_DEVICES"},          /* table */
                      .order = {"CUDA_DEVICE_ORDER", "PCI_BUS_ID"}, /* CUDA programming guide */
                      /* Compiled kernels are kept below $HOME else, which is the work folder. */
                      .settings = {{"CUDA_CACHE_PATH", "/tmp/.nv"}},
                      .files = {{"/dev", "nvidia"}}},
    [RUNTIME_CANN] = {.runtime = RUNTIME_CANN,
                      .visible = {"ASCEND_RT_VISIBLE_DEVICES"}, /* table */
                      /* Logs go to $HOME/ascend/log else: CANN's environment variables. */
                      .settings = {{"ASCEND_PROCESS_LOG_PATH", "/tmp/ascend"}},
                      .files = {{"/dev", "davinci"}, {"/dev", "devmm_svm"}, {"/dev", "hisi_hdc"}}},
    [RUNTIME_ROCM] = {.runtime = RUNTIME_ROCM,
                      .visible = {"ROCR_VISIBLE_DEVICES"}, /* table */
                      .files = {{"/dev", "kfd"}, {"/dev/dri", "renderD"}}},
    [RUNTIME_MUSA] = {.runtime = RUNTIME_MUSA,
                      .visible = {"MUSA_VISIBLE_DEVICES"}, /* table */
                      .files = {{"/dev", "mtgpu"}, {"/dev/dri", "renderD"}}},
    [RUNTIME_BANG] = {.runtime = RUNTIME_BANG,
                      .visible = {"MLU_VISIBLE_DEVICES"}, /* table */
                      .files = {{"/dev", "cambricon"}}},
    [RUNTIME_DTK] = {.runtime = RUNTIME_DTK,
                     .visible = {"HIP_VISIBLE_DEVICES"}, /* table */
                     .files = {{"/dev", "kfd"}, {"/dev", "mkfd"}, {"/dev/dri", "renderD"}}},
    /* Kunlunxin's newer PyTorch stack reads NVIDIA's name, the older one its own: table. */
    [RUNTIME_XPU] = {.runtime = RUNTIME_XPU,
                     .visible = {"XPU_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"},
                     .files = {{"/dev", "xpu"}}},
    [RUNTIME_MACA] = {.runtime = RUNTIME_MACA,
                      .visible = {"CUDA_VISIBLE_DEVICES"}, /* table: MetaX reads NVIDIA's name */
                      .files = {{"/dev", "mxcd"}, {"/dev/dri", "renderD"}}},
    /* OpenCL has no such variable: a program asks its platforms. PoCL (its documentation, "Using
     * PoCL"): a thread a processor of the machine unless told, under two names by version; kernels
     * are built once and kept; without /sys its hwloc finds no processor and no memory. */
    [RUNTIME_OPENCL] = {.runtime = RUNTIME_OPENCL,
                        .settings = {{"POCL_CACHE_DIR", "/tmp/.pocl"},
                                     {"POCL_MAX_PTHREAD_COUNT", PROCESSORS},
                                     {"POCL_CPU_MAX_CU_COUNT", PROCESSORS}},
                        .files = {{"/dev/dri", "renderD"}, {"/dev", "nvidia"}, {"/dev", "kfd"}},
                        .folders = {"/sys/devices/system"}},
};

const struct stack *stack_of(enum runtime runtime)
{
    ASSERT((unsigned)runtime < RUNTIME_COUNT_);
    return &STACKS[runtime];
}

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t *first = a, *second = b;
    return (*first > *second) - (*first < *second);
}

enum err stack_numbers(const uint32_t *numbers, uint32_t count, struct arena *arena,
                       struct slice *out)
{
    uint32_t sorted[STACK_NUMBERS_MAX];
    struct buffer line;
    ASSERT(count <= STACK_NUMBERS_MAX);
    for (uint32_t i = 0; i < count; i++)
        sorted[i] = numbers[i];
    if (count > 1)
        qsort(sorted, count, sizeof(sorted[0]), compare_numbers);
    buffer_init(&line, STACK_TEXT_MAX);
    for (uint32_t i = 0; i < count; i++)
        if (i == 0 || sorted[i] != sorted[i - 1])
            buffer_printf(&line, "%s%u", i == 0 ? "" : ",", sorted[i]);
    struct slice copy = arena_copy(arena, buffer_slice(&line));
    buffer_deinit(&line);
    if (copy.data == NULL)
        return ERR_NO_MEMORY;
    *out = copy;
    return ERR_OK;
}

/* Slurm's word where a GRES has no device files. */
static bool names_nothing(struct slice text)
{
    return text.len == 0 || slice_is(text, "NoDevFiles");
}

enum err stack_numbers_read(struct slice text, struct arena *arena, struct slice *out)
{
    uint32_t numbers[STACK_NUMBERS_MAX], count = 0;
    struct slice rest = slice_trim(text), item;
    bool is_plain = true;
    if (names_nothing(rest))
        return ERR_NOT_FOUND;
    while (is_plain && rest.len != 0) {
        uint64_t number = 0;
        if (!slice_cut(rest, ',', &item, &rest)) {
            item = rest;
            rest = (struct slice){0};
        }
        is_plain = count < STACK_NUMBERS_MAX &&
                   slice_parse_u64(slice_trim(item), &number) == ERR_OK && number <= UINT32_MAX;
        if (is_plain)
            numbers[count++] = (uint32_t)number;
    }
    if (is_plain)
        return stack_numbers(numbers, count, arena, out);
    struct slice copy = arena_copy(arena, slice_trim(text));
    if (copy.data == NULL)
        return ERR_NO_MEMORY;
    *out = copy;
    return ERR_OK;
}
