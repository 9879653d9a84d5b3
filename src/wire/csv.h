/* Reading CSV (RFC 4180): quoted fields with doubled quotes and line breaks inside, CRLF or LF.
 * Stricter than the RFC in that a quote inside a plain field, text after a closing quote, a NUL and
 * an open quote at the end are refused (ERR_INVALID with line and column, both from 1, column in
 * bytes). A UTF-8 byte-order mark at the start is skipped. An empty line is skipped. Values are
 * slices of the input, or of `arena` where doubled quotes had to be undone. */
#ifndef LQ_WIRE_CSV_H
#define LQ_WIRE_CSV_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

enum { CSV_FIELDS_MAX = 256 };

struct csv_field {
    struct slice value;
    uint32_t line, column; /* where it starts */
};

struct csv_reader {
    struct slice input;
    struct arena *arena;
    size_t at;
    uint32_t line, column;
    struct csv_field fields[CSV_FIELDS_MAX];
    uint32_t field_count;
};

void csv_init(struct csv_reader *reader, struct slice input, struct arena *arena);
/* Reads the next record into fields. *out_has false: no more. ERR_INVALID, ERR_LIMIT (too many
 * fields), ERR_NO_MEMORY. */
enum err csv_next(struct csv_reader *reader, bool *out_has, struct fault *fault) LQ_CHECKED;
/* Index of the named field of the current record (a header); -1: none. */
int csv_column(const struct csv_reader *reader, const char *name);
/* Fill `fault` with the field's position; returns `code`. */
enum err csv_refuse(const struct csv_field *field, struct fault *fault, enum err code,
                    const char *format, ...) LQ_PRINTF(4, 5);

#endif
