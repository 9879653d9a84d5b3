#include "sim/federate.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum { CPU_MILLI_PER_DEVICE = 1000, DAY_S = 86400 };

/* Where the clusters are put: the traced ones were all in one country, so are these. */
static const char *const REGIONS[] = {"East US",          "East US 2",        "Central US",
                                      "North Central US", "South Central US", "West US",
                                      "West US 2",        "West US 3",        "West Central US",
                                      "Canada Central",   "Canada East",      "Mexico Central"};
enum { REGION_COUNT = sizeof(REGIONS) / sizeof(REGIONS[0]) };

static const char *const KNOWLEDGE_NAMES[FEDERATE_KNOWLEDGE_COUNT_] = {
    [FEDERATE_KNOWN] = "known", [FEDERATE_ESTIMATED] = "estimated", [FEDERATE_BY_AGE] = "by_age"};

const char *federate_knowledge_name(enum federate_knowledge knowledge)
{
    ASSERT((unsigned)knowledge < FEDERATE_KNOWLEDGE_COUNT_);
    return KNOWLEDGE_NAMES[knowledge];
}

struct federation {
    const struct federate_options *options;
    struct arena *arena;
    struct workload workload;
    struct workload_home *homes;
    uint32_t home_count;
    struct site *sites; /* beside homes */
    struct topology topology;
    struct topology_tenant tenant;
    const struct rtt_table *rtt;
    int rows[FEDERATE_SITES_MAX]; /* of the table, by site */
    struct replay_job *jobs;      /* all */
    size_t job_count;
    /* What has ended, by home and width (a power of two), for estimates. */
    struct past {
        double total_ms;
        uint32_t count;
    } past[FEDERATE_SITES_MAX][32];
    struct replay_job *running; /* those of the run that goes on */
    enum federate_knowledge knowledge;
    const char *what;
    size_t done; /* jobs of the runs before this one */
    double *waits;
};

/* ---- the network */

/* Whole nodes in the ratio of the work, at least what the widest gang needs. */
static uint32_t deal(struct federation *fed, uint32_t *out_nodes)
{
    double work = workload_device_ms(&fed->workload);
    uint32_t total = 0;
    for (uint32_t i = 0; i < fed->home_count; i++) {
        const struct workload_home *home = &fed->homes[i];
        uint32_t widest =
            (home->devices_widest + FEDERATE_NODE_DEVICES - 1) / FEDERATE_NODE_DEVICES;
        double part = home->device_ms / work * FEDERATE_NODES;
        uint32_t nodes = (uint32_t)part + (part > (double)(uint32_t)part);
        out_nodes[i] = nodes > widest ? nodes : widest;
        total += out_nodes[i];
    }
    return total;
}

static enum err network_make(struct federation *fed, struct federate_result *out,
                             struct fault *fault)
{
    uint32_t nodes[FEDERATE_SITES_MAX];
    if (fed->home_count > FEDERATE_SITES_MAX)
        return fault_set(fault, ERR_LIMIT, NULL, "more than %d clusters", FEDERATE_SITES_MAX);
    uint32_t total = deal(fed, nodes);
    out->devices = total * FEDERATE_NODE_DEVICES;
    fed->sites = arena_array(fed->arena, fed->home_count, sizeof(*fed->sites));
    struct site_node *shapes = arena_array(fed->arena, total, sizeof(*shapes));
    out->sites = arena_array(fed->arena, fed->home_count, sizeof(*out->sites));
    if (fed->sites == NULL || shapes == NULL || out->sites == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < total; i++)
        shapes[i] = (struct site_node){.name = SLICE_LITERAL("n"),
                                       .cpu_milli = FEDERATE_NODE_DEVICES * CPU_MILLI_PER_DEVICE,
                                       .mem_bytes = UINT64_C(1) << 36,
                                       .accelerator = SLICE_LITERAL("GPU"),
                                       .runtime = RUNTIME_CUDA,
                                       .accelerator_count = FEDERATE_NODE_DEVICES};
    for (uint32_t i = 0; i < fed->home_count; i++) {
        fed->sites[i] =
            (struct site){.name = fed->homes[i].name,
                          .state = SITE_ACTIVE,
                          .ask_per_accelerator_hour = MAYBE_MONEY((struct money){1000000}),
                          .ask_includes_energy = true,
                          .nodes = shapes,
                          .node_count = nodes[i]};
        shapes += nodes[i];
        fed->rows[i] = rtt_table_find(fed->rtt, REGIONS[i % REGION_COUNT]);
        if (fed->rows[i] < 0)
            return fault_set(fault, ERR_INVALID, NULL, "the round trips lack the region %s",
                             REGIONS[i % REGION_COUNT]);
        out->sites[i] = (struct federate_site){.name = fed->homes[i].name,
                                               .region = slice_of(REGIONS[i % REGION_COUNT]),
                                               .nodes = nodes[i],
                                               .jobs = fed->homes[i].jobs};
    }
    fed->tenant = (struct topology_tenant){.tenant = {.name = SLICE_LITERAL("all"), .weight = 1}};
    fed->topology = (struct topology){.sites = fed->sites,
                                      .site_count = fed->home_count,
                                      .tenants = &fed->tenant,
                                      .tenant_count = 1};
    policy_default(&fed->topology.policy);
    out->site_count = fed->home_count;
    return ERR_OK;
}

