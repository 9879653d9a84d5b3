#include "drive/discover.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "drive/discover_nvml.h"
#include "drive/discover_parse.h"
#include "drive/program.h"

#define TOOL_LIMIT SPAN_S(10)
enum { TOOL_OUTPUT_MAX = 1 << 20, TOOL_ARGS_MAX = 8 };

static void note(struct discovered *out, const char *format, ...) LQ_PRINTF(2, 3);
static void note(struct discovered *out, const char *format, ...)
{
    va_list arguments;
    if (out->note_count == DISCOVER_NOTES_MAX)
        return;
    va_start(arguments, format);
    (void)vsnprintf(out->notes[out->note_count++], sizeof(out->notes[0]), format, arguments);
    va_end(arguments);
}

/* ---- tools */

static uint32_t parse_rocm(struct slice text, struct discovered *out)
{
    return discover_parse_rocm(text, RUNTIME_ROCM, out);
}

static uint32_t parse_hygon(struct slice text, struct discovered *out)
{
    return discover_parse_rocm(text, RUNTIME_DTK, out);
}

struct tool {
    const char *name;
    const char *args[TOOL_ARGS_MAX];
    uint32_t (*parse)(struct slice text, struct discovered *out);
};

static const struct tool TOOLS[] = {
    {"npu-smi", {"info"}, discover_parse_npu},
    {"hy-smi", {"--showproductname", "--showmeminfo", "vram", "--showuse", "--json"}, parse_hygon},
    {"rocm-smi", {"--showproductname", "--showmeminfo", "vram", "--showuse", "--json"}, parse_rocm},
    {"mthreads-gmi", {NULL}, discover_parse_mthreads},
    {"cnmon", {"info", "-m"}, discover_parse_cnmon},
    {"xpu-smi", {"-m"}, discover_parse_kunlun},
    {"mx-smi", {NULL}, discover_parse_metax},
};
static const struct tool NVIDIA_SMI = {
    "nvidia-smi",
    {"--query-gpu=index,name,memory.total,memory.used,utilization.gpu",
     "--format=csv,noheader,nounits"},
    discover_parse_nvidia};

/* What this program says of OpenCL when it is asked in a process of its own. */
static const struct tool OPENCL = {"lq", {"site", "devices", "--opencl"}, discover_parse_opencl};

static void ask_program(const char *path, const struct tool *tool, struct discovered *out)
{
    const char *argv[TOOL_ARGS_MAX + 2] = {path};
    struct buffer text;
    int status = -1;
    for (int i = 0; i < TOOL_ARGS_MAX && tool->args[i] != NULL; i++)
        argv[i + 1] = tool->args[i];
    buffer_init(&text, TOOL_OUTPUT_MAX);
    const struct program_run run = {.argv = argv, .limit = TOOL_LIMIT};
    enum err code = program_run(&run, &text, &status);
    if (code != ERR_OK)
        note(out, "%s does not answer (%s)", tool->name, err_name(code));
    else if (tool->parse(buffer_slice(&text), out) == 0 && tool != &OPENCL)
        note(out, "%s (status %d) tells of no device that this program understands", tool->name,
             status);
    else if (tool == &OPENCL && status >= 128)
        note(out, "an OpenCL driver of this machine crashed (status %d)", status);
    buffer_deinit(&text);
}

static void ask_tool(const struct tool *tool, struct discovered *out)
{
    char path[PROGRAM_PATH_MAX];
    if (program_find(tool->name, path) == ERR_OK)
        ask_program(path, tool, out);
}

/* ---- processors and memory */

static enum err read_machine(struct discovered *out, struct fault *fault)
{
    char line[128];
    unsigned long long kib = 0;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL || cores <= 0) {
        if (file != NULL)
            (void)fclose(file);
        return fault_set(fault, ERR_IO, NULL, "/proc does not tell of processors and memory");
    }
    out->cpu_milli = (uint32_t)cores * 1000;
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "MemTotal: %llu kB", &kib) == 1)
            out->mem_bytes = (uint64_t)kib * 1024;
        else if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            out->mem_free_bytes = (uint64_t)kib * 1024;
    }
    (void)fclose(file);
    return out->mem_bytes != 0 ? ERR_OK
                               : fault_set(fault, ERR_IO, NULL, "/proc/meminfo has no MemTotal");
}

enum err discover_machine(const char *program, struct discovered *out, struct fault *fault)
{
    struct discovered found = {0};
    enum err code = read_machine(&found, fault);
    if (code != ERR_OK)
        return code;
    if (discover_nvml(&found) == 0)
        ask_tool(&NVIDIA_SMI, &found);
    for (size_t i = 0; i < sizeof(TOOLS) / sizeof(TOOLS[0]); i++)
        ask_tool(&TOOLS[i], &found);
    /* The devices that vendors' own tools tell of are OpenCL devices mostly, too: not twice. */
    if (found.device_count == 0 && program != NULL)
        ask_program(program, &OPENCL, &found);
    *out = found;
    return ERR_OK;
}

/* ---- a node out of it */

static bool is_alike(const struct discovered_device *a, const struct discovered_device *b)
{
    return a->runtime == b->runtime && strcmp(a->name, b->name) == 0;
}

/* The first device of the commonest model; NULL: there is none. */
static const struct discovered_device *commonest(const struct discovered *found, uint32_t *out)
{
    const struct discovered_device *best = NULL;
    *out = 0;
    for (uint32_t i = 0; i < found->device_count; i++) {
        uint32_t count = 0;
        for (uint32_t j = 0; j < found->device_count; j++)
            if (found->devices[j].is_healthy && is_alike(&found->devices[i], &found->devices[j]))
                count++;
        if (count > *out) {
            *out = count;
            best = &found->devices[i];
        }
    }
    return best;
}

enum err discover_node(const struct discovered *found, const struct catalogue *catalogue,
                       struct slice name, struct arena *arena, struct site_node *out)
{
    uint32_t count = 0;
    const struct discovered_device *device = commonest(found, &count);
    struct slice model = device == NULL ? slice_of("") : slice_of(device->name);
    const struct accelerator *row = NULL;
    if (device != NULL && catalogue != NULL) {
        struct slice bare = model; /* "NVIDIA A100-SXM4-80GB" is in no catalogue; "Tesla T4" may */
        if (slice_has_prefix(bare, SLICE_LITERAL("NVIDIA ")))
            bare = slice_make(bare.data + 7, bare.len - 7);
        if (catalogue_resolve(catalogue, bare, "accelerator", &row, NULL) == ERR_OK)
            model = row->model;
    }
    struct site_node node = {
        .name = arena_copy(arena, name),
        .cpu_milli = found->cpu_milli,
        .mem_bytes = found->mem_bytes,
        .accelerator = arena_copy(arena, model),
        .runtime = device == NULL ? RUNTIME_CPU : device->runtime,
        .accelerator_count = count < NODE_ACCELERATORS_MAX ? count : NODE_ACCELERATORS_MAX,
    };
    if (node.name.data == NULL || node.accelerator.data == NULL)
        return ERR_NO_MEMORY;
    *out = node;
    return ERR_OK;
}
