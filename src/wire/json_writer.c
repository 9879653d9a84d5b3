#include "wire/json_writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "wire/json_document.h"

void json_writer_init(struct json_writer *writer, struct buffer *out)
{
    *writer = (struct json_writer){.out = out};
}

void json_writer_init_indented(struct json_writer *writer, struct buffer *out, uint8_t spaces)
{
    *writer = (struct json_writer){.out = out, .indent = spaces};
}

enum err json_writer_finish(struct json_writer *writer)
{
    ASSERT(writer->is_done && writer->depth == 0);
    return buffer_status(writer->out);
}

/* ---- structure ---- */

static uint64_t level_bit(const struct json_writer *writer)
{
    return (uint64_t)1 << (writer->depth - 1);
}

static bool is_in_object(const struct json_writer *writer)
{
    return writer->depth > 0 && (writer->in_object & level_bit(writer)) != 0;
}

static void start_line(struct json_writer *writer)
{
    if (writer->indent == 0)
        return;
    buffer_append_char(writer->out, '\n');
    for (uint32_t i = 0; i < writer->depth * writer->indent; i++)
        buffer_append_char(writer->out, ' ');
}

/* Before a key, or an element of an array. */
static void start_member(struct json_writer *writer)
{
    if ((writer->has_member & level_bit(writer)) != 0)
        buffer_append_char(writer->out, ',');
    writer->has_member |= level_bit(writer);
    start_line(writer);
}

static void start_value(struct json_writer *writer)
{
    ASSERT(!writer->is_done);
    if (writer->depth == 0)
        return;
    if (is_in_object(writer)) {
        ASSERT(writer->after_key);
        writer->after_key = false;
        return;
    }
    start_member(writer);
}

static void end_value(struct json_writer *writer)
{
    if (writer->depth == 0)
        writer->is_done = true;
}

static void begin(struct json_writer *writer, char bracket, bool is_object)
{
    start_value(writer);
    ASSERT(writer->depth < JSON_WRITER_DEPTH_MAX);
    buffer_append_char(writer->out, bracket);
    writer->depth++;
    uint64_t bit = level_bit(writer);
    writer->has_member &= ~bit;
    writer->in_object = is_object ? writer->in_object | bit : writer->in_object & ~bit;
}

static void end(struct json_writer *writer, char bracket, bool is_object)
{
    ASSERT(writer->depth > 0 && !writer->after_key);
    ASSERT(is_in_object(writer) == is_object);
    bool has_member = (writer->has_member & level_bit(writer)) != 0;
    writer->depth--;
    if (has_member)
        start_line(writer);
    buffer_append_char(writer->out, bracket);
    end_value(writer);
}

void json_begin_object(struct json_writer *writer)
{
    begin(writer, '{', true);
}

void json_end_object(struct json_writer *writer)
{
    end(writer, '}', true);
}

void json_begin_array(struct json_writer *writer)
{
    begin(writer, '[', false);
}

void json_end_array(struct json_writer *writer)
{
    end(writer, ']', false);
}

/* ---- texts ---- */

static void append_escape(struct buffer *out, unsigned char c)
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof(short_forms); i += 2) {
        if ((unsigned char)short_forms[i] == c) {
            buffer_append_char(out, '\\');
            buffer_append_char(out, short_forms[i + 1]);
            return;
        }
    }
    buffer_printf(out, "\\u%04x", c);
}

static bool is_escaped(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

static void append_valid(struct buffer *out, struct slice text)
{
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_escaped((unsigned char)text.data[i]))
            continue;
        buffer_append_bytes(out, text.data + from, i - from);
        append_escape(out, (unsigned char)text.data[i]);
        from = i + 1;
    }
    if (text.len > from)
        buffer_append_bytes(out, text.data + from, text.len - from);
}

