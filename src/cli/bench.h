/* What the benchmarks share: a server of their own in a temporary folder, on loopback. */
#ifndef LQ_CLI_BENCH_H
#define LQ_CLI_BENCH_H

#include "cli/api.h"
#include "cli/daemon.h"
#include "port/file.h"

struct bench {
    struct cli *cli;
    const char *folder; /* removed at the end */
    struct daemon server, agent;
    bool has_agent;
};

/* A temporary folder; EXIT_DONE or a told error. */
int bench_open(struct bench *bench, struct cli *cli);
/* Ends everything and removes the folder. */
void bench_close(struct bench *bench);
/* A server on FOLDER/server; the process talks to it from then on. */
int bench_server_start(struct bench *bench);
void bench_server_stop(struct bench *bench);
/* A host site with `nodes` nodes of four cores each, in contact. */
int bench_agent_start(struct bench *bench, uint32_t nodes, const char *read_only);
/* GET until it answers 200. */
int bench_wait_ok(struct bench *bench, const char *target, struct span_ms within);
/* Resident memory of a process in KiB; 0: not known. */
uint64_t bench_rss_kib(int64_t pid);
/* `per_mille` 500: the median. Sorts. */
double bench_quantile(double *values, size_t count, unsigned per_mille);

#endif
