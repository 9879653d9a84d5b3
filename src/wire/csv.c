#include "wire/csv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void csv_init(struct csv_reader *reader, struct slice input, struct arena *arena)
{
    memset(reader, 0, sizeof(*reader));
    if (slice_has_prefix(input, SLICE_LITERAL("\xef\xbb\xbf")))
        input = slice_make(input.data + 3, input.len - 3);
    reader->input = input;
    reader->arena = arena;
    reader->line = 1;
    reader->column = 1;
}

static bool is_end(const struct csv_reader *reader)
{
    return reader->at >= reader->input.len;
}

static char peek(const struct csv_reader *reader)
{
    return reader->input.data[reader->at];
}

static void advance(struct csv_reader *reader)
{
    if (peek(reader) == '\n') {
        reader->line++;
        reader->column = 0;
    }
    reader->at++;
    reader->column++;
}

static enum err refuse_at(const struct csv_reader *reader, struct fault *fault, enum err code,
                          const char *message)
{
    (void)fault_set(fault, code, NULL, "%s", message);
    if (fault != NULL) {
        fault->line = reader->line;
        fault->column = reader->column;
    }
    return code;
}

/* A line ends with LF or CRLF; a CR elsewhere is a character like any other in a quoted field and
 * refused in a plain one. */
static bool is_line_end(const struct csv_reader *reader)
{
    if (peek(reader) == '\n')
        return true;
    return peek(reader) == '\r' && reader->at + 1 < reader->input.len &&
           reader->input.data[reader->at + 1] == '\n';
}

static void skip_line_end(struct csv_reader *reader)
{
    if (peek(reader) == '\r')
        advance(reader);
    advance(reader);
}

static enum err read_plain(struct csv_reader *reader, struct csv_field *field, struct fault *fault)
{
    size_t start = reader->at;

    while (!is_end(reader) && peek(reader) != ',' && !is_line_end(reader)) {
        if (peek(reader) == '"')
            return refuse_at(reader, fault, ERR_INVALID,
                             "a quote stands inside a field that does not begin with one");
        if (peek(reader) == '\0' || peek(reader) == '\r')
            return refuse_at(reader, fault, ERR_INVALID, "a control character");
        advance(reader);
    }
    field->value = slice_make(reader->input.data + start, reader->at - start);
    return ERR_OK;
}

/* Undoes doubled quotes, into the arena. */
static enum err unquote(struct csv_reader *reader, struct slice raw, struct slice *out,
                        struct fault *fault)
{
    char *text = arena_alloc(reader->arena, raw.len + 1);
    size_t len = 0;

    if (text == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for a field");
    for (size_t i = 0; i < raw.len; i++) {
        text[len++] = raw.data[i];
        if (raw.data[i] == '"')
            i++;
    }
    *out = slice_make(text, len);
    return ERR_OK;
}

static enum err read_quoted(struct csv_reader *reader, struct csv_field *field, struct fault *fault)
{
    struct csv_reader opening = *reader;
    bool has_doubled = false;
    struct slice raw;
    size_t start;

    advance(reader);
    start = reader->at;
    for (;;) {
        if (is_end(reader))
            return refuse_at(&opening, fault, ERR_INVALID, "the quote is never closed");
        if (peek(reader) == '\0')
            return refuse_at(reader, fault, ERR_INVALID, "a control character");
        if (peek(reader) == '"') {
            if (reader->at + 1 >= reader->input.len || reader->input.data[reader->at + 1] != '"')
                break;
            has_doubled = true;
            advance(reader);
        }
        advance(reader);
    }
    raw = slice_make(reader->input.data + start, reader->at - start);
    advance(reader);
    if (!is_end(reader) && peek(reader) != ',' && !is_line_end(reader))
        return refuse_at(reader, fault, ERR_INVALID,
                         "after the closing quote a comma or the end of the line must follow");
    field->value = raw;
    return has_doubled ? unquote(reader, raw, &field->value, fault) : ERR_OK;
}

enum err csv_next(struct csv_reader *reader, bool *out_has, struct fault *fault)
{
    reader->field_count = 0;
    while (!is_end(reader) && is_line_end(reader))
        skip_line_end(reader);
    if (is_end(reader)) {
        *out_has = false;
        return ERR_OK;
    }
    for (;;) {
        struct csv_field *field = &reader->fields[reader->field_count];
        enum err err;
        if (reader->field_count == CSV_FIELDS_MAX)
            return refuse_at(reader, fault, ERR_LIMIT, "a line has too many fields");
        *field = (struct csv_field){.line = reader->line, .column = reader->column};
        if (!is_end(reader) && peek(reader) == '"')
            err = read_quoted(reader, field, fault);
        else
            err = read_plain(reader, field, fault);
        if (err != ERR_OK)
            return err;
        reader->field_count++;
        if (is_end(reader) || is_line_end(reader))
            break;
        advance(reader); /* the comma */
    }
    if (!is_end(reader))
        skip_line_end(reader);
    *out_has = true;
    return ERR_OK;
}

int csv_column(const struct csv_reader *reader, const char *name)
{
    for (uint32_t i = 0; i < reader->field_count; i++)
        if (slice_is(slice_trim(reader->fields[i].value), name))
            return (int)i;
    return -1;
}

enum err csv_refuse(const struct csv_field *field, struct fault *fault, enum err code,
                    const char *format, ...)
{
    char message[FAULT_MESSAGE_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    (void)fault_set(fault, code, NULL, "%s", message);
    if (fault != NULL) {
        fault->line = field->line;
        fault->column = field->column;
    }
    return code;
}
