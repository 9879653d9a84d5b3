#include "base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

static const char *const err_names[ERR_COUNT_] = {
    [ERR_OK] = "ok",
    [ERR_INVALID] = "invalid",
    [ERR_NOT_FOUND] = "not_found",
    [ERR_EXISTS] = "exists",
    [ERR_STALE] = "stale",
    [ERR_LIMIT] = "limit",
    [ERR_NO_MEMORY] = "no_memory",
    [ERR_IO] = "io",
    [ERR_FULL] = "full",
    [ERR_CLOSED] = "closed",
    [ERR_TIMEOUT] = "timeout",
    [ERR_DENIED] = "denied",
    [ERR_UNSUPPORTED] = "unsupported",
    [ERR_CORRUPT] = "corrupt",
    [ERR_BUSY] = "busy",
    [ERR_CANCELLED] = "cancelled",
};

const char *err_name(enum err code)
{
    if ((unsigned)code >= ERR_COUNT_)
        return "unknown";
    return err_names[code];
}

/* A text that filled its room may end inside a character; take the torn character off. */
static void cut_at_character(char *text, size_t len)
{
    size_t start = len;
    while (start > 0 && len - start < 4 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t want = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    size_t have = len - start + 1;
    if (want > have)
        text[start - 1] = '\0';
}

static void copy_cut(char *out, size_t cap, const char *text)
{
    size_t len = strlen(text);
    bool is_cut = len >= cap;
    if (is_cut)
        len = cap - 1;
    memmove(out, text, len);
    out[len] = '\0';
    if (is_cut)
        cut_at_character(out, len);
}

enum err fault_set(struct fault *fault, enum err code, const char *field, const char *format, ...)
{
    ASSERT(code != ERR_OK);
    if (fault == NULL)
        return code;
    fault->code = code;
    fault->line = 0;
    fault->column = 0;
    copy_cut(fault->field, sizeof(fault->field), field == NULL ? "" : field);
    va_list args;
    va_start(args, format);
    int len = vsnprintf(fault->message, sizeof(fault->message), format, args);
    va_end(args);
    if (len < 0)
        fault->message[0] = '\0';
    else if ((size_t)len >= sizeof(fault->message))
        cut_at_character(fault->message, sizeof(fault->message) - 1);
    return code;
}

void fault_prefix(struct fault *fault, const char *prefix)
{
    if (fault == NULL || prefix[0] == '\0')
        return;
    char joined[2 * FAULT_FIELD_MAX + 2];
    /* An index follows its array without a dot: "tasks" and "[2].run". */
    const char *dot = fault->field[0] == '\0' || fault->field[0] == '[' ? "" : ".";
    snprintf(joined, sizeof(joined), "%.*s%s%s", FAULT_FIELD_MAX, prefix, dot, fault->field);
    copy_cut(fault->field, sizeof(fault->field), joined);
}
