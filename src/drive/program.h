/* Runs a short program of the host and takes its output: probes and vendors' tools. Blocking, with
 * a time limit after which it is killed. No shell. Any thread. */
#ifndef LQ_DRIVE_PROGRAM_H
#define LQ_DRIVE_PROGRAM_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/time.h"

enum { PROGRAM_ENV_MAX = 8 };
struct program_run {
    const char *const *argv; /* argv[0] is a path */
    const char *const *env;  /* "NAME=value" beside a plain PATH and locale, at most
                                PROGRAM_ENV_MAX, NULL-terminated; NULL: none */
    uint32_t uid, gid;       /* 0: as we are */
    struct span_ms limit;
    bool takes_errors; /* standard error goes to the output, too; else nowhere */
};

/* The path of `name` among the usual folders; ERR_NOT_FOUND. */
enum { PROGRAM_PATH_MAX = 256 };
enum err program_find(const char *name, char out_path[PROGRAM_PATH_MAX]) LQ_CHECKED;
/* ERR_OK also when it failed: look at *out_status (exit status, or 128 + signal). Output beyond the
 * buffer's limit is dropped. ERR_TIMEOUT, ERR_IO, ERR_NOT_FOUND. */
enum err program_run(const struct program_run *run, struct buffer *out, int *out_status) LQ_CHECKED;

#endif
