/* The server's life: state folder, identity, store, core, listener; the first start; a clean end.
 */
#include "server/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "model/words.h"
#include "port/clock.h"
#include "port/entropy.h"
#include "port/file.h"
#include "port/worker.h"
#include "server/api.h"
#include "server/gc.h"
#include "server/identity.h"
#include "server/logs.h"
#include "server/watch.h"
#include "wire/catalogue.h"

enum {
    CHUNK_JOBS_MAX = 64, /* of up to 4 MiB each */
    CATALOGUE_BYTES_MAX = 4 << 20,
    READER_THREADS = 1,
    DRAIN_MS = 3000,
    WAITING_MAX = 65536
};

void server_options_default(struct server_options *out)
{
    *out = (struct server_options){.listen = "127.0.0.1:7700",
                                   .jurisdiction = "CN",
                                   .ready_fd = -1,
                                   .settings = {.lease_floor = SPAN_S(900),
                                                .clock_drift_per_mille = 100,
                                                .kill_time = SPAN_S(10),
                                                .start_limit = SPAN_S(120),
                                                .site_lost_after = SPAN_S(60),
                                                .poll_hold = SPAN_S(20),
                                                .usage_every = SPAN_S(60),
                                                .retain = SPAN_S(7 * 86400),
                                                .gate_limit = SPAN_S(60),
                                                .jobs_live_max = 2000000}};
}

/* ---- the first start: a root tenant, an administrator, a token */

static void bootstrap_put(struct server *server, const struct doc_value *value, const char *action)
{
    static const struct server_principal SYSTEM = {.actor = {"system", 6}};
    struct buffer body;
    char key[DOC_ID_MAX + 1];
    buffer_init(&body, DOC_BYTES_MAX);
    doc_key(value, key);
    ASSERT(doc_encode(value, &body) == ERR_OK);
    struct server_event event = {.kind = SERVER_DOC_PUT, .principal = &SYSTEM};
    event.doc.doc =
        (struct doc){.kind = value->kind, .id = slice_of(key), .body = buffer_slice(&body)};
    event.doc.action = action;
    enum err err = core_host_step(server->host, &event);
    ASSERT(err == ERR_OK);
    buffer_deinit(&body);
}

/* What of it stands already is taken as it is: the three changes may not all have become durable
 * before an earlier start was cut off. The token comes last; until it stands, this is done again.
 */
static enum err bootstrap(struct server *server, struct fault *fault)
{
    struct wall_us now = loop_now(server->loop).wall;
    char token[TOKEN_TEXT_MAX], line[TOKEN_TEXT_MAX + 2];
    struct doc_value tenant = {.kind = DOC_TENANT}, user = {.kind = DOC_USER},
                     row = {.kind = DOC_TOKEN};
    struct arena arena;
    enum err err = token_make(TOKEN_PREFIX, token, &row.api_token.hash);
    if (err != ERR_OK)
        return err;
    arena_init(&arena, 65536);
    (void)snprintf(line, sizeof(line), "%s\n", token);
    const char *path = arena_printf(&arena, "%s/admin.token", server->options->state_folder);
    err = file_write_atomic(path, slice_of(line), 0600, fault);
    arena_deinit(&arena);
    if (err != ERR_OK)
        return err;
    const struct tenant *root = directory_tenant(server->directory, SLICE_LITERAL("root"));
    const struct user *admin = directory_user_named(server->directory, SLICE_LITERAL("admin"));
    tenant.tenant =
        (struct tenant){.id = {server_make_id(server)}, .name = SLICE_LITERAL("root"), .weight = 1};
    if (root != NULL)
        tenant.tenant.id = root->id;
    else
        bootstrap_put(server, &tenant, "tenant.create");
    user.user = (struct user){.id = {server_make_id(server)},
                              .name = SLICE_LITERAL("admin"),
                              .tenant = tenant.tenant.id,
                              .roles = ROLE_BIT(ROLE_ADMIN) | ROLE_BIT(ROLE_MEMBER),
                              .created_at = now};
    if (admin != NULL)
        user.user.id = admin->id;
    else
        bootstrap_put(server, &user, "user.create");
    row.api_token.id = (struct token_id){server_make_id(server)};
    row.api_token.user = user.user.id;
    row.api_token.label = SLICE_LITERAL("first administrator");
    row.api_token.scopes = PERM_ALL;
    row.api_token.created_at = now;
    bootstrap_put(server, &row, "token.create");
    return ERR_OK;
}

