/* Which nodes go to those who wait, were pool work gone where it must (drive/slurm_reclaim.h). */
#include <stdlib.h>

#include "drive/slurm_demand.h"

/* ---- what a node has */

static void take(struct demand_room *room, const struct demand_room *need)
{
    room->cpus -= need->cpus;
    room->mem_bytes -= need->mem_bytes;
    for (uint32_t k = 0; k < SLURM_GRES_MAX; k++)
        room->gres[k] -= need->gres[k];
}

static void give(struct demand_room *room, const struct demand_room *held)
{
    room->cpus += held->cpus;
    room->mem_bytes += held->mem_bytes;
    for (uint32_t k = 0; k < SLURM_GRES_MAX; k++)
        room->gres[k] += held->gres[k];
}

static bool fits(const struct demand_room *room, const struct demand_room *need)
{
    bool is_fit = room->cpus >= need->cpus && room->mem_bytes >= need->mem_bytes;
    for (uint32_t k = 0; k < SLURM_GRES_MAX; k++)
        is_fit = is_fit && room->gres[k] >= need->gres[k];
    return is_fit;
}

/* "gpu" is any of "gpu:a100", "gpu:h100"; "gpu:a100" is itself alone. */
static bool is_kind(struct slice asked, struct slice kind)
{
    return slice_is_equal(asked, kind) ||
           (slice_has_prefix(kind, asked) && kind.len > asked.len && kind.data[asked.len] == ':');
}

/* A list of GRES in the node's kinds, from the first that has enough on. False: it has too few. */
static bool place_gres(struct slice list, const struct slurm_node *node, struct demand_room *out)
{
    struct slurm_gres asked[SLURM_GRES_MAX];
    uint32_t count = slurm_gres_parse(list, asked);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t left = asked[i].count;
        for (uint32_t k = 0; k < node->gres_count && left > 0; k++) {
            uint32_t has = node->gres[k].count;
            if (!is_kind(asked[i].type, node->gres[k].type))
                continue;
            uint32_t part = left < has ? left : has;
            out->gres[k] += part;
            left -= part;
        }
        if (left > 0)
            return false;
    }
    return true;
}

static void room_of(const struct slurm_node *node, struct demand_room *out)
{
    *out = (struct demand_room){
        .cpus = (int64_t)node->cpus - node->cpus_used,
        .mem_bytes = (int64_t)node->mem_bytes - (int64_t)node->mem_bytes_used,
    };
    for (uint32_t k = 0; k < node->gres_count; k++)
        out->gres[k] = (int64_t)node->gres[k].count -
                       slurm_gres_count(node->used, node->used_count, node->gres[k].type);
}

static bool need_of(const struct slurm_demand *demand, const struct slurm_node *node,
                    struct demand_room *out)
{
    uint32_t cpus = (demand->cpus + demand->node_count - 1) / demand->node_count;
    *out = (struct demand_room){.cpus = demand->is_exclusive ? node->cpus : cpus,
                                .mem_bytes = (int64_t)demand->mem_bytes_per_node};
    return place_gres(demand->gres_per_node, node, out) && out->cpus <= node->cpus &&
           out->mem_bytes <= (int64_t)node->mem_bytes;
}

/* ---- names to nodes */

struct naming {
    const struct slurm_node *nodes;
    uint32_t count;
    void (*visit)(void *context, uint32_t node);
    void *context;
};

static void on_name(void *context, struct slice host)
{
    const struct naming *naming = context;
    for (uint32_t i = 0; i < naming->count; i++)
        if (slice_is_equal(naming->nodes[i].name, host)) {
            naming->visit(naming->context, i);
            return;
        }
}

static void each_node(const struct demand_plan *plan, struct slice hosts,
                      void (*visit)(void *context, uint32_t node), void *context)
{
    struct naming naming = {plan->nodes, plan->node_count, visit, context};
    (void)!slurm_hosts_each(hosts, on_name, &naming); /* what is readable of it counts */
}

/* ---- pool work on the nodes */

struct holding {
    struct demand_plan *plan;
    uint32_t job;
    struct demand_room each;
};

