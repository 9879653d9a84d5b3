#include "place_world.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static const char *const SITE_NAMES[WORLD_SITES] = {"a-one",  "b-two",  "c-three",
                                                    "d-four", "e-five", "z-tiny"};
static const char *const TENANT_NAMES[WORLD_TENANTS] = {"root",  "blue",  "red",
                                                        "green", "azure", "teal"};
static const struct slice CN = SLICE_LITERAL("CN");

enum { TINY = WORLD_SITES - 1 };

struct id world_id(uint8_t kind, uint32_t number)
{
    struct id id = {{kind, 0, 0, 0, (uint8_t)(number >> 24), (uint8_t)(number >> 16),
                     (uint8_t)(number >> 8), (uint8_t)number, 1}};
    return id;
}

static uint64_t below(struct world *w, uint64_t bound)
{
    return random_below(&w->random, bound);
}

/* Draws come one a statement, or from here: the order in which C evaluates the parts of an
 * expression is the compiler's own, and the world must not be. */
enum { DRAWS = 16 };
struct draws {
    uint64_t at[DRAWS];
};

static struct draws draw(struct world *w)
{
    struct draws draws;
    for (int i = 0; i < DRAWS; i++)
        draws.at[i] = below(w, 1u << 30);
    return draws;
}

static void region_make(struct world *w, uint32_t i)
{
    struct draws d = draw(w);
    w->regions[i] = (struct region){
        .id = {world_id(2, i)},
        .name = slice_of(SITE_NAMES[i]),
        .role = i == 0   ? ROLE_SERVE
                : i == 1 ? ROLE_ANY
                         : ROLE_TRAIN,
        .jurisdiction = slice_of(i == 2 ? "HK" : "CN"),
        .price_per_kwh = {(d.at[0] % (4)) != 0, {(int64_t)(200000 + (d.at[1] % (600000)))}},
        .carbon_mg_per_kwh = {(d.at[2] % (4)) != 0, 100000 + (d.at[3] % (800000))},
        .pue_milli = {(d.at[4] % (4)) != 0, 1000 + (d.at[5] % (600))}};
}

static void site_make(struct world *w, uint32_t i)
{
    static const struct site_ask ASKS[] = {{SLICE_LITERAL("910B"), {9000000}},
                                           {SLICE_LITERAL("A100"), {12000000}}};
    uint32_t count = i == TINY ? 1 : 2 + (uint32_t)below(w, WORLD_NODES - 1);
    uint64_t kind = below(w, 3); /* without chips, cuda, cann */
    struct draws d = draw(w);
    for (uint32_t n = 0; n < count; n++) {
        struct draws node = draw(w);
        bool has_chips = kind > 0 && node.at[0] % 4 > 0;
        w->nodes[i][n] = (struct site_node){
            .name = SLICE_LITERAL("n"),
            .cpu_milli = i == TINY ? 1 : 4000 * (1 + (uint32_t)(node.at[1] % 4)),
            .mem_bytes = i == TINY ? 1 : (UINT64_C(4) << 30) * (1 + node.at[2] % 4),
            .accelerator = has_chips ? slice_of(kind == 1 ? "A100" : "910B") : (struct slice){0},
            .runtime = !has_chips  ? RUNTIME_CPU
                       : kind == 1 ? RUNTIME_CUDA
                                   : RUNTIME_CANN,
            .accelerator_count = has_chips ? 2 + 2 * (uint32_t)(node.at[3] % 4) : 0};
        w->seen[i][n] = (struct sync_node){.node = (uint16_t)n};
    }
    w->sites[i] =
        (struct site){.id = {world_id(3, i)},
                      .name = slice_of(SITE_NAMES[i]),
                      .region = slice_of(SITE_NAMES[i]),
                      .tier = d.at[0] % 8 == 0 ? TIER_EDGE : TIER_HUB,
                      .asks = ASKS,
                      .ask_count = d.at[1] % 6 == 0 ? 1 : 2,
                      .ask_includes_energy = d.at[2] % 2 == 0,
                      .ask_per_cpu_hour = {d.at[3] % 8 != 0, {(int64_t)(50000 + d.at[4] % 100000)}},
                      .nodes = w->nodes[i],
                      .node_count = count};
    w->is_open[i] = true;
}

