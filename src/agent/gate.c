#include "agent/gate.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/tell.h"
#include "base/assert.h"
#include "base/buffer.h"
#include "base/map.h"
#include "port/entropy.h"
#include "port/file.h"
#include "port/stream.h"
#include "wire/gate_seal.h"

enum {
    GATE_BUFFER_MAX = GATE_SEALED_LINE_MAX + STREAM_READ_BYTES_MAX,
    GATE_KEY_BYTES = 44,
    GATE_ADDRESS_MAX = 100,
};

/* How far a connection from the network has come. One on the socket is PROVEN from the start. */
enum gate_stage { GATE_STRANGER, GATE_GREETED, GATE_PROVEN };

struct gate_connection {
    struct gate *gate;
    struct stream *stream;
    struct buffer in;
    struct gate_connection *next, *prev;
    bool has_key;
    char key[GATE_KEY_BYTES]; /* the last that spoke here: a supervisor speaks for one rank */
    bool is_sealed;
    enum gate_stage stage;
    struct gate_hello hello;
    struct gate_seal seal;
};

struct gate {
    struct loop *loop;
    struct listener *listener, *network;
    uint32_t strangers; /* connections that are not PROVEN */
    int folder;         /* of a socket whose path is too long for an address; -1: none */
    const struct gate_events *events;
    void *context;
    struct gate_connection *connections;
    uint32_t count;
    struct strmap speakers; /* key -> connection */
    struct arena arena;     /* of the message in hand */
};

static struct slice key_make(const struct gate_message *message, char out[GATE_KEY_BYTES])
{
    size_t at = 0;
    memset(out, 0, GATE_KEY_BYTES);
    memcpy(out + at, &message->token.epoch, sizeof(message->token.epoch));
    at += sizeof(message->token.epoch);
    memcpy(out + at, message->token.job.id.bytes, sizeof(message->token.job.id.bytes));
    at += sizeof(message->token.job.id.bytes);
    memcpy(out + at, &message->token.number, sizeof(message->token.number));
    at += sizeof(message->token.number);
    memcpy(out + at, &message->rank, sizeof(message->rank));
    at += sizeof(message->rank);
    memcpy(out + at, &message->incarnation, sizeof(message->incarnation));
    return slice_make(out, GATE_KEY_BYTES);
}

static void connection_drop(struct gate_connection *connection)
{
    struct gate *gate = connection->gate;
    if (connection->has_key) {
        struct slice key = slice_make(connection->key, GATE_KEY_BYTES);
        if (strmap_get(&gate->speakers, key) == connection)
            strmap_remove(&gate->speakers, key);
    }
    if (connection->prev != NULL)
        connection->prev->next = connection->next;
    else
        gate->connections = connection->next;
    if (connection->next != NULL)
        connection->next->prev = connection->prev;
    gate->count--;
    gate->strangers -= connection->stage == GATE_PROVEN ? 0 : 1;
    stream_close(connection->stream);
    buffer_deinit(&connection->in);
    free(connection);
}

static void connection_know(struct gate_connection *connection, const struct gate_message *message)
{
    char key[GATE_KEY_BYTES];
    struct gate *gate = connection->gate;
    struct slice bytes = key_make(message, key);
    struct slice old = slice_make(connection->key, GATE_KEY_BYTES);
    if (connection->has_key && slice_is_equal(old, bytes) &&
        strmap_get(&gate->speakers, bytes) == connection)
        return;
    if (connection->has_key && strmap_get(&gate->speakers, old) == connection)
        strmap_remove(&gate->speakers, old);
    memcpy(connection->key, key, sizeof(key));
    connection->has_key = strmap_put(&gate->speakers, bytes, connection) == ERR_OK;
}

/* A supervisor on the network says who it is; the answer makes the key. */
static bool hello_take(struct gate_connection *connection, struct slice line)
{
    struct gate *gate = connection->gate;
    struct gate_nonce nonce;
    char welcome[GATE_HELLO_MAX];
    if (gate_hello_parse(line, &connection->hello) != ERR_OK ||
        entropy_fill(nonce.bytes, sizeof(nonce.bytes)) != ERR_OK)
        return false;
    struct slice secret = gate->events->secret_of(gate->context, &connection->hello.token);
    struct slice answer = slice_make(welcome, gate_welcome_format(&nonce, welcome));
    struct slice hello = {line.data, line.len + 1}; /* with its end, which stands behind it */
    if (secret.len == 0 ||
        gate_seal_begin(&connection->seal, GATE_SIDE_AGENT, secret, hello, answer) != ERR_OK)
        return false;
    connection->stage = GATE_GREETED;
    return stream_write(connection->stream, answer) == ERR_OK;
}

