/* A job from YAML or JSON, with and without a catalogue: refused with a place and words, or a value
 * that reads back from its canonical form, whose bytes are stable. */
#include "base/buffer.h"
#include "fuzz.h"
#include "wire/spec.h"
#include "wire/yaml.h"

static const struct accelerator rows[] = {
    {.model = SLICE_LITERAL("A100 80GB SXM"), .runtime = RUNTIME_CUDA},
    {.model = SLICE_LITERAL("Ascend 910B"), .runtime = RUNTIME_CANN},
    {.model = SLICE_LITERAL("Ascend 910C"), .runtime = RUNTIME_CANN},
};
static const struct catalogue catalogue = {rows, 3};

static void check_laws(const struct job_spec *spec)
{
    struct buffer first, second;
    struct arena arena;
    struct job_spec again;

    arena_init(&arena, SPEC_ARENA_BYTES);
    buffer_init(&first, (size_t)8 << 20);
    buffer_init(&second, (size_t)8 << 20);
    ASSERT(spec_encode_bytes(spec, &first) == ERR_OK);
    ASSERT(spec_parse(buffer_slice(&first), &arena, &again, NULL) == ERR_OK);
    ASSERT(spec_is_equal(spec, &again));
    ASSERT(spec_encode_bytes(&again, &second) == ERR_OK);
    ASSERT(slice_is_equal(buffer_slice(&first), buffer_slice(&second)));
    buffer_deinit(&first);
    buffer_deinit(&second);
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(size > 0 ? data + 1 : data, size > 0 ? size - 1 : 0);
    bool is_yaml = size > 0 && (data[0] & 1) != 0;
    const struct catalogue *known = size > 0 && (data[0] & 2) != 0 ? &catalogue : NULL;
    struct json_document *document = NULL;
    struct fault fault = {0};
    struct job_spec spec;
    struct arena arena;
    enum err err = is_yaml ? yaml_parse(text, &YAML_LIMITS, &document, &fault)
                           : json_parse(text, &JSON_LIMITS_REQUEST, &document, &fault);

    if (err != ERR_OK)
        return 0;
    arena_init(&arena, SPEC_ARENA_BYTES);
    err = spec_decode_with_catalogue(json_root(document), known, &arena, &spec, &fault);
    if (err == ERR_OK)
        check_laws(&spec);
    else
        ASSERT(fault.code == err && fault.line > 0 && fault.column > 0 && fault.message[0] != '\0');
    json_document_destroy(document);
    arena_deinit(&arena);
    return 0;
}
