#include "agent/remote.h"

#include <stdio.h>

#include "wire/json.h"

enum { PROBLEM_DETAIL_MAX = 1024, PAUSE_DOUBLINGS_MAX = 16 };

enum err remote_send(struct remote *remote, const struct remote_request *request,
                     const struct http_call_events *events, void *context,
                     struct http_call **out_call)
{
    struct http1_header headers[REMOTE_HEADERS_MAX];
    char name[ATTEMPT_NAME_MAX];
    size_t count = 0;
    if (request->content_type != NULL)
        headers[count++] =
            (struct http1_header){SLICE_LITERAL("Content-Type"), slice_of(request->content_type)};
    if (request->attempt != NULL) {
        attempt_name_format(request->attempt, name);
        headers[count++] = (struct http1_header){SLICE_LITERAL("Lq-Attempt"), slice_of(name)};
        headers[count++] = (struct http1_header){SLICE_LITERAL("Lq-Secret"), request->secret};
    }
    const struct http_client_request call = {.endpoint = remote->endpoint,
                                             .tls = remote->tls,
                                             .method = request->method,
                                             .target = request->target,
                                             .headers = headers,
                                             .header_count = count,
                                             .body = request->body,
                                             .response_bytes_max = request->response_bytes_max,
                                             .first_byte_max = request->first_byte_max};
    struct fault fault = {0};
    return http_client_send(remote->client, &call, events, context, &fault, out_call);
}

enum remote_verdict remote_judge(enum err code, const struct http1_head *response)
{
    if (code != ERR_OK || response == NULL)
        return REMOTE_AGAIN;
    int status = response->status;
    if (status >= 200 && status < 300)
        return REMOTE_OK;
    /* 401: our certificate ran out; it is being renewed. */
    bool is_passing = status == 401 || status == 408 || status == 429 || status >= 500;
    return is_passing ? REMOTE_AGAIN : REMOTE_NEVER;
}

void remote_explain(enum err code, const struct http1_head *response, struct slice body,
                    const struct fault *fault, char *out, size_t size)
{
    struct json_document *document = NULL;
    struct slice detail = {0};
    if (code != ERR_OK || response == NULL) {
        (void)snprintf(out, size, "%s",
                       fault != NULL && fault->message[0] != '\0' ? fault->message
                                                                  : err_name(code));
        return;
    }
    enum err err = json_parse(body, &JSON_LIMITS_REQUEST, &document, NULL);
    if (err == ERR_OK)
        err = json_get_string(json_root(document), "detail", PROBLEM_DETAIL_MAX, &detail, NULL);
    if (err == ERR_OK && detail.len > 0)
        (void)snprintf(out, size, "%.*s (%d)", SLICE_ARG(detail), response->status);
    else
        (void)snprintf(out, size, "the server answered %d", response->status);
    json_document_destroy(document);
}

bool remote_is_problem(enum err code, const struct http1_head *response, struct slice body,
                       const char *problem)
{
    struct json_document *document = NULL;
    struct slice said = {0};
    if (code != ERR_OK || response == NULL || response->status < 400)
        return false;
    enum err err = json_parse(body, &JSON_LIMITS_REQUEST, &document, NULL);
    if (err == ERR_OK)
        err = json_get_string(json_root(document), "code", PROBLEM_DETAIL_MAX, &said, NULL);
    bool is_it = err == ERR_OK && slice_is(said, problem);
    json_document_destroy(document);
    return is_it;
}

struct span_ms remote_pause(struct span_ms min, struct span_ms max, uint32_t fails, uint64_t random)
{
    int64_t pause = min.ms;
    for (uint32_t i = 0; i < fails && i < PAUSE_DOUBLINGS_MAX && pause < max.ms; i++)
        pause *= 2;
    if (pause > max.ms)
        pause = max.ms;
    int64_t quarter = pause / 4;
    return SPAN_MS(pause - quarter +
                   (quarter > 0 ? (int64_t)(random % (uint64_t)(2 * quarter)) : 0));
}
