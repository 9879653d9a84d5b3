/* libfyaml's events become JSON text plus the place of every value; json_document_make does the
 * rest. So a file and a request pass through the same checks, and messages still point into the
 * YAML. */
#include "wire/yaml.h"

#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/vector.h"
#include "wire/json_document.h"
#include "wire/json_writer.h"

const struct json_limits YAML_LIMITS = {256u << 10, 24, 20000};

enum {
    JSON_GROWTH_MAX = 8, /* JSON text per YAML byte: "~," becomes "null," */
    BLANK_RUN_MAX = 600,
};

struct yaml_level {
    bool is_mapping;
    bool is_key_next;
};

struct yaml_reader {
    struct slice text;
    const struct json_limits *limits;
    struct fault *fault;
    struct buffer json;
    struct json_writer writer;
    struct buffer scalar; /* text of the scalar at hand */
    struct vector places; /* of struct json_place */
    struct yaml_level levels[JSON_DEPTH_MAX];
    size_t depth;
    struct json_place last; /* where the parser was last seen; for things without a place */
    bool has_document;
    bool has_root;
};

static enum err refuse_at(struct yaml_reader *reader, struct json_place place, enum err code,
                          const char *message)
{
    fault_set(reader->fault, code, NULL, "%s", message);
    if (reader->fault != NULL) {
        reader->fault->line = place.line;
        reader->fault->column = place.column;
    }
    return code;
}

static enum err refuse_limit_at(struct yaml_reader *reader, struct json_place place,
                                const char *format, uint32_t limit)
{
    char message[FAULT_MESSAGE_MAX];
    snprintf(message, sizeof(message), "%s %u", format, limit);
    return refuse_at(reader, place, ERR_LIMIT, message);
}

/* ---- places ---- */

static struct json_place place_of_token(struct yaml_reader *reader, struct fy_token *token)
{
    const struct fy_mark *start = token == NULL ? NULL : fy_token_start_mark(token);
    const struct fy_mark *end = token == NULL ? NULL : fy_token_end_mark(token);
    if (start == NULL || start->line < 0 || start->input_pos > reader->text.len)
        return reader->last;
    struct json_place place = {(uint32_t)start->line + 1, (uint32_t)start->column + 1,
                               (uint32_t)start->input_pos, 0};
    if (end != NULL && end->input_pos >= start->input_pos && end->input_pos <= reader->text.len)
        place.len = (uint32_t)(end->input_pos - start->input_pos);
    reader->last = place;
    return place;
}

static enum err note_value(struct yaml_reader *reader, struct json_place place)
{
    enum err err = vector_push(&reader->places, &place);
    if (err == ERR_LIMIT)
        return refuse_limit_at(reader, place, "the number of values must be at most",
                               reader->limits->values);
    if (err != ERR_OK)
        return refuse_at(reader, place, err, "out of memory");
    return ERR_OK;
}

/* ---- plain scalars ---- */

static size_t digits_at(struct slice text, size_t at)
{
    size_t count = 0;
    while (at + count < text.len && text.data[at + count] >= '0' && text.data[at + count] <= '9')
        count++;
    return count;
}

/* The grammar of JSON numbers: what both languages read alike. */
static bool is_number(struct slice text)
{
    size_t at = text.len > 0 && text.data[0] == '-' ? 1 : 0;
    size_t whole = digits_at(text, at);
    if (whole == 0 || (whole > 1 && text.data[at] == '0'))
        return false;
    at += whole;
    if (at < text.len && text.data[at] == '.') {
        size_t decimals = digits_at(text, at + 1);
        if (decimals == 0)
            return false;
        at += 1 + decimals;
    }
    if (at < text.len && (text.data[at] == 'e' || text.data[at] == 'E')) {
        at++;
        if (at < text.len && (text.data[at] == '+' || text.data[at] == '-'))
            at++;
        size_t exponent = digits_at(text, at);
        if (exponent == 0)
            return false;
        at += exponent;
    }
    return at == text.len;
}

static bool is_null_text(struct slice text)
{
    return text.len == 0 || slice_is(text, "~") || slice_is(text, "null");
}

static void write_plain(struct yaml_reader *reader, struct slice text)
{
    if (is_null_text(text))
        json_null(&reader->writer);
    else if (slice_is(text, "true") || slice_is(text, "false"))
        json_bool(&reader->writer, slice_is(text, "true"));
    else if (is_number(text))
        json_raw(&reader->writer, text);
    else
        json_string(&reader->writer, text);
}

/* ---- events ---- */

