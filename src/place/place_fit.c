/* Filters, and whether and where a job fits inside a site. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "place/place_pace.h"
#include "place/place_state.h"

const struct region *place_region_find(const struct placer *placer, struct slice name)
{
    for (size_t i = 0; i < placer->regions.len; i++) {
        struct place_region *at = *(struct place_region **)vector_at(&placer->regions, i);
        if (slice_is_equal(at->region.name, name))
            return &at->region;
    }
    return NULL;
}

static const struct link *link_named(const struct placer *placer, struct slice a, struct slice b)
{
    if (slice_compare(a, b) > 0) {
        struct slice swap = a;
        a = b;
        b = swap;
    }
    size_t low = 0, high = placer->links.len;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct place_link *at = *(struct place_link **)vector_at(&placer->links, middle);
        int order = slice_compare(at->link.a, a);
        if (order == 0)
            order = slice_compare(at->link.b, b);
        if (order == 0)
            return &at->link;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct link *place_link_find(const struct placer *placer, const struct place_site *a,
                                   const struct place_site *b)
{
    const struct link *link = link_named(placer, a->site.name, b->site.name);
    return link != NULL ? link : link_named(placer, a->site.region, b->site.region);
}

static enum place_filter removed(struct place_site_line *line, enum place_filter filter,
                                 struct slice detail, uint64_t wanted, uint64_t available)
{
    if (line != NULL) {
        line->filter = filter;
        line->detail = detail;
        line->wanted = wanted;
        line->available = available;
    }
    return filter;
}

static struct slice site_jurisdiction(const struct place_site *site, const struct region *region)
{
    if (site->site.jurisdiction.len > 0 || region == NULL)
        return site->site.jurisdiction;
    return region->jurisdiction;
}

/* Where the law and the job's own words let it be. */
static enum place_filter filter_placement(struct placer *placer, const struct place_site *site,
                                          const struct place_job *job, struct place_site_line *line)
{
    const struct job_placement *want = &job->spec->placement;
    const struct region *region = site->region;
    struct slice jurisdiction = site_jurisdiction(site, region);
    if (want->jurisdictions.count > 0 && !text_list_has(&want->jurisdictions, jurisdiction))
        return removed(line, FILTER_JURISDICTION, jurisdiction, 0, 0);
    if (want->sites.count > 0 && !text_list_has(&want->sites, site->site.name))
        return removed(line, FILTER_PLACEMENT, SLICE_LITERAL("sites"), 0, 0);
    if (text_list_has(&want->avoid_sites, site->site.name))
        return removed(line, FILTER_PLACEMENT, SLICE_LITERAL("avoid_sites"), 0, 0);
    if (want->regions.count > 0 && !text_list_has(&want->regions, site->site.region))
        return removed(line, FILTER_PLACEMENT, SLICE_LITERAL("regions"), 0, 0);
    if (want->role != ROLE_ANY && region != NULL && region->role != ROLE_ANY &&
        region->role != want->role)
        return removed(line, FILTER_PLACEMENT, SLICE_LITERAL("role"), 0, 0);
    if (site->site.tier == TIER_EDGE && want->role != ROLE_SERVE)
        return removed(line, FILTER_POLICY, SLICE_LITERAL("edge sites only serve"), 0, 0);
    if (want->round_trip_max.ms > 0 && want->near.len > 0 &&
        !slice_is_equal(want->near, site->site.region) &&
        !slice_is_equal(want->near, site->site.name)) {
        const struct link *link = link_named(placer, want->near, site->site.name);
        if (link == NULL)
            link = link_named(placer, want->near, site->site.region);
        if (link == NULL)
            return removed(line, FILTER_LATENCY, want->near,
                           (uint64_t)want->round_trip_max.ms * 1000, 0);
        if (link->rtt_us > (uint64_t)want->round_trip_max.ms * 1000)
            return removed(line, FILTER_LATENCY, want->near,
                           (uint64_t)want->round_trip_max.ms * 1000, link->rtt_us);
    }
    return FILTER_NONE;
}

struct place_need place_need_of(const struct job_spec *spec, uint32_t variant)
{
    return (struct place_need){.cpu_milli = spec->cpu_milli,
                               .devices = spec->variants[variant].accelerators,
                               .ranks = spec->num_nodes,
                               .mem_bytes = spec->mem_bytes,
                               .runtime = spec->variants[variant].runtime};
}

