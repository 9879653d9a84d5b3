/* Every allocation fails once, each in a run of its own: the answer is "no memory", nothing leaks
 * (the sanitizer build tells) and nothing else is touched. YAML is left out, because libfyaml does
 * not survive this. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/map.h"
#include "base/vector.h"
#include "wire/http1.h"
#include "wire/json_writer.h"
#include "wire/sse.h"
#include "wire/target.h"

#define S(text) slice_of(text)

enum { FAILURES_MAX = 1000 };

/* The linker sends the product's calls here (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static long left = -1; /* allocations that still succeed; -1: all */

static int is_refused(void)
{
    if (left < 0)
        return 0;
    if (left == 0)
        return 1;
    left--;
    return 0;
}

void *__wrap_malloc(size_t size)
{
    return is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_refused() ? NULL : __real_realloc(old, size);
}

static void torture(enum err (*work)(void), long failures_min)
{
    for (long allowed = 0; allowed < FAILURES_MAX; allowed++) {
        left = allowed;
        enum err err = work();
        left = -1;
        if (err == ERR_OK) {
            assert_true(allowed >= failures_min); /* else nothing was tried */
            return;
        }
        assert_int_equal(err, ERR_NO_MEMORY);
    }
    fail_msg("it never succeeds");
}

static enum err read_and_write_json(void)
{
    struct json_document *document = NULL;
    struct fault fault;
    enum err err = json_parse(S("{\"a\":[1,2.5,{\"b\":null}],\"k1\":1,\"k2\":1,\"k3\":1,\"k4\":1,"
                                "\"k5\":1,\"k6\":1,\"k7\":1,\"k8\":1,\"k9\":1,\"k10\":1,\"k11\":1,"
                                "\"k12\":1}"),
                              &JSON_LIMITS_REQUEST, &document, &fault);
    if (err != ERR_OK)
        return err;
    struct buffer out;
    struct json_writer writer;
    buffer_init(&out, 100000);
    json_writer_init(&writer, &out);
    json_copy(&writer, json_root(document));
    err = json_writer_finish(&writer);
    buffer_deinit(&out);
    json_document_destroy(document);
    return err;
}

static enum err read_request(void)
{
    struct http1_parser *parser = NULL;
    enum err err = http1_parser_create(HTTP1_REQUESTS, &HTTP1_LIMITS_DEFAULT, &parser);
    struct slice input = S("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    struct http1_event event = {.type = HTTP1_EVENT_HEAD};
    while (err == ERR_OK && event.type != HTTP1_EVENT_NEED_MORE) {
        size_t used;
        err = http1_parse(parser, input, &used, &event, NULL);
        if (err != ERR_OK)
            break;
        input.data += used;
        input.len -= used;
    }
    http1_parser_destroy(parser);
    return err;
}

static enum err read_events(void)
{
    struct sse_reader reader;
    struct sse_event event;
    size_t used;
    bool has_event;
    sse_reader_init(&reader, 1000);
    enum err err = sse_read(&reader, S("id: 1\nevent: x\ndata: y\n\n"), &used, &has_event, &event);
    sse_reader_deinit(&reader);
    return err;
}

static enum err read_target(void)
{
    struct arena arena;
    struct target target;
    arena_init(&arena, 100000);
    enum err err = target_parse(S("/a/b?c=d"), &arena, &target, NULL);
    arena_deinit(&arena);
    return err;
}

static enum err fill_containers(void)
{
    struct strmap map;
    struct heap heap;
    struct vector vector;
    enum err err = ERR_OK;
    strmap_init(&map, 1000, 0);
    heap_init(&heap, 1000);
    vector_init(&vector, sizeof(int), 1000);
    for (int i = 0; i < 50 && err == ERR_OK; i++) {
        char key[16];
        size_t count = strmap_count(&map);
        snprintf(key, sizeof(key), "%d", i);
        err = strmap_add(&map, S(key), key);
        if (err != ERR_OK)
            assert_int_equal(strmap_count(&map), count);
        if (err == ERR_OK)
            err = heap_push(&heap, i, 0, NULL);
        if (err == ERR_OK)
            err = vector_push(&vector, &i);
    }
    strmap_deinit(&map);
    heap_deinit(&heap);
    vector_deinit(&vector);
    return err;
}

static void json_survives_the_loss_of_any_allocation(void **state)
{
    (void)state;
    torture(read_and_write_json, 5);
}

static void http1_survives_the_loss_of_any_allocation(void **state)
{
    (void)state;
    torture(read_request, 3);
}

static void event_streams_and_targets_survive_the_loss_of_any_allocation(void **state)
{
    (void)state;
    torture(read_events, 3);
    torture(read_target, 1);
}

static void containers_survive_the_loss_of_any_allocation(void **state)
{
    (void)state;
    torture(fill_containers, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_survives_the_loss_of_any_allocation),
        cmocka_unit_test(http1_survives_the_loss_of_any_allocation),
        cmocka_unit_test(event_streams_and_targets_survive_the_loss_of_any_allocation),
        cmocka_unit_test(containers_survive_the_loss_of_any_allocation),
    };
    return cmocka_run_group_tests_name("wire_torture", tests, NULL, NULL);
}
