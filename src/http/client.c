#include "http/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "http/client_private.h"

static const struct http_client_limits CLIENT_LIMITS_DEFAULT = {
    .connections_max = 64, .calls_max = 4096, .idle_max = 16, .idle_life = {60000}};

enum { CONNECT_MS = 10000, FIRST_BYTE_MS = 30000, STALL_MS = 30000 };
#define RESPONSE_BYTES_MAX ((uint64_t)16 << 20)

/* ---- deadlines of a call: one timer, moved only when the deadline comes nearer ---- */

void call_no_deadline(struct http_call *call)
{
    call->deadline = BOOT_NEVER;
}

void call_deadline(struct http_call *call, struct span_ms within)
{
    if (within.ms < 0 || call->is_paused) {
        call->deadline = BOOT_NEVER;
        return;
    }
    call->deadline = boot_add(loop_now(call->client->loop).boot, within);
    if (!loop_timer_is_set(&call->timer) || boot_is_before(call->deadline, call->timer.due))
        loop_timer_set_at(&call->timer, call->deadline);
}

static void call_on_timer(void *context)
{
    struct http_call *call = context;
    struct http_link *link = call->link;
    if (boot_is_before(loop_now(call->client->loop).boot, call->deadline)) {
        if (call->deadline.ns != BOOT_NEVER.ns)
            loop_timer_set_at(&call->timer, call->deadline);
        return;
    }
    if (link != NULL && link->phase == LINK_BUSY && call->response_head == NULL) {
        size_t pending = stream_pending(link->stream);
        uint64_t moved_bytes = link->queued_bytes - pending;
        if (pending > 0 && moved_bytes > call->moved_bytes_mark) {
            call->moved_bytes_mark = moved_bytes; /* slow, but it moves */
            call_deadline(call, call->stall_max);
            return;
        }
    }
    if (link != NULL) {
        http_link_kill(link, ERR_TIMEOUT,
                       link->phase == LINK_BUSY ? "no answer within the time allowed"
                                                : "no connection within the time allowed");
        return;
    }
    struct fault fault;
    (void)fault_set(&fault, ERR_TIMEOUT, NULL, "%s: all connections are busy",
                    call->origin->endpoint);
    call_done(call, ERR_TIMEOUT, &fault);
}

/* ---- lists ---- */

static void call_unqueue(struct http_call *call)
{
    struct http_origin *origin = call->origin;
    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        origin->queue_first = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    else
        origin->queue_last = call->prev;
    call->next = call->prev = NULL;
}

static void call_queue_last(struct http_call *call)
{
    struct http_origin *origin = call->origin;
    call->prev = origin->queue_last;
    if (call->prev != NULL)
        call->prev->next = call;
    else
        origin->queue_first = call;
    origin->queue_last = call;
}

void call_queue_first(struct http_call *call)
{
    struct http_origin *origin = call->origin;
    call->next = origin->queue_first;
    if (call->next != NULL)
        call->next->prev = call;
    else
        origin->queue_last = call;
    origin->queue_first = call;
    call_deadline(call, SPAN_MS(call->connect_max.ms + call->first_byte_max.ms));
}

void call_bind(struct http_call *call, struct http_link *link)
{
    struct http_client *client = call->client;
    ASSERT(call->link == NULL && link->call == NULL);
    call_unqueue(call);
    call->link = link;
    link->call = call;
    call->next = client->bound;
    if (call->next != NULL)
        call->next->prev = call;
    client->bound = call;
}

void call_unbind(struct http_call *call)
{
    struct http_client *client = call->client;
    ASSERT(call->link != NULL && call->link->call == call);
    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        client->bound = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    call->next = call->prev = NULL;
    call->link->call = NULL;
    call->link = NULL;
}

/* ---- ends ---- */

static void call_free(struct http_call *call)
{
    loop_timer_stop(&call->timer);
    call->client->call_count--;
    buffer_deinit(&call->head);
    buffer_deinit(&call->body);
    buffer_deinit(&call->response);
    free(call);
}

void call_done(struct http_call *call, enum err code, const struct fault *fault)
{
    ASSERT(call->link == NULL);
    if (call->prev != NULL || call->next != NULL || call->origin->queue_first == call)
        call_unqueue(call);
    loop_timer_stop(&call->timer);
    call->is_over = true;
    call->events->on_done(call->context, call, code, call->response_head,
                          buffer_slice(&call->response), fault);
    call_free(call);
}

void http_call_cancel(struct http_call *call)
{
    struct http_link *link = call->link;
    if (call->is_over)
        return;
    if (link != NULL) {
        call_unbind(call);
        http_link_kill(link, ERR_CANCELLED, "the call was cancelled");
    } else {
        call_unqueue(call);
    }
    call_free(call);
}

