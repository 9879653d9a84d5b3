/* The machine's entropy (getrandom): for keys, tokens and seeds. Thread-safe; blocks only before
 * the kernel's pool is first filled, right after boot. */
#ifndef LQ_PORT_ENTROPY_H
#define LQ_PORT_ENTROPY_H

#include <stddef.h>

#include "base/err.h"

struct random;

enum err entropy_fill(void *out, size_t len) LQ_CHECKED; /* ERR_IO */
/* Seed a generator that makes ids; not for secrets, take those from entropy_fill. */
enum err entropy_seed(struct random *random) LQ_CHECKED; /* ERR_IO */

#endif
