/* Sites that changed: which options fit now. The options of a site are its wants. */
#include <string.h>

#include "base/assert.h"
#include "place/place_state.h"

enum { MARGIN_MAX = 64 }; /* nodes counted beyond those that are needed */

/* Counts, and remembers by how many nodes it fits or does not. */
static bool want_fits(struct place_site *site, uint32_t index)
{
    struct place_wants *wants = &site->wants;
    uint32_t ranks = wants->list[index].ranks, devices = wants->devices[index];
    const struct place_stock *stock =
        wants->stock[index] < site->stock_count ? &site->stocks[wants->stock[index]] : NULL;
    int64_t found = 0;
    if (site->is_open && (stock == NULL || stock->at_least[devices] >= ranks))
        found = stock_count(wants->list[index].option, ranks + MARGIN_MAX);
    else if (site->is_open)
        found = stock->at_least[devices];
    int64_t margin = found - ranks;
    wants->margin[index] = (int8_t)(margin < -MARGIN_MAX ? -MARGIN_MAX : margin);
    return margin >= 0;
}

/* What nodes that grew have free; a reserved one counts nothing here. */
struct gains {
    struct place_lent nodes[PLACE_GROWN_MAX];
    uint32_t count;
    bool is_unknown;
};

static struct place_lent node_free(const struct place_node *node)
{
    return (struct place_lent){.cpu_milli = place_node_cpu_free(node),
                               .mem_bytes = place_node_mem_free(node),
                               .devices = node->level,
                               .stock = node->stock};
}

static bool is_covered(const struct place_lent *node, const struct place_lent *known,
                       uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (known[i].devices >= node->devices && known[i].cpu_milli >= node->cpu_milli &&
            known[i].mem_bytes >= node->mem_bytes && known[i].stock == node->stock)
            return true;
    return false;
}

static struct gains gains_of(const struct place_site *site)
{
    struct gains gains = {.is_unknown = site->grown_count > PLACE_GROWN_MAX};
    for (uint32_t i = 0; i < site->grown_count && !gains.is_unknown; i++) {
        const struct place_node *node = &site->nodes[site->grown[i]];
        const struct place_lent free = node_free(node);
        if (node->is_listed && !is_covered(&free, gains.nodes, gains.count))
            gains.nodes[gains.count++] = free;
    }
    return gains;
}

static bool one_would_do(const struct gains *gains, const struct place_wants *wants, uint32_t index)
{
    const struct place_want *want = &wants->list[index];
    uint8_t stock = wants->stock[index];
    for (uint32_t i = 0; i < gains->count; i++)
        if (gains->nodes[i].devices >= wants->devices[index] &&
            gains->nodes[i].cpu_milli >= want->cpu_milli &&
            gains->nodes[i].mem_bytes >= want->mem_bytes &&
            (stock == UINT8_MAX || stock == gains->nodes[i].stock))
            return true;
    return false;
}

/* So many nodes grew; only with one that would do, and with enough of them, it is worth a look. */
static bool want_fits_anew(struct place_site *site, const struct gains *gains, uint32_t index,
                           uint32_t grown)
{
    struct place_wants *wants = &site->wants;
    const struct place_want *want = &wants->list[index];
    int8_t *margin = &wants->margin[index];
    if (!gains->is_unknown && !one_would_do(gains, wants, index))
        return false;
    if (!gains->is_unknown && want->ranks == 1 &&
        (wants->stock[index] != UINT8_MAX || want->suits_all)) { /* one node is all it takes */
        *margin = 0;
        return true;
    }
    if (*margin < 0 && grown < (uint32_t) - *margin) {
        *margin = (int8_t)(*margin + (int32_t)grown);
        return false;
    }
    return want_fits(site, index);
}

/* Steps of limits for which a reserved node would do. */
static uint8_t want_lent(const struct place_wants *wants, uint32_t index,
                         const struct place_lent *lents, uint32_t count)
{
    const struct place_want *want = &wants->list[index];
    uint8_t steps = 0, stock = wants->stock[index];
    for (uint32_t i = 0; i < count && want->ranks == 1; i++)
        if (lents[i].steps > steps && lents[i].cpu_milli >= want->cpu_milli &&
            lents[i].mem_bytes >= want->mem_bytes && lents[i].devices >= wants->devices[index] &&
            (stock == UINT8_MAX || stock == lents[i].stock))
            steps = lents[i].steps;
    return steps;
}

