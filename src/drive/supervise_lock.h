/* Locks by which a rank's life shows, whoever asks: the kernel drops them with their holder. Asking
 * takes nothing, so that it never stands in a starter's way. Thread-neutral. */
#ifndef LQ_DRIVE_SUPERVISE_LOCK_H
#define LQ_DRIVE_SUPERVISE_LOCK_H

#include <stdbool.h>

#include "base/err.h"

/* Exclusive, for as long as the file description lives. ERR_BUSY: another has it; ERR_IO. */
enum err supervise_lock_take(int fd) LQ_CHECKED;
bool supervise_lock_is_held(int fd);

#endif
