/* The hand-written backward pass against central differences of the loss, in double precision. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model.h"
#include "rng.h"

_Static_assert(sizeof(lm_real) == sizeof(double), "this test is about exact differences");

enum { BATCH = 3, CONTEXT = 7 };

struct world {
    struct lm_pool *pool;
    struct lm_model model;
    unsigned char inputs[BATCH * CONTEXT], targets[BATCH * CONTEXT];
};

/* Odd sizes on purpose: no dimension fills a whole vector or tile. Few byte values, so that one
 * byte is embedded at many positions. Weights larger than at a real start, so that every term of
 * the gradient carries weight. */
static int setup(void **state)
{
    const struct lm_shape shape = {.layers = 2, .width = 12, .heads = 3, .context = CONTEXT};
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->pool = lm_pool_create(2, NULL);
    assert_non_null(w->pool);
    assert_true(
        lm_model_init(&w->model, &shape, BATCH, 7, lm_kernels_pick("generic"), w->pool, NULL));
    for (size_t i = 0; i < w->model.layout.params_len; i++) {
        w->model.params[i] += 0.3 * lm_rng_normal(11, LM_STREAM_INIT, i);
    }
    for (size_t i = 0; i < BATCH * CONTEXT; i++) {
        w->inputs[i] = (unsigned char)(lm_rng_u64(3, LM_STREAM_BATCH, i) % 5 * 51);
        w->targets[i] = (unsigned char)(lm_rng_u64(4, LM_STREAM_BATCH, i) % 256);
    }
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    lm_model_deinit(&w->model);
    lm_pool_destroy(w->pool);
    free(w);
    return 0;
}

static double loss_of(struct world *w)
{
    lm_model_forward(&w->model, w->inputs, BATCH);
    return lm_model_loss(&w->model, w->targets, BATCH);
}

static double difference(struct world *w, size_t at)
{
    const double step = 1e-5;
    double was = w->model.params[at];

    w->model.params[at] = was + step;
    double above = loss_of(w);
    w->model.params[at] = was - step;
    double below = loss_of(w);
    w->model.params[at] = was;
    return (above - below) / (2 * step);
}

static void every_gradient_is_the_slope_of_the_loss(void **state)
{
    struct world *w = *state;
    size_t len = w->model.layout.params_len, checked = 0, nonzero = 0;
    double *grads = malloc(len * sizeof *grads);

    assert_non_null(grads);
    (void)loss_of(w);
    lm_model_backward(&w->model, w->inputs, BATCH);
    memcpy(grads, w->model.grads, len * sizeof *grads);

    for (size_t i = 0; i < len; i++) {
        /* Every gain, a third of each layer's matrices, a seventh of the embedding. */
        size_t every = i < w->model.layout.layer[0].qkv   ? 7
                       : i < w->model.layout.matrices_len ? 3
                                                          : 1;
        if (i % every != 0) {
            continue;
        }
        double want = difference(w, i);
        double error = fabs(grads[i] - want);
        if (error > 1e-8 + 1e-5 * fabs(want)) {
            fail_msg("parameter %zu of %zu: backward %.12g, difference %.12g", i, len, grads[i],
                     want);
        }
        checked++;
        nonzero += fabs(want) > 1e-6;
    }
    assert_true(checked > 1500);
    assert_true(nonzero > checked / 2);
    free(grads);
}

static void the_check_notices_a_gradient_that_is_one_percent_off(void **state)
{
    struct world *w = *state;
    size_t at = w->model.layout.layer[1].norm2;

    (void)loss_of(w);
    lm_model_backward(&w->model, w->inputs, BATCH);
    double want = difference(w, at);
    assert_true(fabs(want) > 1e-4);
    assert_true(fabs(w->model.grads[at] * 1.01 - want) > 1e-8 + 1e-5 * fabs(want));
}

static void a_position_never_depends_on_later_bytes(void **state)
{
    struct world *w = *state;
    double before[CONTEXT * LM_VOCAB];

    lm_model_forward(&w->model, w->inputs, 1);
    memcpy(before, w->model.logits, sizeof before);
    w->inputs[CONTEXT - 1] ^= 0x40;
    lm_model_forward(&w->model, w->inputs, 1);
    assert_memory_equal(before, w->model.logits, (CONTEXT - 1) * LM_VOCAB * sizeof *before);
    assert_memory_not_equal(before + (CONTEXT - 1) * LM_VOCAB,
                            w->model.logits + (CONTEXT - 1) * LM_VOCAB, LM_VOCAB * sizeof *before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_gradient_is_the_slope_of_the_loss, setup, teardown),
        cmocka_unit_test_setup_teardown(the_check_notices_a_gradient_that_is_one_percent_off, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_position_never_depends_on_later_bytes, setup, teardown),
    };

    return cmocka_run_group_tests_name("train_lm_gradient", tests, NULL, NULL);
}
