#include "trainer.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rng.h"

static const double beta1 = 0.9, beta2 = 0.99, decay = 0.05, clip_norm = 1.0;

bool lm_trainer_init(struct lm_trainer *out_trainer, const struct lm_recipe *recipe,
                     const struct lm_corpus *corpus, const struct lm_kernels *kernels,
                     struct lm_pool *pool, struct lm_gang *gang, struct lm_fault *fault)
{
    struct lm_trainer t = {.recipe = *recipe, .corpus = corpus, .pool = pool, .gang = gang};
    uint32_t nodes = gang == NULL ? 1 : lm_gang_nodes(gang);

    if (recipe->batch % nodes != 0) {
        return lm_fail(fault, "batch %u must divide by the %u nodes of the gang", recipe->batch,
                       nodes);
    }
    t.rows = recipe->batch / nodes;
    t.first_row = gang == NULL ? 0 : t.rows * lm_gang_rank(gang);
    if (!lm_model_init(&t.model, &recipe->shape, t.rows, recipe->seed, kernels, pool, fault)) {
        return false;
    }
    t.moment1 = calloc(t.model.layout.params_len, sizeof *t.moment1);
    t.moment2 = calloc(t.model.layout.params_len, sizeof *t.moment2);
    t.inputs = malloc((size_t)t.rows * recipe->shape.context);
    t.targets = malloc((size_t)t.rows * recipe->shape.context);
    if (t.moment1 == NULL || t.moment2 == NULL || t.inputs == NULL || t.targets == NULL) {
        lm_trainer_deinit(&t);
        return lm_fail(fault, "out of memory");
    }
    *out_trainer = t;
    return true;
}

void lm_trainer_deinit(struct lm_trainer *trainer)
{
    lm_model_deinit(&trainer->model);
    free(trainer->moment1);
    free(trainer->moment2);
    free(trainer->inputs);
    free(trainer->targets);
    *trainer = (struct lm_trainer){0};
}

double lm_recipe_lr(const struct lm_recipe *recipe, uint64_t step)
{
    const double pi = 3.141592653589793;
    double warm = (double)(recipe->steps / 20 < 100 ? recipe->steps / 20 : 100);
    double now = (double)step;

    if (now < warm) {
        return recipe->lr * (now + 1) / (warm + 1);
    }
    double part = (now - warm) / ((double)recipe->steps - warm);
    return recipe->lr * (0.1 + 0.45 * (1 + cos(pi * part)));
}

struct adamw_work {
    const struct lm_kernels *kernels;
    struct lm_adamw how;
    struct lm_trainer *trainer;
    size_t begin, end; /* of params */
};

enum { SLICE = 1024 }; /* elements that one pool item updates */

static void adamw_slices(void *context, size_t begin, size_t end, unsigned worker)
{
    const struct adamw_work *w = context;
    const struct lm_trainer *t = w->trainer;
    size_t first = w->begin + begin * SLICE, last = w->begin + end * SLICE;

    (void)worker;
    w->kernels->adamw(&w->how, t->model.params, t->model.grads, t->moment1, t->moment2, first,
                      last < w->end ? last : w->end);
}

static void update(struct lm_trainer *t, double norm)
{
    const struct lm_layout *at = &t->model.layout;
    double count = (double)t->step + 1;
    struct adamw_work w = {.kernels = t->model.kernels, .trainer = t, .end = at->matrices_len};

    w.how = (struct lm_adamw){
        .lr = (lm_real)lm_recipe_lr(&t->recipe, t->step),
        .beta1 = (lm_real)beta1,
        .beta2 = (lm_real)beta2,
        .epsilon = (lm_real)1e-8,
        .decay = (lm_real)decay,
        .correct1 = (lm_real)(1 / (1 - pow(beta1, count))),
        .correct2 = (lm_real)(1 / (1 - pow(beta2, count))),
        .scale = (lm_real)(norm > clip_norm ? clip_norm / norm : 1),
    };
    lm_pool_run(t->pool, (w.end + SLICE - 1) / SLICE, adamw_slices, &w);
    w.begin = at->matrices_len;
    w.end = at->params_len;
    w.how.decay = 0;
    lm_pool_run(t->pool, (w.end - w.begin + SLICE - 1) / SLICE, adamw_slices, &w);
}

