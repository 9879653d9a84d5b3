/* Classes of failure: what an attempt that did not succeed means for its job. The one table of who
 * is blamed, how often it is tried again, how long it rests, and where it goes
 * (docs/operations.md shows the same table). Pure and constant.
 *
 * Invariants (by test): every budget is within its most; what blames a program is no evidence
 * against a place, and keeps nobody away from one. */
#ifndef LQ_MODEL_FAILURE_H
#define LQ_MODEL_FAILURE_H

#include "base/err.h"
#include "base/slice.h"
#include "base/time.h"

enum failure_class {
    FAILURE_NONE,            /* succeeded, cancelled, drained: nothing failed */
    FAILURE_PROGRAM_ERROR,   /* exit code, or a signal of its own making */
    FAILURE_OUT_OF_MEMORY,   /* its memory was too little: the same again would end the same */
    FAILURE_TIME_LIMIT,      /* its time limit was too short */
    FAILURE_PREEMPTED,       /* the owner's work or a more urgent job took the place */
    FAILURE_NODE_LOST,       /* a node or its supervisor vanished */
    FAILURE_SITE_LOST,       /* out of contact past its lease, lost its journal, or was destroyed */
    FAILURE_BAD_ENVIRONMENT, /* sandbox, image, folder or device could not be set up */
    FAILURE_REFUSED,         /* the site would not take it, or its gate never opened */
    FAILURE_NOT_STARTED,     /* taken, but not started within the start limit */
    FAILURE_CLASS_COUNT_
};

enum failure_blame { FAILURE_OF_NOBODY, FAILURE_OF_PROGRAM, FAILURE_OF_SITE };

/* A budget that only the number of a job's attempts ends. */
#define FAILURE_NO_BUDGET UINT32_MAX
/* What a job may name at most, for those classes that have a budget. */
enum { FAILURE_RETRY_MAX = 200 };

struct failure_rule {
    const char *name; /* as API, files and events write it */
    enum failure_blame blame;
    uint32_t budget;               /* tries after a failure of this class; FAILURE_NO_BUDGET */
    uint32_t budget_max;           /* a job's spec may name up to this */
    uint32_t unrested;             /* so many failures of the class are tried again at once */
    struct span_ms rest, rest_max; /* then it rests, twice as long each time */
    struct span_ms
        avoid;        /* so long it keeps away from that site if another could take it; 0: not */
    bool is_evidence; /* counts against the node and the site */
    const char *what; /* a sentence's middle: "the node vanished" */
};

const struct failure_rule *failure_rule(enum failure_class failure);
const char *failure_name(enum failure_class failure);
const char *failure_blame_name(enum failure_blame blame); /* "nobody", "program", "site" */
/* ERR_INVALID: not one of them; "none" is none. */
enum err failure_parse(struct slice text, enum failure_class *out) LQ_CHECKED;
/* How long a job rests after its `count`-th failure of that class; 0: not at all. */
struct span_ms failure_rest(enum failure_class failure, uint32_t count);

#endif
