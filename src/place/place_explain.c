/* Explanations: the same survey that decides, told in full. */
#include <stdlib.h>

#include "base/assert.h"
#include "place/place_pace.h"
#include "place/place_state.h"

static enum place_verdict verdict_of(enum place_filter filter)
{
    if (filter == FILTER_NONE)
        return PLACE_NOW;
    return filter == FILTER_BUSY || filter == FILTER_QUOTA || filter == FILTER_SITE_STATE ||
                   filter == FILTER_AVOID || filter == FILTER_WINDOW || filter == FILTER_QUARANTINE
               ? PLACE_LATER
               : PLACE_IMPOSSIBLE;
}

/* ---- the survey: every site, all filters and scores, for one job */

struct survey {
    struct placer *placer;
    const struct place_job *job;
    int64_t now_ms;
    struct span_ms runs;
    uint8_t step;
    uint32_t variants; /* bits: those that quota allows, or all where it allows none */
    struct place_paces paces;
    struct arena *arena;
    struct place_site_line *choices; /* room for all; NULL: not wanted */
    uint32_t *choice_count;
};

/* When a busy site would have room, and what waiting for it costs. */
static void survey_busy(const struct survey *survey, const struct place_option *option,
                        struct place_site_line *line)
{
    int64_t low_ms, high_ms;
    if (!place_fit_when(survey->placer, option, survey->job, survey->now_ms, false, &low_ms))
        return;
    line->has_eta = true;
    line->eta_low = line->eta_high = SPAN_MS(low_ms - survey->now_ms);
    place_score_of(survey->placer, survey->job, option, survey->runs, line->eta_low, 0,
                   &line->score);
    if (place_fit_when(survey->placer, option, survey->job, survey->now_ms, true, &high_ms) &&
        high_ms > low_ms)
        line->eta_high = SPAN_MS(high_ms - survey->now_ms);
}

static void survey_option(const struct survey *survey, const struct place_option *option,
                          struct place_site_line *line)
{
    uint32_t left = stock_pick(option, NULL);
    if (left == UINT32_MAX) {
        uint32_t node = place_lent_pick(survey->placer, option, survey->step);
        if (node != UINT32_MAX)
            left = place_node_device_count(&option->site->nodes[node]) - option->need.devices;
    }
    bool fits = left != UINT32_MAX;
    place_score_of(survey->placer, survey->job, option, survey->runs, SPAN_MS(0), fits ? left : 0,
                   &line->score);
    line->filter = fits ? FILTER_NONE : FILTER_BUSY;
    line->has_score = line->has_eta = fits;
    if (place_is_over_budget(survey->job, &line->score)) {
        line->filter = FILTER_BUDGET;
        line->has_score = line->has_eta = false;
    } else if (!fits) {
        line->has_score = true;
        survey_busy(survey, option, line);
        if (!line->has_eta && option->site->quarantined_nodes > 0) {
            line->filter = FILTER_QUARANTINE;
            line->available = option->site->quarantined_nodes;
            line->has_score = false;
        }
    }
}

/* Is line a a better outcome than b? Fitting beats busy beats removed; then the buyer's first
 * choice of chips; then money. */
static bool is_better(const struct place_site_line *a, const struct place_site_line *b)
{
    int rank_a = a->filter == FILTER_NONE ? 0 : a->filter == FILTER_BUSY ? 1 : 2;
    int rank_b = b->filter == FILTER_NONE ? 0 : b->filter == FILTER_BUSY ? 1 : 2;
    if (rank_a != rank_b)
        return rank_a < rank_b;
    if (rank_a == 2)
        return a->filter > b->filter; /* the filter that came latest says most */
    if (a->is_second != b->is_second)
        return b->is_second;
    return a->score.total.micros < b->score.total.micros;
}

static void survey_price(const struct survey *survey, const struct place_option *option,
                         struct place_site_line *line)
{
    line->is_second = option->is_second;
    if (option->stock < option->site->stock_count)
        line->accelerator =
            slice_of(place_name(survey->placer, option->site->stocks[option->stock].accelerator));
    if (!survey->paces.is_on)
        return;
    line->price = (struct place_price){.source = option->pace,
                                       .rate = option->pace == PACE_MEASURED ? option->speed : 0,
                                       .pace_milli = option->pace_milli,
                                       .ask_per_hour = option->ask_hour};
    if (survey->choices == NULL)
        return;
    struct place_site_line *choice = &survey->choices[(*survey->choice_count)++];
    *choice = *line;
    choice->site_name = arena_copy(survey->arena, line->site_name);
}

