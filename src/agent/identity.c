#include "agent/identity.h"

#include <stdio.h>
#include <string.h>

#include "agent/tell.h"
#include "base/assert.h"
#include "port/file.h"
#include "wire/doc.h"

enum {
    PATH_BYTES = FILE_PATH_MAX,
    JOIN_BODY_MAX = 2 << 20,
    RENEW_RESPONSE_MAX = 1 << 20,
    RENEW_CHECK_S_MAX = 3600,
};
#define JOIN_PAUSE_MIN SPAN_MS(500)
#define JOIN_PAUSE_MAX SPAN_S(15)
#define RENEW_PAUSE_MIN SPAN_S(5)
#define RENEW_PAUSE_MAX SPAN_S(600)
#define RENEW_AGAIN_MIN SPAN_S(60) /* after a success, however short the new one's life */

static void state_path(const struct identity *identity, const char *name, char out[PATH_BYTES])
{
    int n = snprintf(out, PATH_BYTES, "%s/%s", identity->state_folder, name);
    ASSERT(n > 0 && n < PATH_BYTES);
}

/* ---- texts */

enum err join_token_parse(struct slice text, struct slice *out_secret,
                          uint8_t out_pin[TLS_PIN_BYTES], struct fault *fault)
{
    struct slice secret, pin;
    text = slice_trim(text);
    if (text.len > IDENTITY_TOKEN_MAX || !slice_has_prefix(text, SLICE_LITERAL("lqj_")) ||
        !slice_cut(text, '.', &secret, &pin) || cert_pin_parse(pin, out_pin) != ERR_OK)
        return fault_set(fault, ERR_INVALID, "join_token",
                         "must be a join token as `lq join-token` prints it: lqj_....<64 hex "
                         "digits>; copy it whole");
    *out_secret = secret;
    return ERR_OK;
}

enum err site_file_encode(struct slice server, const struct site *site, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    json_put_string(&writer, "server", server);
    json_key(&writer, "site");
    doc_encode_site(site, &writer);
    json_end_object(&writer);
    return json_writer_finish(&writer);
}

enum err site_file_decode(struct slice json, struct arena *arena, struct slice *out_server,
                          struct site *out_site, struct fault *fault)
{
    static const char *const KEYS[] = {"server", "site"};
    struct json_document *document = NULL;
    struct json_value site_value;
    struct slice server;
    struct site site;
    enum err err = json_parse(json, &JSON_LIMITS_REQUEST, &document, fault);
    if (err == ERR_OK)
        err = json_object_check_keys(json_root(document), KEYS, 2, fault);
    if (err == ERR_OK)
        err = json_get_string(json_root(document), "server", ENDPOINT_TEXT_MAX - 1, &server, fault);
    if (err == ERR_OK)
        err = json_get_object(json_root(document), "site", &site_value, fault);
    if (err == ERR_OK)
        err = doc_decode_site(site_value, arena, &site, fault);
    if (err == ERR_OK && id_is_none(site.id.id))
        err = fault_set(fault, ERR_INVALID, "site.id", "is required");
    if (err == ERR_OK) {
        *out_server = arena_copy(arena, server);
        *out_site = site;
    }
    json_document_destroy(document);
    return err;
}

/* ---- files */

static enum err read_text(struct identity *identity, const char *name, char out[CERT_PEM_MAX],
                          struct fault *fault)
{
    char path[PATH_BYTES];
    struct arena arena;
    struct slice bytes;
    arena_init(&arena, 4 * CERT_PEM_MAX);
    state_path(identity, name, path);
    enum err err = file_read(path, CERT_PEM_MAX - 1, &arena, fault, &bytes);
    if (err == ERR_OK) {
        memcpy(out, bytes.data, bytes.len);
        out[bytes.len] = '\0';
    }
    arena_deinit(&arena);
    return err;
}

