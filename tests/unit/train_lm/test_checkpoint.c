/* Checkpoints are whole or refused, and the one before steps in. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "world.h"

enum { LEN = 100 };

struct state_arrays {
    lm_real params[LEN], moment1[LEN], moment2[LEN];
};

static struct lm_snapshot snapshot_of(const struct world *w, struct state_arrays *arrays,
                                      uint64_t step)
{
    for (size_t i = 0; i < LEN; i++) {
        arrays->params[i] = (lm_real)(step * 1000 + i);
        arrays->moment1[i] = (lm_real)step + (lm_real)0.25;
        arrays->moment2[i] = (lm_real)i;
    }
    return (struct lm_snapshot){
        .recipe = w->recipe,
        .corpus_crc = w->corpus.crc,
        .nodes = 1,
        .step = step,
        .window_sum = 1.5,
        .window_count = 3,
        .params = arrays->params,
        .moment1 = arrays->moment1,
        .moment2 = arrays->moment2,
        .len = LEN,
    };
}

static void write_steps(const struct world *w, struct lm_checkpoints *folder, uint64_t a,
                        uint64_t b)
{
    struct state_arrays arrays;
    char name[LM_CHECKPOINT_NAME_MAX];

    for (uint64_t step = a; step <= b; step += 10) {
        struct lm_snapshot s = snapshot_of(w, &arrays, step);
        assert_true(lm_checkpoints_write(folder, &s, name, NULL));
    }
}

struct notes {
    int count;
    char last[1024];
};

static void take_note(void *context, const char *line)
{
    struct notes *notes = context;

    notes->count++;
    (void)snprintf(notes->last, sizeof notes->last, "%s", line);
}

/* Loads and says which step came back; -1: none, -2: an error. */
static int load(const struct world *w, struct lm_checkpoints *folder, struct notes *notes,
                struct lm_fault *fault)
{
    struct state_arrays arrays, want;
    struct lm_snapshot s = snapshot_of(w, &arrays, 7);
    char name[LM_CHECKPOINT_NAME_MAX];
    bool found = false;

    if (!lm_checkpoints_load(folder, &s, name, &found, take_note, notes, fault)) {
        return -2;
    }
    if (!found) {
        assert_int_equal(s.step, 7);
        (void)snapshot_of(w, &want, 7);
        assert_memory_equal(&arrays, &want, sizeof want); /* untouched */
        return -1;
    }
    (void)snapshot_of(w, &want, s.step);
    assert_memory_equal(&arrays, &want, sizeof want);
    assert_true(s.window_sum == 1.5);
    assert_int_equal(s.window_count, 3);
    return (int)s.step;
}

static void path_of(const struct world *w, uint64_t step, const char *suffix, char *out, size_t len)
{
    (void)snprintf(out, len, "%s/ckpt-%012llu%s", w->folder, (unsigned long long)step, suffix);
}

static bool exists(const struct world *w, uint64_t step, const char *suffix)
{
    char path[256];

    path_of(w, step, suffix, path, sizeof path);
    return access(path, F_OK) == 0;
}

static void the_newest_comes_back_and_two_are_kept(void **state)
{
    struct world *w = *state;
    struct lm_checkpoints folder;
    struct notes notes = {0};

    assert_true(lm_checkpoints_open(&folder, w->folder, NULL));
    assert_int_equal(load(w, &folder, &notes, NULL), -1);
    write_steps(w, &folder, 10, 50);
    assert_int_equal(load(w, &folder, &notes, NULL), 50);
    assert_true(exists(w, 50, ".lqm") && exists(w, 40, ".lqm"));
    assert_false(exists(w, 30, ".lqm") || exists(w, 50, ".tmp"));
    assert_int_equal(notes.count, 0);
    lm_checkpoints_close(&folder);
}

static void a_file_cut_anywhere_is_refused_and_the_one_before_used(void **state)
{
    struct world *w = *state;
    struct lm_checkpoints folder;
    char path[256];
    struct stat whole;

    assert_true(lm_checkpoints_open(&folder, w->folder, NULL));
    write_steps(w, &folder, 10, 20);
    path_of(w, 20, ".lqm", path, sizeof path);
    assert_int_equal(stat(path, &whole), 0);
    for (off_t cut = 0; cut < whole.st_size; cut += cut < 130 ? 1 : 97) {
        struct notes notes = {0};
        write_steps(w, &folder, 10, 20);
        assert_int_equal(truncate(path, cut), 0);
        assert_int_equal(load(w, &folder, &notes, NULL), 10);
        assert_int_equal(notes.count, 1);
        assert_non_null(strstr(notes.last, "refused checkpoint ckpt-000000000020.lqm"));
        assert_null(strchr(notes.last, '\n'));
        assert_true(exists(w, 20, ".refused"));
    }
    lm_checkpoints_close(&folder);
}

static void one_flipped_bit_anywhere_is_refused(void **state)
{
    struct world *w = *state;
    struct lm_checkpoints folder;
    char path[256];
    struct stat whole;

    assert_true(lm_checkpoints_open(&folder, w->folder, NULL));
    write_steps(w, &folder, 10, 20);
    path_of(w, 20, ".lqm", path, sizeof path);
    assert_int_equal(stat(path, &whole), 0);
    for (off_t at = 0; at < whole.st_size; at += at < 140 ? 1 : 13) {
        struct notes notes = {0};
        unsigned char byte;
        write_steps(w, &folder, 10, 20);
        int fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= (unsigned char)(1 << at % 8);
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        (void)close(fd);
        assert_int_equal(load(w, &folder, &notes, NULL), 10);
        assert_int_equal(notes.count, 1);
    }
    lm_checkpoints_close(&folder);
}

