/* Tiny worlds with known answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "place/place_age.h"
#include "sim/federate.h"
#include "sim/replay.h"
#include "sim/srpt.h"

enum { MINUTE = 60000, HOUR = 3600000, JOBS = 8, NODES = 2 };

struct world {
    struct arena arena;
    struct site_node nodes[NODES];
    struct region region;
    struct site site;
    struct topology_tenant tenant;
    struct topology topology;
    struct replay_job jobs[JOBS];
    struct replay_setup setup;
    struct replay_result result;
    struct fault fault;
};

/* One site of two nodes with two devices each; an hour of a device costs 3.60. */
static void begin(struct world *w)
{
    memset(w, 0, sizeof(*w));
    arena_init(&w->arena, 1 << 24);
    for (int i = 0; i < NODES; i++)
        w->nodes[i] = (struct site_node){.name = SLICE_LITERAL("n"),
                                         .cpu_milli = 4000,
                                         .mem_bytes = 1 << 30,
                                         .accelerator = SLICE_LITERAL("GPU"),
                                         .runtime = RUNTIME_CUDA,
                                         .accelerator_count = 2};
    w->region = (struct region){.name = SLICE_LITERAL("r"),
                                .price_per_kwh = MAYBE_MONEY((struct money){1000000}),
                                .carbon_mg_per_kwh = MAYBE_U64(500000)};
    w->site = (struct site){.name = SLICE_LITERAL("s"),
                            .region = SLICE_LITERAL("r"),
                            .ask_per_accelerator_hour = MAYBE_MONEY((struct money){3600000}),
                            .nodes = w->nodes,
                            .node_count = NODES};
    w->tenant = (struct topology_tenant){.tenant = {.name = SLICE_LITERAL("t"), .weight = 1}};
    w->topology = (struct topology){.regions = &w->region,
                                    .region_count = 1,
                                    .sites = &w->site,
                                    .site_count = 1,
                                    .tenants = &w->tenant,
                                    .tenant_count = 1};
    policy_default(&w->topology.policy);
    w->setup = (struct replay_setup){.topology = &w->topology,
                                     .start = {INT64_C(1672531200000000)},
                                     .jobs = w->jobs,
                                     .runtime = RUNTIME_CUDA,
                                     .bucket_ms = HOUR};
}

static struct replay_job *add(struct world *w, int64_t arrival_ms, int64_t duration_ms,
                              uint32_t nodes, uint32_t devices)
{
    struct replay_job *job = &w->jobs[w->setup.job_count++];
    *job = (struct replay_job){.arrival_ms = arrival_ms,
                               .duration_ms = duration_ms,
                               .expected_ms = duration_ms,
                               .limit_ms = duration_ms,
                               .nodes = nodes,
                               .devices = devices,
                               .mem_bytes = 1 << 20,
                               .priority = PRIORITY_STANDARD};
    return job;
}

static void run(struct world *w)
{
    assert_int_equal(replay_run(&w->setup, &w->arena, &w->result, &w->fault), ERR_OK);
}

static void a_job_that_finds_no_room_starts_when_one_ends(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    struct replay_job *first = add(&w, 0, HOUR, 2, 2);
    struct replay_job *second = add(&w, MINUTE, HOUR, 1, 1);
    run(&w);
    assert_int_equal(first->start_ms, 0);
    assert_int_equal(second->start_ms, HOUR);
    assert_int_equal(w.result.end_ms, 2 * HOUR);
    assert_true(w.result.wait_mean_ms == 59.0 * MINUTE / 2);
    assert_true(w.result.device_ms == 5.0 * HOUR);
    assert_true(w.result.ask > 17.999 && w.result.ask < 18.001);
    assert_true(w.result.kwh > 1.999 && w.result.kwh < 2.001);       /* 5 h x 400 W */
    assert_true(w.result.energy > 1.999 && w.result.energy < 2.001); /* at 1.00 */
    assert_true(w.result.carbon_kg > 0.999 && w.result.carbon_kg < 1.001);
    assert_true(w.result.buckets[0].device_ms == 4.0 * HOUR);
    assert_true(w.result.buckets[1].device_ms == 1.0 * HOUR);
    arena_deinit(&w.arena);
}

