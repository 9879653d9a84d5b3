/* A made-up network of the asked size, and a made-up stream of work for it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cli/bench_place.h"

enum {
    NODE_DEVICES = 8,
    NODE_CPU_MILLI = 96000,
    CPU_NODES_PER_CENT = 5,
    SECONDS_PER_HOUR = 3600,
};

#define GIB(n) ((uint64_t)(n) << 30)

struct chip {
    const char *model;
    enum runtime runtime;
    int64_t ask_micros; /* an hour */
};

static const struct chip CHIPS[PB_CHIPS] = {
    {"made-up A", RUNTIME_CANN, 9000000},  {"made-up B", RUNTIME_CUDA, 14000000},
    {"made-up C", RUNTIME_CUDA, 22000000}, {"made-up D", RUNTIME_ROCM, 13000000},
    {"made-up E", RUNTIME_MUSA, 6000000},  {"made-up F", RUNTIME_BANG, 7000000}};

static const struct job_variant CPU_VARIANT = {.runtime = RUNTIME_CPU,
                                               .run = SLICE_LITERAL("true")};
static const char *const REGION_NAMES[PB_REGIONS] = {
    "r-01", "r-02", "r-03", "r-04", "r-05", "r-06", "r-07", "r-08", "r-09", "r-10", "r-11", "r-12"};

static uint64_t below(struct pb_world *w, uint64_t bound)
{
    return random_below(&w->random, bound);
}

static bool chance(struct pb_world *w, uint32_t per_cent)
{
    return below(w, 100) < per_cent;
}

/* An index by weights that sum up to 1,000. */
static uint32_t weighted(struct pb_world *w, const uint32_t *weights)
{
    uint64_t at = below(w, 1000);
    uint32_t i = 0;
    for (; at >= weights[i]; i++)
        at -= weights[i];
    return i;
}

static struct id id_of(uint8_t kind, uint64_t number)
{
    struct id id = {{kind}};
    for (int i = 0; i < 8; i++)
        id.bytes[8 + i] = (uint8_t)(number >> (56 - 8 * i));
    return id;
}

uint32_t pb_parent_of(uint32_t tenant)
{
    return tenant > PB_INSTITUTES ? 1 + (tenant - 1 - PB_INSTITUTES) / PB_GROUPS : 0;
}

uint32_t pb_slot_of(struct job_id job)
{
    uint32_t slot = 0;
    for (int i = 4; i < 8; i++)
        slot = slot << 8 | job.id.bytes[i];
    return slot;
}

static void regions_make(struct pb_world *w)
{
    for (uint32_t i = 0; i < PB_REGIONS; i++) {
        int64_t price = (int64_t)(250000 + below(w, 500000));
        uint64_t carbon = 100000 + below(w, 700000), pue = 1100 + below(w, 400);
        w->regions[i] = (struct region){.id = {id_of(2, i)},
                                        .name = slice_of(REGION_NAMES[i]),
                                        .role = i < 6   ? ROLE_TRAIN
                                                : i < 9 ? ROLE_ANY
                                                        : ROLE_SERVE,
                                        .jurisdiction = slice_of(i == PB_REGIONS - 1   ? "SG"
                                                                 : i == PB_REGIONS - 2 ? "HK"
                                                                                       : "CN"),
                                        .price_per_kwh = MAYBE_MONEY(((struct money){price})),
                                        .carbon_mg_per_kwh = MAYBE_U64(carbon),
                                        .pue_milli = MAYBE_U64(pue)};
    }
    for (uint32_t a = 0; a < PB_REGIONS; a++)
        for (uint32_t b = a + 1; b < PB_REGIONS; b++) {
            uint64_t rtt = 3000 + below(w, 50000), mbps = 1000 + below(w, 99000);
            int64_t egress = (int64_t)(10000 + below(w, 90000));
            w->links[w->link_count++] =
                (struct link){.a = slice_of(REGION_NAMES[a]),
                              .b = slice_of(REGION_NAMES[b]),
                              .rtt_us = rtt,
                              .bandwidth_mbps = MAYBE_U64(mbps),
                              .egress_per_gb = MAYBE_MONEY(((struct money){egress}))};
        }
}

static void tenants_make(struct pb_world *w)
{
    for (uint32_t i = 0; i < PB_TENANTS; i++) {
        struct tenant *tenant = &w->tenants[i];
        (void)snprintf(w->tenant_names[i], sizeof(w->tenant_names[i]), "t-%05u", i);
        *tenant = (struct tenant){.id = {id_of(1, i + 1)},
                                  .name = slice_of(w->tenant_names[i]),
                                  .weight = 1 + (uint32_t)below(w, 4)};
        if (i > 0)
            tenant->parent = w->tenants[pb_parent_of(i)].id;
        if (i > PB_INSTITUTES && chance(w, 30))
            tenant->quota.accelerators = MAYBE_U64(64 + below(w, w->accelerators / 400 + 1));
        if (i > 0 && i <= PB_INSTITUTES && chance(w, 30))
            tenant->quota.cpu_milli = MAYBE_U64(w->accelerators * 12000 / 30);
    }
}

