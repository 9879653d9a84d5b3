/* Copies of the server's database: made while it runs, put back while it does not. */
#ifndef LQ_STORE_BACKUP_H
#define LQ_STORE_BACKUP_H

#include "base/err.h"
#include "store/store.h"

struct store_backup;

enum { BACKUP_STEP_PAGES = 256 }; /* default pages of one step */

/* Online copy of the database at `source_path` to `target_path`, through a read-only connection of
 * its own, so that it may run on any thread beside the writer. The target is written as
 * "<target>.partial" and gets its name, durable and checked, when the last step is done. ERR_EXISTS
 * (the target stands already), ERR_NOT_FOUND, ERR_FULL, ERR_IO. */
enum err store_backup_begin(const char *source_path, const char *target_path,
                            struct store_backup **out_backup, struct fault *fault) LQ_CHECKED;
/* Copies `pages` more (0: BACKUP_STEP_PAGES). *out_left 0: complete. A copy sees one state of the
 * source, the one at begin. */
enum err store_backup_step(struct store_backup *backup, uint32_t pages, uint32_t *out_left,
                           struct fault *fault) LQ_CHECKED;
/* Ends it; an incomplete copy is removed. Accepts NULL. */
void store_backup_end(struct store_backup *backup);

/* Puts a backup in the place of the database at `path` (which nobody may have open; ERR_BUSY). What
 * stood there is kept as
 * "<path>.before-restore-N". The copy is checked and marked so that store_meta.is_restored is true
 * until the epoch has been raised; its epoch starts at the higher of both databases'. ERR_CORRUPT,
 * ERR_NOT_FOUND, ERR_FULL, ERR_IO; what stood there is untouched on failure. */
enum err store_restore(const char *backup_path, const char *path, struct fault *fault) LQ_CHECKED;

#endif
