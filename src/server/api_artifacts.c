/* Artifacts: registering what was uploaded, and reading it. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "model/words.h"
#include "server/api.h"
#include "server/content.h"
#include "server/requests.h"
#include "store/manifest.h"
#include "wire/row.h"

enum { ARTIFACT_ANSWER_MAX = 128 << 20, FILE_WAIT_MS = 5 };

/* ---- artifacts: every chunk of the manifest must be there before it is registered */

struct registration {
    struct content content; /* first */
    struct artifact_row row;
    struct manifest manifest;
};

static void register_done(struct request *request, struct chunk_job *job)
{
    struct registration *registration = request->extra;
    size_t missing = 0;
    if (job->err != ERR_OK) {
        chunk_job_failed(request, job);
        return;
    }
    for (size_t i = 0; i < job->count; i++)
        missing += job->missing[i];
    if (missing > 0) {
        request_problem(request, 422, "chunks_missing",
                        "%zu of its chunks are not there yet; ask /v1/chunks:missing and put them",
                        missing);
        return;
    }
    struct server_event event = {.kind = SERVER_ARTIFACT};
    struct server_core *core = core_host_core(request->server->host);
    event.artifact = registration->row;
    if (registration->content.has_token && core != NULL &&
        server_core_job(core, registration->row.token.job) == NULL)
        event.artifact_job = &registration->content.job;
    request_step(request, &event);
}

static void register_go_on(struct request *request)
{
    struct registration *registration = request->extra;
    const struct manifest *manifest = &registration->manifest;
    struct chunk_job *job = chunk_job_make(request, register_done);
    if (job == NULL)
        return;
    job->hashes = calloc(manifest->chunk_count + 1, sizeof(*job->hashes));
    job->missing = calloc(manifest->chunk_count + 1, sizeof(*job->missing));
    if (job->hashes == NULL || job->missing == NULL) {
        chunk_job_free(job);
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return;
    }
    for (size_t e = 0; e < manifest->count; e++)
        for (uint32_t c = 0; c < manifest->entries[e].chunk_count; c++)
            job->hashes[job->count++] = manifest->entries[e].chunks[c].hash;
    registration->row.tenant = registration->content.tenant;
    chunk_job_send(request, job, chunk_job_missing);
}

static bool manifest_read(struct request *request, struct json_value root,
                          struct registration *registration, struct fault *fault)
{
    struct json_value value;
    struct buffer text;
    struct json_writer writer;
    struct arena *arena = request_arena(request);
    if (json_get_object(root, "manifest", &value, fault) != ERR_OK)
        return false;
    buffer_init(&text, MANIFEST_BYTES_MAX);
    json_writer_init(&writer, &text);
    json_copy(&writer, value);
    enum err err = json_writer_finish(&writer);
    if (err == ERR_OK)
        registration->row.manifest = arena_copy(arena, buffer_slice(&text));
    buffer_deinit(&text);
    if (err != ERR_OK || registration->row.manifest.data == NULL)
        return fault_set(fault, ERR_LIMIT, "manifest", "is too large for one request") == ERR_OK;
    if (manifest_decode(registration->row.manifest, arena, &registration->manifest, fault) !=
        ERR_OK) {
        fault_prefix(fault, "manifest");
        return false;
    }
    registration->row.size_bytes = registration->manifest.size_bytes;
    return true;
}

static struct registration *registration_make(struct request *request)
{
    struct server *server = request->server;
    struct registration *registration = requests_alloc(request, sizeof(*registration));
    if (registration == NULL) {
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return NULL;
    }
    registration->row.id = server_make_id(server);
    registration->row.jurisdiction = slice_of(chunks_jurisdiction(server->chunks));
    registration->content.go_on = register_go_on;
    request->extra = registration;
    return registration;
}

void api_artifact_register(struct request *request)
{
    static const char *const KEYS[] = {"kind", "manifest"};
    static const char *const KINDS[] = {"workdir"};
    struct json_value root;
    struct fault fault = {0};
    unsigned kind = 0;
    struct registration *registration = registration_make(request);
    if (registration == NULL || !request_body(request, &JSON_LIMITS_FILE, &root))
        return;
    enum err err = json_object_check_keys(root, KEYS, 2, &fault);
    if (err == ERR_OK)
        err = json_get_choice(root, "kind", KINDS, 1, &kind, &fault);
    if (err != ERR_OK || !manifest_read(request, root, registration, &fault)) {
        request_fault(request, &fault);
        return;
    }
    registration->row.kind = ARTIFACT_WORKDIR;
    content_tenant(request, request->actor.tenant);
}

