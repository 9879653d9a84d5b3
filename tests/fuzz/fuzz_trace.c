/* Traces of every format (the first byte says which): refused with line and column, or jobs that
 * keep the limits. */
#include "fuzz.h"
#include "sim/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trace_reader *reader;
    struct fault fault = {0};
    struct trace_job job;
    struct arena arena;
    bool has = true;
    if (size == 0)
        return 0;
    arena_init(&arena, (size_t)32 << 20);
    reader = arena_alloc(&arena, sizeof(*reader));
    ASSERT(reader != NULL);
    enum err err = trace_open(reader, (enum trace_format)(data[0] % TRACE_FORMAT_COUNT_),
                              slice_make(data + 1, size - 1), &arena, &fault);
    while (err == ERR_OK && has) {
        err = trace_next(reader, &has, &job, &fault);
        if (err != ERR_OK || !has)
            break;
        ASSERT(job.arrival_ms >= 0 && job.duration_ms <= TRACE_SPAN_MS_MAX);
        ASSERT(job.duration_ms > 0 || job.steps > 0);
        ASSERT(job.devices <= TRACE_WIDTH_MAX && (job.devices > 0 || job.cpu_milli > 0));
    }
    ASSERT(err == ERR_OK || err == ERR_NO_MEMORY || (fault.line > 0 && fault.column > 0));
    arena_deinit(&arena);
    return 0;
}
