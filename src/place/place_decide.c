/* Deciding: the next job that can start, and its best place. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "place/place_state.h"

/* ---- where */

struct chooser {
    struct placer *placer;
    const struct place_job *job;
    struct span_ms runs;
    uint32_t variants; /* bits: those that quota allows */
    uint8_t step;
    bool passes_avoided;
};

/* The avoided site is passed where another, open and within the budget, could take the job now or
 * later. */
bool place_passes_avoided(const struct placer *placer, const struct place_job *job,
                          const struct place_shape *shape, uint32_t variants)
{
    for (uint32_t i = 0; i < shape->option_count && !id_is_none(job->avoid.id); i++) {
        const struct place_option *option = &shape->options[i];
        if (option->site->is_open && (variants >> option->variant & 1) &&
            !id_is_equal(option->site->site.id.id, job->avoid.id) &&
            place_is_affordable(placer, job, option))
            return true;
    }
    return false;
}

/* The devices left over; UINT32_MAX: it does not fit after all. */
static uint32_t option_pick(struct placer *placer, const struct place_option *option, uint8_t step,
                            uint16_t *out_nodes)
{
    if (option_fit(option) == PLACE_STEPS)
        return stock_pick(option, out_nodes);
    uint32_t node = place_lent_pick(placer, option, step);
    if (node == UINT32_MAX)
        return UINT32_MAX;
    if (out_nodes != NULL)
        out_nodes[0] = (uint16_t)node;
    return place_node_device_count(&option->site->nodes[node]) - option->need.devices;
}

/* First choices before second ones; then money; of equals the first by site's name, variant and
 * stock. */
static bool is_better(const struct place_option *a, struct money a_total,
                      const struct place_option *b, struct money b_total)
{
    if (b == NULL || a->is_second != b->is_second)
        return b == NULL || b->is_second;
    if (a_total.micros != b_total.micros)
        return a_total.micros < b_total.micros;
    if (a->site != b->site)
        return a->site->index < b->site->index;
    return a->variant != b->variant ? a->variant < b->variant : a->stock < b->stock;
}

static bool option_score(const struct chooser *chooser, const struct place_option *option,
                         const struct place_choice *choice, struct place_score *out)
{
    if (!(chooser->variants >> option->variant & 1) ||
        (chooser->passes_avoided && id_is_equal(option->site->site.id.id, chooser->job->avoid.id)))
        return false;
    place_score_of(chooser->placer, chooser->job, option, chooser->runs, SPAN_MS(0), 0, out);
    if (!is_better(option, out->total, choice->second, choice->second_total))
        return false; /* not even with no devices left over */
    uint32_t left = option_pick(chooser->placer, option, chooser->step, NULL);
    if (left == UINT32_MAX)
        return false;
    if (left > 0)
        place_score_of(chooser->placer, chooser->job, option, chooser->runs, SPAN_MS(0), left, out);
    return !place_is_over_budget(chooser->job, out);
}

/* No option from here on can be better than the second: all that it costs an hour is too much. */
static bool is_out_of_reach(const struct chooser *chooser, const struct place_option *option,
                            const struct place_choice *choice)
{
    enum { ROUNDING = 5 }; /* terms that are rounded each */
    if (choice->second == NULL || option->is_second != choice->second->is_second)
        return choice->second != NULL && option->is_second;
    struct money least = place_per_hours(option->base, chooser->runs);
    return least.micros > ROUNDING && least.micros - ROUNDING > choice->second_total.micros;
}

