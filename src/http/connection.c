/* One socket of the server: its lists, how it ends, bytes out, newcomers. Bytes in and phases are
 * in connection_run.c; the picture is in server_private.h. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "http/problem.h"
#include "http/server_private.h"

/* ---- lists ---- */

void connection_unlist(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    if (connection->list == NULL)
        return;
    if (connection->prev != NULL)
        connection->prev->next = connection->next;
    else
        *connection->list = connection->next;
    if (connection->next != NULL)
        connection->next->prev = connection->prev;
    else if (connection->list == &server->waiting)
        server->waiting_last = connection->prev;
    connection->next = connection->prev = NULL;
    connection->list = NULL;
}

void connection_list(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    bool is_waiting = connection->phase == PHASE_HANDSHAKE ||
                      (connection->phase == PHASE_HEAD && stream_pending(connection->stream) == 0);
    connection_unlist(connection);
    if (is_waiting) {
        connection->list = &server->waiting;
        connection->prev = server->waiting_last;
        if (connection->prev != NULL)
            connection->prev->next = connection;
        else
            server->waiting = connection;
        server->waiting_last = connection;
        return;
    }
    connection->list = connection->phase == PHASE_DEAD ? &server->dead : &server->busy;
    connection->next = *connection->list;
    if (connection->next != NULL)
        connection->next->prev = connection;
    *connection->list = connection;
}

/* ---- ends ---- */

void connection_sweep_soon(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    if (connection->is_advancing || connection->is_swept)
        return;
    connection->is_swept = true;
    if (server->sweep_last != NULL)
        server->sweep_last->sweep_next = connection;
    else
        server->sweep_first = connection;
    server->sweep_last = connection;
    server_sweep_soon(server);
}

void connection_kill(struct http_connection *connection, enum err why)
{
    if (connection->phase == PHASE_DEAD)
        return;
    connection->phase = PHASE_DEAD;
    connection->exchange.fate = why;
    connection->server->counts.connections_now--;
    loop_timer_stop(&connection->timer);
    stream_close(connection->stream);
    connection->stream = NULL;
    connection_list(connection);
    connection->is_advancing = false; /* whoever advances sees PHASE_DEAD; the sweep must come */
    connection_sweep_soon(connection);
}

void connection_free(struct http_connection *connection)
{
    ASSERT(connection->phase == PHASE_DEAD && !connection->exchange.is_active);
    connection_unlist(connection);
    tls_session_destroy(connection->tls);
    tls_context_release(connection->tls_context);
    http1_parser_destroy(connection->parser);
    buffer_deinit(&connection->inbox);
    free(connection);
}

void connection_drop_inbox(struct http_connection *connection)
{
    buffer_deinit(&connection->inbox);
    buffer_init(&connection->inbox, SERVER_INBOX_BYTES_MAX + 2 * STREAM_READ_BYTES_MAX);
}

void connection_linger(struct http_connection *connection)
{
    if (connection->phase == PHASE_DEAD || connection->phase == PHASE_LINGER)
        return;
    struct http_server *server = connection->server;
    if (connection->tls != NULL) {
        tls_session_end(connection->tls);
        connection_send(connection, NULL, 0);
        if (connection->phase == PHASE_DEAD)
            return;
    }
    connection->phase = PHASE_LINGER;
    connection_drop_inbox(connection);
    connection_list(connection);
    bool has_pending = stream_pending(connection->stream) > 0;
    bool is_shut = stream_shutdown(connection->stream) == ERR_OK;
    if (!is_shut || (connection->is_peer_ended && !has_pending)) {
        connection_kill(connection, ERR_CLOSED);
        return;
    }
    connection->end_deadline = BOOT_NEVER;
    connection->read_deadline =
        has_pending ? BOOT_NEVER : boot_add(server->now.boot, SPAN_MS(SERVER_LINGER_MS));
    if (!connection->is_peer_ended && stream_read_start(connection->stream) != ERR_OK)
        connection_kill(connection, ERR_CLOSED);
    else
        connection_rearm(connection);
}

/* ---- bytes out ---- */

static void connection_note_pending(struct http_connection *connection, size_t len)
{
    struct http_server *server = connection->server;
    connection->queued_bytes += len;
    server->counts.bytes_out += len;
    size_t pending = stream_pending(connection->stream);
    if (pending > 0 && connection->write_deadline.ns == BOOT_NEVER.ns) {
        connection->write_deadline = boot_add(server->now.boot, server->limits.write_stall_max);
        connection->moved_bytes_mark = connection->queued_bytes - pending;
    }
}

static void connection_flush_ciphertext(struct http_connection *connection)
{
    struct buffer *out = &connection->server->ciphertext;
    enum err code = buffer_status(out);
    struct slice bytes = buffer_slice(out);
    if (code == ERR_OK && bytes.len > 0)
        code = stream_write(connection->stream, bytes);
    buffer_reset(out);
    if (code != ERR_OK)
        connection_kill(connection, ERR_CLOSED);
    else
        connection_note_pending(connection, bytes.len);
}

static void connection_send_tls(struct http_connection *connection, struct slice bytes)
{
    while (bytes.len > 0 && connection->phase != PHASE_DEAD) {
        size_t len = bytes.len < SERVER_TLS_SLICE_BYTES ? bytes.len : SERVER_TLS_SLICE_BYTES;
        if (tls_session_write(connection->tls, slice_make(bytes.data, len)) != ERR_OK) {
            connection_kill(connection, ERR_CLOSED);
            return;
        }
        connection_flush_ciphertext(connection);
        bytes = slice_make(bytes.data + len, bytes.len - len);
    }
}

