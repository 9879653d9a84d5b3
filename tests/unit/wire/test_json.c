#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/random.h"
#include "wire/json.h"
#include "wire/json_writer.h"

#define S(text) slice_of(text)

static const struct json_limits small = {4096, 4, 64};

static struct json_document *parse(const char *text)
{
    struct json_document *document = NULL;
    struct fault fault;
    enum err err = json_parse(S(text), &JSON_LIMITS_REQUEST, &document, &fault);
    if (err != ERR_OK)
        fail_msg("%s: %s %s", text, fault.field, fault.message);
    return document;
}

static void expect_refusal(const char *text, enum err code, unsigned line, unsigned column,
                           const char *field, const char *message)
{
    struct json_document *document = NULL;
    struct fault fault = {0};
    assert_int_equal(json_parse(S(text), &small, &document, &fault), code);
    assert_null(document);
    assert_int_equal(fault.code, code);
    assert_int_equal(fault.line, line);
    assert_int_equal(fault.column, column);
    assert_string_equal(fault.field, field);
    assert_non_null(strstr(fault.message, message));
    assert_int_equal(json_parse(S(text), &small, &document, NULL), code);
}

static void broken_texts_are_refused_with_their_place(void **state)
{
    (void)state;
    expect_refusal("", ERR_INVALID, 0, 0, "", "empty");
    expect_refusal("{\"a\": 1,\n  \"b\": }", ERR_INVALID, 2, 8, "", "is not JSON");
    expect_refusal("[1,]", ERR_INVALID, 1, 3, "", "trailing comma");
    expect_refusal("1 2", ERR_INVALID, 1, 3, "", "after");
    expect_refusal("// c\n1", ERR_INVALID, 1, 1, "", "is not JSON");
    expect_refusal("[NaN]", ERR_INVALID, 1, 2, "", "is not JSON");
    expect_refusal("{a:1}", ERR_INVALID, 1, 2, "", "is not JSON");
    expect_refusal("[01]", ERR_INVALID, 1, 2, "", "is not JSON");
    expect_refusal("\"a\tb\"", ERR_INVALID, 1, 3, "", "is not JSON");
    expect_refusal("\"\\ud800\"", ERR_INVALID, 1, 8, "", "is not JSON");
    expect_refusal("[\"灵渠\", \"\xC0\x80\"]", ERR_INVALID, 1, 9, "", "UTF-8");
}

static void what_grows_or_hides_is_refused(void **state)
{
    (void)state;
    expect_refusal("{\"a\":1,\n \"a\":2}", ERR_INVALID, 2, 2, "a", "twice");
    expect_refusal("{\"x\":[{\"k\":1},{\"k\":1,\"\\u006b\":2}]}", ERR_INVALID, 1, 22, "x[1].k",
                   "twice");
    expect_refusal("[[[[[1]]]]]", ERR_LIMIT, 1, 5, "[0][0][0][0]", "4 levels");
    expect_refusal("{\"n\":18446744073709551616}", ERR_INVALID, 1, 6, "n", "too large");
    expect_refusal("{\"n\":-9223372036854775809}", ERR_INVALID, 1, 6, "n", "too large");
    expect_refusal("{\"n\":1e999}", ERR_INVALID, 1, 6, "n", "too large");
    expect_refusal("{\"n\":\"a\\u0000b\"}", ERR_INVALID, 1, 6, "n", "NUL");
    expect_refusal("{\"a\\u0000\":1}", ERR_INVALID, 1, 2, "a?", "NUL");
}

static void limits_of_bytes_and_values_hold(void **state)
{
    (void)state;
    char text[5000];
    struct json_document *document = NULL;
    struct fault fault;
    memset(text, ' ', sizeof(text));
    text[0] = '1';
    assert_int_equal(json_parse(slice_make(text, 4096), &small, &document, &fault), ERR_OK);
    json_document_destroy(document);
    assert_int_equal(json_parse(slice_make(text, 4097), &small, &document, &fault), ERR_LIMIT);
    size_t len = 0;
    text[len++] = '[';
    for (unsigned i = 0; i < 64; i++) {
        text[len++] = '1';
        text[len++] = i == 63 ? ']' : ',';
    }
    assert_int_equal(json_parse(slice_make(text, len), &small, &document, &fault), ERR_LIMIT);
    text[len - 3] = ']';
    assert_int_equal(json_parse(slice_make(text, len - 2), &small, &document, &fault), ERR_OK);
    json_document_destroy(document);
}

