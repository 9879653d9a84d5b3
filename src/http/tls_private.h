/* The inside of a tls_context and of a tls_session, for http's TLS files. */
#ifndef LQ_HTTP_TLS_PRIVATE_H
#define LQ_HTTP_TLS_PRIVATE_H

#include <openssl/ssl.h>

#include "base/buffer.h"
#include "http/tls.h"

enum { TLS_SESSION_LIFE_S = 3600, TLS_PEM_BYTES_MAX = 1 << 20 };

struct tls_context {
    unsigned holders;
    bool is_server;
    SSL_CTX *ssl; /* of connections to come; those that live hold theirs */
    BIO_METHOD *bytes_method;
    enum tls_client_auth client_auth;
    struct span_ms client_expired_max;
    char *ca_pem; /* NULL: none */
    bool has_pin;
    uint8_t pin[TLS_PIN_BYTES];
    char server_name[TLS_NAME_MAX]; /* client: the name to expect, or empty */
    SSL_SESSION *resumable;         /* client: the newest session, and the host it was made with */
    char resumable_host[TLS_NAME_MAX];
};

struct tls_session {
    SSL *ssl;
    struct tls_context *context;
    SSL_CTX
    *settings; /* those it began with; a session of other settings is not kept for resumption */
    struct slice input;
    struct buffer *out;
    char host[TLS_NAME_MAX];
    enum err error; /* sticky */
    bool is_ended;
};

/* The BIO through which OpenSSL reads a session's input and writes to its output (tls_session.c).
 */
BIO_METHOD *tls_bytes_method(void);

#endif
