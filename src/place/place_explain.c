/* Explanations: the same survey that decides, told in full. */
#include <stdlib.h>

#include "base/assert.h"
#include "place/place_state.h"

static enum place_verdict verdict_of(enum place_filter filter)
{
    if (filter == FILTER_NONE)
        return PLACE_NOW;
    return filter == FILTER_BUSY || filter == FILTER_QUOTA || filter == FILTER_SITE_STATE ||
                   filter == FILTER_AVOID
               ? PLACE_LATER
               : PLACE_IMPOSSIBLE;
}

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
    struct place_choice *choice = arena_alloc(arena, sizeof(*choice));
    if (lines == NULL || choice == NULL)
        return ERR_NO_MEMORY;
    struct place_explanation explanation = {
        .lines = lines, .line_count = count, .chosen = -1, .runner_up = -1};
    enum place_filter filter = FILTER_SITE_STATE;
    if (count > 0)
        filter = place_survey(placer, job, place_tenant_find(placer, job->tenant), now, true, lines,
                              &explanation.chosen, &explanation.runner_up, choice);
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
    struct place_site *site = hold->site; /* which may have lost nodes since */
    for (uint32_t r = 0; r < hold->nodes; r++)
        if (hold->places[r].node < site->node_count)
            place_node_give(&site->nodes[hold->places[r].node], hold->cpu_milli, hold->mem_bytes,
                            &hold->places[r]);
    place_share_hold(hold->tenant, hold, false);
    enum err err = explain(placer, &hold->job, now, arena, out);
    for (uint32_t r = 0; r < hold->nodes; r++)
        if (hold->places[r].node < site->node_count)
            place_node_take(&site->nodes[hold->places[r].node], hold->cpu_milli, hold->mem_bytes,
                            &hold->places[r]);
    place_share_hold(hold->tenant, hold, true);
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
            line = (struct place_site_line){.site_name = site->site.name};
            if (place_filter_static(placer, site, job, v, &line) == FILTER_NONE)
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
    return fault_set(fault, ERR_INVALID, "resources",
                     "no site could ever run this job: nearest is %.*s, removed by \"%s\" "
                     "(%.*s%swanted %llu, has %llu); "
                     "change the job or wait until a fitting site joins",
                     SLICE_ARG(closest.site_name), place_filter_name(closest.filter),
                     SLICE_ARG(closest.detail), closest.detail.len > 0 ? "; " : "",
                     (unsigned long long)closest.wanted, (unsigned long long)closest.available);
}
