#include "base/hash.h"

#include <string.h>

/* Words are put together from bytes, so that the result is the same on every host. */
static uint64_t load_u64(const unsigned char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static uint64_t load_tail(const unsigned char *p, size_t len)
{
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)p[i] << (8 * i);
    return word;
}

/* The 128-bit product folded in half: every input bit reaches every output bit. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Odd constants with half their bits set; the fractional parts of square roots of primes. */
static const uint64_t key_a = 0x6A09E667F3BCC909u;
static const uint64_t key_b = 0xBB67AE8584CAA73Bu;
static const uint64_t key_c = 0x3C6EF372FE94F82Bu;

uint64_t hash_mix(uint64_t a, uint64_t b)
{
    return fold(a ^ key_a, b ^ key_b) ^ fold(b ^ key_c, a + key_b);
}

uint64_t hash_u64(uint64_t value, uint64_t seed)
{
    return hash_mix(value, seed ^ key_c);
}

uint64_t hash_bytes(struct slice bytes, uint64_t seed)
{
    const unsigned char *p = (const unsigned char *)bytes.data;
    size_t left = bytes.len;
    uint64_t state = hash_mix(seed, bytes.len);
    while (left >= 16) {
        state = hash_mix(state ^ load_u64(p), load_u64(p + 8));
        p += 16;
        left -= 16;
    }
    uint64_t first = 0;
    if (left >= 8) {
        first = load_u64(p);
        p += 8;
        left -= 8;
    }
    return hash_mix(state ^ first, load_tail(p, left) ^ key_c);
}

/* Bitwise reflected polynomial of iSCSI (RFC 3720), four bits a step: small, and fast enough for
 * headers and journal pages. */
uint32_t hash_crc32c(uint32_t crc, struct slice bytes)
{
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    crc = ~crc;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (unsigned char)bytes.data[i];
        crc = table[crc & 15] ^ (crc >> 4);
        crc = table[crc & 15] ^ (crc >> 4);
    }
    return ~crc;
}
