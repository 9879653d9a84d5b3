/* What comes over the network before anything is proven: a hello, a welcome, a sealed line. */
#include <string.h>

#include "fuzz.h"
#include "wire/gate_seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size), message;
    struct gate_hello hello;
    struct gate_nonce nonce;
    char text[GATE_HELLO_MAX];
    struct gate_seal seal = {.side = GATE_SIDE_AGENT};
    uint8_t kind = take_last(&input) % 3;
    if (kind == 0 && gate_hello_parse(input, &hello) == ERR_OK) {
        ASSERT(gate_hello_format(&hello, text) == input.len + 1);
        ASSERT(memcmp(text, input.data, input.len) == 0 && hello.rank < JOB_NODES_MAX);
    } else if (kind == 1 && gate_welcome_parse(input, &nonce) == ERR_OK) {
        ASSERT(gate_welcome_format(&nonce, text) == input.len + 1);
    } else if (kind == 2) {
        ASSERT(gate_seal_take(&seal, input, &message) == ERR_DENIED);
    }
    return 0;
}
