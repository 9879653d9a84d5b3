/* Fast hashes that are no protection against a clever enemy who knows the seed, and a checksum.
 * Results are the same on every host and may be stored. */
#ifndef LQ_BASE_HASH_H
#define LQ_BASE_HASH_H

#include <stdint.h>

#include "base/slice.h"

/* 64 bits from bytes by multiply-and-fold over 8-byte words; passes avalanche tests. */
uint64_t hash_bytes(struct slice bytes, uint64_t seed);
uint64_t hash_u64(uint64_t value, uint64_t seed);
/* Joins two hashes; order matters. */
uint64_t hash_mix(uint64_t a, uint64_t b);
/* CRC-32C (Castagnoli). Start with crc = 0; feed the result back to go on. */
uint32_t hash_crc32c(uint32_t crc, struct slice bytes);

#endif
