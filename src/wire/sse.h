/* Server-sent events (text/event-stream): writing and incremental reading. */
#ifndef LQ_WIRE_SSE_H
#define LQ_WIRE_SSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/err.h"
#include "base/slice.h"

struct sse_event {
    struct slice id;    /* data NULL: none */
    struct slice event; /* data NULL: the default, "message" */
    struct slice data;  /* lines are separated by LF */
    int64_t retry_ms;   /* < 0: none */
};

/* Appends one event and its blank line. ERR_INVALID (nothing is appended) when id or event holds
 * CR, LF or NUL. Any CR, LF or CR LF in data starts a new line and reads back as LF. */
enum err sse_write(struct buffer *out, const struct sse_event *event) LQ_CHECKED;
/* A line that readers ignore; keeps idle connections open. CR and LF in `text` become blanks. */
void sse_write_comment(struct buffer *out, struct slice text);

/* Reading as the HTML standard says: any of CR LF, LF, CR ends a line; a byte order mark at the
 * start is dropped; unknown fields and comments are ignored; an event without data is not given
 * out, but its id and retry count; an id with NUL is ignored. */
struct sse_reader {
    struct buffer line;
    struct buffer data;
    struct buffer name;
    struct buffer last_id;
    int64_t retry_ms; /* last one received, < 0: none */
    bool has_id;      /* an id was received, ever */
    bool has_data;
    bool skip_lf;    /* the last byte was CR: drop an LF that follows */
    bool is_started; /* the place for a byte order mark is past */
    bool is_given;   /* data and name were handed out: clear them first */
    enum err error;
};

/* A line or an event's data longer than event_bytes_max gives ERR_LIMIT, for good. */
void sse_reader_init(struct sse_reader *reader, size_t event_bytes_max);
void sse_reader_deinit(struct sse_reader *reader); /* accepts a zeroed one */
/* Uses up to one event of input. *out_has_event: out_event is filled; its slices live until the
 * next call. Call again with the rest of the input until it is used up. ERR_LIMIT, ERR_NO_MEMORY.
 */
enum err sse_read(struct sse_reader *reader, struct slice input, size_t *out_used,
                  bool *out_has_event, struct sse_event *out_event) LQ_CHECKED;

#endif
