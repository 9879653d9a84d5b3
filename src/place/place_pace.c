/* Pace: how long an option takes for the same work, and so what a unit of work costs there. Only
 * for jobs with a workload; others are compared by the hour.
 *
 * The speed of an option is, in this order: what was measured of its kind; what the catalogue makes
 * of a kind that was measured (by arithmetic, chip for chip); where nothing was measured yet, what
 * the catalogue says alone; else not known. An option whose speed is not known counts as a little
 * dearer a unit than the cheapest of those that are: it takes what overflows.
 *
 * What was not measured is worth a try: an option that nobody is trying yet gets a credit that
 * makes it a little cheaper than the cheapest, unless the catalogue says that it would be several
 * times as dear. So each kind is tried by one job at a time, and no job is run only to measure. */
#include <stdlib.h>

#include "base/assert.h"
#include "place/place_pace.h"
#include "place/place_state.h"

enum {
    MILLI = 1000,
    UNKNOWN_PERCENT = 110, /* of the cheapest's price a unit */
    EXPLORE_PERCENT = 90,  /* what a try counts as, of the same */
    EXPLORE_TIMES_MAX = 4, /* a kind that should cost more than so many times it is not tried */
    PACE_MILLI_MAX = 1000000000, /* a million times as long as the fastest */
};

/* ---- what is known */

static struct place_workload *workload_of(const struct placer *placer, struct id id)
{
    return id_is_none(id) ? NULL : idmap_get(&placer->workloads, id);
}

static const struct place_kind *kind_of(const struct place_workload *workload, enum runtime runtime,
                                        uint32_t devices, uint16_t chip)
{
    for (uint32_t i = 0; workload != NULL && i < workload->kind_count; i++) {
        const struct place_kind *kind = &workload->kinds[i];
        if (kind->runtime == runtime && kind->devices == devices && kind->chip == chip)
            return kind;
    }
    return NULL;
}

static uint64_t gflops_of(const struct placer *placer, uint16_t chip)
{
    return chip < placer->chips.len
               ? ((const struct place_chip *)vector_at(&placer->chips, chip))->gflops
               : 0;
}

/* a * b / c in 128 bits; saturates. */
static uint64_t scaled(uint64_t a, uint64_t b, uint64_t c)
{
    unsigned __int128 product = (unsigned __int128)a * b / c;
    return product > UINT64_MAX ? UINT64_MAX : (uint64_t)product;
}

static uint16_t option_chip(const struct place_option *option)
{
    return option->stock < option->site->stock_count
               ? option->site->stocks[option->stock].accelerator
               : 0;
}

/* 0: not known. */
static uint64_t speed_of(const struct place_paces *paces, const struct place_option *option,
                         enum place_pace *out_source)
{
    uint16_t chip = option_chip(option);
    uint64_t gflops = gflops_of(paces->placer, chip);
    const struct place_kind *kind =
        kind_of(paces->workload, option->need.runtime, option->need.devices, chip);
    *out_source = PACE_UNKNOWN;
    if (kind != NULL && kind->rate > 0) {
        *out_source = PACE_MEASURED;
        return kind->rate;
    }
    if (option->need.devices == 0 || gflops == 0)
        return 0;
    gflops *= option->need.devices;
    if (paces->best_measured > 0 && paces->anchor_gflops == 0)
        return 0; /* the figures cannot be set beside what was measured */
    *out_source = PACE_CATALOGUE;
    return paces->best_measured > 0 ? scaled(gflops, paces->anchor_rate, paces->anchor_gflops)
                                    : gflops;
}

/* ---- all options of a job beside each other */

void place_paces_begin(struct place_paces *paces, const struct placer *placer,
                       const struct place_job *job)
{
    *paces = (struct place_paces){.placer = placer,
                                  .workload = workload_of(placer, job->workload),
                                  .is_on = !id_is_none(job->workload)};
    for (uint32_t i = 0; paces->workload != NULL && i < paces->workload->kind_count; i++) {
        const struct place_kind *kind = &paces->workload->kinds[i];
        if (kind->rate > paces->best_measured)
            paces->best_measured = kind->rate;
        /* The largest: whatever the order in which kinds were put. */
        uint64_t gflops = gflops_of(placer, kind->chip) * kind->devices;
        bool is_larger = gflops > paces->anchor_gflops ||
                         (gflops == paces->anchor_gflops && kind->rate > paces->anchor_rate);
        if (kind->rate > 0 && gflops > 0 && is_larger) {
            paces->anchor_gflops = gflops;
            paces->anchor_rate = kind->rate;
        }
    }
    paces->best = paces->best_measured;
}

