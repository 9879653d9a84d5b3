/* What every driver does with an order before its engine starts anything: reads and checks it,
 * makes the ranks' environment and protocol settings, and writes a rank's files
 * (docs/formats/supervise.md). Blocking; on a worker. Nothing here starts a process. */
#ifndef LQ_DRIVE_LAUNCH_H
#define LQ_DRIVE_LAUNCH_H

#include "drive/driver.h"
#include "drive/supervise_doc.h"

enum {
    LAUNCH_PATH_MAX = 1024,
    LAUNCH_WHY_MAX = FAULT_MESSAGE_MAX + FAULT_FIELD_MAX + 128,
};

struct launch_spans { /* 0: the defaults of HOST_... */
    struct span_ms ask_every, renew_every, report_every, report_limit, kill_time;
};

struct launch {
    /* given by the driver */
    struct arena *arena; /* everything below points into it */
    const char *site_name;
    const struct site_node *nodes; /* the site's, in its order */
    uint32_t node_count;
    struct launch_spans spans;
    struct span_ms gate_limit;
    int notice; /* signal for programs whose job names none; 0: TERM */
    uint64_t incarnation;
    struct slice addresses; /* LQ_NODE_ADDRS */
    /* made by launch_read */
    struct attempt_order order;
    struct job_spec spec;
    const struct job_variant *variant;
    /* of a refusal */
    enum outcome outcome;
    char why[LAUNCH_WHY_MAX];
    struct fault fault;
};

/* Keeps outcome and sentence; always ERR_UNSUPPORTED, for returning. */
enum err launch_refuse(struct launch *launch, enum outcome outcome, const char *why);
/* The order of `token`, decoded. Refused: it makes no sense. */
enum err launch_read(struct launch *launch, const struct attempt_token *token,
                     struct slice order) LQ_CHECKED;
/* Refused: a place that the site does not have. */
enum err launch_check_places(struct launch *launch) LQ_CHECKED;
/* Everything of the document that the protocol needs; the sandbox's part stays empty. */
void launch_protocol(const struct launch *launch, uint32_t rank, struct supervise_doc *doc);
/* ERR_NO_MEMORY. */
enum err launch_envs(struct launch *launch, uint32_t rank, struct supervise_doc *doc) LQ_CHECKED;
/* script/ and supervise.json in the rank's folder. Errors of files; launch->fault says more. */
enum err launch_write_rank(struct launch *launch, const char *dir,
                           const struct supervise_doc *doc) LQ_CHECKED;

#endif
