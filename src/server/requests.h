/* Life of requests; private to src/server. A request lives in memory of its own, because a query
 * may still be under way when its exchange is gone; it is freed when both have ended. */
#ifndef LQ_SERVER_REQUESTS_H
#define LQ_SERVER_REQUESTS_H

#include "server/request.h"

/* Memory that lives as long as the request. */
void *requests_alloc(struct request *request, size_t size);
void requests_keep_document(struct request *request, struct json_document *document);
/* Frees it if its exchange is closed and nothing is under way. */
void requests_release(struct request *request);
struct slice requests_idempotency_key(const struct request *request); /* NULL data: none */
/* After authentication: find out whose the subject is, check, run the handler. */
void requests_authorize(struct request *request);

#endif
