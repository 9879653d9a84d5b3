/* Parsing of flags by the command's table, and help from the same table. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "cli/cli.h"

static const struct flag COMMON_FLAGS[] = {
    {"json", 0, FLAG_BOOL, NULL, "print JSON for programs"},
    {"quiet", 'q', FLAG_BOOL, NULL, "no progress"},
    {"yes", 'y', FLAG_BOOL, NULL, "do not ask"},
    {"server", 0, FLAG_TEXT, "HOST:PORT", "instead of the one logged in to (or LQ_SERVER)"},
    {"help", 'h', FLAG_BOOL, NULL, "this text"},
};
enum { COMMON_COUNT = sizeof(COMMON_FLAGS) / sizeof(COMMON_FLAGS[0]) };

const struct flag *cli_common_flags(size_t *out_count)
{
    *out_count = COMMON_COUNT;
    return COMMON_FLAGS;
}

const struct flag_value *cli_flag(const struct cli *cli, const char *name)
{
    for (size_t i = 0; i < cli->command->flag_count; i++)
        if (strcmp(cli->command->flags[i].name, name) == 0)
            return &cli->flags[i];
    ASSERT(!"flag of this command");
    return NULL;
}

bool cli_has(const struct cli *cli, const char *name)
{
    return cli_flag(cli, name)->is_set;
}

const char *cli_text(const struct cli *cli, const char *name, const char *fallback)
{
    const struct flag_value *value = cli_flag(cli, name);
    return value->is_set ? value->text : fallback;
}

uint64_t cli_number(const struct cli *cli, const char *name, uint64_t fallback)
{
    const struct flag_value *value = cli_flag(cli, name);
    return value->is_set ? value->number : fallback;
}

/* The flag by long name or letter; common ones have indices from the command's count on. */
static const struct flag *flag_find(const struct command *command, struct slice name, char letter,
                                    size_t *out_index)
{
    for (size_t i = 0; i < command->flag_count + COMMON_COUNT; i++) {
        const struct flag *flag =
            i < command->flag_count ? &command->flags[i] : &COMMON_FLAGS[i - command->flag_count];
        if ((letter != 0 && flag->letter == letter) ||
            (letter == 0 && slice_is(name, flag->name))) {
            *out_index = i;
            return flag;
        }
    }
    return NULL;
}

static const char *flag_nearest(const struct command *command, struct slice name)
{
    const char *best = NULL;
    unsigned best_distance = 4;
    for (size_t i = 0; i < command->flag_count + COMMON_COUNT; i++) {
        const struct flag *flag =
            i < command->flag_count ? &command->flags[i] : &COMMON_FLAGS[i - command->flag_count];
        unsigned distance = slice_distance(name, slice_of(flag->name));
        if (distance < best_distance) {
            best_distance = distance;
            best = flag->name;
        }
    }
    return best;
}

static int value_set(struct cli *cli, const struct flag *flag, struct flag_value *value,
                     const char *text)
{
    value->is_set = true;
    value->text = text;
    if (flag->kind == FLAG_NUMBER && slice_parse_u64(slice_of(text), &value->number) != ERR_OK)
        return cli_fail(cli, EXIT_USAGE, "--%s wants a whole number, not \"%s\"", flag->name, text);
    if (flag->kind == FLAG_SPAN && span_parse(slice_of(text), &value->span) != ERR_OK)
        return cli_fail(cli, EXIT_USAGE, "--%s wants a duration such as 30s or 10m, not \"%s\"",
                        flag->name, text);
    if (flag->kind == FLAG_LIST) {
        if (value->list_count == CLI_LIST_MAX)
            return cli_fail(cli, EXIT_USAGE, "--%s is given more than %d times", flag->name,
                            CLI_LIST_MAX);
        value->list[value->list_count++] = text;
    }
    return EXIT_DONE;
}

static int common_set(struct cli *cli, const struct flag *flag, const char *text)
{
    if (strcmp(flag->name, "json") == 0)
        cli->is_json = true;
    else if (strcmp(flag->name, "quiet") == 0)
        cli->is_quiet = true;
    else if (strcmp(flag->name, "yes") == 0)
        cli->is_yes = true;
    else if (strcmp(flag->name, "server") == 0)
        cli->config.server = text;
    else {
        cli_help(cli->command);
        return -1;
    }
    return EXIT_DONE;
}