static void bytes_at_the_end_are_refused_too(void **state)
{
    struct world *w = *state;
    struct lm_checkpoints folder;
    struct notes notes = {0};
    char path[256];

    assert_true(lm_checkpoints_open(&folder, w->folder, NULL));
    write_steps(w, &folder, 10, 20);
    path_of(w, 20, ".lqm", path, sizeof path);
    int fd = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "x", 1), 1);
    (void)close(fd);
    assert_int_equal(load(w, &folder, &notes, NULL), 10);
    lm_checkpoints_close(&folder);
}

static void when_all_are_damaged_each_is_named_and_none_is_used(void **state)
{
    struct world *w = *state;
    struct lm_checkpoints folder;
    struct notes notes = {0};
    char path[256];

    assert_true(lm_checkpoints_open(&folder, w->folder, NULL));
    write_steps(w, &folder, 10, 20);
    for (uint64_t step = 10; step <= 20; step += 10) {
        path_of(w, step, ".lqm", path, sizeof path);
        assert_int_equal(truncate(path, 300), 0);
    }
    assert_int_equal(load(w, &folder, &notes, NULL), -1);
    assert_int_equal(notes.count, 2);
    write_steps(w, &folder, 10, 10); /* the next good one clears what was set aside */
    assert_false(exists(w, 20, ".refused") || exists(w, 10, ".refused"));
    assert_int_equal(load(w, &folder, &notes, NULL), 10);
    lm_checkpoints_close(&folder);
}

static void half_written_and_foreign_files_are_passed_over(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"ckpt-000000000030.tmp", "ckpt-30.lqm",
                                        "ckpt-00000000003x.lqm", "notes.txt", "ckpt-.lqm"};
    struct lm_checkpoints folder;
    struct notes notes = {0};

    assert_true(lm_checkpoints_open(&folder, w->folder, NULL));
    write_steps(w, &folder, 10, 20);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int fd = openat(folder.folder, names[i], O_CREAT | O_WRONLY, 0600);
        assert_int_equal(write(fd, "half", 4), 4);
        (void)close(fd);
    }
    assert_int_equal(load(w, &folder, &notes, NULL), 20);
    assert_int_equal(notes.count, 0);
    assert_false(exists(w, 30, ".tmp"));
    assert_int_equal(faccessat(folder.folder, "notes.txt", F_OK, 0), 0);
    lm_checkpoints_close(&folder);
}

static void another_runs_checkpoint_is_an_error_that_names_the_difference(void **state)
{
    struct world *w = *state;
    struct lm_checkpoints folder;
    struct notes notes = {0};
    struct lm_fault fault = {{0}};

    assert_true(lm_checkpoints_open(&folder, w->folder, NULL));
    write_steps(w, &folder, 10, 20);
    w->recipe.seed = 123;
    assert_int_equal(load(w, &folder, &notes, &fault), -2);
    assert_non_null(strstr(fault.text, "--seed was 9, now it is 123"));
    w->recipe.seed = 9;
    w->recipe.lr *= 2;
    assert_int_equal(load(w, &folder, &notes, &fault), -2);
    assert_non_null(strstr(fault.text, "--lr"));
    w->recipe.lr /= 2;
    w->corpus.crc++;
    assert_int_equal(load(w, &folder, &notes, &fault), -2);
    assert_non_null(strstr(fault.text, "the text has changed"));
    assert_int_equal(notes.count, 0);
    assert_true(exists(w, 20, ".lqm"));
    lm_checkpoints_close(&folder);
}

static void a_folder_serves_one_run_at_a_time(void **state)
{
    struct world *w = *state;
    struct lm_checkpoints first, second;
    struct lm_fault fault = {{0}};

    assert_true(lm_checkpoints_open(&first, w->folder, NULL));
    assert_false(lm_checkpoints_open(&second, w->folder, &fault));
    assert_non_null(strstr(fault.text, "in use by another run"));
    lm_checkpoints_close(&first);
    assert_true(lm_checkpoints_open(&second, w->folder, NULL));
    lm_checkpoints_close(&second);
}

static void a_failed_write_leaves_the_earlier_ones(void **state)
{
    struct world *w = *state;
    struct lm_checkpoints folder;
    struct notes notes = {0};
    struct lm_fault fault = {{0}};
    struct state_arrays arrays;
    char name[LM_CHECKPOINT_NAME_MAX], path[256];

    assert_true(lm_checkpoints_open(&folder, w->folder, NULL));
    write_steps(w, &folder, 10, 20);
    path_of(w, 30, ".tmp", path, sizeof path);
    assert_int_equal(symlink("/dev/full", path), 0); /* never follow what lies there */
    struct lm_snapshot s = snapshot_of(w, &arrays, 30);
    assert_false(lm_checkpoints_write(&folder, &s, name, &fault));
    assert_non_null(strstr(fault.text, "cannot write"));
    assert_int_equal(load(w, &folder, &notes, NULL), 20);
    lm_checkpoints_close(&folder);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        CASE(the_newest_comes_back_and_two_are_kept),
        CASE(a_file_cut_anywhere_is_refused_and_the_one_before_used),
        CASE(one_flipped_bit_anywhere_is_refused),
        CASE(bytes_at_the_end_are_refused_too),
        CASE(when_all_are_damaged_each_is_named_and_none_is_used),
        CASE(half_written_and_foreign_files_are_passed_over),
        CASE(another_runs_checkpoint_is_an_error_that_names_the_difference),
        CASE(a_folder_serves_one_run_at_a_time),
        CASE(a_failed_write_leaves_the_earlier_ones),
    };

    return cmocka_run_group_tests_name("train_lm_checkpoint", tests, NULL, NULL);
}
