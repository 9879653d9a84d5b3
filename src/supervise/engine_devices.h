/* Devices that the engine chose: which ones is in the environment that it gave the supervisor, in
 * its own words; the program gets them in its stack's (drive/stack.h). */
#ifndef LQ_SUPERVISE_ENGINE_DEVICES_H
#define LQ_SUPERVISE_ENGINE_DEVICES_H

#include "drive/supervise_doc.h"

/* Puts the stack's variables, LQ_DEVICES and device files into the document. ERR_NOT_FOUND: the
 * engine named none; ERR_NO_MEMORY. */
enum err engine_devices_take(struct supervise_doc *doc, struct arena *arena,
                             struct fault *fault) LQ_CHECKED;

#endif
