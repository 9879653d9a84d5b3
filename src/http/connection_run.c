/* One socket of the server: bytes in, and the phases they drive it through. The picture is in
 * server_private.h. */
#include "base/assert.h"
#include "http/server_private.h"

/* ---- requests ---- */

void connection_await_head(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    connection->phase = PHASE_HEAD;
    connection->is_head_begun = false;
    struct span_ms wait =
        connection->request_count == 0 ? server->limits.head_max : server->limits.idle_max;
    connection->read_deadline = stream_pending(connection->stream) > 0
                                    ? BOOT_NEVER /* begins when the answer before it has left */
                                    : boot_add(server->now.boot, wait);
    connection->end_deadline = connection->is_peer_ended
                                   ? boot_add(server->now.boot, SPAN_MS(SERVER_HALF_CLOSED_MS))
                                   : BOOT_NEVER;
    connection_list(connection);
}

static bool body_is_short_enough_to_skip(const struct http_exchange *exchange)
{
    const struct http1_head *head = exchange->head;
    return !head->has_content_length ||
           head->content_length - exchange->body_bytes <= SERVER_SKIP_BYTES_MAX;
}

/* The answer is given; what becomes of the connection. */
static void connection_answered(struct http_connection *connection)
{
    if (connection->is_last || connection->server->is_draining)
        connection_linger(connection);
    else if (connection->phase == PHASE_ANSWER)
        connection_await_head(connection);
    else if (!body_is_short_enough_to_skip(&connection->exchange))
        connection_linger(connection);
    else {
        connection->exchange.mode = BODY_SKIPPED;
        connection->body_since = connection->server->now.boot;
        connection_body_deadline(connection);
    }
}

/* One thing that is due without further bytes. False: nothing was. */
static bool connection_settle(struct http_connection *connection)
{
    struct http_exchange *exchange = &connection->exchange;
    if (connection->phase != PHASE_BODY && connection->phase != PHASE_ANSWER)
        return false;
    if (!exchange->is_active) {
        if (connection->phase != PHASE_ANSWER)
            return false;
        connection_answered(connection); /* the skipped body has ended */
        return true;
    }
    if (exchange->answer == ANSWER_WHOLE) {
        exchange_end(exchange, ERR_OK);
        connection_answered(connection);
        return true;
    }
    if (!exchange->is_body_ended || exchange->is_body_told || exchange->is_paused)
        return false;
    if (exchange->mode == BODY_COLLECTED) {
        exchange->is_body_told = true;
        if (exchange->events->on_body != NULL)
            exchange->events->on_body(exchange->context, exchange, buffer_slice(&exchange->body));
        return true;
    }
    if (exchange->mode == BODY_STREAMED) {
        exchange->is_body_told = true;
        if (exchange->events->on_end != NULL)
            exchange->events->on_end(exchange->context, exchange);
        return true;
    }
    return false;
}

static bool connection_can_parse(const struct http_connection *connection)
{
    const struct http_exchange *exchange = &connection->exchange;
    if (connection->phase == PHASE_HEAD)
        return stream_pending(connection->stream) == 0;
    if (connection->phase != PHASE_BODY)
        return false;
    if (!exchange->is_active || !exchange->head->has_body)
        return true;
    return exchange->mode != BODY_UNDECIDED && !exchange->is_paused;
}

static void connection_on_head(struct http_connection *connection, const struct http1_head *head)
{
    struct http_server *server = connection->server;
    connection->phase = PHASE_BODY;
    connection->read_deadline = BOOT_NEVER;
    connection->request_count++;
    if (server->limits.requests_max != 0 &&
        connection->request_count >= server->limits.requests_max)
        connection->is_last = true;
    connection_list(connection);
    exchange_begin(&connection->exchange, connection, head);
    server->on_request(server->context, &connection->exchange);
}

static void connection_on_body(struct http_connection *connection, struct slice bytes)
{
    struct http_exchange *exchange = &connection->exchange;
    exchange->body_bytes += bytes.len;
    connection_body_deadline(connection);
    if (!exchange->is_active) {
        exchange->skipped_bytes += bytes.len;
        if (exchange->skipped_bytes > SERVER_SKIP_BYTES_MAX)
            connection_linger(connection);
    } else if (exchange->mode == BODY_COLLECTED) {
        buffer_append(&exchange->body, bytes);
        if (buffer_status(&exchange->body) != ERR_OK)
            connection_refuse(connection, 503, "no_memory", "no memory for the body; try again");
    } else if (exchange->mode == BODY_STREAMED && exchange->events->on_bytes != NULL) {
        exchange->events->on_bytes(exchange->context, exchange, bytes);
    }
}