void place_paces_note(struct place_paces *paces, const struct place_option *option)
{
    enum place_pace source;
    if (!paces->is_on)
        return;
    uint64_t speed = speed_of(paces, option, &source);
    if (!paces->has_least || option->base.micros < paces->least.micros)
        paces->least = option->base;
    paces->has_least = true;
    if (speed == 0)
        return;
    if (paces->best_measured == 0 && speed > paces->best)
        paces->best = speed;
    /* Cheaper a unit: base / speed is less, in whole numbers. */
    if (paces->cheap_speed == 0 || (__int128)option->base.micros * paces->cheap_speed <
                                       (__int128)paces->cheap_base.micros * speed) {
        paces->cheap_base = option->base;
        paces->cheap_speed = speed;
    }
}

static uint32_t pace_from(uint64_t time, uint64_t unit)
{
    uint64_t pace = scaled(time, MILLI, unit > 0 ? unit : 1);
    return pace < 1 ? 1 : pace > PACE_MILLI_MAX ? PACE_MILLI_MAX : (uint32_t)pace;
}

/* What the cheapest option asks for an hour's work of the fastest. */
static struct money cheapest_of(const struct place_paces *paces)
{
    return paces->cheap_speed > 0
               ? money_scale_saturated(paces->cheap_base,
                                       pace_from(paces->best, paces->cheap_speed), MILLI)
               : paces->least;
}

static struct money base_of(const struct place_rates *rates)
{
    struct money base = money_add_saturated(money_add_saturated(rates->ask, rates->energy),
                                            money_add_saturated(rates->carbon, rates->role));
    return money_add_saturated(base, rates->explore);
}

void place_pace_set(const struct place_paces *paces, struct place_option *option)
{
    struct place_rates *rates = &option->rates;
    struct money cheapest = cheapest_of(paces);
    option->pace_milli = MILLI;
    option->pace = PACE_NONE;
    option->base = base_of(rates);
    if (!paces->is_on)
        return;
    option->speed = speed_of(paces, option, &option->pace);
    if (option->speed > 0)
        option->pace_milli = pace_from(paces->best, option->speed);
    else if (paces->cheap_speed > 0 && cheapest.micros > 0 && option->base.micros > 0)
        option->pace_milli = pace_from(scaled((uint64_t)cheapest.micros, UNKNOWN_PERCENT, 100),
                                       (uint64_t)option->base.micros);
    struct money *const terms[] = {&rates->ask, &rates->energy, &rates->carbon, &rates->role};
    for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++)
        *terms[i] = money_scale_saturated(*terms[i], option->pace_milli, MILLI);
    option->base = base_of(rates);
    const struct place_kind *kind =
        kind_of(paces->workload, option->need.runtime, option->need.devices, option_chip(option));
    bool may_explore = option->pace != PACE_MEASURED && (kind == NULL || kind->may_explore);
    struct money worth = money_scale_saturated(cheapest, EXPLORE_PERCENT, 100);
    bool is_too_dear =
        option->pace == PACE_CATALOGUE && option->base.micros / EXPLORE_TIMES_MAX > cheapest.micros;
    if (may_explore && option->base.micros > worth.micros && !is_too_dear) {
        rates->explore.micros = worth.micros - option->base.micros;
        option->base = worth;
    }
}

/* ---- a shape's options, when its workload's speeds are others */

static void shape_reprice(struct placer *placer, struct place_shape *shape)
{
    struct place_option *options = shape->options;
    struct place_paces paces;
    uint32_t count = shape->option_count;
    uint8_t *fits = calloc((size_t)count + 1, 1);
    ASSERT(fits != NULL);
    place_paces_begin(&paces, placer, &shape->job);
    for (uint32_t i = 0; i < count; i++) {
        bool has_price = place_rates_of(placer, options[i].site, &shape->job, options[i].variant,
                                        options[i].stock, &options[i].rates);
        ASSERT(has_price);
        options[i].base = base_of(&options[i].rates);
        options[i].was_at = i;
        place_paces_note(&paces, &options[i]);
    }
    for (uint32_t i = 0; i < count; i++)
        place_pace_set(&paces, &options[i]);
    shape_sort(shape);
    for (uint32_t i = 0; i < count; i++) {
        fits[i] = shape->fits[options[i].was_at];
        if (options[i].want == UINT32_MAX)
            continue;
        struct place_want *want = &options[i].site->wants.list[options[i].want];
        want->option = &options[i];
        want->pays = option_pays(&options[i]);
    }
    free(shape->fits);
    shape->fits = fits;
    place_groups_unpark(placer, &shape->parked); /* a budget may suffice now */
}

