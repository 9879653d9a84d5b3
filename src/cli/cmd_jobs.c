/* Jobs, for the people who submit them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/upload.h"
#include "port/clock.h"
#include "port/file.h"
#include "wire/json_writer.h"
#include "wire/sse.h"
#include "wire/yaml.h"

enum { JOB_FILE_BYTES_MAX = 8 << 20, JOB_BODY_BYTES_MAX = 16 << 20, JOBS_SHOWN_DEFAULT = 50 };

static struct slice safe_string(struct cli *cli, struct json_value object, const char *name)
{
    return cli_safe(cli, api_string(object, name));
}

/* ---- submit */

static const struct flag SUBMIT_FLAGS[] = {
    {"tenant", 't', FLAG_TEXT, "NAME", "on whose account; default: your own tenant"},
    {"name", 'n', FLAG_TEXT, "NAME", "instead of the file's name"},
    {"dry-run", 0, FLAG_BOOL, NULL, "show where it would go and why, and submit nothing"},
    {"follow", 'f', FLAG_BOOL, NULL, "follow its output until it ends"},
};

/* "after node_lost at zhongwei (2 of 20): its node vanished: it is placed anew, ..." */
static void failure_print(struct cli *cli, struct json_value failure)
{
    struct slice site = api_string(failure, "site");
    struct json_value budget = json_object_get(failure, "budget");
    if (json_type_of(failure) != JSON_OBJECT)
        return;
    printf("after %.*s", SLICE_ARG(safe_string(cli, failure, "class")));
    if (site.len > 0)
        printf(" at %.*s", SLICE_ARG(safe_string(cli, failure, "site")));
    if (json_type_of(budget) == JSON_INTEGER)
        printf(" (%llu, of %llu that are tried again)",
               (unsigned long long)api_u64(failure, "count"),
               (unsigned long long)api_u64(failure, "budget"));
    printf(": %.*s\n", SLICE_ARG(safe_string(cli, failure, "next")));
}

void explanation_print(struct cli *cli, struct json_value root)
{
    static const char *const HEADS[] = {"SITE", "ASK", "SCORE", "STARTS IN", "WHY"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT, TABLE_RIGHT, TABLE_RIGHT, TABLE_RIGHT,
                                              TABLE_LEFT};
    struct table *table = table_create(cli, HEADS, ALIGNS, 5);
    struct slice chosen = api_string(root, "chosen");
    struct json_iterator it = json_iterate(json_object_get(root, "sites"));
    while (json_next(&it)) {
        struct json_value score = json_object_get(it.value, "score"),
                          eta = json_object_get(it.value, "eta_ms");
        struct slice site = api_string(it.value, "site");
        bool is_chosen = slice_is_equal(site, chosen);
        table_cell_printf(table, "%s%.*s", is_chosen ? "* " : "  ", SLICE_ARG(site));
        table_cell(table, api_string(score, "ask"));
        table_cell(table, api_string(score, "total"));
        if (json_is_null(eta) || json_is_missing(eta)) {
            table_cell_text(table, "-");
        } else {
            char low[TIME_TEXT_MAX], high[TIME_TEXT_MAX];
            span_format(SPAN_MS((int64_t)api_u64(eta, "low")), low);
            span_format(SPAN_MS((int64_t)api_u64(eta, "high")), high);
            if (api_u64(eta, "high") == 0)
                table_cell_text(table, "now");
            else if (api_u64(eta, "high") == api_u64(eta, "low"))
                table_cell_text(table, low);
            else
                table_cell_printf(table, "%s-%s", low, high);
        }
        table_cell(table, api_string(it.value, "reason"));
    }
    table_print(table);
    printf("%.*s\n", SLICE_ARG(safe_string(cli, root, "sentence")));
    failure_print(cli, json_object_get(root, "failure"));
}

