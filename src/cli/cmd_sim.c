/* lq sim federate: experiments over the placement engine. */
#include <stdio.h>

#include "base/assert.h"
#include "cli/sim_output.h"
#include "sim/federate.h"

enum { LOAD_DEFAULT = 90, STRETCH_DEFAULT = 1000 };

static const struct flag FEDERATE_FLAGS[] = {
    {"root", 0, FLAG_TEXT, "FOLDER", "the project's folder; default: the current one"},
    {"load", 0, FLAG_NUMBER, "PERCENT", "work of all sites' devices; default 90"},
    {"stretch", 0, FLAG_NUMBER, "N", "how far a job's own work puts it back; default 1000"},
    {"limit", 0, FLAG_NUMBER, "JOBS", "only the first jobs of the trace"},
};

static void figures_json(struct json_writer *writer, const char *name,
                         const struct federate_figures *figures)
{
    json_key(writer, name);
    json_begin_object(writer);
    json_put_f64(writer, "wait_mean_s", sim_round(figures->wait_mean_s));
    json_put_f64(writer, "wait_p99_s", sim_round(figures->wait_p99_s));
    json_put_f64(writer, "response_mean_s", sim_round(figures->response_mean_s));
    json_put_f64(writer, "utilisation", sim_round(figures->utilisation));
    json_put_u64(writer, "never_started", figures->never);
    json_end_object(writer);
}

static void runs_json(struct json_writer *writer, const struct federate_result *result)
{
    double bound = result->srpt.wait_mean_ms / 1000;
    for (int k = 0; k < FEDERATE_KNOWLEDGE_COUNT_; k++) {
        const struct federate_run *run = &result->runs[k];
        json_key(writer, federate_knowledge_name((enum federate_knowledge)k));
        json_begin_object(writer);
        figures_json(writer, "siloed", &run->siloed);
        figures_json(writer, "pooled", &run->pooled);
        json_put_f64(writer, "pooled_to_siloed_wait",
                     sim_ratio(run->pooled.wait_mean_s, run->siloed.wait_mean_s));
        json_put_f64(writer, "pooled_to_srpt_wait", sim_ratio(run->pooled.wait_mean_s, bound));
        json_put_f64(writer, "pooled_to_srpt_response",
                     sim_ratio(run->pooled.response_mean_s, result->srpt.response_mean_ms / 1000));
        json_end_object(writer);
    }
}

static void federate_json(struct json_writer *writer, const struct federate_result *result,
                          double seconds)
{
    json_begin_object(writer);
    json_put_u64(writer, "jobs", result->jobs);
    json_put_u64(writer, "devices", result->devices);
    json_put_f64(writer, "load", sim_round(result->load));
    json_put_f64(writer, "arrivals_pressed_to", sim_round(result->press));
    json_key(writer, "sites");
    json_begin_array(writer);
    for (uint32_t s = 0; s < result->site_count; s++) {
        const struct federate_site *site = &result->sites[s];
        json_begin_object(writer);
        json_put_string(writer, "name", site->name);
        json_put_string(writer, "region", site->region);
        json_put_u64(writer, "nodes", site->nodes);
        json_put_u64(writer, "jobs", site->jobs);
        json_put_f64(writer, "load", sim_round(site->load));
        json_put_f64(writer, "siloed_wait_mean_s", sim_round(site->siloed_wait_mean_s));
        json_put_f64(writer, "pooled_wait_mean_s", sim_round(site->pooled_home_wait_mean_s));
        json_end_object(writer);
    }
    json_end_array(writer);
    runs_json(writer, result);
    json_key(writer, "srpt");
    json_begin_object(writer);
    json_put_f64(writer, "wait_mean_s", sim_round(result->srpt.wait_mean_ms / 1000));
    json_put_f64(writer, "wait_p99_s", sim_round(result->srpt.wait_p99_ms / 1000));
    json_put_f64(writer, "response_mean_s", sim_round(result->srpt.response_mean_ms / 1000));
    json_end_object(writer);
    json_put_u64(writer, "events", result->events);
    json_put_f64(writer, "seconds", sim_round(seconds));
    json_end_object(writer);
}

