/* A whole network on this machine, from a topology file: one server and one agent a site, as child
 * processes. `lq up` and `lq demo` stand on it. Everything is below one state folder; a second
 * start on the same folder is the same network again. Only processes that it started itself, and
 * those that they started, are ever ended. */
#ifndef LQ_CLI_NETWORK_H
#define LQ_CLI_NETWORK_H

#include "cli/cli.h"

struct network;

struct network_options {
    const char *topology_path;
    const char *catalogue_path; /* NULL: none */
    const char
        *state_folder; /* NULL: a new folder below the system's temporary one, removed at the end */
    bool has_delay; /* a relay between each agent and the server, as slow as the topology's link */
    const char *server_site; /* the server stands beside this one; NULL: the first site of a region
                                that serves, else the first */
    bool is_kept;            /* a state folder of its own is not removed at the end */
};

/* Starts all, with progress, and waits until every site is in contact. On success cli's
 * configuration points at the server. EXIT_DONE or a told error, with nothing left running. */
int network_start(struct cli *cli, const struct network_options *options, struct network **out);
/* Ends everything in order, and frees. Accepts NULL. */
void network_stop(struct network *network);
const char *network_folder(const struct network *network);
/* kill -9 of the site's agent, relay, supervisors and programs. */
int network_kill_site(struct network *network, const char *site);
int network_restart_site(struct network *network, const char *site);
/* Lets time pass while watching over the children: EXIT_INTERRUPTED on SIGINT or SIGTERM,
 * EXIT_FAILED (told) when one that should run has ended, else EXIT_DONE after `span`. */
int network_wait(struct network *network, struct span_ms span);
/* Says where it is and how to use it. */
void network_describe(struct network *network);
/* network_wait until interrupted. */
int network_serve(struct network *network);

#endif
