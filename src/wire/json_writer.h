/* Writing JSON, straight into a buffer: no tree, same calls give the same bytes.
 *
 * Misuse is a programmer's mistake and asserted: a member without a key, a key in an array, an end
 * that does not match, two root values, a document that is not finished at json_writer_finish.
 * Bytes that are not UTF-8 become U+FFFD; control characters are escaped. */
#ifndef LQ_WIRE_JSON_WRITER_H
#define LQ_WIRE_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/err.h"
#include "base/id.h"
#include "base/money.h"
#include "base/slice.h"
#include "base/time.h"
#include "wire/json.h"

enum { JSON_WRITER_DEPTH_MAX = 64 };

struct json_writer {
    struct buffer *out;  /* borrowed */
    uint64_t in_object;  /* bit per depth */
    uint64_t has_member; /* bit per depth: a comma is due */
    uint32_t depth;
    bool after_key;
    bool is_done;
    uint8_t indent; /* spaces per level; 0: one line, no spaces */
};

void json_writer_init(struct json_writer *writer, struct buffer *out);
/* For people: each member on a line of its own. */
void json_writer_init_indented(struct json_writer *writer, struct buffer *out, uint8_t spaces);
/* Asserts that the root value is complete. Gives the buffer's status: ERR_OK, ERR_LIMIT,
 * ERR_NO_MEMORY. */
enum err json_writer_finish(struct json_writer *writer) LQ_CHECKED;

void json_begin_object(struct json_writer *writer);
void json_end_object(struct json_writer *writer);
void json_begin_array(struct json_writer *writer);
void json_end_array(struct json_writer *writer);
void json_key(struct json_writer *writer, const char *name);
void json_key_slice(struct json_writer *writer, struct slice name);

void json_string(struct json_writer *writer, struct slice text);
void json_text(struct json_writer *writer, const char *text); /* NULL writes null */
void json_u64(struct json_writer *writer, uint64_t value);
void json_i64(struct json_writer *writer, int64_t value);
/* Shortest text that reads back the same; not-a-number and infinities write null. */
void json_f64(struct json_writer *writer, double value);
void json_bool(struct json_writer *writer, bool value);
void json_null(struct json_writer *writer);
void json_money(struct json_writer *writer, struct money amount); /* a string: "12.50" */
void json_span(struct json_writer *writer, struct span_ms span);  /* a string: "90m", exact */
void json_wall(struct json_writer *writer, struct wall_us at);    /* a string, RFC 3339 */
void json_id(struct json_writer *writer, struct id id, const char *prefix); /* none writes null */
/* Bytes that are one JSON value already; trusted. */
void json_raw(struct json_writer *writer, struct slice json);
/* A value that was read, written again in compact form; integers, strings and order stay as they
 * were. */
void json_copy(struct json_writer *writer, struct json_value value);

/* Key and value in one call. */
void json_put_string(struct json_writer *writer, const char *name, struct slice text);
void json_put_text(struct json_writer *writer, const char *name, const char *text);
void json_put_u64(struct json_writer *writer, const char *name, uint64_t value);
void json_put_i64(struct json_writer *writer, const char *name, int64_t value);
void json_put_f64(struct json_writer *writer, const char *name, double value);
void json_put_bool(struct json_writer *writer, const char *name, bool value);
void json_put_null(struct json_writer *writer, const char *name);
void json_put_money(struct json_writer *writer, const char *name, struct money amount);
void json_put_span(struct json_writer *writer, const char *name, struct span_ms span);
void json_put_wall(struct json_writer *writer, const char *name, struct wall_us at);
void json_put_id(struct json_writer *writer, const char *name, struct id id, const char *prefix);

#endif
