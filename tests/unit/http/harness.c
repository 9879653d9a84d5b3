#include "harness.h"

/* ---- routes ---- */

static void on_body(void *context, struct http_exchange *exchange, struct slice body)
{
    (void)context;
    http_exchange_respond_json(exchange, 200, body);
}

static void on_close(void *context, struct http_exchange *exchange, enum err why)
{
    struct harness *harness = context;
    harness->closes++;
    harness->why = why;
    if (harness->held == exchange)
        harness->held = NULL;
}

static void on_bytes(void *context, struct http_exchange *exchange, struct slice bytes)
{
    struct harness *harness = context;
    harness->streamed += bytes.len;
    /* A client that has vanished may show at the write: the exchange's end follows. */
    enum err err = http_exchange_write(exchange, bytes);
    assert_true(err == ERR_OK || err == ERR_CLOSED);
    if (err == ERR_OK && http_exchange_pending(exchange) > 0)
        http_exchange_read_stop(exchange);
}

static void on_drain(void *context, struct http_exchange *exchange)
{
    struct harness *harness = context;
    harness->drains++;
    http_exchange_read_start(exchange);
}

static void on_end(void *context, struct http_exchange *exchange)
{
    (void)context;
    http_exchange_finish(exchange);
}

static void drip(void *context, struct http_exchange *exchange)
{
    static const char piece[4096];
    struct harness *harness = context;
    harness->drains++;
    while (http_exchange_write(exchange, slice_make(piece, sizeof(piece))) == ERR_OK)
        ;
}

static void big(void *context, struct http_exchange *exchange)
{
    static const char piece[50000];
    struct harness *harness = context;
    harness->drains++;
    while (harness->big_left > 0) {
        size_t len = harness->big_left < sizeof(piece) ? harness->big_left : sizeof(piece);
        if (http_exchange_write(exchange, slice_make(piece, len)) != ERR_OK)
            return;
        harness->big_left -= len;
    }
    http_exchange_finish(exchange);
}

static const struct http_exchange_events echo_events = {.on_body = on_body, .on_close = on_close};
static const struct http_exchange_events stream_events = {
    .on_bytes = on_bytes, .on_end = on_end, .on_drain = on_drain, .on_close = on_close};
static const struct http_exchange_events drip_events = {.on_drain = drip, .on_close = on_close};
static const struct http_exchange_events big_events = {.on_drain = big, .on_close = on_close};

static void answer_peer(struct http_exchange *exchange)
{
    struct tls_peer peer;
    if (http_exchange_peer_certificate(exchange, &peer) == ERR_OK)
        http_exchange_respond_json(exchange, 200, slice_of(peer.uri));
    else
        http_exchange_respond_problem(exchange, 403, "no_certificate", "show a certificate");
}

static void on_request(void *context, struct http_exchange *exchange)
{
    struct harness *harness = context;
    struct slice target = http_exchange_head(exchange)->target;
    harness->requests++;
    if (slice_is(target, "/echo") || slice_is(target, "/small")) {
        http_exchange_listen(exchange, &echo_events, harness);
        http_exchange_collect(exchange, slice_is(target, "/small") ? 100 : 0);
    } else if (slice_is(target, "/stream")) {
        http_exchange_listen(exchange, &stream_events, harness);
        http_exchange_stream(exchange, UINT64_MAX);
        http_exchange_start(exchange, 200, NULL, 0, -1);
    } else if (slice_is(target, "/hold")) {
        http_exchange_listen(exchange, &echo_events, harness);
        harness->held = exchange;
    } else if (slice_is(target, "/drip")) {
        http_exchange_listen(exchange, &drip_events, harness);
        http_exchange_start(exchange, 200, NULL, 0, -1);
        drip(harness, exchange);
    } else if (slice_is(target, "/big")) {
        http_exchange_listen(exchange, &big_events, harness);
        harness->big_left = BIG_BYTES;
        http_exchange_start(exchange, 200, NULL, 0, BIG_BYTES);
        big(harness, exchange);
    } else if (slice_is(target, "/ignore")) {
        http_exchange_respond_json(exchange, 200, SLICE_LITERAL("{}"));
    } else if (slice_is(target, "/peer")) {
        answer_peer(exchange);
    } else if (slice_is(target, "/bad-header")) {
        const struct http1_header header = {SLICE_LITERAL("x"),
                                            SLICE_LITERAL("a\r\nset-cookie: b")};
        http_exchange_respond(exchange, 200, &header, 1, SLICE_LITERAL("x"));
    } else {
        http_exchange_respond_problem(exchange, 404, "not_found", "there is \"no\" such route");
    }
}

/* ---- life ---- */

static void on_guard(void *context)
{
    (void)context;
    fail_msg("the test took too long");
}

