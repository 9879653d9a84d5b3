/* The deadlines of a server connection. There are up to three at once, and one timer, which is
 * moved only when the earliest deadline comes nearer; when it rings too early it is set again. */
#include "http/server_private.h"

static struct boot_ns earliest_deadline(const struct http_connection *connection)
{
    return boot_min(connection->read_deadline,
                    boot_min(connection->write_deadline, connection->end_deadline));
}

void connection_rearm(struct http_connection *connection)
{
    if (connection->phase == PHASE_DEAD)
        return;
    struct boot_ns due = earliest_deadline(connection);
    if (due.ns == BOOT_NEVER.ns)
        return; /* a timer that is set rings once in vain */
    if (!loop_timer_is_set(&connection->timer) || boot_is_before(due, connection->timer.due))
        loop_timer_set_at(&connection->timer, due);
}

/* Two rules in one moment: no pause longer than the stall limit, and in the long run no slower than
 * SERVER_RATE_BYTES_MIN a second. */
void connection_body_deadline(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    struct http_exchange *exchange = &connection->exchange;
    struct span_ms stall = server->limits.body_stall_max;
    struct span_ms earned = SPAN_S(exchange->body_bytes / SERVER_RATE_BYTES_MIN);
    struct boot_ns by_rate = boot_add(boot_add(connection->body_since, stall), earned);
    if (connection->phase == PHASE_BODY)
        connection->read_deadline = boot_min(boot_add(server->now.boot, stall), by_rate);
}

static void check_writing(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    size_t pending = stream_pending(connection->stream);
    if (pending == 0) {
        connection->write_deadline = BOOT_NEVER;
        return;
    }
    uint64_t moved_bytes = connection->queued_bytes - pending;
    if (moved_bytes - connection->moved_bytes_mark < SERVER_RATE_BYTES_MIN) {
        server->counts.timeouts_total++;
        connection_kill(connection, ERR_TIMEOUT);
        return;
    }
    connection->moved_bytes_mark = moved_bytes;
    connection->write_deadline = boot_add(server->now.boot, server->limits.write_stall_max);
}

static void read_is_overdue(struct http_connection *connection)
{
    connection->read_deadline = BOOT_NEVER;
    switch (connection->phase) {
    case PHASE_HANDSHAKE:
        connection->server->counts.handshakes_failed++;
        connection->server->counts.timeouts_total++;
        connection_kill(connection, ERR_TIMEOUT);
        break;
    case PHASE_HEAD:
        if (!connection->is_head_begun) {
            connection_linger(connection); /* nothing was asked: close in good order */
            break;
        }
        connection->server->counts.timeouts_total++;
        connection_refuse(connection, 408, "timeout", "the request's head took too long");
        break;
    case PHASE_BODY:
        connection->server->counts.timeouts_total++;
        if (connection->exchange.is_active)
            connection_refuse(connection, 408, "timeout", "the request's body came too slowly");
        else
            connection_kill(connection, ERR_TIMEOUT);
        break;
    default:
        connection_kill(connection, ERR_CLOSED);
        break;
    }
}

void connection_on_timer(void *context)
{
    struct http_connection *connection = context;
    server_touch(connection->server);
    struct boot_ns now = connection->server->now.boot;
    if (connection->end_deadline.ns <= now.ns)
        connection_kill(connection, ERR_CLOSED);
    if (connection->phase != PHASE_DEAD && connection->write_deadline.ns <= now.ns)
        check_writing(connection);
    if (connection->phase != PHASE_DEAD && connection->read_deadline.ns <= now.ns)
        read_is_overdue(connection);
    connection_rearm(connection);
}
