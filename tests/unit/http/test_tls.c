/* TLS both ways: who is believed, who is refused, what is said about it. */
#include "harness.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>

static int set_up(void **state)
{
    struct http_server_limits limits = {.handshake_max = {500}, .idle_max = {2000}};
    *state = harness_create_tls(&limits, TLS_CLIENT_AUTH_OPTIONAL, SPAN_S(3600));
    return 0;
}

static int set_up_strict(void **state)
{
    *state = harness_create_tls(NULL, TLS_CLIENT_AUTH_REQUIRED, SPAN_S(3600));
    return 0;
}

static int set_up_expired(void **state)
{
    *state = harness_create_tls(NULL, TLS_CLIENT_AUTH_NONE, SPAN_S(-3600));
    return 0;
}

static int tear_down(void **state)
{
    harness_destroy(*state);
    return 0;
}

static void run_with(struct harness *harness, struct tls_context *tls, const char *target,
                     struct call *call)
{
    struct http_client_request request = harness_request(harness, "POST", target);
    request.tls = tls;
    request.body = SLICE_LITERAL("over tls");
    call_run(harness, &request, call);
}

static struct http_server_counts counts_of(struct harness *harness)
{
    struct http_server_counts counts;
    http_server_counts(harness->server, &counts);
    return counts;
}

static void a_server_of_our_authority_is_believed_and_sessions_resume(void **state)
{
    struct harness *harness = *state;
    struct tls_context *tls = harness_client_tls(harness, NULL, NULL);
    struct call call;
    for (int i = 0; i < 3; i++) {
        run_with(harness, tls, "/echo", &call);
        assert_int_equal(call.code, ERR_OK);
        assert_string_equal(call.body, "over tls");
        http_client_drop_idle(harness->client);
    }
    assert_int_equal(counts_of(harness).handshakes_total, 3);
    assert_int_equal(counts_of(harness).handshakes_resumed, 2);
    run_with(harness, tls, "/peer", &call);
    assert_int_equal(call.status, 403); /* it showed none */
    tls_context_release(tls);
}

static void the_wrong_authority_name_or_pin_is_refused(void **state)
{
    struct harness *harness = *state;
    struct harness *other = harness_create_tls(NULL, TLS_CLIENT_AUTH_NONE, SPAN_S(60));
    struct tls_context *tls;
    struct call call;
    struct tls_client_options options = {.ca_pem = other->authority.ca_pem};
    assert_int_equal(tls_context_create_client(&options, NULL, &tls), ERR_OK);
    run_with(harness, tls, "/echo", &call);
    assert_int_equal(call.code, ERR_DENIED);
    tls_context_release(tls);
    options = (struct tls_client_options){.ca_pem = harness->authority.ca_pem,
                                          .server_name = "elsewhere.example"};
    assert_int_equal(tls_context_create_client(&options, NULL, &tls), ERR_OK);
    run_with(harness, tls, "/echo", &call);
    assert_int_equal(call.code, ERR_DENIED);
    tls_context_release(tls);
    options = (struct tls_client_options){.spki_pin = other->server_pin};
    assert_int_equal(tls_context_create_client(&options, NULL, &tls), ERR_OK);
    run_with(harness, tls, "/echo", &call);
    assert_int_equal(call.code, ERR_DENIED);
    assert_non_null(strstr(call.fault.message, "not the pinned one"));
    tls_context_release(tls);
    assert_int_equal(harness->requests, 0); /* nothing was sent to a server that was not believed */
    harness_destroy(other);
}

static void the_pin_alone_is_enough_to_join(void **state)
{
    struct harness *harness = *state;
    struct tls_context *tls;
    struct call call;
    struct tls_client_options options = {.spki_pin = harness->server_pin,
                                         .server_name = "any.example"};
    assert_int_equal(tls_context_create_client(&options, NULL, &tls), ERR_OK);
    run_with(harness, tls, "/echo", &call);
    assert_int_equal(call.code, ERR_OK);
    tls_context_release(tls);
    options = (struct tls_client_options){.server_name = "any.example"};
    assert_int_equal(tls_context_create_client(&options, NULL, &tls), ERR_INVALID);
}

