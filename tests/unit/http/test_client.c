/* The client, against our own server and against servers that misbehave. */
#include "harness.h"

static int set_up(void **state)
{
    *state = harness_create(NULL);
    return 0;
}

static int tear_down(void **state)
{
    harness_destroy(*state);
    return 0;
}

static struct http_server_counts counts_of(struct harness *harness)
{
    struct http_server_counts counts;
    http_server_counts(harness->server, &counts);
    return counts;
}

static void a_call_brings_status_and_body_and_the_connection_is_used_again(void **state)
{
    struct harness *harness = *state;
    struct call call;
    struct http_client_request request = harness_request(harness, "POST", "/echo");
    for (int i = 0; i < 5; i++) {
        request.body = SLICE_LITERAL("{\"n\":1}");
        call_run(harness, &request, &call);
        assert_int_equal(call.code, ERR_OK);
        assert_int_equal(call.status, 200);
        assert_string_equal(call.body, "{\"n\":1}");
    }
    assert_int_equal(counts_of(harness).connections_total, 1);
    request = harness_request(harness, "GET", "/nothing");
    call_run(harness, &request, &call);
    assert_int_equal(call.status, 404);
    request = harness_request(harness, "HEAD", "/ignore");
    call_run(harness, &request, &call);
    assert_int_equal(call.code, ERR_OK);
    assert_int_equal(call.body_len, 0);
    assert_int_equal(counts_of(harness).connections_total, 1);
}

static void many_calls_at_once_share_the_pool(void **state)
{
    struct harness *harness = *state;
    enum { CALLS = 300 };
    struct call *calls = calloc(CALLS, sizeof(*calls));
    struct http_client_request request = harness_request(harness, "POST", "/echo");
    char bodies[CALLS][16];
    for (int i = 0; i < CALLS; i++) {
        snprintf(bodies[i], sizeof(bodies[i]), "\"%d\"", i);
        request.body = slice_of(bodies[i]);
        call_start(harness, &request, &calls[i]);
    }
    for (int i = 0; i < CALLS; i++) {
        harness_until(harness, &calls[i].is_done);
        assert_int_equal(calls[i].code, ERR_OK);
        assert_string_equal(calls[i].body, bodies[i]);
    }
    assert_int_equal(counts_of(harness).connections_total, 64);
    free(calls);
}

static void a_large_body_goes_both_ways(void **state)
{
    struct harness *harness = *state;
    struct call call;
    char *body = malloc(1 << 20);
    for (int i = 0; i < 1 << 20; i++)
        body[i] = (char)('a' + i % 26);
    struct http_client_request request = harness_request(harness, "POST", "/echo");
    request.body = slice_make(body, 1 << 20);
    call_run(harness, &request, &call);
    assert_int_equal(call.code, ERR_OK);
    assert_int_equal(call.body_len, 1 << 20);
    assert_memory_equal(call.body, body, sizeof(call.body) - 1);
    request.body.len = (1 << 20) - 1;
    request.response_bytes_max = 1000; /* longer than we want */
    call_run(harness, &request, &call);
    assert_int_equal(call.code, ERR_LIMIT);
    free(body);
}

/* ---- streaming ---- */

struct pump {
    struct call record;
    struct harness *harness;
    struct loop_timer resume;
    size_t to_send, sent, received;
    int pauses, busies;
    bool is_done;
    enum err code;
};

static void pump_more(void *context, struct http_call *call)
{
    static char piece[70000];
    struct pump *pump = context;
    while (pump->sent < pump->to_send) {
        size_t len = pump->to_send - pump->sent;
        len = len < sizeof(piece) ? len : sizeof(piece);
        for (size_t i = 0; i < len; i++)
            piece[i] = (char)((pump->sent + i) % 251);
        enum err code = http_call_write(call, slice_make(piece, len));
        if (code == ERR_BUSY) {
            pump->busies++;
            return;
        }
        assert_int_equal(code, ERR_OK);
        pump->sent += len;
    }
    http_call_finish(call);
}

static void pump_resume(void *context)
{
    struct pump *pump = context;
    http_call_read_start(pump->record.call);
}

static void pump_bytes(void *context, struct http_call *call, struct slice bytes)
{
    struct pump *pump = context;
    for (size_t i = 0; i < bytes.len; i += 501)
        assert_int_equal((unsigned char)bytes.data[i], (pump->received + i) % 251);
    pump->received += bytes.len;
    if (pump->received / 3000000 > (size_t)pump->pauses) {
        pump->pauses++;
        http_call_read_stop(call);
        loop_timer_set(&pump->resume, SPAN_MS(20));
    }
}