static void with_a_stretch_short_work_goes_before_long_work(void **state)
{
    struct world w;
    (void)state;
    for (uint32_t stretch = 0; stretch < 2; stretch++) {
        begin(&w);
        w.setup.stretch = stretch * 1000;
        add(&w, 0, HOUR, 2, 2);
        struct replay_job *long_one = add(&w, 1, 3 * HOUR, 2, 2);
        struct replay_job *short_one = add(&w, 2, MINUTE, 2, 2);
        run(&w);
        assert_true((long_one->start_ms > short_one->start_ms) == (stretch > 0));
        arena_deinit(&w.arena);
    }
}

static void the_stretched_age_is_bounded(void **state)
{
    struct job_variant variant = {.accelerators = 2};
    struct job_spec spec = {.num_nodes = 3, .variants = &variant, .variant_count = 1};
    struct wall_us at = {1000};
    (void)state;
    assert_int_equal(place_age(&spec, at, SPAN_MS(7), 0).us, 1000);
    assert_int_equal(place_age(&spec, at, SPAN_MS(7), 2).us, 1000 + 7000 * 6 * 2);
    assert_int_equal(place_age(&spec, at, SPAN_MS(0), 2).us, 1000);
    spec.time_limit = SPAN_MS(5);
    assert_int_equal(place_age(&spec, at, SPAN_MS(0), 1).us, 1000 + 5000 * 6);
    assert_true(place_age(&spec, at, SPAN_MS(INT64_MAX), PLACE_STRETCH_MAX).us > 0);
}

static void a_site_that_fails_kills_and_its_jobs_begin_again(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    struct replay_job *job = add(&w, 0, HOUR, 1, 2);
    const struct replay_change changes[] = {{30 * MINUTE, REPLAY_FAIL, 0, 0},
                                            {50 * MINUTE, REPLAY_REPAIR, 0, 0}};
    w.setup.changes = changes;
    w.setup.change_count = 2;
    run(&w);
    assert_int_equal(job->kills, 1);
    assert_int_equal(job->start_ms, 50 * MINUTE);
    assert_int_equal(job->end_ms, 110 * MINUTE);
    assert_true(w.result.device_ms == 2.0 * 90 * MINUTE); /* what was lost was held too */
    arena_deinit(&w.arena);
}

static void owners_take_nodes_and_capacity_grows(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    struct replay_job *pair = add(&w, 0, HOUR, 2, 2), *after = add(&w, 2 * HOUR, HOUR, 2, 2);
    const struct replay_change changes[] = {{0, REPLAY_GROW, 0, 1},
                                            {30 * MINUTE, REPLAY_GROW, 0, 2},
                                            {100 * MINUTE, REPLAY_OWNER, 0, 1},
                                            {150 * MINUTE, REPLAY_OWNER, 0, 0}};
    w.setup.changes = changes;
    w.setup.change_count = 4;
    run(&w);
    assert_int_equal(pair->start_ms, 30 * MINUTE);
    assert_int_equal(pair->kills, 0);
    assert_int_equal(after->start_ms, 150 * MINUTE);
    arena_deinit(&w.arena);
}

static void a_job_that_fits_nowhere_is_counted_and_the_replay_ends(void **state)
{
    struct world w;
    const struct replay_series series = {NULL, NULL, 0};
    (void)state;
    begin(&w);
    w.setup.series = &series;
    add(&w, 0, HOUR, 3, 1);
    add(&w, 1, HOUR, 1, 1);
    run(&w);
    assert_int_equal(w.result.never, 1);
    assert_int_equal(w.result.ended, 1);
    arena_deinit(&w.arena);
}

static void hourly_prices_are_paid_hour_by_hour(void **state)
{
    struct world w;
    const int64_t prices[] = {1000000, 3000000};
    const struct replay_series series = {prices, NULL, 2};
    (void)state;
    begin(&w);
    w.setup.series = &series;
    add(&w, 30 * MINUTE, HOUR, 1, 1); /* 0.2 kWh at 1.00, 0.2 kWh at 3.00 */
    run(&w);
    assert_true(w.result.energy > 0.799 && w.result.energy < 0.801);
    arena_deinit(&w.arena);
}

