/* Work folders before the start: the job's own files and the checkpoint to go on from, by way of
 * the content cache. Manifests and chunks come over the loop; disk and hashes are the preparing
 * thread's. Every chunk is checked against its hash when it is put and when it is read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shell.h"
#include "base/assert.h"
#include "store/manifest.h"
#include "wire/doc.h"
#include "wire/json.h"
#include "wire/json_writer.h"

enum {
    PREPARE_ARENA_BYTES = 256 << 20,
    PREPARE_SOURCES_MAX = JOB_INPUTS_MAX + 2, /* the work folder before, a checkpoint behind */
    PREPARE_ROUNDS_MAX = 3,                   /* content swept from the cache before it was used */
    PREPARE_TARGET_MAX = 160,
};

struct source {
    struct id artifact;
    char below[PATH_MAX_BYTES + 1]; /* folder in the work folder; empty: itself */
    bool has_parts;                 /* a gang's: each rank gets its part of it */
};

struct chunk_slot {
    struct prepare *prepare;
    bool is_busy;
    struct digest hash;
    struct http_call *call;
    char *bytes;
    size_t len;
    enum err err;
    struct fault fault;
};

struct prepare {
    struct agent *agent;
    struct run *run; /* NULL: cancelled */
    struct tenant_id tenant;
    struct source sources[PREPARE_SOURCES_MAX];
    uint32_t source_count, source_at, ranks, rounds, fails, jobs;
    char folder[RUN_PATH_MAX]; /* the attempt's */
    uint64_t cache_bytes_max;
    struct loop_timer retry, limit;
    struct http_call *call;
    /* of the source in hand; the worker's during its jobs */
    struct arena arena;
    char *body;
    size_t body_len;
    struct manifest manifest;
    struct digest *missing;
    size_t missing_count, next, done_count;
    struct chunk_slot slots[PREPARE_CHUNKS_MAX];
    enum err err;
    struct fault fault;
};

static void source_begin(struct prepare *prepare);
static void fetch_more(struct prepare *prepare);

/* ---- ends */

static void source_clear(struct prepare *prepare)
{
    free(prepare->body);
    free(prepare->missing);
    prepare->body = NULL;
    prepare->missing = NULL;
    prepare->missing_count = prepare->next = prepare->done_count = 0;
    arena_deinit(&prepare->arena);
    arena_init(&prepare->arena, PREPARE_ARENA_BYTES);
}

static void prepare_free(struct prepare *prepare)
{
    if (prepare->jobs > 0)
        return;
    source_clear(prepare);
    arena_deinit(&prepare->arena);
    for (size_t i = 0; i < PREPARE_CHUNKS_MAX; i++)
        free(prepare->slots[i].bytes);
    free(prepare);
}

void prepare_cancel(struct prepare *prepare)
{
    if (prepare == NULL)
        return;
    prepare->run = NULL;
    loop_timer_stop(&prepare->retry);
    loop_timer_stop(&prepare->limit);
    if (prepare->call != NULL)
        http_call_cancel(prepare->call);
    for (size_t i = 0; i < PREPARE_CHUNKS_MAX; i++)
        if (prepare->slots[i].call != NULL)
            http_call_cancel(prepare->slots[i].call);
    prepare_free(prepare);
}

static void prepare_end(struct prepare *prepare, enum err err, const char *why)
{
    struct run *run = prepare->run;
    char text[NOTE_MAX];
    (void)snprintf(text, sizeof(text), "%s", why);
    prepare_cancel(prepare);
    run_prepared(run, err, text);
}

static void limit_run(void *context)
{
    prepare_end(context, ERR_TIMEOUT, "its content did not come in time");
}

static void retry_later(struct prepare *prepare)
{
    loop_timer_set(&prepare->retry, remote_pause(REMOTE_PAUSE_MIN, REMOTE_PAUSE_MAX, prepare->fails,
                                                 random_u64(&prepare->agent->random)));
    prepare->fails++;
}

static void retry_run(void *context)
{
    struct prepare *prepare = context;
    if (prepare->missing == NULL)
        source_begin(prepare);
    else
        fetch_more(prepare);
}

static bool is_accepted(struct prepare *prepare, enum err code, const struct http1_head *response,
                        struct slice body, const struct fault *fault)
{
    char why[NOTE_MAX];
    enum remote_verdict verdict = remote_judge(code, response);
    if (verdict == REMOTE_OK) {
        prepare->fails = 0;
        return true;
    }
    if (verdict == REMOTE_AGAIN) {
        retry_later(prepare);
        return false;
    }
    remote_explain(code, response, body, fault, why, sizeof(why));
    prepare_end(prepare, ERR_NOT_FOUND, why);
    return false;
}

