/* The forward and the backward pass; see model.h for the formulas. */
#include <assert.h>
#include <string.h>

#include "attention.h"
#include "model.h"

/* ---- loops handed to the pool --------------------------------------------------------------- */

struct gemm_work {
    const struct lm_kernels *kernels;
    struct lm_gemm gemm;
};

static void gemm_rows(void *context, size_t begin, size_t end, unsigned worker)
{
    const struct gemm_work *w = context;
    size_t last = end * LM_GEMM_ROWS;

    (void)worker;
    w->kernels->gemm(&w->gemm, begin * LM_GEMM_ROWS, last < w->gemm.m ? last : w->gemm.m);
}

static void multiply(struct lm_model *m, struct lm_gemm gemm)
{
    struct gemm_work w = {.kernels = m->kernels, .gemm = gemm};

    lm_pool_run(m->pool, (gemm.m + LM_GEMM_ROWS - 1) / LM_GEMM_ROWS, gemm_rows, &w);
}

struct row_work {
    const struct lm_model *model;
    const lm_real *x, *gain, *dy;
    const unsigned char *targets;
    lm_real *y, *inverse;
    size_t width, rows;
    lm_real scale;
};

static void norm_rows(void *context, size_t begin, size_t end, unsigned worker)
{
    const struct row_work *w = context;

    (void)worker;
    w->model->kernels->norm(w->x, w->gain, w->y, w->inverse, w->width, begin, end);
}

static void norm_back_rows(void *context, size_t begin, size_t end, unsigned worker)
{
    const struct row_work *w = context;

    (void)worker;
    w->model->kernels->norm_back(w->x, w->gain, w->inverse, w->dy, w->y, w->width, begin, end);
}

static void norm_back_columns(void *context, size_t begin, size_t end, unsigned worker)
{
    const struct row_work *w = context;

    (void)worker;
    w->model->kernels->norm_back_gain(w->x, w->inverse, w->dy, w->y, w->width, w->rows, begin, end);
}

static void silu_rows(void *context, size_t begin, size_t end, unsigned worker)
{
    const struct row_work *w = context;

    (void)worker;
    w->model->kernels->silu(w->x, w->y, begin * w->width, end * w->width);
}

static void silu_back_rows(void *context, size_t begin, size_t end, unsigned worker)
{
    const struct row_work *w = context;

    (void)worker;
    w->model->kernels->silu_back(w->x, w->y, begin * w->width, end * w->width);
}

static void loss_rows(void *context, size_t begin, size_t end, unsigned worker)
{
    const struct row_work *w = context;

    (void)worker;
    for (size_t i = begin; i < end; i++) {
        w->inverse[i] = w->model->kernels->cross_entropy(w->y + i * LM_VOCAB, LM_VOCAB,
                                                         w->targets[i], w->scale);
    }
}

/* ---- pieces --------------------------------------------------------------------------------- */

/* y (+)= x · w for a weight of in × out at params[at]. */
static void linear(struct lm_model *m, const lm_real *x, size_t at, size_t in, size_t out,
                   lm_real *y, size_t rows, int add)
{
    multiply(m, (struct lm_gemm){.m = rows,
                                 .n = out,
                                 .k = in,
                                 .a = x,
                                 .a_row = in,
                                 .a_col = 1,
                                 .b = m->params + at,
                                 .b_row = out,
                                 .c = y,
                                 .c_row = out,
                                 .add = add});
}

static void transpose(const lm_real *in, size_t rows, size_t columns, lm_real *out)
{
    enum { BLOCK = 16 };

    for (size_t i0 = 0; i0 < rows; i0 += BLOCK) {
        for (size_t j0 = 0; j0 < columns; j0 += BLOCK) {
            for (size_t i = i0; i < i0 + BLOCK && i < rows; i++) {
                for (size_t j = j0; j < j0 + BLOCK && j < columns; j++) {
                    out[j * rows + i] = in[i * columns + j];
                }
            }
        }
    }
}

