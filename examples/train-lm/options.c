#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"

enum kind { FLAG, COUNT, SEED, RATE, TEXT };

/* One table for parsing and for --help. */
struct option_row {
    const char *name;
    enum kind kind;
    size_t offset; /* into struct lm_options */
    uint32_t least, most;
    const char *help;
};

#define AT(field) offsetof(struct lm_options, field)

static const struct option_row rows[] = {
    {"data", TEXT, AT(data), 0, 0, "FILE  the text to learn from (required)"},
    {"steps", COUNT, AT(recipe.steps), 1, 1000000000, "N  optimiser steps in all"},
    {"batch", COUNT, AT(recipe.batch), 1, LM_BATCH_MAX, "N  windows a step, over all nodes"},
    {"context", COUNT, AT(recipe.shape.context), 2, LM_CONTEXT_MAX, "N  bytes a window"},
    {"layers", COUNT, AT(recipe.shape.layers), 1, LM_LAYERS_MAX, "N  transformer layers"},
    {"width", COUNT, AT(recipe.shape.width), 2, LM_WIDTH_MAX, "N  of the residual stream"},
    {"heads", COUNT, AT(recipe.shape.heads), 1, LM_WIDTH_MAX / 2, "N  attention heads"},
    {"lr", RATE, AT(recipe.lr), 0, 0, "X  peak learning rate"},
    {"seed", SEED, AT(recipe.seed), 0, 0, "N  of weights and data order"},
    {"checkpoint-dir", TEXT, AT(checkpoint_dir), 0, 0,
     "DIR  keep checkpoints here, resume from it"},
    {"checkpoint-every", COUNT, AT(checkpoint_every), 0, 1000000000,
     "N  steps; 0: only at the end"},
    {"log-every", COUNT, AT(log_every), 1, 1000000000, "N  steps a line"},
    {"validate-every", COUNT, AT(validate_every), 0, 1000000000, "N  steps; 0: only at the end"},
    {"validate-windows", COUNT, AT(validate_windows), 1, 100000, "N  held-out windows"},
    {"threads", COUNT, AT(threads), 1, LM_THREADS_MAX, "N  (the result does not depend on it)"},
    {"kernel", TEXT, AT(kernel), 0, 0, "NAME  generic, avx2, avx512; default: the fastest here"},
    {"sample", COUNT, AT(sample), 0, 100000, "N  bytes of text to write at the end"},
    {"json", FLAG, AT(json), 0, 0, "  one JSON object a line"},
    {"help", FLAG, AT(help), 0, 0, "  this text"},
};

enum { ROWS = sizeof rows / sizeof *rows };

static const struct lm_options defaults = {
    .recipe =
        {
            .shape = {.layers = 2, .width = 96, .heads = 4, .context = 64},
            .batch = 16,
            .steps = 2000,
            .seed = 1,
            .lr = 6e-3,
        },
    .checkpoint_every = 100,
    .log_every = 20,
    .validate_every = 200,
    .validate_windows = 64,
    .threads = 1,
};

static bool set_number(const struct option_row *row, void *field, const char *text,
                       struct lm_fault *fault)
{
    char *end = NULL;

    errno = 0;
    if (row->kind == RATE) {
        double value = strtod(text, &end);
        if (errno != 0 || end == text || *end != '\0' || !isfinite(value) || value <= 0) {
            return lm_fail(fault, "--%s must be a number above 0, not \"%s\"", row->name, text);
        }
        memcpy(field, &value, sizeof value);
        return true;
    }
    uint64_t value = strtoull(text, &end, 10);
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0') {
        return lm_fail(fault, "--%s must be a whole number, not \"%s\"", row->name, text);
    }
    if (row->kind == SEED) {
        memcpy(field, &value, sizeof value);
        return true;
    }
    if (value < row->least || value > row->most) {
        return lm_fail(fault, "--%s must be %" PRIu32 " to %" PRIu32 ", not %s", row->name,
                       row->least, row->most, text);
    }
    uint32_t count = (uint32_t)value;
    memcpy(field, &count, sizeof count);
    return true;
}

static bool set(const struct option_row *row, struct lm_options *options, const char *text,
                struct lm_fault *fault)
{
    void *field = (char *)options + row->offset;

    switch (row->kind) {
    case FLAG:
        memcpy(field, &(bool){true}, sizeof(bool));
        return true;
    case TEXT:
        memcpy(field, &text, sizeof text);
        return true;
    default:
        return set_number(row, field, text, fault);
    }
}

static const struct option_row *find(const char *name, size_t len)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

bool lm_options_parse(struct lm_options *out_options, int argc, char **argv, struct lm_fault *fault)
{
    struct lm_options options = defaults;

    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strncmp(word, "--", 2) != 0) {
            return lm_fail(fault, "unexpected argument \"%s\"", word);
        }
        size_t len = strcspn(word + 2, "=");
        const struct option_row *row = find(word + 2, len);
        if (row == NULL) {
            return lm_fail(fault, "unknown option %s", word);
        }
        const char *value = word[2 + len] == '=' ? word + 3 + len : NULL;
        if (row->kind == FLAG && value != NULL) {
            return lm_fail(fault, "--%s takes no value", row->name);
        }
        if (row->kind != FLAG && value == NULL) {
            if (i + 1 == argc) {
                return lm_fail(fault, "--%s needs a value", row->name);
            }
            value = argv[++i];
        }
        if (!set(row, &options, value, fault)) {
            return false;
        }
    }
    if (options.data == NULL && !options.help) {
        return lm_fail(fault, "--data FILE is required");
    }
    *out_options = options;
    return true;
}

static void print_default(FILE *out, const struct option_row *row)
{
    const char *field = (const char *)&defaults + row->offset;

    if (row->kind == COUNT) {
        uint32_t value;
        memcpy(&value, field, sizeof value);
        (void)fprintf(out, " [%" PRIu32 "]", value);
    } else if (row->kind == RATE) {
        double value;
        memcpy(&value, field, sizeof value);
        (void)fprintf(out, " [%g]", value);
    } else if (row->kind == SEED) {
        uint64_t value;
        memcpy(&value, field, sizeof value);
        (void)fprintf(out, " [%" PRIu64 "]", value);
    }
}

void lm_options_help(FILE *out)
{
    (void)fputs("train-lm: trains a small byte-level transformer on a text.\n\nOptions:\n", out);
    for (size_t i = 0; i < ROWS; i++) {
        const char *gap = strstr(rows[i].help, "  ");
        int kind_len = gap == NULL ? 0 : (int)(gap - rows[i].help);
        (void)fprintf(out, "  --%s %.*s%*s%s", rows[i].name, kind_len, rows[i].help,
                      (int)(20 - strlen(rows[i].name)) - kind_len, "",
                      gap == NULL ? rows[i].help : gap + 2);
        print_default(out, &rows[i]);
        (void)fputc('\n', out);
    }
    (void)fputs(
        "\nSIGUSR1, SIGTERM or SIGINT: write a checkpoint after the step under way, exit 75.\n"
        "Exit status: 0 trained to the end; 75 stopped when asked, run again to go on;\n"
        "64 usage; 65 the text or a checkpoint does not fit; 69 a gang member is gone;\n"
        "70 out of memory or the loss is no number; 74 a checkpoint cannot be written.\n",
        out);
}