/* ---- origins ---- */

static void origin_free(struct http_origin *origin)
{
    struct http_client *client = origin->client;
    struct http_origin **at = &client->origins;
    while (*at != origin)
        at = &(*at)->next;
    *at = origin->next;
    client->origin_count--;
    tls_context_release(origin->tls);
    free(origin);
}

static struct http_link *origin_idle_link(struct http_origin *origin)
{
    if (origin->idle_count == 0)
        return NULL;
    for (struct http_link *link = origin->links; link != NULL; link = link->next)
        if (link->phase == LINK_IDLE)
            return link;
    return NULL;
}

/* Calls in the queue get idle links, then new ones up to the limit. A failure to open is the call's
 * failure. */
void origin_dispatch(struct http_origin *origin)
{
    struct http_client *client = origin->client;
    while (origin->queue_first != NULL) {
        struct http_call *call = origin->queue_first;
        struct http_link *link = call->is_retried ? NULL : origin_idle_link(origin);
        if (link != NULL) {
            http_link_take_call(link, call);
            continue;
        }
        if (origin->link_count >= client->limits.connections_max ||
            http_link_open(origin, call) != ERR_OK)
            break; /* the next link that ends, or the call's deadline, comes back here */
    }
}

static struct http_origin *origin_find(struct http_client *client,
                                       const struct http_client_request *request)
{
    for (struct http_origin *at = client->origins; at != NULL; at = at->next)
        if (at->tls == request->tls && strcmp(at->endpoint, request->endpoint) == 0)
            return at;
    return NULL;
}

static void client_drop_unused_origins(struct http_client *client)
{
    struct http_origin *next;
    for (struct http_origin *at = client->origins; at != NULL; at = next) {
        next = at->next;
        if (at->links == NULL && at->queue_first == NULL)
            origin_free(at);
    }
}