/* A job file, read; it lives as long as the arena. */
static int job_read(struct cli *cli, const char *path, struct api_blame *out)
{
    struct fault fault = {0};
    struct slice text;
    struct json_document *document;
    enum err err = file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, JOB_FILE_BYTES_MAX,
                             &cli->arena, &fault, &text);
    if (err == ERR_OK)
        err = yaml_parse(text, &YAML_LIMITS, &document, &fault);
    if (err != ERR_OK)
        return cli_fail_fault(cli, err == ERR_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_USAGE, path,
                              &fault);
    *out = (struct api_blame){path, json_root(document)};
    return api_keep(cli, document);
}

static int follow(struct cli *cli, const char *id);

static int submitted(struct cli *cli, const struct api_reply *reply)
{
    struct json_value jobs = json_object_get(reply->root, "jobs");
    size_t count = json_count(jobs);
    if (cli->is_json && !cli_has(cli, "follow"))
        return api_print(reply);
    struct json_value first = json_array_at(jobs, 0);
    struct slice id = {0};
    if (json_type_of(first) == JSON_STRING) {
        if (json_to_string(first, ID_TEXT_MAX, &id, NULL) != ERR_OK)
            id = (struct slice){0};
    } else {
        id = api_string(first, "id");
    }
    if (count == 1)
        printf("%.*s\n", SLICE_ARG(id));
    else
        printf("%zu jobs, from %.*s on\n", count, SLICE_ARG(id));
    (void)fflush(stdout);
    if (!cli_has(cli, "follow"))
        return EXIT_DONE;
    return follow(cli, arena_text(&cli->arena, id));
}

/* Where it would go; of several jobs the first is asked for. */
static int plan(struct cli *cli, struct slice body, const char *query)
{
    struct json_document *document;
    struct api_reply reply;
    struct buffer first;
    struct json_writer writer;
    struct fault fault = {0};
    if (json_parse(body, &JSON_LIMITS_FILE, &document, &fault) != ERR_OK)
        return cli_fail_fault(cli, EXIT_USAGE, cli->positional[0], &fault);
    struct json_value list = json_object_get(json_root(document), "jobs");
    size_t count = json_count(list);
    buffer_init(&first, JOB_BODY_BYTES_MAX);
    if (count > 0) {
        json_writer_init(&writer, &first);
        json_copy(&writer, json_array_at(list, 0));
        if (json_writer_finish(&writer) == ERR_OK)
            body = buffer_slice(&first);
    }
    int code = api_call(cli, "POST", api_target(cli, "/v1/jobs:dry-run%s", query), body, &reply);
    if (code == EXIT_DONE && cli->is_json)
        code = api_print(&reply);
    else if (code == EXIT_DONE)
        explanation_print(cli, reply.root);
    if (code == EXIT_DONE && count > 1)
        cli_note(cli, "that is for the first of %zu jobs", count);
    buffer_deinit(&first);
    json_document_destroy(document);
    return code;
}

static int submit(struct cli *cli)
{
    struct buffer body;
    struct api_reply reply;
    struct api_blame blame;
    const char *tenant = cli_text(cli, "tenant", NULL);
    const char *query =
        tenant == NULL ? "" : arena_printf(&cli->arena, "?tenant=%s", api_escape(cli, tenant));
    bool asks = !cli->is_yes && !cli->is_json, is_dry = cli_has(cli, "dry-run");
    int code = job_read(cli, cli->positional[0], &blame);
    if (code != EXIT_DONE)
        return code;
    buffer_init(&body, JOB_BODY_BYTES_MAX);
    code =
        upload_job(cli, tenant, cli->positional[0], blame.root, cli_text(cli, "name", NULL), &body);
    cli->blame = &blame;
    if (code == EXIT_DONE && (is_dry || asks))
        code = plan(cli, buffer_slice(&body), query);
    if (code == EXIT_DONE && !is_dry && asks && !cli_confirm(cli, "Submit it?"))
        code = EXIT_FAILED;
    if (code == EXIT_DONE && !is_dry)
        code =
            api_post_once(cli, api_target(cli, "/v1/jobs%s", query), buffer_slice(&body), &reply);
    cli->blame = NULL;
    buffer_deinit(&body);
    return code == EXIT_DONE && !is_dry ? submitted(cli, &reply) : code;
}

