/* The writing half of value.h, and finding where a fault stands. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/units.h"
#include "wire/value.h"

void value_put_text(struct json_writer *writer, const char *name, struct slice text)
{
    if (text.len > 0)
        json_put_string(writer, name, text);
}

void value_put_span(struct json_writer *writer, const char *name, struct span_ms span)
{
    if (span.ms != 0)
        json_put_span(writer, name, span);
}

void value_put_wall(struct json_writer *writer, const char *name, struct wall_us at)
{
    if (at.us != 0)
        json_put_wall(writer, name, at);
}

void value_put_id(struct json_writer *writer, const char *name, struct id id, const char *prefix)
{
    if (!id_is_none(id))
        json_put_id(writer, name, id, prefix);
}

void value_put_money(struct json_writer *writer, const char *name, struct maybe_money amount)
{
    if (amount.has)
        json_put_money(writer, name, amount.value);
}

void value_put_maybe_u64(struct json_writer *writer, const char *name, struct maybe_u64 number)
{
    if (number.has)
        json_put_u64(writer, name, number.value);
}

void value_put_list(struct json_writer *writer, const char *name, const struct text_list *list)
{
    if (list->count == 0)
        return;
    json_key(writer, name);
    json_begin_array(writer);
    for (uint32_t i = 0; i < list->count; i++)
        json_string(writer, list->items[i]);
    json_end_array(writer);
}

void value_put_flag(struct json_writer *writer, const char *name, bool flag)
{
    if (flag)
        json_put_bool(writer, name, true);
}

void value_put_size(struct json_writer *writer, const char *name, uint64_t bytes)
{
    char text[UNITS_TEXT_MAX];

    units_format_bytes(bytes, text);
    json_put_text(writer, name, text);
}

void value_put_cpus(struct json_writer *writer, const char *name, uint64_t milli)
{
    char text[UNITS_TEXT_MAX];

    units_format_millicpus(milli, text);
    json_key(writer, name);
    json_raw(writer, slice_of(text)); /* a plain decimal, which is a JSON number */
}

void value_put_decimal(struct json_writer *writer, const char *name, int64_t value,
                       unsigned decimals)
{
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value, unit = 1;
    char text[48];
    size_t len;

    ASSERT(decimals <= 6);
    for (unsigned i = 0; i < decimals; i++)
        unit *= 10;
    len = (size_t)snprintf(text, sizeof(text), "%s%llu", value < 0 ? "-" : "",
                           (unsigned long long)(size / unit));
    if (size % unit != 0) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, ".%0*llu", (int)decimals,
                                (unsigned long long)(size % unit));
        while (text[len - 1] == '0')
            len--;
    }
    json_key(writer, name);
    json_raw(writer, slice_make(text, len));
}

void value_put_accelerators(struct json_writer *writer, struct slice model, uint32_t count)
{
    if (count == 0)
        return;
    json_key(writer, "accelerators");
    if (model.len == 0) {
        json_u64(writer, count);
        return;
    }
    json_begin_object(writer);
    json_key_slice(writer, model);
    json_u64(writer, count);
    json_end_object(writer);
}

/* One step of a path at `*at`: the member or element it names; missing when there is none. The rest
 * of the path moves on. A key may hold dots itself, so the longest key that is there wins. */
static struct json_value step(struct json_value value, struct slice *path)
{
    struct json_value missing = {0}, found;
    struct slice digits, rest;
    uint64_t index;

    if (path->data[0] == '[') {
        if (!slice_cut(slice_make(path->data + 1, path->len - 1), ']', &digits, &rest) ||
            slice_parse_u64(digits, &index) != ERR_OK || index >= json_count(value))
            return missing;
        *path = rest;
        return json_array_at(value, (size_t)index);
    }
    for (size_t len = path->len; len > 0; len--) {
        if (len < path->len && path->data[len] != '.' && path->data[len] != '[')
            continue;
        found = json_object_find(value, slice_make(path->data, len));
        if (json_is_missing(found))
            continue;
        *path = slice_make(path->data + len, path->len - len);
        return found;
    }
    return missing;
}

enum err value_locate(struct json_value root, enum err err, struct fault *fault)
{
    struct json_value at = root;
    struct slice path, whole;
    struct fault found;

    if (err == ERR_OK || fault == NULL || fault->line != 0)
        return err;
    whole = slice_of(fault->field);
    path = whole;
    while (path.len > 0) {
        struct json_value next;
        if (path.data[0] == '.')
            path = slice_make(path.data + 1, path.len - 1);
        next = path.len == 0 ? (struct json_value){0} : step(at, &path);
        if (json_is_missing(next))
            break;
        at = next;
    }
    if (json_refuse(at, &found, err, "%s", fault->message) != err)
        return err;
    fault->line = found.line;
    fault->column = found.column;
    if (path.len == 0)
        memcpy(fault->field, found.field, sizeof(fault->field));
    return err;
}
