/* The start gate's door, spoken to over its real socket, and the content cache's bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/gate.h"
#include "agent/shell.h"
#include "base/buffer.h"
#include "base/digest.h"
#include "wire/gate_seal.h"

enum { TURNS_MAX = 100000 };

struct door {
    char home[64], path[128];
    struct loop *loop;
    struct gate *gate;
    uint32_t heard;
    struct gate_message last;
    bool refuses;
};

static bool is_genuine(void *context, const struct gate_message *message)
{
    const struct door *door = context;
    return !door->refuses && slice_is(message->secret, "good");
}

static struct slice secret_of(void *context, const struct attempt_token *token)
{
    (void)context;
    return token->number == 1 ? SLICE_LITERAL("good") : (struct slice){0};
}

static void on_message(void *context, const struct gate_message *message)
{
    struct door *door = context;
    door->heard++;
    door->last = *message;
    door->last.secret = (struct slice){0};
}

static int set_up(void **state)
{
    static const struct gate_events EVENTS = {is_genuine, on_message, secret_of};
    struct door *door = calloc(1, sizeof(*door));
    struct fault fault = {0};
    if (door == NULL)
        return -1;
    *state = door;
    (void)snprintf(door->home, sizeof(door->home), "/tmp/lq-gate-XXXXXX");
    if (mkdtemp(door->home) == NULL || loop_create(&door->loop) != ERR_OK)
        return -1;
    (void)snprintf(door->path, sizeof(door->path), "%s/s", door->home);
    return gate_open(door->loop, door->path, &EVENTS, door, &fault, &door->gate) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    struct door *door = *state;
    gate_close(door->gate);
    loop_destroy(door->loop);
    enum err err = file_remove_tree(door->home, NULL);
    free(door);
    return err == ERR_OK ? 0 : -1;
}

static int knock(const struct door *door)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    size_t len = strlen(door->path);
    assert_true(len < sizeof(address.sun_path));
    memcpy(address.sun_path, door->path, len + 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static struct gate_message ask_of(uint32_t rank, uint64_t incarnation, const char *secret)
{
    return (struct gate_message){.kind = GATE_ASK,
                                 .token = {.epoch = 1, .job = {{{9}}}, .number = 1},
                                 .rank = rank,
                                 .incarnation = incarnation,
                                 .seq = 5,
                                 .secret = slice_of(secret)};
}

static void say(int fd, const struct gate_message *message)
{
    struct buffer line;
    buffer_init(&line, GATE_LINE_MAX);
    assert_int_equal(gate_message_encode(message, &line), ERR_OK);
    assert_int_equal(send(fd, line.data, line.len, MSG_NOSIGNAL), (ssize_t)line.len);
    buffer_deinit(&line);
}

static void until_heard(struct door *door, uint32_t count)
{
    for (int i = 0; i < TURNS_MAX && door->heard < count; i++)
        loop_turn(door->loop);
    assert_int_equal(door->heard, count);
}

/* What comes: bytes > 0, 0 for the end. */
static ssize_t listen_to(struct door *door, int fd, char *out, size_t size)
{
    ssize_t got = -1;
    for (int i = 0; i < TURNS_MAX && got < 0; i++) {
        loop_turn(door->loop);
        got = recv(fd, out, size, 0);
    }
    return got;
}

static void an_answer_goes_to_the_rank_that_asked(void **state)
{
    struct door *door = *state;
    struct gate_message a = ask_of(0, 11, "good"), b = ask_of(1, 11, "good"), answer;
    char text[GATE_LINE_MAX];
    int first = knock(door), second = knock(door);
    say(first, &a);
    until_heard(door, 1);
    say(second, &b);
    until_heard(door, 2);
    answer = b;
    answer.kind = GATE_WAIT;
    answer.secret = (struct slice){0};
    gate_send(door->gate, &answer);
    assert_true(listen_to(door, second, text, sizeof(text)) > 0);
    assert_true(recv(first, text, sizeof(text), 0) < 0);
    answer.incarnation = 12; /* nobody speaks for it: dropped */
    gate_send(door->gate, &answer);
    assert_int_equal(close(first), 0);
    assert_int_equal(close(second), 0);
}

