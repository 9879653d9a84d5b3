/* Ends what a site's agent started and left running: the supervisors of its folder, and all
 * processes below them. Nothing else is ever signalled: a process counts only if it is this very
 * program, run as `supervise`, with an argument inside the folder. */
#ifndef LQ_CLI_REAP_H
#define LQ_CLI_REAP_H

/* SIGKILL to all of them, until none is left or a second is over. */
void reap_below(const char *program, const char *folder);

#endif
