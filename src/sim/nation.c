#include "sim/nation.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"

enum {
    HOUR_MS = 3600000,
    DAY_MS = 24 * HOUR_MS,
    NEAR_MS = 10, /* round trips that inference may have */
    FAR_MS = 30,
    ASK_MICROS = 4000000, /* example: a device and hour, power not included */
    EAST_TARIFF = 650000, /* example, where the topology has none: micros a kWh */
    WEST_TARIFF = 380000,
    CARBON_PRICE = 80000000, /* example: a tonne */
    START_STRETCH = 100,
};

static const char *const WAY_NAMES[NATION_WAY_COUNT_] = {[NATION_ENGINE] = "engine",
                                                         [NATION_ALONE] = "alone",
                                                         [NATION_RANDOM] = "random",
                                                         [NATION_CHEAPEST] = "cheapest_first"};
static const char *const KIND_NAMES[NATION_KIND_COUNT_] = {[NATION_TRAINING] = "training",
                                                           [NATION_NEAR] = "inference_10ms",
                                                           [NATION_FAR] = "inference_30ms"};

const char *nation_way_name(enum nation_way way)
{
    ASSERT((unsigned)way < NATION_WAY_COUNT_);
    return WAY_NAMES[way];
}

const char *nation_kind_name(enum nation_kind kind)
{
    ASSERT((unsigned)kind < NATION_KIND_COUNT_);
    return KIND_NAMES[kind];
}

struct nation {
    const struct topology *network;
    struct arena *arena;
    struct region *regions;
    struct site *sites;
    struct topology topology;
    struct topology_tenant tenant;
    bool is_west[NATION_SITES_MAX];
    uint32_t east[NATION_SITES_MAX], east_count;
    double price[NATION_SITES_MAX];                         /* of a device hour: power and carbon */
    uint64_t allowed[NATION_SITES_MAX][NATION_KIND_COUNT_]; /* bits of sites, by home */
    struct job_placement free[NATION_SITES_MAX][NATION_KIND_COUNT_];
    struct job_placement only[NATION_SITES_MAX]; /* that site and no other */
    struct replay_job *jobs;
    size_t job_count;
    struct random random;
};

/* ---- the network */

static enum err network_make(struct nation *nation, struct fault *fault)
{
    const struct topology *network = nation->network;
    struct site_node *nodes = arena_array(nation->arena, NATION_SITE_NODES, sizeof(*nodes));
    nation->regions = arena_array(nation->arena, network->region_count, sizeof(struct region));
    nation->sites = arena_array(nation->arena, network->site_count, sizeof(struct site));
    if (nodes == NULL || nation->regions == NULL || nation->sites == NULL)
        return ERR_NO_MEMORY;
    if (network->site_count == 0 || network->site_count > NATION_SITES_MAX)
        return fault_set(fault, ERR_LIMIT, "sites", "between 1 and %d sites", NATION_SITES_MAX);
    for (int n = 0; n < NATION_SITE_NODES; n++)
        nodes[n] = (struct site_node){.name = SLICE_LITERAL("n"),
                                      .cpu_milli = NATION_NODE_DEVICES * 8000,
                                      .mem_bytes = UINT64_C(1) << 39,
                                      .accelerator = SLICE_LITERAL("910B"),
                                      .runtime = RUNTIME_CANN,
                                      .accelerator_count = NATION_NODE_DEVICES};
    for (uint32_t r = 0; r < network->region_count; r++) {
        nation->regions[r] = network->regions[r];
        nation->regions[r].role = ROLE_ANY;
        if (!network->regions[r].price_per_kwh.has) {
            bool is_west = network->regions[r].role == ROLE_TRAIN;
            nation->regions[r].price_per_kwh =
                MAYBE_MONEY(((struct money){is_west ? WEST_TARIFF : EAST_TARIFF}));
            nation->regions[r].price_origin.is_example = true;
        }
    }
    for (uint32_t s = 0; s < network->site_count; s++) {
        const struct region *region = topology_region(network, network->sites[s].region);
        nation->sites[s] = network->sites[s];
        nation->sites[s].nodes = nodes;
        nation->sites[s].node_count = NATION_SITE_NODES;
        nation->sites[s].ask_per_accelerator_hour = MAYBE_MONEY((struct money){ASK_MICROS});
        nation->sites[s].ask_includes_energy = false;
        nation->sites[s].ask_origin.is_example = true;
        nation->is_west[s] = region != NULL && region->role == ROLE_TRAIN;
        if (!nation->is_west[s])
            nation->east[nation->east_count++] = s;
    }
    if (nation->east_count == 0)
        return fault_set(fault, ERR_INVALID, "regions", "none has a role other than train");
    nation->tenant =
        (struct topology_tenant){.tenant = {.name = SLICE_LITERAL("all"), .weight = 1}};
    nation->topology = *network;
    nation->topology.regions = nation->regions;
    nation->topology.sites = nation->sites;
    nation->topology.tenants = &nation->tenant;
    nation->topology.tenant_count = 1;
    nation->topology.policy.carbon_price_per_tonne = MAYBE_MONEY((struct money){CARBON_PRICE});
    return ERR_OK;
}

