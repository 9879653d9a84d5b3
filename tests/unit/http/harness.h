/* A server on a loop with echoing routes, raw sockets against it, and a client: for the tests of
 * http. Routes: POST /echo collects (limit 1 MiB), POST /small collects (limit 100 bytes), POST
 * /stream streams back, GET /hold answers when the test says so, GET /drip writes until the client
 * is gone, POST /ignore answers without the body, GET /peer gives the client's URI, GET /big
 * answers 8 MiB. */
#ifndef LQ_TEST_HTTP_HARNESS_H
#define LQ_TEST_HTTP_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/cert.h"
#include "http/client.h"
#include "http/server.h"
#include "port/clock.h"
#include "port/loop.h"

enum { BIG_BYTES = 8 << 20, RAW_TEXT_MAX = 1 << 20 };

struct authority_files {
    struct cert_key *ca_key;
    struct cert *ca;
    char ca_pem[CERT_PEM_MAX];
};

struct harness {
    struct loop *loop;
    struct http_server *server;
    struct http_client *client;
    struct tls_context *server_tls;
    struct loop_timer guard;
    char endpoint[ENDPOINT_TEXT_MAX];
    struct authority_files authority;
    uint8_t server_pin[TLS_PIN_BYTES];
    struct http_exchange *held; /* by /hold */
    size_t big_left;
    int requests;
    int closes;      /* on_close calls */
    enum err why;    /* of the last */
    size_t streamed; /* bytes that /stream saw */
    int drains;
    bool is_drained;
};

/* ---- life; limits may be NULL ---- */
struct harness *harness_create(const struct http_server_limits *limits);
struct harness *harness_create_tls(const struct http_server_limits *limits,
                                   enum tls_client_auth client_auth, struct span_ms server_life);
void harness_destroy(struct harness *harness);
/* Turns the loop until *flag or fails after 20 s. */
void harness_until(struct harness *harness, const bool *flag);
/* Client settings that trust the harness's authority; certificate may be NULL. */
struct tls_context *harness_client_tls(struct harness *harness, const char *certificate_pem,
                                       const char *key_pem);
void harness_client_certificate(struct harness *harness, const char *uri, struct span_ms begin,
                                struct span_ms life, char certificate_pem[CERT_PEM_MAX],
                                char key_pem[CERT_PEM_MAX]);

/* ---- raw sockets ---- */
struct raw {
    struct harness *harness;
    struct stream *stream;
    char *text; /* what came, NUL-terminated */
    size_t len;
    bool is_open, is_ended;
    enum err end_code;
};

void raw_open(struct harness *harness, struct raw *raw);
void raw_close(struct raw *raw);
void raw_send(struct raw *raw, const char *text);
void raw_send_bytes(struct raw *raw, struct slice bytes);
void raw_until_end(struct raw *raw); /* the server closes */
void raw_until_text(struct raw *raw, const char *expected);
/* Opens, sends, waits for the server's close, checks the status line and closes. status 0: no
 * answer at all. */
void raw_expect(struct harness *harness, const char *request, int status);

/* ---- calls ---- */
struct call {
    bool is_done;
    enum err code;
    int status;
    char body[65536];
    size_t body_len; /* collected or streamed; bytes over the buffer are counted only */
    struct fault fault;
    struct http_call *call;
    int drains;
};

struct http_client_request harness_request(struct harness *harness, const char *method,
                                           const char *target);
void call_start(struct harness *harness, const struct http_client_request *request,
                struct call *call);
void call_run(struct harness *harness, const struct http_client_request *request,
              struct call *call);

#endif