static void pump_done(void *context, struct http_call *call, enum err code,
                      const struct http1_head *head, struct slice body, const struct fault *fault)
{
    struct pump *pump = context;
    (void)call;
    (void)head;
    (void)body;
    (void)fault;
    pump->is_done = true;
    pump->code = code;
}

static void pump_run(struct harness *harness, struct pump *pump, int64_t announced)
{
    static const struct http_call_events events = {
        .on_bytes = pump_bytes, .on_drain = pump_more, .on_done = pump_done};
    struct http_client_request request = harness_request(harness, "POST", "/stream");
    request.has_streamed_body = true;
    request.streamed_body_bytes = announced;
    request.is_response_streamed = true;
    loop_timer_init(&pump->resume, harness->loop, pump_resume, pump);
    assert_int_equal(
        http_client_send(harness->client, &request, &events, pump, NULL, &pump->record.call),
        ERR_OK);
    harness_until(harness, &pump->is_done);
    assert_int_equal(pump->code, ERR_OK);
    assert_int_equal(pump->received, pump->to_send);
    assert_true(pump->pauses >= 3);
}

static void bodies_stream_both_ways_with_back_pressure(void **state)
{
    struct harness *harness = *state;
    struct pump chunked = {.to_send = 12 << 20};
    struct pump counted = {.to_send = 12 << 20};
    pump_run(harness, &chunked, -1);
    pump_run(harness, &counted, 12 << 20);
    assert_int_equal(counts_of(harness).connections_total, 1);
}

static void a_counted_answer_streams_with_back_pressure(void **state)
{
    struct harness *harness = *state;
    struct call call;
    struct http_client_request request = harness_request(harness, "GET", "/big");
    request.is_response_streamed = true;
    call_run(harness, &request, &call);
    assert_int_equal(call.code, ERR_OK);
    assert_int_equal(call.body_len, BIG_BYTES);
    assert_true(harness->drains > 0);
}

static void a_cancelled_call_says_nothing_and_frees_its_connection(void **state)
{
    struct harness *harness = *state;
    struct call call;
    struct http_client_request request = harness_request(harness, "GET", "/hold");
    call_start(harness, &request, &call);
    while (harness->held == NULL)
        loop_turn(harness->loop);
    http_call_cancel(call.call);
    while (harness->closes == 0)
        loop_turn(harness->loop);
    assert_false(call.is_done);
    call_start(harness, &request, &call); /* before it is even connected */
    http_call_cancel(call.call);
    for (int i = 0; i < 10; i++)
        loop_turn(harness->loop);
    assert_false(call.is_done);
}

static void a_silent_server_times_out(void **state)
{
    struct harness *harness = *state;
    struct call call;
    struct http_client_request request = harness_request(harness, "GET", "/hold");
    request.first_byte_max = SPAN_MS(100);
    call_run(harness, &request, &call);
    assert_int_equal(call.code, ERR_TIMEOUT);
    assert_non_null(strstr(call.fault.message, harness->endpoint));
}

static void what_cannot_be_reached_is_told(void **state)
{
    struct harness *harness = *state;
    struct call call;
    struct http_client_request request = harness_request(harness, "GET", "/");
    request.endpoint = "127.0.0.1:1";
    call_run(harness, &request, &call);
    assert_int_equal(call.code, ERR_CLOSED);
    request.endpoint = "unix:/nonexistent/socket";
    call_run(harness, &request, &call);
    assert_int_equal(call.code, ERR_NOT_FOUND);
    struct fault fault;
    static const struct http_call_events events = {.on_done = pump_done};
    request.endpoint = "nonsense";
    assert_int_equal(http_client_send(harness->client, &request, &events, NULL, &fault, NULL),
                     ERR_INVALID);
    request.endpoint = harness->endpoint;
    request.target = "/a b";
    assert_int_equal(http_client_send(harness->client, &request, &events, NULL, &fault, NULL),
                     ERR_INVALID);
    const struct http1_header header = {SLICE_LITERAL("x"), SLICE_LITERAL("a\r\nb: c")};
    request.target = "/";
    request.headers = &header;
    request.header_count = 1;
    assert_int_equal(http_client_send(harness->client, &request, &events, NULL, &fault, NULL),
                     ERR_INVALID);
}

