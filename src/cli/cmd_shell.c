/* The command line about itself: version, completion, reference. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"

static int version(struct cli *cli)
{
    if (cli->is_json)
        printf("{\"version\":\"%s\"}\n", LQ_VERSION);
    else
        printf("lq %s\n", LQ_VERSION);
    return EXIT_DONE;
}

const struct command COMMAND_VERSION = {.name = "version",
                                        .group = "This program",
                                        .summary = "which one this is",
                                        .usage = "",
                                        .details = "Example:\n  lq version",
                                        .run = version};

/* ---- completion: commands and flags from the table, files where a command takes them */

static void words_first(const char *separator)
{
    struct slice last = {0};
    for (const struct command *const *c = CLI_COMMANDS; *c != NULL; c++) {
        struct slice name = slice_of((*c)->name), rest;
        (void)(slice_cut(name, ' ', &name, &rest));
        if (!slice_is_equal(name, last))
            printf("%.*s%s", SLICE_ARG(name), separator);
        last = name;
    }
    printf("help");
}

static void flags_of(const struct command *command)
{
    size_t common_count;
    const struct flag *common = cli_common_flags(&common_count);
    for (size_t i = 0; i < command->flag_count; i++)
        printf(" --%s", command->flags[i].name);
    for (size_t i = 0; i < common_count; i++)
        printf(" --%s", common[i].name);
}

static void completion_bash(void)
{
    printf("# lq completion for bash: source <(lq completion bash)\n"
           "_lq() {\n"
           "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" one=\"${COMP_WORDS[1]}\" "
           "two=\"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" words=\"\"\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
           "        COMPREPLY=($(compgen -W \"");
    words_first(" ");
    printf("\" -- \"$cur\"))\n        return\n    fi\n    if [ \"$COMP_CWORD\" -eq 2 ]; then\n"
           "        case \"$one\" in\n");
    for (const struct command *const *c = CLI_COMMANDS; *c != NULL; c++) {
        struct slice first, second;
        if (slice_cut(slice_of((*c)->name), ' ', &first, &second))
            printf("        %.*s) words=\"$words %.*s\" ;;&\n", SLICE_ARG(first),
                   SLICE_ARG(second));
    }
    printf("        esac\n    fi\n    case \"$two\" in\n");
    for (int pass = 0; pass < 2; pass++) {
        for (const struct command *const *c = CLI_COMMANDS; *c != NULL; c++) {
            if ((strchr((*c)->name, ' ') == NULL) != (pass == 1))
                continue;
            printf("    \"%s%s) words=\"$words", (*c)->name, pass == 0 ? "\"*" : " \"*");
            flags_of(*c);
            printf("\" ;;\n");
        }
    }
    printf("    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
           "    if [ \"${#COMPREPLY[@]}\" -eq 0 ]; then COMPREPLY=($(compgen -f -- \"$cur\")); fi\n"
           "}\ncomplete -F _lq lq\n");
}

/* Text inside single quotes of a shell; brackets and colons are zsh's own marks. */
static void quoted(const char *text, bool is_zsh)
{
    for (const char *c = text; *c != 0; c++) {
        if (*c == '\'')
            printf("%s", is_zsh ? "'\\''" : "\\'");
        else if (is_zsh && strchr("[]:", *c) != NULL)
            printf("\\%c", *c);
        else
            putchar(*c);
    }
}

static void zsh_flags(const struct command *command)
{
    size_t common_count;
    const struct flag *common = cli_common_flags(&common_count);
    printf("_arguments");
    for (size_t i = 0; i < command->flag_count + common_count; i++) {
        const struct flag *flag =
            i < command->flag_count ? &command->flags[i] : &common[i - command->flag_count];
        printf(" '%s--%s%s[", flag->kind == FLAG_LIST ? "*" : "", flag->name,
               flag->kind == FLAG_BOOL ? "" : "=");
        quoted(flag->help, true);
        printf("]%s%s'", flag->kind == FLAG_BOOL ? "" : ":",
               flag->kind == FLAG_BOOL ? "" : flag->value);
        if (flag->kind != FLAG_BOOL)
            continue;
    }
    printf(" '*:file:_files'");
}

static void completion_zsh(void)
{
    printf("#compdef lq\n# lq completion for zsh: lq completion zsh > \"${fpath[1]}/_lq\"\n"
           "_lq() {\n    local -a names\n    if (( CURRENT == 2 )); then\n        names=(");
    words_first(" ");
    printf(")\n        compadd -a names\n        return\n    fi\n    case \"$words[2] $words[3]\" "
           "in\n");
    for (int pass = 0; pass < 2; pass++) {
        for (const struct command *const *c = CLI_COMMANDS; *c != NULL; c++) {
            if ((strchr((*c)->name, ' ') == NULL) != (pass == 1))
                continue;
            printf("    \"%s%s) ", (*c)->name, pass == 0 ? "\"*" : " \"*");
            zsh_flags(*c);
            printf(" ;;\n");
        }
    }
    printf("    *)\n        names=()\n        case \"$words[2]\" in\n");
    for (const struct command *const *c = CLI_COMMANDS; *c != NULL; c++) {
        struct slice first, second;
        if (slice_cut(slice_of((*c)->name), ' ', &first, &second))
            printf("        %.*s) names+=(%.*s) ;|\n", SLICE_ARG(first), SLICE_ARG(second));
    }
    printf("        esac\n        compadd -a names ;;\n    esac\n}\n"
           "if [ \"$funcstack[1]\" = _lq ]; then _lq \"$@\"; else compdef _lq lq; fi\n");
}

