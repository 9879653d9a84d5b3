#include "sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"

enum { POOL_MAX = 1 << 20, QUEUE_MAX = 1 << 20, TRACE_TEXT_MAX = 512, PPM = 1000000 };

static const char *const EVENT_NAMES[EV_KIND_COUNT_] = {
    [EV_SERVER_BOOT] = "server.boot",
    [EV_SERVER_TIMER] = "server.timer",
    [EV_SERVER_PLACE] = "server.place",
    [EV_SERVER_COMMIT] = "server.commit",
    [EV_SERVER_REQUEST] = "server.request",
    [EV_SERVER_GONE] = "server.gone",
    [EV_AGENT_BOOT] = "agent.boot",
    [EV_AGENT_TIMER] = "agent.timer",
    [EV_AGENT_COMMIT] = "agent.commit",
    [EV_AGENT_REPLY] = "agent.reply",
    [EV_AGENT_FAILED] = "agent.failed",
    [EV_AGENT_GATE] = "agent.gate",
    [EV_AGENT_ENGINE] = "agent.engine",
    [EV_AGENT_USAGE] = "agent.usage",
    [EV_AGENT_NAMES] = "agent.names",
    [EV_AGENT_PROBED] = "agent.probed",
    [EV_ENGINE_CALL] = "engine.call",
    [EV_LAUNCH_START] = "launch.start",
    [EV_RANK_TIMER] = "rank.timer",
    [EV_RANK_GATE] = "rank.gate",
    [EV_PROGRAM_ENDS] = "program.ends",
    [EV_PROGRAM_DEAD] = "program.dead",
    [EV_ARTIFACT] = "artifact",
    [EV_SUBMIT] = "submit",
    [EV_OWNER] = "owner",
    [EV_FAULT] = "fault",
    [EV_FAULT_ENDS] = "fault.ends",
    [EV_HEAL] = "heal",
};

/* ---- clocks */

static int64_t scale(int64_t value, int64_t numerator, int64_t denominator)
{
    return (int64_t)((__int128)value * numerator / denominator);
}

struct now clock_sim_now(const struct clock_sim *clock, int64_t true_ns)
{
    int64_t boot = clock->boot_base + scale(true_ns, PPM + clock->rate_ppm, PPM);
    return (struct now){.boot = {boot}, .wall = {clock->wall_base_us + true_ns / 1000}};
}

int64_t clock_sim_true(const struct clock_sim *clock, struct boot_ns at)
{
    if (at.ns <= clock->boot_base)
        return 0;
    __int128 ns = (__int128)(at.ns - clock->boot_base) * PPM / (PPM + clock->rate_ppm) + 1;
    return ns > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)ns;
}

/* ---- choices */

int64_t pick_between(struct random *random, int64_t low, int64_t high)
{
    return random_between(random, low, high);
}

bool pick_chance(struct random *random, uint32_t percent)
{
    return random_chance(random, percent * 10000);
}

/* ---- the queue */

struct sim_event *world_at(struct world *world, int64_t at, enum event_kind kind, uint32_t target)
{
    struct sim_event *event;
    uint32_t index;
    if (world->pool_free != 0) {
        index = world->pool_free - 1;
        event = vector_at(&world->pool, index);
        world->pool_free = event->next_free;
    } else {
        event = vector_push_zeroed(&world->pool);
        ASSERT(event != NULL);
        index = (uint32_t)world->pool.len - 1;
    }
    *event = (struct sim_event){.kind = kind, .target = target};
    enum err err = heap_push(&world->queue, at < world->now ? world->now : at, index, NULL);
    ASSERT(err == ERR_OK);
    return event;
}

struct sim_event *world_after(struct world *world, int64_t delay, enum event_kind kind,
                              uint32_t target)
{
    return world_at(world, world->now + delay, kind, target);
}

void event_set_bytes(struct sim_event *event, struct slice bytes)
{
    char *copy = malloc(bytes.len + 1);
    ASSERT(copy != NULL);
    if (bytes.len != 0)
        memcpy(copy, bytes.data, bytes.len);
    copy[bytes.len] = '\0';
    event->bytes = slice_make(copy, bytes.len);
}

