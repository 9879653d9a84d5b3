/* One source, built once an instruction set with LM_KERNEL_SET naming the table that comes out and
 * LM_LANES / LM_TILE fitting its registers: a tile of LM_TILE × 2 vectors of sums, two vectors of b
 * and one of a must fit at once. Vector types are the compilers' own, so no intrinsics are needed.
 */
#include "kernel.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifndef LM_KERNEL_SET
#define LM_KERNEL_SET lm_kernels_generic
#define LM_KERNEL_NAME "generic"
#define LM_LANES 4
#define LM_TILE 4
#endif

extern const struct lm_kernels LM_KERNEL_SET;

#define INLINE static inline __attribute__((always_inline))

typedef lm_real vec __attribute__((vector_size(LM_LANES * sizeof(lm_real))));

enum {
    LANES = LM_LANES,
    PANEL = 2 * LM_LANES, /* columns of b at a time */
    TILE = LM_TILE,       /* rows of a at a time */
    DEPTH = 128,          /* of k at a time: one packed panel stays in the first-level cache */
};
_Static_assert(LM_GEMM_ROWS % LM_TILE == 0, "work must be cut at tile borders");

/* ---- matrix product ------------------------------------------------------------------------- */

INLINE void tile(const int rows, const struct lm_gemm *g, size_t row, size_t k0, size_t depth,
                 const lm_real *panel, lm_real *out, size_t out_row, int add)
{
    vec sum[TILE][2];
    const lm_real *a[TILE];

    for (int r = 0; r < rows; r++) {
        sum[r][0] = (vec){0};
        sum[r][1] = (vec){0};
        a[r] = g->a + (row + (size_t)r) * g->a_row + k0 * g->a_col;
    }
    for (size_t k = 0; k < depth; k++) {
        vec b0, b1;
        memcpy(&b0, panel + k * PANEL, sizeof b0);
        memcpy(&b1, panel + k * PANEL + LANES, sizeof b1);
        for (int r = 0; r < rows; r++) {
            lm_real x = a[r][k * g->a_col];
            sum[r][0] += x * b0;
            sum[r][1] += x * b1;
        }
    }
    for (int r = 0; r < rows; r++) {
        lm_real *to = out + (size_t)r * out_row;
        vec c0 = {0}, c1 = {0};
        if (add) {
            memcpy(&c0, to, sizeof c0);
            memcpy(&c1, to + LANES, sizeof c1);
        }
        c0 += sum[r][0];
        c1 += sum[r][1];
        memcpy(to, &c0, sizeof c0);
        memcpy(to + LANES, &c1, sizeof c1);
    }
}

/* A tile at the right border goes through a full-width copy. */
INLINE void tile_edge(const int rows, const struct lm_gemm *g, size_t row, size_t k0, size_t depth,
                      const lm_real *panel, lm_real *out, size_t columns, int add)
{
    lm_real copy[TILE][PANEL];

    for (int r = 0; r < rows; r++) {
        for (size_t j = 0; j < PANEL; j++) {
            copy[r][j] = add && j < columns ? out[(size_t)r * g->c_row + j] : 0;
        }
    }
    tile(rows, g, row, k0, depth, panel, &copy[0][0], PANEL, 1);
    for (int r = 0; r < rows; r++) {
        for (size_t j = 0; j < columns; j++) {
            out[(size_t)r * g->c_row + j] = copy[r][j];
        }
    }
}

INLINE void tile_any(const int rows, const struct lm_gemm *g, size_t row, size_t k0, size_t depth,
                     const lm_real *panel, lm_real *out, size_t columns, int add)
{
    if (columns == PANEL) {
        tile(rows, g, row, k0, depth, panel, out, g->c_row, add);
    } else {
        tile_edge(rows, g, row, k0, depth, panel, out, columns, add);
    }
}

static void gemm(const struct lm_gemm *g, size_t begin, size_t end)
{
    lm_real panel[DEPTH * PANEL];

    for (size_t k0 = 0; k0 < g->k; k0 += DEPTH) {
        size_t depth = g->k - k0 < DEPTH ? g->k - k0 : DEPTH;
        int add = g->add || k0 > 0;
        for (size_t j = 0; j < g->n; j += PANEL) {
            size_t columns = g->n - j < PANEL ? g->n - j : PANEL;
            for (size_t k = 0; k < depth; k++) {
                lm_real *to = panel + k * PANEL;
                memcpy(to, g->b + (k0 + k) * g->b_row + j, columns * sizeof *to);
                for (size_t i = columns; i < PANEL; i++) {
                    to[i] = 0;
                }
            }
            size_t i = begin;
            for (; i + TILE <= end; i += TILE) {
                tile_any(TILE, g, i, k0, depth, panel, g->c + i * g->c_row + j, columns, add);
            }
            for (; i < end; i++) {
                tile_any(1, g, i, k0, depth, panel, g->c + i * g->c_row + j, columns, add);
            }
        }
    }
}

