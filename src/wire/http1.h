/* HTTP/1.1 messages, both sides: an incremental parser (llhttp behind our own, stricter check of
 * every head), and writers.
 *
 * The parser does no I/O; it is fed what arrived and hands out one event at a time:
 *
 *     while (used < input.len) {
 *         err = http1_parse(parser, rest of input, &n, &event, &fault);   // n bytes are used up
 *         if (err) answer http1_status_for(parser), close;
 *         switch (event.type) { NEED_MORE, HEAD, BODY, END }
 *     }
 *
 * After END the next call starts the next message; a server that answers in order just stops
 * calling until then, and so holds back pipelined requests.
 *
 * Refused (ERR_INVALID): no Host or two, a bad Host, Content-Length with Transfer-Encoding, two
 * Content-Lengths even when equal, any Transfer-Encoding but one "chunked", bare LF or CR, empty or
 * odd header names, space before the colon, folded lines, control characters in values, bad chunk
 * sizes, HTTP/0.9 and 2, a target in another form than /path, http(s)://host/path or * (OPTIONS),
 * CONNECT, a bad byte anywhere. ERR_LIMIT: past a limit below. After an error every further call
 * gives the same error. Upgrades are not followed: an Upgrade header is left to the caller to
 * ignore.
 *
 * Threading: one parser, one thread. */
#ifndef LQ_WIRE_HTTP1_H
#define LQ_WIRE_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/err.h"
#include "base/slice.h"

struct http1_limits {
    uint32_t head_bytes;    /* start line and all headers; at most HTTP1_HEAD_BYTES_MAX */
    uint32_t target_bytes;  /* of a request */
    uint32_t headers;       /* at most HTTP1_HEADERS_MAX */
    uint32_t name_bytes;    /* of one header's name */
    uint32_t value_bytes;   /* of one header's value */
    uint32_t trailer_bytes; /* chunk extensions and trailers of one message; all are dropped */
    uint64_t body_bytes;    /* decoded; a longer Content-Length is refused right after HEAD */
};

enum { HTTP1_HEADERS_MAX = 256, HTTP1_HEAD_BYTES_MAX = 1 << 20 };

/* Head 32 KiB, target 8 KiB, 100 headers, name 256, value 16 KiB, trailer 4 KiB, body 64 MiB. */
extern const struct http1_limits HTTP1_LIMITS_DEFAULT;

enum http1_side { HTTP1_REQUESTS, HTTP1_RESPONSES }; /* what is parsed */

enum http1_method {
    HTTP1_GET,
    HTTP1_HEAD,
    HTTP1_POST,
    HTTP1_PUT,
    HTTP1_PATCH,
    HTTP1_DELETE,
    HTTP1_OPTIONS,
    HTTP1_METHOD_OTHER, /* well-formed; see method_text */
};
const char *http1_method_name(enum http1_method method); /* "GET"; "OTHER" for the last */

struct http1_header {
    struct slice name;  /* as sent; compare without case */
    struct slice value; /* without blanks at the ends */
};

struct http1_head {
    enum http1_method method;           /* requests */
    struct slice method_text;           /* requests */
    struct slice target;                /* requests: always in the form /path?query or "*" */
    struct slice host;                  /* requests: the Host header; may be empty for HTTP/1.0 */
    uint16_t status;                    /* responses: 100..999 */
    struct slice reason;                /* responses */
    uint8_t minor;                      /* HTTP/1.minor: 0 or 1 */
    const struct http1_header *headers; /* in the order sent */
    size_t header_count;
    bool has_content_length;
    uint64_t content_length;
    bool is_chunked;
    bool has_body;         /* BODY events may follow (none comes when the length is 0) */
    bool is_kept_alive;    /* the peer will keep the connection after this message */
    bool expects_continue; /* requests: Expect: 100-continue */
};

enum http1_event_type {
    HTTP1_EVENT_NEED_MORE, /* all input is used up */
    HTTP1_EVENT_HEAD,
    HTTP1_EVENT_BODY, /* a piece of the decoded body; points into the input */
    HTTP1_EVENT_END,  /* the message is complete */
};

