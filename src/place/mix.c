#include "place/mix.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* Prices are settled after so many steps; the second half of them is averaged. A price moves by
 * its overload over STEP_FIRST + step / STEP_FADE. */
enum { STEPS = 300, STEP_FIRST = 2, STEP_FADE = 8, RAISE_STEPS = 30 };
#define PRICES (INT64_C(1) << 46)      /* of all devices together */
#define VALUE_WHOLE (INT64_C(1) << 46) /* of a job that takes a millisecond */
/* A job that runs is worth so much more where it is: a tie is no reason to move. */
enum { STAY_PARTS = 8 };

typedef __int128 wide;

/* A job's place in the queue. */
struct rank {
    int64_t key; /* the most first */
    uint32_t job;
    bool is_running;
};

struct mix {
    int64_t *times; /* [job][kind]: to be spent there (MIX_LAST), or what it is worth (MIX_MEAN) */
    struct rank *ranks;
    size_t room; /* of jobs in both */
    int64_t price[MIX_KINDS_MAX];
    int64_t bound_ms; /* T */
};

/* What one job takes at the prices as they are. */
struct taking {
    uint32_t kind, other; /* other: MIX_NONE where one is enough */
    int64_t time_ms, other_ms;
    wide cost; /* of a gang of one */
};

enum err mix_create(struct mix **out)
{
    struct mix *mix = calloc(1, sizeof(*mix));
    if (mix == NULL)
        return ERR_NO_MEMORY;
    *out = mix;
    return ERR_OK;
}

void mix_destroy(struct mix *mix)
{
    if (mix == NULL)
        return;
    free(mix->times);
    free(mix->ranks);
    free(mix);
}

static enum err make_room(struct mix *mix, size_t count)
{
    if (count > MIX_JOBS_MAX)
        return ERR_LIMIT;
    if (count == 0)
        count = 1;
    if (count <= mix->room)
        return ERR_OK;
    int64_t *times = realloc(mix->times, count * MIX_KINDS_MAX * sizeof(*times));
    if (times == NULL)
        return ERR_NO_MEMORY;
    mix->times = times;
    struct rank *ranks = realloc(mix->ranks, count * sizeof(*ranks));
    if (ranks == NULL)
        return ERR_NO_MEMORY;
    mix->ranks = ranks;
    mix->room = count;
    return ERR_OK;
}

static bool can_run(const struct mix_pool *pool, const struct mix_job *job, uint32_t kind)
{
    return job->need_ms[kind] > 0 && (int64_t)job->width <= pool->devices[kind];
}

/* The soonest it can end; 0: it can run nowhere. */
static int64_t need_least(const struct mix_pool *pool, const struct mix_job *job)
{
    int64_t least = 0;
    for (uint32_t k = 0; k < pool->kind_count; k++)
        if (can_run(pool, job, k) && (least == 0 || job->need_ms[k] < least))
            least = job->need_ms[k];
    return least;
}

/* A fast kind with a slow one, so that the job ends just within `within`. */
static void take_pair(const struct mix *mix, const struct mix_job *job, int64_t within,
                      uint32_t fast, uint32_t slow, struct taking *best)
{
    int64_t need = job->need_ms[fast], need_slow = job->need_ms[slow];
    int64_t slow_ms = (int64_t)((wide)need_slow * (within - need) / (need_slow - need));
    wide cost = (wide)mix->price[fast] * (within - slow_ms) + (wide)mix->price[slow] * slow_ms;
    if (cost < best->cost)
        *best = (struct taking){fast, slow, within - slow_ms, slow_ms, cost};
}

/* The cheapest way to end within `within`, which is no less than need_least(). */
static struct taking take(const struct mix *mix, const struct mix_pool *pool,
                          const struct mix_job *job, int64_t within)
{
    struct taking best = {MIX_NONE, MIX_NONE, 0, 0, (wide)1 << 120};
    for (uint32_t k = 0; k < pool->kind_count; k++) {
        if (!can_run(pool, job, k) || job->need_ms[k] > within)
            continue;
        wide cost = (wide)mix->price[k] * job->need_ms[k];
        if (cost < best.cost)
            best = (struct taking){k, MIX_NONE, job->need_ms[k], 0, cost};
        for (uint32_t slow = 0; slow < pool->kind_count; slow++)
            if (can_run(pool, job, slow) && job->need_ms[slow] > within &&
                mix->price[slow] < mix->price[k])
                take_pair(mix, job, within, k, slow, &best);
    }
    ASSERT(best.kind != MIX_NONE);
    return best;
}

