/* The recorded history of a network (docs/formats/history.md) made into a replay: what
 * `lq history export` writes, a JSON object a line. Everything lives in the caller's arena.
 *
 * A job runs in the replay for as long as all its attempts ran together, so that the replayed work
 * is the recorded work; one that never ran is passed over and counted. Errors name the line. */
#ifndef LQ_SIM_HISTORY_H
#define LQ_SIM_HISTORY_H

#include "sim/replay.h"

enum {
    HISTORY_VERSION = 1,
    HISTORY_LINE_MAX = 4 << 20,
    HISTORY_OWNERS_MAX = 1 << 20, /* lines of owners' load */
};

struct history_job { /* beside the replay's job of the same index */
    struct id id;
    int64_t wait_ms;     /* from its submission to its first start, as recorded */
    struct slice tenant; /* name; empty: it is gone */
    struct slice site;   /* where its last attempt was; empty: the site is gone */
};

struct history {
    struct wall_us from, to; /* the window that was asked for */
    struct wall_us start;    /* of ms 0: a whole hour, before everything */
    struct topology topology;
    struct replay_job *jobs; /* by arrival; `spec` is set */
    struct history_job *past;
    size_t job_count;
    uint64_t never_ran;
    struct replay_change *changes; /* owners' load, in whole nodes */
    size_t change_count;
};

bool history_is(struct slice text); /* by how it begins */

/* ERR_INVALID, ERR_LIMIT with line and, where there is one, field; ERR_NO_MEMORY. */
enum err history_read(struct slice text, struct arena *arena, struct history *out,
                      struct fault *fault) LQ_CHECKED;
/* A replay of it: everything at once, with the caller's buckets. */
void history_setup(const struct history *history, struct replay_setup *out);

#endif
