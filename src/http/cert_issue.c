#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "http/cert_private.h"

enum {
    CERT_COMMON_NAME_MAX = 64,
    CERT_SERIAL_BITS = 127
}; /* RFC 5280: at most 20 bytes, positive */

bool cert_set_common_name(X509_NAME *name, const char *common_name)
{
    size_t len = common_name != NULL ? strnlen(common_name, CERT_COMMON_NAME_MAX + 1) : 0;
    if (len == 0 || len > CERT_COMMON_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (common_name[i] < 0x20 || common_name[i] > 0x7e)
            return false;
    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
                                      (const unsigned char *)common_name, (int)len, -1, 0) == 1;
}

static bool set_serial(X509 *x509)
{
    BIGNUM *number = BN_new();
    bool is_set = number != NULL &&
                  BN_rand(number, CERT_SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
                  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != NULL;
    BN_free(number);
    return is_set;
}

static bool set_life(X509 *x509, struct wall_us now, struct span_ms life, const X509 *issuer)
{
    time_t from = (time_t)(now.us / 1000000 - CERT_BACKDATE_MS / 1000);
    time_t until = (time_t)(now.us / 1000000 + life.ms / 1000);
    if (ASN1_TIME_set(X509_getm_notBefore(x509), from) == NULL ||
        ASN1_TIME_set(X509_getm_notAfter(x509), until) == NULL)
        return false;
    if (issuer != NULL &&
        ASN1_TIME_compare(X509_get0_notAfter(x509), X509_get0_notAfter(issuer)) > 0)
        return X509_set1_notAfter(x509, X509_get0_notAfter(issuer)) == 1;
    return true;
}

/* `value` is a constant of this file, never data. */
static bool add_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool is_added = extension != NULL && X509_add_ext(x509, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_added;
}

static bool is_dns_name(const char *name)
{
    size_t len = strnlen(name, 254);
    if (len == 0 || len > 253)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '.' || c == '_' || (c == '*' && i == 0)))
            return false;
    }
    return true;
}

static GENERAL_NAME *general_name_make(int type, const void *data, size_t len)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *text =
        type == GEN_IPADD ? (ASN1_STRING *)ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    if (name == NULL || text == NULL || ASN1_STRING_set(text, data, (int)len) != 1) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(text);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, type, text);
    return name;
}

static GENERAL_NAME *general_name_of_host(const char *host)
{
    unsigned char address[16];
    if (inet_pton(AF_INET, host, address) == 1)
        return general_name_make(GEN_IPADD, address, 4);
    if (inet_pton(AF_INET6, host, address) == 1)
        return general_name_make(GEN_IPADD, address, 16);
    return is_dns_name(host) ? general_name_make(GEN_DNS, host, strlen(host)) : NULL;
}

