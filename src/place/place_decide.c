/* Deciding: the survey of all sites for one job, and the loop that picks the next job. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "place/place_state.h"

/* Chips that a buyer who asked for domestic ones first takes only when no other fits. */
static bool is_second_choice(const struct job_spec *spec, uint32_t variant)
{
    enum runtime runtime = spec->variants[variant].runtime;
    return spec->placement.provenance == PROVENANCE_DOMESTIC_FIRST &&
           (runtime == RUNTIME_CUDA || runtime == RUNTIME_ROCM);
}

static bool is_over_budget(const struct place_job *job, const struct place_score *score)
{
    struct money buyer =
        money_add_saturated(score->ask, money_add_saturated(score->energy, score->egress));
    return job->spec->budget.micros > 0 && buyer.micros > job->spec->budget.micros;
}

struct survey {
    struct placer *placer;
    const struct place_job *job;
    struct now now;
    bool with_eta;
};

/* When a busy site would have room, and what waiting for it costs. */
static void survey_busy(const struct survey *survey, const struct place_site *site,
                        uint32_t variant, struct rank_place *places, struct place_site_line *line)
{
    int64_t now_ms = survey->now.wall.us / 1000, low_ms, high_ms;
    struct money ask;
    if (!place_fit_when(survey->placer, site, survey->job, variant, now_ms, false, &low_ms, places))
        return;
    line->has_eta = true;
    line->eta_low = SPAN_MS(low_ms - now_ms);
    line->eta_high = line->eta_low;
    line->has_score = place_score_site(survey->placer, site, survey->job, variant, line->eta_low,
                                       places, &line->score, &ask);
    if (place_fit_when(survey->placer, site, survey->job, variant, now_ms, true, &high_ms,
                       places) &&
        high_ms > low_ms)
        line->eta_high = SPAN_MS(high_ms - now_ms);
}

/* One site with one variant. True: it fits now, scored, with places and ask filled in. */
static bool survey_variant(const struct survey *survey, const struct place_site *site,
                           uint32_t variant, struct place_site_line *line,
                           struct rank_place *places, struct money *out_ask)
{
    struct placer *placer = survey->placer;
    const struct place_job *job = survey->job;
    line->variant = variant;
    if (place_filter_static(placer, site, job, variant, line) != FILTER_NONE)
        return false;
    if (!site->is_open) {
        line->filter = FILTER_SITE_STATE;
        line->detail = slice_of(
            site_state_name(site->site.state == SITE_ACTIVE ? SITE_LOST : site->site.state));
        return false;
    }
    int64_t now_ms = survey->now.wall.us / 1000;
    bool fits = place_fit_nodes(placer, site, site->nodes, job->spec, variant, now_ms, true,
                                &job->id, places);
    if (!place_score_site(placer, site, job, variant, SPAN_MS(0), fits ? places : NULL,
                          &line->score, out_ask)) {
        line->filter = FILTER_NO_PRICE;
        return false;
    }
    line->has_score = true;
    line->filter = fits ? FILTER_NONE : FILTER_BUSY;
    if (is_over_budget(job, &line->score)) {
        line->filter = FILTER_BUDGET;
        line->has_score = false;
        return false;
    }
    if (fits) {
        line->has_eta = true;
        return true;
    }
    if (survey->with_eta)
        survey_busy(survey, site, variant, places, line);
    return false;
}

/* Is line a a better outcome than b? Fitting beats busy beats removed; then the buyer's first
 * choice of chips; then money. */
static bool is_better(const struct job_spec *spec, const struct place_site_line *a,
                      const struct place_site_line *b)
{
    int rank_a = a->filter == FILTER_NONE ? 0 : a->filter == FILTER_BUSY ? 1 : 2;
    int rank_b = b->filter == FILTER_NONE ? 0 : b->filter == FILTER_BUSY ? 1 : 2;
    if (rank_a != rank_b)
        return rank_a < rank_b;
    if (rank_a == 2)
        return a->filter > b->filter; /* the filter that came latest says most */
    bool second_a = is_second_choice(spec, a->variant),
         second_b = is_second_choice(spec, b->variant);
    if (second_a != second_b)
        return second_b;
    return a->score.total.micros < b->score.total.micros;
}

