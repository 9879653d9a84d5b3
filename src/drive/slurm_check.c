#include "drive/slurm_check.h"

#include <stdarg.h>
#include <stdio.h>

#include "drive/slurm_private.h"

enum {
    CHECK_ARENA_BYTES = 256 << 20,
    VERSION_YEAR_MIN = 22,
    KILL_WAIT_LONG_S = 15,
    BACKFILL_TURN_S = 30, /* Slurm's defaults */
    BATCH_DELAY_S = 3,
    TURN_LONG_S = 5,
    DELAY_LONG_S = 1,
};

static void add(struct slurm_findings *out, enum slurm_verdict verdict, const char *format, ...)
    LQ_PRINTF(3, 4);

static void add(struct slurm_findings *out, enum slurm_verdict verdict, const char *format, ...)
{
    va_list values;
    if (out->count == SLURM_FINDINGS_MAX)
        return;
    struct slurm_finding *item = &out->items[out->count++];
    item->verdict = verdict;
    va_start(values, format);
    (void)vsnprintf(item->text, sizeof(item->text), format, values);
    va_end(values);
}

/* The value of `key` in "A=1 B=2"; empty: not there. */
static struct slice word_value(struct slice line, const char *key)
{
    struct slice word, name, value;
    while (line.len != 0) {
        if (!slice_cut(line, ' ', &word, &line)) {
            word = line;
            line = (struct slice){0};
        }
        if (slice_cut(word, '=', &name, &value) && slice_is(name, key))
            return value;
    }
    return (struct slice){0};
}

static struct slice next_line(struct slice *text)
{
    struct slice line = *text;
    if (!slice_cut(*text, '\n', &line, text))
        *text = (struct slice){0};
    return line;
}

static uint64_t tier_of(struct slice line)
{
    uint64_t tier = 1;
    (void)!slice_parse_u64(word_value(line, "PriorityTier"), &tier);
    return tier;
}

/* The highest tier of the partitions that are not lent. */
static uint64_t owners_tier(const struct slurm_config *config, struct slice partitions)
{
    uint64_t highest = 0;
    while (partitions.len != 0) {
        struct slice line = next_line(&partitions), name = word_value(line, "PartitionName");
        bool is_lent = name.len == 0;
        for (uint32_t i = 0; i < config->partitions.count; i++)
            is_lent = is_lent || slice_is_equal(name, config->partitions.items[i]);
        if (!is_lent && tier_of(line) > highest)
            highest = tier_of(line);
    }
    return highest;
}

/* Without Slurm's own way the agent does the reclaiming, unless the site's file forbids it. */
static enum slurm_verdict without_preemption(const struct slurm_config *config)
{
    return config->surplus.reclaim == SURPLUS_BY_ENGINE ? SLURM_MUST : SLURM_ADVICE;
}

static void check_partition(const struct slurm_config *config, struct slice name, struct slice line,
                            uint64_t owners, struct slurm_findings *out)
{
    struct slice mode = word_value(line, "PreemptMode"), limit = word_value(line, "MaxTime");
    struct slice state = word_value(line, "State"), usual = word_value(line, "DefaultTime");
    if (!slice_is(state, "UP"))
        add(out, SLURM_MUST, "partition %.*s is %.*s: State=UP", SLICE_ARG(name), SLICE_ARG(state));
    if (tier_of(line) >= owners)
        add(out, SLURM_MUST,
            "partition %.*s is not below the owner's: PartitionName=%.*s PriorityTier=1, and a "
            "higher PriorityTier on every other partition of its nodes",
            SLICE_ARG(name), SLICE_ARG(name));
    else
        add(out, SLURM_GOOD, "partition %.*s comes after the owner's", SLICE_ARG(name));
    if (slice_is(mode, "OFF"))
        add(out, without_preemption(config),
            "Slurm takes no jobs of partition %.*s off; the agent does: PartitionName=%.*s "
            "PreemptMode=REQUEUE",
            SLICE_ARG(name), SLICE_ARG(name));
    if (slice_is(mode, "SUSPEND") || slice_is(mode, "GANG"))
        add(out, SLURM_MUST,
            "partition %.*s suspends: a suspended program outlives its lease; PreemptMode=REQUEUE "
            "(work is submitted with --no-requeue, so it ends) or CANCEL",
            SLICE_ARG(name));
    if (slice_is(usual, "NONE") && !slice_is(limit, "UNLIMITED"))
        add(out, SLURM_ADVICE, "partition %.*s ends work after %.*s", SLICE_ARG(name),
            SLICE_ARG(limit));
    else if (usual.len != 0 && !slice_is(usual, "NONE"))
        add(out, SLURM_ADVICE, "partition %.*s ends work without a time limit after %.*s",
            SLICE_ARG(name), SLICE_ARG(usual));
}

