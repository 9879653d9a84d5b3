/* Submitting an sbatch script: `lq submit job.sh`, and the sbatch of `lq slurm-shim`. */
#ifndef LQ_CLI_SBATCH_H
#define LQ_CLI_SBATCH_H

#include "cli/api.h"
#include "cli/slurm_book.h"
#include "wire/sbatch_job.h"

struct sbatch_call {
    const char *const *argv; /* sbatch's arguments: options, the script's name, its arguments */
    size_t argc;
    const char *tenant; /* goes before --account; NULL: --account, else the own one */
    const char *name;   /* goes before --job-name; NULL: none */
};

struct sbatch_submission { /* all of it in the cli's arena */
    struct sbatch_plan plan;
    struct book_entry entry;
    const char *tenant; /* on whose account, by name or id; NULL: the own one */
};

#define SLURM_SPOKEN "22.05.0" /* the version whose language this is */

enum { SBATCH_EXIT_OPTION = 255 }; /* wrong options, as sbatch leaves; else enum exit_code */

/* Does the file's text begin as a script does? */
bool sbatch_is_script(struct slice text);
/* Reads script, environment and arguments, waits for dependencies, uploads the work folder, and
 * writes the job for POST /v1/jobs. Tells errors, and what is mapped or has no effect. EXIT_DONE,
 * SBATCH_EXIT_OPTION or another exit code. `--help`, `--usage` and `--version` are the caller's:
 * they give -1 and nothing is made. */
int sbatch_prepare(struct cli *cli, const struct sbatch_call *call, struct buffer *body,
                   struct sbatch_submission *out);
/* The server took it: its number goes into the book. */
int sbatch_booked(struct cli *cli, struct sbatch_submission *submission,
                  const struct api_reply *reply);
/* Options and what becomes of them. */
void sbatch_help(struct cli *cli);

/* ---- sbatch_place.c: names of Slurm's into the network's */

/* Sites, regions, jurisdictions and the chip's model that --partition and --constraint name, and
 * the shared folder that holds `work_dir`. EXIT_DONE or a told error. `tenant`: its id. */
int sbatch_place(struct cli *cli, const struct sbatch_plan *plan, struct slice tenant,
                 struct slice work_dir, struct sbatch_job *out);

#endif
