/* A picture of a folder to the server: taken and hashed on the copying thread, missing chunks put,
 * then registered under the attempt's token. When the server is away it waits and goes on where it
 * was: what is there already is never sent again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shell.h"
#include "base/assert.h"
#include "port/clock.h"
#include "store/manifest.h"
#include "wire/json.h"
#include "wire/json_writer.h"

enum {
    UPLOAD_ARENA_BYTES = 128 << 20,
    UPLOAD_ASK_MAX = 4096, /* hashes in one question */
    UPLOAD_BODY_MAX = 16 << 20,
    UPLOAD_UNEVEN_LOOKS_MAX = 4, /* then ranks at different steps are taken as they are */
    UPLOAD_YOUNG_LOOKS_MAX = 10, /* then young files are left out */
    UPLOAD_TARGET_MAX = 128,
    UPLOAD_ROUNDS_MAX = 3,
};

struct place { /* where one chunk can be read */
    struct digest hash;
    size_t entry;
    uint32_t chunk;
};

struct upload;

struct upload_slot { /* one chunk on its way */
    struct upload *upload;
    bool is_busy;
    size_t at;
    struct http_call *call;
    char *bytes;
    size_t len;
    enum err err;
};

struct upload {
    struct agent *agent;
    struct run *run; /* NULL: cancelled */
    enum upload_kind kind;
    struct picture_wish wish; /* its texts are in the arena: the run may go meanwhile */
    struct arena arena;
    uint32_t jobs; /* on the worker; with them it cannot be freed */
    bool is_ended, is_hashed;
    /* of the worker */
    enum err err;
    struct fault fault;
    struct picture picture;
    struct manifest manifest;
    struct buffer manifest_json;
    struct place *places; /* sorted by hash, unique */
    size_t place_count;
    /* of the loop */
    bool *is_missing; /* a place each */
    size_t asked, next;
    struct http_call *call;
    struct upload_slot slots[UPLOAD_CHUNKS_MAX];
    struct loop_timer retry;
    uint32_t fails, rounds;
};

static void upload_go_on(struct upload *upload);

/* ---- ends */

static void upload_free(struct upload *upload)
{
    if (upload->jobs > 0)
        return;
    arena_deinit(&upload->arena);
    buffer_deinit(&upload->manifest_json);
    free(upload->places);
    picture_deinit(&upload->picture);
    free(upload->is_missing);
    for (size_t i = 0; i < UPLOAD_CHUNKS_MAX; i++)
        free(upload->slots[i].bytes);
    free(upload);
}

static void remove_run(void *context)
{
    struct upload *upload = context;
    enum err err = file_remove_tree(upload->wish.target, NULL); /* else with the attempt's folder */
    (void)err;
}

static void remove_done(void *context)
{
    struct upload *upload = context;
    upload->jobs--;
    upload_free(upload);
}

static void upload_stop(struct upload *upload)
{
    struct agent *agent = upload->agent;
    upload->is_ended = true;
    upload->run = NULL;
    loop_timer_stop(&upload->retry);
    if (upload->call != NULL)
        http_call_cancel(upload->call);
    for (size_t i = 0; i < UPLOAD_CHUNKS_MAX; i++)
        if (upload->slots[i].call != NULL)
            http_call_cancel(upload->slots[i].call);
    agent->uploads--;
    if (worker_submit(agent->copy_worker, remove_run, remove_done, upload) == ERR_OK)
        upload->jobs++;
    upload_free(upload);
}

void upload_cancel(struct upload *upload)
{
    if (upload != NULL)
        upload_stop(upload);
}

static void upload_end(struct upload *upload, enum upload_result result, const char *why)
{
    struct run *run = upload->run;
    struct snapshot snapshot = upload->picture.sum;
    enum upload_kind kind = upload->kind;
    char text[NOTE_MAX];
    (void)snprintf(text, sizeof(text), "%s", why);
    run->upload = NULL;
    upload_stop(upload);
    finish_uploaded(run, kind, result, &snapshot, text);
}

/* ---- on the worker: picture, hashes, index */

static int place_compare(const void *a, const void *b)
{
    return digest_compare(((const struct place *)a)->hash, ((const struct place *)b)->hash);
}

