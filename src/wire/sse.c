#include "wire/sse.h"

#include <string.h>

/* ---- writing ---- */

static bool has_any(struct slice text, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (text.len > 0 && memchr(text.data, bytes[i], text.len) != NULL)
            return true;
    }
    return false;
}

static void write_field(struct buffer *out, const char *name, struct slice value)
{
    buffer_append_text(out, name);
    buffer_append_text(out, ": ");
    buffer_append(out, value);
    buffer_append_char(out, '\n');
}

/* Length of the line at the front; *out_step adds its ending. */
static size_t line_len(struct slice text, size_t *out_step)
{
    size_t len = 0;
    while (len < text.len && text.data[len] != '\n' && text.data[len] != '\r')
        len++;
    size_t ending = len == text.len ? 0 : 1;
    if (ending == 1 && text.data[len] == '\r' && len + 1 < text.len && text.data[len + 1] == '\n')
        ending = 2;
    *out_step = len + ending;
    return len;
}

static void write_data(struct buffer *out, struct slice data)
{
    for (;;) {
        size_t step;
        size_t len = line_len(data, &step);
        write_field(out, "data", slice_make(data.data, len));
        if (step == len)
            return; /* no ending: the last line */
        data.data += step;
        data.len -= step;
    }
}

enum err sse_write(struct buffer *out, const struct sse_event *event)
{
    if (has_any(event->id, "\r\n\0", 3) || has_any(event->event, "\r\n\0", 3))
        return ERR_INVALID;
    if (event->id.data != NULL)
        write_field(out, "id", event->id);
    if (event->event.data != NULL)
        write_field(out, "event", event->event);
    if (event->retry_ms >= 0) {
        buffer_append_text(out, "retry: ");
        buffer_append_i64(out, event->retry_ms);
        buffer_append_char(out, '\n');
    }
    if (event->data.data != NULL)
        write_data(out, event->data);
    buffer_append_char(out, '\n');
    return ERR_OK;
}

void sse_write_comment(struct buffer *out, struct slice text)
{
    buffer_append_text(out, ": ");
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        buffer_append_char(out, c == '\r' || c == '\n' ? ' ' : c);
    }
    buffer_append_text(out, "\n\n");
}

/* ---- reading ---- */

void sse_reader_init(struct sse_reader *reader, size_t event_bytes_max)
{
    *reader = (struct sse_reader){.retry_ms = -1};
    buffer_init(&reader->line, event_bytes_max);
    buffer_init(&reader->data, event_bytes_max);
    buffer_init(&reader->name, event_bytes_max);
    buffer_init(&reader->last_id, event_bytes_max);
}

void sse_reader_deinit(struct sse_reader *reader)
{
    if (reader == NULL)
        return;
    buffer_deinit(&reader->line);
    buffer_deinit(&reader->data);
    buffer_deinit(&reader->name);
    buffer_deinit(&reader->last_id);
}

static void set(struct buffer *buffer, struct slice value)
{
    buffer_reset(buffer);
    buffer_append(buffer, value);
}

static void take_field(struct sse_reader *reader, struct slice name, struct slice value)
{
    if (slice_is(name, "data")) {
        if (reader->has_data)
            buffer_append_char(&reader->data, '\n');
        buffer_append(&reader->data, value);
        reader->has_data = true;
    } else if (slice_is(name, "event")) {
        set(&reader->name, value);
    } else if (slice_is(name, "id")) {
        if (has_any(value, "\0", 1))
            return;
        set(&reader->last_id, value);
        reader->has_id = true;
    } else if (slice_is(name, "retry")) {
        int64_t retry_ms;
        if (value.len > 0 && value.data[0] != '-' && slice_parse_i64(value, &retry_ms) == ERR_OK)
            reader->retry_ms = retry_ms;
    }
}

/* True: an event is complete. */
static bool take_line(struct sse_reader *reader, struct slice line)
{
    if (line.len == 0) {
        if (!reader->has_data)
            buffer_reset(&reader->name);
        return reader->has_data;
    }
    struct slice name = line;
    struct slice value = {"", 0};
    if (!slice_cut(line, ':', &name, &value) || value.len == 0 || value.data[0] != ' ') {
        take_field(reader, name, value);
        return false;
    }
    take_field(reader, name, slice_make(value.data + 1, value.len - 1));
    return false;
}

static void drop_byte_order_mark(struct sse_reader *reader)
{
    const struct slice mark = SLICE_LITERAL("\xEF\xBB\xBF");
    if (!reader->is_started && slice_has_prefix(buffer_slice(&reader->line), mark))
        buffer_drop_front(&reader->line, mark.len);
    reader->is_started = true;
}

static void forget_event(struct sse_reader *reader)
{
    buffer_reset(&reader->data);
    buffer_reset(&reader->name);
    reader->has_data = false;
    reader->is_given = false;
}

static void give(struct sse_reader *reader, struct sse_event *out_event)
{
    struct slice none = {NULL, 0};
    struct slice id = buffer_slice(&reader->last_id);
    struct slice data = buffer_slice(&reader->data);
    out_event->id = reader->has_id ? slice_make(id.len == 0 ? "" : id.data, id.len) : none;
    out_event->event = reader->name.len == 0 ? none : buffer_slice(&reader->name);
    out_event->data = slice_make(data.len == 0 ? "" : data.data, data.len);
    out_event->retry_ms = reader->retry_ms;
    reader->is_given = true;
}

static enum err status_of(const struct sse_reader *reader)
{
    const struct buffer *const buffers[] = {&reader->line, &reader->data, &reader->name,
                                            &reader->last_id};
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
        enum err err = buffer_status(buffers[i]);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* Uses one line of input, or what there is of it. True: the line is whole and stands in
 * reader->line. */
static bool collect_line(struct sse_reader *reader, struct slice input, size_t *used)
{
    if (reader->skip_lf && *used < input.len) {
        *used += input.data[*used] == '\n' ? 1 : 0;
        reader->skip_lf = false;
    }
    size_t start = *used;
    size_t end = start;
    while (end < input.len && input.data[end] != '\n' && input.data[end] != '\r')
        end++;
    if (end > start)
        buffer_append_bytes(&reader->line, input.data + start, end - start);
    *used = end;
    if (end == input.len)
        return false;
    reader->skip_lf = input.data[end] == '\r';
    *used = end + 1;
    return true;
}

enum err sse_read(struct sse_reader *reader, struct slice input, size_t *out_used,
                  bool *out_has_event, struct sse_event *out_event)
{
    size_t used = 0;
    bool is_complete = false;
    if (reader->error != ERR_OK)
        return reader->error;
    if (reader->is_given)
        forget_event(reader);
    while (!is_complete && collect_line(reader, input, &used)) {
        reader->error = status_of(reader);
        if (reader->error != ERR_OK)
            return reader->error;
        drop_byte_order_mark(reader);
        is_complete = take_line(reader, buffer_slice(&reader->line));
        buffer_reset(&reader->line);
    }
    reader->error = status_of(reader);
    if (reader->error != ERR_OK)
        return reader->error;
    if (is_complete)
        give(reader, out_event);
    *out_used = used;
    *out_has_event = is_complete;
    return ERR_OK;
}
