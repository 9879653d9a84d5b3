/* One picture of what all ranks of an attempt have written: snapshots (snapshot.h), of a gang each
 * in a folder of its own (RUN_PART) below the picture's.
 *
 * While a gang runs, its ranks' pictures are wanted at the same step: one may still be writing what
 * another has written. Blocking: for workers. No shared state. */
#ifndef LQ_AGENT_PICTURE_H
#define LQ_AGENT_PICTURE_H

#include "agent/snapshot.h"

enum { RUN_PATH_MAX = 2048, RUN_PART_MAX = 16 };
/* A rank's part of what a gang keeps: its folder in the artifact. */
#define RUN_PART "rank-%u"

struct picture_wish {
    char folder[RUN_PATH_MAX]; /* the attempt's: ranks' work folders are below */
    char target[RUN_PATH_MAX]; /* is made anew */
    uint32_t ranks;
    struct slice root; /* as in struct snapshot_wish, of each rank */
    struct text_list paths;
    bool is_final, leaves_young;
    bool must_agree; /* ranks at different steps give SNAPSHOT_YOUNG, unless it is final */
    uint64_t known;
    struct wall_us now;
};

struct picture {
    enum snapshot_result result;
    struct snapshot sum;    /* of all ranks; its step is the least of them */
    struct snapshot *parts; /* a rank each */
    uint32_t ranks;
};

enum err picture_init(struct picture *picture, uint32_t ranks) LQ_CHECKED; /* ERR_NO_MEMORY */
void picture_deinit(struct picture *picture);
/* Errors as of snapshot_take. */
enum err picture_take(const struct picture_wish *wish, struct picture *picture,
                      struct fault *fault) LQ_CHECKED;
/* False: a file was written in place meanwhile. */
enum err picture_is_still(const struct picture_wish *wish, const struct picture *picture,
                          bool *out_is_still, struct fault *fault) LQ_CHECKED;

#endif