/* ---- reductions, in a fixed order of lanes -------------------------------------------------- */

/* By pointer: a vector argument would have another ABI with each instruction set. */
INLINE lm_real lanes_sum(const vec *v)
{
    lm_real sum = 0;

    for (int i = 0; i < LANES; i++) {
        sum += (*v)[i];
    }
    return sum;
}

INLINE lm_real dot3(const lm_real *a, const lm_real *b, const lm_real *c, size_t n)
{
    vec sum = {0};
    size_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        vec x, y, z;
        memcpy(&x, a + i, sizeof x);
        memcpy(&y, b + i, sizeof y);
        memcpy(&z, c + i, sizeof z);
        sum += x * y * z;
    }
    lm_real total = lanes_sum(&sum);
    for (; i < n; i++) {
        total += a[i] * b[i] * c[i];
    }
    return total;
}

INLINE lm_real dot(const lm_real *a, const lm_real *b, size_t n)
{
    vec sum = {0};
    size_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        vec x, y;
        memcpy(&x, a + i, sizeof x);
        memcpy(&y, b + i, sizeof y);
        sum += x * y;
    }
    lm_real total = lanes_sum(&sum);
    for (; i < n; i++) {
        total += a[i] * b[i];
    }
    return total;
}

INLINE lm_real largest(const lm_real *x, size_t n)
{
    lm_real best = x[0];

    for (size_t i = 1; i < n; i++) {
        best = x[i] > best ? x[i] : best;
    }
    return best;
}

INLINE lm_real total(const lm_real *x, size_t n)
{
    vec sum = {0};
    size_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        vec v;
        memcpy(&v, x + i, sizeof v);
        sum += v;
    }
    lm_real all = lanes_sum(&sum);
    for (; i < n; i++) {
        all += x[i];
    }
    return all;
}

/* ---- exponential ---------------------------------------------------------------------------- */

#ifdef LM_DOUBLE
INLINE lm_real exponential(lm_real x)
{
    return exp(x);
}
#else
/* Branch-free, so that loops over it become vector code: x = n·ln 2 + r, e^r by its Taylor series
 * to r^6 (|r| ≤ 0.35: relative error under 2e-7), 2^n put together from its bits. Adding 1.5·2^23
 * rounds to an integer and leaves it in the low bits of the sum. */
INLINE lm_real exponential(lm_real x)
{
    const float magic = 12582912.0f;
    union {
        float f;
        uint32_t u;
    } shifted, power;

    x = x > 88.0f ? 88.0f : x;
    x = x < -87.0f ? -87.0f : x;
    shifted.f = x * 1.44269504f + magic;
    float n = shifted.f - magic;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    power.u = (shifted.u - UINT32_C(0x4b400000) + 127u) << 23;
    return p * power.f;
}
#endif

/* ---- normalisation -------------------------------------------------------------------------- */

static const lm_real norm_epsilon = (lm_real)1e-5;

static void norm(const lm_real *x, const lm_real *gain, lm_real *y, lm_real *out_inverse,
                 size_t width, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        const lm_real *in = x + i * width;
        lm_real *out = y + i * width;
        lm_real mean = dot(in, in, width) / (lm_real)width;
        lm_real inverse = (lm_real)1 / (lm_real)sqrt((double)(mean + norm_epsilon));
        out_inverse[i] = inverse;
        for (size_t j = 0; j < width; j++) {
            out[j] = in[j] * inverse * gain[j];
        }
    }
}

static void norm_back(const lm_real *x, const lm_real *gain, const lm_real *inverse,
                      const lm_real *dy, lm_real *dx, size_t width, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        const lm_real *in = x + i * width;
        const lm_real *d = dy + i * width;
        lm_real *out = dx + i * width;
        lm_real r = inverse[i];
        lm_real pull = dot3(d, gain, in, width) * r * r / (lm_real)width;
        for (size_t j = 0; j < width; j++) {
            out[j] += r * (d[j] * gain[j] - in[j] * pull);
        }
    }
}

