/* What Slurm's commands print: recorded from 22.05, and the forms of newer versions by their
 * documentation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "drive/slurm_check.h"
#include "port/file.h"

static const char *golden;
static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 16 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static struct slice recorded(const char *name)
{
    char path[512];
    struct slice text;
    (void)snprintf(path, sizeof(path), "%s/%s", golden, name);
    assert_int_equal(file_read(path, 1 << 20, &arena, NULL, &text), ERR_OK);
    return text;
}

#define NAME "lq-1-01jdm5e6sdew0q3yvh5h2q8n7z-1"

static const struct slurm_job *one_job(struct slice json)
{
    struct slurm_jobs jobs;
    struct fault fault = {0};
    assert_int_equal(slurm_jobs_decode(json, &arena, &jobs, &fault), ERR_OK);
    assert_int_equal(jobs.our_count, 1);
    return jobs.ours;
}

static void a_running_job_of_22_05_reads(void **state)
{
    (void)state;
    const struct slurm_job *job = one_job(recorded("squeue-22.05.json"));
    assert_int_equal(job->id, 1);
    assert_int_equal(job->state, SLURM_LIVES);
    assert_true(job->is_running);
    assert_true(slice_is(job->said, "RUNNING"));
    assert_true(slice_is(job->comment, "1311768467463790320"));
    assert_true(slice_is(job->hosts, "alpha2"));
    assert_true(slice_is(job->gres_per_node, "gres:gpu:a100:2"));
    assert_int_equal(job->node_count, 1);
    assert_int_equal(job->cpus, 1);
    assert_int_equal(job->mem_bytes_per_node, 100 << 20);
    assert_true(job->start_s > 0 && job->end_s > job->start_s);
}

static void nodes_of_22_05_read(void **state)
{
    const struct slurm_node *nodes;
    uint32_t count;
    (void)state;
    assert_int_equal(slurm_nodes_decode(recorded("sinfo-22.05.json"), &arena, &nodes, &count, NULL),
                     ERR_OK);
    assert_int_equal(count, 2);
    assert_true(slice_is(nodes[1].name, "alpha2") && slice_is(nodes[1].address, "127.0.0.1"));
    assert_true(nodes[0].is_usable && nodes[1].is_usable);
    assert_int_equal(nodes[1].cpus, 64);
    assert_int_equal(nodes[1].cpus_used, 1);
    assert_true(nodes[1].has_load);
    assert_int_equal(nodes[1].load_milli, 150);
    assert_int_equal(nodes[1].mem_bytes_used, 100 << 20);
    assert_int_equal(
        slurm_gres_count(nodes[1].gres, nodes[1].gres_count, SLICE_LITERAL("gpu:a100")), 4);
    assert_int_equal(
        slurm_gres_count(nodes[1].used, nodes[1].used_count, SLICE_LITERAL("gpu:a100")), 2);
    assert_int_equal(nodes[1].partition_count, 2);
}

static void newer_forms_of_numbers_and_states_read(void **state)
{
    const struct slurm_node *nodes;
    uint32_t count;
    (void)state;
    const struct slurm_job *job = one_job(SLICE_LITERAL(
        "{\"jobs\":[{\"name\":\"" NAME
        "\",\"job_id\":7,\"job_state\":[\"CANCELLED\",\"COMPLETING\"],"
        "\"node_count\":{\"set\":true,\"infinite\":false,\"number\":2},\"cpus\":{\"set\":true,"
        "\"number\":4},\"start_time\":{\"set\":true,\"number\":100},\"end_time\":{\"set\":false,"
        "\"number\":5},\"exit_code\":{\"status\":[\"SIGNALED\"],\"return_code\":{\"set\":true,"
        "\"number\":3},\"signal\":{\"id\":{\"set\":true,\"number\":9},\"name\":\"KILL\"}}}]}"));
    assert_int_equal(job->state, SLURM_LIVES); /* it still has processes */
    assert_int_equal(job->node_count, 2);
    assert_int_equal(job->cpus, 4);
    assert_int_equal(job->start_s, 100);
    assert_int_equal(job->end_s, 0);
    assert_int_equal(job->exit_status, 3);
    assert_int_equal(job->exit_signal, 9);
    assert_int_equal(
        slurm_nodes_decode(SLICE_LITERAL("{\"nodes\":[{\"name\":\"a\",\"state\":[\"IDLE\","
                                         "\"DRAIN\"]},{\"name\":\"b\",\"state\":"
                                         "[\"MIXED\"],\"cpus\":8}]}"),
                           &arena, &nodes, &count, NULL),
        ERR_OK);
    assert_false(nodes[0].is_usable);
    assert_true(slice_is(nodes[0].said, "DRAIN"));
    assert_true(nodes[1].is_usable);
    assert_false(nodes[0].is_away || nodes[1].is_away);
    assert_int_equal(
        slurm_nodes_decode(SLICE_LITERAL("{\"nodes\":[{\"name\":\"a\",\"state\":[\"IDLE\","
                                         "\"NOT_RESPONDING\"]},{\"name\":\"b\"},"
                                         "{\"name\":\"c\",\"state\":\"down\"}]}"),
                           &arena, &nodes, &count, NULL),
        ERR_OK);
    assert_true(nodes[0].is_away && nodes[1].is_away && nodes[2].is_away);
}

