/* HTTP/1.1 client with kept-alive connections, one pool per client and origin. Loop thread only.
 *
 * A call is one request and its answer. Its life: http_client_send gives it; on_done comes exactly
 * once and last, never inside send; http_call_cancel ends it without on_done. Nothing is retried,
 * except that a call with an idempotent method (GET, HEAD, PUT, DELETE, OPTIONS) and no streamed
 * body that was sent on a reused connection which closed before any byte of the answer is sent once
 * more, on a fresh connection. */
#ifndef LQ_HTTP_CLIENT_H
#define LQ_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/time.h"
#include "http/tls.h"
#include "wire/http1.h"

struct loop;
struct http_client;
struct http_call;

/* Zero means the default. */
struct http_client_limits {
    uint32_t connections_max; /* 64 per origin; further calls wait */
    uint32_t calls_max;       /* 4096 waiting or running in the whole client; over it ERR_BUSY */
    uint32_t idle_max;        /* 16 idle connections kept per origin */
    struct span_ms idle_life; /* 60 s; keep it below the server's idle_max */
};

enum err http_client_create(struct loop *loop, const struct http_client_limits *limits,
                            struct http_client **out_client) LQ_CHECKED;
/* Cancels every call (no on_done) and frees. Not from inside a callback. Accepts NULL. */
void http_client_destroy(struct http_client *client);
/* Close idle connections, for example after tls_context_reload. */
void http_client_drop_idle(struct http_client *client);

struct http_client_request {
    const char *endpoint; /* "host:8443", "unix:/run/lq.sock" (stream.h) */
    struct tls_context
        *tls;         /* NULL: plain. Connections are shared between equal endpoint and same tls */
    const char *host; /* Host field; NULL: made from the endpoint */
    const char *method;
    const char *target; /* "/v1/jobs?limit=5" */
    const struct http1_header
        *headers; /* without Host, Content-Length, Transfer-Encoding, Connection */
    size_t header_count;
    struct slice body;           /* whole body */
    bool has_streamed_body;      /* instead: http_call_write ..., http_call_finish */
    int64_t streamed_body_bytes; /* with it: exact length, or -1: chunked */
    bool is_response_streamed;   /* on_bytes instead of a collected body */
    uint64_t
        response_bytes_max; /* 0: 16 MiB; applies to collected bodies; streamed: 0 is no limit */
    struct span_ms connect_max; /* 0: 10 s; name, connection, TLS */
    struct span_ms
        first_byte_max; /* 0: 30 s; request sent to head of the answer (raise it for long polls) */
    struct span_ms stall_max; /* 0: 30 s; between pieces of the answer, and while the server takes
                                 none of the request; negative: no limit (event streams) */
};

struct http_call_events { /* any but on_done may be NULL */
    /* Final head of the answer. It and its slices live until on_done returns. */
    void (*on_head)(void *context, struct http_call *call, const struct http1_head *response);
    void (*on_bytes)(void *context, struct http_call *call,
                     struct slice bytes); /* streamed answers; lives for the call */
    void (*on_drain)(
        void *context,
        struct http_call *call); /* a streamed request can take more; also once when it can begin */
    /* Last; the call is gone when it returns. ERR_OK: response and (collected) body are whole.
     * Otherwise response is NULL, or the head when one came: ERR_NOT_FOUND no such host, ERR_CLOSED
     * refused or broken off, ERR_TIMEOUT, ERR_DENIED the server or the own certificate was not
     * accepted (fault tells), ERR_LIMIT answer too long, ERR_INVALID not HTTP. */
    void (*on_done)(void *context, struct http_call *call, enum err code,
                    const struct http1_head *response, struct slice body,
                    const struct fault *fault);
};

/* All of `request` is copied (tls is held); `events` is borrowed (static const). ERR_INVALID
 * (endpoint, header with control characters), ERR_BUSY, ERR_NO_MEMORY. out_call may be NULL. */
enum err http_client_send(struct http_client *client, const struct http_client_request *request,
                          const struct http_call_events *events, void *context, struct fault *fault,
                          struct http_call **out_call) LQ_CHECKED;
/* Streamed request body; after the first on_drain. ERR_BUSY: nothing taken, wait for on_drain.
 * ERR_CLOSED: on_done comes. */
enum err http_call_write(struct http_call *call, struct slice bytes) LQ_CHECKED;
void http_call_finish(struct http_call *call);
void http_call_read_stop(struct http_call *call); /* back-pressure on a streamed answer */
void http_call_read_start(struct http_call *call);
void http_call_cancel(struct http_call *call); /* no further events; the call is gone */
/* The server's certificate, from on_head to on_done. ERR_NOT_FOUND on plain connections. */
enum err http_call_peer_certificate(const struct http_call *call,
                                    struct tls_peer *out_peer) LQ_CHECKED;

struct http_response {
    int status;
    const struct http1_header *headers;
    size_t header_count;
    struct slice body;
};

/* For command lines and other one-thread programs: runs the loop until the answer is there.
 * Everything of the response lives in `arena`. Result of on_done. ERR_CANCELLED when the loop was
 * stopped meanwhile. */
enum err http_client_fetch(struct http_client *client, struct loop *loop,
                           const struct http_client_request *request, struct arena *arena,
                           struct fault *fault, struct http_response *out_response) LQ_CHECKED;

#endif
