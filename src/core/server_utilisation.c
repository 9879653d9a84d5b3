/* What each site's pools and nodes are used for, integrated over time and handed to the store.
 *
 * A cell has a level, which is what stands now, and sums, which are levels times the time they
 * stood and are not in the store yet. The owner's part of a level comes with the site's reports,
 * the pool's from the attempts that run. Time in which a site was silent is not counted. */
#include <stdlib.h>

#include "base/assert.h"
#include "core/server_state.h"

enum { FLUSH_MS = 15000, SILENCE_MS = 90000 };
#define MINUTE_US INT64_C(60000000)

void util_free(struct server_util *util)
{
    free(util->cells);
    free(util->levels);
    free(util->pool_of);
    *util = (struct server_util){0};
}

static uint32_t pool_find(struct server_util *util, struct slice name)
{
    uint32_t at = 0;
    while (at < util->pool_count && !slice_is_equal(util->cells[at].pool, name))
        at++;
    return at;
}

/* Pools first, in the order of their first nodes; then the nodes, where they are few enough. */
static enum err cells_make(struct server_site *site, struct server_util *util)
{
    const struct site *value = &site->value;
    bool has_nodes = value->node_count <= UTIL_NODES_MAX;
    for (uint32_t i = 0; i < value->node_count; i++) {
        char name[UTIL_POOL_NAME_MAX];
        util_pool_name(&value->nodes[i], name);
        uint32_t at = pool_find(util, slice_of(name));
        if (at == util->pool_count) {
            const char *kept = arena_text(&site->arena, slice_of(name));
            if (kept == NULL)
                return ERR_NO_MEMORY;
            util->cells[at] = (struct util_cell){.pool = slice_of(kept)};
            util->pool_count++;
        }
        util->pool_of[i] = at;
    }
    util->cell_count = util->pool_count + (has_nodes ? value->node_count : 0);
    for (uint32_t i = 0; has_nodes && i < value->node_count; i++)
        util->cells[util->pool_count + i] = (struct util_cell){
            .pool = util->cells[util->pool_of[i]].pool, .node = value->nodes[i].name};
    return ERR_OK;
}

/* ---- levels: what stands now; a sum's fields a millisecond */

static struct util_sums *node_level(struct server_util *util, uint32_t node)
{
    uint32_t at = util->pool_count + node;
    return at < util->cell_count ? &util->levels[at] : NULL;
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
    return value < limit ? value : limit;
}

/* A site that says more than the node has is taken at what it has. */
static struct util_sums node_measured(const struct site_node *node, const struct node_load *load)
{
    struct util_sums level = {0};
    if (!load->is_known)
        return level;
    level.observed_ms = 1;
    level.core_us = node->cpu_milli;
    level.owner_core_us = at_most(load->owner_cpu_milli, node->cpu_milli);
    level.device_ms = node->accelerator_count;
    level.owner_device_ms = at_most(load->owner_devices, node->accelerator_count);
    if (load->has_busy) {
        level.measured_core_us = node->cpu_milli;
        level.owner_busy_core_us = at_most(load->owner_busy_cpu_milli, node->cpu_milli);
        level.pool_busy_core_us = at_most(load->pool_busy_cpu_milli, node->cpu_milli);
    }
    return level;
}

static void measured_set(struct util_sums *level, struct util_sums measured)
{
    measured.pool_core_us = level->pool_core_us;
    measured.pool_device_ms = level->pool_device_ms;
    *level = measured;
}

void util_measured(struct server_site *site)
{
    struct server_util *util = &site->util;
    for (uint32_t p = 0; p < util->pool_count; p++)
        measured_set(&util->levels[p], (struct util_sums){0});
    for (uint32_t i = 0; i < site->value.node_count; i++) {
        struct util_sums one = node_measured(&site->value.nodes[i], &site->nodes_seen[i].load);
        struct util_sums *pool = &util->levels[util->pool_of[i]], *node = node_level(util, i);
        util_add(pool, &one);
        pool->observed_ms = pool->observed_ms > 0; /* a pool is seen when any of its nodes is */
        if (node != NULL)
            measured_set(node, one);
    }
}

static void held_change(struct util_sums *level, int sign, uint64_t cores, uint64_t devices)
{
    if (level == NULL)
        return;
    level->pool_core_us += sign > 0 ? cores : 0;
    level->pool_device_ms += sign > 0 ? devices : 0;
    if (sign < 0) {
        level->pool_core_us -= cores < level->pool_core_us ? cores : level->pool_core_us;
        level->pool_device_ms -= devices < level->pool_device_ms ? devices : level->pool_device_ms;
    }
}

static void attempt_count(const struct server_attempt *attempt, int sign)
{
    struct server_util *util = &attempt->site->util;
    uint64_t cores = attempt->job->spec->spec.cpu_milli;
    for (uint32_t i = 0; i < attempt->place_count; i++) {
        const struct rank_place *place = &attempt->places[i];
        if (place->node >= attempt->site->value.node_count)
            continue; /* the site has fewer nodes by now */
        held_change(&util->levels[util->pool_of[place->node]], sign, cores, place->device_count);
        held_change(node_level(util, place->node), sign, cores, place->device_count);
    }
}