static void fetch_waits_for_the_answer(void **state)
{
    struct harness *harness = *state;
    struct arena arena;
    struct http_response response;
    struct http_client_request request = harness_request(harness, "POST", "/echo");
    request.body = SLICE_LITERAL("fetched");
    arena_init(&arena, 1 << 20);
    assert_int_equal(
        http_client_fetch(harness->client, harness->loop, &request, &arena, NULL, &response),
        ERR_OK);
    assert_int_equal(response.status, 200);
    assert_true(slice_is(response.body, "fetched"));
    assert_true(slice_is(response.headers[0].name, "content-type"));
    request.endpoint = "127.0.0.1:1";
    struct fault fault = {.code = ERR_OK};
    assert_int_equal(
        http_client_fetch(harness->client, harness->loop, &request, &arena, &fault, &response),
        ERR_CLOSED);
    assert_int_equal(fault.code, ERR_CLOSED);
    arena_deinit(&arena);
}

/* ---- servers that misbehave: they answer the n-th connection with the n-th script ---- */

struct script_end {
    struct script *script;
    size_t index;
};

struct script {
    const char *answers[4]; /* NULL: close at once when a request comes; "": say nothing */
    bool is_closed_after[4];
    size_t connection_count;
    size_t request_count;
    struct listener *listener;
    struct stream *streams[4];
    size_t answered[4];
    struct script_end ends[4];
};

static void script_on_bytes(void *context, struct slice bytes)
{
    struct script_end *end = context;
    struct script *script = end->script;
    (void)bytes;
    script->request_count++;
    const char *answer = script->answers[end->index];
    bool is_second = script->answered[end->index]++ > 0;
    if (answer != NULL && !(is_second && script->is_closed_after[end->index]))
        assert_int_equal(stream_write(script->streams[end->index], slice_of(answer)), ERR_OK);
    if (answer == NULL || is_second) {
        stream_close(script->streams[end->index]);
        script->streams[end->index] = NULL;
    }
}

static void script_on_end(void *context, enum err why)
{
    (void)context;
    (void)why;
}

static const struct stream_events script_events = {.on_bytes = script_on_bytes,
                                                   .on_end = script_on_end};

static void script_on_accept(void *context, struct stream *stream)
{
    struct script *script = context;
    size_t index = script->connection_count++;
    assert_true(index < 4);
    script->streams[index] = stream;
    script->ends[index] = (struct script_end){script, index};
    stream_listen(stream, &script_events, &script->ends[index]);
    assert_int_equal(stream_read_start(stream), ERR_OK);
}

static void script_open(struct harness *harness, struct script *script)
{
    assert_int_equal(listener_open(harness->loop, "127.0.0.1:0", NULL, NULL, script_on_accept,
                                   script, &script->listener),
                     ERR_OK);
    listener_endpoint(script->listener, harness->endpoint);
}

static void script_close(struct harness *harness, struct script *script)
{
    http_client_drop_idle(harness->client);
    for (int i = 0; i < 4; i++)
        stream_close(script->streams[i]);
    listener_close(script->listener);
}

static const char OK[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

static void a_stale_connection_is_retried_once_for_get_and_not_for_post(void **state)
{
    struct harness *harness = *state;
    struct call call;
    struct script script = {.answers = {OK, OK, OK}, .is_closed_after = {true, true, true}};
    script_open(harness, &script);
    struct http_client_request get = harness_request(harness, "GET", "/");
    struct http_client_request post = harness_request(harness, "POST", "/");
    call_run(harness, &get, &call);
    assert_int_equal(call.code, ERR_OK);
    call_run(harness, &get, &call); /* the first connection closes instead of answering */
    assert_int_equal(call.code, ERR_OK);
    assert_int_equal(script.connection_count, 2);
    assert_int_equal(script.request_count, 3);
    call_run(harness, &post, &call); /* so does the second, but this may have had its effect */
    assert_int_equal(call.code, ERR_CLOSED);
    assert_int_equal(script.connection_count, 2);
    assert_int_equal(script.request_count, 4);
    script_close(harness, &script);
}

static void a_fresh_connection_that_closes_is_not_retried(void **state)
{
    struct harness *harness = *state;
    struct call call;
    struct script script = {.answers = {NULL, NULL}};
    script_open(harness, &script);
    struct http_client_request get = harness_request(harness, "GET", "/");
    call_run(harness, &get, &call);
    assert_int_equal(call.code, ERR_CLOSED);
    assert_int_equal(script.request_count, 1);
    script_close(harness, &script);
}

static void odd_answers_are_errors_and_end_their_connection(void **state)
{
    static const struct {
        const char *answer;
        enum err code;
        int status;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", ERR_INVALID, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
         ERR_INVALID, 0},
        {"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", ERR_INVALID, 0},
        {"SSH-2.0-OpenSSH_9.2p1\r\n\r\n", ERR_INVALID, 0},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", ERR_INVALID, 0},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", ERR_OK,
         200},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 Smuggled\r\n\r\n", ERR_OK,
         200},
        {"HTTP/1.1 204 No Content\r\n\r\n", ERR_OK, 204},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", ERR_OK, 200},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct harness *harness = *state;
        struct call call;
        struct script script = {.answers = {cases[i].answer, OK}};
        script_open(harness, &script);
        struct http_client_request get = harness_request(harness, "GET", "/");
        call_run(harness, &get, &call);
        if (call.code != cases[i].code || call.status != cases[i].status)
            fail_msg("%s: %s %d", cases[i].answer, err_name(call.code), call.status);
        script_close(harness, &script);
        for (int turn = 0; turn < 5; turn++)
            loop_turn(harness->loop);
    }
}