static enum err index_places(struct upload *upload)
{
    const struct manifest *manifest = &upload->manifest;
    size_t count = 0, kept = 0;
    upload->places = calloc(manifest->chunk_count + 1, sizeof(*upload->places));
    upload->is_missing = calloc(manifest->chunk_count + 1, sizeof(*upload->is_missing));
    if (upload->places == NULL || upload->is_missing == NULL)
        return ERR_NO_MEMORY;
    for (size_t e = 0; e < manifest->count; e++)
        for (uint32_t c = 0; c < manifest->entries[e].chunk_count; c++)
            upload->places[count++] = (struct place){manifest->entries[e].chunks[c].hash, e, c};
    qsort(upload->places, count, sizeof(*upload->places), place_compare);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || !digest_is_equal(upload->places[kept - 1].hash, upload->places[i].hash))
            upload->places[kept++] = upload->places[i];
    upload->place_count = kept;
    return ERR_OK;
}

static void look_run(void *context)
{
    struct upload *upload = context;
    struct clock clock = clock_system();
    upload->wish.now = clock_wall(&clock);
    upload->err = picture_take(&upload->wish, &upload->picture, &upload->fault);
}

static void hash_run(void *context)
{
    struct upload *upload = context;
    bool is_still = true;
    upload->err = picture_is_still(&upload->wish, &upload->picture, &is_still, &upload->fault);
    if (upload->err == ERR_OK && !is_still) {
        upload->picture.result = SNAPSHOT_YOUNG;
        return;
    }
    if (upload->err == ERR_OK)
        upload->err = manifest_scan(upload->wish.target, &upload->arena, NULL, &upload->manifest,
                                    &upload->fault);
    if (upload->err == ERR_OK)
        upload->err = manifest_encode(&upload->manifest, &upload->manifest_json);
    if (upload->err == ERR_OK)
        upload->err = index_places(upload);
}

/* Whether there is a picture to go on with; else the upload has ended. */
static bool is_pictured(struct upload *upload)
{
    static const enum upload_result RESULTS[] = {[SNAPSHOT_TAKEN] = UPLOAD_DONE,
                                                 [SNAPSHOT_SAME] = UPLOAD_NOTHING,
                                                 [SNAPSHOT_EMPTY] = UPLOAD_NOTHING,
                                                 [SNAPSHOT_YOUNG] = UPLOAD_WAIT};
    upload->jobs--;
    if (upload->is_ended) {
        upload_free(upload);
        return false;
    }
    if (upload->err == ERR_OK && upload->picture.result == SNAPSHOT_TAKEN)
        return true;
    if (upload->err != ERR_OK)
        upload_end(upload, upload->err == ERR_LIMIT ? UPLOAD_REFUSED : UPLOAD_FAILED,
                   upload->fault.message[0] != '\0' ? upload->fault.message
                                                    : err_name(upload->err));
    else
        upload_end(upload, RESULTS[upload->picture.result], "");
    return false;
}

static void hash_done(void *context)
{
    struct upload *upload = context;
    if (is_pictured(upload)) {
        upload->is_hashed = true;
        upload_go_on(upload);
    }
}

static void hash_begin(struct upload *upload)
{
    if (worker_submit(upload->agent->copy_worker, hash_run, hash_done, upload) == ERR_OK)
        upload->jobs++;
    else
        loop_timer_set(&upload->retry, SPAN_MS(SNAPSHOT_QUIET_MS));
}

static void look_done(void *context)
{
    struct upload *upload = context;
    if (!is_pictured(upload))
        return;
    if (upload->picture.sum.has_young) /* is one of them being written in place? */
        loop_timer_set(&upload->retry, SPAN_MS(SNAPSHOT_QUIET_MS));
    else
        hash_begin(upload);
}

/* ---- answers */

static void retry_later(struct upload *upload)
{
    loop_timer_set(&upload->retry, remote_pause(REMOTE_PAUSE_MIN, REMOTE_PAUSE_MAX, upload->fails,
                                                random_u64(&upload->agent->random)));
    upload->fails++;
}

static void retry_run(void *context)
{
    struct upload *upload = context;
    if (upload->is_hashed)
        upload_go_on(upload);
    else
        hash_begin(upload);
}