static enum err write_text(struct identity *identity, const char *name, struct slice text,
                           struct fault *fault)
{
    char path[PATH_BYTES];
    state_path(identity, name, path);
    return file_write_atomic(path, text, 0600, fault);
}

static enum err make_tls(struct identity *identity, struct fault *fault)
{
    const struct tls_client_options options = {.ca_pem = identity->ca_pem,
                                               .certificate_pem = identity->certificate_pem,
                                               .key_pem = identity->key_pem};
    return tls_context_create_client(&options, fault, &identity->remote->tls);
}

static enum err read_state(struct identity *identity, struct fault *fault)
{
    char path[PATH_BYTES];
    struct slice bytes, server;
    state_path(identity, "site.json", path);
    enum err err = file_read(path, IDENTITY_SITE_BYTES_MAX, &identity->arena, fault, &bytes);
    if (err != ERR_OK)
        return err;
    err = site_file_decode(bytes, &identity->arena, &server, &identity->site, fault);
    if (err == ERR_OK && identity->remote->endpoint[0] == '\0')
        (void)snprintf(identity->remote->endpoint, ENDPOINT_TEXT_MAX, "%.*s", SLICE_ARG(server));
    if (err == ERR_OK)
        err = read_text(identity, "ca.pem", identity->ca_pem, fault);
    if (err == ERR_OK)
        err = read_text(identity, "agent.pem", identity->certificate_pem, fault);
    if (err == ERR_OK)
        err = read_text(identity, "agent.key", identity->key_pem, fault);
    if (err == ERR_NOT_FOUND)
        err = fault_set(fault, ERR_CORRUPT, NULL,
                        "site.json is there but a certificate file is not: %s/{ca.pem,agent.pem,"
                        "agent.key}; join again with a new token after removing site.json",
                        identity->state_folder);
    return err;
}

/* ---- joining */

static enum err make_request(struct identity *identity, char out_csr[CERT_PEM_MAX],
                             struct fault *fault)
{
    struct cert_key *key = NULL;
    enum err err = read_text(identity, "agent.key", identity->key_pem, fault);
    if (err == ERR_NOT_FOUND) {
        err = cert_key_generate(&key);
        if (err == ERR_OK)
            err = cert_key_to_pem(key, identity->key_pem);
        if (err == ERR_OK)
            err = write_text(identity, "agent.key", slice_of(identity->key_pem), fault);
    } else if (err == ERR_OK) {
        err = cert_key_from_pem(slice_of(identity->key_pem), &key);
    }
    if (err == ERR_OK)
        err = cert_request_make(key, "lingqu agent", out_csr);
    cert_key_destroy(key);
    return err;
}

static enum err join_body(struct slice secret, const char *csr, const struct site *site,
                          struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_begin_object(&writer);
    json_put_string(&writer, "token", secret);
    json_put_text(&writer, "csr", csr);
    json_key(&writer, "site");
    doc_encode_site(site, &writer);
    json_end_object(&writer);
    return json_writer_finish(&writer);
}

/* The texts of the answer into `identity`. The authority must be the pinned one: the pin is all
 * that this connection was judged by. */
static enum err take_certificates(struct identity *identity, struct slice body, bool is_join,
                                  const uint8_t *pin, struct fault *fault)
{
    struct json_document *document = NULL;
    struct slice certificate, ca;
    struct site_id site = identity->site.id;
    struct cert *parsed = NULL;
    uint8_t found[TLS_PIN_BYTES];
    enum err err = json_parse(body, &JSON_LIMITS_REQUEST, &document, fault);
    struct json_value root = json_root(document);
    if (err == ERR_OK && is_join)
        err = json_get_id(root, "site", ID_PREFIX_SITE, &site.id, fault);
    if (err == ERR_OK)
        err = json_get_string(root, "certificate", CERT_PEM_MAX - 1, &certificate, fault);
    if (err == ERR_OK)
        err = json_get_string(root, "ca", CERT_PEM_MAX - 1, &ca, fault);
    if (err == ERR_OK)
        err = cert_from_pem(ca, &parsed);
    if (err == ERR_OK && pin != NULL) {
        cert_pin(parsed, found);
        if (memcmp(found, pin, sizeof(found)) != 0)
            err = fault_set(fault, ERR_DENIED, NULL,
                            "the server gave another authority than the join token names");
    }
    if (err == ERR_OK) {
        identity->site.id = site;
        (void)snprintf(identity->certificate_pem, CERT_PEM_MAX, "%.*s", SLICE_ARG(certificate));
        if (pin != NULL)
            (void)snprintf(identity->ca_pem, CERT_PEM_MAX, "%.*s", SLICE_ARG(ca));
    }
    cert_destroy(parsed);
    json_document_destroy(document);
    return err;
}

