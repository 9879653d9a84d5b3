/* Reservations: the first jobs that must wait get a site, nodes and a time that others may not
 * take.
 *
 * They are worked out anew at every version, from what stands then alone, so that a placer built
 * from a snapshot makes the same ones. What was found for sites that did not change since is kept:
 * a release then costs a look at one site, not at all. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "place/place_state.h"

static bool site_has_reservation(const struct placer *placer, const struct place_site *site)
{
    for (uint32_t r = 0; r < placer->reservation_count; r++)
        if (placer->reservations[r].site == site)
            return true;
    return false;
}

static bool site_is_affordable(struct placer *placer, const struct place_site *site,
                               const struct place_job *job, uint32_t variant)
{
    struct place_score score;
    struct money ask;
    return place_score_site(placer, site, job, variant, SPAN_MS(0), NULL, &score, &ask) &&
           !place_is_over_budget(job, &score);
}

/* Until when an answer that rests on the holds' ends stays true. */
static int64_t good_before(const struct place_site *site, int64_t now_ms)
{
    int64_t first_ms = INT64_MAX;
    for (const struct place_hold *hold = site->holds; hold != NULL; hold = hold->site_next) {
        bool is_sure;
        int64_t end_ms = place_hold_end(hold, now_ms, true, &is_sure);
        if (!is_sure)
            return now_ms;
        if (end_ms < first_ms)
            first_ms = end_ms;
    }
    return first_ms;
}

static struct place_soonest site_soonest(struct placer *placer, const struct place_site *site,
                                         const struct place_job *job, uint32_t variants,
                                         int64_t now_ms)
{
    struct rank_place places[JOB_NODES_MAX];
    struct place_soonest soonest = {.stamp = site->stamp,
                                    .at_ms = INT64_MAX,
                                    .good_before_ms = good_before(site, now_ms),
                                    .is_ruled_out = true};
    for (uint32_t v = 0; v < job->spec->variant_count; v++) {
        int64_t at_ms;
        if (!(variants >> v & 1) ||
            place_filter_static(placer, site, job, v, NULL) != FILTER_NONE ||
            !site_is_affordable(placer, site, job, v))
            continue;
        soonest.is_ruled_out = false;
        if (place_fit_when(placer, site, job, v, now_ms, true, &at_ms, places) &&
            at_ms < soonest.at_ms) {
            soonest.at_ms = at_ms;
            soonest.variant = v;
        }
    }
    if (soonest.at_ms <= now_ms) /* it fits, and something else keeps it away */
        soonest.good_before_ms = now_ms;
    return soonest;
}

/* The shape's own outlook, or the one that nobody asked for the longest time. */
static struct place_outlook *outlook_of(struct placer *placer, const struct place_shape *shape,
                                        uint32_t variants)
{
    struct place_outlook *found = &placer->outlooks[0];
    for (uint32_t i = 0; i < PLACE_OUTLOOKS_MAX; i++) {
        struct place_outlook *at = &placer->outlooks[i];
        if (at->shape == shape->number && at->settings == placer->settings &&
            at->variants == variants)
            return at;
        if (at->used_at < found->used_at)
            found = at;
    }
    free(found->sites);
    *found = (struct place_outlook){.shape = shape->number,
                                    .settings = placer->settings,
                                    .variants = variants,
                                    .site_count = (uint32_t)placer->sites.len,
                                    .sites = calloc(placer->sites.len, sizeof(*found->sites))};
    ASSERT(found->sites != NULL);
    return found;
}

/* The search for the soonest of all sites. */
struct search {
    struct placer *placer;
    struct place_outlook *outlook;
    const struct place_job *job;
    int64_t now_ms;
    struct place_site *best;
    int64_t best_ms;
    uint32_t variant;
    bool is_useless; /* no site could ever take it, as things are set */
};

static void search_site(struct search *search, uint32_t index)
{
    struct placer *placer = search->placer;
    struct place_site *site = *(struct place_site **)vector_at(&placer->sites, index);
    struct place_soonest *kept = &search->outlook->sites[index], fresh = *kept;
    if (search->best != NULL &&
        place_site_not_before(site, search->job->spec, search->now_ms) >= search->best_ms)
        return;
    bool is_alone = !site_has_reservation(placer, site);
    if (!is_alone || kept->stamp != site->stamp || search->now_ms >= kept->good_before_ms)
        fresh = site_soonest(placer, site, search->job, search->outlook->variants, search->now_ms);
    if (is_alone)
        *kept = fresh;
    search->is_useless = search->is_useless && fresh.is_ruled_out;
    if (fresh.at_ms < search->best_ms) {
        search->best_ms = fresh.at_ms;
        search->best = site;
        search->variant = fresh.variant;
    }
}

static void search_all(struct search *search)
{
    struct site_id avoid = search->job->avoid;
    bool has_avoided = !id_is_none(avoid.id);
    /* To the avoided one only where no other will do. */
    for (int pass = 0; pass < (has_avoided ? 2 : 1) && search->best == NULL; pass++)
        for (uint32_t i = 0; i < search->outlook->site_count; i++) {
            const struct place_site *site =
                *(struct place_site **)vector_at(&search->placer->sites, i);
            if (!has_avoided || id_is_equal(avoid.id, site->site.id.id) == (pass == 1))
                search_site(search, i);
        }
    search->outlook->used_at = search->placer->version;
}

void place_reserve(struct placer *placer, const struct place_group *group, struct now now)
{
    const struct place_job *job = &group->first->job;
    int64_t now_ms = now.wall.us / 1000;
    struct rank_place places[JOB_NODES_MAX];
    if (placer->reservation_count == PLACE_RESERVATIONS_MAX ||
        group->shape->useless_version == placer->settings)
        return;
    uint32_t variants = place_variants_allowed(group->tenant, job->spec);
    struct search search = {.placer = placer,
                            .outlook = outlook_of(placer, group->shape, variants),
                            .job = job,
                            .now_ms = now_ms,
                            .best_ms = INT64_MAX,
                            .is_useless = true};
    search_all(&search);
    if (search.best == NULL) {
        if (search.is_useless && variants == (UINT32_C(1) << job->spec->variant_count) - 1)
            group->shape->useless_version = placer->settings;
        return;
    }
    struct place_reservation *slot = &placer->reservations[placer->reservation_count];
    if (!place_fit_when(placer, search.best, job, search.variant, now_ms, true, &slot->start_ms,
                        places))
        return;
    slot->job = job->id;
    slot->site = search.best;
    slot->nodes_reserved = job->spec->num_nodes;
    for (uint32_t r = 0; r < job->spec->num_nodes; r++)
        slot->nodes[r] = places[r].node;
    placer->reservation_count++;
}

void place_reservations_deinit(struct placer *placer)
{
    for (uint32_t i = 0; i < PLACE_OUTLOOKS_MAX; i++)
        free(placer->outlooks[i].sites);
}
