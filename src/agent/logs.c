/* Output of attempts to the server, while they run and until all of it is there. The supervisor
 * writes a rank's file and bounds it; we read behind it. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/shell.h"
#include "agent/tell.h"
#include "base/assert.h"
#include "wire/json.h"

enum { LOG_TARGET_MAX = ATTEMPT_NAME_MAX + 96 };

struct log_piece { /* one call; belongs to it */
    struct run *run;
    uint32_t rank;
};

static struct span_ms look_gap(const struct agent *agent)
{
    int64_t gap_ms = (int64_t)agent->log_tails * LOG_TAIL_MS;
    return SPAN_MS(gap_ms > LOG_EVERY_MS ? gap_ms : LOG_EVERY_MS);
}

void logs_begin(struct run *run)
{
    if (run->logs != NULL || !run->has_order)
        return;
    run->logs = calloc(run->order.nodes, sizeof(*run->logs));
    ASSERT(run->logs != NULL);
    if (!loop_timer_is_set(&run->agent->log_tick))
        loop_timer_set(&run->agent->log_tick, look_gap(run->agent));
}

bool logs_are_done(const struct run *run)
{
    if (run->logs == NULL)
        return true;
    for (uint32_t rank = 0; rank < run->order.nodes; rank++)
        if (!run->logs[rank].is_done)
            return false;
    return true;
}

void logs_cancel(struct run *run)
{
    if (run->logs == NULL)
        return;
    for (uint32_t rank = 0; rank < run->order.nodes; rank++) {
        struct log_tail *tail = &run->logs[rank];
        if (tail->call == NULL)
            continue;
        free(tail->piece);
        http_call_cancel(tail->call);
        run->agent->log_calls--;
    }
    free(run->logs);
    run->logs = NULL;
}

static void tail_done(struct run *run, struct log_tail *tail)
{
    tail->is_done = true;
    if (logs_are_done(run))
        finish_poke(run);
}

static void back_off(struct agent *agent)
{
    struct span_ms pause = remote_pause(REMOTE_PAUSE_MIN, REMOTE_PAUSE_MAX, agent->log_fails,
                                        random_u64(&agent->random));
    agent->log_retry_at = boot_add(loop_now(agent->loop).boot, pause);
    agent->log_fails++;
}

static enum err read_next(struct slice body, uint64_t *out_next)
{
    struct json_document *document = NULL;
    enum err err = json_parse(body, &JSON_LIMITS_REQUEST, &document, NULL);
    if (err == ERR_OK)
        err = json_get_u64(json_root(document), "offset", 0, INT64_MAX, out_next, NULL);
    json_document_destroy(document);
    return err;
}

static void on_sent(void *context, struct http_call *call, enum err code,
                    const struct http1_head *response, struct slice body, const struct fault *fault)
{
    struct log_piece piece = *(struct log_piece *)context;
    struct agent *agent = piece.run->agent;
    struct log_tail *tail = &piece.run->logs[piece.rank];
    char why[NOTE_MAX];
    uint64_t next = 0;
    (void)call;
    free(context);
    tail->call = NULL;
    tail->piece = NULL;
    agent->log_calls--;
    switch (remote_judge(code, response)) {
    case REMOTE_OK:
        if (read_next(body, &next) != ERR_OK || next == tail->sent) {
            back_off(agent); /* nothing was taken; the disk over there may be full */
            return;
        }
        tail->sent = next; /* it may stand behind us: the server was restored */
        agent->log_fails = 0;
        loop_timer_set(&agent->log_tick, tail->sent < tail->size ? SPAN_MS(0) : look_gap(agent));
        break;
    case REMOTE_AGAIN:
        back_off(agent);
        break;
    case REMOTE_NEVER: /* full over there, or an attempt that the server does not know */
        remote_explain(code, response, body, fault, why, sizeof(why));
        tell("%s: output of rank %u is not taken: %s", piece.run->name, piece.rank, why);
        tail_done(piece.run, tail);
        break;
    }
}

static void send_piece(struct run *run, uint32_t rank, struct slice bytes)
{
    static const struct http_call_events EVENTS = {.on_done = on_sent};
    char target[LOG_TARGET_MAX];
    struct log_tail *tail = &run->logs[rank];
    struct log_piece *piece = calloc(1, sizeof(*piece));
    if (piece == NULL)
        return;
    *piece = (struct log_piece){run, rank};
    (void)snprintf(target, sizeof(target), "/v1/agent/logs/%s/%u?offset=%llu", run->name, rank,
                   (unsigned long long)tail->sent);
    const struct remote_request request = {.method = "POST",
                                           .target = target,
                                           .content_type = "application/octet-stream",
                                           .attempt = &run->token,
                                           .secret = run->order.secret,
                                           .body = bytes,
                                           .response_bytes_max = 65536};
    if (remote_send(&run->agent->remote, &request, &EVENTS, piece, &tail->call) != ERR_OK) {
        tail->call = NULL;
        free(piece);
        back_off(run->agent);
        return;
    }
    tail->piece = piece;
    run->agent->log_calls++;
}

static void look_at(struct run *run, uint32_t rank, char *buffer)
{
    struct log_tail *tail = &run->logs[rank];
    struct agent *agent = run->agent;
    char path[RUN_PATH_MAX];
    struct file_info info;
    size_t len = 0;
    int fd;
    run_path(run, (int)rank, "log", path);
    tail->size = file_stat(path, &info) == ERR_OK ? info.size_bytes : 0;
    if (tail->size <= tail->sent) {
        if (run->is_gone &&
            boot_since(loop_now(agent->loop).boot, run->gone_at).ms >= LOG_SETTLE_MS)
            tail_done(run, tail);
        return;
    }
    if (file_open(path, FILE_OPEN_READ, 0, NULL, &fd) != ERR_OK)
        return;
    if (file_read_at(fd, tail->sent, buffer, LOG_PIECE_BYTES, &len) != ERR_OK)
        len = 0;
    file_close(fd);
    if (len > 0)
        send_piece(run, rank, slice_make(buffer, len));
}

void logs_tick(void *context)
{
    struct agent *agent = context;
    bool may_send = !boot_is_before(loop_now(agent->loop).boot, agent->log_retry_at);
    char *buffer = NULL;
    struct run *next;
    agent->log_tails = 0;
    for (struct run *run = agent->first; run != NULL; run = next) {
        next = run->next; /* the last piece may end the run's life later, never here */
        if (run->logs == NULL)
            continue;
        for (uint32_t rank = 0; rank < run->order.nodes; rank++) {
            struct log_tail *tail = &run->logs[rank];
            if (tail->is_done)
                continue;
            agent->log_tails++;
            if (!may_send || tail->call != NULL || agent->log_calls >= LOG_CALLS_MAX)
                continue;
            if (buffer == NULL)
                buffer = malloc(LOG_PIECE_BYTES);
            if (buffer != NULL)
                look_at(run, rank, buffer);
        }
    }
    free(buffer);
    if (agent->log_tails > 0 && !loop_timer_is_set(&agent->log_tick))
        loop_timer_set(&agent->log_tick, look_gap(agent));
}
