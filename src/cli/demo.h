/* `lq demo`, what ./run shows: training work that crosses sites and survives the loss of one,
 * beside a replayed trace. Private to src/cli/demo*.c. */
#ifndef LQ_CLI_DEMO_H
#define LQ_CLI_DEMO_H

#include "cli/api.h"
#include "cli/network.h"

enum {
    DEMO_TRACE_JOBS = 300,
    DEMO_ARRIVALS_MS = 80000, /* the trace's arrivals are squeezed into this */
    DEMO_GAP_MS_MAX = 20000,  /* of the trace's time: quiet stretches are cut to this first */
    DEMO_DURATION_FACTOR =
        1000, /* its durations are divided by this, then kept within the two below */
    DEMO_DURATION_MS_MIN = 200,
    DEMO_DURATION_MS_MAX = 8000,
    DEMO_LIMIT_MS = 235000,       /* it ends by itself */
    DEMO_RESTART_AFTER_MS = 6000, /* the lost site comes back so long after the training moved on */
    DEMO_POLL_MS = 700,
    DEMO_SITES_MAX = 16,
    DEMO_ATTEMPTS_MAX = 64,
};

struct demo_trace_job {
    int64_t arrival_ms; /* from the first arrival, squeezed */
    int64_t duration_ms;
    uint32_t nodes;
    bool is_submitted;
};

struct demo_training {
    const char *id;
    uint64_t step, steps; /* as its log says last */
    double loss;
    char first_site[64], second_site[64];
    uint64_t step_before; /* last step logged before the loss of the site */
    double loss_before;
    uint64_t step_resumed; /* of the checkpoint it went on from */
    uint64_t step_after;   /* first step logged after it */
    double loss_after;
    double loss_last;
    bool is_killed, is_moved, is_ended;
    char state[16];
};

struct demo_summary {
    uint64_t submitted, succeeded, failed, open, migrations, double_runs, lost, usage_records;
};

struct demo {
    struct cli *cli;
    struct network *network;
    const char *root; /* the project's folder */
    const char *tenant_query_training, *tenant_query_trace;
    struct demo_trace_job trace[DEMO_TRACE_JOBS];
    size_t trace_count;
    struct demo_training training;
    struct demo_summary summary;
    int64_t started_ms, killed_ms, moved_ms;
    bool is_restarted;
    double seconds;
    struct demo_site {
        char name[64];
        uint32_t nodes;
        uint64_t attempts, cpu_held_ms;
        double utilisation_pct;
    } sites[DEMO_SITES_MAX];
    uint32_t site_count;
};

/* demo_trace.c */
int demo_trace_read(struct demo *demo, const char *path);
/* Submits what is due at `now_ms` after the start. */
int demo_trace_submit(struct demo *demo, int64_t now_ms);

/* demo_training.c */
int demo_training_submit(struct demo *demo);
/* Reads its log and state; fills in what is new. */
int demo_training_look(struct demo *demo);

/* demo_report.c */
int demo_report_collect(struct demo *demo);
void demo_report_print(struct demo *demo);
int demo_report_write(struct demo *demo, const char *path);

int64_t demo_now_ms(const struct demo *demo); /* since the start */
void demo_say(const struct demo *demo, const char *format, ...) LQ_PRINTF(2, 3);

#endif
