/* The server's own keys: certificate authority, server certificate, secret key. Made at the first
 * start, kept in the state folder. */
#ifndef LQ_SERVER_IDENTITY_H
#define LQ_SERVER_IDENTITY_H

#include "server/request.h"

enum {
    CA_LIFE_DAYS = 3650,
    SERVER_CERT_LIFE_DAYS = 30,
    SERVER_CERT_RENEW_DAYS = 7,
    AGENT_CERT_LIFE_H = 24,
    SECRET_KEY_BYTES = 32
};

/* Reads or makes ca.pem, ca.key, secret.key; issues a fresh server certificate; makes server->tls.
 */
enum err identity_open(struct server *server, uint8_t out_secret[SECRET_KEY_BYTES],
                       struct fault *fault) LQ_CHECKED;
void identity_close(struct server *server);
/* A new server certificate for connections from now on. */
enum err identity_renew(struct server *server, struct fault *fault) LQ_CHECKED;
enum { CERTIFICATE_NAME_MAX = 33 };
/* By which a certificate is kept as good: the first 16 bytes of its SHA-256, in hex. */
void identity_certificate_name(const struct tls_peer *peer, char out[CERTIFICATE_NAME_MAX]);
/* A client certificate for a site, from its signing request: PEM into `out`. */
enum err identity_sign_site(struct server *server, struct slice request_pem, struct site_id site,
                            char out[CERT_PEM_MAX], char out_name[CERTIFICATE_NAME_MAX],
                            struct fault *fault) LQ_CHECKED;

#endif
