/* One TLS connection as bytes in, bytes out; no sockets. Private to http.
 *
 * The owner gives ciphertext with tls_session_input, then calls tls_session_read until it says that
 * more is needed; what is to be sent is appended to the `out` buffer given at creation, which
 * several sessions of one thread may share as long as each call's output is flushed before the next
 * session is touched. Nothing is kept of the input between calls: read until ERR_BUSY before the
 * input's memory goes. */
#ifndef LQ_HTTP_TLS_SESSION_H
#define LQ_HTTP_TLS_SESSION_H

#include "base/buffer.h"
#include "http/tls.h"

struct tls_session;

enum err tls_session_create_server(struct tls_context *context, struct buffer *out,
                                   struct tls_session **out_session) LQ_CHECKED;
/* `host` is the endpoint's host, used unless the context names another. */
enum err tls_session_create_client(struct tls_context *context, const char *host,
                                   struct buffer *out, struct tls_session **out_session) LQ_CHECKED;
void tls_session_destroy(struct tls_session *session); /* accepts NULL */

void tls_session_input(struct tls_session *session, struct slice ciphertext);
/* Drives the handshake and decrypts. ERR_OK: *out_len > 0 plaintext bytes; ERR_BUSY: needs more
 * input; ERR_CLOSED: the other side ended TLS in good order; ERR_DENIED: a certificate was refused,
 * here or there; ERR_INVALID: it does not speak TLS or breaks its rules. Output may have been
 * appended in every case. */
enum err tls_session_read(struct tls_session *session, char *buffer, size_t cap, size_t *out_len,
                          struct fault *fault) LQ_CHECKED;
/* Encrypts all of `plaintext` to the output; after the handshake. ERR_NO_MEMORY, ERR_INVALID. */
enum err tls_session_write(struct tls_session *session, struct slice plaintext) LQ_CHECKED;
void tls_session_end(struct tls_session *session); /* appends the closing message */
bool tls_session_is_established(const struct tls_session *session);
/* Server: whether the client's certificate, if it showed one, is still within its dates and the
 * context's grace. A full handshake has checked that; a resumed one may carry a certificate that
 * ran out since. */
bool tls_session_is_peer_current(const struct tls_session *session);
bool tls_session_is_resumed(const struct tls_session *session);
enum err tls_session_peer(const struct tls_session *session, struct tls_peer *out_peer) LQ_CHECKED;

#endif
