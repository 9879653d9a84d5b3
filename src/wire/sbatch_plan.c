/* What the values of options say, in Slurm's own notations: numbers, times, sizes, shapes. */
#include <stdio.h>
#include <string.h>

#include "model/name.h"
#include "wire/sbatch_private.h"

enum { TIME_PARTS_MAX = 3, MINUTE_MS = 60000, NODES_ASKED_MAX = 1000000 };

static const char *name_of(enum sbatch_id id)
{
    size_t count;
    const struct sbatch_option *options = sbatch_options(&count);
    for (size_t i = 0; i < count; i++)
        if (options[i].id == id)
            return options[i].name;
    return "";
}

/* "Invalid --mem specification" is how sbatch begins, too. */
enum err plan_bad(struct planner *planner, enum sbatch_id id, const char *must)
{
    const struct sbatch_value *value = &planner->sbatch->values[id];
    char field[FAULT_FIELD_MAX];
    (void)snprintf(field, sizeof(field), "--%s", name_of(id));
    (void)fault_set(planner->fault, ERR_INVALID, field, "Invalid --%s specification: \"%.*s\" %s",
                    name_of(id), (int)(value->text.len < 64 ? value->text.len : 64),
                    value->text.data, must);
    if (planner->fault != NULL)
        planner->fault->line = value->line;
    return ERR_INVALID;
}

bool plan_has(const struct planner *planner, enum sbatch_id id)
{
    return planner->sbatch->values[id].is_set;
}

struct slice plan_value(const struct planner *planner, enum sbatch_id id)
{
    return planner->sbatch->values[id].text;
}

/* The digits at the front as a number; the rest moves on. False: none, or too many. */
static bool digits_take(struct slice *text, uint64_t *out)
{
    size_t len = 0;
    while (len < text->len && text->data[len] >= '0' && text->data[len] <= '9')
        len++;
    if (slice_parse_u64(slice_make(text->data, len), out) != ERR_OK)
        return false;
    *text = slice_make(text->data + len, text->len - len);
    return true;
}

static enum err plan_count(struct planner *planner, enum sbatch_id id, uint32_t max, uint32_t *out)
{
    uint64_t number = 0;
    if (!plan_has(planner, id))
        return ERR_OK;
    if (slice_parse_u64(plan_value(planner, id), &number) != ERR_OK || number == 0 || number > max)
        return plan_bad(planner, id, "must be a number from 1 on, as many as a job may have");
    *out = (uint32_t)number;
    return ERR_OK;
}

/* "4G", "512", "100K": MiB, rounded up. */
static bool size_parse(struct slice text, uint64_t *out_mib)
{
    uint64_t number = 0, mib = 0;
    if (!digits_take(&text, &number) || number > (JOB_SCRATCH_BYTES_MAX >> 10))
        return false;
    if (text.len == 2 && (text.data[1] == 'B' || text.data[1] == 'b'))
        text.len = 1;
    if (text.len > 1)
        return false;
    switch (text.len == 0 ? 'M' : text.data[0]) {
    case 'k':
    case 'K':
        mib = (number + 1023) / 1024;
        break;
    case 'm':
    case 'M':
        mib = number;
        break;
    case 'g':
    case 'G':
        mib = number << 10;
        break;
    case 't':
    case 'T':
        mib = number << 20;
        break;
    default:
        return false;
    }
    *out_mib = mib;
    return mib <= JOB_SCRATCH_BYTES_MAX >> 20;
}

static enum err plan_size(struct planner *planner, enum sbatch_id id, uint64_t *out_mib)
{
    uint64_t mib = 0;
    if (!plan_has(planner, id))
        return ERR_OK;
    if (!size_parse(plan_value(planner, id), &mib))
        return plan_bad(planner, id, "must be a size such as 4G or 512M");
    if (mib == 0)
        return plan_bad(planner, id, "would be a whole node's: say how much the job needs");
    *out_mib = mib;
    return ERR_OK;
}

/* "minutes", "minutes:seconds", "hours:minutes:seconds", "days-hours[:minutes[:seconds]]"; in whole
 * minutes, rounded up. */
