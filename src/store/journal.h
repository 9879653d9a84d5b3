/* The agent's journal: what a site promised and did, on SQLite (WAL, synchronous FULL).
 *
 * `struct journal` is the synchronous engine (one thread at a time; the simulator calls it
 * directly); `struct journal_writer` gives one to a thread with group commit. Same rules as
 * store/store.h: a change is applied whole or not at all, durable before its result is told; a
 * stale one fails alone.
 *
 * A journal that is missing is made empty: journal_load then says has_meta false, and the caller
 * makes a new journal_id and sets it with JOURNAL_META_SET before anything else. A damaged file is
 * moved aside (its path gets the suffix
 * ".corrupt-N") and ERR_CORRUPT returned; open again for an empty one, and treat it as journal
 * loss. */
#ifndef LQ_STORE_JOURNAL_H
#define LQ_STORE_JOURNAL_H

#include "base/arena.h"
#include "model/journal_change.h"
#include "store/store.h"

struct journal;

enum {
    JOURNAL_SCHEMA_VERSION = 1,
    JOURNAL_GROUP_MAX = 1024,
    JOURNAL_QUEUE_MAX = 4096,
    JOURNAL_ASIDE_MAX = 100, /* damaged files kept beside it */
};

struct journal_config {
    const char *path;
    const char *vfs;      /* NULL: the system's; else a registered SQLite VFS (no lock file, nothing
                             moved aside) */
    bool is_exclusive;    /* locking_mode=EXCLUSIVE */
    uint64_t cache_bytes; /* 0: 4 MiB */
};

/* ERR_BUSY (another process), ERR_INVALID (a database of another kind: left alone), ERR_UNSUPPORTED
 * (newer schema), ERR_CORRUPT (moved aside, see above), ERR_FULL, ERR_IO, ERR_NO_MEMORY. A database
 * of up to JOURNAL_CHECK_BYTES is checked whole at open. */
#define JOURNAL_CHECK_BYTES ((uint64_t)64 * 1024 * 1024)
enum err journal_open(const struct journal_config *config, struct journal **out_journal,
                      struct fault *fault) LQ_CHECKED;
void journal_close(struct journal *journal); /* accepts NULL */

/* As store_db_apply; 1..JOURNAL_GROUP_MAX changes. Stale: an insert that exists, an update or
 * forget of none, usage out of order, a prune past usage_acked. result.op names the operation. */
enum err journal_apply(struct journal *journal, const struct journal_change *const *changes,
                       size_t count, struct change_result *results, struct fault *fault) LQ_CHECKED;
enum err journal_probe(struct journal *journal, struct fault *fault) LQ_CHECKED;

/* meta (only when set), all attempts (by token), usage above usage_acked (by seq). Slices live
 * during the call only. */
struct journal_load_sink {
    enum err (*on_meta)(void *context, const struct journal_meta *meta);
    enum err (*on_attempt)(void *context, const struct journal_attempt *attempt);
    enum err (*on_usage)(void *context, const struct usage_record *record);
    void *context;
};
enum err journal_load(struct journal *journal, const struct journal_load_sink *sink,
                      bool *out_has_meta, struct fault *fault) LQ_CHECKED;

/* Records with seq > after, at most `limit` (<= USAGE_BATCH_MAX), in order, in `arena`. */
enum err journal_usage_read(struct journal *journal, uint64_t after, uint32_t limit,
                            struct arena *arena, const struct usage_record **out_records,
                            size_t *out_count) LQ_CHECKED;

/* The thread; rules as store/writer.h, halting included. */
struct loop;
struct journal_writer;
enum err journal_writer_create(struct loop *loop, struct journal *journal, size_t queue_max,
                               struct journal_writer **out_writer) LQ_CHECKED;
void journal_writer_destroy(struct journal_writer *writer);
enum err journal_writer_submit(struct journal_writer *writer, const struct journal_change *change,
                               void (*on_complete)(void *context,
                                                   const struct change_result *result),
                               void *context) LQ_CHECKED;
/* Reads usage on the thread, after everything submitted before. The records live during on_read
 * only. */
enum err journal_writer_usage_read(struct journal_writer *writer, uint64_t after, uint32_t limit,
                                   void (*on_read)(void *context, enum err err,
                                                   const struct usage_record *records,
                                                   size_t count),
                                   void *context) LQ_CHECKED;
size_t journal_writer_load(const struct journal_writer *writer);

#endif
