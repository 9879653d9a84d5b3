#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "http/cert_private.h"
#include "http/tls_private.h"

enum { PIN_CHAIN_MAX = 8 }; /* certificates of a chain that are looked at for the pin */

static const char TLS_CIPHERS_12[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
static const unsigned char TLS_ALPN[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

static BIO *pem_open(const char *pem)
{
    size_t len = pem != NULL ? strnlen(pem, TLS_PEM_BYTES_MAX) : 0;
    return len == 0 || len == TLS_PEM_BYTES_MAX ? NULL : BIO_new_mem_buf(pem, (int)len);
}

static bool add_chain(SSL_CTX *ssl, const char *pem)
{
    BIO *bio = pem_open(pem);
    X509 *leaf = bio != NULL ? PEM_read_bio_X509(bio, NULL, cert_no_passphrase, NULL) : NULL;
    bool is_added = leaf != NULL && SSL_CTX_use_certificate(ssl, leaf) == 1;
    X509_free(leaf);
    while (is_added) {
        X509 *link = PEM_read_bio_X509(bio, NULL, cert_no_passphrase, NULL);
        if (link == NULL)
            break;
        is_added = SSL_CTX_add0_chain_cert(ssl, link) == 1;
        if (!is_added)
            X509_free(link);
    }
    BIO_free(bio);
    return is_added;
}

static bool add_key(SSL_CTX *ssl, const char *pem)
{
    BIO *bio = pem_open(pem);
    EVP_PKEY *key =
        bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, cert_no_passphrase, NULL) : NULL;
    bool is_added = key != NULL && SSL_CTX_use_PrivateKey(ssl, key) == 1;
    EVP_PKEY_free(key);
    BIO_free(bio);
    return is_added;
}

static bool add_authorities(SSL_CTX *ssl, const char *pem, bool is_server)
{
    BIO *bio = pem_open(pem);
    int count = 0;
    bool is_added = bio != NULL;
    while (is_added) {
        X509 *authority = PEM_read_bio_X509(bio, NULL, cert_no_passphrase, NULL);
        if (authority == NULL)
            break;
        is_added = X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), authority) == 1 &&
                   (!is_server || SSL_CTX_add_client_CA(ssl, authority) == 1);
        X509_free(authority);
        count++;
    }
    BIO_free(bio);
    return is_added && count > 0;
}

/* Takes an expired client in when it ran out not longer ago than the context allows; all else stays
 * as checked. */
