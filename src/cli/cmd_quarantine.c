/* Nodes and sites that take nothing new: seen with `lq sites`, set and lifted here. */
#include <stdio.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/view.h"

static const struct flag QUARANTINE_FLAGS[] = {
    {"node", 0, FLAG_TEXT, "NAME", "this node alone; default: the whole site"},
    {"reason", 0, FLAG_TEXT, "TEXT", "for the audit log"}};

int site_order(struct cli *cli, const char *verb, const char *node, const char *done)
{
    struct buffer body;
    struct json_writer writer;
    struct api_reply reply;
    buffer_init(&body, 4096);
    json_writer_init(&writer, &body);
    json_begin_object(&writer);
    if (*node != '\0')
        json_put_text(&writer, "node", node);
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
        return api_print(&reply);
    if (code == EXIT_DONE)
        printf("%s%s%s: %s\n", cli->positional[0], *node != '\0' ? "/" : "", node, done);
    return code;
}

static int quarantine(struct cli *cli)
{
    return site_order(cli, "quarantine", cli_text(cli, "node", ""), "takes nothing new");
}

static int release(struct cli *cli)
{
    return site_order(cli, "release", cli_text(cli, "node", ""), "out of quarantine");
}

const struct command COMMAND_SITE_QUARANTINE = {
    .name = "site quarantine",
    .group = "Network",
    .summary = "give a node or a site nothing new until it is released",
    .usage = "SITE [flags]",
    .details = "What runs there runs on. The server does the same by itself on evidence, and then "
               "probes before it lets the node back; what you set, only you lift.\n\n"
               "Examples:\n  lq site quarantine zhongwei --node n7 --reason \"fan\"\n"
               "  lq sites                     # who is in quarantine, and why",
    .flags = QUARANTINE_FLAGS,
    .flag_count = sizeof(QUARANTINE_FLAGS) / sizeof(QUARANTINE_FLAGS[0]),
    .positional_min = 1,
    .positional_max = 1,
    .run = quarantine};

const struct command COMMAND_SITE_RELEASE = {
    .name = "site release",
    .group = "Network",
    .summary = "let a node or a site out of quarantine",
    .usage = "SITE [flags]",
    .details = "Example:\n  lq site release zhongwei --node n7",
    .flags = QUARANTINE_FLAGS,
    .flag_count = sizeof(QUARANTINE_FLAGS) / sizeof(QUARANTINE_FLAGS[0]),
    .positional_min = 1,
    .positional_max = 1,
    .run = release};
