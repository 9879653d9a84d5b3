/* The Slurm driver: attempts as batch jobs of a cluster, by Slurm's own commands, 22.05 and newer.
 * No database daemon is needed.
 *
 * A job's name is the attempt's, its comment the number of the launch, and the batch script the
 * same few lines for every attempt: nothing that a user wrote gets near a command line of Slurm's.
 * The supervisors that it starts find their rank's folder on a file system that the agent and the
 * nodes share, and speak to the agent over the cluster's network (wire/gate_seal.h).
 *
 * What lives is Slurm's own word: a job that is not in an end state may run. When slurmctld does
 * not answer, nothing is known (UNSURE), whatever else is.
 *
 * Jobs ask for the very nodes that placement chose, since it saw them idle; a job that does not
 * start there waits, and the server takes it back. They are never requeued: what Slurm starts again
 * all the same exits at once. */
#ifndef LQ_DRIVE_SLURM_H
#define LQ_DRIVE_SLURM_H

#include "drive/driver.h"
#include "drive/slurm_doc.h"
#include "model/catalogue.h"
#include "model/surplus.h"

enum {
    SLURM_CONFIG_PARTITIONS_MAX = 16,
    SLURM_CONFIG_GRES_MAX = 32,
    SLURM_CONFIG_TENANTS_MAX = 1024,
};

/* docs/formats/slurm.md; slices end in NUL. */
struct slurm_config {
    struct slice conf;      /* slurm.conf; empty: Slurm's own choice */
    struct slice bin;       /* folder of Slurm's commands; empty: the usual ones */
    struct slice work;      /* shared folder, the same path here and on the nodes */
    struct slice supervise; /* lq-supervise, its path on the nodes */
    struct slice gate;      /* "10.0.0.5:7711": numbers */
    struct text_list partitions;
    struct slice account, qos, constraint; /* empty: none is named */
    struct slice run_as;             /* local account of every tenant; empty: the agent's own */
    const struct text_pair *tenants; /* tenant's id, local account; others are refused */
    uint32_t tenant_count;
    const struct text_pair *gres; /* "gpu:a100", the catalogue's model */
    uint32_t gres_count;
    struct surplus surplus;
};

/* YAML. ERR_INVALID with line and column, ERR_LIMIT, ERR_NO_MEMORY. */
enum err slurm_config_decode(struct slice text, struct arena *arena, struct slurm_config *out,
                             struct fault *fault) LQ_CHECKED;

/* What the cluster has in the configured partitions, as nodes of a site. Blocking (tens of
 * milliseconds, SLURM_CALL_LIMIT when slurmctld is away). `catalogue` may be NULL. ERR_NOT_FOUND
 * (no Slurm here, or no node), ERR_IO (it does not answer), ERR_INVALID, ERR_NO_MEMORY. */
enum err slurm_site_nodes(const struct slurm_config *config, const struct catalogue *catalogue,
                          struct arena *arena, const struct site_node **out_nodes,
                          uint32_t *out_count, struct fault *fault) LQ_CHECKED;

struct slurm_settings {
    const struct slurm_config *config; /* borrowed for the driver's life */
    const char *site_name;             /* LQ_SITE */
    const struct site_node *nodes;     /* borrowed as well */
    uint32_t node_count;
    struct span_ms gate_limit; /* 0: HOST_GATE_LIMIT */
};

/* Asks the cluster for its settings: blocking, as slurm_site_nodes. A cluster that does not answer
 * now is no error. ERR_NOT_FOUND (no commands), ERR_INVALID, ERR_DENIED (the account does not
 * exist), ERR_NO_MEMORY, ERR_LIMIT. */
enum err slurm_driver_create(struct loop *loop, const struct slurm_settings *settings,
                             const struct driver_events *events, void *context, struct fault *fault,
                             struct driver **out_driver) LQ_CHECKED;

#endif
