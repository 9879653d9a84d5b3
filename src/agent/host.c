#include "agent/host.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/random.h"
#include "port/entropy.h"
#include "port/file.h"
#include "store/journal.h"

_Static_assert((int)AGENT_HOST_BATCHES_MAX < (int)JOURNAL_QUEUE_MAX, "the writer takes every step");

struct batch {
    struct agent_effects effects;
    struct agent_host *host;
    struct batch *next;
    bool is_done;
};

struct agent_host {
    struct loop *loop;
    char path[FILE_PATH_MAX];
    const struct site *site;
    struct agent_settings settings;
    const struct agent_host_events *events;
    void *context;
    struct journal *journal;
    struct journal_writer *writer;
    struct agent_core *core;
    uint64_t generation;
    struct batch *first, *last; /* oldest first */
    size_t batch_count;
    struct loop_timer tick, probe;
    bool is_reset_posted, is_releasing, is_dead;
    enum err reset_why;
};

/* ---- loading */

static enum err on_meta(void *context, const struct journal_meta *meta)
{
    struct agent_host *host = context;
    return agent_core_load_meta(host->core, meta);
}

static enum err on_attempt(void *context, const struct journal_attempt *attempt)
{
    struct agent_host *host = context;
    enum err err = agent_core_load_attempt(host->core, attempt);
    if (err == ERR_OK)
        host->events->on_row(host->context, attempt);
    return err;
}

static enum err on_usage(void *context, const struct usage_record *record)
{
    struct agent_host *host = context;
    return agent_core_load_usage(host->core, record);
}

/* The database and its companions, so that an empty one can stand in its place. */
static enum err move_aside(const char *path, struct fault *fault)
{
    static const char *const SUFFIXES[] = {"", "-wal", "-shm"};
    char from[FILE_PATH_MAX + 8], to[FILE_PATH_MAX + 32];
    struct file_info info;
    enum err err = ERR_LIMIT;
    for (unsigned n = 1; n <= JOURNAL_ASIDE_MAX; n++) {
        (void)snprintf(to, sizeof(to), "%s.unreadable-%u", path, n);
        if (file_stat(to, &info) != ERR_NOT_FOUND)
            continue;
        for (size_t i = 0; i < sizeof(SUFFIXES) / sizeof(SUFFIXES[0]); i++) {
            (void)snprintf(from, sizeof(from), "%s%s", path, SUFFIXES[i]);
            (void)snprintf(to, sizeof(to), "%s.unreadable-%u%s", path, n, SUFFIXES[i]);
            enum err moved = file_rename(from, to, fault);
            if (i == 0)
                err = moved;
        }
        return err;
    }
    return fault_set(fault, err, NULL, "more than %d damaged journals lie beside %s",
                     JOURNAL_ASIDE_MAX, path);
}

static enum err open_journal(struct agent_host *host, struct fault *fault)
{
    const struct journal_config config = {
        .path = host->path, .is_exclusive = true, .cache_bytes = 1 << 20};
    if (host->journal != NULL)
        return journal_probe(host->journal, fault);
    enum err err = journal_open(&config, &host->journal, fault);
    if (err == ERR_CORRUPT) { /* it lies aside already */
        host->events->on_journal_lost(host->context, fault);
        err = journal_open(&config, &host->journal, fault);
    }
    return err;
}

static enum err load_rows(struct agent_host *host, struct fault *fault)
{
    const struct journal_load_sink sink = {on_meta, on_attempt, on_usage, host};
    struct random random;
    bool has_meta = false;
    enum err err = entropy_seed(&random);
    if (err != ERR_OK)
        return err;
    host->core =
        agent_core_create(&PROTOCOL_RULES_ALL, &host->settings, host->site, random_u64(&random));
    host->generation++;
    err = journal_load(host->journal, &sink, &has_meta, fault);
    if (err == ERR_INVALID && fault->message[0] == '\0')
        err = fault_set(fault, ERR_INVALID, NULL,
                        "the journal %s belongs to another site; put the right state folder in "
                        "place",
                        host->path);
    return err;
}

