/* Arenas, buffers, vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/random.h"
#include "base/vector.h"

static void arenas_give_aligned_zeroed_memory_that_does_not_overlap(void **state)
{
    (void)state;
    struct arena arena;
    struct random random;
    random_init(&random, 1);
    arena_init(&arena, 8u << 20);
    unsigned char *last_end = NULL;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 2000; i++) {
            size_t size = random_below(&random, 900);
            unsigned char *place = arena_alloc(&arena, size);
            assert_non_null(place);
            assert_int_equal((uintptr_t)place % 16, 0);
            for (size_t k = 0; k < size; k++)
                assert_int_equal(place[k], 0);
            assert_true(place != last_end || size == 0 || i == 0 || last_end <= place);
            memset(place, 0xAB, size);
            last_end = place + size;
        }
        arena_reset(&arena);
        assert_int_equal(arena.used_bytes, 0);
    }
    arena_deinit(&arena);
    arena_deinit(&arena); /* a zeroed arena is fine */
}

static void arenas_stop_at_their_limit_and_at_overflow(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1000);
    assert_non_null(arena_alloc(&arena, 500));
    assert_null(arena_alloc(&arena, 500));
    assert_non_null(arena_alloc(&arena, 400));
    assert_null(arena_array(&arena, SIZE_MAX / 2, 3));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_copy(&arena, slice_make(arena.chunk, 600)).data);
    arena_reset(&arena);
    assert_non_null(arena_alloc(&arena, 900));
    arena_deinit(&arena);
}

static void arena_texts_end_with_a_nul(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 100000);
    struct slice copy = arena_copy(&arena, slice_make("abc", 2));
    assert_int_equal(copy.len, 2);
    assert_string_equal(copy.data, "ab");
    assert_string_equal(arena_text(&arena, slice_of("")), "");
    assert_string_equal(arena_printf(&arena, "%s-%d", "x", 5), "x-5");
    char *longer = arena_printf(&arena, "%05000d", 1);
    assert_int_equal(strlen(longer), 5000);
    arena_deinit(&arena);
}

static void buffers_build_text(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    assert_string_equal(buffer_text(&buffer), "");
    buffer_append_text(&buffer, "a=");
    buffer_append_u64(&buffer, UINT64_MAX);
    buffer_append_char(&buffer, ' ');
    buffer_append_i64(&buffer, INT64_MIN);
    buffer_append_char(&buffer, ' ');
    buffer_append_hex(&buffer, slice_of("\x01\xfe"));
    buffer_printf(&buffer, " %03d", 7);
    assert_string_equal(buffer_text(&buffer),
                        "a=18446744073709551615 -9223372036854775808 01fe 007");
    buffer_drop_front(&buffer, 2);
    buffer_truncate(&buffer, 4);
    assert_string_equal(buffer_text(&buffer), "1844");
    char *place = buffer_reserve(&buffer, 3);
    memcpy(place, "xyz", 3);
    buffer_commit(&buffer, 2);
    assert_string_equal(buffer_text(&buffer), "1844xy");
    char *data;
    size_t len;
    assert_int_equal(buffer_take(&buffer, &data, &len), ERR_OK);
    assert_int_equal(len, 6);
    assert_int_equal(buffer_slice(&buffer).len, 0);
    free(data);
    buffer_deinit(&buffer);
}

static void a_full_buffer_takes_nothing_more_and_says_so(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 10);
    buffer_append_text(&buffer, "123456789");
    buffer_append_text(&buffer, "ab"); /* does not fit: nothing of it is taken */
    buffer_append_char(&buffer, 'c');  /* would fit, but there must be no hole */
    assert_int_equal(buffer_status(&buffer), ERR_LIMIT);
    assert_string_equal(buffer_text(&buffer), "123456789");
    char *data = NULL;
    size_t len = 0;
    assert_int_equal(buffer_take(&buffer, &data, &len), ERR_LIMIT);
    assert_null(data);
    buffer_reset(&buffer);
    buffer_append_text(&buffer, "0123456789"); /* exactly the limit */
    assert_int_equal(buffer_status(&buffer), ERR_OK);
    assert_string_equal(buffer_text(&buffer), "0123456789");
    buffer_deinit(&buffer);
    buffer_init(&buffer, 0);
    buffer_append_text(&buffer, "");
    assert_int_equal(buffer_status(&buffer), ERR_OK);
    buffer_printf(&buffer, "%s", "");
    assert_int_equal(buffer_status(&buffer), ERR_OK);
    buffer_append_char(&buffer, 'x');
    assert_int_equal(buffer_status(&buffer), ERR_LIMIT);
    buffer_deinit(&buffer);
}

