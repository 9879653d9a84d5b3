/* The real program, started, asked to stop, killed, and started again. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "world.h"

/* A small pipe holds the program back: it is at most some 280 lines ahead of what was read, so that
 * a signal sent on reading step 30 reaches it long before step 1000, however slow the reader. */
enum { ARGS_MAX = 40, OUTPUT_MAX = 1 << 20, STEPS = 1000, PIPE_BYTES = 4096 };

static const char *program; /* set once by main */

struct child {
    pid_t pid;
    int out;
    char text[OUTPUT_MAX];
    size_t len;
};

static void child_start(struct child *c, const struct world *w, const char *folder,
                        const char *const *more)
{
    const char *argv[ARGS_MAX] = {
        program, "--data",           w->text, "--layers",    "1",  "--width",
        "16",    "--heads",          "2",     "--context",   "16", "--batch",
        "4",     "--steps",          "1000",  "--log-every", "1",  "--checkpoint-every",
        "50",    "--checkpoint-dir", folder};
    int count = 21, ends[2];

    for (; *more != NULL; more++) {
        argv[count++] = *more;
    }
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_true(fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES) >= 0);
    c->len = 0;
    c->pid = fork();
    assert_true(c->pid >= 0);
    if (c->pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)dup2(ends[1], STDERR_FILENO);
        (void)execv(program, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    (void)close(ends[1]);
    c->out = ends[0];
}

/* Reads on until the text holds `mark`, or to the end for NULL. */
static bool child_read(struct child *c, const char *mark)
{
    for (;;) {
        c->text[c->len] = '\0';
        if (mark != NULL && strstr(c->text, mark) != NULL) {
            return true;
        }
        ssize_t n = read(c->out, c->text + c->len, sizeof c->text - 1 - c->len);
        if (n <= 0) {
            return false;
        }
        c->len += (size_t)n;
    }
}

