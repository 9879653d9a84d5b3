#include "sim/hetero.h"

#include <stdlib.h>

#include "base/assert.h"

#define WHOLE INT64_C(1000000000000) /* parts of a job */

struct hetero {
    const struct mix_pool *pool;
    const struct hetero_list *list;
    enum hetero_policy policy;
    struct mix *mix;
    struct mix_job *jobs;  /* those there, as they are now */
    uint32_t *ids, *kinds; /* of each of those: number in the list, and the choice */
    int64_t *left;         /* by number: parts of WHOLE */
    int64_t *served_ms;    /* by number: device time */
    size_t count;
    size_t next; /* to arrive */
    int64_t now_ms;
    struct hetero_result result;
    int64_t ended_after_ms; /* over all that have ended */
};

const char *hetero_policy_name(enum hetero_policy policy)
{
    static const char *const NAMES[] = {"last", "mean", "fifo", "least_served"};
    return NAMES[policy];
}

static int64_t need_now(const struct hetero *run, uint32_t id, uint32_t kind)
{
    int64_t whole = run->list->jobs[id].work.need_ms[kind];
    int64_t need = (int64_t)(((__int128)whole * run->left[id] + WHOLE - 1) / WHOLE);
    return whole > 0 && need == 0 ? 1 : need;
}

static void needs_refresh(struct hetero *run)
{
    for (size_t i = 0; i < run->count; i++)
        for (uint32_t k = 0; k < run->pool->kind_count; k++)
            run->jobs[i].need_ms[k] = need_now(run, run->ids[i], k);
}

static void arrivals_take(struct hetero *run)
{
    for (; run->next < run->list->count && run->list->jobs[run->next].arrives_ms <= run->now_ms;
         run->next++) {
        run->jobs[run->count] = run->list->jobs[run->next].work;
        run->ids[run->count] = (uint32_t)run->next;
        run->left[run->next] = WHOLE;
        run->count++;
    }
}

/* The kind with the most free devices that can take it. */
static uint32_t roomiest(const struct hetero *run, const struct mix_job *job, const int64_t *room)
{
    uint32_t best = MIX_NONE;
    for (uint32_t k = 0; k < run->pool->kind_count; k++)
        if (job->need_ms[k] > 0 && room[k] >= job->width &&
            (best == MIX_NONE || room[k] > room[best]))
            best = k;
    return best;
}

/* In order of arrival; what runs goes on; nobody overtakes one that waits. */
static void choose_fifo(struct hetero *run)
{
    int64_t room[MIX_KINDS_MAX];
    bool is_blocked = false;
    for (uint32_t k = 0; k < MIX_KINDS_MAX; k++)
        room[k] = run->pool->devices[k];
    for (size_t i = 0; i < run->count; i++)
        if ((run->kinds[i] = run->jobs[i].kind) != MIX_NONE)
            room[run->kinds[i]] -= run->jobs[i].width;
    for (size_t i = 0; i < run->count && !is_blocked; i++) {
        if (run->kinds[i] != MIX_NONE)
            continue;
        run->kinds[i] = roomiest(run, &run->jobs[i], room);
        if (run->kinds[i] == MIX_NONE)
            is_blocked = true;
        else
            room[run->kinds[i]] -= run->jobs[i].width;
    }
}

/* Of those not chosen yet the least served; the earliest of equals. */
static void choose_least(struct hetero *run)
{
    enum { PASSED = MIX_NONE - 1 };
    int64_t room[MIX_KINDS_MAX];
    for (uint32_t k = 0; k < MIX_KINDS_MAX; k++)
        room[k] = run->pool->devices[k];
    for (size_t i = 0; i < run->count; i++)
        run->kinds[i] = MIX_NONE;
    for (size_t n = 0; n < run->count; n++) {
        size_t least = run->count;
        for (size_t i = 0; i < run->count; i++)
            if (run->kinds[i] == MIX_NONE &&
                (least == run->count ||
                 run->served_ms[run->ids[i]] < run->served_ms[run->ids[least]]))
                least = i;
        const struct mix_job *job = &run->jobs[least];
        bool can_stay = job->kind != MIX_NONE && room[job->kind] >= job->width;
        uint32_t kind = can_stay ? job->kind : roomiest(run, job, room);
        run->kinds[least] = kind == MIX_NONE ? PASSED : kind;
        if (kind != MIX_NONE)
            room[kind] -= job->width;
    }
    for (size_t i = 0; i < run->count; i++)
        if (run->kinds[i] == PASSED)
            run->kinds[i] = MIX_NONE;
}

