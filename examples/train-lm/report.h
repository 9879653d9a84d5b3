/* What train-lm prints: one line an event, for people or as JSON. Losses are nats a byte. */
#ifndef LM_REPORT_H
#define LM_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct lm_report {
    FILE *out;
    bool json;
    bool quiet; /* not node 0 of a gang: says nothing */
};

struct lm_report_start {
    const char *kernel;
    uint64_t params;
    uint32_t layers, width, heads, context, batch, nodes, threads;
    uint64_t text_bytes;
};

void lm_report_start(const struct lm_report *r, const struct lm_report_start *start);
void lm_report_step(const struct lm_report *r, uint64_t step, double loss, double tokens_per_s,
                    double lr);
void lm_report_validation(const struct lm_report *r, uint64_t step, double loss);
void lm_report_resumed(const struct lm_report *r, uint64_t step, const char *checkpoint);
void lm_report_checkpoint(const struct lm_report *r, uint64_t step, const char *checkpoint);
void lm_report_preempted(const struct lm_report *r, uint64_t step, bool saved);
void lm_report_done(const struct lm_report *r, uint64_t step, double loss, double validation);
void lm_report_sample(const struct lm_report *r, const unsigned char *text, size_t len);
/* A warning or an error, in words. */
void lm_report_line(const struct lm_report *r, const char *event, const char *line);

#endif
