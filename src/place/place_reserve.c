/* Reservations: the first jobs that must wait get a site and nodes that others may have only for
 * work that ends before the reservation starts.
 *
 * The site: of those that could have the job, the one where the smallest part of the nodes has to
 * come free first. The nodes: those that come free first when every hold goes to its limit. So a
 * reservation starts at the latest when the longest hold that stood when it was made has reached
 * its limit. It is kept until its job starts or is no longer among the first, or until sites or
 * rules change. Its start is kept on the boot clock: a wall clock that jumps opens no gap. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "place/place_state.h"

enum { HEADS_LOOKED_AT_MAX = 64 };

static void nodes_reserve(const struct place_reservation *r, bool is_reserved)
{
    for (uint32_t i = 0; i < r->nodes_reserved; i++) {
        r->site->nodes[r->nodes[i]].is_reserved = is_reserved;
        stock_update(r->site, r->nodes[i]);
    }
}

int place_reservation_of(const struct placer *placer, struct job_id job)
{
    for (uint32_t i = 0; i < placer->reservation_count; i++)
        if (id_is_equal(placer->reservations[i]->job.id, job.id))
            return (int)i;
    return -1;
}

void place_reservation_drop(struct placer *placer, uint32_t index)
{
    struct place_reservation *r = placer->reservations[index];
    nodes_reserve(r, false);
    place_site_changed(placer, r->site, true);
    free(r);
    placer->reservation_count--;
    memmove(&placer->reservations[index], &placer->reservations[index + 1],
            (placer->reservation_count - index) * sizeof(placer->reservations[0]));
}

void place_reservations_drop(struct placer *placer, const struct place_site *site)
{
    for (uint32_t i = placer->reservation_count; i > 0; i--)
        if (site == NULL || placer->reservations[i - 1]->site == site)
            place_reservation_drop(placer, i - 1);
}

struct place_option *place_reservation_option(const struct place_reservation *r,
                                              struct place_shape *shape)
{
    for (uint32_t i = 0; i < shape->option_count; i++)
        if (shape->options[i].site == r->site && shape->options[i].variant == r->variant &&
            shape->options[i].stock == r->stock)
            return &shape->options[i];
    ASSERT(!"a reservation goes with its options");
    return NULL;
}

bool place_reservation_is_ripe(const struct place_reservation *r, const struct place_option *option)
{
    for (uint32_t i = 0; i < r->nodes_reserved; i++)
        if (!stock_node_fits(&r->site->nodes[r->nodes[i]], &option->need))
            return false;
    return r->site->is_open;
}

static int64_t window_ms(const struct placer *placer, const struct place_reservation *r)
{
    return boot_since(r->start, placer->now.boot).ms;
}

bool place_reservation_allows(const struct placer *placer, const struct place_site *site,
                              uint32_t node, struct job_id job, int64_t ends_in_ms)
{
    for (uint32_t i = 0; i < placer->reservation_count; i++) {
        const struct place_reservation *r = placer->reservations[i];
        if (r->site != site || id_is_equal(r->job.id, job.id) || ends_in_ms <= window_ms(placer, r))
            continue;
        for (uint32_t n = 0; n < r->nodes_reserved; n++)
            if (r->nodes[n] == node)
                return false;
    }
    return true;
}

uint32_t place_reservation_steps(const struct placer *placer, const struct place_site *site,
                                 uint8_t out[PLACE_RESERVATIONS_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < placer->reservation_count; i++) {
        const struct place_reservation *r = placer->reservations[i];
        if (r->site != site)
            continue;
        int step = -1;
        while (step + 1 < PLACE_STEPS &&
               place_step_limit((uint8_t)(step + 1)).ms <= window_ms(placer, r))
            step++;
        if (step < 0)
            continue;
        uint32_t at = 0;
        while (at < count && out[at] > step)
            at++;
        if (at < count && out[at] == step)
            continue;
        memmove(&out[at + 1], &out[at], count - at);
        out[at] = (uint8_t)step;
        count++;
    }
    return count;
}

void place_reservations_lend(struct placer *placer, struct place_site *site, uint8_t step,
                             bool is_lent)
{
    for (uint32_t i = 0; i < placer->reservation_count; i++) {
        const struct place_reservation *r = placer->reservations[i];
        if (r->site == site && place_step_limit(step).ms <= window_ms(placer, r))
            nodes_reserve(r, !is_lent);
    }
}

/* ---- making one */

struct candidate {
    int64_t at_ms;
    uint16_t node;
};

static int candidate_compare(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    return x->node - y->node;
}

/* When each node has nothing left that runs now, if all goes to its limit. */
static void ends_of(const struct place_site *site, int64_t now_ms, int64_t *ends)
{
    for (const struct place_hold *hold = site->holds; hold != NULL; hold = hold->site_next) {
        int64_t end_ms = place_hold_end(hold, now_ms, true);
        for (uint32_t r = 0; r < hold->nodes; r++)
            if (hold->places[r].node < site->node_count && ends[hold->places[r].node] < end_ms)
                ends[hold->places[r].node] = end_ms;
    }
}