bool place_choose(struct placer *placer, const struct place_job *job, uint32_t variants,
                  struct place_shape *shape, uint8_t step, struct place_choice *out)
{
    struct chooser chooser = {placer, job, place_expected(placer, job), variants, step, false};
    struct place_choice choice = {.option = NULL};
    chooser.passes_avoided = place_passes_avoided(placer, job, shape, variants);
    for (uint32_t i = 0; i < shape->option_count; i++) {
        struct place_option *option = &shape->options[i];
        struct place_score score;
        if (shape->fits[i] <= step)
            continue;
        if (is_out_of_reach(&chooser, option, &choice))
            break;
        if (!option_score(&chooser, option, &choice, &score))
            continue;
        if (is_better(option, score.total, choice.option, choice.score.total)) {
            if (choice.option != NULL && choice.option->site != option->site) {
                choice.second = choice.option;
                choice.second_total = choice.score.total;
            }
            choice.option = option;
            choice.score = score;
        } else if (option->site != choice.option->site &&
                   is_better(option, score.total, choice.second, choice.second_total)) {
            choice.second = option;
            choice.second_total = score.total;
        }
    }
    *out = choice;
    return choice.option != NULL;
}

/* ---- the decision */

static void devices_take(const struct place_node *node, uint32_t count, struct rank_place *place)
{
    uint16_t free_mask = place_node_devices_free(node);
    for (; free_mask != 0 && place->device_count < count; free_mask &= (uint16_t)(free_mask - 1))
        place->devices[place->device_count++] = (uint8_t)__builtin_ctz(free_mask);
}

static void decide(struct placer *placer, struct place_queued *queued,
                   const struct place_choice *choice, struct place_decision *out)
{
    const struct place_option *option = choice->option;
    struct place_site *site = option->site;
    struct place_group *group = queued->group;
    uint16_t nodes[JOB_NODES_MAX];
    uint32_t left = option_pick(placer, option, group->step, nodes);
    ASSERT(left != UINT32_MAX);
    for (uint32_t r = 0; r < option->need.ranks; r++) {
        out->places[r] = (struct rank_place){.node = nodes[r]};
        devices_take(&site->nodes[nodes[r]], option->need.devices, &out->places[r]);
    }
    out->site_count = (uint32_t)placer->sites.len;
    memcpy(out->filters, group->shape->codes, placer->sites.len);
    out->filters[site->index] = FILTER_NONE;
    out->job = queued->job.id;
    out->site = site->site.id;
    out->variant = option->variant;
    out->nodes = option->need.ranks;
    out->ask_per_hour = option->ask_hour;
    out->start = placer->now.wall;
    out->score = choice->score;
    out->runner_up = choice->second != NULL ? choice->second->site->site.id : (struct site_id){0};
    out->lost_by = (struct money){0};
    if (choice->second != NULL)
        out->lost_by.micros = choice->second_total.micros - choice->score.total.micros;
    struct place_hold *hold =
        place_hold_make(placer, &queued->job, group->tenant, site, option->variant,
                        option->ask_hour, out->places, placer->now.wall);
    (void)hold;
    place_queue_remove(placer, queued);
    (void)idmap_remove(&placer->queued, queued->job.id.id);
    free(queued);
}

/* A job of a reservation that can have its nodes now. */
static bool propose_reserved(struct placer *placer, struct place_decision *out)
{
    for (uint32_t i = 0; i < placer->reservation_count; i++) {
        struct place_reservation *reservation = placer->reservations[i];
        struct place_queued *queued = idmap_get(&placer->queued, reservation->job.id);
        if (!reservation->is_fresh)
            continue;
        reservation->is_fresh = false;
        ASSERT(queued != NULL);
        struct place_option *option = place_reservation_option(reservation, queued->group->shape);
        if (!place_reservation_is_ripe(reservation, option) ||
            !(place_variants_allowed(queued->group->tenant, queued->job.spec) >> option->variant &
              1) ||
            !place_array_is_open(placer, queued->job.spec))
            continue;
        place_reservation_drop(placer, i);
        place_settle(placer);
        struct place_choice choice = {.option = option};
        uint32_t left = option_pick(placer, option, queued->group->step, NULL);
        place_score_of(placer, &queued->job, option, place_expected(placer, &queued->job),
                       SPAN_MS(0), left, &choice.score);
        decide(placer, queued, &choice, out);
        return true;
    }
    return false;
}