void api_agent_artifact_register(struct request *request)
{
    static const char *const KEYS[] = {"attempt", "secret",     "kind",    "step",
                                       "runtime", "world_size", "manifest"};
    static const char *const KINDS[] = {"checkpoint", "output"};
    struct json_value root;
    struct fault fault = {0};
    struct slice name, secret, runtime = SLICE_LITERAL("cpu");
    unsigned kind = 0;
    struct registration *registration = registration_make(request);
    if (registration == NULL || !request_body(request, &JSON_LIMITS_FILE, &root))
        return;
    struct artifact_row *row = &registration->row;
    enum err err = json_object_check_keys(root, KEYS, sizeof(KEYS) / sizeof(KEYS[0]), &fault);
    if (err == ERR_OK)
        err = json_get_string(root, "attempt", ATTEMPT_NAME_MAX, &name, &fault);
    if (err == ERR_OK && attempt_name_parse(name, &row->token) != ERR_OK)
        err = fault_set(&fault, ERR_INVALID, "attempt",
                        "must be an attempt's name (lq-<epoch>-<job>-<number>)");
    if (err == ERR_OK)
        err = json_get_string(root, "secret", ATTEMPT_SECRET_MAX, &secret, &fault);
    if (err == ERR_OK)
        err = json_get_choice(root, "kind", KINDS, 2, &kind, &fault);
    if (err == ERR_OK)
        err = json_opt_u64(root, "step", 0, UINT32_MAX, &row->step, &fault);
    if (err == ERR_OK)
        err = json_opt_string(root, "runtime", 32, &runtime, &fault);
    if (err == ERR_OK && runtime_parse(runtime, &row->runtime) != ERR_OK)
        err = fault_set(&fault, ERR_INVALID, "runtime", "is no runtime");
    if (err == ERR_OK)
        err = json_opt_u32(root, "world_size", 1, JOB_NODES_MAX, &row->world_size, &fault);
    if (err != ERR_OK || !manifest_read(request, root, registration, &fault)) {
        request_fault(request, &fault);
        return;
    }
    row->kind = kind == 0 ? ARTIFACT_CHECKPOINT : ARTIFACT_OUTPUT;
    content_of_attempt(request, &row->token, secret);
}

/* ---- reading */

static void on_artifacts(struct request *request, const struct store_answer *answer)
{
    struct buffer out;
    struct json_writer writer;
    buffer_init(&out, ARTIFACT_ANSWER_MAX);
    json_writer_init(&writer, &out);
    json_begin_object(&writer);
    json_key(&writer, "items");
    json_begin_array(&writer);
    for (size_t i = 0; i < answer->count; i++)
        row_encode_artifact(&answer->artifacts[i], &writer);
    json_end_array(&writer);
    json_put_null(&writer, "next");
    json_end_object(&writer);
    enum err err = json_writer_finish(&writer);
    ASSERT(err == ERR_OK || buffer_status(&out) != ERR_OK);
    request_buffer(request, 200, &out);
}

void api_job_artifacts(struct request *request)
{
    struct store_query query = {.kind = STORE_ARTIFACT_LIST};
    query.artifact_list.job = request->job.id;
    query.artifact_list.tenants.is_all = true; /* the job's ownership has been judged */
    query.artifact_list.limit = STORE_PAGE_MAX;
    request_query_store(request, &query, on_artifacts);
}

static void artifact_answer(struct request *request, const struct artifact_row *row)
{
    struct buffer out;
    struct json_writer writer;
    buffer_init(&out, ARTIFACT_ANSWER_MAX);
    json_writer_init(&writer, &out);
    row_encode_artifact(row, &writer);
    enum err err = json_writer_finish(&writer);
    ASSERT(err == ERR_OK || buffer_status(&out) != ERR_OK);
    request_buffer(request, 200, &out);
}

void api_artifact_show(struct request *request)
{
    artifact_answer(request, &request->artifact);
}

static void on_agent_artifact(struct request *request, const struct store_answer *answer)
{
    const struct content *content = request->extra;
    if (!id_is_equal(answer->artifacts[0].tenant.id, content->tenant.id))
        request_problem(request, 404, "not_found", "the attempt's tenant has no such artifact");
    else
        artifact_answer(request, &answer->artifacts[0]);
}

