#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/random.h"
#include "port/clock.h"
#include "port/entropy.h"
#include "port/loop.h"
#include "port/thread.h"

enum { TIMERS = 500 };

struct fixture {
    struct loop *loop;
    int64_t last_due_ns;
    int fired;
    int posted;
    int signalled;
    struct loop_timer timers[TIMERS];
    struct loop_timer again;
};

struct timer_owner {
    struct fixture *fixture;
    int index;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_int_equal(loop_create(&fixture->loop), ERR_OK);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    loop_destroy(fixture->loop);
    free(fixture);
    return 0;
}

static void on_ordered_fire(void *context)
{
    struct timer_owner *owner = context;
    struct fixture *fixture = owner->fixture;
    int64_t due_ns = fixture->timers[owner->index].due.ns;
    assert_true(due_ns >= fixture->last_due_ns);
    assert_true(loop_now(fixture->loop).boot.ns >= due_ns);
    fixture->last_due_ns = due_ns;
    fixture->fired++;
}

static void timers_fire_in_order_of_their_due_times(void **state)
{
    struct fixture *fixture = *state;
    struct timer_owner owners[TIMERS];
    struct random random;
    random_init(&random, 7);
    for (int i = 0; i < TIMERS; i++) {
        owners[i] = (struct timer_owner){fixture, i};
        loop_timer_init(&fixture->timers[i], fixture->loop, on_ordered_fire, &owners[i]);
    }
    /* set, move and stop at random; then see that exactly the set ones fire */
    for (int step = 0; step < 5000; step++) {
        struct loop_timer *timer = &fixture->timers[random_below(&random, TIMERS)];
        if (random_chance(&random, 300000))
            loop_timer_stop(timer);
        else
            loop_timer_set(timer, SPAN_MS((int64_t)random_below(&random, 30)));
    }
    int expected = 0;
    for (int i = 0; i < TIMERS; i++)
        expected += loop_timer_is_set(&fixture->timers[i]);
    assert_true(expected > 100);
    assert_int_equal(loop_run(fixture->loop), ERR_OK);
    assert_int_equal(fixture->fired, expected);
}

static void on_fire_again(void *context)
{
    struct fixture *fixture = context;
    if (++fixture->fired < 3)
        loop_timer_set(&fixture->again, SPAN_MS(0));
}

static void a_timer_may_set_itself_again_and_does_not_starve_the_loop(void **state)
{
    struct fixture *fixture = *state;
    loop_timer_init(&fixture->again, fixture->loop, on_fire_again, fixture);
    loop_timer_set(&fixture->again, SPAN_MS(1));
    assert_int_equal(loop_run(fixture->loop), ERR_OK);
    assert_int_equal(fixture->fired, 3);
}

static void on_post(void *context)
{
    struct fixture *fixture = context;
    fixture->posted++;
}

static void a_post_before_run_is_run_and_run_returns(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(loop_post(fixture->loop, on_post, fixture), ERR_OK);
    assert_int_equal(loop_run(fixture->loop), ERR_OK);
    assert_int_equal(fixture->posted, 1);
}

static void posts_past_the_limit_are_refused(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < LOOP_POSTS_MAX; i++)
        assert_int_equal(loop_post(fixture->loop, on_post, fixture), ERR_OK);
    assert_int_equal(loop_post(fixture->loop, on_post, fixture), ERR_BUSY);
    assert_int_equal(loop_run(fixture->loop), ERR_OK);
    assert_int_equal(fixture->posted, LOOP_POSTS_MAX);
}

enum { POSTS_A_THREAD = 2000, THREADS = 4 };

static void on_counted_post(void *context)
{
    struct fixture *fixture = context;
    assert_true(loop_is_inside(fixture->loop));
    if (++fixture->posted == POSTS_A_THREAD * THREADS)
        loop_timer_stop(&fixture->again);
}

static void post_many(void *context)
{
    struct fixture *fixture = context;
    for (int i = 0; i < POSTS_A_THREAD; i++)
        assert_int_equal(loop_post(fixture->loop, on_counted_post, fixture), ERR_OK);
}

static void posts_from_other_threads_all_arrive(void **state)
{
    struct fixture *fixture = *state;
    struct thread *threads[THREADS];
    loop_timer_init(&fixture->again, fixture->loop, on_post, fixture);
    loop_timer_set(&fixture->again, SPAN_S(30)); /* keeps the loop up; stopped by the last post */
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(thread_start("poster", post_many, fixture, &threads[i]), ERR_OK);
    assert_int_equal(loop_run(fixture->loop), ERR_OK);
    for (int i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    assert_int_equal(fixture->posted, POSTS_A_THREAD * THREADS);
}

static void stop_from_thread(void *context)
{
    loop_stop(((struct fixture *)context)->loop);
}

static void stop_from_another_thread_ends_the_run(void **state)
{
    struct fixture *fixture = *state;
    struct thread *thread;
    loop_timer_init(&fixture->again, fixture->loop, on_post, fixture);
    loop_timer_set(&fixture->again, SPAN_S(3600));
    assert_int_equal(thread_start("stopper", stop_from_thread, fixture, &thread), ERR_OK);
    assert_int_equal(loop_run(fixture->loop), ERR_OK);
    thread_join(thread);
    assert_int_equal(fixture->posted, 0);
    loop_timer_stop(&fixture->again);
}

static void on_signal(void *context, int signal_number)
{
    struct fixture *fixture = context;
    fixture->signalled = signal_number;
    loop_stop(fixture->loop);
}

static void a_watched_signal_reaches_the_loop(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(loop_signal_watch(fixture->loop, SIGUSR1, on_signal, fixture), ERR_OK);
    loop_timer_init(&fixture->again, fixture->loop, on_post, fixture);
    loop_timer_set(&fixture->again, SPAN_S(30));
    kill(getpid(), SIGUSR1);
    assert_int_equal(loop_run(fixture->loop), ERR_OK);
    assert_int_equal(fixture->signalled, SIGUSR1);
    loop_timer_stop(&fixture->again);
}

static void the_clocks_and_entropy_of_the_machine_work(void **state)
{
    (void)state;
    struct clock clock = clock_system();
    struct now first = clock_now(&clock);
    struct now second = clock_now(&clock);
    assert_true(second.boot.ns >= first.boot.ns && first.boot.ns > 0);
    assert_true(first.wall.us > (int64_t)1700000000 * 1000000);
    char boot_id[CLOCK_BOOT_ID_MAX];
    assert_int_equal(clock_boot_id(boot_id), ERR_OK);
    assert_int_equal(slice_of(boot_id).len, 36);
    uint8_t a[32] = {0}, b[32] = {0};
    assert_int_equal(entropy_fill(a, sizeof(a)), ERR_OK);
    assert_int_equal(entropy_fill(b, sizeof(b)), ERR_OK);
    assert_memory_not_equal(a, b, sizeof(a));
    struct random one, two;
    assert_int_equal(entropy_seed(&one), ERR_OK);
    assert_int_equal(entropy_seed(&two), ERR_OK);
    assert_true(random_u64(&one) != random_u64(&two));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(timers_fire_in_order_of_their_due_times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_timer_may_set_itself_again_and_does_not_starve_the_loop,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_post_before_run_is_run_and_run_returns, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(posts_past_the_limit_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(posts_from_other_threads_all_arrive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stop_from_another_thread_ends_the_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_watched_signal_reaches_the_loop, set_up, tear_down),
        cmocka_unit_test(the_clocks_and_entropy_of_the_machine_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
