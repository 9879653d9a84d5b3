/* lq bench place: what a decision costs on a full network while work leaves and arrives.
 *
 * Jobs are submitted until as many wait as asked for and nothing more fits. Then each event is a
 * job that ends (the earliest) and a job that is submitted; what can start is decided. The clock
 * runs while the engine works and stands while the world is made up and the checker looks. A
 * decision's latency is counted from its event, or from the decision before it in the same event.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/heap.h"
#include "cli/bench.h"
#include "cli/bench_place.h"
#include "cli/commands.h"

enum {
    SITES_DEFAULT = 250,
    ACCELERATORS_DEFAULT = 1000000,
    JOBS_DEFAULT = 100000,
    DECISIONS_DEFAULT = 400000,
    DECISIONS_MAX = 20000000,
    SWEEP_DECISIONS = 100000,
    JOBS_MAX = 2000000,
    ACCELERATORS_MAX = 4000000,
    HELD_MAX_SPARE = 65536,
};

static const struct flag PLACE_FLAGS[] = {
    {"sites", 0, FLAG_NUMBER, "N", "sites; default 250"},
    {"accelerators", 'a', FLAG_NUMBER, "N", "of all sites; default 1000000"},
    {"jobs", 'n', FLAG_NUMBER, "N", "that wait; default 100000"},
    {"decisions", 'd', FLAG_NUMBER, "N", "to measure, after the network is full; default 400000"},
    {"seed", 0, FLAG_NUMBER, "N", "of the made-up network and work; default 1"},
    {"sweep", 0, FLAG_BOOL, NULL, "one row a size: 1k to 1M accelerators, then 1k to 1M jobs"},
};

struct size {
    uint64_t sites, accelerators, jobs, decisions, seed;
};

struct run {
    struct pb_world *world;
    struct placer *placer;
    struct pb_check *check;
    struct now now;
    struct heap endings; /* of held jobs: slot by second */
    struct place_decision *decision;
    uint64_t queued, decided, events;
    uint64_t engine_ns; /* while the engine works */
    double *latencies_us;
    double full_min; /* least share of devices held while measured */
    char why[128];
};

struct result {
    double decisions_per_s, p50_us, p99_us, max_us, rss_mib, seconds, full_pct;
    uint64_t decisions, events, queued, accelerators, fill_decisions;
    double fill_seconds;
};

static uint64_t clock_ns(void)
{
    struct timespec at;
    int failed = clock_gettime(CLOCK_MONOTONIC, &at);
    ASSERT(failed == 0);
    return (uint64_t)at.tv_sec * 1000000000 + (uint64_t)at.tv_nsec;
}

/* Books, checks and schedules a decision; the clock stands. */
static bool decision_note(struct run *run)
{
    const struct place_decision *d = run->decision;
    uint32_t slot = pb_slot_of(d->job);
    if (!pb_check_decision(run->check, d, run->why))
        return false;
    enum err err = heap_push(
        &run->endings, run->now.wall.us / 1000000 + run->world->jobs[slot].runs_s, slot, NULL);
    ASSERT(err == ERR_OK);
    run->queued--;
    return true;
}

/* What can start now. Latencies are kept of decisions from number `first` to `limit`. */
static bool decide_all(struct run *run, uint64_t begun_ns, uint64_t first, uint64_t limit)
{
    for (;;) {
        bool found = placer_propose(run->placer, run->now, run->decision);
        if (found)
            placer_confirm(run->placer, run->decision->job, run->now);
        uint64_t ended_ns = clock_ns();
        run->engine_ns += ended_ns - begun_ns;
        if (!found)
            return true;
        if (run->decided >= first && run->decided < limit)
            run->latencies_us[run->decided - first] = (double)(ended_ns - begun_ns) / 1000;
        run->decided++;
        if (!decision_note(run))
            return false;
        begun_ns = clock_ns();
    }
}

static void submit(struct run *run)
{
    uint32_t slot = pb_job_make(run->world, run->now.wall);
    uint64_t begun_ns = clock_ns();
    enum err err = placer_job_put(run->placer, &run->world->jobs[slot].place);
    ASSERT(err == ERR_OK);
    run->engine_ns += clock_ns() - begun_ns;
    run->queued++;
}

/* The earliest job ends; false: none is left. */
static bool release(struct run *run, uint32_t *out_slot)
{
    int64_t at_s;
    uint64_t slot;
    if (!heap_pop(&run->endings, &at_s, &slot))
        return false;
    if (at_s * 1000000 > run->now.wall.us) {
        run->now.boot.ns += (at_s * 1000000 - run->now.wall.us) * 1000;
        run->now.wall.us = at_s * 1000000;
    }
    pb_check_release(run->check, run->world->jobs[slot].place.id);
    *out_slot = (uint32_t)slot;
    return true;
}

