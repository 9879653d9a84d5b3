/* lq relay: passes connections on, every byte later by a fixed time: a long line on one machine.
 * A connection's first bytes wait a round trip more, as for the handshake that a real line has. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/money.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "port/file.h"
#include "port/loop.h"
#include "port/stream.h"

enum {
    RELAY_WAITING_BYTES_MAX = 4 << 20, /* one way; then the sender is not read */
    RELAY_PAIRS_MAX = 1024,
    RELAY_DELAY_MS_MAX = 60000,
    RELAY_CONNECT_MS = 10000,
};

struct piece { /* one read, waiting for its time */
    struct piece *next;
    struct boot_ns due;
    size_t len; /* 0: the end */
    char bytes[];
};

struct way {
    struct pair *pair;
    struct stream *from, *to;
    struct piece *first, **last;
    size_t waiting;
    struct loop_timer timer;
    bool is_stopped, is_ended, has_finished;
};

struct pair {
    struct relay *relay;
    struct pair *next, **link;
    struct connector *connector;
    struct boot_ns opened;
    struct way there, back;
};

struct relay {
    struct loop *loop;
    const char *target;
    int64_t delay_ns;
    struct pair *pairs;
    uint32_t count;
};

static void way_clear(struct way *way)
{
    while (way->first != NULL) {
        struct piece *piece = way->first;
        way->first = piece->next;
        free(piece);
    }
    loop_timer_stop(&way->timer);
}

static void pair_close(struct pair *pair)
{
    if (pair->connector != NULL)
        connector_cancel(pair->connector);
    stream_close(pair->there.from);
    stream_close(pair->back.from);
    way_clear(&pair->there);
    way_clear(&pair->back);
    *pair->link = pair->next;
    if (pair->next != NULL)
        pair->next->link = pair->link;
    pair->relay->count--;
    free(pair);
}

/* What is due leaves; then the timer is set for the next. */
static void way_run(void *context)
{
    struct way *way = context;
    struct boot_ns now = loop_now(way->pair->relay->loop).boot;
    while (way->first != NULL && way->to != NULL && !boot_is_before(now, way->first->due)) {
        struct piece *piece = way->first;
        enum err err = piece->len == 0
                           ? stream_shutdown(way->to)
                           : stream_write(way->to, (struct slice){piece->bytes, piece->len});
        if (err == ERR_LIMIT)
            return; /* on_drain goes on */
        way->has_finished = way->has_finished || piece->len == 0;
        way->waiting -= piece->len;
        way->first = piece->next;
        if (way->first == NULL)
            way->last = &way->first;
        free(piece);
        if (err != ERR_OK || (way->pair->there.has_finished && way->pair->back.has_finished)) {
            pair_close(way->pair);
            return;
        }
    }
    if (way->first != NULL && way->to != NULL)
        loop_timer_set_at(&way->timer, way->first->due);
    if (way->is_stopped && way->waiting < RELAY_WAITING_BYTES_MAX / 2) {
        way->is_stopped = false;
        if (stream_read_start(way->from) != ERR_OK)
            pair_close(way->pair);
    }
}

static bool way_add(struct way *way, struct slice bytes)
{
    struct relay *relay = way->pair->relay;
    struct piece *piece = malloc(sizeof(*piece) + bytes.len);
    struct boot_ns now = loop_now(relay->loop).boot, open = way->pair->opened;
    if (piece == NULL)
        return false;
    open.ns += 2 * relay->delay_ns;
    *piece = (struct piece){.len = bytes.len, .due = boot_is_before(now, open) ? open : now};
    piece->due.ns += relay->delay_ns;
    if (bytes.len > 0)
        memcpy(piece->bytes, bytes.data, bytes.len);
    *way->last = piece;
    way->last = &piece->next;
    way->waiting += bytes.len;
    if (way->first == piece && way->to != NULL)
        loop_timer_set_at(&way->timer, piece->due);
    if (way->waiting >= RELAY_WAITING_BYTES_MAX) {
        way->is_stopped = true;
        stream_read_stop(way->from);
    }
    return true;
}

static void on_bytes(void *context, struct slice bytes)
{
    struct way *way = context;
    if (!way_add(way, bytes))
        pair_close(way->pair);
}

static void on_end(void *context, enum err why)
{
    struct way *way = context;
    if (why != ERR_OK || way->is_ended || !way_add(way, (struct slice){"", 0}))
        pair_close(way->pair); /* a reset is passed on at once */
    else
        way->is_ended = true;
}

/* The stream that a way reads from is the one that the other writes to. */
static void on_drain(void *context)
{
    struct way *way = context;
    struct way *other = way == &way->pair->there ? &way->pair->back : &way->pair->there;
    if (other->first != NULL)
        loop_timer_set_at(&other->timer, other->first->due);
}

static const struct stream_events EVENTS = {
    .on_bytes = on_bytes, .on_end = on_end, .on_drain = on_drain};

