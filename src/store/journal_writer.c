#include <stdlib.h>

#include "base/assert.h"
#include "store/committer.h"
#include "store/journal.h"

struct journal_writer {
    struct journal *journal;
    struct committer *committer;
};

/* A read that runs between the groups. */
struct usage_errand {
    struct journal *journal;
    uint64_t after;
    uint32_t limit;
    struct arena arena;
    enum err err;
    const struct usage_record *records;
    size_t count;
    void (*on_read)(void *context, enum err err, const struct usage_record *records, size_t count);
    void *context;
};

enum { ERRAND_BYTES_MAX = USAGE_BATCH_MAX * 1024 };
_Static_assert(sizeof(struct usage_record) <= 1024, "a whole batch fits the arena");

static enum err apply_group(void *context, const void *const *changes, size_t count,
                            struct change_result *results)
{
    struct journal_writer *writer = context;
    return journal_apply(writer->journal, (const struct journal_change *const *)changes, count,
                         results, NULL);
}

enum err journal_writer_create(struct loop *loop, struct journal *journal, size_t queue_max,
                               struct journal_writer **out_writer)
{
    struct journal_writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return ERR_NO_MEMORY;
    writer->journal = journal;
    struct committer_config config = {
        .loop = loop,
        .name = "lq-journal",
        .queue_max = queue_max ? queue_max : JOURNAL_QUEUE_MAX,
        .group_max = JOURNAL_GROUP_MAX,
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

void journal_writer_destroy(struct journal_writer *writer)
{
    if (!writer)
        return;
    committer_destroy(writer->committer);
    free(writer);
}

enum err journal_writer_submit(struct journal_writer *writer, const struct journal_change *change,
                               void (*on_complete)(void *context,
                                                   const struct change_result *result),
                               void *context)
{
    return committer_submit(writer->committer, change, change->count, on_complete, context);
}

static void run_errand(void *context)
{
    struct usage_errand *errand = context;
    errand->err = journal_usage_read(errand->journal, errand->after, errand->limit, &errand->arena,
                                     &errand->records, &errand->count);
}

static void end_errand(void *context, const struct change_result *result)
{
    (void)result;
    struct usage_errand *errand = context;
    errand->on_read(errand->context, errand->err, errand->records, errand->count);
    arena_deinit(&errand->arena);
    free(errand);
}

enum err journal_writer_usage_read(struct journal_writer *writer, uint64_t after, uint32_t limit,
                                   void (*on_read)(void *context, enum err err,
                                                   const struct usage_record *records,
                                                   size_t count),
                                   void *context)
{
    ASSERT(limit > 0 && limit <= USAGE_BATCH_MAX);
    struct usage_errand *errand = calloc(1, sizeof *errand);
    if (!errand)
        return ERR_NO_MEMORY;
    *errand = (struct usage_errand){.journal = writer->journal,
                                    .after = after,
                                    .limit = limit,
                                    .on_read = on_read,
                                    .context = context};
    arena_init(&errand->arena, ERRAND_BYTES_MAX);
    enum err err = committer_run(writer->committer, run_errand, end_errand, errand);
    if (err) {
        arena_deinit(&errand->arena);
        free(errand);
    }
    return err;
}

size_t journal_writer_load(const struct journal_writer *writer)
{
    return committer_load(writer->committer);
}