/* To whoever started this, once somebody could use it: the first token is durable. */
static void ready_tell(struct server *server)
{
    char line[ENDPOINT_TEXT_MAX + 8];
    if (server->is_ready_told || server->endpoint[0] == 0 ||
        directory_count(server->directory, DOC_TOKEN) == 0)
        return;
    server->is_ready_told = true;
    if (server->options->ready_fd < 0)
        return;
    int n = snprintf(line, sizeof(line), "ready %s\n", server->endpoint);
    if (file_write_all(server->options->ready_fd, (struct slice){line, (size_t)n}) != ERR_OK)
        fprintf(stderr, "lq server: whoever waits for it to be ready is gone\n");
    (void)close(server->options->ready_fd);
}

/* ---- what the core's host tells */

static void on_doc(void *context, const struct doc *doc)
{
    struct server *server = context;
    directory_put(server->directory, doc);
}

static void on_committed(void *context, const struct change *change,
                         const struct change_result *result)
{
    struct server *server = context;
    (void)result;
    bool has_event = false;
    for (size_t i = 0; i < change->count; i++) {
        const struct change_op *op = &change->ops[i];
        if (op->kind == CHANGE_DOC_PUT)
            directory_put(server->directory, &op->doc.doc);
        else if (op->kind == CHANGE_DOC_DELETE)
            directory_remove(server->directory, op->doc.doc.kind, op->doc.doc.id);
        has_event = has_event || op->kind == CHANGE_EVENT_APPEND;
    }
    if (has_event)
        watch_events(server, change);
    ready_tell(server);
}

static void on_reset(void *context, enum err why)
{
    struct server *server = context;
    fprintf(stderr, "lq server: the store did not take a change (%s); loading again\n",
            err_name(why));
    server_requests_reset(server);
    directory_mark(server->directory);
}

static void on_ready(void *context)
{
    struct server *server = context;
    if (server->is_ready_told)
        fprintf(stderr, "lq server: loaded, changes are taken again\n");
    directory_sweep(server->directory);
}

static const struct core_host_events HOST_EVENTS = {.on_doc = on_doc,
                                                    .on_output = server_output,
                                                    .on_committed = on_committed,
                                                    .on_reset = on_reset,
                                                    .on_ready = on_ready};

/* ---- opening */

static enum err open_store(struct server *server, struct arena *arena, struct fault *fault)
{
    const struct server_options *options = server->options;
    const char *path = arena_printf(arena, "%s/lingqu.db", options->state_folder);
    const struct store_config config = {.path = path, .mode = STORE_WRITE};
    enum err err = store_db_open(&config, &server->db, fault);
    if (err == ERR_OK)
        err = store_reader_create(server->loop, &config, READER_THREADS, &server->reader, fault);
    if (err == ERR_OK)
        err = chunks_open_folder(arena_printf(arena, "%s/chunks", options->state_folder),
                                 options->jurisdiction, &server->chunks, fault);
    if (err == ERR_OK)
        err = worker_create(server->loop, "lq-chunks", CHUNK_JOBS_MAX, &server->chunk_worker);
    if (err == ERR_OK)
        err = log_store_open(arena_printf(arena, "%s/logs", options->state_folder), &server->logs,
                             fault);
    return err;
}

static enum err open_catalogue(struct server *server, struct fault *fault)
{
    struct slice text;
    arena_init(&server->catalogue_arena, 4 * CATALOGUE_BYTES_MAX);
    if (server->options->catalogue_path == NULL)
        return ERR_OK;
    enum err err = file_read(server->options->catalogue_path, CATALOGUE_BYTES_MAX,
                             &server->catalogue_arena, fault, &text);
    if (err == ERR_OK)
        err = catalogue_decode(text, &server->catalogue_arena, &server->catalogue, fault);
    return err;
}

