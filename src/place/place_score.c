/* The score: money per choice. What the buyer pays and what policy adds are kept apart. Scores
 * saturate; bills are made elsewhere. */
#include <string.h>

#include "base/assert.h"
#include "place/place_state.h"

enum {
    MS_PER_HOUR = 3600000,
    PUE_MILLI_MAX = 100000, /* bounds that keep the products below in 64 bits */
    MBPS_MAX = 1000000000,
    MBPS_UNKNOWN = 1000, /* planning estimate where a link says nothing */
};

static int64_t clamp(uint64_t value, int64_t max)
{
    return value < (uint64_t)max ? (int64_t)value : max;
}

/* Of the spec, else of the nearest tenant upwards, else of the policy. */
struct span_ms place_limit(const struct placer *placer, const struct place_job *job)
{
    if (job->spec->time_limit.ms > 0)
        return job->spec->time_limit;
    const struct place_tenant *tenant = place_tenant_find(placer, job->tenant);
    for (; tenant != NULL; tenant = tenant->parent)
        if (tenant->tenant.default_time_limit.ms > 0)
            return tenant->tenant.default_time_limit;
    return placer->policy.default_time_limit.ms > 0 ? placer->policy.default_time_limit
                                                    : SPAN_S(86400);
}

/* Nobody runs past the limit, whatever was guessed. */
struct span_ms place_expected(const struct placer *placer, const struct place_job *job)
{
    struct span_ms limit = place_limit(placer, job);
    return job->spec->expected.ms > 0 && job->spec->expected.ms < limit.ms ? job->spec->expected
                                                                           : limit;
}

static struct money per_hours(struct money per_hour, struct span_ms span)
{
    return money_scale_saturated(per_hour, span.ms, MS_PER_HOUR);
}

/* Planning estimate of the power a job draws, the building's overhead included. */
static int64_t job_watts(const struct job_spec *spec, const struct job_variant *variant,
                         const struct region *region)
{
    int64_t watts =
        (int64_t)spec->num_nodes * ((int64_t)spec->cpu_milli * PLACE_WATTS_PER_CORE / 1000 +
                                    (int64_t)variant->accelerators * PLACE_WATTS_PER_ACCELERATOR);
    if (region != NULL && region->pue_milli.has)
        watts = watts * clamp(region->pue_milli.value, PUE_MILLI_MAX) / 1000;
    return watts;
}

static void score_energy(const struct placer *placer, const struct place_site *site,
                         const struct job_spec *spec, const struct job_variant *variant,
                         struct span_ms runs, struct place_score *score)
{
    const struct region *region = site->region;
    if (region == NULL)
        return;
    int64_t watt_s = job_watts(spec, variant, region) * (runs.ms / 1000);
    if (!site->site.ask_includes_energy && region->price_per_kwh.has)
        score->energy = money_scale_saturated(region->price_per_kwh.value, watt_s, 3600000);
    if (region->carbon_mg_per_kwh.has && placer->policy.carbon_price_per_tonne.has) {
        struct money per_kwh =
            money_scale_saturated(placer->policy.carbon_price_per_tonne.value,
                                  clamp(region->carbon_mg_per_kwh.value, INT64_MAX), 1000000000);
        score->carbon = money_scale_saturated(per_kwh, watt_s, 3600000);
    }
}

/* Bytes on their way: time at the class's value, and the egress price. */
static void add_staging(const struct placer *placer, const struct job_spec *spec, uint64_t bytes,
                        int64_t mbps, struct maybe_money egress_per_gb, struct place_score *score)
{
    int64_t ms = clamp(bytes / (uint64_t)(mbps * 125), INT64_MAX); /* 1 Mbit/s: 125 bytes a ms */
    score->staging = money_add_saturated(
        score->staging, per_hours(placer->policy.time_value_per_hour[spec->priority], SPAN_MS(ms)));
    if (egress_per_gb.has)
        score->egress = money_add_saturated(
            score->egress,
            money_scale_saturated(egress_per_gb.value, clamp(bytes / 1000, INT64_MAX), 1000000));
}

