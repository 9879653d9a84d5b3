#include "server/identity.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/hex.h"
#include "model/words.h"
#include "port/entropy.h"
#include "port/file.h"

static const char *state_path(struct server *server, struct arena *arena, const char *name)
{
    return arena_printf(arena, "%s/%s", server->options->state_folder, name);
}

/* The file's content, or what `make` gives, written with mode 0600. */
static enum err read_or_make(struct server *server, struct arena *arena, const char *name,
                             enum err (*make)(struct server *server, char *out),
                             struct slice *out_text, struct fault *fault)
{
    const char *path = state_path(server, arena, name);
    enum err err = file_read(path, CERT_PEM_MAX, arena, fault, out_text);
    if (err != ERR_NOT_FOUND)
        return err;
    char text[CERT_PEM_MAX];
    memset(text, 0, sizeof(text));
    err = make(server, text);
    if (err == ERR_OK)
        err = file_write_atomic(path, slice_of(text), 0600, fault);
    if (err == ERR_OK)
        *out_text = arena_copy(arena, slice_of(text));
    explicit_bzero(text, sizeof(text));
    return err;
}

static enum err make_ca_key(struct server *server, char *out)
{
    struct cert_key *key;
    enum err err = cert_key_generate(&key);
    (void)server;
    if (err != ERR_OK)
        return err;
    err = cert_key_to_pem(key, out);
    cert_key_destroy(key);
    return err;
}

static enum err make_ca_cert(struct server *server, char *out)
{
    struct cert *cert;
    enum err err =
        cert_make_authority(server->ca_key, "Lingqu network", loop_now(server->loop).wall,
                            SPAN_S((int64_t)CA_LIFE_DAYS * 86400), &cert);
    if (err != ERR_OK)
        return err;
    err = cert_to_pem(cert, out);
    cert_destroy(cert);
    return err;
}

static enum err make_secret(struct server *server, char *out)
{
    uint8_t bytes[SECRET_KEY_BYTES];
    enum err err = entropy_fill(bytes, sizeof(bytes));
    (void)server;
    for (size_t i = 0; err == ERR_OK && i < sizeof(bytes); i++)
        (void)snprintf(out + i * 2, 3, "%02x", bytes[i]);
    explicit_bzero(bytes, sizeof(bytes));
    return err;
}

/* The attempts' key is derived from the text, whatever its length. */
static void secret_derive(struct slice text, uint8_t out[SECRET_KEY_BYTES])
{
    struct digest digest = digest_of(slice_trim(text));
    memcpy(out, digest.bytes, SECRET_KEY_BYTES);
}

static enum err issue(struct server *server, char out_cert[CERT_PEM_MAX],
                      char out_key[CERT_PEM_MAX])
{
    const struct cert_authority authority = {server->ca_cert, server->ca_key};
    const char *names[SERVER_NAMES_MAX + 3] = {"localhost", "127.0.0.1", "::1"};
    size_t count = 3;
    struct cert_key *key = NULL;
    struct cert *cert = NULL;
    for (size_t i = 0; i < server->options->name_count; i++)
        names[count++] = server->options->names[i];
    enum err err = cert_key_generate(&key);
    if (err == ERR_OK)
        err = cert_issue_server(&authority, key, names, count, loop_now(server->loop).wall,
                                SPAN_S((int64_t)SERVER_CERT_LIFE_DAYS * 86400), &cert);
    if (err == ERR_OK)
        err = cert_to_pem(cert, out_cert);
    if (err == ERR_OK)
        err = cert_key_to_pem(key, out_key);
    cert_destroy(cert);
    cert_key_destroy(key);
    return err;
}

/* The leaf, then the authority, so that a joining agent can pin the authority's key from the chain.
 */
static enum err chain_make(struct server *server, char *out_chain, size_t size,
                           char out_key[CERT_PEM_MAX])
{
    char leaf[CERT_PEM_MAX];
    enum err err = issue(server, leaf, out_key);
    if (err != ERR_OK)
        return err;
    int n = snprintf(out_chain, size, "%s%s", leaf, server->ca_pem);
    ASSERT(n > 0 && (size_t)n < size);
    return ERR_OK;
}

