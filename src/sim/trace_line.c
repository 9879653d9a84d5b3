/* The formats of lines with tabs and blanks: Gavel's and Shockwave's, and SWF. */
#include "sim/trace.h"

enum {
    GAVEL_KIND = 0,
    GAVEL_STEPS = 5,
    GAVEL_WIDTH = 6,
    GAVEL_FIELDS = 10,
    SHOCKWAVE_LASTS = 10,
    SHOCKWAVE_FIELDS = 12,
    SWF_SUBMIT = 1,
    SWF_RUN = 3,
    SWF_GIVEN = 4,
    SWF_WANTED = 7,
    SWF_GUESS = 8,
    SWF_MEMORY_KB = 9,
    SWF_USER = 11,
    SWF_PARTITION = 15,
    SWF_FIELDS = 18,
    FIELDS_MAX = SWF_FIELDS + 1,
};

struct line {
    struct slice fields[FIELDS_MAX];
    uint32_t columns[FIELDS_MAX];
    int count; /* FIELDS_MAX: that many or more */
};

static bool is_between(char c, bool is_tabs)
{
    return c == '\t' || (!is_tabs && c == ' ');
}

static void line_split(struct slice text, bool is_tabs, struct line *out)
{
    size_t at = 0;
    out->count = 0;
    while (out->count < FIELDS_MAX) {
        while (!is_tabs && at < text.len && is_between(text.data[at], is_tabs))
            at++;
        if (at >= text.len && (!is_tabs || out->count > 0))
            break;
        size_t from = at;
        while (at < text.len && !is_between(text.data[at], is_tabs))
            at++;
        out->columns[out->count] = (uint32_t)from + 1;
        out->fields[out->count++] = slice_make(text.data + from, at - from);
        at++;
    }
}

/* The next line that is neither empty nor a comment. */
static bool line_next(struct trace_reader *reader, char comment, bool is_tabs, struct line *out)
{
    while (reader->text.len > 0) {
        struct slice text = reader->text, rest = {0};
        if (!slice_cut(reader->text, '\n', &text, &rest))
            rest = (struct slice){0};
        reader->text = rest;
        reader->line++;
        if (text.len > 0 && text.data[text.len - 1] == '\r')
            text.len--;
        if (text.len == 0 || slice_trim(text).len == 0 || text.data[0] == comment)
            continue;
        line_split(text, is_tabs, out);
        return true;
    }
    return false;
}

static enum err refuse(const struct trace_reader *reader, const struct line *line, int field,
                       enum err err, const char *name, struct fault *fault)
{
    struct slice text = line->fields[field];
    (void)fault_set(fault, err, NULL, "%s: a %snumber is wanted, not \"%.*s\"", name,
                    err == ERR_LIMIT ? "smaller " : "", text.len < 40 ? (int)text.len : 40,
                    text.data);
    if (fault != NULL) {
        fault->line = reader->line;
        fault->column = line->columns[field];
    }
    return err;
}

static enum err refuse_count(const struct trace_reader *reader, const struct line *line, int wanted,
                             struct fault *fault)
{
    (void)fault_set(fault, ERR_INVALID, NULL, "%d fields are wanted; this line has %d", wanted,
                    line->count);
    if (fault != NULL) {
        fault->line = reader->line;
        fault->column = line->count > 0 ? line->columns[line->count - 1] : 1;
    }
    return ERR_INVALID;
}

/* Reads numbers of one line; the first failure stays. */
struct numbers {
    const struct trace_reader *reader;
    const struct line *line;
    struct fault *fault;
    enum err err;
};

static int64_t number(struct numbers *numbers, int field, int64_t unit, int64_t max,
                      const char *name)
{
    int64_t value = 0;
    if (numbers->err != ERR_OK)
        return 0;
    enum err err = trace_decimal(numbers->line->fields[field], unit, max, &value);
    if (err != ERR_OK)
        numbers->err = refuse(numbers->reader, numbers->line, field, err, name, numbers->fault);
    return value;
}

static int64_t at_least_0(int64_t value)
{
    return value < 0 ? 0 : value;
}

enum err trace_next_gavel(struct trace_reader *reader, bool *out_has, struct trace_job *out,
                          struct fault *fault)
{
    struct line line;
    struct numbers numbers = {reader, &line, fault, ERR_OK};
    *out = (struct trace_job){0};
    *out_has = line_next(reader, '#', true, &line);
    if (!*out_has)
        return ERR_OK;
    bool is_shockwave = line.count >= SHOCKWAVE_FIELDS;
    if (line.count != GAVEL_FIELDS && line.count != SHOCKWAVE_FIELDS)
        return refuse_count(reader, &line, GAVEL_FIELDS, fault);
    out->kind = line.fields[GAVEL_KIND];
    out->steps = (uint64_t)at_least_0(number(&numbers, GAVEL_STEPS, 1, INT64_C(1) << 50, "steps"));
    out->devices =
        (uint32_t)at_least_0(number(&numbers, GAVEL_WIDTH, 1, TRACE_WIDTH_MAX, "scale factor"));
    out->arrival_ms = number(&numbers, line.count - 1, 1000, TRACE_SPAN_MS_MAX, "arrival");
    if (is_shockwave) {
        out->duration_ms = number(&numbers, SHOCKWAVE_LASTS, 1000, TRACE_SPAN_MS_MAX, "duration");
        out->tenant = line.fields[GAVEL_WIDTH + 1]; /* how its batch size adapts */
    }
    out->line = reader->line;
    return numbers.err;
}

/* -1 stands for "not known" throughout. */
enum err trace_next_swf(struct trace_reader *reader, bool *out_has, struct trace_job *out,
                        struct fault *fault)
{
    struct line line;
    struct numbers numbers = {reader, &line, fault, ERR_OK};
    *out = (struct trace_job){0};
    *out_has = line_next(reader, ';', false, &line);
    if (!*out_has)
        return ERR_OK;
    if (line.count != SWF_FIELDS)
        return refuse_count(reader, &line, SWF_FIELDS, fault);
    int64_t given = number(&numbers, SWF_GIVEN, 1, TRACE_WIDTH_MAX, "processors");
    int64_t wanted = number(&numbers, SWF_WANTED, 1, TRACE_WIDTH_MAX, "processors asked for");
    int64_t memory = number(&numbers, SWF_MEMORY_KB, 1, INT64_C(1) << 40, "memory asked for");
    uint64_t cores = (uint64_t)at_least_0(wanted > 0 ? wanted : given);
    out->arrival_ms = number(&numbers, SWF_SUBMIT, 1000, TRACE_SPAN_MS_MAX, "submit time");
    out->duration_ms = at_least_0(number(&numbers, SWF_RUN, 1000, TRACE_SPAN_MS_MAX, "run time"));
    out->guess_ms =
        at_least_0(number(&numbers, SWF_GUESS, 1000, TRACE_SPAN_MS_MAX, "time asked for"));
    out->cpu_milli = cores * 1000;
    out->mem_bytes = (uint64_t)at_least_0(memory) * 1024 * cores;
    out->tenant = line.fields[SWF_USER];
    out->home = line.fields[SWF_PARTITION];
    out->line = reader->line;
    return numbers.err;
}
