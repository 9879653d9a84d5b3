/* What json.c and yaml.c share about a document; private to src/wire.
 *
 * Invariant: `values` holds every key and value in the order of the source, from its root on, so
 * that the place of a value is found by its number: for JSON by counting again through `text`, for
 * YAML in `places`. */
#ifndef LQ_WIRE_JSON_DOCUMENT_H
#define LQ_WIRE_JSON_DOCUMENT_H

#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

#include "wire/json.h"

enum { JSON_DEPTH_MAX = 48 };

struct json_place {
    uint32_t line; /* 1-based */
    uint32_t column;
    uint32_t offset; /* of the source text */
    uint32_t len;
};

struct json_document {
    yyjson_doc *values; /* real numbers: tag >> 8 is their offset in `text` */
    char *text;         /* the source as it came, NUL-terminated */
    size_t text_len;
    struct json_place *places; /* YAML: one for each value; JSON: NULL */
    size_t place_count;
};

/* Line and column, both from 1, of a byte in a text; columns count characters. */
struct json_place json_place_of_offset(struct slice text, size_t offset);
/* The place of value number `index`, in either kind of document. */
struct json_place json_place_of_index(const struct json_document *document, size_t index);
/* A walk from token to token; start with {0, 0}. Finds the offset of token `index`, which must not
 * lie before the last one asked for. */
struct json_token_walk {
    size_t index;
    size_t offset;
};
size_t json_token_offset(const char *text, struct json_token_walk *walk, size_t index);
/* A real number as it was written. Its offset is kept in the bits of the node that hold the length
 * of other values, so that this takes no search. */
struct slice json_real_text(struct json_value value);
/* Path of a key or value: "resources.any_of[2].cpus", "" for the root. Cut to `cap` with its NUL.
 */
void json_path_of_node(const struct json_document *document, const yyjson_val *node, char *out,
                       size_t cap);
/* `bytes` fit to be quoted in a message: control characters replaced, long texts cut with "...". */
enum { JSON_QUOTE_MAX = 72 };
const char *json_quote(struct slice bytes, char out[JSON_QUOTE_MAX]);

/* Takes over text and places (also on failure): parses `json`, which says the same as `text`, and
 * checks it. */
enum err json_document_make(struct slice json, const struct json_limits *limits, char *text,
                            size_t text_len, struct json_place *places, size_t place_count,
                            struct json_document **out_document, struct fault *fault) LQ_CHECKED;

#endif
