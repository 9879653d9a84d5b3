/* Reading JSON, strictly, and reading values of JSON or YAML (yaml.h makes the same values).
 *
 * json_parse refuses: anything past the limits, duplicate keys, invalid UTF-8, numbers that fit
 * neither int64, uint64 nor (with a fraction or an exponent) a finite double, NUL characters in
 * strings, comments, trailing commas, bytes after the value. Nothing recurses on input.
 *
 * A `struct json_value` is a cursor into a document: copy it freely; it lives as long as its
 * document. A value that is not there is a value too: of type JSON_MISSING. Every `json_to_...` and
 * `json_get_...` that fails fills the fault with the path of the field
 * ("resources.any_of[2].cpus"), its line and column in the source, and a message that says what it
 * must be.
 *
 *     struct json_value spec;
 *     uint64_t nodes = 1;
 *     if ((err = json_get_object(root, "spec", &spec, fault))) return err;         // required
 *     if ((err = json_opt_u64(spec, "num_nodes", 1, 4096, &nodes, fault))) return err; // else
 * stays 1
 *
 * Threading: a document may be read by many threads at once. */
#ifndef LQ_WIRE_JSON_H
#define LQ_WIRE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "base/money.h"
#include "base/slice.h"
#include "base/time.h"

struct json_limits {
    size_t bytes;
    uint32_t depth;  /* containers within each other; a scalar alone has depth 0; at most 48 */
    uint32_t values; /* scalars, keys and containers together */
};

/* 1 MiB, depth 32, 200,000 values: for requests from people and programs. */
extern const struct json_limits JSON_LIMITS_REQUEST;
/* 64 MiB, depth 32, 8,000,000 values: for our own files and batches. */
extern const struct json_limits JSON_LIMITS_FILE;

struct json_document;

struct json_value {
    const struct json_document *document;
    const void *node; /* NULL: missing */
};

