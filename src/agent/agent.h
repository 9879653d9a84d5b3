/* The agent's shell: one process a site. It joins the server once, then runs core/agent.h on a loop
 * beside the site's engine, ships output, checkpoints and results, and goes on working when the
 * server is away.
 *
 * The state folder holds journal.db, agent.pem, agent.key, ca.pem, site.json, cache/ (content), and
 * attempts/<attempt name>/rank-N/ (docs/formats/agent.md); at a Slurm site attempts/ is in the
 * folder that the nodes share. One process has it at a time (agent.lock), where it was made
 * (agent/home.h). */
#ifndef LQ_AGENT_AGENT_H
#define LQ_AGENT_AGENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/agent.h"
#include "drive/slurm.h"
#include "model/catalogue.h"
#include "model/site.h"

struct agent_options {
    const char *state_folder; /* made with mode 0700 when missing */
    const char *server;       /* "host:7700"; NULL: the one it joined */
    /* "lqj_....<64 hex>" of POST /v1/join-tokens; needed the first time only, used while the state
     * folder has no certificate; NULL later. */
    const char *join_token;
    /* What the site says of itself when it joins, and from then on the standing text of site.json:
     * name, title, region, operator_name, tier, jurisdiction, asks, nodes. `id`, `state` and
     * `engine` are filled in. node_count 0: one node, this machine as found. On later starts the
     * fields may be empty: site.json holds them. */
    struct site site;
    /* accelerators.csv, to give discovered devices their canonical names; NULL: vendors' names. */
    const char *catalogue_path;
    /* argv of a supervisor without its flags, NULL-terminated; NULL: this program, "supervise". */
    const char *const *supervise_argv;
    const char *program; /* path of `lq`, which is asked for OpenCL devices; NULL: they are not */
    const struct slurm_config *slurm; /* NULL: a host site; else the site's Slurm cluster */
    struct surplus surplus;           /* the contract under which a host site lends */
    bool ignores_foreign_load; /* capacity is what the nodes declare (several sites, one machine) */
    bool has_host_network;     /* programs share the host's network */
    struct text_list read_only_paths; /* further host folders that programs see, read-only */
    bool is_moved;                    /* the operator's word that the folder's former place is
                                         gone and runs nothing; agent/home.h */
    bool is_draining;                 /* take nothing new from the start; a file named "drain" in
                                         the state folder says the same while the agent runs */
    uint64_t cache_bytes_max;         /* content kept for work folders; 0: 4 GiB */
    struct span_ms capacity_every;    /* between measurements; 0: 5 s, or 2 s where an owner's
                                         load is watched */
    struct agent_settings settings;   /* version is filled in when empty */
    int ready_fd;                     /* one line "ready SITE_ID\n" once the journal is loaded and
                                         the driver stands; -1: nowhere */
};

/* Sound settings, ready_fd -1, no site. */
void agent_options_default(struct agent_options *out);
/* Joins if need be (waiting for the server with back-off, but not for one that refuses), then runs
 * until SIGTERM or SIGINT; attempts run on, and the next start takes them over. Tells what happens
 * on stderr. ERR_OK after a clean end; ERR_BUSY (another agent has the folder), ERR_DENIED (the
 * token or the server's key is not accepted, the folder is a copy, or the site goes on from a newer
 * journal elsewhere), ERR_INVALID, ERR_IO, ... with the fault. */
enum err agent_run(const struct agent_options *options, struct fault *fault) LQ_CHECKED;

/* For flags. "a100-0:cpus=64,mem=512GiB,accelerators=A100 80GB SXM*8,scratch=1TiB": a node's name
 * and what it has; cpus and mem are required. The runtime comes from the catalogue, or from
 * "runtime=cuda". Texts go to `arena`; ERR_INVALID with the fault; ERR_NO_MEMORY. */
enum err agent_node_parse(struct slice text, const struct catalogue *catalogue, struct arena *arena,
                          struct site_node *out, struct fault *fault) LQ_CHECKED;
/* "A100 80GB SXM=12.50" (one device, one hour) or "cpu=0.05" (one core, one hour): *out_is_cpu. */
enum err agent_ask_parse(struct slice text, const struct catalogue *catalogue, struct arena *arena,
                         struct site_ask *out, bool *out_is_cpu, struct fault *fault) LQ_CHECKED;

#endif
