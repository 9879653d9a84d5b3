#include "sim/faults.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/hash.h"
#include "sim/world.h"

enum { THREADS_MAX = 256 };

/* ---- planted bugs */

/* A name a switch, in the order of the struct, and the seed to begin with: one that found
 * it when this was written. Others do as well; the search goes on from there. */
static const struct {
    const char *name;
    uint64_t seed;
} PLANTS[] = {
    {"gate_is_exclusive", 1},         {"gate_is_durable_first", 1},
    {"tombstone_on_revoke", 5},       {"end_needs_every_rank", 1},
    {"epoch_fences_commands", 120},   {"restore_raises_epoch", 5},
    {"restore_waits_for_sites", 109}, {"lease_waits_for_drift", 1},
    {"lease_anchored_at_send", 1},    {"lease_restarts_with_leader", 1},
    {"strict_never_expires", 2},      {"journal_loss_is_unknown", 4},
    {"lookup_before_resubmit", 1},    {"intent_before_submit", 1},
    {"usage_ack_is_contiguous", 5},   {"usage_ack_after_commit", 1},
    {"usage_keeps_key", 1},           {"reply_matches_request", 2},
    {"end_before_next", 1},           {"stale_effects_are_refused", 1},
};
_Static_assert(sizeof(PLANTS) / sizeof(PLANTS[0]) == sizeof(struct protocol_rules) / sizeof(bool),
               "every rule has its name");

size_t sim_plant_count(void)
{
    return sizeof(PLANTS) / sizeof(PLANTS[0]);
}

const char *sim_plant_name(size_t index)
{
    ASSERT(index < sim_plant_count());
    return PLANTS[index].name;
}

int sim_plant_find(const char *name)
{
    for (size_t i = 0; i < sim_plant_count(); i++)
        if (strcmp(PLANTS[i].name, name) == 0)
            return (int)i;
    return -1;
}

/* ---- one seed */

/* Numbers the VFS of a single world apart from those of a run's threads. */
enum { SINGLE_WORLD = 1000000 };

enum err sim_seed_run(uint64_t seed, int plant, bool is_traced, struct sim_seed_result *out)
{
    struct world *world = world_create(SINGLE_WORLD);
    if (world == NULL)
        return ERR_NO_MEMORY;
    world_run(world, seed, plant, is_traced, out);
    world_destroy(world);
    return ERR_OK;
}

/* ---- many seeds */

struct run {
    const struct sim_faults_options *options;
    struct sim_faults_result *result;
    pthread_mutex_t lock;
    uint64_t next;  /* seeds given out */
    uint64_t count; /* seeds of this part */
    uint64_t first;
    int plant;
    bool is_plant_run;
    bool is_over;     /* a planted bug has been found */
    uint64_t *hashes; /* in order of seeds; NULL: not wanted */
};

struct worker {
    struct run *run;
    struct world *world;
    pthread_t thread;
};

static bool take_seed(struct run *run, uint64_t *out_index)
{
    bool has_seed = false;
    pthread_mutex_lock(&run->lock);
    if (!run->is_over && run->next < run->count) {
        *out_index = run->next++;
        has_seed = true;
    }
    pthread_mutex_unlock(&run->lock);
    return has_seed;
}

static void note_plant(struct run *run, uint64_t index, const struct sim_seed_result *seed)
{
    uint64_t *found = &run->result->planted_seed[run->plant];
    if (!seed->has_violation)
        return;
    run->is_over = true;
    if (*found == 0 || index + 1 < *found)
        *found = index + 1;
}