const struct command COMMAND_SUBMIT = {
    .name = "submit",
    .group = "Work",
    .summary = "submit a job file; shows where it would go first",
    .usage = "FILE [flags]",
    .details = "FILE is YAML (docs/formats/job.md); - reads standard input. The sites considered "
               "and the one chosen are shown with\n"
               "their asks before anything is submitted; -y goes on without asking.\n\n"
               "Examples:\n  lq submit train.yaml\n  lq submit train.yaml -y -f --tenant research\n"
               "  lq submit sweep.yaml --dry-run --json",
    .flags = SUBMIT_FLAGS,
    .flag_count = sizeof(SUBMIT_FLAGS) / sizeof(SUBMIT_FLAGS[0]),
    .positional_min = 1,
    .positional_max = 1,
    .run = submit};

/* ---- list */

static const struct flag JOBS_FLAGS[] = {
    {"state", 0, FLAG_TEXT, "LIST", "pending,active,succeeded,failed,cancelled"},
    {"site", 0, FLAG_TEXT, "NAME",
     "attempts at this site, for its operator; states: offered,running,unknown,ended,..."},
    {"tenant", 't', FLAG_TEXT, "NAME", "of this tenant and those below"},
    {"name", 'n', FLAG_TEXT, "PART", "whose name has this in it"},
    {"limit", 0, FLAG_NUMBER, "N", "at most so many, 0: all; default 50"},
};

static void exit_cell(struct table *table, struct json_value item)
{
    int64_t number;
    struct json_value value = json_object_get(item, "exit_code");
    if (json_type_of(value) == JSON_INTEGER &&
        json_to_i64(value, 0, INT32_MAX, &number, NULL) == ERR_OK)
        table_cell_printf(table, "%lld", (long long)number);
    else
        table_cell_text(table, "-");
}

/* What an operator sees of the work at a site. */
static int attempts_at(struct cli *cli, const char *site)
{
    static const char *const HEADS[] = {"JOB", "ATTEMPT", "STATE", "OUTCOME", "EXIT", "OFFERED"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT, TABLE_RIGHT, TABLE_LEFT,
                                              TABLE_LEFT, TABLE_RIGHT, TABLE_LEFT};
    struct api_list list;
    if (cli_has(cli, "tenant") || cli_has(cli, "name"))
        return cli_fail(cli, EXIT_USAGE,
                        "--site shows attempts, which have neither tenant nor name");
    int code = api_list(cli,
                        api_target(cli, "/v1/sites/%s/attempts?state=%s", api_escape(cli, site),
                                   api_escape(cli, cli_text(cli, "state", ""))),
                        cli_number(cli, "limit", JOBS_SHOWN_DEFAULT), &list);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return api_print_list(cli, &list);
    struct table *table = table_create(cli, HEADS, ALIGNS, 6);
    for (size_t i = 0; i < list.count; i++) {
        struct json_value attempt = list.items[i];
        table_cell(table, api_string(attempt, "job"));
        table_cell_printf(table, "%llu", (unsigned long long)api_u64(attempt, "attempt"));
        table_cell(table, api_string(attempt, "state"));
        table_cell(table, api_string(attempt, "outcome"));
        exit_cell(table, attempt);
        table_cell(table, api_time(cli, attempt, "offered_at"));
    }
    table_print(table);
    if (list.has_more)
        cli_note(cli, "there are more; name states or raise --limit (0: all)");
    return EXIT_DONE;
}

