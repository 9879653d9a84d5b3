/* Calls to the server with the site's certificate, and what problem answers mean. Loop thread only.
 */
#ifndef LQ_AGENT_REMOTE_H
#define LQ_AGENT_REMOTE_H

#include "http/client.h"
#include "model/attempt.h"
#include "port/loop.h"
#include "port/stream.h"

enum { REMOTE_CONNECTIONS_MAX = 16, REMOTE_CALLS_MAX = 4096, REMOTE_HEADERS_MAX = 4 };

struct remote {
    struct http_client *client;
    struct tls_context *tls;
    char endpoint[ENDPOINT_TEXT_MAX];
};

/* What is to be done about an answer. */
enum remote_verdict {
    REMOTE_OK,    /* 2xx */
    REMOTE_AGAIN, /* no answer, 401, 408, 429, 5xx: later */
    REMOTE_NEVER, /* any other: the same request would be refused again */
};

struct remote_request {
    const char *method;
    const char *target;
    const char *content_type;            /* NULL: no body's type is said */
    const struct attempt_token *attempt; /* with its secret, or NULL */
    struct slice secret;
    struct slice body;
    uint64_t response_bytes_max;
    struct span_ms first_byte_max;
};

/* As http_client_send; errors too. */
enum err remote_send(struct remote *remote, const struct remote_request *request,
                     const struct http_call_events *events, void *context,
                     struct http_call **out_call) LQ_CHECKED;
enum remote_verdict remote_judge(enum err code, const struct http1_head *response);
/* The problem's "detail", or what the transport said, as a sentence into `out`. */
void remote_explain(enum err code, const struct http1_head *response, struct slice body,
                    const struct fault *fault, char *out, size_t size);
/* The server refused with this problem code. */
bool remote_is_problem(enum err code, const struct http1_head *response, struct slice body,
                       const char *problem);
/* The pause before try `fails` + 1: doubling from `min` to `max`, with a quarter of jitter. */
struct span_ms remote_pause(struct span_ms min, struct span_ms max, uint32_t fails,
                            uint64_t random);

#endif
