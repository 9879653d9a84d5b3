/* Threads that answer typed queries, each with a read-only connection of its own. Create, submit
 * and destroy on the loop's thread. A query sees everything whose commit was completed before it
 * was submitted. */
#ifndef LQ_STORE_READER_H
#define LQ_STORE_READER_H

#include "store/store.h"

struct loop;
struct store_reader;

enum {
    STORE_READER_THREADS_MAX = 8,
    STORE_READER_QUEUE_MAX = 1024,             /* queries waiting or running, a thread */
    STORE_ANSWER_BYTES_MAX = 64 * 1024 * 1024, /* arena of one answer */
};

/* `config`: path, vfs, cache_bytes as of the writer; mode is STORE_READ whatever it says. The
 * database must exist. */
enum err store_reader_create(struct loop *loop, const struct store_config *config, uint32_t threads,
                             struct store_reader **out_reader, struct fault *fault) LQ_CHECKED;
/* Runs what is queued, completes it, joins, frees. Accepts NULL. */
void store_reader_destroy(struct store_reader *reader);

/* What the completion gets; its own from then on, freed with store_reply_free. */
struct store_reply {
    enum err err; /* as store_db_query */
    struct fault fault;
    struct store_answer answer; /* when ERR_OK; lives in `arena` */
    struct arena arena;
};
void store_reply_free(struct store_reply *reply); /* accepts NULL */

/* Copies the query with all it points to. ERR_BUSY (queues full), ERR_NO_MEMORY, ERR_INVALID
 * (limits of query.h). */
enum err store_reader_submit(struct store_reader *reader, const struct store_query *query,
                             void (*on_reply)(void *context, struct store_reply *reply),
                             void *context) LQ_CHECKED;

#endif
