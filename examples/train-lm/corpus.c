#include "corpus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crc64.h"
#include "rng.h"

static bool read_all(FILE *file, const char *path, unsigned char **out_bytes, size_t *out_len,
                     struct lm_fault *fault)
{
    size_t capacity = 1u << 20;
    size_t len = 0;
    unsigned char *bytes = malloc(capacity);

    while (bytes != NULL) {
        len += fread(bytes + len, 1, capacity - len, file);
        if (ferror(file) != 0) {
            free(bytes);
            return lm_fail(fault, "%s: %s", path, strerror(errno));
        }
        if (len < capacity) {
            *out_bytes = bytes;
            *out_len = len;
            return true;
        }
        if (capacity >= LM_CORPUS_BYTES_MAX) {
            free(bytes);
            return lm_fail(fault, "%s: more than %d bytes", path, LM_CORPUS_BYTES_MAX);
        }
        capacity *= 2;
        unsigned char *larger = realloc(bytes, capacity);
        if (larger == NULL) {
            free(bytes);
        }
        bytes = larger;
    }
    return lm_fail(fault, "%s: out of memory", path);
}

bool lm_corpus_load(struct lm_corpus *out_corpus, const char *path, size_t context,
                    struct lm_fault *fault)
{
    struct lm_corpus corpus = {0};
    FILE *file = fopen(path, "rbe");

    if (file == NULL) {
        return lm_fail(fault, "%s: %s", path, strerror(errno));
    }
    bool ok = read_all(file, path, &corpus.bytes, &corpus.len, fault);
    (void)fclose(file);
    if (!ok) {
        return false;
    }
    size_t held_out = corpus.len / LM_CORPUS_HELD_OUT;
    corpus.train_len = corpus.len - held_out;
    if (held_out < context + 1) {
        free(corpus.bytes);
        return lm_fail(fault, "%s: %zu bytes are too few: a context of %zu needs at least %zu",
                       path, corpus.len, context, (context + 1) * LM_CORPUS_HELD_OUT);
    }
    struct lm_crc64 crc;
    lm_crc64_init(&crc);
    lm_crc64_add(&crc, corpus.bytes, corpus.len);
    corpus.crc = lm_crc64_value(&crc);
    *out_corpus = corpus;
    return true;
}

void lm_corpus_deinit(struct lm_corpus *corpus)
{
    free(corpus->bytes);
    *corpus = (struct lm_corpus){0};
}

void lm_corpus_batch(const struct lm_corpus *corpus, uint64_t seed, uint64_t step, size_t first_row,
                     size_t rows, size_t rows_total, size_t context, unsigned char *inputs,
                     unsigned char *targets)
{
    uint64_t starts = corpus->train_len - context; /* a window is context + 1 bytes */

    for (size_t i = 0; i < rows; i++) {
        uint64_t draw =
            lm_rng_u64(seed, LM_STREAM_BATCH, step * rows_total + first_row + i) % starts;
        memcpy(inputs + i * context, corpus->bytes + draw, context);
        memcpy(targets + i * context, corpus->bytes + draw + 1, context);
    }
}

void lm_corpus_held_out(const struct lm_corpus *corpus, size_t first, size_t rows, size_t total,
                        size_t context, unsigned char *inputs, unsigned char *targets)
{
    size_t span = corpus->len - corpus->train_len - context - 1;

    for (size_t i = 0; i < rows; i++) {
        size_t at = corpus->train_len + span * (first + i) / total;
        memcpy(inputs + i * context, corpus->bytes + at, context);
        memcpy(targets + i * context, corpus->bytes + at + 1, context);
    }
}
