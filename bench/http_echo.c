/* An HTTP server that gives back what it gets, for measuring and for attacking src/http alone.
 *
 *   http_echo plain 127.0.0.1:0
 *   http_echo tls 127.0.0.1:0 FOLDER        makes FOLDER/{ca,client,client-key}.pem; clients are
 * asked for certificates
 *
 * Prints "listening ENDPOINT pin PIN" and runs until SIGTERM, which drains; then prints its counts
 * as JSON. Routes: POST /echo (whole body), POST /stream (piece by piece), GET /peer, GET /slow
 * (answers after 200 ms), GET /drip (a chunk every 20 ms, for ever), GET /big?n=BYTES. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/assert.h"
#include "http/cert.h"
#include "http/server.h"
#include "port/clock.h"
#include "port/file.h"
#include "port/loop.h"
#include "port/process.h"

struct echo {
    struct loop *loop;
    struct http_server *server;
};

struct call {
    struct echo *echo;
    struct http_exchange *exchange;
    struct loop_timer timer;
    size_t left;
};

enum { ECHO_BODY_BYTES_MAX = 16 << 20, DRIP_MS = 20, SLOW_MS = 200, BIG_PIECE = 65536 };

static void on_body(void *context, struct http_exchange *exchange, struct slice body)
{
    (void)context;
    http_exchange_respond_json(exchange, 200, body);
}

static void on_close(void *context, struct http_exchange *exchange, enum err why)
{
    struct call *call = context;
    (void)exchange;
    (void)why;
    loop_timer_stop(&call->timer);
    free(call);
}

static void on_bytes(void *context, struct http_exchange *exchange, struct slice bytes)
{
    (void)context;
    enum err code = http_exchange_write(exchange, bytes);
    if (code == ERR_OK && http_exchange_pending(exchange) > 0)
        http_exchange_read_stop(exchange);
}

static void on_drain(void *context, struct http_exchange *exchange)
{
    (void)context;
    http_exchange_read_start(exchange);
}

static void on_end(void *context, struct http_exchange *exchange)
{
    (void)context;
    http_exchange_finish(exchange);
}

static void on_slow(void *context)
{
    struct call *call = context;
    http_exchange_respond_json(call->exchange, 200, SLICE_LITERAL("{\"slow\":true}"));
}

static void on_drip(void *context)
{
    struct call *call = context;
    if (http_exchange_write(call->exchange, SLICE_LITERAL("drip\n")) == ERR_OK)
        loop_timer_set(&call->timer, SPAN_MS(DRIP_MS));
}

static void big_fill(void *context, struct http_exchange *exchange)
{
    static const char piece[BIG_PIECE];
    struct call *call = context;
    while (call->left > 0) {
        size_t len = call->left < sizeof(piece) ? call->left : sizeof(piece);
        if (http_exchange_write(exchange, slice_make(piece, len)) != ERR_OK)
            return;
        call->left -= len;
    }
    http_exchange_finish(exchange);
}

static const struct http_exchange_events echo_events = {.on_body = on_body, .on_close = on_close};
static const struct http_exchange_events stream_events = {
    .on_bytes = on_bytes, .on_end = on_end, .on_drain = on_drain, .on_close = on_close};
static const struct http_exchange_events big_events = {.on_drain = big_fill, .on_close = on_close};

static void answer_peer(struct http_exchange *exchange)
{
    struct tls_peer peer;
    if (http_exchange_peer_certificate(exchange, &peer) != ERR_OK) {
        http_exchange_respond_problem(exchange, 403, "no_certificate", "show a certificate");
        return;
    }
    http_exchange_respond_json(exchange, 200, slice_of(peer.uri));
}

static void route(struct call *call, const struct http1_head *head)
{
    struct http_exchange *exchange = call->exchange;
    if (slice_is(head->target, "/echo")) {
        http_exchange_listen(exchange, &echo_events, call);
        http_exchange_collect(exchange, ECHO_BODY_BYTES_MAX);
    } else if (slice_is(head->target, "/stream")) {
        http_exchange_listen(exchange, &stream_events, call);
        http_exchange_stream(exchange, UINT64_MAX);
        http_exchange_start(exchange, 200, NULL, 0, -1);
    } else if (slice_is(head->target, "/slow")) {
        http_exchange_listen(exchange, &echo_events, call);
        loop_timer_init(&call->timer, call->echo->loop, on_slow, call);
        loop_timer_set(&call->timer, SPAN_MS(SLOW_MS));
    } else if (slice_is(head->target, "/drip")) {
        http_exchange_listen(exchange, &echo_events, call);
        http_exchange_start(exchange, 200, NULL, 0, -1);
        loop_timer_init(&call->timer, call->echo->loop, on_drip, call);
        loop_timer_set(&call->timer, SPAN_MS(0));
    } else if (slice_has_prefix(head->target, SLICE_LITERAL("/big?n="))) {
        uint64_t n = 0;
        struct slice text = slice_make(head->target.data + 7, head->target.len - 7);
        http_exchange_listen(exchange, &big_events, call);
        if (slice_parse_u64(text, &n) != ERR_OK)
            n = 0;
        call->left = (size_t)n;
        http_exchange_start(exchange, 200, NULL, 0, (int64_t)n);
        big_fill(call, exchange);
    } else {
        http_exchange_listen(exchange, &echo_events, call);
        if (slice_is(head->target, "/peer"))
            answer_peer(exchange);
        else
            http_exchange_respond_problem(exchange, 404, "not_found", "there is no such route");
    }
}

static void on_request(void *context, struct http_exchange *exchange)
{
    struct call *call = calloc(1, sizeof(*call));
    if (call == NULL) {
        http_exchange_respond_problem(exchange, 503, "no_memory", NULL);
        return;
    }
    call->echo = context;
    call->exchange = exchange;
    route(call, http_exchange_head(exchange));
}

static void on_drained(void *context)
{
    loop_stop(((struct echo *)context)->loop);
}

static void on_signal(void *context, int signal_number)
{
    struct echo *echo = context;
    (void)signal_number;
    if (!http_server_is_draining(echo->server))
        http_server_drain(echo->server, SPAN_S(2), on_drained, echo);
}

static void must(enum err code, const char *what)
{
    if (code == ERR_OK)
        return;
    fprintf(stderr, "http_echo: %s: %s\n", what, err_name(code));
    exit(1);
}

static void write_pem(const char *folder, const char *name, const char *pem)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    must(file_write_atomic(path, slice_of(pem), 0600, NULL), path);
}

static struct tls_context *make_tls(const char *folder, char pin_text[CERT_PIN_TEXT_MAX])
{
    static const char *const names[] = {"localhost", "127.0.0.1", "::1"};
    char ca_pem[CERT_PEM_MAX], cert_pem[CERT_PEM_MAX], key_pem[CERT_PEM_MAX];
    struct cert_key *ca_key, *key, *client_key;
    struct cert *ca, *cert, *client;
    struct clock clock = clock_system();
    struct wall_us now = clock_wall(&clock);
    uint8_t pin[TLS_PIN_BYTES];
    must(cert_key_generate(&ca_key), "key");
    must(cert_key_generate(&key), "key");
    must(cert_key_generate(&client_key), "key");
    must(cert_make_authority(ca_key, "echo", now, SPAN_S(86400), &ca), "authority");
    struct cert_authority authority = {ca, ca_key};
    must(cert_issue_server(&authority, key, names, 3, now, SPAN_S(86400), &cert), "server");
    must(cert_issue_client(&authority, client_key, "site", "lingqu:site:one", now, SPAN_S(86400),
                           &client),
         "client");
    must(cert_to_pem(client, cert_pem), "pem");
    write_pem(folder, "client.pem", cert_pem);
    must(cert_key_to_pem(client_key, key_pem), "pem");
    write_pem(folder, "client-key.pem", key_pem);
    must(cert_to_pem(ca, ca_pem), "pem");
    write_pem(folder, "ca.pem", ca_pem);
    must(cert_to_pem(cert, cert_pem), "pem");
    must(cert_key_to_pem(key, key_pem), "pem");
    cert_pin(cert, pin);
    cert_pin_format(pin, pin_text);
    struct tls_server_options options = {.certificate_pem = cert_pem,
                                         .key_pem = key_pem,
                                         .client_ca_pem = ca_pem,
                                         .client_auth = TLS_CLIENT_AUTH_OPTIONAL};
    struct tls_context *tls;
    must(tls_context_create_server(&options, NULL, &tls), "tls");
    cert_key_destroy(ca_key);
    cert_key_destroy(key);
    cert_key_destroy(client_key);
    cert_destroy(ca);
    cert_destroy(cert);
    cert_destroy(client);
    return tls;
}

static void print_counts(const struct http_server_counts *counts)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu_s = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                   (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf(
        "{\"requests\":%llu,\"connections\":%llu,\"evicted\":%llu,\"refused\":%llu,"
        "\"refusals\":%llu,\"handshakes\":%llu,\"handshakes_failed\":%llu,\"resumed\":%llu,"
        "\"timeouts\":%llu,\"requests_now\":%llu,\"cpu_s\":%.3f,\"rss_kib\":%ld}\n",
        (unsigned long long)counts->requests_total, (unsigned long long)counts->connections_total,
        (unsigned long long)counts->connections_evicted,
        (unsigned long long)counts->connections_refused, (unsigned long long)counts->refusals_total,
        (unsigned long long)counts->handshakes_total, (unsigned long long)counts->handshakes_failed,
        (unsigned long long)counts->handshakes_resumed, (unsigned long long)counts->timeouts_total,
        (unsigned long long)counts->requests_now, cpu_s, used.ru_maxrss);
}

/* Short limits can be set for tests: head, body stall, idle, write stall, in milliseconds;
 * connections. */
