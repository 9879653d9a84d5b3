#include "sim/shift.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "place/place_shift.h"

enum { HOUR_MS = 3600000, DAY_MS = 24 * HOUR_MS, LOOK_HOURS = 24 * 7 };

static const char *const WAY_NAMES[SHIFT_WAY_COUNT_] = {[SHIFT_AT_ONCE] = "at_once",
                                                        [SHIFT_SPACE] = "space",
                                                        [SHIFT_TIME] = "time",
                                                        [SHIFT_BOTH] = "both",
                                                        [SHIFT_PERFECT] = "perfect"};

const char *shift_way_name(enum shift_way way)
{
    ASSERT((unsigned)way < SHIFT_WAY_COUNT_);
    return WAY_NAMES[way];
}

struct shifting {
    const struct shift_options *options;
    const struct shift_data *data;
    struct arena *arena;
    enum shift_way way;
    struct region regions[SHIFT_ZONES_MAX];
    struct site sites[SHIFT_ZONES_MAX];
    struct replay_series series[SHIFT_ZONES_MAX];
    struct job_placement placements[SHIFT_ZONES_MAX];
    struct topology topology;
    struct topology_tenant tenant;
    struct replay_job *jobs;
    size_t job_count;
    struct shift_forecast forecasts[SHIFT_ZONES_MAX];
    struct shift_outlook outlook;
    int64_t outlook_hour; /* that it was made in; -1: none */
    uint64_t used_milli[SHIFT_ZONES_MAX];
};

static enum err network_make(struct shifting *s)
{
    struct site_node *nodes = arena_array(s->arena, SHIFT_ZONE_NODES, sizeof(*nodes));
    if (nodes == NULL)
        return ERR_NO_MEMORY;
    for (int i = 0; i < SHIFT_ZONE_NODES; i++)
        nodes[i] = (struct site_node){.name = SLICE_LITERAL("n"),
                                      .cpu_milli = SHIFT_NODE_CORES * 1000,
                                      .mem_bytes = UINT64_C(1) << 40};
    for (uint32_t z = 0; z < s->data->zone_count; z++) {
        const struct shift_zone *zone = &s->data->zones[z];
        s->regions[z] = (struct region){.name = zone->name};
        s->sites[z] = (struct site){.name = zone->name,
                                    .region = zone->name,
                                    .ask_per_cpu_hour = MAYBE_MONEY((struct money){10000}),
                                    .nodes = nodes,
                                    .node_count = SHIFT_ZONE_NODES};
        s->series[z] = (struct replay_series){zone->price_micros, zone->carbon_mg, s->data->hours};
        s->placements[z] = (struct job_placement){.sites = {&zone->name, 1}};
    }
    s->tenant = (struct topology_tenant){.tenant = {.name = SLICE_LITERAL("all"), .weight = 1}};
    s->topology = (struct topology){.regions = s->regions,
                                    .region_count = s->data->zone_count,
                                    .sites = s->sites,
                                    .site_count = s->data->zone_count,
                                    .tenants = &s->tenant,
                                    .tenant_count = 1};
    policy_default(&s->topology.policy);
    return ERR_OK;
}

/* Jobs come from the zones in turn, for the trace does not say from where. */
static enum err jobs_make(struct shifting *s, const struct workload *workload, struct fault *fault)
{
    s->jobs = arena_array(s->arena, workload->count, sizeof(*s->jobs));
    if (s->jobs == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < workload->count; i++) {
        const struct trace_job *traced = &workload->traced[i];
        /* Wider than a node: a gang of equal parts. */
        uint64_t node_milli = UINT64_C(1000) * SHIFT_NODE_CORES;
        uint64_t nodes = (traced->cpu_milli + node_milli - 1) / node_milli;
        if (nodes >= SHIFT_ZONE_NODES) {
            if (fault != NULL)
                fault->line = traced->line;
            return fault_set(fault, ERR_LIMIT, NULL, "more cores than a zone has");
        }
        s->jobs[i] =
            (struct replay_job){.arrival_ms = traced->arrival_ms,
                                .duration_ms = traced->duration_ms,
                                .nodes = (uint32_t)nodes,
                                .cpu_milli = (uint32_t)((traced->cpu_milli + nodes - 1) / nodes),
                                .mem_bytes = JOB_MEM_BYTES_MIN,
                                .home = (uint32_t)(i % s->data->zone_count),
                                .priority = PRIORITY_STANDARD};
    }
    s->job_count = workload->count;
    return ERR_OK;
}

