#include "wire/value.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/units.h"

void value_begin(struct value_reader *reader, struct json_value value, const char *const known[],
                 size_t known_count, struct arena *arena, struct fault *fault)
{
    *reader = (struct value_reader){.object = value, .arena = arena, .fault = fault};
    if (known != NULL)
        reader->err = json_object_check_keys(value, known, known_count, fault);
    else
        reader->err = json_to_object(value, &reader->object, fault);
}

struct json_value value_member(struct value_reader *reader, const char *name)
{
    struct json_value value = {0};

    if (reader->err == ERR_OK)
        value = json_object_get(reader->object, name);
    return json_is_null(value) ? (struct json_value){0} : value;
}

void value_fail(struct value_reader *reader, enum err err)
{
    if (reader->err == ERR_OK)
        reader->err = err;
}

void value_refuse(struct value_reader *reader, const char *name, enum err code, const char *message)
{
    if (reader->err != ERR_OK)
        return;
    struct json_value member = json_object_get(reader->object, name);
    if (json_is_missing(member))
        reader->err = json_refuse_member(reader->object, name, reader->fault, code, "%s", message);
    else
        reader->err = json_refuse(member, reader->fault, code, "%s", message);
}

enum err value_copy(struct arena *arena, struct slice text, struct slice *out, struct fault *fault)
{
    struct slice copy = {"", 0};

    if (text.len > 0) {
        copy = arena_copy(arena, text);
        if (copy.data == NULL)
            return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for the texts");
    }
    *out = copy;
    return ERR_OK;
}

enum err value_text(struct json_value value, size_t len_max, struct arena *arena, struct slice *out,
                    struct fault *fault)
{
    struct slice text;
    enum err err = json_to_text(value, len_max, arena, &text, fault);

    if (err == ERR_OK)
        *out = text.len == 0 ? (struct slice){"", 0} : text;
    return err;
}

void *value_room(struct value_reader *reader, size_t count, size_t item_size)
{
    void *room;

    if (reader->err != ERR_OK || count == 0)
        return NULL;
    room = arena_array(reader->arena, count, item_size);
    if (room == NULL)
        reader->err = fault_set(reader->fault, ERR_NO_MEMORY, NULL, "no memory for the items");
    return room;
}

static void keep_string(struct value_reader *reader, struct json_value value, size_t len_max,
                        struct slice *out)
{
    struct slice text;

    if (reader->err != ERR_OK)
        return;
    reader->err = json_to_string(value, len_max, &text, reader->fault);
    if (reader->err == ERR_OK)
        reader->err = value_copy(reader->arena, text, out, reader->fault);
}

void value_need_string(struct value_reader *reader, const char *name, size_t len_max,
                       struct slice *out)
{
    struct slice text;

    if (reader->err != ERR_OK)
        return;
    reader->err = json_get_string(reader->object, name, len_max, &text, reader->fault);
    if (reader->err == ERR_OK)
        reader->err = value_copy(reader->arena, text, out, reader->fault);
}

void value_opt_string(struct value_reader *reader, const char *name, size_t len_max,
                      struct slice *out)
{
    struct json_value value = value_member(reader, name);

    if (!json_is_missing(value))
        keep_string(reader, value, len_max, out);
}

void value_opt_text(struct value_reader *reader, const char *name, size_t len_max,
                    struct slice *out)
{
    struct json_value value = value_member(reader, name);

    if (json_is_missing(value))
        return;
    reader->err = value_text(value, len_max, reader->arena, out, reader->fault);
}

void value_need_u64(struct value_reader *reader, const char *name, uint64_t max, uint64_t *out)
{
    if (reader->err == ERR_OK)
        reader->err = json_get_u64(reader->object, name, 0, max, out, reader->fault);
}

void value_opt_u64(struct value_reader *reader, const char *name, uint64_t min, uint64_t max,
                   uint64_t *out)
{
    if (reader->err == ERR_OK)
        reader->err = json_opt_u64(reader->object, name, min, max, out, reader->fault);
}

void value_opt_u32(struct value_reader *reader, const char *name, uint32_t min, uint32_t max,
                   uint32_t *out)
{
    if (reader->err == ERR_OK)
        reader->err = json_opt_u32(reader->object, name, min, max, out, reader->fault);
}

void value_opt_i64(struct value_reader *reader, const char *name, int64_t min, int64_t max,
                   int64_t *out)
{
    if (reader->err == ERR_OK)
        reader->err = json_opt_i64(reader->object, name, min, max, out, reader->fault);
}

void value_opt_bool(struct value_reader *reader, const char *name, bool *out)
{
    if (reader->err == ERR_OK)
        reader->err = json_opt_bool(reader->object, name, out, reader->fault);
}

void value_need_id(struct value_reader *reader, const char *name, const char *prefix,
                   struct id *out)
{
    if (reader->err == ERR_OK)
        reader->err = json_get_id(reader->object, name, prefix, out, reader->fault);
    if (reader->err == ERR_OK &&
        id_is_none(*out)) /* all zero means none: it would not be written again */
        reader->err = json_refuse_member(reader->object, name, reader->fault, ERR_INVALID,
                                         "must not be the id that means none");
}

