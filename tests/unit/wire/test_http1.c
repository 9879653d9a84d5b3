#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/random.h"
#include "wire/http1.h"

#define S(text) slice_of(text)

/* Everything that happens, as one text: H heads, B bodies (joined), E ends, F end of file, !
 * refusals. */
struct story {
    struct buffer text;
    bool is_in_body;
};

static void tell_head(struct story *story, const struct http1_head *head)
{
    buffer_printf(&story->text, "H(%.*s %.*s %u host=%.*s n=%zu%s%s%s)",
                  SLICE_ARG(head->method_text), SLICE_ARG(head->target), head->status,
                  SLICE_ARG(head->host), head->header_count, head->has_body ? " body" : "",
                  head->is_kept_alive ? " keep" : "", head->expects_continue ? " expect" : "");
}

static void tell(struct story *story, const struct http1_event *event)
{
    if (event->type != HTTP1_EVENT_BODY && story->is_in_body) {
        buffer_append_char(&story->text, ')');
        story->is_in_body = false;
    }
    if (event->type == HTTP1_EVENT_HEAD)
        tell_head(story, event->head);
    else if (event->type == HTTP1_EVENT_END)
        buffer_append_char(&story->text, 'E');
    else if (event->type == HTTP1_EVENT_BODY) {
        buffer_append_text(&story->text, story->is_in_body ? "" : "B(");
        buffer_append(&story->text, event->body);
        story->is_in_body = true;
    }
}

/* False: refused. */
static bool feed(struct http1_parser *parser, struct slice input, struct story *story)
{
    struct http1_event event;
    struct fault fault;
    for (;;) {
        size_t used = SIZE_MAX;
        if (http1_parse(parser, input, &used, &event, &fault) != ERR_OK) {
            event.type = HTTP1_EVENT_NEED_MORE;
            tell(story, &event);
            buffer_printf(&story->text, "!%s %u", err_name(fault.code),
                          http1_parser_status(parser));
            /* It stays so. */
            assert_int_equal(http1_parse(parser, input, &used, &event, NULL), fault.code);
            return false;
        }
        assert_true(used <= input.len);
        input.data += used;
        input.len -= used;
        if (event.type == HTTP1_EVENT_NEED_MORE)
            return true;
        tell(story, &event);
    }
}

static void run(enum http1_side side, const struct http1_limits *limits, struct slice input,
                size_t step, enum http1_method reply_to, struct story *story)
{
    struct http1_parser *parser = NULL;
    assert_int_equal(http1_parser_create(side, limits, &parser), ERR_OK);
    http1_parser_expect(parser, reply_to);
    buffer_reset(&story->text);
    story->is_in_body = false;
    bool is_good = true;
    while (is_good && input.len > 0) {
        size_t len = input.len < step ? input.len : step;
        /* A copy of its own, so that a sanitizer sees any look past the piece. */
        char *piece = malloc(len);
        memcpy(piece, input.data, len);
        is_good = feed(parser, slice_make(piece, len), story);
        free(piece);
        input.data += len;
        input.len -= len;
    }
    struct http1_event event;
    if (is_good && http1_parse_eof(parser, &event, NULL) == ERR_OK) {
        tell(story, &event);
        buffer_append_char(&story->text, 'F');
    } else if (is_good) {
        event.type = HTTP1_EVENT_NEED_MORE;
        tell(story, &event);
        buffer_append_text(&story->text, "!cut");
    }
    http1_parser_destroy(parser);
}

static void expect(enum http1_side side, const char *input, const char *expected)
{
    struct story story = {.is_in_body = false};
    buffer_init(&story.text, 100000);
    for (size_t step = 1; step < 100; step = step * 3 + 1) {
        run(side, &HTTP1_LIMITS_DEFAULT, S(input), step, HTTP1_GET, &story);
        if (strcmp(buffer_text(&story.text), expected) != 0)
            fail_msg("step %zu of %s\n gave %s\n not  %s", step, input, buffer_text(&story.text),
                     expected);
    }
    buffer_deinit(&story.text);
}

static void expect_request(const char *input, const char *expected)
{
    expect(HTTP1_REQUESTS, input, expected);
}

static void expect_response(const char *input, const char *expected)
{
    expect(HTTP1_RESPONSES, input, expected);
}