/* The exit status, or minus the signal. */
static int child_end(struct child *c)
{
    int status;

    (void)child_read(c, NULL);
    (void)close(c->out);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static const char *const nothing[] = {NULL};

/* The losses alone: the speed differs from run to run. */
static size_t losses_of(const char *text, char (*losses)[16], size_t from_step)
{
    size_t count = from_step;
    char mark[40];

    for (;; count++) {
        (void)snprintf(mark, sizeof mark, "step %zu loss ", count + 1);
        const char *at = strstr(text, mark);
        if (at == NULL || count == STEPS) {
            return count;
        }
        memcpy(losses[count], at + strlen(mark), 6);
        losses[count][6] = '\0';
    }
}

static void assert_same_file(const char *folder_a, const char *folder_b, const char *name)
{
    static char a[1 << 20], b[1 << 20];
    char path[256];
    size_t lens[2];

    for (int i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", i == 0 ? folder_a : folder_b, name);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        lens[i] = fread(i == 0 ? a : b, 1, sizeof a, file);
        (void)fclose(file);
    }
    assert_true(lens[0] > 1000);
    assert_int_equal(lens[0], lens[1]);
    assert_memory_equal(a, b, lens[0]);
}

static void stop_with(struct child *c, const struct world *w, int sig, const char *mark)
{
    child_start(c, w, w->folder, nothing);
    assert_true(child_read(c, mark));
    assert_int_equal(kill(c->pid, sig), 0);
}

static void stopped_killed_and_resumed_it_draws_the_very_same_curve(void **state)
{
    struct world *w = *state;
    static struct child c;
    static char want[STEPS][16], got[STEPS][16];
    char whole[128];

    (void)snprintf(whole, sizeof whole, "%s/whole", w->root);
    child_start(&c, w, whole, nothing);
    assert_int_equal(child_end(&c), 0);
    assert_int_equal(losses_of(c.text, want, 0), STEPS);

    stop_with(&c, w, SIGUSR1, "step 30 loss");
    assert_int_equal(child_end(&c), 75);
    assert_non_null(strstr(c.text, "when asked; run again to go on from here"));
    size_t done = losses_of(c.text, got, 0);
    assert_true(done >= 30 && done < STEPS);

    stop_with(&c, w, SIGTERM, "resumed from step ");
    assert_int_equal(child_end(&c), 75);
    done = losses_of(c.text, got, done);

    child_start(&c, w, w->folder, nothing);
    (void)child_read(&c, "saved step 700");
    assert_int_equal(kill(c.pid, SIGKILL), 0);
    assert_int_equal(child_end(&c), -SIGKILL);

    child_start(&c, w, w->folder, nothing);
    assert_int_equal(child_end(&c), 0);
    assert_non_null(strstr(c.text, "resumed from step "));
    assert_non_null(strstr(c.text, "done step 1000"));
    assert_int_equal(losses_of(c.text, got, STEPS - 1), STEPS);
    assert_string_equal(want[STEPS - 1], got[STEPS - 1]);
    for (size_t i = 0; i < done; i++) {
        assert_string_equal(want[i], got[i]);
    }
    assert_same_file(whole, w->folder, "ckpt-000000001000.lqm");
    world_empty(whole);
}

static void a_torn_newest_checkpoint_is_told_and_the_one_before_used(void **state)
{
    struct world *w = *state;
    static struct child c;
    char path[256];

    child_start(&c, w, w->folder, nothing);
    assert_int_equal(child_end(&c), 0);
    (void)snprintf(path, sizeof path, "%s/ckpt-000000001000.lqm", w->folder);
    assert_int_equal(truncate(path, 5000), 0);
    child_start(&c, w, w->folder, nothing);
    assert_int_equal(child_end(&c), 0);
    assert_non_null(strstr(c.text, "refused checkpoint ckpt-000000001000.lqm (5000 bytes long: "
                                   "cut short or overlong); trying the one before\n"
                                   "resumed from step 950 (checkpoint ckpt-000000000950.lqm)"));
}

static void wrong_use_is_told_apart_from_wrong_data(void **state)
{
    struct world *w = *state;
    static struct child c;
    static const struct {
        const char *args[3];
        int status;
        const char *says;
    } cases[] = {
        {{"--steps", "0"}, 64, "--steps must be 1 to"},
        {{"--steps", "4x"}, 64, "--steps must be a whole number"},
        {{"--lr", "nan"}, 64, "--lr must be a number above 0"},
        {{"--heads", "3"}, 64, "must divide by"},
        {{"--sparkle"}, 64, "unknown option --sparkle"},
        {{"--steps"}, 64, "--steps needs a value"},
        {{"--kernel", "abacus"}, 64, "--kernel abacus is not known"},
        {{"--data", "/nonexistent"}, 65, "/nonexistent: No such file"},
        {{"--context", "4096"}, 65, "are too few"},
        {{"--checkpoint-dir", "/nonexistent/x"}, 65, "cannot make checkpoint folder"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        child_start(&c, w, w->folder, cases[i].args);
        int status = child_end(&c);
        if (status != cases[i].status || strstr(c.text, cases[i].says) == NULL) {
            fail_msg("case %zu: status %d, said: %s", i, status, c.text);
        }
    }
}

static void json_lines_carry_the_same_events(void **state)
{
    struct world *w = *state;
    static struct child c;
    static const char *const more[] = {"--json", "--sample", "20", NULL};
    static const char *const events[] = {"start",      "step", "validation",
                                         "checkpoint", "done", "sample"};

    child_start(&c, w, w->folder, more);
    assert_int_equal(child_end(&c), 0);
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        char mark[64];
        (void)snprintf(mark, sizeof mark, "{\"event\":\"%s\",", events[i]);
        assert_non_null(strstr(c.text, mark));
    }
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        CASE(stopped_killed_and_resumed_it_draws_the_very_same_curve),
        CASE(a_torn_newest_checkpoint_is_told_and_the_one_before_used),
        CASE(wrong_use_is_told_apart_from_wrong_data),
        CASE(json_lines_carry_the_same_events),
    };

    if (argc != 2) {
        return 2;
    }
    program = argv[1];
    return cmocka_run_group_tests_name("train_lm_program", tests, NULL, NULL);
}