/* A sealed line becomes what the socket would have brought: with the secret that it proved. */
static bool seal_take(struct gate_connection *connection, struct slice *line)
{
    if (gate_seal_take(&connection->seal, *line, line) != ERR_OK)
        return false;
    if (connection->stage == GATE_GREETED) {
        connection->stage = GATE_PROVEN;
        connection->gate->strangers--;
    }
    return true;
}

static bool is_of_hello(const struct gate_connection *connection,
                        const struct gate_message *message)
{
    return attempt_token_is_equal(&connection->hello.token, &message->token) &&
           connection->hello.rank == message->rank && message->secret.len == 0;
}

/* False: not the protocol; the connection goes. */
static bool line_take(struct gate_connection *connection, struct slice line)
{
    struct gate *gate = connection->gate;
    struct gate_message message;
    struct fault fault = {0};
    if (connection->stage == GATE_STRANGER)
        return hello_take(connection, line);
    if (connection->is_sealed && !seal_take(connection, &line))
        return false;
    arena_reset(&gate->arena);
    if (gate_message_decode(line, &gate->arena, &message, &fault) != ERR_OK)
        return false;
    if (connection->is_sealed) {
        if (!is_of_hello(connection, &message))
            return false;
        message.secret = gate->events->secret_of(gate->context, &message.token);
    }
    if (message.kind != GATE_ASK && message.kind != GATE_RENEW && message.kind != GATE_EXIT)
        return false;
    if (!gate->events->is_genuine(gate->context, &message))
        return false;
    connection_know(connection, &message);
    gate->events->on_message(gate->context, &message);
    return true;
}

static void on_bytes(void *context, struct slice bytes)
{
    struct gate_connection *connection = context;
    size_t used = 0;
    buffer_append(&connection->in, bytes);
    bool is_good = buffer_status(&connection->in) == ERR_OK;
    while (is_good) {
        struct slice rest = buffer_slice(&connection->in);
        rest = (struct slice){rest.data + used, rest.len - used};
        const char *end = rest.len == 0 ? NULL : memchr(rest.data, '\n', rest.len);
        if (end == NULL)
            break;
        is_good = line_take(connection, slice_make(rest.data, (size_t)(end - rest.data)));
        used += (size_t)(end - rest.data) + 1;
    }
    if (is_good) {
        buffer_drop_front(&connection->in, used);
        is_good =
            connection->in.len < (connection->is_sealed ? GATE_SEALED_LINE_MAX : GATE_LINE_MAX);
    }
    if (!is_good)
        connection_drop(connection);
    else if (connection->in.len == 0) { /* thousands may sit here, silent */
        buffer_deinit(&connection->in);
        buffer_init(&connection->in, GATE_BUFFER_MAX);
    }
}

static void on_end(void *context, enum err why)
{
    (void)why;
    connection_drop(context);
}

static void connection_begin(struct gate *gate, struct stream *stream, bool is_sealed)
{
    static const struct stream_events EVENTS = {.on_bytes = on_bytes, .on_end = on_end};
    struct gate_connection *connection =
        gate->count < GATE_CONNECTIONS_MAX ? calloc(1, sizeof(*connection)) : NULL;
    if (connection == NULL) {
        stream_close(stream);
        return;
    }
    connection->gate = gate;
    connection->stream = stream;
    connection->is_sealed = is_sealed;
    connection->stage = is_sealed ? GATE_STRANGER : GATE_PROVEN;
    buffer_init(&connection->in, GATE_BUFFER_MAX);
    connection->next = gate->connections;
    if (connection->next != NULL)
        connection->next->prev = connection;
    gate->connections = connection;
    gate->count++;
    gate->strangers += is_sealed ? 1 : 0;
    stream_listen(stream, &EVENTS, connection);
    if (stream_read_start(stream) != ERR_OK)
        connection_drop(connection);
}

static void on_accept(void *context, struct stream *stream)
{
    struct stream_peer peer;
    if (stream_peer(stream, &peer) == ERR_OK && peer.has_credentials &&
        (peer.uid == 0 || peer.uid == geteuid()))
        connection_begin(context, stream, false);
    else
        stream_close(stream);
}

