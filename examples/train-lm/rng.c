#include "rng.h"

#include <math.h>

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t lm_rng_u64(uint64_t seed, enum lm_stream stream, uint64_t counter)
{
    const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t base = mix(seed + golden * (uint64_t)stream);

    return mix(mix(base + golden * (counter + 1)));
}

double lm_rng_unit(uint64_t seed, enum lm_stream stream, uint64_t counter)
{
    return (double)(lm_rng_u64(seed, stream, counter) >> 11) * 0x1.0p-53;
}

double lm_rng_normal(uint64_t seed, enum lm_stream stream, uint64_t counter)
{
    const double two_pi = 6.283185307179586;
    double u = 1.0 - lm_rng_unit(seed, stream, 2 * counter); /* (0, 1]: its logarithm is finite */
    double v = lm_rng_unit(seed, stream, 2 * counter + 1);

    return sqrt(-2.0 * log(u)) * cos(two_pi * v);
}