static bool is_within(const struct nation *nation, uint32_t a, uint32_t b, int64_t most_ms)
{
    if (a == b)
        return true;
    const struct link *link =
        topology_link(&nation->topology, &nation->sites[a], &nation->sites[b]);
    return link != NULL && link->rtt_us <= (uint64_t)most_ms * 1000;
}

static void choices_make(struct nation *nation)
{
    static const int64_t MOST_MS[NATION_KIND_COUNT_] = {0, NEAR_MS, FAR_MS};
    for (uint32_t s = 0; s < nation->topology.site_count; s++) {
        const struct region *region = topology_region(&nation->topology, nation->sites[s].region);
        double pue = region->pue_milli.has ? (double)region->pue_milli.value / 1000 : 1;
        nation->price[s] = pue * ((double)region->price_per_kwh.value.micros +
                                  (double)region->carbon_mg_per_kwh.value * CARBON_PRICE / 1e9);
        nation->only[s] = (struct job_placement){.sites = {&nation->sites[s].name, 1}};
        for (int k = 0; k < NATION_KIND_COUNT_; k++) {
            nation->free[s][k] = (struct job_placement){0};
            if (MOST_MS[k] > 0) {
                nation->free[s][k].near = nation->sites[s].name;
                nation->free[s][k].round_trip_max = SPAN_MS(MOST_MS[k]);
            }
            for (uint32_t other = 0; other < nation->topology.site_count; other++)
                if (MOST_MS[k] == 0 || is_within(nation, s, other, MOST_MS[k]))
                    nation->allowed[s][k] |= UINT64_C(1) << other;
        }
    }
}

/* ---- the demand */

static int by_arrival(const void *a, const void *b)
{
    const struct replay_job *x = a, *y = b;
    if (x->arrival_ms != y->arrival_ms)
        return x->arrival_ms < y->arrival_ms ? -1 : 1;
    return x->site < y->site ? -1 : x->site > y->site; /* the order of making */
}

static uint64_t draw(struct nation *nation, uint64_t bound)
{
    return random_below(&nation->random, bound);
}

/* Training: 1 to 128 devices for half an hour to six hours, from anywhere, at any hour. */
static void training_make(struct nation *nation, struct replay_job *job)
{
    static const uint32_t NODES[] = {1, 1, 1, 1, 1, 1, 2, 2, 4, 16};
    uint32_t nodes = NODES[draw(nation, 10)];
    job->arrival_ms = (int64_t)draw(nation, DAY_MS);
    job->duration_ms = HOUR_MS / 2 + (int64_t)draw(nation, 11) * (HOUR_MS / 2);
    job->nodes = nodes;
    job->devices = nodes > 1 ? NATION_NODE_DEVICES : UINT32_C(1) << draw(nation, 4);
    job->home = (uint32_t)draw(nation, nation->topology.site_count);
    job->kind = NATION_TRAINING;
}

/* Replicas for users in the east: three in four of them between 8 and 24 o'clock. */
static void replica_make(struct nation *nation, struct replay_job *job)
{
    bool is_day = draw(nation, 4) > 0;
    int64_t hour = is_day ? 8 + (int64_t)draw(nation, 16) : (int64_t)draw(nation, 8);
    job->arrival_ms = hour * HOUR_MS + (int64_t)draw(nation, HOUR_MS);
    job->duration_ms = 2 * HOUR_MS + (int64_t)draw(nation, 17) * (HOUR_MS / 2);
    job->nodes = 1;
    job->devices = UINT32_C(1) << draw(nation, 3);
    job->home = nation->east[draw(nation, nation->east_count)];
    job->kind = draw(nation, 2) == 0 ? NATION_NEAR : NATION_FAR;
}

static enum err demand_make(struct nation *nation, uint32_t scale_percent)
{
    size_t training = (size_t)NATION_TRAINING_JOBS * scale_percent / 100;
    size_t replicas = (size_t)NATION_REPLICAS * scale_percent / 100;
    nation->job_count = training + replicas;
    nation->jobs = arena_array(nation->arena, nation->job_count + 1, sizeof(*nation->jobs));
    if (nation->jobs == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < nation->job_count; i++) {
        struct replay_job *job = &nation->jobs[i];
        if (i < training)
            training_make(nation, job);
        else
            replica_make(nation, job);
        job->cpu_milli = job->devices * 4000;
        job->mem_bytes = (uint64_t)job->devices << 34;
        job->expected_ms = job->limit_ms = job->duration_ms;
        /* What serves waits for nobody. */
        job->priority = job->kind == NATION_TRAINING ? PRIORITY_STANDARD : PRIORITY_GUARANTEED;
        job->site = (uint32_t)i;
    }
    qsort(nation->jobs, nation->job_count, sizeof(*nation->jobs), by_arrival);
    return ERR_OK;
}