/* One variant at one site, on the best of its stocks. */
static void survey_variant(const struct survey *survey, struct place_site *site, uint32_t variant,
                           struct place_site_line *line)
{
    const struct place_site_line blank = *line;
    struct place_option options[PLACE_STOCKS_MAX];
    uint32_t stocks;
    line->variant = variant;
    if (place_filter_static(survey->placer, site, survey->job, variant, line, &stocks) !=
        FILTER_NONE)
        return;
    if (place_filter_contract(site, survey->job, variant, line) != FILTER_NONE)
        return;
    if (!site->is_open) {
        line->filter = place_closed_filter(site);
        line->detail = slice_of(
            site_state_name(site->site.state == SITE_ACTIVE ? SITE_LOST : site->site.state));
        return;
    }
    uint32_t count = place_options_of(survey->placer, site, survey->job, variant, stocks, options);
    line->filter = FILTER_NO_PRICE;
    for (uint32_t i = 0; i < count; i++) {
        struct place_site_line trial = blank;
        trial.variant = variant;
        place_pace_set(&survey->paces, &options[i]);
        survey_option(survey, &options[i], &trial);
        survey_price(survey, &options[i], &trial);
        if (i == 0 || is_better(&trial, line))
            *line = trial;
    }
}

static void survey_site(const struct survey *survey, struct place_site *site,
                        struct place_site_line *line)
{
    const struct place_site_line blank = {.site = site->site.id, .site_name = site->site.name};
    bool is_first = true;
    for (uint32_t v = 0; v < survey->job->spec->variant_count; v++) {
        struct place_site_line trial = blank;
        if (!(survey->variants >> v & 1))
            continue;
        survey_variant(survey, site, v, &trial);
        if (is_first || is_better(&trial, line))
            *line = trial;
        is_first = false;
    }
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
        if (lines[i].filter != FILTER_NONE && lines[i].filter != FILTER_BUSY)
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

static void survey_rank(const struct place_site_line *lines, uint32_t count, int32_t *out_best,
                        int32_t *out_second)
{
    *out_best = *out_second = -1;
    for (int32_t i = 0; i < (int32_t)count; i++) {
        if (!lines[i].has_score || !lines[i].has_eta)
            continue;
        if (*out_best < 0 || is_better(&lines[i], &lines[*out_best])) {
            *out_second = *out_best;
            *out_best = i;
        } else if (*out_second < 0 || is_better(&lines[i], &lines[*out_second])) {
            *out_second = i;
        }
    }
}

/* The options of a job with a workload beside each other; how many there are. */
static uint32_t survey_paces(struct placer *placer, const struct place_job *job,
                             struct place_paces *out)
{
    struct place_option options[PLACE_STOCKS_MAX];
    uint32_t sum = 0, stocks;
    place_paces_begin(out, placer, job);
    for (size_t i = 0; out->is_on && i < placer->sites.len; i++) {
        struct place_site *site = place_site_at(placer, i);
        for (uint32_t v = 0; v < job->spec->variant_count; v++) {
            if (place_filter_static(placer, site, job, v, NULL, &stocks) != FILTER_NONE)
                continue;
            uint32_t count = place_options_of(placer, site, job, v, stocks, options);
            for (uint32_t o = 0; o < count; o++)
                place_paces_note(out, &options[o]);
            sum += count;
        }
    }
    return sum;
}

/* Fills `lines` (one a site, by name). FILTER_NONE: lines[out->chosen] is the best place now; else
 * what blocks it (FILTER_BUSY: only time). */
static enum place_filter survey_all(struct placer *placer, const struct place_job *job,
                                    const struct place_tenant *tenant, struct now now,
                                    struct arena *arena, struct place_site_line *lines,
                                    struct place_explanation *out)
{
    uint32_t allowed = place_variants_allowed(tenant, job->spec);
    struct survey survey = {.placer = placer,
                            .job = job,
                            .now_ms = now.wall.us / 1000,
                            .runs = place_expected(placer, job),
                            .step = place_step(place_limit(placer, job)),
                            .variants = allowed != 0 ? allowed : UINT32_MAX,
                            .arena = arena,
                            .choice_count = &out->choice_count};
    uint32_t most = survey_paces(placer, job, &survey.paces);
    if (most > 0)
        survey.choices = arena_array(arena, most, sizeof(*survey.choices));
    out->choices = survey.choices;
    uint32_t count = (uint32_t)placer->sites.len;
    for (uint32_t i = 0; i < count; i++)
        survey_site(&survey, place_site_at(placer, i), &lines[i]);
    survey_avoid(&survey, lines, count);
    survey_rank(lines, count, &out->chosen, &out->runner_up);
    if (allowed == 0)
        return FILTER_QUOTA;
    if (out->chosen < 0 || lines[out->chosen].filter != FILTER_NONE)
        return survey_verdict(lines, count);
    return FILTER_NONE;
}

/* ---- what is told */

/* The job's place in its class and above by age, and the core-seconds (thousandths) that stand
 * before it: a walk of the whole queue, for people who ask. */
static void queue_ahead(struct placer *placer, const struct place_queued *self,
                        uint32_t *out_position, uint64_t *out_milli_s)
{
    uint64_t jobs = 0, milli_s = 0;
    size_t cursor = 0;
    void *value;
    while (strmap_next(&placer->groups, &cursor, NULL, &value)) {
        const struct place_group *group = value;
        if (group->priority < self->group->priority)
            continue;
        for (const struct place_queued *at = group->first; at != NULL; at = at->next) {
            if (group->priority == self->group->priority && !place_queued_is_before(at, self))
                break;
            const struct job_spec *spec = at->job.spec;
            uint64_t work = (uint64_t)spec->num_nodes * spec->cpu_milli *
                            (uint64_t)(place_expected(placer, &at->job).ms / 1000);
            jobs++;
            if (__builtin_add_overflow(milli_s, work, &milli_s))
                milli_s = UINT64_MAX;
        }
    }
    *out_position = (uint32_t)(jobs < UINT32_MAX ? jobs + 1 : UINT32_MAX);
    *out_milli_s = milli_s;
}

/* Later by so much, at most as long as any job may run: further off nobody can tell. */
static struct span_ms eta_later(struct span_ms eta, uint64_t milli_s, uint64_t capacity)
{
    uint64_t wait_s = milli_s / capacity, max_s = (uint64_t)JOB_SPAN_MAX.ms / 1000;
    return SPAN_MS(eta.ms + (int64_t)(wait_s < max_s ? wait_s : max_s) * 1000);
}

static uint64_t capacity_milli(const struct placer *placer)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < placer->sites.len; i++) {
        const struct place_site *site = *(struct place_site **)vector_at(&placer->sites, i);
        for (uint32_t n = 0; site->is_open && n < site->node_count; n++)
            sum += site->nodes[n].cpu_milli_seen;
    }
    return sum > 0 ? sum : 1;
}

