/* Values to C types; each refusal says what the value must be. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/units.h"
#include "wire/json_document.h"

enum { NEAR_MAX = 3, CHOICES_TEXT_MAX = 200 };

static const yyjson_val *node_of(struct json_value value)
{
    return value.node;
}

static struct slice string_of(struct json_value value)
{
    const yyjson_val *node = node_of(value);
    return slice_make(node->uni.str, unsafe_yyjson_get_len((void *)(uintptr_t)node));
}

/* ---- numbers ---- */

static enum err refuse_u64(struct json_value value, uint64_t min, uint64_t max, struct fault *fault)
{
    if (max >= INT64_MAX)
        return json_refuse(value, fault, ERR_INVALID, "must be a whole number of at least %llu",
                           (unsigned long long)min);
    return json_refuse(value, fault, ERR_INVALID, "must be a whole number from %llu to %llu",
                       (unsigned long long)min, (unsigned long long)max);
}

enum err json_to_u64(struct json_value value, uint64_t min, uint64_t max, uint64_t *out,
                     struct fault *fault)
{
    ASSERT(min <= max);
    if (json_type_of(value) != JSON_INTEGER)
        return refuse_u64(value, min, max, fault);
    const yyjson_val *node = node_of(value);
    if (unsafe_yyjson_get_subtype((void *)(uintptr_t)node) == YYJSON_SUBTYPE_SINT &&
        node->uni.i64 < 0)
        return refuse_u64(value, min, max, fault);
    if (node->uni.u64 < min || node->uni.u64 > max)
        return refuse_u64(value, min, max, fault);
    *out = node->uni.u64;
    return ERR_OK;
}

static enum err refuse_i64(struct json_value value, int64_t min, int64_t max, struct fault *fault)
{
    if (min == INT64_MIN && max == INT64_MAX)
        return json_refuse(value, fault, ERR_INVALID, "must be a whole number of 64 bits");
    return json_refuse(value, fault, ERR_INVALID, "must be a whole number from %lld to %lld",
                       (long long)min, (long long)max);
}

enum err json_to_i64(struct json_value value, int64_t min, int64_t max, int64_t *out,
                     struct fault *fault)
{
    ASSERT(min <= max);
    if (json_type_of(value) != JSON_INTEGER)
        return refuse_i64(value, min, max, fault);
    const yyjson_val *node = node_of(value);
    bool is_unsigned = unsafe_yyjson_get_subtype((void *)(uintptr_t)node) == YYJSON_SUBTYPE_UINT;
    if (is_unsigned && node->uni.u64 > INT64_MAX)
        return refuse_i64(value, min, max, fault);
    if (node->uni.i64 < min || node->uni.i64 > max)
        return refuse_i64(value, min, max, fault);
    *out = node->uni.i64;
    return ERR_OK;
}

static bool number_of(struct json_value value, double *out)
{
    enum json_type type = json_type_of(value);
    if (type != JSON_REAL && type != JSON_INTEGER)
        return false;
    *out = unsafe_yyjson_get_num((void *)(uintptr_t)value.node);
    return true;
}

enum err json_to_f64(struct json_value value, double min, double max, double *out,
                     struct fault *fault)
{
    double number;
    if (!number_of(value, &number) || !(number >= min && number <= max))
        return json_refuse(value, fault, ERR_INVALID, "must be a number from %g to %g", min, max);
    *out = number;
    return ERR_OK;
}

enum err json_to_bool(struct json_value value, bool *out, struct fault *fault)
{
    if (json_type_of(value) != JSON_BOOL)
        return json_refuse(value, fault, ERR_INVALID, "must be true or false");
    *out = unsafe_yyjson_get_bool((void *)(uintptr_t)value.node);
    return ERR_OK;
}

/* ---- texts ---- */

static enum err check_len(struct json_value value, struct slice text, size_t len_max,
                          struct slice *out, struct fault *fault)
{
    if (text.len > len_max)
        return json_refuse(value, fault, ERR_INVALID, "must be at most %zu bytes long, not %zu",
                           len_max, text.len);
    *out = text;
    return ERR_OK;
}

enum err json_to_string(struct json_value value, size_t len_max, struct slice *out,
                        struct fault *fault)
{
    enum json_type type = json_type_of(value);
    if (type == JSON_INTEGER || type == JSON_REAL || type == JSON_BOOL)
        return json_refuse(value, fault, ERR_INVALID, "must be a text; put quotes around it");
    if (type != JSON_STRING)
        return json_refuse(value, fault, ERR_INVALID, "must be a text");
    return check_len(value, string_of(value), len_max, out, fault);
}