static void a_megabyte_of_brackets_is_refused_at_once(void **state)
{
    (void)state;
    enum { LEN = 1 << 20 };
    char *text = malloc(LEN);
    assert_non_null(text);
    memset(text, '[', LEN);
    struct json_document *document = NULL;
    struct fault fault;
    assert_int_equal(json_parse(slice_make(text, LEN), &JSON_LIMITS_REQUEST, &document, &fault),
                     ERR_LIMIT);
    memset(text + LEN / 2, ']', LEN / 2);
    struct json_limits many = JSON_LIMITS_REQUEST;
    many.values = LEN;
    assert_int_equal(json_parse(slice_make(text, LEN), &many, &document, &fault), ERR_LIMIT);
    free(text);
}

static void repeated_keys_are_found_in_large_objects(void **state)
{
    (void)state;
    struct buffer text;
    for (unsigned twin = 0; twin < 40; twin++) {
        buffer_init(&text, 100000);
        buffer_append_char(&text, '{');
        for (unsigned i = 0; i < 40; i++)
            buffer_printf(&text, "\"key%u\":[%u],", i, i);
        buffer_printf(&text, "\n\"key%u\":0}", twin);
        struct json_document *document = NULL;
        struct fault fault;
        struct json_limits limits = {100000, 4, 1000};
        assert_int_equal(json_parse(buffer_slice(&text), &limits, &document, &fault), ERR_INVALID);
        char field[16];
        snprintf(field, sizeof(field), "key%u", twin);
        assert_string_equal(fault.field, field);
        assert_int_equal(fault.line, 2);
        buffer_deinit(&text);
    }
}

static void values_are_found_by_name_index_and_walk(void **state)
{
    (void)state;
    struct json_document *document =
        parse("{\"a\":[1,{\"deep\":[true]},null],\"b\":{},\"\":\"empty\"}");
    struct json_value root = json_root(document);
    struct json_value a = json_object_get(root, "a");
    assert_int_equal(json_type_of(root), JSON_OBJECT);
    assert_int_equal(json_count(root), 3);
    assert_int_equal(json_count(a), 3);
    assert_true(json_is_null(json_array_at(a, 2)));
    assert_true(json_is_missing(json_array_at(a, 3)));
    assert_true(json_is_missing(json_array_at(root, 0)));
    assert_true(json_is_missing(json_object_get(root, "c")));
    assert_true(json_is_missing(json_object_get(a, "a")));
    assert_int_equal(json_type_of(json_object_get(root, "")), JSON_STRING);
    const char *keys[] = {"a", "b", ""};
    struct json_iterator it = json_iterate(root);
    while (json_next(&it))
        assert_true(slice_is(it.key, keys[it.index]));
    assert_int_equal(it.index, 2);
    it = json_iterate(json_object_get(root, "b"));
    assert_false(json_next(&it));
    assert_true(slice_is(json_source(json_array_at(a, 1)), "{\"deep\":[true]}"));
    assert_true(slice_is(json_source(json_object_get(root, "")), "\"empty\""));
    json_document_destroy(document);
    json_document_destroy(NULL);
}

