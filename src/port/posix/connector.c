/* Connecting: look the name up (in libuv's pool), then try its addresses in turn. Every step ends
 * in connector_next or connector_finish, and both run from callbacks only.
 *
 *   start ──(name)──▶ looking up ──▶ next ──▶ connecting ──ok──▶ finish
 *     └──(address)─▶ (timer) ───────▶ ▲  └──── refused ────┘ */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "port/posix/os_error.h"
#include "port/posix/stream_private.h"

struct connector {
    struct loop *loop;
    struct boot_ns deadline;
    struct loop_timer timer;
    void (*on_connect)(void *context, enum err code, struct stream *stream);
    void *context;
    uv_getaddrinfo_t lookup;
    struct sockaddr_storage addresses[CONNECTOR_ADDRESSES_MAX];
    size_t address_count;
    size_t address_next;
    struct stream *stream; /* the attempt under way */
    enum err last_error;
    char path[ENDPOINT_TEXT_MAX]; /* unix socket; else empty */
    uint16_t port;
    bool is_looking_up;
    bool is_over; /* told or cancelled; lives on only for a look-up that cannot be stopped */
};

/* A connect request outlives the connector when its attempt is abandoned, so it has memory of its
 * own. */
struct connect_job {
    uv_connect_t request;
    struct connector *connector; /* NULL: abandoned */
};

static void connector_next(struct connector *connector);

static void connector_abandon_attempt(struct connector *connector)
{
    if (connector->stream == NULL)
        return;
    struct connect_job *job = connector->stream->context;
    if (job != NULL)
        job->connector = NULL;
    stream_close(connector->stream);
    connector->stream = NULL;
}

static void connector_free_if_idle(struct connector *connector)
{
    if (connector->is_over && !connector->is_looking_up)
        free(connector);
}

static void connector_finish(struct connector *connector, enum err code)
{
    struct stream *stream = NULL;
    ASSERT(!connector->is_over);
    loop_timer_stop(&connector->timer);
    if (code == ERR_OK) {
        stream = connector->stream;
        stream->context = NULL;
        connector->stream = NULL;
    }
    connector_abandon_attempt(connector);
    connector->is_over = true;
    if (connector->is_looking_up)
        uv_cancel((uv_req_t *)&connector->lookup);
    connector->on_connect(connector->context, code, stream);
    connector_free_if_idle(connector);
}

static void connector_on_connected(uv_connect_t *request, int status)
{
    struct connect_job *job = request->data;
    struct connector *connector = job->connector;
    free(job);
    if (connector == NULL)
        return;
    connector->stream->context = NULL;
    if (status == 0) {
        stream_set_nodelay(connector->stream);
        connector_finish(connector, ERR_OK);
        return;
    }
    connector->last_error = os_error(status);
    connector_abandon_attempt(connector);
    connector_next(connector);
}

static enum err connector_attempt(struct connector *connector,
                                  const struct sockaddr_storage *address)
{
    struct connect_job *job = calloc(1, sizeof(*job));
    if (job == NULL)
        return ERR_NO_MEMORY;
    enum err code = stream_make(connector->loop, address != NULL, &connector->stream);
    if (code != ERR_OK) {
        free(job);
        return code;
    }
    job->connector = connector;
    job->request.data = job;
    if (address == NULL) {
        uv_pipe_connect(&job->request, &connector->stream->handle.pipe, connector->path,
                        connector_on_connected);
    } else {
        int started = uv_tcp_connect(&job->request, &connector->stream->handle.tcp,
                                     (const struct sockaddr *)address, connector_on_connected);
        if (started != 0) {
            free(job);
            stream_close(connector->stream);
            connector->stream = NULL;
            return os_error(started);
        }
    }
    connector->stream->context = job;
    return ERR_OK;
}

/* Each address gets an equal part of the time that is left. */
static void connector_next(struct connector *connector)
{
    while (connector->address_next < connector->address_count) {
        size_t left = connector->address_count - connector->address_next;
        int64_t left_ns = connector->deadline.ns - loop_boot().ns;
        if (left_ns <= 0) {
            connector->last_error = ERR_TIMEOUT;
            break;
        }
        const struct sockaddr_storage *address =
            connector->path[0] != '\0' ? NULL : &connector->addresses[connector->address_next];
        connector->address_next++;
        connector->last_error = connector_attempt(connector, address);
        if (connector->last_error == ERR_OK) {
            loop_timer_set(&connector->timer, SPAN_MS(left_ns / 1000000 / (int64_t)left + 1));
            return;
        }
    }
    connector_finish(connector, connector->last_error);
}

