/* A thread that commits: a bounded queue in, groups through one function, completions back on the
 * loop in order. The server's writer and the agent's journal are two of these. Rules, halting
 * included: store/writer.h. Create, submit and destroy on the loop's thread. */
#ifndef LQ_STORE_COMMITTER_H
#define LQ_STORE_COMMITTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

struct loop;
struct committer;

enum {
    COMMITTER_GROUP_OPS_MAX = 65536
}; /* a group stops growing past this: one commit stays short */

struct committer_config {
    struct loop *loop;
    const char *name; /* of the thread */
    size_t queue_max; /* changes under way */
    size_t group_max;
    /* On the thread: applies changes[0..count) in one transaction and fills `results`. Anything but
     * ERR_OK halts. */
    enum err (*apply)(void *context, const void *const *changes, size_t count,
                      struct change_result *results);
    void *context;
};

struct committer_stats {
    uint64_t groups, changes, ops, stale, group_changes_max;
};

/* ERR_NO_MEMORY, ERR_IO. */
enum err committer_create(const struct committer_config *config,
                          struct committer **out_committer) LQ_CHECKED;
void committer_destroy(struct committer *committer); /* accepts NULL */
/* `ops` is the change's weight. ERR_BUSY, ERR_CLOSED. */
enum err committer_submit(struct committer *committer, const void *change, size_t ops,
                          void (*on_complete)(void *context, const struct change_result *result),
                          void *context) LQ_CHECKED;
/* Runs `run` on the thread after everything submitted before, halted or not, then on_complete.
 * ERR_BUSY. */
enum err committer_run(struct committer *committer, void (*run)(void *context),
                       void (*on_complete)(void *context, const struct change_result *result),
                       void *context) LQ_CHECKED;
size_t committer_load(const struct committer *committer);
/* As of what was completed. */
struct committer_stats committer_stats(const struct committer *committer);

#endif
