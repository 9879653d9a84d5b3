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

/* Rounded half-even, as money_scale does; nearly all amounts take the short way in 64 bits. */
struct money place_per_hours(struct money per_hour, struct span_ms span)
{
    int64_t product;
    if (per_hour.micros < 0 || span.ms < 0 ||
        __builtin_mul_overflow(per_hour.micros, span.ms, &product))
        return money_scale_saturated(per_hour, span.ms, MS_PER_HOUR);
    int64_t whole = product / MS_PER_HOUR, rest = product % MS_PER_HOUR;
    bool is_up = rest * 2 > MS_PER_HOUR || (rest * 2 == MS_PER_HOUR && whole % 2 == 1);
    return (struct money){whole + is_up};
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

static void rate_energy(const struct placer *placer, const struct place_site *site,
                        const struct job_spec *spec, const struct job_variant *variant,
                        struct place_rates *rates)
{
    const struct region *region = site->region;
    if (region == NULL)
        return;
    int64_t watts = job_watts(spec, variant, region);
    if (!site->site.ask_includes_energy && region->price_per_kwh.has)
        rates->energy = money_scale_saturated(region->price_per_kwh.value, watts, 1000);
    if (region->carbon_mg_per_kwh.has && placer->policy.carbon_price_per_tonne.has) {
        struct money per_kwh =
            money_scale_saturated(placer->policy.carbon_price_per_tonne.value,
                                  clamp(region->carbon_mg_per_kwh.value, INT64_MAX), 1000000000);
        rates->carbon = money_scale_saturated(per_kwh, watts, 1000);
    }
}

/* Bytes on their way: the time that takes, and the egress price. */
static void rate_bytes(uint64_t bytes, int64_t mbps, struct maybe_money egress_per_gb,
                       struct place_rates *rates)
{
    int64_t ms = clamp(bytes / (uint64_t)(mbps * 125), INT64_MAX); /* 1 Mbit/s: 125 bytes a ms */
    if (__builtin_add_overflow(rates->staging.ms, ms, &rates->staging.ms))
        rates->staging.ms = INT64_MAX;
    if (egress_per_gb.has)
        rates->egress = money_add_saturated(
            rates->egress,
            money_scale_saturated(egress_per_gb.value, clamp(bytes / 1000, INT64_MAX), 1000000));
}

/* Content from the network's store, at the planning estimate of its links. */
static void rate_inputs(const struct placer *placer, const struct place_site *site,
                        const struct job_spec *spec, struct place_rates *rates)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < spec->input_count; i++) {
        const struct job_input *input = &spec->inputs[i];
        if (!text_list_has(&input->homes, site->site.name) &&
            __builtin_add_overflow(bytes, input->size_bytes, &bytes))
            bytes = UINT64_MAX;
    }
    rate_bytes(bytes, MBPS_UNKNOWN, placer->policy.egress_per_gb, rates);
}

/* A checkpoint, over the link from where a copy lies. */
static void rate_restore(struct placer *placer, const struct place_site *site,
                         const struct place_job *job, struct place_rates *rates)
{
    if (!job->has_restore || job->restore_bytes == 0 ||
        id_is_equal(job->restore_site.id, site->site.id.id))
        return;
    struct place_site *from = place_site_find(placer, job->restore_site);
    const struct link *link = from == NULL ? NULL : place_link_find(placer, from, site);
    int64_t mbps = link != NULL && link->bandwidth_mbps.has && link->bandwidth_mbps.value > 0
                       ? clamp(link->bandwidth_mbps.value, MBPS_MAX)
                       : MBPS_UNKNOWN;
    rate_bytes(job->restore_bytes, mbps,
               link != NULL && link->egress_per_gb.has ? link->egress_per_gb
                                                       : placer->policy.egress_per_gb,
               rates);
}

bool place_rates_of(struct placer *placer, const struct place_site *site,
                    const struct place_job *job, uint32_t variant_index, uint32_t stock,
                    struct place_rates *out)
{
    const struct job_spec *spec = job->spec;
    const struct job_variant *variant = &spec->variants[variant_index];
    struct slice model = variant->accelerator;
    if (stock < site->stock_count)
        model = slice_of(place_name(placer, site->stocks[stock].accelerator));
    struct maybe_money ask = site_gang_ask_per_hour(&site->site, model, variant->accelerators,
                                                    spec->cpu_milli, spec->num_nodes);
    if (!ask.has)
        return false;
    struct place_rates rates = {.ask = ask.value};
    rate_energy(placer, site, spec, variant, &rates);
    rate_restore(placer, site, job, &rates);
    rate_inputs(placer, site, spec, &rates);
    if (site->region != NULL && site->region->role == ROLE_SERVE &&
        spec->placement.role != ROLE_SERVE)
        rates.role = money_scale_saturated(rates.ask, PLACE_ROLE_PERCENT, 100);
    *out = rates;
    return true;
}

bool place_is_over_budget(const struct place_job *job, const struct place_score *score)
{
    struct money buyer =
        money_add_saturated(score->ask, money_add_saturated(score->energy, score->egress));
    return job->spec->budget.micros > 0 && buyer.micros > job->spec->budget.micros;
}

bool place_is_affordable(const struct placer *placer, const struct place_job *job,
                         const struct place_option *option)
{
    if (job->spec->budget.micros <= 0)
        return true;
    struct span_ms runs = place_expected(placer, job);
    const struct place_rates *rates = &option->rates;
    const struct place_score score = {.ask = place_per_hours(rates->ask, runs),
                                      .energy = place_per_hours(rates->energy, runs),
                                      .egress = rates->egress};
    return !place_is_over_budget(job, &score);
}

void place_score_of(const struct placer *placer, const struct place_job *job,
                    const struct place_option *option, struct span_ms runs, struct span_ms wait,
                    uint32_t left, struct place_score *out)
{
    const struct place_rates *rates = &option->rates;
    struct money time_value = placer->policy.time_value_per_hour[job->spec->priority];
    struct place_score score = {.ask = place_per_hours(rates->ask, runs),
                                .energy = place_per_hours(rates->energy, runs),
                                .egress = rates->egress,
                                .carbon = place_per_hours(rates->carbon, runs),
                                .wait = place_per_hours(time_value, wait),
                                .staging = place_per_hours(time_value, rates->staging),
                                .role = place_per_hours(rates->role, runs),
                                .explore = place_per_hours(rates->explore, runs)};
    if (left > 0 && option->need.devices > 0)
        score.fragmentation =
            money_scale_saturated(score.ask, (int64_t)left * PLACE_FRAGMENT_PERCENT,
                                  (int64_t)option->need.devices * option->need.ranks * 100);
    if (!id_is_none(job->avoid.id) && id_is_equal(job->avoid.id, option->site->site.id.id))
        score.risk = money_scale_saturated(score.ask, PLACE_RETRY_PERCENT, 100);
    const struct money terms[] = {score.ask,  score.energy,  score.egress,        score.carbon,
                                  score.wait, score.staging, score.fragmentation, score.risk,
                                  score.role, score.explore};
    for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++)
        score.total = money_add_saturated(score.total, terms[i]);
    *out = score;
}
