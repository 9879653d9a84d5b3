/* Every command; CLI_COMMANDS in commands.c puts them in the order of `lq help`. A command with no
 * flags that takes CLI_POSITIONAL_MAX arguments parses cli->argv itself. */
#ifndef LQ_CLI_COMMANDS_H
#define LQ_CLI_COMMANDS_H

#include "cli/cli.h"

#ifndef LQ_VERSION
#define LQ_VERSION "0.1.0"
#endif

extern const struct command COMMAND_SERVER, COMMAND_SUPERVISE, COMMAND_SIM_FAULTS, COMMAND_LOGIN,
    COMMAND_SUBMIT, COMMAND_JOBS, COMMAND_SHOW, COMMAND_LOGS, COMMAND_EXPLAIN, COMMAND_CANCEL,
    COMMAND_RETRY, COMMAND_SITES, COMMAND_DRAIN, COMMAND_JOIN_TOKEN, COMMAND_AGENT;

#endif