static bool could_have(const struct placer *placer, const struct place_option *option,
                       const struct place_node *node)
{
    const struct place_need *need = &option->need;
    const struct place_site *site = option->site;
    bool is_stock = node->stock < site->stock_count &&
                    (option->stock == UINT8_MAX || option->stock == node->stock);
    return is_stock && node->is_up && !node->is_reserved &&
           stock_suits(placer, &site->stocks[node->stock],
                       &option->shape->job.spec->variants[option->variant]) &&
           node->cpu_milli_seen >= need->cpu_milli && node->mem_bytes_seen >= need->mem_bytes &&
           (uint32_t)__builtin_popcount(node->devices_seen) >= need->devices;
}

static struct place_reservation *reservation_make(const struct placer *placer,
                                                  const struct place_job *job,
                                                  const struct place_option *option)
{
    struct place_site *site = option->site;
    int64_t now_ms = placer->now.wall.us / 1000;
    int64_t *ends = calloc(site->node_count + 1, sizeof(*ends));
    struct candidate *found = calloc(site->node_count + 1, sizeof(*found));
    struct place_reservation *made = NULL;
    uint32_t count = 0;
    ASSERT(ends != NULL && found != NULL);
    ends_of(site, now_ms, ends);
    for (uint32_t n = 0; n < site->node_count; n++)
        if (could_have(placer, option, &site->nodes[n])) {
            bool fits = stock_node_fits(&site->nodes[n], &option->need);
            found[count++] = (struct candidate){fits ? now_ms : ends[n], (uint16_t)n};
        }
    if (count >= option->need.ranks) {
        qsort(found, count, sizeof(*found), candidate_compare);
        made = calloc(1, sizeof(*made));
        ASSERT(made != NULL);
        int64_t wait_ms = found[option->need.ranks - 1].at_ms - now_ms;
        *made = (struct place_reservation){.job = job->id,
                                           .site = site,
                                           .variant = option->variant,
                                           .stock = option->stock,
                                           .start = boot_add(placer->now.boot, SPAN_MS(wait_ms)),
                                           .nodes_reserved = option->need.ranks,
                                           .is_fresh = true};
        for (uint32_t r = 0; r < option->need.ranks; r++)
            made->nodes[r] = found[r].node;
    }
    free(found);
    free(ends);
    return made;
}

static uint64_t lacking(const struct place_option *option, uint32_t *out_nodes)
{
    const struct place_site *site = option->site;
    uint32_t has = 0, nodes = 0;
    for (uint32_t s = 0; s < site->stock_count; s++)
        if (option->stock == UINT8_MAX || option->stock == s) {
            has += site->stocks[s].at_least[option->need.devices];
            nodes += site->stocks[s].node_count;
        }
    *out_nodes = nodes;
    return has >= option->need.ranks ? 0 : option->need.ranks - has;
}

/* The option, not tried yet, with the smallest part of its nodes still to come free. */
static struct place_option *option_next(struct placer *placer, const struct place_job *job,
                                        struct place_shape *shape, uint32_t variants,
                                        bool passes_avoided, const bool *tried)
{
    struct place_option *best = NULL;
    uint64_t best_lack = 0;
    uint32_t best_nodes = 1;
    for (uint32_t i = 0; i < shape->option_count; i++) {
        struct place_option *option = &shape->options[i];
        struct place_score score;
        uint32_t nodes;
        if (tried[i] || !option->site->is_open || !(variants >> option->variant & 1) ||
            (passes_avoided && id_is_equal(option->site->site.id.id, job->avoid.id)))
            continue;
        uint64_t lack = lacking(option, &nodes);
        if (best != NULL && lack * best_nodes >= best_lack * nodes)
            continue;
        if (job->spec->budget.micros > 0) {
            place_score_of(placer, job, option, place_expected(placer, job), SPAN_MS(0), 0, &score);
            if (place_is_over_budget(job, &score))
                continue;
        }
        best = option;
        best_lack = lack;
        best_nodes = nodes;
    }
    return best;
}

static bool reserve(struct placer *placer, const struct place_group *group)
{
    const struct place_job *job = &group->first->job;
    struct place_shape *shape = group->shape;
    uint32_t variants = place_variants_allowed(group->tenant, job->spec);
    bool *tried = calloc(shape->option_count + 1, sizeof(*tried));
    struct place_reservation *made = NULL;
    ASSERT(tried != NULL);
    bool passes_avoided = place_passes_avoided(placer, job, shape, variants);
    struct place_option *option;
    while (made == NULL &&
           (option = option_next(placer, job, shape, variants, passes_avoided, tried)) != NULL) {
        made = reservation_make(placer, job, option);
        tried[option - shape->options] = true;
    }
    free(tried);
    if (made == NULL)
        return false;
    placer->reservations[placer->reservation_count++] = made;
    nodes_reserve(made, true);
    place_site_changed(placer, made->site, false);
    return true;
}

struct heads {
    struct place_group *groups[PLACE_RESERVATIONS_MAX];
    uint32_t count;
    bool is_cut_short; /* by one that can start: it goes before those behind it */
};

