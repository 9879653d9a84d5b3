/* Maps and heaps, each against a slow model. */
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
#include "base/random.h"

enum { KEYS = 97 };

/* The model: a list in order of insertion. */
struct model {
    struct {
        uint64_t key;
        uintptr_t value;
    } entries[KEYS];
    size_t len;
};

static size_t model_find(const struct model *model, uint64_t key)
{
    for (size_t i = 0; i < model->len; i++) {
        if (model->entries[i].key == key)
            return i;
    }
    return SIZE_MAX;
}

static void model_remove(struct model *model, size_t at)
{
    memmove(&model->entries[at], &model->entries[at + 1],
            (model->len - at - 1) * sizeof(model->entries[0]));
    model->len--;
}

static struct id id_of(uint64_t key)
{
    struct id id = {{0}};
    memcpy(id.bytes + 3, &key, sizeof(key));
    return id;
}

static struct slice text_of(uint64_t key, char out[32])
{
    /* The empty key is one of them. */
    int len = key == 0 ? 0 : snprintf(out, 32, "key-%llu", (unsigned long long)key);
    return slice_make(out, (size_t)len);
}

struct maps {
    struct idmap ids;
    struct u64map numbers;
    struct strmap texts;
};

static void put_in_all(struct maps *maps, uint64_t key, uintptr_t value, bool is_add,
                       enum err expected)
{
    char text[32];
    void *pointer = (void *)value; /* never looked into */
    struct slice slice = text_of(key, text);
    if (is_add) {
        assert_int_equal(idmap_add(&maps->ids, id_of(key), pointer), expected);
        assert_int_equal(u64map_add(&maps->numbers, key, pointer), expected);
        assert_int_equal(strmap_add(&maps->texts, slice, pointer), expected);
    } else {
        assert_int_equal(idmap_put(&maps->ids, id_of(key), pointer), expected);
        assert_int_equal(u64map_put(&maps->numbers, key, pointer), expected);
        assert_int_equal(strmap_put(&maps->texts, slice, pointer), expected);
    }
}

static void remove_from_all(struct maps *maps, uint64_t key, uintptr_t expected)
{
    char text[32];
    assert_ptr_equal(idmap_remove(&maps->ids, id_of(key)), (void *)expected);
    assert_ptr_equal(u64map_remove(&maps->numbers, key), (void *)expected);
    assert_ptr_equal(strmap_remove(&maps->texts, text_of(key, text)), (void *)expected);
}

static void compare_with_model(struct maps *maps, const struct model *model)
{
    size_t cursors[3] = {0, 0, 0};
    assert_int_equal(idmap_count(&maps->ids), model->len);
    assert_int_equal(u64map_count(&maps->numbers), model->len);
    assert_int_equal(strmap_count(&maps->texts), model->len);
    for (size_t i = 0; i <= model->len; i++) {
        struct id id;
        uint64_t number;
        struct slice text;
        void *values[3];
        bool is_more = i < model->len;
        assert_int_equal(idmap_next(&maps->ids, &cursors[0], &id, &values[0]), is_more);
        assert_int_equal(u64map_next(&maps->numbers, &cursors[1], &number, &values[1]), is_more);
        assert_int_equal(strmap_next(&maps->texts, &cursors[2], &text, &values[2]), is_more);
        if (!is_more)
            break;
        char expected[32];
        assert_true(id_is_equal(id, id_of(model->entries[i].key)));
        assert_true(number == model->entries[i].key);
        assert_true(slice_is_equal(text, text_of(model->entries[i].key, expected)));
        for (unsigned k = 0; k < 3; k++)
            assert_ptr_equal(values[k], (void *)model->entries[i].value);
    }
}

