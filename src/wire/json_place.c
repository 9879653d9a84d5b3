/* Where a value stands: found again only when somebody has to be told. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "wire/json_document.h"

struct json_place json_place_of_offset(struct slice text, size_t offset)
{
    struct json_place place = {1, 1, (uint32_t)offset, 0};
    if (offset > text.len)
        offset = text.len;
    for (size_t i = 0; i < offset; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '\n') {
            place.line++;
            place.column = 1;
        } else if ((c & 0xC0) != 0x80) {
            place.column++; /* a character, not each of its bytes */
        }
    }
    return place;
}

/* ---- counting tokens; the text is known to be well-formed ---- */

static size_t string_end(const char *text, size_t at)
{
    for (at++; text[at] != '"'; at++) {
        if (text[at] == '\\')
            at++;
    }
    return at + 1;
}

static bool is_plain(char c)
{
    return c != '\0' && strchr(" \t\r\n,:[]{}\"", c) == NULL;
}

static size_t scalar_end(const char *text, size_t at)
{
    if (text[at] == '"')
        return string_end(text, at);
    while (is_plain(text[at]))
        at++;
    return at;
}

static size_t container_end(const char *text, size_t at)
{
    size_t depth = 0;
    for (;;) {
        char c = text[at];
        ASSERT(c != '\0');
        if (c == '"') {
            at = string_end(text, at);
            continue;
        }
        at++;
        if (c == '[' || c == '{')
            depth++;
        else if ((c == ']' || c == '}') && --depth == 0)
            return at;
    }
}

static size_t skip_between(const char *text, size_t at)
{
    while (text[at] != '\0' && strchr(" \t\r\n,:]}", text[at]) != NULL)
        at++;
    return at;
}

size_t json_token_offset(const char *text, struct json_token_walk *walk, size_t index)
{
    ASSERT(index >= walk->index);
    size_t at = skip_between(text, walk->offset);
    for (; walk->index < index; walk->index++) {
        ASSERT(text[at] != '\0');
        bool is_container = text[at] == '[' || text[at] == '{';
        at = skip_between(text, is_container ? at + 1 : scalar_end(text, at));
    }
    walk->offset = at;
    return at;
}

struct slice json_real_text(struct json_value value)
{
    const char *text = value.document->text;
    size_t start = unsafe_yyjson_get_len((void *)(uintptr_t)value.node);
    size_t end = start;
    while (text[end] != '\0' && strchr("0123456789+-.eE", text[end]) != NULL)
        end++;
    return slice_make(text + start, end - start);
}

struct json_place json_place_of_index(const struct json_document *document, size_t index)
{
    if (document->places != NULL) {
        ASSERT(index < document->place_count);
        return document->places[index];
    }
    struct json_token_walk walk = {0, 0};
    size_t at = json_token_offset(document->text, &walk, index);
    bool is_container = document->text[at] == '[' || document->text[at] == '{';
    size_t end = is_container ? container_end(document->text, at) : scalar_end(document->text, at);
    struct json_place place =
        json_place_of_offset(slice_make(document->text, document->text_len), at);
    place.len = (uint32_t)(end - at);
    return place;
}

static size_t index_of(struct json_value value)
{
    const yyjson_val *root = value.document->values->root;
    return (size_t)((const yyjson_val *)value.node - root);
}

struct slice json_source(struct json_value value)
{
    if (value.node == NULL)
        return (struct slice){NULL, 0};
    struct json_place place = json_place_of_index(value.document, index_of(value));
    return slice_make(value.document->text + place.offset, place.len);
}

/* ---- paths ---- */

const char *json_quote(struct slice bytes, char out[JSON_QUOTE_MAX])
{
    size_t at = 0;
    const size_t room = JSON_QUOTE_MAX - sizeof("...");
    while (bytes.len > 0) {
        size_t len = slice_utf8_len(bytes);
        bool is_odd = len == 0 || (unsigned char)bytes.data[0] < 0x20 || bytes.data[0] == 0x7F;
        size_t step = len == 0 ? 1 : len;
        size_t write_len = is_odd ? 1 : len;
        if (at + write_len > room) {
            memcpy(out + at, "...", 3);
            at += 3;
            break;
        }
        if (is_odd)
            out[at] = '?';
        else
            memcpy(out + at, bytes.data, len);
        at += write_len;
        bytes.data += step;
        bytes.len -= step;
    }
    out[at] = '\0';
    return out;
}

static void append_part(char *out, size_t cap, size_t *len, const char *text)
{
    size_t text_len = strlen(text);
    if (text_len > cap - 1 - *len)
        text_len = cap - 1 - *len;
    memcpy(out + *len, text, text_len);
    *len += text_len;
    out[*len] = '\0';
}

/* Appends the step from `container` to its child that is or holds `node`, and gives that child. */
static const yyjson_val *append_step(const yyjson_val *container, const yyjson_val *node, char *out,
                                     size_t cap, size_t *len)
{
    bool is_object = unsafe_yyjson_get_type((void *)(uintptr_t)container) == YYJSON_TYPE_OBJ;
    const yyjson_val *child = container + 1;
    for (size_t index = 0;; index++) {
        const yyjson_val *key = child;
        if (is_object)
            child++;
        const yyjson_val *after = unsafe_yyjson_get_next((yyjson_val *)(uintptr_t)child);
        if (node >= after) {
            child = after;
            continue;
        }
        char part[JSON_QUOTE_MAX];
        if (is_object) {
            size_t key_len = unsafe_yyjson_get_len((void *)(uintptr_t)key);
            append_part(out, cap, len, *len == 0 ? "" : ".");
            append_part(out, cap, len, json_quote(slice_make(key->uni.str, key_len), part));
        } else {
            snprintf(part, sizeof(part), "[%zu]", index);
            append_part(out, cap, len, part);
        }
        return node == key ? node : child;
    }
}

void json_path_of_node(const struct json_document *document, const yyjson_val *node, char *out,
                       size_t cap)
{
    size_t len = 0;
    out[0] = '\0';
    const yyjson_val *at = document->values->root;
    while (at != node)
        at = append_step(at, node, out, cap, &len);
}

/* ---- refusing ---- */

static void set_place(struct fault *fault, struct json_value value)
{
    struct json_place place = json_place_of_index(value.document, index_of(value));
    fault->line = place.line;
    fault->column = place.column;
}

enum err json_refuse(struct json_value value, struct fault *fault, enum err code,
                     const char *format, ...)
{
    if (fault == NULL)
        return code;
    char message[FAULT_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    char path[FAULT_FIELD_MAX] = "";
    if (value.node != NULL)
        json_path_of_node(value.document, value.node, path, sizeof(path));
    fault_set(fault, code, path, "%s", message);
    if (value.node != NULL)
        set_place(fault, value);
    return code;
}

enum err json_refuse_member(struct json_value object, const char *name, struct fault *fault,
                            enum err code, const char *format, ...)
{
    if (fault == NULL)
        return code;
    char message[FAULT_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    struct json_value member = json_object_get(object, name);
    if (member.node != NULL)
        return json_refuse(member, fault, code, "%s", message);
    json_refuse(object, fault, code, "%s", message);
    char path[2 * FAULT_FIELD_MAX];
    snprintf(path, sizeof(path), "%s%s%s", fault->field, fault->field[0] == '\0' ? "" : ".", name);
    uint32_t line = fault->line;
    uint32_t column = fault->column;
    fault_set(fault, code, path, "%s", message);
    fault->line = line;
    fault->column = column;
    return code;
}