static int jobs(struct cli *cli)
{
    static const char *const HEADS[] = {"JOB", "NAME", "STATE", "ATTEMPT", "EXIT", "CREATED"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT,  TABLE_LEFT,  TABLE_LEFT,
                                              TABLE_RIGHT, TABLE_RIGHT, TABLE_LEFT};
    struct api_list list;
    const char *state = cli_text(cli, "state", ""), *name = cli_text(cli, "name", ""),
               *tenant = cli_text(cli, "tenant", "");
    if (cli_has(cli, "site"))
        return attempts_at(cli, cli_text(cli, "site", ""));
    int code = api_list(cli,
                        api_target(cli, "/v1/jobs?state=%s%s%s%s%s", api_escape(cli, state),
                                   *name ? "&name=" : "", api_escape(cli, name),
                                   *tenant ? "&tenant=" : "", api_escape(cli, tenant)),
                        cli_number(cli, "limit", JOBS_SHOWN_DEFAULT), &list);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return api_print_list(cli, &list);
    struct table *table = table_create(cli, HEADS, ALIGNS, 6);
    for (size_t i = 0; i < list.count; i++) {
        struct json_value job = list.items[i];
        table_cell(table, api_string(job, "id"));
        table_cell(table, api_string(job, "name"));
        table_cell_printf(table, "%.*s%s", SLICE_ARG(api_string(job, "state")),
                          api_bool(job, "cancel_requested") &&
                                  !slice_is(api_string(job, "state"), "cancelled")
                              ? " (cancelling)"
                              : "");
        table_cell_printf(table, "%llu", (unsigned long long)api_u64(job, "attempt"));
        exit_cell(table, job);
        table_cell(table, api_time(cli, job, "created_at"));
    }
    table_print(table);
    if (list.has_more)
        cli_note(cli, "there are more; narrow the question or raise --limit (0: all)");
    return EXIT_DONE;
}

const struct command COMMAND_JOBS = {.name = "jobs",
                                     .group = "Work",
                                     .summary = "list jobs, newest first",
                                     .usage = "[flags]",
                                     .details =
                                         "Examples:\n  lq jobs\n  lq jobs --state active,pending "
                                         "--tenant research\n  lq jobs --name train --json\n"
                                         "  lq jobs --site zhongwei --state running",
                                     .flags = JOBS_FLAGS,
                                     .flag_count = sizeof(JOBS_FLAGS) / sizeof(JOBS_FLAGS[0]),
                                     .run = jobs};

/* ---- show, explain */

static void usage_line(struct json_value usage)
{
    char wall[TIME_TEXT_MAX], held[TIME_TEXT_MAX];
    span_format(SPAN_MS((int64_t)api_u64(usage, "wall_ms")), wall);
    span_format(SPAN_MS((int64_t)api_u64(usage, "cpu_held_ms")), held);
    printf("metered:    %s of running, %s of cores", wall, held);
    if (api_u64(usage, "accel_ms") > 0) {
        span_format(SPAN_MS((int64_t)api_u64(usage, "accel_ms")), held);
        printf(", %s of accelerators", held);
    }
    printf("\n");
}

static int show(struct cli *cli)
{
    static const char *const HEADS[] = {"ATTEMPT", "SITE", "STATE", "OUTCOME", "EXIT", "RAN"};
    static const enum table_align ALIGNS[] = {TABLE_RIGHT, TABLE_LEFT,  TABLE_LEFT,
                                              TABLE_LEFT,  TABLE_RIGHT, TABLE_RIGHT};
    struct api_reply reply;
    int code =
        api_call(cli, "GET", api_target(cli, "/v1/jobs/%s", api_escape(cli, cli->positional[0])),
                 (struct slice){0}, &reply);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return api_print(&reply);
    printf("job:        %.*s\n", SLICE_ARG(safe_string(cli, reply.root, "id")));
    printf("name:       %.*s\n", SLICE_ARG(safe_string(cli, reply.root, "name")));
    printf("state:      %.*s\n", SLICE_ARG(safe_string(cli, reply.root, "state")));
    printf("created:    %.*s\n", SLICE_ARG(safe_string(cli, reply.root, "created_at")));
    if (api_string(reply.root, "ended_at").len > 0)
        printf("ended:      %.*s\n", SLICE_ARG(safe_string(cli, reply.root, "ended_at")));
    usage_line(json_object_get(reply.root, "usage"));
    struct json_value checkpoint = json_object_get(reply.root, "checkpoint");
    if (json_type_of(checkpoint) == JSON_OBJECT)
        printf("checkpoint: copied %.*s, %llu bytes\n",
               SLICE_ARG(safe_string(cli, checkpoint, "created_at")),
               (unsigned long long)api_u64(checkpoint, "size_bytes"));
    struct table *table = table_create(cli, HEADS, ALIGNS, 6);
    struct json_iterator it = json_iterate(json_object_get(reply.root, "attempts"));
    while (json_next(&it)) {
        char ran[TIME_TEXT_MAX];
        table_cell_printf(table, "%llu", (unsigned long long)api_u64(it.value, "attempt"));
        table_cell(table, api_string(it.value, "site_name"));
        table_cell(table, api_string(it.value, "state"));
        table_cell(table, api_string(it.value, "outcome"));
        exit_cell(table, it.value);
        struct json_value span = json_object_get(it.value, "ran");
        struct span_ms ran_ms = {0};
        if (json_to_span(span, &ran_ms, NULL) != ERR_OK)
            ran_ms = SPAN_MS((int64_t)api_u64(it.value, "ran_ms"));
        span_format(ran_ms, ran);
        table_cell_text(table, ran);
    }
    table_print(table);
    failure_print(cli, json_object_get(reply.root, "failure"));
    return EXIT_DONE;
}