static void requests_follow_each_other_on_one_connection(void **state)
{
    (void)state;
    expect_request("GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                   "POST /b?x=1 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\nhello"
                   "PUT /c HTTP/1.1\r\nhost: [::1]:8443\r\nTransfer-Encoding: Chunked\r\n\r\n"
                   "3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
                   "GET /d HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n",
                   "H(GET / 0 host=a n=1 keep)E"
                   "H(POST /b?x=1 0 host=a:80 n=2 body keep)B(hello)E"
                   "H(PUT /c 0 host=[::1]:8443 n=2 body keep)B(abcde)E"
                   "H(GET /d 0 host=a n=2)EF");
}

static void absolute_targets_and_stars_are_understood(void **state)
{
    (void)state;
    expect_request("GET http://h:8/p?q HTTP/1.1\r\nHost: H:8\r\n\r\n"
                   "GET https://h HTTP/1.1\r\nHost: h\r\n\r\n"
                   "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
                   "H(GET /p?q 0 host=H:8 n=1 keep)EH(GET / 0 host=h n=1 keep)E"
                   "H(OPTIONS * 0 host=h n=1 keep)EF");
    expect_request("GET http://h/ HTTP/1.1\r\nHost: other\r\n\r\n", "!invalid 400");
    expect_request("GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n", "!invalid 400");
    expect_request("GET * HTTP/1.1\r\nHost: h\r\n\r\n", "!invalid 400");
    expect_request("GET a/b HTTP/1.1\r\nHost: h\r\n\r\n", "!invalid 400");
    expect_request("GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", "!invalid 400");
    expect_request("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", "!invalid 400");
    expect_request("GET /\xC3\xA9 HTTP/1.1\r\nHost: h\r\n\r\n", "!invalid 400");
    expect_request("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", "!invalid 501");
}

static void old_clients_are_answered_and_closed(void **state)
{
    (void)state;
    expect_request("GET / HTTP/1.0\r\n\r\n", "H(GET / 0 host= n=0)EF");
    expect_request("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n",
                   "H(GET / 0 host= n=1 keep)EH(GET /2 0 host= n=0)EF");
    expect_request("GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n",
                   "H(GET / 0 host= n=0)E!invalid 400");
}

