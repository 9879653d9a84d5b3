/* Who the site is: the files of the state folder that say so, joining, and the certificate's
 * renewal. Loop thread only. */
#ifndef LQ_AGENT_IDENTITY_H
#define LQ_AGENT_IDENTITY_H

#include "agent/agent.h"
#include "agent/remote.h"
#include "base/random.h"
#include "http/cert.h"

enum {
    IDENTITY_TOKEN_MAX = 256,
    IDENTITY_SITE_BYTES_MAX = 1 << 20,
};

struct identity {
    const char *state_folder;
    struct loop *loop;
    struct remote *remote;
    struct random *random;
    struct arena arena; /* owns the site's texts */
    struct site site;   /* as site.json says; id included */
    char ca_pem[CERT_PEM_MAX], certificate_pem[CERT_PEM_MAX], key_pem[CERT_PEM_MAX];
    struct loop_timer renew;
    struct http_call *call;
    uint32_t fails;
};

/* "lqj_....<64 hex>": the secret's part and the pin. ERR_INVALID with the fault. */
enum err join_token_parse(struct slice text, struct slice *out_secret,
                          uint8_t out_pin[TLS_PIN_BYTES], struct fault *fault) LQ_CHECKED;
/* site.json: {"server":"host:port","site":{...}}. The site is decoded into `arena`. */
enum err site_file_decode(struct slice json, struct arena *arena, struct slice *out_server,
                          struct site *out_site, struct fault *fault) LQ_CHECKED;
enum err site_file_encode(struct slice server, const struct site *site,
                          struct buffer *out) LQ_CHECKED;

/* Reads the state folder, or joins with the options' token (the loop runs meanwhile; ERR_CANCELLED
 * when it was stopped). Then remote->tls and remote->endpoint are set. `remote->client` is there
 * already. ERR_NOT_FOUND: not joined and no token; ERR_DENIED, ERR_INVALID, ERR_IO, ... */
enum err identity_begin(struct identity *identity, const struct agent_options *options,
                        const struct site *wanted, struct fault *fault) LQ_CHECKED;
void identity_end(struct identity *identity); /* accepts a zeroed one */
/* From now on renews at a third of the certificate's life. */
void identity_keep_fresh(struct identity *identity);
/* The server did not accept the certificate: try to renew soon. */
void identity_refused(struct identity *identity);

#endif
