#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "port/clock.h"
#include "port/posix/loop_private.h"
#include "port/posix/os_error.h"

enum { LOOP_POSTS_FIRST = 64, LOOP_CLOSE_TURNS_MAX = 1000000 };

struct boot_ns loop_boot(void)
{
    struct timespec at;
    ASSERT(clock_gettime(CLOCK_BOOTTIME, &at) == 0);
    return (struct boot_ns){(int64_t)at.tv_sec * 1000000000 + at.tv_nsec};
}

struct now loop_now(const struct loop *loop)
{
    (void)loop;
    struct clock clock = clock_system();
    return clock_now(&clock);
}

/* Runs what was posted until now; later posts wait for the next turn. */
static void loop_posts_run(struct loop *loop)
{
    pthread_mutex_lock(&loop->mutex);
    size_t left = loop->post_count;
    while (left-- > 0 && loop->post_count > 0) {
        struct loop_post_entry post = loop->posts[loop->post_first];
        loop->post_first = (loop->post_first + 1) % loop->post_cap;
        loop->post_count--;
        pthread_mutex_unlock(&loop->mutex);
        post.run(post.context);
        pthread_mutex_lock(&loop->mutex);
    }
    bool has_more = loop->post_count > 0;
    pthread_mutex_unlock(&loop->mutex);
    if (has_more)
        uv_async_send(&loop->wake);
}

static void loop_on_wake(uv_async_t *wake)
{
    struct loop *loop = wake->data;
    if (atomic_load(&loop->is_stopping))
        uv_stop(&loop->uv);
    loop_posts_run(loop);
}

static void loop_alarm_arm(struct loop *loop, struct boot_ns due)
{
    if (due.ns >= loop->alarm_due.ns)
        return; /* it rings earlier and is set anew then */
    struct itimerspec at = {
        .it_value = {.tv_sec = due.ns / 1000000000, .tv_nsec = due.ns % 1000000000}};
    ASSERT(timerfd_settime(loop->alarm_fd, TFD_TIMER_ABSTIME, &at, NULL) == 0);
    loop->alarm_due = due;
}

static void loop_on_no_wait(uv_idle_t *idle)
{
    (void)idle; /* its being active is its effect */
}

/* Once a turn before waiting, so that timers set and stopped within one turn cost no system call.
 */
static void loop_on_prepare(uv_prepare_t *prepare)
{
    struct loop *loop = prepare->data;
    if (loop->timers == NULL)
        return;
    if (loop->timers->due.ns <= loop_boot().ns)
        ASSERT(uv_idle_start(&loop->no_wait, loop_on_no_wait) == 0);
    else
        loop_alarm_arm(loop, loop->timers->due);
}

/* Once a turn after waiting: a timer set to zero by a stream's callback fires in the same turn. */
static void loop_on_check(uv_check_t *check)
{
    struct loop *loop = check->data;
    uv_idle_stop(&loop->no_wait);
    loop_timers_fire(loop);
}

static void loop_on_alarm(uv_poll_t *poll, int status, int events)
{
    struct loop *loop = poll->data;
    uint64_t rings;
    (void)status;
    (void)events;
    if (read(loop->alarm_fd, &rings, sizeof(rings)) == (ssize_t)sizeof(rings))
        loop->alarm_due = BOOT_NEVER;
}

static enum err loop_open(struct loop *loop)
{
    int code = uv_loop_init(&loop->uv);
    if (code != 0) {
        close(loop->alarm_fd);
        return os_error(code);
    }
    /* These three cannot fail once the loop has its epoll descriptor, but for the wake's own
     * descriptor. */
    code = uv_async_init(&loop->uv, &loop->wake, loop_on_wake);
    if (code != 0) {
        uv_loop_close(&loop->uv);
        close(loop->alarm_fd);
        return os_error(code);
    }
    ASSERT(uv_prepare_init(&loop->uv, &loop->prepare) == 0);
    ASSERT(uv_prepare_start(&loop->prepare, loop_on_prepare) == 0);
    ASSERT(uv_check_init(&loop->uv, &loop->check) == 0);
    ASSERT(uv_check_start(&loop->check, loop_on_check) == 0);
    ASSERT(uv_idle_init(&loop->uv, &loop->no_wait) == 0);
    ASSERT(uv_poll_init(&loop->uv, &loop->alarm, loop->alarm_fd) == 0);
    ASSERT(uv_poll_start(&loop->alarm, UV_READABLE, loop_on_alarm) == 0);
    loop->wake.data = loop->prepare.data = loop->check.data = loop->no_wait.data = loop;
    loop->alarm.data = loop;
    uv_unref((uv_handle_t *)&loop->wake);
    uv_unref((uv_handle_t *)&loop->prepare);
    uv_unref((uv_handle_t *)&loop->check);
    uv_unref((uv_handle_t *)&loop->no_wait);
    uv_unref((uv_handle_t *)&loop->alarm);
    return ERR_OK;
}

