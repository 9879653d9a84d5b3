/* A borrowed run of bytes: pointer and length, not NUL-terminated, owns nothing.
 * A slice lives as long as what it points into; functions that keep one say so. */
#ifndef LQ_BASE_SLICE_H
#define LQ_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct slice {
    const char *data;
    size_t len;
};

#define SLICE_LITERAL(text) ((struct slice){(text), sizeof(text) - 1})
/* For printf: "%.*s", SLICE_ARG(s) */
#define SLICE_ARG(s) (int)(s).len, (s).data

struct slice slice_of(const char *text); /* NULL gives an empty slice */
struct slice slice_make(const void *data, size_t len);
bool slice_is_equal(struct slice a, struct slice b);
bool slice_is(struct slice a, const char *text);
int slice_compare(struct slice a, struct slice b); /* bytes, then length; like memcmp */
bool slice_has_prefix(struct slice s, struct slice prefix);
bool slice_has_suffix(struct slice s, struct slice suffix);
/* Split at the first `separator`: *out_head before it, *out_tail after it. False: not found,
 * outputs untouched. */
bool slice_cut(struct slice s, char separator, struct slice *out_head, struct slice *out_tail);
struct slice slice_trim(struct slice s); /* spaces and tabs at both ends */
bool slice_is_utf8(struct slice s);      /* strict: no surrogates, no overlong forms */
/* Bytes of the well-formed UTF-8 character at the front, 1 to 4; 0: none, or empty. */
size_t slice_utf8_len(struct slice s);
/* Whole slice as a number; ERR_INVALID on anything else, ERR_LIMIT when it does not fit. */
enum err slice_parse_u64(struct slice s, uint64_t *out_value) LQ_CHECKED;
enum err slice_parse_i64(struct slice s, int64_t *out_value) LQ_CHECKED;
/* Number of single-character edits between a and b (both at most 64 bytes, else returns 64);
 * for "did you mean". */
unsigned slice_distance(struct slice a, struct slice b);

#endif
