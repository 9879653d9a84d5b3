/* lq agent: a site's agent, wired here. */
#include <string.h>

#include "agent/agent.h"
#include "base/assert.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "port/file.h"
#include "wire/catalogue.h"
#include "wire/doc.h"
#include "wire/surplus.h"

enum { NODES_MAX = 256, TOKEN_FILE_BYTES_MAX = 4096, SITE_FILE_BYTES_MAX = 4 << 20 };

static const struct flag AGENT_FLAGS[] = {
    {"state", 's', FLAG_TEXT, "FOLDER", "where journal, keys and running work are kept (required)"},
    {"join", 0, FLAG_TEXT, "TOKEN", "join token, the first time; @FILE reads it from a file"},
    {"site", 0, FLAG_TEXT, "NAME", "the site's name, as the join token says"},
    {"title", 0, FLAG_TEXT, "TEXT", "the site's name for people"},
    {"region", 0, FLAG_TEXT, "NAME", "the region it is in"},
    {"operator", 0, FLAG_TEXT, "NAME", "who runs it"},
    {"tier", 0, FLAG_TEXT, "TIER", "hub, centre or edge; default centre"},
    {"jurisdiction", 0, FLAG_TEXT, "CODE", "if it is not the region's"},
    {"node", 0, FLAG_LIST, "SPEC",
     "a logical node: NAME:cpus=4,mem=8GiB[,accelerators=MODEL*N]; repeat; default: this machine"},
    {"cpu-ask", 0, FLAG_TEXT, "PRICE",
     "what a core costs an hour; without an ask nothing is sent here"},
    {"ask", 0, FLAG_LIST, "MODEL=PRICE", "what an accelerator costs an hour; repeat"},
    {"ask-source", 0, FLAG_TEXT, "TEXT", "where the prices come from"},
    {"example-ask", 0, FLAG_BOOL, NULL, "the prices are example values"},
    {"catalogue", 0, FLAG_TEXT, "FILE", "accelerator catalogue (data/domain/accelerators.csv)"},
    {"site-file", 0, FLAG_TEXT, "FILE", "all of the above in JSON, as PUT /v1/sites/NAME takes it"},
    {"slurm", 0, FLAG_TEXT, "FILE",
     "the site is a Slurm cluster, as this file says (docs/formats/slurm.md); at every start"},
    {"surplus", 0, FLAG_TEXT, "FILE",
     "the contract under which a host site lends (docs/formats/surplus.md); at every start"},
    {"host-network", 0, FLAG_BOOL, NULL, "programs share this machine's network"},
    {"ignore-foreign-load", 0, FLAG_BOOL, NULL,
     "capacity is what the nodes declare (several sites on one machine)"},
    {"read-only", 0, FLAG_LIST, "PATH",
     "another folder of this machine that programs may read; repeat"},
    {"images", 0, FLAG_LIST, "PREFIX",
     "container images that begin so may run here, by podman: registry.example/team/; repeat"},
    {"shared", 0, FLAG_LIST, "TENANT=FOLDER",
     "jobs of that tenant (its id) that ask for it may write in this folder, as its owner; repeat"},
    {"moved", 0, FLAG_BOOL, NULL,
     "the folder was moved or copied here, and its former place is gone and runs nothing"},
    {"ready-fd", 0, FLAG_NUMBER, "FD", "write \"ready SITE_ID\" to this descriptor"},
};

struct agent_texts {
    struct catalogue catalogue;
    struct site_node nodes[NODES_MAX];
    struct site_ask asks[SITE_ASKS_MAX];
    struct slice read_only[CLI_LIST_MAX];
    struct slice images[CLI_LIST_MAX];
    struct slice shared[CLI_LIST_MAX];
    struct slurm_config slurm;
};

/* A one-line text file; "@FILE" of --join. */
static int file_line(struct cli *cli, const char *path, const char **out_text)
{
    struct fault fault = {0};
    struct slice text, line, rest;
    if (file_read(path, TOKEN_FILE_BYTES_MAX, &cli->arena, &fault, &text) != ERR_OK)
        return cli_fail_fault(cli, EXIT_USAGE, path, &fault);
    line = slice_cut(text, '\n', &line, &rest) ? line : text;
    *out_text = arena_text(&cli->arena, slice_trim(line));
    return EXIT_DONE;
}

