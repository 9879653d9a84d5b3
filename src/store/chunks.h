/* Chunks of content under the SHA-256 of their bytes: the ground of work folders, checkpoints and
 * outputs.
 *
 * An interface with one implementation here (a folder); an object store such as S3 can stand behind
 * it. Chunks belong to a tenant: equal chunks of one tenant are kept once, tenants never see each
 * other's. A store belongs to one jurisdiction.
 *
 * Invariants
 * 1. A chunk that is found is whole and has its hash: written to a temporary file, fsync, rename,
 * fsync of the folder.
 * 2. A chunk put or asked for (chunks_has) is not swept for at least the grace that the sweeper
 * names.
 * 3. usage(tenant) <= quota(tenant) after every put.
 * Thread-safe; every call may block on the disk, so call it from workers. */
#ifndef LQ_STORE_CHUNKS_H
#define LQ_STORE_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/id.h"
#include "base/slice.h"
#include "base/time.h"
#include "store/chunker.h"

enum {
    CHUNKS_ASK_MAX = 65536, /* hashes in one chunks_missing */
    CHUNKS_JURISDICTION_MAX = 32,
    CHUNKS_TENANTS_MAX = 100000,
    CHUNKS_MARKS_MAX = 4 * 1024 * 1024 /* hashes in one set of marks */
};

struct chunks; /* a store */

struct chunks_usage {
    uint64_t bytes, count;
};

struct chunks_swept {
    uint64_t bytes, count; /* removed */
    uint64_t kept_bytes, kept_count;
};

/* Opens (or makes) the store in the folder `path`; leftovers of interrupted puts are removed.
 * ERR_BUSY (another process has it), ERR_INVALID (made for another jurisdiction), ERR_FULL, ERR_IO.
 */
enum err chunks_open_folder(const char *path, const char *jurisdiction, struct chunks **out_chunks,
                            struct fault *fault) LQ_CHECKED;
void chunks_close(struct chunks *chunks); /* accepts NULL */
const char *chunks_jurisdiction(const struct chunks *chunks);

/* Keeps `bytes` (1..CHUNK_BYTES_MAX). ERR_INVALID: they do not have that hash. ERR_LIMIT: over
 * `quota_bytes` of the tenant (0: no limit). ERR_FULL, ERR_IO: nothing is left behind. A chunk that
 * is there already is ERR_OK. */
enum err chunks_put(struct chunks *chunks, struct tenant_id tenant, struct digest hash,
                    struct slice bytes, uint64_t quota_bytes, struct fault *fault) LQ_CHECKED;
/* Sets out_is_missing[i] for each hash (at most CHUNKS_ASK_MAX); those that are there count as used
 * now. */
enum err chunks_missing(struct chunks *chunks, struct tenant_id tenant, const struct digest *hashes,
                        size_t count, bool *out_is_missing) LQ_CHECKED;
/* Up to `len` bytes from `offset` into `buffer`; *out_size is the whole chunk's size (may be NULL).
 * A read of the whole chunk is checked against its hash: ERR_CORRUPT. ERR_NOT_FOUND, ERR_IO. */
enum err chunks_get(struct chunks *chunks, struct tenant_id tenant, struct digest hash,
                    uint64_t offset, void *buffer, size_t len, size_t *out_len,
                    uint64_t *out_size) LQ_CHECKED;
enum err chunks_usage(struct chunks *chunks, struct tenant_id tenant,
                      struct chunks_usage *out) LQ_CHECKED;

/* Marks: the hashes that live manifests of one tenant name. */
struct chunk_marks;
enum err chunk_marks_create(struct chunk_marks **out_marks) LQ_CHECKED;
void chunk_marks_destroy(struct chunk_marks *marks); /* accepts NULL */
enum err chunk_marks_add(struct chunk_marks *marks,
                         struct digest hash) LQ_CHECKED; /* ERR_LIMIT, ERR_NO_MEMORY */

/* Removes the tenant's chunks that are not marked and were not put or asked for within `grace`
 * before `now`. The marks must have been collected after any manifest older than the grace became
 * durable. */
enum err chunks_sweep(struct chunks *chunks, struct tenant_id tenant, struct chunk_marks *marks,
                      struct wall_us now, struct span_ms grace,
                      struct chunks_swept *out) LQ_CHECKED;
/* Tenants that have chunks, in `arena`. */
enum err chunks_tenants(struct chunks *chunks, struct arena *arena, struct tenant_id **out_ids,
                        size_t *out_count) LQ_CHECKED;

#endif
