/* The table keeps entries in a dense array in order of insertion; `slots` is an open-addressing
 * index into it (linear probing, at most half full, backward shifting on removal so that probes
 * never pass graves). A removed entry stays in the array, marked by a NULL value, until the array
 * is full; then it is squeezed or grown. */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"

enum { MAP_CAP_MIN = 8 };

/* First member of every entry. */
struct map_entry {
    void *value; /* NULL: removed */
};

/* What differs between the maps. Always a constant, so that the compiler folds it in. */
struct map_kind {
    size_t entry_size;
    uint64_t (*hash_key)(const void *key, uint64_t seed);
    uint64_t (*hash_entry)(const void *entry, uint64_t seed);
    bool (*is_key)(const void *entry, const void *key);
};

#define MAP_INLINE static inline __attribute__((always_inline))

MAP_INLINE struct map_entry *entry_at(const struct map_table *table, const struct map_kind *kind,
                                      size_t index)
{
    return (struct map_entry *)((char *)table->entries + index * kind->entry_size);
}

static void table_init(struct map_table *table, size_t limit, uint64_t seed)
{
    ASSERT(limit <= MAP_ENTRIES_MAX);
    *table = (struct map_table){.limit = limit, .seed = seed};
}

static void table_deinit(struct map_table *table)
{
    free(table->slots);
    free(table->entries);
    *table = (struct map_table){0};
}

static void table_clear(struct map_table *table)
{
    if (table->slots != NULL)
        memset(table->slots, 0, table->slot_count * sizeof(*table->slots));
    table->entry_count = 0;
    table->entry_first = 0;
    table->live = 0;
}

/* Slot of the key's entry, or SIZE_MAX. */
MAP_INLINE size_t find_slot(const struct map_table *table, const struct map_kind *kind,
                            const void *key)
{
    if (table->live == 0)
        return SIZE_MAX;
    size_t mask = table->slot_count - 1;
    size_t slot = (size_t)kind->hash_key(key, table->seed) & mask;
    while (table->slots[slot] != 0) {
        if (kind->is_key(entry_at(table, kind, table->slots[slot] - 1), key))
            return slot;
        slot = (slot + 1) & mask;
    }
    return SIZE_MAX;
}

MAP_INLINE void fill_slot(struct map_table *table, uint64_t hash, size_t index)
{
    size_t mask = table->slot_count - 1;
    size_t slot = (size_t)hash & mask;
    while (table->slots[slot] != 0)
        slot = (slot + 1) & mask;
    table->slots[slot] = (uint32_t)(index + 1);
}

/* Moves the live entries together, in order, and indexes them anew. */
MAP_INLINE void squeeze(struct map_table *table, const struct map_kind *kind)
{
    memset(table->slots, 0, table->slot_count * sizeof(*table->slots));
    size_t to = 0;
    for (size_t from = table->entry_first; from < table->entry_count; from++) {
        struct map_entry *entry = entry_at(table, kind, from);
        if (entry->value == NULL)
            continue;
        fill_slot(table, kind->hash_entry(entry, table->seed), to);
        if (from != to)
            memcpy(entry_at(table, kind, to), entry, kind->entry_size);
        to++;
    }
    ASSERT(to == table->live);
    table->entry_count = to;
    table->entry_first = 0;
}

/* Makes place for one more entry. All that can fail comes before all that changes. */
MAP_INLINE enum err make_room(struct map_table *table, const struct map_kind *kind)
{
    if (table->live >= table->limit)
        return ERR_LIMIT;
    if (table->entry_count < table->entry_cap)
        return ERR_OK;
    if (table->live < table->entry_cap - table->entry_cap / 4) {
        squeeze(table, kind);
        return ERR_OK;
    }
    size_t cap = table->entry_cap == 0 ? MAP_CAP_MIN : table->entry_cap * 2;
    void *entries = realloc(table->entries, cap * kind->entry_size);
    if (entries == NULL)
        return ERR_NO_MEMORY;
    table->entries = entries;
    uint32_t *slots = malloc(cap * 2 * sizeof(*slots));
    if (slots == NULL)
        return ERR_NO_MEMORY; /* the larger array does no harm: entry_cap still tells the old size
                               */
    free(table->slots);
    table->slots = slots;
    table->slot_count = cap * 2;
    table->entry_cap = cap;
    squeeze(table, kind);
    return ERR_OK;
}

