#include "gang.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const uint64_t greeting_mark = UINT64_C(0x31474e4147514c); /* "LQGANG1" */

struct greeting {
    uint64_t mark, identity;
    uint32_t rank, nodes;
};

struct word { /* goes before the values, both ways */
    uint64_t step;
    double loss;
    uint64_t stop;
};

struct lm_gang {
    uint32_t nodes, rank;
    int links[LM_GANG_NODES_MAX]; /* at node 0: by rank; elsewhere links[0] leads to node 0 */
    lm_real *values;              /* what one member sent; values_len */
    size_t values_len;
};

/* ---- where we are --------------------------------------------------------------------------- */

static bool parse_count(const char *text, uint32_t limit, uint32_t *out_value)
{
    char *end = NULL;

    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' || value > limit) {
        return false;
    }
    *out_value = (uint32_t)value;
    return true;
}

/* HOST, HOST:PORT or [V6]:PORT; a bare V6 address has several colons and no port. */
static bool split_address(const char *text, size_t len, struct lm_gang_place *place)
{
    const char *port = NULL;
    size_t port_len = 0, host_len = len;

    if (len > 0 && text[0] == '[') {
        const char *close = memchr(text, ']', len);
        if (close == NULL) {
            return false;
        }
        size_t after = len - (size_t)(close + 1 - text);
        if (after > 0 && close[1] != ':') {
            return false;
        }
        port = after > 1 ? close + 2 : NULL;
        port_len = after > 1 ? after - 1 : 0;
        text++;
        host_len = (size_t)(close - text);
    } else {
        const char *colon = memchr(text, ':', len);
        if (colon != NULL && memchr(colon + 1, ':', len - (size_t)(colon + 1 - text)) == NULL) {
            host_len = (size_t)(colon - text);
            port = colon + 1;
            port_len = len - host_len - 1;
        }
    }
    if (host_len == 0 || host_len >= sizeof place->address || port_len >= sizeof place->port) {
        return false;
    }
    memcpy(place->address, text, host_len);
    place->address[host_len] = '\0';
    if (port == NULL || port_len == 0) {
        (void)snprintf(place->port, sizeof place->port, "%d", LM_GANG_PORT);
    } else {
        memcpy(place->port, port, port_len);
        place->port[port_len] = '\0';
    }
    return true;
}