static void connector_on_timer(void *context)
{
    struct connector *connector = context;
    if (connector->is_looking_up) {
        connector_finish(connector, ERR_TIMEOUT);
        return;
    }
    if (connector->stream != NULL) {
        connector->last_error = ERR_TIMEOUT;
        connector_abandon_attempt(connector);
    }
    connector_next(connector);
}

static void connector_on_lookup(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct connector *connector = request->data;
    connector->is_looking_up = false;
    if (connector->is_over) {
        uv_freeaddrinfo(found);
        free(connector);
        return;
    }
    for (struct addrinfo *at = found;
         at != NULL && connector->address_count < CONNECTOR_ADDRESSES_MAX; at = at->ai_next) {
        struct sockaddr_storage *address = &connector->addresses[connector->address_count];
        memcpy(address, at->ai_addr, at->ai_addrlen);
        if (address->ss_family == AF_INET)
            ((struct sockaddr_in *)address)->sin_port = htons(connector->port);
        else if (address->ss_family == AF_INET6)
            ((struct sockaddr_in6 *)address)->sin6_port = htons(connector->port);
        else
            continue;
        connector->address_count++;
    }
    uv_freeaddrinfo(found);
    connector->last_error = status != 0 ? os_error(status) : ERR_NOT_FOUND;
    connector_next(connector);
}

/* Addresses need no look-up; the first attempt then starts from the timer, so that on_connect never
 * comes inside connector_start. */
static enum err connector_begin(struct connector *connector, const char *host, uint16_t port)
{
    struct sockaddr_storage *first = &connector->addresses[0];
    if (connector->path[0] != '\0' || uv_ip4_addr(host, port, (struct sockaddr_in *)first) == 0 ||
        uv_ip6_addr(host, port, (struct sockaddr_in6 *)first) == 0) {
        connector->address_count = 1;
        loop_timer_set(&connector->timer, SPAN_MS(0));
        return ERR_OK;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    connector->lookup.data = connector;
    connector->port = port;
    int code = uv_getaddrinfo(&connector->loop->uv, &connector->lookup, connector_on_lookup, host,
                              NULL, &hints);
    if (code != 0)
        return os_error(code);
    connector->is_looking_up = true;
    loop_timer_set_at(&connector->timer, connector->deadline);
    return ERR_OK;
}

enum err connector_start(struct loop *loop, const char *endpoint, struct span_ms within,
                         void (*on_connect)(void *context, enum err code, struct stream *stream),
                         void *context, struct connector **out_connector)
{
    bool is_unix;
    char host[ENDPOINT_TEXT_MAX];
    uint16_t port;
    enum err code = endpoint_parse(endpoint, &is_unix, host, &port);
    if (code != ERR_OK)
        return code;
    struct connector *connector = calloc(1, sizeof(*connector));
    if (connector == NULL)
        return ERR_NO_MEMORY;
    connector->loop = loop;
    connector->deadline = boot_add(loop_boot(), within);
    connector->on_connect = on_connect;
    connector->context = context;
    connector->last_error = ERR_NOT_FOUND;
    loop_timer_init(&connector->timer, loop, connector_on_timer, connector);
    if (is_unix)
        memcpy(connector->path, host, sizeof(host));
    code = connector_begin(connector, host, port);
    if (code != ERR_OK) {
        free(connector);
        return code;
    }
    *out_connector = connector;
    return ERR_OK;
}

void connector_cancel(struct connector *connector)
{
    if (connector == NULL)
        return;
    ASSERT(!connector->is_over);
    loop_timer_stop(&connector->timer);
    connector_abandon_attempt(connector);
    connector->is_over = true;
    if (connector->is_looking_up)
        uv_cancel((uv_req_t *)&connector->lookup);
    connector_free_if_idle(connector);
}
