#include "port/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "port/posix/os_error.h"
#include "port/posix/stream_private.h"

struct stream_write_job {
    uv_write_t request;
    struct stream *stream;
    char bytes[];
};

static void stream_free(uv_handle_t *handle)
{
    free(handle->data);
}

enum err stream_make(struct loop *loop, bool is_tcp, struct stream **out_stream)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL)
        return ERR_NO_MEMORY;
    int code = is_tcp ? uv_tcp_init(&loop->uv, &stream->handle.tcp)
                      : uv_pipe_init(&loop->uv, &stream->handle.pipe, 0);
    if (code != 0) {
        free(stream);
        return os_error(code);
    }
    stream->part.on_closed = stream_free;
    stream->handle.any.data = stream;
    stream->loop = loop;
    stream->is_tcp = is_tcp;
    stream->pending_bytes_max = STREAM_PENDING_BYTES_DEFAULT;
    *out_stream = stream;
    return ERR_OK;
}

void stream_set_nodelay(struct stream *stream)
{
    if (stream->is_tcp) /* a socket that is gone already tells so on the next read */
        (void)uv_tcp_nodelay(&stream->handle.tcp, 1);
}

void stream_listen(struct stream *stream, const struct stream_events *events, void *context)
{
    stream->events = events;
    stream->context = context;
}

static void stream_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct stream *stream = handle->data;
    (void)suggested;
    out->base = stream->loop->read_buffer;
    out->len = sizeof(stream->loop->read_buffer);
}

static void stream_end(struct stream *stream, enum err why)
{
    if (stream->is_ended)
        return;
    stream->is_ended = true;
    uv_read_stop(&stream->handle.stream);
    if (stream->events->on_end != NULL)
        stream->events->on_end(stream->context, why);
}

static void stream_on_read(uv_stream_t *handle, ssize_t got, const uv_buf_t *buffer)
{
    struct stream *stream = handle->data;
    if (stream->is_closed || got == 0)
        return;
    if (got > 0)
        stream->events->on_bytes(stream->context, slice_make(buffer->base, (size_t)got));
    else
        stream_end(stream, got == UV_EOF ? ERR_OK : os_error((int)got));
}

enum err stream_read_start(struct stream *stream)
{
    ASSERT(stream->events != NULL);
    if (stream->is_closed || stream->is_ended)
        return ERR_CLOSED;
    int code = uv_read_start(&stream->handle.stream, stream_on_alloc, stream_on_read);
    return code == 0 || code == UV_EALREADY ? ERR_OK : os_error(code);
}

void stream_read_stop(struct stream *stream)
{
    if (!stream->is_closed)
        uv_read_stop(&stream->handle.stream);
}

void stream_pending_limit(struct stream *stream, size_t bytes_max)
{
    stream->pending_bytes_max = bytes_max;
}

size_t stream_pending(const struct stream *stream)
{
    return uv_stream_get_write_queue_size(&stream->handle.stream);
}

static void stream_on_written(uv_write_t *request, int status)
{
    struct stream_write_job *job = request->data;
    struct stream *stream = job->stream;
    free(job);
    if (stream->is_closed)
        return;
    if (status == 0) {
        if (stream_pending(stream) == 0 && stream->events->on_drain != NULL)
            stream->events->on_drain(stream->context);
        return;
    }
    if (stream->write_error != ERR_OK)
        return;
    stream->write_error = os_error(status);
    if (stream->events->on_write_error != NULL)
        stream->events->on_write_error(stream->context, stream->write_error);
    else
        stream_end(stream, stream->write_error);
}

/* Queue what the kernel did not take: all bytes of `pieces` after the first `skip`. */
static enum err stream_queue(struct stream *stream, const struct slice *pieces, size_t count,
                             size_t skip, size_t len)
{
    struct stream_write_job *job = malloc(sizeof(*job) + len);
    if (job == NULL)
        return ERR_NO_MEMORY;
    job->stream = stream;
    job->request.data = job;
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        size_t drop = skip < pieces[i].len ? skip : pieces[i].len;
        skip -= drop;
        if (pieces[i].len > drop)
            memcpy(job->bytes + at, pieces[i].data + drop, pieces[i].len - drop);
        at += pieces[i].len - drop;
    }
    ASSERT(at == len);
    uv_buf_t buffer = uv_buf_init(job->bytes, (unsigned)len);
    int code = uv_write(&job->request, &stream->handle.stream, &buffer, 1, stream_on_written);
    if (code != 0) {
        free(job);
        return os_error(code);
    }
    return ERR_OK;
}

