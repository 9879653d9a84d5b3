#include "sim/workload.h"

#include <string.h>

#include "base/map.h"
#include "base/vector.h"
#include "sim/history.h"

static int by_arrival(const void *a, const void *b)
{
    const struct trace_job *x = a, *y = b;
    if (x->arrival_ms != y->arrival_ms)
        return x->arrival_ms < y->arrival_ms ? -1 : 1;
    return (x->line > y->line) - (x->line < y->line);
}

/* What `lq history export` writes, on another network than its own. */
static enum err history_jobs(struct slice text, size_t limit, struct arena *arena,
                             struct workload *out, struct fault *fault)
{
    struct history history;
    enum err err = history_read(text, arena, &history, fault);
    if (err != ERR_OK)
        return err;
    size_t count = limit > 0 && limit < history.job_count ? limit : history.job_count;
    struct trace_job *traced = arena_array(arena, count + 1, sizeof(*traced));
    if (traced == NULL)
        return ERR_NO_MEMORY;
    if (count == 0)
        return fault_set(fault, ERR_INVALID, NULL, "no jobs");
    for (size_t i = 0; i < count; i++) {
        const struct replay_job *job = &history.jobs[i];
        traced[i] = (struct trace_job){.arrival_ms = job->arrival_ms - history.jobs[0].arrival_ms,
                                       .duration_ms = job->duration_ms,
                                       .guess_ms = job->expected_ms,
                                       .nodes = job->nodes,
                                       .devices = job->nodes * job->devices,
                                       .cpu_milli = (uint64_t)job->nodes * job->cpu_milli,
                                       .mem_bytes = job->nodes * job->mem_bytes,
                                       .home = history.past[i].site,
                                       .tenant = history.past[i].tenant};
    }
    *out = (struct workload){traced, count, history.never_ran};
    return ERR_OK;
}

enum err workload_read(enum trace_format format, struct slice text, size_t limit,
                       struct arena *arena, struct workload *out, struct fault *fault)
{
    struct trace_reader *reader = arena_alloc(arena, sizeof(*reader));
    struct vector jobs;
    struct trace_job job;
    bool has = true;
    if (format == TRACE_HISTORY && history_is(text))
        return history_jobs(text, limit, arena, out, fault);
    if (reader == NULL)
        return ERR_NO_MEMORY;
    vector_init(&jobs, sizeof(struct trace_job), TRACE_JOBS_MAX);
    enum err err = trace_open(reader, format, text, arena, fault);
    while (err == ERR_OK && (limit == 0 || jobs.len < limit)) {
        err = trace_next(reader, &has, &job, fault);
        if (err != ERR_OK || !has)
            break;
        err = vector_push(&jobs, &job);
        if (err == ERR_LIMIT)
            (void)fault_set(fault, err, NULL, "more than %d jobs", TRACE_JOBS_MAX);
    }
    if (err == ERR_OK && jobs.len == 0)
        err = fault_set(fault, ERR_INVALID, NULL, "no jobs");
    if (err == ERR_OK)
        err = vector_sort(&jobs, by_arrival);
    struct trace_job *kept = err == ERR_OK ? arena_array(arena, jobs.len, sizeof(*kept)) : NULL;
    if (err == ERR_OK && kept == NULL)
        err = ERR_NO_MEMORY;
    if (err == ERR_OK) {
        memcpy(kept, jobs.data, jobs.len * sizeof(*kept));
        int64_t first_ms = kept[0].arrival_ms;
        for (size_t i = 0; i < jobs.len; i++)
            kept[i].arrival_ms -= first_ms;
        *out = (struct workload){kept, jobs.len, reader->passed_over};
    }
    vector_deinit(&jobs);
    return err;
}

static int by_name(const void *a, const void *b)
{
    const struct workload_home *x = a, *y = b;
    return slice_compare(x->name, y->name);
}

enum err workload_homes(const struct workload *workload, struct arena *arena,
                        struct workload_home **out, uint32_t *out_count)
{
    struct strmap seen;
    struct vector homes;
    enum err err = ERR_OK;
    strmap_init(&seen, REPLAY_SITES_MAX, 0);
    vector_init(&homes, sizeof(struct workload_home), REPLAY_SITES_MAX);
    for (size_t i = 0; err == ERR_OK && i < workload->count; i++) {
        const struct trace_job *job = &workload->traced[i];
        uintptr_t at = (uintptr_t)strmap_get(&seen, job->home);
        if (at == 0) {
            struct workload_home home = {.name = job->home};
            err = vector_push(&homes, &home);
            at = homes.len;
            if (err == ERR_OK)
                err = strmap_add(&seen, job->home, (void *)at);
            if (err != ERR_OK)
                break;
        }
        struct workload_home *home = vector_at(&homes, at - 1);
        home->jobs++;
        home->device_ms += (double)job->devices * (double)job->duration_ms;
        if (job->devices > home->devices_widest)
            home->devices_widest = job->devices;
    }
    if (err == ERR_OK)
        err = vector_sort(&homes, by_name);
    struct workload_home *kept =
        err == ERR_OK ? arena_array(arena, homes.len, sizeof(*kept)) : NULL;
    if (err == ERR_OK && kept == NULL)
        err = ERR_NO_MEMORY;
    if (err == ERR_OK) {
        memcpy(kept, homes.data, homes.len * sizeof(*kept));
        *out = kept;
        *out_count = (uint32_t)homes.len;
    }
    vector_deinit(&homes);
    strmap_deinit(&seen);
    return err;
}

double workload_device_ms(const struct workload *workload)
{
    double total = 0;
    for (size_t i = 0; i < workload->count; i++)
        total += (double)workload->traced[i].devices * (double)workload->traced[i].duration_ms;
    return total;
}

void workload_press(struct workload *workload, double factor)
{
    for (size_t i = 0; i < workload->count; i++)
        workload->traced[i].arrival_ms = (int64_t)((double)workload->traced[i].arrival_ms * factor);
}

enum err workload_cut(const struct trace_job *traced, uint32_t node_devices,
                      uint32_t cpu_milli_per_device, struct replay_job *out)
{
    uint32_t nodes = (traced->devices + node_devices - 1) / node_devices;
    if (nodes == 0 || nodes > JOB_NODES_MAX || traced->devices % nodes != 0)
        return ERR_LIMIT;
    *out = (struct replay_job){.arrival_ms = traced->arrival_ms,
                               .duration_ms = traced->duration_ms,
                               .nodes = nodes,
                               .devices = traced->devices / nodes,
                               .home = REPLAY_NONE,
                               .priority = PRIORITY_STANDARD};
    out->cpu_milli = out->devices * cpu_milli_per_device;
    out->mem_bytes = JOB_MEM_BYTES_MIN;
    return ERR_OK;
}
