/* A named thread. All signals are blocked in it, so that the loop's thread gets them. */
#ifndef LQ_PORT_THREAD_H
#define LQ_PORT_THREAD_H

#include "base/err.h"

struct thread;

/* Starts `run(context)`; the name shows in ps and perf, at most 15 characters count. ERR_NO_MEMORY,
 * ERR_BUSY (the system has too many threads). */
enum err thread_start(const char *name, void (*run)(void *context), void *context,
                      struct thread **out_thread) LQ_CHECKED;
void thread_join(struct thread *thread); /* waits for run to return, frees; accepts NULL */

#endif
