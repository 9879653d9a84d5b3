/* Pictures of folders that somebody writes to. Time is an argument, so nothing sleeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/snapshot.h"
#include "port/clock.h"
#include "port/file.h"

enum { PATH_BYTES = 512 };

static char home[64], work[PATH_BYTES], target[PATH_BYTES];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(home, sizeof(home), "/tmp/lq-snapshot-XXXXXX");
    if (mkdtemp(home) == NULL)
        return -1;
    (void)snprintf(work, sizeof(work), "%s/work", home);
    (void)snprintf(target, sizeof(target), "%s/copy", home);
    return file_make_folders(work, 0700, NULL) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return file_remove_tree(home, NULL) == ERR_OK ? 0 : -1;
}

static void path_of(const char *folder, const char *name, char out[2 * PATH_BYTES])
{
    (void)snprintf(out, 2 * PATH_BYTES, "%s/%s", folder, name);
}

static void put(const char *name, const char *text)
{
    char path[2 * PATH_BYTES], folder[2 * PATH_BYTES];
    path_of(work, name, path);
    (void)snprintf(folder, sizeof(folder), "%s", path);
    *strrchr(folder, '/') = '\0';
    assert_int_equal(file_make_folders(folder, 0700, NULL), ERR_OK);
    assert_int_equal(file_write_atomic(path, slice_of(text), 0600, NULL), ERR_OK);
}

static bool is_in_copy(const char *name)
{
    char path[2 * PATH_BYTES];
    struct file_info info;
    path_of(target, name, path);
    return file_stat(path, &info) == ERR_OK;
}

static struct snapshot_wish wish_at(int64_t later_ms)
{
    struct clock clock = clock_system();
    struct wall_us now = clock_wall(&clock);
    return (struct snapshot_wish){
        .work = work, .target = target, .now = {now.us + later_ms * 1000}};
}

static enum snapshot_result take(const struct snapshot_wish *wish, struct snapshot *out)
{
    struct fault fault = {0};
    enum snapshot_result result = SNAPSHOT_EMPTY;
    enum err err = snapshot_take(wish, &result, out, &fault);
    if (err != ERR_OK)
        fail_msg("%s: %s", err_name(err), fault.message);
    return result;
}

static void what_rests_is_taken_and_what_is_unfinished_is_not(void **state)
{
    struct snapshot snapshot = {0};
    struct snapshot_wish wish = wish_at(60000);
    (void)state;
    put("ckpt-000120.x", "one");
    put("ckpt-000130.x.tmp", "half");
    put("deep/er/part", "two");
    assert_int_equal(take(&wish, &snapshot), SNAPSHOT_TAKEN);
    assert_false(snapshot.has_young);
    assert_int_equal(snapshot.files, 2);
    assert_int_equal(snapshot.bytes, 6);
    assert_int_equal(snapshot.step, 120);
    assert_true(is_in_copy("ckpt-000120.x"));
    assert_true(is_in_copy("deep/er/part"));
    assert_false(is_in_copy("ckpt-000130.x.tmp"));
}

static void the_same_folder_is_not_taken_twice_and_a_changed_one_is(void **state)
{
    struct snapshot first = {0}, second = {0};
    struct snapshot_wish wish = wish_at(60000);
    (void)state;
    put("a", "one");
    assert_int_equal(take(&wish, &first), SNAPSHOT_TAKEN);
    wish.known = first.fingerprint;
    assert_int_equal(take(&wish, &second), SNAPSHOT_SAME);
    put("a", "other"); /* in place by a rename: another file */
    assert_int_equal(take(&wish, &second), SNAPSHOT_TAKEN);
    assert_true(second.fingerprint != first.fingerprint);
}

static void a_file_replaced_by_a_rename_leaves_the_picture_as_it_was(void **state)
{
    struct snapshot snapshot = {0};
    struct snapshot_wish wish = wish_at(0);
    bool is_still = false;
    char path[2 * PATH_BYTES];
    struct arena arena;
    struct slice bytes;
    (void)state;
    put("state", "17");
    assert_int_equal(take(&wish, &snapshot), SNAPSHOT_TAKEN);
    assert_true(snapshot.has_young);
    put("state", "18");
    assert_int_equal(snapshot_is_still(target, &snapshot, &is_still, NULL), ERR_OK);
    assert_true(is_still);
    arena_init(&arena, 65536);
    path_of(target, "state", path);
    assert_int_equal(file_read(path, 100, &arena, NULL, &bytes), ERR_OK);
    assert_true(slice_is(bytes, "17"));
    arena_deinit(&arena);
}

