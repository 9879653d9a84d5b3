/* The host driver with real supervisors and real sandboxes. argv[1]: the supervisor's program. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "scene.h"

static const char *program;

static int set_up(void **state)
{
    *state = scene_make(program);
    return 0;
}

static int tear_down(void **state)
{
    scene_free(*state);
    return 0;
}

static void a_program_runs_and_its_end_is_told(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, &(struct scene_job){.run = "echo hello; echo oops >&2; pwd"});
    assert_int_equal(scene->exits[0].outcome, OUTCOME_SUCCEEDED);
    assert_int_equal(scene->exits[0].exit_code, 0);
    assert_true(scene_has_line(scene, "hello\noops\n/work\n"));
    while (scene_inspect(scene) == DRIVE_PRESENT) /* till the supervisor has gone, too */
        scene_turn(scene);
    assert_int_equal(scene->answer.kind, DRIVE_ENDED);
    assert_int_equal(scene->answer.rank_count, 1);
    assert_true(scene->ends[0].is_known);
    assert_int_equal(scene->ends[0].outcome, OUTCOME_SUCCEEDED);
    print_message("asked after %lld ms, ended %lld ms after GO\n",
                  (long long)boot_since(scene->asked_at[0], scene->submitted_at).ms,
                  (long long)boot_since(scene->exit_at[0], scene->go_at).ms);
}

static void an_exit_code_is_the_programs_error(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, &(struct scene_job){.run = "exit 41"});
    assert_int_equal(scene->exits[0].outcome, OUTCOME_PROGRAM_ERROR);
    assert_int_equal(scene->exits[0].exit_code, 41);
}

static void a_signal_is_told_as_128_and_its_number(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, &(struct scene_job){.run = "kill -SEGV $$"});
    assert_int_equal(scene->exits[0].outcome, OUTCOME_PROGRAM_ERROR);
    assert_int_equal(scene->exits[0].exit_code, 128 + SIGSEGV);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_program_runs_and_its_end_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_exit_code_is_the_programs_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_signal_is_told_as_128_and_its_number, set_up, tear_down),
    };
    if (argc < 2)
        return 77;
    program = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
