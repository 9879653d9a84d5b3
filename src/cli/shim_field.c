/* Columns of squeue and sacct. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "cli/shim.h"
#include "port/clock.h"

enum { COLUMNS_MAX = 64, CELL_BYTES_MAX = 65536, WIDTH_MAX = 1024, US = 1000000 };

enum field {
    FIELD_ID, /* "12", or "12_4" of an array */
    FIELD_NUMBER,
    FIELD_ARRAY,
    FIELD_TASK,
    FIELD_NAME,
    FIELD_USER,
    FIELD_ACCOUNT,
    FIELD_PARTITION,
    FIELD_STATE,
    FIELD_STATE_SHORT,
    FIELD_EXIT,
    FIELD_TIME,
    FIELD_ELAPSED,
    FIELD_ELAPSED_RAW,
    FIELD_LEFT,
    FIELD_LIMIT,
    FIELD_LIMIT_RAW,
    FIELD_NODES,
    FIELD_CPUS,
    FIELD_CPU_TIME_RAW,
    FIELD_MEMORY,
    FIELD_WHERE, /* nodes, or the reason in brackets */
    FIELD_NODE_LIST,
    FIELD_REASON,
    FIELD_SUBMIT,
    FIELD_START,
    FIELD_END,
    FIELD_DIR,
    FIELD_COMMAND,
    FIELD_COMMENT,
    FIELD_QOS,
    FIELD_PRIORITY,
    FIELD_CLUSTER,
    FIELD_RESTARTS,
    FIELD_EMPTY, /* what Slurm measures and the pool keeps elsewhere */
};

struct shim_field {
    enum field field;
    char letter;      /* of squeue; 0: not there */
    const char *head; /* of squeue */
    const char *name; /* of sacct; NULL: not there */
    int width;        /* of sacct; negative: to the left */
};

static const struct shim_field FIELDS[] = {
    {FIELD_ID, 'i', "JOBID", "JobID", -12},
    {FIELD_NUMBER, 'A', "JOBID", "JobIDRaw", -12},
    {FIELD_ARRAY, 'F', "ARRAY_JOB_ID", NULL, 0},
    {FIELD_TASK, 'K', "ARRAY_TASK_ID", NULL, 0},
    {FIELD_NAME, 'j', "NAME", "JobName", 10},
    {FIELD_USER, 'u', "USER", "User", 9},
    {FIELD_ACCOUNT, 'a', "ACCOUNT", "Account", 10},
    {FIELD_PARTITION, 'P', "PARTITION", "Partition", 10},
    {FIELD_STATE, 'T', "STATE", "State", 10},
    {FIELD_STATE_SHORT, 't', "ST", NULL, 0},
    {FIELD_EXIT, 0, NULL, "ExitCode", 8},
    {FIELD_EXIT, 0, NULL, "DerivedExitCode", 15},
    {FIELD_TIME, 'M', "TIME", NULL, 0},
    {FIELD_ELAPSED, 0, NULL, "Elapsed", 10},
    {FIELD_ELAPSED_RAW, 0, NULL, "ElapsedRaw", 10},
    {FIELD_LEFT, 'L', "TIME_LEFT", NULL, 0},
    {FIELD_LIMIT, 'l', "TIME_LIMIT", "Timelimit", 10},
    {FIELD_LIMIT_RAW, 0, NULL, "TimelimitRaw", 12},
    {FIELD_NODES, 'D', "NODES", "NNodes", 8},
    {FIELD_NODES, 0, NULL, "AllocNodes", 10},
    {FIELD_CPUS, 'C', "CPUS", "AllocCPUS", 10},
    {FIELD_CPUS, 0, NULL, "NCPUS", 10},
    {FIELD_CPUS, 0, NULL, "ReqCPUS", 8},
    {FIELD_CPU_TIME_RAW, 0, NULL, "CPUTimeRAW", 10},
    {FIELD_MEMORY, 'm', "MIN_MEMORY", "ReqMem", 10},
    {FIELD_WHERE, 'R', "NODELIST(REASON)", NULL, 0},
    {FIELD_NODE_LIST, 'N', "NODELIST", "NodeList", 15},
    {FIELD_REASON, 'r', "REASON", "Reason", 22},
    {FIELD_SUBMIT, 'V', "SUBMIT_TIME", "Submit", 19},
    {FIELD_SUBMIT, 0, NULL, "Eligible", 19},
    {FIELD_START, 'S', "START_TIME", "Start", 19},
    {FIELD_END, 'e', "END_TIME", "End", 19},
    {FIELD_DIR, 'Z', "WORK_DIR", "WorkDir", 20},
    {FIELD_COMMAND, 'o', "COMMAND", "SubmitLine", 20},
    {FIELD_COMMENT, 'k', "COMMENT", "Comment", 14},
    {FIELD_QOS, 'q', "QOS", "QOS", 10},
    {FIELD_PRIORITY, 'Q', "PRIORITY", "Priority", 10},
    {FIELD_CLUSTER, 0, NULL, "Cluster", 10},
    {FIELD_RESTARTS, 0, NULL, "Restarts", 8},
    {FIELD_EMPTY, 0, NULL, "MaxRSS", 10},
    {FIELD_EMPTY, 0, NULL, "AveRSS", 10},
    {FIELD_EMPTY, 0, NULL, "MaxVMSize", 10},
    {FIELD_EMPTY, 0, NULL, "TotalCPU", 10},
};