static bool submit_job(struct prepare *prepare, void (*run)(void *), void (*done)(void *),
                       void *context)
{
    if (worker_submit(prepare->agent->prepare_worker, run, done, context) != ERR_OK)
        return false;
    prepare->jobs++;
    return true;
}

/* Is it still wanted, after a job came back? */
static bool is_wanted(struct prepare *prepare)
{
    prepare->jobs--;
    if (prepare->run != NULL)
        return true;
    prepare_free(prepare);
    return false;
}

/* ---- making the folders */

static enum err get_chunk(void *context, const struct manifest_chunk *chunk, void *buffer)
{
    const struct prepare *prepare = context;
    size_t len = 0;
    uint64_t size = 0;
    enum err err = chunks_get(prepare->agent->cache, prepare->tenant, chunk->hash, 0, buffer,
                              chunk->size, &len, &size);
    if (err == ERR_OK && (len != chunk->size || size != chunk->size))
        err = ERR_CORRUPT;
    return err;
}

static enum err make_rank(struct prepare *prepare, const struct source *source, uint32_t rank)
{
    const struct manifest_source content = {get_chunk, prepare};
    char path[RUN_PATH_MAX + PATH_MAX_BYTES + 2 * RUN_PART_MAX], part[RUN_PART_MAX];
    struct manifest manifest = prepare->manifest;
    (void)snprintf(path, sizeof(path), "%s/rank-%u/work%s%s", prepare->folder, rank,
                   source->below[0] != '\0' ? "/" : "", source->below);
    enum err err = ERR_OK;
    if (source->has_parts) {
        (void)snprintf(part, sizeof(part), RUN_PART, rank);
        err = manifest_below(&prepare->manifest, slice_of(part), &prepare->arena, &manifest);
        if (err == ERR_OK) /* a link may stay inside the whole and still leave the part */
            err = manifest_check(&manifest, &prepare->fault);
    }
    /* What an earlier try made, and what the job's own files hold at this place. */
    if (err == ERR_OK)
        err = file_remove_tree(path, &prepare->fault);
    if (err == ERR_OK)
        err = file_make_folders(path, 0700, &prepare->fault);
    if (err == ERR_OK)
        err = manifest_make(&manifest, path, false, &content, &prepare->fault);
    return err;
}

static void make_run(void *context)
{
    struct prepare *prepare = context;
    const struct source *source = &prepare->sources[prepare->source_at];
    prepare->err = ERR_OK;
    for (uint32_t rank = 0; prepare->err == ERR_OK && rank < prepare->ranks; rank++)
        prepare->err = make_rank(prepare, source, rank);
}

static void make_done(void *context)
{
    struct prepare *prepare = context;
    if (!is_wanted(prepare))
        return;
    if (prepare->err == ERR_NOT_FOUND && ++prepare->rounds < PREPARE_ROUNDS_MAX) {
        source_begin(prepare);
        return;
    }
    if (prepare->err != ERR_OK) {
        prepare_end(prepare, prepare->err, prepare->fault.message);
        return;
    }
    prepare->source_at++;
    prepare->rounds = 0;
    if (prepare->source_at < prepare->source_count)
        source_begin(prepare);
    else
        prepare_end(prepare, ERR_OK, "");
}

/* ---- chunks */

static void put_run(void *context)
{
    struct chunk_slot *slot = context;
    struct prepare *prepare = slot->prepare;
    slot->err = cache_put(prepare->agent->cache, prepare->cache_bytes_max, prepare->tenant,
                          slot->hash, slice_make(slot->bytes, slot->len), &slot->fault);
}

static void put_done(void *context)
{
    struct chunk_slot *slot = context;
    struct prepare *prepare = slot->prepare;
    free(slot->bytes);
    slot->bytes = NULL;
    slot->is_busy = false;
    if (!is_wanted(prepare))
        return;
    if (slot->err != ERR_OK) {
        prepare_end(prepare, slot->err,
                    slot->fault.message[0] != '\0' ? slot->fault.message : err_name(slot->err));
        return;
    }
    prepare->done_count++;
    fetch_more(prepare);
}

static void on_chunk(void *context, struct http_call *call, enum err code,
                     const struct http1_head *response, struct slice body,
                     const struct fault *fault)
{
    struct chunk_slot *slot = context;
    struct prepare *prepare = slot->prepare;
    (void)call;
    slot->call = NULL;
    slot->is_busy = false;
    if (remote_judge(code, response) ==
        REMOTE_AGAIN) /* back into the list; each slot has its own */
        prepare->missing[--prepare->next] = slot->hash;
    if (!is_accepted(prepare, code, response, body, fault))
        return;
    slot->bytes = malloc(body.len + 1);
    if (slot->bytes == NULL) {
        prepare_end(prepare, ERR_NO_MEMORY, "no memory for its content");
        return;
    }
    memcpy(slot->bytes, body.data, body.len);
    slot->len = body.len;
    slot->is_busy = true;
    if (!submit_job(prepare, put_run, put_done, slot))
        prepare_end(prepare, ERR_BUSY, "too much is being prepared");
}

