/* The command line of train-lm. */
#ifndef LM_OPTIONS_H
#define LM_OPTIONS_H

#include <stdint.h>
#include <stdio.h>

#include "checkpoint.h"
#include "fault.h"

struct lm_options {
    const char *data;           /* NULL until given: required */
    const char *checkpoint_dir; /* NULL: none are kept */
    const char *kernel;         /* NULL: the fastest */
    struct lm_recipe recipe;
    uint32_t checkpoint_every; /* steps; 0: only when asked to stop and at the end */
    uint32_t log_every;
    uint32_t validate_every; /* 0: only at the end */
    uint32_t validate_windows;
    uint32_t threads;
    uint32_t sample; /* bytes of text to write at the end */
    bool json;
    bool help;
};

/* Strings point into argv. The fault names the option at fault. */
bool lm_options_parse(struct lm_options *out_options, int argc, char **argv,
                      struct lm_fault *fault) LM_CHECKED;
void lm_options_help(FILE *out);

#endif