struct column {
    struct slice before;            /* text of the format in front of it */
    const struct shim_field *field; /* NULL: `before` is all */
    uint32_t width;                 /* 0: as wide as it is */
    bool is_right;
};

struct shim_columns {
    struct column items[COLUMNS_MAX];
    uint32_t count;
    bool is_squeue;
};

/* ---- formats */

void shim_time_format(int64_t us, const char *none, char out[32])
{
    time_t at = (time_t)(us / US);
    struct tm parts;
    if (us == 0 || localtime_r(&at, &parts) == NULL ||
        strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &parts) == 0)
        (void)snprintf(out, 32, "%s", none);
}

void shim_span_format(int64_t seconds, bool is_short, char out[32])
{
    long long s = seconds < 0 ? 0 : seconds, days = s / 86400, hours = s / 3600 % 24;
    int minutes = (int)(s / 60 % 60), rest = (int)(s % 60);
    if (days > 0)
        (void)snprintf(out, 32, "%lld-%02lld:%02d:%02d", days, hours, minutes, rest);
    else if (!is_short)
        (void)snprintf(out, 32, "%02lld:%02d:%02d", hours, minutes, rest);
    else if (hours > 0)
        (void)snprintf(out, 32, "%lld:%02d:%02d", hours, minutes, rest);
    else
        (void)snprintf(out, 32, "%d:%02d", minutes, rest);
}

static int64_t elapsed_s(const struct shim_job *job)
{
    struct clock clock = clock_system();
    if (job->started_us == 0)
        return 0;
    int64_t end = job->ended_us != 0 ? job->ended_us : clock_wall(&clock).us;
    return end > job->started_us ? (end - job->started_us) / US : 0;
}

static const char *reason_of(const struct shim_job *job)
{
    switch (job->state) {
    case SHIM_PENDING:
    case SHIM_CONFIGURING:
        return "Resources";
    case SHIM_FAILED:
        return "NonZeroExitCode";
    case SHIM_TIMEOUT:
        return "TimeLimit";
    case SHIM_OUT_OF_MEMORY:
        return "OutOfMemory";
    case SHIM_NODE_FAIL:
        return "NodeDown";
    case SHIM_BOOT_FAIL:
        return "LaunchFailed";
    case SHIM_RUNNING:
    case SHIM_COMPLETING:
    case SHIM_COMPLETED:
    case SHIM_CANCELLED:
    case SHIM_STATE_COUNT_:
        break;
    }
    return "None";
}

