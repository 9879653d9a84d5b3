/* Our own reading of heads. It is stricter than llhttp, which gets the same bytes afterwards: what
 * one of the two refuses is refused. */
#include <string.h>

#include "wire/http1_private.h"

enum { METHOD_LEN_MAX = 32, PORT_DIGITS_MAX = 5, PORT_MAX = 65535 };

static const struct http1_refusal accepted = {ERR_OK, 0, NULL};

static struct http1_refusal refuse(unsigned status, const char *message)
{
    return (struct http1_refusal){ERR_INVALID, status, message};
}

static struct http1_refusal refuse_limit(unsigned status, const char *message)
{
    return (struct http1_refusal){ERR_LIMIT, status, message};
}

/* Takes a line off the front, without its CR LF. */
static struct slice take_line(struct slice *bytes)
{
    const char *end = memchr(bytes->data, '\r', bytes->len);
    struct slice line = slice_make(bytes->data, (size_t)(end - bytes->data));
    bytes->data += line.len + 2;
    bytes->len -= line.len + 2;
    return line;
}

/* ---- start lines ---- */

static struct http1_refusal read_version(struct slice text, struct http1_head *head)
{
    if (slice_is(text, "HTTP/1.1") || slice_is(text, "HTTP/1.0")) {
        head->minor = (uint8_t)(text.data[text.len - 1] - '0');
        return accepted;
    }
    if (slice_has_prefix(text, SLICE_LITERAL("HTTP/")))
        return refuse(505, "the version must be HTTP/1.1 or HTTP/1.0");
    return refuse(400, "the start line must name the version HTTP/1.1");
}

static enum http1_method method_of(struct slice text)
{
    for (unsigned i = 0; i < HTTP1_METHOD_OTHER; i++) {
        if (slice_is(text, http1_method_name((enum http1_method)i)))
            return (enum http1_method)i;
    }
    return HTTP1_METHOD_OTHER;
}

static bool is_target_text(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= 0x20 || c >= 0x7F || strchr("\"#<>\\^`{|}", c) != NULL)
            return false;
    }
    return true;
}

/* A name or address, then perhaps a port: RFC 3986 section 3.2.2, without user names. */
static bool is_authority(struct slice text)
{
    size_t at = 0;
    bool is_bracketed = text.len > 0 && text.data[0] == '[';
    const char *allowed = is_bracketed ? "abcdefABCDEF0123456789:." : NULL;
    at += is_bracketed ? 1 : 0;
    for (; at < text.len && text.data[at] != (is_bracketed ? ']' : ':'); at++) {
        char c = text.data[at];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool is_good = allowed != NULL ? c != '\0' && strchr(allowed, c) != NULL
                                       : is_letter || (c >= '0' && c <= '9') ||
                                             (c != '\0' && strchr("-._~", c) != NULL);
        if (!is_good)
            return false;
    }
    if (at == (is_bracketed ? 1u : 0u))
        return false;
    if (is_bracketed && at++ == text.len)
        return false;
    if (at == text.len)
        return true;
    struct slice port = slice_make(text.data + at + 1, text.len - at - 1);
    uint64_t number;
    return text.data[at] == ':' && port.len <= PORT_DIGITS_MAX &&
           slice_parse_u64(port, &number) == ERR_OK && number <= PORT_MAX;
}

/* "http://host/path" becomes "/path"; the authority is kept to be compared with Host. */
static struct http1_refusal read_absolute(struct slice text, struct http1_head *head)
{
    struct slice rest = text;
    if (slice_has_prefix(text, SLICE_LITERAL("https://")))
        rest = slice_make(text.data + 8, text.len - 8);
    else
        rest = slice_make(text.data + 7, text.len - 7);
    const char *slash = rest.len == 0 ? NULL : memchr(rest.data, '/', rest.len);
    size_t authority_len = slash == NULL ? rest.len : (size_t)(slash - rest.data);
    head->host = slice_make(rest.data, authority_len);
    if (!is_authority(head->host))
        return refuse(400, "the host in the target is not a host");
    head->target = slash == NULL ? SLICE_LITERAL("/") : slice_make(slash, rest.len - authority_len);
    return accepted;
}

