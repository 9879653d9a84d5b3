/* Shapes, their options, and where they fit now. */
#include "place/place_pace.h"
#include "place/place_state.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

/* ---- steps of time limits */

static const uint32_t STEP_MINUTES[PLACE_STEPS - 1] = {
    1,    2,     5,     10,    15,    20,    30,    45,     60,    90,   120,
    180,  240,   360,   480,   720,   960,   1440,  2160,   2880,  4320, 5760,
    7200, 10080, 14400, 20160, 30240, 43200, 86400, 129600, 259200};

uint8_t place_step(struct span_ms limit)
{
    uint8_t step = 0;
    while (step < PLACE_STEPS - 1 && limit.ms > place_step_limit(step).ms)
        step++;
    return step;
}

struct span_ms place_step_limit(uint8_t step)
{
    return step < PLACE_STEPS - 1 ? SPAN_S((int64_t)STEP_MINUTES[step] * 60) : JOB_SPAN_MAX;
}

/* ---- options */

uint32_t place_options_of(struct placer *placer, struct place_site *site,
                          const struct place_job *job, uint32_t variant, uint32_t stocks,
                          struct place_option out[PLACE_STOCKS_MAX])
{
    uint32_t count = 0;
    bool is_any = job->spec->variants[variant].accelerators == 0;
    for (uint32_t s = 0; s < site->stock_count; s++) {
        if (!(stocks >> s & 1))
            continue;
        struct place_option option = {
            .site = site,
            .want = UINT32_MAX,
            .variant = (uint8_t)variant,
            .stock = is_any ? UINT8_MAX : (uint8_t)s,
            .is_second = !is_any && job->spec->placement.provenance == PROVENANCE_DOMESTIC_FIRST &&
                         place_is_foreign(placer, &site->stocks[s]),
            .need = place_need_of(job->spec, variant)};
        if (!is_any)
            option.reach = stock_reach(&site->stocks[s], &option.need);
        if (place_rates_of(placer, site, job, variant, option.stock, &option.rates)) {
            const struct place_rates *rates = &option.rates;
            option.ask_hour = rates->ask;
            option.base = money_add_saturated(money_add_saturated(rates->ask, rates->energy),
                                              money_add_saturated(rates->carbon, rates->role));
            out[count++] = option;
        }
        if (is_any)
            break;
    }
    return count;
}

static void options_clear(struct place_shape *shape)
{
    free(shape->options);
    free(shape->codes);
    free(shape->fits);
    shape->options = NULL;
    shape->codes = shape->fits = NULL;
    shape->option_count = 0;
}

static void option_add(struct vector *options, const struct place_option *option)
{
    enum err err = vector_push(options, option);
    ASSERT(err == ERR_OK);
}

/* One site: its options, or the filter of the variant that came furthest. */
static enum place_filter site_options(struct placer *placer, struct place_site *site,
                                      struct place_shape *shape, struct vector *options)
{
    struct place_option found[PLACE_STOCKS_MAX];
    enum place_filter furthest = FILTER_SITE_STATE;
    size_t before = options->len;
    for (uint32_t v = 0; v < shape->job.spec->variant_count; v++) {
        uint32_t stocks = 0;
        enum place_filter filter = place_filter_static(placer, site, &shape->job, v, NULL, &stocks);
        uint32_t count = 0;
        if (filter == FILTER_NONE)
            filter = place_filter_contract(site, &shape->job, v, NULL);
        if (filter == FILTER_NONE) {
            count = place_options_of(placer, site, &shape->job, v, stocks, found);
            filter = FILTER_NO_PRICE;
        }
        for (uint32_t i = 0; i < count; i++) {
            found[i].shape = shape;
            option_add(options, &found[i]);
        }
        if (filter > furthest)
            furthest = filter;
    }
    return options->len > before ? FILTER_NONE : furthest;
}

static int option_compare(const void *a, const void *b)
{
    const struct place_option *x = a, *y = b;
    if (x->is_second != y->is_second)
        return x->is_second ? 1 : -1;
    if (x->base.micros != y->base.micros)
        return x->base.micros < y->base.micros ? -1 : 1;
    if (x->site != y->site)
        return x->site->index < y->site->index ? -1 : 1;
    if (x->variant != y->variant)
        return x->variant < y->variant ? -1 : 1;
    return (x->stock > y->stock) - (x->stock < y->stock);
}