static enum err explain(struct placer *placer, const struct place_job *job, struct now now,
                        struct arena *arena, struct place_explanation *out)
{
    uint32_t count = (uint32_t)placer->sites.len;
    struct place_site_line *lines = arena_array(arena, count + 1, sizeof(*lines));
    if (lines == NULL)
        return ERR_NO_MEMORY;
    placer->now = now;
    place_settle(placer);
    struct place_explanation explanation = {
        .lines = lines, .line_count = count, .chosen = -1, .runner_up = -1};
    enum place_filter filter = FILTER_SITE_STATE;
    if (count > 0)
        filter = survey_all(placer, job, place_tenant_find(placer, job->tenant), now, arena, lines,
                            &explanation);
    for (uint32_t i = 0; i < count; i++) {
        lines[i].site_name = arena_copy(arena, lines[i].site_name);
        lines[i].detail = arena_copy(arena, lines[i].detail);
    }
    explanation.verdict = verdict_of(filter);
    explanation.blocked_by = filter;
    if (explanation.chosen >= 0 && lines[explanation.chosen].has_eta && filter != FILTER_QUOTA) {
        explanation.has_eta = true;
        explanation.eta_low = lines[explanation.chosen].eta_low;
        explanation.eta_high = lines[explanation.chosen].eta_high;
    }
    *out = explanation;
    return ERR_OK;
}