static bool time_parse(struct slice text, struct span_ms *out)
{
    uint64_t parts[TIME_PARTS_MAX] = {0}, days = 0, seconds;
    size_t count = 0, dash = 0;
    while (dash < text.len && text.data[dash] != '-')
        dash++;
    bool has_days = dash < text.len;
    if (has_days && (!digits_take(&text, &days) || text.data[0] != '-'))
        return false;
    if (has_days)
        text = slice_make(text.data + 1, text.len - 1);
    while (count < TIME_PARTS_MAX && digits_take(&text, &parts[count])) {
        if (parts[count++] > UINT32_MAX)
            return false;
        if (text.len == 0 || text.data[0] != ':')
            break;
        text = slice_make(text.data + 1, text.len - 1);
    }
    if (text.len != 0 || (count == 0 && !has_days) || days > UINT32_MAX)
        return false;
    if (has_days || count == TIME_PARTS_MAX)
        seconds = parts[0] * 3600 + parts[1] * 60 + parts[2];
    else
        seconds = parts[0] * 60 + parts[1];
    seconds += days * 86400;
    int64_t ms = (int64_t)((seconds + 59) / 60) * MINUTE_MS;
    *out = SPAN_MS(ms > JOB_SPAN_MAX.ms ? JOB_SPAN_MAX.ms : ms);
    return true;
}

static enum err plan_time(struct planner *planner)
{
    struct slice text = plan_value(planner, SBATCH_TIME);
    if (!plan_has(planner, SBATCH_TIME) || slice_is(text, "-1") ||
        name_is_equal_caseless(text, SLICE_LITERAL("INFINITE")) ||
        name_is_equal_caseless(text, SLICE_LITERAL("UNLIMITED")))
        return ERR_OK;
    if (!time_parse(text, &planner->out->time_limit))
        return plan_bad(planner, SBATCH_TIME,
                        "must be MINUTES, HOURS:MINUTES:SECONDS or DAYS-HOURS:MINUTES:SECONDS");
    return ERR_OK;
}

/* ---- arrays */

struct numbers {
    uint32_t items[JOB_ARRAY_MAX];
    uint32_t count;
};

static bool numbers_add(struct numbers *numbers, uint64_t first, uint64_t last, uint64_t step)
{
    for (uint64_t n = first; n <= last; n += step) {
        if (numbers->count == JOB_ARRAY_MAX)
            return false;
        uint32_t at = numbers->count; /* sorted, each once; nearly always at the end */
        while (at > 0 && numbers->items[at - 1] >= n)
            at--;
        if (at < numbers->count && numbers->items[at] == n)
            continue;
        memmove(&numbers->items[at + 1], &numbers->items[at],
                (numbers->count - at) * sizeof(numbers->items[0]));
        numbers->items[at] = (uint32_t)n;
        numbers->count++;
    }
    return true;
}

/* "3", "1-5", "1-10:3" */
static bool range_parse(struct slice text, struct numbers *numbers)
{
    uint64_t first = 0, last = 0, step = 1;
    if (!digits_take(&text, &first))
        return false;
    last = first;
    if (text.len > 0 && text.data[0] == '-') {
        text = slice_make(text.data + 1, text.len - 1);
        if (!digits_take(&text, &last))
            return false;
        if (text.len > 0 && text.data[0] == ':') {
            text = slice_make(text.data + 1, text.len - 1);
            if (!digits_take(&text, &step))
                return false;
        }
    }
    return text.len == 0 && first <= last && step > 0 && step <= SBATCH_WORD_BYTES_MAX * 1024 &&
           last < (1 << 22) && numbers_add(numbers, first, last, step);
}

/* Sorted numbers into few ranges of equal steps. */
static bool ranges_make(const struct numbers *numbers, struct arena *arena, struct sbatch_plan *out)
{
    out->ranges = arena_array(arena, SBATCH_RANGES_MAX, sizeof(*out->ranges));
    if (out->ranges == NULL)
        return false;
    for (uint32_t i = 0; i < numbers->count;) {
        struct sbatch_range range = {numbers->items[i], 1, 1};
        if (i + 1 < numbers->count)
            range.step = numbers->items[i + 1] - range.first;
        while (i + range.count < numbers->count &&
               numbers->items[i + range.count] == range.first + range.step * range.count)
            range.count++;
        if (out->range_count == SBATCH_RANGES_MAX)
            return false;
        i += range.count;
        out->ranges[out->range_count++] = range;
    }
    return true;
}

