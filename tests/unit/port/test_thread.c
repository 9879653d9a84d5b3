#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "port/loop.h"
#include "port/mailbox.h"
#include "port/thread.h"
#include "port/worker.h"

enum { JOBS = 2000, WORKER_LIMIT = 16, BOX_LIMIT = 32, SENDERS = 3 };

struct fixture {
    struct loop *loop;
    struct worker *worker;
    struct mailbox *box;
    struct mailbox *gate; /* the worker's job waits on it */
    int submitted, run, done;
    int last;
    atomic_int sent;
    int received;
    int left;
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
    worker_destroy(fixture->worker);
    mailbox_destroy(fixture->box, NULL, NULL);
    mailbox_destroy(fixture->gate, NULL, NULL);
    loop_destroy(fixture->loop);
    free(fixture);
    return 0;
}

static void job_run(void *context)
{
    struct fixture *fixture = context;
    assert_false(loop_is_inside(fixture->loop));
    fixture->run++; /* only the worker's thread touches it meanwhile */
}

static void job_done(void *context);

static void submit_more(struct fixture *fixture)
{
    while (fixture->submitted < JOBS) {
        enum err code = worker_submit(fixture->worker, job_run, job_done, fixture);
        if (code == ERR_BUSY)
            return;
        assert_int_equal(code, ERR_OK);
        fixture->submitted++;
        assert_true(worker_load(fixture->worker) <= WORKER_LIMIT);
    }
}

static void job_done(void *context)
{
    struct fixture *fixture = context;
    fixture->done++;
    submit_more(fixture);
}

static void every_job_runs_once_and_comes_back(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(worker_create(fixture->loop, "jobs", WORKER_LIMIT, &fixture->worker), ERR_OK);
    submit_more(fixture);
    assert_int_equal(loop_run(fixture->loop), ERR_OK); /* ends by itself when the load is zero */
    assert_int_equal(fixture->done, JOBS);
    assert_int_equal(fixture->run, JOBS);
}

static void job_wait(void *context)
{
    struct fixture *fixture = context;
    void *message;
    assert_int_equal(mailbox_take(fixture->gate, SPAN_S(20), &message), ERR_OK);
    fixture->run++;
}

static void job_count(void *context)
{
    ((struct fixture *)context)->done++;
}

static void a_full_worker_says_busy_and_destroy_brings_all_back(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(mailbox_create(NULL, WORKER_LIMIT, NULL, NULL, &fixture->gate), ERR_OK);
    assert_int_equal(worker_create(fixture->loop, "jobs", WORKER_LIMIT, &fixture->worker), ERR_OK);
    for (int i = 0; i < WORKER_LIMIT; i++)
        assert_int_equal(worker_submit(fixture->worker, job_wait, job_count, fixture), ERR_OK);
    assert_int_equal(worker_submit(fixture->worker, job_wait, job_count, fixture), ERR_BUSY);
    for (int i = 0; i < WORKER_LIMIT; i++)
        assert_int_equal(mailbox_put(fixture->gate, fixture), ERR_OK);
    worker_destroy(fixture->worker);
    fixture->worker = NULL;
    assert_int_equal(fixture->run, WORKER_LIMIT);
    assert_int_equal(fixture->done, WORKER_LIMIT);
}

static void on_message(void *context, void *message)
{
    struct fixture *fixture = context;
    assert_ptr_equal(message, fixture);
    assert_true(loop_is_inside(fixture->loop));
    if (++fixture->received == JOBS * SENDERS) {
        mailbox_destroy(fixture->box, NULL, NULL);
        fixture->box = NULL;
    }
}

static void send_many(void *context)
{
    struct fixture *fixture = context;
    for (int i = 0; i < JOBS;) {
        enum err code = mailbox_put(fixture->box, fixture);
        if (code == ERR_BUSY)
            continue;
        assert_int_equal(code, ERR_OK);
        i++;
    }
    atomic_fetch_add(&fixture->sent, 1);
}

static void a_bound_mailbox_gives_its_loop_every_message(void **state)
{
    struct fixture *fixture = *state;
    struct thread *threads[SENDERS];
    assert_int_equal(mailbox_create(fixture->loop, BOX_LIMIT, on_message, fixture, &fixture->box),
                     ERR_OK);
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(thread_start("sender", send_many, fixture, &threads[i]), ERR_OK);
    while (fixture->received < JOBS * SENDERS - 1)
        loop_turn(fixture->loop);
    for (int i = 0; i < SENDERS; i++)
        thread_join(threads[i]); /* senders stop before the box goes */
    if (fixture->received < JOBS * SENDERS)
        assert_int_equal(loop_run(fixture->loop), ERR_OK);
    assert_int_equal(fixture->received, JOBS * SENDERS);
}

static void count_left(void *context, void *message)
{
    struct fixture *fixture = context;
    assert_non_null(message);
    fixture->left++;
}

static void a_full_closed_or_empty_mailbox_says_so(void **state)
{
    struct fixture *fixture = *state;
    void *message = NULL;
    assert_int_equal(mailbox_create(NULL, 3, NULL, NULL, &fixture->box), ERR_OK);
    assert_int_equal(mailbox_take(fixture->box, SPAN_MS(1), &message), ERR_TIMEOUT);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mailbox_put(fixture->box, &fixture->submitted), ERR_OK);
    assert_int_equal(mailbox_put(fixture->box, &fixture->submitted), ERR_BUSY);
    assert_int_equal(mailbox_take(fixture->box, SPAN_MS(-1), &message), ERR_OK);
    mailbox_close(fixture->box);
    assert_int_equal(mailbox_put(fixture->box, &fixture->submitted), ERR_CLOSED);
    assert_int_equal(mailbox_take(fixture->box, SPAN_MS(0), &message), ERR_OK);
    assert_int_equal(mailbox_count(fixture->box), 1);
    mailbox_destroy(fixture->box, count_left, fixture);
    fixture->box = NULL;
    assert_int_equal(fixture->left, 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(every_job_runs_once_and_comes_back),
        CASE(a_full_worker_says_busy_and_destroy_brings_all_back),
        CASE(a_bound_mailbox_gives_its_loop_every_message),
        CASE(a_full_closed_or_empty_mailbox_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
