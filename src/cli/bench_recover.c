/* lq bench recover: serving again with many jobs in the database; memory, idle and full. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "cli/bench.h"
#include "cli/commands.h"
#include "port/clock.h"
#include "port/loop.h"
#include "store/store.h"

enum {
    ENDED_DEFAULT = 1000000,
    LIVE_DEFAULT = 100000,
    JOBS_MAX = 5000000,
    CHANGE_JOBS = 5000, /* jobs a change: three operations each */
    NOTE_JOBS = 100000,
    SETTLE_MS = 1500,
};

static const struct flag RECOVER_FLAGS[] = {
    {"ended", 0, FLAG_NUMBER, "N", "jobs that ended; default 1000000"},
    {"live", 0, FLAG_NUMBER, "N", "jobs that wait; default 100000"},
};

struct filler {
    struct cli *cli;
    struct store_db *db;
    struct random random;
    struct tenant_id tenant;
    struct site_id site;
    struct journal_id journal;
    struct wall_us now;
    struct change_op *ops;
    size_t count;
    uint64_t epoch;
};

static int flush(struct filler *filler)
{
    const struct change change = {filler->ops, filler->count};
    const struct change *changes[] = {&change};
    struct change_result result;
    struct fault fault = {0};
    if (filler->count <= 1)
        return EXIT_DONE;
    enum err err = store_db_apply(filler->db, changes, 1, filler->now, &result, &fault);
    if (err == ERR_OK)
        err = result.err;
    filler->count = 1;
    return err == ERR_OK ? EXIT_DONE
                         : cli_fail(filler->cli, EXIT_FAILED, "the store refused the jobs: %s %s",
                                    err_name(err), fault.message);
}

/* A job as a submission writes it, with a spec of its own; an ended one with its attempt. */
static void job_add(struct filler *filler, bool is_ended)
{
    static const char SPEC[] =
        "{\"name\":\"bench\",\"resources\":{\"cpus\":1,\"memory\":\"64MiB\"},"
        "\"run\":\"true\"}";
    int64_t wall_ms = filler->now.us / 1000;
    struct change_op *op = &filler->ops[filler->count++];
    *op = (struct change_op){.kind = CHANGE_SPEC_INSERT};
    op->spec.id = (struct spec_id){id_make(wall_ms, &filler->random)};
    op->spec.body = slice_of(SPEC);
    struct change_op *job = &filler->ops[filler->count++];
    *job = (struct change_op){.kind = CHANGE_JOB_INSERT};
    job->job.row = (struct job_row){.id = {id_make(wall_ms, &filler->random)},
                                    .spec = op->spec.id,
                                    .tenant = filler->tenant,
                                    .state = JOB_PENDING,
                                    .created_epoch = filler->epoch,
                                    .created_at = filler->now,
                                    .exit_code = -1,
                                    .version = 1};
    if (!is_ended)
        return;
    job->job.row.state = JOB_SUCCEEDED;
    job->job.row.attempt = 1;
    job->job.row.epoch = filler->epoch;
    job->job.row.exit_code = 0;
    job->job.row.outcome = OUTCOME_SUCCEEDED;
    job->job.row.ended_at = filler->now;
    struct change_op *attempt = &filler->ops[filler->count++];
    *attempt = (struct change_op){.kind = CHANGE_ATTEMPT_INSERT};
    attempt->attempt.places = SLICE_LITERAL("[[0]]");
    attempt->attempt.row = (struct attempt_row){.token = {filler->epoch, job->job.row.id, 1},
                                                .site = filler->site,
                                                .journal = filler->journal,
                                                .state = ATTEMPT_ENDED,
                                                .outcome = OUTCOME_SUCCEEDED,
                                                .nodes = 1,
                                                .contact = {.policy = CONTACT_STRICT},
                                                .offered_at = filler->now,
                                                .started_at = filler->now,
                                                .ended_at = filler->now,
                                                .version = 1};
}

static int fill(struct bench *bench, struct tenant_id tenant, uint64_t count, bool is_ended)
{
    struct clock clock = clock_system();
    struct fault fault = {0};
    struct store_meta meta;
    struct filler filler = {.cli = bench->cli, .tenant = tenant, .now = clock_wall(&clock)};
    const struct store_config config = {
        .path = arena_printf(&bench->cli->arena, "%s/server/lingqu.db", bench->folder),
        .mode = STORE_WRITE};
    int code = EXIT_DONE;
    random_init(&filler.random, is_ended ? 1 : 2);
    filler.site = (struct site_id){id_make(filler.now.us / 1000, &filler.random)};
    filler.journal = (struct journal_id){id_make(filler.now.us / 1000, &filler.random)};
    filler.ops = calloc(3 * CHANGE_JOBS + 1, sizeof(*filler.ops));
    ASSERT(filler.ops != NULL);
    enum err err = store_db_open(&config, &filler.db, &fault);
    if (err == ERR_OK)
        err = store_db_meta(filler.db, &meta);
    if (err == ERR_OK) {
        filler.epoch = meta.db_epoch;
        filler.ops[filler.count++] =
            (struct change_op){.kind = CHANGE_EPOCH_EXPECT, .epoch = {meta.db_epoch}};
        for (uint64_t i = 0; i < count && code == EXIT_DONE; i++) {
            job_add(&filler, is_ended);
            if ((i + 1) % CHANGE_JOBS == 0)
                code = flush(&filler);
            if ((i + 1) % NOTE_JOBS == 0)
                cli_note(bench->cli, "%llu %s jobs written", (unsigned long long)i + 1,
                         is_ended ? "ended" : "live");
        }
        if (code == EXIT_DONE)
            code = flush(&filler);
    } else {
        code = cli_fail_fault(bench->cli, EXIT_FAILED, config.path, &fault);
    }
    store_db_close(filler.db);
    free(filler.ops);
    return code;
}

