/* Bounds for mixed chips.
 *
 * Makespan: for each moment r at which jobs come, those that come at r or later cannot start
 * before r: r plus the linear programme's bound of those jobs alone (place/mix.h).
 *
 * Mean completion: for prices p of a device's time with sum_k devices_k p_k = 1, job j takes at
 * least v_j = min_k width p_k need_jk of a single machine that does 1 a second. With M_j the mean
 * moment of its progress, the sum of M_j is least when that machine always works on the job with
 * the least v (preemptive, by Goemans), and a job whose fastest kind needs n_j ends n_j / 2 after
 * M_j or later. So
 *
 *     sum of ends  >=  sum M_j + n_j / 2      for any p;
 *
 * the best p is looked for by a walk. Not below the sum of arrival + n_j. */
#include <stdlib.h>
#include <string.h>

#include "sim/hetero.h"

enum { WALK_ROUNDS = 40 };

/* A job on the single machine: its work in seconds of the machine. */
struct share {
    double arrives, work, left, least; /* seconds */
    double moments;                    /* integral of time over progress */
};

static double least_s(const struct mix_pool *pool, const struct mix_job *job)
{
    int64_t least = INT64_MAX;
    for (uint32_t k = 0; k < pool->kind_count; k++)
        if (job->need_ms[k] > 0 && job->width <= pool->devices[k] && job->need_ms[k] < least)
            least = job->need_ms[k];
    return (double)least / 1e3;
}

static double work_s(const struct mix_pool *pool, const struct mix_job *job, const double *price)
{
    double best = -1;
    for (uint32_t k = 0; k < pool->kind_count; k++) {
        double cost = price[k] * job->width * (double)job->need_ms[k] / 1e3;
        if (job->need_ms[k] > 0 && job->width <= pool->devices[k] && (best < 0 || cost < best))
            best = cost;
    }
    return best;
}

/* Mean response at these prices. */
static double completion_at(const struct hetero_list *list, const struct mix_pool *pool,
                            const double *price, struct share *shares)
{
    double now = 0, sum = 0, floor_s = 0;
    size_t next = 0, ended = 0;
    for (size_t i = 0; i < list->count; i++) {
        shares[i] = (struct share){.arrives = (double)list->jobs[i].arrives_ms / 1e3,
                                   .work = work_s(pool, &list->jobs[i].work, price),
                                   .least = least_s(pool, &list->jobs[i].work)};
        shares[i].left = shares[i].work;
        floor_s += shares[i].least;
    }
    while (ended < list->count) {
        struct share *first = NULL;
        while (next < list->count && shares[next].arrives <= now)
            next++;
        for (size_t i = 0; i < next; i++)
            if (shares[i].left > 0 && (first == NULL || shares[i].work < first->work))
                first = &shares[i];
        if (first == NULL) {
            now = shares[next].arrives;
            continue;
        }
        double span = first->left;
        bool is_ending = next == list->count || now + span <= shares[next].arrives;
        if (!is_ending)
            span = shares[next].arrives - now;
        first->moments += (now + span / 2) * span / first->work;
        first->left = is_ending ? 0 : first->left - span;
        now = is_ending ? now + span : shares[next].arrives;
        ended += is_ending;
    }
    for (size_t i = 0; i < list->count; i++)
        sum += shares[i].moments + shares[i].least / 2 - shares[i].arrives;
    return (sum > floor_s ? sum : floor_s) / (double)list->count;
}

/* So that all devices together cost 1 a second. */
static void settle(const struct mix_pool *pool, double *price)
{
    double sum = 0;
    for (uint32_t k = 0; k < pool->kind_count; k++)
        sum += price[k] * (double)pool->devices[k];
    for (uint32_t k = 0; k < pool->kind_count; k++)
        price[k] /= sum;
}

/* One price after the other goes up or down by a factor that shrinks. */
static double completion_bound(const struct hetero_list *list, const struct mix_pool *pool,
                               struct share *shares)
{
    double price[MIX_KINDS_MAX] = {0}, factor = 2;
    for (uint32_t k = 0; k < pool->kind_count; k++)
        price[k] = 1;
    settle(pool, price);
    double best = completion_at(list, pool, price, shares);
    for (int round = 0; round < WALK_ROUNDS; round++) {
        bool has_risen = false;
        for (uint32_t k = 0; k < 2 * pool->kind_count; k++) {
            double trial[MIX_KINDS_MAX];
            memcpy(trial, price, sizeof(trial));
            trial[k / 2] *= k % 2 == 0 ? factor : 1 / factor;
            settle(pool, trial);
            double found = completion_at(list, pool, trial, shares);
            if (found <= best)
                continue;
            best = found;
            has_risen = true;
            memcpy(price, trial, sizeof(price));
        }
        if (!has_risen)
            factor = 1 + (factor - 1) / 2;
    }
    return best;
}

static enum err makespan_bound(const struct hetero_list *list, const struct mix_pool *pool,
                               struct mix_job *jobs, struct mix *mix, double *out_s)
{
    int64_t begun = list->jobs[0].arrives_ms, most = 0;
    for (size_t i = 0; i < list->count; i++)
        jobs[i] = list->jobs[i].work;
    for (size_t i = 0; i < list->count; i++) {
        int64_t bound = 0, since = list->jobs[i].arrives_ms;
        if (i > 0 && since == list->jobs[i - 1].arrives_ms)
            continue;
        enum err err = mix_bound_last(mix, pool, jobs + i, list->count - i, &bound);
        if (err != ERR_OK)
            return err;
        if (since + bound - begun > most)
            most = since + bound - begun;
    }
    *out_s = (double)most / 1e3;
    return ERR_OK;
}

enum err hetero_bound_find(const struct hetero_list *list, const struct mix_pool *pool,
                           struct hetero_bound *out)
{
    struct hetero_bound bound = {0};
    struct mix *mix = NULL;
    if (list->count == 0) {
        *out = bound;
        return ERR_OK;
    }
    struct share *shares = calloc(list->count, sizeof(*shares));
    struct mix_job *jobs = calloc(list->count, sizeof(*jobs));
    enum err err = shares == NULL || jobs == NULL ? ERR_NO_MEMORY : mix_create(&mix);
    if (err == ERR_OK)
        err = makespan_bound(list, pool, jobs, mix, &bound.makespan_s);
    if (err == ERR_OK) {
        bound.completion_s = completion_bound(list, pool, shares);
        *out = bound;
    }
    mix_destroy(mix);
    free(jobs);
    free(shares);
    return err;
}