void shape_sort(struct place_shape *shape)
{
    if (shape->option_count > 0)
        qsort(shape->options, shape->option_count, sizeof(*shape->options), option_compare);
}

static void shape_price(const struct placer *placer, struct place_shape *shape)
{
    struct place_paces paces;
    if (id_is_none(shape->job.workload))
        return; /* by the hour, as they are */
    place_paces_begin(&paces, placer, &shape->job);
    for (uint32_t i = 0; i < shape->option_count; i++)
        place_paces_note(&paces, &shape->options[i]);
    for (uint32_t i = 0; i < shape->option_count; i++)
        place_pace_set(&paces, &shape->options[i]);
}

static void shape_work_out(struct placer *placer, struct place_shape *shape)
{
    struct vector options;
    options_clear(shape);
    vector_init(&options, sizeof(struct place_option), PLACE_OPTIONS_MAX);
    shape->codes = calloc(placer->sites.len + 1, 1);
    ASSERT(shape->codes != NULL);
    shape->has_twins = false;
    for (size_t i = 0; i < placer->sites.len; i++) {
        struct place_site *site = place_site_at(placer, i);
        size_t before = options.len;
        enum place_filter filter = site_options(placer, site, shape, &options);
        if (filter == FILTER_NONE)
            filter = site->is_open ? FILTER_BUSY : place_closed_filter(site);
        shape->codes[i] = (uint8_t)filter;
        shape->has_twins = shape->has_twins || options.len > before + 1;
    }
    shape->options = options.data;
    shape->option_count = (uint32_t)options.len;
    shape->fits = calloc(options.len + 1, 1);
    ASSERT(shape->fits != NULL);
    shape_price(placer, shape);
    shape_sort(shape);
    shape->settings = placer->settings;
    shape->fit = 0;
    shape->open_count = shape->lent_count = 0;
}

/* ---- marks */

/* What a fit says of the shape's mark: open, lent, or neither. Lent nodes are of no use where all
 * limits are too long. */
static void mark_count(struct placer *placer, const struct place_shape *shape, int change)
{
    uint32_t mark = shape->mark;
    if (mark == MARK_HOPELESS || shape->fit <= shape->step_least)
        return;
    if (shape->fit == PLACE_STEPS) {
        placer->mark_open[mark] += (uint32_t)change;
        mask_set(&placer->open, mark, placer->mark_open[mark] > 0);
    } else {
        placer->mark_lent[mark] += (uint32_t)change;
        mask_set(&placer->lent, mark, placer->mark_lent[mark] > 0);
    }
}

static void shape_fit_set(struct placer *placer, struct place_shape *shape, uint8_t fit)
{
    mark_count(placer, shape, -1);
    placer->must_lend = placer->must_lend || (fit > shape->step_least && fit < PLACE_STEPS);
    shape->fit = fit;
    mark_count(placer, shape, 1);
}

bool shape_is_open(const struct place_shape *shape, uint8_t step)
{
    return shape->fit > step;
}

void place_parked_count(struct placer *placer, uint32_t mark, struct money pay, int change)
{
    if (placer->mark_parked[mark] == 0 || pay.micros > placer->parked_pay[mark].micros)
        placer->parked_pay[mark] = pay;
    placer->mark_parked[mark] += (uint32_t)change;
    mask_set(&placer->parked, mark, placer->mark_parked[mark] > 0);
}

/* What its cheapest variant takes of a quota. */
static struct place_claim claim_of(const struct job_spec *spec)
{
    uint32_t least = UINT32_MAX;
    for (uint32_t v = 0; v < spec->variant_count; v++)
        if (spec->variants[v].accelerators < least)
            least = spec->variants[v].accelerators;
    return (struct place_claim){(uint64_t)spec->cpu_milli * spec->num_nodes,
                                (uint64_t)least * spec->num_nodes};
}

/* Two shapes have one mark: no quota may rule it out any more. */
static void mark_share(struct placer *placer, uint32_t mark)
{
    size_t cursor = 0;
    void *value;
    if (placer->claims[mark].cpu_milli == 0 && placer->claims[mark].accelerators == 0)
        return;
    placer->claims[mark] = (struct place_claim){0, 0};
    while (idmap_next(&placer->tenants, &cursor, NULL, &value))
        place_share_refresh(placer, value);
}

