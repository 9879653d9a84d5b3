/* What an sbatch script asks for. The expectations of splitting and of values were tried against
 * sbatch 22.05. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "wire/sbatch.h"

enum { ARENA_BYTES = 16 << 20 };

struct read {
    struct arena arena;
    struct sbatch sbatch;
    struct sbatch_plan plan;
    struct fault fault;
    enum err err;
};

static void read_script(struct read *read, const char *text)
{
    *read = (struct read){0};
    arena_init(&read->arena, ARENA_BYTES);
    read->err = sbatch_script_check(slice_of(text), &read->fault);
    if (read->err == ERR_OK)
        read->err = sbatch_read_script(slice_of(text), &read->arena, &read->sbatch, &read->fault);
    if (read->err == ERR_OK)
        read->err = sbatch_plan(&read->sbatch, &read->arena, &read->plan, &read->fault);
}

/* One line of options. */
static void read_line(struct read *read, const char *options)
{
    char text[512];
    (void)snprintf(text, sizeof(text), "#!/bin/sh\n#SBATCH %s\ntrue\n", options);
    read_script(read, text);
}

static void only_the_leading_block_is_read(void **state)
{
    struct read read;
    (void)state;
    read_script(&read,
                "#!/bin/sh\n #SBATCH -J no\n\n# x\n#SBATCH -Jq\n#SBATCH --time\n#SBATCH 5\necho\n"
                "#SBATCH --bad\n");
    assert_int_equal(read.err, ERR_OK);
    assert_true(slice_is(read.plan.name, "q"));
    assert_int_equal(read.plan.time_limit.ms, 5 * 60000);
    arena_deinit(&read.arena);
}

static void words_are_split_as_sbatch_splits_them(void **state)
{
    static const struct {
        const char *line, *comment;
    } CASES[] = {{"--comment \"a b\" # -n4", "a b"}, {"--comment=a\\\"b", "a\"b"},
                 {"--comment 'c\\'d'", "c'd"},       {"--comment x#y", "x"},
                 {"--comment=p'q r's", "pq rs"},     {"--comm=short", "short"}};
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct read read;
        read_line(&read, CASES[i].line);
        assert_int_equal(read.err, ERR_OK);
        assert_true(slice_is(read.plan.comment, CASES[i].comment));
        assert_int_equal(read.plan.ntasks, 1);
        arena_deinit(&read.arena);
    }
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
    static const struct {
        const char *line, *words;
    } CASES[] = {
        {"-J \"open", "Unmatched `\"`"},
        {": x", "Unexpected `:`"},
        {"word", "Invalid directive found in batch script: word"},
        {"--bad", "unrecognized option '--bad'"},
        {"--no=2", "ambiguous"},
        {"--time", "requires an argument"},
        {"--parsable=3", "doesn't allow an argument"},
        {"-Z", "invalid option -- 'Z'"},
        {"--mem=4Gx", "Invalid --mem specification"},
        {"--mem=1 --mem-per-cpu=1", "mutually exclusive"},
        {"-t 1.5", "Invalid --time specification"},
        {"-n 0", "Invalid --ntasks specification"},
        {"-a 5-1", "Invalid --array specification"},
        {"-a 0-10000", "Invalid --array specification"},
        {"--signal=B:FOO", "Invalid --signal specification"},
        {"--gres=foo:1", "Invalid --gres specification"},
        {"-d singleton", "Invalid --dependency specification"},
        {"--hold", "--hold is refused"},
        {"-J -x", "Invalid --job-name specification"},
        {"-J 'a\tb'", "control character"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct read read;
        read_line(&read, CASES[i].line);
        assert_int_not_equal(read.err, ERR_OK);
        assert_non_null(strstr(read.fault.message, CASES[i].words));
        assert_int_equal(read.fault.line, 2);
        arena_deinit(&read.arena);
    }
}