static enum err choose(struct hetero *run)
{
    enum err err = ERR_OK;
    needs_refresh(run);
    if (run->policy == HETERO_FIFO)
        choose_fifo(run);
    else if (run->policy == HETERO_LEAST)
        choose_least(run);
    else
        err = mix_choose(run->mix, run->policy == HETERO_LAST ? MIX_LAST : MIX_MEAN, run->pool,
                         run->jobs, run->count, run->kinds);
    if (err != ERR_OK)
        return err;
    run->result.choices++;
    int64_t held[MIX_KINDS_MAX] = {0};
    for (size_t i = 0; i < run->count; i++) {
        uint32_t kind = run->kinds[i];
        bool has_run = run->left[run->ids[i]] < WHOLE;
        if (kind != MIX_NONE && kind != run->jobs[i].kind && has_run)
            run->result.moves++;
        run->jobs[i].kind = kind;
        if (kind != MIX_NONE)
            held[kind] += run->jobs[i].width;
    }
    for (uint32_t k = 0; k < run->pool->kind_count; k++)
        ASSERT(held[k] <= run->pool->devices[k]);
    return ERR_OK;
}

/* How long the choice stands: until a job ends or comes, or the round is over. */
static int64_t stretch(const struct hetero *run, int64_t round_ms)
{
    int64_t span = round_ms;
    if (run->next < run->list->count) {
        int64_t wait = run->list->jobs[run->next].arrives_ms - run->now_ms;
        if (run->count == 0 || wait < span)
            span = wait;
    }
    for (size_t i = 0; i < run->count; i++)
        if (run->jobs[i].kind != MIX_NONE && run->jobs[i].need_ms[run->jobs[i].kind] < span)
            span = run->jobs[i].need_ms[run->jobs[i].kind];
    return span;
}

static void advance(struct hetero *run, int64_t span)
{
    size_t kept = 0;
    run->now_ms += span;
    for (size_t i = 0; i < run->count; i++) {
        struct mix_job *job = &run->jobs[i];
        uint32_t id = run->ids[i];
        bool has_ended = job->kind != MIX_NONE && job->need_ms[job->kind] <= span;
        if (job->kind != MIX_NONE) {
            int64_t whole = run->list->jobs[id].work.need_ms[job->kind];
            run->left[id] -= (int64_t)((__int128)span * WHOLE / whole);
            run->served_ms[id] += span * job->width;
        }
        if (has_ended) {
            run->ended_after_ms += run->now_ms - run->list->jobs[id].arrives_ms;
            continue;
        }
        run->jobs[kept] = *job;
        run->ids[kept++] = id;
    }
    run->count = kept;
}

static enum err run_all(struct hetero *run, int64_t round_ms)
{
    run->now_ms = run->list->count > 0 ? run->list->jobs[0].arrives_ms : 0;
    while (run->count > 0 || run->next < run->list->count) {
        arrivals_take(run);
        enum err err = choose(run);
        if (err != ERR_OK)
            return err;
        advance(run, stretch(run, round_ms));
    }
    return ERR_OK;
}

static enum err check(const struct hetero_list *list, const struct mix_pool *pool,
                      struct fault *fault)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct mix_job *job = &list->jobs[i].work;
        bool can_run = false;
        for (uint32_t k = 0; k < pool->kind_count; k++)
            can_run = can_run || (job->need_ms[k] > 0 && job->width <= pool->devices[k]);
        if (!can_run)
            return fault_set(fault, ERR_INVALID, NULL, "job %zu of %u GPUs can run nowhere", i + 1,
                             job->width);
    }
    return ERR_OK;
}

enum err hetero_run(const struct hetero_list *list, const struct mix_pool *pool, int64_t round_ms,
                    enum hetero_policy policy, struct hetero_result *out, struct fault *fault)
{
    size_t room = list->count > 0 ? list->count : 1;
    struct hetero run = {.pool = pool, .list = list, .policy = policy};
    enum err err = check(list, pool, fault);
    if (err == ERR_OK)
        err = mix_create(&run.mix);
    run.jobs = calloc(room, sizeof(*run.jobs));
    run.ids = calloc(room, sizeof(*run.ids));
    run.kinds = calloc(room, sizeof(*run.kinds));
    run.left = calloc(room, sizeof(*run.left));
    run.served_ms = calloc(room, sizeof(*run.served_ms));
    if (err == ERR_OK && (run.jobs == NULL || run.ids == NULL || run.kinds == NULL ||
                          run.left == NULL || run.served_ms == NULL))
        err = ERR_NO_MEMORY;
    if (err == ERR_OK)
        err = run_all(&run, round_ms);
    if (err == ERR_OK && list->count > 0) {
        run.result.makespan_s = (double)(run.now_ms - list->jobs[0].arrives_ms) / 1e3;
        run.result.completion_s = (double)run.ended_after_ms / 1e3 / (double)list->count;
        *out = run.result;
    }
    mix_destroy(run.mix);
    free(run.jobs);
    free(run.ids);
    free(run.kinds);
    free(run.left);
    free(run.served_ms);
    return err;
}