static void connection_on_event(struct http_connection *connection, const struct http1_event *event)
{
    switch (event->type) {
    case HTTP1_EVENT_NEED_MORE:
        connection->is_hungry = true;
        break;
    case HTTP1_EVENT_HEAD:
        connection_on_head(connection, event->head);
        break;
    case HTTP1_EVENT_BODY:
        connection_on_body(connection, event->body);
        break;
    case HTTP1_EVENT_END:
        connection->exchange.is_body_ended = true;
        connection->phase = PHASE_ANSWER;
        connection->read_deadline = BOOT_NEVER;
        if (connection->is_peer_ended)
            connection->end_deadline =
                boot_add(connection->server->now.boot, SPAN_MS(SERVER_HALF_CLOSED_MS));
        break;
    }
}

/* One event out of `rest`, of which the used bytes are dropped. */
static void connection_parse(struct http_connection *connection, struct slice *rest)
{
    struct http1_event event = {.type = HTTP1_EVENT_NEED_MORE};
    struct fault fault = {.code = ERR_OK};
    size_t used = 0;
    if (connection->phase == PHASE_HEAD && !connection->is_head_begun && rest->len > 0) {
        connection->is_head_begun = true;
        connection->read_deadline =
            boot_add(connection->server->now.boot, connection->server->limits.head_max);
    }
    enum err code = http1_parse(connection->parser, *rest, &used, &event, &fault);
    if (used > 0)
        *rest = slice_make(rest->data + used, rest->len - used);
    if (code == ERR_OK) {
        connection_on_event(connection, &event);
        return;
    }
    int status = (int)http1_parser_status(connection->parser);
    connection_refuse(connection, status, status == 413 ? "too_large" : "bad_request",
                      fault.message);
}

static void connection_run(struct http_connection *connection, struct slice *rest)
{
    connection->is_advancing = true;
    for (;;) {
        while (connection->phase != PHASE_DEAD && connection_settle(connection))
            ;
        if (connection->phase == PHASE_DEAD || !connection_can_parse(connection) ||
            (connection->is_hungry && rest->len == 0))
            break;
        connection->is_hungry = false;
        connection_parse(connection, rest);
    }
    connection->is_advancing = false;
}

/* After a run: whether to read on, whether the client's end was the end, and the timer. */
void connection_rest(struct http_connection *connection)
{
    if (connection->phase == PHASE_DEAD)
        return;
    bool is_stuck = connection->is_peer_ended && connection->inbox.len == 0 &&
                    (connection->phase == PHASE_HEAD || connection->phase == PHASE_BODY) &&
                    connection_can_parse(connection);
    if (is_stuck) { /* no more bytes will come, and the message is not whole */
        if (connection->phase == PHASE_HEAD)
            connection_linger(connection);
        else
            connection_kill(connection, ERR_CLOSED);
        return;
    }
    /* A client that goes on sending while it is being sent away is left to wait, not cut: a reset
     * would take the answer from it. */
    bool is_enough = connection->phase == PHASE_LINGER
                         ? connection->linger_bytes >= SERVER_LINGER_BYTES_MAX
                         : connection->inbox.len >= SERVER_INBOX_BYTES_MAX;
    if (is_enough)
        stream_read_stop(connection->stream);
    else if (!connection->is_peer_ended && stream_read_start(connection->stream) != ERR_OK) {
        connection_kill(connection, ERR_CLOSED);
        return;
    }
    connection_rearm(connection);
}

void connection_advance(struct http_connection *connection)
{
    if (connection->is_advancing || connection->phase == PHASE_DEAD)
        return;
    struct slice rest = buffer_slice(&connection->inbox);
    size_t before = rest.len;
    connection_run(connection, &rest);
    if (before > 0 && connection->inbox.len > 0) {
        buffer_drop_front(&connection->inbox, before - rest.len);
        if (rest.len == 0)
            connection_drop_inbox(connection);
    }
    connection_rest(connection);
}

/* ---- bytes in ---- */

static void connection_take(struct http_connection *connection, struct slice bytes)
{
    if (connection->phase == PHASE_LINGER) {
        connection->linger_bytes += bytes.len;
        return;
    }
    connection->is_hungry = false;
    if (connection->inbox.len == 0) { /* the common case needs no copy */
        connection_run(connection, &bytes);
        if (bytes.len == 0 || connection->phase == PHASE_DEAD || connection->phase == PHASE_LINGER)
            return;
    }
    buffer_append(&connection->inbox, bytes);
    if (buffer_status(&connection->inbox) != ERR_OK)
        connection_kill(connection, ERR_NO_MEMORY);
    else
        connection_advance(connection);
}

static void connection_on_handshake(struct http_connection *connection)
{
    struct http_server_counts *counts = &connection->server->counts;
    bool is_resumed = tls_session_is_resumed(connection->tls);
    if (is_resumed && !tls_session_is_peer_current(connection->tls)) {
        counts->handshakes_failed++;
        connection_kill(connection, ERR_DENIED);
        return;
    }
    counts->handshakes_total++;
    if (is_resumed)
        counts->handshakes_resumed++;
    connection_await_head(connection);
}

