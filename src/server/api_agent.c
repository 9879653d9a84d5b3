/* Sites: joining, certificates, and the long poll. */
#include <string.h>

#include "base/assert.h"
#include "model/words.h"
#include "server/api.h"
#include "server/identity.h"
#include "server/requests.h"

enum { SYNC_ARENA_BYTES = 64 << 20 };

/* ---- certificates */

struct certificate {
    char pem[CERT_PEM_MAX];
    char name[CERTIFICATE_NAME_MAX];
};

enum { CERTIFICATES_KEPT = 4 };

/* The answer with the certificate, into the request's arena. */
static struct slice certificate_reply(struct request *request, struct site_id site,
                                      const struct certificate *certificate)
{
    struct buffer out;
    struct json_writer writer;
    struct slice body = {0};
    buffer_init(&out, 65536);
    json_writer_init(&writer, &out);
    json_begin_object(&writer);
    json_put_id(&writer, "site", site.id, ID_PREFIX_SITE);
    json_put_text(&writer, "certificate", certificate->pem);
    json_put_text(&writer, "ca", request->server->ca_pem);
    json_put_u64(&writer, "renew_after_s", AGENT_CERT_LIFE_H * 3600 / 3);
    json_end_object(&writer);
    if (json_writer_finish(&writer) == ERR_OK)
        body = arena_copy(request_arena(request), buffer_slice(&out));
    buffer_deinit(&out);
    return body;
}

static void doc_step(struct request *request, const struct doc_value *value, uint64_t version,
                     const char *action, struct slice reply,
                     void (*on_output)(struct request *request, const struct server_output *output))
{
    struct buffer body;
    char key[DOC_ID_MAX + 1];
    buffer_init(&body, DOC_BYTES_MAX);
    doc_key(value, key);
    if (doc_encode(value, &body) != ERR_OK) {
        request_problem(request, 422, "limit", "the site has too many nodes for one document");
    } else {
        struct server_event event = {.kind = SERVER_DOC_PUT};
        event.doc.doc =
            (struct doc){.kind = value->kind, .id = slice_of(key), .body = buffer_slice(&body)};
        event.doc.expect_version = version;
        event.doc.is_any_version = version == 0;
        event.doc.action = action;
        event.doc.reply = reply;
        request->on_output = on_output;
        request_step(request, &event);
    }
    buffer_deinit(&body);
}

/* From now on the site's good certificates are this one and, unless it has joined anew, the newest
 * of those before. Answers when that is durable. */
static void certificate_admit(struct request *request, struct site_id site,
                              const struct certificate *certificate, bool is_only,
                              void (*on_output)(struct request *request,
                                                const struct server_output *output))
{
    struct slice names[CERTIFICATES_KEPT];
    uint32_t count = 0;
    const struct text_list *standing = directory_certificates(request->server->directory, site);
    struct doc_value value = {.kind = DOC_SITE_STATE};
    names[count++] = slice_of(certificate->name);
    for (uint32_t i = 0; !is_only && standing != NULL && i < standing->count; i++)
        if (count < CERTIFICATES_KEPT)
            names[count++] = standing->items[i];
    value.site_memory.site = site;
    value.site_memory.certificates = (struct text_list){names, count};
    struct slice reply = certificate_reply(request, site, certificate);
    if (reply.len == 0)
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
    else
        doc_step(request, &value, 0, "site.certificate", reply, on_output);
}

/* ---- join: the token is used up first, and only in the state in which it was found, so that of
 * many that come at once one goes on; then the site is registered, then its certificate is good. A
 * site that is refused gets its token back. */

struct joining {
    struct join_token token;
    uint64_t token_version;
    struct site site;
    bool is_rejoin;
    struct slice csr;
    struct certificate certificate;
    struct server_output refusal; /* why it may not join; told when the token is good again */
};

static bool join_allowed(struct request *request, const struct joining *joining,
                         const struct join_token *row, struct fault *fault)
{
    const struct site *standing = directory_site(request->server->directory, joining->site.name);
    enum err err = ERR_OK;
    if (!slice_is_equal(row->site, joining->site.name))
        err = fault_set(fault, ERR_DENIED, "site.name", "this token is for the site \"%.*s\"",
                        SLICE_ARG(row->site));
    else if (!slice_is_equal(row->operator_name, joining->site.operator_name))
        err = fault_set(fault, ERR_DENIED, "site.operator",
                        "this token is for the operator \"%.*s\"", SLICE_ARG(row->operator_name));
    else if (standing != NULL && !slice_is_equal(standing->operator_name, row->operator_name))
        err = fault_set(fault, ERR_DENIED, "site.name",
                        "a site of that name belongs to another operator");
    return err == ERR_OK;
}