/* The new entry with its value set; the caller fills the key at once. */
MAP_INLINE struct map_entry *append_entry(struct map_table *table, const struct map_kind *kind,
                                          uint64_t hash, void *value)
{
    size_t index = table->entry_count++;
    struct map_entry *entry = entry_at(table, kind, index);
    memset(entry, 0, kind->entry_size);
    entry->value = value;
    table->live++;
    fill_slot(table, hash, index);
    return entry;
}

MAP_INLINE struct map_entry *table_find(const struct map_table *table, const struct map_kind *kind,
                                        const void *key)
{
    size_t slot = find_slot(table, kind, key);
    return slot == SIZE_MAX ? NULL : entry_at(table, kind, table->slots[slot] - 1);
}

MAP_INLINE void *table_get(const struct map_table *table, const struct map_kind *kind,
                           const void *key)
{
    const struct map_entry *entry = table_find(table, kind, key);
    return entry == NULL ? NULL : entry->value;
}

/* Empties the slot and moves back what had been pushed past it. */
MAP_INLINE void close_slot(struct map_table *table, const struct map_kind *kind, size_t hole)
{
    size_t mask = table->slot_count - 1;
    for (size_t slot = (hole + 1) & mask; table->slots[slot] != 0; slot = (slot + 1) & mask) {
        const struct map_entry *entry = entry_at(table, kind, table->slots[slot] - 1);
        size_t home = (size_t)kind->hash_entry(entry, table->seed) & mask;
        /* It may move only if its home does not lie between the hole and itself. */
        if (((slot - home) & mask) < ((slot - hole) & mask))
            continue;
        table->slots[hole] = table->slots[slot];
        hole = slot;
    }
    table->slots[hole] = 0;
}

/* Takes the entry out of the index and gives it back, still readable, to be marked by forget_entry.
 */
MAP_INLINE struct map_entry *detach_entry(struct map_table *table, const struct map_kind *kind,
                                          const void *key)
{
    size_t slot = find_slot(table, kind, key);
    if (slot == SIZE_MAX)
        return NULL;
    struct map_entry *entry = entry_at(table, kind, table->slots[slot] - 1);
    close_slot(table, kind, slot);
    return entry;
}

MAP_INLINE void *forget_entry(struct map_table *table, const struct map_kind *kind,
                              struct map_entry *entry)
{
    void *value = entry->value;
    entry->value = NULL;
    table->live--;
    if (table->live == 0) {
        table->entry_count = 0;
        table->entry_first = 0;
        return value;
    }
    /* Keep "take the first" cheap: the dead front is never walked twice. */
    while (entry_at(table, kind, table->entry_first)->value == NULL)
        table->entry_first++;
    return value;
}

MAP_INLINE struct map_entry *table_next(const struct map_table *table, const struct map_kind *kind,
                                        size_t *cursor)
{
    size_t index = *cursor < table->entry_first ? table->entry_first : *cursor;
    for (; index < table->entry_count; index++) {
        struct map_entry *entry = entry_at(table, kind, index);
        if (entry->value == NULL)
            continue;
        *cursor = index + 1;
        return entry;
    }
    *cursor = index;
    return NULL;
}

/* ---- ids ---- */

struct idmap_entry {
    struct map_entry head;
    struct id key;
};

static uint64_t id_hash_key(const void *key, uint64_t seed)
{
    return hash_bytes(slice_make(((const struct id *)key)->bytes, sizeof(struct id)), seed);
}

static uint64_t id_hash_entry(const void *entry, uint64_t seed)
{
    return id_hash_key(&((const struct idmap_entry *)entry)->key, seed);
}

static bool id_is_key(const void *entry, const void *key)
{
    return id_is_equal(((const struct idmap_entry *)entry)->key, *(const struct id *)key);
}

static const struct map_kind id_kind = {sizeof(struct idmap_entry), id_hash_key, id_hash_entry,
                                        id_is_key};

void idmap_init(struct idmap *map, size_t limit, uint64_t seed)
{
    table_init(&map->table, limit, seed);
}

void idmap_deinit(struct idmap *map)
{
    if (map != NULL)
        table_deinit(&map->table);
}

void idmap_clear(struct idmap *map)
{
    table_clear(&map->table);
}