/* ---- the ways */

static uint32_t cheapest_of(const struct nation *nation, uint64_t allowed)
{
    uint32_t best = REPLAY_NONE;
    for (uint32_t s = 0; s < nation->topology.site_count; s++)
        if ((allowed >> s & 1) != 0 &&
            (best == REPLAY_NONE || nation->price[s] < nation->price[best]))
            best = s;
    return best;
}

static uint32_t random_of(struct nation *nation, uint64_t allowed)
{
    uint64_t skip = draw(nation, (uint64_t)__builtin_popcountll(allowed));
    while (skip-- > 0)
        allowed &= allowed - 1;
    return (uint32_t)__builtin_ctzll(allowed);
}

static void way_set(struct nation *nation, enum nation_way way)
{
    for (size_t i = 0; i < nation->job_count; i++) {
        struct replay_job *job = &nation->jobs[i];
        uint64_t allowed = nation->allowed[job->home][job->kind];
        switch (way) {
        case NATION_ALONE:
            job->placement = &nation->only[job->home];
            break;
        case NATION_RANDOM:
            job->placement = &nation->only[random_of(nation, allowed)];
            break;
        case NATION_CHEAPEST:
            job->placement = &nation->only[cheapest_of(nation, allowed)];
            break;
        case NATION_ENGINE:
        case NATION_WAY_COUNT_:
            job->placement = &nation->free[job->home][job->kind];
            break;
        }
    }
}

static void figures_fill(const struct nation *nation, const struct replay_result *ran,
                         struct nation_figures *out)
{
    double held[NATION_KIND_COUNT_] = {0}, west[NATION_KIND_COUNT_] = {0};
    uint64_t count[NATION_KIND_COUNT_] = {0};
    double devices = (double)nation->topology.site_count * NATION_SITE_NODES * NATION_NODE_DEVICES;
    double until_day = 0;
    *out = (struct nation_figures){.wait_mean_s = ran->wait_mean_ms / 1000,
                                   .wait_p99_s = ran->wait_p99_ms / 1000,
                                   .ask = ran->ask,
                                   .energy = ran->energy,
                                   .carbon_kg = ran->carbon_kg,
                                   .jobs = ran->ended,
                                   .never = ran->never,
                                   .events = ran->events};
    for (size_t i = 0; i < nation->job_count; i++) {
        const struct replay_job *job = &nation->jobs[i];
        if (job->site == REPLAY_NONE)
            continue;
        double wide = (double)job->devices * job->nodes;
        int64_t end_ms = job->end_ms < DAY_MS ? job->end_ms : DAY_MS;
        held[job->kind] += wide * (double)job->duration_ms;
        west[job->kind] += nation->is_west[job->site] ? wide * (double)job->duration_ms : 0;
        out->wait_kind_s[job->kind] += (double)(job->start_ms - job->arrival_ms) / 1000;
        count[job->kind]++;
        if (end_ms > job->start_ms)
            until_day += wide * (double)(end_ms - job->start_ms);
    }
    out->utilisation = until_day / (devices * DAY_MS);
    for (int k = 0; k < NATION_KIND_COUNT_; k++) {
        out->west_part[k] = held[k] > 0 ? west[k] / held[k] : 0;
        out->wait_kind_s[k] = count[k] > 0 ? out->wait_kind_s[k] / (double)count[k] : 0;
    }
}

enum err nation_run(const struct topology *network, uint64_t seed, uint32_t scale_percent,
                    struct arena *arena, struct nation_result *out, struct fault *fault)
{
    struct nation *nation = arena_alloc(arena, sizeof(*nation));
    if (nation == NULL)
        return ERR_NO_MEMORY;
    nation->network = network;
    nation->arena = arena;
    random_init(&nation->random, seed);
    memset(out, 0, sizeof(*out));
    enum err err = network_make(nation, fault);
    if (err != ERR_OK)
        return err;
    choices_make(nation);
    err = demand_make(nation, scale_percent);
    for (int way = 0; err == ERR_OK && way < NATION_WAY_COUNT_; way++) {
        struct replay_result ran;
        const struct replay_setup setup = {.topology = &nation->topology,
                                           .start = {INT64_C(1767225600000000)},
                                           .jobs = nation->jobs,
                                           .job_count = nation->job_count,
                                           .stretch = START_STRETCH,
                                           .runtime = RUNTIME_CANN};
        way_set(nation, (enum nation_way)way);
        err = replay_run(&setup, arena, &ran, fault);
        if (err != ERR_OK)
            break;
        figures_fill(nation, &ran, &out->ways[way]);
        out->events += ran.events;
    }
    return err;
}
