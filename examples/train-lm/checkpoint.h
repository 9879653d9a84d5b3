/* Checkpoints: files in one folder that are either whole or refused.
 *
 * Writing: a temporary name, fsync, rename, fsync of the folder. A crash at any point leaves the
 * earlier files as they were. Reading: newest first; a file whose length, marks or checksum do not
 * fit is set aside as NAME.refused and the one before is tried. The two newest are kept.
 *
 * Format (little-endian): struct head in checkpoint.c with its own CRC-64, then params, first and
 * second moments, then the CRC-64 of everything before.
 *
 * One process writes a folder at a time (flock on it). */
#ifndef LM_CHECKPOINT_H
#define LM_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "model.h"

enum { LM_CHECKPOINTS_KEPT = 2, LM_CHECKPOINT_NAME_MAX = 64 };

/* All that decides the curve, besides the corpus. */
struct lm_recipe {
    struct lm_shape shape;
    uint32_t batch;
    uint32_t steps;
    uint64_t seed;
    double lr;
};

struct lm_snapshot {
    struct lm_recipe recipe;
    uint64_t corpus_crc;
    uint32_t nodes; /* of the gang that wrote it; any number may go on from it */
    uint64_t step;
    double window_sum;
    uint64_t window_count;
    lm_real *params, *moment1, *moment2; /* borrowed, len each */
    size_t len;
};

struct lm_checkpoints {
    int folder; /* descriptor, locked */
};

/* Told one line a refused file; must not keep the string. */
typedef void lm_checkpoint_note(void *context, const char *line);

/* Creates the folder (its parent must exist) and takes its lock. */
bool lm_checkpoints_open(struct lm_checkpoints *out_checkpoints, const char *path,
                         struct lm_fault *fault) LM_CHECKED;
void lm_checkpoints_close(struct lm_checkpoints *checkpoints);

/* Durable when it returns true; out_name (LM_CHECKPOINT_NAME_MAX) is the file's name. On failure
 * the earlier checkpoints stand. */
bool lm_checkpoints_write(struct lm_checkpoints *checkpoints, const struct lm_snapshot *snapshot,
                          char *out_name, struct lm_fault *fault) LM_CHECKED;

/* Fills `snapshot` (whose recipe, corpus_crc, len and arrays say what is wanted) from the newest
 * whole file; out_found tells whether there was one. False when a whole checkpoint belongs to
 * another recipe or corpus, or the folder cannot be read: starting over would then be wrong. */
bool lm_checkpoints_load(struct lm_checkpoints *checkpoints, struct lm_snapshot *snapshot,
                         char *out_name, bool *out_found, lm_checkpoint_note *note, void *context,
                         struct lm_fault *fault) LM_CHECKED;

#endif
