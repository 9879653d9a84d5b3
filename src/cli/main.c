/* `lq`: finds the command, parses its flags, runs it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/shim.h"
#include "http/client.h"
#include "port/loop.h"

/* A command's name may have two words. Gives how many arguments it took; 0: none. */
static int command_match(const struct command *command, int argc, char **argv)
{
    struct slice first, second;
    struct slice name = slice_of(command->name);
    if (!slice_cut(name, ' ', &first, &second))
        return argc >= 1 && slice_is(name, argv[0]) ? 1 : 0;
    return argc >= 2 && slice_is(first, argv[0]) && slice_is(second, argv[1]) ? 2 : 0;
}

static const struct command *command_find(int argc, char **argv, int *out_used)
{
    const struct command *found = NULL;
    *out_used = 0;
    for (const struct command *const *c = CLI_COMMANDS; *c != NULL; c++) {
        int used = command_match(*c, argc, argv);
        if (used > *out_used) {
            *out_used = used;
            found = *c;
        }
    }
    return found;
}

/* "tenant" alone is a group: its commands are listed. */
static bool group_help(const char *word)
{
    bool found = false;
    for (const struct command *const *c = CLI_COMMANDS; *c != NULL; c++) {
        struct slice first, second;
        if (slice_cut(slice_of((*c)->name), ' ', &first, &second) && slice_is(first, word)) {
            if (!found)
                fprintf(stderr, "lq %s has these commands:\n", word);
            found = true;
            fprintf(stderr, "  lq %-22s %s\n", (*c)->name, (*c)->summary);
        }
    }
    return found;
}

static int unknown(const char *word)
{
    const char *best = NULL;
    size_t half = strlen(word) / 2;
    unsigned best_distance = half < 3 ? (unsigned)half + 1 : 4;
    if (group_help(word))
        return EXIT_USAGE;
    for (const struct command *const *c = CLI_COMMANDS; *c != NULL; c++) {
        unsigned distance = slice_distance(slice_of(word), slice_of((*c)->name));
        if (distance < best_distance) {
            best_distance = distance;
            best = (*c)->name;
        }
    }
    if (best != NULL)
        fprintf(stderr, "lq: there is no command \"%s\"; did you mean \"%s\"? See lq help\n", word,
                best);
    else
        fprintf(stderr, "lq: there is no command \"%s\"; see lq help\n", word);
    return EXIT_USAGE;
}

static void cli_init(struct cli *cli)
{
    memset(cli, 0, sizeof(*cli));
    arena_init(&cli->arena, CLI_ARENA_BYTES_MAX);
    cli->is_terminal = isatty(STDOUT_FILENO);
    cli_size(cli);
    cli->program = realpath("/proc/self/exe", NULL);
}

static void cli_deinit(struct cli *cli)
{
    http_client_destroy(cli->client);
    tls_context_release(cli->tls);
    loop_destroy(cli->loop);
    free(cli->program);
    api_kept_destroy(cli);
    arena_deinit(&cli->arena);
}

/* A reader that went away (`lq jobs | head`) is no failure; a full disk is. */
static int output_end(const struct cli *cli, int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    if (errno == EPIPE || code != EXIT_DONE)
        return code;
    return cli_fail(cli, EXIT_FAILED, "cannot write the output: %s", strerror(errno));
}

int main(int argc, char **argv)
{
    struct cli cli;
    int used, code;
    const struct shim_command *shim = argc > 0 ? shim_find(argv[0]) : NULL;
    if (shim != NULL) {
        cli_init(&cli);
        code = output_end(&cli, shim_main(&cli, shim, argc, argv));
        cli_deinit(&cli);
        return code;
    }
    if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        const struct command *about = argc > 2 ? command_find(argc - 2, argv + 2, &used) : NULL;
        if (argc > 2 && about == NULL)
            return unknown(argv[2]);
        if (about != NULL)
            cli_help(about);
        else
            cli_help_all();
        return argc < 2 ? EXIT_USAGE : EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("lq %s\n", LQ_VERSION);
        return EXIT_DONE;
    }
    const struct command *command = command_find(argc - 1, argv + 1, &used);
    if (command == NULL)
        return unknown(argv[1]);
    cli_init(&cli);
    cli.command = command;
    cli.argc = argc - 1 - used;
    cli.argv = argv + 1 + used;
    code = command->flags == NULL && command->positional_max == CLI_POSITIONAL_MAX
               ? EXIT_DONE
               : cli_parse(&cli, cli.argc, cli.argv);
    if (code == EXIT_DONE)
        code = command->run(&cli);
    else if (code < 0)
        code = EXIT_DONE; /* --help */
    code = output_end(&cli, code);
    cli_deinit(&cli);
    return code;
}
