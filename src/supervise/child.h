/* The program of a rank: started inside control group and sandbox, signalled, killed with all its
 * descendants, and waited for until none is left. One thread; the caller polls. */
#ifndef LQ_SUPERVISE_CHILD_H
#define LQ_SUPERVISE_CHILD_H

#include <sys/types.h>

#include "drive/supervise_doc.h"

struct child {
    const struct supervise_doc *doc; /* borrowed */
    int folder, work, scratch;       /* descriptors: the rank's folder and two inside */
    struct cgroup group;             /* the rank's own; version 0: none */
    struct cgroup engine;            /* the one that the engine made for the job; else version 0 */
    uint64_t engine_kills;           /* in there, before the program began */
    int net;                         /* the gang's network, once found; -1 */
    pid_t bwrap;                     /* 0: not started, or reaped */
    pid_t init;                      /* process 1 of the sandbox, as we see it; 0: not yet known */
    int status_fd;                   /* bubblewrap's word; -1: closed */
    struct buffer status;
    bool is_started, has_exit_code;
    int32_t exit_code; /* the program's, 128+n for signals; without it the sandbox failed */
};

void child_init(struct child *child, const struct supervise_doc *doc, int folder);
void child_deinit(struct child *child);
/* Makes folders, the control group, and hands the folders to the program's user: all that can be
 * done before the gate opens. ERR_IO, ERR_LIMIT, ...; the fault is a sentence. */
enum err child_prepare(struct child *child, struct fault *fault) LQ_CHECKED;
/* Starts it; `output` is what it prints to. A sandbox that fails later shows as an end without
 * exit code. */
enum err child_start(struct child *child, int output, struct fault *fault) LQ_CHECKED;
void child_signal(struct child *child, int signal_number); /* to the program itself */
void child_kill(struct child *child);                      /* everything, at once */
void child_read_status(struct child *child);               /* when status_fd is readable */
/* Reaps; true: it was started, and every process of it is gone. */
bool child_is_gone(struct child *child);
int64_t child_cpu_ms(const struct child *child); /* so far; 0: not known */
bool child_ran_out_of_memory(const struct child *child);
/* After the end: the control group, the scratch folder. */
void child_clear(struct child *child);

#endif
