/* The two small files of a rank's folder: supervise.json, which tells `lq supervise` what to run
 * and how, and end.json, its last word (docs/formats/supervise.md). The driver writes the first
 * and reads the second. Values; slices point into the arena that they were decoded to. */
#ifndef LQ_DRIVE_SUPERVISE_DOC_H
#define LQ_DRIVE_SUPERVISE_DOC_H

#include "base/arena.h"
#include "base/buffer.h"
#include "drive/cgroup.h"
#include "wire/gate.h"

enum {
    SUPERVISE_BYTES_MAX = 1 << 20,
    SUPERVISE_ENVS_MAX = JOB_ENVS_MAX + 64,
    SUPERVISE_DEVICES_MAX = 64, /* device files, several a device */
    SUPERVISE_READ_ONLY_MAX = 64,
    SUPERVISE_WHY_MAX = 384,
    SUPERVISE_PATH_MAX = 1024,
    SUPERVISE_SECRET_FD = 3, /* the attempt's secret comes here, till end of file */
    SUPERVISE_SECRET_MAX = 256,
};

/* In the scratch folder, which is /tmp inside. */
#define SUPERVISE_PROGRESS_NAME ".lq-progress"

enum supervise_network {
    NETWORK_NONE, /* a loopback of its own */
    NETWORK_GANG, /* a loopback that the ranks of this attempt share */
    NETWORK_HOST,
    NETWORK_COUNT_
};

struct supervise_doc {
    struct attempt_token token;
    uint32_t rank, nodes;
    uint64_t incarnation;
    struct contact_terms contact;
    struct span_ms ask_every, renew_every, report_every;
    struct span_ms gate_limit, time_limit, stop_grace, kill_time, report_limit;
    int32_t stop_signal;
    struct slice socket; /* path */
    enum supervise_network network;
    uint32_t uid, gid;           /* the program's; 0: ours (we are not root) */
    bool has_nested_userns;      /* this bubblewrap cannot forbid further user namespaces */
    struct slice bwrap;          /* path of the program */
    struct cgroup node_group;    /* version 0: none */
    struct cgroup_limits limits; /* of the rank's own group, made inside node_group */
    uint64_t scratch_bytes;      /* work and scratch together */
    uint64_t disk_reserve_bytes;
    uint64_t log_bytes_max;
    bool has_setup;             /* script/setup stands beside script/run */
    struct text_list devices;   /* device files that the program gets */
    bool has_engine_devices;    /* the engine chooses devices: the supervisor finds out on its node
                                   which ones, and which files they have */
    enum runtime runtime;       /* of the devices */
    struct text_list read_only; /* further host paths */
    struct text_list shared;    /* host folders that the program may write in */
    struct slice root;          /* folder that is the sandbox's root; empty: the host's /usr, ... */
    const struct text_pair *envs;
    uint32_t env_count;
};

enum err supervise_doc_encode(const struct supervise_doc *doc, struct buffer *out) LQ_CHECKED;
enum err supervise_doc_decode(struct slice json, struct arena *arena, struct supervise_doc *out,
                              struct fault *fault) LQ_CHECKED;

/* The control group of a rank inside its node's: "<attempt name>.<rank>". */
enum { SUPERVISE_GROUP_NAME_MAX = ATTEMPT_NAME_MAX + 16 };
void supervise_group_name(const struct attempt_token *token, uint32_t rank,
                          char out[SUPERVISE_GROUP_NAME_MAX]);

/* What the rank's lock file holds while its supervisor lives; it is locked
 * (drive/supervise_lock.h) for just as long. */
struct supervise_lock {
    int64_t pid;
    uint64_t incarnation;
};
enum { SUPERVISE_LOCK_TEXT_MAX = 64 };
void supervise_lock_format(const struct supervise_lock *lock, char out[SUPERVISE_LOCK_TEXT_MAX]);
enum err supervise_lock_parse(struct slice text, struct supervise_lock *out) LQ_CHECKED;

/* end.json: the EXIT message, without the secret, and a sentence for people (may be empty). */
enum err end_record_encode(const struct gate_message *message, struct slice why,
                           struct buffer *out) LQ_CHECKED;
enum err end_record_decode(struct slice json, struct arena *arena, struct gate_message *out,
                           struct slice *out_why, struct fault *fault) LQ_CHECKED;

#endif
