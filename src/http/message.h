/* What server and client share: fields, request and response heads, and problem documents.
 * All slices are borrowed; who owns the bytes is said where a head is handed out. */
#ifndef LQ_HTTP_MESSAGE_H
#define LQ_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

struct http_field {
    struct slice name; /* compared without case */
    struct slice value;
};

enum { HTTP_FIELDS_MAX = 100, HTTP_TARGET_BYTES_MAX = 8192, HTTP_HEAD_BYTES_MAX = 32768 };

/* The value of the first field of that name, or an empty slice with NULL data. */
struct slice http_field_find(const struct http_field *fields, size_t count, const char *name);
/* Whether a comma-separated list value has the token (without case): "keep-alive, Upgrade". */
bool http_value_has_token(struct slice value, const char *token);

struct http_request {
    struct slice method; /* "GET", upper case as sent */
    struct slice target; /* as sent: "/v1/jobs?limit=5" */
    struct slice path;   /* before '?', as sent; percent signs are not decoded */
    struct slice query;  /* after '?', or empty */
    const struct http_field *fields;
    size_t field_count;
    int64_t body_bytes; /* Content-Length; 0: no body; -1: chunked, length not known */
};

struct http_response {
    int status;
    const struct http_field *fields;
    size_t field_count;
    int64_t body_bytes; /* Content-Length; -1: not known */
};

/* The reason phrase of a status ("Not Found"); "Unknown" for others. */
const char *http_reason(int status);

/* Percent-decoding of one path segment or query value into `arena`. '+' stays '+'. ERR_INVALID on a
 * bad escape, on %00 and on bytes that are no UTF-8. */
enum err http_percent_decode(struct slice text, struct arena *arena,
                             struct slice *out_text) LQ_CHECKED;
/* Encodes all but unreserved characters (RFC 3986) into `arena`. */
enum err http_percent_encode(struct slice text, struct arena *arena,
                             struct slice *out_text) LQ_CHECKED;
/* The raw value of `name` in "a=1&b=2" (first one); false when it is not there. */
bool http_query_find(struct slice query, const char *name, struct slice *out_value);
/* Step through a query: false at the end. Start with *position = 0. */
bool http_query_next(struct slice query, size_t *position, struct slice *out_name,
                     struct slice *out_value);

/* The body of an RFC 9457 problem document:
 * {"type":"about:blank","title":<reason>,"status":n,"code":code,"detail":detail}. `detail` may be
 * NULL. ERR_NO_MEMORY. */
enum err http_problem_body(int status, const char *code, const char *detail, struct arena *arena,
                           struct slice *out_json) LQ_CHECKED;

#endif
