/* A reclaim: a site's owner wanted nodes that pool work held, and got them back.
 *
 * The site measures it and tells it under a name that is the same whoever measures again, so that a
 * record that comes twice is one record. All times are the engine's own; nothing here is compared
 * with another machine's clock. */
#ifndef LQ_MODEL_RECLAIM_H
#define LQ_MODEL_RECLAIM_H

#include "base/err.h"
#include "base/slice.h"
#include "base/time.h"

enum { RECLAIM_NAME_MAX = 96 };

struct reclaim {
    struct slice name;      /* of the owner's work at its engine: "slurm-4711-1764172800" */
    struct wall_us at;      /* since when the owner's work could have begun; the site's clock */
    struct span_ms wait;    /* from then to its start (open: until now) */
    struct span_ms held;    /* of that, while pool work held what it could have used */
    struct span_ms promise; /* of the site at that time; 0: it had promised nothing */
    uint32_t attempts;      /* that stood in the way */
    bool is_open;           /* the owner's work still waits; told again when it has begun */
};

/* Pool work held the owner's nodes for longer than was promised. */
bool reclaim_is_breach(const struct reclaim *reclaim);
/* ERR_INVALID: the name is not 1 to RECLAIM_NAME_MAX of a-z 0-9 . _ : -, or a span is negative. */
enum err reclaim_check(const struct reclaim *reclaim, struct fault *fault) LQ_CHECKED;

#endif
