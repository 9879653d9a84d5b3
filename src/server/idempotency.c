/* Requests that may come twice: the answer of the first is kept in the store, in the same change as
 * what it did, and given again to the same request under the same key.
 *
 * Secrets are never kept. A secret of a request with a key is derived from the server's own key,
 * whoever asks, the key and the request, so that a repeat gives the same text again. */
#include <string.h>

#include "base/assert.h"
#include "server/requests.h"

static void hash_add(struct digest_stream *stream, struct slice part)
{
    digest_stream_update(stream, part);
    digest_stream_update(stream, SLICE_LITERAL("\n"));
}

static void request_hash(struct request *request)
{
    struct digest_stream stream;
    const struct http1_head *head = http_exchange_head(request->exchange);
    ASSERT(digest_stream_init(&stream) == ERR_OK);
    hash_add(&stream, head->method_text);
    hash_add(&stream, head->target);
    digest_stream_update(&stream, request->body);
    struct digest digest = digest_stream_finish(&stream);
    digest_stream_deinit(&stream);
    memcpy(request->hash.bytes, digest.bytes, HASH_BYTES);
}

struct slice requests_idempotency_key(const struct request *request)
{
    return http_exchange_header(request->exchange, "Idempotency-Key");
}

static bool takes_key(const struct request *request)
{
    return requests_idempotency_key(request).data != NULL && request->actor.actor.len > 0 &&
           strcmp(request->route->method, "POST") == 0;
}

enum err requests_secret(struct request *request, const char *prefix, char out_text[TOKEN_TEXT_MAX],
                         struct digest *out_hash)
{
    struct buffer material;
    if (!request->has_key)
        return token_make(prefix, out_text, out_hash);
    buffer_init(&material, 4096);
    buffer_append_text(&material, prefix);
    buffer_append(&material, request->actor.actor);
    buffer_append_char(&material, '\n');
    buffer_append(&material, requests_idempotency_key(request));
    buffer_append_char(&material, '\n');
    buffer_append(&material, slice_make(request->hash.bytes, HASH_BYTES));
    enum err err = buffer_status(&material);
    if (err == ERR_OK) {
        struct digest secret =
            digest_hmac(slice_make(request->server->token_key, sizeof(request->server->token_key)),
                        buffer_slice(&material));
        err = token_format(prefix, &secret, out_text, out_hash);
        explicit_bzero(&secret, sizeof(secret));
    }
    buffer_deinit(&material);
    return err;
}

/* `json` is an object; its secret goes in last. */
struct slice requests_with_secret(struct request *request, struct slice json)
{
    if (request->secret == NULL)
        return json;
    ASSERT(json.len >= 2 && json.data[json.len - 1] == '}');
    char *text =
        arena_printf(request_arena(request), "%.*s%s\"token\":\"%s\"}", (int)(json.len - 1),
                     json.data, json.len > 2 ? "," : "", request->secret);
    return text == NULL ? json : slice_of(text);
}

static void on_kept(struct request *request, const struct store_answer *answer)
{
    if (answer == NULL) {
        request->route->handle(request);
        return;
    }
    const struct store_idempotency *kept = &answer->idempotency;
    if (memcmp(kept->request.bytes, request->hash.bytes, HASH_BYTES) != 0) {
        request_problem(request, 409, "idempotency_mismatch",
                        "this Idempotency-Key came with another request before; use a new one");
        return;
    }
    if (request->route->remake_secret != NULL)
        request->route->remake_secret(request);
    request_json(request, (int)kept->status, requests_with_secret(request, kept->response));
}

static void look_up(struct request *request)
{
    struct store_query query = {.kind = STORE_IDEMPOTENCY_GET};
    query.idempotency_get.scope = request->actor.actor;
    query.idempotency_get.key = requests_idempotency_key(request);
    query.idempotency_get.now = loop_now(request->server->loop).wall;
    request_query_maybe(request, &query, on_kept);
}

void requests_hand_over(struct request *request)
{
    request->has_key = takes_key(request);
    if (!request->has_key) {
        request->route->handle(request);
        return;
    }
    request_hash(request);
    look_up(request);
}

bool requests_look_again(struct request *request, const struct server_output *output)
{
    static const struct slice IN_FLIGHT = SLICE_LITERAL("\"code\":\"idempotency_in_flight\"");
    if (!request->has_key || request->has_looked_again || output->status != API_CONFLICT ||
        memmem(output->body.data, output->body.len, IN_FLIGHT.data, IN_FLIGHT.len) == NULL)
        return false;
    /* Outputs leave in order: the request that took the key is durable by now. */
    request->has_looked_again = true;
    look_up(request);
    return true;
}
