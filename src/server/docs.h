/* Routes over documents: list, show, put, delete. Private to src/server. */
#ifndef LQ_SERVER_DOCS_H
#define LQ_SERVER_DOCS_H

#include "server/request.h"

/* A page of documents of a kind, by id; cursor is the last id. Secrets' hashes are never shown. */
void docs_list(struct request *request, enum doc_kind kind,
               bool (*filter)(const struct request *request, const struct doc_value *value));
void docs_show(struct request *request, enum doc_kind kind, struct slice id);
/* Puts the value: a new one (must_be_new), or with If-Match, or whatever version stands. `reply`
 * empty: the noun as the API shows it. */
void docs_put(struct request *request, const struct doc_value *value, bool must_be_new,
              const char *action, struct slice reply);
void docs_delete(struct request *request, enum doc_kind kind, struct slice id, const char *action);
void docs_write(const struct doc_value *value,
                struct json_writer *writer); /* as the API shows it */
/* Body of the request as a noun of that kind; answers and gives false when it is none. */
bool docs_body(struct request *request, enum doc_kind kind, struct doc_value *out);

#endif
