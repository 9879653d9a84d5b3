#include "wire/sync_parts.h"

#include "base/buffer.h"

enum { TOKEN_TEXT_MAX = ATTEMPT_NAME_MAX, CHOICE_TEXT_MAX = 64 };

void fields_begin(struct fields *fields, struct json_value value, struct arena *arena,
                  struct fault *fault)
{
    *fields = (struct fields){.arena = arena, .fault = fault};
    fields->err = json_to_object(value, &fields->object, fault);
}

void fields_u64(struct fields *fields, const char *name, uint64_t *out)
{
    if (fields->err == ERR_OK)
        fields->err = json_get_u64(fields->object, name, 0, UINT64_MAX, out, fields->fault);
}

void fields_opt_u64(struct fields *fields, const char *name, uint64_t *out)
{
    if (fields->err == ERR_OK)
        fields->err = json_opt_u64(fields->object, name, 0, UINT64_MAX, out, fields->fault);
}

void fields_u32(struct fields *fields, const char *name, uint32_t max, uint32_t *out)
{
    if (fields->err == ERR_OK)
        fields->err = json_get_u32(fields->object, name, 0, max, out, fields->fault);
}

void fields_opt_u32(struct fields *fields, const char *name, uint32_t max, uint32_t *out)
{
    if (fields->err == ERR_OK)
        fields->err = json_opt_u32(fields->object, name, 0, max, out, fields->fault);
}

void fields_opt_i64(struct fields *fields, const char *name, int64_t min, int64_t *out)
{
    if (fields->err == ERR_OK)
        fields->err = json_opt_i64(fields->object, name, min, INT64_MAX, out, fields->fault);
}

void fields_opt_i32(struct fields *fields, const char *name, int32_t *out)
{
    int64_t value = *out;
    if (fields->err == ERR_OK)
        fields->err =
            json_opt_i64(fields->object, name, INT32_MIN, INT32_MAX, &value, fields->fault);
    if (fields->err == ERR_OK)
        *out = (int32_t)value;
}

void fields_opt_bool(struct fields *fields, const char *name, bool *out)
{
    if (fields->err == ERR_OK)
        fields->err = json_opt_bool(fields->object, name, out, fields->fault);
}

void fields_opt_span(struct fields *fields, const char *name, int64_t min_ms, struct span_ms *out)
{
    fields_opt_i64(fields, name, min_ms, &out->ms);
}

void fields_id(struct fields *fields, const char *name, const char *prefix, struct id *out)
{
    if (fields->err == ERR_OK)
        fields->err = json_get_id(fields->object, name, prefix, out, fields->fault);
}

void fields_opt_id(struct fields *fields, const char *name, const char *prefix, struct id *out)
{
    if (fields->err == ERR_OK)
        fields->err = json_opt_id(fields->object, name, prefix, out, fields->fault);
}

static void keep_text(struct fields *fields, struct slice text, struct slice *out)
{
    struct slice copy = arena_copy(fields->arena, text);
    if (copy.data == NULL)
        fields->err = ERR_NO_MEMORY;
    else
        *out = copy;
}

void fields_string(struct fields *fields, const char *name, size_t len_max, struct slice *out)
{
    struct slice text = {0};
    if (fields->err == ERR_OK)
        fields->err = json_get_string(fields->object, name, len_max, &text, fields->fault);
    if (fields->err == ERR_OK)
        keep_text(fields, text, out);
}

void fields_opt_string(struct fields *fields, const char *name, size_t len_max, struct slice *out)
{
    struct slice text = {0};
    if (fields->err == ERR_OK)
        fields->err = json_opt_string(fields->object, name, len_max, &text, fields->fault);
    if (fields->err == ERR_OK && text.len != 0)
        keep_text(fields, text, out);
}

void fields_choice(struct fields *fields, const char *name, const char *const names[], size_t count,
                   unsigned *out)
{
    if (fields->err == ERR_OK)
        fields->err = json_get_choice(fields->object, name, names, count, out, fields->fault);
}

enum err token_from_json(struct json_value value, struct attempt_token *out, struct fault *fault)
{
    struct slice text = {0};
    enum err err = json_to_string(value, TOKEN_TEXT_MAX, &text, fault);
    if (err != ERR_OK)
        return err;
    if (attempt_name_parse(text, out) != ERR_OK)
        return json_refuse(value, fault, ERR_INVALID, "is not an attempt's token");
    return ERR_OK;
}

