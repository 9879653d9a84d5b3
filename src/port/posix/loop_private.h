/* The inside of a loop, for the other files of port/posix only. */
#ifndef LQ_PORT_POSIX_LOOP_PRIVATE_H
#define LQ_PORT_POSIX_LOOP_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "port/loop.h"
#include "port/stream.h"

/* Every libuv handle's data points to a struct that begins with one of these, so that loop_destroy
 * can close what its owner forgot. */
struct loop_part {
    uv_close_cb on_closed; /* frees the owner */
};

struct loop_post_entry {
    void (*run)(void *context);
    void *context;
};

struct loop_watch {
    struct loop_part part;
    uv_signal_t handle;
    void (*on_signal)(void *context, int signal_number);
    void *context;
};

struct loop {
    struct loop_part part; /* of its own handles; on_closed is NULL */
    uv_loop_t uv;
    uv_async_t wake;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t no_wait; /* started when a timer is due already: the turn then does not wait */
    uv_poll_t alarm;
    int alarm_fd;
    struct boot_ns alarm_due;  /* what alarm_fd is set to; BOOT_NEVER when it is not */
    struct loop_timer *timers; /* root of a pairing heap, earliest first */
    uint64_t timer_order;
    atomic_bool is_stopping;
    atomic_bool is_running;
    pthread_t runner;
    pthread_mutex_t mutex;
    struct loop_post_entry *posts; /* ring, guarded by mutex */
    size_t post_cap, post_first, post_count;
    struct loop_watch watches[LOOP_SIGNALS_MAX];
    size_t watch_count;
    char read_buffer[STREAM_READ_BYTES_MAX]; /* one read at a time, so one buffer for all streams */
};

struct boot_ns loop_boot(void);
/* The heap of timers (timer.c). */
void loop_timers_fire(struct loop *loop);

#endif
