/* What the values of options say that are words, lists and texts. */
#include <string.h>

#include "model/name.h"
#include "model/words.h"
#include "wire/sbatch_private.h"

enum { SIGNAL_BEFORE_S = 60 };

enum err plan_qos(struct planner *planner)
{
    struct slice text = plan_value(planner, SBATCH_QOS);
    planner->out->priority = PRIORITY_STANDARD;
    if (!plan_has(planner, SBATCH_QOS) || slice_is(text, "normal"))
        return ERR_OK;
    if (priority_parse(text, &planner->out->priority) != ERR_OK)
        return plan_bad(planner, SBATCH_QOS, "must be surplus, standard (or normal) or guaranteed");
    return ERR_OK;
}

/* "[R][B]:SIGNAL[@SECONDS]" */
enum err plan_signal(struct planner *planner)
{
    struct slice text = plan_value(planner, SBATCH_SIGNAL), before = {0}, flags, name;
    uint64_t seconds = SIGNAL_BEFORE_S, number = 0;
    if (!plan_has(planner, SBATCH_SIGNAL))
        return ERR_OK;
    if (slice_cut(text, ':', &flags, &name)) {
        if (!slice_is(flags, "B") && !slice_is(flags, "R") && !slice_is(flags, "RB") &&
            !slice_is(flags, "BR"))
            return plan_bad(planner, SBATCH_SIGNAL, "must be like USR1@60 or B:USR1@60");
        text = name;
    }
    if (slice_cut(text, '@', &name, &before) && before.len > 0 &&
        slice_parse_u64(before, &seconds) != ERR_OK)
        return plan_bad(planner, SBATCH_SIGNAL, "must have seconds after @");
    if (before.data == NULL)
        name = text;
    if (slice_has_prefix(name, SLICE_LITERAL("SIG")))
        name = slice_make(name.data + 3, name.len - 3);
    if (slice_parse_u64(name, &number) == ERR_OK && number <= 64 &&
        signal_word((int32_t)number) != NULL)
        planner->out->signal = (int32_t)number;
    else if (signal_parse(name, &planner->out->signal) != ERR_OK)
        return plan_bad(planner, SBATCH_SIGNAL, "must be one of HUP, INT, USR1, USR2, TERM");
    int64_t most = JOB_GRACE_MAX.ms / 1000;
    planner->out->signal_before = SPAN_S(seconds > (uint64_t)most ? most : (int64_t)seconds);
    return ERR_OK;
}

enum err plan_open_mode(struct planner *planner)
{
    struct slice text = plan_value(planner, SBATCH_OPEN_MODE);
    if (!plan_has(planner, SBATCH_OPEN_MODE))
        return ERR_OK;
    if (!slice_is(text, "append") && !slice_is(text, "a") && !slice_is(text, "truncate") &&
        !slice_is(text, "t"))
        return plan_bad(planner, SBATCH_OPEN_MODE, "must be append or truncate");
    planner->out->is_appending = text.data[0] == 'a';
    return ERR_OK;
}

/* The next item before a comma outside quotes; quotes go. */
static bool export_next(struct slice *rest, struct arena *arena, struct slice *out)
{
    char *text = arena_alloc(arena, rest->len + 1);
    size_t len = 0, at = 0;
    char quote = 0;
    if (text == NULL)
        return false;
    for (; at < rest->len && (quote != 0 || rest->data[at] != ','); at++) {
        char c = rest->data[at];
        if (c == quote && quote != 0)
            quote = 0;
        else if (quote == 0 && (c == '"' || c == '\''))
            quote = c;
        else
            text[len++] = c;
    }
    *out = slice_make(text, len);
    *rest =
        at < rest->len ? slice_make(rest->data + at + 1, rest->len - at - 1) : (struct slice){0};
    return true;
}

enum err plan_export(struct planner *planner)
{
    struct sbatch_plan *out = planner->out;
    struct slice rest = plan_value(planner, SBATCH_EXPORT), one, key, value;
    if (!plan_has(planner, SBATCH_EXPORT))
        return ERR_OK;
    if (slice_is(rest, "NONE") || slice_is(rest, "NIL")) {
        out->export_mode = SBATCH_EXPORT_NONE;
        return ERR_OK;
    }
    struct text_pair *pairs = arena_array(planner->arena, JOB_ENVS_MAX, sizeof(*pairs));
    if (pairs == NULL)
        return fault_set(planner->fault, ERR_NO_MEMORY, NULL, "no memory for the variables");
    out->exports = pairs;
    out->export_mode = SBATCH_EXPORT_SOME;
    while (rest.len > 0) {
        if (!export_next(&rest, planner->arena, &one))
            return fault_set(planner->fault, ERR_NO_MEMORY, NULL, "no memory for the variables");
        if (slice_is(one, "ALL")) {
            out->export_mode = SBATCH_EXPORT_ALL;
            continue;
        }
        bool is_own = !slice_cut(one, '=', &key, &value);
        if (is_own)
            key = one;
        if (key.len == 0)
            return plan_bad(planner, SBATCH_EXPORT, "must be ALL, NONE or NAME[=VALUE],...");
        if (out->export_count == JOB_ENVS_MAX)
            return plan_bad(planner, SBATCH_EXPORT, "has more than 256 variables");
        pairs[out->export_count++] =
            (struct text_pair){key, is_own ? (struct slice){0} : slice_make(value.data, value.len)};
    }
    return ERR_OK;
}

