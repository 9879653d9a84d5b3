/* Readers of vendors' tools, a supervisor's folder files: the first byte chooses. */
#include <stddef.h>
#include <stdint.h>

#include "drive/discover_parse.h"
#include "drive/supervise_doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_documents(uint8_t kind, struct slice text)
{
    struct arena arena;
    struct supervise_doc doc;
    struct supervise_lock lock;
    struct gate_message message;
    struct slice why;
    uint64_t value;
    arena_init(&arena, 8 << 20);
    if (kind == 7)
        (void)!supervise_doc_decode(text, &arena, &doc, NULL);
    else if (kind == 8)
        (void)!end_record_decode(text, &arena, &message, &why, NULL);
    else if (kind == 9)
        (void)!supervise_lock_parse(text, &lock);
    else
        (void)!attempt_progress_parse(text, &value);
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct discovered found = {0};
    if (size == 0)
        return 0;
    struct slice text = slice_make(data + 1, size - 1);
    uint8_t kind = data[0] % 12;
    switch (kind) {
    case 0:
        (void)discover_parse_nvidia(text, &found);
        break;
    case 1:
        (void)discover_parse_npu(text, &found);
        break;
    case 2:
        (void)discover_parse_rocm(text, RUNTIME_ROCM, &found);
        break;
    case 3:
        (void)discover_parse_mthreads(text, &found);
        break;
    case 4:
        (void)discover_parse_cnmon(text, &found);
        break;
    case 5:
        (void)discover_parse_kunlun(text, &found);
        break;
    case 6:
        (void)discover_parse_metax(text, &found);
        break;
    case 10:
        (void)discover_parse_opencl(text, &found);
        break;
    default:
        read_documents(kind, text);
        break;
    }
    return 0;
}
