/* `lq sim pack`: files and flags in, words or JSON out. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "port/clock.h"
#include "port/file.h"
#include "sim/pack.h"
#include "wire/json_writer.h"

enum { SEEDS_MAX = 1000, DEMAND_PPM_MAX = 100000000, DEMAND_DIGITS = 6 };

struct seed_result {
    uint64_t seed;
    struct pack_result pack;
    double bound_pct;
    double seconds;
};

struct pack_command {
    struct cli *cli;
    struct pack_fleet fleet;
    struct pack_list list;
    uint64_t demand_ppm;
    bool is_exact; /* the list is the arrivals */
    const char *placements;
    struct seed_result *results;
    size_t result_count;
};

/* "1.3" to 1300000. */
static bool demand_parse(struct slice text, uint64_t *out_ppm)
{
    struct slice whole = text, part = {0};
    uint64_t number = 0, fraction = 0;
    (void)slice_cut(text, '.', &whole, &part);
    if (slice_parse_u64(whole, &number) != ERR_OK || number > DEMAND_PPM_MAX / 1000000 ||
        part.len > DEMAND_DIGITS || (part.len > 0 && slice_parse_u64(part, &fraction) != ERR_OK))
        return false;
    for (size_t i = part.len; i < DEMAND_DIGITS; i++)
        fraction *= 10;
    *out_ppm = number * 1000000 + fraction;
    return *out_ppm > 0;
}

static bool seeds_parse(struct slice text, uint64_t *out_first, uint64_t *out_count)
{
    struct slice from = text, to = text;
    uint64_t first, last;
    (void)slice_cut(text, '-', &from, &to);
    if (slice_parse_u64(from, &first) != ERR_OK || slice_parse_u64(to, &last) != ERR_OK ||
        last < first || last - first >= SEEDS_MAX)
        return false;
    *out_first = first;
    *out_count = last - first + 1;
    return true;
}

/* FILE:LINE:COLUMN: what is wrong. */
static int refuse(struct cli *cli, const char *path, const struct fault *fault)
{
    if (fault->line == 0)
        return cli_fail(cli, EXIT_USAGE, "%s: %s", path, fault->message);
    return cli_fail(cli, EXIT_USAGE, "%s:%u:%u: %s", path, fault->line, fault->column,
                    fault->message);
}

static int read_inputs(struct pack_command *run, const char *nodes, const char *pods)
{
    struct cli *cli = run->cli;
    struct fault fault = {0};
    struct slice text;
    if (file_read(nodes, PACK_FILE_BYTES_MAX, &cli->arena, &fault, &text) != ERR_OK)
        return cli_fail_fault(cli, EXIT_USAGE, nodes, &fault);
    if (pack_fleet_read(text, &cli->arena, &run->fleet, &fault) != ERR_OK)
        return refuse(cli, nodes, &fault);
    if (file_read(pods, PACK_FILE_BYTES_MAX, &cli->arena, &fault, &text) != ERR_OK)
        return cli_fail_fault(cli, EXIT_USAGE, pods, &fault);
    if (pack_list_read(text, &run->fleet, &cli->arena, &run->list, &fault) != ERR_OK)
        return refuse(cli, pods, &fault);
    return EXIT_DONE;
}

static double pct(int64_t part, int64_t whole)
{
    return 100.0 * (double)part / (double)whole;
}

/* One seed in an arena of its own. */
static enum err run_seed(struct pack_command *run, uint64_t seed, struct seed_result *out,
                         struct buffer *placements)
{
    struct clock clock = clock_system();
    struct pack_list arrivals = run->list;
    struct arena arena;
    enum err err = ERR_OK;
    int64_t bound = 0;

    arena_init(&arena, CLI_ARENA_BYTES_MAX);
    out->seed = seed;
    if (!run->is_exact)
        err = pack_inflate(&run->list, &run->fleet, run->demand_ppm, seed, &arena, &arrivals);
    struct boot_ns begun = clock_boot(&clock);
    if (err == ERR_OK)
        err = pack_run(&run->fleet, &arrivals, run->is_exact ? NULL : &run->list, placements,
                       &out->pack);
    out->seconds = (double)(clock_boot(&clock).ns - begun.ns) / 1e9;
    if (err == ERR_OK)
        bound = pack_bound(&run->fleet, &arrivals);
    out->bound_pct = pct(bound, run->fleet.device_count * VALUE_DEVICE_MILLI);
    arena_deinit(&arena);
    return err;
}

