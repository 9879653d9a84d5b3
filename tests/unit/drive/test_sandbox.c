/* What a program may do inside, and what stops it. argv[1]: the supervisor's program. */
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

/* Each line says what was possible; none must be. */
static void the_host_is_out_of_reach(void **state)
{
    struct scene *scene = *state;
    scene_run(scene,
              &(struct scene_job){
                  .run = "touch /x 2>/dev/null && echo BAD wrote to /\n"
                         "touch /usr/x /etc/x /dev/x /lq/x 2>/dev/null && echo BAD wrote\n"
                         "ls /root /home 2>/dev/null && echo BAD saw homes\n"
                         "cat /etc/shadow 2>/dev/null && echo BAD read shadow\n"
                         "ls /tmp/lq-drive-* 2>/dev/null && echo BAD saw the agent\n"
                         "ls /sys/fs/cgroup 2>/dev/null && echo BAD saw control groups\n"
                         "n=$(ls -d /proc/[0-9]* | wc -l); test $n -lt 8 || echo BAD $n processes\n"
                         "kill -9 -1 2>/dev/null; echo alive\n"
                         "unshare -U true 2>/dev/null && echo BAD user namespace\n"
                         "test $(id -u) != 0 || echo BAD root\n"
                         "mount -t tmpfs x /tmp 2>/dev/null && echo BAD mount\n"
                         "grep -q 'NoNewPrivs:.1' /proc/self/status || echo BAD privileges\n"
                         "grep -q 'CapBnd:.0000000000000000' /proc/self/status || echo BAD caps\n"
                         "grep -q 'Seccomp:.2' /proc/self/status || echo BAD no filter\n"
                         "perl -e 'exit(socket(S,40,1,0) ? 0 : 1)' && echo BAD vsock\n"
                         "ls -l /proc/self/fd | grep -v -e pipe -e null -e total -e proc && "
                         "echo BAD descriptors\n"
                         "ls /sys/class/net 2>/dev/null && echo BAD sys\n"
                         "test $(grep -c : /proc/net/dev) = 1 || echo BAD network\n"
                         "echo in >/job/file; echo in >/tmp/file; echo in >/dev/shm/file\n"
                         "cat /job/file /tmp/file /dev/shm/file\n"});
    assert_int_equal(scene->exits[0].outcome, OUTCOME_SUCCEEDED);
    char log[SCENE_TEXT_MAX];
    assert_string_equal(scene_read(scene, 0, "log", log), "alive\nin\nin\nin\n");
}

/* Threads by clone, since clone3 says that it is not there; a compiler with its many processes. */
static void ordinary_programs_run_behind_the_filter(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, &(struct scene_job){
                         .run = "cat >t.c <<'END'\n"
                                "#include <omp.h>\n"
                                "#include <stdio.h>\n"
                                "int main(void)\n"
                                "{\n"
                                "    int n = 0;\n"
                                "#pragma omp parallel num_threads(3) reduction(+ : n)\n"
                                "    n += 1;\n"
                                "    printf(\"%d threads\\n\", n);\n"
                                "}\n"
                                "END\n"
                                "gcc -fopenmp -o t t.c && ./t\n"
                                "python3 -c 'import subprocess, threading\n"
                                "t = threading.Thread(target=lambda: subprocess.run([\"true\"]))\n"
                                "t.start(); t.join(); print(\"python ran\")'\n",
                         .memory = "512MiB",
                         .scratch = "64MiB"});
    char log[SCENE_TEXT_MAX];
    assert_string_equal(scene_read(scene, 0, "log", log), "3 threads\npython ran\n");
}

static void the_environment_is_an_allow_list(void **state)
{
    struct scene *scene = *state;
    (void)setenv("LEAK", "1", 1);
    scene_run(scene, &(struct scene_job){.run = "env",
                                         .extra = ",\"envs\":{\"A\":\"x y\","
                                                  "\"LD_PRELOAD\":\"/job/none.so\"},"
                                                  "\"checkpoint\":{\"dir\":\"ck\"}"});
    assert_true(scene_has_line(scene, "A=x y\n"));
    assert_true(scene_has_line(scene, "LQ_SITE=test-site\n"));
    assert_true(scene_has_line(scene, "LQ_NODE=n0\n"));
    assert_true(scene_has_line(scene, "LQ_ARRAY_INDEX=7\n"));
    assert_true(scene_has_line(scene, "LQ_NUM_NODES=1\n"));
    assert_true(scene_has_line(scene, "LQ_CHECKPOINT_DIR=/job/ck\n"));
    assert_true(scene_has_line(scene, "HOME=/job\n"));
    char log[SCENE_TEXT_MAX];
    (void)scene_read(scene, 0, "log", log);
    assert_null(strstr(log, "LEAK"));
    assert_null(strstr(log, "c2VjcmV0"));
}

