#include "crc64.h"

#include <string.h>

void lm_crc64_init(struct lm_crc64 *crc)
{
    const uint64_t polynomial = UINT64_C(0xc96c5795d7870f42);

    for (unsigned i = 0; i < 256; i++) {
        uint64_t r = i;
        for (int bit = 0; bit < 8; bit++) {
            r = (r & 1) != 0 ? (r >> 1) ^ polynomial : r >> 1;
        }
        crc->table[0][i] = r;
    }
    for (unsigned t = 1; t < 8; t++) {
        for (unsigned i = 0; i < 256; i++) {
            uint64_t r = crc->table[t - 1][i];
            crc->table[t][i] = (r >> 8) ^ crc->table[0][r & 0xff];
        }
    }
    crc->state = ~UINT64_C(0);
}

static uint64_t load_le64(const unsigned char *p)
{
    uint64_t v = 0;

    for (int i = 7; i >= 0; i--) {
        v = v << 8 | p[i];
    }
    return v;
}

void lm_crc64_add(struct lm_crc64 *crc, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    uint64_t r = crc->state;

    for (; len >= 8; len -= 8, p += 8) {
        uint64_t w = r ^ load_le64(p);
        r = 0;
        for (unsigned i = 0; i < 8; i++) {
            r ^= crc->table[7 - i][(w >> (8 * i)) & 0xff];
        }
    }
    for (; len > 0; len--, p++) {
        r = (r >> 8) ^ crc->table[0][(r ^ *p) & 0xff];
    }
    crc->state = r;
}

uint64_t lm_crc64_value(const struct lm_crc64 *crc)
{
    return ~crc->state;
}
