/* Chunks as files: FOLDER/TENANT/hh/HASH, written first as FOLDER/new/NUMBER. The file's time of
 * change is when it was last put or asked for. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "port/file.h"
#include "store/shelf.h"

enum {
    FOLDER_PATH_MAX = FILE_PATH_MAX - 256,
    FOLDER_FILES_MAX = 4 * 1024 * 1024, /* in one of a tenant's 256 folders */
    FOLDER_NAMES_BYTES = 512 * 1024 * 1024,
    FORMAT_BYTES_MAX = 256,
};

struct folder_shelf {
    struct shelf base;
    char path[FOLDER_PATH_MAX];
    struct file_lock lock;
    pthread_mutex_t mutex; /* the next number; and looking at a name together with changing it */
    uint64_t next;
};

struct chunk_path {
    char folder[FILE_PATH_MAX];
    char file[FILE_PATH_MAX];
};

static void chunk_path(const struct folder_shelf *shelf, struct tenant_id tenant,
                       struct digest hash, struct chunk_path *out)
{
    char name[ID_TEXT_MAX], hex[DIGEST_TEXT_MAX];
    id_format(tenant.id, "tnt", name);
    digest_format(hash, hex);
    snprintf(out->folder, sizeof out->folder, "%s/%s/%.2s", shelf->path, name, hex);
    int len = snprintf(out->file, sizeof out->file, "%s/%s/%.2s/%s", shelf->path, name, hex, hex);
    ASSERT(len > 0 && (size_t)len < sizeof out->file);
}

static enum err sync_folder(const char *path, struct fault *fault)
{
    int fd = -1;
    enum err err = file_open(path, FILE_OPEN_READ, 0, fault, &fd);
    if (!err)
        err = file_sync(fd);
    file_close(fd);
    return err;
}

/* Makes the tenant's folder and the one below it, and their names durable. */
static enum err make_folders(struct folder_shelf *shelf, const struct chunk_path *path,
                             struct fault *fault)
{
    struct file_info info;
    enum err err = file_stat(path->folder, &info);
    if (err != ERR_NOT_FOUND)
        return err;
    err = file_make_folders(path->folder, 0700, fault);
    if (err)
        return err;
    char tenant[FILE_PATH_MAX];
    snprintf(tenant, sizeof tenant, "%.*s", (int)(strlen(path->folder) - 3), path->folder);
    err = sync_folder(tenant, fault);
    return err ? err : sync_folder(shelf->path, fault);
}

static enum err write_new(struct folder_shelf *shelf, struct slice bytes, char *path, size_t cap,
                          struct fault *fault)
{
    pthread_mutex_lock(&shelf->mutex);
    uint64_t number = shelf->next++;
    pthread_mutex_unlock(&shelf->mutex);
    snprintf(path, cap, "%s/new/%llu", shelf->path, (unsigned long long)number);
    int fd = -1;
    enum err err = file_open(path, FILE_OPEN_CREATE, 0400, fault, &fd);
    if (err)
        return err;
    err = file_write_all(fd, bytes);
    if (!err)
        err = file_sync(fd);
    file_close(fd);
    if (!err)
        return ERR_OK;
    (void)!file_remove(path, NULL);
    if (err == ERR_LIMIT) /* the system's limit on a file's size; ours is told before */
        err = ERR_FULL;
    return fault_set(fault, err, NULL, "%s: cannot keep a chunk of %zu bytes", shelf->path,
                     bytes.len);
}

static enum err folder_put(struct shelf *base, struct tenant_id tenant, struct digest hash,
                           struct slice bytes, bool *out_is_new, struct fault *fault)
{
    struct folder_shelf *shelf = (struct folder_shelf *)base;
    struct chunk_path path;
    char fresh[FILE_PATH_MAX];
    chunk_path(shelf, tenant, hash, &path);
    enum err err = write_new(shelf, bytes, fresh, sizeof fresh, fault);
    if (err)
        return err;
    struct file_info info;
    /* Held over the rename and its fsync: whoever finds the name may rely on it. */
    pthread_mutex_lock(&shelf->mutex);
    err = make_folders(shelf, &path, fault);
    bool is_new = !err && file_stat(path.file, &info) == ERR_NOT_FOUND;
    if (is_new)
        err = file_rename(fresh, path.file, fault);
    pthread_mutex_unlock(&shelf->mutex);
    if (err || !is_new)
        (void)!file_remove(fresh, NULL);
    if (!err)
        *out_is_new = is_new;
    return err;
}