static void on_connect(void *context, enum err code, struct stream *stream)
{
    struct pair *pair = context;
    pair->connector = NULL;
    if (code != ERR_OK) {
        pair_close(pair);
        return;
    }
    pair->there.to = pair->back.from = stream;
    stream_listen(stream, &EVENTS, &pair->back);
    if (stream_read_start(stream) != ERR_OK)
        pair_close(pair);
    else if (pair->there.first != NULL)
        loop_timer_set_at(&pair->there.timer, pair->there.first->due);
}

static void on_accept(void *context, struct stream *stream)
{
    struct relay *relay = context;
    struct pair *pair = relay->count < RELAY_PAIRS_MAX ? calloc(1, sizeof(*pair)) : NULL;
    if (pair == NULL) {
        stream_close(stream);
        return;
    }
    relay->count++;
    pair->relay = relay;
    pair->opened = loop_now(relay->loop).boot;
    pair->there = (struct way){.pair = pair, .from = stream};
    pair->back = (struct way){.pair = pair, .to = stream};
    pair->there.last = &pair->there.first;
    pair->back.last = &pair->back.first;
    loop_timer_init(&pair->there.timer, relay->loop, way_run, &pair->there);
    loop_timer_init(&pair->back.timer, relay->loop, way_run, &pair->back);
    pair->next = relay->pairs;
    pair->link = &relay->pairs;
    if (pair->next != NULL)
        pair->next->link = &pair->next;
    relay->pairs = pair;
    stream_listen(stream, &EVENTS, &pair->there);
    if (stream_read_start(stream) != ERR_OK ||
        connector_start(relay->loop, relay->target, SPAN_MS(RELAY_CONNECT_MS), on_connect, pair,
                        &pair->connector) != ERR_OK)
        pair_close(pair);
}

static void on_signal(void *context, int signal_number)
{
    (void)signal_number;
    loop_stop(context);
}

static const struct flag RELAY_FLAGS[] = {
    {"delay-ms", 0, FLAG_TEXT, "MS", "of each byte, one way, as 10.95 (half of the round trip)"},
    {"ready-fd", 0, FLAG_NUMBER, "FD", "write \"ready HOST:PORT\" to this descriptor"},
};

static int relay(struct cli *cli)
{
    struct relay relay = {.target = cli->positional[1]};
    struct fault fault = {0};
    struct listener *listener;
    struct money delay = {0}; /* a decimal with six places */
    char endpoint[ENDPOINT_TEXT_MAX];
    const char *text = cli_text(cli, "delay-ms", "0");
    if (money_parse(slice_of(text), &delay) != ERR_OK || delay.micros < 0 ||
        delay.micros / 1000000 > RELAY_DELAY_MS_MAX)
        return cli_fail(cli, EXIT_USAGE, "--delay-ms wants milliseconds from 0 to %d, not \"%s\"",
                        RELAY_DELAY_MS_MAX, text);
    relay.delay_ns = delay.micros;
    int code = cli_loop(cli);
    if (code != EXIT_DONE)
        return code;
    relay.loop = cli->loop;
    if (listener_open(relay.loop, cli->positional[0], NULL, &fault, on_accept, &relay, &listener) !=
        ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, cli->positional[0], &fault);
    listener_endpoint(listener, endpoint);
    if (cli_has(cli, "ready-fd")) {
        int fd = (int)cli_number(cli, "ready-fd", 0);
        enum err err =
            file_write_all(fd, slice_of(arena_printf(&cli->arena, "ready %s\n", endpoint)));
        file_close(fd);
        if (err != ERR_OK)
            code = cli_fail(cli, EXIT_FAILED, "cannot write to descriptor %d", fd);
    }
    if (code == EXIT_DONE &&
        (loop_signal_watch(relay.loop, SIGINT, on_signal, relay.loop) != ERR_OK ||
         loop_signal_watch(relay.loop, SIGTERM, on_signal, relay.loop) != ERR_OK))
        code = cli_fail(cli, EXIT_FAILED, "cannot watch for signals");
    if (code == EXIT_DONE)
        cli_note(cli, "%s -> %s, %s ms later each way", endpoint, relay.target, text);
    if (code == EXIT_DONE && loop_run(relay.loop) != ERR_OK)
        code = cli_fail(cli, EXIT_FAILED, "the event loop failed");
    while (relay.pairs != NULL)
        pair_close(relay.pairs);
    listener_close(listener);
    return code;
}

const struct command COMMAND_RELAY = {
    .name = "relay",
    .group = "Running a network",
    .summary = "pass connections on with a delay: a long line on one machine",
    .usage = "LISTEN TARGET --delay-ms MS",
    .details = "lq up --delay puts one between each agent and the server.\n\n"
               "Example:\n  lq relay 127.0.0.1:7801 127.0.0.1:7700 --delay-ms 10.95",
    .flags = RELAY_FLAGS,
    .flag_count = sizeof(RELAY_FLAGS) / sizeof(RELAY_FLAGS[0]),
    .positional_min = 2,
    .positional_max = 2,
    .run = relay};