static void a_state_that_nobody_knows_is_one_in_which_a_job_lives(void **state)
{
    static const char *const ENDS[] = {"COMPLETED", "CANCELLED", "FAILED",    "TIMEOUT",
                                       "PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "OUT_OF_MEMORY"};
    static const char *const LIVES[] = {
        "PENDING",      "RUNNING", "SUSPENDED",  "COMPLETING", "REQUEUED",
        "REQUEUE_HOLD", "STOPPED", "HYPERSLEEP", "SIGNALING",  ""};
    (void)state;
    for (size_t i = 0; i < sizeof(ENDS) / sizeof(ENDS[0]); i++)
        assert_int_not_equal(slurm_state_parse(slice_of(ENDS[i])), SLURM_LIVES);
    for (size_t i = 0; i < sizeof(LIVES) / sizeof(LIVES[0]); i++)
        assert_int_equal(slurm_state_parse(slice_of(LIVES[i])), SLURM_LIVES);
}

static void jobs_of_others_are_passed_over_but_for_what_they_wait_for(void **state)
{
    struct slurm_jobs jobs;
    (void)state;
    assert_int_equal(
        slurm_jobs_decode(
            SLICE_LITERAL(
                "{\"jobs\":[{\"name\":\"lq-1-x\"},{\"name\":5},{},\"a\\n#SBATCH --uid=0\","
                "{\"name\":\"#SBATCH\\n\",\"job_state\":\"PENDING\",\"state_reason\":"
                "\"Resources\",\"node_count\":2},{\"job_state\":[\"PENDING\"],"
                "\"state_reason\":\"Priority\",\"required_nodes\":\"a[1-2]\"},{\"job_state\":"
                "\"PENDING\",\"state_reason\":\"JobHeldUser\"},{\"job_state\":\"RUNNING\"}]}"),
            &arena, &jobs, NULL),
        ERR_OK);
    assert_int_equal(jobs.our_count, 0);
    assert_int_equal(jobs.demand_count, 2);
    assert_int_equal(jobs.demands[0].node_count, 2);
    assert_int_equal(jobs.demands[0].hosts.len, 0);
    assert_true(slice_is(jobs.demands[1].hosts, "a[1-2]"));
    assert_int_equal(slurm_jobs_decode(SLICE_LITERAL("{\"errors\":[]}"), &arena, &jobs, NULL),
                     ERR_INVALID);
    assert_int_equal(slurm_jobs_decode(SLICE_LITERAL("slurm_load_jobs error"), &arena, &jobs, NULL),
                     ERR_INVALID);
}

static void gres_reads_with_and_without_type_and_place(void **state)
{
    struct slurm_gres list[SLURM_GRES_MAX];
    (void)state;
    assert_int_equal(
        slurm_gres_parse(SLICE_LITERAL("gpu:a100:4(S:0-1),ascend:8(IDX:0-3,5),shard"), list), 3);
    assert_true(slice_is(list[0].type, "gpu:a100"));
    assert_int_equal(list[0].count, 4);
    assert_true(slice_is(list[1].type, "ascend"));
    assert_int_equal(list[1].count, 8);
    assert_int_equal(list[2].count, 1);
    assert_int_equal(slurm_gres_parse(SLICE_LITERAL(""), list), 0);
    assert_int_equal(slurm_gres_parse(SLICE_LITERAL(",,(),:"), list), 1);
}

static void keep_host(void *context, struct slice host)
{
    struct buffer *out = context;
    buffer_append(out, host);
    buffer_append_char(out, ' ');
}

static void lists_of_hosts_are_told_one_by_one(void **state)
{
    struct buffer out;
    (void)state;
    buffer_init(&out, 4096);
    assert_int_equal(
        slurm_hosts_each(SLICE_LITERAL("alpha[1-3,07-08],beta,c[9]x"), keep_host, &out), ERR_OK);
    assert_true(slice_is(buffer_slice(&out), "alpha1 alpha2 alpha3 alpha07 alpha08 beta c9x "));
    assert_int_equal(slurm_hosts_each(SLICE_LITERAL("a[1-"), keep_host, &out), ERR_INVALID);
    assert_int_equal(slurm_hosts_each(SLICE_LITERAL("a[3-1]"), keep_host, &out), ERR_INVALID);
    assert_int_equal(slurm_hosts_each(SLICE_LITERAL("a[1-999999]"), keep_host, &out), ERR_LIMIT);
    buffer_deinit(&out);
}

static void settings_of_the_cluster_are_found_by_their_whole_name(void **state)
{
    struct span_ms span;
    struct slice text =
        SLICE_LITERAL("Configuration data as of now\nKillWait                = 30 sec\n"
                      "OverKillWait = 2\nProctrackType = proctrack/cgroup\n");
    (void)state;
    assert_true(slice_is(slurm_config_value(text, "KillWait"), "30 sec"));
    assert_int_equal(slurm_config_value(text, "Kill").len, 0);
    assert_int_equal(slurm_span_parse(SLICE_LITERAL("30 sec"), &span), ERR_OK);
    assert_int_equal(span.ms, 30000);
    assert_int_equal(slurm_span_parse(SLICE_LITERAL("5 min"), &span), ERR_OK);
    assert_int_equal(span.ms, 300000);
    assert_int_equal(slurm_span_parse(SLICE_LITERAL("soon"), &span), ERR_INVALID);
}

static void a_sites_file_reads_and_what_could_reach_a_command_line_is_refused(void **state)
{
    struct slurm_config config;
    struct fault fault = {0};
    (void)state;
    assert_int_equal(
        slurm_config_decode(SLICE_LITERAL("partitions: [surplus, night]\nwork: /shared/lq\n"
                                          "supervise: /opt/lq-supervise\ngate: 10.0.0.5:7711\n"
                                          "run_as: lingqu\ngres: {\"gpu:a100\": A100 80GB SXM}\n"),
                            &arena, &config, &fault),
        ERR_OK);
    assert_int_equal(config.partitions.count, 2);
    assert_true(slice_is(config.gres[0].key, "gpu:a100"));
    static const char *const BAD[] = {
        "partitions: []\nwork: /w\nsupervise: /s\ngate: 1.2.3.4:5\n",
        "partitions: [p]\nwork: w\nsupervise: /s\ngate: 1.2.3.4:5\n",
        "partitions: [p]\nwork: \"/w %j\"\nsupervise: /s\ngate: 1.2.3.4:5\n",
        "partitions: [p]\nwork: \"/w\\n#SBATCH\"\nsupervise: /s\ngate: 1.2.3.4:5\n",
        "partitions: [--uid=0]\nwork: /w\nsupervise: /s\ngate: 1.2.3.4:5\n",
        "partitions: [p]\nwork: /w\nsupervise: /s\n",
        "partitions: [p]\nwork: /w\nsupervise: /s\ngate: 1.2.3.4:5\nrun-as: x\n",
        "partitions: [p]\nwork: /w\nsupervise: /s\ngate: 1.2.3.4:5\nrun_as: x\ntenants: {a: b}\n",
    };
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        assert_int_equal(slurm_config_decode(slice_of(BAD[i]), &arena, &config, &fault),
                         ERR_INVALID);
}

static bool has_finding(const struct slurm_findings *findings, enum slurm_verdict verdict,
                        const char *part)
{
    for (uint32_t i = 0; i < findings->count; i++)
        if (findings->items[i].verdict == verdict && strstr(findings->items[i].text, part) != NULL)
            return true;
    return false;
}

static void a_cluster_that_can_lend_is_told_from_one_that_cannot(void **state)
{
    struct slurm_findings findings;
    struct slice surplus = SLICE_LITERAL("surplus");
    struct slurm_config config = {.partitions = {&surplus, 1}};
    struct slice good = SLICE_LITERAL(
        "SLURM_VERSION = 22.05.8\nPreemptType = preempt/partition_prio\nPreemptMode = REQUEUE\n"
        "KillWait = 5 sec\nProctrackType = proctrack/cgroup\nTaskPlugin = "
        "task/affinity,task/cgroup\n"
        "SchedulerParameters = bf_interval=1,batch_sched_delay=0,preempt_youngest_first\n"
        "SelectType = select/cons_tres\n");
    struct slice parts =
        SLICE_LITERAL("PartitionName=owner PriorityTier=10 PreemptMode=OFF State=UP\n"
                      "PartitionName=surplus PriorityTier=1 PreemptMode=REQUEUE DefaultTime=NONE "
                      "MaxTime=UNLIMITED "
                      "State=UP\n");
    (void)state;
    slurm_check_settings(&config, good, parts, &findings);
    for (uint32_t i = 0; i < findings.count; i++)
        assert_int_equal(findings.items[i].verdict, SLURM_GOOD);
    slurm_check_settings(&config, SLICE_LITERAL("SLURM_VERSION = 21.08\nPreemptMode = OFF\n"),
                         SLICE_LITERAL("PartitionName=surplus PriorityTier=1 PreemptMode=SUSPEND "
                                       "State=DOWN\n"),
                         &findings);
    assert_true(has_finding(&findings, SLURM_MUST, "22.05 or newer"));
    assert_true(has_finding(&findings, SLURM_ADVICE, "PreemptType=preempt/partition_prio"));
    assert_true(has_finding(&findings, SLURM_MUST, "suspends"));
    assert_true(has_finding(&findings, SLURM_MUST, "State=UP"));
    assert_true(has_finding(&findings, SLURM_ADVICE, "proctrack/cgroup"));
    assert_true(
        has_finding(&findings, SLURM_ADVICE, "every 30 s (bf_interval), others within 3 s"));
    assert_true(has_finding(&findings, SLURM_ADVICE, "preempt_youngest_first"));
    config.surplus.reclaim = SURPLUS_BY_ENGINE; /* the agent is not to do it */
    slurm_check_settings(&config, SLICE_LITERAL("PreemptType = preempt/none\n"), parts, &findings);
    assert_true(has_finding(&findings, SLURM_MUST, "PreemptType=preempt/partition_prio"));
    slurm_check_settings(&config, good, SLICE_LITERAL("PartitionName=owner\n"), &findings);
    assert_true(has_finding(&findings, SLURM_MUST, "there is no partition surplus"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_running_job_of_22_05_reads),
        cmocka_unit_test(nodes_of_22_05_read),
        cmocka_unit_test(newer_forms_of_numbers_and_states_read),
        cmocka_unit_test(a_state_that_nobody_knows_is_one_in_which_a_job_lives),
        cmocka_unit_test(jobs_of_others_are_passed_over_but_for_what_they_wait_for),
        cmocka_unit_test(gres_reads_with_and_without_type_and_place),
        cmocka_unit_test(lists_of_hosts_are_told_one_by_one),
        cmocka_unit_test(settings_of_the_cluster_are_found_by_their_whole_name),
        cmocka_unit_test(a_cluster_that_can_lend_is_told_from_one_that_cannot),
        cmocka_unit_test(a_sites_file_reads_and_what_could_reach_a_command_line_is_refused),
    };
    golden = argc > 1 ? argv[1] : ".";
    return cmocka_run_group_tests_name("drive_slurm_doc", tests, set_up, tear_down);
}