static void jobs_out_of_order_or_of_no_size_are_refused(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    add(&w, 5, HOUR, 1, 1);
    add(&w, 4, HOUR, 1, 1);
    assert_int_equal(replay_run(&w.setup, &w.arena, &w.result, &w.fault), ERR_INVALID);
    w.jobs[1].arrival_ms = 5;
    w.jobs[1].nodes = 0;
    assert_int_equal(replay_run(&w.setup, &w.arena, &w.result, &w.fault), ERR_INVALID);
    arena_deinit(&w.arena);
}

static void srpt_of_two_jobs_on_one_device_is_what_the_textbook_says(void **state)
{
    struct world w;
    struct srpt_result result;
    (void)state;
    begin(&w);
    add(&w, 0, 10000, 1, 1);
    add(&w, 1000, 2000, 1, 1); /* goes first; the other waits 2 s in the middle */
    assert_int_equal(srpt_run(w.jobs, 2, 1, &result), ERR_OK);
    assert_true(result.wait_mean_ms > 999.9 && result.wait_mean_ms < 1000.1);
    assert_true(result.response_mean_ms > 6999.9 && result.response_mean_ms < 7000.1);
    arena_deinit(&w.arena);
}

static const char TRACE[] = "timestamp,duration,num_gpus,cluster\n"
                            "2017-10-03 00:00:00,5000,8,a\n2017-10-03 00:00:01,5000,8,a\n"
                            "2017-10-03 00:00:02,100,4,b\n2017-10-03 01:00:00,4000,8,a\n"
                            "2017-10-03 02:00:00,100,1,b\n";

static void sites_together_wait_less_than_alone_and_the_same_each_time(void **state)
{
    static struct rtt_table rtt;
    struct federate_options options = {.load_percent = 90, .stretch = 1000};
    struct federate_result one, two;
    struct fault fault = {0};
    struct arena arena;
    (void)state;
    arena_init(&arena, 1 << 26);
    rtt.names[0] = slice_of("East US");
    rtt.names[1] = slice_of("East US 2");
    rtt.count = 2;
    rtt.us[0][1] = rtt.us[1][0] = 7000;
    assert_int_equal(federate_run(slice_of(TRACE), &rtt, &options, &arena, &one, &fault), ERR_OK);
    assert_int_equal(federate_run(slice_of(TRACE), &rtt, &options, &arena, &two, &fault), ERR_OK);
    assert_memory_equal(one.runs, two.runs, sizeof(one.runs));
    assert_int_equal(one.jobs, 5);
    for (int k = 0; k < FEDERATE_KNOWLEDGE_COUNT_; k++) {
        assert_true(one.runs[k].pooled.wait_mean_s <=
                    one.runs[k].siloed.wait_mean_s + 0.007); /* the trip */
        assert_int_equal(one.runs[k].pooled.never, 0);
    }
    rtt.count = 1; /* a cluster whose round trips are not known is refused, not taken as near */
    assert_int_equal(federate_run(slice_of(TRACE), &rtt, &options, &arena, &one, &fault),
                     ERR_INVALID);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_that_finds_no_room_starts_when_one_ends),
        cmocka_unit_test(with_a_stretch_short_work_goes_before_long_work),
        cmocka_unit_test(the_stretched_age_is_bounded),
        cmocka_unit_test(a_site_that_fails_kills_and_its_jobs_begin_again),
        cmocka_unit_test(owners_take_nodes_and_capacity_grows),
        cmocka_unit_test(a_job_that_fits_nowhere_is_counted_and_the_replay_ends),
        cmocka_unit_test(hourly_prices_are_paid_hour_by_hour),
        cmocka_unit_test(jobs_out_of_order_or_of_no_size_are_refused),
        cmocka_unit_test(srpt_of_two_jobs_on_one_device_is_what_the_textbook_says),
        cmocka_unit_test(sites_together_wait_less_than_alone_and_the_same_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
