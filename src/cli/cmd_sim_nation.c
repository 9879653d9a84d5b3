/* lq sim nation: a day of the ten clusters. */
#include <stdio.h>

#include "cli/sim_output.h"
#include "sim/nation.h"
#include "wire/topology.h"
#include "wire/yaml.h"

enum { SCALE_DEFAULT = 100, SCALE_MAX = 1000, SEED_DEFAULT = 1 };

static const struct flag NATION_FLAGS[] = {
    {"root", 0, FLAG_TEXT, "FOLDER", "the project's folder; default: the current one"},
    {"scale", 0, FLAG_NUMBER, "PERCENT", "of the demand; default 100"},
    {"seed", 0, FLAG_NUMBER, "N", "of the demand; default 1"},
};

static void way_json(struct json_writer *writer, const struct nation_figures *figures)
{
    json_begin_object(writer);
    json_put_u64(writer, "jobs", figures->jobs);
    json_put_u64(writer, "never_started", figures->never);
    json_put_f64(writer, "utilisation", sim_round(figures->utilisation));
    json_put_f64(writer, "wait_mean_s", sim_round(figures->wait_mean_s));
    json_put_f64(writer, "wait_p99_s", sim_round(figures->wait_p99_s));
    json_put_f64(writer, "asked", sim_round(figures->ask));
    json_put_f64(writer, "energy", sim_round(figures->energy));
    json_put_f64(writer, "carbon_kg", sim_round(figures->carbon_kg));
    json_key(writer, "west_part");
    json_begin_object(writer);
    for (int k = 0; k < NATION_KIND_COUNT_; k++)
        json_put_f64(writer, nation_kind_name((enum nation_kind)k),
                     sim_round(figures->west_part[k]));
    json_end_object(writer);
    json_key(writer, "wait_mean_s_of");
    json_begin_object(writer);
    for (int k = 0; k < NATION_KIND_COUNT_; k++)
        json_put_f64(writer, nation_kind_name((enum nation_kind)k),
                     sim_round(figures->wait_kind_s[k]));
    json_end_object(writer);
    json_end_object(writer);
}

static void words(const struct nation_result *result)
{
    printf("%-15s %6s %11s %11s %12s %12s  %s\n", "", "used", "wait mean", "wait p99", "energy",
           "carbon", "in the west: training, inference at 10 ms, at 30 ms");
    for (int w = 0; w < NATION_WAY_COUNT_; w++) {
        const struct nation_figures *figures = &result->ways[w];
        printf("%-15s %4.0f %% %9.0f s %9.0f s %12.2f %9.0f kg  %.0f %%, %.0f %%, %.0f %%\n",
               nation_way_name((enum nation_way)w), figures->utilisation * 100,
               figures->wait_mean_s, figures->wait_p99_s, figures->energy, figures->carbon_kg,
               figures->west_part[NATION_TRAINING] * 100, figures->west_part[NATION_NEAR] * 100,
               figures->west_part[NATION_FAR] * 100);
    }
}

static int network_read(struct cli *cli, struct arena *arena, struct topology *out)
{
    const char *path = "data/topology/national.yaml";
    struct json_document *document = NULL;
    struct fault fault = {0};
    struct slice text;
    int code = sim_data_read(cli, path, arena, &text);
    if (code != EXIT_DONE)
        return code;
    enum err err = yaml_parse(text, &YAML_LIMITS, &document, &fault);
    if (err == ERR_OK)
        err = topology_decode(json_root(document), NULL, arena, out, &fault);
    json_document_destroy(document);
    return err == ERR_OK ? EXIT_DONE : cli_fail_fault(cli, EXIT_FAILED, path, &fault);
}

static int nation_command(struct cli *cli)
{
    uint64_t scale = cli_number(cli, "scale", SCALE_DEFAULT);
    struct sim_progress progress;
    struct nation_result result;
    struct topology network;
    struct fault fault = {0};
    struct arena arena;
    if (scale == 0 || scale > SCALE_MAX)
        return cli_fail(cli, EXIT_USAGE, "a scale of 1 to %d %%", SCALE_MAX);
    sim_progress_begin(&progress, cli);
    arena_init(&arena, SIM_ARENA_BYTES_MAX);
    int code = network_read(cli, &arena, &network);
    if (code == EXIT_DONE && nation_run(&network, cli_number(cli, "seed", SEED_DEFAULT),
                                        (uint32_t)scale, &arena, &result, &fault) != ERR_OK)
        code = cli_fail_fault(cli, EXIT_FAILED, "nation", &fault);
    if (code == EXIT_DONE && cli->is_json) {
        struct sim_json json;
        struct json_writer *writer = sim_json_begin(&json);
        json_begin_object(writer);
        for (int w = 0; w < NATION_WAY_COUNT_; w++) {
            json_key(writer, nation_way_name((enum nation_way)w));
            way_json(writer, &result.ways[w]);
        }
        json_put_u64(writer, "events", result.events);
        json_put_f64(writer, "seconds", sim_round(sim_progress_seconds(&progress)));
        json_end_object(writer);
        code = sim_json_end(&json, cli);
    } else if (code == EXIT_DONE) {
        words(&result);
    }
    arena_deinit(&arena);
    return code;
}

const struct command COMMAND_SIM_NATION = {
    .name = "sim nation",
    .group = "Simulation and measurement",
    .summary = "a day of training and inference on the ten clusters",
    .usage = "[flags]",
    .details = "The engine against every site alone, a random site, and the cheapest site whatever "
               "its queue.\nNodes, asks, demand and the tariffs that no source gives are examples; "
               "docs/benchmarks.md names them.\n\nExample:\n  lq sim nation --json",
    .flags = NATION_FLAGS,
    .flag_count = sizeof(NATION_FLAGS) / sizeof(NATION_FLAGS[0]),
    .run = nation_command};
