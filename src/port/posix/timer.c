/* Timers in a pairing heap whose links lie in the timers themselves: set and stop need no memory
 * and cannot fail. Fredman, Sedgewick, Sleator, Tarjan: The pairing heap, Algorithmica 1 (1986).
 * `prev` is the left sibling, or the parent of a first child, or NULL at the root. */
#include "base/assert.h"
#include "port/posix/loop_private.h"

static bool timer_is_before(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->due.ns != b->due.ns ? a->due.ns < b->due.ns : a->order < b->order;
}

static struct loop_timer *timer_meld(struct loop_timer *a, struct loop_timer *b)
{
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    if (timer_is_before(b, a)) {
        struct loop_timer *other = a;
        a = b;
        b = other;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next != NULL)
        b->next->prev = b;
    a->child = b;
    a->next = NULL;
    a->prev = NULL;
    return a;
}

/* Two passes: neighbours pairwise from the left, then the pairs from the right. */
static struct loop_timer *timer_meld_siblings(struct loop_timer *first)
{
    struct loop_timer *pairs = NULL;
    while (first != NULL) {
        struct loop_timer *a = first;
        struct loop_timer *b = a->next;
        first = b != NULL ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b != NULL)
            b->next = b->prev = NULL;
        a = timer_meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    struct loop_timer *root = NULL;
    while (pairs != NULL) {
        struct loop_timer *pair = pairs;
        pairs = pair->next;
        pair->next = NULL;
        root = timer_meld(root, pair);
    }
    return root;
}

static void timer_unlink(struct loop_timer *timer)
{
    struct loop *loop = timer->loop;
    struct loop_timer *orphans = timer_meld_siblings(timer->child);
    timer->child = NULL;
    if (loop->timers == timer) {
        loop->timers = orphans;
    } else {
        if (timer->prev->child == timer)
            timer->prev->child = timer->next;
        else
            timer->prev->next = timer->next;
        if (timer->next != NULL)
            timer->next->prev = timer->prev;
        timer->next = timer->prev = NULL;
        loop->timers = timer_meld(loop->timers, orphans);
    }
    timer->is_set = false;
}

void loop_timer_init(struct loop_timer *timer, struct loop *loop, void (*on_fire)(void *context),
                     void *context)
{
    *timer = (struct loop_timer){.loop = loop, .on_fire = on_fire, .context = context};
}

void loop_timer_set_at(struct loop_timer *timer, struct boot_ns due)
{
    struct loop *loop = timer->loop;
    ASSERT(loop != NULL);
    if (timer->is_set)
        timer_unlink(timer);
    timer->due = due;
    timer->order = ++loop->timer_order;
    timer->child = timer->next = timer->prev = NULL;
    timer->is_set = true;
    loop->timers = timer_meld(loop->timers, timer);
    uv_ref((uv_handle_t *)&loop->alarm);
}

void loop_timer_set(struct loop_timer *timer, struct span_ms after)
{
    loop_timer_set_at(timer, boot_add(loop_boot(), after));
}

void loop_timer_stop(struct loop_timer *timer)
{
    if (!timer->is_set)
        return;
    timer_unlink(timer);
    if (timer->loop->timers == NULL)
        uv_unref((uv_handle_t *)&timer->loop->alarm);
}

bool loop_timer_is_set(const struct loop_timer *timer)
{
    return timer->is_set;
}

void loop_timers_fire(struct loop *loop)
{
    if (loop->timers == NULL)
        return;
    struct boot_ns now = loop_boot();
    uint64_t order_last = loop->timer_order; /* what callbacks set now waits for the next turn */
    while (loop->timers != NULL && loop->timers->due.ns <= now.ns &&
           loop->timers->order <= order_last) {
        struct loop_timer *timer = loop->timers;
        loop_timer_stop(timer);
        timer->on_fire(timer->context);
    }
}
