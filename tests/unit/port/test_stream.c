#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "port/loop.h"
#include "port/stream.h"

enum { BULK_BYTES = 32 << 20, PIECE_BYTES = 100000 };

struct fixture {
    struct loop *loop;
    struct listener *listener;
    struct stream *server;
    struct stream *client;
    struct loop_timer guard;
    char endpoint[ENDPOINT_TEXT_MAX];
    char folder[64];
    char text[256];
    size_t text_len;
    size_t sent, received;
    unsigned char next_byte;
    enum err connect_code, end_code;
    bool is_ended;
    int drains;
};

static void on_guard(void *context)
{
    (void)context;
    fail_msg("the test took too long");
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/lq-stream-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    assert_int_equal(loop_create(&fixture->loop), ERR_OK);
    loop_timer_init(&fixture->guard, fixture->loop, on_guard, fixture);
    loop_timer_set(&fixture->guard, SPAN_S(20));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    stream_close(fixture->client);
    stream_close(fixture->server);
    listener_close(fixture->listener);
    loop_timer_stop(&fixture->guard);
    loop_destroy(fixture->loop);
    assert_int_equal(rmdir(fixture->folder), 0); /* the socket's file is gone as well */
    free(fixture);
    return 0;
}

static void gather(void *context, struct slice bytes)
{
    struct fixture *fixture = context;
    assert_true(fixture->text_len + bytes.len < sizeof(fixture->text));
    memcpy(fixture->text + fixture->text_len, bytes.data, bytes.len);
    fixture->text_len += bytes.len;
}

static void stop_at_end(void *context, enum err why)
{
    struct fixture *fixture = context;
    fixture->is_ended = true;
    fixture->end_code = why;
    loop_stop(fixture->loop);
}

static const struct stream_events gather_events = {.on_bytes = gather, .on_end = stop_at_end};

static void accept_and_gather(void *context, struct stream *stream)
{
    struct fixture *fixture = context;
    fixture->server = stream;
    stream_listen(stream, &gather_events, fixture);
    assert_int_equal(stream_read_start(stream), ERR_OK);
}

static void connected(void *context, enum err code, struct stream *stream)
{
    struct fixture *fixture = context;
    fixture->connect_code = code;
    fixture->client = stream;
    if (code != ERR_OK) {
        loop_stop(fixture->loop);
        return;
    }
    stream_listen(stream, &gather_events, fixture);
    const struct slice pieces[] = {SLICE_LITERAL("ling"), SLICE_LITERAL(""), SLICE_LITERAL("qu")};
    assert_int_equal(stream_write_pieces(stream, pieces, 3), ERR_OK);
    assert_int_equal(stream_shutdown(stream), ERR_OK);
}

static void connect_to(struct fixture *fixture, const char *endpoint)
{
    struct connector *connector;
    assert_int_equal(
        connector_start(fixture->loop, endpoint, SPAN_S(5), connected, fixture, &connector),
        ERR_OK);
    assert_null(fixture->client);
    assert_int_equal(loop_run(fixture->loop), ERR_OK);
}

static void bytes_and_the_end_cross_tcp(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(listener_open(fixture->loop, "127.0.0.1:0", NULL, NULL, accept_and_gather,
                                   fixture, &fixture->listener),
                     ERR_OK);
    listener_endpoint(fixture->listener, fixture->endpoint);
    connect_to(fixture, fixture->endpoint);
    assert_string_equal(fixture->text, "lingqu");
    assert_int_equal(fixture->end_code, ERR_OK);
    struct stream_peer peer;
    assert_int_equal(stream_peer(fixture->server, &peer), ERR_OK);
    assert_false(peer.has_credentials);
    assert_memory_equal(peer.text, "127.0.0.1:", 10);
    struct listener *second;
    struct fault fault;
    assert_int_equal(listener_open(fixture->loop, fixture->endpoint, NULL, &fault,
                                   accept_and_gather, fixture, &second),
                     ERR_BUSY);
    assert_non_null(strstr(fault.message, fixture->endpoint));
}

