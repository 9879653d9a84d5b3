/* Any bytes: refused with a place that lies in the text, or read, written and read again to the
 * same bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "fuzz.h"
#include "wire/json.h"
#include "wire/json_writer.h"

static const struct json_limits limits = {1u << 16, 12, 4000};

static void write_copy(struct json_value value, struct buffer *out)
{
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_copy(&writer, value);
    ASSERT(json_writer_finish(&writer) == ERR_OK);
}

static void check_fault(struct slice text, const struct fault *fault)
{
    size_t lines = 1;
    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n' ? 1 : 0;
    ASSERT(fault->line <= lines);
    ASSERT(fault->message[0] != '\0');
    ASSERT(slice_is_utf8(slice_of(fault->field)));
    for (const char *c = fault->field; *c != '\0'; c++)
        ASSERT((unsigned char)*c >= 0x20);
}

/* Every getter on every member: none may crash, each must give in-range values or a fault. */
static void convert_all(struct json_value value, struct arena *arena)
{
    struct fault fault = {0};
    struct slice text;
    struct money money;
    struct span_ms span;
    struct wall_us at;
    struct id id;
    uint64_t n = 3;
    int64_t i = 3;
    double f;
    bool b;
    unsigned choice;
    static const char *const names[] = {"name", "resources", "run"};
    if (json_to_u64(value, 2, 9, &n, &fault) == ERR_OK)
        ASSERT(n >= 2 && n <= 9);
    if (json_to_i64(value, -4, 9, &i, &fault) == ERR_OK)
        ASSERT(i >= -4 && i <= 9);
    if (json_to_f64(value, 0, 1, &f, &fault) == ERR_OK)
        ASSERT(f >= 0 && f <= 1);
    if (json_to_text(value, 8, arena, &text, &fault) == ERR_OK)
        ASSERT(text.len <= 8 && slice_is_utf8(text));
    if (json_to_millicpus(value, 9000, &n, &fault) == ERR_OK)
        ASSERT(n <= 9000);
    if (json_to_bytes(value, 1u << 30, &n, &fault) == ERR_OK)
        ASSERT(n <= 1u << 30);
    (void)!json_to_bool(value, &b, &fault);
    (void)!json_to_money(value, &money, &fault);
    (void)!json_to_span(value, &span, &fault);
    (void)!json_to_wall(value, &at, &fault);
    (void)!json_to_id(value, "job", &id, &fault);
    (void)!json_to_choice(value, names, 3, &choice, &fault);
    (void)!json_object_check_keys(value, names, 3, &fault);
    (void)!json_get_u64(value, "run", 0, 1, &n, &fault);
    ASSERT(slice_is_utf8(slice_of(fault.message)));
}

static void look_at_members(struct json_value value, struct arena *arena)
{
    struct json_iterator it = json_iterate(value);
    size_t count = 0;
    while (json_next(&it)) {
        if (count++ < 32)
            convert_all(it.value, arena);
        if (json_type_of(value) == JSON_OBJECT && count < 64)
            ASSERT(json_object_find(value, it.key).node == it.value.node);
    }
    ASSERT(count == json_count(value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, size);
    struct json_document *document = NULL;
    struct fault fault = {0};
    enum err err = json_parse(text, &limits, &document, &fault);
    if (err != ERR_OK) {
        ASSERT(err == ERR_INVALID || err == ERR_LIMIT);
        check_fault(text, &fault);
        return 0;
    }
    struct arena arena;
    struct buffer first;
    struct buffer second;
    arena_init(&arena, 1u << 20);
    buffer_init(&first, 1u << 22);
    buffer_init(&second, 1u << 22);
    struct json_value root = json_root(document);
    convert_all(root, &arena);
    look_at_members(root, &arena);
    write_copy(root, &first);
    struct json_limits wide = limits;
    wide.bytes = 1u << 22;
    struct json_document *again = NULL;
    ASSERT(json_parse(buffer_slice(&first), &wide, &again, &fault) == ERR_OK);
    write_copy(json_root(again), &second);
    ASSERT(slice_is_equal(buffer_slice(&first), buffer_slice(&second)));
    ASSERT(json_count(json_root(again)) == json_count(root));
    json_document_destroy(again);
    json_document_destroy(document);
    buffer_deinit(&first);
    buffer_deinit(&second);
    arena_deinit(&arena);
    return 0;
}