static enum err origin_get(struct http_client *client, const struct http_client_request *request,
                           struct fault *fault, struct http_origin **out_origin)
{
    bool is_unix;
    uint16_t port;
    char host[ENDPOINT_TEXT_MAX];
    *out_origin = origin_find(client, request);
    if (*out_origin != NULL)
        return ERR_OK;
    size_t len = request->endpoint != NULL ? strlen(request->endpoint) : 0;
    if (len == 0 || len >= ENDPOINT_TEXT_MAX ||
        endpoint_parse(request->endpoint, &is_unix, host, &port) != ERR_OK)
        return fault_set(fault, ERR_INVALID, "endpoint",
                         "'%s' is no endpoint; give host:port or unix:/path",
                         request->endpoint != NULL ? request->endpoint : "");
    if (client->origin_count >= CLIENT_ORIGINS_MAX)
        client_drop_unused_origins(client);
    if (client->origin_count >= CLIENT_ORIGINS_MAX)
        return fault_set(fault, ERR_BUSY, NULL, "too many different servers at a time");
    struct http_origin *origin = calloc(1, sizeof(*origin));
    if (origin == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for a request");
    origin->client = client;
    memcpy(origin->endpoint, request->endpoint, len + 1);
    if (is_unix)
        (void)snprintf(origin->host, sizeof(origin->host), "localhost");
    else
        memcpy(origin->host, host, sizeof(host));
    origin->tls = request->tls != NULL ? tls_context_hold(request->tls) : NULL;
    origin->next = client->origins;
    client->origins = origin;
    client->origin_count++;
    *out_origin = origin;
    return ERR_OK;
}

/* ---- making a call ---- */

static enum http1_method method_of(const char *name)
{
    for (int method = HTTP1_GET; method < HTTP1_METHOD_OTHER; method++)
        if (strcmp(http1_method_name((enum http1_method)method), name) == 0)
            return (enum http1_method)method;
    return HTTP1_METHOD_OTHER;
}

static void write_host(struct buffer *out, const struct http_origin *origin, const char *given)
{
    bool is_unix = strncmp(origin->endpoint, "unix:", 5) == 0;
    const char *host = given != NULL ? given : is_unix ? "localhost" : origin->endpoint;
    buffer_append_text(out, "host: ");
    buffer_append_text(out, host);
    buffer_append_text(out, "\r\n");
}

static enum err call_write_head(struct http_call *call, const struct http_client_request *request)
{
    struct buffer *out = &call->head;
    if (request->host != NULL && !http1_is_value(slice_of(request->host)))
        return ERR_INVALID;
    enum err code =
        http1_write_request_line(out, slice_of(request->method), slice_of(request->target));
    write_host(out, call->origin, request->host);
    for (size_t i = 0; code == ERR_OK && i < request->header_count; i++)
        code = http1_write_header(out, request->headers[i].name, request->headers[i].value);
    if (code != ERR_OK)
        return code;
    bool has_body_by_nature =
        call->method == HTTP1_POST || call->method == HTTP1_PUT || call->method == HTTP1_PATCH;
    if (call->has_streamed_body && call->streamed_body_bytes < 0)
        buffer_append_text(out, "transfer-encoding: chunked\r\n");
    else if (call->has_streamed_body)
        http1_write_header_u64(out, "content-length", (uint64_t)call->streamed_body_bytes);
    else if (request->body.len > 0 || has_body_by_nature)
        http1_write_header_u64(out, "content-length", request->body.len);
    http1_write_head_end(out);
    if (!call->has_streamed_body)
        buffer_append(request->body.len <= CLIENT_JOIN_BYTES_MAX ? out : &call->body,
                      request->body);
    code = buffer_status(out);
    return code != ERR_OK ? code : buffer_status(&call->body);
}

static struct span_ms span_or(struct span_ms given, int64_t fallback_ms)
{
    return given.ms != 0 ? given : SPAN_MS(fallback_ms);
}

static enum err call_make(struct http_origin *origin, const struct http_client_request *request,
                          struct fault *fault, struct http_call **out_call)
{
    struct http_call *call = calloc(1, sizeof(*call));
    if (call == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for a request");
    call->client = origin->client;
    call->origin = origin;
    call->method = method_of(request->method);
    call->is_idempotent = call->method != HTTP1_POST && call->method != HTTP1_PATCH &&
                          call->method != HTTP1_METHOD_OTHER;
    call->has_streamed_body = request->has_streamed_body;
    call->streamed_body_bytes = request->streamed_body_bytes;
    call->is_response_streamed = request->is_response_streamed;
    call->response_bytes_max = request->response_bytes_max;
    if (call->response_bytes_max == 0 && !call->is_response_streamed)
        call->response_bytes_max = RESPONSE_BYTES_MAX;
    call->connect_max = span_or(request->connect_max, CONNECT_MS);
    call->first_byte_max = span_or(request->first_byte_max, FIRST_BYTE_MS);
    call->stall_max = span_or(request->stall_max, STALL_MS);
    call->deadline = BOOT_NEVER;
    buffer_init(&call->head, CLIENT_REQUEST_BYTES_MAX);
    buffer_init(&call->body, CLIENT_REQUEST_BYTES_MAX);
    buffer_init(&call->response,
                call->response_bytes_max < SIZE_MAX ? (size_t)call->response_bytes_max : SIZE_MAX);
    loop_timer_init(&call->timer, origin->client->loop, call_on_timer, call);
    origin->client->call_count++;
    enum err code = call_write_head(call, request);
    if (code != ERR_OK) {
        call_free(call);
        return fault_set(fault, code, NULL,
                         code == ERR_INVALID
                             ? "the method, target or a header holds characters that HTTP forbids"
                             : "the request is too long or memory is out");
    }
    *out_call = call;
    return ERR_OK;
}

enum err http_client_send(struct http_client *client, const struct http_client_request *request,
                          const struct http_call_events *events, void *context, struct fault *fault,
                          struct http_call **out_call)
{
    struct http_origin *origin = NULL;
    struct http_call *call = NULL;
    ASSERT(events->on_done != NULL && request->method != NULL && request->target != NULL);
    if (client->call_count >= client->limits.calls_max)
        return fault_set(fault, ERR_BUSY, NULL, "too many requests are under way");
    enum err code = origin_get(client, request, fault, &origin);
    if (code == ERR_OK)
        code = call_make(origin, request, fault, &call);
    if (code != ERR_OK)
        return code;
    call->events = events;
    call->context = context;
    call_queue_last(call);
    call_deadline(call, SPAN_MS(call->connect_max.ms + call->first_byte_max.ms));
    origin_dispatch(origin);
    if (out_call != NULL)
        *out_call = call;
    return ERR_OK;
}

/* ---- streamed requests and answers ---- */

enum err http_call_write(struct http_call *call, struct slice bytes)
{
    struct http_link *link = call->link;
    ASSERT(call->has_streamed_body && !call->is_request_sent);
    if (link == NULL || link->phase != LINK_BUSY)
        return call->is_over || (link != NULL && link->phase == LINK_DEAD) ? ERR_CLOSED : ERR_BUSY;
    if (link->is_write_dead)
        return ERR_CLOSED;
    if (stream_pending(link->stream) >= CLIENT_PENDING_BYTES_MAX)
        return ERR_BUSY;
    if (call->streamed_body_bytes >= 0 &&
        call->written_bytes + bytes.len > (uint64_t)call->streamed_body_bytes)
        return ERR_LIMIT;
    if (bytes.len == 0)
        return ERR_OK;
    call->written_bytes += bytes.len;
    char line[HTTP1_CHUNK_LINE_MAX];
    struct slice pieces[3] = {{NULL, 0}, bytes, {NULL, 0}};
    if (call->streamed_body_bytes < 0) {
        pieces[0] = slice_make(line, http1_chunk_line(bytes.len, line));
        pieces[2] = HTTP1_CHUNK_END;
    }
    http_link_send(link, pieces, 3);
    http_link_after_send(link);
    return link->phase == LINK_DEAD || link->is_write_dead ? ERR_CLOSED : ERR_OK;
}

void http_call_finish(struct http_call *call)
{
    struct http_link *link = call->link;
    ASSERT(call->has_streamed_body && !call->is_request_sent);
    call->is_request_sent = true;
    if (link == NULL || link->phase != LINK_BUSY)
        return;
    if (call->streamed_body_bytes < 0)
        http_link_send(link, &HTTP1_BODY_END, 1);
    else if (call->written_bytes < (uint64_t)call->streamed_body_bytes)
        http_link_kill(link, ERR_CANCELLED, "the request's body was cut short by its sender");
    http_link_after_send(link);
}

void http_call_read_stop(struct http_call *call)
{
    call->is_paused = true;
    call->deadline = BOOT_NEVER; /* the wait is the caller's */
}

void http_call_read_start(struct http_call *call)
{
    if (!call->is_paused)
        return;
    call->is_paused = false;
    if (call->response_head != NULL)
        call_deadline(call, call->stall_max);
    if (call->link != NULL)
        http_link_sweep_soon(call->link);
}

enum err http_call_peer_certificate(const struct http_call *call, struct tls_peer *out_peer)
{
    if (call->link == NULL || call->link->tls == NULL)
        return ERR_NOT_FOUND;
    return tls_session_peer(call->link->tls, out_peer);
}

/* ---- the client ---- */

static void client_sweep(struct http_client *client)
{
    struct http_link *link = client->sweep_first;
    client->sweep_first = client->sweep_last = NULL;
    while (link != NULL) {
        struct http_link *next = link->sweep_next;
        link->is_swept = false;
        link->sweep_next = NULL;
        http_link_swept(link);
        link = next;
    }
}

static void client_on_sweep(void *context)
{
    client_sweep(context);
}

enum err http_client_create(struct loop *loop, const struct http_client_limits *limits,
                            struct http_client **out_client)
{
    struct http_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return ERR_NO_MEMORY;
    const struct http_client_limits *fallback = &CLIENT_LIMITS_DEFAULT;
    client->loop = loop;
    client->limits = limits != NULL ? *limits : *fallback;
    if (client->limits.connections_max == 0)
        client->limits.connections_max = fallback->connections_max;
    if (client->limits.calls_max == 0)
        client->limits.calls_max = fallback->calls_max;
    if (client->limits.idle_max == 0)
        client->limits.idle_max = fallback->idle_max;
    client->limits.idle_life = span_or(client->limits.idle_life, fallback->idle_life.ms);
    buffer_init(&client->ciphertext, CLIENT_SCRATCH_BYTES_MAX);
    loop_timer_init(&client->sweep, loop, client_on_sweep, client);
    *out_client = client;
    return ERR_OK;
}

void http_client_drop_idle(struct http_client *client)
{
    for (struct http_origin *at = client->origins; at != NULL; at = at->next)
        for (struct http_link *link = at->links; link != NULL; link = link->next)
            if (link->phase == LINK_IDLE)
                http_link_kill(link, ERR_CLOSED, "dropped");
}

void http_client_destroy(struct http_client *client)
{
    if (client == NULL)
        return;
    for (struct http_origin *at = client->origins; at != NULL; at = at->next)
        while (at->queue_first != NULL)
            http_call_cancel(at->queue_first);
    while (client->bound != NULL)
        http_call_cancel(client->bound);
    for (struct http_origin *at = client->origins; at != NULL; at = at->next)
        for (struct http_link *link = at->links; link != NULL; link = link->next)
            http_link_kill(link, ERR_CLOSED, "the client is closed");
    while (client->sweep_first != NULL)
        client_sweep(client);
    client_drop_unused_origins(client);
    ASSERT(client->origins == NULL && client->call_count == 0);
    loop_timer_stop(&client->sweep);
    buffer_deinit(&client->ciphertext);
    free(client);
}
