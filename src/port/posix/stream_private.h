/* The inside of a stream, for the files of port/posix that make streams. */
#ifndef LQ_PORT_POSIX_STREAM_PRIVATE_H
#define LQ_PORT_POSIX_STREAM_PRIVATE_H

#include "port/posix/loop_private.h"

struct stream {
    struct loop_part part;
    union {
        uv_handle_t any;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } handle;
    struct loop *loop;
    const struct stream_events *events;
    void *context;
    size_t pending_bytes_max;
    uv_shutdown_t shutdown;
    enum err write_error; /* sticky */
    bool is_tcp;
    bool is_ended; /* on_end was given */
    bool is_shut;
    bool is_closed;
};

/* A fresh, unconnected stream with its libuv handle; is_tcp chooses the kind. ERR_NO_MEMORY. */
enum err stream_make(struct loop *loop, bool is_tcp, struct stream **out_stream) LQ_CHECKED;
void stream_set_nodelay(struct stream *stream);
/* "10.0.0.7:80", "[::1]:80". */
void address_format(const struct sockaddr_storage *address, char out_text[ENDPOINT_TEXT_MAX]);

#endif
