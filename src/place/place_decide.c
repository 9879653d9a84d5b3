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

bool place_is_over_budget(const struct place_job *job, const struct place_score *score)
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
    uint32_t variants; /* bits: those that quota allows, or all where it allows none */
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
    bool fits = place_fit_nodes(placer, site, site->nodes, job, variant, now_ms, places);
    if (!place_score_site(placer, site, job, variant, SPAN_MS(0), fits ? places : NULL,
                          &line->score, out_ask)) {
        line->filter = FILTER_NO_PRICE;
        return false;
    }
    line->has_score = true;
    line->filter = fits ? FILTER_NONE : FILTER_BUSY;
    if (place_is_over_budget(job, &line->score)) {
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
    bool any = false, is_first = true;
    for (uint32_t v = 0; v < spec->variant_count; v++) {
        struct place_site_line trial = {.site = site->site.id, .site_name = site->site.name};
        struct rank_place places[JOB_NODES_MAX];
        if (!(survey->variants >> v & 1))
            continue;
        struct money ask = {0};
        bool fits = survey_variant(survey, site, v, &trial, places, &ask);
        if (!is_first && !is_better(spec, &trial, line))
            continue;
        is_first = false;
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

uint32_t place_variants_allowed(const struct place_tenant *tenant, const struct job_spec *spec)
{
    uint32_t allowed = 0;
    for (uint32_t v = 0; v < spec->variant_count; v++)
        if (place_filter_quota(tenant, spec, spec->variants[v].accelerators, NULL) == FILTER_NONE)
            allowed |= UINT32_C(1) << v;
    return allowed;
}

static bool site_has_any_room(struct place_site *site, const struct job_spec *spec)
{
    for (uint32_t v = 0; v < spec->variant_count; v++)
        if (place_site_has_room(site, spec, v))
            return true;
    return false;
}

enum place_filter place_survey(struct placer *placer, const struct place_job *job,
                               const struct place_tenant *tenant, struct now now, bool with_eta,
                               struct place_site_line *lines, int32_t *out_best,
                               int32_t *out_second, struct place_choice *out_choice)
{
    uint32_t allowed = place_variants_allowed(tenant, job->spec);
    const struct survey survey = {placer, job, now, with_eta, allowed != 0 ? allowed : UINT32_MAX};
    uint32_t count = (uint32_t)placer->sites.len;
    struct place_choice *trial = malloc(sizeof(*trial));
    ASSERT(trial != NULL);
    /* Who only decides passes over full sites, unless they count as others than the avoided one. */
    bool is_brief = !with_eta && id_is_none(job->avoid.id);
    for (uint32_t i = 0; i < count; i++) {
        struct place_site *site = *(struct place_site **)vector_at(&placer->sites, i);
        memset(&lines[i], 0, sizeof(lines[i]));
        lines[i].filter = FILTER_BUSY;
        if (is_brief && !site_has_any_room(site, job->spec))
            continue;
        (void)survey_site(&survey, site, &lines[i], trial);
    }
    survey_avoid(&survey, lines, count);
    survey_rank(job->spec, lines, count, out_best, out_second);
    enum place_filter verdict = FILTER_NONE;
    if (allowed == 0)
        verdict = FILTER_QUOTA;
    else if (*out_best < 0 || lines[*out_best].filter != FILTER_NONE)
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

/* Did the shape fail already, and is there still no room wherever something grew since? Nothing is
 * counted for a price or a budget here: those the survey sees. */
static bool site_is_hopeless(struct placer *placer, struct place_site *site,
                             const struct place_job *job, struct now now)
{
    struct rank_place places[JOB_NODES_MAX];
    for (uint32_t v = 0; v < job->spec->variant_count; v++)
        if (place_site_has_room(site, job->spec, v) &&
            place_filter_static(placer, site, job, v, NULL) == FILTER_NONE &&
            place_fit_nodes(placer, site, site->nodes, job, v, now.wall.us / 1000, places))
            return false;
    return true;
}

static bool shape_is_hopeless(struct placer *placer, const struct place_shape *shape,
                              const struct place_job *job, struct now now)
{
    uint64_t seen = placer->grown_count < PLACE_GROWN_MAX ? placer->grown_count : PLACE_GROWN_MAX;
    bool is_complete = seen < PLACE_GROWN_MAX; /* or some were forgotten */
    if (seen == PLACE_GROWN_MAX)
        is_complete =
            placer->grown[placer->grown_count % PLACE_GROWN_MAX].version <= shape->failed_version;
    if (shape->failed_version < placer->all_version || !is_complete) {
        for (size_t i = 0; i < placer->sites.len; i++)
            if (!site_is_hopeless(placer, *(struct place_site **)vector_at(&placer->sites, i), job,
                                  now))
                return false;
        return true;
    }
    for (uint64_t back = 1; back <= seen; back++) {
        const struct place_growth *growth =
            &placer->grown[(placer->grown_count - back) % PLACE_GROWN_MAX];
        if (growth->version <= shape->failed_version)
            break;
        if (!site_is_hopeless(placer, growth->site, job, now))
            return false;
    }
    return true;
}

static void decide(struct placer *placer, struct place_queued *queued,
                   const struct place_choice *choice, struct now now, struct place_decision *out)
{
    struct place_hold *hold =
        place_hold_make(placer, &queued->job, queued->group->tenant, choice->site, choice->variant,
                        choice->ask_per_hour, choice->places, now.wall);
    place_queue_remove(placer, queued);
    (void)idmap_remove(&placer->queued, queued->job.id.id);
    free(queued);
    out->job = hold->job.id;
    out->site = choice->site->site.id;
    out->variant = choice->variant;
    out->nodes = hold->nodes;
    out->ask_per_hour = choice->ask_per_hour;
    memcpy(out->places, choice->places, hold->nodes * sizeof(out->places[0]));
}

struct scan {
    struct place_site_line *lines;
    struct place_choice *choice;
    struct now now;
};

/* True: the group's first job starts, `scan->choice` says where. */
static bool group_try(struct placer *placer, struct place_group *group, const struct scan *scan)
{
    const struct place_job *job = &group->first->job;
    uint32_t allowed = place_variants_allowed(group->tenant, job->spec);
    bool all_allowed = allowed == (UINT32_C(1) << job->spec->variant_count) - 1;
    placer->visits++;
    if (allowed == 0 || !place_array_is_open(placer, job->spec))
        return false;
    struct place_shape *shape = group->shape;
    bool is_known = shape->failed_version == placer->version;
    if (!is_known && !shape_is_hopeless(placer, shape, job, scan->now)) {
        int32_t best, second;
        placer->tries++;
        if (place_survey(placer, job, group->tenant, scan->now, false, scan->lines, &best, &second,
                         scan->choice) == FILTER_NONE)
            return true;
    } else if (!is_known) {
        placer->tries++;
    }
    if (all_allowed)
        shape->failed_version = placer->version;
    place_reserve(placer, group, scan->now);
    return false;
}

/* The jobs that had a reservation when the last scan was cut short come first. */
static struct place_group *head_next(struct placer *placer)
{
    while (placer->head_at < placer->head_count) {
        const struct place_queued *queued =
            idmap_get(&placer->queued, placer->heads[placer->head_at++].id);
        if (queued != NULL && queued->group->first == queued)
            return queued->group;
    }
    return NULL;
}

static bool is_cut_short(const struct placer *placer)
{
    return placer->tries >= PLACE_TRIES_MAX || placer->visits >= PLACE_VISITS_MAX;
}

static bool has_ready(const struct placer *placer)
{
    for (size_t i = 0; i < placer->roots.len; i++)
        for (int c = 0; c < PRIORITY_COUNT_; c++)
            if ((*(struct place_tenant **)vector_at(&placer->roots, i))->ready[c] > 0)
                return true;
    return false;
}

static struct place_group *scan_next(struct placer *placer, struct place_group *last,
                                     struct now now)
{
    /* Nothing was taken since: the tenant that was next is so still. */
    if (last != NULL && last->next != NULL)
        return last->next;
    return place_queue_next(placer, now);
}

bool placer_propose(struct placer *placer, struct now now, struct place_decision *out)
{
    struct place_group *group = NULL, *decided = NULL;
    if (placer->sites.len == 0 || idmap_count(&placer->queued) == 0)
        return false;
    if (is_cut_short(placer) && !boot_is_before(now.boot, placer->rests_until))
        placer->tries = placer->visits = 0;
    struct scan scan = {calloc(placer->sites.len, sizeof(*scan.lines)),
                        malloc(sizeof(*scan.choice)), now};
    ASSERT(scan.lines != NULL && scan.choice != NULL);
    while (decided == NULL && (group = head_next(placer)) != NULL)
        if (group_try(placer, group, &scan))
            decided = group;
    group = NULL;
    while (decided == NULL && !is_cut_short(placer) &&
           (group = scan_next(placer, group, now)) != NULL) {
        if (group_try(placer, group, &scan))
            decided = group;
        else
            place_group_block(placer, group);
    }
    if (decided != NULL)
        decide(placer, decided->first, scan.choice, now, out);
    else if (is_cut_short(placer))
        placer->rests_until = boot_add(now.boot, SPAN_MS(PLACE_REST_MS));
    free(scan.choice);
    free(scan.lines);
    return decided != NULL;
}

struct boot_ns placer_due(const struct placer *placer, struct now now)
{
    (void)now;
    /* A release redoes reservations; time alone opens nothing, but a scan may have stopped. */
    return is_cut_short(placer) && has_ready(placer) ? placer->rests_until : BOOT_NEVER;
}
