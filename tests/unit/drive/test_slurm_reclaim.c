/* Who stands in a cluster owner's way, and for how long, look by look. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "drive/slurm_reclaim.h"

enum { NODES = 2, CPUS = 8, JOBS_MAX = 8 };

struct fixture {
    struct arena arena;
    struct slurm_reclaims *memory;
    struct slurm_node nodes[NODES];
    struct slurm_job ours[JOBS_MAX];
    struct slurm_demand demands[JOBS_MAX];
    struct slurm_start starts[JOBS_MAX];
    struct slurm_jobs jobs;
    struct slice lent;
    struct slurm_reclaim_look look;
    struct slurm_reclaim_found found;
};

static int set_up(void **state)
{
    static const char *const NAMES[NODES] = {"n1", "n2"};
    struct fixture *f = test_calloc(1, sizeof(*f));
    arena_init(&f->arena, 16 << 20);
    f->memory = slurm_reclaims_create();
    for (int i = 0; i < NODES; i++)
        f->nodes[i] =
            (struct slurm_node){.name = slice_of(NAMES[i]),
                                .is_usable = true,
                                .cpus = CPUS,
                                .mem_bytes = UINT64_C(4) << 30,
                                .gres = {{SLICE_LITERAL("gpu:a100"), 4}},
                                .gres_count = 1,
                                .partitions = {SLICE_LITERAL("owner"), SLICE_LITERAL("surplus")},
                                .partition_count = 2};
    f->jobs = (struct slurm_jobs){.ours = f->ours, .demands = f->demands, .starts = f->starts};
    f->lent = SLICE_LITERAL("surplus");
    f->look = (struct slurm_reclaim_look){.jobs = &f->jobs,
                                          .nodes = f->nodes,
                                          .node_count = NODES,
                                          .lent = {&f->lent, 1},
                                          .promise = SPAN_S(30)};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    slurm_reclaims_destroy(f->memory);
    arena_deinit(&f->arena);
    test_free(f);
    return 0;
}

static void pool_job(struct fixture *f, uint32_t number, const char *host, uint32_t cpus,
                     int64_t start_s)
{
    f->ours[f->jobs.our_count++] = (struct slurm_job){.token = {1, {{{9}}}, number},
                                                      .id = number,
                                                      .state = SLURM_LIVES,
                                                      .is_running = true,
                                                      .hosts = slice_of(host),
                                                      .node_count = 1,
                                                      .cpus = cpus,
                                                      .start_s = start_s};
    f->nodes[host[1] - '1'].cpus_used += cpus;
}

static struct slurm_demand *owner_waits(struct fixture *f, uint64_t id, uint32_t nodes,
                                        uint32_t cpus)
{
    struct slurm_demand *demand = &f->demands[f->jobs.demand_count++];
    *demand = (struct slurm_demand){.id = id,
                                    .priority = 1000 - id,
                                    .partitions = SLICE_LITERAL("owner"),
                                    .node_count = nodes,
                                    .cpus = cpus,
                                    .eligible_s = 100};
    return demand;
}

static void look(struct fixture *f, int64_t at_ms)
{
    f->look.now.ns = at_ms * 1000000;
    assert_int_equal(slurm_reclaims_look(f->memory, &f->look, &f->arena, &f->found), ERR_OK);
}

/* All that waits has begun on the node; pool work is gone from it. */
static void owner_begins(struct fixture *f, const char *host, int64_t start_s)
{
    for (uint32_t i = 0; i < f->jobs.demand_count; i++)
        f->starts[f->jobs.start_count++] =
            (struct slurm_start){.id = f->demands[i].id,
                                 .hosts = slice_of(host),
                                 .eligible_s = f->demands[i].eligible_s,
                                 .start_s = start_s};
    f->jobs.demand_count = f->jobs.our_count = 0;
}

static void who_fits_on_free_nodes_is_held_up_by_nobody(void **state)
{
    struct fixture *f = *state;
    pool_job(f, 1, "n1", CPUS, 50);
    owner_waits(f, 7, 1, CPUS);
    look(f, 1000);
    assert_false(f->found.is_held_up);
    assert_int_equal(f->found.in_way_count, 0);
    assert_true(f->found.is_placed[0]);
    assert_false(f->found.is_promised[0]);
    assert_true(f->found.is_promised[1]);
}

