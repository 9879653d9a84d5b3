/* Copies of the server's database: made while it runs, put back while it does not. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "port/file.h"
#include "port/loop.h"
#include "store/backup.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct flag STATE_FLAGS[] = {
    {"state", 's', FLAG_TEXT, "FOLDER", "the server's state folder (required)"},
};

static const char *database(struct cli *cli)
{
    const char *state = cli_text(cli, "state", NULL);
    return state == NULL ? NULL : arena_printf(&cli->arena, "%s/lingqu.db", state);
}

static int state_missing(struct cli *cli)
{
    return cli_fail(cli, EXIT_USAGE, "say where the server's state is: --state FOLDER");
}

static int code_of(enum err err)
{
    switch (err) {
    case ERR_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case ERR_DENIED:
        return EXIT_DENIED;
    case ERR_EXISTS:
    case ERR_BUSY:
        return EXIT_CONFLICT;
    default:
        return EXIT_FAILED;
    }
}

static int backup(struct cli *cli)
{
    enum { PAGES_A_STEP = 1024, STEPS_A_NOTE = 64 };
    struct store_backup *copy = NULL;
    struct fault fault = {0};
    uint32_t left = 1, steps = 0;
    const char *path = database(cli), *target = cli->positional[0];
    if (path == NULL)
        return state_missing(cli);
    enum err err = store_backup_begin(path, target, &copy, &fault);
    while (err == ERR_OK && left > 0) {
        err = store_backup_step(copy, PAGES_A_STEP, &left, &fault);
        if (err == ERR_OK && left > 0 && ++steps % STEPS_A_NOTE == 0)
            cli_note(cli, "%u pages left", left);
    }
    store_backup_end(copy);
    if (err != ERR_OK)
        return cli_fail_fault(cli, code_of(err), target, &fault);
    if (cli->is_json)
        printf("{\"backup\":\"%s\"}\n", target);
    else
        printf("%s: a copy of %s, checked\n", target, path);
    return EXIT_DONE;
}

const struct command COMMAND_SERVER_BACKUP = {
    .name = "server backup",
    .group = "Running a network",
    .summary = "copy the server's database, also while it runs",
    .usage = "FILE --state FOLDER",
    .details = "The copy is one state of the database. Content (chunks/), logs and keys are plain "
               "files beside it: copy them with\nyour own means, after the database.\n\n"
               "Example:\n  lq server backup /backup/lingqu-monday.db --state /var/lib/lingqu",
    .flags = STATE_FLAGS,
    .flag_count = COUNT(STATE_FLAGS),
    .positional_min = 1,
    .positional_max = 1,
    .run = backup};

static int restore(struct cli *cli)
{
    struct fault fault = {0};
    const char *path = database(cli), *source = cli->positional[0];
    if (path == NULL)
        return state_missing(cli);
    if (!cli_confirm(cli, arena_printf(&cli->arena, "Put %s in the place of %s (which is kept)?",
                                       source, path)))
        return EXIT_FAILED;
    enum err err = store_restore(source, path, &fault);
    if (err != ERR_OK)
        return cli_fail_fault(cli, code_of(err), source, &fault);
    cli_note(cli,
             "at its next start the server raises the epoch and hears from every site before it "
             "places anew what may still run");
    if (cli->is_json)
        printf("{\"restored\":\"%s\"}\n", path);
    else
        printf("%s: restored from %s\n", path, source);
    return EXIT_DONE;
}

const struct command COMMAND_SERVER_RESTORE = {
    .name = "server restore",
    .group = "Running a network",
    .summary = "put a backup in the place of the database of a stopped server",
    .usage = "FILE --state FOLDER [-y]",
    .details =
        "What stood there is kept as lingqu.db.before-restore-N. The copy is marked: the next "
        "start raises the epoch, so that\ncommands from before the restore are refused by "
        "every site, and what still runs is taken over, not started twice.\n\n"
        "Example:\n  lq server restore /backup/lingqu-monday.db --state /var/lib/lingqu",
    .flags = STATE_FLAGS,
    .flag_count = COUNT(STATE_FLAGS),
    .positional_min = 1,
    .positional_max = 1,
    .run = restore};