static struct harness *harness_begin(const struct http_server_limits *limits)
{
    struct harness *harness = calloc(1, sizeof(*harness));
    assert_non_null(harness);
    assert_int_equal(loop_create(&harness->loop), ERR_OK);
    assert_int_equal(
        http_server_create(harness->loop, limits, on_request, harness, &harness->server), ERR_OK);
    assert_int_equal(http_client_create(harness->loop, NULL, &harness->client), ERR_OK);
    loop_timer_init(&harness->guard, harness->loop, on_guard, harness);
    loop_timer_set(&harness->guard, SPAN_S(60));
    return harness;
}

static void harness_listen(struct harness *harness)
{
    assert_int_equal(
        http_server_listen(harness->server, "127.0.0.1:0", NULL, harness->server_tls, NULL),
        ERR_OK);
    assert_int_equal(http_server_endpoint(harness->server, 0, harness->endpoint), ERR_OK);
}

struct harness *harness_create(const struct http_server_limits *limits)
{
    struct harness *harness = harness_begin(limits);
    harness_listen(harness);
    return harness;
}

static struct wall_us wall_now(void)
{
    struct clock clock = clock_system();
    return clock_wall(&clock);
}

struct harness *harness_create_tls(const struct http_server_limits *limits,
                                   enum tls_client_auth client_auth, struct span_ms server_life)
{
    static const char *const names[] = {"localhost", "127.0.0.1"};
    struct harness *harness = harness_begin(limits);
    struct authority_files *authority = &harness->authority;
    struct cert_key *key;
    struct cert *cert;
    char cert_pem[CERT_PEM_MAX], key_pem[CERT_PEM_MAX];
    /* a life that is over already: issued in the past */
    struct wall_us now = wall_now();
    struct wall_us issued = {server_life.ms > 0 ? now.us : now.us + server_life.ms * 2000};
    struct span_ms life = SPAN_MS(server_life.ms > 0 ? server_life.ms : -server_life.ms);
    struct wall_us past = {now.us - (int64_t)86400 * 1000000};
    assert_int_equal(cert_key_generate(&authority->ca_key), ERR_OK);
    assert_int_equal(cert_make_authority(authority->ca_key, "test authority", past,
                                         SPAN_S(86400 * 30), &authority->ca),
                     ERR_OK);
    assert_int_equal(cert_to_pem(authority->ca, authority->ca_pem), ERR_OK);
    assert_int_equal(cert_key_generate(&key), ERR_OK);
    struct cert_authority signer = {authority->ca, authority->ca_key};
    assert_int_equal(cert_issue_server(&signer, key, names, 2, issued, life, &cert), ERR_OK);
    assert_int_equal(cert_to_pem(cert, cert_pem), ERR_OK);
    assert_int_equal(cert_key_to_pem(key, key_pem), ERR_OK);
    cert_pin(cert, harness->server_pin);
    cert_destroy(cert);
    cert_key_destroy(key);
    struct tls_server_options options = {.certificate_pem = cert_pem,
                                         .key_pem = key_pem,
                                         .client_ca_pem = authority->ca_pem,
                                         .client_auth = client_auth,
                                         .client_expired_max = SPAN_S(600)};
    assert_int_equal(tls_context_create_server(&options, NULL, &harness->server_tls), ERR_OK);
    harness_listen(harness);
    return harness;
}

void harness_destroy(struct harness *harness)
{
    http_client_destroy(harness->client);
    http_server_destroy(harness->server);
    tls_context_release(harness->server_tls);
    cert_destroy(harness->authority.ca);
    cert_key_destroy(harness->authority.ca_key);
    loop_timer_stop(&harness->guard);
    loop_destroy(harness->loop);
    free(harness);
}

void harness_until(struct harness *harness, const bool *flag)
{
    struct boot_ns end = boot_add(loop_now(harness->loop).boot, SPAN_S(20));
    while (!*flag) {
        loop_turn(harness->loop);
        assert_true(boot_is_before(loop_now(harness->loop).boot, end));
    }
}

struct tls_context *harness_client_tls(struct harness *harness, const char *certificate_pem,
                                       const char *key_pem)
{
    struct tls_context *tls;
    struct tls_client_options options = {.ca_pem = harness->authority.ca_pem,
                                         .certificate_pem = certificate_pem,
                                         .key_pem = key_pem};
    assert_int_equal(tls_context_create_client(&options, NULL, &tls), ERR_OK);
    return tls;
}

void harness_client_certificate(struct harness *harness, const char *uri, struct span_ms begin,
                                struct span_ms life, char certificate_pem[CERT_PEM_MAX],
                                char key_pem[CERT_PEM_MAX])
{
    struct cert_key *key;
    struct cert *cert;
    struct wall_us issued = {wall_now().us + begin.ms * 1000};
    struct cert_authority signer = {harness->authority.ca, harness->authority.ca_key};
    assert_int_equal(cert_key_generate(&key), ERR_OK);
    assert_int_equal(cert_issue_client(&signer, key, "site one", uri, issued, life, &cert), ERR_OK);
    assert_int_equal(cert_to_pem(cert, certificate_pem), ERR_OK);
    assert_int_equal(cert_key_to_pem(key, key_pem), ERR_OK);
    cert_destroy(cert);
    cert_key_destroy(key);
}

/* ---- raw sockets ---- */