void value_opt_id(struct value_reader *reader, const char *name, const char *prefix, struct id *out)
{
    if (reader->err == ERR_OK)
        reader->err = json_opt_id(reader->object, name, prefix, out, reader->fault);
}

void value_opt_span(struct value_reader *reader, const char *name, struct span_ms *out)
{
    struct json_value value = value_member(reader, name);
    struct span_ms span;

    if (json_is_missing(value))
        return;
    reader->err = json_to_span(value, &span, reader->fault);
    if (reader->err == ERR_OK && span.ms == 0)
        reader->err = json_refuse(value, reader->fault, ERR_INVALID,
                                  "must be more than zero; leave it out instead");
    if (reader->err == ERR_OK)
        *out = span;
}

/* To the millisecond, as it is written again. */
void value_opt_wall(struct value_reader *reader, const char *name, struct wall_us *out)
{
    struct wall_us at = {0};

    if (json_is_missing(value_member(reader, name)))
        return;
    reader->err = json_opt_wall(reader->object, name, &at, reader->fault);
    if (reader->err == ERR_OK)
        out->us = at.us - ((at.us % 1000) + 1000) % 1000;
}

void value_need_choice(struct value_reader *reader, const char *name, const char *const words[],
                       size_t count, unsigned *out)
{
    if (reader->err == ERR_OK)
        reader->err = json_get_choice(reader->object, name, words, count, out, reader->fault);
}

void value_opt_choice(struct value_reader *reader, const char *name, const char *const words[],
                      size_t count, unsigned *out)
{
    if (reader->err == ERR_OK)
        reader->err = json_opt_choice(reader->object, name, words, count, out, reader->fault);
}

void value_opt_maybe_money(struct value_reader *reader, const char *name, struct maybe_money *out)
{
    struct json_value value = value_member(reader, name);
    struct money amount;

    if (json_is_missing(value))
        return;
    reader->err = json_to_money(value, &amount, reader->fault);
    if (reader->err == ERR_OK)
        *out = MAYBE_MONEY(amount);
}

void value_opt_maybe_u64(struct value_reader *reader, const char *name, uint64_t max,
                         struct maybe_u64 *out)
{
    struct json_value value = value_member(reader, name);
    uint64_t number;

    if (json_is_missing(value))
        return;
    reader->err = json_to_u64(value, 0, max, &number, reader->fault);
    if (reader->err == ERR_OK)
        *out = MAYBE_U64(number);
}

/* Money is a decimal of six places, which is what is wanted here too. */
void value_opt_decimal(struct value_reader *reader, const char *name, unsigned decimals,
                       bool *out_has, int64_t *out)
{
    struct json_value value = value_member(reader, name);
    struct money micros;
    struct slice text;
    int64_t unit = 1;

    ASSERT(decimals <= 6);
    if (json_is_missing(value))
        return;
    for (unsigned i = decimals; i < 6; i++)
        unit *= 10;
    reader->err = json_to_text(value, 64, reader->arena, &text, reader->fault);
    if (reader->err != ERR_OK)
        return;
    if (money_parse(text, &micros) != ERR_OK || micros.micros % unit != 0) {
        reader->err = json_refuse(value, reader->fault, ERR_INVALID,
                                  "must be a number with at most %u decimals", decimals);
        return;
    }
    *out = micros.micros / unit;
    *out_has = true;
}

static bool is_number(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((text.data[i] < '0' || text.data[i] > '9') && text.data[i] != '.')
            return false;
    return text.len > 0;
}

void value_opt_size(struct value_reader *reader, const char *name, uint64_t *out)
{
    struct json_value value = value_member(reader, name);
    char with_unit[64];
    struct slice text;
    enum err err;

    if (json_is_missing(value))
        return;
    reader->err = json_to_text(value, 40, reader->arena, &text, reader->fault);
    if (reader->err != ERR_OK)
        return;
    if (text.len > 1 && text.data[text.len - 1] == '+')
        text.len--;
    if (is_number(text)) {
        snprintf(with_unit, sizeof(with_unit), "%.*sGiB", SLICE_ARG(text));
        text = slice_of(with_unit);
    }
    err = units_parse_bytes(text, out);
    if (err != ERR_OK)
        reader->err =
            json_refuse(value, reader->fault, err,
                        err == ERR_LIMIT ? "is too large"
                                         : "must be a size such as 16GiB or 512MiB (a bare "
                                           "number means GiB)");
}

void value_opt_cpus(struct value_reader *reader, const char *name, uint64_t max,
                    uint64_t *out_milli)
{
    struct json_value value = value_member(reader, name);
    struct slice text;
    uint64_t milli;
    enum err err;

    if (json_is_missing(value))
        return;
    reader->err = json_to_text(value, 40, reader->arena, &text, reader->fault);
    if (reader->err != ERR_OK)
        return;
    if (text.len > 1 && text.data[text.len - 1] == '+')
        text.len--;
    err = units_parse_millicpus(text, &milli);
    if (err == ERR_INVALID || (err == ERR_OK && milli == 0))
        reader->err =
            json_refuse(value, reader->fault, ERR_INVALID,
                        "must be a number of cores more than zero, such as 2, 0.5 or 500m");
    else if (err != ERR_OK || milli > max)
        reader->err = json_refuse(value, reader->fault, ERR_LIMIT, "must be at most %llu",
                                  (unsigned long long)(max / 1000));
    else
        *out_milli = milli;
}