static void a_wrong_secret_an_agents_word_or_noise_ends_the_connection(void **state)
{
    struct door *door = *state;
    struct gate_message wrong = ask_of(0, 11, "bad"), go = ask_of(0, 11, "good");
    char text[GATE_LINE_MAX];
    int fd = knock(door);
    say(fd, &wrong);
    assert_int_equal(listen_to(door, fd, text, sizeof(text)), 0);
    assert_int_equal(close(fd), 0);
    fd = knock(door);
    go.kind = GATE_GO;
    say(fd, &go);
    assert_int_equal(listen_to(door, fd, text, sizeof(text)), 0);
    assert_int_equal(close(fd), 0);
    fd = knock(door);
    assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
    assert_int_equal(listen_to(door, fd, text, sizeof(text)), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(door->heard, 0);
}

static void a_line_without_end_is_not_kept_for_ever(void **state)
{
    struct door *door = *state;
    char noise[GATE_LINE_MAX + 1], text[16];
    int fd = knock(door);
    memset(noise, 'x', sizeof(noise));
    size_t sent = 0;
    for (int i = 0; i < TURNS_MAX && sent < sizeof(noise); i++) {
        ssize_t n = send(fd, noise + sent, sizeof(noise) - sent, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        loop_turn(door->loop);
    }
    assert_true(listen_to(door, fd, text, sizeof(text)) <= 0);
    assert_int_equal(close(fd), 0);
}

static void lines_may_come_in_pieces_and_together(void **state)
{
    struct door *door = *state;
    struct gate_message ask = ask_of(3, 11, "good");
    struct buffer lines;
    int fd = knock(door);
    buffer_init(&lines, 4 * GATE_LINE_MAX);
    for (int i = 0; i < 3; i++)
        assert_int_equal(gate_message_encode(&ask, &lines), ERR_OK);
    for (size_t at = 0; at < lines.len; at += 37) {
        size_t left = lines.len - at;
        assert_true(send(fd, lines.data + at, left < 37 ? left : 37, MSG_NOSIGNAL) > 0);
        loop_turn(door->loop);
    }
    until_heard(door, 3);
    assert_int_equal(door->last.rank, 3);
    buffer_deinit(&lines);
    assert_int_equal(close(fd), 0);
}

/* ---- the door on the network */

struct visitor {
    int fd;
    struct gate_hello hello;
    struct gate_seal seal;
};

static int open_network(struct door *door)
{
    struct fault fault = {0};
    for (uint16_t port = 27000; port < 28000; port++) {
        char endpoint[64];
        (void)snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u", port);
        if (gate_open_network(door->gate, endpoint, &fault) == ERR_OK)
            return port;
    }
    fail_msg("no free port");
    return 0;
}

static int knock_on_network(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* Says hello and takes the welcome; false: the door was closed. */
static bool greet(struct door *door, struct visitor *visitor, int port, const char *secret)
{
    char hello[GATE_HELLO_MAX], welcome[GATE_HELLO_MAX];
    size_t len = gate_hello_format(&visitor->hello, hello);
    visitor->fd = knock_on_network(port);
    assert_int_equal(send(visitor->fd, hello, len, MSG_NOSIGNAL), (ssize_t)len);
    ssize_t got = listen_to(door, visitor->fd, welcome, sizeof(welcome));
    if (got <= 0)
        return false;
    assert_int_equal(gate_seal_begin(&visitor->seal, GATE_SIDE_SUPERVISOR, slice_of(secret),
                                     slice_make(hello, len), slice_make(welcome, (size_t)got)),
                     ERR_OK);
    return true;
}

static void say_sealed(struct visitor *visitor, const struct gate_message *message)
{
    struct buffer line, sealed;
    buffer_init(&line, GATE_LINE_MAX);
    buffer_init(&sealed, GATE_SEALED_LINE_MAX);
    assert_int_equal(gate_message_encode(message, &line), ERR_OK);
    assert_int_equal(gate_seal_put(&visitor->seal, buffer_slice(&line), &sealed), ERR_OK);
    assert_int_equal(send(visitor->fd, sealed.data, sealed.len, MSG_NOSIGNAL), (ssize_t)sealed.len);
    buffer_deinit(&line);
    buffer_deinit(&sealed);
}

static void who_proves_the_secret_on_the_network_is_heard_and_answered(void **state)
{
    struct door *door = *state;
    struct gate_message ask = ask_of(2, 11, ""), answer;
    struct visitor visitor = {.hello = {.token = ask.token, .rank = 2}};
    char text[GATE_SEALED_LINE_MAX];
    struct slice message;
    assert_true(greet(door, &visitor, open_network(door), "good"));
    say_sealed(&visitor, &ask);
    until_heard(door, 1);
    assert_int_equal(door->last.rank, 2);
    answer = ask;
    answer.kind = GATE_GO;
    gate_send(door->gate, &answer);
    ssize_t got = listen_to(door, visitor.fd, text, sizeof(text));
    assert_true(got > 0);
    assert_int_equal(gate_seal_take(&visitor.seal, slice_make(text, (size_t)got - 1), &message),
                     ERR_OK);
    assert_int_equal(close(visitor.fd), 0);
}

static void
on_the_network_a_wrong_secret_another_rank_and_an_unknown_attempt_are_shut_out(void **state)
{
    struct door *door = *state;
    struct gate_message ask = ask_of(2, 11, "");
    struct visitor visitor = {.hello = {.token = ask.token, .rank = 2}};
    char text[GATE_SEALED_LINE_MAX];
    int port = open_network(door);
    assert_true(greet(door, &visitor, port, "wrong"));
    say_sealed(&visitor, &ask);
    assert_true(listen_to(door, visitor.fd, text, sizeof(text)) <= 0);
    assert_int_equal(close(visitor.fd), 0);
    assert_true(greet(door, &visitor, port, "good"));
    ask.rank = 3;
    say_sealed(&visitor, &ask);
    assert_true(listen_to(door, visitor.fd, text, sizeof(text)) <= 0);
    assert_int_equal(close(visitor.fd), 0);
    visitor.hello.token.number = 2;
    assert_false(greet(door, &visitor, port, "good"));
    assert_int_equal(close(visitor.fd), 0);
    assert_int_equal(door->heard, 0);
}

static void strangers_on_the_network_push_out_only_strangers(void **state)
{
    struct door *door = *state;
    struct gate_message ask = ask_of(2, 11, "");
    struct visitor visitor = {.hello = {.token = ask.token, .rank = 2}};
    int strangers[GATE_STRANGERS_MAX + 8], port = open_network(door);
    char text[16];
    assert_true(greet(door, &visitor, port, "good"));
    say_sealed(&visitor, &ask);
    until_heard(door, 1);
    for (int i = 0; i < GATE_STRANGERS_MAX + 8; i++) {
        strangers[i] = knock_on_network(port);
        loop_turn(door->loop);
    }
    assert_int_equal(listen_to(door, strangers[0], text, sizeof(text)), 0);
    say_sealed(&visitor, &ask);
    until_heard(door, 2);
    for (int i = 0; i < GATE_STRANGERS_MAX + 8; i++)
        assert_int_equal(close(strangers[i]), 0);
    assert_int_equal(close(visitor.fd), 0);
}

static void the_cache_stays_below_its_bound(void **state)
{
    struct door *door = *state;
    struct chunks *cache;
    struct chunks_usage usage = {0};
    struct tenant_id tenant = {{{4}}};
    struct fault fault = {0};
    char path[128], bytes[1000];
    (void)snprintf(path, sizeof(path), "%s/cache", door->home);
    assert_int_equal(cache_open(path, &cache, &fault), ERR_OK);
    for (int i = 0; i < 20; i++) {
        memset(bytes, 'a' + i, sizeof(bytes));
        struct slice content = slice_make(bytes, sizeof(bytes));
        assert_int_equal(cache_put(cache, 5000, tenant, digest_of(content), content, &fault),
                         ERR_OK);
        assert_int_equal(chunks_usage(cache, tenant, &usage), ERR_OK);
        assert_true(usage.bytes <= 5000);
    }
    assert_true(usage.bytes >= 1000);
    chunks_close(cache);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(an_answer_goes_to_the_rank_that_asked),
        CASE(a_wrong_secret_an_agents_word_or_noise_ends_the_connection),
        CASE(a_line_without_end_is_not_kept_for_ever),
        CASE(lines_may_come_in_pieces_and_together),
        CASE(who_proves_the_secret_on_the_network_is_heard_and_answered),
        CASE(on_the_network_a_wrong_secret_another_rank_and_an_unknown_attempt_are_shut_out),
        CASE(strangers_on_the_network_push_out_only_strangers),
        CASE(the_cache_stays_below_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