bool lm_gang_place_parse(struct lm_gang_place *out_place, const char *num_nodes, const char *rank,
                         const char *addresses, struct lm_fault *fault)
{
    struct lm_gang_place place = {.nodes = 1};

    if (num_nodes != NULL &&
        (!parse_count(num_nodes, LM_GANG_NODES_MAX, &place.nodes) || place.nodes == 0)) {
        return lm_fail(fault, "LQ_NUM_NODES must be 1 to %d, not \"%s\"", LM_GANG_NODES_MAX,
                       num_nodes);
    }
    if (place.nodes > 1) {
        if (rank == NULL || !parse_count(rank, place.nodes - 1, &place.rank)) {
            return lm_fail(fault, "LQ_NODE_RANK must be 0 to %" PRIu32 ", not \"%s\"",
                           place.nodes - 1, rank == NULL ? "" : rank);
        }
        size_t first = addresses == NULL ? 0 : strcspn(addresses, ",\n");
        if (first == 0 || !split_address(addresses, first, &place)) {
            return lm_fail(fault, "LQ_NODE_ADDRS must begin with node 0's address, not \"%s\"",
                           addresses == NULL ? "" : addresses);
        }
    }
    *out_place = place;
    return true;
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static bool send_all(int fd, const void *bytes, size_t len, struct lm_fault *fault)
{
    const char *p = bytes;

    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return lm_fail(fault, "gang: a member is gone: %s", strerror(errno));
        }
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static bool receive_all(int fd, void *bytes, size_t len, struct lm_fault *fault)
{
    char *p = bytes;

    while (len > 0) {
        ssize_t n = recv(fd, p, len, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n == 0) {
            return lm_fail(fault, "gang: a member has left");
        }
        if (n < 0) {
            return lm_fail(fault, "gang: a member is gone: %s",
                           errno == EAGAIN ? "nothing heard in time" : strerror(errno));
        }
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static void link_setup(int fd)
{
    const int on = 1;
    const struct timeval silence = {.tv_sec = LM_GANG_SILENCE_S};

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof silence);
}

/* ---- meeting -------------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A socket bound and listening at the place, or connected to it; -1 with errno otherwise. */
static int socket_at(const struct lm_gang_place *place, bool listening, struct lm_fault *fault)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = listening ? AI_PASSIVE : 0};
    struct addrinfo *found = NULL;
    const int on = 1;
    int fd = -1;
    int rc = getaddrinfo(place->address, place->port, &hints, &found);

    if (rc != 0) {
        (void)lm_fail(fault, "gang: address %s port %s: %s", place->address, place->port,
                      gai_strerror(rc));
        return -1;
    }
    for (const struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd < 0) {
            continue;
        }
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        rc = listening
                 ? bind(fd, a->ai_addr, a->ai_addrlen) == 0 ? listen(fd, LM_GANG_NODES_MAX) : -1
                 : connect(fd, a->ai_addr, a->ai_addrlen);
        if (rc != 0) {
            (void)lm_fail(fault, "gang: node 0 at %s port %s: %s", place->address, place->port,
                          strerror(errno));
            (void)close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

/* Takes one member's greeting. A stranger or a stale member is dropped, not fatal. */
static void welcome(struct lm_gang *gang, int fd, const struct greeting *mine)
{
    struct greeting theirs;

    link_setup(fd);
    bool fits = receive_all(fd, &theirs, sizeof theirs, NULL) && theirs.mark == mine->mark &&
                theirs.identity == mine->identity && theirs.nodes == gang->nodes &&
                theirs.rank > 0 && theirs.rank < gang->nodes && gang->links[theirs.rank] < 0 &&
                send_all(fd, mine, sizeof *mine, NULL);
    if (!fits) {
        (void)close(fd);
        return;
    }
    gang->links[theirs.rank] = fd;
}

static uint32_t missing(const struct lm_gang *gang)
{
    uint32_t count = 0;

    for (uint32_t r = 1; r < gang->nodes; r++) {
        count += gang->links[r] < 0;
    }
    return count;
}

static bool gather(struct lm_gang *gang, const struct lm_gang_place *place,
                   const struct greeting *mine, struct lm_fault *fault)
{
    const int64_t end = now_ms() + LM_GANG_SILENCE_S * 1000;
    int door = socket_at(place, true, fault);

    if (door < 0) {
        return false;
    }
    while (missing(gang) > 0) {
        struct pollfd wait = {.fd = door, .events = POLLIN};
        int64_t left = end - now_ms();
        if (left <= 0) {
            break;
        }
        if (poll(&wait, 1, (int)left) > 0) {
            int fd = accept4(door, NULL, NULL, SOCK_CLOEXEC);
            if (fd >= 0) {
                welcome(gang, fd, mine);
            }
        }
    }
    (void)close(door);
    return missing(gang) == 0 ||
           lm_fail(fault, "gang: %" PRIu32 " of %" PRIu32 " nodes did not come in %d s",
                   missing(gang), gang->nodes, LM_GANG_SILENCE_S);
}

static bool report_in(struct lm_gang *gang, const struct lm_gang_place *place,
                      const struct greeting *mine, struct lm_fault *fault)
{
    const int64_t end = now_ms() + LM_GANG_SILENCE_S * 1000;
    const struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
    struct greeting theirs;

    for (;;) {
        int fd = socket_at(place, false, fault);
        if (fd >= 0) {
            link_setup(fd);
            if (!send_all(fd, mine, sizeof *mine, fault) ||
                !receive_all(fd, &theirs, sizeof theirs, fault) || theirs.mark != mine->mark ||
                theirs.identity != mine->identity) {
                (void)close(fd);
                return lm_fail(fault, "gang: node 0 turned this node away: do all run the same "
                                      "command on the same text?");
            }
            gang->links[0] = fd;
            return true;
        }
        if (now_ms() >= end) {
            return false; /* the fault says why the last try failed */
        }
        (void)nanosleep(&pause, NULL); /* node 0 may not have started yet */
    }
}

struct lm_gang *lm_gang_join(const struct lm_gang_place *place, uint64_t identity,
                             struct lm_fault *fault)
{
    struct lm_gang *gang = calloc(1, sizeof *gang);
    const struct greeting mine = {
        .mark = greeting_mark, .identity = identity, .rank = place->rank, .nodes = place->nodes};

    if (gang == NULL) {
        (void)lm_fail(fault, "out of memory");
        return NULL;
    }
    gang->nodes = place->nodes;
    gang->rank = place->rank;
    for (uint32_t r = 0; r < LM_GANG_NODES_MAX; r++) {
        gang->links[r] = -1;
    }
    if (!(gang->rank == 0 ? gather(gang, place, &mine, fault)
                          : report_in(gang, place, &mine, fault))) {
        lm_gang_leave(gang);
        return NULL;
    }
    return gang;
}

void lm_gang_leave(struct lm_gang *gang)
{
    if (gang == NULL) {
        return;
    }
    for (uint32_t r = 0; r < LM_GANG_NODES_MAX; r++) {
        if (gang->links[r] >= 0) {
            (void)close(gang->links[r]);
        }
    }
    free(gang->values);
    free(gang);
}

uint32_t lm_gang_nodes(const struct lm_gang *gang)
{
    return gang->nodes;
}

uint32_t lm_gang_rank(const struct lm_gang *gang)
{
    return gang->rank;
}

/* ---- working together ----------------------------------------------------------------------- */

bool lm_gang_share(struct lm_gang *gang, void *bytes, size_t len, struct lm_fault *fault)
{
    if (gang->rank != 0) {
        return receive_all(gang->links[0], bytes, len, fault);
    }
    for (uint32_t r = 1; r < gang->nodes; r++) {
        if (!send_all(gang->links[r], bytes, len, fault)) {
            return false;
        }
    }
    return true;
}

static bool add_member(struct lm_gang *gang, uint32_t rank, struct word *sum, lm_real *values,
                       size_t len, struct lm_fault *fault)
{
    struct word theirs;

    if (!receive_all(gang->links[rank], &theirs, sizeof theirs, fault) ||
        !receive_all(gang->links[rank], gang->values, len * sizeof *values, fault)) {
        return false;
    }
    if (theirs.step != sum->step) {
        return lm_fail(fault, "gang: node %" PRIu32 " is at step %" PRIu64 ", not %" PRIu64, rank,
                       theirs.step, sum->step);
    }
    sum->loss += theirs.loss;
    sum->stop |= theirs.stop;
    for (size_t i = 0; i < len; i++) {
        values[i] += gang->values[i];
    }
    return true;
}

bool lm_gang_mean(struct lm_gang *gang, uint64_t step, lm_real *values, size_t len, double *loss,
                  bool *stop, struct lm_fault *fault)
{
    struct word word = {.step = step, .loss = *loss, .stop = *stop};
    size_t bytes = len * sizeof *values;

    if (gang->rank != 0) {
        if (!send_all(gang->links[0], &word, sizeof word, fault) ||
            !send_all(gang->links[0], values, bytes, fault) ||
            !receive_all(gang->links[0], &word, sizeof word, fault) ||
            !receive_all(gang->links[0], values, bytes, fault)) {
            return false;
        }
    } else {
        if (gang->values_len < len) {
            free(gang->values);
            gang->values = malloc(bytes);
            gang->values_len = gang->values == NULL ? 0 : len;
        }
        if (gang->values == NULL) {
            return lm_fail(fault, "out of memory");
        }
        for (uint32_t r = 1; r < gang->nodes; r++) {
            if (!add_member(gang, r, &word, values, len, fault)) {
                return false;
            }
        }
        lm_real share = (lm_real)1 / (lm_real)gang->nodes;
        for (size_t i = 0; i < len; i++) {
            values[i] *= share;
        }
        word.loss /= gang->nodes;
        if (!lm_gang_share(gang, &word, sizeof word, fault) ||
            !lm_gang_share(gang, values, bytes, fault)) {
            return false;
        }
    }
    *loss = word.loss;
    *stop = word.stop != 0;
    return true;
}