static bool fill(struct run *run, uint64_t jobs)
{
    enum { BATCH = 1000 };
    while (run->queued < jobs) {
        for (int i = 0; i < BATCH && run->queued < jobs; i++)
            submit(run);
        run->now.wall.us += 1000;
        run->now.boot.ns += 1000000;
        if (!decide_all(run, clock_ns(), 0, 0))
            return false;
    }
    return true;
}

static bool churn(struct run *run, uint64_t jobs, uint64_t decisions)
{
    uint64_t limit = run->decided + decisions, first = run->decided;
    uint32_t slot;
    while (run->decided < limit && release(run, &slot)) {
        struct pb_job *job = &run->world->jobs[slot];
        while (run->queued + 1 < jobs)
            submit(run); /* as many as started beyond one */
        uint32_t fresh = pb_job_make(run->world, run->now.wall);
        uint64_t begun_ns = clock_ns();
        placer_release(run->placer, job->place.id, run->now.wall);
        enum err err = placer_job_put(run->placer, &run->world->jobs[fresh].place);
        ASSERT(err == ERR_OK);
        run->queued++;
        run->events++;
        if (!decide_all(run, begun_ns, first, limit))
            return false;
        pb_job_free(run->world, slot);
        double full =
            100.0 * (double)pb_check_devices_held(run->check) / (double)run->world->accelerators;
        if (full < run->full_min)
            run->full_min = full;
    }
    return true;
}

static void run_close(struct run *run)
{
    placer_destroy(run->placer); /* before the specs that it points to */
    pb_check_free(run->check);
    heap_deinit(&run->endings);
    pb_world_free(run->world);
    free(run->decision);
    free(run->latencies_us);
}

static bool run_open(struct run *run, const struct size *size)
{
    uint64_t jobs_max = size->jobs + size->accelerators + HELD_MAX_SPARE;
    *run = (struct run){.now = {{1000000000}, {INT64_C(1800000000) * 1000000}}, .full_min = 100};
    heap_init(&run->endings, jobs_max);
    run->world =
        pb_world_make(size->seed, (uint32_t)size->sites, size->accelerators, (uint32_t)jobs_max);
    run->decision = calloc(1, sizeof(*run->decision));
    run->latencies_us = calloc(size->decisions + 1, sizeof(*run->latencies_us));
    if (run->world == NULL || run->decision == NULL || run->latencies_us == NULL)
        return false;
    run->placer = pb_world_placer(run->world);
    run->check = pb_check_make(run->world);
    return run->placer != NULL && run->check != NULL;
}

static int measure(struct cli *cli, const struct size *size, struct result *out)
{
    struct run run;
    int code = EXIT_DONE;
    if (!run_open(&run, size)) {
        run_close(&run);
        return cli_fail(cli, EXIT_FAILED, "out of memory");
    }
    bool is_good = fill(&run, size->jobs);
    *out = (struct result){.fill_decisions = run.decided,
                           .fill_seconds = (double)run.engine_ns / 1e9,
                           .accelerators = run.world->accelerators};
    run.engine_ns = 0;
    is_good = is_good && churn(&run, size->jobs, size->decisions);
    if (is_good) {
        out->decisions = run.decided - out->fill_decisions;
        size_t samples = out->decisions < size->decisions ? out->decisions : size->decisions;
        out->events = run.events;
        out->queued = run.queued;
        out->seconds = (double)run.engine_ns / 1e9;
        out->decisions_per_s = out->seconds > 0 ? (double)out->decisions / out->seconds : 0;
        out->p50_us = bench_quantile(run.latencies_us, samples, 500);
        out->p99_us = bench_quantile(run.latencies_us, samples, 990);
        out->max_us = bench_quantile(run.latencies_us, samples, 1000);
        out->full_pct = run.full_min;
        out->rss_mib = (double)bench_rss_kib(getpid()) / 1024;
    } else {
        code = cli_fail(cli, EXIT_FAILED, "the checker refuses a decision: %s", run.why);
    }
    run_close(&run);
    return code;
}

