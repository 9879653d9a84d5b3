/* What handlers call. Nothing here calls a handler back: what follows from a call happens in
 * connection_advance, either in the run that is under way or in the sweep of this turn. */
#include <string.h>

#include "base/assert.h"
#include "http/problem.h"
#include "http/server_private.h"

enum { EXCHANGE_STATUS_MIN = 200, EXCHANGE_STATUS_MAX = 599, EXCHANGE_BODY_AHEAD_MAX = 65536 };

void exchange_begin(struct http_exchange *exchange, struct http_connection *connection,
                    const struct http1_head *head)
{
    struct http_server *server = connection->server;
    memset(exchange, 0, sizeof(*exchange));
    exchange->connection = connection;
    exchange->head = head;
    exchange->is_active = true;
    exchange->is_bodyless = head->method == HTTP1_HEAD;
    exchange->fate = ERR_CLOSED;
    arena_init(&exchange->arena, server->limits.arena_bytes_max);
    server->counts.requests_total++;
    server->counts.requests_now++;
}

void exchange_end(struct http_exchange *exchange, enum err why)
{
    ASSERT(exchange->is_active);
    if (exchange->events != NULL && exchange->events->on_close != NULL)
        exchange->events->on_close(exchange->context, exchange, why);
    exchange->is_active = false;
    exchange->connection->server->counts.requests_now--;
    arena_deinit(&exchange->arena);
    buffer_deinit(&exchange->body);
}

/* Whether what is written can still reach the client. */
static bool exchange_is_open(const struct http_exchange *exchange)
{
    enum connection_phase phase = exchange->connection->phase;
    return phase == PHASE_BODY || phase == PHASE_ANSWER;
}

/* A handler may call long after the last event of the server: what is late is judged by the time
 * now. */
static void exchange_touch(struct http_exchange *exchange)
{
    if (!exchange->connection->is_advancing)
        server_touch(exchange->connection->server);
}

/* ---- the request ---- */

const struct http1_head *http_exchange_head(const struct http_exchange *exchange)
{
    return exchange->head;
}

struct slice http_exchange_header(const struct http_exchange *exchange, const char *name)
{
    return http1_head_value(exchange->head, name);
}

struct arena *http_exchange_arena(struct http_exchange *exchange)
{
    return &exchange->arena;
}

size_t http_exchange_listener(const struct http_exchange *exchange)
{
    return exchange->connection->listener;
}

const struct stream_peer *http_exchange_peer(const struct http_exchange *exchange)
{
    return &exchange->connection->peer;
}

bool http_exchange_is_tls(const struct http_exchange *exchange)
{
    return exchange->connection->tls != NULL;
}

enum err http_exchange_peer_certificate(const struct http_exchange *exchange,
                                        struct tls_peer *out_peer)
{
    if (exchange->connection->tls == NULL)
        return ERR_NOT_FOUND;
    return tls_session_peer(exchange->connection->tls, out_peer);
}

void http_exchange_listen(struct http_exchange *exchange, const struct http_exchange_events *events,
                          void *context)
{
    ASSERT(exchange->is_active && exchange->events == NULL && events != NULL);
    exchange->events = events;
    exchange->context = context;
}

void http_exchange_context(struct http_exchange *exchange, void *context)
{
    exchange->context = context;
}

/* ---- the body ---- */

static void exchange_take_body(struct http_exchange *exchange, enum body_mode mode,
                               uint64_t body_bytes_max)
{
    struct http_connection *connection = exchange->connection;
    const struct http1_head *head = exchange->head;
    ASSERT(exchange->is_active && exchange->events != NULL && exchange->mode == BODY_UNDECIDED);
    exchange_touch(exchange);
    exchange->mode = mode;
    exchange->body_bytes_max =
        body_bytes_max != 0 ? body_bytes_max : connection->server->limits.body_bytes_max;
    if (!exchange_is_open(exchange))
        return;
    bool is_too_long = head->has_content_length && head->content_length > exchange->body_bytes_max;
    if (connection->phase == PHASE_BODY && head->has_body) {
        /* A length that is too long already makes the parser refuse, once we are out of the
         * handler's call. */
        http1_parser_set_body_limit(connection->parser, exchange->body_bytes_max);
        connection->is_hungry = false;
        connection->body_since = connection->server->now.boot;
        connection_body_deadline(connection);
        if (head->expects_continue && exchange->answer == ANSWER_NONE &&
            connection->inbox.len == 0 && !is_too_long) {
            const struct slice line = SLICE_LITERAL("HTTP/1.1 100 Continue\r\n\r\n");
            exchange->is_continue_sent = true;
            connection_send(connection, &line, 1);
        }
    }
    connection_sweep_soon(connection);
}