enum err util_rebuild(struct server_site *site)
{
    struct server_util made = {.at = site->util.at, .flushed = site->util.flushed};
    uint32_t nodes = site->value.node_count;
    size_t most = (size_t)nodes * 2 + 1; /* a pool and a cell of its own each */
    made.cells = calloc(most, sizeof(*made.cells));
    made.levels = calloc(most, sizeof(*made.levels));
    made.pool_of = calloc((size_t)nodes + 1, sizeof(*made.pool_of));
    enum err err = made.cells == NULL || made.levels == NULL || made.pool_of == NULL
                       ? ERR_NO_MEMORY
                       : cells_make(site, &made);
    if (err != ERR_OK) {
        util_free(&made);
        return err;
    }
    util_free(&site->util);
    site->util = made;
    for (const struct server_attempt *at = site->first; at != NULL; at = at->next)
        if (at->is_counted)
            attempt_count(at, 1);
    util_measured(site);
    return ERR_OK;
}

void util_attempt(struct step *step, struct server_attempt *attempt)
{
    enum attempt_state state = attempt->row.state;
    bool is_held =
        state == ATTEMPT_RUNNING || (state == ATTEMPT_UNKNOWN && attempt->row.started_at.us != 0);
    if (is_held == attempt->is_counted)
        return;
    util_advance(step, attempt->site);
    attempt->is_counted = is_held;
    attempt_count(attempt, is_held ? 1 : -1);
}

/* ---- time */

void util_flush(struct step *step, struct server_site *site)
{
    struct server_util *util = &site->util;
    struct arena *arena = &step->effects->arena;
    uint32_t count = 0;
    for (uint32_t i = 0; i < util->cell_count; i++)
        count += util->cells[i].sums.observed_ms > 0;
    if (count == 0)
        return;
    util->flushed = step->now.boot;
    struct util_cell *cells = arena_array(arena, count, sizeof(*cells));
    ASSERT(cells != NULL);
    struct change_op *op = step_op(step, CHANGE_UTILISATION_ADD);
    op->utilisation.site = site->id;
    op->utilisation.start = util->start;
    op->utilisation.cells = cells;
    op->utilisation.count = count;
    for (uint32_t i = 0; i < util->cell_count; i++) {
        struct util_cell *cell = &util->cells[i];
        if (cell->sums.observed_ms == 0)
            continue;
        *cells++ = (struct util_cell){arena_copy(arena, cell->pool), arena_copy(arena, cell->node),
                                      cell->sums};
        cell->sums = (struct util_sums){0};
    }
}

static void integrate(struct server_util *util, int64_t ms)
{
    for (uint32_t i = 0; i < util->cell_count; i++) {
        struct util_sums level = util->levels[i];
        if (level.observed_ms == 0)
            continue;
        /* Nothing burns what it does not hold: what was measured before an end is old news. */
        if (level.pool_busy_core_us > level.pool_core_us)
            level.pool_busy_core_us = level.pool_core_us;
        util_scale(&level, (uint64_t)ms);
        util_add(&util->cells[i].sums, &level);
    }
}

void util_advance(struct step *step, struct server_site *site)
{
    struct server_util *util = &site->util;
    struct now now = step->now;
    bool is_heard = site->has_contact && boot_since(now.boot, site->last_contact).ms <= SILENCE_MS;
    if (!is_heard || util->at.ns == 0) {
        util->at = now.boot;
        return;
    }
    int64_t elapsed = boot_since(now.boot, util->at).ms;
    int64_t from_us = now.wall.us - elapsed * 1000;
    util->at = boot_add(util->at, SPAN_MS(elapsed));
    while (elapsed > 0) {
        struct wall_us start = util_start(UTIL_MINUTE, (struct wall_us){from_us});
        int64_t left = (start.us + MINUTE_US - from_us + 999) / 1000;
        int64_t part = left < elapsed ? left : elapsed;
        if (start.us != util->start.us)
            util_flush(step, site);
        util->start = start;
        integrate(util, part);
        from_us += part * 1000;
        elapsed -= part;
    }
    if (boot_since(now.boot, util->flushed).ms >= FLUSH_MS)
        util_flush(step, site);
}

/* ---- looking in */

void server_core_load(const struct server_core *core,
                      void (*on_pool)(void *context, const struct site *site, struct slice pool,
                                      const struct util_sums *level),
                      void *context)
{
    size_t cursor = 0;
    void *value;
    while (idmap_next(&core->sites, &cursor, NULL, &value)) {
        const struct server_site *site = value;
        for (uint32_t p = 0; site->has_contact && !site->is_lost && p < site->util.pool_count; p++)
            on_pool(context, &site->value, site->util.cells[p].pool, &site->util.levels[p]);
    }
}
