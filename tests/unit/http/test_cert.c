#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/cert.h"

static const struct wall_us NOW = {(int64_t)1800000000 * 1000000};

struct fixture {
    struct cert_key *ca_key;
    struct cert *ca;
    struct cert_authority authority;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_int_equal(cert_key_generate(&fixture->ca_key), ERR_OK);
    assert_int_equal(
        cert_make_authority(fixture->ca_key, "authority", NOW, SPAN_S(864000), &fixture->ca),
        ERR_OK);
    fixture->authority = (struct cert_authority){fixture->ca, fixture->ca_key};
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    cert_destroy(fixture->ca);
    cert_key_destroy(fixture->ca_key);
    free(fixture);
    return 0;
}

static void keys_and_certificates_survive_their_text_form(void **state)
{
    struct fixture *fixture = *state;
    char pem[CERT_PEM_MAX];
    struct cert_key *key;
    struct cert *cert;
    uint8_t a[TLS_PIN_BYTES], b[TLS_PIN_BYTES];
    assert_int_equal(cert_key_to_pem(fixture->ca_key, pem), ERR_OK);
    assert_int_equal(cert_key_from_pem(slice_of(pem), &key), ERR_OK);
    assert_int_equal(cert_to_pem(fixture->ca, pem), ERR_OK);
    assert_int_equal(cert_from_pem(slice_of(pem), &cert), ERR_OK);
    cert_pin(cert, a);
    cert_key_pin(key, b);
    assert_memory_equal(a, b, sizeof(a));
    assert_true(cert_is_for_key(cert, key));
    char text[CERT_PIN_TEXT_MAX];
    cert_pin_format(a, text);
    memset(b, 0, sizeof(b));
    assert_int_equal(cert_pin_parse(slice_of(text), b), ERR_OK);
    assert_memory_equal(a, b, sizeof(a));
    assert_int_equal(cert_pin_parse(slice_of("12"), b), ERR_INVALID);
    cert_destroy(cert);
    cert_key_destroy(key);
}

static void a_client_is_certified_through_its_request(void **state)
{
    struct fixture *fixture = *state;
    struct cert_key *key;
    struct cert_request *request;
    struct cert *cert;
    struct tls_peer peer;
    char pem[CERT_PEM_MAX];
    uint8_t pin[TLS_PIN_BYTES];
    assert_int_equal(cert_key_generate(&key), ERR_OK);
    assert_int_equal(cert_request_make(key, "i am root", pem), ERR_OK);
    assert_int_equal(cert_request_parse(slice_of(pem), &request), ERR_OK);
    cert_request_pin(request, pin);
    assert_int_equal(cert_request_sign_client(request, &fixture->authority, "site a",
                                              "lingqu:site:a", NOW, SPAN_S(86400), &cert),
                     ERR_OK);
    cert_describe(cert, &peer);
    assert_string_equal(peer.subject, "site a"); /* not what the request asked for */
    assert_string_equal(peer.uri, "lingqu:site:a");
    assert_memory_equal(peer.spki_pin, pin, sizeof(pin));
    assert_true(cert_is_for_key(cert, key));
    assert_true(peer.not_after.us == NOW.us + (int64_t)86400 * 1000000);
    assert_true(cert_not_before(cert).us == NOW.us - CERT_BACKDATE_MS * 1000);
    assert_int_equal(cert_remaining(cert, NOW).ms, 86400000);
    assert_true(cert_remaining(cert, (struct wall_us){NOW.us * 2}).ms < 0);
    cert_destroy(cert);
    cert_request_destroy(request);
    cert_key_destroy(key);
}

static void a_forged_request_is_refused(void **state)
{
    (void)state;
    struct cert_key *key;
    struct cert_request *request;
    char pem[CERT_PEM_MAX];
    assert_int_equal(cert_key_generate(&key), ERR_OK);
    assert_int_equal(cert_request_make(key, "site", pem), ERR_OK);
    size_t len = strlen(pem);
    int refused = 0, tried = 0;
    for (size_t i = 60; i + 60 < len; i++) { /* every change of the signed bytes or the signature */
        char kept = pem[i];
        if (kept == '\n')
            continue;
        pem[i] = kept == 'A' ? 'B' : 'A';
        tried++;
        if (cert_request_parse(slice_of(pem), &request) == ERR_INVALID)
            refused++;
        else
            cert_request_destroy(request);
        pem[i] = kept;
    }
    assert_int_equal(refused, tried);
    assert_int_equal(cert_request_parse(slice_of("rubbish"), &request), ERR_INVALID);
    assert_int_equal(cert_request_parse(slice_of(""), &request), ERR_INVALID);
    cert_key_destroy(key);
}

static void names_are_checked_and_a_leaf_never_outlives_its_authority(void **state)
{
    struct fixture *fixture = *state;
    static const char *const good[] = {"a.example", "10.0.0.1", "fe80::1", "*.b.example"};
    static const char *const bad[] = {"a,IP:1.2.3.4"};
    static const char *const empty[] = {""};
    struct cert_key *key;
    struct cert *cert;
    assert_int_equal(cert_key_generate(&key), ERR_OK);
    assert_int_equal(
        cert_issue_server(&fixture->authority, key, good, 4, NOW, SPAN_S(99999999), &cert), ERR_OK);
    assert_true(cert_not_after(cert).us == cert_not_after(fixture->ca).us);
    cert_destroy(cert);
    assert_int_equal(cert_issue_server(&fixture->authority, key, bad, 1, NOW, SPAN_S(60), &cert),
                     ERR_INVALID);
    assert_int_equal(cert_issue_server(&fixture->authority, key, empty, 1, NOW, SPAN_S(60), &cert),
                     ERR_INVALID);
    assert_int_equal(cert_issue_server(&fixture->authority, key, good, 0, NOW, SPAN_S(60), &cert),
                     ERR_INVALID);
    assert_int_equal(cert_issue_server(&fixture->authority, key, good, 1, NOW, SPAN_S(0), &cert),
                     ERR_INVALID);
    assert_int_equal(
        cert_issue_client(&fixture->authority, key, "a\nb", NULL, NOW, SPAN_S(60), &cert),
        ERR_INVALID);
    assert_int_equal(
        cert_issue_client(&fixture->authority, key, "a", "uri with blank", NOW, SPAN_S(60), &cert),
        ERR_INVALID);
    assert_int_equal(cert_issue_client(&fixture->authority, key, "", NULL, NOW, SPAN_S(60), &cert),
                     ERR_INVALID);
    cert_key_destroy(key);
}

static void other_texts_are_no_keys_and_no_certificates(void **state)
{
    (void)state;
    static const char ed25519[] =
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMc"
        "rn9g\n-----END PRIVATE KEY-----\n"; /* the example of RFC 8410 */
    struct cert_key *key;
    struct cert *cert;
    assert_int_equal(cert_key_from_pem(slice_of(ed25519), &key), ERR_INVALID);
    assert_int_equal(cert_key_from_pem(slice_of("-----BEGIN"), &key), ERR_INVALID);
    assert_int_equal(cert_from_pem(slice_of(ed25519), &cert), ERR_INVALID);
    assert_int_equal(cert_from_pem(slice_of(""), &cert), ERR_INVALID);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(keys_and_certificates_survive_their_text_form),
        CASE(a_client_is_certified_through_its_request),
        CASE(a_forged_request_is_refused),
        CASE(names_are_checked_and_a_leaf_never_outlives_its_authority),
        CASE(other_texts_are_no_keys_and_no_certificates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
