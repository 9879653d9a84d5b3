/* The network, for those who run it: login, sites, joining, the agent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "base/assert.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "http/cert.h"
#include "port/clock.h"
#include "port/file.h"
#include "port/loop.h"
#include "wire/catalogue.h"
#include "wire/json_writer.h"

enum { PEM_BYTES_MAX = 65536, NODES_MAX = 256 };

static int print_json(struct slice body)
{
    return cli_write(body) && cli_write(SLICE_LITERAL("\n")) ? EXIT_DONE : EXIT_FAILED;
}

/* ---- login */

static const struct flag LOGIN_FLAGS[] = {
    {"token", 't', FLAG_TEXT, "TOKEN",
     "API token (better: --token-file, it stays out of the process list)"},
    {"token-file", 0, FLAG_TEXT, "FILE", "file that holds the token"},
    {"ca", 0, FLAG_TEXT, "FILE", "the server's certificate authority (ca.pem)"},
    {"pin", 0, FLAG_TEXT, "HEX", "SHA-256 of the authority's public key, instead of --ca"},
};

static int file_text(struct cli *cli, const char *path, const char **out_text)
{
    struct fault fault = {0};
    struct slice text;
    if (file_read(path, PEM_BYTES_MAX, &cli->arena, &fault, &text) != ERR_OK)
        return cli_fail_fault(cli, EXIT_USAGE, path, &fault);
    *out_text = arena_text(&cli->arena, slice_trim(text));
    return EXIT_DONE;
}

static const char *without_newline(char *text)
{
    size_t len = strlen(text);
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        text[--len] = 0;
    return text;
}

static int login(struct cli *cli)
{
    struct api_reply reply;
    const char *ca = NULL, *token = cli_text(cli, "token", NULL);
    int code = EXIT_DONE;
    if (cli_has(cli, "token-file"))
        code = file_text(cli, cli_text(cli, "token-file", NULL), &token);
    if (code == EXIT_DONE && cli_has(cli, "ca"))
        code = file_text(cli, cli_text(cli, "ca", NULL), &ca);
    if (code != EXIT_DONE)
        return code;
    if (token == NULL)
        return cli_fail(cli, EXIT_USAGE, "a token is needed: --token-file FILE or --token TOKEN");
    if (ca == NULL)
        return cli_fail(cli, EXIT_USAGE,
                        "say how the server is recognised: --ca FILE (its ca.pem)");
    cli->config = (struct cli_config){cli->positional[0], ca,
                                      without_newline(arena_text(&cli->arena, slice_of(token)))};
    cli->has_config = true;
    code = api_call(cli, "GET", "/v1/whoami", (struct slice){0}, &reply);
    if (code != EXIT_DONE)
        return code;
    code = api_config_save(cli, cli->config.server, cli->config.ca_pem, cli->config.token);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return print_json(reply.body);
    printf("logged in to %s as %.*s\n", cli->config.server,
           SLICE_ARG(cli_safe(cli, api_string(reply.root, "name"))));
    return EXIT_DONE;
}

const struct command COMMAND_LOGIN = {.name = "login",
                                      .group = "People",
                                      .summary = "remember a server, its authority and a token",
                                      .usage = "HOST:PORT [flags]",
                                      .details =
                                          "The server's certificate authority is pinned: from then "
                                          "on only servers that it has signed are talked to.",
                                      .flags = LOGIN_FLAGS,
                                      .flag_count = sizeof(LOGIN_FLAGS) / sizeof(LOGIN_FLAGS[0]),
                                      .positional_min = 1,
                                      .positional_max = 1,
                                      .run = login};

/* ---- sites */

static int sites(struct cli *cli)
{
    static const char *const HEADS[] = {"SITE",  "REGION", "STATE", "CONTACT",
                                        "NODES", "CORES",  "FREE",  "RUNNING"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT,  TABLE_LEFT,  TABLE_LEFT,  TABLE_LEFT,
                                              TABLE_RIGHT, TABLE_RIGHT, TABLE_RIGHT, TABLE_RIGHT};
    struct api_reply reply;
    int code = api_call(cli, "GET", "/v1/sites", (struct slice){0}, &reply);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return print_json(reply.body);
    struct table *table = table_create(cli, HEADS, ALIGNS, 8);
    struct json_iterator it = json_iterate(json_object_get(reply.root, "items"));
    while (json_next(&it)) {
        bool in_contact = false;
        if (json_opt_bool(it.value, "in_contact", &in_contact, NULL) != ERR_OK)
            in_contact = false;
        table_cell(table, api_string(it.value, "name"));
        table_cell(table, api_string(it.value, "region"));
        table_cell(table, api_string(it.value, "state"));
        table_cell_text(table, in_contact ? "yes" : "no");
        table_cell_printf(table, "%llu", (unsigned long long)api_u64(it.value, "node_count"));
        table_cell_printf(table, "%.1f", (double)api_u64(it.value, "cpu_milli") / 1000.0);
        table_cell_printf(table, "%.1f", (double)api_u64(it.value, "cpu_milli_free") / 1000.0);
        table_cell_printf(table, "%llu", (unsigned long long)api_u64(it.value, "attempts_running"));
    }
    table_print(table);
    return EXIT_DONE;
}

const struct command COMMAND_SITES = {.name = "sites",
                                      .group = "Network",
                                      .summary = "sites with contact and capacity",
                                      .usage = "",
                                      .run = sites};

static const struct flag DRAIN_FLAGS[] = {
    {"resume", 0, FLAG_BOOL, NULL, "take work again"},
    {"reason", 0, FLAG_TEXT, "TEXT", "for the audit log"},
    {"destroyed", 0, FLAG_BOOL, NULL,
     "sign that nothing of the site runs any more; its work goes on elsewhere"}};

