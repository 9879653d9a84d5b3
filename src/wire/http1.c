/* The parser. A head is collected and read by us (http1_head.c), then given to llhttp whole; bodies
 * go through llhttp alone, in place.
 *
 *     IDLE --byte--> HEAD --empty line--> BODY --last byte--> END --told--> IDLE or LAST
 *                     |                                        ^
 *                     +--------------- no body ----------------+
 *     any --refusal--> FAILED
 *
 * LAST: the message said that the connection ends with it; nothing may follow. */
#include "wire/http1.h"

#include <llhttp.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "wire/http1_private.h"

const struct http1_limits HTTP1_LIMITS_DEFAULT = {
    .head_bytes = 32 * 1024,
    .target_bytes = 8 * 1024,
    .headers = 100,
    .name_bytes = 256,
    .value_bytes = 16 * 1024,
    .trailer_bytes = 4 * 1024,
    .body_bytes = 64ull * 1024 * 1024,
};

enum {
    START_LINE_SPARE = 64,  /* method and version beside the target */
    CHUNK_LINE_SPARE = 64,  /* digits, CR LFs of a chunk */
    HEAD_KEEP_BYTES = 2048, /* an idle parser holds no more than this */
};

enum state { STATE_IDLE, STATE_HEAD, STATE_BODY, STATE_END, STATE_LAST, STATE_FAILED };

struct http1_parser {
    llhttp_t engine;
    enum http1_side side;
    enum state state;
    struct http1_limits limits;
    struct http1_refusal refusal;
    bool is_reply_to_head; /* responses: the request was HEAD */

    struct buffer bytes;   /* the head as it came */
    size_t line_start;     /* of the line being collected */
    struct vector headers; /* of struct http1_header, pointing into bytes */
    struct http1_head head;

    uint64_t body_bytes_max;
    uint64_t body_bytes;    /* given out of this message */
    uint64_t dropped_bytes; /* extensions and trailers of this message */
    uint64_t framing_run;   /* bytes used since the last byte of body */
    struct slice piece;     /* of body, found by this call */
    bool is_head_seen;      /* by the engine */
    bool is_complete;       /* the engine saw the message's end */
};

/* ---- what llhttp calls ---- */

static int on_headers_complete(llhttp_t *engine)
{
    struct http1_parser *parser = engine->data;
    parser->is_head_seen = true;
    engine->upgrade = 0; /* upgrades are not followed; the body is read as usual */
    /* 1 skips the body, whatever the headers say of one. */
    return parser->side == HTTP1_RESPONSES && !parser->head.has_body ? 1 : 0;
}

static int on_body(llhttp_t *engine, const char *data, size_t len)
{
    struct http1_parser *parser = engine->data;
    ASSERT(parser->piece.len == 0); /* the engine pauses after each chunk */
    parser->piece = slice_make(data, len);
    return 0;
}

static int on_chunk_complete(llhttp_t *engine)
{
    struct http1_parser *parser = engine->data;
    return parser->piece.len > 0 ? HPE_PAUSED : 0;
}

static int on_message_complete(llhttp_t *engine)
{
    struct http1_parser *parser = engine->data;
    parser->is_complete = true;
    return HPE_PAUSED;
}

/* Names and values of headers before the body are ours already; later ones are trailers. */
static int on_dropped(llhttp_t *engine, const char *data, size_t len)
{
    struct http1_parser *parser = engine->data;
    (void)data;
    if (!parser->is_head_seen)
        return 0;
    parser->dropped_bytes += len;
    return parser->dropped_bytes > parser->limits.trailer_bytes ? HPE_USER : 0;
}

static const llhttp_settings_t engine_settings = {
    .on_header_field = on_dropped,
    .on_header_value = on_dropped,
    .on_chunk_extension_name = on_dropped,
    .on_chunk_extension_value = on_dropped,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
    .on_chunk_complete = on_chunk_complete,
};

/* ---- life ---- */

