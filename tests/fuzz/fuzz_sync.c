/* Requests, replies and orders of the agent protocol: refused, or values that are encoded and read
 * back to the same bytes. The first byte chooses. */
#include "base/buffer.h"
#include "fuzz.h"
#include "wire/sync.h"

enum { BYTES_MAX = 32 << 20 };

static void check_request(struct slice text, struct arena *arena, struct buffer *first,
                          struct buffer *second)
{
    struct sync_request value;
    struct fault fault = {0};
    if (sync_request_decode(text, arena, &value, &fault) != ERR_OK)
        return;
    ASSERT(sync_request_encode(&value, first) == ERR_OK);
    ASSERT(sync_request_decode(buffer_slice(first), arena, &value, &fault) == ERR_OK);
    ASSERT(sync_request_encode(&value, second) == ERR_OK);
}

static void check_reply(struct slice text, struct arena *arena, struct buffer *first,
                        struct buffer *second)
{
    struct sync_reply value;
    struct fault fault = {0};
    if (sync_reply_decode(text, arena, &value, &fault) != ERR_OK)
        return;
    ASSERT(sync_reply_encode(&value, first) == ERR_OK);
    ASSERT(sync_reply_decode(buffer_slice(first), arena, &value, &fault) == ERR_OK);
    ASSERT(sync_reply_encode(&value, second) == ERR_OK);
}

static void check_order(struct slice text, struct arena *arena, struct buffer *first,
                        struct buffer *second)
{
    struct attempt_order value;
    struct fault fault = {0};
    if (attempt_order_decode(text, arena, &value, &fault) != ERR_OK)
        return;
    ASSERT(attempt_order_encode(&value, first) == ERR_OK);
    ASSERT(attempt_order_decode(buffer_slice(first), arena, &value, &fault) == ERR_OK);
    ASSERT(attempt_order_encode(&value, second) == ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct buffer first, second;
    if (size == 0)
        return 0;
    struct slice text = slice_make(data + 1, size - 1);
    arena_init(&arena, BYTES_MAX);
    buffer_init(&first, BYTES_MAX);
    buffer_init(&second, BYTES_MAX);
    if (data[0] == 'q')
        check_request(text, &arena, &first, &second);
    else if (data[0] == 'r')
        check_reply(text, &arena, &first, &second);
    else
        check_order(text, &arena, &first, &second);
    ASSERT(slice_is_equal(buffer_slice(&first), buffer_slice(&second)));
    buffer_deinit(&first);
    buffer_deinit(&second);
    arena_deinit(&arena);
    return 0;
}
