/* HTTP/1.1 server on port streams: TCP, unix sockets, TLS. Loop thread only.
 *
 * An exchange is one request and its answer.
 * Invariants
 * 1. Requests of one connection are handled one after another, in order; the next head is handed
 * out when the answer before it has been given whole.
 * 2. on_request comes once for each head that is well-formed and within limits; the server itself
 * answers all others (400, 408, 411, 413, 414, 417, 431, 501, 503, 505) with a problem document.
 * 3. After http_exchange_listen, on_close comes exactly once and last; until then the exchange
 * pointer is good, however long the answer takes (long poll). Without listen it is good until the
 * answer is whole.
 * 4. A whole answer is given once: respond, or start ... finish. Calling after it is over, or
 * twice, is a programmer's mistake (ASSERT). Answering an exchange whose client is gone is fine
 * until on_close.
 * 5. No callback of the handler runs inside one of its own http_exchange_* calls. */
#ifndef LQ_HTTP_SERVER_H
#define LQ_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/time.h"
#include "http/tls.h"
#include "port/stream.h"
#include "wire/http1.h"

struct loop;
struct http_server;
struct http_exchange;

/* Zero means the default. */
struct http_server_limits {
    uint32_t connections_max;  /* 12000, and never over the process's descriptors less 512. At the
                                  limit the  connection that has waited longest without a request
                                  makes room; only when  all are busy newcomers get 503 */
    uint32_t head_bytes_max;   /* 32 KiB */
    uint32_t target_bytes_max; /* 8 KiB */
    uint32_t headers_max;      /* 100 */
    uint64_t body_bytes_max;   /* 1 MiB: for handlers that do not say */
    uint32_t write_bytes_max;  /* 1 MiB pending of a streaming answer */
    uint32_t arena_bytes_max;  /* 4 MiB: http_exchange_arena */
    uint32_t requests_max;     /* 0: no end; after so many a connection is closed in good order */
    struct span_ms handshake_max; /* 10 s: TLS */
    struct span_ms
        head_max; /* 10 s: first byte of a head to its last; also new connection to first head */
    struct span_ms body_stall_max;  /* 20 s: between two pieces of a body; slower than 1 KiB/s on
                                       average after that is  refused as well */
    struct span_ms idle_max;        /* 75 s: keep-alive without a request */
    struct span_ms write_stall_max; /* 30 s: pending bytes and the client takes none */
};

struct http_server_counts {
    uint64_t connections_now, connections_total, connections_evicted, connections_refused;
    uint64_t requests_total, requests_now,
        refusals_total; /* refusals: answered by the server itself */
    uint64_t handshakes_total, handshakes_failed, handshakes_resumed;
    uint64_t timeouts_total, bytes_in, bytes_out;
};

/* `on_request` gets every exchange. It may answer at once, or call http_exchange_listen and answer
 * any time later. It asks for the body by http_exchange_collect or http_exchange_stream, at once or
 * later; until then the body stays unread (back-pressure), and an answer without it skips or
 * refuses it. */
enum err http_server_create(struct loop *loop, const struct http_server_limits *limits,
                            void (*on_request)(void *context, struct http_exchange *exchange),
                            void *context, struct http_server **out_server) LQ_CHECKED;
/* Listen on one more endpoint; tls NULL: plain. The server holds tls. `options` may be NULL. Errors
 * of listener_open. */
enum err http_server_listen(struct http_server *server, const char *endpoint,
                            const struct listener_options *options, struct tls_context *tls,
                            struct fault *fault) LQ_CHECKED;
/* The address of the index-th listener, with its real port. ERR_NOT_FOUND. */
enum err http_server_endpoint(const struct http_server *server, size_t index,
                              char out_text[ENDPOINT_TEXT_MAX]) LQ_CHECKED;
void http_server_counts(const struct http_server *server, struct http_server_counts *out_counts);
/* Close listeners and idle connections, let exchanges end (answers carry Connection: close), at
 * most `within`; then the rest is cut (their on_close comes) and on_drained is called. */
void http_server_drain(struct http_server *server, struct span_ms within,
                       void (*on_drained)(void *context), void *context);
bool http_server_is_draining(const struct http_server *server);
/* Cuts everything (each on_close comes, with ERR_CLOSED) and frees. Not from inside a callback of
 * the server. Accepts NULL. */
void http_server_destroy(struct http_server *server);

