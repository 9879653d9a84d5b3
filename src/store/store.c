/* The front: checks what callers must keep to, then hands on to the backend. */
#include "store/store.h"

#include "base/assert.h"
#include "store/backend.h"
#include "store/sqlite.h"

enum err store_db_open(const struct store_config *config, struct store_db **out_db,
                       struct fault *fault)
{
    ASSERT(config->path && config->path[0]);
    if (slice_has_prefix(slice_of(config->path), SLICE_LITERAL("postgresql:")))
        return fault_set(fault, ERR_UNSUPPORTED, NULL,
                         "this build keeps its state in SQLite only; name a file");
    return sqlite_store_open(config, out_db, fault);
}

void store_db_close(struct store_db *db)
{
    if (db)
        db->backend->close(db);
}

enum err store_db_apply(struct store_db *db, const struct change *const *changes, size_t count,
                        struct wall_us now, struct change_result *results, struct fault *fault)
{
    ASSERT(db->mode == STORE_WRITE);
    ASSERT(count > 0 && count <= STORE_GROUP_MAX);
    for (size_t i = 0; i < count; i++)
        ASSERT(changes[i]->count <= CHANGE_OPS_MAX);
    return db->backend->apply(db, changes, count, now, results, fault);
}

enum err store_db_probe(struct store_db *db, struct fault *fault)
{
    ASSERT(db->mode == STORE_WRITE);
    return db->backend->probe(db, fault);
}

enum err store_db_meta(struct store_db *db, struct store_meta *out_meta)
{
    return db->backend->meta(db, out_meta);
}

enum err store_db_load(struct store_db *db, const struct store_load_sink *sink, struct fault *fault)
{
    return db->backend->load(db, sink, fault);
}

enum err store_db_query(struct store_db *db, const struct store_query *query, struct arena *arena,
                        struct store_answer *out, struct fault *fault)
{
    ASSERT(query->kind < STORE_QUERY_KIND_COUNT_);
    return db->backend->query(db, query, arena, out, fault);
}
