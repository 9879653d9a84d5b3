/* One training run: model, optimiser state, position on the curve.
 *
 * Invariants
 * 1. The state after step N is a function of recipe, corpus, kernel set and N alone. Nothing else
 *    is carried along, so a run restored from a snapshot continues bit for bit.
 * 2. The learning rate and the data of a step are computed from its number.
 * Owned and driven by one thread. */
#ifndef LM_TRAINER_H
#define LM_TRAINER_H

#include <stdint.h>

#include "checkpoint.h"
#include "corpus.h"
#include "fault.h"
#include "gang.h"
#include "model.h"

struct lm_trainer {
    struct lm_recipe recipe;
    struct lm_model model;
    const struct lm_corpus *corpus;  /* borrowed */
    struct lm_pool *pool;            /* borrowed */
    struct lm_gang *gang;            /* borrowed; NULL when alone */
    lm_real *moment1, *moment2;      /* owned, layout.params_len each */
    unsigned char *inputs, *targets; /* owned, a node's share of the batch × context */
    uint32_t rows;                   /* of the batch that this node computes */
    uint32_t first_row;
    uint64_t step;         /* finished ones */
    double window_sum;     /* losses since the last logged step … */
    uint64_t window_count; /* … and how many */
    bool stop;             /* in: this node wants to stop; out of a step: the gang stops now */
};

/* Begins at step 0. With a gang the batch must divide by its number of nodes. */
bool lm_trainer_init(struct lm_trainer *out_trainer, const struct lm_recipe *recipe,
                     const struct lm_corpus *corpus, const struct lm_kernels *kernels,
                     struct lm_pool *pool, struct lm_gang *gang, struct lm_fault *fault) LM_CHECKED;
void lm_trainer_deinit(struct lm_trainer *trainer);

/* One step of AdamW; out_loss is the mean loss of this step's batch in nats a byte. False only when
 * the gang's link fails or the loss is no longer a number; the state is then not to be saved. */
bool lm_trainer_step(struct lm_trainer *trainer, double *out_loss,
                     struct lm_fault *fault) LM_CHECKED;

/* Mean loss on `windows` held-out windows; changes nothing but the tape. */
double lm_trainer_validate(struct lm_trainer *trainer, uint32_t windows);

/* Warm-up over the first steps/20 (at most 100), then a cosine down to a tenth. */
double lm_recipe_lr(const struct lm_recipe *recipe, uint64_t step);

/* Node 0's state becomes everyone's; nothing to do when alone. */
bool lm_trainer_join(struct lm_trainer *trainer, struct lm_fault *fault) LM_CHECKED;

/* What to save, borrowed from the trainer until its next call; and back again. */
struct lm_snapshot lm_trainer_snapshot(struct lm_trainer *trainer);
void lm_trainer_restored(struct lm_trainer *trainer, const struct lm_snapshot *snapshot);

/* Continues `text` (context bytes, shifted in place) by one byte drawn at a temperature of 0.8. */
unsigned char lm_trainer_sample(struct lm_trainer *trainer, unsigned char *text, uint64_t counter);

#endif
