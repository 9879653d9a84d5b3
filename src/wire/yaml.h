/* Reading YAML 1.2 into the same values as JSON (json.h), with lines and columns in every error.
 *
 * Refused: anchors, aliases and tags (so nothing can grow by reference), duplicate keys, keys that
 * are not scalars, keys after a question mark, more than one document, %directives and any line
 * that starts with a percent sign, tabs as indentation, invalid UTF-8, NUL and other control
 * characters, more than 600 blanks and line ends in a row, anything past the limits.
 *
 * Plain (unquoted) scalars:
 *   nothing, ~, null             null
 *   true, false                  boolean; True, TRUE, yes, no, on, off stay strings
 *   12, -7                       whole number (as JSON writes it); it must fit int64 or uint64
 *   1.5, 1e3, -2.5e-3            real number (as JSON writes it)
 *   0x10, 0o17, 010, 1_000, +1, .5, 1., .inf, 12:30, 2026-11-22      strings
 * So a number field refuses "0x10" with a clear message instead of guessing. Quoted and block
 * scalars are always strings. Keys are always strings. */
#ifndef LQ_WIRE_YAML_H
#define LQ_WIRE_YAML_H

#include "base/err.h"
#include "base/slice.h"
#include "wire/json.h"

/* 256 KiB, depth 24, 20,000 values: for job, topology and configuration files. */
extern const struct json_limits YAML_LIMITS;

/* As json_parse; depth is at most 48. JSON is accepted too, but for tabs and escapes that YAML
 * lacks. An empty text is a null. */
enum err yaml_parse(struct slice text, const struct json_limits *limits,
                    struct json_document **out_document, struct fault *fault) LQ_CHECKED;

#endif
