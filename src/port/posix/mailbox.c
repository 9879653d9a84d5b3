#include "port/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

#include "base/assert.h"
#include "port/posix/loop_private.h"
#include "port/posix/os_error.h"

struct mailbox {
    struct loop_part part;
    uv_async_t wake; /* bound ones only */
    bool is_bound;
    pthread_mutex_t mutex;
    pthread_cond_t has_message;
    void (*on_message)(void *context, void *message);
    void *context;
    void **messages;
    size_t messages_max;
    size_t first; /* guarded by mutex, as all below */
    size_t count;
    bool is_closed;
    bool is_destroyed;
};

static void mailbox_free(struct mailbox *mailbox)
{
    pthread_mutex_destroy(&mailbox->mutex);
    pthread_cond_destroy(&mailbox->has_message);
    free(mailbox->messages);
    free(mailbox);
}

static void mailbox_on_handle_closed(uv_handle_t *handle)
{
    mailbox_free(handle->data);
}

static void *mailbox_pop(struct mailbox *mailbox)
{
    void *message = mailbox->messages[mailbox->first];
    mailbox->first = (mailbox->first + 1) % mailbox->messages_max;
    mailbox->count--;
    return message;
}

/* Hands over what is inside now; what comes meanwhile waits for the next turn. */
static void mailbox_on_wake(uv_async_t *wake)
{
    struct mailbox *mailbox = wake->data;
    pthread_mutex_lock(&mailbox->mutex);
    size_t left = mailbox->count;
    while (left-- > 0 && mailbox->count > 0 && !mailbox->is_destroyed) {
        void *message = mailbox_pop(mailbox);
        pthread_mutex_unlock(&mailbox->mutex);
        mailbox->on_message(mailbox->context, message);
        pthread_mutex_lock(&mailbox->mutex);
    }
    bool has_more = mailbox->count > 0 && !mailbox->is_destroyed;
    pthread_mutex_unlock(&mailbox->mutex);
    if (has_more)
        uv_async_send(wake);
}

enum err mailbox_create(struct loop *loop, size_t messages_max,
                        void (*on_message)(void *context, void *message), void *context,
                        struct mailbox **out_mailbox)
{
    ASSERT(messages_max > 0 && (loop != NULL) == (on_message != NULL));
    struct mailbox *mailbox = calloc(1, sizeof(*mailbox));
    if (mailbox == NULL)
        return ERR_NO_MEMORY;
    mailbox->messages = calloc(messages_max, sizeof(*mailbox->messages));
    int code = mailbox->messages == NULL ? UV_ENOMEM : 0;
    if (code == 0 && loop != NULL)
        code = uv_async_init(&loop->uv, &mailbox->wake, mailbox_on_wake);
    if (code != 0) {
        free(mailbox->messages);
        free(mailbox);
        return os_error(code);
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&mailbox->mutex, NULL);
    pthread_cond_init(&mailbox->has_message, &attributes);
    pthread_condattr_destroy(&attributes);
    mailbox->part.on_closed = mailbox_on_handle_closed;
    mailbox->wake.data = mailbox;
    mailbox->is_bound = loop != NULL;
    mailbox->messages_max = messages_max;
    mailbox->on_message = on_message;
    mailbox->context = context;
    *out_mailbox = mailbox;
    return ERR_OK;
}

enum err mailbox_put(struct mailbox *mailbox, void *message)
{
    enum err code = ERR_OK;
    pthread_mutex_lock(&mailbox->mutex);
    if (mailbox->is_closed) {
        code = ERR_CLOSED;
    } else if (mailbox->count == mailbox->messages_max) {
        code = ERR_BUSY;
    } else {
        size_t at = (mailbox->first + mailbox->count) % mailbox->messages_max;
        mailbox->messages[at] = message;
        mailbox->count++;
        if (!mailbox->is_bound)
            pthread_cond_signal(&mailbox->has_message);
        else if (mailbox->count == 1)
            uv_async_send(&mailbox->wake);
    }
    pthread_mutex_unlock(&mailbox->mutex);
    return code;
}

/* Waits (mutex held) until there is a message, the box is closed, or `within` is over. */
static int mailbox_wait(struct mailbox *mailbox, struct span_ms within)
{
    struct timespec until;
    ASSERT(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    until.tv_sec += within.ms / 1000;
    until.tv_nsec += within.ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int code = 0;
    while (mailbox->count == 0 && !mailbox->is_closed && code == 0)
        code = within.ms < 0
                   ? pthread_cond_wait(&mailbox->has_message, &mailbox->mutex)
                   : pthread_cond_timedwait(&mailbox->has_message, &mailbox->mutex, &until);
    return code;
}

enum err mailbox_take(struct mailbox *mailbox, struct span_ms within, void **out_message)
{
    ASSERT(!mailbox->is_bound);
    enum err code = ERR_OK;
    pthread_mutex_lock(&mailbox->mutex);
    int waited = mailbox_wait(mailbox, within);
    if (mailbox->count > 0)
        *out_message = mailbox_pop(mailbox);
    else
        code = waited == ETIMEDOUT ? ERR_TIMEOUT : ERR_CLOSED;
    pthread_mutex_unlock(&mailbox->mutex);
    return code;
}

size_t mailbox_count(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    size_t count = mailbox->count;
    pthread_mutex_unlock(&mailbox->mutex);
    return count;
}

void mailbox_close(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    mailbox->is_closed = true;
    pthread_cond_broadcast(&mailbox->has_message);
    pthread_mutex_unlock(&mailbox->mutex);
}

void mailbox_destroy(struct mailbox *mailbox, void (*on_left)(void *context, void *message),
                     void *context)
{
    if (mailbox == NULL)
        return;
    mailbox_close(mailbox);
    while (mailbox->count > 0) {
        void *message = mailbox_pop(mailbox);
        if (on_left != NULL)
            on_left(context, message);
    }
    mailbox->is_destroyed = true;
    if (mailbox->is_bound)
        uv_close((uv_handle_t *)&mailbox->wake, mailbox_on_handle_closed);
    else
        mailbox_free(mailbox);
}
