/* Hash maps from an id, a number or a byte string to a pointer.
 *
 * Invariants
 * 1. Iteration goes in order of insertion, whatever the hash seed: no output depends on hash order.
 *    Replacing a value keeps its place; removing and adding again moves it to the end.
 * 2. A value is never NULL, so that NULL can mean "none".
 * 3. Removing the entry an iteration has just returned is safe; adding during an iteration is not.
 *
 * `limit` is the most entries a map may hold (at most MAP_ENTRIES_MAX). `seed` keeps outsiders from
 * choosing colliding keys; 0 will do where keys come from ourselves. Memory per entry: about 32
 * bytes (idmap), 24 (u64map), 40 plus the key (strmap). The map owns its table (strmap: also copies
 * of the keys), never the values. Not thread-safe. */
#ifndef LQ_BASE_MAP_H
#define LQ_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/slice.h"

#define MAP_ENTRIES_MAX ((size_t)1 << 30)

/* Shared by the three maps; its fields are private to map.c. */
struct map_table {
    uint32_t *slots; /* 0: empty, else entry number + 1 */
    size_t slot_count;
    void *entries; /* in order of insertion, removed ones marked */
    size_t entry_count;
    size_t entry_first; /* none before it is live */
    size_t entry_cap;
    size_t live;
    size_t limit;
    uint64_t seed;
};

struct idmap {
    struct map_table table;
};

void idmap_init(struct idmap *map, size_t limit, uint64_t seed);
void idmap_deinit(struct idmap *map); /* accepts a zeroed map */
void idmap_clear(struct idmap *map);  /* forgets all entries, keeps the memory */
size_t idmap_count(const struct idmap *map);
void *idmap_get(const struct idmap *map, struct id key); /* NULL: none */
/* Adds; ERR_EXISTS when the key stands already, ERR_LIMIT, ERR_NO_MEMORY. Nothing changes on
 * failure. */
enum err idmap_add(struct idmap *map, struct id key, void *value) LQ_CHECKED;
/* Adds or replaces; ERR_LIMIT, ERR_NO_MEMORY. */
enum err idmap_put(struct idmap *map, struct id key, void *value) LQ_CHECKED;
void *idmap_remove(struct idmap *map, struct id key); /* the value that stood there, or NULL */
/* Start with *cursor = 0. False: no more. Outputs may be NULL. */
bool idmap_next(const struct idmap *map, size_t *cursor, struct id *out_key, void **out_value);

struct u64map {
    struct map_table table;
};

void u64map_init(struct u64map *map, size_t limit, uint64_t seed);
void u64map_deinit(struct u64map *map);
void u64map_clear(struct u64map *map);
size_t u64map_count(const struct u64map *map);
void *u64map_get(const struct u64map *map, uint64_t key);
enum err u64map_add(struct u64map *map, uint64_t key, void *value) LQ_CHECKED;
enum err u64map_put(struct u64map *map, uint64_t key, void *value) LQ_CHECKED;
void *u64map_remove(struct u64map *map, uint64_t key);
bool u64map_next(const struct u64map *map, size_t *cursor, uint64_t *out_key, void **out_value);

struct strmap {
    struct map_table table;
};

/* Keys are any bytes (also none), at most 4 GiB - 1 long, and copied. */
void strmap_init(struct strmap *map, size_t limit, uint64_t seed);
void strmap_deinit(struct strmap *map);
void strmap_clear(struct strmap *map);
size_t strmap_count(const struct strmap *map);
void *strmap_get(const struct strmap *map, struct slice key);
enum err strmap_add(struct strmap *map, struct slice key, void *value) LQ_CHECKED;
enum err strmap_put(struct strmap *map, struct slice key, void *value) LQ_CHECKED;
void *strmap_remove(struct strmap *map, struct slice key);
/* The key lives until its entry is removed; it is followed by a NUL. */
bool strmap_next(const struct strmap *map, size_t *cursor, struct slice *out_key, void **out_value);

#endif
