/* Filters, and whether and where a job fits inside a site. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "place/place_state.h"

struct place_site *place_site_find(struct placer *placer, struct site_id id)
{
    return idmap_get(&placer->sites_by_id, id.id);
}

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

static bool node_suits(const struct place_node *node, const struct placer *placer,
                       const struct job_variant *variant)
{
    if (variant->accelerators == 0)
        return variant->runtime == RUNTIME_CPU || variant->runtime == RUNTIME_OPENCL ||
               node->runtime == variant->runtime;
    if (node->runtime != variant->runtime)
        return false;
    if (variant->accelerator.len == 0)
        return true;
    const char *name = *(char **)vector_at(&placer->names, node->accelerator);
    return slice_is(variant->accelerator, name);
}

/* Would enough nodes be large enough, were the site empty? */
static enum place_filter filter_shape(struct placer *placer, const struct place_site *site,
                                      const struct place_job *job,
                                      const struct job_variant *variant,
                                      struct place_site_line *line)
{
    const struct job_spec *spec = job->spec;
    uint32_t suited = 0, runtime_nodes = 0, fitting = 0;
    for (uint32_t i = 0; i < site->node_count; i++) {
        const struct place_node *node = &site->nodes[i];
        bool has_runtime = variant->accelerators == 0 || node->runtime == variant->runtime;
        runtime_nodes += has_runtime;
        if (!node_suits(node, placer, variant))
            continue;
        suited++;
        fitting += node->cpu_milli >= spec->cpu_milli && node->mem_bytes >= spec->mem_bytes &&
                   (uint32_t)__builtin_popcount(node->devices) >= variant->accelerators;
    }
    if (runtime_nodes == 0)
        return removed(line, FILTER_RUNTIME, slice_of(runtime_name(variant->runtime)), 0, 0);
    if (suited == 0)
        return removed(line, FILTER_ACCELERATOR, variant->accelerator, 0, 0);
    if (fitting < spec->num_nodes)
        return removed(line, FILTER_SHAPE, (struct slice){0}, spec->num_nodes, fitting);
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

enum place_filter place_filter_static(struct placer *placer, const struct place_site *site,
                                      const struct place_job *job, uint32_t variant_index,
                                      struct place_site_line *line)
{
    const struct job_variant *variant = &job->spec->variants[variant_index];
    enum place_filter filter = filter_placement(placer, site, job, line);
    if (filter == FILTER_NONE)
        filter = filter_inputs(site, job, line);
    if (filter == FILTER_NONE)
        filter = filter_shape(placer, site, job, variant, line);
    if (filter == FILTER_NONE)
        filter = filter_restore(site, job, variant, line);
    if (filter == FILTER_NONE && job->spec->placement.provenance == PROVENANCE_DOMESTIC_ONLY &&
        (variant->runtime == RUNTIME_CUDA || variant->runtime == RUNTIME_ROCM))
        filter = removed(line, FILTER_PROVENANCE, slice_of(runtime_name(variant->runtime)), 0, 0);
    if (filter == FILTER_NONE && variant->image.len > 0 &&
        !site_allows_image(&site->site, variant->image))
        filter = removed(line, FILTER_IMAGE, variant->image, 0, 0);
    return filter;
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

struct slice place_model(const struct placer *placer, const struct place_site *site,
                         const struct job_variant *variant)
{
    if (variant->accelerator.len > 0 || variant->accelerators == 0)
        return variant->accelerator;
    for (uint32_t i = 0; i < site->node_count; i++)
        if (node_suits(&site->nodes[i], placer, variant))
            return slice_of(*(char **)vector_at(&placer->names, site->nodes[i].accelerator));
    return variant->accelerator;
}

/* ---- nodes */

static uint32_t sub32(uint32_t a, uint32_t b)
{
    return a > b ? a - b : 0;
}

uint32_t place_node_cpu_free(const struct place_node *node)
{
    return node->is_up ? sub32(node->cpu_milli_seen, node->cpu_milli_used) : 0;
}

uint64_t place_node_mem_free(const struct place_node *node)
{
    return node->is_up && node->mem_bytes_seen > node->mem_bytes_used
               ? node->mem_bytes_seen - node->mem_bytes_used
               : 0;
}

uint16_t place_node_devices_free(const struct place_node *node)
{
    return node->is_up ? (uint16_t)(node->devices_seen & ~node->devices_used) : 0;
}

static uint16_t place_mask(const struct rank_place *place)
{
    uint16_t mask = 0;
    for (uint8_t i = 0; i < place->device_count && i < RANK_DEVICES_MAX; i++)
        if (place->devices[i] < RANK_DEVICES_MAX)
            mask |= (uint16_t)(1u << place->devices[i]);
    return mask;
}

void place_node_take(struct place_node *node, uint32_t cpu_milli, uint64_t mem_bytes,
                     const struct rank_place *place)
{
    node->cpu_milli_used += cpu_milli;
    node->mem_bytes_used += mem_bytes;
    node->devices_used |= place_mask(place);
}

void place_node_give(struct place_node *node, uint32_t cpu_milli, uint64_t mem_bytes,
                     const struct rank_place *place)
{
    node->cpu_milli_used = sub32(node->cpu_milli_used, cpu_milli);
    node->mem_bytes_used = node->mem_bytes_used > mem_bytes ? node->mem_bytes_used - mem_bytes : 0;
    node->devices_used &= (uint16_t)~place_mask(place);
}

void place_site_changed(struct placer *placer, struct place_site *site)
{
    site->stamp = ++placer->stamp;
    site->room.is_known = false;
}

static void room_measure(struct place_site *site)
{
    site->room = (struct place_room){
        .is_known = true, .first_end_ms = INT64_MAX, .last_since_ms = INT64_MIN};
    for (const struct place_hold *hold = site->holds; hold != NULL; hold = hold->site_next) {
        int64_t since_ms = hold->since.us / 1000, end_ms = since_ms + hold->limit.ms;
        if (since_ms > site->room.last_since_ms)
            site->room.last_since_ms = since_ms;
        if (end_ms < site->room.first_end_ms)
            site->room.first_end_ms = end_ms;
    }
    for (uint32_t n = 0; n < site->node_count; n++) {
        const struct place_node *node = &site->nodes[n];
        uint32_t cpu_milli = place_node_cpu_free(node);
        uint64_t mem_bytes = place_node_mem_free(node);
        uint32_t devices = (uint32_t)__builtin_popcount(place_node_devices_free(node));
        if (cpu_milli > site->room.cpu_milli)
            site->room.cpu_milli = cpu_milli;
        if (mem_bytes > site->room.mem_bytes)
            site->room.mem_bytes = mem_bytes;
        if (devices > site->room.devices)
            site->room.devices = devices;
    }
}

bool place_site_has_room(struct place_site *site, const struct job_spec *spec, uint32_t variant)
{
    if (!site->room.is_known)
        room_measure(site);
    return site->is_open && site->room.cpu_milli >= spec->cpu_milli &&
           site->room.mem_bytes >= spec->mem_bytes &&
           site->room.devices >= spec->variants[variant].accelerators;
}

int64_t place_site_not_before(struct place_site *site, const struct job_spec *spec, int64_t now_ms)
{
    for (uint32_t v = 0; v < spec->variant_count; v++)
        if (place_site_has_room(site, spec, v))
            return now_ms;
    if (!site->room.is_known)
        room_measure(site);
    bool is_sure = site->room.first_end_ms > now_ms && site->room.last_since_ms <= now_ms;
    return is_sure ? site->room.first_end_ms : now_ms;
}

static bool is_reserved(const struct placer *placer, const struct place_site *site, uint32_t node,
                        int64_t end_ms, struct job_id self)
{
    for (uint32_t r = 0; r < placer->reservation_count; r++) {
        const struct place_reservation *reservation = &placer->reservations[r];
        if (reservation->site != site || end_ms <= reservation->start_ms ||
            id_is_equal(reservation->job.id, self.id))
            continue;
        for (uint32_t i = 0; i < reservation->nodes_reserved; i++)
            if (reservation->nodes[i] == node)
                return true;
    }
    return false;
}

static bool node_fits(const struct placer *placer, const struct place_node *node,
                      const struct job_spec *spec, const struct job_variant *variant)
{
    return node_suits(node, placer, variant) && place_node_cpu_free(node) >= spec->cpu_milli &&
           place_node_mem_free(node) >= spec->mem_bytes &&
           (uint32_t)__builtin_popcount(place_node_devices_free(node)) >= variant->accelerators;
}

/* Best fit: the node with the fewest devices, then cores, left over. Lower is better. */
static uint64_t leftover(const struct place_node *node, const struct job_spec *spec,
                         const struct job_variant *variant)
{
    uint64_t devices =
        (uint64_t)__builtin_popcount(place_node_devices_free(node)) - variant->accelerators;
    return (devices << 40) + (place_node_cpu_free(node) - spec->cpu_milli);
}

static void take_devices(const struct place_node *node, uint32_t count, struct rank_place *place)
{
    uint16_t free_mask = place_node_devices_free(node);
    place->device_count = 0;
    for (uint8_t d = 0; d < RANK_DEVICES_MAX && place->device_count < count; d++)
        if (free_mask & (1u << d))
            place->devices[place->device_count++] = d;
}

bool place_fit_nodes(const struct placer *placer, const struct place_site *site,
                     const struct place_node *nodes, const struct place_job *job,
                     uint32_t variant_index, int64_t now_ms, struct rank_place *out_places)
{
    const struct job_spec *spec = job->spec;
    const struct job_variant *variant = &spec->variants[variant_index];
    int64_t end_ms = now_ms + place_limit(placer, job).ms;
    uint64_t chosen[(SITE_NODES_MAX + 63) / 64];
    memset(chosen, 0, ((site->node_count + 63) / 64) * sizeof(chosen[0]));
    for (uint32_t rank = 0; rank < spec->num_nodes; rank++) {
        uint32_t best = UINT32_MAX;
        uint64_t best_left = UINT64_MAX;
        for (uint32_t n = 0; n < site->node_count; n++) {
            if ((chosen[n / 64] >> (n % 64)) & 1 || !node_fits(placer, &nodes[n], spec, variant))
                continue;
            uint64_t left = leftover(&nodes[n], spec, variant);
            if (left >= best_left || is_reserved(placer, site, n, end_ms, job->id))
                continue;
            best = n;
            best_left = left;
        }
        if (best == UINT32_MAX)
            return false;
        chosen[best / 64] |= (uint64_t)1 << (best % 64);
        out_places[rank].node = (uint16_t)best;
        take_devices(&nodes[best], variant->accelerators, &out_places[rank]);
    }
    return true;
}

/* ---- availability in time */

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

int64_t place_hold_end(const struct place_hold *hold, int64_t now_ms, bool at_limit,
                       bool *out_is_sure)
{
    int64_t span = at_limit ? hold->limit.ms : hold->expected.ms;
    int64_t end = hold->since.us / 1000 + span;
    *out_is_sure = end > now_ms && end <= now_ms + span;
    if (end > now_ms + span)
        return now_ms + span;
    return end > now_ms ? end : now_ms + 1000;
}

static size_t endings_of(const struct place_site *site, int64_t now_ms, bool at_limit,
                         struct ending *out)
{
    size_t count = 0;
    bool is_sure;
    for (const struct place_hold *hold = site->holds; hold != NULL; hold = hold->site_next)
        out[count++] = (struct ending){place_hold_end(hold, now_ms, at_limit, &is_sure), hold};
    ASSERT(count == site->hold_count);
    qsort(out, count, sizeof(*out), ending_compare);
    return count;
}

/* What is free once holds end one after the other, and when that first suffices. */
static bool fit_after(struct placer *placer, const struct place_site *site,
                      const struct place_job *job, uint32_t variant, int64_t now_ms,
                      struct place_node *nodes, const struct ending *endings, size_t count,
                      int64_t *out_ms, struct rank_place *out_places)
{
    *out_ms = now_ms;
    bool fits = place_fit_nodes(placer, site, nodes, job, variant, now_ms, out_places);
    for (size_t i = 0; i < count && !fits; i++) {
        const struct place_hold *hold = endings[i].hold;
        for (uint32_t r = 0; r < hold->nodes; r++)
            if (hold->places[r].node < site->node_count) /* the site may have lost nodes since */
                place_node_give(&nodes[hold->places[r].node], hold->cpu_milli, hold->mem_bytes,
                                &hold->places[r]);
        *out_ms = endings[i].at_ms;
        if (i + 1 == count || endings[i + 1].at_ms > *out_ms)
            fits = place_fit_nodes(placer, site, nodes, job, variant, *out_ms, out_places);
    }
    return fits;
}

bool place_fit_when(struct placer *placer, const struct place_site *site,
                    const struct place_job *job, uint32_t variant, int64_t now_ms, bool at_limit,
                    int64_t *out_ms, struct rank_place *out_places)
{
    if (!site->is_open || site->node_count == 0)
        return false;
    struct place_node *nodes = calloc(site->node_count, sizeof(*nodes));
    struct ending *endings = calloc(site->hold_count + 1, sizeof(*endings));
    ASSERT(nodes != NULL && endings != NULL);
    memcpy(nodes, site->nodes, site->node_count * sizeof(*nodes));
    size_t count = endings_of(site, now_ms, at_limit, endings);
    int64_t at_ms;
    bool fits =
        fit_after(placer, site, job, variant, now_ms, nodes, endings, count, &at_ms, out_places);
    free(nodes);
    free(endings);
    if (fits)
        *out_ms = at_ms;
    return fits;
}
