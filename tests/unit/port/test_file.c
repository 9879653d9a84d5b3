#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "port/file.h"

struct fixture {
    char folder[64];
    char path[512];
    struct arena arena;
    struct fault fault;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/lq-file-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    arena_init(&fixture->arena, 1 << 20);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(file_remove_tree(fixture->folder, NULL), ERR_OK);
    assert_int_not_equal(access(fixture->folder, F_OK), 0);
    arena_deinit(&fixture->arena);
    free(fixture);
    return 0;
}

static const char *path_in(struct fixture *fixture, const char *name)
{
    snprintf(fixture->path, sizeof(fixture->path), "%s/%s", fixture->folder, name);
    return fixture->path;
}

static void what_is_written_whole_is_read_whole(void **state)
{
    struct fixture *fixture = *state;
    struct slice bytes;
    const char *path = path_in(fixture, "f");
    umask(077);
    assert_int_equal(file_write_atomic(path, SLICE_LITERAL("old"), 0644, NULL), ERR_OK);
    assert_int_equal(file_write_atomic(path, SLICE_LITERAL("new\0er"), 0644, NULL), ERR_OK);
    assert_int_equal(file_read(path, 6, &fixture->arena, NULL, &bytes), ERR_OK);
    assert_true(slice_is_equal(bytes, SLICE_LITERAL("new\0er")));
    assert_int_equal(bytes.data[6], '\0');
    assert_int_equal(file_read(path, 5, &fixture->arena, &fixture->fault, &bytes), ERR_LIMIT);
    struct file_info info;
    assert_int_equal(file_stat(path, &info), ERR_OK);
    assert_int_equal(info.mode, 0644);
    assert_int_equal(info.size_bytes, 6);
    assert_int_equal(info.kind, FILE_PLAIN);
    struct file_entry *entries;
    size_t count;
    assert_int_equal(file_list(fixture->folder, 10, &fixture->arena, NULL, &entries, &count),
                     ERR_OK);
    assert_int_equal(count, 1); /* no temporary file is left */
    assert_int_equal(file_read("/proc/self/stat", 65536, &fixture->arena, NULL, &bytes), ERR_OK);
    assert_true(bytes.len > 10);
}

static void errors_name_the_path(void **state)
{
    struct fixture *fixture = *state;
    struct slice bytes;
    assert_int_equal(file_read("/nonexistent/x", 5, &fixture->arena, &fixture->fault, &bytes),
                     ERR_NOT_FOUND);
    assert_non_null(strstr(fixture->fault.message, "/nonexistent/x"));
    assert_int_equal(file_read("/tmp", 5, &fixture->arena, &fixture->fault, &bytes), ERR_INVALID);
    assert_int_equal(file_write_atomic("/nonexistent/x", SLICE_LITERAL("y"), 0600, &fixture->fault),
                     ERR_NOT_FOUND);
}

static void a_full_disk_is_told_by_its_own_code(void **state)
{
    (void)state;
    int fd;
    assert_int_equal(file_open("/dev/full", FILE_OPEN_APPEND, 0600, NULL, &fd), ERR_OK);
    assert_int_equal(file_write_all(fd, SLICE_LITERAL("x")), ERR_FULL);
    file_close(fd);
}

static void folders_are_made_and_listed_in_order(void **state)
{
    struct fixture *fixture = *state;
    char deep[512];
    snprintf(deep, sizeof(deep), "%s/b/c//d/", fixture->folder);
    assert_int_equal(file_make_folders(deep, 0700, NULL), ERR_OK);
    assert_int_equal(file_make_folders(deep, 0700, NULL), ERR_OK);
    assert_int_equal(file_write_atomic(path_in(fixture, "a"), SLICE_LITERAL(""), 0600, NULL),
                     ERR_OK);
    assert_int_equal(symlink("/etc", path_in(fixture, "z")), 0);
    struct file_entry *entries;
    size_t count;
    assert_int_equal(file_list(fixture->folder, 3, &fixture->arena, NULL, &entries, &count),
                     ERR_OK);
    assert_int_equal(count, 3);
    assert_string_equal(entries[0].name, "a");
    assert_int_equal(entries[1].kind, FILE_FOLDER);
    assert_int_equal(entries[2].kind, FILE_LINK);
    assert_int_equal(file_list(fixture->folder, 2, &fixture->arena, NULL, &entries, &count),
                     ERR_LIMIT);
    snprintf(deep, sizeof(deep), "%s/a/b", fixture->folder);
    assert_int_equal(file_make_folders(deep, 0700, &fixture->fault), ERR_NOT_FOUND);
}