enum err http1_parser_create(enum http1_side side, const struct http1_limits *limits,
                             struct http1_parser **out_parser)
{
    ASSERT(limits->head_bytes <= HTTP1_HEAD_BYTES_MAX && limits->headers <= HTTP1_HEADERS_MAX);
    struct http1_parser *parser = calloc(1, sizeof(*parser));
    if (parser == NULL)
        return ERR_NO_MEMORY;
    parser->side = side;
    parser->limits = *limits;
    buffer_init(&parser->bytes, limits->head_bytes);
    vector_init(&parser->headers, sizeof(struct http1_header), HTTP1_HEADERS_MAX);
    llhttp_init(&parser->engine, side == HTTP1_REQUESTS ? HTTP_REQUEST : HTTP_RESPONSE,
                &engine_settings);
    parser->engine.data = parser;
    *out_parser = parser;
    return ERR_OK;
}

void http1_parser_destroy(struct http1_parser *parser)
{
    if (parser == NULL)
        return;
    buffer_deinit(&parser->bytes);
    vector_deinit(&parser->headers);
    free(parser);
}

void http1_parser_expect(struct http1_parser *parser, enum http1_method request_method)
{
    parser->is_reply_to_head = request_method == HTTP1_HEAD;
}

void http1_parser_set_body_limit(struct http1_parser *parser, uint64_t body_bytes)
{
    parser->body_bytes_max = body_bytes;
}

bool http1_parser_is_within_message(const struct http1_parser *parser)
{
    return parser->state == STATE_HEAD || parser->state == STATE_BODY || parser->state == STATE_END;
}

unsigned http1_parser_status(const struct http1_parser *parser)
{
    return parser->refusal.err == ERR_OK ? 400 : parser->refusal.status;
}

/* ---- failing ---- */

static enum err report(const struct http1_parser *parser, struct fault *fault)
{
    return fault_set(fault, parser->refusal.err, NULL, "%s", parser->refusal.message);
}

static void fail(struct http1_parser *parser, struct http1_refusal refusal)
{
    parser->refusal = refusal;
    parser->state = STATE_FAILED;
}

static void fail_invalid(struct http1_parser *parser, const char *message)
{
    fail(parser, (struct http1_refusal){ERR_INVALID, 400, message});
}

static void fail_limit(struct http1_parser *parser, unsigned status, const char *message)
{
    fail(parser, (struct http1_refusal){ERR_LIMIT, status, message});
}

static void fail_engine(struct http1_parser *parser, llhttp_errno_t code)
{
    if (code == HPE_USER)
        fail_limit(parser, 431, "the trailers or chunk extensions are too long");
    else if (code == HPE_INVALID_METHOD)
        fail(parser, (struct http1_refusal){ERR_INVALID, 501, "the method is not supported"});
    else
        fail_invalid(parser, "the message breaks the rules of HTTP/1.1");
}

/* ---- heads ---- */

static void start_message(struct http1_parser *parser)
{
    if (parser->bytes.cap > HEAD_KEEP_BYTES)
        buffer_deinit(&parser->bytes);
    if (parser->headers.cap * sizeof(struct http1_header) > HEAD_KEEP_BYTES)
        vector_deinit(&parser->headers);
    buffer_reset(&parser->bytes);
    parser->bytes.limit_bytes = parser->limits.head_bytes;
    vector_clear(&parser->headers);
    parser->headers.item_size = sizeof(struct http1_header);
    parser->headers.limit = HTTP1_HEADERS_MAX;
    parser->head = (struct http1_head){0};
    parser->line_start = 0;
    parser->body_bytes_max = parser->limits.body_bytes;
    parser->body_bytes = 0;
    parser->dropped_bytes = 0;
    parser->framing_run = 0;
    parser->is_head_seen = false;
    parser->is_complete = false;
}

/* What may stand in a head at all. `bytes` are up to the end of one line; `before` is the byte
 * before them. */
static const char *odd_byte(struct slice bytes, char before)
{
    static const char *const lone_cr = "a CR stands without its LF";
    size_t len = bytes.len;
    bool is_line_end = bytes.data[len - 1] == '\n';
    if (before == '\r')
        return is_line_end && len == 1 ? NULL : lone_cr;
    if (is_line_end && (len == 1 || bytes.data[len - 2] != '\r'))
        return "a line ends with a bare LF; CR LF is wanted";
    if (is_line_end)
        len -= 2;
    else if (bytes.data[len - 1] == '\r')
        len--; /* its LF may be on the way */
    struct slice inner = slice_make(bytes.data, len);
    if (!http1_has_control(inner))
        return NULL;
    return memchr(inner.data, '\r', inner.len) != NULL ? lone_cr
                                                       : "the head holds control characters";
}

