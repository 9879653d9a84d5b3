/* Bodies that attract each other, step by step; one interface over two ways to compute it. */
#ifndef NBODY_H
#define NBODY_H

#include <stdint.h>

struct bodies {
    uint32_t count;
    float *x, *y, *z, *vx, *vy, *vz, *mass; /* one block, in this order */
};

enum { BODIES_MAX = 65536, BODIES_ARRAYS = 7 };
#define SOFTENING 0.01f /* squared length below which attraction no longer grows */
#define STEP_TIME 0.0005f

/* Computes steps in place. Opened once, used by one thread. */
struct engine {
    const char *name;
    /* 0: done; else it has said why on stderr. */
    int (*open)(const struct bodies *bodies);
    int (*advance)(struct bodies *bodies, uint64_t steps);
};

extern const struct engine ENGINE_NATIVE, ENGINE_OPENCL;

#endif
