/* A scenario made into a replay. */

#include "base/random.h"
#include "base/vector.h"
#include "sim/scenario.h"

enum { HOUR_MS = 3600000, SERIES_HOURS_MAX = 24 * 366 };

struct running {
    const struct scenario *scenario;
    const struct topology *topology;
    struct arena *arena;
    struct replay_job *jobs;
    size_t count;
    uint64_t misfits;
    void (*progress)(void *context, const char *what, double part);
    void *context;
};

static int site_find(const struct topology *topology, struct slice name)
{
    for (uint32_t i = 0; i < topology->site_count; i++)
        if (slice_is_equal(topology->sites[i].name, name))
            return (int)i;
    return -1;
}

/* ---- jobs */

/* False: no node of the network is made for it. */
static bool job_make(const struct running *running, struct trace_job traced, struct replay_job *out)
{
    const struct scenario *scenario = running->scenario;
    if (scenario->devices_as_cpus > 0 && traced.devices > 0) {
        traced.cpu_milli = (uint64_t)traced.devices * scenario->devices_as_cpus * 1000;
        traced.devices = 0;
    }
    if (traced.devices > 0 && traced.nodes == 0) {
        if (workload_cut(&traced, scenario->node_devices, scenario->cpu_milli_per_device, out) !=
            ERR_OK)
            return false;
    } else {
        uint32_t nodes = traced.nodes > 0 ? traced.nodes : 1;
        if (nodes > JOB_NODES_MAX || traced.devices % nodes != 0 ||
            traced.devices / nodes > JOB_ACCELERATORS_MAX ||
            traced.cpu_milli / nodes > JOB_CPU_MILLI_MAX)
            return false;
        *out = (struct replay_job){.arrival_ms = traced.arrival_ms,
                                   .duration_ms = traced.duration_ms,
                                   .nodes = nodes,
                                   .devices = traced.devices / nodes,
                                   .cpu_milli = (uint32_t)(traced.cpu_milli / nodes),
                                   .mem_bytes = traced.mem_bytes / nodes,
                                   .priority = PRIORITY_STANDARD};
    }
    if (out->cpu_milli == 0)
        out->cpu_milli = out->devices > 0 ? scenario->cpu_milli_per_device * out->devices : 1000;
    if (out->mem_bytes < JOB_MEM_BYTES_MIN)
        out->mem_bytes = JOB_MEM_BYTES_MIN;
    int home = site_find(running->topology, traced.home);
    out->home = home < 0 ? REPLAY_NONE : (uint32_t)home;
    for (uint32_t t = 0; t < running->topology->tenant_count; t++)
        if (slice_is_equal(running->topology->tenants[t].tenant.name, traced.tenant))
            out->tenant = t;
    if (scenario->knowledge == SCENARIO_KNOWN)
        out->expected_ms = out->limit_ms = out->duration_ms + 1;
    else if (scenario->knowledge == SCENARIO_GUESS && traced.guess_ms > 0)
        out->expected_ms = traced.guess_ms;
    return true;
}

static double device_count(const struct topology *topology, bool is_cores)
{
    double count = 0;
    for (uint32_t s = 0; s < topology->site_count; s++)
        for (uint32_t n = 0; n < topology->sites[s].node_count; n++) {
            const struct site_node *node = &topology->sites[s].nodes[n];
            count += is_cores ? node->cpu_milli / 1000.0 : node->accelerator_count;
        }
    return count;
}

/* Presses arrivals together (or apart) until the work is the wanted load over their span. */
static enum err load_set(struct running *running, struct fault *fault)
{
    double work[2] = {0, 0}; /* devices, cores */
    for (size_t i = 0; i < running->count; i++) {
        const struct replay_job *job = &running->jobs[i];
        double ms = (double)job->duration_ms * job->nodes;
        work[0] += ms * job->devices;
        work[1] += ms * job->cpu_milli / 1000;
    }
    bool is_cores = !(work[0] > 0);
    double capacity = device_count(running->topology, is_cores);
    double span = running->count > 0 ? (double)running->jobs[running->count - 1].arrival_ms : 0;
    double factor = running->scenario->press;
    if (running->scenario->load_percent > 0) {
        if (!(capacity > 0) || !(span > 0))
            return fault_set(fault, ERR_INVALID, "workload.load",
                             "no load can be set: the network has none of what the jobs need, or "
                             "all come at once");
        factor = work[is_cores] / (capacity * running->scenario->load_percent / 100) / span;
    }
    for (size_t i = 0; i < running->count; i++)
        running->jobs[i].arrival_ms = (int64_t)((double)running->jobs[i].arrival_ms * factor);
    return ERR_OK;
}

