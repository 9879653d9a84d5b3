/* Shortest remaining work first on one big machine: what pooling could do at best were jobs free to
 * stop, go on and spread at no cost. A yardstick for waiting: it knows every run time, forgets
 * sites, nodes and round trips, and runs a job on any part of its devices. For jobs one device wide
 * on one device it is the optimum (Schrage 1968); with many devices it is a yardstick, not a proven
 * bound. */
#ifndef LQ_SIM_SRPT_H
#define LQ_SIM_SRPT_H

#include "sim/replay.h"

struct srpt_result {
    double wait_mean_ms, wait_p99_ms; /* response less run time: preempted time counts as waiting */
    double response_mean_ms;
};

/* `jobs` by arrival; devices of all nodes count. ERR_NO_MEMORY. */
enum err srpt_run(const struct replay_job *jobs, size_t count, uint64_t devices,
                  struct srpt_result *out) LQ_CHECKED;

#endif