static bool fetch_one(struct prepare *prepare, struct chunk_slot *slot)
{
    static const struct http_call_events EVENTS = {.on_done = on_chunk};
    char target[PREPARE_TARGET_MAX], hash[DIGEST_TEXT_MAX];
    *slot = (struct chunk_slot){.prepare = prepare, .hash = prepare->missing[prepare->next]};
    digest_format(slot->hash, hash);
    (void)snprintf(target, sizeof(target), "/v1/chunks/%s", hash);
    const struct remote_request request = {.method = "GET",
                                           .target = target,
                                           .attempt = &prepare->run->token,
                                           .secret = prepare->run->order.secret,
                                           .response_bytes_max = CHUNK_BYTES_MAX};
    if (remote_send(&prepare->agent->remote, &request, &EVENTS, slot, &slot->call) != ERR_OK) {
        slot->call = NULL;
        return false;
    }
    slot->is_busy = true;
    prepare->next++;
    return true;
}

static void fetch_more(struct prepare *prepare)
{
    if (loop_timer_is_set(&prepare->retry))
        return;
    if (prepare->done_count == prepare->missing_count) {
        if (!submit_job(prepare, make_run, make_done, prepare))
            retry_later(prepare);
        return;
    }
    for (size_t i = 0; i < PREPARE_CHUNKS_MAX && prepare->next < prepare->missing_count; i++)
        if (!prepare->slots[i].is_busy && !fetch_one(prepare, &prepare->slots[i])) {
            retry_later(prepare);
            return;
        }
}

/* ---- manifests */

/* The artifact's row, with the manifest as a member. */
static enum err read_manifest(struct prepare *prepare)
{
    struct json_document *document = NULL;
    struct json_value value;
    struct buffer text;
    struct json_writer writer;
    enum err err = json_parse(slice_make(prepare->body, prepare->body_len), &JSON_LIMITS_FILE,
                              &document, &prepare->fault);
    if (err == ERR_OK)
        err = json_get_object(json_root(document), "manifest", &value, &prepare->fault);
    buffer_init(&text, MANIFEST_BYTES_MAX);
    if (err == ERR_OK) {
        json_writer_init(&writer, &text);
        json_copy(&writer, value);
        err = json_writer_finish(&writer);
    }
    if (err == ERR_OK)
        err = manifest_decode(buffer_slice(&text), &prepare->arena, &prepare->manifest,
                              &prepare->fault);
    buffer_deinit(&text);
    json_document_destroy(document);
    return err;
}

static int compare_digests(const void *a, const void *b)
{
    return digest_compare(*(const struct digest *)a, *(const struct digest *)b);
}

/* The chunks that are not in the cache, each once. */
static enum err list_missing(struct prepare *prepare)
{
    const struct manifest *manifest = &prepare->manifest;
    size_t count = 0, unique = 0, kept = 0;
    struct digest *hashes = calloc(manifest->chunk_count + 1, sizeof(*hashes));
    bool *is_missing = calloc(manifest->chunk_count + 1, sizeof(*is_missing));
    enum err err = hashes == NULL || is_missing == NULL ? ERR_NO_MEMORY : ERR_OK;
    for (size_t e = 0; err == ERR_OK && e < manifest->count; e++)
        for (uint32_t c = 0; c < manifest->entries[e].chunk_count; c++)
            hashes[count++] = manifest->entries[e].chunks[c].hash;
    if (err == ERR_OK)
        qsort(hashes, count, sizeof(*hashes), compare_digests);
    for (size_t i = 0; i < count; i++)
        if (unique == 0 || !digest_is_equal(hashes[unique - 1], hashes[i]))
            hashes[unique++] = hashes[i];
    for (size_t i = 0; err == ERR_OK && i < unique; i += CHUNKS_ASK_MAX) {
        size_t part = unique - i < CHUNKS_ASK_MAX ? unique - i : CHUNKS_ASK_MAX;
        err = chunks_missing(prepare->agent->cache, prepare->tenant, hashes + i, part,
                             is_missing + i);
    }
    for (size_t i = 0; i < unique; i++)
        if (is_missing[i])
            hashes[kept++] = hashes[i];
    free(is_missing);
    if (err != ERR_OK) {
        free(hashes);
        return err;
    }
    prepare->missing = hashes;
    prepare->missing_count = kept;
    return ERR_OK;
}