/* --site-file: the site as the API shows one, in JSON. */
static int site_file(struct cli *cli, const char *path, struct site *out)
{
    struct fault fault = {0};
    struct slice text;
    struct json_document *document;
    enum err err = file_read(path, SITE_FILE_BYTES_MAX, &cli->arena, &fault, &text);
    if (err == ERR_OK)
        err = json_parse(text, &JSON_LIMITS_FILE, &document, &fault);
    if (err == ERR_OK) {
        err = doc_decode_site(json_root(document), &cli->arena, out, &fault);
        json_document_destroy(document);
    }
    return err == ERR_OK ? EXIT_DONE : cli_fail_fault(cli, EXIT_USAGE, path, &fault);
}

/* --slurm */
static int slurm_file(struct cli *cli, const char *path, struct slurm_config *out)
{
    struct fault fault = {0};
    struct slice text;
    enum err err = file_read(path, SITE_FILE_BYTES_MAX, &cli->arena, &fault, &text);
    if (err == ERR_OK)
        err = slurm_config_decode(text, &cli->arena, out, &fault);
    return err == ERR_OK ? EXIT_DONE : cli_fail_fault(cli, EXIT_USAGE, path, &fault);
}

/* --surplus */
static int surplus_file(struct cli *cli, const char *path, struct agent_options *options)
{
    struct fault fault = {0};
    struct slice text;
    if (options->slurm != NULL)
        return cli_fail(cli, EXIT_USAGE, "a Slurm site's contract is `surplus:` in its file");
    enum err err = file_read(path, SITE_FILE_BYTES_MAX, &cli->arena, &fault, &text);
    if (err == ERR_OK)
        err = surplus_parse(text, &cli->arena, &options->surplus, &fault);
    return err == ERR_OK ? EXIT_DONE : cli_fail_fault(cli, EXIT_USAGE, path, &fault);
}

static int agent_nodes(struct cli *cli, struct agent_texts *texts, struct site *site)
{
    struct fault fault = {0};
    const struct flag_value *nodes = cli_flag(cli, "node"), *asks = cli_flag(cli, "ask");
    for (uint32_t i = 0; i < nodes->list_count; i++)
        if (agent_node_parse(slice_of(nodes->list[i]), &texts->catalogue, &cli->arena,
                             &texts->nodes[i], &fault) != ERR_OK)
            return cli_fail_fault(cli, EXIT_USAGE, nodes->list[i], &fault);
    for (uint32_t i = 0; i < asks->list_count; i++) {
        bool is_cpu;
        if (agent_ask_parse(slice_of(asks->list[i]), &texts->catalogue, &cli->arena,
                            &texts->asks[site->ask_count], &is_cpu, &fault) != ERR_OK)
            return cli_fail_fault(cli, EXIT_USAGE, asks->list[i], &fault);
        if (is_cpu)
            site->ask_per_cpu_hour = MAYBE_MONEY(texts->asks[site->ask_count].per_hour);
        else
            site->ask_count++;
    }
    const struct flag_value *images = cli_flag(cli, "images");
    for (uint32_t i = 0; i < images->list_count; i++)
        texts->images[i] = slice_of(images->list[i]);
    site->images = (struct text_list){texts->images, images->list_count};
    const struct flag_value *shared = cli_flag(cli, "shared");
    for (uint32_t i = 0; i < shared->list_count; i++)
        texts->shared[i] = slice_of(shared->list[i]);
    site->shared_folders = (struct text_list){texts->shared, shared->list_count};
    site->nodes = texts->nodes;
    site->node_count = nodes->list_count;
    site->asks = texts->asks;
    return EXIT_DONE;
}

static int agent_site(struct cli *cli, struct agent_texts *texts, struct site *site)
{
    struct money price;
    const char *tier = cli_text(cli, "tier", "centre"), *ask = cli_text(cli, "cpu-ask", NULL);
    site->name = slice_of(cli_text(cli, "site", ""));
    site->title = slice_of(cli_text(cli, "title", ""));
    site->region = slice_of(cli_text(cli, "region", ""));
    site->operator_name = slice_of(cli_text(cli, "operator", ""));
    site->jurisdiction = slice_of(cli_text(cli, "jurisdiction", ""));
    site->ask_origin =
        (struct origin){slice_of(cli_text(cli, "ask-source", "")), cli_has(cli, "example-ask")};
    site->ask_includes_energy = true;
    if (site_tier_parse(slice_of(tier), &site->tier) != ERR_OK)
        return cli_fail(cli, EXIT_USAGE, "--tier must be hub, centre or edge, not \"%s\"", tier);
    if (ask != NULL) {
        if (money_parse(slice_of(ask), &price) != ERR_OK || price.micros < 0)
            return cli_fail(cli, EXIT_USAGE, "--cpu-ask wants an amount such as 0.05, not \"%s\"",
                            ask);
        site->ask_per_cpu_hour = MAYBE_MONEY(price);
    }
    return agent_nodes(cli, texts, site);
}

