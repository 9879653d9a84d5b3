/* The inside of keys and certificates, for http's own TLS files. */
#ifndef LQ_HTTP_CERT_PRIVATE_H
#define LQ_HTTP_CERT_PRIVATE_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "http/cert.h"

struct cert_key {
    EVP_PKEY *pkey;
};

struct cert {
    X509 *x509;
};

struct cert_request {
    X509_REQ *request;
};

/* Takes x509 over, also on failure. */
enum err cert_wrap(X509 *x509, struct cert **out_cert) LQ_CHECKED;
void x509_pin(const X509 *x509, uint8_t out_pin[TLS_PIN_BYTES]);
void x509_describe(const X509 *x509, struct tls_peer *out_peer);
/* Copies what an output BIO holds, with a NUL, if it fits; frees the BIO. */
enum err cert_pem_copy(BIO *bio, char out_pem[CERT_PEM_MAX]) LQ_CHECKED;
/* Refuses to ask for a pass phrase on the terminal. */
int cert_no_passphrase(char *buffer, int size, int is_writing, void *context);
bool cert_is_p256(const EVP_PKEY *pkey);
/* A subject with just this common name. False: no memory or a bad name. */
bool cert_set_common_name(X509_NAME *name, const char *common_name);

#endif
