/* Event streams, targets and URLs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "wire/sse.h"
#include "wire/target.h"

#define S(text) slice_of(text)

/* All events of a stream as one text. */
static void read_all(struct slice input, size_t step, struct buffer *story)
{
    struct sse_reader reader;
    sse_reader_init(&reader, 1000);
    buffer_reset(story);
    while (input.len > 0) {
        struct slice piece = slice_make(input.data, input.len < step ? input.len : step);
        input.data += piece.len;
        input.len -= piece.len;
        while (piece.len > 0) {
            size_t used;
            bool has_event;
            struct sse_event event;
            enum err err = sse_read(&reader, piece, &used, &has_event, &event);
            if (err != ERR_OK) {
                buffer_printf(story, "!%s", err_name(err));
                sse_reader_deinit(&reader);
                return;
            }
            piece.data += used;
            piece.len -= used;
            if (has_event)
                buffer_printf(story, "(%.*s|%.*s|%.*s|%lld)", SLICE_ARG(event.id),
                              SLICE_ARG(event.event), SLICE_ARG(event.data),
                              (long long)event.retry_ms);
        }
    }
    sse_reader_deinit(&reader);
}

static void expect_events(const char *input, const char *expected)
{
    struct buffer story;
    buffer_init(&story, 10000);
    for (size_t step = 1; step < 50; step++) {
        read_all(S(input), step, &story);
        assert_string_equal(buffer_text(&story), expected);
    }
    buffer_deinit(&story);
}

static void streams_are_read_as_the_standard_says(void **state)
{
    (void)state;
    expect_events("data: a\n\ndata:b\ndata: c\n\n", "(||a|-1)(||b\nc|-1)");
    expect_events("\xEF\xBB\xBFid: 7\r\nevent: x\r\ndata: a\r\n\r\ndata: b\r\rdata: c\n\n",
                  "(7|x|a|-1)(7||b|-1)(7||c|-1)");
    expect_events(": comment\n\nevent: dropped\n\ndata\n\n", "(|||-1)");
    expect_events("retry: 500\nretry: x\nretry: -1\nunknown: 1\ndata: a\n\n", "(||a|500)");
    expect_events("data:  two blanks\n\ndata: cut", "(|| two blanks|-1)");
    expect_events("id: 1\n\nid\ndata: a\n\n", "(||a|-1)");
}

static void written_events_read_back_the_same(void **state)
{
    (void)state;
    struct buffer out;
    struct buffer story;
    buffer_init(&out, 10000);
    buffer_init(&story, 10000);
    struct sse_event event = {
        .id = S("12"), .event = S("job"), .data = S("a\nb\r\nc\r\n"), .retry_ms = 1500};
    assert_int_equal(sse_write(&out, &event), ERR_OK);
    sse_write_comment(&out, S("still\nhere"));
    event = (struct sse_event){.data = S(""), .retry_ms = -1};
    assert_int_equal(sse_write(&out, &event), ERR_OK);
    assert_string_equal(buffer_text(&out),
                        "id: 12\nevent: job\nretry: 1500\ndata: a\ndata: b\ndata: c\ndata: \n\n"
                        ": still here\n\ndata: \n\n");
    read_all(buffer_slice(&out), 3, &story);
    assert_string_equal(buffer_text(&story), "(12|job|a\nb\nc\n|1500)(12|||1500)");
    buffer_reset(&out);
    event.id = S("a\nb");
    assert_int_equal(sse_write(&out, &event), ERR_INVALID);
    event.id = S("a");
    event.event = slice_make("x\0y", 3);
    assert_int_equal(sse_write(&out, &event), ERR_INVALID);
    assert_int_equal(out.len, 0);
    buffer_deinit(&out);
    buffer_deinit(&story);
}

static void endless_lines_and_events_are_refused(void **state)
{
    (void)state;
    struct buffer input;
    struct buffer story;
    buffer_init(&input, 100000);
    buffer_init(&story, 10000);
    for (unsigned i = 0; i < 300; i++)
        buffer_append_text(&input, "data: x\n");
    read_all(buffer_slice(&input), 10, &story);
    assert_string_equal(buffer_text(&story), ""); /* 599 bytes of data: fits */
    for (unsigned i = 0; i < 300; i++)
        buffer_append_text(&input, "data: x\n");
    read_all(buffer_slice(&input), 10, &story);
    assert_string_equal(buffer_text(&story), "!limit");
    buffer_reset(&input);
    for (unsigned i = 0; i < 1001; i++)
        buffer_append_char(&input, 'x');
    read_all(buffer_slice(&input), 10, &story);
    assert_string_equal(buffer_text(&story), "!limit");
    buffer_append_char(&input, '\n');
    read_all(buffer_slice(&input), 5000, &story);
    assert_string_equal(buffer_text(&story), "!limit");
    buffer_deinit(&input);
    buffer_deinit(&story);
}

/* ---- targets ---- */

