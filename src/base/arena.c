#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum {
    ARENA_ALIGN = 16,
    ARENA_CHUNK_MIN = 4096 - 64,   /* with malloc's own header, within a page */
    ARENA_CHUNK_MAX = 1024 * 1024, /* chunks double up to here */
    ARENA_KEEP_MAX = 64 * 1024,    /* a reset gives larger chunks back */
};

struct arena_chunk {
    struct arena_chunk *next; /* older */
    size_t cap;
    size_t used;
    alignas(ARENA_ALIGN) char bytes[];
};

void arena_init(struct arena *arena, size_t limit_bytes)
{
    *arena = (struct arena){.limit_bytes = limit_bytes};
}

static void free_chunks(struct arena_chunk *chunk)
{
    while (chunk != NULL) {
        struct arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void arena_deinit(struct arena *arena)
{
    if (arena == NULL)
        return;
    free_chunks(arena->chunk);
    *arena = (struct arena){0};
}

void arena_reset(struct arena *arena)
{
    arena->used_bytes = 0;
    struct arena_chunk *keep = arena->chunk;
    if (keep == NULL)
        return;
    free_chunks(keep->next);
    keep->next = NULL;
    if (keep->cap > ARENA_KEEP_MAX) {
        free(keep);
        arena->chunk = NULL;
        return;
    }
    keep->used = 0;
}

static struct arena_chunk *add_chunk(struct arena *arena, size_t need)
{
    size_t cap = ARENA_CHUNK_MIN;
    if (arena->chunk != NULL && arena->chunk->cap < ARENA_CHUNK_MAX)
        cap = arena->chunk->cap * 2;
    else if (arena->chunk != NULL)
        cap = ARENA_CHUNK_MAX;
    if (cap < need)
        cap = need;
    if (cap > SIZE_MAX - sizeof(struct arena_chunk))
        return NULL;
    struct arena_chunk *chunk = malloc(sizeof(*chunk) + cap);
    if (chunk == NULL)
        return NULL;
    chunk->cap = cap;
    chunk->used = 0;
    chunk->next = arena->chunk;
    arena->chunk = chunk;
    return chunk;
}

/* Rounded up to the alignment; 0 when that overflows or passes the limit. */
static size_t room_for(const struct arena *arena, size_t size)
{
    if (size == 0)
        size = 1; /* distinct, valid pointers for empty things too */
    if (size > SIZE_MAX - ARENA_ALIGN)
        return 0;
    size_t room = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    ASSERT(arena->used_bytes <= arena->limit_bytes);
    return room > arena->limit_bytes - arena->used_bytes ? 0 : room;
}

static void *take(struct arena *arena, size_t size)
{
    size_t room = room_for(arena, size);
    if (room == 0)
        return NULL;
    struct arena_chunk *chunk = arena->chunk;
    if (chunk == NULL || chunk->cap - chunk->used < room)
        chunk = add_chunk(arena, room);
    if (chunk == NULL)
        return NULL;
    void *place = chunk->bytes + chunk->used;
    chunk->used += room;
    arena->used_bytes += room;
    return place;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    void *place = take(arena, size);
    if (place != NULL)
        memset(place, 0, size);
    return place;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    return arena_alloc(arena, total);
}

char *arena_text(struct arena *arena, struct slice bytes)
{
    if (bytes.len == SIZE_MAX)
        return NULL;
    char *place = take(arena, bytes.len + 1);
    if (place == NULL)
        return NULL;
    if (bytes.len > 0)
        memcpy(place, bytes.data, bytes.len);
    place[bytes.len] = '\0';
    return place;
}

struct slice arena_copy(struct arena *arena, struct slice bytes)
{
    char *place = arena_text(arena, bytes);
    return (struct slice){place, place == NULL ? 0 : bytes.len};
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *place = len < 0 ? NULL : take(arena, (size_t)len + 1);
    if (place != NULL)
        vsnprintf(place, (size_t)len + 1, format, again);
    va_end(again);
    return place;
}
