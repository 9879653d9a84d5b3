/* The control plane's shell: one process, one state folder, one listener.
 *
 * The state folder holds lingqu.db (and its lock), chunks/, logs/, the certificate authority
 * (ca.pem, ca.key), the server's own certificate, secret.key, and admin.token, all made at the
 * first start. */
#ifndef LQ_SERVER_SERVER_H
#define LQ_SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "core/server.h"

enum { SERVER_NAMES_MAX = 16 };

struct server_options {
    const char *state_folder;
    const char *listen;                  /* "127.0.0.1:7700"; port 0: any free one */
    const char *names[SERVER_NAMES_MAX]; /* DNS names and addresses for its certificate, besides
                                            localhost */
    size_t name_count;
    const char *jurisdiction;        /* of the content that this server keeps; "" if not said */
    const char *catalogue_path;      /* accelerators.csv; NULL: no names are looked up */
    bool is_restored;                /* the operator says that the database is an older copy */
    struct server_settings settings; /* secret_key is filled in by the server */
    int64_t gc_first_s; /* from the start to the first sweep; 0: the default (server/gc.h) */
    int ready_fd;       /* one line "ready HOST:PORT\n" is written here; -1: nowhere */
};

void server_options_default(struct server_options *out);
/* Runs until SIGTERM or SIGINT. ERR_OK after a clean end. Faults are told on stderr by the caller.
 */
enum err server_run(const struct server_options *options, struct fault *fault) LQ_CHECKED;

#endif
