#include "base/assert.h"
#include "wire/http1.h"

const struct slice HTTP1_CHUNK_END = {"\r\n", 2};
const struct slice HTTP1_BODY_END = {"0\r\n\r\n", 5};

static bool is_target(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= 0x20 || c >= 0x7F)
            return false;
    }
    return text.len > 0;
}

enum err http1_write_request_line(struct buffer *out, struct slice method, struct slice target)
{
    if (!http1_is_token(method) || !is_target(target))
        return ERR_INVALID;
    buffer_append(out, method);
    buffer_append_char(out, ' ');
    buffer_append(out, target);
    buffer_append_text(out, " HTTP/1.1\r\n");
    return ERR_OK;
}

void http1_write_status_line(struct buffer *out, unsigned status)
{
    ASSERT(status >= 100 && status <= 999);
    buffer_append_text(out, "HTTP/1.1 ");
    buffer_append_u64(out, status);
    buffer_append_char(out, ' ');
    buffer_append_text(out, http1_reason(status));
    buffer_append_text(out, "\r\n");
}

enum err http1_write_header(struct buffer *out, struct slice name, struct slice value)
{
    if (!http1_is_token(name) || !http1_is_value(value))
        return ERR_INVALID;
    buffer_append(out, name);
    buffer_append_text(out, ": ");
    buffer_append(out, value);
    buffer_append_text(out, "\r\n");
    return ERR_OK;
}

enum err http1_write_header_text(struct buffer *out, const char *name, const char *value)
{
    return http1_write_header(out, slice_of(name), slice_of(value));
}

void http1_write_header_u64(struct buffer *out, const char *name, uint64_t value)
{
    ASSERT(http1_is_token(slice_of(name)));
    buffer_append_text(out, name);
    buffer_append_text(out, ": ");
    buffer_append_u64(out, value);
    buffer_append_text(out, "\r\n");
}

void http1_write_head_end(struct buffer *out)
{
    buffer_append_text(out, "\r\n");
}

size_t http1_chunk_line(size_t len, char out[HTTP1_CHUNK_LINE_MAX])
{
    ASSERT(len > 0); /* a chunk of nothing would end the body */
    static const char digits[] = "0123456789abcdef";
    unsigned shift = 60;
    while ((len >> shift & 15) == 0)
        shift -= 4;
    size_t at = 0;
    for (;; shift -= 4) {
        out[at++] = digits[len >> shift & 15];
        if (shift == 0)
            break;
    }
    out[at++] = '\r';
    out[at++] = '\n';
    return at;
}

void http1_write_chunk(struct buffer *out, struct slice bytes)
{
    if (bytes.len == 0)
        return;
    char line[HTTP1_CHUNK_LINE_MAX];
    buffer_append_bytes(out, line, http1_chunk_line(bytes.len, line));
    buffer_append(out, bytes);
    buffer_append(out, HTTP1_CHUNK_END);
}

const char *http1_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {
        {100, "Continue"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {425, "Too Early"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "";
}
