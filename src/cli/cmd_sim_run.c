/* lq sim run, lq sim compare: scenarios, and two of their reports side by side. */
#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "cli/sim_output.h"
#include "port/file.h"
#include "sim/history.h"
#include "sim/report.h"
#include "sim/scenario.h"
#include "wire/catalogue.h"
#include "wire/topology.h"
#include "wire/yaml.h"

enum { REPORT_BYTES_MAX = 64 << 20, FILE_MODE = 0644 };

static const struct flag RUN_FLAGS[] = {
    {"csv", 0, FLAG_TEXT, "FILE", "a line for each site and bucket of time"},
    {"html", 0, FLAG_TEXT, "FILE", "one page with plots that needs nothing else"},
};
static const struct flag COMPARE_FLAGS[] = {
    {"html", 0, FLAG_TEXT, "FILE", "where the page goes; wanted"},
};

/* Everything a scenario names, read. */
struct loaded {
    struct cli *cli;
    struct arena *arena;
    const char *path;
    struct slice text; /* of the file at `path` */
    struct scenario scenario;
    struct topology topology;
    struct catalogue catalogue;
    struct scenario_texts texts;
};

/* Paths are those of the scenario's folder. */
static int beside_read(struct loaded *loaded, struct slice name, size_t bytes_max,
                       const char **out_path, struct slice *out)
{
    struct fault fault = {0};
    if (name.len == 0)
        return EXIT_DONE;
    char *folder = dirname(arena_text(loaded->arena, slice_of(loaded->path)));
    *out_path = name.data[0] == '/'
                    ? arena_text(loaded->arena, name)
                    : arena_printf(loaded->arena, "%s/%.*s", folder, SLICE_ARG(name));
    if (file_read(*out_path, bytes_max, loaded->arena, &fault, out) != ERR_OK)
        return cli_fail_fault(loaded->cli, EXIT_FAILED, *out_path, &fault);
    return EXIT_DONE;
}

static int scenario_load(struct loaded *loaded)
{
    struct json_document *document = NULL;
    struct fault fault = {0};
    enum err err = yaml_parse(loaded->text, &YAML_LIMITS, &document, &fault);
    if (err == ERR_OK)
        err = scenario_decode(json_root(document), loaded->arena, &loaded->scenario, &fault);
    json_document_destroy(document);
    if (err != ERR_OK)
        return cli_fail_fault(loaded->cli, EXIT_USAGE, loaded->path, &fault);
    if (loaded->scenario.name.len == 0)
        loaded->scenario.name = slice_of(loaded->path);
    return EXIT_DONE;
}

static int topology_load(struct loaded *loaded)
{
    struct json_document *document = NULL;
    struct fault fault = {0};
    struct slice text = {0}, csv = {0};
    const char *path = NULL, *csv_path = NULL;
    int code = beside_read(loaded, loaded->scenario.catalogue, TRACE_BYTES_MAX, &csv_path, &csv);
    if (code == EXIT_DONE && csv.len > 0 &&
        catalogue_decode(csv, loaded->arena, &loaded->catalogue, &fault) != ERR_OK)
        code = cli_fail_fault(loaded->cli, EXIT_USAGE, csv_path, &fault);
    if (code == EXIT_DONE)
        code = beside_read(loaded, loaded->scenario.topology, TRACE_BYTES_MAX, &path, &text);
    if (code != EXIT_DONE)
        return code;
    enum err err = yaml_parse(text, &YAML_LIMITS, &document, &fault);
    if (err == ERR_OK)
        err = topology_decode(json_root(document),
                              loaded->catalogue.count > 0 ? &loaded->catalogue : NULL,
                              loaded->arena, &loaded->topology, &fault);
    json_document_destroy(document);
    return err == ERR_OK ? EXIT_DONE : cli_fail_fault(loaded->cli, EXIT_USAGE, path, &fault);
}

static int file_put(struct cli *cli, const char *path, const struct buffer *text)
{
    struct fault fault = {0};
    if (path == NULL)
        return EXIT_DONE;
    enum err err = buffer_status(text);
    if (err == ERR_OK)
        err = file_write_atomic(path, buffer_slice(text), FILE_MODE, &fault);
    return err == ERR_OK ? EXIT_DONE : cli_fail_fault(cli, EXIT_FAILED, path, &fault);
}

