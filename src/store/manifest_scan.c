/* From a folder to a manifest. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/vector.h"
#include "port/file.h"
#include "store/folder_fd.h"
#include "store/manifest.h"

enum { SCAN_BUFFER_BYTES = 2 * CHUNK_BYTES_MAX };

struct scan {
    int root_fd;
    struct arena *arena;
    const struct manifest_scan_sink *sink;
    struct chunker chunker;
    uint8_t *buffer;
    struct vector entries; /* struct manifest_entry */
    struct vector folders; /* size_t: entries still to be listed, by index; SIZE_MAX: the root */
    uint64_t size_bytes, chunk_count;
};

/* ---- files ---- */

static enum err take_chunk(struct scan *scan, struct vector *chunks, struct slice bytes,
                           struct fault *fault)
{
    struct manifest_chunk chunk = {.hash = digest_of(bytes), .size = (uint32_t)bytes.len};
    if (++scan->chunk_count > MANIFEST_CHUNKS_MAX)
        return fault_set(fault, ERR_LIMIT, NULL, "the folder is too large: over %d chunks",
                         MANIFEST_CHUNKS_MAX);
    enum err err = vector_push(chunks, &chunk);
    if (!err && scan->sink && scan->sink->on_chunk)
        err = scan->sink->on_chunk(scan->sink->context, &chunk, bytes);
    return err;
}

/* The buffer always holds a whole chunk or the rest of the file before a cut is asked for. */
static enum err cut_file(struct scan *scan, int fd, struct vector *chunks, uint64_t *out_size,
                         struct fault *fault)
{
    uint64_t offset = 0, size = 0;
    size_t have = 0;
    bool is_end = false;
    for (;;) {
        if (have < CHUNK_BYTES_MAX && !is_end) {
            size_t got = 0, room = SCAN_BUFFER_BYTES - have;
            enum err err = file_read_at(fd, offset, scan->buffer + have, room, &got);
            if (err)
                return err;
            is_end = got < room;
            offset += got;
            have += got;
        }
        if (have == 0)
            break;
        size_t len = chunker_cut(&scan->chunker, slice_make(scan->buffer, have));
        enum err err = take_chunk(scan, chunks, slice_make(scan->buffer, len), fault);
        if (err)
            return err;
        size += len;
        have -= len;
        memmove(scan->buffer, scan->buffer + len, have);
    }
    *out_size = size;
    return ERR_OK;
}

static enum err scan_file(struct scan *scan, int folder_fd, const char *name,
                          struct manifest_entry *entry, struct fault *fault)
{
    /* Non-blocking, so that a pipe put in the file's place cannot hold us. */
    int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return folder_fd_error(errno, entry->path, fault);
    struct vector chunks;
    vector_init(&chunks, sizeof(struct manifest_chunk), MANIFEST_CHUNKS_MAX);
    struct stat info;
    enum err err = ERR_OK;
    if (fstat(fd, &info) != 0)
        err = folder_fd_error(errno, entry->path, fault);
    else if (!S_ISREG(info.st_mode))
        err = fault_set(fault, ERR_INVALID, NULL, "%.*s is no plain file any more",
                        SLICE_ARG(entry->path));
    else
        err = cut_file(scan, fd, &chunks, &entry->size, fault);
    close(fd);
    if (!err && chunks.len > 0) {
        struct manifest_chunk *kept = arena_array(scan->arena, chunks.len, sizeof *kept);
        if (kept)
            memcpy(kept, chunks.data, chunks.len * sizeof *kept);
        else
            err = ERR_LIMIT;
        entry->chunks = kept;
        entry->chunk_count = (uint32_t)chunks.len;
        scan->size_bytes += entry->size;
    }
    vector_deinit(&chunks);
    return err;
}

/* ---- folders ---- */

static enum err scan_link(struct scan *scan, int folder_fd, const char *name,
                          struct manifest_entry *entry, struct fault *fault)
{
    char target[MANIFEST_PATH_MAX + 1];
    ssize_t len = readlinkat(folder_fd, name, target, sizeof target);
    if (len < 0)
        return folder_fd_error(errno, entry->path, fault);
    entry->target = arena_copy(scan->arena, slice_make(target, (size_t)len));
    entry->mode = 0;
    return entry->target.data ? ERR_OK : ERR_LIMIT;
}

