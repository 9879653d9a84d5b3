/* The recorded history of the network logged in to, in one text (docs/formats/history.md). */
#ifndef LQ_CLI_HISTORY_H
#define LQ_CLI_HISTORY_H

#include "base/buffer.h"
#include "cli/cli.h"

enum { HISTORY_BYTES_MAX = 1 << 30 };

/* Appends the lines of a window. EXIT_DONE or a told error. */
int history_fetch(struct cli *cli, struct wall_us from, struct wall_us to, struct buffer *out);

#endif
