#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/digest.h"
#include "base/hex.h"
#include "http/cert_private.h"

int cert_no_passphrase(char *buffer, int size, int is_writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)is_writing;
    (void)context;
    return -1;
}

bool cert_is_p256(const EVP_PKEY *pkey)
{
    char group[32];
    size_t len;
    return pkey != NULL && EVP_PKEY_is_a(pkey, "EC") &&
           EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) == 1 &&
           strcmp(group, SN_X9_62_prime256v1) == 0;
}

enum err cert_pem_copy(BIO *bio, char out_pem[CERT_PEM_MAX])
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    enum err code = len > 0 && len < CERT_PEM_MAX ? ERR_OK : ERR_LIMIT;
    if (code == ERR_OK) {
        memcpy(out_pem, data, (size_t)len);
        out_pem[len] = '\0';
    }
    BIO_free(bio);
    return code;
}

static enum err cert_key_wrap(EVP_PKEY *pkey, struct cert_key **out_key)
{
    struct cert_key *key = malloc(sizeof(*key));
    if (key == NULL) {
        EVP_PKEY_free(pkey);
        return ERR_NO_MEMORY;
    }
    key->pkey = pkey;
    *out_key = key;
    return ERR_OK;
}

enum err cert_key_generate(struct cert_key **out_key)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    if (pkey == NULL) {
        ERR_clear_error();
        return ERR_IO;
    }
    return cert_key_wrap(pkey, out_key);
}

enum err cert_key_from_pem(struct slice pem, struct cert_key **out_key)
{
    if (pem.len == 0 || pem.len > CERT_PEM_MAX)
        return ERR_INVALID;
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    if (bio == NULL)
        return ERR_NO_MEMORY;
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, cert_no_passphrase, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (pkey == NULL)
        return ERR_INVALID;
    if (!cert_is_p256(pkey)) {
        EVP_PKEY_free(pkey);
        return ERR_INVALID;
    }
    return cert_key_wrap(pkey, out_key);
}

enum err cert_key_to_pem(const struct cert_key *key, char out_pem[CERT_PEM_MAX])
{
    BIO *bio = BIO_new(BIO_s_secmem());
    if (bio == NULL)
        return ERR_NO_MEMORY;
    if (PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1) {
        BIO_free(bio);
        ERR_clear_error();
        return ERR_NO_MEMORY;
    }
    return cert_pem_copy(bio, out_pem);
}

void cert_key_destroy(struct cert_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pkey); /* wipes the private number */
    free(key);
}

void cert_key_pin(const struct cert_key *key, uint8_t out_pin[TLS_PIN_BYTES])
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key->pkey, &der);
    ASSERT(len > 0);
    struct digest digest = digest_of(slice_make(der, (size_t)len));
    memcpy(out_pin, digest.bytes, TLS_PIN_BYTES);
    OPENSSL_free(der);
}

void cert_pin_format(const uint8_t pin[TLS_PIN_BYTES], char out_text[CERT_PIN_TEXT_MAX])
{
    hex_encode(slice_make(pin, TLS_PIN_BYTES), out_text);
}

enum err cert_pin_parse(struct slice text, uint8_t out_pin[TLS_PIN_BYTES])
{
    uint8_t pin[TLS_PIN_BYTES];
    enum err code = hex_decode(text, pin, sizeof(pin));
    if (code == ERR_OK)
        memcpy(out_pin, pin, sizeof(pin));
    return code;
}