static void node_make(struct site_node *node, const struct chip *chip)
{
    *node = (struct site_node){
        .name = SLICE_LITERAL("n"), .cpu_milli = NODE_CPU_MILLI, .mem_bytes = GIB(1024)};
    if (chip == NULL)
        return;
    node->accelerator = slice_of(chip->model);
    node->runtime = chip->runtime;
    node->accelerator_count = NODE_DEVICES;
}

static bool site_make(struct pb_world *w, uint32_t i, uint32_t device_nodes)
{
    struct pb_site *at = &w->sites[i];
    uint32_t first = i % PB_CHIPS, second = (uint32_t)below(w, PB_CHIPS);
    uint32_t of_second = chance(w, 33) && second != first ? device_nodes / 3 : 0;
    uint32_t cpu_nodes = device_nodes * CPU_NODES_PER_CENT / 100 + 1;
    uint32_t count = device_nodes + cpu_nodes;
    at->nodes = calloc(count, sizeof(*at->nodes));
    if (at->nodes == NULL)
        return false;
    for (uint32_t n = 0; n < count; n++)
        node_make(&at->nodes[n], n >= device_nodes              ? NULL
                                 : n < device_nodes - of_second ? &CHIPS[first]
                                                                : &CHIPS[second]);
    at->region = (uint32_t)below(w, PB_REGIONS);
    (void)snprintf(at->name, sizeof(at->name), "s-%04u", i);
    uint32_t kinds[2] = {first < second ? first : second, first < second ? second : first};
    for (int k = 0; k < 2; k++)
        at->asks[k] =
            (struct site_ask){slice_of(CHIPS[kinds[k]].model),
                              {CHIPS[kinds[k]].ask_micros * (int64_t)(80 + below(w, 40)) / 100}};
    int64_t cpu_ask = (int64_t)(60000 + below(w, 60000));
    bool is_edge = chance(w, 4), has_energy = chance(w, 50);
    at->site = (struct site){.id = {id_of(3, i + 1)},
                             .name = slice_of(at->name),
                             .region = slice_of(REGION_NAMES[at->region]),
                             .tier = is_edge ? TIER_EDGE : TIER_CENTRE,
                             .asks = at->asks,
                             .ask_count = first == second ? 1 : 2,
                             .ask_per_cpu_hour = MAYBE_MONEY(((struct money){cpu_ask})),
                             .ask_includes_energy = has_energy,
                             .nodes = at->nodes,
                             .node_count = count};
    return true;
}

/* Sizes fall off: the largest sites are about ten times the smallest. */
static bool sites_make(struct pb_world *w)
{
    uint64_t nodes = w->accelerators / NODE_DEVICES, left = nodes, weights = 0;
    for (uint32_t i = 0; i < w->site_count; i++)
        weights += 1000000 / (10 + 90 * i / w->site_count);
    for (uint32_t i = 0; i < w->site_count; i++) {
        uint64_t share = nodes * (1000000 / (10 + 90 * i / w->site_count)) / weights;
        if (share > SITE_NODES_MAX * 9 / 10)
            share = SITE_NODES_MAX * 9 / 10;
        if (share == 0)
            share = 1;
        if (share > left)
            share = left > 0 ? left : 1;
        left -= left > share ? share : left;
        if (!site_make(w, i, (uint32_t)share))
            return false;
    }
    w->accelerators = 0; /* what there is, after rounding */
    for (uint32_t i = 0; i < w->site_count; i++)
        for (uint32_t n = 0; n < w->sites[i].site.node_count; n++)
            w->accelerators += w->sites[i].nodes[n].accelerator_count;
    return true;
}

static void template_variants(struct pb_world *w, struct pb_template *t, uint32_t devices)
{
    uint32_t chip = (uint32_t)below(w, PB_CHIPS);
    t->variants[0] = (struct job_variant){.runtime = CHIPS[chip].runtime,
                                          .accelerator = slice_of(CHIPS[chip].model),
                                          .accelerators = devices,
                                          .run = SLICE_LITERAL("true")};
    t->spec.variants = t->variants;
    t->spec.variant_count = 1;
    if (chance(w, 25))
        t->variants[0].accelerator = (struct slice){0}; /* any chip of the runtime */
    if (chance(w, 15) && CHIPS[chip].runtime != RUNTIME_CUDA) {
        t->variants[1] = (struct job_variant){
            .runtime = RUNTIME_CUDA, .accelerators = devices, .run = SLICE_LITERAL("true")};
        t->spec.variant_count = 2;
        t->spec.placement.provenance = PROVENANCE_DOMESTIC_FIRST;
    }
}