static void stop_waiting(void *context)
{
    loop_stop(context);
}

/* ERR_CANCELLED: a signal ended the wait. */
static enum err wait_a_while(struct identity *identity, uint32_t fails)
{
    struct loop_timer timer;
    loop_timer_init(&timer, identity->loop, stop_waiting, identity->loop);
    loop_timer_set(
        &timer, remote_pause(JOIN_PAUSE_MIN, JOIN_PAUSE_MAX, fails, random_u64(identity->random)));
    enum err err = loop_run(identity->loop);
    bool was_cut = loop_timer_is_set(&timer);
    loop_timer_stop(&timer);
    return err == ERR_OK && was_cut ? ERR_CANCELLED : err;
}

static enum err join_once(struct identity *identity, struct tls_context *tls, struct slice body,
                          const uint8_t pin[TLS_PIN_BYTES], bool *out_may_retry,
                          struct fault *fault)
{
    static const struct http1_header HEADERS[] = {{{"Content-Type", 12}, {"application/json", 16}}};
    const struct http_client_request request = {.endpoint = identity->remote->endpoint,
                                                .tls = tls,
                                                .method = "POST",
                                                .target = "/v1/agent/join",
                                                .headers = HEADERS,
                                                .header_count = 1,
                                                .body = body};
    struct arena arena;
    struct http_response response;
    char why[FAULT_MESSAGE_MAX];
    arena_init(&arena, 4 * JOIN_BODY_MAX);
    *out_may_retry = false;
    enum err err = http_client_fetch(identity->remote->client, identity->loop, &request, &arena,
                                     fault, &response);
    if (err == ERR_CLOSED || err == ERR_TIMEOUT || err == ERR_NOT_FOUND || err == ERR_IO) {
        *out_may_retry = true;
    } else if (err == ERR_OK) {
        const struct http1_head head = {.status = response.status};
        enum remote_verdict verdict = remote_judge(ERR_OK, &head);
        if (verdict == REMOTE_OK) {
            err = take_certificates(identity, response.body, true, pin, fault);
        } else {
            remote_explain(ERR_OK, &head, response.body, NULL, why, sizeof(why));
            *out_may_retry = verdict == REMOTE_AGAIN;
            err =
                fault_set(fault, ERR_DENIED, NULL, "the server does not take the site in: %s", why);
        }
    }
    arena_deinit(&arena);
    return err;
}

static enum err join_until_done(struct identity *identity, struct slice body,
                                const uint8_t pin[TLS_PIN_BYTES], struct fault *fault)
{
    const struct tls_client_options options = {.spki_pin = pin};
    struct tls_context *tls = NULL;
    bool may_retry = true;
    enum err err = tls_context_create_client(&options, fault, &tls);
    for (uint32_t fails = 0; err == ERR_OK; fails++) {
        enum err tried = join_once(identity, tls, body, pin, &may_retry, fault);
        if (tried == ERR_OK)
            break;
        if (!may_retry) {
            err = tried;
            break;
        }
        if (fails == 0)
            tell("waiting for the server at %s: %s", identity->remote->endpoint, fault->message);
        err = wait_a_while(identity, fails);
    }
    tls_context_release(tls);
    return err;
}

