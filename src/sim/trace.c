/* The formats with commas, and what all formats share. */
#include "sim/trace.h"

#include "base/assert.h"

static const char *const NAMES[TRACE_FORMAT_COUNT_] = {
    [TRACE_PHILLY] = "philly", [TRACE_GAIA] = "gaia",   [TRACE_GAVEL] = "gavel",
    [TRACE_SWF] = "swf",       [TRACE_OPENB] = "openb", [TRACE_HISTORY] = "history"};

/* Columns by name; those after the bar may be missing. */
enum { PHILLY_AT, PHILLY_LASTS, PHILLY_DEVICES, PHILLY_HOME, PHILLY_COUNT };
enum { GAIA_AT, GAIA_LASTS, GAIA_CORES, GAIA_COUNT };
enum {
    OPENB_NAME,
    OPENB_CPU,
    OPENB_MEMORY,
    OPENB_DEVICES,
    OPENB_MILLI,
    OPENB_SPEC,
    OPENB_QOS,
    OPENB_MADE,
    OPENB_GONE,
    OPENB_STARTED,
    OPENB_COUNT
};
enum {
    HISTORY_AT,
    HISTORY_LASTS,
    HISTORY_NODES,
    HISTORY_DEVICES,
    HISTORY_CPU,
    HISTORY_MEMORY,
    HISTORY_HOME,
    HISTORY_TENANT,
    HISTORY_KIND,
    HISTORY_GUESS,
    HISTORY_COUNT
};

struct layout {
    const char *columns[TRACE_COLUMNS_MAX];
    int count;
};

static const struct layout LAYOUTS[TRACE_FORMAT_COUNT_] = {
    [TRACE_PHILLY] = {{"timestamp", "duration", "num_gpus", "cluster"}, PHILLY_COUNT},
    [TRACE_GAIA] = {{"arrival_time", "length", "cpus"}, GAIA_COUNT},
    [TRACE_OPENB] = {{"name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec", "qos",
                      "creation_time", "deletion_time", "scheduled_time"},
                     OPENB_COUNT},
    [TRACE_HISTORY] = {{"arrival_ms", "duration_ms", "nodes", "devices", "cpu_milli", "mem_bytes",
                        "site", "tenant", "accelerator", "expected_ms"},
                       HISTORY_COUNT}};

const char *trace_format_name(enum trace_format format)
{
    ASSERT((unsigned)format < TRACE_FORMAT_COUNT_);
    return NAMES[format];
}

enum err trace_format_parse(struct slice name, enum trace_format *out)
{
    for (int i = 0; i < TRACE_FORMAT_COUNT_; i++)
        if (slice_is(name, NAMES[i])) {
            *out = (enum trace_format)i;
            return ERR_OK;
        }
    return ERR_NOT_FOUND;
}

enum err trace_open(struct trace_reader *reader, enum trace_format format, struct slice text,
                    struct arena *arena, struct fault *fault)
{
    const struct layout *layout = &LAYOUTS[format];
    bool has = false;
    *reader = (struct trace_reader){.format = format, .text = text};
    if (layout->count == 0)
        return ERR_OK;
    csv_init(&reader->csv, text, arena);
    enum err err = csv_next(&reader->csv, &has, fault);
    for (int i = 0; err == ERR_OK && i < layout->count; i++) {
        reader->columns[i] = has ? csv_column(&reader->csv, layout->columns[i]) : -1;
        if (reader->columns[i] >= 0)
            continue;
        err = fault_set(fault, ERR_INVALID, NULL, "the first line must name the column \"%s\"",
                        layout->columns[i]);
        if (fault != NULL)
            fault->line = fault->column = 1;
    }
    return err;
}

/* ---- reading one record with a sticky error */

struct record {
    struct trace_reader *reader;
    struct fault *fault;
    enum err err;
};

static const struct csv_field *field(struct record *record, int column)
{
    return &record->reader->csv.fields[record->reader->columns[column]];
}

static void refuse(struct record *record, int column, enum err err, const char *wanted)
{
    const struct csv_field *at = field(record, column);
    if (record->err != ERR_OK)
        return;
    int shown = at->value.len < 40 ? (int)at->value.len : 40;
    record->err =
        csv_refuse(at, record->fault, err, "%s: %s is wanted, not \"%.*s\"",
                   LAYOUTS[record->reader->format].columns[column], wanted, shown, at->value.data);
}

static int64_t decimal(struct record *record, int column, int64_t unit, int64_t max)
{
    int64_t value = 0;
    enum err err = trace_decimal(slice_trim(field(record, column)->value), unit, max, &value);
    if (err != ERR_OK)
        refuse(record, column, err, err == ERR_LIMIT ? "a smaller number" : "a number");
    return value;
}

static int64_t moment(struct record *record, int column)
{
    int64_t value = 0;
    enum err err = trace_moment(slice_trim(field(record, column)->value), &value);
    if (err != ERR_OK)
        refuse(record, column, err, "a time");
    return value;
}

/* Whole and not negative; an empty field is 0. */
static uint64_t count(struct record *record, int column, uint64_t max)
{
    uint64_t value = 0;
    struct slice text = slice_trim(field(record, column)->value);
    if (text.len == 0)
        return 0;
    enum err err = slice_parse_u64(text, &value);
    if (err == ERR_OK && value > max)
        err = ERR_LIMIT;
    if (err != ERR_OK)
        refuse(record, column, err, err == ERR_LIMIT ? "a smaller number" : "a whole number");
    return value;
}