struct http1_event {
    enum http1_event_type type;
    const struct http1_head *head; /* HEAD: lives until the call after END */
    struct slice body;             /* BODY */
};

struct http1_parser;

/* ERR_NO_MEMORY. An idle parser holds about 300 bytes; a head takes what it needs and is given back
 * at END. */
enum err http1_parser_create(enum http1_side side, const struct http1_limits *limits,
                             struct http1_parser **out_parser) LQ_CHECKED;
void http1_parser_destroy(struct http1_parser *parser); /* accepts NULL */
/* One event. *out_used bytes of input are used up: never look at them again; with NEED_MORE that is
 * all. Call again with the rest, even when it is empty, until NEED_MORE comes (END can follow
 * without further input). */
enum err http1_parse(struct http1_parser *parser, struct slice input, size_t *out_used,
                     struct http1_event *out_event, struct fault *fault) LQ_CHECKED;
/* The peer closed its side. ERR_OK with END: this completes a response whose body ends with the
 * connection; ERR_OK with NEED_MORE: between messages, a clean end; ERR_CLOSED: a message was cut.
 */
enum err http1_parse_eof(struct http1_parser *parser, struct http1_event *out_event,
                         struct fault *fault) LQ_CHECKED;
/* Responses: call before each response. A reply to HEAD has no body whatever its headers say. */
void http1_parser_expect(struct http1_parser *parser, enum http1_method request_method);
/* Changes the body limit for the message whose HEAD was just returned (routes differ); call it
 * before the next http1_parse. */
void http1_parser_set_body_limit(struct http1_parser *parser, uint64_t body_bytes);
/* Whether some bytes of a message have been read and it is not complete; tells slow senders from
 * idle ones. */
bool http1_parser_is_within_message(const struct http1_parser *parser);
/* The status to answer a failed request with: 400, 413, 414, 431, 417, 501 or 505. */
unsigned http1_parser_status(const struct http1_parser *parser);

/* First header of that name (any case); NULL: none. */
const struct http1_header *http1_head_find(const struct http1_head *head, const char *name);
/* Its value, or an empty slice with NULL data. */
struct slice http1_head_value(const struct http1_head *head, const char *name);
/* Whether a comma-separated header (all of that name) has the token, any case: ("Connection",
 * "close"). */
bool http1_head_has_token(const struct http1_head *head, const char *name, const char *token);
bool http1_is_name_equal(struct slice a, const char *b); /* without case */
bool http1_is_token(struct slice text);                  /* a legal method or header name */
bool http1_is_value(struct slice text);                  /* a legal header value */

/* ---- writing ----
 * A head: request or status line, then headers, then the end. Names, values and targets that would
 * break the framing give ERR_INVALID and append nothing; memory and limit errors stay in the
 * buffer. */
enum err http1_write_request_line(struct buffer *out, struct slice method,
                                  struct slice target) LQ_CHECKED;
void http1_write_status_line(struct buffer *out, unsigned status); /* 100..999 */
enum err http1_write_header(struct buffer *out, struct slice name, struct slice value) LQ_CHECKED;
enum err http1_write_header_text(struct buffer *out, const char *name,
                                 const char *value) LQ_CHECKED;
void http1_write_header_u64(struct buffer *out, const char *name, uint64_t value);
void http1_write_head_end(struct buffer *out);
const char *http1_reason(unsigned status); /* "Not Found"; "" when not known */

/* Chunked bodies: chunk_begin, `len` bytes (> 0), chunk_end; after the last one body_end. */
enum { HTTP1_CHUNK_LINE_MAX = 20 };
void http1_write_chunk(struct buffer *out,
                       struct slice bytes); /* all three; nothing for no bytes */
/* Writes "1a2b\r\n" for a chunk of `len` > 0 bytes; returns its length. For scatter writes. */
size_t http1_chunk_line(size_t len, char out[HTTP1_CHUNK_LINE_MAX]);
extern const struct slice HTTP1_CHUNK_END; /* CR LF after each chunk */
extern const struct slice HTTP1_BODY_END;  /* "0\r\n\r\n" */

#endif