/* False: not accepted, and dealt with. */
static bool is_accepted(struct upload *upload, enum err code, const struct http1_head *response,
                        struct slice body, const struct fault *fault)
{
    char why[NOTE_MAX];
    enum remote_verdict verdict = remote_judge(code, response);
    if (verdict == REMOTE_OK) {
        upload->fails = 0;
        return true;
    }
    remote_explain(code, response, body, fault, why, sizeof(why));
    if (verdict == REMOTE_NEVER)
        upload_end(upload, UPLOAD_REFUSED, why);
    else
        retry_later(upload);
    return false;
}

/* ---- which chunks are missing */

static enum err mark_missing(struct upload *upload, struct slice body)
{
    struct json_document *document = NULL;
    struct json_value list;
    enum err err = json_parse(body, &JSON_LIMITS_FILE, &document, NULL);
    if (err == ERR_OK)
        err = json_get_array(json_root(document), "missing", UPLOAD_ASK_MAX, &list, NULL);
    struct json_iterator it = err == ERR_OK ? json_iterate(list) : (struct json_iterator){0};
    while (err == ERR_OK && json_next(&it)) {
        struct slice text;
        struct place key = {0};
        err = json_to_string(it.value, DIGEST_TEXT_MAX, &text, NULL);
        if (err == ERR_OK)
            err = digest_parse(text, &key.hash);
        const struct place *found = err != ERR_OK
                                        ? NULL
                                        : bsearch(&key, upload->places, upload->place_count,
                                                  sizeof(*upload->places), place_compare);
        if (found != NULL)
            upload->is_missing[found - upload->places] = true;
    }
    json_document_destroy(document);
    return err;
}

static void on_missing(void *context, struct http_call *call, enum err code,
                       const struct http1_head *response, struct slice body,
                       const struct fault *fault)
{
    struct upload *upload = context;
    (void)call;
    upload->call = NULL;
    if (!is_accepted(upload, code, response, body, fault))
        return;
    if (mark_missing(upload, body) != ERR_OK) {
        retry_later(upload);
        return;
    }
    size_t left = upload->place_count - upload->asked;
    upload->asked += left < UPLOAD_ASK_MAX ? left : UPLOAD_ASK_MAX;
    upload_go_on(upload);
}

static void send_body(struct upload *upload, const char *target, struct buffer *body,
                      const struct http_call_events *events)
{
    const struct remote_request request = {.method = "POST",
                                           .target = target,
                                           .content_type = "application/json",
                                           .attempt = &upload->run->token,
                                           .secret = upload->run->order.secret,
                                           .body = buffer_slice(body),
                                           .response_bytes_max = UPLOAD_BODY_MAX};
    enum err err = buffer_status(body);
    if (err == ERR_OK)
        err = remote_send(&upload->agent->remote, &request, events, upload, &upload->call);
    buffer_deinit(body);
    if (err != ERR_OK) {
        upload->call = NULL;
        retry_later(upload);
    }
}

static void ask_missing(struct upload *upload)
{
    static const struct http_call_events EVENTS = {.on_done = on_missing};
    struct buffer body;
    struct json_writer writer;
    char text[DIGEST_TEXT_MAX];
    buffer_init(&body, UPLOAD_BODY_MAX);
    json_writer_init(&writer, &body);
    json_begin_object(&writer);
    json_key(&writer, "hashes");
    json_begin_array(&writer);
    for (size_t i = upload->asked; i < upload->place_count && i < upload->asked + UPLOAD_ASK_MAX;
         i++) {
        digest_format(upload->places[i].hash, text);
        json_text(&writer, text);
    }
    json_end_array(&writer);
    json_end_object(&writer);
    enum err err = json_writer_finish(&writer);
    (void)err; /* send_body looks at the buffer */
    send_body(upload, "/v1/chunks:missing", &body, &EVENTS);
}

/* ---- chunks */

static void slot_free(struct upload_slot *slot)
{
    free(slot->bytes);
    slot->bytes = NULL;
    slot->is_busy = false;
}

