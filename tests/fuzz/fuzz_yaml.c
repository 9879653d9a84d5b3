/* Any bytes: refused, or read to values whose JSON reads back the same and whose places lie in the
 * text. */
#include <stdlib.h>

#include "base/arena.h"
#include "fuzz.h"
#include "wire/json_writer.h"
#include "wire/yaml.h"

static const struct json_limits limits = {1u << 14, 12, 2000};

static void write_copy(struct json_value value, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_copy(&writer, value);
    ASSERT(json_writer_finish(&writer) == ERR_OK);
}

static void look_at_members(struct slice text, struct json_value value)
{
    struct json_iterator it = json_iterate(value);
    struct arena arena;
    arena_init(&arena, 1u << 20);
    for (unsigned i = 0; i < 64 && json_next(&it); i++) {
        struct fault fault = {0};
        struct slice written;
        uint64_t n;
        if (json_to_u64(it.value, 1, 0xFFFF, &n, &fault) != ERR_OK)
            ASSERT(fault.line >= 1 && fault.line <= text.len + 1 && fault.column >= 1);
        if (json_type_of(it.value) == JSON_REAL) {
            ASSERT(json_to_text(it.value, 1000, &arena, &written, &fault) == ERR_OK);
            ASSERT(written.len > 0 && slice_is_equal(written, json_source(it.value)));
        }
        ASSERT(json_source(it.value).len <= text.len);
    }
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, size);
    struct json_document *document = NULL;
    struct fault fault = {0};
    enum err err = yaml_parse(text, &limits, &document, &fault);
    if (err != ERR_OK) {
        ASSERT(err == ERR_INVALID || err == ERR_LIMIT);
        ASSERT(fault.message[0] != '\0' && slice_is_utf8(slice_of(fault.message)));
        return 0;
    }
    struct buffer first;
    struct buffer second;
    buffer_init(&first, 1u << 20);
    buffer_init(&second, 1u << 20);
    look_at_members(text, json_root(document));
    write_copy(json_root(document), &first);
    struct json_limits wide = {1u << 20, 12, 2000};
    struct json_document *again = NULL;
    ASSERT(json_parse(buffer_slice(&first), &wide, &again, &fault) == ERR_OK);
    write_copy(json_root(again), &second);
    ASSERT(slice_is_equal(buffer_slice(&first), buffer_slice(&second)));
    json_document_destroy(again);
    json_document_destroy(document);
    buffer_deinit(&first);
    buffer_deinit(&second);
    return 0;
}
