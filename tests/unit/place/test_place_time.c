/* What the engine promises over time: how long a gang at the head of its class can be kept waiting
 * while smaller jobs keep coming. A failing run prints its seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "place_world.h"

static void seed_print(uint64_t seed)
{
    print_message("seed %llu\n", (unsigned long long)seed);
}

enum { SMALL_LIMIT_S = 1000, GANG_AT_S = 3000, END_S = 20000, FLOW_SITES = 3, FLOW_NODES = 6 };

struct flow {
    struct placer *placer;
    struct now now;
    struct random random;
    struct job_spec small[64], gang;
    struct {
        struct job_id id;
        int64_t ends_s;
    } runs[512];
    uint32_t run_count;
    int64_t limits_s[65536]; /* by number of the job */
};

static const struct job_variant CPU = {.runtime = RUNTIME_CPU, .run = SLICE_LITERAL("true")};

static void flow_init(struct flow *f, uint64_t seed)
{
    struct site_node nodes[FLOW_NODES];
    struct tenant tenant = {.id = {world_id(1, 1)}, .name = SLICE_LITERAL("t"), .weight = 1};
    memset(f, 0, sizeof(*f));
    random_init(&f->random, seed);
    f->placer = placer_create();
    f->now = (struct now){{1000000000}, {INT64_C(1800000000) * 1000000}};
    assert_int_equal(placer_tenant_put(f->placer, &tenant), ERR_OK);
    for (uint32_t n = 0; n < FLOW_NODES; n++)
        nodes[n] = (struct site_node){
            .name = SLICE_LITERAL("n"), .cpu_milli = 4000, .mem_bytes = UINT64_C(8) << 30};
    for (uint32_t s = 0; s < FLOW_SITES; s++) {
        char name[2] = {(char)('a' + s), 0};
        struct site site = {.id = {world_id(3, s)},
                            .name = slice_of(name),
                            .region = slice_of(name),
                            .ask_per_cpu_hour = MAYBE_MONEY(((struct money){1000})),
                            .nodes = nodes,
                            .node_count = FLOW_NODES};
        assert_int_equal(placer_site_put(f->placer, &site, true), ERR_OK);
    }
    for (uint32_t i = 0; i < 64; i++)
        f->small[i] = (struct job_spec){
            .num_nodes = 1 + (uint32_t)random_below(&f->random, 2),
            .cpu_milli = 1000 * (1 + (uint32_t)random_below(&f->random, 4)),
            .mem_bytes = 1 << 20,
            .variants = &CPU,
            .variant_count = 1,
            .priority = PRIORITY_STANDARD,
            .time_limit = SPAN_S(50 + (int64_t)random_below(&f->random, SMALL_LIMIT_S - 50)),
            .expected = SPAN_S(30)}; /* everybody guesses far too low */
    f->gang = f->small[0];
    f->gang.num_nodes = FLOW_NODES;
    f->gang.cpu_milli = 4000;
}

/* Runs until the gang starts; the second of its start, or -1. `jump_us`: what the wall clock does
 * when it is submitted. */
static int64_t flow_run(struct flow *f, int64_t jump_us)
{
    struct job_id gang = {world_id(9, 1)};
    uint32_t number = 0;
    for (int64_t s = 0; s < END_S; s += 5) {
        f->now.wall.us += 5000000;
        f->now.boot.ns += INT64_C(5000000000);
        for (uint32_t i = f->run_count; i > 0; i--)
            if (f->runs[i - 1].ends_s <= s) {
                placer_release(f->placer, f->runs[i - 1].id, f->now.wall);
                f->runs[i - 1] = f->runs[--f->run_count];
            }
        for (uint64_t n = random_below(&f->random, 3); n > 0; n--) {
            const struct job_spec *spec = &f->small[random_below(&f->random, 64)];
            f->limits_s[number] = spec->time_limit.ms / 1000;
            struct place_job job = {.id = {world_id(4, number++)},
                                    .spec = spec,
                                    .tenant = {world_id(1, 1)},
                                    .created_at = f->now.wall};
            assert_int_equal(placer_job_put(f->placer, &job), ERR_OK);
        }
        if (s == GANG_AT_S) {
            struct place_job job = {.id = gang,
                                    .spec = &f->gang,
                                    .tenant = {world_id(1, 1)},
                                    /* the oldest: at the head of its class */
                                    .created_at = {-INT64_C(1000000000000000)}};
            assert_int_equal(placer_job_put(f->placer, &job), ERR_OK);
            f->now.wall.us += jump_us;
        }
        struct place_decision d;
        while (placer_propose(f->placer, f->now, &d)) {
            placer_confirm(f->placer, d.job, f->now);
            if (id_is_equal(d.job.id, gang.id))
                return s;
            /* Half of them go to their limit, the others end sooner. */
            int64_t limit_s = f->limits_s[d.job.id.bytes[6] * 256 + d.job.id.bytes[7]];
            if (random_chance(&f->random, 500000))
                limit_s = 1 + (int64_t)random_below(&f->random, (uint64_t)limit_s);
            assert_true(f->run_count < 512);
            f->runs[f->run_count].id = d.job;
            f->runs[f->run_count++].ends_s = s + limit_s;
        }
    }
    return -1;
}

static void a_gang_at_the_head_starts_within_the_longest_limit_that_runs(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct flow *f = calloc(1, sizeof(*f));
        assert_non_null(f);
        flow_init(f, seed);
        int64_t start = flow_run(f, 0);
        seed_print(seed);
        assert_in_range(start, GANG_AT_S, GANG_AT_S + SMALL_LIMIT_S + 5);
        placer_destroy(f->placer);
        free(f);
    }
}

/* Until the work from before the jump has ended, what it may still take can only be guessed. */
static void a_gang_at_the_head_outwaits_at_most_two_limits_when_the_clock_jumps(void **state)
{
    static const int64_t YEARS_US = INT64_C(3650) * 86400 * 1000000;
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        for (int sign = -1; sign <= 1; sign += 2) {
            struct flow *f = calloc(1, sizeof(*f));
            assert_non_null(f);
            flow_init(f, seed);
            int64_t start = flow_run(f, sign * YEARS_US);
            seed_print(seed);
            assert_in_range(start, GANG_AT_S, GANG_AT_S + 2 * SMALL_LIMIT_S + 5);
            placer_destroy(f->placer);
            free(f);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gang_at_the_head_starts_within_the_longest_limit_that_runs),
        cmocka_unit_test(a_gang_at_the_head_outwaits_at_most_two_limits_when_the_clock_jumps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
