/* A job as people and programs write it: YAML job file or JSON of the API, one reader for both
 * (docs/formats/job.md has every field). What is wrong is told with the field's path, line and
 * column; an unknown field with the nearest known one.
 *
 * Canonical form: the JSON that spec_encode writes. It is the same language, with defaults left
 * out, lists in the given order, environments sorted, units spelled exactly. decode(encode(x))
 * equals x, and encode(decode(b)) gives b back for canonical b; the store keeps it and sites get
 * it. */
#ifndef LQ_WIRE_SPEC_H
#define LQ_WIRE_SPEC_H

#include "base/arena.h"
#include "base/buffer.h"
#include "model/catalogue.h"
#include "model/job.h"
#include "wire/json.h"
#include "wire/json_writer.h"

/* Bytes of an arena that are surely enough for one spec of the largest allowed size. */
enum { SPEC_ARENA_BYTES = 4 << 20 };

/* Decodes and runs job_spec_check. Everything is copied into `arena`; `value`'s document may go
 * afterwards. Where accelerators are asked for, the runtime must stand beside them. ERR_INVALID,
 * ERR_LIMIT, ERR_NO_MEMORY. */
enum err spec_decode(struct json_value value, struct arena *arena, struct job_spec *out,
                     struct fault *fault) LQ_CHECKED;
/* The same for what users write: accelerator names are looked up ("A100" becomes "A100 80GB SXM")
 * and give the runtime, so that it need not be said. `catalogue` NULL: as spec_decode. */
enum err spec_decode_with_catalogue(struct json_value value, const struct catalogue *catalogue,
                                    struct arena *arena, struct job_spec *out,
                                    struct fault *fault) LQ_CHECKED;
/* From bytes of JSON (the canonical form from store or wire; any other that is valid, too). */
enum err spec_parse(struct slice json, struct arena *arena, struct job_spec *out,
                    struct fault *fault) LQ_CHECKED;

/* One object. The spec must pass job_spec_check. */
void spec_encode(const struct job_spec *spec, struct json_writer *writer);
/* The same into a buffer, appended. ERR_LIMIT, ERR_NO_MEMORY. */
enum err spec_encode_bytes(const struct job_spec *spec, struct buffer *out) LQ_CHECKED;
/* Value by value. */
bool spec_is_equal(const struct job_spec *a, const struct job_spec *b);
/* The defaults that a field left out gets: one node, one core, 1 GiB, no variants, ... */
void spec_defaults(struct job_spec *out);

#endif