static enum err check_node(struct yaml_reader *reader, struct fy_token *anchor,
                           struct fy_token *tag)
{
    if (anchor != NULL)
        return refuse_at(reader, place_of_token(reader, anchor), ERR_INVALID,
                         "anchors are not taken; write the value out where it is needed");
    if (tag != NULL)
        return refuse_at(reader, place_of_token(reader, tag), ERR_INVALID,
                         "tags are not taken; leave the ! word out");
    return ERR_OK;
}

/* True where a key must come. */
static bool is_key_place(const struct yaml_reader *reader)
{
    return reader->depth > 0 && reader->levels[reader->depth - 1].is_mapping &&
           reader->levels[reader->depth - 1].is_key_next;
}

/* After a key comes its value, after a value the next key. */
static void turn(struct yaml_reader *reader)
{
    if (reader->depth == 0)
        reader->has_root = true;
    else
        reader->levels[reader->depth - 1].is_key_next =
            !reader->levels[reader->depth - 1].is_key_next;
}

/* libfyaml 0.7.12 counts neighbouring escaped quotes wrongly: two of them, written '''', come out
 * as three. Such texts are read here, as long as they stand on one line. */
static bool has_doubled_quotes(struct slice source)
{
    return memmem(source.data, source.len, "''''", 4) != NULL;
}

static enum err read_single_quoted(struct yaml_reader *reader, struct slice source,
                                   struct json_place place)
{
    if (memchr(source.data, '\n', source.len) != NULL ||
        memchr(source.data, '\r', source.len) != NULL)
        return refuse_at(reader, place, ERR_INVALID,
                         "a quoted text of several lines holds neighbouring quotes; put it in "
                         "double quotes");
    for (size_t i = 0; i < source.len; i++) {
        buffer_append_char(&reader->scalar, source.data[i]);
        if (source.data[i] == '\'')
            i++; /* the second of the pair */
    }
    return ERR_OK;
}

/* The token's text, piece by piece. fy_token_get_text would do in one call, but in 0.7.12 it loses
 * memory and gives NULL for some quoted texts. */
static enum err read_scalar(struct yaml_reader *reader, struct fy_token *token,
                            struct json_place place)
{
    buffer_reset(&reader->scalar);
    if (token == NULL)
        return ERR_OK;
    struct slice source = slice_make(reader->text.data + place.offset, place.len);
    if (fy_token_scalar_style(token) == FYSS_SINGLE_QUOTED && has_doubled_quotes(source))
        return read_single_quoted(reader, source, place);
    struct fy_token_iter *iterator = fy_token_iter_create(token);
    if (iterator == NULL)
        return refuse_at(reader, place, ERR_NO_MEMORY, "out of memory");
    const struct fy_iter_chunk *chunk = NULL;
    int error = 0;
    while ((chunk = fy_token_iter_chunk_next(iterator, chunk, &error)) != NULL)
        buffer_append_bytes(&reader->scalar, chunk->str, chunk->len);
    fy_token_iter_destroy(iterator);
    if (error != 0)
        return refuse_at(reader, place, ERR_INVALID, "an escape does not give a character");
    if (buffer_status(&reader->scalar) != ERR_OK)
        return refuse_at(reader, place, buffer_status(&reader->scalar), "a text is too long");
    return ERR_OK;
}

static enum err take_scalar(struct yaml_reader *reader, struct fy_event *event)
{
    enum err err = check_node(reader, event->scalar.anchor, event->scalar.tag);
    if (err != ERR_OK)
        return err;
    struct fy_token *token = event->scalar.value;
    struct json_place place = place_of_token(reader, token);
    err = read_scalar(reader, token, place);
    if (err != ERR_OK)
        return err;
    struct slice text = buffer_slice(&reader->scalar);
    bool is_plain = token == NULL || fy_token_scalar_style(token) == FYSS_PLAIN;
    if (!slice_is_utf8(text))
        return refuse_at(reader, place, ERR_INVALID, "an escape does not give a character");
    bool is_key = is_key_place(reader);
    if (is_key && is_plain && is_null_text(text))
        return refuse_at(reader, place, ERR_INVALID, "a key is missing");
    err = note_value(reader, place);
    if (err != ERR_OK)
        return err;
    if (is_key)
        json_key_slice(&reader->writer, text);
    else if (is_plain)
        write_plain(reader, text);
    else
        json_string(&reader->writer, text);
    turn(reader);
    return ERR_OK;
}

static enum err open_level(struct yaml_reader *reader, struct fy_token *token, bool is_mapping)
{
    struct json_place place = place_of_token(reader, token);
    if (is_key_place(reader))
        return refuse_at(reader, place, ERR_INVALID, "a key must be a plain text");
    if (reader->depth >= reader->limits->depth)
        return refuse_limit_at(reader, place, "the depth of nesting must be at most",
                               reader->limits->depth);
    enum err err = note_value(reader, place);
    if (err != ERR_OK)
        return err;
    if (is_mapping)
        json_begin_object(&reader->writer);
    else
        json_begin_array(&reader->writer);
    reader->levels[reader->depth++] = (struct yaml_level){is_mapping, is_mapping};
    return ERR_OK;
}

