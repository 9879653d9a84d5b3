/* Preemption: a head of the queue that waits for its promised nodes may have held work of lower
 * classes told to leave, where that costs least.
 *
 * Loss: what the work has paid since it began, and that time at its class's value; a restart counts
 * as a minute. No loop can come of it: only a higher class takes from a lower one, and what left
 * waits behind it. Nobody is told to leave unless the whole job can start once all of them have. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "place/place_state.h"

enum {
    NODE_HOLDS_MAX = 64, /* looked at on one node */
    SITES_LOOKED_AT_MAX = 16,
    RESTART_MS = 60000,  /* of work is lost with every start anew */
    PATIENCE_MS = 60000, /* so near, the promise is waited for */
};

struct plan {
    const struct place_option *option;
    struct place_hold *leaving[PLACE_LEAVING_MAX];
    uint32_t leaving_count;
    struct money loss;
    uint16_t nodes[JOB_NODES_MAX];
};

static struct money loss_of(const struct placer *placer, const struct place_hold *hold)
{
    int64_t ran_ms = placer->now.wall.us / 1000 - hold->since.us / 1000;
    if (ran_ms < 0)
        ran_ms = 0;
    if (ran_ms > hold->limit.ms)
        ran_ms = hold->limit.ms;
    const struct span_ms lost = {ran_ms + RESTART_MS};
    return money_add_saturated(
        place_per_hours(hold->ask_per_hour, lost),
        place_per_hours(placer->policy.time_value_per_hour[hold->job.spec->priority], lost));
}

/* ---- one node */

struct leaver {
    struct place_hold *hold;
    struct money loss;
    uint16_t rank;
    bool goes;
};

static int leaver_compare(const void *a, const void *b)
{
    const struct leaver *x = a, *y = b;
    if (x->loss.micros != y->loss.micros)
        return x->loss.micros < y->loss.micros ? -1 : 1;
    return id_compare(x->hold->job.id.id, y->hold->job.id.id);
}

static void leaver_give(struct place_node *node, const struct leaver *leaver)
{
    const struct place_hold *hold = leaver->hold;
    place_node_give(node, hold->cpu_milli, hold->mem_bytes, &hold->ranks[leaver->rank].place);
}

/* Those on the node that may be told to leave; what leaves already is given back to `copy`. */
static uint32_t leavers_find(const struct placer *placer, const struct place_node *node,
                             enum priority_class priority, struct place_node *copy,
                             struct leaver out[NODE_HOLDS_MAX])
{
    uint32_t count = 0, looked_at = 0;
    uint16_t r = node->first_rank;
    for (struct place_hold *hold = node->first; hold != NULL && looked_at < NODE_HOLDS_MAX;
         looked_at++) {
        const struct place_rank *rank = &hold->ranks[r];
        struct leaver leaver = {.hold = hold, .rank = r};
        if (hold->is_leaving) {
            leaver_give(copy, &leaver);
        } else if (hold->job.spec->priority < priority) {
            leaver.loss = loss_of(placer, hold);
            out[count++] = leaver;
        }
        r = rank->next_rank;
        hold = rank->next;
    }
    qsort(out, count, sizeof(*out), leaver_compare);
    return count;
}

/* Chooses who goes: the cheapest until it fits, less those who need not go after all, the dearest
 * first. False: it does not fit even then. */
static bool leavers_choose(const struct place_need *need, struct place_node *copy,
                           struct leaver *leavers, uint32_t count)
{
    uint32_t taken = 0;
    while (!stock_node_fits(copy, need) && taken < count) {
        leavers[taken].goes = true;
        leaver_give(copy, &leavers[taken++]);
    }
    if (!stock_node_fits(copy, need))
        return false;
    while (taken-- > 0) {
        const struct place_hold *hold = leavers[taken].hold;
        struct place_node with = *copy;
        place_node_take(&with, hold->cpu_milli, hold->mem_bytes,
                        &hold->ranks[leavers[taken].rank].place);
        leavers[taken].goes = !stock_node_fits(&with, need);
        if (!leavers[taken].goes)
            *copy = with;
    }
    return true;
}

static bool plan_add(struct plan *plan, const struct leaver *leaver)
{
    for (uint32_t i = 0; i < plan->leaving_count; i++)
        if (plan->leaving[i] == leaver->hold)
            return true; /* another rank of it */
    if (plan->leaving_count == PLACE_LEAVING_MAX)
        return false;
    plan->leaving[plan->leaving_count++] = leaver->hold;
    plan->loss = money_add_saturated(plan->loss, leaver->loss);
    return true;
}

/* What it costs to have the node; with a plan, who goes is added to it. False: it cannot be had. */
static bool node_clear(const struct placer *placer, const struct place_option *option,
                       enum priority_class priority, uint16_t index, struct plan *plan,
                       struct money *out_cost)
{
    const struct place_node *node = &option->site->nodes[index];
    struct leaver leavers[NODE_HOLDS_MAX];
    struct place_node copy = *node;
    uint32_t count = leavers_find(placer, node, priority, &copy, leavers);
    struct money cost = {0};
    if (!leavers_choose(&option->need, &copy, leavers, count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!leavers[i].goes)
            continue;
        cost = money_add_saturated(cost, leavers[i].loss);
        if (plan != NULL && !plan_add(plan, &leavers[i]))
            return false;
    }
    *out_cost = cost;
    return true;
}

/* ---- one site */

struct candidate {
    struct money cost;
    uint16_t node;
};

static int candidate_compare(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->cost.micros != y->cost.micros)
        return x->cost.micros < y->cost.micros ? -1 : 1;
    return x->node - y->node;
}