void fields_token(struct fields *fields, const char *name, struct attempt_token *out)
{
    if (fields->err == ERR_OK)
        fields->err = token_from_json(json_object_get(fields->object, name), out, fields->fault);
}

void fields_opt_outcome(struct fields *fields, const char *name, enum outcome *out)
{
    struct json_value value = json_object_get(fields->object, name);
    struct slice text = {0};
    if (fields->err != ERR_OK || json_is_missing(value))
        return;
    fields->err = json_to_string(value, CHOICE_TEXT_MAX, &text, fields->fault);
    if (fields->err == ERR_OK && outcome_parse(text, out) != ERR_OK)
        fields->err = json_refuse(value, fields->fault, ERR_INVALID, "is not a known outcome");
}

void fields_opt_revoke(struct fields *fields, const char *name, enum revoke_reason *out)
{
    struct json_value value = json_object_get(fields->object, name);
    struct slice text = {0};
    if (fields->err != ERR_OK || json_is_missing(value))
        return;
    fields->err = json_to_string(value, CHOICE_TEXT_MAX, &text, fields->fault);
    if (fields->err == ERR_OK && revoke_parse(text, out) != ERR_OK)
        fields->err = json_refuse(value, fields->fault, ERR_INVALID, "is not a known reason");
}

void fields_opt_json(struct fields *fields, const char *name, size_t len_max, struct slice *out)
{
    struct json_value value = json_object_get(fields->object, name);
    if (fields->err != ERR_OK || json_is_missing(value))
        return;
    struct json_value object = {0};
    fields->err = json_to_object(value, &object, fields->fault);
    if (fields->err != ERR_OK)
        return;
    struct buffer copy;
    struct json_writer writer;
    buffer_init(&copy, len_max);
    json_writer_init(&writer, &copy);
    json_copy(&writer, object);
    fields->err = json_writer_finish(&writer);
    if (fields->err == ERR_OK)
        keep_text(fields, buffer_slice(&copy), out);
    buffer_deinit(&copy);
}

void fields_opt_array(struct fields *fields, const char *name, size_t count_max,
                      struct json_value *out)
{
    if (fields->err == ERR_OK)
        fields->err = json_opt_array(fields->object, name, count_max, out, fields->fault);
}

void *fields_room(struct fields *fields, struct json_value array, size_t item_size,
                  uint32_t *out_count)
{
    size_t count = json_count(array);
    *out_count = 0;
    if (fields->err != ERR_OK || count == 0)
        return NULL;
    void *room = arena_array(fields->arena, count, item_size);
    if (room == NULL)
        fields->err = ERR_NO_MEMORY;
    else
        *out_count = (uint32_t)count;
    return room;
}

void token_write(struct json_writer *writer, const struct attempt_token *token)
{
    char text[ATTEMPT_NAME_MAX];
    attempt_name_format(token, text);
    json_text(writer, text);
}

void token_put(struct json_writer *writer, const char *name, const struct attempt_token *token)
{
    json_key(writer, name);
    token_write(writer, token);
}

void span_put(struct json_writer *writer, const char *name, struct span_ms span)
{
    if (span.ms != 0)
        json_put_i64(writer, name, span.ms);
}

void progress_put(struct json_writer *writer, const struct attempt_progress *progress)
{
    if (progress->value == 0)
        return;
    json_put_u64(writer, "progress", progress->value);
    json_put_u64(writer, "progress_units", progress->units);
    json_put_i64(writer, "progress_ms", progress->over.ms);
}

void fields_opt_progress(struct fields *fields, struct attempt_progress *out)
{
    struct attempt_progress progress = {0};
    fields_opt_u64(fields, "progress", &progress.value);
    fields_opt_u64(fields, "progress_units", &progress.units);
    fields_opt_span(fields, "progress_ms", 0, &progress.over);
    if (fields->err == ERR_OK &&
        (progress.value > ATTEMPT_PROGRESS_MAX || progress.units > progress.value ||
         progress.over.ms > JOB_SPAN_MAX.ms))
        fields->err = fault_set(fields->fault, ERR_INVALID, "progress", "is out of range");
    if (fields->err == ERR_OK)
        *out = progress;
}

void outcome_put(struct json_writer *writer, const char *name, enum outcome outcome)
{
    if (outcome != OUTCOME_NONE)
        json_put_text(writer, name, outcome_name(outcome));
}

void revoke_put(struct json_writer *writer, const char *name, enum revoke_reason reason)
{
    if (reason != REVOKE_NONE)
        json_put_text(writer, name, revoke_name(reason));
}