static struct http1_refusal read_target(struct slice text, const struct http1_limits *limits,
                                        struct http1_head *head)
{
    if (text.len > limits->target_bytes)
        return refuse_limit(414, "the target is too long");
    if (!is_target_text(text))
        return refuse(400, "the target holds characters that must be percent-encoded");
    head->target = text;
    if (slice_has_prefix(text, SLICE_LITERAL("/")))
        return accepted;
    if (slice_is(text, "*") && head->method == HTTP1_OPTIONS)
        return accepted;
    if (slice_has_prefix(text, SLICE_LITERAL("http://")) ||
        slice_has_prefix(text, SLICE_LITERAL("https://")))
        return read_absolute(text, head);
    return refuse(400, "the target must start with a slash");
}

static struct http1_refusal read_request_line(struct slice line, const struct http1_limits *limits,
                                              struct http1_head *head)
{
    struct slice method;
    struct slice target;
    struct slice version;
    if (!slice_cut(line, ' ', &method, &line) || !slice_cut(line, ' ', &target, &version))
        return refuse(400, "the request line must be: method, target, version");
    if (!http1_is_token(method))
        return refuse(400, "the method is not a name");
    if (method.len > METHOD_LEN_MAX || slice_is(method, "CONNECT"))
        return refuse(501, "the method is not supported");
    head->method_text = method;
    head->method = method_of(method);
    struct http1_refusal refusal = read_version(version, head);
    if (refusal.err != ERR_OK)
        return refusal;
    return read_target(target, limits, head);
}

static struct http1_refusal read_status_line(struct slice line, struct http1_head *head)
{
    struct slice version;
    uint64_t status;
    if (!slice_cut(line, ' ', &version, &line))
        return refuse(400, "the status line must be: version, status, reason");
    struct http1_refusal refusal = read_version(version, head);
    if (refusal.err != ERR_OK)
        return refusal;
    struct slice digits = line;
    struct slice reason = {"", 0};
    slice_cut(line, ' ', &digits, &reason); /* servers may leave the blank and the reason out */
    if (digits.len != 3 || slice_parse_u64(digits, &status) != ERR_OK || status < 100)
        return refuse(400, "the status must have three digits");
    if (status == 101)
        return refuse(400, "the other side switches to a protocol that nobody asked for");
    head->status = (uint16_t)status;
    head->reason = reason;
    return accepted;
}

/* ---- headers ---- */

static struct http1_refusal read_header(struct slice line, const struct http1_limits *limits,
                                        struct vector *headers)
{
    struct http1_header header;
    if (line.data[0] == ' ' || line.data[0] == '\t')
        return refuse(400, "a header goes on over two lines; that form is obsolete");
    if (!slice_cut(line, ':', &header.name, &header.value))
        return refuse(400, "a header has no colon");
    if (!http1_is_token(header.name))
        return refuse(400, "a header's name is empty or holds characters that names may not");
    header.value = slice_trim(header.value);
    if (header.name.len > limits->name_bytes)
        return refuse_limit(431, "a header's name is too long");
    if (header.value.len > limits->value_bytes)
        return refuse_limit(431, "a header's value is too long");
    if (!http1_is_value(header.value))
        return refuse(400, "a header's value holds control characters");
    if (headers->len >= limits->headers)
        return refuse_limit(431, "there are too many headers");
    if (vector_push(headers, &header) != ERR_OK)
        return (struct http1_refusal){ERR_NO_MEMORY, 503, "out of memory"};
    return accepted;
}

/* The only header of that name; a second one is refused, for with two of them two readers may take
 * different ones. */
