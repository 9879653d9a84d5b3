#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "port/posix/os_error.h"
#include "port/thread.h"

enum { THREAD_NAME_MAX = 16 };

struct thread {
    pthread_t thread;
    void (*run)(void *context);
    void *context;
    char name[THREAD_NAME_MAX];
};

static void *thread_main(void *context)
{
    struct thread *thread = context;
    pthread_setname_np(pthread_self(), thread->name);
    thread->run(thread->context);
    return NULL;
}

enum err thread_start(const char *name, void (*run)(void *context), void *context,
                      struct thread **out_thread)
{
    struct thread *thread = calloc(1, sizeof(*thread));
    if (thread == NULL)
        return ERR_NO_MEMORY;
    thread->run = run;
    thread->context = context;
    (void)snprintf(thread->name, sizeof(thread->name), "%s", name); /* longer names are cut */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&thread->thread, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0) {
        free(thread);
        return os_error(code);
    }
    *out_thread = thread;
    return ERR_OK;
}

void thread_join(struct thread *thread)
{
    if (thread == NULL)
        return;
    pthread_join(thread->thread, NULL);
    free(thread);
}
