/* Keeps the content store and the logs bounded, beside the loop: at start, then every hour.
 *
 * Content goes that no live manifest names and that was not put or asked for within GC_GRACE_S.
 * Live are: outputs; the newest GC_CHECKPOINTS_KEPT checkpoints of a job that are not stale; work
 * folders younger than GC_WORKDIR_AGE_S; and what unfinished jobs and datasets name. Artifacts stay
 * in the database; reading content that is gone gives 404.
 *
 * Logs go of attempts whose last word is older than GC_LOG_AGE_S, and the oldest beyond
 * GC_LOG_BYTES_MAX in all. Loop thread; the work is done on a thread of its own with a database
 * connection of its own. */
#ifndef LQ_SERVER_GC_H
#define LQ_SERVER_GC_H

#include "server/request.h"

enum {
    GC_EVERY_S = 3600,
    GC_FIRST_S = 60,
    GC_GRACE_S = 86400,
    GC_CHECKPOINTS_KEPT = 2,
    GC_WORKDIR_AGE_S = 7 * 86400,
    GC_LOG_AGE_S = 30 * 86400,
};
#define GC_LOG_BYTES_MAX (INT64_C(20) << 30)

enum err gc_create(struct server *server, struct gc **out) LQ_CHECKED;
void gc_destroy(struct gc *gc); /* waits for a run to stop; accepts NULL */

#endif
