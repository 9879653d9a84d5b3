/* The connection to the agent: lines over its unix socket, found again with growing pauses. What
 * cannot be sent is dropped, since every request is repeated by its owner. Plain memory; one
 * thread. */
#ifndef LQ_SUPERVISE_LINK_H
#define LQ_SUPERVISE_LINK_H

#include "base/buffer.h"
#include "base/time.h"

struct link {
    const char *path; /* borrowed */
    int fd;           /* -1: not connected */
    struct boot_ns retry_at;
    struct span_ms pause;
    struct buffer in, out;
};

void link_init(struct link *link, const char *path);
void link_deinit(struct link *link);
/* Connects when the time has come. */
void link_tick(struct link *link, struct boot_ns now);
/* When link_tick wants to be called; BOOT_NEVER while connected. */
struct boot_ns link_due(const struct link *link);
short link_poll_events(const struct link *link);
/* Takes a whole line (with its end) or drops it. */
void link_send(struct link *link, struct slice line, struct boot_ns now);
/* After poll said so: writes and reads. */
void link_ready(struct link *link, short events, struct boot_ns now);
/* The next whole line without its end; false: none. It lives until the next call on the link. */
bool link_next_line(struct link *link, struct slice *out_line);

#endif