static struct http_server_limits limits_of(int argc, char **argv)
{
    struct http_server_limits limits = {.connections_max = 0};
    int64_t values[5] = {0};
    for (int i = 4; i < argc && i < 9; i++)
        must(slice_parse_i64(slice_of(argv[i]), &values[i - 4]), "limit");
    limits.head_max = limits.handshake_max = SPAN_MS(values[0]);
    limits.body_stall_max = SPAN_MS(values[1]);
    limits.idle_max = SPAN_MS(values[2]);
    limits.write_stall_max = SPAN_MS(values[3]);
    limits.connections_max = (uint32_t)values[4];
    return limits;
}

int main(int argc, char **argv)
{
    struct echo echo = {NULL, NULL};
    struct fault fault = {.code = ERR_OK};
    char endpoint[ENDPOINT_TEXT_MAX], pin[CERT_PIN_TEXT_MAX] = "-";
    if (argc < 4) {
        fprintf(stderr, "usage: http_echo plain|tls ENDPOINT FOLDER [HEAD_MS BODY_MS IDLE_MS "
                        "WRITE_MS CONNECTIONS]\n");
        return 2;
    }
    must(process_descriptors_raise(), "descriptors");
    struct tls_context *tls = strcmp(argv[1], "tls") == 0 ? make_tls(argv[3], pin) : NULL;
    struct http_server_limits limits = limits_of(argc, argv);
    must(loop_create(&echo.loop), "loop");
    must(http_server_create(echo.loop, &limits, on_request, &echo, &echo.server), "server");
    if (http_server_listen(echo.server, argv[2], NULL, tls, &fault) != ERR_OK) {
        fprintf(stderr, "http_echo: %s\n", fault.message);
        return 1;
    }
    must(loop_signal_watch(echo.loop, SIGTERM, on_signal, &echo), "signal");
    must(loop_signal_watch(echo.loop, SIGINT, on_signal, &echo), "signal");
    must(http_server_endpoint(echo.server, 0, endpoint), "endpoint");
    printf("listening %s pin %s\n", endpoint, pin);
    fflush(stdout);
    must(loop_run(echo.loop), "run");
    struct http_server_counts counts;
    http_server_counts(echo.server, &counts);
    print_counts(&counts);
    http_server_destroy(echo.server);
    tls_context_release(tls);
    loop_destroy(echo.loop);
    return 0;
}
