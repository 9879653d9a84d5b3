#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "port/posix/os_error.h"
#include "port/posix/stream_private.h"

struct listener {
    struct loop_part part;
    union {
        uv_handle_t any;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } handle;
    struct loop *loop;
    struct listener_options options;
    void (*on_accept)(void *context, struct stream *stream);
    void *context;
    char endpoint[ENDPOINT_TEXT_MAX];
    struct loop_timer resume; /* takes the waiting newcomer outside listener_resume */
    bool is_tcp;
    bool is_closed;
    bool is_paused;
    bool has_waiting; /* libuv holds one accepted descriptor and stops polling until it is taken */
};

static void listener_free(uv_handle_t *handle)
{
    free(handle->data);
}

static void listener_take(struct listener *listener)
{
    struct stream *stream;
    if (stream_make(listener->loop, listener->is_tcp, &stream) != ERR_OK) {
        /* No memory: keep the newcomer waiting in libuv; the next resume tries again. */
        listener->has_waiting = true;
        return;
    }
    listener->has_waiting = false;
    if (uv_accept(&listener->handle.stream, &stream->handle.stream) != 0) {
        stream_close(stream);
        return;
    }
    stream_set_nodelay(stream);
    if (listener->options.pending_bytes_max != 0)
        stream->pending_bytes_max = listener->options.pending_bytes_max;
    listener->on_accept(listener->context, stream);
}

static void listener_on_resume(void *context)
{
    struct listener *listener = context;
    if (listener->has_waiting && !listener->is_paused)
        listener_take(listener);
}

static void listener_on_connection(uv_stream_t *handle, int status)
{
    struct listener *listener = handle->data;
    if (status != 0 || listener->is_closed)
        return; /* out of descriptors, or the newcomer left again: libuv goes on listening */
    if (listener->is_paused)
        listener->has_waiting = true;
    else
        listener_take(listener);
}

/* The mode is given to the socket before bind, so that the file never stands with a wider one. */
static int unix_socket_bind(const char *path, uint32_t mode)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1); /* endpoint_parse checked the length */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (fchmod(fd, mode) == 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int code = -errno;
    close(fd);
    return code;
}

static bool unix_socket_is_live(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true;
    bool is_refused =
        connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 && errno == ECONNREFUSED;
    close(fd);
    return !is_refused;
}

static int listener_bind_unix(struct listener *listener, const char *path)
{
    uint32_t mode = listener->options.unix_mode != 0 ? listener->options.unix_mode : 0600;
    struct stat info;
    int fd = unix_socket_bind(path, mode);
    if (fd == -EADDRINUSE && lstat(path, &info) == 0 && S_ISSOCK(info.st_mode) &&
        !unix_socket_is_live(path)) {
        unlink(path);
        fd = unix_socket_bind(path, mode);
    }
    if (fd < 0)
        return fd;
    int code = uv_pipe_open(&listener->handle.pipe, fd);
    if (code != 0) {
        close(fd);
        unlink(path);
    }
    return code;
}

static int listener_bind_tcp(struct listener *listener, const char *host, uint16_t port)
{
    struct sockaddr_storage address;
    int code = uv_ip4_addr(host, port, (struct sockaddr_in *)&address);
    if (code != 0)
        code = uv_ip6_addr(host, port, (struct sockaddr_in6 *)&address);
    if (code != 0) { /* a name: its addresses now; listening starts before anything else runs */
        uv_getaddrinfo_t request;
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
        code = uv_getaddrinfo(&listener->loop->uv, &request, NULL, host, NULL, &hints);
        if (code != 0)
            return code;
        memcpy(&address, request.addrinfo->ai_addr, request.addrinfo->ai_addrlen);
        if (address.ss_family == AF_INET)
            ((struct sockaddr_in *)&address)->sin_port = htons(port);
        else
            ((struct sockaddr_in6 *)&address)->sin6_port = htons(port);
        uv_freeaddrinfo(request.addrinfo);
    }
    return uv_tcp_bind(&listener->handle.tcp, (struct sockaddr *)&address, 0);
}

static void listener_name(struct listener *listener, const char *endpoint)
{
    struct sockaddr_storage address = {0};
    int len = sizeof(address);
    if (listener->is_tcp &&
        uv_tcp_getsockname(&listener->handle.tcp, (struct sockaddr *)&address, &len) == 0)
        address_format(&address, listener->endpoint);
    else
        snprintf(listener->endpoint, sizeof(listener->endpoint), "%s", endpoint);
}

enum err listener_open(struct loop *loop, const char *endpoint,
                       const struct listener_options *options, struct fault *fault,
                       void (*on_accept)(void *context, struct stream *stream), void *context,
                       struct listener **out_listener)
{
    bool is_unix;
    char host[ENDPOINT_TEXT_MAX];
    uint16_t port;
    if (endpoint_parse(endpoint, &is_unix, host, &port) != ERR_OK)
        return fault_set(fault, ERR_INVALID, NULL,
                         "cannot listen on '%s'; give host:port, [v6]:port or unix:/path",
                         endpoint);
    struct listener *listener = calloc(1, sizeof(*listener));
    if (listener == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory to listen on %s", endpoint);
    listener->part.on_closed = listener_free;
    listener->loop = loop;
    loop_timer_init(&listener->resume, loop, listener_on_resume, listener);
    listener->is_tcp = !is_unix;
    listener->on_accept = on_accept;
    listener->context = context;
    if (options != NULL)
        listener->options = *options;
    int code = is_unix ? uv_pipe_init(&loop->uv, &listener->handle.pipe, 0)
                       : uv_tcp_init(&loop->uv, &listener->handle.tcp);
    ASSERT(code == 0);
    listener->handle.any.data = listener;
    code = is_unix ? listener_bind_unix(listener, host) : listener_bind_tcp(listener, host, port);
    uint32_t backlog =
        listener->options.backlog != 0 ? listener->options.backlog : LISTENER_BACKLOG_DEFAULT;
    if (code == 0)
        code = uv_listen(&listener->handle.stream, (int)backlog, listener_on_connection);
    if (code != 0) {
        listener->is_closed = true;
        uv_close(&listener->handle.any, listener_free);
        return os_fault(fault, code, "cannot listen on", endpoint);
    }
    listener_name(listener, endpoint);
    *out_listener = listener;
    return ERR_OK;
}

void listener_pause(struct listener *listener)
{
    listener->is_paused = true;
}

void listener_resume(struct listener *listener)
{
    listener->is_paused = false;
    if (listener->has_waiting)
        loop_timer_set(&listener->resume, SPAN_MS(0));
}

void listener_endpoint(const struct listener *listener, char out_text[ENDPOINT_TEXT_MAX])
{
    memcpy(out_text, listener->endpoint, ENDPOINT_TEXT_MAX);
}

void listener_close(struct listener *listener)
{
    if (listener == NULL)
        return;
    ASSERT(!listener->is_closed);
    listener->is_closed = true;
    loop_timer_stop(&listener->resume);
    if (!listener->is_tcp)
        unlink(listener->endpoint + strlen("unix:"));
    uv_close(&listener->handle.any, listener_free);
}