bool lm_trainer_step(struct lm_trainer *t, double *out_loss, struct lm_fault *fault)
{
    struct lm_model *m = &t->model;

    lm_corpus_batch(t->corpus, t->recipe.seed, t->step, t->first_row, t->rows, t->recipe.batch,
                    t->recipe.shape.context, t->inputs, t->targets);
    lm_model_forward(m, t->inputs, t->rows);
    double loss = lm_model_loss(m, t->targets, t->rows);
    lm_model_backward(m, t->inputs, t->rows);
    if (t->gang != NULL &&
        !lm_gang_mean(t->gang, t->step, m->grads, m->layout.params_len, &loss, &t->stop, fault)) {
        return false;
    }
    double norm = sqrt(m->kernels->sum_squares(m->grads, m->layout.params_len));
    if (!isfinite(loss) || !isfinite(norm)) {
        return lm_fail(fault, "step %llu: the loss is no longer a number; a lower --lr may help",
                       (unsigned long long)t->step + 1);
    }
    update(t, norm);
    t->step++;
    t->window_sum += loss;
    t->window_count++;
    *out_loss = loss;
    return true;
}

double lm_trainer_validate(struct lm_trainer *t, uint32_t windows)
{
    double sum = 0;
    uint32_t done = 0;

    while (done < windows) {
        uint32_t rows = windows - done < t->rows ? windows - done : t->rows;
        lm_corpus_held_out(t->corpus, done, rows, windows, t->recipe.shape.context, t->inputs,
                           t->targets);
        lm_model_forward(&t->model, t->inputs, rows);
        sum += lm_model_loss(&t->model, t->targets, rows) * rows;
        done += rows;
    }
    return sum / windows;
}

bool lm_trainer_join(struct lm_trainer *t, struct lm_fault *fault)
{
    size_t bytes = t->model.layout.params_len * sizeof(lm_real);

    return t->gang == NULL || (lm_gang_share(t->gang, &t->step, sizeof t->step, fault) &&
                               lm_gang_share(t->gang, t->model.params, bytes, fault) &&
                               lm_gang_share(t->gang, t->moment1, bytes, fault) &&
                               lm_gang_share(t->gang, t->moment2, bytes, fault));
}

struct lm_snapshot lm_trainer_snapshot(struct lm_trainer *t)
{
    return (struct lm_snapshot){
        .recipe = t->recipe,
        .corpus_crc = t->corpus->crc,
        .nodes = t->gang == NULL ? 1 : lm_gang_nodes(t->gang),
        .step = t->step,
        .window_sum = t->window_sum,
        .window_count = t->window_count,
        .params = t->model.params,
        .moment1 = t->moment1,
        .moment2 = t->moment2,
        .len = t->model.layout.params_len,
    };
}

void lm_trainer_restored(struct lm_trainer *t, const struct lm_snapshot *s)
{
    assert(s->params == t->model.params); /* the arrays were filled in place */
    t->step = s->step;
    t->window_sum = s->window_sum;
    t->window_count = s->window_count;
}

unsigned char lm_trainer_sample(struct lm_trainer *t, unsigned char *text, uint64_t counter)
{
    const double temperature = 0.8;
    size_t context = t->recipe.shape.context;
    const lm_real *row = t->model.logits + (context - 1) * LM_VOCAB;
    double sum = 0;

    lm_model_forward(&t->model, text, 1);
    for (size_t i = 0; i < LM_VOCAB; i++) {
        sum += exp((double)row[i] / temperature);
    }
    double left = sum * lm_rng_unit(t->recipe.seed, LM_STREAM_SAMPLE, counter);
    size_t pick = 0;
    while (pick < LM_VOCAB - 1) {
        left -= exp((double)row[pick] / temperature);
        if (left < 0) {
            break;
        }
        pick++;
    }
    memmove(text, text + 1, context - 1);
    text[context - 1] = (unsigned char)pick;
    return (unsigned char)pick;
}