const struct command COMMAND_SHOW = {.name = "show",
                                     .group = "Work",
                                     .summary = "one job: state, attempts, usage, checkpoint",
                                     .usage = "JOB",
                                     .details =
                                         "Example:\n  lq show job_01j9z3k5m8q2r4t6v8x0y2z4a6",
                                     .positional_min = 1,
                                     .positional_max = 1,
                                     .run = show};

static int explain(struct cli *cli)
{
    struct api_reply reply;
    int code = api_call(cli, "GET",
                        api_target(cli, "/v1/jobs/%s/explain", api_escape(cli, cli->positional[0])),
                        (struct slice){0}, &reply);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return api_print(&reply);
    explanation_print(cli, reply.root);
    uint64_t position = api_u64(reply.root, "queue_position");
    if (position > 0)
        printf("place in the queue: %llu\n", (unsigned long long)position);
    return EXIT_DONE;
}

const struct command COMMAND_EXPLAIN = {.name = "explain",
                                        .group = "Work",
                                        .summary = "why a job runs where it does, or why it waits",
                                        .usage = "JOB",
                                        .details =
                                            "Example:\n  lq explain job_01j9z3k5m8q2r4t6v8x0y2z4a6",
                                        .positional_min = 1,
                                        .positional_max = 1,
                                        .run = explain};

/* ---- logs */

static const struct flag LOGS_FLAGS[] = {
    {"follow", 'f', FLAG_BOOL, NULL, "go on until the job ends"},
    {"attempt", 0, FLAG_NUMBER, "N", "only this attempt"},
    {"rank", 0, FLAG_NUMBER, "N", "of this rank of a gang; default 0"},
};

struct log_reader {
    struct sse_reader sse;
    uint64_t attempt;
};

static bool on_log_bytes(struct cli *cli, void *context, struct slice bytes)
{
    struct log_reader *reader = context;
    while (bytes.len > 0) {
        size_t used;
        bool has_event;
        struct sse_event event;
        if (sse_read(&reader->sse, bytes, &used, &has_event, &event) != ERR_OK)
            return false;
        bytes.data += used;
        bytes.len -= used;
        if (!has_event || !slice_is(event.event, "log"))
            continue;
        struct json_document *document;
        if (json_parse(event.data, &JSON_LIMITS_REQUEST, &document, NULL) != ERR_OK)
            continue;
        struct json_value root = json_root(document);
        uint64_t attempt = api_u64(root, "attempt");
        if (reader->attempt != 0 && attempt != reader->attempt)
            cli_note(cli, "--- attempt %llu ---", (unsigned long long)attempt);
        reader->attempt = attempt;
        bool is_open = cli_write(api_string(root, "text"));
        json_document_destroy(document);
        if (!is_open)
            return false;
    }
    return true;
}

