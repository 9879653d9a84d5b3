/* A request from its head to its answer: route, principal, permission, ownership, then the handler.
 */
#include "server/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "http/problem.h"
#include "model/words.h"
#include "server/requests.h"

struct arena *request_arena(struct request *request)
{
    return http_exchange_arena(request->exchange);
}

/* ---- answers */

static void answered(struct request *request, int status)
{
    ASSERT(!request->is_answered);
    request->is_answered = true;
    request->server->counters.by_status[status / 100 % 6]++;
    if (status >= 400)
        request->server->counters.refused++;
}

void request_json_etag(struct request *request, int status, struct slice json, uint64_t etag)
{
    struct http1_header headers[2] = {
        {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json")}};
    size_t count = 1;
    answered(request, status);
    if (etag != 0) {
        char *text = arena_printf(request_arena(request), "\"%llu\"", (unsigned long long)etag);
        if (text != NULL)
            headers[count++] = (struct http1_header){SLICE_LITERAL("ETag"), slice_of(text)};
    }
    http_exchange_respond(request->exchange, status, headers, count, json);
}

void request_json(struct request *request, int status, struct slice json)
{
    request_json_etag(request, status, json, 0);
}

void request_empty(struct request *request, int status)
{
    answered(request, status);
    http_exchange_respond(request->exchange, status, NULL, 0, (struct slice){0});
}

static void problem_send(struct request *request, int status, struct slice body)
{
    struct http1_header headers[4] = {
        {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/problem+json")}};
    size_t count = 1;
    if (status == 401)
        headers[count++] =
            (struct http1_header){SLICE_LITERAL("WWW-Authenticate"), SLICE_LITERAL("Bearer")};
    if (status == 405 && request->allow != NULL)
        headers[count++] = (struct http1_header){SLICE_LITERAL("Allow"), slice_of(request->allow)};
    if (status == 429 || status == 503)
        headers[count++] = (struct http1_header){SLICE_LITERAL("Retry-After"), SLICE_LITERAL("1")};
    answered(request, status);
    http_exchange_respond(request->exchange, status, headers, count, body);
}

static void problem_write(struct buffer *out, int status, const char *code, const char *detail,
                          const struct fault *fault)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    json_put_text(&writer, "type", "about:blank");
    json_put_text(&writer, "title", http1_reason(status));
    json_put_u64(&writer, "status", (uint64_t)status);
    json_put_text(&writer, "code", code);
    json_put_text(&writer, "detail", detail);
    if (fault != NULL && fault->field[0] != 0)
        json_put_text(&writer, "field", fault->field);
    if (fault != NULL && fault->line != 0) {
        json_put_u64(&writer, "line", fault->line);
        json_put_u64(&writer, "column", fault->column);
    }
    json_end_object(&writer);
    enum err err = json_writer_finish(&writer);
    ASSERT(err == ERR_OK || buffer_status(out) != ERR_OK);
}

void request_problem(struct request *request, int status, const char *code, const char *format, ...)
{
    char detail[FAULT_MESSAGE_MAX];
    struct buffer body;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    ASSERT(n >= 0);
    buffer_init(&body, 8192);
    problem_write(&body, status, code, detail, NULL);
    problem_send(request, status, buffer_slice(&body));
    buffer_deinit(&body);
}

void request_fault(struct request *request, const struct fault *fault)
{
    struct buffer body;
    int status = http_problem_status(fault->code);
    if (fault->code == ERR_FULL || fault->code == ERR_IO || fault->code == ERR_NO_MEMORY)
        status = 503; /* passing states: try again */
    buffer_init(&body, 8192);
    problem_write(&body, status, err_name(fault->code), fault->message, fault);
    problem_send(request, status, buffer_slice(&body));
    buffer_deinit(&body);
}

void request_buffer(struct request *request, int status, struct buffer *buffer)
{
    if (buffer_status(buffer) != ERR_OK)
        request_problem(request, 500, "limit", "the answer is too long; ask for a smaller page");
    else
        request_json(request, status, buffer_slice(buffer));
    buffer_deinit(buffer);
}

/* ---- parts */

bool request_body(struct request *request, const struct json_limits *limits, struct json_value *out)
{
    struct json_document *document;
    struct fault fault = {0};
    enum err err = json_parse(request->body, limits, &document, &fault);
    if (err != ERR_OK) {
        fault.code = err == ERR_LIMIT ? ERR_INVALID : err;
        request_fault(request, &fault);
        return false;
    }
    requests_keep_document(request, document);
    *out = json_root(document);
    return true;
}

struct slice request_query(const struct request *request, const char *name)
{
    const struct target_pair *pair = target_find(&request->target, name);
    return pair == NULL ? (struct slice){"", 0} : pair->value;
}

bool request_query_u64(struct request *request, const char *name, uint64_t min, uint64_t max,
                       uint64_t *inout)
{
    const struct target_pair *pair = target_find(&request->target, name);
    uint64_t value;
    if (pair == NULL)
        return true;
    if (slice_parse_u64(pair->value, &value) != ERR_OK || value < min || value > max) {
        request_problem(request, 400, "invalid",
                        "the query's %s must be a whole number from %llu to %llu", name,
                        (unsigned long long)min, (unsigned long long)max);
        return false;
    }
    *inout = value;
    return true;
}

bool request_query_time(struct request *request, const char *name, struct wall_us *out)
{
    struct slice text = request_query(request, name);
    if (text.len == 0 || wall_parse(text, out) == ERR_OK)
        return true;
    request_problem(request, 400, "invalid",
                    "the query's %s must be a time such as 2026-11-22T00:00:00Z", name);
    return false;
}

bool request_query_known(struct request *request, const char *const *names, size_t count)
{
    for (size_t i = 0; i < request->target.pair_count; i++) {
        struct slice name = request->target.pairs[i].name;
        bool known = false;
        for (size_t k = 0; k < count && !known; k++)
            known = slice_is(name, names[k]);
        if (!known) {
            request_problem(request, 400, "invalid", "the query has no \"%.*s\" here",
                            SLICE_ARG(name));
            return false;
        }
    }
    return true;
}

bool request_if_match(struct request *request, uint64_t *out_version)
{
    struct slice text = http_exchange_header(request->exchange, "If-Match");
    *out_version = 0;
    if (text.data == NULL)
        return true;
    if (text.len > 2 && text.data[0] == '"' && text.data[text.len - 1] == '"' &&
        slice_parse_u64((struct slice){text.data + 1, text.len - 2}, out_version) == ERR_OK &&
        *out_version > 0)
        return true;
    request_problem(request, 400, "invalid",
                    "If-Match must be an ETag that this server gave, such as \"3\"");
    return false;
}

bool request_may(const struct request *request, enum permission permission,
                 const struct subject *subject)
{
    return principal_may(&request->principal, permission, subject,
                         directory_tree(request->server->directory));
}

bool request_tenants(struct request *request, struct store_tenants *out)
{
    struct slice name = request_query(request, "tenant");
    const struct subject network = {0};
    struct tenant_id top = request->principal.tenant;
    if (name.len > 0) {
        const struct tenant *tenant = directory_tenant(request->server->directory, name);
        struct subject subject = {0};
        if (tenant != NULL)
            subject.tenant = tenant->id;
        if (tenant == NULL || !request_may(request, request->route->permission, &subject)) {
            request_problem(request, 404, "not_found",
                            "there is no tenant \"%.*s\" that you may see", SLICE_ARG(name));
            return false;
        }
        top = tenant->id;
    } else if (request_may(request, request->route->permission, &network)) {
        *out = (struct store_tenants){.is_all = true};
        return true;
    }
    *out = (struct store_tenants){.is_all = false};
    if (id_is_none(top.id))
        return true; /* of no tenant: sees none */
    enum err err = directory_subtree(request->server->directory, top, request_arena(request),
                                     &out->ids, &out->count);
    if (err != ERR_OK)
        request_problem(request, 503, err_name(err), "no memory for this request; try again");
    return err == ERR_OK;
}

/* ---- the core */

void request_step(struct request *request, struct server_event *event)
{
    struct server *server = request->server;
    event->handle = ++server->next_handle;
    event->principal = &request->actor;
    if (request->has_key)
        event->idempotency = (struct server_idempotency){
            .scope = request->actor.actor,
            .key = requests_idempotency_key(request),
            .request = request->hash,
            .is_set = true,
            .expires_at = {loop_now(server->loop).wall.us + (int64_t)IDEMPOTENCY_LIFE_S * 1000000}};
    request->handle = event->handle;
    request->is_sync = event->kind == SERVER_SYNC;
    enum err err = u64map_add(&server->waiting, event->handle, request);
    if (err == ERR_OK)
        err = core_host_step(server->host, event);
    if (err != ERR_OK) {
        (void)u64map_remove(&server->waiting, event->handle);
        request->handle = 0;
        request_problem(request, 503, "busy",
                        "the server cannot take this just now; try again in a second");
    }
}

void server_output(void *context, const struct server_output *output)
{
    struct server *server = context;
    struct request *request = u64map_remove(&server->waiting, output->handle);
    if (request == NULL)
        return; /* the client is gone */
    request->handle = 0;
    if (request->is_answered)
        return; /* a poll that was sent away when the server began to stop */
    if (output->kind == OUTPUT_CLOSE_POLL) {
        request_problem(request, 409, "newer_poll", "a newer poll of the same site took over");
        return;
    }
    void (*on_output)(struct request *, const struct server_output *) = request->on_output;
    request->on_output = NULL;
    if (requests_look_again(request, output))
        return;
    if (on_output != NULL)
        on_output(request, output);
    else
        request_output(request, output);
}

void request_output(struct request *request, const struct server_output *output)
{
    if (output->kind == OUTPUT_SYNC_REPLY)
        request_json(request, 200, output->body);
    else if (output->status >= 400)
        problem_send(request, (int)output->status, output->body);
    else
        request_json_etag(request, (int)output->status, requests_with_secret(request, output->body),
                          output->etag);
}

void server_polls_end(struct server *server)
{
    size_t cursor = 0;
    void *value;
    while (u64map_next(&server->waiting, &cursor, NULL, &value)) {
        struct request *request = value;
        if (!request->is_sync || request->is_answered)
            continue;
        /* It stays in the map until it closes: the core's late answer must find it answered. */
        request_problem(request, 503, "stopping", "the server is stopping; come back in a moment");
    }
}

void server_requests_reset(struct server *server)
{
    size_t cursor = 0;
    void *value;
    while (u64map_next(&server->waiting, &cursor, NULL, &value)) {
        struct request *request = value;
        request->handle = 0;
        request->on_output = NULL;
        if (!request->is_answered)
            request_problem(
                request, 503, "try_again",
                "the server could not make the change durable; nothing of it took effect "
                "unless a retry says so");
    }
    u64map_clear(&server->waiting);
}

/* ---- the store */

struct store_wait {
    struct request *request;
    void (*done)(struct request *request, const struct store_answer *answer);
    bool is_maybe;
};

static void store_replied(void *context, struct store_reply *reply)
{
    struct store_wait *wait = context;
    struct request *request = wait->request;
    request->pending--;
    if (request->is_closed) {
        requests_release(request);
    } else if (reply->err != ERR_OK && request->is_answered) {
        http_exchange_abort(request->exchange); /* a stream has begun: its reader sees a failure */
    } else if (reply->err == ERR_OK) {
        wait->done(request, &reply->answer);
    } else if (reply->err == ERR_NOT_FOUND && wait->is_maybe) {
        wait->done(request, NULL);
    } else if (reply->err == ERR_NOT_FOUND) {
        request_problem(request, 404, "not_found", "there is no such thing, or you may not see it");
    } else {
        request_problem(request, 503, err_name(reply->err),
                        "the store could not answer: %s; try again",
                        reply->fault.message[0] != 0 ? reply->fault.message : err_name(reply->err));
    }
    store_reply_free(reply);
}

static void query_store(struct request *request, const struct store_query *query, bool is_maybe,
                        void (*done)(struct request *request, const struct store_answer *answer))
{
    struct store_wait *wait = requests_alloc(request, sizeof(*wait));
    if (wait == NULL) {
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return;
    }
    *wait = (struct store_wait){request, done, is_maybe};
    enum err err = store_reader_submit(request->server->reader, query, store_replied, wait);
    if (err != ERR_OK && request->is_answered)
        http_exchange_abort(request->exchange);
    else if (err != ERR_OK)
        request_problem(request, http_problem_status(err), err_name(err),
                        "the store is busy; try again");
    else
        request->pending++;
}

void request_query_store(struct request *request, const struct store_query *query,
                         void (*done)(struct request *request, const struct store_answer *answer))
{
    query_store(request, query, false, done);
}

void request_query_maybe(struct request *request, const struct store_query *query,
                         void (*done)(struct request *request, const struct store_answer *answer))
{
    query_store(request, query, true, done);
}

struct id server_make_id(struct server *server)
{
    return id_make(loop_now(server->loop).wall.us / 1000, &server->random);
}