static void bytes_after_an_answer_end_the_connection_and_are_no_answer(void **state)
{
    struct harness *harness = *state;
    struct call call;
    struct script script = {.answers = {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                                        "HTTP/1.1 500 Smuggled\r\nContent-Length: 0\r\n\r\n",
                                        OK}};
    script_open(harness, &script);
    struct http_client_request get = harness_request(harness, "GET", "/");
    call_run(harness, &get, &call);
    assert_int_equal(call.status, 200);
    call_run(harness, &get, &call);
    assert_int_equal(call.status, 200);
    assert_int_equal(script.connection_count, 2);
    script_close(harness, &script);
}

static void a_cut_answer_is_an_error_and_one_without_length_ends_with_its_connection(void **state)
{
    struct harness *harness = *state;
    struct call call;
    struct script script = {.answers = {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
                                        "HTTP/1.1 200 OK\r\n\r\nwhole"}};
    script_open(harness, &script);
    struct http_client_request get = harness_request(harness, "GET", "/");
    call_start(harness, &get, &call);
    while (script.request_count == 0)
        loop_turn(harness->loop);
    assert_int_equal(stream_shutdown(script.streams[0]), ERR_OK);
    harness_until(harness, &call.is_done);
    assert_int_equal(call.code, ERR_CLOSED);
    assert_int_equal(call.status, 200); /* the head had come */
    call_start(harness, &get, &call);
    while (script.request_count == 1)
        loop_turn(harness->loop);
    assert_int_equal(stream_shutdown(script.streams[1]), ERR_OK);
    harness_until(harness, &call.is_done);
    assert_int_equal(call.code, ERR_OK);
    assert_string_equal(call.body, "whole");
    script_close(harness, &script);
}

static void an_early_refusal_is_heard_while_the_body_is_still_going_out(void **state)
{
    struct harness *harness = *state;
    struct call call;
    char *body = calloc(1, 4 << 20);
    struct http_client_request request = harness_request(harness, "POST", "/small");
    request.body = slice_make(body, 4 << 20);
    call_run(harness, &request, &call);
    assert_int_equal(call.code, ERR_OK);
    assert_int_equal(call.status, 413);
    free(body);
}

static void destroying_the_client_ends_its_calls_silently(void **state)
{
    struct harness *harness = *state;
    struct call calls[3];
    struct http_client_request request = harness_request(harness, "GET", "/hold");
    for (int i = 0; i < 3; i++)
        call_start(harness, &request, &calls[i]);
    while (harness->requests < 3)
        loop_turn(harness->loop);
    call_start(harness, &request, &calls[0]);
    http_client_destroy(harness->client);
    harness->client = NULL;
    for (int i = 0; i < 3; i++)
        assert_false(calls[i].is_done);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_call_brings_status_and_body_and_the_connection_is_used_again),
        CASE(many_calls_at_once_share_the_pool),
        CASE(a_large_body_goes_both_ways),
        CASE(bodies_stream_both_ways_with_back_pressure),
        CASE(a_counted_answer_streams_with_back_pressure),
        CASE(a_cancelled_call_says_nothing_and_frees_its_connection),
        CASE(a_silent_server_times_out),
        CASE(what_cannot_be_reached_is_told),
        CASE(fetch_waits_for_the_answer),
        CASE(a_stale_connection_is_retried_once_for_get_and_not_for_post),
        CASE(a_fresh_connection_that_closes_is_not_retried),
        CASE(odd_answers_are_errors_and_end_their_connection),
        CASE(bytes_after_an_answer_end_the_connection_and_are_no_answer),
        CASE(a_cut_answer_is_an_error_and_one_without_length_ends_with_its_connection),
        CASE(an_early_refusal_is_heard_while_the_body_is_still_going_out),
        CASE(destroying_the_client_ends_its_calls_silently),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