static void variants_make(struct world *w, uint32_t i)
{
    struct job_variant *variants = w->variants[i];
    bool is_cuda = below(w, 2) == 0;
    uint64_t kind = below(w, 4); /* cpu, cpu, one kind of chip, two of them */
    variants[0] = (struct job_variant){.runtime = RUNTIME_CPU, .run = SLICE_LITERAL("true")};
    if (kind >= 2)
        for (int v = 0; v < 2; v++) {
            struct draws d = draw(w);
            bool cuda = is_cuda == (v == 0);
            variants[v] = (struct job_variant){
                .runtime = cuda ? RUNTIME_CUDA : RUNTIME_CANN,
                .accelerator =
                    d.at[0] % 2 == 0 ? (struct slice){0} : slice_of(cuda ? "A100" : "910B"),
                .accelerators = 1 + (uint32_t)(d.at[1] % 4),
                .run = SLICE_LITERAL("true")};
        }
    w->specs[i].variants = variants;
    w->specs[i].variant_count = kind == 3 ? 2 : 1;
}

static void placement_make(struct world *w, uint32_t i)
{
    struct job_placement *placement = &w->specs[i].placement;
    struct slice *list = w->lists[i];
    if (below(w, 4) == 0) {
        list[0] = CN;
        placement->jurisdictions = (struct text_list){&list[0], 1};
    }
    if (below(w, 8) == 0) {
        list[1] = slice_of(SITE_NAMES[below(w, TINY)]);
        placement->avoid_sites = (struct text_list){&list[1], 1};
    }
    if (below(w, 8) == 0) {
        list[2] = slice_of(SITE_NAMES[1 + below(w, 2)]);
        list[3] = slice_of(SITE_NAMES[3 + below(w, 2)]);
        if (below(w, 2) == 0)
            placement->sites = (struct text_list){&list[2], 2};
        else
            placement->regions = (struct text_list){&list[2], 2};
    }
    if (below(w, 8) == 0)
        placement->role = below(w, 2) == 0 ? ROLE_TRAIN : ROLE_SERVE;
    placement->provenance = below(w, 2) == 0 ? PROVENANCE_ANY : (enum provenance)below(w, 3);
    if (below(w, 6) == 0) {
        placement->near = slice_of(SITE_NAMES[below(w, TINY)]);
        placement->round_trip_max = SPAN_MS(5 + (int64_t)below(w, 60));
    }
}

static void spec_make(struct world *w, uint32_t i)
{
    struct draws d = draw(w);
    w->specs[i] = (struct job_spec){
        .name = SLICE_LITERAL("j"),
        .num_nodes = (d.at[0] % (3)) > 0 ? 1 : 1 + (uint32_t)(d.at[1] % (4)),
        .cpu_milli = 500 * (1 + (uint32_t)(d.at[2] % (16))),
        .mem_bytes = (UINT64_C(1) << 30) * (1 + (d.at[3] % (6))),
        .array_count = 1,
        .array_parallel_max = (d.at[4] % (6)) == 0 ? 1 + (uint32_t)(d.at[5] % (3)) : 0,
        .priority = (d.at[6] % (2)) == 0 ? PRIORITY_STANDARD : (enum priority_class)(d.at[7] % (3)),
        .time_limit = SPAN_S((d.at[8] % (5)) == 0 ? 0 : 60 * (1 + (int64_t)(d.at[9] % (60)))),
        .expected = SPAN_S((d.at[10] % (2)) == 0 ? 0 : 60 * (1 + (int64_t)(d.at[11] % (60)))),
        .budget = {(d.at[12] % (8)) == 0 ? (int64_t)(d.at[13] % (20000000)) : 0}};
    variants_make(w, i);
    placement_make(w, i);
}

