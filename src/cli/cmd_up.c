/* lq up: a whole network on this machine. */
#include "cli/commands.h"
#include "cli/network.h"

static const struct flag UP_FLAGS[] = {
    {"state", 's', FLAG_TEXT, "FOLDER",
     "keep everything here; default: a new folder below the system's temporary one"},
    {"delay", 'd', FLAG_BOOL, NULL, "emulate the links' round trips between sites and server"},
    {"beside", 0, FLAG_TEXT, "SITE",
     "the server stands there; default: the first site of a region that serves"},
    {"catalogue", 0, FLAG_TEXT, "FILE", "accelerator catalogue (data/domain/accelerators.csv)"},
    {"keep", 'k', FLAG_BOOL, NULL, "do not remove a temporary folder at the end"},
};

static int up(struct cli *cli)
{
    struct network *network;
    const struct network_options options = {.topology_path = cli->positional[0],
                                            .catalogue_path = cli_text(cli, "catalogue", NULL),
                                            .state_folder = cli_text(cli, "state", NULL),
                                            .has_delay = cli_has(cli, "delay"),
                                            .server_site = cli_text(cli, "beside", NULL),
                                            .is_kept = cli_has(cli, "keep")};
    int code = network_start(cli, &options, &network);
    if (code != EXIT_DONE)
        return code;
    network_describe(network);
    cli_note(cli, "Ctrl-C stops it");
    code = network_serve(network);
    network_stop(network);
    return code == EXIT_INTERRUPTED ? EXIT_DONE : code; /* that is how it ends */
}

const struct command COMMAND_UP = {
    .name = "up",
    .group = "Running a network",
    .summary = "a whole network on this machine, from a topology file",
    .usage = "TOPOLOGY.yaml [flags]",
    .details =
        "One server and one agent a site, as child processes. A second start on the same "
        "--state FOLDER is the same network\nagain. At the end work that still runs is ended "
        "with the sites.\n\n"
        "Examples:\n  lq up data/topology/demo.yaml\n"
        "  lq up data/topology/demo.yaml --state ~/lingqu --delay",
    .flags = UP_FLAGS,
    .flag_count = sizeof(UP_FLAGS) / sizeof(UP_FLAGS[0]),
    .positional_min = 1,
    .positional_max = 1,
    .run = up};