static void an_expired_server_is_refused(void **state)
{
    struct harness *harness = *state;
    struct tls_context *tls = harness_client_tls(harness, NULL, NULL);
    struct call call;
    run_with(harness, tls, "/echo", &call);
    assert_int_equal(call.code, ERR_DENIED);
    assert_non_null(strstr(call.fault.message, "expired"));
    tls_context_release(tls);
}

static void peer_with(struct harness *harness, struct span_ms begin, struct span_ms life,
                      struct call *call)
{
    char certificate_pem[CERT_PEM_MAX], key_pem[CERT_PEM_MAX];
    harness_client_certificate(harness, "lingqu:site:one", begin, life, certificate_pem, key_pem);
    struct tls_context *tls = harness_client_tls(harness, certificate_pem, key_pem);
    run_with(harness, tls, "/peer", call);
    tls_context_release(tls);
}

static void a_client_certificate_tells_the_site(void **state)
{
    struct call call;
    peer_with(*state, SPAN_S(0), SPAN_S(3600), &call);
    assert_int_equal(call.code, ERR_OK);
    assert_string_equal(call.body, "lingqu:site:one");
}

static void a_client_that_expired_long_ago_or_is_not_ours_is_refused(void **state)
{
    struct harness *harness = *state;
    struct call call;
    peer_with(harness, SPAN_S(-3600), SPAN_S(3300), &call); /* 300 s ago: within the grace */
    assert_int_equal(call.code, ERR_OK);
    assert_int_equal(call.status, 200);
    peer_with(harness, SPAN_S(-3600), SPAN_S(1800), &call); /* 1800 s ago */
    assert_int_equal(call.code, ERR_DENIED);
    peer_with(harness, SPAN_S(7200), SPAN_S(1800), &call); /* not yet, beyond the backdating */
    assert_int_equal(call.code, ERR_DENIED);
    struct harness *other = harness_create_tls(NULL, TLS_CLIENT_AUTH_NONE, SPAN_S(60));
    char certificate_pem[CERT_PEM_MAX], key_pem[CERT_PEM_MAX];
    harness_client_certificate(other, "lingqu:site:one", SPAN_S(0), SPAN_S(60), certificate_pem,
                               key_pem);
    struct tls_context *tls = harness_client_tls(harness, certificate_pem, key_pem);
    run_with(harness, tls, "/peer", &call);
    assert_int_equal(call.code, ERR_DENIED);
    tls_context_release(tls);
    harness_destroy(other);
}

static void a_client_without_a_certificate_is_refused_where_one_is_required(void **state)
{
    struct harness *harness = *state;
    struct tls_context *tls = harness_client_tls(harness, NULL, NULL);
    struct call call;
    run_with(harness, tls, "/echo", &call);
    assert_int_equal(call.code, ERR_DENIED);
    assert_int_equal(harness->requests, 0);
    tls_context_release(tls);
}

static void a_server_certificate_is_no_client_certificate(void **state)
{
    static const char *const names[] = {"localhost"};
    struct harness *harness = *state;
    struct cert_key *key;
    struct cert *cert;
    char certificate_pem[CERT_PEM_MAX], key_pem[CERT_PEM_MAX];
    struct clock clock = clock_system();
    struct cert_authority signer = {harness->authority.ca, harness->authority.ca_key};
    assert_int_equal(cert_key_generate(&key), ERR_OK);
    assert_int_equal(
        cert_issue_server(&signer, key, names, 1, clock_wall(&clock), SPAN_S(60), &cert), ERR_OK);
    assert_int_equal(cert_to_pem(cert, certificate_pem), ERR_OK);
    assert_int_equal(cert_key_to_pem(key, key_pem), ERR_OK);
    struct tls_context *tls = harness_client_tls(harness, certificate_pem, key_pem);
    struct call call;
    run_with(harness, tls, "/peer", &call);
    assert_int_equal(call.code, ERR_DENIED);
    tls_context_release(tls);
    cert_destroy(cert);
    cert_key_destroy(key);
}

/* Reloads the server with `leaf` and then the harness's authority, and says what a client that pins
 * the authority's key gets. */
