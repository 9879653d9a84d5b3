#include "http/tls_session.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "http/cert_private.h"
#include "http/tls_private.h"

/* ---- the BIO: input is a borrowed slice, output an appended buffer, nothing is held for idle
 * sessions ---- */

static int bytes_read(BIO *bio, char *out, size_t cap, size_t *out_len)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (session->input.len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    size_t len = session->input.len < cap ? session->input.len : cap;
    memcpy(out, session->input.data, len);
    session->input = slice_make(session->input.data + len, session->input.len - len);
    *out_len = len;
    return 1;
}

static int bytes_write(BIO *bio, const char *data, size_t len, size_t *out_len)
{
    struct tls_session *session = BIO_get_data(bio);
    buffer_append_bytes(session->out, data, len);
    if (buffer_status(session->out) != ERR_OK)
        return 0;
    *out_len = len;
    return 1;
}

static long bytes_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bytes_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "bytes");
    if (method == NULL)
        return NULL;
    BIO_meth_set_read_ex(method, bytes_read);
    BIO_meth_set_write_ex(method, bytes_write);
    BIO_meth_set_ctrl(method, bytes_control);
    return method;
}

/* ---- making and ending ---- */

static enum err session_create(struct tls_context *context, struct buffer *out,
                               struct tls_session **out_session)
{
    struct tls_session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        return ERR_NO_MEMORY;
    session->context = tls_context_hold(context);
    session->out = out;
    session->ssl = SSL_new(context->ssl);
    BIO *bio = BIO_new(context->bytes_method);
    if (session->ssl == NULL || bio == NULL) {
        BIO_free(bio);
        tls_session_destroy(session);
        return ERR_NO_MEMORY;
    }
    session->settings = SSL_get_SSL_CTX(session->ssl);
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    SSL_set_app_data(session->ssl, session);
    *out_session = session;
    return ERR_OK;
}

enum err tls_session_create_server(struct tls_context *context, struct buffer *out,
                                   struct tls_session **out_session)
{
    ASSERT(context->is_server);
    enum err code = session_create(context, out, out_session);
    if (code == ERR_OK)
        SSL_set_accept_state((*out_session)->ssl);
    return code;
}

static bool session_expect(struct tls_session *session, const char *host)
{
    unsigned char address[16];
    X509_VERIFY_PARAM *check = SSL_get0_param(session->ssl);
    bool is_address =
        inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    X509_VERIFY_PARAM_set_hostflags(check, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (is_address)
        return X509_VERIFY_PARAM_set1_ip_asc(check, host) == 1;
    return X509_VERIFY_PARAM_set1_host(check, host, 0) == 1 &&
           SSL_set_tlsext_host_name(session->ssl, host) == 1;
}

enum err tls_session_create_client(struct tls_context *context, const char *host,
                                   struct buffer *out, struct tls_session **out_session)
{
    ASSERT(!context->is_server);
    const char *expected = context->server_name[0] != '\0' ? context->server_name : host;
    struct tls_session *session;
    size_t len = strlen(expected);
    if (len >= TLS_NAME_MAX)
        return ERR_INVALID;
    enum err code = session_create(context, out, &session);
    if (code != ERR_OK)
        return code;
    memcpy(session->host, expected, len + 1);
    SSL_set_connect_state(session->ssl);
    if (len > 0 && !session_expect(session, expected)) {
        tls_session_destroy(session);
        return ERR_INVALID;
    }
    if (context->resumable != NULL && strcmp(context->resumable_host, expected) == 0)
        SSL_set_session(session->ssl,
                        context->resumable); /* without it the handshake is a full one */
    *out_session = session;
    return ERR_OK;
}

void tls_session_destroy(struct tls_session *session)
{
    if (session == NULL)
        return;
    /* OpenSSL forbids resuming a session whose connection was not shut down; ours that broke no
     * rule may be resumed, however their sockets ended. */
    if (session->ssl != NULL && (session->error == ERR_OK || session->error == ERR_CLOSED))
        SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(session->ssl);
    tls_context_release(session->context);
    free(session);
}

/* ---- bytes ---- */

void tls_session_input(struct tls_session *session, struct slice ciphertext)
{
    ASSERT(session->input.len == 0 || session->error != ERR_OK);
    session->input = ciphertext;
}

/* Whether the reason is that one side did not like the other's certificate. */
static bool is_certificate_reason(int reason)
{
    switch (reason) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return true;
    default:
        return false;
    }
}

