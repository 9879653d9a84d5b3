/* The connection to the agent: lines over its unix socket, or, from another machine, sealed lines
 * over TCP (wire/gate_seal.h); found again with growing pauses. What cannot be sent is dropped,
 * since every request is repeated by its owner. Plain memory; one thread. */
#ifndef LQ_SUPERVISE_LINK_H
#define LQ_SUPERVISE_LINK_H

#include "base/buffer.h"
#include "base/time.h"
#include "wire/gate_seal.h"

struct link_options { /* all borrowed */
    /* A path, or "tcp:ADDRESS:PORT" in numbers: names would need the machine's resolver. */
    const char *address;
    struct attempt_token token;
    uint32_t rank;
    struct slice secret; /* TCP: proven, never sent */
};

enum link_stage { LINK_DOWN, LINK_CONNECTING, LINK_GREETING, LINK_UP };

struct link {
    struct link_options options;
    bool is_sealed;
    enum link_stage stage;
    int fd; /* -1: not connected */
    struct boot_ns retry_at;
    struct span_ms pause;
    struct buffer in, out;
    struct buffer held; /* the newest line that waits for the welcome */
    struct gate_seal seal;
    char hello[GATE_HELLO_MAX];
    size_t hello_len;
};

void link_init(struct link *link, const struct link_options *options);
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
/* The next whole line without its end, opened; false: none. It lives until the next call on the
 * link. */
bool link_next_line(struct link *link, struct slice *out_line, struct boot_ns now);

#endif
