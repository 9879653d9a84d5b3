/* lq bench start: from the submission to the program's first instruction, on an idle host site. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/upload.h"
#include "port/clock.h"

enum {
    RUNS_DEFAULT = 200,
    RUNS_MAX = 5000,
    WARM_RUNS = 3,
    NODES = 2,
    FIRST_LOOK_MS = 60, /* no questions while the job starts */
    LOOK_MS = 20,
    LOOKS_MAX = 1500,
};

static const struct flag START_FLAGS[] = {
    {"runs", 'n', FLAG_NUMBER, "N", "submissions, one after the other; default 200"},
};

/* When the program of a job said that it began; its log is its own clock reading. */
static int begun_at(struct cli *cli, const char *id, int64_t *out_ns)
{
    for (int i = 0; i < LOOKS_MAX; i++) {
        struct api_reply job, log;
        cli_pause(cli, SPAN_MS(i == 0 ? FIRST_LOOK_MS : LOOK_MS));
        int code =
            api_call(cli, "GET", api_target(cli, "/v1/jobs/%s", id), (struct slice){0}, &job);
        if (code != EXIT_DONE)
            return code;
        struct slice state = api_string(job.root, "state");
        if (slice_is(state, "failed"))
            return cli_fail(cli, EXIT_FAILED, "job %s failed; the site cannot run work", id);
        if (!slice_is(state, "succeeded"))
            continue;
        code =
            api_call(cli, "GET", api_target(cli, "/v1/jobs/%s/logs", id), (struct slice){0}, &log);
        if (code != EXIT_DONE)
            return code;
        while (log.body.len > 0 && log.body.data[log.body.len - 1] == '\n')
            log.body.len--;
        if (slice_parse_i64(log.body, out_ns) == ERR_OK)
            return EXIT_DONE; /* else the log has not come yet */
    }
    return cli_fail(cli, EXIT_FAILED, "job %s did not end", id);
}

static int run_once(struct cli *cli, struct slice body, double *out_ms)
{
    struct api_reply reply;
    struct clock clock = clock_system();
    int64_t begun = 0;
    struct boot_ns sent = clock_boot(&clock);
    int code = api_call(cli, "POST", "/v1/jobs", body, &reply);
    if (code == EXIT_DONE) {
        struct slice id = api_string(json_array_at(json_object_get(reply.root, "jobs"), 0), "id");
        code = begun_at(cli, arena_text(&cli->arena, id), &begun);
    }
    *out_ms = (double)(begun - sent.ns) / 1e6;
    return code;
}

static int measure(struct bench *bench, struct slice body, uint64_t runs, double *values)
{
    for (uint64_t i = 0; i < runs + WARM_RUNS; i++) {
        double ms;
        int code = run_once(bench->cli, body, &ms);
        if (code != EXIT_DONE)
            return code;
        if (i >= WARM_RUNS)
            values[i - WARM_RUNS] = ms;
        if (i >= WARM_RUNS && (i - WARM_RUNS + 1) % 50 == 0)
            cli_note(bench->cli, "%llu of %llu runs", (unsigned long long)(i - WARM_RUNS + 1),
                     (unsigned long long)runs);
    }
    return EXIT_DONE;
}

