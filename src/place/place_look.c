/* Sites that changed: which options fit now. The options of a site are its wants. */
#include "base/assert.h"
#include "place/place_state.h"

enum { MARGIN_MAX = 64 }; /* nodes counted beyond those that are needed */

/* Counts, and remembers by how many nodes it fits or does not. */
static bool want_fits(struct place_site *site, uint32_t index)
{
    struct place_want *want = &site->wants[index];
    int64_t found = 0;
    if (site->is_open && (want->stock >= site->stock_count ||
                          site->stocks[want->stock].at_least[want->devices] >= want->ranks))
        found = stock_count(site->want_options[index], (uint32_t)want->ranks + MARGIN_MAX);
    else if (site->is_open)
        found = site->stocks[want->stock].at_least[want->devices];
    int64_t margin = found - want->ranks;
    want->margin = (int8_t)(margin < -MARGIN_MAX ? -MARGIN_MAX : margin);
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

static bool one_would_do(const struct place_lent *nodes, uint32_t count,
                         const struct place_want *want)
{
    for (uint32_t i = 0; i < count; i++)
        if (nodes[i].devices >= want->devices && nodes[i].cpu_milli >= want->cpu_milli &&
            nodes[i].mem_bytes >= want->mem_bytes &&
            (want->stock == UINT8_MAX || want->stock == nodes[i].stock))
            return true;
    return false;
}

/* A node that would do is all it takes. */
static bool is_simple(const struct place_want *want)
{
    return want->ranks == 1 && (want->stock != UINT8_MAX || want->suits_all);
}

/* So many nodes shrank; those that are left over may be enough without a look. */
static bool want_fits_still(struct place_site *site, uint32_t index, uint32_t shrunk)
{
    struct place_want *want = &site->wants[index];
    if (site->is_open && want->margin >= 0 && shrunk <= (uint32_t)want->margin) {
        want->margin = (int8_t)(want->margin - (int32_t)shrunk);
        return true;
    }
    return want_fits(site, index);
}

/* So many nodes grew; only with one that would do, and with enough of them, it is worth a look. */
static bool want_fits_anew(struct place_site *site, const struct gains *gains, uint32_t index,
                           uint32_t grown)
{
    struct place_want *want = &site->wants[index];
    if (!gains->is_unknown && !one_would_do(gains->nodes, gains->count, want))
        return false;
    if (!gains->is_unknown && is_simple(want)) {
        want->margin = 0;
        return true;
    }
    if (want->margin < 0 && grown < (uint32_t)-want->margin) {
        want->margin = (int8_t)(want->margin + (int32_t)grown);
        return false;
    }
    return want_fits(site, index);
}

/* Steps of limits for which a reserved node would do. */
static uint8_t want_lent(const struct place_want *want, const struct place_lent *lents,
                         uint32_t count)
{
    uint8_t steps = 0;
    for (uint32_t i = 0; i < count && want->ranks == 1; i++)
        if (lents[i].steps > steps && lents[i].cpu_milli >= want->cpu_milli &&
            lents[i].mem_bytes >= want->mem_bytes && lents[i].devices >= want->devices &&
            (want->stock == UINT8_MAX || want->stock == lents[i].stock))
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
    const struct place_want *want = &site->wants[index];
    struct place_lent lents[PLACE_LENT_MAX];
    if (want_fits(site, index))
        return PLACE_STEPS;
    if (!site->is_open || want->ranks > 1 || !site_has_reservation(placer, site))
        return 0;
    return want_lent(want, lents, place_lent_find(placer, site, lents));
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
    struct place_lent lents[PLACE_LENT_MAX];
    uint32_t count = site->is_open ? place_lent_find(placer, site, lents) : 0;
    for (uint32_t i = 0; i < site->want_count; i++)
        if (site->wants[i].next < PLACE_STEPS)
            site->wants[i].next = want_lent(&site->wants[i], lents, count);
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

/* What fits less is told at once. What fits anew waits until somebody asks for that shape: most
 * often one job takes what came free, and all others need not know. Only if something of the shape
 * is parked it is told, for that wakes. Each option changes once, to what it is in the end. */
static void site_look(struct placer *placer, struct place_site *site)
{
    const struct gains gains = gains_of(site);
    uint32_t grown = site->grown_new, shrunk = site->shrunk_new;
    bool may_lend = site->has_lent_changed;
    site->is_changed = false;
    site->grown_new = site->shrunk_new = 0;
    site->maybe = (struct place_mask){{0}};
    for (uint32_t i = 0; i < site->want_count; i++) {
        struct place_want *want = &site->wants[i];
        want->next = want->fit;
        if (want->fit < PLACE_STEPS && site->is_open && want_fits_anew(site, &gains, i, grown))
            want->next = PLACE_STEPS;
        else if (want->fit == PLACE_STEPS && shrunk > 0 && !want_fits_still(site, i, shrunk))
            want->next = may_lend ? 0 : want_fit(placer, site, i);
    }
    if (may_lend)
        wants_lend(placer, site);
    for (uint32_t i = 0; i < site->want_count; i++) {
        struct place_want *want = &site->wants[i];
        if (want->next == want->fit)
            continue;
        if (want->next == PLACE_STEPS &&
            (!mask_has(&placer->parked, want->mark) ||
             want->pays.micros > placer->parked_pay[want->mark].micros)) {
            mask_set(&site->maybe, want->mark, true);
            site_pend(placer, site);
        } else {
            option_fit_set(placer, site->want_options[i], want->next);
        }
    }
    if (!site->is_pending)
        site->grown_count = 0;
}

bool place_pending_tell(struct placer *placer, struct place_shape *shape)
{
    if (!mask_has(&placer->maybe, shape->mark))
        return shape->fit == PLACE_STEPS;
    for (struct place_site *site = placer->pending; site != NULL; site = site->pending_next)
        for (uint32_t i = 0; i < site->want_count; i++) {
            struct place_want *want = &site->wants[i];
            if (want->mark == shape->mark && want->next != want->fit &&
                site->want_options[i]->shape == shape)
                option_fit_set(placer, site->want_options[i], want->next);
        }
    return shape->fit == PLACE_STEPS;
}

static void pending_tell_all(struct placer *placer)
{
    while (placer->pending != NULL) {
        struct place_site *site = placer->pending;
        placer->pending = site->pending_next;
        site->is_pending = false;
        site->grown_count = 0;
        for (uint32_t i = 0; i < site->want_count; i++)
            if (site->wants[i].next != site->wants[i].fit)
                option_fit_set(placer, site->want_options[i], site->wants[i].next);
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
