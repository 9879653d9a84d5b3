/* A folder as a value: relative paths, modes, sizes, and the hashes of the chunks that make up each
 * file.
 *
 * Only regular files, directories, and relative symbolic links that stay inside. Modes keep their
 * permission bits (0777); owners and times are not kept. Canonical: entries sorted by path (bytes),
 * parents before children, each path once.
 *
 * Everything a manifest points to lives in the arena it was made in. Scanning and making block on
 * the disk. Neither ever follows a link, leaves the folder, or opens a device, socket or pipe. */
#ifndef LQ_STORE_MANIFEST_H
#define LQ_STORE_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/slice.h"
#include "store/chunker.h"

enum {
    MANIFEST_ENTRIES_MAX = 200000,
    MANIFEST_CHUNKS_MAX = 400000,
    MANIFEST_PATH_MAX = 1024,
    MANIFEST_DEPTH_MAX = 64,
    MANIFEST_BYTES_MAX = 64 * 1024 * 1024, /* as JSON */
};

enum manifest_kind { MANIFEST_FILE, MANIFEST_FOLDER, MANIFEST_LINK };

struct manifest_chunk {
    struct digest hash;
    uint32_t size; /* 1..CHUNK_BYTES_MAX */
};

struct manifest_entry {
    enum manifest_kind kind;
    struct slice path;   /* "a/b/c", UTF-8, no "", ".", ".." parts */
    uint32_t mode;       /* permission bits; of a link: 0 */
    uint64_t size;       /* of a file: sum of its chunks */
    struct slice target; /* of a link */
    const struct manifest_chunk *chunks;
    uint32_t chunk_count;
};

struct manifest {
    const struct manifest_entry *entries;
    size_t count;
    uint64_t size_bytes; /* of all files */
    uint64_t chunk_count;
};

/* Every rule above. ERR_INVALID with the entry's path as field; ERR_LIMIT. */
enum err manifest_check(const struct manifest *manifest, struct fault *fault) LQ_CHECKED;

/* Canonical JSON:
 * {"format":1,"entries":[{"path","kind","mode","size","target","chunks":[["<hash>",size],...]},...]}
 */
enum err manifest_encode(const struct manifest *manifest, struct buffer *out) LQ_CHECKED;
/* Strict; ERR_INVALID, ERR_LIMIT. The result has passed manifest_check. */
enum err manifest_decode(struct slice json, struct arena *arena, struct manifest *out,
                         struct fault *fault) LQ_CHECKED;

/* What lies below `folder`, as a manifest of its own: empty when there is no such folder. Texts and
 * chunks are shared with `manifest`; the entries are in the arena. ERR_NO_MEMORY. */
enum err manifest_below(const struct manifest *manifest, struct slice folder, struct arena *arena,
                        struct manifest *out) LQ_CHECKED;

/* Marks every chunk that the manifest names, for chunks_sweep. ERR_LIMIT, ERR_NO_MEMORY. */
struct chunk_marks;
enum err manifest_mark(const struct manifest *manifest, struct chunk_marks *marks) LQ_CHECKED;

/* Called for every chunk that a scan reads; `bytes` lives during the call. May be NULL. An error
 * ends the scan. */
struct manifest_scan_sink {
    enum err (*on_chunk)(void *context, const struct manifest_chunk *chunk, struct slice bytes);
    void *context;
};
/* Scans the folder at `path`. A file that changes while it is read gives what was read. ERR_INVALID
 * (a thing that is not allowed; the fault names it), ERR_LIMIT, ERR_NOT_FOUND, ERR_DENIED, ERR_IO.
 * sink may be NULL. */
enum err manifest_scan(const char *path, struct arena *arena, const struct manifest_scan_sink *sink,
                       struct manifest *out, struct fault *fault) LQ_CHECKED;
/* Reads chunk `chunk` of entry `entry` again from the scanned folder, for sending. `buffer` holds
 * CHUNK_BYTES_MAX. ERR_STALE: the file has changed since the scan. */
enum err manifest_chunk_read(const char *path, const struct manifest *manifest, size_t entry,
                             uint32_t chunk, void *buffer, size_t *out_len,
                             struct fault *fault) LQ_CHECKED;

/* Gives the bytes of one chunk: writes them to `buffer` (holds chunk->size). They are checked
 * against the hash. */
struct manifest_source {
    enum err (*get)(void *context, const struct manifest_chunk *chunk, void *buffer);
    void *context;
};
/* Makes the folder `path` (which must not exist, or be an empty folder) from a checked manifest.
 * Files are synced when `is_durable`. On failure what was made so far is left for the caller to
 * remove. ERR_EXISTS, ERR_CORRUPT (bytes do not have the hash), ERR_FULL, ERR_IO. */
enum err manifest_make(const struct manifest *manifest, const char *path, bool is_durable,
                       const struct manifest_source *source, struct fault *fault) LQ_CHECKED;

#endif