static void links_make(struct world *w)
{
    for (uint32_t a = 0; a < TINY; a++)
        for (uint32_t b = a + 1; b < TINY; b++) {
            struct draws d = draw(w);
            if (d.at[0] % 4 == 0)
                continue;
            w->links[w->link_count++] = (struct link){
                .a = slice_of(SITE_NAMES[a]),
                .b = slice_of(SITE_NAMES[b]),
                .rtt_us = 1000 * (1 + d.at[1] % 60),
                .bandwidth_mbps = {d.at[2] % 2 == 0, 100 + d.at[3] % 9000},
                .egress_per_gb = {d.at[4] % 2 == 0, {(int64_t)(10000 + d.at[5] % 90000)}}};
        }
}

static void tenants_make(struct world *w)
{
    for (uint32_t i = 0; i < WORLD_TENANTS; i++) {
        w->tenants[i] = (struct tenant){.id = {world_id(1, 100 + i)},
                                        .name = slice_of(TENANT_NAMES[i]),
                                        .weight = 1 + (uint32_t)below(w, 3)};
        if (i > 0)
            w->tenants[i].parent = w->tenants[i >= 4 ? 1 : 0].id;
        if (below(w, 3) == 0)
            w->tenants[i].quota.cpu_milli = MAYBE_U64(4000 + 1000 * below(w, 40));
        if (below(w, 3) == 0)
            w->tenants[i].quota.accelerators = MAYBE_U64(below(w, 16));
        if (below(w, 3) == 0)
            w->tenants[i].default_time_limit = SPAN_S(60 * (1 + (int64_t)below(w, 60)));
    }
}

static struct placer *placer_start(const struct world *w)
{
    struct placer *placer = placer_create();
    ASSERT(placer != NULL && placer_policy_put(placer, &w->policy) == ERR_OK);
    for (uint32_t i = 0; i < WORLD_TENANTS; i++)
        ASSERT(placer_tenant_put(placer, &w->tenants[i]) == ERR_OK);
    static const struct place_chip_facts CHIPS[] = {{SLICE_LITERAL("A100"), 312000, false},
                                                    {SLICE_LITERAL("910B"), 320000, true}};
    for (size_t i = 0; i < sizeof(CHIPS) / sizeof(CHIPS[0]); i++)
        ASSERT(placer_chip_put(placer, &CHIPS[i]) == ERR_OK);
    return placer;
}

struct world *world_make(uint64_t seed)
{
    struct world *w = calloc(1, sizeof(*w));
    ASSERT(w != NULL);
    random_init(&w->random, seed);
    w->now = (struct now){{1000000000}, {INT64_C(1800000000) * 1000000}};
    policy_default(&w->policy);
    if (below(w, 2) == 0)
        w->policy.carbon_price_per_tonne = MAYBE_MONEY(((struct money){90000000}));
    if (below(w, 2) == 0)
        w->policy.egress_per_gb = MAYBE_MONEY(((struct money){50000}));
    tenants_make(w);
    w->placer = placer_start(w);
    for (uint32_t i = 0; i < WORLD_SITES; i++) {
        region_make(w, i);
        site_make(w, i);
        ASSERT(placer_region_put(w->placer, &w->regions[i]) == ERR_OK);
        ASSERT(placer_site_put(w->placer, &w->sites[i], true) == ERR_OK);
        world_observe(w, i);
    }
    links_make(w);
    for (uint32_t i = 0; i < w->link_count; i++)
        ASSERT(placer_link_put(w->placer, &w->links[i]) == ERR_OK);
    for (uint32_t i = 0; i < WORLD_SPECS; i++)
        spec_make(w, i);
    return w;
}

