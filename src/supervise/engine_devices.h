/* Devices that the engine chose: which ones is in the environment that it gave the supervisor, in
 * its own words; the program gets them in its runtime's. Slurm sets a variable for three runtimes
 * and numbers for the rest. */
#ifndef LQ_SUPERVISE_ENGINE_DEVICES_H
#define LQ_SUPERVISE_ENGINE_DEVICES_H

#include "drive/supervise_doc.h"

/* Device numbers ascending, without blanks; what is not a list of numbers stays as it is (vendors'
 * own ids). In the arena. ERR_NO_MEMORY. */
enum err engine_devices_order(struct slice text, struct arena *arena, struct slice *out) LQ_CHECKED;
/* Puts the runtime's variable and device files into the document. ERR_NOT_FOUND: the engine named
 * none; ERR_NO_MEMORY. */
enum err engine_devices_take(struct supervise_doc *doc, struct arena *arena,
                             struct fault *fault) LQ_CHECKED;

#endif
