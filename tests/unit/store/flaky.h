/* A SQLite VFS over the system's that fails the n-th write, sync or truncation, once or from then
 * on, as an I/O error or as a full disk. */
#ifndef LQ_TEST_STORE_FLAKY_H
#define LQ_TEST_STORE_FLAKY_H

#include <stdbool.h>

struct flaky {
    long left;       /* operations that still succeed; negative: all do */
    bool is_lasting; /* all further ones fail too */
    bool is_full;    /* SQLITE_FULL on writes, else SQLITE_IOERR */
    long seen;       /* operations so far */
};

extern struct flaky flaky;
void flaky_register(void); /* as "flaky" */

#endif
