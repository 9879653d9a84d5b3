/* Flags by the table, tables by their widths, and text that is safe to show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/chart.h"
#include "cli/cli.h"
#include "cli/reap.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct command *const CLI_COMMANDS[] = {NULL};

static const struct flag FLAGS[] = {
    {"follow", 'f', FLAG_BOOL, NULL, "go on"},  {"name", 'n', FLAG_TEXT, "NAME", "a name"},
    {"limit", 0, FLAG_NUMBER, "N", "a number"}, {"every", 0, FLAG_SPAN, "TIME", "a time"},
    {"node", 0, FLAG_LIST, "SPEC", "many"},
};
static const struct command COMMAND = {.name = "try",
                                       .usage = "THING [flags]",
                                       .flags = FLAGS,
                                       .flag_count = COUNT(FLAGS),
                                       .positional_min = 1,
                                       .positional_max = 2};

static int setup(void **state)
{
    static struct cli cli;
    memset(&cli, 0, sizeof(cli));
    arena_init(&cli.arena, CLI_ARENA_BYTES_MAX);
    cli.command = &COMMAND;
    *state = &cli;
    return 0;
}

static int teardown(void **state)
{
    struct cli *cli = *state;
    arena_deinit(&cli->arena);
    return 0;
}

static int parse(struct cli *cli, const char *const *words)
{
    char *argv[16];
    int argc = 0;
    for (; words[argc] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    return cli_parse(cli, argc, argv);
}
#define PARSE(cli, ...) parse(cli, (const char *const[]){__VA_ARGS__, NULL})

static void flags_are_taken_in_each_of_their_forms(void **state)
{
    struct cli *cli = *state;
    assert_int_equal(PARSE(cli, "-f", "a", "--name=x=y", "--limit", "7", "--every", "2m", "--node",
                           "p", "--node=q", "--json"),
                     EXIT_DONE);
    assert_true(cli_has(cli, "follow"));
    assert_string_equal(cli_text(cli, "name", ""), "x=y");
    assert_int_equal(cli_number(cli, "limit", 0), 7);
    assert_int_equal(cli_flag(cli, "every")->span.ms, 120000);
    assert_int_equal(cli_flag(cli, "node")->list_count, 2);
    assert_string_equal(cli_flag(cli, "node")->list[1], "q");
    assert_true(cli->is_json);
    assert_int_equal(cli->positional_count, 1);
    assert_string_equal(cli->positional[0], "a");
}

static void what_stands_after_two_dashes_is_no_flag(void **state)
{
    struct cli *cli = *state;
    assert_int_equal(PARSE(cli, "--", "-f", "--name"), EXIT_DONE);
    assert_false(cli_has(cli, "follow"));
    assert_string_equal(cli->positional[1], "--name");
}

static void a_single_dash_is_an_argument(void **state)
{
    struct cli *cli = *state;
    assert_int_equal(PARSE(cli, "-"), EXIT_DONE);
    assert_string_equal(cli->positional[0], "-");
}

static void wrong_flags_are_refused(void **state)
{
    struct cli *cli = *state;
    assert_int_equal(PARSE(cli, "a", "--folow"), EXIT_USAGE);
    assert_int_equal(PARSE(cli, "a", "-x"), EXIT_USAGE);
    assert_int_equal(PARSE(cli, "a", "-fn"), EXIT_USAGE);
    assert_int_equal(PARSE(cli, "a", "--follow=yes"), EXIT_USAGE);
    assert_int_equal(PARSE(cli, "a", "--name"), EXIT_USAGE);
    assert_int_equal(PARSE(cli, "a", "--limit", "-1"), EXIT_USAGE);
    assert_int_equal(PARSE(cli, "a", "--limit", "18446744073709551616"), EXIT_USAGE);
    assert_int_equal(PARSE(cli, "a", "--every", "10"), EXIT_USAGE);
}

static void too_few_and_too_many_arguments_are_refused(void **state)
{
    struct cli *cli = *state;
    assert_int_equal(PARSE(cli, "-f"), EXIT_USAGE);
    assert_int_equal(PARSE(cli, "a", "b", "c"), EXIT_USAGE);
}

static void more_values_of_a_list_than_fit_are_refused(void **state)
{
    struct cli *cli = *state;
    char *argv[2 * (CLI_LIST_MAX + 1)];
    char flag[] = "--node", value[] = "v";
    for (int i = 0; i <= CLI_LIST_MAX; i++) {
        argv[2 * i] = flag;
        argv[2 * i + 1] = value;
    }
    assert_int_equal(cli_parse(cli, 2 * CLI_LIST_MAX, argv),
                     EXIT_USAGE); /* the argument is missing */
    assert_int_equal(cli_flag(cli, "node")->list_count, CLI_LIST_MAX);
    assert_int_equal(cli_parse(cli, 2 * (CLI_LIST_MAX + 1), argv), EXIT_USAGE);
    assert_int_equal(cli_flag(cli, "node")->list_count, CLI_LIST_MAX);
}