/* ---- the rule, hour by hour */

static void outlook_make(struct shifting *s, int64_t hour)
{
    int64_t ahead[SHIFT_HOURS_MAX];
    uint32_t hours = s->data->hours;
    for (uint32_t z = 0; z < s->data->zone_count; z++) {
        const int64_t *costs = s->data->zones[z].cost_micros;
        for (int64_t h = s->outlook_hour + 1; h <= hour; h++)
            shift_forecast_learn(&s->forecasts[z], (uint32_t)h, costs[h % hours]);
        if (s->way == SHIFT_PERFECT)
            for (uint32_t k = 0; k < LOOK_HOURS; k++)
                ahead[k] = costs[(hour + k) % hours];
        else
            shift_forecast_read(&s->forecasts[z], LOOK_HOURS, ahead);
        shift_outlook_set(&s->outlook, z, ahead, LOOK_HOURS);
    }
    s->outlook_hour = hour;
}

static uint64_t width_of(const struct replay_job *job)
{
    return (uint64_t)job->cpu_milli * job->nodes;
}

static uint64_t room_for(const struct shifting *s, const struct replay_job *job)
{
    uint64_t room = 0;
    /* Nodes are not filled to the last core: a node's worth is kept back. */
    const uint64_t all = (SHIFT_ZONE_NODES - 1) * UINT64_C(1000) * SHIFT_NODE_CORES;
    for (uint32_t z = 0; z < s->data->zone_count; z++)
        if (s->used_milli[z] + width_of(job) <= all)
            room |= UINT64_C(1) << z;
    return room;
}

static bool on_release(void *context, uint32_t index, int64_t now_ms)
{
    struct shifting *s = context;
    struct replay_job *job = &s->jobs[index];
    struct shift_choice choice = {.region = job->home, .is_now = true};
    int64_t slack_ms = job->arrival_ms + s->options->slack_ms - now_ms;
    if (s->way != SHIFT_AT_ONCE) {
        struct shift_work work = {.into_ms = now_ms % HOUR_MS,
                                  .runs_ms = job->duration_ms,
                                  .slack_ms = s->way == SHIFT_SPACE ? 0 : slack_ms,
                                  .allowed =
                                      s->way == SHIFT_TIME ? UINT64_C(1) << job->home : UINT64_MAX,
                                  .room = room_for(s, job)};
        if (s->outlook_hour != now_ms / HOUR_MS)
            outlook_make(s, now_ms / HOUR_MS);
        if (shift_choose(&s->outlook, &work, &choice) && !choice.is_now)
            return false;
    }
    job->placement = &s->placements[choice.region];
    s->used_milli[choice.region] += width_of(job);
    return true;
}

static void on_end(void *context, uint32_t index, int64_t now_ms)
{
    struct shifting *s = context;
    (void)now_ms;
    s->used_milli[s->jobs[index].site] -= width_of(&s->jobs[index]);
}

static void on_progress(void *context, int64_t now_ms, size_t ended)
{
    struct shifting *s = context;
    (void)now_ms;
    if (s->options->progress != NULL)
        s->options->progress(s->options->context, shift_way_name(s->way),
                             ((double)s->way * (double)s->job_count + (double)ended) /
                                 ((double)SHIFT_WAY_COUNT_ * (double)s->job_count));
}

