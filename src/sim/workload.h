/* A trace made into jobs of a replay: sites found by name, gangs cut into nodes, arrivals pressed
 * together to a wanted load. */
#ifndef LQ_SIM_WORKLOAD_H
#define LQ_SIM_WORKLOAD_H

#include "sim/replay.h"
#include "sim/trace.h"

struct workload {
    struct trace_job *traced; /* by arrival, then line; arrival_ms from 0 on */
    size_t count;
    uint64_t passed_over; /* of the trace: never ran */
};

/* All jobs of the trace, at most `limit` (0: all), in order of arrival, the first at ms 0.
 * ERR_INVALID: a broken line (the fault has line and column), no jobs; ERR_LIMIT, ERR_NO_MEMORY. */
enum err workload_read(enum trace_format format, struct slice text, size_t limit,
                       struct arena *arena, struct workload *out, struct fault *fault) LQ_CHECKED;

/* The clusters that the trace names, in order of name. */
struct workload_home {
    struct slice name;
    size_t jobs;
    double device_ms; /* work */
    uint32_t devices_widest;
};
enum err workload_homes(const struct workload *workload, struct arena *arena,
                        struct workload_home **out, uint32_t *out_count) LQ_CHECKED;

/* Work of all jobs, devices x run time. */
double workload_device_ms(const struct workload *workload);

/* Each arrival at numerator/denominator of its time. */
void workload_press(struct workload *workload, double factor);

/* Nodes of `node_devices` and `cpu_milli` of a device each; 12 devices on nodes of 8 are 2 x 6.
 * ERR_LIMIT: it cannot be cut evenly within JOB_NODES_MAX. */
enum err workload_cut(const struct trace_job *traced, uint32_t node_devices,
                      uint32_t cpu_milli_per_device, struct replay_job *out) LQ_CHECKED;

#endif
