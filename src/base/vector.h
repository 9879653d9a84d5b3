/* An array that grows, of items of one size. Pointers into it die when it grows or is changed.
 * A vector owns its memory, not what the items point to. Not thread-safe. */
#ifndef LQ_BASE_VECTOR_H
#define LQ_BASE_VECTOR_H

#include <stddef.h>

#include "base/err.h"

struct vector {
    void *data;
    size_t len; /* items */
    size_t cap; /* items */
    size_t item_size;
    size_t limit; /* items; len never passes it */
};

/* item_size > 0; `limit` is the most items it may ever hold. */
void vector_init(struct vector *vector, size_t item_size, size_t limit);
void vector_deinit(struct vector *vector); /* accepts a zeroed vector */
void vector_clear(struct vector *vector);  /* keeps the memory */
/* Room for `cap` items in all. ERR_LIMIT, ERR_NO_MEMORY; nothing changes on failure. */
enum err vector_reserve(struct vector *vector, size_t cap) LQ_CHECKED;
/* Copies *item to the end. ERR_LIMIT, ERR_NO_MEMORY. */
enum err vector_push(struct vector *vector, const void *item) LQ_CHECKED;
/* Appends one zeroed item and returns it; NULL when the limit is reached or memory is out. */
void *vector_push_zeroed(struct vector *vector);
/* Copies *item before position `index` (0 <= index <= len); later items move up. */
enum err vector_insert(struct vector *vector, size_t index, const void *item) LQ_CHECKED;
void *vector_at(const struct vector *vector, size_t index); /* index < len, asserted */
void *vector_last(const struct vector *vector);             /* len > 0, asserted */
void vector_pop(struct vector *vector);                     /* len > 0, asserted */
/* The last item takes the place of the removed one: O(1), order lost. index < len, asserted. */
void vector_remove_swap(struct vector *vector, size_t index);
/* Later items move down: O(n), order kept. index < len, asserted. */
void vector_remove_ordered(struct vector *vector, size_t index);
/* Sorts by `compare` (as for qsort); stable, so that the result never depends on the library. */
enum err vector_sort(struct vector *vector, int (*compare)(const void *, const void *)) LQ_CHECKED;

#endif
