/* From fork to bubblewrap: what is got ready in the supervisor, and the steps of the child. */
#ifndef LQ_SUPERVISE_CHILD_EXEC_H
#define LQ_SUPERVISE_CHILD_EXEC_H

#include <sys/types.h>

#include "supervise/child.h"
#include "supervise/sandbox.h"

enum { CHILD_EXEC_PATH_MAX = 4096 };

struct child_exec {
    const struct supervise_doc *doc;
    const struct cgroup *group;
    int folder, work, scratch, script;    /* folders; script is ours to close */
    int root;                             /* of an image; ours; -1: the host's own */
    int args, passwd, group_file, filter; /* memory files that bubblewrap reads; ours */
    int net;                              /* the gang's network; borrowed; -1: none */
    int output, status;                   /* borrowed */
    struct sandbox_command command;
    pid_t parent;
    const char *stage; /* where the folders are shown to bubblewrap; NULL: by their own paths */
};

/* On failure child_exec_discard is still due. */
enum err child_exec_prepare(struct child_exec *exec, const struct child *child, int output,
                            struct fault *fault) LQ_CHECKED;
void child_exec_discard(struct child_exec *exec);
/* In the child. What fails is written to the output. */
_Noreturn void child_exec_run(const struct child_exec *exec);

#endif
