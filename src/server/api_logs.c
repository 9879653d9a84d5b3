/* Output of jobs: pieces in from agents, streams out to people, while the work runs and afterwards.
 *
 * A stream walks the job's attempts in order, one rank's output each. Following, it waits at the
 * end of the newest attempt until the job is final and nothing came for a moment. Plain text begins
 * each attempt after the first with a line that names it; an event stream gives
 * {"attempt","rank","offset","text"} a piece, so that a reader can resume exactly. */
#include <string.h>

#include "base/assert.h"
#include "model/words.h"
#include "server/api.h"
#include "server/logs.h"
#include "server/requests.h"
#include "wire/sse.h"

enum {
    PIECE_BYTES = 32768,
    FOLLOW_MS = 100,
    SETTLE_MS = 1500,
    REFRESH_MS = 500,
    ATTEMPTS_SHOWN_MAX = 1000 /* = SERVER_JOB_ATTEMPTS_MAX */
};

/* ---- in */

void api_agent_logs(struct request *request)
{
    struct attempt_token token;
    uint64_t rank, offset = 0, next = 0;
    struct server *server = request->server;
    if (attempt_name_parse(request->params[0], &token) != ERR_OK ||
        slice_parse_u64(request->params[1], &rank) != ERR_OK || rank >= JOB_NODES_MAX) {
        request_problem(request, 400, "invalid",
                        "the path must be /v1/agent/logs/<attempt name>/<rank>");
        return;
    }
    if (!request_query_u64(request, "offset", 0, INT64_MAX, &offset))
        return;
    /* Only the secret that went to the attempt's own site proves that these are its words. */
    char secret[ATTEMPT_SECRET_MAX];
    struct server_core *core = core_host_core(server->host);
    struct slice given = http_exchange_header(request->exchange, "Lq-Secret");
    if (core == NULL) {
        request_problem(request, 503, "busy", "the server is loading; try again in a second");
        return;
    }
    server_core_attempt_secret(core, &token, secret);
    if (given.data == NULL || !digest_is_same_secret(given, slice_of(secret))) {
        request_problem(request, 403, "denied", "the attempt's secret is wrong or missing");
        return;
    }
    enum err err = log_append(server->logs, &token, (uint32_t)rank, offset, request->body, &next);
    if (err == ERR_LIMIT) {
        request_problem(request, 413, "limit", "the rank's log is full (%d bytes)",
                        LOG_RANK_BYTES_MAX);
        return;
    }
    if (err != ERR_OK) {
        request_problem(request, 503, err_name(err), "the log could not be kept; try again");
        return;
    }
    char *body =
        arena_printf(request_arena(request), "{\"offset\":%llu}", (unsigned long long)next);
    request_json(request, 200, slice_of(body == NULL ? "{}" : body));
}

/* ---- out */

struct log_stream {
    struct request *request;
    struct loop_timer timer;
    struct attempt_token tokens[ATTEMPTS_SHOWN_MAX];
    size_t count, at;
    uint32_t rank;
    uint64_t offset;
    bool is_follow, is_events, is_started, is_refreshing, is_final;
    struct boot_ns idle_since;
    struct boot_ns refreshed_at;
};

static void log_stream_run(void *context);

static void log_stream_closed(struct request *request)
{
    struct log_stream *stream = request->extra;
    loop_timer_stop(&stream->timer);
}

/* Programs may print anything; JSON holds UTF-8 only. What is none becomes U+FFFD. A character cut
 * off by the end of the piece is left for the next one: *out_len is what was taken. */
static struct slice log_text(struct slice piece, struct buffer *out, size_t *out_len)
{
    size_t at = 0;
    while (at < piece.len) {
        size_t len = 1;
        unsigned char c = (unsigned char)piece.data[at];
        if (c >= 0xc2 && c <= 0xf4)
            len = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        if (at + len > piece.len && at > 0)
            break;
        if (at + len <= piece.len && slice_is_utf8((struct slice){piece.data + at, len})) {
            buffer_append(out, (struct slice){piece.data + at, len});
            at += len;
        } else {
            buffer_append_text(out, "\xef\xbf\xbd");
            at++;
        }
    }
    *out_len = at;
    return buffer_slice(out);
}