static void note_seed(struct run *run, uint64_t index, const struct sim_seed_result *seed)
{
    struct sim_faults_result *result = run->result;
    result->seeds++;
    result->steps += seed->steps;
    result->faults += seed->faults;
    result->restarts += seed->restarts;
    result->too_small += !seed->has_violation && seed->is_too_small;
    run->hashes[index] = seed->trace_hash;
    bool is_first =
        seed->has_violation && (result->violations == 0 || seed->seed < result->first.seed);
    result->violations += seed->has_violation;
    if (is_first)
        result->first = *seed;
    if (run->options->on_violation != NULL && (seed->has_violation || seed->is_too_small))
        run->options->on_violation(run->options->context, seed);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct run *run = worker->run;
    uint64_t index;
    while (take_seed(run, &index)) {
        struct sim_seed_result seed;
        world_run(worker->world, run->first + index, run->plant, false, &seed);
        pthread_mutex_lock(&run->lock);
        if (run->is_plant_run)
            note_plant(run, index, &seed);
        else
            note_seed(run, index, &seed);
        pthread_mutex_unlock(&run->lock);
    }
    return NULL;
}

static enum err run_part(struct run *run, struct worker *workers, uint32_t threads)
{
    uint32_t started = 0;
    run->next = 0;
    run->is_over = false;
    for (; started < threads; started++) {
        workers[started].run = run;
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) != 0)
            break;
    }
    for (uint32_t i = 0; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    return started != 0 ? ERR_OK : ERR_NO_MEMORY;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static enum err run_seeds(struct run *run, struct worker *workers, uint32_t threads)
{
    const struct sim_faults_options *options = run->options;
    run->plant = options->plant;
    run->is_plant_run = false;
    run->first = options->first_seed;
    run->count = options->seeds;
    run->hashes = calloc(options->seeds + 1, sizeof(*run->hashes));
    if (run->hashes == NULL)
        return ERR_NO_MEMORY;
    double begin = seconds_now();
    enum err err = run_part(run, workers, threads);
    run->result->seconds = seconds_now() - begin;
    if (run->result->seconds > 0)
        run->result->seeds_per_s = (double)run->result->seeds / run->result->seconds;
    for (uint64_t i = 0; i < options->seeds; i++)
        run->result->hash = hash_mix(run->result->hash, run->hashes[i]);
    free(run->hashes);
    return err;
}

static enum err run_plants(struct run *run, struct worker *workers, uint32_t threads)
{
    enum err err = ERR_OK;
    run->is_plant_run = true;
    run->count = SIM_PLANT_SEEDS_MAX;
    run->result->planted_total = (uint32_t)sim_plant_count();
    for (size_t i = 0; err == ERR_OK && i < sim_plant_count(); i++) {
        run->plant = (int)i;
        run->first =
            run->options->plant_first_seed != 0 ? run->options->plant_first_seed : PLANTS[i].seed;
        err = run_part(run, workers, threads);
        run->result->planted_found += run->result->planted_seed[i] != 0;
    }
    return err;
}

enum err sim_faults_run(const struct sim_faults_options *options, struct sim_faults_result *out)
{
    uint32_t threads = options->threads != 0 ? options->threads : 1;
    struct run run = {.options = options, .result = out};
    if (threads > THREADS_MAX)
        return ERR_LIMIT;
    *out = (struct sim_faults_result){0};
    struct worker *workers = calloc(threads, sizeof(*workers));
    enum err err = workers != NULL ? ERR_OK : ERR_NO_MEMORY;
    if (err == ERR_OK && pthread_mutex_init(&run.lock, NULL) != 0)
        err = ERR_NO_MEMORY;
    for (uint32_t i = 0; err == ERR_OK && i < threads; i++) {
        workers[i].world = world_create(i);
        err = workers[i].world != NULL ? ERR_OK : ERR_NO_MEMORY;
    }
    if (err == ERR_OK && options->seeds != 0)
        err = run_seeds(&run, workers, threads);
    if (err == ERR_OK && options->with_plants)
        err = run_plants(&run, workers, threads);
    for (uint32_t i = 0; workers != NULL && i < threads; i++)
        world_destroy(workers[i].world);
    free(workers);
    return err;
}