static enum err one_run(struct shifting *s, struct shift_figures *out, struct fault *fault)
{
    struct replay_result ran;
    struct replay_setup setup = {.topology = &s->topology,
                                 .start = {INT64_C(1672531200000000)}, /* 2023-01-01 */
                                 .jobs = s->jobs,
                                 .job_count = s->job_count,
                                 .series = s->series,
                                 .context = s,
                                 .release = on_release,
                                 .ended = on_end,
                                 .progress = on_progress};
    memset(s->used_milli, 0, sizeof(s->used_milli));
    memset(s->forecasts, 0, sizeof(s->forecasts));
    s->outlook_hour = -1;
    for (size_t i = 0; i < s->job_count; i++) {
        /* To the next quarter of an hour, so that many are alike to the engine. */
        s->jobs[i].expected_ms = (s->jobs[i].duration_ms / 900000 + 1) * 900000;
        s->jobs[i].limit_ms = s->jobs[i].expected_ms;
    }
    enum err err = replay_run(&setup, s->arena, &ran, fault);
    if (err != ERR_OK)
        return err;
    *out = (struct shift_figures){.money = ran.energy,
                                  .carbon_kg = ran.carbon_kg,
                                  .kwh = ran.kwh,
                                  .cost = ran.energy * s->options->money_weight +
                                          ran.carbon_kg / 1000 * s->options->carbon_price,
                                  .wait_mean_h = ran.wait_mean_ms / HOUR_MS,
                                  .wait_max_h = ran.wait_max_ms / HOUR_MS,
                                  .events = ran.events,
                                  .never = ran.never};
    return ERR_OK;
}

/* Every job at its best zone and hour by the true figures, whoever else is there. */
static double floor_of(struct shifting *s)
{
    double floor = 0;
    s->way = SHIFT_PERFECT;
    s->outlook_hour = -1;
    for (size_t i = 0; i < s->job_count; i++) {
        const struct replay_job *job = &s->jobs[i];
        struct shift_choice choice = {0};
        const struct shift_work work = {.into_ms = job->arrival_ms % HOUR_MS,
                                        .runs_ms = job->duration_ms,
                                        .slack_ms = s->options->slack_ms,
                                        .allowed = UINT64_MAX,
                                        .room = UINT64_MAX};
        if (s->outlook_hour != job->arrival_ms / HOUR_MS)
            outlook_make(s, job->arrival_ms / HOUR_MS);
        bool has = shift_choose(&s->outlook, &work, &choice);
        ASSERT(has);
        floor += (double)choice.cost / 1e6 * (double)width_of(job) / 1e6 * REPLAY_WATTS_PER_CORE;
    }
    return floor;
}

enum err shift_run(struct slice trace, const struct shift_data *data,
                   const struct shift_options *options, struct arena *arena,
                   struct shift_result *out, struct fault *fault)
{
    struct shifting *s = arena_alloc(arena, sizeof(*s));
    struct workload workload;
    if (s == NULL)
        return ERR_NO_MEMORY;
    s->options = options;
    s->data = data;
    s->arena = arena;
    memset(out, 0, sizeof(*out));
    for (uint32_t z = 0; z < data->zone_count; z++)
        for (uint32_t h = 0; h < data->hours; h++) {
            const struct shift_zone *zone = &data->zones[z];
            zone->cost_micros[h] =
                (int64_t)((double)zone->price_micros[h] * options->money_weight +
                          (double)zone->carbon_mg[h] * options->carbon_price / 1000);
        }
    enum err err = workload_read(TRACE_GAIA, trace, options->limit, arena, &workload, fault);
    if (err == ERR_OK)
        err = network_make(s);
    if (err == ERR_OK)
        err = jobs_make(s, &workload, fault);
    if (err != ERR_OK)
        return err;
    for (int way = 0; err == ERR_OK && way < SHIFT_WAY_COUNT_; way++) {
        s->way = (enum shift_way)way;
        err = one_run(s, &out->ways[way], fault);
        out->events += out->ways[way].events;
    }
    if (err != ERR_OK)
        return err;
    out->floor_cost = floor_of(s);
    out->jobs = s->job_count;
    out->zones = data->zone_count;
    return ERR_OK;
}
