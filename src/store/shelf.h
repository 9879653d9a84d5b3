/* Where chunks lie: a folder here, an object store elsewhere. What is the same for all (hashes,
 * quotas, accounts, sweeping) is in chunks.c. Thread-safe. */
#ifndef LQ_STORE_SHELF_H
#define LQ_STORE_SHELF_H

#include "store/chunks.h"

struct shelf;

struct shelf_kind {
    void (*close)(struct shelf *shelf);
    /* Durable and whole, or not there at all. *out_is_new false: it stood there already. */
    enum err (*put)(struct shelf *shelf, struct tenant_id tenant, struct digest hash,
                    struct slice bytes, bool *out_is_new, struct fault *fault);
    /* Marks the chunk as used now. ERR_NOT_FOUND. */
    enum err (*touch)(struct shelf *shelf, struct tenant_id tenant, struct digest hash);
    enum err (*get)(struct shelf *shelf, struct tenant_id tenant, struct digest hash,
                    uint64_t offset, void *buffer, size_t len, size_t *out_len, uint64_t *out_size);
    /* Every chunk of the tenant; the visitor may remove the one that it is shown. */
    enum err (*each)(struct shelf *shelf, struct tenant_id tenant,
                     enum err (*visit)(void *context, struct digest hash, uint64_t size,
                                       struct wall_us used_at),
                     void *context);
    /* ERR_STALE: it was used since `before`, and stays. ERR_NOT_FOUND. */
    enum err (*remove)(struct shelf *shelf, struct tenant_id tenant, struct digest hash,
                       struct wall_us before);
    enum err (*tenants)(struct shelf *shelf, struct arena *arena, struct tenant_id **out_ids,
                        size_t *out_count);
};

/* First member of every shelf. */
struct shelf {
    const struct shelf_kind *kind;
};

enum err shelf_open_folder(const char *path, const char *jurisdiction, struct shelf **out_shelf,
                           struct fault *fault) LQ_CHECKED;

#endif