static void removing_a_tree_follows_no_link(void **state)
{
    struct fixture *fixture = *state;
    char outside[128], tree[128], link[256], locked[256];
    snprintf(outside, sizeof(outside), "%s/outside", fixture->folder);
    snprintf(tree, sizeof(tree), "%s/tree/x", fixture->folder);
    assert_int_equal(file_make_folders(outside, 0700, NULL), ERR_OK);
    assert_int_equal(file_make_folders(tree, 0700, NULL), ERR_OK);
    snprintf(link, sizeof(link), "%s/keep", outside);
    assert_int_equal(file_write_atomic(link, SLICE_LITERAL("k"), 0600, NULL), ERR_OK);
    snprintf(link, sizeof(link), "%s/link", tree);
    assert_int_equal(symlink(outside, link), 0);
    snprintf(locked, sizeof(locked), "%s/locked", tree);
    assert_int_equal(mkdir(locked, 0000), 0);
    snprintf(tree, sizeof(tree), "%s/tree", fixture->folder);
    assert_int_equal(file_remove_tree(tree, NULL), ERR_OK);
    assert_int_not_equal(access(tree, F_OK), 0);
    snprintf(link, sizeof(link), "%s/keep", outside);
    assert_int_equal(access(link, F_OK), 0);
    assert_int_equal(file_remove_tree(tree, NULL), ERR_OK); /* already gone */
    snprintf(link, sizeof(link), "%s/link", fixture->folder);
    assert_int_equal(symlink(outside, link), 0);
    assert_int_equal(file_remove_tree(link, NULL), ERR_OK); /* the link itself */
    assert_int_equal(access(outside, F_OK), 0);
    assert_int_equal(file_remove_tree("..", NULL), ERR_INVALID);
    assert_int_equal(file_remove_tree("/", NULL), ERR_INVALID);
    assert_int_equal(file_remove_tree("", NULL), ERR_INVALID);
}

static void a_tree_deeper_than_the_limit_is_left_and_told(void **state)
{
    struct fixture *fixture = *state;
    int fd = open(fixture->folder, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < FILE_TREE_DEPTH_MAX + 5; i++) {
        assert_int_equal(mkdirat(fd, "d", 0700), 0);
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    close(fd);
    assert_int_equal(file_remove_tree(path_in(fixture, "d"), &fixture->fault), ERR_LIMIT);
    /* mend: take the lower part out and remove the two halves */
    char half[FILE_PATH_MAX];
    size_t len = (size_t)snprintf(half, sizeof(half), "%s", fixture->folder);
    for (int i = 0; i < 130; i++)
        len += (size_t)snprintf(half + len, sizeof(half) - len, "/d");
    assert_int_equal(rename(half, path_in(fixture, "lower")), 0);
    assert_int_equal(file_remove_tree(path_in(fixture, "lower"), NULL), ERR_OK);
}

static void pieces_are_written_and_read_in_place(void **state)
{
    struct fixture *fixture = *state;
    int fd;
    char got[16];
    size_t len;
    uint64_t size;
    const char *path = path_in(fixture, "p");
    assert_int_equal(file_open(path, FILE_OPEN_CREATE, 0600, NULL, &fd), ERR_OK);
    file_close(fd);
    assert_int_equal(file_open(path, FILE_OPEN_CREATE, 0600, NULL, &fd), ERR_EXISTS);
    assert_int_equal(file_open(path, FILE_OPEN_READ_WRITE, 0600, NULL, &fd), ERR_OK);
    assert_int_equal(file_write_at(fd, 4, SLICE_LITERAL("efgh")), ERR_OK);
    assert_int_equal(file_write_at(fd, 0, SLICE_LITERAL("abcd")), ERR_OK);
    assert_int_equal(file_sync(fd), ERR_OK);
    assert_int_equal(file_size(fd, &size), ERR_OK);
    assert_int_equal(size, 8);
    assert_int_equal(file_read_at(fd, 2, got, sizeof(got), &len), ERR_OK);
    assert_int_equal(len, 6);
    assert_memory_equal(got, "cdefgh", 6);
    file_close(fd);
    char link[512];
    snprintf(link, sizeof(link), "%s/l", fixture->folder);
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(file_open(link, FILE_OPEN_READ, 0600, NULL, &fd), ERR_INVALID);
}

static void a_lock_refuses_a_second_process_and_ends_with_its_holder(void **state)
{
    struct fixture *fixture = *state;
    const char *path = path_in(fixture, "lock");
    struct file_lock lock, second;
    int up[2], down[2];
    assert_int_equal(pipe(up), 0);
    assert_int_equal(pipe(down), 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        struct file_lock held;
        int code = file_lock_take(path, NULL, &held) == ERR_OK ? 0 : 1;
        if (write(up[1], "x", 1) != 1 || read(down[0], &byte, 1) != 1)
            code = 2;
        _exit(code);
    }
    char byte;
    assert_int_equal(read(up[0], &byte, 1), 1);
    assert_int_equal(file_lock_take(path, &fixture->fault, &lock), ERR_BUSY);
    char number[32];
    snprintf(number, sizeof(number), "%d", (int)child);
    assert_non_null(strstr(fixture->fault.message, number));
    assert_int_equal(write(down[1], "x", 1), 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(file_lock_take(path, NULL, &lock), ERR_OK);
    assert_int_equal(file_lock_take(path, NULL, &second), ERR_BUSY);
    file_lock_release(&lock);
    file_lock_release(&lock);
    assert_int_equal(file_lock_take(path, NULL, &lock), ERR_OK);
    file_lock_release(&lock);
    for (int i = 0; i < 2; i++) {
        close(up[i]);
        close(down[i]);
    }
}

static void free_space_is_told(void **state)
{
    (void)state;
    struct file_space space;
    assert_int_equal(file_space("/tmp", &space), ERR_OK);
    assert_true(space.total_bytes > 0 && space.free_bytes <= space.total_bytes);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(what_is_written_whole_is_read_whole),
        CASE(errors_name_the_path),
        CASE(a_full_disk_is_told_by_its_own_code),
        CASE(folders_are_made_and_listed_in_order),
        CASE(removing_a_tree_follows_no_link),
        CASE(a_tree_deeper_than_the_limit_is_left_and_told),
        CASE(pieces_are_written_and_read_in_place),
        CASE(a_lock_refuses_a_second_process_and_ends_with_its_holder),
        CASE(free_space_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
