/* An sbatch script, its options and what they say: refused with words, or a job that the job's own
 * decoder takes or refuses by name. The first byte chooses whether the rest is a script or a
 * command line of one word a line. */
#include <string.h>

#include "fuzz.h"
#include "wire/sbatch_job.h"
#include "wire/spec.h"

enum { ARGUMENTS_MAX = 64, JOB_BYTES_MAX = 4 << 20, FUZZ_ARENA_BYTES = 64 << 20 };

static void check_plan(const struct sbatch_plan *plan)
{
    uint64_t elements = 0;
    ASSERT(plan->nodes >= 1 && plan->nodes <= JOB_NODES_MAX && plan->ntasks >= plan->nodes);
    ASSERT(plan->cpus >= 1 && plan->cpus <= JOB_CPU_MILLI_MAX / 1000);
    ASSERT(plan->mem_mib <= JOB_MEM_BYTES_MAX >> 20 && plan->gpus <= JOB_ACCELERATORS_MAX);
    for (uint32_t i = 0; i < plan->range_count; i++) {
        const struct sbatch_range *range = &plan->ranges[i];
        elements += range->count;
        ASSERT(range->count >= 1 && range->step >= 1);
        ASSERT(i == 0 || range->first > plan->ranges[i - 1].first);
    }
    ASSERT(elements == plan->array_count && elements <= JOB_ARRAY_MAX);
}

static void check_job(const struct sbatch_plan *plan, struct slice script, struct arena *arena)
{
    static const struct text_pair ENVIRONMENT[] = {{SLICE_LITERAL("PATH"), SLICE_LITERAL("/bin")},
                                                   {SLICE_LITERAL("HOME"), SLICE_LITERAL("/x")}};
    const char *const args[] = {"one", "two words"};
    struct sbatch_job job = {.plan = plan,
                             .name = plan->name.len > 0 ? plan->name : SLICE_LITERAL("job"),
                             .script = script,
                             .args = args,
                             .arg_count = 2,
                             .number = 7,
                             .submit_dir = SLICE_LITERAL("/data/x"),
                             .work_dir = SLICE_LITERAL("/data/x"),
                             .shared = SLICE_LITERAL("/data"),
                             .gpu_type = plan->gpu_type,
                             .environment = ENVIRONMENT,
                             .environment_count = 2};
    struct sbatch_job_notes notes;
    struct json_writer writer;
    struct buffer json;
    struct fault fault = {0};
    struct job_spec spec;
    buffer_init(&json, JOB_BYTES_MAX);
    json_writer_init(&writer, &json);
    enum err err = sbatch_job_write(&job, arena, &writer, &notes, &fault);
    if (err == ERR_OK) {
        ASSERT(json_writer_finish(&writer) == ERR_OK);
        err = spec_parse(buffer_slice(&json), arena, &spec, &fault);
        ASSERT(err != ERR_OK || (spec.num_nodes == plan->nodes && spec.shared_folders.count == 1));
    }
    ASSERT(err == ERR_OK || fault.message[0] != '\0');
    buffer_deinit(&json);
}

static enum err read_lines(struct slice text, struct arena *arena, struct sbatch *sbatch,
                           struct fault *fault)
{
    const char *argv[ARGUMENTS_MAX];
    size_t count = 0, used = 0;
    struct slice line;
    for (bool is_last = false; !is_last && count < ARGUMENTS_MAX; count++) {
        is_last = !slice_cut(text, '\n', &line, &text);
        argv[count] = arena_text(arena, is_last ? text : line);
        ASSERT(argv[count] != NULL);
    }
    enum err err = sbatch_read_arguments(argv, count, sbatch, &used, fault);
    ASSERT(err != ERR_OK || used <= count);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(size > 0 ? data + 1 : data, size > 0 ? size - 1 : 0);
    bool is_script = size > 0 && (data[0] & 1) != 0;
    struct fault fault = {0};
    struct sbatch sbatch = {0};
    struct sbatch_plan plan;
    struct arena arena;
    enum err err = ERR_OK;

    arena_init(&arena, FUZZ_ARENA_BYTES);
    if (is_script) {
        err = sbatch_script_check(text, &fault);
        if (err == ERR_OK)
            err = sbatch_read_script(text, &arena, &sbatch, &fault);
    } else {
        err = read_lines(text, &arena, &sbatch, &fault);
    }
    if (err == ERR_OK)
        err = sbatch_plan(&sbatch, &arena, &plan, &fault);
    if (err == ERR_OK) {
        check_plan(&plan);
        check_job(&plan, is_script ? text : SLICE_LITERAL("#!/bin/sh\n"), &arena);
    } else {
        ASSERT(fault.code == err && fault.message[0] != '\0');
    }
    arena_deinit(&arena);
    return 0;
}
