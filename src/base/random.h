/* A seeded generator (xoshiro256** filled by splitmix64; Blackman and Vigna). Same seed, same
 * numbers, on every host and compiler. Not for secrets: those come from `port` entropy. Not
 * thread-safe. */
#ifndef LQ_BASE_RANDOM_H
#define LQ_BASE_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state[4];
};

void random_init(struct random *random, uint64_t seed);
uint64_t random_u64(struct random *random);
uint64_t random_below(struct random *random,
                      uint64_t bound); /* 0 <= r < bound; bound > 0; unbiased */
int64_t random_between(struct random *random, int64_t low, int64_t high); /* both included */
bool random_chance(struct random *random, uint32_t per_million);
void random_fill(struct random *random, void *out, size_t len);

#endif
