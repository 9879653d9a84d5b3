/* What a cluster's settings mean for a site that lends its surplus: what holds, and the changes of
 * slurm.conf that it needs. The judging is pure; reading the cluster blocks, as slurm_site_nodes.
 */
#ifndef LQ_DRIVE_SLURM_CHECK_H
#define LQ_DRIVE_SLURM_CHECK_H

#include "drive/slurm.h"

enum { SLURM_FINDINGS_MAX = 64, SLURM_FINDING_MAX = 320 };

enum slurm_verdict {
    SLURM_GOOD,
    SLURM_ADVICE, /* works, with what the sentence says */
    SLURM_MUST    /* the site cannot lend, or keep its promise, before this is changed */
};

struct slurm_findings {
    uint32_t count;
    struct slurm_finding {
        enum slurm_verdict verdict;
        char text[SLURM_FINDING_MAX];
    } items[SLURM_FINDINGS_MAX];
};

/* `settings`: scontrol show config; `partitions`: scontrol --oneliner show partition. */
void slurm_check_settings(const struct slurm_config *config, struct slice settings,
                          struct slice partitions, struct slurm_findings *out);
/* Slurm itself takes work off the lent partitions. */
bool slurm_check_yields(const struct slurm_config *config, struct slice settings,
                        struct slice partitions);
/* Asks the cluster. ERR_NOT_FOUND (no commands), ERR_IO (it does not answer), ERR_NO_MEMORY. */
enum err slurm_check(const struct slurm_config *config, struct slurm_findings *out,
                     struct fault *fault) LQ_CHECKED;

#endif
