#include "server/core_host.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/vector.h"

enum { QUERY_ARENA_BYTES = 4 << 20, JOBS_MAX = 1 << 24 };

struct batch {
    struct server_effects effects;
    struct core_host *host;
    struct batch *next;
    bool is_done;
};

struct core_host {
    struct loop *loop;
    struct store_db *db;
    struct store_writer *writer;
    struct server_core *core;
    struct server_settings settings;
    uint64_t random_seed;
    bool is_restored;
    const struct core_host_events *events;
    void *context;
    struct batch *first, *last; /* oldest first */
    size_t batch_count;
    struct loop_timer tick, probe;
    bool place_posted, reset_posted, is_dead;
    enum err reset_why;
    uint64_t steps, resets;
    struct vector jobs_with_attempts; /* struct job_id, while loading */
};

/* ---- loading */

static enum err on_meta(void *context, const struct store_meta *meta)
{
    struct core_host *host = context;
    return server_core_load_meta(host->core, meta->db_epoch, meta->audit_seq, &meta->audit_hash,
                                 meta->event_seq);
}

static enum err on_doc(void *context, const struct doc *doc)
{
    struct core_host *host = context;
    struct fault fault = {0};
    if (host->events->on_doc != NULL)
        host->events->on_doc(host->context, doc);
    return server_core_load_doc(host->core, doc, &fault);
}

static enum err on_spec(void *context, struct spec_id id, struct slice body)
{
    struct core_host *host = context;
    struct fault fault = {0};
    return server_core_load_spec(host->core, id, body, &fault);
}

static enum err on_job(void *context, const struct job_row *row)
{
    struct core_host *host = context;
    enum err err = server_core_load_job(host->core, row);
    if (err == ERR_OK && row->attempt > 0)
        err = vector_push(&host->jobs_with_attempts, &row->id);
    return err;
}

static enum err on_attempt(void *context, const struct attempt_row *row, struct slice places)
{
    struct core_host *host = context;
    return server_core_load_attempt(host->core, row, places);
}

static enum err on_watermark(void *context, struct site_id site, struct journal_id journal,
                             uint64_t seq)
{
    struct core_host *host = context;
    return server_core_load_watermark(host->core, site, journal, seq);
}

static enum err load_checkpoint(struct core_host *host, struct job_id job, struct arena *arena,
                                struct fault *fault)
{
    struct store_query query = {.kind = STORE_CHECKPOINT_NEWEST};
    struct store_answer answer;
    query.checkpoint_newest.job = job;
    enum err err = store_db_query(host->db, &query, arena, &answer, fault);
    if (err == ERR_NOT_FOUND || (err == ERR_OK && answer.count == 0))
        return ERR_OK;
    return err == ERR_OK ? server_core_load_checkpoint(host->core, &answer.artifacts[0]) : err;
}

static enum err load_spent(struct core_host *host, struct job_id job, struct arena *arena,
                           struct fault *fault)
{
    struct store_query query = {.kind = STORE_ATTEMPT_LIST};
    struct store_answer answer;
    query.attempt_list.job = job;
    enum err err = store_db_query(host->db, &query, arena, &answer, fault);
    for (size_t i = 0; err == ERR_OK && i < answer.count; i++)
        server_core_load_ended(host->core, &answer.attempts[i].row);
    return err;
}

/* Of each job that has been tried before: its newest checkpoint, and what it has spent. */
static enum err load_tried(struct core_host *host, struct fault *fault)
{
    struct arena arena;
    enum err err = ERR_OK;
    arena_init(&arena, QUERY_ARENA_BYTES);
    for (size_t i = 0; i < host->jobs_with_attempts.len && err == ERR_OK; i++) {
        struct job_id job = *(struct job_id *)vector_at(&host->jobs_with_attempts, i);
        err = load_checkpoint(host, job, &arena, fault);
        if (err == ERR_OK)
            err = load_spent(host, job, &arena, fault);
        arena_reset(&arena);
    }
    arena_deinit(&arena);
    return err;
}

static enum err load(struct core_host *host, struct fault *fault)
{
    const struct store_load_sink sink = {on_meta,    on_doc,       on_spec, on_job,
                                         on_attempt, on_watermark, host};
    struct store_meta meta;
    vector_init(&host->jobs_with_attempts, sizeof(struct job_id), JOBS_MAX);
    host->core = server_core_create(&PROTOCOL_RULES_ALL, &host->settings, host->random_seed++);
    enum err err = host->core == NULL ? ERR_NO_MEMORY : store_db_meta(host->db, &meta);
    if (err == ERR_OK)
        err = store_db_load(host->db, &sink, fault);
    if (err == ERR_OK)
        err = load_tried(host, fault);
    if (err == ERR_OK)
        err = store_writer_create(host->loop, host->db, clock_system(), 0, &host->writer);
    vector_deinit(&host->jobs_with_attempts);
    if (err != ERR_OK) {
        server_core_destroy(host->core);
        host->core = NULL;
        return err;
    }
    struct server_event start = {.kind = SERVER_START,
                                 .start = {.is_restored = meta.is_restored || host->is_restored}};
    host->is_restored = false; /* once: a reload finds the raised epoch */
    err = core_host_step(host, &start);
    ASSERT(err == ERR_OK);
    host->events->on_ready(host->context);
    return ERR_OK;
}

/* ---- steps */

static void batch_free(struct batch *batch)
{
    server_effects_deinit(&batch->effects);
    free(batch);
}

static void release_done(struct core_host *host)
{
    while (host->first != NULL && host->first->is_done) {
        struct batch *batch = host->first;
        host->first = batch->next;
        if (host->first == NULL)
            host->last = NULL;
        host->batch_count--;
        for (size_t i = 0; i < batch->effects.output_count; i++)
            host->events->on_output(host->context, &batch->effects.outputs[i]);
        batch_free(batch);
    }
}

