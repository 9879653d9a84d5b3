#include "cli/slurm_book.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"
#include "port/file.h"
#include "wire/json_writer.h"

enum {
    BOOK_PATH_MAX = FILE_PATH_MAX + 32,
    BOOK_LINE_BYTES_MAX = 1 << 20,
    BOOK_LINES_MAX = 1 << 20,
    LOCK_STEP_MS = 5,
    LOCK_TRIES = 2000,
};

static const struct json_limits LINE_LIMITS = {BOOK_LINE_BYTES_MAX, 4, 2 * JOB_ARRAY_MAX};

static int book_path(struct cli *cli, const char *name, char out[BOOK_PATH_MAX])
{
    const char *home = cli_home(cli);
    struct fault fault = {0};
    if (home == NULL || strlen(home) >= FILE_PATH_MAX)
        return cli_fail(cli, EXIT_USAGE,
                        "neither LQ_HOME nor HOME is set: no place for the numbers of jobs");
    (void)snprintf(out, BOOK_PATH_MAX, "%s/slurm", home);
    if (file_make_folders(out, 0700, &fault) != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, out, &fault);
    (void)snprintf(out, BOOK_PATH_MAX, "%s/slurm/%s", home, name);
    return EXIT_DONE;
}

/* Waits for whoever has it: each holds it for some milliseconds. */
static int lock_take(struct cli *cli, struct file_lock *out)
{
    char path[BOOK_PATH_MAX];
    struct fault fault = {0};
    int code = book_path(cli, "lock", path);
    if (code != EXIT_DONE)
        return code;
    enum err err = ERR_BUSY;
    for (unsigned tries = 0; err == ERR_BUSY && tries < LOCK_TRIES; tries++) {
        if (tries > 0)
            cli_pause(cli, SPAN_MS(LOCK_STEP_MS));
        err = file_lock_take(path, &fault, out);
    }
    return err == ERR_OK ? EXIT_DONE : cli_fail_fault(cli, EXIT_FAILED, path, &fault);
}

int book_reserve(struct cli *cli, uint32_t count, uint64_t *out_first)
{
    char path[BOOK_PATH_MAX], text[32];
    struct file_lock lock;
    struct fault fault = {0};
    struct slice bytes;
    uint64_t next = 1;
    int code = lock_take(cli, &lock);
    if (code != EXIT_DONE)
        return code;
    code = book_path(cli, "next", path);
    enum err err = file_read(path, sizeof(text), &cli->arena, &fault, &bytes);
    if (err == ERR_OK && slice_parse_u64(slice_trim(bytes), &next) != ERR_OK)
        err = fault_set(&fault, ERR_CORRUPT, NULL,
                        "holds no number; write one into it that no job has had yet");
    if (err == ERR_OK || err == ERR_NOT_FOUND) {
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)(next + count));
        err = file_write_atomic(path, slice_of(text), 0600, &fault);
    }
    file_lock_release(&lock);
    if (err != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, path, &fault);
    *out_first = next;
    return code;
}

/* ---- lines */

static void line_write(const struct book_entry *entry, struct json_writer *writer)
{
    json_begin_object(writer);
    json_put_u64(writer, "number", entry->number);
    json_key(writer, "jobs");
    json_begin_array(writer);
    for (uint32_t i = 0; i < entry->count; i++)
        json_string(writer, entry->jobs[i]);
    json_end_array(writer);
    json_put_bool(writer, "is_array", entry->is_array);
    json_put_string(writer, "tasks", entry->tasks);
    json_put_string(writer, "name", entry->name);
    json_put_string(writer, "partition", entry->partition);
    json_put_string(writer, "account", entry->account);
    json_put_string(writer, "user", entry->user);
    json_put_string(writer, "dir", entry->dir);
    json_put_string(writer, "output", entry->output);
    json_put_string(writer, "error", entry->error);
    json_put_string(writer, "command", entry->command);
    json_put_string(writer, "comment", entry->comment);
    json_put_u64(writer, "cpus", entry->cpus);
    json_put_u64(writer, "nodes", entry->nodes);
    json_put_u64(writer, "ntasks", entry->ntasks);
    json_put_u64(writer, "cpus_per_task", entry->cpus_per_task);
    json_put_u64(writer, "mem_mib", entry->mem_mib);
    json_put_u64(writer, "limit_s", entry->limit_s);
    json_put_i64(writer, "submitted_us", entry->submitted_us);
    json_end_object(writer);
}

/* The newer half of the lines in place of all. */
static enum err book_halve(struct cli *cli, const char *path, struct fault *fault)
{
    struct slice bytes;
    enum err err =
        file_read(path, BOOK_BYTES_MAX + BOOK_LINE_BYTES_MAX, &cli->arena, fault, &bytes);
    size_t at = bytes.len / 2;
    if (err != ERR_OK)
        return err;
    while (at < bytes.len && bytes.data[at] != '\n')
        at++;
    at += at < bytes.len;
    return file_write_atomic(path, slice_make(bytes.data + at, bytes.len - at), 0600, fault);
}

static enum err book_append(struct cli *cli, const char *path, struct slice line,
                            struct fault *fault)
{
    struct file_info info;
    int fd = -1;
    enum err err = ERR_OK;
    if (file_stat(path, &info) == ERR_OK && info.size_bytes + line.len > BOOK_BYTES_MAX)
        err = book_halve(cli, path, fault);
    if (err == ERR_OK)
        err = file_open(path, FILE_OPEN_APPEND, 0600, fault, &fd);
    if (err == ERR_OK)
        err = file_write_all(fd, line);
    if (err == ERR_OK)
        err = file_sync(fd);
    file_close(fd);
    return err;
}