static void numbers_keep_their_bounds(void **state)
{
    (void)state;
    struct json_document *document =
        parse("{\"u\":18446744073709551615,\"i\":-9223372036854775808,\"n\":7,\"r\":2.5,"
              "\"z\":-0,\"s\":\"7\"}");
    struct json_value root = json_root(document);
    struct fault fault;
    uint64_t u = 5;
    int64_t i = 5;
    uint32_t small_number = 5;
    double f = 5;
    assert_int_equal(json_get_u64(root, "u", 0, UINT64_MAX, &u, &fault), ERR_OK);
    assert_true(u == UINT64_MAX);
    assert_int_equal(json_get_i64(root, "i", INT64_MIN, INT64_MAX, &i, &fault), ERR_OK);
    assert_true(i == INT64_MIN);
    assert_int_equal(json_get_i64(root, "u", INT64_MIN, INT64_MAX, &i, &fault), ERR_INVALID);
    assert_int_equal(json_get_u64(root, "i", 0, UINT64_MAX, &u, &fault), ERR_INVALID);
    assert_string_equal(fault.message, "must be a whole number of at least 0");
    assert_int_equal(json_get_u64(root, "n", 1, 6, &u, &fault), ERR_INVALID);
    assert_string_equal(fault.message, "must be a whole number from 1 to 6");
    assert_string_equal(fault.field, "n");
    assert_int_equal(fault.column, 56);
    assert_int_equal(json_get_u32(root, "n", 1, 7, &small_number, &fault), ERR_OK);
    assert_int_equal(small_number, 7);
    assert_int_equal(json_get_u64(root, "r", 0, 9, &u, &fault), ERR_INVALID);
    assert_int_equal(json_get_u64(root, "s", 0, 9, &u, &fault), ERR_INVALID);
    assert_int_equal(json_get_u64(root, "z", 0, 9, &u, &fault), ERR_OK);
    assert_true(u == 0);
    assert_int_equal(json_get_f64(root, "r", 0, 9, &f, &fault), ERR_OK);
    assert_true(f > 2.4 && f < 2.6);
    assert_int_equal(json_get_f64(root, "n", 0, 9, &f, &fault), ERR_OK);
    assert_int_equal(json_get_f64(root, "r", 3, 9, &f, &fault), ERR_INVALID);
    json_document_destroy(document);
}

static void members_are_required_or_left_alone(void **state)
{
    (void)state;
    struct json_document *document = parse("{\"in\":{\"x\":null,\"t\":\"hello\",\"b\":true}}");
    struct json_value root = json_root(document);
    struct json_value in;
    struct fault fault;
    uint64_t number = 42;
    struct slice text;
    bool flag = false;
    assert_int_equal(json_get_object(root, "in", &in, &fault), ERR_OK);
    assert_int_equal(json_opt_u64(in, "none", 0, 9, &number, &fault), ERR_OK);
    assert_int_equal(json_opt_u64(in, "x", 0, 9, &number, &fault), ERR_OK);
    assert_true(number == 42);
    assert_int_equal(json_opt_u64(in, "t", 0, 9, &number, &fault), ERR_INVALID);
    assert_int_equal(json_get_u64(in, "x", 0, 9, &number, &fault), ERR_INVALID);
    assert_string_equal(fault.field, "in.x");
    assert_string_equal(fault.message, "is required");
    assert_int_equal(json_get_u64(in, "none", 0, 9, &number, &fault), ERR_INVALID);
    assert_string_equal(fault.field, "in.none");
    assert_int_equal(fault.column, 7);
    assert_int_equal(json_get_string(in, "t", 5, &text, &fault), ERR_OK);
    assert_true(slice_is(text, "hello") && text.data[5] == '\0');
    assert_int_equal(json_get_string(in, "t", 4, &text, &fault), ERR_INVALID);
    assert_string_equal(fault.message, "must be at most 4 bytes long, not 5");
    assert_int_equal(json_get_string(in, "b", 4, &text, &fault), ERR_INVALID);
    assert_string_equal(fault.message, "must be a text; put quotes around it");
    assert_int_equal(json_get_bool(in, "b", &flag, &fault), ERR_OK);
    assert_true(flag);
    assert_int_equal(json_get_u64(json_object_get(in, "t"), "q", 0, 1, &number, &fault),
                     ERR_INVALID);
    assert_string_equal(fault.field, "in.t");
    struct json_value list;
    assert_int_equal(json_get_array(root, "in", 3, &list, &fault), ERR_INVALID);
    json_document_destroy(document);
}

