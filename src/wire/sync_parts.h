/* Private to wire/sync*.c and wire/gate.c: reading members of one object with a sticky error, and
 * the small values that several messages share.
 *
 * `struct fields` remembers the first error; every later read is a no-op that leaves its output
 * alone, so a decoder reads all members in a row and looks at `err` once. */
#ifndef LQ_WIRE_SYNC_PARTS_H
#define LQ_WIRE_SYNC_PARTS_H

#include "base/arena.h"
#include "model/attempt.h"
#include "wire/json.h"
#include "wire/json_writer.h"

struct fields {
    struct json_value object;
    struct arena *arena; /* texts are copied into it */
    struct fault *fault;
    enum err err;
};

/* `value` must be an object. */
void fields_begin(struct fields *fields, struct json_value value, struct arena *arena,
                  struct fault *fault);
void fields_u64(struct fields *fields, const char *name, uint64_t *out);
void fields_opt_u64(struct fields *fields, const char *name, uint64_t *out);
void fields_u32(struct fields *fields, const char *name, uint32_t max, uint32_t *out);
void fields_opt_u32(struct fields *fields, const char *name, uint32_t max, uint32_t *out);
void fields_opt_i64(struct fields *fields, const char *name, int64_t min, int64_t *out);
void fields_opt_i32(struct fields *fields, const char *name, int32_t *out);
void fields_opt_bool(struct fields *fields, const char *name, bool *out);
/* Milliseconds as an integer, `min_ms` or more; missing: left alone. */
void fields_opt_span(struct fields *fields, const char *name, int64_t min_ms, struct span_ms *out);
void fields_id(struct fields *fields, const char *name, const char *prefix, struct id *out);
void fields_opt_id(struct fields *fields, const char *name, const char *prefix, struct id *out);
void fields_string(struct fields *fields, const char *name, size_t len_max, struct slice *out);
void fields_opt_string(struct fields *fields, const char *name, size_t len_max, struct slice *out);
void fields_choice(struct fields *fields, const char *name, const char *const names[], size_t count,
                   unsigned *out);
/* An attempt's token in its text form, "lq-<epoch>-<job>-<number>". */
void fields_token(struct fields *fields, const char *name, struct attempt_token *out);
void fields_opt_outcome(struct fields *fields, const char *name, enum outcome *out);
void fields_opt_revoke(struct fields *fields, const char *name, enum revoke_reason *out);
/* A JSON object, copied in compact form; missing: empty. */
void fields_opt_json(struct fields *fields, const char *name, size_t len_max, struct slice *out);
/* Missing: an empty array. */
void fields_opt_array(struct fields *fields, const char *name, size_t count_max,
                      struct json_value *out);
/* Zeroed room for the elements of `array` in the arena; NULL when there are none, or on error. */
void *fields_room(struct fields *fields, struct json_value array, size_t item_size,
                  uint32_t *out_count);

enum err token_from_json(struct json_value value, struct attempt_token *out, struct fault *fault);
void token_put(struct json_writer *writer, const char *name, const struct attempt_token *token);
void token_write(struct json_writer *writer, const struct attempt_token *token);
/* Left out when zero. */
void span_put(struct json_writer *writer, const char *name, struct span_ms span);
/* Three members, left out when nothing was said. */
void progress_put(struct json_writer *writer, const struct attempt_progress *progress);
void fields_opt_progress(struct fields *fields, struct attempt_progress *out);
void outcome_put(struct json_writer *writer, const char *name, enum outcome outcome);
void revoke_put(struct json_writer *writer, const char *name, enum revoke_reason reason);

#endif
