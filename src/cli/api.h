/* Calls to the server: configuration, one request and its answer, problems told to people. */
#ifndef LQ_CLI_API_H
#define LQ_CLI_API_H

#include "cli/cli.h"
#include "http/client.h"
#include "wire/json.h"
#include "wire/json_writer.h"

enum { API_TARGET_MAX = 4096, API_ITEMS_MAX = 1 << 20, API_PAGE = 1000 };

struct api_reply {
    int status;
    struct slice body;
    struct json_value root; /* none when the body is no JSON; lives as long as the arena */
    const char *etag;       /* as sent, quotes included; NULL: none */
};

/* Where the configuration is kept: $LQ_HOME, else ~/.config/lingqu. In the arena; NULL: no home. */
const char *cli_home(struct cli *cli);
/* server, ca and token from flags, environment (LQ_SERVER, LQ_CA, LQ_TOKEN), configuration.
 * EXIT_DONE or a told error. */
int api_config_load(struct cli *cli);
/* Writes config.yaml with mode 0600 into `home` (NULL: cli_home). */
int api_config_save(struct cli *cli, const char *home, const struct cli_config *config);
/* The loop of this process, made when first needed; the errors are told. */
int cli_loop(struct cli *cli);

/* One request. Answers of 4xx and 5xx are told on stderr (and as JSON on stdout with --json) and
 * become exit codes; EXIT_DONE fills `out`. `body` empty: none. */
int api_call(struct cli *cli, const char *method, const char *target, struct slice body,
             struct api_reply *out);
/* The same with an Idempotency-Key, so that a request whose answer is lost can be sent again. */
int api_post_once(struct cli *cli, const char *target, struct slice body, struct api_reply *out);
/* Replaces a thing; with an `etag` (may be NULL) only while it is still that one. */
int api_put(struct cli *cli, const char *target, struct slice body, const char *etag,
            struct api_reply *out);
/* Status of a GET, telling nothing; 0: no answer. */
int api_probe(struct cli *cli, const char *target);
/* Another server from now on: connections and trust are dropped. */
void api_forget(struct cli *cli);
/* The body as the API sent it, with --json. */
int api_print(const struct api_reply *reply);

/* A list, page by page: at most `limit` items (0: all up to API_ITEMS_MAX). `target` has no limit
 * and no cursor in it. */
struct api_list {
    struct json_value *items; /* live as long as the arena */
    size_t count;
    bool has_more; /* `limit` cut it off */
};
int api_list(struct cli *cli, const char *target, uint64_t limit, struct api_list *out);
int api_print_list(struct cli *cli, const struct api_list *list);

/* Streams an answer to `on_bytes` until its end, until that returns false, or until the loop is
 * stopped with *is_over (may be NULL) set. */
int api_stream(struct cli *cli, const char *target, const char *accept, const bool *is_over,
               bool (*on_bytes)(struct cli *cli, void *context, struct slice bytes), void *context);
/* While it is set as cli->blame, complaints about a field tell where it stands in the user's file.
 */
struct api_blame {
    const char *path;
    struct json_value root;
};
/* The document lives as long as cli->arena from now on; on an error it is destroyed at once, and
 * told.
 */
int api_keep(struct cli *cli, struct json_document *document);
/* Destroys what was kept: just before the arena's end. */
void api_kept_destroy(struct cli *cli);
/* Runs the loop for that long. */
void cli_pause(struct cli *cli, struct span_ms span);
/* Tells a problem answer; returns the exit code. */
int api_problem(struct cli *cli, int status, struct slice body);
/* Makes a target from a format; strings given must be percent-encoded by api_escape. */
const char *api_target(struct cli *cli, const char *format, ...) LQ_PRINTF(2, 3);
const char *api_escape(struct cli *cli, const char *text);

/* A placement explanation as a table and its sentence (cmd_submit.c). */
void explanation_print(struct cli *cli, struct json_value root);
/* The last failure of a job in a line; nothing where there is none (cmd_submit.c). */
void failure_print(struct cli *cli, struct json_value failure);
/* A job's output until its end; exit code by how it ended (cmd_jobs.c). */
int job_follow(struct cli *cli, const char *id);

/* Members as text for tables; "" when missing. */
struct slice api_string(struct json_value object, const char *name);
uint64_t api_u64(struct json_value object, const char *name);
bool api_bool(struct json_value object, const char *name);
/* Text for the table's cell of a time: local to nobody, "2026-11-22 05:44:34" in UTC. */
struct slice api_time(struct cli *cli, struct json_value object, const char *name);

/* A time as people give it: RFC 3339, a day, or how long ago. EXIT_DONE or a told error. */
int api_time_at(struct cli *cli, const char *flag, struct wall_us fallback, struct wall_us *out);
/* The same, ready for a target; NULL: the flag was not given. */
int api_time_flag(struct cli *cli, const char *flag, const char **out_text);

/* A request's body, built by `writer`; api_body_end gives EXIT_DONE or a told error. */
struct api_body {
    struct buffer bytes;
    struct json_writer writer;
};
void api_body_begin(struct api_body *body); /* opens an object */
int api_body_end(struct cli *cli, struct api_body *body);
void api_body_deinit(struct api_body *body);
/* The flag's text as a member, if it was given. */
void api_body_text_flag(struct cli *cli, struct api_body *body, const char *flag,
                        const char *member);

/* "a,b,c"; `none` when there are none. */
const char *api_words(struct cli *cli, struct json_value array, const char *none);
/* The name of the item of that id; the id where it is not in the list. */
struct slice api_name_in(const struct api_list *list, struct slice id);

#endif
