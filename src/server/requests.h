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
/* After authentication: find out whose the subject is, check, hand over. */
void requests_authorize(struct request *request);

/* ---- idempotency.c */
/* Permission and ownership have passed: the kept answer, if the request came before, else the
 * handler. */
void requests_hand_over(struct request *request);
/* The core has just taken the same key: ask the store again. False: nothing of the kind. */
bool requests_look_again(struct request *request, const struct server_output *output);
/* A new token; with an Idempotency-Key the same one for the same request. As token_make. */
enum err requests_secret(struct request *request, const char *prefix, char out_text[TOKEN_TEXT_MAX],
                         struct digest *out_hash) LQ_CHECKED;
/* The object with request->secret as its last member "token"; itself without one. */
struct slice requests_with_secret(struct request *request, struct slice json);

#endif
