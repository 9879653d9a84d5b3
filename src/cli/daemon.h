/* A child process of this program that tells when it is ready: `lq server`, `lq agent`, `lq relay`
 * with --ready-fd. Its output goes to a log file. It is in a session of its own, so that a Ctrl-C
 * in the terminal reaches it only through us, in order. Loop thread only. */
#ifndef LQ_CLI_DAEMON_H
#define LQ_CLI_DAEMON_H

#include "cli/cli.h"
#include "port/process.h"

enum { DAEMON_READY_FD = 3, DAEMON_READY_MAX = 320, DAEMON_ARGS_MAX = 32 };

struct stream;

struct daemon {
    struct cli *cli;
    const char *name; /* for messages */
    const char *log_path;
    struct process *process;
    struct stream *pipe;
    char ready[DAEMON_READY_MAX]; /* what it said after "ready " */
    size_t ready_len;
    struct process_exit result;
    bool is_ready, has_exited;
    bool is_wanted;  /* its end is unexpected */
    bool is_awaited; /* someone runs the loop for its sake: stop it when something changes */
};

/* Starts argv (NULL-terminated; argv[0] this program). `name` and `log_path` live as long as the
 * child. EXIT_DONE or a told error. */
int daemon_start(struct daemon *daemon, struct cli *cli, const char *name, const char *log_path,
                 const char *const *argv);
/* Runs the loop until it is ready. A child that ends first, or takes longer, is a told error with
 * the end of its log; `is_quiet` leaves the telling out. */
int daemon_wait_ready(struct daemon *daemon, struct span_ms within, bool is_quiet);
/* SIGTERM, and SIGKILL after `within`; returns when it has ended. Accepts one that never started.
 */
void daemon_stop(struct daemon *daemon, struct span_ms within);
void daemon_kill(struct daemon *daemon);           /* SIGKILL, and waits */
void daemon_log_tell(const struct daemon *daemon); /* the end of its log, to stderr */

#endif