static void put_when(const struct shim_job *job, enum field field, bool is_squeue,
                     struct buffer *out)
{
    char text[32];
    const struct book_entry *entry = job->entry;
    int64_t at = field == FIELD_SUBMIT  ? entry->submitted_us
                 : field == FIELD_START ? job->started_us
                                        : job->ended_us;
    if (is_squeue && field == FIELD_END && at == 0 && job->started_us != 0 && entry->limit_s != 0)
        at = job->started_us + (int64_t)entry->limit_s * US;
    shim_time_format(at, is_squeue ? "N/A" : "Unknown", text);
    buffer_append_text(out, text);
}

static void put_span(const struct shim_job *job, enum field field, bool is_squeue,
                     struct buffer *out)
{
    char text[32];
    int64_t limit = (int64_t)job->entry->limit_s;
    if (field == FIELD_TIME || field == FIELD_ELAPSED) {
        shim_span_format(elapsed_s(job), field == FIELD_TIME, text);
    } else if (limit == 0) {
        (void)snprintf(text, sizeof(text), "%s", is_squeue ? "UNLIMITED" : "Partition_Limit");
    } else {
        shim_span_format(field == FIELD_LEFT ? limit - elapsed_s(job) : limit, is_squeue, text);
    }
    buffer_append_text(out, text);
}

static void put_who(struct cli *cli, const struct shim_job *job, enum field field, bool is_squeue,
                    struct buffer *out)
{
    const struct book_entry *entry = job->entry;
    int64_t task = book_task(entry, job->index);
    switch (field) {
    case FIELD_ID:
        if (task >= 0)
            buffer_printf(out, "%llu_%lld", (unsigned long long)entry->number, (long long)task);
        else
            buffer_append_u64(out, job->number);
        return;
    case FIELD_ARRAY:
        buffer_append_u64(out, entry->number);
        return;
    case FIELD_TASK:
        if (task >= 0)
            buffer_append_i64(out, task);
        else
            buffer_append_text(out, "N/A");
        return;
    case FIELD_NAME:
        buffer_append(out, cli_safe(cli, entry->name));
        return;
    case FIELD_COMMENT:
        buffer_append(out, entry->comment.len > 0 || !is_squeue ? cli_safe(cli, entry->comment)
                                                                : SLICE_LITERAL("(null)"));
        return;
    case FIELD_WHERE:
        if (job->started_us != 0 && job->site.len > 0)
            buffer_append(out, cli_safe(cli, job->site));
        else
            buffer_printf(out, "(%s)", reason_of(job));
        return;
    default:
        ASSERT(!"a field of this kind");
    }
}

/* Of what was submitted. */
static void put_entry(const struct book_entry *entry, enum field field, struct buffer *out)
{
    switch (field) {
    case FIELD_USER:
        buffer_append(out, entry->user);
        return;
    case FIELD_ACCOUNT:
        buffer_append(out, entry->account);
        return;
    case FIELD_PARTITION:
        buffer_append(out, entry->partition);
        return;
    case FIELD_LIMIT_RAW:
        if (entry->limit_s != 0)
            buffer_append_u64(out, entry->limit_s / 60);
        return;
    case FIELD_NODES:
        buffer_append_u64(out, entry->nodes);
        return;
    case FIELD_CPUS:
        buffer_append_u64(out, entry->cpus);
        return;
    case FIELD_MEMORY:
        buffer_printf(out, "%lluM",
                      (unsigned long long)(entry->mem_mib != 0 ? entry->mem_mib
                                                               : JOB_MEM_BYTES_DEFAULT >> 20));
        return;
    case FIELD_DIR:
        buffer_append(out, entry->dir);
        return;
    case FIELD_COMMAND:
        buffer_append(out, entry->command);
        return;
    case FIELD_QOS:
        buffer_append_text(out, "normal");
        return;
    case FIELD_PRIORITY:
        buffer_append_char(out, '1');
        return;
    case FIELD_CLUSTER:
        buffer_append_text(out, "lingqu");
        return;
    default: /* FIELD_EMPTY */
        return;
    }
}

