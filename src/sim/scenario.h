/* A scenario for `lq sim run` (docs/formats/scenario.md): which network, which workload, what
 * happens to it. A value in an arena; paths are as written and opened by the caller. */
#ifndef LQ_SIM_SCENARIO_H
#define LQ_SIM_SCENARIO_H

#include "sim/replay.h"
#include "sim/workload.h"
#include "wire/json.h"

enum {
    SCENARIO_CHANGES_MAX = 10000,
    SCENARIO_FAILURES_MAX = 1 << 20,
    SCENARIO_PATH_MAX = 1024,
};

enum scenario_knowledge {
    SCENARIO_KNOWN,
    SCENARIO_GUESS,
    SCENARIO_NONE,
    SCENARIO_KNOWLEDGE_COUNT_
};

struct scenario_change {
    struct slice site;
    struct replay_change change; /* site: not yet */
};

struct scenario {
    struct slice name, topology, catalogue; /* catalogue: may be empty */
    struct slice trace;
    enum trace_format format;
    size_t limit;
    double press;          /* arrivals at this part of their times */
    uint32_t load_percent; /* press them to this load instead; 0: no */
    enum scenario_knowledge knowledge;
    uint32_t node_devices, cpu_milli_per_device;
    uint32_t devices_as_cpus; /* a traced device is this many cores; 0: it is a device */
    enum runtime runtime;
    uint32_t stretch;
    struct wall_us start;
    struct span_ms bucket, end;  /* 0: chosen; until all have ended */
    struct slice prices, carbon; /* hourly tables; may be empty */
    struct scenario_change *changes;
    uint32_t change_count;
    struct span_ms fails_every, repair; /* each site, at random; 0: never */
    uint64_t seed;
};

/* ERR_INVALID, ERR_LIMIT with field, line and column; ERR_NO_MEMORY. */
enum err scenario_decode(struct json_value value, struct arena *arena, struct scenario *out,
                         struct fault *fault) LQ_CHECKED;

struct scenario_texts {
    struct slice trace, prices, carbon; /* empty: none */
};

/* Runs it. The jobs and all results live in `arena`. What the trace has and the network could never
 * run is counted by *out_misfits and left out. */
enum err scenario_run(const struct scenario *scenario, const struct topology *topology,
                      const struct scenario_texts *texts,
                      void (*progress)(void *context, const char *what, double part), void *context,
                      struct arena *arena, struct replay_result *out, uint64_t *out_misfits,
                      struct fault *fault) LQ_CHECKED;

#endif