static enum err plan_array(struct planner *planner)
{
    struct sbatch_plan *out = planner->out;
    struct slice text = plan_value(planner, SBATCH_ARRAY), list, parallel = {0}, one;
    uint64_t number = 0;
    if (!plan_has(planner, SBATCH_ARRAY))
        return ERR_OK;
    struct numbers *numbers = arena_alloc(planner->arena, sizeof(*numbers));
    if (numbers == NULL)
        return fault_set(planner->fault, ERR_NO_MEMORY, NULL, "no memory for the array");
    numbers->count = 0;
    if (slice_cut(text, '%', &list, &parallel) && parallel.len > 0 &&
        slice_parse_u64(parallel, &number) != ERR_OK)
        return plan_bad(planner, SBATCH_ARRAY, "must have a number after %");
    if (parallel.data == NULL)
        list = text;
    if (list.len >= 2 && list.data[0] == '[' && list.data[list.len - 1] == ']')
        list = slice_make(list.data + 1, list.len - 2);
    for (bool is_last = false; !is_last;) {
        is_last = !slice_cut(list, ',', &one, &list);
        if (!range_parse(is_last ? list : one, numbers))
            return plan_bad(planner, SBATCH_ARRAY,
                            "must be like 0-15, 1,3,5 or 0-30:2%4, of at most 10000 numbers");
    }
    if (!ranges_make(numbers, planner->arena, out))
        return plan_bad(planner, SBATCH_ARRAY, "has too many single numbers; use ranges");
    out->has_array = true;
    out->array_count = numbers->count;
    out->array_parallel = number < numbers->count ? (uint32_t)number : 0;
    out->array_min = numbers->items[0];
    out->array_max = numbers->items[numbers->count - 1];
    out->array_step = out->ranges[0].step;
    return ERR_OK;
}

/* ---- nodes, tasks, cores */

/* "2", "2-4", "2k": the least. */
static enum err plan_nodes(struct planner *planner)
{
    struct slice text = plan_value(planner, SBATCH_NODES);
    uint64_t least = 0, most = 0;
    if (!plan_has(planner, SBATCH_NODES))
        return ERR_OK;
    if (!digits_take(&text, &least))
        return plan_bad(planner, SBATCH_NODES, "must be a number, or a range such as 2-4");
    most = least;
    if (text.len > 0 && text.data[0] == '-') {
        text = slice_make(text.data + 1, text.len - 1);
        if (!digits_take(&text, &most))
            return plan_bad(planner, SBATCH_NODES, "must be a number, or a range such as 2-4");
    }
    if (text.len != 0 || least == 0 || most < least || most > NODES_ASKED_MAX ||
        least > JOB_NODES_MAX)
        return plan_bad(planner, SBATCH_NODES, "must be from 1 to 512, or such a range");
    planner->out->nodes = (uint32_t)least;
    return ERR_OK;
}

static uint32_t divide_up(uint32_t a, uint32_t b)
{
    return a / b + (a % b != 0);
}

static enum err plan_tasks(struct planner *planner)
{
    struct sbatch_plan *out = planner->out;
    uint32_t per_node = 0;
    enum err err = plan_nodes(planner);
    if (err == ERR_OK)
        err = plan_count(planner, SBATCH_NTASKS, JOB_CPU_MILLI_MAX, &out->ntasks);
    if (err == ERR_OK)
        err = plan_count(planner, SBATCH_NTASKS_PER_NODE, JOB_CPU_MILLI_MAX, &per_node);
    if (err == ERR_OK)
        err = plan_count(planner, SBATCH_CPUS_PER_TASK, JOB_CPU_MILLI_MAX / 1000,
                         &out->cpus_per_task);
    if (err != ERR_OK)
        return err;
    out->has_ntasks = out->ntasks != 0;
    out->has_cpus_per_task = out->cpus_per_task != 0;
    if (out->nodes == 0)
        out->nodes = out->has_ntasks && per_node != 0 ? divide_up(out->ntasks, per_node) : 1;
    if (out->nodes > JOB_NODES_MAX)
        return plan_bad(planner, SBATCH_NTASKS, "would need more than 512 nodes");
    if (!out->has_ntasks)
        out->ntasks = out->nodes * (per_node != 0 ? per_node : 1);
    if (out->ntasks < out->nodes)
        out->nodes = out->ntasks; /* as Slurm does: no node without a task */
    out->tasks_per_node = divide_up(out->ntasks, out->nodes);
    if (per_node > out->tasks_per_node)
        out->tasks_per_node = per_node;
    if (out->cpus_per_task == 0)
        out->cpus_per_task = 1;
    return ERR_OK;
}