/* Would enough nodes be large enough, were the site empty? Devices of a gang are of one chip. */
static enum place_filter filter_shape(struct placer *placer, const struct place_site *site,
                                      const struct place_job *job, uint32_t variant_index,
                                      struct place_site_line *line, uint32_t *out_stocks)
{
    const struct job_variant *variant = &job->spec->variants[variant_index];
    struct place_need need = place_need_of(job->spec, variant_index);
    bool has_runtime = variant->accelerators == 0 && site->node_count > 0, suits = false;
    uint32_t most = 0, sum = 0;
    *out_stocks = 0;
    for (uint32_t s = 0; s < site->stock_count; s++) {
        const struct place_stock *stock = &site->stocks[s];
        has_runtime = has_runtime || stock->runtime == variant->runtime;
        if (!stock_suits(placer, stock, variant))
            continue;
        suits = true;
        uint32_t fitting = stock_capacity(stock, &need);
        sum += fitting;
        if (fitting > most)
            most = fitting;
        if (fitting >= need.ranks || variant->accelerators == 0)
            *out_stocks |= UINT32_C(1) << s;
    }
    if (variant->accelerators == 0)
        most = sum;
    if (!has_runtime)
        return removed(line, FILTER_RUNTIME, slice_of(runtime_name(variant->runtime)), 0, 0);
    if (!suits)
        return removed(line, FILTER_ACCELERATOR, variant->accelerator, 0, 0);
    if (most < need.ranks)
        return removed(line, FILTER_SHAPE, (struct slice){0}, need.ranks, most);
    return FILTER_NONE;
}

/* What the job reads may not leave its jurisdiction. */
static enum place_filter filter_inputs(const struct place_site *site, const struct place_job *job,
                                       struct place_site_line *line)
{
    struct slice jurisdiction = site_jurisdiction(site, site->region);
    for (uint32_t i = 0; i < job->spec->input_count; i++) {
        const struct job_input *input = &job->spec->inputs[i];
        if (input->jurisdiction.len > 0 && !slice_is_equal(input->jurisdiction, jurisdiction))
            return removed(line, FILTER_DATA, input->dataset, 0, 0);
    }
    return FILTER_NONE;
}

static enum place_filter filter_shared(const struct place_site *site, const struct place_job *job,
                                       struct place_site_line *line)
{
    for (uint32_t i = 0; i < job->spec->shared_folders.count; i++)
        if (!site_shares_folder(&site->site, job->tenant, job->spec->shared_folders.items[i]))
            return removed(line, FILTER_SHARED, job->spec->shared_folders.items[i], 0, 0);
    return FILTER_NONE;
}

static enum place_filter filter_restore(const struct place_site *site, const struct place_job *job,
                                        const struct job_variant *variant,
                                        struct place_site_line *line)
{
    if (!job->has_restore)
        return FILTER_NONE;
    const struct region *region = site->region;
    if (job->restore_runtime != variant->runtime)
        return removed(line, FILTER_RESTORE, slice_of(runtime_name(job->restore_runtime)), 0, 0);
    if (job->restore_world_size != 0 && job->restore_world_size != job->spec->num_nodes)
        return removed(line, FILTER_RESTORE, SLICE_LITERAL("world size"), job->restore_world_size,
                       job->spec->num_nodes);
    struct slice jurisdiction = site_jurisdiction(site, region);
    if (job->restore_jurisdiction.len > 0 &&
        !slice_is_equal(job->restore_jurisdiction, jurisdiction))
        return removed(line, FILTER_RESTORE, job->restore_jurisdiction, 0, 0);
    return FILTER_NONE;
}

/* Takes stocks of foreign chips away. */
static enum place_filter filter_provenance(const struct placer *placer,
                                           const struct place_site *site,
                                           struct place_site_line *line, uint32_t *in_out_stocks)
{
    struct slice foreign = {0};
    for (uint32_t s = 0; s < site->stock_count; s++) {
        const struct place_stock *stock = &site->stocks[s];
        if (!(*in_out_stocks >> s & 1) || !place_is_foreign(placer, stock))
            continue;
        *in_out_stocks &= ~(UINT32_C(1) << s);
        foreign = slice_of(place_name(placer, stock->accelerator));
        if (foreign.len == 0)
            foreign = slice_of(runtime_name(stock->runtime));
    }
    return *in_out_stocks != 0 ? FILTER_NONE : removed(line, FILTER_PROVENANCE, foreign, 0, 0);
}