/* A held job: its own hold is lifted for the moment of the survey, so that its place shows as it
 * was decided. */
static enum err explain_held(struct placer *placer, struct place_hold *hold, struct now now,
                             struct arena *arena, struct place_explanation *out)
{
    place_settle(placer);
    place_hold_nodes(hold, false);
    place_share_hold(placer, hold->tenant, hold, false);
    enum err err = explain(placer, &hold->job, now, arena, out);
    place_hold_nodes(hold, true);
    place_share_hold(placer, hold->tenant, hold, true);
    if (err != ERR_OK)
        return err;
    int32_t best = out->chosen;
    for (uint32_t i = 0; i < out->line_count; i++)
        if (id_is_equal(out->lines[i].site.id, hold->site->site.id.id))
            out->chosen = (int32_t)i;
    if (out->chosen != best)
        out->runner_up = best;
    out->verdict = PLACE_HELD;
    out->blocked_by = FILTER_NONE;
    out->has_eta = false;
    return ERR_OK;
}

enum err placer_explain(struct placer *placer, struct job_id job, struct now now,
                        struct arena *arena, struct place_explanation *out)
{
    struct place_hold *hold = idmap_get(&placer->holds, job.id);
    if (hold != NULL)
        return explain_held(placer, hold, now, arena, out);
    struct place_queued *queued = idmap_get(&placer->queued, job.id);
    if (queued == NULL)
        return ERR_NOT_FOUND;
    struct place_explanation explanation;
    enum err err = explain(placer, &queued->job, now, arena, &explanation);
    if (err != ERR_OK)
        return err;
    uint64_t milli_s;
    queue_ahead(placer, queued, &explanation.queue_position, &milli_s);
    if (explanation.has_eta) /* the work ahead, were it spread over all that is open */
        explanation.eta_high = eta_later(explanation.eta_high, milli_s, capacity_milli(placer));
    bool is_held_back =
        explanation.queue_position > 1 || !place_array_is_open(placer, queued->job.spec);
    if (explanation.verdict == PLACE_NOW && is_held_back)
        explanation.verdict = PLACE_LATER;
    *out = explanation;
    return ERR_OK;
}

enum err placer_dry_run(struct placer *placer, const struct place_job *job, struct now now,
                        struct arena *arena, struct place_explanation *out)
{
    return explain(placer, job, now, arena, out);
}

enum err placer_check(struct placer *placer, const struct place_job *job, struct fault *fault)
{
    struct place_site_line line = {0}, closest = {0};
    if (placer->sites.len == 0)
        return ERR_OK; /* sites may join later; it waits */
    for (size_t i = 0; i < placer->sites.len; i++) {
        const struct place_site *site = *(struct place_site **)vector_at(&placer->sites, i);
        for (uint32_t v = 0; v < job->spec->variant_count; v++) {
            uint32_t stocks;
            line = (struct place_site_line){.site_name = site->site.name};
            if (place_filter_static(placer, site, job, v, &line, &stocks) == FILTER_NONE)
                return ERR_OK;
            if (line.filter >= closest.filter)
                closest = line;
        }
    }
    if (closest.filter == FILTER_IMAGE)
        return fault_set(fault, ERR_INVALID, "image",
                         "no site runs the container image \"%.*s\" (sites name what they run: lq "
                         "agent --images); leave `image` out, or add a variant without one",
                         SLICE_ARG(closest.detail));
    if (closest.filter == FILTER_SHARED)
        return fault_set(fault, ERR_INVALID, "shared_folders",
                         "no site shares the folder \"%.*s\" with the job's tenant (operators say "
                         "what they share: lq agent --shared)",
                         SLICE_ARG(closest.detail));
    return fault_set(fault, ERR_INVALID, "resources",
                     "no site could ever run this job: nearest is %.*s, removed by \"%s\" "
                     "(%.*s%swanted %llu, has %llu); "
                     "change the job or wait until a fitting site joins",
                     SLICE_ARG(closest.site_name), place_filter_name(closest.filter),
                     SLICE_ARG(closest.detail), closest.detail.len > 0 ? "; " : "",
                     (unsigned long long)closest.wanted, (unsigned long long)closest.available);
}
