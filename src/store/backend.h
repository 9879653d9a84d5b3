/* What a database must do to stand behind store/store.h. SQLite does (store/sqlite.h); another one
 * adds a file with a table like this and a line in store_db_open. Meanings and errors are those of
 * store/store.h; the front has checked the arguments. */
#ifndef LQ_STORE_BACKEND_H
#define LQ_STORE_BACKEND_H

#include "store/store.h"

struct store_backend {
    void (*close)(struct store_db *db);
    enum err (*apply)(struct store_db *db, const struct change *const *changes, size_t count,
                      struct wall_us now, struct change_result *results, struct fault *fault);
    enum err (*probe)(struct store_db *db, struct fault *fault);
    enum err (*meta)(struct store_db *db, struct store_meta *out_meta);
    enum err (*load)(struct store_db *db, const struct store_load_sink *sink, struct fault *fault);
    enum err (*query)(struct store_db *db, const struct store_query *query, struct arena *arena,
                      struct store_answer *out, struct fault *fault);
};

/* The first member of every backend's own struct. */
struct store_db {
    const struct store_backend *backend;
    enum store_mode mode;
};

#endif
