/* Datasets: named content that jobs read. Throughput: what was measured of workloads. */
#include <stdio.h>
#include <string.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/upload.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *target_of(struct cli *cli, const char *name)
{
    const char *target = api_target(cli, "/v1/datasets/%s", api_escape(cli, name));
    const char *tenant = cli_text(cli, "tenant", NULL);
    return tenant == NULL ? target
                          : api_target(cli, "%s?tenant=%s", target, api_escape(cli, tenant));
}

static struct table *datasets_table(struct cli *cli)
{
    static const char *const HEADS[] = {"DATASET", "SIZE", "JURISDICTION", "HOMES", "CONTENT"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT, TABLE_RIGHT, TABLE_LEFT, TABLE_LEFT,
                                              TABLE_LEFT};
    return table_create(cli, HEADS, ALIGNS, COUNT(HEADS));
}

static void dataset_row(struct cli *cli, struct table *table, struct json_value item)
{
    struct slice jurisdiction = api_string(item, "jurisdiction");
    table_cell(table, api_string(item, "name"));
    table_cell_printf(table, "%llu", (unsigned long long)api_u64(item, "size_bytes"));
    table_cell(table, jurisdiction.len > 0 ? jurisdiction : SLICE_LITERAL("anywhere"));
    table_cell_text(table, api_words(cli, json_object_get(item, "homes"), "-"));
    table_cell(table, api_string(item, "artifact"));
}

static int dataset_list(struct cli *cli)
{
    struct api_list list;
    int code = api_list(cli, "/v1/datasets", 0, &list);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return api_print_list(cli, &list);
    struct table *table = datasets_table(cli);
    for (size_t i = 0; i < list.count; i++)
        dataset_row(cli, table, list.items[i]);
    table_print(table);
    return EXIT_DONE;
}

static int shown(struct cli *cli, const struct api_reply *reply)
{
    if (cli->is_json)
        return api_print(reply);
    struct table *table = datasets_table(cli);
    dataset_row(cli, table, reply->root);
    table_print(table);
    return EXIT_DONE;
}

static int dataset_show(struct cli *cli)
{
    struct api_reply reply;
    int code = api_call(cli, "GET", target_of(cli, cli->positional[0]), (struct slice){0}, &reply);
    return code == EXIT_DONE ? shown(cli, &reply) : code;
}

static void homes_write(struct cli *cli, struct json_writer *writer)
{
    struct slice rest = slice_of(cli_text(cli, "homes", "")), one;
    json_key(writer, "homes");
    json_begin_array(writer);
    while (rest.len > 0) {
        if (!slice_cut(rest, ',', &one, &rest)) {
            one = rest;
            rest = (struct slice){0};
        }
        json_string(writer, one);
    }
    json_end_array(writer);
}

static int dataset_put(struct cli *cli)
{
    struct api_body body;
    struct api_reply reply;
    struct slice artifact;
    const char *name = cli->positional[0];
    int code = upload_folder(cli, cli_text(cli, "tenant", NULL), cli->positional[1], &artifact);
    if (code != EXIT_DONE)
        return code;
    api_body_begin(&body);
    json_put_text(&body.writer, "name", name);
    json_put_string(&body.writer, "artifact", artifact);
    api_body_text_flag(cli, &body, "jurisdiction", "jurisdiction");
    if (cli_has(cli, "homes"))
        homes_write(cli, &body.writer);
    code = api_body_end(cli, &body);
    if (code == EXIT_DONE)
        code = api_put(cli, target_of(cli, name), buffer_slice(&body.bytes), NULL, &reply);
    api_body_deinit(&body);
    return code == EXIT_DONE ? shown(cli, &reply) : code;
}

static int dataset_delete(struct cli *cli)
{
    struct api_reply reply;
    int code =
        api_call(cli, "DELETE", target_of(cli, cli->positional[0]), (struct slice){0}, &reply);
    if (code == EXIT_DONE && cli->is_json)
        return api_print(&reply);
    if (code == EXIT_DONE)
        printf("%s: forgotten\n", cli->positional[0]);
    return code;
}

static const struct flag TENANT_FLAGS[] = {
    {"tenant", 't', FLAG_TEXT, "NAME", "whose; default: your own"},
};
static const struct flag PUT_FLAGS[] = {
    {"tenant", 't', FLAG_TEXT, "NAME", "whose; default: your own"},
    {"jurisdiction", 'j', FLAG_TEXT, "CODE", "it may only be read there; default: anywhere"},
    {"homes", 0, FLAG_TEXT, "SITE,...", "sites that hold a copy of their own already"},
};