static void a_unix_socket_tells_who_the_other_is_and_keeps_strangers_out(void **state)
{
    struct fixture *fixture = *state;
    snprintf(fixture->endpoint, sizeof(fixture->endpoint), "unix:%s/s", fixture->folder);
    assert_int_equal(listener_open(fixture->loop, fixture->endpoint, NULL, NULL, accept_and_gather,
                                   fixture, &fixture->listener),
                     ERR_OK);
    struct stat info;
    assert_int_equal(stat(fixture->endpoint + 5, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    connect_to(fixture, fixture->endpoint);
    assert_string_equal(fixture->text, "lingqu");
    struct stream_peer peer;
    assert_int_equal(stream_peer(fixture->server, &peer), ERR_OK);
    assert_true(peer.has_credentials);
    assert_int_equal(peer.pid, getpid());
    assert_int_equal(peer.uid, getuid());
    struct listener *second;
    assert_int_equal(listener_open(fixture->loop, fixture->endpoint, NULL, NULL, accept_and_gather,
                                   fixture, &second),
                     ERR_BUSY);
}

static void a_stale_unix_socket_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    snprintf(fixture->endpoint, sizeof(fixture->endpoint), "unix:%s/s", fixture->folder);
    char moved[128];
    snprintf(moved, sizeof(moved), "%s/moved", fixture->folder);
    assert_int_equal(listener_open(fixture->loop, fixture->endpoint, NULL, NULL, accept_and_gather,
                                   fixture, &fixture->listener),
                     ERR_OK);
    assert_int_equal(rename(fixture->endpoint + 5, moved), 0);
    listener_close(fixture->listener);
    assert_int_equal(rename(moved, fixture->endpoint + 5), 0); /* a file that nobody listens on */
    assert_int_equal(listener_open(fixture->loop, fixture->endpoint, NULL, NULL, accept_and_gather,
                                   fixture, &fixture->listener),
                     ERR_OK);
    connect_to(fixture, fixture->endpoint);
    assert_string_equal(fixture->text, "lingqu");
}

static void a_refused_connection_and_an_unknown_name_are_told(void **state)
{
    struct fixture *fixture = *state;
    connect_to(fixture, "127.0.0.1:1");
    assert_int_equal(fixture->connect_code, ERR_CLOSED);
    connect_to(fixture, "unix:/nonexistent/socket");
    assert_int_equal(fixture->connect_code, ERR_NOT_FOUND);
    connect_to(fixture, "name.invalid:80");
    assert_true(fixture->connect_code == ERR_NOT_FOUND || fixture->connect_code == ERR_BUSY);
    connect_to(fixture, "localhost:1");
    assert_int_equal(fixture->connect_code, ERR_CLOSED);
}

static void a_cancelled_connector_never_calls_back(void **state)
{
    struct fixture *fixture = *state;
    struct connector *connector;
    const char *const endpoints[] = {"localhost:1", "127.0.0.1:1", "unix:/nonexistent"};
    fixture->connect_code = ERR_COUNT_;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(
            connector_start(fixture->loop, endpoints[i], SPAN_S(5), connected, fixture, &connector),
            ERR_OK);
        if (i == 1)
            loop_turn(fixture->loop); /* under way */
        if (fixture->connect_code == ERR_COUNT_)
            connector_cancel(connector);
        fixture->connect_code = ERR_COUNT_;
    }
    loop_timer_stop(&fixture->guard);
    assert_int_equal(loop_run(fixture->loop), ERR_OK);
    assert_int_equal(fixture->connect_code, ERR_COUNT_);
}

/* ---- back-pressure: 32 MiB through a reader that pauses ---- */

static void bulk_fill(struct fixture *fixture)
{
    static char piece[PIECE_BYTES];
    while (fixture->sent < BULK_BYTES) {
        for (size_t i = 0; i < sizeof(piece); i++)
            piece[i] = (char)((fixture->sent + i) % 251);
        enum err code = stream_write(fixture->server, slice_make(piece, sizeof(piece)));
        if (code == ERR_LIMIT)
            return;
        assert_int_equal(code, ERR_OK);
        fixture->sent += sizeof(piece);
        assert_true(stream_pending(fixture->server) < (1 << 18) + PIECE_BYTES);
    }
    assert_int_equal(stream_shutdown(fixture->server), ERR_OK);
}

static void bulk_drained(void *context)
{
    struct fixture *fixture = context;
    fixture->drains++;
    assert_int_equal(stream_pending(fixture->server), 0);
    if (fixture->sent < BULK_BYTES)
        bulk_fill(fixture);
}

static void ignore_end(void *context, enum err why)
{
    (void)context;
    (void)why;
}

static const struct stream_events bulk_events = {
    .on_bytes = gather, .on_end = ignore_end, .on_drain = bulk_drained};

static void bulk_accept(void *context, struct stream *stream)
{
    struct fixture *fixture = context;
    fixture->server = stream;
    stream_listen(stream, &bulk_events, fixture);
    stream_pending_limit(stream, 1 << 18);
    bulk_fill(fixture);
    assert_true(fixture->sent < BULK_BYTES); /* the limit held */
}

static void bulk_resume(void *context)
{
    struct fixture *fixture = context;
    assert_int_equal(stream_read_start(fixture->client), ERR_OK);
}

