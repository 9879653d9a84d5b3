/* From a head to a handler: matching the route, naming the principal, checking permission and
 * ownership. Deny by default. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "model/words.h"
#include "server/api.h"
#include "server/identity.h"
#include "server/requests.h"

enum { REQUEST_ARENA_BYTES = 8 << 20 };

struct owned {
    struct request request; /* first: the request is what others see */
    struct arena arena;
    struct json_document *document;
};

void *requests_alloc(struct request *request, size_t size)
{
    return arena_alloc(&((struct owned *)request)->arena, size);
}

void requests_keep_document(struct request *request, struct json_document *document)
{
    struct owned *owned = (struct owned *)request;
    json_document_destroy(owned->document);
    owned->document = document;
}

void requests_release(struct request *request)
{
    struct owned *owned = (struct owned *)request;
    if (!request->is_closed || request->pending > 0)
        return;
    json_document_destroy(owned->document);
    arena_deinit(&owned->arena);
    free(owned);
}

/* ---- routes */

/* One segment of a pattern against one of the target: "{x}", "text", "{x}:verb", "text:verb". */
static bool segment_matches(struct slice pattern, struct slice segment, struct slice *out_param,
                            bool *out_has_param)
{
    struct slice name, verb;
    *out_has_param = pattern.len > 0 && pattern.data[0] == '{';
    if (!*out_has_param)
        return slice_is_equal(pattern, segment);
    if (!slice_cut(pattern, '}', &name, &verb))
        return false;
    if (verb.len == 0 && memchr(segment.data, ':', segment.len) != NULL && segment.len > 0)
        return false; /* a verb is never part of a name */
    if (!slice_has_suffix(segment, verb) || segment.len <= verb.len)
        return false;
    *out_param = (struct slice){segment.data, segment.len - verb.len};
    return true;
}

static bool route_matches(const struct route *route, const struct target *target,
                          struct slice *params, uint32_t *out_count)
{
    struct slice rest = slice_of(route->pattern + 1), pattern;
    size_t index = 0;
    uint32_t count = 0;
    while (rest.len > 0) {
        if (!slice_cut(rest, '/', &pattern, &rest)) {
            pattern = rest;
            rest = (struct slice){0};
        }
        bool has_param;
        struct slice param;
        if (slice_is(pattern, "{path*}")) { /* all that follows */
            *out_count = count;
            return index < target->segment_count;
        }
        if (index >= target->segment_count ||
            !segment_matches(pattern, target->segments[index], &param, &has_param))
            return false;
        if (has_param) {
            ASSERT(count < REQUEST_PARAMS_MAX);
            params[count++] = param;
        }
        index++;
    }
    *out_count = count;
    return index == target->segment_count && !target->has_trailing_slash;
}

static const struct route *route_find(struct request *request, struct slice method,
                                      bool *out_path_known)
{
    *out_path_known = false;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        struct slice params[REQUEST_PARAMS_MAX];
        uint32_t count;
        if (!route_matches(&ROUTES[i], &request->target, params, &count))
            continue;
        *out_path_known = true;
        bool is_head = slice_is(method, "HEAD") && strcmp(ROUTES[i].method, "GET") == 0;
        if (!slice_is(method, ROUTES[i].method) && !is_head)
            continue;
        memcpy(request->params, params, count * sizeof(params[0]));
        request->param_count = count;
        return &ROUTES[i];
    }
    return NULL;
}

/* For 405: what the path does take. */
static const char *allowed_methods(struct request *request)
{
    const char *text = "";
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        struct slice params[REQUEST_PARAMS_MAX];
        uint32_t count;
        if (!route_matches(&ROUTES[i], &request->target, params, &count))
            continue;
        const char *more = arena_printf(request_arena(request), "%s%s%s", text,
                                        text[0] != 0 ? ", " : "", ROUTES[i].method);
        text = more != NULL ? more : text;
    }
    return text;
}

