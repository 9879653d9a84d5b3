/* The network that the ranks of one attempt share on a host: a loopback of their own, which rank
 * 0's supervisor makes and the others find through its lock file. */
#ifndef LQ_SUPERVISE_GANG_NET_H
#define LQ_SUPERVISE_GANG_NET_H

#include "base/err.h"

/* Rank 0: this process moves into a new network with its loopback up. ERR_DENIED, ERR_IO. */
enum err gang_net_make(void) LQ_CHECKED;
/* Others: a descriptor of rank 0's network. `folder`: our rank's. ERR_NOT_FOUND: rank 0's
 * supervisor is not there (yet). */
enum err gang_net_find(int folder, int *out_fd) LQ_CHECKED;

#endif
