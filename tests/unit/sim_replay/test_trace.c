/* Readers of recorded workloads: what each format says, and where a broken one breaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/rtt_table.h"
#include "sim/trace.h"

struct reading {
    struct arena arena;
    struct trace_reader reader;
    struct fault fault;
    enum err err;
};

static void begin(struct reading *reading, enum trace_format format, const char *text)
{
    *reading = (struct reading){0};
    arena_init(&reading->arena, 1 << 20);
    reading->err =
        trace_open(&reading->reader, format, slice_of(text), &reading->arena, &reading->fault);
}

static bool next(struct reading *reading, struct trace_job *out)
{
    bool has = false;
    reading->err = trace_next(&reading->reader, &has, out, &reading->fault);
    return has;
}

static void refused_at(enum trace_format format, const char *text, uint32_t line, uint32_t column)
{
    struct reading reading;
    struct trace_job job;
    begin(&reading, format, text);
    while (reading.err == ERR_OK && next(&reading, &job))
        continue;
    assert_int_not_equal(reading.err, ERR_OK);
    assert_int_equal(reading.fault.line, line);
    assert_int_equal(reading.fault.column, column);
    arena_deinit(&reading.arena);
}

static void a_philly_line_is_a_job_of_a_cluster(void **state)
{
    struct reading reading;
    struct trace_job job;
    (void)state;
    begin(&reading, TRACE_PHILLY,
          "timestamp,duration,num_gpus,gpu_time,cluster\n"
          "1970-01-02 00:00:01,66.5,16,1064,11cb48\n1970-01-02 00:00:02,0,1,0,x\n");
    assert_true(next(&reading, &job));
    assert_int_equal(job.arrival_ms, 86401000);
    assert_int_equal(job.duration_ms, 66500);
    assert_int_equal(job.devices, 16);
    assert_true(slice_is(job.home, "11cb48"));
    assert_false(next(&reading, &job)); /* the other never ran */
    assert_int_equal(reading.err, ERR_OK);
    assert_int_equal(reading.reader.passed_over, 1);
    arena_deinit(&reading.arena);
}

static void gaia_counts_in_hours(void **state)
{
    struct reading reading;
    struct trace_job job;
    (void)state;
    begin(&reading, TRACE_GAIA, "arrival_time,length,cpus\n0.5,25.25,3\n");
    assert_true(next(&reading, &job));
    assert_int_equal(job.arrival_ms, 1800000);
    assert_int_equal(job.duration_ms, 90900000);
    assert_int_equal(job.cpu_milli, 3000);
    arena_deinit(&reading.arena);
}

static void gavel_and_shockwave_lines_count_steps(void **state)
{
    struct reading reading;
    struct trace_job job;
    (void)state;
    begin(&reading, TRACE_GAVEL,
          "LM (batch size 10)\tpython3\tdir\t--steps\t1\t134583\t4\t1\t-1.0\t7.5\n"
          "LM (batch size 10)\tpython3\tdir\t--steps\t1\t9\t1\tgns\t1\t-1.0\t1418\t64\n");
    assert_true(next(&reading, &job));
    assert_int_equal(job.steps, 134583);
    assert_int_equal(job.devices, 4);
    assert_int_equal(job.arrival_ms, 7500);
    assert_int_equal(job.duration_ms, 0);
    assert_true(next(&reading, &job));
    assert_int_equal(job.duration_ms, 1418000);
    assert_int_equal(job.arrival_ms, 64000);
    assert_true(slice_is(job.tenant, "gns"));
    arena_deinit(&reading.arena);
}

static void swf_takes_what_was_asked_for_and_passes_over_what_never_ran(void **state)
{
    struct reading reading;
    struct trace_job job;
    (void)state;
    begin(&reading, TRACE_SWF,
          "; a comment\n"
          "  1 10 5 100 4 -1 -1 8 200 1024 1 3 1 1 1 2 -1 -1\r\n"
          "  2 11 5  -1 4 -1 -1 8 200   -1 5 3 1 1 1 2 -1 -1\n");
    assert_true(next(&reading, &job));
    assert_int_equal(job.arrival_ms, 10000);
    assert_int_equal(job.duration_ms, 100000);
    assert_int_equal(job.guess_ms, 200000);
    assert_int_equal(job.cpu_milli, 8000);
    assert_int_equal(job.mem_bytes, 8 << 20);
    assert_true(slice_is(job.home, "2"));
    assert_false(next(&reading, &job));
    assert_int_equal(reading.err, ERR_OK);
    arena_deinit(&reading.arena);
}