static uint32_t mark_take(struct placer *placer, const struct place_shape *shape)
{
    uint32_t mark = PLACE_MARKS_FREE;
    for (uint32_t w = 0; w < PLACE_MASK_WORDS && mark == PLACE_MARKS_FREE; w++)
        if (placer->used.words[w] != UINT64_MAX)
            mark = w * 64 + (uint32_t)__builtin_ctzll(~placer->used.words[w]);
    if (mark >= PLACE_MARKS_FREE) /* all stand for something: two share one */
        mark = (uint32_t)(shape->number % PLACE_MARKS_FREE);
    if (placer->mark_users[mark]++ > 0) {
        mark_share(placer, mark);
        return mark;
    }
    mask_set(&placer->used, mark, true);
    struct place_claim claim = claim_of(shape->job.spec);
    placer->claims[mark] = claim;
    if (claim.cpu_milli > placer->claim_max.cpu_milli)
        placer->claim_max.cpu_milli = claim.cpu_milli;
    if (claim.accelerators > placer->claim_max.accelerators)
        placer->claim_max.accelerators = claim.accelerators;
    return mark;
}

/* While it waits; shapes without options have the mark that is never open. */
static void shape_mark(struct placer *placer, struct place_shape *shape)
{
    ASSERT(shape->mark == MARK_HOPELESS);
    if (shape->option_count == 0)
        return;
    shape->mark = (uint16_t)mark_take(placer, shape);
    for (uint32_t i = 0; i < shape->option_count; i++) {
        struct place_option *option = &shape->options[i];
        option->site->wants.list[option->want].mark = shape->mark;
    }
    mark_count(placer, shape, 1);
}

static void shape_unmark(struct placer *placer, struct place_shape *shape)
{
    if (shape->mark == MARK_HOPELESS)
        return;
    mark_count(placer, shape, -1);
    if (--placer->mark_users[shape->mark] == 0)
        mask_set(&placer->used, shape->mark, false);
    shape->mark = MARK_HOPELESS;
}

/* ---- options among the wants of their sites */

static void code_set(struct place_shape *shape, const struct place_option *option, bool fits)
{
    uint8_t *code = &shape->codes[option->site->index];
    for (uint32_t i = 0; i < shape->option_count && shape->has_twins && !fits; i++)
        fits = shape->options[i].site == option->site && shape->fits[i] == PLACE_STEPS;
    *code = fits                    ? FILTER_NONE
            : option->site->is_open ? FILTER_BUSY
                                    : place_closed_filter(option->site);
}

void place_site_code(struct placer *placer, struct place_site *site)
{
    (void)placer;
    const struct place_wants *wants = &site->wants;
    for (uint32_t i = 0; i < wants->count; i++)
        code_set(wants->list[i].option->shape, wants->list[i].option, wants->fit[i] == PLACE_STEPS);
}

static uint8_t fits_most(const struct place_shape *shape)
{
    uint8_t most = 0;
    if (shape->open_count > 0)
        return PLACE_STEPS;
    for (uint32_t i = 0; i < shape->option_count && shape->lent_count > 0; i++)
        if (shape->fits[i] > most)
            most = shape->fits[i];
    return most;
}

void option_fit_set(struct placer *placer, struct place_option *option, uint8_t fit)
{
    struct place_shape *shape = option->shape;
    uint8_t *known = &shape->fits[option - shape->options], old = *known;
    *known = fit;
    shape->open_count += (fit == PLACE_STEPS) - (old == PLACE_STEPS);
    shape->lent_count += (fit > 0 && fit < PLACE_STEPS) - (old > 0 && old < PLACE_STEPS);
    struct place_wants *wants = &option->site->wants;
    wants->fit[option->want] = wants->next[option->want] = fit;
    code_set(shape, option, fit == PLACE_STEPS);
    if (fit > shape->fit) {
        shape_fit_set(placer, shape, fit);
    } else if (fit < old && old == shape->fit && (old < PLACE_STEPS || shape->open_count == 0)) {
        shape_fit_set(placer, shape, fits_most(shape));
    }
    if (fit > old && shape->parked != NULL)
        place_option_unpark(placer, option);
}

