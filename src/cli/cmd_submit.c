/* Job files and sbatch scripts, to the server. */
#include <stdio.h>
#include <string.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/sbatch.h"
#include "cli/upload.h"
#include "port/file.h"
#include "wire/json_writer.h"
#include "wire/yaml.h"

enum { JOB_FILE_BYTES_MAX = 8 << 20, JOB_BODY_BYTES_MAX = 16 << 20 };

static const struct flag SUBMIT_FLAGS[] = {
    {"tenant", 't', FLAG_TEXT, "NAME", "on whose account; default: your own tenant"},
    {"name", 'n', FLAG_TEXT, "NAME", "instead of the file's name"},
    {"dry-run", 0, FLAG_BOOL, NULL, "show where it would go and why, and submit nothing"},
    {"follow", 'f', FLAG_BOOL, NULL, "follow its output until it ends"},
    {"chdir", 'D', FLAG_TEXT, "FOLDER", "of an sbatch script: the folder that it works in"},
};

/* "after node_lost at zhongwei (2 of 20): its node vanished: it is placed anew, ..." */
void failure_print(struct cli *cli, struct json_value failure)
{
    struct slice site = api_string(failure, "site");
    struct json_value budget = json_object_get(failure, "budget");
    if (json_type_of(failure) != JSON_OBJECT)
        return;
    printf("after %.*s", SLICE_ARG(cli_safe(cli, api_string(failure, "class"))));
    if (site.len > 0)
        printf(" at %.*s", SLICE_ARG(cli_safe(cli, api_string(failure, "site"))));
    if (json_type_of(budget) == JSON_INTEGER)
        printf(" (%llu, of %llu that are tried again)",
               (unsigned long long)api_u64(failure, "count"),
               (unsigned long long)api_u64(failure, "budget"));
    printf(": %.*s\n", SLICE_ARG(cli_safe(cli, api_string(failure, "next"))));
}

/* Of a job with a workload: what a unit of its work costs in each way that it may run. */
static void choices_print(struct cli *cli, struct json_value root)
{
    static const char *const HEADS[] = {"SITE",    "VARIANT",     "ACCELERATOR",     "SPEED",
                                        "UNITS/S", "ASK AN HOUR", "A MILLION UNITS", "SCORE"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT,  TABLE_RIGHT, TABLE_LEFT,  TABLE_LEFT,
                                              TABLE_RIGHT, TABLE_RIGHT, TABLE_RIGHT, TABLE_RIGHT};
    struct json_value choices = json_object_get(root, "choices");
    if (json_count(choices) == 0)
        return;
    struct table *table = table_create(cli, HEADS, ALIGNS, sizeof(HEADS) / sizeof(HEADS[0]));
    struct json_iterator it = json_iterate(choices);
    while (json_next(&it)) {
        struct slice model = api_string(it.value, "accelerator"),
                     unit = api_string(it.value, "ask_per_million_units");
        uint64_t rate = api_u64(it.value, "units_per_s_micro");
        table_cell(table, api_string(it.value, "site"));
        table_cell_printf(table, "%llu", (unsigned long long)api_u64(it.value, "variant"));
        table_cell(table, model.len > 0 ? cli_safe(cli, model) : SLICE_LITERAL("-"));
        table_cell(table, api_string(it.value, "speed"));
        if (rate > 0)
            table_cell_printf(table, "%llu.%03llu", (unsigned long long)(rate / 1000000),
                              (unsigned long long)(rate / 1000 % 1000));
        else
            table_cell_text(table, "-");
        table_cell(table, api_string(it.value, "ask_per_hour"));
        table_cell(table, unit.len > 0 ? unit : SLICE_LITERAL("-"));
        table_cell(table, api_string(it.value, "total"));
    }
    table_print(table);
}