/* What all pay to end within `within`, in milliseconds of the whole pool. */
static int64_t pay(const struct mix *mix, const struct mix_pool *pool, const struct mix_job *jobs,
                   size_t count, int64_t within)
{
    wide total = 0;
    for (size_t i = 0; i < count; i++)
        if (need_least(pool, &jobs[i]) > 0)
            total += take(mix, pool, &jobs[i], within).cost * jobs[i].width;
    return (int64_t)(total / PRICES);
}

/* Prices in proportion, so that all devices together cost PRICES or a little less: what is paid is
 * then divided by no less than it should be. */
static void prices_settle(struct mix *mix, const struct mix_pool *pool)
{
    wide sum = 0;
    for (uint32_t k = 0; k < pool->kind_count; k++)
        sum += (wide)mix->price[k] * pool->devices[k];
    for (uint32_t k = 0; k < pool->kind_count; k++)
        mix->price[k] = (int64_t)((wide)mix->price[k] * PRICES / sum);
}

static void prices_begin(struct mix *mix, const struct mix_pool *pool)
{
    for (uint32_t k = 0; k < pool->kind_count; k++)
        mix->price[k] = pool->devices[k] > 0 ? PRICES / MIX_KINDS_MAX / pool->devices[k] : 0;
}

/* load: what was taken of each kind; full: what there is. */
static void price_move(int64_t *price, wide load, wide full, int step)
{
    enum { PARTS = 1 << 16 };
    wide part = load * PARTS / full - PARTS;
    if (part > PARTS)
        part = PARTS;
    *price += (int64_t)(*price * part / PARTS / (STEP_FIRST + step / STEP_FADE));
    if (*price < 1)
        *price = 1;
}

/* The greatest T that these prices prove too short; pay() falls as T grows. */
static void bound_raise(struct mix *mix, const struct mix_pool *pool, const struct mix_job *jobs,
                        size_t count, int64_t paid)
{
    int64_t low = mix->bound_ms, high = paid;
    for (int i = 0; i < RAISE_STEPS && low + 1 < high; i++) {
        int64_t middle = low + (high - low) / 2;
        if (pay(mix, pool, jobs, count, middle) > middle)
            low = middle;
        else
            high = middle;
    }
    mix->bound_ms = low;
}

static void solve_last(struct mix *mix, const struct mix_pool *pool, const struct mix_job *jobs,
                       size_t count)
{
    memset(mix->times, 0, count * MIX_KINDS_MAX * sizeof(*mix->times));
    mix->bound_ms = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t least = need_least(pool, &jobs[i]);
        if (least > mix->bound_ms)
            mix->bound_ms = least;
    }
    prices_begin(mix, pool);
    for (int step = 0; mix->bound_ms > 0 && step < STEPS; step++) {
        wide load[MIX_KINDS_MAX] = {0}, total = 0;
        prices_settle(mix, pool);
        for (size_t i = 0; i < count; i++) {
            if (need_least(pool, &jobs[i]) == 0)
                continue;
            struct taking taking = take(mix, pool, &jobs[i], mix->bound_ms);
            int64_t *times = &mix->times[i * MIX_KINDS_MAX];
            total += taking.cost * jobs[i].width;
            load[taking.kind] += (wide)taking.time_ms * jobs[i].width;
            if (step >= STEPS / 2)
                times[taking.kind] += taking.time_ms;
            if (taking.other == MIX_NONE)
                continue;
            load[taking.other] += (wide)taking.other_ms * jobs[i].width;
            if (step >= STEPS / 2)
                times[taking.other] += taking.other_ms;
        }
        if ((int64_t)(total / PRICES) > mix->bound_ms)
            bound_raise(mix, pool, jobs, count, (int64_t)(total / PRICES));
        for (uint32_t k = 0; k < pool->kind_count; k++)
            if (pool->devices[k] > 0)
                price_move(&mix->price[k], load[k], (wide)pool->devices[k] * mix->bound_ms, step);
    }
}

/* What a job finishes of itself in a millisecond. */
static int64_t pace(const struct mix_job *job, uint32_t kind)
{
    int64_t pace = VALUE_WHOLE / job->need_ms[kind];
    return job->kind == kind ? pace + pace / STAY_PARTS : pace;
}

/* The kind where the job is worth most above the price of its devices; MIX_NONE: nowhere. */
static uint32_t best_kind(const struct mix *mix, const struct mix_pool *pool,
                          const struct mix_job *job)
{
    uint32_t best = MIX_NONE;
    int64_t most = 0;
    for (uint32_t k = 0; k < pool->kind_count; k++) {
        if (!can_run(pool, job, k))
            continue;
        int64_t gain = pace(job, k) - mix->price[k] * job->width;
        if (gain > most) {
            most = gain;
            best = k;
        }
    }
    return best;
}