static void vectors_agree_with_a_plain_array(void **state)
{
    (void)state;
    enum { MOST = 300 };
    int model[MOST];
    size_t len = 0;
    struct vector vector;
    struct random random;
    random_init(&random, 3);
    vector_init(&vector, sizeof(int), MOST);
    for (int i = 0; i < 50000; i++) {
        size_t index = len == 0 ? 0 : (size_t)random_below(&random, len);
        switch (random_below(&random, len > MOST / 2 ? 6 : 4)) {
        case 0:
        case 1:
            if (len == MOST)
                break;
            assert_int_equal(vector_push(&vector, &i), ERR_OK);
            model[len++] = i;
            break;
        case 2:
            if (len == MOST)
                break;
            assert_int_equal(vector_insert(&vector, index, &i), ERR_OK);
            memmove(model + index + 1, model + index, (len - index) * sizeof(int));
            model[index] = i;
            len++;
            break;
        case 3:
            if (len == 0)
                break;
            vector_remove_ordered(&vector, index);
            memmove(model + index, model + index + 1, (len - index - 1) * sizeof(int));
            len--;
            break;
        default:
            vector_remove_swap(&vector, index);
            model[index] = model[--len];
            break;
        }
        assert_int_equal(vector.len, len);
    }
    for (size_t i = 0; i < len; i++)
        assert_int_equal(*(int *)vector_at(&vector, i), model[i]);
    vector_deinit(&vector);
}

static void vectors_stop_at_their_limit(void **state)
{
    (void)state;
    struct vector vector;
    int one = 1;
    vector_init(&vector, sizeof(int), 3);
    assert_int_equal(vector_push(&vector, &one), ERR_OK);
    assert_int_equal(*(int *)vector_push_zeroed(&vector), 0);
    assert_int_equal(vector_push(&vector, &one), ERR_OK);
    assert_int_equal(vector_push(&vector, &one), ERR_LIMIT);
    assert_null(vector_push_zeroed(&vector));
    assert_int_equal(vector_reserve(&vector, 4), ERR_LIMIT);
    assert_int_equal(vector.len, 3);
    vector_pop(&vector);
    assert_int_equal(*(int *)vector_last(&vector), 0);
    vector_deinit(&vector);
}

struct pair {
    uint32_t key;
    uint32_t order;
};

static int compare_pairs(const void *a, const void *b)
{
    uint32_t left = ((const struct pair *)a)->key;
    uint32_t right = ((const struct pair *)b)->key;
    return (left > right) - (left < right);
}

static void sorting_is_stable_at_every_length(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 4);
    for (uint32_t len = 0; len < 200; len++) {
        struct vector vector;
        vector_init(&vector, sizeof(struct pair), 1000);
        for (uint32_t i = 0; i < len; i++) {
            struct pair pair = {(uint32_t)random_below(&random, 10), i};
            assert_int_equal(vector_push(&vector, &pair), ERR_OK);
        }
        assert_int_equal(vector_sort(&vector, compare_pairs), ERR_OK);
        for (uint32_t i = 1; i < len; i++) {
            const struct pair *a = vector_at(&vector, i - 1);
            const struct pair *b = vector_at(&vector, i);
            assert_true(a->key < b->key || (a->key == b->key && a->order < b->order));
        }
        vector_deinit(&vector);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arenas_give_aligned_zeroed_memory_that_does_not_overlap),
        cmocka_unit_test(arenas_stop_at_their_limit_and_at_overflow),
        cmocka_unit_test(arena_texts_end_with_a_nul),
        cmocka_unit_test(buffers_build_text),
        cmocka_unit_test(a_full_buffer_takes_nothing_more_and_says_so),
        cmocka_unit_test(vectors_agree_with_a_plain_array),
        cmocka_unit_test(vectors_stop_at_their_limit),
        cmocka_unit_test(sorting_is_stable_at_every_length),
    };
    return cmocka_run_group_tests_name("base_memory", tests, NULL, NULL);
}