enum json_type {
    JSON_MISSING = 0,
    JSON_NULL,
    JSON_BOOL,
    JSON_INTEGER, /* fits int64 or uint64 */
    JSON_REAL,    /* written with a fraction or an exponent */
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

/* The text is copied. ERR_INVALID (fault: line, column, and the path for duplicate keys), ERR_LIMIT
 * (the fault names the limit), ERR_NO_MEMORY. */
enum err json_parse(struct slice text, const struct json_limits *limits,
                    struct json_document **out_document, struct fault *fault) LQ_CHECKED;
void json_document_destroy(struct json_document *document); /* accepts NULL */
struct json_value json_root(const struct json_document *document);

/* ---- looking ---- */

enum json_type json_type_of(struct json_value value);
bool json_is_missing(struct json_value value);
bool json_is_null(struct json_value value);
/* Members of an object, elements of an array; 0 for anything else. */
size_t json_count(struct json_value value);
/* Missing when `object` is no object or has no such member. O(members). */
struct json_value json_object_get(struct json_value object, const char *name);
struct json_value json_object_find(struct json_value object, struct slice name);
/* O(index). */
struct json_value json_array_at(struct json_value array, size_t index);

/* Walk members or elements in their order:
 *     struct json_iterator it = json_iterate(value);
 *     while (json_next(&it)) { it.key (objects), it.value, it.index }      */
struct json_iterator {
    struct slice key;
    struct json_value value;
    size_t index;
    size_t left; /* private, like those below */
    const void *next;
    bool is_object;
};
struct json_iterator json_iterate(struct json_value value);
bool json_next(struct json_iterator *iterator);

/* The value as it stands in the source, quotes included; empty for missing ones. Searches from the
 * start of the source: for messages, not for decoding. */
struct slice json_source(struct json_value value);

/* ---- refusing ---- */

/* Fill `fault` with the value's path, line and column and the message; return `code`. For a missing
 * member use json_refuse_member on its object. */
enum err json_refuse(struct json_value value, struct fault *fault, enum err code,
                     const char *format, ...) LQ_PRINTF(4, 5);
enum err json_refuse_member(struct json_value object, const char *name, struct fault *fault,
                            enum err code, const char *format, ...) LQ_PRINTF(5, 6);
/* ERR_INVALID when `object` is no object, or has a member not in `known`: names it and the nearest
 * known one. */
enum err json_object_check_keys(struct json_value object, const char *const known[], size_t count,
                                struct fault *fault) LQ_CHECKED;

/* ---- converting: ERR_INVALID (and for ids ERR_INVALID) with a fault; outputs untouched on failure
 * ---- */

enum err json_to_u64(struct json_value value, uint64_t min, uint64_t max, uint64_t *out,
                     struct fault *fault) LQ_CHECKED;
enum err json_to_i64(struct json_value value, int64_t min, int64_t max, int64_t *out,
                     struct fault *fault) LQ_CHECKED;
/* Integers are taken too. */
enum err json_to_f64(struct json_value value, double min, double max, double *out,
                     struct fault *fault) LQ_CHECKED;
enum err json_to_bool(struct json_value value, bool *out, struct fault *fault) LQ_CHECKED;
/* At most `len_max` bytes of UTF-8 without NUL; lives as long as the document and is
 * NUL-terminated. */
enum err json_to_string(struct json_value value, size_t len_max, struct slice *out,
                        struct fault *fault) LQ_CHECKED;
/* A string, or a number or boolean as it was written (`PORT: 8080`, `VERSION: 1.10`); copied to
 * `arena`. ERR_NO_MEMORY too. */
enum err json_to_text(struct json_value value, size_t len_max, struct arena *arena,
                      struct slice *out, struct fault *fault) LQ_CHECKED;
enum err json_to_object(struct json_value value, struct json_value *out,
                        struct fault *fault) LQ_CHECKED;
/* At most `count_max` elements. */
enum err json_to_array(struct json_value value, size_t count_max, struct json_value *out,
                       struct fault *fault) LQ_CHECKED;
/* The text form ("job_01j9…") of the type that `prefix` names. */
enum err json_to_id(struct json_value value, const char *prefix, struct id *out,
                    struct fault *fault) LQ_CHECKED;
/* "12.5" or the number 12.5; at most six decimals. */
enum err json_to_money(struct json_value value, struct money *out, struct fault *fault) LQ_CHECKED;
/* "10m", "1h30m" (span_parse). */
enum err json_to_span(struct json_value value, struct span_ms *out, struct fault *fault) LQ_CHECKED;
/* RFC 3339 text (wall_parse). */
enum err json_to_wall(struct json_value value, struct wall_us *out, struct fault *fault) LQ_CHECKED;
/* "16GiB" (units_parse_bytes). */
enum err json_to_bytes(struct json_value value, uint64_t max, uint64_t *out,
                       struct fault *fault) LQ_CHECKED;
/* 2, 0.5, "0.5" or "500m" (units_parse_millicpus). */
enum err json_to_millicpus(struct json_value value, uint64_t max, uint64_t *out,
                           struct fault *fault) LQ_CHECKED;
/* The index in `names` of the string; a refusal lists the names or the nearest one. */
enum err json_to_choice(struct json_value value, const char *const names[], size_t count,
                        unsigned *out, struct fault *fault) LQ_CHECKED;

/* ---- members ----
 * get: required; missing and null are refused with "is required".
 * opt: when the member is missing or null, *out stays as it is and the result is ERR_OK. */

enum err json_get_u64(struct json_value object, const char *name, uint64_t min, uint64_t max,
                      uint64_t *out, struct fault *fault) LQ_CHECKED;
enum err json_opt_u64(struct json_value object, const char *name, uint64_t min, uint64_t max,
                      uint64_t *out, struct fault *fault) LQ_CHECKED;
enum err json_get_u32(struct json_value object, const char *name, uint32_t min, uint32_t max,
                      uint32_t *out, struct fault *fault) LQ_CHECKED;
enum err json_opt_u32(struct json_value object, const char *name, uint32_t min, uint32_t max,
                      uint32_t *out, struct fault *fault) LQ_CHECKED;
enum err json_get_i64(struct json_value object, const char *name, int64_t min, int64_t max,
                      int64_t *out, struct fault *fault) LQ_CHECKED;
enum err json_opt_i64(struct json_value object, const char *name, int64_t min, int64_t max,
                      int64_t *out, struct fault *fault) LQ_CHECKED;
enum err json_get_f64(struct json_value object, const char *name, double min, double max,
                      double *out, struct fault *fault) LQ_CHECKED;
enum err json_opt_f64(struct json_value object, const char *name, double min, double max,
                      double *out, struct fault *fault) LQ_CHECKED;
enum err json_get_bool(struct json_value object, const char *name, bool *out,
                       struct fault *fault) LQ_CHECKED;
enum err json_opt_bool(struct json_value object, const char *name, bool *out,
                       struct fault *fault) LQ_CHECKED;
enum err json_get_string(struct json_value object, const char *name, size_t len_max,
                         struct slice *out, struct fault *fault) LQ_CHECKED;
enum err json_opt_string(struct json_value object, const char *name, size_t len_max,
                         struct slice *out, struct fault *fault) LQ_CHECKED;
enum err json_get_text(struct json_value object, const char *name, size_t len_max,
                       struct arena *arena, struct slice *out, struct fault *fault) LQ_CHECKED;
enum err json_opt_text(struct json_value object, const char *name, size_t len_max,
                       struct arena *arena, struct slice *out, struct fault *fault) LQ_CHECKED;
enum err json_get_object(struct json_value object, const char *name, struct json_value *out,
                         struct fault *fault) LQ_CHECKED;
enum err json_opt_object(struct json_value object, const char *name, struct json_value *out,
                         struct fault *fault) LQ_CHECKED;
enum err json_get_array(struct json_value object, const char *name, size_t count_max,
                        struct json_value *out, struct fault *fault) LQ_CHECKED;
enum err json_opt_array(struct json_value object, const char *name, size_t count_max,
                        struct json_value *out, struct fault *fault) LQ_CHECKED;
enum err json_get_id(struct json_value object, const char *name, const char *prefix, struct id *out,
                     struct fault *fault) LQ_CHECKED;
enum err json_opt_id(struct json_value object, const char *name, const char *prefix, struct id *out,
                     struct fault *fault) LQ_CHECKED;
enum err json_get_money(struct json_value object, const char *name, struct money *out,
                        struct fault *fault) LQ_CHECKED;
enum err json_opt_money(struct json_value object, const char *name, struct money *out,
                        struct fault *fault) LQ_CHECKED;
enum err json_get_span(struct json_value object, const char *name, struct span_ms *out,
                       struct fault *fault) LQ_CHECKED;
enum err json_opt_span(struct json_value object, const char *name, struct span_ms *out,
                       struct fault *fault) LQ_CHECKED;
enum err json_get_wall(struct json_value object, const char *name, struct wall_us *out,
                       struct fault *fault) LQ_CHECKED;
enum err json_opt_wall(struct json_value object, const char *name, struct wall_us *out,
                       struct fault *fault) LQ_CHECKED;
enum err json_get_bytes(struct json_value object, const char *name, uint64_t max, uint64_t *out,
                        struct fault *fault) LQ_CHECKED;
enum err json_opt_bytes(struct json_value object, const char *name, uint64_t max, uint64_t *out,
                        struct fault *fault) LQ_CHECKED;
enum err json_get_millicpus(struct json_value object, const char *name, uint64_t max, uint64_t *out,
                            struct fault *fault) LQ_CHECKED;
enum err json_opt_millicpus(struct json_value object, const char *name, uint64_t max, uint64_t *out,
                            struct fault *fault) LQ_CHECKED;
enum err json_get_choice(struct json_value object, const char *name, const char *const names[],
                         size_t count, unsigned *out, struct fault *fault) LQ_CHECKED;
enum err json_opt_choice(struct json_value object, const char *name, const char *const names[],
                         size_t count, unsigned *out, struct fault *fault) LQ_CHECKED;

#endif
