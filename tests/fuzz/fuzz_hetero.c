/* Speeds or a trace of the mixed-chips experiment (the first byte says which): refused with a
 * message, or what is read keeps the limits. */
#include "fuzz.h"
#include "sim/hetero.h"

static const char SPEEDS[] = "job,width,fast,slow\nA,1,10,5\nA,2,20,0\n";

static void check_list(const struct hetero_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct mix_job *work = &list->jobs[i].work;
        ASSERT(work->width > 0 && work->width <= MIX_WIDTH_MAX && work->kind == MIX_NONE);
        ASSERT(i == 0 || list->jobs[i].arrives_ms >= list->jobs[i - 1].arrives_ms);
        for (uint32_t k = 0; k < MIX_KINDS_MAX; k++)
            ASSERT(work->need_ms[k] >= 0 && work->need_ms[k] <= MIX_NEED_MS_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hetero_speeds speeds;
    struct hetero_list list;
    struct fault fault = {0};
    struct arena arena;
    if (size == 0)
        return 0;
    struct slice text = slice_make(data + 1, size - 1);
    arena_init(&arena, (size_t)32 << 20);
    enum err err = hetero_speeds_read(data[0] % 3 == 0 ? text : SLICE_LITERAL(SPEEDS), &arena,
                                      &speeds, &fault);
    if (data[0] % 3 != 0) {
        ASSERT(err == ERR_OK);
        err = hetero_trace_read(text, data[0] % 3 == 1 ? &speeds : NULL, &arena, &list, &fault);
        if (err == ERR_OK)
            check_list(&list);
    }
    ASSERT(err == ERR_OK || err == ERR_NO_MEMORY || fault.message[0] != '\0');
    arena_deinit(&arena);
    return 0;
}