static int stream_logs(struct cli *cli, const char *id, bool is_following, uint64_t attempt,
                       uint64_t rank)
{
    struct log_reader reader = {.attempt = 0};
    const char *only =
        attempt == 0 ? "" : api_target(cli, "&attempt=%llu", (unsigned long long)attempt);
    sse_reader_init(&reader.sse, 4 << 20);
    int code =
        api_stream(cli,
                   api_target(cli, "/v1/jobs/%s/logs?rank=%llu%s%s", api_escape(cli, id),
                              (unsigned long long)rank, is_following ? "&follow=true" : "", only),
                   "text/event-stream", NULL, on_log_bytes, &reader);
    sse_reader_deinit(&reader.sse);
    return code;
}

static int logs(struct cli *cli)
{
    return stream_logs(cli, cli->positional[0], cli_has(cli, "follow"),
                       cli_number(cli, "attempt", 0), cli_number(cli, "rank", 0));
}

const struct command COMMAND_LOGS = {
    .name = "logs",
    .group = "Work",
    .summary = "a job's output, also while it runs",
    .usage = "JOB [-f] [flags]",
    .details = "Examples:\n  lq logs -f job_01j9z3k5m8q2r4t6v8x0y2z4a6\n  lq logs "
               "job_01j9z3k5m8q2r4t6v8x0y2z4a6 --attempt 1 --rank 3",
    .flags = LOGS_FLAGS,
    .flag_count = sizeof(LOGS_FLAGS) / sizeof(LOGS_FLAGS[0]),
    .positional_min = 1,
    .positional_max = 1,
    .run = logs};

/* Output until the end, then the job's own result as exit code. */
static int follow(struct cli *cli, const char *id)
{
    struct api_reply reply;
    int code = stream_logs(cli, id, true, 0, 0);
    if (code == EXIT_DONE)
        code = api_call(cli, "GET", api_target(cli, "/v1/jobs/%s", api_escape(cli, id)),
                        (struct slice){0}, &reply);
    if (code != EXIT_DONE)
        return code;
    struct slice state = api_string(reply.root, "state");
    cli_note(cli, "%.*s: %.*s", SLICE_ARG(slice_of(id)), SLICE_ARG(state));
    return slice_is(state, "succeeded") ? EXIT_DONE : EXIT_FAILED;
}

/* ---- cancel, retry */

static int order(struct cli *cli, const char *verb)
{
    int result = EXIT_DONE;
    for (uint32_t i = 0; i < cli->positional_count; i++) {
        struct api_reply reply;
        int code = api_post_once(
            cli, api_target(cli, "/v1/jobs/%s:%s", api_escape(cli, cli->positional[i]), verb),
            (struct slice){0}, &reply);
        if (code != EXIT_DONE)
            result = code;
        else if (cli->is_json)
            (void)api_print(&reply);
        else
            printf("%s: %.*s\n", cli->positional[i],
                   SLICE_ARG(safe_string(cli, reply.root, "state")));
    }
    return result;
}

static int cancel(struct cli *cli)
{
    return order(cli, "cancel");
}

static int retry(struct cli *cli)
{
    return order(cli, "retry");
}

const struct command COMMAND_CANCEL = {.name = "cancel",
                                       .group = "Work",
                                       .summary = "cancel jobs",
                                       .usage = "JOB...",
                                       .details =
                                           "Example:\n  lq cancel job_01j9z3k5m8q2r4t6v8x0y2z4a6",
                                       .positional_min = 1,
                                       .positional_max = 32,
                                       .run = cancel};
const struct command COMMAND_RETRY = {.name = "retry",
                                      .group = "Work",
                                      .summary = "run failed or cancelled jobs again",
                                      .usage = "JOB...",
                                      .details =
                                          "Example:\n  lq retry job_01j9z3k5m8q2r4t6v8x0y2z4a6",
                                      .positional_min = 1,
                                      .positional_max = 32,
                                      .run = retry};