static void check_partitions(const struct slurm_config *config, struct slice partitions,
                             struct slurm_findings *out)
{
    uint64_t owners = owners_tier(config, partitions);
    for (uint32_t i = 0; i < config->partitions.count; i++) {
        struct slice name = config->partitions.items[i], rest = partitions;
        bool is_found = false;
        while (rest.len != 0 && !is_found) {
            struct slice line = next_line(&rest);
            is_found = slice_is_equal(word_value(line, "PartitionName"), name);
            if (is_found)
                check_partition(config, name, line, owners, out);
        }
        if (!is_found)
            add(out, SLURM_MUST,
                "there is no partition %.*s: PartitionName=%.*s Nodes=... "
                "PriorityTier=1 PreemptMode=REQUEUE MaxTime=UNLIMITED State=UP",
                SLICE_ARG(name), SLICE_ARG(name));
    }
}

static void check_preemption(const struct slurm_config *config, struct slice settings,
                             struct slurm_findings *out)
{
    struct slice type = slurm_config_value(settings, "PreemptType");
    struct slice mode = slurm_config_value(settings, "PreemptMode");
    if (!slice_is(type, "preempt/partition_prio") && !slice_is(type, "preempt/qos"))
        add(out, without_preemption(config),
            "Slurm takes nothing off for the owner (PreemptType=%.*s); the agent does, more "
            "slowly: "
            "PreemptType=preempt/partition_prio and PreemptMode=REQUEUE",
            SLICE_ARG(type));
    else if (slice_is(mode, "OFF"))
        add(out, without_preemption(config),
            "Slurm takes nothing off for the owner; the agent does, more slowly: "
            "PreemptMode=REQUEUE");
    else
        add(out, SLURM_GOOD, "work yields to the owner (%.*s, %.*s)", SLICE_ARG(type),
            SLICE_ARG(mode));
}

/* The value of a partition's member; empty: there is no such partition. */
static struct slice partition_value(struct slice partitions, struct slice name, const char *key)
{
    while (partitions.len != 0) {
        struct slice line = next_line(&partitions);
        if (slice_is_equal(word_value(line, "PartitionName"), name))
            return word_value(line, key);
    }
    return (struct slice){0};
}

bool slurm_check_yields(const struct slurm_config *config, struct slice settings,
                        struct slice partitions)
{
    struct slice type = slurm_config_value(settings, "PreemptType");
    struct slice mode = slurm_config_value(settings, "PreemptMode");
    if ((!slice_is(type, "preempt/partition_prio") && !slice_is(type, "preempt/qos")) ||
        slice_is(mode, "OFF"))
        return false;
    for (uint32_t i = 0; i < config->partitions.count; i++)
        if (slice_is(partition_value(partitions, config->partitions.items[i], "PreemptMode"),
                     "OFF"))
            return false;
    return true;
}

static void check_notice(struct slice settings, struct slurm_findings *out)
{
    struct span_ms wait = SLURM_KILL_WAIT_DEFAULT;
    (void)!slurm_span_parse(slurm_config_value(settings, "KillWait"), &wait);
    add(out, wait.ms / 1000 > KILL_WAIT_LONG_S ? SLURM_ADVICE : SLURM_GOOD,
        "an owner's job may wait %lld s (KillWait) for work that saves its last checkpoint; work "
        "has %lld s for it",
        (long long)(wait.ms / 1000), (long long)((wait.ms - SLURM_LAST_WORDS.ms) / 1000));
    if (!slice_is(slurm_config_value(settings, "ProctrackType"), "proctrack/cgroup"))
        add(out, SLURM_ADVICE,
            "work gets no notice: Slurm's stop signal reaches its sandbox; "
            "ProctrackType=proctrack/cgroup");
}

/* The word `key` or `key=value` of a list with commas; false: it is not there. */
static bool option_find(struct slice options, const char *key, struct slice *out_value)
{
    while (options.len != 0) {
        struct slice one = options, name, value = {0};
        if (!slice_cut(options, ',', &one, &options))
            options = (struct slice){0};
        if (!slice_cut(one, '=', &name, &value))
            name = one;
        if (slice_is(name, key)) {
            *out_value = value;
            return true;
        }
    }
    return false;
}

static uint64_t option_number(struct slice options, const char *key, uint64_t otherwise)
{
    struct slice value;
    uint64_t number = otherwise;
    if (option_find(options, key, &value))
        (void)!slice_parse_u64(value, &number);
    return number;
}