static struct http1_refusal single_header(const struct http1_head *head, const char *name,
                                          const char *message, const struct http1_header **out)
{
    *out = NULL;
    for (size_t i = 0; i < head->header_count; i++) {
        if (!http1_is_name_equal(head->headers[i].name, name))
            continue;
        if (*out != NULL)
            return refuse(400, message);
        *out = &head->headers[i];
    }
    return accepted;
}

static bool is_same_host(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        /* Both are made of letters, digits and "-._~:[]" alone: this bit is the case of a letter.
         */
        if ((a.data[i] | 0x20) != (b.data[i] | 0x20))
            return false;
    }
    return true;
}

static struct http1_refusal read_host(struct http1_head *head)
{
    const struct http1_header *host;
    struct http1_refusal refusal = single_header(head, "Host", "there are two Host headers", &host);
    if (refusal.err != ERR_OK)
        return refusal;
    if (host == NULL && head->minor == 1)
        return refuse(400, "there is no Host header");
    if (host == NULL)
        return accepted;
    if (!is_authority(host->value))
        return refuse(400, "the Host header is not a host");
    if (head->host.len > 0 && !is_same_host(head->host, host->value))
        return refuse(400, "the Host header is not the host of the target");
    head->host = host->value;
    return accepted;
}

static struct http1_refusal read_framing(struct http1_head *head)
{
    const struct http1_header *length;
    const struct http1_header *coding;
    struct http1_refusal refusal =
        single_header(head, "Content-Length", "there are two Content-Length headers", &length);
    if (refusal.err == ERR_OK)
        refusal = single_header(head, "Transfer-Encoding",
                                "there are two Transfer-Encoding headers", &coding);
    if (refusal.err != ERR_OK)
        return refusal;
    if (length != NULL && coding != NULL)
        return refuse(400, "Content-Length and Transfer-Encoding stand side by side");
    if (length != NULL && slice_parse_u64(length->value, &head->content_length) != ERR_OK)
        return refuse(400, "the Content-Length is not a number");
    head->has_content_length = length != NULL;
    if (coding == NULL)
        return accepted;
    if (!http1_is_name_equal(coding->value, "chunked"))
        return refuse(501, "the Transfer-Encoding must be chunked");
    if (head->minor == 0)
        return refuse(400, "HTTP/1.0 has no Transfer-Encoding");
    head->is_chunked = true;
    return accepted;
}

static struct http1_refusal read_connection(struct http1_head *head)
{
    const struct http1_header *expect;
    bool is_closing = http1_head_has_token(head, "Connection", "close");
    bool is_kept = http1_head_has_token(head, "Connection", "keep-alive");
    head->is_kept_alive = !is_closing && (head->minor == 1 || is_kept);
    struct http1_refusal refusal =
        single_header(head, "Expect", "there are two Expect headers", &expect);
    if (refusal.err != ERR_OK || expect == NULL)
        return refusal;
    if (!http1_is_name_equal(expect->value, "100-continue"))
        return refuse(417, "the expectation must be 100-continue");
    head->expects_continue = head->minor == 1;
    return accepted;
}

struct http1_refusal http1_head_read(struct slice bytes, enum http1_side side,
                                     const struct http1_limits *limits, struct vector *headers,
                                     struct http1_head *out_head)
{
    struct http1_head head = {0};
    struct slice line = take_line(&bytes);
    struct http1_refusal refusal = side == HTTP1_REQUESTS ? read_request_line(line, limits, &head)
                                                          : read_status_line(line, &head);
    while (refusal.err == ERR_OK && (line = take_line(&bytes)).len > 0)
        refusal = read_header(line, limits, headers);
    head.headers = headers->data;
    head.header_count = headers->len;
    if (refusal.err == ERR_OK && side == HTTP1_REQUESTS)
        refusal = read_host(&head);
    if (refusal.err == ERR_OK)
        refusal = read_framing(&head);
    if (refusal.err == ERR_OK)
        refusal = read_connection(&head);
    if (refusal.err == ERR_OK)
        *out_head = head;
    return refusal;
}
