/* The text: bytes, cut into a training part and a held-out tail, and the windows drawn from it.
 *
 * Invariant: the window of (seed, step, row) is a pure function of those three. */
#ifndef LM_CORPUS_H
#define LM_CORPUS_H

#include <stddef.h>
#include <stdint.h>

#include "fault.h"

enum {
    LM_CORPUS_BYTES_MAX = 256 * 1024 * 1024,
    LM_CORPUS_HELD_OUT = 20, /* the last 1/20 of the bytes is for validation only */
};

struct lm_corpus {
    unsigned char *bytes; /* owned */
    size_t len;
    size_t train_len; /* bytes [0, train_len) train, the rest validates */
    uint64_t crc;     /* of all bytes: a checkpoint belongs to one corpus */
};

/* Reads the whole file. Each part must hold at least one window of `context` + 1 bytes. */
bool lm_corpus_load(struct lm_corpus *out_corpus, const char *path, size_t context,
                    struct lm_fault *fault) LM_CHECKED;
void lm_corpus_deinit(struct lm_corpus *corpus);

/* `rows` windows of `context` bytes into inputs, the same shifted by one into targets. `row` counts
 * on from `first_row`, so that the members of a gang draw different parts of one batch. */
void lm_corpus_batch(const struct lm_corpus *corpus, uint64_t seed, uint64_t step, size_t first_row,
                     size_t rows, size_t rows_total, size_t context, unsigned char *inputs,
                     unsigned char *targets);

/* The held-out windows number `first` … `first + rows`, evenly spread over the tail and the same
 * at every call; `total` is how many there are. */
void lm_corpus_held_out(const struct lm_corpus *corpus, size_t first, size_t rows, size_t total,
                        size_t context, unsigned char *inputs, unsigned char *targets);

#endif
