/* Files and folders. All calls block: use them at start, on workers, or for small local files.
 * Thread-safe: no shared state. Paths are NUL-terminated; every descriptor is close-on-exec.
 * Errors common to all: ERR_NOT_FOUND, ERR_EXISTS, ERR_DENIED, ERR_FULL (disk or quota), ERR_LIMIT
 * (too many descriptors, or the named limit), ERR_IO; the fault (may be NULL) names the path and
 * the reason. */
#ifndef LQ_PORT_FILE_H
#define LQ_PORT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/time.h"

enum { FILE_PATH_MAX = 4096, FILE_TREE_DEPTH_MAX = 256 };

enum file_kind { FILE_PLAIN, FILE_FOLDER, FILE_LINK, FILE_OTHER };

struct file_info {
    enum file_kind kind; /* of the thing itself; links are not followed */
    uint64_t size_bytes;
    uint32_t mode; /* permission bits */
    uint32_t uid;
    struct wall_us modified;
};

enum err file_stat(const char *path, struct file_info *out_info) LQ_CHECKED;

/* The whole file in `arena` (a NUL follows). ERR_LIMIT when longer than bytes_max. */
enum err file_read(const char *path, size_t bytes_max, struct arena *arena, struct fault *fault,
                   struct slice *out_bytes) LQ_CHECKED;
/* All or nothing, durable on return: temporary file in the same folder, fsync, rename, fsync of the
 * folder. On ERR_IO after the rename the new content may stand without being durable. */
enum err file_write_atomic(const char *path, struct slice bytes, uint32_t mode,
                           struct fault *fault) LQ_CHECKED;
/* All or nothing for who reads it; not durable: after a power cut the file may be absent or empty.
 */
enum err file_write_volatile(const char *path, struct slice bytes, uint32_t mode,
                             struct fault *fault) LQ_CHECKED;

enum err file_make_folders(const char *path, uint32_t mode,
                           struct fault *fault) LQ_CHECKED;             /* like mkdir -p */
enum err file_remove(const char *path, struct fault *fault) LQ_CHECKED; /* a plain file or link */
/* The whole tree, links removed and never followed, mounts below not entered. A path that does not
 * exist is fine. ERR_LIMIT below FILE_TREE_DEPTH_MAX. What could not be removed is left, the first
 * reason is told. */
enum err file_remove_tree(const char *path, struct fault *fault) LQ_CHECKED;
enum err file_rename(const char *from, const char *to,
                     struct fault *fault) LQ_CHECKED; /* with fsync of to's folder */

struct file_entry {
    const char *name;
    enum file_kind kind;
};
/* Names without "." and "..", in byte order. ERR_LIMIT over entries_max. */
enum err file_list(const char *path, size_t entries_max, struct arena *arena, struct fault *fault,
                   struct file_entry **out_entries, size_t *out_count) LQ_CHECKED;

struct file_space {
    uint64_t free_bytes; /* for an unprivileged process */
    uint64_t total_bytes;
};
enum err file_space(const char *path, struct file_space *out_space) LQ_CHECKED;

/* Descriptors, for what is longer than memory. */
enum file_open {
    FILE_OPEN_READ,
    FILE_OPEN_CREATE,    /* write; must not exist */
    FILE_OPEN_APPEND,    /* write at the end; made if missing */
    FILE_OPEN_REPLACE,   /* write; emptied or made */
    FILE_OPEN_READ_WRITE /* made if missing */
};
/* Final links are refused (O_NOFOLLOW). */
enum err file_open(const char *path, enum file_open how, uint32_t mode, struct fault *fault,
                   int *out_fd) LQ_CHECKED;
enum err file_write_all(int fd, struct slice bytes) LQ_CHECKED;
/* *out_len below `len` only at the end of the file. */
enum err file_read_at(int fd, uint64_t offset, void *buffer, size_t len,
                      size_t *out_len) LQ_CHECKED;
enum err file_write_at(int fd, uint64_t offset, struct slice bytes) LQ_CHECKED;
enum err file_size(int fd, uint64_t *out_bytes) LQ_CHECKED;
enum err
file_sync(int fd) LQ_CHECKED; /* fdatasync; after a failure the content is not to be trusted */
void file_close(int fd);      /* accepts -1 */

/* A lock that dies with its holder (flock on a file of its own): refuses a second process.
 * The file's content is the holder's process id, for people. */
struct file_lock {
    int fd;
};
enum err file_lock_take(const char *path, struct fault *fault,
                        struct file_lock *out_lock) LQ_CHECKED; /* ERR_BUSY */
void file_lock_release(struct file_lock *lock);                 /* accepts a released one */

#endif