/* Whoever opens connections and says nothing only pushes out others of that kind. */
static void on_accept_network(void *context, struct stream *stream)
{
    struct gate *gate = context;
    struct gate_connection *oldest = NULL;
    if (gate->strangers >= GATE_STRANGERS_MAX)
        for (struct gate_connection *at = gate->connections; at != NULL; at = at->next)
            if (at->stage != GATE_PROVEN)
                oldest = at; /* newest first */
    if (oldest != NULL)
        connection_drop(oldest);
    connection_begin(gate, stream, true);
}

void gate_send(struct gate *gate, const struct gate_message *message)
{
    char key[GATE_KEY_BYTES];
    struct buffer line, sealed;
    struct gate_connection *connection = strmap_get(&gate->speakers, key_make(message, key));
    if (connection == NULL)
        return;
    buffer_init(&line, GATE_LINE_MAX);
    buffer_init(&sealed, GATE_SEALED_LINE_MAX);
    enum err err = gate_message_encode(message, &line);
    if (err == ERR_OK && connection->is_sealed)
        err = gate_seal_put(&connection->seal, buffer_slice(&line), &sealed);
    if (err == ERR_OK)
        err =
            stream_write(connection->stream, buffer_slice(connection->is_sealed ? &sealed : &line));
    buffer_deinit(&line);
    buffer_deinit(&sealed);
    if (err != ERR_OK) { /* it may be the connection in hand: its end comes by reading */
        strmap_remove(&gate->speakers, slice_make(key, sizeof(key)));
        connection->has_key = false;
    }
}

/* An address holds 107 bytes: a longer path is reached through its folder's descriptor, which stays
 * open for the removal at the end. */
static enum err endpoint_make(struct gate *gate, const char *path, char out[ENDPOINT_TEXT_MAX],
                              struct fault *fault)
{
    const char *slash = strrchr(path, '/');
    char folder[FILE_PATH_MAX];
    gate->folder = -1;
    if (strlen(path) <= GATE_ADDRESS_MAX || slash == NULL) {
        (void)snprintf(out, ENDPOINT_TEXT_MAX, "unix:%.*s", GATE_ADDRESS_MAX, path);
        return ERR_OK;
    }
    (void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
    gate->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (gate->folder < 0)
        return fault_set(fault, ERR_IO, "state_folder", "the folder %s cannot be opened", folder);
    (void)snprintf(out, ENDPOINT_TEXT_MAX, "unix:/proc/self/fd/%d%.64s", gate->folder, slash);
    return ERR_OK;
}

enum err gate_open(struct loop *loop, const char *path, const struct gate_events *events,
                   void *context, struct fault *fault, struct gate **out_gate)
{
    char endpoint[ENDPOINT_TEXT_MAX];
    static const struct listener_options OPTIONS = {.unix_mode = 0600,
                                                    .pending_bytes_max = 8 * GATE_LINE_MAX};
    struct gate *gate = calloc(1, sizeof(*gate));
    if (gate == NULL)
        return ERR_NO_MEMORY;
    gate->loop = loop;
    gate->events = events;
    gate->context = context;
    strmap_init(&gate->speakers, GATE_CONNECTIONS_MAX, 0);
    arena_init(&gate->arena, GATE_ARENA_BYTES);
    enum err err = endpoint_make(gate, path, endpoint, fault);
    if (err == ERR_OK)
        err = listener_open(loop, endpoint, &OPTIONS, fault, on_accept, gate, &gate->listener);
    if (err != ERR_OK) {
        if (gate->folder >= 0)
            (void)close(gate->folder);
        strmap_deinit(&gate->speakers);
        arena_deinit(&gate->arena);
        free(gate);
        return err;
    }
    *out_gate = gate;
    return ERR_OK;
}

enum err gate_open_network(struct gate *gate, const char *endpoint, struct fault *fault)
{
    static const struct listener_options OPTIONS = {.pending_bytes_max = 8 * GATE_LINE_MAX};
    ASSERT(gate->network == NULL && gate->events->secret_of != NULL);
    return listener_open(gate->loop, endpoint, &OPTIONS, fault, on_accept_network, gate,
                         &gate->network);
}

void gate_close(struct gate *gate)
{
    if (gate == NULL)
        return;
    listener_close(gate->listener);
    listener_close(gate->network);
    while (gate->connections != NULL)
        connection_drop(gate->connections);
    if (gate->folder >= 0)
        (void)close(gate->folder);
    strmap_deinit(&gate->speakers);
    arena_deinit(&gate->arena);
    free(gate);
}
