#include <string.h>

#include "kernel.h"

extern const struct lm_kernels lm_kernels_generic;
#ifdef LM_KERNELS_X86
extern const struct lm_kernels lm_kernels_avx2;
extern const struct lm_kernels lm_kernels_avx512;
#endif

const struct lm_kernels *lm_kernels_pick(const char *name)
{
    const struct lm_kernels *runs[3]; /* fastest first */
    size_t count = 0;

#ifdef LM_KERNELS_X86
    if (__builtin_cpu_supports("avx512f")) {
        runs[count++] = &lm_kernels_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        runs[count++] = &lm_kernels_avx2;
    }
#endif
    runs[count++] = &lm_kernels_generic;
    for (size_t i = 0; i < count; i++) {
        if (name == NULL || strcmp(name, runs[i]->name) == 0) {
            return runs[i];
        }
    }
    return NULL;
}
