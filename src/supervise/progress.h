/* How far the program is, by its own word: a file in its scratch folder with one growing number
 * (docs/formats/supervise.md). The program owns the file and may put anything there: what is no
 * plain file with a number that grew is passed over. One thread. */
#ifndef LQ_SUPERVISE_PROGRESS_H
#define LQ_SUPERVISE_PROGRESS_H

#include "base/time.h"
#include "drive/supervise_doc.h"

struct progress {
    bool has_first;
    struct wall_us first_written, last_written; /* the file's own times */
    struct boot_ns first_at, last_at;           /* when it was seen */
    struct boot_ns next_at;
    struct attempt_progress told;
};

/* Reads SUPERVISE_PROGRESS_NAME in `scratch` when it is due, or at once with `is_last`. Units and
 * time count from the first number seen, which is what the program began with. */
void progress_look(struct progress *progress, int scratch, struct boot_ns now, bool is_last);

#endif