static void append_mended(struct buffer *out, struct slice text)
{
    while (text.len > 0) {
        size_t len = slice_utf8_len(text);
        if (len == 0)
            buffer_append_text(out, "\xEF\xBF\xBD"); /* U+FFFD */
        else
            append_valid(out, slice_make(text.data, len));
        size_t step = len == 0 ? 1 : len;
        text.data += step;
        text.len -= step;
    }
}

static void append_quoted(struct buffer *out, struct slice text)
{
    buffer_append_char(out, '"');
    if (slice_is_utf8(text))
        append_valid(out, text);
    else
        append_mended(out, text);
    buffer_append_char(out, '"');
}

void json_key_slice(struct json_writer *writer, struct slice name)
{
    ASSERT(is_in_object(writer) && !writer->after_key);
    start_member(writer);
    append_quoted(writer->out, name);
    buffer_append_char(writer->out, ':');
    if (writer->indent > 0)
        buffer_append_char(writer->out, ' ');
    writer->after_key = true;
}

void json_key(struct json_writer *writer, const char *name)
{
    json_key_slice(writer, slice_of(name));
}

void json_string(struct json_writer *writer, struct slice text)
{
    start_value(writer);
    append_quoted(writer->out, text);
    end_value(writer);
}

void json_raw(struct json_writer *writer, struct slice json)
{
    start_value(writer);
    buffer_append(writer->out, json);
    end_value(writer);
}

void json_text(struct json_writer *writer, const char *text)
{
    if (text == NULL)
        json_null(writer);
    else
        json_string(writer, slice_of(text));
}

/* ---- scalars ---- */

void json_u64(struct json_writer *writer, uint64_t value)
{
    start_value(writer);
    buffer_append_u64(writer->out, value);
    end_value(writer);
}

void json_i64(struct json_writer *writer, int64_t value)
{
    start_value(writer);
    buffer_append_i64(writer->out, value);
    end_value(writer);
}

void json_f64(struct json_writer *writer, double value)
{
    if (!isfinite(value)) {
        json_null(writer);
        return;
    }
    char text[40];
    /* Fewer digits first: 0.1 and not 0.10000000000000001. 17 always read back the same. */
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    /* It stays a real number when read again. */
    if (strpbrk(text, ".e") == NULL) {
        size_t len = strlen(text);
        memcpy(text + len, ".0", sizeof(".0"));
    }
    json_raw(writer, slice_of(text));
}

void json_bool(struct json_writer *writer, bool value)
{
    json_raw(writer, slice_of(value ? "true" : "false"));
}

void json_null(struct json_writer *writer)
{
    json_raw(writer, SLICE_LITERAL("null"));
}

/* ---- texts with a meaning ---- */

void json_money(struct json_writer *writer, struct money amount)
{
    char text[MONEY_TEXT_MAX];
    money_format(amount, text);
    json_text(writer, text);
}

void json_span(struct json_writer *writer, struct span_ms span)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    size_t unit = 0;
    while (span.ms % units[unit].ms != 0)
        unit++;
    if (span.ms == 0)
        unit = 2; /* "0s" */
    char text[TIME_TEXT_MAX];
    snprintf(text, sizeof(text), "%lld%s", (long long)(span.ms / units[unit].ms), units[unit].name);
    json_text(writer, text);
}

void json_wall(struct json_writer *writer, struct wall_us at)
{
    char text[TIME_TEXT_MAX];
    wall_format(at, text);
    json_text(writer, text);
}

void json_id(struct json_writer *writer, struct id id, const char *prefix)
{
    if (id_is_none(id)) {
        json_null(writer);
        return;
    }
    char text[ID_TEXT_MAX];
    id_format(id, prefix, text);
    json_text(writer, text);
}

/* ---- values that were read ---- */