/* With tasks and devices known. */
static enum err plan_cores(struct planner *planner)
{
    struct sbatch_plan *out = planner->out;
    uint32_t mincpus = 0, per_gpu = 0;
    enum err err = plan_count(planner, SBATCH_MINCPUS, JOB_CPU_MILLI_MAX / 1000, &mincpus);
    if (err == ERR_OK)
        err = plan_count(planner, SBATCH_CPUS_PER_GPU, JOB_CPU_MILLI_MAX / 1000, &per_gpu);
    if (err != ERR_OK)
        return err;
    uint64_t cpus = (uint64_t)out->tasks_per_node * out->cpus_per_task;
    if (per_gpu != 0 && (uint64_t)per_gpu * out->gpus > cpus)
        cpus = (uint64_t)per_gpu * out->gpus;
    if (mincpus > cpus)
        cpus = mincpus;
    if (cpus > JOB_CPU_MILLI_MAX / 1000)
        return plan_bad(planner,
                        plan_has(planner, SBATCH_NTASKS) ? SBATCH_NTASKS : SBATCH_CPUS_PER_TASK,
                        "needs more cores than a node may have; spread it with --nodes");
    out->cpus = (uint32_t)cpus;
    return ERR_OK;
}

static enum err plan_memory(struct planner *planner)
{
    struct sbatch_plan *out = planner->out;
    uint64_t per_gpu = 0;
    enum err err = plan_size(planner, SBATCH_MEM, &out->mem_mib);
    if (err == ERR_OK)
        err = plan_size(planner, SBATCH_MEM_PER_CPU, &out->mem_per_cpu_mib);
    if (err == ERR_OK)
        err = plan_size(planner, SBATCH_MEM_PER_GPU, &per_gpu);
    if (err == ERR_OK)
        err = plan_size(planner, SBATCH_TMP, &out->scratch_mib);
    if (err != ERR_OK)
        return err;
    if (plan_has(planner, SBATCH_MEM) + plan_has(planner, SBATCH_MEM_PER_CPU) +
            plan_has(planner, SBATCH_MEM_PER_GPU) >
        1)
        return plan_bad(
            planner, plan_has(planner, SBATCH_MEM) ? SBATCH_MEM : SBATCH_MEM_PER_GPU,
            "stands beside another one: --mem, --mem-per-cpu, and --mem-per-gpu are mutually "
            "exclusive");
    if (out->mem_per_cpu_mib != 0)
        out->mem_mib = out->mem_per_cpu_mib * out->cpus;
    if (per_gpu != 0 && out->gpus == 0)
        return plan_bad(planner, SBATCH_MEM_PER_GPU,
                        "wants --gpus-per-node or --gres=gpu beside it");
    if (per_gpu != 0)
        out->mem_mib = per_gpu * out->gpus;
    if (out->mem_mib > JOB_MEM_BYTES_MAX >> 20)
        return plan_bad(planner,
                        plan_has(planner, SBATCH_MEM)           ? SBATCH_MEM
                        : plan_has(planner, SBATCH_MEM_PER_CPU) ? SBATCH_MEM_PER_CPU
                                                                : SBATCH_MEM_PER_GPU,
                        "is more than a node may have (64 TiB)");
    return ERR_OK;
}

/* ---- accelerators */

/* "4", "a100:4", "a100" (`bare` is what a lone word counts for). */
static bool gpus_parse(struct slice text, uint32_t *out_count, struct slice *out_type)
{
    struct slice type = {"", 0}, count = text;
    uint64_t number = 1;
    if (slice_cut(text, ':', &type, &count) || slice_parse_u64(text, &number) != ERR_OK) {
        if (type.len == 0) {
            type = text;
            count = SLICE_LITERAL("1");
        }
        if (slice_parse_u64(count, &number) != ERR_OK || type.len == 0)
            return false;
    }
    if (number > (uint64_t)JOB_ACCELERATORS_MAX * JOB_NODES_MAX)
        return false;
    *out_count = (uint32_t)number;
    *out_type = type;
    return true;
}

