#include "base/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/assert.h"
#include "base/hex.h"

struct digest digest_of(struct slice bytes)
{
    struct digest digest;
    unsigned int len = 0;
    int ok = EVP_Digest(bytes.data == NULL ? "" : bytes.data, bytes.len, digest.bytes, &len,
                        EVP_sha256(), NULL);
    ASSERT(ok == 1 && len == DIGEST_LEN);
    return digest;
}

struct digest digest_hmac(struct slice key, struct slice bytes)
{
    struct digest digest;
    size_t len = 0;
    const unsigned char *data = (const unsigned char *)(bytes.data == NULL ? "" : bytes.data);
    const void *done =
        EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key.data == NULL ? "" : key.data, key.len,
                  data, bytes.len, digest.bytes, DIGEST_LEN, &len);
    ASSERT(done != NULL && len == DIGEST_LEN);
    return digest;
}

static void stream_start(struct digest_stream *stream)
{
    int ok = EVP_DigestInit_ex2(stream->context, EVP_sha256(), NULL);
    ASSERT(ok == 1);
}

enum err digest_stream_init(struct digest_stream *stream)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL)
        return ERR_NO_MEMORY;
    stream->context = context;
    stream_start(stream);
    return ERR_OK;
}

void digest_stream_deinit(struct digest_stream *stream)
{
    if (stream == NULL)
        return;
    EVP_MD_CTX_free(stream->context);
    stream->context = NULL;
}

void digest_stream_update(struct digest_stream *stream, struct slice bytes)
{
    if (bytes.len == 0)
        return;
    int ok = EVP_DigestUpdate(stream->context, bytes.data, bytes.len);
    ASSERT(ok == 1);
}

struct digest digest_stream_finish(struct digest_stream *stream)
{
    struct digest digest;
    unsigned int len = 0;
    int ok = EVP_DigestFinal_ex(stream->context, digest.bytes, &len);
    ASSERT(ok == 1 && len == DIGEST_LEN);
    stream_start(stream);
    return digest;
}

bool digest_is_equal(struct digest a, struct digest b)
{
    return CRYPTO_memcmp(a.bytes, b.bytes, DIGEST_LEN) == 0;
}

bool digest_is_same_secret(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.data, b.data, a.len) == 0);
}

int digest_compare(struct digest a, struct digest b)
{
    int order = memcmp(a.bytes, b.bytes, DIGEST_LEN);
    return (order > 0) - (order < 0);
}

void digest_format(struct digest digest, char out[DIGEST_TEXT_MAX])
{
    hex_encode(slice_make(digest.bytes, DIGEST_LEN), out);
}

enum err digest_parse(struct slice text, struct digest *out_digest)
{
    struct digest digest;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] >= 'A' && text.data[i] <= 'F')
            return ERR_INVALID; /* one form only, so that texts can be compared */
    }
    enum err err = hex_decode(text, digest.bytes, DIGEST_LEN);
    if (err != ERR_OK)
        return err;
    *out_digest = digest;
    return ERR_OK;
}
