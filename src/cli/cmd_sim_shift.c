/* lq sim shift: work that may wait, moved in time and space. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "cli/sim_output.h"
#include "sim/shift.h"

enum { SLACK_DEFAULT_H = 24, SLACK_MAX_H = 24 * 4, CARBON_PRICE_DEFAULT = 80, AIMS = 3 };

static const struct flag SHIFT_FLAGS[] = {
    {"root", 0, FLAG_TEXT, "FOLDER", "the project's folder; default: the current one"},
    {"slack", 0, FLAG_SPAN, "SPAN", "how much later than it comes a job may start; default 24h"},
    {"carbon-price", 0, FLAG_NUMBER, "DOLLARS", "a tonne, where both count; default 80"},
    {"limit", 0, FLAG_NUMBER, "JOBS", "only the first jobs of the trace"},
};

/* What is made small: money, carbon, or both with carbon at its price. */
struct aim {
    const char *name;
    double money_weight, carbon_price;
};

struct shift_progress {
    struct sim_progress progress;
    int aim;
};

static void tell(void *context, const char *what, double part)
{
    struct shift_progress *progress = context;
    sim_progress_tell(&progress->progress, what, (progress->aim + part) / AIMS);
}

static void way_json(struct json_writer *writer, const struct shift_result *result, int way)
{
    const struct shift_figures *figures = &result->ways[way], *base = &result->ways[SHIFT_AT_ONCE];
    json_key(writer, shift_way_name((enum shift_way)way));
    json_begin_object(writer);
    json_put_f64(writer, "money_usd", sim_round(figures->money));
    json_put_f64(writer, "carbon_kg", sim_round(figures->carbon_kg));
    json_put_f64(writer, "cost", sim_round(figures->cost));
    json_put_f64(writer, "money_to_at_once", sim_ratio(figures->money, base->money));
    json_put_f64(writer, "carbon_to_at_once", sim_ratio(figures->carbon_kg, base->carbon_kg));
    /* Prices below zero can make the bound negative: then a ratio to it says nothing. */
    if (result->floor_cost > 0)
        json_put_f64(writer, "cost_to_bound", sim_ratio(figures->cost, result->floor_cost));
    else
        json_put_null(writer, "cost_to_bound");
    json_put_f64(writer, "above_bound_of_at_once",
                 sim_ratio(figures->cost - result->floor_cost, base->cost));
    json_put_f64(writer, "saving_of_possible",
                 sim_ratio(base->cost - figures->cost, base->cost - result->floor_cost));
    json_put_f64(writer, "wait_mean_h", sim_round(figures->wait_mean_h));
    json_put_f64(writer, "wait_max_h", sim_round(figures->wait_max_h));
    json_put_u64(writer, "never_started", figures->never);
    json_end_object(writer);
}

static void aim_json(struct json_writer *writer, const struct aim *aim,
                     const struct shift_result *result)
{
    json_key(writer, aim->name);
    json_begin_object(writer);
    json_put_f64(writer, "carbon_price_usd_per_tonne", aim->carbon_price);
    json_put_f64(writer, "bound_cost", sim_round(result->floor_cost));
    for (int way = 0; way < SHIFT_WAY_COUNT_; way++)
        way_json(writer, result, way);
    json_put_f64(writer, "loss_to_perfect_forecast_of_at_once",
                 sim_ratio(result->ways[SHIFT_BOTH].cost - result->ways[SHIFT_PERFECT].cost,
                           result->ways[SHIFT_AT_ONCE].cost));
    json_end_object(writer);
}

static void aim_words(const struct aim *aim, const struct shift_result *result)
{
    printf("%s made small (bound %.2f)\n", aim->name, result->floor_cost);
    for (int way = 0; way < SHIFT_WAY_COUNT_; way++) {
        const struct shift_figures *figures = &result->ways[way];
        printf("  %-8s  %12.2f USD  %12.1f kg  cost %12.2f  wait %5.2f h\n",
               shift_way_name((enum shift_way)way), figures->money, figures->carbon_kg,
               figures->cost, figures->wait_mean_h);
    }
}

struct input {
    struct arena arena;
    struct slice trace;
    struct shift_data data;
};