static void openb_and_history_name_their_columns(void **state)
{
    struct reading reading;
    struct trace_job job;
    (void)state;
    begin(&reading, TRACE_OPENB,
          "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,"
          "deletion_time,scheduled_time\np,4000,2,1,500,V100,LS,Running,5,25,15\n");
    assert_true(next(&reading, &job));
    assert_int_equal(job.duration_ms, 10000);
    assert_int_equal(job.mem_bytes, 2 << 20);
    assert_int_equal(job.devices, 1);
    arena_deinit(&reading.arena);
    begin(&reading, TRACE_HISTORY,
          "arrival_ms,duration_ms,nodes,devices,cpu_milli,mem_bytes,site,tenant,accelerator,"
          "expected_ms\n7,8,2,16,32000,1,guian,blue,910B,9\n");
    assert_true(next(&reading, &job));
    assert_int_equal(job.nodes, 2);
    assert_int_equal(job.guess_ms, 9);
    assert_true(slice_is(job.kind, "910B"));
    arena_deinit(&reading.arena);
}

static void a_broken_trace_is_refused_at_its_line_and_column(void **state)
{
    (void)state;
    refused_at(TRACE_PHILLY, "timestamp,duration\n", 1, 1);
    refused_at(TRACE_PHILLY, "", 1, 1);
    refused_at(TRACE_PHILLY, "timestamp,duration,num_gpus,cluster\n1970-01-02 00:00:01,6,one,a\n",
               2, 23);
    refused_at(TRACE_PHILLY, "timestamp,duration,num_gpus,cluster\n1970-13-02 00:00:01,6,1,a\n", 2,
               1);
    refused_at(TRACE_PHILLY, "timestamp,duration,num_gpus,cluster\n1970-01-02 00:00:01,6\n", 2, 21);
    refused_at(TRACE_GAIA, "arrival_time,length,cpus\n1,2,3\n1,9e99,3\n", 3, 3);
    refused_at(TRACE_GAIA, "arrival_time,length,cpus\n1,2,99999999\n", 2, 5);
    refused_at(TRACE_GAVEL, "a\tb\tc\n", 1, 5);
    refused_at(TRACE_GAVEL, "k\tc\td\ts\t1\tmany\t4\t1\t-1\t0\n", 1, 11);
    refused_at(TRACE_SWF, ";\n1 2 3\n", 2, 5);
    refused_at(TRACE_SWF, "1 x 5 100 4 -1 -1 8 200 1 1 3 1 1 1 2 -1 -1\n", 1, 3);
}

static void decimals_are_exact_and_bounded(void **state)
{
    int64_t value = 0;
    (void)state;
    assert_int_equal(trace_decimal(slice_of("25.4"), 1000, 1 << 20, &value), ERR_OK);
    assert_int_equal(value, 25400);
    assert_int_equal(trace_decimal(slice_of("-1"), 1000, 1 << 20, &value), ERR_OK);
    assert_int_equal(value, -1000);
    assert_int_equal(trace_decimal(slice_of("1."), 1000, 1 << 20, &value), ERR_INVALID);
    assert_int_equal(trace_decimal(slice_of("1e3"), 1000, 1 << 20, &value), ERR_INVALID);
    assert_int_equal(trace_decimal(slice_of(""), 1000, 1 << 20, &value), ERR_INVALID);
    assert_int_equal(trace_decimal(slice_of("18446744073709551615"), 3600000, INT64_MAX, &value),
                     ERR_LIMIT);
}

static void round_trips_are_found_by_name_whatever_the_order_of_rows(void **state)
{
    struct arena arena;
    struct fault fault = {0};
    static struct rtt_table table;
    (void)state;
    arena_init(&arena, 1 << 20);
    assert_int_equal(rtt_table_read(slice_of("Source,A,B\nB,3,\nelsewhere,1,1\nA,,2.5\n"), &arena,
                                    &table, &fault),
                     ERR_OK);
    assert_int_equal(table.us[rtt_table_find(&table, "A")][rtt_table_find(&table, "B")], 2500);
    assert_int_equal(table.us[1][0], 3000);
    assert_int_equal(rtt_table_find(&table, "elsewhere"), -1);
    assert_int_equal(rtt_table_read(slice_of("Source,A,B\nB,3,far\n"), &arena, &table, &fault),
                     ERR_INVALID);
    assert_int_equal(fault.line, 2);
    assert_int_equal(fault.column, 5);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_philly_line_is_a_job_of_a_cluster),
        cmocka_unit_test(gaia_counts_in_hours),
        cmocka_unit_test(gavel_and_shockwave_lines_count_steps),
        cmocka_unit_test(swf_takes_what_was_asked_for_and_passes_over_what_never_ran),
        cmocka_unit_test(openb_and_history_name_their_columns),
        cmocka_unit_test(a_broken_trace_is_refused_at_its_line_and_column),
        cmocka_unit_test(decimals_are_exact_and_bounded),
        cmocka_unit_test(round_trips_are_found_by_name_whatever_the_order_of_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
