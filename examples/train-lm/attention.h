/* Causal self-attention with rotary positions (Su et al., 2021), forward and backward.
 *
 * Works on one layer's tape; shares heads among the pool's threads. */
#ifndef LM_ATTENTION_H
#define LM_ATTENTION_H

#include "model.h"

/* Elements of scratch that one worker needs. */
size_t lm_attention_scratch(const struct lm_shape *shape);

/* tape->qkv (not yet rotated) → rotates it, fills prob and att. */
void lm_attention_forward(struct lm_model *model, struct lm_layer_tape *tape, uint32_t batch);

/* d_att (rows × width) → d_qkv (rows × 3·width), before rotation. */
void lm_attention_backward(struct lm_model *model, const struct lm_layer_tape *tape,
                           const lm_real *d_att, lm_real *d_qkv, uint32_t batch);

#endif
