#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "wire/json_writer.h"
#include "wire/yaml.h"

#define S(text) slice_of(text)

static void expect_json(const char *yaml, const char *json)
{
    struct json_document *document = NULL;
    struct fault fault = {0};
    struct buffer out;
    struct json_writer writer;
    if (yaml_parse(S(yaml), &YAML_LIMITS, &document, &fault) != ERR_OK)
        fail_msg("%s: %u:%u %s %s", yaml, fault.line, fault.column, fault.field, fault.message);
    buffer_init(&out, 10000);
    json_writer_init(&writer, &out);
    json_copy(&writer, json_root(document));
    assert_int_equal(json_writer_finish(&writer), ERR_OK);
    assert_string_equal(buffer_text(&out), json);
    buffer_deinit(&out);
    json_document_destroy(document);
}

static void expect_refusal(const char *yaml, enum err code, unsigned line, unsigned column,
                           const char *message)
{
    static const struct json_limits limits = {1000, 3, 20};
    struct json_document *document = NULL;
    struct fault fault = {0};
    assert_int_equal(yaml_parse(S(yaml), &limits, &document, &fault), code);
    assert_null(document);
    if (strstr(fault.message, message) == NULL)
        fail_msg("%s: %s", yaml, fault.message);
    assert_int_equal(fault.line, line);
    assert_int_equal(fault.column, column);
    assert_int_equal(yaml_parse(S(yaml), &limits, &document, NULL), code);
}

static void a_job_file_reads_as_its_json(void **state)
{
    (void)state;
    expect_json("# a job\nname: train\nresources:\n  cpus: 4\n  any_of:\n    - {a: 1}\n"
                "    - b: [x, 'y', \"z\\n\"]\nrun: |\n  echo hi\n  exit 0\n",
                "{\"name\":\"train\",\"resources\":{\"cpus\":4,\"any_of\":[{\"a\":1},"
                "{\"b\":[\"x\",\"y\",\"z\\n\"]}]},\"run\":\"echo hi\\nexit 0\\n\"}");
    expect_json("{\"a\": [1, 2.50, null, true]}", "{\"a\":[1,2.5,null,true]}");
    expect_json("---\na: 1\n...\n", "{\"a\":1}");
    expect_json("\xEF\xBB\xBF"
                "a: 1.5",
                "{\"a\":1.5}");
    expect_json("{a: why ? x, b: ?y}", "{\"a\":\"why ? x\",\"b\":\"?y\"}");
}

static void long_quoted_texts_come_whole(void **state)
{
    (void)state;
    enum { QUOTES = 200 };
    char yaml[2 * QUOTES + 8] = "['";
    char json[QUOTES + 8] = "[\"";
    memset(yaml + 2, '\'', 2 * QUOTES);
    memset(json + 2, '\'', QUOTES);
    memcpy(yaml + 2 + 2 * QUOTES, "']", 3);
    memcpy(json + 2 + QUOTES, "\"]", 3);
    expect_json(yaml, json);
    expect_json("{a: '\n  x\n\n  y z\n ', b: \"x\\\n   y\\u4f60\"}",
                "{\"a\":\" x\\ny z \",\"b\":\"xy你\"}");
}

static void neighbouring_quotes_are_counted_right(void **state)
{
    (void)state;
    expect_json("['it''s', 'a''''b', '''''', '''''''x']", "[\"it's\",\"a''b\",\"''\",\"'''x\"]");
    expect_json("{'''''k': 'c''d\n  e''f'}", "{\"''k\":\"c'd e'f\"}");
    expect_refusal("a: 'x''''\n  y'", ERR_INVALID, 1, 5, "double quotes");
}

static void plain_scalars_follow_the_written_rules(void **state)
{
    (void)state;
    expect_json("", "null");
    expect_json("# nothing\n", "null");
    expect_json("[~, null, '', ]", "[null,null,\"\"]");
    expect_json("a:", "{\"a\":null}");
    expect_json("[true, false, True, yes, no, on, OFF]",
                "[true,false,\"True\",\"yes\",\"no\",\"on\",\"OFF\"]");
    expect_json("[12, -7, 0, -0]", "[12,-7,0,0]");
    expect_json("[1.5, 1e3, -2.5e-3]", "[1.5,1000.0,-0.0025]");
    expect_json("[0x10, 0o17, 010, 1_000, +1, .5, 1., .inf, 12:30, 2026-11-22, 1e]",
                "[\"0x10\",\"0o17\",\"010\",\"1_000\",\"+1\",\".5\",\"1.\",\".inf\",\"12:30\","
                "\"2026-11-22\",\"1e\"]");
    expect_json("['12', \"true\", 'null']", "[\"12\",\"true\",\"null\"]");
    expect_json("true: 1\n1: 2", "{\"true\":1,\"1\":2}");
}

