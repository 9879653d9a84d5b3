/* Calls to the server: configuration, one request and its answer, problems told to people. */
#ifndef LQ_CLI_API_H
#define LQ_CLI_API_H

#include "cli/cli.h"
#include "http/client.h"
#include "wire/json.h"

enum { API_TARGET_MAX = 4096 };

struct api_reply {
    int status;
    struct slice body;
    struct json_document *document; /* NULL when the body is no JSON; freed with the process */
    struct json_value root;
};

/* Where the configuration is kept: $LQ_HOME, else ~/.config/lingqu. In the arena; NULL: no home. */
const char *cli_home(struct cli *cli);
/* server, ca and token from flags, environment (LQ_SERVER, LQ_CA, LQ_TOKEN), configuration.
 * EXIT_DONE or a told error. */
int api_config_load(struct cli *cli);
/* Writes config.yaml with mode 0600. */
int api_config_save(struct cli *cli, const char *server, const char *ca_pem, const char *token);

/* One request. Answers of 4xx and 5xx are told on stderr (and as JSON on stdout with --json) and
 * become exit codes; EXIT_DONE fills `out`. `body` empty: none. */
int api_call(struct cli *cli, const char *method, const char *target, struct slice body,
             struct api_reply *out);
/* The same with an Idempotency-Key, so that a request whose answer is lost can be sent again. */
int api_post_once(struct cli *cli, const char *target, struct slice body, struct api_reply *out);
/* Streams an answer to `on_bytes` until its end. Headers of the answer come first in on_head (may
 * be NULL). */
int api_stream(struct cli *cli, const char *target, const char *accept,
               bool (*on_bytes)(struct cli *cli, void *context, struct slice bytes), void *context);
/* Tells a problem answer; returns the exit code. */
int api_problem(struct cli *cli, int status, struct slice body);
/* Makes a target from a format; strings given must be percent-encoded by api_escape. */
const char *api_target(struct cli *cli, const char *format, ...) LQ_PRINTF(2, 3);
const char *api_escape(struct cli *cli, const char *text);

/* Members as text for tables; "" when missing. */
struct slice api_string(struct json_value object, const char *name);
uint64_t api_u64(struct json_value object, const char *name);

#endif
