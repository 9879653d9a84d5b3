#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum { BUFFER_CAP_MIN = 64 };

void buffer_init(struct buffer *buffer, size_t limit_bytes)
{
    ASSERT(limit_bytes < SIZE_MAX);
    *buffer = (struct buffer){.limit_bytes = limit_bytes};
}

void buffer_deinit(struct buffer *buffer)
{
    if (buffer == NULL)
        return;
    free(buffer->data);
    *buffer = (struct buffer){0};
}

void buffer_reset(struct buffer *buffer)
{
    buffer->len = 0;
    buffer->error = ERR_OK;
}

void buffer_truncate(struct buffer *buffer, size_t len)
{
    ASSERT(len <= buffer->len);
    buffer->len = len;
}

void buffer_drop_front(struct buffer *buffer, size_t len)
{
    ASSERT(len <= buffer->len);
    if (len == 0)
        return;
    buffer->len -= len;
    memmove(buffer->data, buffer->data + len, buffer->len);
}

/* Room for `need` bytes and a spare one for a NUL. Doubles, but not past the limit. */
static enum err grow(struct buffer *buffer, size_t need)
{
    size_t cap = buffer->cap < BUFFER_CAP_MIN ? BUFFER_CAP_MIN : buffer->cap;
    while (cap <= need)
        cap = cap > SIZE_MAX / 2 ? need + 1 : cap * 2;
    if (cap > buffer->limit_bytes)
        cap = buffer->limit_bytes + 1;
    char *data = realloc(buffer->data, cap);
    if (data == NULL)
        return ERR_NO_MEMORY;
    buffer->data = data;
    buffer->cap = cap;
    return ERR_OK;
}

char *buffer_reserve(struct buffer *buffer, size_t len)
{
    if (buffer->error != ERR_OK)
        return NULL;
    if (len > buffer->limit_bytes - buffer->len) {
        buffer->error = ERR_LIMIT;
        return NULL;
    }
    size_t need = buffer->len + len;
    if (need >= buffer->cap)
        buffer->error = grow(buffer, need);
    return buffer->error == ERR_OK ? buffer->data + buffer->len : NULL;
}

void buffer_commit(struct buffer *buffer, size_t len)
{
    ASSERT(len <= buffer->cap - buffer->len);
    buffer->len += len;
}

void buffer_append_bytes(struct buffer *buffer, const void *data, size_t len)
{
    if (len == 0)
        return;
    char *place = buffer_reserve(buffer, len);
    if (place == NULL)
        return;
    memcpy(place, data, len);
    buffer->len += len;
}

void buffer_append(struct buffer *buffer, struct slice bytes)
{
    buffer_append_bytes(buffer, bytes.data, bytes.len);
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append_bytes(buffer, text, strlen(text));
}

void buffer_append_char(struct buffer *buffer, char c)
{
    char *place = buffer_reserve(buffer, 1);
    if (place == NULL)
        return;
    *place = c;
    buffer->len++;
}

void buffer_append_u64(struct buffer *buffer, uint64_t value)
{
    char digits[20];
    size_t start = sizeof(digits);
    do {
        digits[--start] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    buffer_append_bytes(buffer, digits + start, sizeof(digits) - start);
}

void buffer_append_i64(struct buffer *buffer, int64_t value)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%lld", (long long)value);
    buffer_append_bytes(buffer, text, (size_t)len);
}

void buffer_append_hex(struct buffer *buffer, struct slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    if (bytes.len > SIZE_MAX / 2) {
        buffer->error = buffer->error == ERR_OK ? ERR_LIMIT : buffer->error;
        return;
    }
    char *place = buffer_reserve(buffer, bytes.len * 2);
    if (place == NULL)
        return;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.data[i];
        place[2 * i] = digits[byte >> 4];
        place[2 * i + 1] = digits[byte & 15];
    }
    buffer->len += bytes.len * 2;
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(len >= 0);
    char *place = buffer_reserve(buffer, (size_t)len);
    if (place != NULL) {
        vsnprintf(place, (size_t)len + 1, format, again); /* the spare byte takes the NUL */
        buffer->len += (size_t)len;
    }
    va_end(again);
}

enum err buffer_status(const struct buffer *buffer)
{
    return buffer->error;
}

struct slice buffer_slice(const struct buffer *buffer)
{
    return (struct slice){buffer->data, buffer->len};
}

const char *buffer_text(struct buffer *buffer)
{
    if (buffer->data == NULL)
        return "";
    buffer->data[buffer->len] = '\0';
    return buffer->data;
}

enum err buffer_take(struct buffer *buffer, char **out_data, size_t *out_len)
{
    if (buffer->error != ERR_OK)
        return buffer->error;
    *out_data = buffer->data;
    *out_len = buffer->len;
    *buffer = (struct buffer){.limit_bytes = buffer->limit_bytes};
    return ERR_OK;
}