static int on_client_checked(int is_good, X509_STORE_CTX *store)
{
    if (is_good || X509_STORE_CTX_get_error(store) != X509_V_ERR_CERT_HAS_EXPIRED ||
        X509_STORE_CTX_get_error_depth(store) != 0)
        return is_good;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    const struct tls_session *session = SSL_get_app_data(ssl);
    int64_t grace_ms = session->context->client_expired_max.ms;
    int days = 0, seconds = 0;
    const ASN1_TIME *until = X509_get0_notAfter(X509_STORE_CTX_get_current_cert(store));
    if (grace_ms <= 0 || ASN1_TIME_diff(&days, &seconds, until, NULL) != 1 ||
        ((int64_t)days * 86400 + seconds) * 1000 > grace_ms)
        return 0;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

static bool has_pin(const X509 *x509, const struct tls_context *context)
{
    uint8_t pin[TLS_PIN_BYTES];
    x509_pin(x509, pin);
    return CRYPTO_memcmp(pin, context->pin, sizeof(pin)) == 0;
}

/* The pin is the server's own key, or that of an authority that the server sent along and that
 * itself signed the server's certificate for a server's use. The authority's certificate is public:
 * only its signature proves anything, and its clients' certificates are no servers'. */
static bool is_pinned(X509_STORE_CTX *store, const struct tls_context *context)
{
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    const STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(store);
    if (has_pin(leaf, context))
        return true;
    for (int i = 0; i < sk_X509_num(sent) && i < PIN_CHAIN_MAX; i++) {
        X509 *authority = sk_X509_value(sent, i);
        if (has_pin(authority, context))
            return X509_check_ca(authority) == 1 &&
                   X509_check_issued(authority, leaf) == X509_V_OK &&
                   X509_verify(leaf, X509_get0_pubkey(authority)) == 1 &&
                   X509_check_purpose(leaf, X509_PURPOSE_SSL_SERVER, 0) == 1;
    }
    return false;
}

/* The whole check of a server: pin, chain, or both. The name is among the chain's parameters. */
static int check_server(X509_STORE_CTX *store, void *argument)
{
    const struct tls_context *context = argument;
    if (context->has_pin && !is_pinned(store, context)) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
        return 0;
    }
    if (context->ca_pem != NULL)
        return X509_verify_cert(store) > 0;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *argument)
{
    (void)ssl;
    (void)argument;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, TLS_ALPN, sizeof(TLS_ALPN), in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK; /* a client that knows nothing of ours is served all the same
                                      */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int on_new_session(SSL *ssl, SSL_SESSION *resumable)
{
    const struct tls_session *session = SSL_get_app_data(ssl);
    struct tls_context *context = session->context;
    if (session->settings != context->ssl)
        return 0;
    SSL_SESSION_free(context->resumable);
    context->resumable = resumable; /* our reference from now on */
    memcpy(context->resumable_host, session->host, sizeof(session->host));
    return 1;
}

static void settings_for_server(struct tls_context *context, SSL_CTX *ssl)
{
    static const unsigned char SESSION_ID_CONTEXT[] = "lingqu";
    SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
    SSL_CTX_set_session_id_context(ssl, SESSION_ID_CONTEXT, sizeof(SESSION_ID_CONTEXT) - 1);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF); /* tickets carry the state */
    SSL_CTX_set_num_tickets(ssl, 1);
    if (context->client_auth != TLS_CLIENT_AUTH_NONE)
        SSL_CTX_set_verify(ssl,
                           SSL_VERIFY_PEER | (context->client_auth == TLS_CLIENT_AUTH_REQUIRED
                                                  ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                                                  : 0),
                           on_client_checked);
}

static void settings_for_client(struct tls_context *context, SSL_CTX *ssl)
{
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ssl, check_server, context);
    SSL_CTX_set_alpn_protos(ssl, TLS_ALPN, sizeof(TLS_ALPN));
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ssl, on_new_session);
}

