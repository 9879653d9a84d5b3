/* `lq supervise --dir <rank folder>`: the parent of one rank of an attempt on its node. Carries out
 * what core/supervisor.h decides: asks the agent's gate, runs the program in the sandbox, enforces
 * lease, limits and kills, and leaves end.json. One thread, one poll loop, no libuv.
 *
 * It lives in a session of its own and survives the agent. When it dies, its program dies. */
#ifndef LQ_SUPERVISE_SUPERVISE_H
#define LQ_SUPERVISE_SUPERVISE_H

enum supervise_status { /* what the process exits with; the truth is in end.json and at the agent */
                        SUPERVISE_DONE = 0,
                        SUPERVISE_USAGE = 64,
                        SUPERVISE_BAD_FOLDER = 65, /* no supervise.json that makes sense */
                        SUPERVISE_LOCKED =
                            75, /* another supervisor has this rank, or its end is recorded */
                        SUPERVISE_BROKEN = 71, /* the system refused something at the start */
};

/* argv[0] is the program's or the subcommand's name. */
int supervise_main(int argc, char **argv);

#endif
