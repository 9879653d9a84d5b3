/* Private to drive/host*.c: the host driver's memory and the parts' calls of each other. */
#ifndef LQ_DRIVE_HOST_PRIVATE_H
#define LQ_DRIVE_HOST_PRIVATE_H

#include "drive/cgroup.h"
#include "drive/driver_private.h"
#include "drive/image.h"
#include "drive/supervise_doc.h"
#include "port/loop.h"

enum {
    HOST_CALLS_MAX = 8192, /* under way at once */
    HOST_WHY_MAX = FAULT_MESSAGE_MAX + FAULT_FIELD_MAX + 128,
    HOST_PATH_MAX = 1024,
    HOST_USER_FIRST = 200000, /* programs' users, one a rank: above people and system accounts */
    HOST_USERS = 65536,
    HOST_PORT_FIRST = 20000,
    HOST_PORTS = 12000, /* below the kernel's own range */
    HOST_ORDER_ARENA_BYTES = 24 << 20,
    HOST_KILL_STEP_MS = 10,
    HOST_END_WAIT_MS = 500, /* for a supervisor to write its end record after its tree was killed */
};

struct worker;
struct process;

/* A supervisor that this process started and that has not ended: between its start and its lock
 * only we know of it. */
struct host_child {
    struct host *host;
    struct attempt_token token;
    struct process *process;
    struct host_child *next;
};

struct host {
    struct driver base;
    struct loop *loop;
    const struct driver_events *events;
    void *context;
    struct arena arena; /* the settings' texts */
    struct host_settings settings;
    uint32_t argv_count;
    struct span_ms gate_limit;
    struct worker *worker;
    struct worker *image_worker; /* made when first needed: pulling takes minutes */
    char bwrap[PATH_MAX_BYTES];
    bool is_root, has_nested_userns, has_gang_network;
    struct cgroup site_group;
    struct cgroup *node_groups; /* one a node */
    struct host_child *children;
    struct host_call *calls; /* under way */
    uint32_t call_count;
    bool is_measuring;
    struct host_load { /* since the last measurement */
        bool is_known;
        uint64_t busy_ticks, all_ticks;
        int64_t ours_ms;
        struct boot_ns at;
    } load;
    int64_t *node_cpu_ms; /* what the pool's work used of each node by then; the measurement's own
                           */
};

enum host_kill_stage { KILL_POLITE, KILL_TREE, KILL_HARD };

struct host_call { /* belongs to the worker between submit and done */
    struct host *host;
    struct host_call *next;
    struct drive_answer answer;
    char why[HOST_WHY_MAX];
    uint64_t incarnation;
    struct arena arena;
    /* submit */
    struct slice order;
    struct span_ms gate_limit;
    bool wants_image; /* the launch waits for it: submit again with `image` filled */
    struct slice image_name;
    struct image image;
    struct slice secret;
    uint32_t nodes;
    /* inspect, kill */
    bool is_alive;
    bool was_launched; /* some rank has a supervise.json */
    struct drive_rank_end *ranks;
    struct boot_ns polite_until, end_until, give_up_at;
    enum host_kill_stage stage;
    struct loop_timer timer;
};

/* ---- host_launch.c, on the worker: checks the order and writes the ranks' folders */
void host_launch_prepare(struct host_call *call);
/* ---- host_look.c, on the worker: what of the call's name lives; fills the answer */
void host_look(struct host_call *call);
enum host_signal { HOST_SIGNAL_STOP, HOST_SIGNAL_KILL };
/* To every living supervisor; `kills_tree`: to all in the ranks' control groups first. */
void host_signal_ranks(struct host_call *call, enum host_signal what);
void host_kill_groups(struct host_call *call);
void host_forget_groups(struct host_call *call);
enum err host_attempt_dir(const struct host *host, const struct attempt_token *token,
                          char out[HOST_PATH_MAX]) LQ_CHECKED;
enum err host_rank_dir(const struct host *host, const struct attempt_token *token, uint32_t rank,
                       char out[HOST_PATH_MAX]) LQ_CHECKED;
/* ---- host_list.c */
void host_list(struct driver *driver);
struct host_call *host_call_make(struct host *host, enum drive_call kind,
                                 const struct attempt_token *token);
void host_call_free(struct host_call *call);
/* ---- host_probe.c: fills traits and what the machine can do */
void host_probe(struct host *host);
/* driver_probe: the same sandbox again, and the disk. */
void host_probe_node(struct driver *driver, uint16_t node, uint64_t number);
/* ---- host_load.c, on the worker */
void host_load_measure(const struct host *host, struct host_load *load, struct sync_node *nodes);

#endif