static bool is_too_long(struct http1_parser *parser, size_t more)
{
    size_t len = parser->bytes.len + more;
    bool is_first_line = parser->line_start == 0 && parser->side == HTTP1_REQUESTS;
    if (is_first_line && len > (size_t)parser->limits.target_bytes + START_LINE_SPARE)
        fail_limit(parser, 414, "the target is too long");
    else if (len > parser->limits.head_bytes)
        fail_limit(parser, 431, "the head is too long");
    return parser->state == STATE_FAILED;
}

/* Collects up to the end of one line. True: the head is whole. */
static bool collect_line(struct http1_parser *parser, struct slice input, size_t *used)
{
    const char *rest = input.data + *used;
    const char *end = memchr(rest, '\n', input.len - *used);
    size_t len = end == NULL ? input.len - *used : (size_t)(end - rest) + 1;
    char before = parser->bytes.len == 0 ? '\0' : parser->bytes.data[parser->bytes.len - 1];
    const char *odd = odd_byte(slice_make(rest, len), before);
    if (odd != NULL) {
        fail_invalid(parser, odd);
        return false;
    }
    if (is_too_long(parser, len))
        return false;
    buffer_append_bytes(&parser->bytes, rest, len);
    if (buffer_status(&parser->bytes) != ERR_OK) {
        fail(parser, (struct http1_refusal){ERR_NO_MEMORY, 503, "out of memory"});
        return false;
    }
    *used += len;
    if (end == NULL)
        return false;
    bool is_empty = parser->bytes.len - parser->line_start == 2;
    if (is_empty && parser->line_start == 0) {
        fail_invalid(parser, "an empty line stands before the start line");
        return false;
    }
    parser->line_start = parser->bytes.len;
    return is_empty;
}

/* Whether the message has a body, by RFC 9112 section 6.3. */
static void decide_body(struct http1_parser *parser)
{
    struct http1_head *head = &parser->head;
    if (parser->side == HTTP1_REQUESTS) {
        head->has_body = head->is_chunked || head->content_length > 0;
        return;
    }
    bool is_bodiless = parser->is_reply_to_head || head->status < 200 || head->status == 204 ||
                       head->status == 304;
    head->has_body =
        !is_bodiless && (head->is_chunked || !head->has_content_length || head->content_length > 0);
    if (head->has_body && !head->is_chunked && !head->has_content_length)
        head->is_kept_alive = false; /* the end of the connection ends the body */
}

static void read_head(struct http1_parser *parser)
{
    struct slice bytes = buffer_slice(&parser->bytes);
    struct http1_refusal refusal =
        http1_head_read(bytes, parser->side, &parser->limits, &parser->headers, &parser->head);
    if (refusal.err != ERR_OK) {
        fail(parser, refusal);
        return;
    }
    decide_body(parser);
    llhttp_errno_t code = llhttp_execute(&parser->engine, bytes.data, bytes.len);
    if (code != HPE_OK && code != HPE_PAUSED) {
        fail_engine(parser, code);
        return;
    }
    /* Two readers that disagree about where a message ends are how requests are smuggled. */
    bool is_all_used =
        code == HPE_OK || llhttp_get_error_pos(&parser->engine) == bytes.data + bytes.len;
    if (!is_all_used || !parser->is_head_seen || parser->is_complete == parser->head.has_body) {
        fail_invalid(parser, "the head can be read in two ways");
        return;
    }
    parser->state = parser->is_complete ? STATE_END : STATE_BODY;
}

static void parse_head(struct http1_parser *parser, struct slice input, size_t *used,
                       struct http1_event *event)
{
    bool is_whole = false;
    while (!is_whole && parser->state == STATE_HEAD && *used < input.len)
        is_whole = collect_line(parser, input, used);
    if (is_whole)
        read_head(parser);
    if (parser->state == STATE_FAILED || !is_whole)
        return;
    event->type = HTTP1_EVENT_HEAD;
    event->head = &parser->head;
}

/* ---- bodies ---- */

