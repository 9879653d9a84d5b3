#include "store/committer.h"

#include <stdlib.h>

#include "base/assert.h"
#include "port/mailbox.h"
#include "port/thread.h"

/* One submitted change (or errand), from a pool made at start: a queue that is full is found out at
 * once, and neither mailbox can overflow. */
struct item {
    const void *change; /* NULL: an errand */
    size_t ops;
    void (*run)(void *context);
    void (*on_complete)(void *context, const struct change_result *result);
    void *context;
    struct change_result result;
    uint32_t group_changes; /* on the last of a group: how many it had */
    struct item *next_free;
};

struct committer {
    struct committer_config config;
    /* the loop's */
    struct item *pool;
    struct item *free;
    size_t load;
    bool is_halted;
    struct committer_stats stats;
    struct mailbox *requests;
    struct mailbox *done; /* bound to the loop */
    struct thread *thread;
    /* the thread's */
    enum err failure; /* once set, nothing more is applied */
    struct item **group;
    const void **changes;
    struct change_result *results;
};

/* ---- on the thread ---- */

static void give_back(struct committer *committer, struct item *item)
{
    enum err err = mailbox_put(committer->done, item);
    ASSERT(err == ERR_OK); /* it has room for the whole pool */
}

static void commit_group(struct committer *committer, size_t count)
{
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        committer->changes[i] = committer->group[i]->change;
        committer->results[i] = (struct change_result){.err = committer->failure};
    }
    if (committer->failure == ERR_OK)
        committer->failure = committer->config.apply(committer->config.context, committer->changes,
                                                     count, committer->results);
    for (size_t i = 0; i < count; i++) {
        struct item *item = committer->group[i];
        item->result = committer->results[i];
        item->group_changes = i + 1 == count ? (uint32_t)count : 0;
        give_back(committer, item);
    }
}

/* Takes what waits, up to the limits of a group; the errand that ends it, if any, goes to
 * *out_errand. False: closed and empty. */
static bool take_group(struct committer *committer, size_t *out_count, struct item **out_errand)
{
    size_t count = 0, ops = 0;
    struct span_ms wait = SPAN_MS(-1);
    *out_errand = NULL;
    bool is_open = true;
    while (count < committer->config.group_max && ops < COMMITTER_GROUP_OPS_MAX) {
        void *message = NULL;
        enum err err = mailbox_take(committer->requests, wait, &message);
        if (err) {
            is_open = err == ERR_TIMEOUT || count > 0;
            break;
        }
        struct item *item = message;
        if (!item->change) {
            *out_errand = item;
            break;
        }
        committer->group[count++] = item;
        ops += item->ops;
        wait = SPAN_MS(0);
    }
    *out_count = count;
    return is_open;
}

static void run_thread(void *context)
{
    struct committer *committer = context;
    size_t count = 0;
    struct item *errand = NULL;
    while (take_group(committer, &count, &errand)) {
        commit_group(committer, count);
        if (errand) {
            errand->run(errand->context);
            errand->result = (struct change_result){.err = ERR_OK};
            give_back(committer, errand);
        }
    }
}

/* ---- on the loop ---- */

static void count_result(struct committer *committer, const struct item *item)
{
    struct committer_stats *stats = &committer->stats;
    if (item->result.err == ERR_OK) {
        stats->changes++;
        stats->ops += item->ops;
    } else if (item->result.err == ERR_STALE) {
        stats->stale++;
    } else {
        committer->is_halted = true;
    }
    if (item->group_changes > 0 && !committer->is_halted) {
        stats->groups++;
        if (item->group_changes > stats->group_changes_max)
            stats->group_changes_max = item->group_changes;
    }
}

static void on_done(void *context, void *message)
{
    struct committer *committer = context;
    struct item *item = message;
    if (item->change)
        count_result(committer, item);
    struct change_result result = item->result;
    void (*on_complete)(void *, const struct change_result *) = item->on_complete;
    void *owner = item->context;
    /* Free before the call, so that the owner may submit again from it. */
    item->next_free = committer->free;
    committer->free = item;
    committer->load--;
    on_complete(owner, &result);
}

static enum err allocate(struct committer *committer)
{
    const struct committer_config *config = &committer->config;
    committer->pool = calloc(config->queue_max, sizeof *committer->pool);
    committer->group = calloc(config->group_max, sizeof(void *));
    committer->changes = calloc(config->group_max, sizeof(void *));
    committer->results = calloc(config->group_max, sizeof *committer->results);
    if (!committer->pool || !committer->group || !committer->changes || !committer->results)
        return ERR_NO_MEMORY;
    for (size_t i = config->queue_max; i-- > 0;) {
        committer->pool[i].next_free = committer->free;
        committer->free = &committer->pool[i];
    }
    return ERR_OK;
}

enum err committer_create(const struct committer_config *config, struct committer **out_committer)
{
    ASSERT(config->queue_max > 0 && config->group_max > 0);
    struct committer *committer = calloc(1, sizeof *committer);
    if (!committer)
        return ERR_NO_MEMORY;
    committer->config = *config;
    enum err err = allocate(committer);
    if (!err)
        err = mailbox_create(NULL, config->queue_max, NULL, NULL, &committer->requests);
    if (!err)
        err = mailbox_create(config->loop, config->queue_max, on_done, committer, &committer->done);
    if (!err)
        err = thread_start(config->name, run_thread, committer, &committer->thread);
    if (err) {
        committer_destroy(committer);
        return err;
    }
    *out_committer = committer;
    return ERR_OK;
}

void committer_destroy(struct committer *committer)
{
    if (!committer)
        return;
    committer->is_halted = true; /* a completion may not submit any more */
    if (committer->requests)
        mailbox_close(committer->requests);
    thread_join(committer->thread);
    mailbox_destroy(committer->done, on_done, committer);
    mailbox_destroy(committer->requests, NULL, NULL);
    ASSERT(committer->load == 0);
    free(committer->pool);
    free(committer->group);
    free(committer->changes);
    free(committer->results);
    free(committer);
}

static enum err submit(struct committer *committer, struct item item)
{
    struct item *slot = committer->free;
    if (!slot)
        return ERR_BUSY;
    struct item *rest = slot->next_free;
    *slot = item;
    enum err err = mailbox_put(committer->requests, slot);
    if (err) {
        slot->next_free = rest;
        return err;
    }
    committer->free = rest;
    committer->load++;
    return ERR_OK;
}

enum err committer_submit(struct committer *committer, const void *change, size_t ops,
                          void (*on_complete)(void *context, const struct change_result *result),
                          void *context)
{
    if (committer->is_halted)
        return ERR_CLOSED;
    return submit(committer, (struct item){.change = change,
                                           .ops = ops,
                                           .on_complete = on_complete,
                                           .context = context});
}

enum err committer_run(struct committer *committer, void (*run)(void *context),
                       void (*on_complete)(void *context, const struct change_result *result),
                       void *context)
{
    return submit(committer,
                  (struct item){.run = run, .on_complete = on_complete, .context = context});
}

size_t committer_load(const struct committer *committer)
{
    return committer->load;
}

struct committer_stats committer_stats(const struct committer *committer)
{
    return committer->stats;
}
