/* A stable picture of files that a running program writes: the complete ones are linked into a
 * folder of our own, where the program's removals and renames no longer reach them.
 *
 * Complete is a file whose name does not end in ".tmp" and that has not changed for
 * SNAPSHOT_QUIET_MS. While any file is younger the answer is SNAPSHOT_YOUNG, until the caller says
 * that it has waited long enough and young ones are to be left out. Links inside the folder are
 * kept, others and all that is no file are left out. Nothing is followed out of the work folder,
 * whatever the program does to the tree meanwhile. A file that is rewritten in place after it was
 * linked is noticed by its hash when it is read.
 *
 * Blocking: for workers. No shared state. */
#ifndef LQ_AGENT_SNAPSHOT_H
#define LQ_AGENT_SNAPSHOT_H

#include "base/err.h"
#include "base/time.h"
#include "model/job.h"

enum {
    SNAPSHOT_QUIET_MS = 500,
    SNAPSHOT_DEPTH_MAX = 48,
    SNAPSHOT_ENTRIES_MAX = 200000,
};

enum snapshot_result {
    SNAPSHOT_TAKEN,
    SNAPSHOT_SAME,  /* as `known` says: nothing new */
    SNAPSHOT_EMPTY, /* no complete file, or no such folder */
    SNAPSHOT_YOUNG, /* something is being written */
};

struct snapshot_wish {
    const char *work;       /* the work folder's path */
    struct slice root;      /* the folder in it that becomes the picture's root; empty: itself */
    struct text_list paths; /* in the root; none: all of it */
    const char *target;     /* is made anew; what was there is removed */
    bool is_final;          /* nobody writes any more: all files are complete, but for ".tmp" */
    bool leaves_young;      /* do not wait for young files */
    uint64_t known;         /* fingerprint of the last picture; 0: none */
    struct wall_us now;
};

struct snapshot {
    uint64_t fingerprint; /* of names, sizes and times; never 0 when anything is in it */
    uint64_t step;        /* greatest number in a name, 0: none */
    uint64_t files, bytes;
};

/* `out_snapshot` is filled for TAKEN and SAME. ERR_LIMIT (too deep, too many), ERR_DENIED,
 * ERR_FULL, ERR_IO; the target may then be half made. */
enum err snapshot_take(const struct snapshot_wish *wish, enum snapshot_result *out_result,
                       struct snapshot *out_snapshot, struct fault *fault) LQ_CHECKED;
/* The greatest run of digits in `name` that fits 32 bits; 0: none. */
uint64_t snapshot_step_of(struct slice name);

#endif