/* How soon Slurm looks at an owner's job, and whom it takes off for it. */
static void check_scheduler(struct slice settings, struct slurm_findings *out)
{
    struct slice options = slurm_config_value(settings, "SchedulerParameters"), value;
    uint64_t turn = option_number(options, "bf_interval", BACKFILL_TURN_S);
    uint64_t delay = option_number(options, "batch_sched_delay", BATCH_DELAY_S);
    bool is_slow = turn > TURN_LONG_S || delay > DELAY_LONG_S;
    add(out, is_slow ? SLURM_ADVICE : SLURM_GOOD,
        "an owner's job behind one that waits for a reclaim gets its turn every %llu s "
        "(bf_interval), others within %llu s (batch_sched_delay)%s",
        (unsigned long long)turn, (unsigned long long)delay,
        is_slow ? ": SchedulerParameters=bf_interval=1,batch_sched_delay=0, if slurmctld has time "
                  "for it"
                : "");
    if (!option_find(options, "preempt_youngest_first", &value))
        add(out, SLURM_ADVICE,
            "the owner's job takes off any of the work: SchedulerParameters=preempt_youngest_first "
            "takes what has run least");
}

void slurm_check_settings(const struct slurm_config *config, struct slice settings,
                          struct slice partitions, struct slurm_findings *out)
{
    struct slice version = slurm_config_value(settings, "SLURM_VERSION"), year = version, rest;
    struct slice task = slurm_config_value(settings, "TaskPlugin");
    uint64_t number = 0;
    *out = (struct slurm_findings){0};
    (void)slice_cut(version, '.', &year, &rest);
    bool is_new = slice_parse_u64(year, &number) == ERR_OK && number >= VERSION_YEAR_MIN;
    add(out, is_new ? SLURM_GOOD : SLURM_MUST, "Slurm %.*s%s", SLICE_ARG(version),
        is_new ? "" : ": 22.05 or newer is needed");
    check_preemption(config, settings, out);
    check_partitions(config, partitions, out);
    check_notice(settings, out);
    check_scheduler(settings, out);
    bool has_cgroup = false;
    while (task.len != 0) {
        struct slice one = task;
        if (!slice_cut(task, ',', &one, &task))
            task = (struct slice){0};
        has_cgroup = has_cgroup || slice_has_suffix(one, SLICE_LITERAL("cgroup"));
    }
    if (!has_cgroup)
        add(out, SLURM_ADVICE,
            "memory and processors are not fenced: TaskPlugin=task/cgroup, and "
            "ConstrainRAMSpace=yes in cgroup.conf");
    if (!slice_is(slurm_config_value(settings, "SelectType"), "select/cons_tres"))
        add(out, SLURM_ADVICE, "nodes are given whole: SelectType=select/cons_tres lends parts");
}

/* ---- the cluster itself */

static void check_nodes(const struct slurm_config *config, const struct slurm_node *nodes,
                        uint32_t count, struct slurm_findings *out)
{
    uint32_t lent = 0, usable = 0, partition;
    uint64_t cpus = 0, devices = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!slurm_is_of_pool(config, &nodes[i], &partition))
            continue;
        lent++;
        usable += nodes[i].is_usable ? 1 : 0;
        cpus += nodes[i].cpus;
        if (!nodes[i].is_usable)
            add(out, SLURM_ADVICE, "node %.*s is %.*s", SLICE_ARG(nodes[i].name),
                SLICE_ARG(nodes[i].said));
        for (uint32_t g = 0; g < nodes[i].gres_count; g++) {
            bool is_named = false;
            for (uint32_t k = 0; k < config->gres_count; k++)
                is_named = is_named || slice_is_equal(config->gres[k].key, nodes[i].gres[g].type);
            devices += is_named ? nodes[i].gres[g].count : 0;
            if (!is_named)
                add(out, SLURM_ADVICE,
                    "node %.*s has %u of %.*s, which the site's file does not name",
                    SLICE_ARG(nodes[i].name), nodes[i].gres[g].count,
                    SLICE_ARG(nodes[i].gres[g].type));
        }
    }
    add(out, lent > 0 ? SLURM_GOOD : SLURM_MUST,
        "it could lend %u nodes, %u of them usable now: %llu processors, %llu accelerators", lent,
        usable, (unsigned long long)cpus, (unsigned long long)devices);
}

enum err slurm_check(const struct slurm_config *config, struct slurm_findings *out,
                     struct fault *fault)
{
    struct slurm_commands commands;
    const struct slurm_node *nodes = NULL;
    struct slice settings, partitions;
    struct arena arena;
    uint32_t count = 0;
    arena_init(&arena, CHECK_ARENA_BYTES);
    enum err code = slurm_commands_find(config, &commands, fault);
    if (code == ERR_OK)
        code = slurm_read_config(&commands, &arena, &settings, fault);
    if (code == ERR_OK)
        code = slurm_read_partitions(&commands, &arena, &partitions, fault);
    if (code == ERR_OK)
        code = slurm_read_nodes(&commands, &arena, &nodes, &count, fault);
    if (code == ERR_OK) {
        slurm_check_settings(config, settings, partitions, out);
        check_nodes(config, nodes, count, out);
    }
    arena_deinit(&arena);
    return code;
}
