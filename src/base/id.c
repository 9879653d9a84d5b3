#include "base/id.h"

#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/random.h"

enum { ID_DIGITS = 26, ID_PREFIX_MAX = 12 };

static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz"; /* no i, l, o, u */

struct id id_make(int64_t wall_ms, struct random *random)
{
    struct id id;
    uint64_t ms = wall_ms < 0 ? 0 : (uint64_t)wall_ms;
    if (ms > 0xFFFFFFFFFFFFu)
        ms = 0xFFFFFFFFFFFFu;
    for (unsigned i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    random_fill(random, id.bytes + 6, 10);
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0F) | 0x70); /* version 7 */
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3F) | 0x80); /* variant of RFC 9562 */
    return id;
}

bool id_is_none(struct id id)
{
    static const struct id none;
    return id_is_equal(id, none);
}

bool id_is_equal(struct id a, struct id b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

int id_compare(struct id a, struct id b)
{
    int order = memcmp(a.bytes, b.bytes, sizeof(a.bytes));
    return (order > 0) - (order < 0);
}

uint64_t id_hash(struct id id)
{
    return hash_bytes(slice_make(id.bytes, sizeof(id.bytes)), 0);
}

/* 128 bits as 26 digits of 5: the first digit holds the top 3 bits. */
static unsigned bits_at(struct id id, unsigned digit)
{
    unsigned value = 0;
    for (unsigned k = 0; k < 5; k++) {
        int bit = (int)(5 * digit + k) - 2; /* two zero bits come before the first byte */
        unsigned one = bit < 0 ? 0 : (id.bytes[bit / 8] >> (7 - bit % 8)) & 1u;
        value = value << 1 | one;
    }
    return value;
}

void id_format(struct id id, const char *prefix, char *out)
{
    size_t prefix_len = strlen(prefix);
    ASSERT(prefix_len <= ID_PREFIX_MAX);
    memcpy(out, prefix, prefix_len);
    out[prefix_len] = '_';
    char *place = out + prefix_len + 1;
    for (unsigned i = 0; i < ID_DIGITS; i++)
        place[i] = digits[bits_at(id, i)];
    place[ID_DIGITS] = '\0';
}

enum err id_parse(struct slice text, const char *prefix, struct id *out_id)
{
    size_t prefix_len = strlen(prefix);
    ASSERT(prefix_len <= ID_PREFIX_MAX);
    if (text.len != prefix_len + 1 + ID_DIGITS || memcmp(text.data, prefix, prefix_len) != 0 ||
        text.data[prefix_len] != '_')
        return ERR_INVALID;
    struct id id = {{0}};
    const char *place = text.data + prefix_len + 1;
    for (unsigned i = 0; i < ID_DIGITS; i++) {
        const char *digit = memchr(digits, place[i], sizeof(digits) - 1);
        if (digit == NULL)
            return ERR_INVALID;
        unsigned value = (unsigned)(digit - digits);
        if (i == 0 && value > 7)
            return ERR_INVALID; /* more than 128 bits */
        for (unsigned k = 0; k < 5; k++) {
            int bit = (int)(5 * i + k) - 2;
            if (bit >= 0 && (value >> (4 - k) & 1u) != 0)
                id.bytes[bit / 8] |= (uint8_t)(1u << (7 - bit % 8));
        }
    }
    *out_id = id;
    return ERR_OK;
}