enum err json_to_text(struct json_value value, size_t len_max, struct arena *arena,
                      struct slice *out, struct fault *fault)
{
    char digits[24];
    struct slice text;
    switch (json_type_of(value)) {
    case JSON_BOOL:
        text = slice_of(unsafe_yyjson_get_bool((void *)(uintptr_t)value.node) ? "true" : "false");
        break;
    case JSON_REAL:
        text = json_real_text(value);
        break;
    case JSON_INTEGER:
        /* JSON has one way to write a whole number, so this is how it was written. */
        if (unsafe_yyjson_get_subtype((void *)(uintptr_t)value.node) == YYJSON_SUBTYPE_SINT)
            snprintf(digits, sizeof(digits), "%lld", (long long)node_of(value)->uni.i64);
        else
            snprintf(digits, sizeof(digits), "%llu", (unsigned long long)node_of(value)->uni.u64);
        text = slice_of(digits);
        break;
    default: {
        enum err err = json_to_string(value, len_max, &text, fault);
        if (err != ERR_OK)
            return err;
    }
    }
    struct slice copy = arena_copy(arena, text);
    if (copy.data == NULL)
        return json_refuse(value, fault, ERR_NO_MEMORY, "out of memory");
    return check_len(value, copy, len_max, out, fault);
}

/* ---- containers ---- */

enum err json_to_object(struct json_value value, struct json_value *out, struct fault *fault)
{
    if (json_type_of(value) != JSON_OBJECT)
        return json_refuse(value, fault, ERR_INVALID, "must be an object (names with values)");
    *out = value;
    return ERR_OK;
}

enum err json_to_array(struct json_value value, size_t count_max, struct json_value *out,
                       struct fault *fault)
{
    if (json_type_of(value) != JSON_ARRAY)
        return json_refuse(value, fault, ERR_INVALID, "must be a list");
    if (json_count(value) > count_max)
        return json_refuse(value, fault, ERR_INVALID, "must have at most %zu elements, not %zu",
                           count_max, json_count(value));
    *out = value;
    return ERR_OK;
}

/* ---- texts with a meaning ---- */

enum err json_to_id(struct json_value value, const char *prefix, struct id *out,
                    struct fault *fault)
{
    if (json_type_of(value) != JSON_STRING || id_parse(string_of(value), prefix, out) != ERR_OK)
        return json_refuse(value, fault, ERR_INVALID,
                           "must be an id that starts with \"%s_\", as the server gave it out",
                           prefix);
    return ERR_OK;
}

static enum err money_of_number(struct json_value value, struct money *out)
{
    int64_t units;
    if (json_type_of(value) == JSON_REAL)
        return money_parse(json_real_text(value), out);
    enum err err = json_to_i64(value, INT64_MIN / 1000000, INT64_MAX / 1000000, &units, NULL);
    if (err == ERR_OK)
        out->micros = units * 1000000;
    return err;
}

enum err json_to_money(struct json_value value, struct money *out, struct fault *fault)
{
    bool is_good;
    if (json_type_of(value) == JSON_STRING)
        is_good = money_parse(string_of(value), out) == ERR_OK;
    else
        is_good = money_of_number(value, out) == ERR_OK;
    if (!is_good)
        return json_refuse(value, fault, ERR_INVALID,
                           "must be an amount such as \"12.50\", with at most six decimals");
    return ERR_OK;
}

enum err json_to_span(struct json_value value, struct span_ms *out, struct fault *fault)
{
    if (json_type_of(value) != JSON_STRING || span_parse(string_of(value), out) != ERR_OK)
        return json_refuse(value, fault, ERR_INVALID,
                           "must be a duration with its unit, such as 30s, 10m or 1h30m");
    return ERR_OK;
}

enum err json_to_wall(struct json_value value, struct wall_us *out, struct fault *fault)
{
    if (json_type_of(value) != JSON_STRING || wall_parse(string_of(value), out) != ERR_OK)
        return json_refuse(value, fault, ERR_INVALID,
                           "must be a time such as 2026-11-22T05:44:34Z");
    return ERR_OK;
}

enum err json_to_bytes(struct json_value value, uint64_t max, uint64_t *out, struct fault *fault)
{
    uint64_t bytes = 0;
    bool is_zero = json_to_u64(value, 0, 0, &bytes, NULL) == ERR_OK;
    if (!is_zero && (json_type_of(value) != JSON_STRING ||
                     units_parse_bytes(string_of(value), &bytes) != ERR_OK))
        return json_refuse(value, fault, ERR_INVALID,
                           "must be a size with its unit, such as 512MiB or 16GiB");
    if (bytes > max) {
        char text[UNITS_TEXT_MAX];
        units_format_bytes(max, text);
        return json_refuse(value, fault, ERR_INVALID, "must be at most %s", text);
    }
    *out = bytes;
    return ERR_OK;
}

