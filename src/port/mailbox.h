/* A bounded queue of pointers between threads. Two kinds: bound to a loop, whose thread is then
 * called with each message, or unbound, from which one thread takes and waits. A message belongs to
 * the sender until mailbox_put returns ERR_OK, then to the receiver. */
#ifndef LQ_PORT_MAILBOX_H
#define LQ_PORT_MAILBOX_H

#include <stddef.h>

#include "base/err.h"
#include "base/time.h"

struct loop;
struct mailbox;

/* loop NULL: unbound, and on_message must be NULL. Memory for `messages_max` pointers is taken now.
 * A bound, open mailbox keeps loop_run running. ERR_NO_MEMORY, ERR_IO. */
enum err mailbox_create(struct loop *loop, size_t messages_max,
                        void (*on_message)(void *context, void *message), void *context,
                        struct mailbox **out_mailbox) LQ_CHECKED;
/* Any thread; never blocks. ERR_BUSY when full, ERR_CLOSED after mailbox_close. */
enum err mailbox_put(struct mailbox *mailbox, void *message) LQ_CHECKED;
/* Unbound only: the oldest message, waiting at most `within` (negative: for ever). ERR_TIMEOUT;
 * ERR_CLOSED when it is closed and empty. */
enum err mailbox_take(struct mailbox *mailbox, struct span_ms within,
                      void **out_message) LQ_CHECKED;
size_t mailbox_count(struct mailbox *mailbox);
/* Refuse further messages; those inside are still taken. Any thread. */
void mailbox_close(struct mailbox *mailbox);
/* Frees; bound: on the loop's thread. Messages still inside go to on_left (NULL: dropped). Senders
 * must have stopped. Accepts NULL. */
void mailbox_destroy(struct mailbox *mailbox, void (*on_left)(void *context, void *message),
                     void *context);

#endif
