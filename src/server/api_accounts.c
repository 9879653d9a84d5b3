/* Tenants, users, API tokens, join tokens. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "model/words.h"
#include "server/api.h"
#include "server/docs.h"
#include "server/requests.h"

enum {
    ACCOUNT_BYTES_MAX = 65536,
    TOKEN_LIFE_S_MAX = 400 * 86400,
    JOIN_LIFE_S_DEFAULT = 3600,
    JOIN_LIFE_S_MAX = 7 * 86400
};

static struct slice id_text(struct request *request, struct id id, const char *prefix)
{
    char *text = arena_alloc(request_arena(request), ID_TEXT_MAX);
    ASSERT(text != NULL);
    id_format(id, prefix, text);
    return slice_of(text);
}

/* May the principal do the route's thing to a subject of that tenant? Answers when not. */
static bool may_tenant(struct request *request, struct tenant_id tenant)
{
    struct subject subject = {.tenant = tenant};
    if (request_may(request, request->route->permission, &subject))
        return true;
    request_problem(request, 403, "denied", "that tenant is not yours to change");
    return false;
}

/* ---- tenants */

static bool sees_tenant(const struct request *request, const struct doc_value *value)
{
    struct subject subject = {.tenant = value->tenant.id};
    return request_may(request, PERM_TENANT_READ, &subject);
}

void api_tenants_list(struct request *request)
{
    docs_list(request, DOC_TENANT, sees_tenant);
}

void api_tenant_create(struct request *request)
{
    struct doc_value value;
    if (!docs_body(request, DOC_TENANT, &value) || !may_tenant(request, value.tenant.parent))
        return;
    value.tenant.id = (struct tenant_id){server_make_id(request->server)};
    docs_put(request, &value, true, "tenant.create", (struct slice){0});
}

static const struct tenant *named_tenant(struct request *request)
{
    const struct tenant *tenant = directory_tenant(request->server->directory, request->params[0]);
    if (tenant == NULL)
        request_problem(request, 404, "not_found", "there is no tenant \"%.*s\" that you may see",
                        SLICE_ARG(request->params[0]));
    return tenant;
}

void api_tenant_show(struct request *request)
{
    const struct tenant *tenant = named_tenant(request);
    if (tenant != NULL)
        docs_show(request, DOC_TENANT, id_text(request, tenant->id.id, ID_PREFIX_TENANT));
}

void api_tenant_put(struct request *request)
{
    struct doc_value value;
    const struct tenant *tenant = named_tenant(request);
    if (tenant == NULL)
        return;
    struct tenant_id id = tenant->id;
    /* Quotas and weight of a tenant are its parent's to set: nobody raises their own. */
    struct tenant_id parent = tenant->parent;
    if (!docs_body(request, DOC_TENANT, &value) || !may_tenant(request, parent) ||
        !may_tenant(request, value.tenant.parent))
        return;
    value.tenant.id = id;
    docs_put(request, &value, false, "tenant.update", (struct slice){0});
}

void api_tenant_delete(struct request *request)
{
    const struct tenant *tenant = named_tenant(request);
    if (tenant != NULL && may_tenant(request, tenant->parent))
        docs_delete(request, DOC_TENANT, id_text(request, tenant->id.id, ID_PREFIX_TENANT),
                    "tenant.delete");
}

/* ---- users */

static bool sees_user(const struct request *request, const struct doc_value *value)
{
    struct subject subject = {.user = value->user.id, .tenant = value->user.tenant};
    return request_may(request, PERM_USER_READ, &subject);
}

void api_users_list(struct request *request)
{
    docs_list(request, DOC_USER, sees_user);
}

/* Nobody gives away more than they have: roles beyond the giver's need network reach. */
static bool may_give(struct request *request, const struct user *user)
{
    const struct subject network = {0};
    if (request_may(request, PERM_USER_WRITE, &network))
        return true;
    if ((user->roles & ~request->principal.roles) != 0) {
        request_problem(request, 403, "denied", "you cannot give a role that you do not have");
        return false;
    }
    return may_tenant(request, user->tenant);
}