size_t idmap_count(const struct idmap *map)
{
    return map->table.live;
}

void *idmap_get(const struct idmap *map, struct id key)
{
    return table_get(&map->table, &id_kind, &key);
}

static enum err idmap_append(struct idmap *map, struct id key, void *value)
{
    enum err err = make_room(&map->table, &id_kind);
    if (err != ERR_OK)
        return err;
    uint64_t hash = id_hash_key(&key, map->table.seed);
    ((struct idmap_entry *)append_entry(&map->table, &id_kind, hash, value))->key = key;
    return ERR_OK;
}

enum err idmap_add(struct idmap *map, struct id key, void *value)
{
    ASSERT(value != NULL);
    if (table_find(&map->table, &id_kind, &key) != NULL)
        return ERR_EXISTS;
    return idmap_append(map, key, value);
}

enum err idmap_put(struct idmap *map, struct id key, void *value)
{
    ASSERT(value != NULL);
    struct map_entry *entry = table_find(&map->table, &id_kind, &key);
    if (entry == NULL)
        return idmap_append(map, key, value);
    entry->value = value;
    return ERR_OK;
}

void *idmap_remove(struct idmap *map, struct id key)
{
    struct map_entry *entry = detach_entry(&map->table, &id_kind, &key);
    return entry == NULL ? NULL : forget_entry(&map->table, &id_kind, entry);
}

bool idmap_next(const struct idmap *map, size_t *cursor, struct id *out_key, void **out_value)
{
    const struct map_entry *entry = table_next(&map->table, &id_kind, cursor);
    if (entry == NULL)
        return false;
    if (out_key != NULL)
        *out_key = ((const struct idmap_entry *)entry)->key;
    if (out_value != NULL)
        *out_value = entry->value;
    return true;
}

/* ---- numbers ---- */

struct u64map_entry {
    struct map_entry head;
    uint64_t key;
};

static uint64_t u64_hash_key(const void *key, uint64_t seed)
{
    return hash_u64(*(const uint64_t *)key, seed);
}

static uint64_t u64_hash_entry(const void *entry, uint64_t seed)
{
    return hash_u64(((const struct u64map_entry *)entry)->key, seed);
}

static bool u64_is_key(const void *entry, const void *key)
{
    return ((const struct u64map_entry *)entry)->key == *(const uint64_t *)key;
}

static const struct map_kind u64_kind = {sizeof(struct u64map_entry), u64_hash_key, u64_hash_entry,
                                         u64_is_key};

void u64map_init(struct u64map *map, size_t limit, uint64_t seed)
{
    table_init(&map->table, limit, seed);
}

void u64map_deinit(struct u64map *map)
{
    if (map != NULL)
        table_deinit(&map->table);
}

void u64map_clear(struct u64map *map)
{
    table_clear(&map->table);
}

size_t u64map_count(const struct u64map *map)
{
    return map->table.live;
}

void *u64map_get(const struct u64map *map, uint64_t key)
{
    return table_get(&map->table, &u64_kind, &key);
}

static enum err u64map_append(struct u64map *map, uint64_t key, void *value)
{
    enum err err = make_room(&map->table, &u64_kind);
    if (err != ERR_OK)
        return err;
    uint64_t hash = hash_u64(key, map->table.seed);
    ((struct u64map_entry *)append_entry(&map->table, &u64_kind, hash, value))->key = key;
    return ERR_OK;
}

enum err u64map_add(struct u64map *map, uint64_t key, void *value)
{
    ASSERT(value != NULL);
    if (table_find(&map->table, &u64_kind, &key) != NULL)
        return ERR_EXISTS;
    return u64map_append(map, key, value);
}

enum err u64map_put(struct u64map *map, uint64_t key, void *value)
{
    ASSERT(value != NULL);
    struct map_entry *entry = table_find(&map->table, &u64_kind, &key);
    if (entry == NULL)
        return u64map_append(map, key, value);
    entry->value = value;
    return ERR_OK;
}

void *u64map_remove(struct u64map *map, uint64_t key)
{
    struct map_entry *entry = detach_entry(&map->table, &u64_kind, &key);
    return entry == NULL ? NULL : forget_entry(&map->table, &u64_kind, entry);
}

