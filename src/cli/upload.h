/* What a job file names on this machine goes to the server before the job does. */
/* `tenant`: on whose account; NULL: the own one. */
#ifndef LQ_CLI_UPLOAD_H
#define LQ_CLI_UPLOAD_H

#include "cli/api.h"

/* Writes the job (or {"jobs":[...]}) as JSON for the API. A `workdir` that is a folder here
 * (relative to the job file) is uploaded and replaced by its artifact id, and so are `file_mounts`
 * that begin with "." or "/"; `name` (may be NULL)
 * replaces the job's. EXIT_DONE or a told error. */
int upload_job(struct cli *cli, const char *tenant, const char *job_path, struct json_value root,
               const char *name, struct buffer *out);
/* Uploads a folder; its artifact id in the arena. */
int upload_folder(struct cli *cli, const char *tenant, const char *path, struct slice *out_id);

#endif