static bool is_over_limit(struct http1_parser *parser)
{
    uint64_t announced = parser->head.has_content_length ? parser->head.content_length : 0;
    if (announced > parser->body_bytes_max || parser->body_bytes > parser->body_bytes_max)
        fail_limit(parser, 413, "the body is too long");
    else if (parser->framing_run > (uint64_t)parser->limits.trailer_bytes + CHUNK_LINE_SPARE)
        fail_limit(parser, 431, "the lines between two chunks are too long");
    return parser->state == STATE_FAILED;
}

static void parse_body(struct http1_parser *parser, struct slice input, size_t *used,
                       struct http1_event *event)
{
    if (is_over_limit(parser) || input.len == 0)
        return;
    parser->piece = (struct slice){NULL, 0};
    llhttp_errno_t code = llhttp_execute(&parser->engine, input.data, input.len);
    if (code != HPE_OK && code != HPE_PAUSED) {
        fail_engine(parser, code);
        return;
    }
    *used = input.len;
    if (code == HPE_PAUSED)
        *used = (size_t)(llhttp_get_error_pos(&parser->engine) - input.data);
    if (code == HPE_PAUSED && !parser->is_complete)
        llhttp_resume(&parser->engine);
    parser->body_bytes += parser->piece.len;
    parser->framing_run = parser->piece.len > 0 ? 0 : parser->framing_run + *used;
    if (is_over_limit(parser))
        return;
    if (parser->is_complete)
        parser->state = STATE_END;
    if (parser->piece.len > 0) {
        event->type = HTTP1_EVENT_BODY;
        event->body = parser->piece;
    }
}

/* ---- the machine ---- */

static void end_message(struct http1_parser *parser, struct http1_event *event)
{
    event->type = HTTP1_EVENT_END;
    parser->state = parser->head.is_kept_alive ? STATE_IDLE : STATE_LAST;
    llhttp_resume(&parser->engine);
}

static void step(struct http1_parser *parser, struct slice input, size_t *used,
                 struct http1_event *event)
{
    switch (parser->state) {
    case STATE_IDLE:
        start_message(parser);
        if (input.len == 0)
            return;
        parser->state = STATE_HEAD;
        parse_head(parser, input, used, event);
        return;
    case STATE_HEAD:
        parse_head(parser, input, used, event);
        return;
    case STATE_BODY:
        parse_body(parser, input, used, event);
        if (parser->state == STATE_END && event->type == HTTP1_EVENT_NEED_MORE)
            end_message(parser, event);
        return;
    case STATE_END:
        end_message(parser, event);
        return;
    case STATE_LAST:
        if (input.len > 0)
            fail_invalid(parser, "bytes follow a message that was to be the last");
        return;
    case STATE_FAILED:
        return;
    }
}

enum err http1_parse(struct http1_parser *parser, struct slice input, size_t *out_used,
                     struct http1_event *out_event, struct fault *fault)
{
    struct http1_event event = {.type = HTTP1_EVENT_NEED_MORE};
    size_t used = 0;
    step(parser, input, &used, &event);
    if (parser->state == STATE_FAILED)
        return report(parser, fault);
    ASSERT(used <= input.len && (event.type != HTTP1_EVENT_NEED_MORE || used == input.len));
    *out_used = used;
    *out_event = event;
    return ERR_OK;
}

enum err http1_parse_eof(struct http1_parser *parser, struct http1_event *out_event,
                         struct fault *fault)
{
    struct http1_event event = {.type = HTTP1_EVENT_NEED_MORE};
    bool is_until_eof = parser->state == STATE_BODY && parser->side == HTTP1_RESPONSES &&
                        !parser->head.is_chunked && !parser->head.has_content_length;
    switch (parser->state) {
    case STATE_IDLE:
    case STATE_LAST:
        break;
    case STATE_END:
        end_message(parser, &event);
        break;
    case STATE_BODY:
        if (is_until_eof) {
            event.type = HTTP1_EVENT_END;
            parser->state = STATE_LAST;
            break;
        }
        __attribute__((fallthrough));
    case STATE_HEAD:
        fail(parser, (struct http1_refusal){ERR_CLOSED, 400,
                                            "the connection closed in the middle of a message"});
        return report(parser, fault);
    case STATE_FAILED:
        return report(parser, fault);
    }
    *out_event = event;
    return ERR_OK;
}