static void norm_back_gain(const lm_real *x, const lm_real *inverse, const lm_real *dy,
                           lm_real *d_gain, size_t width, size_t rows, size_t begin, size_t end)
{
    for (size_t i = 0; i < rows; i++) {
        lm_real r = inverse[i];
        for (size_t j = begin; j < end; j++) {
            d_gain[j] += dy[i * width + j] * x[i * width + j] * r;
        }
    }
}

/* ---- activation ----------------------------------------------------------------------------- */

static void silu(const lm_real *x, lm_real *y, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        y[i] = x[i] / ((lm_real)1 + exponential(-x[i]));
    }
}

static void silu_back(const lm_real *x, lm_real *d, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        lm_real s = (lm_real)1 / ((lm_real)1 + exponential(-x[i]));
        d[i] *= s * ((lm_real)1 + x[i] * ((lm_real)1 - s));
    }
}

/* ---- softmax -------------------------------------------------------------------------------- */

static void softmax_causal(lm_real *rows, lm_real scale, size_t size)
{
    for (size_t t = 0; t < size; t++) {
        lm_real *row = rows + t * size;
        size_t n = t + 1;
        lm_real top = largest(row, n);
        for (size_t i = 0; i < n; i++) {
            row[i] = exponential((row[i] - top) * scale);
        }
        lm_real share = (lm_real)1 / total(row, n);
        for (size_t i = 0; i < n; i++) {
            row[i] *= share;
        }
        for (size_t i = n; i < size; i++) {
            row[i] = 0;
        }
    }
}

static void softmax_causal_back(const lm_real *p, lm_real *d, lm_real scale, size_t size)
{
    for (size_t t = 0; t < size; t++) {
        const lm_real *prob = p + t * size;
        lm_real *row = d + t * size;
        size_t n = t + 1;
        lm_real mean = dot(prob, row, n);
        for (size_t i = 0; i < n; i++) {
            row[i] = prob[i] * (row[i] - mean) * scale;
        }
        for (size_t i = n; i < size; i++) {
            row[i] = 0;
        }
    }
}

static lm_real cross_entropy(lm_real *row, size_t n, size_t target, lm_real scale)
{
    lm_real top = largest(row, n);
    lm_real at_target = row[target] - top;

    for (size_t i = 0; i < n; i++) {
        row[i] = exponential(row[i] - top);
    }
    lm_real sum = total(row, n);
    lm_real share = scale / sum;
    for (size_t i = 0; i < n; i++) {
        row[i] *= share;
    }
    row[target] -= scale;
    return (lm_real)log((double)sum) - at_target;
}

/* ---- optimiser ------------------------------------------------------------------------------ */

static double sum_squares(const lm_real *x, size_t n)
{
    enum { BLOCK = 1024 }; /* short float sums, added up in double */
    double sum = 0;

    for (size_t i = 0; i < n; i += BLOCK) {
        sum += (double)dot(x + i, x + i, n - i < BLOCK ? n - i : BLOCK);
    }
    return sum;
}

#ifdef LM_DOUBLE
#define ROOT sqrt
#else
#define ROOT sqrtf
#endif

static void adamw(const struct lm_adamw *a, lm_real *w, const lm_real *g, lm_real *m, lm_real *v,
                  size_t begin, size_t end)
{
    const struct lm_adamw o = *a;

    for (size_t i = begin; i < end; i++) {
        lm_real grad = g[i] * o.scale;
        m[i] = o.beta1 * m[i] + ((lm_real)1 - o.beta1) * grad;
        v[i] = o.beta2 * v[i] + ((lm_real)1 - o.beta2) * grad * grad;
        lm_real step = m[i] * o.correct1 / (ROOT(v[i] * o.correct2) + o.epsilon);
        w[i] -= o.lr * (step + o.decay * w[i]);
    }
}

const struct lm_kernels LM_KERNEL_SET = {
    .name = LM_KERNEL_NAME,
    .gemm = gemm,
    .norm = norm,
    .norm_back = norm_back,
    .norm_back_gain = norm_back_gain,
    .silu = silu,
    .silu_back = silu_back,
    .softmax_causal = softmax_causal,
    .softmax_causal_back = softmax_causal_back,
    .cross_entropy = cross_entropy,
    .sum_squares = sum_squares,
    .adamw = adamw,
};
