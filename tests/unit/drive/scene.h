/* A host driver on this machine with a small agent's gate in front of it: real supervisors, real
 * sandboxes. The gate follows a few switches; the test waits for what it is interested in. */
#ifndef LQ_TEST_DRIVE_SCENE_H
#define LQ_TEST_DRIVE_SCENE_H

#include "drive/driver.h"
#include "port/loop.h"
#include "port/stream.h"
#include "wire/gate.h"

enum { SCENE_RANKS_MAX = 4, SCENE_CLIENTS_MAX = 32, SCENE_TEXT_MAX = 65536, SCENE_NODES = 2 };

struct scene;
struct scene_client {
    struct scene *scene;
    struct stream *stream;
    char line[GATE_LINE_MAX];
    size_t len;
};

struct scene {
    struct loop *loop;
    struct driver *driver;
    struct listener *listener;
    struct scene_client clients[SCENE_CLIENTS_MAX];
    struct loop_timer guard, tick;
    char dir[256];
    struct site_node nodes[SCENE_NODES];
    struct attempt_token token;
    uint64_t secret_seen;
    /* the gate's switches */
    bool is_silent, is_refusing, is_closing;
    struct span_ms lease; /* 0: none */
    bool renews;
    struct gate_message order_kill; /* kind GATE_KILL: said to the next RENEW of each rank */
    /* what was seen */
    uint32_t ranks, asked, exited;
    bool has_asked[SCENE_RANKS_MAX];
    uint64_t taken_by; /* incarnation */
    struct boot_ns asked_at[SCENE_RANKS_MAX], exit_at[SCENE_RANKS_MAX], submitted_at, go_at;
    struct gate_message exits[SCENE_RANKS_MAX];
    uint32_t refused;
    bool has_answer;
    uint32_t answer_count;
    struct drive_answer answer;
    struct drive_rank_end ends[SCENE_RANKS_MAX];
    char why[1024];
    bool has_names;
    uint32_t name_count;
    struct attempt_token name;
    bool has_capacity;
    struct sync_node capacity[SCENE_NODES];
};

/* `supervise` is the program's path (from the build). */
struct scene *scene_make(const char *supervise);
void scene_free(struct scene *scene);
/* A new driver on the same folder, as after a crash of the agent. */
void scene_restart_driver(struct scene *scene);
void scene_gate_open(struct scene *scene);
void scene_gate_close(struct scene *scene);

struct scene_job {
    const char *run;     /* script */
    const char *extra;   /* further members of the spec's JSON, beginning with a comma; NULL */
    const char *scratch; /* resources.scratch; NULL: 64MiB */
    const char *memory;  /* NULL: 128MiB */
    uint32_t nodes;      /* 0: 1 */
    struct contact_terms contact;
};
/* Submits and waits for the driver's answer. */
enum drive_answer_kind scene_submit(struct scene *scene, const struct scene_job *job);
void scene_submit_start(struct scene *scene, const struct scene_job *job);
enum drive_answer_kind scene_wait_answer(struct scene *scene);
enum drive_answer_kind scene_inspect(struct scene *scene);
enum drive_answer_kind scene_kill(struct scene *scene, struct span_ms grace);
/* Runs the loop until every rank told its end; fails the test after 30 s. */
void scene_wait_exit(struct scene *scene);
/* Runs the loop until `path` in rank 0's folder exists. */
void scene_wait_file(struct scene *scene, const char *path);
void scene_turn(struct scene *scene); /* runs the loop for a moment */
/* Submit, wait for all ends; then scene->exits tell. */
void scene_run(struct scene *scene, const struct scene_job *job);
/* The content of a file in a rank's folder; "" when there is none. */
const char *scene_read(struct scene *scene, uint32_t rank, const char *name,
                       char out[SCENE_TEXT_MAX]);
bool scene_has_line(struct scene *scene, const char *text); /* in rank 0's log */
bool scene_has_process(const char *argument); /* any "sleep <argument>" on this machine */
int64_t scene_supervisor_pid(struct scene *scene, uint32_t rank);

#endif
