#include "base/vector.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum { VECTOR_CAP_MIN = 8 };

void vector_init(struct vector *vector, size_t item_size, size_t limit)
{
    ASSERT(item_size > 0);
    *vector = (struct vector){.item_size = item_size, .limit = limit};
}

void vector_deinit(struct vector *vector)
{
    if (vector == NULL)
        return;
    free(vector->data);
    *vector = (struct vector){0};
}

void vector_clear(struct vector *vector)
{
    vector->len = 0;
}

static char *place_of(const struct vector *vector, size_t index)
{
    return (char *)vector->data + index * vector->item_size;
}

enum err vector_reserve(struct vector *vector, size_t cap)
{
    if (cap <= vector->cap)
        return ERR_OK;
    if (cap > vector->limit)
        return ERR_LIMIT;
    size_t bytes;
    if (__builtin_mul_overflow(cap, vector->item_size, &bytes))
        return ERR_NO_MEMORY;
    void *data = realloc(vector->data, bytes);
    if (data == NULL)
        return ERR_NO_MEMORY;
    vector->data = data;
    vector->cap = cap;
    return ERR_OK;
}

static enum err make_room(struct vector *vector)
{
    if (vector->len < vector->cap)
        return ERR_OK;
    if (vector->len >= vector->limit)
        return ERR_LIMIT;
    size_t cap = vector->cap < VECTOR_CAP_MIN ? VECTOR_CAP_MIN : vector->cap;
    cap = cap > SIZE_MAX / 2 ? SIZE_MAX : vector->cap == 0 ? cap : cap * 2;
    return vector_reserve(vector, cap < vector->limit ? cap : vector->limit);
}

enum err vector_push(struct vector *vector, const void *item)
{
    return vector_insert(vector, vector->len, item);
}

void *vector_push_zeroed(struct vector *vector)
{
    if (make_room(vector) != ERR_OK)
        return NULL;
    char *place = place_of(vector, vector->len);
    memset(place, 0, vector->item_size);
    vector->len++;
    return place;
}

enum err vector_insert(struct vector *vector, size_t index, const void *item)
{
    ASSERT(index <= vector->len);
    enum err err = make_room(vector);
    if (err != ERR_OK)
        return err;
    char *place = place_of(vector, index);
    memmove(place + vector->item_size, place, (vector->len - index) * vector->item_size);
    memcpy(place, item, vector->item_size);
    vector->len++;
    return ERR_OK;
}

void *vector_at(const struct vector *vector, size_t index)
{
    ASSERT(index < vector->len);
    return place_of(vector, index);
}

void *vector_last(const struct vector *vector)
{
    ASSERT(vector->len > 0);
    return place_of(vector, vector->len - 1);
}

void vector_pop(struct vector *vector)
{
    ASSERT(vector->len > 0);
    vector->len--;
}

void vector_remove_swap(struct vector *vector, size_t index)
{
    ASSERT(index < vector->len);
    vector->len--;
    if (index < vector->len)
        memcpy(place_of(vector, index), place_of(vector, vector->len), vector->item_size);
}

void vector_remove_ordered(struct vector *vector, size_t index)
{
    ASSERT(index < vector->len);
    vector->len--;
    memmove(place_of(vector, index), place_of(vector, index + 1),
            (vector->len - index) * vector->item_size);
}

/* Merges two sorted neighbours of `from` into `to`; of equals the left one goes first. */
static void merge(const char *from, char *to, size_t left, size_t middle, size_t right, size_t size,
                  int (*compare)(const void *, const void *))
{
    size_t a = left;
    size_t b = middle;
    for (size_t k = left; k < right; k++) {
        if (a < middle && (b >= right || compare(from + a * size, from + b * size) <= 0))
            memcpy(to + k * size, from + (a++) * size, size);
        else
            memcpy(to + k * size, from + (b++) * size, size);
    }
}

/* Merge sort from the bottom up: no recursion, and never the quadratic case. */
enum err vector_sort(struct vector *vector, int (*compare)(const void *, const void *))
{
    size_t len = vector->len;
    size_t size = vector->item_size;
    if (len < 2)
        return ERR_OK;
    char *spare = malloc(len * size);
    if (spare == NULL)
        return ERR_NO_MEMORY;
    char *from = vector->data;
    char *to = spare;
    for (size_t width = 1; width < len; width *= 2) {
        for (size_t left = 0; left < len; left += 2 * width) {
            size_t middle = left + width < len ? left + width : len;
            size_t right = left + 2 * width < len ? left + 2 * width : len;
            merge(from, to, left, middle, right, size, compare);
        }
        char *swap = from;
        from = to;
        to = swap;
    }
    if (from == spare)
        memcpy(vector->data, spare, len * size);
    free(spare);
    return ERR_OK;
}