static void reset_run(void *context);

static void reset_post(struct core_host *host, enum err why)
{
    if (host->reset_posted)
        return;
    host->reset_posted = true;
    host->reset_why = why;
    ASSERT(loop_post(host->loop, reset_run, host) == ERR_OK);
}

static void on_complete(void *context, const struct change_result *result)
{
    struct batch *batch = context;
    struct core_host *host = batch->host;
    if (host->reset_posted || host->is_dead)
        return; /* freed with the rest */
    if (result->err != ERR_OK) {
        reset_post(host, result->err);
        return;
    }
    batch->is_done = true;
    host->events->on_committed(host->context, &batch->effects.change, result);
    if (result->usage_conflicts > 0) {
        struct server_event conflict = {
            .kind = SERVER_USAGE_CONFLICT,
            .conflict = {batch->effects.usage_site, result->usage_conflicts}};
        enum err err = core_host_step(host, &conflict);
        ASSERT(
            err == ERR_OK ||
            err ==
                ERR_BUSY); /* busy: no alarm now; the store keeps records and count all the same */
    }
    release_done(host);
}

static void place_run(void *context)
{
    struct core_host *host = context;
    struct server_event event = {.kind = SERVER_PLACE};
    host->place_posted = false;
    if (core_host_step(host, &event) == ERR_BUSY && host->core != NULL && !host->reset_posted) {
        loop_timer_set(&host->tick, SPAN_MS(1)); /* the tick places as well */
    }
}

static void tick_run(void *context)
{
    struct core_host *host = context;
    struct server_event event = {.kind = SERVER_TICK};
    if (core_host_step(host, &event) == ERR_BUSY && host->core != NULL && !host->reset_posted)
        loop_timer_set(&host->tick, SPAN_MS(5));
}

enum err core_host_step(struct core_host *host, const struct server_event *event)
{
    if (host->core == NULL || host->reset_posted || host->batch_count >= CORE_HOST_BATCHES_MAX)
        return ERR_BUSY;
    struct batch *batch = calloc(1, sizeof(*batch));
    if (batch == NULL)
        return ERR_BUSY;
    batch->host = host;
    server_effects_init(&batch->effects);
    server_core_step(host->core, event, loop_now(host->loop), &batch->effects);
    host->steps++;
    if (host->last != NULL)
        host->last->next = batch;
    else
        host->first = batch;
    host->last = batch;
    host->batch_count++;
    if (batch->effects.more_work && !host->place_posted) {
        host->place_posted = true;
        ASSERT(loop_post(host->loop, place_run, host) == ERR_OK);
    }
    loop_timer_set_at(&host->tick, server_core_due(host->core));
    if (batch->effects.change.count > 0) {
        enum err err =
            store_writer_submit(host->writer, &batch->effects.change, on_complete, batch);
        if (err != ERR_OK) /* halted: its completions tell why; or no memory: memory is ahead of the
                              store either way */
            reset_post(host, err);
    } else {
        batch->is_done = true;
        release_done(host);
    }
    return ERR_OK;
}

struct server_core *core_host_core(struct core_host *host)
{
    return host->reset_posted ? NULL : host->core;
}

/* ---- failure and recovery */

static void drop_all(struct core_host *host)
{
    struct batch *batch = host->first;
    host->first = host->last = NULL;
    host->batch_count = 0;
    while (batch != NULL) {
        struct batch *next = batch->next;
        batch_free(batch);
        batch = next;
    }
    server_core_destroy(host->core);
    host->core = NULL;
}

static void probe_run(void *context)
{
    struct core_host *host = context;
    struct fault fault = {0};
    if (store_db_probe(host->db, &fault) != ERR_OK || load(host, &fault) != ERR_OK)
        loop_timer_set(&host->probe, SPAN_MS(CORE_HOST_PROBE_MS));
}

static void reset_run(void *context)
{
    struct core_host *host = context;
    host->resets++;
    loop_timer_stop(&host->tick);
    store_writer_destroy(
        host->writer); /* completes everything; on_complete looks away while reset_posted */
    host->writer = NULL;
    drop_all(host);
    host->events->on_reset(host->context, host->reset_why);
    host->reset_posted = false;
    probe_run(host);
}

enum err core_host_create(struct loop *loop, struct store_db *db,
                          const struct server_settings *settings,
                          const struct core_host_options *options,
                          const struct core_host_events *events, void *context,
                          struct core_host **out, struct fault *fault)
{
    struct core_host *host = calloc(1, sizeof(*host));
    if (host == NULL)
        return ERR_NO_MEMORY;
    host->loop = loop;
    host->db = db;
    host->settings = *settings;
    host->random_seed = options->random_seed;
    host->is_restored = options->is_restored;
    host->events = events;
    host->context = context;
    loop_timer_init(&host->tick, loop, tick_run, host);
    loop_timer_init(&host->probe, loop, probe_run, host);
    enum err err = load(host, fault);
    if (err != ERR_OK) {
        free(host);
        return err;
    }
    *out = host;
    return ERR_OK;
}

void core_host_destroy(struct core_host *host)
{
    if (host == NULL)
        return;
    host->is_dead = true;
    loop_timer_stop(&host->tick);
    loop_timer_stop(&host->probe);
    store_writer_destroy(host->writer);
    drop_all(host);
    free(host);
}

struct core_host_stats core_host_stats(struct core_host *host)
{
    struct core_host_stats stats = {.is_ready = core_host_core(host) != NULL,
                                    .steps = host->steps,
                                    .resets = host->resets,
                                    .batches = host->batch_count};
    if (host->writer != NULL)
        stats.writer = store_writer_stats(host->writer);
    return stats;
}
