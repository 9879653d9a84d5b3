/* The sandbox of a rank, as arguments for bubblewrap (docs/adr/0011-sandbox.md says why each).
 * Inside: /usr and the like read-only, some of /etc, /proc of its own, a minimal /dev, the rank's
 * folder "work" at /job and "scratch" at /tmp, scripts at /lq. */
#ifndef LQ_SUPERVISE_SANDBOX_H
#define LQ_SUPERVISE_SANDBOX_H

#include "base/buffer.h"
#include "drive/supervise_doc.h"

enum { SANDBOX_ARGS_BYTES_MAX = 1 << 20 };

struct sandbox_places { /* paths as seen by bubblewrap */
    const char *work, *scratch, *script;
    const char *root;        /* of an image; NULL: the host's own folders */
    int root_fd;             /* the same, open; -1 */
    int passwd_fd, group_fd; /* what becomes /etc/passwd and /etc/group; read by bubblewrap */
    int filter_fd;           /* of system calls; read by bubblewrap */
    bool has_setup, is_setup_direct, is_run_direct; /* direct: the script begins with "#!" */
};

/* NUL-terminated arguments one after another, without argv[0], for bwrap --args. ERR_LIMIT,
 * ERR_NO_MEMORY. */
enum err sandbox_args(const struct supervise_doc *doc, const struct sandbox_places *places,
                      struct buffer *out) LQ_CHECKED;

/* What runs inside: constants only. `out` points into itself: do not copy it. */
enum { SANDBOX_COMMAND_MAX = 3 };
struct sandbox_command {
    const char *argv[SANDBOX_COMMAND_MAX];
    uint32_t count;
    char text[96];
};
void sandbox_command(const struct sandbox_places *places, struct sandbox_command *out);

#endif
