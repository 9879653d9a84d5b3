/* Reading options as sbatch does: words of #SBATCH lines, then getopt_long's rules. The rules of
 * splitting were found by trying (Slurm 22.05): a backslash takes the next character as it is,
 * inside quotes too; quotes may stand anywhere; an unescaped # ends the line. */
#include "wire/sbatch.h"

#include <string.h>

#define MAGIC "#SBATCH"

struct word {
    struct slice text;
    uint32_t line;
};

struct words {
    struct arena *arena;
    struct word *items;
    size_t count;
};

/* ---- the script's text */

enum err sbatch_script_check(struct slice script, struct fault *fault)
{
    bool is_blank = true;
    for (size_t i = 0; i < script.len && is_blank; i++)
        is_blank = strchr(" \t\n\v\f\r", script.data[i]) != NULL && script.data[i] != '\0';
    if (script.len == 0)
        return fault_set(fault, ERR_INVALID, NULL, "Batch script is empty!");
    if (is_blank)
        return fault_set(fault, ERR_INVALID, NULL, "Batch script contains only whitespace!");
    if (script.len > SBATCH_SCRIPT_BYTES_MAX)
        return fault_set(fault, ERR_LIMIT, NULL,
                         "the script has %zu bytes, at most %d are taken; put the rest into files",
                         script.len, SBATCH_SCRIPT_BYTES_MAX);
    if (!slice_has_prefix(script, SLICE_LITERAL("#!")))
        return fault_set(fault, ERR_INVALID, NULL,
                         "This does not look like a batch script.  The first\nline must start with "
                         "#! followed by the path to an interpreter.\nFor instance: #!/bin/sh");
    if (memchr(script.data, '\0', script.len) != NULL)
        return fault_set(fault, ERR_INVALID, NULL,
                         "The Slurm controller does not allow scripts that\ncontain a NULL "
                         "character '\\0'.");
    for (size_t i = 0; i + 1 < script.len; i++)
        if (script.data[i] == '\r' && script.data[i + 1] == '\n')
            return fault_set(fault, ERR_INVALID, NULL,
                             "Batch script contains DOS line breaks (\\r\\n)\ninstead of expected "
                             "UNIX line breaks (\\n).");
    if (!slice_is_utf8(script))
        return fault_set(fault, ERR_INVALID, NULL, "the script is not UTF-8");
    return ERR_OK;
}

/* ---- words of a line */