int book_add(struct cli *cli, const struct book_entry *entry)
{
    char path[BOOK_PATH_MAX];
    struct file_lock lock;
    struct fault fault = {0};
    struct buffer line;
    struct json_writer writer;
    int code = book_path(cli, "book.jsonl", path);
    if (code == EXIT_DONE)
        code = lock_take(cli, &lock);
    if (code != EXIT_DONE)
        return code;
    buffer_init(&line, BOOK_LINE_BYTES_MAX);
    json_writer_init(&writer, &line);
    line_write(entry, &writer);
    enum err err = json_writer_finish(&writer);
    buffer_append_char(&line, '\n');
    if (err == ERR_OK)
        err = buffer_status(&line);
    if (err == ERR_OK)
        err = book_append(cli, path, buffer_slice(&line), &fault);
    file_lock_release(&lock);
    buffer_deinit(&line);
    fault.code = err;
    return err == ERR_OK ? EXIT_DONE : cli_fail_fault(cli, EXIT_FAILED, path, &fault);
}

static struct slice kept(struct cli *cli, struct json_value root, const char *name)
{
    return arena_copy(&cli->arena, api_string(root, name));
}

static bool line_read(struct cli *cli, struct slice line, struct book_entry *out)
{
    struct json_document *document;
    if (json_parse(line, &LINE_LIMITS, &document, NULL) != ERR_OK)
        return false; /* cut off by a full disk, at the worst: the others stand */
    struct json_value root = json_root(document), jobs = json_object_get(root, "jobs");
    struct slice *ids = arena_array(&cli->arena, json_count(jobs) + 1, sizeof(*ids));
    struct json_iterator it = json_iterate(jobs);
    *out = (struct book_entry){
        .number = api_u64(root, "number"),
        .jobs = ids,
        .count = (uint32_t)json_count(jobs),
        .is_array = api_bool(root, "is_array"),
        .tasks = kept(cli, root, "tasks"),
        .name = kept(cli, root, "name"),
        .partition = kept(cli, root, "partition"),
        .account = kept(cli, root, "account"),
        .user = kept(cli, root, "user"),
        .dir = kept(cli, root, "dir"),
        .output = kept(cli, root, "output"),
        .error = kept(cli, root, "error"),
        .command = kept(cli, root, "command"),
        .comment = kept(cli, root, "comment"),
        .cpus = (uint32_t)api_u64(root, "cpus"),
        .nodes = (uint32_t)api_u64(root, "nodes"),
        .ntasks = (uint32_t)api_u64(root, "ntasks"),
        .cpus_per_task = (uint32_t)api_u64(root, "cpus_per_task"),
        .mem_mib = api_u64(root, "mem_mib"),
        .limit_s = api_u64(root, "limit_s"),
        .submitted_us = (int64_t)api_u64(root, "submitted_us"),
    };
    while (ids != NULL && json_next(&it)) {
        struct slice id = {0};
        if (json_to_string(it.value, ID_TEXT_MAX, &id, NULL) == ERR_OK)
            ids[it.index] = arena_copy(&cli->arena, id);
    }
    json_document_destroy(document);
    return ids != NULL && out->number > 0 && out->count > 0;
}

int book_load(struct cli *cli, struct book *out)
{
    char path[BOOK_PATH_MAX];
    struct fault fault = {0};
    struct slice bytes, line;
    size_t lines = 0;
    int code = book_path(cli, "book.jsonl", path);
    if (code != EXIT_DONE)
        return code;
    *out = (struct book){0};
    enum err err =
        file_read(path, BOOK_BYTES_MAX + BOOK_LINE_BYTES_MAX, &cli->arena, &fault, &bytes);
    if (err == ERR_NOT_FOUND)
        return EXIT_DONE;
    if (err != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, path, &fault);
    for (size_t i = 0; i < bytes.len; i++)
        lines += bytes.data[i] == '\n';
    out->entries = arena_array(&cli->arena, lines + 1, sizeof(*out->entries));
    if (out->entries == NULL)
        return cli_fail(cli, EXIT_FAILED, "%s: no memory for its lines", path);
    while (slice_cut(bytes, '\n', &line, &bytes))
        if (line_read(cli, line, &out->entries[out->count]))
            out->count++;
    return EXIT_DONE;
}

const struct book_entry *book_find(const struct book *book, uint64_t number, uint32_t *out_index)
{
    for (size_t i = book->count; i > 0; i--) {
        const struct book_entry *entry = &book->entries[i - 1];
        if (number < entry->number || number - entry->number >= entry->count)
            continue;
        *out_index = (uint32_t)(number - entry->number);
        return entry;
    }
    return NULL;
}

int64_t book_task(const struct book_entry *entry, uint32_t index)
{
    struct slice rest = entry->tasks, one;
    uint64_t first, step, count;
    for (bool is_last = !entry->is_array; !is_last;) {
        struct slice a, b, c;
        is_last = !slice_cut(rest, ' ', &one, &rest);
        if (is_last)
            one = rest;
        if (!slice_cut(one, ':', &a, &b) || !slice_cut(b, ':', &b, &c) ||
            slice_parse_u64(a, &first) != ERR_OK || slice_parse_u64(b, &step) != ERR_OK ||
            slice_parse_u64(c, &count) != ERR_OK)
            return -1;
        if (index < count)
            return (int64_t)(first + step * index);
        index -= (uint32_t)count;
    }
    return -1;
}