/* dw += xᵀ · dy, dx = dy · wᵀ. */
static void linear_back(struct lm_model *m, const lm_real *x, size_t at, size_t in, size_t out,
                        const lm_real *dy, lm_real *dx, size_t rows)
{
    multiply(m, (struct lm_gemm){.m = in,
                                 .n = out,
                                 .k = rows,
                                 .a = x,
                                 .a_row = 1,
                                 .a_col = in,
                                 .b = dy,
                                 .b_row = out,
                                 .c = m->grads + at,
                                 .c_row = out,
                                 .add = 1});
    transpose(m->params + at, in, out, m->transposed);
    multiply(m, (struct lm_gemm){.m = rows,
                                 .n = in,
                                 .k = out,
                                 .a = dy,
                                 .a_row = out,
                                 .a_col = 1,
                                 .b = m->transposed,
                                 .b_row = in,
                                 .c = dx,
                                 .c_row = in});
}

static void normalise(struct lm_model *m, const lm_real *x, size_t gain, lm_real *y,
                      lm_real *inverse, size_t rows)
{
    struct row_work w = {.model = m,
                         .x = x,
                         .gain = m->params + gain,
                         .y = y,
                         .inverse = inverse,
                         .width = m->shape.width};

    lm_pool_run(m->pool, rows, norm_rows, &w);
}

/* dx += through the norm; the gain's gradient too. */
static void normalise_back(struct lm_model *m, const lm_real *x, size_t gain, lm_real *inverse,
                           const lm_real *dy, lm_real *dx, size_t rows)
{
    struct row_work w = {.model = m,
                         .x = x,
                         .gain = m->params + gain,
                         .inverse = inverse,
                         .dy = dy,
                         .y = m->grads + gain,
                         .width = m->shape.width,
                         .rows = rows};

    lm_pool_run(m->pool, m->shape.width, norm_back_columns, &w);
    w.y = dx;
    lm_pool_run(m->pool, rows, norm_back_rows, &w);
}

/* ---- passes --------------------------------------------------------------------------------- */

static void layer_forward(struct lm_model *m, uint32_t l, lm_real *next, uint32_t batch)
{
    struct lm_layer_tape *t = &m->tape[l];
    const struct lm_layer_at *at = &m->layout.layer[l];
    size_t c = m->shape.width, rows = (size_t)batch * m->shape.context;

    normalise(m, t->x, at->norm1, t->norm1, t->inverse1, rows);
    linear(m, t->norm1, at->qkv, c, 3 * c, t->qkv, rows, 0);
    lm_attention_forward(m, t, batch);
    memcpy(t->mid, t->x, rows * c * sizeof *t->x);
    linear(m, t->att, at->out, c, c, t->mid, rows, 1);

    normalise(m, t->mid, at->norm2, t->norm2, t->inverse2, rows);
    linear(m, t->norm2, at->up, c, LM_MLP * c, t->up, rows, 0);
    struct row_work w = {.model = m, .x = t->up, .y = t->active, .width = LM_MLP * c};
    lm_pool_run(m->pool, rows, silu_rows, &w);
    memcpy(next, t->mid, rows * c * sizeof *next);
    linear(m, t->active, at->down, LM_MLP * c, c, next, rows, 1);
}

void lm_model_forward(struct lm_model *m, const unsigned char *inputs, uint32_t batch)
{
    assert(batch >= 1 && batch <= m->batch);
    size_t c = m->shape.width, rows = (size_t)batch * m->shape.context;

    for (size_t i = 0; i < rows; i++) {
        memcpy(m->tape[0].x + i * c, m->params + m->layout.embed + inputs[i] * c,
               c * sizeof(lm_real));
    }
    for (uint32_t l = 0; l < m->shape.layers; l++) {
        layer_forward(m, l, l + 1 < m->shape.layers ? m->tape[l + 1].x : m->x_final, batch);
    }
    normalise(m, m->x_final, m->layout.norm_final, m->norm_final, m->inverse_final, rows);
    transpose(m->params + m->layout.embed, LM_VOCAB, c, m->transposed);
    multiply(m, (struct lm_gemm){.m = rows,
                                 .n = LM_VOCAB,
                                 .k = c,
                                 .a = m->norm_final,
                                 .a_row = c,
                                 .a_col = 1,
                                 .b = m->transposed,
                                 .b_row = LM_VOCAB,
                                 .c = m->logits,
                                 .c_row = LM_VOCAB});
}