/* ---- the request ---- */
/* Lives as long as the exchange. */
const struct http1_head *http_exchange_head(const struct http_exchange *exchange);
struct slice http_exchange_header(const struct http_exchange *exchange,
                                  const char *name); /* NULL data: none */
/* Memory that dies with the exchange. */
struct arena *http_exchange_arena(struct http_exchange *exchange);
/* Which listener (index in order of http_server_listen) it came by. */
size_t http_exchange_listener(const struct http_exchange *exchange);
const struct stream_peer *http_exchange_peer(const struct http_exchange *exchange);
bool http_exchange_is_tls(const struct http_exchange *exchange);
/* The client's certificate, checked against the listener's CA and dates; revocation is the
 * caller's. ERR_NOT_FOUND: the client showed none. */
enum err http_exchange_peer_certificate(const struct http_exchange *exchange,
                                        struct tls_peer *out_peer) LQ_CHECKED;

/* ---- events; any may be NULL ---- */
struct http_exchange_events {
    void (*on_body)(void *context, struct http_exchange *exchange,
                    struct slice body); /* collected whole; lives as the exchange */
    void (*on_bytes)(void *context, struct http_exchange *exchange,
                     struct slice bytes); /* streamed piece; lives for the call */
    void (*on_end)(void *context, struct http_exchange *exchange); /* streamed body is complete */
    void (*on_drain)(
        void *context,
        struct http_exchange *exchange); /* all pending bytes of a streaming answer left */
    /* Last. ERR_OK: the answer was handed to the connection whole; ERR_CLOSED: the client is gone,
     * or the server cut it; ERR_TIMEOUT: the body or the client's reading stalled; ERR_LIMIT: the
     * body was too long (413 was sent); ERR_INVALID: the body's framing was bad (400 was sent). */
    void (*on_close)(void *context, struct http_exchange *exchange, enum err why);
};
/* `events` is borrowed for the exchange's life (static const). Once per exchange, before body
 * calls. */
void http_exchange_listen(struct http_exchange *exchange, const struct http_exchange_events *events,
                          void *context);
/* Change the context (when the handler hands the exchange over). */
void http_exchange_context(struct http_exchange *exchange, void *context);

/* ---- the body ----
 * Ask for it before an answer is started: a client that waits for "100 Continue" gets it then. */
/* Gather the whole body, then on_body (also for an empty one). body_bytes_max 0: the server's
 * default. Longer: 413 is sent, then on_close. */
void http_exchange_collect(struct http_exchange *exchange, uint64_t body_bytes_max);
/* Hand the body over in pieces, then on_end. body_bytes_max 0: the server's default; UINT64_MAX: no
 * limit. */
void http_exchange_stream(struct http_exchange *exchange, uint64_t body_bytes_max);
void http_exchange_read_stop(
    struct http_exchange *exchange); /* back-pressure: no on_bytes until started */
void http_exchange_read_start(struct http_exchange *exchange);

/* ---- the answer ---- */
/* Whole: everything is copied. Content-Length, Date and Connection are the server's; do not give
 * them. A header whose name or value would break the framing (control characters) makes the answer
 * a 500 instead. HEAD, 204 and 304 send no body. */
void http_exchange_respond(struct http_exchange *exchange, int status,
                           const struct http1_header *headers, size_t header_count,
                           struct slice body);
/* Shorthands. */
void http_exchange_respond_json(struct http_exchange *exchange, int status, struct slice json);
void http_exchange_respond_problem(struct http_exchange *exchange, int status, const char *code,
                                   const char *detail);
/* Streaming: start, write ..., finish. body_bytes is the exact length or -1 (chunked). */
void http_exchange_start(struct http_exchange *exchange, int status,
                         const struct http1_header *headers, size_t header_count,
                         int64_t body_bytes);
/* Copies. ERR_BUSY: write_bytes_max are pending, nothing was taken; go on at on_drain. ERR_CLOSED:
 * the client is gone (on_close comes or came). ERR_LIMIT: over the promised length. Each write
 * reaches the client without delay. */
enum err http_exchange_write(struct http_exchange *exchange, struct slice bytes) LQ_CHECKED;
size_t http_exchange_pending(const struct http_exchange *exchange);
/* The answer is whole. When the promised length was not reached the connection is cut instead. */
void http_exchange_finish(struct http_exchange *exchange);
/* Cut the connection without a proper end, so that the client sees a failure. on_close comes later.
 */
void http_exchange_abort(struct http_exchange *exchange);

#endif
