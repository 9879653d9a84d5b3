/* Keys and certificates: EC P-256 keys, X.509 v3, SHA-256. A small authority for one network.
 *
 * Texts are PEM, NUL-terminated, written into caller-owned buffers of CERT_PEM_MAX bytes.
 * Certificates are backdated by CERT_BACKDATE_MS, so that a receiver with a slow clock accepts
 * them. Objects are owned by the caller (destroy). Thread-neutral: no shared state. */
#ifndef LQ_HTTP_CERT_H
#define LQ_HTTP_CERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/time.h"
#include "http/tls.h"

struct cert_key;     /* a private key */
struct cert;         /* a certificate */
struct cert_request; /* a parsed signing request whose own signature holds */

enum { CERT_PEM_MAX = 8192, CERT_NAMES_MAX = 32, CERT_PIN_TEXT_MAX = 65 };
#define CERT_BACKDATE_MS ((int64_t)3600 * 1000)

enum err cert_key_generate(struct cert_key **out_key) LQ_CHECKED; /* ERR_NO_MEMORY, ERR_IO */
enum err cert_key_from_pem(struct slice pem, struct cert_key **out_key)
    LQ_CHECKED; /* ERR_INVALID; never asks for a pass phrase */
enum err cert_key_to_pem(const struct cert_key *key, char out_pem[CERT_PEM_MAX]) LQ_CHECKED;
void cert_key_destroy(struct cert_key *key); /* wipes; accepts NULL */

enum err cert_from_pem(struct slice pem,
                       struct cert **out_cert) LQ_CHECKED; /* the first of the text; ERR_INVALID */
enum err cert_to_pem(const struct cert *cert, char out_pem[CERT_PEM_MAX]) LQ_CHECKED;
void cert_destroy(struct cert *cert);

/* SHA-256 over the public key (SubjectPublicKeyInfo, DER). The text form is 64 lower-case hex
 * digits. */
void cert_pin(const struct cert *cert, uint8_t out_pin[TLS_PIN_BYTES]);
void cert_key_pin(const struct cert_key *key, uint8_t out_pin[TLS_PIN_BYTES]);
void cert_pin_format(const uint8_t pin[TLS_PIN_BYTES], char out_text[CERT_PIN_TEXT_MAX]);
enum err cert_pin_parse(struct slice text,
                        uint8_t out_pin[TLS_PIN_BYTES]) LQ_CHECKED; /* ERR_INVALID */

/* What a certificate says (as struct tls_peer, without having been checked against a CA). */
void cert_describe(const struct cert *cert, struct tls_peer *out_peer);
struct wall_us cert_not_after(const struct cert *cert);
struct wall_us cert_not_before(const struct cert *cert);
/* Life left at `now`; negative when over. */
struct span_ms cert_remaining(const struct cert *cert, struct wall_us now);
bool cert_is_for_key(const struct cert *cert, const struct cert_key *key);

/* A self-signed authority that may sign leaves only (path length 0). `life` counts from `now`.
 * ERR_INVALID (name empty or too long, life not positive), ERR_NO_MEMORY. */
enum err cert_make_authority(const struct cert_key *key, const char *common_name,
                             struct wall_us now, struct span_ms life,
                             struct cert **out_cert) LQ_CHECKED;

struct cert_authority {
    const struct cert *cert;
    const struct cert_key *key;
};

/* For servers: `names` are DNS names and IP addresses (at most CERT_NAMES_MAX), the first is the
 * common name. The leaf never outlives the authority. */
enum err cert_issue_server(const struct cert_authority *authority, const struct cert_key *key,
                           const char *const *names, size_t name_count, struct wall_us now,
                           struct span_ms life, struct cert **out_cert) LQ_CHECKED;
/* For clients: common name, and `uri` (may be NULL) as the only alternative name, e.g.
 * "lingqu:site:site_01...". */
enum err cert_issue_client(const struct cert_authority *authority, const struct cert_key *key,
                           const char *common_name, const char *uri, struct wall_us now,
                           struct span_ms life, struct cert **out_cert) LQ_CHECKED;

/* Signing requests: the client keeps its key and sends the PEM; the authority takes nothing but the
 * public key from it and writes the names itself. */
enum err cert_request_make(const struct cert_key *key, const char *common_name,
                           char out_pem[CERT_PEM_MAX]) LQ_CHECKED;
/* ERR_INVALID: no request, a bad signature, or not a P-256 key. */
enum err cert_request_parse(struct slice pem, struct cert_request **out_request) LQ_CHECKED;
void cert_request_pin(const struct cert_request *request, uint8_t out_pin[TLS_PIN_BYTES]);
enum err cert_request_sign_client(const struct cert_request *request,
                                  const struct cert_authority *authority, const char *common_name,
                                  const char *uri, struct wall_us now, struct span_ms life,
                                  struct cert **out_cert) LQ_CHECKED;
void cert_request_destroy(struct cert_request *request);

#endif