static void federate_words(const struct federate_result *result)
{
    printf("%zu jobs on %u devices at %u sites, load %.2f\n", result->jobs, result->devices,
           result->site_count, result->load);
    printf("%-10s %14s %14s %14s %14s %8s\n", "run times", "siloed mean", "siloed p99",
           "pooled mean", "pooled p99", "ratio");
    for (int k = 0; k < FEDERATE_KNOWLEDGE_COUNT_; k++) {
        const struct federate_run *run = &result->runs[k];
        printf("%-10s %12.0f s %12.0f s %12.0f s %12.0f s %8.4f\n",
               federate_knowledge_name((enum federate_knowledge)k), run->siloed.wait_mean_s,
               run->siloed.wait_p99_s, run->pooled.wait_mean_s, run->pooled.wait_p99_s,
               sim_ratio(run->pooled.wait_mean_s, run->siloed.wait_mean_s));
    }
    printf("pooled SRPT: mean wait %.0f s, p99 %.0f s\n", result->srpt.wait_mean_ms / 1000,
           result->srpt.wait_p99_ms / 1000);
}

static int federate_command(struct cli *cli)
{
    struct sim_progress progress;
    struct federate_options options = {
        .load_percent = (uint32_t)cli_number(cli, "load", LOAD_DEFAULT),
        .stretch = (uint32_t)cli_number(cli, "stretch", STRETCH_DEFAULT),
        .limit = (size_t)cli_number(cli, "limit", 0),
        .progress = sim_progress_tell,
        .context = &progress};
    struct federate_result result;
    struct fault fault = {0};
    struct arena arena;
    struct slice trace, rtt;
    if (cli_number(cli, "load", LOAD_DEFAULT) - 1 > 998 ||
        cli_number(cli, "stretch", 0) > PLACE_STRETCH_MAX)
        return cli_fail(cli, EXIT_USAGE, "a load of 1 to 999 %% and a stretch up to %d",
                        PLACE_STRETCH_MAX);
    sim_progress_begin(&progress, cli);
    arena_init(&arena, SIM_ARENA_BYTES_MAX);
    const char *path = "data/philly/philly.csv", *rtt_path = "data/rtt/azure_region_rtt_ms.csv";
    struct rtt_table *table = arena_alloc(&arena, sizeof(*table));
    ASSERT(table != NULL);
    int code = sim_data_read(cli, path, &arena, &trace);
    if (code == EXIT_DONE)
        code = sim_data_read(cli, rtt_path, &arena, &rtt);
    if (code == EXIT_DONE && rtt_table_read(rtt, &arena, table, &fault) != ERR_OK)
        code = cli_fail_fault(cli, EXIT_FAILED, rtt_path, &fault);
    if (code == EXIT_DONE &&
        federate_run(trace, table, &options, &arena, &result, &fault) != ERR_OK)
        code = cli_fail_fault(cli, EXIT_FAILED, path, &fault);
    if (code == EXIT_DONE && cli->is_json) {
        struct sim_json json;
        federate_json(sim_json_begin(&json), &result, sim_progress_seconds(&progress));
        code = sim_json_end(&json, cli);
    } else if (code == EXIT_DONE) {
        federate_words(&result);
    }
    arena_deinit(&arena);
    return code;
}

const struct command COMMAND_SIM_FEDERATE = {
    .name = "sim federate",
    .group = "Simulation and measurement",
    .summary = "sites alone against sites together, on the Philly trace",
    .usage = "[flags]",
    .details = "Each cluster of the trace is a site; arrivals are pressed together to the load. "
               "Both ways are placed\nby the engine that the server uses. docs/benchmarks.md says "
               "what is measured and against what.\n\nExample:\n  lq sim federate --json",
    .flags = FEDERATE_FLAGS,
    .flag_count = sizeof(FEDERATE_FLAGS) / sizeof(FEDERATE_FLAGS[0]),
    .run = federate_command};