void value_opt_list(struct value_reader *reader, const char *name, uint32_t count_max,
                    size_t len_max, struct text_list *out)
{
    struct json_value value = value_member(reader, name);
    struct json_iterator it;
    struct slice *items;

    if (json_is_missing(value))
        return;
    if (json_type_of(value) == JSON_STRING) {
        items = value_room(reader, 1, sizeof(*items));
        if (items != NULL)
            keep_string(reader, value, len_max, &items[0]);
        if (reader->err == ERR_OK)
            *out = (struct text_list){items, 1};
        return;
    }
    reader->err = json_to_array(value, count_max, &value, reader->fault);
    items = value_room(reader, json_count(value), sizeof(*items));
    it = json_iterate(value);
    while (items != NULL && reader->err == ERR_OK && json_next(&it))
        keep_string(reader, it.value, len_max, &items[it.index]);
    if (reader->err == ERR_OK)
        *out = (struct text_list){items, (uint32_t)json_count(value)};
}

void value_opt_array(struct value_reader *reader, const char *name, size_t count_max,
                     struct json_value *out)
{
    struct json_value value = value_member(reader, name);

    *out = (struct json_value){0};
    if (!json_is_missing(value))
        reader->err = json_to_array(value, count_max, out, reader->fault);
}

void value_opt_json(struct value_reader *reader, const char *name, size_t len_max,
                    struct slice *out)
{
    struct json_value value = value_member(reader, name), object;
    struct json_writer writer;
    struct buffer buffer;

    if (json_is_missing(value))
        return;
    reader->err = json_to_object(value, &object, reader->fault);
    if (reader->err != ERR_OK)
        return;
    buffer_init(&buffer, len_max);
    json_writer_init(&writer, &buffer);
    json_copy(&writer, object);
    reader->err = json_writer_finish(&writer);
    if (reader->err != ERR_OK)
        reader->err =
            json_refuse(value, reader->fault, reader->err, "is larger than %zu bytes", len_max);
    else
        reader->err = value_copy(reader->arena, buffer_slice(&buffer), out, reader->fault);
    buffer_deinit(&buffer);
}

static enum err refuse_accelerators(struct json_value value, struct fault *fault)
{
    return json_refuse(value, fault, ERR_INVALID,
                       "must be a model and a count, such as \"A100:8\" or {A100: 8}");
}

/* The count after the last colon: a model may have one itself, a count has none. */
static enum err split_accelerators(struct json_value value, struct slice text, uint32_t count_max,
                                   struct slice *out_model, uint32_t *out_count,
                                   struct fault *fault)
{
    size_t colon = text.len;
    uint64_t count = 1;

    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    if (colon > 0) {
        if (slice_parse_u64(slice_make(text.data + colon, text.len - colon), &count) != ERR_OK)
            return refuse_accelerators(value, fault);
        text.len = colon - 1;
    }
    if (text.len == 0)
        return refuse_accelerators(value, fault);
    if (count == 0 || count > count_max)
        return json_refuse(value, fault, ERR_INVALID, "the count must be between 1 and %u",
                           count_max);
    *out_model = text;
    *out_count = (uint32_t)count;
    return ERR_OK;
}

enum err value_accelerators(struct json_value value, uint32_t count_max, struct arena *arena,
                            struct slice *out_model, uint32_t *out_count, struct fault *fault)
{
    struct slice model = {"", 0};
    uint32_t count = 0;
    uint64_t number = 0;
    enum err err = ERR_OK;

    if (json_type_of(value) == JSON_INTEGER) {
        err = json_to_u64(value, 1, count_max, &number, fault);
        count = (uint32_t)number;
    } else if (json_type_of(value) == JSON_STRING) {
        err = json_to_string(value, 128, &model, fault);
        if (err == ERR_OK)
            err = split_accelerators(value, model, count_max, &model, &count, fault);
    } else if (json_type_of(value) == JSON_OBJECT && json_count(value) == 1) {
        struct json_iterator it = json_iterate(value);
        if (!json_next(&it) || it.key.len == 0)
            return refuse_accelerators(value, fault);
        model = it.key;
        err = json_to_u64(it.value, 1, count_max, &number, fault);
        count = (uint32_t)number;
    } else if (json_type_of(value) == JSON_OBJECT && json_count(value) > 1) {
        err = json_refuse(value, fault, ERR_INVALID,
                          "names more than one model; list them under resources.any_of");
    } else {
        err = refuse_accelerators(value, fault);
    }
    if (err == ERR_OK)
        err = value_copy(arena, model, out_model, fault);
    if (err == ERR_OK)
        *out_count = count;
    return err;
}