static enum err millicpus_of(struct json_value value, uint64_t *out)
{
    uint64_t whole;
    switch (json_type_of(value)) {
    case JSON_STRING:
        return units_parse_millicpus(string_of(value), out);
    case JSON_REAL:
        return units_parse_millicpus(json_real_text(value), out);
    default: {
        enum err err = json_to_u64(value, 0, UNITS_MILLICPUS_MAX / 1000, &whole, NULL);
        if (err == ERR_OK)
            *out = whole * 1000;
        return err;
    }
    }
}

enum err json_to_millicpus(struct json_value value, uint64_t max, uint64_t *out,
                           struct fault *fault)
{
    uint64_t millicpus;
    if (millicpus_of(value, &millicpus) != ERR_OK)
        return json_refuse(value, fault, ERR_INVALID,
                           "must be a number of CPUs such as 2, 0.5 or 500m");
    if (millicpus > max) {
        char most[UNITS_TEXT_MAX];
        units_format_millicpus(max, most);
        return json_refuse(value, fault, ERR_INVALID, "must be at most %s CPUs", most);
    }
    *out = millicpus;
    return ERR_OK;
}

/* ---- one of several names ---- */

/* The name with the fewest edits away, if that is few enough to be a slip; else NULL. */
static const char *nearest_name(struct slice text, const char *const names[], size_t count)
{
    const char *nearest = NULL;
    unsigned best = NEAR_MAX + 1;
    for (size_t i = 0; i < count; i++) {
        struct slice name = slice_of(names[i]);
        unsigned distance = slice_distance(text, name);
        /* A short name is near to everything: at least half of it must stand. */
        if (distance < best && distance * 2 <= name.len) {
            best = distance;
            nearest = names[i];
        }
    }
    return nearest;
}

static void list_names(const char *const names[], size_t count, char out[CHOICES_TEXT_MAX])
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t name_len = strlen(names[i]);
        if (len + name_len + sizeof(", ...") >= CHOICES_TEXT_MAX) {
            memcpy(out + len, ", ...", sizeof(", ..."));
            return;
        }
        if (i > 0) {
            memcpy(out + len, ", ", 2);
            len += 2;
        }
        memcpy(out + len, names[i], name_len + 1);
        len += name_len;
    }
}

enum err json_to_choice(struct json_value value, const char *const names[], size_t count,
                        unsigned *out, struct fault *fault)
{
    char list[CHOICES_TEXT_MAX];
    if (json_type_of(value) != JSON_STRING) {
        list_names(names, count, list);
        return json_refuse(value, fault, ERR_INVALID, "must be one of: %s", list);
    }
    struct slice text = string_of(value);
    for (size_t i = 0; i < count; i++) {
        if (slice_is(text, names[i])) {
            *out = (unsigned)i;
            return ERR_OK;
        }
    }
    char quoted[JSON_QUOTE_MAX];
    const char *nearest = nearest_name(text, names, count);
    list_names(names, count, list);
    if (nearest == NULL)
        return json_refuse(value, fault, ERR_INVALID, "\"%s\" must be one of: %s",
                           json_quote(text, quoted), list);
    return json_refuse(value, fault, ERR_INVALID, "\"%s\" must be one of: %s; did you mean \"%s\"?",
                       json_quote(text, quoted), list, nearest);
}

/* ---- unknown fields ---- */

static bool is_known(struct slice key, const char *const known[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_is(key, known[i]))
            return true;
    }
    return false;
}

enum err json_object_check_keys(struct json_value object, const char *const known[], size_t count,
                                struct fault *fault)
{
    if (json_type_of(object) != JSON_OBJECT)
        return json_to_object(object, &object, fault);
    struct json_iterator iterator = json_iterate(object);
    while (json_next(&iterator)) {
        if (is_known(iterator.key, known, count))
            continue;
        char quoted[JSON_QUOTE_MAX];
        json_quote(iterator.key, quoted);
        /* The key stands right before its value; its place is the one to show. */
        struct json_value key = {object.document, node_of(iterator.value) - 1};
        const char *nearest = nearest_name(iterator.key, known, count);
        if (nearest != NULL)
            return json_refuse(key, fault, ERR_INVALID,
                               "unknown field \"%s\"; did you mean \"%s\"?", quoted, nearest);
        char list[CHOICES_TEXT_MAX];
        list_names(known, count, list);
        return json_refuse(key, fault, ERR_INVALID, "unknown field \"%s\"; known are: %s", quoted,
                           list);
    }
    return ERR_OK;
}
