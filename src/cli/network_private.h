/* What network.c (processes) and network_fill.c (documents) share. */
#ifndef LQ_CLI_NETWORK_PRIVATE_H
#define LQ_CLI_NETWORK_PRIVATE_H

#include "cli/api.h"
#include "cli/daemon.h"
#include "cli/network.h"
#include "model/topology.h"
#include "port/file.h"

enum { NETWORK_SITES_MAX = 64, NETWORK_PROCESSES_MAX = 65536 };

struct network_site {
    const struct site *value;
    const char *name;   /* NUL-terminated */
    const char *folder; /* the agent's state */
    int64_t rtt_us;     /* to the server; 0: beside it */
    struct daemon agent, relay;
};

struct network {
    struct cli *cli;
    struct network_options options;
    struct arena arena;
    struct topology topology;
    struct slice topology_text;
    const char *folder;
    struct file_lock lock;
    struct daemon server;
    struct network_site sites[NETWORK_SITES_MAX];
    uint32_t site_count;
    const struct site *beside; /* where the server stands */
    bool owns_folder, has_lock, is_first, is_interrupted, is_waiting;
};

/* network_fill.c: through the API, from the topology. EXIT_DONE or a told error. */
int network_put_regions(struct network *network);
int network_put_tenants(struct network *network);
int network_put_policy(struct network *network);
int network_put_links(struct network *network); /* after the sites have joined */
/* A join token for the site in the file `path`, mode 0600. */
int network_write_join_token(struct network *network, const struct network_site *site,
                             const char *path);
/* The site as `lq agent --site-file` takes it. */
int network_write_site(struct network *network, const struct network_site *site, const char *path);

#endif
