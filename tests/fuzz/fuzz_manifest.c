/* The decoder of folder manifests: what it takes, it writes again and takes again, the same. */
#include <stdint.h>

#include "fuzz.h"
#include "store/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct manifest first, second;
    struct fault fault;
    struct buffer text, again;
    arena_init(&arena, 64 << 20);
    buffer_init(&text, MANIFEST_BYTES_MAX);
    buffer_init(&again, MANIFEST_BYTES_MAX);
    if (manifest_decode(slice_make(data, size), &arena, &first, &fault) == ERR_OK) {
        ASSERT(manifest_encode(&first, &text) == ERR_OK);
        ASSERT(manifest_decode(buffer_slice(&text), &arena, &second, &fault) == ERR_OK);
        ASSERT(manifest_encode(&second, &again) == ERR_OK);
        ASSERT(slice_is_equal(buffer_slice(&text), buffer_slice(&again)));
    }
    buffer_deinit(&text);
    buffer_deinit(&again);
    arena_deinit(&arena);
    return 0;
}