static void put(struct cli *cli, const struct shim_job *job, enum field field, bool is_squeue,
                struct buffer *out)
{
    switch (field) {
    case FIELD_NUMBER:
        buffer_append_u64(out, job->number);
        return;
    case FIELD_STATE:
        buffer_append_text(out, shim_state_name(job->state));
        return;
    case FIELD_STATE_SHORT:
        buffer_append_text(out, shim_state_short(job->state));
        return;
    case FIELD_EXIT:
        buffer_printf(out, "%d:%d", job->exit_code, job->exit_signal);
        return;
    case FIELD_TIME:
    case FIELD_ELAPSED:
    case FIELD_LEFT:
    case FIELD_LIMIT:
        put_span(job, field, is_squeue, out);
        return;
    case FIELD_ELAPSED_RAW:
        buffer_append_i64(out, elapsed_s(job));
        return;
    case FIELD_CPU_TIME_RAW:
        buffer_append_i64(out, elapsed_s(job) * job->entry->cpus);
        return;
    case FIELD_NODE_LIST:
        buffer_append(out, job->started_us == 0 && !is_squeue ? SLICE_LITERAL("None assigned")
                                                              : cli_safe(cli, job->site));
        return;
    case FIELD_REASON:
        buffer_append_text(out, reason_of(job));
        return;
    case FIELD_RESTARTS:
        buffer_append_u64(out, job->restarts);
        return;
    case FIELD_SUBMIT:
    case FIELD_START:
    case FIELD_END:
        put_when(job, field, is_squeue, out);
        return;
    case FIELD_ID:
    case FIELD_ARRAY:
    case FIELD_TASK:
    case FIELD_NAME:
    case FIELD_COMMENT:
    case FIELD_WHERE:
        put_who(cli, job, field, is_squeue, out);
        return;
    default:
        put_entry(job->entry, field, out);
        return;
    }
}

/* ---- reading what is asked for */

static struct column *column_add(struct shim_columns *columns)
{
    static const struct column NONE = {.before = {"", 0}};
    if (columns->count == COLUMNS_MAX)
        return NULL;
    columns->items[columns->count] = NONE;
    return &columns->items[columns->count++];
}

static uint32_t width_take(struct slice *text)
{
    uint32_t width = 0;
    while (text->len > 0 && text->data[0] >= '0' && text->data[0] <= '9') {
        width = width * 10 + (uint32_t)(text->data[0] - '0');
        width = width > WIDTH_MAX ? WIDTH_MAX : width;
        *text = slice_make(text->data + 1, text->len - 1);
    }
    return width;
}

struct shim_columns *shim_columns_squeue(struct cli *cli, const char *format)
{
    struct shim_columns *columns = arena_alloc(&cli->arena, sizeof(*columns));
    struct slice rest = slice_of(format), before;
    if (columns == NULL)
        return NULL;
    columns->count = 0;
    columns->is_squeue = true;
    while (rest.len > 0) {
        struct column *column = column_add(columns);
        if (column == NULL)
            return NULL;
        if (!slice_cut(rest, '%', &before, &rest)) {
            column->before = rest;
            break;
        }
        column->before = before;
        if (rest.len > 0 && rest.data[0] == '.') {
            column->is_right = true;
            rest = slice_make(rest.data + 1, rest.len - 1);
        }
        column->width = width_take(&rest);
        for (size_t i = 0; rest.len > 0 && i < sizeof(FIELDS) / sizeof(FIELDS[0]); i++)
            if (FIELDS[i].letter == rest.data[0])
                column->field = &FIELDS[i];
        if (column->field == NULL) {
            (void)cli_fail(cli, EXIT_FAILED, "Invalid job format specification: %%%.*s",
                           rest.len > 0 ? 1 : 0, rest.data);
            return NULL;
        }
        rest = slice_make(rest.data + 1, rest.len - 1);
    }
    return columns;
}

