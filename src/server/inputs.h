/* Mounts and datasets of a job become the content that they name when the job is submitted: what a
 * name stands for later changes nothing for it. */
#ifndef LQ_SERVER_INPUTS_H
#define LQ_SERVER_INPUTS_H

#include "model/job.h"
#include "server/directory.h"

/* Sets spec->inputs, in the arena, from the datasets of that tenant. ERR_INVALID (the spec brings
 * inputs of its own, a dataset has no content in the network), ERR_NOT_FOUND (no such dataset),
 * ERR_NO_MEMORY; the fault names the field. */
enum err inputs_resolve(const struct directory *directory, struct tenant_id tenant,
                        struct arena *arena, struct job_spec *spec, struct fault *fault) LQ_CHECKED;

#endif
