#include "http/client_private.h"

struct fetch {
    struct loop *loop;
    struct arena *arena;
    struct http_response response;
    struct fault *fault;
    enum err code;
    bool is_done;
};

static enum err fetch_keep(struct fetch *fetch, const struct http1_head *head, struct slice body)
{
    struct http1_header *headers =
        arena_array(fetch->arena, head->header_count + 1, sizeof(*headers));
    if (headers == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < head->header_count; i++) {
        headers[i].name = arena_copy(fetch->arena, head->headers[i].name);
        headers[i].value = arena_copy(fetch->arena, head->headers[i].value);
        if (headers[i].name.data == NULL || headers[i].value.data == NULL)
            return ERR_NO_MEMORY;
    }
    struct slice copy = arena_copy(fetch->arena, body);
    if (copy.data == NULL)
        return ERR_NO_MEMORY;
    fetch->response = (struct http_response){.status = head->status,
                                             .headers = headers,
                                             .header_count = head->header_count,
                                             .body = copy};
    return ERR_OK;
}

static void fetch_on_done(void *context, struct http_call *call, enum err code,
                          const struct http1_head *head, struct slice body,
                          const struct fault *fault)
{
    struct fetch *fetch = context;
    (void)call;
    fetch->is_done = true;
    fetch->code = code == ERR_OK ? fetch_keep(fetch, head, body) : code;
    if (code != ERR_OK && fault != NULL && fetch->fault != NULL)
        *fetch->fault = *fault;
    else if (fetch->code != ERR_OK)
        (void)fault_set(fetch->fault, fetch->code, NULL, "no memory for the answer");
    loop_stop(fetch->loop);
}

enum err http_client_fetch(struct http_client *client, struct loop *loop,
                           const struct http_client_request *request, struct arena *arena,
                           struct fault *fault, struct http_response *out_response)
{
    static const struct http_call_events events = {.on_done = fetch_on_done};
    struct fetch fetch = {.loop = loop, .arena = arena, .fault = fault};
    struct http_call *call;
    enum err code = http_client_send(client, request, &events, &fetch, fault, &call);
    if (code == ERR_OK)
        code = loop_run(loop);
    if (code != ERR_OK)
        return code;
    if (!fetch.is_done) {
        http_call_cancel(call);
        return fault_set(fault, ERR_CANCELLED, NULL, "stopped before the answer came");
    }
    if (fetch.code == ERR_OK)
        *out_response = fetch.response;
    return fetch.code;
}
