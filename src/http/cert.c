#include "http/cert.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/digest.h"
#include "http/cert_private.h"

enum err cert_wrap(X509 *x509, struct cert **out_cert)
{
    struct cert *cert = malloc(sizeof(*cert));
    if (cert == NULL) {
        X509_free(x509);
        return ERR_NO_MEMORY;
    }
    cert->x509 = x509;
    *out_cert = cert;
    return ERR_OK;
}

enum err cert_from_pem(struct slice pem, struct cert **out_cert)
{
    if (pem.len == 0 || pem.len > CERT_PEM_MAX * 8)
        return ERR_INVALID;
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    if (bio == NULL)
        return ERR_NO_MEMORY;
    X509 *x509 = PEM_read_bio_X509(bio, NULL, cert_no_passphrase, NULL);
    BIO_free(bio);
    ERR_clear_error();
    return x509 == NULL ? ERR_INVALID : cert_wrap(x509, out_cert);
}

enum err cert_to_pem(const struct cert *cert, char out_pem[CERT_PEM_MAX])
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL)
        return ERR_NO_MEMORY;
    if (PEM_write_bio_X509(bio, cert->x509) != 1) {
        BIO_free(bio);
        ERR_clear_error();
        return ERR_NO_MEMORY;
    }
    return cert_pem_copy(bio, out_pem);
}

void cert_destroy(struct cert *cert)
{
    if (cert == NULL)
        return;
    X509_free(cert->x509);
    free(cert);
}

void x509_pin(const X509 *x509, uint8_t out_pin[TLS_PIN_BYTES])
{
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &der);
    ASSERT(len > 0);
    struct digest digest = digest_of(slice_make(der, (size_t)len));
    memcpy(out_pin, digest.bytes, TLS_PIN_BYTES);
    OPENSSL_free(der);
}

void cert_pin(const struct cert *cert, uint8_t out_pin[TLS_PIN_BYTES])
{
    x509_pin(cert->x509, out_pin);
}

/* Only printable ASCII gets through, so that a name from a certificate is safe in logs and
 * comparisons. */
static void name_copy(const unsigned char *data, int len, char out[TLS_NAME_MAX])
{
    out[0] = '\0';
    if (data == NULL || len <= 0 || len >= TLS_NAME_MAX)
        return;
    for (int i = 0; i < len; i++)
        if (data[i] < 0x20 || data[i] > 0x7e)
            return;
    memcpy(out, data, (size_t)len);
    out[len] = '\0';
}

static void describe_uri(const X509 *x509, char out_uri[TLS_NAME_MAX])
{
    out_uri[0] = '\0';
    GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
    int uri_count = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI)
            continue;
        if (uri_count++ == 0)
            name_copy(ASN1_STRING_get0_data(name->d.uniformResourceIdentifier),
                      ASN1_STRING_length(name->d.uniformResourceIdentifier), out_uri);
    }
    if (uri_count != 1)
        out_uri[0] = '\0';
    GENERAL_NAMES_free(names);
}

static struct wall_us wall_of(const ASN1_TIME *time)
{
    struct tm at;
    if (ASN1_TIME_to_tm(time, &at) != 1)
        return (struct wall_us){0};
    return (struct wall_us){(int64_t)timegm(&at) * 1000000};
}

void x509_describe(const X509 *x509, struct tls_peer *out_peer)
{
    struct tls_peer peer;
    memset(&peer, 0, sizeof(peer));
    unsigned len = 0;
    ASSERT(X509_digest(x509, EVP_sha256(), peer.sha256, &len) == 1 && len == sizeof(peer.sha256));
    x509_pin(x509, peer.spki_pin);
    X509_NAME *subject = X509_get_subject_name(x509);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at >= 0) {
        const ASN1_STRING *text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
        name_copy(ASN1_STRING_get0_data(text), ASN1_STRING_length(text), peer.subject);
    }
    describe_uri(x509, peer.uri);
    peer.not_after = wall_of(X509_get0_notAfter(x509));
    *out_peer = peer;
}

void cert_describe(const struct cert *cert, struct tls_peer *out_peer)
{
    x509_describe(cert->x509, out_peer);
}

struct wall_us cert_not_after(const struct cert *cert)
{
    return wall_of(X509_get0_notAfter(cert->x509));
}

struct wall_us cert_not_before(const struct cert *cert)
{
    return wall_of(X509_get0_notBefore(cert->x509));
}

struct span_ms cert_remaining(const struct cert *cert, struct wall_us now)
{
    return SPAN_MS((cert_not_after(cert).us - now.us) / 1000);
}

bool cert_is_for_key(const struct cert *cert, const struct cert_key *key)
{
    uint8_t a[TLS_PIN_BYTES], b[TLS_PIN_BYTES];
    cert_pin(cert, a);
    cert_key_pin(key, b);
    return memcmp(a, b, sizeof(a)) == 0;
}
