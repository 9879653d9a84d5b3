/* The device files of a runtime on this machine: blocking, on file systems of the kernel's own. */
#ifndef LQ_DRIVE_DEVICE_FILES_H
#define LQ_DRIVE_DEVICE_FILES_H

#include "base/arena.h"
#include "model/job.h"

/* At most SUPERVISE_DEVICES_MAX paths, in the arena. ERR_NO_MEMORY. */
enum err device_files_list(enum runtime runtime, struct arena *arena,
                           struct text_list *out) LQ_CHECKED;
/* `folders` and those of the host that the runtime's stack reads. ERR_NO_MEMORY. */
enum err device_folders_add(enum runtime runtime, struct text_list folders, struct arena *arena,
                            struct text_list *out) LQ_CHECKED;

#endif