static void template_placement(struct pb_world *w, struct pb_template *t)
{
    struct job_placement *placement = &t->spec.placement;
    if (chance(w, 20)) {
        t->lists[0] = SLICE_LITERAL("CN");
        placement->jurisdictions = (struct text_list){&t->lists[0], 1};
    }
    if (chance(w, 10)) {
        t->lists[1] = w->sites[below(w, w->site_count)].site.name;
        placement->avoid_sites = (struct text_list){&t->lists[1], 1};
    }
    if (chance(w, 10)) {
        t->lists[2] = slice_of(REGION_NAMES[below(w, PB_REGIONS)]);
        t->lists[3] = slice_of(REGION_NAMES[below(w, PB_REGIONS)]);
        placement->regions = (struct text_list){&t->lists[2], 2};
    }
    if (chance(w, 10))
        placement->role = ROLE_TRAIN;
    if (chance(w, 10) && placement->provenance == PROVENANCE_ANY)
        placement->provenance = PROVENANCE_DOMESTIC_ONLY;
    if (chance(w, 5)) {
        placement->near = slice_of(REGION_NAMES[below(w, PB_REGIONS)]);
        placement->round_trip_max = SPAN_MS(20 + (int64_t)below(w, 30));
    }
    if (chance(w, 10)) {
        t->has_restore = true;
        t->restore_site = (uint32_t)below(w, w->site_count);
    }
}

static void template_make(struct pb_world *w, struct pb_template *t)
{
    static const uint32_t RANKS[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512};
    static const uint32_t RANK_WEIGHTS[] = {720, 100, 70, 50, 30, 15, 8, 4, 2, 1};
    static const uint32_t DEVICES[] = {1, 2, 4, 8}, DEVICE_WEIGHTS[] = {450, 150, 150, 250};
    static const uint32_t GANG_WEIGHTS[] = {50, 50, 100, 800};
    uint32_t ranks = RANKS[weighted(w, RANK_WEIGHTS)];
    uint32_t devices = DEVICES[weighted(w, ranks == 1 ? DEVICE_WEIGHTS : GANG_WEIGHTS)];
    bool is_cpu = chance(w, 8);
    uint32_t cores = is_cpu ? 2u << below(w, 4) : devices * (6 + 3 * (uint32_t)below(w, 3));
    t->spec =
        (struct job_spec){.name = SLICE_LITERAL("j"),
                          .num_nodes = is_cpu && ranks > 8 ? 8 : ranks,
                          .cpu_milli = cores * 1000,
                          .mem_bytes = GIB(is_cpu ? cores * 4 : devices * 32 * (1 + below(w, 4))),
                          .variants = &CPU_VARIANT,
                          .variant_count = 1,
                          .array_count = 1};
    if (!is_cpu)
        template_variants(w, t, devices);
    template_placement(w, t);
    t->popularity = 1 + (uint32_t)(1000 / (1 + below(w, 100)));
}

/* Of each only what some site could run were the network idle: submission refuses the rest. */
static bool templates_make(struct pb_world *w)
{
    struct placer *placer = pb_world_placer(w);
    for (uint32_t i = 0; placer != NULL && i < PB_TEMPLATES; i++) {
        struct pb_template *t = &w->templates[i];
        struct place_job job = {.spec = &t->spec, .tenant = w->tenants[PB_TENANTS - 1].id};
        struct fault fault = {0};
        do {
            memset(t, 0, sizeof(*t));
            template_make(w, t);
            job.has_restore = t->has_restore;
            job.restore_runtime = t->spec.variants[0].runtime;
        } while (placer_check(placer, &job, &fault) != ERR_OK);
        w->popularity += t->popularity;
    }
    placer_destroy(placer);
    return placer != NULL;
}

struct pb_world *pb_world_make(uint64_t seed, uint32_t sites, uint64_t accelerators,
                               uint32_t job_cap)
{
    struct pb_world *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return NULL;
    random_init(&w->random, seed);
    w->accelerators = accelerators;
    w->site_count = sites;
    w->job_cap = job_cap;
    w->free_first = UINT32_MAX;
    w->sites = calloc(sites, sizeof(*w->sites));
    w->jobs = calloc(job_cap, sizeof(*w->jobs));
    policy_default(&w->policy);
    w->policy.carbon_price_per_tonne = MAYBE_MONEY(((struct money){90000000}));
    w->policy.egress_per_gb = MAYBE_MONEY(((struct money){50000}));
    regions_make(w);
    if (w->sites == NULL || w->jobs == NULL || !sites_make(w)) {
        pb_world_free(w);
        return NULL;
    }
    tenants_make(w);
    if (!templates_make(w)) {
        pb_world_free(w);
        return NULL;
    }
    return w;
}