static enum err close_level(struct yaml_reader *reader)
{
    ASSERT(reader->depth > 0);
    if (reader->levels[--reader->depth].is_mapping)
        json_end_object(&reader->writer);
    else
        json_end_array(&reader->writer);
    turn(reader);
    return ERR_OK;
}

static enum err start_document(struct yaml_reader *reader, struct fy_event *event)
{
    struct fy_document_state *state = event->document_start.document_state;
    struct json_place place = place_of_token(reader, event->document_start.document_start);
    if (reader->has_document)
        return refuse_at(reader, place, ERR_INVALID, "a second document starts; give one a file");
    reader->has_document = true;
    if (state != NULL &&
        (fy_document_state_version_explicit(state) || fy_document_state_tags_explicit(state)))
        return refuse_at(reader, place, ERR_INVALID, "%directives are not taken");
    return ERR_OK;
}

static enum err take_event(struct yaml_reader *reader, struct fy_event *event)
{
    enum err err;
    switch (event->type) {
    case FYET_DOCUMENT_START:
        return start_document(reader, event);
    case FYET_ALIAS:
        return refuse_at(reader, place_of_token(reader, event->alias.anchor), ERR_INVALID,
                         "aliases are not taken; write the value out where it is needed");
    case FYET_SCALAR:
        return take_scalar(reader, event);
    case FYET_MAPPING_START:
        err = check_node(reader, event->mapping_start.anchor, event->mapping_start.tag);
        return err != ERR_OK ? err : open_level(reader, event->mapping_start.mapping_start, true);
    case FYET_SEQUENCE_START:
        err = check_node(reader, event->sequence_start.anchor, event->sequence_start.tag);
        return err != ERR_OK ? err
                             : open_level(reader, event->sequence_start.sequence_start, false);
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        return close_level(reader);
    default:
        return ERR_OK; /* the stream's and the document's ends */
    }
}

/* ---- driving libfyaml ---- */

static enum err refuse_syntax(struct yaml_reader *reader, struct fy_diag *diag)
{
    void *position = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(diag, &position);
    struct json_place place = reader->last;
    char message[FAULT_MESSAGE_MAX];
    if (error == NULL)
        return refuse_at(reader, place, ERR_INVALID, "is not YAML");
    if (error->line > 0) {
        place.line = (uint32_t)error->line;
        place.column = error->column > 0 ? (uint32_t)error->column : 1;
    }
    snprintf(message, sizeof(message), "is not YAML: %s", error->msg == NULL ? "" : error->msg);
    return refuse_at(reader, place, ERR_INVALID, message);
}

static enum err read_events(struct yaml_reader *reader, struct fy_parser *parser,
                            struct fy_diag *diag)
{
    enum err err = ERR_OK;
    struct fy_event *event;
    while (err == ERR_OK && (event = fy_parser_parse(parser)) != NULL) {
        err = take_event(reader, event);
        fy_parser_event_free(parser, event);
    }
    if (err == ERR_OK && fy_parser_get_stream_error(parser))
        err = refuse_syntax(reader, diag);
    return err;
}

static enum err read_text(struct yaml_reader *reader)
{
    const struct fy_diag_cfg diag_config = {.level = FYET_ERROR};
    struct fy_diag *diag = fy_diag_create(&diag_config);
    if (diag == NULL)
        return refuse_at(reader, reader->last, ERR_NO_MEMORY, "out of memory");
    fy_diag_set_collect_errors(diag, true);
    const struct fy_parse_cfg config = {
        .flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE,
        .diag = diag,
    };
    enum err err;
    struct fy_parser *parser = fy_parser_create(&config);
    if (parser == NULL || fy_parser_set_string(parser, reader->text.data, reader->text.len) != 0)
        err = refuse_at(reader, reader->last, ERR_NO_MEMORY, "out of memory");
    else
        err = read_events(reader, parser, diag);
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    return err;
}

/* Shapes that libfyaml needs quadratic time for (a minute for 256 KiB), found by trying: they are
 * no part of files that people write. */
struct shape_watch {
    size_t column;
    size_t blank_run; /* blanks and line ends in a row */
};