static void words(const struct report *report)
{
    printf("%.0f jobs at %u sites: %.0f never started, %.0f fit no node, %.0f killed\n",
           report->jobs, report->site_count, report->never, report->misfits, report->kills);
    printf("wait: mean %.0f s, p99 %.0f s; energy %.2f, carbon %.1f kg, %.1f kWh\n",
           report->wait_mean_s, report->wait_p99_s, report->energy, report->carbon_kg, report->kwh);
    for (uint32_t s = 0; s < report->site_count; s++) {
        const struct report_site *site = &report->sites[s];
        printf("  %-24.*s %8.0f jobs, %5.1f %% used, wait %.2f h\n", SLICE_ARG(site->name),
               site->jobs, site->values[REPORT_UTILISATION] * 100, site->values[REPORT_WAIT_H]);
    }
}

static int reports_put(struct cli *cli, const struct report *report)
{
    struct buffer csv, html, json;
    int code = EXIT_DONE;
    buffer_init(&csv, REPORT_BYTES_MAX);
    buffer_init(&html, REPORT_BYTES_MAX);
    buffer_init(&json, REPORT_BYTES_MAX);
    if (cli_has(cli, "csv")) {
        report_csv(report, &csv);
        code = file_put(cli, cli_text(cli, "csv", NULL), &csv);
    }
    if (code == EXIT_DONE && cli_has(cli, "html")) {
        report_html(report, 1, &html);
        code = file_put(cli, cli_text(cli, "html", NULL), &html);
    }
    if (code == EXIT_DONE && cli->is_json) {
        report_json(report, &json);
        if (buffer_status(&json) != ERR_OK || !cli_write(buffer_slice(&json)))
            code = EXIT_FAILED;
    } else if (code == EXIT_DONE) {
        words(report);
    }
    buffer_deinit(&csv);
    buffer_deinit(&html);
    buffer_deinit(&json);
    return code;
}

/* What is replayed, whichever kind of file it came from. */
struct run {
    struct slice name;
    struct replay_result result;
    uint64_t misfits;
};

static int scenario_replay(struct loaded *loaded, struct sim_progress *progress, struct run *out)
{
    struct fault fault = {0};
    const char *trace_path = NULL, *prices_path = NULL, *carbon_path = NULL;
    int code = scenario_load(loaded);
    if (code == EXIT_DONE)
        code = topology_load(loaded);
    if (code == EXIT_DONE)
        code = beside_read(loaded, loaded->scenario.trace, TRACE_BYTES_MAX, &trace_path,
                           &loaded->texts.trace);
    if (code == EXIT_DONE)
        code = beside_read(loaded, loaded->scenario.prices, TRACE_BYTES_MAX, &prices_path,
                           &loaded->texts.prices);
    if (code == EXIT_DONE)
        code = beside_read(loaded, loaded->scenario.carbon, TRACE_BYTES_MAX, &carbon_path,
                           &loaded->texts.carbon);
    if (code == EXIT_DONE &&
        scenario_run(&loaded->scenario, &loaded->topology, &loaded->texts, sim_progress_tell,
                     progress, loaded->arena, &out->result, &out->misfits, &fault) != ERR_OK)
        code = cli_fail_fault(loaded->cli, EXIT_FAILED, trace_path, &fault);
    out->name = loaded->scenario.name;
    return code;
}

/* ---- a recorded history is a scenario of its own */

struct past {
    struct sim_progress *progress;
    size_t jobs;
};

static void on_past(void *context, int64_t now_ms, size_t ended)
{
    const struct past *past = context;
    (void)now_ms;
    sim_progress_tell(past->progress, "replay", (double)ended / (double)past->jobs);
}

static int history_replay(struct loaded *loaded, struct sim_progress *progress, struct run *out)
{
    struct history history;
    struct replay_setup setup;
    struct fault fault = {0};
    enum err err = history_read(loaded->text, loaded->arena, &history, &fault);
    if (err != ERR_OK)
        return cli_fail_fault(loaded->cli, EXIT_USAGE, loaded->path, &fault);
    struct past past = {progress, history.job_count};
    history_setup(&history, &setup);
    setup.bucket_ms = replay_bucket_ms(setup.jobs, setup.job_count);
    setup.context = &past;
    setup.progress = on_past;
    err = replay_run(&setup, loaded->arena, &out->result, &fault);
    if (err != ERR_OK)
        return cli_fail_fault(loaded->cli, EXIT_FAILED, loaded->path, &fault);
    if (history.never_ran > 0)
        cli_note(loaded->cli, "%llu jobs never ran and are left out",
                 (unsigned long long)history.never_ran);
    loaded->topology = history.topology;
    out->name = slice_of(loaded->path);
    return EXIT_DONE;
}

