/* Whose content a request is about, and work on it off the loop. */
#include "server/content.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "model/words.h"
#include "port/worker.h"
#include "server/requests.h"

/* Where a tenant has no storage quota of its own. */
#define TENANT_STORAGE_DEFAULT ((uint64_t)100 << 30)

void content_tenant(struct request *request, struct tenant_id tenant)
{
    struct content *content = request->extra;
    const struct tenant *row = tenant_tree_find(directory_tree(request->server->directory), tenant);
    content->tenant = tenant;
    content->quota_bytes = row != NULL && row->quota.storage_bytes.has
                               ? row->quota.storage_bytes.value
                               : TENANT_STORAGE_DEFAULT;
    content->go_on(request);
}

static void on_content_job(struct request *request, const struct store_answer *answer)
{
    struct content *content = request->extra;
    content->job = answer->jobs[0].row;
    content_tenant(request, content->job.tenant);
}

/* An agent proves the attempt by its secret; the attempt's job gives the tenant. */
void content_of_attempt(struct request *request, const struct attempt_token *token,
                        struct slice secret)
{
    struct content *content = request->extra;
    struct server_core *core = core_host_core(request->server->host);
    char expected[ATTEMPT_SECRET_MAX];
    if (core == NULL) {
        request_problem(request, 503, "busy", "the server is loading; try again in a second");
        return;
    }
    server_core_attempt_secret(core, token, expected);
    if (secret.data == NULL || !digest_is_same_secret(secret, slice_of(expected))) {
        request_problem(request, 403, "denied", "the attempt's secret is wrong or missing");
        return;
    }
    content->token = *token;
    content->has_token = true;
    struct store_query query = {.kind = STORE_JOB_GET};
    query.job_get.id = token->job;
    request_query_store(request, &query, on_content_job);
}

/* ?tenant=, or the person's own. */
static void content_of_person(struct request *request, enum permission permission)
{
    struct slice name = request_query(request, "tenant");
    const struct tenant *named =
        name.len > 0 ? directory_tenant(request->server->directory, name) : NULL;
    struct subject subject = {.tenant = request->principal.tenant};
    if (name.len > 0)
        subject.tenant = named != NULL ? named->id : (struct tenant_id){0};
    if (!principal_may_ever(&request->principal, permission))
        request_problem(request, 403, "denied", "your roles and the token's scopes do not allow %s",
                        permission_name(permission));
    else if (name.len == 0 && id_is_none(subject.tenant.id))
        request_problem(request, 422, "invalid",
                        "you belong to no tenant: say which one with ?tenant=NAME");
    else if (id_is_none(subject.tenant.id) || !request_may(request, permission, &subject))
        request_problem(request, 404, "not_found", "there is no such thing, or you may not see it");
    else
        content_tenant(request, subject.tenant);
}

void content_begin(struct request *request, enum permission permission,
                   void (*go_on)(struct request *request))
{
    struct attempt_token token;
    struct content *content = requests_alloc(request, sizeof(*content));
    if (content == NULL) {
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return;
    }
    *content = request->extra != NULL ? *(struct content *)request->extra : (struct content){0};
    content->go_on = go_on;
    request->extra = content;
    if (id_is_none(request->principal.site.id)) {
        content_of_person(request, permission);
        return;
    }
    struct slice name = http_exchange_header(request->exchange, "Lq-Attempt");
    if (name.data == NULL || attempt_name_parse(name, &token) != ERR_OK)
        request_problem(request, 400, "invalid", "say for which attempt: Lq-Attempt and Lq-Secret");
    else
        content_of_attempt(request, &token, http_exchange_header(request->exchange, "Lq-Secret"));
}

/* ---- work on the worker; `request` may be closed when it comes back */

void chunk_job_free(struct chunk_job *job)
{
    free(job->hashes);
    free(job->missing);
    free(job->bytes);
    free(job);
}

static void chunk_job_back(void *context)
{
    struct chunk_job *job = context;
    struct request *request = job->request;
    request->pending--;
    if (request->is_closed)
        requests_release(request);
    else
        job->done(request, job);
    chunk_job_free(job);
}

struct chunk_job *chunk_job_make(struct request *request,
                                 void (*done)(struct request *request, struct chunk_job *job))
{
    const struct content *content = request->extra;
    struct chunk_job *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return NULL;
    }
    *job = (struct chunk_job){.request = request,
                              .chunks = request->server->chunks,
                              .tenant = content->tenant,
                              .quota_bytes = content->quota_bytes,
                              .hash = content->hash,
                              .done = done};
    return job;
}

void chunk_job_send(struct request *request, struct chunk_job *job, void (*run)(void *context))
{
    if (worker_submit(request->server->chunk_worker, run, chunk_job_back, job) == ERR_OK) {
        request->pending++;
        return;
    }
    chunk_job_free(job);
    if (request->is_answered)
        http_exchange_abort(request->exchange);
    else
        request_problem(request, 503, "busy",
                        "too much content is under way; try again in a second");
}

void chunk_job_failed(struct request *request, struct chunk_job *job)
{
    if (job->fault.message[0] == 0)
        (void)fault_set(&job->fault, job->err, NULL, "%s",
                        job->err == ERR_NOT_FOUND ? "there is no such chunk" : err_name(job->err));
    job->fault.code = job->err;
    request_fault(request, &job->fault);
}

void chunk_job_missing(void *context)
{
    struct chunk_job *job = context;
    job->err = chunks_missing(job->chunks, job->tenant, job->hashes, job->count, job->missing);
}

void chunk_job_get(void *context)
{
    struct chunk_job *job = context;
    job->err = chunks_get(job->chunks, job->tenant, job->hash, 0, job->bytes, CHUNK_BYTES_MAX,
                          &job->len, &job->size);
}