struct summary {
    double mean_pct, sd_pct, bound_pct, seconds;
};

static double alloc_pct(const struct seed_result *result)
{
    return pct(result->pack.allocated_milli, result->pack.devices_milli);
}

static struct summary summarise(const struct pack_command *run)
{
    struct summary sum = {0};
    double count = (double)run->result_count, squares = 0;
    for (size_t i = 0; i < run->result_count; i++) {
        sum.mean_pct += alloc_pct(&run->results[i]) / count;
        sum.bound_pct += run->results[i].bound_pct / count;
        sum.seconds += run->results[i].seconds / count;
    }
    for (size_t i = 0; i < run->result_count; i++)
        squares += (alloc_pct(&run->results[i]) - sum.mean_pct) *
                   (alloc_pct(&run->results[i]) - sum.mean_pct);
    sum.sd_pct = run->result_count > 1 ? sqrt(squares / (count - 1)) : 0;
    return sum;
}

static int print_json(const struct pack_command *run)
{
    enum { JSON_BYTES_MAX = 1 << 20 };
    struct summary sum = summarise(run);
    struct buffer text;
    struct json_writer writer;
    buffer_init(&text, JSON_BYTES_MAX);
    json_writer_init(&writer, &text);
    json_begin_object(&writer);
    json_key(&writer, "alloc_pct");
    json_begin_object(&writer);
    json_put_f64(&writer, "mean", sum.mean_pct);
    json_put_f64(&writer, "sd", sum.sd_pct);
    json_end_object(&writer);
    json_put_f64(&writer, "bound_pct", sum.bound_pct);
    json_put_f64(&writer, "seconds", sum.seconds);
    json_put_u64(&writer, "nodes", run->fleet.node_count);
    json_put_u64(&writer, "gpus", (uint64_t)run->fleet.device_count);
    json_key(&writer, "runs");
    json_begin_array(&writer);
    for (size_t i = 0; i < run->result_count; i++) {
        const struct seed_result *result = &run->results[i];
        json_begin_object(&writer);
        if (!run->is_exact)
            json_put_u64(&writer, "seed", result->seed);
        json_put_f64(&writer, "alloc_pct", alloc_pct(result));
        json_put_f64(&writer, "bound_pct", result->bound_pct);
        json_put_f64(&writer, "arrived_pct",
                     pct(result->pack.arrived_milli, result->pack.devices_milli));
        json_put_u64(&writer, "placed", result->pack.placed);
        json_put_u64(&writer, "dropped", result->pack.dropped);
        json_put_f64(&writer, "seconds", result->seconds);
        json_end_object(&writer);
    }
    json_end_array(&writer);
    json_end_object(&writer);
    enum err err = json_writer_finish(&writer);
    if (err == ERR_OK)
        printf("%s\n", buffer_text(&text));
    buffer_deinit(&text);
    return err == ERR_OK ? EXIT_DONE : EXIT_FAILED;
}

static int print(const struct pack_command *run)
{
    struct summary sum = summarise(run);
    if (run->cli->is_json)
        return print_json(run);
    for (size_t i = 0; i < run->result_count; i++) {
        const struct seed_result *result = &run->results[i];
        if (!run->is_exact)
            printf("seed %llu: ", (unsigned long long)result->seed);
        printf("%.2f %% allocated of %.2f %% asked for, %llu pods placed, %llu dropped; "
               "at most %.2f %%; %.2f s\n",
               alloc_pct(result), pct(result->pack.arrived_milli, result->pack.devices_milli),
               (unsigned long long)result->pack.placed, (unsigned long long)result->pack.dropped,
               result->bound_pct, result->seconds);
    }
    if (run->result_count > 1)
        printf("mean %.2f %%, deviation %.2f; at most %.2f %%; %.2f s each\n", sum.mean_pct,
               sum.sd_pct, sum.bound_pct, sum.seconds);
    return EXIT_DONE;
}