/* The job's text; a staged program is uploaded as its work folder first. */
static int body_make(struct bench *bench, const char *stamp, bool is_staged, struct slice *out)
{
    enum { PROGRAM_BYTES_MAX = 4 << 20 };
    struct cli *cli = bench->cli;
    struct fault fault = {0};
    struct slice bytes, id;
    if (!is_staged) {
        *out = slice_of(arena_printf(&cli->arena,
                                     "{\"name\":\"stamp\",\"resources\":{\"cpus\":1,\"memory\":"
                                     "\"64MiB\"},\"run\":\"exec %s\"}",
                                     stamp));
        return EXIT_DONE;
    }
    const char *folder = arena_printf(&cli->arena, "%s/program", bench->folder);
    const char *copy = arena_printf(&cli->arena, "%s/lq-stamp", folder);
    enum err err = file_read(stamp, PROGRAM_BYTES_MAX, &cli->arena, &fault, &bytes);
    if (err == ERR_OK)
        err = file_make_folders(folder, 0700, &fault);
    if (err == ERR_OK)
        err = file_write_atomic(copy, bytes, 0755, &fault);
    if (err != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, stamp, &fault);
    int code = upload_folder(cli, NULL, folder, &id);
    if (code == EXIT_DONE)
        *out = slice_of(arena_printf(&cli->arena,
                                     "{\"name\":\"stamp\",\"resources\":{\"cpus\":1,\"memory\":"
                                     "\"64MiB\"},\"workdir\":\"%.*s\",\"run\":\"exec ./lq-stamp\"}",
                                     SLICE_ARG(id)));
    return code;
}

static int bench_start(struct cli *cli)
{
    struct bench bench;
    uint64_t runs = cli_number(cli, "runs", RUNS_DEFAULT);
    char *slash = strrchr(cli->program, '/');
    if (runs == 0 || runs > RUNS_MAX)
        return cli_fail(cli, EXIT_USAGE, "--runs must be between 1 and %d", RUNS_MAX);
    const char *folder =
        arena_text(&cli->arena, (struct slice){cli->program, (size_t)(slash - cli->program)});
    const char *stamp = arena_printf(&cli->arena, "%s/lq-stamp", folder);
    if (access(stamp, X_OK) != 0)
        return cli_fail(cli, EXIT_NOT_FOUND, "%s is missing; it is built beside lq", stamp);
    /* A sandbox has a /tmp of its own: a program that was built below it goes along as content. */
    bool is_staged = strncmp(stamp, "/tmp/", 5) == 0;
    struct slice body = {0};
    double *values = calloc(runs, sizeof(*values));
    int code = bench_open(&bench, cli);
    if (code == EXIT_DONE && values == NULL)
        code = cli_fail(cli, EXIT_FAILED, "out of memory");
    if (code == EXIT_DONE)
        code = bench_server_start(&bench);
    if (code == EXIT_DONE)
        code = bench_agent_start(&bench, NODES, is_staged ? "/usr" : folder);
    if (code == EXIT_DONE)
        code = body_make(&bench, stamp, is_staged, &body);
    if (code == EXIT_DONE)
        code = measure(&bench, body, runs, values);
    if (code == EXIT_DONE) {
        double p50 = bench_quantile(values, runs, 500), p99 = bench_quantile(values, runs, 990);
        if (cli->is_json)
            printf("{\"start_p50_ms\":%.2f,\"start_p99_ms\":%.2f,\"start_min_ms\":%.2f,"
                   "\"start_max_ms\":%.2f,\"runs\":%llu,\"with_content\":%s}\n",
                   p50, p99, values[0], values[runs - 1], (unsigned long long)runs,
                   is_staged ? "true" : "false");
        else
            printf("submit to program running: p50 %.1f ms, p99 %.1f ms, %.1f to %.1f ms, %llu "
                   "runs\n",
                   p50, p99, values[0], values[runs - 1], (unsigned long long)runs);
    }
    bench_close(&bench);
    free(values);
    return code;
}

const struct command COMMAND_BENCH_START = {
    .name = "bench start",
    .group = "Simulation and measurement",
    .summary = "time from submission to the program's first instruction",
    .usage = "[flags]",
    .details =
        "Starts a server and an agent of its own. The clock starts before the request is sent and "
        "stops when the program, in its\nsandbox, reads the same boot-time clock.\n\n"
        "Example:\n  lq bench start --json",
    .flags = START_FLAGS,
    .flag_count = sizeof(START_FLAGS) / sizeof(START_FLAGS[0]),
    .run = bench_start};
