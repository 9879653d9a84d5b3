/* A job from what an sbatch script asks for: the JSON that POST /v1/jobs takes. The user's texts
 * are values in it; the shell text in front of the script (sbatch_prologue.sh) is the same for all.
 * Pure.
 */
#ifndef LQ_WIRE_SBATCH_JOB_H
#define LQ_WIRE_SBATCH_JOB_H

#include "wire/json_writer.h"
#include "wire/sbatch.h"

extern const char SBATCH_PROLOGUE[];
extern const size_t SBATCH_PROLOGUE_LEN;

enum { SBATCH_ARGS_MAX = 100 };

struct sbatch_job { /* all borrowed */
    const struct sbatch_plan *plan;
    struct slice name;
    struct slice script; /* checked by sbatch_script_check */
    const char *const *args;
    uint32_t arg_count;
    uint64_t number; /* SLURM_JOB_ID of the job, or of the array's first element */
    struct slice submit_dir, submit_host, user;
    uint32_t uid, gid;
    const struct text_pair *environment; /* of the submitter, whole */
    uint32_t environment_count;
    struct slice work_dir; /* absolute, inside `shared`; without `shared` the folder to upload, or
                              empty for an empty one */
    struct slice shared;   /* the granted folder; empty: none */
    struct text_list sites, regions, jurisdictions; /* what partition and constraint came to */
    struct slice gpu_type;                          /* the plan's or the constraint's; empty: any */
};

/* How many variables of the submitter would not go: of this machine, secrets of ours, or not fit
 * for a job. Informs only. */
struct sbatch_job_notes {
    uint32_t exported, left_out;
};

/* One object. ERR_LIMIT: too many variables or arguments; ERR_INVALID: a variable that --export
 * names is not set or has no fit name; ERR_NO_MEMORY. */
enum err sbatch_job_write(const struct sbatch_job *job, struct arena *arena,
                          struct json_writer *writer, struct sbatch_job_notes *out_notes,
                          struct fault *fault) LQ_CHECKED;

#endif
