/* `lq sim faults`: flags in, words or JSON out. */
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "sim/faults.h"
#include "wire/json_writer.h"

enum { EXIT_CLEAN = 0, EXIT_FOUND = 1, EXIT_USAGE = 2, JSON_BYTES_MAX = 1 << 20 };

static const char USAGE[] =
    "usage: lq sim faults [--seeds N] [--first-seed S] [--jobs THREADS] [--no-plants] [--json]\n"
    "       lq sim faults --seed S [--plant RULE] [--trace]\n"
    "       lq sim faults --plant RULE [--seeds N]\n"
    "       lq sim faults --list-plants\n"
    "\n"
    "Runs simulated worlds under faults and checks every promise of the protocol after each step.\n"
    "  --seeds N        worlds to run (default 100)\n"
    "  --first-seed S   number of the first (default 1)\n"
    "  --jobs THREADS   threads (default 1); the results do not depend on it\n"
    "  --seed S         one world: prints its hash, the same each time\n"
    "  --trace          with --seed: prints every event\n"
    "  --plant RULE     breaks one rule of the protocol; a violation is then what is wanted\n"
    "  --no-plants      leaves out what comes after the seeds: each rule broken in turn, all of\n"
    "                   which must be found (--plants says the default)\n"
    "  --json           one JSON object instead of words\n";

struct flags {
    struct sim_faults_options options;
    bool is_single, is_traced, is_json;
    uint64_t seed;
};

static bool read_number(const char *text, uint64_t *out)
{
    return text != NULL && slice_parse_u64(slice_of(text), out) == ERR_OK;
}

/* False: wrong usage. */
static bool read_flag(struct flags *flags, const char *name, const char *value, bool *takes_value)
{
    uint64_t number = 0;
    *takes_value = true;
    if (strcmp(name, "--seeds") == 0)
        return read_number(value, &flags->options.seeds);
    if (strcmp(name, "--first-seed") == 0)
        return read_number(value, &flags->options.first_seed);
    if (strcmp(name, "--seed") == 0) {
        flags->is_single = true;
        return read_number(value, &flags->seed);
    }
    if (strcmp(name, "--jobs") == 0) {
        if (!read_number(value, &number) || number == 0 || number > 256)
            return false;
        flags->options.threads = (uint32_t)number;
        return true;
    }
    if (strcmp(name, "--plant") == 0) {
        flags->options.plant = value != NULL ? sim_plant_find(value) : -1;
        return flags->options.plant >= 0;
    }
    *takes_value = false;
    if (strcmp(name, "--plants") == 0)
        flags->options.with_plants = true;
    else if (strcmp(name, "--no-plants") == 0)
        flags->options.with_plants = false;
    else if (strcmp(name, "--trace") == 0)
        flags->is_traced = true;
    else if (strcmp(name, "--json") == 0)
        flags->is_json = true;
    else
        return false;
    return true;
}

static void print_seed(void *context, const struct sim_seed_result *seed)
{
    (void)context;
    if (seed->has_violation)
        fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed->seed, seed->message);
    else if (seed->is_too_small)
        fprintf(stderr,
                "seed %llu is too small: %u sites, %u jobs, %u gangs, %u lease jobs, %u arrays, "
                "%u faults of %u kinds, %u partial cuts\n",
                (unsigned long long)seed->seed, seed->sites, seed->jobs, seed->gangs,
                seed->lease_jobs, seed->arrays, seed->faults, seed->fault_kinds,
                seed->partial_cuts);
}

static int run_single(const struct flags *flags)
{
    struct sim_seed_result seed;
    if (sim_seed_run(flags->seed, flags->options.plant, flags->is_traced, &seed) != ERR_OK) {
        fprintf(stderr, "lq sim faults: out of memory\n");
        return EXIT_FOUND;
    }
    printf("seed %llu hash %016llx: %u steps, %u sites, %u jobs (%u in gangs, %u with leases, %u "
           "arrays), %u attempts, %u faults of %u kinds (%u partial cuts), %u restarts, %u usage "
           "records: %s\n",
           (unsigned long long)seed.seed, (unsigned long long)seed.trace_hash, seed.steps,
           seed.sites, seed.jobs, seed.gangs, seed.lease_jobs, seed.arrays, seed.attempts,
           seed.faults, seed.fault_kinds, seed.partial_cuts, seed.restarts, seed.usage_records,
           seed.has_violation ? "VIOLATION" : "clean");
    if (seed.has_violation)
        printf("%s\n", seed.message);
    return seed.has_violation || seed.is_too_small ? EXIT_FOUND : EXIT_CLEAN;
}