static void speed_changed(struct placer *placer, struct id workload)
{
    size_t cursor = 0;
    void *value;
    while (idmap_next(&placer->holds, &cursor, NULL, &value)) {
        struct place_hold *hold = value;
        if (id_is_equal(hold->job.workload, workload))
            hold->expected = place_hold_expected(placer, hold);
    }
    for (uint32_t i = 0; i < placer->reservation_count; i++)
        placer->reservations[i]->is_fresh = true;
    placer->supply++; /* what a budget ruled out may be promised nodes now */
    if (placer->is_stale)
        return; /* all will be worked out anew */
    cursor = 0;
    while (strmap_next(&placer->shapes, &cursor, NULL, &value)) {
        struct place_shape *shape = value;
        if (id_is_equal(shape->job.workload, workload) && shape->option_count > 0 &&
            shape->settings == placer->settings)
            shape_reprice(placer, shape);
    }
    placer->must_reserve = placer->must_lend = true;
}

struct span_ms place_hold_expected(const struct placer *placer, const struct place_hold *hold)
{
    struct span_ms runs = place_expected(placer, &hold->job),
                   limit = place_limit(placer, &hold->job);
    const struct place_workload *workload = workload_of(placer, hold->job.workload);
    const struct job_variant *variant = &hold->job.spec->variants[hold->variant];
    uint16_t chip = 0, node = hold->ranks[0].place.node;
    if (workload == NULL)
        return runs;
    if (variant->accelerators > 0 && node < hold->site->node_count &&
        hold->site->nodes[node].stock < hold->site->stock_count)
        chip = hold->site->stocks[hold->site->nodes[node].stock].accelerator;
    const struct place_kind *kind =
        kind_of(workload, variant->runtime, variant->accelerators, chip);
    struct place_paces paces;
    place_paces_begin(&paces, placer, &hold->job);
    if (kind == NULL || kind->rate == 0)
        return runs;
    uint64_t ms = scaled((uint64_t)runs.ms, pace_from(paces.best, kind->rate), MILLI);
    return ms < (uint64_t)limit.ms ? SPAN_MS((int64_t)ms) : limit;
}

/* ---- what stands */

enum err placer_chip_put(struct placer *placer, const struct place_chip_facts *facts)
{
    uint16_t index;
    const struct place_chip none = {0};
    if (place_name_keep(placer, facts->model, &index) == NULL)
        return ERR_LIMIT;
    while (placer->chips.len <= index) {
        enum err err = vector_push(&placer->chips, &none);
        if (err != ERR_OK)
            return err;
    }
    *(struct place_chip *)vector_at(&placer->chips, index) = (struct place_chip){
        .gflops = facts->gflops < PLACE_GFLOPS_MAX ? facts->gflops : PLACE_GFLOPS_MAX,
        .is_known = true,
        .is_domestic = facts->is_domestic};
    place_settings_raise(placer);
    return ERR_OK;
}

static struct place_kind *kind_add(struct place_workload *workload)
{
    return workload->kind_count < PLACE_KINDS_MAX ? &workload->kinds[workload->kind_count++] : NULL;
}

enum err placer_speed_put(struct placer *placer, struct id workload,
                          const struct place_speed *speed)
{
    uint16_t chip;
    struct place_workload *at = workload_of(placer, workload);
    ASSERT(!id_is_none(workload));
    if (place_name_keep(placer, speed->accelerator, &chip) == NULL)
        return ERR_LIMIT;
    if (at == NULL) {
        at = calloc(1, sizeof(*at));
        enum err err = at == NULL ? ERR_NO_MEMORY : idmap_add(&placer->workloads, workload, at);
        if (err != ERR_OK) {
            free(at);
            return err;
        }
    }
    struct place_kind *kind =
        (struct place_kind *)kind_of(at, speed->runtime, speed->devices, chip);
    const struct place_kind fresh = {.runtime = speed->runtime,
                                     .devices = speed->devices,
                                     .chip = chip,
                                     .may_explore = speed->may_explore,
                                     .rate = speed->rate < PLACE_RATE_MAX ? speed->rate
                                                                          : PLACE_RATE_MAX};
    if (kind == NULL)
        kind = kind_add(at);
    else if (kind->rate == fresh.rate && kind->may_explore == fresh.may_explore)
        return ERR_OK;
    if (kind == NULL)
        return ERR_LIMIT;
    *kind = fresh;
    speed_changed(placer, workload);
    return ERR_OK;
}

void placer_speed_forget(struct placer *placer, struct id workload)
{
    struct place_workload *at = idmap_remove(&placer->workloads, workload);
    if (at == NULL)
        return;
    free(at);
    speed_changed(placer, workload);
}

/* The catalogue's word on the chip; where it has none, the runtime's vendor. Where a chip that any
 * vendor may have made comes from is not known: then it is not domestic. */
bool place_is_foreign(const struct placer *placer, const struct place_stock *stock)
{
    if (stock->accelerator < placer->chips.len) {
        const struct place_chip *chip = vector_at(&placer->chips, stock->accelerator);
        if (chip->is_known)
            return !chip->is_domestic;
    }
    return stock->runtime == RUNTIME_CUDA || stock->runtime == RUNTIME_ROCM ||
           stock->runtime == RUNTIME_OPENCL;
}
