/* Recorded histories: refused with a line, or one that a replay takes. */
#include "fuzz.h"
#include "sim/history.h"

enum { JOBS_PLAYED_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct history history;
    struct replay_setup setup;
    struct replay_result result;
    struct fault fault = {0};
    struct arena arena;
    arena_init(&arena, (size_t)256 << 20);
    enum err err = history_read(slice_make(data, size), &arena, &history, &fault);
    if (err == ERR_OK) {
        for (size_t i = 0; i < history.job_count; i++) {
            ASSERT(history.jobs[i].duration_ms > 0 && history.jobs[i].spec != NULL);
            ASSERT(i == 0 || history.jobs[i - 1].arrival_ms <= history.jobs[i].arrival_ms);
        }
        for (size_t i = 0; i < history.change_count; i++)
            ASSERT(history.changes[i].site < history.topology.site_count);
        history_setup(&history, &setup);
        setup.end_ms = INT64_C(86400000); /* a replay of years takes its time */
        if (history.job_count <= JOBS_PLAYED_MAX)
            err = replay_run(&setup, &arena, &result, &fault);
    }
    ASSERT(err == ERR_OK || err == ERR_NO_MEMORY || fault.message[0] != '\0');
    arena_deinit(&arena);
    return 0;
}