static int input_read(struct cli *cli, struct input *input)
{
    static const char *const PATHS[] = {"data/gaia/pai-100k.csv",
                                        "data/energy/price_usd_mwh_2023.csv",
                                        "data/energy/carbon_gco2_direct_2023.csv"};
    struct slice texts[3];
    struct fault fault = {0};
    for (int i = 0; i < 3; i++) {
        int code = sim_data_read(cli, PATHS[i], &input->arena, &texts[i]);
        if (code != EXIT_DONE)
            return code;
    }
    input->trace = texts[0];
    if (shift_data_read(texts[1], texts[2], &input->arena, &input->data, &fault) != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, "data/energy", &fault);
    return EXIT_DONE;
}

static int aims_run(struct cli *cli, struct input *input, const struct aim *aims,
                    struct shift_result *results, struct shift_progress *progress)
{
    struct fault fault = {0};
    struct shift_options options = {.slack_ms = (int64_t)SLACK_DEFAULT_H * 3600000,
                                    .limit = (size_t)cli_number(cli, "limit", 0),
                                    .progress = tell,
                                    .context = progress};
    if (cli_has(cli, "slack"))
        options.slack_ms = cli_flag(cli, "slack")->span.ms;
    if (options.slack_ms > (int64_t)SLACK_MAX_H * 3600000)
        return cli_fail(cli, EXIT_USAGE, "a slack of at most %d hours", SLACK_MAX_H);
    for (int i = 0; i < AIMS; i++) {
        struct arena arena; /* of one aim: series are worked out anew */
        options.money_weight = aims[i].money_weight;
        options.carbon_price = aims[i].carbon_price;
        progress->aim = i;
        arena_init(&arena, SIM_ARENA_BYTES_MAX);
        enum err err = shift_run(input->trace, &input->data, &options, &arena, &results[i], &fault);
        arena_deinit(&arena);
        if (err != ERR_OK)
            return cli_fail_fault(cli, EXIT_FAILED, "data/gaia/pai-100k.csv", &fault);
    }
    return EXIT_DONE;
}

static int shift_command(struct cli *cli)
{
    const struct aim aims[AIMS] = {
        {"money", 1, 0},
        {"carbon", 0, 1000},
        {"both", 1, (double)cli_number(cli, "carbon-price", CARBON_PRICE_DEFAULT)}};
    struct shift_result results[AIMS];
    struct shift_progress progress = {.aim = 0};
    struct input *input = arena_alloc(&cli->arena, sizeof(*input));
    ASSERT(input != NULL);
    sim_progress_begin(&progress.progress, cli);
    arena_init(&input->arena, SIM_ARENA_BYTES_MAX);
    int code = input_read(cli, input);
    if (code == EXIT_DONE)
        code = aims_run(cli, input, aims, results, &progress);
    double seconds = sim_progress_seconds(&progress.progress);
    if (code == EXIT_DONE && cli->is_json) {
        struct sim_json json;
        struct json_writer *writer = sim_json_begin(&json);
        uint64_t events = 0;
        json_begin_object(writer);
        json_put_u64(writer, "jobs", results[0].jobs);
        json_put_u64(writer, "zones", results[0].zones);
        for (int i = 0; i < AIMS; i++) {
            aim_json(writer, &aims[i], &results[i]);
            events += results[i].events;
        }
        json_put_u64(writer, "events", events);
        json_put_f64(writer, "seconds", sim_round(seconds));
        json_end_object(writer);
        code = sim_json_end(&json, cli);
    } else if (code == EXIT_DONE) {
        for (int i = 0; i < AIMS; i++)
            aim_words(&aims[i], &results[i]);
    }
    arena_deinit(&input->arena);
    return code;
}

const struct command COMMAND_SIM_SHIFT = {
    .name = "sim shift",
    .group = "Simulation and measurement",
    .summary = "a year of work that may wait, moved in time and space",
    .usage = "[flags]",
    .details =
        "The jobs of the GAIA trace in the zones that have hourly prices and carbon of 2023, "
        "started at once,\nin the best zone, at the best hour, or both; by a forecast that never "
        "sees the future and by a perfect\none. docs/benchmarks.md says what is measured and "
        "against what.\n\nExample:\n  lq sim shift --json",
    .flags = SHIFT_FLAGS,
    .flag_count = sizeof(SHIFT_FLAGS) / sizeof(SHIFT_FLAGS[0]),
    .run = shift_command};