static bool join_read(struct request *request, struct joining *joining, struct fault *fault)
{
    static const char *const KEYS[] = {"token", "csr", "site"};
    struct json_value root, site;
    struct slice token;
    const struct join_token *row = NULL;
    struct server *server = request->server;
    struct arena *arena = request_arena(request);
    char id[ID_TEXT_MAX];
    if (!request_body(request, &JSON_LIMITS_REQUEST, &root))
        return false;
    enum err err = json_object_check_keys(root, KEYS, 3, fault);
    if (err == ERR_OK)
        err = json_get_string(root, "token", 256, &token, fault);
    if (err == ERR_OK)
        err = json_get_string(root, "csr", CERT_PEM_MAX - 1, &joining->csr, fault);
    if (err == ERR_OK)
        err = json_get_object(root, "site", &site, fault);
    if (err == ERR_OK)
        err = doc_decode_site(site, arena, &joining->site, fault);
    if (err == ERR_OK)
        err = directory_join(server->directory, token, loop_now(server->loop).wall, &row, fault);
    if (err != ERR_OK || !join_allowed(request, joining, row, fault)) {
        request_fault(request, fault);
        return false;
    }
    /* The row's texts go when the document is put: keep copies. */
    joining->token = *row;
    joining->token.site = arena_copy(arena, row->site);
    joining->token.operator_name = arena_copy(arena, row->operator_name);
    id_format(row->id.id, ID_PREFIX_TOKEN, id);
    joining->token_version = directory_version(server->directory, DOC_JOIN_TOKEN, slice_of(id));
    return true;
}

static void join_done(struct request *request, const struct server_output *output)
{
    if (output->status >= 400)
        request_output(request, output);
    else
        request_json(request, 201, output->body);
}

static void join_refused(struct request *request, const struct server_output *output)
{
    struct joining *joining = request->extra;
    (void)output; /* should it have failed, the token is spent, which is safe */
    request_output(request, &joining->refusal);
}

/* The refusal leaves when the token is good again: the site may come back with it at once. */
static void token_give_back(struct request *request, struct joining *joining)
{
    struct doc_value value = {.kind = DOC_JOIN_TOKEN, .join_token = joining->token};
    value.join_token.used_at.us = 0;
    doc_step(request, &value, joining->token_version + 1, "site.join_refused", (struct slice){0},
             join_refused);
}

static void join_registered(struct request *request, const struct server_output *output)
{
    struct joining *joining = request->extra;
    if (output->status >= 400) {
        joining->refusal = *output;
        joining->refusal.body = arena_copy(request_arena(request), output->body);
        token_give_back(request, joining);
        return;
    }
    certificate_admit(request, joining->site.id, &joining->certificate, true, join_done);
}

static void join_token_taken(struct request *request, const struct server_output *output)
{
    struct joining *joining = request->extra;
    if (output->status == API_PRECONDITION) {
        request_problem(request, 403, "denied",
                        "the join token is used already; make another with lq join-token");
        return;
    }
    if (output->status >= 400) {
        request_output(request, output);
        return;
    }
    const struct doc_value site = {.kind = DOC_SITE, .site = joining->site};
    doc_step(request, &site, 0, joining->is_rejoin ? "site.rejoin" : "site.create",
             (struct slice){0}, join_registered);
}

void api_agent_join(struct request *request)
{
    struct fault fault = {0};
    struct server *server = request->server;
    struct joining *joining = requests_alloc(request, sizeof(*joining));
    if (joining == NULL) {
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return;
    }
    *joining = (struct joining){0};
    if (!join_read(request, joining, &fault))
        return;
    const struct site *standing = directory_site(server->directory, joining->site.name);
    joining->is_rejoin = standing != NULL;
    joining->site.id = standing != NULL ? standing->id : (struct site_id){server_make_id(server)};
    if (identity_sign_site(server, joining->csr, joining->site.id, joining->certificate.pem,
                           joining->certificate.name, &fault) != ERR_OK) {
        request_fault(request, &fault);
        return;
    }
    request->extra = joining;
    request->actor.actor = SLICE_LITERAL("join-token");
    struct doc_value token = {.kind = DOC_JOIN_TOKEN, .join_token = joining->token};
    token.join_token.used_at = loop_now(server->loop).wall;
    doc_step(request, &token, joining->token_version, "site.join", (struct slice){0},
             join_token_taken);
}

void api_agent_renew(struct request *request)
{
    static const char *const KEYS[] = {"csr"};
    struct json_value root;
    struct fault fault = {0};
    struct slice csr;
    struct certificate certificate;
    if (!request_body(request, &JSON_LIMITS_REQUEST, &root))
        return;
    enum err err = json_object_check_keys(root, KEYS, 1, &fault);
    if (err == ERR_OK)
        err = json_get_string(root, "csr", CERT_PEM_MAX - 1, &csr, &fault);
    if (err == ERR_OK)
        err = identity_sign_site(request->server, csr, request->principal.site, certificate.pem,
                                 certificate.name, &fault);
    if (err != ERR_OK)
        request_fault(request, &fault);
    else
        certificate_admit(request, request->principal.site, &certificate, false, NULL);
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
