#include "store/writer.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "store/committer.h"

struct store_writer {
    struct store_db *db;
    struct clock clock;
    struct committer *committer;
    /* written by the thread, read by the loop */
    atomic_uint_fast64_t commit_ns_total;
    atomic_uint_fast64_t commit_ns_max;
};

static enum err apply_group(void *context, const void *const *changes, size_t count,
                            struct change_result *results)
{
    struct store_writer *writer = context;
    struct now begin = clock_now(&writer->clock);
    enum err err = store_db_apply(writer->db, (const struct change *const *)changes, count,
                                  begin.wall, results, NULL);
    uint64_t took_ns = (uint64_t)(clock_boot(&writer->clock).ns - begin.boot.ns);
    atomic_fetch_add(&writer->commit_ns_total, took_ns);
    if (took_ns > atomic_load(&writer->commit_ns_max))
        atomic_store(&writer->commit_ns_max, took_ns);
    return err;
}

enum err store_writer_create(struct loop *loop, struct store_db *db, struct clock clock,
                             size_t queue_max, struct store_writer **out_writer)
{
    struct store_writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return ERR_NO_MEMORY;
    writer->db = db;
    writer->clock = clock;
    struct committer_config config = {
        .loop = loop,
        .name = "lq-store",
        .queue_max = queue_max ? queue_max : STORE_QUEUE_MAX,
        .group_max = STORE_GROUP_MAX,
        .apply = apply_group,
        .context = writer,
    };
    enum err err = committer_create(&config, &writer->committer);
    if (err) {
        free(writer);
        return err;
    }
    *out_writer = writer;
    return ERR_OK;
}

void store_writer_destroy(struct store_writer *writer)
{
    if (!writer)
        return;
    committer_destroy(writer->committer);
    free(writer);
}

enum err store_writer_submit(struct store_writer *writer, const struct change *change,
                             void (*on_complete)(void *context, const struct change_result *result),
                             void *context)
{
    return committer_submit(writer->committer, change, change->count, on_complete, context);
}

size_t store_writer_load(const struct store_writer *writer)
{
    return committer_load(writer->committer);
}

struct store_writer_stats store_writer_stats(struct store_writer *writer)
{
    struct committer_stats done = committer_stats(writer->committer);
    return (struct store_writer_stats){
        .groups = done.groups,
        .changes = done.changes,
        .ops = done.ops,
        .stale = done.stale,
        .group_changes_max = done.group_changes_max,
        .commit_ns_total = atomic_load(&writer->commit_ns_total),
        .commit_ns_max = atomic_load(&writer->commit_ns_max),
    };
}
