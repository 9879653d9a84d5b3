#include "server/docs.h"

#include <string.h>

#include "base/assert.h"
#include "server/requests.h"

enum { LIST_BYTES_MAX = 64 << 20, DOC_ARENA_BYTES = 8 << 20 };

struct listing {
    bool (*filter)(const struct request *request, const struct doc_value *value);
};

void docs_write(const struct doc_value *value, struct json_writer *writer)
{
    struct buffer body;
    if (value->kind == DOC_TOKEN) {
        doc_show_api_token(&value->api_token, writer);
        return;
    }
    if (value->kind == DOC_JOIN_TOKEN) {
        doc_show_join_token(&value->join_token, writer);
        return;
    }
    buffer_init(&body, DOC_BYTES_MAX);
    enum err err = doc_encode(value, &body);
    if (err == ERR_OK)
        json_raw(writer, buffer_slice(&body));
    else
        json_null(writer);
    buffer_deinit(&body);
}

static void on_list(struct request *request, const struct store_answer *answer)
{
    const struct listing *listing = request->extra;
    struct buffer out;
    struct json_writer writer;
    struct arena arena;
    struct fault fault = {0};
    buffer_init(&out, LIST_BYTES_MAX);
    arena_init(&arena, DOC_ARENA_BYTES);
    json_writer_init(&writer, &out);
    json_begin_object(&writer);
    json_key(&writer, "items");
    json_begin_array(&writer);
    for (size_t i = 0; i < answer->count; i++) {
        struct doc_value value;
        if (doc_parse(answer->docs[i].kind, answer->docs[i].body, &arena, &value, &fault) ==
                ERR_OK &&
            (listing->filter == NULL || listing->filter(request, &value)))
            docs_write(&value, &writer);
        arena_reset(&arena);
    }
    json_end_array(&writer);
    json_key(&writer, "next");
    if (answer->has_more && answer->count > 0)
        json_string(&writer, answer->docs[answer->count - 1].id);
    else
        json_null(&writer);
    json_end_object(&writer);
    enum err err = json_writer_finish(&writer);
    ASSERT(err == ERR_OK || buffer_status(&out) != ERR_OK);
    arena_deinit(&arena);
    request_buffer(request, 200, &out);
}

void docs_list(struct request *request, enum doc_kind kind,
               bool (*filter)(const struct request *request, const struct doc_value *value))
{
    static const char *const KNOWN[] = {"limit", "cursor", "tenant"};
    struct listing *listing = requests_alloc(request, sizeof(*listing));
    uint64_t limit = PAGE_DEFAULT;
    if (listing == NULL) {
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return;
    }
    if (!request_query_known(request, KNOWN, 3) ||
        !request_query_u64(request, "limit", 1, STORE_PAGE_MAX, &limit))
        return;
    listing->filter = filter;
    request->extra = listing;
    struct store_query query = {.kind = STORE_DOC_LIST};
    query.doc_list.kind = kind;
    query.doc_list.after = request_query(request, "cursor");
    query.doc_list.limit = (uint32_t)limit;
    if (query.doc_list.after.len > DOC_ID_MAX) {
        request_problem(request, 400, "invalid", "the cursor is not one that this server gave");
        return;
    }
    request_query_store(request, &query, on_list);
}

static void on_show(struct request *request, const struct store_answer *answer)
{
    struct arena arena;
    struct doc_value value;
    struct fault fault = {0};
    struct buffer out;
    struct json_writer writer;
    arena_init(&arena, DOC_ARENA_BYTES);
    buffer_init(&out, LIST_BYTES_MAX);
    if (doc_parse(answer->docs[0].kind, answer->docs[0].body, &arena, &value, &fault) != ERR_OK) {
        request_fault(request, &fault);
    } else {
        json_writer_init(&writer, &out);
        docs_write(&value, &writer);
        if (json_writer_finish(&writer) == ERR_OK)
            request_json_etag(request, 200, buffer_slice(&out), answer->docs[0].version);
        else
            request_problem(request, 500, "limit", "the answer is too long");
    }
    buffer_deinit(&out);
    arena_deinit(&arena);
}

void docs_show(struct request *request, enum doc_kind kind, struct slice id)
{
    struct store_query query = {.kind = STORE_DOC_GET};
    query.doc_get.kind = kind;
    query.doc_get.id = id;
    if (id.len == 0 || id.len > DOC_ID_MAX)
        request_problem(request, 404, "not_found", "there is no such thing, or you may not see it");
    else
        request_query_store(request, &query, on_show);
}

bool docs_body(struct request *request, enum doc_kind kind, struct doc_value *out)
{
    struct fault fault = {0};
    struct json_value root;
    if (!request_body(request, &JSON_LIMITS_REQUEST,
                      &root)) /* for line and column of malformed text */
        return false;
    (void)root;
    if (doc_parse(kind, request->body, request_arena(request), out, &fault) == ERR_OK)
        return true;
    request_fault(request, &fault);
    return false;
}

void docs_put(struct request *request, const struct doc_value *value, bool must_be_new,
              const char *action, struct slice reply)
{
    struct buffer body;
    char key[DOC_ID_MAX + 1];
    uint64_t version;
    if (!request_if_match(request, &version))
        return;
    buffer_init(&body, DOC_BYTES_MAX);
    doc_key(value, key);
    if (doc_encode(value, &body) != ERR_OK) {
        request_problem(request, 422, "limit", "it does not fit into %d bytes", DOC_BYTES_MAX);
    } else {
        struct server_event event = {.kind = SERVER_DOC_PUT};
        event.doc.doc =
            (struct doc){.kind = value->kind, .id = slice_of(key), .body = buffer_slice(&body)};
        event.doc.expect_version = version;
        event.doc.is_any_version = !must_be_new && version == 0;
        event.doc.action = action;
        event.doc.reply = reply;
        request_step(request, &event);
    }
    buffer_deinit(&body);
}

void docs_delete(struct request *request, enum doc_kind kind, struct slice id, const char *action)
{
    struct server_event event = {.kind = SERVER_DOC_DELETE};
    if (!request_if_match(request, &event.doc.expect_version))
        return;
    event.doc.doc = (struct doc){.kind = kind, .id = id};
    event.doc.is_any_version = event.doc.expect_version == 0;
    event.doc.action = action;
    request_step(request, &event);
}