static void on_put(void *context, struct http_call *call, enum err code,
                   const struct http1_head *response, struct slice body, const struct fault *fault)
{
    struct upload_slot *slot = context;
    struct upload *upload = slot->upload;
    (void)call;
    slot->call = NULL;
    slot_free(slot);
    if (!is_accepted(upload, code, response, body, fault)) {
        return;
    }
    upload->is_missing[slot->at] = false;
    upload_go_on(upload);
}

static void read_run(void *context)
{
    struct upload_slot *slot = context;
    struct upload *upload = slot->upload;
    const struct place *place = &upload->places[slot->at];
    slot->bytes = malloc(CHUNK_BYTES_MAX);
    slot->err = slot->bytes == NULL
                    ? ERR_NO_MEMORY
                    : manifest_chunk_read(upload->wish.target, &upload->manifest, place->entry,
                                          place->chunk, slot->bytes, &slot->len, &upload->fault);
}

static void read_done(void *context)
{
    static const struct http_call_events EVENTS = {.on_done = on_put};
    struct upload_slot *slot = context;
    struct upload *upload = slot->upload;
    char target[UPLOAD_TARGET_MAX], hash[DIGEST_TEXT_MAX];
    upload->jobs--;
    if (upload->is_ended) {
        upload_free(upload);
        return;
    }
    if (slot->err != ERR_OK) { /* rewritten in place, or the disk: take another picture */
        slot_free(slot);
        upload_end(upload, UPLOAD_FAILED, err_name(slot->err));
        return;
    }
    digest_format(upload->places[slot->at].hash, hash);
    (void)snprintf(target, sizeof(target), "/v1/chunks/%s", hash);
    const struct remote_request request = {.method = "PUT",
                                           .target = target,
                                           .content_type = "application/octet-stream",
                                           .attempt = &upload->run->token,
                                           .secret = upload->run->order.secret,
                                           .body = slice_make(slot->bytes, slot->len),
                                           .response_bytes_max = 65536};
    enum err err = remote_send(&upload->agent->remote, &request, &EVENTS, slot, &slot->call);
    free(slot->bytes); /* the call has its copy */
    slot->bytes = NULL;
    if (err != ERR_OK) {
        slot->call = NULL;
        slot_free(slot);
        retry_later(upload);
    }
}

/* True: something is on its way, or waits. */
static bool send_chunks(struct upload *upload)
{
    bool is_waiting = false;
    for (size_t i = 0; i < UPLOAD_CHUNKS_MAX; i++) {
        struct upload_slot *slot = &upload->slots[i];
        if (slot->is_busy) {
            is_waiting = true;
            continue;
        }
        while (upload->next < upload->place_count && !upload->is_missing[upload->next])
            upload->next++;
        if (upload->next >= upload->place_count)
            continue;
        *slot = (struct upload_slot){.upload = upload, .is_busy = true, .at = upload->next++};
        is_waiting = true;
        if (worker_submit(upload->agent->copy_worker, read_run, read_done, slot) == ERR_OK) {
            upload->jobs++;
        } else {
            slot->is_busy = false;
            upload->next = slot->at;
            retry_later(upload);
            break;
        }
    }
    return is_waiting;
}

/* ---- registration */

static void on_registered(void *context, struct http_call *call, enum err code,
                          const struct http1_head *response, struct slice body,
                          const struct fault *fault)
{
    struct upload *upload = context;
    (void)call;
    upload->call = NULL;
    if (remote_judge(code, response) == REMOTE_NEVER && response->status == 422 &&
        upload->rounds <
            UPLOAD_ROUNDS_MAX) { /* chunks were swept over there meanwhile: ask again */
        upload->rounds++;
        upload->asked = upload->next = 0;
        retry_later(upload);
        return;
    }
    if (is_accepted(upload, code, response, body, fault))
        upload_end(upload, UPLOAD_DONE, "");
}

