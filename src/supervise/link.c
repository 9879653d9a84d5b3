#include "supervise/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "port/entropy.h"

enum {
    LINK_OUT_MAX = 65536,
    LINK_IN_MAX = 4 * GATE_SEALED_LINE_MAX,
    LINK_READ_BYTES = 8192,
    LINK_ADDRESS_MAX = 64, /* a numeric address */
    LINK_KEEP_IDLE_S = 30, /* a peer that vanished is noticed */
};
static const char TCP_MARK[] = "tcp:";
#define LINK_PAUSE_MIN SPAN_MS(20)
#define LINK_PAUSE_MAX SPAN_MS(1000)

void link_init(struct link *link, const struct link_options *options)
{
    *link = (struct link){.options = *options, .fd = -1, .pause = LINK_PAUSE_MIN};
    link->is_sealed = strncmp(options->address, TCP_MARK, sizeof(TCP_MARK) - 1) == 0;
    buffer_init(&link->in, LINK_IN_MAX);
    buffer_init(&link->out, LINK_OUT_MAX);
    buffer_init(&link->held, GATE_LINE_MAX);
}

void link_deinit(struct link *link)
{
    if (link->fd >= 0)
        (void)close(link->fd);
    link->fd = -1;
    buffer_deinit(&link->in);
    buffer_deinit(&link->out);
    buffer_deinit(&link->held);
}

static void link_drop(struct link *link, struct boot_ns now)
{
    if (link->fd >= 0)
        (void)close(link->fd);
    link->fd = -1;
    link->stage = LINK_DOWN;
    buffer_reset(&link->in);
    buffer_reset(&link->out);
    link->retry_at = boot_add(now, link->pause);
    link->pause.ms =
        link->pause.ms * 2 < LINK_PAUSE_MAX.ms ? link->pause.ms * 2 : LINK_PAUSE_MAX.ms;
}

/* Paths that do not fit into an address are reached through their folder's descriptor. */
static bool link_address(const char *path, struct sockaddr_un *out, int *out_folder)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    *out_folder = -1;
    if (strlen(path) < sizeof(out->sun_path)) {
        memcpy(out->sun_path, path, strlen(path) + 1);
        return true;
    }
    const char *slash = strrchr(path, '/');
    char folder[4096];
    if (slash == NULL || (size_t)(slash - path) >= sizeof(folder))
        return false;
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = '\0';
    *out_folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*out_folder < 0)
        return false;
    int len =
        snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d%s", *out_folder, slash);
    return len > 0 && (size_t)len < sizeof(out->sun_path);
}

static bool connect_unix(struct link *link)
{
    struct sockaddr_un address;
    int folder = -1;
    link->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool is_open = link->fd >= 0 && link_address(link->options.address, &address, &folder) &&
                   connect(link->fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    if (folder >= 0)
        (void)close(folder);
    return is_open;
}

/* "tcp:10.0.0.5:7711", "tcp:[fd00::5]:7711" */
static bool network_address(const char *text, struct sockaddr_storage *out, socklen_t *out_len)
{
    char host[LINK_ADDRESS_MAX];
    uint64_t port = 0;
    const char *begin = text + sizeof(TCP_MARK) - 1, *colon = strrchr(begin, ':');
    if (colon == NULL || slice_parse_u64(slice_of(colon + 1), &port) != ERR_OK || port == 0 ||
        port > UINT16_MAX)
        return false;
    size_t len = (size_t)(colon - begin);
    if (len >= 2 && begin[0] == '[' && begin[len - 1] == ']') {
        begin++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof(host))
        return false;
    memcpy(host, begin, len);
    host[len] = '\0';
    *out = (struct sockaddr_storage){0};
    struct sockaddr_in *four = (struct sockaddr_in *)out;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
    if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
        *out_len = sizeof(*four);
        return true;
    }
    if (inet_pton(AF_INET6, host, &six->sin6_addr) != 1)
        return false;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((uint16_t)port);
    *out_len = sizeof(*six);
    return true;
}

