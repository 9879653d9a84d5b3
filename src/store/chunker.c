#include "store/chunker.h"

/* The masks look at the highest bits: those depend on the last 64 bytes. Two bits more than the
 * average asks for before it, two fewer after it, so that most chunks come out near the average. */
#define MASK_BEFORE (~UINT64_C(0) << (64 - 22))
#define MASK_AFTER (~UINT64_C(0) << (64 - 18))
_Static_assert(CHUNK_BYTES_AVERAGE == 1 << 20, "the masks are made for it");

/* The table is part of the format: splitmix64 from this seed. */
#define GEAR_SEED UINT64_C(0x6c696e6771752031) /* "lingqu 1" */

void chunker_init(struct chunker *chunker)
{
    uint64_t state = GEAR_SEED;
    for (int i = 0; i < 256; i++) {
        state += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = state;
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        chunker->gear[i] = z ^ (z >> 31);
    }
}

size_t chunker_cut(const struct chunker *chunker, struct slice bytes)
{
    if (bytes.len <= CHUNK_BYTES_MIN)
        return bytes.len;
    const uint8_t *data = (const uint8_t *)bytes.data;
    size_t end = bytes.len < CHUNK_BYTES_MAX ? bytes.len : CHUNK_BYTES_MAX;
    size_t middle = end < CHUNK_BYTES_AVERAGE ? end : CHUNK_BYTES_AVERAGE;
    size_t at = CHUNK_BYTES_MIN;
    uint64_t hash = 0;
    for (; at < middle; at++) {
        hash = (hash << 1) + chunker->gear[data[at]];
        if (!(hash & MASK_BEFORE))
            return at + 1;
    }
    for (; at < end; at++) {
        hash = (hash << 1) + chunker->gear[data[at]];
        if (!(hash & MASK_AFTER))
            return at + 1;
    }
    return end;
}
