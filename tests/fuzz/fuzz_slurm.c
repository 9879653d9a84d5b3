/* Readers of what Slurm's commands print, and of a site's file: the last byte chooses. */
#include "drive/slurm.h"
#include "fuzz.h"

static void count_host(void *context, struct slice host)
{
    uint32_t *count = context;
    ASSERT(host.len > 0 && host.len <= SLURM_NAME_MAX);
    ASSERT(++*count <= SLURM_HOSTS_MAX);
}

static void read_json(uint8_t kind, struct slice input, struct arena *arena)
{
    struct slurm_jobs jobs;
    const struct slurm_node *nodes;
    struct slurm_config config;
    uint32_t count = 0;
    if (kind == 0 && slurm_jobs_decode(input, arena, &jobs, NULL) == ERR_OK)
        for (uint32_t i = 0; i < jobs.our_count; i++)
            ASSERT(jobs.ours[i].state < SLURM_STATE_COUNT_);
    if (kind == 1 && slurm_nodes_decode(input, arena, &nodes, &count, NULL) == ERR_OK)
        for (uint32_t i = 0; i < count; i++)
            ASSERT(nodes[i].gres_count <= SLURM_GRES_MAX);
    if (kind == 2 && slurm_config_decode(input, arena, &config, NULL) == ERR_OK)
        ASSERT(config.partitions.count > 0 && config.work.data[0] == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct slurm_gres gres[SLURM_GRES_MAX];
    struct slice input = slice_make(data, size);
    struct span_ms span;
    uint32_t count = 0;
    uint8_t kind = take_last(&input) % 6;
    arena_init(&arena, 64 << 20);
    if (kind < 3)
        read_json(kind, input, &arena);
    else if (kind == 3)
        ASSERT(slurm_gres_parse(input, gres) <= SLURM_GRES_MAX);
    else if (kind == 4)
        (void)!slurm_hosts_each(input, count_host, &count);
    else
        (void)!slurm_span_parse(slurm_config_value(input, "KillWait"), &span);
    arena_deinit(&arena);
    return 0;
}