static int run_command(struct cli *cli)
{
    struct sim_progress progress;
    struct run run = {0};
    struct report report;
    struct fault fault = {0};
    struct arena arena;
    struct loaded loaded = {.cli = cli, .arena = &arena, .path = cli->positional[0]};
    int code = EXIT_DONE;
    sim_progress_begin(&progress, cli);
    arena_init(&arena, SIM_ARENA_BYTES_MAX);
    if (file_read(loaded.path, TRACE_BYTES_MAX, &arena, &fault, &loaded.text) != ERR_OK)
        code = cli_fail_fault(cli, EXIT_USAGE, loaded.path, &fault);
    if (code == EXIT_DONE)
        code = history_is(loaded.text) ? history_replay(&loaded, &progress, &run)
                                       : scenario_replay(&loaded, &progress, &run);
    if (code == EXIT_DONE) {
        double seconds = sim_progress_seconds(&progress);
        cli_note(cli, "%llu events in %.2f s, %.0f a second", (unsigned long long)run.result.events,
                 seconds, seconds > 0 ? (double)run.result.events / seconds : 0);
        enum err err =
            report_make(run.name, &loaded.topology, &run.result, run.misfits, &arena, &report);
        code = err == ERR_OK ? reports_put(cli, &report)
                             : cli_fail(cli, EXIT_FAILED, "%s", err_name(err));
    }
    arena_deinit(&arena);
    return code;
}

static int report_load(struct cli *cli, const char *path, struct arena *arena, struct report *out)
{
    struct json_document *document = NULL;
    struct fault fault = {0};
    struct slice text;
    enum err err = file_read(path, REPORT_BYTES_MAX, arena, &fault, &text);
    if (err == ERR_OK)
        err = json_parse(text, &JSON_LIMITS_FILE, &document, &fault);
    if (err == ERR_OK)
        err = report_read(json_root(document), arena, out, &fault);
    json_document_destroy(document);
    return err == ERR_OK ? EXIT_DONE : cli_fail_fault(cli, EXIT_USAGE, path, &fault);
}

static int compare_command(struct cli *cli)
{
    struct report runs[REPORT_RUNS_MAX];
    struct buffer html;
    struct arena arena;
    if (!cli_has(cli, "html"))
        return cli_fail(cli, EXIT_USAGE, "--html FILE is wanted");
    arena_init(&arena, SIM_ARENA_BYTES_MAX);
    buffer_init(&html, REPORT_BYTES_MAX);
    int code = report_load(cli, cli->positional[0], &arena, &runs[0]);
    if (code == EXIT_DONE)
        code = report_load(cli, cli->positional[1], &arena, &runs[1]);
    if (code == EXIT_DONE) {
        report_html(runs, REPORT_RUNS_MAX, &html);
        code = file_put(cli, cli_text(cli, "html", NULL), &html);
    }
    buffer_deinit(&html);
    arena_deinit(&arena);
    return code;
}

const struct command COMMAND_SIM_RUN = {
    .name = "sim run",
    .group = "Simulation and measurement",
    .summary = "replay a recorded workload on a network, placed by the engine",
    .usage = "SCENARIO.yaml [flags]",
    .details =
        "docs/formats/scenario.md describes the file: network, trace, load, failures, owners, "
        "growth, hourly\nprices and carbon. What `lq history export` writes is run as it is, on "
        "the "
        "network that it was\nrecorded on. The same file gives the same report, byte for "
        "byte.\n\nExamples:\n  lq sim run examples/scenario/philly.yaml\n"
        "  lq sim run examples/scenario/philly.yaml --json --html report.html > report.json",
    .flags = RUN_FLAGS,
    .flag_count = sizeof(RUN_FLAGS) / sizeof(RUN_FLAGS[0]),
    .positional_min = 1,
    .positional_max = 1,
    .run = run_command};

const struct command COMMAND_SIM_COMPARE = {
    .name = "sim compare",
    .group = "Simulation and measurement",
    .summary = "two reports of `lq sim run --json` side by side on one page",
    .usage = "A.json B.json --html FILE",
    .details = "Plots of both share their scale.\n\nExample:\n"
               "  lq sim compare before.json after.json --html both.html",
    .flags = COMPARE_FLAGS,
    .flag_count = sizeof(COMPARE_FLAGS) / sizeof(COMPARE_FLAGS[0]),
    .positional_min = 2,
    .positional_max = 2,
    .run = compare_command};
