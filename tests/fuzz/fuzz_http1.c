/* The same bytes, whole and in pieces of a size that the input chooses, on either side: they must
 * tell the same story, and every head must keep the promises of the parser. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "fuzz.h"
#include "wire/http1.h"

static const struct http1_limits limits = {
    .head_bytes = 2000,
    .target_bytes = 300,
    .headers = 12,
    .name_bytes = 40,
    .value_bytes = 200,
    .trailer_bytes = 60,
    .body_bytes = 3000,
};

struct story {
    struct buffer heads;  /* all but bodies */
    struct buffer bodies; /* of messages that ended, or were cut without fault */
    size_t body_start;    /* of the message under way */
    enum err end;
};

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7F)
            return true;
    }
    return false;
}

static unsigned count_headers(const struct http1_head *head, const char *name)
{
    unsigned count = 0;
    for (size_t i = 0; i < head->header_count; i++)
        count += http1_is_name_equal(head->headers[i].name, name) ? 1 : 0;
    return count;
}

static void check_head(enum http1_side side, const struct http1_head *head)
{
    ASSERT(head->header_count <= limits.headers && head->minor <= 1);
    for (size_t i = 0; i < head->header_count; i++) {
        ASSERT(http1_is_token(head->headers[i].name));
        ASSERT(http1_is_value(head->headers[i].value) && !has_control(head->headers[i].value));
    }
    ASSERT(count_headers(head, "content-length") + count_headers(head, "transfer-encoding") <= 1);
    ASSERT(!(head->is_chunked && head->has_content_length));
    if (side == HTTP1_RESPONSES) {
        ASSERT(head->status >= 100 && head->status <= 999);
        return;
    }
    ASSERT(head->minor == 0 || count_headers(head, "host") == 1);
    ASSERT(head->target.len > 0 && head->target.len <= limits.target_bytes);
    ASSERT(head->target.data[0] == '/' || slice_is(head->target, "*"));
    ASSERT(!has_control(head->target));
    ASSERT(head->has_body == (head->is_chunked || head->content_length > 0));
}

static void tell(struct story *story, enum http1_side side, const struct http1_event *event)
{
    switch (event->type) {
    case HTTP1_EVENT_HEAD:
        check_head(side, event->head);
        buffer_printf(&story->heads, "H%.*s %.*s %u %zu %d;", SLICE_ARG(event->head->method_text),
                      SLICE_ARG(event->head->target), event->head->status,
                      event->head->header_count, event->head->is_kept_alive);
        story->body_start = story->bodies.len;
        break;
    case HTTP1_EVENT_BODY:
        ASSERT(event->body.len > 0);
        buffer_append(&story->bodies, event->body);
        ASSERT(story->bodies.len - story->body_start <= limits.body_bytes);
        break;
    case HTTP1_EVENT_END:
        buffer_append_text(&story->heads, "E;");
        story->body_start = story->bodies.len;
        break;
    case HTTP1_EVENT_NEED_MORE:
        break;
    }
}

static enum err feed(struct http1_parser *parser, enum http1_side side, struct slice input,
                     struct story *story)
{
    struct http1_event event;
    do {
        size_t used;
        enum err err = http1_parse(parser, input, &used, &event, NULL);
        if (err != ERR_OK)
            return err;
        ASSERT(used <= input.len);
        input.data += used;
        input.len -= used;
        tell(story, side, &event);
    } while (event.type != HTTP1_EVENT_NEED_MORE);
    ASSERT(input.len == 0);
    return ERR_OK;
}

static void run(enum http1_side side, enum http1_method reply_to, struct slice input, size_t step,
                struct story *story)
{
    struct http1_parser *parser = NULL;
    ASSERT(http1_parser_create(side, &limits, &parser) == ERR_OK);
    http1_parser_expect(parser, reply_to);
    while (input.len > 0 && story->end == ERR_OK) {
        size_t len = input.len < step ? input.len : step;
        char *piece = malloc(len);
        ASSERT(piece != NULL);
        memcpy(piece, input.data, len);
        story->end = feed(parser, side, slice_make(piece, len), story);
        free(piece);
        input.data += len;
        input.len -= len;
    }
    struct http1_event event;
    if (story->end == ERR_OK)
        story->end = http1_parse_eof(parser, &event, NULL);
    /* A refused body ends where the refusal was seen, which depends on the pieces. */
    if (story->end != ERR_OK && story->end != ERR_CLOSED)
        buffer_truncate(&story->bodies, story->body_start);
    ASSERT(story->end == ERR_OK || http1_parser_status(parser) >= 400);
    http1_parser_destroy(parser);
}

static void story_init(struct story *story)
{
    *story = (struct story){.end = ERR_OK};
    buffer_init(&story->heads, 1u << 24);
    buffer_init(&story->bodies, 1u << 24);
}

static void story_deinit(struct story *story)
{
    buffer_deinit(&story->heads);
    buffer_deinit(&story->bodies);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    uint8_t choice = take_last(&input);
    enum http1_side side = choice & 1 ? HTTP1_RESPONSES : HTTP1_REQUESTS;
    enum http1_method reply_to = choice & 2 ? HTTP1_HEAD : HTTP1_GET;
    size_t step = 1 + (choice >> 2);
    struct story whole;
    struct story pieces;
    story_init(&whole);
    story_init(&pieces);
    run(side, reply_to, input, SIZE_MAX, &whole);
    run(side, reply_to, input, step, &pieces);
    /* Refused either way; which rule is met first may depend on the pieces. */
    bool is_refused = whole.end != ERR_OK && whole.end != ERR_CLOSED;
    ASSERT(whole.end == pieces.end ||
           (is_refused && pieces.end != ERR_OK && pieces.end != ERR_CLOSED));
    ASSERT(slice_is_equal(buffer_slice(&whole.heads), buffer_slice(&pieces.heads)));
    ASSERT(slice_is_equal(buffer_slice(&whole.bodies), buffer_slice(&pieces.bodies)));
    story_deinit(&whole);
    story_deinit(&pieces);
    return 0;
}
