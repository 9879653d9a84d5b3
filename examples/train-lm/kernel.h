/* The inner loops, compiled once for each instruction set and picked at run time.
 *
 * Every kernel works on rows [begin, end) (or columns where said), so that a pool can share it, and
 * sums in an order that depends on the shapes alone: on one machine the same input gives the same
 * bits, however many threads there are. Pure: no state, no allocation. Matrices are row-major. */
#ifndef LM_KERNEL_H
#define LM_KERNEL_H

#include <stddef.h>

#include "real.h"

enum { LM_GEMM_ROWS = 24 }; /* cut work at multiples of this: it divides by every tile's height */

/* c[m × n] (+)= a[m × k] · b[k × n]; a is read through strides, so a transposed a costs nothing. */
struct lm_gemm {
    size_t m, n, k;
    const lm_real *a;
    size_t a_row, a_col; /* strides, in elements */
    const lm_real *b;
    size_t b_row;
    lm_real *c;
    size_t c_row;
    int add; /* 0: c is overwritten */
};

struct lm_adamw {
    lm_real lr, beta1, beta2, epsilon, decay;
    lm_real correct1, correct2; /* 1 / (1 - beta^t) */
    lm_real scale;              /* of the gradient: clipping */
};

struct lm_kernels {
    const char *name;

    void (*gemm)(const struct lm_gemm *g, size_t begin, size_t end);

    /* y = x · gain / rms(x); out_inverse[row] = 1 / rms (Zhang and Sennrich, 2019). */
    void (*norm)(const lm_real *x, const lm_real *gain, lm_real *y, lm_real *out_inverse,
                 size_t width, size_t begin, size_t end);
    /* dx += gradient through x of the norm above, from dy. */
    void (*norm_back)(const lm_real *x, const lm_real *gain, const lm_real *inverse,
                      const lm_real *dy, lm_real *dx, size_t width, size_t begin, size_t end);
    /* d_gain[column] += over all rows; begin and end are columns. */
    void (*norm_back_gain)(const lm_real *x, const lm_real *inverse, const lm_real *dy,
                           lm_real *d_gain, size_t width, size_t rows, size_t begin, size_t end);

    /* y = x · sigmoid(x), elements [begin, end). */
    void (*silu)(const lm_real *x, lm_real *y, size_t begin, size_t end);
    /* d = d · silu'(x), in place. */
    void (*silu_back)(const lm_real *x, lm_real *d, size_t begin, size_t end);

    /* Row t of a size × size matrix: softmax(scale · row[0 … t]), zero after t. In place. */
    void (*softmax_causal)(lm_real *rows, lm_real scale, size_t size);
    /* d = gradient of the scores from that of the probabilities p, in place. */
    void (*softmax_causal_back)(const lm_real *p, lm_real *d, lm_real scale, size_t size);

    /* Logits in, (softmax - one-hot) · scale out; returns -ln p[target]. */
    lm_real (*cross_entropy)(lm_real *row, size_t n, size_t target, lm_real scale);

    double (*sum_squares)(const lm_real *x, size_t n);
    /* Decoupled weight decay (Loshchilov and Hutter, 2019); elements [begin, end). */
    void (*adamw)(const struct lm_adamw *a, lm_real *w, const lm_real *g, lm_real *m, lm_real *v,
                  size_t begin, size_t end);
};

/* The named set ("generic", "avx2", "avx512"), or the fastest that this processor runs for NULL.
 * NULL when the name is unknown or the processor lacks it. */
const struct lm_kernels *lm_kernels_pick(const char *name);

#endif
