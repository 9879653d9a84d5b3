/* The fault simulator: a deterministic world in which the real cores of server, agent and
 * supervisor, the real store and journal code, and the real messages between them run under
 * injected faults, with every safety promise of docs/protocol.md checked after each step.
 *
 * One seed is one world. Same seed, same options: same trace, same hash. Every seed has at least
 * the SIM_MIN_... numbers below, or it does not count and is reported as too small.
 *
 * Outside the simulation: TLS and HTTP (messages are whole or lost), the sandbox, PostgreSQL.
 *
 * Threading: sim_faults_run uses `threads` threads of its own; results do not depend on how
 * many. */
#ifndef LQ_SIM_FAULTS_H
#define LQ_SIM_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/rules.h"

enum {
    SIM_MIN_SITES = 3,
    SIM_MIN_JOBS = 12,
    SIM_MIN_GANGS = 2, /* of two ranks and more */
    SIM_MIN_LEASE_JOBS = 2,
    SIM_MIN_ARRAYS = 1,
    SIM_MIN_FAULTS = 20,
    SIM_MIN_FAULT_KINDS = 8,
    SIM_MIN_PARTIAL_CUTS = 1,     /* a gang's ranks, some cut from their agent and some not */
    SIM_STEPS_MAX = 200000,       /* events of one world; more is a violation: it does not settle */
    SIM_HEAL_MS_MAX = 30 * 60000, /* simulated time from healing to the end of the last job */
    SIM_MESSAGE_MAX = 256,
    SIM_PLANT_SEEDS_MAX = 1000, /* a planted bug must be found within so many seeds */
};

/* Planted bugs: a rule each, by its name in struct protocol_rules. */
size_t sim_plant_count(void);
const char *sim_plant_name(size_t index);
/* Index of the rule of that name; -1: none. */
int sim_plant_find(const char *name);

struct sim_seed_result {
    uint64_t seed;
    uint64_t trace_hash;
    uint32_t steps;
    uint32_t jobs, gangs, lease_jobs, arrays, sites;
    uint32_t faults, fault_kinds, partial_cuts;
    uint32_t attempts, restarts, usage_records;
    bool is_too_small;  /* below the minimum numbers */
    bool has_violation; /* the world stopped there */
    char message[SIM_MESSAGE_MAX];
};

/* One world. `plant`: index of a rule to break, or -1. `is_traced`: prints each event to stdout. */
enum err sim_seed_run(uint64_t seed, int plant, bool is_traced,
                      struct sim_seed_result *out) LQ_CHECKED;

struct sim_faults_options {
    uint64_t first_seed;
    uint64_t seeds;
    uint32_t threads; /* 0: one */
    int plant;        /* only this planted bug; -1: none */
    bool with_plants; /* after the seeds: every planted bug, up to SIM_PLANT_SEEDS_MAX seeds each */
    uint64_t plant_first_seed; /* 0: for each bug a seed that once found it, then the following */
    /* Called under a lock for each seed with a violation, or too small; may be NULL. */
    void (*on_violation)(void *context, const struct sim_seed_result *result);
    void *context;
};

struct sim_faults_result {
    uint64_t seeds, violations, too_small;
    uint64_t steps, faults, restarts;
    uint64_t hash; /* of all trace hashes, in order of seeds */
    double seconds, seeds_per_s;
    uint32_t planted_total, planted_found;
    uint64_t planted_seed[32]; /* seed number within the run (1, 2, ...) that found it; 0: none */
    struct sim_seed_result first; /* the violation with the lowest seed */
};

/* ERR_NO_MEMORY, ERR_LIMIT (threads). Violations are results, not errors. */
enum err sim_faults_run(const struct sim_faults_options *options,
                        struct sim_faults_result *out) LQ_CHECKED;

/* `lq sim faults ...`: argv[0] is the first word after "faults". Exit codes: 0 clean, 1
 * violations, planted bugs not found or seeds too small, 2 usage. */
int sim_faults_main(int argc, char **argv);

#endif
