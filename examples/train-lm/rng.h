/* Counter-based randomness: a value is a pure function of (seed, stream, counter).
 *
 * Nothing is carried from one draw to the next, so a run that resumes at step N draws exactly what
 * the uninterrupted run drew at step N. Mixing is SplitMix64's finaliser (Steele et al., 2014). */
#ifndef LM_RNG_H
#define LM_RNG_H

#include <stdint.h>

enum lm_stream { LM_STREAM_INIT = 1, LM_STREAM_BATCH = 2, LM_STREAM_SAMPLE = 3 };

uint64_t lm_rng_u64(uint64_t seed, enum lm_stream stream, uint64_t counter);

/* Uniform in [0, 1), 53 bits. */
double lm_rng_unit(uint64_t seed, enum lm_stream stream, uint64_t counter);

/* Standard normal (Box-Muller on the draws 2·counter and 2·counter + 1). */
double lm_rng_normal(uint64_t seed, enum lm_stream stream, uint64_t counter);

#endif