/* All arrays of bytes lie in one block. */
static void wants_grow(struct place_wants *wants)
{
    enum { ARRAYS = 6, FIRST = 64 };
    struct place_wants fresh = *wants;
    uint32_t cap = fresh.cap = wants->cap == 0 ? FIRST : wants->cap * 2;
    fresh.bytes = calloc(ARRAYS, cap);
    fresh.list = realloc(wants->list, cap * sizeof(*fresh.list));
    ASSERT(fresh.bytes != NULL && fresh.list != NULL);
    fresh.fit = fresh.bytes;
    fresh.next = fresh.fit + cap;
    fresh.devices = fresh.next + cap;
    fresh.stock = fresh.devices + cap;
    fresh.again = fresh.stock + cap;
    fresh.margin = (int8_t *)(fresh.again + cap);
    for (uint32_t i = 0; i < wants->count; i++) {
        fresh.fit[i] = wants->fit[i];
        fresh.next[i] = wants->next[i];
        fresh.devices[i] = wants->devices[i];
        fresh.stock[i] = wants->stock[i];
        fresh.margin[i] = wants->margin[i];
    }
    free(wants->bytes);
    *wants = fresh;
}

static void want_add(struct place_option *option)
{
    struct place_wants *wants = &option->site->wants;
    enum runtime runtime = option->need.runtime;
    if (wants->count == wants->cap)
        wants_grow(wants);
    uint32_t at = option->want = wants->count++;
    wants->fit[at] = wants->next[at] = 0;
    wants->margin[at] = 0;
    wants->devices[at] = (uint8_t)option->need.devices;
    wants->stock[at] = option->stock;
    wants->list[at] =
        (struct place_want){.option = option,
                            .cpu_milli = option->need.cpu_milli,
                            .mem_bytes = option->need.mem_bytes,
                            .ranks = (uint16_t)option->need.ranks,
                            .mark = option->shape->mark,
                            .pays = option_pays(option),
                            .suits_all = runtime == RUNTIME_CPU || runtime == RUNTIME_OPENCL};
}

/* The last takes its place. */
static void want_remove(struct place_option *option)
{
    struct place_wants *wants = &option->site->wants;
    uint32_t at = option->want;
    if (at == UINT32_MAX)
        return;
    uint32_t last = --wants->count;
    wants->fit[at] = wants->fit[last];
    wants->next[at] = wants->next[last];
    wants->margin[at] = wants->margin[last];
    wants->devices[at] = wants->devices[last];
    wants->stock[at] = wants->stock[last];
    wants->list[at] = wants->list[last];
    wants->list[at].option->want = at;
    option->want = UINT32_MAX;
}

static void shape_list(struct placer *placer, struct place_shape *shape)
{
    if (shape->settings != placer->settings)
        shape_work_out(placer, shape);
    for (uint32_t i = 0; i < shape->option_count; i++) {
        struct place_option *option = &shape->options[i];
        want_add(option);
        uint8_t fit = want_fit(placer, option->site, option->want);
        if (fit > 0)
            option_fit_set(placer, option, fit);
    }
    shape->is_listed = true;
}

/* ---- shapes that come and go */

static void shape_free(struct placer *placer, struct place_shape *shape)
{
    (void)strmap_remove(&placer->shapes, (struct slice){shape->key, shape->key_len});
    options_clear(shape);
    arena_deinit(&shape->arena);
    free(shape);
}

static void shape_forget(struct placer *placer, struct place_shape *shape)
{
    shape_unmark(placer, shape);
    for (uint32_t i = 0; i < shape->option_count && shape->is_listed; i++)
        want_remove(&shape->options[i]);
    shape_free(placer, shape);
}

void shapes_free(struct placer *placer)
{
    size_t cursor = 0;
    void *value;
    while (strmap_next(&placer->shapes, &cursor, NULL, &value))
        shape_free(placer, value);
    strmap_deinit(&placer->shapes);
}

static void idle_leave(struct placer *placer, struct place_shape *shape)
{
    if (shape->idle_previous != NULL)
        shape->idle_previous->idle_next = shape->idle_next;
    else
        placer->idle_first = shape->idle_next;
    if (shape->idle_next != NULL)
        shape->idle_next->idle_previous = shape->idle_previous;
    else
        placer->idle_last = shape->idle_previous;
    shape->idle_previous = shape->idle_next = NULL;
    placer->idle_count--;
}

