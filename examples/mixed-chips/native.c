/* Plain C: the compiler makes vectors of the inner loop. */
#include <math.h>
#include <stdlib.h>

#include "nbody.h"

static float *pull; /* three numbers a body; the program's one engine, opened once */

static int native_open(const struct bodies *bodies)
{
    pull = calloc(3 * (size_t)bodies->count, sizeof(*pull));
    return pull == NULL;
}

static void pull_on(const struct bodies *b, uint32_t i, float out[3])
{
    float ax = 0, ay = 0, az = 0;
    for (uint32_t j = 0; j < b->count; j++) {
        float dx = b->x[j] - b->x[i], dy = b->y[j] - b->y[i], dz = b->z[j] - b->z[i];
        float squared = dx * dx + dy * dy + dz * dz + SOFTENING;
        float weight = b->mass[j] / (squared * sqrtf(squared));
        ax += dx * weight;
        ay += dy * weight;
        az += dz * weight;
    }
    out[0] = ax;
    out[1] = ay;
    out[2] = az;
}

static int native_advance(struct bodies *b, uint64_t steps)
{
    for (uint64_t s = 0; s < steps; s++) {
        for (uint32_t i = 0; i < b->count; i++)
            pull_on(b, i, &pull[3 * i]);
        for (uint32_t i = 0; i < b->count; i++) {
            b->vx[i] += pull[3 * i] * STEP_TIME;
            b->vy[i] += pull[3 * i + 1] * STEP_TIME;
            b->vz[i] += pull[3 * i + 2] * STEP_TIME;
            b->x[i] += b->vx[i] * STEP_TIME;
            b->y[i] += b->vy[i] * STEP_TIME;
            b->z[i] += b->vz[i] * STEP_TIME;
        }
    }
    return 0;
}

const struct engine ENGINE_NATIVE = {"native", native_open, native_advance};