void connection_send(struct http_connection *connection, const struct slice *pieces, size_t count)
{
    if (connection->phase == PHASE_DEAD)
        return;
    if (connection->tls != NULL) {
        for (size_t i = 0; i < count; i++)
            connection_send_tls(connection, pieces[i]);
        if (count == 0) /* what the session itself has to say */
            connection_flush_ciphertext(connection);
        return;
    }
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += pieces[i].len;
    if (stream_write_pieces(connection->stream, pieces, count) != ERR_OK)
        connection_kill(connection, ERR_CLOSED);
    else
        connection_note_pending(connection, len);
}

void connection_refuse(struct http_connection *connection, int status, const char *code,
                       const char *detail)
{
    struct http_server *server = connection->server;
    struct http_exchange *exchange = &connection->exchange;
    enum err why = status == 408   ? ERR_TIMEOUT
                   : status == 413 ? ERR_LIMIT
                   : status == 503 ? ERR_CLOSED
                                   : ERR_INVALID;
    if (exchange->is_active && exchange->answer == ANSWER_STARTED) {
        connection_kill(connection, why); /* half an answer is out: only a cut tells the truth */
        return;
    }
    server->counts.refusals_total++;
    connection->is_last = true;
    char body_bytes[1024];
    struct buffer body;
    buffer_init(&body, sizeof(body_bytes));
    http_problem_write(&body, status, code, detail);
    const struct http1_header headers[] = {
        {SLICE_LITERAL("content-type"), SLICE_LITERAL("application/problem+json")}};
    struct slice text = buffer_slice(&body);
    bool is_head = exchange->is_active && exchange->is_bodyless;
    if (buffer_status(&body) == ERR_OK &&
        answer_write_head(connection, status, headers, 1, (int64_t)text.len, false) == ERR_OK) {
        if (!is_head)
            buffer_append(&server->scratch, text);
        struct slice answer = buffer_slice(&server->scratch);
        connection_send(connection, &answer, 1);
    }
    buffer_deinit(&body);
    exchange->fate = why;
    connection_linger(connection);
    if (exchange->is_active && exchange->events != NULL)
        exchange_end(exchange, why);
}

/* ---- newcomers ---- */

static bool server_make_room(struct http_server *server, struct stream *stream, bool is_tls)
{
    static const char BUSY[] = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n"
                               "retry-after: 1\r\ncontent-length: 0\r\n\r\n";
    if (server->counts.connections_now < server->limits.connections_max)
        return true;
    if (server->waiting != NULL) {
        server->counts.connections_evicted++;
        connection_kill(server->waiting, ERR_CLOSED);
        return true;
    }
    server->counts.connections_refused++;
    stream_listen(stream, &CONNECTION_EVENTS, NULL);
    if (!is_tls && stream_write(stream, SLICE_LITERAL(BUSY)) != ERR_OK)
        return false; /* it is gone already, which is all the same here */
    return false;
}

static enum err connection_make(struct http_server_listener *listener, struct stream *stream,
                                struct http_connection **out_connection)
{
    struct http_server *server = listener->server;
    struct http_connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL)
        return ERR_NO_MEMORY;
    struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    limits.head_bytes = server->limits.head_bytes_max;
    limits.target_bytes = server->limits.target_bytes_max;
    limits.headers = server->limits.headers_max;
    limits.body_bytes = UINT64_MAX; /* each exchange sets its own */
    connection->server = server;
    connection->listener = listener->index;
    enum err code = http1_parser_create(HTTP1_REQUESTS, &limits, &connection->parser);
    if (code == ERR_OK)
        code = stream_peer(stream, &connection->peer);
    if (code != ERR_OK) {
        http1_parser_destroy(connection->parser);
        free(connection);
        return code;
    }
    /* The session itself is made when the first byte comes: a silent socket costs little. */
    if (listener->tls != NULL)
        connection->tls_context = tls_context_hold(listener->tls);
    buffer_init(&connection->inbox, SERVER_INBOX_BYTES_MAX + 2 * STREAM_READ_BYTES_MAX);
    connection->stream = stream;
    connection->read_deadline = connection->write_deadline = connection->end_deadline = BOOT_NEVER;
    loop_timer_init(&connection->timer, server->loop, connection_on_timer, connection);
    *out_connection = connection;
    return ERR_OK;
}

void connection_accept(struct http_server_listener *listener, struct stream *stream)
{
    struct http_server *server = listener->server;
    struct http_connection *connection;
    server_touch(server);
    if (!server_make_room(server, stream, listener->tls != NULL) ||
        connection_make(listener, stream, &connection) != ERR_OK) {
        stream_close(stream);
        return;
    }
    server->counts.connections_now++;
    server->counts.connections_total++;
    stream_listen(stream, &CONNECTION_EVENTS, connection);
    stream_pending_limit(stream, SIZE_MAX); /* exchanges hold to limits of their own */
    if (listener->tls != NULL) {
        connection->phase = PHASE_HANDSHAKE;
        connection->read_deadline = boot_add(server->now.boot, server->limits.handshake_max);
        connection_list(connection);
    } else {
        connection_await_head(connection);
    }
    connection_rest(connection);
}