/* Content from the network's store, at the planning estimate of its links. */
static void score_inputs(const struct placer *placer, const struct place_site *site,
                         const struct job_spec *spec, struct place_score *score)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < spec->input_count; i++) {
        const struct job_input *input = &spec->inputs[i];
        if (!text_list_has(&input->homes, site->site.name) &&
            __builtin_add_overflow(bytes, input->size_bytes, &bytes))
            bytes = UINT64_MAX;
    }
    add_staging(placer, spec, bytes, MBPS_UNKNOWN, placer->policy.egress_per_gb, score);
}

/* Bringing a checkpoint over: time at the class's value, and the link's egress price. */
static void score_staging(struct placer *placer, const struct place_site *site,
                          const struct place_job *job, struct place_score *score)
{
    if (!job->has_restore || job->restore_bytes == 0 ||
        id_is_equal(job->restore_site.id, site->site.id.id))
        return;
    struct place_site *from = place_site_find(placer, job->restore_site);
    const struct link *link = from == NULL ? NULL : place_link_find(placer, from, site);
    int64_t mbps = link != NULL && link->bandwidth_mbps.has && link->bandwidth_mbps.value > 0
                       ? clamp(link->bandwidth_mbps.value, MBPS_MAX)
                       : MBPS_UNKNOWN;
    add_staging(placer, job->spec, job->restore_bytes, mbps,
                link != NULL && link->egress_per_gb.has ? link->egress_per_gb
                                                        : placer->policy.egress_per_gb,
                score);
}

/* Devices left over on a node that the choice breaks open. */
static void score_fragments(const struct place_site *site, const struct job_spec *spec,
                            const struct job_variant *variant, const struct rank_place *places,
                            struct money ask_per_hour, struct span_ms runs,
                            struct place_score *score)
{
    if (variant->accelerators == 0 || places == NULL)
        return;
    int64_t left = 0, held = (int64_t)variant->accelerators * spec->num_nodes;
    for (uint32_t r = 0; r < spec->num_nodes; r++) {
        int64_t spare = __builtin_popcount(place_node_devices_free(&site->nodes[places[r].node])) -
                        (int64_t)variant->accelerators;
        left += spare > 0 ? spare : 0; /* below: they are taken now and will be free by then */
    }
    struct money whole = per_hours(ask_per_hour, runs);
    score->fragmentation = money_scale_saturated(whole, left * PLACE_FRAGMENT_PERCENT, held * 100);
}

bool place_score_site(struct placer *placer, const struct place_site *site,
                      const struct place_job *job, uint32_t variant_index, struct span_ms wait,
                      const struct rank_place *places, struct place_score *out,
                      struct money *out_ask_per_hour)
{
    const struct job_spec *spec = job->spec;
    const struct job_variant *variant = &spec->variants[variant_index];
    const struct region *region = site->region;
    struct slice model = place_model(placer, site, variant);
    if (variant->accelerators > 0 && places != NULL)
        model =
            slice_of(*(char **)vector_at(&placer->names, site->nodes[places[0].node].accelerator));
    struct maybe_money ask = site_gang_ask_per_hour(&site->site, model, variant->accelerators,
                                                    spec->cpu_milli, spec->num_nodes);
    if (!ask.has)
        return false;
    struct place_score score = {0};
    struct span_ms runs = place_expected(placer, job);
    score.ask = per_hours(ask.value, runs);
    score_energy(placer, site, spec, variant, runs, &score);
    score_staging(placer, site, job, &score);
    score_inputs(placer, site, spec, &score);
    score_fragments(site, spec, variant, places, ask.value, runs, &score);
    score.wait = per_hours(placer->policy.time_value_per_hour[spec->priority], wait);
    if (region != NULL && region->role == ROLE_SERVE && spec->placement.role != ROLE_SERVE)
        score.role = money_scale_saturated(score.ask, PLACE_ROLE_PERCENT, 100);
    if (!id_is_none(job->avoid.id) && id_is_equal(job->avoid.id, site->site.id.id))
        score.risk = money_scale_saturated(score.ask, PLACE_RETRY_PERCENT, 100);
    const struct money terms[] = {score.ask,           score.energy, score.egress,
                                  score.carbon,        score.wait,   score.staging,
                                  score.fragmentation, score.risk,   score.role};
    for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++)
        score.total = money_add_saturated(score.total, terms[i]);
    *out = score;
    *out_ask_per_hour = ask.value;
    return true;
}
