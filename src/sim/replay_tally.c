/* What a replay counts. */
#include <stdlib.h>

#include "base/assert.h"
#include "sim/replay_state.h"

enum { HOUR_MS = 3600000 };

int64_t replay_bucket_ms(const struct replay_job *jobs, size_t count)
{
    if (count == 0)
        return 0;
    int64_t hours = jobs[count - 1].arrival_ms / HOUR_MS + 1;
    return (hours + REPLAY_BUCKETS_DEFAULT - 1) / REPLAY_BUCKETS_DEFAULT * (int64_t)HOUR_MS;
}

enum err replay_tally_begin(struct replay *replay)
{
    const struct replay_setup *setup = replay->setup;
    struct replay_result *result = &replay->result;
    result->site_count = setup->topology->site_count;
    result->sites = arena_array(replay->arena, result->site_count, sizeof(*result->sites));
    if (result->sites == NULL)
        return ERR_NO_MEMORY;
    if (setup->bucket_ms <= 0)
        return ERR_OK;
    int64_t last_ms = setup->end_ms;
    for (size_t i = 0; setup->end_ms == 0 && i < setup->job_count; i++)
        if (setup->jobs[i].arrival_ms + setup->jobs[i].duration_ms > last_ms)
            last_ms = setup->jobs[i].arrival_ms + setup->jobs[i].duration_ms;
    /* What comes later counts into the last one. */
    int64_t count = last_ms / setup->bucket_ms + 1;
    result->bucket_count = count < REPLAY_BUCKETS_MAX ? (uint32_t)count : REPLAY_BUCKETS_MAX;
    result->bucket_ms = setup->bucket_ms;
    result->buckets = arena_array(replay->arena, (size_t)result->bucket_count * result->site_count,
                                  sizeof(*result->buckets));
    return result->buckets != NULL ? ERR_OK : ERR_NO_MEMORY;
}

static struct replay_bucket *bucket_at(struct replay_result *result, uint32_t site, int64_t at_ms)
{
    int64_t bucket = at_ms / result->bucket_ms;
    if (bucket >= result->bucket_count)
        bucket = result->bucket_count - 1;
    return &result->buckets[(size_t)site * result->bucket_count + (size_t)bucket];
}

/* Figures of the region in the hour; false: not known. */
static bool price_at(const struct replay *replay, uint32_t site, int64_t at_ms, double *out)
{
    const struct region *region = replay->region_of[site];
    if (region == NULL)
        return false;
    if (replay->setup->series != NULL) {
        const struct replay_series *series =
            &replay->setup->series[region - replay->setup->topology->regions];
        if (series->hours > 0 && series->price_micros != NULL) {
            *out = (double)series->price_micros[at_ms / HOUR_MS % series->hours];
            return true;
        }
    }
    *out = (double)region->price_per_kwh.value.micros;
    return region->price_per_kwh.has;
}

static bool carbon_at(const struct replay *replay, uint32_t site, int64_t at_ms, double *out)
{
    const struct region *region = replay->region_of[site];
    if (region == NULL)
        return false;
    if (replay->setup->series != NULL) {
        const struct replay_series *series =
            &replay->setup->series[region - replay->setup->topology->regions];
        if (series->hours > 0 && series->carbon_mg != NULL) {
            *out = (double)series->carbon_mg[at_ms / HOUR_MS % series->hours];
            return true;
        }
    }
    *out = (double)region->carbon_mg_per_kwh.value;
    return region->carbon_mg_per_kwh.has;
}

static double watts_of(const struct replay *replay, const struct replay_job *job)
{
    const struct region *region = replay->region_of[job->site];
    double watts = job->nodes * ((double)job->cpu_milli * REPLAY_WATTS_PER_CORE / 1000 +
                                 (double)job->devices * REPLAY_WATTS_PER_DEVICE);
    if (region != NULL && region->pue_milli.has)
        watts = watts * (double)region->pue_milli.value / 1000;
    return watts;
}