static void connection_peer_ended(struct http_connection *connection)
{
    if (connection->phase == PHASE_DEAD || connection->is_peer_ended)
        return;
    connection->is_peer_ended = true;
    stream_read_stop(connection->stream);
    bool has_pending = stream_pending(connection->stream) > 0;
    if (connection->phase == PHASE_HANDSHAKE || (connection->phase == PHASE_LINGER && !has_pending))
        connection_kill(connection, ERR_CLOSED);
    else if (connection->phase == PHASE_ANSWER)
        connection->end_deadline =
            boot_add(connection->server->now.boot, SPAN_MS(SERVER_HALF_CLOSED_MS));
}

static void connection_tls_failed(struct http_connection *connection, enum err code)
{
    if (code == ERR_CLOSED) {
        connection_peer_ended(connection);
        return;
    }
    if (connection->phase == PHASE_HANDSHAKE)
        connection->server->counts.handshakes_failed++;
    if (connection->exchange.is_active)
        connection_kill(connection, ERR_CLOSED);
    else
        connection_linger(connection); /* so that the alert arrives */
}

static void connection_take_tls(struct http_connection *connection, struct slice bytes)
{
    struct http_server *server = connection->server;
    enum err code = ERR_OK;
    if (connection->tls == NULL)
        code = tls_session_create_server(connection->tls_context, &server->ciphertext,
                                         &connection->tls);
    if (code != ERR_OK) {
        connection_kill(connection, code);
        return;
    }
    tls_session_input(connection->tls, bytes);
    while (code == ERR_OK && connection->phase != PHASE_DEAD) {
        size_t len = 0;
        code = tls_session_read(connection->tls, server->plain, sizeof(server->plain), &len, NULL);
        connection_send(connection, NULL, 0);
        if (connection->phase == PHASE_HANDSHAKE && tls_session_is_established(connection->tls))
            connection_on_handshake(connection);
        if (code == ERR_OK && connection->phase != PHASE_DEAD)
            connection_take(connection, slice_make(server->plain, len));
    }
    if (code != ERR_BUSY && connection->phase != PHASE_DEAD)
        connection_tls_failed(connection, code);
}

static void connection_on_bytes(void *context, struct slice bytes)
{
    struct http_connection *connection = context;
    server_touch(connection->server);
    connection->server->counts.bytes_in += bytes.len;
    if (connection->tls_context != NULL)
        connection_take_tls(connection, bytes);
    else
        connection_take(connection, bytes);
    connection_rest(connection);
}

static void connection_on_end(void *context, enum err why)
{
    struct http_connection *connection = context;
    server_touch(connection->server);
    if (why == ERR_OK)
        connection_peer_ended(connection);
    else
        connection_kill(connection, ERR_CLOSED);
    connection_rest(connection);
}

static void connection_on_drain(void *context)
{
    struct http_connection *connection = context;
    struct http_server *server = connection->server;
    struct http_exchange *exchange = &connection->exchange;
    server_touch(server);
    connection->write_deadline = BOOT_NEVER;
    if (connection->phase == PHASE_LINGER) {
        if (connection->is_peer_ended)
            connection_kill(connection, ERR_CLOSED);
        else
            connection->read_deadline = boot_add(server->now.boot, SPAN_MS(SERVER_LINGER_MS));
    } else if (connection->phase == PHASE_HEAD) {
        connection_await_head(connection);
    } else if (exchange->is_active && exchange->answer == ANSWER_STARTED &&
               exchange->events != NULL && exchange->events->on_drain != NULL) {
        exchange->events->on_drain(exchange->context, exchange);
    }
    if (connection->phase == PHASE_LINGER || connection->phase == PHASE_DEAD)
        connection_rest(connection);
    else
        connection_advance(connection);
}

static void connection_on_write_error(void *context, enum err why)
{
    struct http_connection *connection = context;
    (void)why;
    server_touch(connection->server);
    connection_kill(connection, ERR_CLOSED);
}

const struct stream_events CONNECTION_EVENTS = {
    .on_bytes = connection_on_bytes,
    .on_end = connection_on_end,
    .on_drain = connection_on_drain,
    .on_write_error = connection_on_write_error,
};

void connection_swept(struct http_connection *connection)
{
    struct http_exchange *exchange = &connection->exchange;
    if (connection->phase != PHASE_DEAD) {
        connection_advance(connection);
        if (connection->phase == PHASE_LINGER && exchange->is_active &&
            exchange->answer == ANSWER_WHOLE)
            exchange_end(exchange, exchange->fate); /* refused, and answered in vain since */
        return;
    }
    if (exchange->is_active && (exchange->events != NULL || exchange->answer == ANSWER_WHOLE))
        exchange_end(exchange, exchange->fate);
    if (!exchange->is_active && !connection->is_swept)
        connection_free(connection);
}
