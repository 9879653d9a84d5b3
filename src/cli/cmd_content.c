/* Checkpoints and outputs: what a job left, and bringing it here. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "port/file.h"
#include "store/manifest.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int artifacts(struct cli *cli)
{
    static const char *const HEADS[] = {"ARTIFACT", "KIND", "ATTEMPT", "STEP",
                                        "SIZE",     "GOOD", "CREATED"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT,  TABLE_LEFT, TABLE_RIGHT, TABLE_RIGHT,
                                              TABLE_RIGHT, TABLE_LEFT, TABLE_LEFT};
    struct api_reply reply;
    int code = api_call(
        cli, "GET", api_target(cli, "/v1/jobs/%s/artifacts", api_escape(cli, cli->positional[0])),
        (struct slice){0}, &reply);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return api_print(&reply);
    struct table *table = table_create(cli, HEADS, ALIGNS, COUNT(HEADS));
    struct json_iterator it = json_iterate(json_object_get(reply.root, "items"));
    while (json_next(&it)) {
        char size[UNITS_TEXT_MAX];
        units_format_bytes_short(api_u64(it.value, "size_bytes"), size);
        table_cell(table, api_string(it.value, "id"));
        table_cell(table, api_string(it.value, "kind"));
        table_cell_printf(table, "%llu", (unsigned long long)api_u64(it.value, "attempt"));
        table_cell_printf(table, "%u", (unsigned)(api_u64(it.value, "step") & UINT32_MAX));
        table_cell_text(table, size);
        table_cell_text(table, api_bool(it.value, "is_stale") ? "stale" : "yes");
        table_cell(table, api_time(cli, it.value, "created_at"));
    }
    table_print(table);
    return EXIT_DONE;
}

const struct command COMMAND_ARTIFACTS = {
    .name = "artifacts",
    .group = "Work",
    .summary = "a job's checkpoints and outputs",
    .usage = "JOB",
    .details =
        "A stale one came from an attempt that was no longer the current one: it is kept, and "
        "never restored from.\n\nExample:\n  lq artifacts job_01j9z3k5m8q2r4t6v8x0y2z4a6",
    .positional_min = 1,
    .positional_max = 1,
    .run = artifacts};

/* ---- get */

static const struct flag GET_FLAGS[] = {
    {"out", 'o', FLAG_TEXT, "PATH",
     "folder (of all) or file (of one) to write; default: named after the artifact or the file"},
    {"list", 'l', FLAG_BOOL, NULL, "list the files, fetch nothing"},
};

struct sink {
    int fd;
    uint64_t bytes;
    bool has_failed;
};

static bool on_file_bytes(struct cli *cli, void *context, struct slice bytes)
{
    struct sink *sink = context;
    (void)cli;
    sink->bytes += bytes.len;
    sink->has_failed = file_write_all(sink->fd, bytes) != ERR_OK;
    return !sink->has_failed;
}

/* The target of a file: each part of its path is escaped by itself. */
static const char *file_target(struct cli *cli, const char *artifact, struct slice path)
{
    struct slice part;
    const char *target = api_target(cli, "/v1/artifacts/%s/files", api_escape(cli, artifact));
    while (path.len > 0) {
        if (!slice_cut(path, '/', &part, &path)) {
            part = path;
            path = (struct slice){0};
        }
        target = arena_printf(&cli->arena, "%s/%s", target,
                              api_escape(cli, arena_text(&cli->arena, part)));
    }
    return target;
}

/* Into a new file that gets its name when it is whole; "-" is standard output. */
static int fetch(struct cli *cli, const char *artifact, const struct manifest_entry *entry,
                 const char *path)
{
    struct fault fault = {0};
    struct sink sink = {.fd = STDOUT_FILENO};
    bool is_stdout = strcmp(path, "-") == 0;
    const char *part = arena_printf(&cli->arena, "%s.partial", path);
    if (!is_stdout &&
        file_open(part, FILE_OPEN_REPLACE, entry->mode & 0777, &fault, &sink.fd) != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, part, &fault);
    int code = api_stream(cli, file_target(cli, artifact, entry->path), "application/octet-stream",
                          NULL, on_file_bytes, &sink);
    if (code == EXIT_DONE && sink.has_failed)
        code = is_stdout ? EXIT_DONE : cli_fail(cli, EXIT_FAILED, "%s: %s", path, strerror(errno));
    else if (code == EXIT_DONE && sink.bytes != entry->size)
        code = cli_fail(cli, EXIT_FAILED, "%s: broke off after %llu of %llu bytes; ask again", path,
                        (unsigned long long)sink.bytes, (unsigned long long)entry->size);
    if (is_stdout)
        return code;
    file_close(sink.fd);
    if (code == EXIT_DONE && file_rename(part, path, &fault) != ERR_OK)
        code = cli_fail_fault(cli, EXIT_FAILED, path, &fault);
    return code;
}