static void what_can_grow_or_mislead_is_refused(void **state)
{
    (void)state;
    expect_refusal("a: &x 1\nb: *x", ERR_INVALID, 1, 5, "anchors");
    expect_refusal("a: *x", ERR_INVALID, 1, 5, "aliases");
    expect_refusal("a: !!str 1", ERR_INVALID, 1, 4, "tags");
    expect_refusal("a: 1\na: 2", ERR_INVALID, 2, 1, "twice");
    expect_refusal("a:\n  - {b: 1,\n     b: 2}", ERR_INVALID, 3, 6, "twice");
    expect_refusal("---\na: 1\n---\nb: 2", ERR_INVALID, 3, 1, "second document");
    expect_refusal("%YAML 1.2\n---\na: 1", ERR_INVALID, 1, 1, "%directives");
    expect_refusal("[a]: b", ERR_INVALID, 1, 1, "key");
    expect_refusal("? a\n: b", ERR_INVALID, 1, 1, "question mark");
    expect_refusal("- ? b: \t:", ERR_INVALID, 1, 3, "question mark");
    expect_refusal(": b", ERR_INVALID, 1, 1, "key");
    expect_refusal("a: 99999999999999999999", ERR_INVALID, 1, 4, "too large");
}

static void broken_texts_are_refused_with_their_place(void **state)
{
    (void)state;
    expect_refusal("a:\n\t- b", ERR_INVALID, 2, 1, "tab");
    expect_refusal("a:\n  b: 1\n c: 2", ERR_INVALID, 3, 2, "indentation");
    expect_refusal("a: 'x", ERR_INVALID, 1, 5, "quote");
    expect_refusal("a: \"\\0\"", ERR_INVALID, 1, 5, "NUL");
    expect_refusal("a: b\x01", ERR_INVALID, 1, 5, "control");
    expect_refusal("é: \xFF", ERR_INVALID, 1, 4, "UTF-8");
    expect_refusal("a: \"\\ud800\"", ERR_INVALID, 1, 5, "UTF8");
}

static void runs_of_blanks_that_would_take_minutes_are_refused(void **state)
{
    (void)state;
    static const struct json_limits limits = {300000, 3, 20};
    char *text = malloc(250000);
    assert_non_null(text);
    const char blanks[] = {' ', '\t', '\n', '\r'};
    for (size_t i = 0; i < sizeof(blanks); i++) {
        struct json_document *document = NULL;
        struct fault fault;
        memset(text, blanks[i], 250000);
        memcpy(text, "v: |\n  x", 8);
        assert_int_equal(yaml_parse(slice_make(text, 250000), &limits, &document, &fault),
                         ERR_INVALID);
        assert_non_null(strstr(fault.message, "blanks"));
        memcpy(text + 500, "\n  x", 4);
        if (blanks[i] == '\n') {
            assert_int_equal(yaml_parse(slice_make(text, 1000), &limits, &document, &fault),
                             ERR_OK);
            json_document_destroy(document);
        }
    }
    free(text);
}

static void limits_hold(void **state)
{
    (void)state;
    expect_refusal("[[[[1]]]]", ERR_LIMIT, 1, 4, "depth");
    expect_refusal("[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]", ERR_LIMIT, 1, 50,
                   "values");
    char text[1002];
    memset(text, 'a', sizeof(text));
    struct json_document *document = NULL;
    struct fault fault;
    static const struct json_limits limits = {1000, 3, 20};
    assert_int_equal(yaml_parse(slice_make(text, 1001), &limits, &document, &fault), ERR_LIMIT);
    assert_int_equal(yaml_parse(slice_make(text, 1000), &limits, &document, &fault), ERR_OK);
    json_document_destroy(document);
}

static void values_point_into_the_yaml_text(void **state)
{
    (void)state;
    struct json_document *document = NULL;
    struct fault fault;
    const char *text = "灵渠: x\nresources:\n  cpus: many\n  version: 1.10\n";
    assert_int_equal(yaml_parse(S(text), &YAML_LIMITS, &document, &fault), ERR_OK);
    struct json_value resources;
    uint64_t cpus;
    assert_int_equal(json_get_object(json_root(document), "resources", &resources, &fault), ERR_OK);
    assert_int_equal(json_get_u64(resources, "cpus", 1, 64, &cpus, &fault), ERR_INVALID);
    assert_string_equal(fault.field, "resources.cpus");
    assert_int_equal(fault.line, 3);
    assert_int_equal(fault.column, 9);
    assert_true(slice_is(json_source(json_object_get(resources, "cpus")), "many"));
    struct arena arena;
    struct slice version;
    arena_init(&arena, 1000);
    assert_int_equal(json_get_text(resources, "version", 10, &arena, &version, &fault), ERR_OK);
    assert_true(slice_is(version, "1.10"));
    arena_deinit(&arena);
    json_document_destroy(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_file_reads_as_its_json),
        cmocka_unit_test(long_quoted_texts_come_whole),
        cmocka_unit_test(neighbouring_quotes_are_counted_right),
        cmocka_unit_test(plain_scalars_follow_the_written_rules),
        cmocka_unit_test(what_can_grow_or_mislead_is_refused),
        cmocka_unit_test(broken_texts_are_refused_with_their_place),
        cmocka_unit_test(runs_of_blanks_that_would_take_minutes_are_refused),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(values_point_into_the_yaml_text),
    };
    return cmocka_run_group_tests_name("wire_yaml", tests, NULL, NULL);
}
