/* TLS settings of listeners and clients, versions 1.2 and 1.3, no renegotiation, no compression.
 *
 * A `struct tls_context` is shared by reference counts; connections keep the settings they began
 * with, so tls_context_reload takes effect for new connections while old ones live on. Loop thread
 * only. */
#ifndef LQ_HTTP_TLS_H
#define LQ_HTTP_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/time.h"

struct tls_context;

enum { TLS_PIN_BYTES = 32, TLS_NAME_MAX = 256 };

enum tls_client_auth {
    TLS_CLIENT_AUTH_NONE,     /* clients are not asked */
    TLS_CLIENT_AUTH_OPTIONAL, /* asked; one that fails the check ends the handshake, none is fine */
    TLS_CLIENT_AUTH_REQUIRED
};

struct tls_server_options {
    const char *certificate_pem; /* own certificate, then intermediates */
    const char *key_pem;
    const char *client_ca_pem; /* trusted for clients; NULL with TLS_CLIENT_AUTH_NONE */
    enum tls_client_auth client_auth;
    /* Accept a client whose certificate ran out at most so long ago, so that a site that was away
     * can renew; the handler then looks at tls_peer.not_after. Zero: none. */
    struct span_ms client_expired_max;
};

struct tls_client_options {
    /* How the server is recognised; at least one. With a CA the name in the endpoint (or
     * server_name) must be in the certificate too; with a pin alone neither name nor dates
     * count. Both: both must hold. The pin is of the server's own key, or of the authority that
     * signed the server's certificate and that the server sends along with it. */
    const char *ca_pem;
    const uint8_t *spki_pin;     /* TLS_PIN_BYTES of SHA-256 over the public key (cert.h) */
    const char *server_name;     /* expected name; NULL: the host part of the endpoint */
    const char *certificate_pem; /* own identity, both or neither */
    const char *key_pem;
};

/* Texts are copied. ERR_INVALID with the fault telling which text is bad; ERR_NO_MEMORY. */
enum err tls_context_create_server(const struct tls_server_options *options, struct fault *fault,
                                   struct tls_context **out_context) LQ_CHECKED;
enum err tls_context_create_client(const struct tls_client_options *options, struct fault *fault,
                                   struct tls_context **out_context) LQ_CHECKED;
/* Swap certificate and key (and the CA text, unless NULL) for connections from now on. On failure
 * all stays. */
enum err tls_context_reload(struct tls_context *context, const char *certificate_pem,
                            const char *key_pem, const char *ca_pem,
                            struct fault *fault) LQ_CHECKED;
struct tls_context *tls_context_hold(struct tls_context *context); /* one more owner; returns it */
void tls_context_release(struct tls_context *context);             /* accepts NULL */

/* Who is at the other end, as its checked certificate says. */
struct tls_peer {
    uint8_t sha256[32]; /* of the whole certificate (DER) */
    uint8_t spki_pin[TLS_PIN_BYTES];
    char subject[TLS_NAME_MAX]; /* common name; empty when none or not printable ASCII */
    char uri[TLS_NAME_MAX]; /* the only URI in the alternative names; empty when none or several */
    struct wall_us not_after; /* it may run out while the connection lives: compare with now */
};

#endif