static enum err open_core(struct server *server, struct fault *fault)
{
    struct server_settings settings = server->options->settings;
    settings.catalogue = &server->catalogue;
    enum err err = identity_open(server, settings.secret_key, fault);
    if (err == ERR_OK)
        err = core_host_create(
            server->loop, server->db, &settings,
            &(struct core_host_options){random_u64(&server->random), server->options->is_restored},
            &HOST_EVENTS, server, &server->host, fault);
    if (err == ERR_OK && directory_count(server->directory, DOC_TOKEN) == 0)
        err = bootstrap(server, fault);
    const struct digest token_key = digest_hmac(
        slice_make(settings.secret_key, sizeof(settings.secret_key)), SLICE_LITERAL("tokens"));
    memcpy(server->token_key, token_key.bytes, sizeof(server->token_key));
    explicit_bzero(settings.secret_key, sizeof(settings.secret_key));
    return err;
}

static enum err open_listener(struct server *server, struct fault *fault)
{
    enum err err = http_server_create(server->loop, NULL, request_begin, server, &server->http);
    if (err == ERR_OK)
        err = http_server_listen(server->http, server->options->listen, NULL, server->tls, fault);
    if (err == ERR_OK)
        err = http_server_endpoint(server->http, 0, server->endpoint);
    return err;
}

static void renew_run(void *context)
{
    struct server *server = context;
    struct fault fault = {0};
    if (identity_renew(server, &fault) != ERR_OK)
        fprintf(stderr, "lq server: its certificate could not be renewed: %s\n", fault.message);
    loop_timer_set(&server->renew, SPAN_S((int64_t)SERVER_CERT_RENEW_DAYS * 86400));
}

static void on_drained(void *context)
{
    struct server *server = context;
    loop_stop(server->loop);
}

static void on_signal(void *context, int number)
{
    struct server *server = context;
    (void)number;
    if (server->is_stopping) {
        loop_stop(server->loop);
        return;
    }
    server->is_stopping = true;
    watch_close_all(server);
    server_polls_end(server);
    http_server_drain(server->http, SPAN_MS(DRAIN_MS), on_drained, server);
}

static enum err serve(struct server *server, struct fault *fault)
{
    enum err err = loop_signal_watch(server->loop, SIGTERM, on_signal, server);
    if (err == ERR_OK)
        err = loop_signal_watch(server->loop, SIGINT, on_signal, server);
    if (err != ERR_OK)
        return fault_set(fault, err, NULL, "signals cannot be watched");
    loop_timer_init(&server->renew, server->loop, renew_run, server);
    loop_timer_set(&server->renew, SPAN_S((int64_t)SERVER_CERT_RENEW_DAYS * 86400));
    err = gc_create(server, &server->gc);
    if (err != ERR_OK)
        return err;
    ready_tell(server);
    return loop_run(server->loop);
}

/* From the outside in: no request is left when the core goes, and nothing is posted to what is
 * gone.
 */
static void server_close(struct server *server)
{
    loop_timer_stop(&server->renew);
    http_server_destroy(server->http);
    gc_destroy(server->gc);
    store_reader_destroy(server->reader);
    worker_destroy(server->chunk_worker);
    core_host_destroy(server->host);
    log_store_close(server->logs);
    chunks_close(server->chunks);
    store_db_close(server->db);
    identity_close(server);
    directory_destroy(server->directory);
    u64map_deinit(&server->waiting);
    arena_deinit(&server->catalogue_arena);
    loop_destroy(server->loop);
    explicit_bzero(server->token_key, sizeof(server->token_key));
    free(server);
}

enum err server_run(const struct server_options *options, struct fault *fault)
{
    struct arena arena;
    enum err err = routes_check(fault);
    if (err != ERR_OK)
        return err;
    struct server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return ERR_NO_MEMORY;
    arena_init(&arena, 1 << 20);
    server->options = options;
    u64map_init(&server->waiting, WAITING_MAX, 0);
    err = entropy_seed(&server->random);
    if (err == ERR_OK)
        err = file_make_folders(options->state_folder, 0700, fault);
    if (err == ERR_OK)
        err = loop_create(&server->loop);
    if (err == ERR_OK)
        err = directory_create(&server->directory);
    if (err == ERR_OK)
        err = open_catalogue(server, fault);
    if (err == ERR_OK)
        err = open_store(server, &arena, fault);
    if (err == ERR_OK)
        err = open_core(server, fault);
    if (err == ERR_OK)
        err = open_listener(server, fault);
    if (err == ERR_OK)
        err = serve(server, fault);
    server_close(server);
    arena_deinit(&arena);
    return err;
}