static int print_json(const struct sim_faults_result *result)
{
    struct buffer text;
    struct json_writer writer;
    buffer_init(&text, JSON_BYTES_MAX);
    json_writer_init(&writer, &text);
    json_begin_object(&writer);
    json_put_u64(&writer, "seeds", result->seeds);
    json_put_u64(&writer, "violations", result->violations);
    json_put_u64(&writer, "too_small", result->too_small);
    json_key(&writer, "planted");
    json_begin_object(&writer);
    json_put_u64(&writer, "total", result->planted_total);
    json_put_u64(&writer, "found", result->planted_found);
    json_key(&writer, "seeds_needed");
    json_begin_object(&writer);
    for (size_t i = 0; i < result->planted_total; i++)
        json_put_u64(&writer, sim_plant_name(i), result->planted_seed[i]);
    json_end_object(&writer);
    json_end_object(&writer);
    json_put_f64(&writer, "seeds_per_s", result->seeds_per_s);
    json_put_f64(&writer, "seconds", result->seconds);
    json_put_u64(&writer, "steps", result->steps);
    json_put_u64(&writer, "faults", result->faults);
    json_put_u64(&writer, "restarts", result->restarts);
    char hash[17];
    snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)result->hash);
    json_put_text(&writer, "hash", hash);
    if (result->violations != 0) {
        json_put_u64(&writer, "first_seed_with_violation", result->first.seed);
        json_put_text(&writer, "first_violation", result->first.message);
    }
    json_end_object(&writer);
    enum err err = json_writer_finish(&writer);
    printf("%s\n", buffer_text(&text));
    buffer_deinit(&text);
    return err == ERR_OK ? EXIT_CLEAN : EXIT_FOUND;
}

static void print_words(const struct sim_faults_result *result)
{
    printf("%llu seeds, %llu violations, %llu too small; %llu events, %llu faults, %llu restarts; "
           "%.1f seeds a second; hash %016llx\n",
           (unsigned long long)result->seeds, (unsigned long long)result->violations,
           (unsigned long long)result->too_small, (unsigned long long)result->steps,
           (unsigned long long)result->faults, (unsigned long long)result->restarts,
           result->seeds_per_s, (unsigned long long)result->hash);
    if (result->planted_total == 0)
        return;
    printf("planted bugs: %u, found: %u\n", result->planted_total, result->planted_found);
    for (size_t i = 0; i < result->planted_total; i++) {
        if (result->planted_seed[i] != 0)
            printf("  %-28s found by %llu seed(s)\n", sim_plant_name(i),
                   (unsigned long long)result->planted_seed[i]);
        else
            printf("  %-28s NOT FOUND in %d seeds\n", sim_plant_name(i), SIM_PLANT_SEEDS_MAX);
    }
}

static int run_many(struct flags *flags)
{
    struct sim_faults_result result;
    bool is_plant = flags->options.plant >= 0;
    flags->options.with_plants = flags->options.with_plants && !is_plant;
    flags->options.on_violation = print_seed;
    enum err err = sim_faults_run(&flags->options, &result);
    if (err != ERR_OK) {
        fprintf(stderr, "lq sim faults: %s\n", err_name(err));
        return EXIT_FOUND;
    }
    if (flags->is_json) {
        if (print_json(&result) != EXIT_CLEAN)
            return EXIT_FOUND;
    } else {
        print_words(&result);
    }
    if (is_plant) /* then a violation is what was looked for */
        return result.violations != 0 ? EXIT_CLEAN : EXIT_FOUND;
    bool is_clean = result.violations == 0 && result.too_small == 0 &&
                    result.planted_found == result.planted_total;
    return is_clean ? EXIT_CLEAN : EXIT_FOUND;
}

int sim_faults_main(int argc, char **argv)
{
    struct flags flags = {
        .options = {.first_seed = 1, .seeds = 100, .plant = -1, .with_plants = true}};
    for (int i = 0; i < argc; i++) {
        bool takes_value;
        if (strcmp(argv[i], "--help") == 0) {
            fputs(USAGE, stdout);
            return EXIT_CLEAN;
        }
        if (strcmp(argv[i], "--list-plants") == 0) {
            for (size_t plant = 0; plant < sim_plant_count(); plant++)
                puts(sim_plant_name(plant));
            return EXIT_CLEAN;
        }
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!read_flag(&flags, argv[i], value, &takes_value)) {
            fprintf(stderr, "lq sim faults: bad flag or value: %s\n\n%s", argv[i], USAGE);
            return EXIT_USAGE;
        }
        i += takes_value;
    }
    return flags.is_single ? run_single(&flags) : run_many(&flags);
}