static enum err scan_entry(struct scan *scan, int folder_fd, struct slice folder, const char *name,
                           struct fault *fault)
{
    struct manifest_entry entry = {0};
    struct stat info;
    char *path =
        arena_printf(scan->arena, "%.*s%s%s", SLICE_ARG(folder), folder.len ? "/" : "", name);
    if (!path)
        return ERR_LIMIT;
    entry.path = slice_of(path);
    if (fstatat(folder_fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? ERR_OK /* gone since it was listed */
                               : folder_fd_error(errno, entry.path, fault);
    entry.mode = info.st_mode & 0777;
    enum err err = ERR_OK;
    size_t index = scan->entries.len;
    if (S_ISREG(info.st_mode)) {
        entry.kind = MANIFEST_FILE;
        err = scan_file(scan, folder_fd, name, &entry, fault);
    } else if (S_ISDIR(info.st_mode)) {
        entry.kind = MANIFEST_FOLDER;
        err = vector_push(&scan->folders, &index);
    } else if (S_ISLNK(info.st_mode)) {
        entry.kind = MANIFEST_LINK;
        err = scan_link(scan, folder_fd, name, &entry, fault);
    } else {
        err = fault_set(fault, ERR_INVALID, NULL,
                        "%s is a device, socket or pipe; only files, folders and links can be kept",
                        path);
    }
    if (err)
        return err;
    err = vector_push(&scan->entries, &entry);
    if (err == ERR_LIMIT)
        fault_set(fault, ERR_LIMIT, NULL, "the folder has over %d entries", MANIFEST_ENTRIES_MAX);
    return err;
}

static enum err scan_folder(struct scan *scan, struct slice path, struct fault *fault)
{
    int fd = -1;
    enum err err = folder_fd_open_below(scan->root_fd, path, fault, &fd);
    if (err)
        return err;
    DIR *folder = fdopendir(fd);
    if (!folder) {
        err = folder_fd_error(errno, path, fault);
        close(fd);
        return err;
    }
    while (!err) {
        errno = 0;
        struct dirent *entry = readdir(folder);
        if (!entry) {
            err = errno ? folder_fd_error(errno, path, fault) : ERR_OK;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            err = scan_entry(scan, fd, path, entry->d_name, fault);
    }
    closedir(folder);
    return err;
}

static int compare_entries(const void *a, const void *b)
{
    return slice_compare(((const struct manifest_entry *)a)->path,
                         ((const struct manifest_entry *)b)->path);
}

static enum err finish(struct scan *scan, struct manifest *out, struct fault *fault)
{
    size_t count = scan->entries.len;
    struct manifest_entry *entries = arena_array(scan->arena, count ? count : 1, sizeof *entries);
    if (!entries)
        return ERR_LIMIT;
    if (count > 0)
        memcpy(entries, scan->entries.data, count * sizeof *entries);
    qsort(entries, count, sizeof *entries, compare_entries);
    struct manifest manifest = {.entries = entries,
                                .count = count,
                                .size_bytes = scan->size_bytes,
                                .chunk_count = scan->chunk_count};
    enum err err = manifest_check(&manifest, fault);
    if (!err)
        *out = manifest;
    return err;
}

enum err manifest_scan(const char *path, struct arena *arena, const struct manifest_scan_sink *sink,
                       struct manifest *out, struct fault *fault)
{
    struct scan scan = {.root_fd = -1, .arena = arena, .sink = sink};
    size_t folder = SIZE_MAX;
    vector_init(&scan.entries, sizeof(struct manifest_entry), MANIFEST_ENTRIES_MAX);
    vector_init(&scan.folders, sizeof(size_t), MANIFEST_ENTRIES_MAX + 1);
    chunker_init(&scan.chunker);
    scan.buffer = malloc(SCAN_BUFFER_BYTES);
    enum err err = scan.buffer ? vector_push(&scan.folders, &folder) : ERR_NO_MEMORY;
    if (!err)
        err = folder_fd_open(path, fault, &scan.root_fd);
    while (!err && scan.folders.len > 0) {
        folder = *(size_t *)vector_last(&scan.folders);
        vector_pop(&scan.folders);
        struct slice below = {"", 0};
        if (folder != SIZE_MAX)
            below = ((struct manifest_entry *)vector_at(&scan.entries, folder))->path;
        err = scan_folder(&scan, below, fault);
    }
    if (!err)
        err = finish(&scan, out, fault);
    file_close(scan.root_fd);
    vector_deinit(&scan.entries);
    vector_deinit(&scan.folders);
    free(scan.buffer);
    return err;
}

/* ---- reading a chunk again ---- */

static enum err read_chunk(int fd, const struct manifest_entry *entry, uint32_t chunk, void *buffer,
                           size_t *out_len)
{
    uint64_t offset = 0;
    for (uint32_t i = 0; i < chunk; i++)
        offset += entry->chunks[i].size;
    size_t wanted = entry->chunks[chunk].size, got = 0;
    enum err err = file_read_at(fd, offset, buffer, wanted, &got);
    if (err)
        return err;
    if (got != wanted ||
        !digest_is_equal(digest_of(slice_make(buffer, got)), entry->chunks[chunk].hash))
        return ERR_STALE;
    *out_len = got;
    return ERR_OK;
}

enum err manifest_chunk_read(const char *path, const struct manifest *manifest, size_t entry,
                             uint32_t chunk, void *buffer, size_t *out_len, struct fault *fault)
{
    if (entry >= manifest->count || chunk >= manifest->entries[entry].chunk_count)
        return ERR_NOT_FOUND;
    const struct manifest_entry *file = &manifest->entries[entry];
    int root_fd = -1, folder_fd = -1, fd = -1;
    char name[256];
    struct stat info;
    enum err err = folder_fd_open(path, fault, &root_fd);
    if (!err)
        err = folder_fd_open_parent(root_fd, file->path, fault, &folder_fd, name);
    if (!err) {
        fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
            err = folder_fd_error(errno, file->path, fault);
    }
    if (!err && (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)))
        err = ERR_STALE;
    if (!err)
        err = read_chunk(fd, file, chunk, buffer, out_len);
    if (err == ERR_STALE || err == ERR_NOT_FOUND || err == ERR_INVALID)
        err = fault_set(fault, ERR_STALE, NULL, "%.*s has changed since it was scanned",
                        SLICE_ARG(file->path));
    file_close(fd);
    file_close(folder_fd);
    file_close(root_fd);
    return err;
}