/* ---- dependencies */

static bool after_parse(struct slice word, enum sbatch_after *out)
{
    static const struct {
        const char *word;
        enum sbatch_after kind;
    } KINDS[] = {{"after", SBATCH_AFTER},
                 {"afterany", SBATCH_AFTER_ANY},
                 {"afterok", SBATCH_AFTER_OK},
                 {"afternotok", SBATCH_AFTER_NOT_OK}};
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++)
        if (slice_is(word, KINDS[i].word)) {
            *out = KINDS[i].kind;
            return true;
        }
    return false;
}

/* "afterok:12:13" */
static enum err plan_after(struct planner *planner, struct slice text)
{
    struct sbatch_plan *out = planner->out;
    struct slice word, rest, one;
    enum sbatch_after kind;
    uint64_t number;
    if (!slice_cut(text, ':', &word, &rest))
        return plan_bad(planner, SBATCH_DEPENDENCY,
                        slice_is(text, "singleton")
                            ? "is not known here: name the job to wait for"
                            : "must be like afterok:JOB[:JOB][,afterany:JOB]");
    if (!after_parse(word, &kind))
        return plan_bad(planner, SBATCH_DEPENDENCY,
                        "must be after, afterany, afterok or afternotok");
    for (bool is_last = false; !is_last;) {
        is_last = !slice_cut(rest, ':', &one, &rest);
        if (slice_parse_u64(is_last ? rest : one, &number) != ERR_OK || number == 0)
            return plan_bad(planner, SBATCH_DEPENDENCY, "must have jobs' numbers after the colon");
        if (out->dependency_count == SBATCH_DEPENDENCIES_MAX)
            return plan_bad(planner, SBATCH_DEPENDENCY, "names more than 256 jobs");
        out->dependencies[out->dependency_count++] = (struct sbatch_dependency){kind, number};
    }
    return ERR_OK;
}

enum err plan_dependency(struct planner *planner)
{
    struct sbatch_plan *out = planner->out;
    struct slice rest = plan_value(planner, SBATCH_DEPENDENCY), one;
    enum err err = ERR_OK;
    if (!plan_has(planner, SBATCH_DEPENDENCY) || rest.len == 0)
        return ERR_OK;
    out->dependencies =
        arena_array(planner->arena, SBATCH_DEPENDENCIES_MAX, sizeof(*out->dependencies));
    if (out->dependencies == NULL)
        return fault_set(planner->fault, ERR_NO_MEMORY, NULL, "no memory for the dependencies");
    out->is_any_dependency = memchr(rest.data, '?', rest.len) != NULL;
    if (out->is_any_dependency && memchr(rest.data, ',', rest.len) != NULL)
        return plan_bad(planner, SBATCH_DEPENDENCY,
                        "has commas and question marks: use one of them");
    for (bool is_last = false; err == ERR_OK && !is_last;) {
        is_last = !slice_cut(rest, out->is_any_dependency ? '?' : ',', &one, &rest);
        err = plan_after(planner, is_last ? rest : one);
    }
    return err;
}

/* ---- texts */

/* Paths, names, patterns: nothing in them may break a line or a terminal. */
static enum err plan_text(struct planner *planner, enum sbatch_id id, struct slice *out)
{
    struct slice text = plan_value(planner, id);
    if (!plan_has(planner, id))
        return ERR_OK;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return plan_bad(planner, id, "has a line break or another control character in it");
    if (!slice_is_utf8(text))
        return plan_bad(planner, id, "is not UTF-8");
    if (text.len > PATH_MAX_BYTES)
        return plan_bad(planner, id, "is too long");
    *out = text;
    return ERR_OK;
}

enum err plan_texts(struct planner *planner)
{
    struct sbatch_plan *out = planner->out;
    const struct {
        enum sbatch_id id;
        struct slice *out;
    } TEXTS[] = {
        {SBATCH_JOB_NAME, &out->name},       {SBATCH_ACCOUNT, &out->account},
        {SBATCH_PARTITION, &out->partition}, {SBATCH_CONSTRAINT, &out->constraint},
        {SBATCH_COMMENT, &out->comment},     {SBATCH_CHDIR, &out->chdir},
        {SBATCH_OUTPUT, &out->output},       {SBATCH_ERROR, &out->error},
        {SBATCH_INPUT, &out->input},
    };
    enum err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++)
        err = plan_text(planner, TEXTS[i].id, TEXTS[i].out);
    if (err == ERR_OK && out->name.len > 0 &&
        text_line_check(out->name, JOB_NAME_MAX, NULL, NULL) != ERR_OK)
        err = plan_bad(
            planner, SBATCH_JOB_NAME,
            "must be one line of at most 128 bytes that begins with none of - # and space");
    return err;
}
