#include "model/change.h"

#include <string.h>

#include "base/assert.h"
#include "base/digest.h"

_Static_assert(HASH_BYTES == (int)DIGEST_LEN, "an audit hash is a SHA-256");

/* Canonical bytes: the tag, then each field in the order of the struct; numbers as 8 bytes
 * little-endian, texts as their length (8 bytes little-endian) and bytes, the previous hash as it
 * is. The tag keeps a hash of this kind from ever being one of another. docs/formats/audit.md says
 * the same. */
static const char TAG[16] = "lingqu-audit-1\n";

enum { ON_STACK_MAX = 2048 };

struct encoder {
    uint8_t *at; /* into a buffer known to be large enough, or NULL: straight into the stream */
    struct digest_stream *stream;
};

static void put(struct encoder *encoder, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    if (encoder->at == NULL) {
        digest_stream_update(encoder->stream, slice_make(bytes, len));
        return;
    }
    memcpy(encoder->at, bytes, len);
    encoder->at += len;
}

static void put_u64(struct encoder *encoder, uint64_t value)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    put(encoder, bytes, sizeof(bytes));
}

static void put_text(struct encoder *encoder, struct slice text)
{
    put_u64(encoder, text.len);
    put(encoder, text.data, text.len);
}

static void put_record(struct encoder *encoder, const struct audit_record *record)
{
    put(encoder, TAG, sizeof(TAG));
    put_u64(encoder, record->seq);
    put_u64(encoder, (uint64_t)record->at.us);
    put_text(encoder, record->actor);
    put_text(encoder, record->tenant);
    put_text(encoder, record->action);
    put_text(encoder, record->subject);
    put_text(encoder, record->detail);
    put(encoder, record->previous.bytes, HASH_BYTES);
}

void audit_record_hash(const struct audit_record *record, struct hash256 *out)
{
    size_t len = sizeof(TAG) + 7 * 8 + HASH_BYTES + record->actor.len + record->tenant.len +
                 record->action.len + record->subject.len + record->detail.len;
    struct digest digest;

    if (len <= ON_STACK_MAX) {
        uint8_t bytes[ON_STACK_MAX];
        struct encoder encoder = {.at = bytes};
        put_record(&encoder, record);
        ASSERT((size_t)(encoder.at - bytes) == len);
        digest = digest_of(slice_make(bytes, len));
    } else {
        struct digest_stream stream = {0};
        struct encoder encoder = {.stream = &stream};
        enum err err = digest_stream_init(&stream);
        ASSERT(err == ERR_OK); /* as in digest_of: no memory for a context ends the program */
        put_record(&encoder, record);
        digest = digest_stream_finish(&stream);
        digest_stream_deinit(&stream);
    }
    memcpy(out->bytes, digest.bytes, HASH_BYTES);
}