static void files_print(struct cli *cli, const struct manifest *manifest)
{
    static const char *const HEADS[] = {"MODE", "SIZE", "FILE"};
    static const enum table_align ALIGNS[] = {TABLE_LEFT, TABLE_RIGHT, TABLE_LEFT};
    struct table *table = table_create(cli, HEADS, ALIGNS, COUNT(HEADS));
    for (size_t i = 0; i < manifest->count; i++) {
        const struct manifest_entry *entry = &manifest->entries[i];
        table_cell_printf(table, "%04o", (unsigned)entry->mode);
        table_cell_printf(table, "%llu", (unsigned long long)entry->size);
        table_cell_printf(table, "%.*s%s", SLICE_ARG(entry->path),
                          entry->kind == MANIFEST_FOLDER ? "/" : "");
    }
    table_print(table);
}

/* Folders and files below `folder`; manifest_decode has refused paths that lead out of it. */
static int fetch_all(struct cli *cli, const char *artifact, const struct manifest *manifest,
                     const char *folder)
{
    struct fault fault = {0};
    struct file_info info;
    size_t done = 0;
    if (file_stat(folder, &info) == ERR_OK)
        return cli_fail(cli, EXIT_CONFLICT, "%s stands already; name another place with --out",
                        folder);
    if (file_make_folders(folder, 0755, &fault) != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, folder, &fault);
    for (size_t i = 0; i < manifest->count; i++) {
        const struct manifest_entry *entry = &manifest->entries[i];
        const char *path = arena_printf(&cli->arena, "%s/%.*s", folder, SLICE_ARG(entry->path));
        const char *slash = strrchr(path, '/');
        int code = EXIT_DONE;
        if (entry->kind == MANIFEST_FOLDER) {
            if (file_make_folders(path, 0755, &fault) != ERR_OK)
                code = cli_fail_fault(cli, EXIT_FAILED, path, &fault);
        } else if (entry->kind == MANIFEST_FILE) {
            const char *parent =
                arena_text(&cli->arena, (struct slice){path, (size_t)(slash - path)});
            if (file_make_folders(parent, 0755, &fault) != ERR_OK)
                code = cli_fail_fault(cli, EXIT_FAILED, parent, &fault);
            else
                code = fetch(cli, artifact, entry, path);
            done++;
        } else {
            cli_note(cli, "%.*s: a link; left out", SLICE_ARG(cli_safe(cli, entry->path)));
        }
        if (code != EXIT_DONE)
            return code;
    }
    printf("%s: %zu files\n", folder, done);
    return EXIT_DONE;
}

static int fetch_one(struct cli *cli, const char *artifact, const struct manifest *manifest,
                     const char *path)
{
    const char *slash = strrchr(path, '/');
    for (size_t i = 0; i < manifest->count; i++)
        if (manifest->entries[i].kind == MANIFEST_FILE && slice_is(manifest->entries[i].path, path))
            return fetch(cli, artifact, &manifest->entries[i],
                         cli_text(cli, "out", slash == NULL ? path : slash + 1));
    return cli_fail(cli, EXIT_NOT_FOUND, "the artifact has no file \"%s\"; see lq get %s --list",
                    path, artifact);
}

static int get(struct cli *cli)
{
    struct api_reply reply;
    struct manifest manifest;
    struct fault fault = {0};
    const char *artifact = cli->positional[0];
    int code = api_call(cli, "GET", api_target(cli, "/v1/artifacts/%s", api_escape(cli, artifact)),
                        (struct slice){0}, &reply);
    if (code != EXIT_DONE)
        return code;
    if (cli->is_json)
        return api_print(&reply);
    if (manifest_decode(json_source(json_object_get(reply.root, "manifest")), &cli->arena,
                        &manifest, &fault) != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, artifact, &fault);
    if (cli_has(cli, "list")) {
        files_print(cli, &manifest);
        return EXIT_DONE;
    }
    if (cli->positional_count == 2)
        return fetch_one(cli, artifact, &manifest, cli->positional[1]);
    return fetch_all(cli, artifact, &manifest, cli_text(cli, "out", artifact));
}

const struct command COMMAND_GET = {
    .name = "get",
    .group = "Work",
    .summary = "fetch an artifact, or one file of it",
    .usage = "ARTIFACT [FILE] [flags]",
    .details = "--json shows the manifest. A file's --out may be -: standard output.\n\n"
               "Examples:\n  lq get art_01j9z3k5m8q2r4t6v8x0y2z4a6 --list\n"
               "  lq get art_01j9z3k5m8q2r4t6v8x0y2z4a6 --out ./checkpoint\n"
               "  lq get art_01j9z3k5m8q2r4t6v8x0y2z4a6 loss.csv --out -",
    .flags = GET_FLAGS,
    .flag_count = COUNT(GET_FLAGS),
    .positional_min = 1,
    .positional_max = 2,
    .run = get};