static enum err folder_touch(struct shelf *base, struct tenant_id tenant, struct digest hash)
{
    struct folder_shelf *shelf = (struct folder_shelf *)base;
    struct chunk_path path;
    chunk_path(shelf, tenant, hash, &path);
    pthread_mutex_lock(&shelf->mutex);
    int code = utimensat(AT_FDCWD, path.file, NULL, AT_SYMLINK_NOFOLLOW);
    int number = errno;
    pthread_mutex_unlock(&shelf->mutex);
    if (code == 0)
        return ERR_OK;
    return number == ENOENT || number == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
}

static enum err folder_get(struct shelf *base, struct tenant_id tenant, struct digest hash,
                           uint64_t offset, void *buffer, size_t len, size_t *out_len,
                           uint64_t *out_size)
{
    struct folder_shelf *shelf = (struct folder_shelf *)base;
    struct chunk_path path;
    chunk_path(shelf, tenant, hash, &path);
    int fd = -1;
    uint64_t size = 0;
    size_t got = 0;
    enum err err = file_open(path.file, FILE_OPEN_READ, 0, NULL, &fd);
    if (!err)
        err = file_size(fd, &size);
    if (!err)
        err = file_read_at(fd, offset, buffer, len, &got);
    file_close(fd);
    if (err)
        return err;
    *out_len = got;
    *out_size = size;
    return ERR_OK;
}

static enum err folder_remove(struct shelf *base, struct tenant_id tenant, struct digest hash,
                              struct wall_us before)
{
    struct folder_shelf *shelf = (struct folder_shelf *)base;
    struct chunk_path path;
    struct file_info info;
    chunk_path(shelf, tenant, hash, &path);
    pthread_mutex_lock(&shelf->mutex);
    enum err err = file_stat(path.file, &info);
    if (!err && info.modified.us >= before.us)
        err = ERR_STALE;
    if (!err)
        err = file_remove(path.file, NULL);
    pthread_mutex_unlock(&shelf->mutex);
    return err;
}

typedef enum err visit_fn(void *context, struct digest hash, uint64_t size, struct wall_us used_at);

static enum err each_in(const char *folder, struct arena *arena, visit_fn *visit, void *context)
{
    struct file_entry *entries = NULL;
    size_t count = 0;
    enum err err = file_list(folder, FOLDER_FILES_MAX, arena, NULL, &entries, &count);
    for (size_t i = 0; !err && i < count; i++) {
        char path[FILE_PATH_MAX];
        struct digest hash;
        struct file_info info;
        /* What is no chunk was put there by someone else; it is not ours to count or remove. */
        if (digest_parse(slice_of(entries[i].name), &hash) != ERR_OK)
            continue;
        int len = snprintf(path, sizeof path, "%s/%s", folder, entries[i].name);
        ASSERT(len > 0 && (size_t)len < sizeof path);
        err = file_stat(path, &info);
        if (err == ERR_NOT_FOUND) { /* removed meanwhile */
            err = ERR_OK;
            continue;
        }
        if (!err && info.kind == FILE_PLAIN)
            err = visit(context, hash, info.size_bytes, info.modified);
    }
    return err;
}

static enum err folder_each(struct shelf *base, struct tenant_id tenant, visit_fn *visit,
                            void *context)
{
    struct folder_shelf *shelf = (struct folder_shelf *)base;
    char name[ID_TEXT_MAX], path[FILE_PATH_MAX];
    struct arena arena;
    enum err err = ERR_OK;
    id_format(tenant.id, "tnt", name);
    arena_init(&arena, FOLDER_NAMES_BYTES);
    for (int i = 0; !err && i < 256; i++) {
        int len = snprintf(path, sizeof path, "%s/%s/%02x", shelf->path, name, (unsigned)i);
        ASSERT(len > 0 && (size_t)len < sizeof path);
        arena_reset(&arena);
        err = each_in(path, &arena, visit, context);
        if (err == ERR_NOT_FOUND)
            err = ERR_OK;
    }
    arena_deinit(&arena);
    return err;
}

