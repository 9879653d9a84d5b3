/* Submits attempts to a cluster through the Slurm driver as fast as it takes them.
 *
 *   slurm_submit SITE-FILE COUNT
 *
 * The attempts are spread over the site's nodes, one processor each; a partition that is down takes
 * them into its queue. Prints {"submits":…,"accepted":…,"seconds":…,"per_s":…}. What was submitted
 * stays: cancel it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drive/slurm.h"
#include "port/file.h"
#include "port/loop.h"
#include "wire/spec.h"

enum { ARENA_BYTES = 64 << 20, COUNT_MAX = 4096, CONFIG_BYTES_MAX = 1 << 20 };

struct run {
    struct loop *loop;
    struct driver *driver;
    const struct slurm_settings *settings;
    uint32_t wanted, answered, accepted;
    bool is_begun;
    struct boot_ns begun_at;
    char why[256];
};

static struct boot_ns now(const struct run *run)
{
    return loop_now(run->loop).boot;
}

static void submit_one(struct run *run, uint32_t number)
{
    static const char SPEC[] = "{\"name\":\"bench\",\"run\":\"true\","
                               "\"resources\":{\"cpus\":1,\"memory\":\"8MiB\"}}";
    struct attempt_token token = {.epoch = 1, .number = 1};
    struct rank_place place = {.node = (uint16_t)(number % run->settings->node_count)};
    struct buffer bytes;
    memcpy(token.job.id.bytes, &number, sizeof(number));
    token.job.id.bytes[15] = 1;
    const struct attempt_order order = {
        .token = token,
        .job_name = SLICE_LITERAL("bench"),
        .tenant.id = token.job.id,
        .spec = SLICE_LITERAL(SPEC),
        .places = &place,
        .nodes = 1,
        .secret = SLICE_LITERAL("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    };
    buffer_init(&bytes, 1 << 16);
    if (attempt_order_encode(&order, &bytes) == ERR_OK)
        driver_submit(run->driver, &token, buffer_slice(&bytes), 0);
    buffer_deinit(&bytes);
}

/* The first look is behind us: the driver knows the nodes. */
static void on_capacity(void *context, const struct sync_node *nodes, uint32_t count)
{
    struct run *run = context;
    (void)nodes;
    (void)count;
    if (run->is_begun)
        return;
    run->is_begun = true;
    run->begun_at = now(run);
    for (uint32_t i = 0; i < run->wanted; i++)
        submit_one(run, i);
}

static void on_answer(void *context, const struct drive_answer *answer)
{
    struct run *run = context;
    run->accepted += answer->kind == DRIVE_ACCEPTED;
    if (answer->kind != DRIVE_ACCEPTED)
        (void)snprintf(run->why, sizeof(run->why), "%s", answer->why);
    if (++run->answered == run->wanted)
        loop_stop(run->loop);
}

static void on_names(void *context, bool is_known, const struct attempt_token *tokens,
                     uint32_t count)
{
    (void)context;
    (void)is_known;
    (void)tokens;
    (void)count;
}

static void on_owner(void *context, const struct driver_owner *owner)
{
    (void)context;
    (void)owner;
}

static const struct driver_events EVENTS = {
    .on_answer = on_answer, .on_capacity = on_capacity, .on_names = on_names, .on_owner = on_owner};

static enum err measure(struct arena *arena, const char *path, struct run *run, struct fault *fault)
{
    struct slice text;
    struct slurm_config config;
    struct slurm_settings settings = {.config = &config, .site_name = "bench"};
    enum err code = file_read(path, CONFIG_BYTES_MAX, arena, fault, &text);
    if (code == ERR_OK)
        code = slurm_config_decode(text, arena, &config, fault);
    if (code == ERR_OK)
        code = slurm_site_nodes(&config, NULL, arena, &settings.nodes, &settings.node_count, fault);
    if (code == ERR_OK)
        code = loop_create(&run->loop);
    if (code == ERR_OK)
        code = slurm_driver_create(run->loop, &settings, &EVENTS, run, fault, &run->driver);
    if (code != ERR_OK)
        return code;
    run->settings = &settings;
    driver_measure(run->driver);
    code = loop_run(run->loop);
    double seconds = (double)(now(run).ns - run->begun_at.ns) / 1e9;
    printf("{\"submits\":%u,\"accepted\":%u,\"seconds\":%.3f,\"per_s\":%.1f}\n", run->wanted,
           run->accepted, seconds, run->accepted / seconds);
    driver_destroy(run->driver);
    loop_destroy(run->loop);
    return code;
}

int main(int argc, char **argv)
{
    struct run run = {0};
    struct arena arena;
    struct fault fault = {0};
    long count = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    if (count < 1 || count > COUNT_MAX) {
        (void)fprintf(stderr, "usage: slurm_submit SITE-FILE COUNT (at most %d)\n", COUNT_MAX);
        return 2;
    }
    run.wanted = (uint32_t)count;
    arena_init(&arena, ARENA_BYTES);
    enum err code = measure(&arena, argv[1], &run, &fault);
    arena_deinit(&arena);
    if (code != ERR_OK)
        (void)fprintf(stderr, "slurm_submit: %s: %s %s\n", argv[1], fault.field, fault.message);
    else if (run.accepted < run.wanted)
        (void)fprintf(stderr, "slurm_submit: %u were not taken: %s\n", run.wanted - run.accepted,
                      run.why);
    return code == ERR_OK && run.accepted == run.wanted ? 0 : 1;
}
