/* The commands of `lq slurm-shim DIR`: lq called by the name of a command of Slurm's. One table
 * (shim.c) says which names there are; each answers for the jobs that have a number in the user's
 * book (slurm_book.h), asking the server for how they are. Output, errors and exit codes are
 * Slurm's. */
#ifndef LQ_CLI_SHIM_H
#define LQ_CLI_SHIM_H

#include "cli/api.h"
#include "cli/slurm_book.h"

/* By the last part of argv[0]; NULL: no command of Slurm's. */
struct shim_command {
    const char *name;
    int (*run)(struct cli *cli, int argc, char **argv);
};
const struct shim_command *shim_find(const char *path);
/* Exit code of the process. */
int shim_main(struct cli *cli, const struct shim_command *command, int argc, char **argv);

/* ---- shim_job.c: jobs as Slurm sees them */

enum shim_state {
    SHIM_PENDING,
    SHIM_CONFIGURING,
    SHIM_RUNNING,
    SHIM_COMPLETING,
    SHIM_COMPLETED,
    SHIM_CANCELLED,
    SHIM_FAILED,
    SHIM_TIMEOUT,
    SHIM_OUT_OF_MEMORY,
    SHIM_NODE_FAIL,
    SHIM_BOOT_FAIL,
    SHIM_STATE_COUNT_
};

struct shim_job {
    const struct book_entry *entry;
    uint32_t index;
    uint64_t number;
    enum shim_state state;
    int exit_code, exit_signal;   /* Slurm's "CODE:SIGNAL"; both 0 till the end */
    int64_t started_us, ended_us; /* 0: not yet */
    uint64_t restarts;
    struct slice site; /* where it is or was last; empty: nowhere yet */
};

struct shim_jobs {
    struct shim_job *items;
    size_t count;
};

struct shim_filter {
    const char *jobs;       /* "12,13_4"; NULL: all */
    const char *users;      /* NULL: all */
    const char *names;      /* NULL: all */
    const char *partitions; /* NULL: all */
    const char *accounts;   /* NULL: all */
    const char *states;     /* NULL: what `is_ended_wanted` says */
    bool is_ended_wanted;
    bool is_strict; /* a number that nobody has is an error */
};

const char *shim_state_name(enum shim_state state);
const char *shim_state_short(enum shim_state state);
bool shim_state_is_final(enum shim_state state);
/* The name of an error that Slurm tells: "Invalid job id specified". */
#define SHIM_NO_SUCH_JOB "Invalid job id specified"
/* Ordered by number. EXIT_DONE, EXIT_NOT_FOUND (told nothing), or a told error. */
int shim_jobs_load(struct cli *cli, const struct shim_filter *filter, struct shim_jobs *out);
/* "12" or "13_4": *out_task -1 without one; false: neither. */
bool shim_number_parse(struct slice text, uint64_t *out_number, int64_t *out_task);

/* ---- shim_field.c: columns */

struct shim_columns;
/* Of squeue: "%.18i %t". */
struct shim_columns *shim_columns_squeue(struct cli *cli, const char *format);
/* Of sacct: "JobID,State%20"; NULL and told: an unknown field. */
struct shim_columns *shim_columns_sacct(struct cli *cli, const char *format);
enum shim_style { SHIM_PADDED, SHIM_PARSABLE, SHIM_PARSABLE_END };
void shim_heads_print(struct cli *cli, const struct shim_columns *columns, enum shim_style style);
void shim_job_print(struct cli *cli, const struct shim_columns *columns, enum shim_style style,
                    const struct shim_job *job);
/* Local time as Slurm writes it; `none` when it is 0. */
void shim_time_format(int64_t us, const char *none, char out[32]);
/* "1-02:03:04", "02:03:04"; `is_short`: as squeue has it, "2:03". */
void shim_span_format(int64_t seconds, bool is_short, char out[32]);

/* ---- the commands */
/* The person's name here; "" when it has none. */
const char *shim_user(struct cli *cli);
int shim_squeue(struct cli *cli, int argc, char **argv);   /* shim_list.c */
int shim_sacct(struct cli *cli, int argc, char **argv);    /* shim_list.c */
int shim_scontrol(struct cli *cli, int argc, char **argv); /* shim_show.c */
int shim_sinfo(struct cli *cli, int argc, char **argv);    /* shim_show.c */
int shim_sacctmgr(struct cli *cli, int argc, char **argv); /* shim_show.c */

#endif