static enum err folder_tenants(struct shelf *base, struct arena *arena, struct tenant_id **out_ids,
                               size_t *out_count)
{
    struct folder_shelf *shelf = (struct folder_shelf *)base;
    struct file_entry *entries = NULL;
    size_t count = 0, kept = 0;
    enum err err = file_list(shelf->path, CHUNKS_TENANTS_MAX + 16, arena, NULL, &entries, &count);
    if (err)
        return err;
    struct tenant_id *ids = arena_array(arena, count ? count : 1, sizeof *ids);
    if (!ids)
        return ERR_LIMIT;
    for (size_t i = 0; i < count; i++) {
        if (id_parse(slice_of(entries[i].name), "tnt", &ids[kept].id) == ERR_OK)
            kept++;
    }
    *out_ids = ids;
    *out_count = kept;
    return ERR_OK;
}

static void folder_close(struct shelf *base)
{
    struct folder_shelf *shelf = (struct folder_shelf *)base;
    file_lock_release(&shelf->lock);
    pthread_mutex_destroy(&shelf->mutex);
    free(shelf);
}

static const struct shelf_kind FOLDER_KIND = {
    .close = folder_close,
    .put = folder_put,
    .touch = folder_touch,
    .get = folder_get,
    .each = folder_each,
    .remove = folder_remove,
    .tenants = folder_tenants,
};

/* ---- opening ---- */

/* FOLDER/format says what this is and where it stands by law; a store never changes its
 * jurisdiction. */
static enum err check_format(struct folder_shelf *shelf, const char *jurisdiction,
                             struct fault *fault)
{
    char path[FILE_PATH_MAX], wanted[FORMAT_BYTES_MAX];
    snprintf(path, sizeof path, "%s/format", shelf->path);
    snprintf(wanted, sizeof wanted, "lingqu chunks 1\njurisdiction %s\n", jurisdiction);
    struct arena arena;
    struct slice text;
    arena_init(&arena, 2 * FORMAT_BYTES_MAX);
    enum err err = file_read(path, FORMAT_BYTES_MAX, &arena, NULL, &text);
    if (err == ERR_NOT_FOUND)
        err = file_write_atomic(path, slice_of(wanted), 0600, fault);
    else if (!err && !slice_is(text, wanted))
        err = fault_set(fault, ERR_INVALID, NULL,
                        "%s was made for another jurisdiction than %s; a store keeps its own",
                        shelf->path, jurisdiction);
    arena_deinit(&arena);
    return err;
}

static enum err prepare(struct folder_shelf *shelf, const char *jurisdiction, struct fault *fault)
{
    char path[FILE_PATH_MAX];
    enum err err = file_make_folders(shelf->path, 0700, fault);
    if (err)
        return err;
    snprintf(path, sizeof path, "%s/lock", shelf->path);
    err = file_lock_take(path, fault, &shelf->lock);
    if (!err)
        err = check_format(shelf, jurisdiction, fault);
    snprintf(path, sizeof path, "%s/new", shelf->path);
    if (!err)
        err = file_remove_tree(path, fault); /* what interrupted puts have left */
    if (!err)
        err = file_make_folders(path, 0700, fault);
    return err;
}

enum err shelf_open_folder(const char *path, const char *jurisdiction, struct shelf **out_shelf,
                           struct fault *fault)
{
    if (strlen(path) >= FOLDER_PATH_MAX)
        return fault_set(fault, ERR_LIMIT, NULL, "the chunk folder's path is too long");
    struct folder_shelf *shelf = calloc(1, sizeof *shelf);
    if (!shelf)
        return ERR_NO_MEMORY;
    shelf->base.kind = &FOLDER_KIND;
    shelf->lock.fd = -1;
    memcpy(shelf->path, path, strlen(path) + 1);
    pthread_mutex_init(&shelf->mutex, NULL);
    enum err err = prepare(shelf, jurisdiction, fault);
    if (err) {
        folder_close(&shelf->base);
        return err;
    }
    *out_shelf = &shelf->base;
    return ERR_OK;
}
