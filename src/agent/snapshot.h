/* A stable picture of files that a running program writes: they are linked into a folder of our
 * own, where the program's removals and renames no longer reach them.
 *
 * Files whose names end in ".tmp" are unfinished and left out. The others are linked at once, in a
 * moment in which nothing changed between the first look and the last. A file that was young then
 * (changed within SNAPSHOT_QUIET_MS) may be one that is being written in place: the caller waits
 * that long and has the picture checked (snapshot_is_still). A program that puts whole files in
 * place by renaming never fails that check, however often it writes. Links inside the folder are
 * kept, others and all that is no file are left out. Nothing is followed out of the work folder,
 * whatever the program does to the tree meanwhile.
 *
 * Blocking: for workers. No shared state. */
#ifndef LQ_AGENT_SNAPSHOT_H
#define LQ_AGENT_SNAPSHOT_H

#include "base/err.h"
#include "base/time.h"
#include "model/job.h"

enum {
    SNAPSHOT_QUIET_MS = 300,
    SNAPSHOT_TRIES_MAX = 8, /* for a moment in which nothing changes */
    SNAPSHOT_DEPTH_MAX = 48,
    SNAPSHOT_ENTRIES_MAX = 200000,
};

enum snapshot_result {
    SNAPSHOT_TAKEN,
    SNAPSHOT_SAME,  /* as `known` says: nothing new */
    SNAPSHOT_EMPTY, /* no complete file, or no such folder */
    SNAPSHOT_YOUNG, /* no moment was found in which nothing changed */
};

struct snapshot_wish {
    const char *work;       /* the work folder's path */
    struct slice root;      /* the folder in it that becomes the picture's root; empty: itself */
    struct text_list paths; /* in the root; none: all of it */
    const char *target;     /* is made anew; what was there is removed */
    bool is_final;          /* nobody writes any more: all files are complete, but for ".tmp" */
    bool leaves_young;      /* young files are left out: they never came to rest */
    uint64_t known;         /* fingerprint of the last picture; 0: none */
    struct wall_us now;
};

struct snapshot {
    uint64_t fingerprint; /* of names, sizes and times; never 0 when anything is in it */
    uint64_t step;        /* greatest number in a name, 0: none */
    uint64_t files, bytes;
    bool has_young; /* look again after SNAPSHOT_QUIET_MS */
};

/* `out_snapshot` is filled for TAKEN and SAME. ERR_LIMIT (too deep, too many), ERR_DENIED,
 * ERR_FULL, ERR_IO; the target may then be half made. */
enum err snapshot_take(const struct snapshot_wish *wish, enum snapshot_result *out_result,
                       struct snapshot *out_snapshot, struct fault *fault) LQ_CHECKED;
/* Is what was linked into `target` as it was then? False: a file was written in place meanwhile. */
enum err snapshot_is_still(const char *target, const struct snapshot *snapshot, bool *out_is_still,
                           struct fault *fault) LQ_CHECKED;
/* The greatest run of digits in `name` that fits 32 bits; 0: none. */
uint64_t snapshot_step_of(struct slice name);

#endif
