/* Targets and URLs: what is taken is safe, and encoding it again gives the same parts. */
#include <string.h>

#include "fuzz.h"
#include "wire/target.h"

static void check_parts(const struct target *target)
{
    for (size_t i = 0; i < target->segment_count; i++) {
        struct slice segment = target->segments[i];
        ASSERT(segment.len > 0 && slice_is_utf8(segment));
        ASSERT(!slice_is(segment, ".") && !slice_is(segment, ".."));
        for (size_t k = 0; k < segment.len; k++)
            ASSERT((unsigned char)segment.data[k] >= 0x20 && segment.data[k] != '/' &&
                   segment.data[k] != '\\');
    }
    for (size_t i = 0; i < target->pair_count; i++) {
        ASSERT(target->pairs[i].name.len > 0 && slice_is_utf8(target->pairs[i].value));
        for (size_t k = 0; k < i; k++)
            ASSERT(!slice_is_equal(target->pairs[i].name, target->pairs[k].name));
    }
}

static void write_target(const struct target *target, struct buffer *out)
{
    for (size_t i = 0; i < target->segment_count; i++) {
        buffer_append_char(out, '/');
        target_append_encoded(out, target->segments[i]);
    }
    if (target->segment_count == 0 || target->has_trailing_slash)
        buffer_append_char(out, '/');
    for (size_t i = 0; i < target->pair_count; i++) {
        buffer_append_char(out, i == 0 ? '?' : '&');
        target_append_encoded(out, target->pairs[i].name);
        buffer_append_char(out, '=');
        target_append_encoded(out, target->pairs[i].value);
    }
}

static void check_same(const struct target *a, const struct target *b)
{
    ASSERT(a->segment_count == b->segment_count && a->pair_count == b->pair_count);
    ASSERT(a->has_trailing_slash == b->has_trailing_slash);
    for (size_t i = 0; i < a->segment_count; i++)
        ASSERT(slice_is_equal(a->segments[i], b->segments[i]));
    for (size_t i = 0; i < a->pair_count; i++) {
        ASSERT(slice_is_equal(a->pairs[i].name, b->pairs[i].name));
        ASSERT(slice_is_equal(a->pairs[i].value, b->pairs[i].value));
    }
}

static void check_url(struct slice text)
{
    struct url url;
    struct fault fault;
    if (url_parse(text, &url, &fault) != ERR_OK)
        return;
    ASSERT(url.port > 0 && url.host.len > 0 && url.path.len > 0 && url.path.data[0] == '/');
    ASSERT(memchr(url.host.data, '/', url.host.len) == NULL);
    ASSERT(memchr(url.host.data, '@', url.host.len) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, size);
    struct target target;
    struct target again;
    struct arena arena;
    struct fault fault = {0};
    arena_init(&arena, 1u << 22);
    check_url(text);
    if (target_parse(text, &arena, &target, &fault) == ERR_OK) {
        struct buffer out;
        buffer_init(&out, 1u << 22);
        check_parts(&target);
        write_target(&target, &out);
        ASSERT(target_parse(buffer_slice(&out), &arena, &again, &fault) == ERR_OK);
        check_same(&target, &again);
        buffer_deinit(&out);
    } else {
        ASSERT(fault.code != ERR_OK && fault.message[0] != '\0');
    }
    arena_deinit(&arena);
    return 0;
}
