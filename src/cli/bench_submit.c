/* lq bench submit: durable submissions over HTTP with TLS. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cli/bench.h"
#include "cli/commands.h"
#include "http/client.h"
#include "port/clock.h"
#include "port/loop.h"

enum {
    CONNECTIONS_DEFAULT = 64,
    CONNECTIONS_MAX = 1024,
    SECONDS_DEFAULT = 10,
    SECONDS_MAX = 120,
    BATCH_JOBS = 1000,
    BATCH_CONNECTIONS_MAX = 4, /* a batch is 1,000 jobs: a few are under way at a time */
    JOBS_MAX = 1500000,        /* below the server's limit of live jobs */
};

static const struct flag SUBMIT_FLAGS[] = {
    {"seconds", 0, FLAG_NUMBER, "N", "of each of the three parts; default 10"},
    {"connections", 'c', FLAG_NUMBER, "N", "of single submissions; default 64"},
};

struct load {
    struct cli *cli;
    struct http_client *client;
    struct slice body;
    uint64_t jobs_each, accepted, refused;
    struct boot_ns begun, until, last;
    uint32_t under_way;
    char first_problem[512];
};

static void send_one(struct load *load);

static void on_done(void *context, struct http_call *call, enum err code,
                    const struct http1_head *response, struct slice body, const struct fault *fault)
{
    struct load *load = context;
    (void)call;
    load->under_way--;
    load->last = loop_now(load->cli->loop).boot;
    if (code == ERR_OK && response->status == 201) {
        load->accepted += load->jobs_each;
    } else {
        struct slice why = code == ERR_OK ? body : slice_of(fault->message);
        if (load->refused++ == 0)
            (void)snprintf(load->first_problem, sizeof(load->first_problem), "%s %.*s",
                           code == ERR_OK ? "refused:" : err_name(code), SLICE_ARG(why));
    }
    if (boot_is_before(load->last, load->until) && load->accepted < JOBS_MAX)
        send_one(load);
    else if (load->under_way == 0)
        loop_stop(load->cli->loop);
}

