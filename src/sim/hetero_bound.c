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
 * the best p is looked for by a walk. Not below the sum of arrival + n_j.
 *
 * Then prices of their own for each slot of time, l_kt, from that p and what was left to do on the
 * single machine. With y_jkt the time of job j on kind k in slot t, which begins at m_t, weak
 * duality gives for any l >= 0 and any h_j
 *
 *     sum of ends  >=  sum_j h_j + n_j / 2
 *                      - sum_jt slot_t max(0, max_k (h_j - m_t) / need_jk - width_j l_kt)
 *                      - sum_kt devices_k slot_t l_kt;
 *
 * h_j is where job j just gets done, and prices move with what the jobs would take. */
#include <stdlib.h>
#include <string.h>

#include "sim/hetero.h"

enum { WALK_ROUNDS = 40, SLOTS = 150, SLOT_STEPS = 400, MOMENT_STEPS = 24 };

/* A job on the single machine: its work in seconds of the machine. */
struct share {
    double arrives, work, left, least; /* seconds */
    double moments, ends;              /* integral of time over progress; on that machine */
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
        first->ends = now;
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
                               struct share *shares, double *price)
{
    double factor = 2;
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
            memcpy(price, trial, sizeof(trial));
        }
        if (!has_risen)
            factor = 1 + (factor - 1) / 2;
    }
    return best;
}

/* Prices a slot; see above. Times from the first arrival. */
struct slots {
    double begin[SLOTS + 1];
    double price[SLOTS][MIX_KINDS_MAX];
    double load[SLOTS][MIX_KINDS_MAX];
};

/* Slots of one length up to the end on the single machine and half as long again, the last one long
 * enough for everything; a price is that of the kind times the jobs not done by then. */
static void slots_begin(const struct hetero_list *list, const struct mix_pool *pool,
                        const double *price, const struct share *shares, struct slots *slots)
{
    double first = (double)list->jobs[0].arrives_ms / 1e3, last = 0, all = 0;
    for (size_t i = 0; i < list->count; i++) {
        last = shares[i].ends > last ? shares[i].ends : last;
        all += shares[i].least;
    }
    for (int t = 0; t < SLOTS; t++)
        slots->begin[t] = (last - first) * 1.5 * t / (SLOTS - 1);
    slots->begin[SLOTS] = slots->begin[SLOTS - 1] + all;
    for (int t = 0; t < SLOTS; t++) {
        double left = 0;
        for (size_t i = 0; i < list->count; i++)
            left += shares[i].arrives - first <= slots->begin[t] &&
                    shares[i].ends - first > slots->begin[t];
        for (uint32_t k = 0; k < pool->kind_count; k++)
            slots->price[t][k] = price[k] * (left + 0.01);
    }
}

/* What the job earns in the slot at `moment`, and on which kind; MIX_NONE: nothing. */
static uint32_t slot_kind(const struct hetero_job *job, const struct mix_pool *pool,
                          const double *price, double gain, double *out)
{
    uint32_t best = MIX_NONE;
    *out = 0;
    for (uint32_t k = 0; k < pool->kind_count; k++) {
        if (job->work.need_ms[k] <= 0 || job->work.width > pool->devices[k])
            continue;
        double earned = gain * 1e3 / (double)job->work.need_ms[k] - job->work.width * price[k];
        if (earned > *out) {
            *out = earned;
            best = k;
        }
    }
    return best;
}

/* With h = `moment`: the part of the job that gets done; adds to *out_earned, and to the loads. */
static double job_done(const struct hetero_job *job, const struct mix_pool *pool, double came,
                       double moment, struct slots *slots, double *out_earned, bool is_counted)
{
    double done = 0;
    *out_earned = 0;
    for (int t = 0; t < SLOTS; t++) {
        double begin = slots->begin[t] > came ? slots->begin[t] : came, earned;
        double length = slots->begin[t + 1] - begin;
        if (length <= 0)
            continue;
        if (begin >= moment)
            break;
        uint32_t kind = slot_kind(job, pool, slots->price[t], moment - begin, &earned);
        if (kind == MIX_NONE)
            continue;
        *out_earned += earned * length;
        done += length * 1e3 / (double)job->work.need_ms[kind];
        if (is_counted)
            slots->load[t][kind] += length * job->work.width;
    }
    return done;
}

/* The sum of ends that these prices prove, from the first arrival. */
static double slots_prove(const struct hetero_list *list, const struct mix_pool *pool,
                          const struct share *shares, struct slots *slots)
{
    double sum = 0, earned;
    memset(slots->load, 0, sizeof(slots->load));
    for (size_t i = 0; i < list->count; i++) {
        double came = (double)(list->jobs[i].arrives_ms - list->jobs[0].arrives_ms) / 1e3;
        double low = came, high = 8 * (slots->begin[SLOTS] + 1);
        for (int step = 0; step < MOMENT_STEPS; step++) {
            double middle = (low + high) / 2;
            if (job_done(&list->jobs[i], pool, came, middle, slots, &earned, false) > 1)
                high = middle;
            else
                low = middle;
        }
        (void)job_done(&list->jobs[i], pool, came, low, slots, &earned, true);
        sum += low - earned + shares[i].least / 2;
    }
    for (int t = 0; t < SLOTS; t++)
        for (uint32_t k = 0; k < pool->kind_count; k++)
            sum -= (double)pool->devices[k] * (slots->begin[t + 1] - slots->begin[t]) *
                   slots->price[t][k];
    return sum;
}

static double slots_bound(const struct hetero_list *list, const struct mix_pool *pool,
                          const double *price, const struct share *shares, struct slots *slots)
{
    double best = 0, came = 0;
    slots_begin(list, pool, price, shares, slots);
    for (size_t i = 0; i < list->count; i++)
        came += (double)(list->jobs[i].arrives_ms - list->jobs[0].arrives_ms) / 1e3;
    for (int step = 0; step < SLOT_STEPS; step++) {
        double mean = (slots_prove(list, pool, shares, slots) - came) / (double)list->count;
        best = mean > best ? mean : best;
        for (int t = 0; t < SLOTS; t++)
            for (uint32_t k = 0; k < pool->kind_count; k++) {
                double full = (double)pool->devices[k] * (slots->begin[t + 1] - slots->begin[t]);
                double over = full > 0 ? slots->load[t][k] / full - 1 : 0;
                over = over > 1 ? 1 : over;
                slots->price[t][k] *= 1 + over / (4 + step / 8.0);
            }
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
    struct slots *slots = calloc(1, sizeof(*slots));
    enum err err =
        shares == NULL || jobs == NULL || slots == NULL ? ERR_NO_MEMORY : mix_create(&mix);
    if (err == ERR_OK)
        err = makespan_bound(list, pool, jobs, mix, &bound.makespan_s);
    if (err == ERR_OK) {
        double price[MIX_KINDS_MAX] = {0};
        bound.completion_s = completion_bound(list, pool, shares, price);
        (void)completion_at(list, pool, price, shares);
        double finer = slots_bound(list, pool, price, shares, slots);
        if (finer > bound.completion_s)
            bound.completion_s = finer;
        *out = bound;
    }
    mix_destroy(mix);
    free(slots);
    free(jobs);
    free(shares);
    return err;
}