static const char *watch_shape(struct shape_watch *watch, char c)
{
    bool is_line_end = c == '\n' || c == '\r';
    if (c == '%' && watch->column == 0)
        return "%directives are not taken; no line may start with a percent sign";
    watch->column = is_line_end ? 0 : watch->column + 1;
    watch->blank_run = is_line_end || c == ' ' || c == '\t' ? watch->blank_run + 1 : 0;
    return watch->blank_run > BLANK_RUN_MAX ? "too many blanks or empty lines follow each other"
                                            : NULL;
}

/* "? key" in a place where a node may start. libfyaml 0.7.12 corrupts its memory on some texts with
 * explicit keys
 * ("? b: <tab>:"), so they never reach it; a line of a block text that looks so has to be written
 * otherwise. */
static bool is_explicit_key(struct slice text, size_t at)
{
    char next = at + 1 < text.len ? text.data[at + 1] : '\n';
    if (text.data[at] != '?' || strchr(" \t\r\n", next) == NULL)
        return false;
    size_t before = at;
    while (before > 0 && (text.data[before - 1] == ' ' || text.data[before - 1] == '\t'))
        before--;
    if (before == 0 || text.data[before - 1] == '\n' || text.data[before - 1] == '\r')
        return true;
    return before < at && strchr("-:?", text.data[before - 1]) != NULL;
}

/* What no YAML text may hold; libfyaml is not asked. */
static enum err check_bytes(struct yaml_reader *reader)
{
    struct slice text = reader->text;
    struct shape_watch watch = {0};
    for (size_t i = 0; i < text.len;) {
        size_t len = slice_utf8_len(slice_make(text.data + i, text.len - i));
        unsigned char c = (unsigned char)text.data[i];
        bool is_control = (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F;
        if (len == 0 || is_control)
            return refuse_at(reader, json_place_of_offset(text, i), ERR_INVALID,
                             len == 0 ? "is not valid UTF-8"
                                      : "holds a control character; write it as an escape");
        const char *odd = watch_shape(&watch, text.data[i]);
        if (len == 3 && memcmp(text.data + i, "\xEF\xBB\xBF", 3) == 0)
            odd = "a byte order mark stands within the text";
        if (is_explicit_key(text, i))
            odd = "a question mark for a key is not taken; write \"key: value\"";
        if (odd != NULL)
            return refuse_at(reader, json_place_of_offset(text, i), ERR_INVALID, odd);
        i += len;
    }
    return ERR_OK;
}

static enum err finish(struct yaml_reader *reader, struct json_document **out_document)
{
    if (!reader->has_root) {
        enum err err = note_value(reader, reader->last);
        if (err != ERR_OK)
            return err;
        json_null(&reader->writer);
    }
    if (json_writer_finish(&reader->writer) != ERR_OK)
        return refuse_at(reader, reader->last, ERR_NO_MEMORY, "out of memory");
    char *copy = malloc(reader->text.len + 1);
    if (copy == NULL)
        return refuse_at(reader, reader->last, ERR_NO_MEMORY, "out of memory");
    if (reader->text.len > 0)
        memcpy(copy, reader->text.data, reader->text.len);
    copy[reader->text.len] = '\0';
    struct json_place *places = reader->places.data;
    size_t place_count = reader->places.len;
    reader->places = (struct vector){0}; /* the document owns them now */
    return json_document_make(buffer_slice(&reader->json), reader->limits, copy, reader->text.len,
                              places, place_count, out_document, reader->fault);
}

enum err yaml_parse(struct slice text, const struct json_limits *limits,
                    struct json_document **out_document, struct fault *fault)
{
    ASSERT(limits->depth <= JSON_DEPTH_MAX);
    if (text.len > limits->bytes)
        return fault_set(fault, ERR_LIMIT, NULL, "is longer than %zu bytes", limits->bytes);
    const struct slice mark = SLICE_LITERAL("\xEF\xBB\xBF");
    if (slice_has_prefix(text, mark)) /* a byte order mark says nothing about UTF-8 */
        text = slice_make(text.data + mark.len, text.len - mark.len);
    struct yaml_reader reader = {
        .text = text, .limits = limits, .fault = fault, .last = {1, 1, 0, 0}};
    buffer_init(&reader.json, (text.len + 64) * JSON_GROWTH_MAX);
    buffer_init(&reader.scalar, text.len * 2 + 64); /* quoting and folding only shorten */
    vector_init(&reader.places, sizeof(struct json_place), limits->values);
    json_writer_init(&reader.writer, &reader.json);
    enum err err = check_bytes(&reader);
    if (err == ERR_OK && text.len > 0)
        err = read_text(&reader);
    if (err == ERR_OK)
        err = finish(&reader, out_document);
    vector_deinit(&reader.places);
    buffer_deinit(&reader.scalar);
    buffer_deinit(&reader.json);
    return err;
}