void explanation_print(struct cli *cli, struct json_value root)
{
    static const char *const HEADS[] = {"SITE", "ASK", "SCORE", "STARTS IN", "WHY"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT, TABLE_RIGHT, TABLE_RIGHT, TABLE_RIGHT,
                                              TABLE_LEFT};
    struct table *table = table_create(cli, HEADS, ALIGNS, 5);
    struct slice chosen = api_string(root, "chosen");
    struct json_iterator it = json_iterate(json_object_get(root, "sites"));
    while (json_next(&it)) {
        struct json_value score = json_object_get(it.value, "score"),
                          eta = json_object_get(it.value, "eta_ms");
        struct slice site = api_string(it.value, "site");
        bool is_chosen = slice_is_equal(site, chosen);
        table_cell_printf(table, "%s%.*s", is_chosen ? "* " : "  ", SLICE_ARG(site));
        table_cell(table, api_string(score, "ask"));
        table_cell(table, api_string(score, "total"));
        if (json_is_null(eta) || json_is_missing(eta)) {
            table_cell_text(table, "-");
        } else {
            char low[TIME_TEXT_MAX], high[TIME_TEXT_MAX];
            span_format(SPAN_MS((int64_t)api_u64(eta, "low")), low);
            span_format(SPAN_MS((int64_t)api_u64(eta, "high")), high);
            if (api_u64(eta, "high") == 0)
                table_cell_text(table, "now");
            else if (api_u64(eta, "high") == api_u64(eta, "low"))
                table_cell_text(table, low);
            else
                table_cell_printf(table, "%s-%s", low, high);
        }
        table_cell(table, api_string(it.value, "reason"));
    }
    table_print(table);
    choices_print(cli, root);
    printf("%.*s\n", SLICE_ARG(cli_safe(cli, api_string(root, "sentence"))));
    failure_print(cli, json_object_get(root, "failure"));
    if (api_u64(root, "idle_ms") > 0) {
        char idle[TIME_TEXT_MAX];
        span_format(SPAN_MS((int64_t)api_u64(root, "idle_ms")), idle);
        printf("it holds accelerators, and its processors have done nothing for %s\n", idle);
    }
}

/* A job file, read; it lives as long as the arena. A script is only found out to be one. */
static int job_read(struct cli *cli, const char *path, bool *out_is_script, struct api_blame *out)
{
    struct fault fault = {0};
    struct slice text;
    struct json_document *document;
    enum err err = file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, JOB_FILE_BYTES_MAX,
                             &cli->arena, &fault, &text);
    if (err == ERR_OK && sbatch_is_script(text)) {
        *out_is_script = true;
        return strcmp(path, "-") != 0 ? EXIT_DONE
                                      : cli_fail(cli, EXIT_USAGE,
                                                 "a script from standard input goes to the sbatch "
                                                 "of lq slurm-shim");
    }
    if (err == ERR_OK)
        err = yaml_parse(text, &YAML_LIMITS, &document, &fault);
    if (err != ERR_OK)
        return cli_fail_fault(cli, err == ERR_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_USAGE, path,
                              &fault);
    *out = (struct api_blame){path, json_root(document)};
    return api_keep(cli, document);
}

static int submitted(struct cli *cli, const struct api_reply *reply)
{
    struct json_value jobs = json_object_get(reply->root, "jobs");
    size_t count = json_count(jobs);
    if (cli->is_json && !cli_has(cli, "follow"))
        return api_print(reply);
    struct json_value first = json_array_at(jobs, 0);
    struct slice id = {0};
    if (json_type_of(first) == JSON_STRING) {
        if (json_to_string(first, ID_TEXT_MAX, &id, NULL) != ERR_OK)
            id = (struct slice){0};
    } else {
        id = api_string(first, "id");
    }
    if (count == 1)
        printf("%.*s\n", SLICE_ARG(id));
    else
        printf("%zu jobs, from %.*s on\n", count, SLICE_ARG(id));
    (void)fflush(stdout);
    if (!cli_has(cli, "follow"))
        return EXIT_DONE;
    return job_follow(cli, arena_text(&cli->arena, id));
}

/* Where it would go; of several jobs the first is asked for. */
static int plan(struct cli *cli, struct slice body, const char *query)
{
    struct json_document *document;
    struct api_reply reply;
    struct buffer first;
    struct json_writer writer;
    struct fault fault = {0};
    if (json_parse(body, &JSON_LIMITS_FILE, &document, &fault) != ERR_OK)
        return cli_fail_fault(cli, EXIT_USAGE, cli->positional[0], &fault);
    struct json_value list = json_object_get(json_root(document), "jobs");
    size_t count = json_count(list);
    buffer_init(&first, JOB_BODY_BYTES_MAX);
    if (count > 0) {
        json_writer_init(&writer, &first);
        json_copy(&writer, json_array_at(list, 0));
        if (json_writer_finish(&writer) == ERR_OK)
            body = buffer_slice(&first);
    }
    int code = api_call(cli, "POST", api_target(cli, "/v1/jobs:dry-run%s", query), body, &reply);
    if (code == EXIT_DONE && cli->is_json)
        code = api_print(&reply);
    else if (code == EXIT_DONE)
        explanation_print(cli, reply.root);
    if (code == EXIT_DONE && count > 1)
        cli_note(cli, "that is for the first of %zu jobs", count);
    buffer_deinit(&first);
    json_document_destroy(document);
    return code;
}

