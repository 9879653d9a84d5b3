/* What the placement engine costs when everything is full: sites of 16 nodes, a long queue; then
 * submissions that must wait, and releases that let the next one in. Prints one JSON object.
 *
 *   place_bench [SITES [QUEUED [SHAPES [TENANTS]]]]      250 100000 64 100
 *
 * SHAPES: how many kinds of jobs there are (every job has a spec of its own all the same). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "place/place.h"

enum { NODES = 16, ROUNDS = 2000, NODE_CPU_MILLI = 64000 };

static const struct job_variant CPU = {.runtime = RUNTIME_CPU, .run = SLICE_LITERAL("true")};

struct bench {
    struct placer *placer;
    struct now now;
    uint32_t sites, queued, shapes, tenants, jobs;
    struct job_spec *specs;
    struct job_id *held;
    uint32_t held_count;
};

/* CPU time: what others do on the machine does not count. */
static uint64_t clock_ns(void)
{
    struct timespec at;
    int failed = clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    ASSERT(failed == 0);
    return (uint64_t)at.tv_sec * 1000000000 + (uint64_t)at.tv_nsec;
}

static struct id id_of(uint8_t kind, uint32_t number)
{
    struct id id = {{kind, 0, 0, 0, (uint8_t)(number >> 24), (uint8_t)(number >> 16),
                     (uint8_t)(number >> 8), (uint8_t)number, 1}};
    return id;
}

static void site_add(struct bench *b, uint32_t number)
{
    char name[32];
    struct site_node nodes[NODES];
    int written = snprintf(name, sizeof(name), "site-%05u", number);
    ASSERT(written > 0);
    for (int n = 0; n < NODES; n++)
        nodes[n] = (struct site_node){.name = SLICE_LITERAL("n"),
                                      .cpu_milli = NODE_CPU_MILLI,
                                      .mem_bytes = UINT64_C(256) << 30};
    struct region region = {.id = {id_of(2, number)},
                            .name = slice_of(name),
                            .role = ROLE_TRAIN,
                            .jurisdiction = SLICE_LITERAL("CN")};
    struct site site = {.id = {id_of(3, number)},
                        .name = slice_of(name),
                        .region = slice_of(name),
                        .ask_per_cpu_hour = MAYBE_MONEY(((struct money){100000 + number})),
                        .nodes = nodes,
                        .node_count = NODES};
    ASSERT(placer_region_put(b->placer, &region) == ERR_OK);
    ASSERT(placer_site_put(b->placer, &site, true) == ERR_OK);
}

static void submit(struct bench *b)
{
    uint32_t number = b->jobs++;
    struct job_spec *spec = &b->specs[number];
    *spec = (struct job_spec){.num_nodes = 1,
                              .cpu_milli = NODE_CPU_MILLI - number % b->shapes / 16,
                              .mem_bytes = 1 << 30,
                              .variants = &CPU,
                              .variant_count = 1,
                              .array_count = 1,
                              .priority = PRIORITY_STANDARD,
                              .time_limit = SPAN_S(3600 + 60 * (number % b->shapes % 16))};
    struct place_job job = {.id = {id_of(4, number)},
                            .spec = spec,
                            .tenant = {id_of(1, 1 + number % b->tenants)},
                            .created_at = {b->now.wall.us}};
    b->now.wall.us += 1000;
    b->now.boot.ns += 1000000;
    ASSERT(placer_job_put(b->placer, &job) == ERR_OK);
}

static uint32_t place_all(struct bench *b)
{
    static struct place_decision d;
    uint32_t placed = 0;
    for (; placer_propose(b->placer, b->now, &d); placed++) {
        placer_confirm(b->placer, d.job, b->now);
        b->held[b->held_count++] = d.job;
    }
    return placed;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *name, uint64_t *ns, const char *end)
{
    uint64_t sum = 0;
    qsort(ns, ROUNDS, sizeof(*ns), compare_u64);
    for (int i = 0; i < ROUNDS; i++)
        sum += ns[i];
    printf("\"%s\":{\"mean_us\":%.2f,\"p50_us\":%.2f,\"p99_us\":%.2f,\"max_us\":%.2f}%s", name,
           (double)sum / ROUNDS / 1000, (double)ns[ROUNDS / 2] / 1000,
           (double)ns[ROUNDS * 99 / 100] / 1000, (double)ns[ROUNDS - 1] / 1000, end);
}

static void world_fill(struct bench *b)
{
    for (uint32_t t = 0; t <= b->tenants; t++) {
        struct tenant tenant = {.id = {id_of(1, t)},
                                .name = SLICE_LITERAL("tenant"),
                                .weight = 1,
                                .parent = {t == 0 ? (struct id){{0}} : id_of(1, 0)}};
        ASSERT(placer_tenant_put(b->placer, &tenant) == ERR_OK);
    }
    for (uint32_t s = 0; s < b->sites; s++)
        site_add(b, s);
    for (uint32_t i = 0; i < b->sites * NODES; i++) {
        submit(b);
        (void)place_all(b);
    }
}

static uint32_t argument(int argc, char **argv, int at, uint32_t fallback)
{
    return at < argc ? (uint32_t)strtoul(argv[at], NULL, 10) : fallback;
}

int main(int argc, char **argv)
{
    struct bench b = {.placer = placer_create(),
                      .now = {{1000000000}, {INT64_C(1800000000) * 1000000}},
                      .sites = argument(argc, argv, 1, 250),
                      .queued = argument(argc, argv, 2, 100000),
                      .shapes = argument(argc, argv, 3, 64),
                      .tenants = argument(argc, argv, 4, 100)};
    uint32_t jobs_max = b.sites * NODES + b.queued + ROUNDS;
    static uint64_t submits[ROUNDS], releases[ROUNDS];
    uint32_t decided = 0;
    b.specs = calloc(jobs_max, sizeof(*b.specs));
    b.held = calloc(jobs_max, sizeof(*b.held));
    ASSERT(b.placer != NULL && b.specs != NULL && b.held != NULL);
    uint64_t start = clock_ns();
    world_fill(&b);
    uint64_t filled = clock_ns();
    for (uint32_t i = 0; i < b.queued; i++) {
        submit(&b);
        (void)place_all(&b);
    }
    uint64_t queued = clock_ns();
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t at = clock_ns();
        submit(&b);
        (void)place_all(&b);
        submits[i] = clock_ns() - at;
    }
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t gone = (uint32_t)((uint64_t)i * 2654435761u % b.held_count);
        uint64_t at = clock_ns();
        placer_release(b.placer, b.held[gone], b.now.wall);
        b.held[gone] = b.held[--b.held_count];
        decided += place_all(&b);
        releases[i] = clock_ns() - at;
    }
    printf("{\"sites\":%u,\"queued\":%u,\"shapes\":%u,\"tenants\":%u,\"filled\":%u,"
           "\"fill_us_a_job\":%.2f,\"queue_us_a_job\":%.2f,",
           b.sites, b.queued, b.shapes, b.tenants, b.sites * NODES,
           (double)(filled - start) / 1000 / (b.sites * NODES),
           (double)(queued - filled) / 1000 / (b.queued > 0 ? b.queued : 1));
    report("submit", submits, ",");
    report("release", releases, ",");
    printf("\"decided_by_releases\":%u}\n", decided);
    placer_destroy(b.placer);
    free(b.specs);
    free(b.held);
    return 0;
}