static void send_one(struct load *load)
{
    static const struct http_call_events EVENTS = {.on_done = on_done};
    struct fault fault = {0};
    const struct http1_header headers[] = {
        {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json")},
        {SLICE_LITERAL("Authorization"),
         slice_of(arena_printf(&load->cli->arena, "Bearer %s", load->cli->config.token))}};
    const struct http_client_request request = {.endpoint = load->cli->config.server,
                                                .tls = load->cli->tls,
                                                .method = "POST",
                                                .target = "/v1/jobs",
                                                .headers = headers,
                                                .header_count = 2,
                                                .body = load->body,
                                                .first_byte_max = SPAN_S(60)};
    load->under_way++;
    if (http_client_send(load->client, &request, &EVENTS, load, &fault, NULL) != ERR_OK) {
        load->under_way--;
        load->refused++;
    }
}

/* One part on a server of its own: jobs a second, and none lost of those that it promised. */
static int part(struct cli *cli, const char *what, struct slice body, uint64_t jobs_each,
                uint64_t connections, uint64_t seconds, double *out_per_s)
{
    struct bench bench;
    struct api_reply reply;
    struct load load = {.cli = cli, .body = body, .jobs_each = jobs_each};
    const struct http_client_limits limits = {.connections_max = (uint32_t)connections,
                                              .idle_max = (uint32_t)connections};
    int code = bench_open(&bench, cli);
    if (code == EXIT_DONE)
        code = bench_server_start(&bench);
    if (code == EXIT_DONE)
        code = api_call(cli, "GET", "/v1/whoami", (struct slice){0}, &reply); /* makes the TLS */
    if (code == EXIT_DONE && http_client_create(cli->loop, &limits, &load.client) != ERR_OK)
        code = cli_fail(cli, EXIT_FAILED, "out of memory");
    if (code == EXIT_DONE) {
        cli_note(cli, "%s: %llu connections, %llu s", what, (unsigned long long)connections,
                 (unsigned long long)seconds);
        load.begun = load.last = loop_now(cli->loop).boot;
        load.until = boot_add(load.begun, SPAN_S((int64_t)seconds));
        for (uint64_t i = 0; i < connections; i++)
            send_one(&load);
        while (load.under_way > 0 && loop_run(cli->loop) == ERR_OK)
            ;
        *out_per_s = (double)load.accepted * 1e9 / (double)(load.last.ns - load.begun.ns);
        cli_note(cli, "%s: %llu jobs, %.0f a second", what, (unsigned long long)load.accepted,
                 *out_per_s);
        code = api_call(cli, "GET", "/v1/stats", (struct slice){0}, &reply);
    }
    http_client_destroy(load.client);
    if (code == EXIT_DONE && load.refused > 0)
        code = cli_fail(cli, EXIT_FAILED, "%s: %llu requests failed; the first: %s", what,
                        (unsigned long long)load.refused, load.first_problem);
    if (code == EXIT_DONE && api_u64(reply.root, "jobs_pending") != load.accepted)
        code = cli_fail(cli, EXIT_FAILED, "%s: %llu jobs were promised, %llu are there", what,
                        (unsigned long long)load.accepted,
                        (unsigned long long)api_u64(reply.root, "jobs_pending"));
    bench_close(&bench);
    return code;
}

static struct slice list_body(struct cli *cli, struct slice one)
{
    struct buffer out;
    buffer_init(&out, (size_t)BATCH_JOBS * 256);
    buffer_append_text(&out, "{\"jobs\":[");
    for (int i = 0; i < BATCH_JOBS; i++) {
        if (i > 0)
            buffer_append_char(&out, ',');
        buffer_append(&out, one);
    }
    buffer_append_text(&out, "]}");
    struct slice copy = arena_copy(&cli->arena, buffer_slice(&out));
    ASSERT(buffer_status(&out) == ERR_OK && copy.data != NULL);
    buffer_deinit(&out);
    return copy;
}

static int bench_submit(struct cli *cli)
{
    const struct slice one = SLICE_LITERAL(
        "{\"name\":\"bench\",\"resources\":{\"cpus\":1,\"memory\":\"64MiB\"},\"run\":\"true\"}");
    const struct slice array =
        SLICE_LITERAL("{\"name\":\"bench\",\"array\":1000,\"resources\":{\"cpus\":1,\"memory\":"
                      "\"64MiB\"},\"run\":\"true\"}");
    uint64_t seconds = cli_number(cli, "seconds", SECONDS_DEFAULT),
             connections = cli_number(cli, "connections", CONNECTIONS_DEFAULT);
    double single = 0, arrays = 0, lists = 0;
    if (seconds == 0 || seconds > SECONDS_MAX || connections == 0 || connections > CONNECTIONS_MAX)
        return cli_fail(cli, EXIT_USAGE, "1 to %d seconds, 1 to %d connections", SECONDS_MAX,
                        CONNECTIONS_MAX);
    uint64_t few = connections < BATCH_CONNECTIONS_MAX ? connections : BATCH_CONNECTIONS_MAX;
    int code = part(cli, "one by one", one, 1, connections, seconds, &single);
    if (code == EXIT_DONE)
        code = part(cli, "arrays of 1,000", array, BATCH_JOBS, few, seconds, &arrays);
    if (code == EXIT_DONE)
        code = part(cli, "lists of 1,000", list_body(cli, one), BATCH_JOBS, few, seconds, &lists);
    if (code != EXIT_DONE)
        return code;
    double batch = arrays < lists ? arrays : lists;
    if (cli->is_json)
        printf("{\"single_per_s\":%.0f,\"batch_per_s\":%.0f,\"array_per_s\":%.0f,\"list_per_s\":%."
               "0f,\"connections\":%llu,\"seconds\":%llu,\"tls\":true}\n",
               single, batch, arrays, lists, (unsigned long long)connections,
               (unsigned long long)seconds);
    else
        printf("one by one       %8.0f jobs/s\narrays of 1,000  %8.0f jobs/s\nlists of 1,000   "
               "%8.0f jobs/s\n",
               single, arrays, lists);
    return EXIT_DONE;
}

const struct command COMMAND_BENCH_SUBMIT = {
    .name = "bench submit",
    .group = "Simulation and measurement",
    .summary = "durable submissions a second over TLS",
    .usage = "[flags]",
    .details = "Starts servers of its own in temporary folders and ends them. batch_per_s is the "
               "smaller of arrays and lists of 1,000 jobs.\nEvery job that was promised is counted "
               "at the server afterwards.\n\nExample:\n  lq bench submit --json",
    .flags = SUBMIT_FLAGS,
    .flag_count = sizeof(SUBMIT_FLAGS) / sizeof(SUBMIT_FLAGS[0]),
    .run = bench_submit};
