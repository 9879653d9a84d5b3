/* Child processes, started from argument arrays; there is no shell anywhere. Children inherit
 * exactly the descriptors that are listed (every descriptor of ours is close-on-exec), default
 * signal dispositions and an empty signal mask. Loop thread only. */
#ifndef LQ_PORT_PROCESS_H
#define LQ_PORT_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct loop;
struct process;

enum process_group {
    PROCESS_GROUP_OURS,       /* stays in this process's group */
    PROCESS_GROUP_NEW_SESSION /* leader of a new session and group; process_kill_group works */
};

enum { PROCESS_FDS_MAX = 32 };

struct process_fd {
    int ours;   /* open descriptor here; -1: /dev/null */
    int theirs; /* its number in the child, 0 to PROCESS_FDS_MAX - 1 */
};

struct process_options {
    const char *const
        *argv; /* NULL-terminated; argv[0] with '/' is a path, else looked up in PATH of `env` */
    const char *const *env;       /* NULL-terminated "NAME=value"; NULL: an empty environment */
    const char *cwd;              /* NULL: ours */
    const struct process_fd *fds; /* 0, 1 and 2 are /dev/null unless listed */
    size_t fd_count;
    enum process_group group;
    bool has_ids; /* change to uid and gid first (needs privilege) */
    uint32_t uid, gid;
};

struct process_exit {
    int64_t status; /* exit status when signal is 0 */
    int signal;     /* the signal that ended it, or 0 */
};

/* Start. on_exit comes once, when this process has ended (its descendants may live on), after which
 * `process` is still valid until process_destroy. ERR_NOT_FOUND (no such program or folder),
 * ERR_DENIED, ERR_LIMIT, ERR_IO; the fault says which. The strings are used during the call only.
 */
enum err process_spawn(struct loop *loop, const struct process_options *options,
                       struct fault *fault,
                       void (*on_exit)(void *context, struct process_exit result), void *context,
                       struct process **out_process) LQ_CHECKED;
int64_t process_pid(const struct process *process);
bool process_has_exited(const struct process *process);
/* ERR_NOT_FOUND when it has ended; ERR_DENIED. */
enum err process_kill(struct process *process, int signal_number) LQ_CHECKED;
/* Signal the whole group of a PROCESS_GROUP_NEW_SESSION child; works after the leader's end as long
 * as members live. ERR_NOT_FOUND when nobody is left (the dead count until
 * their parent has reaped them). */
enum err process_kill_group(struct process *process, int signal_number) LQ_CHECKED;
/* Forget it: no on_exit, nothing is killed, the child is still reaped. Accepts NULL. */
void process_destroy(struct process *process);

/* How many descriptors this process may open now; the soft limit is raised to the hard one by the
 * first call of process_descriptors_raise. */
uint64_t process_descriptors_max(void);
enum err process_descriptors_raise(void) LQ_CHECKED; /* ERR_DENIED, ERR_IO */

#endif
