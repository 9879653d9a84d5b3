#include "agent/home.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/slice.h"
#include "port/file.h"

enum {
    HOME_PATH_MAX = FILE_PATH_MAX + 64,
    MACHINE_ID_MAX = 256,
    MARK_MAX = MACHINE_ID_MAX + 64,
    ASIDE_MAX = 100,
};

/* What the mark must say: this machine, and the inode of the file that says it. */
static enum err mark_format(struct slice machine_id, const struct stat *info, char out[MARK_MAX])
{
    int len = snprintf(out, MARK_MAX, "machine %.*s\ninode %" PRIu64 "\n", SLICE_ARG(machine_id),
                       (uint64_t)info->st_ino);
    return len > 0 && len < MARK_MAX ? ERR_OK : ERR_LIMIT;
}

static enum err machine_id_read(const char *path, struct arena *arena, struct fault *fault,
                                struct slice *out)
{
    struct slice text = {0};
    enum err err = file_read(path, MACHINE_ID_MAX, arena, fault, &text);
    if (err == ERR_NOT_FOUND)
        err = ERR_OK; /* small systems have none: the inode alone must do */
    if (err == ERR_OK)
        *out = slice_trim(text);
    return err;
}

static enum err is_ours(const char *path, struct slice machine_id, struct arena *arena,
                        struct fault *fault, bool *out)
{
    struct stat info;
    struct slice text;
    char mark[MARK_MAX];
    *out = false;
    enum err err = file_read(path, MARK_MAX, arena, fault, &text);
    if (err == ERR_NOT_FOUND || err == ERR_LIMIT)
        return ERR_OK;
    if (err == ERR_OK && lstat(path, &info) != 0)
        err = fault_set(fault, ERR_IO, "state_folder", "%s cannot be looked at", path);
    if (err == ERR_OK)
        err = mark_format(machine_id, &info, mark);
    if (err == ERR_OK)
        *out = slice_is(text, mark);
    return err;
}

/* A file knows its inode only once it is there; a rename keeps it. */
static enum err mark_write(const char *path, struct slice machine_id, struct fault *fault)
{
    struct stat info;
    char draft[HOME_PATH_MAX + 8], mark[MARK_MAX];
    int fd = -1;
    (void)snprintf(draft, sizeof(draft), "%s.new", path);
    enum err err = file_open(draft, FILE_OPEN_REPLACE, 0600, fault, &fd);
    if (err == ERR_OK && fstat(fd, &info) != 0)
        err = fault_set(fault, ERR_IO, "state_folder", "%s cannot be looked at", draft);
    if (err == ERR_OK)
        err = mark_format(machine_id, &info, mark);
    if (err == ERR_OK)
        err = file_write_all(fd, slice_of(mark));
    if (err == ERR_OK)
        err = file_sync(fd);
    file_close(fd);
    return err == ERR_OK ? file_rename(draft, path, fault) : err;
}

static enum err journal_aside(const char *state_folder, struct fault *fault)
{
    static const char *const PARTS[] = {"-wal", "-shm", ""};
    char from[HOME_PATH_MAX], to[HOME_PATH_MAX + 32];
    struct file_info info;
    int number = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK) {
        if (++number > ASIDE_MAX)
            return fault_set(fault, ERR_LIMIT, "state_folder",
                             "%d journals lie aside in %s already; move them away", ASIDE_MAX,
                             state_folder);
        (void)snprintf(to, sizeof(to), "%s/journal.db.moved-%d", state_folder, number);
        err = file_stat(to, &info);
    }
    if (err != ERR_NOT_FOUND)
        return err;
    for (size_t i = 0; i < sizeof(PARTS) / sizeof(PARTS[0]); i++) {
        (void)snprintf(from, sizeof(from), "%s/journal.db%s", state_folder, PARTS[i]);
        (void)snprintf(to, sizeof(to), "%s/journal.db.moved-%d%s", state_folder, number, PARTS[i]);
        err = file_rename(from, to, fault);
        if (err != ERR_OK && err != ERR_NOT_FOUND)
            return err;
    }
    return ERR_OK;
}

static enum err claim(const char *state_folder, struct slice machine_id, bool is_moved,
                      struct arena *arena, struct fault *fault)
{
    char path[HOME_PATH_MAX], journal[HOME_PATH_MAX];
    struct file_info info;
    bool is_home;
    (void)snprintf(path, sizeof(path), "%s/machine", state_folder);
    (void)snprintf(journal, sizeof(journal), "%s/journal.db", state_folder);
    enum err err = is_ours(path, machine_id, arena, fault, &is_home);
    if (err != ERR_OK || is_home)
        return err;
    bool is_new =
        file_stat(path, &info) == ERR_NOT_FOUND && file_stat(journal, &info) == ERR_NOT_FOUND;
    if (!is_new && !is_moved)
        return fault_set(fault, ERR_DENIED, "state_folder",
                         "%s was copied from another place, or is another machine's: two agents "
                         "with one journal could run a job twice. When the other one is gone for "
                         "good and runs nothing, start once with --moved",
                         state_folder);
    if (!is_new)
        err = journal_aside(state_folder, fault);
    return err == ERR_OK ? mark_write(path, machine_id, fault) : err;
}

enum err home_claim(const char *state_folder, const char *machine_id_path, bool is_moved,
                    struct fault *fault)
{
    struct arena arena;
    struct slice machine_id = {0};
    if (strlen(state_folder) >= FILE_PATH_MAX)
        return fault_set(fault, ERR_LIMIT, "state_folder", "the path is too long");
    arena_init(&arena, 1 << 16);
    enum err err = machine_id_read(machine_id_path, &arena, fault, &machine_id);
    if (err == ERR_OK)
        err = claim(state_folder, machine_id, is_moved, &arena, fault);
    arena_deinit(&arena);
    return err;
}