static void register_it(struct upload *upload)
{
    static const struct http_call_events EVENTS = {.on_done = on_registered};
    struct run *run = upload->run;
    struct buffer body;
    struct json_writer writer;
    buffer_init(&body, UPLOAD_BODY_MAX);
    json_writer_init(&writer, &body);
    json_begin_object(&writer);
    json_put_text(&writer, "attempt", run->name);
    json_put_string(&writer, "secret", run->order.secret);
    json_put_text(&writer, "kind", upload->kind == UPLOAD_CHECKPOINT ? "checkpoint" : "output");
    if (upload->picture.sum.step == 0) /* no number in any name: count */
        upload->picture.sum.step = run->checkpoint_step + 1;
    json_put_u64(&writer, "step", upload->picture.sum.step);
    json_put_text(&writer, "runtime", runtime_name(run->spec.variants[run->order.variant].runtime));
    json_put_u64(&writer, "world_size", run->order.nodes);
    json_key(&writer, "manifest");
    json_raw(&writer, buffer_slice(&upload->manifest_json));
    json_end_object(&writer);
    if (json_writer_finish(&writer) == ERR_LIMIT) {
        buffer_deinit(&body);
        upload_end(upload, UPLOAD_REFUSED, "too many files for one registration");
        return;
    }
    send_body(upload, "/v1/agent/artifacts", &body, &EVENTS);
}

/* ---- the order of things */

static void upload_go_on(struct upload *upload)
{
    if (upload->call != NULL || loop_timer_is_set(&upload->retry))
        return;
    if (upload->asked < upload->place_count)
        ask_missing(upload);
    else if (!send_chunks(upload)) {
        /* A chunk whose call failed stays marked. */
        for (size_t i = 0; i < upload->place_count; i++)
            if (upload->is_missing[i]) {
                upload->next = 0;
                (void)send_chunks(upload);
                return;
            }
        register_it(upload);
    }
}

static enum err copy_wish(struct upload *upload, const struct run *run)
{
    struct arena *arena = &upload->arena;
    const struct text_list *outputs = &run->spec.outputs;
    if (upload->kind == UPLOAD_CHECKPOINT) {
        upload->wish.root = arena_copy(arena, run->spec.checkpoint.dir);
        return upload->wish.root.data == NULL ? ERR_NO_MEMORY : ERR_OK;
    }
    struct slice *items = arena_array(arena, outputs->count, sizeof(*items));
    for (uint32_t i = 0; items != NULL && i < outputs->count; i++) {
        items[i] = arena_copy(arena, outputs->items[i]);
        if (items[i].data == NULL)
            return ERR_NO_MEMORY;
    }
    upload->wish.paths = (struct text_list){items, items == NULL ? 0 : outputs->count};
    return items == NULL ? ERR_NO_MEMORY : ERR_OK;
}

enum err upload_start(struct run *run, enum upload_kind kind)
{
    struct agent *agent = run->agent;
    ASSERT(run->upload == NULL);
    if (agent->uploads >= UPLOADS_MAX)
        return ERR_BUSY;
    struct upload *upload = calloc(1, sizeof(*upload));
    if (upload == NULL)
        return ERR_NO_MEMORY;
    upload->agent = agent;
    upload->run = run;
    upload->kind = kind;
    upload->wish = (struct picture_wish){
        .ranks = run->order.nodes,
        .is_final = run->is_gone,
        .must_agree = kind == UPLOAD_CHECKPOINT && run->young_looks <= UPLOAD_UNEVEN_LOOKS_MAX,
        .leaves_young = run->young_looks > UPLOAD_YOUNG_LOOKS_MAX,
        .known = kind == UPLOAD_CHECKPOINT ? run->checkpoint_known : 0,
    };
    run_path(run, -1, "", upload->wish.folder);
    run_path(run, -1, kind == UPLOAD_CHECKPOINT ? "copy-checkpoint" : "copy-outputs",
             upload->wish.target);
    arena_init(&upload->arena, UPLOAD_ARENA_BYTES);
    buffer_init(&upload->manifest_json, MANIFEST_BYTES_MAX);
    loop_timer_init(&upload->retry, agent->loop, retry_run, upload);
    enum err err = picture_init(&upload->picture, run->order.nodes);
    if (err == ERR_OK)
        err = copy_wish(upload, run);
    if (err == ERR_OK)
        err = worker_submit(agent->copy_worker, look_run, look_done, upload);
    if (err != ERR_OK) {
        upload_free(upload);
        return err;
    }
    upload->jobs++;
    agent->uploads++;
    run->upload = upload;
    return ERR_OK;
}
