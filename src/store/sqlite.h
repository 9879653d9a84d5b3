/* The SQLite backend, inside: its state, its kept statements, and the parts it is cut into. */
#ifndef LQ_STORE_SQLITE_H
#define LQ_STORE_SQLITE_H

#include "port/file.h"
#include "store/backend.h"
#include "store/sql.h"

enum {
    SQLITE_STORE_APPLICATION = 0x4c514442, /* "LQDB" */
    SQLITE_STORE_PATH_MAX = FILE_PATH_MAX,
    SQLITE_STORE_EVENT_SLICE = 512,      /* at least so many old events go at once */
    SQLITE_STORE_KEYS_SLICE = 64,        /* at least so many expired keys go at once */
    SQLITE_STORE_WATERMARKS_MAX = 65536, /* in one answer */
};

enum sqlite_statement {
    SQL_META_READ,
    SQL_META_EPOCH,
    SQL_META_QUARANTINED,
    SQL_META_AUDIT,
    SQL_META_EVENTS,
    SQL_SPEC_INSERT,
    SQL_JOB_INSERT,
    SQL_JOB_UPDATE,
    SQL_JOB_MOVE,
    SQL_ATTEMPT_INSERT,
    SQL_ATTEMPT_UPDATE,
    SQL_ATTEMPT_MOVE,
    SQL_STREAM_FIND,
    SQL_STREAM_INSERT,
    SQL_USAGE_INSERT,
    SQL_USAGE_GET,
    SQL_QUARANTINE_SAME,
    SQL_QUARANTINE_INSERT,
    SQL_WATERMARK_INSERT,
    SQL_WATERMARK_UPDATE,
    SQL_DOC_INSERT,
    SQL_DOC_UPDATE,
    SQL_DOC_DELETE,
    SQL_ARTIFACT_INSERT,
    SQL_AUDIT_INSERT,
    SQL_EVENT_INSERT,
    SQL_EVENT_PRUNE,
    SQL_IDEMPOTENCY_INSERT,
    SQL_IDEMPOTENCY_SWEEP,
    SQL_UTILISATION_ADD,
    SQL_UTILISATION_PRUNE,
    SQL_PROBE_WRITE,
    SQL_PROBE_ERASE,
    SQL_LOAD_DOCS,
    SQL_LOAD_SPECS,
    SQL_LOAD_JOBS,
    SQL_LOAD_ATTEMPTS,
    SQL_LOAD_WATERMARKS,
    SQL_JOB_GET,
    SQL_JOB_IDS,
    SQL_JOB_IDS_OF,
    SQL_JOB_TENANT_NEXT,
    SQL_JOB_COUNT,
    SQL_JOB_COUNT_OF,
    SQL_SPEC_NAME,
    SQL_SPEC_GET,
    SQL_ATTEMPTS_OF,
    SQL_ATTEMPTS_LIVE,
    SQL_ATTEMPTS_AT,
    SQL_ATTEMPTS_ALL,
    SQL_USAGE_OF_JOB,
    SQL_USAGE_OF_STREAM,
    SQL_USAGE_ALL,
    SQL_SUM_JOB,
    SQL_SUM_TENANT,
    SQL_SUM_ALL,
    SQL_QUARANTINE_LIST,
    SQL_EVENT_LIST,
    SQL_AUDIT_LIST,
    SQL_DOC_GET,
    SQL_DOC_LIST,
    SQL_DOC_LIST_OF,
    SQL_ARTIFACT_GET,
    SQL_ARTIFACTS_OF_JOB,
    SQL_ARTIFACTS_OF_TENANT,
    SQL_ARTIFACTS_ALL,
    SQL_CHECKPOINT_NEWEST,
    SQL_HISTORY_JOBS,
    SQL_UTILISATION_OF,
    SQL_UTILISATION_ALL,
    SQL_IDEMPOTENCY_GET,
    SQL_RECLAIM_PUT,
    SQL_RECLAIMS_OF_SITE,
    SQL_RECLAIMS_ALL,
    SQLITE_STATEMENT_COUNT_
};

extern const struct sql_schema SQLITE_STORE_SCHEMA;
extern const char *const SQLITE_STORE_TEXTS[SQLITE_STATEMENT_COUNT_];

/* What the writer knows without asking; goes back with a rollback. */
struct sqlite_tails {
    struct store_meta meta;
    struct {
        struct site_id site;
        struct journal_id journal;
        uint64_t number;
    } stream; /* the last one used */
};

struct sqlite_store {
    struct store_db base;
    struct sql sql;
    struct sqlite_tails tails;
    struct file_lock lock;
    uint64_t events_kept_max;
    char path[SQLITE_STORE_PATH_MAX];
};

enum err sqlite_store_open(const struct store_config *config, struct store_db **out_db,
                           struct fault *fault) LQ_CHECKED;

/* sqlite_apply.c */
enum err sqlite_store_apply(struct store_db *db, const struct change *const *changes, size_t count,
                            struct wall_us now, struct change_result *results,
                            struct fault *fault) LQ_CHECKED;
enum err sqlite_store_probe(struct store_db *db, struct fault *fault) LQ_CHECKED;
/* sqlite_ops.c: one operation within the open transaction. ERR_STALE, or what failed. */
enum err sqlite_op_apply(struct sqlite_store *store, const struct change_op *op, struct wall_us now,
                         struct change_result *result, struct fault *fault) LQ_CHECKED;
/* sqlite_usage.c */
enum err sqlite_usage_insert(struct sqlite_store *store, const struct usage_record *record,
                             struct wall_us now, struct change_result *result,
                             struct fault *fault) LQ_CHECKED;
/* Number of the (site, journal) pair, made when `is_made`; 0 when there is none. */
enum err sqlite_stream(struct sqlite_store *store, struct site_id site, struct journal_id journal,
                       bool is_made, uint64_t *out_number, struct fault *fault) LQ_CHECKED;
/* sqlite_utilisation.c */
enum err sqlite_utilisation_add(struct sqlite_store *store, const struct change_op *op,
                                struct fault *fault) LQ_CHECKED;
enum err sqlite_query_utilisation(struct sqlite_store *store, const struct store_query *query,
                                  struct arena *arena, struct store_answer *out,
                                  struct fault *fault) LQ_CHECKED;
/* sqlite_load.c */
enum err sqlite_store_load(struct store_db *db, const struct store_load_sink *sink,
                           struct fault *fault) LQ_CHECKED;
enum err sqlite_tails_read(struct sqlite_store *store, struct fault *fault) LQ_CHECKED;
/* sqlite_query.c and its parts: inside a read transaction. */
enum err sqlite_store_query(struct store_db *db, const struct store_query *query,
                            struct arena *arena, struct store_answer *out,
                            struct fault *fault) LQ_CHECKED;
enum err sqlite_query_jobs(struct sqlite_store *store, const struct store_query *query,
                           struct arena *arena, struct store_answer *out,
                           struct fault *fault) LQ_CHECKED;
enum err sqlite_query_usage(struct sqlite_store *store, const struct store_query *query,
                            struct arena *arena, struct store_answer *out,
                            struct fault *fault) LQ_CHECKED;
enum err sqlite_query_history(struct sqlite_store *store, const struct store_query *query,
                              struct arena *arena, struct store_answer *out,
                              struct fault *fault) LQ_CHECKED;
enum err sqlite_query_logs(struct sqlite_store *store, const struct store_query *query,
                           struct arena *arena, struct store_answer *out,
                           struct fault *fault) LQ_CHECKED;

#endif
