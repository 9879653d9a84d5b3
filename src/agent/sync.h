/* The long poll: one POST /v1/agent/sync at a time, and the round trip to the server measured
 * beside it. Loop thread only. */
#ifndef LQ_AGENT_SYNC_H
#define LQ_AGENT_SYNC_H

#include "agent/host.h"
#include "agent/remote.h"

struct identity;

enum { SYNC_REPLY_BYTES_MAX = 64 << 20 };

struct sync_client {
    struct loop *loop;
    struct remote *remote;
    struct identity *identity;
    struct agent_host **host; /* told of replies and failures; may be NULL meanwhile */
    struct http_call *call;
    uint64_t request_seq;
    bool is_told_away, is_connected;
    void (*on_settings)(void *context, const struct sync_settings *settings);
    void (*on_superseded)(void *context); /* the server knows a newer journal of the site */
    void *context;                        /* of both */
    /* the round trip */
    struct loop_timer probe;
    struct http_call *probe_call;
    bool is_warm; /* the probe's connection is open: this one counts */
    struct boot_ns probe_sent, measured_at;
    int64_t rtt_us; /* moving average; 0: not yet */
};

void sync_client_init(struct sync_client *sync, struct loop *loop, struct remote *remote,
                      struct identity *identity, struct agent_host **host);
void sync_client_begin(struct sync_client *sync); /* starts measuring */
void sync_client_end(struct sync_client *sync);
/* Sends; an outstanding one is given up first. A failure comes to the core later. */
void sync_client_send(struct sync_client *sync, uint64_t request_seq, struct slice bytes);
/* The core is gone: its request is, too. */
void sync_client_reset(struct sync_client *sync);

#endif
