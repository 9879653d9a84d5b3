/* What the program prints, from one pipe into the rank's log file: plain bytes, bounded. Beyond the
 * limit bytes are read and dropped, and a line says so once. One thread. */
#ifndef LQ_SUPERVISE_OUTPUT_H
#define LQ_SUPERVISE_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct output {
    int read_fd, write_fd; /* the pipe; write_fd is for the child, then closed; -1: closed */
    int file;
    uint64_t written_bytes, bytes_max;
    bool is_cut, is_at_line_start;
};

/* Opens `folder`/log for appending (made if missing, links refused) and the pipe. ERR_IO. */
enum err output_open(struct output *output, int folder, uint64_t bytes_max) LQ_CHECKED;
void output_close(struct output *output); /* accepts one that was zeroed with the fds at -1 */
void output_child_started(struct output *output); /* closes our copy of the write end */
/* Moves what is there, a bounded amount; false: the pipe is at its end. */
bool output_pump(struct output *output);
/* What is left once nobody writes any more. */
void output_drain(struct output *output);
/* A line of our own, "[lingqu] …", which the limit does not stop. */
void output_note(struct output *output, const char *text);

#endif
