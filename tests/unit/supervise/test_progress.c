/* What a program's progress file may hold, and what is made of it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervise/progress.h"

static char folder[] = "/tmp/lq-progress-XXXXXX";
static int scratch;
static struct progress progress;
static struct boot_ns now;

static int set_up(void **state)
{
    (void)state;
    progress = (struct progress){.has_first = false};
    now = (struct boot_ns){1000000000};
    (void)unlinkat(scratch, SUPERVISE_PROGRESS_NAME, 0);
    return 0;
}

/* The program writes at `at_ms` by the file's own clock, and it is looked at a second later. */
static void write_and_look(const char *text, int64_t at_ms)
{
    const struct timespec times[] = {{at_ms / 1000, at_ms % 1000 * 1000000},
                                     {at_ms / 1000, at_ms % 1000 * 1000000}};
    int fd = openat(scratch, SUPERVISE_PROGRESS_NAME, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(futimens(fd, times), 0);
    (void)close(fd);
    now = boot_add(now, SPAN_MS(1000));
    progress_look(&progress, scratch, now, false);
}

static void units_and_time_count_from_the_first_number(void **state)
{
    (void)state;
    write_and_look("500\n", 100000);
    assert_int_equal(progress.told.value, 500);
    assert_int_equal(progress.told.over.ms, 0);
    write_and_look("520", 100900);
    write_and_look("700\n", 102100);
    assert_int_equal(progress.told.value, 700);
    assert_int_equal(progress.told.units, 200);
    assert_int_equal(progress.told.over.ms, 2100);
}

static void a_number_that_falls_or_is_none_changes_nothing(void **state)
{
    static const char *const BAD[] = {
        "",       "\n", "6", "-1", "7e3", "9 9", " 99", "99999999999999999999", "9007199254740993",
        "12\nx\n"};
    (void)state;
    write_and_look("50", 100000);
    write_and_look("60", 101000);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        write_and_look(BAD[i], 102000);
        assert_int_equal(progress.told.value, 60);
        assert_int_equal(progress.told.units, 10);
    }
}

static void a_wall_clock_that_was_set_is_not_believed(void **state)
{
    (void)state;
    write_and_look("1", 100000);
    write_and_look("2", 9000000);
    assert_int_equal(progress.told.over.ms, 1000); /* as it was seen */
    write_and_look("3", 50000);
    assert_int_equal(progress.told.over.ms, 2000);
}

static void what_is_no_plain_file_is_passed_over_and_never_waited_for(void **state)
{
    (void)state;
    assert_int_equal(mkfifoat(scratch, SUPERVISE_PROGRESS_NAME, 0600), 0);
    progress_look(&progress, scratch, now, true);
    assert_false(progress.has_first);
    assert_int_equal(unlinkat(scratch, SUPERVISE_PROGRESS_NAME, 0), 0);
    assert_int_equal(symlinkat("/proc/sys/kernel/pid_max", scratch, SUPERVISE_PROGRESS_NAME), 0);
    progress_look(&progress, scratch, now, true);
    assert_false(progress.has_first);
    assert_int_equal(unlinkat(scratch, SUPERVISE_PROGRESS_NAME, 0), 0);
    assert_int_equal(mkdirat(scratch, SUPERVISE_PROGRESS_NAME, 0700), 0);
    progress_look(&progress, scratch, now, true);
    assert_false(progress.has_first);
    assert_int_equal(unlinkat(scratch, SUPERVISE_PROGRESS_NAME, AT_REMOVEDIR), 0);
}

static void the_last_look_does_not_wait_for_its_time(void **state)
{
    (void)state;
    write_and_look("1", 100000);
    int fd = openat(scratch, SUPERVISE_PROGRESS_NAME, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "9", 1), 1);
    (void)close(fd);
    progress_look(&progress, scratch, now, false);
    assert_int_equal(progress.told.value, 1);
    progress_look(&progress, scratch, now, true);
    assert_int_equal(progress.told.value, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(units_and_time_count_from_the_first_number, set_up),
        cmocka_unit_test_setup(a_number_that_falls_or_is_none_changes_nothing, set_up),
        cmocka_unit_test_setup(a_wall_clock_that_was_set_is_not_believed, set_up),
        cmocka_unit_test_setup(what_is_no_plain_file_is_passed_over_and_never_waited_for, set_up),
        cmocka_unit_test_setup(the_last_look_does_not_wait_for_its_time, set_up),
    };
    if (mkdtemp(folder) == NULL)
        return 1;
    scratch = open(folder, O_RDONLY | O_DIRECTORY);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlinkat(scratch, SUPERVISE_PROGRESS_NAME, 0);
    (void)rmdir(folder);
    return failed;
}