static void texts_with_a_meaning_are_read(void **state)
{
    (void)state;
    struct json_document *document = parse(
        "{\"id\":\"job_00000000000000000000000011\",\"m\":12.5,\"m2\":\"0.000001\",\"m3\":7,"
        "\"m4\":1.0000001,\"span\":\"1h30m\",\"at\":\"2026-11-22T05:44:34Z\",\"mem\":\"16GiB\","
        "\"zero\":0,\"c1\":2,\"c2\":0.5,\"c3\":\"250m\",\"m5\":1e2}");
    struct json_value root = json_root(document);
    struct fault fault;
    struct id id;
    struct money money;
    struct span_ms span;
    struct wall_us at;
    uint64_t n;
    assert_int_equal(json_get_id(root, "id", "job", &id, &fault), ERR_OK);
    assert_int_equal(id.bytes[15], 33);
    assert_int_equal(json_get_id(root, "id", "site", &id, &fault), ERR_INVALID);
    assert_int_equal(json_get_money(root, "m", &money, &fault), ERR_OK);
    assert_true(money.micros == 12500000);
    assert_int_equal(json_get_money(root, "m2", &money, &fault), ERR_OK);
    assert_true(money.micros == 1);
    assert_int_equal(json_get_money(root, "m3", &money, &fault), ERR_OK);
    assert_true(money.micros == 7000000);
    assert_int_equal(json_get_money(root, "m4", &money, &fault), ERR_INVALID);
    assert_int_equal(json_get_money(root, "m5", &money, &fault), ERR_INVALID);
    assert_int_equal(json_get_span(root, "span", &span, &fault), ERR_OK);
    assert_true(span.ms == 5400000);
    assert_int_equal(json_get_span(root, "m3", &span, &fault), ERR_INVALID);
    assert_int_equal(json_get_wall(root, "at", &at, &fault), ERR_OK);
    assert_int_equal(json_get_bytes(root, "mem", UINT64_MAX, &n, &fault), ERR_OK);
    assert_true(n == 16ull << 30);
    assert_int_equal(json_get_bytes(root, "mem", 1ull << 30, &n, &fault), ERR_INVALID);
    assert_string_equal(fault.message, "must be at most 1GiB");
    assert_int_equal(json_get_bytes(root, "zero", 1, &n, &fault), ERR_OK);
    assert_true(n == 0);
    assert_int_equal(json_get_bytes(root, "c1", 100, &n, &fault), ERR_INVALID);
    assert_int_equal(json_get_millicpus(root, "c1", 9000, &n, &fault), ERR_OK);
    assert_true(n == 2000);
    assert_int_equal(json_get_millicpus(root, "c2", 9000, &n, &fault), ERR_OK);
    assert_true(n == 500);
    assert_int_equal(json_get_millicpus(root, "c3", 9000, &n, &fault), ERR_OK);
    assert_true(n == 250);
    assert_int_equal(json_get_millicpus(root, "c1", 1500, &n, &fault), ERR_INVALID);
    assert_string_equal(fault.message, "must be at most 1.5 CPUs");
    json_document_destroy(document);
}

static void numbers_as_texts_stay_as_they_were_written(void **state)
{
    (void)state;
    struct json_document *document =
        parse("{\"s\":\"x\",\"a\":1.10,\"b\":8080,\"c\":true,\"d\":1E+2,\"e\":-5,\"f\":[3.0]}");
    static const char *const names[] = {"s", "a", "b", "c", "d", "e"};
    static const char *const texts[] = {"x", "1.10", "8080", "true", "1E+2", "-5"};
    struct json_value root = json_root(document);
    struct arena arena;
    struct fault fault;
    struct slice text;
    arena_init(&arena, 10000);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(json_get_text(root, names[i], 9, &arena, &text, &fault), ERR_OK);
        assert_true(slice_is(text, texts[i]));
    }
    assert_int_equal(json_get_text(root, "f", 9, &arena, &text, &fault), ERR_INVALID);
    assert_int_equal(json_get_text(root, "b", 3, &arena, &text, &fault), ERR_INVALID);
    arena_deinit(&arena);
    json_document_destroy(document);
}

static void unknown_fields_are_named_with_the_nearest_known_one(void **state)
{
    (void)state;
    static const char *const known[] = {"name", "resources", "run"};
    struct json_document *document = parse("{\"job\":{\"name\":1,\n\"resorces\":{}}}");
    struct json_value job = json_object_get(json_root(document), "job");
    struct fault fault;
    assert_int_equal(json_object_check_keys(job, known, 3, &fault), ERR_INVALID);
    assert_string_equal(fault.message, "unknown field \"resorces\"; did you mean \"resources\"?");
    assert_string_equal(fault.field, "job.resorces");
    assert_int_equal(fault.line, 2);
    assert_int_equal(fault.column, 1);
    json_document_destroy(document);
    document = parse("{\"totally\\u001b[31m\\nelse\":1}");
    assert_int_equal(json_object_check_keys(json_root(document), known, 3, &fault), ERR_INVALID);
    assert_string_equal(fault.message,
                        "unknown field \"totally?[31m?else\"; known are: name, resources, run");
    json_document_destroy(document);
    document = parse("{\"run\":1}");
    assert_int_equal(json_object_check_keys(json_root(document), known, 3, &fault), ERR_OK);
    json_document_destroy(document);
    document = parse("[1]");
    assert_int_equal(json_object_check_keys(json_root(document), known, 3, &fault), ERR_INVALID);
    json_document_destroy(document);
}