static enum err plan_gres(struct planner *planner)
{
    struct slice rest = plan_value(planner, SBATCH_GRES), one;
    struct sbatch_plan *out = planner->out;
    if (!plan_has(planner, SBATCH_GRES) || slice_is(rest, "none") || slice_is(rest, "NONE"))
        return ERR_OK;
    for (bool is_last = false; !is_last;) {
        uint32_t count = 1;
        is_last = !slice_cut(rest, ',', &one, &rest);
        if (is_last)
            one = rest;
        if (slice_has_prefix(one, SLICE_LITERAL("gres:")) ||
            slice_has_prefix(one, SLICE_LITERAL("gres/")))
            one = slice_make(one.data + 5, one.len - 5);
        if (!slice_is(one, "gpu") && !slice_has_prefix(one, SLICE_LITERAL("gpu:")))
            return plan_bad(planner, SBATCH_GRES,
                            "names something else than gpu: the pool has accelerators only");
        if (out->gpus != 0)
            return plan_bad(planner, SBATCH_GRES, "names gpu twice: one kind of chip a job");
        if (one.len > 4 &&
            !gpus_parse(slice_make(one.data + 4, one.len - 4), &count, &out->gpu_type))
            return plan_bad(planner, SBATCH_GRES, "must be gpu, gpu:COUNT or gpu:MODEL:COUNT");
        out->gpus = count;
    }
    return ERR_OK;
}

static enum err plan_gpus(struct planner *planner)
{
    struct sbatch_plan *out = planner->out;
    static const enum sbatch_id IDS[] = {SBATCH_GPUS, SBATCH_GPUS_PER_NODE, SBATCH_GPUS_PER_TASK};
    enum sbatch_id said = SBATCH_GRES;
    enum err err = plan_gres(planner);
    for (size_t i = 0; err == ERR_OK && i < sizeof(IDS) / sizeof(IDS[0]); i++) {
        uint32_t count = 0;
        if (!plan_has(planner, IDS[i]))
            continue;
        if (!gpus_parse(plan_value(planner, IDS[i]), &count, &out->gpu_type))
            return plan_bad(planner, IDS[i], "must be COUNT or MODEL:COUNT");
        if (out->gpus != 0)
            return plan_bad(planner, IDS[i], "says again how many accelerators: say it once");
        if (IDS[i] == SBATCH_GPUS)
            count = divide_up(count, out->nodes);
        if (IDS[i] == SBATCH_GPUS_PER_TASK && count <= JOB_ACCELERATORS_MAX)
            count *= out->tasks_per_node;
        out->gpus = count;
        said = IDS[i];
    }
    if (err == ERR_OK && out->gpus > JOB_ACCELERATORS_MAX)
        return plan_bad(planner, said, "is more than 16 a node; spread it with --nodes");
    return err;
}

enum err sbatch_plan(const struct sbatch *sbatch, struct arena *arena, struct sbatch_plan *out,
                     struct fault *fault)
{
    struct sbatch_plan plan = {0};
    struct planner planner = {sbatch, arena, &plan, fault};
    static enum err (*const STEPS[])(struct planner *) = {
        plan_texts,  plan_time, plan_array,  plan_tasks,     plan_gpus,   plan_cores,
        plan_memory, plan_qos,  plan_signal, plan_open_mode, plan_export, plan_dependency,
    };
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < sizeof(STEPS) / sizeof(STEPS[0]); i++)
        err = STEPS[i](&planner);
    if (err != ERR_OK)
        return err;
    plan.wrap = plan_value(&planner, SBATCH_WRAP);
    plan.is_once = slice_is(plan_value(&planner, SBATCH_REQUEUE), "no-requeue");
    plan.is_parsable = plan_has(&planner, SBATCH_PARSABLE);
    plan.is_test = plan_has(&planner, SBATCH_TEST_ONLY);
    plan.is_waiting = plan_has(&planner, SBATCH_WAIT);
    plan.is_quiet = plan_has(&planner, SBATCH_QUIET);
    *out = plan;
    return ERR_OK;
}