static bool names_push(GENERAL_NAMES *names, GENERAL_NAME *name)
{
    if (name != NULL && names != NULL && sk_GENERAL_NAME_push(names, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return false;
}

struct leaf {
    EVP_PKEY *pkey; /* public half is used */
    const char *common_name;
    const char *const *hosts; /* servers */
    size_t host_count;
    const char *uri; /* clients; may be NULL */
    const char *usage;
};

static bool add_names(X509 *x509, const struct leaf *leaf)
{
    if (leaf->host_count == 0 && leaf->uri == NULL)
        return true;
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    bool is_added = names != NULL;
    for (size_t i = 0; is_added && i < leaf->host_count; i++)
        is_added = names_push(names, general_name_of_host(leaf->hosts[i]));
    if (is_added && leaf->uri != NULL) {
        size_t len = strnlen(leaf->uri, TLS_NAME_MAX);
        bool is_printable = len > 0 && len < TLS_NAME_MAX;
        for (size_t i = 0; i < len; i++)
            is_printable = is_printable && leaf->uri[i] > 0x20 && leaf->uri[i] < 0x7f;
        is_added = is_printable && names_push(names, general_name_make(GEN_URI, leaf->uri, len));
    }
    is_added = is_added && X509_add1_ext_i2d(x509, NID_subject_alt_name, names, 0, 0) == 1;
    GENERAL_NAMES_free(names);
    return is_added;
}

static enum err leaf_issue(const struct cert_authority *authority, const struct leaf *leaf,
                           struct wall_us now, struct span_ms life, struct cert **out_cert)
{
    X509 *issuer = authority->cert->x509;
    if (life.ms <= 0)
        return ERR_INVALID;
    X509 *x509 = X509_new();
    if (x509 == NULL)
        return ERR_NO_MEMORY;
    bool is_made = X509_set_version(x509, X509_VERSION_3) == 1 && set_serial(x509) &&
                   set_life(x509, now, life, issuer) &&
                   X509_set_issuer_name(x509, X509_get_subject_name(issuer)) == 1 &&
                   cert_set_common_name(X509_get_subject_name(x509), leaf->common_name) &&
                   X509_set_pubkey(x509, leaf->pkey) == 1 &&
                   add_extension(x509, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
                   add_extension(x509, issuer, NID_key_usage, "critical,digitalSignature") &&
                   add_extension(x509, issuer, NID_ext_key_usage, leaf->usage) &&
                   add_extension(x509, issuer, NID_subject_key_identifier, "hash") &&
                   add_extension(x509, issuer, NID_authority_key_identifier, "keyid:always") &&
                   add_names(x509, leaf) && X509_sign(x509, authority->key->pkey, EVP_sha256()) > 0;
    ERR_clear_error();
    if (!is_made) {
        X509_free(x509);
        return ERR_INVALID;
    }
    return cert_wrap(x509, out_cert);
}

enum err cert_make_authority(const struct cert_key *key, const char *common_name,
                             struct wall_us now, struct span_ms life, struct cert **out_cert)
{
    if (life.ms <= 0)
        return ERR_INVALID;
    X509 *x509 = X509_new();
    if (x509 == NULL)
        return ERR_NO_MEMORY;
    X509_NAME *name = X509_get_subject_name(x509);
    bool is_made = X509_set_version(x509, X509_VERSION_3) == 1 && set_serial(x509) &&
                   set_life(x509, now, life, NULL) && cert_set_common_name(name, common_name) &&
                   X509_set_issuer_name(x509, name) == 1 && X509_set_pubkey(x509, key->pkey) == 1 &&
                   add_extension(x509, x509, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                   add_extension(x509, x509, NID_key_usage, "critical,keyCertSign,cRLSign") &&
                   add_extension(x509, x509, NID_subject_key_identifier, "hash") &&
                   X509_sign(x509, key->pkey, EVP_sha256()) > 0;
    ERR_clear_error();
    if (!is_made) {
        X509_free(x509);
        return ERR_INVALID;
    }
    return cert_wrap(x509, out_cert);
}

enum err cert_issue_server(const struct cert_authority *authority, const struct cert_key *key,
                           const char *const *names, size_t name_count, struct wall_us now,
                           struct span_ms life, struct cert **out_cert)
{
    if (name_count == 0 || name_count > CERT_NAMES_MAX)
        return ERR_INVALID;
    /* A name longer than a common name may be stands in the alternative names only, which is where
     * clients look. */
    bool is_short = strnlen(names[0], CERT_COMMON_NAME_MAX + 1) <= CERT_COMMON_NAME_MAX;
    struct leaf leaf = {.pkey = key->pkey,
                        .common_name = is_short ? names[0] : "server",
                        .hosts = names,
                        .host_count = name_count,
                        .usage = "serverAuth"};
    return leaf_issue(authority, &leaf, now, life, out_cert);
}

enum err cert_issue_client(const struct cert_authority *authority, const struct cert_key *key,
                           const char *common_name, const char *uri, struct wall_us now,
                           struct span_ms life, struct cert **out_cert)
{
    struct leaf leaf = {
        .pkey = key->pkey, .common_name = common_name, .uri = uri, .usage = "clientAuth"};
    return leaf_issue(authority, &leaf, now, life, out_cert);
}

enum err cert_request_sign_client(const struct cert_request *request,
                                  const struct cert_authority *authority, const char *common_name,
                                  const char *uri, struct wall_us now, struct span_ms life,
                                  struct cert **out_cert)
{
    struct leaf leaf = {.pkey = X509_REQ_get0_pubkey(request->request),
                        .common_name = common_name,
                        .uri = uri,
                        .usage = "clientAuth"};
    return leaf_issue(authority, &leaf, now, life, out_cert);
}
