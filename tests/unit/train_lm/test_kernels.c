/* Every instruction set's inner loops against plain loops in double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel.h"
#include "rng.h"

static const char *const set_names[] = {"generic", "avx2", "avx512"};
enum { SETS = sizeof set_names / sizeof *set_names };

static lm_real draw(uint64_t i)
{
    return (lm_real)lm_rng_normal(5, LM_STREAM_INIT, i);
}

static lm_real *draw_many(size_t len, uint64_t from)
{
    lm_real *x = malloc(len * sizeof *x);

    assert_non_null(x);
    for (size_t i = 0; i < len; i++) {
        x[i] = draw(from + i);
    }
    return x;
}

/* a through the given strides, some rows only, added or not; what is not asked for stays. */
static void check_product(const struct lm_kernels *k, size_t m, size_t n, size_t depth,
                          int transposed, int add)
{
    lm_real *a = draw_many(m * depth, 0), *b = draw_many(depth * n, 1000000),
            *c = draw_many(m * n, 2000000), *was = draw_many(m * n, 2000000);
    struct lm_gemm g = {.m = m,
                        .n = n,
                        .k = depth,
                        .a = a,
                        .a_row = transposed ? 1 : depth,
                        .a_col = transposed ? m : 1,
                        .b = b,
                        .b_row = n,
                        .c = c,
                        .c_row = n,
                        .add = add};
    size_t begin = m > LM_GEMM_ROWS ? LM_GEMM_ROWS : 0;

    k->gemm(&g, begin, m);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            double want = i < begin || add ? (double)was[i * n + j] : 0;
            for (size_t l = 0; i >= begin && l < depth; l++) {
                want += (double)a[i * g.a_row + l * g.a_col] * (double)b[l * n + j];
            }
            if (fabs((double)c[i * n + j] - want) > 1e-4 * (1 + sqrt((double)depth))) {
                fail_msg("%s: %zux%zux%zu transposed %d add %d: [%zu][%zu] is %g, not %g", k->name,
                         m, n, depth, transposed, add, i, j, (double)c[i * n + j], want);
            }
        }
    }
    free(a);
    free(b);
    free(c);
    free(was);
}

static void products_are_right_for_every_shape_and_set(void **state)
{
    static const size_t sizes[][3] = {{1, 1, 1},    {3, 5, 7},     {24, 32, 128}, {25, 33, 129},
                                      {64, 64, 24}, {7, 100, 300}, {50, 17, 257}};
    (void)state;
    for (size_t s = 0; s < SETS; s++) {
        const struct lm_kernels *k = lm_kernels_pick(set_names[s]);
        for (size_t i = 0; k != NULL && i < sizeof sizes / sizeof *sizes; i++) {
            for (int way = 0; way < 4; way++) {
                check_product(k, sizes[i][0], sizes[i][1], sizes[i][2], way & 1, way >> 1);
            }
        }
    }
}

static void cross_entropy_is_right_even_for_huge_logits(void **state)
{
    (void)state;
    for (size_t s = 0; s < SETS; s++) {
        const struct lm_kernels *k = lm_kernels_pick(set_names[s]);
        if (k == NULL) {
            continue;
        }
        for (int scale = 1; scale <= 1000; scale *= 1000) {
            lm_real row[37];
            double want[37], sum = 0, top = -1e300;
            for (size_t i = 0; i < 37; i++) {
                row[i] = draw(i) * (lm_real)scale;
                want[i] = (double)row[i];
                top = want[i] > top ? want[i] : top;
            }
            for (size_t i = 0; i < 37; i++) {
                sum += exp(want[i] - top);
            }
            double loss = log(sum) - (want[11] - top);
            double got = (double)k->cross_entropy(row, 37, 11, (lm_real)0.5);
            assert_true(fabs(got - loss) <= 1e-5 * (1 + loss));
            for (size_t i = 0; i < 37; i++) {
                double p = exp(want[i] - top) / sum - (i == 11);
                assert_true(fabs((double)row[i] - 0.5 * p) < 1e-6);
            }
        }
    }
}

static void causal_softmax_sums_to_one_and_ends_at_the_diagonal(void **state)
{
    (void)state;
    for (size_t s = 0; s < SETS; s++) {
        const struct lm_kernels *k = lm_kernels_pick(set_names[s]);
        lm_real *rows = draw_many(19 * 19, 0);
        if (k != NULL) {
            k->softmax_causal(rows, (lm_real)0.3, 19);
        }
        for (size_t t = 0; k != NULL && t < 19; t++) {
            double sum = 0;
            for (size_t i = 0; i < 19; i++) {
                sum += (double)rows[t * 19 + i];
                assert_true(i <= t ? rows[t * 19 + i] > 0 : rows[t * 19 + i] == 0);
            }
            assert_true(fabs(sum - 1) < 1e-5);
        }
        free(rows);
    }
}

static void silu_stays_finite_at_the_ends(void **state)
{
    const lm_real x[] = {-1000, -90, -1, 0, 1, 90, 1000};
    (void)state;
    for (size_t s = 0; s < SETS; s++) {
        const struct lm_kernels *k = lm_kernels_pick(set_names[s]);
        lm_real y[7], d[7] = {1, 1, 1, 1, 1, 1, 1};
        if (k == NULL) {
            continue;
        }
        k->silu(x, y, 0, 7);
        k->silu_back(x, d, 0, 7);
        for (size_t i = 0; i < 7; i++) {
            double p = 1 / (1 + exp(-(double)x[i]));
            assert_true(fabs((double)y[i] - (double)x[i] * p) < 1e-5 * (1 + fabs((double)x[i])));
            assert_true(fabs((double)d[i] - p * (1 + (double)x[i] * (1 - p))) < 1e-5);
        }
    }
}

static void an_unknown_set_is_not_picked(void **state)
{
    (void)state;
    assert_null(lm_kernels_pick("abacus"));
    assert_non_null(lm_kernels_pick("generic"));
    assert_non_null(lm_kernels_pick(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_right_for_every_shape_and_set),
        cmocka_unit_test(cross_entropy_is_right_even_for_huge_logits),
        cmocka_unit_test(causal_softmax_sums_to_one_and_ends_at_the_diagonal),
        cmocka_unit_test(silu_stays_finite_at_the_ends),
        cmocka_unit_test(an_unknown_set_is_not_picked),
    };

    return cmocka_run_group_tests_name("train_lm_kernels", tests, NULL, NULL);
}