static enum err keep_joined(struct identity *identity, struct fault *fault)
{
    struct buffer out;
    buffer_init(&out, IDENTITY_SITE_BYTES_MAX);
    enum err err = site_file_encode(slice_of(identity->remote->endpoint), &identity->site, &out);
    if (err == ERR_OK)
        err = write_text(identity, "ca.pem", slice_of(identity->ca_pem), fault);
    if (err == ERR_OK)
        err = write_text(identity, "agent.pem", slice_of(identity->certificate_pem), fault);
    if (err == ERR_OK) /* last: where it stands, the site has joined */
        err = write_text(identity, "site.json", buffer_slice(&out), fault);
    buffer_deinit(&out);
    return err;
}

static enum err join(struct identity *identity, const struct agent_options *options,
                     const struct site *wanted, struct fault *fault)
{
    uint8_t pin[TLS_PIN_BYTES];
    char csr[CERT_PEM_MAX];
    struct slice secret;
    struct buffer body;
    if (options->join_token == NULL)
        return fault_set(fault, ERR_NOT_FOUND, NULL,
                         "this site has not joined yet: %s has no site.json; give a join token",
                         options->state_folder);
    if (identity->remote->endpoint[0] == '\0')
        return fault_set(fault, ERR_INVALID, "server",
                         "is required to join: the server's host:port");
    enum err err = join_token_parse(slice_of(options->join_token), &secret, pin, fault);
    if (err == ERR_OK)
        err = site_check(wanted, fault);
    if (err == ERR_OK)
        err = make_request(identity, csr, fault);
    if (err != ERR_OK)
        return err;
    identity->site = *wanted;
    buffer_init(&body, JOIN_BODY_MAX);
    err = join_body(secret, csr, wanted, &body);
    if (err == ERR_OK)
        err = join_until_done(identity, buffer_slice(&body), pin, fault);
    if (err == ERR_OK)
        err = keep_joined(identity, fault);
    buffer_deinit(&body);
    return err;
}

enum err identity_begin(struct identity *identity, const struct agent_options *options,
                        const struct site *wanted, struct fault *fault)
{
    char path[PATH_BYTES];
    struct file_info info;
    arena_init(&identity->arena, 16 << 20);
    identity->state_folder = options->state_folder;
    if (options->server != NULL)
        (void)snprintf(identity->remote->endpoint, ENDPOINT_TEXT_MAX, "%s", options->server);
    state_path(identity, "site.json", path);
    bool has_joined = file_stat(path, &info) == ERR_OK;
    enum err err =
        has_joined ? read_state(identity, fault) : join(identity, options, wanted, fault);
    if (err == ERR_OK)
        err = make_tls(identity, fault);
    return err;
}

void identity_end(struct identity *identity)
{
    if (identity->loop == NULL)
        return;
    loop_timer_stop(&identity->renew);
    if (identity->call != NULL)
        http_call_cancel(identity->call);
    identity->call = NULL;
    explicit_bzero(identity->key_pem, sizeof(identity->key_pem));
    arena_deinit(&identity->arena);
}

/* ---- renewal */

static void renew_later(struct identity *identity, struct span_ms least)
{
    struct cert *cert = NULL;
    int64_t wait_ms = 0;
    if (cert_from_pem(slice_of(identity->certificate_pem), &cert) == ERR_OK) {
        struct wall_us now = loop_now(identity->loop).wall;
        int64_t life_ms = (cert_not_after(cert).us - cert_not_before(cert).us) / 1000;
        wait_ms = cert_remaining(cert, now).ms - life_ms * 2 / 3;
    }
    cert_destroy(cert);
    /* The wall clock may jump: look again now and then. */
    if (wait_ms > (int64_t)RENEW_CHECK_S_MAX * 1000)
        wait_ms = (int64_t)RENEW_CHECK_S_MAX * 1000;
    loop_timer_set(&identity->renew, wait_ms > least.ms ? SPAN_MS(wait_ms) : least);
}

