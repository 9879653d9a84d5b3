/* The contract of a site (model/surplus.h) to JSON or YAML and back: docs/formats/surplus.md. */
#ifndef LQ_WIRE_SURPLUS_H
#define LQ_WIRE_SURPLUS_H

#include "base/arena.h"
#include "model/surplus.h"
#include "wire/json.h"
#include "wire/json_writer.h"

/* Texts and lists are copied into the arena. ERR_INVALID with line and column, ERR_LIMIT,
 * ERR_NO_MEMORY. */
enum err surplus_decode(struct json_value value, struct arena *arena, struct surplus *out,
                        struct fault *fault) LQ_CHECKED;
/* An object; what says nothing is left out. */
void surplus_encode(const struct surplus *surplus, struct json_writer *writer);
/* A file of its own, in YAML. */
enum err surplus_parse(struct slice text, struct arena *arena, struct surplus *out,
                       struct fault *fault) LQ_CHECKED;

#endif