static struct slice words(struct record *record, int column)
{
    return slice_trim(field(record, column)->value);
}

static void take_philly(struct record *record, struct trace_job *job)
{
    job->arrival_ms = moment(record, PHILLY_AT);
    job->duration_ms = decimal(record, PHILLY_LASTS, 1000, TRACE_SPAN_MS_MAX);
    job->devices = (uint32_t)count(record, PHILLY_DEVICES, TRACE_WIDTH_MAX);
    job->home = words(record, PHILLY_HOME);
}

static void take_gaia(struct record *record, struct trace_job *job)
{
    job->arrival_ms = decimal(record, GAIA_AT, 3600000, TRACE_SPAN_MS_MAX);
    job->duration_ms = decimal(record, GAIA_LASTS, 3600000, TRACE_SPAN_MS_MAX);
    job->cpu_milli = 1000 * count(record, GAIA_CORES, TRACE_WIDTH_MAX);
}

/* A part of a device counts as a whole one. */
static void take_openb(struct record *record, struct trace_job *job)
{
    int64_t made = decimal(record, OPENB_MADE, 1000, TRACE_SPAN_MS_MAX), from = made, until = made;
    if (words(record, OPENB_STARTED).len > 0)
        from = decimal(record, OPENB_STARTED, 1000, TRACE_SPAN_MS_MAX);
    if (words(record, OPENB_GONE).len > 0)
        until = decimal(record, OPENB_GONE, 1000, TRACE_SPAN_MS_MAX);
    job->arrival_ms = made;
    job->duration_ms = until > from ? until - from : 0;
    job->devices = (uint32_t)count(record, OPENB_DEVICES, TRACE_WIDTH_MAX);
    job->cpu_milli = count(record, OPENB_CPU, UINT64_C(1000) * TRACE_WIDTH_MAX);
    job->mem_bytes = count(record, OPENB_MEMORY, UINT64_C(1) << 30) << 20;
    job->kind = words(record, OPENB_SPEC);
    job->tenant = words(record, OPENB_QOS);
    job->nodes = 1;
}

static void take_history(struct record *record, struct trace_job *job)
{
    job->arrival_ms = decimal(record, HISTORY_AT, 1, TRACE_SPAN_MS_MAX);
    job->duration_ms = decimal(record, HISTORY_LASTS, 1, TRACE_SPAN_MS_MAX);
    job->nodes = (uint32_t)count(record, HISTORY_NODES, TRACE_WIDTH_MAX);
    job->devices = (uint32_t)count(record, HISTORY_DEVICES, TRACE_WIDTH_MAX);
    job->cpu_milli = count(record, HISTORY_CPU, UINT64_C(1000) * TRACE_WIDTH_MAX);
    job->mem_bytes = count(record, HISTORY_MEMORY, UINT64_C(1) << 50);
    job->home = words(record, HISTORY_HOME);
    job->tenant = words(record, HISTORY_TENANT);
    job->kind = words(record, HISTORY_KIND);
    job->guess_ms = (int64_t)count(record, HISTORY_GUESS, TRACE_SPAN_MS_MAX);
}

static enum err next_csv(struct trace_reader *reader, bool *out_has, struct trace_job *out,
                         struct fault *fault)
{
    static void (*const TAKE[TRACE_FORMAT_COUNT_])(struct record *, struct trace_job *) = {
        [TRACE_PHILLY] = take_philly,
        [TRACE_GAIA] = take_gaia,
        [TRACE_OPENB] = take_openb,
        [TRACE_HISTORY] = take_history};
    struct record record = {reader, fault, ERR_OK};
    bool has = false;
    enum err err = csv_next(&reader->csv, &has, fault);
    *out = (struct trace_job){0};
    if (err != ERR_OK || !has) {
        *out_has = false;
        return err;
    }
    for (int i = 0; i < LAYOUTS[reader->format].count; i++)
        if (reader->columns[i] >= (int)reader->csv.field_count)
            return csv_refuse(&reader->csv.fields[reader->csv.field_count - 1], fault, ERR_INVALID,
                              "the line ends here; the field %s is missing",
                              LAYOUTS[reader->format].columns[i]);
    TAKE[reader->format](&record, out);
    out->line = reader->csv.fields[0].line;
    *out_has = record.err == ERR_OK;
    return record.err;
}

enum err trace_next(struct trace_reader *reader, bool *out_has, struct trace_job *out,
                    struct fault *fault)
{
    struct trace_job job;
    for (;;) {
        bool has = false;
        enum err err;
        if (reader->format == TRACE_GAVEL)
            err = trace_next_gavel(reader, &has, &job, fault);
        else if (reader->format == TRACE_SWF)
            err = trace_next_swf(reader, &has, &job, fault);
        else
            err = next_csv(reader, &has, &job, fault);
        if (err != ERR_OK)
            return err;
        bool is_empty = (job.duration_ms <= 0 && job.steps == 0) ||
                        (job.devices == 0 && job.cpu_milli == 0) || job.arrival_ms < 0;
        if (has && is_empty) {
            reader->passed_over++;
            continue;
        }
        if (has)
            *out = job;
        *out_has = has;
        return ERR_OK;
    }
}
