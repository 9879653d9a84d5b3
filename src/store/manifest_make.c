/* From a manifest to a folder. Names are made one below the other through descriptors, exclusively
 * and never through a link, and links are made last: nothing of ours is ever written through one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "port/file.h"
#include "store/folder_fd.h"
#include "store/manifest.h"

struct make {
    const struct manifest *manifest;
    const struct manifest_source *source;
    bool is_durable;
    int root_fd;
    uint8_t *buffer; /* one chunk */
};

static enum err write_chunks(struct make *make, int fd, const struct manifest_entry *entry,
                             struct fault *fault)
{
    for (uint32_t i = 0; i < entry->chunk_count; i++) {
        const struct manifest_chunk *chunk = &entry->chunks[i];
        enum err err = make->source->get(make->source->context, chunk, make->buffer);
        if (err)
            return fault_set(fault, err, NULL, "%.*s: chunk %u cannot be had",
                             SLICE_ARG(entry->path), i);
        struct slice bytes = slice_make(make->buffer, chunk->size);
        if (!digest_is_equal(digest_of(bytes), chunk->hash))
            return fault_set(fault, ERR_CORRUPT, NULL, "%.*s: chunk %u does not have its hash",
                             SLICE_ARG(entry->path), i);
        err = file_write_all(fd, bytes);
        if (err)
            return fault_set(fault, err, NULL, "%.*s cannot be written", SLICE_ARG(entry->path));
    }
    return ERR_OK;
}

static enum err make_file(struct make *make, int folder_fd, const char *name,
                          const struct manifest_entry *entry, struct fault *fault)
{
    int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return folder_fd_error(errno, entry->path, fault);
    enum err err = write_chunks(make, fd, entry, fault);
    if (!err && fchmod(fd, entry->mode) != 0)
        err = folder_fd_error(errno, entry->path, fault);
    if (!err && make->is_durable)
        err = file_sync(fd);
    file_close(fd);
    return err;
}

static enum err make_entry(struct make *make, const struct manifest_entry *entry,
                           struct fault *fault)
{
    int folder_fd = -1;
    char name[256];
    enum err err = folder_fd_open_parent(make->root_fd, entry->path, fault, &folder_fd, name);
    if (err)
        return err;
    int code = 0;
    if (entry->kind == MANIFEST_FILE)
        err = make_file(make, folder_fd, name, entry, fault);
    else if (entry->kind == MANIFEST_FOLDER)
        code = mkdirat(folder_fd, name, 0700);
    else {
        char target[MANIFEST_PATH_MAX + 1];
        memcpy(target, entry->target.data, entry->target.len);
        target[entry->target.len] = 0;
        code = symlinkat(target, folder_fd, name);
    }
    if (code != 0)
        err = folder_fd_error(errno, entry->path, fault);
    file_close(folder_fd);
    return err;
}

/* Once all is in it, a folder gets its own mode (it may be read-only) and is made durable. */
static enum err finish_folder(struct make *make, const struct manifest_entry *entry,
                              struct fault *fault)
{
    int fd = -1;
    enum err err = folder_fd_open_below(make->root_fd, entry->path, fault, &fd);
    if (!err && fchmod(fd, entry->mode) != 0)
        err = folder_fd_error(errno, entry->path, fault);
    if (!err && make->is_durable)
        err = file_sync(fd);
    file_close(fd);
    return err;
}

static enum err make_all(struct make *make, struct fault *fault)
{
    const struct manifest *manifest = make->manifest;
    enum err err = ERR_OK;
    for (int pass = 0; pass < 2 && !err; pass++) {
        for (size_t i = 0; !err && i < manifest->count; i++) {
            if ((manifest->entries[i].kind == MANIFEST_LINK) == (pass == 1))
                err = make_entry(make, &manifest->entries[i], fault);
        }
    }
    /* Backwards: children before parents. */
    for (size_t i = manifest->count; !err && i-- > 0;) {
        if (manifest->entries[i].kind == MANIFEST_FOLDER)
            err = finish_folder(make, &manifest->entries[i], fault);
    }
    if (!err && make->is_durable)
        err = file_sync(make->root_fd);
    return err;
}

/* The root: made, or there and empty. */
static enum err open_root(const char *path, struct arena *arena, struct fault *fault, int *out_fd)
{
    struct file_entry *entries = NULL;
    size_t count = 0;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return folder_fd_error(errno, slice_of(path), fault);
    enum err err = folder_fd_open(path, fault, out_fd);
    if (!err)
        err = file_list(path, 1, arena, NULL, &entries, &count);
    if (err == ERR_LIMIT || (!err && count > 0))
        err = fault_set(fault, ERR_EXISTS, NULL, "%s is not empty", path);
    return err;
}

enum err manifest_make(const struct manifest *manifest, const char *path, bool is_durable,
                       const struct manifest_source *source, struct fault *fault)
{
    enum err err = manifest_check(manifest, fault);
    if (err)
        return err;
    struct make make = {
        .manifest = manifest, .source = source, .is_durable = is_durable, .root_fd = -1};
    struct arena arena;
    arena_init(&arena, 64 * 1024);
    make.buffer = malloc(CHUNK_BYTES_MAX);
    err = make.buffer ? open_root(path, &arena, fault, &make.root_fd) : ERR_NO_MEMORY;
    if (!err)
        err = make_all(&make, fault);
    file_close(make.root_fd);
    free(make.buffer);
    arena_deinit(&arena);
    return err;
}