static enum err code_with_pinned_authority(struct harness *harness, const struct cert *leaf,
                                           const struct cert_key *key)
{
    char chain[2 * CERT_PEM_MAX], leaf_pem[CERT_PEM_MAX], key_pem[CERT_PEM_MAX];
    uint8_t pin[TLS_PIN_BYTES];
    struct tls_context *pinned;
    struct call call;
    assert_int_equal(cert_to_pem(leaf, leaf_pem), ERR_OK);
    assert_int_equal(cert_key_to_pem(key, key_pem), ERR_OK);
    (void)snprintf(chain, sizeof(chain), "%s%s", leaf_pem, harness->authority.ca_pem);
    assert_int_equal(tls_context_reload(harness->server_tls, chain, key_pem, NULL, NULL), ERR_OK);
    cert_pin(harness->authority.ca, pin);
    struct tls_client_options options = {.spki_pin = pin};
    assert_int_equal(tls_context_create_client(&options, NULL, &pinned), ERR_OK);
    run_with(harness, pinned, "/echo", &call);
    tls_context_release(pinned);
    return call.code;
}

static void a_pinned_authority_counts_only_where_it_signed_the_server_itself(void **state)
{
    static const char *const names[] = {"elsewhere.test"};
    struct harness *harness = *state;
    struct clock clock = clock_system();
    struct wall_us now = clock_wall(&clock);
    struct cert_authority good = {harness->authority.ca, harness->authority.ca_key};
    struct cert_authority rogue;
    struct cert_key *key, *rogue_key;
    struct cert *rogue_ca, *leaf;
    assert_int_equal(cert_key_generate(&key), ERR_OK);
    assert_int_equal(cert_key_generate(&rogue_key), ERR_OK);
    assert_int_equal(cert_make_authority(rogue_key, "test authority", now, SPAN_S(600), &rogue_ca),
                     ERR_OK);
    rogue = (struct cert_authority){rogue_ca, rogue_key};

    assert_int_equal(cert_issue_server(&good, key, names, 1, now, SPAN_S(60), &leaf), ERR_OK);
    assert_int_equal(code_with_pinned_authority(harness, leaf, key), ERR_OK);
    cert_destroy(leaf);
    /* the authority's public certificate beside a leaf that another of the same name signed */
    assert_int_equal(cert_issue_server(&rogue, key, names, 1, now, SPAN_S(60), &leaf), ERR_OK);
    assert_int_equal(code_with_pinned_authority(harness, leaf, key), ERR_DENIED);
    cert_destroy(leaf);
    /* a site of the network that poses as its server */
    assert_int_equal(
        cert_issue_client(&good, key, "a site", "lingqu:site:x", now, SPAN_S(60), &leaf), ERR_OK);
    assert_int_equal(code_with_pinned_authority(harness, leaf, key), ERR_DENIED);
    cert_destroy(leaf);
    cert_destroy(rogue_ca);
    cert_key_destroy(rogue_key);
    cert_key_destroy(key);
}