static void idle_enter(struct placer *placer, struct place_shape *shape)
{
    shape->idle_previous = placer->idle_last;
    if (placer->idle_last != NULL)
        placer->idle_last->idle_next = shape;
    else
        placer->idle_first = shape;
    placer->idle_last = shape;
    if (++placer->idle_count <= PLACE_SHAPES_IDLE_MAX)
        return;
    struct place_shape *oldest = placer->idle_first;
    idle_leave(placer, oldest);
    shape_forget(placer, oldest);
}

static enum err shape_make(struct placer *placer, struct slice key, const struct place_job *job,
                           struct place_shape **out)
{
    struct place_shape *shape = calloc(1, sizeof(*shape) + key.len);
    if (shape == NULL)
        return ERR_NO_MEMORY;
    arena_init(&shape->arena, PLACE_COPY_BYTES_MAX);
    shape->number = ++placer->shape_number;
    shape->mark = MARK_HOPELESS;
    shape->step_least = PLACE_STEPS;
    shape->key_len = (uint32_t)key.len;
    memcpy(shape->key, key.data, key.len);
    enum err err = shape_job_copy(shape, job);
    if (err == ERR_OK)
        err = strmap_add(&placer->shapes, key, shape);
    if (err != ERR_OK) {
        arena_deinit(&shape->arena);
        free(shape);
        return err;
    }
    idle_enter(placer, shape);
    *out = shape;
    return ERR_OK;
}

enum err shape_find(struct placer *placer, const struct place_job *job, struct place_shape **out)
{
    shape_key_write(&placer->key, job);
    enum err err = buffer_status(&placer->key);
    if (err != ERR_OK)
        return err;
    struct slice key = buffer_slice(&placer->key);
    struct place_shape *shape = strmap_get(&placer->shapes, key);
    if (shape == NULL)
        return shape_make(placer, key, job, out);
    *out = shape;
    return ERR_OK;
}

static void steps_count(struct placer *placer, struct place_shape *shape, uint8_t step, int change)
{
    uint8_t least = 0;
    shape->step_groups[step] += (uint32_t)change;
    while (least < PLACE_STEPS && shape->step_groups[least] == 0)
        least++;
    if (least == shape->step_least)
        return;
    mark_count(placer, shape, -1);
    shape->step_least = least;
    mark_count(placer, shape, 1);
}

void shape_wait(struct placer *placer, struct place_shape *shape, uint8_t step, int change)
{
    ASSERT(change > 0 || shape->groups > 0);
    steps_count(placer, shape, step, change);
    if (change > 0 && shape->groups++ == 0) {
        idle_leave(placer, shape);
        if (placer->is_stale || shape->is_listed)
            return; /* place_settle will, or it is up to date */
        shape_list(placer, shape);
        shape_mark(placer, shape);
    } else if (change < 0 && --shape->groups == 0) {
        idle_enter(placer, shape);
    }
}

/* ---- what changed */

void place_settings_raise(struct placer *placer)
{
    placer->settings++;
    placer->supply++;
    place_reservations_drop(placer, NULL);
    for (size_t i = 0; i < placer->sites.len; i++)
        place_site_at(placer, i)->wants.count = 0;
    if (placer->is_stale)
        return;
    placer->is_stale = true;
    size_t cursor = 0;
    void *value;
    while (strmap_next(&placer->shapes, &cursor, NULL, &value)) {
        struct place_shape *shape = value;
        shape_unmark(placer, shape);
        options_clear(shape); /* their sites may go */
        shape->is_listed = false;
        shape->fit = 0;
        shape->open_count = shape->lent_count = 0;
    }
}

void place_all_unpark(struct placer *placer)
{
    size_t cursor = 0;
    void *value;
    while (strmap_next(&placer->shapes, &cursor, NULL, &value))
        place_groups_unpark(placer, &((struct place_shape *)value)->parked);
    place_groups_unpark(placer, &placer->quota_parked);
}

void place_settings_settle(struct placer *placer)
{
    size_t cursor = 0;
    void *value;
    placer->is_stale = false;
    for (size_t i = 0; i < placer->sites.len; i++)
        place_site_at(placer, i)->index = (uint32_t)i;
    while (strmap_next(&placer->shapes, &cursor, NULL, &value)) {
        struct place_shape *shape = value;
        if (shape->groups == 0)
            continue;
        shape_list(placer, shape);
        shape_mark(placer, shape);
        place_groups_unpark(placer, &shape->parked);
    }
    place_groups_unpark(placer, &placer->quota_parked);
    place_groups_remark(placer);
}