/* The best variant at one site. */
static bool survey_site(const struct survey *survey, struct place_site *site,
                        struct place_site_line *line, struct place_choice *choice)
{
    const struct job_spec *spec = survey->job->spec;
    bool any = false;
    for (uint32_t v = 0; v < spec->variant_count; v++) {
        struct place_site_line trial = {.site = site->site.id, .site_name = site->site.name};
        struct rank_place places[JOB_NODES_MAX];
        struct money ask = {0};
        bool fits = survey_variant(survey, site, v, &trial, places, &ask);
        if (v > 0 && !is_better(spec, &trial, line))
            continue;
        *line = trial;
        if (!fits)
            continue;
        any = true;
        choice->site = site;
        choice->variant = v;
        choice->ask_per_hour = ask;
        memcpy(choice->places, places, spec->num_nodes * sizeof(places[0]));
    }
    return any;
}

/* Never straight back to a site that just failed the job, unless it is the only one that could run
 * it. */
static void survey_avoid(const struct survey *survey, struct place_site_line *lines, uint32_t count)
{
    int32_t avoided = -1;
    bool has_other = false;
    if (id_is_none(survey->job->avoid.id))
        return;
    for (uint32_t i = 0; i < count; i++) {
        bool possible = lines[i].filter == FILTER_NONE || lines[i].filter == FILTER_BUSY;
        if (!possible)
            continue;
        if (id_is_equal(lines[i].site.id, survey->job->avoid.id))
            avoided = (int32_t)i;
        else
            has_other = true;
    }
    if (avoided >= 0 && has_other) {
        lines[avoided].filter = FILTER_AVOID;
        lines[avoided].has_score = false;
        lines[avoided].has_eta = false;
    }
}

static enum place_filter survey_verdict(const struct place_site_line *lines, uint32_t count)
{
    enum place_filter verdict = FILTER_SITE_STATE;
    for (uint32_t i = 0; i < count; i++) {
        if (lines[i].filter == FILTER_BUSY)
            return FILTER_BUSY;
        if (lines[i].filter > verdict)
            verdict = lines[i].filter;
    }
    return verdict;
}

static void survey_rank(const struct job_spec *spec, const struct place_site_line *lines,
                        uint32_t count, int32_t *out_best, int32_t *out_second)
{
    *out_best = *out_second = -1;
    for (int32_t i = 0; i < (int32_t)count; i++) {
        bool scored = lines[i].has_score && (lines[i].filter == FILTER_NONE || lines[i].has_eta);
        if (!scored)
            continue;
        if (*out_best < 0 || is_better(spec, &lines[i], &lines[*out_best])) {
            *out_second = *out_best;
            *out_best = i;
        } else if (*out_second < 0 || is_better(spec, &lines[i], &lines[*out_second])) {
            *out_second = i;
        }
    }
}

enum place_filter place_survey(struct placer *placer, const struct place_job *job,
                               const struct place_tenant *tenant, struct now now, bool with_eta,
                               struct place_site_line *lines, int32_t *out_best,
                               int32_t *out_second, struct place_choice *out_choice)
{
    const struct survey survey = {placer, job, now, with_eta};
    uint32_t count = (uint32_t)placer->sites.len;
    struct place_choice *trial = malloc(sizeof(*trial));
    ASSERT(trial != NULL);
    for (uint32_t i = 0; i < count; i++) {
        struct place_site *site = *(struct place_site **)vector_at(&placer->sites, i);
        memset(&lines[i], 0, sizeof(lines[i]));
        (void)survey_site(&survey, site, &lines[i], trial);
    }
    survey_avoid(&survey, lines, count);
    survey_rank(job->spec, lines, count, out_best, out_second);
    enum place_filter verdict = FILTER_NONE;
    uint32_t accelerators = *out_best < 0
                                ? job->spec->variants[0].accelerators
                                : job->spec->variants[lines[*out_best].variant].accelerators;
    if (tenant != NULL)
        verdict = place_filter_quota(tenant, job->spec, accelerators, NULL);
    if (verdict == FILTER_NONE && (*out_best < 0 || lines[*out_best].filter != FILTER_NONE))
        verdict = survey_verdict(lines, count);
    if (verdict == FILTER_NONE) {
        struct place_site *site =
            *(struct place_site **)vector_at(&placer->sites, (size_t)*out_best);
        struct place_site_line again;
        bool fits = survey_site(&survey, site, &again, trial);
        ASSERT(fits);
        *out_choice = *trial;
    }
    free(trial);
    return verdict;
}

