/* Tables that more than one command prints. */
#ifndef LQ_CLI_VIEW_H
#define LQ_CLI_VIEW_H

#include "cli/api.h"

void network_sites_print(struct cli *cli, const struct json_value *sites, size_t count);

#endif
