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

enum {
    HEADS_LOOKED_AT_MAX = 64,
    CANDIDATES_SPARE = 64, /* nodes looked at for a reservation beyond those that it needs */
};

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
    r->site->has_lent_changed = true;
    for (uint32_t i = 0; i < r->nodes_reserved; i++)
        place_node_grew(placer, r->site, r->nodes[i]);
    free(r);
    placer->must_reserve = true;
    placer->reservation_count--;
    memmove(&placer->reservations[index], &placer->reservations[index + 1],
            (placer->reservation_count - index) * sizeof(placer->reservations[0]));
}

void place_reservation_move(struct placer *placer, uint32_t index,
                            const struct place_option *option, const uint16_t *nodes)
{
    struct place_reservation *r = placer->reservations[index];
    nodes_reserve(r, false);
    r->site->has_lent_changed = true;
    for (uint32_t i = 0; i < r->nodes_reserved; i++)
        place_node_grew(placer, r->site, r->nodes[i]);
    r->site = option->site;
    r->variant = option->variant;
    r->stock = option->stock;
    r->start = placer->now.boot;
    r->is_fresh = true;
    memcpy(r->nodes, nodes, r->nodes_reserved * sizeof(r->nodes[0]));
    nodes_reserve(r, true);
    r->site->has_lent_changed = true;
    place_nodes_shrank(placer, r->site, r->nodes_reserved);
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

static uint8_t steps_before(const struct placer *placer, const struct place_reservation *r)
{
    uint8_t steps = 0;
    while (steps < PLACE_STEPS - 1 && place_step_limit(steps).ms <= window_ms(placer, r))
        steps++;
    return steps;
}

static bool lent_is_covered(const struct place_lent *lent, const struct place_lent *known,
                            uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (known[i].cpu_milli >= lent->cpu_milli && known[i].mem_bytes >= lent->mem_bytes &&
            known[i].devices >= lent->devices && known[i].stock == lent->stock &&
            known[i].steps >= lent->steps)
            return true;
    return false;
}

uint32_t place_lent_find(const struct placer *placer, const struct place_site *site,
                         struct place_lent out[PLACE_LENT_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < placer->reservation_count; i++) {
        const struct place_reservation *r = placer->reservations[i];
        uint8_t steps = r->site == site ? steps_before(placer, r) : 0;
        for (uint32_t n = 0; n < r->nodes_reserved && steps > 0 && count < PLACE_LENT_MAX; n++) {
            const struct place_node *node = &site->nodes[r->nodes[n]];
            const struct place_lent lent = {.cpu_milli = place_node_cpu_free(node),
                                            .devices = (uint8_t)place_node_device_count(node),
                                            .stock = node->stock,
                                            .steps = steps,
                                            .mem_bytes = place_node_mem_free(node)};
            if (lent.cpu_milli > 0 && !lent_is_covered(&lent, out, count))
                out[count++] = lent;
        }
    }
    return count;
}

uint32_t place_lent_pick(const struct placer *placer, const struct place_option *option,
                         uint8_t step)
{
    const struct place_site *site = option->site;
    const struct job_spec *spec = option->shape != NULL ? option->shape->job.spec : NULL;
    uint32_t best = UINT32_MAX;
    uint64_t best_order = UINT64_MAX;
    for (uint32_t i = 0; i < placer->reservation_count && option->need.ranks == 1; i++) {
        const struct place_reservation *r = placer->reservations[i];
        if (r->site != site || steps_before(placer, r) <= step)
            continue;
        for (uint32_t n = 0; n < r->nodes_reserved; n++) {
            const struct place_node *node = &site->nodes[r->nodes[n]];
            if (!stock_node_fits(node, &option->need) ||
                (option->stock != UINT8_MAX && option->stock != node->stock) ||
                (option->stock == UINT8_MAX && spec != NULL &&
                 !stock_suits(placer, &site->stocks[node->stock],
                              &spec->variants[option->variant])))
                continue;
            uint64_t order = (uint64_t)place_node_device_count(node) << 48 |
                             (uint64_t)place_node_cpu_free(node) << 16 | r->nodes[n];
            if (order < best_order) {
                best_order = order;
                best = r->nodes[n];
            }
        }
    }
    return best;
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

bool place_option_may_use(const struct placer *placer, const struct place_option *option,
                          const struct place_node *node)
{
    const struct place_need *need = &option->need;
    return node->is_up && node->stock < option->site->stock_count &&
           (option->stock == UINT8_MAX || option->stock == node->stock) &&
           stock_suits(placer, &option->site->stocks[node->stock],
                       &option->shape->job.spec->variants[option->variant]) &&
           node->cpu_milli_seen >= need->cpu_milli && node->mem_bytes_seen >= need->mem_bytes &&
           (uint32_t)__builtin_popcount(node->devices_seen) >= need->devices;
}

/* Of the nodes with the most free, those that are empty first. */
static uint32_t candidates_find(const struct placer *placer, const struct place_option *option,
                                uint32_t max, struct candidate *out)
{
    const struct place_site *site = option->site;
    int64_t now_ms = placer->now.wall.us / 1000;
    uint16_t nodes[SITE_NODES_MAX];
    uint32_t count = stock_emptiest(option, max, nodes), found = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct place_node *node = &site->nodes[nodes[i]];
        if (!place_option_may_use(placer, option, node))
            continue;
        int64_t at_ms =
            stock_node_fits(node, &option->need) ? now_ms : place_node_end(node, now_ms);
        out[found++] = (struct candidate){at_ms, nodes[i]};
    }
    qsort(out, found, sizeof(*out), candidate_compare);
    return found;
}

static struct place_reservation *reservation_make(const struct placer *placer,
                                                  const struct place_job *job,
                                                  const struct place_option *option)
{
    struct candidate found[SITE_NODES_MAX];
    uint32_t ranks = option->need.ranks, max = ranks + CANDIDATES_SPARE;
    uint32_t count =
        candidates_find(placer, option, max < SITE_NODES_MAX ? max : SITE_NODES_MAX, found);
    if (count < ranks) /* those with the most free are not the right ones */
        count = candidates_find(placer, option, SITE_NODES_MAX, found);
    if (count < ranks)
        return NULL;
    struct place_reservation *made = calloc(1, sizeof(*made));
    ASSERT(made != NULL);
    int64_t wait_ms = found[ranks - 1].at_ms - placer->now.wall.us / 1000;
    *made = (struct place_reservation){.job = job->id,
                                       .priority = job->spec->priority,
                                       .site = option->site,
                                       .variant = option->variant,
                                       .stock = option->stock,
                                       .start = boot_add(placer->now.boot, SPAN_MS(wait_ms)),
                                       .nodes_reserved = ranks,
                                       .is_fresh = true};
    for (uint32_t r = 0; r < ranks; r++)
        made->nodes[r] = found[r].node;
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
        uint32_t nodes;
        if (tried[i] || !option->site->is_open || !(variants >> option->variant & 1) ||
            (passes_avoided && id_is_equal(option->site->site.id.id, job->avoid.id)))
            continue;
        uint64_t lack = lacking(option, &nodes);
        if (best != NULL && lack * best_nodes >= best_lack * nodes)
            continue;
        if (!place_is_affordable(placer, job, option))
            continue;
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
    made->site->has_lent_changed = true;
    place_nodes_shrank(placer, made->site, made->nodes_reserved);
    return true;
}

struct heads {
    struct place_group *groups[PLACE_RESERVATIONS_MAX];
    uint32_t count;
    bool is_cut_short; /* by one that can start: it goes before those behind it */
};

static void heads_add(struct placer *placer, struct heads *heads, struct place_group *group)
{
    uint32_t variants = place_variants_allowed(group->tenant, group->first->job.spec);
    if (group->shape->option_count == 0 || variants == 0 || group->barren == placer->supply)
        return;
    if (group->parked_in == NULL && place_pending_tell(placer, group->shape))
        heads->is_cut_short = true;
    else
        heads->groups[heads->count++] = group;
}

/* The first groups in order that cannot start although quota and their arrays allow it and some
 * site could have them. */
static struct heads heads_find(struct placer *placer)
{
    struct heads heads = {.count = 0};
    struct place_mask marks = placer->used;
    uint32_t looked_at = 0;
    mask_set(&marks, MARK_PARKED, true);
    mask_set(&marks, MARK_BARREN, place_has_fertile(placer));
    for (int p = PRIORITY_COUNT_ - 1;
         p >= 0 && heads.count < PLACE_RESERVATIONS_MAX && !heads.is_cut_short; p--) {
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
    placer->must_reserve = false;
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
        /* No site could promise it nodes, as far as is measured. */
        place_group_barren(placer, group, !is_made);
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
                                    .priority = queued->job.spec->priority,
                                    .site = site,
                                    .variant = promise->variant,
                                    .stock = promise->stock,
                                    .start = promise->start,
                                    .nodes_reserved = promise->nodes,
                                    .is_fresh = true};
    memcpy(r->nodes, promise->node, promise->nodes * sizeof(r->nodes[0]));
    placer->reservations[placer->reservation_count++] = r;
    nodes_reserve(r, true);
    site->has_lent_changed = true;
    place_nodes_shrank(placer, site, r->nodes_reserved);
    return ERR_OK;
}