enum err routes_check(struct fault *fault)
{
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        const struct route *route = &ROUTES[i];
        bool is_open = route->ownership == OWN_OPEN;
        if (route->ownership == OWN_UNSET || route->handle == NULL ||
            (unsigned)route->permission > PERM_COUNT_ ||
            (route->permission == PERM_COUNT_ && !is_open && route->ownership != OWN_SELF &&
             route->ownership != OWN_AGENT && route->ownership != OWN_ATTEMPT))
            return fault_set(fault, ERR_INVALID, route->pattern,
                             "the route %s names no permission or no ownership check",
                             route->method);
        for (size_t k = 0; k < i; k++)
            if (strcmp(ROUTES[k].pattern, route->pattern) == 0 &&
                strcmp(ROUTES[k].method, route->method) == 0)
                return fault_set(fault, ERR_INVALID, route->pattern, "the route %s stands twice",
                                 route->method);
    }
    return ERR_OK;
}

/* ---- who asks */

/* A certificate of our authority names a site; the site must still be known. */
static bool agent_identify(struct request *request)
{
    struct tls_peer peer;
    struct slice uri, id;
    struct server *server = request->server;
    if (http_exchange_peer_certificate(request->exchange, &peer) != ERR_OK)
        return false;
    uri = slice_of(peer.uri);
    if (!slice_has_prefix(uri, SLICE_LITERAL("lingqu:site:")))
        return false;
    id = (struct slice){uri.data + 12, uri.len - 12};
    struct site_id site;
    if (id_parse(id, ID_PREFIX_SITE, &site.id) != ERR_OK ||
        directory_site_by_id(server->directory, site) == NULL)
        return false;
    char name[CERTIFICATE_NAME_MAX];
    identity_certificate_name(&peer, name);
    if (!directory_certificate_is_good(server->directory, site, slice_of(name)))
        return false; /* taken back: the site has joined anew since, or was told to */
    bool is_expired = peer.not_after.us < loop_now(server->loop).wall.us;
    if (is_expired && strcmp(request->route->pattern, "/v1/agent/renew") != 0)
        return false;
    request->principal =
        (struct principal){.site = site, .roles = ROLE_BIT(ROLE_AGENT), .scopes = PERM_ALL};
    request->actor.site = site;
    char *actor = arena_alloc(request_arena(request), ID_TEXT_MAX);
    if (actor == NULL)
        return false;
    id_format(site.id, ID_PREFIX_SITE, actor);
    request->actor.actor = slice_of(actor);
    return true;
}

static bool person_identify(struct request *request, struct fault *fault)
{
    struct slice header = http_exchange_header(request->exchange, "Authorization");
    struct slice scheme, token;
    if (header.data == NULL || !slice_cut(header, ' ', &scheme, &token) ||
        !(slice_is(scheme, "Bearer") || slice_is(scheme, "bearer"))) {
        (void)fault_set(
            fault, ERR_DENIED, NULL,
            "no token: send Authorization: Bearer <token> (lq login keeps one for you)");
        return false;
    }
    struct server *server = request->server;
    if (directory_authenticate(server->directory, slice_trim(token), loop_now(server->loop).wall,
                               &request->principal, &request->user, fault) != ERR_OK)
        return false;
    char *actor = arena_alloc(request_arena(request), ID_TEXT_MAX);
    if (actor == NULL)
        return false;
    id_format(request->principal.user.id, ID_PREFIX_USER, actor);
    /* The directory's own text goes when the user is changed while this request waits. */
    request->principal.operator_name =
        arena_copy(request_arena(request), request->principal.operator_name);
    request->actor = (struct server_principal){.user = request->principal.user,
                                               .tenant = request->principal.tenant,
                                               .actor = slice_of(actor)};
    return true;
}

static bool identify(struct request *request)
{
    struct fault fault = {0};
    enum ownership own = request->route->ownership;
    if (own == OWN_OPEN)
        return true;
    if (own == OWN_AGENT) {
        if (agent_identify(request))
            return true;
        request_problem(request, 401, "denied",
                        "this needs the client certificate of a site that has joined");
        return false;
    }
    if (own == OWN_ATTEMPT && agent_identify(request))
        return true;
    if (person_identify(request, &fault))
        return true;
    request_problem(request, 401, "denied", "%s", fault.message);
    return false;
}

/* ---- whose it is */

#define NOT_THERE "there is no such thing, or you may not see it"