double lm_model_loss(struct lm_model *m, const unsigned char *targets, uint32_t batch)
{
    size_t rows = (size_t)batch * m->shape.context;
    struct row_work w = {.model = m,
                         .y = m->logits,
                         .inverse = m->losses,
                         .targets = targets,
                         .scale = (lm_real)(1.0 / (double)rows)};
    double sum = 0;

    lm_pool_run(m->pool, rows, loss_rows, &w);
    for (size_t i = 0; i < rows; i++) {
        sum += (double)m->losses[i];
    }
    return sum / (double)rows;
}

static void layer_backward(struct lm_model *m, uint32_t l, uint32_t batch)
{
    struct lm_layer_tape *t = &m->tape[l];
    const struct lm_layer_at *at = &m->layout.layer[l];
    size_t c = m->shape.width, rows = (size_t)batch * m->shape.context;

    linear_back(m, t->active, at->down, LM_MLP * c, c, m->dx, m->d_wide, rows);
    struct row_work w = {.model = m, .x = t->up, .y = m->d_wide, .width = LM_MLP * c};
    lm_pool_run(m->pool, rows, silu_back_rows, &w);
    linear_back(m, t->norm2, at->up, c, LM_MLP * c, m->d_wide, m->d_narrow, rows);
    normalise_back(m, t->mid, at->norm2, t->inverse2, m->d_narrow, m->dx, rows);

    linear_back(m, t->att, at->out, c, c, m->dx, m->d_narrow, rows);
    lm_attention_backward(m, t, m->d_narrow, m->d_wide, batch);
    linear_back(m, t->norm1, at->qkv, c, 3 * c, m->d_wide, m->d_narrow, rows);
    normalise_back(m, t->x, at->norm1, t->inverse1, m->d_narrow, m->dx, rows);
}

void lm_model_backward(struct lm_model *m, const unsigned char *inputs, uint32_t batch)
{
    assert(batch >= 1 && batch <= m->batch);
    size_t c = m->shape.width, rows = (size_t)batch * m->shape.context;
    lm_real *d_embed = m->grads + m->layout.embed;

    memset(m->grads, 0, m->layout.params_len * sizeof *m->grads);
    multiply(m, (struct lm_gemm){.m = LM_VOCAB,
                                 .n = c,
                                 .k = rows,
                                 .a = m->logits,
                                 .a_row = 1,
                                 .a_col = LM_VOCAB,
                                 .b = m->norm_final,
                                 .b_row = c,
                                 .c = d_embed,
                                 .c_row = c,
                                 .add = 1});
    multiply(m, (struct lm_gemm){.m = rows,
                                 .n = c,
                                 .k = LM_VOCAB,
                                 .a = m->logits,
                                 .a_row = LM_VOCAB,
                                 .a_col = 1,
                                 .b = m->params + m->layout.embed,
                                 .b_row = c,
                                 .c = m->d_narrow,
                                 .c_row = c});
    memset(m->dx, 0, rows * c * sizeof *m->dx);
    normalise_back(m, m->x_final, m->layout.norm_final, m->inverse_final, m->d_narrow, m->dx, rows);
    for (uint32_t l = m->shape.layers; l > 0; l--) {
        layer_backward(m, l - 1, batch);
    }
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < c; j++) {
            d_embed[inputs[i] * c + j] += m->dx[i * c + j];
        }
    }
}
