/* Walking below one folder by descriptors, a name at a time, never through a link: what the
 * manifest code opens is inside, whatever others do to the tree meanwhile. */
#ifndef LQ_STORE_FOLDER_FD_H
#define LQ_STORE_FOLDER_FD_H

#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

/* The folder at `path` itself; the path's last part may not be a link. */
enum err folder_fd_open(const char *path, struct fault *fault, int *out_fd) LQ_CHECKED;
/* The folder `path` ("a/b", "" for the root itself) below `root_fd`. ERR_INVALID: a part is a link
 * or no folder. */
enum err folder_fd_open_below(int root_fd, struct slice path, struct fault *fault,
                              int *out_fd) LQ_CHECKED;
/* The folder that holds `path`, and its last part, NUL-terminated in `name` (256 bytes). */
enum err folder_fd_open_parent(int root_fd, struct slice path, struct fault *fault, int *out_fd,
                               char name[256]) LQ_CHECKED;
/* `number` is an errno; names `path` in the fault. */
enum err folder_fd_error(int number, struct slice path, struct fault *fault);

#endif
