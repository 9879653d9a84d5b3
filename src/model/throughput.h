/* How fast kinds of places do one workload, as measured: the sum of what programs reported, by
 * kind. A workload is a tenant's: nobody's reports tell of another's work. Jobs with the same
 * workload have the same number of nodes and cores.
 *
 * Invariants (throughput_check): kinds are unique, and sorted by runtime, devices, accelerator;
 * units and time are within THROUGHPUT_UNITS_MAX and twice THROUGHPUT_WINDOW. */
#ifndef LQ_MODEL_THROUGHPUT_H
#define LQ_MODEL_THROUGHPUT_H

#include "model/attempt.h"

enum {
    THROUGHPUT_KINDS_MAX = 32,
    THROUGHPUT_TRIES_MAX = 3, /* attempts without progress before a kind is no longer tried */
    WORKLOAD_NAME_MAX = JOB_NAME_MAX,
};
#define THROUGHPUT_UNITS_MAX (UINT64_C(1) << 60)
#define THROUGHPUT_WINDOW SPAN_S(3600) /* measured time after which what is older counts half */
#define THROUGHPUT_LEAST SPAN_S(1)     /* less says nothing */

struct throughput_kind {
    enum runtime runtime;
    uint32_t devices;         /* of a node */
    struct slice accelerator; /* model; empty: none */
    uint64_t units;
    struct span_ms over;
    uint32_t fruitless; /* attempts that ended without a word of progress, since one had any */
};

struct throughput {
    struct id workload;
    struct tenant_id tenant;
    struct slice name; /* as the jobs say it; empty: known by what the jobs run */
    uint32_t nodes, cpu_milli;
    const struct throughput_kind *kinds;
    uint32_t kind_count;
};

/* What jobs are compared by: of one tenant, with the same `workload` (or none, and the same
 * scripts, images and variables), nodes and cores. None: the job has one variant and names no
 * workload. Collisions would only mix up one tenant's own figures. */
struct id workload_of(struct tenant_id tenant, const struct job_spec *spec);

/* Millionths of a unit a second; 0: not measured. */
uint64_t throughput_rate(const struct throughput_kind *kind);
/* So much more was done in so much time. */
void throughput_add(struct throughput_kind *kind, uint64_t units, struct span_ms over);
int throughput_kind_compare(const struct throughput_kind *a, const struct throughput_kind *b);
enum err throughput_check(const struct throughput *throughput, struct fault *fault) LQ_CHECKED;

#endif