static void result_json(const struct size *size, const struct result *r)
{
    printf("{\"decisions_per_s\":%.0f,\"p50_us\":%.2f,\"p99_us\":%.2f,\"max_us\":%.1f,"
           "\"rss_mib\":%.1f,\"seconds\":%.3f,\"full_pct_min\":%.2f,\"decisions\":%llu,"
           "\"departures\":%llu,\"checked\":true,\"sites\":%llu,\"accelerators\":%llu,"
           "\"jobs\":%llu,\"queued\":%llu,\"fill_decisions\":%llu,\"fill_seconds\":%.3f}",
           r->decisions_per_s, r->p50_us, r->p99_us, r->max_us, r->rss_mib, r->seconds, r->full_pct,
           (unsigned long long)r->decisions, (unsigned long long)r->events,
           (unsigned long long)size->sites, (unsigned long long)r->accelerators,
           (unsigned long long)size->jobs, (unsigned long long)r->queued,
           (unsigned long long)r->fill_decisions, r->fill_seconds);
}

static void result_text(const struct size *size, const struct result *r)
{
    printf("%8llu accelerators, %8llu jobs waiting: %9.0f decisions/s, p50 %6.2f us, p99 %7.2f us, "
           "%6.1f MiB, at least %.1f %% full\n",
           (unsigned long long)r->accelerators, (unsigned long long)size->jobs, r->decisions_per_s,
           r->p50_us, r->p99_us, r->rss_mib, r->full_pct);
}

static int sweep(struct cli *cli, const struct size *base)
{
    static const uint64_t STEPS[] = {1000, 10000, 100000, 1000000};
    enum { ROWS = 8 };
    int code = EXIT_DONE;
    if (cli->is_json)
        printf("{\"rows\":[");
    for (int i = 0; i < ROWS && code == EXIT_DONE; i++) {
        struct size size = *base;
        struct result result;
        size.decisions = SWEEP_DECISIONS;
        size.accelerators = i < ROWS / 2 ? STEPS[i] : base->accelerators;
        size.jobs = i < ROWS / 2 ? base->jobs : STEPS[i - ROWS / 2];
        if (size.sites > size.accelerators / 32)
            size.sites = size.accelerators / 32;
        code = measure(cli, &size, &result);
        if (code != EXIT_DONE)
            break;
        if (cli->is_json && i > 0)
            printf(",");
        if (cli->is_json)
            result_json(&size, &result);
        else
            result_text(&size, &result);
        fflush(stdout);
    }
    if (cli->is_json)
        printf("]}\n");
    return code;
}

static int bench_place(struct cli *cli)
{
    struct size size = {.sites = cli_number(cli, "sites", SITES_DEFAULT),
                        .accelerators = cli_number(cli, "accelerators", ACCELERATORS_DEFAULT),
                        .jobs = cli_number(cli, "jobs", JOBS_DEFAULT),
                        .decisions = cli_number(cli, "decisions", DECISIONS_DEFAULT),
                        .seed = cli_number(cli, "seed", 1)};
    struct result result;
    if (size.sites == 0 || size.sites > PLACE_SITES_MAX)
        return cli_fail(cli, EXIT_USAGE, "--sites must be between 1 and %d", PLACE_SITES_MAX);
    if (size.accelerators < size.sites * 8 || size.accelerators > ACCELERATORS_MAX)
        return cli_fail(cli, EXIT_USAGE, "--accelerators must be between 8 a site and %d",
                        ACCELERATORS_MAX);
    if (size.jobs == 0 || size.jobs > JOBS_MAX)
        return cli_fail(cli, EXIT_USAGE, "--jobs must be between 1 and %d", JOBS_MAX);
    if (size.decisions == 0 || size.decisions > DECISIONS_MAX)
        return cli_fail(cli, EXIT_USAGE, "--decisions must be between 1 and %d", DECISIONS_MAX);
    if (cli_has(cli, "sweep"))
        return sweep(cli, &size);
    int code = measure(cli, &size, &result);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json) {
        result_json(&size, &result);
        printf("\n");
    } else {
        result_text(&size, &result);
    }
    return EXIT_DONE;
}

const struct command COMMAND_BENCH_PLACE = {
    .name = "bench place",
    .group = "Simulation and measurement",
    .summary = "what a placement decision costs on a full network",
    .usage = "[flags]",
    .details =
        "Makes up a network of six kinds of chips and a mixed stream of work: gangs of 1 to 512 "
        "ranks, classes, budgets,\nquotas over a tree of 1,041 tenants, jurisdictions, round "
        "trips, "
        "checkpoints that lie somewhere. It is filled, and\nthen jobs end and others arrive while "
        "the engine decides. A checker with books of its own goes over every decision.\nOne core; "
        "the clock runs only while the engine works.\n\nExample:\n"
        "  lq bench place --sites 250 --accelerators 1000000 --jobs 100000 --json",
    .flags = PLACE_FLAGS,
    .flag_count = sizeof(PLACE_FLAGS) / sizeof(PLACE_FLAGS[0]),
    .run = bench_place};