enum place_filter place_filter_static(struct placer *placer, const struct place_site *site,
                                      const struct place_job *job, uint32_t variant_index,
                                      struct place_site_line *line, uint32_t *out_stocks)
{
    const struct job_variant *variant = &job->spec->variants[variant_index];
    enum place_filter filter = filter_placement(placer, site, job, line);
    if (filter == FILTER_NONE)
        filter = filter_inputs(site, job, line);
    if (filter == FILTER_NONE)
        filter = filter_shape(placer, site, job, variant_index, line, out_stocks);
    if (filter == FILTER_NONE)
        filter = filter_restore(site, job, variant, line);
    if (filter == FILTER_NONE && job->spec->placement.provenance == PROVENANCE_DOMESTIC_ONLY &&
        variant->accelerators > 0)
        filter = filter_provenance(placer, site, line, out_stocks);
    if (filter == FILTER_NONE && variant->image.len > 0 &&
        !site_allows_image(&site->site, variant->image))
        filter = removed(line, FILTER_IMAGE, variant->image, 0, 0);
    if (filter == FILTER_NONE)
        filter = filter_shared(site, job, line);
    return filter;
}

static bool is_below(struct maybe_money ask, struct maybe_money floor)
{
    return floor.has && ask.has && ask.value.micros < floor.value.micros;
}

enum place_filter place_filter_contract(const struct place_site *site, const struct place_job *job,
                                        uint32_t variant_index, struct place_site_line *line)
{
    const struct job_variant *variant = &job->spec->variants[variant_index];
    const struct surplus *surplus = &site->site.surplus;
    for (uint32_t i = 0; i < job->barred_count; i++)
        if (id_is_equal(job->barred[i].id, site->site.id.id))
            return removed(line, FILTER_EXCLUDED, (struct slice){0}, 0, 0);
    if (is_below(site->site.ask_per_cpu_hour, surplus->floor_cpu))
        return removed(line, FILTER_FLOOR, SLICE_LITERAL("a core"), 0, 0);
    if (variant->accelerators > 0 &&
        is_below(site_ask_per_hour(&site->site, variant->accelerator), surplus->floor_accelerator))
        return removed(line, FILTER_FLOOR, SLICE_LITERAL("a device"), 0, 0);
    return FILTER_NONE;
}

enum place_filter place_closed_filter(const struct place_site *site)
{
    if (site->is_quarantined)
        return FILTER_QUARANTINE;
    return site->is_shut ? FILTER_WINDOW : FILTER_SITE_STATE;
}

enum place_filter place_filter_quota(const struct place_tenant *tenant, const struct job_spec *spec,
                                     uint32_t accelerators, struct place_site_line *line)
{
    uint64_t cpu = (uint64_t)spec->cpu_milli * spec->num_nodes;
    uint64_t devices = (uint64_t)accelerators * spec->num_nodes;
    for (; tenant != NULL; tenant = tenant->parent) {
        const struct tenant_quota *quota = &tenant->tenant.quota;
        if (quota->cpu_milli.has && tenant->cpu_milli_held + cpu > quota->cpu_milli.value)
            return removed(line, FILTER_QUOTA, tenant->tenant.name, tenant->cpu_milli_held + cpu,
                           quota->cpu_milli.value);
        if (quota->accelerators.has &&
            tenant->accelerators_held + devices > quota->accelerators.value)
            return removed(line, FILTER_QUOTA, tenant->tenant.name,
                           tenant->accelerators_held + devices, quota->accelerators.value);
    }
    return FILTER_NONE;
}

uint32_t place_variants_allowed(const struct place_tenant *tenant, const struct job_spec *spec)
{
    uint32_t allowed = 0;
    for (uint32_t v = 0; v < spec->variant_count; v++)
        if (place_filter_quota(tenant, spec, spec->variants[v].accelerators, NULL) == FILTER_NONE)
            allowed |= UINT32_C(1) << v;
    return allowed;
}