static void hold(void *context, uint32_t node)
{
    struct holding *holding = context;
    struct demand_node *at = &holding->plan->places[node];
    const struct slurm_job *job = &holding->plan->jobs->ours[holding->job];
    struct demand_room held = holding->each;
    if (at->held_count == DEMAND_HELD_MAX ||
        !place_gres(job->gres_per_node, &holding->plan->nodes[node], &held))
        return; /* counted as the owner's: nobody is blamed for it */
    at->held[at->held_count++] = (struct demand_held){holding->job, held};
}

static void hold_all(struct demand_plan *plan)
{
    for (uint32_t i = 0; i < plan->jobs->our_count; i++) {
        const struct slurm_job *job = &plan->jobs->ours[i];
        if (job->state != SLURM_LIVES || job->hosts.len == 0 || job->node_count == 0)
            continue;
        struct holding holding = {.plan = plan,
                                  .job = i,
                                  .each = {.cpus = job->cpus / job->node_count,
                                           .mem_bytes = (int64_t)job->mem_bytes_per_node}};
        each_node(plan, job->hosts, hold, &holding);
    }
}

/* ---- one who waits */

struct choice { /* a node that could be its */
    uint32_t node;
    uint32_t evicted;       /* pool jobs that would have to go, the first of the node's list */
    int64_t oldest_start_s; /* of those that are not leaving yet; INT64_MAX: none */
    struct demand_room need;
};

/* What is free already, then what comes free by itself, then where the least work is lost. */
static int choice_compare(const void *a, const void *b)
{
    const struct choice *left = a, *right = b;
    bool left_free = left->evicted == 0, right_free = right->evicted == 0;
    if (left_free != right_free)
        return left_free ? -1 : 1;
    if (left->oldest_start_s != right->oldest_start_s)
        return left->oldest_start_s > right->oldest_start_s ? -1 : 1;
    return left->node < right->node ? -1 : left->node > right->node;
}

static bool is_leaving(const struct slurm_job *job)
{
    return !job->is_running;
}

/* Leaving ones first, then the youngest. */
static int64_t age_key(const struct demand_plan *plan, const struct demand_held *held)
{
    const struct slurm_job *job = &plan->jobs->ours[held->job];
    return is_leaving(job) ? INT64_MAX : job->start_s;
}

static void sort_held(const struct demand_plan *plan, struct demand_node *at)
{
    for (uint32_t i = 1; i < at->held_count; i++)
        for (uint32_t j = i; j > 0 && age_key(plan, &at->held[j]) > age_key(plan, &at->held[j - 1]);
             j--) {
            struct demand_held swap = at->held[j];
            at->held[j] = at->held[j - 1];
            at->held[j - 1] = swap;
        }
}

/* Could the node be its, at the cost of which pool work? */
static bool weigh(const struct demand_plan *plan, const struct slurm_demand *demand, uint32_t node,
                  struct choice *out)
{
    const struct demand_node *at = &plan->places[node];
    struct demand_room room = at->room;
    *out = (struct choice){.node = node, .oldest_start_s = INT64_MAX};
    if (!need_of(demand, &plan->nodes[node], &out->need))
        return false;
    while (!fits(&room, &out->need) && out->evicted < at->held_count) {
        const struct demand_held *held = &at->held[out->evicted++];
        int64_t key = age_key(plan, held);
        give(&room, &held->room);
        out->oldest_start_s = key < out->oldest_start_s ? key : out->oldest_start_s;
    }
    return fits(&room, &out->need);
}

static bool is_in_list(struct slice list, struct slice name)
{
    struct slice one;
    while (list.len > 0) {
        if (!slice_cut(list, ',', &one, &list)) {
            one = list;
            list = (struct slice){0};
        }
        if (slice_is_equal(one, name))
            return true;
    }
    return false;
}

static bool is_reachable(const struct slurm_demand *demand, const struct slurm_node *node)
{
    bool is_in = demand->partitions.len == 0;
    for (uint32_t p = 0; p < node->partition_count && !is_in; p++)
        is_in = is_in_list(demand->partitions, node->partitions[p]);
    return is_in && node->is_usable;
}

struct marking {
    bool *marks;
    bool value;
};

static void mark(void *context, uint32_t node)
{
    const struct marking *marking = context;
    marking->marks[node] = marking->value;
}