static void bulk_received(void *context, struct slice bytes)
{
    struct fixture *fixture = context;
    for (size_t i = 0; i < bytes.len; i += 997)
        assert_int_equal((unsigned char)bytes.data[i], (fixture->received + i) % 251);
    size_t before = fixture->received;
    fixture->received += bytes.len;
    if (before / 4000000 != fixture->received / 4000000) {
        stream_read_stop(fixture->client);
        assert_int_equal(loop_post(fixture->loop, bulk_resume, fixture), ERR_OK);
    }
}

static const struct stream_events bulk_client_events = {.on_bytes = bulk_received,
                                                        .on_end = stop_at_end};

static void bulk_connected(void *context, enum err code, struct stream *stream)
{
    struct fixture *fixture = context;
    assert_int_equal(code, ERR_OK);
    fixture->client = stream;
    stream_listen(stream, &bulk_client_events, fixture);
    assert_int_equal(stream_read_start(stream), ERR_OK);
}

static void a_slow_reader_holds_the_writer_back_and_loses_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct connector *connector;
    assert_int_equal(listener_open(fixture->loop, "127.0.0.1:0", NULL, NULL, bulk_accept, fixture,
                                   &fixture->listener),
                     ERR_OK);
    listener_endpoint(fixture->listener, fixture->endpoint);
    assert_int_equal(connector_start(fixture->loop, fixture->endpoint, SPAN_S(5), bulk_connected,
                                     fixture, &connector),
                     ERR_OK);
    assert_int_equal(loop_run(fixture->loop), ERR_OK);
    assert_int_equal(fixture->received, fixture->sent);
    assert_true(fixture->received >= BULK_BYTES);
    assert_true(fixture->drains >= 2);
}

static void a_closed_peer_is_an_error_code_not_a_signal(void **state)
{
    struct fixture *fixture = *state;
    int fds[2];
    assert_int_equal(stream_pipe(fds), ERR_OK);
    assert_int_equal(stream_from_fd(fixture->loop, fds[1], &fixture->server), ERR_OK);
    stream_listen(fixture->server, &gather_events, fixture);
    close(fds[0]);
    assert_int_equal(stream_write(fixture->server, SLICE_LITERAL("x")), ERR_CLOSED);
    assert_int_equal(stream_write(fixture->server, SLICE_LITERAL("x")), ERR_CLOSED);
}

static void a_paused_listener_lets_newcomers_wait(void **state)
{
    struct fixture *fixture = *state;
    struct connector *connector;
    assert_int_equal(listener_open(fixture->loop, "[::1]:0", NULL, NULL, accept_and_gather, fixture,
                                   &fixture->listener),
                     ERR_OK);
    listener_endpoint(fixture->listener, fixture->endpoint);
    listener_pause(fixture->listener);
    assert_int_equal(connector_start(fixture->loop, fixture->endpoint, SPAN_S(5), connected,
                                     fixture, &connector),
                     ERR_OK);
    while (fixture->client == NULL)
        loop_turn(fixture->loop);
    for (int i = 0; i < 10; i++)
        loop_turn(fixture->loop);
    assert_null(fixture->server);
    listener_resume(fixture->listener);
    assert_null(fixture->server);
    assert_int_equal(loop_run(fixture->loop), ERR_OK);
    assert_string_equal(fixture->text, "lingqu");
}

static void odd_endpoints_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",      "host",  ":80",   "host:", "host:65536", "host:-1", "host:80x",
        "a b:1", "unix:", "[::1]", "[]:1",  "a\n:1",      "::1:80",  "host:8 0",
    };
    char path_too_long[160] = "unix:/";
    memset(path_too_long + 6, 'a', 110);
    bool is_unix;
    char host[ENDPOINT_TEXT_MAX];
    uint16_t port;
    assert_int_equal(endpoint_parse(path_too_long, &is_unix, host, &port), ERR_INVALID);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(endpoint_parse(bad[i], &is_unix, host, &port), ERR_INVALID);
    assert_int_equal(endpoint_parse("[fe80::1%eth0]:80", &is_unix, host, &port), ERR_OK);
    assert_string_equal(host, "fe80::1%eth0");
    assert_int_equal(endpoint_parse("a.b-c:8443", &is_unix, host, &port), ERR_OK);
    assert_int_equal(port, 8443);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(bytes_and_the_end_cross_tcp),
        CASE(a_unix_socket_tells_who_the_other_is_and_keeps_strangers_out),
        CASE(a_stale_unix_socket_is_replaced),
        CASE(a_refused_connection_and_an_unknown_name_are_told),
        CASE(a_cancelled_connector_never_calls_back),
        CASE(a_slow_reader_holds_the_writer_back_and_loses_nothing),
        CASE(a_closed_peer_is_an_error_code_not_a_signal),
        CASE(a_paused_listener_lets_newcomers_wait),
        cmocka_unit_test(odd_endpoints_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
