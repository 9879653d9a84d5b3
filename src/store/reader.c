#include "store/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "port/worker.h"

struct reader_thread {
    struct store_db *db;
    struct worker *worker;
};

struct store_reader {
    struct reader_thread threads[STORE_READER_THREADS_MAX];
    uint32_t count;
    bool is_closing;
};

/* One query on its way. The reply comes first: the owner frees the whole by it. */
struct ask {
    struct store_reply reply;
    struct store_query query; /* its slices live in the reply's arena */
    struct store_db *db;
    void (*on_reply)(void *context, struct store_reply *reply);
    void *context;
};

static enum err open_thread(struct store_reader *reader, struct loop *loop,
                            const struct store_config *config, struct fault *fault)
{
    struct reader_thread *thread = &reader->threads[reader->count];
    struct store_config read = *config;
    read.mode = STORE_READ;
    read.is_exclusive = false;
    enum err err = store_db_open(&read, &thread->db, fault);
    if (err)
        return err;
    err = worker_create(loop, "lq-read", STORE_READER_QUEUE_MAX, &thread->worker);
    if (err) {
        store_db_close(thread->db);
        thread->db = NULL;
        return err;
    }
    reader->count++;
    return ERR_OK;
}

enum err store_reader_create(struct loop *loop, const struct store_config *config, uint32_t threads,
                             struct store_reader **out_reader, struct fault *fault)
{
    ASSERT(threads > 0 && threads <= STORE_READER_THREADS_MAX);
    struct store_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return ERR_NO_MEMORY;
    enum err err = ERR_OK;
    for (uint32_t i = 0; !err && i < threads; i++)
        err = open_thread(reader, loop, config, fault);
    if (err) {
        store_reader_destroy(reader);
        return err;
    }
    *out_reader = reader;
    return ERR_OK;
}

void store_reader_destroy(struct store_reader *reader)
{
    if (!reader)
        return;
    reader->is_closing = true; /* a reply may not ask any more */
    for (uint32_t i = 0; i < reader->count; i++) {
        worker_destroy(reader->threads[i].worker);
        store_db_close(reader->threads[i].db);
    }
    free(reader);
}

void store_reply_free(struct store_reply *reply)
{
    if (!reply)
        return;
    arena_deinit(&reply->arena);
    free(reply);
}

/* ---- copying a query ---- */

static enum err copy_slice(struct arena *arena, struct slice *slice)
{
    if (slice->len == 0)
        return ERR_OK;
    struct slice copy = arena_copy(arena, *slice);
    if (!copy.data)
        return ERR_NO_MEMORY;
    *slice = copy;
    return ERR_OK;
}

static enum err copy_tenants(struct arena *arena, struct store_tenants *tenants)
{
    if (tenants->count > STORE_TENANTS_MAX)
        return ERR_INVALID;
    if (tenants->is_all || tenants->count == 0)
        return ERR_OK;
    struct tenant_id *ids = arena_array(arena, tenants->count, sizeof *ids);
    if (!ids)
        return ERR_NO_MEMORY;
    memcpy(ids, tenants->ids, tenants->count * sizeof *ids);
    tenants->ids = ids;
    return ERR_OK;
}

static enum err copy_query(struct arena *arena, struct store_query *query)
{
    enum err err = ERR_OK;
    switch (query->kind) {
    case STORE_JOB_LIST:
        err = copy_tenants(arena, &query->job_list.tenants);
        return err ? err : copy_slice(arena, &query->job_list.name);
    case STORE_JOB_COUNT:
        return copy_tenants(arena, &query->job_count.tenants);
    case STORE_USAGE_SUM:
        return copy_tenants(arena, &query->usage_sum.tenants);
    case STORE_EVENT_LIST:
        return copy_tenants(arena, &query->event_list.tenants);
    case STORE_AUDIT_LIST:
        return copy_slice(arena, &query->audit_list.tenant);
    case STORE_DOC_GET:
        return copy_slice(arena, &query->doc_get.id);
    case STORE_DOC_LIST:
        err = copy_slice(arena, &query->doc_list.parent);
        return err ? err : copy_slice(arena, &query->doc_list.after);
    case STORE_ARTIFACT_LIST:
        return copy_tenants(arena, &query->artifact_list.tenants);
    case STORE_RECLAIM_LIST:
        return copy_slice(arena, &query->reclaim_list.before_name);
    case STORE_IDEMPOTENCY_GET:
        err = copy_slice(arena, &query->idempotency_get.scope);
        return err ? err : copy_slice(arena, &query->idempotency_get.key);
    default:
        return ERR_OK; /* the others are plain memory */
    }
}

/* ---- asking ---- */

static void run_ask(void *context)
{
    struct ask *ask = context;
    ask->reply.err = store_db_query(ask->db, &ask->query, &ask->reply.arena, &ask->reply.answer,
                                    &ask->reply.fault);
}

static void bring_reply(void *context)
{
    struct ask *ask = context;
    ask->on_reply(ask->context, &ask->reply);
}

static struct reader_thread *least_loaded(struct store_reader *reader)
{
    struct reader_thread *best = &reader->threads[0];
    for (uint32_t i = 1; i < reader->count; i++) {
        if (worker_load(reader->threads[i].worker) < worker_load(best->worker))
            best = &reader->threads[i];
    }
    return best;
}

enum err store_reader_submit(struct store_reader *reader, const struct store_query *query,
                             void (*on_reply)(void *context, struct store_reply *reply),
                             void *context)
{
    if (reader->is_closing)
        return ERR_CLOSED;
    struct reader_thread *thread = least_loaded(reader);
    struct ask *ask = calloc(1, sizeof *ask);
    if (!ask)
        return ERR_NO_MEMORY;
    arena_init(&ask->reply.arena, STORE_ANSWER_BYTES_MAX);
    ask->query = *query;
    ask->db = thread->db;
    ask->on_reply = on_reply;
    ask->context = context;
    enum err err = copy_query(&ask->reply.arena, &ask->query);
    if (!err)
        err = worker_submit(thread->worker, run_ask, bring_reply, ask);
    if (err)
        store_reply_free(&ask->reply);
    return err;
}