static void agent_artifact_go_on(struct request *request)
{
    struct store_query query = {.kind = STORE_ARTIFACT_GET};
    if (id_parse(request->params[0], ID_PREFIX_ARTIFACT, &query.artifact_get.id) != ERR_OK)
        request_problem(request, 404, "not_found", "that is no artifact's id");
    else
        request_query_store(request, &query, on_agent_artifact);
}

void api_agent_artifact_show(struct request *request)
{
    content_begin(request, PERM_ARTIFACT_READ, agent_artifact_go_on);
}

/* ---- one file of an artifact, chunk by chunk */

struct file_stream {
    struct content content; /* first */
    const struct manifest_entry *entry;
    uint32_t at;
    struct loop_timer timer;
};

static void file_closed(struct request *request)
{
    loop_timer_stop(&((struct file_stream *)request->extra)->timer);
}

static void file_done(struct request *request, struct chunk_job *job)
{
    struct file_stream *stream = request->extra;
    if (job->err != ERR_OK ||
        http_exchange_write(request->exchange, (struct slice){job->bytes, job->len}) != ERR_OK) {
        http_exchange_abort(
            request->exchange); /* the promised length is not reached: the reader sees it */
        return;
    }
    stream->at++;
    if (stream->at == stream->entry->chunk_count)
        http_exchange_finish(request->exchange);
    else
        loop_timer_set(&stream->timer, SPAN_MS(0));
}

static void file_run(void *context)
{
    struct request *request = context;
    struct file_stream *stream = request->extra;
    if (http_exchange_pending(request->exchange) > 0) {
        loop_timer_set(&stream->timer, SPAN_MS(FILE_WAIT_MS));
        return;
    }
    stream->content.hash = stream->entry->chunks[stream->at].hash;
    struct chunk_job *job = calloc(1, sizeof(*job));
    if (job == NULL || (job->bytes = malloc(CHUNK_BYTES_MAX)) == NULL) {
        free(job);
        http_exchange_abort(request->exchange);
        return;
    }
    job->request = request;
    job->chunks = request->server->chunks;
    job->tenant = stream->content.tenant;
    job->hash = stream->content.hash;
    job->done = file_done;
    chunk_job_send(request, job, chunk_job_get);
}

/* The path after ".../files/", as it was sent, with its parts decoded. */
static struct slice file_path(struct request *request)
{
    struct buffer path;
    buffer_init(&path, MANIFEST_PATH_MAX);
    for (size_t i = 4; i < request->target.segment_count; i++) {
        if (i > 4)
            buffer_append_char(&path, '/');
        buffer_append(&path, request->target.segments[i]);
    }
    struct slice copy = arena_copy(request_arena(request), buffer_slice(&path));
    buffer_deinit(&path);
    return copy;
}

void api_artifact_file(struct request *request)
{
    static const struct http1_header HEADERS[] = {
        {{"Content-Type", 12}, {"application/octet-stream", 24}},
        {{"X-Content-Type-Options", 22}, {"nosniff", 7}}};
    struct manifest manifest;
    struct fault fault = {0};
    struct slice path = file_path(request);
    struct file_stream *stream = requests_alloc(request, sizeof(*stream));
    if (stream == NULL) {
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return;
    }
    if (manifest_decode(request->artifact.manifest, request_arena(request), &manifest, &fault) !=
        ERR_OK) {
        request_fault(request, &fault);
        return;
    }
    for (size_t i = 0; i < manifest.count; i++)
        if (manifest.entries[i].kind == MANIFEST_FILE &&
            slice_is_equal(manifest.entries[i].path, path))
            stream->entry = &manifest.entries[i];
    if (stream->entry == NULL) {
        request_problem(request, 404, "not_found", "the artifact has no file \"%.*s\"",
                        SLICE_ARG(path));
        return;
    }
    stream->content.tenant = request->artifact.tenant;
    loop_timer_init(&stream->timer, request->server->loop, file_run, request);
    request->extra = stream;
    request->on_closed = file_closed;
    request->is_answered = true;
    http_exchange_start(request->exchange, 200, HEADERS, 2, (int64_t)stream->entry->size);
    if (stream->entry->chunk_count == 0)
        http_exchange_finish(request->exchange);
    else
        loop_timer_set(&stream->timer, SPAN_MS(0));
}
