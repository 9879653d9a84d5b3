#include "http/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "http/server_private.h"
#include "port/process.h"

static const struct http_server_limits LIMITS_DEFAULT = {
    .connections_max = 12000,
    .head_bytes_max = 32 * 1024,
    .target_bytes_max = 8 * 1024,
    .headers_max = 100,
    .body_bytes_max = 1 << 20,
    .write_bytes_max = 1 << 20,
    .arena_bytes_max = 4 << 20,
    .requests_max = 0,
    .handshake_max = {10000},
    .head_max = {10000},
    .body_stall_max = {20000},
    .idle_max = {75000},
    .write_stall_max = {30000},
};

static uint32_t or_default(uint32_t given, uint32_t fallback)
{
    return given != 0 ? given : fallback;
}

static struct span_ms span_or_default(struct span_ms given, struct span_ms fallback)
{
    return given.ms != 0 ? given : fallback;
}

static struct http_server_limits limits_complete(const struct http_server_limits *given)
{
    const struct http_server_limits *fallback = &LIMITS_DEFAULT;
    if (given == NULL)
        given = fallback;
    struct http_server_limits limits = {
        .connections_max = or_default(given->connections_max, fallback->connections_max),
        .head_bytes_max = or_default(given->head_bytes_max, fallback->head_bytes_max),
        .target_bytes_max = or_default(given->target_bytes_max, fallback->target_bytes_max),
        .headers_max = or_default(given->headers_max, fallback->headers_max),
        .body_bytes_max =
            given->body_bytes_max != 0 ? given->body_bytes_max : fallback->body_bytes_max,
        .write_bytes_max = or_default(given->write_bytes_max, fallback->write_bytes_max),
        .arena_bytes_max = or_default(given->arena_bytes_max, fallback->arena_bytes_max),
        .requests_max = given->requests_max,
        .handshake_max = span_or_default(given->handshake_max, fallback->handshake_max),
        .head_max = span_or_default(given->head_max, fallback->head_max),
        .body_stall_max = span_or_default(given->body_stall_max, fallback->body_stall_max),
        .idle_max = span_or_default(given->idle_max, fallback->idle_max),
        .write_stall_max = span_or_default(given->write_stall_max, fallback->write_stall_max),
    };
    uint64_t descriptors = process_descriptors_max();
    uint64_t affordable = descriptors > 2 * SERVER_DESCRIPTORS_SPARE
                              ? descriptors - SERVER_DESCRIPTORS_SPARE
                              : descriptors / 2;
    if (limits.connections_max > affordable)
        limits.connections_max = (uint32_t)affordable;
    return limits;
}

void server_touch(struct http_server *server)
{
    server->now = loop_now(server->loop);
}

void server_sweep_soon(struct http_server *server)
{
    if (!loop_timer_is_set(&server->sweep))
        loop_timer_set(&server->sweep, SPAN_MS(0));
}

static void server_sweep(struct http_server *server)
{
    struct http_connection *connection = server->sweep_first;
    server->sweep_first = server->sweep_last = NULL;
    while (connection != NULL) {
        struct http_connection *next = connection->sweep_next;
        connection->is_swept = false;
        connection->sweep_next = NULL;
        connection_swept(connection); /* may free it */
        connection = next;
    }
}

static void server_tell_drained(struct http_server *server)
{
    void (*on_drained)(void *context) = server->on_drained;
    if (!server->is_draining || on_drained == NULL || server->counts.connections_now > 0 ||
        server->counts.requests_now > 0)
        return;
    server->on_drained = NULL;
    loop_timer_stop(&server->drain);
    on_drained(server->drained_context);
}

static void server_on_sweep(void *context)
{
    struct http_server *server = context;
    server_touch(server);
    server_sweep(server);
    server_tell_drained(server); /* last: it may destroy nothing, but the owner may be done */
}

static void server_on_drain_over(void *context)
{
    struct http_server *server = context;
    server_touch(server);
    while (server->waiting != NULL)
        connection_kill(server->waiting, ERR_CLOSED);
    while (server->busy != NULL)
        connection_kill(server->busy, ERR_CLOSED);
    server_sweep_soon(server);
}

