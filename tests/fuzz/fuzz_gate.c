/* A line between supervisor and agent: refused, or a message that is encoded and reads back to the
 * same bytes. */
#include "base/buffer.h"
#include "fuzz.h"
#include "wire/gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct buffer first, second;
    struct gate_message value;
    struct fault fault = {0};
    arena_init(&arena, 1 << 20);
    buffer_init(&first, 4 * GATE_LINE_MAX);
    buffer_init(&second, 4 * GATE_LINE_MAX);
    if (gate_message_decode(slice_make(data, size), &arena, &value, &fault) == ERR_OK) {
        ASSERT(value.rank < JOB_NODES_MAX && value.kind < GATE_KIND_COUNT_);
        ASSERT(gate_message_encode(&value, &first) == ERR_OK);
        struct slice line = buffer_slice(&first);
        line.len--;
        ASSERT(gate_message_decode(line, &arena, &value, &fault) == ERR_OK);
        ASSERT(gate_message_encode(&value, &second) == ERR_OK);
        ASSERT(slice_is_equal(buffer_slice(&first), buffer_slice(&second)));
    }
    buffer_deinit(&first);
    buffer_deinit(&second);
    arena_deinit(&arena);
    return 0;
}
