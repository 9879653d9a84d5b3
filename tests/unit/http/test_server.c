/* The server against well-meaning, clumsy and hostile raw sockets. */
#include "harness.h"

static int set_up(void **state)
{
    struct http_server_limits limits = {.head_max = {300},
                                        .handshake_max = {300},
                                        .body_stall_max = {300},
                                        .idle_max = {500},
                                        .write_stall_max = {300}};
    *state = harness_create(&limits);
    return 0;
}

static int tear_down(void **state)
{
    struct harness *harness = *state;
    harness_destroy(harness);
    return 0;
}

static void a_body_comes_back_and_the_connection_is_kept(void **state)
{
    struct raw raw;
    raw_open(*state, &raw);
    raw_send(&raw, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    raw_until_text(&raw, "\r\n\r\nhello");
    raw_send(&raw, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "3\r\nwor\r\n2\r\nld\r\n0\r\n\r\n");
    raw_until_text(&raw, "\r\n\r\nworld");
    raw_until_end(&raw); /* idle for too long: closed in good order, without a word */
    assert_int_equal(raw.end_code, ERR_OK);
    assert_null(strstr(raw.text, "408"));
    raw_close(&raw);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct harness *harness = *state;
    struct raw raw;
    raw_open(harness, &raw);
    raw_send(&raw, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"
                   "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\ntwo"
                   "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
    while (harness->held == NULL)
        loop_turn(harness->loop);
    for (int i = 0; i < 20; i++)
        loop_turn(harness->loop);
    assert_int_equal(harness->requests, 1); /* the next is not even begun */
    assert_int_equal(raw.len, 0);
    http_exchange_respond_json(harness->held, 200, SLICE_LITERAL("one"));
    raw_until_text(&raw, "not_found");
    const char *one = strstr(raw.text, "\r\n\r\none");
    const char *two = strstr(raw.text, "\r\n\r\ntwo");
    const char *three = strstr(raw.text, "404 Not Found");
    assert_true(one != NULL && two > one && three > two);
    assert_non_null(strstr(raw.text, "there is \\\"no\\\" such route"));
    raw_close(&raw);
}

static void a_half_closed_client_still_gets_its_answers(void **state)
{
    struct harness *harness = *state;
    struct raw raw;
    raw_open(harness, &raw);
    raw_send(&raw, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
                   "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\ntwo");
    assert_int_equal(stream_shutdown(raw.stream), ERR_OK);
    raw_until_end(&raw);
    assert_non_null(strstr(raw.text, "\r\n\r\none"));
    assert_non_null(strstr(raw.text, "\r\n\r\ntwo"));
    raw_close(&raw);
}

static void a_long_poll_ends_when_its_client_goes(void **state)
{
    struct harness *harness = *state;
    struct raw raw;
    raw_open(harness, &raw);
    raw_send(&raw, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    while (harness->held == NULL)
        loop_turn(harness->loop);
    raw_close(&raw);
    while (harness->closes == 0) {
        loop_turn(harness->loop);
    }
    assert_int_equal(harness->why, ERR_CLOSED);
    assert_null(harness->held);
}

static void malformed_requests_are_refused_and_the_connection_ends(void **state)
{
    static const struct {
        int status;
        const char *request;
    } cases[] = {
        {400, "GET /echo HTTP/1.1\r\n\r\n"},
        {400, "GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
        {400, "GET /echo HTTP/1.1\nHost: a\n\n"},
        {400, "GET /echo HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n"},
        {400, "GET /echo HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n"},
        {400, "GET /echo HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n"},
        {400, "GET /echo HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n"},
        {400, "GET /echo HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
              "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400,
         "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"},
        {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
              "ffffffffffffffffff\r\n"},
        {400, "\x16\x03\x01\x02\x01\x01"},
        {505, "GET /echo HTTP/2.0\r\nHost: a\r\n\r\n"},
        {413, "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n"},
        {413, "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n"
              "Expect: 100-continue\r\n\r\n"},
        {417, "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: tea\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        raw_expect(*state, cases[i].request, cases[i].status);
}

static void a_chunked_body_past_its_route_limit_is_413(void **state)
{
    struct harness *harness = *state;
    raw_expect(harness,
               "POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
               "20\r\n0123456789abcdef0123456789abcdef\r\n"
               "20\r\n0123456789abcdef0123456789abcdef\r\n"
               "20\r\n0123456789abcdef0123456789abcdef\r\n"
               "20\r\n0123456789abcdef0123456789abcdef\r\n0\r\n\r\n",
               413);
    assert_int_equal(harness->closes, 1);
    assert_int_equal(harness->why, ERR_LIMIT);
}

static char *long_text(const char *before, size_t count, const char *after)
{
    size_t before_len = strlen(before), after_len = strlen(after);
    char *text = malloc(before_len + count + after_len + 1);
    assert_non_null(text);
    memcpy(text, before, before_len);
    memset(text + before_len, 'a', count);
    memcpy(text + before_len + count, after, after_len + 1);
    return text;
}

static void huge_heads_are_refused(void **state)
{
    char *target = long_text("GET /", 20000, " HTTP/1.1\r\nHost: a\r\n\r\n");
    char *header = long_text("GET / HTTP/1.1\r\nHost: a\r\nX: ", 40000, "\r\n\r\n");
    raw_expect(*state, target, 414);
    raw_expect(*state, header, 431);
    free(target);
    free(header);
    char many[8192] = "GET / HTTP/1.1\r\nHost: a\r\n";
    size_t len = strlen(many);
    for (int i = 0; i < 101; i++)
        len += (size_t)snprintf(many + len, sizeof(many) - len, "X%d: y\r\n", i);
    snprintf(many + len, sizeof(many) - len, "\r\n");
    raw_expect(*state, many, 431);
}

static void slow_heads_and_bodies_get_408(void **state)
{
    struct harness *harness = *state;
    raw_expect(harness, "GET /echo HTTP/1.1\r\nHost: a\r\n", 408);
    raw_expect(harness, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nabc", 408);
    raw_expect(harness, "", 0); /* said nothing: nothing is said */
    struct http_server_counts counts;
    http_server_counts(harness->server, &counts);
    assert_int_equal(counts.timeouts_total, 2);
    assert_int_equal(counts.requests_now, 0);
}

struct dripper {
    struct raw raw;
    struct loop_timer timer;
    const char *piece;
};

static void on_drip_timer(void *context)
{
    struct dripper *dripper = context;
    if (dripper->raw.is_ended)
        return;
    raw_send(&dripper->raw, dripper->piece);
    loop_timer_set(&dripper->timer, SPAN_MS(50));
}

static void a_trickle_that_never_stops_is_cut_off_all_the_same(void **state)
{
    struct harness *harness = *state;
    struct dripper drippers[2] = {{.piece = "X: y\r\n"}, {.piece = "b"}};
    static const char *const begins[] = {
        "GET /echo HTTP/1.1\r\nHost: a\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n"};
    for (int i = 0; i < 2; i++) {
        const char *piece = drippers[i].piece;
        raw_open(harness, &drippers[i].raw);
        drippers[i].piece = piece;
        raw_send(&drippers[i].raw, begins[i]);
        loop_timer_init(&drippers[i].timer, harness->loop, on_drip_timer, &drippers[i]);
        loop_timer_set(&drippers[i].timer, SPAN_MS(50));
    }
    for (int i = 0; i < 2; i++) {
        raw_until_end(&drippers[i].raw);
        loop_timer_stop(&drippers[i].timer);
        assert_non_null(strstr(drippers[i].raw.text, "HTTP/1.1 408 "));
        raw_close(&drippers[i].raw);
    }
}

static void a_client_that_does_not_read_is_cut_off(void **state)
{
    struct harness *harness = *state;
    struct raw raw;
    raw_open(harness, &raw);
    stream_read_stop(raw.stream);
    raw_send(&raw, "GET /drip HTTP/1.1\r\nHost: a\r\n\r\n");
    while (harness->closes == 0)
        loop_turn(harness->loop);
    assert_int_equal(harness->why, ERR_TIMEOUT);
    raw_close(&raw);
}

static void a_late_answer_is_not_judged_by_an_old_clock(void **state)
{
    struct harness *harness = *state;
    struct raw raw;
    char *body = calloc(1, 900000);
    raw_open(harness, &raw);
    stream_read_stop(raw.stream);
    raw_send(&raw, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    while (harness->held == NULL)
        loop_turn(harness->loop);
    /* the server sees nothing for longer than its write limit (300 ms), then the answer does not
     * fit the socket */
    struct boot_ns until = boot_add(loop_now(harness->loop).boot, SPAN_MS(900));
    while (boot_is_before(loop_now(harness->loop).boot, until))
        loop_turn(harness->loop);
    http_exchange_start(harness->held, 200, NULL, 0, -1);
    while (http_exchange_pending(harness->held) == 0)
        assert_int_equal(http_exchange_write(harness->held, slice_make(body, 900000)), ERR_OK);
    struct boot_ns soon = boot_add(loop_now(harness->loop).boot, SPAN_MS(150));
    while (boot_is_before(loop_now(harness->loop).boot, soon))
        loop_turn(harness->loop);
    assert_int_equal(harness->closes, 0);
    raw_close(&raw);
    free(body);
}

static void an_endless_answer_ends_with_its_client(void **state)
{
    struct harness *harness = *state;
    struct raw raw;
    raw_open(harness, &raw);
    raw_send(&raw, "GET /drip HTTP/1.1\r\nHost: a\r\n\r\n");
    while (raw.len < 300000)
        loop_turn(harness->loop);
    raw_close(&raw);
    while (harness->closes == 0)
        loop_turn(harness->loop);
    assert_int_equal(harness->why, ERR_CLOSED);
}

static void an_aborted_body_is_told_and_holds_nothing(void **state)
{
    struct harness *harness = *state;
    struct raw raw;
    raw_open(harness, &raw);
    raw_send(&raw, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\nhalf");
    while (harness->requests == 0)
        loop_turn(harness->loop);
    raw_close(&raw);
    while (harness->closes == 0)
        loop_turn(harness->loop);
    assert_int_equal(harness->why, ERR_CLOSED);
    struct http_server_counts counts;
    http_server_counts(harness->server, &counts);
    assert_int_equal(counts.connections_now, 0);
    assert_int_equal(counts.requests_now, 0);
}

static void expect_continue_is_answered_when_the_body_is_wanted(void **state)
{
    struct raw raw;
    raw_open(*state, &raw);
    raw_send(&raw, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                   "Expect: 100-continue\r\n\r\n");
    raw_until_text(&raw, "HTTP/1.1 100 Continue\r\n\r\n");
    raw_send(&raw, "ok");
    raw_until_text(&raw, "HTTP/1.1 200 OK\r\n");
    raw_until_text(&raw, "\r\n\r\nok");
    raw_close(&raw);
    raw_open(*state, &raw); /* and where it is not wanted, the connection ends */
    raw_send(&raw, "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                   "Expect: 100-continue\r\n\r\n");
    raw_until_end(&raw);
    assert_null(strstr(raw.text, "100 Continue"));
    assert_non_null(strstr(raw.text, "200 OK"));
    assert_non_null(strstr(raw.text, "connection: close"));
    raw_close(&raw);
}

static void an_unwanted_body_is_skipped_or_ends_the_connection(void **state)
{
    struct raw raw;
    raw_open(*state, &raw);
    raw_send(&raw, "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345"
                   "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nnext");
    raw_until_text(&raw, "\r\n\r\nnext");
    raw_close(&raw);
    raw_open(*state, &raw);
    raw_send(&raw, "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
    raw_until_end(&raw);
    assert_non_null(strstr(raw.text, "connection: close\r\n"));
    raw_close(&raw);
}

static void an_unwanted_body_without_length_is_skipped_up_to_a_limit(void **state)
{
    struct harness *harness = *state;
    struct raw raw;
    char chunk[4096 + 8];
    int len = snprintf(chunk, sizeof(chunk), "1000\r\n");
    memset(chunk + len, 'x', 4096);
    memcpy(chunk + len + 4096, "\r\n", 2);
    raw_open(harness, &raw);
    raw_send(&raw, "POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 40; i++)
        raw_send_bytes(&raw, slice_make(chunk, (size_t)len + 4098));
    raw_send(&raw, "0\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
    raw_until_end(&raw);
    assert_int_equal(harness->requests, 1);
    raw_close(&raw);
}

static void a_client_that_asks_without_reading_waits(void **state)
{
    enum { ASKED = 40, BODY = 900000 };
    struct harness *harness = *state;
    struct raw raw;
    char *request = calloc(1, BODY + 200);
    int len = snprintf(request, 200, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
                       BODY);
    raw_open(harness, &raw);
    stream_read_stop(raw.stream);
    for (int i = 0; i < ASKED; i++)
        raw_send_bytes(&raw, slice_make(request, (size_t)len + BODY));
    while (harness->closes < harness->requests || harness->requests == 0)
        loop_turn(harness->loop);
    struct boot_ns until = boot_add(loop_now(harness->loop).boot, SPAN_MS(200));
    while (boot_is_before(loop_now(harness->loop).boot, until))
        loop_turn(harness->loop);
    assert_true(harness->requests < ASKED / 2); /* what the kernel's buffers took, and one */
    raw_close(&raw);
    free(request);
}

static void head_and_old_clients_are_served_as_they_expect(void **state)
{
    struct raw raw;
    raw_open(*state, &raw);
    raw_send(&raw, "HEAD /ignore HTTP/1.1\r\nHost: a\r\n\r\n");
    raw_until_text(&raw, "content-length: 2\r\n");
    raw_send(&raw, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nnext");
    raw_until_text(&raw, "next");
    assert_null(strstr(raw.text, "{}"));
    raw_close(&raw);
    raw_open(*state, &raw); /* HTTP/1.0: no chunks, the end of the connection ends the body */
    raw_send(&raw, "POST /stream HTTP/1.0\r\nContent-Length: 3\r\n\r\nold");
    raw_until_end(&raw);
    assert_null(strstr(raw.text, "chunked"));
    assert_non_null(strstr(raw.text, "\r\n\r\nold"));
    raw_close(&raw);
}

static void a_header_that_would_split_the_answer_becomes_500(void **state)
{
    struct raw raw;
    raw_open(*state, &raw);
    raw_send(&raw, "GET /bad-header HTTP/1.1\r\nHost: a\r\n\r\n");
    raw_until_text(&raw, "HTTP/1.1 500 ");
    assert_null(strstr(raw.text, "set-cookie"));
    raw_close(&raw);
}

static void byte_by_byte_is_as_good_as_whole(void **state)
{
    static const char request[] =
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nend";
    struct harness *harness = *state;
    struct raw raw;
    raw_open(harness, &raw);
    for (size_t i = 0; i < sizeof(request) - 1; i++) {
        raw_send_bytes(&raw, slice_make(request + i, 1));
        loop_turn(harness->loop);
    }
    raw_until_text(&raw, "\r\n\r\nhello!");
    raw_until_text(&raw, "\r\n\r\nend");
    raw_close(&raw);
}

static void on_drained(void *context)
{
    ((struct harness *)context)->is_drained = true;
}

static void draining_lets_answers_end_and_idle_ones_go(void **state)
{
    struct harness *harness = *state;
    struct raw idle, held;
    raw_open(harness, &idle);
    raw_send(&idle, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    raw_until_text(&idle, "\r\n\r\nx");
    raw_open(harness, &held);
    raw_send(&held, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    while (harness->held == NULL)
        loop_turn(harness->loop);
    http_server_drain(harness->server, SPAN_S(10), on_drained, harness);
    raw_until_end(&idle);
    assert_false(harness->is_drained);
    http_exchange_respond_json(harness->held, 200, SLICE_LITERAL("last"));
    raw_until_end(&held);
    assert_non_null(strstr(held.text, "connection: close"));
    assert_non_null(strstr(held.text, "last"));
    raw_close(&held);
    raw_close(&idle);
    harness_until(harness, &harness->is_drained);
    assert_int_equal(harness->why, ERR_OK);
}

static void draining_cuts_what_does_not_end(void **state)
{
    struct harness *harness = *state;
    struct raw held;
    raw_open(harness, &held);
    raw_send(&held, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    while (harness->held == NULL)
        loop_turn(harness->loop);
    http_server_drain(harness->server, SPAN_MS(50), on_drained, harness);
    harness_until(harness, &harness->is_drained);
    assert_int_equal(harness->closes, 1);
    assert_int_equal(harness->why, ERR_CLOSED);
    raw_close(&held);
}

static void destroying_the_server_closes_every_exchange_once(void **state)
{
    struct harness *harness = *state;
    struct raw held, unheard;
    raw_open(harness, &held);
    raw_send(&held, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    raw_open(harness, &unheard);
    raw_send(&unheard, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    while (harness->requests < 2)
        loop_turn(harness->loop);
    http_server_destroy(harness->server);
    harness->server = NULL;
    assert_int_equal(harness->closes, 2);
    raw_close(&held);
    raw_close(&unheard);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_body_comes_back_and_the_connection_is_kept),
        CASE(pipelined_requests_are_answered_in_order),
        CASE(a_half_closed_client_still_gets_its_answers),
        CASE(a_long_poll_ends_when_its_client_goes),
        CASE(malformed_requests_are_refused_and_the_connection_ends),
        CASE(a_chunked_body_past_its_route_limit_is_413),
        CASE(huge_heads_are_refused),
        CASE(slow_heads_and_bodies_get_408),
        CASE(a_trickle_that_never_stops_is_cut_off_all_the_same),
        CASE(a_client_that_does_not_read_is_cut_off),
        CASE(a_late_answer_is_not_judged_by_an_old_clock),
        CASE(an_endless_answer_ends_with_its_client),
        CASE(an_aborted_body_is_told_and_holds_nothing),
        CASE(expect_continue_is_answered_when_the_body_is_wanted),
        CASE(an_unwanted_body_is_skipped_or_ends_the_connection),
        CASE(an_unwanted_body_without_length_is_skipped_up_to_a_limit),
        CASE(a_client_that_asks_without_reading_waits),
        CASE(head_and_old_clients_are_served_as_they_expect),
        CASE(a_header_that_would_split_the_answer_becomes_500),
        CASE(byte_by_byte_is_as_good_as_whole),
        CASE(draining_lets_answers_end_and_idle_ones_go),
        CASE(draining_cuts_what_does_not_end),
        CASE(destroying_the_server_closes_every_exchange_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