static void who_waits_for_his_own_kind_is_held_up_by_nobody(void **state)
{
    struct fixture *f = *state;
    pool_job(f, 1, "n1", 4, 50);
    f->nodes[0].cpus_used = CPUS; /* the other half is an owner's */
    f->nodes[1].cpus_used = CPUS;
    owner_waits(f, 7, 1, CPUS);
    look(f, 1000);
    assert_false(f->found.is_held_up);
    assert_false(f->found.is_placed[0]);
    look(f, 100000);
    owner_begins(f, "n2", 200);
    look(f, 101000);
    assert_int_equal(f->found.reclaim_count, 0);
}

static void held_time_runs_while_pool_work_stands_in_the_way(void **state)
{
    struct fixture *f = *state;
    pool_job(f, 1, "n1", CPUS, 50);
    f->nodes[1].cpus_used = CPUS;
    look(f, 1000);
    owner_waits(f, 7, 1, CPUS);
    look(f, 2000);
    assert_true(f->found.is_held_up);
    assert_int_equal(f->found.in_way_count, 1);
    f->ours[0].is_running = false; /* it is leaving: nothing more is to be done */
    look(f, 5000);
    assert_true(f->found.is_held_up);
    assert_int_equal(f->found.in_way_count, 0);
    owner_begins(f, "n1", 106);
    look(f, 6000);
    assert_int_equal(f->found.reclaim_count, 1);
    const struct reclaim *reclaim = &f->found.reclaims[0];
    assert_true(slice_is(reclaim->name, "slurm-7-100"));
    assert_int_equal(reclaim->wait.ms, 6000);
    assert_int_equal(reclaim->held.ms, 5000); /* from the look before it was seen */
    assert_int_equal(reclaim->attempts, 1);
    assert_false(reclaim->is_open || reclaim_is_breach(reclaim));
    look(f, 7000);
    assert_int_equal(f->found.reclaim_count, 0); /* once */
}

static void a_promise_is_broken_before_the_owner_has_begun(void **state)
{
    struct fixture *f = *state;
    pool_job(f, 1, "n1", CPUS, 50);
    pool_job(f, 2, "n2", CPUS, 50);
    owner_waits(f, 7, 2, 2 * CPUS);
    look(f, 1000);
    look(f, 16000);
    assert_false(f->found.is_late);
    look(f, 16001);
    assert_true(f->found.is_late);
    look(f, 31000);
    assert_int_equal(f->found.reclaim_count, 0);
    look(f, 31001);
    assert_int_equal(f->found.reclaim_count, 1);
    assert_true(f->found.reclaims[0].is_open && reclaim_is_breach(&f->found.reclaims[0]));
    look(f, 32000);
    assert_int_equal(f->found.reclaim_count, 0); /* told already */
    f->jobs.demand_count = 0;                    /* the owner gave up */
    look(f, 33000);
    assert_int_equal(f->found.reclaim_count, 1);
    assert_false(f->found.reclaims[0].is_open);
}

static void the_youngest_work_goes_and_no_more_than_must(void **state)
{
    struct fixture *f = *state;
    pool_job(f, 1, "n1", 4, 50);
    pool_job(f, 2, "n1", 4, 90);
    pool_job(f, 3, "n2", 8, 60);
    owner_waits(f, 7, 1, 4);
    look(f, 1000);
    assert_int_equal(f->found.in_way_count, 1);
    assert_int_equal(f->found.in_way[0].number, 2);
    owner_waits(f, 8, 1, 4);
    look(f, 2000);
    assert_int_equal(f->found.in_way_count, 2);
}

static void who_asked_first_by_priority_is_placed_first(void **state)
{
    struct fixture *f = *state;
    pool_job(f, 1, "n1", CPUS, 50);
    owner_waits(f, 7, 1, CPUS)->priority = 1;
    owner_waits(f, 8, 1, CPUS)->priority = 2;
    look(f, 1000);
    assert_true(f->found.is_held_up);
    owner_begins(f, "n1", 104);
    f->jobs.start_count = 0; /* neither has begun: they are cancelled */
    look(f, 2000);
    assert_int_equal(f->found.reclaim_count, 0);
}

