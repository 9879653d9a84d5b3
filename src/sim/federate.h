/* The federation experiment (`lq sim federate`): the Philly trace, each of its clusters a site of
 * its own (siloed) against all of them as one network (pooled), both placed by the real engine.
 *
 * Set-up: 311 nodes of 8 devices (the size of the traced fleet), dealt out to the clusters in the
 * ratio of their work, each as many as its widest gang needs; arrivals pressed together until the
 * work is `load` of all devices over the span of the arrivals. A start away from home costs the
 * round trip. */
#ifndef LQ_SIM_FEDERATE_H
#define LQ_SIM_FEDERATE_H

#include "sim/rtt_table.h"
#include "sim/srpt.h"
#include "sim/workload.h"

enum { FEDERATE_NODES = 311, FEDERATE_NODE_DEVICES = 8, FEDERATE_SITES_MAX = 64 };

/* How the engine is told of run times. */
enum federate_knowledge {
    FEDERATE_KNOWN,     /* the run time */
    FEDERATE_ESTIMATED, /* the mean of those that ended before, of the same cluster and width */
    FEDERATE_BY_AGE,    /* nothing; jobs in order of age */
    FEDERATE_KNOWLEDGE_COUNT_
};

struct federate_options {
    uint32_t load_percent;
    uint32_t stretch; /* place/place_age.h; with known and estimated run times */
    size_t limit;     /* jobs of the trace; 0: all */
    void (*progress)(void *context, const char *what, double part);
    void *context;
};

struct federate_figures {
    double wait_mean_s, wait_p99_s, response_mean_s, utilisation;
    uint64_t events, never;
};
struct federate_run {
    struct federate_figures siloed, pooled;
};
struct federate_site {
    struct slice name, region;
    uint32_t nodes;
    uint64_t jobs;
    double load;
    double siloed_wait_mean_s, pooled_home_wait_mean_s; /* of jobs that come from it; known */
};
struct federate_result {
    struct federate_site *sites;
    uint32_t site_count;
    size_t jobs;
    uint32_t devices;
    double load, press;
    struct federate_run runs[FEDERATE_KNOWLEDGE_COUNT_];
    struct srpt_result srpt;
    uint64_t events;
};

/* `trace`: Philly's. ERR_INVALID with line and column, ERR_LIMIT, ERR_NO_MEMORY. */
enum err federate_run(struct slice trace, const struct rtt_table *rtt,
                      const struct federate_options *options, struct arena *arena,
                      struct federate_result *out, struct fault *fault) LQ_CHECKED;

const char *federate_knowledge_name(enum federate_knowledge knowledge);

#endif
