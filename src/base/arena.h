/* An arena: memory that dies together. Allocations are 16-byte aligned and zeroed. Growth is by
 * chunks up to `limit_bytes`; past it, and when the system has no memory, allocation returns NULL.
 * Not thread-safe. */
#ifndef LQ_BASE_ARENA_H
#define LQ_BASE_ARENA_H

#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunk; /* newest first */
    size_t used_bytes;         /* handed out since init or the last reset */
    size_t limit_bytes;
};

void arena_init(struct arena *arena, size_t limit_bytes);
void arena_deinit(struct arena *arena); /* accepts a zeroed arena */
void arena_reset(struct arena *arena);  /* forget all, keep one chunk for the next event */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((malloc));
/* count * size, overflow-checked. */
void *arena_array(struct arena *arena, size_t count, size_t size) __attribute__((malloc));
/* Copies; the copy of a slice is followed by a NUL. On no memory the result's data is NULL. */
struct slice arena_copy(struct arena *arena, struct slice bytes);
char *arena_text(struct arena *arena, struct slice bytes);
char *arena_printf(struct arena *arena, const char *format, ...) LQ_PRINTF(2, 3);

#endif
