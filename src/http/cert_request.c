#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/digest.h"
#include "http/cert_private.h"

enum err cert_request_make(const struct cert_key *key, const char *common_name,
                           char out_pem[CERT_PEM_MAX])
{
    X509_REQ *request = X509_REQ_new();
    BIO *bio = BIO_new(BIO_s_mem());
    bool is_made = request != NULL && bio != NULL &&
                   cert_set_common_name(X509_REQ_get_subject_name(request), common_name) &&
                   X509_REQ_set_pubkey(request, key->pkey) == 1 &&
                   X509_REQ_sign(request, key->pkey, EVP_sha256()) > 0 &&
                   PEM_write_bio_X509_REQ(bio, request) == 1;
    X509_REQ_free(request);
    ERR_clear_error();
    if (!is_made) {
        BIO_free(bio);
        return ERR_INVALID;
    }
    return cert_pem_copy(bio, out_pem);
}

enum err cert_request_parse(struct slice pem, struct cert_request **out_request)
{
    if (pem.len == 0 || pem.len > CERT_PEM_MAX)
        return ERR_INVALID;
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    struct cert_request *wrapped = malloc(sizeof(*wrapped));
    if (bio == NULL || wrapped == NULL) {
        BIO_free(bio);
        free(wrapped);
        return ERR_NO_MEMORY;
    }
    X509_REQ *request = PEM_read_bio_X509_REQ(bio, NULL, cert_no_passphrase, NULL);
    BIO_free(bio);
    EVP_PKEY *pkey = request != NULL ? X509_REQ_get0_pubkey(request) : NULL;
    /* The signature proves that the sender holds the key it wants certified. */
    bool is_good = cert_is_p256(pkey) && X509_REQ_verify(request, pkey) == 1;
    ERR_clear_error();
    if (!is_good) {
        X509_REQ_free(request);
        free(wrapped);
        return ERR_INVALID;
    }
    wrapped->request = request;
    *out_request = wrapped;
    return ERR_OK;
}

void cert_request_pin(const struct cert_request *request, uint8_t out_pin[TLS_PIN_BYTES])
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(X509_REQ_get0_pubkey(request->request), &der);
    ASSERT(len > 0);
    struct digest digest = digest_of(slice_make(der, (size_t)len));
    memcpy(out_pin, digest.bytes, TLS_PIN_BYTES);
    OPENSSL_free(der);
}

void cert_request_destroy(struct cert_request *request)
{
    if (request == NULL)
        return;
    X509_REQ_free(request->request);
    free(request);
}
