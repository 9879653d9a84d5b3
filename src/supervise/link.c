#include "supervise/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "wire/gate.h"

enum { LINK_OUT_MAX = 65536, LINK_IN_MAX = 4 * GATE_LINE_MAX, LINK_READ_BYTES = 8192 };
#define LINK_PAUSE_MIN SPAN_MS(20)
#define LINK_PAUSE_MAX SPAN_MS(1000)

void link_init(struct link *link, const char *path)
{
    *link = (struct link){.path = path, .fd = -1, .pause = LINK_PAUSE_MIN};
    buffer_init(&link->in, LINK_IN_MAX);
    buffer_init(&link->out, LINK_OUT_MAX);
}

void link_deinit(struct link *link)
{
    if (link->fd >= 0)
        (void)close(link->fd);
    link->fd = -1;
    buffer_deinit(&link->in);
    buffer_deinit(&link->out);
}

static void link_drop(struct link *link, struct boot_ns now)
{
    if (link->fd >= 0)
        (void)close(link->fd);
    link->fd = -1;
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

void link_tick(struct link *link, struct boot_ns now)
{
    struct sockaddr_un address;
    int folder = -1;
    if (link->fd >= 0 || boot_is_before(now, link->retry_at))
        return;
    link->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool is_open = link->fd >= 0 && link_address(link->path, &address, &folder) &&
                   connect(link->fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    if (folder >= 0)
        (void)close(folder);
    if (!is_open)
        link_drop(link, now);
    else
        link->pause = LINK_PAUSE_MIN;
}

struct boot_ns link_due(const struct link *link)
{
    return link->fd >= 0 ? BOOT_NEVER : link->retry_at;
}

short link_poll_events(const struct link *link)
{
    return (short)(POLLIN | (link->out.len != 0 ? POLLOUT : 0));
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

void link_send(struct link *link, struct slice line, struct boot_ns now)
{
    link_tick(link, now);
    if (link->fd < 0 || link->out.len + line.len > LINK_OUT_MAX)
        return;
    buffer_append(&link->out, line);
    if (buffer_status(&link->out) != ERR_OK) /* half a line must not be followed by another */
        link_drop(link, now);
    link_flush(link, now);
}

void link_ready(struct link *link, short events, struct boot_ns now)
{
    if (link->fd < 0)
        return;
    if ((events & POLLOUT) != 0)
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

bool link_next_line(struct link *link, struct slice *out_line)
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
