/* One connection of the client. The picture is in client_private.h. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "http/client_private.h"

static struct http_client *link_client(const struct http_link *link)
{
    return link->origin->client;
}

/* ---- ends ---- */

void http_link_sweep_soon(struct http_link *link)
{
    struct http_client *client = link_client(link);
    if (link->is_swept)
        return;
    link->is_swept = true;
    link->sweep_next = NULL;
    if (client->sweep_last != NULL)
        client->sweep_last->sweep_next = link;
    else
        client->sweep_first = link;
    client->sweep_last = link;
    if (!loop_timer_is_set(&client->sweep))
        loop_timer_set(&client->sweep, SPAN_MS(0));
}

void http_link_kill(struct http_link *link, enum err why, const char *text)
{
    if (link->phase == LINK_DEAD)
        return;
    if (link->phase == LINK_IDLE)
        link->origin->idle_count--;
    link->phase = LINK_DEAD;
    link->fate = why;
    if (link->fault.code == ERR_OK)
        (void)fault_set(&link->fault, why, NULL, "%s: %s", link->origin->endpoint, text);
    loop_timer_stop(&link->idle_timer);
    connector_cancel(link->connector);
    link->connector = NULL;
    stream_close(link->stream);
    link->stream = NULL;
    http_link_sweep_soon(link);
}

void http_link_free(struct http_link *link)
{
    struct http_origin *origin = link->origin;
    ASSERT(link->phase == LINK_DEAD && link->call == NULL);
    if (link->prev != NULL)
        link->prev->next = link->next;
    else
        origin->links = link->next;
    if (link->next != NULL)
        link->next->prev = link->prev;
    origin->link_count--;
    tls_session_destroy(link->tls);
    http1_parser_destroy(link->parser);
    buffer_deinit(&link->inbox);
    free(link);
}

/* ---- bytes out ---- */

/* A failed write is not the end yet: the server may have said why before it closed, and reading
 * tells. */
static void link_stream_write(struct http_link *link, const struct slice *pieces, size_t count)
{
    if (link->is_write_dead)
        return;
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += pieces[i].len;
    enum err code = stream_write_pieces(link->stream, pieces, count);
    if (code == ERR_CLOSED || code == ERR_IO)
        link->is_write_dead = true;
    else if (code != ERR_OK)
        http_link_kill(link, code, err_name(code));
    else
        link->queued_bytes += len;
}

static void link_flush(struct http_link *link)
{
    struct buffer *out = &link_client(link)->ciphertext;
    struct slice bytes = buffer_slice(out);
    enum err code = buffer_status(out);
    if (code == ERR_OK && bytes.len > 0 && link->phase != LINK_DEAD)
        link_stream_write(link, &bytes, 1);
    buffer_reset(out);
    if (code != ERR_OK)
        http_link_kill(link, code, err_name(code));
}