bool u64map_next(const struct u64map *map, size_t *cursor, uint64_t *out_key, void **out_value)
{
    const struct map_entry *entry = table_next(&map->table, &u64_kind, cursor);
    if (entry == NULL)
        return false;
    if (out_key != NULL)
        *out_key = ((const struct u64map_entry *)entry)->key;
    if (out_value != NULL)
        *out_value = entry->value;
    return true;
}

/* ---- byte strings ---- */

struct strmap_entry {
    struct map_entry head;
    char *text; /* owned, NUL after `len` bytes */
    uint32_t len;
    uint32_t hash_low; /* spares most comparisons, and hashing again when the table grows */
};

static uint64_t str_hash_key(const void *key, uint64_t seed)
{
    return (uint32_t)hash_bytes(*(const struct slice *)key, seed);
}

static uint64_t str_hash_entry(const void *entry, uint64_t seed)
{
    (void)seed;
    return ((const struct strmap_entry *)entry)->hash_low;
}

static bool str_is_key(const void *entry, const void *key)
{
    const struct strmap_entry *stored = entry;
    return slice_is_equal(slice_make(stored->text, stored->len), *(const struct slice *)key);
}

static const struct map_kind str_kind = {sizeof(struct strmap_entry), str_hash_key, str_hash_entry,
                                         str_is_key};

void strmap_init(struct strmap *map, size_t limit, uint64_t seed)
{
    table_init(&map->table, limit, seed);
}

void strmap_clear(struct strmap *map)
{
    size_t cursor = 0;
    struct map_entry *entry;
    while ((entry = table_next(&map->table, &str_kind, &cursor)) != NULL)
        free(((struct strmap_entry *)entry)->text);
    table_clear(&map->table);
}

void strmap_deinit(struct strmap *map)
{
    if (map == NULL)
        return;
    strmap_clear(map);
    table_deinit(&map->table);
}

size_t strmap_count(const struct strmap *map)
{
    return map->table.live;
}

void *strmap_get(const struct strmap *map, struct slice key)
{
    return table_get(&map->table, &str_kind, &key);
}

static enum err strmap_append(struct strmap *map, struct slice key, void *value)
{
    if (key.len >= UINT32_MAX)
        return ERR_LIMIT;
    char *text = malloc(key.len + 1);
    if (text == NULL)
        return ERR_NO_MEMORY;
    enum err err = make_room(&map->table, &str_kind);
    if (err != ERR_OK) {
        free(text);
        return err;
    }
    if (key.len > 0)
        memcpy(text, key.data, key.len);
    text[key.len] = '\0';
    uint64_t hash = str_hash_key(&key, map->table.seed);
    struct strmap_entry *entry =
        (struct strmap_entry *)append_entry(&map->table, &str_kind, hash, value);
    entry->text = text;
    entry->len = (uint32_t)key.len;
    entry->hash_low = (uint32_t)hash;
    return ERR_OK;
}

enum err strmap_add(struct strmap *map, struct slice key, void *value)
{
    ASSERT(value != NULL);
    if (table_find(&map->table, &str_kind, &key) != NULL)
        return ERR_EXISTS;
    return strmap_append(map, key, value);
}

enum err strmap_put(struct strmap *map, struct slice key, void *value)
{
    ASSERT(value != NULL);
    struct map_entry *entry = table_find(&map->table, &str_kind, &key);
    if (entry == NULL)
        return strmap_append(map, key, value);
    entry->value = value;
    return ERR_OK;
}

void *strmap_remove(struct strmap *map, struct slice key)
{
    struct map_entry *entry = detach_entry(&map->table, &str_kind, &key);
    if (entry == NULL)
        return NULL;
    struct strmap_entry *stored = (struct strmap_entry *)entry;
    free(stored->text);
    stored->text = NULL;
    return forget_entry(&map->table, &str_kind, entry);
}

bool strmap_next(const struct strmap *map, size_t *cursor, struct slice *out_key, void **out_value)
{
    const struct map_entry *entry = table_next(&map->table, &str_kind, cursor);
    if (entry == NULL)
        return false;
    const struct strmap_entry *stored = (const struct strmap_entry *)entry;
    if (out_key != NULL)
        *out_key = slice_make(stored->text, stored->len);
    if (out_value != NULL)
        *out_value = entry->value;
    return true;
}
