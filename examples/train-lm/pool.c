#include "pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct seat {
    struct lm_pool *pool;
    pthread_t thread;
    unsigned worker;
};

struct lm_pool {
    unsigned threads;
    unsigned started; /* seats 1 … started - 1 have a thread */
    struct seat seats[LM_THREADS_MAX];

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t begin;
    pthread_cond_t done;
    unsigned long round;
    unsigned running;
    bool closing;
    size_t items;
    lm_pool_fn *fn;
    void *context;
};

static void run_share(const struct lm_pool *pool, unsigned worker)
{
    size_t begin = pool->items * worker / pool->threads;
    size_t end = pool->items * (worker + 1) / pool->threads;

    if (begin < end) {
        pool->fn(pool->context, begin, end, worker);
    }
}

static void *seat_main(void *argument)
{
    struct seat *seat = argument;
    struct lm_pool *pool = seat->pool;
    unsigned long seen = 0;

    (void)pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->round == seen && !pool->closing) {
            (void)pthread_cond_wait(&pool->begin, &pool->lock);
        }
        if (pool->closing) {
            break;
        }
        seen = pool->round;
        (void)pthread_mutex_unlock(&pool->lock);
        run_share(pool, seat->worker);
        (void)pthread_mutex_lock(&pool->lock);
        if (--pool->running == 0) {
            (void)pthread_cond_signal(&pool->done);
        }
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

struct lm_pool *lm_pool_create(unsigned threads, struct lm_fault *fault)
{
    assert(threads >= 1 && threads <= LM_THREADS_MAX);
    struct lm_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        (void)lm_fail(fault, "out of memory");
        return NULL;
    }
    pool->threads = threads;
    pool->started = 1;
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->begin, NULL);
    (void)pthread_cond_init(&pool->done, NULL);
    for (unsigned i = 1; i < threads; i++) {
        struct seat *seat = &pool->seats[i];
        *seat = (struct seat){.pool = pool, .worker = i};
        int rc = pthread_create(&seat->thread, NULL, seat_main, seat);
        if (rc != 0) {
            (void)lm_fail(fault, "cannot start thread %u of %u: %s", i + 1, threads, strerror(rc));
            lm_pool_destroy(pool);
            return NULL;
        }
        pool->started++;
    }
    return pool;
}

void lm_pool_destroy(struct lm_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    (void)pthread_cond_broadcast(&pool->begin);
    (void)pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 1; i < pool->started; i++) {
        (void)pthread_join(pool->seats[i].thread, NULL);
    }
    (void)pthread_cond_destroy(&pool->begin);
    (void)pthread_cond_destroy(&pool->done);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}

unsigned lm_pool_threads(const struct lm_pool *pool)
{
    return pool->threads;
}

void lm_pool_run(struct lm_pool *pool, size_t items, lm_pool_fn *fn, void *context)
{
    if (pool->threads == 1) {
        fn(context, 0, items, 0);
        return;
    }
    (void)pthread_mutex_lock(&pool->lock);
    assert(pool->running == 0);
    pool->items = items;
    pool->fn = fn;
    pool->context = context;
    pool->running = pool->threads - 1;
    pool->round++;
    (void)pthread_cond_broadcast(&pool->begin);
    (void)pthread_mutex_unlock(&pool->lock);

    run_share(pool, 0);

    (void)pthread_mutex_lock(&pool->lock);
    while (pool->running > 0) {
        (void)pthread_cond_wait(&pool->done, &pool->lock);
    }
    (void)pthread_mutex_unlock(&pool->lock);
}