enum err loop_create(struct loop **out_loop)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL)
        return ERR_NO_MEMORY;
    loop->alarm_due = BOOT_NEVER;
    loop->alarm_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    enum err code = loop->alarm_fd < 0 ? os_error(errno) : loop_open(loop);
    if (code != ERR_OK) {
        free(loop);
        return code;
    }
    pthread_mutex_init(&loop->mutex, NULL);
    signal(SIGPIPE, SIG_IGN);
    *out_loop = loop;
    return ERR_OK;
}

static void loop_close_forgotten(uv_handle_t *handle, void *context)
{
    (void)context;
    if (uv_is_closing(handle))
        return;
    struct loop_part *part = handle->data;
    uv_close(handle, part != NULL ? part->on_closed : NULL);
}

void loop_destroy(struct loop *loop)
{
    if (loop == NULL)
        return;
    ASSERT(!atomic_load(&loop->is_running));
    uv_walk(&loop->uv, loop_close_forgotten, NULL);
    /* Look-ups that run in libuv's pool must come back too; each turn may bring one. */
    for (int turn = 0; uv_loop_close(&loop->uv) == UV_EBUSY; turn++) {
        ASSERT(turn < LOOP_CLOSE_TURNS_MAX);
        uv_run(&loop->uv, UV_RUN_ONCE);
        uv_walk(&loop->uv, loop_close_forgotten, NULL);
    }
    close(loop->alarm_fd);
    pthread_mutex_destroy(&loop->mutex);
    free(loop->posts);
    free(loop);
}

static bool loop_has_posts(struct loop *loop)
{
    pthread_mutex_lock(&loop->mutex);
    bool has_posts = loop->post_count > 0;
    pthread_mutex_unlock(&loop->mutex);
    return has_posts;
}

enum err loop_run(struct loop *loop)
{
    ASSERT(!atomic_load(&loop->is_running));
    loop->runner = pthread_self();
    atomic_store(&loop->is_running, true);
    while (!atomic_load(&loop->is_stopping)) {
        int active = uv_run(&loop->uv, UV_RUN_DEFAULT);
        if (active != 0)
            continue;
        /* A post alone does not keep libuv running, but it must be run. */
        if (!loop_has_posts(loop))
            break;
        loop_posts_run(loop);
    }
    atomic_store(&loop->is_stopping, false);
    atomic_store(&loop->is_running, false);
    return ERR_OK;
}

bool loop_turn(struct loop *loop)
{
    ASSERT(!atomic_load(&loop->is_running));
    loop->runner = pthread_self();
    atomic_store(&loop->is_running, true);
    int active = uv_run(&loop->uv, UV_RUN_NOWAIT);
    bool has_posts = loop_has_posts(loop);
    if (active == 0 && has_posts)
        loop_posts_run(loop);
    atomic_store(&loop->is_running, false);
    return active != 0 || has_posts;
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->is_stopping, true);
    uv_async_send(&loop->wake);
}

bool loop_is_inside(const struct loop *loop)
{
    return atomic_load(&loop->is_running) && pthread_equal(loop->runner, pthread_self());
}

static enum err loop_posts_grow(struct loop *loop)
{
    size_t cap = loop->post_cap == 0 ? LOOP_POSTS_FIRST : loop->post_cap * 2;
    struct loop_post_entry *posts = calloc(cap, sizeof(*posts));
    if (posts == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < loop->post_count; i++)
        posts[i] = loop->posts[(loop->post_first + i) % loop->post_cap];
    free(loop->posts);
    loop->posts = posts;
    loop->post_cap = cap;
    loop->post_first = 0;
    return ERR_OK;
}

enum err loop_post(struct loop *loop, void (*run)(void *context), void *context)
{
    enum err code = ERR_OK;
    pthread_mutex_lock(&loop->mutex);
    if (loop->post_count == LOOP_POSTS_MAX)
        code = ERR_BUSY;
    else if (loop->post_count == loop->post_cap)
        code = loop_posts_grow(loop);
    bool is_first = loop->post_count == 0;
    if (code == ERR_OK) {
        size_t at = (loop->post_first + loop->post_count) % loop->post_cap;
        loop->posts[at] = (struct loop_post_entry){.run = run, .context = context};
        loop->post_count++;
    }
    pthread_mutex_unlock(&loop->mutex);
    if (code == ERR_OK && is_first)
        uv_async_send(&loop->wake);
    return code;
}

static void loop_on_signal(uv_signal_t *handle, int signal_number)
{
    struct loop_watch *watch = handle->data;
    watch->on_signal(watch->context, signal_number);
}

enum err loop_signal_watch(struct loop *loop, int signal_number,
                           void (*on_signal)(void *context, int signal_number), void *context)
{
    if (loop->watch_count == LOOP_SIGNALS_MAX)
        return ERR_LIMIT;
    struct loop_watch *watch = &loop->watches[loop->watch_count];
    int code = uv_signal_init(&loop->uv, &watch->handle);
    if (code != 0)
        return os_error(code);
    loop->watch_count++;
    watch->handle.data = watch;
    watch->on_signal = on_signal;
    watch->context = context;
    code = uv_signal_start(&watch->handle, loop_on_signal, signal_number);
    uv_unref((uv_handle_t *)&watch->handle);
    return os_error(code);
}
