/* Recorded workloads, read one job at a time: the formats in which public traces come, and our own
 * history (docs/formats/scenario.md describes each). Nothing is held but the place in the text.
 *
 * Errors name line and column. A job that never ran (no duration, or none of its devices) is passed
 * over and counted, as those formats hold many. Texts of a job point into the trace's text or into
 * the reader's arena and live as long as both. Not thread-safe. */
#ifndef LQ_SIM_TRACE_H
#define LQ_SIM_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "wire/csv.h"

enum trace_format {
    TRACE_PHILLY,  /* timestamp,duration,num_gpus,...,cluster */
    TRACE_GAIA,    /* arrival_time,length,cpus in hours */
    TRACE_GAVEL,   /* tabs; steps, not durations; Shockwave's two columns more are known */
    TRACE_SWF,     /* the Standard Workload Format of the Parallel Workloads Archive */
    TRACE_OPENB,   /* pods of the Alibaba GPU cluster trace of 2023 */
    TRACE_HISTORY, /* what `lq history export` writes */
    TRACE_FORMAT_COUNT_
};

enum {
    TRACE_BYTES_MAX = 1 << 30,
    TRACE_JOBS_MAX = 1 << 22,
    TRACE_WIDTH_MAX = 65536, /* devices or cores of one job */
    TRACE_COLUMNS_MAX = 16,
};

#define TRACE_SPAN_MS_MAX (INT64_C(100) * 366 * 86400 * 1000)

struct trace_job {
    int64_t arrival_ms;  /* as the trace counts: since 1970 or since its own start */
    int64_t duration_ms; /* 0 in Gavel traces: it depends on the chip */
    int64_t guess_ms;    /* what the user asked for; 0: not said */
    uint64_t steps;      /* Gavel: work to do; else 0 */
    uint32_t nodes;      /* as recorded; 0: the trace counts devices only */
    uint32_t devices;    /* in all */
    uint64_t cpu_milli;  /* in all; 0: not said */
    uint64_t mem_bytes;  /* in all; 0: not said */
    struct slice home;   /* cluster, partition or site; may be empty */
    struct slice tenant; /* user, group or tenant; may be empty */
    struct slice kind;   /* type of work, chip or image; may be empty */
    uint32_t line;
};

struct trace_reader {
    enum trace_format format;
    struct csv_reader csv; /* of the formats with commas */
    int columns[TRACE_COLUMNS_MAX];
    struct slice text; /* of the others: what is left */
    uint32_t line;
    uint64_t passed_over;
};

const char *trace_format_name(enum trace_format format);
/* ERR_NOT_FOUND. */
enum err trace_format_parse(struct slice name, enum trace_format *out) LQ_CHECKED;

/* ERR_INVALID: a wanted column is missing. `text` and `arena` outlive the reader. */
enum err trace_open(struct trace_reader *reader, enum trace_format format, struct slice text,
                    struct arena *arena, struct fault *fault) LQ_CHECKED;
/* *out_has false: no more. Jobs come as they stand, which need not be in order of arrival.
 * ERR_INVALID, ERR_LIMIT with line and column. */
enum err trace_next(struct trace_reader *reader, bool *out_has, struct trace_job *out,
                    struct fault *fault) LQ_CHECKED;

/* ---- trace_number.c: fields of any format */
/* A decimal ("25.408055", "-1") times `unit`, rounded down; at most nine decimals count.
 * ERR_INVALID, ERR_LIMIT past `max`. */
enum err trace_decimal(struct slice text, int64_t unit, int64_t max, int64_t *out) LQ_CHECKED;
/* "2017-10-09 07:01:55" (UTC), RFC 3339, or plain seconds; in milliseconds. */
enum err trace_moment(struct slice text, int64_t *out_ms) LQ_CHECKED;

/* ---- trace_line.c: the formats of lines with tabs and blanks */
enum err trace_next_gavel(struct trace_reader *reader, bool *out_has, struct trace_job *out,
                          struct fault *fault) LQ_CHECKED;
enum err trace_next_swf(struct trace_reader *reader, bool *out_has, struct trace_job *out,
                        struct fault *fault) LQ_CHECKED;

#endif
