/* One request on its way through the server: who asks, what route, and how it is answered.
 *
 * Every route stands in ROUTES (routes.c) with its permission and its ownership check; a request
 * whose route has none is impossible, because the server does not start then. A handler runs only
 * after both have passed. Handlers answer at once, after a query, or when the core's output comes.
 * Loop thread only; a request dies with its exchange. */
#ifndef LQ_SERVER_REQUEST_H
#define LQ_SERVER_REQUEST_H

#include "base/map.h"
#include "base/random.h"
#include "http/cert.h"
#include "http/server.h"
#include "model/account.h"
#include "model/catalogue.h"
#include "server/core_host.h"
#include "server/directory.h"
#include "server/server.h"
#include "store/chunks.h"
#include "store/reader.h"
#include "wire/doc.h"
#include "wire/json.h"
#include "wire/json_writer.h"
#include "wire/target.h"

struct request;
struct watcher;
struct log_store;
struct gc;

struct server {
    const struct server_options *options;
    struct loop *loop;
    struct http_server *http;
    struct tls_context *tls;
    struct cert_key *ca_key;
    struct cert *ca_cert;
    char ca_pem[CERT_PEM_MAX];
    uint8_t pin[TLS_PIN_BYTES];
    char endpoint[ENDPOINT_TEXT_MAX];
    struct store_db *db;
    struct store_reader *reader;
    struct core_host *host;
    struct directory *directory;
    struct chunks *chunks;
    struct worker *chunk_worker; /* content is read and written on it */
    struct log_store *logs;
    struct catalogue catalogue;
    struct arena catalogue_arena;
    struct u64map waiting; /* handle -> request, for the core's outputs */
    uint64_t next_handle;
    struct random random;     /* for ids; seeded from the system */
    struct watcher *watchers; /* event streams */
    uint32_t watcher_count;
    struct counters {
        uint64_t requests, refused, submitted;
        uint64_t by_status[6];
    } counters;
    struct loop_timer renew;
    struct gc *gc;
    uint8_t token_key[32]; /* secrets of requests with an Idempotency-Key are derived from it */
    bool is_stopping;
    bool is_ready_told;
};

enum {
    REQUEST_PARAMS_MAX = 4,
    REQUEST_BODY_MAX = 1 << 20,
    SUBMIT_BODY_MAX = 16 << 20,
    IDEMPOTENCY_KEY_MAX = 128,
    IDEMPOTENCY_LIFE_S = 86400,
    PAGE_DEFAULT = 100,
};

/* Who a route's subject belongs to. */
enum ownership {
    OWN_UNSET,     /* no such route may exist: start fails */
    OWN_OPEN,      /* no principal at all: health, join */
    OWN_NETWORK,   /* a thing of the whole network */
    OWN_LIST,      /* a list: the handler narrows it to what the principal may see */
    OWN_TENANT,    /* ?tenant= or the principal's own */
    OWN_JOB,       /* {job}: the job's tenant */
    OWN_ARTIFACT,  /* {artifact}: its tenant */
    OWN_SITE,      /* {site}: the site's operator */
    OWN_TENANT_ID, /* {tenant} in the path: itself, judged as its parent's subject when changed */
    OWN_USER,      /* {user}: the user's tenant */
    OWN_TOKEN,     /* {token}: the token's user */
    OWN_SELF,      /* the principal's own things */
    OWN_AGENT,     /* a client certificate; its own site */
    OWN_ATTEMPT,   /* an agent with an attempt's secret, or a person's own tenant */
};

struct route {
    const char *method;
    const char *pattern;        /* "/v1/jobs/{job}:cancel" */
    enum permission permission; /* PERM_COUNT_: none is needed, only with OWN_OPEN */
    enum ownership ownership;
    uint64_t body_max; /* 0: no body is read before the handler */
    void (*handle)(struct request *request);
    const char *summary; /* for the OpenAPI document's check */
    /* Sets request->secret for a repeated request; NULL: its answers hold none. */
    void (*remake_secret)(struct request *request);
};

