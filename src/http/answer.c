/* Heads of answers, and the framing of their bodies. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "http/problem.h"
#include "http/server_private.h"

static const char *answer_date(struct http_server *server)
{
    int64_t now_s = server->now.wall.us / 1000000;
    if (now_s == server->date_s && server->date[0] != '\0')
        return server->date;
    struct tm at;
    time_t seconds = (time_t)now_s;
    if (gmtime_r(&seconds, &at) == NULL ||
        strftime(server->date, sizeof(server->date), "%a, %d %b %Y %H:%M:%S GMT", &at) == 0)
        (void)snprintf(server->date, sizeof(server->date), "Thu, 01 Jan 1970 00:00:00 GMT");
    server->date_s = now_s;
    return server->date;
}

/* Whether the connection has to end with this answer. */
static bool answer_is_last(const struct http_connection *connection)
{
    const struct http_exchange *exchange = &connection->exchange;
    bool is_at_end = connection->is_peer_ended && connection->inbox.len == 0;
    if (connection->is_last || is_at_end || connection->server->is_draining)
        return true;
    if (!exchange->is_active || !exchange->head->is_kept_alive)
        return true;
    if (exchange->is_body_ended || !exchange->head->has_body)
        return false;
    /* An unread body: whether a client that waits for "100 Continue" will send it is not known. */
    if (exchange->head->expects_continue && !exchange->is_continue_sent)
        return true;
    return exchange->head->has_content_length &&
           exchange->head->content_length - exchange->body_bytes > SERVER_SKIP_BYTES_MAX;
}

enum err answer_write_head(struct http_connection *connection, int status,
                           const struct http1_header *headers, size_t header_count,
                           int64_t body_bytes, bool is_chunked)
{
    struct http_server *server = connection->server;
    struct buffer *out = &server->scratch;
    if (out->cap > SERVER_SCRATCH_KEEP_BYTES) {
        buffer_deinit(out);
        buffer_init(out, SERVER_SCRATCH_BYTES_MAX);
    }
    buffer_reset(out);
    connection->is_last = answer_is_last(connection);
    http1_write_status_line(out, (unsigned)status);
    for (size_t i = 0; i < header_count; i++) {
        enum err code = http1_write_header(out, headers[i].name, headers[i].value);
        if (code != ERR_OK)
            return code;
    }
    buffer_append_text(out, "date: ");
    buffer_append_text(out, answer_date(server));
    buffer_append_text(out, "\r\n");
    if (is_chunked)
        buffer_append_text(out, "transfer-encoding: chunked\r\n");
    else if (body_bytes >= 0 && status != 204 && status != 304 && status >= 200)
        http1_write_header_u64(out, "content-length", (uint64_t)body_bytes);
    if (connection->is_last)
        buffer_append_text(out, "connection: close\r\n");
    http1_write_head_end(out);
    return buffer_status(out);
}