enum err http_server_create(struct loop *loop, const struct http_server_limits *limits,
                            void (*on_request)(void *context, struct http_exchange *exchange),
                            void *context, struct http_server **out_server)
{
    ASSERT(on_request != NULL);
    struct http_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return ERR_NO_MEMORY;
    server->loop = loop;
    server->limits = limits_complete(limits);
    ASSERT(server->limits.head_bytes_max <= HTTP1_HEAD_BYTES_MAX &&
           server->limits.headers_max <= HTTP1_HEADERS_MAX);
    server->on_request = on_request;
    server->context = context;
    buffer_init(&server->scratch, SERVER_SCRATCH_BYTES_MAX);
    buffer_init(&server->ciphertext, SERVER_SCRATCH_BYTES_MAX);
    loop_timer_init(&server->sweep, loop, server_on_sweep, server);
    loop_timer_init(&server->drain, loop, server_on_drain_over, server);
    *out_server = server;
    return ERR_OK;
}

static void server_on_accept(void *context, struct stream *stream)
{
    connection_accept(context, stream);
}

enum err http_server_listen(struct http_server *server, const char *endpoint,
                            const struct listener_options *options, struct tls_context *tls,
                            struct fault *fault)
{
    if (server->listener_count == SERVER_LISTENERS_MAX)
        return fault_set(fault, ERR_LIMIT, NULL, "a server listens on at most %d endpoints",
                         SERVER_LISTENERS_MAX);
    struct http_server_listener *listener = &server->listeners[server->listener_count];
    *listener = (struct http_server_listener){.server = server, .index = server->listener_count};
    enum err code = listener_open(server->loop, endpoint, options, fault, server_on_accept,
                                  listener, &listener->listener);
    if (code != ERR_OK)
        return code;
    listener->tls = tls != NULL ? tls_context_hold(tls) : NULL;
    server->listener_count++;
    return ERR_OK;
}

enum err http_server_endpoint(const struct http_server *server, size_t index,
                              char out_text[ENDPOINT_TEXT_MAX])
{
    if (index >= server->listener_count || server->listeners[index].listener == NULL)
        return ERR_NOT_FOUND;
    listener_endpoint(server->listeners[index].listener, out_text);
    return ERR_OK;
}

void http_server_counts(const struct http_server *server, struct http_server_counts *out_counts)
{
    *out_counts = server->counts;
}

static void server_close_listeners(struct http_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        listener_close(server->listeners[i].listener);
        tls_context_release(server->listeners[i].tls);
        server->listeners[i].listener = NULL;
        server->listeners[i].tls = NULL;
    }
}

void http_server_drain(struct http_server *server, struct span_ms within,
                       void (*on_drained)(void *context), void *context)
{
    ASSERT(!server->is_draining);
    server->is_draining = true;
    server->on_drained = on_drained;
    server->drained_context = context;
    server_touch(server);
    server_close_listeners(server);
    struct http_connection *next;
    for (struct http_connection *at = server->waiting; at != NULL; at = next) {
        next = at->next;
        if (at->phase == PHASE_HEAD && !at->is_head_begun)
            connection_linger(at);
        else if (at->phase == PHASE_HANDSHAKE)
            connection_kill(at, ERR_CLOSED);
    }
    loop_timer_set(&server->drain, within);
    server_sweep_soon(server);
}

bool http_server_is_draining(const struct http_server *server)
{
    return server->is_draining;
}

void http_server_destroy(struct http_server *server)
{
    if (server == NULL)
        return;
    server->is_destroyed = true;
    server_touch(server);
    server_close_listeners(server);
    while (server->waiting != NULL)
        connection_kill(server->waiting, ERR_CLOSED);
    while (server->busy != NULL)
        connection_kill(server->busy, ERR_CLOSED);
    while (server->sweep_first != NULL)
        server_sweep(server);
    while (server->dead != NULL) { /* exchanges that nobody listens to and nobody answered */
        struct http_connection *connection = server->dead;
        if (connection->exchange.is_active)
            exchange_end(&connection->exchange, ERR_CLOSED);
        connection_free(connection);
    }
    loop_timer_stop(&server->sweep);
    loop_timer_stop(&server->drain);
    buffer_deinit(&server->scratch);
    buffer_deinit(&server->ciphertext);
    free(server);
}
