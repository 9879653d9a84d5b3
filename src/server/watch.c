#include "server/watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "server/requests.h"
#include "wire/row.h"
#include "wire/sse.h"

enum {
    WATCH_PAGE = 500,
    WATCH_PENDING_MAX = 512 << 10,
    WATCH_RETRY_MS = 20,
    EVENT_BYTES_MAX = 1 << 20
};

/* A watcher reads the store from its own place on, whenever something new was committed; so a slow
 * one costs no memory here. */
struct watcher {
    struct watcher *previous, *next;
    struct request *request;
    struct store_tenants tenants;
    uint64_t after;
    struct loop_timer timer;
    struct boot_ns written_at;
    bool is_reading, is_behind, is_started;
};

static void watcher_read(struct watcher *watcher);

static void watcher_closed(struct request *request)
{
    struct watcher *watcher = request->extra;
    struct server *server = request->server;
    loop_timer_stop(&watcher->timer);
    if (watcher->previous != NULL)
        watcher->previous->next = watcher->next;
    else
        server->watchers = watcher->next;
    if (watcher->next != NULL)
        watcher->next->previous = watcher->previous;
    server->watcher_count--;
}

static void event_write(const struct event_record *record, struct buffer *out)
{
    struct buffer data;
    struct json_writer writer;
    char id[24];
    struct buffer id_text;
    buffer_init(&data, EVENT_BYTES_MAX);
    buffer_init(&id_text, sizeof(id));
    buffer_append_u64(&id_text, record->seq);
    json_writer_init(&writer, &data);
    row_encode_event(record, &writer);
    if (json_writer_finish(&writer) == ERR_OK) {
        struct sse_event event = {.id = buffer_slice(&id_text),
                                  .event = record->kind,
                                  .data = buffer_slice(&data),
                                  .retry_ms = -1};
        enum err err = sse_write(out, &event);
        ASSERT(err == ERR_OK || buffer_status(out) != ERR_OK);
    }
    buffer_deinit(&id_text);
    buffer_deinit(&data);
}

static void on_page(struct request *request, const struct store_answer *answer)
{
    struct watcher *watcher = request->extra;
    struct buffer out;
    watcher->is_reading = false;
    buffer_init(&out, (size_t)WATCH_PAGE * 4096);
    if (answer->events.first_kept > watcher->after + 1 && watcher->after > 0)
        sse_write_comment(&out, SLICE_LITERAL("older events are gone"));
    for (size_t i = 0; i < answer->count; i++)
        event_write(&answer->events.rows[i], &out);
    if (answer->count > 0)
        watcher->after = answer->events.rows[answer->count - 1].seq;
    else if (answer->has_more)
        watcher->after = answer->next.seq;
    if (out.len > 0) {
        watcher->written_at = loop_now(request->server->loop).boot;
        if (http_exchange_write(request->exchange, buffer_slice(&out)) != ERR_OK)
            http_exchange_abort(
                request->exchange); /* it reads too slowly; it resumes by Last-Event-ID */
    }
    buffer_deinit(&out);
    if (answer->has_more || watcher->is_behind)
        loop_timer_set(&watcher->timer, SPAN_MS(answer->has_more ? 0 : WATCH_RETRY_MS));
    else
        loop_timer_set(&watcher->timer, SPAN_S(WATCH_KEEPALIVE_S));
}

static void watcher_read(struct watcher *watcher)
{
    struct store_query query = {.kind = STORE_EVENT_LIST};
    if (watcher->is_reading) {
        watcher->is_behind = true;
        return;
    }
    watcher->is_behind = false;
    watcher->is_reading = true;
    query.event_list.tenants = watcher->tenants;
    query.event_list.after = watcher->after;
    query.event_list.limit = WATCH_PAGE;
    request_query_store(watcher->request, &query, on_page);
}

static void watcher_run(void *context)
{
    struct watcher *watcher = context;
    struct loop *loop = watcher->request->server->loop;
    if (http_exchange_pending(watcher->request->exchange) > WATCH_PENDING_MAX) {
        loop_timer_set(&watcher->timer, SPAN_MS(WATCH_RETRY_MS));
        return;
    }
    if (!watcher->is_behind && boot_since(loop_now(loop).boot, watcher->written_at).ms >=
                                   (int64_t)WATCH_KEEPALIVE_S * 900) {
        watcher->written_at = loop_now(loop).boot;
        if (http_exchange_write(watcher->request->exchange, SLICE_LITERAL(": alive\n\n")) !=
            ERR_OK) {
            http_exchange_abort(watcher->request->exchange);
            return;
        }
    }
    watcher_read(watcher);
}

void watch_events(struct server *server, const struct change *change)
{
    (void)change;
    for (struct watcher *watcher = server->watchers; watcher != NULL; watcher = watcher->next)
        if (!watcher->is_behind) {
            watcher->is_behind = true;
            if (!watcher->is_reading)
                loop_timer_set(&watcher->timer, SPAN_MS(WATCH_RETRY_MS));
        }
}

void watch_close_all(struct server *server)
{
    for (struct watcher *watcher = server->watchers; watcher != NULL; watcher = watcher->next) {
        loop_timer_stop(&watcher->timer);
        http_exchange_abort(watcher->request->exchange);
    }
}

void watch_begin(struct request *request, const struct store_tenants *tenants, uint64_t after)
{
    struct server *server = request->server;
    const struct http1_header headers[] = {
        {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("text/event-stream")},
        {SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("no-store")}};
    struct watcher *watcher = requests_alloc(request, sizeof(*watcher));
    if (watcher == NULL || server->watcher_count >= WATCHERS_MAX) {
        request_problem(request, 503, "limit", "%d event streams are open already; try again later",
                        WATCHERS_MAX);
        return;
    }
    *watcher = (struct watcher){
        .request = request, .tenants = *tenants, .after = after, .next = server->watchers};
    watcher->written_at = loop_now(server->loop).boot;
    loop_timer_init(&watcher->timer, server->loop, watcher_run, watcher);
    if (server->watchers != NULL)
        server->watchers->previous = watcher;
    server->watchers = watcher;
    server->watcher_count++;
    request->extra = watcher;
    request->on_closed = watcher_closed;
    request->is_answered = true;
    http_exchange_start(request->exchange, 200, headers, 2, -1);
    loop_timer_set(&watcher->timer, SPAN_MS(0));
}
