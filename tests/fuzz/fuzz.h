/* What the fuzz targets share: a check that counts in every build, and input taken apart. */
#ifndef LQ_TEST_FUZZ_H
#define LQ_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes one byte off the end, which mutators change most freely; 0 when there is none. */
static inline uint8_t take_last(struct slice *input)
{
    if (input->len == 0)
        return 0;
    input->len--;
    return (uint8_t)input->data[input->len];
}

#endif