static void list_run(void *context)
{
    struct prepare *prepare = context;
    prepare->err = read_manifest(prepare);
    if (prepare->err == ERR_OK)
        prepare->err = list_missing(prepare);
}

static void list_done(void *context)
{
    struct prepare *prepare = context;
    if (!is_wanted(prepare))
        return;
    if (prepare->err != ERR_OK)
        prepare_end(prepare, prepare->err,
                    prepare->fault.message[0] != '\0' ? prepare->fault.message
                                                      : err_name(prepare->err));
    else
        fetch_more(prepare);
}

static void on_manifest(void *context, struct http_call *call, enum err code,
                        const struct http1_head *response, struct slice body,
                        const struct fault *fault)
{
    struct prepare *prepare = context;
    (void)call;
    prepare->call = NULL;
    if (!is_accepted(prepare, code, response, body, fault))
        return;
    prepare->body = malloc(body.len + 1);
    if (prepare->body == NULL) {
        prepare_end(prepare, ERR_NO_MEMORY, "no memory for its list of files");
        return;
    }
    memcpy(prepare->body, body.data, body.len);
    prepare->body_len = body.len;
    if (!submit_job(prepare, list_run, list_done, prepare))
        retry_later(prepare);
}

static void source_begin(struct prepare *prepare)
{
    static const struct http_call_events EVENTS = {.on_done = on_manifest};
    char target[PREPARE_TARGET_MAX], id[ID_TEXT_MAX];
    source_clear(prepare);
    id_format(prepare->sources[prepare->source_at].artifact, ID_PREFIX_ARTIFACT, id);
    (void)snprintf(target, sizeof(target), "/v1/agent/artifacts/%s", id);
    const struct remote_request request = {.method = "GET",
                                           .target = target,
                                           .attempt = &prepare->run->token,
                                           .secret = prepare->run->order.secret,
                                           .response_bytes_max = MANIFEST_BYTES_MAX};
    if (remote_send(&prepare->agent->remote, &request, &EVENTS, prepare, &prepare->call) !=
        ERR_OK) {
        prepare->call = NULL;
        retry_later(prepare);
    }
}

static void source_add(struct prepare *prepare, struct id artifact, struct slice below)
{
    struct source *source = &prepare->sources[prepare->source_count++];
    ASSERT(below.len <= PATH_MAX_BYTES); /* by the spec's check */
    *source = (struct source){.artifact = artifact};
    if (below.len > 0)
        memcpy(source->below, below.data, below.len);
    source->below[below.len] = '\0';
}

/* In this order: mounts come over the job's own files, and a checkpoint over both. */
static enum err sources_list(struct prepare *prepare, const struct run *run)
{
    const struct job_spec *spec = &run->spec;
    struct id workdir;
    if (spec->workdir.len > 0) {
        if (id_parse(spec->workdir, ID_PREFIX_ARTIFACT, &workdir) != ERR_OK)
            return ERR_INVALID;
        source_add(prepare, workdir, (struct slice){0});
    }
    for (uint32_t i = 0; i < spec->input_count; i++)
        source_add(prepare, spec->inputs[i].artifact, spec->inputs[i].path);
    if (!id_is_none(run->order.restore) && spec->checkpoint.dir.len > 0) {
        source_add(prepare, run->order.restore, spec->checkpoint.dir);
        prepare->sources[prepare->source_count - 1].has_parts = run->order.nodes > 1;
    }
    return ERR_OK;
}

enum err prepare_start(struct run *run)
{
    struct agent *agent = run->agent;
    struct prepare *prepare = calloc(1, sizeof(*prepare));
    if (prepare == NULL)
        return ERR_NO_MEMORY;
    enum err err = sources_list(prepare, run);
    if (err != ERR_OK) {
        free(prepare);
        return err;
    }
    prepare->agent = agent;
    prepare->run = run;
    prepare->tenant = run->order.tenant;
    prepare->ranks = run->order.nodes;
    prepare->cache_bytes_max = agent->options->cache_bytes_max != 0
                                   ? agent->options->cache_bytes_max
                                   : CACHE_BYTES_DEFAULT;
    run_path(run, -1, "", prepare->folder);
    arena_init(&prepare->arena, PREPARE_ARENA_BYTES);
    loop_timer_init(&prepare->retry, agent->loop, retry_run, prepare);
    loop_timer_init(&prepare->limit, agent->loop, limit_run, prepare);
    loop_timer_set(&prepare->limit, PREPARE_LIMIT);
    run->prepare = prepare;
    source_begin(prepare);
    return ERR_OK;
}