static void choices_list_their_names(void **state)
{
    (void)state;
    static const char *const names[] = {"guaranteed", "standard", "surplus"};
    struct json_document *document = parse("{\"a\":\"standard\",\"b\":\"standart\",\"c\":3}");
    struct json_value root = json_root(document);
    struct fault fault;
    unsigned choice = 9;
    assert_int_equal(json_get_choice(root, "a", names, 3, &choice, &fault), ERR_OK);
    assert_int_equal(choice, 1);
    assert_int_equal(json_get_choice(root, "b", names, 3, &choice, &fault), ERR_INVALID);
    assert_string_equal(fault.message,
                        "\"standart\" must be one of: guaranteed, standard, surplus; "
                        "did you mean \"standard\"?");
    assert_int_equal(json_get_choice(root, "c", names, 3, &choice, &fault), ERR_INVALID);
    assert_int_equal(choice, 1);
    json_document_destroy(document);
}

static void the_writer_writes_exact_bytes(void **state)
{
    (void)state;
    struct buffer out;
    struct json_writer writer;
    buffer_init(&out, 10000);
    json_writer_init(&writer, &out);
    json_begin_object(&writer);
    json_put_text(&writer, "text", "q\" \\ \n\t\x01 灵\x7F/");
    json_put_string(&writer, "bad", slice_make("a\xFF\xC3", 3));
    json_put_text(&writer, "none", NULL);
    json_put_u64(&writer, "u", UINT64_MAX);
    json_put_i64(&writer, "i", INT64_MIN);
    json_put_f64(&writer, "f", 0.1);
    json_put_f64(&writer, "whole", 3.0);
    json_put_f64(&writer, "inf", 1.0 / 0.0);
    json_put_bool(&writer, "b", true);
    json_put_money(&writer, "m", (struct money){12500000});
    json_put_span(&writer, "s", SPAN_MS(5400000));
    json_put_span(&writer, "s0", SPAN_MS(0));
    json_put_wall(&writer, "w", (struct wall_us){0});
    json_put_id(&writer, "id", (struct id){{0}}, "job");
    json_key(&writer, "list");
    json_begin_array(&writer);
    json_begin_object(&writer);
    json_end_object(&writer);
    json_raw(&writer, S("[1,2]"));
    json_null(&writer);
    json_end_array(&writer);
    json_end_object(&writer);
    assert_int_equal(json_writer_finish(&writer), ERR_OK);
    assert_string_equal(
        buffer_text(&out),
        "{\"text\":\"q\\\" \\\\ \\n\\t\\u0001 "
        "灵\x7F/\",\"bad\":\"a\xEF\xBF\xBD\xEF\xBF\xBD\",\"none\":null,"
        "\"u\":18446744073709551615,\"i\":-9223372036854775808,\"f\":0.1,\"whole\":3.0,"
        "\"inf\":null,\"b\":true,\"m\":\"12.50\",\"s\":\"90m\",\"s0\":\"0s\","
        "\"w\":\"1970-01-01T00:00:00.000Z\",\"id\":null,\"list\":[{},[1,2],null]}");
    buffer_deinit(&out);
}

static void indented_output_is_for_people(void **state)
{
    (void)state;
    struct buffer out;
    struct json_writer writer;
    buffer_init(&out, 1000);
    json_writer_init_indented(&writer, &out, 2);
    json_begin_object(&writer);
    json_put_u64(&writer, "a", 1);
    json_key(&writer, "b");
    json_begin_array(&writer);
    json_end_array(&writer);
    json_end_object(&writer);
    assert_int_equal(json_writer_finish(&writer), ERR_OK);
    assert_string_equal(buffer_text(&out), "{\n  \"a\": 1,\n  \"b\": []\n}");
    buffer_deinit(&out);
    buffer_init(&out, 4);
    json_writer_init(&writer, &out);
    json_text(&writer, "too long");
    assert_int_equal(json_writer_finish(&writer), ERR_LIMIT);
    buffer_deinit(&out);
}