static bool site_has_reservation(const struct placer *placer, const struct place_site *site)
{
    for (uint32_t i = 0; i < placer->reservation_count; i++)
        if (placer->reservations[i]->site == site)
            return true;
    return false;
}

uint8_t want_fit(const struct placer *placer, struct place_site *site, uint32_t index)
{
    struct place_lent lents[PLACE_LENT_MAX];
    if (want_fits(site, index))
        return PLACE_STEPS;
    if (!site->is_open || site->wants.list[index].ranks > 1 || !site_has_reservation(placer, site))
        return 0;
    return want_lent(&site->wants, index, lents, place_lent_find(placer, site, lents));
}

static void site_note(struct placer *placer, struct place_site *site)
{
    if (site->is_changed)
        return;
    site->is_changed = true;
    site->changed_next = placer->changed;
    placer->changed = site;
}

void place_site_changed(struct placer *placer, struct place_site *site, bool has_grown)
{
    site_note(placer, site);
    if (has_grown) {
        site->grown_count = PLACE_GROWN_MAX + 1;
        site->grown_new = UINT32_MAX;
    } else {
        site->shrunk_new = UINT32_MAX;
    }
}

static void count_add(uint32_t *count, uint32_t more)
{
    if (__builtin_add_overflow(*count, more, count))
        *count = UINT32_MAX;
}

void place_nodes_shrank(struct placer *placer, struct place_site *site, uint32_t nodes)
{
    site_note(placer, site);
    count_add(&site->shrunk_new, nodes);
}

void place_node_grew(struct placer *placer, struct place_site *site, uint32_t index)
{
    site_note(placer, site);
    count_add(&site->grown_new, 1);
    for (uint32_t i = 0; i < site->grown_count && i < PLACE_GROWN_MAX; i++)
        if (site->grown[i] == index)
            return;
    if (site->grown_count < PLACE_GROWN_MAX)
        site->grown[site->grown_count] = (uint16_t)index;
    if (site->grown_count <= PLACE_GROWN_MAX)
        site->grown_count++;
}

/* Those that only fit on reserved nodes. */
static void wants_lend(const struct placer *placer, struct place_site *site)
{
    struct place_wants *wants = &site->wants;
    struct place_lent lents[PLACE_LENT_MAX];
    uint32_t count = site->is_open ? place_lent_find(placer, site, lents) : 0;
    for (uint32_t i = 0; i < wants->count; i++)
        if (wants->next[i] < PLACE_STEPS) {
            wants->next[i] = want_lent(wants, i, lents, count);
            wants->again[i] = 1;
        }
    site->has_lent_changed = false;
}

static void site_pend(struct placer *placer, struct place_site *site)
{
    if (site->is_pending)
        return;
    site->is_pending = true;
    site->pending_next = placer->pending;
    placer->pending = site;
}

/* Marks the wants that may change: those that fit and have no nodes to spare for what shrank, and
 * those that do not fit and are small enough for what grew. Simple, so that a compiler makes it
 * many at a time. */
static void wants_mark(struct place_site *site, const struct gains *gains)
{
    struct place_wants *wants = &site->wants;
    int8_t shrunk = site->shrunk_new < INT8_MAX ? (int8_t)site->shrunk_new : INT8_MAX;
    uint8_t grown = 0; /* devices, and one; 0: none grew */
    if (!site->is_open)
        shrunk = INT8_MAX;
    else if (gains->is_unknown)
        grown = UINT8_MAX;
    for (uint32_t i = 0; i < gains->count && site->is_open; i++)
        if (gains->nodes[i].devices >= grown)
            grown = (uint8_t)(gains->nodes[i].devices + 1);
    const uint8_t *restrict fit = wants->fit, *restrict devices = wants->devices;
    uint8_t *restrict next = wants->next, *restrict again = wants->again;
    int8_t *restrict margin = wants->margin;
    for (uint32_t i = 0, count = wants->count; i < count; i++) {
        bool fits = fit[i] == PLACE_STEPS, has_spare = margin[i] >= shrunk;
        next[i] = fit[i];
        margin[i] = (int8_t)(margin[i] - (fits & has_spare) * shrunk);
        again[i] = (fits & !has_spare) | (!fits & (devices[i] < grown));
    }
}

