/* lq sim hetero: jobs that run at different speeds on different kinds of GPU. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "cli/sim_output.h"
#include "sim/hetero.h"

enum { ROUND_DEFAULT_S = 360, ROUND_MAX_S = 86400 };

static const struct flag HETERO_FLAGS[] = {
    {"root", 0, FLAG_TEXT, "FOLDER", "the project's folder; default: the current one"},
    {"round", 0, FLAG_SPAN, "SPAN", "how long a choice stands at most; default 6m"},
};

struct outcome {
    size_t jobs;
    struct hetero_result ways[HETERO_POLICY_COUNT_];
    struct hetero_bound bound;
};

static int experiment_run(struct cli *cli, const struct hetero_case *experiment,
                          const struct hetero_speeds *speeds, int64_t round_ms, struct arena *arena,
                          struct outcome *out)
{
    struct fault fault = {0};
    struct hetero_list list;
    struct slice text;
    int code = sim_data_read(cli, experiment->trace, arena, &text);
    if (code != EXIT_DONE)
        return code;
    enum err err =
        hetero_trace_read(text, experiment->has_speeds ? speeds : NULL, arena, &list, &fault);
    for (int way = 0; err == ERR_OK && way < HETERO_POLICY_COUNT_; way++)
        err = hetero_run(&list, &experiment->pool, round_ms, (enum hetero_policy)way,
                         &out->ways[way], &fault);
    if (err == ERR_OK)
        err = hetero_bound_find(&list, &experiment->pool, &out->bound);
    if (err != ERR_OK && fault.line > 0)
        return cli_fail(cli, EXIT_FAILED, "%s:%u:%u: %s", experiment->trace, fault.line,
                        fault.column, fault.message);
    if (err != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, experiment->trace, &fault);
    out->jobs = list.count;
    return EXIT_DONE;
}

static void experiment_json(struct json_writer *writer, const struct hetero_case *experiment,
                            const struct hetero_speeds *speeds, const struct outcome *outcome)
{
    json_key(writer, experiment->name);
    json_begin_object(writer);
    json_put_u64(writer, "jobs", outcome->jobs);
    json_key(writer, "gpus");
    json_begin_object(writer);
    for (uint32_t k = 0; k < experiment->pool.kind_count; k++) {
        char kind[64];
        struct slice name = experiment->has_speeds ? speeds->kinds[k] : slice_of("gpu");
        snprintf(kind, sizeof(kind), "%.*s", SLICE_ARG(name));
        json_put_u64(writer, kind, (uint64_t)experiment->pool.devices[k]);
    }
    json_end_object(writer);
    json_put_f64(writer, "makespan_bound_s", sim_round(outcome->bound.makespan_s));
    json_put_f64(writer, "completion_bound_s", sim_round(outcome->bound.completion_s));
    for (int way = 0; way < HETERO_POLICY_COUNT_; way++) {
        const struct hetero_result *result = &outcome->ways[way];
        json_key(writer, hetero_policy_name((enum hetero_policy)way));
        json_begin_object(writer);
        json_put_f64(writer, "makespan_s", sim_round(result->makespan_s));
        json_put_f64(writer, "completion_mean_s", sim_round(result->completion_s));
        json_put_f64(writer, "makespan_to_bound",
                     sim_ratio(result->makespan_s, outcome->bound.makespan_s));
        json_put_f64(writer, "completion_to_bound",
                     sim_ratio(result->completion_s, outcome->bound.completion_s));
        json_put_u64(writer, "choices", result->choices);
        json_put_u64(writer, "moves", result->moves);
        json_end_object(writer);
    }
    json_end_object(writer);
}

static void experiment_words(const struct hetero_case *experiment, const struct outcome *outcome)
{
    printf("%s, %zu jobs (bounds: last end %.0f s, mean completion %.0f s)\n", experiment->name,
           outcome->jobs, outcome->bound.makespan_s, outcome->bound.completion_s);
    for (int way = 0; way < HETERO_POLICY_COUNT_; way++) {
        const struct hetero_result *result = &outcome->ways[way];
        printf("  %-12s  last end %8.0f s (%.3f)  mean completion %8.0f s (%.3f)  %llu moves\n",
               hetero_policy_name((enum hetero_policy)way), result->makespan_s,
               sim_ratio(result->makespan_s, outcome->bound.makespan_s), result->completion_s,
               sim_ratio(result->completion_s, outcome->bound.completion_s),
               (unsigned long long)result->moves);
    }
}

static int experiments_run(struct cli *cli, int64_t round_ms, struct arena *arena,
                           struct hetero_speeds *speeds, struct outcome *outcomes,
                           struct sim_progress *progress)
{
    struct fault fault = {0};
    struct slice text;
    int code = sim_data_read(cli, HETERO_SPEEDS, arena, &text);
    if (code == EXIT_DONE && hetero_speeds_read(text, arena, speeds, &fault) != ERR_OK)
        code = cli_fail_fault(cli, EXIT_FAILED, HETERO_SPEEDS, &fault);
    for (int i = 0; code == EXIT_DONE && i < HETERO_CASE_COUNT; i++) {
        code = experiment_run(cli, &HETERO_CASES[i], speeds, round_ms, arena, &outcomes[i]);
        sim_progress_tell(progress, HETERO_CASES[i].name, (double)(i + 1) / HETERO_CASE_COUNT);
    }
    return code;
}

static int hetero_command(struct cli *cli)
{
    struct outcome outcomes[HETERO_CASE_COUNT] = {0};
    struct hetero_speeds speeds = {0};
    struct sim_progress progress;
    struct arena arena;
    int64_t round_ms = (int64_t)ROUND_DEFAULT_S * 1000;
    if (cli_has(cli, "round"))
        round_ms = cli_flag(cli, "round")->span.ms;
    if (round_ms <= 0 || round_ms > (int64_t)ROUND_MAX_S * 1000)
        return cli_fail(cli, EXIT_USAGE, "--round wants a span of at most a day, over 0");
    sim_progress_begin(&progress, cli);
    arena_init(&arena, SIM_ARENA_BYTES_MAX);
    int code = experiments_run(cli, round_ms, &arena, &speeds, outcomes, &progress);
    double seconds = sim_progress_seconds(&progress);
    if (code == EXIT_DONE && cli->is_json) {
        struct sim_json json;
        struct json_writer *writer = sim_json_begin(&json);
        json_begin_object(writer);
        for (int i = 0; i < HETERO_CASE_COUNT; i++)
            experiment_json(writer, &HETERO_CASES[i], &speeds, &outcomes[i]);
        json_put_f64(writer, "seconds", sim_round(seconds));
        json_end_object(writer);
        code = sim_json_end(&json, cli);
    } else if (code == EXIT_DONE) {
        for (int i = 0; i < HETERO_CASE_COUNT; i++)
            experiment_words(&HETERO_CASES[i], &outcomes[i]);
    }
    arena_deinit(&arena);
    return code;
}

const struct command COMMAND_SIM_HETERO = {
    .name = "sim hetero",
    .group = "Simulation and measurement",
    .summary = "jobs that run at different speeds on different kinds of GPU",
    .usage = "[flags]",
    .details =
        "Gavel's traces on V100, P100 and K80, and 120 jobs of Shockwave's on 32 GPUs of one kind: "
        "the last\nend and the mean completion by place/mix (aims `last` and `mean`), by order of "
        "arrival and by least\nservice, and bounds. Stopping and moving a job costs nothing here. "
        "docs/benchmarks.md says what is\nmeasured and against what.\n\nExample:\n  lq sim hetero "
        "--json",
    .flags = HETERO_FLAGS,
    .flag_count = sizeof(HETERO_FLAGS) / sizeof(HETERO_FLAGS[0]),
    .run = hetero_command};