/* Random documents: written, read, copied, compared. */
static void write_random(struct json_writer *writer, struct random *random, unsigned depth)
{
    char key[16];
    unsigned count = (unsigned)random_below(random, 20);
    switch (random_below(random, depth == 0 ? 6 : 8)) {
    case 0:
        json_u64(writer, random_u64(random) >> random_below(random, 64));
        break;
    case 1:
        json_i64(writer, -(int64_t)(random_u64(random) >> (1 + random_below(random, 63))) - 1);
        break;
    case 2:
        json_f64(writer, (double)random_between(random, -1000000, 1000000) / 1024.0);
        break;
    case 3:
        random_fill(random, key, sizeof(key));
        key[0] = 'k';
        for (unsigned i = 0; i < sizeof(key); i++)
            key[i] = key[i] == '\0' ? 'z' : key[i];
        json_string(writer, slice_make(key, random_below(random, sizeof(key))));
        break;
    case 4:
        json_bool(writer, count % 2 == 0);
        break;
    case 5:
        json_null(writer);
        break;
    case 6:
        json_begin_array(writer);
        for (unsigned i = 0; i < count; i++)
            write_random(writer, random, depth - 1);
        json_end_array(writer);
        break;
    default:
        json_begin_object(writer);
        for (unsigned i = 0; i < count; i++) {
            snprintf(key, sizeof(key), "k%u", i);
            json_key(writer, key);
            write_random(writer, random, depth - 1);
        }
        json_end_object(writer);
    }
}

static void copied_documents_are_the_same_bytes(void **state)
{
    (void)state;
    struct random random;
    struct buffer first;
    struct buffer second;
    random_init(&random, 77);
    buffer_init(&first, 1u << 24);
    buffer_init(&second, 1u << 24);
    for (unsigned i = 0; i < 2000; i++) {
        struct json_writer writer;
        struct json_document *document = NULL;
        struct fault fault;
        buffer_reset(&first);
        buffer_reset(&second);
        json_writer_init(&writer, &first);
        write_random(&writer, &random, 4);
        assert_int_equal(json_writer_finish(&writer), ERR_OK);
        assert_int_equal(json_parse(buffer_slice(&first), &JSON_LIMITS_FILE, &document, &fault),
                         ERR_OK);
        assert_true(slice_is_equal(json_source(json_root(document)), buffer_slice(&first)));
        json_writer_init(&writer, &second);
        json_copy(&writer, json_root(document));
        assert_int_equal(json_writer_finish(&writer), ERR_OK);
        assert_true(slice_is_equal(buffer_slice(&first), buffer_slice(&second)));
        json_document_destroy(document);
    }
    buffer_deinit(&first);
    buffer_deinit(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_texts_are_refused_with_their_place),
        cmocka_unit_test(what_grows_or_hides_is_refused),
        cmocka_unit_test(limits_of_bytes_and_values_hold),
        cmocka_unit_test(a_megabyte_of_brackets_is_refused_at_once),
        cmocka_unit_test(repeated_keys_are_found_in_large_objects),
        cmocka_unit_test(values_are_found_by_name_index_and_walk),
        cmocka_unit_test(numbers_keep_their_bounds),
        cmocka_unit_test(members_are_required_or_left_alone),
        cmocka_unit_test(texts_with_a_meaning_are_read),
        cmocka_unit_test(numbers_as_texts_stay_as_they_were_written),
        cmocka_unit_test(unknown_fields_are_named_with_the_nearest_known_one),
        cmocka_unit_test(choices_list_their_names),
        cmocka_unit_test(the_writer_writes_exact_bytes),
        cmocka_unit_test(indented_output_is_for_people),
        cmocka_unit_test(copied_documents_are_the_same_bytes),
    };
    return cmocka_run_group_tests_name("wire_json", tests, NULL, NULL);
}
