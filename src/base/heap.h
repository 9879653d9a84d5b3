/* A binary heap of timers: smallest key first; equal keys come out in order of insertion (a changed
 * key counts as inserted anew). Entries are taken out early by handle. Not thread-safe. */
#ifndef LQ_BASE_HEAP_H
#define LQ_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* index + generation; an old handle never reaches a new entry. All zero is never handed out: "no
 * timer". */
struct heap_handle {
    uint32_t index;
    uint32_t generation;
};

struct heap_item;
struct heap_slot;

struct heap {
    struct heap_item *items; /* the tree */
    size_t len;
    size_t cap;
    size_t limit;
    struct heap_slot *slots; /* handle index -> place in the tree */
    uint32_t slot_free;      /* head of the free list of slots, 0: none */
    uint32_t slot_count;
    uint64_t next_sequence;
};

void heap_init(struct heap *heap, size_t limit); /* the most entries, below 2^31 */
void heap_deinit(struct heap *heap);             /* accepts a zeroed heap */
size_t heap_count(const struct heap *heap);
/* ERR_LIMIT, ERR_NO_MEMORY; out_handle may be NULL. */
enum err heap_push(struct heap *heap, int64_t key, uint64_t payload,
                   struct heap_handle *out_handle) LQ_CHECKED;
/* The smallest; false when empty. Outputs may be NULL. */
bool heap_peek(const struct heap *heap, int64_t *out_key, uint64_t *out_payload);
bool heap_pop(struct heap *heap, int64_t *out_key, uint64_t *out_payload);
/* False when the handle's entry is gone already. */
bool heap_remove(struct heap *heap, struct heap_handle handle);
bool heap_change(struct heap *heap, struct heap_handle handle, int64_t key);
bool heap_has(const struct heap *heap, struct heap_handle handle);

#endif
