/* The accelerator catalogue from its CSV (data/domain/accelerators.csv). Columns are found by the
 * names in the header; unknown ones are passed over; vendor and model are required. Empty cells
 * stay empty. */
#ifndef LQ_WIRE_CATALOGUE_H
#define LQ_WIRE_CATALOGUE_H

#include "base/arena.h"
#include "model/catalogue.h"

/* Everything is copied into `arena`. Runs catalogue_check. ERR_INVALID with line and column,
 * ERR_LIMIT, ERR_NO_MEMORY. */
enum err catalogue_decode(struct slice csv, struct arena *arena, struct catalogue *out,
                          struct fault *fault) LQ_CHECKED;

#endif