/* Hour by hour (and bucket by bucket, where those are shorter). */
void replay_tally_held(struct replay *replay, const struct replay_job *job, int64_t end_ms,
                       struct money ask_per_hour)
{
    struct replay_result *result = &replay->result;
    struct replay_site_tally *site = &result->sites[job->site];
    double watts = watts_of(replay, job), devices = (double)job->devices * job->nodes;
    double cores = (double)job->cpu_milli / 1000 * job->nodes;
    double held_ms = (double)(end_ms - job->start_ms);
    bool has_buckets = result->buckets != NULL;
    bool is_flat = replay->setup->series == NULL && !has_buckets;
    site->device_ms += devices * held_ms;
    site->core_ms += cores * held_ms;
    site->ask += (double)ask_per_hour.micros / 1e6 * held_ms / HOUR_MS;
    site->kwh += watts * held_ms / 3.6e9;
    for (int64_t at = job->start_ms; at < end_ms;) {
        int64_t next = is_flat ? end_ms : (at / HOUR_MS + 1) * HOUR_MS;
        if (has_buckets && (at / result->bucket_ms + 1) * result->bucket_ms < next)
            next = (at / result->bucket_ms + 1) * result->bucket_ms;
        if (next > end_ms)
            next = end_ms;
        double ms = (double)(next - at), kwh = watts * ms / 3.6e9, figure;
        double energy = price_at(replay, job->site, at, &figure) ? kwh * figure / 1e6 : 0;
        double carbon = carbon_at(replay, job->site, at, &figure) ? kwh * figure / 1e6 : 0;
        site->energy += energy;
        site->carbon_kg += carbon;
        if (has_buckets) {
            struct replay_bucket *bucket = bucket_at(result, job->site, at);
            bucket->device_ms += devices * ms;
            bucket->core_ms += cores * ms;
            bucket->energy += energy;
            bucket->carbon_kg += carbon;
        }
        at = next;
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double replay_quantile(double *values, size_t count, double q)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof(*values), by_value);
    size_t at = (size_t)(q * (double)count);
    return values[at < count ? at : count - 1];
}

enum err replay_tally_end(struct replay *replay)
{
    const struct replay_setup *setup = replay->setup;
    struct replay_result *result = &replay->result;
    double *waits = malloc((setup->job_count + 1) * sizeof(*waits)), response = 0, total = 0;
    size_t count = 0;
    if (waits == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < setup->job_count; i++) {
        const struct replay_job *job = &setup->jobs[i];
        if (job->site == REPLAY_NONE || job->end_ms == REPLAY_NEVER) {
            result->never++;
            continue;
        }
        double wait = (double)(job->start_ms - job->arrival_ms);
        waits[count++] = wait;
        total += wait;
        response += (double)(job->end_ms - job->arrival_ms);
        result->sites[job->site].jobs++;
        result->sites[job->site].wait_ms += wait;
        result->sites[job->site].kills += job->kills;
        if (job->end_ms > result->end_ms)
            result->end_ms = job->end_ms;
        if (result->buckets != NULL) {
            struct replay_bucket *bucket = bucket_at(result, job->site, job->start_ms);
            bucket->jobs++;
            bucket->wait_ms += wait;
        }
    }
    if (count > 0) {
        result->wait_mean_ms = total / (double)count;
        result->response_mean_ms = response / (double)count;
    }
    result->wait_p50_ms = replay_quantile(waits, count, 0.5);
    result->wait_p99_ms = count > 0 ? waits[(size_t)(0.99 * (double)count)] : 0;
    result->wait_max_ms = count > 0 ? waits[count - 1] : 0;
    free(waits);
    for (uint32_t s = 0; s < result->site_count; s++) {
        result->device_ms += result->sites[s].device_ms;
        result->core_ms += result->sites[s].core_ms;
        result->ask += result->sites[s].ask;
        result->energy += result->sites[s].energy;
        result->carbon_kg += result->sites[s].carbon_kg;
        result->kwh += result->sites[s].kwh;
    }
    return ERR_OK;
}
