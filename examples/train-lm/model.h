/* A decoder-only transformer over bytes: its parameters, one forward pass and one backward pass.
 *
 *   x = E[byte]
 *   each layer:  x += attention(norm(x) · Wqkv) · Wout       causal, rotary positions
 *                x += silu(norm(x) · Wup) · Wdown
 *   logits = norm(x) · Eᵀ                                     the embedding is tied
 *
 * Invariants
 * 1. params and grads have one layout (lm_layout): matrices first, norm gains last.
 * 2. The result of a pass depends on parameters, bytes and kernel set only, not on threads.
 * One thread owns a model; its pool helps inside a call. */
#ifndef LM_MODEL_H
#define LM_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "kernel.h"
#include "pool.h"
#include "real.h"

enum {
    LM_VOCAB = 256,
    LM_MLP = 4, /* the hidden layer is this many times the width */
    LM_LAYERS_MAX = 64,
    LM_WIDTH_MAX = 4096,
    LM_CONTEXT_MAX = 4096,
    LM_BATCH_MAX = 1024,
};

struct lm_shape {
    uint32_t layers, width, heads, context;
};

/* Where a layer's tensors start in params and grads, in elements. */
struct lm_layer_at {
    size_t qkv, out, up, down; /* width × 3·width, width × width, width × 4·width, back */
    size_t norm1, norm2;       /* gains: width each */
};

struct lm_layout {
    size_t embed; /* LM_VOCAB × width */
    struct lm_layer_at layer[LM_LAYERS_MAX];
    size_t norm_final;
    size_t matrices_len; /* what weight decay applies to */
    size_t params_len;
};

/* What the forward pass keeps for the backward pass, per layer; rows are batch · context. */
struct lm_layer_tape {
    lm_real *x;     /* rows × width: the layer's input */
    lm_real *norm1; /* rows × width */
    lm_real *inverse1;
    lm_real *qkv;  /* rows × 3·width, rotated */
    lm_real *prob; /* batch × heads × context × context */
    lm_real *att;  /* rows × width */
    lm_real *mid;  /* rows × width: after attention */
    lm_real *norm2;
    lm_real *inverse2;
    lm_real *up;     /* rows × 4·width */
    lm_real *active; /* rows × 4·width */
};

struct lm_model {
    struct lm_shape shape;
    uint32_t batch; /* rows of bytes that fit in one pass */
    struct lm_layout layout;
    const struct lm_kernels *kernels;
    struct lm_pool *pool; /* borrowed */

    lm_real *params, *grads; /* layout.params_len each; part of memory */

    lm_real *memory; /* the one allocation behind every pointer here */
    struct lm_layer_tape tape[LM_LAYERS_MAX];
    lm_real *x_final, *norm_final, *inverse_final;
    lm_real *logits;                 /* rows × LM_VOCAB */
    lm_real *losses;                 /* rows */
    lm_real *cosine, *sine;          /* context × width / heads / 2 */
    lm_real *dx, *d_narrow, *d_wide; /* rows × width, × width, × 4·width */
    lm_real *transposed;             /* of one weight matrix */
    lm_real *scratch;                /* scratch_len a worker */
    size_t scratch_len;
};

/* width must divide by heads into an even head; everything within the limits above. */
bool lm_shape_check(const struct lm_shape *shape, struct lm_fault *fault) LM_CHECKED;

/* Allocates and draws the parameters from the seed: normal, deviation 0.02, smaller by √(2·layers)
 * into the residual stream (Radford et al., 2019); gains are one. */
bool lm_model_init(struct lm_model *out_model, const struct lm_shape *shape, uint32_t batch,
                   uint64_t seed, const struct lm_kernels *kernels, struct lm_pool *pool,
                   struct lm_fault *fault) LM_CHECKED;
void lm_model_deinit(struct lm_model *model); /* accepts a zeroed one */

/* inputs: batch × context bytes, batch ≤ model->batch. Fills logits. */
void lm_model_forward(struct lm_model *model, const unsigned char *inputs, uint32_t batch);

/* After forward: mean -ln p of the targets, in nats a byte; logits become their gradient
 * ready for the backward pass. */
double lm_model_loss(struct lm_model *model, const unsigned char *targets, uint32_t batch);

/* After loss: overwrites grads with the gradient of the mean loss. */
void lm_model_backward(struct lm_model *model, const unsigned char *inputs, uint32_t batch);

#endif