static void targets_come_apart_and_decoded(void **state)
{
    (void)state;
    struct arena arena;
    struct target target;
    struct fault fault;
    arena_init(&arena, 100000);
    assert_int_equal(
        target_parse(S("/v1/jobs/a%20b%C3%A9?limit=20&q=a+b%26c&flag&e="), &arena, &target, &fault),
        ERR_OK);
    assert_int_equal(target.segment_count, 3);
    assert_true(slice_is(target.segments[2], "a bé"));
    assert_false(target.has_trailing_slash);
    assert_int_equal(target.pair_count, 4);
    assert_true(slice_is(target_find(&target, "q")->value, "a b&c"));
    assert_true(slice_is(target_find(&target, "flag")->value, ""));
    assert_null(target_find(&target, "none"));
    assert_int_equal(target_parse(S("/"), &arena, &target, &fault), ERR_OK);
    assert_int_equal(target.segment_count, 0);
    assert_false(target.has_trailing_slash);
    assert_int_equal(target_parse(S("/a/?"), &arena, &target, &fault), ERR_OK);
    assert_true(target.has_trailing_slash);
    assert_int_equal(target.pair_count, 0);
    arena_deinit(&arena);
}

static void targets_that_lead_elsewhere_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",        "a",           "//",           "/a//b",          "/..",
        "/a/../b", "/a/..",       "/.",           "/%2e%2e",        "/%2E/a",
        "/a%2fb",  "/a%5Cb",      "/a%00b",       "/a%0Ab",         "/a%",
        "/a%4",    "/a%zz",       "/a%C3",        "/a%C0%80",       "/a b",
        "/a#b",    "/a\\b",       "/\xC3\xA9",    "/a?x=%00",       "/a?x=1&x=2",
        "/a?=1",   "/a?x=1&&y=2", "/a?%78=1&x=2", "/a?x=%ED%A0%80",
    };
    struct arena arena;
    struct target target = {.segment_count = 77};
    arena_init(&arena, 1u << 20);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct fault fault = {0};
        if (target_parse(S(bad[i]), &arena, &target, &fault) != ERR_INVALID)
            fail_msg("%s was taken", bad[i]);
        assert_int_equal(fault.code, ERR_INVALID);
    }
    assert_int_equal(target.segment_count, 77);
    assert_int_equal(target_parse(S("/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5"), &arena,
                                  &target, NULL),
                     ERR_LIMIT);
    arena_deinit(&arena);
}

static void encoded_bytes_decode_to_themselves(void **state)
{
    (void)state;
    struct random random;
    struct buffer out;
    struct arena arena;
    random_init(&random, 9);
    buffer_init(&out, 10000);
    arena_init(&arena, 1u << 24);
    for (unsigned i = 0; i < 3000; i++) {
        char name[20];
        size_t len = 1 + (size_t)random_below(&random, 19);
        for (size_t k = 0; k < len; k++)
            name[k] = (char)random_between(&random, 0x20, 0x7E);
        struct target target;
        buffer_reset(&out);
        buffer_append_text(&out, "/a?k=");
        target_append_encoded(&out, slice_make(name, len));
        assert_int_equal(target_parse(buffer_slice(&out), &arena, &target, NULL), ERR_OK);
        assert_true(slice_is_equal(target.pairs[0].value, slice_make(name, len)));
    }
    arena_deinit(&arena);
    buffer_deinit(&out);
}

static void urls_of_servers_are_read(void **state)
{
    (void)state;
    struct url url;
    struct fault fault;
    assert_int_equal(url_parse(S("https://pool.example:8443/v1?x"), &url, &fault), ERR_OK);
    assert_true(url.is_tls && slice_is(url.host, "pool.example") && url.port == 8443);
    assert_true(slice_is(url.path, "/v1?x"));
    assert_int_equal(url_parse(S("http://[::1]"), &url, &fault), ERR_OK);
    assert_true(!url.is_tls && slice_is(url.host, "::1") && url.port == 80);
    assert_true(slice_is(url.path, "/"));
    assert_int_equal(url_parse(S("https://10.0.0.1/"), &url, &fault), ERR_OK);
    assert_true(url.port == 443);
    static const char *const bad[] = {"",
                                      "ftp://a",
                                      "https://",
                                      "https:///x",
                                      "https://a:0",
                                      "https://a:65536",
                                      "https://a:",
                                      "https://u@a",
                                      "https://a b",
                                      "https://a#x",
                                      "https://[::1",
                                      "https://[]",
                                      "https://[::1]x",
                                      "https://a?x",
                                      "HTTPS://a",
                                      "https://a\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (url_parse(S(bad[i]), &url, &fault) != ERR_INVALID)
            fail_msg("%s was taken", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_are_read_as_the_standard_says),
        cmocka_unit_test(written_events_read_back_the_same),
        cmocka_unit_test(endless_lines_and_events_are_refused),
        cmocka_unit_test(targets_come_apart_and_decoded),
        cmocka_unit_test(targets_that_lead_elsewhere_are_refused),
        cmocka_unit_test(encoded_bytes_decode_to_themselves),
        cmocka_unit_test(urls_of_servers_are_read),
    };
    return cmocka_run_group_tests_name("wire_stream", tests, NULL, NULL);
}
