/* lq server, lq supervise, lq sim faults: programs in their own right, wired here. */
#include <string.h>

#include "cli/commands.h"
#include "server/server.h"
#include "sim/faults.h"
#include "supervise/supervise.h"

static const struct flag SERVER_FLAGS[] = {
    {"state", 's', FLAG_TEXT, "FOLDER",
     "where the database, keys, content and logs are kept (required)"},
    {"listen", 'l', FLAG_TEXT, "HOST:PORT",
     "address to listen on; default 127.0.0.1:7700, port 0: any free one"},
    {"name", 0, FLAG_LIST, "NAME",
     "DNS name or address for the certificate, besides localhost; repeat"},
    {"jurisdiction", 0, FLAG_TEXT, "CODE", "where the content kept here is, in law; default CN"},
    {"catalogue", 0, FLAG_TEXT, "FILE", "accelerator catalogue (data/domain/accelerators.csv)"},
    {"restored", 0, FLAG_BOOL, NULL,
     "the database is an older copy: raise the epoch and reconcile with every site"},
    {"lease-floor", 0, FLAG_SPAN, "TIME", "shortest lease that a job may ask for; default 15m"},
    {"kill-time", 0, FLAG_SPAN, "TIME", "longest that a kill takes at a site; default 10s"},
    {"lost-after", 0, FLAG_SPAN, "TIME", "silence after which a site counts as lost; default 1m"},
    {"start-limit", 0, FLAG_SPAN, "TIME",
     "an offered attempt not running by then is taken back; default 2m"},
    {"usage-every", 0, FLAG_SPAN, "TIME", "how often running work is metered; default 1m"},
    {"sweep-first", 0, FLAG_SPAN, "TIME",
     "first sweep of unused content and old logs after the start; default 1m, then every hour"},
    {"ready-fd", 0, FLAG_NUMBER, "FD", "write \"ready HOST:PORT\" to this descriptor"},
};

static void span_take(const struct cli *cli, const char *name, struct span_ms *out)
{
    const struct flag_value *value = cli_flag(cli, name);
    if (value->is_set)
        *out = value->span;
}

static int server_command(struct cli *cli)
{
    struct server_options options;
    struct fault fault = {0};
    server_options_default(&options);
    options.state_folder = cli_text(cli, "state", NULL);
    if (options.state_folder == NULL)
        return cli_fail(cli, EXIT_USAGE, "say where to keep the state: --state FOLDER");
    options.listen = cli_text(cli, "listen", options.listen);
    options.jurisdiction = cli_text(cli, "jurisdiction", options.jurisdiction);
    options.catalogue_path = cli_text(cli, "catalogue", NULL);
    options.is_restored = cli_has(cli, "restored");
    options.ready_fd = cli_has(cli, "ready-fd") ? (int)cli_number(cli, "ready-fd", 0) : -1;
    const struct flag_value *names = cli_flag(cli, "name");
    if (names->list_count > SERVER_NAMES_MAX)
        return cli_fail(cli, EXIT_USAGE, "at most %d names", SERVER_NAMES_MAX);
    for (uint32_t i = 0; i < names->list_count; i++)
        options.names[options.name_count++] = names->list[i];
    span_take(cli, "lease-floor", &options.settings.lease_floor);
    span_take(cli, "kill-time", &options.settings.kill_time);
    span_take(cli, "lost-after", &options.settings.site_lost_after);
    span_take(cli, "start-limit", &options.settings.start_limit);
    span_take(cli, "usage-every", &options.settings.usage_every);
    struct span_ms sweep_first = {0};
    span_take(cli, "sweep-first", &sweep_first);
    options.gc_first_s = (sweep_first.ms + 999) / 1000;
    enum err err = server_run(&options, &fault);
    if (err == ERR_OK)
        return EXIT_DONE;
    if (fault.code == ERR_OK)
        fault.code = err;
    return cli_fail_fault(cli, EXIT_FAILED, "server", &fault);
}

const struct command COMMAND_SERVER = {
    .name = "server",
    .group = "Running a network",
    .summary = "the control plane",
    .usage = "--state FOLDER [flags]",
    .details = "At the first start it makes its own certificate authority, a root tenant, and an "
               "administrator whose token is\n"
               "written to FOLDER/admin.token. Then: lq login HOST:PORT --ca FOLDER/ca.pem "
               "--token-file FOLDER/admin.token\n\n"
               "Example:\n  lq server --state /var/lib/lingqu --listen 0.0.0.0:7700 --name "
               "lq.example.org",
    .flags = SERVER_FLAGS,
    .flag_count = sizeof(SERVER_FLAGS) / sizeof(SERVER_FLAGS[0]),
    .run = server_command};

static int supervise_command(struct cli *cli)
{
    return supervise_main(cli->argc + 1, cli->argv - 1); /* argv[0] is the command's name */
}

const struct command COMMAND_SUPERVISE = {
    .name = "supervise",
    .group = "Running a network",
    .summary = "parent of one rank of an attempt; started by the agent",
    .usage = "--dir FOLDER [--launch NUMBER]",
    .details = "Example:\n  lq supervise --dir /var/lib/lingqu-agent/attempts/NAME/rank-0",
    .positional_max = CLI_POSITIONAL_MAX,
    .run = supervise_command};

static int sim_faults_command(struct cli *cli)
{
    return sim_faults_main(cli->argc, cli->argv);
}

const struct command COMMAND_SIM_FAULTS = {
    .name = "sim faults",
    .group = "Simulation and measurement",
    .summary = "run the real protocol code in a world of faults",
    .usage = "[--seeds N] [--first-seed S] [--seed S] [--plant NAME] [--json]",
    .details =
        "Examples:\n  lq sim faults --seeds 1000 --first-seed 1 --json\n  lq sim faults --seed 42",
    .positional_max = CLI_POSITIONAL_MAX,
    .run = sim_faults_command};
