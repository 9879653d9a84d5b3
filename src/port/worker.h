/* A thread that runs jobs one after another, off the loop, and brings each back to it.
 * Jobs waiting, running and not yet brought back count against one limit; when it is reached the
 * answer is ERR_BUSY. Create, submit and destroy on the loop's thread. */
#ifndef LQ_PORT_WORKER_H
#define LQ_PORT_WORKER_H

#include <stddef.h>

#include "base/err.h"

struct loop;
struct worker;

/* `name` shows in ps and perf; at most 15 characters count. ERR_NO_MEMORY, ERR_IO. */
enum err worker_create(struct loop *loop, const char *name, size_t jobs_max,
                       struct worker **out_worker) LQ_CHECKED;
/* `run(context)` on the thread, then `done(context)` on the loop; order is kept. done may be NULL.
 * The context belongs to the thread between the two. ERR_BUSY when full, ERR_CLOSED while being
 * destroyed. */
enum err worker_submit(struct worker *worker, void (*run)(void *context),
                       void (*done)(void *context), void *context) LQ_CHECKED;
size_t worker_load(const struct worker *worker); /* jobs not yet brought back */
/* Waits for the running and the waiting jobs to run, calls their `done` before it returns, joins,
 * frees. Not from inside `run`. Accepts NULL. */
void worker_destroy(struct worker *worker);

#endif