void api_user_create(struct request *request)
{
    struct doc_value value;
    if (!docs_body(request, DOC_USER, &value) || !may_give(request, &value.user))
        return;
    value.user.id = (struct user_id){server_make_id(request->server)};
    value.user.created_at = loop_now(request->server->loop).wall;
    docs_put(request, &value, true, "user.create", (struct slice){0});
}

void api_user_show(struct request *request)
{
    docs_show(request, DOC_USER, request->params[0]);
}

void api_user_put(struct request *request)
{
    struct doc_value value;
    struct user_id id;
    if (id_parse(request->params[0], ID_PREFIX_USER, &id.id) != ERR_OK) {
        request_problem(request, 404, "not_found", "there is no such user");
        return;
    }
    const struct user *user = directory_user(request->server->directory, id);
    if (user == NULL) {
        request_problem(request, 404, "not_found", "there is no such user");
        return;
    }
    struct wall_us created_at = user->created_at;
    if (!docs_body(request, DOC_USER, &value) || !may_give(request, &value.user))
        return;
    value.user.id = id;
    value.user.created_at = created_at;
    docs_put(request, &value, false, "user.update", (struct slice){0});
}

/* ---- API tokens */

static bool sees_token(const struct request *request, const struct doc_value *value)
{
    const struct user *user = directory_user(request->server->directory, value->api_token.user);
    struct subject subject = {.user = value->api_token.user};
    if (user != NULL)
        subject.tenant = user->tenant;
    return request_may(request, PERM_TOKEN_READ, &subject);
}

void api_tokens_list(struct request *request)
{
    docs_list(request, DOC_TOKEN, sees_token);
}

struct token_wish {
    struct user_id user;
    struct slice label;
    uint64_t scopes;
    struct span_ms life;
};

static bool scopes_read(struct json_value array, uint64_t *out, struct fault *fault)
{
    struct json_iterator it = json_iterate(array);
    *out = 0;
    while (json_next(&it)) {
        struct slice name;
        enum permission permission;
        if (json_to_string(it.value, 64, &name, fault) != ERR_OK)
            return false;
        if (permission_parse(name, &permission) != ERR_OK) {
            (void)json_refuse(it.value, fault, ERR_INVALID, "is no permission, such as job.submit");
            return false;
        }
        *out |= PERM_BIT(permission);
    }
    return true;
}

static bool wish_read(struct request *request, struct token_wish *wish)
{
    static const char *const KEYS[] = {"user", "label", "scopes", "expires_in"};
    struct json_value root, scopes = {0};
    struct fault fault = {0};
    *wish = (struct token_wish){.user = request->principal.user, .scopes = PERM_ALL};
    if (!request_body(request, &JSON_LIMITS_REQUEST, &root))
        return false;
    enum err err = json_object_check_keys(root, KEYS, 4, &fault);
    if (err == ERR_OK)
        err = json_opt_id(root, "user", ID_PREFIX_USER, &wish->user.id, &fault);
    if (err == ERR_OK)
        err = json_opt_string(root, "label", NAME_MAX, &wish->label, &fault);
    if (err == ERR_OK)
        err = json_opt_span(root, "expires_in", &wish->life, &fault);
    if (err == ERR_OK)
        err = json_opt_array(root, "scopes", PERM_COUNT_, &scopes, &fault);
    if (err == ERR_OK && !json_is_missing(scopes) && !scopes_read(scopes, &wish->scopes, &fault))
        err = ERR_INVALID;
    if (err == ERR_OK && wish->life.ms > (int64_t)TOKEN_LIFE_S_MAX * 1000)
        err = fault_set(&fault, ERR_INVALID, "expires_in", "must be at most %d days",
                        TOKEN_LIFE_S_MAX / 86400);
    if (err != ERR_OK)
        request_fault(request, &fault);
    return err == ERR_OK;
}

void api_token_remake(struct request *request)
{
    char secret[TOKEN_TEXT_MAX];
    struct digest hash;
    if (requests_secret(request, TOKEN_PREFIX, secret, &hash) == ERR_OK)
        request->secret = arena_text(request_arena(request), slice_of(secret));
    explicit_bzero(secret, sizeof(secret));
}