static enum err at_line(struct fault *fault, uint32_t line, enum err err)
{
    if (fault != NULL)
        fault->line = line;
    return err;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static enum err word_keep(struct words *words, const char *bytes, size_t len, uint32_t line,
                          struct fault *fault)
{
    if (words->count == SBATCH_WORDS_MAX)
        return at_line(fault, line,
                       fault_set(fault, ERR_LIMIT, NULL, "more than %d options", SBATCH_WORDS_MAX));
    struct slice text = arena_copy(words->arena, slice_make(bytes, len));
    if (text.data == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for the options");
    words->items[words->count++] = (struct word){text, line};
    return ERR_OK;
}

/* The next word of *rest; *out_has false at the end or before a comment. */
static enum err word_next(struct words *words, struct slice *rest, uint32_t line, bool *out_has,
                          struct fault *fault)
{
    char bytes[SBATCH_WORD_BYTES_MAX];
    size_t at = 0, len = 0;
    char quote = 0;
    struct slice s = *rest;
    *out_has = false;
    while (at < s.len && is_space(s.data[at]))
        at++;
    if (at < s.len && s.data[at] == ':')
        return at_line(fault, line,
                       fault_set(fault, ERR_INVALID, NULL,
                                 "Unexpected `:` in the options: a "
                                 "script describes one job"));
    if (at == s.len || s.data[at] == '#')
        return ERR_OK;
    for (; at < s.len && (quote != 0 || !is_space(s.data[at])); at++) {
        char c = s.data[at];
        if (c == '\\' && at + 1 < s.len)
            c = s.data[++at];
        else if (c == '\\')
            break;
        else if (quote != 0 && c == quote) {
            quote = 0;
            continue;
        } else if (quote == 0 && (c == '"' || c == '\'')) {
            quote = c;
            continue;
        } else if (quote == 0 && c == '#')
            break;
        if (len == sizeof(bytes))
            return at_line(fault, line,
                           fault_set(fault, ERR_LIMIT, NULL, "an option of more than %d bytes",
                                     SBATCH_WORD_BYTES_MAX));
        bytes[len++] = c;
    }
    if (quote != 0)
        return at_line(fault, line, fault_set(fault, ERR_INVALID, NULL, "Unmatched `%c`", quote));
    *rest = slice_make(s.data + at, s.len - at);
    *out_has = true;
    return word_keep(words, bytes, len, line, fault);
}

/* Is it a command, and with it the end of what is read? */
static bool is_command(struct slice line)
{
    for (size_t i = 0; i < line.len; i++)
        if (!is_space(line.data[i]))
            return line.data[i] != '#';
    return false;
}

static enum err words_of_script(struct words *words, struct slice script, struct fault *fault)
{
    struct slice line, rest = script;
    enum err err = ERR_OK;
    for (uint32_t number = 1; err == ERR_OK && rest.len > 0; number++) {
        if (!slice_cut(rest, '\n', &line, &rest)) {
            line = rest;
            rest = (struct slice){0};
        }
        if (!slice_has_prefix(line, SLICE_LITERAL(MAGIC))) {
            if (is_command(line))
                break;
            continue;
        }
        struct slice options = slice_make(line.data + strlen(MAGIC), line.len - strlen(MAGIC));
        bool has = true;
        while (err == ERR_OK && has)
            err = word_next(words, &options, number, &has, fault);
    }
    return err;
}

/* ---- getopt_long */

static enum err refuse(struct fault *fault, uint32_t line, const struct sbatch_option *option)
{
    char name[FAULT_FIELD_MAX] = "--";
    (void)strncat(name, option->name, sizeof(name) - 3);
    return at_line(fault, line,
                   fault_set(fault, ERR_UNSUPPORTED, name, "--%s is refused: %s", option->name,
                             option->about));
}

static enum err option_set(struct sbatch *sbatch, const struct sbatch_option *option,
                           struct slice value, uint32_t line, struct fault *fault)
{
    size_t count;
    if (option->treatment == SBATCH_REFUSED)
        return refuse(fault, line, option);
    if (option->treatment == SBATCH_NO_EFFECT)
        sbatch->has_no_effect[option - sbatch_options(&count)] = true;
    else
        sbatch->values[option->id] = (struct sbatch_value){
            option->argument == SBATCH_NO_ARGUMENT ? slice_of(option->name) : value, line, true};
    return ERR_OK;
}

/* By its whole name, or by the beginning that only one has. */
static enum err option_find(struct slice name, uint32_t line, const struct sbatch_option **out,
                            struct fault *fault)
{
    size_t count;
    const struct sbatch_option *options = sbatch_options(&count), *found = NULL, *second = NULL;
    for (size_t i = 0; i < count; i++) {
        if (slice_is(name, options[i].name)) {
            *out = &options[i];
            return ERR_OK;
        }
        if (slice_has_prefix(slice_of(options[i].name), name)) {
            second = found == NULL ? second : &options[i];
            found = found == NULL ? &options[i] : found;
        }
    }
    if (found == NULL || name.len == 0)
        return at_line(
            fault, line,
            fault_set(fault, ERR_INVALID, NULL, "unrecognized option '--%.*s'", SLICE_ARG(name)));
    if (second != NULL)
        return at_line(fault, line,
                       fault_set(fault, ERR_INVALID, NULL,
                                 "option '--%.*s' is ambiguous; possibilities: '--%s' '--%s'",
                                 SLICE_ARG(name), found->name, second->name));
    *out = found;
    return ERR_OK;
}

/* `*index` is the word's, and moves on when the value is the next word. */
static enum err take_long(struct sbatch *sbatch, const struct word *words, size_t count,
                          size_t *index, struct fault *fault)
{
    const struct word *word = &words[*index];
    struct slice name = slice_make(word->text.data + 2, word->text.len - 2), value = {"", 0};
    const struct sbatch_option *option = NULL;
    bool has_value = slice_cut(name, '=', &name, &value);
    enum err err = option_find(name, word->line, &option, fault);
    if (err != ERR_OK)
        return err;
    if (has_value && option->argument == SBATCH_NO_ARGUMENT)
        return at_line(fault, word->line,
                       fault_set(fault, ERR_INVALID, NULL,
                                 "option '--%s' doesn't allow an argument", option->name));
    if (!has_value && option->argument == SBATCH_ARGUMENT) {
        if (*index + 1 == count)
            return at_line(fault, word->line,
                           fault_set(fault, ERR_INVALID, NULL, "option '--%s' requires an argument",
                                     option->name));
        value = words[++*index].text;
    }
    return option_set(sbatch, option, value, word->line, fault);
}

/* "-N2", "-n 4", "-Qn4". */
static enum err take_short(struct sbatch *sbatch, const struct word *words, size_t count,
                           size_t *index, struct fault *fault)
{
    const struct word *word = &words[*index];
    size_t option_count;
    const struct sbatch_option *options = sbatch_options(&option_count);
    for (size_t at = 1; at < word->text.len; at++) {
        char letter = word->text.data[at];
        const struct sbatch_option *option = NULL;
        struct slice value = slice_make(word->text.data + at + 1, word->text.len - at - 1);
        for (size_t i = 0; i < option_count && option == NULL; i++)
            if (options[i].letter != 0 && options[i].letter == letter)
                option = &options[i];
        if (option == NULL)
            return at_line(fault, word->line,
                           fault_set(fault, ERR_INVALID, NULL, "invalid option -- '%c'",
                                     letter >= ' ' && letter < 0x7f ? letter : '?'));
        if (option->argument == SBATCH_NO_ARGUMENT) {
            enum err err = option_set(sbatch, option, slice_make("", 0), word->line, fault);
            if (err != ERR_OK)
                return err;
            continue;
        }
        if (option->argument == SBATCH_ARGUMENT && value.len == 0) {
            if (*index + 1 == count)
                return at_line(fault, word->line,
                               fault_set(fault, ERR_INVALID, NULL,
                                         "option requires an argument -- '%c'", letter));
            value = words[++*index].text;
        }
        return option_set(sbatch, option, value, word->line, fault);
    }
    return ERR_OK;
}

/* *out_used: words up to the first that is no option. */
static enum err take_words(struct sbatch *sbatch, const struct word *words, size_t count,
                           size_t *out_used, struct fault *fault)
{
    enum err err = ERR_OK;
    size_t i = 0;
    for (; err == ERR_OK && i < count; i++) {
        struct slice text = words[i].text;
        if (slice_is(text, "--")) {
            i++;
            break;
        }
        if (text.len < 2 || text.data[0] != '-')
            break;
        err = text.data[1] == '-' ? take_long(sbatch, words, count, &i, fault)
                                  : take_short(sbatch, words, count, &i, fault);
    }
    if (err == ERR_OK)
        *out_used = i;
    return err;
}

enum err sbatch_read_script(struct slice script, struct arena *arena, struct sbatch *sbatch,
                            struct fault *fault)
{
    struct words words = {.arena = arena,
                          .items = arena_array(arena, SBATCH_WORDS_MAX, sizeof(struct word))};
    size_t used = 0;
    if (words.items == NULL)
        return fault_set(fault, ERR_NO_MEMORY, NULL, "no memory for the options");
    enum err err = words_of_script(&words, script, fault);
    if (err == ERR_OK)
        err = take_words(sbatch, words.items, words.count, &used, fault);
    if (err == ERR_OK && used < words.count)
        err = at_line(fault, words.items[used].line,
                      fault_set(fault, ERR_INVALID, NULL,
                                "Invalid directive found in batch script: %.*s",
                                SLICE_ARG(words.items[used].text)));
    return err;
}

enum err sbatch_read_environment(struct slice name, struct slice value, struct sbatch *sbatch,
                                 struct fault *fault)
{
    size_t count;
    const struct sbatch_option *options = sbatch_options(&count);
    for (size_t i = 0; i < count; i++)
        if (options[i].environment != NULL && slice_is(name, options[i].environment))
            return option_set(sbatch, &options[i], value, 0, fault);
    return ERR_OK;
}

enum err sbatch_read_arguments(const char *const *argv, size_t count, struct sbatch *sbatch,
                               size_t *out_used, struct fault *fault)
{
    struct word words[SBATCH_WORDS_MAX];
    if (count > SBATCH_WORDS_MAX)
        return fault_set(fault, ERR_LIMIT, NULL, "more than %d arguments", SBATCH_WORDS_MAX);
    for (size_t i = 0; i < count; i++)
        words[i] = (struct word){slice_of(argv[i]), 0};
    return take_words(sbatch, words, count, out_used, fault);
}