/* ---- arrays */

bool place_array_is_open(const struct placer *placer, const struct job_spec *spec)
{
    if (spec->array_parallel_max == 0)
        return true;
    return (uintptr_t)u64map_get(&placer->spec_holds, (uintptr_t)spec) < spec->array_parallel_max;
}

void place_array_count(struct placer *placer, const struct job_spec *spec, int change)
{
    if (spec == NULL || spec->array_parallel_max == 0)
        return;
    uintptr_t count = (uintptr_t)u64map_get(&placer->spec_holds, (uintptr_t)spec);
    count = change > 0 ? count + 1 : count - (count > 0);
    if (count == 0)
        (void)u64map_remove(&placer->spec_holds, (uintptr_t)spec);
    else
        ASSERT(u64map_put(&placer->spec_holds, (uintptr_t)spec, (void *)count) == ERR_OK);
}

/* ---- the loop */

/* Protects the start of a blocked head: at the site and time where it fits soonest, its nodes are
 * not given away past that time. */
static void reserve(struct placer *placer, const struct place_job *job,
                    const struct place_site_line *lines, struct now now)
{
    if (placer->reservation_count == PLACE_RESERVATIONS_MAX)
        return;
    struct place_reservation *slot = &placer->reservations[placer->reservation_count];
    struct rank_place places[JOB_NODES_MAX];
    int64_t best_ms = INT64_MAX;
    for (uint32_t i = 0; i < placer->sites.len; i++) {
        struct place_site *site = *(struct place_site **)vector_at(&placer->sites, i);
        int64_t at_ms;
        if (lines[i].filter != FILTER_BUSY ||
            !place_fit_when(placer, site, job, lines[i].variant, now.wall.us / 1000, false, &at_ms,
                            places) ||
            at_ms >= best_ms)
            continue;
        best_ms = at_ms;
        slot->site = site;
        slot->nodes_reserved = job->spec->num_nodes;
        for (uint32_t r = 0; r < job->spec->num_nodes; r++)
            slot->nodes[r] = places[r].node;
    }
    if (best_ms == INT64_MAX)
        return;
    slot->job = job->id;
    slot->start_ms = best_ms;
    placer->reservation_count++;
}

static void decide(struct placer *placer, struct place_queued *queued,
                   const struct place_choice *choice, struct now now, struct place_decision *out)
{
    struct place_hold *hold =
        place_hold_make(placer, &queued->job, queued->group->tenant, choice->site, choice->variant,
                        choice->ask_per_hour, choice->places, now.wall);
    place_queue_remove(queued);
    (void)idmap_remove(&placer->queued, queued->job.id.id);
    free(queued);
    out->job = hold->job.id;
    out->site = choice->site->site.id;
    out->variant = choice->variant;
    out->nodes = hold->nodes;
    out->ask_per_hour = choice->ask_per_hour;
    memcpy(out->places, choice->places, hold->nodes * sizeof(out->places[0]));
}

bool placer_propose(struct placer *placer, struct now now, struct place_decision *out)
{
    struct place_group *group;
    bool decided = false;
    if (placer->sites.len == 0 || idmap_count(&placer->queued) == 0)
        return false;
    struct place_site_line *lines = calloc(placer->sites.len, sizeof(*lines));
    struct place_choice *choice = malloc(sizeof(*choice));
    ASSERT(lines != NULL && choice != NULL);
    while (!decided && placer->failed < PLACE_BACKFILL_DEPTH &&
           (group = place_queue_next(placer, now)) != NULL) {
        struct place_queued *queued = group->first;
        int32_t best, second;
        enum place_filter filter = FILTER_BUSY;
        bool is_open = place_array_is_open(placer, group->spec);
        if (is_open)
            filter = place_survey(placer, &queued->job, group->tenant, now, false, lines, &best,
                                  &second, choice);
        if (filter == FILTER_NONE) {
            decide(placer, queued, choice, now, out);
            decided = true;
            break;
        }
        placer->failed++;
        if (is_open && filter == FILTER_BUSY)
            reserve(placer, &queued->job, lines, now);
        place_group_block(placer, group, filter);
    }
    free(choice);
    free(lines);
    return decided;
}
