/* The first jobs of the Philly trace, squeezed in time, as real processes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cli/demo.h"
#include "port/file.h"
#include "wire/csv.h"
#include "wire/json_writer.h"

enum { TRACE_BYTES_MAX = 4 << 20, BATCH_BYTES_MAX = 4 << 20 };

/* "2017-10-09 07:01:55" as milliseconds; the trace's clock has no zone, differences are all that
 * counts. */
static bool trace_time(struct slice text, int64_t *out_ms)
{
    char iso[24];
    struct wall_us at;
    if (text.len != 19)
        return false;
    memcpy(iso, text.data, 19);
    iso[10] = 'T';
    iso[19] = 'Z';
    if (wall_parse((struct slice){iso, 20}, &at) != ERR_OK)
        return false;
    *out_ms = at.us / 1000;
    return true;
}

/* "2951.0": whole seconds are enough. */
static bool trace_seconds(struct slice text, uint64_t *out_seconds)
{
    struct slice whole, rest;
    if (!slice_cut(text, '.', &whole, &rest))
        whole = text;
    return slice_parse_u64(whole, out_seconds) == ERR_OK;
}

static int by_arrival(const void *a, const void *b)
{
    const struct demo_trace_job *x = a, *y = b;
    return x->arrival_ms < y->arrival_ms ? -1 : x->arrival_ms > y->arrival_ms;
}

static bool row_take(struct csv_reader *reader, const int columns[3], struct demo_trace_job *out)
{
    uint64_t seconds, nodes;
    if (!trace_time(reader->fields[columns[0]].value, &out->arrival_ms) ||
        !trace_seconds(reader->fields[columns[1]].value, &seconds) ||
        slice_parse_u64(reader->fields[columns[2]].value, &nodes) != ERR_OK || nodes == 0 ||
        nodes > 8)
        return false;
    int64_t duration = (int64_t)seconds * 1000 / DEMO_DURATION_FACTOR;
    duration = duration < DEMO_DURATION_MS_MIN ? DEMO_DURATION_MS_MIN : duration;
    out->duration_ms = duration > DEMO_DURATION_MS_MAX ? DEMO_DURATION_MS_MAX : duration;
    out->nodes = (uint32_t)nodes;
    return true;
}

/* Quiet hours are cut to DEMO_GAP_MS_MAX of the trace's time; what is left is squeezed linearly. */
static void arrivals_squeeze(struct demo_trace_job *jobs, size_t count)
{
    int64_t before = jobs[0].arrival_ms, at = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t gap = jobs[i].arrival_ms - before;
        before = jobs[i].arrival_ms;
        at += gap < DEMO_GAP_MS_MAX ? gap : DEMO_GAP_MS_MAX;
        jobs[i].arrival_ms = at;
    }
    for (size_t i = 0; at > 0 && i < count; i++)
        jobs[i].arrival_ms = jobs[i].arrival_ms * DEMO_ARRIVALS_MS / at;
}

int demo_trace_read(struct demo *demo, const char *path)
{
    static const char *const COLUMNS[] = {"timestamp", "duration", "num_gpus"};
    struct cli *cli = demo->cli;
    struct fault fault = {0};
    struct slice text;
    struct csv_reader *reader = arena_alloc(&cli->arena, sizeof(*reader));
    int columns[3];
    bool has = false;
    ASSERT(reader != NULL);
    if (file_read(path, TRACE_BYTES_MAX, &cli->arena, &fault, &text) != ERR_OK)
        return cli_fail_fault(cli, EXIT_FAILED, path, &fault);
    csv_init(reader, text, &cli->arena);
    enum err err = csv_next(reader, &has, &fault);
    for (int i = 0; i < 3; i++)
        columns[i] = has ? csv_column(reader, COLUMNS[i]) : -1;
    if (err != ERR_OK || columns[0] < 0 || columns[1] < 0 || columns[2] < 0)
        return cli_fail(cli, EXIT_FAILED,
                        "%s: the columns timestamp, duration and num_gpus are wanted", path);
    while (demo->trace_count < DEMO_TRACE_JOBS) {
        err = csv_next(reader, &has, &fault);
        if (err != ERR_OK)
            return cli_fail_fault(cli, EXIT_FAILED, path, &fault);
        if (!has)
            break;
        if (!row_take(reader, columns, &demo->trace[demo->trace_count]))
            return cli_fail(cli, EXIT_FAILED, "%s:%u: no such job can be replayed", path,
                            reader->fields[0].line);
        demo->trace_count++;
    }
    if (demo->trace_count == 0)
        return cli_fail(cli, EXIT_FAILED, "%s: no jobs", path);
    qsort(demo->trace, demo->trace_count, sizeof(demo->trace[0]), by_arrival);
    arrivals_squeeze(demo->trace, demo->trace_count);
    return EXIT_DONE;
}

/* Each holds its nodes for its duration; gangs on as many nodes as the trace says GPUs. */
static void job_write(const struct demo_trace_job *job, size_t number, struct json_writer *writer)
{
    char run[64], name[32];
    (void)snprintf(run, sizeof(run), "exec sleep %lld.%03lld", (long long)(job->duration_ms / 1000),
                   (long long)(job->duration_ms % 1000));
    (void)snprintf(name, sizeof(name), "philly-%03zu", number + 1);
    json_begin_object(writer);
    json_put_text(writer, "name", name);
    json_put_text(writer, "run", run);
    json_put_u64(writer, "num_nodes", job->nodes);
    json_key(writer, "resources");
    json_begin_object(writer);
    json_put_u64(writer, "cpus", 1);
    json_put_text(writer, "memory", "64MiB");
    json_end_object(writer);
    json_put_span(writer, "expected", SPAN_MS(job->duration_ms));
    json_put_text(writer, "time_limit", "2m");
    json_put_text(writer, "contact", "lease");
    json_put_u64(writer, "retries", 3);
    json_end_object(writer);
}

int demo_trace_submit(struct demo *demo, int64_t now_ms)
{
    struct buffer body;
    struct json_writer writer;
    struct api_reply reply;
    size_t due = 0;
    for (size_t i = 0; i < demo->trace_count; i++)
        due += !demo->trace[i].is_submitted && demo->trace[i].arrival_ms <= now_ms;
    if (due == 0)
        return EXIT_DONE;
    buffer_init(&body, BATCH_BYTES_MAX);
    json_writer_init(&writer, &body);
    json_begin_object(&writer);
    json_key(&writer, "jobs");
    json_begin_array(&writer);
    for (size_t i = 0; i < demo->trace_count; i++)
        if (!demo->trace[i].is_submitted && demo->trace[i].arrival_ms <= now_ms)
            job_write(&demo->trace[i], i, &writer);
    json_end_array(&writer);
    json_end_object(&writer);
    int code = json_writer_finish(&writer) == ERR_OK
                   ? api_post_once(demo->cli, api_target(demo->cli, "/v1/jobs?tenant=philly"),
                                   buffer_slice(&body), &reply)
                   : cli_fail(demo->cli, EXIT_FAILED, "the batch is too large");
    for (size_t i = 0; code == EXIT_DONE && i < demo->trace_count; i++)
        if (!demo->trace[i].is_submitted && demo->trace[i].arrival_ms <= now_ms) {
            demo->trace[i].is_submitted = true;
            demo->summary.submitted++;
        }
    buffer_deinit(&body);
    return code;
}
