/* The curve: it falls, and it is the same curve however it was cut up. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "world.h"

struct rig {
    struct lm_pool *pool;
    struct lm_trainer trainer;
};

static void rig_init(struct rig *rig, const struct world *w, unsigned threads, const char *kernel)
{
    rig->pool = lm_pool_create(threads, NULL);
    assert_non_null(rig->pool);
    assert_true(lm_trainer_init(&rig->trainer, &w->recipe, &w->corpus, lm_kernels_pick(kernel),
                                rig->pool, NULL, NULL));
}

static void rig_deinit(struct rig *rig)
{
    lm_trainer_deinit(&rig->trainer);
    lm_pool_destroy(rig->pool);
}

static void steps(struct rig *rig, double *losses, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        assert_true(lm_trainer_step(&rig->trainer, &losses[i], NULL));
    }
}

static void assert_same_state(const struct rig *a, const struct rig *b)
{
    size_t bytes = a->trainer.model.layout.params_len * sizeof(lm_real);

    assert_int_equal(a->trainer.step, b->trainer.step);
    assert_memory_equal(a->trainer.model.params, b->trainer.model.params, bytes);
    assert_memory_equal(a->trainer.moment1, b->trainer.moment1, bytes);
    assert_memory_equal(a->trainer.moment2, b->trainer.moment2, bytes);
    assert_true(a->trainer.window_sum == b->trainer.window_sum);
    assert_int_equal(a->trainer.window_count, b->trainer.window_count);
}

static void no_note(void *context, const char *line)
{
    (void)context;
    fail_msg("unexpected: %s", line);
}

static void the_loss_starts_at_chance_and_falls(void **state)
{
    struct world *w = *state;
    struct rig rig;
    double losses[40];

    rig_init(&rig, w, 1, NULL);
    steps(&rig, losses, 0, 40);
    assert_true(fabs(losses[0] - log(256)) < 0.2);
    assert_true(losses[39] < 3.0);
    assert_true(lm_trainer_validate(&rig.trainer, 10) < 3.0);
    rig_deinit(&rig);
}

static void a_resumed_run_is_the_uninterrupted_one_bit_for_bit(void **state)
{
    struct world *w = *state;
    struct rig whole, first, second;
    struct lm_checkpoints folder;
    char name[LM_CHECKPOINT_NAME_MAX];
    double want[40], got[40];
    bool found = false;

    rig_init(&whole, w, 1, NULL);
    steps(&whole, want, 0, 40);

    rig_init(&first, w, 1, NULL);
    steps(&first, got, 0, 17);
    assert_true(lm_checkpoints_open(&folder, w->folder, NULL));
    struct lm_snapshot saved = lm_trainer_snapshot(&first.trainer);
    assert_true(lm_checkpoints_write(&folder, &saved, name, NULL));
    rig_deinit(&first);

    rig_init(&second, w, 1, NULL);
    struct lm_snapshot loaded = lm_trainer_snapshot(&second.trainer);
    assert_true(lm_checkpoints_load(&folder, &loaded, name, &found, no_note, NULL, NULL));
    assert_true(found);
    lm_trainer_restored(&second.trainer, &loaded);
    assert_int_equal(second.trainer.step, 17);
    (void)lm_trainer_validate(&second.trainer, 5); /* looking must not disturb */
    steps(&second, got, 17, 40);

    assert_memory_equal(want, got, sizeof want);
    assert_same_state(&whole, &second);
    lm_checkpoints_close(&folder);
    rig_deinit(&whole);
    rig_deinit(&second);
}

static void the_number_of_threads_changes_nothing(void **state)
{
    struct world *w = *state;
    struct rig one, three;
    double want[10], got[10];

    rig_init(&one, w, 1, NULL);
    rig_init(&three, w, 3, NULL);
    steps(&one, want, 0, 10);
    steps(&three, got, 0, 10);
    assert_memory_equal(want, got, sizeof want);
    assert_same_state(&one, &three);
    rig_deinit(&one);
    rig_deinit(&three);
}

static void another_seed_is_another_curve(void **state)
{
    struct world *w = *state;
    struct rig a, b;
    double first[3], second[3];

    rig_init(&a, w, 1, NULL);
    w->recipe.seed++;
    rig_init(&b, w, 1, NULL);
    steps(&a, first, 0, 3);
    steps(&b, second, 0, 3);
    assert_memory_not_equal(first, second, sizeof first);
    rig_deinit(&a);
    rig_deinit(&b);
}

static void training_never_sees_the_held_out_text(void **state)
{
    struct world *w = *state;
    size_t context = w->recipe.shape.context;
    unsigned char in[20], out[20];

    assert_int_equal(context, sizeof in);
    memset(w->corpus.bytes + w->corpus.train_len, 0xff, w->corpus.len - w->corpus.train_len);
    for (uint64_t step = 0; step < 20000; step++) {
        lm_corpus_batch(&w->corpus, 1, step, 0, 1, 1, context, in, out);
        assert_null(memchr(in, 0xff, sizeof in));
        assert_null(memchr(out, 0xff, sizeof out));
    }
    for (size_t i = 0; i < 30; i++) {
        lm_corpus_held_out(&w->corpus, i, 1, 30, context, in, out);
        assert_int_equal(in[0], 0xff);
        assert_int_equal(out[context - 1], 0xff);
    }
}

static void a_loss_that_is_no_number_is_an_error(void **state)
{
    struct world *w = *state;
    struct rig rig;
    struct lm_fault fault = {{0}};
    double loss;

    rig_init(&rig, w, 1, NULL);
    rig.trainer.model.params[rig.trainer.model.layout.norm_final] = NAN;
    assert_false(lm_trainer_step(&rig.trainer, &loss, &fault));
    assert_non_null(strstr(fault.text, "no longer a number"));
    assert_int_equal(rig.trainer.step, 0);
    rig_deinit(&rig);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        CASE(the_loss_starts_at_chance_and_falls),
        CASE(a_resumed_run_is_the_uninterrupted_one_bit_for_bit),
        CASE(the_number_of_threads_changes_nothing),
        CASE(another_seed_is_another_curve),
        CASE(training_never_sees_the_held_out_text),
        CASE(a_loss_that_is_no_number_is_an_error),
    };

    return cmocka_run_group_tests_name("train_lm_trainer", tests, NULL, NULL);
}
