#include "base/heap.h"

#include <stdlib.h>

#include "base/assert.h"

enum { HEAP_CAP_MIN = 16 };

struct heap_item {
    int64_t key;
    uint64_t sequence; /* breaks ties: the older goes first */
    uint64_t payload;
    uint32_t slot;
};

struct heap_slot {
    uint32_t place; /* in use: index into items; free: the next free slot + 1, 0 at the end */
    uint32_t generation;
    bool is_used;
};

void heap_init(struct heap *heap, size_t limit)
{
    ASSERT(limit <= INT32_MAX);
    *heap = (struct heap){.limit = limit};
}

void heap_deinit(struct heap *heap)
{
    if (heap == NULL)
        return;
    free(heap->items);
    free(heap->slots);
    *heap = (struct heap){0};
}

size_t heap_count(const struct heap *heap)
{
    return heap->len;
}

static enum err make_room(struct heap *heap)
{
    if (heap->len >= heap->limit)
        return ERR_LIMIT;
    if (heap->len < heap->cap)
        return ERR_OK;
    size_t cap = heap->cap == 0 ? HEAP_CAP_MIN : heap->cap * 2;
    struct heap_item *items = realloc(heap->items, cap * sizeof(*items));
    if (items == NULL)
        return ERR_NO_MEMORY;
    heap->items = items;
    struct heap_slot *slots = realloc(heap->slots, cap * sizeof(*slots));
    if (slots == NULL)
        return ERR_NO_MEMORY; /* cap still tells the smaller of the two sizes */
    heap->slots = slots;
    heap->cap = cap;
    return ERR_OK;
}

static uint32_t take_slot(struct heap *heap)
{
    uint32_t slot;
    if (heap->slot_free != 0) {
        slot = heap->slot_free - 1;
        heap->slot_free = heap->slots[slot].place;
    } else {
        slot = heap->slot_count++;
        heap->slots[slot].generation = 0;
    }
    heap->slots[slot].generation++;
    if (heap->slots[slot].generation == 0)
        heap->slots[slot].generation = 1; /* 0 means "no timer" */
    heap->slots[slot].is_used = true;
    return slot;
}

static void free_slot(struct heap *heap, uint32_t slot)
{
    heap->slots[slot].is_used = false;
    heap->slots[slot].place = heap->slot_free;
    heap->slot_free = slot + 1;
}

static bool goes_before(const struct heap_item *a, const struct heap_item *b)
{
    if (a->key != b->key)
        return a->key < b->key;
    return a->sequence < b->sequence;
}

static void put_at(struct heap *heap, size_t place, struct heap_item item)
{
    heap->items[place] = item;
    heap->slots[item.slot].place = (uint32_t)place;
}

static size_t sift_up(struct heap *heap, size_t place)
{
    struct heap_item item = heap->items[place];
    while (place > 0) {
        size_t parent = (place - 1) / 2;
        if (!goes_before(&item, &heap->items[parent]))
            break;
        put_at(heap, place, heap->items[parent]);
        place = parent;
    }
    put_at(heap, place, item);
    return place;
}

static void sift_down(struct heap *heap, size_t place)
{
    struct heap_item item = heap->items[place];
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= heap->len)
            break;
        if (child + 1 < heap->len && goes_before(&heap->items[child + 1], &heap->items[child]))
            child++;
        if (!goes_before(&heap->items[child], &item))
            break;
        put_at(heap, place, heap->items[child]);
        place = child;
    }
    put_at(heap, place, item);
}

enum err heap_push(struct heap *heap, int64_t key, uint64_t payload, struct heap_handle *out_handle)
{
    enum err err = make_room(heap);
    if (err != ERR_OK)
        return err;
    uint32_t slot = take_slot(heap);
    size_t place = heap->len++;
    heap->items[place] = (struct heap_item){key, heap->next_sequence++, payload, slot};
    sift_up(heap, place);
    if (out_handle != NULL)
        *out_handle = (struct heap_handle){slot, heap->slots[slot].generation};
    return ERR_OK;
}

bool heap_peek(const struct heap *heap, int64_t *out_key, uint64_t *out_payload)
{
    if (heap->len == 0)
        return false;
    if (out_key != NULL)
        *out_key = heap->items[0].key;
    if (out_payload != NULL)
        *out_payload = heap->items[0].payload;
    return true;
}

static void remove_at(struct heap *heap, size_t place)
{
    ASSERT(place < heap->len);
    free_slot(heap, heap->items[place].slot);
    heap->len--;
    if (place == heap->len)
        return;
    put_at(heap, place, heap->items[heap->len]);
    if (sift_up(heap, place) == place)
        sift_down(heap, place);
}

bool heap_pop(struct heap *heap, int64_t *out_key, uint64_t *out_payload)
{
    if (!heap_peek(heap, out_key, out_payload))
        return false;
    remove_at(heap, 0);
    return true;
}

bool heap_has(const struct heap *heap, struct heap_handle handle)
{
    return handle.generation != 0 && handle.index < heap->slot_count &&
           heap->slots[handle.index].is_used &&
           heap->slots[handle.index].generation == handle.generation;
}

bool heap_remove(struct heap *heap, struct heap_handle handle)
{
    if (!heap_has(heap, handle))
        return false;
    remove_at(heap, heap->slots[handle.index].place);
    return true;
}

bool heap_change(struct heap *heap, struct heap_handle handle, int64_t key)
{
    if (!heap_has(heap, handle))
        return false;
    size_t place = heap->slots[handle.index].place;
    heap->items[place].key = key;
    heap->items[place].sequence = heap->next_sequence++;
    if (sift_up(heap, place) == place)
        sift_down(heap, place);
    return true;
}
