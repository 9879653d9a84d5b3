/* Gavel's table of speeds and its traces. */
#include "sim/hetero.h"
#include "sim/trace.h"
#include "wire/csv.h"

enum {
    MICROS = 1000000,
    LINE_COLUMNS_MAX = 12,
    COLUMNS_GAVEL = 10,
    COLUMNS_SHOCKWAVE = 12,
    COLUMN_JOB = 0,
    COLUMN_STEPS = 5,
    COLUMN_WIDTH = 6,
    COLUMN_DURATION = 10,
};
#define SPEED_MICROS_MAX INT64_C(1000000000000)
#define STEPS_MAX INT64_C(1000000000000)
#define MOMENT_MS_MAX INT64_C(100000000000)

static enum err kinds_take(struct csv_reader *reader, struct hetero_speeds *out,
                           struct fault *fault)
{
    bool has = false;
    enum err err = csv_next(reader, &has, fault);
    if (err != ERR_OK)
        return err;
    if (!has || reader->field_count < 3 || !slice_is(reader->fields[0].value, "job") ||
        !slice_is(reader->fields[1].value, "width"))
        return fault_set(fault, ERR_INVALID, NULL, "the header is job,width and a column a kind");
    if (reader->field_count - 2 > MIX_KINDS_MAX)
        return fault_set(fault, ERR_LIMIT, NULL, "more than %d kinds", MIX_KINDS_MAX);
    for (uint32_t k = 2; k < reader->field_count; k++)
        out->kinds[out->kind_count++] = reader->fields[k].value;
    return ERR_OK;
}

static enum err speed_take(const struct csv_reader *reader, uint32_t kind_count,
                           struct hetero_speed *out, struct fault *fault)
{
    uint64_t width = 0;
    if (reader->field_count != kind_count + 2)
        return csv_refuse(&reader->fields[0], fault, ERR_INVALID, "%u columns are wanted",
                          kind_count + 2);
    if (slice_parse_u64(reader->fields[1].value, &width) != ERR_OK || width == 0 ||
        width > MIX_WIDTH_MAX)
        return csv_refuse(&reader->fields[1], fault, ERR_INVALID, "a number of GPUs is wanted");
    *out = (struct hetero_speed){.job = reader->fields[0].value, .width = (uint32_t)width};
    for (uint32_t k = 0; k < kind_count; k++)
        if (trace_decimal(reader->fields[k + 2].value, MICROS, SPEED_MICROS_MAX, &out->micros[k]) !=
                ERR_OK ||
            out->micros[k] < 0)
            return csv_refuse(&reader->fields[k + 2], fault, ERR_INVALID,
                              "steps a second are wanted, 0 where it cannot run");
    return ERR_OK;
}

enum err hetero_speeds_read(struct slice csv, struct arena *arena, struct hetero_speeds *out,
                            struct fault *fault)
{
    struct hetero_speeds speeds = {0};
    struct csv_reader *reader = arena_alloc(arena, sizeof(*reader));
    speeds.speeds = arena_array(arena, HETERO_SPEEDS_MAX, sizeof(*speeds.speeds));
    bool has = true;
    if (reader == NULL || speeds.speeds == NULL)
        return ERR_NO_MEMORY;
    csv_init(reader, csv, arena);
    enum err err = kinds_take(reader, &speeds, fault);
    while (err == ERR_OK) {
        err = csv_next(reader, &has, fault);
        if (err != ERR_OK || !has)
            break;
        if (speeds.count == HETERO_SPEEDS_MAX)
            err = fault_set(fault, ERR_LIMIT, NULL, "more than %d speeds", HETERO_SPEEDS_MAX);
        else
            err = speed_take(reader, speeds.kind_count, &speeds.speeds[speeds.count++], fault);
    }
    if (err == ERR_OK)
        *out = speeds;
    return err;
}

/* A line of a trace: its columns, and where each begins, for faults. */
struct line {
    struct slice columns[LINE_COLUMNS_MAX];
    uint32_t starts[LINE_COLUMNS_MAX];
    uint32_t count, number;
};

static enum err refuse(const struct line *line, uint32_t column, struct fault *fault, enum err code,
                       const char *what)
{
    (void)fault_set(fault, code, NULL, "%s", what);
    if (fault != NULL) {
        fault->line = line->number;
        fault->column = column < line->count ? line->starts[column] : 1;
    }
    return code;
}

static enum err line_cut(struct slice text, struct line *line, struct fault *fault)
{
    struct slice rest = text, column;
    bool has_more = true;
    line->count = 0;
    while (has_more) {
        struct slice whole = rest;
        has_more = slice_cut(whole, '\t', &column, &rest);
        if (line->count == LINE_COLUMNS_MAX)
            return refuse(line, 0, fault, ERR_INVALID, "more than 12 columns");
        line->columns[line->count] = has_more ? column : whole;
        line->starts[line->count++] = (uint32_t)(whole.data - text.data) + 1;
    }
    if (line->count != COLUMNS_GAVEL && line->count != COLUMNS_SHOCKWAVE)
        return refuse(line, 0, fault, ERR_INVALID, "10 columns between tabs are wanted, or 12");
    return ERR_OK;
}

