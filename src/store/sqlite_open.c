#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "store/sqlite.h"

enum {
    CACHE_BYTES_WRITE = 32 * 1024 * 1024,
    CACHE_BYTES_READ = 8 * 1024 * 1024,
};

static void sqlite_store_close(struct store_db *db)
{
    struct sqlite_store *store = (struct sqlite_store *)db;
    sql_close(&store->sql);
    file_lock_release(&store->lock);
    free(store);
}

static enum err sqlite_store_meta(struct store_db *db, struct store_meta *out_meta)
{
    struct sqlite_store *store = (struct sqlite_store *)db;
    if (db->mode == STORE_READ) {
        enum err err = sqlite_tails_read(store, NULL);
        if (err)
            return err;
    }
    *out_meta = store->tails.meta;
    return ERR_OK;
}

static const struct store_backend SQLITE_BACKEND = {
    .close = sqlite_store_close,
    .apply = sqlite_store_apply,
    .probe = sqlite_store_probe,
    .meta = sqlite_store_meta,
    .load = sqlite_store_load,
    .query = sqlite_store_query,
};

static enum err take_lock(struct sqlite_store *store, struct fault *fault)
{
    char path[SQLITE_STORE_PATH_MAX];
    int len = snprintf(path, sizeof path, "%s.lock", store->path);
    if (len < 0 || (size_t)len >= sizeof path)
        return fault_set(fault, ERR_LIMIT, NULL, "the database's path is too long");
    struct fault why = {0};
    enum err err = file_lock_take(path, &why, &store->lock);
    if (err == ERR_BUSY)
        return fault_set(fault, ERR_BUSY, NULL,
                         "%s is open in another process; stop that server, or give this one a "
                         "folder of its own",
                         store->path);
    if (err && fault)
        *fault = why;
    return err;
}

static enum err open_parts(struct sqlite_store *store, const struct store_config *config,
                           struct fault *fault)
{
    bool is_write = config->mode == STORE_WRITE;
    enum err err = ERR_OK;
    if (is_write && !config->vfs)
        err = take_lock(store, fault);
    if (err)
        return err;
    struct sql_config sql = {
        .path = store->path,
        .vfs = config->vfs,
        .is_read_only = !is_write,
        .is_exclusive = config->is_exclusive,
        .cache_bytes = config->cache_bytes ? config->cache_bytes
                       : is_write          ? CACHE_BYTES_WRITE
                                           : CACHE_BYTES_READ,
        .schema = &SQLITE_STORE_SCHEMA,
        .texts = SQLITE_STORE_TEXTS,
        .text_count = SQLITE_STATEMENT_COUNT_,
    };
    err = sql_open(&store->sql, &sql, fault);
    return err ? err : sqlite_tails_read(store, fault);
}

enum err sqlite_store_open(const struct store_config *config, struct store_db **out_db,
                           struct fault *fault)
{
    _Static_assert((int)SQLITE_STATEMENT_COUNT_ <= (int)SQL_STATEMENTS_MAX, "room for all");
    if (strlen(config->path) >= SQLITE_STORE_PATH_MAX)
        return fault_set(fault, ERR_LIMIT, NULL, "the database's path is too long");
    struct sqlite_store *store = calloc(1, sizeof *store);
    if (!store)
        return ERR_NO_MEMORY;
    store->base = (struct store_db){.backend = &SQLITE_BACKEND, .mode = config->mode};
    store->lock.fd = -1;
    store->events_kept_max =
        config->events_kept_max ? config->events_kept_max : STORE_EVENTS_KEPT_MAX;
    memcpy(store->path, config->path, strlen(config->path) + 1);
    enum err err = open_parts(store, config, fault);
    if (err) {
        sqlite_store_close(&store->base);
        return err;
    }
    *out_db = &store->base;
    return ERR_OK;
}