static void refuse(struct request *request)
{
    request_problem(request, 403, "denied", "your roles and the token's scopes do not allow %s",
                    permission_name(request->route->permission));
}

/* One answer for "not there" and "not yours", so that ids of others cannot be probed. */
static void judge(struct request *request, const struct subject *subject)
{
    if (request_may(request, request->route->permission, subject))
        requests_hand_over(request);
    else if (principal_may_ever(&request->principal, request->route->permission))
        request_problem(request, 404, "not_found", NOT_THERE);
    else
        refuse(request);
}

static void on_job(struct request *request, const struct store_answer *answer)
{
    struct subject subject = {.tenant = answer->jobs[0].row.tenant};
    request->job = answer->jobs[0].row;
    char *name = requests_alloc(request, answer->jobs[0].name.len + 1);
    if (name != NULL) {
        memcpy(name, answer->jobs[0].name.data, answer->jobs[0].name.len);
        request->job_name = (struct slice){name, answer->jobs[0].name.len};
    }
    judge(request, &subject);
}

static void on_artifact(struct request *request, const struct store_answer *answer)
{
    struct subject subject = {.tenant = answer->artifacts[0].tenant};
    request->artifact = answer->artifacts[0];
    char *manifest = requests_alloc(request, answer->artifacts[0].manifest.len + 1);
    if (manifest == NULL) {
        request_problem(request, 503, "no_memory", "no memory for this request; try again");
        return;
    }
    memcpy(manifest, answer->artifacts[0].manifest.data, answer->artifacts[0].manifest.len);
    request->artifact.manifest = (struct slice){manifest, answer->artifacts[0].manifest.len};
    judge(request, &subject);
}

static bool param_id(struct request *request, const char *prefix, struct id *out)
{
    if (id_parse(request->params[0], prefix, out) == ERR_OK)
        return true;
    request_problem(request, 404, "not_found", "\"%.*s\" is no id of this kind (%s_...)",
                    SLICE_ARG(request->params[0]), prefix);
    return false;
}

/* Subjects that the directory knows without asking the store. */
static void judge_known(struct request *request)
{
    struct directory *directory = request->server->directory;
    struct subject subject = {0};
    struct id id;
    if (request->route->ownership == OWN_SITE) {
        const struct site *site = directory_site(directory, request->params[0]);
        if (site != NULL) {
            subject = (struct subject){.operator_name = site->operator_name, .site = site->id};
        } else if (request->route->handle == api_site_put) {
            requests_hand_over(request); /* a new one: the handler asks whose it becomes */
            return;
        }
    } else if (request->route->ownership == OWN_TENANT_ID) {
        const struct tenant *tenant = directory_tenant(directory, request->params[0]);
        if (tenant != NULL)
            subject.tenant = tenant->id;
    } else if (request->route->ownership == OWN_USER) {
        const struct user *user = NULL;
        if (!param_id(request, ID_PREFIX_USER, &id))
            return;
        user = directory_user(directory, (struct user_id){id});
        if (user != NULL)
            subject = (struct subject){.user = user->id, .tenant = user->tenant};
    } else {
        if (!param_id(request, ID_PREFIX_TOKEN, &id))
            return;
        const struct api_token *token = directory_token(directory, (struct token_id){id});
        const struct user *user = token == NULL ? NULL : directory_user(directory, token->user);
        if (user != NULL)
            subject = (struct subject){.user = user->id, .tenant = user->tenant};
    }
    judge(request, &subject);
}