static void a_renewed_certificate_is_used_from_the_next_connection_on(void **state)
{
    static const char *const names[] = {"127.0.0.1"};
    struct harness *harness = *state;
    struct tls_context *tls = harness_client_tls(harness, NULL, NULL);
    struct cert_key *key;
    struct cert *cert;
    char certificate_pem[CERT_PEM_MAX], key_pem[CERT_PEM_MAX];
    uint8_t pin[TLS_PIN_BYTES];
    struct clock clock = clock_system();
    struct cert_authority signer = {harness->authority.ca, harness->authority.ca_key};
    struct call held, call;
    struct http_client_request request = harness_request(harness, "GET", "/hold");
    request.tls = tls;
    call_start(harness, &request, &held);
    while (harness->held == NULL)
        loop_turn(harness->loop);
    assert_int_equal(cert_key_generate(&key), ERR_OK);
    assert_int_equal(
        cert_issue_server(&signer, key, names, 1, clock_wall(&clock), SPAN_S(60), &cert), ERR_OK);
    assert_int_equal(cert_to_pem(cert, certificate_pem), ERR_OK);
    assert_int_equal(cert_key_to_pem(key, key_pem), ERR_OK);
    cert_pin(cert, pin);
    assert_int_equal(tls_context_reload(harness->server_tls, certificate_pem, key_pem, NULL, NULL),
                     ERR_OK);
    struct tls_client_options options = {.spki_pin = pin};
    struct tls_context *pinned;
    assert_int_equal(tls_context_create_client(&options, NULL, &pinned), ERR_OK);
    run_with(harness, pinned, "/echo", &call);
    assert_int_equal(call.code, ERR_OK);
    http_exchange_respond_json(harness->held, 200, SLICE_LITERAL("old one lives"));
    harness_until(harness, &held.is_done);
    assert_string_equal(held.body, "old one lives");
    struct fault fault;
    assert_int_equal(
        tls_context_reload(harness->server_tls, certificate_pem, "rubbish", NULL, &fault),
        ERR_INVALID);
    run_with(harness, pinned, "/echo", &call); /* a failed reload changes nothing */
    assert_int_equal(call.code, ERR_OK);
    tls_context_release(pinned);
    tls_context_release(tls);
    cert_destroy(cert);
    cert_key_destroy(key);
}

static void large_bodies_cross_tls_both_ways(void **state)
{
    struct harness *harness = *state;
    struct tls_context *tls = harness_client_tls(harness, NULL, NULL);
    struct call call;
    char *body = malloc(1 << 20);
    memset(body, 'z', 1 << 20);
    struct http_client_request request = harness_request(harness, "POST", "/echo");
    request.tls = tls;
    request.body = slice_make(body, 1 << 20);
    call_run(harness, &request, &call);
    assert_int_equal(call.code, ERR_OK);
    assert_int_equal(call.body_len, 1 << 20);
    request = harness_request(harness, "GET", "/big");
    request.tls = tls;
    request.is_response_streamed = true;
    call_run(harness, &request, &call);
    assert_int_equal(call.code, ERR_OK);
    assert_int_equal(call.body_len, BIG_BYTES);
    free(body);
    tls_context_release(tls);
}

/* ---- hostile ends ---- */

static void garbage_and_plain_http_on_a_tls_port_are_closed(void **state)
{
    struct harness *harness = *state;
    static const char *const cases[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                                        "\x16\x03\x01\x40\x10garbage garbage garbage garbage",
                                        "\x80\x2e\x01\x03\x01 SSLv2 hello that is none ...."};
    for (size_t i = 0; i < 3; i++) {
        struct raw raw;
        raw_open(harness, &raw);
        raw_send(&raw, cases[i]);
        raw_until_end(&raw);
        assert_null(strstr(raw.text, "HTTP"));
        raw_close(&raw);
    }
    struct raw silent; /* a handshake that never comes */
    raw_open(harness, &silent);
    raw_until_end(&silent);
    raw_close(&silent);
    while (counts_of(harness).connections_now > 0)
        loop_turn(harness->loop);
    assert_int_equal(counts_of(harness).handshakes_failed, 4);
    assert_int_equal(harness->requests, 0);
}

/* An OpenSSL client driven by hand, for what our own client never does. */
struct hand {
    SSL_CTX *settings;
    SSL *ssl;
    struct raw raw;
    size_t taken;
};

