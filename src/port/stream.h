/* Byte streams: TCP, unix sockets and pipes, with back-pressure both ways.
 *
 * Endpoints are text: "127.0.0.1:8443", "[::1]:8443", "host.name:8443", "unix:/run/lq.sock".
 * Port 0 takes a free port; listener_endpoint tells which.
 *
 * Life of a stream: it is handed over open by a listener, a connector or stream_from_fd; its owner
 * reads, writes, and ends it with stream_close, the one call that frees it. stream_close may be
 * called at any time, from the stream's own callbacks too, and throws away what is not written yet.
 * on_end does not free: the owner still closes. Loop thread only. */
#ifndef LQ_PORT_STREAM_H
#define LQ_PORT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/time.h"

struct loop;
struct stream;
struct listener;
struct connector;

enum {
    ENDPOINT_TEXT_MAX = 288,       /* host name of 253, or a path of 107, with the rest */
    STREAM_READ_BYTES_MAX = 65536, /* most that one on_bytes carries */
    STREAM_PENDING_BYTES_DEFAULT = 1 << 20,
    LISTENER_BACKLOG_DEFAULT = 1024,
    CONNECTOR_ADDRESSES_MAX = 8 /* addresses of a name that are tried in turn */
};

struct stream_events {
    void (*on_bytes)(void *context, struct slice bytes); /* bytes live for the call */
    /* The read side is over, once: ERR_OK is the peer's orderly end (writing still works),
     * ERR_CLOSED a reset, ERR_IO anything else. */
    void (*on_end)(void *context, enum err why);
    void (*on_drain)(void *context); /* pending bytes fell to none; may be NULL */
    /* Writing failed later than stream_write returned (ERR_CLOSED, ERR_IO); may be NULL, then it is
     * told by on_end. */
    void (*on_write_error)(void *context, enum err why);
};

/* Events go to `context` from now on; reading starts only with stream_read_start. `events` is
 * borrowed for the stream's life (make it static const). */
void stream_listen(struct stream *stream, const struct stream_events *events, void *context);
enum err
stream_read_start(struct stream *stream) LQ_CHECKED; /* ERR_CLOSED; harmless when started */
void stream_read_stop(struct stream *stream);        /* no on_bytes until started again */

/* Most bytes that may wait; default STREAM_PENDING_BYTES_DEFAULT. */
void stream_pending_limit(struct stream *stream, size_t bytes_max);
size_t
stream_pending(const struct stream *stream); /* bytes taken and not yet handed to the kernel */
/* Write: what the kernel does not take at once is copied and waits. ERR_LIMIT: the pending bytes
 * are over the limit already; nothing was taken, wait for on_drain (one write may pass the limit by
 * itself, so that a whole message never deadlocks). ERR_CLOSED, ERR_IO, ERR_NO_MEMORY: the stream
 * is of no more use for writing. */
enum err stream_write(struct stream *stream, struct slice bytes) LQ_CHECKED;
/* As stream_write for pieces in order, in one system call where possible; count <=
 * STREAM_PIECES_MAX. */
enum { STREAM_PIECES_MAX = 8 };
enum err stream_write_pieces(struct stream *stream, const struct slice *pieces,
                             size_t count) LQ_CHECKED;
/* Send the end of the stream after all pending bytes; reading goes on. */
enum err stream_shutdown(struct stream *stream) LQ_CHECKED; /* ERR_CLOSED */
void stream_close(struct stream *stream);                   /* accepts NULL */

struct stream_peer {
    char text[ENDPOINT_TEXT_MAX]; /* "10.0.0.7:51234", "unix:" */
    bool has_credentials;         /* unix sockets: the kernel's word on the other process */
    int64_t pid;
    uint32_t uid, gid;
};
enum err stream_peer(const struct stream *stream,
                     struct stream_peer *out_peer) LQ_CHECKED; /* ERR_CLOSED */

/* A pipe end, socket or terminal as a stream; takes `fd` over on success. ERR_INVALID for a plain
 * file. */
enum err stream_from_fd(struct loop *loop, int fd, struct stream **out_stream) LQ_CHECKED;
/* A pipe with both ends close-on-exec: read end, write end. ERR_IO, ERR_LIMIT (descriptors). */
enum err stream_pipe(int out_fds[2]) LQ_CHECKED;

struct listener_options {
    uint32_t backlog;         /* 0: LISTENER_BACKLOG_DEFAULT */
    uint32_t unix_mode;       /* permission bits of a unix socket's file; 0: 0600 */
    size_t pending_bytes_max; /* write limit given to accepted streams; 0: default */
};

/* Listen. A unix socket's stale file (nobody answers on it) is replaced; a live one is ERR_BUSY.
 * on_accept gets each new stream and owns it. `options` may be NULL. ERR_INVALID (endpoint),
 * ERR_BUSY (address in use), ERR_DENIED, ERR_IO, ERR_NO_MEMORY. */
enum err listener_open(struct loop *loop, const char *endpoint,
                       const struct listener_options *options, struct fault *fault,
                       void (*on_accept)(void *context, struct stream *stream), void *context,
                       struct listener **out_listener) LQ_CHECKED;
/* No on_accept until resumed; the kernel's backlog holds newcomers. */
void listener_pause(struct listener *listener);
void listener_resume(struct listener *listener);
void listener_endpoint(const struct listener *listener, char out_text[ENDPOINT_TEXT_MAX]);
void listener_close(
    struct listener *listener); /* frees; removes a unix socket's file; accepts NULL */

/* Connect. Names are looked up off the loop and their addresses tried in turn until `within` is
 * over. on_connect comes once, never inside this call: ERR_OK with a stream that the receiver owns,
 * or the error with NULL (ERR_NOT_FOUND: no such name; ERR_CLOSED: refused; ERR_TIMEOUT; ERR_IO),
 * after which the connector is gone. ERR_INVALID here when the endpoint makes no sense. */
enum err connector_start(struct loop *loop, const char *endpoint, struct span_ms within,
                         void (*on_connect)(void *context, enum err code, struct stream *stream),
                         void *context, struct connector **out_connector) LQ_CHECKED;
void connector_cancel(struct connector *connector); /* before on_connect only; it will not come */

/* Takes an endpoint apart: *out_is_unix with the path in host, or host (without brackets) and port.
 * host holds ENDPOINT_TEXT_MAX bytes. ERR_INVALID. */
enum err endpoint_parse(const char *endpoint, bool *out_is_unix, char *out_host,
                        uint16_t *out_port) LQ_CHECKED;

#endif
