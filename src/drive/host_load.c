/* What the nodes have less foreign load: what others on this machine use, and not what the pool's
 * own attempts do. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "drive/host_private.h"
#include "port/clock.h"

enum {
    LOAD_NOISE_MILLI = 200, /* a system's own breathing is no load */
    MEM_STEP_BYTES = 64 << 20,
    LOAD_STEP_MILLI = 100,
    CPU_FIELDS = 8,
};

static bool read_ticks(uint64_t *out_busy, uint64_t *out_all)
{
    unsigned long long v[CPU_FIELDS] = {0};
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL)
        return false;
    int got = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2],
                     &v[3], &v[4], &v[5], &v[6], &v[7]);
    (void)fclose(file);
    if (got != CPU_FIELDS)
        return false;
    *out_all = 0;
    for (int i = 0; i < CPU_FIELDS; i++)
        *out_all += v[i];
    *out_busy = *out_all - v[3] - v[4]; /* idle, waiting for disks */
    return true;
}

static bool read_memory(uint64_t *out_available)
{
    char line[128];
    unsigned long long kib = 0;
    bool is_found = false;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file != NULL && !is_found && fgets(line, sizeof(line), file) != NULL)
        is_found = sscanf(line, "MemAvailable: %llu kB", &kib) == 1;
    if (file != NULL)
        (void)fclose(file);
    *out_available = (uint64_t)kib * 1024;
    return is_found;
}

/* The agent's own work, hashing and copying, is the pool's, too. */
static int64_t agent_cpu_ms(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

/* Thousandths of cores that others used since the last measurement. */
static uint64_t foreign_cpu_milli(const struct host *host, struct host_load *load)
{
    const struct clock clock = clock_system();
    struct host_load now = {.is_known = true, .at = clock_boot(&clock)};
    uint64_t milli = 0;
    int64_t ours = cgroup_cpu_ms(&host->site_group);
    now.ours_ms = (ours > 0 ? ours : 0) + agent_cpu_ms();
    if (!read_ticks(&now.busy_ticks, &now.all_ticks))
        return 0;
    uint64_t all = now.all_ticks - load->all_ticks;
    int64_t span = boot_since(now.at, load->at).ms;
    if (load->is_known && all != 0 && span > 0 && now.busy_ticks >= load->busy_ticks) {
        uint64_t cores = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
        uint64_t busy = (now.busy_ticks - load->busy_ticks) * cores * 1000 / all;
        uint64_t own = now.ours_ms > load->ours_ms
                           ? (uint64_t)(now.ours_ms - load->ours_ms) * 1000 / (uint64_t)span
                           : 0;
        milli = busy > own ? busy - own : 0;
    }
    *load = now;
    return milli > LOAD_NOISE_MILLI ? milli : 0;
}

/* `have` cut to the share of `total` that `left` is of it. */
static uint64_t scaled(uint64_t have, uint64_t left, uint64_t total)
{
    if (left >= total || total == 0)
        return have;
    return (uint64_t)((__uint128_t)have * left / total);
}

/* What the pool's own work used of a node, in thousandths of cores; false: not measured. */
static bool pool_cpu_milli(const struct host *host, uint32_t node, int64_t span, uint64_t *out)
{
    int64_t now_ms = cgroup_cpu_ms(&host->node_groups[node]), before_ms = host->node_cpu_ms[node];
    host->node_cpu_ms[node] = now_ms > 0 ? now_ms : 0;
    if (now_ms < 0 || span <= 0)
        return false;
    *out = now_ms > before_ms ? (uint64_t)(now_ms - before_ms) * 1000 / (uint64_t)span : 0;
    return true;
}

static uint32_t rounded(uint64_t milli, uint64_t limit)
{
    milli = (milli + LOAD_STEP_MILLI / 2) / LOAD_STEP_MILLI * LOAD_STEP_MILLI;
    return (uint32_t)(milli < limit ? milli : limit);
}

static void measure_load(const struct host *host, uint32_t index, int64_t span, uint64_t cpu_left,
                         struct node_load *out)
{
    const struct site_node *node = &host->settings.nodes[index];
    uint64_t pool = 0;
    uint32_t owner = rounded(node->cpu_milli - cpu_left, node->cpu_milli);
    bool has_busy = pool_cpu_milli(host, index, span, &pool);
    *out = (struct node_load){.is_known = span > 0,
                              .has_busy = has_busy,
                              .owner_cpu_milli = owner,
                              .owner_busy_cpu_milli = owner,
                              .pool_busy_cpu_milli = rounded(pool, node->cpu_milli)};
}

void host_load_measure(const struct host *host, struct host_load *load, struct sync_node *nodes)
{
    const struct host_settings *settings = &host->settings;
    uint64_t cpu_total = 0, mem_total = 0, available = 0;
    for (uint32_t i = 0; i < settings->node_count; i++) {
        cpu_total += settings->nodes[i].cpu_milli;
        mem_total += settings->nodes[i].mem_bytes;
    }
    uint64_t cpu_left = cpu_total, mem_left = mem_total;
    const struct host_load before = *load;
    uint64_t foreign = foreign_cpu_milli(host, load);
    int64_t span = before.is_known ? boot_since(load->at, before.at).ms : 0;
    if (!settings->ignores_foreign_load) {
        uint64_t machine = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN) * 1000;
        cpu_left = foreign < machine ? machine - foreign : 0;
        int64_t ours = cgroup_mem_bytes(&host->site_group);
        if (read_memory(&available))
            mem_left = available + (uint64_t)(ours > 0 ? ours : 0);
    }
    for (uint32_t i = 0; i < settings->node_count; i++) {
        const struct site_node *node = &settings->nodes[i];
        uint64_t mem = scaled(node->mem_bytes, mem_left, mem_total);
        uint64_t cpu = scaled(node->cpu_milli, cpu_left, cpu_total);
        nodes[i] = (struct sync_node){
            .node = (uint16_t)i,
            .is_up = host->base.traits.can_run,
            .cpu_milli_free = (uint32_t)(cpu / LOAD_STEP_MILLI * LOAD_STEP_MILLI),
            .mem_bytes_free = mem < node->mem_bytes ? mem - mem % MEM_STEP_BYTES : mem,
            .devices_free_count = (uint8_t)node->accelerator_count,
        };
        for (uint32_t d = 0; d < node->accelerator_count && d < RANK_DEVICES_MAX; d++)
            nodes[i].devices_free[d] = (uint8_t)d;
        measure_load(host, i, span, cpu, &nodes[i].load);
    }
}