static enum err load(struct agent_host *host, struct fault *fault)
{
    enum err err = open_journal(host, fault);
    if (err == ERR_OK)
        err = load_rows(host, fault);
    if (err == ERR_CORRUPT) {
        journal_close(host->journal);
        host->journal = NULL;
        agent_core_destroy(host->core);
        host->core = NULL;
        host->events->on_journal_lost(host->context, fault);
        err = move_aside(host->path, fault);
        if (err == ERR_OK)
            err = open_journal(host, fault);
        if (err == ERR_OK)
            err = load_rows(host, fault);
    }
    if (err == ERR_OK)
        err = journal_writer_create(host->loop, host->journal, 0, &host->writer);
    if (err != ERR_OK) {
        agent_core_destroy(host->core);
        host->core = NULL;
        return err;
    }
    const struct agent_event boot = {.kind = AGENT_BOOT};
    err = agent_host_step(host, &boot);
    ASSERT(err == ERR_OK);
    host->events->on_ready(host->context);
    return ERR_OK;
}

/* ---- steps */

static void batch_free(struct batch *batch)
{
    agent_effects_deinit(&batch->effects);
    free(batch);
}

static void release_done(struct agent_host *host)
{
    if (host->is_releasing)
        return; /* an output led to a step: its outputs come after these */
    host->is_releasing = true;
    while (host->first != NULL && host->first->is_done) {
        struct batch *batch = host->first;
        host->first = batch->next;
        if (host->first == NULL)
            host->last = NULL;
        host->batch_count--;
        for (size_t i = 0; i < batch->effects.output_count && !host->is_reset_posted; i++)
            host->events->on_output(host->context, &batch->effects.outputs[i]);
        batch_free(batch);
    }
    host->is_releasing = false;
}

static void reset_run(void *context);

static void reset_post(struct agent_host *host, enum err why)
{
    if (host->is_reset_posted)
        return;
    host->is_reset_posted = true;
    host->reset_why = why;
    enum err err = loop_post(host->loop, reset_run, host);
    ASSERT(err == ERR_OK);
}

static void on_complete(void *context, const struct change_result *result)
{
    struct batch *batch = context;
    struct agent_host *host = batch->host;
    if (host->is_reset_posted || host->is_dead)
        return; /* freed with the rest */
    if (result->err != ERR_OK) {
        reset_post(host, result->err);
        return;
    }
    batch->is_done = true;
    host->events->on_durable(host->context, &batch->effects.change);
    release_done(host);
}

static void tick_run(void *context)
{
    struct agent_host *host = context;
    const struct agent_event event = {.kind = AGENT_TICK};
    if (agent_host_step(host, &event) == ERR_BUSY && agent_host_core(host) != NULL)
        loop_timer_set(&host->tick, SPAN_MS(5));
}

enum err agent_host_step(struct agent_host *host, const struct agent_event *event)
{
    if (host->core == NULL || host->is_reset_posted || host->is_dead ||
        host->batch_count >= AGENT_HOST_BATCHES_MAX)
        return ERR_BUSY;
    struct batch *batch = calloc(1, sizeof(*batch));
    if (batch == NULL)
        return ERR_BUSY;
    batch->host = host;
    agent_effects_init(&batch->effects);
    agent_core_step(host->core, event, loop_now(host->loop), &batch->effects);
    if (host->last != NULL)
        host->last->next = batch;
    else
        host->first = batch;
    host->last = batch;
    host->batch_count++;
    loop_timer_set_at(&host->tick, agent_core_due(host->core));
    if (batch->effects.change.count > 0) {
        enum err err =
            journal_writer_submit(host->writer, &batch->effects.change, on_complete, batch);
        if (err != ERR_OK) /* memory is ahead of the journal either way */
            reset_post(host, err);
    } else {
        batch->is_done = true;
        release_done(host);
    }
    return ERR_OK;
}