static int drain(struct cli *cli)
{
    struct buffer body;
    struct json_writer writer;
    struct api_reply reply;
    const char *verb = cli_has(cli, "destroyed") ? "destroyed"
                       : cli_has(cli, "resume")  ? "resume"
                                                 : "drain";
    if (cli_has(cli, "destroyed") &&
        !cli_confirm(cli, "If anything of this site still runs, its jobs will run twice. Sign that "
                          "nothing does?"))
        return EXIT_FAILED;
    buffer_init(&body, 4096);
    json_writer_init(&writer, &body);
    json_begin_object(&writer);
    if (cli_has(cli, "reason"))
        json_put_text(&writer, "reason", cli_text(cli, "reason", ""));
    json_end_object(&writer);
    int code = json_writer_finish(&writer) == ERR_OK
                   ? EXIT_DONE
                   : cli_fail(cli, EXIT_USAGE, "the reason is too long");
    if (code == EXIT_DONE)
        code = api_post_once(
            cli, api_target(cli, "/v1/sites/%s:%s", api_escape(cli, cli->positional[0]), verb),
            buffer_slice(&body), &reply);
    buffer_deinit(&body);
    if (code == EXIT_DONE && cli->is_json)
        return print_json(reply.body);
    if (code == EXIT_DONE)
        printf("%s: %s\n", cli->positional[0], verb);
    return code;
}

const struct command COMMAND_DRAIN = {.name = "drain",
                                      .group = "Network",
                                      .summary = "take a site out, or back in",
                                      .usage = "SITE [flags]",
                                      .flags = DRAIN_FLAGS,
                                      .flag_count = sizeof(DRAIN_FLAGS) / sizeof(DRAIN_FLAGS[0]),
                                      .positional_min = 1,
                                      .positional_max = 1,
                                      .run = drain};

/* ---- joining */

static const struct flag JOIN_TOKEN_FLAGS[] = {
    {"operator", 'o', FLAG_TEXT, "NAME", "who runs the site (required unless you do)"},
    {"expires", 0, FLAG_TEXT, "TIME", "how long it may be used; default 1h"}};

static int join_token(struct cli *cli)
{
    struct buffer body;
    struct json_writer writer;
    struct api_reply reply;
    buffer_init(&body, 4096);
    json_writer_init(&writer, &body);
    json_begin_object(&writer);
    json_put_text(&writer, "site", cli->positional[0]);
    if (cli_has(cli, "operator"))
        json_put_text(&writer, "operator", cli_text(cli, "operator", ""));
    if (cli_has(cli, "expires"))
        json_put_text(&writer, "expires_in", cli_text(cli, "expires", ""));
    json_end_object(&writer);
    int code = json_writer_finish(&writer) == ERR_OK
                   ? EXIT_DONE
                   : cli_fail(cli, EXIT_USAGE, "the name is too long");
    if (code == EXIT_DONE)
        code = api_post_once(cli, "/v1/join-tokens", buffer_slice(&body), &reply);
    buffer_deinit(&body);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return print_json(reply.body);
    printf("%.*s\n", SLICE_ARG(api_string(reply.root, "token")));
    cli_note(cli,
             "it works once, until %.*s. On the site's machine:\n  lq agent --state FOLDER --site "
             "%s --join TOKEN --server %s "
             "--region REGION --operator %s --cpu-ask PRICE",
             SLICE_ARG(api_string(reply.root, "expires_at")), cli->positional[0],
             cli->config.server, cli_text(cli, "operator", "OPERATOR"));
    return EXIT_DONE;
}

const struct command COMMAND_JOIN_TOKEN = {.name = "join-token",
                                           .group = "Network",
                                           .summary = "let one site join, once",
                                           .usage = "SITE [flags]",
                                           .flags = JOIN_TOKEN_FLAGS,
                                           .flag_count = sizeof(JOIN_TOKEN_FLAGS) /
                                                         sizeof(JOIN_TOKEN_FLAGS[0]),
                                           .positional_min = 1,
                                           .positional_max = 1,
                                           .run = join_token};

/* ---- agent */

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
    {"host-network", 0, FLAG_BOOL, NULL, "programs share this machine's network"},
    {"ignore-foreign-load", 0, FLAG_BOOL, NULL,
     "capacity is what the nodes declare (several sites on one machine)"},
    {"read-only", 0, FLAG_LIST, "PATH",
     "another folder of this machine that programs may read; repeat"},
    {"ready-fd", 0, FLAG_NUMBER, "FD", "write \"ready SITE_ID\" to this descriptor"},
};

struct agent_texts {
    struct catalogue catalogue;
    struct site_node nodes[NODES_MAX];
    struct site_ask asks[SITE_ASKS_MAX];
    struct slice read_only[CLI_LIST_MAX];
};

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
        code = file_text(cli, options.join_token + 1, &options.join_token);
    if (code == EXIT_DONE)
        code = agent_site(cli, texts, &options.site);
    if (code != EXIT_DONE)
        return code;
    if (options.join_token != NULL)
        options.join_token = without_newline(arena_text(&cli->arena, slice_of(options.join_token)));
    options.has_host_network = cli_has(cli, "host-network");
    options.ignores_foreign_load = cli_has(cli, "ignore-foreign-load");
    const struct flag_value *paths = cli_flag(cli, "read-only");
    for (uint32_t i = 0; i < paths->list_count; i++)
        texts->read_only[i] = slice_of(paths->list[i]);
    options.read_only_paths = (struct text_list){texts->read_only, paths->list_count};
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
               "and is taken over at its next start.",
    .flags = AGENT_FLAGS,
    .flag_count = sizeof(AGENT_FLAGS) / sizeof(AGENT_FLAGS[0]),
    .run = agent};