static void hand_open(struct harness *harness, struct hand *hand, int version)
{
    hand->settings = SSL_CTX_new(TLS_client_method());
    hand->taken = 0;
    SSL_CTX_set_max_proto_version(hand->settings, version);
    SSL_CTX_set_min_proto_version(hand->settings, version);
    SSL_CTX_set_security_level(hand->settings, 0);
    SSL_CTX_set_cipher_list(hand->settings, "ALL:@SECLEVEL=0");
    SSL_CTX_set_verify(hand->settings, SSL_VERIFY_NONE, NULL);
    hand->ssl = SSL_new(hand->settings);
    SSL_set_bio(hand->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(hand->ssl);
    raw_open(harness, &hand->raw);
}

static void hand_close(struct hand *hand)
{
    SSL_free(hand->ssl);
    SSL_CTX_free(hand->settings);
    ERR_clear_error();
    raw_close(&hand->raw);
}

/* Moves bytes both ways and turns the loop. */
static void hand_move(struct hand *hand)
{
    char *data;
    long len = BIO_get_mem_data(SSL_get_wbio(hand->ssl), &data);
    if (len > 0) {
        raw_send_bytes(&hand->raw, slice_make(data, (size_t)len));
        (void)BIO_reset(SSL_get_wbio(hand->ssl));
    }
    loop_turn(hand->raw.harness->loop);
    if (hand->raw.len > hand->taken) {
        BIO_write(SSL_get_rbio(hand->ssl), hand->raw.text + hand->taken,
                  (int)(hand->raw.len - hand->taken));
        hand->taken = hand->raw.len;
    }
}

static bool hand_shake(struct hand *hand)
{
    for (int i = 0; i < 2000 && !hand->raw.is_ended; i++) {
        if (SSL_do_handshake(hand->ssl) == 1) {
            hand_move(hand);
            return true;
        }
        hand_move(hand);
    }
    return false;
}

static void clients_cannot_renegotiate(void **state)
{
    struct harness *harness = *state;
    struct hand hand;
    hand_open(harness, &hand, TLS1_2_VERSION);
    assert_true(hand_shake(&hand));
    assert_int_equal(SSL_renegotiate(hand.ssl), 1);
    bool is_renegotiated = hand_shake(&hand);
    assert_false(is_renegotiated && SSL_num_renegotiations(hand.ssl) > 0 &&
                 !SSL_renegotiate_pending(hand.ssl));
    assert_true(harness->requests == 0);
    hand_close(&hand);
    hand_open(harness, &hand, TLS1_2_VERSION); /* 1.2 as such is fine */
    assert_true(hand_shake(&hand));
    static const char request[] = "GET /ignore HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_int_equal(SSL_write(hand.ssl, request, sizeof(request) - 1), sizeof(request) - 1);
    char answer[16] = "";
    for (int i = 0; i < 2000 && SSL_read(hand.ssl, answer, 12) != 12; i++)
        hand_move(&hand);
    assert_memory_equal(answer, "HTTP/1.1 200", 12);
    hand_close(&hand);
}

static void old_versions_are_refused(void **state)
{
    struct hand hand;
    hand_open(*state, &hand, TLS1_1_VERSION);
    assert_false(hand_shake(&hand));
    hand_close(&hand);
}

static void a_broken_record_ends_the_connection(void **state)
{
    struct harness *harness = *state;
    struct hand hand;
    hand_open(harness, &hand, TLS1_3_VERSION);
    assert_true(hand_shake(&hand));
    for (int i = 0; i < 20; i++)
        hand_move(&hand);
    raw_send_bytes(&hand.raw,
                   SLICE_LITERAL("\x17\x03\x03\x00\x20 this was never encrypted by us "));
    raw_until_end(&hand.raw);
    assert_int_equal(harness->requests, 0);
    hand_close(&hand);
}

int main(void)
{
#define CASE(name, begin) cmocka_unit_test_setup_teardown(name, begin, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_server_of_our_authority_is_believed_and_sessions_resume, set_up),
        CASE(the_wrong_authority_name_or_pin_is_refused, set_up),
        CASE(the_pin_alone_is_enough_to_join, set_up),
        CASE(a_pinned_authority_counts_only_where_it_signed_the_server_itself, set_up),
        CASE(an_expired_server_is_refused, set_up_expired),
        CASE(a_client_certificate_tells_the_site, set_up),
        CASE(a_client_that_expired_long_ago_or_is_not_ours_is_refused, set_up),
        CASE(a_client_without_a_certificate_is_refused_where_one_is_required, set_up_strict),
        CASE(a_server_certificate_is_no_client_certificate, set_up),
        CASE(a_renewed_certificate_is_used_from_the_next_connection_on, set_up),
        CASE(large_bodies_cross_tls_both_ways, set_up),
        CASE(garbage_and_plain_http_on_a_tls_port_are_closed, set_up),
        CASE(clients_cannot_renegotiate, set_up),
        CASE(old_versions_are_refused, set_up),
        CASE(a_broken_record_ends_the_connection, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
