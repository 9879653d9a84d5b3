/* The journal, inside. */
#ifndef LQ_STORE_JOURNAL_SQL_H
#define LQ_STORE_JOURNAL_SQL_H

#include "port/file.h"
#include "store/journal.h"
#include "store/sql.h"

enum {
    JOURNAL_APPLICATION = 0x4c514a4e, /* "LQJN" */
    JOURNAL_PATH_MAX = FILE_PATH_MAX - 64,
};

enum journal_statement {
    JOURNAL_SQL_META_READ,
    JOURNAL_SQL_META_SET,
    JOURNAL_SQL_USAGE_LAST,
    JOURNAL_SQL_ATTEMPT_INSERT,
    JOURNAL_SQL_ATTEMPT_UPDATE,
    JOURNAL_SQL_ATTEMPT_FORGET,
    JOURNAL_SQL_ATTEMPTS,
    JOURNAL_SQL_USAGE_INSERT,
    JOURNAL_SQL_USAGE_PRUNE,
    JOURNAL_SQL_USAGE_AFTER,
    JOURNAL_SQL_PROBE_WRITE,
    JOURNAL_SQL_PROBE_ERASE,
    JOURNAL_STATEMENT_COUNT_
};

extern const struct sql_schema JOURNAL_SCHEMA;
extern const char *const JOURNAL_TEXTS[JOURNAL_STATEMENT_COUNT_];

/* What is known without asking; goes back with a rollback. */
struct journal_tails {
    struct journal_meta meta;
    bool has_meta;
    uint64_t usage_last; /* seq of the newest record ever appended, as far as the file tells */
};

struct journal {
    struct sql sql;
    struct journal_tails tails;
    struct file_lock lock;
    char path[JOURNAL_PATH_MAX];
};

enum err journal_tails_read(struct journal *journal, struct fault *fault) LQ_CHECKED;
enum err journal_op_apply(struct journal *journal, const struct journal_op *op,
                          struct fault *fault) LQ_CHECKED;

#endif