void http_link_send(struct http_link *link, const struct slice *pieces, size_t count)
{
    if (link->tls == NULL) {
        link_stream_write(link, pieces, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct slice rest = pieces[i];
        while (rest.len > 0 && link->phase != LINK_DEAD && !link->is_write_dead) {
            size_t len = rest.len < CLIENT_TLS_SLICE_BYTES ? rest.len : CLIENT_TLS_SLICE_BYTES;
            enum err code = tls_session_write(link->tls, slice_make(rest.data, len));
            if (code == ERR_NO_MEMORY)
                http_link_kill(link, code, err_name(code));
            else if (code != ERR_OK)
                link->is_write_dead = true;
            link_flush(link);
            rest = slice_make(rest.data + len, rest.len - len);
        }
    }
}

/* What runs now that (part of) the request is out: how long the server may take it, or answer. */
void http_link_after_send(struct http_link *link)
{
    struct http_call *call = link->call;
    if (call == NULL || link->phase != LINK_BUSY || call->response_head != NULL)
        return;
    size_t pending = stream_pending(link->stream);
    if (pending > 0) {
        call->moved_bytes_mark = link->queued_bytes - pending;
        call_deadline(call, call->stall_max);
    } else if (call->is_request_sent) {
        call_deadline(call, call->first_byte_max);
    } else {
        call_no_deadline(call); /* the caller is to write more */
    }
}

void http_link_send_request(struct http_link *link)
{
    struct http_call *call = link->call;
    const struct slice pieces[] = {buffer_slice(&call->head), buffer_slice(&call->body)};
    http1_parser_expect(link->parser, call->method);
    link->has_response_byte = false;
    call->is_request_sent = !call->has_streamed_body;
    http_link_send(link, pieces, 2);
    if (call->has_streamed_body) {
        call->wants_drain = true;
        http_link_sweep_soon(link);
    }
    http_link_after_send(link);
}

void http_link_take_call(struct http_link *link, struct http_call *call)
{
    ASSERT(link->phase == LINK_IDLE && link->call == NULL);
    link->origin->idle_count--;
    loop_timer_stop(&link->idle_timer);
    link->phase = LINK_BUSY;
    call_bind(call, link);
    http_link_send_request(link);
}

/* ---- answers ---- */

static void link_go_idle(struct http_link *link)
{
    struct http_origin *origin = link->origin;
    link->phase = LINK_IDLE;
    origin->idle_count++;
    if (origin->idle_count > origin->client->limits.idle_max && origin->queue_first == NULL)
        http_link_kill(link, ERR_CLOSED, "enough idle connections");
    else
        loop_timer_set(&link->idle_timer, origin->client->limits.idle_life);
}

static void link_response_whole(struct http_link *link, bool is_reusable)
{
    struct http_call *call = link->call;
    struct http_origin *origin = link->origin;
    call_unbind(call);
    link->call_count++;
    if (is_reusable && call->is_request_sent && !link->is_write_dead && !link->is_peer_ended &&
        stream_pending(link->stream) == 0)
        link_go_idle(link);
    else
        http_link_kill(link, ERR_CLOSED, "the connection ended with the answer");
    call_done(call, ERR_OK, NULL);
    origin_dispatch(origin);
}

static void link_on_head(struct http_link *link, const struct http1_head *head)
{
    struct http_call *call = link->call;
    if (head->status < 200) {
        link->is_informational = head->status != 101;
        if (head->status == 101)
            http_link_kill(link, ERR_INVALID,
                           "the server switches protocols, which was not asked for");
        return;
    }
    call->response_head = head;
    if (!call->is_response_streamed && head->has_content_length &&
        head->content_length > call->response_bytes_max && head->has_body) {
        http_link_kill(link, ERR_LIMIT, "the answer is longer than the limit");
        return;
    }
    call_deadline(call, call->stall_max);
    if (call->events->on_head != NULL)
        call->events->on_head(call->context, call, head);
}

static void link_on_body(struct http_link *link, struct slice bytes)
{
    struct http_call *call = link->call;
    call->response_bytes += bytes.len;
    if (call->response_bytes_max != 0 && call->response_bytes > call->response_bytes_max) {
        http_link_kill(link, ERR_LIMIT, "the answer is longer than the limit");
        return;
    }
    call_deadline(call, call->stall_max);
    if (!call->is_response_streamed) {
        buffer_append(&call->response, bytes);
        enum err code = buffer_status(&call->response);
        if (code != ERR_OK)
            http_link_kill(link, code, err_name(code));
    } else if (call->events->on_bytes != NULL) {
        call->events->on_bytes(call->context, call, bytes);
    }
}

static void link_on_event(struct http_link *link, const struct http1_event *event, bool has_rest)
{
    switch (event->type) {
    case HTTP1_EVENT_NEED_MORE:
        break;
    case HTTP1_EVENT_HEAD:
        link_on_head(link, event->head);
        break;
    case HTTP1_EVENT_BODY:
        link_on_body(link, event->body);
        break;
    case HTTP1_EVENT_END:
        if (link->is_informational)
            link->is_informational = false;
        else
            link_response_whole(link, link->call->response_head->is_kept_alive && !has_rest);
        break;
    }
}

static bool link_can_parse(const struct http_link *link)
{
    return link->phase == LINK_BUSY && link->call != NULL && !link->call->is_paused;
}

/* Hands out what `rest` holds, as far as the call takes it. */
static void link_parse(struct http_link *link, struct slice *rest)
{
    struct http1_event event = {.type = HTTP1_EVENT_BODY};
    link->is_parsing = true;
    while (event.type != HTTP1_EVENT_NEED_MORE && link_can_parse(link)) {
        size_t used = 0;
        struct fault fault = {.code = ERR_OK};
        enum err code = http1_parse(link->parser, *rest, &used, &event, &fault);
        if (used > 0)
            *rest = slice_make(rest->data + used, rest->len - used);
        if (code != ERR_OK) {
            http_link_kill(link, code == ERR_LIMIT ? ERR_LIMIT : ERR_INVALID, fault.message);
            break;
        }
        link_on_event(link, &event, rest->len > 0);
    }
    link->is_parsing = false;
}

static void link_take(struct http_link *link, struct slice bytes)
{
    if (link->phase == LINK_DEAD)
        return;
    if (link->phase == LINK_IDLE) {
        http_link_kill(link, ERR_INVALID, "bytes came that nobody asked for");
        return;
    }
    link->has_response_byte = true;
    if (link->inbox.len == 0)
        link_parse(link, &bytes);
    if (bytes.len == 0 || link->phase != LINK_BUSY)
        return;
    buffer_append(&link->inbox, bytes);
    enum err code = buffer_status(&link->inbox);
    if (code != ERR_OK)
        http_link_kill(link, code, err_name(code));
    else if (!link->call->is_paused)
        http_link_resume(link);
}

static void link_finish_at_end(struct http_link *link);

void http_link_resume(struct http_link *link)
{
    if (link->is_parsing || !link_can_parse(link))
        return;
    struct slice rest = buffer_slice(&link->inbox);
    size_t before = rest.len;
    if (before > 0)
        link_parse(link, &rest);
    buffer_drop_front(&link->inbox, before - rest.len);
    if (link_can_parse(link) && link->is_peer_ended)
        link_finish_at_end(link);
    else if (link_can_parse(link) && stream_read_start(link->stream) != ERR_OK)
        http_link_kill(link, ERR_CLOSED, "the server closed the connection");
}

/* The server ended its side: that completes some answers and cuts others. */
static void link_finish_at_end(struct http_link *link)
{
    struct http1_event event = {.type = HTTP1_EVENT_NEED_MORE};
    if (link->phase == LINK_BUSY && link->call != NULL && link->call->response_head != NULL &&
        http1_parse_eof(link->parser, &event, NULL) == ERR_OK && event.type == HTTP1_EVENT_END)
        link_response_whole(link, false);
    else
        http_link_kill(link, ERR_CLOSED, "the server closed the connection");
}

static void link_peer_ended(struct http_link *link)
{
    link->is_peer_ended = true;
    bool is_held_back = link->phase == LINK_BUSY && link->call != NULL && link->call->is_paused;
    if (!is_held_back) /* else http_link_resume goes on when the caller takes the rest */
        link_finish_at_end(link);
}

/* ---- bytes in ---- */

static void link_ready(struct http_link *link)
{
    link->phase = LINK_BUSY;
    if (link->call != NULL)
        http_link_send_request(link);
    else
        link_go_idle(link);
}

static void link_take_tls(struct http_link *link, struct slice bytes)
{
    struct http_client *client = link_client(link);
    struct fault fault = {.code = ERR_OK};
    enum err code = ERR_OK;
    tls_session_input(link->tls, bytes);
    while (code == ERR_OK && link->phase != LINK_DEAD) {
        size_t len = 0;
        code = tls_session_read(link->tls, client->plain, sizeof(client->plain), &len, &fault);
        link_flush(link);
        if (link->phase == LINK_HANDSHAKE && tls_session_is_established(link->tls))
            link_ready(link);
        if (code == ERR_OK)
            link_take(link, slice_make(client->plain, len));
    }
    if (link->phase == LINK_DEAD || code == ERR_BUSY)
        return;
    if (code == ERR_CLOSED) {
        link_peer_ended(link);
        return;
    }
    link->fault = fault;
    http_link_kill(link, code, fault.message);
}

static void link_on_bytes(void *context, struct slice bytes)
{
    struct http_link *link = context;
    if (link->tls != NULL)
        link_take_tls(link, bytes);
    else
        link_take(link, bytes);
    if (link->phase == LINK_BUSY && link->call != NULL && link->call->is_paused &&
        link->inbox.len > 0)
        stream_read_stop(link->stream);
}

static void link_on_end(void *context, enum err why)
{
    struct http_link *link = context;
    if (link->phase == LINK_DEAD)
        return;
    if (why == ERR_OK && link->phase != LINK_HANDSHAKE)
        link_peer_ended(link);
    else
        http_link_kill(link, ERR_CLOSED,
                       link->phase == LINK_HANDSHAKE ? "the server ended the TLS handshake"
                                                     : "the connection broke");
}

static void link_on_drain(void *context)
{
    struct http_link *link = context;
    struct http_call *call = link->call;
    if (link->phase != LINK_BUSY || call == NULL)
        return;
    http_link_after_send(link);
    if (call->has_streamed_body && !call->is_request_sent && call->events->on_drain != NULL)
        call->events->on_drain(call->context, call);
}

static void link_on_write_error(void *context, enum err why)
{
    struct http_link *link = context;
    (void)why;
    link->is_write_dead = true;
}

static const struct stream_events link_events = {.on_bytes = link_on_bytes,
                                                 .on_end = link_on_end,
                                                 .on_drain = link_on_drain,
                                                 .on_write_error = link_on_write_error};

/* ---- opening ---- */

static void link_begin_tls(struct http_link *link)
{
    struct http_client *client = link_client(link);
    size_t len = 0;
    enum err code = tls_session_create_client(link->origin->tls, link->origin->host,
                                              &client->ciphertext, &link->tls);
    if (code != ERR_OK) {
        http_link_kill(link, code, "cannot set up TLS");
        return;
    }
    link->phase = LINK_HANDSHAKE;
    code = tls_session_read(link->tls, client->plain, sizeof(client->plain), &len, &link->fault);
    link_flush(link);
    if (code != ERR_BUSY)
        http_link_kill(link, code == ERR_OK ? ERR_INVALID : code, "TLS did not begin");
}

static void link_on_connect(void *context, enum err code, struct stream *stream)
{
    struct http_link *link = context;
    link->connector = NULL;
    if (code != ERR_OK) {
        const char *text = code == ERR_NOT_FOUND ? "there is no such host or socket"
                           : code == ERR_CLOSED  ? "the connection was refused"
                           : code == ERR_TIMEOUT ? "no connection within the time allowed"
                                                 : "cannot connect";
        http_link_kill(link, code, text);
        return;
    }
    link->stream = stream;
    stream_listen(stream, &link_events, link);
    stream_pending_limit(stream, SIZE_MAX);
    if (stream_read_start(stream) != ERR_OK)
        http_link_kill(link, ERR_CLOSED, "the connection broke");
    else if (link->origin->tls != NULL)
        link_begin_tls(link);
    else
        link_ready(link);
}

static void link_on_idle_over(void *context)
{
    http_link_kill(context, ERR_CLOSED, "idle for long enough");
}

enum err http_link_open(struct http_origin *origin, struct http_call *call)
{
    struct http_link *link = calloc(1, sizeof(*link));
    if (link == NULL)
        return ERR_NO_MEMORY;
    struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    limits.body_bytes = UINT64_MAX; /* each call has its own */
    link->origin = origin;
    enum err code = http1_parser_create(HTTP1_RESPONSES, &limits, &link->parser);
    if (code == ERR_OK)
        code = connector_start(origin->client->loop, origin->endpoint, call->connect_max,
                               link_on_connect, link, &link->connector);
    if (code != ERR_OK) {
        http1_parser_destroy(link->parser);
        free(link);
        return code;
    }
    buffer_init(&link->inbox, CLIENT_INBOX_BYTES_MAX);
    loop_timer_init(&link->idle_timer, origin->client->loop, link_on_idle_over, link);
    link->phase = LINK_CONNECTING;
    link->next = origin->links;
    if (link->next != NULL)
        link->next->prev = link;
    origin->links = link;
    origin->link_count++;
    call_bind(call, link);
    call_deadline(call, call->connect_max);
    return ERR_OK;
}

/* ---- the sweep ---- */

static bool call_may_be_sent_again(const struct http_link *link, const struct http_call *call)
{
    return link->fate == ERR_CLOSED && link->call_count > 0 && !link->has_response_byte &&
           call->is_idempotent && !call->has_streamed_body && !call->is_retried;
}

void http_link_swept(struct http_link *link)
{
    struct http_call *call = link->call;
    struct http_origin *origin = link->origin;
    if (link->phase != LINK_DEAD) {
        if (call != NULL && call->wants_drain && link->phase == LINK_BUSY) {
            call->wants_drain = false;
            if (call->events->on_drain != NULL)
                call->events->on_drain(call->context, call);
        }
        http_link_resume(link);
        return;
    }
    if (call != NULL) {
        call_unbind(call);
        if (call_may_be_sent_again(link, call)) {
            call->is_retried = true;
            call_queue_first(call);
        } else {
            call_done(call, link->fate, &link->fault);
        }
    }
    if (!link->is_swept)
        http_link_free(link);
    origin_dispatch(origin);
}