static void named_excluded_and_other_partitions_nodes_are_heeded(void **state)
{
    struct fixture *f = *state;
    pool_job(f, 1, "n1", CPUS, 50);
    pool_job(f, 2, "n2", CPUS, 60);
    owner_waits(f, 7, 1, 1)->hosts = SLICE_LITERAL("n1");
    look(f, 1000);
    assert_int_equal(f->found.in_way_count, 1);
    assert_int_equal(f->found.in_way[0].number, 1);
    f->demands[0].hosts = (struct slice){0};
    f->demands[0].excluded = SLICE_LITERAL("n[2-3]");
    look(f, 2000);
    assert_int_equal(f->found.in_way[0].number, 1);
    f->demands[0].partitions = SLICE_LITERAL("elsewhere");
    look(f, 3000);
    assert_int_equal(f->found.in_way_count, 0);
    f->demands[0].partitions = SLICE_LITERAL("surplus"); /* of the pool's own rank */
    look(f, 4000);
    assert_int_equal(f->found.in_way_count, 0);
    f->look.is_by_agent = true;
    look(f, 5000);
    assert_int_equal(f->found.in_way_count, 1);
}

static void devices_stand_in_the_way_as_processors_do(void **state)
{
    struct fixture *f = *state;
    pool_job(f, 1, "n1", 1, 50);
    f->ours[0].gres_per_node = SLICE_LITERAL("gres:gpu:a100:3");
    f->nodes[0].used[0] = (struct slurm_gres){SLICE_LITERAL("gpu:a100"), 3};
    f->nodes[0].used_count = 1;
    f->nodes[1].is_usable = false;
    owner_waits(f, 7, 1, 1)->gres_per_node = SLICE_LITERAL("gres:gpu:1");
    look(f, 1000);
    assert_false(f->found.is_held_up);
    f->demands[0].gres_per_node = SLICE_LITERAL("gres:gpu:2");
    look(f, 2000);
    assert_int_equal(f->found.in_way_count, 1);
    f->demands[0].gres_per_node = SLICE_LITERAL("gres:gpu:5");
    look(f, 3000);
    assert_false(f->found.is_placed[0]);
}

static void an_exclusive_job_needs_the_whole_node(void **state)
{
    struct fixture *f = *state;
    pool_job(f, 1, "n1", 1, 50);
    pool_job(f, 2, "n2", 1, 60);
    owner_waits(f, 7, 1, 1)->is_exclusive = true;
    look(f, 1000);
    assert_int_equal(f->found.in_way_count, 1);
    assert_int_equal(f->found.in_way[0].number, 2);
}

static void a_reclaim_between_two_looks_is_told_by_slurms_own_record(void **state)
{
    struct fixture *f = *state;
    look(f, 1000);
    pool_job(f, 1, "n1", CPUS, 50);
    f->ours[0].state = SLURM_PREEMPTED;
    f->ours[0].is_running = false;
    f->ours[0].preempt_s = 101;
    f->ours[0].end_s = 103;
    owner_waits(f, 7, 1, CPUS);
    f->starts[f->jobs.start_count++] = (struct slurm_start){
        .id = 7, .hosts = SLICE_LITERAL("n1"), .eligible_s = 101, .start_s = 103};
    f->jobs.demand_count = 0;
    look(f, 6000);
    assert_int_equal(f->found.reclaim_count, 1);
    assert_int_equal(f->found.reclaims[0].wait.ms, 2000);
    assert_in_range(f->found.reclaims[0].held.ms, 2000, 2999);
    look(f, 7000);
    assert_int_equal(f->found.reclaim_count, 0);
}

static void who_began_where_no_pool_work_was_is_no_reclaim(void **state)
{
    struct fixture *f = *state;
    look(f, 1000);
    f->starts[f->jobs.start_count++] = (struct slurm_start){
        .id = 7, .hosts = SLICE_LITERAL("n1"), .eligible_s = 101, .start_s = 103};
    look(f, 2000);
    assert_int_equal(f->found.reclaim_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(who_fits_on_free_nodes_is_held_up_by_nobody),
        TEST(who_waits_for_his_own_kind_is_held_up_by_nobody),
        TEST(held_time_runs_while_pool_work_stands_in_the_way),
        TEST(a_promise_is_broken_before_the_owner_has_begun),
        TEST(the_youngest_work_goes_and_no_more_than_must),
        TEST(who_asked_first_by_priority_is_placed_first),
        TEST(named_excluded_and_other_partitions_nodes_are_heeded),
        TEST(devices_stand_in_the_way_as_processors_do),
        TEST(an_exclusive_job_needs_the_whole_node),
        TEST(a_reclaim_between_two_looks_is_told_by_slurms_own_record),
        TEST(who_began_where_no_pool_work_was_is_no_reclaim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
