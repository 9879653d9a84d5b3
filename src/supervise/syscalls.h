/* The system calls that no job needs and that reach deep into the kernel, as a filter program for
 * bubblewrap (docs/adr/0016-system-calls.md). A refused call returns an error; nothing is killed.
 * What is not named is allowed: the list must not break a vendor's runtime that we never saw. */
#ifndef LQ_SUPERVISE_SYSCALLS_H
#define LQ_SUPERVISE_SYSCALLS_H

#include "base/buffer.h"

enum { SYSCALLS_BYTES_MAX = 4096 };

/* Instructions of the kernel's classic packet filter for this processor, one after another: what
 * prctl(PR_SET_SECCOMP) takes. ERR_LIMIT, ERR_NO_MEMORY. */
enum err syscalls_filter(struct buffer *out) LQ_CHECKED;

#endif