/* ---- availability in time: slow and simple, for explanations */

struct ending {
    int64_t at_ms;
    const struct place_hold *hold;
};

static int ending_compare(const void *a, const void *b)
{
    const struct ending *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    return id_compare(x->hold->job.id.id, y->hold->job.id.id);
}

int64_t place_hold_end(const struct place_hold *hold, int64_t now_ms, bool at_limit)
{
    int64_t span = at_limit ? hold->limit.ms : hold->expected.ms;
    int64_t end = hold->since.us / 1000 + span;
    if (end > now_ms + span)
        return now_ms + span;
    return end > now_ms ? end : now_ms + PLACE_OVERDUE_MS;
}

static size_t endings_of(const struct place_site *site, int64_t now_ms, bool at_limit,
                         struct ending *out)
{
    size_t count = 0;
    for (const struct place_hold *hold = site->holds; hold != NULL; hold = hold->site_next)
        out[count++] = (struct ending){place_hold_end(hold, now_ms, at_limit), hold};
    ASSERT(count == site->hold_count);
    qsort(out, count, sizeof(*out), ending_compare);
    return count;
}

struct outlook {
    struct placer *placer;
    const struct place_option *option;
    const struct place_site *site;
    const struct place_job *job;
    int64_t now_ms, limit_ms;
    struct place_node *nodes; /* a copy, from which holds are taken away */
};

static bool node_is_for(const struct outlook *outlook, uint32_t index, int64_t at_ms)
{
    const struct place_node *node = &outlook->nodes[index];
    const struct place_option *option = outlook->option;
    bool is_stock = node->stock < outlook->site->stock_count &&
                    (option->stock == UINT8_MAX || option->stock == node->stock);
    if (!is_stock || !stock_node_fits(node, &option->need))
        return false;
    if (option->stock == UINT8_MAX &&
        !stock_suits(outlook->placer, &outlook->site->stocks[node->stock],
                     &outlook->job->spec->variants[option->variant]))
        return false;
    return !node->is_reserved ||
           place_reservation_allows(outlook->placer, outlook->site, index, outlook->job->id,
                                    at_ms - outlook->now_ms + outlook->limit_ms);
}

static bool outlook_has(const struct outlook *outlook, int64_t at_ms)
{
    uint32_t found = 0;
    for (uint32_t n = 0; n < outlook->site->node_count && found < outlook->option->need.ranks; n++)
        found += node_is_for(outlook, n, at_ms);
    return found >= outlook->option->need.ranks;
}

bool place_fit_when(struct placer *placer, const struct place_option *option,
                    const struct place_job *job, int64_t now_ms, bool at_limit, int64_t *out_ms)
{
    const struct place_site *site = option->site;
    if (!site->is_open || site->node_count == 0)
        return false;
    struct outlook outlook = {placer,
                              option,
                              site,
                              job,
                              now_ms,
                              place_limit(placer, job).ms,
                              calloc(site->node_count, sizeof(*outlook.nodes))};
    struct ending *endings = calloc(site->hold_count + 1, sizeof(*endings));
    ASSERT(outlook.nodes != NULL && endings != NULL);
    memcpy(outlook.nodes, site->nodes, site->node_count * sizeof(*outlook.nodes));
    size_t count = endings_of(site, now_ms, at_limit, endings);
    int64_t at_ms = now_ms;
    bool fits = outlook_has(&outlook, at_ms);
    for (size_t i = 0; i < count && !fits; i++) {
        const struct place_hold *hold = endings[i].hold;
        for (uint32_t r = 0; r < hold->nodes; r++)
            if (hold->ranks[r].place.node <
                site->node_count) /* the site may have lost nodes since */
                place_node_give(&outlook.nodes[hold->ranks[r].place.node], hold->cpu_milli,
                                hold->mem_bytes, &hold->ranks[r].place);
        at_ms = endings[i].at_ms;
        if (i + 1 == count || endings[i + 1].at_ms > at_ms)
            fits = outlook_has(&outlook, at_ms);
    }
    free(outlook.nodes);
    free(endings);
    if (fits)
        *out_ms = at_ms;
    return fits;
}
