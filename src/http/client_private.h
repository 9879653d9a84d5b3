/* The inside of the HTTP client: client.c (calls and their queue, one origin's connections), link.c
 * (one connection), fetch.c (one call on a loop of its own).
 *
 * A call       QUEUED ─▶ BOUND to a link ─▶ over (on_done or cancel)
 * A link       CONNECTING ─▶ HANDSHAKE ─▶ BUSY ◀─▶ IDLE;  any ─▶ DEAD ─▶ freed by the sweep
 *
 * Invariants
 * 1. A bound call and its link point at each other; a link has at most one call, an idle one none.
 * 2. Callbacks run from stream events, timers and the sweep, never from http_client_send or
 * http_call_*.
 * 3. After any callback the link may have lost its call or be dead, and is looked at anew. */
#ifndef LQ_HTTP_CLIENT_PRIVATE_H
#define LQ_HTTP_CLIENT_PRIVATE_H

#include "base/buffer.h"
#include "http/client.h"
#include "http/tls_session.h"
#include "port/loop.h"
#include "port/stream.h"

enum {
    CLIENT_ORIGINS_MAX = 1024,
    CLIENT_REQUEST_BYTES_MAX = 1 << 30, /* a whole request body */
    CLIENT_INBOX_BYTES_MAX = 4 * STREAM_READ_BYTES_MAX,
    CLIENT_PENDING_BYTES_MAX = 1 << 20, /* of a streamed request */
    CLIENT_SCRATCH_BYTES_MAX = 4 << 20,
    CLIENT_TLS_SLICE_BYTES = 65536,
    CLIENT_PLAIN_BYTES = 16384,
    CLIENT_JOIN_BYTES_MAX = 16384
};

enum link_phase { LINK_CONNECTING, LINK_HANDSHAKE, LINK_BUSY, LINK_IDLE, LINK_DEAD };

struct http_link {
    struct http_origin *origin;
    struct http_link *next, *prev; /* in origin->links */
    struct http_link *sweep_next;
    struct connector *connector;
    struct stream *stream;
    struct tls_session *tls;
    struct http1_parser *parser;
    struct buffer inbox; /* what came while the call was paused */
    struct http_call *call;
    struct loop_timer idle_timer;
    enum link_phase phase;
    uint32_t call_count;
    uint64_t queued_bytes;
    enum err fate; /* why it died */
    struct fault fault;
    bool is_swept;
    bool is_parsing;
    bool is_write_dead; /* writing failed; what is left to read says why */
    bool is_peer_ended;
    bool is_informational; /* inside a 1xx response */
    bool has_response_byte;
};

struct http_origin {
    struct http_client *client;
    struct http_origin *next;
    char endpoint[ENDPOINT_TEXT_MAX];
    char host[ENDPOINT_TEXT_MAX];
    struct tls_context *tls;
    struct http_link *links;
    uint32_t link_count;
    uint32_t idle_count;
    struct http_call *queue_first, *queue_last;
};

struct http_call {
    struct http_client *client;
    struct http_origin *origin;
    struct http_link *link;        /* NULL: queued */
    struct http_call *next, *prev; /* in origin's queue, or in client->bound */
    const struct http_call_events *events;
    void *context;
    struct buffer head;     /* request line and headers, and a short body */
    struct buffer body;     /* a long whole body */
    struct buffer response; /* collected body */
    const struct http1_head *response_head;
    enum http1_method method;
    struct loop_timer timer;
    struct boot_ns deadline;
    uint64_t moved_bytes_mark;
    struct span_ms connect_max, first_byte_max, stall_max;
    uint64_t response_bytes_max, response_bytes;
    uint64_t written_bytes;
    int64_t streamed_body_bytes;
    bool has_streamed_body;
    bool is_response_streamed;
    bool is_request_sent; /* all of it was handed to the link */
    bool is_paused;
    bool is_idempotent;
    bool is_retried;
    bool wants_drain; /* on_drain is due in the sweep */
    bool is_over;     /* on_done is running */
};

struct http_client {
    struct loop *loop;
    struct http_client_limits limits;
    struct http_origin *origins;
    size_t origin_count;
    struct http_call *bound;
    uint32_t call_count;
    struct http_link *sweep_first, *sweep_last;
    struct loop_timer sweep;
    struct buffer ciphertext;
    char plain[CLIENT_PLAIN_BYTES];
};

/* ---- link.c ---- */
enum err http_link_open(struct http_origin *origin, struct http_call *call) LQ_CHECKED;
/* Give an idle link its next call and send what there is of it. */
void http_link_take_call(struct http_link *link, struct http_call *call);
/* Close; the sweep tells its call. */
void http_link_kill(struct http_link *link, enum err why, const char *text);
void http_link_sweep_soon(struct http_link *link);
void http_link_swept(struct http_link *link);
void http_link_free(struct http_link *link);
void http_link_send(struct http_link *link, const struct slice *pieces, size_t count);
/* Send head and whole body, or head and the first on_drain. */
void http_link_send_request(struct http_link *link);
/* Which deadline runs after something was sent. */
void http_link_after_send(struct http_link *link);
/* Parse what was held back. */
void http_link_resume(struct http_link *link);
/* ---- client.c ---- */
void origin_dispatch(struct http_origin *origin);
void call_bind(struct http_call *call, struct http_link *link);
void call_unbind(struct http_call *call);
void call_queue_first(struct http_call *call); /* for the one retry */
/* The end: on_done, then everything is freed. The link must be detached already. */
void call_done(struct http_call *call, enum err code, const struct fault *fault);
void call_deadline(struct http_call *call, struct span_ms within);
void call_no_deadline(struct http_call *call);

#endif
