/* SHA-256 and HMAC-SHA256 on libcrypto, and comparison in constant time. */
#ifndef LQ_BASE_DIGEST_H
#define LQ_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum { DIGEST_LEN = 32, DIGEST_TEXT_MAX = 65 };

struct digest {
    uint8_t bytes[DIGEST_LEN];
};

/* One shot. Aborts only if libcrypto itself is broken or out of memory. */
struct digest digest_of(struct slice bytes);
struct digest digest_hmac(struct slice key, struct slice bytes);

/* Streaming. After init: any number of updates, then one finish, which leaves it ready for the next
 * stream. deinit accepts a zeroed one. */
struct digest_stream {
    void *context;
};
enum err digest_stream_init(struct digest_stream *stream) LQ_CHECKED; /* ERR_NO_MEMORY */
void digest_stream_deinit(struct digest_stream *stream);
void digest_stream_update(struct digest_stream *stream, struct slice bytes);
struct digest digest_stream_finish(struct digest_stream *stream);

/* Time depends on the lengths only, never on the content. */
bool digest_is_equal(struct digest a, struct digest b);
bool digest_is_same_secret(struct slice a, struct slice b);
/* Order of bytes; for sorting, not for secrets. */
int digest_compare(struct digest a, struct digest b);

void digest_format(struct digest digest, char out[DIGEST_TEXT_MAX]); /* 64 lower-case hex digits */
enum err digest_parse(struct slice text,
                      struct digest *out_digest) LQ_CHECKED; /* exactly that form */

#endif
