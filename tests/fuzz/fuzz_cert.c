/* PEM texts from outside: certificates, keys and signing requests. What is taken must survive its
 * own text form. */
#include <string.h>

#include "fuzz.h"
#include "http/cert.h"

static void try_certificate(struct slice input)
{
    struct cert *cert, *again;
    char pem[CERT_PEM_MAX];
    struct tls_peer a, b;
    if (cert_from_pem(input, &cert) != ERR_OK)
        return;
    cert_describe(cert, &a);
    ASSERT(strlen(a.subject) < TLS_NAME_MAX && strlen(a.uri) < TLS_NAME_MAX);
    if (cert_to_pem(cert, pem) == ERR_OK) {
        ASSERT(cert_from_pem(slice_of(pem), &again) == ERR_OK);
        cert_describe(again, &b);
        ASSERT(memcmp(a.sha256, b.sha256, sizeof(a.sha256)) == 0);
        cert_destroy(again);
    }
    cert_destroy(cert);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    struct cert_key *key;
    struct cert_request *request;
    char pem[CERT_PEM_MAX];
    uint8_t pin[TLS_PIN_BYTES];
    try_certificate(input);
    if (cert_key_from_pem(input, &key) == ERR_OK) {
        ASSERT(cert_key_to_pem(key, pem) == ERR_OK);
        cert_key_destroy(key);
    }
    if (cert_request_parse(input, &request) == ERR_OK) {
        cert_request_pin(request, pin);
        cert_request_destroy(request);
    }
    return 0;
}