/* Shows where it would go, asks, submits. *out_is_made: the server took it, and `reply` says so. */
static int submit_body(struct cli *cli, struct slice body, const char *tenant, bool *out_is_made,
                       struct api_reply *reply)
{
    const char *query =
        tenant == NULL ? "" : arena_printf(&cli->arena, "?tenant=%s", api_escape(cli, tenant));
    bool asks = !cli->is_yes && !cli->is_json, is_dry = cli_has(cli, "dry-run");
    int code = is_dry || asks ? plan(cli, body, query) : EXIT_DONE;
    if (code == EXIT_DONE && !is_dry && asks && !cli_confirm(cli, "Submit it?"))
        code = EXIT_FAILED;
    if (code == EXIT_DONE && !is_dry)
        code = api_post_once(cli, api_target(cli, "/v1/jobs%s", query), body, reply);
    *out_is_made = code == EXIT_DONE && !is_dry;
    return code;
}

/* An sbatch script: `lq submit job.sh ARGUMENTS...`. */
static int submit_script(struct cli *cli)
{
    const char *argv[CLI_POSITIONAL_MAX + 2];
    struct sbatch_call call = {
        .argv = argv, .tenant = cli_text(cli, "tenant", NULL), .name = cli_text(cli, "name", NULL)};
    struct sbatch_submission submission;
    struct buffer body;
    struct api_reply reply;
    bool is_made = false;
    if (cli_has(cli, "chdir")) {
        argv[call.argc++] = "--chdir";
        argv[call.argc++] = cli_text(cli, "chdir", NULL);
    }
    for (uint32_t i = 0; i < cli->positional_count; i++)
        argv[call.argc++] = cli->positional[i];
    buffer_init(&body, JOB_BODY_BYTES_MAX);
    int code = sbatch_prepare(cli, &call, &body, &submission);
    if (code == SBATCH_EXIT_OPTION)
        code = EXIT_USAGE;
    if (code == EXIT_DONE)
        code = submit_body(cli, buffer_slice(&body), submission.tenant, &is_made, &reply);
    buffer_deinit(&body);
    if (code == EXIT_DONE && is_made)
        code = sbatch_booked(cli, &submission, &reply);
    return code == EXIT_DONE && is_made ? submitted(cli, &reply) : code;
}

static int submit(struct cli *cli)
{
    struct buffer body;
    struct api_reply reply;
    struct api_blame blame;
    const char *tenant = cli_text(cli, "tenant", NULL);
    bool is_made = false, is_script = false;
    int code = job_read(cli, cli->positional[0], &is_script, &blame);
    if (code != EXIT_DONE)
        return code;
    if (is_script)
        return submit_script(cli);
    if (cli_has(cli, "chdir") || cli->positional_count > 1)
        return cli_fail(cli, EXIT_USAGE,
                        "%s is a job file: --chdir and arguments are for sbatch scripts",
                        cli->positional[0]);
    buffer_init(&body, JOB_BODY_BYTES_MAX);
    code =
        upload_job(cli, tenant, cli->positional[0], blame.root, cli_text(cli, "name", NULL), &body);
    cli->blame = &blame;
    if (code == EXIT_DONE)
        code = submit_body(cli, buffer_slice(&body), tenant, &is_made, &reply);
    cli->blame = NULL;
    buffer_deinit(&body);
    return code == EXIT_DONE && is_made ? submitted(cli, &reply) : code;
}

const struct command COMMAND_SUBMIT = {
    .name = "submit",
    .group = "Work",
    .summary = "submit a job file or an sbatch script; shows where it would go first",
    .usage = "FILE [flags] [ARGUMENT...]",
    .details = "FILE is YAML (docs/formats/job.md); - reads standard input. What begins with #! is "
               "an sbatch script (docs/formats/sbatch.md);\n"
               "the arguments are its own. The sites considered "
               "and the one chosen are shown with\n"
               "their asks before anything is submitted; -y goes on without asking.\n\n"
               "Examples:\n  lq submit train.yaml\n  lq submit train.yaml -y -f --tenant research\n"
               "  lq submit sweep.yaml --dry-run --json",
    .flags = SUBMIT_FLAGS,
    .flag_count = sizeof(SUBMIT_FLAGS) / sizeof(SUBMIT_FLAGS[0]),
    .positional_min = 1,
    .positional_max = CLI_POSITIONAL_MAX,
    .run = submit};