void api_token_create(struct request *request)
{
    struct server *server = request->server;
    struct token_wish wish;
    struct doc_value value = {.kind = DOC_TOKEN};
    char secret[TOKEN_TEXT_MAX];
    struct buffer reply;
    struct json_writer writer;
    if (!wish_read(request, &wish))
        return;
    const struct user *user = directory_user(server->directory, wish.user);
    struct subject subject = {.user = wish.user};
    if (user != NULL)
        subject.tenant = user->tenant;
    if (user == NULL || !request_may(request, PERM_TOKEN_WRITE, &subject)) {
        request_problem(request, 404, "not_found",
                        "there is no such user for whom you may make tokens");
        return;
    }
    if (requests_secret(request, TOKEN_PREFIX, secret, &value.api_token.hash) != ERR_OK) {
        request_problem(request, 503, "io", "the system gives no random bytes");
        return;
    }
    struct wall_us now = loop_now(server->loop).wall;
    value.api_token.id = (struct token_id){server_make_id(server)};
    value.api_token.user = wish.user;
    value.api_token.label = wish.label;
    /* A token never hands on more than the one it was made with. */
    value.api_token.scopes = wish.scopes & request->principal.scopes;
    value.api_token.created_at = now;
    if (wish.life.ms > 0)
        value.api_token.expires_at.us = now.us + wish.life.ms * 1000;
    buffer_init(&reply, ACCOUNT_BYTES_MAX);
    json_writer_init(&writer, &reply);
    json_begin_object(&writer);
    json_put_id(&writer, "id", value.api_token.id.id, ID_PREFIX_TOKEN);
    json_end_object(&writer);
    request->secret = arena_text(request_arena(request), slice_of(secret));
    if (json_writer_finish(&writer) == ERR_OK && request->secret != NULL)
        docs_put(request, &value, true, "token.create", buffer_slice(&reply));
    else
        request_problem(request, 500, "limit", "the answer is too long");
    explicit_bzero(secret, sizeof(secret));
    buffer_deinit(&reply);
}

/* Revoked, not removed: the audit log goes on naming it. */
void api_token_delete(struct request *request)
{
    struct token_id id;
    if (id_parse(request->params[0], ID_PREFIX_TOKEN, &id.id) != ERR_OK) {
        request_problem(request, 404, "not_found", "there is no such token");
        return;
    }
    const struct api_token *token = directory_token(request->server->directory, id);
    if (token == NULL) {
        request_problem(request, 404, "not_found", "there is no such token");
        return;
    }
    struct doc_value value = {.kind = DOC_TOKEN, .api_token = *token};
    value.api_token.label = arena_copy(request_arena(request), token->label);
    if (value.api_token.revoked_at.us == 0)
        value.api_token.revoked_at = loop_now(request->server->loop).wall;
    docs_put(request, &value, false, "token.revoke", (struct slice){0});
}

/* ---- join tokens */

static bool sees_join_token(const struct request *request, const struct doc_value *value)
{
    struct subject subject = {.operator_name = value->join_token.operator_name};
    return request_may(request, PERM_JOIN_TOKEN_READ, &subject);
}

void api_join_tokens_list(struct request *request)
{
    docs_list(request, DOC_JOIN_TOKEN, sees_join_token);
}

static bool join_wish(struct request *request, struct join_token *out)
{
    static const char *const KEYS[] = {"site", "operator", "expires_in"};
    struct json_value root;
    struct fault fault = {0};
    struct span_ms life = SPAN_S(JOIN_LIFE_S_DEFAULT);
    *out = (struct join_token){.operator_name = request->principal.operator_name};
    if (!request_body(request, &JSON_LIMITS_REQUEST, &root))
        return false;
    enum err err = json_object_check_keys(root, KEYS, 3, &fault);
    if (err == ERR_OK)
        err = json_get_string(root, "site", NAME_MAX, &out->site, &fault);
    if (err == ERR_OK)
        err = json_opt_string(root, "operator", NAME_MAX, &out->operator_name, &fault);
    if (err == ERR_OK)
        err = json_opt_span(root, "expires_in", &life, &fault);
    if (err == ERR_OK && (life.ms <= 0 || life.ms > (int64_t)JOIN_LIFE_S_MAX * 1000))
        err = fault_set(&fault, ERR_INVALID, "expires_in", "must be between 1s and %d days",
                        JOIN_LIFE_S_MAX / 86400);
    if (err == ERR_OK && out->operator_name.len == 0)
        err = fault_set(&fault, ERR_INVALID, "operator", "is required: who runs the site");
    out->created_at = loop_now(request->server->loop).wall;
    out->expires_at.us = out->created_at.us + life.ms * 1000;
    if (err != ERR_OK)
        request_fault(request, &fault);
    return err == ERR_OK;
}

