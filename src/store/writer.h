/* The one thread that writes the server's database: a bounded queue and group commit.
 *
 * The thread takes everything that waits (at most STORE_GROUP_MAX changes), applies it in one
 * transaction, commits once, and completes all of it on the loop, in order. Create, submit and
 * destroy on the loop's thread.
 *
 * When a group fails (anything but committed or stale) the writer halts: that group and every
 * change submitted before the owner could know complete with the same error and nothing of them is
 * applied, because they were made by a core that is now out of date. The owner then destroys the
 * writer, calls store_db_probe until it succeeds, loads again with store_db_load, and creates a new
 * one. The store_db stays open throughout. */
#ifndef LQ_STORE_WRITER_H
#define LQ_STORE_WRITER_H

#include "port/clock.h"
#include "store/store.h"

struct loop;
struct store_writer;

enum { STORE_QUEUE_MAX = 16384 }; /* default most changes submitted and not yet completed */

struct store_writer_stats {
    uint64_t groups, changes, ops; /* committed */
    uint64_t stale;
    uint64_t group_changes_max;              /* largest group so far */
    uint64_t commit_ns_total, commit_ns_max; /* begin to commit, a group */
};

/* Borrows `db` (opened with STORE_WRITE) until destroyed: nobody else may touch it meanwhile.
 * queue_max 0: STORE_QUEUE_MAX. ERR_NO_MEMORY, ERR_IO. */
enum err store_writer_create(struct loop *loop, struct store_db *db, struct clock clock,
                             size_t queue_max, struct store_writer **out_writer) LQ_CHECKED;
/* Waits for what is queued to be written, completes all of it (calls on_complete before it
 * returns), joins, frees; `db` is the caller's again. Accepts NULL. */
void store_writer_destroy(struct store_writer *writer);

/* `change` and all it points to must live until on_complete. ERR_BUSY: queue_max changes are under
 * way; nothing was taken. ERR_CLOSED: halted; only destroy is left. */
enum err store_writer_submit(struct store_writer *writer, const struct change *change,
                             void (*on_complete)(void *context, const struct change_result *result),
                             void *context) LQ_CHECKED;
size_t store_writer_load(const struct store_writer *writer); /* changes not yet completed */
struct store_writer_stats store_writer_stats(struct store_writer *writer);

#endif