static enum err jobs_make(struct running *running, struct slice text, struct fault *fault)
{
    struct workload workload;
    enum err err = workload_read(running->scenario->format, text, running->scenario->limit,
                                 running->arena, &workload, fault);
    if (err != ERR_OK)
        return err;
    running->jobs = arena_array(running->arena, workload.count, sizeof(*running->jobs));
    if (running->jobs == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < workload.count; i++) {
        if (workload.traced[i].duration_ms > 0 &&
            job_make(running, workload.traced[i], &running->jobs[running->count]))
            running->count++;
        else
            running->misfits++;
    }
    return load_set(running, fault);
}

/* ---- what happens */

static int by_time(const void *a, const void *b)
{
    int64_t x = ((const struct replay_change *)a)->at_ms,
            y = ((const struct replay_change *)b)->at_ms;
    return (x > y) - (x < y);
}

/* Between half and one and a half of the mean: enough of a spread, and no logarithm that another
 * library might round another way. */
static int64_t about(struct random *random, struct span_ms mean)
{
    return mean.ms / 2 + (int64_t)random_below(random, (uint64_t)mean.ms + 1);
}

static enum err failures_make(const struct running *running, int64_t until_ms,
                              struct vector *changes)
{
    struct random random;
    const struct scenario *scenario = running->scenario;
    enum err err = ERR_OK;
    random_init(&random, scenario->seed);
    for (uint32_t s = 0; scenario->fails_every.ms > 0 && s < running->topology->site_count; s++)
        for (int64_t at = about(&random, scenario->fails_every); at < until_ms && err == ERR_OK;
             at += about(&random, scenario->fails_every)) {
            struct replay_change change = {at, REPLAY_FAIL, s, 0};
            err = vector_push(changes, &change);
            at += about(&random, scenario->repair);
            change = (struct replay_change){at, REPLAY_REPAIR, s, 0};
            if (err == ERR_OK)
                err = vector_push(changes, &change);
        }
    return err;
}

static enum err changes_make(const struct running *running, struct vector *changes,
                             struct fault *fault)
{
    const struct scenario *scenario = running->scenario;
    int64_t until_ms = scenario->end.ms;
    if (until_ms == 0 && running->count > 0)
        until_ms = running->jobs[running->count - 1].arrival_ms;
    for (uint32_t i = 0; i < scenario->change_count; i++) {
        struct replay_change change = scenario->changes[i].change;
        int site = site_find(running->topology, scenario->changes[i].site);
        if (site < 0)
            return fault_set(fault, ERR_INVALID, "changes", "there is no site \"%.*s\"",
                             SLICE_ARG(scenario->changes[i].site));
        change.site = (uint32_t)site;
        enum err err = vector_push(changes, &change);
        if (err != ERR_OK)
            return err;
    }
    enum err err = failures_make(running, until_ms, changes);
    return err == ERR_OK ? vector_sort(changes, by_time) : err;
}

/* ---- hourly tables: a column a region, by name; regions without one keep their own figure */