void http_exchange_collect(struct http_exchange *exchange, uint64_t body_bytes_max)
{
    exchange_take_body(exchange, BODY_COLLECTED, body_bytes_max);
    size_t limit =
        exchange->body_bytes_max < SIZE_MAX ? (size_t)exchange->body_bytes_max : SIZE_MAX;
    buffer_init(&exchange->body, limit);
    /* The usual small body then needs one allocation; a large one grows as it really arrives. */
    if (exchange->head->has_content_length && exchange->head->content_length <= limit &&
        exchange->head->content_length <= EXCHANGE_BODY_AHEAD_MAX)
        (void)buffer_reserve(&exchange->body, (size_t)exchange->head->content_length);
}

void http_exchange_stream(struct http_exchange *exchange, uint64_t body_bytes_max)
{
    exchange_take_body(exchange, BODY_STREAMED, body_bytes_max);
}

void http_exchange_read_stop(struct http_exchange *exchange)
{
    ASSERT(exchange->is_active);
    exchange->is_paused = true;
    if (exchange->connection->phase == PHASE_BODY)
        exchange->connection->read_deadline = BOOT_NEVER; /* the wait is ours, not the client's */
}

void http_exchange_read_start(struct http_exchange *exchange)
{
    struct http_connection *connection = exchange->connection;
    ASSERT(exchange->is_active);
    if (!exchange->is_paused)
        return;
    exchange_touch(exchange);
    exchange->is_paused = false;
    connection->is_hungry = false;
    if (connection->phase == PHASE_BODY) {
        int64_t earned_ms = (int64_t)(exchange->body_bytes / SERVER_RATE_BYTES_MIN) * 1000;
        connection->body_since = boot_add(connection->server->now.boot, SPAN_MS(-earned_ms));
        connection_body_deadline(connection);
    }
    connection_sweep_soon(connection);
}

/* ---- whole answers ---- */

static void exchange_answered(struct http_exchange *exchange)
{
    exchange->answer = ANSWER_WHOLE;
    connection_sweep_soon(exchange->connection);
}

static void exchange_send_whole(struct http_exchange *exchange, struct slice body)
{
    struct http_connection *connection = exchange->connection;
    struct buffer *scratch = &connection->server->scratch;
    if (body.len <= SERVER_JOIN_BYTES_MAX) {
        buffer_append(scratch, body);
        struct slice whole = buffer_slice(scratch);
        connection_send(connection, &whole, 1);
        return;
    }
    const struct slice pieces[] = {buffer_slice(scratch), body};
    connection_send(connection, pieces, 2);
}

void http_exchange_respond(struct http_exchange *exchange, int status,
                           const struct http1_header *headers, size_t header_count,
                           struct slice body)
{
    struct http_connection *connection = exchange->connection;
    ASSERT(exchange->is_active && exchange->answer == ANSWER_NONE);
    ASSERT(status >= EXCHANGE_STATUS_MIN && status <= EXCHANGE_STATUS_MAX);
    exchange_touch(exchange);
    if (!exchange_is_open(exchange)) {
        exchange_answered(exchange);
        return;
    }
    enum err code =
        answer_write_head(connection, status, headers, header_count, (int64_t)body.len, false);
    if (code == ERR_INVALID) {
        code = answer_write_head(connection, 500, NULL, 0, 0, false);
        body = (struct slice){NULL, 0};
    }
    if (exchange->is_bodyless || status == 204 || status == 304)
        body = (struct slice){NULL, 0};
    if (code == ERR_OK)
        exchange_send_whole(exchange, body);
    else
        connection_kill(connection, ERR_CLOSED);
    exchange_answered(exchange);
}

void http_exchange_respond_json(struct http_exchange *exchange, int status, struct slice json)
{
    const struct http1_header headers[] = {
        {SLICE_LITERAL("content-type"), SLICE_LITERAL("application/json")}};
    http_exchange_respond(exchange, status, headers, 1, json);
}

