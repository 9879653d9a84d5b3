#include "http/problem.h"

#include "wire/http1.h"

static const char *problem_title(int status)
{
    const char *reason = http1_reason((unsigned)status);
    return reason[0] != '\0' ? reason : "Error";
}

static void write_text(struct buffer *out, const char *text)
{
    struct slice rest = slice_of(text);
    bool is_utf8 = slice_is_utf8(rest);
    buffer_append_char(out, '"');
    for (size_t i = 0; i < rest.len; i++) {
        unsigned char c = (unsigned char)rest.data[i];
        if (c == '"' || c == '\\')
            buffer_printf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buffer_printf(out, "\\u%04x", c);
        else
            buffer_append_char(out, c > 0x7f && !is_utf8 ? '?' : (char)c);
    }
    buffer_append_char(out, '"');
}

void http_problem_write(struct buffer *out, int status, const char *code, const char *detail)
{
    buffer_append_text(out, "{\"type\":\"about:blank\",\"title\":");
    write_text(out, problem_title(status));
    buffer_printf(out, ",\"status\":%d,\"code\":", status);
    write_text(out, code);
    if (detail != NULL) {
        buffer_append_text(out, ",\"detail\":");
        write_text(out, detail);
    }
    buffer_append_char(out, '}');
}

int http_problem_status(enum err code)
{
    switch (code) {
    case ERR_OK:
        return 200;
    case ERR_INVALID:
        return 400;
    case ERR_NOT_FOUND:
        return 404;
    case ERR_EXISTS:
        return 409;
    case ERR_STALE:
        return 412;
    case ERR_LIMIT:
        return 413;
    case ERR_DENIED:
        return 403;
    case ERR_UNSUPPORTED:
        return 501;
    case ERR_TIMEOUT:
        return 504;
    case ERR_FULL:
        return 507;
    case ERR_BUSY:
    case ERR_CLOSED:
    case ERR_CANCELLED:
        return 503;
    default:
        return 500;
    }
}
