/* Rows of the nouns as columns, both ways. The column lists here and the functions in sqlite_rows.c
 * are one thing: same order. Read slices live until the next step of the statement. */
#ifndef LQ_STORE_SQLITE_ROWS_H
#define LQ_STORE_SQLITE_ROWS_H

#include "model/change.h"
#include "store/sql.h"

/* String literals, so that statements stay constant. */
#define ROW_JOB_FIXED "id,spec,tenant,submitter,array_index,created_epoch,created_at"
#define ROW_JOB_MUTABLE                                                                            \
    "state,cancel,attempt,epoch,program_failures,infra_failures,last_site,ended_at,exit_code,"     \
    "outcome,version,failures"
#define ROW_ATTEMPT_FIXED                                                                          \
    "job,number,epoch,site,journal,variant,nodes,contact,lease_ms,ask,offered_at"
#define ROW_ATTEMPT_MUTABLE "state,revoke,outcome,exit_code,started_at,ended_at,ran_ms,version"
#define ROW_USAGE                                                                                  \
    "job,attempt,epoch,is_last,runtime,accelerator,measured_at,"                                   \
    "wall,cpu,cpu_held,accel,mem,gate_wait,kill_wait,"                                             \
    "all_wall,all_cpu,all_cpu_held,all_accel,all_mem,all_gate_wait,all_kill_wait"
#define ROW_ARTIFACT                                                                               \
    "id,kind,tenant,job,attempt,epoch,step,is_stale,size,jurisdiction,runtime,world_size,"         \
    "created_at"

enum {
    ROW_JOB_FIXED_COUNT = 7,
    ROW_JOB_MUTABLE_COUNT = 12,
    ROW_ATTEMPT_FIXED_COUNT = 11,
    ROW_ATTEMPT_MUTABLE_COUNT = 8,
    ROW_USAGE_COUNT = 21,
    ROW_ARTIFACT_COUNT = 13,
};

/* Each binds from `position` and returns the next one. The row must live until the statement is
 * reset. */
int row_job_bind_fixed(sqlite3_stmt *statement, int position, const struct job_row *row);
int row_job_bind_mutable(sqlite3_stmt *statement, int position, const struct job_row *row);
int row_attempt_bind_fixed(sqlite3_stmt *statement, int position, const struct attempt_row *row);
int row_attempt_bind_mutable(sqlite3_stmt *statement, int position, const struct attempt_row *row);
int row_usage_bind(sqlite3_stmt *statement, int position, const struct usage_record *record);
int row_artifact_bind(sqlite3_stmt *statement, int position, const struct artifact_row *row);

/* Each reads from `column` and returns the next one. site, journal and seq of a usage record are
 * other columns. What is read may still be out of range: see row_job_check. */
int row_job_read(sqlite3_stmt *statement, int column, struct job_row *out);
int row_attempt_read(sqlite3_stmt *statement, int column, struct attempt_row *out);
int row_usage_read(sqlite3_stmt *statement, int column, struct usage_record *out);
int row_artifact_read(sqlite3_stmt *statement, int column, struct artifact_row *out);

/* ERR_CORRUPT when an enumeration is out of its range. */
enum err row_job_check(const struct job_row *row, struct fault *fault) LQ_CHECKED;
enum err row_attempt_check(const struct attempt_row *row, struct fault *fault) LQ_CHECKED;

/* Quantities alone, seven columns. */
int row_quantities_bind(sqlite3_stmt *statement, int position, const struct usage_quantities *q);
int row_quantities_read(sqlite3_stmt *statement, int column, struct usage_quantities *out);

#endif