static void times_and_sizes_have_slurms_forms(void **state)
{
    static const struct {
        const char *text;
        int64_t minutes;
    } TIMES[] = {{"1", 1},      {"0", 0},         {"1:30", 2},     {"1:2:3", 63},
                 {"1-2", 1560}, {"1-2:3", 1563},  {"0:90", 2},     {"1-2:3:4", 1564},
                 {"-1", 0},     {"UNLIMITED", 0}, {"1:60:70", 122}};
    static const struct {
        const char *text;
        uint64_t mib;
    } SIZES[] = {{"4GB", 4096}, {"1024K", 1}, {"7", 7}, {"1t", 1 << 20}, {"1025k", 2}};
    char line[64];
    struct read read;
    (void)state;
    for (size_t i = 0; i < sizeof(TIMES) / sizeof(TIMES[0]); i++) {
        (void)snprintf(line, sizeof(line), "-t %s", TIMES[i].text);
        read_line(&read, line);
        assert_int_equal(read.err, ERR_OK);
        assert_int_equal(read.plan.time_limit.ms, TIMES[i].minutes * 60000);
        arena_deinit(&read.arena);
    }
    for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
        (void)snprintf(line, sizeof(line), "--mem=%s", SIZES[i].text);
        read_line(&read, line);
        assert_int_equal(read.err, ERR_OK);
        assert_int_equal(read.plan.mem_mib, SIZES[i].mib);
        arena_deinit(&read.arena);
    }
}

static void shapes_are_worked_out_a_node(void **state)
{
    struct read read;
    (void)state;
    read_line(&read, "-N 2-4 --ntasks-per-node=3 -c2 --gpus=a100:8 --mem-per-gpu=1G");
    assert_int_equal(read.err, ERR_OK);
    assert_int_equal(read.plan.nodes, 2);
    assert_int_equal(read.plan.ntasks, 6);
    assert_int_equal(read.plan.cpus, 6);
    assert_int_equal(read.plan.gpus, 4);
    assert_int_equal(read.plan.mem_mib, 4096);
    assert_true(slice_is(read.plan.gpu_type, "a100"));
    arena_deinit(&read.arena);
}

static void an_array_is_sorted_and_each_number_stands_once(void **state)
{
    struct read read;
    (void)state;
    read_line(&read, "--array=20,1-7:3,4,21%2");
    assert_int_equal(read.err, ERR_OK);
    assert_int_equal(read.plan.array_count, 5);
    assert_int_equal(read.plan.array_parallel, 2);
    assert_int_equal(read.plan.array_min, 1);
    assert_int_equal(read.plan.array_max, 21);
    assert_int_equal(read.plan.range_count, 2);
    assert_int_equal(read.plan.ranges[0].first, 1);
    assert_int_equal(read.plan.ranges[0].step, 3);
    assert_int_equal(read.plan.ranges[0].count, 3);
    assert_int_equal(read.plan.ranges[1].count, 2);
    arena_deinit(&read.arena);
}

static void the_command_line_comes_over_the_script(void **state)
{
    static const char *const ARGUMENTS[] = {"-n", "3", "--wait", "job.sh", "-n", "9"};
    struct read read;
    size_t used = 0;
    (void)state;
    read_line(&read, "-n 2 -J kept");
    assert_int_equal(sbatch_read_environment(SLICE_LITERAL("SBATCH_TIMELIMIT"), SLICE_LITERAL("9"),
                                             &read.sbatch, NULL),
                     ERR_OK);
    assert_int_equal(sbatch_read_arguments(ARGUMENTS, 6, &read.sbatch, &used, NULL), ERR_OK);
    assert_int_equal(used, 3);
    assert_int_equal(sbatch_plan(&read.sbatch, &read.arena, &read.plan, NULL), ERR_OK);
    assert_int_equal(read.plan.ntasks, 3);
    assert_true(read.plan.is_waiting && slice_is(read.plan.name, "kept"));
    assert_int_equal(read.plan.time_limit.ms, 9 * 60000);
    arena_deinit(&read.arena);
}

static void every_option_stands_once_in_the_order_of_names(void **state)
{
    size_t count;
    const struct sbatch_option *options = sbatch_options(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || strcmp(options[i - 1].name, options[i].name) < 0);
        for (size_t k = 0; k < i; k++)
            assert_true(options[i].letter == 0 || options[i].letter != options[k].letter);
        assert_true(options[i].treatment == SBATCH_HONOURED || options[i].about[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_leading_block_is_read),
        cmocka_unit_test(words_are_split_as_sbatch_splits_them),
        cmocka_unit_test(what_is_wrong_is_told_with_its_line),
        cmocka_unit_test(times_and_sizes_have_slurms_forms),
        cmocka_unit_test(shapes_are_worked_out_a_node),
        cmocka_unit_test(an_array_is_sorted_and_each_number_stands_once),
        cmocka_unit_test(the_command_line_comes_over_the_script),
        cmocka_unit_test(every_option_stands_once_in_the_order_of_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
