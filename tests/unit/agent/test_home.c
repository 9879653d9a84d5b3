/* Which state folder an agent may use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/home.h"
#include "port/file.h"

static char root[128], state[192], copy[192], machine_a[192], machine_b[192];

static void put(const char *folder, const char *name, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(file_write_atomic(path, slice_of(text), 0600, NULL), ERR_OK);
}

static bool has(const char *folder, const char *name)
{
    char path[512];
    struct file_info info;
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return file_stat(path, &info) == ERR_OK;
}

/* As `cp -a` does for the files that matter here. */
static void copy_file(const char *name)
{
    char path[512];
    struct arena arena;
    struct slice bytes;
    arena_init(&arena, 1 << 16);
    (void)snprintf(path, sizeof(path), "%s/%s", state, name);
    assert_int_equal(file_read(path, 4096, &arena, NULL, &bytes), ERR_OK);
    (void)snprintf(path, sizeof(path), "%s/%s", copy, name);
    assert_int_equal(file_write_atomic(path, bytes, 0600, NULL), ERR_OK);
    arena_deinit(&arena);
}

static enum err claim(const char *folder, const char *machine, bool is_moved)
{
    struct fault fault = {0};
    enum err err = home_claim(folder, machine, is_moved, &fault);
    assert_true(err == ERR_OK || fault.message[0] != '\0');
    return err;
}

static int set_up(void **unused)
{
    (void)unused;
    (void)snprintf(root, sizeof(root), "/tmp/lq-home-XXXXXX");
    assert_non_null(mkdtemp(root));
    (void)snprintf(state, sizeof(state), "%s/state", root);
    (void)snprintf(copy, sizeof(copy), "%s/copy", root);
    (void)snprintf(machine_a, sizeof(machine_a), "%s/id-a", root);
    (void)snprintf(machine_b, sizeof(machine_b), "%s/id-b", root);
    assert_int_equal(file_make_folders(state, 0700, NULL), ERR_OK);
    assert_int_equal(file_make_folders(copy, 0700, NULL), ERR_OK);
    put(root, "id-a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
    put(root, "id-b", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n");
    assert_int_equal(claim(state, machine_a, false), ERR_OK);
    put(state, "journal.db", "journal");
    put(state, "journal.db-wal", "log");
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    assert_int_equal(file_remove_tree(root, NULL), ERR_OK);
    return 0;
}

static void a_restart_on_the_same_machine_goes_on(void **unused)
{
    (void)unused;
    assert_int_equal(claim(state, machine_a, false), ERR_OK);
    assert_int_equal(claim(state, machine_a, true), ERR_OK); /* a word too many does no harm */
    assert_true(has(state, "journal.db"));
}

static void a_copy_is_refused_and_left_as_it_is(void **unused)
{
    (void)unused;
    copy_file("machine");
    copy_file("journal.db");
    assert_int_equal(claim(copy, machine_a, false), ERR_DENIED);
    assert_int_equal(claim(copy, machine_b, false), ERR_DENIED);
    assert_true(has(copy, "journal.db"));
    assert_int_equal(claim(copy, machine_a, false), ERR_DENIED); /* asking made nothing good */
}

static void the_same_disk_in_another_machine_is_refused(void **unused)
{
    (void)unused;
    assert_int_equal(claim(state, machine_b, false), ERR_DENIED);
    assert_int_equal(claim(state, "/nonexistent/machine-id", false), ERR_DENIED);
    assert_int_equal(claim(state, machine_a, false), ERR_OK);
}

static void a_journal_without_the_mark_is_refused(void **unused)
{
    (void)unused;
    copy_file("journal.db");
    assert_int_equal(claim(copy, machine_a, false), ERR_DENIED);
}

static void a_damaged_mark_is_refused(void **unused)
{
    (void)unused;
    static const char *const MARKS[] = {"", "machine ", "machine \ninode 1\n"};
    for (size_t i = 0; i < sizeof(MARKS) / sizeof(MARKS[0]); i++) {
        put(state, "machine", MARKS[i]);
        assert_int_equal(claim(state, machine_a, false), ERR_DENIED);
    }
}

static void a_moved_folder_is_taken_with_its_journal_aside(void **unused)
{
    (void)unused;
    assert_int_equal(claim(state, machine_b, true), ERR_OK);
    assert_false(has(state, "journal.db") || has(state, "journal.db-wal"));
    assert_true(has(state, "journal.db.moved-1") && has(state, "journal.db.moved-1-wal"));
    assert_int_equal(claim(state, machine_b, false), ERR_OK);
    put(state, "journal.db", "newer");
    assert_int_equal(claim(state, machine_a, false), ERR_DENIED);
    assert_int_equal(claim(state, machine_a, true), ERR_OK);
    assert_true(has(state, "journal.db.moved-1") && has(state, "journal.db.moved-2"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_restart_on_the_same_machine_goes_on),
        TEST(a_copy_is_refused_and_left_as_it_is),
        TEST(the_same_disk_in_another_machine_is_refused),
        TEST(a_journal_without_the_mark_is_refused),
        TEST(a_damaged_mark_is_refused),
        TEST(a_moved_folder_is_taken_with_its_journal_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