static void setup_runs_before_run_and_stops_it_when_it_fails(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, &(struct scene_job){.run = "echo run",
                                         .extra = ",\"setup\":\"echo setup; false; echo never\""});
    assert_int_equal(scene->exits[0].outcome, OUTCOME_PROGRAM_ERROR);
    char log[SCENE_TEXT_MAX];
    assert_string_equal(scene_read(scene, 0, "log", log), "setup\n");
}

static void a_script_names_its_own_interpreter(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, &(struct scene_job){.run = "#!/bin/bash\n[[ a == a ]] && echo \"${0}\""});
    assert_true(scene_has_line(scene, "/lq/run\n"));
}

static void a_fork_bomb_stays_inside(void **state)
{
    struct scene *scene = *state;
    if (!driver_describe(scene->driver)->limits_pids)
        skip();
    scene_run(scene,
              &(struct scene_job){.run = "b() { b | b & sleep 1; }; b; b; sleep 2; exit 3",
                                  .extra = ",\"time_limit\":\"3s\",\"checkpoint\":{\"dir\":\"c\","
                                           "\"signal\":\"TERM\",\"grace\":\"100ms\"}"});
    assert_int_not_equal(scene->exits[0].outcome, OUTCOME_SUCCEEDED);
    while (scene_inspect(scene) == DRIVE_PRESENT)
        scene_turn(scene);
    assert_int_equal(scene->answer.kind, DRIVE_ENDED);
}

static void eating_memory_is_told_as_out_of_memory(void **state)
{
    struct scene *scene = *state;
    if (!driver_describe(scene->driver)->limits_memory)
        skip();
    scene_run(scene, &(struct scene_job){.run = "exec perl -e '$x = \"a\" x 300000000; sleep 9'",
                                         .memory = "32MiB"});
    assert_int_equal(scene->exits[0].outcome, OUTCOME_OUT_OF_MEMORY);
    assert_int_equal(scene->exits[0].exit_code, 128 + SIGKILL);
    assert_true(scene_has_line(scene, "out of memory"));
}

static void filling_the_disk_is_stopped_with_a_reason(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, &(struct scene_job){.run = "i=0; while :; do i=$((i+1)); head -c 1000000 "
                                                "/dev/zero >/job/f$i; done",
                                         .scratch = "20MiB"});
    assert_int_equal(scene->exits[0].outcome, OUTCOME_PROGRAM_ERROR);
    assert_true(scene_has_line(scene, "over the limit of 20"));
}

static void one_large_file_is_stopped_by_the_kernel(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, &(struct scene_job){.run = "exec head -c 100000000 /dev/zero >/job/f",
                                         .scratch = "1MiB"});
    assert_int_equal(scene->exits[0].outcome, OUTCOME_PROGRAM_ERROR);
}

static void output_is_bounded_and_marked(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, &(struct scene_job){.run = "yes | head -c 3000000; exit 5"});
    assert_int_equal(scene->exits[0].exit_code, 5);
    assert_true(scene_has_line(scene, "[lingqu] output beyond 20000 bytes is dropped\n"));
    char log[SCENE_TEXT_MAX];
    assert_true(strlen(scene_read(scene, 0, "log", log)) < 21000);
}

static void a_gang_meets_on_a_network_of_its_own(void **state)
{
    struct scene *scene = *state;
    if (!driver_describe(scene->driver)->isolates_network)
        skip();
    scene_run(scene, &(struct scene_job){
                         .nodes = 2,
                         .run = "#!/bin/bash\n"
                                "p=${LQ_NODE_ADDRS%%,*}; p=${p##*:}\n"
                                "test $(grep -c : /proc/net/dev) = 1 || exit 9\n"
                                "if test $LQ_NODE_RANK = 0; then\n"
                                "  perl -MIO::Socket::INET -e '$s=IO::Socket::INET->new(LocalAddr=>"
                                "\"127.0.0.1\",LocalPort=>'$p',Listen=>1) or die; $c=$s->accept; "
                                "print <$c>'\n"
                                "else\n"
                                "  for i in $(seq 100); do (echo met >/dev/tcp/127.0.0.1/$p) "
                                "2>/dev/null && exit 0; sleep 0.05; done; exit 8\n"
                                "fi\n"});
    assert_int_equal(scene->exits[0].exit_code, 0);
    assert_int_equal(scene->exits[1].exit_code, 0);
    assert_true(scene_has_line(scene, "met\n"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_host_is_out_of_reach, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ordinary_programs_run_behind_the_filter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_environment_is_an_allow_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(setup_runs_before_run_and_stops_it_when_it_fails, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_script_names_its_own_interpreter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_fork_bomb_stays_inside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(eating_memory_is_told_as_out_of_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(filling_the_disk_is_stopped_with_a_reason, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(one_large_file_is_stopped_by_the_kernel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(output_is_bounded_and_marked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_gang_meets_on_a_network_of_its_own, set_up, tear_down),
    };
    if (argc < 2)
        return 77;
    program = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