static void control_characters_are_not_shown(void **state)
{
    struct cli *cli = *state;
    struct slice safe = cli_safe(cli, SLICE_LITERAL("a\x1b[31m\n\x7f\xc2\x9b z\xe7\x81\xb5"));
    assert_true(slice_is(safe, "a?[31m???? z\xe7\x81\xb5"));
    safe = cli_safe_lines(cli, SLICE_LITERAL("a\nb\tc\x1b"));
    assert_true(slice_is(safe, "a\nb\tc?"));
}

/* What `print` writes to standard output. */
static size_t captured(void (*print)(struct cli *), struct cli *cli, char *out, size_t size)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    (void)fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    assert_true(dup2(fds[1], STDOUT_FILENO) >= 0);
    print(cli);
    (void)fflush(stdout);
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    close(saved);
    close(fds[1]);
    ssize_t len = read(fds[0], out, size - 1);
    close(fds[0]);
    assert_true(len >= 0);
    out[len] = 0;
    return (size_t)len;
}

static void print_table(struct cli *cli)
{
    static const char *const HEADS[] = {"NAME", "N", "TITLE"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT, TABLE_RIGHT, TABLE_LEFT};
    struct table *table = table_create(cli, HEADS, ALIGNS, COUNT(HEADS));
    table_cell_text(table, "\xe7\x81\xb5\xe6\xb8\xa0"); /* two wide characters: four columns */
    table_cell_printf(table, "%d", 12345);
    table_cell_text(table, "a long title");
    table_cell_text(table, "abcdef");
    table_cell_text(table, "1");
    table_cell_text(table, "");
    table_print(table);
}

static void columns_are_as_wide_as_what_stands_in_them(void **state)
{
    char text[1024];
    captured(print_table, *state, text, sizeof(text));
    assert_string_equal(text, "NAME        N  TITLE\n"
                              "\xe7\x81\xb5\xe6\xb8\xa0    12345  a long title\n"
                              "abcdef      1  \n");
}

static void a_row_is_one_line_of_the_terminal(void **state)
{
    struct cli *cli = *state;
    char text[1024];
    cli->is_terminal = true;
    cli->columns = 18;
    captured(print_table, cli, text, sizeof(text));
    assert_string_equal(text, "NAME        N  TIT\n"
                              "\xe7\x81\xb5\xe6\xb8\xa0    12345  a l\n"
                              "abcdef      1  \n");
    for (cli->columns = 1; cli->columns < 30; cli->columns++) {
        size_t column = 0;
        captured(print_table, cli, text, sizeof(text));
        for (const char *c = strchr(text, '\n') + 1; *c != 0; c++) {
            column = *c == '\n' ? 0 : column + 1;
            assert_true(column <= cli->columns + 4); /* bytes; the wide ones have three for two */
        }
    }
}

static void only_our_own_supervisors_are_reaped(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* Named and placed like one, but another program. */
        execl("/bin/sh", "lq", "-c", "exec sleep 30", "supervise", "/nowhere/site/attempts",
              (char *)NULL);
        _exit(127);
    }
    reap_below("/usr/bin/not-this", "/nowhere/site");
    assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* ---- charts */

static void a_chart_stacks_two_parts_and_says_what_is_not_known(void **state)
{
    static const struct chart_point POINTS[] = {
        {true, 20, 60}, {false, 0, 0}, {true, 100, 100}, {true, 0, 0}};
    struct buffer out;
    (void)state;
    buffer_init(&out, 1 << 16);
    chart_stacked(POINTS, COUNT(POINTS), CHART_MARGIN + CHART_COLUMNS_MIN, true, &out);
    assert_true(slice_is(buffer_slice(&out), "100 % |    oo  \n"
                                             "      |    oo  \n"
                                             "      |    oo  \n"
                                             "      |    oo  \n"
                                             "      |##  oo  \n"
                                             " 50 % |##  oo  \n"
                                             "      |##  oo  \n"
                                             "      |##  oo  \n"
                                             "      |oo  oo  \n"
                                             "      |oo??oo  \n"
                                             "  0 % +--------\n"));
    buffer_deinit(&out);
}

static void a_chart_shows_the_newest_where_not_all_fit(void **state)
{
    struct chart_point points[40] = {{0}};
    struct buffer out;
    (void)state;
    points[39] = (struct chart_point){true, 0, 100};
    buffer_init(&out, 1 << 16);
    chart_stacked(points, COUNT(points), 5, false, &out); /* narrower than any chart */
    struct slice text = buffer_slice(&out), first, rest;
    assert_true(slice_cut(text, '\n', &first, &rest));
    assert_true(slice_is(first, "100 % │         █"));
    buffer_deinit(&out);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chart_stacks_two_parts_and_says_what_is_not_known),
        cmocka_unit_test(a_chart_shows_the_newest_where_not_all_fit),
        T(flags_are_taken_in_each_of_their_forms),
        T(what_stands_after_two_dashes_is_no_flag),
        T(a_single_dash_is_an_argument),
        T(wrong_flags_are_refused),
        T(too_few_and_too_many_arguments_are_refused),
        T(more_values_of_a_list_than_fit_are_refused),
        T(control_characters_are_not_shown),
        T(columns_are_as_wide_as_what_stands_in_them),
        T(a_row_is_one_line_of_the_terminal),
        T(only_our_own_supervisors_are_reaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