static bool is_promised_to(const struct place_reservation *r, const struct place_site *site,
                           uint16_t node)
{
    for (uint32_t i = 0; i < r->nodes_reserved && r->site == site; i++)
        if (r->nodes[i] == node)
            return true;
    return false;
}

/* The cheapest nodes of the option's, each by itself. */
static bool plan_make(const struct placer *placer, const struct place_reservation *r,
                      const struct place_option *option, struct plan *out)
{
    const struct place_site *site = option->site;
    struct candidate found[SITE_NODES_MAX];
    uint32_t count = 0, ranks = option->need.ranks;
    for (uint32_t n = 0; n < site->node_count; n++) {
        const struct place_node *node = &site->nodes[n];
        struct candidate candidate = {.node = (uint16_t)n};
        if (!place_option_may_use(placer, option, node) ||
            (node->is_reserved && !is_promised_to(r, site, candidate.node)) ||
            !node_clear(placer, option, r->priority, candidate.node, NULL, &candidate.cost))
            continue;
        found[count++] = candidate;
    }
    if (count < ranks)
        return false;
    qsort(found, count, sizeof(*found), candidate_compare);
    out->option = option;
    out->leaving_count = 0;
    out->loss = (struct money){0};
    for (uint32_t i = 0; i < ranks; i++) {
        struct money cost;
        out->nodes[i] = found[i].node;
        if (!node_clear(placer, option, r->priority, found[i].node, out, &cost))
            return false; /* too many would have to go */
    }
    return true;
}

/* ---- one head */

static bool has_lower(const struct place_site *site, enum priority_class priority)
{
    uint32_t count = site->leaving_count;
    for (uint32_t p = 0; p < (uint32_t)priority; p++)
        count += site->class_holds[p];
    return count > 0;
}

/* The cheapest plan over the first sites, by price, that could do. */
static bool plan_best(struct placer *placer, const struct place_reservation *r,
                      const struct place_queued *queued, struct plan *best)
{
    const struct place_job *job = &queued->job;
    struct place_shape *shape = queued->group->shape;
    uint32_t variants = place_variants_allowed(queued->group->tenant, job->spec), looked_at = 0;
    bool passes_avoided = place_passes_avoided(placer, job, shape, variants), has_plan = false;
    struct plan *trial = calloc(1, sizeof(*trial));
    ASSERT(trial != NULL);
    for (uint32_t i = 0; i < shape->option_count && looked_at < SITES_LOOKED_AT_MAX; i++) {
        const struct place_option *option = &shape->options[i];
        if (!option->site->is_open || !(variants >> option->variant & 1) ||
            (passes_avoided && id_is_equal(option->site->site.id.id, job->avoid.id)) ||
            !has_lower(option->site, r->priority) || !place_is_affordable(placer, job, option))
            continue;
        looked_at++;
        if (!plan_make(placer, r, option, trial) ||
            (has_plan && trial->loss.micros >= best->loss.micros))
            continue;
        *best = *trial;
        has_plan = true;
    }
    free(trial);
    return has_plan;
}

/* All of its nodes are free once those that leave are gone. */
static bool is_coming(const struct placer *placer, const struct place_reservation *r,
                      const struct place_option *option)
{
    for (uint32_t i = 0; i < r->nodes_reserved; i++) {
        struct leaver leavers[NODE_HOLDS_MAX];
        const struct place_node *node = &r->site->nodes[r->nodes[i]];
        struct place_node copy = *node;
        (void)leavers_find(placer, node, PRIORITY_SURPLUS, &copy, leavers);
        if (!stock_node_fits(&copy, &option->need))
            return false;
    }
    return r->site->is_open;
}

static bool is_worth_it(const struct placer *placer, const struct place_reservation *r,
                        const struct place_queued *queued)
{
    return r->priority > PRIORITY_SURPLUS && r->looked_at_holds != placer->hold_changes &&
           boot_since(r->start, placer->now.boot).ms > PATIENCE_MS &&
           place_variants_allowed(queued->group->tenant, queued->job.spec) != 0 &&
           place_array_is_open(placer, queued->job.spec) &&
           !is_coming(placer, r, place_reservation_option(r, queued->group->shape));
}

void placer_leave(struct placer *placer, struct job_id job)
{
    struct place_hold *hold = idmap_get(&placer->holds, job.id);
    if (hold == NULL || hold->is_leaving)
        return;
    hold->is_leaving = true;
    hold->site->leaving_count++;
    placer->hold_changes++;
}

uint32_t placer_preempt(struct placer *placer, struct now now, struct job_id out[PLACE_LEAVING_MAX])
{
    struct plan *plan = calloc(1, sizeof(*plan));
    uint32_t count = 0;
    ASSERT(plan != NULL);
    placer->now = now;
    for (uint32_t i = 0; i < placer->reservation_count && count == 0 && !placer->is_stale; i++) {
        struct place_reservation *r = placer->reservations[i];
        const struct place_queued *queued = idmap_get(&placer->queued, r->job.id);
        ASSERT(queued != NULL);
        if (!is_worth_it(placer, r, queued))
            continue;
        r->looked_at_holds = placer->hold_changes;
        if (!plan_best(placer, r, queued, plan))
            continue;
        for (; count < plan->leaving_count; count++) {
            out[count] = plan->leaving[count]->job.id;
            placer_leave(placer, out[count]);
        }
        place_reservation_move(placer, i, plan->option, plan->nodes);
    }
    free(plan);
    return count;
}
