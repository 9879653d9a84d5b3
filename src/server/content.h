/* Content of a tenant: chunks are read and written on a worker, never on the loop. Private to
 * src/server. */
#ifndef LQ_SERVER_CONTENT_H
#define LQ_SERVER_CONTENT_H

#include "server/request.h"
#include "wire/json.h"

/* Whose content; the beginning of a handler's own `extra`. */
struct content {
    struct tenant_id tenant;
    uint64_t quota_bytes;
    bool has_token;
    struct attempt_token token;
    struct job_row job; /* of the token */
    void (*go_on)(struct request *request);
    struct digest hash;
    struct json_value root;
};

/* One piece of work for the worker. */
struct chunk_job {
    struct request *request;
    struct chunks *chunks;
    struct tenant_id tenant;
    uint64_t quota_bytes, size;
    struct digest hash;
    struct digest *hashes;
    bool *missing;
    size_t count;
    char *bytes;
    size_t len;
    enum err err;
    struct fault fault;
    void (*done)(struct request *request, struct chunk_job *job);
};

/* Tenant and quota, then content->go_on. */
void content_tenant(struct request *request, struct tenant_id tenant);
/* An agent proves the attempt by its secret; the attempt's job gives the tenant. Then
 * content->go_on. */
void content_of_attempt(struct request *request, const struct attempt_token *token,
                        struct slice secret);
/* By whoever asks: a person's tenant (or ?tenant=), or the attempt of the headers Lq-Attempt and
 * Lq-Secret. */
void content_begin(struct request *request, enum permission permission,
                   void (*go_on)(struct request *request));

/* NULL: answered already. `done` runs on the loop unless the client is gone; the job is freed after
 * it. */
struct chunk_job *chunk_job_make(struct request *request,
                                 void (*done)(struct request *request, struct chunk_job *job));
void chunk_job_send(struct request *request, struct chunk_job *job, void (*run)(void *context));
void chunk_job_failed(struct request *request, struct chunk_job *job);
void chunk_job_free(struct chunk_job *job);
/* What the worker runs: which of job->hashes are missing; the whole chunk job->hash into job->bytes
 * (CHUNK_BYTES_MAX). */
void chunk_job_missing(void *context);
void chunk_job_get(void *context);

#endif