/* The group's first job starts, unless something of its own is in the way. */
static bool group_propose(struct placer *placer, struct place_group *group, uint32_t variants,
                          struct place_decision *out)
{
    struct place_queued *queued = group->first;
    struct place_choice choice;
    if (!place_choose(placer, &queued->job, variants, group->shape, group->step, &choice))
        return false;
    int reservation = place_reservation_of(placer, queued->job.id);
    decide(placer, queued, &choice, out);
    if (reservation >= 0)
        place_reservation_drop(placer, (uint32_t)reservation);
    return true;
}

/* The first job of the class that fits somewhere; what has something of its own in the way is
 * parked, and is a head then like others: `is_done` becomes false. */
static bool propose_class(struct placer *placer, enum priority_class priority,
                          struct place_decision *out, bool *is_done)
{
    struct place_mask marks = placer->open;
    struct place_walk walk;
    struct place_group *group;
    mask_join(&marks, &placer->maybe);
    place_walk_begin(&walk, placer, priority, &marks);
    while ((group = place_walk_next(&walk)) != NULL) {
        uint32_t variants = place_variants_allowed(group->tenant, group->first->job.spec);
        if (variants == 0 || !place_pending_tell(placer, group->shape))
            continue; /* another shape with the same mark */
        if (group_propose(placer, group, variants, out))
            return true;
        place_group_park(placer, group,
                         variants != (UINT32_C(1) << group->first->job.spec->variant_count) - 1);
        *is_done = false;
        place_walk_begin(&walk, placer, priority, &marks);
    }
    return false;
}

/* What fitted on reserved nodes does so no more: their reservations are nearer. */
static void lent_again(struct placer *placer, const struct place_shape *shape)
{
    for (uint32_t i = 0; i < shape->option_count; i++)
        if (shape->fits[i] > 0 && shape->fits[i] < PLACE_STEPS) {
            shape->options[i].site->has_lent_changed = true;
            place_site_changed(placer, shape->options[i].site, false);
        }
}

/* The first job that ends before the reservations of the nodes that it fits on. */
static bool propose_lent(struct placer *placer, struct place_decision *out)
{
    uint32_t visits = 0;
    place_settle(placer);
    if (!placer->must_lend)
        return false;
    for (int p = PRIORITY_COUNT_ - 1; p >= 0; p--) {
        struct place_walk walk;
        struct place_group *group;
        place_walk_begin(&walk, placer, (enum priority_class)p, &placer->lent);
        while ((group = place_walk_next(&walk)) != NULL && visits++ < PLACE_LENT_VISITS_MAX) {
            if (!shape_is_open(group->shape, group->step))
                continue;
            uint32_t variants = place_variants_allowed(group->tenant, group->first->job.spec);
            if (variants == 0)
                continue;
            if (group_propose(placer, group, variants, out))
                return true;
            lent_again(placer, group->shape);
        }
    }
    placer->must_lend = false;
    return false;
}

bool placer_propose(struct placer *placer, struct now now, struct place_decision *out)
{
    placer->now = now;
    if (placer->sites.len == 0 || idmap_count(&placer->queued) == 0)
        return false;
    place_share_decay(placer, now.wall);
    /* Heads are found before others start where new ones may have come, and in the end. */
    for (bool is_done = false; !is_done;) {
        place_look(placer);
        if (propose_reserved(placer, out))
            return true;
        if (placer->must_reserve && place_reserve(placer))
            continue;
        is_done = true;
        for (int p = PRIORITY_COUNT_ - 1; p >= 0; p--)
            if (propose_class(placer, (enum priority_class)p, out, &is_done))
                return true;
        if (is_done && place_reserve(placer))
            is_done = false;
    }
    return propose_lent(placer, out);
}

struct boot_ns placer_due(const struct placer *placer, struct now now)
{
    (void)placer;
    (void)now;
    return BOOT_NEVER; /* time alone opens nothing: it only brings reservations nearer */
}
