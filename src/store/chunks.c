#include "store/chunks.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/map.h"
#include "base/vector.h"
#include "store/shelf.h"

/* What one tenant holds; counted once from the shelf, then kept up to date. */
struct account {
    struct chunks_usage usage;
};

struct chunks {
    struct shelf *shelf;
    char jurisdiction[CHUNKS_JURISDICTION_MAX];
    pthread_mutex_t mutex; /* the accounts */
    struct idmap accounts;
};

struct chunk_marks {
    struct vector hashes;
    bool is_sorted;
};

enum err chunks_open_folder(const char *path, const char *jurisdiction, struct chunks **out_chunks,
                            struct fault *fault)
{
    size_t len = strlen(jurisdiction);
    if (len == 0 || len >= CHUNKS_JURISDICTION_MAX || strpbrk(jurisdiction, "\r\n"))
        return fault_set(fault, ERR_INVALID, "jurisdiction", "must be a short name on one line");
    struct chunks *chunks = calloc(1, sizeof *chunks);
    if (!chunks)
        return ERR_NO_MEMORY;
    memcpy(chunks->jurisdiction, jurisdiction, len + 1);
    pthread_mutex_init(&chunks->mutex, NULL);
    idmap_init(&chunks->accounts, CHUNKS_TENANTS_MAX, 0);
    enum err err = shelf_open_folder(path, jurisdiction, &chunks->shelf, fault);
    if (err) {
        chunks_close(chunks);
        return err;
    }
    *out_chunks = chunks;
    return ERR_OK;
}

void chunks_close(struct chunks *chunks)
{
    if (!chunks)
        return;
    if (chunks->shelf)
        chunks->shelf->kind->close(chunks->shelf);
    size_t cursor = 0;
    void *account = NULL;
    while (idmap_next(&chunks->accounts, &cursor, NULL, &account))
        free(account);
    idmap_deinit(&chunks->accounts);
    pthread_mutex_destroy(&chunks->mutex);
    free(chunks);
}

const char *chunks_jurisdiction(const struct chunks *chunks)
{
    return chunks->jurisdiction;
}

/* ---- accounts ---- */

static enum err count_chunk(void *context, struct digest hash, uint64_t size,
                            struct wall_us used_at)
{
    (void)hash, (void)used_at;
    struct chunks_usage *usage = context;
    usage->bytes += size;
    usage->count++;
    return ERR_OK;
}

/* Mutex held. The first use of a tenant walks what it has; the others wait for it. */
static enum err find_account(struct chunks *chunks, struct tenant_id tenant, struct account **out)
{
    struct account *account = idmap_get(&chunks->accounts, tenant.id);
    if (account) {
        *out = account;
        return ERR_OK;
    }
    account = calloc(1, sizeof *account);
    if (!account)
        return ERR_NO_MEMORY;
    enum err err = chunks->shelf->kind->each(chunks->shelf, tenant, count_chunk, &account->usage);
    if (!err)
        err = idmap_add(&chunks->accounts, tenant.id, account);
    if (err) {
        free(account);
        return err;
    }
    *out = account;
    return ERR_OK;
}

static enum err reserve(struct chunks *chunks, struct tenant_id tenant, size_t len,
                        uint64_t quota_bytes, struct fault *fault)
{
    struct account *account = NULL;
    pthread_mutex_lock(&chunks->mutex);
    enum err err = find_account(chunks, tenant, &account);
    if (!err && quota_bytes > 0 &&
        (account->usage.bytes > quota_bytes || len > quota_bytes - account->usage.bytes))
        err = fault_set(fault, ERR_LIMIT, NULL,
                        "the tenant's quota of %llu bytes of stored content is used up",
                        (unsigned long long)quota_bytes);
    if (!err) {
        account->usage.bytes += len;
        account->usage.count++;
    }
    pthread_mutex_unlock(&chunks->mutex);
    return err;
}

static void release(struct chunks *chunks, struct tenant_id tenant, uint64_t len)
{
    pthread_mutex_lock(&chunks->mutex);
    struct account *account = idmap_get(&chunks->accounts, tenant.id);
    ASSERT(account && account->usage.bytes >= len && account->usage.count > 0);
    account->usage.bytes -= len;
    account->usage.count--;
    pthread_mutex_unlock(&chunks->mutex);
}

enum err chunks_usage(struct chunks *chunks, struct tenant_id tenant, struct chunks_usage *out)
{
    struct account *account = NULL;
    pthread_mutex_lock(&chunks->mutex);
    enum err err = find_account(chunks, tenant, &account);
    if (!err)
        *out = account->usage;
    pthread_mutex_unlock(&chunks->mutex);
    return err;
}

/* ---- chunks ---- */