static void heads_add(const struct placer *placer, struct heads *heads, struct place_group *group)
{
    uint32_t variants = place_variants_allowed(group->tenant, group->first->job.spec);
    if (group->shape->option_count == 0 || variants == 0 || group->barren == placer->supply)
        return;
    if (group->parked_in == NULL && shape_is_open(group->shape, group->step))
        heads->is_cut_short = true;
    else
        heads->groups[heads->count++] = group;
}

/* The first groups in order that cannot start although quota and their arrays allow it and some
 * site could have them. */
static struct heads heads_find(const struct placer *placer)
{
    struct heads heads = {.count = 0};
    struct place_mask marks = placer->used;
    uint32_t looked_at = 0;
    mask_set(&marks, MARK_PARKED, true);
    for (int p = PRIORITY_COUNT_ - 1; p >= 0; p--) {
        struct place_walk walk;
        struct place_group *group;
        place_walk_begin(&walk, placer, (enum priority_class)p, &marks);
        while (heads.count < PLACE_RESERVATIONS_MAX && !heads.is_cut_short &&
               looked_at++ < HEADS_LOOKED_AT_MAX && (group = place_walk_next(&walk)) != NULL)
            heads_add(placer, &heads, group);
    }
    return heads;
}

static bool is_head(const struct heads *heads, struct job_id job)
{
    for (uint32_t h = 0; h < heads->count; h++)
        if (id_is_equal(heads->groups[h]->first->job.id.id, job.id))
            return true;
    return false;
}

/* Makes room for a head: the last that is none goes. */
static bool room_make(struct placer *placer, const struct heads *heads)
{
    uint32_t before = placer->reservation_count;
    for (uint32_t i = placer->reservation_count;
         i > 0 && placer->reservation_count == PLACE_RESERVATIONS_MAX; i--)
        if (!is_head(heads, placer->reservations[i - 1]->job))
            place_reservation_drop(placer, i - 1);
    return placer->reservation_count < before;
}

/* Those behind head `first` give up theirs; they get new ones after it. */
static bool later_drop(struct placer *placer, const struct heads *heads, uint32_t first)
{
    bool has_dropped = false;
    for (uint32_t h = first + 1; h < heads->count; h++) {
        int index = place_reservation_of(placer, heads->groups[h]->first->job.id);
        if (index < 0)
            continue;
        place_reservation_drop(placer, (uint32_t)index);
        has_dropped = true;
    }
    return has_dropped;
}

bool place_reserve(struct placer *placer)
{
    struct heads heads = heads_find(placer);
    bool has_changed = false;
    for (uint32_t i = placer->reservation_count; i > 0 && !heads.is_cut_short; i--)
        if (!is_head(&heads, placer->reservations[i - 1]->job)) {
            place_reservation_drop(placer, i - 1);
            has_changed = true;
        }
    for (uint32_t h = 0; h < heads.count; h++) {
        struct place_group *group = heads.groups[h];
        if (place_reservation_of(placer, group->first->job.id) >= 0)
            continue;
        has_changed = room_make(placer, &heads) || has_changed;
        bool is_made = reserve(placer, group);
        if (!is_made && later_drop(placer, &heads, h)) {
            has_changed = true;
            is_made = reserve(placer, group);
        }
        if (!is_made) /* no site could promise it nodes, as far as is measured */
            group->barren = placer->supply;
        has_changed = has_changed || is_made;
    }
    return has_changed;
}

/* ---- snapshots */

bool placer_promise_read(const struct placer *placer, uint32_t index, struct place_promise *out)
{
    if (index >= placer->reservation_count)
        return false;
    const struct place_reservation *r = placer->reservations[index];
    *out = (struct place_promise){.job = r->job,
                                  .site = r->site->site.id,
                                  .variant = r->variant,
                                  .stock = r->stock,
                                  .start = r->start,
                                  .nodes = r->nodes_reserved};
    memcpy(out->node, r->nodes, r->nodes_reserved * sizeof(out->node[0]));
    return true;
}

enum err placer_promise_put(struct placer *placer, const struct place_promise *promise)
{
    struct place_site *site = place_site_find(placer, promise->site);
    const struct place_queued *queued = idmap_get(&placer->queued, promise->job.id);
    if (site == NULL || queued == NULL || placer->reservation_count == PLACE_RESERVATIONS_MAX ||
        promise->nodes != queued->job.spec->num_nodes)
        return ERR_NOT_FOUND;
    for (uint32_t i = 0; i < promise->nodes; i++)
        if (promise->node[i] >= site->node_count || site->nodes[promise->node[i]].is_reserved)
            return ERR_NOT_FOUND;
    place_settle(placer);
    struct place_reservation *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return ERR_NO_MEMORY;
    *r = (struct place_reservation){.job = promise->job,
                                    .site = site,
                                    .variant = promise->variant,
                                    .stock = promise->stock,
                                    .start = promise->start,
                                    .nodes_reserved = promise->nodes,
                                    .is_fresh = true};
    memcpy(r->nodes, promise->node, promise->nodes * sizeof(r->nodes[0]));
    placer->reservations[placer->reservation_count++] = r;
    nodes_reserve(r, true);
    place_site_changed(placer, site, false);
    return ERR_OK;
}
