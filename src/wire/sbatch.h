/* An sbatch script, read as sbatch reads it: the #SBATCH lines before the first command, split into
 * words, taken as options by the rules of getopt_long, under the environment's and the command
 * line's. What each option means here is one table (sbatch_options): honoured, mapped to something
 * of ours, without effect and told so, or refused by name with how to mend it.
 *
 * Values: a `struct sbatch` borrows the script, the arguments and the environment that it was read
 * from, and the arena. Pure. Faults have the line in the script (0: not from the script) and the
 * option's name as the field. */
#ifndef LQ_WIRE_SBATCH_H
#define LQ_WIRE_SBATCH_H

#include "base/arena.h"
#include "model/job.h"

enum {
    SBATCH_SCRIPT_BYTES_MAX =
        200 << 10, /* what is put before it must fit into a job's script too */
    SBATCH_WORDS_MAX = 1024,
    SBATCH_WORD_BYTES_MAX = 8192, /* as sbatch has it */
    SBATCH_RANGES_MAX = 1024,
    SBATCH_DEPENDENCIES_MAX = 256,
    SBATCH_OPTIONS_MAX = 128,
};

/* Options whose value means something here. */
enum sbatch_id {
    SBATCH_OTHER, /* refused, or without effect */
    SBATCH_ACCOUNT,
    SBATCH_ARRAY,
    SBATCH_CHDIR,
    SBATCH_COMMENT,
    SBATCH_CONSTRAINT,
    SBATCH_CPUS_PER_GPU,
    SBATCH_CPUS_PER_TASK,
    SBATCH_DEPENDENCY,
    SBATCH_ERROR,
    SBATCH_EXPORT,
    SBATCH_GPUS,
    SBATCH_GPUS_PER_NODE,
    SBATCH_GPUS_PER_TASK,
    SBATCH_GRES,
    SBATCH_HELP,
    SBATCH_INPUT,
    SBATCH_JOB_NAME,
    SBATCH_MEM,
    SBATCH_MEM_PER_CPU,
    SBATCH_MEM_PER_GPU,
    SBATCH_MINCPUS,
    SBATCH_NODES,
    SBATCH_NTASKS,
    SBATCH_NTASKS_PER_NODE,
    SBATCH_OPEN_MODE,
    SBATCH_OUTPUT,
    SBATCH_PARSABLE,
    SBATCH_PARTITION,
    SBATCH_QOS,
    SBATCH_QUIET,
    SBATCH_REQUEUE,
    SBATCH_SIGNAL,
    SBATCH_TEST_ONLY,
    SBATCH_TIME,
    SBATCH_TMP,
    SBATCH_USAGE,
    SBATCH_VERSION,
    SBATCH_WAIT,
    SBATCH_WRAP,
    SBATCH_ID_COUNT_
};

enum sbatch_argument { SBATCH_NO_ARGUMENT, SBATCH_ARGUMENT, SBATCH_OPTIONAL_ARGUMENT };
enum sbatch_treatment { SBATCH_HONOURED, SBATCH_MAPPED, SBATCH_NO_EFFECT, SBATCH_REFUSED };

struct sbatch_option {
    const char *name; /* "job-name" */
    char letter;      /* 'J'; 0: none */
    enum sbatch_argument argument;
    enum sbatch_treatment treatment;
    enum sbatch_id id;
    const char *environment; /* "SBATCH_JOB_NAME"; NULL: none */
    const char *about;       /* mapped: to what; no effect: why; refused: how to mend */
};

/* Sorted by name; they live for ever. */
const struct sbatch_option *sbatch_options(size_t *out_count);
const char *sbatch_treatment_name(enum sbatch_treatment treatment);

struct sbatch_value {
    struct slice text; /* of an option without argument: its name */
    uint32_t line;     /* in the script; 0: environment or command line */
    bool is_set;
};

struct sbatch {
    struct sbatch_value values[SBATCH_ID_COUNT_];
    bool has_no_effect[SBATCH_OPTIONS_MAX]; /* by index in sbatch_options: given, to be told */
};

/* The rules of sbatch for the text itself: "#!" first, no NUL, no \r\n, not blank; and ours: UTF-8.
 * ERR_INVALID, ERR_LIMIT. */
enum err sbatch_script_check(struct slice script, struct fault *fault) LQ_CHECKED;
/* The #SBATCH lines. ERR_INVALID, ERR_UNSUPPORTED (refused by name), ERR_LIMIT, ERR_NO_MEMORY. */
enum err sbatch_read_script(struct slice script, struct arena *arena, struct sbatch *sbatch,
                            struct fault *fault) LQ_CHECKED;
/* One NAME=VALUE of the environment; others are passed over. */
enum err sbatch_read_environment(struct slice name, struct slice value, struct sbatch *sbatch,
                                 struct fault *fault) LQ_CHECKED;
/* Arguments after the command's name, up to the first that is no option: *out_used of them. */
enum err sbatch_read_arguments(const char *const *argv, size_t count, struct sbatch *sbatch,
                               size_t *out_used, struct fault *fault) LQ_CHECKED;

/* ---- what the values say */

struct sbatch_range {
    uint32_t first, step, count;
};
enum sbatch_after { SBATCH_AFTER, SBATCH_AFTER_ANY, SBATCH_AFTER_OK, SBATCH_AFTER_NOT_OK };
struct sbatch_dependency {
    enum sbatch_after kind;
    uint64_t number;
};
enum sbatch_export { SBATCH_EXPORT_ALL, SBATCH_EXPORT_NONE, SBATCH_EXPORT_SOME };

struct sbatch_plan {
    struct slice name; /* empty: none was said */
    uint32_t nodes, ntasks, cpus_per_task, tasks_per_node;
    uint32_t cpus; /* of each node */
    bool has_ntasks, has_cpus_per_task;
    uint64_t mem_mib;          /* of each node; 0: nothing said */
    uint64_t mem_per_cpu_mib;  /* 0: not said so */
    uint64_t scratch_mib;      /* 0: nothing said */
    uint32_t gpus;             /* of each node */
    struct slice gpu_type;     /* empty: any */
    struct span_ms time_limit; /* 0: none */
    bool has_array;
    struct sbatch_range *ranges;
    uint32_t range_count, array_count, array_parallel, array_min, array_max, array_step;
    enum priority_class priority;
    struct slice account, partition, constraint, comment, chdir;
    struct slice output, error, input; /* patterns; empty: not said */
    bool is_appending;
    enum sbatch_export export_mode;
    const struct text_pair *exports; /* names; a value with data NULL: the environment's own */
    uint32_t export_count;
    struct sbatch_dependency *dependencies;
    uint32_t dependency_count;
    bool is_any_dependency; /* '?': one of them is enough */
    int32_t signal;         /* 0: none */
    struct span_ms signal_before;
    struct slice wrap;
    bool is_once; /* not started again when its site or node is lost */
    bool is_parsable, is_test, is_waiting, is_quiet;
};

/* ERR_INVALID, ERR_UNSUPPORTED, ERR_LIMIT, ERR_NO_MEMORY. */
enum err sbatch_plan(const struct sbatch *sbatch, struct arena *arena, struct sbatch_plan *out,
                     struct fault *fault) LQ_CHECKED;

#endif
