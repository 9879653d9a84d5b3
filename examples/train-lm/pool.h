/* A few threads that share one loop.
 *
 * Work is cut into contiguous ranges of items; each item is computed whole by one thread and never
 * depends on how many there are, so results do not change with the number of threads.
 * One thread drives the pool; the function runs on all of them at once. */
#ifndef LM_POOL_H
#define LM_POOL_H

#include <stddef.h>

#include "fault.h"

enum { LM_THREADS_MAX = 64 };

struct lm_pool;

/* Items [begin, end); `worker` is below lm_pool_threads and unique among those running. */
typedef void lm_pool_fn(void *context, size_t begin, size_t end, unsigned worker);

/* The caller's thread is one of `threads` (1 … LM_THREADS_MAX). NULL with the fault filled when a
 * thread cannot be had. */
struct lm_pool *lm_pool_create(unsigned threads, struct lm_fault *fault) LM_CHECKED;
void lm_pool_destroy(struct lm_pool *pool); /* accepts NULL */
unsigned lm_pool_threads(const struct lm_pool *pool);

/* Returns when every item is done. */
void lm_pool_run(struct lm_pool *pool, size_t items, lm_pool_fn *fn, void *context);

#endif