static int agent(struct cli *cli)
{
    struct agent_options options;
    struct fault fault = {0};
    struct agent_texts *texts = arena_alloc(&cli->arena, sizeof(*texts));
    struct slice csv;
    int code = EXIT_DONE;
    ASSERT(texts != NULL);
    agent_options_default(&options);
    options.state_folder = cli_text(cli, "state", NULL);
    if (options.state_folder == NULL)
        return cli_fail(cli, EXIT_USAGE, "say where to keep the state: --state FOLDER");
    options.server = cli->config.server;
    options.program = cli->program;
    options.join_token = cli_text(cli, "join", NULL);
    options.catalogue_path = cli_text(cli, "catalogue", NULL);
    if (options.catalogue_path != NULL) {
        enum err err = file_read(options.catalogue_path, 4 << 20, &cli->arena, &fault, &csv);
        if (err == ERR_OK)
            err = catalogue_decode(csv, &cli->arena, &texts->catalogue, &fault);
        if (err != ERR_OK)
            return cli_fail_fault(cli, EXIT_USAGE, options.catalogue_path, &fault);
    }
    if (options.join_token != NULL && options.join_token[0] == '@')
        code = file_line(cli, options.join_token + 1, &options.join_token);
    if (code == EXIT_DONE)
        code = cli_has(cli, "site-file")
                   ? site_file(cli, cli_text(cli, "site-file", NULL), &options.site)
                   : agent_site(cli, texts, &options.site);
    if (code == EXIT_DONE && cli_has(cli, "slurm")) {
        code = slurm_file(cli, cli_text(cli, "slurm", NULL), &texts->slurm);
        options.slurm = &texts->slurm;
    }
    if (code == EXIT_DONE && options.slurm != NULL && options.site.shared_folders.count > 0)
        code = cli_fail(cli, EXIT_USAGE, "--shared: a Slurm site shares no folders");
    if (code == EXIT_DONE && cli_has(cli, "surplus"))
        code = surplus_file(cli, cli_text(cli, "surplus", NULL), &options);
    if (code != EXIT_DONE)
        return code;
    options.has_host_network = cli_has(cli, "host-network");
    options.ignores_foreign_load = cli_has(cli, "ignore-foreign-load");
    const struct flag_value *paths = cli_flag(cli, "read-only");
    for (uint32_t i = 0; i < paths->list_count; i++)
        texts->read_only[i] = slice_of(paths->list[i]);
    options.read_only_paths = (struct text_list){texts->read_only, paths->list_count};
    options.is_moved = cli_has(cli, "moved");
    options.ready_fd = cli_has(cli, "ready-fd") ? (int)cli_number(cli, "ready-fd", 0) : -1;
    enum err err = agent_run(&options, &fault);
    if (err == ERR_OK)
        return EXIT_DONE;
    if (fault.code == ERR_OK)
        fault.code = err;
    return cli_fail_fault(cli, err == ERR_DENIED ? EXIT_DENIED : EXIT_FAILED, "agent", &fault);
}

const struct command COMMAND_AGENT = {
    .name = "agent",
    .group = "Running a network",
    .summary = "a site's agent",
    .usage = "--state FOLDER [flags]",
    .details = "The first time: lq agent --state F --server HOST:PORT --join TOKEN --site NAME "
               "--region R --operator O --cpu-ask P.\n"
               "Later: lq agent --state F. It only dials out. Work goes on while it is stopped, "
               "and is taken over at its next start.\n\n"
               "Example:\n  lq agent --state /var/lib/lingqu-agent --server lq.example.org:7700 "
               "--join @join.token "
               "--site zhongwei --region ningxia\n    --operator west-op --cpu-ask 0.04",
    .flags = AGENT_FLAGS,
    .flag_count = sizeof(AGENT_FLAGS) / sizeof(AGENT_FLAGS[0]),
    .run = agent};