static int run_seeds(struct pack_command *run, uint64_t first, uint64_t count)
{
    enum { PLACEMENTS_BYTES_MAX = 1 << 30 };
    struct cli *cli = run->cli;
    struct fault fault = {0};
    struct buffer placements;
    enum err err = ERR_OK;

    buffer_init(&placements, PLACEMENTS_BYTES_MAX);
    run->results = arena_array(&cli->arena, count, sizeof(*run->results));
    if (run->results == NULL)
        err = ERR_NO_MEMORY;
    for (uint64_t i = 0; err == ERR_OK && i < count; i++) {
        err = run_seed(run, first + i, &run->results[i],
                       run->placements != NULL ? &placements : NULL);
        run->result_count++;
        if (count > 1)
            cli_note(cli, "%llu of %llu seeds", (unsigned long long)(i + 1),
                     (unsigned long long)count);
    }
    int code = EXIT_DONE;
    if (err != ERR_OK)
        code = cli_fail(cli, EXIT_FAILED, "%s", err_name(err));
    else if (run->placements != NULL &&
             file_write_atomic(run->placements, buffer_slice(&placements), 0644, &fault) != ERR_OK)
        code = cli_fail_fault(cli, EXIT_FAILED, run->placements, &fault);
    buffer_deinit(&placements);
    return code == EXIT_DONE ? print(run) : code;
}

static int pack_command_run(struct cli *cli)
{
    struct pack_command run = {.cli = cli, .is_exact = cli_has(cli, "arrivals")};
    uint64_t first = 0, count = 1;
    if (!cli_has(cli, "nodes") || cli_has(cli, "pods") == run.is_exact)
        return cli_fail(cli, EXIT_USAGE, "give --nodes, and either --pods or --arrivals");
    if (run.is_exact && (cli_has(cli, "demand") || cli_has(cli, "seeds")))
        return cli_fail(cli, EXIT_USAGE,
                        "--arrivals are taken as they are: no --demand or --seeds");
    if (!demand_parse(slice_of(cli_text(cli, "demand", "1.3")), &run.demand_ppm))
        return cli_fail(cli, EXIT_USAGE, "--demand wants a ratio up to 100, such as 1.3");
    if (!run.is_exact && !seeds_parse(slice_of(cli_text(cli, "seeds", "42-51")), &first, &count))
        return cli_fail(cli, EXIT_USAGE, "--seeds wants FIRST-LAST or one number, at most %d seeds",
                        SEEDS_MAX);
    run.placements = cli_text(cli, "placements", NULL);
    if (run.placements != NULL && count > 1)
        return cli_fail(cli, EXIT_USAGE, "--placements are of one seed: give one with --seeds");
    int code = read_inputs(&run, cli_text(cli, "nodes", NULL),
                           cli_text(cli, run.is_exact ? "arrivals" : "pods", NULL));
    return code == EXIT_DONE ? run_seeds(&run, first, count) : code;
}

static const struct flag PACK_FLAGS[] = {
    {"nodes", 0, FLAG_TEXT, "FILE", "CSV: sn, cpu_milli, memory_mib, gpu, model"},
    {"pods", 0, FLAG_TEXT, "FILE",
     "CSV: name, cpu_milli, memory_mib, num_gpu, gpu_milli, gpu_spec; arrivals are drawn from it"},
    {"arrivals", 0, FLAG_TEXT, "FILE", "the same columns; the pods in this order and no others"},
    {"demand", 0, FLAG_TEXT, "RATIO", "with --pods: GPUs asked for to GPUs (default 1.3)"},
    {"seeds", 0, FLAG_TEXT, "FIRST-LAST", "with --pods: a run each (default 42-51)"},
    {"placements", 0, FLAG_TEXT, "FILE", "writes name,node,gpus of every pod placed"},
};

const struct command COMMAND_SIM_PACK = {
    .name = "sim pack",
    .group = "Simulation and measurement",
    .summary = "how full a fleet gets when pods arrive one by one and never leave",
    .usage = "--nodes FILE (--pods FILE [--demand RATIO] [--seeds FIRST-LAST] | --arrivals FILE) "
             "[--placements FILE]",
    .details = "Every pod is placed while it fits anywhere, none is moved. What comes is not known "
               "but its mix:\nof the list with --pods, of what has arrived so far with "
               "--arrivals.\n\n"
               "Example:\n  lq sim pack --nodes nodes.csv --pods pods.csv --seeds 42-51 --json",
    .flags = PACK_FLAGS,
    .flag_count = sizeof(PACK_FLAGS) / sizeof(PACK_FLAGS[0]),
    .run = pack_command_run};
