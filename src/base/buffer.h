/* A growable run of bytes with a limit; the one way to build output text.
 *
 * Failure is sticky: after the first append that would pass the limit (ERR_LIMIT) or finds no
 * memory (ERR_NO_MEMORY) the buffer ignores every further append, so its content never has a hole.
 * Append freely, then look at buffer_status once. The buffer owns its bytes. Not thread-safe. */
#ifndef LQ_BASE_BUFFER_H
#define LQ_BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct buffer {
    char *data; /* NULL while nothing was ever appended; always followed by a spare byte */
    size_t len;
    size_t cap;
    size_t limit_bytes; /* len never passes it */
    enum err error;     /* sticky; ERR_OK, ERR_LIMIT or ERR_NO_MEMORY */
};

void buffer_init(struct buffer *buffer, size_t limit_bytes);
void buffer_deinit(struct buffer *buffer); /* accepts a zeroed buffer */
/* Forgets content and error, keeps the memory for reuse. */
void buffer_reset(struct buffer *buffer);
/* Cuts back to `len` bytes (at most the present length) and keeps the error. */
void buffer_truncate(struct buffer *buffer, size_t len);
/* Removes the first `len` bytes (at most the present length) and moves the rest to the front. */
void buffer_drop_front(struct buffer *buffer, size_t len);

void buffer_append(struct buffer *buffer, struct slice bytes);
void buffer_append_bytes(struct buffer *buffer, const void *data, size_t len);
void buffer_append_text(struct buffer *buffer, const char *text); /* without its NUL */
void buffer_append_char(struct buffer *buffer, char c);
void buffer_append_u64(struct buffer *buffer, uint64_t value); /* decimal */
void buffer_append_i64(struct buffer *buffer, int64_t value);
void buffer_append_hex(struct buffer *buffer,
                       struct slice bytes); /* two lower-case digits a byte */
void buffer_printf(struct buffer *buffer, const char *format, ...) LQ_PRINTF(2, 3);
/* Room for `len` more bytes, to be filled by the caller and then counted in with buffer_commit.
 * NULL on failure (sticky). The pointer dies with the next call on the buffer. */
char *buffer_reserve(struct buffer *buffer, size_t len);
void buffer_commit(struct buffer *buffer, size_t len); /* at most what was reserved */

/* ERR_OK, ERR_LIMIT or ERR_NO_MEMORY: whether all appends since init or reset took effect. */
enum err buffer_status(const struct buffer *buffer) LQ_CHECKED;
/* The content; lives until the next call that changes the buffer. */
struct slice buffer_slice(const struct buffer *buffer);
/* The content as a NUL-terminated text, "" when empty; same life as buffer_slice. NULL on no
 * memory. */
const char *buffer_text(struct buffer *buffer);
/* Hands the bytes over: the caller frees `*out_data` (may be NULL when empty) with free(). The
 * buffer is empty afterwards. Fails with the sticky error and leaves all as it was. */
enum err buffer_take(struct buffer *buffer, char **out_data, size_t *out_len) LQ_CHECKED;

#endif