static bool connect_network(struct link *link)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    int on = 1, idle = LINK_KEEP_IDLE_S;
    if (!network_address(link->options.address, &address, &len))
        return false;
    link->fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (link->fd < 0)
        return false;
    (void)setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(link->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(link->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    return connect(link->fd, (const struct sockaddr *)&address, len) == 0 || errno == EINPROGRESS;
}

void link_tick(struct link *link, struct boot_ns now)
{
    if (link->fd >= 0 || boot_is_before(now, link->retry_at))
        return;
    if (!(link->is_sealed ? connect_network(link) : connect_unix(link))) {
        link_drop(link, now);
        return;
    }
    link->stage = link->is_sealed ? LINK_CONNECTING : LINK_UP;
    if (!link->is_sealed)
        link->pause = LINK_PAUSE_MIN;
}

struct boot_ns link_due(const struct link *link)
{
    return link->fd >= 0 ? BOOT_NEVER : link->retry_at;
}

short link_poll_events(const struct link *link)
{
    bool wants_write = link->out.len != 0 || link->stage == LINK_CONNECTING;
    return (short)(POLLIN | (wants_write ? POLLOUT : 0));
}

static void link_flush(struct link *link, struct boot_ns now)
{
    while (link->fd >= 0 && link->out.len != 0) {
        ssize_t put = send(link->fd, link->out.data, link->out.len, MSG_NOSIGNAL);
        if (put > 0)
            buffer_drop_front(&link->out, (size_t)put);
        else if (errno == EINTR)
            continue;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        else
            link_drop(link, now);
    }
}

static void put_line(struct link *link, struct slice line, struct boot_ns now)
{
    if (link->out.len + line.len + GATE_PROOF_LEN > LINK_OUT_MAX)
        return;
    enum err code = ERR_OK;
    if (link->is_sealed)
        code = gate_seal_put(&link->seal, line, &link->out);
    else
        buffer_append(&link->out, line);
    if (code == ERR_OK)
        code = buffer_status(&link->out);
    if (code != ERR_OK) /* half a line must not be followed by another */
        link_drop(link, now);
    link_flush(link, now);
}

void link_send(struct link *link, struct slice line, struct boot_ns now)
{
    link_tick(link, now);
    if (link->stage == LINK_UP) {
        put_line(link, line, now);
        return;
    }
    buffer_reset(&link->held);
    buffer_append(&link->held, line);
    if (buffer_status(&link->held) != ERR_OK)
        buffer_reset(&link->held);
}

/* The connection stands or failed; a supervisor on the network says who it is. */
static void greet(struct link *link, struct boot_ns now)
{
    struct gate_hello hello = {.token = link->options.token, .rank = link->options.rank};
    int why = 0;
    socklen_t len = sizeof(why);
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &why, &len) != 0 || why != 0 ||
        entropy_fill(hello.nonce.bytes, sizeof(hello.nonce.bytes)) != ERR_OK) {
        link_drop(link, now);
        return;
    }
    link->hello_len = gate_hello_format(&hello, link->hello);
    buffer_append(&link->out, slice_make(link->hello, link->hello_len));
    link->stage = LINK_GREETING;
    link_flush(link, now);
}

/* False: this is no agent of ours. */
static bool welcome_take(struct link *link, struct slice line, struct boot_ns now)
{
    struct gate_nonce nonce;
    char text[GATE_HELLO_MAX];
    if (gate_welcome_parse(line, &nonce) != ERR_OK)
        return false;
    struct slice welcome = slice_make(text, gate_welcome_format(&nonce, text));
    if (gate_seal_begin(&link->seal, GATE_SIDE_SUPERVISOR, link->options.secret,
                        slice_make(link->hello, link->hello_len), welcome) != ERR_OK)
        return false;
    link->stage = LINK_UP;
    if (link->held.len != 0)
        put_line(link, buffer_slice(&link->held), now);
    buffer_reset(&link->held);
    return true;
}

void link_ready(struct link *link, short events, struct boot_ns now)
{
    if (link->fd < 0)
        return;
    if (link->stage == LINK_CONNECTING)
        greet(link, now);
    else if ((events & POLLOUT) != 0)
        link_flush(link, now);
    if (link->fd < 0 || (events & (POLLIN | POLLHUP | POLLERR)) == 0)
        return;
    char bytes[LINK_READ_BYTES];
    ssize_t got = recv(link->fd, bytes, sizeof(bytes), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        link_drop(link, now);
        return;
    }
    buffer_append_bytes(&link->in, bytes, (size_t)got);
    if (buffer_status(&link->in) != ERR_OK)
        link_drop(link, now);
}

static bool next_raw_line(struct link *link, struct slice *out_line)
{
    /* The line given last time is still at the front, its end overwritten with a NUL. */
    if (link->in.len != 0) {
        const char *spent = memchr(link->in.data, '\0', link->in.len);
        if (spent != NULL)
            buffer_drop_front(&link->in, (size_t)(spent - link->in.data) + 1);
    }
    char *end = link->in.len == 0 ? NULL : memchr(link->in.data, '\n', link->in.len);
    if (end == NULL)
        return false;
    *end = '\0';
    *out_line = slice_make(link->in.data, (size_t)(end - link->in.data));
    return true;
}

bool link_next_line(struct link *link, struct slice *out_line, struct boot_ns now)
{
    struct slice line;
    while (link->fd >= 0 && next_raw_line(link, &line)) {
        bool is_welcome = link->stage == LINK_GREETING;
        bool is_good = is_welcome        ? welcome_take(link, line, now)
                       : link->is_sealed ? gate_seal_take(&link->seal, line, &line) == ERR_OK
                                         : true;
        if (!is_good) {
            link_drop(link, now);
            return false;
        }
        if (is_welcome)
            continue;
        link->pause = LINK_PAUSE_MIN; /* a proven word: this is our agent */
        *out_line = line;
        return true;
    }
    return false;
}