struct request {
    struct server *server;
    struct http_exchange *exchange;
    const struct route *route;
    struct target target;
    struct slice params[REQUEST_PARAMS_MAX]; /* in order of the pattern */
    uint32_t param_count;
    struct slice body;
    struct principal principal;
    const struct user *user;       /* NULL for agents */
    struct server_principal actor; /* for the core */
    uint64_t handle;               /* waits for the core's output; 0: does not */
    bool is_sync;                  /* tell the core when the connection goes */
    bool is_answered, is_closed;
    struct job_row job; /* OWN_JOB: as loaded */
    struct slice job_name;
    struct artifact_row artifact;               /* OWN_ARTIFACT */
    void *extra;                                /* the handler's own, in the exchange's arena */
    void (*on_closed)(struct request *request); /* handler's clean-up; may be NULL */
    uint32_t pending;                           /* queries under way */
    /* The core's output for the step under way; NULL: it is the answer. Called once. */
    void (*on_output)(struct request *request, const struct server_output *output);
    bool has_key, has_looked_again; /* Idempotency-Key */
    struct hash256 hash;            /* of the request, when has_key */
    const char *secret;             /* shown once, in the answer, and kept nowhere */
    const char *allow;              /* for 405 */
};

extern const struct route ROUTES[];
extern const size_t ROUTE_COUNT;
/* Every route names permission and ownership, patterns are unique. ERR_INVALID with the first that
 * does not. */
enum err routes_check(struct fault *fault) LQ_CHECKED;
void request_begin(void *server, struct http_exchange *exchange); /* http_server's on_request */

/* ---- answers; each once */
struct arena *request_arena(struct request *request);
void request_json(struct request *request, int status, struct slice json);
void request_json_etag(struct request *request, int status, struct slice json, uint64_t etag);
void request_empty(struct request *request, int status);
void request_problem(struct request *request, int status, const char *code, const char *format, ...)
    LQ_PRINTF(4, 5);
void request_fault(struct request *request,
                   const struct fault *fault); /* with field, line, column */
/* The buffer's content if it is whole, else 500; frees the buffer. */
void request_buffer(struct request *request, int status, struct buffer *buffer);

/* ---- parts of the request */
/* Parsed body; answers 400 and gives false when it is no JSON. The document lives in the exchange's
 * arena's time. */
bool request_body(struct request *request, const struct json_limits *limits,
                  struct json_value *out);
struct slice request_query(const struct request *request, const char *name); /* empty: not given */
/* False and a 400 answer when it is not in range. */
bool request_query_u64(struct request *request, const char *name, uint64_t min, uint64_t max,
                       uint64_t *inout);
/* A time, if it is given; false and a 400 answer when it is none. */
bool request_query_time(struct request *request, const char *name, struct wall_us *inout);
bool request_query_known(struct request *request, const char *const *names, size_t count);
/* If-Match: the version; 0 when not given. False and answered when malformed. */
bool request_if_match(struct request *request, uint64_t *out_version);
/* The tenants that the principal may see with the route's permission, narrowed by ?tenant=. */
bool request_tenants(struct request *request, struct store_tenants *out);
bool request_may(const struct request *request, enum permission permission,
                 const struct subject *subject);

/* ---- the core and the store */
/* Sends an event with this request's handle, actor and idempotency key; answers 503 when the core
 * is busy. */
void request_step(struct request *request, struct server_event *event);
/* Runs a query; `done` gets the reply (freed after it) unless the client is gone or the query
 * failed (then answered). */
void request_query_store(struct request *request, const struct store_query *query,
                         void (*done)(struct request *request, const struct store_answer *answer));
/* The same, but ERR_NOT_FOUND comes to `done` as NULL. */
void request_query_maybe(struct request *request, const struct store_query *query,
                         void (*done)(struct request *request, const struct store_answer *answer));
void server_polls_end(struct server *server); /* held polls are told to come back */
/* Answers with the core's output. */
void request_output(struct request *request, const struct server_output *output);
void server_output(void *server, const struct server_output *output); /* core_host's on_output */
void server_requests_reset(struct server *server);                    /* all waiting ones: 503 */
struct id server_make_id(struct server *server);

#endif
