/* A connection of the HTTP server, plain or TLS, fed with the input in pieces of a size that the
 * input chooses; handlers collect, stream, ignore, hold or answer at once, as the target's second
 * letter says. When the socket is gone no exchange and no connection may be left. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "http/cert.h"
#include "http/server_private.h"
#include "port/clock.h"

enum { TURNS = 4, PIECES_MAX = 64, HELD_MAX = 4 };

struct world {
    struct loop *loop;
    struct http_server *server;
    struct http_server_listener listeners[2]; /* plain, TLS */
    struct http_exchange *held;
    int open_count; /* exchanges that were listened to and not closed yet */
};

static void on_body(void *context, struct http_exchange *exchange, struct slice body)
{
    (void)context;
    ASSERT(body.len <= exchange->body_bytes_max);
    http_exchange_respond_json(exchange, 200, body);
}

static void on_bytes(void *context, struct http_exchange *exchange, struct slice bytes)
{
    (void)context;
    if (http_exchange_write(exchange, bytes) != ERR_OK || bytes.len % 7 == 3)
        http_exchange_read_stop(exchange);
}

static void on_end(void *context, struct http_exchange *exchange)
{
    (void)context;
    http_exchange_finish(exchange);
}

static void on_close(void *context, struct http_exchange *exchange, enum err why)
{
    struct world *world = context;
    (void)why;
    world->open_count--;
    ASSERT(world->open_count >= 0);
    if (world->held == exchange)
        world->held = NULL;
}

static const struct http_exchange_events events = {
    .on_body = on_body, .on_bytes = on_bytes, .on_end = on_end, .on_close = on_close};

static void on_request(void *context, struct http_exchange *exchange)
{
    struct world *world = context;
    struct slice target = http_exchange_head(exchange)->target;
    char how = target.len > 1 ? target.data[1] : 'i';
    if (how == 'i') {
        http_exchange_respond_problem(exchange, 404, "ignored", "x\"\\\n");
        return;
    }
    http_exchange_listen(exchange, &events, world);
    world->open_count++;
    if (how == 'c') {
        http_exchange_collect(exchange, 64);
    } else if (how == 's') {
        http_exchange_stream(exchange, 0);
        http_exchange_start(exchange, 200, NULL, 0, -1);
    } else if (how == 'a') {
        http_exchange_abort(exchange);
    } else if (how == 'p') {
        http_exchange_start(exchange, 200, NULL, 0, 10);
        http_exchange_finish(exchange); /* shorter than promised */
    } else {
        world->held = exchange;
    }
}

static void must(enum err code)
{
    ASSERT(code == ERR_OK);
}

static struct tls_context *make_tls(void)
{
    static const char *const names[] = {"localhost"};
    struct cert_key *key;
    struct cert *ca, *cert;
    char key_pem[CERT_PEM_MAX], cert_pem[CERT_PEM_MAX];
    struct clock clock = clock_system();
    struct tls_context *tls;
    must(cert_key_generate(&key));
    must(cert_make_authority(key, "fuzz", clock_wall(&clock), SPAN_S(86400), &ca));
    struct cert_authority authority = {ca, key};
    must(cert_issue_server(&authority, key, names, 1, clock_wall(&clock), SPAN_S(86400), &cert));
    must(cert_key_to_pem(key, key_pem));
    must(cert_to_pem(cert, cert_pem));
    struct tls_server_options options = {.certificate_pem = cert_pem, .key_pem = key_pem};
    must(tls_context_create_server(&options, NULL, &tls));
    cert_destroy(ca);
    cert_destroy(cert);
    cert_key_destroy(key);
    return tls;
}

static struct world *world_get(void)
{
    static struct world world; /* made once: a server a run would spend the time on keys */
    if (world.loop != NULL)
        return &world;
    struct http_server_limits limits = {.head_bytes_max = 2000, .body_bytes_max = 3000};
    must(loop_create(&world.loop));
    must(http_server_create(world.loop, &limits, on_request, &world, &world.server));
    for (size_t i = 0; i < 2; i++)
        world.listeners[i] = (struct http_server_listener){.server = world.server, .index = i};
    world.listeners[1].tls = make_tls();
    return &world;
}

static void turn(struct world *world, int fd)
{
    char sink[4096];
    for (int i = 0; i < TURNS; i++) {
        loop_turn(world->loop);
        while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
            ;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *world = world_get();
    struct slice input = slice_make(data, size);
    uint8_t how = take_last(&input);
    size_t piece = (size_t)take_last(&input) + 1;
    int fds[2];
    struct stream *stream;
    ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    must(stream_from_fd(world->loop, fds[0], &stream));
    connection_accept(&world->listeners[how & 1], stream);
    for (int i = 0; input.len > 0 && i < PIECES_MAX; i++) {
        size_t len = input.len < piece ? input.len : piece;
        if (send(fds[1], input.data, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
        input = slice_make(input.data + len, input.len - len);
        turn(world, fds[1]);
        if (world->held != NULL && (how & 2) != 0) {
            http_exchange_respond_json(world->held, 200, SLICE_LITERAL("held"));
            world->held = NULL;
        }
    }
    if ((how & 4) != 0)
        shutdown(fds[1], SHUT_WR);
    turn(world, fds[1]);
    close(fds[1]);
    if (world->held != NULL)
        http_exchange_abort(world->held);
    struct http_server_counts counts;
    for (int i = 0; i < TURNS; i++)
        loop_turn(world->loop);
    while (world->server->busy != NULL) /* readers that paused do not see the end */
        connection_kill(world->server->busy, ERR_CLOSED);
    for (int i = 0; i < TURNS; i++)
        loop_turn(world->loop);
    http_server_counts(world->server, &counts);
    ASSERT(counts.connections_now == 0 && counts.requests_now == 0 && world->open_count == 0);
    return 0;
}
