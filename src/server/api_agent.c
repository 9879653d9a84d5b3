/* Sites: joining, certificates, and the long poll. */
#include <string.h>

#include "base/assert.h"
#include "model/words.h"
#include "server/api.h"
#include "server/identity.h"
#include "server/requests.h"

enum { SYNC_ARENA_BYTES = 64 << 20, JOIN_NODES_MAX = 4096 };

/* ---- join: the token is used up and the site is registered in two changes, the token first, so
 * that it works once */

struct joining {
    struct join_token token;
    struct site site;
    struct slice csr, body;
    struct request *request;
};

static void answer_certificate(struct request *request, int status, struct site_id site,
                               struct slice csr, struct slice *out_body, struct fault *fault)
{
    struct server *server = request->server;
    struct buffer out;
    struct json_writer writer;
    char pem[CERT_PEM_MAX];
    *out_body = (struct slice){0};
    if (identity_sign_site(server, csr, site, pem, fault) != ERR_OK)
        return;
    buffer_init(&out, 65536);
    json_writer_init(&writer, &out);
    json_begin_object(&writer);
    json_put_id(&writer, "site", site.id, ID_PREFIX_SITE);
    json_put_text(&writer, "certificate", pem);
    json_put_text(&writer, "ca", server->ca_pem);
    json_put_u64(&writer, "renew_after_s", AGENT_CERT_LIFE_H * 3600 / 3);
    json_end_object(&writer);
    if (json_writer_finish(&writer) == ERR_OK)
        *out_body = arena_copy(request_arena(request), buffer_slice(&out));
    buffer_deinit(&out);
    (void)status;
}

/* A document put on behalf of the joining site; nobody waits for it, but it goes before what is
 * waited for. */
static bool put_quietly(struct request *request, const struct doc_value *value, const char *action)
{
    struct buffer body;
    char key[DOC_ID_MAX + 1];
    buffer_init(&body, DOC_BYTES_MAX);
    doc_key(value, key);
    bool is_whole = doc_encode(value, &body) == ERR_OK;
    struct server_event event = {.kind = SERVER_DOC_PUT, .principal = &request->actor};
    event.doc.doc =
        (struct doc){.kind = value->kind, .id = slice_of(key), .body = buffer_slice(&body)};
    event.doc.is_any_version = true;
    event.doc.action = action;
    bool is_done = is_whole && core_host_step(request->server->host, &event) == ERR_OK;
    buffer_deinit(&body);
    return is_done;
}

static bool join_read(struct request *request, struct joining *joining, struct fault *fault)
{
    static const char *const KEYS[] = {"token", "csr", "site"};
    struct json_value root, site;
    struct slice token;
    const struct join_token *row;
    struct server *server = request->server;
    if (!request_body(request, &JSON_LIMITS_REQUEST, &root))
        return false;
    enum err err = json_object_check_keys(root, KEYS, 3, fault);
    if (err == ERR_OK)
        err = json_get_string(root, "token", 256, &token, fault);
    if (err == ERR_OK)
        err = json_get_string(root, "csr", CERT_PEM_MAX, &joining->csr, fault);
    if (err == ERR_OK)
        err = json_get_object(root, "site", &site, fault);
    if (err == ERR_OK)
        err = doc_decode_site(site, request_arena(request), &joining->site, fault);
    if (err == ERR_OK)
        err = directory_join(server->directory, token, loop_now(server->loop).wall, &row, fault);
    if (err == ERR_OK && !slice_is_equal(row->site, joining->site.name))
        err = fault_set(fault, ERR_DENIED, "site.name", "this token is for the site \"%.*s\"",
                        SLICE_ARG(row->site));
    if (err == ERR_OK && !slice_is_equal(row->operator_name, joining->site.operator_name))
        err = fault_set(fault, ERR_DENIED, "site.operator",
                        "this token is for the operator \"%.*s\"", SLICE_ARG(row->operator_name));
    if (err != ERR_OK) {
        request_fault(request, fault);
        return false;
    }
    joining->token = *row;
    return true;
}

void api_agent_join(struct request *request)
{
    struct joining joining = {.request = request};
    struct fault fault = {0};
    struct server *server = request->server;
    struct slice body;
    char key[DOC_ID_MAX + 1];
    if (!join_read(request, &joining, &fault))
        return;
    const struct site *standing = directory_site(server->directory, joining.site.name);
    joining.site.id = standing != NULL ? standing->id : (struct site_id){server_make_id(server)};
    answer_certificate(request, 201, joining.site.id, joining.csr, &body, &fault);
    if (body.len == 0) {
        request_fault(request, &fault);
        return;
    }
    /* The names point into documents that the put replaces: keep copies. */
    struct doc_value token = {.kind = DOC_JOIN_TOKEN, .join_token = joining.token};
    token.join_token.site = arena_copy(request_arena(request), joining.token.site);
    token.join_token.operator_name =
        arena_copy(request_arena(request), joining.token.operator_name);
    token.join_token.used_at = loop_now(server->loop).wall;
    request->actor.actor = arena_copy(request_arena(request), SLICE_LITERAL("join-token"));
    if (!put_quietly(request, &token, "site.join")) {
        request_problem(request, 503, "busy", "the server cannot take this just now; try again");
        return;
    }
    struct doc_value site = {.kind = DOC_SITE, .site = joining.site};
    struct buffer encoded;
    buffer_init(&encoded, DOC_BYTES_MAX);
    doc_key(&site, key);
    if (doc_encode(&site, &encoded) != ERR_OK) {
        buffer_deinit(&encoded);
        request_problem(request, 422, "limit", "the site has too many nodes for one document");
        return;
    }
    struct server_event event = {.kind = SERVER_DOC_PUT};
    event.doc.doc =
        (struct doc){.kind = DOC_SITE, .id = slice_of(key), .body = buffer_slice(&encoded)};
    event.doc.is_any_version = true;
    event.doc.action = standing != NULL ? "site.rejoin" : "site.create";
    event.doc.reply = body;
    request_step(request, &event);
    buffer_deinit(&encoded);
}

void api_agent_renew(struct request *request)
{
    static const char *const KEYS[] = {"csr"};
    struct json_value root;
    struct fault fault = {0};
    struct slice csr, body;
    if (!request_body(request, &JSON_LIMITS_REQUEST, &root))
        return;
    enum err err = json_object_check_keys(root, KEYS, 1, &fault);
    if (err == ERR_OK)
        err = json_get_string(root, "csr", CERT_PEM_MAX, &csr, &fault);
    if (err != ERR_OK) {
        request_fault(request, &fault);
        return;
    }
    answer_certificate(request, 200, request->principal.site, csr, &body, &fault);
    if (body.len == 0)
        request_fault(request, &fault);
    else
        request_json(request, 200, body);
}

/* ---- the long poll */

void api_agent_sync(struct request *request)
{
    struct arena arena;
    struct sync_request sync;
    struct fault fault = {0};
    arena_init(&arena, SYNC_ARENA_BYTES);
    enum err err = sync_request_decode(request->body, &arena, &sync, &fault);
    if (err != ERR_OK) {
        request_fault(request, &fault);
    } else if (!id_is_equal(sync.site.id, request->principal.site.id)) {
        request_problem(request, 403, "denied", "the certificate is of another site");
    } else {
        struct server_event event = {.kind = SERVER_SYNC};
        event.sync = &sync;
        request_step(request, &event);
    }
    arena_deinit(&arena);
}