enum err identity_renew(struct server *server, struct fault *fault)
{
    char chain[2 * CERT_PEM_MAX], key[CERT_PEM_MAX];
    enum err err = chain_make(server, chain, sizeof(chain), key);
    if (err == ERR_OK)
        err = tls_context_reload(server->tls, chain, key, NULL, fault);
    explicit_bzero(key, sizeof(key));
    return err;
}

enum err identity_open(struct server *server, uint8_t out_secret[SECRET_KEY_BYTES],
                       struct fault *fault)
{
    struct arena arena;
    struct slice text;
    char chain[2 * CERT_PEM_MAX], key[CERT_PEM_MAX];
    arena_init(&arena, 1 << 20);
    enum err err = read_or_make(server, &arena, "ca.key", make_ca_key, &text, fault);
    if (err == ERR_OK)
        err = cert_key_from_pem(text, &server->ca_key);
    if (err == ERR_OK)
        err = read_or_make(server, &arena, "ca.pem", make_ca_cert, &text, fault);
    if (err == ERR_OK)
        err = cert_from_pem(text, &server->ca_cert);
    if (err == ERR_OK && !cert_is_for_key(server->ca_cert, server->ca_key))
        err = fault_set(fault, ERR_CORRUPT, "ca.pem",
                        "the certificate is not that of ca.key; put the right pair back");
    if (err == ERR_OK)
        err = cert_to_pem(server->ca_cert, server->ca_pem);
    if (err == ERR_OK) {
        cert_pin(server->ca_cert, server->pin);
        err = read_or_make(server, &arena, "secret.key", make_secret, &text, fault);
    }
    if (err == ERR_OK) {
        secret_derive(text, out_secret);
        err = chain_make(server, chain, sizeof(chain), key);
    }
    if (err == ERR_OK) {
        const struct tls_server_options options = {.certificate_pem = chain,
                                                   .key_pem = key,
                                                   .client_ca_pem = server->ca_pem,
                                                   .client_auth = TLS_CLIENT_AUTH_OPTIONAL,
                                                   .client_expired_max = SPAN_S(7 * 86400)};
        err = tls_context_create_server(&options, fault, &server->tls);
    }
    explicit_bzero(key, sizeof(key));
    arena_deinit(&arena);
    if (err != ERR_OK && fault->message[0] == 0)
        (void)fault_set(fault, err, "ca.key", "the authority's files cannot be used (%s)",
                        err_name(err));
    return err;
}

void identity_close(struct server *server)
{
    tls_context_release(server->tls);
    cert_destroy(server->ca_cert);
    cert_key_destroy(server->ca_key);
}

void identity_certificate_name(const struct tls_peer *peer, char out[CERTIFICATE_NAME_MAX])
{
    hex_encode(slice_make(peer->sha256, CERTIFICATE_NAME_MAX / 2), out);
}

enum err identity_sign_site(struct server *server, struct slice request_pem, struct site_id site,
                            char out[CERT_PEM_MAX], char out_name[CERTIFICATE_NAME_MAX],
                            struct fault *fault)
{
    const struct cert_authority authority = {server->ca_cert, server->ca_key};
    struct cert_request *request = NULL;
    struct cert *cert = NULL;
    char id[ID_TEXT_MAX], uri[ID_TEXT_MAX + 16];
    id_format(site.id, ID_PREFIX_SITE, id);
    (void)snprintf(uri, sizeof(uri), "lingqu:site:%s", id);
    enum err err = cert_request_parse(request_pem, &request);
    if (err != ERR_OK)
        return fault_set(fault, ERR_INVALID, "csr",
                         "this is no PEM signing request for a P-256 key");
    err = cert_request_sign_client(request, &authority, id, uri, loop_now(server->loop).wall,
                                   SPAN_S((int64_t)AGENT_CERT_LIFE_H * 3600), &cert);
    if (err == ERR_OK)
        err = cert_to_pem(cert, out);
    if (err == ERR_OK) {
        struct tls_peer peer;
        cert_describe(cert, &peer);
        identity_certificate_name(&peer, out_name);
    }
    cert_destroy(cert);
    cert_request_destroy(request);
    return err == ERR_OK ? ERR_OK
                         : fault_set(fault, err, "csr", "the certificate could not be issued");
}
