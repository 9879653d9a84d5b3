/* An event loop: one thread runs it, and everything that belongs to it is touched by that thread
 * only. Exceptions, callable from any thread: loop_stop, loop_post, mailbox_put.
 *
 * Invariants
 * 1. A callback never runs inside the call that asked for it; it comes from loop_run.
 * 2. After a stop, close, cancel or destroy returns, the callbacks of that object do not run again.
 * 3. Timers count on the boot-time clock: a suspended machine's timers fire on resume.
 *
 * loop_create makes the process ignore SIGPIPE (a peer that went away is an error code, not a
 * death). */
#ifndef LQ_PORT_LOOP_H
#define LQ_PORT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/time.h"

struct loop;

enum { LOOP_POSTS_MAX = 65536, LOOP_SIGNALS_MAX = 8 };

enum err loop_create(struct loop **out_loop) LQ_CHECKED; /* ERR_NO_MEMORY, ERR_IO */
/* Closes what is still open on it and frees it. Not from inside a callback. Accepts NULL. Owners of
 * streams, processes and mailboxes close theirs first; what they forgot is closed without
 * callbacks. */
void loop_destroy(struct loop *loop);

/* Runs until loop_stop, or until nothing is left that could cause a callback. */
enum err loop_run(struct loop *loop) LQ_CHECKED;
/* One turn without waiting; true while something is still active. For tests and sliced work. */
bool loop_turn(struct loop *loop);
void loop_stop(struct loop *loop); /* any thread; loop_run returns soon, and may be called again */
/* Whether the calling thread is the one inside loop_run (or loop_turn). */
bool loop_is_inside(const struct loop *loop);
/* The clocks, read now. */
struct now loop_now(const struct loop *loop);

/* Run `run(context)` on the loop, after this turn. Any thread. Order is kept. What is posted during
 * the run of the posts waits for the next turn, so work that posts itself again does not starve
 * sockets. ERR_BUSY when LOOP_POSTS_MAX wait already; ERR_NO_MEMORY. */
enum err loop_post(struct loop *loop, void (*run)(void *context), void *context) LQ_CHECKED;

/* A one-shot timer inside its owner's struct. Setting and stopping never fail and never allocate.
 * All fields are the loop's. Stop it before its memory goes. */
struct loop_timer {
    struct loop *loop;
    void (*on_fire)(void *context);
    void *context;
    struct boot_ns due;
    uint64_t order;
    struct loop_timer *child, *next, *prev;
    bool is_set;
};

void loop_timer_init(struct loop_timer *timer, struct loop *loop, void (*on_fire)(void *context),
                     void *context);
void loop_timer_set(struct loop_timer *timer, struct span_ms after); /* moves it when already set */
void loop_timer_set_at(struct loop_timer *timer, struct boot_ns due);
void loop_timer_stop(struct loop_timer *timer); /* accepts a zeroed or stopped timer */
/* A set timer keeps loop_run running. */
bool loop_timer_is_set(const struct loop_timer *timer);

/* Call `on_signal` on the loop when the process receives `signal_number`; at most LOOP_SIGNALS_MAX,
 * until the loop is destroyed. Watching does not keep loop_run running. ERR_LIMIT, ERR_IO. */
enum err loop_signal_watch(struct loop *loop, int signal_number,
                           void (*on_signal)(void *context, int signal_number),
                           void *context) LQ_CHECKED;

#endif