static void copy_scalar(struct json_writer *writer, const yyjson_val *node)
{
    void *value = (void *)(uintptr_t)node;
    switch (unsafe_yyjson_get_type(value)) {
    case YYJSON_TYPE_BOOL:
        json_bool(writer, unsafe_yyjson_get_bool(value));
        break;
    case YYJSON_TYPE_NUM:
        if (unsafe_yyjson_get_subtype(value) == YYJSON_SUBTYPE_UINT)
            json_u64(writer, node->uni.u64);
        else if (unsafe_yyjson_get_subtype(value) == YYJSON_SUBTYPE_SINT)
            json_i64(writer, node->uni.i64);
        else
            json_f64(writer, node->uni.f64);
        break;
    case YYJSON_TYPE_STR:
        json_string(writer, slice_make(node->uni.str, unsafe_yyjson_get_len(value)));
        break;
    default:
        json_null(writer);
        break;
    }
}

static void copy_end(struct json_writer *writer)
{
    if (is_in_object(writer))
        json_end_object(writer);
    else
        json_end_array(writer);
}

void json_copy(struct json_writer *writer, struct json_value value)
{
    const yyjson_val *ends[JSON_DEPTH_MAX];
    size_t depth = 0;
    const yyjson_val *node = value.node;
    if (node == NULL) {
        json_null(writer);
        return;
    }
    const yyjson_val *past = unsafe_yyjson_get_next((yyjson_val *)(uintptr_t)node);

    while (node < past) {
        for (; depth > 0 && node >= ends[depth - 1]; depth--)
            copy_end(writer);
        /* In an object keys and values take turns. */
        bool is_member = depth > 0 && is_in_object(writer);
        bool is_key = is_member && !writer->after_key;
        if (is_key) {
            json_key_slice(
                writer, slice_make(node->uni.str, unsafe_yyjson_get_len((void *)(uintptr_t)node)));
        } else if (unsafe_yyjson_is_ctn((void *)(uintptr_t)node)) {
            bool is_object = unsafe_yyjson_get_type((void *)(uintptr_t)node) == YYJSON_TYPE_OBJ;
            begin(writer, is_object ? '{' : '[', is_object);
            ASSERT(depth < JSON_DEPTH_MAX);
            ends[depth++] = unsafe_yyjson_get_next((yyjson_val *)(uintptr_t)node);
        } else {
            copy_scalar(writer, node);
        }
        node++;
    }
    for (; depth > 0; depth--)
        copy_end(writer);
}

/* ---- key and value ---- */

void json_put_string(struct json_writer *writer, const char *name, struct slice text)
{
    json_key(writer, name);
    json_string(writer, text);
}

void json_put_text(struct json_writer *writer, const char *name, const char *text)
{
    json_key(writer, name);
    json_text(writer, text);
}

void json_put_u64(struct json_writer *writer, const char *name, uint64_t value)
{
    json_key(writer, name);
    json_u64(writer, value);
}

void json_put_i64(struct json_writer *writer, const char *name, int64_t value)
{
    json_key(writer, name);
    json_i64(writer, value);
}

void json_put_f64(struct json_writer *writer, const char *name, double value)
{
    json_key(writer, name);
    json_f64(writer, value);
}

void json_put_bool(struct json_writer *writer, const char *name, bool value)
{
    json_key(writer, name);
    json_bool(writer, value);
}

void json_put_null(struct json_writer *writer, const char *name)
{
    json_key(writer, name);
    json_null(writer);
}

void json_put_money(struct json_writer *writer, const char *name, struct money amount)
{
    json_key(writer, name);
    json_money(writer, amount);
}

void json_put_span(struct json_writer *writer, const char *name, struct span_ms span)
{
    json_key(writer, name);
    json_span(writer, span);
}

void json_put_wall(struct json_writer *writer, const char *name, struct wall_us at)
{
    json_key(writer, name);
    json_wall(writer, at);
}

void json_put_id(struct json_writer *writer, const char *name, struct id id, const char *prefix)
{
    json_key(writer, name);
    json_id(writer, id, prefix);
}