/* The first that is marked, from a number on; the count: none. */
static uint32_t again_next(const struct place_wants *wants, uint32_t from)
{
    const uint8_t *found =
        from < wants->count ? memchr(wants->again + from, 1, wants->count - from) : NULL;
    return found != NULL ? (uint32_t)(found - wants->again) : wants->count;
}

/* What a want that was marked is about to become. */
static void want_look(struct placer *placer, struct place_site *site, uint32_t index,
                      const struct gains *gains, uint32_t grown)
{
    uint8_t *next = &site->wants.next[index];
    if (*next == PLACE_STEPS)
        *next = want_fit(placer, site, index);
    else if (want_fits_anew(site, gains, index, grown))
        *next = PLACE_STEPS;
}

/* What fits less is told at once. What fits anew waits until somebody asks for that shape: most
 * often one job takes what came free, and all others need not know. Only if something of the shape
 * is parked and can pay it is told, for that wakes. */
static void want_tell(struct placer *placer, struct place_site *site, uint32_t index)
{
    struct place_wants *wants = &site->wants;
    const struct place_want *want = &wants->list[index];
    if (wants->next[index] == wants->fit[index])
        return;
    if (wants->next[index] < PLACE_STEPS ||
        (mask_has(&placer->parked, want->mark) &&
         want->pays.micros <= placer->parked_pay[want->mark].micros)) {
        option_fit_set(placer, want->option, wants->next[index]);
        return;
    }
    mask_set(&site->maybe, want->mark, true);
    site_pend(placer, site);
}

/* Each option changes once, to what it is in the end. */
static void site_look(struct placer *placer, struct place_site *site)
{
    const struct gains gains = gains_of(site);
    struct place_wants *wants = &site->wants;
    uint32_t grown = site->grown_new;
    wants_mark(site, &gains);
    site->is_changed = false;
    site->grown_new = site->shrunk_new = 0;
    site->maybe = (struct place_mask){{0}};
    for (uint32_t i = again_next(wants, 0); i < wants->count; i = again_next(wants, i + 1))
        want_look(placer, site, i, &gains, grown);
    if (site->has_lent_changed)
        wants_lend(placer, site);
    for (uint32_t i = again_next(wants, 0); i < wants->count; i = again_next(wants, i + 1))
        want_tell(placer, site, i);
    if (!site->is_pending)
        site->grown_count = 0;
}

bool place_pending_tell(struct placer *placer, struct place_shape *shape)
{
    if (!mask_has(&placer->maybe, shape->mark))
        return shape->fit == PLACE_STEPS;
    for (struct place_site *site = placer->pending; site != NULL; site = site->pending_next) {
        struct place_wants *wants = &site->wants;
        for (uint32_t i = 0; i < wants->count && mask_has(&site->maybe, shape->mark); i++)
            if (wants->next[i] != wants->fit[i] && wants->list[i].option->shape == shape)
                option_fit_set(placer, wants->list[i].option, wants->next[i]);
    }
    return shape->fit == PLACE_STEPS;
}

static void pending_tell_all(struct placer *placer)
{
    while (placer->pending != NULL) {
        struct place_site *site = placer->pending;
        struct place_wants *wants = &site->wants;
        placer->pending = site->pending_next;
        site->is_pending = false;
        site->grown_count = 0;
        for (uint32_t i = 0; i < wants->count; i++)
            if (wants->next[i] != wants->fit[i])
                option_fit_set(placer, wants->list[i].option, wants->next[i]);
    }
    placer->maybe = (struct place_mask){{0}};
}

void place_look(struct placer *placer)
{
    uint32_t pending = 0;
    if (placer->is_stale)
        place_settings_settle(placer);
    if (placer->changed == NULL)
        return;
    while (placer->changed != NULL) {
        struct place_site *site = placer->changed;
        placer->changed = site->changed_next;
        site_look(placer, site);
    }
    placer->maybe = (struct place_mask){{0}};
    for (struct place_site *site = placer->pending; site != NULL; site = site->pending_next) {
        mask_join(&placer->maybe, &site->maybe);
        pending++;
    }
    if (pending > PLACE_PENDING_MAX)
        pending_tell_all(placer);
}

void place_settle(struct placer *placer)
{
    place_look(placer);
    pending_tell_all(placer);
}