void pb_world_free(struct pb_world *w)
{
    if (w == NULL)
        return;
    for (uint32_t i = 0; w->sites != NULL && i < w->site_count; i++)
        free(w->sites[i].nodes);
    free(w->sites);
    free(w->jobs);
    free(w);
}

struct placer *pb_world_placer(const struct pb_world *w)
{
    struct placer *placer = placer_create();
    bool is_good = placer != NULL && placer_policy_put(placer, &w->policy) == ERR_OK;
    for (uint32_t i = 0; is_good && i < PB_REGIONS; i++)
        is_good = placer_region_put(placer, &w->regions[i]) == ERR_OK;
    for (uint32_t i = 0; is_good && i < w->link_count; i++)
        is_good = placer_link_put(placer, &w->links[i]) == ERR_OK;
    for (uint32_t i = 0; is_good && i < PB_TENANTS; i++)
        is_good = placer_tenant_put(placer, &w->tenants[i]) == ERR_OK;
    for (uint32_t i = 0; is_good && i < w->site_count; i++)
        is_good = placer_site_put(placer, &w->sites[i].site, true) == ERR_OK;
    if (is_good)
        return placer;
    placer_destroy(placer);
    return NULL;
}

/* ---- jobs */

static uint32_t template_any(struct pb_world *w)
{
    uint64_t at = below(w, w->popularity);
    uint32_t i = 0;
    for (; at >= w->templates[i].popularity; i++)
        at -= w->templates[i].popularity;
    return i;
}

/* One whose quota could ever have it: others are told so when they submit. */
static uint32_t tenant_any(struct pb_world *w, const struct pb_template *t)
{
    for (;;) {
        uint32_t tenant = 1 + PB_INSTITUTES + (uint32_t)below(w, PB_INSTITUTES * PB_GROUPS);
        const struct tenant_quota *own = &w->tenants[tenant].quota;
        const struct tenant_quota *above = &w->tenants[pb_parent_of(tenant)].quota;
        uint64_t devices = (uint64_t)t->spec.num_nodes * t->spec.variants[0].accelerators;
        uint64_t cpu = (uint64_t)t->spec.num_nodes * t->spec.cpu_milli;
        if ((!own->accelerators.has || devices <= own->accelerators.value) &&
            (!above->cpu_milli.has || cpu <= above->cpu_milli.value))
            return tenant;
    }
}

uint32_t pb_job_make(struct pb_world *w, struct wall_us now)
{
    static const uint32_t HOURS[] = {1, 2, 4, 8, 12, 24, 48, 72, 168};
    static const uint32_t CLASS_WEIGHTS[] = {250, 650, 100};
    uint32_t slot = w->free_first;
    if (slot != UINT32_MAX) {
        w->free_first = w->jobs[slot].next_free;
    } else {
        ASSERT(w->job_count < w->job_cap);
        slot = w->job_count++;
    }
    struct pb_job *job = &w->jobs[slot];
    job->template = template_any(w);
    const struct pb_template *t = &w->templates[job->template];
    int64_t limit_s = (int64_t)HOURS[below(w, 9)] * SECONDS_PER_HOUR;
    job->spec = t->spec;
    job->spec.priority = (enum priority_class)weighted(w, CLASS_WEIGHTS);
    job->spec.time_limit = SPAN_S(limit_s);
    job->spec.expected = SPAN_S(limit_s * (int64_t)(30 + below(w, 70)) / 100);
    job->runs_s = limit_s * (int64_t)(10 + below(w, 90)) / 100;
    if (chance(w, 3)) /* about what it costs */
        job->spec.budget.micros =
            (int64_t)job->spec.num_nodes * limit_s * (int64_t)(2000 + below(w, 40000));
    job->tenant = tenant_any(w, t);
    job->place = (struct place_job){.id = {id_of(4, w->submitted++)},
                                    .spec = &job->spec,
                                    .tenant = w->tenants[job->tenant].id,
                                    .created_at = now};
    for (int i = 0; i < 4; i++)
        job->place.id.id.bytes[4 + i] = (uint8_t)(slot >> (24 - 8 * i));
    if (chance(w, 2))
        job->place.avoid = w->sites[below(w, w->site_count)].site.id;
    if (t->has_restore) {
        job->place.has_restore = true;
        job->place.restore_runtime = t->spec.variants[0].runtime;
        job->place.restore_site = w->sites[t->restore_site].site.id;
        job->place.restore_bytes = GIB(200);
    }
    return slot;
}

void pb_job_free(struct pb_world *w, uint32_t slot)
{
    w->jobs[slot].next_free = w->free_first;
    w->free_first = slot;
}
