/* Cuts bytes into chunks by their content, so that equal stretches give equal chunks wherever they
 * stand: a gear rolling hash (Xia et al., FastCDC, USENIX ATC 2016) with two masks around the
 * average. The cut points depend on the bytes alone: same bytes, same chunks, on every machine, for
 * ever (the table is part of the format). Pure; plain memory. */
#ifndef LQ_STORE_CHUNKER_H
#define LQ_STORE_CHUNKER_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    CHUNK_BYTES_MIN = 256 * 1024,
    CHUNK_BYTES_AVERAGE = 1024 * 1024,
    CHUNK_BYTES_MAX = 4 * 1024 * 1024,
};

struct chunker {
    uint64_t gear[256];
};

void chunker_init(struct chunker *chunker);
/* Length of the first chunk of `bytes`, at most CHUNK_BYTES_MAX. When nothing cuts within `bytes`
 * and it is shorter than the maximum, the answer is its whole length: give at least CHUNK_BYTES_MAX
 * bytes, or all that is left of the file. */
size_t chunker_cut(const struct chunker *chunker, struct slice bytes);

#endif