static void one_step(struct maps *maps, struct model *model, struct random *random)
{
    uint64_t key = random_below(random, KEYS);
    uintptr_t value = 1 + (uintptr_t)random_below(random, 1000000);
    size_t at = model_find(model, key);
    switch (random_below(random, 4)) {
    case 0:
        put_in_all(maps, key, value, true, at == SIZE_MAX ? ERR_OK : ERR_EXISTS);
        if (at == SIZE_MAX) {
            model->entries[model->len].key = key;
            model->entries[model->len++].value = value;
        }
        break;
    case 1:
        put_in_all(maps, key, value, false, ERR_OK);
        if (at == SIZE_MAX) {
            at = model->len++;
            model->entries[at].key = key;
        }
        model->entries[at].value = value;
        break;
    case 2:
        remove_from_all(maps, key, at == SIZE_MAX ? 0 : model->entries[at].value);
        if (at != SIZE_MAX)
            model_remove(model, at);
        break;
    default: {
        uintptr_t expected = at == SIZE_MAX ? 0 : model->entries[at].value;
        char text[32];
        assert_ptr_equal(idmap_get(&maps->ids, id_of(key)), (void *)expected);
        assert_ptr_equal(u64map_get(&maps->numbers, key), (void *)expected);
        assert_ptr_equal(strmap_get(&maps->texts, text_of(key, text)), (void *)expected);
    }
    }
}

static void maps_agree_with_a_list_in_order_of_insertion(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct random random;
        struct maps maps;
        struct model model = {.len = 0};
        random_init(&random, seed);
        idmap_init(&maps.ids, KEYS, seed);
        u64map_init(&maps.numbers, KEYS, seed);
        strmap_init(&maps.texts, KEYS, seed);
        for (unsigned i = 0; i < 4000; i++) {
            one_step(&maps, &model, &random);
            if (i % 37 == 0)
                compare_with_model(&maps, &model);
            if (i == 3000) {
                idmap_clear(&maps.ids);
                u64map_clear(&maps.numbers);
                strmap_clear(&maps.texts);
                model.len = 0;
            }
        }
        compare_with_model(&maps, &model);
        idmap_deinit(&maps.ids);
        u64map_deinit(&maps.numbers);
        strmap_deinit(&maps.texts);
    }
}

static void maps_stop_at_their_limit_and_still_replace(void **state)
{
    (void)state;
    struct u64map map;
    int a;
    int b;
    u64map_init(&map, 2, 0);
    assert_int_equal(u64map_add(&map, 1, &a), ERR_OK);
    assert_int_equal(u64map_add(&map, 2, &a), ERR_OK);
    assert_int_equal(u64map_add(&map, 3, &a), ERR_LIMIT);
    assert_int_equal(u64map_put(&map, 3, &a), ERR_LIMIT);
    assert_int_equal(u64map_put(&map, 2, &b), ERR_OK);
    assert_ptr_equal(u64map_get(&map, 2), &b);
    assert_null(u64map_get(&map, 3));
    u64map_deinit(&map);
}

static void entries_may_be_removed_while_walking(void **state)
{
    (void)state;
    struct u64map map;
    int a;
    u64map_init(&map, 1000, 9);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(u64map_add(&map, i, &a), ERR_OK);
    size_t cursor = 0;
    uint64_t key;
    uint64_t seen = 0;
    while (u64map_next(&map, &cursor, &key, NULL)) {
        assert_true(key == seen++);
        if (key % 2 == 0)
            assert_non_null(u64map_remove(&map, key));
    }
    assert_true(seen == 1000);
    assert_int_equal(u64map_count(&map), 500);
    cursor = 0;
    while (u64map_next(&map, &cursor, &key, NULL))
        assert_non_null(u64map_remove(&map, key));
    assert_int_equal(u64map_count(&map), 0);
    u64map_deinit(&map);
}

static void a_map_used_as_a_queue_stays_fast(void **state)
{
    (void)state;
    struct u64map map;
    int a;
    u64map_init(&map, 300000, 0);
    for (uint64_t i = 0; i < 200000; i++)
        assert_int_equal(u64map_add(&map, i, &a), ERR_OK);
    /* Quadratic walking over removed entries would take minutes here. */
    for (uint64_t i = 0; i < 200000; i++) {
        size_t cursor = 0;
        uint64_t key;
        assert_true(u64map_next(&map, &cursor, &key, NULL));
        assert_true(key == i);
        assert_non_null(u64map_remove(&map, key));
    }
    u64map_deinit(&map);
}

