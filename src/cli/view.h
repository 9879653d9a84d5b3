/* What more than one command prints or does. */
#ifndef LQ_CLI_VIEW_H
#define LQ_CLI_VIEW_H

#include "cli/api.h"

void network_sites_print(struct cli *cli, const struct json_value *sites, size_t count);
/* POST /v1/sites/SITE:`verb` for the first argument, with --reason; `node` may be "". Prints
 * `done`; an exit code. */
int site_order(struct cli *cli, const char *verb, const char *node, const char *done);

#endif
