/* The inside of the HTTP server: server.c (listeners, limits, draining), connection.c (one socket:
 * bytes, phases, deadlines), exchange.c (what handlers call), answer.c (heads and bodies of
 * answers).
 *
 * Phases of a connection
 *
 *   HANDSHAKE ─▶ HEAD ─head─▶ BODY ─end─▶ ANSWER ─answered─▶ HEAD ...
 *       │          │           │ answered early: the rest of the body is skipped, or LINGER
 *       └──────────┴───────────┴──────────▶ LINGER ─▶ dead ─▶ freed
 *
 * Invariants
 * 1. A connection is in exactly one list of its server: waiting (HANDSHAKE and HEAD, longest
 * first), busy, or dead.
 * 2. A dead connection has no stream; it is freed by server_on_sweep, never from under a caller.
 * 3. Handlers are called from connection_advance and server_on_sweep only, never from
 * http_exchange_*. */
#ifndef LQ_HTTP_SERVER_PRIVATE_H
#define LQ_HTTP_SERVER_PRIVATE_H

#include "base/buffer.h"
#include "http/server.h"
#include "http/tls_session.h"
#include "port/loop.h"

enum {
    SERVER_LISTENERS_MAX = 16,
    SERVER_INBOX_BYTES_MAX = 65536, /* undigested plaintext at which reading stops */
    SERVER_SKIP_BYTES_MAX =
        65536, /* of a body that nobody asked for; longer ones end the connection */
    SERVER_LINGER_BYTES_MAX = 8 << 20, /* dropped after the last answer, so that it arrives */
    SERVER_DESCRIPTORS_SPARE = 512,    /* for files, children and listeners */
    SERVER_RATE_BYTES_MIN = 1024,      /* a second, of a body */
    SERVER_SCRATCH_BYTES_MAX = 4 << 20,
    SERVER_SCRATCH_KEEP_BYTES = 256 * 1024,
    SERVER_TLS_SLICE_BYTES = 65536, /* encrypted and handed to the socket at a time */
    SERVER_JOIN_BYTES_MAX = 16384,  /* bodies up to here go out in one piece with their head */
    SERVER_PLAIN_BYTES = 16384,     /* one TLS record */
    SERVER_LINGER_MS = 2000,
    SERVER_HALF_CLOSED_MS = 1000, /* to answer a client that has ended its sending side */
    SERVER_DATE_MAX = 40
};

enum connection_phase {
    PHASE_HANDSHAKE,
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_ANSWER,
    PHASE_LINGER,
    PHASE_DEAD
};

enum body_mode { BODY_UNDECIDED, BODY_COLLECTED, BODY_STREAMED, BODY_SKIPPED };

enum answer_state { ANSWER_NONE, ANSWER_STARTED, ANSWER_WHOLE };

struct http_exchange {
    struct http_connection *connection;
    const struct http1_head *head;
    const struct http_exchange_events *events;
    void *context;
    struct arena arena;
    struct buffer body;
    uint64_t body_bytes_max;
    uint64_t body_bytes; /* arrived so far */
    uint64_t skipped_bytes;
    enum body_mode mode;
    enum answer_state answer;
    int64_t promised_bytes; /* of a streaming answer; -1: not told */
    uint64_t written_bytes;
    enum err fate;      /* what on_close will say when the answer is not whole */
    bool is_active;     /* between on_request and on_close (or the whole answer without listen) */
    bool is_body_ended; /* END was parsed */
    bool is_body_told;  /* on_body or on_end was called */
    bool is_paused;
    bool is_continue_sent;
    bool is_chunked;  /* the streaming answer */
    bool is_bodyless; /* HEAD, 204, 304 */
};