static bool is_renewal_due(const struct identity *identity)
{
    struct cert *cert = NULL;
    if (cert_from_pem(slice_of(identity->certificate_pem), &cert) != ERR_OK)
        return true;
    int64_t life_ms = (cert_not_after(cert).us - cert_not_before(cert).us) / 1000;
    bool is_due = cert_remaining(cert, loop_now(identity->loop).wall).ms <= life_ms * 2 / 3;
    cert_destroy(cert);
    return is_due;
}

static void renew_failed(struct identity *identity, const char *why)
{
    if (identity->fails == 0)
        tell("the certificate could not be renewed: %s; trying again", why);
    loop_timer_set(&identity->renew, remote_pause(RENEW_PAUSE_MIN, RENEW_PAUSE_MAX, identity->fails,
                                                  random_u64(identity->random)));
    identity->fails++;
}

static void on_renewed(void *context, struct http_call *call, enum err code,
                       const struct http1_head *response, struct slice body,
                       const struct fault *call_fault)
{
    struct identity *identity = context;
    struct fault fault = {0};
    char why[FAULT_MESSAGE_MAX];
    (void)call;
    identity->call = NULL;
    if (remote_judge(code, response) != REMOTE_OK) {
        remote_explain(code, response, body, call_fault, why, sizeof(why));
        renew_failed(identity, why);
        return;
    }
    enum err err = take_certificates(identity, body, false, NULL, &fault);
    if (err == ERR_OK)
        err = write_text(identity, "agent.pem", slice_of(identity->certificate_pem), &fault);
    if (err == ERR_OK)
        err = tls_context_reload(identity->remote->tls, identity->certificate_pem,
                                 identity->key_pem, NULL, &fault);
    if (err != ERR_OK) {
        renew_failed(identity, fault.message);
        return;
    }
    http_client_drop_idle(identity->remote->client);
    identity->fails = 0;
    tell("the certificate is renewed");
    renew_later(identity, RENEW_AGAIN_MIN);
}

static void renew_run(void *context)
{
    static const struct http_call_events EVENTS = {.on_done = on_renewed};
    struct identity *identity = context;
    struct fault fault = {0};
    char csr[CERT_PEM_MAX];
    struct buffer body;
    struct json_writer writer;
    if (identity->call != NULL)
        return;
    if (identity->fails == 0 && !is_renewal_due(identity)) {
        renew_later(identity, SPAN_MS(0));
        return;
    }
    enum err err = make_request(identity, csr, &fault);
    buffer_init(&body, JOIN_BODY_MAX);
    if (err == ERR_OK) {
        json_writer_init(&writer, &body);
        json_begin_object(&writer);
        json_put_text(&writer, "csr", csr);
        json_end_object(&writer);
        err = json_writer_finish(&writer);
    }
    const struct remote_request request = {.method = "POST",
                                           .target = "/v1/agent/renew",
                                           .content_type = "application/json",
                                           .body = buffer_slice(&body),
                                           .response_bytes_max = RENEW_RESPONSE_MAX};
    if (err == ERR_OK)
        err = remote_send(identity->remote, &request, &EVENTS, identity, &identity->call);
    buffer_deinit(&body);
    if (err != ERR_OK)
        renew_failed(identity, fault.message[0] != '\0' ? fault.message : err_name(err));
}

void identity_keep_fresh(struct identity *identity)
{
    loop_timer_init(&identity->renew, identity->loop, renew_run, identity);
    renew_later(identity, SPAN_MS(0));
}

void identity_refused(struct identity *identity)
{
    if (identity->call != NULL || identity->fails > 0)
        return; /* under way already */
    identity->fails = 1;
    loop_timer_set(&identity->renew, SPAN_MS(0));
}