static void a_file_written_in_place_is_noticed(void **state)
{
    struct snapshot snapshot = {0};
    struct snapshot_wish wish = wish_at(0);
    bool is_still = true;
    char path[2 * PATH_BYTES];
    (void)state;
    put("state", "17");
    put("rest", "is here");
    assert_int_equal(take(&wish, &snapshot), SNAPSHOT_TAKEN);
    path_of(work, "state", path);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(close(fd), 0);
    assert_int_equal(snapshot_is_still(target, &snapshot, &is_still, NULL), ERR_OK);
    assert_false(is_still);
    /* it never comes to rest: the others are taken without it */
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    path_of(work, "rest", path);
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    wish.leaves_young = true;
    assert_int_equal(take(&wish, &snapshot), SNAPSHOT_TAKEN);
    assert_true(is_in_copy("rest"));
    assert_false(is_in_copy("state"));
}

static void only_the_wished_paths_are_taken(void **state)
{
    struct snapshot snapshot = {0};
    struct snapshot_wish wish = wish_at(60000);
    const struct slice paths[] = {SLICE_LITERAL("out/model"), SLICE_LITERAL("log.txt"),
                                  SLICE_LITERAL("missing/at/all")};
    (void)state;
    put("out/model/weights", "w");
    put("out/other", "o");
    put("log.txt", "l");
    put("more", "m");
    wish.paths = (struct text_list){paths, 3};
    assert_int_equal(take(&wish, &snapshot), SNAPSHOT_TAKEN);
    assert_int_equal(snapshot.files, 2);
    assert_true(is_in_copy("out/model/weights"));
    assert_true(is_in_copy("log.txt"));
    assert_false(is_in_copy("out/other"));
    assert_false(is_in_copy("more"));
}

static void nothing_outside_the_work_folder_is_reached_by_links(void **state)
{
    struct snapshot snapshot = {0};
    struct snapshot_wish wish = wish_at(60000);
    const struct slice paths[] = {SLICE_LITERAL("door/secret"), SLICE_LITERAL("alias")};
    char path[2 * PATH_BYTES];
    (void)state;
    path_of(home, "secret", path);
    assert_int_equal(file_write_atomic(path, SLICE_LITERAL("s"), 0600, NULL), ERR_OK);
    path_of(work, "door", path);
    assert_int_equal(symlink(home, path), 0);
    path_of(work, "alias", path);
    assert_int_equal(symlink("../secret", path), 0);
    path_of(work, "inner", path);
    assert_int_equal(symlink("here", path), 0);
    wish.paths = (struct text_list){paths, 2};
    assert_int_equal(take(&wish, &snapshot), SNAPSHOT_EMPTY);
    wish.paths = (struct text_list){0};
    assert_int_equal(take(&wish, &snapshot), SNAPSHOT_TAKEN);
    assert_int_equal(snapshot.files, 1); /* the link that stays inside */
    assert_true(is_in_copy("inner"));
    wish.root = SLICE_LITERAL("door");
    assert_int_equal(take(&wish, &snapshot), SNAPSHOT_EMPTY);
}

static void an_empty_or_missing_folder_gives_nothing(void **state)
{
    struct snapshot snapshot = {0};
    struct snapshot_wish wish = wish_at(60000);
    char path[2 * PATH_BYTES];
    (void)state;
    assert_int_equal(take(&wish, &snapshot), SNAPSHOT_EMPTY);
    wish.root = SLICE_LITERAL("not/there");
    assert_int_equal(take(&wish, &snapshot), SNAPSHOT_EMPTY);
    wish.root = (struct slice){0};
    path_of(work, "pipe", path);
    assert_int_equal(mkfifo(path, 0600), 0); /* is not opened: that would wait for ever */
    assert_int_equal(take(&wish, &snapshot), SNAPSHOT_EMPTY);
}

static void a_step_is_the_greatest_number_of_a_name(void **state)
{
    (void)state;
    assert_int_equal(snapshot_step_of(SLICE_LITERAL("ckpt-000000001000.lqm")), 1000);
    assert_int_equal(snapshot_step_of(SLICE_LITERAL("model-00001-of-00002")), 2);
    assert_int_equal(snapshot_step_of(SLICE_LITERAL("latest")), 0);
    assert_int_equal(snapshot_step_of(SLICE_LITERAL("4294967295")), UINT32_MAX);
    assert_int_equal(snapshot_step_of(SLICE_LITERAL("99999999999999999999999-7")), 7);
    assert_int_equal(snapshot_step_of(SLICE_LITERAL("")), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(what_rests_is_taken_and_what_is_unfinished_is_not),
        CASE(the_same_folder_is_not_taken_twice_and_a_changed_one_is),
        CASE(a_file_replaced_by_a_rename_leaves_the_picture_as_it_was),
        CASE(a_file_written_in_place_is_noticed),
        CASE(only_the_wished_paths_are_taken),
        CASE(nothing_outside_the_work_folder_is_reached_by_links),
        CASE(an_empty_or_missing_folder_gives_nothing),
        CASE(a_step_is_the_greatest_number_of_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