static uint32_t home_find(const struct federation *fed, struct slice name)
{
    uint32_t low = 0, high = fed->home_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (slice_compare(fed->homes[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    ASSERT(low < fed->home_count);
    return low;
}

static enum err jobs_make(struct federation *fed, struct federate_result *out, struct fault *fault)
{
    struct workload *workload = &fed->workload;
    double span = (double)workload->traced[workload->count - 1].arrival_ms;
    double work = workload_device_ms(workload);
    if (span <= 0)
        return fault_set(fault, ERR_INVALID, NULL, "all jobs arrive at once");
    out->press = work / ((double)fed->options->load_percent / 100 * out->devices) / span;
    workload_press(workload, out->press);
    span *= out->press;
    out->load = work / out->devices / span;
    for (uint32_t i = 0; i < fed->home_count; i++)
        out->sites[i].load = fed->homes[i].device_ms /
                             ((double)fed->sites[i].node_count * FEDERATE_NODE_DEVICES * span);
    fed->jobs = arena_array(fed->arena, workload->count, sizeof(*fed->jobs));
    fed->waits = arena_array(fed->arena, workload->count, sizeof(*fed->waits));
    if (fed->jobs == NULL || fed->waits == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < workload->count; i++) {
        const struct trace_job *traced = &workload->traced[i];
        enum err err =
            workload_cut(traced, FEDERATE_NODE_DEVICES, CPU_MILLI_PER_DEVICE, &fed->jobs[i]);
        if (err != ERR_OK) {
            if (fault != NULL)
                fault->line = traced->line;
            return fault_set(fault, err, NULL, "%u devices cannot be cut into nodes",
                             traced->devices);
        }
        fed->jobs[i].home = home_find(fed, traced->home);
    }
    fed->job_count = out->jobs = workload->count;
    return ERR_OK;
}

/* ---- what the engine is told */

/* Up to the next of 16 steps an octave: jobs that are nearly alike are alike to the engine. */
static int64_t rounded_up(int64_t ms)
{
    int64_t step = 1;
    while (ms / step >= 32)
        step *= 2;
    return (ms + step - 1) / step * step;
}

static uint32_t width_class(const struct replay_job *job)
{
    uint32_t width = job->devices * job->nodes, class = 0;
    while (width > 1) {
        width /= 2;
        class ++;
    }
    return class;
}

static bool on_release(void *context, uint32_t index, int64_t now_ms)
{
    struct federation *fed = context;
    struct replay_job *job = &fed->running[index];
    (void)now_ms;
    if (fed->knowledge == FEDERATE_ESTIMATED) {
        const struct past *past = &fed->past[job->home][width_class(job)];
        job->expected_ms =
            rounded_up(past->count > 0 ? (int64_t)(past->total_ms / past->count) : 3600000);
    }
    return true;
}

static void on_end(void *context, uint32_t index, int64_t now_ms)
{
    struct federation *fed = context;
    const struct replay_job *job = &fed->running[index];
    struct past *past = &fed->past[job->home][width_class(job)];
    past->total_ms += (double)(now_ms - job->start_ms);
    past->count++;
}

static void on_progress(void *context, int64_t now_ms, size_t ended)
{
    struct federation *fed = context;
    (void)now_ms;
    if (fed->options->progress != NULL)
        fed->options->progress(fed->options->context, fed->what,
                               (double)(fed->done + ended) /
                                   (double)(fed->job_count * 2 * FEDERATE_KNOWLEDGE_COUNT_));
}

static void jobs_tell(struct replay_job *jobs, size_t count, enum federate_knowledge knowledge)
{
    for (size_t i = 0; i < count; i++) {
        bool is_known = knowledge == FEDERATE_KNOWN;
        jobs[i].expected_ms = is_known ? rounded_up(jobs[i].duration_ms) : 0;
        jobs[i].limit_ms = is_known ? jobs[i].expected_ms : 60 * (int64_t)DAY_S * 1000;
    }
}

/* ---- the runs */

static enum err one_run(struct federation *fed, const struct topology *topology,
                        struct replay_job *jobs, size_t count, struct replay_result *out,
                        struct fault *fault)
{
    struct replay_setup setup = {.topology = topology,
                                 .start = {INT64_C(1504483200000000)},
                                 .jobs = jobs,
                                 .job_count = count,
                                 .stretch =
                                     fed->knowledge == FEDERATE_BY_AGE ? 0 : fed->options->stretch,
                                 .runtime = RUNTIME_CUDA,
                                 .context = fed,
                                 .release = on_release,
                                 .ended = on_end,
                                 .progress = on_progress};
    fed->running = jobs;
    jobs_tell(jobs, count, fed->knowledge);
    enum err err = replay_run(&setup, fed->arena, out, fault);
    fed->done += count;
    return err;
}

/* Mean and p99 of `waits`, which are sorted by it. */
static void figures_fill(struct federate_figures *figures, double *waits, size_t count)
{
    double total = 0;
    for (size_t i = 0; i < count; i++)
        total += waits[i];
    figures->wait_mean_s = count > 0 ? total / (double)count / 1000 : 0;
    figures->wait_p99_s = replay_quantile(waits, count, 0.99) / 1000;
}

static enum err pooled_run(struct federation *fed, struct federate_figures *out,
                           struct federate_result *result, struct fault *fault)
{
    struct replay_result ran;
    fed->what = "pooled";
    enum err err = one_run(fed, &fed->topology, fed->jobs, fed->job_count, &ran, fault);
    if (err != ERR_OK)
        return err;
    size_t count = 0;
    double trips_ms = 0;
    for (size_t i = 0; i < fed->job_count; i++) {
        const struct replay_job *job = &fed->jobs[i];
        if (job->site == REPLAY_NONE)
            continue;
        double trip_ms = 0;
        if (job->site != job->home)
            trip_ms = fed->rtt->us[fed->rows[job->home]][fed->rows[job->site]] / 1000.0;
        trips_ms += trip_ms;
        fed->waits[count] = (double)(job->start_ms - job->arrival_ms) + trip_ms;
        if (fed->knowledge == FEDERATE_KNOWN)
            result->sites[job->home].pooled_home_wait_mean_s +=
                fed->waits[count] / 1000 / (double)result->sites[job->home].jobs;
        count++;
    }
    figures_fill(out, fed->waits, count);
    out->events = ran.events;
    out->never = ran.never;
    out->response_mean_s = (ran.response_mean_ms + trips_ms / (double)(count + !count)) / 1000;
    out->utilisation = ran.device_ms / ((double)result->devices * (double)ran.end_ms);
    return ERR_OK;
}

static enum err siloed_run(struct federation *fed, struct federate_figures *out,
                           struct federate_result *result, struct fault *fault)
{
    struct replay_job *own = calloc(fed->job_count, sizeof(*own));
    double response = 0, device_ms = 0;
    int64_t end_ms = 0;
    size_t waited = 0;
    enum err err = own != NULL ? ERR_OK : ERR_NO_MEMORY;
    fed->what = "siloed";
    for (uint32_t s = 0; err == ERR_OK && s < fed->home_count; s++) {
        struct topology alone = fed->topology;
        struct replay_result ran;
        size_t count = 0;
        alone.sites = &fed->sites[s];
        alone.site_count = 1;
        for (size_t i = 0; i < fed->job_count; i++)
            if (fed->jobs[i].home == s)
                own[count++] = fed->jobs[i];
        err = one_run(fed, &alone, own, count, &ran, fault);
        if (err != ERR_OK)
            break;
        for (size_t i = 0; i < count; i++)
            if (own[i].site != REPLAY_NONE)
                fed->waits[waited++] = (double)(own[i].start_ms - own[i].arrival_ms);
        if (fed->knowledge == FEDERATE_KNOWN)
            result->sites[s].siloed_wait_mean_s = ran.wait_mean_ms / 1000;
        response += ran.response_mean_ms * (double)count;
        device_ms += ran.device_ms;
        end_ms = ran.end_ms > end_ms ? ran.end_ms : end_ms;
        out->events += ran.events;
        out->never += ran.never;
    }
    figures_fill(out, fed->waits, waited);
    out->response_mean_s = waited > 0 ? response / (double)waited / 1000 : 0;
    out->utilisation = end_ms > 0 ? device_ms / ((double)result->devices * (double)end_ms) : 0;
    free(own);
    return err;
}

enum err federate_run(struct slice trace, const struct rtt_table *rtt,
                      const struct federate_options *options, struct arena *arena,
                      struct federate_result *out, struct fault *fault)
{
    struct federation *fed = arena_alloc(arena, sizeof(*fed));
    if (fed == NULL)
        return ERR_NO_MEMORY;
    fed->options = options;
    fed->arena = arena;
    fed->rtt = rtt;
    memset(out, 0, sizeof(*out));
    enum err err = workload_read(TRACE_PHILLY, trace, options->limit, arena, &fed->workload, fault);
    if (err == ERR_OK)
        err = workload_homes(&fed->workload, arena, &fed->homes, &fed->home_count);
    if (err == ERR_OK)
        err = network_make(fed, out, fault);
    if (err == ERR_OK)
        err = jobs_make(fed, out, fault);
    for (int k = 0; err == ERR_OK && k < FEDERATE_KNOWLEDGE_COUNT_; k++) {
        fed->knowledge = (enum federate_knowledge)k;
        memset(fed->past, 0, sizeof(fed->past));
        err = siloed_run(fed, &out->runs[k].siloed, out, fault);
        memset(fed->past, 0, sizeof(fed->past));
        if (err == ERR_OK)
            err = pooled_run(fed, &out->runs[k].pooled, out, fault);
        out->events += out->runs[k].siloed.events + out->runs[k].pooled.events;
    }
    if (err == ERR_OK)
        err = srpt_run(fed->jobs, fed->job_count, out->devices, &out->srpt);
    return err;
}
