/* train-lm: wiring of options, text, gang, checkpoints and the loop. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "corpus.h"
#include "crc64.h"
#include "gang.h"
#include "kernel.h"
#include "options.h"
#include "report.h"
#include "trainer.h"

struct run {
    struct lm_options options;
    struct lm_report report;
    const struct lm_kernels *kernels;
    struct lm_pool *pool;
    struct lm_corpus corpus;
    struct lm_gang_place place;
    struct lm_gang *gang;
    struct lm_trainer trainer;
    struct lm_checkpoints checkpoints; /* folder < 0: none kept */
    uint64_t saved_step;               /* of the newest checkpoint; UINT64_MAX: none yet */
    double last_loss;
    double validation;        /* the newest … */
    uint64_t validation_step; /* … and of which step; UINT64_MAX: none yet */
};

static double now_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The signals stay blocked and are asked for between steps: no handler, no shared flag, and they
 * reach us even as the first process of a PID namespace. */
static void stop_signals(sigset_t *out_set)
{
    (void)sigemptyset(out_set);
    (void)sigaddset(out_set, SIGUSR1);
    (void)sigaddset(out_set, SIGTERM);
    (void)sigaddset(out_set, SIGINT);
}

static bool stop_asked(void)
{
    const struct timespec at_once = {0};
    sigset_t set;

    stop_signals(&set);
    return sigtimedwait(&set, NULL, &at_once) > 0;
}

static void note_refused(void *context, const char *line)
{
    const struct run *run = context;

    lm_report_line(&run->report, "refused", line);
}

/* A failed write is told and survived: the earlier checkpoints stand and the next may succeed. */
static bool save(struct run *run)
{
    char name[LM_CHECKPOINT_NAME_MAX];
    struct lm_fault fault;
    struct lm_snapshot snapshot = lm_trainer_snapshot(&run->trainer);

    if (run->checkpoints.folder < 0) {
        return false;
    }
    if (run->saved_step == snapshot.step) {
        return true;
    }
    if (!lm_checkpoints_write(&run->checkpoints, &snapshot, name, &fault)) {
        lm_report_line(&run->report, "checkpoint-failed", fault.text);
        return false;
    }
    run->saved_step = snapshot.step;
    lm_report_checkpoint(&run->report, snapshot.step, name);
    return true;
}

static bool resume(struct run *run, struct lm_fault *fault)
{
    char name[LM_CHECKPOINT_NAME_MAX];
    bool found = false;

    run->saved_step = UINT64_MAX;
    run->validation_step = UINT64_MAX;
    if (run->options.checkpoint_dir != NULL && run->place.rank == 0) {
        struct lm_snapshot snapshot = lm_trainer_snapshot(&run->trainer);
        if (!lm_checkpoints_open(&run->checkpoints, run->options.checkpoint_dir, fault) ||
            !lm_checkpoints_load(&run->checkpoints, &snapshot, name, &found, note_refused, run,
                                 fault)) {
            return false;
        }
        if (found) {
            lm_trainer_restored(&run->trainer, &snapshot);
            run->saved_step = snapshot.step;
            lm_report_resumed(&run->report, snapshot.step, name);
        }
    }
    return true;
}

static void validate(struct run *run)
{
    if (run->place.rank != 0 || run->validation_step == run->trainer.step) {
        return; /* one node's word is enough: all have the same weights */
    }
    run->validation = lm_trainer_validate(&run->trainer, run->options.validate_windows);
    run->validation_step = run->trainer.step;
    lm_report_validation(&run->report, run->trainer.step, run->validation);
}

static void finish(struct run *run)
{
    const struct lm_options *o = &run->options;
    size_t context = o->recipe.shape.context;

    validate(run);
    lm_report_done(&run->report, run->trainer.step, run->last_loss, run->validation);
    unsigned char *text = malloc(context + o->sample);
    if (text == NULL || o->sample == 0 || run->place.rank != 0) {
        free(text);
        return;
    }
    memcpy(text, run->corpus.bytes + run->corpus.train_len, context);
    for (uint32_t i = 0; i < o->sample; i++) {
        text[context + i] = lm_trainer_sample(&run->trainer, text, i);
    }
    lm_report_sample(&run->report, text + context, o->sample);
    free(text);
}

/* Logs the mean loss since the last line; the sums travel in the checkpoint, so that the lines
 * after a resume are those of an uninterrupted run. */
static void log_step(struct run *run, double *since, uint64_t *tokens)
{
    struct lm_trainer *t = &run->trainer;
    double now = now_s();

    run->last_loss = t->window_sum / (double)t->window_count;
    lm_report_step(&run->report, t->step, run->last_loss,
                   (double)*tokens / (now - *since > 1e-9 ? now - *since : 1e-9),
                   lm_recipe_lr(&t->recipe, t->step - 1));
    t->window_sum = 0;
    t->window_count = 0;
    *since = now;
    *tokens = 0;
}

