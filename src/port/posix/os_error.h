/* Operating system errors as ours. Private to port/posix. Thread-neutral. */
#ifndef LQ_PORT_POSIX_OS_ERROR_H
#define LQ_PORT_POSIX_OS_ERROR_H

#include "base/err.h"

/* `number` is an errno value, or a libuv error (negative errno, or one of its address look-up
 * codes). */
enum err os_error(int number);
/* As os_error, with "<what> <subject>: <reason of the system>" in the fault. Returns the code. */
enum err os_fault(struct fault *fault, int number, const char *what, const char *subject);

#endif
