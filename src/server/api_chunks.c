/* Chunks in and out. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "model/words.h"
#include "server/api.h"
#include "server/content.h"
#include "server/requests.h"

enum { ASKED_HASHES_MAX = 65536, CHUNKS_ANSWER_MAX = 8 << 20 };

static void missing_done(struct request *request, struct chunk_job *job)
{
    struct buffer out;
    struct json_writer writer;
    if (job->err != ERR_OK) {
        chunk_job_failed(request, job);
        return;
    }
    buffer_init(&out, CHUNKS_ANSWER_MAX);
    json_writer_init(&writer, &out);
    json_begin_object(&writer);
    json_key(&writer, "missing");
    json_begin_array(&writer);
    for (size_t i = 0; i < job->count; i++) {
        char text[DIGEST_TEXT_MAX];
        digest_format(job->hashes[i], text);
        if (job->missing[i])
            json_text(&writer, text);
    }
    json_end_array(&writer);
    json_end_object(&writer);
    enum err err = json_writer_finish(&writer);
    ASSERT(err == ERR_OK || buffer_status(&out) != ERR_OK);
    request_buffer(request, 200, &out);
}

static bool hashes_read(struct request *request, struct chunk_job *job, struct fault *fault)
{
    static const char *const KEYS[] = {"hashes"};
    struct json_value root, list;
    root = ((struct content *)request->extra)->root;
    if (json_object_check_keys(root, KEYS, 1, fault) != ERR_OK ||
        json_get_array(root, "hashes", ASKED_HASHES_MAX, &list, fault) != ERR_OK)
        return false;
    size_t count = json_count(list);
    job->hashes = calloc(count + 1, sizeof(*job->hashes));
    job->missing = calloc(count + 1, sizeof(*job->missing));
    if (job->hashes == NULL || job->missing == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for this request; try again") ==
               ERR_OK;
    struct json_iterator it = json_iterate(list);
    while (json_next(&it)) {
        struct slice text;
        if (json_to_string(it.value, DIGEST_TEXT_MAX, &text, fault) != ERR_OK)
            return false;
        if (digest_parse(text, &job->hashes[job->count]) != ERR_OK) {
            (void)json_refuse(it.value, fault, ERR_INVALID,
                              "must be the 64 hex digits of a SHA-256");
            return false;
        }
        job->count++;
    }
    return true;
}

static void missing_go_on(struct request *request)
{
    struct fault fault = {0};
    struct content *content = request->extra;
    if (!request_body(request, &JSON_LIMITS_FILE, &content->root))
        return;
    struct chunk_job *job = chunk_job_make(request, missing_done);
    if (job == NULL)
        return;
    if (hashes_read(request, job, &fault)) {
        chunk_job_send(request, job, chunk_job_missing);
        return;
    }
    chunk_job_free(job);
    request_fault(request, &fault);
}

void api_chunks_missing(struct request *request)
{
    content_begin(request, PERM_ARTIFACT_WRITE, missing_go_on);
}

static bool chunk_hash(struct request *request)
{
    struct content *content = requests_alloc(request, sizeof(*content));
    ASSERT(content != NULL);
    *content = (struct content){0};
    request->extra = content;
    if (digest_parse(request->params[0], &content->hash) == ERR_OK)
        return true;
    request_problem(request, 400, "invalid",
                    "a chunk is named by the 64 hex digits of its SHA-256");
    return false;
}

static void put_run(void *context)
{
    struct chunk_job *job = context;
    job->err = chunks_put(job->chunks, job->tenant, job->hash, (struct slice){job->bytes, job->len},
                          job->quota_bytes, &job->fault);
}

static void put_done(struct request *request, struct chunk_job *job)
{
    if (job->err == ERR_OK)
        request_empty(request, 204);
    else
        chunk_job_failed(request, job);
}

static void put_go_on(struct request *request)
{
    struct chunk_job *job = chunk_job_make(request, put_done);
    if (job == NULL)
        return;
    job->bytes = malloc(request->body.len + 1);
    if (job->bytes == NULL) {
        chunk_job_free(job);
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return;
    }
    memcpy(job->bytes, request->body.data, request->body.len);
    job->len = request->body.len;
    chunk_job_send(request, job, put_run);
}

void api_chunk_put(struct request *request)
{
    if (chunk_hash(request))
        content_begin(request, PERM_ARTIFACT_WRITE, put_go_on);
}

static void get_done(struct request *request, struct chunk_job *job)
{
    static const struct http1_header HEADERS[] = {
        {{"Content-Type", 12}, {"application/octet-stream", 24}}};
    if (job->err != ERR_OK) {
        chunk_job_failed(request, job);
        return;
    }
    request->is_answered = true;
    http_exchange_respond(request->exchange, 200, HEADERS, 1, (struct slice){job->bytes, job->len});
}

static struct chunk_job *get_job(struct request *request,
                                 void (*done)(struct request *request, struct chunk_job *job))
{
    struct chunk_job *job = chunk_job_make(request, done);
    if (job != NULL && (job->bytes = malloc(CHUNK_BYTES_MAX)) == NULL) {
        chunk_job_free(job);
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return NULL;
    }
    return job;
}

static void get_go_on(struct request *request)
{
    struct chunk_job *job = get_job(request, get_done);
    if (job != NULL)
        chunk_job_send(request, job, chunk_job_get);
}

void api_chunk_get(struct request *request)
{
    if (chunk_hash(request))
        content_begin(request, PERM_ARTIFACT_READ, get_go_on);
}