static void choose(struct demand_plan *plan, const struct choice *choice,
                   struct demand_verdict *verdict)
{
    struct demand_node *at = &plan->places[choice->node];
    for (uint32_t i = 0; i < choice->evicted; i++) {
        give(&at->room, &at->held[i].room);
        plan->is_in_way[at->held[i].job] = true;
        verdict->attempts++;
    }
    for (uint32_t i = choice->evicted; i < at->held_count; i++)
        at->held[i - choice->evicted] = at->held[i];
    at->held_count -= choice->evicted;
    take(&at->room, &choice->need);
    at->is_promised = true;
    verdict->is_held_up = verdict->is_held_up || choice->evicted > 0;
}

static void place(struct demand_plan *plan, const struct slurm_demand *demand,
                  struct demand_verdict *verdict)
{
    uint32_t count = 0, wanted = demand->node_count, named = 0;
    struct marking allowed = {plan->marks, true}, excluded = {plan->marks, false};
    for (uint32_t i = 0; i < plan->node_count; i++)
        plan->marks[i] = demand->hosts.len == 0;
    if (demand->hosts.len > 0)
        each_node(plan, demand->hosts, mark, &allowed);
    for (uint32_t i = 0; i < plan->node_count; i++)
        named += plan->marks[i];
    if (demand->hosts.len > 0 && named < wanted)
        wanted = named; /* the rest is anybody's guess */
    each_node(plan, demand->excluded, mark, &excluded);
    struct choice *choices = plan->choices;
    for (uint32_t i = 0; i < plan->node_count; i++)
        if (plan->marks[i] && is_reachable(demand, &plan->nodes[i]) &&
            weigh(plan, demand, i, &choices[count]))
            count++;
    if (wanted == 0 || count < wanted)
        return; /* it waits for its own kind */
    qsort(choices, count, sizeof(*choices), choice_compare);
    verdict->is_placed = true;
    for (uint32_t i = 0; i < wanted; i++)
        choose(plan, &choices[i], verdict);
}

/* ---- all who wait */

static int demand_compare(const void *a, const void *b)
{
    const struct slurm_demand *left = *(const struct slurm_demand *const *)a;
    const struct slurm_demand *right = *(const struct slurm_demand *const *)b;
    if (left->priority != right->priority)
        return left->priority > right->priority ? -1 : 1;
    return left->id < right->id ? -1 : left->id > right->id;
}

static bool make_room(struct demand_plan *plan, struct arena *arena)
{
    uint32_t demands = plan->jobs->demand_count;
    plan->places = arena_array(arena, plan->node_count + 1, sizeof(*plan->places));
    plan->marks = arena_array(arena, plan->node_count + 1, sizeof(*plan->marks));
    plan->choices = arena_array(arena, plan->node_count + 1, sizeof(struct choice));
    plan->is_in_way = arena_array(arena, plan->jobs->our_count + 1, sizeof(*plan->is_in_way));
    plan->verdicts = arena_array(arena, demands + 1, sizeof(*plan->verdicts));
    return plan->places != NULL && plan->marks != NULL && plan->choices != NULL &&
           plan->is_in_way != NULL && plan->verdicts != NULL;
}

enum err demand_plan_make(struct demand_plan *plan, const bool *is_owners, struct arena *arena)
{
    uint32_t demands = plan->jobs->demand_count;
    const struct slurm_demand **order = arena_array(arena, demands + 1, sizeof(*order));
    if (order == NULL || !make_room(plan, arena))
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < plan->node_count; i++)
        room_of(&plan->nodes[i], &plan->places[i].room);
    hold_all(plan);
    for (uint32_t i = 0; i < plan->node_count; i++)
        sort_held(plan, &plan->places[i]);
    for (uint32_t i = 0; i < demands; i++)
        order[i] = &plan->jobs->demands[i];
    qsort(order, demands, sizeof(const struct slurm_demand *), demand_compare);
    for (uint32_t i = 0; i < demands && i < DEMANDS_MAX; i++) {
        size_t at = (size_t)(order[i] - plan->jobs->demands);
        if (is_owners[at])
            place(plan, order[i], &plan->verdicts[at]);
    }
    return ERR_OK;
}