void requests_authorize(struct request *request)
{
    struct store_query query = {0};
    struct subject subject = {0};
    struct id id;
    /* Whoever may never do it learns nothing about what is there. */
    if (request->route->permission != PERM_COUNT_ &&
        !principal_may_ever(&request->principal, request->route->permission)) {
        refuse(request);
        return;
    }
    switch (request->route->ownership) {
    case OWN_OPEN:
    case OWN_SELF:
    case OWN_AGENT:
    case OWN_ATTEMPT:
        requests_hand_over(request);
        return;
    case OWN_NETWORK:
        judge(request, &subject);
        return;
    case OWN_LIST:
        requests_hand_over(request); /* asked above */
        return;
    case OWN_TENANT: {
        struct slice name = request_query(request, "tenant");
        const struct tenant *tenant =
            name.len > 0 ? directory_tenant(request->server->directory, name) : NULL;
        if (name.len == 0)
            subject.tenant = request->principal.tenant;
        else if (tenant != NULL)
            subject.tenant = tenant->id;
        if (name.len == 0 && id_is_none(subject.tenant.id)) {
            request_problem(request, 422, "invalid",
                            "you belong to no tenant: say which one with ?tenant=NAME");
            return;
        }
        if (name.len > 0 && tenant == NULL) {
            request_problem(request, 404, "not_found", NOT_THERE);
            return;
        }
        request->actor.tenant = subject.tenant;
        judge(request, &subject);
        return;
    }
    case OWN_JOB:
        if (!param_id(request, ID_PREFIX_JOB, &id))
            return;
        query.kind = STORE_JOB_GET;
        query.job_get.id = (struct job_id){id};
        request_query_store(request, &query, on_job);
        return;
    case OWN_ARTIFACT:
        if (!param_id(request, ID_PREFIX_ARTIFACT, &id))
            return;
        query.kind = STORE_ARTIFACT_GET;
        query.artifact_get.id = id;
        request_query_store(request, &query, on_artifact);
        return;
    case OWN_SITE:
    case OWN_TENANT_ID:
    case OWN_USER:
    case OWN_TOKEN:
        judge_known(request);
        return;
    case OWN_UNSET:
        break;
    }
    ASSERT(!"routes_check has seen every route");
}

/* ---- life */

static void on_body(void *context, struct http_exchange *exchange, struct slice body)
{
    struct request *request = context;
    (void)exchange;
    request->body = body;
    requests_authorize(request);
}

static void on_close(void *context, struct http_exchange *exchange, enum err why)
{
    struct request *request = context;
    struct server *server = request->server;
    (void)exchange;
    (void)why;
    request->is_closed = true;
    if (request->handle != 0) {
        (void)u64map_remove(&server->waiting, request->handle);
        struct server_event gone = {.kind = SERVER_SYNC_GONE, .handle = request->handle};
        if (request->is_sync && core_host_step(server->host, &gone) != ERR_OK)
            request->handle = 0; /* the core's answer finds nobody, which is the same */
    }
    if (request->on_closed != NULL)
        request->on_closed(request);
    requests_release(request);
}

void request_begin(void *context, struct http_exchange *exchange)
{
    static const struct http_exchange_events EVENTS = {.on_body = on_body, .on_close = on_close};
    struct server *server = context;
    struct fault fault = {0};
    bool path_known;
    const struct http1_head *head = http_exchange_head(exchange);
    struct owned *owned = calloc(1, sizeof(*owned));
    server->counters.requests++;
    if (owned == NULL) {
        http_exchange_respond_problem(exchange, 503, "no_memory",
                                      "no memory for this request; try again");
        return;
    }
    struct request *request = &owned->request;
    arena_init(&owned->arena, REQUEST_ARENA_BYTES);
    request->server = server;
    request->exchange = exchange;
    http_exchange_listen(exchange, &EVENTS, request);
    if (target_parse(head->target, request_arena(request), &request->target, &fault) != ERR_OK) {
        fault.code = ERR_INVALID;
        request_fault(request, &fault);
        return;
    }
    request->route = route_find(request, head->method_text, &path_known);
    if (request->route == NULL) {
        if (path_known)
            request->allow = allowed_methods(request);
        request_problem(request, path_known ? 405 : 404, path_known ? "method" : "not_found",
                        path_known ? "this path does not take %.*s"
                                   : "there is nothing here for %.*s; see /v1/openapi.json",
                        SLICE_ARG(head->method_text));
        return;
    }
    struct slice key = requests_idempotency_key(request);
    if (key.data != NULL && (key.len == 0 || key.len > IDEMPOTENCY_KEY_MAX)) {
        request_problem(request, 400, "invalid", "Idempotency-Key must have 1 to %d characters",
                        IDEMPOTENCY_KEY_MAX);
        return;
    }
    if (!identify(request))
        return;
    if (request->route->body_max > 0)
        http_exchange_collect(exchange, request->route->body_max);
    else
        requests_authorize(request);
}