/* What the site's operator types: the secret and the authority's pin, in one text. */
static void join_secret_show(struct request *request, const char *secret)
{
    char pin[CERT_PIN_TEXT_MAX];
    cert_pin_format(request->server->pin, pin);
    request->secret = arena_printf(request_arena(request), "%s.%s", secret, pin);
}

void api_join_token_remake(struct request *request)
{
    char secret[TOKEN_TEXT_MAX];
    struct digest hash;
    if (requests_secret(request, JOIN_TOKEN_PREFIX, secret, &hash) == ERR_OK)
        join_secret_show(request, secret);
    explicit_bzero(secret, sizeof(secret));
}

static void join_reply(struct request *request, const struct doc_value *value, struct buffer *reply)
{
    struct json_writer writer;
    json_writer_init(&writer, reply);
    json_begin_object(&writer);
    json_put_id(&writer, "id", value->join_token.id.id, ID_PREFIX_TOKEN);
    json_put_string(&writer, "site", value->join_token.site);
    json_put_wall(&writer, "expires_at", value->join_token.expires_at);
    json_put_text(&writer, "server", request->server->endpoint);
    json_end_object(&writer);
    enum err err = json_writer_finish(&writer);
    ASSERT(err == ERR_OK || buffer_status(reply) != ERR_OK);
}

void api_join_token_create(struct request *request)
{
    struct doc_value value = {.kind = DOC_JOIN_TOKEN};
    char secret[TOKEN_TEXT_MAX];
    struct buffer reply;
    if (!join_wish(request, &value.join_token))
        return;
    struct subject subject = {.operator_name = value.join_token.operator_name};
    if (!request_may(request, PERM_JOIN_TOKEN_WRITE, &subject)) {
        request_problem(request, 403, "denied", "that operator is not yours");
        return;
    }
    const struct site *standing = directory_site(request->server->directory, value.join_token.site);
    if (standing != NULL &&
        !slice_is_equal(standing->operator_name, value.join_token.operator_name)) {
        request_problem(request, 409, "exists", "a site of that name belongs to another operator");
        return;
    }
    if (requests_secret(request, JOIN_TOKEN_PREFIX, secret, &value.join_token.hash) != ERR_OK) {
        request_problem(request, 503, "io", "the system gives no random bytes");
        return;
    }
    value.join_token.id = (struct token_id){server_make_id(request->server)};
    value.join_token.made_by = request->principal.user;
    buffer_init(&reply, ACCOUNT_BYTES_MAX);
    join_reply(request, &value, &reply);
    join_secret_show(request, secret);
    docs_put(request, &value, true, "join_token.create", buffer_slice(&reply));
    explicit_bzero(secret, sizeof(secret));
    buffer_deinit(&reply);
}

void api_whoami(struct request *request)
{
    struct buffer out;
    struct json_writer writer;
    buffer_init(&out, ACCOUNT_BYTES_MAX);
    json_writer_init(&writer, &out);
    json_begin_object(&writer);
    json_put_id(&writer, "user", request->principal.user.id, ID_PREFIX_USER);
    json_put_string(&writer, "name", request->user->name);
    json_put_id(&writer, "tenant", request->principal.tenant.id, ID_PREFIX_TENANT);
    json_put_string(&writer, "operator", request->principal.operator_name);
    json_key(&writer, "roles");
    json_begin_array(&writer);
    for (unsigned role = 0; role < ROLE_KIND_COUNT_; role++)
        if (request->principal.roles & ROLE_BIT(role))
            json_text(&writer, role_kind_name((enum role)role));
    json_end_array(&writer);
    json_end_object(&writer);
    enum err err = json_writer_finish(&writer);
    ASSERT(err == ERR_OK || buffer_status(&out) != ERR_OK);
    request_buffer(request, 200, &out);
}
