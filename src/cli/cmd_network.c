/* The network, for those who run it: login, sites, joining. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/view.h"
#include "port/file.h"

enum { PEM_BYTES_MAX = 65536, PORT_DEFAULT = 7700 };

/* ---- login */

static const struct flag LOGIN_FLAGS[] = {
    {"token", 't', FLAG_TEXT, "TOKEN",
     "API token (better: --token-file, it stays out of the process list)"},
    {"token-file", 0, FLAG_TEXT, "FILE", "file that holds the token"},
    {"ca", 0, FLAG_TEXT, "FILE", "the server's certificate authority (ca.pem)"},
    {"pin", 0, FLAG_TEXT, "HEX",
     "SHA-256 of the authority's public key (the end of a join token), instead of --ca"},
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

/* "host" means port 7700. */
static const char *endpoint_with_port(struct cli *cli, const char *text)
{
    const char *colon = strrchr(text, ':'), *bracket = strrchr(text, ']');
    bool has_port = colon != NULL && (bracket == NULL || colon > bracket);
    return has_port ? text : arena_printf(&cli->arena, "%s:%d", text, PORT_DEFAULT);
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
    if (ca == NULL && !cli_has(cli, "pin"))
        return cli_fail(
            cli, EXIT_USAGE,
            "say how the server is recognised: --ca FILE (its ca.pem) or --pin HEX (the "
            "64 digits at the end of a join token)");
    cli->config =
        (struct cli_config){.server = endpoint_with_port(cli, cli->positional[0]),
                            .ca_pem = ca,
                            .pin = cli_text(cli, "pin", NULL),
                            .token = without_newline(arena_text(&cli->arena, slice_of(token)))};
    cli->has_config = true;
    code = api_call(cli, "GET", "/v1/whoami", (struct slice){0}, &reply);
    if (code != EXIT_DONE)
        return code;
    code = api_config_save(cli, NULL, &cli->config);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return api_print(&reply);
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
                                          "on only servers that it has signed are talked to.\n\n"
                                          "Examples:\n  lq login lq.example.org --ca ca.pem "
                                          "--token-file my.token\n  lq login 10.0.0.7:7700 --pin "
                                          "94c5e1b3... --token-file my.token",
                                      .flags = LOGIN_FLAGS,
                                      .flag_count = sizeof(LOGIN_FLAGS) / sizeof(LOGIN_FLAGS[0]),
                                      .positional_min = 1,
                                      .positional_max = 1,
                                      .run = login};

/* ---- sites */

static struct json_value part(struct json_value object, const char *name, const char *member)
{
    return json_object_get(json_object_get(object, name), member);
}

static uint64_t part_u64(struct json_value object, const char *name, const char *member)
{
    uint64_t number = 0;
    return json_to_u64(part(object, name, member), 0, UINT64_MAX, &number, NULL) == ERR_OK ? number
                                                                                           : 0;
}

/* "quarantine: zhongwei/n7 since ..., node_lost by 3 jobs of 2 tenants, 1 probe failed" */
static void alarms_print(struct cli *cli, struct json_value site)
{
    uint64_t idle = part_u64(site, "attempts", "idle");
    if (idle > 0)
        printf("idle: %llu attempts at %.*s hold accelerators and do nothing; see lq events\n",
               (unsigned long long)idle, SLICE_ARG(cli_safe(cli, api_string(site, "name"))));
    struct json_iterator it = json_iterate(json_object_get(site, "quarantine"));
    while (json_next(&it)) {
        struct slice node = api_string(it.value, "node");
        printf("quarantine: %.*s%s%.*s since %.*s, ",
               SLICE_ARG(cli_safe(cli, api_string(site, "name"))), node.len > 0 ? "/" : "",
               SLICE_ARG(cli_safe(cli, node)),
               SLICE_ARG(cli_safe(cli, api_string(it.value, "since"))));
        if (api_bool(it.value, "by_operator"))
            printf("by the operator's word\n");
        else
            printf("%.*s by %llu jobs of %llu tenants, %llu probes failed%s\n",
                   SLICE_ARG(cli_safe(cli, api_string(it.value, "failure"))),
                   (unsigned long long)api_u64(it.value, "jobs"),
                   (unsigned long long)api_u64(it.value, "tenants"),
                   (unsigned long long)api_u64(it.value, "probes_failed"),
                   api_bool(it.value, "is_probing") ? ", probed now" : "");
    }
}

void network_sites_print(struct cli *cli, const struct json_value *sites, size_t count)
{
    static const char *const HEADS[] = {"SITE",  "REGION", "OPERATOR", "STATE", "CONTACT",
                                        "NODES", "CORES",  "FREE",     "ACCEL", "RUNNING"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT,  TABLE_LEFT,  TABLE_LEFT,  TABLE_LEFT,
                                              TABLE_LEFT,  TABLE_RIGHT, TABLE_RIGHT, TABLE_RIGHT,
                                              TABLE_RIGHT, TABLE_RIGHT};
    struct table *table = table_create(cli, HEADS, ALIGNS, sizeof(HEADS) / sizeof(HEADS[0]));
    for (size_t i = 0; i < count; i++) {
        struct json_value site = sites[i];
        char cores[UNITS_TEXT_MAX], spare[UNITS_TEXT_MAX];
        uint64_t running = part_u64(site, "attempts", "running"),
                 unknown = part_u64(site, "attempts", "unknown"),
                 accelerators = part_u64(site, "accelerators", "total");
        units_format_millicpus(part_u64(site, "cpu_milli", "total"), cores);
        units_format_millicpus(part_u64(site, "cpu_milli", "free"), spare);
        table_cell(table, api_string(site, "name"));
        table_cell(table, api_string(site, "region"));
        table_cell(table, api_string(site, "operator"));
        table_cell(table, api_string(site, "state"));
        table_cell(table, api_string(site, "contact"));
        table_cell_printf(table, "%llu/%llu", (unsigned long long)api_u64(site, "nodes_up"),
                          (unsigned long long)api_u64(site, "nodes"));
        table_cell_text(table, cores);
        table_cell_text(table, spare);
        if (accelerators > 0)
            table_cell_printf(table, "%llu/%llu",
                              (unsigned long long)part_u64(site, "accelerators", "free"),
                              (unsigned long long)accelerators);
        else
            table_cell_text(table, "-");
        if (unknown > 0)
            table_cell_printf(table, "%llu+%llu?", (unsigned long long)running,
                              (unsigned long long)unknown);
        else
            table_cell_printf(table, "%llu", (unsigned long long)running);
    }
    table_print(table);
    for (size_t i = 0; i < count; i++)
        alarms_print(cli, sites[i]);
}

static int sites(struct cli *cli)
{
    struct api_reply reply;
    struct api_list list;
    if (cli->positional_count == 1) {
        int code = api_call(cli, "GET",
                            api_target(cli, "/v1/sites/%s", api_escape(cli, cli->positional[0])),
                            (struct slice){0}, &reply);
        if (code != EXIT_DONE)
            return code;
        if (cli->is_json)
            return api_print(&reply);
        network_sites_print(cli, &reply.root, 1);
        return EXIT_DONE;
    }
    int code = api_list(cli, "/v1/sites", 0, &list);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return api_print_list(cli, &list);
    if (list.count == 0)
        cli_note(cli, "no site has joined yet; see lq join-token --help");
    else
        network_sites_print(cli, list.items, list.count);
    return EXIT_DONE;
}

const struct command COMMAND_SITES = {
    .name = "sites",
    .group = "Network",
    .summary = "sites with contact and capacity",
    .usage = "[SITE]",
    .details = "CONTACT is ok, waiting (since a restart of the server), "
               "lost, or never. RUNNING 3+1? means that one more\n"
               "attempt is of unknown state, because its site is silent.\n\n"
               "Examples:\n  lq sites\n  lq sites zhongwei --json",
    .positional_max = 1,
    .run = sites};

static const struct flag DRAIN_FLAGS[] = {
    {"resume", 0, FLAG_BOOL, NULL, "take work again"},
    {"reason", 0, FLAG_TEXT, "TEXT", "for the audit log"},
    {"destroyed", 0, FLAG_BOOL, NULL,
     "sign that nothing of the site runs any more; its work goes on elsewhere"}};

static int drain(struct cli *cli)
{
    const char *verb = cli_has(cli, "destroyed") ? "destroyed"
                       : cli_has(cli, "resume")  ? "resume"
                                                 : "drain";
    if (cli_has(cli, "destroyed") &&
        !cli_confirm(cli, "If anything of this site still runs, its jobs will run twice. Sign that "
                          "nothing does?"))
        return EXIT_FAILED;
    return site_order(cli, verb, "", verb);
}

const struct command COMMAND_DRAIN = {.name = "drain",
                                      .group = "Network",
                                      .summary = "take a site out, or back in",
                                      .usage = "SITE [flags]",
                                      .details =
                                          "Nothing new is sent to it; what runs there runs on.\n\n"
                                          "Examples:\n  lq drain zhongwei --reason \"new power "
                                          "supply\"\n  lq drain zhongwei --resume\n"
                                          "  lq drain zhongwei --destroyed --reason \"burnt down\"",
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
        return api_print(&reply);
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
                                           .details = "Example:\n  lq join-token zhongwei "
                                                      "--operator west-op --expires 2h",
                                           .flags = JOIN_TOKEN_FLAGS,
                                           .flag_count = sizeof(JOIN_TOKEN_FLAGS) /
                                                         sizeof(JOIN_TOKEN_FLAGS[0]),
                                           .positional_min = 1,
                                           .positional_max = 1,
                                           .run = join_token};
