#include "agent/sync.h"

#include <stdlib.h>

#include "agent/identity.h"
#include "agent/tell.h"
#include "base/assert.h"

enum {
    RTT_WEIGHT = 4, /* a new measurement counts a quarter */
    RTT_US_MAX = 60000000,
    SETTINGS_REPLY_MAX = 65536,
    SETTINGS_ARENA_BYTES = 4 << 20,
};
/* The core gives up by its own limit, which depends on the server's word; this is the backstop. */
#define SYNC_FIRST_BYTE_MAX SPAN_S(300)
#define PROBE_EVERY SPAN_S(15)
#define PROBE_FIRST SPAN_MS(200)
#define PROBE_LIMIT SPAN_S(10)

/* ---- the poll */

static void step_failed(struct sync_client *sync, uint64_t request_seq)
{
    const struct agent_event event = {.kind = AGENT_SYNC_FAILED,
                                      .sync_failed = {.request_seq = request_seq}};
    enum err err = *sync->host == NULL ? ERR_BUSY : agent_host_step(*sync->host, &event);
    (void)err; /* busy: the core's own limit ends the wait */
}

static void tell_state(struct sync_client *sync, bool is_connected, const char *why)
{
    if (is_connected && !sync->is_connected)
        tell("connected to %s", sync->remote->endpoint);
    if (!is_connected && (sync->is_connected || !sync->is_told_away))
        tell("no contact with %s: %s; work goes on", sync->remote->endpoint, why);
    sync->is_connected = is_connected;
    sync->is_told_away = !is_connected;
}

/* What the server wants of the shell; most replies are short, and one in a while is enough. */
static void take_settings(struct sync_client *sync, struct slice body)
{
    struct arena arena;
    struct sync_reply reply;
    if (sync->on_settings == NULL || body.len > SETTINGS_REPLY_MAX)
        return;
    arena_init(&arena, SETTINGS_ARENA_BYTES);
    if (sync_reply_decode(body, &arena, &reply, NULL) == ERR_OK)
        sync->on_settings(sync->context, &reply.settings);
    arena_deinit(&arena);
}

static void on_done(void *context, struct http_call *call, enum err code,
                    const struct http1_head *response, struct slice body, const struct fault *fault)
{
    struct sync_client *sync = context;
    char why[FAULT_MESSAGE_MAX];
    (void)call;
    sync->call = NULL;
    if (remote_judge(code, response) == REMOTE_OK) {
        const struct agent_event event = {.kind = AGENT_SYNC_REPLY, .sync_reply = {.bytes = body}};
        tell_state(sync, true, "");
        take_settings(sync, body);
        if (*sync->host != NULL && agent_host_step(*sync->host, &event) != ERR_OK)
            step_failed(sync, sync->request_seq);
        return;
    }
    remote_explain(code, response, body, fault, why, sizeof(why));
    tell_state(sync, false, why);
    if (remote_is_problem(code, response, body, "journal_superseded") &&
        sync->on_superseded != NULL)
        sync->on_superseded(sync->context);
    if (code == ERR_DENIED || (response != NULL && response->status == 401))
        identity_refused(sync->identity);
    step_failed(sync, sync->request_seq);
}

struct failure {
    struct sync_client *sync;
    uint64_t request_seq;
};

static void failure_run(void *context)
{
    struct failure failure = *(struct failure *)context;
    free(context);
    step_failed(failure.sync, failure.request_seq);
}

void sync_client_send(struct sync_client *sync, uint64_t request_seq, struct slice bytes)
{
    static const struct http_call_events EVENTS = {.on_done = on_done};
    const struct remote_request request = {.method = "POST",
                                           .target = "/v1/agent/sync",
                                           .content_type = "application/json",
                                           .body = bytes,
                                           .response_bytes_max = SYNC_REPLY_BYTES_MAX,
                                           .first_byte_max = SYNC_FIRST_BYTE_MAX};
    sync_client_reset(sync);
    sync->request_seq = request_seq;
    if (remote_send(sync->remote, &request, &EVENTS, sync, &sync->call) == ERR_OK)
        return;
    sync->call = NULL;
    struct failure *failure = calloc(1, sizeof(*failure));
    if (failure == NULL)
        return; /* the core's own limit ends the wait */
    *failure = (struct failure){sync, request_seq};
    if (loop_post(sync->loop, failure_run, failure) != ERR_OK)
        free(failure);
}

void sync_client_reset(struct sync_client *sync)
{
    if (sync->call != NULL)
        http_call_cancel(sync->call);
    sync->call = NULL;
}

/* ---- the round trip: two small requests after each other, the second on a warm connection */

static void probe_send(struct sync_client *sync);

static void links_step(struct sync_client *sync)
{
    const struct sync_link link = {.peer = SLICE_LITERAL("server"), .rtt_us = sync->rtt_us};
    const struct agent_event event = {.kind = AGENT_LINKS, .links = {.links = &link, .count = 1}};
    enum err err = *sync->host == NULL ? ERR_BUSY : agent_host_step(*sync->host, &event);
    (void)err; /* busy: the next measurement comes soon */
}

static void on_probed(void *context, struct http_call *call, enum err code,
                      const struct http1_head *response, struct slice body,
                      const struct fault *fault)
{
    struct sync_client *sync = context;
    (void)call;
    (void)body;
    (void)fault;
    sync->probe_call = NULL;
    if (remote_judge(code, response) != REMOTE_OK) {
        loop_timer_set(&sync->probe, PROBE_EVERY);
        return;
    }
    if (!sync->is_warm) {
        sync->is_warm = true;
        probe_send(sync);
        return;
    }
    int64_t us = (loop_now(sync->loop).boot.ns - sync->probe_sent.ns) / 1000;
    us = us < 1 ? 1 : us > RTT_US_MAX ? RTT_US_MAX : us;
    sync->rtt_us = sync->rtt_us == 0 ? us : sync->rtt_us + (us - sync->rtt_us) / RTT_WEIGHT;
    links_step(sync);
    loop_timer_set(&sync->probe, PROBE_EVERY);
}

static void probe_send(struct sync_client *sync)
{
    static const struct http_call_events EVENTS = {.on_done = on_probed};
    const struct remote_request request = {.method = "GET",
                                           .target = "/healthz",
                                           .response_bytes_max = 65536,
                                           .first_byte_max = PROBE_LIMIT};
    sync->probe_sent = loop_now(sync->loop).boot;
    if (remote_send(sync->remote, &request, &EVENTS, sync, &sync->probe_call) != ERR_OK) {
        sync->probe_call = NULL;
        loop_timer_set(&sync->probe, PROBE_EVERY);
    }
}

static void probe_run(void *context)
{
    struct sync_client *sync = context;
    if (sync->probe_call != NULL)
        return;
    sync->is_warm = false;
    probe_send(sync);
}

void sync_client_init(struct sync_client *sync, struct loop *loop, struct remote *remote,
                      struct identity *identity, struct agent_host **host)
{
    *sync =
        (struct sync_client){.loop = loop, .remote = remote, .identity = identity, .host = host};
    loop_timer_init(&sync->probe, loop, probe_run, sync);
}

void sync_client_begin(struct sync_client *sync)
{
    loop_timer_set(&sync->probe, PROBE_FIRST);
}

void sync_client_end(struct sync_client *sync)
{
    if (sync->loop == NULL)
        return;
    loop_timer_stop(&sync->probe);
    sync_client_reset(sync);
    if (sync->probe_call != NULL)
        http_call_cancel(sync->probe_call);
    sync->probe_call = NULL;
}