static bool log_stream_write(struct log_stream *stream, struct slice piece, size_t *out_taken)
{
    struct request *request = stream->request;
    struct buffer out, text;
    buffer_init(&out, PIECE_BYTES * 24);
    buffer_init(&text, PIECE_BYTES * 3);
    *out_taken = piece.len;
    if (stream->is_events) {
        struct buffer data;
        struct json_writer writer;
        buffer_init(&data, PIECE_BYTES * 20);
        json_writer_init(&writer, &data);
        json_begin_object(&writer);
        json_put_u64(&writer, "attempt", stream->tokens[stream->at].number);
        json_put_u64(&writer, "rank", stream->rank);
        json_put_u64(&writer, "offset", stream->offset);
        json_put_string(&writer, "text", log_text(piece, &text, out_taken));
        json_end_object(&writer);
        struct sse_event event = {.event = SLICE_LITERAL("log"), .retry_ms = -1};
        enum err formed = json_writer_finish(&writer);
        event.data = buffer_slice(&data);
        if (formed == ERR_OK)
            formed = sse_write(&out, &event);
        ASSERT(formed == ERR_OK || buffer_status(&out) != ERR_OK || buffer_status(&data) != ERR_OK);
        buffer_deinit(&data);
    } else {
        buffer_append(&out, piece);
    }
    enum err err = http_exchange_write(request->exchange, buffer_slice(&out));
    buffer_deinit(&text);
    buffer_deinit(&out);
    return err == ERR_OK;
}

static void log_stream_finish(struct log_stream *stream)
{
    if (stream->is_events) {
        enum err err = http_exchange_write(stream->request->exchange,
                                           SLICE_LITERAL("event: end\ndata: {}\n\n"));
        if (err != ERR_OK)
            http_exchange_abort(stream->request->exchange);
    }
    loop_timer_stop(&stream->timer);
    http_exchange_finish(stream->request->exchange);
}

static struct slice log_offset_text(struct log_stream *stream)
{
    char *text =
        arena_printf(request_arena(stream->request), "%llu", (unsigned long long)stream->offset);
    return slice_of(text == NULL ? "" : text);
}

static void on_attempts(struct request *request, const struct store_answer *answer)
{
    struct log_stream *stream = request->extra;
    struct slice wanted = request_query(request, "attempt");
    uint64_t number = 0;
    bool has_number = wanted.len > 0 && slice_parse_u64(wanted, &number) == ERR_OK;
    stream->count = 0;
    stream->is_final = true;
    for (size_t i = 0; i < answer->count && stream->count < ATTEMPTS_SHOWN_MAX; i++) {
        const struct attempt_row *row = &answer->attempts[i].row;
        if (has_number && row->token.number != number)
            continue;
        stream->tokens[stream->count++] = row->token;
        stream->is_final = stream->is_final && attempt_state_is_final(row->state);
    }
    struct server_core *core = core_host_core(request->server->host);
    if (!has_number && (core == NULL || server_core_job(core, request->job.id) != NULL))
        stream->is_final = false;
    stream->is_refreshing = false;
    stream->refreshed_at = loop_now(request->server->loop).boot;
    if (!stream->is_started) {
        const struct http1_header headers[] = {
            {SLICE_LITERAL("Content-Type"), stream->is_events
                                                ? SLICE_LITERAL("text/event-stream")
                                                : SLICE_LITERAL("text/plain; charset=utf-8")},
            {SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("no-store")},
            {SLICE_LITERAL("X-Content-Type-Options"), SLICE_LITERAL("nosniff")},
            {SLICE_LITERAL("Lq-Log-Offset"), log_offset_text(stream)}};
        stream->is_started = true;
        request->is_answered = true;
        http_exchange_start(request->exchange, 200, headers, 4, -1);
        stream->idle_since = stream->refreshed_at;
    }
    loop_timer_set(&stream->timer, SPAN_MS(0));
}