const struct agent_core *agent_host_core(const struct agent_host *host)
{
    return host->is_reset_posted ? NULL : host->core;
}

uint64_t agent_host_generation(const struct agent_host *host)
{
    return host->generation;
}

/* ---- usage that the core no longer has in memory */

struct usage_reading {
    struct agent_host *host;
    uint64_t generation, after;
};

static void on_usage_read(void *context, enum err err, const struct usage_record *records,
                          size_t count)
{
    struct usage_reading *reading = context;
    struct agent_host *host = reading->host;
    bool is_ours = !host->is_dead && reading->generation == host->generation;
    uint64_t after = reading->after;
    free(reading);
    if (!is_ours || agent_host_core(host) == NULL)
        return;
    if (err != ERR_OK) {
        reset_post(host, err);
        return;
    }
    const struct agent_event event = {
        .kind = AGENT_USAGE,
        .usage = {.after = after, .records = records, .count = (uint32_t)count}};
    if (agent_host_step(host, &event) != ERR_OK)
        reset_post(host, ERR_BUSY); /* the core waits for this answer: start it anew */
}

void agent_host_read_usage(struct agent_host *host, uint64_t after)
{
    struct usage_reading *reading = calloc(1, sizeof(*reading));
    enum err err = ERR_NO_MEMORY;
    if (reading != NULL) {
        *reading = (struct usage_reading){host, host->generation, after};
        err =
            journal_writer_usage_read(host->writer, after, USAGE_BATCH_MAX, on_usage_read, reading);
    }
    if (err == ERR_OK)
        return;
    free(reading);
    reset_post(host, err);
}

/* ---- failure and recovery */

static void drop_all(struct agent_host *host)
{
    struct batch *batch = host->first;
    host->first = host->last = NULL;
    host->batch_count = 0;
    while (batch != NULL) {
        struct batch *next = batch->next;
        batch_free(batch);
        batch = next;
    }
    agent_core_destroy(host->core);
    host->core = NULL;
}

static void probe_run(void *context)
{
    struct agent_host *host = context;
    struct fault fault = {0};
    if (load(host, &fault) != ERR_OK)
        loop_timer_set(&host->probe, SPAN_MS(AGENT_HOST_PROBE_MS));
}

static void reset_run(void *context)
{
    struct agent_host *host = context;
    if (host->is_dead)
        return;
    loop_timer_stop(&host->tick);
    journal_writer_destroy(host->writer); /* completes all; on_complete looks away meanwhile */
    host->writer = NULL;
    drop_all(host);
    host->events->on_reset(host->context, host->reset_why);
    host->is_reset_posted = false;
    probe_run(host);
}

enum err agent_host_create(struct loop *loop, const char *path, const struct site *site,
                           const struct agent_settings *settings,
                           const struct agent_host_events *events, void *context,
                           struct fault *fault, struct agent_host **out_host)
{
    struct agent_host *host = calloc(1, sizeof(*host));
    if (host == NULL)
        return ERR_NO_MEMORY;
    host->loop = loop;
    (void)snprintf(host->path, sizeof(host->path), "%s", path);
    host->site = site;
    host->settings = *settings;
    host->events = events;
    host->context = context;
    loop_timer_init(&host->tick, loop, tick_run, host);
    loop_timer_init(&host->probe, loop, probe_run, host);
    *out_host = host; /* callbacks of the first load want it */
    enum err err = load(host, fault);
    if (err != ERR_OK) {
        journal_close(host->journal);
        free(host);
        *out_host = NULL;
        return err;
    }
    return ERR_OK;
}

void agent_host_destroy(struct agent_host *host)
{
    if (host == NULL)
        return;
    host->is_dead = true;
    loop_timer_stop(&host->tick);
    loop_timer_stop(&host->probe);
    journal_writer_destroy(host->writer);
    drop_all(host);
    journal_close(host->journal);
    free(host);
}