static void raw_on_bytes(void *context, struct slice bytes)
{
    struct raw *raw = context;
    if (raw->len + bytes.len < RAW_TEXT_MAX) /* endless answers are counted only */
        memcpy(raw->text + raw->len, bytes.data, bytes.len);
    raw->len += bytes.len;
}

static void raw_on_end(void *context, enum err why)
{
    struct raw *raw = context;
    raw->is_ended = true;
    raw->end_code = why;
}

static const struct stream_events raw_events = {.on_bytes = raw_on_bytes, .on_end = raw_on_end};

static void raw_on_connect(void *context, enum err code, struct stream *stream)
{
    struct raw *raw = context;
    assert_int_equal(code, ERR_OK);
    raw->stream = stream;
    raw->is_open = true;
    stream_listen(stream, &raw_events, raw);
    stream_pending_limit(stream, SIZE_MAX);
    assert_int_equal(stream_read_start(stream), ERR_OK);
}

void raw_open(struct harness *harness, struct raw *raw)
{
    struct connector *connector;
    memset(raw, 0, sizeof(*raw));
    raw->harness = harness;
    raw->text = calloc(1, RAW_TEXT_MAX);
    assert_non_null(raw->text);
    assert_int_equal(connector_start(harness->loop, harness->endpoint, SPAN_S(5), raw_on_connect,
                                     raw, &connector),
                     ERR_OK);
    harness_until(harness, &raw->is_open);
}

void raw_close(struct raw *raw)
{
    stream_close(raw->stream);
    free(raw->text);
    raw->stream = NULL;
    raw->text = NULL;
}

void raw_send_bytes(struct raw *raw, struct slice bytes)
{
    enum err code = stream_write(raw->stream, bytes);
    assert_true(code == ERR_OK || code == ERR_CLOSED); /* the server may have cut us off already */
}

void raw_send(struct raw *raw, const char *text)
{
    raw_send_bytes(raw, slice_of(text));
}

void raw_until_end(struct raw *raw)
{
    harness_until(raw->harness, &raw->is_ended);
}

void raw_until_text(struct raw *raw, const char *expected)
{
    struct boot_ns end = boot_add(loop_now(raw->harness->loop).boot, SPAN_S(20));
    while (strstr(raw->text, expected) == NULL) {
        loop_turn(raw->harness->loop);
        if (!boot_is_before(loop_now(raw->harness->loop).boot, end))
            fail_msg("no '%s' in '%.300s'", expected, raw->text);
    }
}

void raw_expect(struct harness *harness, const char *request, int status)
{
    struct raw raw;
    char line[32];
    raw_open(harness, &raw);
    raw_send(&raw, request);
    raw_until_end(&raw);
    snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    if (status == 0)
        assert_string_equal(raw.text, "");
    else if (strncmp(raw.text, line, strlen(line)) != 0)
        fail_msg("wanted %d for\n%.200s\ngot\n%.300s", status, request, raw.text);
    if (status >= 400) {
        assert_non_null(strstr(raw.text, "content-type: application/problem+json\r\n"));
        assert_non_null(strstr(raw.text, "connection: close\r\n"));
    }
    raw_close(&raw);
}

/* ---- calls ---- */

static void call_on_bytes(void *context, struct http_call *call, struct slice bytes)
{
    struct call *record = context;
    (void)call;
    size_t room =
        sizeof(record->body) - 1 -
        (record->body_len < sizeof(record->body) ? record->body_len : sizeof(record->body) - 1);
    size_t len = bytes.len < room ? bytes.len : room;
    if (len > 0)
        memcpy(record->body + record->body_len, bytes.data, len);
    record->body_len += bytes.len;
}

static void call_on_drain(void *context, struct http_call *call)
{
    struct call *record = context;
    (void)call;
    record->drains++;
}

static void call_on_done(void *context, struct http_call *call, enum err code,
                         const struct http1_head *head, struct slice body,
                         const struct fault *fault)
{
    struct call *record = context;
    assert_false(record->is_done);
    assert_true((code == ERR_OK) == (fault == NULL));
    record->is_done = true;
    record->code = code;
    record->status = head != NULL ? head->status : 0;
    if (fault != NULL)
        record->fault = *fault;
    call_on_bytes(record, call, body);
}

void call_start(struct harness *harness, const struct http_client_request *request,
                struct call *call)
{
    static const struct http_call_events events = {
        .on_bytes = call_on_bytes, .on_drain = call_on_drain, .on_done = call_on_done};
    memset(call, 0, sizeof(*call));
    assert_int_equal(
        http_client_send(harness->client, request, &events, call, &call->fault, &call->call),
        ERR_OK);
    assert_false(call->is_done);
}

void call_run(struct harness *harness, const struct http_client_request *request, struct call *call)
{
    call_start(harness, request, call);
    harness_until(harness, &call->is_done);
}

struct http_client_request harness_request(struct harness *harness, const char *method,
                                           const char *target)
{
    return (struct http_client_request){
        .endpoint = harness->endpoint, .method = method, .target = target};
}