/* One argument that starts with a dash. `*index` moves on when the value is the next argument. */
static int flag_take(struct cli *cli, int argc, char **argv, int *index)
{
    const char *argument = argv[*index];
    bool is_long = argument[1] == '-';
    struct slice name = slice_of(argument + (is_long ? 2 : 1)), inline_value = {0};
    bool has_inline = is_long && slice_cut(name, '=', &name, &inline_value);
    size_t at;
    if (!is_long && name.len > 1)
        return cli_fail(cli, EXIT_USAGE, "\"%s\": give short flags one by one; see lq %s --help",
                        argument, cli->command->name);
    const struct flag *flag = flag_find(cli->command, name, is_long ? 0 : argument[1], &at);
    if (flag == NULL) {
        const char *near = is_long ? flag_nearest(cli->command, name) : NULL;
        return near != NULL ? cli_fail(cli, EXIT_USAGE, "unknown flag \"%s\"; did you mean --%s?",
                                       argument, near)
                            : cli_fail(cli, EXIT_USAGE, "unknown flag \"%s\"; see lq %s --help",
                                       argument, cli->command->name);
    }
    const char *text = NULL;
    if (flag->kind == FLAG_BOOL) {
        if (has_inline)
            return cli_fail(cli, EXIT_USAGE, "--%s takes no value", flag->name);
    } else if (has_inline) {
        text = inline_value.data;
    } else if (*index + 1 < argc) {
        text = argv[++*index];
    } else {
        return cli_fail(cli, EXIT_USAGE, "--%s wants a value (%s)", flag->name, flag->value);
    }
    if (at >= cli->command->flag_count)
        return common_set(cli, flag, text);
    return value_set(cli, flag, &cli->flags[at], text);
}

int cli_parse(struct cli *cli, int argc, char **argv)
{
    const struct command *command = cli->command;
    bool only_positional = false;
    ASSERT(command->flag_count <= CLI_FLAGS_MAX);
    for (int i = 0; i < argc; i++) {
        if (!only_positional && strcmp(argv[i], "--") == 0) {
            only_positional = true;
        } else if (!only_positional && argv[i][0] == '-' && argv[i][1] != 0) {
            int code = flag_take(cli, argc, argv, &i);
            if (code != EXIT_DONE)
                return code;
        } else if (cli->positional_count == command->positional_max ||
                   cli->positional_count == CLI_POSITIONAL_MAX) {
            return cli_fail(cli, EXIT_USAGE, "too many arguments at \"%s\"; usage: lq %s %s",
                            argv[i], command->name, command->usage);
        } else {
            cli->positional[cli->positional_count++] = argv[i];
        }
    }
    if (cli->positional_count < command->positional_min)
        return cli_fail(cli, EXIT_USAGE, "an argument is missing; usage: lq %s %s", command->name,
                        command->usage);
    return EXIT_DONE;
}

static void flag_print(const struct flag *flag)
{
    char left[64];
    int n = flag->letter != 0 ? snprintf(left, sizeof(left), "-%c, --%s", flag->letter, flag->name)
                              : snprintf(left, sizeof(left), "    --%s", flag->name);
    if (flag->value != NULL && n > 0 && (size_t)n < sizeof(left))
        (void)snprintf(left + n, sizeof(left) - (size_t)n, " %s", flag->value);
    printf("  %-28s %s\n", left, flag->help);
}

void cli_help(const struct command *command)
{
    printf("lq %s: %s\n\nUsage: lq %s %s\n", command->name, command->summary, command->name,
           command->usage);
    if (command->details != NULL)
        printf("\n%s\n", command->details);
    printf("\nFlags:\n");
    for (size_t i = 0; i < command->flag_count; i++)
        flag_print(&command->flags[i]);
    for (size_t i = 0; i < COMMON_COUNT; i++)
        flag_print(&COMMON_FLAGS[i]);
}

void cli_help_all(void)
{
    const char *group = "";
    printf("lq: many half-idle AI data centres as one metered utility\n\nUsage: lq COMMAND [flags] "
           "    lq COMMAND --help\n");
    for (const struct command *const *c = CLI_COMMANDS; *c != NULL; c++) {
        if (strcmp((*c)->group, group) != 0) {
            group = (*c)->group;
            printf("\n%s\n", group);
        }
        printf("  %-16s %s\n", (*c)->name, (*c)->summary);
    }
    printf("\nA first look: ./run shows a whole network at work; README.md has a tour.\n");
}
