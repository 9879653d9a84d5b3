/* Whose the state folder is. A folder that was copied speaks with the same certificate from the
 * same journal, and its gate knows nothing of what the original has let through since: both could
 * run one attempt, and no message would tell them apart. So a journal is used only where it was
 * written: the file "machine" in the folder holds the machine's id and its own inode number, which
 * a copy does not keep. Anything else than the expected bytes is refused before the journal is
 * opened.
 *
 * A picture of a whole disk with the machine's id keeps both; that is outside of what is found
 * here (docs/protocol.md). Blocking calls, at the start only. */
#ifndef LQ_AGENT_HOME_H
#define LQ_AGENT_HOME_H

#include <stdbool.h>

#include "base/err.h"

/* The file that names a Linux system; it may be missing. */
#define HOME_MACHINE_ID "/etc/machine-id"

/* Call with the folder's lock held. A folder without a journal and without the file is taken for
 * this machine. ERR_DENIED: it is another machine's or a copy, nothing was changed. `is_moved`: the
 * operator's word that the former one is gone and runs nothing; the journal is set aside as
 * "journal.db.moved-N", so that what ran is reported as not known, and the folder is taken. After a
 * crash in between it is still refused. ERR_LIMIT: too many lie aside, or the path is too long. */
enum err home_claim(const char *state_folder, const char *machine_id_path, bool is_moved,
                    struct fault *fault) LQ_CHECKED;

#endif
