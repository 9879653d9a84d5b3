#include "port/worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <uv.h>

#include "base/assert.h"
#include "port/posix/loop_private.h"
#include "port/posix/os_error.h"
#include "port/thread.h"

struct worker_job {
    void (*run)(void *context);
    void (*done)(void *context);
    void *context;
};

/* One ring holds all three kinds of jobs in order: finished ones first, then at most one that runs,
 * then waiting ones. */
struct worker {
    struct loop_part part;
    uv_async_t wake;
    struct thread *thread;
    pthread_mutex_t mutex;
    pthread_cond_t has_job;
    struct worker_job *jobs;
    size_t jobs_max;
    size_t first;    /* guarded by mutex, as all below */
    size_t finished; /* of `count`, run and not yet brought back */
    size_t count;
    bool is_stopping;
};

static void worker_free(uv_handle_t *handle)
{
    struct worker *worker = handle->data;
    pthread_mutex_destroy(&worker->mutex);
    pthread_cond_destroy(&worker->has_job);
    free(worker->jobs);
    free(worker);
}

static void worker_main(void *context)
{
    struct worker *worker = context;
    pthread_mutex_lock(&worker->mutex);
    for (;;) {
        while (worker->finished == worker->count && !worker->is_stopping)
            pthread_cond_wait(&worker->has_job, &worker->mutex);
        if (worker->finished == worker->count)
            break;
        struct worker_job job = worker->jobs[(worker->first + worker->finished) % worker->jobs_max];
        pthread_mutex_unlock(&worker->mutex);
        job.run(job.context);
        pthread_mutex_lock(&worker->mutex);
        worker->finished++;
        if (worker->finished == 1 && !worker->is_stopping)
            uv_async_send(&worker->wake);
    }
    pthread_mutex_unlock(&worker->mutex);
}

/* Brings back what has finished until now. */
static void worker_bring_back(struct worker *worker)
{
    pthread_mutex_lock(&worker->mutex);
    while (worker->finished > 0) {
        struct worker_job job = worker->jobs[worker->first];
        worker->first = (worker->first + 1) % worker->jobs_max;
        worker->finished--;
        worker->count--;
        if (worker->count == 0)
            uv_unref((uv_handle_t *)&worker->wake);
        pthread_mutex_unlock(&worker->mutex);
        if (job.done != NULL)
            job.done(job.context);
        pthread_mutex_lock(&worker->mutex);
    }
    pthread_mutex_unlock(&worker->mutex);
}

static void worker_on_wake(uv_async_t *wake)
{
    worker_bring_back(wake->data);
}

enum err worker_create(struct loop *loop, const char *name, size_t jobs_max,
                       struct worker **out_worker)
{
    ASSERT(jobs_max > 0);
    struct worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL)
        return ERR_NO_MEMORY;
    worker->jobs = calloc(jobs_max, sizeof(*worker->jobs));
    int code =
        worker->jobs == NULL ? UV_ENOMEM : uv_async_init(&loop->uv, &worker->wake, worker_on_wake);
    if (code != 0) {
        free(worker->jobs);
        free(worker);
        return os_error(code);
    }
    worker->part.on_closed = worker_free;
    worker->wake.data = worker;
    worker->jobs_max = jobs_max;
    uv_unref((uv_handle_t *)&worker->wake);
    pthread_mutex_init(&worker->mutex, NULL);
    pthread_cond_init(&worker->has_job, NULL);
    enum err started = thread_start(name, worker_main, worker, &worker->thread);
    if (started != ERR_OK) {
        uv_close((uv_handle_t *)&worker->wake, worker_free);
        return started;
    }
    *out_worker = worker;
    return ERR_OK;
}

enum err worker_submit(struct worker *worker, void (*run)(void *context),
                       void (*done)(void *context), void *context)
{
    enum err code = ERR_OK;
    pthread_mutex_lock(&worker->mutex);
    if (worker->is_stopping) {
        code = ERR_CLOSED;
    } else if (worker->count == worker->jobs_max) {
        code = ERR_BUSY;
    } else {
        if (worker->count == 0)
            uv_ref((uv_handle_t *)&worker->wake);
        worker->jobs[(worker->first + worker->count) % worker->jobs_max] =
            (struct worker_job){.run = run, .done = done, .context = context};
        worker->count++;
        pthread_cond_signal(&worker->has_job);
    }
    pthread_mutex_unlock(&worker->mutex);
    return code;
}

size_t worker_load(const struct worker *worker)
{
    struct worker *shared = (struct worker *)worker; /* locking changes nothing that shows */
    pthread_mutex_lock(&shared->mutex);
    size_t load = shared->count;
    pthread_mutex_unlock(&shared->mutex);
    return load;
}

void worker_destroy(struct worker *worker)
{
    if (worker == NULL)
        return;
    pthread_mutex_lock(&worker->mutex);
    worker->is_stopping = true;
    pthread_cond_signal(&worker->has_job);
    pthread_mutex_unlock(&worker->mutex);
    thread_join(worker->thread);
    worker_bring_back(worker);
    uv_close((uv_handle_t *)&worker->wake, worker_free);
}