static void solve_mean(struct mix *mix, const struct mix_pool *pool, const struct mix_job *jobs,
                       size_t count)
{
    wide total = 0, devices = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t least = need_least(pool, &jobs[i]);
        total += least > 0 ? VALUE_WHOLE / least : 0;
    }
    for (uint32_t k = 0; k < pool->kind_count; k++)
        devices += pool->devices[k];
    for (uint32_t k = 0; k < pool->kind_count; k++)
        mix->price[k] = (int64_t)(total / (devices + 1)) + 1;
    for (int step = 0; step < STEPS; step++) {
        wide load[MIX_KINDS_MAX] = {0};
        for (size_t i = 0; i < count; i++) {
            uint32_t kind = best_kind(mix, pool, &jobs[i]);
            if (kind != MIX_NONE)
                load[kind] += jobs[i].width;
        }
        for (uint32_t k = 0; k < pool->kind_count; k++)
            if (pool->devices[k] > 0)
                price_move(&mix->price[k], load[k], pool->devices[k], step);
    }
    for (size_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < pool->kind_count; k++)
            mix->times[i * MIX_KINDS_MAX + k] =
                can_run(pool, &jobs[i], k) ? pace(&jobs[i], k) / jobs[i].width - mix->price[k]
                                           : INT64_MIN;
}

static int compare_ranks(const void *a, const void *b)
{
    const struct rank *left = a, *right = b;
    if (left->key != right->key)
        return left->key > right->key ? -1 : 1;
    if (left->is_running != right->is_running)
        return left->is_running ? -1 : 1;
    return left->job < right->job ? -1 : 1;
}

/* LAST: all of its time, so that those without slack come first. MEAN: the most it is worth. */
static int64_t rank_key(const struct mix *mix, const struct mix_pool *pool, enum mix_aim aim,
                        size_t job)
{
    const int64_t *times = &mix->times[job * MIX_KINDS_MAX];
    int64_t key = aim == MIX_LAST ? 0 : INT64_MIN;
    for (uint32_t k = 0; k < pool->kind_count; k++) {
        if (aim == MIX_LAST)
            key += times[k];
        else if (times[k] > key)
            key = times[k];
    }
    return key;
}

/* Of the kinds with room the one with the most of `times`, and more than `above`; then the one that
 * is fastest. */
static uint32_t pick(const struct mix_pool *pool, const struct mix_job *job, const int64_t *times,
                     const int64_t *room, int64_t above)
{
    uint32_t best = MIX_NONE;
    for (uint32_t k = 0; k < pool->kind_count; k++) {
        if (!can_run(pool, job, k) || room[k] < job->width || times[k] <= above)
            continue;
        if (best == MIX_NONE || times[k] > times[best] ||
            (times[k] == times[best] && job->need_ms[k] < job->need_ms[best]))
            best = k;
    }
    return best;
}

enum err mix_choose(struct mix *mix, enum mix_aim aim, const struct mix_pool *pool,
                    const struct mix_job *jobs, size_t count, uint32_t *out_kinds)
{
    int64_t room[MIX_KINDS_MAX];
    enum err err = make_room(mix, count);
    if (err != ERR_OK)
        return err;
    if (aim == MIX_LAST)
        solve_last(mix, pool, jobs, count);
    else
        solve_mean(mix, pool, jobs, count);
    for (size_t i = 0; i < count; i++)
        mix->ranks[i] =
            (struct rank){rank_key(mix, pool, aim, i), (uint32_t)i, jobs[i].kind != MIX_NONE};
    if (count > 0)
        qsort(mix->ranks, count, sizeof(*mix->ranks), compare_ranks);
    memcpy(room, pool->devices, sizeof(room));
    /* First where it is meant to be, then wherever there is room. */
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < count; i++) {
            uint32_t j = mix->ranks[i].job;
            if (pass > 0 && out_kinds[j] != MIX_NONE)
                continue;
            out_kinds[j] = pick(pool, &jobs[j], &mix->times[(size_t)j * MIX_KINDS_MAX], room,
                                pass == 0 ? 0 : INT64_MIN);
            if (out_kinds[j] != MIX_NONE)
                room[out_kinds[j]] -= jobs[j].width;
        }
    return ERR_OK;
}

enum err mix_bound_last(struct mix *mix, const struct mix_pool *pool, const struct mix_job *jobs,
                        size_t count, int64_t *out_ms)
{
    enum err err = make_room(mix, count);
    if (err != ERR_OK)
        return err;
    solve_last(mix, pool, jobs, count);
    *out_ms = mix->bound_ms;
    return ERR_OK;
}