static int train(struct run *run)
{
    const struct lm_options *o = &run->options;
    struct lm_trainer *t = &run->trainer;
    struct lm_fault fault;
    double since = now_s();
    uint64_t tokens = 0;

    run->last_loss = NAN;
    while (t->step < o->recipe.steps) {
        double loss;
        t->stop = stop_asked();
        if (!lm_trainer_step(t, &loss, &fault)) {
            lm_report_line(&run->report, "error", fault.text);
            return run->gang != NULL ? EX_UNAVAILABLE : EX_SOFTWARE;
        }
        tokens += (uint64_t)o->recipe.batch * o->recipe.shape.context;
        if (t->step % o->log_every == 0 || t->step == o->recipe.steps) {
            log_step(run, &since, &tokens);
        }
        if (o->validate_every != 0 && t->step % o->validate_every == 0) {
            validate(run);
        }
        if (t->step == o->recipe.steps ||
            (o->checkpoint_every != 0 && t->step % o->checkpoint_every == 0)) {
            (void)save(run);
        }
        if (t->stop && t->step < o->recipe.steps) {
            lm_report_preempted(&run->report, t->step, save(run));
            return EX_TEMPFAIL;
        }
    }
    finish(run);
    return run->checkpoints.folder >= 0 && run->saved_step != t->step ? EX_IOERR : EX_OK;
}

/* Equal on all members of a gang, or they would train different things together. */
static uint64_t identity_of(const struct run *run)
{
    const struct lm_recipe *r = &run->options.recipe;
    const uint64_t parts[] = {r->shape.layers,  r->shape.width,  r->shape.heads,
                              r->shape.context, r->batch,        r->steps,
                              r->seed,          run->corpus.crc, sizeof(lm_real)};
    struct lm_crc64 crc;

    lm_crc64_init(&crc);
    lm_crc64_add(&crc, parts, sizeof parts);
    lm_crc64_add(&crc, &r->lr, sizeof r->lr);
    return lm_crc64_value(&crc);
}

static int failed(const struct run *run, const struct lm_fault *fault, int status)
{
    lm_report_line(&run->report, "error", fault->text);
    return status;
}

static int prepare(struct run *run)
{
    const struct lm_options *o = &run->options;
    struct lm_fault fault;

    run->kernels = lm_kernels_pick(o->kernel);
    if (run->kernels == NULL) {
        (void)lm_fail(&fault, "--kernel %s is not known or not for this processor", o->kernel);
        return failed(run, &fault, EX_USAGE);
    }
    if (!lm_shape_check(&o->recipe.shape, &fault) ||
        !lm_gang_place_parse(&run->place, getenv("LQ_NUM_NODES"), getenv("LQ_NODE_RANK"),
                             getenv("LQ_NODE_ADDRS"), &fault)) {
        return failed(run, &fault, EX_USAGE);
    }
    run->report.quiet = run->place.rank != 0;
    if (!lm_corpus_load(&run->corpus, o->data, o->recipe.shape.context, &fault)) {
        return failed(run, &fault, EX_DATAERR);
    }
    run->pool = lm_pool_create(o->threads, &fault);
    if (run->pool == NULL) {
        return failed(run, &fault, EX_SOFTWARE);
    }
    if (run->place.nodes > 1) {
        run->gang = lm_gang_join(&run->place, identity_of(run), &fault);
        if (run->gang == NULL) {
            return failed(run, &fault, EX_UNAVAILABLE);
        }
    }
    if (!lm_trainer_init(&run->trainer, &o->recipe, &run->corpus, run->kernels, run->pool,
                         run->gang, &fault)) {
        return failed(run, &fault, EX_SOFTWARE);
    }
    return EX_OK;
}

static int begin(struct run *run)
{
    const struct lm_recipe *r = &run->options.recipe;
    struct lm_fault fault;

    lm_report_start(&run->report, &(struct lm_report_start){
                                      .kernel = run->kernels->name,
                                      .params = run->trainer.model.layout.params_len,
                                      .layers = r->shape.layers,
                                      .width = r->shape.width,
                                      .heads = r->shape.heads,
                                      .context = r->shape.context,
                                      .batch = r->batch,
                                      .nodes = run->place.nodes,
                                      .threads = run->options.threads,
                                      .text_bytes = run->corpus.len,
                                  });
    if (!resume(run, &fault)) {
        return failed(run, &fault, EX_DATAERR);
    }
    if (!lm_trainer_join(&run->trainer, &fault)) {
        return failed(run, &fault, EX_UNAVAILABLE);
    }
    return train(run);
}

int main(int argc, char **argv)
{
    struct run run = {.report = {.out = stdout}, .checkpoints = {.folder = -1}};
    struct lm_fault fault;
    sigset_t set;

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    stop_signals(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL); /* before any thread starts */
    if (!lm_options_parse(&run.options, argc, argv, &fault)) {
        (void)fprintf(stderr, "train-lm: %s (see --help)\n", fault.text);
        return EX_USAGE;
    }
    if (run.options.help) {
        lm_options_help(stdout);
        return EX_OK;
    }
    run.report.json = run.options.json;
    int status = prepare(&run);
    if (status == EX_OK) {
        status = begin(&run);
    }
    lm_checkpoints_close(&run.checkpoints);
    lm_trainer_deinit(&run.trainer);
    lm_gang_leave(run.gang);
    lm_pool_destroy(run.pool);
    lm_corpus_deinit(&run.corpus);
    return status;
}