static void release_event(struct world *world, uint32_t index)
{
    struct sim_event *event = vector_at(&world->pool, index);
    event->next_free = world->pool_free;
    world->pool_free = index + 1;
}

/* ---- telling */

bool world_has_violation(const struct world *world)
{
    return world->result->has_violation;
}

void world_violate(struct world *world, const char *format, ...)
{
    if (world->result->has_violation)
        return;
    world->result->has_violation = true;
    int at = snprintf(world->result->message, SIM_MESSAGE_MAX,
                      "at %lld.%03lld s: ", (long long)(world->now / SECOND),
                      (long long)(world->now / MS % 1000));
    va_list args;
    va_start(args, format);
    vsnprintf(world->result->message + at, (size_t)(SIM_MESSAGE_MAX - at), format, args);
    va_end(args);
    world_trace(world, "VIOLATION %s", world->result->message);
}

void world_trace(struct world *world, const char *format, ...)
{
    if (!world->is_traced)
        return;
    printf("%12.6f      ", (double)world->now / 1e9);
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

static void trace_event(struct world *world, const struct sim_event *event)
{
    uint64_t key = hash_mix((uint64_t)event->kind << 32 | event->target, (uint64_t)world->now);
    key = hash_mix(key, event->number);
    if (event->bytes.len != 0)
        key = hash_mix(key, hash_bytes(event->bytes, event->rank));
    world->hash = hash_mix(world->hash, key);
    if (!world->is_traced)
        return;
    char name[ATTEMPT_NAME_MAX] = "";
    if (!id_is_none(event->token.job.id))
        attempt_name_format(&event->token, name);
    printf("%12.6f %-15s %u.%u %llu %s %.*s\n", (double)world->now / 1e9, EVENT_NAMES[event->kind],
           event->target, event->rank, (unsigned long long)event->number, name,
           (int)(event->bytes.len < TRACE_TEXT_MAX ? event->bytes.len : TRACE_TEXT_MAX),
           event->bytes.data != NULL ? event->bytes.data : "");
}

/* ---- batches */

struct batch *process_batch_at(struct process *process, uint32_t index)
{
    ASSERT(index < process->count);
    return &process->batches[(process->first + index) % BATCHES_MAX];
}

struct batch *process_batch_push(struct process *process)
{
    if (process->count == BATCHES_MAX)
        return NULL;
    process->count++;
    return process_batch_at(process, process->count - 1);
}

/* ---- the way of an event */

static void dispatch_server(struct world *world, struct sim_event *event)
{
    struct server_sim *server = &world->servers[event->target];
    bool is_stale = event->generation != 0 && event->generation != server->process.generation;
    if (is_stale || server->is_retired)
        return;
    switch (event->kind) {
    case EV_SERVER_BOOT:
        server_boot(world, server);
        break;
    case EV_SERVER_TIMER:
        server_timer(world, server);
        break;
    case EV_SERVER_PLACE:
        server_place_event(world, server);
        break;
    case EV_SERVER_COMMIT:
        server_commit(world, server);
        break;
    case EV_SERVER_REQUEST:
        server_request(world, server, event);
        break;
    default:
        server_gone(world, server, event->number);
        break;
    }
}

static void dispatch_agent(struct world *world, struct sim_event *event)
{
    struct site_sim *site = &world->sites[event->target];
    if (event->generation != 0 && event->generation != site->process.generation)
        return;
    switch (event->kind) {
    case EV_AGENT_BOOT:
        agent_boot(world, site);
        break;
    case EV_AGENT_TIMER:
        agent_timer(world, site);
        break;
    case EV_AGENT_COMMIT:
        agent_commit(world, site);
        break;
    case EV_AGENT_REPLY:
        agent_reply(world, site, event);
        break;
    case EV_AGENT_FAILED:
        agent_failed(world, site, event->number);
        break;
    case EV_AGENT_GATE:
        agent_gate(world, site, event);
        break;
    case EV_AGENT_ENGINE:
        agent_engine_done(world, site, event);
        break;
    case EV_AGENT_USAGE:
        agent_usage_read(world, site, event->number);
        break;
    case EV_AGENT_NAMES:
        agent_names(world, site);
        break;
    case EV_AGENT_PROBED:
        agent_probed(world, site, event->number);
        break;
    default:
        engine_call(world, site, event);
        break;
    }
}

static void dispatch(struct world *world, struct sim_event *event)
{
    switch (event->kind) {
    case EV_SERVER_BOOT:
    case EV_SERVER_TIMER:
    case EV_SERVER_PLACE:
    case EV_SERVER_COMMIT:
    case EV_SERVER_REQUEST:
    case EV_SERVER_GONE:
        dispatch_server(world, event);
        break;
    case EV_AGENT_BOOT:
    case EV_AGENT_TIMER:
    case EV_AGENT_COMMIT:
    case EV_AGENT_REPLY:
    case EV_AGENT_FAILED:
    case EV_AGENT_GATE:
    case EV_AGENT_ENGINE:
    case EV_AGENT_USAGE:
    case EV_AGENT_NAMES:
    case EV_AGENT_PROBED:
    case EV_ENGINE_CALL:
        dispatch_agent(world, event);
        break;
    case EV_LAUNCH_START:
        launch_start(world, &world->launches[event->target]);
        break;
    case EV_RANK_TIMER:
        rank_timer(world, &world->launches[event->target], event->rank);
        break;
    case EV_RANK_GATE:
        rank_gate(world, &world->launches[event->target], event->rank, event->bytes);
        break;
    case EV_PROGRAM_ENDS:
    case EV_PROGRAM_DEAD:
        if (event->generation == world->launches[event->target].ranks[event->rank].generation)
            program_ends(world, &world->launches[event->target], event->rank,
                         event->kind == EV_PROGRAM_DEAD);
        break;
    case EV_ARTIFACT:
        artifact_arrives(world, event);
        break;
    case EV_SUBMIT:
        client_submit(world, event->number);
        break;
    case EV_OWNER:
        owner_wants(world, &world->sites[event->target]);
        break;
    case EV_FAULT:
        fault_happens(world, (enum fault_kind)event->number);
        break;
    case EV_FAULT_ENDS:
        fault_ends(world, event);
        break;
    case EV_HEAL:
        world_heal(world);
        break;
    case EV_KIND_COUNT_:
        break;
    }
}

/* A timer that was set anew since. */
static bool is_void(const struct world *world, const struct sim_event *event)
{
    switch (event->kind) {
    case EV_SERVER_TIMER:
        return event->number != world->servers[event->target].process.timer_number;
    case EV_AGENT_TIMER:
        return event->number != world->sites[event->target].process.timer_number;
    case EV_RANK_TIMER:
        return event->number != world->launches[event->target].ranks[event->rank].timer_number;
    default:
        return false;
    }
}

/* One event. False: there is none. */
static bool world_step(struct world *world)
{
    int64_t at;
    uint64_t index;
    if (!heap_pop(&world->queue, &at, &index))
        return false;
    world->now = at;
    if (is_void(world, vector_at(&world->pool, index))) {
        release_event(world, (uint32_t)index);
        return true;
    }
    world->steps++;
    /* A copy: the pool may grow while the event is handled. */
    struct sim_event event = *(struct sim_event *)vector_at(&world->pool, index);
    trace_event(world, &event);
    dispatch(world, &event);
    free((void *)event.bytes.data);
    release_event(world, (uint32_t)index);
    return true;
}

/* ---- life of a world */

struct world *world_create(uint32_t thread_number)
{
    struct world *world = calloc(1, sizeof(*world));
    if (world == NULL)
        return NULL;
    heap_init(&world->queue, QUEUE_MAX);
    vector_init(&world->pool, sizeof(struct sim_event), POOL_MAX);
    for (uint32_t i = 0; i < JOURNALS_MAX; i++)
        vector_init(&world->journals[i].records, sizeof(struct usage_record), USAGE_MAX);
    for (uint32_t i = 0; i < SITES_MAX; i++) {
        vector_init(&world->sites[i].durable.tokens, sizeof(struct journal_seen),
                    SYNC_ATTEMPTS_MAX);
        vector_init(&world->sites[i].maybe.tokens, sizeof(struct journal_seen), SYNC_ATTEMPTS_MAX);
    }
    world->launches = calloc(LAUNCHES_MAX, sizeof(*world->launches));
    world->disks = disks_create(thread_number);
    if (world->disks == NULL || world->launches == NULL) {
        world_destroy(world);
        return NULL;
    }
    return world;
}

void world_destroy(struct world *world)
{
    if (world == NULL)
        return;
    for (uint32_t i = 0; i < JOURNALS_MAX; i++)
        vector_deinit(&world->journals[i].records);
    for (uint32_t i = 0; i < SITES_MAX; i++) {
        vector_deinit(&world->sites[i].durable.tokens);
        vector_deinit(&world->sites[i].maybe.tokens);
    }
    for (uint32_t i = 0; i <= SITES_MAX; i++)
        free((void *)world->templates[i].data);
    free((void *)world->journal_template.data);
    free(world->launches);
    heap_deinit(&world->queue);
    vector_deinit(&world->pool);
    disks_destroy(world->disks);
    free(world);
}

static void clock_make(struct world *world, struct clock_sim *clock, bool is_server)
{
    int64_t drift = world->drift_ppm;
    /* The ends of the range more often than the middle: that is where margins are thin. */
    int64_t rate = pick_chance(&world->random, 60)
                       ? (pick_chance(&world->random, 50) ? drift : -drift)
                       : pick_between(&world->random, -drift, drift);
    if (world->is_adverse)
        rate = is_server ? drift : -drift;
    clock->boot_base = pick_between(&world->random, 0, 1000000) * SECOND;
    clock->rate_ppm = (int32_t)rate;
    clock->wall_base_us =
        INT64_C(1795000000000000) + pick_between(&world->random, -3650, 3650) * 86400 * 1000000;
}

static void sites_make(struct world *world)
{
    for (uint32_t i = 0; i < world->site_count; i++) {
        struct site_sim *site = &world->sites[i];
        struct vector durable = site->durable.tokens, maybe = site->maybe.tokens;
        vector_clear(&durable);
        vector_clear(&maybe);
        memset(site, 0, sizeof(*site));
        site->durable.tokens = durable;
        site->maybe.tokens = maybe;
        site->index = i;
        site->disk = disks_at(world->disks, SERVERS_MAX + i);
        site->journal_log = JOURNALS_MAX;
        site->process.timer_at = -1;
        clock_make(world, &site->clock, false);
        for (uint32_t j = 0; j < NODES_MAX; j++) {
            site->nodes[j].is_up = true;
            clock_make(world, &site->nodes[j].clock, false);
        }
    }
}

static void servers_make(struct world *world)
{
    for (uint32_t i = 0; i < SERVERS_MAX; i++) {
        struct server_sim *server = &world->servers[i];
        memset(server, 0, sizeof(*server));
        server->index = i;
        server->disk = disks_at(world->disks, i);
        server->process.timer_at = -1;
        server->shadow.epoch = 1;
        clock_make(world, &server->clock, true);
    }
}

/* A new world from the seed; memory of the last one is used again. */
static bool world_begin(struct world *world, uint64_t seed, int plant)
{
    world->seed = seed;
    world->now = 0;
    world->hash = seed;
    world->steps = 0;
    world->pool_free = 0;
    vector_clear(&world->pool);
    random_init(&world->random, hash_u64(seed, 1));
    random_init(&world->net_random, hash_u64(seed, 2));
    random_init(&world->plan_random, hash_u64(seed, 3));
    random_init(&world->owner_random, hash_u64(seed, 5));
    disks_reset(world->disks, hash_u64(seed, 4));
    world->broken = PROTOCOL_RULES_ALL;
    if (plant >= 0)
        ((bool *)&world->broken)[plant] = false;
    world->rules = &world->broken;
    world->is_mild = pick_chance(&world->random, 40);
    world->is_adverse = pick_chance(&world->random, 35);
    world->drift_ppm = world->is_mild ? 40000 : 198000;
    world->site_count = (uint32_t)pick_between(&world->random, SIM_MIN_SITES, SITES_MAX);
    world->primary = 0;
    world->launch_count = world->job_count = world->spec_count = world->request_count = 0;
    world->gangs_now = world->leases_now = 0;
    memset(world->jobs, 0, sizeof(world->jobs));
    for (uint32_t i = 0; i < world->journal_count; i++) {
        struct vector records = world->journals[i].records;
        vector_clear(&records);
        world->journals[i] = (struct journal_log){.records = records};
    }
    world->journal_count = 0;
    world->is_healed = false;
    world->healed_at = world->gang_asked_at = 0;
    world->slow_net = world->lossy_net = 0;
    world->fault_kinds = 0;
    world->next_handle = 1;
    memset(world->handles, 0, sizeof(world->handles));
    servers_make(world);
    sites_make(world);
    return site_values_make(world) == ERR_OK;
}

static void world_clean(struct world *world)
{
    uint64_t index;
    for (uint32_t i = 0; i < SERVERS_MAX; i++) {
        server_die(world, &world->servers[i], false, -1);
        free(world->servers[i].maybe);
        world->servers[i].maybe = NULL;
    }
    for (uint32_t i = 0; i < world->site_count; i++)
        agent_die(world, &world->sites[i], false, false, -1);
    while (heap_pop(&world->queue, NULL, &index)) {
        struct sim_event *event = vector_at(&world->pool, index);
        free((void *)event->bytes.data);
    }
    for (uint32_t i = 0; i < world->launch_count; i++)
        free((void *)world->launches[i].secret.data);
    free((void *)world->backup.main.data);
    free((void *)world->backup.log.data);
    world->backup = (struct backup){0};
}

static void count_result(struct world *world)
{
    struct sim_seed_result *out = world->result;
    out->trace_hash = world->hash;
    out->steps = world->steps;
    out->sites = world->site_count;
    out->jobs = world->job_count;
    for (uint32_t i = 0; i < world->job_count; i++) {
        out->gangs += world->jobs[i].is_gang;
        out->lease_jobs += world->jobs[i].is_lease;
    }
    for (uint32_t i = 0; i < world->spec_count; i++)
        out->arrays += world->specs[i].is_array;
    for (uint32_t i = 0; i < world->journal_count; i++)
        out->usage_records += (uint32_t)world->journals[i].records.len;
    out->fault_kinds = (uint32_t)__builtin_popcount(world->fault_kinds);
    out->is_too_small = out->sites < SIM_MIN_SITES || out->jobs < SIM_MIN_JOBS ||
                        out->gangs < SIM_MIN_GANGS || out->lease_jobs < SIM_MIN_LEASE_JOBS ||
                        out->arrays < SIM_MIN_ARRAYS || out->faults < SIM_MIN_FAULTS ||
                        out->fault_kinds < SIM_MIN_FAULT_KINDS ||
                        out->partial_cuts < SIM_MIN_PARTIAL_CUTS;
}

void world_run(struct world *world, uint64_t seed, int plant, bool is_traced,
               struct sim_seed_result *out)
{
    *out = (struct sim_seed_result){.seed = seed};
    world->result = out;
    world->is_traced = is_traced;
    if (!world_begin(world, seed, plant)) {
        world_violate(world, "the world could not be made");
        return;
    }
    world_at(world, 0, EV_SERVER_BOOT, 0);
    for (uint32_t i = 0; i < world->site_count; i++)
        world_at(world, pick_between(&world->random, 0, 2 * SECOND), EV_AGENT_BOOT, i);
    client_plan(world);
    faults_plan(world);
    while (!world_has_violation(world)) {
        if (!world_step(world)) {
            world_violate(world, "nothing more happens, and jobs are left");
        } else if (world->steps > SIM_STEPS_MAX) {
            world_violate(world, "no end after %d steps", SIM_STEPS_MAX);
        } else if (world->is_healed) {
            if (check_is_settled(world)) {
                check_end(world);
                break;
            }
            if (world->now > world->healed_at + SIM_HEAL_MS_MAX * MS)
                check_unsettled(world);
        }
    }
    count_result(world);
    world_clean(world);
}
