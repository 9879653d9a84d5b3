/* Problem documents (RFC 9457): the body of every error answer, application/problem+json.
 * Thread-neutral. */
#ifndef LQ_HTTP_PROBLEM_H
#define LQ_HTTP_PROBLEM_H

#include "base/buffer.h"
#include "base/err.h"

/* Appends {"type":"about:blank","title":<reason of status>,"status":n,"code":code,"detail":detail}.
 * `detail` may be NULL. Bytes that are no UTF-8 become '?'. Errors stay in the buffer. */
void http_problem_write(struct buffer *out, int status, const char *code, const char *detail);
/* The status that suits an error of ours: ERR_NOT_FOUND 404, ERR_STALE 412, ERR_EXISTS 409,
 * ERR_BUSY 503, ... */
int http_problem_status(enum err code);

#endif