static void fish_line(const struct command *command, const struct flag *flag, const char *when)
{
    printf("complete -c lq -n '%s' -l %s", when, flag->name);
    if (flag->letter != 0)
        printf(" -s %c", flag->letter);
    if (flag->kind != FLAG_BOOL)
        printf(" -r");
    printf(" -d '");
    quoted(flag->help, false);
    printf("'\n");
    (void)command;
}

static void completion_fish(void)
{
    printf("# lq completion for fish: lq completion fish | source\n");
    for (const struct command *const *c = CLI_COMMANDS; *c != NULL; c++) {
        struct slice first = slice_of((*c)->name), second = {0};
        char when[160];
        size_t common_count;
        const struct flag *common = cli_common_flags(&common_count);
        bool is_two = slice_cut(first, ' ', &first, &second);
        printf("complete -c lq -n __fish_use_subcommand -a '%.*s'", SLICE_ARG(first));
        if (!is_two) {
            printf(" -d '");
            quoted((*c)->summary, false);
            printf("'");
        }
        printf("\n");
        (void)snprintf(when, sizeof(when), "__fish_seen_subcommand_from %.*s", SLICE_ARG(first));
        if (is_two) {
            printf("complete -c lq -n '%s' -a '%.*s' -d '", when, SLICE_ARG(second));
            quoted((*c)->summary, false);
            printf("'\n");
            (void)snprintf(when, sizeof(when),
                           "__fish_seen_subcommand_from %.*s; and __fish_seen_subcommand_from %.*s",
                           SLICE_ARG(first), SLICE_ARG(second));
        }
        for (size_t i = 0; i < (*c)->flag_count; i++)
            fish_line(*c, &(*c)->flags[i], when);
        for (size_t i = 0; i < common_count; i++)
            fish_line(*c, &common[i], when);
    }
}

static int completion(struct cli *cli)
{
    const char *shell = cli->positional[0];
    if (strcmp(shell, "bash") == 0)
        completion_bash();
    else if (strcmp(shell, "zsh") == 0)
        completion_zsh();
    else if (strcmp(shell, "fish") == 0)
        completion_fish();
    else
        return cli_fail(cli, EXIT_USAGE, "completion is there for bash, zsh and fish, not \"%s\"",
                        shell);
    return EXIT_DONE;
}

const struct command COMMAND_COMPLETION = {
    .name = "completion",
    .group = "This program",
    .summary = "tab completion for a shell",
    .usage = "bash|zsh|fish",
    .details = "Examples:\n  source <(lq completion bash)\n"
               "  lq completion fish > ~/.config/fish/completions/lq.fish",
    .positional_min = 1,
    .positional_max = 1,
    .run = completion};

/* ---- reference: the part of docs/cli.md that comes from the table */

static void reference_flag(const struct flag *flag)
{
    if (flag->letter != 0)
        printf("| `-%c`, `--%s", flag->letter, flag->name);
    else
        printf("| `--%s", flag->name);
    printf("%s%s` | ", flag->value != NULL ? " " : "", flag->value != NULL ? flag->value : "");
    for (const char *c = flag->help; *c != 0; c++) {
        if (*c == '|')
            putchar('\\');
        putchar(*c);
    }
    printf(" |\n");
}

static int reference(struct cli *cli)
{
    const char *group = "";
    size_t common_count;
    const struct flag *common = cli_common_flags(&common_count);
    (void)cli;
    printf("Every command takes these:\n\n| flag | |\n|---|---|\n");
    for (size_t i = 0; i < common_count; i++)
        reference_flag(&common[i]);
    for (const struct command *const *c = CLI_COMMANDS; *c != NULL; c++) {
        const struct command *command = *c;
        if (strcmp(command->group, group) != 0)
            printf("\n## %s\n", command->group);
        group = command->group;
        printf("\n### lq %s\n\n%s.\n\n```text\nlq %s%s%s\n", command->name, command->summary,
               command->name, command->usage[0] != 0 ? " " : "", command->usage);
        if (command->details != NULL)
            printf("\n%s\n", command->details);
        printf("```\n");
        if (command->flag_count > 0)
            printf("\n| flag | |\n|---|---|\n");
        for (size_t i = 0; i < command->flag_count; i++)
            reference_flag(&command->flags[i]);
    }
    return EXIT_DONE;
}

const struct command COMMAND_REFERENCE = {
    .name = "reference",
    .group = "This program",
    .summary = "all commands and flags as Markdown",
    .usage = "",
    .details = "docs/cli.md has it; a test fails when that is out of date.\n\n"
               "Example:\n  lq reference > commands.md",
    .run = reference};