static bool is_same_word(struct slice word, const char *name)
{
    size_t len = strlen(name);
    return word.len == len && strncasecmp(word.data, name, len) == 0;
}

/* "State%20", "JobName%-30" */
static bool sacct_column(struct cli *cli, struct slice text, struct shim_columns *columns)
{
    struct slice name = text, width = {0};
    struct column *column = column_add(columns);
    if (column == NULL)
        return false;
    (void)slice_cut(text, '%', &name, &width);
    for (size_t i = 0; i < sizeof(FIELDS) / sizeof(FIELDS[0]); i++)
        if (FIELDS[i].name != NULL && is_same_word(name, FIELDS[i].name))
            column->field = &FIELDS[i];
    if (column->field == NULL) {
        (void)cli_fail(cli, EXIT_FAILED, "Invalid field requested: \"%.*s\"", SLICE_ARG(name));
        return false;
    }
    int own = column->field->width;
    column->is_right = own > 0;
    column->width = (uint32_t)(own > 0 ? own : -own);
    if (width.len > 0) {
        column->is_right = width.data[0] != '-';
        if (!column->is_right)
            width = slice_make(width.data + 1, width.len - 1);
        column->width = width_take(&width);
    }
    return true;
}

struct shim_columns *shim_columns_sacct(struct cli *cli, const char *format)
{
    struct shim_columns *columns = arena_alloc(&cli->arena, sizeof(*columns));
    struct slice rest = slice_of(format), one;
    if (columns == NULL)
        return NULL;
    columns->count = 0;
    columns->is_squeue = false;
    for (bool is_last = false; !is_last;) {
        is_last = !slice_cut(rest, ',', &one, &rest);
        if (is_last)
            one = rest;
        if (one.len > 0 && !sacct_column(cli, one, columns))
            return NULL;
    }
    return columns;
}

/* ---- printing */

static void cell_print(const struct shim_columns *columns, uint32_t index, enum shim_style style,
                       struct slice text)
{
    const struct column *column = &columns->items[index];
    int width = (int)column->width, len = (int)text.len;
    if (style != SHIM_PADDED) {
        printf("%s%.*s", index > 0 ? "|" : "", SLICE_ARG(text));
        return;
    }
    printf("%.*s", SLICE_ARG(column->before));
    if (width > 0 && len > width && !columns->is_squeue)
        printf("%.*s+", width - 1, text.data);
    else if (width == 0)
        printf("%.*s", SLICE_ARG(text));
    else
        printf("%*.*s", column->is_right ? width : -width, len < width ? len : width, text.data);
    if (!columns->is_squeue)
        putchar(' ');
}

static void line_end(enum shim_style style)
{
    printf("%s\n", style == SHIM_PARSABLE_END ? "|" : "");
}

void shim_heads_print(struct cli *cli, const struct shim_columns *columns, enum shim_style style)
{
    (void)cli;
    for (uint32_t i = 0; i < columns->count; i++) {
        const struct shim_field *field = columns->items[i].field;
        const char *head = field == NULL ? "" : columns->is_squeue ? field->head : field->name;
        cell_print(columns, i, style, slice_of(head));
    }
    line_end(style);
    for (uint32_t i = 0; style == SHIM_PADDED && !columns->is_squeue && i < columns->count; i++) {
        for (uint32_t n = 0; n < columns->items[i].width; n++)
            putchar('-');
        putchar(' ');
    }
    if (style == SHIM_PADDED && !columns->is_squeue)
        putchar('\n');
}

void shim_job_print(struct cli *cli, const struct shim_columns *columns, enum shim_style style,
                    const struct shim_job *job)
{
    struct buffer cell;
    buffer_init(&cell, CELL_BYTES_MAX);
    for (uint32_t i = 0; i < columns->count; i++) {
        buffer_reset(&cell);
        if (columns->items[i].field != NULL)
            put(cli, job, columns->items[i].field->field, columns->is_squeue, &cell);
        cell_print(columns, i, style, buffer_slice(&cell));
    }
    line_end(style);
    buffer_deinit(&cell);
}