static void a_million_ids_fit_and_are_found(void **state)
{
    (void)state;
    enum { MANY = 1000000 };
    struct idmap map;
    idmap_init(&map, MANY, 42);
    for (uintptr_t i = 1; i <= MANY; i++)
        assert_int_equal(idmap_add(&map, id_of(i), (void *)i), ERR_OK);
    for (uintptr_t i = 1; i <= MANY; i += 7)
        assert_ptr_equal(idmap_get(&map, id_of(i)), (void *)i);
    assert_null(idmap_get(&map, id_of(MANY + 1)));
    assert_true(map.table.entry_cap * 24 + map.table.slot_count * 4 < 40u << 20);
    idmap_deinit(&map);
}

/* ---- heaps ---- */

struct timer {
    int64_t key;
    uint64_t payload;
    uint64_t order;
    struct heap_handle handle;
    bool is_set;
};

static struct timer *first_timer(struct timer *timers, size_t count)
{
    struct timer *first = NULL;
    for (size_t i = 0; i < count; i++) {
        struct timer *timer = &timers[i];
        if (timer->is_set && (first == NULL || timer->key < first->key ||
                              (timer->key == first->key && timer->order < first->order)))
            first = timer;
    }
    return first;
}

static void heaps_agree_with_a_search_for_the_smallest(void **state)
{
    (void)state;
    enum { MOST = 40 };
    struct timer timers[MOST] = {0};
    struct random random;
    struct heap heap;
    random_init(&random, 8);
    heap_init(&heap, MOST);
    for (uint64_t i = 1; i < 100000; i++) {
        struct timer *timer = &timers[random_below(&random, MOST)];
        int64_t key = random_between(&random, -5, 5);
        struct timer *first;
        switch (random_below(&random, 5)) {
        case 0:
        case 1:
            if (timer->is_set)
                break;
            *timer = (struct timer){.key = key, .payload = i, .order = i, .is_set = true};
            assert_int_equal(heap_push(&heap, key, i, &timer->handle), ERR_OK);
            break;
        case 2:
            assert_int_equal(heap_remove(&heap, timer->handle), timer->is_set);
            timer->is_set = false;
            assert_false(heap_has(&heap, timer->handle));
            break;
        case 3:
            assert_int_equal(heap_change(&heap, timer->handle, key), timer->is_set);
            timer->key = key;
            timer->order = i;
            break;
        default:
            first = first_timer(timers, MOST);
            uint64_t payload = 0;
            assert_int_equal(heap_pop(&heap, &key, &payload), first != NULL);
            if (first == NULL)
                break;
            assert_true(key == first->key && payload == first->payload);
            first->is_set = false;
        }
    }
    heap_deinit(&heap);
}

static void equal_timers_come_in_order_and_old_handles_are_dead(void **state)
{
    (void)state;
    struct heap heap;
    struct heap_handle handle;
    uint64_t payload;
    heap_init(&heap, 100);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(heap_push(&heap, 7, i, i == 0 ? &handle : NULL), ERR_OK);
    assert_int_equal(heap_push(&heap, 7, 0, NULL), ERR_LIMIT);
    for (uint64_t i = 0; i < 100; i++) {
        assert_true(heap_pop(&heap, NULL, &payload));
        assert_true(payload == i);
    }
    assert_false(heap_pop(&heap, NULL, NULL));
    assert_int_equal(heap_push(&heap, 1, 1, NULL), ERR_OK);
    assert_false(heap_remove(&heap, handle));
    assert_false(heap_remove(&heap, (struct heap_handle){0, 0}));
    assert_int_equal(heap_count(&heap), 1);
    heap_deinit(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_agree_with_a_list_in_order_of_insertion),
        cmocka_unit_test(maps_stop_at_their_limit_and_still_replace),
        cmocka_unit_test(entries_may_be_removed_while_walking),
        cmocka_unit_test(a_map_used_as_a_queue_stays_fast),
        cmocka_unit_test(a_million_ids_fit_and_are_found),
        cmocka_unit_test(heaps_agree_with_a_search_for_the_smallest),
        cmocka_unit_test(equal_timers_come_in_order_and_old_handles_are_dead),
    };
    return cmocka_run_group_tests_name("base_containers", tests, NULL, NULL);
}
