/* Private to the decoders and encoders of nouns (spec, doc, row, topology): reading the members of
 * one object with a sticky error. After the first failure every further read is a no-op that leaves
 * its output alone, so a decoder reads all members in a row and looks at `err` once.
 *
 * "opt" readings leave the output alone when the member is missing or null; "need" ones refuse
 * that. Texts are copied into the arena. Not thread-safe. */
#ifndef LQ_WIRE_VALUE_H
#define LQ_WIRE_VALUE_H

#include "base/arena.h"
#include "model/job.h"
#include "model/maybe.h"
#include "wire/json.h"
#include "wire/json_writer.h"

struct value_reader {
    struct json_value object;
    struct arena *arena;
    struct fault *fault;
    enum err err;
};

/* `value` must be an object. `known`: all members it may have, NULL: any (what is not known is
 * passed over). */
void value_begin(struct value_reader *reader, struct json_value value, const char *const known[],
                 size_t known_count, struct arena *arena, struct fault *fault);
/* Missing and null are one: of type JSON_MISSING. */
struct json_value value_member(struct value_reader *reader, const char *name);
/* Takes over an error from outside the reader. */
void value_fail(struct value_reader *reader, enum err err);
void value_refuse(struct value_reader *reader, const char *name, enum err code,
                  const char *message);

void value_need_string(struct value_reader *reader, const char *name, size_t len_max,
                       struct slice *out);
void value_opt_string(struct value_reader *reader, const char *name, size_t len_max,
                      struct slice *out);
/* A number or boolean is taken as it was written. */
void value_opt_text(struct value_reader *reader, const char *name, size_t len_max,
                    struct slice *out);
void value_need_u64(struct value_reader *reader, const char *name, uint64_t max, uint64_t *out);
void value_opt_u64(struct value_reader *reader, const char *name, uint64_t min, uint64_t max,
                   uint64_t *out);
void value_opt_u32(struct value_reader *reader, const char *name, uint32_t min, uint32_t max,
                   uint32_t *out);
void value_opt_i64(struct value_reader *reader, const char *name, int64_t min, int64_t max,
                   int64_t *out);
void value_opt_bool(struct value_reader *reader, const char *name, bool *out);
void value_need_id(struct value_reader *reader, const char *name, const char *prefix,
                   struct id *out);
void value_opt_id(struct value_reader *reader, const char *name, const char *prefix,
                  struct id *out);
/* Zero is refused: "leave it out". */
void value_opt_span(struct value_reader *reader, const char *name, struct span_ms *out);
void value_opt_wall(struct value_reader *reader, const char *name, struct wall_us *out);
void value_need_choice(struct value_reader *reader, const char *name, const char *const words[],
                       size_t count, unsigned *out);
void value_opt_choice(struct value_reader *reader, const char *name, const char *const words[],
                      size_t count, unsigned *out);
void value_opt_maybe_money(struct value_reader *reader, const char *name, struct maybe_money *out);
void value_opt_maybe_u64(struct value_reader *reader, const char *name, uint64_t max,
                         struct maybe_u64 *out);
/* A decimal in units of 10^-`decimals` (at most 6): 1.25 with 3 gives 1250. *out_has says whether
 * it was there. */
void value_opt_decimal(struct value_reader *reader, const char *name, unsigned decimals,
                       bool *out_has, int64_t *out);
/* A size as units_parse_bytes reads it; a bare number, and "16+", mean GiB as in SkyPilot. */
void value_opt_size(struct value_reader *reader, const char *name, uint64_t *out);
/* Cores: 4, 0.5, "500m", "4+". */
void value_opt_cpus(struct value_reader *reader, const char *name, uint64_t max,
                    uint64_t *out_milli);
/* An array of strings, or one string for a list of one. */
void value_opt_list(struct value_reader *reader, const char *name, uint32_t count_max,
                    size_t len_max, struct text_list *out);
/* Missing: an empty array. */
void value_opt_array(struct value_reader *reader, const char *name, size_t count_max,
                     struct json_value *out);
/* An object, copied in compact form; missing: empty. */
void value_opt_json(struct value_reader *reader, const char *name, size_t len_max,
                    struct slice *out);
/* Zeroed room for `count` items in the arena; NULL when count is 0, or on error. */
void *value_room(struct value_reader *reader, size_t count, size_t item_size);

/* Copies a text; an empty one becomes {"", 0}. */
enum err value_copy(struct arena *arena, struct slice text, struct slice *out,
                    struct fault *fault) LQ_CHECKED;
/* A string, or a number or boolean as it was written; copied. */
enum err value_text(struct json_value value, size_t len_max, struct arena *arena, struct slice *out,
                    struct fault *fault) LQ_CHECKED;
/* "A100:8", {A100: 8} or (with a runtime beside it) 8: model and count. `value` must be there. */
enum err value_accelerators(struct json_value value, uint32_t count_max, struct arena *arena,
                            struct slice *out_model, uint32_t *out_count,
                            struct fault *fault) LQ_CHECKED;

/* A fault that a check made (field path and message) gets the line and column of that field in the
 * source: of the longest part of the path that is there. Returns `err`. */
enum err value_locate(struct json_value root, enum err err, struct fault *fault) LQ_CHECKED;

/* Writing: left out when empty (zero, none, "", has == false). */
void value_put_text(struct json_writer *writer, const char *name, struct slice text);
void value_put_span(struct json_writer *writer, const char *name, struct span_ms span);
void value_put_wall(struct json_writer *writer, const char *name, struct wall_us at);
void value_put_id(struct json_writer *writer, const char *name, struct id id, const char *prefix);
void value_put_money(struct json_writer *writer, const char *name, struct maybe_money amount);
void value_put_maybe_u64(struct json_writer *writer, const char *name, struct maybe_u64 number);
void value_put_list(struct json_writer *writer, const char *name, const struct text_list *list);
void value_put_flag(struct json_writer *writer, const char *name, bool flag); /* false: left out */
/* Always written. */
void value_put_size(struct json_writer *writer, const char *name, uint64_t bytes);
void value_put_cpus(struct json_writer *writer, const char *name, uint64_t milli);
void value_put_decimal(struct json_writer *writer, const char *name, int64_t value,
                       unsigned decimals);
void value_put_accelerators(struct json_writer *writer, struct slice model, uint32_t count);

#endif
