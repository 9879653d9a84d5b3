#include "model.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attention.h"
#include "rng.h"

bool lm_shape_check(const struct lm_shape *s, struct lm_fault *fault)
{
    if (s->layers < 1 || s->layers > LM_LAYERS_MAX) {
        return lm_fail(fault, "layers must be 1 to %d", LM_LAYERS_MAX);
    }
    if (s->width < 2 || s->width > LM_WIDTH_MAX) {
        return lm_fail(fault, "width must be 2 to %d", LM_WIDTH_MAX);
    }
    if (s->context < 2 || s->context > LM_CONTEXT_MAX) {
        return lm_fail(fault, "context must be 2 to %d", LM_CONTEXT_MAX);
    }
    if (s->heads < 1 || s->width % (2 * s->heads) != 0) {
        return lm_fail(fault, "width %u must divide by 2 x heads (%u)", s->width, s->heads);
    }
    return true;
}

static size_t take(size_t *at, size_t len)
{
    size_t start = *at;

    *at += len;
    return start;
}

static void layout_init(struct lm_layout *out_layout, const struct lm_shape *s)
{
    size_t c = s->width, at = 0;

    *out_layout = (struct lm_layout){0};
    out_layout->embed = take(&at, LM_VOCAB * c);
    for (uint32_t l = 0; l < s->layers; l++) {
        struct lm_layer_at *layer = &out_layout->layer[l];
        layer->qkv = take(&at, 3 * c * c);
        layer->out = take(&at, c * c);
        layer->up = take(&at, LM_MLP * c * c);
        layer->down = take(&at, LM_MLP * c * c);
    }
    out_layout->matrices_len = at;
    for (uint32_t l = 0; l < s->layers; l++) {
        out_layout->layer[l].norm1 = take(&at, c);
        out_layout->layer[l].norm2 = take(&at, c);
    }
    out_layout->norm_final = take(&at, c);
    out_layout->params_len = at;
}

/* With a NULL base only counts, so that one list serves sizing and carving alike. */
static lm_real *carve(lm_real *base, size_t *at, size_t len)
{
    const size_t line = 16; /* keep every tensor at a cache line */
    size_t start = *at;

    *at += (len + line - 1) / line * line;
    return base == NULL ? NULL : base + start;
}

static size_t carve_all(struct lm_model *m, lm_real *base)
{
    const struct lm_shape *s = &m->shape;
    size_t at = 0, c = s->width, t = s->context, rows = (size_t)m->batch * t;

    m->params = carve(base, &at, m->layout.params_len);
    m->grads = carve(base, &at, m->layout.params_len);
    for (uint32_t l = 0; l < s->layers; l++) {
        struct lm_layer_tape *tape = &m->tape[l];
        tape->x = carve(base, &at, rows * c);
        tape->norm1 = carve(base, &at, rows * c);
        tape->inverse1 = carve(base, &at, rows);
        tape->qkv = carve(base, &at, rows * 3 * c);
        tape->prob = carve(base, &at, (size_t)m->batch * s->heads * t * t);
        tape->att = carve(base, &at, rows * c);
        tape->mid = carve(base, &at, rows * c);
        tape->norm2 = carve(base, &at, rows * c);
        tape->inverse2 = carve(base, &at, rows);
        tape->up = carve(base, &at, rows * LM_MLP * c);
        tape->active = carve(base, &at, rows * LM_MLP * c);
    }
    m->x_final = carve(base, &at, rows * c);
    m->norm_final = carve(base, &at, rows * c);
    m->inverse_final = carve(base, &at, rows);
    m->logits = carve(base, &at, rows * LM_VOCAB);
    m->losses = carve(base, &at, rows);
    m->cosine = carve(base, &at, t * c / s->heads / 2);
    m->sine = carve(base, &at, t * c / s->heads / 2);
    m->dx = carve(base, &at, rows * c);
    m->d_narrow = carve(base, &at, rows * c);
    m->d_wide = carve(base, &at, rows * LM_MLP * c);
    m->transposed = carve(base, &at, (c > LM_VOCAB / LM_MLP ? c : LM_VOCAB / LM_MLP) * LM_MLP * c);
    m->scratch_len = lm_attention_scratch(s);
    m->scratch = carve(base, &at, m->scratch_len * lm_pool_threads(m->pool));
    return at;
}

static void angles_init(struct lm_model *m)
{
    size_t half = m->shape.width / m->shape.heads / 2;

    for (size_t t = 0; t < m->shape.context; t++) {
        for (size_t j = 0; j < half; j++) {
            double angle = (double)t * pow(10000.0, -(double)j / (double)half);
            m->cosine[t * half + j] = (lm_real)cos(angle);
            m->sine[t * half + j] = (lm_real)sin(angle);
        }
    }
}

static void params_init(struct lm_model *m, uint64_t seed)
{
    const struct lm_layout *at = &m->layout;
    size_t c = m->shape.width;
    lm_real quieter = (lm_real)(1.0 / sqrt(2.0 * m->shape.layers));

    for (size_t i = 0; i < at->matrices_len; i++) {
        m->params[i] = (lm_real)(0.02 * lm_rng_normal(seed, LM_STREAM_INIT, i));
    }
    for (uint32_t l = 0; l < m->shape.layers; l++) {
        for (size_t i = 0; i < c * c; i++) {
            m->params[at->layer[l].out + i] *= quieter;
        }
        for (size_t i = 0; i < LM_MLP * c * c; i++) {
            m->params[at->layer[l].down + i] *= quieter;
        }
    }
    for (size_t i = at->matrices_len; i < at->params_len; i++) {
        m->params[i] = 1;
    }
}

bool lm_model_init(struct lm_model *out_model, const struct lm_shape *shape, uint32_t batch,
                   uint64_t seed, const struct lm_kernels *kernels, struct lm_pool *pool,
                   struct lm_fault *fault)
{
    assert(kernels != NULL && pool != NULL);
    if (!lm_shape_check(shape, fault)) {
        return false;
    }
    if (batch < 1 || batch > LM_BATCH_MAX) {
        return lm_fail(fault, "batch must be 1 to %d", LM_BATCH_MAX);
    }
    struct lm_model m = {.shape = *shape, .batch = batch, .kernels = kernels, .pool = pool};
    layout_init(&m.layout, shape);
    size_t bytes = carve_all(&m, NULL) * sizeof(lm_real);
    m.memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (m.memory == NULL) {
        return lm_fail(fault, "out of memory: this model needs %zu MiB", bytes >> 20);
    }
    memset(m.memory, 0, bytes);
    (void)carve_all(&m, m.memory);
    angles_init(&m);
    params_init(&m, seed);
    *out_model = m;
    return true;
}

void lm_model_deinit(struct lm_model *model)
{
    free(model->memory);
    *model = (struct lm_model){0};
}