const struct command COMMAND_DATASET_LIST = {.name = "dataset list",
                                             .group = "Work",
                                             .summary = "named content that jobs read",
                                             .usage = "",
                                             .details = "Example:\n  lq dataset list",
                                             .run = dataset_list};
const struct command COMMAND_DATASET_SHOW = {.name = "dataset show",
                                             .group = "Work",
                                             .summary = "one dataset",
                                             .usage = "NAME [flags]",
                                             .details = "Example:\n  lq dataset show corpus",
                                             .flags = TENANT_FLAGS,
                                             .flag_count = COUNT(TENANT_FLAGS),
                                             .positional_min = 1,
                                             .positional_max = 1,
                                             .run = dataset_show};
const struct command COMMAND_DATASET_PUT = {
    .name = "dataset put",
    .group = "Work",
    .summary = "upload a folder under a name that jobs can read it by",
    .usage = "NAME FOLDER [flags]",
    .details = "A job names it in `datasets` (it stands at datasets/NAME in the work folder) or in "
               "`file_mounts`.\nJobs that are submitted already keep what the name stood for then. "
               "Only what is new is sent.\n\n"
               "Example:\n  lq dataset put corpus ./corpus --jurisdiction CN",
    .flags = PUT_FLAGS,
    .flag_count = COUNT(PUT_FLAGS),
    .positional_min = 2,
    .positional_max = 2,
    .run = dataset_put};
const struct command COMMAND_DATASET_DELETE = {
    .name = "dataset delete",
    .group = "Work",
    .summary = "forget a dataset",
    .usage = "NAME [flags]",
    .details = "Unfinished jobs that name it keep its content; then it is swept.\n\n"
               "Example:\n  lq dataset delete corpus",
    .flags = TENANT_FLAGS,
    .flag_count = COUNT(TENANT_FLAGS),
    .positional_min = 1,
    .positional_max = 1,
    .run = dataset_delete};

/* ---- throughput */

static void kind_row(struct cli *cli, struct table *table, struct json_value workload,
                     struct json_value kind)
{
    struct slice name = api_string(workload, "name"), model = api_string(kind, "accelerator");
    uint64_t devices = api_u64(kind, "devices"), rate = api_u64(kind, "units_per_s_micro");
    table_cell(table, cli_safe(cli, name.len > 0 ? name : api_string(workload, "workload")));
    table_cell_printf(table, "%llu x %llu.%03llu", (unsigned long long)api_u64(workload, "nodes"),
                      (unsigned long long)api_u64(workload, "cpu_milli") / 1000,
                      (unsigned long long)api_u64(workload, "cpu_milli") % 1000);
    table_cell(table, api_string(kind, "runtime"));
    if (devices > 0)
        table_cell_printf(table, "%.*s*%llu", SLICE_ARG(cli_safe(cli, model)),
                          (unsigned long long)devices);
    else
        table_cell_text(table, "-");
    if (rate > 0)
        table_cell_printf(table, "%llu.%03llu", (unsigned long long)(rate / 1000000),
                          (unsigned long long)(rate / 1000 % 1000));
    else
        table_cell_text(table, "not measured");
    char over[TIME_TEXT_MAX];
    span_format(SPAN_MS((int64_t)api_u64(kind, "ms")), over);
    table_cell_text(table, over);
}

static int throughput(struct cli *cli)
{
    static const char *const HEADS[] = {"WORKLOAD", "NODES x CPUS", "RUNTIME",
                                        "DEVICES",  "UNITS/S",      "MEASURED FOR"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT, TABLE_LEFT,  TABLE_LEFT,
                                              TABLE_LEFT, TABLE_RIGHT, TABLE_RIGHT};
    struct api_list list;
    int code = api_list(cli, "/v1/throughput", 0, &list);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return api_print_list(cli, &list);
    struct table *table = table_create(cli, HEADS, ALIGNS, COUNT(HEADS));
    for (size_t i = 0; i < list.count; i++) {
        struct json_iterator it = json_iterate(json_object_get(list.items[i], "kinds"));
        while (json_next(&it))
            kind_row(cli, table, list.items[i], it.value);
    }
    table_print(table);
    return EXIT_DONE;
}

const struct command COMMAND_THROUGHPUT = {
    .name = "throughput",
    .group = "Work",
    .summary = "how fast each kind of chip does each workload, as measured",
    .usage = "",
    .details = "Units are the programs' own: what they write to LQ_PROGRESS_FILE "
               "(docs/formats/supervise.md). Older figures count half after an hour.\n\n"
               "Example:\n  lq throughput",
    .run = throughput};
