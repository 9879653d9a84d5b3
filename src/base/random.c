#include "base/random.h"

#include <string.h>

#include "base/assert.h"

/* splitmix64 (Steele, Lea, Flood 2014): fills the state so that no seed gives a poor start. */
static uint64_t splitmix_next(uint64_t *state)
{
    *state += 0x9E3779B97F4A7C15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void random_init(struct random *random, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++)
        random->state[i] = splitmix_next(&seed);
}

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return (value << bits) | (value >> (64 - bits));
}

/* xoshiro256** 1.0 (Blackman and Vigna 2018). */
uint64_t random_u64(struct random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t carried = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= carried;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* Lemire's multiply-and-reject: unbiased, a division only when it is nearly biased. */
uint64_t random_below(struct random *random, uint64_t bound)
{
    ASSERT(bound > 0);
    unsigned __int128 product = (unsigned __int128)random_u64(random) * bound;
    uint64_t low = (uint64_t)product;
    if (low < bound) {
        uint64_t threshold = (0 - bound) % bound;
        while (low < threshold) {
            product = (unsigned __int128)random_u64(random) * bound;
            low = (uint64_t)product;
        }
    }
    return (uint64_t)(product >> 64);
}

int64_t random_between(struct random *random, int64_t low, int64_t high)
{
    ASSERT(low <= high);
    uint64_t span = (uint64_t)high - (uint64_t)low;
    uint64_t offset = span == UINT64_MAX ? random_u64(random) : random_below(random, span + 1);
    return (int64_t)((uint64_t)low + offset);
}

bool random_chance(struct random *random, uint32_t per_million)
{
    return random_below(random, 1000000) < per_million;
}

void random_fill(struct random *random, void *out, size_t len)
{
    unsigned char *place = out;
    while (len > 0) {
        uint64_t word = random_u64(random);
        size_t part = len < 8 ? len : 8;
        /* Byte by byte, lowest first, so that every host writes the same. */
        for (size_t i = 0; i < part; i++)
            place[i] = (unsigned char)(word >> (8 * i));
        place += part;
        len -= part;
    }
}