static void the_version_must_be_one_that_we_speak(void **state)
{
    (void)state;
    expect_request("GET /\r\n\r\n", "!invalid 400");
    expect_request("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "!invalid 505");
    expect_request("GET / HTTP/1.2\r\nHost: a\r\n\r\n", "!invalid 505");
    expect_request("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "!invalid 505");
    expect_request("GET / http/1.1\r\nHost: a\r\n\r\n", "!invalid 400");
    expect_request("\x16\x03\x01", "!invalid 400"); /* somebody speaks TLS to us */
}

static void the_host_must_be_one(void **state)
{
    (void)state;
    expect_request("GET / HTTP/1.1\r\n\r\n", "!invalid 400");
    expect_request("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "!invalid 400");
    expect_request("GET / HTTP/1.1\r\nHost:\r\n\r\n", "!invalid 400");
    expect_request("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "!invalid 400");
    expect_request("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "!invalid 400");
    expect_request("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", "!invalid 400");
    expect_request("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "!invalid 400");
}

static void framing_that_two_readers_could_read_in_two_ways_is_refused(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "Content-Length: 1\r\nContent-Length: 1",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Content-Length: 1, 1",
        "Content-Length: +1",
        "Content-Length: 0x1",
        "Content-Length:",
        "Content-Length: 18446744073709551616",
        "Content-Length : 1",
        "Content-Length\t: 1",
        ": 1",
        " X: 1",
        "X",
        "X: 1\r\n Y: 2",
        "X: a\x01",
        "X: a\x7F",
        "X: a\rb",
        "X: a\nY: b",
        "X\x00Y: a",
        "X(: a",
        "Expect: a\r\nExpect: b",
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        char text[300];
        snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", headers[i]);
        expect_request(text, "!invalid 400");
    }
    expect_request("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                   "!invalid 501");
    expect_request("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
                   "!invalid 501");
    expect_request("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "!invalid 400");
    expect_request("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "!invalid 400");
    expect_request("GET / HTTP/1.1\nHost: a\n\n", "!invalid 400");
    expect_request("FOO / HTTP/1.1\r\nHost: a\r\n\r\n", "!invalid 501");
    expect_request("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", "!invalid 400");
}

static void odd_chunks_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "zz\r\n",          "3\nabc\r\n0\r\n\r\n", "3 \r\nabc\r\n", "\r\n",
        "-1\r\n",          "0x3\r\nabc\r\n",      "3;\nabc\r\n",   "fffffffffffffffff\r\n",
        "0\r\nT: v\n\r\n", "0\r\n: v\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        char text[300];
        snprintf(text, sizeof(text),
                 "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%s", bodies[i]);
        expect_request(text, "H(POST / 0 host=a n=2 body keep)!invalid 400");
    }
}

static void expectations_are_told_or_refused(void **state)
{
    (void)state;
    expect_request(
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
        "H(PUT / 0 host=a n=3 body keep expect)B(x)EF");
    expect_request("PUT / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", "!invalid 417");
}

static void upgrades_are_left_alone(void **state)
{
    (void)state;
    expect_request("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
                   "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
                   "H(GET / 0 host=a n=3 keep)EH(GET /2 0 host=a n=1 keep)EF");
}

static void responses_end_by_length_chunks_or_connection(void **state)
{
    (void)state;
    expect_response("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
                    "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"
                    "HTTP/1.1 304\r\nContent-Length: 7\r\n\r\n"
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
                    "HTTP/1.1 200 \r\n\r\nuntil the end",
                    "H(  100 host= n=0 keep)EH(  200 host= n=1 body keep)B(hi)E"
                    "H(  204 host= n=1 keep)EH(  304 host= n=1 keep)E"
                    "H(  200 host= n=1 body keep)B(x)EH(  200 host= n=0 body)B(until the end)EF");
    expect_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
                    "H(  200 host= n=1 body keep)B(hi)!cut");
    expect_response("HTTP/1.1 200 OK\r\nContent-", "!cut");
    expect_response("HTTP/1.1 101 Switching\r\n\r\n", "!invalid 400");
    expect_response("HTTP/1.1 20 OK\r\n\r\n", "!invalid 400");
    expect_response("HTTP/1.1 099 OK\r\n\r\n", "!invalid 400");
}

static void a_reply_to_head_has_no_body(void **state)
{
    (void)state;
    struct story story = {.is_in_body = false};
    buffer_init(&story.text, 1000);
    run(HTTP1_RESPONSES, &HTTP1_LIMITS_DEFAULT,
        S("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), 5, HTTP1_HEAD,
        &story);
    assert_string_equal(buffer_text(&story.text),
                        "H(  200 host= n=1 keep)EH(  200 host= n=0 keep)EF");
    buffer_deinit(&story.text);
}

static void expect_limited(const char *input, const char *expected)
{
    static const struct http1_limits limits = {
        .head_bytes = 200,
        .target_bytes = 20,
        .headers = 3,
        .name_bytes = 14,
        .value_bytes = 30,
        .trailer_bytes = 10,
        .body_bytes = 8,
    };
    struct story story = {.is_in_body = false};
    buffer_init(&story.text, 1000);
    for (size_t step = 1; step < 1000; step *= 999) {
        run(HTTP1_REQUESTS, &limits, S(input), step, HTTP1_GET, &story);
        assert_string_equal(buffer_text(&story.text), expected);
    }
    buffer_deinit(&story.text);
}

#define TEN "0123456789"
#define POST_CHUNKED "POST / HTTP/1.1\r\nHost: a\r\nX: a\r\nTransfer-Encoding: chunked\r\n\r\n"

static void every_limit_has_its_answer(void **state)
{
    (void)state;
    expect_limited("GET /" TEN TEN " HTTP/1.1\r\nHost: a\r\n\r\n", "!limit 414");
    expect_limited("GET /" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN, "!limit 414");
    expect_limited("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nB: c\r\nC: d\r\n\r\n", "!limit 431");
    expect_limited("GET / HTTP/1.1\r\nHost: a\r\nX" TEN TEN ": b\r\n\r\n", "!limit 431");
    expect_limited("GET / HTTP/1.1\r\nHost: a\r\nX: " TEN TEN TEN "1\r\n\r\n", "!limit 431");
    expect_limited("GET / HTTP/1.1\r\nHost: a\r\nX: " TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
                       TEN TEN TEN TEN TEN TEN TEN,
                   "!limit 431");
    expect_limited("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789",
                   "H(PUT / 0 host=a n=2 body keep)!limit 413");
    expect_limited("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n12345678",
                   "H(PUT / 0 host=a n=2 body keep)B(12345678)EF");
    /* Names of 17 characters are too long for this server, which has no chunked bodies then. */
    expect_limited(POST_CHUNKED, "!limit 431");
}

static void chunked_bodies_are_bounded_too(void **state)
{
    (void)state;
    struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct story story = {.is_in_body = false};
    struct buffer input;
    buffer_init(&story.text, 100000);
    buffer_init(&input, 1u << 20);
    limits.body_bytes = 8;
    limits.trailer_bytes = 100;
    buffer_append_text(&input, POST_CHUNKED "4\r\nabcd\r\n5\r\nefghi\r\n0\r\n\r\n");
    run(HTTP1_REQUESTS, &limits, buffer_slice(&input), 1, HTTP1_GET, &story);
    assert_string_equal(buffer_text(&story.text),
                        "H(POST / 0 host=a n=3 body keep)B(abcdefgh)!limit 413");
    buffer_reset(&input);
    buffer_append_text(&input, POST_CHUNKED "0\r\n");
    for (unsigned i = 0; i < 30; i++)
        buffer_append_text(&input, "Name: value\r\n");
    run(HTTP1_REQUESTS, &limits, buffer_slice(&input), 7, HTTP1_GET, &story);
    assert_string_equal(buffer_text(&story.text), "H(POST / 0 host=a n=3 body keep)!limit 431");
    buffer_reset(&input);
    buffer_append_text(&input, POST_CHUNKED);
    for (unsigned i = 0; i < 3000; i++) /* leading zeros without end */
        buffer_append_char(&input, '0');
    run(HTTP1_REQUESTS, &limits, buffer_slice(&input), 7, HTTP1_GET, &story);
    assert_string_equal(buffer_text(&story.text), "H(POST / 0 host=a n=3 body keep)!limit 431");
    buffer_deinit(&input);
    buffer_deinit(&story.text);
}

static void the_body_limit_can_be_set_per_route(void **state)
{
    (void)state;
    struct http1_parser *parser = NULL;
    struct http1_event event;
    struct fault fault;
    size_t used;
    struct slice input = S("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000000\r\n\r\n");
    assert_int_equal(http1_parser_create(HTTP1_REQUESTS, &HTTP1_LIMITS_DEFAULT, &parser), ERR_OK);
    assert_false(http1_parser_is_within_message(parser));
    assert_int_equal(http1_parse(parser, input, &used, &event, &fault), ERR_OK);
    assert_int_equal(event.type, HTTP1_EVENT_HEAD);
    assert_true(http1_parser_is_within_message(parser));
    http1_parser_set_body_limit(parser, UINT64_MAX);
    assert_int_equal(http1_parse(parser, S("x"), &used, &event, &fault), ERR_OK);
    assert_int_equal(event.type, HTTP1_EVENT_BODY);
    http1_parser_set_body_limit(parser, 10);
    assert_int_equal(http1_parse(parser, S("x"), &used, &event, &fault), ERR_LIMIT);
    assert_int_equal(http1_parser_status(parser), 413);
    http1_parser_destroy(parser);
    http1_parser_destroy(NULL);
}

static void headers_are_found_in_any_case(void **state)
{
    (void)state;
    struct http1_parser *parser = NULL;
    struct http1_event event;
    size_t used;
    struct slice input = S("GET / HTTP/1.1\r\nHost: a\r\nACCEPT: \t text/html ,a/b\t\r\n"
                           "Accept: c/d\r\nEmpty:\r\n\r\n");
    assert_int_equal(http1_parser_create(HTTP1_REQUESTS, &HTTP1_LIMITS_DEFAULT, &parser), ERR_OK);
    assert_int_equal(http1_parse(parser, input, &used, &event, NULL), ERR_OK);
    const struct http1_head *head = event.head;
    assert_true(slice_is(http1_head_value(head, "accept"), "text/html ,a/b"));
    assert_true(http1_head_has_token(head, "Accept", "A/B"));
    assert_true(http1_head_has_token(head, "Accept", "c/d"));
    assert_false(http1_head_has_token(head, "Accept", "text"));
    assert_null(http1_head_find(head, "Acc"));
    assert_null(http1_head_value(head, "Acceptt").data);
    assert_int_equal(http1_head_value(head, "empty").len, 0);
    assert_non_null(http1_head_find(head, "empty"));
    http1_parser_destroy(parser);
}

static void written_messages_are_read_back(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 10000);
    assert_int_equal(http1_write_request_line(&out, S("POST"), S("/x?y")), ERR_OK);
    assert_int_equal(http1_write_header_text(&out, "Host", "a"), ERR_OK);
    assert_int_equal(http1_write_header_text(&out, "Transfer-Encoding", "chunked"), ERR_OK);
    http1_write_head_end(&out);
    char zeros[5000];
    memset(zeros, 'z', sizeof(zeros));
    http1_write_chunk(&out, S("abc"));
    http1_write_chunk(&out, S(""));
    http1_write_chunk(&out, slice_make(zeros, sizeof(zeros)));
    buffer_append(&out, HTTP1_BODY_END);
    assert_non_null(memmem(out.data, out.len, "\r\n1388\r\n", 8));
    struct story story = {.is_in_body = false};
    buffer_init(&story.text, 10000);
    run(HTTP1_REQUESTS, &HTTP1_LIMITS_DEFAULT, buffer_slice(&out), 1000, HTTP1_GET, &story);
    assert_int_equal(story.text.len, strlen("H(POST /x?y 0 host=a n=2 body keep)B(abc)EF") + 5000);
    buffer_deinit(&story.text);
    buffer_reset(&out);
    http1_write_status_line(&out, 404);
    http1_write_header_u64(&out, "Content-Length", 0);
    http1_write_head_end(&out);
    assert_string_equal(buffer_text(&out), "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    buffer_deinit(&out);
}

static void nothing_can_be_smuggled_into_a_written_head(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 1000);
    assert_int_equal(http1_write_header(&out, S("X"), S("a\r\nY: b")), ERR_INVALID);
    assert_int_equal(http1_write_header(&out, S("X"), S("a\nb")), ERR_INVALID);
    assert_int_equal(http1_write_header(&out, S("X"), S(" a")), ERR_INVALID);
    assert_int_equal(http1_write_header(&out, S("X"), slice_make("a\0b", 3)), ERR_INVALID);
    assert_int_equal(http1_write_header(&out, S("X:"), S("a")), ERR_INVALID);
    assert_int_equal(http1_write_header(&out, S(""), S("a")), ERR_INVALID);
    assert_int_equal(http1_write_request_line(&out, S("GET"), S("/ HTTP/1.1\r\n")), ERR_INVALID);
    assert_int_equal(http1_write_request_line(&out, S("GE T"), S("/")), ERR_INVALID);
    assert_int_equal(http1_write_request_line(&out, S("GET"), S("")), ERR_INVALID);
    assert_int_equal(out.len, 0);
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_follow_each_other_on_one_connection),
        cmocka_unit_test(absolute_targets_and_stars_are_understood),
        cmocka_unit_test(old_clients_are_answered_and_closed),
        cmocka_unit_test(the_version_must_be_one_that_we_speak),
        cmocka_unit_test(the_host_must_be_one),
        cmocka_unit_test(framing_that_two_readers_could_read_in_two_ways_is_refused),
        cmocka_unit_test(odd_chunks_are_refused),
        cmocka_unit_test(expectations_are_told_or_refused),
        cmocka_unit_test(upgrades_are_left_alone),
        cmocka_unit_test(responses_end_by_length_chunks_or_connection),
        cmocka_unit_test(a_reply_to_head_has_no_body),
        cmocka_unit_test(every_limit_has_its_answer),
        cmocka_unit_test(chunked_bodies_are_bounded_too),
        cmocka_unit_test(the_body_limit_can_be_set_per_route),
        cmocka_unit_test(headers_are_found_in_any_case),
        cmocka_unit_test(written_messages_are_read_back),
        cmocka_unit_test(nothing_can_be_smuggled_into_a_written_head),
    };
    return cmocka_run_group_tests_name("wire_http1", tests, NULL, NULL);
}
