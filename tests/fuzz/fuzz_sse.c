/* Any stream, whole and in pieces, gives the same events; events that are written again read back
 * the same. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "fuzz.h"
#include "wire/sse.h"

enum { EVENT_BYTES_MAX = 500 };

static void append_event(struct buffer *story, const struct sse_event *event)
{
    buffer_printf(story, "(%d:%zu:", event->id.data != NULL, event->id.len);
    buffer_append(story, event->id);
    buffer_printf(story, "|%zu:", event->event.len);
    buffer_append(story, event->event);
    buffer_printf(story, "|%zu:", event->data.len);
    buffer_append(story, event->data);
    buffer_printf(story, "|%lld)", (long long)event->retry_ms);
}

static enum err read_all(struct slice input, size_t step, struct buffer *story,
                         struct buffer *rewritten, bool *out_is_exact)
{
    bool is_exact = true;
    struct sse_reader reader;
    enum err err = ERR_OK;
    sse_reader_init(&reader, EVENT_BYTES_MAX);
    while (input.len > 0 && err == ERR_OK) {
        size_t used;
        bool has_event;
        struct sse_event event;
        size_t len = input.len < step ? input.len : step;
        char *piece = malloc(len);
        ASSERT(piece != NULL);
        memcpy(piece, input.data, len);
        err = sse_read(&reader, slice_make(piece, len), &used, &has_event, &event);
        free(piece);
        if (err != ERR_OK)
            break;
        ASSERT(used > 0 && used <= len);
        input.data += used;
        input.len -= used;
        if (!has_event)
            continue;
        append_event(story, &event);
        /* A name may come with a NUL, but is not written with one. */
        bool has_nul = event.event.len > 0 && memchr(event.event.data, 0, event.event.len) != NULL;
        if (has_nul)
            event.event = (struct slice){NULL, 0};
        if (rewritten != NULL)
            ASSERT(sse_write(rewritten, &event) == ERR_OK);
        is_exact = is_exact && !has_nul;
    }
    sse_reader_deinit(&reader);
    *out_is_exact = is_exact;
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    size_t step = 1 + take_last(&input) % 40;
    struct buffer whole;
    struct buffer pieces;
    struct buffer written;
    struct buffer again;
    buffer_init(&whole, 1u << 22);
    buffer_init(&pieces, 1u << 22);
    buffer_init(&written, 1u << 22);
    buffer_init(&again, 1u << 22);
    bool is_exact;
    bool ignored;
    enum err err = read_all(input, SIZE_MAX, &whole, &written, &is_exact);
    ASSERT(err == ERR_OK || err == ERR_LIMIT);
    ASSERT(read_all(input, step, &pieces, NULL, &ignored) == err);
    ASSERT(slice_is_equal(buffer_slice(&whole), buffer_slice(&pieces)));
    if (read_all(buffer_slice(&written), step, &again, NULL, &ignored) == ERR_OK && is_exact)
        ASSERT(slice_is_equal(buffer_slice(&again), buffer_slice(&whole)));
    buffer_deinit(&whole);
    buffer_deinit(&pieces);
    buffer_deinit(&written);
    buffer_deinit(&again);
    return 0;
}