/* Start to /readyz, and the memory some time after. */
static int restart(struct bench *bench, double *out_seconds, uint64_t *out_kib)
{
    struct clock clock = clock_system();
    struct boot_ns begun = clock_boot(&clock);
    int code = bench_server_start(bench);
    if (code == EXIT_DONE)
        code = bench_wait_ok(bench, "/readyz", SPAN_S(120));
    *out_seconds = (double)(clock_boot(&clock).ns - begun.ns) / 1e9;
    if (code == EXIT_DONE) {
        cli_pause(bench->cli, SPAN_MS(SETTLE_MS));
        *out_kib = bench_rss_kib(process_pid(bench->server.process));
    }
    return code;
}

struct figures {
    double ended_s, recover_s;
    uint64_t server_idle, agent_idle, server_ended, server_full;
};

static int counted(struct bench *bench, uint64_t live)
{
    struct api_reply reply;
    int code = api_call(bench->cli, "GET", "/v1/stats", (struct slice){0}, &reply);
    if (code == EXIT_DONE && api_u64(reply.root, "jobs_pending") != live)
        code = cli_fail(bench->cli, EXIT_FAILED, "%llu live jobs were written, %llu are there",
                        (unsigned long long)live,
                        (unsigned long long)api_u64(reply.root, "jobs_pending"));
    return code;
}

static int play(struct bench *bench, uint64_t ended, uint64_t live, struct figures *out)
{
    struct cli *cli = bench->cli;
    struct api_reply reply;
    struct tenant_id tenant = {0};
    double first;
    int code = restart(bench, &first, &out->server_idle);
    if (code == EXIT_DONE)
        code = bench_agent_start(bench, 1, "/usr");
    if (code == EXIT_DONE) {
        cli_pause(cli, SPAN_MS(SETTLE_MS));
        out->agent_idle = bench_rss_kib(process_pid(bench->agent.process));
        daemon_stop(&bench->agent, SPAN_S(10));
        bench->has_agent = false;
        code = api_call(cli, "GET", "/v1/whoami", (struct slice){0}, &reply);
    }
    if (code == EXIT_DONE &&
        id_parse(api_string(reply.root, "tenant"), "ten", &tenant.id) != ERR_OK)
        code = cli_fail(cli, EXIT_FAILED, "the administrator has no tenant");
    bench_server_stop(bench);
    if (code == EXIT_DONE)
        code = fill(bench, tenant, ended, true);
    if (code == EXIT_DONE)
        code = restart(bench, &out->ended_s, &out->server_ended);
    bench_server_stop(bench);
    if (code == EXIT_DONE)
        code = fill(bench, tenant, live, false);
    if (code == EXIT_DONE)
        code = restart(bench, &out->recover_s, &out->server_full);
    return code == EXIT_DONE ? counted(bench, live) : code;
}

static int bench_recover(struct cli *cli)
{
    struct bench bench;
    struct figures figures = {0};
    uint64_t ended = cli_number(cli, "ended", ENDED_DEFAULT),
             live = cli_number(cli, "live", LIVE_DEFAULT);
    const double mib = 1024.0;
    if (ended > JOBS_MAX || live > JOBS_MAX)
        return cli_fail(cli, EXIT_USAGE, "at most %d jobs of each kind", JOBS_MAX);
    int code = bench_open(&bench, cli);
    if (code == EXIT_DONE)
        code = play(&bench, ended, live, &figures);
    bench_close(&bench);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        printf("{\"recover_s\":%.2f,\"ended\":%llu,\"live\":%llu,\"ended_only_s\":%.2f,"
               "\"server_idle_mib\":%.1f,\"agent_idle_mib\":%.1f,\"server_ended_mib\":%.1f,"
               "\"server_full_mib\":%.1f}\n",
               figures.recover_s, (unsigned long long)ended, (unsigned long long)live,
               figures.ended_s, (double)figures.server_idle / mib, (double)figures.agent_idle / mib,
               (double)figures.server_ended / mib, (double)figures.server_full / mib);
    else
        printf("serving again after  %.2f s with %llu ended and %llu live jobs (%.2f s with the "
               "ended ones alone)\nserver, idle         %.1f MiB\nagent, idle          %.1f MiB\n"
               "server, ended jobs   %.1f MiB\nserver, all jobs     %.1f MiB\n",
               figures.recover_s, (unsigned long long)ended, (unsigned long long)live,
               figures.ended_s, (double)figures.server_idle / mib, (double)figures.agent_idle / mib,
               (double)figures.server_ended / mib, (double)figures.server_full / mib);
    return EXIT_DONE;
}

const struct command COMMAND_BENCH_RECOVER = {
    .name = "bench recover",
    .group = "Simulation and measurement",
    .summary = "time to serve again, and memory, with a full database",
    .usage = "[flags]",
    .details =
        "Writes the jobs through the store, each with its spec, ended ones with their attempt, "
        "then measures from the start of the\nserver to /readyz.\n\n"
        "Example:\n  lq bench recover --json",
    .flags = RECOVER_FLAGS,
    .flag_count = sizeof(RECOVER_FLAGS) / sizeof(RECOVER_FLAGS[0]),
    .run = bench_recover};
