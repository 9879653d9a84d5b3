#include "attention.h"

#include <math.h>

struct work {
    struct lm_model *model;
    const struct lm_layer_tape *tape;
    const lm_real *d_att;
    lm_real *d_qkv;
    lm_real turn; /* of the rotation: +1 forward, -1 back */
    lm_real *rows;
};

size_t lm_attention_scratch(const struct lm_shape *shape)
{
    size_t head = shape->width / shape->heads;

    return (size_t)shape->context * head + (size_t)shape->context * shape->context;
}

/* Turns each pair of q and k by its position's angle, or back. */
static void rotate_rows(void *context, size_t begin, size_t end, unsigned worker)
{
    const struct work *w = context;
    const struct lm_shape *s = &w->model->shape;
    size_t head = s->width / s->heads;
    size_t half = head / 2;

    (void)worker;
    for (size_t i = begin; i < end; i++) {
        const lm_real *cosine = w->model->cosine + (i % s->context) * half;
        const lm_real *sine = w->model->sine + (i % s->context) * half;
        for (size_t h = 0; h < 2 * (size_t)s->heads; h++) { /* q heads, then k heads */
            lm_real *v = w->rows + i * 3 * s->width + h * head;
            for (size_t j = 0; j < half; j++) {
                lm_real a = v[j], b = v[j + half];
                lm_real sn = sine[j] * w->turn;
                v[j] = a * cosine[j] - b * sn;
                v[j + half] = a * sn + b * cosine[j];
            }
        }
    }
}

static void transpose_head(const lm_real *in, size_t stride, size_t rows, size_t columns,
                           lm_real *out)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++) {
            out[j * rows + i] = in[i * stride + j];
        }
    }
}

static void forward_heads(void *context, size_t begin, size_t end, unsigned worker)
{
    const struct work *w = context;
    const struct lm_shape *s = &w->model->shape;
    const struct lm_kernels *k = w->model->kernels;
    size_t t = s->context, c = s->width, head = c / s->heads;
    lm_real *turned = w->model->scratch + worker * w->model->scratch_len;
    lm_real scale = (lm_real)(1.0 / sqrt((double)head));

    for (size_t i = begin; i < end; i++) {
        size_t row = i / s->heads * t, at = i % s->heads * head;
        const lm_real *q = w->tape->qkv + row * 3 * c + at;
        lm_real *prob = w->tape->prob + i * t * t;

        transpose_head(q + c, 3 * c, t, head, turned);
        struct lm_gemm scores = {.m = t,
                                 .n = t,
                                 .k = head,
                                 .a = q,
                                 .a_row = 3 * c,
                                 .a_col = 1,
                                 .b = turned,
                                 .b_row = t,
                                 .c = prob,
                                 .c_row = t};
        k->gemm(&scores, 0, t);
        k->softmax_causal(prob, scale, t);
        struct lm_gemm mix = {.m = t,
                              .n = head,
                              .k = t,
                              .a = prob,
                              .a_row = t,
                              .a_col = 1,
                              .b = q + 2 * c,
                              .b_row = 3 * c,
                              .c = w->tape->att + row * c + at,
                              .c_row = c};
        k->gemm(&mix, 0, t);
    }
}

void lm_attention_forward(struct lm_model *model, struct lm_layer_tape *tape, uint32_t batch)
{
    size_t rows = (size_t)batch * model->shape.context;
    struct work w = {.model = model, .tape = tape, .turn = 1, .rows = tape->qkv};

    lm_pool_run(model->pool, rows, rotate_rows, &w);
    lm_pool_run(model->pool, (size_t)batch * model->shape.heads, forward_heads, &w);
}

static void backward_heads(void *context, size_t begin, size_t end, unsigned worker)
{
    const struct work *w = context;
    const struct lm_shape *s = &w->model->shape;
    const struct lm_kernels *k = w->model->kernels;
    size_t t = s->context, c = s->width, head = c / s->heads;
    lm_real *turned = w->model->scratch + worker * w->model->scratch_len;
    lm_real *d_prob = turned + t * head;
    lm_real scale = (lm_real)(1.0 / sqrt((double)head));

    for (size_t i = begin; i < end; i++) {
        size_t row = i / s->heads * t, at = i % s->heads * head;
        const lm_real *q = w->tape->qkv + row * 3 * c + at;
        const lm_real *prob = w->tape->prob + i * t * t;
        const lm_real *d_out = w->d_att + row * c + at;
        lm_real *dq = w->d_qkv + row * 3 * c + at;

        transpose_head(q + 2 * c, 3 * c, t, head, turned);
        struct lm_gemm g = {.m = t,
                            .n = t,
                            .k = head,
                            .a = d_out,
                            .a_row = c,
                            .a_col = 1,
                            .b = turned,
                            .b_row = t,
                            .c = d_prob,
                            .c_row = t};
        k->gemm(&g, 0, t); /* dP = dO · Vᵀ */
        g = (struct lm_gemm){.m = t,
                             .n = head,
                             .k = t,
                             .a = prob,
                             .a_row = 1,
                             .a_col = t,
                             .b = d_out,
                             .b_row = c,
                             .c = dq + 2 * c,
                             .c_row = 3 * c};
        k->gemm(&g, 0, t); /* dV = Pᵀ · dO */
        k->softmax_causal_back(prob, d_prob, scale, t);
        g = (struct lm_gemm){.m = t,
                             .n = head,
                             .k = t,
                             .a = d_prob,
                             .a_row = t,
                             .a_col = 1,
                             .b = q + c,
                             .b_row = 3 * c,
                             .c = dq,
                             .c_row = 3 * c};
        k->gemm(&g, 0, t); /* dQ = dS · K */
        g = (struct lm_gemm){.m = t,
                             .n = head,
                             .k = t,
                             .a = d_prob,
                             .a_row = 1,
                             .a_col = t,
                             .b = q,
                             .b_row = 3 * c,
                             .c = dq + c,
                             .c_row = 3 * c};
        k->gemm(&g, 0, t); /* dK = dSᵀ · Q */
    }
}

void lm_attention_backward(struct lm_model *model, const struct lm_layer_tape *tape,
                           const lm_real *d_att, lm_real *d_qkv, uint32_t batch)
{
    size_t rows = (size_t)batch * model->shape.context;
    struct work w = {
        .model = model, .tape = tape, .d_att = d_att, .d_qkv = d_qkv, .turn = -1, .rows = d_qkv};

    lm_pool_run(model->pool, (size_t)batch * model->shape.heads, backward_heads, &w);
    lm_pool_run(model->pool, rows, rotate_rows, &w);
}