static enum err line_number(const struct line *line, uint32_t column, int64_t unit, int64_t max,
                            int64_t *out, struct fault *fault)
{
    if (trace_decimal(slice_trim(line->columns[column]), unit, max, out) != ERR_OK || *out < 0)
        return refuse(line, column, fault, ERR_INVALID, "a number from 0 is wanted");
    return ERR_OK;
}

static enum err needs_fill(const struct line *line, const struct hetero_speeds *speeds,
                           struct mix_job *work, struct fault *fault)
{
    int64_t steps = 0;
    enum err err = ERR_OK;
    if (speeds == NULL) {
        if (line->count != COLUMNS_SHOCKWAVE)
            return refuse(line, 0, fault, ERR_INVALID, "a duration is wanted in column 11");
        err = line_number(line, COLUMN_DURATION, 1000, MOMENT_MS_MAX, &work->need_ms[0], fault);
        if (err == ERR_OK && work->need_ms[0] == 0)
            err = refuse(line, COLUMN_DURATION, fault, ERR_INVALID, "a duration over 0 is wanted");
        return err;
    }
    err = line_number(line, COLUMN_STEPS, 1, STEPS_MAX, &steps, fault);
    if (err != ERR_OK)
        return err;
    const struct hetero_speed *speed = NULL;
    for (size_t i = 0; i < speeds->count && speed == NULL; i++)
        if (speeds->speeds[i].width == work->width &&
            slice_is_equal(speeds->speeds[i].job, line->columns[COLUMN_JOB]))
            speed = &speeds->speeds[i];
    if (speed == NULL)
        return refuse(line, COLUMN_JOB, fault, ERR_NOT_FOUND, "no speed is known for this job");
    for (uint32_t k = 0; k < speeds->kind_count; k++) {
        if (speed->micros[k] == 0)
            continue;
        __int128 need_ms =
            ((__int128)steps * MICROS * 1000 + speed->micros[k] - 1) / speed->micros[k];
        if (need_ms > MIX_NEED_MS_MAX)
            return refuse(line, COLUMN_STEPS, fault, ERR_LIMIT, "too many steps");
        work->need_ms[k] = need_ms > 0 ? (int64_t)need_ms : 1;
    }
    return ERR_OK;
}

static enum err job_take(const struct line *line, const struct hetero_speeds *speeds,
                         int64_t earliest_ms, struct hetero_job *out, struct fault *fault)
{
    int64_t width = 0;
    *out = (struct hetero_job){.work.kind = MIX_NONE};
    enum err err = line_number(line, COLUMN_WIDTH, 1, MIX_WIDTH_MAX, &width, fault);
    if (err == ERR_OK && width == 0)
        err = refuse(line, COLUMN_WIDTH, fault, ERR_INVALID, "a job has at least one GPU");
    out->work.width = (uint32_t)width;
    if (err == ERR_OK)
        err = line_number(line, line->count - 1, 1000, MOMENT_MS_MAX, &out->arrives_ms, fault);
    if (err == ERR_OK && out->arrives_ms < earliest_ms)
        err = refuse(line, line->count - 1, fault, ERR_INVALID, "arrivals are in order");
    return err == ERR_OK ? needs_fill(line, speeds, &out->work, fault) : err;
}

enum err hetero_trace_read(struct slice text, const struct hetero_speeds *speeds,
                           struct arena *arena, struct hetero_list *out, struct fault *fault)
{
    struct hetero_list list = {0};
    struct slice rest = text, row;
    struct line line = {0};
    int64_t earliest_ms = 0;
    size_t lines = 1;
    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n';
    if (lines > HETERO_JOBS_MAX)
        return fault_set(fault, ERR_LIMIT, NULL, "more than %d jobs", HETERO_JOBS_MAX);
    list.jobs = arena_array(arena, lines, sizeof(*list.jobs));
    if (list.jobs == NULL)
        return ERR_NO_MEMORY;
    for (bool has_more = true; has_more;) {
        struct slice whole = rest;
        has_more = slice_cut(whole, '\n', &row, &rest);
        if (!has_more)
            row = whole;
        line.number++;
        if (slice_trim(row).len == 0)
            continue;
        enum err err = line_cut(row, &line, fault);
        if (err == ERR_OK)
            err = job_take(&line, speeds, earliest_ms, &list.jobs[list.count], fault);
        if (err != ERR_OK)
            return err;
        earliest_ms = list.jobs[list.count++].arrives_ms;
    }
    *out = list;
    return ERR_OK;
}