static void log_stream_refresh(struct log_stream *stream)
{
    struct store_query query = {.kind = STORE_ATTEMPT_LIST};
    query.attempt_list.job = stream->request->job.id;
    stream->is_refreshing = true;
    request_query_store(stream->request, &query, on_attempts);
}

/* The next attempt's beginning. */
static void log_stream_next(struct log_stream *stream)
{
    struct buffer head;
    stream->at++;
    stream->offset = 0;
    if (stream->is_events)
        return;
    buffer_init(&head, 128);
    buffer_printf(&head, "--- attempt %u ---\n", stream->tokens[stream->at].number);
    if (http_exchange_write(stream->request->exchange, buffer_slice(&head)) != ERR_OK)
        stream->offset = 0; /* the mark is a courtesy */
    buffer_deinit(&head);
}

static void log_stream_run(void *context)
{
    struct log_stream *stream = context;
    struct server *server = stream->request->server;
    char piece[PIECE_BYTES];
    size_t len = 0;
    uint64_t size = 0;
    struct boot_ns now = loop_now(server->loop).boot;
    if (stream->is_refreshing)
        return;
    if (http_exchange_pending(stream->request->exchange) > PIECE_BYTES * 4) {
        loop_timer_set(&stream->timer, SPAN_MS(FOLLOW_MS));
        return;
    }
    if (stream->at < stream->count &&
        log_read(server->logs, &stream->tokens[stream->at], stream->rank, stream->offset, piece,
                 sizeof(piece), &len, &size) != ERR_OK)
        len = 0;
    if (len > 0) {
        if (log_stream_write(stream, (struct slice){piece, len}, &len))
            stream->offset += len;
        stream->idle_since = now;
        loop_timer_set(&stream->timer, SPAN_MS(0));
        return;
    }
    bool is_settled = boot_since(now, stream->idle_since).ms >= SETTLE_MS;
    if (stream->at + 1 < stream->count && (!stream->is_follow || is_settled)) {
        log_stream_next(stream);
        loop_timer_set(&stream->timer, SPAN_MS(0));
    } else if (!stream->is_follow || (stream->is_final && is_settled)) {
        log_stream_finish(stream);
    } else if (boot_since(now, stream->refreshed_at).ms >= REFRESH_MS) {
        log_stream_refresh(stream);
    } else {
        loop_timer_set(&stream->timer, SPAN_MS(FOLLOW_MS));
    }
}

void api_job_logs(struct request *request)
{
    static const char *const KNOWN[] = {"attempt", "rank", "offset", "follow"};
    uint64_t rank = 0, offset = 0, attempt = 0;
    struct slice follow = request_query(request, "follow");
    struct slice accept = http_exchange_header(request->exchange, "Accept");
    struct log_stream *stream = requests_alloc(request, sizeof(*stream));
    if (stream == NULL) {
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return;
    }
    if (!request_query_known(request, KNOWN, 4) ||
        !request_query_u64(request, "rank", 0, JOB_NODES_MAX - 1, &rank) ||
        !request_query_u64(request, "offset", 0, INT64_MAX, &offset) ||
        !request_query_u64(request, "attempt", 1, UINT32_MAX, &attempt))
        return;
    *stream = (struct log_stream){.request = request,
                                  .rank = (uint32_t)rank,
                                  .offset = offset,
                                  .is_follow = slice_is(follow, "true") || slice_is(follow, "1"),
                                  .is_events =
                                      accept.data != NULL && slice_is(accept, "text/event-stream")};
    loop_timer_init(&stream->timer, request->server->loop, log_stream_run, stream);
    request->extra = stream;
    request->on_closed = log_stream_closed;
    log_stream_refresh(stream);
}