static enum err session_failed(struct tls_session *session, struct fault *fault)
{
    unsigned long error = ERR_peek_error();
    const char *text = ERR_reason_error_string(error);
    int reason = ERR_GET_REASON(error);
    long checked = SSL_get_verify_result(session->ssl);
    session->error = is_certificate_reason(reason) ? ERR_DENIED : ERR_INVALID;
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        text = checked == X509_V_ERR_CERT_REJECTED ? "the server's key is not the pinned one"
                                                   : X509_verify_cert_error_string(checked);
    (void)fault_set(fault, session->error, NULL, "TLS with %s failed: %s",
                    session->host[0] != '\0' ? session->host : "the client",
                    text != NULL ? text : "unknown reason");
    ERR_clear_error();
    return session->error;
}

enum err tls_session_read(struct tls_session *session, char *buffer, size_t cap, size_t *out_len,
                          struct fault *fault)
{
    if (session->error != ERR_OK)
        return session->error;
    ERR_clear_error();
    size_t len = 0;
    if (SSL_read_ex(session->ssl, buffer, cap, &len) == 1) {
        *out_len = len;
        return ERR_OK;
    }
    switch (SSL_get_error(session->ssl, 0)) {
    case SSL_ERROR_WANT_READ:
        return ERR_BUSY;
    case SSL_ERROR_ZERO_RETURN:
        session->error = ERR_CLOSED;
        return ERR_CLOSED;
    default:
        return session_failed(session, fault);
    }
}

enum err tls_session_write(struct tls_session *session, struct slice plaintext)
{
    size_t len = 0;
    if (plaintext.len == 0)
        return ERR_OK;
    if (session->error != ERR_OK && session->error != ERR_CLOSED)
        return session->error;
    if (session->is_ended)
        return ERR_CLOSED;
    ERR_clear_error();
    if (SSL_write_ex(session->ssl, plaintext.data, plaintext.len, &len) == 1)
        return ERR_OK;
    enum err out_status = buffer_status(session->out);
    session->error = out_status != ERR_OK ? out_status : ERR_INVALID;
    ERR_clear_error();
    return session->error;
}

void tls_session_end(struct tls_session *session)
{
    if (session->is_ended || !tls_session_is_established(session) ||
        (session->error != ERR_OK && session->error != ERR_CLOSED))
        return;
    session->is_ended = true;
    (void)SSL_shutdown(session->ssl); /* one-sided: whether the other answers does not matter */
    ERR_clear_error();
}

bool tls_session_is_established(const struct tls_session *session)
{
    return SSL_is_init_finished(session->ssl) == 1;
}

bool tls_session_is_peer_current(const struct tls_session *session)
{
    int days = 0, seconds = 0;
    X509 *x509 = SSL_get0_peer_certificate(session->ssl);
    if (x509 == NULL)
        return true;
    if (ASN1_TIME_diff(&days, &seconds, X509_get0_notAfter(x509), NULL) != 1)
        return false;
    int64_t over_ms = ((int64_t)days * 86400 + seconds) * 1000;
    return over_ms <= 0 || over_ms <= session->context->client_expired_max.ms;
}

bool tls_session_is_resumed(const struct tls_session *session)
{
    return SSL_session_reused(session->ssl) == 1;
}

enum err tls_session_peer(const struct tls_session *session, struct tls_peer *out_peer)
{
    X509 *x509 = SSL_get0_peer_certificate(session->ssl);
    if (x509 == NULL || !tls_session_is_established(session))
        return ERR_NOT_FOUND;
    x509_describe(x509, out_peer);
    return ERR_OK;
}