enum err chunks_put(struct chunks *chunks, struct tenant_id tenant, struct digest hash,
                    struct slice bytes, uint64_t quota_bytes, struct fault *fault)
{
    if (bytes.len == 0 || bytes.len > CHUNK_BYTES_MAX)
        return fault_set(fault, ERR_INVALID, NULL, "a chunk has 1 to %d bytes", CHUNK_BYTES_MAX);
    if (!digest_is_equal(digest_of(bytes), hash))
        return fault_set(fault, ERR_INVALID, NULL,
                         "the bytes do not have the hash they came under");
    struct shelf *shelf = chunks->shelf;
    enum err err = shelf->kind->touch(shelf, tenant, hash);
    if (err != ERR_NOT_FOUND)
        return err;
    err = reserve(chunks, tenant, bytes.len, quota_bytes, fault);
    if (err)
        return err;
    bool is_new = false;
    err = shelf->kind->put(shelf, tenant, hash, bytes, &is_new, fault);
    if (err || !is_new)
        release(chunks, tenant, bytes.len);
    return err;
}

enum err chunks_missing(struct chunks *chunks, struct tenant_id tenant, const struct digest *hashes,
                        size_t count, bool *out_is_missing)
{
    if (count > CHUNKS_ASK_MAX)
        return ERR_LIMIT;
    for (size_t i = 0; i < count; i++) {
        enum err err = chunks->shelf->kind->touch(chunks->shelf, tenant, hashes[i]);
        if (err && err != ERR_NOT_FOUND)
            return err;
        out_is_missing[i] = err == ERR_NOT_FOUND;
    }
    return ERR_OK;
}

enum err chunks_get(struct chunks *chunks, struct tenant_id tenant, struct digest hash,
                    uint64_t offset, void *buffer, size_t len, size_t *out_len, uint64_t *out_size)
{
    size_t got = 0;
    uint64_t size = 0;
    enum err err =
        chunks->shelf->kind->get(chunks->shelf, tenant, hash, offset, buffer, len, &got, &size);
    if (err)
        return err;
    if (offset == 0 && got == size && !digest_is_equal(digest_of(slice_make(buffer, got)), hash))
        return ERR_CORRUPT;
    *out_len = got;
    if (out_size)
        *out_size = size;
    return ERR_OK;
}

enum err chunks_tenants(struct chunks *chunks, struct arena *arena, struct tenant_id **out_ids,
                        size_t *out_count)
{
    return chunks->shelf->kind->tenants(chunks->shelf, arena, out_ids, out_count);
}

/* ---- sweeping ---- */

enum err chunk_marks_create(struct chunk_marks **out_marks)
{
    struct chunk_marks *marks = calloc(1, sizeof *marks);
    if (!marks)
        return ERR_NO_MEMORY;
    vector_init(&marks->hashes, sizeof(struct digest), CHUNKS_MARKS_MAX);
    *out_marks = marks;
    return ERR_OK;
}

void chunk_marks_destroy(struct chunk_marks *marks)
{
    if (!marks)
        return;
    vector_deinit(&marks->hashes);
    free(marks);
}

enum err chunk_marks_add(struct chunk_marks *marks, struct digest hash)
{
    marks->is_sorted = false;
    return vector_push(&marks->hashes, &hash);
}

static int compare_hashes(const void *a, const void *b)
{
    return digest_compare(*(const struct digest *)a, *(const struct digest *)b);
}

static bool is_marked(const struct chunk_marks *marks, const struct digest *hash)
{
    return marks->hashes.len > 0 && bsearch(hash, marks->hashes.data, marks->hashes.len,
                                            sizeof *hash, compare_hashes) != NULL;
}

struct sweep {
    struct chunks *chunks;
    struct tenant_id tenant;
    const struct chunk_marks *marks;
    struct wall_us before;
    struct chunks_swept *swept;
};

static enum err sweep_chunk(void *context, struct digest hash, uint64_t size,
                            struct wall_us used_at)
{
    struct sweep *sweep = context;
    struct shelf *shelf = sweep->chunks->shelf;
    bool is_kept = used_at.us >= sweep->before.us || is_marked(sweep->marks, &hash);
    enum err err = ERR_OK;
    if (!is_kept) {
        err = shelf->kind->remove(shelf, sweep->tenant, hash, sweep->before);
        is_kept = err == ERR_STALE; /* someone has asked for it since we looked */
        if (err == ERR_STALE)
            err = ERR_OK;
    }
    if (err)
        return err;
    if (is_kept) {
        sweep->swept->kept_bytes += size;
        sweep->swept->kept_count++;
        return ERR_OK;
    }
    sweep->swept->bytes += size;
    sweep->swept->count++;
    release(sweep->chunks, sweep->tenant, size);
    return ERR_OK;
}

enum err chunks_sweep(struct chunks *chunks, struct tenant_id tenant, struct chunk_marks *marks,
                      struct wall_us now, struct span_ms grace, struct chunks_swept *out)
{
    struct chunks_swept swept = {0};
    struct chunks_usage usage;
    struct sweep sweep = {
        .chunks = chunks,
        .tenant = tenant,
        .marks = marks,
        .before = {now.us - grace.ms * 1000},
        .swept = &swept,
    };
    if (!marks->is_sorted && marks->hashes.len > 1)
        qsort(marks->hashes.data, marks->hashes.len, sizeof(struct digest), compare_hashes);
    marks->is_sorted = true;
    enum err err = chunks_usage(chunks, tenant, &usage); /* so that the account stands */
    if (!err)
        err = chunks->shelf->kind->each(chunks->shelf, tenant, sweep_chunk, &sweep);
    if (!err)
        *out = swept;
    return err;
}