void world_free(struct world *w)
{
    placer_destroy(w->placer);
    for (uint32_t i = 0; i < w->job_count; i++)
        free(w->jobs[i].decision);
    free(w);
}

struct placer *world_rebuild(struct world *w)
{
    struct placer *placer = placer_start(w);
    for (uint32_t i = 0; i < WORLD_TENANTS; i++) {
        struct place_share share;
        placer_share_read(w->placer, w->tenants[i].id, &share);
        ASSERT(placer_share_put(placer, w->tenants[i].id, &share) == ERR_OK);
    }
    for (uint32_t back = WORLD_SITES; back > 0; back--) {
        uint32_t i = back - 1;
        ASSERT(placer_site_put(placer, &w->sites[i], w->is_open[i]) == ERR_OK);
        placer_site_observe(placer, w->sites[i].id, w->seen[i], w->sites[i].node_count);
        ASSERT(placer_region_put(placer, &w->regions[i]) == ERR_OK);
    }
    for (uint32_t i = w->link_count; i > 0; i--)
        ASSERT(placer_link_put(placer, &w->links[i - 1]) == ERR_OK);
    for (uint32_t i = w->speed_count; i > 0; i--)
        ASSERT(placer_speed_put(placer, w->speeds[i - 1].workload, &w->speeds[i - 1].speed) ==
               ERR_OK);
    for (uint32_t i = w->job_count; i > 0; i--) {
        const struct world_job *job = &w->jobs[i - 1];
        if (job->state == WORLD_JOB_HELD)
            ASSERT(placer_hold(placer, &job->job, job->decision, job->since) == ERR_OK);
        else if (job->state == WORLD_JOB_QUEUED)
            ASSERT(placer_job_put(placer, &job->job) == ERR_OK);
    }
    struct place_promise promise;
    for (uint32_t i = 0; placer_promise_read(w->placer, i, &promise); i++)
        ASSERT(placer_promise_put(placer, &promise) == ERR_OK);
    return placer;
}

static struct id workload_of(const struct world *w, uint32_t spec)
{
    return w->has_workloads && spec % 2 == 0 ? world_id(9, spec) : (struct id){{0}};
}

void world_speed(struct world *w)
{
    struct draws d = draw(w);
    uint32_t spec = (uint32_t)(d.at[0] % (WORLD_SPECS / 2)) * 2, slot = 0;
    const struct job_variant *variant =
        &w->specs[spec].variants[d.at[1] % w->specs[spec].variant_count];
    struct world_speed fresh = {
        .workload = world_id(9, spec),
        .speed = {.runtime = variant->runtime,
                  .devices = variant->accelerators,
                  .accelerator = variant->runtime == RUNTIME_CUDA   ? slice_of("A100")
                                 : variant->runtime == RUNTIME_CANN ? slice_of("910B")
                                                                    : (struct slice){0},
                  .rate = d.at[2] % 3 == 0 ? 0 : 1 + d.at[3] % 1000000,
                  .may_explore = d.at[4] % 2 == 0}};
    while (slot < w->speed_count && (!id_is_equal(w->speeds[slot].workload, fresh.workload) ||
                                     w->speeds[slot].speed.runtime != fresh.speed.runtime))
        slot++;
    ASSERT(slot < WORLD_SPEEDS);
    w->speeds[slot] = fresh;
    w->speed_count = slot == w->speed_count ? slot + 1 : w->speed_count;
    ASSERT(placer_speed_put(w->placer, fresh.workload, &fresh.speed) == ERR_OK);
}