static enum err table_read(const struct running *running, struct slice csv, bool is_price,
                           struct replay_series *series, struct fault *fault)
{
    struct csv_reader *reader = arena_alloc(running->arena, sizeof(*reader));
    int64_t *rows[TOPOLOGY_REGIONS_MAX] = {0};
    int columns[TOPOLOGY_REGIONS_MAX];
    bool has = false;
    if (reader == NULL)
        return ERR_NO_MEMORY;
    csv_init(reader, csv, running->arena);
    enum err err = csv_next(reader, &has, fault);
    if (err != ERR_OK)
        return err;
    for (uint32_t r = 0; has && r < running->topology->region_count; r++) {
        columns[r] = -1;
        for (uint32_t c = 1; c < reader->field_count; c++)
            if (slice_is_equal(reader->fields[c].value, running->topology->regions[r].name))
                columns[r] = (int)c;
        if (columns[r] < 0)
            continue;
        rows[r] = arena_array(running->arena, SERIES_HOURS_MAX, sizeof(int64_t));
        if (rows[r] == NULL)
            return ERR_NO_MEMORY;
        *(is_price ? &series[r].price_micros : &series[r].carbon_mg) = rows[r];
    }
    for (uint32_t hour = 0;; hour++) {
        err = csv_next(reader, &has, fault);
        if (err != ERR_OK || !has)
            return err;
        if (hour == SERIES_HOURS_MAX)
            return csv_refuse(&reader->fields[0], fault, ERR_LIMIT, "more than a year of hours");
        for (uint32_t r = 0; r < running->topology->region_count; r++) {
            if (rows[r] == NULL)
                continue;
            if (columns[r] >= (int)reader->field_count ||
                trace_decimal(slice_trim(reader->fields[columns[r]].value), 1000, INT64_C(1) << 40,
                              &rows[r][hour]) != ERR_OK)
                return csv_refuse(
                    &reader->fields[columns[r] < (int)reader->field_count ? columns[r] : 0], fault,
                    ERR_INVALID, "a number is wanted; an empty figure is not zero");
            if (series[r].hours <= hour)
                series[r].hours = hour + 1;
        }
    }
}

static enum err series_make(const struct running *running, const struct scenario_texts *texts,
                            struct replay_series **out, struct fault *fault)
{
    if (texts->prices.len == 0 && texts->carbon.len == 0)
        return ERR_OK;
    *out = arena_array(running->arena, running->topology->region_count, sizeof(**out));
    if (*out == NULL)
        return ERR_NO_MEMORY;
    enum err err = ERR_OK;
    if (texts->prices.len > 0)
        err = table_read(running, texts->prices, true, *out, fault);
    if (err == ERR_OK && texts->carbon.len > 0)
        err = table_read(running, texts->carbon, false, *out, fault);
    return err;
}

static void on_progress(void *context, int64_t now_ms, size_t ended)
{
    struct running *running = context;
    (void)now_ms;
    if (running->progress != NULL)
        running->progress(running->context, "replay", (double)ended / (double)running->count);
}

enum err scenario_run(const struct scenario *scenario, const struct topology *topology,
                      const struct scenario_texts *texts,
                      void (*progress)(void *context, const char *what, double part), void *context,
                      struct arena *arena, struct replay_result *out, uint64_t *out_misfits,
                      struct fault *fault)
{
    struct running running = {.scenario = scenario,
                              .topology = topology,
                              .arena = arena,
                              .progress = progress,
                              .context = context};
    struct replay_setup setup = {.topology = topology,
                                 .start = scenario->start,
                                 .runtime = scenario->runtime,
                                 .stretch = scenario->stretch,
                                 .bucket_ms = scenario->bucket.ms,
                                 .end_ms = scenario->end.ms,
                                 .context = &running,
                                 .progress = on_progress};
    struct replay_series *series = NULL;
    struct vector changes;
    vector_init(&changes, sizeof(struct replay_change), SCENARIO_FAILURES_MAX);
    enum err err = jobs_make(&running, texts->trace, fault);
    if (err == ERR_OK)
        err = changes_make(&running, &changes, fault);
    if (err == ERR_OK)
        err = series_make(&running, texts, &series, fault);
    if (err == ERR_OK) {
        setup.jobs = running.jobs;
        setup.job_count = running.count;
        setup.changes = changes.data;
        setup.change_count = changes.len;
        setup.series = series;
        if (setup.bucket_ms == 0)
            setup.bucket_ms = replay_bucket_ms(running.jobs, running.count);
        err = replay_run(&setup, arena, out, fault);
    }
    if (err == ERR_OK)
        *out_misfits = running.misfits;
    vector_deinit(&changes);
    return err;
}
