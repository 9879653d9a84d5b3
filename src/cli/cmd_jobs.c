/* Jobs, for the people who submit them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "port/clock.h"
#include "wire/sse.h"

enum { JOBS_SHOWN_DEFAULT = 50 };

static struct slice safe_string(struct cli *cli, struct json_value object, const char *name)
{
    return cli_safe(cli, api_string(object, name));
}

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
int job_follow(struct cli *cli, const char *id)
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