struct world_job *world_submit(struct world *w, uint32_t spec, uint32_t tenant)
{
    ASSERT(w->job_count < WORLD_JOBS);
    struct world_job *job = &w->jobs[w->job_count];
    job->state = WORLD_JOB_QUEUED;
    job->job = (struct place_job){.id = {world_id(4, w->job_count++)},
                                  .spec = &w->specs[spec],
                                  .tenant = w->tenants[tenant].id,
                                  .created_at = w->now.wall};
    job->job.workload = workload_of(w, spec);
    if (below(w, 8) == 0)
        job->job.avoid = w->sites[below(w, TINY)].id;
    if (below(w, 8) == 0) {
        job->job.has_restore = true;
        job->job.restore_runtime = w->specs[spec].variants[0].runtime;
        job->job.restore_world_size = (uint32_t)below(w, 3);
        job->job.restore_jurisdiction = below(w, 2) == 0 ? CN : (struct slice){0};
        job->job.restore_site = w->sites[below(w, TINY)].id;
        job->job.restore_bytes = below(w, 100) << 30;
    }
    ASSERT(placer_job_put(w->placer, &job->job) == ERR_OK);
    return job;
}

struct world_job *world_job_of(struct world *w, struct job_id id)
{
    for (uint32_t i = 0; i < w->job_count; i++)
        if (id_is_equal(w->jobs[i].job.id.id, id.id))
            return &w->jobs[i];
    return NULL;
}

void world_held(struct world *w, const struct place_decision *decision)
{
    struct world_job *job = world_job_of(w, decision->job);
    ASSERT(job != NULL && job->state == WORLD_JOB_QUEUED);
    job->state = WORLD_JOB_HELD;
    job->decision = malloc(sizeof(*job->decision));
    ASSERT(job->decision != NULL);
    *job->decision = *decision;
    job->since = w->now.wall;
}

void world_release(struct world *w, struct world_job *job)
{
    ASSERT(job->state == WORLD_JOB_HELD);
    placer_release(w->placer, job->job.id, w->now.wall);
    free(job->decision);
    job->decision = NULL;
    job->state = WORLD_JOB_GONE;
}

void world_remove(struct world *w, struct world_job *job)
{
    ASSERT(job->state == WORLD_JOB_QUEUED);
    placer_job_remove(w->placer, job->job.id);
    job->state = WORLD_JOB_GONE;
}

void world_observe(struct world *w, uint32_t i)
{
    for (uint32_t n = 0; n < w->sites[i].node_count; n++) {
        const struct site_node *node = &w->nodes[i][n];
        struct sync_node *seen = &w->seen[i][n];
        bool is_whole = i == TINY || below(w, 2) == 0;
        seen->is_up = i == TINY || below(w, 12) != 0;
        seen->cpu_milli_free = is_whole ? node->cpu_milli : (uint32_t)below(w, 20000);
        seen->mem_bytes_free = is_whole ? node->mem_bytes : below(w, UINT64_C(20) << 30);
        seen->devices_free_count = 0;
        for (uint8_t d = 0; d < node->accelerator_count; d++)
            if (is_whole || below(w, 3) > 0)
                seen->devices_free[seen->devices_free_count++] = d;
    }
    placer_site_observe(w->placer, w->sites[i].id, w->seen[i], w->sites[i].node_count);
}

struct world_job *world_pick(struct world *w, enum world_job_state state)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->job_count; i++)
        count += w->jobs[i].state == state;
    if (count == 0)
        return NULL;
    uint32_t wanted = (uint32_t)below(w, count);
    for (uint32_t i = 0;; i++)
        if (w->jobs[i].state == state && wanted-- == 0)
            return &w->jobs[i];
}

int world_site_of(const struct world *w, struct site_id id)
{
    for (int i = 0; i < WORLD_SITES; i++)
        if (id_is_equal(w->sites[i].id.id, id.id))
            return i;
    return -1;
}

void world_nudge(struct world *w, struct placer *placer)
{
    struct sync_node node = w->seen[TINY][0];
    node.is_up = false;
    placer_site_observe(placer, w->sites[TINY].id, &node, 1);
    placer_site_observe(placer, w->sites[TINY].id, &w->seen[TINY][0], 1);
}