struct http_connection {
    struct http_server *server;
    struct http_connection **list; /* head of the list it is in */
    struct http_connection *next, *prev;
    size_t listener;
    struct stream *stream;
    struct tls_context *tls_context; /* NULL: plain */
    struct tls_session *tls;         /* from the first byte on */
    struct http1_parser *parser;
    struct buffer inbox;
    enum connection_phase phase;
    struct loop_timer timer;
    struct boot_ns read_deadline;  /* handshake, head, body, linger */
    struct boot_ns write_deadline; /* pending bytes must have moved */
    struct boot_ns end_deadline;   /* after the client's end */
    struct boot_ns body_since;
    uint64_t queued_bytes;     /* all ever given to the stream */
    uint64_t moved_bytes_mark; /* gone to the kernel when write_deadline was set */
    uint64_t linger_bytes;
    uint32_t request_count;
    bool is_hungry; /* the parser wants more than there is */
    bool is_advancing;
    bool is_head_begun; /* the first byte of a head is here, its deadline runs */
    bool is_last;       /* no further request after this answer */
    bool is_peer_ended;
    bool is_shut;
    bool is_swept; /* in line for the sweep */
    struct http_connection *sweep_next;
    struct stream_peer peer;
    struct http_exchange exchange;
};

struct http_server_listener {
    struct http_server *server;
    struct listener *listener;
    struct tls_context *tls;
    size_t index;
};

struct http_server {
    struct loop *loop;
    struct http_server_limits limits;
    void (*on_request)(void *context, struct http_exchange *exchange);
    void *context;
    struct http_server_listener listeners[SERVER_LISTENERS_MAX];
    size_t listener_count;
    struct http_connection *waiting, *waiting_last; /* longest without a request first */
    struct http_connection *busy;
    struct http_connection *dead;
    struct http_connection *sweep_first, *sweep_last;
    struct loop_timer sweep;
    struct loop_timer drain;
    void (*on_drained)(void *context);
    void *drained_context;
    bool is_draining;
    bool is_destroyed;
    struct http_server_counts counts;
    struct now now;           /* read at the entry of each callback */
    struct buffer scratch;    /* the answer being put together */
    struct buffer ciphertext; /* output of the TLS session in hand */
    int64_t date_s;
    char date[SERVER_DATE_MAX];
    char plain[SERVER_PLAIN_BYTES];
};

/* ---- connection.c ---- */
void connection_accept(struct http_server_listener *listener, struct stream *stream);
/* To be called after anything that may let it go on, from outside its own callbacks. */
void connection_sweep_soon(struct http_connection *connection);
/* Send plaintext pieces; failures kill the connection. */
void connection_send(struct http_connection *connection, const struct slice *pieces, size_t count);
/* Close at once; on_close comes with `why` from the sweep. */
void connection_kill(struct http_connection *connection, enum err why);
/* Answer a request that never reached (or left) the handler, then end the connection. */
void connection_refuse(struct http_connection *connection, int status, const char *code,
                       const char *detail);
void connection_linger(struct http_connection *connection);
/* Phases HANDSHAKE and HEAD wait; others are busy. Puts it in the right list, at its end. */
void connection_list(struct http_connection *connection);
void connection_unlist(struct http_connection *connection);
void connection_free(struct http_connection *connection);
void connection_drop_inbox(struct http_connection *connection); /* idle ones hold no buffer */
/* ---- connection_run.c ---- */
extern const struct stream_events CONNECTION_EVENTS;
/* Parse and hand out what is in hand, as far as the phase allows. */
void connection_advance(struct http_connection *connection);
void connection_await_head(struct http_connection *connection);
/* After anything that came in: whether to read on, whether the client's end was the end, the timer.
 */
void connection_rest(struct http_connection *connection);
void connection_swept(struct http_connection *connection);
/* ---- deadline.c ---- */
void connection_rearm(struct http_connection *connection);
void connection_on_timer(void *context);
void connection_body_deadline(struct http_connection *connection);
/* ---- exchange.c ---- */
void exchange_begin(struct http_exchange *exchange, struct http_connection *connection,
                    const struct http1_head *head);
/* Tells on_close when it is listened to, frees what it holds. */
void exchange_end(struct http_exchange *exchange, enum err why);
/* ---- answer.c ---- */
/* Head and body of a whole answer into server->scratch; the body stays out when it is long. */
enum err answer_write_head(struct http_connection *connection, int status,
                           const struct http1_header *headers, size_t header_count,
                           int64_t body_bytes, bool is_chunked) LQ_CHECKED;
/* ---- server.c ---- */
void server_touch(struct http_server *server); /* reads the clock */
void server_sweep_soon(struct http_server *server);

#endif