void http_exchange_respond_problem(struct http_exchange *exchange, int status, const char *code,
                                   const char *detail)
{
    const struct http1_header headers[] = {
        {SLICE_LITERAL("content-type"), SLICE_LITERAL("application/problem+json")}};
    struct buffer body;
    buffer_init(&body, EXCHANGE_BODY_AHEAD_MAX);
    http_problem_write(&body, status, code, detail);
    http_exchange_respond(exchange, status, headers, 1, buffer_slice(&body));
    buffer_deinit(&body);
}

/* ---- streaming answers ---- */

void http_exchange_start(struct http_exchange *exchange, int status,
                         const struct http1_header *headers, size_t header_count,
                         int64_t body_bytes)
{
    struct http_connection *connection = exchange->connection;
    ASSERT(exchange->is_active && exchange->answer == ANSWER_NONE);
    ASSERT(status >= EXCHANGE_STATUS_MIN && status <= EXCHANGE_STATUS_MAX);
    exchange_touch(exchange);
    exchange->answer = ANSWER_STARTED;
    exchange->promised_bytes = body_bytes;
    exchange->is_bodyless = exchange->is_bodyless || status == 204 || status == 304;
    if (!exchange_is_open(exchange))
        return;
    bool is_old = exchange->head->minor == 0;
    exchange->is_chunked = body_bytes < 0 && !is_old;
    if (body_bytes < 0 && is_old)
        connection->is_last = true; /* HTTP/1.0 knows the end by the connection's end only */
    enum err code = answer_write_head(connection, status, headers, header_count, body_bytes,
                                      exchange->is_chunked);
    struct slice head = buffer_slice(&connection->server->scratch);
    if (code == ERR_OK)
        connection_send(connection, &head, 1);
    else
        connection_kill(connection, ERR_CLOSED);
    connection_rearm(connection);
}

enum err http_exchange_write(struct http_exchange *exchange, struct slice bytes)
{
    struct http_connection *connection = exchange->connection;
    ASSERT(exchange->is_active && exchange->answer == ANSWER_STARTED);
    if (!exchange_is_open(exchange))
        return ERR_CLOSED;
    if (http_exchange_pending(exchange) >= connection->server->limits.write_bytes_max)
        return ERR_BUSY;
    if (exchange->promised_bytes >= 0 &&
        exchange->written_bytes + bytes.len > (uint64_t)exchange->promised_bytes)
        return ERR_LIMIT;
    exchange->written_bytes += bytes.len;
    if (bytes.len == 0 || exchange->is_bodyless)
        return ERR_OK;
    exchange_touch(exchange);
    char line[HTTP1_CHUNK_LINE_MAX];
    struct slice pieces[3] = {{NULL, 0}, bytes, {NULL, 0}};
    if (exchange->is_chunked) {
        pieces[0] = slice_make(line, http1_chunk_line(bytes.len, line));
        pieces[2] = HTTP1_CHUNK_END;
    }
    if (connection->tls != NULL && bytes.len <= SERVER_JOIN_BYTES_MAX) { /* one record, one write */
        struct buffer *scratch = &connection->server->scratch;
        buffer_reset(scratch);
        for (size_t i = 0; i < 3; i++)
            buffer_append(scratch, pieces[i]);
        pieces[0] = buffer_slice(scratch);
        connection_send(connection, pieces, 1);
    } else {
        connection_send(connection, pieces, 3);
    }
    connection_rearm(connection);
    return connection->phase == PHASE_DEAD ? ERR_CLOSED : ERR_OK;
}

size_t http_exchange_pending(const struct http_exchange *exchange)
{
    const struct stream *stream = exchange->connection->stream;
    return stream != NULL ? stream_pending(stream) : 0;
}

void http_exchange_finish(struct http_exchange *exchange)
{
    struct http_connection *connection = exchange->connection;
    ASSERT(exchange->is_active && exchange->answer == ANSWER_STARTED);
    exchange_touch(exchange);
    if (exchange_is_open(exchange)) {
        bool is_short = exchange->promised_bytes >= 0 &&
                        exchange->written_bytes < (uint64_t)exchange->promised_bytes &&
                        !exchange->is_bodyless;
        if (is_short)
            connection_kill(connection, ERR_CLOSED);
        else if (exchange->is_chunked && !exchange->is_bodyless)
            connection_send(connection, &HTTP1_BODY_END, 1);
    }
    exchange_answered(exchange);
}

void http_exchange_abort(struct http_exchange *exchange)
{
    struct http_connection *connection = exchange->connection;
    ASSERT(exchange->is_active);
    connection_kill(connection, ERR_CLOSED);
    exchange_answered(exchange);
}
