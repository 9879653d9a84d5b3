#include "sim/hetero.h"

/* 36 of each kind is the simulated cluster of Gavel's published sweeps; the smaller one is in
 * demand enough that jobs wait. */
const struct hetero_case HETERO_CASES[HETERO_CASE_COUNT] = {
    {"static_36_36_36", "data/gavel/minimize_makespan.trace", true, {3, {36, 36, 36}}},
    {"static_8_16_24", "data/gavel/minimize_makespan.trace", true, {3, {8, 16, 24}}},
    {"continuous_36_36_36", "data/gavel/max_min_fairness.trace", true, {3, {36, 36, 36}}},
    {"continuous_8_16_24", "data/gavel/max_min_fairness.trace", true, {3, {8, 16, 24}}},
    {"shockwave_32", "data/shockwave/120.trace", false, {1, {32}}},
};