static enum err settings_make(struct tls_context *context, const char *certificate_pem,
                              const char *key_pem, const char *ca_pem, struct fault *fault,
                              SSL_CTX **out_ssl)
{
    SSL_CTX *ssl = SSL_CTX_new(context->is_server ? TLS_server_method() : TLS_client_method());
    if (ssl == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for TLS settings");
    const char *bad = NULL;
    SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_timeout(ssl, TLS_SESSION_LIFE_S);
    ASSERT(SSL_CTX_set_cipher_list(ssl, TLS_CIPHERS_12) == 1);
    if (context->is_server)
        settings_for_server(context, ssl);
    else
        settings_for_client(context, ssl);
    if (certificate_pem != NULL && !add_chain(ssl, certificate_pem))
        bad = "certificate";
    else if (certificate_pem != NULL && !add_key(ssl, key_pem))
        bad = "private key";
    else if (certificate_pem != NULL && SSL_CTX_check_private_key(ssl) != 1)
        bad = "private key (it does not belong to the certificate)";
    else if (ca_pem != NULL && !add_authorities(ssl, ca_pem, context->is_server))
        bad = "certificate authority";
    ERR_clear_error();
    if (bad != NULL) {
        SSL_CTX_free(ssl);
        return fault_set(fault, ERR_INVALID, NULL, "the PEM text of the %s is not usable", bad);
    }
    *out_ssl = ssl;
    return ERR_OK;
}

static enum err context_finish(struct tls_context *context, const char *certificate_pem,
                               const char *key_pem, const char *ca_pem, struct fault *fault,
                               struct tls_context **out_context)
{
    enum err code = ERR_OK;
    context->holders = 1;
    context->bytes_method = tls_bytes_method();
    if (ca_pem != NULL)
        context->ca_pem = strndup(ca_pem, TLS_PEM_BYTES_MAX);
    if (context->bytes_method == NULL || (ca_pem != NULL && context->ca_pem == NULL))
        code = fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for TLS settings");
    if (code == ERR_OK)
        code = settings_make(context, certificate_pem, key_pem, ca_pem, fault, &context->ssl);
    if (code != ERR_OK) {
        tls_context_release(context);
        return code;
    }
    *out_context = context;
    return ERR_OK;
}

enum err tls_context_create_server(const struct tls_server_options *options, struct fault *fault,
                                   struct tls_context **out_context)
{
    if (options->certificate_pem == NULL || options->key_pem == NULL)
        return fault_set(fault, ERR_INVALID, NULL, "a TLS server needs a certificate and its key");
    if (options->client_auth != TLS_CLIENT_AUTH_NONE && options->client_ca_pem == NULL)
        return fault_set(fault, ERR_INVALID, NULL,
                         "to check clients, name the authority that signs them");
    struct tls_context *context = calloc(1, sizeof(*context));
    if (context == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for TLS settings");
    context->is_server = true;
    context->client_auth = options->client_auth;
    context->client_expired_max = options->client_expired_max;
    return context_finish(context, options->certificate_pem, options->key_pem,
                          options->client_ca_pem, fault, out_context);
}

enum err tls_context_create_client(const struct tls_client_options *options, struct fault *fault,
                                   struct tls_context **out_context)
{
    if (options->ca_pem == NULL && options->spki_pin == NULL)
        return fault_set(fault, ERR_INVALID, NULL,
                         "a TLS client needs a certificate authority or a pin of the server's key");
    if ((options->certificate_pem == NULL) != (options->key_pem == NULL))
        return fault_set(fault, ERR_INVALID, NULL, "give a client's certificate and key together");
    size_t name_len = options->server_name != NULL ? strlen(options->server_name) : 0;
    if (name_len >= TLS_NAME_MAX)
        return fault_set(fault, ERR_INVALID, NULL, "a server name has at most %d bytes",
                         TLS_NAME_MAX - 1);
    struct tls_context *context = calloc(1, sizeof(*context));
    if (context == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for TLS settings");
    if (options->spki_pin != NULL) {
        context->has_pin = true;
        memcpy(context->pin, options->spki_pin, TLS_PIN_BYTES);
    }
    if (name_len > 0)
        memcpy(context->server_name, options->server_name, name_len + 1);
    return context_finish(context, options->certificate_pem, options->key_pem, options->ca_pem,
                          fault, out_context);
}

enum err tls_context_reload(struct tls_context *context, const char *certificate_pem,
                            const char *key_pem, const char *ca_pem, struct fault *fault)
{
    SSL_CTX *ssl;
    char *ca_copy = NULL;
    if (ca_pem != NULL && (ca_copy = strndup(ca_pem, TLS_PEM_BYTES_MAX)) == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for TLS settings");
    enum err code = settings_make(context, certificate_pem, key_pem,
                                  ca_pem != NULL ? ca_pem : context->ca_pem, fault, &ssl);
    if (code != ERR_OK) {
        free(ca_copy);
        return code;
    }
    if (ca_copy != NULL) {
        free(context->ca_pem);
        context->ca_pem = ca_copy;
    }
    SSL_CTX_free(context->ssl);
    context->ssl = ssl;
    SSL_SESSION_free(context->resumable);
    context->resumable = NULL;
    return ERR_OK;
}

struct tls_context *tls_context_hold(struct tls_context *context)
{
    context->holders++;
    return context;
}

void tls_context_release(struct tls_context *context)
{
    if (context == NULL)
        return;
    ASSERT(context->holders > 0);
    if (--context->holders > 0)
        return;
    SSL_SESSION_free(context->resumable);
    SSL_CTX_free(context->ssl);
    BIO_meth_free(context->bytes_method);
    free(context->ca_pem);
    free(context);
}