enum err stream_write_pieces(struct stream *stream, const struct slice *pieces, size_t count)
{
    ASSERT(count <= STREAM_PIECES_MAX && stream->events != NULL);
    if (stream->is_closed || stream->is_shut)
        return ERR_CLOSED;
    if (stream->write_error != ERR_OK)
        return stream->write_error;
    uv_buf_t buffers[STREAM_PIECES_MAX];
    unsigned used = 0;
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].len == 0)
            continue;
        ASSERT(pieces[i].len <= INT32_MAX);
        buffers[used++] = (uv_buf_t){.base = (char *)pieces[i].data, .len = pieces[i].len};
        len += pieces[i].len;
    }
    if (len == 0)
        return ERR_OK;
    size_t pending = stream_pending(stream);
    if (pending > 0 && pending >= stream->pending_bytes_max)
        return ERR_LIMIT;
    int sent = pending > 0 ? UV_EAGAIN : uv_try_write(&stream->handle.stream, buffers, used);
    if (sent == UV_EAGAIN)
        sent = 0;
    enum err code = sent < 0 ? os_error(sent) : ERR_OK;
    if (code == ERR_OK && (size_t)sent < len)
        code = stream_queue(stream, pieces, count, (size_t)sent, len - (size_t)sent);
    if (code != ERR_OK)
        stream->write_error = code;
    return code;
}

enum err stream_write(struct stream *stream, struct slice bytes)
{
    return stream_write_pieces(stream, &bytes, 1);
}

static void stream_on_shutdown(uv_shutdown_t *request, int status)
{
    (void)request;
    (void)status; /* a failure means the peer is gone, which reading tells */
}

enum err stream_shutdown(struct stream *stream)
{
    if (stream->is_closed || stream->write_error != ERR_OK)
        return ERR_CLOSED;
    if (stream->is_shut)
        return ERR_OK;
    int code = uv_shutdown(&stream->shutdown, &stream->handle.stream, stream_on_shutdown);
    if (code != 0)
        return os_error(code);
    stream->is_shut = true;
    return ERR_OK;
}

void stream_close(struct stream *stream)
{
    if (stream == NULL)
        return;
    ASSERT(!stream->is_closed);
    stream->is_closed = true;
    uv_close(&stream->handle.any, stream_free);
}

void address_format(const struct sockaddr_storage *address, char out_text[ENDPOINT_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "";
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        snprintf(out_text, ENDPOINT_TEXT_MAX, "%s:%u", host, ntohs(v4->sin_port));
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        snprintf(out_text, ENDPOINT_TEXT_MAX, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        snprintf(out_text, ENDPOINT_TEXT_MAX, "unix:");
    }
}

enum err stream_peer(const struct stream *stream, struct stream_peer *out_peer)
{
    if (stream->is_closed)
        return ERR_CLOSED;
    struct stream_peer peer = {.has_credentials = false};
    if (stream->is_tcp) {
        struct sockaddr_storage address = {0};
        int len = sizeof(address);
        if (uv_tcp_getpeername(&stream->handle.tcp, (struct sockaddr *)&address, &len) != 0)
            return ERR_CLOSED;
        address_format(&address, peer.text);
    } else {
        struct ucred who;
        socklen_t len = sizeof(who);
        uv_os_fd_t fd;
        snprintf(peer.text, sizeof(peer.text), "unix:");
        if (uv_fileno(&stream->handle.any, &fd) == 0 &&
            getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.pid != 0) {
            peer.has_credentials = true;
            peer.pid = who.pid;
            peer.uid = who.uid;
            peer.gid = who.gid;
        }
    }
    *out_peer = peer;
    return ERR_OK;
}

enum err stream_from_fd(struct loop *loop, int fd, struct stream **out_stream)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return os_error(errno);
    if (!S_ISFIFO(info.st_mode) && !S_ISSOCK(info.st_mode) && !S_ISCHR(info.st_mode))
        return ERR_INVALID;
    struct stream *stream;
    enum err code = stream_make(loop, false, &stream);
    if (code != ERR_OK)
        return code;
    int opened = uv_pipe_open(&stream->handle.pipe, fd);
    if (opened != 0) {
        stream_close(stream);
        return os_error(opened);
    }
    *out_stream = stream;
    return ERR_OK;
}

enum err stream_pipe(int out_fds[2])
{
    return pipe2(out_fds, O_CLOEXEC) == 0 ? ERR_OK : os_error(errno);
}
